"""What the stand-in for the service answers, in the service's wire format: steps of a script, and
the usual answer of every route.

    reply("Yes.")   error(429, retry_after=2)   broken()   answer({"data": []})
"""

import io
import json
import math
import random
import re
from collections.abc import Callable, Sequence
from copy import copy
from urllib.parse import unquote

import httpx2

from helpers.exercises.chat_format import chat_body, chat_events, counted, deltas, stream_of
from helpers.exercises.tasks import read_toml
from helpers.faults.catalog import BREAKS
from helpers.log import Entry
from helpers.models import models
from helpers.wire import Plan

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "vi", "ko", "ze")
REFUSALS = read_toml(__file__)["refusals"]
EVENTS = "text/event-stream"

Step = Callable[[object, Entry], Plan]  # gets the spy and the request


def words(count: int) -> str:
    """`count` words that nobody can guess and that hardly ever come twice: a text to recognise in
    an answer. The spy counts one word as one token."""
    return " ".join("".join(random.choices(SYLLABLES, k=5)) for _ in range(count))


def reply(
    text: str | None = None,
    tool_calls: Sequence[dict] = (),
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
        events = chat_events(deltas(spoken, tool_calls), model, finish, told if wanted else None)
        chunks = [(0.0, chunk) for chunk in stream_of(events)]
        lost = None if breaks_after is None else copy(BREAKS["stream"])
        return Plan(200, {"content-type": EVENTS}, chunks[:breaks_after], breaks=lost)

    return step


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
    said = REFUSALS.get(str(status), "Something went wrong") if message is None else message
    told = {} if retry_after is None else {"retry-after": str(retry_after)}

    def step(service, entry: Entry) -> Plan:
        others = [code for code in ("401", "402", "403", "429", "503") if code != str(status)]
        number = f"Root=1-{random.getrandbits(32):08x}-{'a'.join(random.sample(others, 4))}"
        return _json({"error": said}, status, {"x-request-id": number} | told | (headers or {}))

    return step


def broken(kind: type = httpx2.ConnectError, said="[Errno 111] Connection refused") -> Step:
    """No answer at all: the connection fails."""
    return lambda service, entry: Plan(0, {}, [], breaks=kind(said))


def answer(value, status: int = 200, **headers: str) -> Step:
    """Any other JSON, or a picture: for routes whose usual answer does not fit a task."""
    if isinstance(value, bytes):
        png = {"content-type": "image/png"} | headers
        return lambda service, entry: Plan(status, png, [(0.0, value)])
    return lambda service, entry: _json(value, status, headers)


def _json(value, status: int = 200, headers: dict | None = None) -> Plan:
    told = {"content-type": "application/json"} | (headers or {})
    return Plan(status, told, [(0.0, json.dumps(value).encode())])


# ---- what the service usually answers, by route ------------------------------------------------


def route(entry: Entry) -> Step:
    """The usual answer to a request, in the service's wire format."""
    path, body = entry.path.split("?")[0], entry.json if isinstance(entry.json, dict) else {}
    inputs = body.get("inputs")
    if entry.method == "GET":
        return _lookup(entry.host, path)
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
        return error(404)
    model = models.for_id(unquote(path.split("/models/")[1]))
    usual = BY_TASK.get(model.task if model else "", BY_TASK["text-classification"])
    return answer(usual(inputs, body.get("parameters") or {}))


BY_TASK = {
    "text-classification": lambda inputs, given: [_scores(["POSITIVE", "NEGATIVE"])],
    "zero-shot-classification": lambda inputs, given: _scores(given.get("candidate_labels") or []),
    "token-classification": lambda inputs, given: _entities(str(inputs), given),
    "summarization": lambda inputs, given: [{"summary_text": words(12)}],
    "text-generation": lambda inputs, given: [{"generated_text": words(12)}],
    "text-to-image": lambda inputs, given: picture(given.get("width", 64), given.get("height", 64)),
}


def _lookup(host: str, path: str) -> Step:
    """What a GET finds."""
    if host.endswith("fal.media"):
        return answer(picture())
    if path == "/v1/models":
        chats = [row.id for row in models if row.task == "chat-completion"]
        rows = [{"id": name, "object": "model", "providers": []} for name in chats]
        return answer({"object": "list", "data": rows})
    if path == "/api/tasks":
        return answer({})
    model = models.for_id(unquote(path.removeprefix("/api/models/")))
    if model is None:
        return error(404)
    chat = model.task == "chat-completion"
    provider = "cerebras" if model.provider == "auto" else model.provider
    task = "conversational" if chat else model.task
    served = {"status": "live", "providerId": model.id, "task": task}
    return answer(
        {
            "id": model.id,
            "pipeline_tag": "text-generation" if chat else model.task,
            "tags": [model.task],
            "inferenceProviderMapping": {provider: served},
        }
    )


def _scores(labels: list[str]) -> list[dict]:
    """Shares of 1 for the labels, the largest first."""
    weights = sorted((random.random() + 0.01 for _ in labels), reverse=True)
    scores = [round(weight / sum(weights), 4) for weight in weights]
    mixed = random.sample(labels, len(labels))
    return [{"label": label, "score": score} for label, score in zip(mixed, scores)]


def _entities(text: str, given: dict) -> list[dict]:
    """Every word with a capital letter, as an entity of some kind."""
    found = []
    for match in re.finditer(r"\S+", text):
        word, start = match.group().strip(".,;:!?"), match.start()
        if word[:1].isupper():
            kind = random.choice(["PER", "ORG", "LOC"])
            single = given.get("aggregation_strategy") == "none"
            label = {"entity": f"B-{kind}"} if single else {"entity_group": kind}
            score = round(random.uniform(0.7, 0.999), 4)
            place = {"start": start, "end": start + len(word)}
            found.append({**label, "score": score, "word": word, **place})
    return found


_SEED = random.getrandbits(64)


def vector(text, size: int = 8) -> list[float]:
    """A unit vector for a text, the same one for the same text until Python ends."""
    numbers = random.Random(f"{_SEED}{text}")
    raw = [numbers.gauss(0, 1) for _ in range(size)]
    length = math.hypot(*raw)
    return [x / length for x in raw]


def picture(width: int = 64, height: int = 64) -> bytes:
    """A PNG of one colour that nobody can know beforehand."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (width, height), tuple(random.randbytes(3))).save(file, "png")
    return file.getvalue()
