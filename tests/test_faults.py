"""The fault lab: every fault in every way of calling; true headers; same seed, same trouble."""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from functools import partial

import httpx2
import openai
import pytest
import standin
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub import errors as hub
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers
from ways import CHAT, WAYS, in_threads, messages

from helpers import faults, session, wire
from helpers.faults import ColdStart, FixedWindow, ScaledToZero, TokenBucket, outage
from helpers.faults.clock import EPOCH, outside
from helpers.log import Log
from helpers.replay import recording as replay
from helpers.retry import RetryPolicy, call_with_retry, countdown, gather_limited

MODEL, MESSAGES = "some/model", messages("Say hello.")
ASKED = {"model": MODEL, "messages": MESSAGES}
WORDS, ANSWERS = [f"w{number} " for number in range(6)], ("first", "second")
LOOK_UP = "https://huggingface.co/api/models/x"
REAL_SLEEP = time.sleep
HTTP = httpx2.Client()


def stream() -> standin.Plan:
    *texts, _, done = standin.events(WORDS, MODEL)
    # Two events in one piece, one event in two: the pieces of the network are not the events.
    return standin.stream([texts[0] + texts[1], texts[2][:20], texts[2][20:], *texts[3:], done])


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A session in replay: a request as each client words it, two answers each, and a stream."""
    first, second = (standin.whole(standin.chat(text, MODEL), seconds=1.5) for text in ANSWERS)
    answers = [({}, first), ({}, second), ({"stream": True}, stream())]
    answers += [({"stream": False}, first), ({"stream": False}, second)]
    calls = [("POST", CHAT, json.dumps(ASKED | more).encode(), plan) for more, plan in answers]
    standin.record(tmp_path / "lab.json", *calls, by="tiny/model")
    monkeypatch.setattr(session, "FOLDER", tmp_path)
    monkeypatch.setenv("COURSE_PACE", "0")
    return session.start("lab")


def asked(way, **settings) -> str:
    own = {} if way.of == "hub" else {"max_retries": 0}
    return way(MESSAGES[0]["content"], MODEL, **own | settings)


CALLS = [partial(asked, way) for way in WAYS]
HF, STREAMS = CALLS[:4], CALLS[1::2]
hf, hf_stream, oa = CALLS[0], CALLS[1], CALLS[4]


def fails(call, error=HfHubHTTPError) -> None:
    with pytest.raises(error):
        call()


every_way = pytest.mark.parametrize("call", CALLS, ids=map(str, WAYS))
every_stream = pytest.mark.parametrize("call", STREAMS, ids=map(str, WAYS[1::2]))


@every_way
def test_without_faults_the_answer_is_the_recorded_one_in_the_recorded_time(recorded, call):
    with outage() as lab:
        assert call() == ("".join(WORDS) if call in STREAMS else "first")
        assert lab.clock.time() == pytest.approx(0.5 if call in STREAMS else 1.5, abs=1e-5)
    first = lab.log[0]
    assert (first.status, first.note, first.answered_by) == (200, "", "tiny/model")


def test_attempts_use_up_no_recorded_answers(recorded):
    with outage(errors=[503, 429, None, 500]):
        for _ in range(2):
            fails(hf)
        assert hf() == "first"
        fails(hf)
        assert hf() == "first"  # the same request, the same answer
    assert hf() == "second"  # outside, the recording goes on
    with outage():
        assert hf() == "second"  # and the lab stays with what was said last


def test_what_nobody_recorded_says_so_as_outside(recorded):
    with outage(), pytest.raises(HfHubHTTPError, match="nobody recorded this request"):
        WAYS[0]("other", MODEL)
    assert recorded.log.last.note == "not recorded"


TIMEOUTS = (hub.InferenceTimeoutError, openai.APITimeoutError)
HF_CLASSES = {0: (httpx2.ReadError, httpx2.ConnectError), 400: hub.BadRequestError}
OA_CLASSES = {
    0: openai.APIConnectionError,
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
}


@every_way
@pytest.mark.parametrize("name", [*faults.FAULTS, 408, 500, 502, 503, 504, 520])
def test_every_fault_reaches_every_client_as_its_own_error(recorded, call, name):
    with outage(errors=[name]) as lab:
        with pytest.raises(Exception) as caught:
            call()
        assert call()  # the next one is answered
    error, refused = caught.value, lab.log[0]
    fault = faults.FAULTS.get(name) or faults.Fault(name)
    if call in HF:
        expected = HF_CLASSES.get(fault.status, HfHubHTTPError)
    else:
        expected = OA_CLASSES.get(min(fault.status, 500), openai.APIStatusError)
    assert isinstance(error, expected)
    assert (refused.status, refused.answered_by) == (fault.status, "the fault lab")
    assert refused.note.startswith("fault: ")
    if fault.status:
        assert error.response.status_code == fault.status
        if fault.body:
            assert error.response.json() == fault.body
        request_id = error.response.headers["x-request-id"]
        assert ("429" in request_id) == (name == "unlucky_id") and "503" not in request_id


def test_a_text_generation_refusal_has_no_response_of_its_own(recorded):
    with outage(errors="overloaded"), pytest.raises(hub.OverloadedError) as caught:
        own = "https://x1.us-east-1.aws.endpoints.huggingface.cloud"
        InferenceClient().text_generation("Once", model=own)
    assert not hasattr(caught.value, "response")
    assert caught.value.__context__.response.status_code == 429


@every_way
def test_a_call_that_is_never_answered_ends_at_the_clients_own_limit(recorded, call):
    with outage(errors=["timeout"]) as lab, pytest.raises(TIMEOUTS):
        call(timeout=7)
    assert lab.clock.time() == 7 and "the client gave up after 7 s" in lab.log.last.note


def test_without_a_limit_the_lab_ends_it_after_an_hour(recorded):
    real = time.perf_counter()
    with outage(errors=["timeout"]) as lab, pytest.raises(httpx2.ReadError, match="no time limit"):
        hf()
    assert lab.clock.time() == 3600 and time.perf_counter() - real < 60


@every_way
def test_a_slow_answer_is_slow_or_too_slow(recorded, call):
    with outage(latency=30) as lab:
        assert call(timeout=60)
        assert lab.clock.time() >= 30
        fails(partial(call, timeout=10), TIMEOUTS)
    assert lab.log[1].status == 0 and lab.log[1].seconds == 10


@every_stream
@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_a_stream_breaks_after_so_many_events(recorded, call, after):
    with outage(drop_stream_after=[after]) as lab:
        with pytest.raises((httpx2.RemoteProtocolError, openai.APIConnectionError)) as caught:
            call()
        assert call() == "".join(WORDS)  # the second stream is whole
    error = caught.value.__cause__ or caught.value
    assert isinstance(error, httpx2.RemoteProtocolError) and "incomplete chunked read" in str(error)
    got = [event["choices"][0]["delta"]["content"] for _, event in lab.log[0].events]
    assert got == WORDS[:after]
    assert lab.log[0].note == f"fault: stream broke after {after} events" and not lab.log[1].note


def test_a_number_breaks_every_stream_and_leaves_other_answers_alone(recorded):
    with outage(drop_stream_after=2) as lab:
        for _ in range(3):
            fails(hf_stream, httpx2.RemoteProtocolError)
        assert hf() == "first"
    assert [entry.status for entry in lab.log] == [200] * 4


@every_stream
def test_an_error_comes_as_an_event(recorded, call):
    errors = hub.OverloadedError, openai.APIError
    with outage(error_in_stream_after=[3]) as lab, pytest.raises(errors) as caught:
        call()
    assert not isinstance(caught.value, (openai.APIStatusError, openai.APIConnectionError))
    _, last = lab.log[0].events[-1]
    assert last == {"error": "Model is overloaded", "error_type": "overloaded"}
    assert len(lab.log[0].events) == 4


def ask(times: int = 1, gap: float = 0.0) -> list[httpx2.Response]:
    answers = []
    for _ in range(times):
        answers.append(HTTP.post(CHAT, json=ASKED))
        time.sleep(gap)
    return answers


def statuses(answers) -> list[int]:
    return [answer.status_code for answer in answers]


def test_the_nth_request_of_a_window_says_how_many_are_left(recorded):
    with outage(rate_limit=FixedWindow(5, 60, elapsed=8), latency=0) as lab:
        answers = ask(7, gap=2)
        time.sleep(52 - lab.clock.time())
        answers += ask(1)
    stated = [parse_ratelimit_headers(answer.headers) for answer in answers]
    assert [limit.remaining for limit in stated] == [4, 3, 2, 1, 0, 0, 0, 4]
    seconds = [limit.reset_in_seconds for limit in stated]
    assert seconds[:5] == [52, 50, 48, 46, 44] and seconds[5] > seconds[6] and seconds[7] == 60
    assert {(limit.limit, limit.window_seconds) for limit in stated} == {(5, 60)}
    assert statuses(answers) == [200] * 5 + [429] * 2 + [200]
    assert [answer.headers.get("retry-after") for answer in answers[4:7]] == [None, "42", "40"]
    assert answers[0].headers["ratelimit"] == '"api";r=4;t=52'
    assert answers[0].headers["ratelimit-policy"] == '"fixed window";"api";q=5;w=60'
    assert lab.log[5].note == "fault: 429, window empty, 42 s to reset"


def test_waiting_as_told_is_always_enough_and_never_a_second_too_long(recorded):
    draw = random.Random(3)
    for _ in range(40):
        quota, seconds, elapsed = draw.randint(1, 5), draw.uniform(1, 400), draw.random()
        limit = FixedWindow(quota, seconds, elapsed=elapsed, from_first=draw.random() < 0.3)
        if draw.random() < 0.3:
            limit = TokenBucket(draw.randint(1, 5), draw.uniform(0.02, 5))
        with outage(rate_limit=limit, latency=(0, 0.02), seed=draw.randint(0, 99)):
            answers = ask(limit.quota + 1)
            while answers[-1].status_code == 200:
                answers += ask(1)
            seconds = int(answers[-1].headers["retry-after"])
            if seconds > 1:
                time.sleep(seconds - 1.05)  # the refusals themselves take 0.02 s
                assert ask(1)[0].status_code == 429
                seconds = 1.01
            time.sleep(seconds)
            assert ask(1)[0].status_code == 200


def test_the_limit_is_the_one_of_the_benchmark_exactly():
    """Fixed windows by the server's clock, refusals not counted: against a model in three lines."""
    draw = random.Random(5)
    for _ in range(50):
        quota, seconds = draw.randint(1, 20), draw.choice([1.0, 2.0, 15.0, 300.0])
        elapsed = draw.random()
        limit, used, now = FixedWindow(quota, seconds, elapsed=elapsed), Counter(), 0.0
        for _ in range(200):
            now = round(now + draw.expovariate(quota / seconds * 1.5), 6)
            window = int((now + elapsed) // seconds)
            left, reset = limit.look(now)
            assert left == quota - used[window]
            assert reset == pytest.approx((window + 1) * seconds - elapsed - now, abs=1e-5)
            if left:
                limit.take(now)
                used[window] += 1


BUCKET = {"ratelimit": '"api";r=0;t=1', "ratelimit-policy": '"token bucket";"api";q=20;w=2'}
BOTH = '"burst";r=4;t=1, "daily";r=0;t=899'
LIMITS = {  # name: (limit, [(seconds to wait, statuses from then on, headers of the last answer)])
    "others used up the first window": (
        FixedWindow(3, 60, elapsed=18, used=3),
        [
            (0, [429], {"ratelimit": '"api";r=0;t=42', "retry-after": "42"}),
            (42, [200, 200, 200, 429], {}),
        ],
    ),
    "a window begins with its first request": (
        FixedWindow(2, 10, from_first=True),
        [(25, [200, 200, 429], {"retry-after": "10"}), (10, [200], {})],
    ),
    "a bucket refills": (
        TokenBucket(20, 10),
        [
            (0, [200] * 20 + [429], BUCKET),
            (0, [429] * 4, {}),
            (0.5, [200] * 6 + [429] * 2, {}),  # 0.1 s for the refusals, and 0.5 s
        ],
    ),
    "a server that rounds down sends clients too early": (
        FixedWindow(1, 2.9, round_down=True),
        [(0, [200, 429], {"retry-after": "2"}), (2, [429], {"retry-after": "0"})],
    ),
    "of several all are said and the longest is waited for": (
        [FixedWindow(5, 1, name="burst"), FixedWindow(6, 900, name="daily")],
        [
            (0, [200] * 5, {"ratelimit": '"burst";r=0;t=1, "daily";r=1;t=900'}),
            (0, [429], {"retry-after": "1"}),
            (1, [200, 429, 429], {"retry-after": "899", "ratelimit": BOTH}),
        ],
    ),
}


@pytest.mark.parametrize("limit, steps", LIMITS.values(), ids=LIMITS)
def test_limits_in_one_outage_and_again_in_another(recorded, limit, steps):
    for _ in range(2):
        with outage(rate_limit=limit, latency=0) as lab:
            for seconds, expected, headers in steps:
                time.sleep(seconds)
                answers = ask(len(expected))
                assert statuses(answers) == expected
                assert headers.items() <= dict(answers[-1].headers).items()
            assert 0 < lab.clock.time() - sum(seconds for seconds, *_ in steps) < 0.5


HINTS = [["RateLimit"], ["Retry-After"], ["Retry-After-Ms"], ["RateLimit", "Retry-After"], []]


@pytest.mark.parametrize("hints", HINTS)
def test_a_server_hints_at_what_it_is_told_to(recorded, hints):
    with outage(rate_limit=FixedWindow(1, 2.5, hints=hints), latency=0.0):
        refused = ask(2)[1]
    assert refused.status_code == 429
    policy = ["ratelimit-policy"] if "RateLimit" in hints else []
    says = [name for name in refused.headers if name.startswith(("retry", "ratelimit"))]
    assert sorted(says) == sorted([hint.lower() for hint in hints] + policy)


def test_a_date_to_retry_after_lies_in_the_future_of_the_servers_own_date(recorded):
    with outage(rate_limit=FixedWindow(1, 61.5, hints=("Retry-After-Date",)), latency=0) as lab:
        time.sleep(0.7)
        refused = ask(2)[1]
        dates = [parsedate_to_datetime(refused.headers[name]) for name in ("retry-after", "date")]
        until, now = (date.timestamp() for date in dates)
        assert now == EPOCH and until == EPOCH + 62
        time.sleep(until - time.time())
        assert ask(1)[0].status_code == 200 and lab.clock.time() == pytest.approx(62)


COLD = [(25, None), (ColdStart(25), None), (ColdStart(25, estimated_time=20), 20)]


@pytest.mark.parametrize("start, estimate", COLD)
def test_a_cold_start_with_and_without_an_estimate(recorded, start, estimate):
    with outage(cold_start=start, latency=0) as lab:
        time.sleep(100)  # it begins when the model is first asked for
        first = ask(1)[0]
        assert first.status_code == 503
        said = {"estimated_time": 20.0} if estimate else {}
        assert first.json() == {"error": f"Model {MODEL} is currently loading"} | said
        time.sleep(24.9)
        assert ask(1)[0].status_code == 503
        time.sleep(0.1)
        assert ask(1)[0].status_code == 200 and len(lab.log) == 3


@pytest.mark.parametrize(
    "patience, status, took",
    [(None, 503, 0.02), ("10", 503, 10.0), ("600", 200, 41.5), ("soon", 503, 0.02)],
)
def test_an_endpoint_wakes_and_holds_a_request_that_asks_for_it(recorded, patience, status, took):
    with outage(cold_start=ScaledToZero(40)) as lab:
        headers = {} if patience is None else {"X-Scale-Up-Timeout": patience}
        answer = HTTP.post(CHAT, json=ASKED, headers=headers, timeout=900)
        assert answer.status_code == status and lab.clock.time() == pytest.approx(took)
        if status == 503:
            assert "endpoint is starting" in answer.json()["error"]


def test_a_held_request_still_ends_at_the_clients_limit(recorded):
    with outage(cold_start=ScaledToZero(40)) as lab, pytest.raises(hub.InferenceTimeoutError):
        hf(headers={"X-Scale-Up-Timeout": "600"}, timeout=10)
    assert lab.clock.time() == 10


async def in_the_end(asking) -> None:
    """Ask until there is an answer, as late as each refusal says."""
    while True:
        try:
            return await asking.chat_completion(**ASKED)
        except HfHubHTTPError as error:
            await asyncio.sleep(float(error.response.headers["retry-after"]))


def by_tasks(tasks: int, calls: int, ask) -> None:
    async def work():
        for _ in todo:
            await ask()

    async def main():
        await asyncio.gather(*(work() for _ in range(tasks)))

    todo = iter(range(calls))
    asyncio.run(main())


def through_trouble(seed: int) -> list:
    async def one():
        with contextlib.suppress(HfHubHTTPError):
            await asking.chat_completion(**ASKED)

    asking = AsyncInferenceClient()
    with outage(errors=0.5, latency=(0.05, 2), rate_limit=FixedWindow(60, 20), seed=seed) as lab:
        by_tasks(6, 80, one)
    return lab.timeline()


def test_the_seed_decides(recorded):
    first = through_trouble(1)
    assert {moment.status for moment in first} == {200, 429, 500, 502, 503, 504}
    assert {moment.worker for moment in first} == set(range(6))
    assert [through_trouble(1) for _ in range(3)] == [first] * 3
    assert through_trouble(2) != first


def test_shares_are_kept(recorded):
    trouble = faults.Trouble(errors={"reset": 0.1, 503: 0.25}, seed=4)
    rulings = Counter(trouble.rule(0.0, EPOCH).status for _ in range(4000))
    assert rulings[0] == pytest.approx(400, rel=0.15)
    assert rulings[503] == pytest.approx(1000, rel=0.15)


def test_openais_own_retries_pass_in_virtual_time(recorded):
    real = time.perf_counter()
    with outage(rate_limit=FixedWindow(1, 100), latency=0) as lab:
        oa()
        assert oa(max_retries=2) == "first"
    assert [entry.status for entry in lab.log] == [200, 429, 200] and lab.clock.time() >= 100
    assert time.perf_counter() - real < 2


def test_the_courses_retry_lives_in_the_labs_time_without_being_told(recorded):
    real, asking = time.perf_counter(), AsyncInferenceClient()
    with outage(rate_limit=FixedWindow(5, 300, elapsed=10, used=5), latency=0.1) as lab:
        assert call_with_retry(InferenceClient().chat_completion, **ASKED)
        assert 290 <= lab.clock.time() < 291
        policy = RetryPolicy(timeout=2000)
        assert len([policy.call(hf) for _ in range(9)]) == 9
        assert 590 <= lab.clock.time() < 592
        nine = gather_limited(policy, [partial(asking.chat_completion, **ASKED)] * 9)
        assert len(asyncio.run(nine)) == 9 and 1190 <= lab.clock.time() < 1193
    assert time.perf_counter() - real < 5


def test_who_is_woken_goes_on_before_time_does(recorded):
    async def main():
        loop, bell = asyncio.get_running_loop(), asyncio.Event()
        loop.call_later(1, lambda: loop.call_soon_threadsafe(bell.set))
        later = asyncio.ensure_future(asyncio.sleep(60))
        await bell.wait()
        woken = lab.clock.time()
        await later
        return woken

    with outage() as lab:
        assert asyncio.run(main()) == 1.0


def test_gather_under_a_window(recorded):
    histories, asking = [], AsyncInferenceClient()
    for _ in range(2):
        with outage(rate_limit=FixedWindow(20, 300), latency=(0.1, 0.5)) as lab:
            by_tasks(50, 50, partial(in_the_end, asking))
        histories.append(lab.timeline())
    assert histories[0] == histories[1]
    assert Counter(moment.status for moment in histories[0])[200] == 50
    assert 600 <= lab.clock.time() < 602


@every_way
def test_what_was_never_asked_goes_on_to_the_server_in_real_time_and_once(practice, call):
    running = session.start("lab", mode="practice")
    with outage(errors=[503, None, None, 429], rate_limit=FixedWindow(50, 300)) as lab:
        for _ in range(2):
            fails(call, (HfHubHTTPError, openai.APIStatusError))
            said = call()
            assert call() == said
            time.sleep(30)
            assert lab.clock.time() >= 30
    assert len([path for _, _, path, _ in practice if path.endswith("completions")]) == 1
    assert [entry.status for entry in lab.log] == [503, 200, 200, 429, 200, 200]
    assert len(running.log) == 6
    assert call() == said and time.sleep is REAL_SLEEP  # outside it is asked for real again


def test_the_sessions_log_shows_what_was_done(recorded):
    hf()
    with outage(errors=[None, "bad_token"], rate_limit=FixedWindow(1, 50), latency=0.25) as lab:
        hf()
        time.sleep(8)
        for _ in range(2):
            fails(hf)
    assert isinstance(lab.log, Log) and list(lab.log) == recorded.log.entries[1:]
    assert [entry.number for entry in recorded.log] == [1, 2, 3, 4]
    refused = ["fault: 401, bad_token", "fault: 429, window empty, 41.7 s to reset"]
    assert [entry.note for entry in lab.log] == ["", *refused]
    assert lab.log[2].at.timestamp() == pytest.approx(EPOCH + 8.27) and lab.log[2].seconds == 0.02
    assert refused[0] in repr(recorded.log)
    assert lab.log[1].response == {"error": "Invalid username or password."}
    seen = [(moment.at, moment.status, moment.worker) for moment in lab.timeline()]
    assert seen == [(0, 200, 0), (8.25, 401, 0), (8.27, 429, 0)]


def test_other_hosts_and_look_ups_at_the_hub_are_left_alone_unless_asked_for(recorded):
    with outage(errors="bad_token") as lab:
        with pytest.raises(httpx2.ConnectError):
            HTTP.get("http://127.0.0.1:9/", timeout=1)
        assert HTTP.get(LOOK_UP).status_code == 404  # the replay's own answer
        assert len(lab.log) == 0
    with outage(errors="bad_token", hub=True):
        assert HTTP.get(LOOK_UP).status_code == 401


def test_afterwards_all_is_as_it_was(recorded):
    before = wire.current()
    with pytest.raises(KeyError), outage(errors=503):
        raise KeyError
    assert wire.current() is before and time.sleep is REAL_SLEEP
    assert hf() == "first"


def test_without_a_session_it_says_so():
    assert wire.current() is None
    with pytest.raises(RuntimeError, match=r'run `session = start\("…"\)` first'):
        outage().__enter__()
    assert time.sleep is REAL_SLEEP


def test_one_outage_at_a_time(recorded):
    with outage():
        with pytest.raises(RuntimeError, match="running already"):
            outage().__enter__()
        assert hf() == "first"


def test_two_outages_at_once_in_code_of_their_own(recorded):
    def alone(seconds):
        with outage(cold_start=seconds) as lab:
            both.wait()
            assert RetryPolicy(wait_for_model=True).call(hf) in ANSWERS
            assert lab.clock.time() >= seconds and len(lab.log) > 1

    both = threading.Barrier(2)
    in_threads(partial(alone, 30), partial(alone, 200))


def test_a_wait_of_the_retry_is_one_step_and_outside_it_is_seen_as_ever(recorded):
    def waits(call):
        policy, asked, began = RetryPolicy(), [], lab.clock.time()
        reserve = policy.gate.reserve
        policy.gate.reserve = lambda ticket: asked.append(ticket) or reserve(ticket)
        policy.gate.pause(300)
        assert call(policy) in (0, None)
        assert 300 <= lab.clock.time() - began < 301 and len(asked) <= 4

    with outage() as lab:
        waits(lambda policy: policy.call(int))
        waits(lambda policy: asyncio.run(policy.acall(asyncio.sleep, 0)))
        assert not countdown.in_real_time()
        assert not asyncio.run(asyncio.to_thread(countdown.in_real_time))
        with outside():
            assert countdown.in_real_time()
    assert countdown.in_real_time()


def test_it_stands_in_front_of_any_handler(handled):
    asked = []
    handled(lambda request: asked.append(request) or standin.whole(standin.chat(str(len(asked)))))
    with outage(errors=[503]) as lab:
        answers = ask(3)
    assert statuses(answers) == [503, 200, 200] and len(asked) == 2
    assert [entry.number for entry in lab.log] == [1, 2, 3]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"errors": "bad_tokn"}, "there is no fault 'bad_tokn'; choose an HTTP status"),
        ({"errors": 200}, "there is no fault 200"),
        ({"errors": {"reset": 0.8, 500: 0.5}}, "add up to 1"),
        ({"errors": True}, "there is no fault True"),
        ({"rate_limit": (0, 10)}, "greater than 0"),
        ({"speed": 0}, "greater than 0"),
        ({"rate_limit": (5, 10, 20)}, "within the window"),
        ({"rate_limit": (5, 10, 0, 6)}, "at most the quota"),
        ({"latency": -1}, "latency"),
        ({"latency": (2, 1)}, "latency"),
        ({"drop_stream_after": -1}, "0 or more"),
        ({"rate_limit": "20/300"}, "FixedWindow"),
        ({"cold_start": "slow"}, "ColdStart"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        outage(**settings)


def test_a_limit_names_its_bad_hint():
    with pytest.raises(ValueError, match="there is no hint 'Retry'; choose from RateLimit"):
        FixedWindow(1, 1, hints=("Retry",))


def test_scaled_time_takes_its_share_of_real_time(recorded):
    real = time.perf_counter()
    with outage(rate_limit=FixedWindow(1, 100), latency=0, speed=1000) as lab:
        assert statuses(ask(2)) == [200, 429]
        time.sleep(100)
        assert ask(1)[0].status_code == 200
        assert lab.clock.time() >= 100
    assert 0.1 <= time.perf_counter() - real < 2


def test_a_hub_window_under_six_hundred_calls_takes_a_moment(recorded):
    one = partial(in_the_end, AsyncInferenceClient())
    asyncio.run(one())  # what is imported on first use should not count
    real = time.perf_counter()
    with outage(rate_limit=FixedWindow(500, 300, elapsed=68), latency=(0.02, 0.2)) as lab:
        by_tasks(8, 600, one)
    assert [moment.status for moment in lab.timeline()].count(200) == 600
    assert 232 < lab.clock.time() < 240 and time.perf_counter() - real < 5


def test_a_recording_is_not_changed_by_an_outage(recorded):
    before = recorded.recording.path.read_text()
    with outage(errors=0.5, seed=2):
        ask(10)
    assert recorded.recording.path.read_text() == before
    assert replay.Recording(recorded.recording.path).problems == []


def test_an_outage_holds_for_its_code_and_for_nobody_else(recorded):
    """A cell that runs meanwhile, or a widget's callback, is answered as if there were none."""
    said, begun, over = [], threading.Event(), threading.Event()

    def other():
        begun.wait()
        said.append(hf())
        over.set()

    thread = threading.Thread(target=other)
    thread.start()
    with outage(errors=503) as lab:
        fails(hf)
        with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="asyncio"):
            pool.submit(hf)
        begun.set()
        with outside():
            over.wait()
        assert len(lab.log) == 1
    with outage(errors=503, speed=60) as lab, ThreadPoolExecutor(1) as pool:
        fails(pool.submit(hf).result)
        assert len(lab.log) == 1
    thread.join()
    assert len(said) == 1 and said[0]


def test_a_session_that_starts_inside_an_outage_joins_it(recorded):
    with outage(errors=[503]) as lab:
        again = session.start(session._session.notebook)
        fails(hf)
        hf()
    assert len(lab.log) == 2 == len(again.log)
    assert wire.current() is again
