"""What an error looks like on the wire: the answers of a service in trouble, word for word."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx2

# seconds after which the lab ends a call that is never answered and has no time limit
NEVER = 3600.0


@dataclass(frozen=True)
class Fault:
    """One answer that is not what was asked for. status 0: no answer at all, the connection
    `breaks` (a name in BREAKS)."""

    status: int
    body: dict | list | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: str = ""


FAULTS = {
    "bad_token": Fault(401, {"error": "Invalid username or password."}),
    "unlucky_id": Fault(
        401,
        {"error": "Invalid username or password."},
        {"x-request-id": "Root=1-6a429c1f-0b1d4e7720c95d31a8e6f402"},
    ),
    "no_credits": Fault(
        402,
        {
            "error": (
                "You have exceeded your monthly included credits for Inference Providers. "
                "Subscribe to PRO to get 20x more monthly included credits."
            )
        },
    ),
    "no_permission": Fault(
        403,
        {
            "error": (
                "This authentication method does not have sufficient permissions to call "
                "Inference Providers on behalf of user you"
            )
        },
    ),
    "not_supported": Fault(
        400,
        {
            "error": {
                "message": "The requested model is not supported by any provider you have enabled.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_supported",
            }
        },
    ),
    "gone": Fault(
        410,
        {
            "error": (
                "https://api-inference.huggingface.co is no longer supported. "
                "Please use https://router.huggingface.co instead."
            )
        },
    ),
    "too_long": Fault(
        422,
        {
            "error": (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. "
                "Given: 429 `inputs` tokens and 2000 `max_new_tokens`"
            ),
            "error_type": "validation",
        },
    ),
    "slow_down": Fault(429, {"error": "Too Many Requests"}),  # a 429 without any hint
    "no_money": Fault(
        429,
        {
            "error": {
                "message": (
                    "You exceeded your current quota, please check your plan and billing details."
                ),
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            }
        },
    ),
    "overloaded": Fault(429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    "loading": Fault(503, {"error": "Model is currently loading", "estimated_time": 20.0}),
    "do_not_retry": Fault(503, {"error": "Service Unavailable"}, {"x-should-retry": "false"}),
    "reset": Fault(0, breaks="reset"),
    "connect": Fault(0, breaks="connect"),
    "timeout": Fault(0, breaks="timeout"),
}
BREAKS = {
    # it hung up after it had the request
    "reset": httpx2.ReadError("[Errno 104] Connection reset by peer"),
    # nobody there: the request never arrived
    "connect": httpx2.ConnectError("[Errno 111] Connection refused"),
    "timeout": httpx2.ReadError(f"no answer for {NEVER:g} s, and the client has no time limit"),
    "stream": httpx2.RemoteProtocolError(
        "peer closed connection without sending complete message body (incomplete chunked read)"
    ),
}
SERVER_ERRORS = (500, 502, 503, 504)
# an error that comes as an event of a stream
IN_STREAM = {"error": "Model is overloaded", "error_type": "overloaded"}


def fault(name: "str | int | Fault") -> Fault:
    """The fault of that name (see FAULTS), or an ordinary one for an HTTP status from 400 to 599.
    Raises ValueError."""
    if isinstance(name, Fault):
        return name
    if isinstance(name, str) and name in FAULTS:
        return FAULTS[name]
    if isinstance(name, int) and not isinstance(name, bool) and 400 <= name <= 599:
        phrase = HTTPStatus(name).phrase if name in HTTPStatus._value2member_map_ else "Error"
        return Fault(name, {"error": phrase})
    raise ValueError(
        f"there is no fault {name!r}; choose an HTTP status from 400 to 599, or one of"
        f" {', '.join(FAULTS)}"
    )
