"""Step 1: what went wrong? From an exception to a verdict, by type, status, headers and error code,
never by text."""

import math
from typing import NamedTuple

from .waits import Limit, lower, parse_ratelimit, parse_retry_after

# and 520 up, which proxies use for their own trouble
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
NO_MONEY = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_credits",
}

# Exceptions that carry no status, by class name: the same names in httpx, httpx2 and what is built
# on them.
LIBRARIES = {"httpx", "httpx2", "huggingface_hub", "openai", "requests", "ssl", "builtins"}
NEVER = {
    "OfflineModeIsEnabled",
    "SSLCertVerificationError",
    "UnsupportedProtocol",
    "LocalProtocolError",
}
NOT_REACHED = {"ConnectTimeout", "PoolTimeout"}  # the request never left: nothing was done twice
TIMED_OUT = {"TimeoutException", "TimeoutError", "Timeout", "APITimeoutError"}
NO_CONNECTION = {"NetworkError", "RemoteProtocolError", "ConnectionError", "APIConnectionError"}


class NotSent(TimeoutError):
    """The request was not sent, because the gate opens later than this call may wait."""


class Verdict(NamedTuple):
    """What an exception means for whoever wants to try again.

    kind : "throttled" (too many requests), "loading" (the model is not ready), "transient" (try
        again), "timeout" (the same, but the work may have been done), or "fatal" (the same request
        will fail again).
    wait : seconds that the server asked for; None if it did not say.
    estimate : seconds that a loading model thinks it needs; a guess, often a constant.
    """

    kind: str
    status: int | None = None
    wait: float | None = None
    estimate: float | None = None
    limit: Limit | None = None


def classify(error: BaseException) -> Verdict:
    """What kind of failure `error` is.

    Looks along `__cause__`, because clients wrap: huggingface_hub's OverloadedError has the
    response only in its cause.
    """
    chain = [error]
    while chain[-1].__cause__ is not None and len(chain) < 10:
        chain.append(chain[-1].__cause__)
    names = {
        c.__name__
        for e in chain
        for c in type(e).__mro__
        if c.__module__.partition(".")[0] in LIBRARIES
    }
    # retry_story: a policy inside a policy
    if names & NEVER or isinstance(error, NotSent) or hasattr(error, "retry_story"):
        return Verdict("fatal")
    for e in chain:
        status = getattr(getattr(e, "response", None), "status_code", None)
        if isinstance(status, int):
            return classify_response(e.response, status)
    if "OverloadedError" in names:
        return Verdict("throttled")
    if names & NOT_REACHED:
        return Verdict("transient")
    if names & TIMED_OUT:
        return Verdict("timeout")
    return Verdict("transient" if names & NO_CONNECTION else "fatal")


def classify_response(response, status: int) -> Verdict:
    """The same for a response with an error status."""
    headers = lower(response.headers)
    if (
        not (status in RETRYABLE_STATUS or status >= 520)
        or headers.get("x-should-retry", "").lower() == "false"
    ):
        return Verdict("fatal", status)
    body = _json(response)
    problem = body["error"] if isinstance(body.get("error"), dict) else body
    if status == 429 and NO_MONEY & {str(problem.get("code")), str(problem.get("type"))}:
        return Verdict("fatal", status)  # waiting does not fill an account
    wait, limit = parse_retry_after(headers), parse_ratelimit(headers)
    # with requests left, this limit was not the reason
    if limit and limit.remaining == 0 and limit.reset is not None:
        wait = max(limit.reset, wait or 0.0)
    if status == 429:
        return Verdict("throttled", status, wait, limit=limit)
    estimate = body.get("estimated_time")
    if status != 503 or not isinstance(estimate, (int, float)) or not 0 < estimate < math.inf:
        estimate = None
    kind = "loading" if status == 503 and (wait or estimate) else "transient"
    return Verdict(kind, status, wait or None, estimate, limit)


def _json(response) -> dict:
    try:
        body = response.json()
    except Exception:  # not JSON, or a stream whose body was not read
        return {}
    return body if isinstance(body, dict) else {}
