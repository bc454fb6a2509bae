"""Checks for exercise 02, task 5: tools are run with care, and each call gets its result."""

import json
import random

from helpers.exercises import kit
from helpers.exercises.chat_format import chat_body
from helpers.exercises.kit import NotYet, Spy, expect, spy, words
from helpers.exercises.lessons.lesson_02_calls import SAY, call, new_client
from helpers.models import models

TEXTS = SAY["with_tools"]
NO_TOOL = "delete_everything"
FORBIDDEN = (  # (the key of its messages, what does not fit, the arguments as the model wrote them)
    ("unknown", "", '{"order_id": 1}'),
    ("unfit", "wrong type", '{"order_id": "all of them"}'),
    ("unfit", "a missing field", "{}"),
    ("cut", "", '{"order_id": 10'),
    ("python", "", '{"order_id": 40 + 2}'),
)


def check_with_tools(with_tools) -> str:
    box = Toolbox(with_tools)
    number, cents = random.randint(1, 9999), random.randint(1, 999)
    _expect_one_call(box, box.status, order_id=number)
    _expect_one_call(box, box.refund, cents=cents, order_id=number)

    # two calls in one message
    numbers = random.randint(1, 4999), random.randint(5000, 9999)
    _, _, given = box.use(asks(*((box.status, f'{{"order_id": {number}}}') for number in numbers)))
    made = [as_call(box.status, order_id=number) for number in numbers]
    expect(box.ran == made, TEXTS["not_both"], ran=len(box.ran))
    expect(given.get("call_1") == box.results[made[1]], TEXTS["swapped"])
    # calls that must not be run, and of which the model is told why
    for key, what, written in FORBIDDEN:
        name = NO_TOOL if key == "unknown" else box.status
        fields = {"name": name, "what": what, "written": written}
        step = asks((name, written), finish="length" if key == "cut" else "tool_calls")
        _, _, given = box.use(step, TEXTS[f"raised_{key}"], **fields)
        expect(not box.ran, TEXTS[f"ran_{key}"], **fields)
        expect(given.get("call_0", "").strip(), TEXTS["no_word"], **fields)
    # one call that must not be run and one that may, in one message
    written = f'{{"order_id": {number}}}'
    step = asks((NO_TOOL, written), (box.status, written))
    _, service, _ = box.use(step, TEXTS["raised_unknown"])
    expect(len(service.sent) > 1, TEXTS["gives_up"])
    ran = ", ".join(box.ran) or "nothing"
    expect(ran == as_call(box.status, order_id=number), TEXTS["not_only_second"], ran=ran)
    # the model answers at once
    value, service, _ = box.use(kit.reply(), TEXTS["raised_no_call"])
    expect(len(service.sent) == 1, TEXTS["sent_again"])
    kit.expect_text(value, service.said[-1], service)
    return TEXTS["right"]


class Toolbox:
    """Two tools, under names nobody can have written down, and what the function did with them.

    ran : the calls that were run, in order. results : {call: what the tool returned}.
    """

    def __init__(self, with_tools):
        from pydantic import BaseModel

        class OrderStatus(BaseModel):
            """Find out where an order is."""

            order_id: int

        class Refund(BaseModel):
            """Return the money for an order."""

            order_id: int
            cents: int

        self.with_tools = with_tools
        self.ran: list[str] = []
        self.results: dict[str, str] = {}
        self.status, self.refund = f"status_{words(1)}", f"refund_{words(1)}"
        self.tools = {
            self.status: (OrderStatus, self._tool(self.status)),
            self.refund: (Refund, self._tool(self.refund)),
        }

    def _tool(self, name: str):
        def function(**arguments):
            made = as_call(name, **arguments)
            self.ran.append(made)
            return self.results.setdefault(made, words(5))

        return function

    def use(self, step, if_raised: str = "", **fields) -> tuple[object, Spy, dict[str, str]]:
        """(what the function returned, the spy, the results in its second request by call id)
        where the model's first answer is `step`.

        if_raised : what to say should the function raise. Without it, Raised goes through.
        """
        self.ran.clear()
        self.results.clear()
        question = f"Where is my order {random.randint(1000, 9999)}? {words(2)}"
        with spy(step, limit=6) as service:
            arguments = new_client(), question, dict(self.tools)
            value, raised = kit.attempt(call, service, self.with_tools, *arguments)
        if raised:
            raise NotYet(if_raised.format(raised=raised, **fields)) if if_raised else raised
        kit.expect_chat_request(service, question, models.tools, row=0)
        kit.expect_given_client(service)
        offered = service.sent[0].json.get("tools")
        expect(offered, TEXTS["no_tools"])
        described = [tool.get("function", {}) for tool in offered if isinstance(tool, dict)]
        names = [tool.get("name") for tool in described]
        shown = {"names": ", ".join(map(str, names)), "right": ", ".join(self.tools)}
        expect(set(names) == set(self.tools), TEXTS["other_names"], **shown)
        for tool in described:
            known = tool.get("parameters", {}).get("properties", {})
            right = set(known) == set(self.tools[tool["name"]][0].model_fields)
            expect(right, TEXTS["no_arguments"], name=tool["name"])
        again = service.sent[1].json if len(service.sent) > 1 else None
        return value, service, _results(again, question) if again else {}


def as_call(name: str, /, **arguments) -> str:
    return f"`{name}({', '.join(f'{key}={arguments[key]!r}' for key in sorted(arguments))})`"


def asks(*wanted: tuple[str, str], finish: str = "tool_calls"):
    """A message of the model that asks for these calls: (name, arguments as it wrote them)."""
    calls = [{"name": name, "arguments": written} for name, written in wanted]
    return kit.answer(chat_body(None, models.tools, finish, calls))


def _results(body: dict, question: str) -> dict[str, str]:
    """{id of a call: the content of its result}, when the second request holds what it must."""
    messages = body.get("messages", [])
    asked = [one for one in messages if one.get("role") == "assistant"]
    results = [one for one in messages if one.get("role") == "tool"]
    expect(any(question in str(one.get("content")) for one in messages), TEXTS["no_question"])
    expect(asked and asked[-1].get("tool_calls"), TEXTS["no_call"])
    expect(results, TEXTS["no_result"])
    expect(all(one.get("tool_call_id") for one in results), TEXTS["no_id"])
    expect(messages.index(asked[-1]) < messages.index(results[0]), TEXTS["result_first"])
    expect(all(isinstance(one.get("content"), str) for one in results), TEXTS["no_text"])
    given = {one["tool_call_id"]: one["content"] for one in results}
    wanted = {one["id"] for one in asked[-1]["tool_calls"]}
    expect(set(given) <= wanted, TEXTS["other_id"])
    expect(set(given) == wanted, TEXTS["too_few"], wanted=len(wanted), given=len(given))
    model = str(body.get("model"))
    expect(model.split(":")[0] == models.tools, TEXTS["other_model"], model=model)
    return given


def _expect_one_call(box: Toolbox, name: str, **arguments: int) -> None:
    """A call as it should be: it is run, and the model has the last word."""
    value, service, given = box.use(asks((name, json.dumps(arguments))))
    if len(service.sent) < 2:
        expect(value not in box.results.values(), TEXTS["result_itself"])
        raise NotYet(TEXTS["no_second" if box.ran else "nothing_run"])
    expect(box.ran, TEXTS["never_run"])
    made, ran = as_call(name, **arguments), ", ".join(box.ran)
    expect(ran == made, TEXTS["other_call"], made=made, ran=ran)
    expect(given.get("call_0") == box.results[made], TEXTS["other_result"])
    expect(len(service.sent) == 2, TEXTS["many_requests"], sent=len(service.sent))
    kit.expect_text(value, service.said[-1], service)
