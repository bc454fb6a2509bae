"""What an exercise is made of: tasks with a check each, and a quiz.

Task("ask(client, question)", "Ask a model", check_ask, hints=["…", "…", "…"])
Quiz("…", [Question("…", [Choice("…", "why it is right", right=True), Choice("…", "why not")])])
"""

import ast
import contextlib
import inspect
import string
import textwrap
import tomllib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers.exercises.running import NotYet


def read_toml(module: str) -> dict:
    """What the TOML file beside `module` (its `__file__`) holds: lesson_08.toml for lesson_08.py,
    and for lesson_08_plane.py."""
    name = "_".join(Path(module).stem.split("_")[:2])
    return tomllib.loads(Path(module).with_name(f"{name}.toml").read_text(encoding="utf-8"))


TEXTS = read_toml(__file__)
SAY, KINDS = TEXTS["say"], TEXTS["kinds"]


@dataclass(frozen=True)
class Verdict:
    """What the learner is told: what was right, or what this very mistake is about."""

    ok: bool
    message: str

    def __str__(self) -> str:
        return f"{'Right' if self.ok else 'Not yet'}: {self.message}"


def expect(condition: object, message: str, **fields: object) -> None:
    """Unless `condition` holds, end the check with `message`, its {names} filled from `fields`."""
    if not condition:
        raise NotYet(message.format(**fields) if fields else message)


@dataclass(frozen=True)
class Task:
    """A task that is solved with a function.

    call : how the function is called, e.g. "ask(client, question)".
    check : takes the learner's function, returns what was right, raises NotYet with the first thing
        that is wrong.
    hints : from a nudge to nearly the code.
    """

    call: str
    title: str
    check: Callable[[Callable], str]
    hints: list[str]

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.call.split("(")[0]

    def judge(self, function: object) -> Verdict:
        """The verdict on a function. Whatever that does, this returns (unless interrupted)."""
        name = self.name
        try:
            expect(callable(function), SAY["no_function"], name=name, what=describe(function))
            self._expect_signature(function)
            _expect_no_bare_except(function)
            return Verdict(True, self.check(function))
        except NotYet as missing:
            empty = isinstance(getattr(missing, "error", None), NotImplementedError)
            return Verdict(False, SAY["empty"].format(name=name) if empty else str(missing))
        except Exception as error:
            where, kind = traceback.extract_tb(error.__traceback__)[-1], type(error).__name__
            told = {"kind": kind, "error": error, "place": where.name, "line": where.lineno}
            return Verdict(False, SAY["broke"].format(**told))

    def _expect_signature(self, function: Callable) -> None:
        parameters = self.call.split("(")[1].split(",")
        with contextlib.suppress(ValueError):  # some built-in functions have no signature
            signature = inspect.signature(function)
            try:
                signature.bind(*parameters)
            except TypeError:
                told = SAY["signature"].format(call=self.call, signature=signature)
                raise NotYet(told) from None


@dataclass(frozen=True)
class Choice:
    text: str
    why: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    text: str
    choices: list[Choice]

    @property
    def offered(self) -> dict[str, Choice]:
        """The choices by their letters, "a" being the first."""
        return dict(zip(string.ascii_lowercase, self.choices))

    def judge(self, letter: str) -> Verdict:
        """The verdict on a choice. Raises ValueError for a letter that is not offered."""
        if not isinstance(letter, str) or letter.lower() not in self.offered:
            raise ValueError(f"choose one of {', '.join(self.offered)}, not {letter!r}")
        choice = self.offered[letter.lower()]
        return Verdict(choice.right, choice.why)


@dataclass(frozen=True)
class Quiz:
    """A task that is solved by choosing the right answer to every question."""

    title: str
    questions: list[Question]


def read_tasks(module: str, *checks: Callable) -> list[Task | Quiz]:
    """An exercise's tasks: each [[task]] of the TOML file beside `module` with its check, in the
    file's order; then the quiz."""
    text = read_toml(module)
    tasks = [
        Task(task["call"], task["title"], check, task["hints"])
        for task, check in zip(text["task"], checks, strict=True)
    ]
    questions = [
        Question(question["text"], [Choice(**choice) for choice in question["choice"]])
        for question in text["quiz"]["question"]
    ]
    return [*tasks, Quiz(text["quiz"]["title"], questions)]


def read_messages(module: str) -> dict[str, dict[str, str]]:
    """The messages of a lesson's checks: {task: {key: text}} from the tables [task.say], and under
    the name "" from [say] those that several tasks share."""
    text = read_toml(module)
    shared = {"": text.get("say", {})}
    return shared | {task["call"].split("(")[0]: task.get("say", {}) for task in text["task"]}


def read_data(module: str) -> dict:
    """What the lesson's checks let the service say and do: the table [data]."""
    return read_toml(module)["data"]


def describe(value: object) -> str:
    """What a value is, in words: "nothing (None)", "a text", "a list"."""
    kind = type(value).__name__
    return KINDS.get(kind, f"an object of type {kind}")


def _expect_no_bare_except(function: Callable) -> None:
    try:
        code = inspect.unwrap(function).__code__
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (AttributeError, OSError, TypeError, SyntaxError, ValueError):
        return  # no source to look at
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            named = node.type is not None and getattr(node.type, "id", "") != "BaseException"
            expect(named, SAY["bare_except"], line=node.lineno + code.co_firstlineno - 1)
