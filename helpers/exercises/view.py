"""The widgets of an exercise card. What they show and do is Card's (helpers/exercises/card.py);
here is only how it looks.

Written for what ipywidgets 7.7 and 8.1 share. Verdicts begin with a word, so nothing is said by
colour alone.
"""

import ipywidgets as widgets

from helpers.exercises.kit import Verdict
from helpers.widgets import as_html

RIGHT, NOT_YET = "#0072B2", "#D55E00"  # blue and vermillion: told apart by everybody


def verdict_html(verdict: Verdict | None) -> str:
    """A verdict that a screen reader reads out when it changes."""
    if verdict is None:
        return "<div role='status' aria-live='polite'></div>"
    label, colour = ("Right", RIGHT) if verdict.ok else ("Not yet", NOT_YET)
    return (
        f"<div role='status' aria-live='polite' style='border-left: 4px solid {colour}; padding:"
        f" 2px 8px; line-height: 1.5'><b>{label}:</b> {as_html(verdict.message)}</div>"
    )


def heading(card, number: int) -> widgets.HTML:
    done = " (done)" if card.done(number) else ""
    return widgets.HTML(f"<b>{as_html(card.title(number))}</b>{done}")


def framed(children: list) -> widgets.VBox:
    return widgets.VBox(
        children,
        layout=widgets.Layout(
            border="1px solid #888", padding="8px 12px", margin="4px 0", width="auto"
        ),
    )


class TaskView:
    """Heading, verdict, Check, and a button that opens one hint after the other.

    No button is ever disabled: one that is loses the keyboard's focus, and with it the learner's
    place.
    """

    def __init__(self, card, number: int, verdict: Verdict | None = None):
        self.card, self.number, self.shown = card, number, verdict
        self.title, self.verdict, self.hints = heading(card, number), widgets.HTML(), widgets.HTML()
        self.check = widgets.Button(
            description="Check", tooltip="Check the function as it is now", button_style="primary"
        )
        self.hint = widgets.Button(layout=widgets.Layout(width="auto"))
        self.check.on_click(self._check)
        self.hint.on_click(self._hint)
        self.widget = framed(
            [self.title, self.verdict, widgets.HBox([self.check, self.hint]), self.hints]
        )
        self.refresh()

    def refresh(self) -> None:
        """Show what the card knows now."""
        self.title.value = heading(self.card, self.number).value
        self.verdict.value = verdict_html(self.shown)
        opened, count = (
            self.card.hints_open(self.number),
            len(self.card.tasks[self.number - 1].hints),
        )
        self.hint.description = (
            f"Show hint {len(opened) + 1} of {count}"
            if len(opened) < count
            else "All hints are shown"
        )
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


class QuizView:
    """Each question with a button for every choice; choosing one shows why it is right, or why it
    is not.

    Buttons, not RadioButtons: JupyterLab takes the arrow keys for itself, so those could not be
    used without a mouse.
    """

    def __init__(self, card, number: int):
        self.card, self.number = card, number
        self.title, self.choices, self.verdicts = heading(card, number), [], []
        children = [self.title]
        for i, question in enumerate(card.tasks[number - 1].questions, 1):
            buttons = {
                letter: widgets.Button(
                    layout=widgets.Layout(width="auto", align_self="flex-start", margin="2px 0")
                )
                for letter, _ in zip("abcdefgh", question.choices)
            }
            for letter, button in buttons.items():
                button.on_click(lambda _button, i=i, letter=letter: self._choose(i, letter))
            verdict = widgets.HTML()
            self.choices.append(buttons)
            self.verdicts.append(verdict)
            text = widgets.HTML(
                f"<div style='line-height: 1.5; margin-top: 8px'>{i}."
                f" {as_html(question.text)}</div>"
            )
            children += [text, widgets.VBox(list(buttons.values())), verdict]
        self.widget = framed(children)
        self.refresh()

    def refresh(self) -> None:
        """Show what the card knows now."""
        self.title.value = heading(self.card, self.number).value
        answers = self.card.answers(self.number)
        for i, (question, buttons, verdict) in enumerate(
            zip(self.card.tasks[self.number - 1].questions, self.choices, self.verdicts), 1
        ):
            chosen = answers.get(str(i))
            for (letter, button), choice in zip(buttons.items(), question.choices):
                text = choice.text.replace("`", "")  # a button has no code font
                button.description = f"{letter}) {text}" + (
                    " (your answer)" if letter == chosen else ""
                )
                button.button_style = "primary" if letter == chosen else ""
            verdict.value = verdict_html(question.judge(chosen) if chosen else None)

    def _choose(self, question: int, letter: str) -> None:
        self.card.choose(self.number, question, letter)
        self.refresh()
