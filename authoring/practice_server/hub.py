"""The Hub's own routes: look-up of models, recommended models, who am I. And `/v1/models` of the
router."""

import hashlib
import time
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from . import errors
from .catalogue import CHAT_TASK, Catalogue, Model, Served
from .incoming import ORG, USER, bearer, signed_in

LIMIT, WINDOW = 1000, 300  # the Hub's bucket for its API: requests in a window of so many seconds
CREATED = "2025-01-01T00:00:00.000Z"


class RateLimit:
    """The Hub's rate-limit headers, counted but not enforced: at least one request always
    remains."""

    def __init__(self, clock=time.time):
        self._clock, self._window, self._used = clock, 0, 0

    def headers(self) -> dict[str, str]:
        now = int(self._clock())
        if now // WINDOW != self._window:
            self._window, self._used = now // WINDOW, 0
        self._used += 1
        return {
            "ratelimit": f'"api";r={max(LIMIT - self._used, 1)};t={WINDOW - now % WINDOW}',
            "ratelimit-policy": f'"fixed window";"api";q={LIMIT};w={WINDOW}',
        }


def _hex(name: str, length: int) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:length]


def _checked_token(request: Request) -> str | None:
    """The Hub answers anonymous look-ups too, but a token that is sent has to be a good one."""
    return signed_in(request) if bearer(request) else None


def mapping(model: Model) -> dict:
    return {
        served.provider: {
            "isModelAuthor": False,
            "providerId": served.id,
            "status": served.status,
            "task": served.task,
        }
        for served in model.providers
    }


def describe(model: Model) -> dict:
    tags = [model.task, *model.tags, "endpoints_compatible"]
    if model.chat:
        tags.append(CHAT_TASK)
    return {
        "_id": _hex(model.id, 24),
        "id": model.id,
        "private": False,
        "pipeline_tag": model.task,
        "library_name": "transformers",
        "tags": tags,
        "downloads": 0,
        "likes": 0,
        "modelId": model.id,
        "author": model.id.split("/")[0],
        "sha": _hex("sha" + model.id, 40),
        "lastModified": CREATED,
        "gated": "auto" if model.gated else False,
        "disabled": False,
        "createdAt": CREATED,
        "config": {},
        "cardData": {"pipeline_tag": model.task},
        "siblings": [{"rfilename": "config.json"}],
        "spaces": [],
    }


async def model_info(request: Request) -> Response:
    """GET /api/models/{id}, with or without `expand`."""
    practice = request.app.state.practice
    catalogue: Catalogue = practice.catalogue
    name, headers = request.path_params["name"], practice.rate_limit.headers()
    token = _checked_token(request)
    if name in catalogue.renamed:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/api/models/{catalogue.renamed[name]}{query}", 307, headers)
    model = catalogue.get(name)
    if model is None:
        headers["x-error-code"] = "RepoNotFound"
        if token is None:  # the Hub does not tell strangers whether a repository exists
            raise errors.simple(401, "Invalid username or password.", headers)
        headers["x-error-message"] = "Repository not found"
        raise errors.simple(404, "Repository not found", headers)
    expand = request.query_params.getlist("expand") + request.query_params.getlist("expand[]")
    if not expand:
        return JSONResponse(describe(model), headers=headers)
    everything = describe(model) | {"inferenceProviderMapping": mapping(model), "inference": "warm"}
    unknown = [wanted for wanted in expand if wanted not in everything]
    if unknown:
        raise errors.simple(
            400,
            f'"expand" must be one of [{", ".join(everything)}], got {", ".join(unknown)}',
            headers,
        )
    return JSONResponse(
        {name: everything[name] for name in ("_id", "id", *expand)}, headers=headers
    )


async def list_models(request: Request) -> Response:
    """GET /api/models: filtered by `inference_provider`, `pipeline_tag`, `search`, at most
    `limit`."""
    practice, query = request.app.state.practice, request.query_params
    headers = practice.rate_limit.headers()
    _checked_token(request)
    limit = query.get("limit", "1000")
    if not limit.isdecimal():
        raise errors.simple(400, '"limit" must be a whole number', headers)
    provider, task, search = (
        query.get("inference_provider"),
        query.get("pipeline_tag"),
        query.get("search", "").lower(),
    )
    rows = [
        describe(model)
        for model in practice.catalogue.models.values()
        if (not provider or (model.providers and provider == "all") or model.on(provider))
        and (not task or model.task == task)
        and search in model.id.lower()
    ]
    return JSONResponse(rows[: int(limit)], headers=headers)


async def tasks(request: Request) -> Response:
    """GET /api/tasks: the recommended model of each task."""
    practice = request.app.state.practice
    return JSONResponse(
        {
            task: {
                "id": task,
                "label": task.replace("-", " ").capitalize(),
                "libraries": ["transformers"],
                "models": [{"id": name, "description": ""}],
                "datasets": [],
                "spaces": [],
                "metrics": [],
                "widgetModels": [name],
            }
            for task, name in practice.catalogue.recommended.items()
        },
        headers=practice.rate_limit.headers(),
    )


async def whoami(request: Request) -> Response:
    """GET /api/whoami-v2: the one user and the one organization of this server."""
    token = signed_in(request)
    permissions = (
        []
        if "no_permission" in token
        else [
            "inference.serverless.write",
            "inference.endpoints.infer.write",
            "inference.endpoints.write",
        ]
    )
    return JSONResponse(
        {
            "type": "user",
            "id": _hex(USER, 24),
            "name": USER,
            "fullname": "Practice user",
            "isPro": False,
            "canPay": False,
            "emailVerified": True,
            "billingMode": "prepaid",
            "periodEnd": None,
            "orgs": [
                {
                    "type": "org",
                    "id": _hex(ORG, 24),
                    "name": ORG,
                    "fullname": "Practice organization",
                    "roleInOrg": "admin",
                    "isEnterprise": False,
                    "canPay": False,
                }
            ],
            "auth": {
                "type": "access_token",
                "accessToken": {
                    "displayName": "practice",
                    "role": "fineGrained",
                    "createdAt": CREATED,
                    "fineGrained": {
                        "canReadGatedRepos": True,
                        "global": [],
                        "scoped": [
                            {
                                "entity": {"_id": _hex(USER, 24), "type": "user", "name": USER},
                                "permissions": permissions,
                            }
                        ],
                    },
                },
            },
        },
        headers=request.app.state.practice.rate_limit.headers(),
    )


async def telemetry(request: Request) -> Response:
    return Response(status_code=200)


async def chat_models(request: Request) -> Response:
    """GET /v1/models of the router: the chat models and what their providers ask and offer."""
    catalogue: Catalogue = request.app.state.practice.catalogue
    created = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
    data = []
    for model in catalogue.chat_models():
        providers = [
            _offer(catalogue, model, served)
            for served in model.providers
            if served.task == CHAT_TASK
        ]
        data.append(
            {
                "id": model.id,
                "object": "model",
                "created": created,
                "owned_by": model.id.split("/")[0],
                "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
                "providers": providers,
            }
        )
    return JSONResponse({"object": "list", "data": data})


def _offer(catalogue: Catalogue, model: Model, served: Served) -> dict:
    """One provider's entry for a model. As in reality, a provider may leave out what it does not
    say or was not measured."""
    speed, latency = catalogue.speeds.get(served.provider, (40, 1.5))
    price, size = (
        catalogue.prices.get(served.provider, (0.1, 0.5)),
        catalogue.sizes.get(model.id, 1),
    )
    lacking = catalogue.lacking.get(served.provider, ())
    entry = {
        "provider": served.provider,
        "status": served.status,
        "context_length": model.context,
        "pricing": {"input": round(price[0] * size, 4), "output": round(price[1] * size, 4)},
        "is_free": price == [0.0, 0.0],
        "supports_tools": "supports_tools" not in lacking,
        "supports_structured_output": "supports_structured_output" not in lacking,
        "first_token_latency_ms": round(latency * 1000),
        "throughput": round(speed / size, 1),
        "is_model_author": False,
    }
    return {
        name: value
        for name, value in entry.items()
        if name not in catalogue.unsaid.get(served.provider, ())
    }
