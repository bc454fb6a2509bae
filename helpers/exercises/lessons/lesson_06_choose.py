"""Exercise 06, the check of task 5: a chat model chooses a label."""

import json

from helpers.exercises import kit
from helpers.exercises.kit import Raised, describe, expect, reply, spy, words
from helpers.exercises.lessons.lesson_06_calls import SAY, run
from helpers.models import models


def check_choose(choose) -> str:
    say, support = SAY["choose"], f"{words(1)} support"
    labels = ["billing", "account", support]
    cases = [
        ('{"label": "account"}', "account", ""),
        (f'{{\n  "label": "{support}"\n}}', support, ""),
        ('{"label": "acc', None, "cut off by `max_tokens`, so it was half a JSON object"),
        (
            '{"label": "shipping"}',
            None,
            "not one of the labels; not every provider enforces a schema",
        ),
        ("I think it is billing.", None, "not JSON at all"),
        ('{"desk": "billing"}', None, "JSON without a `label`"),
        (None, None, "empty: `content` was None"),
        ('{"label": "support"}', None, "a part of a label, and not one of the labels"),
        ('{"label": ["billing"]}', None, "a label in a list, which is not one of the labels"),
        ('["billing"]', None, "JSON, but a list and no object"),
        ('{"label":"account","sure":true}', "account", ""),
    ]
    for text, wanted, why in cases:
        (message,), given = kit.texts_about(1), list(labels)
        with spy(reply(text or "")) as service:  # an empty answer has the content None
            try:
                value, bodies = run(choose, service, "chat_completion", models.chat, message, given)
            except Raised as raised:
                expect(not why, say["raised"], why=why, raised=raised)
                raise
        again = say["again"] if why else "You sent {sent} requests for one message."
        expect(len(service.sent) == 1, again, sent=len(service.sent), why=why)
        _expect_request(bodies[0], message, labels)
        shown = value if isinstance(value, str) else describe(value)
        expect(wanted or value is None, say["not_none"], why=why, shown=shown)
        expect(not isinstance(value, dict), say["object"])
        expect(value != text or wanted is None, say["text_itself"])
        expect(value == wanted, say["other"], text=text, wanted=wanted, value=value)
        kit.expect_unchanged(labels=(labels, given))
    kit.expect_refusal_through(choose, kit.new_client(), message, given)
    return say["right"]


def _expect_request(body: dict, message: str, labels: list[str]) -> None:
    say, asked, limit = SAY["choose"], body.get("model", ""), body.get("max_tokens")
    expect(asked.split(":")[0] == models.chat, say["other_model"], asked=asked)
    by_user = [one for one in body.get("messages", []) if one.get("role") == "user"]
    expect(any(message in str(one.get("content")) for one in by_user), say["no_message"])
    expect(limit, say["no_limit"])
    expect(limit <= 30, say["limit"], limit=limit)
    expect(limit >= 12, say["too_short"], limit=limit)
    _expect_enum(body.get("response_format"), labels)


def _expect_enum(form: object, labels: list[str]) -> None:
    """The response format is a JSON schema whose `label` allows exactly `labels`."""
    say = SAY["choose"]
    expect(form, say["no_format"])
    expect(isinstance(form, dict) and form.get("type") == "json_schema", say["other_type"])
    inner = form.get("json_schema") or {}
    schema = inner.get("schema") if isinstance(inner, dict) else None
    expect(isinstance(schema, dict), say["one_level_up"])
    properties = schema.get("properties") or {}
    field = properties.get("label")
    expect(isinstance(field, dict), say["no_property"], schema=json.dumps(schema)[:120])
    expect(inner.get("name"), say["no_name"])
    expect(schema.get("type") == "object", say["no_object"])
    others = [name for name in properties if name != "label"]
    expect(not others, say["more_properties"], more=others and others[0])
    expect("enum" in field, say["any_string"])
    enum = field["enum"]
    expect(isinstance(enum, list), say["enum_no_list"], what=describe(enum))
    right = sorted(map(str, enum)) == sorted(labels)
    expect(right, say["other_enum"], enum=enum, labels=labels)
    expect("label" in (schema.get("required") or []), say["not_required"])
