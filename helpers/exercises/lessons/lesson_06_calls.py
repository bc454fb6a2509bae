"""How the functions of exercise 06 are called, and what each of their requests must be."""

from helpers.exercises import kit
from helpers.exercises.kit import Raised, Spy, expect
from helpers.models import models

SAY = kit.read_messages(__file__)
ALL = SAY[""]


def run(function, service: Spy, method: str, model: str, *arguments):
    """(what the function returned, the bodies it sent); it is to ask `model` by `method`.

    Asking something else, and old ways of calling and of reading, get a message of their own.
    """
    client = kit.new_client(None if method == "chat_completion" else "hf-inference")
    try:
        value = kit.call_whole(service, function, client, *arguments)
    except Raised as raised:
        _expect_path(service, method, model)
        text, asked = str(raised.error), [entry.path for entry in service.lookups]
        expect("keyword argument 'labels'" not in text, ALL["old_name"])
        expect("list indices must be integers" not in text, ALL["old_shape"])
        expect("not JSON serializable" not in text, ALL["no_list"])
        if not service.sent.entries:
            expect("/api/tasks" not in asked, ALL["no_model"], text=text, model=model)
            expect(all(model in path for path in asked), ALL["not_for_task"], text=text)
        raise
    _expect_path(service, method, model)
    kit.expect_given_client(service)
    expect(service.sent.entries, ALL["nothing_sent"], method=method, model=model)
    return value, [entry.json for entry in service.sent]


def _expect_path(service: Spy, method: str, model: str) -> None:
    chat = method == "chat_completion"
    for entry in service.sent:
        path = entry.path
        right = path.endswith("/chat/completions") if chat else f"/models/{model}" in path
        expect(right, ALL["other_path"], path=path, method=method, model=model)


def asked_schema(body: dict, text: str) -> dict:
    """The schema for the answer, from a request that puts `text` to the chat model."""
    asked, form = str(body.get("model")), body.get("response_format")
    expect(asked.split(":")[0] == models.chat, ALL["other_chat"], asked=asked)
    by_user = [one for one in body.get("messages", []) if one.get("role") == "user"]
    expect(any(text in str(one.get("content")) for one in by_user), ALL["no_message"])
    expect(form, ALL["no_format"])
    expect(isinstance(form, dict) and form.get("type") == "json_schema", ALL["other_type"])
    inner = form.get("json_schema") or {}
    schema = inner.get("schema") if isinstance(inner, dict) else None
    expect(isinstance(schema, dict), ALL["one_level_up"])
    expect(inner.get("name"), ALL["no_name"])
    return schema


def scored(*pairs: tuple[str, float]) -> list[dict]:
    """Labels with their scores, as the service sends them."""
    return [{"label": label, "score": score} for label, score in pairs]


def expect_one_request(bodies: list[dict], text: str) -> dict:
    """One request with this text; returns its `parameters`."""
    expect(len(bodies) == 1, ALL["one_request"], sent=len(bodies))
    expect(bodies[0].get("inputs") == text, ALL["other_text"])
    return bodies[0].get("parameters") or {}
