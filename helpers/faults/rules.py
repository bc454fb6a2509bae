"""What can go wrong with a request, decided: limits, models that are not there yet, errors by
chance or by plan.

`Trouble` says what happens to one request after the other. It has no clock and no network of its
own: helpers.faults carries its rulings out between a client and the recorded answers, the practice
server over a real socket.
"""

import math
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus

import httpx2

REFUSED_AFTER = 0.02  # seconds a refusal takes
NEVER = (
    3600.0  # seconds after which the lab ends a call that is never answered and has no time limit
)

# ---- what an error looks like on the wire -------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """One answer that is not what was asked for. status 0: no answer at all, the connection
    `breaks` (a name in BREAKS)."""

    status: int
    body: dict | list | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: str = ""


FAULTS = {
    "bad_token": Fault(401, {"error": "Invalid username or password."}),
    "unlucky_id": Fault(
        401,
        {"error": "Invalid username or password."},
        {"x-request-id": "Root=1-6a429c1f-0b1d4e7720c95d31a8e6f402"},
    ),
    "no_credits": Fault(
        402,
        {
            "error": (
                "You have exceeded your monthly included credits for Inference Providers. "
                "Subscribe to PRO to get 20x more monthly included credits."
            )
        },
    ),
    "no_permission": Fault(
        403,
        {
            "error": (
                "This authentication method does not have sufficient permissions to call "
                "Inference Providers on behalf of user you"
            )
        },
    ),
    "not_supported": Fault(
        400,
        {
            "error": {
                "message": "The requested model is not supported by any provider you have enabled.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_supported",
            }
        },
    ),
    "gone": Fault(
        410,
        {
            "error": (
                "https://api-inference.huggingface.co is no longer supported. "
                "Please use https://router.huggingface.co instead."
            )
        },
    ),
    "too_long": Fault(
        422,
        {
            "error": (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. "
                "Given: 429 `inputs` tokens and 2000 `max_new_tokens`"
            ),
            "error_type": "validation",
        },
    ),
    "slow_down": Fault(429, {"error": "Too Many Requests"}),  # a 429 without any hint
    "no_money": Fault(
        429,
        {
            "error": {
                "message": (
                    "You exceeded your current quota, please check your plan and billing details."
                ),
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            }
        },
    ),
    "overloaded": Fault(429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    "loading": Fault(503, {"error": "Model is currently loading", "estimated_time": 20.0}),
    "do_not_retry": Fault(503, {"error": "Service Unavailable"}, {"x-should-retry": "false"}),
    "reset": Fault(0, breaks="reset"),
    "connect": Fault(0, breaks="connect"),
    "timeout": Fault(0, breaks="timeout"),
}
BREAKS = {
    "reset": httpx2.ReadError(
        "[Errno 104] Connection reset by peer"
    ),  # it hung up after it had the request
    "connect": httpx2.ConnectError(
        "[Errno 111] Connection refused"
    ),  # nobody there: the request never arrived
    "timeout": httpx2.ReadError(f"no answer for {NEVER:g} s, and the client has no time limit"),
    "stream": httpx2.RemoteProtocolError(
        "peer closed connection without sending complete message body (incomplete chunked read)"
    ),
}
SERVER_ERRORS = (500, 502, 503, 504)
IN_STREAM = {
    "error": "Model is overloaded",
    "error_type": "overloaded",
}  # an error that comes as an event of a stream


def fault(name: "str | int | Fault") -> Fault:
    """The fault of that name (see FAULTS), or an ordinary one for an HTTP status from 400 to 599.
    Raises ValueError."""
    if isinstance(name, Fault):
        return name
    if isinstance(name, str) and name in FAULTS:
        return FAULTS[name]
    if isinstance(name, int) and not isinstance(name, bool) and 400 <= name <= 599:
        phrase = HTTPStatus(name).phrase if name in HTTPStatus._value2member_map_ else "Error"
        return Fault(name, {"error": phrase})
    raise ValueError(
        f"there is no fault {name!r}; choose an HTTP status from 400 to 599, or one of"
        f" {', '.join(FAULTS)}"
    )


# ---- limits ------------------------------------------------------------------------------------

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
        self._ends, self._used = (
            (None if self.from_first and not self.used else self.seconds - self.elapsed),
            self.used,
        )

    @property
    def window(self) -> float:
        return self.seconds

    def look(self, now: float) -> tuple[int, float]:
        """(requests left, seconds until there are more) at the moment `now`."""
        if self._ends is not None and now >= self._ends - 1e-6:
            passed = math.floor((now - self._ends + 1e-6) / self.seconds) + 1
            self._ends, self._used = (
                (None if self.from_first else self._ends + passed * self.seconds),
                0,
            )
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
        self._level, self._then = (
            min(self.quota, self._level + (now - self._then) * self.per_second),
            now,
        )
        left = math.floor(self._level + 1e-6)
        return left, ((self.quota if left else 1) - self._level) / self.per_second

    def take(self, now: float) -> None:
        self.look(now)
        self._level -= 1


def _check(limit, *numbers: float) -> None:
    if not all(number > 0 for number in numbers):
        raise ValueError(
            f"{type(limit).__name__} needs numbers greater than 0, got"
            f" {', '.join(map(str, numbers))}"
        )
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
        if (
            "RateLimit" in limit.hints
        ):  # draft-ietf-httpapi-ratelimit-headers, as the Hub's documentation shows it
            said.append(f'"{limit.name}";r={max(left, 0)};t={seconds}')
            policies.append(f'"{limit.policy}";"{limit.name}";q={limit.quota};w={limit.window:g}')
        if refused and left < 1:  # RFC 9110, 10.2.3: seconds, or a date
            if "Retry-After" in limit.hints:
                headers["retry-after"] = str(max(seconds, int(headers.get("retry-after", 0))))
            if "Retry-After-Date" in limit.hints:
                whole = math.floor if limit.round_down else math.ceil
                headers["retry-after"] = formatdate(
                    whole(round(clock_time + reset, 3)), usegmt=True
                )
            if "Retry-After-Ms" in limit.hints:
                headers["retry-after-ms"] = str(math.ceil(reset * 1000 - 1e-3))
    if said:
        headers |= {"ratelimit": ", ".join(said), "ratelimit-policy": ", ".join(policies)}
    return headers


# ---- models that are not there yet -------------------------------------------------------------


@dataclass
class ColdStart:
    """The model is loaded when it is first asked for, which takes `seconds`; until then 503.

    estimated_time : the number in the body. The old service said 20.0 all the time, whatever was
        true; None: it says nothing.
    """

    seconds: float
    estimated_time: float | None = None
    ready: float | None = field(default=None, init=False)

    def rule(self, now: float, patience: float, model: str) -> "Ruling | None":
        self.ready = now + self.seconds if self.ready is None else self.ready
        if now >= self.ready - 1e-6:
            return None
        body = {"error": f"Model {model} is currently loading"}
        if self.estimated_time is not None:
            body["estimated_time"] = float(self.estimated_time)
        return Ruling(
            503,
            {},
            body,
            REFUSED_AFTER,
            note=f"fault: 503, loading, ready in {self.ready - now:.3g} s",
        )


@dataclass
class ScaledToZero(ColdStart):
    """An endpoint that sleeps and wakes when it is asked: 503 meanwhile; a request with
    `X-Scale-Up-Timeout: n` is held for n seconds."""

    def rule(self, now: float, patience: float, model: str) -> "Ruling | None":
        self.ready = now + self.seconds if self.ready is None else self.ready
        rest = max(0.0, self.ready - now)
        if rest <= max(patience, 1e-6):
            return (
                Ruling(held=rest, note=f"fault: held {rest:.3g} s while the endpoint woke")
                if rest > 1e-6
                else None
            )
        return Ruling(
            503,
            {},
            {"error": "503 Service Unavailable: the endpoint is starting"},
            max(patience, REFUSED_AFTER),
            note=f"fault: 503, endpoint waking, ready in {rest:.3g} s",
        )


# ---- deciding ----------------------------------------------------------------------------------


@dataclass
class Ruling:
    """What happens to one request.

    status : None lets it pass; 0: the connection `breaks` (a name in BREAKS); else this is the
        answer, with headers and body.
    seconds : until the refusal is there.
    held, latency : for one that passes: seconds it is held back, and seconds to the first byte
        (None as recorded).
    drop_after, error_after : for a stream that passes: events after which it breaks, or brings an
        error.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: dict | list | None = None
    seconds: float = 0.0
    breaks: str = ""
    held: float = 0.0
    latency: float | None = None
    drop_after: int | None = None
    error_after: int | None = None
    note: str = ""


class Trouble:
    """What goes wrong, decided one request after the other. The settings are those of `outage`."""

    def __init__(
        self,
        rate_limit=None,
        cold_start=None,
        errors=None,
        drop_stream_after=None,
        error_in_stream_after=None,
        latency=None,
        seed: int = 0,
    ):
        limits = rate_limit if isinstance(rate_limit, list) else [rate_limit] if rate_limit else []
        self.limits = [
            FixedWindow(*limit) if isinstance(limit, tuple) else limit for limit in limits
        ]
        self.cold_start = (
            ColdStart(cold_start) if isinstance(cold_start, (int, float)) else cold_start
        )
        if not all(isinstance(limit, (FixedWindow, TokenBucket)) for limit in self.limits):
            raise ValueError(
                "rate_limit must be a FixedWindow, a TokenBucket, (quota, seconds) or a list of"
                f" those, got {rate_limit!r}"
            )
        if not isinstance(self.cold_start, (ColdStart, type(None))):
            raise ValueError(
                f"cold_start must be seconds, a ColdStart or a ScaledToZero, got {cold_start!r}"
            )
        self.limits, self.cold_start = (
            [replace(limit) for limit in self.limits],
            self.cold_start and replace(self.cold_start),
        )
        self.always = self.shares = None
        self.script: list = []
        if isinstance(errors, float):
            errors = {status: errors / len(SERVER_ERRORS) for status in SERVER_ERRORS}
        if isinstance(errors, Mapping):
            self.shares = [(share, fault(name), name) for name, share in errors.items()]
            if not 0 <= sum(errors.values()) <= 1 + 1e-9 or min(errors.values(), default=0) < 0:
                raise ValueError(f"the shares of errors must add up to 1 at most, got {errors}")
        elif isinstance(errors, (list, tuple)):
            self.script = [(None, name) if name is None else (fault(name), name) for name in errors]
        elif errors is not None:
            self.always = (fault(errors), errors)
        self.drops, self.stream_errors = (
            _in_turn(drop_stream_after),
            _in_turn(error_in_stream_after),
        )
        self.latency = (latency, latency) if isinstance(latency, (int, float)) else latency
        if self.latency and not 0 <= self.latency[0] <= self.latency[1]:
            raise ValueError(f"latency must be seconds, or (shortest, longest), got {latency!r}")
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def rule(
        self,
        now: float,
        clock_time: float,
        *,
        stream: bool = False,
        patience: float = 0.0,
        model: str = "",
    ) -> Ruling:
        """Decide about one request.

        now : seconds on any clock that does not go back; clock_time : the date that the server
            tells, seconds since 1970.
        stream : is it a stream that was asked for? patience : its X-Scale-Up-Timeout, seconds.
            model : for the messages.
        """
        with self._lock:
            ruling = self._rule(now, stream, patience, model)
            refused = ruling.status == 429 and any(limit.look(now)[0] < 1 for limit in self.limits)
            ruling.headers = {
                "date": formatdate(math.floor(clock_time + 1e-6), usegmt=True),
                **limit_headers(self.limits, now, refused, clock_time),
                **ruling.headers,
            }
            if ruling.status:
                ruling.headers.setdefault("content-type", "application/json")
                ruling.headers.setdefault("x-request-id", self._request_id(int(clock_time)))
            return ruling

    def _rule(self, now: float, stream: bool, patience: float, model: str) -> Ruling:
        planned = self.script.pop(0) if self.script else self.always
        if planned and planned[0]:
            return _as_ruling(*planned)
        states = [limit.look(now) for limit in self.limits]
        if empty := [reset for left, reset in states if left < 1]:
            return Ruling(
                429,
                {},
                {"error": "Too Many Requests"},
                REFUSED_AFTER,
                note=f"fault: 429, window empty, {max(empty):.3g} s to reset",
            )
        for limit in self.limits:
            limit.take(now)
        ruling = self.cold_start.rule(now, patience, model) if self.cold_start else None
        if ruling and ruling.status:
            return ruling
        if self.shares:
            draw = self._random.random()
            for share, chosen, name in self.shares:
                if (draw := draw - share) < 0:
                    return _as_ruling(chosen, name)
        ruling = ruling or Ruling()
        if self.latency:
            ruling.latency = round(self._random.uniform(*self.latency), 6)
        if stream:
            ruling.drop_after = self.drops.pop(0) if self.drops else None
            ruling.error_after = self.stream_errors.pop(0) if self.stream_errors else None
        return ruling

    def _request_id(self, at: int) -> str:
        """An id in the form of the real ones. Some of those contain 429 or 503 by chance; here only
        "unlucky_id" does."""
        while True:
            name = f"Root=1-{at:08x}-{self._random.getrandbits(96):024x}"
            if "429" not in name and "503" not in name:
                return name


class _Each(list):
    """One value for every request, again and again."""

    def pop(self, _=0):
        return self[0]


def _in_turn(after) -> list:
    turns = (
        [] if after is None else list(after) if isinstance(after, (list, tuple)) else _Each([after])
    )
    if any(events is not None and events < 0 for events in turns):
        raise ValueError(f"a stream can break after 0 or more events, got {after!r}")
    return turns


def _as_ruling(chosen: Fault, name) -> Ruling:
    note = f"fault: {chosen.status or name}" + (
        f", {name}" if isinstance(name, str) and chosen.status else ""
    )
    seconds = {"connect": 0.0, "timeout": NEVER}.get(chosen.breaks, REFUSED_AFTER)
    return Ruling(
        chosen.status, dict(chosen.headers), chosen.body, seconds, chosen.breaks, note=note
    )
