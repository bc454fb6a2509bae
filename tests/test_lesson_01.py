"""Exercise 01: the stub fails, the solution passes, each mistake gets the message about it."""

import contextvars
import time

import pytest
from check_cases import UNRULY, CheckCases
from huggingface_hub import InferenceClient, constants
from wrong import exercise, hides

from helpers import models
from helpers.exercises.kit import spy
from helpers.exercises.lessons.lesson_01 import TASKS

ASK, WHOLE, COST, CURE, QUIZ = TASKS


def chat(client, question, **changes):
    arguments = {"model": models.chat, "max_tokens": 200} | changes
    return client.chat_completion([{"role": "user", "content": question}], **arguments)


FIXED = dict(models["chat"].price)
MADE_UP = ('return "A token is a piece of text."', "No request was sent")
MESSAGES = '[{"role": "user", "content": question}]'
CONTENT = "response.choices[0].message.content"

ASK_WRONG = [
    (CONTENT, "response", "whole response object"),
    (".message.content", "", "returned the choice"),
    (".content", "", "message object"),
    (CONTENT, "str(response)", "turned the response object into a text"),
    (CONTENT, f'"Answer: " + {CONTENT}', "something added"),
    (f"return {CONTENT}", f"print({CONTENT})", "prints the answer and returns nothing"),
    ("return ", "", "Did you forget `return`"),
    MADE_UP,
    (CONTENT, '"A token is a piece of text."', "not what the model answered"),
    ('"content": question', '"content": "What is a token?"', "question is not in the request"),
    (MESSAGES, "question", "`messages` as a plain text"),
    ('"user"', '"system"', "role `system`"),
    ("max_tokens=200,", "", "no `max_tokens`"),
    ("200", "20", "`max_tokens` was 20"),
    ("models.chat", '"gpt-4"', "You asked `gpt-4`"),
    ("model=models.chat,", "", "No model was named"),
    ("return solved(client, question) and solved(client, question)", "2 requests for one question"),
    (
        '"content": question',
        """"content": f"{question} My token: {os.environ['HF_TOKEN']}\"""",
        "token is in the body",
    ),
    ("200", '200, extra_body={"api_key": os.environ["HF_TOKEN"]}', "token is in the body"),
    """
    # serves chat only
    return client.text_generation(question, model=models.chat, max_new_tokens=200)""",
    (("200", "200, stream=True"), (CONTENT, "response"), "asked for a stream"),
    (hides("client, question", '"Sorry, something went wrong."'), "as if nothing had happened"),
    ("[0]", "", "'list' object has no attribute 'message'"),
    (CONTENT, 'response["choices"]["message"]["content"]', "list indices must be integers"),
    (
        ("question)", "question, kept=[])"),
        ("response =", "response = kept[0] if kept else"),
        ("return", "kept.append(response)\n    return"),
        "No request was sent",
    ),
    ("max_tokens=200", 'max_tokens=200, provider="groq"', "belongs to the client"),
    ("client.", "own.", "a client of its own"),
    """
    # raised RuntimeError in place of the error
    try:
        return solved(client, question)
    except HfHubHTTPError as error:
        raise RuntimeError("the request failed") from error""",
    ("200", '"200"', "`max_tokens` was '200'"),
    (
        (f"messages={MESSAGES}", "messages=messages"),
        ("response =", f"messages += {MESSAGES}\n    response ="),
        ("question)", "question, messages=[])"),
        "question of an earlier call",
    ),
]

LOOK = 'if choice.finish_reason != "length":'
CHOICE = "choice = response.choices[0]"
FIRST = f"{CHOICE}\n        first = choice if max_tokens == 100 else first"
COMPLETE = 'choice.finish_reason == "stop"'
WHOLE_WRONG = [
    (f", {COMPLETE}", "", "two things"),
    ("return solved(client, question)[::-1]", "wrong order"),
    (COMPLETE, "choice.finish_reason", "`finish_reason` itself"),
    (COMPLETE, f"not ({COMPLETE})", "says it was cut"),
    ("(100, 400)", "[100]", "not asked for again"),
    (LOOK, "if False:", "asked a second time all the same"),
    ("(100, 400)", "(100, 100)", "same `max_tokens`"),
    ("(100, 400)", "itertools.chain([100], itertools.repeat(400))", "again and again"),
    (
        (CHOICE, FIRST),
        (f"choice.message.content, {COMPLETE}", "first.message.content, True"),
        "the text of the first",
    ),
    """
    # joined the two answers
    first = chat(client, question, max_tokens=100).choices[0]
    if first.finish_reason == "stop":
        return first.message.content, True
    second = chat(client, question, max_tokens=400).choices[0]
    return first.message.content + second.message.content, second.finish_reason == "stop\"""",
    (
        ('choice.finish_reason != "length"', "len(choice.message.content.split()) < max_tokens"),
        (COMPLETE, "len(choice.message.content.split()) < max_tokens"),
        "exactly 100 tokens",
    ),
    ('"length"', '"length" or choice.message.content.endswith(".")', "full stop by chance"),
    (COMPLETE, "True", "says it was whole"),
    (
        (CHOICE, FIRST),
        (COMPLETE, 'first.finish_reason == "stop"'),
        "finish_reason` of the answer that you return",
    ),
    MADE_UP,
    ("ask(client, question)", "`max_tokens` was 200"),
    (
        (f"messages={MESSAGES}", "messages=said"),
        ("for max", f"said = {MESSAGES}\n    for max"),
        (
            CHOICE,
            f'{CHOICE}\n        said += [choice.message, {{"role": "user", "content": "Go on."}}]',
        ),
        "asks something else than the first",
    ),
    (
        '"content": question',
        '"content": question + " Be brief." * (max_tokens == 400)',
        "asks something else than the first",
    ),
    ("client.", "own.", "a client of its own"),
]

SUM = "(read + written) / 1_000_000"
COST_WRONG = [
    (" / 1_000_000", "", "per million tokens, and you counted them per token"),
    ("1_000_000", "1_000", "per thousand"),
    ("1_000_000", "10_000", "cents"),
    (
        ('prompt_tokens * price["input"]', 'prompt_tokens * price["output"]'),
        ('completion_tokens * price["output"]', 'completion_tokens * price["input"]'),
        "swapped",
    ),
    ('["output"]', '["input"]', "all tokens at the price of the prompt"),
    ('["input"]', '["output"]', "all tokens at the price of the written"),
    (
        "(read + written)",
        'response.usage.total_tokens * (price["input"] + price["output"])',
        "both prices together",
    ),
    ("read + written", "read", "the prompt only"),
    ("read + written", "written", "the answer only"),
    ('models["chat"].price', "fixed", "written into your code"),
    (SUM, f"round({SUM}, 4)", "rounded"),
    (SUM, f'f"${{{SUM}:.6f}}"', "returned a text"),
    (f"return {SUM}", f"print({SUM})", "prints the cost"),
    ("return ", "", "Did you forget `return`"),
    ("return 0.0042", "the cost is $"),
    ("return ", 'chat(own, "How much was that?")\n    return ', "request of its own"),
    (
        ("response.usage.completion_tokens", f"len({CONTENT})"),
        ("read + written", "written"),
        "the cost is $",
    ),
    ('"chat"', '"tools"', 'the prices of `models["tools"]`'),
    (SUM, f"round({SUM}, 9)", "rounded"),
]

BY_TEXT = """
try:
    return ask(client, question)
except HfHubHTTPError as error:
    for word, cure in {{{}: "token", {}: "credits", {}: "permission", {}: "model"}}.items():
        if word in str(error):
            return cure
    raise"""
CODE = 'response.json()["error"]["code"] == "model_not_supported"'
CURED = "cures[response.status_code]"
CURE_WRONG = [
    (BY_TEXT.format('"401"', '"402"', '"403"', '"400"'), "looked for words in the error's text"),
    (
        BY_TEXT.format('"username"', '"credits"', '"permission"', '"model"'),
        "looked for words in the error's text",
    ),
    (CURED, "response.status_code", "returned the status, 401"),
    (CURED, "str(error)", "returned the error's text"),
    ("return ask(client, question)", "let HfHubHTTPError through"),
    (CODE, "False", "let BadRequestError through"),
    (CODE, "True", "A 400 can have other reasons"),
    ("raise", "return None", "swallowed it"),
    ("raise", 'raise RuntimeError("failed") from error', "raised RuntimeError in its place"),
    ("HfHubHTTPError", "Exception", "The connection failed"),
    (CURED, f"print({CURED})", "returned nothing (None)"),
    """
    # sent the request again
    for attempt in range(3):
        result = solved(client, question)
        if result not in ("token", "credits", "permission", "model"):
            return result
        time.sleep(2**attempt)
    return result""",
    (
        ('401: "token"', '401: "permission"'),
        ('403: "permission"', '403: "token"'),
        "the token is missing or wrong",
    ),
    (
        ("return ask", 'return "token" if ask'),
        ("question)\n", 'question) else ""\n'),
        "there is no error, return the text",
    ),
    MADE_UP,
    (CODE, '"model" in str(error)', "A 400 can have other reasons"),
    (CODE, '"not supported by any provider" in str(error)', "another message than usual"),
    ('403: "permission"', '403: "permission", 429: "credits"', "A 429"),
    ('403: "permission"', '403: "permission", 404: "model"', "A 404"),
    (
        "raise",
        "if response.status_code == 500:\n            return ask(client, question)\n        raise",
        "You sent the request again",
    ),
    ("ask(client", "ask(own", "a client of its own"),
]

RIGHT = [
    (
        ASK,
        ("messages=[", 'messages=[{"role": "system", "content": "Be brief."}, '),
        ("models.chat", 'models.chat + ":cheapest"'),
    ),
    (
        WHOLE,
        ("client.chat_completion", "client.chat.completions.create"),
        (CHOICE, 'choice = response["choices"][0]'),
        (LOOK, 'if choice["finish_reason"] != "length":'),
        (
            f"return choice.message.content, {COMPLETE}",
            'return choice["message"]["content"], choice["finish_reason"] != "length"',
        ),
    ),
    """
    def cost_of(response):
        used = response.usage
        return models["chat"].cost(used.prompt_tokens, used.completion_tokens)""",
    """
    def cost_of(response):
        used, price = response["usage"], models["chat"].price
        read = Decimal(used["prompt_tokens"]) * Decimal(str(price["input"]))
        written = Decimal(used["completion_tokens"]) * Decimal(str(price["output"]))
        return (read + written) / 10**6""",
    """
    def ask_or_cure(client, question):
        try:
            response = chat(client, question)
        except HfHubHTTPError as error:
            match error.response.status_code:
                case 401:
                    return "token"
                case 402:
                    return "credits"
                case 403:
                    return "permission"
            code = json.loads(error.response.text)["error"]
            if error.response.status_code == 400 and code["code"] == "model_not_supported":
                return "model"
            raise error
        return response.choices[0].message.content""",
]

MISTAKES = (ASK_WRONG, WHOLE_WRONG, COST_WRONG, CURE_WRONG)


class Odd:
    breaks_comparison = True

    def __call__(self, *arguments):
        return self

    def __eq__(self, other):
        raise ValueError("not comparable")

    __hash__ = object.__hash__


def raises_nothing_known(*arguments):
    raise type("Mine", (BaseException,), {})()


def recursive(*arguments):
    return recursive(*arguments)


def stubborn(client, question=None):
    while True:
        try:
            chat(client, question, stream="no")
        except Exception:
            time.sleep(1)


def catches_even_the_interrupt(*arguments):
    while True:
        try:
            return chat(*arguments)
        except:  # noqa: E722
            continue


ODD = [Odd(), raises_nothing_known, recursive, stubborn, catches_even_the_interrupt]
ODD += [*UNRULY, lambda *a: chat, lambda *a: ("", True), lambda *a: b"\xff"]


class TestExercise(CheckCases):
    tasks, unruly, quiz = TASKS[:4], ODD, QUIZ
    wrong, right = exercise("01_first_call", tasks, MISTAKES, RIGHT, chat=chat, fixed=FIXED)


def test_an_error_names_the_line():
    def slip(client, question):
        words = question.split()
        return words[1000]

    message = ASK.judge(slip).message
    assert "IndexError: list index out of range" in message and "`return words[1000]`" in message


def test_a_check_changes_prices_for_its_function_alone():
    """Also where that has kept the price from before; not for a cell that runs meanwhile."""
    price, seen = models["chat"].price, []
    known = price["input"]

    def cost_of(response):
        inside = {price["input"], dict(price)["input"], price.get("input"), *price.values()}
        seen.append((inside, contextvars.Context().run(price.get, "input")))
        return price["input"] * response.usage.prompt_tokens / 1e6

    assert "prompt" in COST.judge(cost_of).message
    ((asked_inside, asked_elsewhere),) = seen
    assert known not in asked_inside
    assert known == asked_elsewhere == price["input"]


def test_what_the_quiz_says_is_true(monkeypatch):
    """The claims that the installed client can be asked about."""
    message = [{"role": "user", "content": "?"}]
    with spy() as service:
        InferenceClient(model="org/A").chat_completion(message, model="org/B")
        assert service.sent.last.json["model"] == "org/A"
        InferenceClient().chat_completion(message, model=models.chat + ":cheapest")
        assert service.sent.last.json["model"] == models.chat + ":cheapest"
        monkeypatch.delenv("HF_TOKEN")
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
        sent = len(service.sent)
        with pytest.raises(ValueError, match="api_key"):
            InferenceClient().chat_completion(message, model=models.chat)
        assert len(service.sent) == sent
