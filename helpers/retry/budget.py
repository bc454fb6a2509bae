"""Step 6: when to stop? A purse that all calls pay their retries from (Google SRE book, "Handling
Overload")."""

import math
import threading

from .gate import now


class RetryBudget:
    """How many retries all calls together may spend: `capacity` at first, and `refill` for each
    success.

    When a service is down, N calls send N + capacity requests in all instead of N * attempts. After
    `rest` seconds in which nobody wanted one it is full again, so that a notebook left alone starts
    afresh.
    """

    def __init__(
        self, capacity: float = 10.0, refill: float = 0.1, rest: float = 300.0, *, clock=now
    ):
        self.capacity, self.refill, self.rest, self.clock = capacity, refill, rest, clock
        self.tokens, self.asked, self.lock = capacity, -math.inf, threading.Lock()

    def take(self, cost: float = 1.0) -> bool:
        """Pay for one retry; False if there is not enough left."""
        with self.lock:
            before, self.asked = self.asked, self.clock()
            if self.asked - before > self.rest:
                self.tokens = self.capacity
            paid = self.tokens >= cost
            self.tokens -= cost if paid else 0.0
            return paid

    def ok(self) -> None:
        """A call succeeded."""
        with self.lock:
            self.tokens = min(self.capacity, self.tokens + self.refill)
