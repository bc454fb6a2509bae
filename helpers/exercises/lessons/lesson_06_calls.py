"""How the functions of exercise 06 are called, and what each of their requests must be."""

from pathlib import Path

from helpers.exercises import kit
from helpers.exercises.kit import Raised, Spy, expect

SAY = kit.read_messages(Path(__file__).with_name("lesson_06.py"))
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


def expect_one_request(bodies: list[dict], text: str) -> dict:
    """One request with this text; returns its `parameters`."""
    expect(len(bodies) == 1, ALL["one_request"], sent=len(bodies))
    expect(bodies[0].get("inputs") == text, ALL["other_text"])
    return bodies[0].get("parameters") or {}
