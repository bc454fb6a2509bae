"""Which requests go on to the service, with which credentials, and which of their answers may be
kept."""

import ipaddress
from typing import NamedTuple

from helpers.tokens import PRACTICE_TOKEN

ROUTER, HUB = "router.huggingface.co", "huggingface.co"
PICTURES = ("fal.media", "replicate.delivery")  # where some providers put the pictures they make

# What a request may bring along beside its body, and what an answer may. Cookies, credentials and
# X-HF-Bill-To do not pass.
ASKING = (
    "accept",
    "content-type",
    "prefer",
    "x-use-cache",
    "x-wait-for-model",
    "x-scale-up-timeout",
    "user-agent",
)
MEANING = ASKING[:-1]  # two requests that differ in one of these are not identical


class Refused(Exception):
    """This request goes nowhere. `status` and the message are for the learner."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Plan(NamedTuple):
    """token : send the class's token. keep : an answer of 200 may be given to whoever asks the
    same."""

    token: bool
    keep: bool


def plan(method: str, host: str, path: str, authorization: str | None) -> Plan:
    """What to do with a request. Raises Refused for hosts, paths and methods that no lesson needs.

    The token goes to the router alone, and only for learners who send the course's stand-in for a
    token; whoever sends another one (a lesson does, to see a 401) gets what the service says to
    that. Endpoints are refused: anybody can own one, and what runs there reads the token of whoever
    calls it.
    """
    if host == ROUTER and method in ("GET", "POST"):
        ours = authorization == f"Bearer {PRACTICE_TOKEN}"
        return Plan(token=ours, keep=ours and (method == "POST" or path.startswith("/v1/models")))
    if host == HUB and method == "GET" and path.startswith(("/api/models", "/api/tasks")):
        return Plan(token=False, keep=True)
    if (
        host in PICTURES or host.endswith(tuple(f".{name}" for name in PICTURES))
    ) and method == "GET":
        return Plan(token=False, keep=True)
    raise Refused(
        403,
        f"The class's server does not forward {method} {host}{path}. It forwards calls to {ROUTER}"
        f" and look-ups of models at {HUB}. Endpoints need a token of your own: switch this"
        " notebook to Live.",
    )


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The classroom's network, as in 192.168.1.0/24. Raises ValueError unless it is private and no
    larger than a school."""
    found = ipaddress.ip_network(text, strict=False)
    if not found.is_private or found.num_addresses > 2**16:
        raise ValueError(
            f"{text} is no classroom: give a private network of at most 65,536 addresses, such as"
            " 192.168.1.0/24"
        )
    return found
