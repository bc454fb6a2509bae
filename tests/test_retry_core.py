"""What helpers.retry decides: errors, headers, gate and budget. Time is virtual: nothing sleeps."""

import ast
import math
import random
import shutil
import ssl
import statistics
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import child
import httpx
import httpx2
import openai
import pytest
from huggingface_hub import errors as hub
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import floats, integers

from authoring.bench.retry.simulate import Simulation
from authoring.bench.retry.world import Rules, Service, least_seconds
from helpers import retry
from helpers.retry import NotSent, RateGate, RetryBudget, RetryPolicy, Ticket, Verdict, classify
from helpers.retry.run import Run

REQUEST = httpx2.Request("POST", "https://router.huggingface.co/v1/chat/completions")


def response(status, headers=None, body=None):
    return httpx2.Response(status, headers=headers, json=body or {}, request=REQUEST)


def hf_error(status, headers=None, body=None, text="boom"):
    return hub.HfHubHTTPError(text, response=response(status, headers, body))


def openai_error(status, headers=None, body=None):
    client = openai.OpenAI(api_key="k", max_retries=0)
    return client._make_status_error("boom", body=body, response=response(status, headers, body))


def caused(error, cause):
    error.__cause__ = cause
    return error


def of_kind(table):
    """One case for each of {kind: [what is of it, …]}."""
    cases = [(kind, one) for kind, these in table.items() for one in these]
    name = lambda value: type(value).__name__ if isinstance(value, Exception) else None
    return pytest.mark.parametrize("kind, given", cases, ids=name)


BY_STATUS = {
    "throttled": [429],
    "transient": [408, 425, 500, 502, 503, 504, 520, 522, 524, 529, 599],
    "fatal": [400, 401, 402, 403, 404, 405, 409, 410, 413, 418, 422, 501, 505],
}


@pytest.mark.parametrize("make", [hf_error, openai_error])
@of_kind(BY_STATUS)
def test_by_status(make, kind, given):
    verdict = classify(make(given))
    assert (verdict.kind, verdict.status) == (kind, given)


def each(*classes):
    return [one("said") for one in classes]


UNREACHED = openai.APIConnectionError
BY_TYPE = {
    "timeout": [
        *each(httpx2.ReadTimeout, httpx.ReadTimeout, httpx2.WriteTimeout, TimeoutError),
        caused(hub.InferenceTimeoutError("t"), httpx2.ReadTimeout("t")),
        openai.APITimeoutError(request=REQUEST),
    ],
    "transient": [
        *each(httpx2.ConnectTimeout, httpx.PoolTimeout, httpx2.ConnectError, httpx.ConnectError),
        *each(httpx2.ReadError, httpx2.RemoteProtocolError, httpx.RemoteProtocolError),
        *each(ConnectionResetError, BrokenPipeError),
        caused(hub.InferenceTimeoutError("t"), httpx2.ConnectTimeout("t")),
        UNREACHED(request=REQUEST),
        caused(UNREACHED(request=REQUEST), httpx2.ConnectError("c")),
    ],
    "throttled": each(hub.OverloadedError),
    "fatal": [
        *each(hub.OfflineModeIsEnabled, hub.ValidationError, hub.GenerationError),
        *each(httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL),
        caused(UNREACHED(request=REQUEST), httpx2.UnsupportedProtocol("ftp")),
        # A bad certificate is not a connection problem.
        caused(httpx2.ConnectError("c"), ssl.SSLCertVerificationError("self-signed")),
        *each(FileNotFoundError, NotSent),
        tarfile.ReadError("a name that network errors have, too"),
        ValueError("429 rate limit, 503 loading"),
        KeyError("timeout"),
        hf_error(401, text="Request ID: Root=1-67dd4b42-429503; model is loading"),
    ],
}


@of_kind(BY_TYPE)
def test_by_type_and_never_by_text(kind, given):
    assert classify(given).kind == kind


def test_the_response_is_found_through_the_cause():
    error = caused(hub.OverloadedError("Model is overloaded"), hf_error(429, {"Retry-After": "7"}))
    assert classify(error)[:3] == ("throttled", 429, 7.0)


@pytest.mark.parametrize("code", sorted(retry.NO_MONEY))
def test_an_empty_account_is_not_a_rate_limit(code):
    said = {"error": {"code": code, "message": "m"}}
    assert classify(openai_error(429, body=said)).kind == "fatal"
    assert classify(hf_error(429, body={"error": {"type": code, "message": "m"}})).kind == "fatal"
    limit = {"error": {"code": "rate_limit_exceeded"}}
    assert classify(hf_error(429, body=limit)).kind == "throttled"


def test_the_server_may_forbid_a_retry():
    assert classify(hf_error(503, {"x-should-retry": "false"})).kind == "fatal"
    assert classify(hf_error(503, {"x-should-retry": "true"})).kind == "transient"


@pytest.mark.parametrize(
    "body, kind, estimate",
    [
        ({"error": "loading", "estimated_time": 3.5}, "loading", 3.5),
        ({"error": "loading"}, "transient", None),
        ({"estimated_time": "soon"}, "transient", None),
        ({"estimated_time": -1}, "transient", None),
        (None, "transient", None),
    ],
)
def test_a_cold_start_says_how_long(body, kind, estimate):
    verdict = classify(hf_error(503, body=body))
    assert (verdict.kind, verdict.estimate) == (kind, estimate)
    assert classify(hf_error(500, body={"estimated_time": 9})).kind == "transient"


def test_a_body_that_is_no_json_object_is_no_problem():
    for content in (b"<html>", b"[1]", b""):
        answer = httpx2.Response(503, content=content, request=REQUEST)
        assert classify(hub.HfHubHTTPError("m", response=answer)).kind == "transient"


@pytest.mark.parametrize(
    "headers, wait",
    [
        ({"RateLimit": '"api";r=12;t=200'}, None),  # requests were left: not the reason
        ({"RateLimit": '"api";r=0;t=200'}, 200),
        ({"RateLimit": '"api";r=0;t=20', "Retry-After": "25"}, 25),  # never less than asked
    ],
)
def test_how_long_a_limit_says(headers, wait):
    verdict = classify(hf_error(429, headers))
    assert (verdict.kind, verdict.wait) == ("throttled", wait)


DATE = "Tue, 01 Sep 2026 10:00:00 GMT"
SAID = {"30": 30, "0": 0, "-3": None, "nan": None, "soon": None, "": None, "1e999": math.inf}


@pytest.mark.parametrize(
    "headers, seconds",
    [
        *[({"Retry-After": said}, seconds) for said, seconds in SAID.items()],
        ({"retry-after": "1.5"}, 1.5),
        ({}, None),
        ({"retry-after-ms": "850", "Retry-After": "1"}, 0.85),
        ({"retry-after-ms": "x", "Retry-After": "2"}, 2),
        ({"Retry-After": "Tue, 01 Sep 2026 10:00:29 GMT", "Date": DATE}, 29),
        ({"Retry-After": "Tuesday, 01-Sep-26 10:00:29 GMT", "Date": DATE}, 29),
        ({"Retry-After": "Tue Sep  1 10:00:29 2026", "Date": DATE}, 29),
        ({"Retry-After": "Tue, 01 Sep 2026 09:00:00 GMT", "Date": DATE}, 0),
    ],
)
def test_retry_after(headers, seconds):
    assert retry.parse_retry_after(headers) == seconds
    assert retry.parse_retry_after(httpx2.Headers(headers)) == seconds


def test_a_date_without_a_date_header_is_compared_with_our_clock(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1788256800.0)  # 2026-09-01 10:00:00 UTC
    assert retry.parse_retry_after({"Retry-After": "Tue, 01 Sep 2026 10:00:29 GMT"}) == 29


BOTH = '"burst";q=10;w=1, "daily";q=500;w=86400'


@pytest.mark.parametrize(
    "ratelimit, policy, limit",
    [
        ('"api";r=0;t=55', '"fixed window";"api";q=500;w=300', (0, 55, 500, 300)),
        ('"api";t=55;r=0', '"api";q=500;w=300', (0, 55, 500, 300)),
        ('"day-limit";r=3;t=9', None, (3, 9, None, None)),
        ("api;r=3;t=9", "api;q=5;w=60", (3, 9, 5, 60)),
        ('"burst";r=5;t=1, "daily";r=0;t=900', BOTH, (0, 900, 500, 86400)),
        ('"daily";r=0;t=900,"burst";r=0;t=1', None, (0, 900, None, None)),
        ('"burst";r=5;t=1, "daily";r=3;t=900', None, (3, 900, None, None)),
        ('"a,b;c";r=1;t=2', '"a,b;c";q=7;w=8', (1, 2, 7, 8)),
        ('"api" ; r=1 ; t=2 ; pk=:cHsdsRa894==:', None, (1, 2, None, None)),
        ('"api";r=4', None, (4, None, None, None)),
        *[
            (none, None, None)
            for none in ("limit=10, remaining=1", '"api";r=x;t=y', '"api', "", None)
        ],
    ],
)
def test_ratelimit(ratelimit, policy, limit):
    pairs = (("RateLimit", ratelimit), ("RateLimit-Policy", policy))
    headers = {name: value for name, value in pairs if value is not None}
    assert retry.parse_ratelimit(headers) == (None if limit is None else retry.Limit(*limit))


HEADERS = ["retry-after", "retry-after-ms", "ratelimit", "ratelimit-policy", "date"]
ANYTHING = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]))
LIKELY = st.sampled_from(['"a";r=0;t=1', "3", DATE])


@given(st.dictionaries(st.sampled_from(HEADERS), LIKELY | ANYTHING))
@settings(max_examples=300, derandomize=True)
def test_no_header_makes_it_stumble(headers):
    wait, limit = retry.parse_retry_after(headers), retry.parse_ratelimit(headers)
    assert wait is None or wait >= 0
    assert limit is None or limit.remaining >= 0


def test_full_jitter_doubles_its_range_up_to_the_cap():
    for n in range(1, 2000, 37):
        assert 0 <= retry.backoff(n, uniform=random.Random(n).uniform) <= 20
    widest = [retry.backoff(n, uniform=lambda low, high: high) for n in range(1, 9)]
    assert widest == [0.5, 1, 2, 4, 8, 16, 20, 20]


def test_the_budget_pays_until_it_is_empty_and_successes_fill_it():
    budget = RetryBudget(capacity=3, refill=0.5)
    assert [budget.take(), budget.take(2), budget.take()] == [True, True, False]
    budget.ok()
    assert not budget.take()
    for _ in range(20):
        budget.ok()
    assert budget.tokens == 3


def test_a_quiet_while_fills_the_budget_an_outage_does_not():
    clock = SimpleNamespace(now=0.0)
    budget = RetryBudget(capacity=1, rest=300, clock=lambda: clock.now)
    for clock.now, taken in ((0, True), (200, False), (400, False), (600, False), (901, True)):
        assert budget.take() is taken


def gate(**settings):
    clock = SimpleNamespace(now=0.0)
    return RateGate(clock=lambda: clock.now, uniform=lambda low, high: low, **settings), clock


def asked(seconds, limit=None):
    return Verdict("throttled", 429, seconds, limit=limit)


def loading(estimate):
    return Verdict("loading", 503, estimate=estimate)


def refuse(door, ticket, verdict):
    door.throttled(ticket, verdict)
    door.release(ticket)


def test_first_come_first_served_and_a_refused_call_keeps_its_place():
    door, clock = gate(max_concurrency=1)
    first, second, third = Ticket(), Ticket(), Ticket()
    assert door.reserve(first) == 0
    assert [door.reserve(second), door.reserve(third)] == [math.inf, math.inf]
    refuse(door, first, asked(5))
    assert [door.reserve(t) for t in (third, second, first)] == [5, 5, 5]
    clock.now = 5.0
    assert [door.reserve(t) for t in (third, second, first)] == [math.inf, math.inf, 0]
    door.release(first)
    clock.now = 5.1
    assert [door.reserve(t) for t in (third, second)] == [math.inf, 0]


def test_whoever_gives_up_leaves_the_line_and_wakes_the_next():
    door, _ = gate(max_concurrency=1)
    woken = []
    first, second, third = Ticket(), Ticket(), Ticket(wake=lambda: woken.append(3))
    [door.reserve(ticket) for ticket in (first, second, third)]
    door.release(second), door.release(first)
    assert woken and door.reserve(third) == 0
    door.release(third), door.release(third)
    assert (door.flying, door.line) == (0, [])


def test_an_answer_that_was_overtaken_does_not_close_the_new_window():
    door, clock = gate(max_concurrency=2)
    slow, quick = Ticket(), Ticket()
    for _ in range(3):
        door.reserve(quick), door.ok(quick), door.release(quick)
    door.reserve(slow), door.reserve(quick)
    refuse(door, quick, asked(2, retry.Limit(0, 2, 20, 2)))
    clock.now = 2.0
    assert door.reserve(quick) == 0
    slow.limit = retry.Limit(0, 1, 20, 2)  # it says: nothing left, but it speaks of the old window
    door.ok(slow), door.release(slow)
    clock.now = 2.1
    assert door.reserve(slow) == 0


def test_the_hint_that_says_zero_proves_that_the_server_rounds_down():
    door, clock = gate()
    ticket = Ticket()
    for clock.now, hint, opens in ((0.0, 1, 1), (1.0, 0, 2), (2.0, 3, 6)):
        door.reserve(ticket)
        refuse(door, ticket, asked(hint))
        assert door.opens == opens


def test_without_a_hint_one_request_goes_first():
    door, clock = gate()
    tickets = [Ticket() for _ in range(4)]
    assert [door.reserve(t) for t in tickets] == [0, 0, 0, 0]
    for ticket in tickets:
        refuse(door, ticket, asked(None))
    assert door.opens == 0.25, "one shared pause, although four were refused"
    clock.now = 0.25
    assert [door.reserve(t) for t in tickets] == [0, math.inf, math.inf, math.inf]
    door.ok(tickets[0]), door.release(tickets[0])
    clock.now = 0.3
    assert door.reserve(tickets[1]) == 0


def test_an_estimate_is_waited_for_once_then_probed():
    door, clock = gate()
    ticket, opens = Ticket(), []
    for _ in range(4):
        assert door.reserve(ticket) == 0
        refuse(door, ticket, loading(20.0))
        opens.append(door.opens)
        clock.now = door.opens
    assert opens == [20, 25, 30, 35]
    assert door.reserve(ticket) == 0
    refuse(door, ticket, loading(8.0))
    assert door.opens == 43, "a smaller estimate is news"


@pytest.mark.parametrize("verdict, pause", [(asked(None), 0.25), (loading(20.0), 20)])
def test_old_trouble_does_not_make_new_waits_long(verdict, pause):
    door, clock = gate()
    ticket = Ticket()
    for clock.now in (0.0, 7200.0):  # the first call gave up; two hours later somebody tries again
        assert door.reserve(ticket) == 0
        refuse(door, ticket, verdict)
        assert door.opens == clock.now + pause


def test_a_clock_that_is_set_back_opens_the_gate():
    door, clock = gate()
    clock.now = 5000.0  # in a laboratory's time
    ticket = Ticket()
    assert door.reserve(ticket) == 0
    refuse(door, ticket, asked(300, retry.Limit(0, 300, 500, 300)))
    clock.now = 5100.0
    assert door.reserve(Ticket()) == 200
    clock.now = 70.0  # back in the world
    door.line.clear()
    assert door.reserve(Ticket()) == 0


def test_a_waiter_whose_event_loop_is_gone_does_not_block_the_line():
    def closed():
        raise RuntimeError("Event loop is closed")

    door, _ = gate(max_concurrency=1)
    first, dead, third = Ticket(), Ticket(wake=closed), Ticket()
    [door.reserve(ticket) for ticket in (first, dead, third)]
    door.release(first)
    assert door.reserve(third) == 0


def simulate(rules, calls=50, workers=8, watch=False, seed=0, network=0.002, **settings):
    policy = lambda clock, uniform: RetryPolicy(clock=clock, uniform=uniform, **settings)
    more = {"watch": watch, "network": network, "seed": seed}
    return Simulation(rules, policy, calls=calls, workers=workers, **more).run()


PHASES = [0.07, 0.31, 0.44, 0.62, 0.85]
SCENARIOS = {
    # name: (rules, calls, workers, watched, most requests a call, most seconds / least possible)
    "20 in 2 s": (Rules(quota=20), 200, 8, False, 1.03, 1.05),
    "20 in 2 s, watched": (Rules(quota=20), 200, 8, True, 1.00, 1.05),
    "80 in 15 s": (Rules(quota=80, window=15), 240, 8, False, 1.05, 1.05),
    "the Hub's window": (Rules(quota=500, window=300), 600, 8, False, 1.015, 1.01),
    "the Hub's window, watched": (Rules(quota=500, window=300), 600, 8, True, 1.00, 1.01),
    "overload": (Rules(quota=10), 120, 16, False, 1.12, 1.05),
    "Retry-After alone": (Rules(quota=20, say="retry-after"), 200, 8, False, 1.10, 1.05),
    "an HTTP date": (Rules(quota=20, say="date"), 200, 8, False, 1.10, 1.15),
    "milliseconds": (Rules(quota=20, say="ms"), 200, 8, False, 1.10, 1.05),
    "no header": (Rules(quota=20, say="nothing"), 200, 8, False, 1.15, 1.10),
    "rounds down": (Rules(quota=20, rounding="down"), 200, 8, False, 1.10, 1.10),
    "windows begin with a request": (Rules(quota=20, kind="first"), 200, 8, False, 1.10, 1.10),
    "bucket": (Rules(quota=20, kind="bucket"), 200, 8, False, 1.25, 1.10),
    "cold start": (Rules(cold=25.0, estimate=20.0), 50, 8, False, 1.20, 1.06),
    "all at once": (Rules(quota=20), 200, 200, False, 1.05, 1.05),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    rules, calls, workers, watched, requests, seconds = SCENARIOS[name]
    rows = []
    for seed, phase in enumerate(PHASES):
        here = Rules(**vars(rules) | {"phase": phase * rules.window, "seed": seed})
        result = simulate(here, calls, workers, watched, seed=seed)
        assert result.answered == calls and not result.early
        least = least_seconds(here, calls, min(workers, 8))
        rows.append((len(result.sent) / calls, result.wall / least))
    assert statistics.median(row[0] for row in rows) <= requests + 1e-9
    assert statistics.median(row[1] for row in rows) <= seconds


def test_one_failure_in_twenty():
    result = simulate(Rules(errors=0.05, seed=1), calls=200)
    assert result.answered == 200 and len(result.sent) <= 1.08 * 200 + 4
    assert max(result.seconds) <= 2


@pytest.mark.parametrize("calls", [40, 200])
def test_an_outage_costs_ten_requests_more_than_calls(calls):
    result = simulate(Rules(down=True), calls=calls)
    assert len(result.failed) == calls and len(result.sent) <= calls + 10
    assert result.wall <= 5
    assert {error.response.status_code for error in result.failed} == {503}, "as they came"


def test_an_endpoint_that_wakes_up_is_waited_for_if_we_say_so():
    rules = Rules(cold=200.0, estimate=None)
    assert simulate(rules, calls=10).answered == 0, "without a hint a 503 is an outage"
    result = simulate(rules, calls=10, wait_for_model=True)
    assert result.answered == 10 and 200 <= result.wall <= 225 and len(result.sent) < 40


servers = st.builds(
    Rules,
    quota=integers(1, 60),
    window=st.sampled_from([0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0]),
    phase=floats(0, 300),
    kind=st.sampled_from(["fixed", "first", "bucket"]),
    say=st.sampled_from(["all", "ratelimit", "retry-after", "date", "ms", "nothing"]),
    rounding=st.sampled_from(["up", "down"]),
    cold=st.sampled_from([0.0, 0.0, 3.0, 25.0, 170.0]),
    estimate=st.sampled_from([0.5, 20.0, 60.0]),
    errors=st.sampled_from([0.0, 0.0, 0.02, 0.05]),
    latency=st.sampled_from([0.005, 0.02, 0.3, 4.0]),
    seed=integers(0, 9999),
)
networks, seeds = st.sampled_from([0.0005, 0.002, 0.05, 0.2]), integers(0, 9999)


@given(servers, integers(1, 150), integers(1, 40), st.booleans(), networks, seeds)
@settings(max_examples=300, derandomize=True)
def test_whatever_the_server_all_calls_succeed_and_nobody_comes_too_early(
    rules, calls, workers, watch, network, seed
):
    result = simulate(rules, calls, workers, watch, seed, network, timeout=1e6)
    assert result.early == []
    assert all("the retry budget" in error.__notes__[-1] for error in result.failed)
    assert rules.errors or not result.failed
    assert result.answered + len(result.failed) == calls
    assert result.under_way <= 8
    failures = sum(status in (0, 502, 503) for _, status in result.sent)
    assert len(result.sent) <= calls + failures + 19 * calls


@given(servers, integers(1, 60), integers(1, 20), floats(0.05, 90), integers(1, 4), networks, seeds)
@settings(max_examples=200, derandomize=True)
def test_no_call_outlives_its_deadline_or_its_attempts(
    rules, calls, workers, timeout, attempts, network, seed
):
    limits = {"timeout": timeout, "attempts": attempts}
    result = simulate(rules, calls, workers, False, seed, network, **limits)
    request = rules.latency + 4 * network  # the last one may be under way at the deadline
    assert all(seconds <= timeout + request for seconds in result.seconds + result.ended)
    assert result.answered + len(result.failed) == calls and result.early == []
    broken = sum(status in (0, 502) for _, status in result.sent)
    assert broken <= attempts * calls
    for error in result.failed:
        assert isinstance(error, NotSent) or error.__notes__[-1].startswith("gave up after")


def test_the_simulated_server_counts_as_it_says():
    service = Service(Rules(quota=2, window=10.0, phase=4.0))
    moments = (0.0, 1.0, 2.5, 4.0, 5.0, 6.0, 14.0)
    answers = [service.arrive(moment).status for moment in moments]
    assert answers == [200, 200, 429, 200, 200, 429, 200]
    refusing = Service(Rules(quota=1, window=10.0, phase=4.0))
    _, reply = refusing.arrive(0.0), refusing.arrive(1.5)
    assert (reply.headers["Retry-After"], reply.asked) == ("3", 3)
    assert reply.headers["RateLimit"] == '"api";r=0;t=3'


def test_the_simulation_notices_somebody_who_comes_too_early(monkeypatch):
    honest = retry.errors.classify_response

    def hasty(*args):
        verdict = honest(*args)
        return verdict._replace(wait=verdict.wait and 0.3 * verdict.wait)

    monkeypatch.setattr(retry.errors, "classify_response", hasty)
    assert simulate(Rules(quota=5), calls=20).early


def test_it_stands_alone_and_loads_nothing_heavy(tmp_path):
    folder = Path(retry.__file__).parent
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names]
        top += [n.module for n in tree.body if isinstance(n, ast.ImportFrom) and not n.level]
        assert set(top) <= set(sys.stdlib_module_names), path.name
        assert not {"asyncio", "email", "inspect"} & set(top), path.name
    shutil.copytree(folder, tmp_path / "taken_along")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import taken_along; "
    code += "print('asyncio' in sys.modules, 'email.utils' in sys.modules)"
    done = child.python("-I", "-c", code, tmp_path)
    assert done.stdout.split() == ["False", "False"], done.stderr


LEAST = {"attempts": "at least 1", "timeout": "more than 0", "max_concurrency": "could ever start"}


@pytest.mark.parametrize("setting, words", LEAST.items())
def test_0_is_refused_with_a_reason(setting, words):
    with pytest.raises(ValueError, match=words):
        RetryPolicy(**{setting: 0})


def test_a_gate_closed_by_another_thread_within_a_turn_is_announced_in_the_next(monkeypatch):
    """The turn was told "until you are woken", which is no number of seconds to announce."""
    heard = []
    policy = RetryPolicy(clock=lambda: 0.0, on_wait=heard.append)
    reserve = lambda ticket: policy.gate.pause(60, "throttled") or math.inf
    with Run(policy) as run, monkeypatch.context() as patch:
        patch.setattr(policy.gate, "reserve", reserve)
        assert run.turn() == math.inf and heard == [] and run.story == []
        patch.undo()
        assert 60 <= run.turn() < 61 and [round(wait.seconds) for wait in heard] == [60]
