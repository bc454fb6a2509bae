"""Chat completions and text completions in OpenAI's format, as the router and the providers speak
it.

A request is checked, handed to llama.cpp, and its chunks are put into the service's format as they
arrive. An answer that is not streamed is the same chunks, joined: both ways give the same text.
"""

import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from . import fields, tools
from .errors import ServiceError
from .incoming import json_type, unless_gone
from .llm import CONTEXT, ChatModel

DEFAULT_MAX_TOKENS = 512  # where the request gives none; the service has limits of its own there
DEFAULT_TEXT_TOKENS = 16  # the same for /v1/completions, as in OpenAI's reference and in vLLM
ROLES = ("system", "developer", "user", "assistant", "tool")


def who(model: ChatModel, **more: str) -> dict[str, str]:
    """The headers that say who answered."""
    return {
        "x-answered-by": model.weights.title,
        "x-answered-weights": f"sha256:{model.weights.sha256}",
        "x-answered-runtime": model.runtime,
        **more,
    }


def derived_seed(*parts) -> int:
    """The seed of a request that gives none: from what is asked, so that a request repeats and two
    differ.

    Limits and sampling parameters do not count, so that with a smaller `max_tokens` the same answer
    is only cut off.
    """
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:4], "big") % (2**32 - 1)


def sampling(body: dict, model: ChatModel, *asked, limited_to: int | None = None) -> dict:
    """The sampling parameters of a chat or text completion in llama.cpp's names; the model's own
    where none are given, and `limited_to` tokens."""
    limit = fields.integer(body, "max_tokens", 1) or fields.integer(
        body, "max_completion_tokens", 1
    )
    seed = fields.seed(body)
    given = {
        "max_tokens": min(limit or limited_to or DEFAULT_MAX_TOKENS, CONTEXT),
        "seed": derived_seed(*asked) if seed is None else seed,
        "temperature": fields.number(body, "temperature", 0, 2),
        "top_p": fields.number(body, "top_p", 0, 1, above=True),
        "top_k": fields.integer(body, "top_k", 1),
        "min_p": fields.number(body, "min_p", 0, 1),
        "repeat_penalty": fields.number(body, "repetition_penalty", 0, 10, above=True),
        "frequency_penalty": fields.number(body, "frequency_penalty", -2, 2),
        "presence_penalty": fields.number(body, "presence_penalty", -2, 2),
        "stop": fields.stops(body),
    }
    if (fields.integer(body, "n", 1) or 1) > 1:
        raise fields.wrong("n", "must be 1: one answer a request")
    return model.defaults | {name: value for name, value in given.items() if value is not None}


def check_messages(body: dict) -> list[dict]:
    """The messages as llama.cpp takes them. Raises a 422 that names the message and what is wrong
    with it."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise fields.wrong(
            "messages",
            (
                "is missing"
                if messages is None
                else (
                    'must be an array like [{"role": "user", "content": "…"}], not'
                    f" {json_type(messages)}"
                )
            ),
        )
    if not messages:
        raise fields.wrong("messages", "must hold at least one message")
    checked = []
    for n, message in enumerate(messages):
        where = f"messages[{n}]"
        if not isinstance(message, dict):
            raise fields.wrong(
                where, f"must be an object with role and content, not {json_type(message)}"
            )
        role, content, calls = (
            message.get("role"),
            message.get("content"),
            message.get("tool_calls"),
        )
        if role not in ROLES:
            raise fields.wrong(
                f"{where}.role", f"must be one of {', '.join(ROLES)}, got {json.dumps(role)[:80]}"
            )
        if isinstance(content, list):
            content = _joined(content, f"{where}.content")
        if content is None and not (role == "assistant" and calls):
            raise fields.wrong(f"{where}.content", "is missing")
        if not isinstance(content, (str, type(None))):
            raise fields.wrong(
                f"{where}.content",
                f"must be a string or an array of parts, not {json_type(content)}",
            )
        kept = {"role": "system" if role == "developer" else role, "content": content or ""}
        if calls is not None and role == "assistant":
            kept["tool_calls"] = _checked_calls(calls, f"{where}.tool_calls")
        if role == "tool" and isinstance(message.get("tool_call_id"), str):
            kept["tool_call_id"] = message["tool_call_id"]
        checked.append(kept)
    return checked


def _joined(parts: list, where: str) -> str:
    """The text of a message in parts; this is a text model, as most chat models are."""
    for part in parts:
        if (
            not isinstance(part, dict)
            or part.get("type") != "text"
            or not isinstance(part.get("text"), str)
        ):
            kind = part.get("type") if isinstance(part, dict) else part
            raise fields.wrong(
                where,
                'may only hold parts like {"type": "text", "text": "…"}; '
                f"this model takes no {json.dumps(kind)[:80]}",
            )
    return "".join(part["text"] for part in parts)


def _checked_calls(calls, where: str) -> list[dict]:
    if not isinstance(calls, list):
        raise fields.wrong(where, f"must be an array, not {json_type(calls)}")
    checked = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise fields.wrong(
                where,
                'must hold objects like {"id", "type": "function", "function": {"name",'
                ' "arguments"}}',
            )
        arguments = function.get("arguments", "{}")
        if not isinstance(arguments, str):  # huggingface_hub has sent both forms
            arguments = json.dumps(arguments)
        checked.append(
            {
                "id": str(call.get("id", "")),
                "type": "function",
                "function": {"name": function["name"], "arguments": arguments},
            }
        )
    return checked


def schema_asked_for(body: dict) -> dict | None:
    """What `response_format` asks for, in llama.cpp's form. The service's four ways of writing a
    schema are understood:

    {"type": "json_schema", "json_schema": {"schema": S}}   OpenAI and the router
    {"type": "json_schema", "schema": S}                    together
    {"type": "json_object", "value": S}                     hf-inference and endpoints
    {"type": "json_object", "schema": S}                    fireworks-ai, cohere
    """
    wanted = fields.obj(body, "response_format")
    kind = wanted.get("type", "text")
    if kind == "text":
        return None
    if kind not in ("json_object", "json_schema", "json"):
        raise fields.wrong(
            "response_format",
            f"must have the type text, json_object or json_schema, got {json.dumps(kind)[:80]}",
        )
    inner = wanted.get("json_schema")
    schema = wanted.get(
        "value", wanted.get("schema", inner.get("schema") if isinstance(inner, dict) else None)
    )
    if schema is None:
        if kind == "json_schema":
            raise fields.wrong(
                "response_format",
                'of type json_schema needs {"json_schema": {"name": …, "schema": …}}',
            )
        return {"type": "json_object"}
    if not isinstance(schema, dict):
        raise fields.wrong(
            "response_format",
            f"must hold a JSON schema, which is an object, not {json_type(schema)}",
        )
    return {"type": "json_schema", "json_schema": {"schema": schema}}


class Answer:
    """One chat completion under way: the request for llama.cpp, and its chunks in the service's
    format."""

    def __init__(self, model: ChatModel, body: dict):
        self.model = model
        messages = check_messages(body)
        offered, choice, self.allowed = tools.read(body)
        response_format = schema_asked_for(body)
        if choice == "forced":
            response_format = {
                "type": "json_schema",
                "json_schema": {"schema": tools.schema(self.allowed)},
            }
        self.watch_for_calls = bool(offered) and choice != "none"
        self.request = {
            "messages": messages,
            **sampling(body, model, messages, offered, choice, response_format),
        }
        if response_format:
            self.request["response_format"] = response_format
        if self.watch_for_calls:
            # A grammar and llama.cpp's own tool grammar exclude each other: with a schema, the
            # tools are only shown.
            self.request |= {"tools": offered, "tool_choice": "none" if response_format else "auto"}
        top = fields.integer(body, "top_logprobs", 0, 20)
        if fields.boolean(body, "logprobs"):
            self.request |= {"logprobs": True, "top_logprobs": top or 0}
        elif top is not None:
            raise fields.wrong("top_logprobs", "needs `logprobs`: true")
        self.streamed = fields.boolean(body, "stream")
        options = fields.obj(body, "stream_options")
        self.with_usage = fields.boolean(options, "include_usage")
        self.frame = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model.weights.model,
            "system_fingerprint": model.runtime.replace(" ", "-"),
        }

    def _call_id(self, n: int) -> str:
        """Ids of tool calls come back in the next request, so they are the same for the same
        request."""
        return f"call_{derived_seed(self.request, n):08x}{derived_seed(n, self.request):08x}"

    def _chunk(self, delta: dict, finish_reason=None, logprobs=None) -> dict:
        return self.frame | {
            "choices": [
                {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
            ],
            "usage": None,
        }

    async def chunks(self) -> AsyncIterator[dict]:
        """The answer in chunks: the role first, then pieces of text as their tokens come, the
        reason it ended, the usage."""
        yield self._chunk({"role": "assistant", "content": ""})
        held, said_calls = "", 0
        async for chunk in self.model.stream("chat_completions", self.request):
            if not chunk.get("choices"):
                usage = chunk.get("usage") or {}
                yield self.frame | {
                    "choices": [],
                    "usage": {
                        name: usage.get(name, 0)
                        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
                    },
                }
                continue
            choice = chunk["choices"][0]
            delta, finish, logprobs = (
                choice["delta"],
                choice["finish_reason"],
                _logprobs(choice.get("logprobs")),
            )
            piece = delta.get("content") or ""
            if self.watch_for_calls and (piece or held) and tools.may_become_call(held + piece):
                held, piece = held + piece, ""
            elif held:
                held, piece = "", held + piece
            if piece or logprobs:
                yield self._chunk({"content": piece}, logprobs=logprobs)
            for call in delta.get("tool_calls") or []:
                said_calls = max(said_calls, call.get("index", 0) + 1)
                yield self._chunk(
                    {
                        "tool_calls": [
                            call
                            | ({"id": self._call_id(call.get("index", 0))} if "id" in call else {})
                        ]
                    }
                )
            if finish:
                calls = tools.calls_in(held, self.allowed, self._call_id) if held else None
                for n, call in enumerate(calls or []):
                    function = call["function"]
                    yield self._chunk(
                        {
                            "tool_calls": [
                                {
                                    "index": n,
                                    "id": call["id"],
                                    "type": "function",
                                    "function": {"name": function["name"], "arguments": ""},
                                }
                            ]
                        }
                    )
                    yield self._chunk(
                        {
                            "tool_calls": [
                                {"index": n, "function": {"arguments": function["arguments"]}}
                            ]
                        }
                    )
                if held and not calls:
                    yield self._chunk({"content": held})
                yield self._chunk({}, "tool_calls" if calls or said_calls else finish)

    async def whole(self) -> dict:
        """The same answer in one piece."""
        content, calls, logprobs, finish, usage = "", {}, [], None, None
        async for chunk in self.chunks():
            usage = chunk["usage"] or usage
            for choice in chunk["choices"]:
                content += choice["delta"].get("content") or ""
                logprobs += (choice["logprobs"] or {}).get("content", [])
                finish = choice["finish_reason"] or finish
                for part in choice["delta"].get("tool_calls") or []:
                    call = calls.setdefault(
                        part["index"],
                        {
                            "id": part.get("id"),
                            "type": "function",
                            "function": {"name": "", "arguments": ""},
                        },
                    )
                    for name in ("name", "arguments"):
                        call["function"][name] += part.get("function", {}).get(name) or ""
        message = {"role": "assistant", "content": content}
        if calls:
            message |= {"content": content or None, "tool_calls": list(calls.values())}
        return self.frame | {
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": {"content": logprobs} if logprobs else None,
                    "finish_reason": finish,
                }
            ],
            "usage": usage,
        }


def _logprobs(logprobs: dict | None) -> dict | None:
    """llama.cpp's log-probabilities without its token ids and without the invisible end-of-text
    token."""

    def row(entry):
        return {name: entry[name] for name in ("token", "logprob", "bytes")}

    kept = [
        row(entry) | {"top_logprobs": [row(other) for other in entry.get("top_logprobs", [])]}
        for entry in (logprobs or {}).get("content") or []
        if entry["bytes"]
    ]
    return {"content": kept} if kept else None


async def chat_completion(
    request: Request, body: dict, model: ChatModel, headers: dict | None = None
) -> Response:
    """Answer one chat completion, streamed or whole, with `headers` added."""
    answer = Answer(model, body)
    headers = who(model, **{"x-answered-seed": str(answer.request["seed"])}, **(headers or {}))
    if not answer.streamed:
        return JSONResponse(await unless_gone(request, answer.whole()), headers=headers)

    async def wanted():
        async for chunk in answer.chunks():
            if chunk["choices"] or answer.with_usage:
                yield chunk

    return await event_stream(wanted(), headers)


async def event_stream(
    chunks: AsyncIterator[dict], headers: dict, prefix: str = "data: ", done: bool = True
) -> Response:
    """Server-sent events, one a chunk, each sent as soon as it is there.

    The first chunks are awaited before the headers go out (the role alone is no sign that the model
    accepted the request), so that a refused request is an error with its status, not a broken
    stream.
    """
    first = []
    async for chunk in chunks:
        first.append(chunk)
        if len(first) == 2:
            break

    async def body():
        try:
            for chunk in first:
                yield f"{prefix}{json.dumps(chunk, ensure_ascii=False)}\n\n"
            async for chunk in chunks:
                yield f"{prefix}{json.dumps(chunk, ensure_ascii=False)}\n\n"
        except ServiceError as error:  # too late for a status: the stream carries the error itself
            yield f"{prefix}{json.dumps(error.body)}\n\n"
        if done:
            yield f"{prefix}[DONE]\n\n"

    return StreamingResponse(body(), headers=headers, media_type="text/event-stream")


async def text_completion(
    request: Request, body: dict, model: ChatModel, headers: dict | None = None
) -> Response:
    """`/v1/completions`: the model continues `prompt`; what providers offer as text generation."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise fields.wrong(
            "prompt", "is missing" if prompt is None else "must be a string that is not empty"
        )
    if "max_tokens" not in body and "max_new_tokens" in body:
        body = body | {"max_tokens": body["max_new_tokens"]}
    wanted = {"prompt": prompt, **sampling(body, model, prompt, limited_to=DEFAULT_TEXT_TOKENS)}
    streamed = fields.boolean(body, "stream")
    with_usage = fields.boolean(fields.obj(body, "stream_options"), "include_usage")
    headers = who(model, **{"x-answered-seed": str(wanted["seed"])}, **(headers or {}))
    frame = {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model.weights.model,
    }

    async def chunks():
        async for chunk in model.stream("completions", wanted):
            choice = chunk["choices"][0]
            yield frame | {
                "choices": [
                    {
                        "index": 0,
                        "text": choice["text"],
                        "logprobs": None,
                        "finish_reason": choice["finish_reason"],
                    }
                ],
                "usage": None,
            }
            if usage := chunk.get("usage"):
                yield frame | {
                    "choices": [],
                    "usage": {
                        name: usage[name]
                        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
                    },
                }

    if streamed:
        return await event_stream(
            (chunk async for chunk in chunks() if chunk["choices"] or with_usage), headers
        )

    async def whole():
        text, finish, usage = "", None, None
        async for chunk in chunks():
            usage = chunk["usage"] or usage
            for choice in chunk["choices"]:
                text, finish = text + choice["text"], choice["finish_reason"] or finish
        return frame | {
            "choices": [
                {
                    "index": 0,
                    "text": text,
                    "logprobs": None,
                    "finish_reason": finish,
                    "seed": wanted["seed"],
                }
            ],
            "usage": usage,
        }

    return JSONResponse(await unless_gone(request, whole()), headers=headers)
