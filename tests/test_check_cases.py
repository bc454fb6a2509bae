"""The tests that every exercise shares fail where they should."""

from types import SimpleNamespace

import pytest
from check_cases import UNRULY, CheckCases, named

LONG = "This sentence says in more than forty letters what the mistake is."


def judged(ok, message, hints=("x" * 41,) * 3):
    verdict = SimpleNamespace(ok=ok, message=message)
    return SimpleNamespace(judge=lambda function: verdict, hints=hints)


class Cases(CheckCases):
    __test__ = False


def question(rights=(True, False, False, False), why=LONG, judges=None):
    made = lambda i, right: SimpleNamespace(text=f"choice {i}", why=f"{why} {i}", right=right)
    judge = lambda letter: SimpleNamespace(ok=(judges or rights)["abcd".index(letter)])
    return SimpleNamespace(choices=[made(*one) for one in enumerate(rights)], judge=judge)


@pytest.mark.parametrize(
    "task",
    [
        judged(True, LONG),
        judged(False, LONG),
        judged(False, "short: part"),
        judged(False, LONG + " part. This check itself broke"),
    ],
)
def test_a_mistake_needs_its_own_message(task):
    with pytest.raises(AssertionError):
        Cases().test_each_mistake_gets_its_own_message(task, print, "part")
    Cases().test_each_mistake_gets_its_own_message(judged(False, LONG + " part"), print, "part")


def test_what_is_right_must_pass():
    with pytest.raises(AssertionError):
        Cases().test_what_is_right_passes_every_time(judged(False, LONG), print)


def test_an_odd_function_must_not_pass_nor_print_nor_leave_anything(capsys):
    class Leaves(Cases):
        count = 0

        def left_behind(self):
            self.count += 1
            return self.count

    def prints(function):
        print("hello")
        return SimpleNamespace(ok=False, message=LONG)

    for cases, task in (
        (Cases(), judged(True, LONG)),
        (Cases(), judged(False, "")),
        (Cases(), judged(False, "This check itself broke")),
        (Leaves(), judged(False, LONG)),
        (Cases(), SimpleNamespace(judge=prints)),
    ):
        with pytest.raises(AssertionError):
            cases.test_nothing_breaks_a_check(3, task, capsys)
    Cases().test_nothing_breaks_a_check(3, judged(False, LONG), capsys)


@pytest.mark.parametrize(
    "poor",
    [
        question((True, True, False, False)),
        question((True, False)),
        question(why="short"),
        question(judges=(False, True, False, False)),
    ],
)
def test_a_question_needs_one_right_choice_and_reasons(poor):
    with pytest.raises(AssertionError):
        Cases().test_every_choice_is_explained(poor)
    Cases().test_every_choice_is_explained(question())


def test_a_task_needs_mistakes_and_hints_and_a_quiz_no_pattern():
    cases, task = Cases(), judged(False, LONG)
    cases.wrong = [(task, print, "part")] * 4
    cases.test_a_task_has_four_mistakes_and_hints_from_a_nudge_to_nearly_the_code(task)
    for poor in (judged(False, LONG), judged(False, LONG, hints=("x",) * 3)):
        with pytest.raises(AssertionError):
            cases.test_a_task_has_four_mistakes_and_hints_from_a_nudge_to_nearly_the_code(poor)
    cases.quiz = SimpleNamespace(questions=[question()] * 4)
    with pytest.raises(AssertionError):
        cases.test_the_right_answers_have_no_pattern()


def test_cases_have_names():
    values = (print, "a long text that goes on and on and on", 3)
    assert [named(one) for one in values] == ["print", "a long text that goes on and o", "int"]
    assert len(UNRULY) > 15
