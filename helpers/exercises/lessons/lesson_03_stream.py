"""Checks for exercise 03, task 5: a stream that breaks."""

import functools
import json
from dataclasses import replace

from helpers.exercises.kit import NotYet, describe, error, expect, reply, words
from helpers.exercises.lessons.lesson_01 import kind_of, status_of
from helpers.exercises.lessons.lesson_03_calls import SAY, Run, play, told
from helpers.models import models

TRIES = 3


def check_stream_text(stream_text) -> str:
    say = SAY["stream_text"]
    got, run = _streamed(stream_text)
    if run.raised:
        raise run.raised
    expect(len(got) > 3, say["one_piece"])
    expect("".join(got) == run.service.said[-1], say["other_text"])
    expect(all(got), say["empty"])
    expect(run.sent == 1, say["sent_again"], sent=run.sent)

    for step, what in (
        (error(503), "The stream was refused (503) before it began"),
        (reply(breaks_after=0), "The connection broke before the first piece"),
        (
            reply(breaks_after=1),
            "The connection broke after a chunk that holds only the role, and no text",
        ),
    ):
        got, run = _streamed(stream_text, step)
        expect(not run.raised, say["no_retry"], what=what, kind=run.raised and kind_of(run.raised))
        expect(run.sent == 2, say["two"], what=what, sent=run.sent)
        expect("".join(got) == run.service.said[-1], say["second_text"], what=what)

    _expect_no_second_beginning(stream_text)
    got, run = _streamed(stream_text, error(401))
    expect(run.raised and run.sent == 1, say["401_again"])
    got, run = _streamed(stream_text, *[error(503)] * 8)
    fields = {"sent": run.sent, "s": "s" * (run.sent != 1), "tries": TRIES}
    expect(run.sent == TRIES, say["every_time"], **fields)
    expect(run.raised and status_of(run.raised) == 503, say["503_lost"])
    expect(len(run.slept) < TRIES, say["last_wait"])

    for steps, what in (
        ([error(503), error(503)], "The stream was refused twice (503)"),
        ([told(30)], "The stream was refused with `Retry-After: 30`"),
    ):
        got, run = _streamed(stream_text, *steps)
        expect(len(run.slept) >= len(steps), say["no_wait"], what=what)
    expect(sum(run.slept) >= 30, say["too_early"], slept=sum(run.slept))

    got, run = _streamed(stream_text, with_usage(words(6)))
    no_choices = run.raised and kind_of(run.raised) == "IndexError"
    expect(not no_choices, say["no_choices"], raised=run.raised)
    whole = not run.raised and "".join(got) == run.service.said[-1]
    what = run.raised or "The pieces together are not the answer."
    expect(whole, say["usage_alone"], what=what)

    got, run = _streamed(stream_text, reply(words(12), breaks_after=2))
    expect(run.sent == 1, say["one_word"])
    return say["right"]


def _streamed(stream_text, *steps) -> tuple[list, Run]:
    """The pieces that were handed over, also those before an error, and the run."""
    say, got = SAY["stream_text"], []

    @functools.wraps(stream_text)
    def consume(client, question):
        pieces = stream_text(client, question)
        if pieces is None or isinstance(pieces, (str, list, tuple)):
            return pieces
        got.extend(pieces)
        return got

    run = play(consume, *steps, limit=8)
    if not run.raised:
        expect(run.value is not None, say["nothing"])
        expect(run.value is got, say["at_once"], what=describe(run.value))
    strange = [piece for piece in got if not isinstance(piece, str)]
    expect(not strange, say["no_text"], what=describe(strange[0] if strange else None))
    expect(all(entry.json.get("stream") for entry in run.service.sent), say["no_stream"])
    return got, run


def _expect_no_second_beginning(stream_text) -> None:
    """A stream that broke after three words: they are handed over, and so is the error."""
    say = SAY["stream_text"]
    got, run = _streamed(stream_text, reply(words(12), breaks_after=4))
    text, said = "".join(got), run.service.said
    if run.sent > 1:
        expect(text != said[-1], say["collects"])
        raise NotYet(say["anew"].format(text=text[:60]))
    expect(run.raised, say["as_if_whole"], text=text)
    expect(text == " ".join(said[0].split(" ")[:3]), say["not_passed_on"], text=text)
    kind = kind_of(run.raised)
    expect(kind == "RemoteProtocolError", say["other_error"], kind=kind)


def with_usage(text: str):
    """A stream whose last chunk holds the usage and no choices, as many servers send it."""

    def step(service, entry):
        given = reply(text)(service, entry)
        counted = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}
        head = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0}
        last = head | {"model": models.chat, "choices": [], "usage": counted}
        event = (0.0, f"data: {json.dumps(last)}\n\n".encode())
        return replace(given, chunks=[*given.chunks[:-1], event, given.chunks[-1]])

    return step
