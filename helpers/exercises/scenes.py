"""A check as a table of scenes: what the service does, what has to be sent, what has to come back,
and the cure.

    Scene("The answer was cut at 100 tokens", [cut, cut], sends=2, gives=RIGHT, cure="Catch it, and
    ask once more with `max_tokens=400`.")

A message says what happened, what the function did, and the cure: "{when}, and your function {did}.
{cure}". Where one deviation deserves its own words, they stand in `words`, under what was done:
"sent more", "sent less", "returned", "raised". They may name {when}, {cure}, {sent} (how many
requests), {what} (what came back) and {kind} (of error).
"""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from helpers.exercises.kit import NotYet, Raised, Spy, describe, expect, expect_given_client, spy

ANYTHING = object()


@dataclass
class Run:
    """One call as it went: what was sent, and what came back or why nothing did."""

    service: Spy
    value: object = None
    failed: NotYet | None = None  # Raised, or the function did not end

    @property
    def raised(self) -> Raised | None:
        return self.failed if isinstance(self.failed, Raised) else None

    @property
    def sent(self) -> int:
        return len(self.service.sent)

    @property
    def requests(self) -> str:
        return f"{self.sent} request{'s' * (self.sent != 1)}"

    @property
    def bodies(self) -> list[dict]:
        return [entry.json if isinstance(entry.json, dict) else {} for entry in self.service.sent]

    @property
    def slept(self) -> list[float]:
        return self.service.slept


def record(service: Spy, call: Callable, *arguments) -> Run:
    """One call; the errors of a function that is not written to its end come through."""
    try:
        return Run(service, call(*arguments))
    except NotYet as failed:
        error = getattr(failed, "error", None)
        if isinstance(error, (NotImplementedError, NameError, SyntaxError)):
            raise
        return Run(service, failed=failed)


@dataclass
class Scene:
    when: str  # the beginning of a sentence
    does: Sequence  # what the service does, request by request
    sends: int = 1
    gives: object = ANYTHING  # a value, or the name of an exception, or a status
    cure: str = ""
    words: dict[str, str] = field(default_factory=dict)
    limit: int = 6


def play(scene: Scene, call: Callable, function: Callable, arguments: tuple) -> Run:
    with spy(*scene.does, limit=scene.limit) as service:
        run = record(service, call, service, function, *arguments)
    if run.failed and not run.raised:
        _expect(run.sent <= scene.sends, scene, "sent more", run)
    if run.failed and not (run.raised and run.sent):
        raise run.failed
    return run


def judge(
    scene: Scene, run: Run, request: Callable[[Run], None], value: Callable[[Run, object], None]
) -> None:
    """Raise NotYet with the first thing that is not as the scene wants it."""
    request(run)
    expect_given_client(run.service)
    _expect(run.sent <= scene.sends, scene, "sent more", run)
    _expect(run.sent >= scene.sends, scene, "sent less", run)
    if isinstance(scene.gives, (int, str)):  # an error
        raised = run.raised
        got = raised and (raised.status if isinstance(scene.gives, int) else raised.kind)
        _expect(got == scene.gives, scene, "raised" if run.raised else "returned", run)
    elif scene.gives is None:
        _expect(run.raised is None, scene, "raised", run)
        _expect(run.value is None, scene, "returned", run)
    else:
        if run.raised:
            raise run.raised
        value(run, scene.gives)


DID = {
    "sent more": "sent {sent} requests, where {sends} would do",
    "sent less": "sent {sent}",
    "returned": "returned {what}",
    "raised": "raised {kind}",
}


def _expect(condition: object, scene: Scene, what: str, run: Run) -> None:
    own = scene.words.get(what) or f"{{when}}, and your function {DID[what]}. {{cure}}"
    said = {"when": scene.when, "cure": scene.cure, "sends": scene.sends, "sent": run.sent}
    kind = run.raised and run.raised.kind
    expect(condition, own, **said, what=describe(run.value), kind=kind)


def ladder(value, *steps: tuple) -> None:
    """The first step that fits ends the check: (a type, or its name as a file pattern; message)."""
    for kind, message in steps:
        fits = (
            isinstance(value, kind)
            if isinstance(kind, type)
            else fnmatch.fnmatchcase(type(value).__name__, kind)
        )
        expect(not fits, message)
