"""Every task of exercise 02: the stub fails, the solution passes, each mistake gets its message."""

import os
import queue
import threading

from check_cases import CheckCases
from wrong import exercise

from helpers import models, wire
from helpers.data import load
from helpers.exercises.lessons.lesson_02 import TASKS
from helpers.exercises.lessons.lesson_02_environment import environment
from helpers.exercises.lessons.lesson_02_tickets import DESKS

CONNECT, CHEAPEST, SAY, TICKET, TOOLS, QUIZ = TASKS


def parse(client, text, kind, max_tokens):
    response = client.chat.completions.parse(
        model=models.tools,
        messages=[{"role": "user", "content": text}],
        response_format=kind,
        max_tokens=max_tokens,
    )
    return response.choices[0].message.parsed


def by_its_own(arguments: str) -> str:
    """The body of an answer that asks with a client of its own."""
    return (
        'client = OpenAI(base_url=ROUTER, api_key=os.environ["HF_TOKEN"])\n'
        f"return solved({arguments})"
    )


WHY = '("no Hugging Face token: run `hf auth login`, or set HF_TOKEN")'
CONNECT_WRONG = [
    ("not token", "False", "silently took the key in OPENAI_API_KEY"),
    ("not token", "token is None", "For the token ''"),
    ("not token", 'token == ""', "For the token None"),
    ('assert token, "no token"\nreturn solved(token)', "raised AssertionError"),
    ("ValueError", "KeyError", "raised KeyError"),
    (WHY, "", "says nothing"),
    ("raise ValueError", "return print", "returned nothing"),
    ("=token", '=os.environ["HF_TOKEN"]', "token of the environment"),
    (" api_key=token,", "", "took the key from OPENAI_API_KEY"),
    ('base_url="https://router.huggingface.co/v1", ', "", "calls OpenAI itself"),
    ("/v1", "", "lacks its `/v1`"),
    ("router.huggingface.co/v1", "api-inference.huggingface.co/v1/", "switched off"),
    ("/v1", "/v1/chat/completions", "with nothing behind it"),
    (" timeout=30,", "", "ten minutes"),
    ("30", "None", "wait for ever"),
    ("30", "30_000", "30000 seconds"),
    (", max_retries=0", "", "2 times by itself"),
    """
    # client of `huggingface_hub`
    return solved(token) and InferenceClient(token=token, timeout=30)""",
    ("OpenAI(", "openai.AsyncOpenAI(", "has to be awaited"),
    ("solved(token)", "Did you forget `return`"),
    ("return OpenAI", "an object of type type"),
    (
        ("return", 'os.environ["OPENAI_API_KEY"] = token\n    return'),
        (" api_key=token,", ""),
        "changed `OPENAI_API_KEY` in the environment",
    ),
]

PRICED = '\n        and offer.get("pricing")'
NEEDED = "\n        and all(offer.get(need) for need in needs)"
PRICE = 'offer["pricing"]["output"]'
CHEAPEST_WRONG = [
    ('["output"]', '["input"]', "two prices"),
    ("min(", "max(", "did not choose the lowest"),
    ('offer["status"] == "live"\n        and ', "", "not answering"),
    ((PRICED, ""), (PRICE, 'offer.get("pricing", {}).get("output", 0)'), "Not known is not free"),
    (NEEDED, "", "says it cannot"),
    ("get(need)", "get(need, True)", "does not say whether it can"),
    (("all(offer", "(not needs or any(offer"), ("in needs)", "in needs))"), "only one of them"),
    """
    # Nothing was needed
    return solved(client, model, ["supports_tools", "supports_structured_output"])""",
    (PRICED, "", "Read with `.get(…)`"),
    ("if not able:\n        return None\n    ", "", "Return None then"),
    (f"min(able, key=lambda offer: {PRICE})", "able[0]", "did not choose the lowest"),
    (
        ("        offer\n", "        offer | {'id': listed.id}\n"),
        ("        if listed.id == model\n", "        if True\n"),
        (NEEDED, ""),
        ("{model}", "{chosen['id']}"),
        "chose another model",
    ),
    ("return solved(client, models.tools, needs)", "than the one that was asked for"),
    ("{model}:", "", "the provider alone"),
    ("f\"{model}:{chosen['provider']}\"", "chosen", "the whole offer"),
    ('return f"{model}:cheapest"', "list of models was not asked for"),
    """
    # You asked a model
    question = {"role": "user", "content": "Who serves you cheapest?"}
    client.chat.completions.create(model=model, messages=[question])""",
    ("return None", 'return f"{model}:groq"', "Nobody fits, and you named"),
    ("client.models.list()\nreturn solved(client, model, needs)", "2 times"),
    ('offer["status"]', "offer.status", "a list of dictionaries"),
    ("return None", 'return ""', "The form is the model's id"),
    (PRICED, f"{PRICED} and {PRICE}", "A price of 0 is known"),
    ('== "live"', '!= "error"', '"staging"'),
    ("listed.id == model", "listed.id.startswith(model)", "whose name only begins like"),
    (PRICE, f"str({PRICE})", "did not choose the lowest"),
    (
        "found = solved(client, model, needs)\nneeds.clear()\nreturn found",
        "changed the list `needs`",
    ),
    (by_its_own("client, model, needs"), "a client of its own"),
]

RECENT = "turns[max(0, len(turns) - 2 * keep) :]"
ANSWER = '{"role": "assistant", "content": answer}'
AFTER = f"[*history, question, {ANSWER}]"
MESSAGE = "response.choices[0].message"
SAID = "solved(client, history, text, keep)"
SAY_WRONG = [
    ("*recent", "*turns", "You sent the whole history"),
    ("max(0, len(turns) - 2 * keep)", "-2 * keep", "-0 is 0"),
    ("2 * keep", "keep", "two messages"),
    ("[instructions, ", "[", "instructions (the system message"),
    ("*recent, ", "", "without what was said before"),
    (RECENT, "turns[: 2 * keep]", "must hold 6 messages"),
    ("*recent, question", "question, *recent", "not the last message"),
    (RECENT, RECENT.replace("turns", "history"), "instructions are in the request twice"),
    (f"answer, history[:] = {SAID}\nreturn answer, history", "You changed the history"),
    (
        ("response =", "history.append(question)\n    response ="),
        ("*history, question", "*history"),
        "You changed the history",
    ),
    f"""
    # never answered
    try:
        return {SAID}
    except openai.APIStatusError:
        history.append({{"role": "user", "content": text}})
        raise""",
    ("*history, question", "instructions, *recent, question", "shortened history"),
    (f", {ANSWER}", "", "answer is not in the history"),
    (AFTER, "history", "the old one"),
    ('"assistant"', '"system"', "role `system`"),
    (ANSWER, MESSAGE, "ChatCompletionMessage"),
    (f", {AFTER}", "", "two things"),
    (f"return {SAID}[::-1]", "wrong order"),
    ("return answer", f"return {MESSAGE}", "message object"),
    f"""
    # as if nothing had happened
    try:
        return {SAID}
    except openai.APIStatusError:
        return "Sorry.", history""",
    """
    # No request was sent
    question = {"role": "user", "content": text}
    return "Yes.", [*history, question, {"role": "assistant", "content": "Yes."}]""",
    ("80", "None", "no `max_tokens`"),
    ("return client.chat_completion(history, model=models.chat)", "`InferenceClient`'s name"),
    ("return client.chat.completions.create(history, model=models.chat)", "passed by name"),
    ("model=models.chat,", "", "A chat needs both"),
    (SAID, "returns nothing"),
    (f"{MESSAGE}.content", 'response["choices"]', "attributes only"),
    f"""
    # raised RuntimeError in place of the error
    try:
        return {SAID}
    except openai.APIError as error:
        raise RuntimeError("the request failed") from error""",
    (by_its_own("client, history, text, keep"), "a client of its own"),
    (ANSWER, f"{MESSAGE}.model_dump()", "more than role and content"),
]

LIMITS = "(100, 400)"
UNFIT = "except ValidationError:\n            return None"
LAST = "if max_tokens == 400:\n                raise"
PARSED = f"{MESSAGE}.parsed"
VALIDATED = f"Ticket.model_validate_json({MESSAGE}.content)"


def none_if(kind: str) -> tuple:
    """The edit that makes None of one more kind of error."""
    return LAST, f"{LAST}\n        except {kind}:\n            return None"


TICKET_WRONG = [
    ((LIMITS, "(100,)"), ("== 400", "== 100"), "was not asked for again"),
    ("=max_tokens", "=100", "cut at the same place"),
    ((LIMITS, "(100, 200)"), ("== 400", "== 200"), "must allow 400"),
    (
        (f"for max_tokens in {LIMITS}:", "max_tokens = 100\n    while True:"),
        (LAST, "max_tokens = 400"),
        "again and again",
    ),
    (LIMITS, "(400,)", "Begin with 100"),
    (LAST, "pass", "as if it were whole"),
    (f"{UNFIT}\n        ", "", "made your function raise `ValidationError`"),
    (*none_if("Exception"), "your function hid it"),
    (
        "return None",
        "if max_tokens == 400:\n                return None",
        "2 requests where 1 would do",
    ),
    (PARSED, "response", "the whole response"),
    (PARSED, MESSAGE, "returned the message"),
    (PARSED, "response.choices[0]", "returned the choice"),
    (PARSED, f"{MESSAGE}.content", "returned the text"),
    (PARSED, f"json.loads({MESSAGE}.content)", "returned a dictionary"),
    ("print(solved(client, text))", "prints the ticket"),
    ("solved(client, text)", "returned nothing"),
    (
        (".parse(", ".create("),
        ("                response_format=Ticket,\n", ""),
        (": text", ': text + " Answer as JSON."'),
        (PARSED, VALIDATED),
        "no `response_format`",
    ),
    (
        (".parse(", ".create("),
        ("=Ticket", '={"type": "json_object"}'),
        (PARSED, VALIDATED),
        "some JSON, of whatever shape",
    ),
    (
        ("for max", "class Mail(BaseModel):\n        subject: str\n\n    for max"),
        ("=Ticket", "=Mail"),
        "not that of the class `Ticket`",
    ),
    ("models.tools", "models.chat", "You asked"),
    (": text", ': "I was charged twice."', "question is not in the request"),
    ('return Ticket(desk="billing", urgent=True, amount=None)', "No request was sent"),
    (
        PARSED,
        'Ticket(desk="billing", urgent=True, amount=123.45)',
        "what came back in this very call",
    ),
    ("                max_tokens=max_tokens,\n", "", "no `max_tokens`"),
    (": text", ': text + " Be brief." * (max_tokens == 400)', "something else than the first"),
    (
        UNFIT,
        'except ValidationError as error:\n            return {"problem": str(error)}',
        "a dictionary all the same",
    ),
    """
    # the second one belongs inside the `try` too
    try:
        return parse(client, text, Ticket, 100)
    except ValidationError:
        return None
    except openai.LengthFinishReasonError:
        return parse(client, text, Ticket, 400)""",
    ("LengthFinishReasonError", "OpenAIError", "you sent it again"),
    (*none_if("openai.APIConnectionError"), "The connection failed"),
    (*none_if("openai.RateLimitError"), "429"),
    ("models.tools", "models.tools if max_tokens == 100 else models.chat", "asked another model"),
    (by_its_own("client, text"), "a client of its own"),
]

KNOWN = "all(call.function.name in tools for call in message.tool_calls)"
CHECKED = "model_validate_json(call.function.arguments)"
UNKNOWN = 'f"error: there is no tool {name}"'
TOLD = '"content": content})'
ASKED = "    messages.append(message)\n"
SECOND = "create(model=models.tools, messages=messages,"
TOOLS_WRONG = [
    ("if name in tools", "if True", "tool that does not exist. Your function raised KeyError"),
    (
        f"arguments.{CHECKED}.model_dump()",
        "json.loads(call.function.arguments)",
        "ran the tool with them",
    ),
    ("except ValidationError", "except ZeroDivisionError", "did not fit the class (wrong type"),
    (
        ("if name in tools", "if True"),
        ("tools[name]", "tools.get(name, next(iter(tools.values())))"),
        "`delete_everything`, which is not in",
    ),
    (UNKNOWN, '""', "got no word about it"),
    (TOLD, '"content": content and "on its way"})', "not what the function returned"),
    (CHECKED, "model_validate(json.loads(call.function.arguments))", "cut in the middle"),
    ("in message.tool_calls", "in message.tool_calls[:1]", "Every call needs a result"),
    ((ASKED, ""), ("\n\n    response =", f"\n\n{ASKED}    response ="), "stands before the call"),
    ('"tool", "tool_call_id": call.id', '"user"', "no message with the role `tool`"),
    (' "tool_call_id": call.id,', "", "lacks its `tool_call_id`"),
    (SECOND, f"{SECOND[:-1]}[1:],", "lacks the question"),
    (ASKED, "", "asked for the call"),
    (
        'messages.append({"role": "tool"',
        'return content\n        messages.append({"role": "tool"',
        "the tool's result itself",
    ),
    ("if not message.tool_calls", "if True", "nothing was run"),
    (("if name in tools", "if False"), (UNKNOWN, '"done"'), "never ran it"),
    (
        "if not message.tool_calls:\n        return message.content",
        "pass",
        "answered without a call",
    ),
    (" tools=described,", "", "describes no tools"),
    ("=described", "=described[:1]", "describes the tools"),
    ("arguments, name=name", "arguments", "describes the tools OrderStatus"),
    (
        "openai.pydantic_function_tool(arguments, name=name)",
        '{"type": "function", "function": {"name": name}}',
        "does not name its arguments",
    ),
    """
    # one round
    text = solved(client, question, tools)
    messages = [{"role": "user", "content": f"Is this polite? {text}"}]
    client.chat.completions.create(model=models.tools, messages=messages, max_tokens=300)
    return text""",
    ("solved(client, question, tools)", "returns nothing (None)"),
    (
        (CHECKED, "model_validate(eval(call.function.arguments))"),
        ("except ValidationError", "except (ValidationError, SyntaxError)"),
        "With `eval` a model",
    ),
    (SECOND, SECOND.replace("tools", "chat"), "The second request asked another model"),
    (
        ("name in tools", KNOWN),
        (TOLD, f"{TOLD}\n        if not {KNOWN}:\n            break"),
        "Every call needs a result",
    ),
    ("name in tools", KNOWN, "only the second was allowed"),
    (by_its_own("client, question, tools"), "a client of its own"),
]

RIGHT = [
    (
        CONNECT,
        ("not token", 'token is None or token == ""'),
        ("/v1", "/v1/"),
        ("=token", "=lambda: token"),
        ("30", "openai.Timeout(30)"),
    ),
    """
    def connect(token):
        if token in (None, ""):
            raise ValueError("no token")
        client = OpenAI(base_url=ROUTER, api_key=token)
        return client.with_options(timeout=30, max_retries=0)""",
    # goes through the page as it is
    """
    def cheapest(client, model, needs):
        best = None
        for row in client.models.list():
            if row.id != model:
                continue
            for offer in row.providers:
                price = (offer.get("pricing") or {}).get("output")
                able = set(needs) <= {name for name, value in offer.items() if value is True}
                if price is not None and offer["status"] == "live" and able:
                    if best is None or price < best[0]:
                        best = price, offer["provider"]
        return f"{model}:{best[1]}" if best else None""",
    """
    def cheapest(client, model, needs):
        listed = {row.id: row.to_dict() for row in client.models.list()}
        rows = sorted(
            (offer["pricing"]["output"], offer["provider"])
            for offer in listed[model]["providers"]
            if offer["status"] == "live"
            and "pricing" in offer
            and all(offer.get(need) is True for need in needs)
        )
        if rows:
            return model + ":" + rows[0][1]""",
    (SAY, RECENT, "history[-2 * keep :] if 0 < keep < len(history) / 2 else turns if keep else []"),
    # with the message as the library writes it
    """
    def say(client, history, text, keep):
        said = [*history, {"role": "user", "content": text}]
        start = len(said) - 1 - 2 * keep
        messages = [message for i, message in enumerate(said) if i == 0 or i >= start]
        response = client.chat.completions.create(
            model=models.chat, messages=messages, max_tokens=80
        )
        said.append(response.choices[0].message.to_dict())
        return response.choices[0].message.content, said""",
    # with create(), and the text validated by hand
    """
    def to_ticket(client, text):
        schema = {"name": "Ticket", "strict": True, "schema": Ticket.model_json_schema()}
        messages = [
            {"role": "system", "content": "Fill in the ticket."},
            {"role": "user", "content": f"Message: {text}"},
        ]
        for max_tokens in (100, 400):
            response = client.chat.completions.create(
                model=models.tools + ":cheapest",
                messages=messages,
                response_format={"type": "json_schema", "json_schema": schema},
                max_tokens=max_tokens,
            )
            choice = response.choices[0]
            if choice.finish_reason != "length":
                break
        else:
            raise openai.LengthFinishReasonError(completion=response)
        try:
            return Ticket.model_validate_json(choice.message.content)
        except ValidationError:
            return None""",
    """
    def to_ticket(client, text):
        try:
            try:
                return parse(client, text, Ticket, 100)
            except openai.LengthFinishReasonError:
                return parse(client, text, Ticket, 400)
        except ValidationError:
            return None""",
    # a forced call, dictionaries instead of the message object, the tools offered again
    (
        TOOLS,
        ('messages = [{"role"', 'messages = [{"role": "system", "content": "Be brief."}, {"role"'),
        (
            "model=models.tools, messages=messages, tools=described,",
            'model=models.tools + ":fastest", messages=messages, tools=described, '
            'tool_choice="required",',
        ),
        (
            "append(message)",
            'append({"role": "assistant", "content": None, '
            '"tool_calls": [call.model_dump() for call in message.tool_calls]})',
        ),
        ("call.id,", 'call.id, "name": name,'),
        (SECOND, f'{SECOND} tools=described, tool_choice="none",'),
    ),
    # in a loop
    """
    def with_tools(client, question, tools):
        described = [
            openai.pydantic_function_tool(arguments, name=name)
            for name, (arguments, _) in tools.items()
        ]
        messages = [{"role": "user", "content": question}]
        while True:
            response = client.chat.completions.create(
                model=models.tools, messages=messages, tools=described
            )
            message = response.choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.to_dict())
            for call in message.tool_calls:
                arguments, function = tools.get(call.function.name, (None, None))
                try:
                    checked = function and arguments.model_validate_json(call.function.arguments)
                    content = function(**dict(checked)) if function else "error: no such tool"
                except ValidationError as error:
                    content = f"error: {error}"
                messages.append({"role": "tool", "tool_call_id": call.id, "content": content})""",
    # what is sent the second time is a list of its own
    (
        TOOLS,
        ("messages.append(message)", "results = [message]"),
        ("messages.append({", "results.append({"),
        (SECOND, "create(model=models.tools, messages=[*messages, *results],"),
    ),
]


class TestExercise(CheckCases):
    tasks, quiz = TASKS[:-1], QUIZ
    wrong, right = exercise(
        "02_openai_client",
        tasks,
        (CONNECT_WRONG, CHEAPEST_WRONG, SAY_WRONG, TICKET_WRONG, TOOLS_WRONG),
        RIGHT,
        parse=parse,
        ROUTER="https://router.huggingface.co/v1",
    )
    draws_right, places = 3, 2


def test_the_desks_are_those_of_the_data():
    assert set(DESKS) == {message["label"] for message in load("messages")}


def test_nothing_is_left_behind(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    environ, before = os.environ, (wire.current(), dict(os.environ))
    cases = [*TestExercise.right, *((task, answer) for task, answer, _ in TestExercise.wrong[::5])]
    for task, function in cases:
        task.judge(function)
    assert os.environ is environ and (wire.current(), dict(environ)) == before


def test_a_checks_environment_is_only_its_own(monkeypatch):
    """A cell that runs meanwhile reads what it always read, and what it writes stays."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    monkeypatch.setenv("OF_A_CELL", "before")
    turns, read_by_cell, own = queue.Queue(), queue.Queue(), set()
    solved = TestExercise.right[0][1]

    def cell():
        for _ in iter(turns.get, None):
            os.environ["OF_A_CELL"] = "after"
            read_by_cell.put(os.environ.get("OPENAI_API_KEY"))

    def connect(token):
        thread = threading.Thread(target=lambda: own.add(os.environ.get("OPENAI_API_KEY")))
        thread.start()
        thread.join()
        turns.put("meanwhile")
        assert read_by_cell.get() == "sk-mine"
        return solved(token)

    running = threading.Thread(target=cell)
    running.start()  # before the check, and not by it
    verdict = CONNECT.judge(connect)
    turns.put(None)
    running.join()
    assert verdict.ok, verdict.message
    assert len(own) == 4 and None in own and "sk-mine" not in own
    assert os.environ["OF_A_CELL"] == "after"


def test_the_stand_in_is_a_whole_environment():
    with environment(OPENAI_API_KEY="sk-other", HF_TOKEN=None) as own:
        assert dict(os.environ) == os.environ.copy() == own and "HF_TOKEN" not in os.environ
        assert os.environ | {"NEW": "1"} == {"NEW": "1"} | os.environ == {**own, "NEW": "1"}
        assert os.getenv("OPENAI_API_KEY") == "sk-other"
        os.environ |= {"NEW": "2"}
        del os.environ["OPENAI_API_KEY"]
        assert own["NEW"] == "2" and os.environ.pop("OPENAI_API_KEY", None) is None
    assert "NEW" not in os.environ and os.environ["HF_TOKEN"]
