"""Each notebook from top to bottom in a browser: it runs, its pictures are there, its controls
work, everybody can use it."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser import cards, seen

ROOT = Path(__file__).resolve().parents[2]
EVERY = [
    path.relative_to(ROOT).as_posix()
    for folder in ("notebooks", "exercises", "solutions")
    for path in sorted((ROOT / folder).glob("*.ipynb"))
]
# Between them: figures, tables, a chat box, sliders, menus, a box to type in, and cards that fail
# and that pass.
SOME = [
    "notebooks/02_openai_client.ipynb",
    "notebooks/05_embeddings.ipynb",
    "solutions/06_classification_and_ner.ipynb",
]
CHOSEN = EVERY if os.environ.get("BROWSER_NOTEBOOKS") == "all" else SOME


@pytest.mark.parametrize("path", CHOSEN)
def test_a_notebook_runs_and_everybody_can_use_it(open_notebook, path):
    notebook = open_notebook(path)
    notebook.run_all()
    assert seen.errors(notebook) == []
    move_every_control(notebook)
    if not path.startswith("notebooks/"):
        cards.use_every_card(notebook)
    with notebook.unrolled():
        look(notebook, "light")
        notebook.dark()
        look(notebook, "dark")


def look(notebook, theme: str) -> None:
    """Nothing is missing, cut off or hard to read in this theme."""
    if folder := os.environ.get("BROWSER_PICTURES"):
        notebook.photograph(Path(folder), theme)
    assert seen.pictures(notebook) + seen.clipped(notebook) + seen.barriers(notebook) == []


def move_every_control(notebook) -> None:
    """Each slider one step and each menu one choice onwards, something typed into each box; what is
    shown then is no error."""
    for slider in notebook.panel.locator(".widget-slider").all():
        before = slider.locator(".widget-readout").text_content()
        slider.get_by_role("slider").focus()
        notebook.page.keyboard.press("ArrowRight")
        expect(slider.locator(".widget-readout")).not_to_have_text(before)
    for menu in notebook.panel.locator(".widget-dropdown select").all():
        before = menu.input_value()
        menu.select_option(index=1)
        assert menu.input_value() != before
    for box in notebook.panel.locator(".widget-text input").filter(visible=True).all():
        if not box.input_value():
            box.fill("Where is my invoice?")
            box.press("Enter")
    notebook.settle()
    for send in notebook.panel.get_by_role("button", name="Send", exact=True).all():
        log = notebook.panel.get_by_role("log")
        before = log.locator("p").count()
        send.click()
        expect(log.locator("p")).to_have_count(before + 2)  # what was said, and the answer
        assert "Problem:" not in log.text_content()
    for result in notebook.panel.locator(".widget-html-content > pre").all():
        text = result.text_content()
        assert text.strip() and not text.split(":")[0].endswith(("Error", "Exception")), text
