"""What the standard library waits by, as long as a clock is open (helpers.faults.clock).

Everything in `threading` and `queue` waits for a lock, and everything in asyncio is a callback of
its loop. So these are what is replaced, with functions that ask in whose time the code that calls
them lives. Code in no clock gets what was there before.
"""

import asyncio
import contextvars
import functools
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from helpers import browser

inside: contextvars.ContextVar = contextvars.ContextVar("clock", default=None)
state = threading.RLock()  # guards what clocks and their locks know
_real_lock = threading.Lock
_open: list = []  # all clocks that anybody is in


def here():
    """The clock that the code which asks lives in, or None."""
    clock = inside.get()
    return clock if clock is not None and clock.open else None


class Turn:
    """One thread's wait."""

    def __init__(self, thread: threading.Thread | None = None):
        self.thread, self.over = thread or threading.current_thread(), False
        self.got = False  # the lock it waited for
        self._bell = _real_lock()
        self._bell.acquire()

    def cancelled(self) -> bool:
        return self.over

    def begin(self, loops: dict) -> list[threading.Thread]:
        """End the wait. Returns who works now."""
        self.over = True
        self._bell.release()
        return [self.thread]

    def wait(self) -> None:
        try:
            self._bell.acquire()
        finally:
            self.over = True


class Call:
    """What an event loop is to do when its time comes."""

    def __init__(self, clock, loop, handle: asyncio.Handle, callback: Callable, args, context):
        self.clock, self.loop, self.handle = clock, loop, handle
        self.callback, self.args = callback, args
        self.context = contextvars.copy_context() if context is None else context

    def cancelled(self) -> bool:
        return self.handle.cancelled() or self.loop.is_closed()

    def begin(self, loops: dict) -> list[threading.Thread]:
        """Hand it to the loop. Returns who works now: nobody, if the loop's thread is asleep."""
        theirs["call_soon_threadsafe"](self.loop, self._run, context=self.context)
        return [thread for thread, loop in loops.items() if loop is self.loop][:1]

    def _run(self) -> None:
        try:
            if not self.handle.cancelled():
                self.callback(*self.args)
        finally:
            tick_soon(self.loop, self.clock)


class Lock:
    """`threading.Lock`. Who waits for it longest gets it from whoever releases it."""

    def __init__(self):
        self.inner = _real_lock()
        self._line: list[tuple[Turn, object]] = []  # who waits in virtual time, and in which

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        clock = here()
        if clock is None or not blocking or timeout == 0:
            return self.inner.acquire(blocking, timeout)
        return clock.acquire(self, timeout)

    def line_up(self, clock) -> Turn | None:
        """The turn to wait for; None if the lock could be had at once."""
        with state:
            if self.inner.acquire(False):
                return None
            turn = Turn()
            self._line.append((turn, clock))
            return turn

    def give_up(self, turn: Turn) -> bool:
        """It does not wait any longer. Returns False."""
        with state:
            self._line = [waiting for waiting in self._line if waiting[0] is not turn]
            if turn.got:
                self.release()
        return False

    def release(self) -> None:
        with state:
            while self._line:
                turn, clock = self._line.pop(0)
                if not turn.over:
                    turn.got = True  # the lock stays locked, for that one
                    clock.enter_now(turn)
                    return
            self.inner.release()

    __enter__ = acquire

    def __exit__(self, *error) -> None:
        self.release()

    def __getattr__(self, name: str):  # locked, and what a fork needs
        return getattr(self.inner, name)


# ---- when a loop has nothing to do -------------------------------------------------------------

_ticking: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # loop: the clocks that ask


def tick_soon(loop, clock) -> None:
    """Tell `clock` when `loop` has nothing to do any more. Called in the loop's thread."""
    if loop in _ticking:
        _ticking[loop].add(clock)
    elif not loop.is_closed():
        _ticking[loop] = {clock}
        loop.call_soon(_tick, loop, context=contextvars.Context())


def _tick(loop) -> None:
    """Runs behind everything that is ready; when nothing else is, the loop's tasks all wait."""
    if loop._ready:
        loop.call_soon(_tick, loop)
        return
    for clock in _ticking.pop(loop):
        clock.pass_on_loop(loop)


def running_loop():
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


# ---- what is replaced --------------------------------------------------------------------------


def _sleep(seconds: float) -> None:
    clock = here()
    return theirs["sleep"](seconds) if clock is None else clock.sleep(seconds)


def _tells(name: str) -> Callable[[], float]:
    def tell() -> float:
        clock = here()
        return theirs[name]() if clock is None else clock.tell(name)

    tell.passes = lambda: here() is None  # helpers.retry asks whether anybody sees it wait
    return tell


def _lock():
    return theirs["Lock"]() if here() is None else Lock()


def _rlock():
    return theirs["RLock"]() if here() is None else threading._PyRLock()


def _simple_queue():
    return theirs["SimpleQueue"]() if here() is None else queue._PySimpleQueue()


def _join(thread: threading.Thread, timeout: float | None = None) -> None:
    clock = here()
    join = theirs["join"] if clock is None else clock.join_thread
    join(thread, timeout)


def _submit(pool: ThreadPoolExecutor, task: Callable, /, *args, **kwargs):
    clock = here()
    task = task if clock is None else functools.partial(clock.run_task, task)
    return theirs["submit"](pool, task, *args, **kwargs)


def _run_forever(loop) -> None:
    """The loop's own round lives in real time, because it waits in real time for real sockets."""
    clock = here()
    if clock is None:
        return theirs["run_forever"](loop)
    inside.set(None)
    try:
        clock.run_loop(loop)
    finally:
        inside.set(clock)


def _call_at(loop, when, callback, *args, context=None):
    clock = here()
    if clock is None or loop.is_closed():
        return theirs["call_at"](loop, when, callback, *args, context=context)
    return clock.call_at(loop, when, callback, args, context)


def _call_soon_threadsafe(loop, callback, *args, context=None):
    clock = here()
    if clock is None or loop.is_closed():
        return theirs["call_soon_threadsafe"](loop, callback, *args, context=context)
    return clock.call_soon(loop, callback, args, context)


_monotonic = _tells("monotonic")
_loop = browser.event_loop()
_REPLACED = (
    # where, its name there, what it is in `theirs`, ours
    (time, "sleep", "sleep", _sleep),
    (threading, "_time", "monotonic", _monotonic),  # two modules that took it out of `time` before
    (queue, "time", "monotonic", _monotonic),
    (time, "monotonic", "monotonic", _monotonic),
    (time, "perf_counter", "perf_counter", _tells("perf_counter")),
    (time, "time", "time", _tells("time")),
    (threading, "Lock", "Lock", _lock),
    (threading, "_allocate_lock", "Lock", _lock),
    (threading, "RLock", "RLock", _rlock),
    (queue, "SimpleQueue", "SimpleQueue", _simple_queue),
    (threading.Thread, "join", "join", _join),
    (ThreadPoolExecutor, "submit", "submit", _submit),
    (_loop, "run_forever", "run_forever", _run_forever),
    (_loop, "call_at", "call_at", _call_at),
    (_loop, "call_soon_threadsafe", "call_soon_threadsafe", _call_soon_threadsafe),
)
theirs: dict[str, Callable] = {name: getattr(where, its) for where, its, name, _ in _REPLACED}


_kept: list[tuple] = []  # (where, its name there, what was there, ours)


def open_for(clock) -> None:
    """Replace what has to be replaced, if nobody did yet."""
    with state:
        if not _open:
            for where, its, name, ours in _REPLACED:
                if (was := getattr(where, its)) is not ours:
                    theirs[name] = was
                    _kept.append((where, its, was, ours))
                    setattr(where, its, ours)
        _open.append(clock)


def close_for(clock) -> None:
    """Put it back, if nobody needs it any more, where nobody else has replaced it since."""
    with state:
        _open.remove(clock)
        while _kept and not _open:
            where, its, was, ours = _kept.pop()
            if getattr(where, its) is ours:
                setattr(where, its, was)
