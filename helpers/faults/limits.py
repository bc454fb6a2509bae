"""Limits: how many requests a service takes in a time, and what it tells a client about that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate

HINTS = ("RateLimit", "Retry-After", "Retry-After-Date", "Retry-After-Ms")


@dataclass
class FixedWindow:
    """`quota` requests in each window of `seconds`; then 429 until the next window. Refused
    requests do not count.

    elapsed : how much of the first window is already over. used : how many of its requests others
        have used up.
    from_first : a window begins with the first request in it, instead of by the clock.
    hints : what the server says: "RateLimit" (on every answer, as the Hub does: r left, t seconds
        to the reset), "Retry-After", "Retry-After-Date", "Retry-After-Ms" (on refusals). () says
        nothing.
    round_down : whole seconds are cut, as many servers do, so that the client comes too early.
    """

    quota: int
    seconds: float
    elapsed: float = 0.0
    used: int = 0
    from_first: bool = False
    hints: tuple[str, ...] = ("RateLimit", "Retry-After")
    round_down: bool = False
    name: str = "api"

    policy = "fixed window"

    def __post_init__(self):
        _check(self, self.quota, self.seconds)
        if not (0 <= self.elapsed < self.seconds and 0 <= self.used <= self.quota):
            raise ValueError(
                f"elapsed must be within the window of {self.seconds:g} s, used at most the quota"
                f" of {self.quota}; got elapsed={self.elapsed}, used={self.used}"
            )
        waits = self.from_first and not self.used
        self._ends, self._used = None if waits else self.seconds - self.elapsed, self.used

    @property
    def window(self) -> float:
        return self.seconds

    def look(self, now: float) -> tuple[int, float]:
        """(requests left, seconds until there are more) at the moment `now`."""
        if self._ends is not None and now >= self._ends - 1e-6:
            passed = math.floor((now - self._ends + 1e-6) / self.seconds) + 1
            self._ends = None if self.from_first else self._ends + passed * self.seconds
            self._used = 0
        return self.quota - self._used, self.seconds if self._ends is None else self._ends - now

    def take(self, now: float) -> None:
        self.look(now)
        self._ends = now + self.seconds if self._ends is None else self._ends
        self._used += 1


@dataclass
class TokenBucket:
    """A bucket of `quota` requests that refills at `per_second`; 429 while it is empty. hints,
    round_down: as FixedWindow."""

    quota: int
    per_second: float
    hints: tuple[str, ...] = ("RateLimit", "Retry-After")
    round_down: bool = False
    name: str = "api"

    policy = "token bucket"

    def __post_init__(self):
        _check(self, self.quota, self.per_second)
        self._level, self._then = float(self.quota), 0.0

    @property
    def window(self) -> float:
        return self.quota / self.per_second

    def look(self, now: float) -> tuple[int, float]:
        self._level = min(self.quota, self._level + (now - self._then) * self.per_second)
        self._then = now
        left = math.floor(self._level + 1e-6)
        return left, ((self.quota if left else 1) - self._level) / self.per_second

    def take(self, now: float) -> None:
        self.look(now)
        self._level -= 1


def _check(limit, *numbers: float) -> None:
    if not all(number > 0 for number in numbers):
        got = ", ".join(map(str, numbers))
        raise ValueError(f"{type(limit).__name__} needs numbers greater than 0, got {got}")
    if unknown := set(limit.hints) - set(HINTS):
        raise ValueError(
            f"there is no hint {unknown.pop()!r}; choose from {', '.join(HINTS)}, or () for none"
        )


def limit_headers(
    limits: Sequence[FixedWindow | TokenBucket], now: float, refused: bool, clock_time: float
) -> dict[str, str]:
    """The headers that tell a client about its limits. `clock_time` is the server's date, in
    seconds since 1970."""
    headers, said, policies = {}, [], []
    for limit in limits:
        left, reset = limit.look(now)
        seconds = math.floor(reset + 1e-6) if limit.round_down else math.ceil(reset - 1e-6)
        # draft-ietf-httpapi-ratelimit-headers, as the Hub's documentation shows it
        if "RateLimit" in limit.hints:
            said.append(f'"{limit.name}";r={max(left, 0)};t={seconds}')
            policies.append(f'"{limit.policy}";"{limit.name}";q={limit.quota};w={limit.window:g}')
        if refused and left < 1:  # RFC 9110, 10.2.3: seconds, or a date
            if "Retry-After" in limit.hints:
                headers["retry-after"] = str(max(seconds, int(headers.get("retry-after", 0))))
            if "Retry-After-Date" in limit.hints:
                whole = math.floor if limit.round_down else math.ceil
                date = whole(round(clock_time + reset, 3))
                headers["retry-after"] = formatdate(date, usegmt=True)
            if "Retry-After-Ms" in limit.hints:
                headers["retry-after-ms"] = str(math.ceil(reset * 1000 - 1e-3))
    if said:
        headers |= {"ratelimit": ", ".join(said), "ratelimit-policy": ", ".join(policies)}
    return headers
