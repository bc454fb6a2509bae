"""The wire: who is intercepted, answers in time, and requests sent on over a real socket."""

import asyncio
import contextvars
import importlib
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx2
import pytest
import standin
from ways import CHAT as URL
from ways import in_threads, messages

from helpers import session as sessions
from helpers import start, wire
from helpers.wire import Forward, Plan


def replaceable():
    """What of httpx2's and the standard library's is replaced while somebody answers."""
    transports = httpx2.HTTPTransport.handle_request, httpx2.AsyncHTTPTransport.handle_async_request
    return *transports, threading.Thread.start, ThreadPoolExecutor.submit


UNTOUCHED = replaceable()


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    assert wire.current() is None and replaceable() == UNTOUCHED


async def aget(url=URL):
    async with httpx2.AsyncClient() as client:
        return await client.get(url)


def hello(request=None, status=200, chunks=((0.0, b"hello"),), **more):
    return Plan(status, {"content-type": "text/plain"}, chunks, **more)


OURS = """huggingface.co router.huggingface.co api.endpoints.huggingface.cloud v3b.fal.media
    endpoints.huggingface.co x1.us-east-1.aws.endpoints.huggingface.cloud
    api-inference.huggingface.co"""
OTHERS = """example.org huggingface.co.evil.example nothuggingface.co 127.0.0.1
    evilendpoints.huggingface.cloud api.together.xyz"""


@pytest.mark.parametrize("host", (OURS + " " + OTHERS).split())
def test_whose_requests_are_intercepted(host):
    assert wire.is_service(host) is (host in OURS.split())


def test_installed_and_removed_leaves_httpx2_exactly_as_it_was():
    one, two = hello, lambda request: hello(request, status=201)
    early = httpx2.Client()
    wire.install(one)
    wire.install(two)
    assert early.get(URL).status_code == 201  # the last installed answers
    assert wire.current() is two
    wire.remove(two)
    assert early.get(URL).text == "hello"
    wire.remove(lambda request: None)  # never installed
    wire.remove(one)
    wire.remove(one)
    assert wire.current() is None and replaceable() == UNTOUCHED


def test_what_somebody_else_had_put_there_comes_back(monkeypatch):
    theirs = lambda self, request: httpx2.Response(418)
    with monkeypatch.context() as patch:
        patch.setattr(httpx2.HTTPTransport, "handle_request", theirs)
        wire.install(hello)
        assert httpx2.get("http://127.0.0.1:9/").status_code == 418  # not the service's: theirs
        wire.remove(hello)
        assert httpx2.HTTPTransport.handle_request is theirs


def test_other_hosts_are_untouched(handled, stand_in):
    asked = []
    handled(lambda request: asked.append(request) or hello())
    assert httpx2.get(f"{stand_in.url}/health").json() == {"status": "ok"}
    own = httpx2.MockTransport(lambda request: httpx2.Response(204))
    assert httpx2.Client(transport=own).get(URL).status_code == 204
    assert asyncio.run(aget(f"{stand_in.url}/health")).status_code == 200
    assert asked == []


def test_the_handler_sees_the_whole_request(handled):
    seen = []
    note = lambda request: seen.append((request.method, str(request.url), request.content))
    handled(lambda request: note(request) or hello())
    httpx2.post(URL + "?a=1", content=iter([b"one ", b"two"]))
    assert seen == [("POST", URL + "?a=1", b"one two")]


STREAM = [(0.05, b"a"), (0.10, b"b"), (0.20, b"c")]


def test_pieces_arrive_when_they_did_sync(handled):
    handled(lambda request: hello(chunks=STREAM, headers_at=0.04))

    def measure():
        started, arrived = time.perf_counter(), []
        with http.stream("GET", URL) as response:
            arrived.append(time.perf_counter() - started)
            for _ in response.iter_raw():
                arrived.append(time.perf_counter() - started)
                time.sleep(0.02)  # a slow reader does not shift what comes later
        return zip(arrived, [0.04, *[meant for meant, _ in STREAM]], strict=True)

    http = httpx2.Client()
    standin.in_time(measure)


def test_pieces_arrive_when_they_did_async_and_side_by_side(handled):
    handled(lambda request: hello(chunks=STREAM, headers_at=0.04))

    async def read(client):
        started, arrived = time.perf_counter(), []
        async with client.stream("GET", URL) as response:
            async for _ in response.aiter_raw():
                arrived.append(time.perf_counter() - started)
        return zip(arrived, [meant for meant, _ in STREAM], strict=True)

    async def five():
        async with httpx2.AsyncClient() as client:
            return await asyncio.gather(*[read(client) for _ in range(5)])

    standin.in_time(lambda: [pair for pairs in asyncio.run(five()) for pair in pairs])


def test_a_wrong_pace_would_be_noticed(handled):
    handled(lambda request: hello(chunks=STREAM, pace=1.5))

    def measure():
        started = time.perf_counter()
        http.get(URL + "?whole")
        return [(time.perf_counter() - started, STREAM[-1][0])]

    http = httpx2.Client()
    with pytest.raises(AssertionError, match="always later"):
        standin.in_time(measure, tries=2)


def test_no_waiting_at_pace_0(handled, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"slept {seconds} s"))
    handled(lambda request: hello(chunks=[(100.0, b"a"), (200.0, b"b")], headers_at=50.0, pace=0.0))
    assert httpx2.get(URL).content == b"ab"


def test_a_slow_whole_answer_waits_too(handled):
    handled(lambda request: hello(chunks=[(0.1, b"late")]))
    started = time.perf_counter()
    httpx2.get(URL)
    assert time.perf_counter() - started >= 0.1


def test_delivered_is_what_the_client_took(handled):
    taken = []
    plan = hello(chunks=[(0.0, b"a"), (0.0, b"b"), (0.0, b"c")], taken=taken.append)
    handled(lambda request: plan)
    with httpx2.stream("GET", URL) as response:
        assert next(response.iter_raw()) == b"a"
    assert taken == [(0.0, b"a")] and len(plan.chunks) == 3


def test_a_stream_that_is_read_again_goes_on_where_it_was(handled, sent_on):
    """openai reads what is left after [DONE], by iterating once more over the response's stream."""
    taken = []
    plan = hello(chunks=[(0.0, b"a"), (0.0, b"b")], taken=taken.append)
    handled(lambda request: plan)
    notes = sent_on()

    async def twice(text, take):
        async with httpx2.AsyncClient() as client:
            async with client.stream("POST", URL, json=ask(text, True)) as response:
                pieces = aiter(response.stream)
                first = [await anext(pieces) for _ in range(take)]
                return first, [piece async for piece in response.stream]

    first, rest = asyncio.run(twice("hello", 2))
    assert len(first) == 2 and rest[-1].endswith(b"[DONE]\n\n")
    assert notes[0].breaks is None
    assert b"".join(chunk for _, chunk in notes[0].chunks) == b"".join(first + rest)
    wire.remove(wire.current())
    assert asyncio.run(twice("x", 2)) == ([b"a", b"b"], []) and len(taken) == 2
    assert asyncio.run(twice("x", 1)) == ([b"a"], [b"b"])


def test_a_connection_that_never_was_and_one_that_breaks(handled):
    lost = httpx2.ReadError("connection reset")
    answers = [Plan(0, {}, [], breaks=httpx2.ConnectError("refused")), hello(breaks=lost)] * 2
    handled(lambda request: answers.pop(0))
    with pytest.raises(httpx2.ConnectError, match="refused") as error:
        httpx2.get(URL)
    assert str(error.value.request.url) == URL
    with httpx2.stream("GET", URL) as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"hello"
        with pytest.raises(httpx2.ReadError):
            next(pieces)
    for error in (httpx2.ConnectError, httpx2.ReadError):
        with pytest.raises(error):
            asyncio.run(aget())


# ---- sent on over a real socket ----------------------------------------------------------------


@pytest.fixture
def sent_on(handled, stand_in):
    """`sent_on(**how)` has every request sent on to the stand-in, and lists what comes back."""

    def begin(port=stand_in.port, **how):
        def handler(request):
            url = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
            what = {"stream": request.stream, "extensions": request.extensions}
            copy = httpx2.Request(request.method, url, headers=request.headers, **what)
            return Forward(copy, notes.append, **how)

        notes = []
        handled(handler)
        return notes

    return begin


def ask(said, stream=False):
    return {"model": "m", "messages": messages(said), "stream": stream}


def post(kind, said, stream=False, take=1000):
    """POST one chat request with a sync or an async client; (status, headers, pieces read)."""

    def sync():
        with httpx2.Client() as http, http.stream("POST", URL, json=ask(said, stream)) as response:
            pieces = [piece for piece, _ in zip(response.iter_raw(), range(take))]
            return response.status_code, response.headers, pieces

    async def asynchronous():
        asked = ask(said, stream)
        async with httpx2.AsyncClient() as http, http.stream("POST", URL, json=asked) as response:
            pieces = []
            async for piece in response.aiter_raw():
                pieces.append(piece)
                if len(pieces) == take:
                    break
            return response.status_code, response.headers, pieces

    return sync() if kind == "sync" else asyncio.run(asynchronous())


both_kinds = pytest.mark.parametrize("kind", ["sync", "async"])
HOW = {"plain": {}, "direct": {"direct": True}, "drain": {"drain": True}}
HOW["drain-direct"] = HOW["drain"] | HOW["direct"]
straight_or_not = pytest.mark.parametrize("how", HOW.values(), ids=HOW)
ANSWERS = [("hello", 200, b"You said: hello"), ("gzip please", 200, b"You said: gzip please")]
ANSWERS += [("fail", 500, b"the model fell over")]


@both_kinds
@straight_or_not
@pytest.mark.parametrize("said, status, text", ANSWERS)
def test_forward_is_transparent(sent_on, kind, how, said, status, text):
    notes = sent_on(**how)
    got, headers, pieces = post(kind, said)
    assert got == status and headers["x-answered-by"] == "stand-in/model"
    assert text in b"".join(pieces) and "content-encoding" not in headers
    [answer] = notes
    assert (answer.status, answer.breaks) == (status, None)
    assert b"".join(chunk for _, chunk in answer.chunks) == b"".join(pieces)
    assert 0 < answer.headers_at <= answer.chunks[0][0]


@both_kinds
@pytest.mark.parametrize("drain", [False, True])
def test_forward_notes_when_each_piece_came(sent_on, kind, drain):
    notes = sent_on(drain=drain)
    started = time.perf_counter()
    post(kind, "slow", stream=True)
    took = time.perf_counter() - started
    [answer] = notes
    moments = [moment for moment, _ in answer.chunks]
    gaps = [later - earlier for earlier, later in zip(moments, moments[1:])]
    assert len(moments) == len(standin.WORDS) + 2
    assert all(gap > 0.01 for gap in gaps) and sum(gaps) > 0.15, gaps
    # Drained first, then handed on without waiting again.
    assert moments[-1] <= took < moments[-1] + 0.9 * sum(gaps) + 0.2


@both_kinds
def test_a_stream_closed_early_is_noted_as_far_as_it_was_read(sent_on, kind):
    notes = sent_on()
    post(kind, "slow", stream=True, take=2)
    assert len(notes) == 1 and 2 <= len(notes[0].chunks) <= 3  # httpx2 may hold one piece more


@both_kinds
def test_a_stream_closed_early_is_drained_for_a_recording(sent_on, kind):
    taken = []
    notes = sent_on(drain=True, taken=taken.append)
    post(kind, "hello", stream=True, take=1)
    [answer] = notes
    assert answer.chunks[-1][1].endswith(b"data: [DONE]\n\n")
    assert b"[DONE]" not in b"".join(chunk for _, chunk in taken) and taken


def test_a_stream_nobody_reads_or_closes_is_still_drained(sent_on):
    notes = sent_on(drain=True)
    request = httpx2.Request("POST", URL, json=ask("hello", True))
    unread = httpx2.Client().send(request, stream=True)
    assert len(notes) == 1 and b"[DONE]" in notes[0].chunks[-1][1] and not unread.is_closed


@both_kinds
@straight_or_not
def test_nobody_there(sent_on, kind, how):
    notes = sent_on(9, **how)
    with pytest.raises(httpx2.ConnectError):
        post(kind, "hello")
    assert [(note.status, type(note.breaks)) for note in notes] == [(0, httpx2.ConnectError)]


@both_kinds
@straight_or_not
def test_a_connection_lost_in_the_middle(sent_on, kind, how):
    notes = sent_on(**how)
    with pytest.raises(httpx2.RemoteProtocolError):
        post(kind, "break", stream=True)
    [answer] = notes
    assert answer.status == 200 and len(answer.chunks) == 1
    assert isinstance(answer.breaks, httpx2.RemoteProtocolError)


def test_direct_ignores_the_environments_proxies(sent_on, monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    sent_on(direct=True)
    assert post("sync", "hello")[0] == post("async", "hello")[0] == 200
    wire.remove(wire.current())
    sent_on()  # and without it the proxy is asked
    with pytest.raises(httpx2.HTTPError):
        post("sync", "hello")


def test_cancelled_while_it_waits(sent_on):
    notes = sent_on()

    async def main():
        async with httpx2.AsyncClient() as client:
            task = asyncio.create_task(client.post(URL, json=ask("slow", True)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert len(notes) == 1


# ---- who answers: in front, for some code only -------------------------------------------------


def says(text):
    return lambda request: hello(chunks=[(0.0, text.encode())])


def ask_who():
    return httpx2.Client().get(URL).text


def in_thread(function):
    """`function()` in a thread that is started here."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    thread.join()
    return answers[0]


def test_in_front_answers_the_code_inside_and_nested_the_innermost():
    one, two = says("one"), says("two")
    with wire.in_front(one):
        assert ask_who() == "one" and wire.current() is one and wire.behind(one) is None
        with wire.in_front(two):
            assert ask_who() == "two" and wire.behind(two) is one
        assert ask_who() == "one"
    assert wire.current() is None


def test_what_is_installed_inside_a_scope_stands_behind_it(handled):
    front, session = says("front"), says("session")
    with wire.in_front(front):
        handled(session)
        assert ask_who() == "front" and wire.behind(front) is session
    assert ask_who() == "session" and wire.behind(front) is session


def test_two_threads_in_front_at_once_do_not_meet(handled):
    handled(says("session"))
    meet = threading.Barrier(3)

    def work():
        meet.wait(60)
        answers = {ask_who() for _ in range(20)}
        meet.wait(60)
        return answers

    def inside(name):
        with wire.in_front(says(name)):
            return work()

    answers = in_threads(partial(inside, "one"), partial(inside, "two"), work)
    assert answers == [{"one"}, {"two"}, {"session"}]


def test_a_thread_started_inside_is_inside_and_its_threads_are():
    class Asks(threading.Thread):
        def run(self):
            self.answer = ask_who()

    with wire.in_front(says("front")):
        assert in_thread(ask_who) == "front"
        assert in_thread(lambda: in_thread(ask_who)) == "front"
        asks = Asks()
        asks.start()
        asks.join()
        assert asks.answer == "front"


def test_a_thread_that_outlives_its_scope_asks_who_is_there_then(handled):
    go, answers = threading.Event(), []
    handled(says("session"))
    with wire.in_front(says("front")):
        thread = threading.Thread(target=lambda: go.wait(60) and answers.append(ask_who()))
        thread.start()
    go.set()
    thread.join()
    assert answers == ["session"]


def test_a_pool_older_than_the_scope_works_for_both_sides(handled):
    meet, answers = threading.Barrier(2), []
    handled(says("session"))
    with ThreadPoolExecutor(1) as old, ThreadPoolExecutor(1) as new:
        assert old.submit(ask_who).result() == "session"
        outside = threading.Thread(target=lambda: (meet.wait(60), answers.append(old_and_new())))
        old_and_new = lambda: [pool.submit(ask_who).result() for pool in (old, new)]
        outside.start()
        with wire.in_front(says("front")):
            assert old_and_new() == ["front", "front"]  # new's worker is started in here
            assert list(old.map(lambda _: ask_who(), range(3))) == ["front"] * 3
            meet.wait(60)
            outside.join()
        assert answers == [["session", "session"]]
        assert old_and_new() == ["session", "session"]


def test_tasks_are_inside_and_two_at_once_do_not_meet():
    async def scoped(name):
        with wire.in_front(says(name)):
            await asyncio.sleep(0.01)
            tasks = [asyncio.create_task(aget()) for _ in range(3)]
            own = [*await asyncio.gather(*tasks), await aget()]
            return {answer.text for answer in own} | {await asyncio.to_thread(ask_who)}

    async def both():
        return await asyncio.gather(scoped("one"), scoped("two"))

    assert asyncio.run(both()) == [{"one"}, {"two"}]


def test_a_generator_resumed_outside_asks_outside(handled):
    handled(says("session"))
    generator = (ask_who() for _ in range(2))
    with wire.in_front(says("front")):
        assert next(generator) == "front"
    assert next(generator) == "session"

    def scoped():
        with wire.in_front(says("mine")):
            yield ask_who()

    started = scoped()
    assert in_thread(lambda: next(started)) == "mine"
    started.close()  # left in another context than it was entered in
    assert ask_who() == "session"


def test_left_in_another_order_than_entered(handled):
    one, two = wire.in_front(says("one")), wire.in_front(says("two"))
    handled(session := says("session"))
    one.__enter__()
    two.__enter__()
    wire.remove(session)
    one.__exit__(None, None, None)
    assert ask_who() == "two" and in_thread(ask_who) == "two"
    two.__exit__(None, None, None)


def test_context_goes_along_into_threads_only_while_somebody_asks_for_it():
    name = contextvars.ContextVar("name", default="nobody")
    name.set("somebody")
    pool = ThreadPoolExecutor(1)
    assert pool.submit(name.get).result() == "nobody"
    alone = threading.Thread(target=lambda: go.wait(60) and seen.append(in_thread(name.get)))
    go, seen = threading.Event(), []
    alone.start()  # in no scope, and neither is the thread that it starts
    with wire.carried():
        assert in_thread(name.get) == "somebody"
        assert pool.submit(name.get).result() == "somebody"
        with ThreadPoolExecutor(1) as other:
            assert list(other.map(lambda _: name.get(), range(2))) == ["somebody"] * 2
        go.set()
        alone.join()
    assert seen == ["nobody"]
    if not getattr(sys.flags, "thread_inherit_context", 0):
        assert in_thread(name.get) == "nobody" == pool.submit(name.get).result()
    pool.shutdown()


def test_who_watches_is_told_of_the_async_clients_built_inside_and_of_no_others():
    was, outer, inner = httpx2.AsyncClient.__init__, [], []
    with wire.watching(outer.append):
        one = httpx2.AsyncClient()
        with wire.watching(inner.append):
            two = in_thread(httpx2.AsyncClient)
            contextvars.Context().run(httpx2.AsyncClient)
    assert (outer, inner) == ([one, two], [two]) and httpx2.AsyncClient.__init__ is was


def test_who_carries_can_start_the_threads_himself():
    told = []

    def starting(thread, start):
        told.append(thread.name)
        run = thread.run
        thread.run = lambda: (told.append(name.get()), run())
        name.set("the starter's")
        start(thread)

    name = contextvars.ContextVar("name", default="nobody")
    with wire.carried(starting), wire.in_front(says("front")):
        thread = threading.Thread(target=lambda: told.append(ask_who()), name="mine")
        thread.start()
        thread.join()
    assert told == ["mine", "the starter's", "front"]
    with pytest.raises(RuntimeError, match="once"), wire.carried():
        thread.start()


@pytest.fixture
def reloads():
    """Afterwards the classes are again those that other modules know."""
    modules = wire, wire.scopes, sessions
    before = [dict(vars(module)) for module in modules]
    yield lambda: [importlib.reload(module) for module in modules]
    for module, names in zip(modules, before):
        vars(module).update(names)


def test_reloaded_while_somebody_answers(handled, reloads):
    """A reload makes new functions and classes; what stood in line stays there, and can leave."""
    handled(session := says("session"))
    with wire.in_front(says("front")):
        reloads()
        assert ask_who() == "front" and in_thread(ask_who) == "front"
    assert ask_who() == "session" and wire.current() is session
    wire.remove(session)
    assert wire.current() is None


def test_reloaded_while_a_session_is_on(reloads):
    first = start("01_first_call")
    reloads()
    assert wire.current() is first
    second = sessions.start("01_first_call")
    assert wire.current() is second
    second.stop()


def test_a_thread_that_fails_tells_it_where_it_is(monkeypatch):
    """So that a check keeps what a learner's thread says out of the notebook."""
    where, told = contextvars.ContextVar("where", default="outside"), []
    monkeypatch.setattr(threading, "excepthook", lambda it: told.append((where.get(), it.thread)))
    with wire.carried():
        where.set("inside")
        thread = threading.Thread(target=int, args=("x",))
        thread.start()
        thread.join()
    assert told == [("inside", thread)]
