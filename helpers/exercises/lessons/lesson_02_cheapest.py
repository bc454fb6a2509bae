"""Checks for exercise 02, task 2: the cheapest provider that can do what is needed."""

import random
from collections.abc import Iterator

from helpers.exercises import kit
from helpers.exercises.kit import Raised, answer, describe, expect, spy, words
from helpers.exercises.lessons.lesson_02_calls import SAY, call, new_client
from helpers.models import models

ABILITIES = ["supports_tools", "supports_structured_output"]
TEXTS = SAY["cheapest"]


def check_cheapest(cheapest) -> str:
    for key, needs, right, offers in _scenes():
        chosen = _chosen(cheapest, offers, needs)
        offered = [entry["provider"] for entry in offers]
        expect(chosen is not None, TEXTS["nothing"], right=right)
        expect(chosen in offered, TEXTS["not_offered"], chosen=chosen)
        expect(chosen == right, TEXTS[key], need=", ".join(needs))
    unfit = [offer("one", 2, supports_tools=False), offer("two", None)]
    nobody, raised = kit.attempt(_chosen, cheapest, unfit, ["supports_tools"])
    said = str(raised)[:1].lower() + str(raised)[1:]
    expect(not raised, TEXTS["nobody_raised"], said=said)
    expect(nobody is None, TEXTS["nobody_named"])
    return TEXTS["right"]


def _scenes() -> Iterator[tuple[str, list[str], str, list[dict]]]:
    """(the message about another choice, the needs, the right provider, all offers)"""
    one, two, three = (f"{words(1)}-{i}" for i in range(3))
    # The lowest has one digit before the point, the others two: as texts they have another order.
    low = random.randint(200, 999) / 100
    middle, high = (cents / 100 for cents in sorted(random.sample(range(1000, 1800), 2)))
    # The cheapest to write with is the dearest to read with.
    dear = offer(two, low, pricing={"input": 50.0, "output": low})
    for _ in range(3):  # offers come in any order
        yield "two_prices", [], two, [offer(one, high), dear, offer(three, middle)]

    able = offer(two, high)
    for status in ("error", "staging"):
        yield f"status_{status}", [], two, [offer(one, low, status=status), able]
    yield "free", [], one, [offer(one, 0.0), able]
    yield "no_price", [], two, [offer(one, None), able]
    for need in ABILITIES:
        yield "says_no", [need], two, [offer(one, low, **{need: False}), able]
        yield "says_nothing", [need], two, [offer(one, low, **{need: None}), able]
    halves = [offer(one, middle, supports_tools=False)]
    halves += [offer(three, low, supports_structured_output=False)]
    yield "only_one", ABILITIES, two, [*halves, able]
    yield "not_needed", [], one, [offer(one, low, **dict.fromkeys(ABILITIES, False)), able]


def offer(provider: str, output: float | None, **fields) -> dict:
    """One provider's entry in the catalogue; `output` in US dollars for a million tokens.

    None leaves a field out, as providers do.
    """
    prices = {"input": round(random.uniform(0.01, 9), 3), "output": output}
    usual = {"provider": provider, "status": "live", "is_model_author": False}
    usual |= dict.fromkeys(ABILITIES, True) | {"pricing": None if output is None else prices}
    return {name: value for name, value in (usual | fields).items() if value is not None}


def _chosen(cheapest, offers: list[dict], needs: list[str]) -> str | None:
    """The provider that the function chooses from these offers; other models are cheaper."""
    model, other = (f"{words(1)}/{words(1)}" for _ in range(2))
    cheap, given = offer(f"{words(1)}-cheap", 0.01), list(needs)
    listed = {name: [cheap] for name in (other, f"{model}-mini", models.tools)}
    listed[model] = random.sample(offers, len(offers))
    with spy(routes=_catalogue(listed)) as service:
        try:
            value = call(service, cheapest, new_client(), model, given)
        except Raised as raised:
            error = raised.error
            expect(not isinstance(error, KeyError), TEXTS["no_field"], raised=raised)
            of_offer = isinstance(error, AttributeError) and isinstance(error.obj, dict)
            expect(not of_offer, TEXTS["no_attribute"], raised=raised)
            raise
    looked_up = [entry.path for entry in service.lookups]
    expect(not service.sent.entries, TEXTS["asked_model"])
    expect("/v1/models" in looked_up, TEXTS["not_looked_up"])
    kit.expect_given_client(service)
    expect(given == needs, TEXTS["needs_changed"])
    expect(len(looked_up) == 1, TEXTS["looked_up_again"], times=len(looked_up))
    if value is None:
        return None
    expect(not isinstance(value, dict), TEXTS["whole_offer"])
    expect(isinstance(value, str), TEXTS["no_text"], what=describe(value))
    others = (f"{other}:", f"{models.tools}:")
    expect(not value.startswith(others), TEXTS["other_model"], value=value, model=model)
    providers = [entry["provider"] for entry in (*offers, cheap)]
    expect(value not in providers, TEXTS["provider_alone"])
    mini = (f"{model}-mini:{cheap['provider']}", f"{model}:{cheap['provider']}")
    expect(value not in mini, TEXTS["mini"], model=model)
    right = value.startswith(f"{model}:")
    expect(right, TEXTS["other_form"], value=value, model=model, provider=providers[0])
    return value.split(":")[-1]


def _catalogue(listed: dict[str, list[dict]]):
    """GET /v1/models answers with these offers of each model."""
    head = {"object": "model", "created": 0}
    rows = [
        {"id": name, "owned_by": name.split("/")[0], "providers": offers, **head}
        for name, offers in listed.items()
    ]
    page = answer({"object": "list", "data": rows})
    return lambda entry: page if entry.path == "/v1/models" else None
