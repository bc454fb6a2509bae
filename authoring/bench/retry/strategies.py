"""The strategies of the benchmark: each is a function of a base URL that returns `call()`, one chat
completion.

Those of `ASYNC` return a coroutine function `run(calls)` instead, which makes all calls and returns
one outcome for each.
"""

import asyncio
import time

MESSAGES = [{"role": "user", "content": "hello"}]
RETRYABLE = {408, 429, 500, 502, 503, 504}


def hub(url):
    """InferenceClient, 60 s of timeout."""
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=url, api_key="k", timeout=60)
    return lambda: client.chat_completion(MESSAGES)


def openai_client(url, retries=0, asynchronous=False):
    import openai

    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    return kind(base_url=url, api_key="k", timeout=60, max_retries=retries)


def openai_call(url, retries):
    client = openai_client(url, retries)
    return lambda: client.chat.completions.create(model="m", messages=MESSAGES)


def retryable(error) -> bool:
    """What a careful user writes for a library that wants a predicate: by status, and by httpx2's
    classes."""
    import httpx2

    response = getattr(error, "response", None)
    if response is not None:
        return response.status_code in RETRYABLE
    return isinstance(
        error, (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)
    )


def said(error) -> float | None:
    """The seconds in Retry-After, as most examples read it."""
    try:
        return float(error.response.headers["retry-after"])
    except (AttributeError, KeyError, ValueError):
        return None


def old_lesson(url):
    """The `call_with_retry` of the short lesson that this course grew out of, word for word in what
    it does."""
    from huggingface_hub.utils import HfHubHTTPError

    ask = hub(url)

    def call(max_retries=3, backoff_base=2.0):
        for attempt in range(max_retries):
            try:
                return ask()
            except HfHubHTTPError as error:
                text = str(error)
                if "429" in text or "rate limit" in text.lower():
                    time.sleep(backoff_base**attempt)
                elif "503" in text or "loading" in text.lower():
                    time.sleep(20)
                else:
                    raise
        raise RuntimeError(f"Failed after {max_retries} retries")

    return call


def http_backoff(url):
    from huggingface_hub.utils import hf_raise_for_status, http_backoff

    def call():
        response = http_backoff(
            "POST", f"{url}/chat/completions", json={"messages": MESSAGES}, timeout=60
        )
        hf_raise_for_status(response)
        return response.json()

    return call


def tenacity(url, header=False):
    """The settings of the OpenAI cookbook; with `header`, the wait that the server asked for where
    it did."""
    import tenacity

    jitter = tenacity.wait_random_exponential(min=1, max=60)

    def wait(state):
        seconds = said(state.outcome.exception()) if header else None
        return jitter(state) if seconds is None else seconds

    return tenacity.retry(
        retry=tenacity.retry_if_exception(retryable),
        wait=wait,
        stop=tenacity.stop_after_attempt(6),
        reraise=True,
    )(hub(url))


def stamina(url, hook=False):
    """Its defaults; with `hook`, timeouts that fit a window and `classify` of helpers.retry, as
    lesson 03 shows."""
    import stamina

    if not hook:
        return stamina.retry(on=retryable)(hub(url))
    from helpers.retry import classify

    def decide(error):
        verdict = classify(error)
        return verdict.kind != "fatal" and (verdict.wait or verdict.estimate or True)

    return stamina.retry(on=decide, timeout=600, attempts=10)(hub(url))


def backoff(url):
    import backoff

    return backoff.on_exception(
        backoff.expo,
        Exception,
        max_tries=6,
        max_value=60,
        giveup=lambda e: not retryable(e),
        logger=None,
    )(hub(url))


def ours(url, client="hub", watch=False):
    from helpers.retry import RetryPolicy

    policy = RetryPolicy()
    if client == "openai":
        made = openai_client(url)
        ask = lambda: made.chat.completions.create(model="m", messages=MESSAGES)
    else:
        from huggingface_hub import InferenceClient

        made = InferenceClient(base_url=url, api_key="k", timeout=60)
        ask = lambda: made.chat_completion(MESSAGES)
    if watch:
        policy.watch(made)
    return lambda: policy.call(ask)


def all_at_once(url, wrap, retries=0):
    """asyncio.gather over all calls, each wrapped."""

    async def run(calls):
        async with openai_client(url, retries, asynchronous=True) as client:
            ask = wrap(lambda: client.chat.completions.create(model="m", messages=MESSAGES))
            return await asyncio.gather(*(timed(ask) for _ in range(calls)))

    return run


def limited(url):
    """gather_limited over all calls; a call's time is counted from its turn."""
    from helpers.retry import RetryPolicy, gather_limited

    async def run(calls):
        async with openai_client(url, asynchronous=True) as client:

            async def call():
                started = time.monotonic()
                await client.chat.completions.create(model="m", messages=MESSAGES)
                return time.monotonic() - started, ""

            return await gather_limited(RetryPolicy(), [call] * calls)

    return run


async def timed(ask):
    started, error = time.monotonic(), ""
    try:
        await ask()
    except Exception as problem:
        error = type(problem).__name__
    return time.monotonic() - started, error


def our_gather(ask):
    from helpers.retry import RetryPolicy

    policy = RetryPolicy()
    return lambda: policy.acall(ask)


def async_tenacity(ask):
    import tenacity

    async def call():
        return await ask()

    return tenacity.retry(
        retry=tenacity.retry_if_exception(openai_retryable),
        wait=tenacity.wait_random_exponential(min=1, max=60),
        stop=tenacity.stop_after_attempt(6),
        reraise=True,
    )(call)


def async_stamina(ask):
    import stamina

    async def call():
        return await ask()

    return stamina.retry(on=openai_retryable)(call)


def openai_retryable(error) -> bool:
    import openai

    return isinstance(
        error, (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError)
    )


SYNC = {
    "none": hub,
    "old lesson, 1 thread": old_lesson,
    "old lesson": old_lesson,
    "http_backoff": http_backoff,
    "openai 2": lambda url: openai_call(url, 2),
    "openai 5": lambda url: openai_call(url, 5),
    "openai 10": lambda url: openai_call(url, 10),
    "tenacity": tenacity,
    "tenacity + header": lambda url: tenacity(url, header=True),
    "stamina": stamina,
    "stamina + classify": lambda url: stamina(url, hook=True),
    "backoff": backoff,
    "ours": ours,
    "ours, watched": lambda url: ours(url, watch=True),
    "ours, openai": lambda url: ours(url, "openai"),
    "ours, openai, watched": lambda url: ours(url, "openai", watch=True),
}
ASYNC = {
    "openai 2": lambda url: all_at_once(url, lambda ask: ask, 2),
    "openai 5": lambda url: all_at_once(url, lambda ask: ask, 5),
    "tenacity": lambda url: all_at_once(url, async_tenacity),
    "stamina": lambda url: all_at_once(url, async_stamina),
    "ours, gather": lambda url: all_at_once(url, our_gather),
    "ours, gather_limited": limited,
}
