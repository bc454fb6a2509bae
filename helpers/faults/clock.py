"""Clocks for the fault lab: an hour of waiting that takes no time, or takes a minute.

    VirtualClock()      time stands still while anything works, and jumps when everything waits
    ScaledClock(60)     time runs 60 times as fast

Inside `with clock:` `time.time`, `monotonic` and `perf_counter` tell this time; `time.sleep` and
the timers of asyncio wait in it. So do clients and libraries that never heard of the lab. Code that
took the functions out of `time` before does not. Only the code inside the `with`, and the tasks it
starts, live in it; several clocks may be open at once.

How virtual time works: all code in it runs in one thread. A `time.sleep` moves the clock on. Tasks
stand in line for the moments they wait for; when none of them has anything left to do, the clock
jumps to the first of these moments. Other threads cannot be seen working and waiting, so virtual
time refuses to start any; scaled time has room for them.
"""

import asyncio
import contextlib
import contextvars
import functools
import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from helpers import browser, wire
from helpers.wire.replaced import Replaced

# What `time.time()` says when a clock starts.
EPOCH = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
# Seconds between the end of one clock and the start of the next: what was learned in one is history
# in the other.
APART = 3600
NO_THREADS = (
    "an outage in virtual time has one thread: use asyncio for several calls at once, or real time,"
    " only faster, for threads: `outage(…, speed=60)`"
)

_ended: dict[str, float] = {}  # the latest that a clock has said at its end
_inside: contextvars.ContextVar = contextvars.ContextVar("clock", default=None)


def here() -> "ScaledClock | None":
    """The clock that the code which asks lives in."""
    clock = _inside.get()
    return clock if clock is not None and clock.holds() else None


@contextlib.contextmanager
def outside():
    """In here the code that asks lives in real time, with the threads and tasks it starts."""
    before = _inside.get()
    _inside.set(None)
    try:
        yield
    finally:
        _inside.set(before)


class ScaledClock:
    """Real time, `speed` times as fast: with 60, a minute takes a second. 1 is real time."""

    starting: Callable | None = None  # what happens when code inside starts a thread

    def __init__(self, speed: float):
        if not speed > 0:
            raise ValueError(f"speed must be greater than 0, got {speed}")
        self.speed, self.open = speed, False

    def time(self) -> float:
        """Seconds since the clock started."""
        return (theirs["monotonic"]() - self._started) * self.speed

    def holds(self) -> bool:
        """Whether the thread that asks may live in it."""
        return self.open

    def join(self) -> None:
        """Take the code that calls this inside, if it is not."""
        _inside.set(self)

    apart = staticmethod(outside)  # what waits for a real server

    def __enter__(self):
        self._outer = _inside.get()
        self._bases = {
            name: float(math.ceil(max(getattr(time, name)(), _ended.get(name, 0) + APART)))
            for name in ("monotonic", "perf_counter")
        }
        _replaced.__enter__()
        self._threads = wire.carried(self.starting)
        self._threads.__enter__()
        self.open, self._thread, self._started = True, threading.get_ident(), theirs["monotonic"]()
        _inside.set(self)
        return self

    def __exit__(self, *error):
        for name, base in self._bases.items():
            _ended[name] = max(_ended.get(name, 0), base + self.time())
        self.open = False
        self._threads.__exit__(*error)
        _replaced.__exit__()
        _inside.set(self._outer)

    # ---- what stands in for functions of `time`, and for methods of event loops ----

    def sleep(self, seconds: float) -> None:
        """Wait in this clock's time. Raises ValueError for a negative number."""
        with outside():  # a browser tab's `time.sleep` asks asyncio, which must not ask us again
            theirs["sleep"](seconds / self.speed)

    def wall(self) -> float:
        return EPOCH + self.time()

    def monotonic(self) -> float:
        return self._bases["monotonic"] + self.time()

    def perf_counter(self) -> float:
        return self._bases["perf_counter"] + self.time()

    def run_forever(self, loop) -> None:
        """The loop's own round lives in real time, because it waits in real time for sockets."""
        with outside():
            theirs["run_forever"](loop)

    def call_at(self, loop, when: float, callback: Callable, *args, context=None):
        # whole milliseconds: a browser's timers drop the rest, and would ring too early
        delay = math.ceil(1000 * max(0.0, when - loop.time()) / self.speed) / 1000
        return _real("call_later", loop, delay, callback, *args, context=context)

    def call_later(self, loop, delay: float, callback: Callable, *args, context=None):
        return self.call_at(loop, loop.time() + delay, callback, *args, context=context)


class VirtualClock(ScaledClock):
    """Time that jumps: when everything inside waits, to the next in line."""

    def __init__(self):
        super().__init__(speed=1)
        self._now = 0.0
        self._line: list[tuple] = []  # (when, number of asking, timer, how to call it)
        self._numbers = itertools.count()
        self._ready: set[asyncio.Handle] = set()  # what loops are still to call
        self._apart, self._stops = 0, False  # how many wait in real time; whether a loop ends

    def time(self) -> float:
        return self._now

    def holds(self) -> bool:
        return self.open and threading.get_ident() == self._thread

    def join(self) -> None:
        if threading.get_ident() != self._thread:
            raise RuntimeError(NO_THREADS)
        super().join()

    @contextlib.contextmanager
    def apart(self):
        """In here the code that asks waits for a real server, and time stands still."""
        self._apart += 1
        try:
            with outside():
                yield
        finally:
            self._apart -= 1
            with contextlib.suppress(RuntimeError):  # no loop
                self.call_soon(asyncio.get_running_loop(), bool)

    def starting(self, thread: threading.Thread, start: Callable) -> None:
        if here() is self:
            raise RuntimeError(NO_THREADS)
        start(thread)

    def __exit__(self, *error):
        super().__exit__(*error)
        self._jump()  # whoever is still in here must not stay for ever

    def _after(self, seconds: float) -> float:
        if math.isnan(seconds):
            raise ValueError("a wait must be a number of seconds, not NaN")
        # Whole microseconds, so that sums of seconds are exact; and never nothing, so that a loop
        # of sleep(0) ends.
        return round(self._now + max(seconds, 1e-6), 6)

    def _jump(self) -> None:
        """Let those that are next in line go on, until one of them has something to do."""
        self._ready = {handle for handle in self._ready if not handle.cancelled()}
        while self._line and not (self.open and (self._ready or self._apart or self._stops)):
            when, _, timer, call = heapq.heappop(self._line)
            if not timer.cancelled():
                self._now = max(self._now, when) if self.open else self._now
                call()

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self._now = self._after(seconds)

    def run_forever(self, loop) -> None:
        self._stops = False
        super().run_forever(loop)

    def stop(self, loop) -> None:
        self._stops = True  # whoever still sleeps in the loop is not waited for
        theirs["stop"](loop)

    def call_soon(self, loop, callback: Callable, *args, context=None) -> asyncio.Handle:
        def run():
            try:
                callback(*args)
            finally:
                self._ready.discard(handle)
                self._jump()

        handle = _real("call_soon", loop, run, context=context)
        self._ready.add(handle)
        return handle

    call_soon_threadsafe = call_soon  # whoever asks lives in the only thread

    def call_at(self, loop, when: float, callback: Callable, *args, context=None):
        context = contextvars.copy_context() if context is None else context
        timer = asyncio.TimerHandle(when, callback, args, loop, context)

        def call():
            if not loop.is_closed():
                self.call_soon(loop, lambda: timer.cancelled() or callback(*args), context=context)

        moment = self._after(when - loop.time())
        heapq.heappush(self._line, (moment, next(self._numbers), timer, call))
        if not self._ready:  # whoever asks is the last that has something to do
            self.call_soon(loop, bool)
        return timer

    def run_in_executor(self, loop, executor, function: Callable, *args):
        """At once, where a thread would do it: a library asks what machine this is. Refused if it
        waits: that has to go on beside the rest."""
        future, before = loop.create_future(), self._now
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        if self._now != before:
            raise RuntimeError(NO_THREADS)
        return future


# ---- what is replaced as long as a clock is open -----------------------------------------------


def _real(name: str, loop, *args, context=None):
    """The loop's own method, called in real time."""
    context = contextvars.copy_context() if context is None else context
    call = functools.partial(theirs[name], loop, *args, context=context)
    return contextvars.Context().run(call)


def _asks(method: str, real: Callable) -> Callable:
    """What asks the clock that its caller lives in, if that has something to say; else `real`."""

    def ours(*args, **kwargs):
        return getattr(here(), method, real)(*args, **kwargs)

    ours.theirs = real
    ours.passes = lambda: here() is None  # helpers.retry asks whether anybody sees it wait
    return ours


def _wakes(method: str, real: Callable) -> Callable:
    """Who is woken lives in the clock of `context`, whoever wakes it."""

    def ours(loop, callback: Callable, *args, context=None) -> asyncio.Handle:
        context = contextvars.copy_context() if context is None else context
        clock = context.get(_inside)
        held = clock if clock is not None and clock.holds() else None
        return getattr(held, method, real)(loop, callback, *args, context=context)

    ours.theirs = real
    return ours


_LOOPS = "run_forever stop run_in_executor call_soon call_soon_threadsafe call_at call_later"
_OURS = {
    time: {"time": "wall"} | {name: name for name in ("sleep", "monotonic", "perf_counter")},
    browser.event_loop(): {name: name for name in _LOOPS.split()},
}
_found = {name: getattr(place, name) for place, names in _OURS.items() for name in names}
# When this module is reloaded inside of a clock, ours are found there.
theirs: dict[str, Callable] = {name: getattr(it, "theirs", it) for name, it in _found.items()}
_replaced = Replaced(
    lambda: [
        (place, name, functools.partial(_wakes if name == "call_soon" else _asks, method))
        for place, names in _OURS.items()
        for name, method in names.items()
    ]
)
