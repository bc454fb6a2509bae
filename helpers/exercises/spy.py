"""A stand-in for the service that answers at once, notes every request, and fails when it is told
to.

    with spy() as service:                          answers everything, with words nobody can know
    with spy(error(429, retry_after=2)) as service: refuses the first request, answers the others
        text = service.call(ask, client, "…")       run the learner's function
        service.sent.last.json                      what it sent
        service.said                                the texts that were given as answers

No network and no recording is needed. It stands in for this check alone, its threads and its tasks:
a cell that is running, an outage around it or a second check never meets it.
"""

import contextlib
import contextvars
import functools
import os
import threading
from collections.abc import Callable, Iterator

import httpx2

from helpers import wire
from helpers.exercises.running import NotYet, Raised, Replaced, Run, Stop  # noqa: F401 (for the checks)
from helpers.exercises.service import (  # noqa: F401 (for the checks)
    Step,
    answer,
    broken,
    error,
    picture,
    reply,
    route,
    vector,
    words,
)
from helpers.log import Entry, Log
from helpers.tokens import PLACEHOLDER
from helpers.wire import Plan

# Headers of the client that a check hands over; `Spy.strangers` counts the requests that came
# through another one.
GIVEN = {"x-course-client": "given"}


class Spy:
    """What `with spy() as service` gives. See the module's first lines.

    sent, lookups : Logs of the requests that do work (POST, PUT, DELETE) and of the GETs.
    headers : the request headers of each row of `sent`, without the token.
    said : the texts given as answers, in order. slept : the seconds the function wanted to wait, in
        order.
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
        self.timeouts: list[float | None] = []  # seconds a client waits for data; None: for ever
        self.said: list[str] = []
        self.slept: list[float] = []
        self.printed = ""
        self.leaked = False
        self.strangers = 0
        self.token = os.environ.get("HF_TOKEN") or PLACEHOLDER
        self.caches: dict[str, Callable] = {}
        self._lock = threading.Lock()

    # -- requests (called by helpers.wire) --

    def __call__(self, request: httpx2.Request) -> Plan:
        with self._lock:
            self.leaked |= self.token.encode() in request.content or self.token in str(request.url)
            log = self.lookups if request.method == "GET" else self.sent
            # huggingface_hub's own look-ups carry no headers of ours.
            looks_up = request.method == "GET" and request.url.path != "/v1/models"
            self.strangers += not looks_up and not GIVEN.items() <= dict(request.headers).items()
            asked = request.method, str(request.url), request.content
            entry = Entry(len(log) + 1, *asked, "check", answered_by="spy", seconds=0.0)
            log.entries.append(entry)
            if request.method != "GET":
                headers = dict(request.headers)
                headers.pop("authorization", None)
                self.headers.append(headers)
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
        """What the function returns; see Run.call. Raises Raised if it raised, NotYet if it would
        not end."""
        run = Run(self.seconds, self.slept)
        try:
            return run.call(function, *args, whole=whole, **kwargs)
        finally:
            self.printed += run.printed


@contextlib.contextmanager
def spy(
    *script: Step,
    limit: int = 40,
    seconds: float = 5.0,
    routes: Callable[[Entry], Step | None] | None = None,
) -> Iterator[Spy]:
    """Answer every request to the service in this block. `script` says what happens to the first
    requests, in order.

    limit : how many requests a function may send. seconds : how long it may work, or do nothing.
    routes : is asked about every request that the script leaves over, GETs too; None means "as
        usual".
    """
    service = Spy(script, limit, seconds, routes)
    before = _asked.set(service)
    try:
        with _apart_while_open, wire.in_front(service):
            yield service
    finally:
        _asked.reset(before)


# ---- huggingface_hub keeps the Hub's answers for the life of the process -----------------------

_asked: contextvars.ContextVar[Spy | None] = contextvars.ContextVar("spy", default=None)


def _look_ups() -> Iterator[tuple]:
    """Each spy has a cache of look-ups of its own: its answers must not reach a cell that is
    running, nor the cell's the spy."""
    from huggingface_hub.inference import _providers
    from huggingface_hub.inference._providers import _common, hf_inference

    mapping = _apart(_common._fetch_inference_provider_mapping)
    yield _common, "_fetch_inference_provider_mapping", mapping
    yield _providers, "_fetch_inference_provider_mapping", mapping
    for name in ("_check_supported_task", "_fetch_recommended_models"):
        yield hf_inference, name, _apart(getattr(hf_inference, name))


_apart_while_open = Replaced(_look_ups)


def _apart(theirs: Callable) -> Callable:
    @functools.wraps(theirs)
    def look_up(*args):
        service = _asked.get()
        if service is None:
            return theirs(*args)
        anew = functools.lru_cache(maxsize=None)(theirs.__wrapped__)
        return service.caches.setdefault(theirs.__name__, anew)(*args)

    return look_up
