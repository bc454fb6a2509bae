"""How the exercise card looks, as widgets. What they show and do is Card's
(helpers/exercises/card.py).

Written for what ipywidgets 7.7 and 8.1 share. Verdicts begin with a word, so nothing is said by
colour alone.
"""

import ipywidgets as widgets

from helpers.exercises.tasks import Verdict
from helpers.widgets import as_html

RIGHT, NOT_YET = "#0072B2", "#D55E00"  # blue and vermillion: told apart by everybody
FRAME = {"border": "1px solid #888", "padding": "8px 12px", "margin": "4px 0", "width": "auto"}
CHOICE = {"width": "auto", "align_self": "flex-start", "margin": "2px 0"}


def verdict_html(verdict: Verdict | None) -> str:
    """A verdict that a screen reader reads out when it changes."""
    if verdict is None:
        return "<div role='status' aria-live='polite'></div>"
    label, colour = ("Right", RIGHT) if verdict.ok else ("Not yet", NOT_YET)
    style = f"border-left: 4px solid {colour}; padding: 2px 8px; line-height: 1.5"
    said = f"<b>{label}:</b> {as_html(verdict.message)}"
    return f"<div role='status' aria-live='polite' style='{style}'>{said}</div>"


class View:
    """A frame with the task's title, and below it what a task or a quiz needs."""

    def __init__(self, card, number: int, *below):
        self.card, self.number, self.task = card, number, card.tasks[number - 1]
        self.title = widgets.HTML()
        self.widget = widgets.VBox([self.title, *below], layout=widgets.Layout(**FRAME))
        self.refresh()

    def refresh(self) -> None:
        """Show what the card knows now."""
        done = " (done)" if self.card.done(self.number) else ""
        self.title.value = f"<b>{as_html(self.card.title(self.number))}</b>{done}"


class TaskView(View):
    """Verdict, Check, and a button that opens one hint after the other.

    No button is ever disabled: one that is loses the keyboard's focus, and with it the learner's
    place.
    """

    def __init__(self, card, number: int, verdict: Verdict | None = None):
        self.shown = verdict
        self.verdict, self.hints = widgets.HTML(), widgets.HTML()
        look = "Check the function as it is now"
        self.check = widgets.Button(description="Check", tooltip=look, button_style="primary")
        self.hint = widgets.Button(layout=widgets.Layout(width="auto"))
        self.check.on_click(self._check)
        self.hint.on_click(self._hint)
        buttons = widgets.HBox([self.check, self.hint])
        super().__init__(card, number, self.verdict, buttons, self.hints)

    def refresh(self) -> None:
        super().refresh()
        self.verdict.value = verdict_html(self.shown)
        opened, count = self.card.hints_open(self.number), len(self.task.hints)
        more = f"Show hint {len(opened) + 1} of {count}"
        self.hint.description = more if len(opened) < count else "All hints are shown"
        self.hints.value = "".join(
            f"<p style='margin: 4px 0; line-height: 1.5'><b>Hint {i}:</b> {as_html(text)}</p>"
            for i, text in enumerate(opened, 1)
        )

    def _check(self, _button) -> None:
        self.check.description = "Checking…"
        try:
            self.shown = self.card.check(self.number)
            self.refresh()
        finally:
            self.check.description = "Check"

    def _hint(self, _button) -> None:
        self.card.open_hint(self.number)
        self.refresh()


class QuizView(View):
    """Each question with a button for every choice; choosing one shows why it is right, or why it
    is not.

    Buttons, not RadioButtons: JupyterLab takes the arrow keys for itself, so those could not be
    used without a mouse.
    """

    def __init__(self, card, number: int):
        self.choices, self.verdicts, below = [], [], []
        for i, question in enumerate(card.tasks[number - 1].questions, 1):
            style, text = "line-height: 1.5; margin-top: 8px", as_html(question.text)
            buttons = {
                letter: widgets.Button(layout=widgets.Layout(**CHOICE))
                for letter in question.offered
            }
            for letter, button in buttons.items():
                button.on_click(lambda _button, i=i, letter=letter: self._choose(i, letter))
            self.choices.append(buttons)
            self.verdicts.append(widgets.HTML())
            asked = widgets.HTML(f"<div style='{style}'>{i}. {text}</div>")
            below += [asked, widgets.VBox(list(buttons.values())), self.verdicts[-1]]
        super().__init__(card, number, *below)

    def refresh(self) -> None:
        super().refresh()
        answers = self.card.answers(self.number)
        rows = zip(self.task.questions, self.choices, self.verdicts)
        for i, (question, buttons, verdict) in enumerate(rows, 1):
            chosen = answers.get(str(i))
            for letter, choice in question.offered.items():
                yours = " (your answer)" if letter == chosen else ""
                text = choice.text.replace("`", "")  # a button has no code font
                buttons[letter].description = f"{letter}) {text}{yours}"
                buttons[letter].button_style = "primary" if yours else ""
            verdict.value = verdict_html(question.judge(chosen) if chosen else None)

    def _choose(self, question: int, letter: str) -> None:
        self.card.choose(self.number, question, letter)
        self.refresh()
