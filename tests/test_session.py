"""start(): the three modes, through both clients, sync, async and streaming; the banner; what must
never leave."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from functools import cache
from unittest import mock

import httpcore2
import httpx2
import huggingface_hub
import openai
import pytest
import standin
from huggingface_hub import AsyncInferenceClient, InferenceClient, constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import _http as hub_http

from helpers import models, wire
from helpers import session as sessions
from helpers.replay import cost as costs
from helpers.replay.recorder import Recorder
from helpers.replay.storage import read
from helpers.session import start
from helpers.tokens import PLACEHOLDER, PRACTICE_TOKEN, SecretFound
from helpers.wire import Plan

SYNC, ASYNC = httpx2.HTTPTransport.handle_request, httpx2.AsyncHTTPTransport.handle_async_request
ROUTER = "https://router.huggingface.co/v1"
TOKEN = "hf_" + "PlantedTokenOfNobody" + "0123456789abcd"
WHOLE, STREAM, MISSED = "whole", "stream", "nobody recorded this"


@pytest.fixture(autouse=True, scope="module")
def certificates_loaded_once():
    """Reading the system's certificates takes 30 ms for every client that is made."""
    with mock.patch("httpcore2.default_ssl_context", cache(httpcore2.default_ssl_context)):
        yield


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """An empty folder of recordings, a home of its own, no token, and nothing left behind."""
    monkeypatch.setattr(sessions, "FOLDER", tmp_path / "recordings")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    for name in (
        "HF_TOKEN",
        "COURSE_MODE",
        "COURSE_RECORD",
        "COURSE_PRACTICE_URL",
        "HF_HUB_OFFLINE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_PACE", "0")
    yield
    if sessions._session is not None:
        sessions._session.stop()
    sessions._session = None
    assert wire.current() is None
    assert (
        httpx2.HTTPTransport.handle_request is SYNC
        and httpx2.AsyncHTTPTransport.handle_async_request is ASYNC
    )


def messages(text):
    return [{"role": "user", "content": text}]


def request(text, stream=None) -> bytes:
    body = {"model": models.chat, "messages": messages(text)}
    return json.dumps(body if stream is None else body | {"stream": stream}).encode()


def answered(value, seconds=0.5, status=200):
    return Plan(
        status,
        {"content-type": "application/json"},
        [(seconds, json.dumps(value).encode())],
        seconds / 2,
    )


@pytest.fixture
def recorded(tmp_path):
    """A recording of one whole and one streamed answer, as each of the two clients asks for it, and
    a picture."""
    recorder, number = Recorder(tmp_path / "recordings" / "01_first_call.json"), 0
    pieces = Plan(
        200,
        {"content-type": "text/event-stream"},
        [(0.2 + n / 20, piece) for n, piece in enumerate(standin.events())],
        0.1,
    )
    for text, flags, answer in (
        (WHOLE, (None, False), answered(standin.chat("yes"))),
        (STREAM, (True,), pieces),
    ):
        for flag in flags:
            number += 1
            recorder.add(
                number,
                "POST",
                ROUTER + "/chat/completions",
                request(text, flag),
                answer,
                {"model": "small model"},
            )
    image = f"https://router.huggingface.co/hf-inference/models/{models.image}"
    recorder.add(
        8,
        "GET",
        f"https://huggingface.co/api/models/{models.image}",
        b"",
        answered({"id": models.image, "pipeline_tag": "text-to-image", "tags": []}),
        {"model": "the Hub"},
    )
    recorder.add(
        9,
        "POST",
        image,
        b'{"inputs":"a cat","parameters":{}}',
        Plan(200, {"content-type": "image/png"}, [(0.5, png())]),
        {"model": "test card"},
    )
    recorder.new.replace(recorder.path)
    return recorder.path


def png() -> bytes:
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(content, "png")
    return content.getvalue()


# ---- the ways to call: (client, sync or async, streaming or not), each returns the text of the
# answer


def hub_sync(text):
    return (
        InferenceClient()
        .chat_completion(messages(text), model=models.chat)
        .choices[0]
        .message.content
    )


def hub_sync_stream(text):
    client = InferenceClient()  # with a name: a client that nobody holds closes its streams
    chunks = client.chat_completion(messages(text), model=models.chat, stream=True)
    return "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)


async def hub_async(text):
    async with AsyncInferenceClient() as client:
        return (
            (await client.chat_completion(messages(text), model=models.chat))
            .choices[0]
            .message.content
        )


async def hub_async_stream(text):
    async with AsyncInferenceClient() as client:
        chunks = await client.chat_completion(messages(text), model=models.chat, stream=True)
        return "".join([chunk.choices[0].delta.content async for chunk in chunks if chunk.choices])


def openai_client(kind=openai.OpenAI):
    return kind(base_url=ROUTER, api_key=os.environ["HF_TOKEN"])


def openai_sync(text):
    return (
        openai_client()
        .chat.completions.create(messages=messages(text), model=models.chat)
        .choices[0]
        .message.content
    )


def openai_sync_stream(text):
    chunks = openai_client().chat.completions.create(
        messages=messages(text), model=models.chat, stream=True
    )
    return "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)


async def openai_async(text):
    answer = await openai_client(openai.AsyncOpenAI).chat.completions.create(
        messages=messages(text), model=models.chat
    )
    return answer.choices[0].message.content


async def openai_async_stream(text):
    chunks = await openai_client(openai.AsyncOpenAI).chat.completions.create(
        messages=messages(text), model=models.chat, stream=True
    )
    return "".join([chunk.choices[0].delta.content async for chunk in chunks if chunk.choices])


WAYS = [
    hub_sync,
    hub_sync_stream,
    hub_async,
    hub_async_stream,
    openai_sync,
    openai_sync_stream,
    openai_async,
    openai_async_stream,
]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def call(way, text):
    return asyncio.run(way(text)) if asyncio.iscoroutinefunction(way) else way(text)


# ---- replay ------------------------------------------------------------------------------------


@every_way
def test_replay_answers(recorded, way):
    session = start("01_first_call")
    streamed = "stream" in way.__name__
    assert call(way, STREAM if streamed else WHOLE) == (
        "".join(standin.WORDS) if streamed else "yes"
    )
    row = session.log.last
    assert (row.status, row.answered_by, row.mode, row.tokens, row.note) == (
        200,
        "small model",
        "replay",
        14,
        "",
    )
    assert row.seconds == (0.45 if streamed else 0.5)
    assert len(row.events) == (len(standin.WORDS) + 1 if streamed else 0)


@every_way
def test_a_miss_is_shown_at_once_and_asked_once(recorded, way):
    session = start("01_first_call")
    started = time.perf_counter()
    with pytest.raises((HfHubHTTPError, openai.NotFoundError)) as error:
        call(way, MISSED)
    assert time.perf_counter() - started < 2
    assert (
        len(session.log) == 1
        and session.log.last.note == "not recorded"
        and session.log.last.status == 404
    )
    text = str(error.value)
    assert "nobody recorded this request" in text and "Practice" in text and "Live" in text
    assert (
        f'messages[0].content: recorded "{STREAM if "stream" in way.__name__ else WHOLE}", yours'
        f' "{MISSED}"' in text
    )


def test_replay_answers_a_picture(recorded):
    start("01_first_call")
    picture = InferenceClient(provider="hf-inference").text_to_image("a cat", model=models.image)
    assert picture.size == (3, 2) and picture.getpixel((0, 0)) == (255, 0, 0)


def test_replay_answers_a_plain_httpx2_client_and_clients_made_before(recorded):
    early, hub, ai = (
        httpx2.Client(),
        InferenceClient(),
        openai.OpenAI(base_url=ROUTER, api_key="hf_" + "x" * 30),
    )
    start("01_first_call")
    for client in (early, httpx2.Client(), httpx2):
        assert (
            client.post(ROUTER + "/chat/completions", content=request(WHOLE)).json()["usage"][
                "total_tokens"
            ]
            == 14
        )
    assert hub.chat_completion(messages(WHOLE), model=models.chat).usage.total_tokens == 14
    assert (
        ai.chat.completions.create(messages=messages(WHOLE), model=models.chat).usage.total_tokens
        == 14
    )


def test_replay_answers_behind_a_proxy(recorded, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    hub_http.close_session()
    start("01_first_call")
    assert call(hub_sync, WHOLE) == call(openai_sync, WHOLE) == call(hub_async, WHOLE) == "yes"
    hub_http.close_session()


def test_replay_answers_in_threads_and_tasks(recorded):
    session = start("01_first_call")
    got, begin = [], threading.Barrier(8)

    def work(way):
        begin.wait()
        got.append(call(way, STREAM if "stream" in way.__name__ else WHOLE))

    threads = [threading.Thread(target=work, args=(way,)) for way in WAYS]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    async def together():
        return await asyncio.gather(
            *[
                way(STREAM if "stream" in way.__name__ else WHOLE)
                for way in WAYS * 3
                if asyncio.iscoroutinefunction(way)
            ]
        )

    got += asyncio.run(together())
    assert sorted(set(got)) == ["".join(standin.WORDS), "yes"] and len(got) == 8 + 12
    assert (
        sorted(row.number for row in session.log)
        == list(range(1, 21))
        == [row.number for row in session.log]
    )


@pytest.mark.parametrize(
    "way", [hub_sync_stream, openai_async_stream], ids=lambda way: way.__name__
)
def test_a_stream_takes_as_long_as_it_took(recorded, monkeypatch, way):
    monkeypatch.setenv("COURSE_PACE", "1")
    session, asked = (
        start("01_first_call"),
        {"messages": messages(STREAM), "model": models.chat, "stream": True},
    )
    hub, ai = InferenceClient(), openai_client(openai.AsyncOpenAI)

    async def read(arrived):
        async for _ in await ai.chat.completions.create(**asked):
            arrived.append(time.perf_counter())

    def measure():
        arrived = []
        if way is hub_sync_stream:
            for _ in hub.chat_completion(**asked):
                arrived.append(time.perf_counter())
        else:
            asyncio.run(read(arrived))
        meant = [moment for moment, _ in session.log.last.events]
        # Counted from the first piece: before it the client itself takes a moment to build the
        # request.
        return [
            (at - arrived[0], moment - meant[0]) for at, moment in zip(arrived, meant, strict=True)
        ]

    standin.in_time(measure)


def test_no_waiting_at_pace_0(recorded, monkeypatch):
    start("01_first_call")
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"slept {seconds} s"))
    assert call(hub_sync, WHOLE) == "yes" and call(hub_sync_stream, STREAM) == "".join(
        standin.WORDS
    )


def test_a_stream_left_early(recorded):
    session = start("01_first_call")
    with InferenceClient() as client:
        chunk = next(client.chat_completion(messages(STREAM), model=models.chat, stream=True))
    assert chunk.choices[0].delta.content == "Un" and 1 <= len(session.log.last.chunks) <= 2
    assert call(hub_sync_stream, STREAM) == "".join(standin.WORDS)


def test_other_hosts_are_untouched():
    with standin.serve(standin.create_app()) as port:
        session = start("01_first_call")
        assert httpx2.get(f"http://127.0.0.1:{port}/health").status_code == 200
        assert len(session.log) == 0


# ---- beginning, ending, modes ------------------------------------------------------------------


def test_stop_puts_everything_back(recorded):
    session = start("01_first_call")
    assert os.environ["HF_TOKEN"] == PLACEHOLDER and wire.current() is session
    session.stop()
    session.stop()
    assert "HF_TOKEN" not in os.environ and wire.current() is None
    assert (
        httpx2.HTTPTransport.handle_request is SYNC
        and httpx2.AsyncHTTPTransport.handle_async_request is ASYNC
    )


def test_starting_twice_ends_the_first(recorded):
    first, second = start("01_first_call"), start("01_first_call")
    assert call(hub_sync, WHOLE) == "yes"
    assert (len(first.log), len(second.log)) == (0, 1)
    first.stop()  # long over: changes nothing
    assert call(hub_sync, WHOLE) == "yes" and os.environ["HF_TOKEN"] == PLACEHOLDER
    second.stop()
    assert wire.current() is None and "HF_TOKEN" not in os.environ


@pytest.mark.parametrize(
    "mode, error, says",
    [
        ("replya", ValueError, "there is no mode 'replya'; choose one of replay, practice, live"),
        ("live", RuntimeError, "Live needs your own token"),
        ("practice", RuntimeError, "none answers at http://127.0.0.1:9"),
    ],
)
@pytest.mark.parametrize("how", ["argument", "environment", "attribute"])
def test_a_mode_that_cannot_be_had_changes_nothing(recorded, monkeypatch, mode, error, says, how):
    monkeypatch.setenv("COURSE_PRACTICE_URL", "http://127.0.0.1:9")
    with pytest.raises(error, match=says):
        if how == "argument":
            start("01_first_call", mode)
        elif how == "environment":
            monkeypatch.setenv("COURSE_MODE", mode)
            start("01_first_call")
        else:
            start("01_first_call").mode = mode
    if how == "attribute":  # the old mode goes on
        assert sessions._session.mode == "replay" and call(hub_sync, WHOLE) == "yes"
    else:  # nothing was begun: no token lent, nothing intercepted
        assert wire.current() is None and "HF_TOKEN" not in os.environ
    monkeypatch.delenv("COURSE_MODE", raising=False)
    session = start("01_first_call")
    with pytest.raises(error):
        start("01_first_call", mode)
    assert wire.current() is session and call(hub_sync, WHOLE) == "yes"  # the one before answers on


@pytest.mark.parametrize("name", ["", "../secret", "a/b", "01_first_call.ipynb", "C:\\x", "con:"])
def test_a_name_that_cannot_name_a_file(name):
    with pytest.raises(ValueError, match="no name for a notebook"):
        start(name)


@pytest.mark.parametrize("pace", ["fast", "-1", "nan", "inf"])
def test_a_pace_that_is_none(monkeypatch, pace):
    monkeypatch.setenv("COURSE_PACE", pace)
    with pytest.raises(ValueError, match=f"COURSE_PACE is '{pace}'"):
        start("01_first_call")


def test_a_token_in_the_environment_does_not_switch_to_live(recorded, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    session = start("01_first_call")
    assert session.mode == "replay" and os.environ["HF_TOKEN"] == TOKEN
    assert call(hub_sync, WHOLE) == "yes"
    session.stop()
    assert os.environ["HF_TOKEN"] == TOKEN


def test_without_token(recorded, tmp_path, monkeypatch):
    session = start("01_first_call")
    with session.without_token(), pytest.raises(ValueError, match="You must provide an api_key"):
        call(hub_sync, WHOLE)
    assert call(hub_sync, WHOLE) == "yes"


def test_who_is_logged_in_by_file_can_run_the_openai_cells(recorded, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text(TOKEN)
    session = start("01_first_call")
    assert call(openai_sync, WHOLE) == "yes" and os.environ["HF_TOKEN"] == PLACEHOLDER
    session.mode = "live"
    assert os.environ["HF_TOKEN"] == TOKEN
    session.mode = "replay"
    assert os.environ["HF_TOKEN"] == PLACEHOLDER
    session.stop()
    assert "HF_TOKEN" not in os.environ


def test_offline_mode_does_not_stop_a_replay_but_stops_live(recorded, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    session = start("01_first_call")
    assert call(hub_sync, WHOLE) == call(hub_async, WHOLE) == "yes"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(RuntimeError, match="HF_HUB_OFFLINE is set"):
        session.mode = "live"
    session.stop()
    assert constants.HF_HUB_OFFLINE is True
    with pytest.raises(OfflineModeIsEnabled):
        InferenceClient(token=TOKEN).chat_completion(messages(WHOLE), model=models.chat)


SILENT = """
import sys, httpx2
if sys.argv[1] == "hub first":
    import huggingface_hub.inference._client
asked = []
from helpers import start, wire, models
session = start("nothing_recorded")
from huggingface_hub import InferenceClient, model_info
M = [{"role": "user", "content": "x"}]
chat = lambda: InferenceClient().chat_completion(M, model=models.chat)
for ask in (chat, lambda: model_info("a/b")):
    try:
        ask()
    except Exception as error:
        assert "nobody recorded" in str(error), error
print([(row.method, row.path) for row in session.log])
"""


@pytest.mark.parametrize("order", ["course first", "hub first"])
def test_no_hidden_call_and_nothing_in_the_learners_home(tmp_path, root, order):
    home = tmp_path / "hf"
    environment = {
        name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_TELEMETRY"
    } | {"HF_HOME": str(home)}
    ran = subprocess.run(
        [sys.executable, "-c", SILENT, order],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert (
        ran.stdout.splitlines()[-1]
        == "[('POST', '/v1/chat/completions'), ('GET', '/api/models/a/b')]"
    )
    assert not home.exists() or not [file for file in home.rglob("*") if file.is_file()]


# ---- practice ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service():
    app = standin.create_app()
    with standin.serve(app) as port:
        yield app, f"http://127.0.0.1:{port}"


@pytest.fixture
def practice(service, monkeypatch):
    """The stand-in as practice server; its list of requests, emptied."""
    app, url = service
    monkeypatch.setenv("COURSE_PRACTICE_URL", url)
    app.state.seen.clear()
    return app.state.seen


@every_way
def test_practice_answers_under_the_services_name(practice, way):
    session = start("01_first_call", "practice")
    assert call(way, "hello") == (
        "".join(standin.WORDS) if "stream" in way.__name__ else "You said: hello"
    )
    [(method, host, path, headers)] = [one for one in practice if one[2] != "/health"]
    assert (method, host, path) == ("POST", "router.huggingface.co", "/v1/chat/completions")
    assert headers["authorization"] == f"Bearer {PRACTICE_TOKEN}"
    row = session.log.last
    assert (row.mode, row.status, row.answered_by, row.tokens) == (
        "practice",
        200,
        "stand-in/model",
        14,
    )
    assert row.host == "router.huggingface.co" and 0 < row.seconds < 5
    assert "set-cookie" not in row.headers and row.headers["x-answered-by"] == "stand-in/model"


@pytest.mark.parametrize("token, sent", [(TOKEN, PRACTICE_TOKEN), (None, PRACTICE_TOKEN)])
def test_a_real_token_never_reaches_the_practice_server(practice, monkeypatch, token, sent):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    start("01_first_call", "practice")
    call(hub_sync, "hello")
    call(openai_sync, "hello")
    assert {headers["authorization"] for *_, headers in practice if "authorization" in headers} == {
        f"Bearer {sent}"
    }


def test_a_wrong_token_that_the_learner_typed_does(practice):
    start("01_first_call", "practice")
    InferenceClient(token="hf_invalid").chat_completion(messages("hello"), model=models.chat)
    assert practice[-1][3]["authorization"] == "Bearer hf_invalid"


def test_practice_past_a_proxy(practice, monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    hub_http.close_session()
    start("01_first_call", "practice")
    assert call(hub_sync, "hello") == call(openai_async, "hello") == "You said: hello"
    hub_http.close_session()


def test_switching_there_and_back(recorded, practice):
    session = start("01_first_call")
    ai, hub = openai_client(), InferenceClient()
    assert call(hub_sync, WHOLE) == "yes"
    session.mode = "practice"
    assert (
        ai.chat.completions.create(messages=messages("hello"), model=models.chat)
        .choices[0]
        .message.content
        == "You said: hello"
    )
    assert (
        hub.chat_completion(messages("hello"), model=models.chat).choices[0].message.content
        == "You said: hello"
    )
    session.mode = "replay"
    assert call(hub_sync, WHOLE) == "yes"
    assert [row.mode for row in session.log] == ["replay", "practice", "practice", "replay"]


# ---- recording ---------------------------------------------------------------------------------


@pytest.fixture
def recording(practice, tmp_path, monkeypatch):
    """A session that records what the stand-in answers; `recording()` moves the recording into
    place and replays it."""
    monkeypatch.setenv("COURSE_RECORD", "1")
    session = start("02_new", "practice")
    target = tmp_path / "recordings" / "02_new.json"

    def replay():
        session.stop()
        monkeypatch.delenv("COURSE_RECORD")
        target.with_suffix(".json.new").replace(target)
        return start("02_new", "replay")

    replay.target, replay.session = target, session
    return replay


@every_way
def test_what_is_recorded_is_what_is_replayed(recording, way):
    first = call(way, "slow hello")
    old = recording.session.log.last
    now = recording()
    assert call(way, "slow hello") == first
    new = now.log.last
    assert new.answered_by == "stand-in/model" and new.tokens == 14
    assert new.seconds == pytest.approx(old.seconds, abs=0.0006)
    assert [data for _, data in new.events] == [data for _, data in old.events]
    assert [moment for moment, _ in new.events] == pytest.approx(
        [moment for moment, _ in old.events], abs=0.0006
    )
    if "stream" in way.__name__:
        gaps = [b - a for (a, _), (b, _) in zip(new.events, new.events[1:])]
        assert all(gap > 0.01 for gap in gaps) and sum(gaps) > 0.15, gaps


def test_what_the_log_leaves_out_the_client_gets_all_the_same(recording):
    """Recording and cleaning the log change nothing about the answer that the client is handed."""
    ask = lambda: httpx2.post(f"{ROUTER}/chat/completions", json={"model": "m", "messages": []})
    recorded, row = ask(), recording.session.log.last
    recording.session.stop()
    os.environ.pop("COURSE_RECORD")
    plain = start("02_new", "practice")
    assert sorted(recorded.headers) == sorted(ask().headers)
    assert sorted(row.headers) == sorted(plain.log.last.headers) != sorted(recorded.headers)
    assert row.body == recorded.content


def test_gzip_is_recorded_unpacked(recording):
    assert call(hub_sync, "gzip") == "You said: gzip"
    recording()
    assert call(hub_sync, "gzip") == "You said: gzip"


def test_a_failing_upstream_is_recorded_as_it_failed_and_a_broken_line_is_not(recording):
    with pytest.raises(HfHubHTTPError, match="the model fell over"):
        call(hub_sync, "fail")
    with pytest.raises(httpx2.RemoteProtocolError):
        call(hub_sync, "break")
    assert [
        one["answers"][0]["status"] for one in read(recording.target.with_suffix(".json.new"))[0]
    ] == [500]
    recording()
    with pytest.raises(HfHubHTTPError, match="the model fell over"):
        call(hub_sync, "fail")


def test_a_stream_left_early_is_recorded_whole(recording):
    client = InferenceClient()
    for _ in client.chat_completion(messages("hello"), model=models.chat, stream=True):
        break
    recording()
    assert call(hub_sync_stream, "hello") == "".join(standin.WORDS)


def test_recording_writes_only_what_it_may(recording):
    call(hub_sync, "hello")
    text = recording.target.with_suffix(".json.new").read_text()
    for unwanted in (
        "authorization",
        "set-cookie",
        "session=abc",
        "user-agent",
        "x-unheard-of",
        PRACTICE_TOKEN,
        PLACEHOLDER,
    ):
        assert unwanted not in text.lower()
    assert '"x-answered-by": "stand-in/model"' in text


@pytest.mark.parametrize(
    "said", [f"my token is {TOKEN}", f"leak in a header {TOKEN}", f"leak in pieces {TOKEN}"]
)
def test_a_planted_token_is_not_recorded(recording, said, tmp_path):
    call(hub_sync, "hello")
    with pytest.raises(SecretFound):
        call(hub_sync_stream if "pieces" in said else hub_sync, said)
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert TOKEN.encode() not in kept and b"hello" in kept
    log = recording.session.log
    assert TOKEN not in repr(log) + log._repr_html_() + "".join(
        row.as_curl() + repr(row) + str(row.json) for row in log
    )


def test_a_token_in_the_request_is_not_even_sent(recording, practice):
    before = len(practice)
    with pytest.raises(SecretFound):
        call(hub_sync, f"my token is {TOKEN}")
    assert len(practice) == before


def test_a_picture_is_recorded_beside_it(recording):
    with pytest.raises(OSError):  # the stand-in's picture is no real PNG
        InferenceClient(provider="hf-inference").text_to_image("a cat", model=models.image)
    recording()
    answer = httpx2.post(
        f"https://router.huggingface.co/hf-inference/models/{models.image}",
        json={"inputs": "a cat", "parameters": {}},
    )
    assert answer.content == standin.PICTURE and answer.headers["content-type"] == "image/png"
    [picture] = recording.target.with_suffix("").iterdir()
    assert picture.suffix == ".png" and picture.read_bytes() == standin.PICTURE


# ---- what the learner sees ---------------------------------------------------------------------


def write_calls(folder, *calls):
    recorder = Recorder(folder / "recordings" / "x.json")
    for number, (url, body, answer) in enumerate(calls):
        recorder.add(
            number, "POST", url, json.dumps(body).encode(), answer, {"model": "small model"}
        )
    recorder.new.replace(recorder.path)
    text = recorder.path.read_text()
    today = json.loads(text)[0]["answers"][0]["answered_by"]["date"]
    recorder.path.write_text(text.replace(today, "2026-11-23"))


CHAT = ROUTER + "/chat/completions"
COSTLY = {
    "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 2_000_000, "total_tokens": 3_000_000}
}


def chat_price(prompt, completion):
    price = models["chat"].price
    return prompt / 1e6 * price["input"] + completion / 1e6 * price["output"]


def test_banner_of_one_call(tmp_path, capsys):
    write_calls(tmp_path, (CHAT, {"model": models.chat}, answered(COSTLY)))
    session = start("x")
    line = (
        "Replay: nothing leaves this machine. Answers by small model, recorded 2026-11-23. 1 call"
        f" in this lesson; live: about ${chat_price(1e6, 2e6):.2f} of credits."
    )
    assert capsys.readouterr().out == line + "\n" and session.banner() == line
    session._mode = "practice"
    assert (
        session.banner()
        == "Practice: small models on this machine answer, free. 1 call in this lesson."
    )
    session._mode = "live"
    assert (
        session.banner()
        == f"Live: your token pays. 1 call in this lesson; about ${chat_price(1e6, 2e6):.2f} of"
        " credits."
    )


def test_banner_of_many_calls_and_none(tmp_path):
    write_calls(
        tmp_path,
        *[
            (CHAT, {"model": models.chat, "seed": n}, answered(standin.chat("yes")))
            for n in range(3)
        ],
    )
    assert "3 calls in this lesson; live: less than $0.0001 of credits." in start("x").banner()
    assert (
        start("y").banner()
        == "Replay: nothing leaves this machine. No calls recorded for this lesson."
    )


@pytest.mark.parametrize(
    "calls, cost",
    [
        ([({"model": models.chat}, answered(COSTLY))], chat_price(1e6, 2e6)),
        (
            [
                ({"model": models.chat + ":cheapest"}, answered(COSTLY)),
                ({"model": models.chat}, answered(COSTLY)),
            ],
            2 * chat_price(1e6, 2e6),
        ),
        ([({"model": models.chat}, answered(COSTLY, status=429))], 0),
        ([({"model": "no/such"}, answered(COSTLY))], 0),
        ([([1, 2], answered(COSTLY))], 0),
        (
            [
                (
                    {"model": models.chat, "stream": True},
                    Plan(
                        200,
                        {"content-type": "text/event-stream"},
                        [(0.1, e) for e in standin.events()],
                    ),
                )
            ],
            chat_price(10, 4),
        ),
    ],
)
def test_rough_cost(tmp_path, calls, cost):
    write_calls(tmp_path, *[(CHAT, *call) for call in calls])
    assert costs.rough_cost(start("x").recording) == pytest.approx(cost)


def test_rough_cost_by_the_second_and_of_a_stream_without_usage(tmp_path):
    host, task = "https://router.huggingface.co/hf-inference", "feature-extraction"
    url = f"{host}/models/{models.embedding}/pipeline/{task}"
    silent = [event for event in standin.events() if b"usage" not in event]
    asked = {"model": models.chat, "messages": messages("x" * 400), "stream": True}
    write_calls(
        tmp_path,
        (url, {"inputs": "a"}, answered([1.0], seconds=10)),
        (
            CHAT,
            asked,
            Plan(200, {"content-type": "text/event-stream"}, [(0.1, e) for e in silent]),
        ),
    )
    by_second = 10 * models["embedding"].price["second"]
    assert costs.rough_cost(start("x").recording) == pytest.approx(
        by_second + chat_price(len(json.dumps(asked)) // 4, 4)
    )


def test_rough_cost_of_pictures_whose_address_has_the_providers_own_name(tmp_path):
    row, link = models["image"], answered({"images": [{"url": "https://v3.fal.media/files/a.png"}]})
    look_up = answered(
        {
            "id": row.id,
            "inferenceProviderMapping": {
                "fal-ai": {"providerId": "fal-ai/flux/dev", "status": "live", "task": row.task}
            },
        }
    )
    url = "https://router.huggingface.co/fal-ai/fal-ai/flux/dev"
    recorder = Recorder(tmp_path / "recordings" / "x.json")
    recorder.add(
        1,
        "GET",
        f"https://huggingface.co/api/models/{row.id}?expand=inferenceProviderMapping",
        b"",
        look_up,
        {"model": "the Hub"},
    )
    for number, side in enumerate([256, 1024, 1025], 2):
        asked = {"prompt": "a cat", "image_size": {"width": side, "height": side}}
        recorder.add(number, "POST", url, json.dumps(asked).encode(), link, {"model": "test card"})
    recorder.new.replace(recorder.path)
    assert costs.rough_cost(start("x").recording) == pytest.approx(
        4 * row.price["megapixel"]
    )  # 1, 1 and 2 megapixels


def test_unknown_prices_are_said(tmp_path):
    write_calls(
        tmp_path,
        (CHAT, {"model": models.chat}, answered(COSTLY)),
        (CHAT, {"model": "no/such"}, answered({})),
    )
    assert (
        start("x")
        .banner()
        .endswith(
            f"2 calls in this lesson; live: about ${chat_price(1e6, 2e6):.2f} of credits and 1 call"
            " of unknown price."
        )
    )


def test_an_endpoint_is_paid_by_the_minute(tmp_path):
    control, own = (
        "https://api.endpoints.huggingface.cloud/v2/endpoint/me",
        "https://mine.us-east-1.aws.endpoints.huggingface.cloud/v1/chat/completions",
    )
    create = (
        control,
        {"name": "mine", "model": {"repository": models.chat}},
        answered({"name": "mine"}),
    )
    called = (own, {"model": models.chat}, answered(COSTLY))
    write_calls(tmp_path, called)
    assert (
        start("x").banner().endswith("1 call in this lesson; live: free.")
    )  # somebody else's endpoint, or one that runs already
    write_calls(tmp_path, create, called)
    assert (
        start("x")
        .banner()
        .endswith("live: an endpoint of your own, paid by the minute (you are asked first).")
    )
    write_calls(
        tmp_path,
        create,
        called,
        (CHAT, {"model": models.chat}, answered(COSTLY)),
        (CHAT, {"model": "no/such"}, answered({})),
    )
    assert (
        start("x")
        .banner()
        .endswith(
            f"live: about ${chat_price(1e6, 2e6):.2f} of credits and 1 call of unknown price "
            "and an endpoint of your own, paid by the minute (you are asked first)."
        )
    )


def test_damage_is_told_under_the_banner(recorded, capsys):
    lines = recorded.read_text().splitlines()
    recorded.write_text("\n".join(lines[:-3]))
    start("01_first_call")
    banner, damage, *rest = capsys.readouterr().out.splitlines()
    assert damage.startswith("Damaged recording: 01_first_call.json, line ") and rest == []
    assert call(hub_sync, WHOLE) == "yes"


def test_the_switch(recorded, practice, monkeypatch):
    from helpers import widgets as switch

    shown = []
    monkeypatch.setattr(
        "helpers.widgets.show_widget", lambda widget, text: shown.append((widget, text))
    )
    session = start("01_first_call")
    switch.show_switch(session)
    [(box, text)] = shown
    (_label, replay, local, live), said = box.children[0].children, box.children[1]
    assert (replay.description, local.description) == (
        "Replay (now)",
        "Practice",
    ) and "session.mode" in text
    local.click()
    assert session.mode == "practice" and "Practice: small models" in said.value
    assert (replay.description, local.description) == ("Replay", "Practice (now)")
    live.click()
    assert (
        session.mode == "practice"
        and "Not switched" in said.value
        and "own token" in said.value
        and "<code>hf auth login</code>" in said.value
    )
    assert (local.description, live.description) == ("Practice (now)", "Live")
    replay.click()
    assert session.mode == "replay" and "Replay: nothing leaves" in said.value


def test_importing_the_course_imports_little():
    code = (
        "import sys, helpers; print([name for name in ('matplotlib', 'ipywidgets', 'numpy',"
        " 'openai', 'huggingface_hub', 'authoring', 'IPython') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=os.getcwd()
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_versions_this_was_written_for():
    assert huggingface_hub.__version__ >= "2.4" and openai.__version__ >= "3.54"
