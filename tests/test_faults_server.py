"""The same troubles over a real socket, through the middleware of the practice server; no wait is
longer than two seconds."""

import time
from functools import cache

import httpx2
import openai
import pytest
import standin
import ways
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OverloadedError
from ways import HUB, HUB_ASYNC, HUB_STREAM, OPENAI, OPENAI_ASYNC_STREAM, OPENAI_STREAM

from authoring.practice_server import errors
from authoring.practice_server.faults import Faults
from helpers import faults, wire
from helpers.faults import FAULTS, FixedWindow, outage

ASKED = {"model": "m", "messages": ways.messages("hello")}


@pytest.fixture(scope="module")
def server():
    app = Faults(standin.create_app())
    with standin.serve(app) as port:
        app.url = f"http://127.0.0.1:{port}/v1"
        yield app


def through(server, **settings):
    """Troubles for one test; the list of what the server saw begins anew."""
    server.trouble, server.seen, server._began = faults.Trouble(**settings), [], None


def made(way, url):
    return way.client(url, **({} if way.of == "hub" else {"max_retries": 0}))


kept = cache(made)  # with its connections; those of an async client end with its event loop


def call(way, server):
    return way.ask((made if way.asynchronous else kept)(way, server.url), "hello", "m")


def ask(server, times: int = 1, **headers) -> list[httpx2.Response]:
    with httpx2.Client(timeout=600, headers=headers) as http:
        return [http.post(server.url + "/chat/completions", json=ASKED) for _ in range(times)]


EVERY = [name for name in FAULTS if name != "timeout"] + [500, 502, 504]
SOME = HUB_STREAM, OPENAI, HUB_ASYNC, OPENAI_ASYNC_STREAM


@pytest.mark.parametrize(
    "way, name",
    [(way, name) for way in (HUB, OPENAI_STREAM) for name in EVERY]
    + [(way, name) for way in SOME for name in ("slow_down", "reset", 503)],
    ids=str,
)
def test_every_fault_arrives_as_in_the_lab(server, way, name):
    through(server, errors=[name])
    with pytest.raises((HfHubHTTPError, openai.OpenAIError, httpx2.TransportError)) as caught:
        call(way, server)
    assert call(way, server)  # and the connection after it is a good one
    expected, response = faults.fault(name), getattr(caught.value, "response", None)
    if expected.status:
        assert response.status_code == expected.status and response.json() == expected.body
        assert ("429" in response.headers["x-request-id"]) == (name == "unlucky_id")
    else:
        kinds = {httpx2.ReadError, httpx2.RemoteProtocolError}
        assert {type(caught.value), type(caught.value.__cause__)} & kinds
    assert [seen.status for seen in server.seen] == [expected.status, 200]


def test_an_answer_that_never_comes(server):
    through(server, errors=["timeout"])
    began = time.monotonic()
    with pytest.raises(InferenceTimeoutError):
        HUB("hello", "m", url=server.url, timeout=0.3)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("way", [HUB_STREAM, OPENAI_STREAM, OPENAI_ASYNC_STREAM], ids=str)
@pytest.mark.parametrize("after", [0, 2])
def test_a_stream_breaks(server, way, after):
    through(server, drop_stream_after=[after])
    with pytest.raises((httpx2.TransportError, openai.APIConnectionError)):
        call(way, server)
    assert call(way, server) == "".join(standin.WORDS)


def test_what_was_sent_before_the_break_has_arrived(server):
    through(server, drop_stream_after=[2])
    got, client = [], made(HUB, server.url)
    with pytest.raises(httpx2.TransportError):
        for chunk in client.chat_completion(**ASKED, stream=True):
            got.append(chunk.choices[0].delta.content)
    assert got == standin.WORDS[:2]


@pytest.mark.parametrize(
    "way, error", [(HUB_STREAM, OverloadedError), (OPENAI_STREAM, openai.APIError)], ids=str
)
def test_an_error_inside_a_stream(server, way, error):
    through(server, error_in_stream_after=[2])
    with pytest.raises(error):
        call(way, server)


def test_the_headers_count_down_and_waiting_as_told_is_enough(server):
    through(server, rate_limit=FixedWindow(3, 2, elapsed=0.5))
    answers = ask(server, 4)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    left = [answer.headers["ratelimit"].split(";")[1] for answer in answers]
    assert left == ["r=2", "r=1", "r=0", "r=0"]
    assert answers[0].headers["ratelimit-policy"] == '"fixed window";"api";q=3;w=2'
    time.sleep(float(answers[3].headers["retry-after"]))
    assert ask(server)[0].status_code == 200


def test_a_bucket(server):
    through(server, rate_limit=faults.TokenBucket(3, 5))
    assert [answer.status_code for answer in ask(server, 4)] == [200, 200, 200, 429]
    time.sleep(0.25)
    assert ask(server)[0].status_code == 200


def test_cold_start_and_waking_endpoint(server):
    through(server, cold_start=faults.ColdStart(0.4, estimated_time=20))
    first = ask(server)[0]
    assert first.status_code == 503
    assert first.json() == {"error": "Model m is currently loading", "estimated_time": 20.0}
    time.sleep(0.45)
    assert ask(server)[0].status_code == 200
    through(server, cold_start=faults.ScaledToZero(0.4))
    began = time.monotonic()
    assert ask(server)[0].status_code == 503
    answer = ask(server, **{"X-Scale-Up-Timeout": "9"})[0]
    assert answer.status_code == 200 and 0.4 <= time.monotonic() - began < 60


def test_slow_answers(server):
    through(server, latency=0.3)
    began = time.monotonic()
    call(HUB, server)
    assert 0.3 <= time.monotonic() - began < 60


def test_only_work_is_troubled(server):
    through(server, errors=500)
    health = httpx2.get(server.url.removesuffix("/v1") + "/health")
    assert health.status_code == 200 and server.seen == []


def test_a_body_that_is_no_json_is_left_to_the_application(server):
    through(server)
    answer = httpx2.post(server.url + "/elsewhere", content=b"{broken")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "name, said",
    [
        ("bad_token", errors.unauthorized()),
        ("no_credits", errors.no_credits()),
        ("no_permission", errors.forbidden("you")),
        ("gone", errors.gone()),
    ],
)
def test_the_lab_and_the_practice_server_say_the_same(name, said):
    assert (FAULTS[name].status, FAULTS[name].body) == (said.status, said.body)


def test_the_lab_and_the_socket_agree(server, handled):
    """The same requests at the same moments through both: the same statuses and the same limits."""
    settings = {"rate_limit": FixedWindow(4, 300, elapsed=10), "errors": {503: 0.3}, "seed": 7}
    said = lambda answers: [(one.status_code, one.headers["ratelimit"]) for one in answers]
    through(server, **settings)
    over_socket = ask(server, 8)
    handled(lambda request: wire.Plan(200, {}, [(0.0, b"{}")]))
    with outage(**settings), httpx2.Client() as http:
        in_lab = [http.post(ways.CHAT, json=ASKED) for _ in range(8)]
    assert said(in_lab) == said(over_socket)
