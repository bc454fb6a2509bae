"""Checks for exercise 03, tasks 3 to 5: the loop, patience, and a stream that breaks."""

import functools
import random

import httpx2

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, describe, error, expect, reply, spy, words
from helpers.exercises.scenes import Run, record
from helpers.models import models

BASE = 0.5  # seconds: the range of the first pause
TINY = 1e-9
LOST = kit.broken(httpx2.ReadError, "[Errno 104] Connection reset by peer")
LATE = kit.broken(httpx2.ReadTimeout, "The read operation timed out")  # the client's own limit

SAY = kit.read_messages(__file__)


def told(seconds: float):
    return error(429, retry_after=seconds)


# ---- one call, and how it ended ----
def play(function, *steps, arguments=(), limit: int = 12) -> Run:
    """Call the learner's function while the service does `steps`, then answers."""
    question = kit.new_question()
    with spy(*steps, limit=limit) as service:
        asked = kit.new_client(timeout=30), question, *arguments
        run = record(service, service.call, function, *asked)
    if run.failed and not run.raised:
        raise run.failed
    if not run.raised or run.sent:
        for row in range(run.sent):
            kit.expect_chat_request(service, question, models.chat, row=row)
        kit.expect_given_client(service)
    expect(run.sent, SAY[""]["no_request"])
    return run


def expect_answer(run: Run, trouble: str) -> None:
    say = SAY[""]
    expect(not run.raised, say["unanswered"], trouble=trouble, raised=run.raised)
    if run.value is None:
        expect(run.service.said, say["not_sent"], trouble=trouble)
        expect(run.service.printed, say["nothing"], trouble=trouble)
    kit.expect_text(run.value, run.service.said[-1], run.service)


def expect_original(run: Run, status: int, trouble: str) -> None:
    """The error that happened is the error that is raised."""
    say, raised = SAY[""], run.raised
    expect(raised, say["as_if"], trouble=trouble, what=describe(run.value))
    expect(raised.status == status, say["other_error"], trouble=trouble, kind=raised.kind)


# ---- task 3 ----
TRIES = 4


def check_ask_again(ask_again) -> str:
    say = SAY["ask_again"]
    run = play(ask_again)
    expect(run.sent == 1, say["sent_again"], sent=run.sent)
    expect(not run.slept, say["waited"])
    expect_answer(run, "Nothing went wrong")

    run = play(ask_again, error(401))
    expect(run.sent == 1, say["401_again"])
    expect(not run.slept, say["401_waits"])
    expect_original(run, 401, "The token was wrong (401)")

    run = play(ask_again, error(503), error(503))
    expect(run.sent > 1, say["503_once"])
    expect_answer(run, "The service failed twice (503)")
    expect(run.sent == 3, say["three"], sent=run.sent)
    expect(run.slept, say["no_wait"])
    expect(len(run.slept) == 2, say["two_waits"], waits=len(run.slept))
    waits = ", ".join(f"{seconds:.2f}" for seconds in run.slept)
    in_range = all(seconds <= BASE * 2**n + TINY for n, seconds in enumerate(run.slept))
    expect(in_range, say["ranges"], waits=waits, base=BASE, double=2 * BASE)

    seconds = random.randint(40, 80)
    run = play(ask_again, told(seconds))
    slept = sum(run.slept)
    expect_answer(run, f"A 429 with `Retry-After: {seconds}`")
    expect(slept >= seconds, say["too_early"], told=seconds, slept=slept)
    expect(slept <= seconds + 1, say["too_late"], told=seconds, slept=slept)

    for step, what in (
        (kit.broken(), "The connection was refused"),
        (LOST, "The connection was lost"),
        (LATE, "The request timed out"),
    ):
        run = play(ask_again, step)
        no_response = run.raised and isinstance(run.raised.error, AttributeError)
        expect(not no_response, say["no_response"], what=what, raised=run.raised)
        expect_answer(run, what)

    _expect_an_end(ask_again)
    longest = max(play(ask_again, *[error(500)] * 10).slept[-1] for _ in range(15))
    expect(longest > BASE, say["not_growing"], longest=longest, range=4 * BASE)
    return say["right"].format(tries=TRIES)


def _expect_an_end(ask_again) -> None:
    """After TRIES requests, whatever went wrong, and without a wait after the last."""
    say = SAY["ask_again"]
    run = play(ask_again, *[error(500)] * 10)
    expect(run.sent <= TRIES, say["too_many"], sent=run.sent, tries=TRIES)
    expect(run.sent == TRIES, say["too_few"], requests=run.requests, tries=TRIES)
    expect_original(run, 500, f"All {TRIES} requests failed (500)")
    waits = len(run.slept)
    expect(waits < TRIES, say["last_wait"], tries=TRIES, waits=TRIES - 1, slept=waits)
    in_turn = [error(503), kit.broken(), LATE, told(1), *[error(500)] * 8]
    for steps, what in (
        ([kit.broken()] * 12, "The connection was refused again and again"),
        ([told(1)] * 12, "The service refused every time (429)"),
        (in_turn, "The service failed again and again, each time in another way"),
    ):
        try:
            run = play(ask_again, *steps)
        except NotYet as ended:
            endless = str(ended).startswith("Your function had sent")
            expect(not endless, say["endless"], what=what, tries=TRIES)
            raise
        expect(run.sent == TRIES, say["whatever"], what=what, requests=run.requests, tries=TRIES)


# ---- task 4 ----
NO_NUMBER = "(there is no number of tries here, only patience)"


def check_ask_within(ask_within) -> str:
    say, looks = SAY["ask_within"], []

    def wait(patience: float, *steps) -> tuple[Run, float]:
        """The run, and how long it waited in all."""
        run = play(ask_within, *steps, arguments=(patience,), limit=60)
        looks.extend(run.service.looks)  # the clocks that its own code has read
        return run, sum(run.slept)

    run, slept = wait(10)
    expect(run.sent == 1 and not slept, say["one_request"])
    expect_answer(run, "Nothing went wrong")
    try:
        run, slept = wait(0)
    except NotYet as missing:
        raise NotYet(say["no_patience"].format(missing=missing)) from None
    expect_answer(run, "With a patience of 0 s nothing went wrong")

    run, slept = wait(10, told(4), told(4))
    expect_answer(run, "Two waits of 4 s fit into 10 s")
    expect(run.sent == 3, say["three"], sent=run.sent)
    expect(slept >= 8, say["too_early"], slept=slept)
    if slept == 8 and not looks:  # whoever looks at the clock counts the requests' own time too
        run, slept = wait(8, told(4), told(4))
        expect(not run.raised or run.sent != 2, say["exactly"])
        expect_answer(run, "Two waits of 4 s fit into 8 s exactly")

    _expect_patience_ends(wait)
    for patience, what, *steps in (
        (23, "Waits of 9, 5 and 5 s fit into 23 s", told(9), told(5), told(5)),
        (60, "Fifteen waits of 2 s fit into 60 s", *[told(2)] * 15),
    ):
        expect_answer(wait(patience, *steps)[0], f"{what} {NO_NUMBER}")

    run, slept = wait(60, error(403))
    expect(run.sent == 1 and not slept, say["403_again"])
    expect_original(run, 403, "The token lacks the permission (403)")

    run, slept = wait(30, *[error(503)] * 4)
    expect_answer(run, f"Four failures with short pauses fit into 30 s {NO_NUMBER}")
    run, slept = wait(500, *[error(503)] * 10)
    expect(max(run.slept) > BASE, say["not_growing"], longest=max(run.slept))
    for patience in [3] * 3 + [30] * 15:
        run, slept = wait(patience, *[error(503)] * 60)
        expect(slept <= patience + TINY, say["drawn_again"], patience=patience, slept=slept)
        trouble = f"The pauses added up to more than the patience of {patience} s"
        expect_original(run, 503, trouble)
    return say["right"]


def _expect_patience_ends(wait) -> None:
    """No wait is begun that does not fit, alone or together with those before it."""
    say = SAY["ask_within"]
    run, slept = wait(10, *[told(42)] * 10)
    expect(slept < 42, say["too_long"], slept=slept)
    expect(not slept, say["shortened"], slept=slept)
    expect(run.sent == 1, say["no_wait"], sent=run.sent)
    expect_original(run, 429, "The wait did not fit (42 s into 10 s)")

    run, slept = wait(10, *[told(4)] * 10)
    expect(slept <= 10 + TINY, say["sum"], slept=slept)
    expect(run.sent == 3, say["two_fit"], sent=run.sent)
    expect_original(run, 429, "The third wait did not fit (4 + 4 + 4 s into 10 s)")


# ---- task 5 ----
TURNS = 3  # how often the stream may be asked for


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
        (reply(breaks_after=1), "The connection broke after a chunk that holds only the role"),
    ):
        got, run = _streamed(stream_text, step)
        expect(not run.raised, say["no_retry"], what=what, kind=run.raised and run.raised.kind)
        expect(run.sent == 2, say["two"], what=what, sent=run.sent)
        expect("".join(got) == run.service.said[-1], say["second_text"], what=what)

    # a stream that broke after three words: they are handed over, and so is the error
    got, run = _streamed(stream_text, reply(words(12), breaks_after=4))
    text, said = "".join(got), run.service.said
    if run.sent > 1:
        expect(text != said[-1], say["collects"])
        raise NotYet(say["anew"].format(text=text[:60]))
    expect(run.raised, say["as_if_whole"], text=text)
    expect(text == " ".join(said[0].split(" ")[:3]), say["not_passed_on"], text=text)
    same = run.raised.kind == "RemoteProtocolError"
    expect(same, say["other_error"], kind=run.raised.kind)

    got, run = _streamed(stream_text, error(401))
    expect(run.raised and run.sent == 1, say["401_again"])
    got, run = _streamed(stream_text, *[error(503)] * 8)
    expect(run.sent == TURNS, say["every_time"], requests=run.requests, tries=TURNS)
    expect(run.raised and run.raised.status == 503, say["503_lost"])
    expect(len(run.slept) < TURNS, say["last_wait"])

    for steps, what in (
        ([error(503), error(503)], "The stream was refused twice (503)"),
        ([told(30)], "The stream was refused with `Retry-After: 30`"),
    ):
        got, run = _streamed(stream_text, *steps)
        expect(len(run.slept) >= len(steps), say["no_wait"], what=what)
    expect(sum(run.slept) >= 30, say["too_early"], slept=sum(run.slept))

    usage = {"prompt_tokens": 9, "completion_tokens": 6}  # in a last chunk, which has no choices
    got, run = _streamed(stream_text, reply(usage=usage))
    no_choices = run.raised and run.raised.kind == "IndexError"
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
