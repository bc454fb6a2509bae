"""Step 5: one door for all calls. It decides who may send a request when; it never sleeps and never
sends."""

import bisect
import itertools
import math
import random
import threading
import time

from .errors import Verdict
from .waits import Limit


def now() -> float:
    """Seconds. Looked up in `time` each time, so that a virtual clock that replaces it there is
    followed."""
    return time.monotonic()


class Ticket:
    """One call's place in the line before a gate. `wake` is called when it is worth asking
    again."""

    __slots__ = ("era", "limit", "number", "state", "wake")

    def __init__(self, wake=None):
        self.number = self.era = self.limit = self.state = None
        self.wake = wake


class RateGate:
    """The door that all threads and tasks go through: when the quota is used up everybody waits,
    and nobody has to fail to find out.

    It learns from answers: when a window ends, how many requests fit into it, and, from servers
    that say nothing, how long a pause helped the last time. First come, first served; a refused
    call keeps its place. `reserve` says how long to wait, and whoever asked does the waiting.
    Thread-safe.

    max_concurrency : requests under way at one time. Eight, because everything that is on its way
        when the quota runs out for the first time is refused.
    """

    # at most so many seconds (or 1 % of the window) are added so that clients don't start together
    SPREAD = 0.25

    def __init__(self, max_concurrency: int = 8, *, clock=now, uniform=random.uniform):
        if max_concurrency < 1:
            raise ValueError(
                f"max_concurrency must be at least 1, not {max_concurrency}: with 0 no request"
                " could ever start"
            )
        self.slots, self.clock, self.uniform = max_concurrency, clock, uniform
        self.lock = threading.Lock()
        # The line, and the door.
        self.line: list[Ticket] = []  # who waits, first come first
        self.numbers = itertools.count()
        self.flying = 0  # requests under way
        self.opens, self.reason = -math.inf, ""  # closed until then, because of this
        self.spread = self.next_start = 0.0  # behind a pause they start one after another
        # What is known of the server.
        self.quota = self.window = None  # what a window holds, once known
        self.by_clock = True  # windows follow one another; False: each begins with a request
        self.rounds_down = False  # it once said "0 seconds", so "1" may mean 1.9
        self.guess = Guess(uniform)
        # This window.
        self.era = 0  # its number: an answer to a request of an earlier one says little now
        self.ends = None  # when it is over for certain
        self.left = math.inf  # requests that may still start in it, by our own count
        self.stated = math.inf  # the same as the server counts: the lowest number it gave
        # requests started; not yet answered; answered well
        self.sent = self.unheard = self.passed = 0
        # so many went well the last time; after that many it feels its way
        self.expected = math.inf
        self.probing = False  # nobody knows whether it is open: one request goes first
        self.told = -math.inf  # the pause until then was logged
        self.asked = -math.inf  # the last moment at which somebody asked

    def reserve(self, ticket: Ticket) -> float:
        """0.0 if this call may send its request now; else seconds until it is worth asking again.

        `math.inf` means: when `ticket.wake` is called. Whoever got 0.0 must call `release` when the
        answer is in.
        """
        with self.lock:
            now = self.clock()
            if now < self.asked:  # set back: a lab's time is over, and what was learned in it
                self.opens = self.told = self.next_start = -math.inf
                self._new_window(now)
                self.ends = None
            self.asked = now
            if ticket.state != "waiting":
                ticket.number = next(self.numbers) if ticket.number is None else ticket.number
                ticket.state = "waiting"
                bisect.insort(self.line, ticket, key=lambda t: t.number)
            if now < self.opens:
                return self.opens - now
            if self.line[0] is not ticket:
                return math.inf
            if self.ends is not None and now >= self.ends:
                self._new_window(now - (now - self.ends) % self.window if self.window else now)
            if min(self.left, self.stated - self.unheard) < 1:
                if self.unheard:  # their answers will tell
                    return math.inf if self.ends is None else self.ends - now
                if self.ends is not None:
                    self._close(self.ends - now, "quota")
                    return self.opens - now
            if self.flying >= self.slots or self.unheard >= self._room():
                return math.inf
            if now < self.next_start:
                return self.next_start - now
            self.line.pop(0)
            self.flying += 1
            self.sent += 1
            self.unheard += 1
            self.left -= 1
            if self.sent < self.slots:  # one after another, so that one refusal stops the rest
                self.next_start = now + self.spread / self.slots
            ticket.state, ticket.era, ticket.limit = "sent", self.era, None
            self._wake_first()
            return 0.0

    def ok(self, ticket: Ticket) -> None:
        """The answer (or a stream's first chunk) arrived; `ticket.limit` is what its headers said,
        if somebody listened."""
        with self.lock:
            now = self.clock()
            if not self._hear(ticket, now):
                return
            self.guess.over(self.opens if self.probing else None)
            self.probing = False
            self.passed += 1
            if ticket.limit is not None:
                self._learn(ticket.limit)
                self.stated = min(self.stated, ticket.limit.remaining)
                if ticket.limit.reset:
                    reset = now + ticket.limit.reset + self.rounds_down
                    self.ends = min(self.ends or math.inf, reset)
            self._wake_first()  # a stream makes room with its first chunk

    def throttled(self, ticket: Ticket, verdict: Verdict) -> None:
        """The server refused: `verdict` is "throttled" or "loading". Closes the gate for
        everybody."""
        with self.lock:
            now, asked, loading = self.clock(), verdict.wait, verdict.kind == "loading"
            self._learn(verdict.limit)
            if asked is not None and not loading:
                self.rounds_down = self.rounds_down or asked == 0
                asked += self.rounds_down
            if not self._hear(ticket, now):  # its fellows have closed the gate already
                self.opens = max(self.opens, now + (asked or 0.0))
                self.expected -= ticket.era == self.era - 1
                return
            pause = self.guess.pause(verdict, now, self.opens) if asked is None else asked
            # too early, though by the clock it was time
            if not self.passed and self.reason == "quota":
                self.by_clock = False
            if self.sent > 1 or self.expected == math.inf:
                self.expected = self.sent - 1
            self._close(pause, verdict.kind, self.expected)
            self.probing = loading or asked is None

    def first_to_tell(self) -> bool:
        """Of all calls that hear of this pause, one gets True. A late refusal may prolong it a
        little: the same pause."""
        with self.lock:
            first, self.told = self.opens > self.told + 0.05, max(self.told, self.opens)
            return first

    def pause(self, seconds: float, reason: str = "paused") -> None:
        """Let nobody start for `seconds`."""
        with self.lock:
            self._close(seconds, reason)

    def release(self, ticket: Ticket) -> None:
        """This request is over, or this call gives up its place in line. Harmless if neither was
        the case."""
        with self.lock:
            if ticket.state == "waiting":
                self.line.remove(ticket)
            elif ticket.state in ("sent", "heard"):
                self._hear(ticket, self.clock())
                self.flying -= 1
            ticket.state = None
            self._wake_first()

    def _room(self) -> float:
        """How many may be without an answer now."""
        if self.probing:
            return 1
        return self.slots if self.sent < self.expected else max(1, self.passed - self.expected)

    def _close(self, seconds: float, reason: str, expected: float = math.inf) -> None:
        now = self.clock()
        self.spread = min(self.SPREAD, 0.01 * (self.window or seconds)) / 2
        self.opens = max(self.opens, now + seconds + self.uniform(0.0, self.spread))
        self.reason = reason
        self._new_window(now + seconds, expected)
        for ticket in list(self.line):  # so that those whose time is up before then hear of it
            self._wake(ticket)

    def _new_window(self, begins: float, expected: float = math.inf) -> None:
        self.era += 1
        self.sent = self.unheard = self.passed = 0
        self.expected, self.left, self.stated = expected, self.quota or math.inf, math.inf
        self.ends = begins + self.window if self.window and self.by_clock else None

    def _hear(self, ticket: Ticket, now: float) -> bool:
        """Count an answer; False if the request was sent before the last pause, and the answer says
        nothing about now."""
        if ticket.era == self.era and ticket.state == "sent":
            self.unheard -= 1
            # a window that begins with a request has begun now at the latest
            if self.ends is None and self.window:
                self.ends = now + self.window
        ticket.state = "heard"
        return ticket.era == self.era

    def _learn(self, limit: Limit | None) -> None:
        if limit and limit.quota and limit.window:
            self.quota, self.window = limit.quota, limit.window

    def _wake_first(self) -> None:
        for ticket in self.line[:1]:
            self._wake(ticket)

    def _wake(self, ticket: Ticket) -> None:
        try:
            (ticket.wake or bool)()
        except RuntimeError:  # it waited in an event loop that is closed by now
            self.line.remove(ticket)


class Guess:
    """How long to wait for a server that names no time, or only an estimate."""

    LONGEST = 120.0  # seconds between two probes
    FORGET = 60.0  # seconds after a pause without news, after which old trouble is history

    def __init__(self, uniform):
        self.uniform = uniform
        # when the trouble began, and what a loading model said last
        self.since = self.estimate = None
        self.helped = 0.5  # seconds that a pause needed the last time

    def pause(self, verdict: Verdict, now: float, opened: float) -> float:
        """Seconds to wait after this refusal; `opened` is when the last pause ended."""
        if self.since is None or now > opened + self.FORGET:
            self.since, self.estimate = now, None
        waited = now - self.since
        # wait it out once; one that does not shrink is a constant: look after a quarter, then
        # rarely
        if verdict.estimate:
            stuck = self.estimate is not None and verdict.estimate >= self.estimate
            self.estimate = verdict.estimate
            return max(1.0, verdict.estimate / 4, waited / 10) if stuck else verdict.estimate
        pause = waited if waited > 2 * self.helped else waited / 2 or self.helped
        return min(self.LONGEST, self.uniform(0.5, 1.0) * pause)

    def over(self, opened: float | None) -> None:
        """A request went through; `opened` is when the guessed pause ended, None if it was not a
        guess."""
        if opened is not None and self.since is not None:
            self.helped = max(0.5, opened - self.since)
        self.since = self.estimate = None
