"""What a function that is being run finds in place of `print`, `sleep`, `input` and the clocks.

    with in_place(its_globals):     they are there, and ask whose code calls them
        with answering(run):        run.output, run.errors, run.slept, run.looks, run.note(seconds)

In place only while some function is run. Code that is not inside `answering` (a cell that runs at
the same time) gets what was there before.
"""

import asyncio
import builtins
import contextlib
import contextvars
import functools
import sys
import threading
import time
from collections.abc import Callable

CLOCKS = ("time", "monotonic", "perf_counter")
WAITING = ("asyncio.base_events", "helpers.wire")  # what waits by them; it is told when it is over

_run: contextvars.ContextVar = contextvars.ContextVar("run", default=None)
_lock = threading.RLock()
_open = 0
_kept: list[tuple] = []  # (module or globals, name, what was there, ours)


@contextlib.contextmanager
def answering(run):
    """In here, and in threads that get this context, `run` answers."""
    before = _run.set(run)
    try:
        yield
    finally:
        _run.reset(before)


@contextlib.contextmanager
def in_place(theirs: dict | None):
    """Names of the function's own module too: `from time import sleep`."""
    global _open
    with _lock:
        if not _open:
            for place, name, make in _places():
                _replace(vars(place), name, make(getattr(place, name)))
        ours_for = {id(was): ours for _, name, was, ours in _kept if name in (*CLOCKS, "sleep")}
        for name, value in list((theirs or {}).items()):
            if id(value) in ours_for:
                _replace(theirs, name, ours_for[id(value)])
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if not _open:
                while _kept:
                    space, name, was, ours = _kept.pop()
                    if space.get(name) is not ours:  # somebody else has changed it since
                        continue
                    if was is _NOTHING:
                        del space[name]
                    else:
                        space[name] = was


_NOTHING = object()


def _replace(space: dict, name: str, ours) -> None:
    _kept.append((space, name, space.get(name, _NOTHING), ours))
    space[name] = ours


def _places():
    """What is replaced: (where, name, what makes ours of theirs)."""
    yield time, "sleep", _sleep
    for clock in CLOCKS:
        yield time, clock, _clock
    yield asyncio, "sleep", _async_sleep
    yield builtins, "input", _input
    yield sys, "stdout", _output
    yield sys, "stderr", _errors
    if "anyio" in sys.modules:  # the OpenAI client's async retry waits through it
        yield sys.modules["anyio"], "sleep", _async_sleep
    if "openai" in sys.modules:  # its async client asks a thread for the platform first
        yield sys.modules["openai._base_client"], "asyncify", _asyncify
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        yield shell.display_pub, "publish", _publish


def _sleep(real: Callable) -> Callable:
    def sleep(seconds):
        run = _run.get()
        if run is None or not isinstance(seconds, (int, float)) or seconds < 0:
            return real(seconds)  # or raises what the real one raises
        return run.note(seconds)

    return sleep


def _async_sleep(real: Callable) -> Callable:
    async def sleep(seconds, *result):
        run = _run.get()
        if run is None:
            return await real(seconds, *result)
        if not isinstance(seconds, (int, float)) or seconds < 0:
            return await real(seconds, *result)
        run.note(seconds)
        return await real(0, *result)

    return sleep


def _clock(real: Callable) -> Callable:
    def now() -> float:
        run, asking = _run.get(), sys._getframe(1).f_globals
        if run is None or asking.get("__name__") in WAITING:
            return real()
        if asking is run.theirs:
            run.looks.append(real.__name__)
        return real() + sum(run.slept)

    now.__name__ = real.__name__
    return now


def _input(real: Callable) -> Callable:
    def ask(*prompt):
        run = _run.get()
        if run is None:
            return real(*prompt)
        return run.end(
            "Your function asks for input with `input()`, and during a check nobody is there to"
            " answer. Take what it needs from its arguments."
        )

    return ask


def _asyncify(real: Callable) -> Callable:
    def here(function: Callable) -> Callable:
        async def call(*args, **kwargs):
            if _run.get() is None:
                return await real(function)(*args, **kwargs)
            return function(*args, **kwargs)

        return call

    return here


def _publish(real: Callable) -> Callable:
    """What the function displays would end up under whatever cell is running."""
    return lambda *args, **kwargs: real(*args, **kwargs) if _run.get() is None else None


class _Output:
    """sys.stdout: what the function writes goes to its run, all other text where it always went."""

    def __init__(self, real):
        self._real = real

    def _place(self, run):
        return run.output

    def __getattr__(self, name: str):
        run = _run.get()
        return getattr(self._real if run is None else self._place(run), name)


class _Errors(_Output):
    """sys.stderr: nobody reads it."""

    def _place(self, run):
        return run.errors


# One for each stream, kept for ever: until Python 3.13 `print` holds no reference to what it found
# in `sys`, and in a cell that runs at the same time it would go on with one that is gone.
_output, _errors = functools.cache(_Output), functools.cache(_Errors)
