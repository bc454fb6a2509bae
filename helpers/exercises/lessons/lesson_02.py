"""Exercise 02: the OpenAI client."""

import contextlib
import copy
import json
import os
import random
from unittest.mock import patch

import httpx2

from helpers import wire
from helpers.exercises.kit import (
    GIVEN,
    NotYet,
    Raised,
    answer,
    broken,
    describe,
    error,
    expect,
    expect_chat_request,
    expect_given_client,
    expect_text,
    read_tasks,
    reply,
    spy,
    words,
)
from helpers.models import models
from helpers.wire import Plan

ROUTER = "https://router.huggingface.co/v1"


def new_client():
    """A client as the exercise uses it. The key is looked up when a request is sent, and is then
    the spy's."""
    import openai
    from huggingface_hub import get_token

    return openai.OpenAI(
        base_url=ROUTER, api_key=get_token, max_retries=0, timeout=10, default_headers=GIVEN
    )


def call(service, function, *arguments):
    """Call the function; where it mixed up the two libraries, say so instead of quoting Python."""
    try:
        return service.call(function, *arguments)
    except Raised as raised:
        said = str(raised.error)
        expect(
            "has no attribute 'chat_completion'" not in said,
            "`chat_completion` is `InferenceClient`'s name for it. With `OpenAI` it is"
            " `client.chat.completions.create(…)`.",
        )
        expect(
            ("positional argument" not in said and "argument(s) but" not in said)
            or ("create" not in said and "parse" not in said),
            f"{raised}. With `OpenAI` every argument is passed by name: `messages=…`, `model=…`.",
        )
        expect(
            "Missing required arguments" not in said,
            f"{raised}. A chat needs both `model=` and `messages=`.",
        )
        expect(
            "object is not subscriptable" not in said or "Chat" not in said,
            f"{raised}. `openai`'s responses have attributes only:"
            " `response.choices[0].message.content`.",
        )
        raise


# ---- 1 -----------------------------------------------------------------------------------------

SECONDS = 30


def check_connect(connect) -> str:
    from openai import AsyncOpenAI, OpenAI

    token = f"hf_{random.getrandbits(160):040x}"  # another one than in the environment
    key_of_another = f"sk-{words(1)}"
    with spy() as service, patch.dict(os.environ, {"OPENAI_API_KEY": key_of_another}):
        before = dict(os.environ)
        client = call(service, connect, token)
        changed = sorted(
            name for name in before.keys() | os.environ if before.get(name) != os.environ.get(name)
        )
        expect(
            not changed,
            f"Your function changed {', '.join(f'`{name}`' for name in changed)} in the"
            " environment, and with it every other client of the program. Pass everything to this"
            " one: `OpenAI(base_url=…, api_key=token, …)`.",
        )
        expect(client is not None, "Your function returns nothing (None). Did you forget `return`?")
        expect(
            type(client).__name__ != "InferenceClient",
            "That is the client of `huggingface_hub`. This task wants `openai`'s:"
            " `OpenAI(base_url=…, api_key=…)`.",
        )
        expect(
            not isinstance(client, AsyncOpenAI),
            "`AsyncOpenAI` has to be awaited. This task wants the plain `OpenAI`.",
        )
        expect(
            isinstance(client, OpenAI),
            f"You returned {describe(client)}; the task asks for an `OpenAI` client.",
        )
        _expect_router(str(client.base_url))
        client.chat.completions.create(
            model=models.chat, messages=[{"role": "user", "content": words(3)}], max_tokens=5
        )
        expect(
            client.api_key != key_of_another,
            "The client took the key from OPENAI_API_KEY, which belongs to another company, and not"
            " the `token` your function was given. Pass `api_key=token`.",
        )
        expect(
            client.api_key != service.token,
            "The client has the token of the environment, not the one your function was given. Use"
            " its argument: `api_key=token`.",
        )
        expect(
            client.api_key == token,
            "The client does not use the `token` that your function was given. Pass"
            " `api_key=token`.",
        )
        expect(
            service.sent.last.url == f"{ROUTER}/chat/completions",
            f"A request of your client went to `{service.sent.last.url}`.",
        )
    limit = (
        client.timeout
        if isinstance(client.timeout, (int, float))
        else getattr(client.timeout, "read", None)
    )
    expect(
        limit != 600,
        "The client waits ten minutes for an answer, which is `openai`'s default. Pass"
        f" `timeout={SECONDS}`.",
    )
    expect(limit is not None, f"`timeout=None` means: wait for ever. Pass `timeout={SECONDS}`.")
    expect(
        limit == SECONDS,
        f"The client waits {limit:g} seconds; the task asks for {SECONDS}. A timeout is in seconds,"
        " as a number.",
    )
    expect(
        client.max_retries == 0,
        f"The client repeats failed requests {client.max_retries} times by itself, unseen. Switch"
        " that off with `max_retries=0`; lesson 03 does it in the open.",
    )

    for missing in (None, ""):
        shown = repr(missing)
        for environment, there in (({"OPENAI_API_KEY": key_of_another}, True), ({}, False)):
            with spy() as service, patch.dict(os.environ, environment):
                if not there:
                    os.environ.pop("OPENAI_API_KEY", None)
                try:
                    client = service.call(connect, missing)
                except Raised as raised:
                    kind = type(raised.error).__name__
                    expect(
                        isinstance(raised.error, ValueError),
                        f"For the token {shown} your function raised {kind}. The task asks for a"
                        " ValueError, so that whoever calls it can tell what is wrong.",
                    )
                    expect(
                        str(raised.error).strip(),
                        "The ValueError says nothing. Write into it what is missing: `raise"
                        ' ValueError("no Hugging Face token")`.',
                    )
                    continue
                expect(
                    getattr(client, "api_key", None) != key_of_another,
                    f"For the token {shown} your client silently took the key in OPENAI_API_KEY."
                    " Every request would send it to Hugging Face. Raise a ValueError before you"
                    " build the client.",
                )
                raise NotYet(
                    f"For the token {shown} your function returned"
                    f" {'nothing' if client is None else 'a client'}. Raise a ValueError before you"
                    " build the client."
                )
    return (
        "the router's address, the token it was given, limits that suit a person, and no way for"
        " another key to slip in."
    )


def _expect_router(base_url: str) -> None:
    """Before anything is sent: a client with another address would really go there."""
    base_url = base_url.rstrip("/")
    expect(
        "api.openai.com" not in base_url,
        "Without `base_url` the client calls OpenAI itself, with your Hugging Face token. Pass the"
        " router's address.",
    )
    expect(
        "api-inference" not in base_url,
        "That is the old host, which is switched off and answers 410. The router's address is"
        " `https://router.huggingface.co/v1`.",
    )
    expect(
        base_url != ROUTER.removesuffix("/v1"),
        "The address lacks its `/v1`: `openai` adds only `/chat/completions` to it.",
    )
    expect(
        base_url == ROUTER,
        f"The base URL is `{base_url}`; the router's is `{ROUTER}`, with nothing behind it.",
    )


# ---- 2 -----------------------------------------------------------------------------------------

ABILITIES = ("supports_tools", "supports_structured_output")


def offer(
    provider: str,
    output: float | None,
    status: str = "live",
    tools: bool | None = True,
    schema: bool | None = True,
) -> dict:
    """One provider's entry in the catalogue. None leaves the field out, as providers do."""
    entry = {
        "provider": provider,
        "status": status,
        "is_model_author": False,
        "supports_tools": tools,
        "supports_structured_output": schema,
        "pricing": (
            None
            if output is None
            else {"input": round(random.uniform(0.01, 9), 3), "output": output}
        ),
    }
    return {name: value for name, value in entry.items() if value is not None}


@contextlib.contextmanager
def catalogue(service, *listed: tuple[str, list[dict]]):
    """Within the block, GET /v1/models answers with these (model, offers)."""
    data = [
        {
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": name.split("/")[0],
            "providers": offers,
        }
        for name, offers in listed
    ]
    body = json.dumps({"object": "list", "data": data}).encode()

    def handler(request: httpx2.Request) -> Plan:
        kept = service(request)
        return (
            Plan(200, {"content-type": "application/json"}, [(0.0, body)])
            if request.url.path == "/v1/models"
            else kept
        )

    with wire.in_front(handler):
        yield


def check_cheapest(cheapest) -> str:
    names = [f"{words(1)}-{i}" for i in range(9)]
    # No two alike, and the lowest has one digit before the point and the others two: as texts they
    # would be in another order.
    prices = [random.randint(200, 999) / 100] + sorted(
        cents / 100 for cents in random.sample(range(1000, 1800), 8)
    )

    def run(offers: list[dict], *needs: str):
        """The provider that was chosen out of these offers; other models are cheaper."""
        model, other, cheap = (
            f"{words(1)}/{words(1)}",
            f"{words(1)}/{words(1)}",
            [offer(names[8], 0.01)],
        )
        random.shuffle(offers)
        given = list(needs)
        with (
            spy() as service,
            catalogue(
                service,
                (other, cheap),
                (f"{model}-mini", cheap),
                (model, offers),
                (models.tools, cheap),
            ),
        ):
            try:
                value = call(service, cheapest, new_client(), model, given)
            except Raised as raised:
                expect(
                    not isinstance(raised.error, KeyError),
                    f"{raised}. Not every offer has every field. Read with `.get(…)`, which gives"
                    " None where there is nothing.",
                )
                expect(
                    "'dict' object has no attribute" not in str(raised.error),
                    f'{raised}. `model.providers` is a list of dictionaries: `offer["status"]`.',
                )
                raise
        expect(
            not service.sent.entries,
            "You asked a model. The prices are in the list of models: `client.models.list()`, which"
            " is free.",
        )
        expect(
            any(entry.path == "/v1/models" for entry in service.lookups),
            "The list of models was not asked for, so the answer cannot be today's. Call"
            " `client.models.list()`.",
        )
        expect_given_client(service)
        expect(
            given == list(needs),
            "You changed the list `needs` that was passed to you; whoever called your function may"
            " still need it.",
        )
        expect(
            len(service.lookups) == 1,
            f"You asked for the list {len(service.lookups)} times; once is enough, keep it in a"
            " variable.",
        )
        if value is not None:
            expect(
                not isinstance(value, dict),
                "You returned the whole offer. The task asks for the text that goes into `model=`:"
                " the model's id, a colon, the provider.",
            )
            expect(
                isinstance(value, str),
                f"You returned {describe(value)}; the task asks for a text like"
                ' "org/model:provider", or None.',
            )
            expect(
                not value.startswith((f"{other}:", f"{models.tools}:")),
                f"You chose another model (`{value}`) than the one that was asked for, `{model}`."
                " Take the offers of the one whose `id` is the argument `model`.",
            )
            expect(
                value not in names,
                "You returned the provider alone. The text that goes into `model=` is the model's"
                " id, a colon, the provider.",
            )
            expect(
                value != f"{model}-mini:{names[8]}" and value != f"{model}:{names[8]}",
                f"That offer belongs to another model, `{model}-mini`, whose name only begins like"
                " the one that was asked for. Compare the whole `id`: `listed.id == model`.",
            )
            expect(
                value.startswith(f"{model}:"),
                f"You returned `{value}`. The form is the model's id, a colon, the provider:"
                f" `{model}:{names[0]}`.",
            )
        return value and value.split(":")[-1]

    one, two, three, four, five = names[:5]
    for _ in range(3):  # offers come in any order
        offers = [offer(one, prices[2]), offer(two, prices[0]), offer(three, prices[1])]
        offers[1]["pricing"]["input"] = (
            50.0  # the cheapest to write with is the dearest to read with
        )
        chosen = run(offers)
        expect(
            chosen is not None,
            "Your function returned nothing (None) although three providers are live and say their"
            " price.",
        )
        expect(
            chosen in (two,),
            (
                "You did not choose the lowest price for output. Each offer has two prices,"
                ' `offer["pricing"]["input"]` and `["output"]`: compare `output`.'
                if chosen in (one, three)
                else f"`{chosen}` is none of the providers."
            ),
        )
    chosen = run([offer(one, prices[0], status="error"), offer(two, prices[3])])
    expect(
        chosen == two,
        'You chose a provider whose `status` is "error": it is not answering. Take only offers'
        ' whose `status` is "live".',
    )
    chosen = run([offer(one, prices[0], status="staging"), offer(two, prices[3])])
    expect(
        chosen == two,
        'You chose a provider whose `status` is "staging". There are more statuses than two: take'
        ' only offers whose `status` is "live".',
    )
    chosen = run([offer(one, 0.0), offer(two, prices[3])])
    expect(
        chosen == one,
        "One provider's price is 0, which is the lowest there is, and you left it out. A price of 0"
        " is known, and 0 is false in an `if`: ask whether there is a `pricing`, not whether its"
        " number is true.",
    )
    chosen = run([offer(one, None), offer(two, prices[3])])
    expect(
        chosen == two,
        "You chose a provider that does not say its price. Not known is not free: leave such offers"
        " out.",
    )
    for need, at in zip(ABILITIES, ("tools", "schema")):
        chosen = run([offer(one, prices[0], **{at: False}), offer(two, prices[3])], need)
        expect(
            chosen == two,
            f"`{need}` was needed, and you chose a provider that says it cannot. Every name in"
            " `needs` must be true in the offer.",
        )
        chosen = run([offer(one, prices[0], **{at: None}), offer(two, prices[3])], need)
        expect(
            chosen == two,
            f"`{need}` was needed, and you chose a provider that does not say whether it can. Not"
            " said is not yes: `offer.get(need)`.",
        )
    chosen = run(
        [
            offer(three, prices[0], schema=False),
            offer(one, prices[1], tools=False),
            offer(two, prices[3]),
        ],
        *ABILITIES,
    )
    expect(
        chosen == two,
        "Two abilities were needed, and your provider has only one of them. All of `needs` must be"
        " true: `all(…)`.",
    )
    chosen = run([offer(one, prices[0], tools=False, schema=False), offer(two, prices[3])])
    expect(
        chosen == one,
        "Nothing was needed, and you left out a provider that lacks an ability. Look only at the"
        " names in `needs`.",
    )
    try:
        nobody = run([offer(four, prices[0], tools=False), offer(five, None)], "supports_tools")
    except Raised as raised:
        raise NotYet(
            f"Nobody fits, and {str(raised)[0].lower()}{str(raised)[1:]}. Return None then: `min(…,"
            " default=None)`, or look whether the list is empty."
        ) from None
    expect(nobody is None, "Nobody fits, and you named a provider all the same. Return None.")
    return "live, able, priced, and the lowest of them; None when nobody fits."


# ---- 3 -----------------------------------------------------------------------------------------

SAY_TOKENS = 80


def check_say(say) -> str:
    def history(turns: int) -> list[dict]:
        said = [{"role": "system", "content": f"Answer as {words(2)}."}]
        for _ in range(turns):
            said += [
                {"role": "user", "content": words(4)},
                {"role": "assistant", "content": words(6)},
            ]
        return said

    def run(turns: int, keep: int):
        before, text = history(turns), f"And what about {words(2)}?"
        given = copy.deepcopy(before)
        with spy() as service:
            value = call(service, say, new_client(), given, text, keep)
        expect_chat_request(service, text, models.chat, SAY_TOKENS)
        expect_given_client(service)
        expect(len(service.sent) == 1, f"You sent {len(service.sent)} requests for one turn.")
        sent = service.sent.last.json["messages"]
        _expect_messages(sent, before, text, keep)
        expect(
            value is not None,
            "Your function returns nothing (None); the task asks for two things, `return answer,"
            " history`.",
        )
        expect(
            isinstance(value, tuple) and len(value) == 2,
            f"You returned {describe(value)}; the task asks for two things, `return answer,"
            " history`.",
        )
        said, after = value
        expect(
            not isinstance(said, list),
            "The two returned things are in the wrong order: first the answer, then the history.",
        )
        expect_text(said, service.said[-1], service)
        _expect_history(after, before, text, said, len(sent))
        expect(
            given == before,
            "You changed the history that was passed to you; whoever called your function may still"
            " need it. Make a new list: `[*history, …]` instead of `history.append(…)`.",
        )

    run(turns=4, keep=2)
    run(turns=3, keep=1)
    run(turns=1, keep=5)
    run(turns=3, keep=0)
    run(turns=0, keep=2)
    before = history(2)
    given = copy.deepcopy(before)
    with spy(error(401)) as service:
        try:
            service.call(say, new_client(), given, words(3), 2)
        except Raised as raised:
            expect(
                getattr(raised.error, "status_code", None) == 401,
                "The service refused the request (401), and your function raised"
                f" {type(raised.error).__name__} in place of the error that happened, which knows"
                " the status and the reason. Let it through as it is.",
            )
        else:
            raise NotYet(
                "The service refused the request, and your function returned as if nothing had"
                " happened. Let the error through: there is no answer to add."
            )
    expect(
        given == before,
        "The request failed, and the history you were given has changed all the same: the next turn"
        " would send a question that was never answered. Build a new list and leave the given one"
        " alone.",
    )
    return (
        "the instructions, the last turns and the question are sent; the whole history comes back"
        " longer by one turn."
    )


def _expect_messages(sent: list, before: list, text: str, keep: int) -> None:
    first, turns = before[0], before[1:]
    kept = turns[max(0, len(turns) - 2 * keep) :]
    right = [first, *kept, {"role": "user", "content": text}]
    if [(m.get("role"), m.get("content")) for m in sent] == [
        (m["role"], m["content"]) for m in right
    ]:
        return
    contents = [message.get("content") for message in sent]
    expect(
        first["content"] in contents,
        "The instructions (the system message, first in the history) were not sent. Without them"
        " the model forgets how to answer: keep `history[:1]`, whatever is left out.",
    )
    expect(
        contents[-1] == text,
        "The new question is not the last message. A history is in the order in which it was said.",
    )
    expect(contents.count(text) == 1, "The new question is in the request twice.")
    expect(
        contents.count(first["content"]) == 1,
        "The instructions are in the request twice: they are the first message of the history, so"
        " take the last turns from `history[1:]`.",
    )
    expect(
        len(sent) <= len(right) or keep or len(sent) != len(before) + 1,
        "With `keep=0` you sent the whole history: `history[-0:]` is everything, because -0 is 0."
        " Count from the front instead: `rest[max(0, len(rest) - 2 * keep):]`.",
    )
    expect(
        len(sent) != len(before) + 1 or len(right) == len(before) + 1,
        f"You sent the whole history. With `keep={keep}` only the last {keep} turns go along.",
    )
    expect(
        len(sent) != keep + 2,
        f"You kept {keep} messages. A turn is two messages, a question and its answer: that is `2 *"
        " keep`.",
    )
    expect(
        len(kept) == 0 or len(sent) > 2,
        "You sent the question without what was said before. The model remembers nothing by"
        " itself.",
    )
    roles = ", ".join(str(message.get("role")) for message in sent)
    raise NotYet(
        f"With a history of {len(before)} messages and `keep={keep}`, the request must hold"
        f" {len(right)} messages: the instructions, the last {len(kept)} messages, the question."
        f" Yours held {len(sent)}: {roles}."
    )


def _expect_history(after: object, before: list, text: str, said: str, sent: int) -> None:
    expect(
        isinstance(after, list),
        f"The history you returned is {describe(after)}; it must be a list of messages.",
    )
    right = [*before, {"role": "user", "content": text}, {"role": "assistant", "content": said}]
    if after == right:
        return
    plain = all(isinstance(message, dict) for message in after)
    expect(
        plain,
        f"The history holds an object of type {type(after[-1]).__name__}. Put a dictionary there,"
        ' `{"role": "assistant", "content": answer}`: such a history can be stored as JSON.',
    )
    expect(
        after != right[:-1],
        "The model's answer is not in the history you returned. In the next turn the model would"
        " not know what it said.",
    )
    expect(
        after != before,
        "The history you returned is the old one. The question and the answer belong to it.",
    )
    expect(
        len(after) != sent + 1 or len(after) == len(right),
        "You returned the shortened history. Send the short one, but return the whole: what was"
        " said is still worth keeping.",
    )
    expect(
        after[: len(before)] == before,
        "What was in the history before has changed in what you returned.",
    )
    last = after[-1] if after else {}
    expect(
        last.get("role") == "assistant",
        f"The last message of the history has the role `{last.get('role')}`. What the model said"
        " has the role `assistant`.",
    )
    more = sorted(set(last) - {"role", "content"})
    expect(
        not more,
        f"The last message holds more than role and content: {', '.join(more)}. `model_dump()`"
        " writes fields that are None too, and some servers refuse them in the next request. Put"
        ' `{"role": "assistant", "content": answer}` there.',
    )
    raise NotYet(
        "The history you returned must be the old one, then the question (`user`), then the answer"
        " (`assistant`), each a dictionary with role and content."
    )


# ---- 4 -----------------------------------------------------------------------------------------

DESKS = ("billing", "account", "technical support", "general")
FIRST, SECOND = 100, 400


def check_to_ticket(to_ticket) -> str:
    from openai import LengthFinishReasonError

    def ticket() -> dict:
        return {
            "desk": random.choice(DESKS),
            "urgent": random.random() < 0.5,
            "amount": random.choice([None, round(random.uniform(1, 99), 2)]),
        }

    def padded(value: dict, length: int) -> str:
        """The same JSON, long: white space is written token by token too."""
        text = json.dumps(value)
        return text[:1] + " " * (length - len(text.split(" "))) + text[1:]

    def run(*steps, at_most: int = 2):
        text = f"Message {random.getrandbits(32)}: {words(8)}."
        with spy(*steps, limit=6) as service:
            try:
                value, raised = call(service, to_ticket, new_client(), text), None
            except Raised as caught:
                if not service.sent.entries:
                    raise
                value, raised = None, caught
            except NotYet as ended:
                expect(
                    len(service.sent) <= 2,
                    "You asked again and again. A second try with more room is enough; after that"
                    " let the error through.",
                )
                raise ended
        _expect_ticket_request(service, text)
        expect_given_client(service)
        first = service.sent[0].json
        for row in range(1, len(service.sent)):
            again = service.sent[row].json
            expect(
                again.get("messages") == first["messages"],
                "The second request asks something else than the first. Only `max_tokens` changes.",
            )
            expect(
                again.get("model") == first["model"],
                f"The second request asked another model, `{again.get('model')}`. Only `max_tokens`"
                " changes.",
            )
            expect(
                again.get("response_format") == first["response_format"],
                "The second request has another `response_format` than the first, or none. Only"
                " `max_tokens` changes.",
            )
        expect(
            len(service.sent) <= at_most,
            f"You sent {len(service.sent)} requests where {at_most} would do. Each is paid for and"
            " counts against the limit.",
        )
        return value, raised, service

    for _ in range(3):
        right = ticket()
        value, raised, service = run(reply(json.dumps(right)), at_most=1)
        if raised:
            raise raised
        _expect_is_ticket(value, right, service)

    right = ticket()
    value, raised, service = run(reply(padded(right, 250)), reply(padded(right, 250)))
    expect(
        len(service.sent) == 2,
        f"An answer cut at {FIRST} tokens was not asked for again. `parse` raises"
        " `openai.LengthFinishReasonError` then: catch it, and ask once more with"
        f" `max_tokens={SECOND}`.",
    )
    room = service.sent[1].json.get("max_tokens")
    expect(
        room != FIRST,
        f"The second request had the same `max_tokens`, {FIRST}: it is cut at the same place, and"
        " paid twice.",
    )
    expect(
        room == SECOND,
        f"The second request must allow {SECOND} tokens; yours had `max_tokens={room}`.",
    )
    if raised:
        raise raised
    _expect_is_ticket(value, right, service)

    value, raised, service = run(*[reply(padded(right, 900))] * 6)
    expect(
        len(service.sent) == 2,
        f"You sent {len(service.sent)} requests for an answer that is always cut. Two tries, then"
        " let the error through.",
    )
    expect(
        raised is not None,
        "The second answer was cut too, and your function returned as if it were whole. Let"
        " `LengthFinishReasonError` through then.",
    )
    expect(
        isinstance(raised.error, LengthFinishReasonError),
        "The second answer was cut too. The task asks to let `LengthFinishReasonError` through;"
        f" {str(raised)[0].lower()}{str(raised)[1:]}.",
    )

    for unfit in (
        '{"desk": "complaints", "urgent": true, "amount": null}',
        "Sure! The desk is billing.",
        '{"desk": "billing", "urgent": true}',
    ):
        value, raised, service = run(*[reply(unfit)] * 3, at_most=1)
        expect(
            raised is None or type(raised.error).__name__ != "ValidationError",
            "An answer that does not fit the class made your function raise `ValidationError`. The"
            " task asks for None then: `except ValidationError: return None`.",
        )
        if raised:
            raise raised
        expect(
            not isinstance(value, (dict, str)),
            f"The model answered `{unfit}`, which is no ticket, and your function returned"
            f" {describe(value)} all the same. Only what the class accepts may come back.",
        )
        expect(
            value is None,
            f"The model answered `{unfit}`, which is no ticket. Return None; your function returned"
            f" {describe(value)}.",
        )

    value, raised, service = run(
        reply(padded(right, 250)),
        *[reply('{"desk": "complaints", "urgent": true, "amount": null}')] * 3,
    )
    expect(
        raised is None,
        f"The first answer was cut, and the second does not fit the class. {raised}. Return None"
        " then, whichever request it was: the second one belongs inside the `try` too.",
    )
    expect(
        value is None,
        "The first answer was cut, and the second does not fit the class. Return None; your"
        f" function returned {describe(value)}.",
    )

    only_two = (
        "Catch only the two exceptions that you have an answer for, `LengthFinishReasonError` and"
        " `ValidationError`."
    )
    value, raised, service = run(error(401), error(401))
    expect(
        len(service.sent) == 1,
        f"The service refused the request (401), and you sent it again. {only_two}",
    )
    expect(
        raised is not None and getattr(raised.error, "status_code", None) == 401,
        f"The service refused the request (401), and your function hid it. {only_two}",
    )
    for step, kind, what in (
        (error(429), "RateLimitError", "The service refused the request (429, too many requests)"),
        (broken(), "APIConnectionError", "The connection failed"),
    ):
        value, raised, service = run(step, step)
        expect(len(service.sent) == 1, f"{what}, and you sent the request again. {only_two}")
        expect(
            raised is not None and type(raised.error).__name__ == kind,
            f"{what}, and `{kind}` did not come through. {only_two}",
        )
    return (
        "an object of your class when it fits, one more try when it was cut, None when it does not"
        " fit, and every other error goes through."
    )


def _expect_ticket_request(service, text: str) -> None:
    expect(service.sent.entries, "No request was sent. Call `client.chat.completions.parse(…)`.")
    body = service.sent[0].json if isinstance(service.sent[0].json, dict) else {}
    asked = body.get("response_format")
    expect(
        asked,
        "The request has no `response_format`, so the model may answer in any form. Pass the class:"
        " `parse(…, response_format=Ticket)`.",
    )
    kind = asked.get("type") if isinstance(asked, dict) else None
    expect(
        kind == "json_schema",
        f"`response_format` has the type `{kind}`: some JSON, of whatever shape. Pass the class"
        " itself, `response_format=Ticket`, and its schema is sent.",
    )
    schema = (asked.get("json_schema") or {}).get("schema") or {}
    expect(
        set(schema.get("properties", {})) == {"desk", "urgent", "amount"},
        "The schema that you sent is not that of the class `Ticket` above. Pass"
        " `response_format=Ticket`.",
    )
    expect_chat_request(service, text, models.tools, row=0)
    limit = body.get("max_tokens")
    expect(
        limit != SECOND,
        f"You began with `max_tokens={SECOND}`. Begin with {FIRST}; most tickets fit, and a model"
        " that rambles costs less.",
    )
    expect(limit is not None, f"The first request has no `max_tokens`. Pass `max_tokens={FIRST}`.")
    expect(
        limit == FIRST,
        f"The first request had `max_tokens={limit}`; this task begins with {FIRST}.",
    )


def _expect_is_ticket(value: object, right: dict, service) -> None:
    expect(
        value is not None,
        (
            "The answer fits the class, and your function returned nothing (None). Return the"
            " object, `response.choices[0].message.parsed`."
            if not service.printed
            else (
                "Your function prints the ticket and returns nothing. Whoever calls it gets None:"
                " use `return`."
            )
        ),
    )
    kind = type(value).__name__
    expect(
        "ChatCompletion[" not in kind and kind != "ParsedChatCompletion",
        "You returned the whole response. The object is inside it:"
        " `response.choices[0].message.parsed`.",
    )
    expect(
        "Message" not in kind,
        "You returned the message. The object is one step further in: `.parsed`.",
    )
    expect(
        "Choice" not in kind,
        "You returned the choice. The object is further in: `.message.parsed`.",
    )
    expect(
        not isinstance(value, str),
        "You returned the text. `parse` has made an object of it:"
        " `response.choices[0].message.parsed`.",
    )
    expect(
        not isinstance(value, dict),
        "You returned a dictionary, which nothing has checked. `parse` has made an object of the"
        " class: `response.choices[0].message.parsed`.",
    )
    expect(
        hasattr(value, "model_dump"),
        f"You returned {describe(value)}; the task asks for an object of the class `Ticket`.",
    )
    expect(
        value.model_dump() == right,
        f"The model answered {json.dumps(right)}, and your ticket says"
        f" {json.dumps(value.model_dump())}. Return what came back in this very call.",
    )


# ---- 5 -----------------------------------------------------------------------------------------


def check_with_tools(with_tools) -> str:
    from pydantic import BaseModel

    class OrderStatus(BaseModel):
        """Find out where an order is."""

        order_id: int

    class Refund(BaseModel):
        """Return the money for an order."""

        order_id: int
        cents: int

    ran: list[tuple] = []
    results: dict[tuple, str] = {}

    def tool(name: str):
        def function(**arguments):
            key = (name, *sorted(arguments.items()))
            ran.append(key)
            return results.setdefault(key, words(5))

        return function

    status, refund = (
        f"status_{words(1)}",
        f"refund_{words(1)}",
    )  # names nobody can have written down
    tools = {status: (OrderStatus, tool(status)), refund: (Refund, tool(refund))}

    def run(first, second=None):
        """(what was returned, the spy, the tool messages of the second request by call id)."""
        ran.clear()
        results.clear()
        question = f"Where is my order {random.randint(1000, 9999)}? {words(2)}"
        with spy(first, second or reply(words(9)), limit=6) as service:
            value = call(service, with_tools, new_client(), question, dict(tools))
        expect_chat_request(service, question, models.tools, row=0)
        expect_given_client(service)
        _expect_offered(service.sent[0].json, tools)
        if len(service.sent) < 2:
            return value, service, {}
        messages = service.sent[1].json.get("messages", [])
        asked = [m for m in messages if m.get("role") == "assistant"]
        answered = [m for m in messages if m.get("role") == "tool"]
        expect(
            any(question in str(m.get("content")) for m in messages),
            "The second request lacks the question. The model remembers nothing: send the question,"
            " its call, and the result.",
        )
        expect(
            asked and asked[-1].get("tool_calls"),
            "The second request lacks the message in which the model asked for the call. Put"
            " `response.choices[0].message` into the messages, before the result.",
        )
        expect(
            answered,
            "The second request has no message with the role `tool`. A result goes back as"
            ' `{"role": "tool", "tool_call_id": call.id, "content": …}`.',
        )
        expect(
            all(m.get("tool_call_id") for m in answered),
            "A tool's result lacks its `tool_call_id`, so the model cannot tell which call it"
            " belongs to. It is `call.id`.",
        )
        expect(
            messages.index(asked[-1]) < messages.index(answered[0]),
            "The result stands before the call in the messages. First what the model asked for,"
            " then the result.",
        )
        expect(
            all(isinstance(m.get("content"), str) for m in answered),
            "The content of a tool's message must be a text.",
        )
        given = {m["tool_call_id"]: m["content"] for m in answered}
        wanted = [c["id"] for c in asked[-1]["tool_calls"]]
        expect(
            set(given) <= set(wanted),
            "A `tool_call_id` is none of the model's calls. Take `call.id`.",
        )
        expect(
            set(given) == set(wanted),
            f"The model asked for {len(wanted)} calls and {len(given)} came back. Every call needs"
            " a result: go through all of `message.tool_calls`.",
        )
        asked = str(service.sent[1].json.get("model"))
        expect(
            asked.split(":")[0] == models.tools,
            f"The second request asked another model, `{asked}`. The one that asked for the call,"
            " `models.tools`, is to get its result.",
        )
        return value, service, given

    def calls(*wanted):
        return reply(
            tool_calls=[{"name": name, "arguments": arguments} for name, arguments in wanted]
        )

    # A call as it should be.
    for name, arguments in (
        (status, {"order_id": random.randint(1, 9999)}),
        (refund, {"order_id": random.randint(1, 9999), "cents": random.randint(1, 999)}),
    ):
        value, service, given = run(calls((name, arguments)))
        key = (name, *sorted(arguments.items()))
        if len(service.sent) < 2:
            expect(
                value not in results.values(),
                "You returned the tool's result itself. The model has to see it in a second"
                " request, and makes an answer of it.",
            )
            expect(
                ran,
                "The model asked for a call, and nothing was run. The calls are in"
                " `response.choices[0].message.tool_calls`.",
            )
            raise NotYet(
                "The result of the call was not sent to the model: there was no second request."
            )
        expect(ran, "The model asked for a call, and your function never ran it.")
        expect(
            ran == [key],
            f"The model asked for `{name}` with {arguments}; your function ran {_said(ran)}.",
        )
        expect(
            given["call_0"] == results[key], "What you sent back is not what the function returned."
        )
        expect(
            len(service.sent) == 2,
            f"You sent {len(service.sent)} requests; this task makes one round, which is two.",
        )
        expect_text(value, service.said[-1], service)

    # Two calls in one message.
    one, two = random.randint(1, 4999), random.randint(5000, 9999)
    value, service, given = run(calls((status, {"order_id": one}), (status, {"order_id": two})))
    expect(
        [key[1][1] for key in ran] == [one, two],
        f"The model asked for two calls, and your function ran {len(ran)}. Go through all of"
        " `message.tool_calls`.",
    )
    expect(
        given["call_1"] == results[(status, ("order_id", two))],
        "The two results went back to the wrong calls.",
    )

    # What must not be run.
    try:
        value, service, given = run(calls(("delete_everything", {"order_id": 1})))
    except Raised as raised:
        raise NotYet(
            f"The model asked for a tool that does not exist. {raised}. A model may write any name:"
            " look whether it is in `tools`, and if not, send that back as the result."
        ) from None
    expect(
        not ran,
        "The model asked for `delete_everything`, which is not in `tools`, and your function ran"
        " something.",
    )
    expect(
        given.get("call_0", "").strip(),
        "The model asked for a tool that does not exist, and got no word about it. Send a text that"
        " says so as the result.",
    )

    bad = [("wrong type", {"order_id": "all of them"}), ("a missing field", {})]
    for what, arguments in bad:
        try:
            value, service, given = run(calls((status, arguments)))
        except Raised as raised:
            raise NotYet(
                f"The arguments did not fit the class ({what}: {json.dumps(arguments)}). {raised}."
                " Catch `ValidationError`, and send what is wrong back as the result."
            ) from None
        expect(
            not ran,
            f"The model's arguments were {json.dumps(arguments)}, which does not fit the class"
            f" ({what}), and your function ran the tool with them. Check them first:"
            " `arguments.model_validate_json(call.function.arguments)`.",
        )
        expect(
            given.get("call_0", "").strip(),
            "The arguments did not fit, and the model got no word about it. Send what is wrong back"
            " as the result.",
        )

    head = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": models.tools,
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }
    half = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_0",
                "type": "function",
                "function": {"name": status, "arguments": '{"order_id": 10'},
            }
        ],
    }
    try:
        value, service, given = run(
            answer({**head, "choices": [{"index": 0, "message": half, "finish_reason": "length"}]})
        )
    except Raised as raised:
        raise NotYet(
            f"The arguments were cut in the middle, so they were no JSON. {raised}."
            " `model_validate_json` raises `ValidationError` for that too: catch it, and send it"
            " back as the result."
        ) from None
    expect(
        not ran,
        'The arguments were cut in the middle (`{"order_id": 10`), and your function ran the tool'
        " all the same.",
    )

    sums = {
        **half,
        "tool_calls": [
            {
                "id": "call_0",
                "type": "function",
                "function": {"name": status, "arguments": '{"order_id": 40 + 2}'},
            }
        ],
    }
    try:
        value, service, given = run(
            answer(
                {**head, "choices": [{"index": 0, "message": sums, "finish_reason": "tool_calls"}]}
            )
        )
    except Raised as raised:
        raise NotYet(
            f'The arguments were no JSON (`{{"order_id": 40 + 2}}`). {raised}.'
            " `model_validate_json` raises `ValidationError` for that too: catch it, and send it"
            " back as the result."
        ) from None
    expect(
        not ran,
        'The model\'s arguments were `{"order_id": 40 + 2}`, which is no JSON but Python, and your'
        " function worked it out. With `eval` a model, or whoever writes into its prompt, runs what"
        " it likes on your machine. Read arguments with `model_validate_json`.",
    )

    # One that must not be run and one that may, in one message.
    number = random.randint(1, 9999)
    try:
        value, service, given = run(
            calls(("delete_everything", {"order_id": 1}), (status, {"order_id": number}))
        )
    except Raised as raised:
        raise NotYet(
            f"The model asked for a tool that does not exist. {raised}. A model may write any name:"
            " look whether it is in `tools`, and if not, send that back as the result."
        ) from None
    if not service.sent[1:]:
        raise NotYet(
            "The model asked for two calls, the first of a tool that does not exist, and there was"
            " no second request. Send what is wrong back as that call's result, and go on."
        )
    expect(
        ran == [(status, ("order_id", number))],
        "The model asked for two calls, of which only the second was allowed. That one must run;"
        f" your function ran {_said(ran)}.",
    )

    # No call at all.
    try:
        value, service, given = run(reply())
    except Raised as raised:
        raise NotYet(
            f"The model answered without a call. {raised}. `message.tool_calls` is None then:"
            " return the text."
        ) from None
    expect(
        len(service.sent) == 1,
        "The model answered without a call, and you sent a second request all the same.",
    )
    expect_text(value, service.said[-1], service)
    return (
        "the tools are described, every call is checked before it runs, each result goes back under"
        " its id, and the model has the last word."
    )


def _expect_offered(body: dict, tools: dict) -> None:
    offered = body.get("tools")
    expect(
        offered,
        "The request describes no tools, so the model cannot ask for one. Pass `tools=[…]`, one"
        " `openai.pydantic_function_tool(arguments, name=name)` for each.",
    )
    names = [tool.get("function", {}).get("name") for tool in offered if isinstance(tool, dict)]
    expect(
        set(names) == set(tools),
        f"The request describes the tools {', '.join(map(str, names))}; `tools` has"
        f" {', '.join(tools)}. Give each its name in `tools`:"
        " `openai.pydantic_function_tool(arguments, name=name)`.",
    )
    for tool in offered:
        known = tool["function"].get("parameters", {}).get("properties", {})
        expect(
            set(known) == set(tools[tool["function"]["name"]][0].model_fields),
            f"The description of `{tool['function']['name']}` does not name its arguments."
            " `openai.pydantic_function_tool` makes it from the class.",
        )


def _said(ran: list[tuple]) -> str:
    return (
        ", ".join(
            f"`{name}({', '.join(f'{k}={v}' for k, v in arguments)})`" for name, *arguments in ran
        )
        or "nothing"
    )


# ---- 6 -----------------------------------------------------------------------------------------


TASKS = read_tasks(
    __file__, check_connect, check_cheapest, check_say, check_to_ticket, check_with_tools
)
