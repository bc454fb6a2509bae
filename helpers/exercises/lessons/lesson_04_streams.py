"""What the checks for exercise 04 share: streams as bad as real ones, and what is asked of them."""

import json
import random
from pathlib import Path

from huggingface_hub import InferenceClient

from helpers.exercises.kit import (
    GIVEN,
    Raised,
    expect,
    expect_chat_request,
    expect_given_client,
    read_messages,
    reply,
    words,
)
from helpers.models import models
from helpers.wire import Plan

MAX_TOKENS = 200
READ = 31  # prompt tokens in the usage of every stream

SAY = read_messages(Path(__file__).with_name("lesson_04.py"))


def new_client() -> InferenceClient:
    return InferenceClient(headers=GIVEN)


def some_pieces(count: int) -> list[str]:
    return [f"{word} " for word in words(count).split()]


def stream_of(
    pieces: list,
    finish: str = "stop",
    usage: int | None = None,
    trouble: dict | None = None,
    together: bool = False,
):
    """A stream with an empty first chunk, a role without content, pieces that may be None or "".

    finish : the finish_reason of the chunk before the usage.
    usage : completion tokens, told whether asked for or not.
    trouble : an event that comes in place of the end.
    together : the last piece, the reason and the usage come in one chunk, as with some providers.
    """
    text = "".join(piece or "" for piece in pieces)
    written = usage or len(pieces)
    counted = {"prompt_tokens": READ, "completion_tokens": written, "total_tokens": READ + written}

    def step(service, entry):
        if not (isinstance(entry.json, dict) and entry.json.get("stream")):
            return reply(text)(service, entry)
        service.said.append(text)
        head = {
            "id": f"chatcmpl-{random.getrandbits(64):x}",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": models.chat,
            "system_fingerprint": "",
        }

        def event(delta, reason=None):
            return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

        events = [{**head, "choices": []}, event({"role": "assistant", "content": None})]
        events += [event({"content": piece}) for piece in pieces]
        if trouble:
            events.append(trouble)
        elif together:
            events[-1]["choices"][0]["finish_reason"] = finish
            events[-1]["usage"] = counted
        else:
            events.append(event({"content": None}, finish))
            events.append({**head, "choices": [], "usage": counted})
        lines = [*map(json.dumps, events), "[DONE]"]
        chunks = [(0.0, f"data: {line}\n\n".encode()) for line in lines]
        return Plan(200, {"content-type": "text/event-stream"}, chunks)

    return step


def streaming(service, function, *arguments):
    """Call the function, and name the guard that was missing if it fell over a chunk."""
    try:
        return service.call(function, *arguments)
    except Raised as raised:
        say, error = SAY[""], raised.error
        expect(not isinstance(error, IndexError), say["no_choices"], raised=raised)
        of_none = isinstance(error, TypeError) and "NoneType" in str(error)
        expect(not of_none, say["no_content"], raised=raised)
        expect("'message'" not in str(error), say["no_message"], raised=raised)
        raise


def streamed(service, question: str) -> None:
    """The request is a chat completion that asks for a stream, sent with the given client."""
    expect_chat_request(service, question, models.chat, MAX_TOKENS)
    expect(service.sent.last.json.get("stream") is True, SAY[""]["no_stream"])
    expect(len(service.sent) == 1, SAY[""]["many_requests"], sent=len(service.sent))
    expect_given_client(service)
