"""A chat completion in the service's wire format, as one body or as the events of a stream.

    chat_body("Yes.", model)                    {"object": "chat.completion", "choices": [{…}], …}
    chat_events(deltas(["Y", "es."]), model)    [{"object": "chat.completion.chunk", …}, …]
    stream_of(events)                           [b"data: {…}\\n\\n", …, b"data: [DONE]\\n\\n"]

tool_calls : [{"name": …, "arguments": {…} or what a model wrote instead, as text}, …]
around : what stands around the choices, in place of what is made up: id="chatcmpl-1", created=1
"""

import json
import random
import time
from collections.abc import Iterable


def chat_body(
    content: str | None,
    model: str,
    finish: str = "stop",
    tool_calls: Iterable[dict] = (),
    usage: dict | None = None,
    **around,
) -> dict:
    """The whole answer."""
    message: dict = {"role": "assistant", "content": content}
    if tool_calls:
        message["tool_calls"] = _calls(tool_calls)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    head = _head("chat.completion", model) | around
    return {**head, "choices": [choice], "usage": usage or counted(0, 0)}


def chat_events(
    deltas: Iterable[dict],
    model: str,
    finish: str | None = "stop",
    usage: dict | None = None,
    **around,
) -> list[dict]:
    """An event for each delta, for the reason why it ended, and for the usage, if there is any."""
    head = _head("chat.completion.chunk", model) | around
    told = [(delta, None) for delta in deltas] + ([({}, finish)] if finish else [])
    events = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in told
    ]
    return events + ([{**head, "choices": [], "usage": usage}] if usage else [])


def deltas(pieces: Iterable[str], tool_calls: Iterable[dict] = ()) -> list[dict]:
    """What the events add to the message: its role, the pieces of its text, its calls of tools."""
    calls = [{"tool_calls": [{"index": i, **call}]} for i, call in enumerate(_calls(tool_calls))]
    begin = {"role": "assistant", "content": ""}
    return [begin, *({"content": piece} for piece in pieces), *calls]


def stream_of(events: Iterable[dict]) -> list[bytes]:
    """Server-sent events, each with its end, and the one that says it is over."""
    texts = [*(json.dumps(event, ensure_ascii=False) for event in events), "[DONE]"]
    return [f"data: {text}\n\n".encode() for text in texts]


def counted(prompt: int, completion: int) -> dict[str, int]:
    """A usage: tokens in, tokens out, and their sum."""
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def _head(kind: str, model: str) -> dict:
    number, now = f"chatcmpl-{random.getrandbits(64):x}", int(time.time())
    made_up = {"id": number, "created": now, "system_fingerprint": "stand-in"}
    return {"object": kind, "model": model, **made_up}


def _calls(tool_calls: Iterable[dict]) -> list[dict]:
    calls = []
    for i, call in enumerate(tool_calls):
        given = call["arguments"]
        written = given if isinstance(given, str) else json.dumps(given)
        function = {"name": call["name"], "arguments": written}
        calls.append({"id": f"call_{i}", "type": "function", "function": function})
    return calls
