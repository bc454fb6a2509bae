"""Step 2: how long to wait? What the server asked for; if it asked for nothing, a doubling range
and chance.

Sources: RFC 9110 section 10.2.3 (Retry-After); draft-ietf-httpapi-ratelimit-headers (RateLimit,
RateLimit-Policy); https://huggingface.co/docs/hub/rate-limits; "Exponential Backoff And Jitter",
AWS Architecture Blog, 2015 (full jitter).
"""

import random
import re
import time
from typing import NamedTuple


def backoff(failures: int, base: float = 0.5, cap: float = 20.0, uniform=random.uniform) -> float:
    """Seconds to wait after `failures` failures (1, 2, …) if nobody said how long: full jitter,
    U(0, base * 2^(n-1)).

    The range doubles so that a service in trouble gets air; the draw is random so that clients that
    failed together do not come back together.
    """
    return uniform(0.0, min(cap, base * 2.0 ** min(failures - 1, 60)))


def parse_retry_after(headers) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (seconds, fractions too, or an HTTP date);
    None without a usable one.

    Look at it on errors only: some services send it with a 200. A date is compared with the
    response's own Date header, because the two clocks may differ.
    """
    headers = lower(headers)
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


class Limit(NamedTuple):
    """One rate limit as a server states it; None where it does not say."""

    remaining: int | None = None  # requests left in this window
    reset: float | None = None  # seconds until the window ends
    quota: int | None = None  # requests in a window
    window: float | None = None  # seconds in a window


def parse_ratelimit(headers) -> Limit | None:
    """The limit that binds, from `RateLimit` and `RateLimit-Policy`; None if the headers state
    none.

    `RateLimit: "api";r=0;t=55` says that 0 requests remain and the window ends in 55 s;
    `RateLimit-Policy: "fixed window";"api";q=500;w=300` that there are 500 in 300 s. Of several
    limits the emptiest one binds, and of several empty ones the one that stays empty longest.
    """
    headers = lower(headers)
    policies = _items(headers.get("ratelimit-policy", ""))
    limits = []
    for names, stated in _items(headers.get("ratelimit", "")):
        policy = next((numbers for theirs, numbers in policies if theirs & names), {})
        if "r" in stated:
            quota = int(policy["q"]) if "q" in policy else None
            limits.append(Limit(int(stated["r"]), stated.get("t"), quota, policy.get("w")))
    return min(limits, key=lambda limit: (limit.remaining, -(limit.reset or 0.0)), default=None)


def _items(text: str) -> list[tuple[set[str], dict[str, float]]]:
    """`"name";r=0;t=55, "other";r=3` as [({"name"}, {"r": 0, "t": 55}), …]; commas and semicolons
    in quotes do not split."""
    found = []
    for item in re.findall(r'(?:[^,"]|"[^"]*")+', text):
        parts = [part.strip() for part in re.findall(r'(?:[^;"]|"[^"]*")+', item)]
        numbers = (re.fullmatch(r"(\w+)\s*=\s*(\d+(?:\.\d+)?)", part) for part in parts)
        names = {part.strip('"') for part in parts if part.startswith('"') or "=" not in part}
        found.append((names, {match[1]: float(match[2]) for match in numbers if match}))
    return found


def lower(headers) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _date(text: str | None) -> float | None:
    """An HTTP date in seconds since 1970; None if it is not one."""
    if not text:
        return None
    # here, because it takes longer to import than this whole folder
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
