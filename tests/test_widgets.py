"""Explorers: what a control looks like, what moving it does, and what stands there without a widget
front end."""

import asyncio

import ipywidgets as widgets
import pytest

from helpers.widgets import explore


@pytest.fixture
def shown(monkeypatch):
    """What explore() displays: (the widget, its text)."""
    kept = []
    monkeypatch.setattr(
        "helpers.widgets.show_widget", lambda widget, text: kept.append((widget, text))
    )
    return kept


def test_numbers_make_a_slider_texts_a_menu_and_one_text_a_box(shown):
    explore(lambda size, word, own: f"{size} {word} {own}", size=[1, 2], word=["a", "b"], own="c")
    slider, menu, box, result = shown[0][0].children
    assert (
        isinstance(slider, widgets.SelectionSlider)
        and isinstance(menu, widgets.Dropdown)
        and isinstance(box, widgets.Text)
    )
    assert "1 a c" in result.value
    slider.value, menu.value, box.value = 2, "b", "<d>"
    assert "2 b &lt;d&gt;" in result.value
    assert (
        box.continuous_update is False
    )  # read on Enter, not at every letter: each look may be a request


def test_the_text_beside_it_says_the_same(shown):
    explore(lambda size, own: f"{size}{own}", size=[1, 2], own="")
    assert shown[0][1].splitlines() == ["size: 1 | 2", "own: any text", "At size=1, own='':", "1"]


def test_a_mistake_is_shown_in_its_place(shown):
    explore(lambda x: str(1 / x), x=[1, 0])
    slider, result = shown[0][0].children
    slider.value = 0
    assert "ZeroDivisionError: division by zero" in result.value
    slider.value = 1
    assert "1.0" in result.value


def test_a_control_without_values_is_refused():
    with pytest.raises(ValueError, match="x has no values"):
        explore(lambda x: "", x=[])


def test_an_async_function_is_awaited_and_the_last_move_counts(shown):
    ended = []

    async def slowly(x):
        await asyncio.sleep(0.01 * x)
        ended.append(x)
        return str(6 / (3 - x))

    async def notebook():
        await explore(slowly, x=[1, 2, 3])
        slider, result = shown[0][0].children
        assert "3.0" in result.value
        slider.value = 2
        await asyncio.sleep(0)
        slider.value = 3
        while 3 not in ended:
            await asyncio.sleep(0.01)
        assert "ZeroDivisionError" in result.value
        slider.value = 2
        while 2 not in ended:
            await asyncio.sleep(0.01)
        assert "6.0" in result.value

    asyncio.run(notebook())
    assert ended == [1, 3, 2]
    assert shown[0][1].splitlines() == ["x: 1 | 2 | 3", "At x=1:", "3.0"]
