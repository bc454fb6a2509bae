"""A stand-in for the service that answers at once, notes every request, and fails when told to.

    with spy() as service:                          answers everything, with words nobody can know
    with spy(error(429, retry_after=2)) as service: refuses the first request, answers the others
        text = service.call(ask, client, "…")       run the learner's function
        service.sent.last.json                      what it sent
        service.said                                the texts that were given as answers

It answers the code inside the `with`, its threads and its tasks, and nobody else, and needs no
recording. Waiting is noted in `service.slept`, not done; the function's clocks go on by it.
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
from helpers.exercises.running import Run, Stop
from helpers.exercises.service import Step, error, route
from helpers.log import Entry, Log
from helpers.wire import Plan
from helpers.wire.replaced import Replaced

# Headers of the client that a check hands over; `Spy.strangers` counts the requests that came
# through another one.
GIVEN = {"x-course-client": "given"}


class Spy:
    """What `with spy() as service` gives.

    sent, lookups : Logs of the requests that do work (POST, PUT, DELETE) and of the GETs.
    headers : the request headers of each row of `sent`, without the token.
    timeouts : how many seconds each of them waits for data; None: for ever.
    strangers : how many came without the headers GIVEN, from a client that the function built.
    said : the texts given as answers, in order.
    slept : the seconds the function wanted to wait, in order. looks : which clocks its own code
        has read, "monotonic", "time" or "perf_counter".
    printed : what the function printed. token : the token that clients find.
    leaked : was that token in a URL or a body (the logs themselves never hold one).
    """

    def __init__(
        self,
        *script: Step,
        limit: int = 40,
        seconds: float = 5.0,
        routes: Callable[[Entry], Step | None] = lambda entry: None,
    ):
        self.script, self.limit, self.seconds, self.routes = list(script), limit, seconds, routes
        self.sent, self.lookups = Log(), Log()
        self.headers: list[dict[str, str]] = []
        self.timeouts: list[float | None] = []
        self.strangers, self.leaked, self.printed = 0, False, ""
        self.said: list[str] = []
        self.slept: list[float] = []
        self.looks: list[str] = []
        self.token = get_token() or tokens.PLACEHOLDER
        self.memories: dict[Callable, Callable] = {}  # its own, of what huggingface_hub looks up
        self._lock = threading.Lock()

    # -- requests (called by helpers.wire) --

    def __call__(self, request: httpx2.Request) -> Plan:
        with self._lock:
            entry = self._note(request)
            step = self.script.pop(0) if self.script and request.method != "GET" else _usual
        try:
            plan = step(self, entry)
        except (KeyError, TypeError, AttributeError, ValueError):  # a body of the wrong shape
            plan = error(422)(self, entry)
        return entry.play(plan)

    def _note(self, request: httpx2.Request) -> Entry:
        looks_up, url = request.method == "GET", str(request.url)
        rows = (self.lookups if looks_up else self.sent).entries
        asked = (len(rows) + 1, request.method, url, request.content)
        rows.append(Entry(*asked, "check", answered_by="spy", seconds=0.0))
        self.leaked |= self.token.encode() in request.content or self.token in url
        # huggingface_hub's own GETs carry no headers of ours.
        if request.url.path == "/v1/models" or not looks_up:
            self.strangers += not GIVEN.items() <= dict(request.headers).items()
        if not looks_up:
            headers = dict(request.headers)
            headers.pop("authorization", None)
            self.headers.append(headers)
            self.timeouts.append((request.extensions.get("timeout") or {}).get("read"))
        if len(self.sent) > self.limit:
            raise Stop(
                f"Your function had sent {self.limit} requests and wanted to send more. A loop"
                " around a request needs an end."
            )
        return rows[-1]

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


def _usual(service: Spy, entry: Entry) -> Plan:
    return (service.routes(entry) or route(entry))(service, entry)


@contextlib.contextmanager
def spy(*script: Step, **settings) -> Iterator[Spy]:
    """Answer every request to the service in this block. `script` says what happens to the first
    requests, in order.

    limit : how many requests a function may send (40).
    seconds : how long it may compute, or stand still (5).
    routes : is asked about every request that the script leaves over, GETs too, for a step; None
        means "as usual".
    """
    service = Spy(*script, **settings)
    with _memories, wire.in_front(service):
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


def _by_who_asks(cached: Callable) -> Callable:
    @functools.wraps(cached)
    def look_up(*args, **kwargs):
        service, ask = _here.get(), cached
        if service:
            ask = service.memories.setdefault(cached, functools.cache(cached.__wrapped__))
        return ask(*args, **kwargs)

    look_up.cache_clear = cached.cache_clear
    return look_up


_memories = Replaced(lambda: [(*function, _by_who_asks) for function in REMEMBERING])
