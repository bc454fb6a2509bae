"""Drive helpers.retry through a service in trouble in virtual time: hours of it in a second, the
same on every run.

The program is the same as over a socket: workers take calls from a list, one after another, and
each call goes through `Run.turn`, a request, and `Run.ok` or `Run.again`. Only the clock is a
number.
"""

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field

import httpx2

from authoring.bench.retry.world import Rules, Service
from helpers.retry import Run, parse_ratelimit

URL = "https://router.huggingface.co/v1/chat/completions"


class StatusError(Exception):
    """An error with a response, like the ones of both clients."""

    def __init__(self, reply):
        super().__init__(f"status {reply.status}")
        self.response = httpx2.Response(reply.status, headers=reply.headers, json=reply.body)


@dataclass
class Result:
    """What a simulated run did. Times in virtual seconds since its start."""

    answered: int = 0
    failed: list[Exception] = field(default_factory=list)
    sent: list[tuple[float, int]] = field(default_factory=list)  # (moment, status) of each request
    seconds: list[float] = field(default_factory=list)  # of each answered call
    ended: list[float] = field(default_factory=list)  # of each failed call: seconds since its start
    early: list[str] = field(default_factory=list)  # requests sent sooner than the server had asked
    wall: float = 0.0
    under_way: int = 0  # most requests at one time


class Simulation:
    """`calls` calls by `workers` workers, each with the policy that `policy(clock, uniform)` makes,
    `watch`ed or not.

    network : seconds that a request and an answer are under way, each drawn from U(0, 2 * network).
    """

    def __init__(
        self, rules: Rules, policy, *, calls: int, workers: int, watch=False, network=0.002, seed=0
    ):
        self.now, self.events, self.order = 0.0, [], itertools.count()
        self.random = random.Random(seed)
        self.service, self.watch, self.network = Service(rules), watch, network
        self.policy = policy(lambda: self.now, self.random.uniform)
        self.todo, self.result = iter(range(calls)), Result()
        self.flying, self.asked_until = 0, 0.0
        for _ in range(workers):
            self.at(0.0, self.next_call)

    def at(self, when, what, *args):
        heapq.heappush(self.events, (when, next(self.order), what, args))

    def run(self, limit: int = 2_000_000) -> Result:
        for _ in range(limit):
            if not self.events:
                assert not self.policy.gate.line and not self.policy.gate.flying, (
                    "somebody still waits at the gate"
                )
                return self.result
            self.now, _, what, args = heapq.heappop(self.events)
            what(*args)
        raise AssertionError(f"not finished after {limit} events, at {self.now:.1f} s")

    def next_call(self):
        if next(self.todo, None) is not None:
            call = Call(self)
            call.turn()


class Call:
    def __init__(self, sim: Simulation):
        self.sim, self.started, self.run, self.waiting = sim, sim.now, Run(sim.policy), None
        self.run.ticket.wake = self.woken

    def woken(self):
        self.waiting = None
        self.sim.at(self.sim.now, self.turn_if_waiting, token := object())
        self.waiting = token

    def turn_if_waiting(self, token):
        if self.waiting is token:
            self.turn()

    def turn(self):
        sim, self.waiting = self.sim, None
        try:
            seconds = self.run.turn()
        except Exception as error:
            return self.over(error)
        if seconds == 0:
            if sim.now < sim.asked_until - 1e-9:
                sim.result.early.append(
                    f"sent at {sim.now:.3f}, the server had said {sim.asked_until:.3f}"
                )
            sim.flying += 1
            sim.result.under_way = max(sim.result.under_way, sim.flying)
            sim.at(sim.now + sim.random.uniform(0, 2 * sim.network), self.arrive)
        else:
            self.waiting = object()
            if (until := min(sim.now + seconds, self.run.deadline)) < math.inf:
                sim.at(until, self.turn_if_waiting, self.waiting)

    def arrive(self):
        reply = self.sim.service.arrive(self.sim.now)
        self.sim.result.sent.append((self.sim.now, reply.status))
        self.sim.at(
            self.sim.now + reply.seconds + self.sim.random.uniform(0, 2 * self.sim.network),
            self.answer,
            reply,
        )

    def answer(self, reply):
        sim = self.sim
        sim.flying -= 1
        if sim.watch and reply.status:
            self.run.ticket.limit = parse_ratelimit(reply.headers)
        if reply.status == 200:
            self.run.ok()
            return self.over(None)
        if reply.asked is not None:
            sim.asked_until = max(sim.asked_until, sim.now + reply.asked)
        error = httpx2.ReadError("reset") if reply.status == 0 else StatusError(reply)
        if self.run.again(error):
            self.turn()
        else:
            self.over(error)

    def over(self, error):
        sim, self.waiting = self.sim, None
        self.run.close()
        if error is None:
            sim.result.answered += 1
            sim.result.seconds.append(sim.now - self.started)
        else:
            sim.result.failed.append(error)
            sim.result.ended.append(sim.now - self.started)
        sim.result.wall = sim.now
        sim.next_call()
