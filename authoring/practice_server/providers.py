"""What other providers offer besides chat: embeddings in OpenAI's format, images by link or in
base64."""

import asyncio
import base64
import hashlib
import struct
import time
from collections import OrderedDict
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import errors, fields
from .catalogue import Model
from .chat import who
from .embeddings import plain
from .images import Card
from .incoming import may_call, read_json
from .tasks import texts_in

# Paths relative to /{provider}, as huggingface_hub has them.
EMBEDDING_PATHS = {"together": "v1", "scaleway": "v1", "deepinfra": "v1/openai"}
IMAGE_PROVIDERS = ("together", "nscale")
FAL = {"x-inference-provider": "fal-ai", "x-answered-by": "practice-test-card"}
KEPT = 1000  # cards whose links still work


class Pictures:
    """The test cards that were answered as a link. A card has one address for ever: its name
    follows from what is on it."""

    def __init__(self):
        self._cards: OrderedDict[str, Card] = OrderedDict()

    def keep(self, card: Card) -> str:
        name = hashlib.sha256(repr(card).encode()).hexdigest()[:24] + ".png"
        self._cards[name] = card
        while len(self._cards) > KEPT:
            self._cards.popitem(last=False)
        return name

    def get(self, name: str) -> Card | None:
        return self._cards.get(name)


def _served(request: Request, provider: str, name: str, task: str) -> Model:
    model = request.app.state.practice.catalogue.on_provider(provider, name)
    if model is None:
        raise errors.chat_error(
            404,
            f"The model '{name}' does not exist on {provider} or you do not have access to it.",
            "model",
            "model_not_found",
        )
    if model.on(provider).task != task:
        raise errors.chat_error(
            400,
            f"The model '{name}' is not for {task} but for {model.on(provider).task}.",
            "model",
            "model_not_supported",
        )
    return model


async def embeddings(request: Request, provider: str) -> Response:
    """POST /{provider}/{path}/embeddings: always a list, also for one text."""
    embedder = request.app.state.practice.embedder
    may_call(request)
    body = await read_json(request)
    _served(request, provider, fields.text(body, "model"), "feature-extraction")
    texts, _ = texts_in(body, "input")
    coding = fields.text(body, "encoding_format", "float")
    if coding not in ("float", "base64"):
        raise fields.wrong("encoding_format", f"must be float or base64, got {coding!r}")
    size = fields.integer(body, "dimensions", 1)
    if size not in (None, 384):
        raise fields.wrong("dimensions", f"must be 384 for the practice model, got {size}")

    def work():
        counts = [len(embedder.tokens(text, truncate=True)) for text in texts]
        return [plain(embedder.embed(text, truncate=True)) for text in texts], sum(counts)

    rows, tokens = await asyncio.to_thread(work)
    if coding == "base64":
        rows = [base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode() for row in rows]
    return JSONResponse(
        {
            "object": "list",
            "model": embedder.weights.model,
            "data": [
                {"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
        headers=who(embedder, **{"x-inference-provider": provider}),
    )


async def images(request: Request, provider: str) -> Response:
    """POST /{provider}/v1/images/generations: the picture in base64, or a link where
    `response_format` is "url"."""
    may_call(request)
    body = await read_json(request)
    _served(request, provider, fields.text(body, "model"), "text-to-image")
    card = Card.read(fields.text(body, "prompt"), body)
    form = fields.text(body, "response_format", "url")
    if form not in ("url", "b64_json", "base64"):
        raise fields.wrong("response_format", f"must be url or b64_json, got {form!r}")
    picture = (
        {"url": _link(request, card, "v3.fal.media")}
        if form == "url"
        else {"b64_json": base64.b64encode(await asyncio.to_thread(card.png)).decode()}
    )
    return JSONResponse(
        {
            "id": f"img-{card.seed}",
            "model": "practice-test-card",
            "object": "list",
            "created": int(time.time()),
            "data": [{"index": 0, "type": "image", **picture}],
        },
        headers={"x-inference-provider": provider},
    )


async def fal(request: Request) -> Response:
    """POST /fal-ai/{model}: a link to the picture. With `?_subdomain=queue`, a place in the queue
    instead."""
    may_call(request)
    body = await read_json(request)
    name = request.path_params["name"]
    _served(request, "fal-ai", name, "text-to-image")
    card = Card.read(fields.text(body, "prompt", error=_fal_wrong), body, _fal_wrong)
    if request.query_params.get("_subdomain") != "queue":
        return JSONResponse(_fal_result(request, card), headers=FAL)
    number = request.app.state.practice.pictures.keep(card).removesuffix(".png")
    place = f"https://queue.fal.run/{'/'.join(name.split('/')[:2])}/requests/{number}"
    return JSONResponse(
        {
            "status": "IN_QUEUE",
            "request_id": number,
            "response_url": place,
            "status_url": f"{place}/status",
            "cancel_url": f"{place}/cancel",
            "queue_position": 0,
        },
        headers=FAL,
    )


def _fal_wrong(field: str, why: str) -> errors.ServiceError:
    """A refusal in fal's form: a list under `detail`, each item with the place, a text and a type
    (fal.ai/docs/errors)."""
    place = ["body", "image_size", field] if field in ("width", "height") else ["body", field]
    return errors.ServiceError(
        422, {"detail": [{"loc": place, "msg": f"Input {why}", "type": "value_error"}]}
    )


async def fal_queue(request: Request) -> Response:
    """GET /fal-ai/{model}/requests/{number} and …/status: what became of a request in the queue.
    Cards are done at once."""
    may_call(request)
    number, _, status = request.path_params["number"].partition("/")
    card = request.app.state.practice.pictures.get(number + ".png")
    if card is None or status not in ("", "status"):
        raise errors.not_found()
    return JSONResponse(
        {"status": "COMPLETED", "request_id": number} if status else _fal_result(request, card)
    )


def _fal_result(request: Request, card: Card) -> dict:
    return {
        "images": [
            {
                "url": _link(request, card, "v3.fal.media"),
                "width": card.width,
                "height": card.height,
                "content_type": "image/png",
            }
        ],
        "timings": {},
        "seed": card.seed,
        "has_nsfw_concepts": [False],
        "prompt": card.prompt,
    }


async def replicate(request: Request) -> Response:
    """POST /replicate/v1/models/{model}/predictions and, with a version, /replicate/v1/predictions:
    201 and a link."""
    may_call(request)
    body = await read_json(request)
    catalogue = request.app.state.practice.catalogue
    name, version = request.path_params.get("name"), fields.text(body, "version", "")
    if name is None:
        name = next(
            (
                model.on("replicate").id
                for model in catalogue.models.values()
                if version and model.on("replicate") and model.on("replicate").id.endswith(version)
            ),
            "",
        )
        if not name:
            raise errors.ServiceError(
                422,
                {
                    "title": "Invalid version or not permitted",
                    "status": 422,
                    "detail": "The field `version` names no model you may run.",
                },
            )
    _served(request, "replicate", name, "text-to-image")
    wanted = fields.obj(body, "input")
    card = Card.read(fields.text(wanted, "prompt"), wanted)
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return JSONResponse(
        {
            "id": f"practice{card.seed}",
            "model": name.split(":")[0],
            "version": version or "practice-test-card",
            "input": wanted,
            "logs": "",
            "output": [_link(request, card, "replicate.delivery")],
            "data_removed": False,
            "error": None,
            "status": "succeeded",
            "created_at": now,
            "completed_at": now,
        },
        201,
        headers={"x-inference-provider": "replicate"},
    )


def _link(request: Request, card: Card, host: str) -> str:
    """Where the picture is: at the provider's host if the router was reached by its own name, else
    on this server."""
    name = request.app.state.practice.pictures.keep(card)
    if request.url.hostname == "router.huggingface.co":
        return f"https://{host}/files/{name}"
    return f"{request.url.scheme}://{request.url.netloc}/files/{name}"


async def picture(request: Request) -> Response:
    """GET /files/{name}: no token needed, as with the providers' own file hosts."""
    card = request.app.state.practice.pictures.get(request.path_params["name"])
    if card is None:
        raise errors.not_found()
    return Response(
        await asyncio.to_thread(card.png),
        media_type="image/png",
        headers={"x-answered-by": "practice-test-card"},
    )
