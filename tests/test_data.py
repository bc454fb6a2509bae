"""The texts that lessons share: complete, consistent, and what their descriptions say."""

from collections import Counter

import pytest

from helpers.data import load


def test_the_faq():
    faq = load("faq")
    assert len({entry["id"] for entry in faq}) == len(faq) == 16
    assert len({entry["asked"] for entry in faq} | {entry["question"] for entry in faq}) == 32
    assert set(Counter(entry["topic"] for entry in faq).values()) == {4}
    assert all(
        entry.keys() == {"id", "topic", "question", "answer", "asked"} and all(entry.values())
        for entry in faq
    )


def test_the_messages():
    messages = load("messages")
    assert [entry["id"] for entry in messages] == list(range(1, 41))
    assert len({entry["text"] for entry in messages}) == 40
    assert Counter(entry["label"] for entry in messages) == dict.fromkeys(
        ["billing", "account", "technical support", "general"], 10
    )
    assert {entry["label"] for entry in messages} == {entry["topic"] for entry in load("faq")}
    assert {entry["sentiment"] for entry in messages} == {"negative", "neutral", "positive"}
    assert sum(bool(entry["hard"]) for entry in messages) >= 10


def test_entities_stand_in_their_texts():
    pairs = [(entry["text"], entity) for entry in load("messages") for entity in entry["entities"]]
    assert len(pairs) >= 10
    for text, entity in pairs:
        assert entity["text"] in text and entity["type"] in {"PER", "LOC", "ORG", "MISC"}


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(ValueError, match="'tickets'; there are: faq, messages"):
        load("tickets")
