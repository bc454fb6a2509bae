"""Exercise 04: text generation and streaming."""

import functools
import inspect
import json
import random
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest.mock import patch

import httpx2
from huggingface_hub import InferenceClient

from helpers.exercises.kit import (
    GIVEN,
    NotYet,
    Raised,
    describe,
    error,
    expect,
    expect_chat_request,
    expect_given_client,
    read_tasks,
    reply,
    spy,
    words,
)
from helpers.exercises.lessons.lesson_01 import new_question
from helpers.models import models
from helpers.wire import Plan

MAX_TOKENS = 200
READ = 31  # prompt tokens in the usage of every stream


def new_client():
    return InferenceClient(headers=GIVEN)


def stream_of(
    pieces: list,
    finish: str | None = "stop",
    usage: int | None = None,
    trouble: dict | None = None,
    together: bool = False,
):
    """A stream as bad as real ones are: an empty first chunk, a role without content, pieces that may be None or "".

    finish : the finish_reason of the chunk before the usage. usage : completion tokens, told whether asked for or not.
    trouble : an event that comes in place of the end. together : the last piece, the reason and the usage come in one chunk, as with some providers.
    """

    def step(service, entry):
        if not (isinstance(entry.json, dict) and entry.json.get("stream")):
            return reply("".join(piece or "" for piece in pieces))(service, entry)
        service.said.append("".join(piece or "" for piece in pieces))
        head = {
            "id": f"chatcmpl-{random.getrandbits(64):x}",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": models.chat,
            "system_fingerprint": "",
        }

        def event(delta, reason=None):
            return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

        events = [
            {**head, "choices": []},
            event({"role": "assistant", "content": None}),
            *(event({"content": piece}) for piece in pieces),
        ]
        if trouble:
            events.append(trouble)
        else:
            written = usage or len(pieces)
            counted = {
                "usage": {
                    "prompt_tokens": READ,
                    "completion_tokens": written,
                    "total_tokens": READ + written,
                }
            }
            if together:
                events[-1]["choices"][0]["finish_reason"] = finish
                events[-1] |= counted
            else:
                events += [event({"content": None}, finish), {**head, "choices": [], **counted}]
        lines = [(0.0, f"data: {json.dumps(item)}\n\n".encode()) for item in events] + [
            (0.0, b"data: [DONE]\n\n")
        ]
        return Plan(200, {"content-type": "text/event-stream"}, lines)

    return step


def some_pieces(count: int) -> list:
    return [f"{word} " for word in words(count).split()]


def arrived(service) -> str:
    """The text that the last stream had brought when it ended."""
    return "".join(
        choice["delta"].get("content") or ""
        for _, event in service.sent.last.events
        for choice in event.get("choices", [])
    )


def streamed(service, question: str) -> None:
    """The request is a chat completion that asks for a stream, sent with the given client."""
    expect_chat_request(service, question, models.chat, MAX_TOKENS)
    expect(
        service.sent.last.json.get("stream") is True,
        "The request did not ask for a stream, so nothing comes before everything is there. Pass"
        " `stream=True`.",
    )
    expect(
        len(service.sent) == 1,
        f"You sent {len(service.sent)} requests for one answer. Each one costs.",
    )
    expect_given_client(service)


def streaming(service, function, *arguments):
    """Call the function, and name the guard that was missing if it fell over a chunk."""
    try:
        return service.call(function, *arguments)
    except Raised as raised:
        said = str(raised.error)
        expect(
            not isinstance(raised.error, IndexError),
            f"{raised}. A chunk can have no `choices` at all: the one with the usage, and with some"
            " providers the first. Go through them with `for choice in chunk.choices:` instead of"
            " taking `[0]`.",
        )
        expect(
            not (isinstance(raised.error, TypeError) and "NoneType" in said),
            f"{raised}. `delta.content` is None in chunks that bring something else. Skip those:"
            " `if choice.delta.content:`.",
        )
        expect(
            "'message'" not in said,
            f"{raised}. The choices of a stream have a `delta` where those of a whole answer have a"
            " `message`.",
        )
        raise


# ---- 1 ------------------------------------------------------------------------------------------------------------


def check_pieces(pieces) -> str:
    @functools.wraps(pieces)
    def first_of(client, question):
        for piece in pieces(client, question):
            return piece

    @functools.wraps(pieces)
    def all_of(client, question):
        got = pieces(client, question)
        return (
            got if isinstance(got, str) or not hasattr(got, "__iter__") else list(got)
        )  # read while the service is there

    for _ in range(2):
        question, told = new_question(), some_pieces(12)
        with spy(stream_of([*told[:4], None, *told[4:8], "", *told[8:]])) as service:
            got = streaming(service, all_of, new_client(), question)
        streamed(service, question)
        whole = service.said[-1]
        expect(
            got is not None,
            (
                "Your function prints the pieces and gives nothing back. Whoever calls it wants"
                " them: use `yield` instead of `print`."
                if service.printed
                else "Your function gives nothing back (None). Hand each piece on with `yield`."
            ),
        )
        expect(
            got != whole,
            "You returned the whole text at once. The caller then waits as long as without a"
            " stream: `yield` each piece when it comes.",
        )
        expect(
            not isinstance(got, str),
            "You returned a text. The task asks for the pieces one by one, with `yield`.",
        )
        expect(
            hasattr(got, "__iter__"),
            f"You returned {describe(got)}; the task asks for the pieces one by one, with `yield`.",
        )
        expect(
            got,
            "No piece came out of your function. Either the condition in front of `yield` never"
            " holds, or the loop ends at the very first chunk, which has no `choices` here: go on"
            " with the next one.",
        )
        kinds = {type(piece).__name__ for piece in got}
        expect(
            not any(name.startswith("ChatCompletion") for name in kinds),
            "You handed on the chunks (or choices) themselves. The text in them is"
            " `choice.delta.content`.",
        )
        expect(
            None not in got,
            "Among your pieces is `None`: a chunk that brought no text. Skip those: `if"
            " choice.delta.content:`.",
        )
        expect(
            "None" not in "".join(piece for piece in got if isinstance(piece, str)),
            'The word "None" stands in your text: a piece without content was turned into text.',
        )
        expect(
            "" not in got,
            "Among your pieces are empty texts. Nobody needs them: `if choice.delta.content:` skips"
            ' `None` and "" alike.',
        )
        expect(
            all(isinstance(piece, str) for piece in got),
            "Some of your pieces are no texts. Hand on `choice.delta.content` alone.",
        )
        expect(
            got[-1].strip() != whole.strip(),
            "Each of your pieces holds all the text so far. Hand on what is new; whoever wants the"
            " sum can add.",
        )
        expect(
            [p.strip() for p in got] != [p.strip() for p in told] or got == told,
            "You changed the white space of the pieces. The blanks between words are part of them:"
            " hand them on as they come.",
        )
        expect(
            "".join(map(str, got)) != whole or got == told,
            f"All of the text came out, but cut up in another way: {len(told)} pieces were sent,"
            f" {len(got)} came out. Hand on each piece as it came; whoever reads them may want to"
            " show it at once.",
        )
        expect(
            got not in (told[:4], told[:8]),
            "Your pieces end where a chunk without text came. Such a chunk is not the end: skip it"
            " and go on, the stream ends by itself.",
        )
        expect(
            got == told,
            f"{len(told)} pieces of text were sent and {len(got)} came out, or others. Hand on"
            " every `choice.delta.content` that is not empty, as it came.",
        )
    question = new_question()
    with spy(stream_of(some_pieces(30))) as service:
        streaming(service, first_of, new_client(), question)
        sent = service.sent.last
        expect(
            len(sent.chunks) < len(sent.plan.chunks),
            "You read the whole stream before the first piece came out. Then nobody sees it"
            " earlier: `yield` inside the loop, without a list in between.",
        )
    for trouble, kind in (
        (error(503), httpx2.HTTPError),
        (reply(words(9), breaks_after=4), httpx2.RemoteProtocolError),
    ):
        with spy(trouble) as service:
            try:
                service.call(all_of, new_client(), new_question())
            except Raised as raised:
                expect(
                    isinstance(raised.error, kind),
                    "The service failed, and your function turned the error into a"
                    f" {type(raised.error).__name__}. Let it through as it is: it says what went"
                    " wrong, and callers look for its class.",
                )
                continue
        raise NotYet(
            "The service failed, and your function ended as if that were the whole answer. Leave"
            " out the `try`: whoever reads the pieces must learn that some are missing."
        )
    return (
        "every piece of text comes out when it arrives, nothing else does, and errors stay errors."
    )


# ---- 2 ------------------------------------------------------------------------------------------------------------

OVERLOADED = {"error": "Model is overloaded", "error_type": "overloaded"}


def check_read(read) -> str:
    def run(step, what: str, together: bool = False):
        question = new_question()
        with spy(step) as service:
            try:
                value = streaming(service, read, new_client(), question)
            except Raised as raised:
                expect(
                    "came" not in what or not isinstance(raised.error, httpx2.HTTPError),
                    f"{what}: your function let {type(raised.error).__name__} through, and the text"
                    " that had arrived is lost. The error comes from the loop, so the `try` must"
                    " be around the loop.",
                )
                expect(
                    "came" not in what or not isinstance(raised.error, AttributeError),
                    f"{what}, so no usage came. {raised}. Where there is none, there is no number"
                    " to take from it: `usage.completion_tokens if usage else None`.",
                )
                raise NotYet(f"{what}. {raised}") if "came" in what else raised
        streamed(service, question)
        expect(
            (service.sent.last.json.get("stream_options") or {}).get("include_usage") is True,
            "The request did not ask for the usage, so many providers send none. Pass"
            ' `stream_options={"include_usage": True}`.',
        )
        expect(
            value is not None,
            "Your function returns nothing (None); the task asks for three things, `return text,"
            " complete, tokens`.",
        )
        expect(
            isinstance(value, (tuple, list)) and len(value) == 3,
            f"You returned {describe(value)}; the task asks for three things, `return text,"
            " complete, tokens`.",
        )
        text, complete, tokens = value
        expect(
            isinstance(text, str),
            f"The first thing you returned is {describe(text)}; it must be the text.",
        )
        expect(
            not isinstance(complete, str) and complete is not None,
            "`complete` is the reason itself (or None). The task asks for True or False: compare it"
            ' with "stop".',
        )
        expect(
            isinstance(complete, bool),
            f"The second thing you returned is {describe(complete)}; it must be True or False.",
        )
        if "came" not in what:
            expect(
                text == service.said[-1] or text.strip() != service.said[-1].strip(),
                "You changed the white space around the text. Return it as it came.",
            )
            expect(
                text == service.said[-1] or not together,
                "The last piece is missing from your text. Here it came in the same chunk as the"
                " `finish_reason`, as some providers send it: look at both in every choice.",
            )
            expect(
                text == service.said[-1],
                "The text is not what the pieces add up to. Join every `choice.delta.content` as it"
                " came, with nothing between.",
            )
        return text, complete, tokens, service

    used = random.randint(300, 900)
    text, complete, tokens, _ = run(
        stream_of(["\n", *some_pieces(8), None, "."], usage=used), "A whole answer"
    )
    expect(
        complete is True,
        'The answer was whole (one chunk had the `finish_reason` "stop"), and you say it was not.'
        " The reason is not in the last chunk, which brings the usage: keep the last one that is"
        " not None.",
    )
    expect(
        tokens is not None,
        "The usage was in the stream and you returned None for `tokens`. It comes in a chunk"
        " without choices: look at `chunk.usage` of every chunk.",
    )
    expect(
        isinstance(tokens, int),
        f"`tokens` is {describe(tokens)}; return the number, `usage.completion_tokens`.",
    )
    expect(
        tokens != used + READ,
        "You returned the tokens of prompt and answer together. The task asks for those that were"
        " written, `completion_tokens`.",
    )
    expect(
        tokens != READ,
        "You returned the tokens of the prompt, which were read. The task asks for those that were"
        " written, `completion_tokens`.",
    )
    expect(
        tokens == used,
        f"The service counted {used} tokens and you returned {tokens}. A piece need not be one"
        " token, so counting pieces does not do: take `chunk.usage.completion_tokens`.",
    )
    text, complete, tokens, _ = run(
        stream_of([*some_pieces(8), "."], finish="length", usage=used, together=True),
        "An answer that was cut",
        together=True,
    )
    expect(
        tokens is not None,
        "The usage was in the stream and you returned None for `tokens`. This time it came beside"
        " the last choice, as some providers send it: look at `chunk.usage` of every chunk, whether"
        " it has choices or not.",
    )
    expect(
        complete is False,
        'The answer was cut off by the limit (`finish_reason` was "length"), and you say it is'
        ' whole. Only "stop" means whole; a full stop at the end means nothing.',
    )

    for step, what in (
        (
            stream_of([*some_pieces(6), "."], trouble=OVERLOADED),
            "An error event came after some pieces",
        ),
        (
            reply(" ".join([*words(9).split(), "end."]), breaks_after=6),
            "The connection was gone after some pieces came",
        ),
    ):
        text, complete, tokens, service = run(step, what)
        expect(len(service.sent) == 1, f"{what}, and you asked again.")
        expect(
            complete is False,
            f"{what}, and you say that the answer is whole. Without a `finish_reason` it is not.",
        )
        expect(
            text,
            f"{what}, and you returned no text. Keep the pieces in a variable that the `except`"
            " still sees.",
        )
        expect(
            text == arrived(service),
            f"{what}, and your text is not what had arrived. Return all the pieces as they came,"
            " without the error's words.",
        )
        expect(
            tokens is None,
            f"{what}, so no usage came. `tokens` must be None then; a guess looks like a fact.",
        )
    for step, name in ((error(429), "429"), (error(401), "401")):
        with spy(step) as service:
            try:
                service.call(read, new_client(), new_question())
            except Raised as raised:
                status = getattr(getattr(raised.error, "response", None), "status_code", None)
                expect(
                    status == int(name),
                    f"The service refused the request with {name} and your function raised"
                    f" {type(raised.error).__name__} instead. Let the error through as it is.",
                )
                continue
        raise NotYet(
            f"The service refused the request with {name} before any text, and your function"
            " returned as if there were an answer. `HfHubHTTPError` is also an `httpx.HTTPError`:"
            " make the call before the `try`, and put only the loop into it."
        )
    return (
        "text, whether it is whole, and the counted tokens; what had arrived survives a broken"
        " stream, and a refusal is still an error."
    )


# ---- 3 ------------------------------------------------------------------------------------------------------------


@contextmanager
def watched_client(service):
    """(client, closed): when the client is closed, `closed` gets the number of requests that had been sent by then."""
    client, closed = new_client(), []
    client.exit_stack = ExitStack()
    client.exit_stack.callback(lambda: closed.append(len(service.sent)))
    yield client, closed
    client.close()


def check_first_sentence(first_sentence) -> str:
    for ending in ("end.", "end. Be", "end. No. Be"):
        before, after = some_pieces(random.randint(5, 12)), some_pieces(30)
        wanted, question = "".join(before) + "end.", new_question()
        with (
            spy(stream_of([*before, ending, *after, "over."])) as service,
            watched_client(service) as (client, closed),
        ):
            text = streaming(service, first_sentence, client, question)
            was_closed = closed[-1:]
        expect_chat_request(service, question, models.chat, MAX_TOKENS)
        expect(
            not service.sent.last.json.get("stop"),
            "You left the stopping to the service with `stop`. That is often the better way (it"
            " tells the usage), but its text lacks the full stop, and this task is about leaving a"
            " stream: read, stop, close.",
        )
        streamed(service, question)
        expect(
            text is not None,
            (
                "Your function returns nothing (None). Did you forget `return`?"
                if not service.printed
                else "Your function prints and returns nothing. Use `return`."
            ),
        )
        expect(
            isinstance(text, str),
            f"You returned {describe(text)}; the task asks for the text of the first sentence.",
        )
        read, least = (
            len(service.sent.last.chunks),
            len(before) + 3,
        )  # a chunk without choices, the role, the pieces, the one with the full stop
        expect(
            read < len(service.sent.last.plan.chunks) - 10,
            "You read the stream to its end and cut the text afterwards: the wait and the cost are"
            " those of the whole answer. Leave the loop as soon as the full stop is there.",
        )
        expect(text != wanted.rstrip("."), "The full stop is missing. It is part of the sentence.")
        expect(
            text.strip() != wanted or text == wanted,
            "You changed the white space around the text. Return it as it came.",
        )
        expect(
            not text.startswith(wanted) or text == wanted or ending == "end.",
            "The piece with the full stop also held the beginning of the next sentence"
            f" ({ending!r}), and you returned more than the first. A piece can end anywhere: cut"
            " the text after its first full stop.",
        )
        expect(text == wanted, f"The first sentence was {wanted!r}; you returned {text!r}.")
        expect(
            read <= least,
            "You read on after the full stop, at least one piece more. Look for it right after you"
            " have added a piece to the text, not at the beginning of the next turn.",
        )
        expect(
            was_closed,
            "The sentence is right, but the connection is still open: `break` leaves the loop, not"
            " the stream. Close the client when you are done, with `with client:` around the loop"
            " or `client.close()` after it.",
        )
        expect(
            was_closed != [0],
            "You closed the client before the request was sent: a generator begins to work at its"
            " first piece. The stream that was opened afterwards is still open. Close at the end,"
            " or put the loop itself into `with client:`.",
        )
    none = "The answer had no full stop at all."
    with spy(stream_of(some_pieces(30))) as service, watched_client(service) as (client, closed):
        try:
            text = streaming(service, first_sentence, client, new_question())
        except Raised as raised:
            raise NotYet(f"{none} {raised}") from None
        expect(
            text != service.said[-1] + ".",
            f"{none} You added one; the text should stay as it came.",
        )
        expect(
            text is not None and text == service.said[-1],
            f"{none} Return all of its text then; your function lost it, or a part.",
        )
        expect(
            closed,
            "When the answer has no full stop, the client stays open. Close it in every case: `with"
            " client:` around the loop does.",
        )
    with (
        spy(reply(words(20), breaks_after=5)) as service,
        watched_client(service) as (client, closed),
    ):
        try:
            text = service.call(first_sentence, client, new_question())
        except Raised:
            expect(
                closed,
                "The connection broke in the middle, and your function left the client open behind"
                " the error. `with client:` closes it in this case too.",
            )
        else:
            raise NotYet(
                "The connection broke before the first full stop, and your function returned "
                + (
                    "half a sentence as if it were one"
                    if text
                    else f"{describe(text)} as if nothing had happened"
                )
                + ". Let the error through."
            )
    return "it reads to the first full stop and no further, and closes in every case."


# ---- 4 ------------------------------------------------------------------------------------------------------------


@contextmanager
def watched_connections():
    """The list of httpx2's async clients that are made in this block: each AsyncInferenceClient and each AsyncOpenAI has one of its own."""
    made, init = [], httpx2.AsyncClient.__init__

    def noted(self, *args, **kwargs):
        made.append(self)
        init(self, *args, **kwargs)

    with patch.object(httpx2.AsyncClient, "__init__", noted):
        yield made


def check_ask_all(ask_all) -> str:
    expect(
        inspect.iscoroutinefunction(ask_all),
        "`ask_all` must be an `async def`: only then can its requests wait together.",
    )
    for count, at_once in ((7, 3), (6, 2), (4, 1)):
        questions = [new_question() for _ in range(count)]
        under_way, open_at_start, said = [], [], {}

        def step(service, entry):
            open_at_start.append(
                1 + sum(not one.plan or len(one.chunks) < len(one.plan.chunks) for one in under_way)
            )
            answer = reply()(service, entry)
            body = b"".join(chunk for _, chunk in answer.chunks)
            size = -(
                -len(body) // (2 if under_way else 20 * count)
            )  # the first answer of all takes longer than the others together
            chunks = [(1.0 + i, body[i : i + size]) for i in range(0, len(body), size)]
            for question in questions:
                if question in json.dumps(entry.json):
                    said[question] = service.said[-1]
            under_way.append(entry)
            return replace(answer, chunks=chunks)

        with spy(*[step] * count) as service, watched_connections() as made:
            got = service.call(ask_all, given := list(questions), at_once)
        expect(
            given == questions,
            "Your function changed the list of questions, which belongs to the caller. Work on a"
            " copy.",
        )
        expect(
            got is not None,
            "Your function returns nothing (None). Did you forget `return`, or to `await` the"
            " `gather`?",
        )
        for row in range(len(service.sent)):
            asked = next(
                (
                    question
                    for question in questions
                    if question in json.dumps(service.sent[row].json)
                ),
                questions[0],
            )
            expect_chat_request(service, asked, models.chat, MAX_TOKENS, row=row)
        expect(service.sent.entries, "No request was sent. Was every coroutine awaited?")
        expect(
            len(service.sent) == count,
            f"{count} questions, but {len(service.sent)} requests: one for each question.",
        )
        expect(
            isinstance(got, list),
            f"You returned {describe(got)}; the task asks for a list of texts.",
        )
        expect(
            all(isinstance(text, str) for text in got),
            f"The list holds {describe(next((t for t in got if not isinstance(t, str)), None))};"
            " the task asks for texts.",
        )
        expect(
            sorted(got) == sorted(said.values()),
            "The texts in your list are not those that were answered. Return the text of each"
            " answer as it came.",
        )
        expect(
            got == [said[question] for question in questions],
            "The answers are all there, but not in the order of the questions. `asyncio.gather`"
            " keeps the order in which you gave the coroutines; `as_completed` does not.",
        )
        most = max(open_at_start)
        expect(
            most <= at_once,
            f"{most} requests were under way at once; {at_once} were allowed. One semaphore, made"
            " once with `asyncio.Semaphore(at_once)`, must be shared by all, and held (`async"
            " with`) until the answer is there.",
        )
        expect(
            most > 1 or at_once == 1,
            f"Only 1 request was under way at a time; {at_once} were allowed. "
            + (
                "An `await` inside a loop waits for each before it starts the next: collect the"
                " coroutines, then `asyncio.gather(*…)`."
                if made
                else (
                    "The client is the one that makes everybody wait: it must be the async client,"
                    " `AsyncInferenceClient`."
                )
            ),
        )
        expect(
            most == at_once,
            f"Only {most} requests were under way at a time; {at_once} were allowed. The limit"
            " comes from `at_once`.",
        )
        expect(
            at_once == 1 or min(open_at_start[at_once:]) > 1,
            f"You sent the questions in groups of {at_once}, and the next group waited until the"
            " slowest of the group before had its answer. Give them all to one `asyncio.gather`,"
            " and let a semaphore decide who may go.",
        )
        expect(
            made,
            "Your function used a client from outside. Make one `AsyncInferenceClient` in it, with"
            " `async with`, so that it is closed at the end.",
        )
        expect(
            len(made) == 1,
            f"You made {len(made)} clients, each with its own connections to set up. Make one, and"
            " let all requests share it.",
        )
        expect(
            made[0].is_closed,
            "The answers are right, but the client is still open. `async with"
            " AsyncInferenceClient() as client:` around the `gather` closes it, also after an"
            " error.",
        )
    with spy(reply(), error(503)) as service, watched_connections() as made:
        try:
            service.call(ask_all, [new_question() for _ in range(3)], 1)
        except Raised:
            expect(
                all(client.is_closed for client in made),
                "One of the requests was refused, and behind the error the client stayed open."
                " `async with` closes it in this case too.",
            )
        else:
            expect(
                len(service.sent) <= 3,
                "One of the requests was refused, and you asked again. Whether that is worth it is"
                " for the retry of lesson 03 to decide; here the error goes through.",
            )
            raise NotYet(
                "One of the requests was refused, and your function returned as if all had been"
                " answered. Let the error through; swallowing it is not for this function to"
                " decide."
            )
    return (
        "as many at once as allowed, never more, one client for all, and the answers in the order"
        " of the questions."
    )


# ---- 5 ------------------------------------------------------------------------------------------------------------


TASKS = read_tasks(__file__, check_pieces, check_read, check_first_sentence, check_ask_all)
