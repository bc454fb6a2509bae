"""What every exercise's checks have to prove, said once; a test file lists its cases.

class TestExercise(CheckCases):
    tasks, quiz = TASKS[:4], QUIZ
    right = [(ASK, ask), …]                                 # passes, every time
    wrong = [(ASK, forgets_return, "returns nothing"), …]   # fails, with this in its message
    unruly = [*UNRULY, recursive]                           # given to every task, and breaks none
"""

import time

import httpx2
import huggingface_hub._inference_endpoints as hub

from helpers import wire
from helpers.models import models


def named(value) -> str:
    """How a case is called in a test's name."""
    text = value[:30] if isinstance(value, str) else type(value).__name__
    return getattr(value, "__name__", None) or getattr(value, "name", None) or text


def leaves(*arguments):
    raise SystemExit(3)


def patient(*arguments):
    while True:
        time.sleep(60)


# What no task asks for. Whatever a learner puts in a cell, a check answers with a sentence.
UNRULY = (
    print,
    3,
    None,
    "ask",
    lambda: 1,
    lambda *a: None,
    lambda *a: 1,
    lambda *a: (),
    lambda *a: (1, 2),
    lambda *a: (1, 2, 3),
    lambda *a: float("nan"),
    lambda *a: {},
    lambda *a: True,
    lambda *a: object(),
    lambda *a: 1 / 0,
    lambda *a: a,
    lambda *a: "",
    lambda *a: [None],
    lambda *a: iter([]),
    leaves,
    patient,
)


class CheckCases:
    tasks, right, wrong, unruly, quiz = (), (), (), UNRULY, None
    # How often each case is judged: checks draw their words and prices by lot.
    draws_right, draws_wrong = 1, 1
    # Of a question: how many choices, with how long reasons; of all: where the right one stands.
    choices, shortest_why, places = (4, 4), 41, 3

    def pytest_generate_tests(self, metafunc):
        """One test a case."""
        cases = {
            "task, function": self.right,
            "task, function, said": self.wrong,
            "task": self.tasks,
            "question": self.quiz.questions,
            "odd, task": [(odd, task) for odd in self.unruly for task in self.tasks],
        }
        code = metafunc.function.__code__
        names = code.co_varnames[1 : code.co_argcount]
        wanted = ", ".join(name for name in names if name != "capsys")
        if wanted:
            ids = [named(getattr(case, "text", case)) for case in cases[wanted]]
            metafunc.parametrize(wanted, cases[wanted], ids=named if "," in wanted else ids)

    def before(self, draw):
        """Called before each judgement; a place for a seed."""

    def left_behind(self):
        """What must be the same before and after a check."""
        kept = time.sleep, time.monotonic, hub.time, httpx2.AsyncClient.__init__
        return wire.current(), *kept, dict(models["chat"].price)

    def judge(self, task, function):
        before = self.left_behind()
        verdict = task.judge(function)
        assert self.left_behind() == before, "a check leaves nothing behind"
        return verdict

    def test_what_is_right_passes_every_time(self, task, function):
        for draw in range(self.draws_right):
            self.before(draw)
            verdict = self.judge(task, function)
            assert verdict.ok, verdict.message

    def test_each_mistake_gets_its_own_message(self, task, function, said):
        for draw in range(self.draws_wrong):
            self.before(draw)
            verdict = self.judge(task, function)
            assert not verdict.ok
            assert said in verdict.message, verdict.message
            assert len(verdict.message) > 40, "a message says what the mistake is about"
            assert "This check itself broke" not in verdict.message
            assert "fault of the course" not in verdict.message

    def test_nothing_breaks_a_check(self, odd, task, capsys):
        verdict = self.judge(task, odd)
        assert not verdict.ok and verdict.message
        if not getattr(odd, "breaks_comparison", False):
            assert "This check itself broke" not in verdict.message
        assert capsys.readouterr().out == "", "what the function prints stays out of the notebook"

    def test_a_task_has_four_mistakes_and_hints_from_a_nudge_to_nearly_the_code(self, task):
        assert sum(judged is task for judged, _, _ in self.wrong) >= 4
        assert len(task.hints) >= 3 and all(len(hint) > 40 for hint in task.hints)

    def test_every_choice_is_explained(self, question):
        assert sum(choice.right for choice in question.choices) == 1
        texts = {choice.text for choice in question.choices}
        assert len(texts) == len({choice.why for choice in question.choices})
        assert len(texts) == len(question.choices)
        assert self.choices[0] <= len(question.choices) <= self.choices[1]
        assert all(len(choice.why) >= self.shortest_why for choice in question.choices)
        for letter, choice in zip("abcd", question.choices):
            assert question.judge(letter).ok == choice.right

    def test_the_right_answers_have_no_pattern(self):
        right = lambda question: [choice.right for choice in question.choices].index(True)
        places = [right(question) for question in self.quiz.questions]
        assert len(places) >= 4 and len(set(places)) >= self.places
