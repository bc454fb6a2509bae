"""The card: what it prints, what it keeps, what its buttons do."""

import json
import subprocess
import sys

import pytest

from helpers import wire
from helpers.exercises import Card, Progress, open_exercise
from helpers.exercises.kit import Choice, NotYet, Question, Quiz, Task, Verdict, expect
from helpers.exercises.view import QuizView, TaskView
from helpers.replay import storage


def check_double(double) -> str:
    expect(double(3) != 9, "You squared it.")
    expect(double(3) == 6, "Twice 3 is 6.")
    return "twice is `2 * x`."


def right(text):
    return Choice(text, "that is it.", right=True)


HINTS = ["Think.", "Use `*`.", "`return 2 * x`"]
QUESTIONS = [
    Question("2 + 2?", [Choice("3", "One short."), right("4")]),
    Question("<b>1</b> + 1?", [right("2"), Choice("11", "That joins two texts.")]),
]
TASKS = [Task("double(x)", "Double a number", check_double, HINTS), Quiz("Numbers", QUESTIONS)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "progress.json"


def again(file, *tasks):
    """The exercise, after a restart of the kernel; or with other tasks."""
    return Card("00_numbers", list(tasks) or TASKS, Progress(file, "00_numbers"))


@pytest.fixture
def card(file):
    return again(file)


def double(x):
    return 2 * x


def square(x):
    return x * x


# ---- plain -------------------------------------------------------------------------------------


def test_a_task_prints_its_verdict(card, capsys):
    card.task(1, square)
    assert capsys.readouterr().out.splitlines() == [
        "Task 1 of 2: Double a number",
        "Not yet: You squared it.",
        "Stuck? card.hint(1) prints the next of 3 hints.",
    ]
    card.task(1, double)
    assert capsys.readouterr().out == "Task 1 of 2: Double a number\nRight: twice is `2 * x`.\n"


def test_the_text_does_not_depend_on_progress_or_hints(card, capsys):
    card.task(1, square)
    card.task(2)
    before = capsys.readouterr().out
    card.check(1, double), card.open_hint(1), card.choose(2, 1, "b")
    card.task(1, square)
    card.task(2)
    assert capsys.readouterr().out == before


def test_hints_open_one_at_a_time_and_stay_open(card, file, capsys):
    assert card.hints_open(1) == []
    card.hint(1)
    assert capsys.readouterr().out == "Hint 1 of 3: Think.\n"
    assert again(file).hints_open(1) == ["Think."]
    card.hint(1), card.hint(1)
    assert capsys.readouterr().out.splitlines() == [
        "Hint 2 of 3: Use `*`.",
        "Hint 3 of 3: `return 2 * x`",
    ]
    card.hint(1)
    assert len(capsys.readouterr().out.splitlines()) == 3, "when all are open, all are printed"


def test_a_quiz_explains_every_choice_and_is_done_when_all_are_right(card, file, capsys):
    card.answer(2, question=1, choice="a")
    assert capsys.readouterr().out == "Not yet: One short.\n"
    card.answer(2, question=1, choice="B")
    assert capsys.readouterr().out == "Right: that is it.\n"
    assert not card.done(2)
    card.answer(2, question=2, choice="a")
    assert card.done(2) and again(file).done(2) and again(file).answers(2) == {"1": "b", "2": "a"}


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda card: card.task(3), "tasks 1 to 2"),
        (lambda card: card.task("1"), "tasks 1 to 2"),
        (lambda card: card.hint(2), "task 2 is a quiz"),
        (lambda card: card.answer(1, 1, "a"), "task 1 is not a quiz"),
        (lambda card: card.answer(2, 5, "a"), "questions 1 to 2"),
        (lambda card: card.answer(2, 1, "c"), "choose one of a, b"),
        (lambda card: card.answer(2, 1, "ab"), "choose one of a, b"),
        (lambda card: card.answer(2, 1, 2), "choose one of a, b"),
    ],
)
def test_wrong_numbers_and_letters_are_named(card, call, said):
    with pytest.raises(ValueError, match=said):
        call(card)


def test_the_function_that_does_not_exist_yet(card):
    missing = "There is no function `double` yet. Run the cell that defines it, then check again."
    assert card.check(1) == Verdict(False, missing)


def test_a_signature_that_does_not_fit(card):
    assert "takes `(x, y)`" in card.check(1, lambda x, y: x).message


def test_a_broken_check_says_that_it_is_the_course_and_not_the_learner(file):
    verdict = again(file, Task("f(x)", "Break", lambda f: 1 / 0, [])).check(1, double)
    assert not verdict.ok
    assert "fault of the course" in verdict.message and "ZeroDivisionError" in verdict.message


def test_a_check_that_says_not_yet(file):
    def check(f):
        raise NotYet("No.")

    said = again(file, Task("f(x)", "No", check, [])).check(1, double)
    assert said == Verdict(False, "No.")


# ---- progress ----------------------------------------------------------------------------------


def test_progress_survives_a_restart_and_a_later_failure(card, file, capsys):
    card.check(1, double)
    card.check(1, square)
    restarted = again(file)
    restarted.progress()
    assert capsys.readouterr().out.splitlines() == [
        "00_numbers: 1 of 2 done",
        "[x] Task 1 of 2: Double a number",
        "[ ] Task 2 of 2: Numbers",
    ]


def test_a_failed_check_writes_nothing(card, file):
    card.check(1, square)
    assert not file.exists()


def test_two_exercises_share_a_file(card, file):
    other = Card("01_other", TASKS, Progress(file, "01_other"))
    card.check(1, double)
    other.open_hint(1)
    card.open_hint(1)
    assert set(json.loads(file.read_text())) == {"00_numbers", "01_other"}
    assert again(file).done(1)


ENTRIES = ["3", '{"1": []}', '{"1": {"hints": "two"}}', '{"2": {"answers": ["b"]}}']
DAMAGED = [b"", b"{", b"[]", b"3", b"\xff\xfe"]
DAMAGED += [b'{"00_numbers": %s}' % entry.encode() for entry in ENTRIES]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_told_put_aside_and_started_anew(file, content, capsys):
    file.write_bytes(content)
    card = again(file)
    assert "could not be read" in capsys.readouterr().out
    assert not card.done(1) and card.hints_open(1) == []
    assert file.with_suffix(".damaged.json").read_bytes() == content, "nothing is lost"
    card.check(1, double)
    assert again(file).done(1)


def test_an_answer_that_is_no_longer_offered_is_left_out(file):
    file.write_text('{"00_numbers": {"2": {"answers": {"1": "h", "9": "a", "2": 3}}}}')
    assert again(file).answers(2) == {}
    QuizView(again(file), 2)


def test_a_folder_that_cannot_be_written_is_told_once(card, monkeypatch, capsys):
    def full(*arguments, **others):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.tempfile, "mkstemp", full)
    assert card.check(1, double).ok and card.done(1)
    card.open_hint(1)
    out = capsys.readouterr().out
    assert out.count("cannot be kept") == 1 and "No space left" in out


def test_a_write_that_dies_leaves_the_old_file(card, file, monkeypatch):
    card.check(1, double)
    before = file.read_bytes()

    def dies(*_):
        raise OSError(5, "died half-way")

    monkeypatch.setattr(storage.os, "replace", dies)
    card.open_hint(1)
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file], "and nothing half-written beside it"


# ---- the widgets, driven as a browser would ----------------------------------------------------


def test_check_and_hint_buttons(card, file):
    card._functions[1] = square
    view = TaskView(card, 1, card.check(1))
    assert "<b>Not yet:</b> You squared it." in view.verdict.value
    card._functions[1] = double
    view.check.click()
    assert "<b>Right:</b> twice is <code>2 * x</code>." in view.verdict.value
    assert "(done)" in view.title.value
    assert view.check.description == "Check"
    for number in (1, 2, 3):
        assert view.hint.description == f"Show hint {number} of 3"
        view.hint.click()
        assert view.hints.value.count("<p") == number
    assert view.hint.description == "All hints are shown"
    view.hint.click()
    assert view.hints.value.count("<p") == 3
    restarted = TaskView(again(file), 1)
    assert restarted.hint.description == "All hints are shown", "opened hints stay open"


def test_check_looks_at_the_function_as_it_is_now(card, monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    try:
        shell.run_cell("def double(x): return x * x")
        view = TaskView(card, 1)
        view.check.click()
        assert "You squared it" in view.verdict.value
        shell.run_cell("def double(x): return x + x")
        view.check.click()
        assert "<b>Right:</b>" in view.verdict.value
    finally:
        InteractiveShell.clear_instance()


def test_quiz_buttons_and_their_plain_way_show_the_same(card, capsys):
    card._views[2] = view = QuizView(card, 2)
    buttons = [button for choices in view.choices for button in choices.values()]
    assert not any(button.button_style for button in buttons), "nothing is chosen for you"
    view.choices[0]["a"].click()
    assert view.choices[0]["a"].description == "a) 3 (your answer)"
    assert "<b>Not yet:</b> One short." in view.verdicts[0].value
    card.answer(2, question=1, choice="b")
    shown = [button.description for button in view.choices[0].values()]
    assert shown == ["a) 3", "b) 4 (your answer)"]
    assert "<b>Right:</b>" in view.verdicts[0].value
    view.choices[1]["a"].click()
    assert "(done)" in view.title.value


def test_a_button_shows_no_signs_for_code_that_it_cannot_set(file):
    which = Question("Which one?", [right("`hf auth login`"), Choice("none", "One does.")])
    view = QuizView(again(file, Quiz("Where?", [which])), 1)
    assert view.choices[0]["a"].description == "a) hf auth login"


def test_what_is_shown_is_escaped_and_announced(card):
    view = QuizView(card, 2)
    assert "&lt;b&gt;1&lt;/b&gt; + 1?" in view.widget.children[4].value
    assert "aria-live='polite'" in view.verdicts[0].value


# ---- opening -----------------------------------------------------------------------------------


def test_open_exercise_starts_a_session(file, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_PROGRESS", str(file))
    card = open_exercise("01_first_call")
    try:
        assert "Replay:" in capsys.readouterr().out and wire.current() is card.session
        assert "5 tasks" in repr(card) and len(card.tasks) == 5
    finally:
        card.session.stop()


def test_an_exercise_that_does_not_exist():
    with pytest.raises(ValueError, match="no exercise '99_nothing'"):
        open_exercise("99_nothing")


def test_exercises_cost_nothing_until_they_are_used():
    code = (
        "import sys, helpers.exercises; print(sorted({'ipywidgets',"
        " 'huggingface_hub.inference._client', 'openai', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True, timeout=300).strip() == "[]"
