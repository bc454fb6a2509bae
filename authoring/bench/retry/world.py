"""A service in trouble, as rules: what it answers to a request that arrives at a given moment.

The same rules serve the server of the benchmark (over a socket, in real time) and the simulation of
the tests (in virtual time). Nothing here sleeps or reads a clock.
"""

import heapq
import math
import random
from dataclasses import dataclass, field
from email.utils import formatdate

from helpers.exercises.chat_format import chat_body, counted

CHAT = chat_body("ok", "m", usage=counted(1, 1), id="chatcmpl-1", created=1)


EPOCH = 1_800_000_000  # the date at second 0 of a service's clock


@dataclass
class Reply:
    """One answer, `seconds` after the request arrived. Status 0 is a connection reset.

    asked : seconds that a refusal told the client to wait, as whole or exact as the headers say it;
        None if they don't.
    breaks_after : a stream breaks after so many chunks; None: it doesn't.
    """

    status: int
    seconds: float
    headers: dict[str, str] = field(default_factory=dict)
    body: dict = field(default_factory=lambda: CHAT)
    asked: float | None = None
    breaks_after: int | None = None


@dataclass
class Rules:
    """How a service behaves. Times in seconds.

    quota, window : `quota` requests in `window`; quota None means no limit.
    kind : "fixed" (windows by the clock, the first one ends after `phase`), "first" (a window
        begins with the first request after the last one), "bucket" (quota tokens, refilled at quota
        / window a second).
    say : which headers a 429 has: "all", "ratelimit", "retry-after", "date", "ms", "nothing".
        RateLimit headers are on every answer, as on the Hub.
    rounding : "up" or "down", for whole seconds.
    cold : the model is ready so long after the first request; estimate : what it says meanwhile
        (None: nothing).
    errors : share of requests that fail with 502, 503 or a reset; down : everything answers 503.
    latency : seconds of work for a good answer.
    """

    quota: int | None = None
    window: float = 2.0
    phase: float = 1.0
    kind: str = "fixed"
    say: str = "all"
    rounding: str = "up"
    cold: float = 0.0
    estimate: float | None = 20.0
    errors: float = 0.0
    down: bool = False
    latency: float = 0.02
    refusal: float = 0.001
    seed: int = 0


class Service:
    """The rules at work. `arrive(now)` is called once for each request, in the order of arrival."""

    def __init__(self, rules: Rules):
        self.rules = rules
        self.random = random.Random(rules.seed)
        self.window, self.used = None, 0  # number or end of the current window
        self.tokens, self.filled = float(rules.quota or 0), 0.0
        self.first = None

    def arrive(self, now: float) -> Reply:
        r = self.rules
        self.first = now if self.first is None else self.first
        if r.down:
            return Reply(503, r.refusal, body={"error": "Service Unavailable"})
        if now < self.first + r.cold:
            body = {"error": "Model m is currently loading"}
            return Reply(
                503,
                r.refusal,
                body=body if r.estimate is None else body | {"estimated_time": r.estimate},
            )
        if r.errors and self.random.random() < r.errors:
            return Reply(self.random.choice((502, 503, 0)), r.refusal, body={"error": "trouble"})
        admitted = r.quota is None or self._admit(now)
        headers, asked = self._headers(now, not admitted) if r.quota else ({}, None)
        if not admitted:
            return Reply(429, r.refusal, headers, {"error": "Too many requests"}, asked)
        return Reply(200, r.latency, headers)

    def opens(self, now: float) -> float:
        """Seconds from `now` until a request would be admitted; 0.0 if one is now."""
        r = self.rules
        if r.quota is None:
            return 0.0
        self._turn(now)
        if r.kind == "bucket":
            return max(0.0, (1 - self.tokens) * r.window / r.quota)
        return self._left(now) if self.used >= r.quota else 0.0

    def _turn(self, now: float) -> None:
        r = self.rules
        if r.kind == "bucket":
            self.tokens = min(r.quota, self.tokens + (now - self.filled) * r.quota / r.window)
            self.filled = now
        elif r.kind == "first":
            if self.window is None or now >= self.window:
                self.window, self.used = None, 0
        elif (window := math.floor((now - r.phase) / r.window)) != self.window:
            self.window, self.used = window, 0

    def _admit(self, now: float) -> bool:
        r = self.rules
        self._turn(now)
        if r.kind == "bucket":
            if self.tokens < 1:
                return False
            self.tokens -= 1
            return True
        if r.kind == "first" and self.window is None:
            self.window = now + r.window
        if self.used >= r.quota:
            return False
        self.used += 1
        return True

    def _left(self, now: float) -> float:
        r = self.rules
        if r.kind == "first":
            return r.window if self.window is None else self.window - now
        return r.window - (now - r.phase) % r.window

    def _headers(self, now: float, refused: bool) -> tuple[dict[str, str], float | None]:
        r = self.rules
        exact = self.opens(now) if r.kind == "bucket" else self._left(now)
        whole = math.ceil(exact) if r.rounding == "up" else math.floor(exact)
        left = int(self.tokens) if r.kind == "bucket" else r.quota - self.used
        headers, asked = {}, None if r.say == "nothing" else float(whole)
        if r.say in ("all", "ratelimit"):
            headers["RateLimit"] = f'"api";r={left};t={whole}'
            if r.kind != "bucket":
                headers["RateLimit-Policy"] = f'"fixed window";"api";q={r.quota};w={r.window:g}'
        if refused and r.say in ("all", "retry-after"):
            headers["Retry-After"] = str(whole)
        if refused and r.say == "ms":
            headers["Retry-After-Ms"] = str(math.ceil(exact * 1000))
            asked = math.ceil(exact * 1000) / 1000
        if refused and r.say == "date":
            date, until = EPOCH + math.floor(now), EPOCH + math.ceil(now + exact)
            headers |= {
                "Date": formatdate(date, usegmt=True),
                "Retry-After": formatdate(until, usegmt=True),
            }
            asked = until - EPOCH - now
        return headers, asked if refused else None


def least_seconds(rules: Rules, calls: int, workers: int) -> float:
    """Seconds that `calls` need with `workers` at a time if somebody knew the rules and was never
    refused."""
    if rules.down:
        return math.nan
    quiet = Rules(**{**vars(rules), "errors": 0.0, "cold": 0.0})
    service, free, end, now = Service(quiet), [rules.cold] * workers, 0.0, 0.0
    for _ in range(calls):
        now = max(now, heapq.heappop(free))  # first come, first served
        while (wait := service.opens(now)) > 0:
            now += wait + 1e-9
        service.arrive(now)
        heapq.heappush(free, now + rules.latency)
        end = max(end, now + rules.latency)
    return end
