"""Two clocks for the fault lab: an hour of waiting that takes no time, or takes a second.

    VirtualClock()      time stands still while anything works, and jumps to the next alarm when
                        everything waits
    ScaledClock(60)     time runs 60 times as fast

Inside `with clock:` the standard library tells this time: `time.sleep`, `time.monotonic`,
`time.perf_counter`, `time.time`, waits with a time limit (events, conditions, queues, results), and
every timer of asyncio. So clients and libraries that never heard of the lab wait in it too. Code
that took the functions out of `time` before does not. Only the code inside the `with`, and the
threads and tasks it starts, live in it: Jupyter's own threads and tasks do not. Sleeping in virtual
time costs nothing, and threads take turns in it, so the same work ends the same way each time.
"""

import asyncio
import contextlib
import contextvars
import gc
import heapq
import itertools
import queue
import selectors
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from helpers import browser, wire

if browser.HERE:  # a tab's threads and its event loop are Pyodide's
    from pyodide.webloop import WebLoop as _Loop

    from helpers.browser import threads as tab
else:
    tab = None
    from asyncio.base_events import BaseEventLoop as _Loop

EPOCH = datetime(
    2026, 11, 23, 12, 0, tzinfo=UTC
).timestamp()  # what `time.time()` says when a clock starts
PATIENCE = (
    10.0  # real seconds in one place after which a thread counts as waiting for something unknown
)
# real seconds without a look at it after which nobody knows where a thread has been meanwhile
GAP = 1.0
# seconds between the end of one clock and the start of the next: what was learned in one is history
# in the other
APART = 3600
LOOK_EVERY = 0.0003  # real seconds between two looks at threads that wait for each other

_inside: contextvars.ContextVar["Clock | None"] = contextvars.ContextVar("clock", default=None)
_running: "Clock | None" = None
_ended: dict[str, float] = {}  # what the last clock said at its end
_real = {
    "sleep": time.sleep,
    "monotonic": time.monotonic,
    "perf_counter": time.perf_counter,
    "time": time.time,
}
_thread_start, _condition_wait, _loop_call_at = (
    threading.Thread.start,
    threading.Condition.wait,
    _Loop.call_at,
)


class Clock:
    """What both clocks share: how code gets inside."""

    def __init__(self):
        self.open = False

    def time(self) -> float:
        """Seconds since the clock started."""
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        """Wait in this clock's time. Raises ValueError for a negative number."""
        raise NotImplementedError

    async def asleep(self, seconds: float) -> None:
        """The same for tasks: others go on meanwhile."""
        await asyncio.sleep(seconds)

    def join(self) -> None:
        """Take the thread or task that calls this inside, if it is not."""
        _inside.set(self)

    def leave(self) -> None:
        """Let the thread or task that calls this live in real time until it joins again; nobody
        inside waits for it."""
        _inside.set(None)

    def __enter__(self):
        global _running
        if _running is not None:
            raise RuntimeError(
                "a clock is running already; leave its `with` before you start another"
            )
        _running, self.open = self, True
        self._bases = {
            name: float(int(max(_real[name](), _ended.get(name, 0) + APART)))
            for name in ("monotonic", "perf_counter")
        }
        self._bases["time"] = EPOCH
        self._start()
        self._token = _inside.set(self)
        self._threads = wire.carried(self._on_start)
        self._threads.__enter__()
        for owner, name, ours, _ in _REPLACED:
            setattr(owner, name, ours)
        return self

    def __exit__(self, *error):
        global _running
        _running, self.open = None, False
        self._threads.__exit__(*error)
        _ended.update({name: base + self.time() for name, base in self._bases.items()})
        for owner, name, _, theirs in _REPLACED:
            setattr(owner, name, theirs)
        try:
            _inside.reset(self._token)
        except ValueError:  # left in another task than it was entered in
            _inside.set(None)
        self._stop()

    def _on_start(self, thread: threading.Thread, start: Callable) -> None:
        if _here() is self:
            self._start_thread(thread, start)
        else:  # its starter has left this clock
            start(thread)


class ScaledClock(Clock):
    """Real time, `speed` times as fast: with 60, a minute takes a second. 1 is real time."""

    def __init__(self, speed: float):
        super().__init__()
        if not speed > 0:
            raise ValueError(f"speed must be greater than 0, got {speed}")
        self.speed = speed

    def time(self) -> float:
        return (_real["monotonic"]() - self._started) * self.speed

    def sleep(self, seconds: float) -> None:
        _real["sleep"](seconds / self.speed)

    def _start(self) -> None:
        self._started = _real["monotonic"]()

    def _stop(self) -> None:
        pass

    def _start_thread(self, thread: threading.Thread, start: Callable) -> None:
        run = thread.run

        def inside():
            self.join()
            run()

        thread.run = inside
        start(thread)

    def _wait_on(self, condition, timeout: float) -> bool:
        return _condition_wait(condition, timeout / self.speed)

    def _call_at(self, loop, when, callback, args, context):
        delay = max(0.0, when - loop.time()) / self.speed
        return _loop_call_at(loop, _real["monotonic"]() + delay, callback, *args, context=context)


def _frames() -> dict:
    """Where each thread stands, by its ident. Threads that have ended are missing.

    Without garbage collection meanwhile: in older releases of Python 3.11 and 3.12 one in the
    middle of this could stop everything for ever (github.com/python/cpython/issues/106883; seen
    with 3.11.7).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()


class _Alarm:
    """What wakes one thread: out of a sleep, or out of a wait for a condition that has a time
    limit."""

    def __init__(self, condition: threading.Condition | None = None):
        self.lock, self.condition, self.rang, self.over = threading.Lock(), condition, False, False
        self.lock.acquire()

    def cancelled(self) -> bool:
        return self.over

    def ring(self) -> None:
        if self.condition is not None:
            try:
                self.condition._waiters.remove(self.lock)
            except ValueError:
                return  # it was notified just now
        self.rang = True
        self.lock.release()


class VirtualClock(Clock):
    """Time that jumps. One thread works at a time; when all of them wait, the clock moves to the
    earliest alarm.

    Alarms are kept in order of time, then of asking, so nothing depends on which thread the system
    runs first. A wait for something real (a lock, a queue, a result, another thread) is told from
    work by looking where a thread stands; a thread that waits for something unknown, or for the
    network, counts as waiting after PATIENCE.
    """

    def __init__(self):
        super().__init__()
        self._now = 0.0
        self._alarms: list[
            tuple[float, int, object, object]
        ] = []  # (when, number, what to wake, its thread or loop)
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self._working: set[threading.Thread] = set()  # inside, and not asleep
        self._starting: set[threading.Thread] = set()
        self._finished: set[threading.Thread] = set()
        self._loops: dict[threading.Thread, asyncio.AbstractEventLoop] = {}
        self._ticking: set[asyncio.AbstractEventLoop] = set()
        self._seen: dict[
            threading.Thread, tuple
        ] = {}  # its place, since when, and when that was last looked at
        self._watcher: threading.Thread | None = None

    def time(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self._sleep_at(self._after(seconds))

    def join(self) -> None:
        super().join()
        with self._lock:
            self._working.add(threading.current_thread())
            if len(self._working) > 1:
                self._watch()

    def leave(self) -> None:
        super().leave()
        with self._lock:
            if threading.current_thread() not in self._loops:
                self._working.discard(threading.current_thread())

    # ---- alarms ----

    def _after(self, seconds: float) -> float:
        # Whole microseconds, so that sums of seconds are exact; and never nothing, so that a loop
        # of sleep(0) ends.
        return round(self._now + max(seconds, 1e-6), 6)

    def _set_alarm(self, when: float, what, whose) -> None:
        heapq.heappush(self._alarms, (when, next(self._numbers), what, whose))

    def _sleep_at(self, when: float) -> None:
        thread, alarm = threading.current_thread(), _Alarm()
        with self._lock:
            self._set_alarm(when, alarm, thread)
            self._working.discard(thread)
        self._look()
        self._wait(alarm)

    def _wait(self, alarm: _Alarm) -> None:
        try:
            alarm.lock.acquire()
        finally:
            alarm.over = True
        if not self.open:
            raise RuntimeError(
                "the outage ended while this thread was still waiting in it; wait for your threads"
                " inside the `with`"
            )

    def _wait_on(self, condition: threading.Condition, timeout: float) -> bool:
        """threading.Condition.wait with a time limit, in this time."""
        alarm = _Alarm(condition)
        with self._lock:  # whoever looks sees both or neither
            condition._waiters.append(alarm.lock)
            self._set_alarm(self._after(timeout), alarm, threading.current_thread())
        saved = condition._release_save()
        try:
            self._look(resting=threading.current_thread())
            alarm.lock.acquire()
        finally:
            alarm.over = True
            if alarm.lock in condition._waiters:  # interrupted
                condition._waiters.remove(alarm.lock)
            condition._acquire_restore(saved)
        return not alarm.rang

    def _look(self, resting: threading.Thread | None = None) -> None:
        """If everything inside waits, move the clock and wake one. `resting` is known to wait."""
        with self._lock:
            while self._alarms and self._all_wait(resting):
                when, _, what, whose = heapq.heappop(self._alarms)
                if what.cancelled():
                    continue
                self._now = max(self._now, when)
                if isinstance(what, _Alarm):
                    self._working.add(whose)
                    what.ring()
                    return
                if whose.is_closed():
                    continue
                whose.call_soon_threadsafe(self._ring, whose, what, context=contextvars.Context())
                if self._thread_of(whose) in self._working:
                    # else its thread is asleep in time.sleep: the loop hears of it afterwards
                    return

    def _all_wait(self, resting: threading.Thread | None) -> bool:
        """True if everything inside waits, and for the same things on a second look: while the
        first went on from thread to thread, one may have woken another that had been looked at
        already, and then have stopped to wait itself.
        """
        return (first := self._waits(resting)) is not None and self._waits(resting) == first

    def _waits(self, resting: threading.Thread | None) -> list | None:
        """What each thread inside waits for; None if one works."""
        found, frames = [], {} if tab is not None else _frames()
        for thread in tuple(self._working):
            if thread is not resting:
                if (thing := self._waits_for(thread, frames)) is None:
                    return None
                found.append((thread, thing))
        return found

    # ---- threads ----

    def _start(self) -> None:
        self._working.add(threading.current_thread())
        if tab is not None:
            tab.when_idle = self._look

    def _stop(self) -> None:
        if tab is not None:
            tab.when_idle = None
        with self._lock:
            left, self._alarms = self._alarms, []
        for _, _, what, whose in left:  # whoever is still in here must not stay for ever
            if what.cancelled():
                continue
            if isinstance(what, _Alarm):
                what.ring()
            elif not whose.is_closed():
                whose.call_soon_threadsafe(what._run)

    def _start_thread(self, thread: threading.Thread, start: Callable) -> None:
        run, alarm, starter = thread.run, _Alarm(), threading.current_thread()

        def inside():
            _inside.set(self)
            try:
                self._wait(alarm)
                run()
            finally:
                with self._lock:
                    self._working.discard(thread)
                    self._finished.add(thread)
                self._look()

        thread.run = inside
        with self._lock:
            self._set_alarm(self._now, alarm, thread)
            self._starting.add(starter)
            self._watch()
        try:
            start(thread)
        finally:
            self._starting.discard(starter)

    def _watch(self) -> None:
        """Somebody has to look when a thread stops to wait for another without going to sleep."""

        def watch():
            while self.open:
                _real["sleep"](LOOK_EVERY if self._alarms else 10 * LOOK_EVERY)
                self._look()

        if self._watcher is None and tab is None:
            self._watcher = threading.Thread(target=watch, name="virtual clock", daemon=True)
            _thread_start(self._watcher)

    def _waits_for(self, thread: threading.Thread, frames: dict):
        """What only others can bring about and `thread` waits for; None if it works."""
        if thread in self._starting:
            return None
        loop = self._loops.get(thread)
        if loop is not None and getattr(loop, "_ready", None):
            return None  # its loop has something to do
        if tab is not None:
            return (
                None if tab.is_called(thread) else "its turn"
            )  # in a tab only one runs, and that one asks
        frame = frames.get(thread.ident)
        if frame is None:
            self._working.discard(thread)
            return "nothing: it has ended"
        code = frame.f_code
        if code is _condition_wait.__code__:  # also Event, Queue, Future.result, Barrier
            waiter = frame.f_locals.get("waiter")
            return (
                waiter if waiter is not None and waiter in frame.f_locals["self"]._waiters else None
            )
        if code is VirtualClock._wait_on.__code__:
            alarm = frame.f_locals.get("alarm")
            return alarm if alarm is not None and alarm.lock in alarm.condition._waiters else None
        if code.co_filename == threading.__file__ and code.co_name in (
            "join",
            "_wait_for_tstate_lock",
        ):
            other = frame.f_locals["self"]
            return other if other not in self._finished else None
        if code.co_filename in _WHERE_LOOPS_WAIT:
            return "its loop"
        place, now = (id(frame), frame.f_lasti), _real["monotonic"]()
        seen, since, last = self._seen.get(thread, (None, now, now))
        if place != seen or now - last > GAP:
            since = now
        self._seen[thread] = place, since, now
        return place if now - since > PATIENCE else None

    # ---- event loops ----

    def _call_at(self, loop, when, callback, args, context):
        timer = asyncio.TimerHandle(when, callback, args, loop, context)
        with self._lock:
            self._loops[threading.current_thread()] = loop
            self._set_alarm(self._after(when - loop.time()), timer, loop)
        self._tick_soon(loop)
        return timer

    def _tick_soon(self, loop) -> None:
        if loop not in self._ticking:
            self._ticking.add(loop)
            loop.call_soon(self._tick, loop, context=contextvars.Context())

    def _tick(self, loop) -> None:
        """Runs behind everything that is ready; when nothing else is, the loop's tasks all wait."""
        if getattr(loop, "_ready", None):
            loop.call_soon(self._tick, loop)
            return
        self._ticking.discard(loop)
        self._look(resting=threading.current_thread())

    def _ring(self, loop, timer) -> None:
        if not timer.cancelled():
            timer._run()
        if self.open:
            self._tick_soon(loop)

    def _thread_of(self, loop) -> threading.Thread | None:
        return next((thread for thread, its in self._loops.items() if its is loop), None)


_WHERE_LOOPS_WAIT = {selectors.__file__}
if sys.platform == "win32":
    _WHERE_LOOPS_WAIT.add(sys.modules["asyncio.windows_events"].__file__)


# ---- what the standard library calls while a clock runs ----------------------------------------


def _here() -> Clock | None:
    clock = _inside.get()
    return clock if clock is not None and clock.open else None


@contextlib.contextmanager
def outside():
    """In here the code that asks lives in real time, with the threads and tasks it starts."""
    clock = _here()
    if clock:
        clock.leave()
    try:
        yield
    finally:
        if clock:
            clock.join()


def _sleep(seconds: float) -> None:
    clock = _here()
    clock.sleep(seconds) if clock else _real["sleep"](seconds)


def _tells(name: str):
    def read() -> float:
        clock = _here()
        return clock._bases[name] + clock.time() if clock else _real[name]()

    return read


def _wait(condition: threading.Condition, timeout: float | None = None) -> bool:
    clock = _here()
    if clock is None or timeout is None or timeout <= 0 or not condition._is_owned():
        return _condition_wait(condition, timeout)
    return clock._wait_on(condition, timeout)


def _time_of_loop(loop) -> float:
    # The loop's own round keeps real time, because it waits in real time for real sockets.
    if tab is None and sys._getframe(1).f_code is _Loop._run_once.__code__:
        return _real["monotonic"]()
    return time.monotonic()


def _call_at(loop, when, callback, *args, context=None):
    clock = _here()
    if clock is None:
        return _loop_call_at(loop, when, callback, *args, context=context)
    if when is None:
        raise TypeError("when cannot be None")
    loop._check_closed()
    return clock._call_at(loop, when, callback, args, context)


_monotonic = _tells("monotonic")
_REPLACED = [
    (owner, name, ours, getattr(owner, name))
    for owner, name, ours in [
        (time, "sleep", _sleep),
        (time, "monotonic", _monotonic),
        (time, "perf_counter", _tells("perf_counter")),
        (time, "time", _tells("time")),
        (threading, "_time", _monotonic),  # two modules that took it out of `time` before
        (queue, "time", _monotonic),
        (threading.Condition, "wait", _wait),
        (
            queue,
            "SimpleQueue",
            queue._PySimpleQueue,
        ),  # pools of threads wait in one; this form waits where _waits_for can see it
        (_Loop, "time", _time_of_loop),
        (_Loop, "call_at", _call_at),
    ]
]
