"""The chat box: without widgets, and with its button pressed."""

import ipywidgets
import pytest

from helpers import widgets as chat
from helpers.widgets import ChatBox, chat_box


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
    assert box.lines() == [
        ("Instructions", "Be brief."),
        ("You", "Hello"),
        ("Model", "<b>Hello</b>"),
    ]
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
    assert box.draft == "one"
    box.conversation.fails = True
    box.send(box.draft)
    assert box.draft == "one"
    box.conversation.fails = False
    box.send(box.draft)
    assert box.draft == "two"
    box.send("something else")
    assert box.draft == ""


def test_a_message_without_content_is_shown_as_empty():
    talk = Echo()
    talk.messages.append({"role": "assistant", "content": None})
    assert ChatBox(talk).lines()[-1] == ("Model", "")


@pytest.fixture
def shown(monkeypatch):
    """What chat_box() puts on the screen: [(widget, text), …]."""
    found = []
    monkeypatch.setattr(chat, "show_widget", lambda widget, text: found.append((widget, text)))
    return found


def parts(widget):
    transcript, row = widget.children
    return transcript, *row.children


def test_the_button_sends_and_the_line_is_emptied(shown):
    talk = Echo()
    chat_box(talk, "Hello")
    transcript, line, send = parts(shown[0][0])
    assert line.value == "Hello" and isinstance(send, ipywidgets.Button)
    send.click()
    assert talk.messages[1]["content"] == "Hello"
    assert (
        "<b>You:</b> Hello" in transcript.value
        and line.value == ""
        and send.description == "Send"
        and not send.disabled
    )


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
