"""Every task of exercise 04: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import asyncio
import os
from contextlib import closing

from check_cases import CheckCases
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError, TextGenerationError
from huggingface_hub.utils import httpx
from openai import AsyncOpenAI

from helpers import models
from helpers.exercises.lessons.lesson_04 import TASKS

PIECES, READ, SENTENCE, ALL, QUIZ = TASKS


def chat(client, question, **changes):
    arguments = {
        "messages": [{"role": "user", "content": question}],
        "model": models.chat,
        "max_tokens": 200,
        "stream": True,
    } | changes
    return client.chat_completion(
        **{name: value for name, value in arguments.items() if value is not None}
    )


# ---- task 1 -------------------------------------------------------------------------------------------------------


def pieces(client, question):
    for chunk in chat(client, question):
        for choice in chunk.choices:
            if choice.delta.content:
                yield choice.delta.content


def returns_a_generator(client, question):
    stream = chat(client, question)
    return (
        choice.delta.content for chunk in stream for choice in chunk.choices if choice.delta.content
    )


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


def breaks_at_a_chunk_without_choices(client, question):
    for chunk in chat(client, question):
        if not chunk.choices:
            break
        yield from (choice.delta.content for choice in chunk.choices if choice.delta.content)


def ends_at_none(client, question):
    for chunk in chat(client, question):
        for choice in chunk.choices:
            if choice.delta.content is None and not choice.delta.role:
                return
            if choice.delta.content:
                yield choice.delta.content


def letter_by_letter(client, question):
    for piece in pieces(client, question):
        yield from piece


def loses_the_last(client, question):
    before = None
    for piece in pieces(client, question):
        if before is not None:
            yield before
        before = piece


def other_errors(client, question):
    try:
        yield from pieces(client, question)
    except httpx.HTTPError:
        raise RuntimeError("failed") from None


def own_client(client, question):
    yield from pieces(InferenceClient(), question)


PIECES_WRONG = [
    (breaks_at_a_chunk_without_choices, "go on with the next one"),
    (ends_at_none, "Such a chunk is not the end"),
    (letter_by_letter, "cut up in another way"),
    (loses_the_last, "11 came out"),
    (other_errors, "turned the error into a RuntimeError"),
    (own_client, "a client of its own"),
    (no_stream, "did not ask for a stream"),
    (takes_the_first_choice, "no `choices` at all"),
    (lets_none_through, "is `None`"),
    (lets_empty_through, "empty texts"),
    (none_as_text, 'The word "None"'),
    (hands_on_chunks, "the chunks"),
    (all_so_far, "all the text so far"),
    (joined, "the whole text at once"),
    (as_list, "read the whole stream before"),
    (prints_pieces, "prints the pieces"),
    (strips, "white space"),
    (hides_errors, "Leave out the `try`"),
    (whole_message, "have a `delta`"),
    (no_limit, "no `max_tokens`"),
]


class Pieces:
    def __init__(self, stream):
        self.stream = stream

    def __iter__(self):
        for chunk in self.stream:
            if not chunk["choices"]:
                continue
            if content := chunk["choices"][0]["delta"]["content"]:
                yield content


def an_iterable(client, question):
    return Pieces(chat(client, question))


def filtered(client, question):
    return filter(
        None, (choice.delta.content for chunk in chat(client, question) for choice in chunk.choices)
    )


def openai_names(client, question):
    stream = client.chat.completions.create(
        messages=[{"role": "user", "content": question}],
        model=models.chat,
        max_tokens=200,
        stream=True,
    )
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


# ---- task 2 -------------------------------------------------------------------------------------------------------

USAGE = {"stream_options": {"include_usage": True}}


def read(
    client,
    question,
    complete=lambda reason, text: reason == "stop",
    tokens=lambda usage, count: usage.completion_tokens if usage else None,
    errors=httpx.HTTPError,
    options=USAGE,
):
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
    return read(
        client, question, tokens=lambda usage, count: usage.completion_tokens if usage else 0
    )


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
    return (
        text,
        bool(chunk.choices) and chunk.choices[0].finish_reason == "stop",
        chunk.usage.completion_tokens,
    )


def text_only(client, question):
    return read(client, question)[0]


def prompt_tokens(client, question):
    return read(
        client, question, tokens=lambda usage, count: usage.prompt_tokens if usage else None
    )


def strips_text(client, question):
    text, complete, tokens = read(client, question)
    return text.strip(), complete, tokens


def believes_in_usage(client, question):
    return read(client, question, tokens=lambda usage, count: usage.completion_tokens)


def raises_its_own(client, question):
    text, complete, tokens = read(client, question)
    if tokens is None:
        raise ValueError("incomplete")
    return text, complete, tokens


def skips_the_piece_with_the_reason(client, question):
    stream, text, reason, usage = chat(client, question, **USAGE), "", None, None
    try:
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                if choice.finish_reason:
                    reason = choice.finish_reason
                elif choice.delta.content:
                    text += choice.delta.content
    except httpx.HTTPError:
        pass
    return text, reason == "stop", usage.completion_tokens if usage else None


def usage_only_without_choices(client, question):
    stream, text, reason, usage = chat(client, question, **USAGE), "", None, None
    try:
        for chunk in stream:
            if not chunk.choices:
                usage = chunk.usage
                continue
            text += chunk.choices[0].delta.content or ""
            reason = chunk.choices[0].finish_reason or reason
    except httpx.HTTPError:
        pass
    return text, reason == "stop", usage.completion_tokens if usage else None


def forgets_some(client, question):
    text, complete, tokens = read(client, question)
    return text if tokens else text[:-3], complete, tokens


def reads_again(client, question):
    text, complete, tokens = read(client, question)
    return (text, complete, tokens) if tokens else read(client, question)


READ_WRONG = [
    (prompt_tokens, "the tokens of the prompt"),
    (strips_text, "white space"),
    (believes_in_usage, "no usage came"),
    (raises_its_own, "raised ValueError"),
    (usage_only_without_choices, "beside the last choice"),
    (skips_the_piece_with_the_reason, "same chunk as the `finish_reason`"),
    (forgets_some, "not what had arrived"),
    (reads_again, "2 requests"),
    (no_usage, "did not ask for the usage"),
    (by_full_stop, "a full stop at the end means nothing"),
    (any_reason, 'Only "stop" means whole'),
    (the_reason, "the reason itself"),
    (counts_pieces, "counting pieces does not do"),
    (all_tokens, "prompt and answer together"),
    (no_try, "the `try` must be around the loop"),
    (text_errors_only, "let RemoteProtocolError through"),
    (zero_for_unknown, "must be None"),
    (try_around_all, "make the call before the `try`"),
    (loses_the_text, "returned no text"),
    (adds_a_note, "without the error's words"),
    (last_chunk_decides, "keep the last one that is not None"),
    (text_only, "three things"),
]


def refusals_again(client, question):
    text, reason, tokens = [], None, None
    try:
        for chunk in chat(client, question, **USAGE):
            tokens = chunk.usage.completion_tokens if chunk.usage else tokens
            for choice in chunk.choices:
                text.append(choice.delta.content or "")
                reason = choice.finish_reason or reason
    except HfHubHTTPError:
        raise
    except httpx.HTTPError as error:
        print("cut:", error)
    return ["".join(text), reason == "stop", tokens]


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


def to_the_last_stop(client, question):
    text = ""
    with client:
        for piece in pieces(client, question):
            text += piece
            if "." in text:
                return text[: text.rindex(".") + 1]
    return text


def looks_too_late(client, question):
    text = ""
    with client:
        for piece in pieces(client, question):
            if "." in text:
                break
            text += piece
    return text[: text.index(".") + 1] if "." in text else text


def closes_too_early(client, question):
    arriving, text = pieces(client, question), ""
    client.close()
    for piece in arriving:
        text += piece
        if "." in text:
            return text[: text.index(".") + 1]
    return text


def own_client_too(client, question):
    with InferenceClient() as mine:
        return sentence(mine, question)


def adds_a_stop(client, question):
    with client:
        return sentence(client, question).removesuffix(".") + "."


def needs_a_stop(client, question):
    with client:
        text = ""
        for piece in pieces(client, question):
            text += piece
            if "." in text:
                break
        return text[: text.index(".") + 1]


def at_most_twenty(client, question):
    with client:
        text = ""
        for _, piece in zip(range(20), pieces(client, question)):
            text += piece
            if "." in text:
                return text[: text.index(".") + 1]
    return text


SENTENCE_WRONG = [
    (to_the_last_stop, "its first full stop"),
    (looks_too_late, "at least one piece more"),
    (closes_too_early, "before the request was sent"),
    (own_client_too, "a client of its own"),
    (adds_a_stop, "You added one"),
    (needs_a_stop, "no full stop at all. Your function raised ValueError"),
    (at_most_twenty, "lost it, or a part"),
    (leaves_open, "`break` leaves the loop, not the stream"),
    (closes_when_found, "the client stays open"),
    (closes_without_errors, "open behind the error"),
    (reads_all, "read the stream to its end"),
    (uses_stop, "left the stopping to the service"),
    (without_the_stop, "The full stop is missing"),
    (whole_piece, "the beginning of the next sentence"),
    (nothing_without_stop, "had no full stop at all"),
    (swallows, "half a sentence as if"),
    (prints_sentence, "prints and returns nothing"),
]


def break_and_partition(client, question):
    with closing(client):
        text = ""
        for piece in pieces(client, question):
            text += piece
            if piece.find(".") >= 0:
                break
        before, stop, _ = text.partition(".")
        return before + stop


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


async def streams_in_a_task_group(questions, at_once):
    gate = asyncio.BoundedSemaphore(at_once)

    async def ask(client, question):
        async with gate:
            return "".join(
                [
                    choice.delta.content or ""
                    async for chunk in await chat(client, question)
                    for choice in chunk.choices
                ]
            )

    async with AsyncInferenceClient() as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(client, question)) for question in questions]
    return [task.result() for task in tasks]


async def with_openai(questions, at_once):
    gate, client = (
        asyncio.Semaphore(at_once),
        AsyncOpenAI(
            base_url="https://router.huggingface.co/v1",
            api_key=os.environ["HF_TOKEN"],
            max_retries=0,
        ),
    )

    async def ask(question):
        async with gate:
            response = await client.chat.completions.create(
                messages=[{"role": "user", "content": question}], model=models.chat, max_tokens=200
            )
            return response.choices[0].message.content

    try:
        return await asyncio.gather(*map(ask, questions))
    finally:
        await client.close()


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
        return [
            await done
            for done in asyncio.as_completed(
                [one(client, question) for question in reversed(questions)]
            )
        ][::1]


async def reversed_order(questions, at_once):
    return (await ask_all(questions, at_once))[::-1]


async def sync_client(questions, at_once):
    client = InferenceClient()
    return [
        chat(client, question, stream=None).choices[0].message.content for question in questions
    ]


def not_async(questions, at_once):
    return asyncio.run(ask_all(questions, at_once))


async def whole_responses(questions, at_once):
    async with AsyncInferenceClient() as client:
        return await asyncio.gather(
            *[chat(client, question, stream=None) for question in questions]
        )


async def forgets_return(questions, at_once):
    await ask_all(questions, at_once)


async def errors_as_answers(questions, at_once):
    gate = asyncio.Semaphore(at_once)

    async def ask(client, question):
        async with gate:
            return await one(client, question)

    async with AsyncInferenceClient() as client:
        return await asyncio.gather(
            *[ask(client, question) for question in questions], return_exceptions=True
        )


async def made_up(questions, at_once):
    return ["An answer." for _ in questions]


async def a_client_for_each(questions, at_once):
    gate = asyncio.Semaphore(at_once)

    async def ask(question):
        async with gate, AsyncInferenceClient() as client:
            return await one(client, question)

    return await asyncio.gather(*[ask(question) for question in questions])


async def leaves_the_client_open(questions, at_once):
    client, gate = AsyncInferenceClient(), asyncio.Semaphore(at_once)

    async def ask(question):
        async with gate:
            return await one(client, question)

    return await asyncio.gather(*[ask(question) for question in questions])


async def closes_if_all_goes_well(questions, at_once):
    client, gate = AsyncInferenceClient(), asyncio.Semaphore(at_once)

    async def ask(question):
        async with gate:
            return await one(client, question)

    answers = await asyncio.gather(*[ask(question) for question in questions])
    await client.close()
    return answers


async def in_groups(questions, at_once):
    answers = []
    async with AsyncInferenceClient() as client:
        for i in range(0, len(questions), at_once):
            answers += await asyncio.gather(
                *[one(client, question) for question in questions[i : i + at_once]]
            )
    return answers


async def asks_twice(questions, at_once):
    gate = asyncio.Semaphore(at_once)

    async def ask(client, question):
        async with gate:
            try:
                return await one(client, question)
            except httpx.HTTPError:
                return await one(client, question)

    async with AsyncInferenceClient() as client:
        return await asyncio.gather(*[ask(client, question) for question in questions])


async def one_too_many(questions, at_once):
    return await ask_all(questions, at_once + 1)


async def one_request(questions, at_once):
    async with AsyncInferenceClient() as client:
        return [await one(client, "\n".join(questions))]


async def uses_the_questions_up(questions, at_once):
    answers = await ask_all(questions, at_once)
    questions.clear()
    return answers


ALL_WRONG = [
    (uses_the_questions_up, "changed the list of questions"),
    (a_client_for_each, "You made 7 clients"),
    (leaves_the_client_open, "still open"),
    (closes_if_all_goes_well, "behind the error the client stayed open"),
    (in_groups, "in groups of 3"),
    (asks_twice, "you asked again"),
    (one_too_many, "4 requests were under way"),
    (one_request, "but 1 requests"),
    (one_by_one, "waits for each before it starts the next"),
    (no_gate, "7 requests were under way at once; 3 were allowed"),
    (gate_for_each, "shared by all"),
    (always_two, "The limit comes from `at_once`"),
    (reversed_order, "not in the order"),
    (sync_client, "it must be the async client"),
    (not_async, "`async def`"),
    (whole_responses, "asks for texts"),
    (forgets_return, "returns nothing"),
    (errors_as_answers, "as if all had been answered"),
    (made_up, "No request was sent"),
    (as_they_come, "not in the order"),
]


RIGHT = [
    (PIECES, pieces),
    (PIECES, returns_a_generator),
    (PIECES, an_iterable),
    (PIECES, filtered),
    (PIECES, openai_names),
    (READ, right_read),
    (READ, refusals_again),
    (SENTENCE, right_sentence),
    (SENTENCE, closes_finally),
    (SENTENCE, break_and_partition),
    (ALL, ask_all),
    (ALL, with_workers),
    (ALL, streams_in_a_task_group),
    (ALL, with_openai),
]
WRONG = [
    (task, function, said)
    for task, cases in (
        (PIECES, PIECES_WRONG),
        (READ, READ_WRONG),
        (SENTENCE, SENTENCE_WRONG),
        (ALL, ALL_WRONG),
    )
    for function, said in cases
]


UNRULY = [
    print,
    3,
    None,
    "ask",
    lambda: 1,
    lambda *a: None,
    lambda *a: 1,
    lambda *a: (),
    lambda *a: (1, 2, 3),
    lambda *a: {},
    lambda *a: True,
    lambda *a: object(),
    lambda *a: 1 / 0,
    lambda *a: a,
    lambda *a: "",
    lambda *a: ("", True, None),
    lambda *a: [None],
    lambda *a: iter([]),
]


async def async_stub(*arguments):
    raise NotImplementedError("your code here")


class TestExercise(CheckCases):
    tasks, right, wrong, unruly, quiz = TASKS[:4], RIGHT, WRONG, UNRULY, QUIZ
    choices = (3, 4)

    def stub(self, task):
        return async_stub if task is ALL else super().stub(task)
