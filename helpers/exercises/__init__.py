"""The exercises: a card for each, its checks, and the service that stands in while they run.

    card.py, view.py, progress.py   what a learner sees and presses, and what is kept of it
    tasks.py, kit.py, scenes.py     what tasks and checks are made of; each lesson's in lessons/
    spy.py, service.py              the stand-in for the service, and what it answers
    chat_format.py                  a chat completion in the service's wire format
    running.py, stand_ins.py        a learner's function at work: its time, its prints, its end

What is said to learners stands in the TOML file beside the module that says it.
"""

from helpers.exercises.card import Card, Progress, open_exercise
from helpers.exercises.kit import spy

__all__ = ["Card", "Progress", "open_exercise", "spy"]
