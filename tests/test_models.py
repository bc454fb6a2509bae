"""The registry of models: ids as strings, rows with their dates and sources, prices, and what
happens to a bad file."""

import datetime
import tomllib
from types import SimpleNamespace
from unittest import mock

import pytest

from helpers import models
from helpers.models import FILE, Model, Registry

ROW = """
[chat]
id = "a/b"
task = "chat-completion"
provider = "auto"
verified = 2026-01-02
against = "a page"
"""
PRICE = """
[chat.price]
input = 2.0
output = 8.0
second = 0.5
unit = "USD per million tokens"
date = 2026-01-02
source = "a page"
"""


@pytest.fixture
def registry(tmp_path):
    def make(text) -> Registry:
        file = tmp_path / "models.toml"
        file.write_text(text, encoding="utf-8")
        return Registry(file)

    return make


def test_the_courses_registry_says_where_it_has_everything_from():
    names = {row.name for row in models}
    assert {"chat", "embedding", "sentiment", "zero_shot", "ner", "image"} <= names
    today, units = datetime.date.today(), {"input", "output", "second", "megapixel"}
    for row in models:
        assert row.id.count("/") == 1 and row.task and row.provider and len(row.against) > 10
        assert datetime.date(2025, 1, 1) <= row.verified <= today
        if row.price:
            assert {"unit", "date", "source"} < set(row.price) and row.price["date"] <= today
            assert units & set(row.price)
            assert all(row.price[unit] >= 0 for unit in units & set(row.price))


def test_a_name_gives_the_id_and_brackets_give_the_row():
    assert models.chat == models["chat"].id and isinstance(models.chat, str)
    assert isinstance(models["chat"], Model) and models["chat"].name == "chat"
    assert "chat" in dir(models) and len(list(models)) == len(
        tomllib.loads(FILE.read_text(encoding="utf-8"))
    )


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"no \[chta\]; it has: .*chat"):
        _ = models.chta
    with pytest.raises(KeyError, match=r"no \[chta\]"):
        models["chta"]
    assert not hasattr(models, "_repr_html_") and not hasattr(models, "__wrapped__")


def test_a_row_cannot_be_changed_by_accident():
    with pytest.raises(AttributeError):
        models["chat"].id = "other/model"


def test_a_row_by_its_id():
    cheapest = models.for_id(models.chat + ":cheapest")
    assert models.for_id(models.chat).id == models.chat == cheapest.id
    assert models.for_id("no/such") is None and models.for_id("") is None


def test_cost(registry):
    row, picture = registry(ROW + PRICE)["chat"], models["image"]
    assert picture.cost(megapixels=0.1) == picture.cost(megapixels=1) == picture.price["megapixel"]
    assert picture.cost(megapixels=1.1) == 2 * picture.price["megapixel"]
    assert row.cost(1_000_000, 0) == 2.0 and row.cost(0, 500_000) == 4.0
    assert row.cost(seconds=3) == 1.5 and row.cost() == 0
    with pytest.raises(ValueError, match="knows no price for a/b"):
        registry(ROW)["chat"].cost(1, 1)


@pytest.mark.parametrize(
    "text, says",
    [
        (ROW.replace('task = "chat-completion"\n', ""), r"\[chat\] lacks task"),
        (ROW + "prize = 1\n", r"\[chat\] has prize, which"),
        (ROW.replace("2026-01-02", '"yesterday"'), r"\[chat\].*verified"),
        ("chat = 1\n", r"chat.*not a table"),
        (ROW + "[chat\n", "line"),
    ],
)
def test_a_bad_file_is_told_with_its_place(registry, text, says):
    with pytest.raises(ValueError, match=says) as error:
        registry(text)
    assert "models.toml" in str(error.value)


def test_who_serves_it_is_asked_with_one_look_up(monkeypatch):
    entries = [("groq", "live"), ("novita", "error")]
    mapping = [SimpleNamespace(provider=name, status=status) for name, status in entries]
    answer = SimpleNamespace(inference_provider_mapping=mapping)
    look_up = mock.Mock(return_value=answer)
    monkeypatch.setattr("huggingface_hub.model_info", look_up)
    assert models.still_served("chat") == dict(entries)
    look_up.assert_called_once_with(models.chat, expand="inferenceProviderMapping")
    answer.inference_provider_mapping = None
    assert models.still_served("chat") == {}
