"""Wrong answers as edits: each is made of the solution, and an edit that no longer fits says so."""

from types import SimpleNamespace

import pytest
from wrong import exercise, wrong

TEXTS = {
    "": "import math",
    "twice": "def twice(number):\n    return number + number",
    "area": "def area(radius):\n    return math.pi * twice(radius) * radius / 2",
}


def made(name, *cases, **names):
    return [(answer(3), said) for answer, said in wrong(name, list(cases), TEXTS, **names)]


def test_a_case_is_edits_or_a_body_and_what_is_said():
    cases = [
        ("number + number", "number", "once"),
        (("return", "number += 1\n    return"), ("+ number", "+ 0"), "two edits"),
        ("return number * factor", "a body"),
        """
        # `lines`
        number += 1
        return number * factor""",
    ]
    said = [(3, "once"), (4, "two edits"), (15, "a body"), (20, "`lines`")]
    assert made("twice", *cases, factor=5) == said


def test_the_stub_is_wrong_and_right_are_edits_bodies_or_whole_functions():
    task = SimpleNamespace(name="draw")
    right = [(task, "seed=seed", "seed=1"), (task, "return solved"), "def draw():\n    return own"]
    [(_, stub, said)], good = exercise("07_image_generation", [task], [[]], right, own="mine")
    assert [one for one, _ in good] == [task] * 4
    _, edited, body, whole = (answer for _, answer in good)
    assert 1 in edited.__code__.co_consts and whole() == "mine"
    assert body(*"abc").__name__ == "draw"
    with pytest.raises(NotImplementedError, match="your code here"):
        stub(*"abc")
    assert said == "still empty"


def test_an_answer_calls_the_other_functions_of_the_solution():
    assert made("area", ("return math.pi * ", "return ", "no pi")) == [(9.0, "no pi")]


@pytest.mark.parametrize(
    ("old", "times"), [("numbr", 0), ("numbers", 0), (" number", 2), ("number", 3)]
)
def test_an_edit_that_does_not_fit_exactly_once_is_an_error(old, times):
    with pytest.raises(AssertionError, match=f"twice: .* stands {times} times in the solution"):
        made("twice", (old, "", "never said"))
