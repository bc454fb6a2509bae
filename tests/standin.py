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

from helpers.exercises.chat_format import chat_body, chat_events, counted, stream_of
from helpers.replay.recorder import Recorder
from helpers.wire import Plan

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WORDS = ["Un", " café", " 🌍", "."]
GAP = 0.05


def chat(text: str, model: str = "stand-in/model") -> dict:
    """A chat completion as the service writes it."""
    return chat_body(text, model, usage=counted(10, 4))


def events(words=WORDS, model: str = "stand-in/model") -> list[bytes]:
    """A chat completion's stream, one event a word, then the usage, then [DONE]."""
    said = [{"role": "assistant", "content": word} for word in words]
    return stream_of(chat_events(said, model, finish=None, usage=counted(10, len(words))))


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
    """The application; `app.state.seen`: (method, host, path, headers, body) of each request."""

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

        def drip(pieces, kind="text/event-stream", gap=0.0, breaks=False) -> Response:
            return StreamingResponse(_drip(pieces, gap, breaks), media_type=kind, headers=headers)

        token = said.rsplit(" ", 1)[-1]
        if "fail" in said:
            return JSONResponse({"error": {"message": "the model fell over"}}, 500, headers)
        if "leak in a header" in said:
            return JSONResponse(chat("fine"), headers=headers | {"x-request-id": token})
        if "leak in pieces" in said:
            return drip(events([token[:6], token[6:]]))
        if body.get("stream"):
            return drip(events(), gap=GAP if "slow" in said else 0.0, breaks="break" in said)
        if "break" in said:
            return drip([b'{"id": ', b'"x"'], "application/json", breaks=True)
        echo = f"{said} {json.dumps(dict(request.headers))}"
        answer = chat(echo if "echo" in said else f"You said: {said}", body["model"])
        if "gzip" in said:
            zipped = headers | {"content-encoding": "gzip", "content-type": "application/json"}
            return Response(gzip.compress(json.dumps(answer).encode()), headers=zipped)
        return JSONResponse(answer, headers=headers)

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        mapping = {"hf-inference": {"status": "live", "providerId": name, "task": "text-to-image"}}
        known = {"_id": "1", "id": name, "pipeline_tag": "text-to-image", "tags": []}
        known["createdAt"] = "2024-01-01T00:00:00.000Z"
        left = {"ratelimit": f'"api";r={len(request.app.state.seen)};t=60'}
        return JSONResponse(known | {"inferenceProviderMapping": mapping}, headers=left)

    async def picture(request: Request) -> Response:
        who = {"x-answered-by": "stand-in/picture"}
        return Response(PICTURE, media_type="image/png", headers=who)

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
