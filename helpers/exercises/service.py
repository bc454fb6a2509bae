"""What the stand-in for the service answers, in the service's wire format: steps of a script, and
the usual answer of every route.

    reply("Yes.")   error(429, retry_after=2)   broken()   answer({"data": []})
"""

import json
import random
import struct
import zlib
from collections.abc import Callable
from urllib.parse import unquote

import httpx2

from helpers.exercises.chat_format import chat_body, chat_events, counted, stream_of
from helpers.log import Entry
from helpers.models import models
from helpers.wire import Plan

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "vi", "ko", "ze")

Step = Callable[[object, Entry], Plan]  # gets the spy and the request


def words(count: int) -> str:
    """`count` words that nobody can guess and that hardly ever come twice: a text to recognise in
    an answer. The spy counts one word as one token."""
    return " ".join("".join(random.choices(SYLLABLES, k=5)) for _ in range(count))


def reply(
    text: str | None = None,
    tool_calls: list[dict] | None = None,
    usage: dict | None = None,
    breaks_after: int | None = None,
) -> Step:
    """A chat completion, as JSON or as a stream, whichever was asked for. A longer text than
    max_tokens allows is cut.

    text : what the model says; random words by default.
    tool_calls : [{"name": …, "arguments": {…}}, …] instead of a text.
    usage : {"prompt_tokens": …, "completion_tokens": …} instead of the counted ones; a stream tells
        it unasked.
    breaks_after : drop the connection of a stream after this many pieces.
    """

    def step(service, entry: Entry) -> Plan:
        asked = entry.json if isinstance(entry.json, dict) else {}
        full = ("" if tool_calls else words(12)) if text is None else text
        allowed, pieces = asked.get("max_tokens"), full.split(" ")
        cut = isinstance(allowed, int) and len(pieces) > allowed
        pieces = pieces[:allowed] if cut else pieces
        said = " ".join(pieces)
        service.said.append(said)
        told = counted(len(json.dumps(asked.get("messages", ""))) // 4 + 7, len(pieces))
        told |= usage or {}
        told["total_tokens"] = told["prompt_tokens"] + told["completion_tokens"]
        finish = "tool_calls" if tool_calls else "length" if cut else "stop"
        model = str(asked.get("model"))
        if not asked.get("stream"):
            return _json(chat_body(said or None, model, finish, tool_calls, told))
        wanted = usage or (asked.get("stream_options") or {}).get("include_usage")
        spoken = [pieces[0], *(f" {piece}" for piece in pieces[1:])] if said else []
        events = chat_events(spoken, model, finish, tool_calls, told if wanted else None)
        chunks = [(0.0, chunk) for chunk in stream_of(events)]
        lost = None if breaks_after is None else httpx2.RemoteProtocolError(BROKEN_OFF)
        return Plan(200, {"content-type": EVENTS}, chunks[:breaks_after], breaks=lost)

    return step


EVENTS = "text/event-stream"
BROKEN_OFF = (
    "peer closed connection without sending complete message body (incomplete chunked read)"
)
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
    """A refusal with the service's kind of body, `{"error": …}`. Its request id holds other status
    numbers, as real ids do.

    retry_after : the Retry-After header, in seconds or as a date.
    """

    def step(service, entry: Entry) -> Plan:
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


def broken(kind: type = httpx2.ConnectError, said="[Errno 111] Connection refused") -> Step:
    """No answer at all: the connection fails."""
    return lambda service, entry: Plan(0, {}, [], breaks=kind(said))


def answer(value, status: int = 200, **headers: str) -> Step:
    """Any other JSON (or bytes): for routes whose usual answer does not fit a task."""
    if isinstance(value, bytes):
        return lambda service, entry: Plan(
            status, {"content-type": "application/octet-stream"} | headers, [(0.0, value)]
        )
    return lambda service, entry: _json(value, status, headers)


# ---- what the service usually answers, by route ------------------------------------------------


def route(entry: Entry) -> Step:
    """The usual answer to a request, in the service's wire format."""
    path, body = entry.path.split("?")[0], entry.json if isinstance(entry.json, dict) else {}
    inputs, parameters = body.get("inputs"), body.get("parameters") or {}
    if entry.method == "GET":
        return answer(*_lookup(entry.host, path))
    if path.endswith("/chat/completions"):
        return reply()
    if path.endswith("/completions"):
        choice = {"index": 0, "text": words(12), "finish_reason": "stop"}
        return answer({"choices": [choice], "model": str(body.get("model"))})
    if path.endswith("/embeddings"):
        texts = body.get("input") if isinstance(body.get("input"), list) else [body.get("input")]
        vectors = map(vector, texts)
        return answer({"data": [{"index": i, "embedding": v} for i, v in enumerate(vectors)]})
    if path.endswith("/feature-extraction"):
        return answer(list(map(vector, inputs if isinstance(inputs, list) else [inputs])))
    if path.endswith("/sentence-similarity"):
        return answer([round(random.random(), 4) for _ in inputs["sentences"]])
    if path.startswith("/fal-ai/"):
        url = f"https://v3.fal.media/files/{random.getrandbits(64):x}.png"
        return answer({"images": [{"url": url, "content_type": "image/png"}]})
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
        made = picture(parameters.get("width", 64), parameters.get("height", 64))
        return answer(made, **{"content-type": "image/png"})
    if task == "text-generation":
        return answer([{"generated_text": words(12)}])
    return answer([_scores(["POSITIVE", "NEGATIVE"])])


def _lookup(host: str, path: str) -> tuple:
    """What a GET finds: (value, status)."""
    if host.endswith("fal.media"):
        return picture(), 200
    if path == "/v1/models":
        chats = [row.id for row in models if row.task == "chat-completion"]
        rows = [{"id": name, "object": "model", "providers": []} for name in chats]
        return {"object": "list", "data": rows}, 200
    if path == "/api/tasks":
        return {}, 200
    model = models.for_id(unquote(path.removeprefix("/api/models/")))
    if model is None:
        return {"error": "Not Found"}, 404
    chat = model.task == "chat-completion"
    provider = "cerebras" if model.provider == "auto" else model.provider
    task = "conversational" if chat else model.task
    return {
        "id": model.id,
        "pipeline_tag": "text-generation" if chat else model.task,
        "tags": [model.task],
        "inferenceProviderMapping": {
            provider: {"status": "live", "providerId": model.id, "task": task}
        },
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
            score = round(random.uniform(0.7, 0.999), 4)
            place = {"start": start, "end": start + len(bare)}
            found.append({**label, "score": score, "word": bare, **place})
        start += len(word)
    return found


def picture(width: int = 64, height: int = 64) -> bytes:
    """A PNG of one colour that nobody can know beforehand."""
    row = b"\0" + random.randbytes(3) * width

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(row * height))
    return b"\x89PNG\r\n\x1a\n" + size + pixels + chunk(b"IEND", b"")
