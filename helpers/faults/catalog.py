"""What an error looks like on the wire: the answers of a service in trouble, word for word."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx2

NEVER = 3600.0  # seconds until the lab ends a call that nobody answers and that has no time limit


@dataclass(frozen=True)
class Fault:
    """One answer that is not what was asked for. status 0: no answer at all, the connection
    `breaks` (a name in BREAKS)."""

    status: int
    body: dict | list | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: str = ""


def _read() -> dict[str, Fault]:
    rows = tomllib.loads(Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8"))
    bodies = {name: json.loads(row.get("body", "null")) for name, row in rows.items()}
    return {name: Fault(**row | {"body": bodies[name]}) for name, row in rows.items()}


FAULTS = _read()
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
    choice = f"choose an HTTP status from 400 to 599, or one of {', '.join(FAULTS)}"
    raise ValueError(f"there is no fault {name!r}; {choice}")
