"""Exercise 03: rate limits and retries."""

import contextlib
import functools
import inspect
import json
import random
import sys
import time
from unittest.mock import patch

import httpx2

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
from helpers.wire import Plan

BASE, CAP = 0.5, 20.0  # of the pauses in task 2
TRIES = 4  # of task 3
STREAM_TRIES = 3  # of task 5


def new_client():
    from huggingface_hub import InferenceClient

    return InferenceClient(timeout=30, headers=GIVEN)


def new_question() -> str:
    return f"What does the word {words(1)} mean?"


def timed_out():
    """A request that is never answered within the client's own limit."""
    return lambda service, entry: Plan(
        0, {}, [], breaks=httpx2.ReadTimeout("The read operation timed out")
    )


def reset():
    return lambda service, entry: Plan(
        0, {}, [], breaks=httpx2.ReadError("[Errno 104] Connection reset by peer")
    )


NO_MONEY = {
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "type": "insufficient_quota",
    "code": "insufficient_quota",
}
NOT_MONEY = {
    "message": "Slow down. (This is not insufficient_quota: your account is fine.)",
    "type": "requests",
    "code": "rate_limit_exceeded",
}


# ---- 1 ------------------------------------------------------------------------------------------------------------


def met(step) -> Exception:
    """The exception that the real client raises when the service does `step`."""
    with spy(step):
        try:
            new_client().chat_completion(
                [{"role": "user", "content": new_question()}], model=models.chat, max_tokens=10
            )
        except Exception as failure:
            return failure
    raise AssertionError("the step was meant to fail")


NEVER = [
    (
        error(401, headers={"x-request-id": "Root=1-6b042ac0-c2094cac629f6fbed82c07cd"}),
        "A 401 stays a 401: the token is wrong, whoever asks and however often.",
    ),
    (
        error(401, headers={"x-request-id": "Root=1-6a429c1f-0b503d4e7720c95d31a8e6f4"}),
        (
            'This was a 401, a wrong token, and you would try again. Its request id contains "429"'
            ' and "503", and the id is part of the error\'s text. Look at'
            " `error.response.status_code`, which is a number."
        ),
    ),
    (
        error(
            422,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 429"
            " `inputs` tokens",
        ),
        (
            "This was a 422 whose text talks about 429 tokens, and you would try again. The status"
            " is `error.response.status_code`; the text is for people."
        ),
    ),
    (error(400), "A 400 says that the request itself is wrong. Sent again it is just as wrong."),
    (error(402), "A 402 says that the credits are used up. Trying again fills no account."),
    (
        error(403),
        "A 403 says that the token may not do this. It will not be allowed to a moment later.",
    ),
    (
        error(403, retry_after=5),
        (
            "This was a 403 with a `Retry-After`. The header says when, not whether: the status"
            " decides, and a 403 stays one."
        ),
    ),
    (
        error(404),
        (
            "A 404 says that there is nothing at this address. Nothing will be there in a second,"
            " either."
        ),
    ),
    (
        error(409),
        (
            "A 409 says that the request contradicts something that is there already. It still does"
            " a moment later."
        ),
    ),
    (error(410), "A 410 says that this address is gone for good."),
    (
        error(501),
        (
            "A 501 says that the server cannot do this at all. Not everything from 500 up is on the"
            " list: 500, 502, 503, 504, and from 520 on."
        ),
    ),
    (
        error(429, NO_MONEY),
        (
            "This 429 has the code `insufficient_quota`: no money, and not too many requests."
            ' Waiting does not help. The code is in the body: `error.response.json()["error"]` is a'
            " dictionary there, and a text in other refusals."
        ),
    ),
]
AGAIN = [
    (error(429, retry_after=7), "A 429 is the one error that even says when to come back."),
    (error(429), "A 429 without any hint still means: too many requests, later it will work."),
    (
        error(429, NOT_MONEY),
        (
            "This 429 has the code `rate_limit_exceeded`. Its message only mentions"
            ' `insufficient_quota`: look at the code, `error.response.json()["error"]["code"]`, and'
            " not for a word in the text."
        ),
    ),
    (
        error(503),
        (
            "A 503 is what a service says that is overloaded, or a model that is being loaded. Both"
            " pass."
        ),
    ),
    (error(500), "A 500 is a failure inside the service. The next request is often answered."),
    (
        error(502),
        (
            "A 502 comes from something between you and the model that could not reach it for a"
            " moment."
        ),
    ),
    (
        error(504),
        "A 504 says that something in between waited too long. The next request may be quicker.",
    ),
    (error(408), "A 408 says that the server waited too long for your request. Send it again."),
    (error(425), "A 425 says that your request came a moment too early. Send it again."),
    (
        error(520),
        (
            "From 520 on the statuses belong to proxies, which use them for their own troubles."
            " They pass like a 502."
        ),
    ),
    (
        error(530),
        (
            "From 520 on the statuses belong to proxies, all of them and not only the first few:"
            " this was a 530."
        ),
    ),
    (
        broken(),
        (
            "The connection was refused (`httpx2.ConnectError`): no response and no status, and the"
            " request never arrived. Try again."
        ),
    ),
    (
        reset(),
        (
            "The connection was lost (`httpx2.ReadError`): no response and no status."
            " `httpx2.TransportError` is the class above all of these."
        ),
    ),
    (
        timed_out(),
        (
            "No answer came in time (`InferenceTimeoutError`, which is no `HfHubHTTPError` and has"
            " no response). Try again."
        ),
    ),
]


def check_should_retry(should_retry) -> str:
    def judged(failure):
        with spy() as service:
            value = service.call(should_retry, failure)
        expect(
            not service.sent.entries,
            "Your function sent a request. It only decides; the loop that tries again comes in"
            " task 3.",
        )
        expect(
            not service.slept,
            "Your function waits. It only decides; waiting comes in tasks 2 and 3.",
        )
        expect(
            value is not None,
            f"For {type(failure).__name__} your function returns nothing (None). Return True or"
            " False on every path.",
        )
        expect(
            isinstance(value, bool),
            f"You returned {describe(value)}; the task asks for True or False.",
        )
        return value

    for again, steps in ((True, AGAIN), (False, NEVER)):
        for step, why in steps:
            try:
                value = judged(met(step))
            except Raised as raised:
                expect(
                    "indices must be" not in str(raised.error),
                    f"{raised}. The `error` in a body is a dictionary in a few refusals and a text"
                    " in most: ask `isinstance(…, dict)` before you look inside.",
                )
                if isinstance(raised.error, (AttributeError, TypeError, KeyError)):
                    raise NotYet(f"{raised}. {why}") from None
                raise
            expect(value is again, f"{why} Your function says {'no' if again else 'yes'}.")
    from huggingface_hub.errors import OfflineModeIsEnabled

    for other, why in (
        (KeyError("city"), "A KeyError is a mistake in the program and no failure of the service."),
        (
            FileNotFoundError("prompt.txt"),
            (
                "A FileNotFoundError is an OSError, and `HfHubHTTPError` is one too; a file that is"
                " missing has nothing to do with the service."
            ),
        ),
        (
            OfflineModeIsEnabled("HF_HUB_OFFLINE=1"),
            (
                "OfflineModeIsEnabled is Python's ConnectionError, and says that this machine was"
                " told to stay offline. It stays so."
            ),
        ),
        (
            httpx2.TooManyRedirects("Exceeded maximum allowed redirects."),
            (
                "TooManyRedirects is an `httpx2.HTTPError` and no `httpx2.TransportError`: the"
                " connection was there, the address leads in a circle."
            ),
        ),
    ):
        expect(
            judged(other) is False, f"{why} Say yes to what you know, and no to everything else."
        )
    return "the status and the class decide, and what you do not know is not tried again."


# ---- 2 ------------------------------------------------------------------------------------------------------------


def check_seconds_to_wait(seconds_to_wait) -> str:
    def asked(failures: int = 1, **headers):
        with spy() as service:
            given = httpx2.Headers(
                {name.replace("_", "-"): value for name, value in headers.items()}
            )
            value = service.call(seconds_to_wait, given, failures)
        expect(
            not service.slept,
            "Your function waits by itself. It returns the number of seconds; who called it does"
            " the waiting.",
        )
        expect(
            value is not None,
            "Your function returns nothing (None). Return a number of seconds on every path.",
        )
        expect(
            not isinstance(value, str),
            "You returned a text. A header's value is a text; turn it into a number with"
            " `float(…)`.",
        )
        expect(
            isinstance(value, (int, float)) and not isinstance(value, bool),
            f"You returned {describe(value)}; the task asks for a number of seconds.",
        )
        return value

    def told(seconds: float, what: str, **headers) -> None:
        for failures in (1, 6):
            value = asked(failures, **headers)
            expect(
                value >= seconds,
                f"The server said {what}, and you would wait {value:.3g} s. Never come back earlier"
                " than you were told: the answer is the same.",
            )
            expect(
                value <= seconds + 1,
                f"The server said {what}, and you would wait {value:.3g} s. It knows best: do not"
                " double what it says, nor add more than a second.",
            )

    seconds = random.randint(31, 90)
    told(seconds, f"`Retry-After: {seconds}`", Retry_After=str(seconds))
    try:
        told(1.5, "`Retry-After: 1.5`", Retry_After="1.5")
    except Raised as raised:
        expect(
            "int()" not in str(raised.error),
            '`Retry-After: 1.5` has a fraction, and `int("1.5")` raises. Take `float(…)`.',
        )
        raise
    seconds = random.randint(31, 290)
    told(
        seconds,
        f'`RateLimit: "api";r=0;t={seconds}`, and nothing else',
        RateLimit=f'"api";r=0;t={seconds}',
    )
    told(
        30,
        '`Retry-After: 5` and `RateLimit: "api";r=0;t=30`; both must be kept, so the longer one'
        " counts",
        Retry_After="5",
        RateLimit='"api";r=0;t=30',
    )
    told(
        30,
        '`Retry-After: 30` and `RateLimit: "api";r=0;t=5`; both must be kept, so the longer one'
        " counts",
        Retry_After="30",
        RateLimit='"api";r=0;t=5',
    )

    for remain in (12, 1):
        value = asked(1, RateLimit=f'"api";r={remain};t=250')
        expect(
            value <= BASE + 1e-9,
            f'`RateLimit: "api";r={remain};t=250` says that {remain} request{"s" * (remain > 1)}'
            f" remain{'s' * (remain == 1)}: this limit is not the reason, and you would wait"
            f" {value:.3g} s for it. Its `t` counts only if `r` is 0.",
        )
    for failures in (1, 2, 4, 5, 9):
        limit = min(CAP, BASE * 2 ** (failures - 1))
        drawn = [asked(failures) for _ in range(60)]
        expect(
            len(set(drawn)) > 3,
            f"Nobody said how long, and after {failures} failure{'s' * (failures > 1)} you wait"
            f" {drawn[0]:.3g} s each time. All clients that failed together come back together."
            " Draw the pause by chance: `random.uniform(0, …)`.",
        )
        expect(
            min(drawn) >= 0,
            f"You would wait {min(drawn):.3g} s. Time does not run backwards: draw from 0 up.",
        )
        expect(
            max(drawn) <= limit + 1e-9 or failures < 9,
            f"After {failures} failures you would wait up to {max(drawn):.3g} s. The doubling ends"
            f" at the cap: `min({CAP:g}, …)`.",
        )
        expect(
            max(drawn) <= limit + 1e-9,
            f"After {failures} failure{'s' * (failures > 1)} the pause is drawn from 0 to {limit:g}"
            f" s; yours went up to {max(drawn):.3g} s. The first failure has the range {BASE:g} s,"
            " each further one the double.",
        )
        expect(
            drawn.count(max(drawn)) < 5,
            f"After {failures} failures most pauses are {max(drawn):g} s exactly: you draw first"
            " and cut off what is above the cap, and so the clients meet there. Cut off the range,"
            f" then draw: `random.uniform(0, min({CAP:g}, …))`.",
        )
        expect(
            max(drawn) > 0.7 * limit,
            f"After {failures} failure{'s' * (failures > 1)} the pause is drawn from 0 to {limit:g}"
            f" s; yours never went above {max(drawn):.3g} s.",
        )
        expect(
            min(drawn) < 0.3 * limit,
            f"After {failures} failure{'s' * (failures > 1)} the pause is drawn from 0 to {limit:g}"
            f" s; yours never went below {min(drawn):.3g} s. A little chance around a fixed pause"
            " keeps the herd together: draw from the whole range.",
        )
    return (
        "you wait as long as the server says, and if it says nothing, by chance in a range that"
        " doubles up to a cap."
    )


# ---- 3 ------------------------------------------------------------------------------------------------------------


def run(function, *steps, arguments=(), limit: int = 12, slept: list | None = None):
    """(value or Raised, the spy) for one call of the learner's function while the service does `steps`, then answers.

    slept : the list in which the waits are noted.
    """
    question = new_question()
    with spy(*steps, limit=limit) as service:
        service.slept = service.slept if slept is None else slept
        try:
            value = service.call(function, new_client(), question, *arguments)
        except Raised as raised:
            if isinstance(raised.error, (NotImplementedError, NameError, SyntaxError)):
                raise
            value = raised
    if not isinstance(value, Raised) or service.sent.entries:
        for row in range(len(service.sent)):
            expect_chat_request(service, question, models.chat, row=row)
        expect_given_client(service)
    expect(
        service.sent.entries,
        "No request was sent. The function asks the model, like `ask` in exercise 01, and tries"
        " again when that fails.",
    )
    return value, service


def status_of(raised: Raised) -> int | None:
    return getattr(getattr(raised.error, "response", None), "status_code", None)


def expect_answer(value, service, trouble: str) -> None:
    if isinstance(value, Raised):
        raise NotYet(f"{trouble}, and one more request would have been answered. {value}")
    expect(
        value is not None or service.said,
        f"{trouble}, and one more request would have been answered. Your function did not send it,"
        " and returned nothing (None).",
    )
    expect(
        value is not None or service.printed,
        f"{trouble}. The answer came, and your function returned nothing (None).",
    )
    expect_text(value, service.said[-1], service)


def expect_original(value, service, status: int, trouble: str) -> None:
    """The error that happened is the error that is raised."""
    if not isinstance(value, Raised):
        shown = "nothing (None)" if value is None else describe(value)
        raise NotYet(
            f"{trouble}, and your function returned {shown} as if there were an answer. When there"
            " is no hope left, raise: a bare `raise` inside `except`."
        )
    expect(
        status_of(value) == status,
        f"{trouble}, and your function raised {type(value.error).__name__} instead. Whoever calls"
        " it needs the error that happened, with its response: a bare `raise` inside `except`"
        " sends it on.",
    )


def check_ask_again(ask_again) -> str:
    value, service = run(ask_again)
    expect(
        len(service.sent) == 1, f"The first request was answered, and you sent {len(service.sent)}."
    )
    expect(
        not service.slept, "The first request was answered, and your function waited all the same."
    )
    expect_answer(value, service, "Nothing went wrong")

    value, service = run(ask_again, error(401))
    expect(
        len(service.sent) == 1,
        "A 401 was tried again. The token will not get better: ask `should_retry(error)` first.",
    )
    expect(
        not service.slept,
        "Your function waited after a 401. Raise at once what needs no second try.",
    )
    expect_original(value, service, 401, "The token was wrong (401)")

    value, service = run(ask_again, error(503), error(503))
    expect(
        len(service.sent) > 1,
        "A 503 was not tried again. It is a failure that passes: `should_retry` says so.",
    )
    expect_answer(value, service, "The service failed twice (503)")
    expect(
        len(service.sent) == 3,
        f"Two failures, then an answer: that is three requests. You sent {len(service.sent)}.",
    )
    expect(
        service.slept,
        "Your function tried again without waiting. A service in trouble needs air: wait"
        " `seconds_to_wait(…)` before each new try.",
    )
    expect(
        len(service.slept) == 2,
        f"Between three requests there are two waits; yours were {len(service.slept)}.",
    )
    expect(
        all(slept <= BASE * 2**n + 1e-9 for n, slept in enumerate(service.slept)),
        f"Nobody said how long, and you waited {', '.join(f'{s:.2f}' for s in service.slept)} s."
        f" The first pause is drawn from 0 to {BASE:g} s, the second from 0 to {2 * BASE:g} s: pass"
        " `seconds_to_wait` the number of failures so far, 1 for the first.",
    )

    seconds = random.randint(40, 80)
    value, service = run(ask_again, error(429, retry_after=seconds))
    expect_answer(value, service, f"A 429 with `Retry-After: {seconds}`")
    expect(
        sum(service.slept) >= seconds,
        f"The server said `Retry-After: {seconds}`, and you waited {sum(service.slept):.1f} s. Give"
        " `seconds_to_wait` the headers: `error.response.headers`.",
    )
    expect(
        sum(service.slept) <= seconds + 1,
        f"The server said `Retry-After: {seconds}`, and you waited {sum(service.slept):.1f} s.",
    )

    for step, what in (
        (broken(), "The connection was refused"),
        (reset(), "The connection was lost"),
        (timed_out(), "The request timed out"),
    ):
        value, service = run(ask_again, step)
        if isinstance(value, Raised) and isinstance(value.error, AttributeError):
            raise NotYet(
                f"{what}. Such an error has no response, so there are no headers to read. {value}."
                ' Use `getattr(error, "response", None)`, or an empty dictionary of headers.'
            )
        expect_answer(value, service, what)

    value, service = run(ask_again, *[error(500)] * 10)
    expect(
        len(service.sent) <= TRIES,
        f"The service failed again and again, and you sent {len(service.sent)} requests. {TRIES}"
        " are allowed, the first one included.",
    )
    expect(
        len(service.sent) == TRIES,
        f"The service failed again and again, and you gave up after {len(service.sent)}"
        f" request{'s' * (len(service.sent) > 1)}; {TRIES} are allowed, the first one included.",
    )
    expect_original(value, service, 500, f"All {TRIES} requests failed (500)")
    expect(
        len(service.slept) < TRIES,
        f"{TRIES} requests have {TRIES - 1} waits between them; you waited {len(service.slept)}"
        " times. The last one was for nothing: decide whether to go on before you wait.",
    )
    for steps, what in (
        ([broken()] * 12, "The connection was refused again and again"),
        ([error(429, retry_after=1)] * 12, "The service refused every time (429)"),
        (
            [error(503), broken(), timed_out(), error(429, retry_after=1), *[error(500)] * 8],
            "The service failed again and again, each time in another way",
        ),
    ):
        try:
            value, service = run(ask_again, *steps)
        except NotYet as ended:
            raise (
                ended
                if not str(ended).startswith("Your function had sent")
                else NotYet(
                    f"{what}, and your function went on and on. {TRIES} requests are allowed,"
                    " whatever went wrong."
                )
            ) from None
        expect(
            len(service.sent) == TRIES,
            f"{what}, and you sent {len(service.sent)} request{'s' * (len(service.sent) > 1)}."
            f" {TRIES} are allowed, the first one included, whatever went wrong.",
        )

    longest = max(run(ask_again, *[error(500)] * 10)[1].slept[-1] for _ in range(15))
    expect(
        longest > BASE,
        f"Nobody said how long, and your third pause was never longer than {longest:.2f} s. It is"
        f" drawn from 0 to {4 * BASE:g} s: pass `seconds_to_wait` the number of failures so far,"
        " which grows.",
    )
    return (
        f"at most {TRIES} requests, a wait between two of them and none after the last, and the"
        " error that happened."
    )


# ---- 4 ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def moving_clock(slept: list[float], function):
    """Waits take no time here. For the learner's own code the clock moves on all the same, so that a deadline by the clock works.

    Gives a list with one item for each look at the clock.
    """
    theirs = getattr(inspect.unwrap(function), "__globals__", {})
    looks: list[str] = []

    def moved_on(name: str, real):
        def now():
            if sys._getframe(1).f_globals is not theirs:
                return real()
            looks.append(name)
            return real()  # the spy's, which goes on by what was slept

        return now

    clocks = {name: getattr(time, name) for name in ("monotonic", "perf_counter", "time")}
    moving = {name: moved_on(name, real) for name, real in clocks.items()}
    by_name = {
        mine: (real, moving[name])
        for mine, value in theirs.items()
        for name, real in clocks.items()
        if value is real
    }  # from time import monotonic
    theirs |= {mine: moved for mine, (_, moved) in by_name.items()}
    try:
        with patch.multiple(time, **moving):
            yield looks
    finally:  # these names alone: what else the function has stored there is its own
        theirs |= {mine: real for mine, (real, _) in by_name.items()}


def check_ask_within(ask_within) -> str:
    looks: list[str] = []

    def go(patience, *steps):
        slept: list[float] = []

        @functools.wraps(ask_within)
        def watched(*arguments):
            with moving_clock(slept, ask_within) as looked:
                try:
                    return ask_within(*arguments)
                finally:
                    looks.extend(looked)

        value, service = run(watched, *steps, arguments=(patience,), limit=60, slept=slept)
        return value, service, sum(service.slept)

    value, service, slept = go(10)
    expect(
        len(service.sent) == 1 and not slept,
        "The first request was answered: one request and no wait.",
    )
    expect_answer(value, service, "Nothing went wrong")
    try:
        value, service, slept = go(0)
    except NotYet as missing:
        raise NotYet(
            f"With `patience=0`: {missing} Patience is about waits; the first request needs none."
        ) from None
    expect_answer(value, service, "With a patience of 0 s nothing went wrong")

    value, service, slept = go(10, error(429, retry_after=4), error(429, retry_after=4))
    expect_answer(value, service, "Two waits of 4 s fit into 10 s")
    expect(
        len(service.sent) == 3,
        f"Refused twice, then answered: three requests. You sent {len(service.sent)}.",
    )
    expect(slept >= 8, f"The server asked for 4 s twice, and you waited {slept:.1f} s in all.")
    if slept == 8 and not looks:  # whoever looks at the clock counts the requests' own time too
        value, service, slept = go(8, error(429, retry_after=4), error(429, retry_after=4))
        expect(
            not isinstance(value, Raised) or len(service.sent) != 2,
            "Waits of 4 and 4 s, patience 8 s: that fits exactly, and you raised before the second"
            " wait. Raise if the sum is *more* than `patience`, `>` and not `>=`.",
        )
        expect_answer(value, service, "Two waits of 4 s fit into 8 s exactly")

    value, service, slept = go(10, *[error(429, retry_after=42)] * 10)
    expect(
        slept < 42,
        f"The server asked for 42 s, the caller's patience was 10 s, and you waited {slept:.1f} s."
        " Ask before each wait whether it still fits.",
    )
    expect(
        not slept,
        f"The server asked for 42 s, the caller's patience was 10 s, and you waited {slept:.1f} s"
        " and asked again. A shortened wait only comes too early: do not begin a wait that does"
        " not fit.",
    )
    expect(
        len(service.sent) == 1,
        f"The server asked for 42 s, and you sent {len(service.sent)} requests without waiting."
        " Raise at once when the wait does not fit.",
    )
    expect_original(value, service, 429, "The wait did not fit (42 s into 10 s)")

    value, service, slept = go(10, *[error(429, retry_after=4)] * 10)
    expect(
        slept <= 10 + 1e-9,
        "Each wait of 4 s fits into 10 s by itself, but not all of them together: you waited"
        f" {slept:.1f} s. Count what you have waited so far.",
    )
    expect(
        len(service.sent) == 3,
        "Waits of 4 s, patience 10 s: two waits fit, so there are three requests. You sent"
        f" {len(service.sent)}.",
    )
    expect_original(value, service, 429, "The third wait did not fit (4 + 4 + 4 s into 10 s)")

    value, service, slept = go(23, error(429, retry_after=9), *[error(429, retry_after=5)] * 2)
    expect_answer(
        value,
        service,
        "Waits of 9, 5 and 5 s fit into 23 s (there is no number of tries here, only patience)",
    )
    value, service, slept = go(60, *[error(429, retry_after=2)] * 15)
    expect_answer(
        value,
        service,
        "Fifteen waits of 2 s fit into 60 s (there is no number of tries here, only patience)",
    )

    value, service, slept = go(60, error(403))
    expect(
        len(service.sent) == 1 and not slept,
        "A 403 was tried again. Patience is for what passes; raise at once what does not.",
    )
    expect_original(value, service, 403, "The token lacks the permission (403)")

    value, service, slept = go(30, *[error(503)] * 4)
    expect_answer(
        value,
        service,
        "Four failures with short pauses fit into 30 s (there is no number of tries here, only"
        " patience)",
    )
    value, service, slept = go(500, *[error(503)] * 10)
    expect(
        max(service.slept) > BASE,
        f"Ten failures, and none of your pauses was longer than {max(service.slept):.2f} s. Pass"
        " `seconds_to_wait` the number of failures so far, which grows.",
    )
    for patience in [3] * 3 + [30] * 15:
        value, service, slept = go(patience, *[error(503)] * 60)
        expect(
            slept <= patience + 1e-9,
            f"The caller's patience was {patience} s, and you waited {slept:.1f} s in all. Call"
            " `seconds_to_wait` once for each failure and keep the number: it draws another one"
            " each time.",
        )
        expect_original(
            value, service, 503, f"The pauses added up to more than the patience of {patience} s"
        )
    return (
        "no wait is begun that does not fit, none is cut short, and the sum of all stays within the"
        " caller's patience."
    )


# ---- 5 ------------------------------------------------------------------------------------------------------------


def with_usage(text: str):
    """A stream whose last chunk holds the usage and an empty list of choices, as many servers send it."""

    def step(service, entry):
        given = reply(text)(service, entry)
        usage = {
            "id": "chatcmpl-0",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": models.chat,
            "choices": [],
            "usage": {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15},
        }
        return Plan(
            given.status,
            given.headers,
            [
                *given.chunks[:-1],
                (0.0, f"data: {json.dumps(usage)}\n\n".encode()),
                given.chunks[-1],
            ],
        )

    return step


def check_stream_text(stream_text) -> str:
    def go(*steps, limit: int = 8):
        """(pieces handed over, Raised or None, the spy)."""
        got: list = []

        @functools.wraps(stream_text)
        def consume(client, question):
            pieces = stream_text(client, question)
            if pieces is None or isinstance(pieces, (str, list, tuple)):
                return pieces
            for piece in pieces:
                got.append(piece)
            return got

        value, service = run(consume, *steps, limit=limit)
        if not isinstance(value, Raised):
            expect(
                value is not None,
                "Your function returns nothing (None). It is a generator: hand each piece over with"
                " `yield`.",
            )
            expect(
                value is got or not isinstance(value, (str, list, tuple)),
                f"You returned {describe(value)}, all at once. Hand each piece over as it comes,"
                " with `yield`.",
            )
        expect(
            all(isinstance(piece, str) for piece in got),
            f"You handed over {describe(next((p for p in got if not isinstance(p, str)), None))}."
            " Hand over the text, `chunk.choices[0].delta.content`, and only if there is one.",
        )
        expect(
            all(entry.json.get("stream") for entry in service.sent),
            "The request did not ask for a stream: pass `stream=True`.",
        )
        return got, value if isinstance(value, Raised) else None, service

    got, raised, service = go()
    if raised:
        raise raised
    expect(
        len(got) > 3,
        "You handed the whole answer over in one piece. Hand over each piece when it comes, so that"
        " people can begin to read.",
    )
    expect("".join(got) == service.said[-1], "The pieces together are not the model's answer.")
    expect(
        all(got),
        'You handed over a piece without text (""): the first chunk of a stream holds only the'
        " role. Skip it: `if chunk.choices and chunk.choices[0].delta.content:`.",
    )
    expect(
        len(service.sent) == 1, f"The stream was whole, and you sent {len(service.sent)} requests."
    )

    for steps, what in (
        ((error(503),), "The stream was refused (503) before it began"),
        ((reply(breaks_after=0),), "The connection broke before the first piece"),
        (
            (reply(breaks_after=1),),
            "The connection broke after a chunk that holds only the role, and no text",
        ),
    ):
        got, raised, service = go(*steps)
        expect(
            raised is None,
            f"{what}. Nobody has read anything yet, so a second try does no harm; your function"
            f" raised {raised and type(raised.error).__name__}.",
        )
        expect(
            len(service.sent) == 2,
            f"{what}. That takes two requests; you sent {len(service.sent)}.",
        )
        expect(
            "".join(got) == service.said[-1],
            f"{what}. The second stream was whole, but what you handed over is not its text.",
        )

    got, raised, service = go(reply(words(12), breaks_after=4))
    began = " ".join(service.said[0].split(" ")[:3])
    if len(service.sent) > 1:
        expect(
            "".join(got) != service.said[-1],
            "The stream broke after three words, and your function had handed none of them over: it"
            " collects first. Hand over each piece when it comes; then the reader sees words and"
            " not a pause.",
        )
        raise NotYet(
            "The stream broke after three words that the reader had already seen, and you began"
            f' anew: "{"".join(got)[:60]}…". After the first piece there is no second try: raise.'
        )
    expect(
        raised is not None,
        "The stream broke after three words, and your function ended as if the answer were whole:"
        f' "{"".join(got)}". Let the error through: half an answer is no answer.',
    )
    expect(
        "".join(got) == began,
        f'Three words had come before the stream broke, and you handed over "{"".join(got)}". Pass'
        " on what has arrived, each piece when it comes.",
    )
    expect(
        type(raised.error).__name__ == "RemoteProtocolError",
        f"The stream broke, and you raised {type(raised.error).__name__} in place of the error that"
        " happened.",
    )

    got, raised, service = go(error(401))
    expect(
        raised is not None and len(service.sent) == 1,
        "A 401 was tried again, or swallowed. Ask `should_retry(error)`, as in task 3.",
    )
    got, raised, service = go(*[error(503)] * 8)
    expect(
        len(service.sent) == STREAM_TRIES,
        f"The service refused every time, and you sent {len(service.sent)}"
        f" request{'s' * (len(service.sent) != 1)}; {STREAM_TRIES} are allowed.",
    )
    expect(
        raised is not None and status_of(raised) == 503,
        "The service refused every time (503), and that error did not come through.",
    )
    expect(
        len(service.slept) < STREAM_TRIES,
        "Your function waited after the last try. Decide whether to go on before you wait.",
    )

    for steps, what in (
        ((error(503), error(503)), "The stream was refused twice (503)"),
        ((error(429, retry_after=30),), "The stream was refused with `Retry-After: 30`"),
    ):
        got, raised, service = go(*steps)
        expect(
            len(service.slept) >= len(steps),
            f"{what}, and you tried again without waiting. A service in trouble needs air: wait"
            " `seconds_to_wait(…)` before each new try, as in task 3.",
        )
    expect(
        sum(service.slept) >= 30,
        f"The server said `Retry-After: 30`, and you waited {sum(service.slept):.1f} s. Give"
        " `seconds_to_wait` the headers, as in task 3.",
    )

    got, raised, service = go(with_usage(words(6)))
    expect(
        not raised or type(raised.error).__name__ != "IndexError",
        "The last chunk of a stream may hold the usage alone; its `choices` is an empty list."
        f" {raised}. Ask `if chunk.choices and chunk.choices[0].delta.content:`.",
    )
    expect(
        raised is None and "".join(got) == service.said[-1],
        "The last chunk held the usage and no `choices`."
        f" {raised or 'The pieces together are not the answer.'}",
    )

    got, raised, service = go(reply(words(12), breaks_after=2))
    expect(
        len(service.sent) == 1,
        "The stream broke after its first word. The reader has seen it, so there is no second try:"
        " one piece is enough.",
    )
    return "tried again while nothing had been handed over, and never after that."


# ---- 6 ------------------------------------------------------------------------------------------------------------


TASKS = read_tasks(
    __file__,
    check_should_retry,
    check_seconds_to_wait,
    check_ask_again,
    check_ask_within,
    check_stream_text,
)
