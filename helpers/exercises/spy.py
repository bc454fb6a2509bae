"""A stand-in for the service that answers at once, notes every request, and fails when told to.

    with spy() as service:                          answers everything, with words nobody can know
    with spy(error(429, retry_after=2)) as service: refuses the first request, answers the others
        text = service.call(ask, client, "…")       run the learner's function
        service.sent.last.json                      what it sent
        service.said                                the texts that were given as answers

It answers the code inside the `with`, its threads and its tasks, and nobody else. No network and no
recording is needed. Waiting is noted in `service.slept`, not done; the function's clocks go on by
it.
"""

import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator

import httpx2
from huggingface_hub import get_token
from huggingface_hub.inference._providers import _common, hf_inference

from helpers import tokens, wire
from helpers.exercises.running import NotYet, Raised, Run, Stop
from helpers.exercises.service import Step, error, picture, route, vector
from helpers.log import Entry, Log
from helpers.wire import Plan

__all__ = ["GIVEN", "NotYet", "Raised", "Spy", "picture", "spy", "vector"]

# Headers of the client that a check hands over; `Spy.strangers` counts the requests that came
# through another one.
GIVEN = {"x-course-client": "given"}


class Spy:
    """What `with spy() as service` gives. See the module's first lines.

    sent, lookups : Logs of the requests that do work (POST, PUT, DELETE) and of the GETs.
    headers : the request headers of each row of `sent`, without the token.
    said : the texts given as answers, in order.
    slept : the seconds the function wanted to wait, in order. looks : which clocks its own code
        has read, "monotonic", "time" or "perf_counter".
    printed : what the function printed. token : the token that clients find.
    leaked : was that token in a URL or a body (the logs themselves never hold one).
    strangers : how many requests came without the headers GIVEN, from a client that the function
        built itself.
    """

    def __init__(
        self,
        script: tuple[Step, ...] = (),
        limit: int = 40,
        seconds: float = 5.0,
        routes: Callable[[Entry], Step | None] | None = None,
    ):
        self.script, self.limit, self.seconds, self.routes = list(script), limit, seconds, routes
        self.sent, self.lookups = Log(), Log()
        self.headers: list[dict[str, str]] = []
        self.timeouts: list[
            float | None
        ] = []  # how many seconds each client waits for data; None: for ever
        self.said: list[str] = []
        self.slept: list[float] = []
        self.printed = ""
        self.leaked = False
        self.strangers = 0
        self.looks: list[str] = []
        self.token = get_token() or tokens.PLACEHOLDER
        self._memories: dict[Callable, Callable] = {}
        self._lock = threading.Lock()

    # -- requests (called by helpers.wire) --

    def __call__(self, request: httpx2.Request) -> Plan:
        with self._lock:
            self.leaked |= self.token.encode() in request.content or self.token in str(request.url)
            log = self.lookups if request.method == "GET" else self.sent
            looks_up = (
                request.method == "GET" and request.url.path != "/v1/models"
            )  # huggingface_hub's own GETs carry no headers of ours
            self.strangers += not looks_up and not GIVEN.items() <= dict(request.headers).items()
            entry = Entry(
                len(log) + 1,
                request.method,
                str(request.url),
                request.content,
                "check",
                answered_by="spy",
                seconds=0.0,
            )
            log.entries.append(entry)
            if request.method != "GET":
                self.headers.append(
                    {k: v for k, v in request.headers.items() if k != "authorization"}
                )
                self.timeouts.append((request.extensions.get("timeout") or {}).get("read"))
            if len(self.sent) > self.limit:
                raise Stop(
                    f"Your function had sent {self.limit} requests and wanted to send more. A loop"
                    " around a request needs an end."
                )
            step = self.script.pop(0) if self.script and request.method != "GET" else self._usual
        try:
            plan = step(self, entry)
        except (KeyError, TypeError, AttributeError, ValueError):  # a body of the wrong shape
            plan = error(422)(self, entry)
        return entry.play(plan)

    def _usual(self, service: "Spy", entry: Entry) -> Plan:
        own = self.routes and self.routes(entry)
        return (own or route(entry))(service, entry)

    # -- the learner's function --

    def call(self, function: Callable, *args, whole: bool = False, **kwargs):
        """What `function(*args, **kwargs)` returns; a generator comes back as the list of its
        pieces, a coroutine is awaited.

        whole : leave generators and coroutines as they are.
        Raises Raised if it raised, NotYet if it would not end.
        """
        run = Run(function, self.seconds, self.slept, self.looks)
        try:
            return run(*args, whole=whole, **kwargs)
        finally:
            self.printed += run.printed

    def look_up(self, cached: Callable, *args, **kwargs):
        """What a function of huggingface_hub with a memory answers, with a memory of our own."""
        if cached not in self._memories:
            self._memories[cached] = functools.cache(cached.__wrapped__)
        return self._memories[cached](*args, **kwargs)


@contextlib.contextmanager
def spy(
    *script: Step,
    limit: int = 40,
    seconds: float = 5.0,
    routes: Callable[[Entry], Step | None] | None = None,
) -> Iterator[Spy]:
    """Answer every request to the service in this block. `script` says what happens to the first
    requests, in order.

    limit : how many requests a function may send. seconds : how long it may compute, or stand
        still.
    routes : is asked about every request that the script leaves over, GETs too; None means "as
        usual".
    """
    service = Spy(script, limit, seconds, routes)
    with _own_memories(), wire.in_front(service):
        before = _here.set(service)
        try:
            yield service
        finally:
            _here.reset(before)


# ---- huggingface_hub's memory ------------------------------------------------------------------

# It keeps the Hub's answers for the life of the process: what the spy says about a model must not
# reach a running cell that way, nor what the Hub says the spy.
REMEMBERING = (
    (_common, "_fetch_inference_provider_mapping"),
    (hf_inference, "_check_supported_task"),
    (hf_inference, "_fetch_recommended_models"),
)
_here: contextvars.ContextVar[Spy | None] = contextvars.ContextVar("spy", default=None)
_lock = threading.Lock()
_spies = 0
_theirs: list[Callable] = []


@contextlib.contextmanager
def _own_memories() -> Iterator[None]:
    """While a spy is open, look-ups inside it have a memory of their own."""
    global _spies
    with _lock:
        if not _spies:
            _theirs[:] = [getattr(module, name) for module, name in REMEMBERING]
            for (module, name), cached in zip(REMEMBERING, _theirs, strict=True):
                setattr(module, name, _by_who_asks(cached))
        _spies += 1
    try:
        yield
    finally:
        with _lock:
            _spies -= 1
            if not _spies:
                for (module, name), cached in zip(REMEMBERING, _theirs, strict=True):
                    setattr(module, name, cached)


def _by_who_asks(cached: Callable) -> Callable:
    @functools.wraps(cached)
    def look_up(*args, **kwargs):
        service = _here.get()
        ask = functools.partial(service.look_up, cached) if service is not None else cached
        return ask(*args, **kwargs)

    look_up.cache_clear = cached.cache_clear
    return look_up
