"""The exercise card: task, Check, hints one at a time, verdict, quiz, progress.

    card = open_exercise("01_first_call")    the first cell; also calls start(), so that you can try things out
    card.task(1, ask)                        shows task 1 with the verdict on your function as it is now
    card.hint(1)                             prints the next hint
    card.answer(5, question=1, choice="b")   answers a quiz question
    card.progress()                          prints what is done

Everything the buttons do can be typed. Progress is kept in progress.json beside the notebook.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from helpers.exercises.kit import Quiz, Task, Verdict
from helpers.session import start


def open_exercise(name: str) -> "Card":
    """The card of an exercise, e.g. "01_first_call". Prints the session's banner first.

    Raises ValueError if there is no such exercise.
    """
    module = f"helpers.exercises.lessons.lesson_{name[:2]}"
    try:
        tasks = importlib.import_module(module).TASKS
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"there is no exercise {name!r}: {module} does not exist") from None
    session = start(name)
    return Card(name, tasks, Progress(progress_file(), name), session)


def progress_file() -> Path:
    """Where progress is kept: the path in COURSE_PROGRESS, else progress.json in the current
    folder, the notebook's."""
    return Path(os.environ.get("COURSE_PROGRESS") or "progress.json")


class Progress:
    """What a learner has done in one exercise: {"1": {"done": "2026-11-23", "hints": 2}, "5":
    {"answers": {"1": "b"}}}.

    The file holds all exercises of a folder. It is written whole or not at all; one that cannot be
    read is put aside under another name, and one that cannot be written costs nothing but the
    memory of what was done.
    """

    def __init__(self, path: Path, exercise: str):
        self.path, self.exercise = Path(path), exercise
        self._told = False
        self.tasks: dict[str, dict] = self._read().get(exercise, {})

    def of(self, number: int) -> dict:
        """The notes on one task: "done" (the day), "hints" (how many were opened), "answers"
        ({question: letter})."""
        return self.tasks.get(str(number), {})

    def note(self, number: int, **facts) -> None:
        """Add facts about one task and write the file, if that changes anything."""
        new = {**self.of(number), **facts}
        if new != self.of(number):
            self.tasks[str(number)] = new
            self._write()

    def _read(self) -> dict:
        try:
            everything = json.loads(self.path.read_text(encoding="utf-8"))
            _expect_progress(everything)
            return everything
        except FileNotFoundError:
            return {}
        except (ValueError, OSError) as error:
            aside = self.path.with_suffix(".damaged.json")
            try:
                os.replace(self.path, aside)
                kept = f"It is kept as {aside.name}; y"
            except OSError:
                kept = "Y"
            print(
                f"Your progress in {self.path.name} could not be read ({error}). {kept}our progress"
                " starts anew."
            )
            return {}

    def _write(self) -> None:
        try:
            everything = self._read() | {
                self.exercise: self.tasks
            }  # another notebook may have written since
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(
                dir=self.path.parent, prefix=self.path.name, suffix=".part"
            )
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(everything, file, indent=1, sort_keys=True)
            os.replace(temporary, self.path)
        except OSError as error:
            if not self._told:
                print(
                    f"Your progress cannot be kept in {self.path.name} ({error.strerror or error})."
                    " Everything else works."
                )
            self._told = True


def _expect_progress(everything: object) -> None:
    """Raises ValueError unless this has the shape of a progress file."""
    if not isinstance(everything, dict):
        raise ValueError("it is not a JSON object")
    for exercise, tasks in everything.items():
        if not isinstance(tasks, dict) or not all(
            isinstance(facts, dict) for facts in tasks.values()
        ):
            raise ValueError(f"the entry {exercise!r} is damaged")
        for facts in tasks.values():
            if not isinstance(facts.get("hints", 0), int) or not isinstance(
                facts.get("answers", {}), dict
            ):
                raise ValueError(f"the entry {exercise!r} is damaged")


class Card:
    """What open_exercise() returns. Numbers of tasks, questions and hints begin with 1.

    `session` is the session that start() returned, with its log and its mode.
    """

    def __init__(self, name: str, tasks: list[Task | Quiz], progress: Progress, session=None):
        self.name, self.tasks, self.session = name, tasks, session
        self._progress = progress
        self._functions: dict[int, Callable] = {}
        self._views: dict[int, object] = {}

    # ---- what the cells call ----

    def task(self, number: int, function: Callable | None = None) -> None:
        """Show a task with its verdict. Check looks again at the function of that name, as it is
        defined by then."""
        task = self._task(number)
        if isinstance(task, Task):
            self._functions[number] = function
            verdict = self.check(number, function)
            text = f"{self.title(number)}\n{verdict}" + (
                "" if verdict.ok else f"\n{self._how_to_get_hints(number)}"
            )
        else:
            verdict = None
            text = f"{self.title(number)}\n{self._questions(number)}"
        _show(text, lambda: self._view(number, verdict))

    def check(self, number: int, function: Callable | None = None) -> Verdict:
        """The verdict on a function (by default: the one with the task's name in the notebook).
        Passing is kept in the progress."""
        task = self._task(number, Task)
        function = self._current(number) if function is None else function
        if function is None:
            return Verdict(
                False,
                f"There is no function `{task.name}` yet. Run the cell that defines it, then check"
                " again.",
            )
        verdict = task.judge(function)
        if verdict.ok and "done" not in self._progress.of(number):
            self._progress.note(number, done=date.today().isoformat())
        return verdict

    def hint(self, number: int) -> None:
        """Print the next hint of a task; when all are open, print them all."""
        hints, was = self._task(number, Task).hints, len(self.hints_open(number))
        opened = self.open_hint(number)
        first = 0 if was == len(hints) else was
        for i in range(first, len(opened)):
            print(f"Hint {i + 1} of {len(hints)}: {opened[i]}")
        self._refresh(number)

    def answer(self, number: int, question: int, choice: str) -> None:
        """Choose an answer of a quiz and print why it is right, or why it is not. `choice` is its
        letter."""
        print(self.choose(number, question, choice))
        self._refresh(number)

    def progress(self) -> None:
        """Print which tasks are done."""
        print(self.progress_text())

    # ---- the same without printing, for the widgets and the tests ----

    def title(self, number: int) -> str:
        return f"Task {number} of {len(self.tasks)}: {self._task(number).title}"

    def hints_open(self, number: int) -> list[str]:
        """The hints that have been opened so far."""
        return self._task(number, Task).hints[: self._progress.of(number).get("hints", 0)]

    def open_hint(self, number: int) -> list[str]:
        """Open one more hint, if there is one; returns all that are open now."""
        hints = self._task(number, Task).hints
        self._progress.note(number, hints=min(len(self.hints_open(number)) + 1, len(hints)))
        return self.hints_open(number)

    def choose(self, number: int, question: int, choice: str) -> Verdict:
        """Answer one question. The quiz is done when every question has its right answer."""
        questions = self._task(number, Quiz).questions
        if not isinstance(question, int) or not 1 <= question <= len(questions):
            raise ValueError(f"the quiz has the questions 1 to {len(questions)}, no {question!r}")
        verdict = questions[question - 1].judge(choice)
        self._progress.note(number, answers=self.answers(number) | {str(question): choice.lower()})
        if "done" not in self._progress.of(number) and len(self._right(number)) == len(questions):
            self._progress.note(number, done=date.today().isoformat())
        return verdict

    def answers(self, number: int) -> dict[str, str]:
        """The letters chosen so far: {"1": "b", …}. Letters that a question does not offer any more
        are left out."""
        questions, kept = (
            self._task(number, Quiz).questions,
            self._progress.of(number).get("answers", {}),
        )
        offered = {
            str(i): "abcdefgh"[: len(question.choices)] for i, question in enumerate(questions, 1)
        }
        return {
            i: letter
            for i, letter in kept.items()
            if isinstance(letter, str) and len(letter) == 1 and letter in offered.get(i, "")
        }

    def done(self, number: int) -> bool:
        return "done" in self._progress.of(number)

    def progress_text(self) -> str:
        numbers = range(1, len(self.tasks) + 1)
        lines = [f"[{'x' if self.done(i) else ' '}] {self.title(i)}" for i in numbers]
        return "\n".join(
            [f"{self.name}: {sum(map(self.done, numbers))} of {len(self.tasks)} done", *lines]
        )

    def __repr__(self) -> str:
        return (
            f"<the card of exercise {self.name}, {len(self.tasks)} tasks: card.task(1, …),"
            " card.hint(1), card.progress()>"
        )

    # ---- inside ----

    def _task(self, number: int, kind: type = object):
        if not isinstance(number, int) or not 1 <= number <= len(self.tasks):
            raise ValueError(f"this exercise has the tasks 1 to {len(self.tasks)}, no {number!r}")
        task = self.tasks[number - 1]
        if not isinstance(task, kind):
            raise ValueError(
                f'task {number} is a quiz: use card.answer({number}, question=1, choice="a")'
                if isinstance(task, Quiz)
                else f"task {number} is not a quiz: use card.task({number}, {task.name})"
            )
        return task

    def _current(self, number: int) -> Callable | None:
        """The function as the notebook defines it now; outside a notebook, the one that was passed
        last."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        name = self.tasks[number - 1].name
        return (
            shell.user_ns[name]
            if shell is not None and name in shell.user_ns
            else self._functions.get(number)
        )

    def _right(self, number: int) -> list[str]:
        questions = self.tasks[number - 1].questions
        return [
            i
            for i, letter in self.answers(number).items()
            if questions[int(i) - 1].judge(letter).ok
        ]

    def _how_to_get_hints(self, number: int) -> str:
        return (
            f"Stuck? card.hint({number}) prints the next of {len(self.tasks[number - 1].hints)}"
            " hints."
        )

    def _questions(self, number: int) -> str:
        lines = []
        for i, question in enumerate(self.tasks[number - 1].questions, 1):
            lines += [
                f"{i}. {question.text}",
                *(
                    f"   {letter}) {choice.text}"
                    for letter, choice in zip("abcdefgh", question.choices)
                ),
            ]
        return "\n".join([*lines, f'To answer: card.answer({number}, question=1, choice="a")'])

    def _view(self, number: int, verdict: Verdict | None):
        from helpers.exercises.view import QuizView, TaskView

        self._views[number] = (
            QuizView(self, number) if verdict is None else TaskView(self, number, verdict)
        )
        return self._views[number].widget

    def _refresh(self, number: int) -> None:
        if number in self._views:
            self._views[number].refresh()


def _show(text: str, make_widget: Callable) -> None:
    """In a notebook: the widget, with the text for front ends that have none. Elsewhere: print the
    text."""
    if "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None:
        print(text)
        return
    from IPython.display import display

    data = {"text/plain": text}
    try:
        widget = make_widget()
        data["application/vnd.jupyter.widget-view+json"] = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": widget.model_id,
        }
    except ImportError:  # no ipywidgets here: the text says it all
        pass
    display(data, raw=True)
