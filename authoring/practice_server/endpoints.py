"""The control plane of Inference Endpoints, and the endpoints it "deploys".

An endpoint here is a record and a timetable. Its state is worked out from the clock whenever
somebody looks: created, it is `pending`, then `initializing`, then `running`; idle for its timeout
it is `scaledToZero`; a request wakes it. Nothing runs in the background. `--speed N` makes that
clock run N times as fast.

While it runs, the practice models answer at its URL: chat on every text-generation image, the root
for TGI and for tasks of the plain image, 404 at the root for vLLM and SGLang, as the real
containers do.
"""

import asyncio
import re
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import errors, fields
from .catalogue import Model
from .chat import chat_completion, text_completion, who
from .incoming import USER, bearer, read_json, signed_in
from .tasks import answer_task

PENDING, STARTING, UPDATING = 3, 57, 30  # seconds in each state, on the endpoints' clock
WAKING = 40  # seconds from zero replicas to an answer
LONGEST_HOLD = 120  # real seconds a request may be held with X-Scale-Up-Timeout
TYPES = ("public", "authenticated", "private")
ENGINES_WITHOUT_ROOT = ("vLLM", "sGLang", "llamacpp")
# Somebody else's public endpoint that is always there, so that a lesson can call
# text-generation-inference without deploying.
ALWAYS_ON = {
    "name": "course-tgi",
    "type": "public",
    "provider": {"vendor": "aws", "region": "us-east-1"},
    "compute": {
        "accelerator": "cpu",
        "instanceType": "intel-spr",
        "instanceSize": "x1",
        "scaling": {"minReplica": 1, "maxReplica": 1},
    },
    "model": {
        "repository": "Qwen/Qwen2.5-Coder-32B-Instruct",
        "task": "text-generation",
        "image": {"tgi": {}},
    },
}
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def problem(field: str, why: str) -> errors.ServiceError:
    return errors.simple(400, f"Bad Request: `{field}` {why}")


class Clock:
    """Time that runs `speed` times as fast as the real one. Seconds since the epoch."""

    def __init__(self, speed: float = 1.0, real: Callable[[], float] = time.time):
        self.speed, self._real = speed, real
        self._start = real()

    def __call__(self) -> float:
        return self._start + (self._real() - self._start) * self.speed

    def real_seconds(self, seconds: float) -> float:
        return seconds / self.speed


class Endpoint:
    """One deployed model. `raw(url)` is what the control plane shows."""

    def __init__(self, spec: dict, model: Model, clock: Clock):
        self.spec, self.model, self._clock = spec, model, clock
        self.name, self.type = spec["name"], spec["type"]
        self.created = self.updated = self.used = clock()
        self.start(PENDING)

    def start(self, pending: float = 0, starting: float = STARTING) -> None:
        """Begin to come up: `pending` seconds of waiting for hardware, `starting` of loading.
        Awoken, it keeps its URL."""
        self._has_url = pending == 0
        now = self._clock()
        self._plan = [("pending", now + pending), ("initializing", now + pending + starting)]
        self._rest, self.used, self.updated = "running", now + pending + starting, now

    def stop(self, state: str) -> None:
        self._plan, self._rest, self.updated = [], state, self._clock()

    def change(self, spec: dict, model: Model) -> None:
        """Take a new configuration; a running endpoint is `updating` for a while, a stopped one
        stays stopped."""
        state, now = self.state, self._clock()
        self.spec, self.model, self.updated = spec, model, now
        if state not in ("paused", "scaledToZero"):
            self._plan, self._rest, self.used = (
                [("updating", now + UPDATING)],
                "running",
                now + UPDATING,
            )

    @property
    def scaling(self) -> dict:
        return self.spec["compute"]["scaling"]

    @property
    def state(self) -> str:
        now = self._clock()
        for state, until in self._plan:
            if now < until:
                return state
        minutes = self.scaling.get("scaleToZeroTimeout")
        if (
            self._rest == "running"
            and self.scaling["minReplica"] == 0
            and minutes
            and now - self.used > minutes * 60
        ):
            self.stop("scaledToZero")
        return self._rest

    @property
    def engine(self) -> str:
        return next(iter(self.spec["model"]["image"]), "huggingface")

    @property
    def task(self) -> str:
        return self.spec["model"]["task"]

    def raw(self, url: str) -> dict:
        state = self.state
        status = {
            "createdAt": _iso(self.created),
            "createdBy": {"id": USER, "name": USER},
            "updatedAt": _iso(self.updated),
            "updatedBy": {"id": USER, "name": USER},
            "private": None,
            "state": state,
            "message": _MESSAGES[state],
            "readyReplica": int(state in ("running", "updating")),
            "targetReplica": (
                0 if state in ("paused", "scaledToZero") else max(1, self.scaling["minReplica"])
            ),
        }
        if state in ("running", "updating", "scaledToZero") or (
            state == "initializing" and self._has_url
        ):
            status["url"] = url
        model = {
            name: value
            for name, value in self.spec["model"].items()
            if name not in ("env", "secrets")
        }
        return {
            "name": self.name,
            "type": self.type,
            "accountId": None,
            "provider": self.spec["provider"],
            "healthRoute": "/health",
            "compute": self.spec["compute"],
            "model": model,
            "tags": self.spec.get("tags", []),
            "status": status,
        }


_MESSAGES = {
    "pending": "Endpoint waiting to be scheduled",
    "initializing": "Endpoint is initializing",
    "running": "Endpoint is ready",
    "updating": "Endpoint is updating",
    "paused": "Endpoint is paused",
    "scaledToZero": "Endpoint scaled to zero",
}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class ControlPlane:
    """All endpoints of all namespaces of this server, and the hardware they may run on."""

    def __init__(self, clock: Clock, catalogue):
        self.clock, self.catalogue = clock, catalogue
        self.endpoints: dict[tuple[str, str], Endpoint] = {}
        self.hardware = tomllib.loads(
            Path(__file__).with_name("hardware.toml").read_text(encoding="utf-8")
        )["instances"]
        ready = Endpoint(ALWAYS_ON, catalogue.get(ALWAYS_ON["model"]["repository"]), clock)
        ready.start(0, 0)
        self.endpoints["course", ready.name] = ready

    def get(self, namespace: str, name: str) -> Endpoint:
        endpoint = self.endpoints.get((namespace, name))
        if endpoint is None:
            raise errors.simple(404, f"Endpoint not found: {namespace}/{name}")
        return endpoint

    def named(self, name: str) -> Endpoint | None:
        return next(
            (endpoint for (_, known), endpoint in self.endpoints.items() if known == name), None
        )

    def instance(self, spec: dict) -> dict:
        """The hardware a configuration asks for. Raises 400 naming the field that fits none."""
        compute, provider = spec["compute"], spec["provider"]
        rows = self.hardware
        for field, value, key in (
            ("provider.vendor", provider["vendor"], "vendor"),
            ("provider.region", provider["region"], "region"),
            ("compute.accelerator", compute["accelerator"], "accelerator"),
            ("compute.instanceType", compute["instanceType"], "type"),
        ):
            choices = sorted({row[key] for row in rows})
            rows = [row for row in rows if row[key] == value]
            if not rows:
                raise problem(field, f"must be one of {', '.join(choices)} here, got {value!r}")
        if compute["instanceSize"] not in rows[0]["sizes"]:
            raise problem(
                "compute.instanceSize",
                f"must be one of {', '.join(rows[0]['sizes'])}, got {compute['instanceSize']!r}",
            )
        if rows[0].get("status") == "deprecated":
            raise problem(
                "compute.instanceType", f"{compute['instanceType']} is deprecated; choose another"
            )
        return rows[0]


# ---- reading a configuration ----


def check(spec: dict, plane: ControlPlane) -> tuple[dict, Model]:
    """A configuration with every field that matters checked and filled in, and its model. Raises
    400 naming the field."""
    name = fields.text(spec, "name", error=problem)
    if not NAME.fullmatch(name):
        raise problem(
            "name",
            "must be 1 to 32 lower-case letters, digits and hyphens, and not begin or end with a"
            " hyphen",
        )
    kind = fields.text(spec, "type", "authenticated", error=problem)
    if kind not in TYPES:
        raise problem("type", f"must be one of {', '.join(TYPES)}, got {kind!r}")
    provider, compute, model = (
        fields.obj(spec, part, error=problem) for part in ("provider", "compute", "model")
    )
    scaling = fields.obj(compute, "scaling", error=problem)
    low = fields.integer(scaling, "minReplica", 0, 100, error=problem)
    high = fields.integer(scaling, "maxReplica", 1, 100, error=problem)
    low, high = 1 if low is None else low, 1 if high is None else high
    if low > high:
        raise problem("minReplica", f"must not be greater than maxReplica, got {low} and {high}")
    timeout = fields.integer(scaling, "scaleToZeroTimeout", 1, 60 * 24 * 30, error=problem)
    if timeout is not None and low > 0:
        raise problem("scaleToZeroTimeout", f"needs minReplica 0, got {low}")
    repository = fields.text(model, "repository", error=problem)
    known = plane.catalogue.get(repository)
    if known is None:
        raise problem(
            "model.repository", f"{repository} does not exist or you do not have access to it"
        )
    image = fields.obj(model, "image", error=problem) or {"huggingface": {}}
    checked = spec | {
        "name": name,
        "type": kind,
        "provider": {
            part: fields.text(provider, part, error=problem) for part in ("vendor", "region")
        },
        "compute": (
            {
                part: fields.text(compute, part, error=problem)
                for part in ("accelerator", "instanceSize", "instanceType")
            }
            | {
                "scaling": {
                    **scaling,
                    "minReplica": low,
                    "maxReplica": high,
                    "scaleToZeroTimeout": timeout,
                }
            }
        ),
        "model": (
            model
            | {
                "image": image,
                "framework": fields.text(model, "framework", "pytorch", error=problem),
                "revision": fields.text(model, "revision", "main", error=problem),
                "task": fields.text(model, "task", known.task, error=problem),
                "repository": repository,
            }
        ),
    }
    plane.instance(checked)
    return checked, known


def merged(old: dict, new: dict) -> dict:
    return {
        **old,
        **{
            name: (
                merged(old[name], value)
                if isinstance(old.get(name), dict) and isinstance(value, dict) and name != "image"
                else value
            )
            for name, value in new.items()
        },
    }


# ---- the control plane's routes ----


def _plane(request: Request) -> ControlPlane:
    """The control plane, for a caller who may use it in the namespace of the path."""
    token = signed_in(request)
    if "no_permission" in token:
        raise errors.simple(
            403, "Forbidden: your token does not have the permission to manage Inference Endpoints"
        )
    return request.app.state.practice.endpoints


def _url(request: Request, endpoint: Endpoint) -> str:
    """Where an endpoint answers: its own host if the control plane was reached by its own, else a
    path on this server."""
    if request.url.hostname and request.url.hostname.endswith("huggingface.cloud"):
        provider = endpoint.spec["provider"]
        place = f"{provider['region']}.{provider['vendor']}"
        return f"https://{endpoint.name}.{place}.endpoints.huggingface.cloud"
    return f"{request.url.scheme}://{request.url.netloc}/endpoints/{endpoint.name}"


async def list_or_create(request: Request) -> Response:
    plane, namespace = _plane(request), request.path_params["namespace"]
    if request.method == "GET":
        return JSONResponse(
            {
                "items": [
                    endpoint.raw(_url(request, endpoint))
                    for (owner, _), endpoint in plane.endpoints.items()
                    if owner == namespace
                ]
            }
        )
    return JSONResponse(_create(request, plane, namespace, await read_json(request)))


def _create(request: Request, plane: ControlPlane, namespace: str, body: dict) -> dict:
    if "no_credits" in (bearer(request) or ""):
        raise errors.simple(
            402, "Payment required: add a payment method or credits to create an endpoint"
        )
    spec, model = check(body, plane)
    if plane.named(spec["name"]):
        raise errors.simple(409, f"Conflict: an endpoint named {spec['name']} already exists")
    endpoint = plane.endpoints[namespace, spec["name"]] = Endpoint(spec, model, plane.clock)
    return endpoint.raw(_url(request, endpoint))


async def one(request: Request) -> Response:
    """GET, PUT or DELETE of one endpoint."""
    plane, namespace, name = (
        _plane(request),
        request.path_params["namespace"],
        request.path_params["name"],
    )
    endpoint = plane.get(namespace, name)
    if request.method == "PUT":
        body = await read_json(request)
        body.pop("name", None)
        endpoint.change(*check(merged(endpoint.spec, body), plane))
        endpoint.type = endpoint.spec["type"]
    if request.method == "DELETE":
        del plane.endpoints[namespace, name]
        return JSONResponse({})
    return JSONResponse(endpoint.raw(_url(request, endpoint)))


async def act(request: Request) -> Response:
    """POST …/pause, …/resume, …/scale-to-zero."""
    endpoint = _plane(request).get(request.path_params["namespace"], request.path_params["name"])
    action, state = request.path_params["action"], endpoint.state
    if action == "pause" and state != "paused":
        endpoint.stop("paused")
    elif action == "resume":
        if state not in ("paused", "scaledToZero"):
            raise errors.simple(400, f"Bad Request: Endpoint is already running (state: {state})")
        endpoint.start(PENDING)
    elif action == "scale-to-zero" and state != "scaledToZero":
        if endpoint.scaling["minReplica"] > 0:
            raise errors.simple(
                400, "Bad Request: an endpoint can be scaled to zero only if its minReplica is 0"
            )
        if state == "paused":
            raise errors.simple(400, "Bad Request: Invalid state: the endpoint is paused")
        endpoint.stop("scaledToZero")
    elif action not in ("pause", "scale-to-zero"):
        raise errors.not_found()
    return JSONResponse(endpoint.raw(_url(request, endpoint)))


async def list_hardware(request: Request) -> Response:
    """GET /v2/provider/{namespace}: every instance with its price and the namespace's quota."""
    plane = _plane(request)
    used: dict[str, int] = {}
    for (owner, _), endpoint in plane.endpoints.items():
        if (
            owner == request.path_params["namespace"] and endpoint.state != "paused"
        ):  # asleep, it keeps its place
            kind = endpoint.spec["compute"]["instanceType"]
            used[kind] = used.get(kind, 0) + 1
    vendors: dict[str, dict[str, list]] = {}
    for row in plane.hardware:
        computes = vendors.setdefault(row["vendor"], {}).setdefault(row["region"], [])
        for size, price in row["sizes"].items():
            n = int(size[1:])
            computes.append(
                {
                    "id": f"{row['vendor']}-{row['region']}-{row['type']}-{size}",
                    "accelerator": row["accelerator"],
                    "instanceType": row["type"],
                    "instanceSize": size,
                    "architecture": row["architecture"],
                    "numAccelerators": n,
                    "numCpus": row["cpus"] * n,
                    "memoryGb": row["memory"] * n,
                    "gpuMemoryGb": row["gpu_memory"] * n if "gpu_memory" in row else None,
                    "pricePerHour": price,
                    "status": row.get("status", "available"),
                    "quota": {"maxAccelerators": 8, "usedAccelerators": used.get(row["type"], 0)},
                }
            )
    return JSONResponse(
        {
            "vendors": [
                {
                    "name": vendor,
                    "regions": [
                        {"name": region, "computes": computes}
                        for region, computes in regions.items()
                    ],
                }
                for vendor, regions in vendors.items()
            ]
        }
    )


# ---- the catalog of tested deployments (endpoints.huggingface.co) ----


def _recipes(model: Model) -> list[dict]:
    recipes = [
        {
            "publicId": f"practice-gpu-{model.id.split('/')[-1].lower()}",
            "accelerator": "gpu",
            "engineType": "vllm",
        }
    ]
    return [recipe | {"ggufFile": None, "revision": None} for recipe in recipes]


def _deployable(plane: ControlPlane) -> list[Model]:
    return [
        model for model in plane.catalogue.models.values() if model.chat and not model.deprecated
    ]


async def list_catalog(request: Request) -> Response:
    plane, query = _plane(request), request.query_params
    limit = query.get("limit", "100")
    if not limit.isdecimal():
        raise errors.simple(400, "Bad Request: `limit` must be a whole number")
    items = [
        {
            "repoId": model.id,
            "modelName": model.id.split("/")[-1],
            "authorName": model.id.split("/")[0],
            "license": "Apache 2.0",
            "task": model.task,
            "createdAt": "2025-01-01T00:00:00.000Z",
            "recipes": _recipes(model),
        }
        for model in _deployable(plane)
        if query.get("task", model.task) == model.task
        and query.get("search", "").lower() in model.id.lower()
        and query.get("engine", "vllm") == "vllm"
        and query.get("accelerator", "gpu") == "gpu"
    ]
    return JSONResponse({"items": items[: int(limit)]})


async def deploy_from_catalog(request: Request) -> Response:
    """POST …/catalog/model/{repo}/deploy and …/catalog/recipe/{id}/deploy."""
    plane, wanted = _plane(request), request.path_params["wanted"]
    body = await read_json(request)
    namespace = fields.text(body, "namespace", error=problem)
    model = next(
        (
            model
            for model in _deployable(plane)
            if wanted in (model.id, _recipes(model)[0]["publicId"])
        ),
        None,
    )
    if model is None:
        raise errors.simple(404, f"Not found: no recipe in the catalog for {wanted}")
    short = re.sub(r"[^a-z0-9-]+", "-", model.id.split("/")[-1].lower())[:24].strip("-")
    name = fields.text(
        fields.obj(body, "config", error=problem),
        "name",
        f"{short}-{len(plane.endpoints):03d}",
        error=problem,
    )
    raw = _create(
        request,
        plane,
        namespace,
        {
            "name": name,
            "type": "authenticated",
            "provider": {"vendor": "aws", "region": "us-east-1"},
            "compute": {
                "accelerator": "gpu",
                "instanceType": "nvidia-l4",
                "instanceSize": "x1",
                "scaling": {"minReplica": 0, "maxReplica": 1, "scaleToZeroTimeout": 60},
            },
            "model": {
                "repository": model.id,
                "framework": "pytorch",
                "task": model.task,
                "image": {
                    "vLLM": {
                        "url": "vllm/vllm-openai:v0.23.0",
                        "port": 8000,
                        "healthRoute": "/health",
                    }
                },
            },
        },
    )
    return JSONResponse({"endpoint": raw})


# ---- an endpoint at its own URL ----


async def _awake(request: Request, name: str) -> Endpoint:
    """The endpoint, if it can answer now. A sleeping one is woken: 503 meanwhile, or held if
    X-Scale-Up-Timeout asks for it."""
    plane: ControlPlane = request.app.state.practice.endpoints
    endpoint = plane.named(name)
    if endpoint is None:
        raise errors.not_found()
    if endpoint.type != "public":
        signed_in(request)
    state = endpoint.state
    if state == "paused":
        raise errors.simple(400, "Bad Request: Invalid state")
    if state == "scaledToZero":
        endpoint.start(0, WAKING)
    if endpoint.state not in ("running", "updating"):
        header = request.headers.get("x-scale-up-timeout", "0")
        patience = (
            min(float(header), LONGEST_HOLD) if re.fullmatch(r"\d{1,6}(\.\d+)?", header) else 0
        )
        try:
            async with asyncio.timeout(patience):
                while endpoint.state not in ("running", "updating", "paused"):
                    await asyncio.sleep(min(0.2, plane.clock.real_seconds(1)))
        except TimeoutError:
            raise errors.simple(503, "503 Service Unavailable: the endpoint is starting") from None
        if endpoint.state == "paused":
            raise errors.simple(400, "Bad Request: Invalid state")
    endpoint.used = plane.clock()
    return endpoint


async def at_endpoint(request: Request) -> Response:
    """Everything under an endpoint's URL: /health, /v1/models, /v1/chat/completions,
    /v1/completions, /."""
    practice = request.app.state.practice
    path = "/" + request.path_params.get("path", "").strip("/")
    name = request.path_params["name"].split(".")[
        0
    ]  # of <name>.<region>.<vendor>.endpoints.huggingface.cloud
    plane: ControlPlane = practice.endpoints
    if path == "/health":  # looking does not wake an endpoint
        endpoint = plane.named(name)
        if endpoint is None:
            raise errors.not_found()
        if endpoint.state not in ("running", "updating"):
            raise errors.simple(503, "503 Service Unavailable")
        return Response(status_code=200)
    endpoint = await _awake(request, name)
    routes = {
        "/v1/models": "GET",
        "/v1/chat/completions": "POST",
        "/v1/completions": "POST",
        "/": "POST",
    }
    generates = endpoint.task in ("text-generation", "conversational")
    if (
        path not in routes
        or (path == "/" and endpoint.engine in ENGINES_WITHOUT_ROOT)
        or (path != "/" and not generates)
    ):
        raise errors.ServiceError(404, {"detail": "Not Found"})
    if request.method != routes[path]:
        raise errors.ServiceError(405, {"detail": "Method Not Allowed"})
    if path == "/v1/models":
        return JSONResponse(
            {
                "object": "list",
                "data": [{"id": endpoint.model.id, "object": "model", "owned_by": endpoint.engine}],
            },
            headers=who(practice.chat),
        )
    body = await read_json(request)
    try:
        if path == "/v1/chat/completions":
            return await chat_completion(request, body, practice.chat)
        if path == "/v1/completions":
            return await text_completion(request, body, practice.chat)
        return await answer_task(
            request, body, "text-generation" if generates else endpoint.task, endpoint.model
        )
    finally:
        endpoint.used = plane.clock()
