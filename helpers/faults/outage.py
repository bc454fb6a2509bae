"""The fault lab: the same requests, answered as before, but through trouble.

    with outage(rate_limit=FixedWindow(20, 300), seed=1) as lab:
        ...                                   # your code, unchanged
    lab.log                                   # every request of this outage, with what was done to it

It stands in front of whatever answers now (normally the replay), for both clients, threads and tasks. The time inside
is virtual (`lab.clock`, see helpers.faults.clock): five minutes of waiting take none, and the same code ends the same way.
What goes wrong is decided in helpers.faults.rules; here it is carried out.
"""

import json
import threading
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import httpx2

from helpers import sse, wire
from helpers.faults.clock import EPOCH, ScaledClock, VirtualClock
from helpers.faults.rules import (  # noqa: F401 (some are only passed on: a lesson imports all it needs from here)
    BREAKS,
    FAULTS,
    IN_STREAM,
    ColdStart,
    Fault,
    FixedWindow,
    Ruling,
    ScaledToZero,
    TokenBucket,
    Trouble,
    fault,
)
from helpers.log import Entry, Log
from helpers.replay.recording import key


@dataclass(frozen=True)
class Moment:
    """One request on the timeline: when it was sent (seconds since the outage began), how long it took, who sent it."""

    at: float
    seconds: float
    worker: int
    status: int
    note: str


def outage(
    rate_limit=None,
    cold_start=None,
    errors=None,
    drop_stream_after=None,
    *,
    error_in_stream_after=None,
    latency=None,
    seed: int = 0,
    speed: float | None = None,
    hub: bool = False,
) -> "Outage":
    """Trouble for every request inside the `with`; outside nothing has changed.

    rate_limit : a FixedWindow or TokenBucket; (20, 300) is short for FixedWindow(20, 300); a list for several at once.
    cold_start : seconds until the model is loaded; or ColdStart(25, estimated_time=20), or ScaledToZero(40).
    errors : 0.05 answers 5 % with 500, 502, 503 or 504; {"reset": 0.02, 503: 0.1} gives each its share;
        "bad_token" (a name in FAULTS) or 503 answers every request so; a list, the first requests in turn, None passes.
    drop_stream_after : events after which a stream breaks: 3 breaks every stream, [3, 0] the first two.
    error_in_stream_after : the same, but the stream brings an error as an event.
    latency : seconds to the first byte of an answer; (0.2, 0.8) draws between the two; None as recorded.
    seed : the same seed gives the same trouble.
    speed : None for virtual time (waiting takes no time); 60 runs real time 60 times as fast.
    hub : also trouble the look-ups at huggingface.co.

    A request that is refused uses up no recorded answer, and the same request gets the same answer each time.
    Raises RuntimeError if nothing answers requests yet, or another outage is on; ValueError for settings that make no sense.
    """
    trouble = Trouble(
        rate_limit, cold_start, errors, drop_stream_after, error_in_stream_after, latency, seed
    )
    return Outage(trouble, VirtualClock() if speed is None else ScaledClock(speed), hub)


class Outage:
    """What `with outage(...) as lab` gives. `lab.log`: its requests. `lab.clock`: its time. `lab.timeline()`: for a figure."""

    def __init__(self, trouble: Trouble, clock: VirtualClock | ScaledClock, hub: bool = False):
        self.trouble, self.clock, self.hub = trouble, clock, hub
        self.log = Log()
        self._moments: list[tuple[Entry, float, int]] = []
        self._workers: dict = {}
        self._answers: dict[tuple, tuple[wire.Answer, str]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "Outage":
        self.inner = wire.current()
        if self.inner is None:
            raise RuntimeError(
                'nothing answers requests yet: run `session = start("…")` first, then `with'
                " outage(…)`"
            )
        self.clock.__enter__()
        wire.install(self)
        return self

    def __exit__(self, *error) -> None:
        wire.remove(self)
        self.clock.__exit__(*error)

    def timeline(self) -> list[Moment]:
        """One Moment for each request, in the order of sending."""
        return [
            Moment(at, entry.seconds or 0.0, worker, entry.status or 0, entry.note)
            for entry, at, worker in self._moments
        ]

    # ---- a request (called by helpers.wire) ----

    def __call__(self, request: httpx2.Request) -> wire.Answer | wire.Forward:
        if request.url.host == "huggingface.co" and not self.hub:
            return self.inner(request)
        self.clock.join()
        now = self.clock.time()
        body = _json(request.content)
        ruling = self.trouble.rule(
            now,
            EPOCH + now,
            stream=bool(body.get("stream")),
            model=str(body.get("model", "")),
            patience=_number(request.headers.get("x-scale-up-timeout")),
        )
        with self._lock:
            entry, plan = self._answer(request, ruling)
            entry.at = datetime.fromtimestamp(EPOCH + now, timezone.utc)
            entry.note = "; ".join(filter(None, [ruling.note, entry.note]))
            if isinstance(plan, wire.Answer):
                entry.answer = plan = self._in_time(plan, request, entry)
                entry.seconds = plan.chunks[-1][0] if plan.chunks else plan.headers_at
            self.log.entries.append(entry)
            self._moments.append((entry, now, self._workers.setdefault(_who(), len(self._workers))))
        return plan

    def _answer(
        self, request: httpx2.Request, ruling: Ruling
    ) -> tuple[Entry, wire.Answer | wire.Forward]:
        """What comes back, and its row in the session's log."""
        log = getattr(self.inner, "log", None)
        rows = [] if log is None else log.entries
        entry = Entry(
            len(self.log if log is None else rows) + 1,
            request.method,
            str(request.url),
            request.content,
            getattr(self.inner, "mode", "replay"),
            answered_by="the fault lab",
        )
        if ruling.status is not None:
            rows.append(entry)
            return entry, _refusal(ruling)
        if earlier := self._earlier(rows, entry):
            rows.append(entry)
            plan, entry.answered_by = earlier
        else:
            count = len(rows)
            plan = self.inner(request)
            entry = rows[count] if len(rows) > count else entry
            if isinstance(plan, wire.Forward):
                return entry, self._outside(plan)
            if log is not None and plan.status == 200:
                self._answers[key(entry.method, entry.url, entry.content)] = plan, entry.answered_by
        return entry, _troubled(plan, ruling, entry)

    def _earlier(self, rows: list[Entry], new: Entry) -> tuple[wire.Answer, str] | None:
        """What the same request was answered before, in this outage or in the session: a new attempt gets it again."""
        asked = key(new.method, new.url, new.content)
        if asked not in self._answers:
            for row in reversed(rows):
                if (
                    row.status == 200
                    and not row.note
                    and row.answer.chunks
                    and key(row.method, row.url, row.content) == asked
                ):
                    self._answers[asked] = row.answer, row.answered_by
                    break
        return self._answers.get(asked)

    def _outside(self, plan: wire.Forward) -> wire.Forward:
        """A request that goes on to a real server takes real time: until it is answered, its sender is outside of the clock."""
        done = plan.done

        def back(answer: wire.Answer) -> None:
            self.clock.join()
            done(answer)

        self.clock.leave()
        return replace(plan, done=back)

    def _in_time(self, plan: wire.Answer, request: httpx2.Request, entry: Entry) -> wire.Answer:
        """The client's own time limit ends a wait that is too long, as it would on a real connection."""
        plan = replace(plan, pace=1.0, delivered=[])
        first = plan.chunks[0][0] if len(plan.chunks) == 1 else plan.headers_at
        limit = (request.extensions.get("timeout") or {}).get("read")
        if limit is not None and first > limit:
            entry.note = "; ".join(
                filter(None, [entry.note, f"the client gave up after {limit:g} s"])
            )
            return wire.Answer(0, {}, [], limit, httpx2.ReadTimeout("The read operation timed out"))
        return plan


def _refusal(ruling: Ruling) -> wire.Answer:
    if ruling.status:
        return wire.Answer(
            ruling.status,
            ruling.headers,
            [(ruling.seconds, json.dumps(ruling.body).encode())],
            ruling.seconds,
        )
    return wire.Answer(0, {}, [], ruling.seconds, copy(BREAKS[ruling.breaks]))


def _troubled(plan: wire.Answer, ruling: Ruling, entry: Entry) -> wire.Answer:
    """A recorded answer as it comes through: later, with the limits' headers, or only in part."""
    if not plan.status:
        return plan
    chunks, first = plan.chunks, plan.chunks[0][0] if plan.chunks else plan.headers_at
    shift = ruling.held + (0.0 if ruling.latency is None else ruling.latency - first)
    chunks = [(round(seconds + shift, 6), chunk) for seconds, chunk in chunks]
    plan = replace(
        plan,
        headers={**plan.headers, **ruling.headers},
        chunks=chunks,
        headers_at=max(0.0, min(plan.headers_at + shift, first + shift)),
    )
    after = ruling.drop_after if ruling.drop_after is not None else ruling.error_after
    if after is None or plan.status != 200:
        return plan
    kept = sse.pieces(chunks)[:after]
    last = kept[-1][0] if kept else plan.headers_at
    if ruling.drop_after is not None:
        entry.note = f"fault: stream broke after {len(kept)} events"
        return replace(plan, chunks=kept, breaks=copy(BREAKS["stream"]))
    entry.note = f"fault: error event after {len(kept)} events"
    return replace(plan, chunks=[*kept, (last, f"data: {json.dumps(IN_STREAM)}\n\n".encode())])


def _json(content: bytes) -> dict:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _number(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


def _who():
    """The task or thread that sends this request."""
    import asyncio

    try:
        return asyncio.current_task() or threading.current_thread()
    except RuntimeError:
        return threading.current_thread()
