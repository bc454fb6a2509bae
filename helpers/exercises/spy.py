"""A stand-in for the service that answers at once, notes every request, and fails when it is told to.

    with spy() as service:                          answers everything, with words nobody can know beforehand
    with spy(error(429, retry_after=2)) as service: refuses the first request, answers the others
        text = service.call(ask, client, "…")       run the learner's function
        service.sent.last.json                      what it sent
        service.said                                the texts that were given as answers

No network and no recording is needed. Waiting is noted in `service.slept`, not done.
"""

import asyncio
import contextlib
import inspect
import io
import json
import linecache
import os
import random
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from unittest.mock import patch
from urllib.parse import unquote

import httpx2

from helpers import wire
from helpers.log import Entry, Log
from helpers.models import models
from helpers.tokens import mask
from helpers.wire import Plan

# Headers of the client that a check hands over; `Spy.strangers` counts the requests that came through another one.
GIVEN = {"x-course-client": "given"}
SYLLABLES = "ba de fi go lu ma ne pi ro su ta vi ko ze".split()


class NotYet(Exception):
    """What a check raises when something is missing; the message is for the learner."""


class Raised(NotYet):
    """The learner's function raised `error`. A check that expects an error catches this and looks at `.error`."""

    def __init__(self, error: BaseException, message: str):
        super().__init__(message)
        self.error = error


class _Stop(BaseException):
    """Ends a function that would not end. Not an Exception, so `except Exception:` in a retry loop does not hold it up."""


# ---- what the service does with one request: the items of a script ------------------------------------------------

Step = Callable[["Spy", Entry], Plan]


def words(count: int) -> str:
    """`count` words that nobody can guess and that hardly ever come twice: a text to recognise in an answer. The spy counts one word as one token."""
    return " ".join("".join(random.choices(SYLLABLES, k=5)) for _ in range(count))


def reply(
    text: str | None = None,
    tool_calls: list[dict] | None = None,
    usage: dict | None = None,
    breaks_after: int | None = None,
) -> Step:
    """A chat completion, as JSON or as a stream, whichever was asked for. A longer text than max_tokens allows is cut.

    text : what the model says; random words by default.
    tool_calls : [{"name": …, "arguments": {…}}, …] instead of a text.
    usage : {"prompt_tokens": …, "completion_tokens": …} instead of the counted ones.
    breaks_after : drop the connection of a stream after this many pieces.
    """

    def step(service: "Spy", entry: Entry) -> Plan:
        asked = entry.json if isinstance(entry.json, dict) else {}
        full = ("" if tool_calls else words(12)) if text is None else text
        allowed, pieces = asked.get("max_tokens"), full.split(" ")
        cut = isinstance(allowed, int) and len(pieces) > allowed
        pieces = pieces[:allowed] if cut else pieces
        said = " ".join(pieces)
        service.said.append(said)
        message: dict = {"role": "assistant", "content": said or None}
        if tool_calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{i}",
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
                }
                for i, call in enumerate(tool_calls)
            ]
        finish = "tool_calls" if tool_calls else "length" if cut else "stop"
        counted = {
            "prompt_tokens": len(json.dumps(asked.get("messages", ""))) // 4 + 7,
            "completion_tokens": len(pieces),
        } | (usage or {})
        counted["total_tokens"] = counted["prompt_tokens"] + counted["completion_tokens"]
        head = {
            "id": f"chatcmpl-{random.getrandbits(64):x}",
            "created": int(time.time()),
            "model": str(asked.get("model")),
            "system_fingerprint": "spy",
        }
        if not asked.get("stream"):
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
            return _json(
                {"object": "chat.completion", **head, "choices": [choice], "usage": counted}
            )
        head["object"] = "chat.completion.chunk"
        deltas = [{"role": "assistant", "content": ""}]
        deltas += [
            {"content": piece if i == 0 else " " + piece} for i, piece in enumerate(pieces) if said
        ]
        deltas += [
            {"tool_calls": [{"index": i, **call}]}
            for i, call in enumerate(message.get("tool_calls", []))
        ]
        events = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            for delta in deltas
        ]
        events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if (asked.get("stream_options") or {}).get("include_usage"):
            events.append({**head, "choices": [], "usage": counted})
        chunks = [(0.0, f"data: {json.dumps(event)}\n\n".encode()) for event in events] + [
            (0.0, b"data: [DONE]\n\n")
        ]
        if breaks_after is not None:
            lost = httpx2.RemoteProtocolError(
                "peer closed connection without sending complete message body (incomplete chunked"
                " read)"
            )
            return Plan(
                200, {"content-type": "text/event-stream"}, chunks[:breaks_after], breaks=lost
            )
        return Plan(200, {"content-type": "text/event-stream"}, chunks)

    return step


MESSAGES = {
    400: {
        "message": "The requested model is not supported by any provider you have enabled.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_supported",
    },
    401: "Invalid username or password.",
    402: "You have exceeded your monthly included credits for Inference Providers.",
    403: (
        "This authentication method does not have sufficient permissions to call Inference"
        " Providers on behalf of this user"
    ),
    404: "Not Found",
    410: (
        "https://api-inference.huggingface.co is no longer supported. Please use"
        " https://router.huggingface.co instead."
    ),
    422: "Input validation error",
    429: "Too many requests",
    503: "Service temporarily unavailable",
}


def error(
    status: int,
    message: str | dict | None = None,
    retry_after: float | str | None = None,
    headers: dict | None = None,
) -> Step:
    """A refusal with the service's kind of body, `{"error": …}`. Its request id holds other status numbers, as real ids do.

    retry_after : the Retry-After header, in seconds or as a date.
    """

    def step(service: "Spy", entry: Entry) -> Plan:
        others = [code for code in (401, 402, 403, 429, 503) if code != status]
        extra = {
            "x-request-id": (
                f"Root=1-{random.getrandbits(32):08x}-"
                + "a".join(map(str, random.sample(others, 4)))
            )
        }
        if retry_after is not None:
            extra["retry-after"] = str(retry_after)
        return _json(
            {"error": MESSAGES.get(status, "Something went wrong") if message is None else message},
            status,
            extra | (headers or {}),
        )

    return step


def broken() -> Step:
    """No answer at all: the connection fails."""
    return lambda service, entry: Plan(
        0, {}, [], breaks=httpx2.ConnectError("[Errno 111] Connection refused")
    )


def answer(value, status: int = 200, **headers: str) -> Step:
    """Any other JSON (or bytes): for routes whose usual answer does not fit a task."""
    if isinstance(value, bytes):
        return lambda service, entry: Plan(
            status, {"content-type": "application/octet-stream"} | headers, [(0.0, value)]
        )
    return lambda service, entry: _json(value, status, headers)


# ---- the spy ------------------------------------------------------------------------------------------------------


class Spy:
    """What `with spy() as service` gives. See the module's first lines.

    sent, lookups : Logs of the requests that do work (POST, PUT, DELETE) and of the GETs.
    headers : the request headers of each row of `sent`, without the token.
    said : the texts given as answers, in order. slept : the seconds the function wanted to wait, in order.
    printed : what the function printed. token : the token that clients find while the spy is there.
    leaked : was that token in a URL or a body (the logs themselves never hold one).
    strangers : how many requests came without the headers GIVEN, from a client that the function built itself.
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
        self.timeouts: list[
            float | None
        ] = []  # how many seconds each client waits for data; None: for ever
        self.said: list[str] = []
        self.slept: list[float] = []
        self.printed = ""
        self.leaked = False
        self.strangers = 0
        self.token = f"hf_{random.getrandbits(160):040x}"
        self._lock = threading.Lock()

    # -- requests (called by helpers.wire) --

    def __call__(self, request: httpx2.Request) -> Plan:
        with self._lock:
            self.leaked |= self.token.encode() in request.content or self.token in str(request.url)
            log = self.lookups if request.method == "GET" else self.sent
            looks_up = (
                request.method == "GET" and request.url.path != "/v1/models"
            )  # huggingface_hub's own GETs carry no headers of ours
            self.strangers += not looks_up and not GIVEN.items() <= dict(request.headers).items()
            entry = Entry(
                len(log) + 1,
                request.method,
                str(request.url),
                request.content,
                "check",
                answered_by="spy",
                seconds=0.0,
            )
            log.entries.append(entry)
            if request.method != "GET":
                self.headers.append(
                    {k: v for k, v in request.headers.items() if k != "authorization"}
                )
                self.timeouts.append((request.extensions.get("timeout") or {}).get("read"))
            if len(self.sent) > self.limit:
                raise _Stop(
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

    def call(self, function: Callable, *args, **kwargs):
        """What `function(*args, **kwargs)` returns; a generator comes back as the list of its pieces, a coroutine is awaited.

        Raises Raised if it raised, NotYet if it would not end.
        """
        theirs = getattr(inspect.unwrap(function), "__globals__", None)
        output = io.StringIO()
        try:
            with _quiet(output), _fake_sleep(self, theirs), _deadline(theirs, self.seconds):
                result = function(*args, **kwargs)
                if inspect.isgenerator(result):
                    result = list(result)
                elif inspect.iscoroutine(result) or inspect.isasyncgen(result):
                    result = _run_async(result, theirs, self.seconds)
            return result
        except _Stop as stop:
            raise NotYet(str(stop)) from None
        except KeyboardInterrupt:  # the learner interrupts the kernel
            raise
        except BaseException as error:  # SystemExit and the like: no reason to end the kernel
            raise Raised(error, readable(error, theirs)) from None
        finally:
            self.printed += output.getvalue()


@contextlib.contextmanager
def spy(
    *script: Step,
    limit: int = 40,
    seconds: float = 5.0,
    routes: Callable[[Entry], Step | None] | None = None,
) -> Iterator[Spy]:
    """Answer every request to the service in this block. `script` says what happens to the first requests, in order.

    limit : how many requests a function may send. seconds : how long it may run.
    routes : is asked about every request that the script leaves over, GETs too; None means "as usual".
    """
    service = Spy(script, limit, seconds, routes)
    had = os.environ.get("HF_TOKEN")
    os.environ["HF_TOKEN"] = service.token
    _forget_lookups()
    wire.install(service)
    try:
        yield service
    finally:
        wire.remove(service)
        _forget_lookups()
        if had is None:
            os.environ.pop("HF_TOKEN", None)
        else:
            os.environ["HF_TOKEN"] = had


def _forget_lookups() -> None:
    """huggingface_hub keeps the Hub's answers for the life of the process; the spy's must not outlive the spy."""
    from huggingface_hub.inference._providers import _common, hf_inference

    for cached in (
        _common._fetch_inference_provider_mapping,
        hf_inference._check_supported_task,
        hf_inference._fetch_recommended_models,
    ):
        cached.cache_clear()


# ---- what the service usually answers, by route -------------------------------------------------------------------


def route(entry: Entry) -> Step:
    """The usual answer to a request, in the service's wire format."""
    path, body = entry.path.split("?")[0], entry.json if isinstance(entry.json, dict) else {}
    inputs, parameters = body.get("inputs"), body.get("parameters") or {}
    if entry.method == "GET":
        return answer(*_lookup(entry.host, path))
    if path.endswith("/chat/completions"):
        return reply()
    if path.endswith("/completions"):
        return answer(
            {
                "choices": [{"index": 0, "text": words(12), "finish_reason": "stop"}],
                "model": str(body.get("model")),
            }
        )
    if path.endswith("/embeddings"):
        texts = body.get("input") if isinstance(body.get("input"), list) else [body.get("input")]
        return answer(
            {"data": [{"index": i, "embedding": vector(text)} for i, text in enumerate(texts)]}
        )
    if path.endswith("/feature-extraction"):
        return answer(
            [vector(text) for text in inputs] if isinstance(inputs, list) else [vector(inputs)]
        )
    if path.endswith("/sentence-similarity"):
        return answer([round(random.random(), 4) for _ in inputs["sentences"]])
    if path.startswith("/fal-ai/"):
        return answer(
            {
                "images": [
                    {
                        "url": f"https://v3.fal.media/files/{random.getrandbits(64):x}.png",
                        "content_type": "image/png",
                    }
                ]
            }
        )
    if "/models/" not in path:
        return answer({"error": "Not Found"}, 404)
    model = models.for_id(unquote(path.split("/models/")[1]))
    task = model.task if model else "text-classification"
    if task == "zero-shot-classification":
        return answer(_scores(parameters.get("candidate_labels") or []))
    if task == "token-classification":
        return answer(_entities(str(inputs), parameters.get("aggregation_strategy", "simple")))
    if task == "summarization":
        return answer([{"summary_text": words(12)}])
    if task == "text-to-image":
        return answer(
            picture(parameters.get("width", 64), parameters.get("height", 64)),
            **{"content-type": "image/png"},
        )
    if task == "text-generation":
        return answer([{"generated_text": words(12)}])
    return answer([_scores(["POSITIVE", "NEGATIVE"])])


def _lookup(host: str, path: str) -> tuple:
    if host.endswith("fal.media"):
        return picture(), 200
    if path == "/v1/models":
        return {
            "object": "list",
            "data": [
                {"id": row.id, "object": "model", "providers": []}
                for row in models
                if row.task == "chat-completion"
            ],
        }, 200
    if path == "/api/tasks":
        return {}, 200
    model = models.for_id(unquote(path.removeprefix("/api/models/")))
    if model is None:
        return {"error": "Not Found"}, 404
    chat = model.task == "chat-completion"
    provider = "cerebras" if model.provider == "auto" else model.provider
    mapping = {
        provider: {
            "status": "live",
            "providerId": model.id,
            "task": "conversational" if chat else model.task,
        }
    }
    return {
        "id": model.id,
        "pipeline_tag": "text-generation" if chat else model.task,
        "tags": [model.task],
        "inferenceProviderMapping": mapping,
    }, 200


def _json(value, status: int = 200, headers: dict | None = None) -> Plan:
    return Plan(
        status,
        {"content-type": "application/json"} | (headers or {}),
        [(0.0, json.dumps(value).encode())],
    )


def _scores(labels: list[str]) -> list[dict]:
    weights = [random.random() + 0.01 for _ in labels]
    scored = [
        {"label": label, "score": round(weight / sum(weights), 4)}
        for label, weight in zip(labels, weights)
    ]
    return sorted(scored, key=lambda item: -item["score"])


def vector(text, size: int = 8) -> list[float]:
    """A unit vector for a text, the same one for the same text until Python ends."""
    numbers = random.Random(f"{_SEED}{text}")
    raw = [numbers.gauss(0, 1) for _ in range(size)]
    length = sum(x * x for x in raw) ** 0.5
    return [x / length for x in raw]


_SEED = random.getrandbits(64)


def _entities(text: str, strategy: str) -> list[dict]:
    """Every word with a capital letter, as an entity of some kind."""
    found, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        bare = word.strip(".,;:!?")
        if bare[:1].isupper():
            kind = random.choice(["PER", "ORG", "LOC"])
            label = {"entity": f"B-{kind}"} if strategy == "none" else {"entity_group": kind}
            found.append(
                {
                    **label,
                    "score": round(random.uniform(0.7, 0.999), 4),
                    "word": bare,
                    "start": start,
                    "end": start + len(bare),
                }
            )
        start += len(word)
    return found


def picture(width: int = 64, height: int = 64) -> bytes:
    """A PNG of one colour that nobody can know beforehand."""
    row = b"\0" + random.randbytes(3) * width

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row * height))
        + chunk(b"IEND", b"")
    )


# ---- running somebody else's function ------------------------------------------------------------------------------


def readable(error: BaseException, theirs: dict | None) -> str:
    """One line about an error in the learner's code: what was raised, and in which line of the cell."""
    said = mask(str(error)).strip().splitlines()
    text = f"Your function raised {type(error).__name__}" + (
        f": {said[0][:300]}" if said else ", without a message"
    )
    at = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is theirs:
            at = trace
        trace = trace.tb_next
    if at is None:
        return text
    line = linecache.getline(at.tb_frame.f_code.co_filename, at.tb_lineno).strip()
    return f"{text} (line {at.tb_lineno} of the cell" + (f": `{line}`)" if line else ")")


@contextlib.contextmanager
def _quiet(output: io.StringIO):
    """What the function prints or displays is kept, not shown: it would end up under whatever cell is running."""
    with contextlib.ExitStack() as stack:
        if "IPython" in sys.modules:
            from IPython.utils.capture import capture_output

            captured = stack.enter_context(capture_output())
            stack.callback(lambda: output.write(captured.stdout))
        else:
            stack.enter_context(contextlib.redirect_stdout(output))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


@contextlib.contextmanager
def _fake_sleep(service: Spy, theirs: dict | None):
    """Waiting is noted, not done; only for the threads of the function, not for those the kernel lives on."""
    others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    real, areal = time.sleep, asyncio.sleep

    def note(seconds) -> None:
        if not isinstance(seconds, (int, float)) or seconds < 0:
            real(seconds)  # raises what the real one raises
        service.slept.append(seconds)
        if len(service.slept) > 1000:
            raise _Stop(
                "Your function had waited 1,000 times and wanted to go on. A loop that waits needs"
                " an end."
            )

    def sleep(seconds):
        return real(seconds) if threading.get_ident() in others else note(seconds)

    async def asleep(seconds, result=None):
        if threading.get_ident() in others:
            return await areal(seconds, result)
        note(seconds)
        return await areal(0, result)

    named = {
        name: value for name, value in (theirs or {}).items() if value is real or value is areal
    }  # from time import sleep
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(time, "sleep", sleep))
        stack.enter_context(patch.object(asyncio, "sleep", asleep))
        if "anyio" in sys.modules:  # the OpenAI client's async retry waits through it
            stack.enter_context(patch.object(sys.modules["anyio"], "sleep", asleep))
        if (
            "openai" in sys.modules
        ):  # its async client asks a thread for the platform first: real time, and nothing else here takes any
            stack.enter_context(
                patch.object(sys.modules["openai._base_client"], "asyncify", _no_thread)
            )
        stack.callback(lambda: theirs.update(named) if named else None)
        for name, value in named.items():
            theirs[name] = sleep if value is real else asleep
        yield


def _no_thread(function: Callable) -> Callable:
    async def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


@contextlib.contextmanager
def _deadline(theirs: dict | None, seconds: float):
    """End the learner's code after some seconds. Looks at the clock at each of its steps: works without threads or signals."""
    before, end = sys.gettrace(), time.monotonic() + seconds
    if before is not None or theirs is None:  # a debugger is at work: leave it alone
        yield
        return

    def look(frame, event, argument):
        if frame.f_globals is not theirs:
            return None
        frame.f_trace_opcodes = True  # `while True: pass` in one line never reaches a new line
        if time.monotonic() > end:
            raise _Stop(
                f"Your function was still running after {seconds:g} seconds. Look for a loop that"
                " never ends."
            )
        return look

    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


def _run_async(result, theirs: dict | None, seconds: float):
    """Await a coroutine (or collect an async generator), also inside a notebook, where a loop is running already."""

    async def finish():
        async def whole():
            return [piece async for piece in result] if inspect.isasyncgen(result) else await result

        try:
            return await asyncio.wait_for(whole(), seconds)
        except TimeoutError:
            raise _Stop(
                f"Your function was still waiting after {seconds:g} seconds. Look for something"
                " that never comes."
            ) from None

    outcome: list = []

    def work() -> None:
        try:
            with _deadline(theirs, seconds):
                outcome.append((asyncio.run(finish()), None))
        except BaseException as error:
            outcome.append((None, error))

    async def kept() -> (
        None
    ):  # Pyodide shows the exception of a task in the cell, also if it is caught further up
        try:
            outcome.append((await finish(), None))
        except (Exception, _Stop) as error:
            outcome.append((None, error))

    if sys.platform == "emscripten":
        from pyodide.ffi import run_sync

        run_sync(kept())
    else:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(seconds + 5)
    value, error = outcome[0] if outcome else (None, _Stop("Your function did not come back."))
    if error is not None:
        raise error
    return value
