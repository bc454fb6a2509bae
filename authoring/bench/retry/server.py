"""The service in trouble behind a socket, for both clients: `POST /<name>/v1/chat/completions`,
streaming or not.

Each name has rules and counters of its own, so strategies that run side by side don't disturb each
other's quota.
"""

import asyncio
import contextlib
import json
import logging
import socket
import sys
import threading
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authoring.bench.retry.world import Rules, Service
from helpers.exercises.chat_format import chat_events, stream_of

WORDS = ["Wait", " and", " try", " again", "."]
DELTAS = [{"role": "assistant", "content": word} for word in WORDS]
STREAM = stream_of(chat_events(DELTAS, "m", finish=None))


class Broken(Response):
    """An answer that ends before it is whole: the client sees a connection that was closed."""

    async def __call__(self, scope, receive, send):
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]}
        )


class Events(Response):
    """The words as server-sent events; closed without an end after `breaks_after` of them."""

    def __init__(self, headers, breaks_after):
        self.extra, self.breaks_after = headers, breaks_after

    async def __call__(self, scope, receive, send):
        headers = [(k.lower().encode(), v.encode()) for k, v in self.extra.items()] + [
            (b"content-type", b"text/event-stream")
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in STREAM[: self.breaks_after]:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        if self.breaks_after is None:
            await send({"type": "http.response.body", "body": b""})


class Trouble:
    """The application. `services` maps a name to a `Service` (or anything with `arrive(now)`);
    `seen` keeps what came.

    A service's clock starts with the first request to its name.
    """

    def __init__(self, services: dict):
        self.services, self.start = services, {}
        self.seen: dict[str, list[tuple[float, int]]] = {name: [] for name in services}
        routes = [
            Route("/{name}/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/{name}/seen", lambda r: JSONResponse(self.seen[r.path_params["name"]])),
        ]
        self.app = Starlette(routes=routes)

    async def chat(self, request: Request) -> Response:
        name = request.path_params["name"]
        now = time.monotonic() - self.start.setdefault(name, time.monotonic())
        reply = self.services[name].arrive(now)
        self.seen[name].append((now, reply.status))
        body = await request.json()
        await asyncio.sleep(reply.seconds)
        if reply.status == 0:
            return Broken()
        if reply.status == 200 and body.get("stream"):
            return Events(reply.headers, reply.breaks_after)
        return JSONResponse(reply.body, reply.status, reply.headers)


@contextlib.contextmanager
def serve(services: dict):
    """The application on a free port of this machine, in a thread: `with serve({"a": Service(…)})
    as (url, trouble)`."""
    trouble = Trouble(services)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        server = make_server(trouble.app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", trouble
        finally:
            server.should_exit = True
            thread.join(10)


def make_server(app) -> uvicorn.Server:
    logging.getLogger("uvicorn.error").setLevel(
        logging.CRITICAL
    )  # broken answers are meant to be broken
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=512,
    )
    return uvicorn.Server(config)


def main(rules: str) -> None:
    """`python -m authoring.bench.retry.server '{"name": {"quota": 20, …}, …}'`: says its port,
    serves until killed."""
    services = {name: Service(Rules(**settings)) for name, settings in json.loads(rules).items()}
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(listener.getsockname()[1], flush=True)
        make_server(Trouble(services).app).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
