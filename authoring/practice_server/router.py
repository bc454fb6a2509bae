"""The router's chat route, and the same under each provider's own path."""

from starlette.requests import Request
from starlette.responses import Response

from . import errors, fields
from .chat import chat_completion, text_completion
from .incoming import may_call, read_json

# Where each provider takes chat completions, relative to /{provider}: the paths huggingface_hub
# uses.
CHAT_PATHS = {
    "baseten": "v1",
    "cerebras": "v1",
    "cohere": "compatibility/v1",
    "deepinfra": "v1/openai",
    "featherless-ai": "v1",
    "fireworks-ai": "inference/v1",
    "groq": "openai/v1",
    "novita": "v3/openai",
    "nscale": "v1",
    "ovhcloud": "v1",
    "publicai": "v1",
    "scaleway": "v1",
    "together": "v1",
    "zai-org": "api/paas/v4",
}
# Providers that also continue plain text, at {path}/completions.
TEXT_PROVIDERS = ("deepinfra", "featherless-ai", "novita", "together")


async def chat(request: Request) -> Response:
    """POST /v1/chat/completions: the router picks a provider; `model` may end in :fastest,
    :cheapest, :preferred or :provider."""
    practice = request.app.state.practice
    may_call(request)
    body = await read_json(request)
    asked = fields.text(body, "model")
    name, _, policy = asked.partition(":")
    model = practice.catalogue.get(name)
    if model is None:
        raise errors.not_supported(asked)
    if not model.chat:
        raise errors.not_a_chat_model(asked)
    served = practice.catalogue.choose(model, policy)
    if served is None:
        raise errors.not_supported(asked)
    return await chat_completion(
        request, body, practice.chat, {"x-inference-provider": served.provider}
    )


async def provider_chat(request: Request, provider: str) -> Response:
    """POST /{provider}/{path}/chat/completions, with the provider's own model id."""
    practice, body, model = await _for_provider(request, provider)
    if not model.chat:
        raise errors.not_a_chat_model(body["model"])
    return await chat_completion(request, body, practice.chat, {"x-inference-provider": provider})


async def provider_text(request: Request, provider: str) -> Response:
    """POST /{provider}/{path}/completions."""
    practice, body, model = await _for_provider(request, provider)
    if model.task != "text-generation":
        raise errors.chat_error(
            400,
            f"The requested model '{body['model']}' does not generate text.",
            "model",
            "model_not_supported",
        )
    return await text_completion(request, body, practice.chat, {"x-inference-provider": provider})


async def _for_provider(request: Request, provider: str):
    practice = request.app.state.practice
    may_call(request)
    body = await read_json(request)
    asked = fields.text(body, "model")
    model = practice.catalogue.on_provider(provider, asked)
    if model is None:
        raise errors.chat_error(
            404,
            f"The model '{asked}' does not exist on {provider} or you do not have access to it.",
            "model",
            "model_not_found",
        )
    return practice, body, model
