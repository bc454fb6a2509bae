"""Threads for a browser tab, where Python has none.

A tab gives Python one thread. But the browser can set a running call aside, with all that it was in
the middle of, go on with another, and come back (JavaScript Promise Integration; Pyodide's
`run_sync`). So here a "thread" is such a call: it runs until it waits for something (a lock, a
queue, a result, another thread, a pause), and then another one runs. What waits wakes in the order
of asking, so the turns are the same each time.

Everything in `threading` is built on a lock and on starting a thread; `install` puts ours there.
All the rest (Thread, Event, Condition, Queue, Future, ThreadPoolExecutor) is the standard library's
own and does not notice.
"""

import _threading_local
import asyncio
import contextvars
import gc
import itertools
import queue
import threading
import time
import weakref
from collections import deque

import comm
import js
import pyodide
from pyodide import webloop
from pyodide.ffi import can_run_sync, create_once_callable
from pyodide.webloop import WebLoop
from pyodide_js import _module
from pyodide_js._api import scheduleCallback

MISSING = (
    "several threads at once need a browser that can set a running call aside (JavaScript Promise"
    " Integration), and this one cannot. Chrome and Edge can, from version 137 on. The cells"
    " without threads work here, too."
)
NOT_HERE = (
    "this code was called by the browser itself, where it cannot wait for another thread; run it in"
    " a cell"
)

_MAIN = threading.get_ident()
_ident = contextvars.ContextVar("thread", default=_MAIN)
_idents = itertools.count(2**16)
_real_monotonic, _real_call_later, _real_run_sync = (
    time.monotonic,
    WebLoop.call_later,
    pyodide.ffi.run_sync,
)
_real_comm_msg = comm.CommManager.comm_msg


def install() -> None:
    """Give `threading`, `queue` and asyncio what they need to run several threads in a tab. Once,
    before they are used."""
    threading.get_ident = _ident.get
    threading.Lock = threading._allocate_lock = Lock
    threading.RLock = threading._PyRLock
    threading._start_joinable_thread, threading._ThreadHandle = _start, Handle
    threading.local = _threading_local.local
    queue.SimpleQueue = queue._PySimpleQueue
    pyodide.ffi.run_sync = webloop.run_sync = run_sync  # for time.sleep and asyncio.run, too
    WebLoop._ready = property(lambda loop: [handle for handle in _soon if not handle.cancelled()])
    WebLoop.call_soon, WebLoop.call_later, WebLoop.call_at = _call_soon, _call_later, _call_at
    comm.CommManager.comm_msg = _comm_msg


def stay_in(context: contextvars.Context) -> None:
    """Let this stay the thread that it is in `context`, too, which another one may have made."""
    context.run(_ident.set, _ident.get())


def _check() -> None:
    if not can_run_sync():
        raise RuntimeError(NOT_HERE if _module.jspiSupported else MISSING)


# ---- waiting -----------------------------------------------------------------------------------

# objects after which the memory is cleared up in between, while calls are set aside
GARBAGE = 100_000
_aside = 0  # how many are


def run_sync(awaitable):
    """Pyodide's `run_sync`: set this call aside until `awaitable` is done, and give its result.

    Python clears up memory now and then. In Pyodide (seen with 314.0.6 and 314.0.7) that walks into
    calls that are set aside and brings the tab down; `gc.collect()` does not. So it is switched off
    while there are any.
    """
    global _aside, _collects
    if not _aside:
        _collects = gc.isenabled()
        gc.disable()
    elif gc.get_count()[0] > GARBAGE:
        gc.collect()
    _aside += 1
    try:
        return _real_run_sync(awaitable)
    finally:
        _aside -= 1
        if not _aside and _collects:
            gc.enable()


class _Waiter:
    """One call that is set aside."""

    def __init__(self):
        self.got = False
        parts = js.Promise.withResolvers()
        self.promise, self.resolve = parts.promise, parts.resolve

    def wake(self, got: bool) -> None:
        self.got = got
        self.resolve()


class Lock:
    """`threading.Lock`. Who waits for it longest gets it from whoever releases it."""

    def __init__(self):
        self._held, self._line = False, deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        if not self._held:
            self._held = True
            return True
        if not blocking or timeout == 0:
            return False
        if timeout > 0 and not can_run_sync():
            time.sleep(timeout)  # nobody else runs meanwhile who could release it
            return False
        _check()
        waiter = _Waiter()
        self._line.append(waiter)
        if timeout > 0:
            _real_call_later(_loop, timeout, self._give_up, waiter, context=contextvars.Context())
        try:
            run_sync(waiter.promise)
        except BaseException:
            if waiter in self._line:
                self._line.remove(waiter)
            elif waiter.got:
                self.release()
            raise
        return waiter.got

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._line:
            self._line.remove(waiter)
            waiter.wake(False)

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release unlocked lock")
        if self._line:
            self._line.popleft().wake(True)
        else:
            self._held = False

    def locked(self) -> bool:
        return self._held

    def _at_fork_reinit(self) -> None:
        self._held = False
        self._line.clear()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error) -> None:
        self.release()


# ---- threads -----------------------------------------------------------------------------------


class Handle:
    """What `Thread.join` and `Thread.is_alive` ask."""

    def __init__(self):
        self.ident, self._running = 0, Lock()

    def join(self, timeout: float | None = None) -> None:
        if self._running.acquire(timeout=-1 if timeout is None else timeout):
            self._running.release()

    def is_done(self) -> bool:
        return self.ident != 0 and not self._running.locked()

    def _set_done(self) -> None:
        if self._running.locked():
            self._running.release()


def _start(bootstrap, *, handle: Handle, daemon: bool = True) -> None:
    """Run `bootstrap`, a method of the thread to start, until it waits for the first time."""
    _check()
    handle.ident = next(_idents)
    handle._running.acquire()
    context = contextvars.Context()
    for inner in (context, bootstrap.__self__._context):
        inner.run(_ident.set, handle.ident)

    def run() -> None:
        try:
            context.run(bootstrap)
        finally:
            handle._set_done()

    scheduleCallback(create_once_callable(run, _may_syncify=True), 0)


# ---- widgets -----------------------------------------------------------------------------------

_turn = Lock()


def _comm_msg(manager, stream, ident, msg) -> None:
    """Handle a widget's message in a call of its own, which can be set aside; one message after the
    other."""

    def handle() -> None:
        with _turn:
            _real_comm_msg(manager, stream, ident, msg)

    scheduleCallback(create_once_callable(handle, _may_syncify=True), 0)


# ---- the event loop ----------------------------------------------------------------------------
# Pyodide's hands its callbacks to the browser and forgets them. helpers.faults.turns has to know
# whether some are still to come, and that every timer goes through `call_at`, as in asyncio's own
# loop.

# the browser holds each until it has run
_soon: weakref.WeakSet[asyncio.Handle] = weakref.WeakSet()
_loop = asyncio.get_event_loop()


def _call_soon(loop, callback, *args, context=None):
    def run():
        _soon.discard(handle)
        callback(*args)

    handle = _real_call_later(loop, 0, run, context=context)
    _soon.add(handle)
    return handle


def _call_later(loop, delay, callback, *args, context=None):
    return loop.call_at(loop.time() + delay, callback, *args, context=context)


def _call_at(loop, when, callback, *args, context=None):
    return _real_call_later(
        loop, max(0.0, when - _real_monotonic()), callback, *args, context=context
    )
