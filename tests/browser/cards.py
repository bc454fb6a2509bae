"""An exercise's cards as a learner uses them."""

import importlib
import re

from playwright.sync_api import expect

from helpers.exercises.kit import Quiz

ALL_SHOWN = "All hints are shown"


def use_every_card(notebook) -> None:
    """Open every hint, press Check, answer each question wrong and then right; each time what must
    be shown is shown.

    In exercises/ the checks say "Not yet", in solutions/ "Right".
    """
    number = re.search(r"/(\d\d)_", notebook.path).group(1)
    tasks = importlib.import_module(f"helpers.exercises.lessons.lesson_{number}").TASKS
    for i, task in enumerate(tasks, 1):
        card = notebook.cell(notebook.cell_with(f"card.task({i}"))
        if isinstance(task, Quiz):
            answer(card, task)
        else:
            open_hints(card, task)
            card.get_by_role("button", name="Check", exact=True).click()
            expect(card.get_by_role("status")).to_contain_text(
                "Right:" if notebook.path.startswith("solutions/") else "Not yet:"
            )


def open_hints(card, task) -> None:
    """One after the other, until all are shown."""
    for i in range(1, len(task.hints) + 1):
        card.get_by_role("button", name=f"Show hint {i} of {len(task.hints)}").click()
        expect(card.get_by_text(f"Hint {i}:")).to_be_visible()
        expect(card.locator("p")).to_have_count(i)
    expect(card.get_by_role("button", name=ALL_SHOWN)).to_be_visible()


def answer(card, quiz) -> None:
    """Each question wrong, then right: each is explained, and the title says when all are right."""
    for i, question in enumerate(quiz.questions):
        wrong = next(choice for choice in question.choices if not choice.right)
        right = next(choice for choice in question.choices if choice.right)
        buttons = card.locator(".widget-vbox .widget-vbox").nth(i).get_by_role("button")
        for choice, label in ((wrong, "Not yet:"), (right, "Right:")):
            button = buttons.nth(question.choices.index(choice))
            button.click()
            expect(button).to_contain_text("(your answer)")
            expect(buttons.filter(has_text="(your answer)")).to_have_count(1)
            expect(card.get_by_role("status").nth(i)).to_contain_text(label)
    expect(card.get_by_text("(done)")).to_be_visible()
