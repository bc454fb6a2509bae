"""What the checks for exercise 03 share: calling a function that tries again, and how it ended."""

from dataclasses import dataclass

import httpx2

from helpers.exercises import kit
from helpers.exercises.kit import Raised, Spy, describe, error, expect, spy
from helpers.models import models

BASE = 0.5  # seconds: the range of the first pause
TINY = 1e-9
LOST = kit.broken(httpx2.ReadError, "[Errno 104] Connection reset by peer")
LATE = kit.broken(httpx2.ReadTimeout, "The read operation timed out")  # the client's own limit

SAY = kit.read_messages(__file__)


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
    def requests(self) -> str:
        return f"{self.sent} request{'s' * (self.sent != 1)}"

    @property
    def slept(self) -> list[float]:
        return self.service.slept


def play(function, *steps, arguments=(), limit: int = 12) -> Run:
    """Call the learner's function while the service does `steps`, then answers."""
    question = kit.new_question()
    with spy(*steps, limit=limit) as service:
        run = Run(service)
        asked = kit.new_client(timeout=30), question, *arguments
        run.value, run.raised = kit.attempt(service.call, function, *asked)
    if run.raised and isinstance(run.raised.error, (NotImplementedError, NameError, SyntaxError)):
        raise run.raised
    if not run.raised or run.sent:
        for row in range(run.sent):
            kit.expect_chat_request(service, question, models.chat, row=row)
        kit.expect_given_client(service)
    expect(run.sent, SAY[""]["no_request"])
    return run


def expect_answer(run: Run, trouble: str) -> None:
    say = SAY[""]
    expect(not run.raised, say["unanswered"], trouble=trouble, raised=run.raised)
    if run.value is None:
        expect(run.service.said, say["not_sent"], trouble=trouble)
        expect(run.service.printed, say["nothing"], trouble=trouble)
    kit.expect_text(run.value, run.service.said[-1], run.service)


def expect_original(run: Run, status: int, trouble: str) -> None:
    """The error that happened is the error that is raised."""
    say, raised = SAY[""], run.raised
    expect(raised, say["as_if"], trouble=trouble, what=describe(run.value))
    same = raised.status == status
    expect(same, say["other_error"], trouble=trouble, kind=raised.kind)
