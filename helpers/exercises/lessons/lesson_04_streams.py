"""What the checks for exercise 04 share: streams as bad as real ones, and what is asked of them."""

from helpers.exercises import chat_format, kit
from helpers.exercises.kit import Raised, expect, reply, words
from helpers.exercises.service import EVENTS
from helpers.models import models
from helpers.wire import Plan

MAX_TOKENS = 200
READ = 31  # prompt tokens in the usage of every stream

SAY = kit.read_messages(__file__)


def some_pieces(count: int) -> list[str]:
    return [f"{word} " for word in words(count).split()]


def stream_of(
    pieces: list,
    finish: str = "stop",
    usage: int | None = None,
    trouble: dict | None = None,
    together: bool = False,
):
    """A stream with an empty first chunk, a role without content, pieces that may be None or "".

    finish : the finish_reason of the chunk before the usage.
    usage : completion tokens, told whether asked for or not.
    trouble : an event that comes in place of the end.
    together : the last piece, the reason and the usage come in one chunk, as with some providers.
    """
    text = "".join(piece or "" for piece in pieces)
    counted = chat_format.counted(READ, usage or len(pieces))

    def step(service, entry):
        if not (isinstance(entry.json, dict) and entry.json.get("stream")):
            return reply(text)(service, entry)
        service.said.append(text)
        said = chat_format.deltas(pieces)
        events = chat_format.chat_events(said, models.chat, finish, usage=counted)
        role, *spoken, end, told = events
        for event in (role, end):
            event["choices"][0]["delta"]["content"] = None
        if together:
            spoken[-1]["choices"][0]["finish_reason"] = finish
            spoken[-1]["usage"] = counted
        last = [trouble] if trouble else [] if together else [end, told]
        empty = {key: value for key, value in told.items() if key != "usage"}
        sent = chat_format.stream_of([empty, role, *spoken, *last])
        return Plan(200, {"content-type": EVENTS}, [(0.0, chunk) for chunk in sent])

    return step


def streaming(service, function, *arguments):
    """Call the function, and name the guard that was missing if it fell over a chunk."""
    try:
        return service.call(function, *arguments)
    except Raised as raised:
        say, error = SAY[""], raised.error
        expect(not isinstance(error, IndexError), say["no_choices"], raised=raised)
        of_none = isinstance(error, TypeError) and "NoneType" in str(error)
        expect(not of_none, say["no_content"], raised=raised)
        expect("'message'" not in str(error), say["no_message"], raised=raised)
        raise


def streamed(service, question: str) -> None:
    """The request is a chat completion that asks for a stream, sent with the given client."""
    kit.expect_chat_request(service, question, models.chat, MAX_TOKENS)
    expect(service.sent.last.json.get("stream") is True, SAY[""]["no_stream"])
    expect(len(service.sent) == 1, SAY[""]["many_requests"], sent=len(service.sent))
    kit.expect_given_client(service)
