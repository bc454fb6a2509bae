"""Every task of exercise 01: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import json
import random
import time
from decimal import Decimal

import pytest
from check_cases import CheckCases
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from helpers import models, wire
from helpers.exercises.kit import Raised, error, reply, spy
from helpers.exercises.lessons.lesson_01 import TASKS

ASK, WHOLE, COST, CURE, QUIZ = TASKS


def chat(client, question, **changes):
    arguments = {
        "messages": [{"role": "user", "content": question}],
        "model": models.chat,
        "max_tokens": 200,
    } | changes
    return client.chat_completion(
        **{name: value for name, value in arguments.items() if value is not None}
    )


# ---- task 1: right, and wrong in the ways people are --------------------------------------------------------------


def ask(client, question):
    return chat(client, question).choices[0].message.content


def with_system(client, question):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    return (
        chat(client, question, messages=messages, model=models.chat + ":cheapest")
        .choices[0]
        .message.content
    )


def whole_response(client, question):
    return chat(client, question)


def the_choice(client, question):
    return chat(client, question).choices[0]


def the_message(client, question):
    return chat(client, question).choices[0].message


def as_text(client, question):
    return str(chat(client, question))


def stripped(client, question):
    return "Answer: " + ask(client, question)


def prints(client, question):
    print(ask(client, question))


def forgets_return(client, question):
    ask(client, question)


def made_up(client, question):
    return "A token is a piece of text."


def asks_but_made_up(client, question):
    ask(client, question)
    return "A token is a piece of text."


def own_question(client, question):
    return ask(client, "What is a token?")


def plain_text(client, question):
    return ask_with(client, question, messages=question)


def ask_with(client, question, **changes):
    return chat(client, question, **changes).choices[0].message.content


def wrong_role(client, question):
    return ask_with(client, question, messages=[{"role": "system", "content": question}])


def no_limit(client, question):
    return ask_with(client, question, max_tokens=None)


def other_limit(client, question):
    return ask_with(client, question, max_tokens=20)


def other_model(client, question):
    return ask_with(client, question, model="gpt-4")


def no_model(client, question):
    return ask_with(client, question, model=None)


def twice(client, question):
    return ask(client, question) and ask(client, question)


def token_in_prompt(client, question):
    return ask(
        client, f"{question} My token: {client.token or __import__('os').environ['HF_TOKEN']}"
    )


def old_task(client, question):
    return client.text_generation(question, model=models.chat, max_new_tokens=200)


def streams(client, question):
    return chat(client, question, stream=True)


def hides_errors(client, question):
    try:
        return ask(client, question)
    except Exception:
        return "Sorry, something went wrong."


def forgets_index(client, question):
    return chat(client, question).choices.message.content


def as_dictionary(client, question):
    return chat(client, question)["choices"]["message"]["content"]


def remembers(client, question, kept=[]):
    kept.append(kept[0] if kept else ask(client, question))
    return kept[-1]


def provider_here(client, question):
    return ask_with(client, question, provider="groq")


def with_token(client, question):
    return ask_with(client, question, extra_body={"api_key": __import__("os").environ["HF_TOKEN"]})


def own_client(client, question):
    return ask(InferenceClient(), question)


def own_error(client, question):
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        raise RuntimeError("the request failed") from error


def remembers_questions(client, question, messages=[]):
    messages.append({"role": "user", "content": question})
    return ask_with(client, question, messages=messages)


def limit_as_text(client, question):
    return ask_with(client, question, max_tokens="200")


ASK_WRONG = [
    (whole_response, "whole response object"),
    (the_choice, "returned the choice"),
    (the_message, "message object"),
    (as_text, "turned the response object into a text"),
    (stripped, "something added"),
    (prints, "prints the answer and returns nothing"),
    (forgets_return, "Did you forget `return`"),
    (made_up, "No request was sent"),
    (asks_but_made_up, "not what the model answered"),
    (own_question, "question is not in the request"),
    (plain_text, "`messages` as a plain text"),
    (wrong_role, "role `system`"),
    (no_limit, "no `max_tokens`"),
    (other_limit, "`max_tokens` was 20"),
    (other_model, "You asked `gpt-4`"),
    (no_model, "No model was named"),
    (twice, "2 requests for one question"),
    (token_in_prompt, "token is in the body"),
    (with_token, "token is in the body"),
    (old_task, "serves chat only"),
    (streams, "asked for a stream"),
    (hides_errors, "as if nothing had happened"),
    (forgets_index, "'list' object has no attribute 'message'"),
    (as_dictionary, "list indices must be integers"),
    (remembers, "No request was sent"),
    (provider_here, "belongs to the client"),
    (own_client, "a client of its own"),
    (own_error, "raised RuntimeError in place of the error"),
    (limit_as_text, "`max_tokens` was '200'"),
    (remembers_questions, "question of an earlier call"),
]


# ---- task 2 -------------------------------------------------------------------------------------------------------


def ask_whole(client, question):
    choice = chat(client, question, max_tokens=100).choices[0]
    if choice.finish_reason == "length":
        choice = chat(client, question, max_tokens=400).choices[0]
    return choice.message.content, choice.finish_reason == "stop"


def text_only(client, question):
    return ask_whole(client, question)[0]


def swapped(client, question):
    return ask_whole(client, question)[::-1]


def reason_itself(client, question):
    choice = chat(client, question, max_tokens=100).choices[0]
    return choice.message.content, choice.finish_reason


def inverted(client, question):
    text, complete = ask_whole(client, question)
    return text, not complete


def never_again(client, question):
    choice = chat(client, question, max_tokens=100).choices[0]
    return choice.message.content, choice.finish_reason == "stop"


def always_again(client, question):
    chat(client, question, max_tokens=100)
    choice = chat(client, question, max_tokens=400).choices[0]
    return choice.message.content, choice.finish_reason == "stop"


def same_limit(client, question):
    choice = chat(client, question, max_tokens=100).choices[0]
    if choice.finish_reason == "length":
        choice = chat(client, question, max_tokens=100).choices[0]
    return choice.message.content, choice.finish_reason == "stop"


def until_whole(client, question):
    room = 100
    while True:
        choice = chat(client, question, max_tokens=room).choices[0]
        if choice.finish_reason == "stop":
            return choice.message.content, True
        room = 400


def first_text(client, question):
    first = chat(client, question, max_tokens=100).choices[0]
    if first.finish_reason == "length":
        chat(client, question, max_tokens=400)
    return first.message.content, True


def joined(client, question):
    first = chat(client, question, max_tokens=100).choices[0]
    if first.finish_reason == "stop":
        return first.message.content, True
    second = chat(client, question, max_tokens=400).choices[0]
    return first.message.content + second.message.content, second.finish_reason == "stop"


def by_length(client, question):
    text = ask_with(client, question, max_tokens=100)
    if len(text.split()) < 100:
        return text, True
    text = ask_with(client, question, max_tokens=400)
    return text, len(text.split()) < 400


def by_full_stop(client, question):
    choice = chat(client, question, max_tokens=100).choices[0]
    if choice.finish_reason == "length" and not choice.message.content.endswith("."):
        choice = chat(client, question, max_tokens=400).choices[0]
    return choice.message.content, choice.finish_reason == "stop"


def always_true(client, question):
    return ask_whole(client, question)[0], True


def first_reason(client, question):
    first = chat(client, question, max_tokens=100).choices[0]
    last = (
        chat(client, question, max_tokens=400).choices[0]
        if first.finish_reason == "length"
        else first
    )
    return last.message.content, first.finish_reason == "stop"


def goes_on(client, question):
    choice = chat(client, question, max_tokens=100).choices[0]
    if choice.finish_reason == "length":
        said = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": choice.message.content},
            {"role": "user", "content": "Go on."},
        ]
        choice = chat(client, question, messages=said, max_tokens=400).choices[0]
    return choice.message.content, choice.finish_reason == "stop"


def asks_for_less(client, question):
    choice = chat(client, question, max_tokens=100).choices[0]
    if choice.finish_reason == "length":
        choice = chat(client, question + " Be brief.", max_tokens=400).choices[0]
    return choice.message.content, choice.finish_reason == "stop"


def own_client_twice(client, question):
    return ask_whole(InferenceClient(), question)


def in_a_loop(client, question):
    for room in (100, 400):
        choice = client.chat.completions.create(
            model=models.chat, messages=[{"role": "user", "content": question}], max_tokens=room
        )["choices"][0]
        if choice["finish_reason"] != "length":
            break
    return choice["message"]["content"], choice["finish_reason"] != "length"


WHOLE_WRONG = [
    (text_only, "two things"),
    (swapped, "wrong order"),
    (reason_itself, "`finish_reason` itself"),
    (inverted, "says it was cut"),
    (never_again, "not asked for again"),
    (always_again, "asked a second time all the same"),
    (same_limit, "same `max_tokens`"),
    (until_whole, "again and again"),
    (first_text, "the text of the first"),
    (joined, "joined the two answers"),
    (by_length, "exactly 100 tokens"),
    (by_full_stop, "full stop by chance"),
    (always_true, "says it was whole"),
    (first_reason, "finish_reason` of the answer that you return"),
    (made_up, "No request was sent"),
    (forgets_return, "`max_tokens` was 200"),
    (goes_on, "asks something else than the first"),
    (asks_for_less, "asks something else than the first"),
    (own_client_twice, "a client of its own"),
]


# ---- task 3 -------------------------------------------------------------------------------------------------------

FIXED = dict(models["chat"].price)


def cost_of(response):
    price = models["chat"].price
    return (
        response.usage.prompt_tokens * price["input"]
        + response.usage.completion_tokens * price["output"]
    ) / 1e6


def by_registry(response):
    return models["chat"].cost(response.usage.prompt_tokens, response.usage.completion_tokens)


def per_token(response):
    return cost_of(response) * 1e6


def per_thousand(response):
    return cost_of(response) * 1e3


def in_cents(response):
    return cost_of(response) * 100


def prices_swapped(response):
    price = models["chat"].price
    return (
        response.usage.prompt_tokens * price["output"]
        + response.usage.completion_tokens * price["input"]
    ) / 1e6


def all_at_input(response):
    return response.usage.total_tokens * models["chat"].price["input"] / 1e6


def all_at_output(response):
    return response.usage.total_tokens * models["chat"].price["output"] / 1e6


def both_prices(response):
    return (
        response.usage.total_tokens
        * (models["chat"].price["input"] + models["chat"].price["output"])
        / 1e6
    )


def prompt_only(response):
    return response.usage.prompt_tokens * models["chat"].price["input"] / 1e6


def answer_only(response):
    return response.usage.completion_tokens * models["chat"].price["output"] / 1e6


def fixed_prices(response):
    return (
        response.usage.prompt_tokens * FIXED["input"]
        + response.usage.completion_tokens * FIXED["output"]
    ) / 1e6


def rounded(response):
    return round(cost_of(response), 4)


def cost_as_text(response):
    return f"${cost_of(response):.6f}"


def cost_printed(response):
    print(cost_of(response))


def cost_nothing(response):
    cost_of(response)


def cost_guessed(response):
    return 0.0042


def cost_asks(response):
    from huggingface_hub import InferenceClient

    chat(InferenceClient(), "How much was that?")
    return cost_of(response)


def cost_by_characters(response):
    return len(response.choices[0].message.content) * models["chat"].price["output"] / 1e6


def other_model_s_prices(response):
    return models["tools"].cost(response.usage.prompt_tokens, response.usage.completion_tokens)


def rounded_a_little(response):
    return round(cost_of(response), 9)


def exact(response):
    used, price = response["usage"], models["chat"].price
    return (
        Decimal(used["prompt_tokens"]) * Decimal(str(price["input"]))
        + Decimal(used["completion_tokens"]) * Decimal(str(price["output"]))
    ) / 10**6


COST_WRONG = [
    (per_token, "per million tokens, and you counted them per token"),
    (per_thousand, "per thousand"),
    (in_cents, "cents"),
    (prices_swapped, "swapped"),
    (all_at_input, "all tokens at the price of the prompt"),
    (all_at_output, "all tokens at the price of the written"),
    (both_prices, "both prices together"),
    (prompt_only, "the prompt only"),
    (answer_only, "the answer only"),
    (fixed_prices, "written into your code"),
    (rounded, "rounded"),
    (cost_as_text, "returned a text"),
    (cost_printed, "prints the cost"),
    (cost_nothing, "Did you forget `return`"),
    (cost_guessed, "the cost is $"),
    (cost_asks, "request of its own"),
    (cost_by_characters, "the cost is $"),
    (other_model_s_prices, 'the prices of `models["tools"]`'),
    (rounded_a_little, "rounded"),
]


# ---- task 4 -------------------------------------------------------------------------------------------------------


def ask_or_cure(client, question):
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        response = error.response
        if (
            response.status_code == 400
            and response.json()["error"]["code"] == "model_not_supported"
        ):
            return "model"
        if response.status_code in (401, 402, 403):
            return {401: "token", 402: "credits", 403: "permission"}[response.status_code]
        raise


def by_substring(client, question):
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        for status, cure in {
            "401": "token",
            "402": "credits",
            "403": "permission",
            "400": "model",
        }.items():
            if status in str(error):
                return cure
        raise


def by_words(client, question):
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        for word, cure in {
            "credits": "credits",
            "permission": "permission",
            "username": "token",
            "model": "model",
        }.items():
            if word in str(error):
                return cure
        raise


def the_status(client, question):
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        return error.response.status_code


def the_error_text(client, question):
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        return str(error)


def no_try(client, question):
    return ask(client, question)


def three_only(client, question):
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 402, 403):
            return {401: "token", 402: "credits", 403: "permission"}[error.response.status_code]
        raise


def any_400(client, question):
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        cures = {400: "model", 401: "token", 402: "credits", 403: "permission"}
        if error.response.status_code in cures:
            return cures[error.response.status_code]
        raise


def swallows_rest(client, question):
    try:
        return ask_or_cure(client, question)
    except HfHubHTTPError:
        return None


def wraps_rest(client, question):
    try:
        return ask_or_cure(client, question)
    except HfHubHTTPError as error:
        raise RuntimeError("request failed") from error


def catches_all(client, question):
    try:
        return ask(client, question)
    except Exception as error:
        if error.response.status_code == 500:
            raise
        if (
            error.response.status_code == 400
            and error.response.json()["error"]["code"] != "model_not_supported"
        ):
            raise
        return {400: "model", 401: "token", 402: "credits", 403: "permission"}[
            error.response.status_code
        ]


def prints_cure(client, question):
    result = ask_or_cure(client, question)
    if result in ("token", "credits", "permission", "model"):
        print(result)
    else:
        return result


def tries_again(client, question):
    for attempt in range(3):
        result = ask_or_cure(client, question)
        if result not in ("token", "credits", "permission", "model"):
            return result
        time.sleep(2**attempt)
    return result


def mixed_up(client, question):
    result = ask_or_cure(client, question)
    return {"token": "permission", "permission": "token"}.get(result, result)


def always_cure(client, question):
    ask_or_cure(client, question)
    return "token"


def cure_unless(client, question, word):
    """Right but for the 400, which it knows by a word of its message."""
    try:
        return ask(client, question)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 400 and word in str(error):
            return "model"
        if status in (401, 402, 403):
            return {401: "token", 402: "credits", 403: "permission"}[status]
        raise


def model_by_word(client, question):
    return cure_unless(client, question, "model")


def model_by_words(client, question):
    return cure_unless(client, question, "not supported by any provider")


def one_more(status, cure):
    def one_cure_too_many(client, question):
        try:
            return ask_or_cure(client, question)
        except HfHubHTTPError as error:
            if error.response.status_code == status:
                return cure
            raise

    return one_cure_too_many


def retries_500(client, question):
    try:
        return ask_or_cure(client, question)
    except HfHubHTTPError as error:
        if error.response.status_code == 500:
            return ask_or_cure(client, question)
        raise


def cures_own_client(client, question):
    return ask_or_cure(InferenceClient(), question)


def by_match(client, question):
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
            case 400 if json.loads(error.response.text)["error"]["code"] == "model_not_supported":
                return "model"
        raise error
    return response.choices[0].message.content


CURE_WRONG = [
    (by_substring, "looked for words in the error's text"),
    (by_words, "looked for words in the error's text"),
    (the_status, "returned the status, 401"),
    (the_error_text, "returned the error's text"),
    (no_try, "let HfHubHTTPError through"),
    (three_only, "let BadRequestError through"),
    (any_400, "A 400 can have other reasons"),
    (swallows_rest, "swallowed it"),
    (wraps_rest, "raised RuntimeError in its place"),
    (catches_all, "The connection failed"),
    (prints_cure, "returned nothing (None)"),
    (tries_again, "sent the request again"),
    (mixed_up, "the token is missing or wrong"),
    (always_cure, "there is no error, return the text"),
    (made_up, "No request was sent"),
    (model_by_word, "A 400 can have other reasons"),
    (model_by_words, "another message than usual"),
    (one_more(429, "credits"), "A 429"),
    (one_more(404, "model"), "A 404"),
    (retries_500, "You sent the request again"),
    (cures_own_client, "a client of its own"),
]


RIGHT = [
    (ASK, ask),
    (ASK, with_system),
    (WHOLE, ask_whole),
    (WHOLE, in_a_loop),
    (COST, cost_of),
    (COST, by_registry),
    (COST, exact),
    (CURE, ask_or_cure),
    (CURE, by_match),
]
WRONG = [
    (task, function, said)
    for task, cases in (
        (ASK, ASK_WRONG),
        (WHOLE, WHOLE_WRONG),
        (COST, COST_WRONG),
        (CURE, CURE_WRONG),
    )
    for function, said in cases
]


# ---- functions that do not behave ---------------------------------------------------------------------------------


class Odd:
    breaks_comparison = True

    def __call__(self, *arguments):
        return self

    def __eq__(self, other):
        raise ValueError("not comparable")

    __hash__ = object.__hash__


def leaves(*arguments):
    raise SystemExit(3)


def raises_nothing_known(*arguments):
    raise type("Mine", (BaseException,), {})()


def recursive(*arguments):
    return recursive(*arguments)


def patient(*arguments):
    while True:
        time.sleep(60)


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


UNRULY = [
    Odd(),
    leaves,
    raises_nothing_known,
    recursive,
    patient,
    stubborn,
    catches_even_the_interrupt,
    print,
    3,
    None,
    "ask",
    lambda: 1,
    lambda *a: None,
    lambda *a: 1,
    lambda *a: (),
    lambda *a: (1, 2),
    lambda *a: float("nan"),
    lambda *a: {},
    lambda *a: True,
    lambda *a: ask,
    lambda *a: object(),
    lambda *a: 1 / 0,
    lambda *a: a,
    lambda *a: "",
    lambda *a: ("", True),
    lambda *a: b"\xff",
]


class TestExercise(CheckCases):
    tasks, right, wrong, unruly, quiz = TASKS[:4], RIGHT, WRONG, UNRULY, QUIZ

    def left_behind(self):
        return wire.current(), time.sleep, dict(models["chat"].price)


def test_an_error_names_the_line():
    def slip(client, question):
        words = question.split()
        return words[1000]

    message = ASK.judge(slip).message
    assert "IndexError: list index out of range" in message and "`return words[1000]`" in message


def test_a_loop_without_end_is_ended():
    from helpers.exercises.kit import NotYet

    def forever():
        while True:
            pass  # noqa: E701

    with (
        spy(seconds=0.2) as service,
        pytest.raises(NotYet, match="still running after 0.2 seconds"),
    ):
        service.call(forever)


def test_waiting_takes_no_time(monkeypatch):
    from time import sleep

    def waits():
        time.sleep(3600)
        sleep_by_name(3600)

    monkeypatch.setitem(globals(), "sleep_by_name", sleep)
    started = time.monotonic()
    with spy() as service:
        service.call(waits)
    assert service.slept == [3600, 3600] and time.monotonic() - started < 5
    assert globals()["sleep_by_name"] is sleep


def test_the_token_of_the_environment_comes_back(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    import os

    with spy() as service:
        assert os.environ["HF_TOKEN"] == service.token != "hf_mine"
    assert os.environ["HF_TOKEN"] == "hf_mine"


# ---- the spy answers the later lessons' requests too ---------------------------------------------------------------


@pytest.fixture
def client():
    from huggingface_hub import InferenceClient

    return lambda: InferenceClient()


def test_spy_speaks_every_task_of_the_course(client):
    with spy() as service:
        assert client().feature_extraction(["a", "b"], model=models.embedding).shape == (2, 8)
        assert {r.label for r in client().text_classification("Good.", model=models.sentiment)} == {
            "POSITIVE",
            "NEGATIVE",
        }
        zero = client().zero_shot_classification(
            "Pay me.", candidate_labels=["billing", "bug"], model=models.zero_shot
        )
        assert [r.score for r in zero] == sorted((r.score for r in zero), reverse=True)
        (entity,) = client().token_classification("we met Ada there", model=models.ner)
        assert (entity.word, entity.start, entity.end) == ("Ada", 7, 10)
        assert client().summarization("Long.", model=models.summarization).summary_text
        assert client().text_to_image("A card.", model=models.image).size == (64, 64)
    assert len(service.sent) == 6 and len(service.lookups) >= 6


def test_spy_streams_and_drops_streams(client):
    with spy(reply("a b c"), reply("a b c", breaks_after=2)) as service:
        kept = client()  # a client that nobody holds closes its streams
        pieces = service.call(
            lambda: "".join(
                chunk.choices[0].delta.content or "" for chunk in chat(kept, "?", stream=True)
            )
        )
        assert pieces == "a b c" == service.said[0]
        with pytest.raises(Raised, match="RemoteProtocolError"):
            service.call(lambda: list(chat(kept, "?", stream=True)))


def test_spy_serves_openai_and_its_retries():
    from openai import OpenAI

    with spy(error(429, retry_after=7), error(503)) as service:
        answer = service.call(
            lambda: OpenAI(
                base_url="https://router.huggingface.co/v1", api_key=service.token
            ).chat.completions.create(
                model=models.chat, messages=[{"role": "user", "content": "?"}]
            )
        )
    assert answer.choices[0].message.content == service.said[0]
    assert len(service.sent) == 3 and service.slept[0] == 7


def test_spy_runs_coroutines():
    from huggingface_hub import AsyncInferenceClient

    async def ask_async():
        import asyncio

        await asyncio.sleep(100)
        return (
            (
                await AsyncInferenceClient().chat_completion(
                    [{"role": "user", "content": "?"}], model=models.chat
                )
            )
            .choices[0]
            .message.content
        )

    with spy() as service:
        assert service.call(ask_async) == service.said[0]
    assert service.slept == [100]


def test_spy_answers_cannot_be_guessed(client):
    random.seed(1)
    with spy() as one:
        ask(client(), "?")
    with spy() as two:
        ask(client(), "?")
    assert one.said != two.said and one.token != two.token


# ---- the quiz -----------------------------------------------------------------------------------------------------


def test_what_the_quiz_says_is_true(client, monkeypatch):
    """The claims that the installed client can be asked about."""
    from huggingface_hub import InferenceClient, constants

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
        monkeypatch.setenv("HF_TOKEN", service.token)
