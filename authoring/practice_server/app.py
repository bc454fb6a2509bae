"""The application: which request goes where.

One app answers for all the service's hosts. A request may come under the host's own name (in
`Host`, or in `X-Forwarded-Host` when it was forwarded) or straight to 127.0.0.1; then the path
alone decides.
"""

import logging
import time
import uuid
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Host, Route, Router

from . import endpoints, errors, hf_inference, hub, providers, router
from . import weights as registry
from .catalogue import Catalogue
from .embeddings import Embedder
from .llm import ChatModel
from .ner import EntityRecognizer

# What the makers of the chat models advise; used where a request does not say otherwise.
CHAT_DEFAULTS = {
    "qwen": {"temperature": 0.7, "top_p": 0.8, "repeat_penalty": 1.1},
    "smollm2": {"temperature": 0.2, "top_p": 0.9, "repeat_penalty": 1.1},
}


@dataclass
class Practice:
    """Everything the routes share; found at `app.state.practice`."""

    catalogue: Catalogue
    chat: ChatModel
    embedder: Embedder
    recognizer: EntityRecognizer
    pictures: providers.Pictures
    endpoints: endpoints.ControlPlane
    rate_limit: hub.RateLimit


def create_app(
    weights: str = "smollm2",
    speed: float = 20.0,
    threads: int = 1,
    clock: endpoints.Clock | None = None,
) -> Starlette:
    """The practice server as an ASGI application. Models are loaded on first use; `load_all` loads
    them at once.

    weights : the chat weights, "smollm2" or "qwen".
    threads : how many threads the chat model computes with.
    speed : how many times as fast as in reality endpoints start and fall asleep; `clock` replaces
        that clock (for tests).
    """
    if weights not in CHAT_DEFAULTS:
        raise ValueError(
            f"no chat weights called {weights!r}; there are: {', '.join(CHAT_DEFAULTS)}"
        )
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if speed <= 0:
        raise ValueError(f"speed must be greater than 0, got {speed}")
    catalogue = Catalogue()
    practice = Practice(
        catalogue=catalogue,
        chat=ChatModel(registry.REGISTRY[weights], CHAT_DEFAULTS[weights], threads),
        embedder=Embedder(),
        recognizer=EntityRecognizer(),
        pictures=providers.Pictures(),
        endpoints=endpoints.ControlPlane(clock or endpoints.Clock(speed), catalogue),
        rate_limit=hub.RateLimit(),
    )
    app = Starlette(
        routes=_routes(),
        exception_handlers={
            errors.ServiceError: lambda request, error: error.response(),
            HTTPException: _http_error,
            registry.WeightsMissing: _no_model,
            registry.WeightsDamaged: _no_model,
            ImportError: _no_model,
        },
    )
    app.state.practice = practice
    app.add_middleware(Provenance)
    app.add_middleware(ForwardedHost)
    return app


def load_all(app: Starlette) -> list[str]:
    """Load every model now, so that no request waits for it. Returns one message for each that
    can't be had."""
    practice, problems = app.state.practice, []
    for model in (practice.chat, practice.embedder, practice.recognizer):
        try:
            model.load()
        except (registry.WeightsMissing, registry.WeightsDamaged, ImportError) as error:
            problems.append(_why(error))
    return problems


def _post(path: str, answer, **known) -> Route:
    """A route for POST; `known` is passed to `answer` beside the request."""
    return Route(path, partial(answer, **known), methods=["POST"])


def _routes() -> list:
    everything = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    control = [
        Route("/v2/endpoint/{namespace}", endpoints.list_or_create, methods=["GET", "POST"]),
        Route("/v2/endpoint/{namespace}/{name}", endpoints.one, methods=["GET", "PUT", "DELETE"]),
        _post("/v2/endpoint/{namespace}/{name}/{action}", endpoints.act),
        Route("/v2/provider/{namespace}", endpoints.list_hardware),
    ]
    at_endpoint = [Route("/{path:path}", endpoints.at_endpoint, methods=everything)]
    return [
        Host(
            "api-inference.huggingface.co",
            Router([Route("/{path:path}", gone, methods=everything)]),
        ),
        Host("api.endpoints.huggingface.cloud", Router(control)),
        Host("{name}.endpoints.huggingface.cloud", Router(at_endpoint)),
        Route("/health", health),
        Route("/api/models", hub.list_models),
        Route("/api/models/{name:path}", hub.model_info),
        Route("/api/tasks", hub.tasks),
        Route("/api/whoami-v2", hub.whoami),
        Route("/api/telemetry/{path:path}", hub.telemetry),
        Route("/v1/models", hub.chat_models),
        _post("/v1/chat/completions", router.chat),
        *(
            _post(f"/{provider}/{path}/chat/completions", router.provider_chat, provider=provider)
            for provider, path in router.CHAT_PATHS.items()
        ),
        *(
            _post(
                f"/{provider}/{router.CHAT_PATHS[provider]}/completions",
                router.provider_text,
                provider=provider,
            )
            for provider in router.TEXT_PROVIDERS
        ),
        *(
            _post(f"/{provider}/{path}/embeddings", providers.embeddings, provider=provider)
            for provider, path in providers.EMBEDDING_PATHS.items()
        ),
        *(
            _post(f"/{provider}/v1/images/generations", providers.images, provider=provider)
            for provider in providers.IMAGE_PROVIDERS
        ),
        Route("/fal-ai/{name:path}/requests/{number:path}", providers.fal_queue),
        _post("/fal-ai/{name:path}", providers.fal),
        _post("/replicate/v1/models/{name:path}/predictions", providers.replicate),
        _post("/replicate/v1/predictions", providers.replicate),
        Route("/files/{name}", providers.picture),
        _post("/hf-inference/models/{name:path}/v1/chat/completions", hf_inference.chat),
        _post("/hf-inference/models/{name:path}/v1/completions", hf_inference.text),
        _post("/hf-inference/models/{name:path}/pipeline/{task}", hf_inference.by_task),
        _post("/hf-inference/models/{name:path}", hf_inference.by_model),
        _post("/hf-inference/pipeline/{task}/{name:path}", hf_inference.by_task),
        *control,
        Route("/api/v1/catalog/list", endpoints.list_catalog),
        *(
            _post(f"/api/v1/catalog/{what}/deploy", endpoints.deploy_from_catalog)
            for what in ("model/{wanted:path}", "recipe/{wanted}")
        ),
        Route("/endpoints/{name}", endpoints.at_endpoint, methods=everything),
        Route("/endpoints/{name}/{path:path}", endpoints.at_endpoint, methods=everything),
    ]


async def health(request: Request) -> Response:
    return JSONResponse({"status": "ok", "chat": request.app.state.practice.chat.weights.title})


async def gone(request: Request) -> Response:
    raise errors.gone()


def _http_error(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse(error.detail, error.status_code, error.headers)


def _why(error: Exception) -> str:
    """Why a model can't answer, and what to do about it."""
    if isinstance(error, ImportError):
        return f"{error}. The models' libraries come with: pip install -e '.[practice]'"
    return str(error)


def _no_model(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": _why(error)}, 503)


class ForwardedHost:
    """A request that was forwarded keeps the host that it was meant for."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if b"x-forwarded-host" in headers:
                headers[b"host"] = headers[b"x-forwarded-host"]
                scope = {**scope, "headers": list(headers.items())}
        await self.app(scope, receive, send)


class Provenance:
    """Every response says who answered and has a request id; and nothing that breaks here leaves a
    caller without an answer."""

    def __init__(self, app):
        self.app = app
        self.defaults = {
            "x-answered-by": "practice server",
            "x-answered-runtime": f"starlette {version('starlette')}",
        }

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_marked(message):
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in self.defaults.items():
                    headers.setdefault(name, value)
                # The form of the real ids: a trace id with its time, then a random id.
                headers.setdefault(
                    "x-request-id",
                    f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};{uuid.uuid4()}",
                )
            await send(message)

        try:
            await self.app(scope, receive, send_marked)
        except Exception:
            logging.getLogger("practice_server").exception("%s %s", scope["method"], scope["path"])
            if started:
                raise
            response = JSONResponse(
                {
                    "error": (
                        "The practice server failed; its log says why. This is a bug of the course."
                    )
                },
                500,
            )
            await response(scope, receive, send_marked)
