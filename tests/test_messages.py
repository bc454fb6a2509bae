"""What a lesson's TOML file holds to say is said by its checks, with every {name} filled in."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

LESSONS = Path("helpers/exercises/lessons")
NAME = re.compile(r"(?<!\{)\{([a-z_]\w*)[^{}]*\}(?!\})")  # {value.shape}, {cost:.6g}; not {{ or {}


def unsaid(text: str, source: str) -> list[str]:
    """The keys of [say] and [task.say] that the source never names, the fields it never gives."""
    toml = tomllib.loads(text)
    tables = [toml.get("say", {}), *(task.get("say", {}) for task in toml.get("task", []))]
    nodes = list(ast.walk(ast.parse(source)))
    named = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}  # statuses, too
    named |= {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }  # say[type(…).__name__]
    named |= {node.id for node in nodes if isinstance(node, ast.Name)}
    given = named | {node.arg for node in nodes if isinstance(node, ast.keyword)}
    parts = [node.values[0] for node in nodes if isinstance(node, ast.JoinedStr)]
    begun = tuple(part.value for part in parts if isinstance(part, ast.Constant) and part.value)
    keys = [key for table in tables for key in table if key not in named]
    messages = [message for table in tables for message in table.values()]
    fields = {field for message in messages for field in NAME.findall(message)}
    return [key for key in keys if not (begun and key.startswith(begun))] + sorted(fields - given)


@pytest.mark.parametrize("path", sorted(LESSONS.parent.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_message_is_said_and_filled_in(path):
    sources = sorted(path.parent.glob(f"{path.stem}*.py"))
    source = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    assert unsaid(path.read_text(encoding="utf-8"), source) == []


def test_a_message_that_nobody_says_is_seen():
    said = '[say]\nlost = "…"\nmeans_401 = "…"\n'
    text = said + '[[task]]\n[task.say]\nmany = "{sent} of {{}}, `{}`"\n'
    good = 'expect(0, say["many"], sent=2), say["lost"], say[f"means_{status}"]'
    assert unsaid(text, good) == []
    assert unsaid(text, 'expect(0, say["many"], found=2)') == ["lost", "means_401", "sent"]
