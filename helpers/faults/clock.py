"""Clocks for the fault lab: an hour of waiting that takes no time, or takes a minute.

    VirtualClock()      time stands still while anything works, and jumps when everything waits
    ScaledClock(60)     time runs 60 times as fast

Inside `with clock:` the standard library tells this time: `time.sleep`, `time.monotonic`,
`time.perf_counter`, `time.time`, waits with a time limit (locks, events, queues, results), and
every timer of asyncio. So clients and libraries that never heard of the lab wait in it too. Code
that took the functions out of `time` before does not. Only the code inside the `with`, and the
threads and tasks it starts, live in it; several clocks may be open at once.

How virtual time works: everything in `threading` and `queue` waits for a lock (helpers.faults.turns
has ours), and everything in asyncio is a callback of its loop. So who begins to wait says so. One
thread works at a time; when it waits, the next one in line has its turn. The line is in order of
time, then of asking, so the same work ends the same way each time, however busy the machine is.
"""

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable

from helpers.faults import turns
from helpers.faults.scaled import EPOCH, Clock, ScaledClock, outside
from helpers.faults.turns import Call, Lock, Turn, here, inside, state, theirs

__all__ = ["EPOCH", "Clock", "ScaledClock", "VirtualClock", "outside"]

# Real seconds in which nobody waits and nothing is computed, after which whoever should be working
# is taken to wait for something unknown: a lock that was made before the clock, a connection.
PATIENCE = 10.0


class VirtualClock(Clock):
    """Time that jumps: when everything inside waits, to the next in line."""

    def __init__(self):
        super().__init__()
        self._now = 0.0
        self._line: list[tuple[float, int, Turn | Call]] = []  # (when, number of asking, what)
        self._numbers = itertools.count()
        self._working: set[threading.Thread] = set()
        self._loops: dict[threading.Thread, asyncio.AbstractEventLoop] = {}  # who runs which
        self._ends: dict[threading.Thread, threading.Event] = {}  # of those started inside
        self._over: threading.Event | None = None  # ends the watch

    def time(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self._rest(Turn(), self._after(seconds))
        self._still_open()

    def join(self) -> None:
        if here() is not self:
            super().join()
            if turns.running_loop() is None:
                self._rest(Turn(), self._now)

    def leave(self) -> None:
        super().leave()
        if turns.running_loop() is None:  # else its other tasks go on
            self._pass_on(threading.current_thread())

    def _start(self) -> None:
        self._working.add(threading.current_thread())

    def _stop(self) -> None:
        self._pass_on()  # whoever is still in here must not stay for ever
        if self._over is not None:
            self._over.set()

    def _still_open(self) -> None:
        if not self.open:
            raise RuntimeError(
                "the outage ended while this thread was still waiting in it; wait for your threads"
                " inside the `with`"
            )

    # ---- the line ----

    def _after(self, seconds: float) -> float:
        # Whole microseconds, so that sums of seconds are exact; and never nothing, so that a loop
        # of sleep(0) ends.
        return round(self._now + max(seconds, 1e-6), 6)

    def enter(self, when: float, what: Turn | Call) -> None:
        """Let `what` stand in line for the moment `when`."""
        with state:
            heapq.heappush(self._line, (when, next(self._numbers), what))
            loop = turns.running_loop()
            if loop is not None and here() is self:  # it works on, until its loop has nothing to do
                self._loops[threading.current_thread()] = loop
                self._working.add(threading.current_thread())
                turns.tick_soon(loop, self)
            self._pass_on()

    def enter_now(self, what: Turn | Call) -> None:
        self.enter(self._now, what)

    def _pass_on(self, *threads: threading.Thread) -> None:
        """These wait now. If nobody works, the next in line has its turn."""
        with state:
            self._working.difference_update(threads)
            while self._line and not (self._working and self.open):
                when, _, what = heapq.heappop(self._line)
                if not what.cancelled():
                    self._now = max(self._now, when) if self.open else self._now
                    self._working.update(what.begin(self._loops))

    def pass_on_loop(self, loop) -> None:
        """`loop` has nothing to do any more."""
        self._pass_on(*(thread for thread, its in self._loops.items() if its is loop))

    def _rest(self, turn: Turn, when: float | None = None) -> None:
        """Let others work until it is this turn, by somebody's doing or at the moment `when`."""
        with state:
            loop = self._loops.pop(turn.thread, None)
            if when is not None:
                heapq.heappush(self._line, (when, next(self._numbers), turn))
            self._pass_on(turn.thread)
        try:
            turn.wait()
        finally:  # also when it was interrupted
            with state:
                self._working.add(turn.thread)
                if loop is not None:
                    self._loops[turn.thread] = loop
                    turns.tick_soon(loop, self)

    # ---- threads ----

    def acquire(self, lock: Lock, timeout: float) -> bool:
        turn = lock.line_up(self)
        if turn is None:
            return True
        try:
            self._rest(turn, None if timeout < 0 else self._after(timeout))
        except BaseException:
            lock.give_up(turn)
            raise
        return turn.got or lock.give_up(turn)

    def _start_thread(self, thread: threading.Thread, start: Callable) -> None:
        run, turn, end = thread.run, Turn(thread), threading.Event()

        def in_turn():
            try:
                turn.wait()
                self._still_open()
                run()
            finally:
                end.set()
                self._loops.pop(thread, None)
                self._pass_on(thread)

        thread.run, self._ends[thread] = in_turn, end
        self.enter_now(turn)
        try:
            super()._start_thread(thread, start)
            self._watch()
        except BaseException:
            turn.over = True
            raise

    def join_thread(self, thread: threading.Thread, timeout: float | None) -> None:
        end = self._ends.get(thread) if thread is not threading.current_thread() else None
        if end is None or end.wait(timeout):
            theirs["join"](thread, timeout if end is None else None)

    def run_task(self, task: Callable, *args, **kwargs):
        thread = threading.current_thread()
        if thread in self._ends or not self.open:
            return task(*args, **kwargs)
        self._rest(Turn(), self._now)  # a pool's thread that was there before this clock
        try:
            return task(*args, **kwargs)
        finally:
            self._pass_on(thread)

    def _watch(self) -> None:
        """From the second thread on, one may wait for what nobody tells of."""
        if self._over is not None:
            return
        inside.set(None)
        self._over = threading.Event()

        def watch():
            before = None
            while not self._over.wait(PATIENCE):
                seen, computed = (next(self._numbers), time.process_time())
                if before and seen == before[0] + 1 and computed - before[1] < PATIENCE / 20:
                    self._pass_on(*self._working)
                before = seen, computed

        threading.Thread(target=watch, name="virtual clock", daemon=True).start()
        inside.set(self)

    # ---- event loops ----

    def run_loop(self, loop) -> None:
        thread = threading.current_thread()
        with state:
            self._loops[thread] = loop
            turns.tick_soon(loop, self)
        try:
            theirs["run_forever"](loop)
        finally:
            self._loops.pop(thread, None)
            if self.open and thread not in self._working:
                self._rest(Turn(), self._now)

    def call_at(self, loop, when: float, callback: Callable, args, context):
        timer = asyncio.TimerHandle(when, callback, args, loop, context)
        self.enter(
            self._after(when - loop.time()), Call(self, loop, timer, callback, args, context)
        )
        return timer

    def call_soon(self, loop, callback: Callable, args, context):
        if loop not in self._loops.values():
            return super().call_soon(loop, callback, args, context)
        handle = asyncio.Handle(callback, args, loop, context)
        self.enter_now(Call(self, loop, handle, callback, args, context))
        return handle
