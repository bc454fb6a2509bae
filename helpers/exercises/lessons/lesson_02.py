"""Checks for exercise 02, task 1: a client of `openai`; each other task has a module of its own."""

import random

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, describe, expect, spy, words
from helpers.exercises.lessons.lesson_02_calls import ALL, ROUTER, SAY, call
from helpers.exercises.lessons.lesson_02_cheapest import check_cheapest
from helpers.exercises.lessons.lesson_02_environment import environment
from helpers.exercises.lessons.lesson_02_say import check_say
from helpers.exercises.lessons.lesson_02_tickets import check_to_ticket
from helpers.exercises.lessons.lesson_02_tools import check_with_tools
from helpers.exercises.scenes import ladder
from helpers.models import models

SECONDS = 30
TEXTS = SAY["connect"]


def check_connect(connect) -> str:
    client = _connected(connect)
    number = isinstance(client.timeout, (int, float))
    limit = client.timeout if number else getattr(client.timeout, "read", None)
    expect(limit != 600, TEXTS["ten_minutes"], right=SECONDS)
    expect(limit is not None, TEXTS["for_ever"], right=SECONDS)
    expect(limit == SECONDS, TEXTS["other_limit"], limit=limit, right=SECONDS)
    expect(client.max_retries == 0, TEXTS["repeats"], times=client.max_retries)
    for missing in (None, ""):
        for key_of_another in (f"sk-{words(1)}", None):
            _expect_refused(connect, missing, key_of_another)
    return TEXTS["right"]


def _connected(connect):
    """The client that the function makes, when it has sent a request with the right token."""
    from openai import AsyncOpenAI, OpenAI

    token = f"hf_{random.getrandbits(160):040x}"  # another one than in the environment
    key_of_another = f"sk-{words(1)}"
    with spy() as service, environment(OPENAI_API_KEY=key_of_another) as environ:
        before = dict(environ)
        client = call(service, connect, token)
        every = sorted(before.keys() | environ.keys())
        changed = [f"`{name}`" for name in every if before.get(name) != environ.get(name)]
        expect(not changed, TEXTS["environment"], changed=", ".join(changed))
        expect(client is not None, ALL["nothing"])
        ladder(client, ("InferenceClient", TEXTS["inference"]), (AsyncOpenAI, TEXTS["async"]))
        expect(isinstance(client, OpenAI), TEXTS["no_client"], what=describe(client))
        # before anything is sent: a client with another address would really go there
        base_url = str(client.base_url).rstrip("/")
        expect("api.openai.com" not in base_url, TEXTS["no_address"])
        expect("api-inference" not in base_url, TEXTS["old_address"])
        expect(base_url != ROUTER.removesuffix("/v1"), TEXTS["no_v1"])
        expect(base_url == ROUTER, TEXTS["other_address"], base_url=base_url, router=ROUTER)
        messages = [{"role": "user", "content": words(3)}]
        client.chat.completions.create(model=models.chat, messages=messages, max_tokens=5)
        expect(client.api_key != key_of_another, TEXTS["key_of_another"])
        expect(client.api_key != service.token, TEXTS["token_of_environment"])
        expect(client.api_key == token, TEXTS["other_token"])
        url = service.sent.last.url
        expect(url == f"{ROUTER}/chat/completions", TEXTS["other_url"], url=url)
    return client


def _expect_refused(connect, missing: str | None, key_of_another: str | None) -> None:
    """Without a token there is a ValueError, whether or not OPENAI_API_KEY is set."""
    token = repr(missing)
    with spy() as service, environment(OPENAI_API_KEY=key_of_another):
        client, raised = kit.attempt(service.call, connect, missing)
    if raised:
        right = isinstance(raised.error, ValueError)
        expect(right, TEXTS["other_error"], token=token, kind=raised.kind)
        expect(str(raised.error).strip(), TEXTS["no_reason"])
        return
    took_it = key_of_another and getattr(client, "api_key", None) == key_of_another
    expect(not took_it, TEXTS["took_key"], token=token)
    what = "nothing" if client is None else "a client"
    raise NotYet(TEXTS["no_error"].format(token=token, what=what))


TASKS = kit.read_tasks(
    __file__, check_connect, check_cheapest, check_say, check_to_ticket, check_with_tools
)
