"""Checks for exercise 02, tasks 1 to 3: a client of `openai`, a provider, one more turn."""

import copy
import random
from collections.abc import Iterator

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, Raised, answer, describe, error, expect, spy, words
from helpers.exercises.lessons.lesson_02_calls import ALL, ROUTER, SAY, call, new_client
from helpers.exercises.lessons.lesson_02_environment import environment
from helpers.exercises.lessons.lesson_02_tickets import check_to_ticket
from helpers.exercises.lessons.lesson_02_tools import check_with_tools
from helpers.exercises.scenes import ladder
from helpers.models import models

# ---- task 1: the client ----
SECONDS = 30
CLIENT = SAY["connect"]


def check_connect(connect) -> str:
    from openai import AsyncOpenAI, OpenAI

    token = f"hf_{random.getrandbits(160):040x}"  # another one than in the environment
    key_of_another = f"sk-{words(1)}"
    with spy() as service, environment(OPENAI_API_KEY=key_of_another) as environ:
        before = dict(environ)
        client = call(service, connect, token)
        every = sorted(before.keys() | environ.keys())
        changed = [f"`{name}`" for name in every if before.get(name) != environ.get(name)]
        expect(not changed, CLIENT["environment"], changed=", ".join(changed))
        expect(client is not None, ALL["nothing"])
        ladder(client, ("InferenceClient", CLIENT["inference"]), (AsyncOpenAI, CLIENT["async"]))
        expect(isinstance(client, OpenAI), CLIENT["no_client"], what=describe(client))
        # before anything is sent: a client with another address would really go there
        base_url = str(client.base_url).rstrip("/")
        expect("api.openai.com" not in base_url, CLIENT["no_address"])
        expect("api-inference" not in base_url, CLIENT["old_address"])
        expect(base_url != ROUTER.removesuffix("/v1"), CLIENT["no_v1"])
        expect(base_url == ROUTER, CLIENT["other_address"], base_url=base_url, router=ROUTER)
        messages = [{"role": "user", "content": words(3)}]
        client.chat.completions.create(model=models.chat, messages=messages, max_tokens=5)
        expect(client.api_key != key_of_another, CLIENT["key_of_another"])
        expect(client.api_key != service.token, CLIENT["token_of_environment"])
        expect(client.api_key == token, CLIENT["other_token"])
        url = service.sent.last.url
        expect(url == f"{ROUTER}/chat/completions", CLIENT["other_url"], url=url)

    number = isinstance(client.timeout, (int, float))
    limit = client.timeout if number else getattr(client.timeout, "read", None)
    expect(limit != 600, CLIENT["ten_minutes"], right=SECONDS)
    expect(limit is not None, CLIENT["for_ever"], right=SECONDS)
    expect(limit == SECONDS, CLIENT["other_limit"], limit=limit, right=SECONDS)
    expect(client.max_retries == 0, CLIENT["repeats"], times=client.max_retries)
    for missing in (None, ""):
        for key_of_another in (f"sk-{words(1)}", None):
            _expect_refused(connect, missing, key_of_another)
    return CLIENT["right"]


def _expect_refused(connect, missing: str | None, key_of_another: str | None) -> None:
    """Without a token there is a ValueError, whether or not OPENAI_API_KEY is set."""
    token = repr(missing)
    with spy() as service, environment(OPENAI_API_KEY=key_of_another):
        client, raised = kit.attempt(service.call, connect, missing)
    if raised:
        right = isinstance(raised.error, ValueError)
        expect(right, CLIENT["other_error"], token=token, kind=raised.kind)
        expect(str(raised.error).strip(), CLIENT["no_reason"])
        return
    took_it = key_of_another and getattr(client, "api_key", None) == key_of_another
    expect(not took_it, CLIENT["took_key"], token=token)
    what = "nothing" if client is None else "a client"
    raise NotYet(CLIENT["no_error"].format(token=token, what=what))


# ---- task 2: the cheapest provider that can do what is needed ----
ABILITIES = ["supports_tools", "supports_structured_output"]
OFFERS = SAY["cheapest"]


def check_cheapest(cheapest) -> str:
    for key, needs, right, offers in _scenes():
        chosen = _chosen(cheapest, offers, needs)
        offered = [entry["provider"] for entry in offers]
        expect(chosen is not None, OFFERS["nothing"], right=right)
        expect(chosen in offered, OFFERS["not_offered"], chosen=chosen)
        expect(chosen == right, OFFERS[key], need=", ".join(needs))
    unfit = [offer("one", 2, supports_tools=False), offer("two", None)]
    nobody, raised = kit.attempt(_chosen, cheapest, unfit, ["supports_tools"])
    said = str(raised)[:1].lower() + str(raised)[1:]
    expect(not raised, OFFERS["nobody_raised"], said=said)
    expect(nobody is None, OFFERS["nobody_named"])
    return OFFERS["right"]


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
    head = {"object": "model", "created": 0}
    rows = [
        {"id": name, "owned_by": name.split("/")[0], "providers": each, **head}
        for name, each in listed.items()
    ]
    page = answer({"object": "list", "data": rows})
    with spy(routes=lambda entry: page if entry.path == "/v1/models" else None) as service:
        try:
            value = call(service, cheapest, new_client(), model, given)
        except Raised as raised:
            error = raised.error
            expect(not isinstance(error, KeyError), OFFERS["no_field"], raised=raised)
            of_offer = isinstance(error, AttributeError) and isinstance(error.obj, dict)
            expect(not of_offer, OFFERS["no_attribute"], raised=raised)
            raise
    looked_up = [entry.path for entry in service.lookups]
    expect(not service.sent.entries, OFFERS["asked_model"])
    expect("/v1/models" in looked_up, OFFERS["not_looked_up"])
    kit.expect_given_client(service)
    expect(given == needs, OFFERS["needs_changed"])
    expect(len(looked_up) == 1, OFFERS["looked_up_again"], times=len(looked_up))
    if value is None:
        return None
    expect(not isinstance(value, dict), OFFERS["whole_offer"])
    expect(isinstance(value, str), OFFERS["no_text"], what=describe(value))
    others = (f"{other}:", f"{models.tools}:")
    expect(not value.startswith(others), OFFERS["other_model"], value=value, model=model)
    providers = [entry["provider"] for entry in (*offers, cheap)]
    expect(value not in providers, OFFERS["provider_alone"])
    mini = (f"{model}-mini:{cheap['provider']}", f"{model}:{cheap['provider']}")
    expect(value not in mini, OFFERS["mini"], model=model)
    right = value.startswith(f"{model}:")
    expect(right, OFFERS["other_form"], value=value, model=model, provider=providers[0])
    return value.split(":")[-1]


# ---- task 3: the last turns are sent, the whole history comes back ----
MAX_TOKENS = 80
TURN = SAY["say"]


def check_say(say) -> str:
    for turns, keep in ((4, 2), (3, 1), (1, 5), (3, 0), (0, 2)):
        # one more turn, after a history of so many
        before, text = _history(turns), f"And what about {words(2)}?"
        given = copy.deepcopy(before)
        with spy() as service:
            value = call(service, say, new_client(), given, text, keep)
        kit.expect_chat_request(service, text, models.chat, MAX_TOKENS)
        kit.expect_given_client(service)
        expect(len(service.sent) == 1, TURN["many_requests"], sent=len(service.sent))
        sent = service.sent.last.json["messages"]
        _expect_messages(sent, before, text, keep)
        expect(value is not None, TURN["nothing"])
        two = isinstance(value, tuple) and len(value) == 2
        expect(two, TURN["not_two"], what=describe(value))
        said, after = value
        expect(not isinstance(said, list), TURN["wrong_order"])
        kit.expect_text(said, service.said[-1], service)
        turn = [_message("user", text), _message("assistant", said)]
        _expect_history(after, before, turn, len(sent))
        expect(given == before, TURN["changed"])

    before = _history(2)
    given = copy.deepcopy(before)
    arguments = new_client(), given, words(3), 2
    raised = kit.error_after(error(401), TURN["hidden_error"], say, *arguments)
    expect(raised.status == 401, TURN["other_error"], kind=raised.kind)
    expect(given == before, TURN["changed_by_error"])
    return TURN["right"]


def _history(turns: int) -> list[dict]:
    said = [_message("system", f"Answer as {words(2)}.")]
    for _ in range(turns):
        said += [_message("user", words(4)), _message("assistant", words(6))]
    return said


def _message(role: str, content: str) -> dict:
    return {"role": role, "content": content}


def _expect_messages(sent: list[dict], before: list[dict], text: str, keep: int) -> None:
    """The instructions, the last `keep` turns of `before` and the question were sent."""
    first, turns = before[0], before[1:]
    kept = turns[max(0, len(turns) - 2 * keep) :]
    right = [first, *kept, _message("user", text)]
    if [_message(one.get("role"), one.get("content")) for one in sent] == right:
        return
    contents = [one.get("content") for one in sent]
    whole = len(sent) == len(before) + 1 != len(right)
    fields = {"keep": keep, "before": len(before), "right": len(right), "kept": len(kept)}
    fields |= {"sent": len(sent), "roles": ", ".join(str(one.get("role")) for one in sent)}
    for holds, key in (
        (first["content"] in contents, "no_instructions"),
        (contents[-1] == text, "not_last"),
        (contents.count(text) == 1, "question_twice"),
        (contents.count(first["content"]) == 1, "instructions_twice"),
        (not whole or keep, "minus_zero"),
        (not whole, "whole_history"),
        (len(sent) != keep + 2, "kept_messages"),
        (not kept or len(sent) > 2, "no_turns"),
        (False, "other_messages"),
    ):
        expect(holds, TURN[key], **fields)


def _expect_history(after: object, before: list[dict], turn: list[dict], sent: int) -> None:
    """What came back is the history before with the new turn; `sent` messages had been sent."""
    expect(isinstance(after, list), TURN["no_list"], what=describe(after))
    right = [*before, *turn]
    if after == right:
        return
    odd = [type(one).__name__ for one in after if not isinstance(one, dict)]
    expect(not odd, TURN["no_dictionary"], kind=odd and odd[0])
    last = after[-1] if after else {}
    more = sorted(str(name) for name in last if name not in ("role", "content"))
    for holds, key in (
        (after != right[:-1], "no_answer"),
        (after != before, "old_history"),
        (len(after) != sent + 1 or len(after) == len(right), "short_history"),
        (after[: len(before)] == before, "other_past"),
        (last.get("role") == "assistant", "other_role"),
        (not more, "more_fields"),
        (False, "other_history"),
    ):
        expect(holds, TURN[key], role=last.get("role"), more=", ".join(more))


TASKS = kit.read_tasks(
    __file__, check_connect, check_cheapest, check_say, check_to_ticket, check_with_tools
)
