"""The Replay | Practice | Live switch under the banner. The plain way is `session.mode = "practice"`."""

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
    from helpers.widgets import as_html, show_widget

    # Buttons, not ToggleButtons: those are drawn anew at each choice, and whoever came by keyboard stands nowhere.
    buttons = {
        mode: widgets.Button(tooltip=meaning, layout=widgets.Layout(width="auto"))
        for mode, meaning in MEANING.items()
    }
    said = widgets.HTML("")

    def refresh(text: str) -> None:
        for mode, button in buttons.items():
            button.description = mode.capitalize() + (" (now)" if mode == session.mode else "")
            button.button_style = "primary" if mode == session.mode else ""
        said.value = (
            text and f"<div role='status' aria-live='polite' style='line-height: 1.5'>{text}</div>"
        )

    def choose(mode: str) -> None:
        try:
            session.mode = mode
            refresh(as_html(session.banner()))
        except RuntimeError as error:
            refresh(f"<b>Not switched.</b> {as_html(str(error))}")

    for mode, button in buttons.items():
        button.on_click(lambda _button, mode=mode: choose(mode))
    refresh("")
    show_widget(
        widgets.VBox([widgets.HBox([widgets.HTML("Answers:"), *buttons.values()]), said]), TEXT
    )
