"""Every task of exercise 02: the stub fails, the solution passes, and each mistake gets the message
that is about it."""

import json
import os
from typing import Literal

import openai
from check_cases import CheckCases
from huggingface_hub import InferenceClient
from pydantic import BaseModel, Field, ValidationError

from helpers import models, wire
from helpers.exercises.lessons.lesson_02 import DESKS, TASKS

CONNECT, CHEAPEST, SAY, TICKET, TOOLS, QUIZ = TASKS
ROUTER = "https://router.huggingface.co/v1"


# ---- task 1: right, and wrong in the ways people are -------------------------------------------


def build(token, **changes):
    arguments = {"base_url": ROUTER, "api_key": token, "timeout": 30, "max_retries": 0} | changes
    return openai.OpenAI(
        **{name: value for name, value in arguments.items() if value != "leave out"}
    )


def connect(token):
    if not token:
        raise ValueError("no Hugging Face token")
    return build(token)


def connect_otherwise(token):
    if token is None or token == "":
        raise ValueError("there is no token; run hf auth login")
    return build(lambda: token, base_url=ROUTER + "/", timeout=openai.Timeout(30))


def no_look(token):
    return build(token)


def only_none(token):
    if token is None:
        raise ValueError("no token")
    return build(token)


def only_empty(token):
    if token == "":
        raise ValueError("no token")
    return build(token)


def asserts(token):
    assert token, "no token"
    return build(token)


def key_error(token):
    if not token:
        raise KeyError("token")
    return build(token)


def silent_error(token):
    if not token:
        raise ValueError
    return build(token)


def prints_problem(token):
    if not token:
        print("no token")
        return None
    return build(token)


def by_environment(token):
    if not token:
        raise ValueError("no token")
    return build(os.environ["HF_TOKEN"])


def no_key(token):
    if not token:
        raise ValueError("no token")
    return build("leave out")


def no_address(token):
    return connect_with(token, base_url="leave out")


def connect_with(token, **changes):
    if not token:
        raise ValueError("no token")
    return build(token, **changes)


def no_v1(token):
    return connect_with(token, base_url="https://router.huggingface.co")


def dead_host(token):
    return connect_with(token, base_url="https://api-inference.huggingface.co/v1/")


def too_far(token):
    return connect_with(token, base_url=ROUTER + "/chat/completions")


def default_timeout(token):
    return connect_with(token, timeout="leave out")


def no_timeout(token):
    return connect_with(token, timeout=None)


def milliseconds(token):
    return connect_with(token, timeout=30_000)


def default_retries(token):
    return connect_with(token, max_retries="leave out")


def other_library(token):
    if not token:
        raise ValueError("no token")
    return InferenceClient(token=token, timeout=30)


def awaited(token):
    if not token:
        raise ValueError("no token")
    return openai.AsyncOpenAI(base_url=ROUTER, api_key=token, timeout=30, max_retries=0)


def forgets_return(token):
    connect(token)


def the_class(token):
    return openai.OpenAI


def by_changed_environment(token):
    if not token:
        raise ValueError("no token")
    os.environ["OPENAI_API_KEY"] = token
    return build("leave out")


def connect_with_options(token):
    if token in (None, ""):
        raise ValueError("no token")
    return openai.OpenAI(base_url=ROUTER, api_key=token).with_options(timeout=30, max_retries=0)


CONNECT_WRONG = [
    (no_look, "silently took the key in OPENAI_API_KEY"),
    (only_none, "For the token ''"),
    (only_empty, "For the token None"),
    (asserts, "raised AssertionError"),
    (key_error, "raised KeyError"),
    (silent_error, "says nothing"),
    (prints_problem, "returned nothing"),
    (by_environment, "token of the environment"),
    (no_key, "took the key from OPENAI_API_KEY"),
    (no_address, "calls OpenAI itself"),
    (no_v1, "lacks its `/v1`"),
    (dead_host, "switched off"),
    (too_far, "with nothing behind it"),
    (default_timeout, "ten minutes"),
    (no_timeout, "wait for ever"),
    (milliseconds, "30000 seconds"),
    (default_retries, "2 times by itself"),
    (other_library, "client of `huggingface_hub`"),
    (awaited, "has to be awaited"),
    (forgets_return, "Did you forget `return`"),
    (the_class, "an object of type type"),
    (by_changed_environment, "changed `OPENAI_API_KEY` in the environment"),
]


# ---- task 2 ------------------------------------------------------------------------------------


def able(client, model, needs):
    return [
        offer
        for row in client.models.list().data
        if row.id == model
        for offer in row.providers
        if offer["status"] == "live"
        and offer.get("pricing")
        and all(offer.get(need) for need in needs)
    ]


def named(model, offer):
    return offer and f"{model}:{offer['provider']}"


def cheapest(client, model, needs):
    return named(
        model,
        min(able(client, model, needs), key=lambda offer: offer["pricing"]["output"], default=None),
    )


def cheapest_otherwise(client, model, needs):
    best = None
    for row in client.models.list():  # the page can be gone through as it is
        if row.id != model:
            continue
        for offer in row.providers:
            price = (offer.get("pricing") or {}).get("output")
            if (
                price is not None
                and offer["status"] == "live"
                and set(needs) <= {name for name, value in offer.items() if value is True}
                and (best is None or price < best[0])
            ):
                best = price, offer["provider"]
    return f"{model}:{best[1]}" if best else None


def lowest(client, model, rows, key):
    return named(model, min(rows, key=key, default=None))


def offers_of(client, model):
    return [
        offer for row in client.models.list().data if row.id == model for offer in row.providers
    ]


def by_input(client, model, needs):
    return lowest(
        client, model, able(client, model, needs), lambda offer: offer["pricing"]["input"]
    )


def dearest(client, model, needs):
    return named(
        model,
        max(able(client, model, needs), key=lambda offer: offer["pricing"]["output"], default=None),
    )


def also_dead(client, model, needs):
    rows = [
        offer
        for offer in offers_of(client, model)
        if offer.get("pricing") and all(offer.get(need) for need in needs)
    ]
    return lowest(client, model, rows, lambda offer: offer["pricing"]["output"])


def missing_is_free(client, model, needs):
    rows = [
        offer
        for offer in offers_of(client, model)
        if offer["status"] == "live" and all(offer.get(need) for need in needs)
    ]
    return lowest(client, model, rows, lambda offer: offer.get("pricing", {}).get("output", 0))


def needs_nothing(client, model, needs):
    rows = [
        offer
        for offer in offers_of(client, model)
        if offer["status"] == "live" and offer.get("pricing")
    ]
    return lowest(client, model, rows, lambda offer: offer["pricing"]["output"])


def unsaid_is_yes(client, model, needs):
    rows = [
        offer
        for offer in offers_of(client, model)
        if offer["status"] == "live"
        and offer.get("pricing")
        and all(offer.get(need, True) for need in needs)
    ]
    return lowest(client, model, rows, lambda offer: offer["pricing"]["output"])


def any_need(client, model, needs):
    rows = [
        offer
        for offer in offers_of(client, model)
        if offer["status"] == "live"
        and offer.get("pricing")
        and (not needs or any(offer.get(need) for need in needs))
    ]
    return lowest(client, model, rows, lambda offer: offer["pricing"]["output"])


def always_both(client, model, needs):
    return cheapest(client, model, ["supports_tools", "supports_structured_output"])


def brackets(client, model, needs):
    rows = [
        offer
        for offer in offers_of(client, model)
        if offer["status"] == "live" and all(offer.get(need) for need in needs)
    ]
    return lowest(client, model, rows, lambda offer: offer["pricing"]["output"])


def no_default(client, model, needs):
    return named(
        model, min(able(client, model, needs), key=lambda offer: offer["pricing"]["output"])
    )


def first_offer(client, model, needs):
    rows = able(client, model, needs)
    return named(model, rows[0] if rows else None)


def every_model(client, model, needs):
    rows = [
        (row.id, offer)
        for row in client.models.list().data
        for offer in row.providers
        if offer.get("pricing") and offer["status"] == "live"
    ]
    name, offer = min(rows, key=lambda pair: pair[1]["pricing"]["output"])
    return f"{name}:{offer['provider']}"


def provider_only(client, model, needs):
    found = cheapest(client, model, needs)
    return found and found.split(":")[1]


def whole_offer(client, model, needs):
    return min(
        able(client, model, needs), key=lambda offer: offer["pricing"]["output"], default=None
    )


def the_policy(client, model, needs):
    return f"{model}:cheapest"


def asks_a_model(client, model, needs):
    client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Who serves you cheapest?"}]
    )


def somebody_always(client, model, needs):
    return cheapest(client, model, needs) or f"{model}:groq"


def one_model(client, model, needs):
    return cheapest(client, models.tools, needs)


def twice_listed(client, model, needs):
    client.models.list()
    return cheapest(client, model, needs)


def as_attributes(client, model, needs):
    return next(
        offer
        for row in client.models.list().data
        for offer in row.providers
        if offer.status == "live"
    )


def empty_text(client, model, needs):
    return cheapest(client, model, needs) or ""


def rows_where(
    client,
    model,
    needs,
    listed=lambda row, model: row.id == model,
    status=lambda status: status == "live",
):
    return [
        offer
        for row in client.models.list().data
        if listed(row, model)
        for offer in row.providers
        if status(offer["status"])
        and offer.get("pricing")
        and all(offer.get(need) for need in needs)
    ]


def output_price(offer):
    return offer["pricing"]["output"]


def free_is_unknown(client, model, needs):
    rows = [offer for offer in able(client, model, needs) if offer["pricing"]["output"]]
    return lowest(client, model, rows, output_price)


def any_but_error(client, model, needs):
    return lowest(
        client,
        model,
        rows_where(client, model, needs, status=lambda status: status != "error"),
        output_price,
    )


def name_begins_so(client, model, needs):
    return lowest(
        client,
        model,
        rows_where(client, model, needs, listed=lambda row, model: row.id.startswith(model)),
        output_price,
    )


def price_as_text(client, model, needs):
    return lowest(
        client, model, able(client, model, needs), lambda offer: str(offer["pricing"]["output"])
    )


def empties_needs(client, model, needs):
    found = cheapest(client, model, needs)
    needs.clear()
    return found


def asks_with_its_own(client, model, needs):
    return cheapest(
        openai.OpenAI(base_url=ROUTER, api_key=client.api_key or os.environ["HF_TOKEN"]),
        model,
        needs,
    )


def cheapest_sorted(client, model, needs):
    listed = {row.id: row.to_dict() for row in client.models.list()}
    rows = sorted(
        (offer["pricing"]["output"], offer["provider"])
        for offer in listed[model]["providers"]
        if offer["status"] == "live"
        and "pricing" in offer
        and all(offer.get(need) is True for need in needs)
    )
    if rows:
        return model + ":" + rows[0][1]


CHEAPEST_WRONG = [
    (by_input, "two prices"),
    (dearest, "did not choose the lowest"),
    (also_dead, "not answering"),
    (missing_is_free, "Not known is not free"),
    (needs_nothing, "says it cannot"),
    (unsaid_is_yes, "does not say whether it can"),
    (any_need, "only one of them"),
    (always_both, "Nothing was needed"),
    (brackets, "Read with `.get(…)`"),
    (no_default, "Return None then"),
    (first_offer, "did not choose the lowest"),
    (every_model, "chose another model"),
    (one_model, "than the one that was asked for"),
    (provider_only, "the provider alone"),
    (whole_offer, "the whole offer"),
    (the_policy, "list of models was not asked for"),
    (asks_a_model, "You asked a model"),
    (somebody_always, "Nobody fits, and you named"),
    (twice_listed, "2 times"),
    (as_attributes, "a list of dictionaries"),
    (empty_text, "The form is the model's id"),
    (free_is_unknown, "A price of 0 is known"),
    (any_but_error, '"staging"'),
    (name_begins_so, "whose name only begins like"),
    (price_as_text, "did not choose the lowest"),
    (empties_needs, "changed the list `needs`"),
    (asks_with_its_own, "a client of its own"),
]


# ---- task 3 ------------------------------------------------------------------------------------


def ask(client, messages, **changes):
    arguments = {"model": models.chat, "messages": messages, "max_tokens": 80} | changes
    return client.chat.completions.create(**arguments).choices[0].message


def shortened(history, keep):
    turns = history[1:]
    return [history[0], *turns[max(0, len(turns) - 2 * keep) :]]


def longer(history, text, reply):
    return [*history, {"role": "user", "content": text}, {"role": "assistant", "content": reply}]


def say(client, history, text, keep):
    reply = ask(client, [*shortened(history, keep), {"role": "user", "content": text}]).content
    return reply, longer(history, text, reply)


def say_otherwise(client, history, text, keep):
    kept = history[-2 * keep :] if 0 < keep < len(history) / 2 else history[1:] if keep else []
    reply = ask(client, history[:1] + kept + [{"role": "user", "content": text}]).content
    return reply, longer(history, text, reply)


def sends_all(client, history, text, keep):
    reply = ask(client, [*history, {"role": "user", "content": text}]).content
    return reply, longer(history, text, reply)


def minus_zero(client, history, text, keep):
    reply = ask(
        client, [history[0], *history[1:][-2 * keep :], {"role": "user", "content": text}]
    ).content
    return reply, longer(history, text, reply)


def one_message_a_turn(client, history, text, keep):
    turns = history[1:]
    reply = ask(
        client, [history[0], *turns[max(0, len(turns) - keep) :], {"role": "user", "content": text}]
    ).content
    return reply, longer(history, text, reply)


def no_instructions(client, history, text, keep):
    reply = ask(client, [*shortened(history, keep)[1:], {"role": "user", "content": text}]).content
    return reply, longer(history, text, reply)


def no_memory(client, history, text, keep):
    reply = ask(client, [history[0], {"role": "user", "content": text}]).content
    return reply, longer(history, text, reply)


def first_turns(client, history, text, keep):
    reply = ask(client, [*history[: 1 + 2 * keep], {"role": "user", "content": text}]).content
    return reply, longer(history, text, reply)


def instructions_twice(client, history, text, keep):
    messages = [*history, {"role": "user", "content": text}]
    reply = ask(client, messages[:1] + messages[-(2 * keep + 1) :]).content
    return reply, [*messages, {"role": "assistant", "content": reply}]


def question_first(client, history, text, keep):
    reply = ask(
        client, [history[0], {"role": "user", "content": text}, *shortened(history, keep)[1:]]
    ).content
    return reply, longer(history, text, reply)


def appends(client, history, text, keep):
    messages = [*shortened(history, keep), {"role": "user", "content": text}]
    reply = ask(client, messages).content
    history.append({"role": "user", "content": text})
    history.append({"role": "assistant", "content": reply})
    return reply, history


def appends_first(client, history, text, keep):
    history.append({"role": "user", "content": text})
    reply = ask(client, [history[0], *history[1:][-(2 * keep + 1) :]]).content
    return reply, [*history, {"role": "assistant", "content": reply}]


def appends_before_copy(client, history, text, keep):
    try:
        return say(client, history, text, keep)
    except openai.APIStatusError:
        history.append({"role": "user", "content": text})
        raise


def returns_short(client, history, text, keep):
    kept = shortened(history, keep)
    reply = ask(client, [*kept, {"role": "user", "content": text}]).content
    return reply, longer(kept, text, reply)


def no_answer_kept(client, history, text, keep):
    reply, after = say(client, history, text, keep)
    return reply, after[:-1]


def old_history(client, history, text, keep):
    return say(client, history, text, keep)[0], history


def wrong_role(client, history, text, keep):
    reply, after = say(client, history, text, keep)
    return reply, [*after[:-1], {"role": "system", "content": reply}]


def message_object(client, history, text, keep):
    reply = ask(client, [*shortened(history, keep), {"role": "user", "content": text}])
    return reply.content, [*history, {"role": "user", "content": text}, reply]


def answer_only(client, history, text, keep):
    return say(client, history, text, keep)[0]


def swapped(client, history, text, keep):
    return say(client, history, text, keep)[::-1]


def whole_message(client, history, text, keep):
    reply = ask(client, [*shortened(history, keep), {"role": "user", "content": text}])
    return reply, longer(history, text, reply.content)


def hides_errors(client, history, text, keep):
    try:
        return say(client, history, text, keep)
    except openai.APIStatusError:
        return "Sorry.", history


def made_up(client, history, text, keep):
    return "Yes.", longer(history, text, "Yes.")


def no_limit(client, history, text, keep):
    reply = ask(
        client, [*shortened(history, keep), {"role": "user", "content": text}], max_tokens=None
    ).content
    return reply, longer(history, text, reply)


def hub_name(client, history, text, keep):
    return client.chat_completion(history, model=models.chat)


def by_position(client, history, text, keep):
    return client.chat.completions.create(history, model=models.chat)


def says_nothing(client, history, text, keep):
    say(client, history, text, keep)


def as_dictionary(client, history, text, keep):
    messages = [*shortened(history, keep), {"role": "user", "content": text}]
    return (
        client.chat.completions.create(model=models.chat, messages=messages, max_tokens=80)[
            "choices"
        ],
        history,
    )


def own_error(client, history, text, keep):
    try:
        return say(client, history, text, keep)
    except openai.APIError as error:
        raise RuntimeError("the request failed") from error


def own_client(client, history, text, keep):
    return say(openai.OpenAI(base_url=ROUTER, api_key=os.environ["HF_TOKEN"]), history, text, keep)


def dumped_message(client, history, text, keep):
    reply = ask(client, [*shortened(history, keep), {"role": "user", "content": text}])
    return reply.content, [*history, {"role": "user", "content": text}, reply.model_dump()]


def say_in_place_of_a_copy(client, history, text, keep):
    said = [*history, {"role": "user", "content": text}]
    reply = ask(
        client,
        [message for i, message in enumerate(said) if i == 0 or i >= len(said) - 1 - 2 * keep],
    )
    said.append(reply.to_dict())
    return reply.content, said


SAY_WRONG = [
    (sends_all, "You sent the whole history"),
    (minus_zero, "-0 is 0"),
    (one_message_a_turn, "two messages"),
    (no_instructions, "instructions (the system message"),
    (no_memory, "without what was said before"),
    (first_turns, "must hold 6 messages"),
    (question_first, "not the last message"),
    (instructions_twice, "instructions are in the request twice"),
    (appends, "You changed the history"),
    (appends_first, "You changed the history"),
    (appends_before_copy, "never answered"),
    (returns_short, "shortened history"),
    (no_answer_kept, "answer is not in the history"),
    (old_history, "the old one"),
    (wrong_role, "role `system`"),
    (message_object, "ChatCompletionMessage"),
    (answer_only, "two things"),
    (swapped, "wrong order"),
    (whole_message, "message object"),
    (hides_errors, "as if nothing had happened"),
    (made_up, "No request was sent"),
    (no_limit, "no `max_tokens`"),
    (hub_name, "`InferenceClient`'s name"),
    (by_position, "passed by name"),
    (says_nothing, "returns nothing"),
    (as_dictionary, "attributes only"),
    (own_error, "raised RuntimeError in place of the error"),
    (own_client, "a client of its own"),
    (dumped_message, "more than role and content"),
]


# ---- task 4 ------------------------------------------------------------------------------------


class Ticket(BaseModel):
    desk: Literal["billing", "account", "technical support", "general"]
    urgent: bool
    amount: float | None = Field(
        description="the amount of money in question, null if none is named"
    )


def parse(client, text, max_tokens, **changes):
    arguments = {
        "model": models.tools,
        "messages": [{"role": "user", "content": text}],
        "response_format": Ticket,
        "max_tokens": max_tokens,
    } | changes
    return client.chat.completions.parse(
        **{name: value for name, value in arguments.items() if value is not None}
    )


def parsed(response):
    return response.choices[0].message.parsed


def to_ticket(client, text):
    for max_tokens in (100, 400):
        try:
            return parsed(parse(client, text, max_tokens))
        except ValidationError:
            return None
        except openai.LengthFinishReasonError:
            if max_tokens == 400:
                raise


def to_ticket_otherwise(client, text):
    """With create(), and the text validated by hand."""
    schema = {
        "type": "json_schema",
        "json_schema": {"name": "Ticket", "strict": True, "schema": Ticket.model_json_schema()},
    }
    messages = [
        {"role": "system", "content": "Fill in the ticket."},
        {"role": "user", "content": f"Message: {text}"},
    ]
    for max_tokens in (100, 400):
        response = client.chat.completions.create(
            model=models.tools + ":cheapest",
            messages=messages,
            response_format=schema,
            max_tokens=max_tokens,
        )
        choice = response.choices[0]
        if choice.finish_reason != "length":
            break
    else:
        raise openai.LengthFinishReasonError(completion=response)
    try:
        return Ticket.model_validate_json(choice.message.content)
    except ValidationError:
        return None


def once(client, text):
    try:
        return parsed(parse(client, text, 100))
    except ValidationError:
        return None


def same_limit(client, text):
    try:
        return parsed(parse(client, text, 100))
    except openai.LengthFinishReasonError:
        return parsed(parse(client, text, 100))


def other_limit(client, text):
    try:
        return parsed(parse(client, text, 100))
    except openai.LengthFinishReasonError:
        return parsed(parse(client, text, 200))


def until_whole(client, text):
    room = 100
    while True:
        try:
            return parsed(parse(client, text, room))
        except openai.LengthFinishReasonError:
            room = 400


def begins_big(client, text):
    return parsed(parse(client, text, 400))


def cut_is_none(client, text):
    try:
        return to_ticket(client, text)
    except openai.LengthFinishReasonError:
        return None


def lets_unfit_through(client, text):
    try:
        return parsed(parse(client, text, 100))
    except openai.LengthFinishReasonError:
        return parsed(parse(client, text, 400))


def catches_all(client, text):
    try:
        return to_ticket(client, text)
    except openai.LengthFinishReasonError:
        raise
    except Exception:
        return None


def asks_again_if_unfit(client, text):
    try:
        return parsed(parse(client, text, 100))
    except (ValidationError, openai.LengthFinishReasonError):
        try:
            return parsed(parse(client, text, 400))
        except ValidationError:
            return None


def whole_response(client, text):
    return parse(client, text, 100)


def the_message(client, text):
    return parse(client, text, 100).choices[0].message


def the_choice(client, text):
    return parse(client, text, 100).choices[0]


def the_text(client, text):
    return parse(client, text, 100).choices[0].message.content


def the_dictionary(client, text):
    return json.loads(parse(client, text, 100).choices[0].message.content)


def ticket_printed(client, text):
    print(to_ticket(client, text))


def ticket_forgotten(client, text):
    to_ticket(client, text)


def no_schema(client, text):
    response = client.chat.completions.create(
        model=models.tools,
        messages=[{"role": "user", "content": text + " Answer as JSON."}],
        max_tokens=100,
    )
    return Ticket.model_validate_json(response.choices[0].message.content)


def any_json(client, text):
    response = client.chat.completions.create(
        model=models.tools,
        messages=[{"role": "user", "content": text}],
        max_tokens=100,
        response_format={"type": "json_object"},
    )
    return Ticket.model_validate_json(response.choices[0].message.content)


def other_class(client, text):
    class Mail(BaseModel):
        subject: str

    return parsed(parse(client, text, 100, response_format=Mail))


def chat_model(client, text):
    return parsed(parse(client, text, 100, model=models.chat))


def no_text(client, text):
    return parsed(parse(client, "I was charged twice.", 100))


def ticket_made_up(client, text):
    return Ticket(desk="billing", urgent=True, amount=None)


def ticket_fixed(client, text):
    parse(client, text, 100)
    return Ticket(desk="billing", urgent=True, amount=123.45)


def ticket_no_limit(client, text):
    return parsed(parse(client, text, None))


def another_question(client, text):
    try:
        return parsed(parse(client, text, 100))
    except openai.LengthFinishReasonError:
        return parsed(
            parse(client, text, 400, messages=[{"role": "user", "content": text + " Be brief."}])
        )


def unchecked(client, text):
    try:
        response = parse(client, text, 100)
    except ValidationError as error:
        return {"problem": str(error)}
    except openai.LengthFinishReasonError:
        response = parse(client, text, 400)
    return parsed(response)


def second_outside_the_try(client, text):
    try:
        return parsed(parse(client, text, 100))
    except ValidationError:
        return None
    except openai.LengthFinishReasonError:
        return parsed(parse(client, text, 400))


def again_on_everything(client, text):
    try:
        return parsed(parse(client, text, 100))
    except ValidationError:
        return None
    except openai.OpenAIError:
        return to_ticket_from(client, text, 400)


def to_ticket_from(client, text, max_tokens, **changes):
    try:
        return parsed(parse(client, text, max_tokens, **changes))
    except ValidationError:
        return None


def none_if(kind):
    def hides_one(client, text):
        try:
            return to_ticket(client, text)
        except kind:
            return None

    return hides_one


def second_by_another(client, text):
    try:
        return to_ticket_from(client, text, 100)
    except openai.LengthFinishReasonError:
        return to_ticket_from(client, text, 400, model=models.chat)


def ticket_own_client(client, text):
    return to_ticket(openai.OpenAI(base_url=ROUTER, api_key=os.environ["HF_TOKEN"]), text)


def to_ticket_nested(client, text):
    try:
        try:
            return parsed(parse(client, text, 100))
        except openai.LengthFinishReasonError:
            return parsed(parse(client, text, 400))
    except ValidationError:
        return None


TICKET_WRONG = [
    (once, "was not asked for again"),
    (same_limit, "cut at the same place"),
    (other_limit, "must allow 400"),
    (until_whole, "again and again"),
    (begins_big, "Begin with 100"),
    (cut_is_none, "as if it were whole"),
    (lets_unfit_through, "made your function raise `ValidationError`"),
    (catches_all, "your function hid it"),
    (asks_again_if_unfit, "2 requests where 1 would do"),
    (whole_response, "the whole response"),
    (the_message, "returned the message"),
    (the_choice, "returned the choice"),
    (the_text, "returned the text"),
    (the_dictionary, "returned a dictionary"),
    (ticket_printed, "prints the ticket"),
    (ticket_forgotten, "returned nothing"),
    (no_schema, "no `response_format`"),
    (any_json, "some JSON, of whatever shape"),
    (other_class, "not that of the class `Ticket`"),
    (chat_model, "You asked"),
    (no_text, "question is not in the request"),
    (ticket_made_up, "No request was sent"),
    (ticket_fixed, "what came back in this very call"),
    (ticket_no_limit, "no `max_tokens`"),
    (another_question, "something else than the first"),
    (unchecked, "a dictionary all the same"),
    (second_outside_the_try, "the second one belongs inside the `try` too"),
    (again_on_everything, "you sent it again"),
    (none_if(openai.APIConnectionError), "The connection failed"),
    (none_if(openai.RateLimitError), "429"),
    (second_by_another, "asked another model"),
    (ticket_own_client, "a client of its own"),
]


# ---- task 5 ------------------------------------------------------------------------------------


def described(tools):
    return [
        openai.pydantic_function_tool(arguments, name=name)
        for name, (arguments, _) in tools.items()
    ]


def result(call, tools):
    if call.function.name not in tools:
        return f"error: there is no tool {call.function.name}"
    arguments, function = tools[call.function.name]
    try:
        checked = arguments.model_validate_json(call.function.arguments)
    except ValidationError as error:
        return f"error: {error}"
    return function(**checked.model_dump())


def first_request(client, question, tools, **more):
    messages = [{"role": "user", "content": question}]
    response = client.chat.completions.create(
        model=models.tools, messages=messages, tools=described(tools), max_tokens=300, **more
    )
    return messages, response.choices[0].message


def second_request(client, messages):
    return (
        client.chat.completions.create(model=models.tools, messages=messages, max_tokens=300)
        .choices[0]
        .message.content
    )


def with_tools(client, question, tools):
    messages, message = first_request(client, question, tools)
    if not message.tool_calls:
        return message.content
    messages.append(message)
    for call in message.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result(call, tools)})
    return second_request(client, messages)


def with_tools_otherwise(client, question, tools):
    """With a forced call, dictionaries instead of the message object, and the tools offered
    again."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    response = client.chat.completions.create(
        model=models.tools + ":fastest",
        messages=messages,
        tools=described(tools),
        tool_choice="required",
        max_tokens=300,
    )
    message = response.choices[0].message
    calls = message.tool_calls or []
    if not calls:
        return message.content
    history = [
        *messages,
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump() for call in calls]},
        *(
            {
                "role": "tool",
                "tool_call_id": call.id,
                "name": call.function.name,
                "content": result(call, tools),
            }
            for call in calls
        ),
    ]
    return (
        client.chat.completions.create(
            model=models.tools,
            messages=history,
            tools=described(tools),
            tool_choice="none",
            max_tokens=300,
        )
        .choices[0]
        .message.content
    )


def make(
    run=result,
    message_first=True,
    one_only=False,
    role="tool",
    with_id=True,
    with_question=True,
    with_message=True,
):
    """A `with_tools` that does one thing differently."""

    def with_tools(client, question, tools):
        messages, message = first_request(client, question, tools)
        if not message.tool_calls:
            return message.content
        results = []
        for call in message.tool_calls[:1] if one_only else message.tool_calls:
            entry = {"role": role, "content": run(call, tools)}
            results.append(entry | ({"tool_call_id": call.id} if with_id else {}))
        asked = [message] if with_message else []
        return second_request(
            client,
            [
                *(messages if with_question else []),
                *(asked + results if message_first else results + asked),
            ],
        )

    return with_tools


def no_list(call, tools):
    arguments, function = tools[call.function.name]
    try:
        return function(**arguments.model_validate_json(call.function.arguments).model_dump())
    except ValidationError as error:
        return str(error)


def unchecked_arguments(call, tools):
    if call.function.name not in tools:
        return "no such tool"
    return tools[call.function.name][1](**json.loads(call.function.arguments))


def raises_on_bad(call, tools):
    if call.function.name not in tools:
        return "no such tool"
    arguments, function = tools[call.function.name]
    return function(**arguments.model_validate_json(call.function.arguments).model_dump())


def any_tool(call, tools):
    name = call.function.name if call.function.name in tools else next(iter(tools))
    arguments, function = tools[name]
    try:
        return function(**arguments.model_validate_json(call.function.arguments).model_dump())
    except ValidationError as error:
        return str(error)


def silent_refusal(call, tools):
    return result(call, tools) if call.function.name in tools else ""


def made_up_result(call, tools):
    return result(call, tools) and "on its way"


def half_json(call, tools):
    if call.function.name not in tools:
        return "no such tool"
    arguments, function = tools[call.function.name]
    try:
        return function(
            **arguments.model_validate(json.loads(call.function.arguments)).model_dump()
        )
    except ValidationError as error:
        return str(error)


def returns_result(client, question, tools):
    _, message = first_request(client, question, tools)
    return result(message.tool_calls[0], tools) if message.tool_calls else message.content


def no_run(client, question, tools):
    return first_request(client, question, tools)[1].content


def runs_not(client, question, tools):
    messages, message = first_request(client, question, tools)
    if not message.tool_calls:
        return message.content
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls
    ]
    return second_request(client, [*messages, message, *results])


def calls_always(client, question, tools):
    messages, message = first_request(client, question, tools)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": result(call, tools)}
        for call in message.tool_calls
    ]
    return second_request(client, [*messages, message, *results])


def offers_none(client, question, tools):
    return second_request(client, [{"role": "user", "content": question}])


def one_offered(client, question, tools):
    messages = [{"role": "user", "content": question}]
    return (
        client.chat.completions.create(
            model=models.tools, messages=messages, tools=described(tools)[:1]
        )
        .choices[0]
        .message.content
    )


def nameless(client, question, tools):
    offered = [openai.pydantic_function_tool(arguments) for arguments, _ in tools.values()]
    return (
        client.chat.completions.create(
            model=models.tools, messages=[{"role": "user", "content": question}], tools=offered
        )
        .choices[0]
        .message.content
    )


def no_arguments_described(client, question, tools):
    offered = [{"type": "function", "function": {"name": name}} for name in tools]
    return (
        client.chat.completions.create(
            model=models.tools, messages=[{"role": "user", "content": question}], tools=offered
        )
        .choices[0]
        .message.content
    )


def asks_on(client, question, tools):
    text = with_tools(client, question, tools)
    second_request(client, [{"role": "user", "content": f"Is this polite? {text}"}])
    return text


def no_answer(client, question, tools):
    with_tools(client, question, tools)


def evaluated(call, tools):
    if call.function.name not in tools:
        return "no such tool"
    arguments, function = tools[call.function.name]
    try:
        return function(**arguments.model_validate(eval(call.function.arguments)).model_dump())
    except (ValidationError, SyntaxError) as error:
        return str(error)


def answered_by_another(client, question, tools):
    messages, message = first_request(client, question, tools)
    if not message.tool_calls:
        return message.content
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": result(call, tools)}
        for call in message.tool_calls
    ]
    return (
        client.chat.completions.create(model=models.chat, messages=[*messages, message, *results])
        .choices[0]
        .message.content
    )


def stops_at_the_first(client, question, tools, run_on=False):
    messages, message = first_request(client, question, tools)
    if not message.tool_calls:
        return message.content
    known = all(call.function.name in tools for call in message.tool_calls)
    results = []
    for call in message.tool_calls:
        results.append(
            {
                "role": "tool",
                "tool_call_id": call.id,
                "content": result(call, tools) if known else "error: no such tool",
            }
        )
        if not known and not run_on:
            break
    return second_request(client, [*messages, message, *results])


def all_or_nothing(client, question, tools):
    return stops_at_the_first(client, question, tools, run_on=True)


def tools_own_client(client, question, tools):
    return with_tools(
        openai.OpenAI(base_url=ROUTER, api_key=os.environ["HF_TOKEN"]), question, tools
    )


def with_tools_in_a_loop(client, question, tools):
    messages = [{"role": "user", "content": question}]
    while True:
        message = (
            client.chat.completions.create(
                model=models.tools, messages=messages, tools=described(tools)
            )
            .choices[0]
            .message
        )
        if not message.tool_calls:
            return message.content
        messages.append(message.to_dict())
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": result(call, tools)}
            for call in message.tool_calls
        ]


TOOLS_WRONG = [
    (make(run=no_list), "tool that does not exist. Your function raised KeyError"),
    (make(run=unchecked_arguments), "ran the tool with them"),
    (make(run=raises_on_bad), "did not fit the class (wrong type"),
    (make(run=any_tool), "`delete_everything`, which is not in"),
    (make(run=silent_refusal), "got no word about it"),
    (make(run=made_up_result), "not what the function returned"),
    (make(run=half_json), "cut in the middle"),
    (make(one_only=True), "Every call needs a result"),
    (make(message_first=False), "stands before the call"),
    (make(role="user", with_id=False), "no message with the role `tool`"),
    (make(with_id=False), "lacks its `tool_call_id`"),
    (make(with_question=False), "lacks the question"),
    (make(with_message=False), "asked for the call"),
    (returns_result, "the tool's result itself"),
    (no_run, "nothing was run"),
    (runs_not, "never ran it"),
    (calls_always, "answered without a call"),
    (offers_none, "describes no tools"),
    (one_offered, "describes the tools"),
    (nameless, "describes the tools OrderStatus"),
    (no_arguments_described, "does not name its arguments"),
    (asks_on, "one round"),
    (no_answer, "returns nothing (None)"),
    (make(run=evaluated), "With `eval` a model"),
    (answered_by_another, "The second request asked another model"),
    (stops_at_the_first, "Every call needs a result"),
    (all_or_nothing, "only the second was allowed"),
    (tools_own_client, "a client of its own"),
]


# ---- all of them -------------------------------------------------------------------------------

WRONG = [
    (task, function, part)
    for task, wrong in zip(
        TASKS, (CONNECT_WRONG, CHEAPEST_WRONG, SAY_WRONG, TICKET_WRONG, TOOLS_WRONG)
    )
    for function, part in wrong
]
RIGHT = [
    (CONNECT, connect),
    (CONNECT, connect_otherwise),
    (CONNECT, connect_with_options),
    (CHEAPEST, cheapest),
    (CHEAPEST, cheapest_otherwise),
    (CHEAPEST, cheapest_sorted),
    (SAY, say),
    (SAY, say_otherwise),
    (SAY, say_in_place_of_a_copy),
    (TICKET, to_ticket),
    (TICKET, to_ticket_otherwise),
    (TICKET, to_ticket_nested),
    (TOOLS, with_tools),
    (TOOLS, with_tools_otherwise),
    (TOOLS, with_tools_in_a_loop),
    (TOOLS, make()),
]


class TestExercise(CheckCases):
    tasks, right, wrong, quiz = TASKS[:-1], RIGHT, WRONG, QUIZ
    draws_right, places = 3, 2

    def stub(self, task):
        """With the arguments of the task, which the check may look at."""
        return eval(
            f"lambda {task.call.split('(')[1].rstrip(')')}: (_ for _ in"
            " ()).throw(NotImplementedError('your code here'))"
        )


def test_the_desks_are_those_of_the_data():
    from helpers.data import load

    assert set(DESKS) == {message["label"] for message in load("messages")}


def test_nothing_is_left_behind(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    before = wire.current(), dict(os.environ)
    for task, function in [*RIGHT, *((task, wrong) for task, wrong, _ in WRONG[::5])]:
        task.judge(function)
    assert (wire.current(), dict(os.environ)) == before
