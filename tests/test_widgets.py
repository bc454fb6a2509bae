"""Explorers and the chat box: what a control looks like, what moving it does, and what stands there
without a widget front end."""

import asyncio

import ipywidgets as widgets
import pytest

from helpers.widgets import ChatBox, chat_box, explore


def test_numbers_make_a_slider_texts_a_menu_and_one_text_a_box(shown):
    explore(lambda size, word, own: f"{size} {word} {own}", size=[1, 2], word=["a", "b"], own="c")
    slider, menu, box, result = shown[0][0].children
    assert isinstance(slider, widgets.SelectionSlider)
    assert isinstance(menu, widgets.Dropdown)
    assert isinstance(box, widgets.Text)
    assert "1 a c" in result.value
    slider.value, menu.value, box.value = 2, "b", "<d>"
    assert "2 b &lt;d&gt;" in result.value
    # Read on Enter, not at every letter: each look may be a request.
    assert box.continuous_update is False


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


# ---- the chat box ----------------------------------------------------------------------------


class Echo:
    """A conversation that answers with the text itself, and fails when it is told to."""

    def __init__(self):
        self.messages = [{"role": "system", "content": "Be brief."}]
        self.fails = False

    def say(self, text):
        if self.fails:
            raise ConnectionError("no network")
        self.messages += [
            {"role": "user", "content": text},
            {"role": "assistant", "content": f"<b>{text}</b>"},
        ]


def test_what_is_sent_and_answered_is_shown_in_order():
    box = ChatBox(Echo())
    box.send("  Hello ")
    said = [("Instructions", "Be brief."), ("You", "Hello"), ("Model", "<b>Hello</b>")]
    assert box.lines() == said
    assert box.as_text() == "Instructions: Be brief.\nYou: Hello\nModel: <b>Hello</b>"
    assert box.draft == "" and box.problem == ""


def test_nothing_that_was_said_becomes_html():
    box = ChatBox(Echo())
    box.send("<script>alert(1)</script>")
    assert "<script>" not in box.as_html() and "&lt;script&gt;" in box.as_html()


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_line_is_not_sent(text):
    box = ChatBox(Echo(), ["suggested"])
    box.send(text)
    assert len(box.conversation.messages) == 1 and box.draft == "suggested"


def test_a_failure_is_shown_and_loses_nothing():
    box = ChatBox(Echo())
    box.conversation.fails = True
    box.send("Hello & goodbye")
    assert box.draft == "Hello & goodbye" and box.problem == "ConnectionError: no network"
    assert "role='alert'" in box.as_html() and "Problem: ConnectionError" in box.as_text()
    box.conversation.fails = False
    box.send(box.draft)
    assert box.problem == "" and box.draft == "" and "alert" not in box.as_html()


def test_suggestions_come_one_after_the_other_and_wait_for_success():
    box = ChatBox(Echo(), ["one", "two"])
    for fails, draft in ((True, "one"), (False, "two")):
        assert box.draft == "one"
        box.conversation.fails = fails
        box.send(box.draft)
        assert box.draft == draft
    box.send("something else")
    assert box.draft == ""


def test_a_message_without_content_is_shown_as_empty():
    talk = Echo()
    talk.messages.append({"role": "assistant", "content": None})
    assert ChatBox(talk).lines()[-1] == ("Model", "")


def parts(widget):
    transcript, row = widget.children
    return transcript, *row.children


def test_the_button_sends_and_the_line_is_emptied(shown):
    talk = Echo()
    chat_box(talk, "Hello")
    transcript, line, send = parts(shown[0][0])
    assert line.value == "Hello" and isinstance(send, widgets.Button)
    send.click()
    assert talk.messages[1]["content"] == "Hello"
    assert "<b>You:</b> Hello" in transcript.value
    assert line.value == ""
    assert send.description == "Send"
    assert not send.disabled


def test_enter_sends_as_the_button_does(shown):
    talk = Echo()
    chat_box(talk)
    _, line, _ = parts(shown[0][0])
    line.value = "by keyboard"
    line._handle_custom_msg({"event": "submit"}, [])  # what the front end sends on Enter
    assert talk.messages[1]["content"] == "by keyboard"


def test_the_button_can_be_used_again_after_a_failure(shown):
    talk = Echo()
    talk.fails = True
    chat_box(talk, "Hello")
    transcript, line, send = parts(shown[0][0])
    send.click()
    assert "no network" in transcript.value and line.value == "Hello" and not send.disabled


def test_without_a_widget_front_end_the_same_is_said_in_words(shown):
    chat_box(Echo(), "Hello")
    assert shown[0][1] == "Instructions: Be brief.\nYou: Hello  [Send]"
