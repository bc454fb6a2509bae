"""What the checks of all lessons are made of. One module a lesson (`lesson_01`, …) holds its list
`TASKS`.

A task that checks code:

    def check_ask(ask) -> str:                              # gets the learner's function
        with spy() as service:                              # stands in for the service
            text = service.call(ask, InferenceClient(), "Why?")
        expect(len(service.sent) == 1, "You sent …")        # what is wrong first ends the check
        return "one request, and the text of its answer."   # what was right

    Task("ask(client, question)", "Ask a model", check_ask, hints=["…", "…", "…"])

A quiz: `Quiz("…", [Question("…", [Choice("…", "why it is right", right=True), Choice("…", "why it
is not")])])`.
"""

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
)
from helpers.models import models

__all__ = [
    "GIVEN",
    "Choice",
    "NotYet",
    "Question",
    "Quiz",
    "Raised",
    "Spy",
    "Task",
    "Verdict",
    "answer",
    "attempt",
    "broken",
    "call_whole",
    "called",
    "describe",
    "error",
    "error_after",
    "expect",
    "expect_chat_request",
    "expect_given_client",
    "expect_refusal_through",
    "expect_text",
    "expect_unchanged",
    "new_client",
    "new_question",
    "new_text",
    "picture",
    "read_data",
    "read_messages",
    "read_tasks",
    "reply",
    "spy",
    "texts_about",
    "vector",
    "words",
]


# ---- what several checks look at ---------------------------------------------------------------


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
    expect(
        service.sent.entries,
        "No request was sent: your function made its answer up without asking a model. Call"
        " `client.chat_completion(…)`.",
    )
    sent = service.sent[row]
    expect(
        sent.path.endswith("/chat/completions"),
        f"The request went to `{sent.path}`, which is not chat. Use `client.chat_completion(…)`.",
    )
    body = sent.json if isinstance(sent.json, dict) else {}
    messages = body.get("messages")
    expect(
        not isinstance(messages, str),
        "You sent `messages` as a plain text. The client lets that through, the service refuses it:"
        ' it wants a list of messages, `[{"role": "user", "content": question}]`.',
    )
    expect(
        isinstance(messages, list)
        and messages
        and all(isinstance(message, dict) for message in messages),
        'The request has no list of messages. It looks like this: `[{"role": "user", "content":'
        " question}]`.",
    )
    holders = [message for message in messages if question in str(message.get("content"))]
    expect(
        holders,
        "The question is not in the request. The model sees nothing but `messages`: put `question`"
        " into a message's `content`.",
    )
    expect(
        any(message.get("role") == "user" for message in holders),
        f"The question was sent in the role `{holders[0].get('role')}`. What a person asks has the"
        " role `user`; `system` is for how to answer, `assistant` for what the model said before.",
    )
    expect(
        not service.leaked,
        "Your token is in the body of the request, where the model reads it and others may log it. "
        "The client sends it in a header by itself: take it out.",
    )
    asked = str(body.get("model"))
    name = next((row.name for row in models if row.id == model), "chat")
    expect(
        asked.split(":")[0] == model or model is None,
        f"You asked `{asked}`. Take the model's id from the registry, `models.{name}`: it is kept"
        " up to date there.",
    )
    if max_tokens is not None:
        expect(
            body.get("max_tokens") is not None,
            "The request has no `max_tokens`: the model may write as long as it likes, and you pay"
            f" for every token. Pass `max_tokens={max_tokens}`.",
        )
        expect(
            body.get("max_tokens") == max_tokens,
            f"`max_tokens` was {body.get('max_tokens')!r}; this task asks for {max_tokens}.",
        )


def expect_given_client(service: Spy) -> None:
    """Every request came through the client that the function was given, which the check built with
    the headers GIVEN."""
    expect(
        not service.strangers,
        "Your function built a client of its own and sent the request through that. Use the"
        " `client` that it is given: whoever calls it has chosen its token, its time limit and its"
        " provider.",
    )


def expect_text(value: object, text: str, service: Spy) -> None:
    """`value` is the text of the model's answer, not something around it."""
    if value is None:
        expect(
            text not in service.printed,
            "Your function prints the answer and returns nothing. Whoever calls it gets None: use"
            " `return` instead of `print`.",
        )
        raise NotYet("Your function returns nothing (None). Did you forget `return`?")
    kind = type(value).__name__
    expect(
        kind not in ("ChatCompletionOutput", "ChatCompletion"),
        "You returned the whole response object. The text is inside it:"
        " `response.choices[0].message.content`.",
    )
    expect(
        kind not in ("ChatCompletionOutputComplete", "Choice"),
        "You returned the choice. One step further in is the message, and in it the text:"
        " `.message.content`.",
    )
    expect(
        kind not in ("ChatCompletionOutputMessage", "ChatCompletionMessage"),
        "You returned the message object: role and text together. The text alone is its"
        " `.content`.",
    )
    expect(
        kind not in ("Stream", "generator"),
        "You returned a stream, which still has to be read. This task wants the whole text at once:"
        " leave out `stream=True`.",
    )
    expect(
        isinstance(value, str),
        f"You returned {describe(value)}; the task asks for the text of the answer, a `str`.",
    )
    expect(
        "ChatCompletionOutput" not in value,
        "You turned the response object into a text with `str(…)` or an f-string. Take the text out"
        " of it: `response.choices[0].message.content`.",
    )
    if value != text:
        expect(
            value.strip() != text.strip(),
            "You changed the white space around the answer. Return it as it came.",
        )
        expect(
            text not in value,
            "The answer is in what you returned, but with something added. Return the model's text"
            " alone.",
        )
        raise NotYet(
            "What you returned is not what the model answered this time. Return"
            " `response.choices[0].message.content` of this very call."
        )


def error_after(step: Step, hidden: str, function: Callable, *arguments) -> Raised:
    """What the function raises where the service does `step`; `hidden` is said if it returns."""
    with spy(step) as service:
        value, raised = attempt(service.call, function, *arguments)
    expect(raised, hidden, what=describe(value))
    return raised


def expect_refusal_through(function: Callable, *arguments) -> None:
    """A refusal of the service (503) comes out of the function as the error it is."""
    hidden = (
        "The service refused the request with 503, and your function returned {what} as if it had"
        " an answer. Let the error through: whoever calls it decides what to do (lesson 03)."
    )
    raised = error_after(error(503), hidden, function, *arguments)
    expect(
        raised.status == 503,
        f"The service refused the request with 503, and your function raised {raised.kind}"
        " instead. Let the error through as it is.",
    )


def expect_unchanged(**given: tuple) -> None:
    """What the function was given is what it was: name=(a copy made before, the thing itself)."""
    for name, (before, after) in given.items():
        expect(
            np.array_equal(before, after) if isinstance(before, np.ndarray) else before == after,
            f"Your function changed `{name}`, which belongs to the caller, who may still need it."
            " Work on a copy.",
        )


def call_whole(service: Spy, function: Callable, *arguments):
    """service.call(), for a task that wants its value at once: a generator is a mistake."""
    value = service.call(function, *arguments, whole=True)
    if inspect.iscoroutine(value):
        value.close()
        raise NotYet(
            "Your function is an `async def`: calling it gives a coroutine, and nothing is sent"
            " before somebody awaits it. This task asks for a plain `def`."
        )
    expect(
        not inspect.isgenerator(value),
        "You returned a generator, of which nothing has been computed yet. Collect the values, and"
        " return them together.",
    )
    return value


def called(raised: Raised, method: str) -> bool:
    """Was the error raised inside a function of this name?"""
    frames = traceback.walk_tb(raised.error.__traceback__)
    return any(frame.f_code.co_name == method for frame, _ in frames)
