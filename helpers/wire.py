"""The wire: the one place where a request leaves Python, and where the course steps in.

`huggingface_hub` and `openai` both send through httpx2, and every httpx2 client hands its requests to a *transport*.
While a handler is installed, requests to the service's hosts go to that handler instead of the network; all others
pass untouched. The handler decides what is to happen and answers with data:

    Answer   these bytes, at these moments            (replay, faults, the spy of the exercises)
    Forward  send this request on, and tell me after  (practice, live)

so that one handler serves sync and async clients, streaming or not.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2

HOSTS = frozenset({
    "huggingface.co",                    # the Hub: which provider serves which model
    "router.huggingface.co",             # the serverless API
    "api-inference.huggingface.co",      # its old address, switched off
    "api.endpoints.huggingface.cloud",   # control plane of the dedicated endpoints
    "v3.fal.media", "fal.media", "replicate.delivery",  # where some providers put generated images
})
ENDPOINT_SUFFIX = ".endpoints.huggingface.cloud"        # the endpoints themselves


@dataclass(slots=True)
class Answer:
    """What comes back for one request, and when.

    status, headers : as on the wire.
    chunks : [(seconds since the request was sent, bytes), …], one pair for each piece that arrived.
    headers_at : seconds until status and headers were there.
    breaks : an exception to raise after the last chunk (a dropped connection), or before anything when status is 0.
    pace : how fast to play it back: 1 as recorded, 0 at once, 2 twice as slow.
    delivered : the chunks that the client really took, filled while it reads.
    """

    status: int
    headers: Mapping[str, str]
    chunks: list[tuple[float, bytes]]
    headers_at: float = 0.0
    breaks: Exception | None = None
    pace: float = 1.0
    delivered: list[tuple[float, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class Forward:
    """Send `request` on to the network; call `done` with what came back once the client has read it.

    drain : read an answer to its end even if the client stops early, so that a recording is whole.
    """

    request: httpx2.Request
    done: Callable[[Answer], None]
    drain: bool = False


Handler = Callable[[httpx2.Request], Answer | Forward]
_handlers: list[Handler] = []


def is_service(host: str) -> bool:
    """True for the hosts of Hugging Face's inference services; only those are ever intercepted."""
    return host in HOSTS or host.endswith(ENDPOINT_SUFFIX)


def install(handler: Handler) -> None:
    """Put `handler` in front of every httpx2 client of this process, old and new. The last one installed answers."""
    _handlers.append(handler)
    httpx2.HTTPTransport.handle_request = _handle_request
    httpx2.AsyncHTTPTransport.handle_async_request = _handle_async_request


def remove(handler: Handler) -> None:
    """Take `handler` out again; without handlers httpx2 is exactly as it was. Unknown handlers are ignored."""
    if handler in _handlers:
        _handlers.remove(handler)
    if not _handlers:
        httpx2.HTTPTransport.handle_request = _send
        httpx2.AsyncHTTPTransport.handle_async_request = _async_send


def current() -> Handler | None:
    """The handler that answers now: what a handler that only *adds* trouble passes requests on to."""
    return _handlers[-1] if _handlers else None


_send = httpx2.HTTPTransport.handle_request
_async_send = httpx2.AsyncHTTPTransport.handle_async_request


def _handle_request(transport, request: httpx2.Request) -> httpx2.Response:
    if not _handlers or not is_service(request.url.host):
        return _send(transport, request)
    request.read()
    plan = _handlers[-1](request)
    if isinstance(plan, Forward):
        started = time.perf_counter()
        try:
            response = _send(transport, plan.request)
        except Exception as error:
            plan.done(Answer(0, {}, [], time.perf_counter() - started, breaks=error))
            raise
        return httpx2.Response(response.status_code, headers=response.headers, stream=_Tee(response, plan, started))
    if len(plan.chunks) == 1 and plan.breaks is None:          # an ordinary answer, all at once
        _sleep(plan.chunks[0][0] * plan.pace)
        return _whole(plan)
    started = time.perf_counter()
    _sleep(plan.headers_at * plan.pace)
    if plan.status == 0:
        raise plan.breaks
    return httpx2.Response(plan.status, headers=plan.headers, stream=_Paced(plan, started))


async def _handle_async_request(transport, request: httpx2.Request) -> httpx2.Response:
    if not _handlers or not is_service(request.url.host):
        return await _async_send(transport, request)
    await request.aread()
    plan = _handlers[-1](request)
    if isinstance(plan, Forward):
        started = time.perf_counter()
        try:
            response = await _async_send(transport, plan.request)
        except Exception as error:
            plan.done(Answer(0, {}, [], time.perf_counter() - started, breaks=error))
            raise
        return httpx2.Response(response.status_code, headers=response.headers, stream=_AsyncTee(response, plan, started))
    if len(plan.chunks) == 1 and plan.breaks is None:
        await _asleep(plan.chunks[0][0] * plan.pace)
        return _whole(plan)
    started = time.perf_counter()
    await _asleep(plan.headers_at * plan.pace)
    if plan.status == 0:
        raise plan.breaks
    return httpx2.Response(plan.status, headers=plan.headers, stream=_AsyncPaced(plan, started))


def _sleep(seconds: float) -> None:
    if seconds > 0:
        time.sleep(seconds)


async def _asleep(seconds: float) -> None:
    if seconds > 0:
        import asyncio

        await asyncio.sleep(seconds)


def _whole(plan: Answer) -> httpx2.Response:
    plan.delivered.append(plan.chunks[0])
    return httpx2.Response(plan.status, headers=plan.headers, content=plan.chunks[0][1])


class _Paced(httpx2.SyncByteStream):
    """An answer in pieces. Each piece has its moment on the clock, so delays never add up."""

    def __init__(self, plan: Answer, started: float):
        self.plan, self.started = plan, started

    def __iter__(self):
        for seconds, chunk in self.plan.chunks:
            _sleep(seconds * self.plan.pace - (time.perf_counter() - self.started))
            self.plan.delivered.append((seconds, chunk))
            yield chunk
        if self.plan.breaks is not None:
            raise self.plan.breaks


class _AsyncPaced(httpx2.AsyncByteStream):
    def __init__(self, plan: Answer, started: float):
        self.plan, self.started = plan, started

    async def __aiter__(self):
        for seconds, chunk in self.plan.chunks:
            await _asleep(seconds * self.plan.pace - (time.perf_counter() - self.started))
            self.plan.delivered.append((seconds, chunk))
            yield chunk
        if self.plan.breaks is not None:
            raise self.plan.breaks


class _Notes:
    """What both tees share: note each chunk with its moment, and tell `plan.done` exactly once."""

    def __init__(self, response: httpx2.Response, plan: Forward, started: float):
        self.response, self.plan, self.started = response, plan, started
        self.answer = Answer(response.status_code, response.headers, [], time.perf_counter() - started)
        self.told = False

    def note(self, chunk: bytes, delivered: bool = True) -> bytes:
        pair = (time.perf_counter() - self.started, chunk)
        self.answer.chunks.append(pair)
        if delivered:
            self.answer.delivered.append(pair)
        return chunk

    def tell(self) -> None:
        if not self.told:
            self.told = True
            self.plan.done(self.answer)


class _Tee(_Notes, httpx2.SyncByteStream):
    def __iter__(self):
        self.pieces = iter(self.response.stream)
        try:
            for chunk in self.pieces:
                yield self.note(chunk)
        except Exception as error:
            self.answer.breaks = error
            raise

    def close(self) -> None:
        try:
            if self.plan.drain and self.answer.breaks is None:
                for chunk in getattr(self, "pieces", self.response.stream):
                    self.note(chunk, delivered=False)
        finally:
            self.response.stream.close()
            self.tell()


class _AsyncTee(_Notes, httpx2.AsyncByteStream):
    async def __aiter__(self):
        self.pieces = aiter(self.response.stream)
        try:
            async for chunk in self.pieces:
                yield self.note(chunk)
        except Exception as error:
            self.answer.breaks = error
            raise

    async def aclose(self) -> None:
        try:
            if self.plan.drain and self.answer.breaks is None:
                async for chunk in getattr(self, "pieces", self.response.stream):
                    self.note(chunk, delivered=False)
        finally:
            await self.response.stream.aclose()
            self.tell()
