"""The exercises: a card for each, its checks, and the service that stands in while they run."""

from helpers.exercises.card import Card, Progress, open_exercise
from helpers.exercises.kit import spy

__all__ = ["Card", "Progress", "open_exercise", "spy"]
