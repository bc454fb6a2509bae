"""Retry a call to a hosted model: which errors, how long, together with all other calls, and when to stop.

    answer = call_with_retry(client.chat_completion, messages, model=MODEL)

    policy = RetryPolicy(timeout=120)                 # seconds in all, waits included
    answer = policy.call(client.chat_completion, messages, model=MODEL)
    answer = await policy.acall(async_client.chat_completion, messages, model=MODEL)
    for chunk in policy.stream(client.chat_completion, messages, model=MODEL, stream=True): ...

    @policy                                           # functions, coroutines, generators, async generators
    def ask(question): ...

Five parts, each usable without the next: `classify` reads an error, `backoff` and what the server asked give the wait,
`RateGate` is the door that all calls go through, `RetryBudget` stops them in an outage, `RetryPolicy` ties it together.
The parts only decide; nothing sleeps or sends until the last pages, so an hour of trouble is tested in milliseconds.

One policy stands for one quota: share it between everything that uses the same token, give another service its own.
A chat completion is not idempotent: if its answer was lost on the way, the second request is billed too and may say
something else. This file needs the standard library only; copy it into your project.

Sources: RFC 9110 section 10.2.3 (Retry-After); draft-ietf-httpapi-ratelimit-headers (RateLimit, RateLimit-Policy);
https://huggingface.co/docs/hub/rate-limits; "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter);
Google SRE book, "Handling Overload" (retry budgets).
"""

import bisect
import contextvars
import functools
import itertools
import logging
import math
import random
import re
import sys
import threading
import time
import warnings
from typing import NamedTuple

log = logging.getLogger(__name__)
_monotonic = time.monotonic


def _now() -> float:
    """Seconds. Looked up in `time` each time, so that a virtual clock that replaces it there is followed."""
    return time.monotonic()


# ---------------------------------------------------------------- 1. What went wrong?

RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})  # and 520 up, which proxies use for their own trouble
NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits"})

# Exceptions that carry no status, by class name: the same names in httpx, httpx2 and what is built on them.
LIBRARIES = frozenset({"httpx", "httpx2", "huggingface_hub", "openai", "requests", "ssl", "builtins"})
NEVER = frozenset({"OfflineModeIsEnabled", "SSLCertVerificationError", "UnsupportedProtocol", "LocalProtocolError"})
NOT_REACHED = frozenset({"ConnectTimeout", "PoolTimeout"})  # the request never left: nothing was done twice
TIMED_OUT = frozenset({"TimeoutException", "TimeoutError", "Timeout", "APITimeoutError"})
NO_CONNECTION = frozenset({"NetworkError", "RemoteProtocolError", "ConnectionError", "APIConnectionError"})


class Limit(NamedTuple):
    """One rate limit as a server states it; None where it does not say."""

    remaining: int | None = None  # requests left in this window
    reset: float | None = None    # seconds until the window ends
    quota: int | None = None      # requests in a window
    window: float | None = None   # seconds in a window


class Verdict(NamedTuple):
    """What an exception means for whoever wants to try again.

    kind : "throttled" (too many requests), "loading" (the model is not ready), "transient" (try again), "timeout"
        (the same, but the work may have been done), or "fatal" (the same request will fail again).
    wait : seconds that the server asked for; None if it did not say.
    estimate : seconds that a loading model thinks it needs; a guess, often a constant.
    """

    kind: str
    status: int | None = None
    wait: float | None = None
    estimate: float | None = None
    limit: Limit | None = None


def classify(error: BaseException) -> Verdict:
    """What kind of failure `error` is, from its type, its response's status, headers and error code: never from its text.

    Looks along `__cause__`, because clients wrap: huggingface_hub's OverloadedError has the response only in its cause.
    """
    chain = [error]
    while chain[-1].__cause__ is not None and len(chain) < 10:
        chain.append(chain[-1].__cause__)
    names = {c.__name__ for e in chain for c in type(e).__mro__ if c.__module__.partition(".")[0] in LIBRARIES}
    if names & NEVER or isinstance(error, NotSent) or hasattr(error, "retry_story"):  # the last: a policy inside a policy
        return Verdict("fatal")
    for e in chain:
        status = getattr(getattr(e, "response", None), "status_code", None)
        if isinstance(status, int):
            return _classify_response(e.response, status)
    if "OverloadedError" in names:
        return Verdict("throttled")
    if names & NOT_REACHED:
        return Verdict("transient")
    if names & TIMED_OUT:
        return Verdict("timeout")
    return Verdict("transient" if names & NO_CONNECTION else "fatal")


def _classify_response(response, status: int) -> Verdict:
    headers = _lower(response.headers)
    if not (status in RETRYABLE_STATUS or status >= 520) or headers.get("x-should-retry", "").lower() == "false":
        return Verdict("fatal", status)
    body = _json(response)
    problem = body["error"] if isinstance(body.get("error"), dict) else body
    if status == 429 and not NO_MONEY.isdisjoint({str(problem.get("code")), str(problem.get("type"))}):
        return Verdict("fatal", status)  # waiting does not fill an account
    wait, limit = parse_retry_after(headers), parse_ratelimit(headers)
    if limit and limit.remaining == 0 and limit.reset is not None:  # with requests left, this limit was not the reason
        wait = max(limit.reset, wait or 0.0)
    if status == 429:
        return Verdict("throttled", status, wait, limit=limit)
    estimate = body.get("estimated_time")
    if status != 503 or not isinstance(estimate, (int, float)) or not 0 < estimate < math.inf:
        estimate = None
    kind = "loading" if status == 503 and (wait or estimate) else "transient"
    return Verdict(kind, status, wait or None, estimate, limit)


def _json(response) -> dict:
    try:
        body = response.json()
    except Exception:  # not JSON, or a stream whose body was not read
        return {}
    return body if isinstance(body, dict) else {}


# ---------------------------------------------------------------- 2. How long to wait?


def backoff(failures: int, base: float = 0.5, cap: float = 20.0, uniform=random.uniform) -> float:
    """Seconds to wait after `failures` failures (1, 2, …) if nobody said how long: full jitter, U(0, base * 2^(n-1)).

    The range doubles so that a service in trouble gets air; the draw is random so that clients that failed together
    do not come back together.
    """
    return uniform(0.0, min(cap, base * 2.0 ** min(failures - 1, 60)))


def parse_retry_after(headers) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (seconds, fractions too, or an HTTP date); None without a usable one.

    Look at it on errors only: some services send it with a 200. A date is compared with the response's own Date header,
    because the two clocks may differ (RFC 9110, 10.2.3).
    """
    headers = _lower(headers)
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if seconds >= 0:  # drops nan, too
            return seconds
    until = _date(headers.get("retry-after"))
    if until is None:
        return None
    now = _date(headers.get("date"))
    return max(0.0, until - (time.time() if now is None else now))


def parse_ratelimit(headers) -> Limit | None:
    """The limit that binds, from `RateLimit` and `RateLimit-Policy`; None if the headers state none.

    `RateLimit: "api";r=0;t=55` says that 0 requests remain and the window ends in 55 s; `RateLimit-Policy:
    "fixed window";"api";q=500;w=300` that there are 500 in 300 s. Of several limits the emptiest one binds, and of
    several empty ones the one that stays empty longest.
    """
    headers = _lower(headers)
    policies = _items(headers.get("ratelimit-policy", ""))
    limits = []
    for names, stated in _items(headers.get("ratelimit", "")):
        policy = next((numbers for theirs, numbers in policies if theirs & names), {})
        if "r" in stated:
            quota = int(policy["q"]) if "q" in policy else None
            limits.append(Limit(int(stated["r"]), stated.get("t"), quota, policy.get("w")))
    return min(limits, key=lambda limit: (limit.remaining, -(limit.reset or 0.0)), default=None)


def _items(text: str) -> list[tuple[set[str], dict[str, float]]]:
    """`"name";r=0;t=55, "other";r=3` as [({"name"}, {"r": 0, "t": 55}), …]; commas and semicolons in quotes do not split."""
    found = []
    for item in re.findall(r'(?:[^,"]|"[^"]*")+', text):
        parts = [part.strip() for part in re.findall(r'(?:[^;"]|"[^"]*")+', item)]
        numbers = (re.fullmatch(r"(\w+)\s*=\s*(\d+(?:\.\d+)?)", part) for part in parts)
        names = {part.strip('"') for part in parts if part.startswith('"') or "=" not in part}
        found.append((names, {match[1]: float(match[2]) for match in numbers if match}))
    return found


def _lower(headers) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _date(text: str | None) -> float | None:
    """An HTTP date in seconds since 1970; None if it is not one."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # here, because it takes longer to import than this whole file

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


# ---------------------------------------------------------------- 3. One door for all calls


class Ticket:
    """One call's place in the line before a gate. `wake` is called when it is worth asking again."""

    __slots__ = ("number", "era", "limit", "state", "wake")

    def __init__(self, wake=None):
        self.number = self.era = self.limit = self.state = None
        self.wake = wake


class RateGate:
    """The door that all threads and tasks go through: when the quota is used up everybody waits, and nobody has to fail
    to find out.

    It learns from answers: when a window ends, how many requests fit into it, and, from servers that say nothing, how
    long a pause helped the last time. First come, first served; a refused call keeps its place. Never sleeps: `reserve`
    says how long to wait, and whoever asked does the waiting. Thread-safe.

    max_concurrency : requests under way at one time. Eight, because everything that is on its way when the quota runs
        out for the first time is refused.
    """

    SPREAD = 0.25          # at most so many seconds (or 1 % of the window) are added so that clients don't start together
    LONGEST_PAUSE = 120.0  # seconds between two probes of a server that does not say how long
    FORGET = 60.0          # seconds without a request after which old trouble is history

    def __init__(self, max_concurrency: int = 8, *, clock=_now, uniform=random.uniform):
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {max_concurrency}: with 0 no request could ever start")
        self.slots, self.clock, self.uniform = max_concurrency, clock, uniform
        self.line: list[Ticket] = []      # who waits, first come first
        self.flying = 0                   # requests under way
        self.opens, self.reason = -math.inf, ""   # closed until then, because of this
        self.era = 0                      # counts windows: an answer to a request of an earlier one says little about this one
        self.quota = self.window = None   # what a window holds, once known
        self.ends = None                  # when this window is over for certain
        self.left = math.inf              # requests that may still start in it, by our own count
        self.stated = math.inf            # the same as the server counts: the lowest number it gave in this window
        self.by_clock = True              # windows follow one another; False: each begins with its first request
        self.rounds_down = False          # it once said "0 seconds", so "1" may mean 1.9
        self.sent = self.unheard = self.passed = 0  # requests of this window: started; not yet answered; answered well
        self.expected = math.inf          # so many went well the last time; after that many it feels its way
        self.probing = False              # closed without knowing for how long: one request goes first
        self.trouble_since = self.estimate = None
        self.guess = 0.5                  # seconds that a pause needs if the server doesn't say
        self.spread = self.next_start = 0.0
        self.announced = -math.inf        # a pause until then was logged
        self.numbers, self.lock = itertools.count(), threading.Lock()

    def reserve(self, ticket: Ticket) -> float:
        """0.0 if this call may send its request now; else seconds until it is worth asking again.

        `math.inf` means: when `ticket.wake` is called. Whoever got 0.0 must call `release` when the answer is in.
        """
        with self.lock:
            now = self.clock()
            if ticket.number is None:
                ticket.number = next(self.numbers)
            if ticket.state != "waiting":
                ticket.state = "waiting"
                bisect.insort(self.line, ticket, key=lambda t: t.number)
            if now < self.opens:
                return self.opens - now
            if self.line[0] is not ticket:
                return math.inf
            if self.ends is not None and now >= self.ends:
                self._new_window(now - (now - self.ends) % self.window if self.window else now)
            if min(self.left, self.stated - self.unheard) < 1:
                if self.unheard:  # their answers will tell
                    return math.inf if self.ends is None else self.ends - now
                if self.ends is not None:
                    self._close(self.ends - now, "quota")
                    return self.opens - now
            if self.flying >= self.slots or self.unheard >= self._room():
                return math.inf
            if now < self.next_start:
                return self.next_start - now
            if self.trouble_since is not None and now > self.opens + self.FORGET:
                self.trouble_since, self.estimate = now, None  # nobody asked for a while: what was then says nothing
            self.line.pop(0)
            self.flying += 1
            self.sent += 1
            self.unheard += 1
            self.left -= 1
            if self.sent < self.slots:  # after a pause they start one after another, so that one refusal stops the rest
                self.next_start = now + self.spread / self.slots
            ticket.state, ticket.era, ticket.limit = "sent", self.era, None
            self._wake_first()
            return 0.0

    def ok(self, ticket: Ticket) -> None:
        """The answer (or a stream's first chunk) arrived; `ticket.limit` is what its headers said, if somebody listened."""
        with self.lock:
            now = self.clock()
            if not self._hear(ticket, now):
                return
            if self.probing:
                self.guess = max(0.5, self.opens - self.trouble_since)
            self.probing, self.trouble_since, self.estimate = False, None, None
            self.passed += 1
            if ticket.limit is not None:
                self._learn(ticket.limit)
                self.stated = min(self.stated, ticket.limit.remaining)
                if ticket.limit.reset:
                    self.ends = min(self.ends or math.inf, now + ticket.limit.reset + self.rounds_down)

    def throttled(self, ticket: Ticket, verdict: Verdict) -> None:
        """The server refused: `verdict` is "throttled" or "loading". Closes the gate for everybody."""
        with self.lock:
            now, asked, loading = self.clock(), verdict.wait, verdict.kind == "loading"
            self._learn(verdict.limit)
            if asked is not None and not loading:
                self.rounds_down = self.rounds_down or asked == 0
                asked += self.rounds_down
            if not self._hear(ticket, now):  # its fellows have closed the gate already
                self.opens = max(self.opens, now + (asked or 0.0))
                self.expected -= ticket.era == self.era - 1
                return
            if self.trouble_since is None:
                self.trouble_since = now
            waited = now - self.trouble_since
            if asked is not None:
                pause = asked
            elif loading:  # wait an estimate once; one that does not shrink is a constant: look after a quarter, then rarely
                stuck = self.estimate is not None and verdict.estimate >= self.estimate
                pause = max(1.0, verdict.estimate / 4, waited / 10) if stuck else verdict.estimate
                self.estimate = verdict.estimate
            else:
                pause = waited if waited > 2 * self.guess else waited / 2 or self.guess
                pause = min(self.LONGEST_PAUSE, self.uniform(0.5, 1.0) * pause)
            if not self.passed and self.reason == "quota":  # too early, though by the clock it was time
                self.by_clock = False
            if self.sent > 1 or self.expected == math.inf:
                self.expected = self.sent - 1
            self._close(pause, verdict.kind, self.expected)
            self.probing = loading or asked is None

    def pause(self, seconds: float, reason: str = "paused") -> None:
        """Let nobody start for `seconds`."""
        with self.lock:
            self._close(seconds, reason)

    def release(self, ticket: Ticket) -> None:
        """This request is over, or this call gives up its place in line. Harmless if neither was the case."""
        with self.lock:
            if ticket.state == "waiting":
                self.line.remove(ticket)
            elif ticket.state in ("sent", "heard"):
                self._hear(ticket, self.clock())
                self.flying -= 1
            ticket.state = None
            self._wake_first()

    def _room(self) -> float:
        """How many may be without an answer now."""
        if self.probing:
            return 1
        return self.slots if self.sent < self.expected else max(1, self.passed - self.expected)

    def _close(self, seconds: float, reason: str, expected: float = math.inf) -> None:
        now = self.clock()
        self.spread = min(self.SPREAD, 0.01 * (self.window or seconds)) / 2
        self.opens, self.reason = max(self.opens, now + seconds + self.uniform(0.0, self.spread)), reason
        self._new_window(now + seconds, expected)
        for ticket in list(self.line):  # so that those whose time is up before then hear of it
            self._wake(ticket)

    def _new_window(self, begins: float, expected: float = math.inf) -> None:
        self.era += 1
        self.sent = self.unheard = self.passed = 0
        self.expected, self.left, self.stated = expected, self.quota or math.inf, math.inf
        self.ends = begins + self.window if self.window and self.by_clock else None

    def _hear(self, ticket: Ticket, now: float) -> bool:
        """Count an answer; False if the request was sent before the last pause, and the answer says nothing about now."""
        if ticket.era == self.era and ticket.state == "sent":
            self.unheard -= 1
            if self.ends is None and self.window:  # a window that begins with a request has begun now at the latest
                self.ends = now + self.window
        ticket.state = "heard"
        return ticket.era == self.era

    def _learn(self, limit: Limit | None) -> None:
        if limit and limit.quota and limit.window:
            self.quota, self.window = limit.quota, limit.window

    def _wake_first(self) -> None:
        for ticket in self.line[:1]:
            self._wake(ticket)

    def _wake(self, ticket: Ticket) -> None:
        try:
            (ticket.wake or bool)()
        except RuntimeError:  # it waited in an event loop that is closed by now
            self.line.remove(ticket)


# ---------------------------------------------------------------- 4. When to stop


class RetryBudget:
    """How many retries all calls together may spend: `capacity` at first, and `refill` for each success.

    When a service is down, N calls send N + capacity requests in all instead of N * attempts (Google SRE book).
    After `rest` seconds in which nobody wanted one it is full again, so that a notebook left alone starts afresh.
    """

    def __init__(self, capacity: float = 10.0, refill: float = 0.1, rest: float = 300.0, *, clock=_now):
        self.capacity, self.refill, self.rest, self.tokens, self.clock = capacity, refill, rest, capacity, clock
        self.asked, self.lock = -math.inf, threading.Lock()

    def take(self, cost: float = 1.0) -> bool:
        """Pay for one retry; False if there is not enough left."""
        with self.lock:
            before, self.asked = self.asked, self.clock()
            if self.asked - before > self.rest:
                self.tokens = self.capacity
            paid = self.tokens >= cost
            self.tokens -= cost if paid else 0.0
            return paid

    def ok(self) -> None:
        with self.lock:
            self.tokens = min(self.capacity, self.tokens + self.refill)


# ---------------------------------------------------------------- 5. All together


class NotSent(TimeoutError):
    """The request was not sent, because the gate opens later than this call may wait."""


class Wait(NamedTuple):
    """One wait, as `on_wait` gets it. `until` is seconds since 1970; `request` how many requests were sent before it."""

    kind: str
    seconds: float
    until: float
    request: int
    status: int | None


class RetryPolicy:
    """The settings, and the ways to use them: call, acall, stream, astream, and as a decorator.

    attempts=6 : requests for one call that fail with a transient error. With one failure in twenty, six in a row are
        one call in 64 million; the waits between them are 8 s together on average. Refusals (429) and cold starts do
        not count: the server said when to come back.
    refusals=18 : but a call that is refused so often is given up.
    timeout=600.0 : seconds for one call, all waits included, because the Hub's window is 300 s. Looked at before each
        wait: one that does not fit is not begun. It does not cut off a request that is under way; the client's own
        timeout does (give it one: InferenceClient has none).
    max_wait=330.0 : longest single wait in seconds; a window of 300 s and 10 %. More is asked for by daily limits.
    base=0.5, cap=20.0 : seconds, see `backoff`; what AWS and Google use.
    max_concurrency=8 : see `RateGate`.
    retry_timeouts=True : False where doing the work twice is worse than not knowing.
    wait_for_model=False : True for an endpoint that scales to zero: a 503 that says nothing is a cold start, no outage.
    gate, budget : share them between policies; by default each policy has its own.
    on_wait : called with a `Wait` before each wait.
    clock, sleep, uniform : for tests and simulations. With a `sleep` of your own nothing is shown in notebooks.
    """

    def __init__(self, *, attempts: int = 6, refusals: int = 18, timeout: float | None = 600.0, max_wait: float = 330.0,
                 base: float = 0.5, cap: float = 20.0, max_concurrency: int = 8, retry_timeouts: bool = True,
                 wait_for_model: bool = False, gate: RateGate | None = None, budget: RetryBudget | None = None,
                 on_wait=None, clock=_now, sleep=None, uniform=random.uniform):
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {attempts}: it counts requests, and the first one is one too")
        if timeout is not None and timeout <= 0:
            raise ValueError(f"timeout must be more than 0 seconds, or None for no limit; not {timeout}")
        self.attempts, self.refusals, self.timeout, self.max_wait = attempts, refusals, timeout or math.inf, max_wait
        self.base, self.cap, self.retry_timeouts, self.wait_for_model = base, cap, retry_timeouts, wait_for_model
        self.gate = gate or RateGate(max_concurrency, clock=clock, uniform=uniform)
        self.budget = budget or RetryBudget(clock=clock)
        self.on_wait, self.clock, self.sleep, self.uniform = on_wait, clock, sleep, uniform

    def call(self, func, /, *args, **kwargs):
        """`func(*args, **kwargs)`, again if that helps. Raises what the last try raised, with a note that tells the story."""
        with Run(self, func) as run:
            while True:
                self._wait(run)
                try:
                    return run.ok(func(*args, **kwargs))
                except Exception as error:
                    if not run.again(error):
                        raise

    async def acall(self, func, /, *args, **kwargs):
        """`await func(*args, **kwargs)`, like `call`. Other tasks run while it waits; cancelling ends a wait at once."""
        with Run(self, func) as run:
            while True:
                await self._await(run)
                try:
                    return run.ok(await func(*args, **kwargs))
                except Exception as error:
                    if not run.again(error):
                        raise

    def stream(self, func, /, *args, **kwargs):
        """The chunks of `func(*args, **kwargs)`, an iterator. Tries again only until the first chunk was handed over.

        After that an error is raised as it is, because a second try would deliver words twice; what had arrived is in
        its attribute `partial`, a list of chunks.
        """
        with Run(self, func) as run:
            got = []
            while True:
                self._wait(run)
                chunks = None
                try:
                    chunks = func(*args, **kwargs)
                    for chunk in chunks:
                        got.append(chunk if got else run.ok(chunk))
                        yield chunk
                    return
                except Exception as error:
                    if not run.again(error, got):
                        raise
                finally:
                    if hasattr(chunks, "close"):
                        chunks.close()

    async def astream(self, func, /, *args, **kwargs):
        """Like `stream`, for a function that returns an async iterator or a coroutine for one."""
        with Run(self, func) as run:
            got = []
            while True:
                await self._await(run)
                chunks = None
                try:
                    chunks = func(*args, **kwargs)
                    chunks = await chunks if hasattr(chunks, "__await__") else chunks
                    async for chunk in chunks:
                        got.append(chunk if got else run.ok(chunk))
                        yield chunk
                    return
                except Exception as error:
                    if not run.again(error, got):
                        raise
                finally:  # an async generator has aclose(), openai's stream has close()
                    close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
                    if close and hasattr(closing := close(), "__await__"):
                        await closing

    def __call__(self, func):
        """As a decorator, `@policy`: each kind of function keeps its kind."""
        import inspect

        if inspect.isasyncgenfunction(func):
            async def wrapper(*args, **kwargs):
                chunks = self.astream(func, *args, **kwargs)
                try:
                    async for chunk in chunks:
                        yield chunk
                finally:
                    await chunks.aclose()
        elif inspect.iscoroutinefunction(func):
            async def wrapper(*args, **kwargs):
                return await self.acall(func, *args, **kwargs)
        elif inspect.isgeneratorfunction(func):
            def wrapper(*args, **kwargs):
                yield from self.stream(func, *args, **kwargs)
        else:
            def wrapper(*args, **kwargs):
                return self.call(func, *args, **kwargs)
        return functools.wraps(func)(wrapper)

    def watch(self, client):
        """Learn from every answer that `client` gets for this policy, not only from refusals. Returns `client`.

        `client` is an OpenAI or AsyncOpenAI, an httpx2 or httpx client, or an InferenceClient (which sends through a
        session that all of huggingface_hub shares). With it the gate closes before the first refusal.
        """
        http = getattr(client, "_client", client)
        if not hasattr(http, "event_hooks") and hasattr(client, "exit_stack") and not hasattr(client, "_async_client"):
            from huggingface_hub import get_session

            http = get_session()
        if not hasattr(http, "event_hooks"):
            raise TypeError(f"cannot watch {type(client).__name__}: give the httpx2 client that it sends with")
        hook = _alisten if hasattr(http, "aclose") else _listen
        if hook not in http.event_hooks["response"]:
            http.event_hooks["response"].append(hook)
        return client

    def _wait(self, run: "Run") -> None:
        bell = None
        while (seconds := run.turn()) > 0:
            if bell is None:  # first something to be woken with, then ask again: nothing is missed in between
                bell = threading.Event()
                run.ticket.wake = bell.set
            elif self.sleep is None or seconds == math.inf:
                run.show(seconds)
                bell.wait(run.slice(seconds))
                bell.clear()
            else:
                self.sleep(seconds)
        run.show(0.0)

    async def _await(self, run: "Run") -> None:
        bell = None
        while (seconds := run.turn()) > 0:
            import asyncio  # here, because scripts without it should not pay for it

            if bell is None:
                bell, loop = asyncio.Event(), asyncio.get_running_loop()
                run.ticket.wake = functools.partial(loop.call_soon_threadsafe, bell.set)
            elif self.sleep is None or seconds == math.inf:
                run.show(seconds)
                try:
                    await asyncio.wait_for(bell.wait(), run.slice(seconds))
                except TimeoutError:
                    pass
                bell.clear()
            else:
                self.sleep(seconds)
                await asyncio.sleep(0)
        run.show(0.0)


class Run:
    """One call on its way: what happened so far and what comes next. Decides, but neither sleeps nor sends.

    A simulation drives it in virtual time: `turn()` until it is 0, send, then `ok()` or `again(error)`, at last `close()`.
    """

    def __init__(self, policy: RetryPolicy, func=None):
        self.policy, self.gate, self.ticket = policy, policy.gate, Ticket()
        self.started = self.not_before = policy.clock()
        self.deadline = self.started + policy.timeout
        self.requests = self.failures = self.refusals = 0
        self.error = self.verdict = self.display = None
        self.story, self.announced, self.speaks = [], -math.inf, False
        retries = getattr(getattr(getattr(func, "__self__", None), "_client", None), "max_retries", 0)
        if isinstance(retries, int) and retries:
            _warn_of_two_layers(retries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def turn(self) -> float:
        """0.0: send the request now. Else seconds to wait before asking again (`math.inf`: until `ticket.wake` is called).

        Raises the last error, or NotSent if there was none, if the wait does not fit.
        """
        now = self.policy.clock()
        seconds = self.not_before - now
        if seconds <= 0:
            seconds = self.gate.reserve(self.ticket)
        if seconds <= 0:
            self.requests += 1
            _current.set(self.ticket)
            return 0.0
        if problem := self._does_not_fit(seconds, now):
            raise self._gave_up(self.error, problem) if self.error else NotSent(
                f"the request was not sent: {problem} (another service or model needs a RetryPolicy of its own)")
        if self.not_before <= now < self.gate.opens and self.gate.opens > self.announced + 0.05:
            self.announced = self.gate.opens  # a late refusal may prolong a pause a little: the same pause
            self._announce(self.gate.reason, seconds, self.gate.announced + 0.05 < self.announced)
            self.gate.announced = max(self.announced, self.gate.announced)
        return seconds

    def slice(self, seconds: float) -> float:
        """Long waits are cut into seconds: Ctrl-C works on Windows, too, and a notebook shows time passing."""
        return max(0.0, min(seconds, 1.0, self.deadline - self.policy.clock()))

    def ok(self, answer=None):
        """The answer is in, or the first chunk of it. Returns it."""
        self.error = None
        self.gate.ok(self.ticket)
        self.policy.budget.ok()
        return answer

    def again(self, error: Exception, partial: list | None = None) -> bool:
        """Whether it makes sense to try again; if so, `turn` says when. If not, `error` has got a note that says why.

        partial : the chunks that a stream handed over before it broke.
        """
        policy, now = self.policy, self.policy.clock()
        self.error, self.verdict, problem = error, classify(error), ""
        kind, status, wait, estimate, _ = self.verdict
        _warn_if_retried_inside(error)
        if kind == "transient" and status == 503 and policy.wait_for_model:
            kind, estimate = "loading", policy.cap
        if partial:
            error.partial = partial
            problem = f"the stream broke after {len(partial)} chunks (see .partial), and a new one would deliver them again"
        elif kind in ("throttled", "loading"):
            self.refusals += kind == "throttled"
            estimate = estimate and min(estimate, policy.max_wait)  # a guess is no reason to give up
            self.gate.throttled(self.ticket, self.verdict._replace(kind=kind, estimate=estimate))
            problem = self._does_not_fit(self.gate.opens - now, now)
            if self.refusals >= policy.refusals:
                problem = f"refused {self.refusals} times"
        elif kind == "fatal" or (kind == "timeout" and not policy.retry_timeouts):
            problem = "trying again does not help against this error"
        else:
            self.failures += 1
            pause = max(wait or 0.0, backoff(self.failures, policy.base, policy.cap, policy.uniform))
            self.not_before = now + pause
            problem = self._does_not_fit(pause, now)
            if self.failures >= policy.attempts:
                problem = f"{self.failures} attempts failed"
            elif not problem and not policy.budget.take(2 if kind == "timeout" else 1):
                problem = "the retry budget of all calls is used up, the service seems to be down"
            if not problem:
                self._announce(kind, pause, speaks=True)
        self.gate.release(self.ticket)
        if problem and (partial or kind != "fatal" or self.requests > 1):  # an error raised at once needs no story
            self._gave_up(error, problem)
        return not problem

    def close(self) -> None:
        """Leave the gate. Always call it, whatever happened."""
        self.gate.release(self.ticket)
        self.error = None  # else exception and traceback would keep each other alive through this object
        self.show(0.0)

    def _does_not_fit(self, seconds: float, now: float) -> str:
        left = self.deadline - now
        if seconds == math.inf:
            return "" if left > 0 else f"{self.policy.timeout:g} s in line behind calls that are not answered"
        if seconds > self.policy.max_wait + self.gate.SPREAD:
            return f"it needs a wait of {seconds:.1f} s, and max_wait is {self.policy.max_wait:g} s"
        if seconds > left:
            return f"it needs a wait of {seconds:.1f} s, and {max(left, 0.0):.1f} s are left of timeout={self.policy.timeout:g} s"
        return ""

    def _gave_up(self, error: Exception, problem: str) -> Exception:
        error.retry_story = tuple(self.story)
        error.add_note(f"gave up after {self.requests} request{'s' * (self.requests != 1)} and "
                       f"{self.policy.clock() - self.started:.1f} s: {problem}; waited: {', '.join(self.story) or 'nothing'}")
        return error

    def _announce(self, kind: str, seconds: float, speaks: bool) -> None:
        """Each wait of each call goes into its story and to `on_wait`; of a pause for all, one call `speaks`."""
        status, at, self.speaks = self.verdict.status if self.verdict else None, time.time() + seconds, speaks
        self.story.append(f"{seconds:.1f} s ({kind}{f', {status}' if status else ''})")
        log.log(logging.INFO if speaks else logging.DEBUG, "%s: waiting %.1f s, until %s, after request %d of this call",
                kind, seconds, time.strftime("%H:%M:%S", time.localtime(at)), self.requests)
        if self.policy.on_wait:
            self.policy.on_wait(Wait(kind, seconds, at, self.requests, status))

    def show(self, seconds: float) -> None:
        """In a notebook, say how long a wait still takes; nothing for short ones, and nothing in virtual time."""
        if self.display is None and not (self.speaks and 2.0 < seconds < math.inf and _in_notebook()):
            return
        from IPython.display import display

        text = {"text/plain": f"waiting for the service: {seconds:.0f} s" if seconds else ""}
        self.display = self.display or display(text, raw=True, display_id=True)
        self.display.update(text, raw=True)


def _in_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    mine = threading.current_thread() is threading.main_thread()
    return hasattr(shell, "kernel") and mine and time.monotonic is _monotonic  # else time is virtual


_current = contextvars.ContextVar("ticket", default=None)  # whose request this thread or task is sending


def _listen(response) -> None:
    if (ticket := _current.get()) is not None:
        ticket.limit = parse_ratelimit(response.headers)


async def _alisten(response) -> None:
    _listen(response)


def _warn_if_retried_inside(error: Exception) -> None:
    """openai counts its own retries in a header of the request that it sends."""
    try:
        count = error.request.headers.get("x-stainless-retry-count", "0")
    except (AttributeError, RuntimeError):  # no request, or, in httpx, one that was not set
        return
    if count.isdigit() and int(count):
        _warn_of_two_layers(int(count))


def _warn_of_two_layers(retries: int) -> None:
    warnings.warn(f"openai retries {retries} times by itself inside this retry, so a failing call sends {retries + 1} times "
                  "as many requests. Retry in one place: OpenAI(max_retries=0), or client.with_options(max_retries=0).",
                  stacklevel=4)


# ---------------------------------------------------------------- For everyday use

default_policy = RetryPolicy()


def call_with_retry(func, /, *args, **kwargs):
    """`func(*args, **kwargs)`, again if that helps. Every keyword goes to `func`; the settings are `default_policy`'s.

    All calls made this way share one gate and one budget. For streams, other settings or a second service, make a
    RetryPolicy.
    """
    return default_policy.call(func, *args, **kwargs)


async def gather_limited(policy: RetryPolicy, calls) -> list:
    """Like asyncio.gather, but with only as many tasks as the policy's gate lets through. Results in the order of `calls`.

    calls : functions without arguments that return something to await; may be a generator. Functions, not coroutines:
        a coroutine cannot be started a second time.

    The first call that fails for good cancels the others, and its exception is raised.
    """
    import asyncio

    todo, results = enumerate(calls), {}

    async def work():
        for index, call in todo:
            if not callable(call):
                raise TypeError(f"call {index} is {type(call).__name__}; give functions, such as "
                                "lambda: client.chat_completion(…), because a coroutine cannot be started twice")
            results[index] = await policy.acall(call)

    tasks = [asyncio.ensure_future(work()) for _ in range(policy.gate.slots)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [results[index] for index in sorted(results)]


def hf_client(**settings):
    """An InferenceClient that gives up waiting for an answer after 60 s; its own default is to wait for ever."""
    from huggingface_hub import InferenceClient

    return InferenceClient(**{"timeout": 60} | settings)


def openai_client(**settings):
    """An OpenAI client for Hugging Face with 60 s of timeout and no retries of its own: one place retries, this one."""
    import huggingface_hub
    import openai

    if "base_url" not in settings and "api_key" not in settings:  # openai would look for a key of OpenAI's, and send it here
        settings["api_key"] = huggingface_hub.get_token()
        if settings["api_key"] is None:
            raise ValueError("no Hugging Face token found: set HF_TOKEN, or run `hf auth login`")
    return openai.OpenAI(**{"base_url": "https://router.huggingface.co/v1", "timeout": 60, "max_retries": 0} | settings)
