"""Checks for exercise 04: text generation and streaming."""

import functools
import inspect
import json
import random
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import httpx2

from helpers import wire
from helpers.exercises import kit
from helpers.exercises.kit import NotYet, Raised, describe, error, expect, reply, spy, words
from helpers.exercises.lessons import lesson_04_streams as streams
from helpers.exercises.lessons.lesson_04_streams import SAY, some_pieces, stream_of, streaming
from helpers.models import models


# ---- task 1 ----
def check_pieces(pieces) -> str:
    say = SAY["pieces"]

    @functools.wraps(pieces)
    def first_of(client, question):
        return next(iter(pieces(client, question)), None)

    @functools.wraps(pieces)
    def all_of(client, question):
        got = pieces(client, question)  # to be read while the service is there
        return got if isinstance(got, str) or not hasattr(got, "__iter__") else list(got)

    for _ in range(2):
        question, told = kit.new_question(), some_pieces(12)
        with spy(stream_of([*told[:4], None, *told[4:8], "", *told[8:]])) as service:
            got = streaming(service, all_of, kit.new_client(), question)
        streams.streamed(service, question)
        whole = service.said[-1]
        expect(got is not None, say["prints" if service.printed else "nothing"])
        expect(got != whole, say["whole_text"])
        expect(not isinstance(got, str), say["text"])
        expect(hasattr(got, "__iter__"), say["no_pieces"], what=describe(got))
        expect(got, say["none_came"])
        texts = [piece for piece in got if isinstance(piece, str)]
        chunks = [piece for piece in got if type(piece).__name__.startswith("ChatCompletion")]
        expect(not chunks, say["chunks"])
        expect(None not in got, say["none"])
        expect("None" not in "".join(texts), say["none_as_text"])
        expect("" not in got, say["empty"])
        expect(len(texts) == len(got), say["no_texts"])
        counts, right = {"told": len(told), "got": len(got)}, got == told
        stripped = [piece.strip() for piece in got] == [piece.strip() for piece in told]
        expect(right or got[-1].strip() != whole.strip(), say["all_so_far"])
        expect(right or not stripped, say["white_space"])
        expect(right or "".join(got) != whole, say["cut_up"], **counts)
        expect(got not in (told[:4], told[:8]), say["ends_early"])
        expect(right, say["others"], **counts)

    with spy(stream_of(some_pieces(30))) as service:
        streaming(service, first_of, kit.new_client(), kit.new_question())
        sent = service.sent.last
        expect(len(sent.chunks) < len(sent.plan.chunks), say["reads_all"])
    for trouble, kind in (
        (error(503), httpx2.HTTPError),
        (reply(words(9), breaks_after=4), httpx2.RemoteProtocolError),
    ):
        asked = kit.new_client(), kit.new_question()
        raised = kit.error_after(trouble, say["hidden_error"], all_of, *asked)
        expect(isinstance(raised.error, kind), say["other_error"], kind=raised.kind)
    return say["right"]


# ---- task 2 ----
OVERLOADED = {"error": "Model is overloaded", "error_type": "overloaded"}


def check_read(read) -> str:
    say, used = SAY["read"], random.randint(300, 900)
    whole = stream_of(["\n", *some_pieces(8), None, "."], usage=used)
    _, complete, tokens, _ = _read(read, whole)
    expect(complete, say["says_cut"])
    expect(tokens is not None, say["no_tokens"])
    expect(isinstance(tokens, int), say["no_number"], what=describe(tokens))
    kinds = {used + streams.READ: "total_tokens", streams.READ: "prompt_tokens"}
    expect(tokens == used, say[kinds.get(tokens, "counted")], used=used, tokens=tokens)

    cut = stream_of([*some_pieces(8), "."], finish="length", usage=used, together=True)
    _, complete, tokens, _ = _read(read, cut, together=True)
    expect(tokens is not None, say["no_tokens_beside"])
    expect(not complete, say["says_whole_length"])

    overloaded = stream_of([*some_pieces(6), "."], trouble=OVERLOADED)
    breaks = reply(" ".join([*words(9).split(), "end."]), breaks_after=6)
    for step, what in (
        (overloaded, "An error event came after some pieces"),
        (breaks, "The connection was gone after some pieces came"),
    ):
        text, complete, tokens, service = _read(read, step, what)
        expect(not complete, say["says_whole"], what=what)
        expect(text, say["text_lost"], what=what)
        events = [event for _, event in service.sent.last.events]
        choices = [choice for event in events for choice in event.get("choices", [])]
        arrived = "".join(choice["delta"].get("content") or "" for choice in choices)
        expect(text == arrived, say["not_arrived"], what=what)
        expect(tokens is None, say["guess"], what=what)

    for status in (429, 401):
        asked, hidden = (kit.new_client(), kit.new_question()), say["refusal"]
        raised = kit.error_after(error(status), hidden, read, *asked)
        expect(raised.status == status, say["other_refusal"], name=status, kind=raised.kind)
    return say["right"]


def _read(read, step, broke: str = "", together: bool = False) -> tuple:
    """(text, complete, tokens, the spy). `broke` says how the stream broke, if it does."""
    say, question = SAY["read"], kit.new_question()
    with spy(step) as service:
        try:
            value = streaming(service, read, kit.new_client(), question)
        except Raised as raised:
            if not broke:
                raise
            for mistaken, key in ((httpx2.HTTPError, "lost"), (AttributeError, "no_usage_came")):
                wrong = isinstance(raised.error, mistaken)
                expect(not wrong, say[key], what=broke, raised=raised, kind=raised.kind)
            raise NotYet(f"{broke}. {raised}") from None
    streams.streamed(service, question)
    options, said = service.sent.last.json.get("stream_options") or {}, service.said[-1]
    expect(options.get("include_usage") is True, say["no_usage"])
    three = isinstance(value, (tuple, list)) and len(value) == 3
    expect(three, say["not_three"], what=describe(value))
    text, complete, _ = value
    expect(isinstance(text, str), say["no_text"], what=describe(text))
    expect(not isinstance(complete, str) and complete is not None, say["reason_itself"])
    expect(isinstance(complete, bool), say["no_bool"], what=describe(complete))
    if not broke and text != said:
        expect(text.strip() != said.strip(), say["white_space"])
        raise NotYet(say["last_piece" if together else "other_text"])
    return *value, service


# ---- task 3 ----
@contextmanager
def watched_client(service):
    """(client, closed): closing it adds the number of requests sent by then to `closed`."""
    client, closed = kit.new_client(), []
    client.exit_stack = ExitStack()
    client.exit_stack.callback(lambda: closed.append(len(service.sent)))
    yield client, closed
    client.close()


def check_first_sentence(first_sentence) -> str:
    say = SAY["first_sentence"]
    for ending in ("end.", "end. Be", "end. No. Be"):
        # read up to the piece `ending`, which holds the first full stop, and closed
        question = kit.new_question()
        before, after = some_pieces(random.randint(5, 12)), some_pieces(30)
        wanted = "".join(before) + "end."
        stream = stream_of([*before, ending, *after, "over."])
        with spy(stream) as service, watched_client(service) as (client, closed):
            text = streaming(service, first_sentence, client, question)
            closed = closed[-1:]
        kit.expect_chat_request(service, question, models.chat, streams.MAX_TOKENS)
        expect(not service.sent.last.json.get("stop"), say["stop"])
        streams.streamed(service, question)
        expect(text is not None, say["prints" if service.printed else "nothing"])
        expect(isinstance(text, str), say["no_text"], what=describe(text))
        read, sent = len(service.sent.last.chunks), len(service.sent.last.plan.chunks)
        expect(read < sent - 10, say["reads_all"])
        expect(text != wanted.rstrip("."), say["no_full_stop"])
        if text != wanted:
            expect(text.strip() != wanted, say["white_space"])
            more = text.startswith(wanted) and ending != "end."
            expect(not more, say["whole_piece"], ending=ending)
            raise NotYet(say["other"].format(wanted=wanted, text=text))
        # a chunk without choices, the role, the pieces, the one with the full stop
        expect(read <= len(before) + 3, say["reads_on"])
        expect(closed, say["open"])
        expect(closed != [0], say["closed_early"])

    none = "The answer had no full stop at all."
    with spy(stream_of(some_pieces(30))) as service, watched_client(service) as (client, closed):
        asked = client, kit.new_question()
        text, raised = kit.attempt(streaming, service, first_sentence, *asked)
        expect(not raised, f"{none} {raised}")
        expect(text != service.said[-1] + ".", say["adds_one"], none=none)
        expect(text == service.said[-1], say["loses"], none=none)
        expect(closed, say["open_not_found"])

    breaks = reply(words(20), breaks_after=5)
    with spy(breaks) as service, watched_client(service) as (client, closed):
        text, raised = kit.attempt(service.call, first_sentence, client, kit.new_question())
        nothing = f"{describe(text)} as if nothing had happened"
        what = "half a sentence as if it were one" if text else nothing
        expect(raised, say["hidden_error"], what=what)
        expect(closed, say["open_error"])
    return say["right"]


# ---- task 4 ----
class SlowService:
    """Answers in pieces, the first of all the most slowly, and counts how many are under way.

    under_way : one number a request, itself included. said : the answer to each question.
    """

    def __init__(self, questions: list[str]):
        self.questions, self.entries = questions, []
        self.under_way: list[int] = []
        self.said: dict[str, str] = {}

    def question_in(self, entry) -> str | None:
        asked = json.dumps(entry.json)
        return next((question for question in self.questions if question in asked), None)

    def __call__(self, service, entry):
        unread = [not one.plan or len(one.chunks) < len(one.plan.chunks) for one in self.entries]
        self.under_way.append(1 + sum(unread))
        plan = reply()(service, entry)
        body = b"".join(chunk for _, chunk in plan.chunks)
        # the first answer of all takes longer than the others together
        size = -(-len(body) // (2 if self.entries else 20 * len(self.questions)))
        chunks = [(1.0 + i, body[i : i + size]) for i in range(0, len(body), size)]
        self.said[self.question_in(entry)] = service.said[-1]
        self.entries.append(entry)
        return replace(plan, chunks=chunks)


def check_ask_all(ask_all) -> str:
    say = SAY["ask_all"]
    expect(inspect.iscoroutinefunction(ask_all), say["no_async"])
    for count, at_once in ((7, 3), (6, 2), (4, 1)):
        questions = [kit.new_question() for _ in range(count)]
        slow, made = SlowService(questions), []
        with spy(*[slow] * count) as service, wire.watching(made.append):
            got = service.call(ask_all, given := list(questions), at_once)
        expect(given == questions, say["questions_changed"])
        expect(got is not None, say["nothing"])
        for row in range(len(service.sent)):
            question = slow.question_in(service.sent[row]) or questions[0]
            kit.expect_chat_request(service, question, models.chat, streams.MAX_TOKENS, row=row)
        sent = len(service.sent)
        expect(sent, say["no_request"])
        expect(sent == len(questions), say["requests"], count=len(questions), sent=sent)
        expect(isinstance(got, list), say["no_list"], what=describe(got))
        strange = [text for text in got if not isinstance(text, str)]
        expect(not strange, say["no_text"], what=describe(strange[0] if strange else None))
        expect(sorted(got) == sorted(slow.said.values()), say["other_texts"])
        expect(got == [slow.said[question] for question in questions], say["order"])

        # never more under way than allowed, and as many while there are questions left
        most = max(slow.under_way)
        expect(most <= at_once, say["too_many"], most=most, at_once=at_once)
        alone = say["one_by_one" if made else "sync_client"]
        expect(most > 1 or at_once == 1, alone, at_once=at_once)
        expect(most == at_once, say["too_few"], most=most, at_once=at_once)
        in_groups = at_once > 1 and min(slow.under_way[at_once:]) == 1
        expect(not in_groups, say["groups"], at_once=at_once)
        expect(made, say["from_outside"])
        expect(len(made) == 1, say["clients"], made=len(made))
        expect(made[0].is_closed, say["open"])

    made = []
    with spy(reply(), error(503)) as service, wire.watching(made.append):
        questions = [kit.new_question() for _ in range(3)]
        _, raised = kit.attempt(service.call, ask_all, questions, 1)
    expect(raised or len(service.sent) <= 3, say["asked_again"])
    expect(raised, say["hidden_error"])
    expect(all(client.is_closed for client in made), say["open_error"])
    return say["right"]


TASKS = kit.read_tasks(__file__, check_pieces, check_read, check_first_sentence, check_ask_all)
