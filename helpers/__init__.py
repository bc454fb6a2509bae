"""What the notebooks of the course import: `from helpers import start, models`."""

from helpers.models import models
from helpers.session import start

__all__ = ["models", "start"]
