"""What clocks share, and the simple one: real time, only faster (helpers.faults.clock)."""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from helpers import wire
from helpers.faults import turns
from helpers.faults.turns import Lock, here, inside, theirs

# What `time.time()` says when a clock starts.
EPOCH = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
# Seconds between the end of one clock and the start of the next: what was learned in one is history
# in the other.
APART = 3600

_ended: dict[str, float] = {}  # the latest that a clock has said at its end


class Clock:
    """What both clocks share: how code gets inside. Waits are as in real time here."""

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

    def tell(self, name: str) -> float:
        """What the function `name` of the module `time` says in here."""
        return self._bases[name] + self.time()

    def join(self) -> None:
        """Take the thread or task that calls this inside, if it is not."""
        inside.set(self)

    def leave(self) -> None:
        """Let the thread or task that calls this live in real time until it joins again; nobody
        inside waits for it."""
        inside.set(None)

    def __enter__(self):
        self._outer = inside.get()
        self._bases = {
            name: float(math.ceil(max(getattr(time, name)(), _ended.get(name, 0) + APART)))
            for name in ("monotonic", "perf_counter")
        }
        self._bases["time"] = EPOCH
        self._start()
        self.open = True
        turns.open_for(self)
        self._threads = wire.carried(self._on_start)
        self._threads.__enter__()
        inside.set(self)
        return self

    def __exit__(self, *error):
        for name, base in self._bases.items():
            _ended[name] = max(_ended.get(name, 0), base + self.time())
        self.open = False
        self._threads.__exit__(*error)
        turns.close_for(self)
        inside.set(self._outer)
        self._stop()

    def _on_start(self, thread: threading.Thread, start: Callable) -> None:
        if here() is self:
            self._start_thread(thread, start)
        else:  # its starter has left this clock
            start(thread)

    def _start_thread(self, thread: threading.Thread, start: Callable) -> None:
        run = thread.run

        def work():
            inside.set(self)
            run()

        thread.run = work
        inside.set(None)  # `start` waits in real time until the system has made the thread
        try:
            start(thread)
        finally:
            inside.set(self)

    def _start(self) -> None:
        """Called before the first look at this clock."""

    def _stop(self) -> None:
        """Called after the last."""

    # ---- what the standard library asks (helpers.faults.turns) ----

    def acquire(self, lock: Lock, timeout: float) -> bool:
        return lock.inner.acquire(True, timeout)

    def join_thread(self, thread: threading.Thread, timeout: float | None) -> None:
        theirs["join"](thread, timeout)

    def run_task(self, task: Callable, *args, **kwargs):
        return task(*args, **kwargs)

    def run_loop(self, loop) -> None:
        theirs["run_forever"](loop)

    def call_at(self, loop, when: float, callback: Callable, args, context):
        return theirs["call_at"](loop, when, callback, *args, context=context)

    def call_soon(self, loop, callback: Callable, args, context):
        return theirs["call_soon_threadsafe"](loop, callback, *args, context=context)


@contextlib.contextmanager
def outside():
    """In here the code that asks lives in real time, with the threads and tasks it starts."""
    clock = here()
    if clock is not None:
        clock.leave()
    try:
        yield
    finally:
        if clock is not None:
            clock.join()


class ScaledClock(Clock):
    """Real time, `speed` times as fast: with 60, a minute takes a second. 1 is real time."""

    def __init__(self, speed: float):
        super().__init__()
        if not speed > 0:
            raise ValueError(f"speed must be greater than 0, got {speed}")
        self.speed = speed

    def time(self) -> float:
        return (theirs["monotonic"]() - self._started) * self.speed

    def sleep(self, seconds: float) -> None:
        theirs["sleep"](seconds / self.speed)

    def _start(self) -> None:
        self._started = theirs["monotonic"]()

    def acquire(self, lock: Lock, timeout: float) -> bool:
        return lock.inner.acquire(True, timeout / self.speed if timeout > 0 else timeout)

    def join_thread(self, thread: threading.Thread, timeout: float | None) -> None:
        theirs["join"](thread, timeout and timeout / self.speed)

    def call_at(self, loop, when: float, callback: Callable, args, context):
        delay = max(0.0, when - loop.time()) / self.speed
        real = theirs["monotonic"]() + delay
        return theirs["call_at"](loop, real, callback, *args, context=context)
