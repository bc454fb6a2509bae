"""What a retry has to know of the two clients: their timeouts, their own retries, and where to
listen."""

import warnings

from .run import current
from .waits import parse_ratelimit


def hf_client(**settings):
    """An InferenceClient that waits 60 s for an answer at most; its own default is for ever."""
    from huggingface_hub import InferenceClient

    return InferenceClient(**{"timeout": 60} | settings)


def openai_client(**settings):
    """An OpenAI client for Hugging Face with 60 s of timeout and no retries of its own: one place
    retries, this one.

    Raises ValueError if there is no Hugging Face token: openai would look for a key of OpenAI's,
    and send it here.
    """
    import huggingface_hub
    import openai

    if "base_url" not in settings and "api_key" not in settings:
        settings["api_key"] = huggingface_hub.get_token()
        if settings["api_key"] is None:
            raise ValueError("no Hugging Face token found: set HF_TOKEN, or run `hf auth login`")
    defaults = {"base_url": "https://router.huggingface.co/v1", "timeout": 60, "max_retries": 0}
    return openai.OpenAI(**defaults | settings)


def listen_to(client) -> None:
    """Pass the RateLimit headers of `client`'s answers on to the calls that asked for them."""
    http = getattr(client, "_async_client", getattr(client, "_client", client))
    if hasattr(client, "exit_stack") and not hasattr(http, "event_hooks"):
        import huggingface_hub as hub

        http = hub.get_session() if http is client else hub.get_async_session()
        if hasattr(client, "_async_client"):  # it makes its own with its first call
            client._async_client = http
            client.exit_stack.push_async_callback(http.aclose)
    if not hasattr(http, "event_hooks"):
        raise TypeError(
            f"cannot watch {type(client).__name__}: give the httpx2 client that it sends with"
        )
    hook = _alisten if hasattr(http, "aclose") else _listen
    if hook not in http.event_hooks["response"]:
        http.event_hooks["response"].append(hook)


def _listen(response) -> None:
    if (ticket := current.get()) is not None:
        ticket.limit = parse_ratelimit(response.headers)


async def _alisten(response) -> None:
    _listen(response)


def warn_of_two_layers(func) -> None:
    """Before the call: is it a method of an openai client that retries by itself?"""
    retries = getattr(getattr(getattr(func, "__self__", None), "_client", None), "max_retries", 0)
    if isinstance(retries, int) and retries:
        _warn(retries)


def warn_if_retried_inside(error: Exception) -> None:
    """After a failure: openai counts its own retries in a header of the request that it sends."""
    try:
        count = error.request.headers.get("x-stainless-retry-count", "0")
    except (AttributeError, RuntimeError):  # no request, or, in httpx, one that was not set
        return
    if count.isdigit() and int(count):
        _warn(int(count))


def _warn(retries: int) -> None:
    warnings.warn(
        f"openai retries {retries} times by itself inside this retry, so a failing call sends"
        f" {retries + 1} times as many requests. Retry in one place: OpenAI(max_retries=0), or"
        " client.with_options(max_retries=0).",
        stacklevel=4,
    )
