"""The Replay | Practice | Live switch under the banner. The plain way is `session.mode = "practice"`."""

import html

TEXT = 'Who answers: Replay | Practice | Live. Without the buttons: session.mode = "practice"'


def show_switch(session) -> None:
    """Display the switch for a session; a mode that cannot be had says why, and the old one stays.

    Shows nothing where ipywidgets is not installed.
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        return
    from helpers.widgets import show_widget

    switch = widgets.ToggleButtons(
        options=[("Replay", "replay"), ("Practice", "practice"), ("Live", "live")], value=session.mode,
        description="Answers:", tooltips=["recorded answers", "small models on this machine", "the real service, your token"],
    )
    said = widgets.HTML("")

    def choose(change) -> None:
        if change["new"] == session.mode:
            return
        try:
            session.mode = change["new"]
            said.value = html.escape(session.banner())
        except RuntimeError as error:
            said.value = f"<b>Not switched.</b> {html.escape(str(error))}"
            switch.value = session.mode

    switch.observe(choose, names="value")
    show_widget(widgets.VBox([switch, said]), TEXT)
