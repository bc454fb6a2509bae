"""Run a function that somebody else wrote. It may print, wait, read the clock, fail, and never end.

    run = Run(function, seconds=5)
    value = run(argument)           run.printed, run.slept, run.looks: what it did meanwhile

All of this holds for the function, its threads and its tasks, and for nobody else: a cell that runs
at the same time prints, waits and reads the clock as ever. The stand-ins for `print`, `sleep` and
the clocks ask a context variable whose code they are called by.
"""

import asyncio
import contextlib
import inspect
import io
import linecache
import sys
import threading
import time
import traceback
from collections.abc import Callable

from helpers import browser, wire
from helpers.exercises.stand_ins import answering, in_place
from helpers.faults.clock import outside
from helpers.tokens import mask

LOOK = 0.05  # seconds between two looks at a function that has not come back
AT_MOST = 12  # times its seconds: how long it may take by the clock, on a machine of any load
WAITS = 1000  # how often a function may wait


class NotYet(Exception):
    """What a check raises when something is missing; the message is for the learner."""


class Raised(NotYet):
    """The learner's function raised `error`. A check that expects one catches this."""

    def __init__(self, error: BaseException, message: str):
        super().__init__(message)
        self.error, self.kind = error, type(error).__name__
        # of the answer that the error is about: openai's errors have it, httpx2's have the answer
        self.status = getattr(getattr(error, "response", error), "status_code", None)


def attempt(call: Callable, *arguments) -> tuple:
    """(what the call returns, the Raised that comes out of it), one of them None."""
    try:
        return call(*arguments), None
    except Raised as raised:
        return None, raised


# Seconds that the processor has worked for this thread; a browser tab counts no threads.
_worked = getattr(time, "thread_time", time.process_time)


class Stop(BaseException):
    """Ends a function that would not end. No Exception, so that no `except Exception:` in a retry
    loop holds it up."""


class Run:
    """One call of a function.

    seconds : how much it may compute (time of the processor, in each of its threads), and how long
        it may stand still.
    slept : the seconds it wanted to wait, in order. They are noted, not waited, and its clocks go
        on by them.
    looks : the clocks that the function's own code has read: "monotonic", "time", "perf_counter".
    """

    def __init__(self, function: Callable, seconds: float, slept: list[float], looks: list[str]):
        self.function, self.seconds, self.slept, self.looks = function, seconds, slept, looks
        self.theirs = getattr(inspect.unwrap(function), "__globals__", None)
        self.output, self.errors = io.StringIO(), io.StringIO()
        self.ended = ""  # why it has to end
        self._threads: list[threading.Thread] = []
        self._back = threading.Event()

    @property
    def printed(self) -> str:
        return self.output.getvalue()

    def __call__(self, *args, whole: bool = False, **kwargs):
        """What the function returns; a generator as the list of its pieces, a coroutine awaited.

        whole : leave generators and coroutines as they are.
        Raises Raised if the function raised, NotYet if it would not end.
        """
        outcome: list = []

        def work() -> None:
            try:
                with answering(self):
                    value = self.function(*args, **kwargs)
                    outcome.append((value if whole else self._whole(value), None))
            except BaseException as error:
                outcome.append((None, error))
            finally:
                self._back.set()

        # Traced like every thread that the function starts. A debugger is left alone.
        scope = wire.carried(starting=None if sys.gettrace() else self._started)
        with outside(), in_place, scope:  # of an outage around the check
            in_place.also_in(self.theirs or {})
            browser.apart(work, self._traced)
            try:
                self._wait()
            finally:  # also when the learner interrupts the kernel: what still goes on has to end
                self.ended = self.ended or "Your function has come back."
        value, error = outcome[0] if outcome else (None, Stop(self.ended))
        if isinstance(error, Stop):
            raise NotYet(str(error)) from None
        if isinstance(error, BaseException):  # SystemExit and the like: no reason to end the kernel
            raise Raised(error, readable(error, self.theirs)) from None
        return value

    def _whole(self, value):
        if inspect.isgenerator(value):
            return list(value)
        if inspect.isasyncgen(value):
            value = _collected(value)
        if not inspect.iscoroutine(value):
            return value
        return browser.finish(self._in_time(value) if browser.HERE else value)

    async def _in_time(self, coroutine):
        """For a tab, where nobody can look on from another thread."""
        task = asyncio.ensure_future(coroutine)
        done, _ = await asyncio.wait({task}, timeout=self.seconds)
        if not done:
            task.cancel()
            self.end(self._still_waiting())
        return task.result()

    def note(self, seconds: float) -> None:
        """It wants to wait."""
        self.slept.append(seconds)
        if len(self.slept) > WAITS:
            self.end(
                f"Your function had waited {WAITS:,} times and wanted to go on. A loop that waits"
                " needs an end."
            )

    def end(self, why: str) -> None:
        """End the code that calls this, and all other code of the function at its next step."""
        self.ended = self.ended or why
        raise Stop(self.ended)

    # -- how long it takes --

    def _started(self, thread: threading.Thread, start: Callable) -> None:
        self._threads.append(thread)
        body = thread.run

        def run() -> None:
            with contextlib.suppress(Stop):
                self._traced(body)

        thread.run = run
        start(thread)

    def _traced(self, body: Callable) -> None:
        """Call `body`, and look at each step of the learner's code how much it has computed.

        Counts the thread's own time of the processor, so the load of the machine does not matter.
        """
        before, begun = sys.gettrace(), _worked()
        if before is not None or self.theirs is None:
            return body()

        def look(frame, event, argument):
            if frame.f_globals is not self.theirs:
                return None
            frame.f_trace_opcodes = True  # `while True: pass` in one line never reaches a new line
            if self.ended:
                raise Stop(self.ended)
            if _worked() - begun > self.seconds:
                self.end(
                    f"Your function was still running after {self.seconds:g} seconds. Look for a"
                    " loop that never ends."
                )
            return look

        sys.settrace(look)
        try:
            return body()
        finally:
            sys.settrace(before)

    def _wait(self) -> None:
        """Until the function comes back, or all its threads stand still: in a lock, a queue, a
        process. Nothing ends those from outside; the function is left behind in its thread."""
        if not self._threads:  # a debugger is at work, or it has come back already
            self._back.wait()
            return
        still, before = 0, None
        for _look in range(round(AT_MOST * self.seconds / LOOK)):
            if self._back.wait(LOOK):
                return
            places = [(id(frame), frame.f_lasti) for frame in self._frames()]
            still = still + 1 if places == before else 0
            before = places
            if still * LOOK >= self.seconds:
                break
        self.ended = self.ended or self._still_waiting()

    def _frames(self) -> list:
        """Where each of its threads is just now."""
        frames = sys._current_frames()
        return [frames[thread.ident] for thread in self._threads if thread.ident in frames]

    def _still_waiting(self) -> str:
        return (
            f"Your function was still waiting after {self.seconds:g} seconds{self._where()}. Look"
            " for something that never comes."
        )

    def _where(self) -> str:
        """In which line of the learner's code it stands."""
        for frame in self._frames():
            for inside, line in traceback.walk_stack(frame):
                if inside.f_globals is self.theirs:
                    return f", in {line_of(inside, line)}"
        return ""


async def _collected(pieces) -> list:
    return [piece async for piece in pieces]


def line_of(frame, number: int) -> str:
    text = linecache.getline(frame.f_code.co_filename, number).strip()
    return f"line {number} of the cell" + (f": `{text}`" if text else "")


def readable(error: BaseException, theirs: dict | None) -> str:
    """One line about an error in the learner's code: what was raised, in which line of the cell."""
    said = mask(str(error)).strip().splitlines()
    what = f": {said[0][:300]}" if said else ", without a message"
    lines = [
        line_of(frame, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_globals is theirs
    ]
    where = f" ({lines[-1]})" if lines else ""
    return f"Your function raised {type(error).__name__}{what}{where}"
