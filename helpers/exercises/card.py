"""The exercise card: task, Check, hints one at a time, verdict, quiz, progress.

    card = open_exercise("01_first_call")    the first cell; also calls start()
    card.task(1, ask)                        shows task 1 with the verdict on your function
    card.hint(1)                             prints the next hint
    card.answer(5, question=1, choice="b")   answers a quiz question
    card.progress()                          prints what is done

Everything the buttons do can be typed. Progress is kept in progress.json beside the notebook.
"""

import importlib.util
import sys
from collections.abc import Callable
from datetime import date

from helpers.exercises.progress import Progress, progress_file
from helpers.exercises.tasks import Quiz, Task, Verdict
from helpers.session import start
from helpers.widgets import show_widget


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


class Card:
    """What open_exercise() returns. Numbers of tasks, questions and hints begin with 1.

    `session` is the session that start() returned, with its log and its mode.
    """

    def __init__(self, name: str, tasks: list[Task | Quiz], progress: Progress, session=None):
        self.name, self.tasks, self.session = name, tasks, session
        self._progress = progress
        self._functions: dict[int, Callable] = {}  # as they were passed last
        self._views: dict[int, object] = {}

    # ---- what the cells call ----

    def task(self, number: int, function: Callable | None = None) -> None:
        """Show a task and its verdict. Check takes the function of that name as it is by then."""
        task, verdict = self._task(number), None
        if isinstance(task, Quiz):
            text = _questions(task, number)
        else:
            self._functions[number] = function
            verdict = self.check(number, function)
            text = str(verdict)
            if not verdict.ok:
                hints = len(task.hints)
                text += f"\nStuck? card.hint({number}) prints the next of {hints} hints."
        self._show(number, verdict, f"{self.title(number)}\n{text}")

    def check(self, number: int, function: Callable | None = None) -> Verdict:
        """The verdict on a function (by default: the one with the task's name in the notebook).
        Passing is kept in the progress."""
        task = self._task(number, Task)
        function = self._current(number) if function is None else function
        if function is None:
            missing = f"There is no function `{task.name}` yet. Run the cell that defines it, then"
            return Verdict(False, f"{missing} check again.")
        verdict = task.judge(function)
        if verdict.ok:
            self._keep_done(number)
        return verdict

    def hint(self, number: int) -> None:
        """Print the next hint of a task; when all are open, print them all."""
        was, count = len(self.hints_open(number)), len(self._task(number, Task).hints)
        first = 0 if was == count else was
        for i, hint in enumerate(self.open_hint(number)[first:], first + 1):
            print(f"Hint {i} of {count}: {hint}")
        self._refresh(number)

    def answer(self, number: int, question: int, choice: str) -> None:
        """Choose an answer of a quiz by its letter, and print why it is right, or why it is not."""
        print(self.choose(number, question, choice))
        self._refresh(number)

    def progress(self) -> None:
        """Print which tasks are done."""
        numbers = range(1, len(self.tasks) + 1)
        print(f"{self.name}: {sum(map(self.done, numbers))} of {len(self.tasks)} done")
        for number in numbers:
            print(f"[{'x' if self.done(number) else ' '}] {self.title(number)}")

    # ---- the same without printing, for the widgets ----

    def title(self, number: int) -> str:
        return f"Task {number} of {len(self.tasks)}: {self._task(number).title}"

    def done(self, number: int) -> bool:
        return "done" in self._progress.of(number)

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
        answers = self.answers(number) | {str(question): choice.lower()}
        self._progress.note(number, answers=answers)
        given = [(asked, answers.get(str(i))) for i, asked in enumerate(questions, 1)]
        if all(letter and asked.judge(letter).ok for asked, letter in given):
            self._keep_done(number)
        return verdict

    def answers(self, number: int) -> dict[str, str]:
        """The letters chosen so far: {"1": "b", …}, without those that are no longer offered."""
        kept = self._progress.of(number).get("answers", {})
        return {
            str(i): kept[str(i)]
            for i, question in enumerate(self._task(number, Quiz).questions, 1)
            if kept.get(str(i)) in list(question.offered)
        }

    def __repr__(self) -> str:
        calls = "card.task(1, …), card.hint(1), card.progress()"
        return f"<the card of exercise {self.name}, {len(self.tasks)} tasks: {calls}>"

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
        """The function as the notebook defines it now; elsewhere, the one that was passed last."""
        shell, passed = _shell(), self._functions.get(number)
        return shell.user_ns.get(self.tasks[number - 1].name, passed) if shell else passed

    def _keep_done(self, number: int) -> None:
        """Keep the day on which a task was done first."""
        if not self.done(number):
            self._progress.note(number, done=date.today().isoformat())

    def _show(self, number: int, verdict: Verdict | None, text: str) -> None:
        """In a notebook: the widget, with the text for front ends that have none. Elsewhere: print
        the text."""
        if _shell() is None or importlib.util.find_spec("ipywidgets") is None:
            print(text)
            return
        from helpers.exercises.view import QuizView, TaskView

        view = QuizView(self, number) if verdict is None else TaskView(self, number, verdict)
        self._views[number] = view
        show_widget(view.widget, text)

    def _refresh(self, number: int) -> None:
        if number in self._views:
            self._views[number].refresh()


def _questions(quiz: Quiz, number: int) -> str:
    """A quiz as text."""
    lines = []
    for i, question in enumerate(quiz.questions, 1):
        lines.append(f"{i}. {question.text}")
        lines += [f"   {letter}) {choice.text}" for letter, choice in question.offered.items()]
    return "\n".join([*lines, f'To answer: card.answer({number}, question=1, choice="a")'])


def _shell():
    """The notebook's IPython, or None."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
