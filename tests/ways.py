"""The eight ways to call a chat model, by either client, sync or async, whole or as a stream; and
calls in several threads at once."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import openai
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient

ROUTER = "https://router.huggingface.co/v1"
CHAT = ROUTER + "/chat/completions"


def in_threads(*work) -> list:
    """What these functions return, called at the same moment, each in a thread of its own."""
    begin = threading.Barrier(len(work))
    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(lambda one: begin.wait(60) >= 0 and one(), work))


def messages(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


@dataclass(frozen=True)
class Way:
    """One of them: `way(text, model)` is the text of the answer."""

    of: str  # "hub" or "openai"
    asynchronous: bool
    stream: bool

    def __str__(self):
        return self.of + "_async" * self.asynchronous + "_stream" * self.stream

    def __call__(self, text: str, model: str, **settings) -> str:
        return self.ask(self.client(**settings), text, model)

    def client(self, url: str | None = None, **settings):
        """A client of this kind: of the service itself, or of a server at `url`."""
        if self.of == "hub":
            kind = AsyncInferenceClient if self.asynchronous else InferenceClient
            there = {"base_url": url, "api_key": "hf_x"} if url else {}
        else:
            kind = openai.AsyncOpenAI if self.asynchronous else openai.OpenAI
            key = "hf_x" if url else os.environ["HF_TOKEN"]
            there = {"base_url": url or ROUTER, "api_key": key}
        return kind(**there | settings)

    def ask(self, client, text: str, model: str, **more) -> str:
        """What `client`, one of this kind, is answered."""
        if self.asynchronous:
            return asyncio.run(self.aask(client, text, model, **more))
        answer = self._call(client, text, model, **more)
        return text_of(answer) if self.stream else answer.choices[0].message.content

    async def aask(self, client, text: str, model: str, **more) -> str:
        async with client:
            answer = await self._call(client, text, model, **more)
            if not self.stream:
                return answer.choices[0].message.content
            return text_of([chunk async for chunk in answer])

    def _call(self, client, text, model, **more):
        asked = {"messages": messages(text), "model": model} | more
        return method(client)(**asked | ({"stream": True} if self.stream else {}))


def method(client):
    """What asks for a chat completion, of either client."""
    return getattr(client, "chat_completion", None) or client.chat.completions.create


def text_of(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


WAYS = [Way(of, a, s) for of in ("hub", "openai") for a in (False, True) for s in (False, True)]
HUB, HUB_STREAM, HUB_ASYNC, HUB_ASYNC_STREAM = WAYS[:4]
OPENAI, OPENAI_STREAM, OPENAI_ASYNC, OPENAI_ASYNC_STREAM = WAYS[4:]
every_way = pytest.mark.parametrize("way", WAYS, ids=str)
every_stream = pytest.mark.parametrize("way", [way for way in WAYS if way.stream], ids=str)
