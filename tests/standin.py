"""A stand-in for the service on this machine: fixed answers over a real socket, with every trouble
a test asks for.

The prompt says what is to happen: "gzip", "fail" (500), "break" (the connection is lost in the
middle of the answer), "slow" (a stream with gaps of 0.05 s), "echo" (the answer repeats what was
sent, headers too), "picture".
"""

import asyncio
import gzip
import json
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from helpers.replay.recorder import Recorder
from helpers.wire import Plan

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WORDS = ["Un", " café", " 🌍", "."]
GAP = 0.05


def chat(text: str, model: str = "stand-in/model") -> dict:
    """A chat completion as the service writes it."""
    return {
        "id": f"chatcmpl-{time.time_ns()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    }


def events(words=WORDS, model: str = "stand-in/model") -> list[bytes]:
    """A chat completion's stream, one event a word, then the usage, then [DONE]."""
    head = {
        "id": f"chatcmpl-{time.time_ns()}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }
    said = [
        head
        | {
            "choices": [
                {"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}
            ]
        }
        for word in words
    ]
    said.append(
        head
        | {
            "choices": [],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": len(words),
                "total_tokens": 10 + len(words),
            },
        }
    )
    return [f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode() for event in said] + [
        b"data: [DONE]\n\n"
    ]


def whole(content, status=200, seconds=0.5, kind="application/json", **headers) -> Plan:
    """An answer in one piece, as the wire plays it: `content` as it is, or as JSON."""
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Plan(status, {"content-type": kind} | headers, [(seconds, content)], seconds / 2)


def stream(pieces: list[bytes] | None = None, kind="text/event-stream", **more) -> Plan:
    """An answer in pieces, by default the events of a chat completion."""
    chunks = [(0.2 + n / 20, piece) for n, piece in enumerate(pieces or events())]
    return Plan(200, {"content-type": kind}, chunks, 0.1, **more)


def record(path: Path, *calls, by: str = "small model") -> Path:
    """Record calls, (method, url, content, Plan) each, as `make record` does, and put the recording
    in place."""
    recorder = Recorder(path)
    for number, call in enumerate(calls, 1):
        recorder.add(number, *call, {"model": by})
    recorder.new.replace(path)
    return path


def create_app() -> Starlette:
    """The application; `app.state.seen` lists (method, host, path, headers, body) of every
    request."""

    async def completions(request: Request) -> Response:
        body = await request.json()
        said = body["messages"][-1]["content"]
        headers = {
            "x-answered-by": "stand-in/model",
            "x-answered-weights": "none",
            "x-request-id": f"Root=1-{time.time_ns()}",
            "set-cookie": "session=abc",
            "x-unheard-of": "yes",
        }
        if "fail" in said:
            return JSONResponse({"error": {"message": "the model fell over"}}, 500, headers)
        if "leak in a header" in said:
            return JSONResponse(
                chat("fine"), headers=headers | {"x-request-id": said.rsplit(" ", 1)[1]}
            )
        if "leak in pieces" in said:
            token = said.rsplit(" ", 1)[1]
            return StreamingResponse(
                _drip(events([token[:6], token[6:]]), 0, False),
                media_type="text/event-stream",
                headers=headers,
            )
        if body.get("stream"):
            gap = GAP if "slow" in said else 0
            return StreamingResponse(
                _drip(events(), gap, "break" in said),
                media_type="text/event-stream",
                headers=headers,
            )
        if "break" in said:
            return StreamingResponse(
                _drip([b'{"id": ', b'"x"'], 0, True), media_type="application/json", headers=headers
            )
        answer = chat(
            (
                said + " " + json.dumps(dict(request.headers))
                if "echo" in said
                else f"You said: {said}"
            ),
            body["model"],
        )
        if "gzip" in said:
            content = gzip.compress(json.dumps(answer).encode())
            return Response(
                content,
                media_type="application/json",
                headers=headers | {"content-encoding": "gzip"},
            )
        return JSONResponse(answer, headers=headers)

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        mapping = {"hf-inference": {"status": "live", "providerId": name, "task": "text-to-image"}}
        return JSONResponse(
            {
                "_id": "1",
                "id": name,
                "pipeline_tag": "text-to-image",
                "tags": [],
                "inferenceProviderMapping": mapping,
                "createdAt": "2024-01-01T00:00:00.000Z",
            },
            headers={"ratelimit": f'"api";r={len(request.app.state.seen)};t=60'},
        )

    async def picture(request: Request) -> Response:
        return Response(
            PICTURE, media_type="image/png", headers={"x-answered-by": "stand-in/picture"}
        )

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", completions, methods=["POST"]),
            Route("/api/models/{name:path}", model),
            Route("/hf-inference/models/{name:path}", picture, methods=["POST"]),
            Route("/health", health),
        ]
    )
    app.state.seen = []
    inner = app.router

    async def noting(scope, receive, send):
        if scope["type"] == "http":
            request = Request(scope)
            app.state.seen.append(
                (request.method, request.headers["host"], request.url.path, dict(request.headers))
            )
        await inner(scope, receive, send)

    app.router = noting
    return app


def in_time(measure, limit: float = 0.02, tries: int = 6) -> None:
    """Assert that `measure()`, pairs of (moment, moment it should be), stays within `limit`
    seconds.

    A busy machine may wake a sleeper late, so it is enough that one of several tries is in time
    throughout.
    """
    late = []
    for _ in range(tries):
        late.append(max(abs(was - meant) for was, meant in measure()))
        if late[-1] < limit:
            return
    raise AssertionError(f"always later than {limit} s: {[round(seconds, 3) for seconds in late]}")


async def _drip(pieces: list[bytes], gap: float, breaks: bool):
    for number, piece in enumerate(pieces):
        if breaks and number == 1:
            raise ConnectionAbortedError("the stand-in hangs up, as it was asked to")
        yield piece
        await asyncio.sleep(gap)


@contextmanager
def serve(app, **tls):
    """Run an ASGI app on a free port of 127.0.0.1; yields the port. `tls` goes to uvicorn:
    ssl_certfile, ssl_keyfile."""
    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", **tls))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until = time.monotonic() + 120
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until, "the stand-in did not start"
        time.sleep(0.005)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(10)
