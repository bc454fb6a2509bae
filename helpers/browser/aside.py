"""Calls that wait in a browser tab, which has one thread.

Where the browser can (JavaScript Promise Integration), Pyodide's `run_sync` sets a call aside, with
all that it was in the middle of, goes on with another, and comes back. `time.sleep` and
`asyncio.run` wait that way. Two things are missing there, and one sentence.
"""

import gc
import threading
from collections import deque

import comm
import pyodide
from pyodide import webloop
from pyodide.ffi import create_once_callable
from pyodide_js._api import scheduleCallback

NO_THREADS = "a browser tab has one thread: use asyncio for several calls at once"
GARBAGE = 100_000  # objects after which memory is cleared up although calls are set aside

_real_run_sync, _real_comm_msg = pyodide.ffi.run_sync, comm.CommManager.comm_msg
_aside = 0  # how many calls are
_messages: deque[tuple] = deque()  # of widgets, which come one after the other


def install() -> None:
    """Once, before they are used."""
    pyodide.ffi.run_sync = webloop.run_sync = run_sync
    comm.CommManager.comm_msg = _comm_msg
    threading._start_joinable_thread = _no_thread


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


def _comm_msg(*message) -> None:
    """Handle a widget's message in a call of its own, which can be set aside."""
    _messages.append(message)
    if len(_messages) == 1:
        _handle_soon()


def _handle_soon() -> None:
    scheduleCallback(create_once_callable(_handle, _may_syncify=True), 0)


def _handle() -> None:
    try:
        _real_comm_msg(*_messages[0])
    finally:
        _messages.popleft()
        if _messages:
            _handle_soon()


def _no_thread(*_args, **_kwargs):
    raise RuntimeError(NO_THREADS)
