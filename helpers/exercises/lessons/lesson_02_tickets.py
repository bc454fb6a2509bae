"""Checks for exercise 02, task 4: from a message to an object."""

import json
import random
from collections.abc import Iterator
from functools import partial

from helpers.exercises.kit import broken, describe, error, expect, expect_chat_request, reply, words
from helpers.exercises.lessons.lesson_02_calls import SAY, call, new_client
from helpers.exercises.scenes import Run, Scene, judge, ladder, play
from helpers.models import models

DESKS = ("billing", "account", "technical support", "general")
FIRST, SECOND = 100, 400  # tokens
UNFIT = (
    '{"desk": "complaints", "urgent": true, "amount": null}',
    "Sure! The desk is billing.",
    '{"desk": "billing", "urgent": true}',
)
ERRORS = {  # what happens: (what the service does, the error that has to come through)
    "The service refused the request (401)": (error(401), 401),
    "The service refused the request (429, too many requests)": (error(429), "RateLimitError"),
    "The connection failed": (broken(), "APIConnectionError"),
}
TEXTS = SAY["to_ticket"]
ROOM = {"first": FIRST, "second": SECOND}


def check_to_ticket(to_ticket) -> str:
    for scene in [*_scenes(), *_scenes()]:
        text = f"Message {random.getrandbits(32)}: {words(8)}."
        run = play(scene, call, to_ticket, (new_client(), text))
        judge(scene, run, partial(_expect_requests, text=text, scene=scene), _expect_ticket)
    return TEXTS["right"]


def _scenes() -> Iterator[Scene]:
    amount = random.choice([None, round(random.uniform(1, 99), 2)])
    right = {"desk": random.choice(DESKS), "urgent": random.random() < 0.5, "amount": amount}
    text = json.dumps(right)

    def long(tokens: int):
        """The same JSON, long: white space is written token by token too."""
        return reply(text[:1] + " " * (tokens - len(text.split(" "))) + text[1:])

    once, twice = {"sent more": TEXTS["too_many"]}, {"sent more": TEXTS["again_and_again"]}
    yield Scene("The answer fits the class", [reply(text)] * 6, gives=right, words=once)
    own = twice | {"sent less": TEXTS["not_again"].format(**ROOM)}
    yield Scene("The answer was cut", [long(250)] * 6, 2, right, words=own)
    when, cure = "The second answer was cut too", TEXTS["let_through"]
    own = twice | {"returned": TEXTS["as_if_whole"]}
    yield Scene(when, [long(900)] * 6, 2, "LengthFinishReasonError", cure, own)
    own = once | {"raised": TEXTS["unfit_raised"], "returned": TEXTS["unfit_returned"]}
    for unfit in UNFIT:
        when = f"The model answered `{unfit}`, which is no ticket"
        yield Scene(when, [reply(unfit)] * 6, gives=None, words=own)
    when = "The first answer was cut, and the second does not fit the class"
    yield Scene(when, [long(250), *[reply(UNFIT[0])] * 5], 2, None, TEXTS["inside"])
    own = {"sent more": TEXTS["refused_again"], "returned": TEXTS["hidden"]}
    for when, (step, gives) in ERRORS.items():
        yield Scene(when, [step] * 6, gives=gives, cure=TEXTS["only_two"], words=own)


def _expect_requests(run: Run, text: str, scene: Scene) -> None:
    expect(run.sent, TEXTS["not_sent"])
    first, *more = run.bodies
    asked = first.get("response_format")
    expect(asked, TEXTS["no_format"])
    kind = asked.get("type") if isinstance(asked, dict) else None
    expect(kind == "json_schema", TEXTS["other_type"], kind=kind)
    schema = (asked.get("json_schema") or {}).get("schema") or {}
    expect(set(schema.get("properties", {})) == {"desk", "urgent", "amount"}, TEXTS["other_class"])
    expect_chat_request(run.service, text, models.tools, row=0)
    limit = first.get("max_tokens")
    expect(limit is not None, TEXTS["no_limit"], **ROOM)
    expect(limit == FIRST, TEXTS["other_limit"], limit=limit, **ROOM)
    for again in more:
        for name in ("messages", "model", "response_format"):
            same = again.get(name) == first.get(name)
            expect(same, TEXTS[f"second_{name}"], model=again.get("model"))
    if len(more) == 1 and scene.sends == 2:  # asked again because the answer was cut
        room = more[0].get("max_tokens")
        expect(room != FIRST, TEXTS["same_room"], **ROOM)
        expect(room == SECOND, TEXTS["other_room"], room=room, **ROOM)


def _expect_ticket(run: Run, right: dict) -> None:
    ladder(
        run.value,
        ("NoneType", TEXTS["printed" if run.service.printed else "nothing"]),
        ("*Message*", TEXTS["message"]),
        ("*Choice*", TEXTS["choice"]),
        ("*ChatCompletion*", TEXTS["response"]),
        (str, TEXTS["text"]),
        (dict, TEXTS["dictionary"]),
    )
    expect(hasattr(run.value, "model_dump"), TEXTS["no_ticket"], what=describe(run.value))
    ticket = run.value.model_dump()
    shown = {"right": json.dumps(right), "ticket": json.dumps(ticket)}
    expect(ticket == right, TEXTS["other_ticket"], **shown)
