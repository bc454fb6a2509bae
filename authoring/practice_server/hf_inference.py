"""Hugging Face's own provider, hf-inference: one path a model, the task given by the model or by
the path."""

import time

from starlette.requests import Request
from starlette.responses import Response

from . import errors
from .catalogue import Model
from .chat import chat_completion, text_completion
from .incoming import may_call, read_json
from .tasks import answer_task

PROVIDER = "hf-inference"


def _model(request: Request) -> Model:
    """The model of the path, if hf-inference serves it. Raises 404 for an unknown one, 410 for one
    it has given up."""
    may_call(request)
    name = request.path_params["name"]
    model = request.app.state.practice.catalogue.get(name)
    if model is None:
        raise errors.simple(404, f"Model {name} does not exist")
    if model.deprecated or (model.task == "text-generation" and not model.on(PROVIDER)):
        raise errors.deprecated()
    if not model.on(PROVIDER):
        raise errors.simple(400, f"Model {name} is not supported by provider {PROVIDER}")
    return model


async def by_model(request: Request) -> Response:
    """POST /hf-inference/models/{id}"""
    model = _model(request)
    return await answer_task(request, await read_json(request), model.task, model)


async def by_task(request: Request) -> Response:
    """POST /hf-inference/models/{id}/pipeline/{task}, and the older
    /hf-inference/pipeline/{task}/{id}."""
    model, task = _model(request), request.path_params["task"]
    if task not in (model.task, *model.tags):
        raise errors.simple(
            400, f"Model {model.id} does not support the task {task}; it is for {model.task}"
        )
    return await answer_task(request, await read_json(request), task, model)


async def chat(request: Request) -> Response:
    """POST /hf-inference/models/{id}/v1/chat/completions"""
    model = _model(request)
    if not model.chat:
        raise errors.not_a_chat_model(model.id)
    body, started = await read_json(request), time.perf_counter()
    response = await chat_completion(
        request,
        body,
        request.app.state.practice.chat,
        {"x-inference-provider": PROVIDER, "x-compute-type": "cpu"},
    )
    if response.media_type != "text/event-stream":
        response.headers["x-compute-time"] = f"{time.perf_counter() - started:.3f}"
    return response


async def text(request: Request) -> Response:
    """POST /hf-inference/models/{id}/v1/completions"""
    model = _model(request)
    if model.task != "text-generation":
        raise errors.chat_error(
            400,
            f"The requested model '{model.id}' does not generate text.",
            "model",
            "model_not_supported",
        )
    return await text_completion(
        request,
        await read_json(request),
        request.app.state.practice.chat,
        {"x-inference-provider": PROVIDER, "x-compute-type": "cpu"},
    )
