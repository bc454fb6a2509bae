"""What the checks for exercise 03 share: calling a function that tries again, and how it ended."""

from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import InferenceClient

from helpers.exercises.kit import (
    GIVEN,
    Raised,
    Spy,
    describe,
    error,
    expect,
    expect_chat_request,
    expect_given_client,
    expect_text,
    read_messages,
    spy,
)
from helpers.exercises.lessons.lesson_01 import kind_of, new_question, status_of
from helpers.models import models
from helpers.wire import Plan

BASE = 0.5  # seconds: the range of the first pause
TINY = 1e-9

SAY = read_messages(Path(__file__).with_name("lesson_03.py"))


def new_client() -> InferenceClient:
    return InferenceClient(timeout=30, headers=GIVEN)


def lost(kind=httpx2.ReadError, said: str = "[Errno 104] Connection reset by peer"):
    return lambda service, entry: Plan(0, {}, [], breaks=kind(said))


def timed_out():
    """A request that is never answered within the client's own limit."""
    return lost(httpx2.ReadTimeout, "The read operation timed out")


def told(seconds: float):
    return error(429, retry_after=seconds)


# ---- one call, and how it ended ----


@dataclass
class Run:
    service: Spy
    value: object = None
    raised: Raised | None = None

    @property
    def sent(self) -> int:
        return len(self.service.sent)

    @property
    def slept(self) -> list[float]:
        return self.service.slept


def play(function, *steps, arguments=(), limit: int = 12) -> Run:
    """Call the learner's function while the service does `steps`, then answers."""
    question = new_question()
    with spy(*steps, limit=limit) as service:
        run = Run(service)
        try:
            run.value = service.call(function, new_client(), question, *arguments)
        except Raised as raised:
            if isinstance(raised.error, (NotImplementedError, NameError, SyntaxError)):
                raise
            run.raised = raised
    if not run.raised or run.sent:
        for row in range(run.sent):
            expect_chat_request(service, question, models.chat, row=row)
        expect_given_client(service)
    expect(run.sent, SAY[""]["no_request"])
    return run


def expect_answer(run: Run, trouble: str) -> None:
    say = SAY[""]
    expect(not run.raised, say["unanswered"], trouble=trouble, raised=run.raised)
    if run.value is None:
        expect(run.service.said, say["not_sent"], trouble=trouble)
        expect(run.service.printed, say["nothing"], trouble=trouble)
    expect_text(run.value, run.service.said[-1], run.service)


def expect_original(run: Run, status: int, trouble: str) -> None:
    """The error that happened is the error that is raised."""
    say, raised = SAY[""], run.raised
    expect(raised, say["as_if"], trouble=trouble, what=describe(run.value))
    same = status_of(raised) == status
    expect(same, say["other_error"], trouble=trouble, kind=kind_of(raised))
