"""Running a function that somebody else wrote, so that whatever it does ends in a sentence.

It runs in a thread of its own. What it prints and displays is kept, its waiting is noted and not
done, and work without end is stopped: by the time that the processor has worked for it, so that a
crowded machine is not taken for a loop. All this holds for the function, its threads and its tasks,
and for nobody else in the process: a cell may be running at the same time, and a second check.
"""

import asyncio
import contextlib
import contextvars
import inspect
import linecache
import sys
import threading
import time
from collections.abc import Callable, Iterable
from unittest.mock import patch

from helpers import browser, wire
from helpers.tokens import mask

STEP = 0.25  # seconds between two looks at a function that is under way
LONGEST = 60.0  # seconds by the clock that any function may take


class NotYet(Exception):
    """What a check raises when something is missing; the message is for the learner."""


class Raised(NotYet):
    """The learner's function raised `error`. A check that expects an error catches this and looks
    at `.error`."""

    def __init__(self, error: BaseException, message: str):
        super().__init__(message)
        self.error = error


class Stop(BaseException):
    """Ends a function that would not end. Not an Exception, so `except Exception:` in a retry loop
    does not hold it up."""


class Run:
    """One run of a function.

    seconds : of work, or of doing nothing at all, after which it is ended.
    slept : the seconds that it wanted to wait, in order; its clocks go on by as much.
    printed : what it printed.
    """

    def __init__(self, seconds: float = 5.0, slept: list[float] | None = None):
        self.seconds, self.slept = seconds, [] if slept is None else slept
        self.printed, self.over = "", False

    def call(self, function: Callable, *args, whole: bool = False, **kwargs):
        """What `function(*args, **kwargs)` returns; a coroutine is awaited, and a generator comes
        back as the list of its pieces, unless `whole`, which hands it over as it is.

        Raises Raised if it raised, NotYet if it would not end.
        """
        theirs = getattr(inspect.unwrap(function), "__globals__", None)

        def work():
            with self._limit(theirs):
                value = function(*args, **kwargs)
                if whole:
                    return value
                if inspect.isgenerator(value):
                    return list(value)
                if inspect.iscoroutine(value) or inspect.isasyncgen(value):
                    return _awaited(value)
                return value

        try:
            with _set_apart(theirs):
                context = contextvars.copy_context()
                context.run(_running.set, self)
                return self._done(work, context)
        except Stop as stop:
            raise NotYet(str(stop)) from None
        except KeyboardInterrupt:  # the learner interrupts the kernel
            raise
        except BaseException as error:  # SystemExit and the like: no reason to end the kernel
            raise Raised(error, readable(error, theirs)) from None

    def note(self, seconds: float) -> None:
        """Note a wait. Raises what the real one raises for a number that makes no sense."""
        if not isinstance(seconds, (int, float)) or seconds < 0:
            _real["sleep"](seconds)
        self.slept.append(seconds)
        if len(self.slept) > 1000:
            raise Stop(
                "Your function had waited 1,000 times and wanted to go on. A loop that waits needs"
                " an end."
            )

    # ---- limits ----

    def _done(self, work: Callable, context: contextvars.Context):
        """What `work` returns or raises, or Stop where it does nothing any more."""
        if browser.HERE or sys.gettrace() is not None:  # no threads, or a debugger is at work
            return context.run(work)
        outcome, done = [], threading.Event()

        def in_thread():
            try:
                outcome.append((context.run(work), None))
            except BaseException as error:
                outcome.append((None, error))
            done.set()

        threading.Thread(target=in_thread, name="your function", daemon=True).start()
        try:
            self._wait(done)
        finally:
            self.over = True  # whatever still goes on ends at its next step
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def _wait(self, done: threading.Event) -> None:
        """Until it is done. Raises Stop if neither it nor its threads have done anything for long:
        it waits for something that no clock brings about."""
        began = idle_since = _real["monotonic"]()
        worked = time.process_time()
        while not done.wait(STEP):
            now, busy = _real["monotonic"](), time.process_time()
            if busy - worked > 0.01 * (now - idle_since):
                worked, idle_since = busy, now
            if now - idle_since > self.seconds or now - began > LONGEST:
                raise Stop(
                    f"Your function was still waiting after {now - idle_since:.0f} seconds. Look"
                    " for something that never comes."
                )

    @contextlib.contextmanager
    def _limit(self, theirs: dict | None):
        """End the learner's code when it has worked for long: looks at each of its steps."""
        before, end = sys.gettrace(), _work_time() + self.seconds
        if before is not None or theirs is None:
            yield
            return

        def look(frame, event, argument):
            if frame.f_globals is not theirs:
                return None
            frame.f_trace_opcodes = True  # `while True: pass` in one line never reaches a new line
            if self.over or _work_time() > end:
                raise Stop(
                    f"Your function was still running after {self.seconds:g} seconds. Look for a"
                    " loop that never ends."
                )
            return look

        sys.settrace(look)
        try:
            yield
        finally:
            sys.settrace(before)


def _awaited(value):
    """What a coroutine returns, or the pieces of an async generator as a list."""

    async def finish():
        return [piece async for piece in value] if inspect.isasyncgen(value) else await value

    if not browser.HERE:
        return asyncio.run(finish())
    from pyodide.ffi import run_sync

    async def kept():  # Pyodide shows a task's exception in the cell, even if it is caught
        try:
            return await finish(), None
        except (Exception, Stop) as error:
            return None, error

    result, error = run_sync(kept())
    if error is not None:
        raise error
    return result


def readable(error: BaseException, theirs: dict | None) -> str:
    """One line about an error in the learner's code: what was raised, in which line of the cell."""
    said = mask(str(error)).strip().splitlines()
    text = f"Your function raised {type(error).__name__}"
    text += f": {said[0][:300]}" if said else ", without a message"
    at, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is theirs:
            at = trace
        trace = trace.tb_next
    if at is None:
        return text
    line = linecache.getline(at.tb_frame.f_code.co_filename, at.tb_lineno).strip()
    return f"{text} (line {at.tb_lineno} of the cell" + (f": `{line}`)" if line else ")")


# ---- for the function only ---------------------------------------------------------------------

_running: contextvars.ContextVar[Run | None] = contextvars.ContextVar("run", default=None)
_real = {"sleep": time.sleep, "asyncio.sleep": asyncio.sleep, "monotonic": time.monotonic}
_work_time = getattr(time, "thread_time", time.process_time)  # bound before anybody fakes a clock


class Replaced:
    """Names of the process that stand for something else while anybody is in here, in any order;
    what stands there asks who calls. replacements() : (owner, name, ours) of each."""

    def __init__(self, replacements: Callable[[], Iterable[tuple]]):
        self._replacements, self._inside = replacements, 0
        self._lock, self._patches = threading.Lock(), contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                for owner, name, ours in self._replacements():
                    self._patches.enter_context(patch.object(owner, name, ours))

    def __exit__(self, *error) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._patches.close()


@contextlib.contextmanager
def _set_apart(theirs: dict | None):
    """While a function is under way, what it prints and how it waits goes to its Run."""
    named = {}
    for name, value in (theirs or {}).items():  # `from time import sleep` in a cell
        if value is _real["sleep"] or value is _real["asyncio.sleep"]:
            named[name] = value
            theirs[name] = _sleep if value is _real["sleep"] else _asleep
    try:
        with _replaced, wire.carried():
            yield
    finally:
        if named:
            theirs.update(named)


def _replacements() -> Iterable[tuple]:
    yield time, "sleep", _sleep
    yield asyncio, "sleep", _asleep
    yield sys, "stdout", _Output(sys.stdout)
    yield sys, "stderr", _Output(sys.stderr, kept=False)
    if "anyio" in sys.modules:  # the OpenAI client's async retry waits through it
        yield sys.modules["anyio"], "sleep", _asleep
    if "openai" in sys.modules:  # its async client asks a thread for the platform first: real time
        theirs = sys.modules["openai._base_client"]
        yield theirs, "asyncify", _without_thread(theirs.asyncify)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        yield shell.display_pub, "publish", _unshown(shell.display_pub.publish)


_replaced = Replaced(_replacements)


def _sleep(seconds):
    run = _running.get()
    return _real["sleep"](seconds) if run is None else run.note(seconds)


async def _asleep(seconds, result=None):
    run = _running.get()
    if run is None:
        return await _real["asyncio.sleep"](seconds, result)
    run.note(seconds)
    return await _real["asyncio.sleep"](0, result)


class _Output:
    """In the place of sys.stdout: keeps what a checked function prints, lets all else through."""

    def __init__(self, theirs, kept: bool = True):
        self._theirs, self._kept = theirs, kept

    def write(self, text: str) -> int:
        run = _running.get()
        if run is None:
            return self._theirs.write(text)
        run.printed += text if self._kept else ""
        return len(text)

    def __getattr__(self, name: str):
        return getattr(self._theirs, name)


def _unshown(publish: Callable) -> Callable:
    def show(*args, **kwargs):
        if _running.get() is None:
            publish(*args, **kwargs)

    return show


def _without_thread(asyncify: Callable) -> Callable:
    def ours(function: Callable) -> Callable:
        async def call(*args, **kwargs):
            return function(*args, **kwargs)

        return call if _running.get() is not None else asyncify(function)

    return ours
