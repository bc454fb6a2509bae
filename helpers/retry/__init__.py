"""Retry a call to a hosted model: which errors, how long, together with all other calls, and when
to stop.

    answer = call_with_retry(client.chat_completion, messages, model=MODEL)

    policy = RetryPolicy(timeout=120)                 # seconds in all, waits included
    answer = policy.call(client.chat_completion, messages, model=MODEL)
    answer = await policy.acall(async_client.chat_completion, messages, model=MODEL)
    for chunk in policy.stream(client.chat_completion, messages, model=MODEL, stream=True): ...

    @policy                             # functions, coroutines, generators, async generators
    def ask(question): ...

Read the files in the order in which lesson 03 builds them: `errors` (classify), `waits`, `gate`,
`budget`, `run`, `policy`. All but the last only decide: nothing in them sleeps or sends, so an hour
of trouble is tested in milliseconds.

One policy stands for one quota: share it between everything that uses the same token, give another
service its own. A chat completion is not idempotent: if its answer was lost on the way, the second
request is billed too and may say something else. The folder needs the standard library only; copy
it into your project.
"""

from .budget import RetryBudget
from .clients import hf_client, openai_client
from .errors import NO_MONEY, RETRYABLE_STATUS, NotSent, Verdict, classify
from .gate import RateGate, Ticket
from .policy import RetryPolicy, gather_limited
from .run import Run, Wait
from .waits import Limit, backoff, parse_ratelimit, parse_retry_after

__all__ = [
    "NO_MONEY",
    "RETRYABLE_STATUS",
    "Limit",
    "NotSent",
    "RateGate",
    "RetryBudget",
    "RetryPolicy",
    "Run",
    "Ticket",
    "Verdict",
    "Wait",
    "backoff",
    "call_with_retry",
    "classify",
    "gather_limited",
    "hf_client",
    "openai_client",
    "parse_ratelimit",
    "parse_retry_after",
]

default_policy = RetryPolicy()


def call_with_retry(func, /, *args, **kwargs):
    """`func(*args, **kwargs)`, again if that helps. Every keyword goes to `func`; the settings are
    `default_policy`'s.

    All calls made this way share one gate and one budget. For streams, other settings or a second
    service, make a RetryPolicy.
    """
    return default_policy.call(func, *args, **kwargs)
