"""The exercise card and the switch in a browser: with the mouse, over a reload, and with the
keyboard alone."""

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from browser import cards, seen
from helpers.exercises.lessons.lesson_01 import TASKS

ROOT = Path(__file__).resolve().parents[2]
EXERCISE = "exercises/01_first_call.ipynb"
LESSON = "notebooks/01_first_call.ipynb"


@pytest.fixture(scope="module")
def solution() -> str:
    """The solution of task 1."""
    cells = nbformat.read(ROOT / "solutions" / "01_first_call.ipynb", as_version=4).cells
    return next(cell.source for cell in cells if cell.source.startswith("def ask("))


def test_a_check_fails_and_passes_and_progress_outlives_a_reload(open_notebook, solution):
    notebook = open_notebook(EXERCISE)
    notebook.run_all()
    card = notebook.cell(notebook.cell_with("card.task(1,"))
    verdict, check = (
        card.get_by_role("status"),
        card.get_by_role("button", name="Check", exact=True),
    )
    expect(verdict).to_contain_text("Not yet: ask is still empty")
    cards.open_hints(card, TASKS[0])

    notebook.write(
        notebook.cell_with("def ask("),
        "def ask(client, question):\n    return 'a token is a piece of text'",
    )
    check.click()
    expect(verdict).to_contain_text("No request was sent")
    notebook.write(notebook.cell_with("def ask("), solution)
    check.click()
    expect(verdict).to_contain_text("Right:")
    expect(card.get_by_text("(done)")).to_be_visible()
    quiz = notebook.cell(notebook.cell_with("card.task(5"))
    cards.answer(quiz, TASKS[4])
    with notebook.unrolled():
        assert seen.barriers(notebook) == []

    notebook.shut_down()
    # The file was not saved: the stub stands there again, and a new kernel.
    notebook = open_notebook(EXERCISE, anew=True)
    notebook.run_all()
    card = notebook.cell(notebook.cell_with("card.task(1,"))
    expect(card.get_by_text("(done)")).to_be_visible()
    expect(card.get_by_role("status")).to_contain_text("Not yet: ask is still empty")
    expect(card.get_by_role("button", name=cards.ALL_SHOWN)).to_be_visible()
    quiz = notebook.cell(notebook.cell_with("card.task(5"))
    expect(quiz.get_by_role("button", name="(your answer)")).to_have_count(len(TASKS[4].questions))
    expect(quiz.get_by_text("(done)")).to_be_visible()


def test_a_mode_that_cannot_be_had_says_why_and_nothing_breaks(open_notebook):
    notebook = open_notebook(LESSON)
    first = notebook.cell_with("start(")
    notebook.run(first)
    cell = notebook.cell(first)
    for mode, why in (
        ("Practice", "Not switched. Practice needs the practice server, and none answers at"),
        ("Live", "Not switched. Live needs your own token and none was found."),
    ):
        cell.get_by_role("button", name=mode, exact=True).click()
        expect(cell.get_by_role("status")).to_contain_text(why)
        expect(cell.get_by_role("button", name="Replay (now)")).to_be_visible()
        assert seen.barriers(notebook) == []
    cell.get_by_role("button", name="Replay (now)").click()
    expect(cell.get_by_role("status")).to_contain_text("Replay: nothing leaves this machine.")
    notebook.run_all()
    assert seen.errors(notebook) == []


def test_the_keyboard_alone_is_enough(open_notebook, page, solution):
    notebook = open_notebook(EXERCISE)
    press, task = page.keyboard.press, notebook.cell_with("card.task(1,")
    card = notebook.cell(task)
    verdict, check, hint = (
        card.get_by_role("status"),
        card.get_by_role("button", name="Check", exact=True),
        card.get_by_role("button", name="hint"),
    )

    # Run the cells one by one. Opening a notebook has made its first one active, running one the
    # next.
    for _ in range(task + 1):
        press("Shift+Enter")
        notebook.settle()
    expect(verdict).to_contain_text("Not yet:")

    # A hint with Enter, the others with Space; the focus stays on the button.
    press("ArrowUp")
    notebook.tab_to(hint)
    press("Enter")
    expect(card.get_by_text("Hint 1:")).to_be_visible()
    press("Space")
    press("Space")
    expect(card.get_by_text("Hint 3:")).to_be_visible()
    expect(hint).to_have_text(cards.ALL_SHOWN)
    expect(hint).to_be_focused()

    # Edit the function, run it, check it.
    press("Escape")
    press("ArrowUp")
    press("Enter")
    press("Control+A")
    page.keyboard.insert_text(solution)
    press("Shift+Enter")
    notebook.tab_to(check)
    press("Enter")
    expect(verdict).to_contain_text("Right:")
    expect(check).to_be_focused()

    # The other cells, then a slider with the arrows.
    press("Escape")
    for _ in range(len(notebook.cells()) - 1 - task):
        press("Shift+Enter")
        notebook.settle()
    explorer = notebook.cell(notebook.cell_with("widgets.IntSlider(10000"))
    readout = explorer.locator(".widget-readout").first
    before = readout.text_content()
    notebook.tab_to(explorer.get_by_role("slider").first, backwards=True)
    press("ArrowRight")
    expect(readout).not_to_have_text(before)

    # The quiz: wrong, then right.
    quiz, choices = notebook.cell(notebook.cell_with("card.task(5")), TASKS[4].questions[0].choices
    right = next(i for i, choice in enumerate(choices) if choice.right)
    wrong = next(i for i, choice in enumerate(choices) if not choice.right)
    for i, key, label in ((wrong, "Space", "Not yet:"), (right, "Enter", "Right:")):
        choice = quiz.get_by_role("button", name="abcdefgh"[i] + ") ").first
        notebook.tab_to(choice, backwards=i < wrong)
        press(key)
        expect(quiz.get_by_role("status").first).to_contain_text(label)
        expect(choice).to_be_focused()
