"""The fault lab's troubles over a real socket: middleware around the practice server, or any other
ASGI app.

    app = Faults(create_app(), Trouble(rate_limit=FixedWindow(20, 2), seed=1))

Decisions, statuses, headers and bodies are those of helpers.faults; only the carrying out is
different, because here a connection is a connection. Two faults have no twin on this side of a
socket: a connection that is refused is reset instead, and an answer that never comes ends with the
client's patience, or after HANG seconds.
"""

import asyncio
import json
import socket
import struct
import time
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders

from helpers import sse
from helpers.faults import IN_STREAM, Ruling, Trouble

HANG = 30.0  # seconds: nothing in this course hangs for ever
LARGEST = 10 * 2**20  # bytes of a request's body that are read to decide about it


@dataclass
class Seen:
    """One request as the server saw it: seconds since the first one, the status it got (0: none
    yet), and what was done to it."""

    at: float
    status: int
    note: str


class Faults:
    """Passes requests on to `app`, through `trouble`, which can be exchanged at any time. `seen`
    lists what came.

    Only requests that do work (POST) are troubled. Works under uvicorn, whose transport it needs to
    break connections.
    """

    def __init__(self, app, trouble: Trouble | None = None, clock=time.monotonic):
        self.app, self.trouble, self.clock = app, trouble or Trouble(), clock
        self.seen: list[Seen] = []
        self._began: float | None = None

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body, again = await _read(receive)
        now = self.clock()
        self._began = now if self._began is None else self._began
        ruling = self.trouble.rule(
            now - self._began,
            time.time(),
            stream=bool(body.get("stream")),
            model=str(body.get("model", "")),
            patience=_seconds(Headers(scope=scope).get("x-scale-up-timeout")),
        )
        seen = Seen(now - self._began, ruling.status or 0, ruling.note)
        self.seen.append(seen)
        if ruling.status is None:
            await asyncio.sleep(ruling.held)
            await self.app(scope, again, _Send(send, receive, ruling, seen, now, self.clock))
        else:
            await _refuse(ruling, receive, send)


async def _read(receive) -> tuple[dict, object]:
    """The JSON body, and a `receive` that tells the application the same once more."""
    messages, raw = [], b""
    while len(raw) < LARGEST:
        messages.append(await receive())
        raw += messages[-1].get("body", b"")
        if not messages[-1].get("more_body"):
            break

    async def again():
        return messages.pop(0) if messages else await receive()

    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    return body if isinstance(body, dict) else {}, again


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


async def _refuse(ruling: Ruling, receive, send) -> None:
    if ruling.breaks == "timeout":
        await _until_it_leaves(receive, HANG)
    if not ruling.status:
        await _hang_up(receive, reset=True)
        return
    await asyncio.sleep(ruling.seconds)
    content = json.dumps(ruling.body).encode()
    headers = {**ruling.headers, "content-length": str(len(content))}
    await send(
        {
            "type": "http.response.start",
            "status": ruling.status,
            "headers": [(n.encode(), v.encode()) for n, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def _until_it_leaves(receive, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass


async def _hang_up(receive, reset: bool = False) -> None:
    """Close the connection as it is: with a reset, or after what was sent so far has arrived."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError(
            "breaking a connection needs uvicorn, with Faults as the outermost application"
        )
    if reset and not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        transport.abort()
    else:
        transport.close()
    await _until_it_leaves(receive, 1.0)


class _Send:
    """`send` for a request that passes: later, with the limits' headers, and for a stream only as
    far as it is to go."""

    def __init__(self, send, receive, ruling: Ruling, seen: Seen, began: float, clock):
        self.send, self.receive, self.ruling, self.seen, self.began, self.clock = (
            send,
            receive,
            ruling,
            seen,
            began,
            clock,
        )
        self.events, self.rest, self.over = 0, b"", False
        self.after = ruling.drop_after if ruling.drop_after is not None else ruling.error_after

    async def __call__(self, message) -> None:
        if self.over:
            return  # the application goes on for a moment; nobody is there any more
        if message["type"] == "http.response.start":
            self.seen.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self.ruling.headers.items():
                headers[name] = value
            if self.ruling.latency is not None:
                await asyncio.sleep(
                    self.ruling.held + self.ruling.latency - (self.clock() - self.began)
                )
            if self.after == 0:
                await self.send(message)
                await self._end()
                return
        elif self.after is not None and self.seen.status == 200:
            *events, self.rest = sse.split(self.rest + message.get("body", b""))
            for event in events:
                await self.send({"type": "http.response.body", "body": event, "more_body": True})
                self.events += 1
                if self.events >= self.after:
                    await self._end()
                    return
            message = {**message, "body": b"" if message.get("more_body") else self.rest}
        await self.send(message)

    async def _end(self) -> None:
        self.over = True
        if self.ruling.drop_after is None:
            error = f"data: {json.dumps(IN_STREAM)}\n\n".encode()
            await self.send({"type": "http.response.body", "body": error})
        else:
            await asyncio.sleep(0.01)  # what was sent goes out first
            await _hang_up(self.receive)
