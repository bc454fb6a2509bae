"""The same troubles over a real socket, through the middleware of the practice server; no wait is
longer than two seconds."""

import asyncio
import time
from functools import cache

import httpx2
import openai
import pytest
import standin
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OverloadedError

from authoring.practice_server import errors
from authoring.practice_server.faults import Faults
from helpers.faults import (
    FAULTS,
    ColdStart,
    FixedWindow,
    ScaledToZero,
    TokenBucket,
    Trouble,
    fault,
    outage,
)

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def server():
    app = Faults(standin.create_app())
    with standin.serve(app) as port:
        app.url = f"http://127.0.0.1:{port}/v1"
        yield app


def through(server, **settings):
    """Troubles for one test; the list of what the server saw begins anew."""
    server.trouble, server.seen, server._began = Trouble(**settings), [], None
    return server


@cache
def clients(url: str):
    return InferenceClient(base_url=url, api_key="hf_x"), openai.OpenAI(
        base_url=url, api_key="hf_x", max_retries=0
    )


def text(chunks) -> str:
    return "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)


def hf(url):
    return clients(url)[0].chat_completion(MESSAGES, model="m").choices[0].message.content


def hf_stream(url):
    return text(clients(url)[0].chat_completion(MESSAGES, model="m", stream=True))


def oa(url):
    return (
        clients(url)[1]
        .chat.completions.create(model="m", messages=MESSAGES)
        .choices[0]
        .message.content
    )


def oa_stream(url):
    return text(clients(url)[1].chat.completions.create(model="m", messages=MESSAGES, stream=True))


def hf_async(url):
    async def call():
        async with AsyncInferenceClient(base_url=url, api_key="hf_x") as client:
            return (await client.chat_completion(MESSAGES, model="m")).choices[0].message.content

    return asyncio.run(call())


def oa_async_stream(url):
    async def call():
        async with openai.AsyncOpenAI(base_url=url, api_key="hf_x", max_retries=0) as client:
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            return "".join(
                [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]
            )

    return asyncio.run(call())


def ask(server, times: int = 1) -> list[httpx2.Response]:
    with httpx2.Client(timeout=120) as http:
        return [
            http.post(server.url + "/chat/completions", json={"model": "m", "messages": MESSAGES})
            for _ in range(times)
        ]


EVERY = [name for name in FAULTS if name != "timeout"] + [500, 502, 504]


@pytest.mark.parametrize(
    "call, name",
    [
        *((call, name) for call in (hf, oa_stream) for name in EVERY),
        *(
            (call, name)
            for call in (hf_stream, oa, hf_async, oa_async_stream)
            for name in ("slow_down", "reset", 503)
        ),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_every_fault_arrives_as_in_the_lab(server, call, name):
    through(server, errors=[name])
    with pytest.raises((HfHubHTTPError, openai.OpenAIError, httpx2.TransportError)) as caught:
        call(server.url)
    assert call(server.url)  # and the connection after it is a good one
    expected, response = fault(name), getattr(caught.value, "response", None)
    if expected.status:
        assert response.status_code == expected.status and response.json() == expected.body
        assert ("429" in response.headers["x-request-id"]) == (name == "unlucky_id")
    else:
        assert {type(caught.value), type(caught.value.__cause__)} & {
            httpx2.ReadError,
            httpx2.RemoteProtocolError,
        }
    assert [seen.status for seen in server.seen] == [expected.status, 200]


def test_an_answer_that_never_comes(server):
    through(server, errors=["timeout"])
    began = time.monotonic()
    with pytest.raises(InferenceTimeoutError):
        InferenceClient(base_url=server.url, api_key="hf_x", timeout=0.3).chat_completion(
            MESSAGES, model="m"
        )
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "call", [hf_stream, oa_stream, oa_async_stream], ids=lambda call: call.__name__
)
@pytest.mark.parametrize("after", [0, 2])
def test_a_stream_breaks(server, call, after):
    through(server, drop_stream_after=[after])
    with pytest.raises((httpx2.TransportError, openai.APIConnectionError)):
        call(server.url)
    assert call(server.url) == "".join(standin.WORDS)


def test_what_was_sent_before_the_break_has_arrived(server):
    through(server, drop_stream_after=[2])
    got = []
    with pytest.raises(httpx2.TransportError):
        for chunk in clients(server.url)[0].chat_completion(MESSAGES, model="m", stream=True):
            got.append(chunk.choices[0].delta.content)
    assert got == standin.WORDS[:2]


@pytest.mark.parametrize(
    "call, error",
    [(hf_stream, OverloadedError), (oa_stream, openai.APIError)],
    ids=["hf", "openai"],
)
def test_an_error_inside_a_stream(server, call, error):
    through(server, error_in_stream_after=[2])
    with pytest.raises(error):
        call(server.url)


def test_the_headers_count_down_and_waiting_as_told_is_enough(server):
    through(server, rate_limit=FixedWindow(3, 2, elapsed=0.5))
    answers = ask(server, 4)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == [
        "r=2",
        "r=1",
        "r=0",
        "r=0",
    ]
    assert answers[0].headers["ratelimit-policy"] == '"fixed window";"api";q=3;w=2'
    time.sleep(float(answers[3].headers["retry-after"]))
    assert ask(server)[0].status_code == 200


def test_a_bucket(server):
    through(server, rate_limit=TokenBucket(3, 5))
    assert [answer.status_code for answer in ask(server, 4)] == [200, 200, 200, 429]
    time.sleep(0.25)
    assert ask(server)[0].status_code == 200


def test_cold_start_and_waking_endpoint(server):
    through(server, cold_start=ColdStart(0.4, estimated_time=20))
    first = ask(server)[0]
    assert first.status_code == 503 and first.json() == {
        "error": "Model m is currently loading",
        "estimated_time": 20.0,
    }
    time.sleep(0.45)
    assert ask(server)[0].status_code == 200
    through(server, cold_start=ScaledToZero(0.4))
    began = time.monotonic()
    assert ask(server)[0].status_code == 503
    answer = httpx2.post(
        server.url + "/chat/completions",
        json={"model": "m", "messages": MESSAGES},
        headers={"X-Scale-Up-Timeout": "9"},
    )
    assert answer.status_code == 200 and 0.4 <= time.monotonic() - began < 60


def test_slow_answers(server):
    through(server, latency=0.3)
    began = time.monotonic()
    hf(server.url)
    assert 0.3 <= time.monotonic() - began < 60


def test_only_work_is_troubled(server):
    through(server, errors=500)
    assert (
        httpx2.get(server.url.removesuffix("/v1") + "/health").status_code == 200
        and server.seen == []
    )


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


def test_the_lab_and_the_socket_agree(server):
    """The same requests at the same moments through both: the same statuses and the same limits."""
    from helpers import wire

    settings = {"rate_limit": FixedWindow(4, 300, elapsed=10), "errors": {503: 0.3}, "seed": 7}
    through(server, **settings)
    over_socket = [(answer.status_code, answer.headers["ratelimit"]) for answer in ask(server, 8)]

    def handler(request):
        return wire.Plan(200, {}, [(0.0, b"{}")])

    wire.install(handler)
    try:
        with outage(**settings), httpx2.Client() as http:
            in_lab = [
                http.post(
                    "https://router.huggingface.co/v1/chat/completions",
                    json={"model": "m", "messages": MESSAGES},
                )
                for _ in range(8)
            ]
    finally:
        wire.remove(handler)
    assert [(answer.status_code, answer.headers["ratelimit"]) for answer in in_lab] == over_socket
