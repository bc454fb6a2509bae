"""Checks for exercise 08: ask an endpoint that may be asleep, and pause your own again."""

import traceback
from dataclasses import dataclass

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, error, expect, spy
from helpers.exercises.lessons.lesson_08_plane import CONTROL, Plane
from helpers.exercises.scenes import Run, record

SAY = kit.read_messages(__file__)
ALL = SAY[""]
MAX_TOKENS = 100


@dataclass
class Asked(Run):
    """A question as it went."""

    plane: Plane | None = None
    question: str = ""

    @property
    def let_through(self) -> str:
        """How not to ask again; OpenAI's client does it by itself."""
        retried = any("x-stainless-retry-count" in headers for headers in self.service.headers)
        return ALL["let_through_openai" if retried else "let_through"]


def ask(function, plane: Plane, place: str) -> Asked:
    """Call function(place, question)."""
    with spy(routes=plane, limit=30, seconds=20) as service:
        question = kit.new_question()
        run = record(service, service.call, function, place, question)
    return Asked(**vars(run), plane=plane, question=question)


def expect_question(asked: Asked, entry) -> None:
    """The request holds the question; the model's name is the endpoint's business."""
    kit.expect_chat_request(asked.service, asked.question, None, row=entry.number - 1)
    limit = (entry.json or {}).get("max_tokens")
    expect(limit == MAX_TOKENS, ALL["other_limit"], limit=limit, right=MAX_TOKENS)


# ---- task 3 ----
PATIENCE = "600"


def check_ask_patiently(ask_patiently) -> str:
    say = SAY["ask_patiently"]
    for state in ("scaledToZero", "running"):
        plane = Plane(state)
        asked = ask(ask_patiently, plane, plane.url)
        _expect_patient_request(asked)
        if asked.failed:
            raise asked.failed
        expect(asked.sent == 1, say["many_requests"], sent=asked.sent)
        expect(not asked.slept, say["own_waiting"], waited=sum(asked.slept))
        kit.expect_text(asked.value, asked.service.said[-1], asked.service)
    plane = Plane("scaledToZero", comes=None)
    asked = ask(ask_patiently, plane, plane.url)
    _expect_patient_request(asked)
    expect(asked.raised, say["hidden_error"])
    expect(asked.raised.status == 503, say["other_error"], kind=asked.raised.kind)
    told = {"more": asked.sent - 1, "let_through": asked.let_through}
    expect(asked.sent == 1, say["asked_again"], **told)
    return say["right"]


def _expect_patient_request(asked: Asked) -> None:
    say, service, raised = SAY["ask_patiently"], asked.service, asked.raised
    expect(not raised or raised.kind != "StreamClosed", say["stream"])
    if asked.failed and not service.sent.entries:
        frames = [frame for frame, _ in traceback.walk_tb(raised and raised.error.__traceback__)]
        by_client = frames and frames[-1].f_globals.get("__name__", "").startswith("httpx2")
        expect(not by_client, say["header_value"], raised=raised)
        raise asked.failed
    expect(service.sent.entries, say["nothing_sent"])
    first = service.sent[0]
    expect(first.host != "router.huggingface.co", say["router"])
    expect(first.host == asked.plane.host, say["other_host"], host=first.host)
    generates = first.path in ("", "/") and "inputs" in str(first.json)
    expect(not generates, say["text_generation"])
    headers = {name.lower(): value for name, value in service.headers[0].items()}
    sent = headers.get("x-scale-up-timeout")
    if sent is None:
        expect("scale" not in str(first.json).lower(), say["in_body"])
        own = [name for name in headers if not name.startswith("x-stainless")]
        near = [name for name in own if "scale" in name or "timeout" in name]
        raise NotYet(say["other_header"].format(header=near[0]) if near else say["no_header"])
    expect(sent == PATIENCE, say["other_patience"], sent=sent, patience=PATIENCE)
    expect_question(asked, first)
    if asked.failed and not raised:
        raise asked.failed
    limit = service.timeouts[0]
    patient = limit is None or limit >= int(PATIENCE)
    expect(patient, say["gives_up"], limit=limit, patience=PATIENCE)


# ---- task 4 ----
LONGEST = 3600


class Interrupted(BaseException):
    """Stands for the kernel's interrupt, which is no Exception either."""


def _interrupt(service, entry):
    raise Interrupted("the cell was interrupted")


INTERRUPTED = "When the cell was interrupted during the request,"
TROUBLE = {
    "When the request failed with 500,": {"chat": error(500)},
    "When the start failed,": {"fails": True},
    INTERRUPTED: {"chat": _interrupt},
    "When it did not come up before the deadline,": {"comes": None},
}


def check_ask_my_own(ask_my_own) -> str:
    say = SAY["ask_my_own"]

    def run(**changes) -> Asked:
        plane = Plane(**changes)
        asked = ask(ask_my_own, plane, plane.name)
        if asked.failed and not asked.raised:  # it did not come back
            resumed = "resume" in plane.done
            expect(not plane.fails, say["waits_for_failed"])
            if plane.comes is not None and resumed:
                raise asked.failed
            expect(resumed or plane.now() == "running", say["waits_for_paused"])
            raise NotYet(say["no_deadline"])
        return asked

    asked = run()
    service, plane = asked.service, asked.plane
    expect("create" not in plane.done, say["created"])
    hosts = {entry.host for entry in [*service.lookups, *service.sent]}
    expect(CONTROL in hosts, say["not_looked_up"])
    if asked.raised:
        resumed, late = "resume" in plane.done, "Timeout" in asked.raised.kind
        early = resumed and asked.raised.kind == "InferenceEndpointError"
        expect(not early, say["client_too_early"])
        expect(resumed or not late, say["no_resume"])
        lost = any(entry.path == "/api/tasks" for entry in service.lookups)
        expect(not lost, say["no_address"])
        expect(not late, say["gives_up"])
        expect(resumed, say["paused"], raised=asked.raised)
        raise asked.raised
    reached = [entry for entry in service.sent if entry.host == plane.host]
    router = "router.huggingface.co" in hosts
    expect(reached, say["router" if router else "not_reached"])
    expect_question(asked, reached[-1])
    expect(len(reached) == 1, say["many_requests"], sent=len(reached))
    kit.expect_text(asked.value, service.said[-1], service)
    _expect_paused(plane, "When all was done")

    for when, changes in TROUBLE.items():
        asked = run(**changes)
        expect(when != INTERRUPTED or asked.plane.now() == "paused", say["interrupted"])
        _expect_paused(asked.plane, when)
        waited = sum(asked.slept)
        tries = sum(entry.path.endswith("/chat/completions") for entry in asked.service.sent)
        shown = {"when": when, "tries": tries, "let_through": asked.let_through}
        expect(tries <= 1, say["asked_again"], **shown)
        expect(asked.raised, say["hidden_error"], when=when)
        expect(waited <= LONGEST, say["long"], when=when, hours=waited / 3600)
    asked = run(state="running")
    expect(not asked.raised, say["runs_already"], raised=asked.raised)
    _expect_paused(asked.plane, "When it ran already,")
    return say["right"]


def _expect_paused(plane: Plane, when: str) -> None:
    say, state = SAY["ask_my_own"], plane.now()
    expect("delete" not in plane.done, say["deleted"])
    asleep = "scale-to-zero" in plane.done and state == "scaledToZero"
    expect(not asleep, say["asleep"])
    expect(state == "paused", say["left"], when=when, state=state)
