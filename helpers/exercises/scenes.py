"""A check as a table of scenes: what the service does, what has to be sent, what has to come back,
and the cure.

    Scene("The answer was cut at 100 tokens", [cut, cut], sends=2, gives=RIGHT, cure="Catch it, and
    ask once more with `max_tokens=400`.")

A message says what happened, what the function did, and the cure: "{when}, and your function {did}.
{cure}". Where one deviation deserves its own words, they stand in `words`, under what was done:
"sent more", "sent less", "returned nothing", "returned", "raised".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from helpers.exercises.kit import NotYet, Raised, describe, expect, expect_given_client, spy

ANYTHING = object()


@dataclass
class Run:
    """One scene as it went: what was sent, what came back or was raised."""

    service: object
    value: object = None
    raised: Raised | None = None

    @property
    def sent(self) -> list[dict]:
        return [entry.json if isinstance(entry.json, dict) else {} for entry in self.service.sent]

    def did(self) -> str:
        return f"raised {self.raised.kind}" if self.raised else f"returned {describe(self.value)}"


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
        run = Run(service)
        try:
            run.value = call(service, function, *arguments)
        except Raised as raised:
            if not service.sent.entries:
                raise
            run.raised = raised
        except NotYet:
            expect(len(service.sent) <= scene.sends, _say(scene, "sent more", run))
            raise
    return run


def judge(
    scene: Scene, run: Run, request: Callable[[Run], None], value: Callable[[Run, object], None]
) -> None:
    """Raise NotYet with the first thing that is not as the scene wants it."""
    request(run)
    expect_given_client(run.service)
    expect(len(run.sent) <= scene.sends, _say(scene, "sent more", run))
    expect(len(run.sent) >= scene.sends, _say(scene, "sent less", run))
    if isinstance(scene.gives, (int, str)):  # an error
        raised = run.raised
        got = raised and (raised.status if isinstance(scene.gives, int) else raised.kind)
        expect(got == scene.gives, _say(scene, "raised" if run.raised else "returned", run))
    elif scene.gives is None:
        expect(run.raised is None, _say(scene, "raised", run))
        expect(run.value is None, _say(scene, "returned", run))
    else:
        if run.raised:
            raise run.raised
        value(run, scene.gives)


def _say(scene: Scene, what: str, run: Run) -> str:
    did = {
        "sent more": f"sent {len(run.sent)} requests, where {scene.sends} would do",
        "sent less": f"sent {len(run.sent)}",
    }.get(what) or run.did()
    return (
        scene.words.get(what, "").replace("{sent}", str(len(run.sent)))
        or f"{scene.when}, and your function {did}. {scene.cure}"
    )


def ladder(value, *steps: tuple) -> None:
    """The first step that fits the value ends the check: (name of a type, its beginning with *, or
    a type; message)."""
    name = type(value).__name__
    for kind, message in steps:
        fits = (
            isinstance(value, kind)
            if isinstance(kind, type)
            else name.startswith(kind.rstrip("*"))
            if kind.endswith("*")
            else name == kind
        )
        expect(not fits, message)
