"""Checks for exercise 03, tasks 1 and 2; the others stand in `lesson_03_loops`."""

import random

import httpx2
from huggingface_hub.errors import OfflineModeIsEnabled

from helpers.exercises import kit
from helpers.exercises.kit import Raised, describe, error, expect, spy
from helpers.exercises.lessons import lesson_03_loops as loops
from helpers.exercises.lessons.lesson_03_loops import BASE, LATE, LOST, SAY, TINY
from helpers.models import models

CAP = 20.0  # seconds: the pauses of task 2 double up to this


# ---- task 1 ----
def request_id(known: str) -> dict:
    return {"x-request-id": f"Root=1-{known}"}


DATA = kit.read_data(__file__)
# What the service does, under the key of the message about it.
AGAIN = {
    "429_told": error(429, retry_after=7),
    "429": error(429),
    "429_words": error(429, DATA["slow_down"]),
    **{str(status): error(status) for status in (503, 500, 502, 504, 408, 425, 520, 530)},
    "refused": kit.broken(),
    "lost": LOST,
    "late": LATE,
}
NEVER = {
    "401": error(401, headers=request_id("6b042ac0-c2094cac629f6fbed82c07cd")),
    "401_id": error(401, headers=request_id("6a429c1f-0b503d4e7720c95d31a8e6f4")),
    "422": error(422, DATA["too_long"]),
    **{str(status): error(status) for status in (400, 402, 403, 404, 409, 410, 501)},
    "403_told": error(403, retry_after=5),
    "429_money": error(429, DATA["no_money"]),
}
OTHERS = [  # the message's key is the name of the class
    KeyError("city"),
    FileNotFoundError("prompt.txt"),
    OfflineModeIsEnabled("HF_HUB_OFFLINE=1"),
    httpx2.TooManyRedirects("Exceeded maximum allowed redirects."),
]


def check_should_retry(should_retry) -> str:
    say = SAY["should_retry"]
    for again, steps in ((True, AGAIN), (False, NEVER)):
        for key, step in steps.items():
            try:
                value = _judged(should_retry, met(step))
            except Raised as raised:
                expect("indices must be" not in str(raised.error), say["index"], raised=raised)
                slips = (AttributeError, TypeError, KeyError)
                expect(not isinstance(raised.error, slips), f"{raised}. {say[key]}")
                raise
            expect(value is again, f"{say[key]} Your function says {'no' if again else 'yes'}.")
    for other in OTHERS:
        why = say[type(other).__name__]
        again = _judged(should_retry, other)
        expect(not again, f"{why} Say yes to what you know, and no to everything else.")
    return say["right"]


def met(step) -> Exception:
    """The exception that the real client raises when the service does `step`."""
    messages = [{"role": "user", "content": kit.new_question()}]
    with spy(step):
        try:
            kit.new_client(timeout=30).chat_completion(messages, model=models.chat, max_tokens=10)
        except Exception as failure:
            return failure
    raise AssertionError("the step was meant to fail")


def _judged(should_retry, failure: Exception) -> bool:
    say = SAY["should_retry"]
    with spy() as service:
        value = service.call(should_retry, failure)
    expect(not service.sent.entries, say["sent"])
    expect(not service.slept, say["waits"])
    expect(value is not None, say["nothing"], kind=type(failure).__name__)
    expect(isinstance(value, bool), say["no_bool"], what=describe(value))
    return value


# ---- task 2 ----
LONGER = "; both must be kept, so the longer one counts"


def check_seconds_to_wait(seconds_to_wait) -> str:
    say = SAY["seconds_to_wait"]
    first, second = random.randint(31, 90), random.randint(31, 290)
    for seconds, headers, note in (
        (first, {"Retry-After": f"{first}"}, ""),
        (1.5, {"Retry-After": "1.5"}, ""),
        (second, {"RateLimit": f'"api";r=0;t={second}'}, ", and nothing else"),
        (30, {"Retry-After": "5", "RateLimit": '"api";r=0;t=30'}, LONGER),
        (30, {"Retry-After": "30", "RateLimit": '"api";r=0;t=5'}, LONGER),
    ):
        told = " and ".join(f"`{name}: {value}`" for name, value in headers.items()) + note
        for failures in (1, 6):
            try:
                value = _asked(seconds_to_wait, failures, headers)
            except Raised as raised:
                fraction = seconds == 1.5 and isinstance(raised.error, ValueError)
                expect(not fraction, say["fraction"])
                raise
            expect(value >= seconds, say["too_early"], told=told, seconds=value)
            expect(value <= seconds + 1, say["too_late"], told=told, seconds=value)

    for remain, left in ((12, "12 requests remain"), (1, "1 request remains")):
        value = _asked(seconds_to_wait, 1, {"RateLimit": f'"api";r={remain};t=250'})
        fields = {"remain": remain, "left": left, "seconds": value}
        expect(value <= BASE + TINY, say["some_remain"], **fields)
    for failures in (1, 2, 4, 5, 9):
        # drawn from the whole range, from 0 to what so many failures allow
        drawn = [_asked(seconds_to_wait, failures, {}) for _ in range(60)]
        limit, low, high = min(CAP, BASE * 2 ** (failures - 1)), min(drawn), max(drawn)
        fields = {"failures": failures, "base": BASE, "cap": CAP}
        for holds, key in (
            (len(set(drawn)) > 3, "no_chance"),
            (low >= 0, "below_zero"),
            (high <= limit + TINY or failures < 9, "no_cap"),
            (high <= limit + TINY, "too_wide"),
            (drawn.count(high) < 5, "cut_off"),
            (high > 0.7 * limit, "too_narrow"),
            (low < 0.3 * limit, "not_from_zero"),
        ):
            expect(holds, say[key], low=low, high=high, limit=limit, **fields)
    return say["right"]


def _asked(seconds_to_wait, failures: int, headers: dict) -> float:
    say = SAY["seconds_to_wait"]
    with spy() as service:
        value = service.call(seconds_to_wait, httpx2.Headers(headers), failures)
    expect(not service.slept, say["waits"])
    expect(value is not None, say["nothing"])
    expect(not isinstance(value, str), say["text"])
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    expect(number, say["no_number"], what=describe(value))
    return value


LOOPS = (loops.check_ask_again, loops.check_ask_within, loops.check_stream_text)
TASKS = kit.read_tasks(__file__, check_should_retry, check_seconds_to_wait, *LOOPS)
