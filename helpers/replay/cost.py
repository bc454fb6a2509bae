"""What a recording's calls would cost on the real service: token counts and seconds times the
prices of models.toml."""

import json
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
    total = sum(known)
    missing = f"{unknown} call{'' if unknown == 1 else 's'} of unknown price" if unknown else ""
    rented = (
        "an endpoint of your own, paid by the minute (you are asked first)"
        if _rents(recording)
        else ""
    )
    if not known:
        return " and ".join(filter(None, [missing, rented])) or "free"
    amount = (
        "less than $0.0001" if total < 0.0001 else f"about ${total:.{4 if total < 0.01 else 2}f}"
    )
    return " and ".join(filter(None, [f"{amount} of credits", missing, rented]))


def _costs(recording: Recording) -> list[float | None]:
    """US dollars for each call that was answered; None where models.toml knows no price."""
    costs, paths = [], _paths(recording)
    for record in recording.records:
        request = record["request"]
        for kept in record["answers"]:
            if (
                request["method"] == "POST"
                and 200 <= kept["status"] < 300
                and not _at_endpoint(request)
            ):
                model = _model(request) or paths.get(urlsplit(request["url"]).path)
                tokens = _tokens(request, kept, recording)
                costs.append(
                    model.cost(*tokens, seconds=kept["seconds"], megapixels=_megapixels(request))
                    if model and model.price
                    else None
                )
    return costs


def _at_endpoint(request: dict) -> bool:
    """Whether a request goes to a dedicated endpoint or its control plane: the minutes are paid,
    not the requests."""
    return (urlsplit(request["url"]).hostname or "").endswith(
        ("endpoints.huggingface.cloud", "endpoints.huggingface.co")
    )


def _rents(recording: Recording) -> bool:
    """Whether a notebook creates an endpoint."""
    return any(
        record["request"]["method"] == "POST"
        and _at_endpoint(record["request"])
        and urlsplit(record["request"]["url"]).path.startswith(
            ("/v2/endpoint/", "/api/v1/catalog/")
        )
        for record in recording.records
    )


def _model(request: dict) -> Model | None:
    body = request.get("json")
    asked = body.get("model", "") if isinstance(body, dict) else ""
    return models.for_id(asked) or next(
        (row for row in models if f"/{row.id}" in request["url"]), None
    )


def _paths(recording: Recording) -> dict[str, Model]:
    """{path: model} for providers that have their own name for a model in the address, from the
    recording's look-ups."""
    found = {}
    for record in recording.records:
        for kept in record["answers"]:
            answer = kept.get("json")
            if (
                isinstance(answer, dict)
                and isinstance(answer.get("inferenceProviderMapping"), dict)
                and (row := models.for_id(str(answer.get("id"))))
            ):
                found |= {
                    f"/{provider}/{entry.get('providerId')}": row
                    for provider, entry in answer["inferenceProviderMapping"].items()
                }
    return found


def _megapixels(request: dict) -> float:
    """Size of the picture that was asked for; one where the request leaves the size to the model,
    or asks for no picture."""
    body = request.get("json")
    asked = body.get("image_size") if isinstance(body, dict) else None
    if isinstance(asked, dict) and all(
        isinstance(asked.get(side), int) for side in ("width", "height")
    ):
        return asked["width"] * asked["height"] / 1024**2
    return 1.0


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
    # About four letters a token is the usual rule of thumb; a stream sends about one token an
    # event.
    return len(json.dumps(request.get("json"))) // 4, len(said)
