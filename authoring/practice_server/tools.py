"""Tool calls: what llama.cpp leaves to the server.

llama.cpp writes the tools into the prompt as the model's template wants them, and recognises a call
where the model marks it as its template says. A model this small often just writes the call as
JSON. So we do what larger inference servers do for such models:

* `tool_choice: "auto"`: an answer that is nothing but JSON calls of offered tools *is* a tool call
  (vLLM's `llama3_json` parser does the same);
* `tool_choice: "required"` or a named function: the answer is held to a JSON schema made of the
tools' parameters
  (guided decoding, as in vLLM), so it can't be anything else;
* `tool_choice: "none"`: the tools are left out of the prompt.
"""

import json

from . import fields


def read(body: dict) -> tuple[list[dict], str, list[dict]]:
    """(tools, choice, allowed): `choice` is "auto", "none" or "forced"; `allowed` are the functions
    a call may name."""
    tools = body.get("tools") or []
    if not isinstance(tools, list):
        raise fields.wrong("tools", "must be an array")
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) else None
        if (
            not isinstance(function, dict)
            or not isinstance(function.get("name"), str)
            or not function["name"]
        ):
            raise fields.wrong(
                "tools",
                'must hold objects like {"type": "function", "function": {"name": …,'
                ' "parameters": …}}',
            )
        if not isinstance(function.get("parameters", {}), (dict, type(None))):
            raise fields.wrong(
                "tools", f"the parameters of {function['name']} must be a JSON schema"
            )
    functions = [tool["function"] for tool in tools]
    names = [function["name"] for function in functions]
    choice = body.get("tool_choice")
    if choice in (None, "auto", "none"):
        return tools, choice or "auto", functions
    if not tools:
        raise fields.wrong("tool_choice", "needs `tools`")
    if choice == "required":
        return tools, "forced", functions
    name = choice.get("function", {}) if isinstance(choice, dict) else choice
    name = name.get("name") if isinstance(name, dict) else name
    if name not in names:
        raise fields.wrong(
            "tool_choice", f"must be auto, none, required or one of the tools ({', '.join(names)})"
        )
    return tools, "forced", [function for function in functions if function["name"] == name]


def schema(allowed: list[dict]) -> dict:
    """The JSON schema of one call of one of the allowed functions."""
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "name": {"const": function["name"]},
                    "arguments": function.get("parameters") or {"type": "object"},
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for function in allowed
        ]
    }


def calls_in(text: str, allowed: list[dict], ids) -> list[dict] | None:
    """The tool calls that `text` consists of, or None if it is anything else.

    Understood: JSON objects {"name", "arguments"}, one after another or in an array, bare, in a
    Markdown fence or in <tool_call> tags. `ids(n)` makes the id of the nth call.
    """
    text = text.strip()
    for opening, closing in (("```json", "```"), ("```", "```"), ("<tool_call>", "</tool_call>")):
        if text.startswith(opening):
            text = text.removeprefix(opening).removesuffix(closing).strip()
    names = {function["name"] for function in allowed}
    found, decoder = [], json.JSONDecoder()
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            return None
        for call in value if isinstance(value, list) else [value]:
            arguments = (
                call.get("arguments", call.get("parameters")) if isinstance(call, dict) else None
            )
            if not isinstance(arguments, dict) or call.get("name") not in names:
                return None
            found.append(
                {
                    "id": ids(len(found)),
                    "type": "function",
                    "function": {
                        "name": call["name"],
                        "arguments": json.dumps(arguments, ensure_ascii=False),
                    },
                }
            )
        text = text[end:].lstrip(" \n\r\t,;")
    return found or None


def may_become_call(text: str) -> bool:
    """True while `text`, the beginning of an answer, may still turn out to be a call: then it is
    held back."""
    text = text.lstrip()
    return text[:1] in ("", "{", "[") or any(
        text.startswith(mark) or mark.startswith(text) for mark in ("```", "<tool_call>")
    )
