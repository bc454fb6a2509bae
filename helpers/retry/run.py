"""Steps 3 to 7 together: one call on its way. What happened so far and what comes next; still no
sleeping, no sending."""

import contextvars
import logging
import math
import time
from typing import NamedTuple

from .errors import NotSent, classify
from .gate import Ticket
from .waits import backoff

log = logging.getLogger("helpers.retry")
# whose request this thread or task is sending
current = contextvars.ContextVar("ticket", default=None)


class Wait(NamedTuple):
    """One wait, as `on_wait` gets it. `until` is seconds since 1970; `request` how many requests
    were sent before it."""

    kind: str
    seconds: float
    until: float
    request: int
    status: int | None


class Run:
    """One call. `turn()` until it is 0, send, then `ok()` or `again(error)`, at last `close()`.

    The policy does this with real waits, a simulation in virtual time.
    """

    def __init__(self, policy):
        self.policy, self.gate, self.ticket = policy, policy.gate, Ticket()
        self.started = self.not_before = policy.clock()
        self.deadline = self.started + policy.timeout
        self.requests = self.failures = self.refusals = 0
        self.error = self.verdict = None
        self.story, self.announced, self.speaks = [], -math.inf, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def turn(self) -> float:
        """0.0: send the request now. Else seconds to wait before asking again (`math.inf`: until
        `ticket.wake` is called).

        Raises the last error, or NotSent if there was none, if the wait does not fit.
        """
        now = self.policy.clock()
        seconds = self.not_before - now
        if seconds <= 0:
            seconds = self.gate.reserve(self.ticket)
        if seconds <= 0:
            self.requests += 1
            current.set(self.ticket)
            return 0.0
        if problem := self._does_not_fit(seconds, now):
            if self.error:
                raise self._gave_up(self.error, problem)
            raise NotSent(
                f"the request was not sent: {problem} (another service or model needs a"
                " RetryPolicy of its own)"
            )
        # Not if it said "until woken" and another thread has closed the gate since: the next turn
        # hears of that.
        if (
            seconds < math.inf
            and self.not_before <= now < self.gate.opens
            and self.gate.opens > self.announced + 0.05
        ):
            self.announced = self.gate.opens
            self._announce(self.gate.reason, seconds, self.gate.first_to_tell())
        return seconds

    def ok(self, answer=None):
        """The answer is in, or the first chunk of it. Returns it."""
        self.error = None
        self.gate.ok(self.ticket)
        self.policy.budget.ok()
        return answer

    def again(self, error: Exception, partial: list | None = None) -> bool:
        """Whether it makes sense to try again; if so, `turn` says when. If not, `error` has got a
        note that says why.

        partial : the chunks that a stream handed over before it broke.
        """
        policy, now = self.policy, self.policy.clock()
        self.error, self.verdict, problem = error, classify(error), ""
        kind, status, wait, estimate, _ = self.verdict
        if kind == "transient" and status == 503 and policy.wait_for_model:
            kind, estimate = "loading", policy.cap
        if partial:
            error.partial = partial
            problem = (
                f"the stream broke after {len(partial)} chunks (see .partial), and a new one would"
                " deliver them again"
            )
        elif kind in ("throttled", "loading"):
            self.refusals += kind == "throttled"
            # a guess is no reason to give up
            estimate = estimate and min(estimate, policy.max_wait)
            self.gate.throttled(self.ticket, self.verdict._replace(kind=kind, estimate=estimate))
            problem = self._does_not_fit(self.gate.opens - now, now)
            if self.refusals >= policy.refusals:
                problem = f"refused {self.refusals} times"
        elif kind == "fatal" or (kind == "timeout" and not policy.retry_timeouts):
            problem = "trying again does not help against this error"
        else:
            self.failures += 1
            pause = backoff(self.failures, policy.base, policy.cap, policy.uniform)
            pause = max(wait or 0.0, pause)
            self.not_before = now + pause
            problem = self._does_not_fit(pause, now)
            if self.failures >= policy.attempts:
                problem = f"{self.failures} attempts failed"
            elif not problem and not policy.budget.take(2 if kind == "timeout" else 1):
                problem = "the retry budget of all calls is used up, the service seems to be down"
            if not problem:
                self._announce(kind, pause, speaks=True)
        self.gate.release(self.ticket)
        # an error raised at once needs no story
        if problem and (partial or kind != "fatal" or self.requests > 1):
            self._gave_up(error, problem)
        return not problem

    def close(self) -> None:
        """Leave the gate. Always call it, whatever happened."""
        self.gate.release(self.ticket)
        self.error = None  # else exception and traceback would keep each other alive through this

    def _does_not_fit(self, seconds: float, now: float) -> str:
        left = self.deadline - now
        if seconds == math.inf:
            late = f"{self.policy.timeout:g} s in line behind calls that are not answered"
            return "" if left > 0 else late
        if seconds > self.policy.max_wait + self.gate.SPREAD:
            return f"it needs a wait of {seconds:.1f} s, and max_wait is {self.policy.max_wait:g} s"
        if seconds > left:
            return (
                f"it needs a wait of {seconds:.1f} s, and {max(left, 0.0):.1f} s are left of"
                f" timeout={self.policy.timeout:g} s"
            )
        return ""

    def _gave_up(self, error: Exception, problem: str) -> Exception:
        error.retry_story = tuple(self.story)
        error.add_note(
            f"gave up after {self.requests} request{'s' * (self.requests != 1)} and"
            f" {self.policy.clock() - self.started:.1f} s: {problem}; waited:"
            f" {', '.join(self.story) or 'nothing'}"
        )
        return error

    def _announce(self, kind: str, seconds: float, speaks: bool) -> None:
        """Each wait of each call goes into its story and to `on_wait`; of a pause for all, one call
        `speaks`."""
        status = self.verdict.status if self.verdict else None
        at, self.speaks = time.time() + seconds, speaks
        self.story.append(f"{seconds:.1f} s ({kind}{f', {status}' if status else ''})")
        level = logging.INFO if speaks else logging.DEBUG
        until = time.strftime("%H:%M:%S", time.localtime(at))
        said = "%s: waiting %.1f s, until %s, after request %d of this call"
        log.log(level, said, kind, seconds, until, self.requests)
        if self.policy.on_wait:
            self.policy.on_wait(Wait(kind, seconds, at, self.requests, status))
