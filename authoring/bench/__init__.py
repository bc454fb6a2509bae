"""`make bench`: what the course promises about speed, measured. Each part prints what it found,
slower results too."""
