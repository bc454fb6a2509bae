"""The wire: the one place where a request leaves Python, and where the course steps in.

`huggingface_hub` and `openai` both send through httpx2, and every httpx2 client hands its requests to a *transport*.
While a handler is installed, requests to the service's hosts go to that handler instead of the network; all others
pass untouched. The handler decides what is to happen and answers with data:

    Answer   these bytes, at these moments            (replay, faults, the spy of the exercises)
    Forward  send this request on, and tell me after  (practice, live)

so that one handler serves sync and async clients, streaming or not.

Not intercepted: clients with a transport of their own (`httpx2.MockTransport`), and everything that does not use
httpx2 (the older `httpx`, `requests`, curl). Those go where they always went.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2

from helpers.browser import packages as fetched

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
    breaks : an exception to raise after the last chunk (a dropped connection), or before anything when status is 0.
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
    """Send `request` on to the network; call `done` once, with what came back as far as the client has read it.

    drain : read the answer to its end first, whatever the client does with it later. A recording is whole that way.
    direct : not through the client's own proxy and connections, but straight to the address (the practice server).
    """

    request: httpx2.Request
    done: Callable[[Answer], None]
    drain: bool = False
    direct: bool = False


Handler = Callable[[httpx2.Request], Answer | Forward]
_handlers: list[Handler] = []

_send = httpx2.HTTPTransport.handle_request  # httpx2's own methods, kept to be put back
_async_send = httpx2.AsyncHTTPTransport.handle_async_request


def is_service(host: str) -> bool:
    """True for the hosts of Hugging Face's inference services; only those are ever intercepted."""
    return host in HOSTS or host.endswith(FAMILIES)


def install(handler: Handler) -> None:
    """Put `handler` in front of every httpx2 client of this process, old and new. The last one installed answers."""
    global _send, _async_send
    if not _handlers:
        _send, _async_send = (
            httpx2.HTTPTransport.handle_request,
            httpx2.AsyncHTTPTransport.handle_async_request,
        )
        httpx2.HTTPTransport.handle_request = _handle_request
        httpx2.AsyncHTTPTransport.handle_async_request = _handle_async_request
    _handlers.append(handler)


def remove(handler: Handler) -> None:
    """Take `handler` out again; without handlers httpx2 is exactly as it was. Unknown handlers are ignored."""
    if handler not in _handlers:
        return
    _handlers.remove(handler)
    if not _handlers:
        httpx2.HTTPTransport.handle_request = _send
        httpx2.AsyncHTTPTransport.handle_async_request = _async_send


def current() -> Handler | None:
    """The handler that answers now: what a handler that only *adds* trouble passes requests on to."""
    return _handlers[-1] if _handlers else None


# ---- the two ways in: one for sync clients, one for async ones; line by line the same ----------------------------


def _handle_request(transport, request: httpx2.Request) -> httpx2.Response:
    handler = current()
    if handler is None or not is_service(request.url.host):
        return _send(transport, request)
    request.read()
    plan = handler(request)
    return _play(plan) if isinstance(plan, Answer) else _forward(transport, plan)


async def _handle_async_request(transport, request: httpx2.Request) -> httpx2.Response:
    handler = current()
    if handler is None or not is_service(request.url.host):
        return await _async_send(transport, request)
    await request.aread()
    plan = handler(request)
    return (
        await _async_play(plan)
        if isinstance(plan, Answer)
        else await _async_forward(transport, plan)
    )


# ---- Answer: play it back ----------------------------------------------------------------------------------------


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
    """Wait for a moment of the recording. Counted from the request each time, so that delays never add up."""
    if plan.pace and (rest := moment * plan.pace - (time.perf_counter() - started)) > 0:
        time.sleep(rest)


async def _async_sleep_until(plan: Answer, moment: float, started: float) -> None:
    if plan.pace and (rest := moment * plan.pace - (time.perf_counter() - started)) > 0:
        import asyncio

        await asyncio.sleep(rest)


class _Played(httpx2.SyncByteStream):
    """An answer in pieces, each at its moment, once: openai reads a stream again after [DONE] to be sure that it is over."""

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


# ---- Forward: send it on, and note what comes back and when ------------------------------------------------------


def _forward(transport, plan: Forward) -> httpx2.Response:
    started = time.perf_counter()
    own = httpx2.HTTPTransport(**_straight(plan)) if plan.direct else None
    try:
        response = _send(own or transport, plan.request)
    except BaseException as error:
        if own:
            own.close()
        plan.done(Answer(0, {}, [], time.perf_counter() - started, breaks=error))
        raise _explained(error, plan.request)
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
        response = await _async_send(own or transport, plan.request)
    except BaseException as error:
        if own:
            await own.aclose()
        plan.done(Answer(0, {}, [], time.perf_counter() - started, breaks=error))
        raise _explained(error, plan.request)
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


def _explained(error: BaseException, request: httpx2.Request) -> BaseException:
    """The error itself; in a browser tab, whose "Failed to fetch" explains nothing, one that says what it means."""
    if sys.platform == "emscripten" and isinstance(error, httpx2.ConnectError):
        return httpx2.ConnectError(fetched.refused(request.url.host), request=request)
    return error


def _straight(plan: Forward) -> dict:
    return {"trust_env": False, "verify": plan.request.url.scheme == "https"}


def _from_the_start(answer: Answer) -> Answer:
    answer.pace = 0.0
    answer.delivered.clear()
    return answer


class _Tee(httpx2.SyncByteStream):
    """Hands each piece to the client and notes it with its moment. Notes hold what the client reads: decompressed."""

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
