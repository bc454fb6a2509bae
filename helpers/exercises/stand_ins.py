"""What a function that is being run finds in place of `print`, `sleep`, `input` and the clocks.

    with in_place:                  they are there, and ask whose code calls them
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
import time
from collections.abc import Callable

from helpers.wire.replaced import Replaced

CLOCKS = ("time", "monotonic", "perf_counter")
WAITING = ("asyncio.base_events", "helpers.wire")  # what waits by them; it is told when it is over

_run: contextvars.ContextVar = contextvars.ContextVar("run", default=None)


@contextlib.contextmanager
def answering(run):
    """In here, and in threads that get this context, `run` answers."""
    before = _run.set(run)
    try:
        yield
    finally:
        _run.reset(before)


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


in_place = Replaced(_places)


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
        if run is None or not isinstance(seconds, (int, float)) or seconds < 0:
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


class _Stream:
    """sys.stdout or sys.stderr: what the function writes goes to its run's `output` or `errors`,
    all other text where it always went."""

    def __init__(self, ours: str, real):
        self._ours, self._real = ours, real

    def __getattr__(self, name: str):
        run = _run.get()
        return getattr(self._real if run is None else getattr(run, self._ours), name)


# One for each stream, kept for ever: until Python 3.13 `print` holds no reference to what it found
# in `sys`, and in a cell that runs at the same time it would go on with one that is gone.
_output = functools.cache(functools.partial(_Stream, "output"))
_errors = functools.cache(functools.partial(_Stream, "errors"))
