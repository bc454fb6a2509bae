"""Exercise 01: the first call."""

import math
import numbers
import random
from contextlib import contextmanager
from decimal import Decimal

from helpers.exercises.kit import (
    GIVEN,
    NotYet,
    Raised,
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


def new_client():
    from huggingface_hub import InferenceClient

    return InferenceClient(headers=GIVEN)


def new_question() -> str:
    return f"What does the word {words(1)} mean?"


def one_call(service, function, *arguments):
    """Call the function; name the mistake in its request, if it sent one, before the error that came of it."""
    try:
        return service.call(function, *arguments)
    except Raised as raised:
        said = str(raised.error)
        expect(
            "text-generation" not in said,
            "`text_generation` asks for the old task of continuing a raw text, and this model"
            " serves chat only. Use `client.chat_completion(messages=…)`.",
        )
        expect(
            "no recommended model" not in said,
            "No model was named, so the client looked for a default and there is none for chat."
            " Pass `model=models.chat`.",
        )
        expect(
            "'provider'" not in said,
            "`provider` is not an argument of `chat_completion`. It belongs to the client,"
            " `InferenceClient(provider=…)`; this task needs none.",
        )
        expect(
            not (isinstance(raised.error, TypeError) and "subscriptable" in said),
            f"{raised}. `choices` is a list: the first answer is `choices[0]`; from there on it is"
            " `.message.content`.",
        )
        raise


def status_of(raised: Raised) -> int | None:
    return getattr(getattr(raised.error, "response", None), "status_code", None)


# ---- 1 ------------------------------------------------------------------------------------------------------------

MAX_TOKENS = 200


def check_ask(ask) -> str:
    earlier = None
    for _ in range(2):  # twice, so that neither the question nor the answer can be fixed
        question = new_question()
        with spy() as service:
            answer = one_call(service, ask, new_client(), question)
        expect_chat_request(service, question, models.chat, MAX_TOKENS)
        expect_given_client(service)
        expect(
            earlier is None or earlier not in str(service.sent.last.json),
            "The request also holds the question of an earlier call. A list that outlives the call,"
            " such as a default argument or a global, grows with each one: make the list of"
            " messages inside the function.",
        )
        earlier = question
        expect(
            not service.sent.last.json.get("stream"),
            "You asked for a stream. It comes in pieces that still have to be joined; leave out"
            " `stream=True` here.",
        )
        expect(
            len(service.sent) == 1,
            f"You sent {len(service.sent)} requests for one question. Each one costs; keep the"
            " first response in a variable.",
        )
        expect_text(answer, service.said[-1], service)
    with spy(error(401)) as service:
        try:
            service.call(ask, new_client(), new_question())
        except Raised as raised:
            expect(
                status_of(raised) == 401,
                "The service refused the request (401), and your function raised"
                f" {type(raised.error).__name__} in place of the error that happened, which knows"
                " the status and the reason. Leave out the `try` here.",
            )
        else:
            raise NotYet(
                "The service refused the request, and your function returned as if nothing had"
                " happened. Leave out the `try` here: whoever calls `ask` must learn that there is"
                " no answer."
            )
    return "one request to the registry's model, with a limit, and the text alone comes back."


# ---- 2 ------------------------------------------------------------------------------------------------------------

FIRST, SECOND = 100, 400


def check_ask_whole(ask_whole) -> str:
    def run(length: int, text: str | None = None):
        """(what was returned, the spy) for a model that wants to say `length` words."""
        question, full = new_question(), words(length) if text is None else text
        with spy(*[reply(full)] * 6, limit=6) as service:
            try:
                value = one_call(service, ask_whole, new_client(), question)
            except NotYet as ended:
                if len(service.sent) > 2:
                    raise NotYet(
                        "You asked again and again until the answer was whole. A model can always"
                        " want more: ask a second time at most, then say that it is cut."
                    ) from None
                raise ended
        expect_chat_request(service, question, models.chat, FIRST, row=0)
        if len(service.sent) > 1:
            for row in range(1, len(service.sent)):
                expect_chat_request(service, question, models.chat, row=row)
                expect(
                    service.sent[row].json["messages"] == service.sent[0].json["messages"],
                    "The second request asks something else than the first. Send the same messages"
                    " again; only `max_tokens` changes.",
                )
        expect_given_client(service)
        expect(
            value is not None,
            "Your function returns nothing (None); the task asks for two things, `return text,"
            " complete`.",
        )
        expect(
            isinstance(value, tuple) and len(value) == 2,
            f"You returned {describe(value)}; the task asks for two things, `return text,"
            " complete`.",
        )
        expect(
            not isinstance(value[0], bool),
            "The two returned things are in the wrong order: the text comes first, then True or"
            " False.",
        )
        return value, service

    (text, complete), service = run(30)
    expect(
        len(service.sent) == 1,
        'The first answer was whole (`finish_reason` was "stop"), and you asked a second time all'
        " the same. Look at `finish_reason` first.",
    )
    expect(
        complete != "stop",
        "You returned the `finish_reason` itself. The task asks for True or False: compare it with"
        ' "stop".',
    )
    expect(
        complete is not False,
        'The answer was whole (`finish_reason` was "stop"), and your function says it was cut.'
        " `complete` is True when the model stopped by itself.",
    )
    expect(
        complete is True,
        f"The second thing you returned is {describe(complete)}; it must be True or False.",
    )
    expect_text(text, service.said[-1], service)

    (text, complete), service = run(250)
    expect(
        len(service.sent) > 1,
        f'An answer cut at {FIRST} tokens (`finish_reason` was "length") was not asked for again'
        " with more room.",
    )
    expect(
        len(service.sent) == 2, f"You sent {len(service.sent)} requests; one repetition is enough."
    )
    allowed = service.sent[1].json.get("max_tokens")
    expect(
        allowed != FIRST,
        f"The second request had the same `max_tokens` as the first, {FIRST}: it is cut at the same"
        " place, and you pay twice.",
    )
    expect(
        allowed == SECOND,
        f"The second request must allow {SECOND} tokens; yours had `max_tokens={allowed}`.",
    )
    expect(
        text != service.said[0], "You asked again, but returned the text of the first, cut answer."
    )
    expect(
        not (
            isinstance(text, str) and service.said[0] in text and len(text) > len(service.said[1])
        ),
        "You joined the two answers. The second request begins anew, so its answer is whole by"
        " itself: return only that.",
    )
    expect_text(text, service.said[1], service)
    expect(
        complete is True,
        'The second answer was whole (its `finish_reason` was "stop"), and your function says it'
        " was cut. Look at the `finish_reason` of the answer that you return.",
    )

    (text, complete), service = run(900)
    expect(
        len(service.sent) == 2,
        f"You sent {len(service.sent)} requests. A model can always want more: ask a second time at"
        " most, then say that it is cut.",
    )
    expect(
        complete is False,
        f"The second answer was cut too, at {SECOND} tokens, and your function says it was whole."
        " Look at `finish_reason` again after the second request.",
    )
    expect_text(text, service.said[1], service)

    (text, complete), service = run(FIRST)
    expect(
        len(service.sent) == 1 and complete is True,
        f"An answer of exactly {FIRST} tokens may well be whole. You judged it by its length;"
        " `finish_reason` knows.",
    )
    (text, complete), service = run(250, ". ".join([words(1)] * 250) + ".")
    expect(
        len(service.sent) == 2,
        "A cut answer can end with a full stop by chance. You judged it by its last character;"
        " `finish_reason` knows.",
    )
    return (
        "you let `finish_reason` decide, ask a second time at most, and say so when the answer is"
        " still cut."
    )


# ---- 3 ------------------------------------------------------------------------------------------------------------


@contextmanager
def other_prices():
    """Prices nobody has seen in the registry, for as long as the block lasts."""
    price = models["chat"].price
    kept = dict(price)
    price.update(input=round(random.uniform(1, 4), 5), output=round(random.uniform(5, 9), 5))
    try:
        yield price
    finally:
        price.update(kept)


def check_cost_of(cost_of) -> str:
    kept = dict(models["chat"].price)
    for _ in range(2):
        used = {
            "prompt_tokens": random.randint(300, 900),
            "completion_tokens": random.randint(1000, 9000),
        }
        with spy(reply(usage=used)) as service, other_prices() as price:
            response = new_client().chat_completion(
                [{"role": "user", "content": new_question()}], model=models.chat
            )
            cost = service.call(cost_of, response)
            expect(
                len(service.sent) == 1,
                "Your function sent a request of its own. What a call used is in its response"
                " already: `response.usage`.",
            )
            read, written, paid_in, paid_out = (
                used["prompt_tokens"],
                used["completion_tokens"],
                price["input"],
                price["output"],
            )
        expect(
            cost is not None,
            (
                "Your function prints the cost and returns nothing."
                if service.printed
                else "Your function returns nothing (None). Did you forget `return`?"
            ),
        )
        expect(
            not isinstance(cost, str),
            "You returned a text. Return the number of dollars; how to show it is for whoever"
            " prints it.",
        )
        expect(
            isinstance(cost, (numbers.Real, Decimal)) and not isinstance(cost, bool),
            f"You returned {describe(cost)}; the task asks for a number of US dollars.",
        )
        right, cost = (read * paid_in + written * paid_out) / 1e6, float(cost)
        if math.isclose(cost, right, rel_tol=1e-9):
            continue
        mistakes = {
            right * 1e6: (
                "The registry's prices are per million tokens, and you counted them per token: a"
                " million times too much. Divide by 1,000,000."
            ),
            right * 1e3: (
                "The registry's prices are per million tokens, and you counted them per thousand."
            ),
            right * 100: "You returned cents; the task asks for US dollars.",
            (read * paid_out + written * paid_in) / 1e6: (
                "The two prices are swapped: `input` is for the prompt's tokens, `output` for those"
                " the model wrote."
            ),
            (read + written) * paid_in / 1e6: (
                "You counted all tokens at the price of the prompt's. What the model writes has its"
                " own price, `output`."
            ),
            (read + written) * paid_out / 1e6: (
                "You counted all tokens at the price of the written ones. The prompt has its own"
                " price, `input`."
            ),
            (read + written) * (paid_in + paid_out) / 1e6: (
                "You multiplied all tokens with both prices together. Prompt and answer are priced"
                " apart."
            ),
            read * paid_in / 1e6: (
                "You counted the prompt only. What the model writes, `completion_tokens`, is"
                " usually the bigger part of the bill."
            ),
            written * paid_out / 1e6: (
                "You counted the answer only. The prompt, `prompt_tokens`, is paid too."
            ),
            (read * kept["input"] + written * kept["output"]) / 1e6: (
                "The prices are written into your code. They change: read them from"
                ' `models["chat"].price` each time (the check changed them for a moment).'
            ),
        }
        for number, message in mistakes.items():
            expect(not math.isclose(cost, number, rel_tol=1e-9), message)
        for other in models:
            expect(
                other.task != "chat-completion"
                or other.name == "chat"
                or not other.price
                or not math.isclose(cost, other.cost(read, written), rel_tol=1e-9),
                f'Those are the prices of `models["{other.name}"]`. This response came from'
                ' `models.chat`; its prices are in `models["chat"].price`.',
            )
        for digits in range(10):
            expect(
                not math.isclose(cost, round(right, digits), rel_tol=1e-9),
                "You rounded. One call costs a fraction of a cent, so rounding each loses the sum; "
                "round only when you show it.",
            )
        raise NotYet(
            f"For {read} prompt tokens at ${paid_in} and {written} written tokens at ${paid_out}"
            f" (per million) the cost is ${right:.6f}; yours is {cost:.6g}."
        )
    return "prompt and answer priced apart, from `usage` and the registry."


# ---- 4 ------------------------------------------------------------------------------------------------------------

CURES = {401: "token", 402: "credits", 403: "permission", 400: "model"}
MEANS = {
    401: "the token is missing or wrong",
    402: "the credits are used up",
    403: "the token lacks the permission",
    400: "the model is not served",
}


def check_ask_or_cure(ask_or_cure) -> str:
    def run(step):
        question = new_question()
        with spy(step) as service:
            value = one_call(service, ask_or_cure, new_client(), question)
        expect_chat_request(service, question, models.chat)
        expect_given_client(service)
        return value, service

    value, service = run(reply())
    expect(
        value not in CURES.values(),
        "The service answered, and your function returned a cure. When there is no error, return"
        " the text of the answer.",
    )
    expect_text(value, service.said[-1], service)

    misleading = {
        401: "Invalid token: no permission, no credits, model hidden (402, 403)",
        402: "This token's model permission is fine, its credits are gone (401, 403)",
        403: "This token has credits for the model but no permission (401, 402)",
        400: {
            "message": "Nobody answers for this one; your token and credits are fine (401, 402)",
            "code": "model_not_supported",
        },
    }
    for status, cure in CURES.items():
        for plain in (True, False):
            refusal = (
                error(status, headers={"x-request-id": "Root=1-plain"})
                if plain
                else error(status, misleading.get(status))
            )
            try:
                value, service = run(refusal)
            except Raised as raised:
                expect(
                    plain or status != 400,
                    'A 400 with the code "model_not_supported" came with another message than'
                    " usual, and your function let it through. The message is for people; the code"
                    ' is `error.response.json()["error"]["code"]`.',
                )
                raise NotYet(
                    f"{status}: {MEANS[status]}. Your function let {type(raised.error).__name__}"
                    f' through instead of returning "{cure}".'
                    if status_of(raised) == status
                    else f"On a {status}: {raised}"
                ) from None
            expect(
                len(service.sent) == 1,
                f"On a {status} you sent the request again. Nothing changes until somebody mends"
                " the cause: return the cure at once.",
            )
            expect(
                value is not None,
                f"On a {status} your function returned nothing (None), so nobody learns what is"
                f' wrong. Return "{cure}".',
            )
            expect(
                value != status,
                f'You returned the status, {status}. Return its cure, "{cure}", so that a person'
                " knows what to do.",
            )
            expect(
                value == cure or value not in CURES.values() or plain,
                f'On a {status} whose text also mentions other things you returned "{value}". You'
                " looked for words in the error's text, which holds a request id and whatever the"
                " service says today. The status is `error.response.status_code`.",
            )
            expect(
                value == cure or str(status) not in str(value),
                f'On a {status} you returned the error\'s text. Return its cure, "{cure}".',
            )
            shown = f'"{value}"' if isinstance(value, str) and len(value) < 20 else describe(value)
            expect(
                value == cure,
                f'{status} means that {MEANS[status]}. Return "{cure}"; you returned {shown}.',
            )

    def must_raise(step, kind: str, swallowed: str) -> Raised:
        try:
            value, service = run(step)
            expect(
                len(service.sent) == 1,
                f"{swallowed} You sent the request again; here the error goes through at once"
                " (which errors deserve another try is lesson 03).",
            )
        except Raised as raised:
            expect(
                type(raised.error).__name__ == kind,
                f"{swallowed} Your function raised {type(raised.error).__name__} in its place. "
                "Raise the same error again: a bare `raise` inside `except`.",
            )
            return raised
        raise NotYet(
            f"{swallowed} Your function swallowed it. Raise again what you have no cure for: a bare"
            " `raise` inside `except`."
        )

    must_raise(
        error(500), "HfHubHTTPError", "A 500 (the service itself failed) is none of the four."
    )
    must_raise(
        error(
            400,
            {
                "message": "max_tokens must be positive; not supported by this model",
                "type": "invalid_request_error",
                "code": "invalid_value",
            },
        ),
        "BadRequestError",
        "A 400 can have other reasons than the model; here it was a bad `max_tokens`, and"
        ' `error.response.json()["error"]["code"]` was "invalid_value", not "model_not_supported".',
    )
    must_raise(
        broken(),
        "ConnectError",
        "The connection failed, so there is no response and no status: an error of another kind,"
        " which `except HfHubHTTPError` leaves alone.",
    )
    must_raise(
        error(429),
        "HfHubHTTPError",
        "A 429 (too many requests) is none of the four: nobody has to mend anything, it passes.",
    )
    must_raise(error(404), "HfHubHTTPError", "A 404 (nothing at this address) is none of the four.")
    return (
        "the status decides, the four that you can mend are named, and everything else is still an"
        " error."
    )


# ---- 5 ------------------------------------------------------------------------------------------------------------


TASKS = read_tasks(__file__, check_ask, check_ask_whole, check_cost_of, check_ask_or_cure)
