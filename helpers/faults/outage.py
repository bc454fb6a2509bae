"""The fault lab: the same requests, answered as before, but through trouble.

    with outage(rate_limit=FixedWindow(20, 300), seed=1) as lab:
        ...                             # your code, unchanged
    lab.log                             # every request of this outage, with what was done to it

It stands in front of whatever answers now (normally the replay), for both clients, in all tasks.
The time inside is virtual (`lab.clock`, see helpers.faults.clock): five minutes of waiting take
none, and the same code ends the same way. What goes wrong is decided in helpers.faults.rules; here
it is carried out.
"""

import json
import threading
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx2

from helpers import sse, wire
from helpers.faults.catalog import BREAKS, IN_STREAM
from helpers.faults.clock import EPOCH, ScaledClock, VirtualClock
from helpers.faults.rules import Ruling, Trouble
from helpers.log import Entry, Log
from helpers.replay.recording import Key, key


@dataclass(frozen=True)
class Moment:
    """One request on the timeline: when it was sent (seconds since the outage began), how long it
    took, who sent it."""

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

    rate_limit : a FixedWindow or TokenBucket; (20, 300) is short for FixedWindow(20, 300); a list
        for several at once.
    cold_start : seconds until the model is loaded; or ColdStart(25, estimated_time=20), or
        ScaledToZero(40).
    errors : 0.05 answers 5 % with 500, 502, 503 or 504; {"reset": 0.02, 503: 0.1} gives each its
        share; "bad_token" (a name in FAULTS) or 503 answers every request so; a list, the first
        requests in turn, None passes.
    drop_stream_after : events after which a stream breaks: 3 breaks every stream, [3, 0] the first
        two.
    error_in_stream_after : the same, but the stream brings an error as an event.
    latency : seconds to the first byte of an answer; (0.2, 0.8) draws between the two; None as
        recorded.
    seed : the same seed gives the same trouble.
    speed : None for virtual time (waiting takes no time); 60 runs real time 60 times as fast.
    hub : also trouble the look-ups at huggingface.co.

    A request that is refused uses up no recorded answer, and the same request gets the same answer
    each time. Raises RuntimeError if nothing answers requests yet, or another outage is on;
    ValueError for settings that make no sense.
    """
    trouble = Trouble(
        rate_limit, cold_start, errors, drop_stream_after, error_in_stream_after, latency, seed
    )
    return Outage(trouble, VirtualClock() if speed is None else ScaledClock(speed), hub)


class Outage:
    """What `with outage(...) as lab` gives. `lab.log`: its requests. `lab.clock`: its time.
    `lab.timeline()`: for a figure."""

    def __init__(self, trouble: Trouble, clock: VirtualClock | ScaledClock, hub: bool = False):
        self.trouble, self.clock, self.hub = trouble, clock, hub
        self.log = Log()
        self._moments: list[tuple[Entry, float, int]] = []
        self._workers: dict = {}
        self._answers: dict[Key, tuple[wire.Plan, str]] = {}  # what was answered, and by whom
        self._lock = threading.Lock()

    def __enter__(self) -> "Outage":
        inner = wire.current()
        if inner is None:
            cure = 'run `session = start("…")` first, then `with outage(…)`'
            raise RuntimeError(f"nothing answers requests yet: {cure}")
        if isinstance(inner, Outage):
            cure = "leave its `with` before you start another"
            raise RuntimeError(f"an outage is running already; {cure}")
        for row in getattr(inner, "log", []):
            if row.status == 200 and not row.note and row.plan.chunks:
                self._answers[_asked(row)] = row.plan, row.answered_by
        self.clock.__enter__()
        self._scope = wire.in_front(self)
        self._scope.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._scope.__exit__(*error)
        self.clock.__exit__(*error)

    @property
    def inner(self):
        """What answers without the trouble: the session, also one that was started in here."""
        return wire.behind(self)

    def timeline(self) -> list[Moment]:
        """One Moment for each request, in the order of sending."""
        return [
            Moment(at, entry.seconds or 0.0, worker, entry.status or 0, entry.note)
            for entry, at, worker in self._moments
        ]

    # ---- a request (called by helpers.wire) ----

    def __call__(self, request: httpx2.Request) -> wire.Plan | wire.Forward:
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
            entry = self._row(request)
            plan = self._answer(request, entry, ruling)
            entry.at = datetime.fromtimestamp(EPOCH + now, UTC)
            entry.note = "; ".join(filter(None, [ruling.note, entry.note]))
            if not isinstance(plan, wire.Forward):
                plan = entry.play(self._in_time(plan, request, entry))
            self.log.entries.append(entry)
            self._moments.append((entry, now, self._workers.setdefault(_who(), len(self._workers))))
        return plan

    def _row(self, request: httpx2.Request) -> Entry:
        """The request's row in the session's log; one of our own where something else answers."""
        if hasattr(self.inner, "row"):
            return self.inner.row(request)
        asked = request.method, str(request.url), request.content
        return Entry(len(self.log) + 1, *asked, "replay", answered_by="the fault lab")

    def _answer(
        self, request: httpx2.Request, entry: Entry, ruling: Ruling
    ) -> wire.Plan | wire.Forward:
        """What comes back. A new attempt at what was answered before gets the same answer again."""
        if ruling.status is not None:
            entry.answered_by = "the fault lab"
            return _refusal(ruling)
        if earlier := self._answers.get(_asked(entry)):
            plan, entry.answered_by = earlier
        elif hasattr(self.inner, "row"):
            plan = self.inner.answer(request, entry)
            if getattr(plan, "status", None) == 200:
                self._answers[_asked(entry)] = plan, entry.answered_by
        else:
            plan = self.inner(request)
        if isinstance(plan, wire.Forward):
            return self._outside(plan, entry)
        return _troubled(plan, ruling, entry)

    def _outside(self, plan: wire.Forward, entry: Entry) -> wire.Forward:
        """A request that goes on to a real server, and takes real time."""
        done = plan.done

        def back(plan: wire.Plan) -> None:
            done(plan)
            if entry.status == 200 and plan.breaks is None:
                self._answers[_asked(entry)] = entry.plan, entry.answered_by

        return replace(plan, done=back, apart=self.clock.apart)

    def _in_time(self, plan: wire.Plan, request: httpx2.Request, entry: Entry) -> wire.Plan:
        """The client's own time limit ends a wait that is too long, as it would on a real
        connection."""
        first = plan.chunks[0][0] if len(plan.chunks) == 1 else plan.headers_at
        limit = (request.extensions.get("timeout") or {}).get("read")
        if limit is not None and first > limit:
            gave_up = f"the client gave up after {limit:g} s"
            entry.note = "; ".join(filter(None, [entry.note, gave_up]))
            return wire.Plan(0, {}, [], limit, httpx2.ReadTimeout("The read operation timed out"))
        return plan


def _asked(entry: Entry) -> Key:
    return key(entry.method, entry.url, entry.content)


def _refusal(ruling: Ruling) -> wire.Plan:
    if not ruling.status:
        return wire.Plan(0, {}, [], ruling.seconds, copy(BREAKS[ruling.breaks]))
    body = json.dumps(ruling.body).encode()
    return wire.Plan(ruling.status, ruling.headers, [(ruling.seconds, body)], ruling.seconds)


def _troubled(plan: wire.Plan, ruling: Ruling, entry: Entry) -> wire.Plan:
    """A recorded answer as it comes through: later, with the limits' headers, or only in part."""
    if not plan.status:
        return plan
    chunks, first = plan.chunks, plan.chunks[0][0] if plan.chunks else plan.headers_at
    shift = ruling.held + (0.0 if ruling.latency is None else ruling.latency - first)
    chunks = [(round(seconds + shift, 6), chunk) for seconds, chunk in chunks]
    headers = {**plan.headers, **ruling.headers}
    headers_at = max(0.0, min(plan.headers_at + shift, first + shift))
    plan = replace(plan, headers=headers, chunks=chunks, headers_at=headers_at)
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
