"""What can go wrong with a request, decided: limits, models that are not there yet, errors by
chance or by plan.

`Trouble` says what happens to one request after the other. It has no clock and no network of its
own: helpers.faults carries its rulings out between a client and the recorded answers, the practice
server over a real socket.
"""

import itertools
import math
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate

from helpers.faults.catalog import NEVER, SERVER_ERRORS, Fault, fault
from helpers.faults.limits import FixedWindow, TokenBucket, limit_headers

REFUSED_AFTER = 0.02  # seconds a refusal takes

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
        note = f"fault: 503, loading, ready in {self.ready - now:.3g} s"
        return Ruling(503, {}, body, REFUSED_AFTER, note=note)


@dataclass
class ScaledToZero(ColdStart):
    """An endpoint that sleeps and wakes when it is asked: 503 meanwhile; a request with
    `X-Scale-Up-Timeout: n` is held for n seconds."""

    def rule(self, now: float, patience: float, model: str) -> "Ruling | None":
        self.ready = now + self.seconds if self.ready is None else self.ready
        rest = max(0.0, self.ready - now)
        if rest <= 1e-6:
            return None
        if rest <= patience:
            return Ruling(held=rest, note=f"fault: held {rest:.3g} s while the endpoint woke")
        body = {"error": "503 Service Unavailable: the endpoint is starting"}
        note = f"fault: 503, endpoint waking, ready in {rest:.3g} s"
        return Ruling(503, {}, body, max(patience, REFUSED_AFTER), note=note)


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
        limits = [FixedWindow(*limit) if isinstance(limit, tuple) else limit for limit in limits]
        cold = ColdStart(cold_start) if isinstance(cold_start, (int, float)) else cold_start
        if not all(isinstance(limit, (FixedWindow, TokenBucket)) for limit in limits):
            right = "a FixedWindow, a TokenBucket, (quota, seconds) or a list of those"
            raise ValueError(f"rate_limit must be {right}, got {rate_limit!r}")
        if not isinstance(cold, (ColdStart, type(None))):
            right = "seconds, a ColdStart or a ScaledToZero"
            raise ValueError(f"cold_start must be {right}, got {cold_start!r}")
        self.limits = [replace(limit) for limit in limits]
        self.cold_start = cold and replace(cold)
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
        self.drops = _in_turn(drop_stream_after)
        self.stream_errors = _in_turn(error_in_stream_after)
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
            note = f"fault: 429, window empty, {max(empty):.3g} s to reset"
            return Ruling(429, {}, {"error": "Too Many Requests"}, REFUSED_AFTER, note=note)
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
            ruling.drop_after = next(self.drops, None)
            ruling.error_after = next(self.stream_errors, None)
        return ruling

    def _request_id(self, at: int) -> str:
        """An id in the form of the real ones. Some of those contain 429 or 503 by chance; here only
        "unlucky_id" does."""
        while True:
            name = f"Root=1-{at:08x}-{self._random.getrandbits(96):024x}"
            if "429" not in name and "503" not in name:
                return name


def _in_turn(after) -> Iterator[int | None]:
    """Where each stream breaks: a list says it of one after the other, a number of all of them."""
    planned = isinstance(after, (list, tuple))
    if any(events is not None and events < 0 for events in (after if planned else [after])):
        raise ValueError(f"a stream can break after 0 or more events, got {after!r}")
    return iter(after) if planned else itertools.repeat(after)


def _as_ruling(chosen: Fault, name) -> Ruling:
    named = f", {name}" if isinstance(name, str) and chosen.status else ""
    note = f"fault: {chosen.status or name}{named}"
    seconds = {"connect": 0.0, "timeout": NEVER}.get(chosen.breaks, REFUSED_AFTER)
    answer = chosen.status, dict(chosen.headers), chosen.body
    return Ruling(*answer, seconds, chosen.breaks, note=note)
