"""A chat box: what has been said, a line to type in, and a button.

What it shows and does is `ChatBox`, which needs no widgets; `chat_box()` puts it on the screen.
"""

import html

from helpers.widgets import show_widget

NAMES = {"system": "Instructions", "user": "You", "assistant": "Model", "tool": "Tool"}


class ChatBox:
    """A chat without its widgets.

    conversation : anything with `say(text)`, which asks the model, and `messages`, the list of {"role", "content"} so far.
    suggestions : what stands in the line to type in, one after the other.

    `draft` is what stands there now; `problem` is what went wrong last, "" if nothing did.
    """

    def __init__(self, conversation, suggestions=()):
        self.conversation, self.problem = conversation, ""
        self._suggestions = iter(suggestions)
        self.draft = next(self._suggestions, "")

    def send(self, text: str) -> None:
        """Say `text` to the model. If that fails, the text stays where it was typed and `problem` says why."""
        if not text.strip():
            return
        try:
            self.conversation.say(text.strip())
        except Exception as error:
            self.draft, self.problem = text, f"{type(error).__name__}: {error}"
        else:
            self.draft, self.problem = next(self._suggestions, ""), ""

    def lines(self) -> list[tuple[str, str]]:
        """[(who, what was said), …]"""
        return [
            (NAMES.get(message["role"], message["role"]), message["content"] or "")
            for message in self.conversation.messages
        ]

    def as_text(self) -> str:
        """All that has been said, and the last problem."""
        said = [f"{who}: {text}" for who, text in self.lines()]
        return "\n".join(said + ([f"Problem: {self.problem}"] if self.problem else []))

    def as_html(self) -> str:
        """The same for the screen, read out by screen readers as it grows. Nothing that was said is taken for HTML."""
        rows = [
            f"<p style='margin: 4px 0; line-height: 1.5; white-space: pre-wrap'><b>{who}:</b>"
            f" {html.escape(text)}</p>"
            for who, text in self.lines()
        ]
        if self.problem:
            rows.append(
                "<p role='alert' style='margin: 4px 0; line-height: 1.5'><b>Problem:</b>"
                f" {html.escape(self.problem)}</p>"
            )
        return (
            "<div role='log' aria-live='polite' style='max-height: 320px; overflow-y:"
            f" auto'>{''.join(rows)}</div>"
        )


def chat_box(conversation, *suggestions: str) -> None:
    """Show a chat box for a conversation. Enter or Send says what was typed; see ChatBox for the arguments."""
    import ipywidgets as widgets

    box = ChatBox(conversation, suggestions)
    transcript = widgets.HTML()
    line = widgets.Text(
        placeholder="Type a message", description="You:", layout=widgets.Layout(width="80%")
    )
    send = widgets.Button(description="Send", button_style="primary")

    def refresh() -> None:
        transcript.value, line.value = box.as_html(), box.draft

    def say(*_) -> None:
        send.disabled, send.description = True, "Waiting…"
        try:
            box.send(line.value)
            refresh()
        finally:
            send.disabled, send.description = False, "Send"

    send.on_click(say)
    # What Text.on_submit() listens to; that name is deprecated in ipywidgets 8, and its replacement also fires when the line loses focus.
    line.on_msg(
        lambda _widget, content, _buffers: say() if content.get("event") == "submit" else None
    )
    refresh()
    show_widget(
        widgets.VBox([transcript, widgets.HBox([line, send])]),
        box.as_text() + f"\nYou: {box.draft}  [Send]",
    )
