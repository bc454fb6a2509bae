"""Checks for exercise 01: the first call."""

import math
import numbers
import random
from decimal import Decimal

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, Raised, Spy, describe, error, expect, reply, spy, words
from helpers.models import models

SAY, DATA = kit.read_messages(__file__), kit.read_data(__file__)


def one_call(service: Spy, function, *arguments):
    """Call the function; name the mistake in how it asked before the error that came of it."""
    try:
        return service.call(function, *arguments)
    except Raised as raised:
        say = SAY[""]
        looked_up = [entry.path for entry in service.lookups]
        expect(not kit.called(raised, "text_generation"), say["text_generation"])
        expect("/api/tasks" not in looked_up, say["no_model"])
        if isinstance(raised.error, TypeError):
            expect("'provider'" not in str(raised.error), say["provider"])
            expect("subscriptable" not in str(raised.error), say["no_index"], raised=raised)
        raise


# ---- task 1 ----
MAX_TOKENS = 200


def check_ask(ask) -> str:
    say, earlier = SAY["ask"], None
    for _ in range(2):  # twice, so that neither the question nor the answer can be fixed
        question = kit.new_question()
        with spy() as service:
            answer = one_call(service, ask, kit.new_client(), question)
        kit.expect_chat_request(service, question, models.chat, MAX_TOKENS)
        kit.expect_given_client(service)
        sent = service.sent.last.json
        expect(earlier is None or earlier not in str(sent), say["earlier_question"])
        expect(not sent.get("stream"), say["stream"])
        expect(len(service.sent) == 1, say["many_requests"], sent=len(service.sent))
        kit.expect_text(answer, service.said[-1], service)
        earlier = question
    hidden, client = say["hidden_error"], kit.new_client()
    raised = kit.error_after(error(401), hidden, ask, client, kit.new_question())
    expect(raised.status == 401, say["other_error"], kind=raised.kind)
    return "one request to the registry's model, with a limit, and the text alone comes back."


# ---- task 2 ----
FIRST, SECOND = 100, 400


def check_ask_whole(ask_whole) -> str:
    say = SAY["ask_whole"]
    text, complete, service = _asked(ask_whole, words(30))
    expect(len(service.sent) == 1, say["again_for_nothing"])
    expect(complete != "stop", say["reason_itself"])
    expect(complete is not False, say["says_cut"])
    expect(complete is True, say["no_bool"], what=describe(complete))
    kit.expect_text(text, service.said[-1], service)

    text, complete, service = _asked(ask_whole, words(250))
    sent = len(service.sent)
    expect(sent > 1, say["not_again"], room=FIRST)
    expect(sent == 2, say["repetitions"], sent=sent)
    allowed = service.sent[1].json.get("max_tokens")
    expect(allowed != FIRST, say["same_room"], room=FIRST)
    expect(allowed == SECOND, say["other_room"], room=SECOND, allowed=allowed)
    first, second = service.said
    expect(text != first, say["first_text"])
    joined = isinstance(text, str) and first in text and len(text) > len(second)
    expect(not joined, say["joined"])
    kit.expect_text(text, second, service)
    expect(complete is True, say["says_cut_twice"])

    text, complete, service = _asked(ask_whole, words(900))
    expect(len(service.sent) == 2, say["third_request"], sent=len(service.sent))
    expect(complete is False, say["says_whole"], room=SECOND)
    kit.expect_text(text, service.said[1], service)

    text, complete, service = _asked(ask_whole, words(FIRST))
    expect(len(service.sent) == 1 and complete is True, say["by_length"], room=FIRST)
    text, complete, service = _asked(ask_whole, ". ".join([words(1)] * 250) + ".")
    expect(len(service.sent) == 2, say["by_last_character"])
    return say["right"]


def _asked(ask_whole, full: str) -> tuple:
    """(the text, whether it is whole, the spy) where the model wants to say `full`."""
    say, question = SAY["ask_whole"], kit.new_question()
    with spy(*[reply(full)] * 6, limit=6) as service:
        try:
            value = one_call(service, ask_whole, kit.new_client(), question)
        except NotYet:
            expect(len(service.sent) <= 2, say["again_and_again"])
            raise
    kit.expect_chat_request(service, question, models.chat, FIRST, row=0)
    for row in range(1, len(service.sent)):
        kit.expect_chat_request(service, question, models.chat, row=row)
        same = service.sent[row].json["messages"] == service.sent[0].json["messages"]
        expect(same, say["other_question"])
    kit.expect_given_client(service)
    expect(isinstance(value, tuple) and len(value) == 2, say["not_two"], what=describe(value))
    expect(not isinstance(value[0], bool), say["wrong_order"])
    return *value, service


# ---- task 3 ----
def other_prices():
    """Prices nobody has seen: `with other_prices() as price:`, and for the code in there alone."""
    drawn = {"input": random.uniform(1, 4), "output": random.uniform(5, 9)}
    return models["chat"].price.instead(**{kind: round(price, 5) for kind, price in drawn.items()})


def dollars(read: int, written: int, paid_in: float, paid_out: float) -> float:
    """What so many tokens cost, at these prices per million."""
    return (read * paid_in + written * paid_out) / 1e6


def told(function, read: int, written: int, *more) -> tuple:
    """(what the function says about an answer with this usage, the spy)."""
    with spy(reply(usage={"prompt_tokens": read, "completion_tokens": written})) as service:
        messages = [{"role": "user", "content": kit.new_question()}]
        response = kit.new_client().chat_completion(messages, model=models.chat)
        value = service.call(function, response, *more)
    expect(len(service.sent) == 1, SAY[""]["own_request"])
    return value, service


def expect_number(value, what: str, service: Spy) -> float:
    """`value` as a float. Expects a number, and says what came instead."""
    say, begin = SAY[""], what[0].upper() + what[1:]
    expect(value is not None, say["printed" if service.printed else "nothing"], what=what)
    expect(not isinstance(value, str), say["text"], begin=begin)
    real = isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool)
    expect(real, say["no_number"], begin=begin, got=describe(value))
    return float(value)


def close(one: float, other: float, tolerance: float = 1e-9) -> bool:
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-12)


def expect_none_of(mistakes: dict, value: float, say: dict, tolerance=1e-9, **fields) -> None:
    """mistakes : {what comes out of one: the key of its message}."""
    for wrong, key in mistakes.items():
        expect(not close(value, wrong, tolerance), say[key], **fields)


def check_cost_of(cost_of) -> str:
    say, known = SAY["cost_of"], models["chat"].price
    for _ in range(2):
        read, written = random.randint(300, 900), random.randint(1000, 9000)
        with other_prices() as price:
            value, service = told(cost_of, read, written)
            paid_in, paid_out = price["input"], price["output"]
        cost = expect_number(value, "the cost in US dollars", service)
        right = dollars(read, written, paid_in, paid_out)
        if close(cost, right):
            continue
        mistakes = {
            right * 1e6: "per_token",
            right * 1e3: "per_thousand",
            right * 100: "cents",
            dollars(read, written, paid_out, paid_in): "swapped",
            dollars(read, written, paid_in, paid_in): "all_at_input",
            dollars(read, written, paid_out, paid_out): "all_at_output",
            (read + written) * (paid_in + paid_out) / 1e6: "both_prices",
            dollars(read, 0, paid_in, paid_out): "prompt_only",
            dollars(0, written, paid_in, paid_out): "answer_only",
            dollars(read, written, known["input"], known["output"]): "written_down",
        }
        expect_none_of(mistakes, cost, say)
        for other in models:
            if other.task == "chat-completion" and other.name != "chat" and other.price:
                expect(
                    not close(cost, other.cost(read, written)), say["other_model"], name=other.name
                )
        expect_none_of({round(right, digits): "rounded" for digits in range(10)}, cost, say)
        tokens, prices = (
            {"read": read, "written": written},
            {"paid_in": paid_in, "paid_out": paid_out},
        )
        raise NotYet(say["other"].format(**tokens, **prices, right=right, cost=cost))
    return "prompt and answer priced apart, from `usage` and the registry."


# ---- task 4 ----
CURES = {401: "token", 402: "credits", 403: "permission", 400: "model"}
NO_CURE = [  # (its name among the messages, what the service does, the error that goes through)
    ("error_500", error(500), "HfHubHTTPError"),
    ("other_400", error(400, DATA["bad_limit"]), "BadRequestError"),
    ("no_connection", kit.broken(), "ConnectError"),
    ("error_429", error(429), "HfHubHTTPError"),
    ("error_404", error(404), "HfHubHTTPError"),
]


def check_ask_or_cure(ask_or_cure) -> str:
    say = SAY["ask_or_cure"]
    value, service = _cured(ask_or_cure, reply())
    expect(value not in CURES.values(), say["cure_for_answer"])
    kit.expect_text(value, service.said[-1], service)
    for status in CURES:
        _expect_cure(ask_or_cure, status, None)
        _expect_cure(ask_or_cure, status, DATA["misleading"][str(status)])
    for what, step, kind in NO_CURE:
        cured, raised = kit.attempt(_cured, ask_or_cure, step)
        expect(raised or len(cured[1].sent) == 1, say["sent_again"], what=say[what])
        expect(raised, say["swallowed"], what=say[what])
        expect(raised.kind == kind, say["other_error"], what=say[what], kind=raised.kind)
    return say["right"]


def _cured(ask_or_cure, step) -> tuple:
    """(what was returned, the spy) where the service does `step`."""
    question = kit.new_question()
    with spy(step) as service:
        value = one_call(service, ask_or_cure, kit.new_client(), question)
    kit.expect_chat_request(service, question, models.chat)
    kit.expect_given_client(service)
    return value, service


def _expect_cure(ask_or_cure, status: int, message: str | dict | None) -> None:
    """The cure for `status` comes back, whether the message is the usual one (None) or misleads."""
    say, cure = SAY["ask_or_cure"], CURES[status]
    plain = {"x-request-id": "Root=1-plain"} if message is None else None
    here = {"status": status, "means": say[f"means_{status}"], "cure": cure}
    cured, raised = kit.attempt(_cured, ask_or_cure, error(status, message, headers=plain))
    if raised:
        expect(plain or status != 400, say["by_message"])
        expect(raised.status != status, say["let_through"], **here, kind=raised.kind)
        raise NotYet(f"On a {status}: {raised}")
    value, service = cured
    expect(len(service.sent) == 1, say["again"], **here)
    expect(value is not None, say["nothing"], **here)
    expect(value != status, say["the_status"], **here)
    right = value == cure
    expect(right or plain or value not in CURES.values(), say["by_words"], **here, value=value)
    expect(right or str(status) not in str(value), say["error_text"], **here)
    shown = f'"{value}"' if isinstance(value, str) and len(value) < 20 else describe(value)
    expect(right, say["other_cure"], **here, shown=shown)


TASKS = kit.read_tasks(__file__, check_ask, check_ask_whole, check_cost_of, check_ask_or_cure)
