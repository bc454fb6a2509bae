"""What the notebooks of the course import: `from helpers import start`."""
