"""The class's server: takes learners' requests, asks the service once for what is asked alike, and
keeps to its limits."""

import asyncio
import hashlib
import ipaddress
import logging
import time
from collections import Counter, OrderedDict, defaultdict
from contextlib import aclosing, asynccontextmanager

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from helpers.replay.recorder import KEEP
from helpers.replay.recording import key
from helpers.retry import RetryPolicy
from helpers.tokens import mask
from helpers.wire import is_service

from .kept import Answer, Hider, Shelf
from .rules import ASKING, MEANING, ROUTER, Plan, Refused, plan

log = logging.getLogger("classroom")
LARGEST_REQUEST, LARGEST_ANSWER = 10 * 2**20, 32 * 2**20  # bytes
PLACES = 4  # in line at one time, for one learner
AGAIN = 60  # seconds after which a learner who waited so long in vain may come again
# seconds in line: the service's window is 300, and huggingface_hub's client waits as long as it
# takes
PATIENCE = 330.0
TIMEOUT = httpx2.Timeout(120, connect=10)


class Learner:
    """What the server knows of one learner: how often a request was answered already, and whose
    turn it is."""

    def __init__(self):
        self.answered, self.turns = Counter(), asyncio.Semaphore(PLACES)


class Classroom:
    """Everything the requests share.

    token : goes to the service's router and nowhere else. upstream : an address that answers
        instead of the service.
    calls : requests to the service in all; beyond that the class gets a 402. keeping : False asks
        for everything anew.
    """

    def __init__(
        self,
        token: str,
        upstream: str | None = None,
        calls: int = 5000,
        keeping: bool = True,
        at_once: int = 8,
    ):
        self.token, self.upstream, self.calls, self.keeping = (
            token,
            upstream and httpx2.URL(upstream),
            calls,
            keeping,
        )
        self.client = httpx2.AsyncClient(
            timeout=TIMEOUT, limits=httpx2.Limits(max_connections=None)
        )
        # One policy for one quota: that of the token, and those of the hosts that are asked without
        # it.
        self.policies = defaultdict(
            lambda: RetryPolicy(
                attempts=1, timeout=PATIENCE, max_wait=PATIENCE, max_concurrency=at_once
            )
        )
        self.policies[ROUTER].watch(self.client)
        self.shelf, self.learners, self.tasks, self.counts = (
            Shelf(),
            OrderedDict(),
            set(),
            Counter(),
        )

    def report(self) -> str:
        """How much was asked, and how much of it went to the service."""
        c = self.counts
        return (
            f"{c['asked']} requests, {c['kept']} answered from what was kept; {c['sent']} of at"
            f" most {self.calls:,} calls made, {c['refused']} refused by the service;"
            f" {len(self.tasks)} on their way"
        )

    def who(self) -> str:
        """Who answers, for the notebooks' banner."""
        if self.upstream:
            return "Class: small models on the instructor's machine answer, free."
        return "Class: the real service answers, and the instructor's token pays."

    # ---- from the learner ----

    async def answer(self, request: Request) -> Response:
        """The answer to one learner's request."""
        began, host, path = (
            time.monotonic(),
            request.headers.get("host", "").partition(":")[0].lower(),
            request.url.path,
        )
        if not is_service(host):
            raise Refused(
                403,
                "This is the class's server. It answers for Hugging Face's inference services only,"
                " as the course's notebooks ask for them: COURSE_MODE=practice, and"
                " COURSE_PRACTICE_URL with this address.",
            )
        what = plan(request.method, host, path, request.headers.get("authorization"))
        content = await _content(request)
        address = str(_address(host, request.scope))
        headers = {name: request.headers[name] for name in ASKING if name in request.headers}
        if not what.token and host == ROUTER and "authorization" in request.headers:
            headers["authorization"] = request.headers["authorization"]
        who = request.headers.get("x-course-session", "")[:40]
        learner = self._learner(who or request.client.host)
        asked = _digest(request.method, address, content, headers)
        number = learner.answered[asked] if who else 0
        found = self.shelf.find(asked, number) if what.keep and self.keeping else None
        answer = found or self._ask(
            asked,
            what,
            learner,
            httpx2.Request(request.method, address, headers=headers, content=content),
        )
        self.counts["asked"] += 1
        self.counts["kept"] += found is not None
        try:
            await answer.begun()
        finally:
            log.info(
                "%s %s %s %s %s %.2f s",
                who[:6] or "-",
                request.method,
                mask(f"{host}{path}"),
                answer.status or "failed",
                "kept" if found else "service",
                time.monotonic() - began,
            )

        async def body():
            async for piece in answer.read():
                yield piece
            learner.answered[asked] += 1

        return StreamingResponse(body(), answer.status, answer.headers)

    def _learner(self, name: str) -> Learner:
        learner = self.learners.setdefault(name, Learner())
        self.learners.move_to_end(name)
        if len(self.learners) > 1000:
            self.learners.popitem(last=False)
        return learner

    # ---- to the service ----

    def _ask(self, asked: str, what: Plan, learner: Learner, request: httpx2.Request) -> Answer:
        """Begin to ask the service. That goes on when the learner leaves: whoever asks again finds
        the answer."""
        answer, keep = Answer(), what.keep and self.keeping
        if keep:
            self.shelf.put(asked, answer)

        async def fetch():
            try:
                policy = self.policies[request.url.host]
                async with (
                    learner.turns,
                    aclosing(policy.astream(self._send, request, what)) as pieces,
                ):
                    await answer.head(*await anext(pieces))
                    async for piece in pieces:
                        await answer.add(piece)
                        if answer.size > LARGEST_ANSWER:
                            raise Refused(
                                502,
                                f"The service's answer is larger than {LARGEST_ANSWER // 2**20}"
                                " MiB.",
                            )
                await answer.end()
            except Exception as error:
                await answer.end(error)
            finally:
                if keep:
                    self.shelf.settle(asked, answer)

        task = asyncio.get_running_loop().create_task(fetch())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return answer

    async def _send(self, request: httpx2.Request, what: Plan):
        """One request to the service: (status, headers), then the body's pieces. Raises for a 429,
        which the policy waits out.

        All other failures are the learners' to handle: their retry sees them as it would without a
        class.
        """
        if self.counts["sent"] >= self.calls:
            raise Refused(
                402,
                f"The class has made the {self.calls:,} calls that it was given. The instructor can"
                " start its server with more.",
            )
        self.counts["sent"] += 1
        url, headers = request.url, request.headers.copy()
        if what.token:
            headers["authorization"] = f"Bearer {self.token}"
        if self.upstream:
            headers["host"], url = (
                url.host,
                url.copy_with(
                    scheme=self.upstream.scheme, host=self.upstream.host, port=self.upstream.port
                ),
            )
        async with self.client.stream(
            request.method, url, headers=headers, content=request.content
        ) as response:
            if response.status_code == 429:
                self.counts["refused"] += 1
                await response.aread()
                response.raise_for_status()
            hide = Hider(self.token)
            yield (
                response.status_code,
                {
                    name: hide.in_text(value)
                    for name, value in response.headers.items()
                    if name in KEEP
                },
            )
            async for piece in response.aiter_bytes():
                if clean := hide(piece):
                    yield clean
            if hide.rest:
                yield hide.rest


def _address(host: str, scope: dict) -> httpx2.URL:
    """The service's address of a request. Raises Refused where host and path, put together, would
    name another host."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    try:
        url = httpx2.URL(scheme="https", host=host, raw_path=scope["raw_path"] + query)
    except (httpx2.InvalidURL, ValueError):
        url = None
    if url is None or url.host != host or httpx2.URL(str(url)).host != host:
        raise Refused(403, "This is no address of the service.")
    return url


async def _content(request: Request) -> bytes:
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST_REQUEST:
            raise Refused(
                413,
                f"The request is larger than {LARGEST_REQUEST // 2**20} MiB; the class's server"
                " forwards no such thing.",
            )
    return content


def _digest(method: str, address: str, content: bytes, headers: dict[str, str]) -> str:
    """What a request means, as the course's recordings see it, and in which form the answer is
    wanted."""
    form = [f"{name}: {headers.get(name, '')}" for name in MEANING]
    return hashlib.sha256(
        "\n".join([*key(method, address, content), *form]).encode("utf-8", "surrogatepass")
    ).hexdigest()


# ---- the server --------------------------------------------------------------------------------


def create_app(classroom: Classroom, networks: list | None = None) -> Starlette:
    """The class's server as an ASGI application. networks : who may ask; None: nobody but this
    machine."""

    async def everything(request: Request) -> Response:
        if not _may_ask(request.client.host, networks):
            raise Refused(403, f"{request.client.host} is not in this classroom's network.")
        if request.url.path == "/health" and not is_service(
            request.headers.get("host", "").partition(":")[0]
        ):
            return JSONResponse(
                {"status": "ok", "who": classroom.who(), "report": classroom.report()}
            )
        return await classroom.answer(request)

    @asynccontextmanager
    async def lifespan(app):
        yield
        for task in classroom.tasks:
            task.cancel()
        await classroom.client.aclose()

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[Route("/{path:path}", everything, methods=methods)],
        lifespan=lifespan,
        exception_handlers={
            Refused: lambda request, error: _error(error.status, str(error)),
            httpx2.HTTPStatusError: lambda request, error: _as_it_came(error.response),
            TimeoutError: lambda request, error: _error(
                429,
                f"The class's server waited for its turn in vain: {error}",
                {"retry-after": str(AGAIN)},
            ),
            httpx2.HTTPError: lambda request, error: _error(
                502, f"The class's server could not reach the service ({type(error).__name__})."
            ),
        },
    )


def _may_ask(address: str, networks: list | None) -> bool:
    found = ipaddress.ip_address(address)
    return found.is_loopback or any(found in network for network in networks or ())


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """huggingface_hub shows "error", openai "message"."""
    return JSONResponse({"error": message, "message": message}, status, headers)


def _as_it_came(refusal: httpx2.Response) -> Response:
    return Response(
        refusal.content,
        refusal.status_code,
        {name: value for name, value in refusal.headers.items() if name in KEEP},
    )
