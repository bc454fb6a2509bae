"""What a recording's calls would cost on the real service: token counts and seconds times the
prices of models.toml."""

import json
import math
from urllib.parse import urlsplit

from helpers.log import bodies
from helpers.models import Model, models
from helpers.replay.recording import Recording
from helpers.replay.storage import chunks


def rough_cost(recording: Recording) -> float:
    """US dollars for all calls of a recording. Refused calls (4xx, 5xx) cost nothing; without a
    known price they count as 0."""
    return sum(cost or 0.0 for cost in _costs(recording))


def say_cost(recording: Recording) -> str:
    """The same in words, for a banner; says so where prices are missing."""
    costs = _costs(recording)
    known, unknown = [cost for cost in costs if cost is not None], costs.count(None)
    said, total = [], sum(known)
    if known:
        about = f"about ${total:.{4 if total < 0.01 else 2}f}"
        said.append(f"{about if total >= 0.0001 else 'less than $0.0001'} of credits")
    if unknown:
        said.append(f"{unknown} call{'' if unknown == 1 else 's'} of unknown price")
    if any(_rents(record["request"]) for record in recording.records):
        said.append("an endpoint of your own, paid by the minute (you are asked first)")
    return " and ".join(said) or "free"


def _costs(recording: Recording) -> list[float | None]:
    """US dollars for each call that was answered; None where models.toml knows no price."""
    costs, paths = [], _paths(recording)
    for record in recording.records:
        request = record["request"]
        if request["method"] != "POST" or _at_endpoint(request):
            continue
        for kept in record["answers"]:
            if 200 <= kept["status"] < 300:
                model = _model(request) or paths.get(urlsplit(request["url"]).path)
                used = *_tokens(request, kept, recording), kept["seconds"], _megapixels(request)
                costs.append(model.cost(*used) if model and model.price else None)
    return costs


def _at_endpoint(request: dict) -> bool:
    """Whether a request goes to a dedicated endpoint or its control plane: the minutes are paid,
    not the requests."""
    host = urlsplit(request["url"]).hostname or ""
    return host.endswith(("endpoints.huggingface.cloud", "endpoints.huggingface.co"))


def _rents(request: dict) -> bool:
    """Whether a request creates an endpoint."""
    path = urlsplit(request["url"]).path
    creates = path.startswith(("/v2/endpoint/", "/api/v1/catalog/"))
    return request["method"] == "POST" and _at_endpoint(request) and creates


def _model(request: dict) -> Model | None:
    body = request.get("json")
    asked = body.get("model", "") if isinstance(body, dict) else ""
    in_url = (row for row in models if f"/{row.id}" in request["url"])
    return models.for_id(asked) or next(in_url, None)


def _paths(recording: Recording) -> dict[str, Model]:
    """{path: model} for providers that have their own name for a model in the address, from the
    recording's look-ups."""
    found = {}
    for answer in (kept.get("json") for record in recording.records for kept in record["answers"]):
        mapping = isinstance(answer, dict) and answer.get("inferenceProviderMapping")
        row = isinstance(mapping, dict) and models.for_id(str(answer.get("id")))
        for provider, entry in mapping.items() if row else ():
            found[f"/{provider}/{entry.get('providerId')}"] = row
    return found


def _megapixels(request: dict) -> float:
    """Size of the picture that was asked for; one where the request leaves the size to the model,
    or asks for no picture."""
    body = request.get("json")
    asked = body.get("image_size") if isinstance(body, dict) else None
    sides = [asked.get(side) for side in ("width", "height")] if isinstance(asked, dict) else [None]
    return math.prod(sides) / 1024**2 if all(isinstance(side, int) for side in sides) else 1.0


def _tokens(request: dict, kept: dict, recording: Recording) -> tuple[int, int]:
    """(prompt tokens, completion tokens) as the service counted them; estimated for a stream that
    does not say."""
    if "stream" in kept:
        said = bodies(chunks(kept, recording.path))
    else:
        said = [kept["json"]] if isinstance(kept.get("json"), dict) else []
    for body in reversed(said):
        if usage := body.get("usage"):
            return usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    if "stream" not in kept:
        return 0, 0
    # The usual rule of thumb: four letters a token; a stream sends about one token an event.
    return len(json.dumps(request.get("json"))) // 4, len(said)
