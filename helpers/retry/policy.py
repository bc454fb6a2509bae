"""All together: the settings, and the ways to use them. The only part that waits and calls."""

import contextlib
import functools
import math
import random
import threading
import time

from .budget import RetryBudget
from .clients import listen_to, warn_if_retried_inside, warn_of_two_layers
from .countdown import Countdown, in_real_time
from .gate import RateGate, now
from .run import Run


class RetryPolicy:
    """call, acall, stream, astream, and as a decorator. One policy stands for one quota: share it.

    attempts=6 : requests for one call that fail with a transient error. With one failure in twenty,
        six in a row are one call in 64 million; the waits between them are 8 s together on average.
        Refusals (429) and cold starts do not count: the server said when to come back.
    refusals=18 : but a call that is refused so often is given up.
    timeout=600.0 : seconds for one call, all waits included, because the Hub's window is 300 s.
        A wait that does not fit is not begun. It does not cut off a request that is under way;
        the client's own timeout does (give it one: InferenceClient has none).
    max_wait=330.0 : longest single wait in seconds; a window of 300 s and 10 %. More is asked for
        by daily limits.
    base=0.5, cap=20.0 : seconds, see `backoff`; what AWS and Google use.
    max_concurrency=8 : see `RateGate`.
    retry_timeouts=True : False where doing the work twice is worse than not knowing.
    wait_for_model=False : True for an endpoint that scales to zero: a 503 that says nothing is a
        cold start, no outage.
    gate, budget : share them between policies; by default each policy has its own.
    on_wait : called with a `Wait` before each wait.
    clock, sleep, uniform : for tests and simulations. With a `sleep` of your own nothing is shown
        in notebooks.
    """

    def __init__(
        self,
        *,
        attempts: int = 6,
        refusals: int = 18,
        timeout: float | None = 600.0,
        max_wait: float = 330.0,
        base: float = 0.5,
        cap: float = 20.0,
        max_concurrency: int = 8,
        retry_timeouts: bool = True,
        wait_for_model: bool = False,
        gate: RateGate | None = None,
        budget: RetryBudget | None = None,
        on_wait=None,
        clock=now,
        sleep=None,
        uniform=random.uniform,
    ):
        if attempts < 1:
            raise ValueError(
                f"attempts must be at least 1, not {attempts}: it counts requests, and the first"
                " one is one too"
            )
        if timeout is not None and timeout <= 0:
            raise ValueError(
                f"timeout must be more than 0 seconds, or None for no limit; not {timeout}"
            )
        self.attempts, self.refusals, self.base, self.cap = attempts, refusals, base, cap
        self.timeout, self.max_wait = timeout or math.inf, max_wait
        self.retry_timeouts, self.wait_for_model = retry_timeouts, wait_for_model
        self.gate = gate or RateGate(max_concurrency, clock=clock, uniform=uniform)
        self.budget = budget or RetryBudget(clock=clock)
        self.on_wait, self.clock, self.sleep, self.uniform = on_wait, clock, sleep, uniform

    def call(self, func, /, *args, **kwargs):
        """`func(*args, **kwargs)`, again if that helps. Raises what the last try raised, with a
        note that tells the story."""
        warn_of_two_layers(func)
        with Run(self) as run:
            while True:
                self._wait(run)
                try:
                    return run.ok(func(*args, **kwargs))
                except Exception as error:
                    if not self._again(run, error):
                        raise

    async def acall(self, func, /, *args, **kwargs):
        """`await func(*args, **kwargs)`, like `call`. Other tasks run while it waits; cancelling
        ends a wait at once."""
        warn_of_two_layers(func)
        with Run(self) as run:
            while True:
                await self._await(run)
                try:
                    return run.ok(await func(*args, **kwargs))
                except Exception as error:
                    if not self._again(run, error):
                        raise

    def stream(self, func, /, *args, **kwargs):
        """The chunks of `func(*args, **kwargs)`, an iterator. Tries again only until the first
        chunk was handed over.

        After that an error is raised as it is, because a second try would deliver words twice; what
        had arrived is in its attribute `partial`, a list of chunks.
        """
        warn_of_two_layers(func)
        with Run(self) as run:
            got = []
            while True:
                self._wait(run)
                chunks = None
                try:
                    chunks = func(*args, **kwargs)
                    for chunk in chunks:
                        got.append(chunk if got else run.ok(chunk))
                        yield chunk
                    return
                except Exception as error:
                    if not self._again(run, error, got):
                        raise
                finally:
                    if hasattr(chunks, "close"):
                        chunks.close()

    async def astream(self, func, /, *args, **kwargs):
        """Like `stream`, for a function that returns an async iterator or a coroutine for one."""
        warn_of_two_layers(func)
        with Run(self) as run:
            got = []
            while True:
                await self._await(run)
                chunks = None
                try:
                    chunks = func(*args, **kwargs)
                    chunks = await chunks if hasattr(chunks, "__await__") else chunks
                    async for chunk in chunks:
                        got.append(chunk if got else run.ok(chunk))
                        yield chunk
                    return
                except Exception as error:
                    if not self._again(run, error, got):
                        raise
                finally:  # an async generator has aclose(), openai's stream has close()
                    close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
                    if close and hasattr(closing := close(), "__await__"):
                        await closing

    def __call__(self, func):
        """As a decorator, `@policy`: each kind of function keeps its kind."""
        import inspect  # here, like asyncio below: scripts that do without should not pay for it

        if inspect.isasyncgenfunction(func):

            async def wrapper(*args, **kwargs):
                chunks = self.astream(func, *args, **kwargs)
                try:
                    async for chunk in chunks:
                        yield chunk
                finally:
                    await chunks.aclose()

        elif inspect.iscoroutinefunction(func):

            async def wrapper(*args, **kwargs):
                return await self.acall(func, *args, **kwargs)

        elif inspect.isgeneratorfunction(func):

            def wrapper(*args, **kwargs):
                yield from self.stream(func, *args, **kwargs)

        else:

            def wrapper(*args, **kwargs):
                return self.call(func, *args, **kwargs)

        return functools.wraps(func)(wrapper)

    def watch(self, client):
        """Learn from every answer that `client` gets for this policy, not only from refusals.
        Returns `client`.

        `client` is an OpenAI, an InferenceClient (which sends through a session that all of
        huggingface_hub shares), their async twins, or an httpx2 or httpx client. With it the gate
        closes before the first refusal. Raises TypeError for a client that nobody can listen to.
        """
        listen_to(client)
        return client

    def _again(self, run: Run, error: Exception, partial: list | None = None) -> bool:
        warn_if_retried_inside(error)
        return run.again(error, partial)

    def _wait(self, run: Run) -> None:
        if run.turn() == 0:
            return
        bell = threading.Event()
        run.ticket.wake = bell.set  # and ask again, so that nothing is missed in between
        sleep = self.sleep or (None if in_real_time() else time.sleep)  # no bell rings there
        with Countdown(run) as countdown:
            while (seconds := run.turn()) > 0:
                if sleep and seconds < math.inf:
                    sleep(seconds)
                else:
                    countdown.show(seconds)
                    bell.wait(self._slice(run, seconds))
                    bell.clear()

    async def _await(self, run: Run) -> None:
        if run.turn() == 0:
            return
        import asyncio

        bell, loop = asyncio.Event(), asyncio.get_running_loop()
        run.ticket.wake = functools.partial(loop.call_soon_threadsafe, bell.set)
        with Countdown(run) as countdown:
            while (seconds := run.turn()) > 0:
                if self.sleep and seconds < math.inf:
                    self.sleep(seconds)
                    await asyncio.sleep(0)
                else:
                    countdown.show(seconds)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(bell.wait(), self._slice(run, seconds))
                    bell.clear()

    def _slice(self, run: Run, seconds: float) -> float:
        """Real waits are cut into seconds, for Ctrl-C on Windows and for a notebook's countdown."""
        longest = 1.0 if in_real_time() else 3600.0
        return max(0.0, min(seconds, longest, run.deadline - self.clock()))


async def gather_limited(policy: RetryPolicy, calls) -> list:
    """Like asyncio.gather, but with only as many tasks as the policy's gate lets through. Results
    in the order of `calls`.

    calls : functions without arguments that return something to await; may be a generator.
        Functions, not coroutines: a coroutine cannot be started a second time (TypeError).

    The first call that fails for good cancels the others, and its exception is raised.
    """
    import asyncio

    todo, results = enumerate(calls), {}

    async def work():
        for index, call in todo:
            if not callable(call):
                raise TypeError(
                    f"call {index} is {type(call).__name__}; give functions, such as "
                    "lambda: client.chat_completion(…), because a coroutine cannot be started twice"
                )
            results[index] = await policy.acall(call)

    tasks = [asyncio.ensure_future(work()) for _ in range(policy.gate.slots)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [results[index] for index in sorted(results)]
