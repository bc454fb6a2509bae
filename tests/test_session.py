"""start(): the three modes through every way of calling, the banner, and what must never leave."""

import asyncio
import importlib
import io
import json
import os
import time
from functools import partial

import child
import httpx2
import huggingface_hub
import openai
import pytest
import standin
import ways
from huggingface_hub import InferenceClient, constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import _http as hub_http
from PIL import Image
from ways import CHAT, HUB, HUB_ASYNC, HUB_STREAM, OPENAI, ROUTER, WAYS, every_way, messages

from helpers import models, tokens, wire
from helpers import session as sessions
from helpers.faults import clock, outage
from helpers.replay import cost as costs
from helpers.replay.storage import read
from helpers.session import start
from helpers.tokens import PLACEHOLDER, PRACTICE_TOKEN, SecretFound

IMAGE = f"https://router.huggingface.co/hf-inference/models/{models.image}"
TOKEN = "hf_" + "PlantedTokenOfNobody" + "0123456789abcd"
WHOLE, STREAM, MISSED = "whole", "stream", "nobody recorded this"
STREAMED = "".join(standin.WORDS)


def transports():
    return httpx2.HTTPTransport.handle_request, httpx2.AsyncHTTPTransport.handle_async_request


UNTOUCHED = transports()


@pytest.fixture(autouse=True)
def surroundings(empty_home):
    """Nothing to begin with, and nothing left behind."""
    yield
    if sessions._session is not None:
        sessions._session.stop()
    assert wire.current() is None and transports() == UNTOUCHED


def call(way, text):
    return way(text, models.chat)


def text_for(way) -> str:
    return STREAM if way.stream else WHOLE


def ask(way) -> str:
    """The answer that is recorded for `way`."""
    return call(way, text_for(way))


def request(text, **more) -> bytes:
    return json.dumps({"model": models.chat, "messages": messages(text)} | more).encode()


@pytest.fixture
def recorded(tmp_path):
    """A recording of a whole and a streamed answer, as each client asks for it, and a picture."""
    yes, picture = standin.whole(standin.chat("yes")), io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(picture, "png")
    known = {"id": models.image, "pipeline_tag": "text-to-image", "tags": []}
    cat = b'{"inputs":"a cat","parameters":{}}'
    return standin.record(
        tmp_path / "recordings" / "01_first_call.json",
        ("POST", CHAT, request(WHOLE), yes),
        ("POST", CHAT, request(WHOLE, stream=False), yes),
        ("POST", CHAT, request(STREAM, stream=True), standin.stream()),
        ("GET", f"https://huggingface.co/api/models/{models.image}", b"", standin.whole(known)),
        ("POST", IMAGE, cat, standin.whole(picture.getvalue(), kind="image/png")),
    )


@pytest.fixture
def session(recorded):
    """A session that replays it."""
    return start("01_first_call")


@every_way
def test_replay_answers_and_never_waits_at_pace_0(session, monkeypatch, way):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"slept {seconds} s"))
    assert ask(way) == (STREAMED if way.stream else "yes")
    row = session.log.last
    assert (row.status, row.answered_by, row.mode) == (200, "small model", "replay")
    assert (row.tokens, row.note) == (14, "")
    assert row.seconds == (0.45 if way.stream else 0.5)
    assert len(row.events) == (len(standin.WORDS) + 1 if way.stream else 0)


@every_way
def test_a_miss_is_shown_at_once_and_asked_once(session, way):
    started = time.perf_counter()
    with pytest.raises((HfHubHTTPError, openai.NotFoundError)) as error:
        call(way, MISSED)
    assert time.perf_counter() - started < 2
    assert [(row.note, row.status) for row in session.log] == [("not recorded", 404)]
    text, nearest = str(error.value), text_for(way)
    assert "nobody recorded this request" in text and "Practice" in text and "Live" in text
    assert f'messages[0].content: recorded "{nearest}", yours "{MISSED}"' in text


def test_replay_answers_a_picture(session):
    picture = InferenceClient(provider="hf-inference").text_to_image("a cat", model=models.image)
    assert picture.size == (3, 2) and picture.getpixel((0, 0)) == (255, 0, 0)


def test_replay_answers_a_plain_httpx2_client_and_clients_made_before(recorded, stand_in):
    early, hub = httpx2.Client(), InferenceClient()
    ai = openai.OpenAI(base_url=ROUTER, api_key="hf_" + "x" * 30)
    session = start("01_first_call")
    for client in (early, httpx2.Client(), httpx2):
        assert client.get(f"{stand_in.url}/health").status_code == 200  # no host of the service's
        answer = client.post(CHAT, content=request(WHOLE)).json()
        assert answer["usage"]["total_tokens"] == 14
    assert len(session.log) == 3
    assert HUB.ask(hub, WHOLE, models.chat) == OPENAI.ask(ai, WHOLE, models.chat) == "yes"


def test_replay_and_practice_answer_behind_a_proxy(recorded, practice, monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    hub_http.close_session()
    session = start("01_first_call")
    assert ask(HUB) == ask(OPENAI) == ask(HUB_ASYNC) == "yes"
    session.mode = "practice"
    assert call(HUB, "hello") == call(ways.OPENAI_ASYNC, "hello") == "You said: hello"
    hub_http.close_session()


def test_replay_answers_in_threads_and_tasks(session):
    async def together():
        tasks = [way for way in WAYS * 3 if way.asynchronous]
        asked = [way.aask(way.client(), text_for(way), models.chat) for way in tasks]
        return await asyncio.gather(*asked)

    got = ways.in_threads(*[partial(ask, way) for way in WAYS])
    got += asyncio.run(together())
    assert sorted(set(got)) == [STREAMED, "yes"] and len(got) == 8 + 12
    assert [row.number for row in session.log] == list(range(1, 21))


@pytest.mark.parametrize("way", [HUB_STREAM, ways.OPENAI_ASYNC_STREAM], ids=str)
def test_a_stream_takes_as_long_as_it_took(recorded, monkeypatch, way):
    monkeypatch.setenv("COURSE_PACE", "1")
    session, now = start("01_first_call"), time.perf_counter
    create = ways.method(way.client())
    asked = {"messages": messages(STREAM), "model": models.chat, "stream": True}

    async def read():
        return [now() async for _ in await create(**asked)]

    def measure():
        arrived = asyncio.run(read()) if way.asynchronous else [now() for _ in create(**asked)]
        meant = [moment for moment, _ in session.log.last.events]
        # Counted from the first piece: before it the client takes a moment to build the request.
        since_first = lambda moments: [moment - moments[0] for moment in moments]
        return zip(since_first(arrived), since_first(meant), strict=True)

    standin.in_time(measure)


def test_a_stream_left_early(session):
    with InferenceClient() as client:
        chunk = next(client.chat_completion(messages(STREAM), model=models.chat, stream=True))
    assert chunk.choices[0].delta.content == "Un" and 1 <= len(session.log.last.chunks) <= 2
    assert ask(HUB_STREAM) == STREAMED


def test_stop_puts_everything_back(session):
    assert os.environ["HF_TOKEN"] == PLACEHOLDER and wire.current() is session
    session.stop()
    session.stop()
    assert "HF_TOKEN" not in os.environ and wire.current() is None and transports() == UNTOUCHED


def test_starting_twice_ends_the_first(recorded):
    first, second = start("01_first_call"), start("01_first_call")
    assert ask(HUB) == "yes"
    assert (len(first.log), len(second.log)) == (0, 1)
    first.stop()  # long over: changes nothing
    assert ask(HUB) == "yes" and os.environ["HF_TOKEN"] == PLACEHOLDER
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
    if how == "environment":
        monkeypatch.setenv("COURSE_MODE", mode)
    with pytest.raises(error, match=says):
        begun = start("01_first_call", mode if how == "argument" else None)
        begun.mode = mode
    if how == "attribute":  # the old mode goes on
        assert sessions._session.mode == "replay" and ask(HUB) == "yes"
    else:  # nothing was begun: no token lent, nothing intercepted
        assert wire.current() is None and "HF_TOKEN" not in os.environ
    monkeypatch.delenv("COURSE_MODE", raising=False)
    session = start("01_first_call")
    with pytest.raises(error):
        start("01_first_call", mode)
    assert wire.current() is session and ask(HUB) == "yes"  # the one before answers on


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
    assert ask(HUB) == "yes"
    session.stop()
    assert os.environ["HF_TOKEN"] == TOKEN


def test_without_token(session):
    with session.without_token(), pytest.raises(ValueError, match="You must provide an api_key"):
        ask(HUB)
    assert ask(HUB) == "yes"


def test_who_is_logged_in_by_file_can_run_the_openai_cells(recorded, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    session = start("01_first_call")
    assert ask(OPENAI) == "yes" and os.environ["HF_TOKEN"] == PLACEHOLDER
    for mode, token in (("live", TOKEN), ("replay", PLACEHOLDER)):
        session.mode = mode
        assert os.environ["HF_TOKEN"] == token
    session.stop()
    assert "HF_TOKEN" not in os.environ


def test_offline_mode_does_not_stop_a_replay_but_stops_live(recorded, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    session = start("01_first_call")
    assert ask(HUB) == ask(HUB_ASYNC) == "yes"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(RuntimeError, match="HF_HUB_OFFLINE is set"):
        session.mode = "live"
    session.stop()
    assert constants.HF_HUB_OFFLINE is True
    with pytest.raises(OfflineModeIsEnabled):
        ask(HUB)


SILENT = """
import sys, httpx2
if sys.argv[1] == "hub first":
    import huggingface_hub.inference._client
from helpers import start, models
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
def test_no_hidden_call_and_nothing_in_the_learners_home(tmp_path, monkeypatch, order):
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    ran = child.python("-c", SILENT, order, HF_HOME=str(tmp_path / "hf"))
    assert ran.returncode == 0, ran.stderr
    asked = [("POST", "/v1/chat/completions"), ("GET", "/api/models/a/b")]
    assert ran.stdout.splitlines()[-1] == str(asked)
    assert not [file for file in (tmp_path / "hf").rglob("*") if file.is_file()]


@every_way
def test_practice_answers_under_the_services_name(practice, way):
    session = start("01_first_call", "practice")
    assert call(way, "hello") == (STREAMED if way.stream else "You said: hello")
    [(method, host, path, headers)] = [one for one in practice if one[2] != "/health"]
    assert (method, host, path) == ("POST", "router.huggingface.co", "/v1/chat/completions")
    assert headers["authorization"] == f"Bearer {PRACTICE_TOKEN}"
    row = session.log.last
    assert (row.mode, row.status, row.tokens) == ("practice", 200, 14)
    assert row.answered_by == row.headers["x-answered-by"] == "stand-in/model"
    assert row.host == "router.huggingface.co" and 0 < row.seconds < 5
    assert "set-cookie" not in row.headers


@pytest.mark.parametrize("token", [TOKEN, None])
def test_no_token_reaches_the_practice_server_but_a_wrong_one_typed(practice, monkeypatch, token):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    start("01_first_call", "practice")
    call(HUB, "hello")
    call(OPENAI, "hello")
    sent = {headers["authorization"] for *_, headers in practice if "authorization" in headers}
    assert sent == {f"Bearer {PRACTICE_TOKEN}"}
    HUB("hello", models.chat, token="hf_invalid")
    assert practice[-1][3]["authorization"] == "Bearer hf_invalid"


def test_switching_there_and_back(practice, session):
    clients = [(way, way.client()) for way in (OPENAI, HUB)]
    assert ask(HUB) == "yes"
    session.mode = "practice"
    for way, client in clients:
        assert way.ask(client, "hello", models.chat) == "You said: hello"
    session.mode = "replay"
    assert ask(HUB) == "yes"
    assert [row.mode for row in session.log] == ["replay", "practice", "practice", "replay"]


@pytest.fixture
def recording(practice, tmp_path, monkeypatch):
    """A session that records what the stand-in answers; `recording()` then replays it."""
    monkeypatch.setenv("COURSE_RECORD", "1")
    session = start("02_new", "practice")
    target = tmp_path / "recordings" / "02_new.json"

    def replay():
        session.stop()
        monkeypatch.delenv("COURSE_RECORD")
        replay.new.replace(target)
        return start("02_new", "replay")

    replay.target, replay.new, replay.session = target, target.with_suffix(".json.new"), session
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
    moments = [moment for moment, _ in new.events]
    assert moments == pytest.approx([moment for moment, _ in old.events], abs=0.0006)
    if way.stream:
        gaps = [b - a for a, b in zip(moments, moments[1:])]
        assert all(gap > 0.01 for gap in gaps) and sum(gaps) > 0.15, gaps


def test_what_the_log_leaves_out_the_client_gets_all_the_same(recording):
    """Recording and cleaning the log change nothing about the answer that the client is handed."""
    ask = lambda: httpx2.post(CHAT, json={"model": "m", "messages": []})
    recorded, row = ask(), recording.session.log.last
    recording.session.stop()
    os.environ.pop("COURSE_RECORD")
    plain = start("02_new", "practice")
    assert sorted(recorded.headers) == sorted(ask().headers)
    assert sorted(row.headers) == sorted(plain.log.last.headers) != sorted(recorded.headers)
    assert row.body == recorded.content


def test_gzip_is_recorded_unpacked(recording):
    assert call(HUB, "gzip") == "You said: gzip"
    recording()
    assert call(HUB, "gzip") == "You said: gzip"


def test_a_failing_upstream_is_recorded_as_it_failed_and_a_broken_line_is_not(recording):
    with pytest.raises(HfHubHTTPError, match="the model fell over"):
        call(HUB, "fail")
    with pytest.raises(httpx2.RemoteProtocolError):
        call(HUB, "break")
    assert [one["answers"][0]["status"] for one in read(recording.new)[0]] == [500]
    recording()
    with pytest.raises(HfHubHTTPError, match="the model fell over"):
        call(HUB, "fail")


def test_a_stream_left_early_is_recorded_whole(recording):
    client = InferenceClient()
    next(client.chat_completion(messages("hello"), model=models.chat, stream=True))
    recording()
    assert call(HUB_STREAM, "hello") == STREAMED


def test_recording_writes_only_what_it_may(recording):
    call(HUB, "hello")
    text = recording.new.read_text()
    unwanted = ("authorization", "set-cookie", "session=abc", "user-agent", "x-unheard-of")
    for one in (*unwanted, PRACTICE_TOKEN, PLACEHOLDER):
        assert one not in text.lower()
    assert '"x-answered-by": "stand-in/model"' in text


@pytest.mark.parametrize("where", ["my token is", "leak in a header", "leak in pieces"])
def test_a_planted_token_is_not_recorded(recording, practice, where, tmp_path):
    call(HUB, "hello")
    before = len(practice)
    with pytest.raises(SecretFound):
        call(HUB_STREAM if "pieces" in where else HUB, f"{where} {TOKEN}")
    if where == "my token is":
        assert len(practice) == before, "a token in the request is not even sent"
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert TOKEN.encode() not in kept and b"hello" in kept
    log = recording.session.log
    rows = "".join(row.as_curl() + repr(row) + str(row.json) for row in log)
    assert TOKEN not in repr(log) + log._repr_html_() + rows


def test_a_picture_is_recorded_beside_it(recording):
    with pytest.raises(OSError):  # the stand-in's picture is no real PNG
        InferenceClient(provider="hf-inference").text_to_image("a cat", model=models.image)
    recording()
    answer = httpx2.post(IMAGE, json={"inputs": "a cat", "parameters": {}})
    assert answer.content == standin.PICTURE and answer.headers["content-type"] == "image/png"
    [picture] = recording.target.with_suffix("").iterdir()
    assert picture.suffix == ".png" and picture.read_bytes() == standin.PICTURE


def write_calls(folder, *calls):
    """A recording `x` of requests, (url, body, answer) each, dated 2026-11-23."""
    posts = [("POST", url, json.dumps(body).encode(), answer) for url, body, answer in calls]
    path = standin.record(folder / "recordings" / "x.json", *posts)
    text = path.read_text()
    today = json.loads(text)[0]["answers"][0]["answered_by"]["date"]
    path.write_text(text.replace(today, "2026-11-23"))


MILLIONS = {"prompt_tokens": 1_000_000, "completion_tokens": 2_000_000, "total_tokens": 3_000_000}
COSTLY = standin.whole({"usage": MILLIONS})
ASKED = {"model": models.chat}
SILENT_STREAM = standin.stream([event for event in standin.events() if b"usage" not in event])
LONG = {"model": models.chat, "messages": messages("x" * 400), "stream": True}
ENDPOINTS = "endpoints.huggingface.cloud"
EMBED = f"{IMAGE.removesuffix(models.image)}{models.embedding}/pipeline/feature-extraction"
EMBEDDED = (EMBED, {"inputs": "a"}, standin.whole([1.0], seconds=10))


def chat_price(prompt, completion):
    price = models["chat"].price
    return prompt / 1e6 * price["input"] + completion / 1e6 * price["output"]


DOLLARS = f"about ${chat_price(1e6, 2e6):.2f} of credits"
SOME_UNKNOWN = f"{DOLLARS} and 1 call of unknown price"
OF_ITS_OWN = "an endpoint of your own, paid by the minute (you are asked first)."
ONE, UNKNOWN = (CHAT, ASKED, COSTLY), (CHAT, {"model": "no/such"}, standin.whole({}))
CALLED = (f"https://mine.us-east-1.aws.{ENDPOINTS}/v1/chat/completions", ASKED, COSTLY)
CREATED = (
    f"https://api.{ENDPOINTS}/v2/endpoint/me",
    {"name": "mine", "model": {"repository": models.chat}},
    standin.whole({"name": "mine"}),
)
MANY = [(CHAT, ASKED | {"seed": n}, standin.whole(standin.chat("yes"))) for n in range(3)]


def test_banner_of_one_call(tmp_path, capsys):
    write_calls(tmp_path, ONE)
    session = start("x")
    line = "Replay: nothing leaves this machine. Answers by small model, recorded 2026-11-23. "
    line += f"1 call in this lesson; live: {DOLLARS}."
    assert capsys.readouterr().out == line + "\n" and session.banner() == line
    session._mode, free = "practice", "Practice: small models on this machine answer, free."
    assert session.banner() == f"{free} 1 call in this lesson."
    session._mode = "live"
    assert session.banner() == f"Live: your token pays. 1 call in this lesson; {DOLLARS}."


@pytest.mark.parametrize(
    "calls, end",
    [
        ([], "Replay: nothing leaves this machine. No calls recorded for this lesson."),
        (MANY, "3 calls in this lesson; live: less than $0.0001 of credits."),
        ([ONE, UNKNOWN], f"2 calls in this lesson; live: {SOME_UNKNOWN}."),
        # Somebody else's, or one that runs already.
        ([CALLED], "1 call in this lesson; live: free."),
        ([CREATED, CALLED], f"live: {OF_ITS_OWN}"),
        ([CREATED, CALLED, ONE, UNKNOWN], f"{SOME_UNKNOWN} and {OF_ITS_OWN}"),
    ],
)
def test_the_end_of_a_banner(tmp_path, calls, end):
    if calls:
        write_calls(tmp_path, *calls)
    assert start("x").banner().endswith(end)


@pytest.mark.parametrize(
    "calls, cost",
    [
        ([ONE], chat_price(1e6, 2e6)),
        ([(CHAT, {"model": models.chat + ":cheapest"}, COSTLY), ONE], 2 * chat_price(1e6, 2e6)),
        ([(CHAT, ASKED, standin.whole({"usage": MILLIONS}, status=429))], 0),
        ([(CHAT, {"model": "no/such"}, COSTLY)], 0),
        ([(CHAT, [1, 2], COSTLY)], 0),
        ([(CHAT, ASKED | {"stream": True}, standin.stream())], chat_price(10, 4)),
        ([EMBEDDED], 10 * models["embedding"].price["second"]),
        # A stream without usage.
        ([(CHAT, LONG, SILENT_STREAM)], chat_price(len(json.dumps(LONG)) // 4, 4)),
    ],
)
def test_rough_cost(tmp_path, calls, cost):
    write_calls(tmp_path, *calls)
    assert costs.rough_cost(start("x").recording) == pytest.approx(cost)


def test_rough_cost_of_pictures_whose_address_has_the_providers_own_name(tmp_path):
    row, link = models["image"], {"images": [{"url": "https://v3.fal.media/files/a.png"}]}
    served = {"providerId": "fal-ai/flux/dev", "status": "live", "task": row.task}
    known = {"id": row.id, "inferenceProviderMapping": {"fal-ai": served}}
    look_up = f"https://huggingface.co/api/models/{row.id}?expand=inferenceProviderMapping"
    calls = [("GET", look_up, b"", standin.whole(known))]
    for side in (256, 1024, 1025):
        asked = {"prompt": "a cat", "image_size": {"width": side, "height": side}}
        url = "https://router.huggingface.co/fal-ai/fal-ai/flux/dev"
        calls.append(("POST", url, json.dumps(asked).encode(), standin.whole(link)))
    standin.record(tmp_path / "recordings" / "x.json", *calls)
    megapixels = 1 + 1 + 2
    cost = costs.rough_cost(start("x").recording)
    assert cost == pytest.approx(megapixels * row.price["megapixel"])


def test_damage_is_told_under_the_banner(recorded, capsys):
    lines = recorded.read_text().splitlines()
    recorded.write_text("\n".join(lines[:-3]))
    start("01_first_call")
    banner, damage, *rest = capsys.readouterr().out.splitlines()
    assert damage.startswith("Damaged recording: 01_first_call.json, line ") and rest == []
    assert ask(HUB) == "yes"


def test_the_switch(recorded, practice, shown):
    from helpers.widgets import show_switch

    session = start("01_first_call")
    show_switch(session)
    [(box, text)] = shown
    (_label, replay, local, live), said = box.children[0].children, box.children[1]
    assert (replay.description, local.description) == ("Replay (now)", "Practice")
    assert "session.mode" in text
    local.click()
    assert session.mode == "practice" and "Practice: small models" in said.value
    assert (replay.description, local.description) == ("Replay", "Practice (now)")
    live.click()
    assert session.mode == "practice"
    for words in ("Not switched", "own token", "<code>hf auth login</code>"):
        assert words in said.value
    assert (local.description, live.description) == ("Practice (now)", "Live")
    replay.click()
    assert session.mode == "replay" and "Replay: nothing leaves" in said.value


def test_importing_the_course_imports_little():
    big = {"matplotlib", "ipywidgets", "numpy", "openai", "huggingface_hub", "authoring", "IPython"}
    ran = child.python("-c", f"import sys, helpers; print({big} & sys.modules.keys())")
    assert ran.stdout.strip() == "set()", ran.stderr


def test_versions_this_was_written_for():
    assert huggingface_hub.__version__ >= "2.4" and openai.__version__ >= "3.54"


def test_a_request_stays_in_the_mode_that_it_was_asked_in(practice, session, monkeypatch):
    session.mode, row = "practice", session.row

    def switched(request):
        try:
            return row(request)
        finally:
            session.mode = "replay"

    monkeypatch.setattr(session, "row", switched)
    assert call(HUB, "hello") == "You said: hello" and session.mode == "replay"
    assert practice[-1][3]["authorization"] == f"Bearer {PRACTICE_TOKEN}"


@pytest.mark.parametrize("way", [way for way in WAYS if way.asynchronous], ids=str)
def test_a_time_limit_in_an_outage_waits_for_a_real_server(practice, session, way):
    """In Practice time stands still while the server is asked, and goes on between the pieces."""
    session.mode = "practice"

    async def limited(seconds):
        async with asyncio.timeout(seconds):
            return await way.aask(way.client(), "hello", models.chat)

    async def main():
        began, beside = time.monotonic(), asyncio.ensure_future(asyncio.sleep(10))
        answers = await asyncio.gather(limited(30), limited(20))
        await beside
        return answers, time.monotonic() - began

    with outage() as lab:
        said, took = asyncio.run(main())
        assert said == [STREAMED if way.stream else "You said: hello"] * 2 and 10 <= took < 11
        client = InferenceClient()
        streamed = client.chat_completion(messages("hi"), model=models.chat, stream=True)
        assert [time.sleep(5) for _ in streamed]
        assert lab.clock.time() > 20


def test_no_session_is_stopped_in_an_outage(session):
    with outage():
        with pytest.raises(RuntimeError, match="leave the outage's `with`"):
            session.stop()
        assert ask(HUB) == "yes"
        start("01_first_call")
        assert ask(HUB) == "yes"
    assert wire.current() is sessions._session


def test_tokens_and_clock_may_be_reloaded_in_a_session(recorded, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-secret-of-another-form")
    session, sleep = start("01_first_call"), time.sleep
    kept = {module: dict(vars(module)) for module in (tokens, clock)}
    try:
        with outage():
            for module in kept:
                importlib.reload(module)
            time.sleep(5)
        assert time.sleep is sleep and ask(HUB) == "yes"
        assert tokens.learners() == "a-secret-of-another-form"
        assert tokens.mask("a-secret-of-another-form") == "$HF_TOKEN"
        session.stop()
        assert os.environ["HF_TOKEN"] == "a-secret-of-another-form"
    finally:
        for module, names in kept.items():
            vars(module).update(names)
