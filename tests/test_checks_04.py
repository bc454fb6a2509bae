"""Every task of exercise 04: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import asyncio

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import TextGenerationError
from huggingface_hub.utils import httpx

from helpers import models, wire
from helpers.checks.lesson_04 import TASKS

PIECES, READ, SENTENCE, ALL, QUIZ = TASKS


def chat(client, question, **changes):
    arguments = {"messages": [{"role": "user", "content": question}], "model": models.chat, "max_tokens": 200, "stream": True} | changes
    return client.chat_completion(**{name: value for name, value in arguments.items() if value is not None})


# ---- task 1 -------------------------------------------------------------------------------------------------------


def pieces(client, question):
    for chunk in chat(client, question):
        for choice in chunk.choices:
            if choice.delta.content:
                yield choice.delta.content


def returns_a_generator(client, question):
    stream = chat(client, question)
    return (choice.delta.content for chunk in stream for choice in chunk.choices if choice.delta.content)


def no_stream(client, question):
    yield chat(client, question, stream=None).choices[0].message.content


def takes_the_first_choice(client, question):
    for chunk in chat(client, question):
        if chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def lets_none_through(client, question):
    for chunk in chat(client, question):
        for choice in chunk.choices:
            yield choice.delta.content


def lets_empty_through(client, question):
    for chunk in chat(client, question):
        for choice in chunk.choices:
            if choice.delta.content is not None:
                yield choice.delta.content


def none_as_text(client, question):
    for chunk in chat(client, question):
        for choice in chunk.choices:
            yield f"{choice.delta.content}"


def hands_on_chunks(client, question):
    yield from chat(client, question)


def all_so_far(client, question):
    text = ""
    for piece in pieces(client, question):
        text += piece
        yield text


def joined(client, question):
    return "".join(pieces(client, question))


def as_list(client, question):
    return list(pieces(client, question))


def prints_pieces(client, question):
    for piece in pieces(client, question):
        print(piece, end="", flush=True)


def strips(client, question):
    for piece in pieces(client, question):
        yield piece.strip()


def hides_errors(client, question):
    try:
        yield from pieces(client, question)
    except Exception:
        return


def whole_message(client, question):
    for chunk in chat(client, question):
        for choice in chunk.choices:
            yield choice.message.content


def no_limit(client, question):
    for chunk in chat(client, question, max_tokens=None):
        for choice in chunk.choices:
            if choice.delta.content:
                yield choice.delta.content


PIECES_WRONG = [
    (no_stream, "did not ask for a stream"), (takes_the_first_choice, "no `choices` at all"), (lets_none_through, "is `None`"),
    (lets_empty_through, "empty texts"), (none_as_text, 'The word "None"'), (hands_on_chunks, "the chunks"), (all_so_far, "all the text so far"),
    (joined, "the whole text at once"), (as_list, "read the whole stream before"), (prints_pieces, "prints the pieces"), (strips, "white space"),
    (hides_errors, "Leave out the `try`"), (whole_message, "have a `delta`"), (no_limit, "no `max_tokens`"),
]


# ---- task 2 -------------------------------------------------------------------------------------------------------

USAGE = {"stream_options": {"include_usage": True}}


def read(client, question, complete=lambda reason, text: reason == "stop", tokens=lambda usage, count: usage.completion_tokens if usage else None,
         errors=httpx.HTTPError, options=USAGE):
    stream, text, reason, usage, count = chat(client, question, **options), "", None, None, 0
    try:
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                count += bool(choice.delta.content)
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
    except errors:
        reason = None
    return text, complete(reason, text), tokens(usage, count)


def right_read(client, question):
    return read(client, question)


def no_usage(client, question):
    return read(client, question, options={})


def by_full_stop(client, question):
    return read(client, question, complete=lambda reason, text: text.endswith("."))


def any_reason(client, question):
    return read(client, question, complete=lambda reason, text: reason is not None)


def the_reason(client, question):
    return read(client, question, complete=lambda reason, text: reason)


def counts_pieces(client, question):
    return read(client, question, tokens=lambda usage, count: count)


def all_tokens(client, question):
    return read(client, question, tokens=lambda usage, count: usage.total_tokens if usage else None)


def no_try(client, question):
    return read(client, question, errors=())


def text_errors_only(client, question):
    return read(client, question, errors=TextGenerationError)


def zero_for_unknown(client, question):
    return read(client, question, tokens=lambda usage, count: usage.completion_tokens if usage else 0)


def try_around_all(client, question):
    try:
        return read(client, question)
    except httpx.HTTPError:
        return "", False, None


def loses_the_text(client, question):
    try:
        return read(client, question, errors=())
    except TextGenerationError:
        return "", False, None


def adds_a_note(client, question):
    text, complete, tokens = read(client, question)
    return text if complete or tokens else text + " [cut off]", complete, tokens


def last_chunk_decides(client, question):
    text, chunk = "", None
    for chunk in chat(client, question, **USAGE):
        for choice in chunk.choices:
            text += choice.delta.content or ""
    return text, bool(chunk.choices) and chunk.choices[0].finish_reason == "stop", chunk.usage.completion_tokens


def text_only(client, question):
    return read(client, question)[0]


READ_WRONG = [
    (no_usage, "did not ask for the usage"), (by_full_stop, "a full stop at the end means nothing"), (any_reason, 'Only "stop" means whole'),
    (the_reason, "the reason itself"), (counts_pieces, "counting pieces does not do"), (all_tokens, "prompt and answer together"),
    (no_try, "the `try` must be around the loop"), (text_errors_only, "let RemoteProtocolError through"), (zero_for_unknown, "must be None"),
    (try_around_all, "make the call before the `try`"), (loses_the_text, "returned no text"), (adds_a_note, "without the error's words"),
    (last_chunk_decides, "keep the last one that is not None"), (text_only, "three things"),
]


# ---- task 3 -------------------------------------------------------------------------------------------------------


def sentence(client, question):
    text = ""
    for piece in pieces(client, question):
        text += piece
        if "." in text:
            return text[: text.index(".") + 1]
    return text


def right_sentence(client, question):
    with client:
        return sentence(client, question)


def closes_finally(client, question):
    try:
        return sentence(client, question)
    finally:
        client.close()


def leaves_open(client, question):
    return sentence(client, question)


def closes_when_found(client, question):
    text = sentence(client, question)
    if text.endswith("."):
        client.close()
    return text


def closes_without_errors(client, question):
    text = sentence(client, question)
    client.close()
    return text


def reads_all(client, question):
    with client:
        text = "".join(pieces(client, question))
        return text[: text.index(".") + 1] if "." in text else text


def uses_stop(client, question):
    with client:
        return chat(client, question, stream=None, stop=["."]).choices[0].message.content


def without_the_stop(client, question):
    with client:
        return sentence(client, question).removesuffix(".")


def whole_piece(client, question):
    text = ""
    with client:
        for piece in pieces(client, question):
            text += piece
            if "." in piece:
                break
    return text


def nothing_without_stop(client, question):
    with client:
        text = sentence(client, question)
        return text if text.endswith(".") else None


def swallows(client, question):
    with client:
        try:
            return sentence(client, question)
        except httpx.HTTPError:
            return "half"


def prints_sentence(client, question):
    print(right_sentence(client, question))


SENTENCE_WRONG = [
    (leaves_open, "`break` leaves the loop, not the stream"), (closes_when_found, "the client stays open"), (closes_without_errors, "open behind the error"),
    (reads_all, "read the stream to its end"), (uses_stop, "left the stopping to the service"), (without_the_stop, "The full stop is missing"),
    (whole_piece, "the beginning of the next sentence"), (nothing_without_stop, "had no full stop at all"), (swallows, "half a sentence as if"),
    (prints_sentence, "prints and returns nothing"),
]


# ---- task 4 -------------------------------------------------------------------------------------------------------


async def one(client, question, **changes):
    return (await chat(client, question, stream=None, **changes)).choices[0].message.content


async def ask_all(questions, at_once):
    gate = asyncio.Semaphore(at_once)

    async def ask(client, question):
        async with gate:
            return await one(client, question)

    async with AsyncInferenceClient() as client:
        return await asyncio.gather(*[ask(client, question) for question in questions])


async def with_workers(questions, at_once):
    answers, waiting = [None] * len(questions), list(enumerate(questions))
    async with AsyncInferenceClient() as client:

        async def worker():
            while waiting:
                number, question = waiting.pop(0)
                answers[number] = await one(client, question)

        await asyncio.gather(*[worker() for _ in range(at_once)])
    return answers


async def one_by_one(questions, at_once):
    async with AsyncInferenceClient() as client:
        return [await one(client, question) for question in questions]


async def no_gate(questions, at_once):
    async with AsyncInferenceClient() as client:
        return await asyncio.gather(*[one(client, question) for question in questions])


async def gate_for_each(questions, at_once):
    async def ask(client, question):
        async with asyncio.Semaphore(at_once):
            return await one(client, question)

    async with AsyncInferenceClient() as client:
        return await asyncio.gather(*[ask(client, question) for question in questions])


async def always_two(questions, at_once):
    return await ask_all(questions, 2)


async def as_they_come(questions, at_once):
    async with AsyncInferenceClient() as client:
        return [await done for done in asyncio.as_completed([one(client, question) for question in reversed(questions)])][::1]


async def reversed_order(questions, at_once):
    return (await ask_all(questions, at_once))[::-1]


async def sync_client(questions, at_once):
    client = InferenceClient()
    return [chat(client, question, stream=None).choices[0].message.content for question in questions]


def not_async(questions, at_once):
    return asyncio.run(ask_all(questions, at_once))


async def whole_responses(questions, at_once):
    async with AsyncInferenceClient() as client:
        return await asyncio.gather(*[chat(client, question, stream=None) for question in questions])


async def forgets_return(questions, at_once):
    await ask_all(questions, at_once)


async def errors_as_answers(questions, at_once):
    gate = asyncio.Semaphore(at_once)

    async def ask(client, question):
        async with gate:
            return await one(client, question)

    async with AsyncInferenceClient() as client:
        return await asyncio.gather(*[ask(client, question) for question in questions], return_exceptions=True)


async def made_up(questions, at_once):
    return ["An answer." for _ in questions]


ALL_WRONG = [
    (one_by_one, "waits for each before it starts the next"), (no_gate, "7 requests were under way at once; 3 were allowed"), (gate_for_each, "shared by all"),
    (always_two, "The limit comes from `at_once`"), (reversed_order, "not in the order"), (sync_client, "it must be the async client"), (not_async, "`async def`"),
    (whole_responses, "asks for texts"), (forgets_return, "returns nothing"), (errors_as_answers, "as if all had been answered"), (made_up, "No request was sent"),
    (as_they_come, "not in the order"),
]


RIGHT = [(PIECES, pieces), (PIECES, returns_a_generator), (READ, right_read), (SENTENCE, right_sentence), (SENTENCE, closes_finally), (ALL, ask_all), (ALL, with_workers)]
WRONG = [(task, function, said) for task, cases in ((PIECES, PIECES_WRONG), (READ, READ_WRONG), (SENTENCE, SENTENCE_WRONG), (ALL, ALL_WRONG))
         for function, said in cases]


@pytest.mark.parametrize("task, function", RIGHT, ids=lambda value: getattr(value, "__name__", getattr(value, "name", "")))
def test_right(task, function):
    verdict = task.judge(function)
    assert verdict.ok, verdict.message


@pytest.mark.parametrize("task, function, said", WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_each_mistake_has_its_message(task, function, said):
    verdict = task.judge(function)
    assert not verdict.ok
    assert said in verdict.message
    assert len(verdict.message) > 40, "a message says what the mistake is about"


@pytest.mark.parametrize("task", TASKS[:4], ids=lambda task: task.name)
def test_the_stub_fails_and_says_where_to_begin(task):
    def stub(*arguments):
        raise NotImplementedError("your code here")

    async def async_stub(*arguments):
        raise NotImplementedError("your code here")

    verdict = task.judge(async_stub if task is ALL else stub)
    assert not verdict.ok and "still empty" in verdict.message


UNRULY = [print, 3, None, "ask", lambda: 1, lambda *a: None, lambda *a: 1, lambda *a: (), lambda *a: (1, 2, 3), lambda *a: {}, lambda *a: True,
          lambda *a: object(), lambda *a: 1 / 0, lambda *a: a, lambda *a: "", lambda *a: ("", True, None), lambda *a: [None], lambda *a: iter([])]


@pytest.mark.parametrize("task", TASKS[:4], ids=lambda task: task.name)
@pytest.mark.parametrize("function", UNRULY, ids=lambda function: getattr(function, "__name__", str(function)))
def test_nothing_breaks_a_check(task, function, capsys):
    before = wire.current()
    verdict = task.judge(function)
    assert not verdict.ok and verdict.message
    assert "This check itself broke" not in verdict.message
    assert wire.current() is before, "a check leaves nothing behind"
    assert capsys.readouterr().out == "", "what the function prints stays out of the notebook"


# ---- the quiz -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", QUIZ.questions, ids=lambda question: question.text[:30])
def test_every_choice_is_explained(question):
    assert sum(choice.right for choice in question.choices) == 1
    assert len({choice.text for choice in question.choices}) == len(question.choices) >= 3
    assert all(len(choice.why) > 40 for choice in question.choices)
    for letter, choice in zip("abcd", question.choices):
        assert question.judge(letter).ok == choice.right


def test_the_right_answers_have_no_pattern():
    letters = [next(letter for letter, choice in zip("abcd", question.choices) if choice.right) for question in QUIZ.questions]
    assert len(letters) >= 4 and len(set(letters)) >= 3
