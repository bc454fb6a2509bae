"""What can be moved, typed into and pressed: explorers, a chat box, the switch. Each has a
plain-cell way beside it.

Every one says the same in plain text where widgets cannot be shown.
"""

import asyncio
import base64
import html
import inspect
import io
import re
from collections.abc import Callable, Coroutine, Iterable


def as_html(text: str) -> str:
    """The text with `code` in a code font."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def show_widget(widget, text: str) -> None:
    """Display a widget together with `text`, which is shown where there is no widget front end.

    One bundle for both, so that the output reads the same in ipywidgets 7 and 8.
    """
    from IPython.display import display

    view = {"model_id": widget.model_id, "version_major": 2, "version_minor": 0}
    display({"text/plain": text, "application/vnd.jupyter.widget-view+json": view}, raw=True)


def explore(function: Callable, /, **controls: Iterable) -> Coroutine | None:
    """Show `function(**values)` under one slider (or menu, or text box) for each control, and again
    whenever one is moved.

    function : gets the controls' values as keywords; returns text, or a Matplotlib figure with an
        `alt` attribute. For an `async` function write `await explore(…)`.
    controls : for each keyword the values to choose from, in order: numbers make a slider, texts a
        menu. A single text instead makes a box to type in, which is read on Enter.

    A mistake in `function` is shown in its place and nothing is lost.
    """
    import ipywidgets as widgets

    made = {name: _control(name, values) for name, values in controls.items()}
    result = widgets.HTML()

    def values() -> dict:
        return {name: control.value for name, control in made.items()}

    def put(shown) -> str:
        result.value = _as_html(shown)
        return shown if isinstance(shown, str) else getattr(shown, "alt", "(a figure)")

    def present(text: str, moved: Callable) -> None:
        for control in made.values():
            control.observe(moved, names="value")
        lines = [
            f"{name}: {'any text' if isinstance(choice, str) else ' | '.join(map(str, choice))}"
            for name, choice in controls.items()
        ]
        settings = ", ".join(f"{name}={value!r}" for name, value in values().items())
        shown = widgets.VBox([*made.values(), result])
        show_widget(shown, "\n".join([*lines, f"At {settings}:", text]))

    def look(_=None) -> str:
        return put(_call(function, values()))

    async def look_async() -> str:
        return put(await _acall(function, values()))

    async def present_async() -> None:
        looks = []

        def moved(_) -> None:
            for earlier in looks:  # nobody waits for it any more
                earlier.cancel()
            looks[:] = [asyncio.ensure_future(look_async())]

        present(await look_async(), moved)

    return present_async() if inspect.iscoroutinefunction(function) else present(look(), look)


def _control(name: str, values: Iterable):
    import ipywidgets as widgets

    label = {"description": name.replace("_", " "), "style": {"description_width": "initial"}}
    if isinstance(values, str):
        wide = widgets.Layout(width="90%")
        return widgets.Text(values, continuous_update=False, layout=wide, **label)
    options = [(str(value), value) for value in values]
    if not options:
        raise ValueError(f"explore(): {name} has no values to choose from")
    numbers = all(isinstance(value, (int, float)) for _, value in options)
    kind = widgets.SelectionSlider if numbers else widgets.Dropdown
    layout = widgets.Layout(width=None if numbers else "max-content")
    return kind(options=options, value=options[0][1], layout=layout, **label)


def _call(function: Callable, values: dict):
    try:
        return function(**values)
    except Exception as error:
        return _mistake(error)


async def _acall(function: Callable, values: dict):
    try:
        return await function(**values)
    except Exception as error:
        return _mistake(error)


def _mistake(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _as_html(shown) -> str:
    if not hasattr(shown, "savefig"):
        # word-break: JupyterLab would break a long line in the middle of a word.
        style = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere"
        return f"<pre style='{style}'>{html.escape(str(shown))}</pre>"
    picture = io.BytesIO()
    shown.savefig(picture, format="png", dpi=100, bbox_inches="tight")
    data = base64.b64encode(picture.getvalue()).decode()
    alt = html.escape(getattr(shown, "alt", ""), quote=True)
    return f"<img alt='{alt}' src='data:image/png;base64,{data}'>"


# ---- the chat box ----

LINE = "margin: 4px 0; line-height: 1.5"
SPEAKERS = {"system": "Instructions", "user": "You", "assistant": "Model", "tool": "Tool"}


class ChatBox:
    """A chat without its widgets.

    conversation : anything with `say(text)`, which asks the model, and `messages`, the list of
        {"role", "content"} so far.
    suggestions : what stands in the line to type in, one after the other.

    `draft` is what stands there now; `problem` is what went wrong last, "" if nothing did.
    """

    def __init__(self, conversation, suggestions=()):
        self.conversation, self.problem = conversation, ""
        self._suggestions = iter(suggestions)
        self.draft = next(self._suggestions, "")

    def send(self, text: str) -> None:
        """Say `text` to the model. If that fails, the text stays where it was typed and `problem`
        says why."""
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
            (SPEAKERS.get(message["role"], message["role"]), message["content"] or "")
            for message in self.conversation.messages
        ]

    def as_text(self) -> str:
        """All that has been said, and the last problem."""
        said = [f"{who}: {text}" for who, text in self.lines()]
        return "\n".join(said + ([f"Problem: {self.problem}"] if self.problem else []))

    def as_html(self) -> str:
        """The same for the screen, read out by screen readers as it grows. Nothing that was said is
        taken for HTML."""
        rows = [
            f"<p style='{LINE}; white-space: pre-wrap'><b>{who}:</b> {html.escape(text)}</p>"
            for who, text in self.lines()
        ]
        if self.problem:
            problem = html.escape(self.problem)
            rows.append(f"<p role='alert' style='{LINE}'><b>Problem:</b> {problem}</p>")
        log = "role='log' aria-live='polite' style='max-height: 320px; overflow-y: auto'"
        return f"<div {log}>{''.join(rows)}</div>"


def chat_box(conversation, *suggestions: str) -> None:
    """Show a chat box for a conversation. Enter or Send says what was typed; see ChatBox for the
    arguments."""
    import ipywidgets as widgets

    box = ChatBox(conversation, suggestions)
    transcript = widgets.HTML()
    wide = widgets.Layout(width="80%")
    line = widgets.Text(placeholder="Type a message", description="You:", layout=wide)
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
    # What Text.on_submit() listens to; that name is deprecated in ipywidgets 8, and its replacement
    # also fires when the line loses focus.
    line.on_msg(lambda _line, told, _buffers: say() if told.get("event") == "submit" else None)
    refresh()
    shown = widgets.VBox([transcript, widgets.HBox([line, send])])
    show_widget(shown, box.as_text() + f"\nYou: {box.draft}  [Send]")


# ---- who answers ----


TEXT = 'Who answers: Replay | Practice | Live. Without the buttons: session.mode = "practice"'
MEANING = {
    "replay": "recorded answers",
    "practice": "small models on this machine",
    "live": "the real service, your token",
}


def show_switch(session) -> None:
    """Display the switch for a session; a mode that cannot be had says why, and the old one stays.

    Shows nothing where ipywidgets is not installed.
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        return

    # Buttons, not ToggleButtons: those are drawn anew at each choice, and whoever came by keyboard
    # stands nowhere.
    buttons = {
        mode: widgets.Button(tooltip=meaning, layout=widgets.Layout(width="auto"))
        for mode, meaning in MEANING.items()
    }
    said = widgets.HTML("")

    def refresh(text: str) -> None:
        for mode, button in buttons.items():
            button.description = mode.capitalize() + (" (now)" if mode == session.mode else "")
            button.button_style = "primary" if mode == session.mode else ""
        live = "role='status' aria-live='polite' style='line-height: 1.5'"
        said.value = text and f"<div {live}>{text}</div>"

    def choose(mode: str) -> None:
        try:
            session.mode = mode
            refresh(as_html(session.banner()))
        except RuntimeError as error:
            refresh(f"<b>Not switched.</b> {as_html(str(error))}")

    for mode, button in buttons.items():
        button.on_click(lambda _button, mode=mode: choose(mode))
    refresh("")
    row = widgets.HBox([widgets.HTML("Answers:"), *buttons.values()])
    show_widget(widgets.VBox([row, said]), TEXT)
