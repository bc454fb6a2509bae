"""What the checks of all lessons are made of; what they say stands in kit.toml.

A check gets the learner's function, ends with the first thing that is wrong, and returns what was
right:

    def check_ask(ask) -> str:
        with spy() as service:                              # stands in for the service
            text = service.call(ask, InferenceClient(), "Why?")
        expect(len(service.sent) == 1, "You sent …")
        return "one request, and the text of its answer."

A lesson's module (`lessons/lesson_01.py`, …) makes its tasks of its checks: `TASKS =
read_tasks(__file__, check_ask, …)`.
"""

# ruff: noqa: F401
# Lessons import all they need from here.

import inspect
import random
import traceback
from collections.abc import Callable

import numpy as np

from helpers.exercises.running import NotYet, Raised, attempt
from helpers.exercises.service import Step, answer, broken, error, picture, reply, vector, words
from helpers.exercises.spy import GIVEN, Spy, spy
from helpers.exercises.tasks import (
    Choice,
    Question,
    Quiz,
    Task,
    Verdict,
    describe,
    expect,
    read_data,
    read_messages,
    read_tasks,
    read_toml,
)
from helpers.models import models

TEXTS = read_toml(__file__)
SAY, RETURNED = TEXTS["say"], TEXTS["returned"]
SUBJECTS = ["refund", "invoice", "password", "upload", "language", "profile", "backup", "discount"]


def texts_about(count: int) -> list[str]:
    """`count` different texts that nobody can know beforehand."""
    return [
        f"A question about my {random.choice(SUBJECTS)}, number {random.randrange(10**6)}."
        for _ in range(count)
    ]


def new_text() -> str:
    return texts_about(1)[0]


def new_question() -> str:
    return f"What does the word {words(1)} mean?"


def new_client(provider: str | None = None, **settings):
    """The InferenceClient that a function is given; expect_given_client() knows it again."""
    from huggingface_hub import InferenceClient  # takes a second, and no card needs it

    return InferenceClient(provider=provider, headers=GIVEN, **settings)


def expect_chat_request(
    service: Spy, question: str, model: str | None, max_tokens: int | None = None, row: int = -1
) -> None:
    """The request in that row is a chat completion which puts `question` to `model` (None: to any)
    in a user message."""
    expect(service.sent.entries, SAY["no_request"])
    sent = service.sent[row]
    expect(sent.path.endswith("/chat/completions"), SAY["no_chat"], path=sent.path)
    body = sent.json if isinstance(sent.json, dict) else {}
    messages = body.get("messages")
    expect(not isinstance(messages, str), SAY["messages_as_text"])
    listed = isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
    expect(messages and listed, SAY["no_messages"])
    roles = [message.get("role") for message in messages if question in str(message.get("content"))]
    expect(roles, SAY["no_question"])
    expect("user" in roles, SAY["role"], role=roles[0])
    expect(not service.leaked, SAY["leaked"])
    if model is not None:
        asked, known = str(body.get("model")), models.for_id(model)
        name = known.name if known else "chat"
        expect(asked.split(":")[0] == model, SAY["model"], asked=asked, name=name)
    if max_tokens is not None:
        limit = body.get("max_tokens")
        expect(limit is not None, SAY["no_limit"], wanted=max_tokens)
        expect(limit == max_tokens, SAY["limit"], limit=limit, wanted=max_tokens)


def expect_given_client(service: Spy) -> None:
    """Every request came through the client that the function was given, which the check built with
    the headers GIVEN."""
    expect(not service.strangers, SAY["own_client"])


def expect_text(value: object, text: str, service: Spy) -> None:
    """`value` is the text of the model's answer, not something around it."""
    expect(value is not None, SAY["printed" if text in service.printed else "nothing"])
    for kinds, message in RETURNED.items():
        expect(type(value).__name__ not in kinds.split(), message)
    expect(isinstance(value, str), SAY["no_text"], what=describe(value))
    expect("ChatCompletionOutput" not in value, SAY["whole_response_as_text"])
    trimmed = value != text and value.strip() == text.strip()
    expect(not trimmed, SAY["white_space"])
    expect(value == text, SAY["added" if text in value else "another"])


def error_after(step: Step, hidden: str, function: Callable, *arguments) -> Raised:
    """What the function raises where the service does `step`; `hidden` is said if it returns."""
    with spy(step) as service:
        value, raised = attempt(service.call, function, *arguments)
    expect(raised, hidden, what=describe(value))
    return raised


def expect_refusal_through(function: Callable, *arguments) -> None:
    """A refusal of the service (503) comes out of the function as the error it is."""
    raised = error_after(error(503), SAY["refusal_as_answer"], function, *arguments)
    expect(raised.status == 503, SAY["other_error"], kind=raised.kind)


def expect_unchanged(**given: tuple) -> None:
    """What the function was given is what it was: name=(a copy made before, the thing itself)."""
    for name, (before, after) in given.items():
        array = isinstance(before, np.ndarray)
        same = np.array_equal(before, after) if array else before == after
        expect(same, SAY["changed"], name=name)


def call_whole(service: Spy, function: Callable, *arguments):
    """service.call(), for a task that wants its value at once: a generator is a mistake."""
    value = service.call(function, *arguments, whole=True)
    if inspect.iscoroutine(value):
        value.close()
        raise NotYet(SAY["coroutine"])
    expect(not inspect.isgenerator(value), SAY["generator"])
    return value


def called(raised: Raised, method: str) -> bool:
    """Was the error raised inside a function of this name?"""
    frames = traceback.walk_tb(raised.error.__traceback__)
    return any(frame.f_code.co_name == method for frame, _ in frames)
