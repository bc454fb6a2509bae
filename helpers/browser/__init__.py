"""What a browser tab lacks and the course brings: threads, and packages that come late."""
