"""The wire: the one place where a request leaves Python, and where the course steps in.

`huggingface_hub` and `openai` both send through httpx2, and every httpx2 client hands its requests
to a *transport*. While a handler is installed, requests to the service's hosts go to that handler
instead of the network; all others pass untouched. The handler decides what is to happen and answers
with data:

    Answer   these bytes, at these moments            (replay, faults, the spy of the exercises)
    Forward  send this request on, and tell me after  (practice, live)

so that one handler serves sync and async clients, streaming or not.

Not intercepted: clients with a transport of their own (`httpx2.MockTransport`), and everything that
does not use httpx2 (the older `httpx`, `requests`, curl). Those go where they always went.
"""

import contextvars
import functools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2

from helpers import browser

HOSTS = frozenset(
    {
        "huggingface.co",  # the Hub: which provider serves which model
        "router.huggingface.co",  # the serverless API
        "api-inference.huggingface.co",  # its old address, switched off
        "api.endpoints.huggingface.cloud",  # control plane of the dedicated endpoints
        "endpoints.huggingface.co",  # and its catalog of tested deployments
        "fal.media",
        "replicate.delivery",  # where some providers put the pictures they make
    }
)
FAMILIES = (
    ".endpoints.huggingface.cloud",
    ".fal.media",
    ".replicate.delivery",
)  # the endpoints; more picture hosts


@dataclass(slots=True)
class Answer:
    """What comes back for one request, and when.

    status, headers : as on the wire.
    chunks : [(seconds since the request was sent, bytes), …], one pair for each piece that arrived.
    headers_at : seconds until status and headers were there.
    breaks : an exception to raise after the last chunk (a dropped connection), or before anything
        when status is 0.
    pace : how fast to play it back: 1 as recorded, 0 at once, 2 twice as slow.
    delivered : the chunks that the client really took, filled while it reads.
    """

    status: int
    headers: Mapping[str, str]
    chunks: list[tuple[float, bytes]]
    headers_at: float = 0.0
    breaks: BaseException | None = None
    pace: float = 1.0
    delivered: list[tuple[float, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class Forward:
    """Send `request` on to the network; call `done` once, with what came back as far as the client
    has read it.

    drain : read the answer to its end first, whatever the client does with it later. A recording is
        whole that way.
    direct : not through the client's own proxy and connections, but straight to the address (the
        practice server).
    """

    request: httpx2.Request
    done: Callable[[Answer], None]
    drain: bool = False
    direct: bool = False


Handler = Callable[[httpx2.Request], Answer | Forward]


def is_service(host: str) -> bool:
    """True for the hosts of Hugging Face's inference services; only those are ever intercepted."""
    return host in HOSTS or host.endswith(FAMILIES)


# ---- who answers -------------------------------------------------------------------------------

if "_lock" not in globals():  # else this module is being reloaded: who is in line stays there
    _lock = threading.RLock()
    _installed: list[Handler] = []
    _open: list["_Scope"] = []  # all that somebody is in, wherever
    _scopes: contextvars.ContextVar[tuple["_Scope", ...]] = contextvars.ContextVar(
        "scopes", default=()
    )  # those that the code which asks is in, the innermost last
    _replaced: set[str] = set()
    _theirs: dict[str, Callable] = {}  # others' own methods, to call and to put back


def install(handler: Handler) -> None:
    """Let `handler` answer for the whole process, clients old and new. The last one installed
    answers."""
    with _lock:
        _installed.append(handler)
        _settle()


def remove(handler: Handler) -> None:
    """Take `handler` out again. Unknown handlers are ignored."""
    with _lock:
        if handler in _installed:
            _installed.remove(handler)
        _settle()


def in_front(handler: Handler) -> "_Scope":
    """Inside `with in_front(handler):` it answers the code in there, its threads and its tasks, and
    nobody else."""
    return _Scope(handler)


def carried(starting: Callable | None = None) -> "_Scope":
    """Inside `with carried():` context variables go along into threads that are started, and into
    tasks given to a pool.

    starting(thread, start) : called in place of `start(thread)` when code in there starts a thread.
    """
    return _Scope(starting=starting)


def current() -> Handler | None:
    """What answers the code that asks: its innermost `in_front`, else what was installed last; None
    if nothing does."""
    line = _in_line()
    return line[-1] if line else None


def behind(handler: Handler) -> Handler | None:
    """What would answer here without `handler`: one that only adds trouble passes requests on to
    it."""
    line = _in_line()
    place = line.index(handler) if handler in line else len(line)
    return line[place - 1] if place else None


def _in_line() -> list[Handler]:
    return _installed + [scope.handler for scope in _entered() if scope.handler is not None]


def _entered() -> list["_Scope"]:
    """The scopes that the code which asks is in. One that is over may still be in the context of a
    thread it left behind."""
    return [scope for scope in _scopes.get() if scope in _open]


class _Scope:
    """What holds for the code inside a `with`, its threads and its tasks; scopes may be left in any
    order."""

    def __init__(self, handler: Handler | None = None, starting: Callable | None = None):
        self.handler, self.starting = handler, starting

    def __enter__(self) -> "_Scope":
        with _lock:
            _open.append(self)
            _settle()
        _scopes.set((*_scopes.get(), self))
        return self

    def __exit__(self, *error) -> None:
        with _lock:
            _open.remove(self)
            _settle()
        _scopes.set(tuple(scope for scope in _scopes.get() if scope is not self))


def _settle() -> None:
    """Put our methods where somebody needs them now, and theirs back where nobody does any more."""
    for needed, methods in ((_installed or _open, _SENDING), (_open, _STARTING)):
        for owner, name, ours in methods:
            if needed and name not in _replaced:
                _theirs[name] = getattr(owner, name)
                setattr(owner, name, ours)
                _replaced.add(name)
            elif not needed and name in _replaced:
                setattr(owner, name, _theirs[name])
                _replaced.remove(name)


# ---- into threads ------------------------------------------------------------------------------


def _start(thread: threading.Thread) -> None:
    """threading.Thread.start: the thread runs in a copy of the context of who starts it, if that is
    in a scope."""
    start, scopes = _theirs["start"], _entered()

    def start_in_context(thread: threading.Thread) -> None:
        context = contextvars.copy_context()
        if not hasattr(thread, "_context"):  # until Python 3.13
            thread.run = functools.partial(context.run, thread.run)
        elif thread._context is None:  # nobody gave it one of its own
            thread._context = context
        start(thread)

    special = [scope.starting for scope in scopes if scope.starting is not None]
    if special:
        special[-1](thread, start_in_context)
    elif scopes:
        start_in_context(thread)
    else:
        start(thread)


def _submit(pool: ThreadPoolExecutor, task: Callable, /, *args, **kwargs):
    """ThreadPoolExecutor.submit: the task runs in a copy of this context, whoever started the
    pool's threads."""
    context = contextvars.copy_context()
    return _theirs["submit"](pool, browser.run_in, context, task, *args, **kwargs)


# ---- the two ways in: one for sync clients, one for async ones; line by line the same ----------


def _handle_request(transport, request: httpx2.Request) -> httpx2.Response:
    handler = current()
    if handler is None or not is_service(request.url.host):
        return _theirs["handle_request"](transport, request)
    request.read()
    plan = handler(request)
    return _forward(transport, plan) if isinstance(plan, Forward) else _play(plan)


async def _handle_async_request(transport, request: httpx2.Request) -> httpx2.Response:
    handler = current()
    if handler is None or not is_service(request.url.host):
        return await _theirs["handle_async_request"](transport, request)
    await request.aread()
    plan = handler(request)
    return await (
        _async_forward(transport, plan) if isinstance(plan, Forward) else _async_play(plan)
    )


_SENDING = (
    (httpx2.HTTPTransport, "handle_request", _handle_request),
    (httpx2.AsyncHTTPTransport, "handle_async_request", _handle_async_request),
)
_STARTING = ((threading.Thread, "start", _start), (ThreadPoolExecutor, "submit", _submit))


# ---- Answer: play it back ----------------------------------------------------------------------


def _play(plan: Answer) -> httpx2.Response:
    started = time.perf_counter()
    if _is_whole(plan):
        _sleep_until(plan, plan.chunks[0][0], started)
        return _whole(plan)
    _sleep_until(plan, plan.headers_at, started)
    if plan.status == 0:
        raise plan.breaks
    return httpx2.Response(plan.status, headers=plan.headers, stream=_Played(plan, started))


async def _async_play(plan: Answer) -> httpx2.Response:
    started = time.perf_counter()
    if _is_whole(plan):
        await _async_sleep_until(plan, plan.chunks[0][0], started)
        return _whole(plan)
    await _async_sleep_until(plan, plan.headers_at, started)
    if plan.status == 0:
        raise plan.breaks
    return httpx2.Response(plan.status, headers=plan.headers, stream=_AsyncPlayed(plan, started))


def _is_whole(plan: Answer) -> bool:
    return len(plan.chunks) == 1 and plan.breaks is None


def _whole(plan: Answer) -> httpx2.Response:
    plan.delivered.append(plan.chunks[0])
    body = plan.chunks[0][1]
    headers = {"content-length": str(len(body)), **plan.headers}
    return httpx2.Response(plan.status, headers=headers, stream=httpx2.ByteStream(body))


def _sleep_until(plan: Answer, moment: float, started: float) -> None:
    """Wait for a moment of the recording. Counted from the request each time, so that delays never
    add up."""
    if plan.pace and (rest := moment * plan.pace - (time.perf_counter() - started)) > 0:
        time.sleep(rest)


async def _async_sleep_until(plan: Answer, moment: float, started: float) -> None:
    if plan.pace and (rest := moment * plan.pace - (time.perf_counter() - started)) > 0:
        import asyncio

        await asyncio.sleep(rest)


class _Played(httpx2.SyncByteStream):
    """An answer in pieces, each at its moment, once: openai reads a stream again after [DONE] to be
    sure that it is over."""

    def __init__(self, plan: Answer, started: float):
        self.plan, self.started, self.pieces = plan, started, iter(plan.chunks)

    def __iter__(self):
        for moment, chunk in self.pieces:
            _sleep_until(self.plan, moment, self.started)
            self.plan.delivered.append((moment, chunk))
            yield chunk
        if self.plan.breaks is not None:
            raise self.plan.breaks


class _AsyncPlayed(_Played, httpx2.AsyncByteStream):
    async def __aiter__(self):
        for moment, chunk in self.pieces:
            await _async_sleep_until(self.plan, moment, self.started)
            self.plan.delivered.append((moment, chunk))
            yield chunk
        if self.plan.breaks is not None:
            raise self.plan.breaks


# ---- Forward: send it on, and note what comes back and when ------------------------------------


def _forward(transport, plan: Forward) -> httpx2.Response:
    started = time.perf_counter()
    own = httpx2.HTTPTransport(**_straight(plan)) if plan.direct else None
    try:
        response = _theirs["handle_request"](own or transport, plan.request)
    except BaseException as error:
        if own:
            own.close()
        plan.done(Answer(0, {}, [], time.perf_counter() - started, breaks=error))
        raise browser.explained(error, plan.request)
    tee = _Tee(plan, response, started, own)
    if not plan.drain:
        return httpx2.Response(
            response.status_code,
            headers=tee.answer.headers,
            stream=tee,
            extensions=response.extensions,
        )
    try:
        for _ in tee:
            pass
    except httpx2.HTTPError:
        pass  # noted in the answer, and raised again when the client gets there
    finally:
        tee.close()
    return _play(_from_the_start(tee.answer))


async def _async_forward(transport, plan: Forward) -> httpx2.Response:
    started = time.perf_counter()
    own = httpx2.AsyncHTTPTransport(**_straight(plan)) if plan.direct else None
    try:
        response = await _theirs["handle_async_request"](own or transport, plan.request)
    except BaseException as error:
        if own:
            await own.aclose()
        plan.done(Answer(0, {}, [], time.perf_counter() - started, breaks=error))
        raise browser.explained(error, plan.request)
    tee = _AsyncTee(plan, response, started, own)
    if not plan.drain:
        return httpx2.Response(
            response.status_code,
            headers=tee.answer.headers,
            stream=tee,
            extensions=response.extensions,
        )
    try:
        async for _ in tee:
            pass
    except httpx2.HTTPError:
        pass
    finally:
        await tee.aclose()
    return await _async_play(_from_the_start(tee.answer))


def _straight(plan: Forward) -> dict:
    return {"trust_env": False, "verify": plan.request.url.scheme == "https"}


def _from_the_start(answer: Answer) -> Answer:
    answer.pace = 0.0
    answer.delivered.clear()
    return answer


class _Tee(httpx2.SyncByteStream):
    """Hands each piece to the client and notes it with its moment. Notes hold what the client
    reads: decompressed."""

    def __init__(self, plan: Forward, response: httpx2.Response, started: float, own=None):
        self.plan, self.response, self.started, self.own, self.told = (
            plan,
            response,
            started,
            own,
            False,
        )
        self.pieces = self.unpacked()
        headers = response.headers.copy()
        if headers.pop("content-encoding", None):
            headers.pop("content-length", None)
        self.answer = Answer(response.status_code, headers, [], time.perf_counter() - started)

    def unpacked(self):
        return self.response.iter_bytes()

    def note(self, chunk: bytes) -> bytes:
        pair = (time.perf_counter() - self.started, chunk)
        self.answer.chunks.append(pair)
        self.answer.delivered.append(pair)
        return chunk

    def tell(self) -> None:
        if not self.told:
            self.told = True
            self.plan.done(self.answer)

    def __iter__(self):
        try:
            for chunk in self.pieces:
                yield self.note(chunk)
        except Exception as error:
            self.answer.breaks = error
            raise

    def close(self) -> None:
        try:
            self.response.close()
            if self.own:
                self.own.close()
        finally:
            self.tell()


class _AsyncTee(_Tee, httpx2.AsyncByteStream):
    def unpacked(self):
        return self.response.aiter_bytes()

    async def __aiter__(self):
        try:
            async for chunk in self.pieces:
                yield self.note(chunk)
        except Exception as error:
            self.answer.breaks = error
            raise

    async def aclose(self) -> None:
        try:
            await self.response.aclose()
            if self.own:
                await self.own.aclose()
        finally:
            self.tell()
