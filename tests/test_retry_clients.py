"""helpers.retry at work: threads, tasks, both clients, over a socket to a service in trouble."""

import asyncio
import contextlib
import gc
import inspect
import logging
import re
import sys
import time
import warnings
from functools import partial
from timeit import Timer
from types import SimpleNamespace

import httpx
import httpx2
import openai
import pytest
import ways
from huggingface_hub import InferenceClient, constants
from huggingface_hub import errors as hub

from authoring.bench.retry.server import WORDS, serve
from authoring.bench.retry.world import Reply, Rules, Service
from helpers import retry
from helpers.retry import NotSent, RateGate, RetryPolicy, Ticket, countdown, gather_limited

ASKED = {"messages": ways.messages("hello"), "model": "m"}
OK = Reply(200, 0.0)
LOADING = Reply(503, 0.0, body={"error": "Model m is currently loading", "estimated_time": 0.2})


def refused(body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(429, 0.0, headers, body or {"error": "slow down"})


def broken(status, **body):
    return Reply(status, 0.0, body=body or {"error": "trouble"})


@pytest.fixture(scope="module")
def server():
    with serve({}) as running:
        yield running


@pytest.fixture
def upstream(server, request):
    """`upstream(reply, …)` puts answers behind a URL of their own and returns that: in the given
    order, the last one for ever. `.seen` lists what came."""
    url, trouble = server

    def put(*replies):
        left = list(replies)
        script = SimpleNamespace(arrive=lambda now: left.pop(0) if len(left) > 1 else left[0])
        name = f"{request.node.name.split('[')[0]}-{len(trouble.services)}"
        trouble.services[name] = left[0] if isinstance(left[0], Service) else script
        trouble.seen[name] = put.seen = []
        return f"{url}/{name}/v1"

    return put


def policy(**settings):
    return RetryPolicy(**{"base": 0.02, "cap": 0.1} | settings)


@pytest.fixture
def logged(caplog):
    """`logged()` lists what helpers.retry has logged."""
    caplog.set_level(logging.INFO, logger="helpers.retry")
    return lambda: [one.getMessage() for one in caplog.records if one.name == "helpers.retry"]


def asks(of, url, asynchronous=False, **settings):
    """What asks the server at `url` to say hello, by a client of the named kind."""
    own = {"timeout": 5} | ({"max_retries": 0} if of == "openai" else {})
    client = ways.Way(of, asynchronous, False).client(url, **own | settings)
    return partial(ways.method(client), **ASKED)


hf, oa = partial(asks, "hub"), partial(asks, "openai")
LOST = httpx2.RemoteProtocolError, openai.APIConnectionError


def statuses(upstream):
    return [status for _, status in upstream.seen]


async def ask_for_stream(policy, ask, got):
    """Put the chunks into `got` as they come."""
    async for chunk in policy.astream(ask, stream=True):
        got.append(chunk)


CLIENTS = pytest.mark.parametrize("client", [hf, oa], ids=["InferenceClient", "OpenAI"])
TROUBLE = {
    "Retry-After": (refused(Retry_After="1"), 1.0),
    "ms": (refused(Retry_After_Ms="300"), 0.3),
    "RateLimit": (refused(RateLimit='"api";r=0;t=1'), 1.0),
    "no hint": (refused(), 0.0),
    "500": (broken(500), 0.0),
    "cold start": (LOADING, 0.2),
    "503 and a wait": (Reply(503, 0.0, {"Retry-After": "1"}), 1.0),
    "reset": (Reply(0, 0.0), 0.0),
}


@CLIENTS
@pytest.mark.parametrize("trouble", TROUBLE)
def test_sync(client, trouble, upstream):
    reply, least = TROUBLE[trouble]
    ask = client(upstream(reply, OK))
    started = time.monotonic()
    answer = policy().call(ask)
    assert answer.choices[0].message.content == "ok"
    assert least <= time.monotonic() - started < least + 60
    assert statuses(upstream) == [reply.status, 200]


@CLIENTS
@pytest.mark.parametrize("trouble", ["ms", "500", "cold start", "reset"])
def test_async_while_other_tasks_run(client, trouble, upstream):
    reply, _ = TROUBLE[trouble]
    ticks = []

    async def tick():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def main():
        script = upstream(reply, refused(Retry_After_Ms="200"), OK)
        ticking = asyncio.ensure_future(tick())
        answer = await policy().acall(client(script, asynchronous=True))
        ticking.cancel()
        return answer

    answer = asyncio.run(main())
    assert answer.choices[0].message.content == "ok" and len(upstream.seen) == 3
    assert len(ticks) > 8


MISLEADING = {"message": "429 rate limit, model is loading", "code": "503"}
NO_MONEY = {"message": "quota", "code": "insufficient_quota"}
PERMANENT = [(status, MISLEADING) for status in (400, 401, 402, 403, 404, 409, 410, 422)]


@CLIENTS
@pytest.mark.parametrize("status, error", [*PERMANENT, (429, NO_MONEY)])
def test_permanent_errors_cost_one_request(client, status, error, upstream):
    ask = client(upstream(broken(status, error=error)))
    with pytest.raises((hub.HfHubHTTPError, openai.APIStatusError)) as caught:
        policy().call(ask)
    assert caught.value.response.status_code == status and len(upstream.seen) == 1
    assert not getattr(caught.value, "__notes__", []), "nothing was tried again: no story"


@CLIENTS
def test_the_last_error_is_raised_as_it_is_with_the_story(client, upstream):
    ask, waits = client(upstream(refused(Retry_After_Ms="300"), broken(500))), []
    with pytest.raises((hub.HfHubHTTPError, openai.InternalServerError)) as caught:
        policy(attempts=3, on_wait=waits.append).call(ask)
    assert statuses(upstream) == [429, 500, 500, 500], "the refusal used up no attempt"
    assert caught.value.response.status_code == 500
    note = caught.value.__notes__[-1]
    assert note.startswith("gave up after 4 requests")
    assert "3 attempts failed" in note and "0.3 s (throttled, 429)" in note
    kinds = ["throttled", "transient", "transient"]
    assert [wait.kind for wait in waits] == kinds, "no sleep after the last attempt"


@CLIENTS
def test_timeouts_and_refused_connections(client, upstream):
    slow = client(upstream(Reply(200, 5), OK), timeout=2)
    assert policy().call(slow).choices and len(upstream.seen) == 2
    slow = client(upstream(Reply(200, 5), OK), timeout=2)
    with pytest.raises((hub.InferenceTimeoutError, openai.APITimeoutError)):
        policy(retry_timeouts=False).call(slow)
    nobody = client("http://127.0.0.1:9/v1")
    with pytest.raises((httpx2.ConnectError, openai.APIConnectionError)) as caught:
        policy(attempts=2).call(nobody)
    assert "gave up after 2 requests" in caught.value.__notes__[-1]


def test_the_class_without_a_response(upstream):
    said = {"error": "Model is overloaded", "error_type": "overloaded"}
    overloaded = refused(said, Retry_After_Ms="100")
    url = upstream(overloaded).replace("/v1", "/v1/chat/completions")
    client = InferenceClient(model=url, timeout=5)
    with pytest.raises(hub.OverloadedError) as caught:
        policy(refusals=3).call(client.text_generation, "hello")
    assert len(upstream.seen) == 3 and "refused 3 times" in caught.value.__notes__[-1]


def test_offline_mode_is_not_a_connection_problem(monkeypatch, upstream):
    url = upstream(OK)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(hub.OfflineModeIsEnabled) as caught:
        policy().call(hf(url))
    assert not hasattr(caught.value, "__notes__") and upstream.seen == []


@CLIENTS
@pytest.mark.parametrize(
    "settings, words",
    [({"timeout": 5}, "s are left of timeout=5 s"), ({"max_wait": 20}, "max_wait is 20 s")],
)
def test_a_wait_that_does_not_fit_is_not_begun(client, settings, words, upstream):
    ask, started = client(upstream(refused(Retry_After="55"))), time.monotonic()
    one = policy(**settings)
    with pytest.raises((hub.HfHubHTTPError, openai.RateLimitError)) as caught:
        one.call(ask)
    assert time.monotonic() - started < 50 and len(upstream.seen) == 1
    assert words in caught.value.__notes__[-1] and "a wait of 55" in caught.value.__notes__[-1]
    with pytest.raises(NotSent, match="a wait of 5[45]"):
        one.call(ask)
    assert len(upstream.seen) == 1, "the others know already"


def test_a_wait_as_long_as_the_longest_allowed_fits(upstream):
    ask = hf(upstream(refused(Retry_After="1"), OK))
    assert policy(max_wait=1).call(ask).choices


def test_waiting_in_line_ends_at_the_deadline():
    door = RateGate(1)
    door.reserve(retry.Ticket())  # somebody's request that never comes back
    one, started = RetryPolicy(gate=door, timeout=0.3), time.monotonic()
    with pytest.raises(NotSent, match="0.3 s in line behind calls"):
        one.call(print)
    assert time.monotonic() - started > 0.25 and door.line == []


def test_cancelling_ends_a_wait_at_once(upstream):
    one = policy()

    async def main():
        ask = hf(upstream(refused(Retry_After="60")), asynchronous=True)
        task = asyncio.ensure_future(one.acall(ask))
        await asyncio.sleep(0.4)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    assert asyncio.run(main()) < 30, "and not after the 60 seconds that it was to wait"
    assert (one.gate.flying, one.gate.line) == (0, []), "its place is free again"


def test_interrupting_the_kernel_ends_a_wait():
    one = RetryPolicy(sleep=lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt))
    one.gate.pause(9)
    with pytest.raises(KeyboardInterrupt):
        one.call(print)
    assert (one.gate.flying, one.gate.line) == (0, [])


def test_threads_and_tasks_share_one_gate(upstream):
    limit = {"RateLimit": '"api";r=0;t=1', "RateLimit-Policy": '"fixed window";"api";q=100;w=1'}
    url, one = upstream(OK, OK, OK, Reply(429, 0.0, limit), OK), policy()
    ask, answers = hf(url), []

    def work():
        for _ in range(5):
            answers.append(one.call(ask))

    async def tasks():
        ask = oa(url, asynchronous=True)
        return await asyncio.gather(*(one.acall(ask) for _ in range(10)))

    answers += ways.in_threads(work, work, lambda: asyncio.run(tasks()))[2]
    (refusal,) = [moment for moment, status in upstream.seen if status == 429]
    early = [moment for moment, _ in upstream.seen if refusal < moment < refusal + 1]
    assert len(answers) == 20 and len(upstream.seen) == 21
    # What was under way, and what started before the refusal was read; without a gate all 17.
    assert len(early) < 14
    assert (one.gate.quota, one.gate.window) == (100, 1.0)
    assert (one.gate.flying, one.gate.line) == (0, [])


ONCE = [way for way in ways.WAYS if not way.stream]


@pytest.mark.parametrize("make", [*ONCE, httpx2.Client, httpx.Client], ids=str)
def test_a_watched_client_is_never_refused(make, upstream):
    url = upstream(Service(Rules(quota=3, window=1.0, phase=0.5, latency=0.005)))
    one, asynchronous = policy(max_concurrency=1), make in ONCE and make.asynchronous
    if make in ONCE:
        own = {"timeout": 5} if make.of == "hub" else {"max_retries": 0}
        client = one.watch(one.watch(make.client(url, **own)))
        ask = partial(ways.method(client), **ASKED)
    else:
        ask = partial(one.watch(make()).post, f"{url}/chat/completions", json=ASKED)

    async def five():
        return [await one.acall(ask) for _ in range(5)]

    asyncio.run(five()) if asynchronous else [one.call(ask) for _ in range(5)]
    assert statuses(upstream) == [200] * 5
    assert one.gate.quota == 3


def test_what_cannot_be_watched_says_so():
    with pytest.raises(TypeError, match="cannot watch object"):
        policy().watch(object())


def test_gather_limited_keeps_order_and_bound(upstream):
    under_way, seen = set(), []

    async def one_call(number):
        under_way.add(number)
        seen.append(len(under_way))
        await asyncio.sleep(0.002)
        under_way.remove(number)
        return number

    calls = (partial(one_call, number) for number in range(30))
    answers = asyncio.run(gather_limited(policy(max_concurrency=4), calls))
    assert answers == list(range(30)) and max(seen) == 4


def test_gather_limited_stops_at_the_first_final_error():
    begun = []

    async def call(number):
        begun.append(number)
        await asyncio.sleep(0.01)
        if number == 3:
            raise ValueError("three")

    calls = [partial(call, number) for number in range(50)]
    with pytest.raises(ValueError, match="three"):
        asyncio.run(gather_limited(policy(max_concurrency=2), calls))
    assert len(begun) < 8

    with contextlib.closing(call(1)) as coroutine:
        with pytest.raises(TypeError, match="cannot be started twice"):
            asyncio.run(gather_limited(policy(), [coroutine]))


def words(chunks):
    return [chunk.choices[0].delta.content for chunk in chunks]


STREAMS = {
    "before it begins": [refused(Retry_After_Ms="100"), broken(500), OK],
    "without a chunk": [Reply(200, 0.0, breaks_after=0), OK],
}


@CLIENTS
@pytest.mark.parametrize("trouble", STREAMS)
def test_a_stream_is_tried_again_until_its_first_chunk(client, trouble, upstream):
    one, got = policy(), []
    chunks = one.stream(client(upstream(*STREAMS[trouble])), stream=True)
    assert words(chunks) == WORDS and len(upstream.seen) == len(STREAMS[trouble])
    asyncio.run(ask_for_stream(one, client(upstream(*STREAMS[trouble]), asynchronous=True), got))
    assert words(got) == WORDS and len(upstream.seen) == len(STREAMS[trouble])
    assert one.gate.flying == 0


@CLIENTS
def test_a_stream_that_breaks_later_is_raised_with_what_had_arrived(client, upstream):
    one, got, breaks = policy(), [], Reply(200, 0.0, breaks_after=2)
    with pytest.raises(LOST) as caught:
        for chunk in one.stream(client(upstream(breaks, OK)), stream=True):
            got.append(chunk)
    assert words(got) == words(caught.value.partial) == WORDS[:2] and len(upstream.seen) == 1
    assert "broke after 2 chunks" in caught.value.__notes__[-1]
    ask = client(upstream(breaks, OK), asynchronous=True)
    with pytest.raises(LOST) as caught:
        asyncio.run(ask_for_stream(one, ask, []))
    assert words(caught.value.partial) == WORDS[:2] and one.gate.flying == 0


@CLIENTS
def test_a_stream_left_early_is_closed_and_gives_its_place_back(client, upstream):
    one, url = policy(max_concurrency=1), upstream(OK)
    for _ in range(3):
        next(iter(one.stream(client(url), stream=True)))
        gc.collect()
        assert one.gate.flying == 0

    async def main():
        chunks = one.astream(client(url, asynchronous=True), stream=True)
        async with contextlib.aclosing(chunks):
            await anext(chunks)
        return one.gate.flying

    assert asyncio.run(main()) == 0


def test_a_closed_stream_closes_its_source():
    closed = []

    def source():
        try:
            yield from "abc"
        finally:
            closed.append("sync")

    async def asource():
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("async")

    async def main():
        async with contextlib.aclosing(policy().astream(asource)) as chunks:
            await anext(chunks)

    with contextlib.closing(policy().stream(source)) as chunks:
        next(chunks)
    asyncio.run(main())
    assert closed == ["sync", "async"]


def flaky(failures):
    left = iter(range(failures))

    def fail():
        for _ in left:
            raise ConnectionResetError

    return fail


def test_the_decorator_keeps_the_kind_of_function():
    one, fail = policy(), [flaky(2) for _ in range(4)]

    @one
    def function(x, max_retries=1):
        """Says x."""
        fail[0]()
        return x, max_retries

    @one
    async def coroutine(x):
        fail[1]()
        return x

    @one
    def generator(x):
        fail[2]()
        yield from x

    @one
    async def agenerator(x):
        fail[3]()
        for y in x:
            yield y

    async def collect():
        return await coroutine(2), [y async for y in agenerator("ab")]

    assert function(1, max_retries=7) == (1, 7)
    assert (function.__name__, function.__doc__) == ("function", "Says x.")
    assert list(generator("ab")) == ["a", "b"]
    assert asyncio.run(collect()) == (2, ["a", "b"])
    assert inspect.iscoroutinefunction(coroutine) and inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(agenerator)


def test_no_keyword_of_its_own_is_in_the_way():
    names = ["func", "self", "timeout", "attempts", "max_retries", "policy"]
    assert retry.call_with_retry(lambda **kw: sorted(kw), **dict.fromkeys(names)) == sorted(names)


def test_two_layers_are_noticed_before_the_call_and_after_a_failure(upstream):
    client = openai.OpenAI(base_url=upstream(broken(500)), api_key="k", max_retries=1)
    one = policy(attempts=1)
    create = client.chat.completions.create
    words = r"openai retries 1 times by itself.*OpenAI\(max_retries=0\)"
    with pytest.warns(UserWarning, match=words), pytest.raises(openai.APIError):
        one.call(create, **ASKED)
    words = r"with_options\(max_retries=0\)"
    with pytest.warns(UserWarning, match=words), pytest.raises(openai.InternalServerError):
        one(lambda: create(**ASKED))()
    with warnings.catch_warnings(), pytest.raises(openai.InternalServerError):
        warnings.simplefilter("error")
        alone = client.with_options(max_retries=0)
        one.call(alone.chat.completions.create, **ASKED)


def test_a_policy_inside_a_policy_does_not_multiply(upstream):
    ask, outer, inner = hf(upstream(broken(500))), policy(attempts=3), policy(attempts=3)
    with pytest.raises(hub.HfHubHTTPError):
        outer.call(inner.call, ask)
    assert len(upstream.seen) == 3


def test_the_ready_made_clients(monkeypatch):
    assert retry.hf_client().timeout == 60 and retry.hf_client(timeout=5).timeout == 5
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    client = retry.openai_client()
    assert (client.timeout, client.max_retries) == (60, 0)
    assert str(client.base_url) == ways.ROUTER + "/" and client.api_key.startswith("hf_")
    own = {"api_key": "k", "base_url": "http://127.0.0.1:1/v1", "max_retries": 3}
    assert retry.openai_client(**own).max_retries == 3
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(ValueError, match="HF_TOKEN"):
        retry.openai_client()


def test_each_wait_is_one_log_line_and_one_event(upstream, logged):
    events, ask = [], hf(upstream(refused(Retry_After="1"), OK))
    policy(on_wait=events.append).call(ask)
    (line,) = logged()
    said = r"throttled: waiting 1\.0 s, until [^,]{8},.*after request 1 of this call"  # 12:34:56
    assert re.fullmatch(said, line)
    (event,) = events
    assert (event.kind, event.status, event.request) == ("throttled", 429, 1)
    assert 1 <= event.seconds < 1.1


def test_short_waits_are_told_too():
    fail, waits = flaky(3), []
    policy(base=0.0001, on_wait=waits.append).call(fail)
    told = [(wait.kind, wait.request) for wait in waits]
    assert told == [("transient", 1), ("transient", 2), ("transient", 3)]


def test_one_pause_of_many_calls_is_logged_once(logged):
    one = RetryPolicy()
    one.gate.pause(0.3)
    assert ways.in_threads(*[partial(one.call, int)] * 6) == [0] * 6
    assert len(logged()) == 1


def test_a_notebook_shows_long_waits_and_nothing_in_virtual_time(monkeypatch):
    shown, now = [], [0.0]
    handle = SimpleNamespace(update=lambda text, raw: shown.append(text["text/plain"]))
    monkeypatch.setattr(countdown, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: handle)
    one = RetryPolicy(clock=lambda: sum(now), sleep=now.append)
    one.gate.pause(30)
    assert one.call(int) == 0 and sum(now) >= 30
    assert shown == []
    real = RetryPolicy()
    real.gate.pause(2.3)
    real.call(int)
    assert (shown[0], shown[-1]) == ("waiting for the service: 2 s", "")  # and disappears


def test_a_clock_that_replaces_time_is_followed_and_nothing_is_shown(monkeypatch):
    shell = SimpleNamespace(kernel=None)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert countdown.in_notebook()
    one, seconds = RetryPolicy(), time.monotonic() + 1000
    one.gate.pause(999)
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    assert one.call(int) == 0 and not countdown.in_notebook()


def test_the_overhead_is_small():
    one, calls = RetryPolicy(), 3000
    # The processor's seconds: a busy machine does not count.
    work = Timer(lambda: [one.call(int) for _ in range(calls)], timer=time.process_time)
    best = min(work.repeat(5, number=1)) / calls
    assert best < 60e-6, f"{best * 1e6:.1f} microseconds a call"


def test_a_stream_makes_room_with_its_first_chunk():
    gate, woken = RateGate(2), []
    gate.probing = True
    first, second = Ticket(), Ticket(wake=lambda: woken.append(True))
    assert gate.reserve(first) == 0 and gate.reserve(second) == float("inf")
    gate.ok(first)
    assert woken and gate.reserve(second) == 0
