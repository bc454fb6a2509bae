"""A chat completion in the service's wire format, as one body or as the events of a stream.

chat_body("Yes.", model)                  {"object": "chat.completion", "choices": [{…}], …}
stream_of(chat_events(["Y", "es."], model))   [b"data: {…}\\n\\n", …, b"data: [DONE]\\n\\n"]
"""

import json
import random
import time
from collections.abc import Iterable


def chat_body(
    content: str | None,
    model: str,
    finish: str = "stop",
    tool_calls: list[dict] | None = None,
    usage: dict | None = None,
) -> dict:
    """The whole answer. tool_calls : [{"name": …, "arguments": {…}}, …]."""
    message: dict = {"role": "assistant", "content": content}
    if tool_calls:
        message["tool_calls"] = _calls(tool_calls)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    head = _head("chat.completion", model)
    return {**head, "choices": [choice], "usage": usage or counted(0, 0)}


def chat_events(
    pieces: Iterable[str],
    model: str,
    finish: str = "stop",
    tool_calls: list[dict] | None = None,
    usage: dict | None = None,
) -> list[dict]:
    """The same in pieces; the last event holds the usage, if there is one to tell."""
    head = _head("chat.completion.chunk", model)

    def event(delta: dict, finish: str | None = None) -> dict:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [event({"role": "assistant", "content": ""})]
    events += [event({"content": piece}) for piece in pieces]
    events += [
        event({"tool_calls": [{"index": i, **call}]})
        for i, call in enumerate(_calls(tool_calls or []))
    ]
    events.append(event({}, finish))
    return events + ([{**head, "choices": [], "usage": usage}] if usage else [])


def stream_of(events: Iterable[dict]) -> list[bytes]:
    """Server-sent events, each with its end, and the one that says it is over."""
    return [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]


def counted(prompt: int, completion: int) -> dict[str, int]:
    """A usage: tokens in, tokens out, and their sum."""
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def _head(kind: str, model: str) -> dict:
    return {
        "object": kind,
        "id": f"chatcmpl-{random.getrandbits(64):x}",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": "spy",
    }


def _calls(tool_calls: list[dict]) -> list[dict]:
    return [
        {
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
        for i, call in enumerate(tool_calls)
    ]
