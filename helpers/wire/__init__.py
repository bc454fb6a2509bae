"""The wire: the one place where a request leaves Python, and where the course steps in.

`huggingface_hub` and `openai` both send through httpx2, and every httpx2 client hands its requests
to a *transport*. While a handler is installed, requests to the service's hosts go to that handler
instead of the network; all others pass untouched. The handler decides what is to happen and answers
with data:

    Plan     these bytes, at these moments            (replay, faults, the spy of the exercises)
    Forward  send this request on, and tell me after  (practice, live)

so that one handler serves sync and async clients, streaming or not. Both stand in plans.py, and who
answers whom in scopes.py.

Not intercepted: clients with a transport of their own (`httpx2.MockTransport`), and everything that
does not use httpx2 (the older `httpx`, `requests`, curl). Those go where they always went.
"""

import asyncio
import contextlib
import os
import re
import time
from dataclasses import replace

import httpx2

from helpers import browser
from helpers.wire import scopes
from helpers.wire.plans import Forward, Handler, Piece, Plan  # noqa: F401 (asked for here)
from helpers.wire.scopes import (  # noqa: F401 (wire.install and so on)
    behind,
    carried,
    current,
    in_front,
    install,
    remove,
    watching,
)

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
# The endpoints themselves; more hosts of pictures.
FAMILIES = (".endpoints.huggingface.cloud", ".fal.media", ".replicate.delivery")
# Where HF_ENDPOINT led at first: there a client still turns that was built before start().
MIRROR = re.sub("^.*://|[:/].*", "", os.environ.get("HF_ENDPOINT", "").lower())


def is_service(host: str) -> bool:
    """True for the hosts of Hugging Face's inference services; only those are ever intercepted."""
    mirrored = host == MIRROR and host not in ("", "localhost", "127.0.0.1")  # never this machine
    return host in HOSTS or host.endswith(FAMILIES) or mirrored


# ---- the two ways in: one for sync clients, one for async ones; line by line the same ----------


def _handle_request(transport, request: httpx2.Request) -> httpx2.Response:
    handler = current()
    if handler is None or not is_service(request.url.host):
        return scopes.theirs["handle_request"](transport, request)
    request.read()
    plan = handler(request)
    return _forward(transport, plan) if isinstance(plan, Forward) else _play(plan)


async def _handle_async_request(transport, request: httpx2.Request) -> httpx2.Response:
    handler = current()
    if handler is None or not is_service(request.url.host):
        return await scopes.theirs["handle_async_request"](transport, request)
    await request.aread()
    plan = handler(request)
    return await (
        _async_forward(transport, plan) if isinstance(plan, Forward) else _async_play(plan)
    )


scopes.sending = (
    (httpx2.HTTPTransport, "handle_request", _handle_request),
    (httpx2.AsyncHTTPTransport, "handle_async_request", _handle_async_request),
)


# ---- Plan: play it -----------------------------------------------------------------------------


def _play(plan: Plan) -> httpx2.Response:
    played = _Played(plan)
    if (rest := played.until(plan.first)) > 0:
        time.sleep(rest)
    return played.opened()


async def _async_play(plan: Plan) -> httpx2.Response:
    played = _AsyncPlayed(plan)
    if (rest := played.until(plan.first)) > 0:
        await asyncio.sleep(rest)
    return played.opened()


class _Played(httpx2.SyncByteStream):
    """A plan while it is played: each piece at its moment, and once. openai reads a stream again
    after [DONE], to be sure that it is over."""

    def __init__(self, plan: Plan):
        self.plan, self.started, self.pieces = plan, time.perf_counter(), iter(plan.chunks)

    def until(self, moment: float) -> float:
        """Seconds to wait for it. Counted from the request, so that delays never add up."""
        return moment * self.plan.pace - (time.perf_counter() - self.started)

    def opened(self) -> httpx2.Response:
        plan = self.plan
        if plan.status == 0:
            raise plan.breaks
        if not plan.is_whole:
            return httpx2.Response(plan.status, headers=plan.headers, stream=self)
        body = self.take(plan.chunks[0])
        headers = {"content-length": str(len(body)), **plan.headers}
        return httpx2.Response(plan.status, headers=headers, stream=httpx2.ByteStream(body))

    def take(self, piece: Piece) -> bytes:
        if self.plan.taken is not None:
            self.plan.taken(piece)
        return piece[1]

    def __iter__(self):
        for piece in self.pieces:
            if (rest := self.until(piece[0])) > 0:
                time.sleep(rest)
            yield self.take(piece)
        if self.plan.breaks is not None:
            raise self.plan.breaks


class _AsyncPlayed(_Played, httpx2.AsyncByteStream):
    async def __aiter__(self):
        for piece in self.pieces:
            if (rest := self.until(piece[0])) > 0:
                await asyncio.sleep(rest)
            yield self.take(piece)
        if self.plan.breaks is not None:
            raise self.plan.breaks


# ---- Forward: send it on, and note what comes back and when ------------------------------------


def _forward(transport, forward: Forward) -> httpx2.Response:
    with forward.apart():
        tee = _Tee(forward, httpx2.HTTPTransport)
        try:
            send = scopes.theirs["handle_request"]
            response = send(tee.own or transport, forward.request)
            tee.begin(response, response.iter_bytes())
        except BaseException as error:
            tee.plan = Plan(0, {}, [], tee.now(), error)
            tee.close()
            raise browser.explained(error, forward.request)
    if not forward.drain:
        return tee.passed_on()
    with contextlib.closing(tee):
        with contextlib.suppress(httpx2.HTTPError):  # noted, and raised when it is played
            for _ in tee:
                pass
    return _play(replace(tee.plan, pace=0.0, taken=forward.taken))


async def _async_forward(transport, forward: Forward) -> httpx2.Response:
    with forward.apart():
        tee = _AsyncTee(forward, httpx2.AsyncHTTPTransport)
        try:
            send = scopes.theirs["handle_async_request"]
            response = await send(tee.own or transport, forward.request)
            tee.begin(response, response.aiter_bytes())
        except BaseException as error:
            tee.plan = Plan(0, {}, [], tee.now(), error)
            await tee.aclose()
            raise browser.explained(error, forward.request)
    if not forward.drain:
        return tee.passed_on()
    async with contextlib.aclosing(tee):
        with contextlib.suppress(httpx2.HTTPError):  # noted, and raised when it is played
            async for _ in tee:
                pass
    return await _async_play(replace(tee.plan, pace=0.0, taken=forward.taken))


class _Tee(httpx2.SyncByteStream):
    """Hands each piece to the client and notes it with its moment: what the client reads,
    decompressed. `plan` would play again what has come so far."""

    def __init__(self, forward: Forward, transport: type):
        self.forward, self.started, self.told = forward, time.perf_counter(), False
        straight = {"trust_env": False, "verify": forward.request.url.scheme == "https"}
        self.own = transport(**straight) if forward.direct else None
        self.response, self.plan = None, Plan(0, {}, [])

    def now(self) -> float:
        return time.perf_counter() - self.started

    def begin(self, response: httpx2.Response, pieces) -> None:
        headers = response.headers.copy()
        if headers.pop("content-encoding", None):
            headers.pop("content-length", None)
        self.plan = Plan(response.status_code, headers, [], self.now())
        self.response, self.pieces = response, pieces

    def passed_on(self) -> httpx2.Response:
        plan, more = self.plan, self.response.extensions
        return httpx2.Response(plan.status, headers=plan.headers, stream=self, extensions=more)

    def note(self, chunk: bytes) -> bytes:
        piece = (self.now(), chunk)
        self.plan.chunks.append(piece)
        if self.forward.taken is not None and not self.forward.drain:
            self.forward.taken(piece)
        return chunk

    def tell(self) -> None:
        if not self.told:
            self.told = True
            self.forward.done(self.plan)

    def next(self) -> bytes:
        """What comes next; nothing at the end."""
        with self.forward.apart():
            chunk = next(self.pieces, b"")
            return chunk and self.note(chunk)

    def __iter__(self):
        try:
            while chunk := self.next():
                yield chunk
        except Exception as error:
            self.plan = replace(self.plan, breaks=error)
            raise

    def close(self) -> None:
        try:
            for opened in filter(None, (self.response, self.own)):
                opened.close()
        finally:
            self.tell()


class _AsyncTee(_Tee, httpx2.AsyncByteStream):
    async def anext(self) -> bytes:
        with self.forward.apart():
            chunk = await anext(self.pieces, b"")
            return chunk and self.note(chunk)

    async def __aiter__(self):
        try:
            while chunk := await self.anext():
                yield chunk
        except Exception as error:
            self.plan = replace(self.plan, breaks=error)
            raise

    async def aclose(self) -> None:
        try:
            for opened in filter(None, (self.response, self.own)):
                await opened.aclose()
        finally:
            self.tell()
