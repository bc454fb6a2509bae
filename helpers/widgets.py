"""Explorers: move a control, see what changes. Every explorer says the same in plain text where widgets cannot be shown."""

import base64
import html
import io
import re
from collections.abc import Callable, Iterable


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


def explore(function: Callable, /, **controls: Iterable) -> None:
    """Show `function(**values)` under one slider (or menu, or text box) for each control, and again whenever one is moved.

    function : gets the controls' values as keywords; returns text, or a Matplotlib figure with an `alt` attribute.
    controls : for each keyword the values to choose from, in order: numbers make a slider, texts a menu.
        A single text instead makes a box to type in, which is read on Enter.

    A mistake in `function` is shown in its place and nothing is lost.
    """
    import ipywidgets as widgets

    made = {}
    for name, values in controls.items():
        label = name.replace("_", " ")
        if isinstance(values, str):
            made[name] = widgets.Text(
                value=values,
                description=label,
                continuous_update=False,
                style={"description_width": "initial"},
                layout=widgets.Layout(width="90%"),
            )
            continue
        options = [(str(value), value) for value in values]
        if not options:
            raise ValueError(f"explore(): {name} has no values to choose from")
        numbers = all(isinstance(value, (int, float)) for _, value in options)
        kind = widgets.SelectionSlider if numbers else widgets.Dropdown
        made[name] = kind(
            options=options,
            value=options[0][1],
            description=label,
            style={"description_width": "initial"},
            layout=widgets.Layout() if numbers else widgets.Layout(width="max-content"),
        )
    result = widgets.HTML()

    def refresh(_=None) -> None:
        result.value = _as_html(
            _call(function, {name: control.value for name, control in made.items()})
        )

    for control in made.values():
        control.observe(refresh, names="value")
    refresh()
    first = {name: control.value for name, control in made.items()}
    lines = [
        f"{name}: {'any text' if isinstance(values, str) else ' | '.join(map(str, values))}"
        for name, values in controls.items()
    ]
    shown = _call(function, first)
    text = shown if isinstance(shown, str) else getattr(shown, "alt", "(a figure)")
    settings = ", ".join(f"{name}={value!r}" for name, value in first.items())
    show_widget(
        widgets.VBox([*made.values(), result]), "\n".join([*lines, f"At {settings}:", text])
    )


def _call(function: Callable, values: dict):
    try:
        return function(**values)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _as_html(shown) -> str:
    if not hasattr(shown, "savefig"):
        # word-break: JupyterLab would break a long line in the middle of a word.
        return (
            "<pre style='white-space: pre-wrap; word-break: normal; overflow-wrap:"
            f" anywhere'>{html.escape(str(shown))}</pre>"
        )
    picture = io.BytesIO()
    shown.savefig(picture, format="png", dpi=100, bbox_inches="tight")
    data = base64.b64encode(picture.getvalue()).decode()
    return (
        f"<img alt='{html.escape(getattr(shown, 'alt', ''), quote=True)}'"
        f" src='data:image/png;base64,{data}'>"
    )
