"""Recording, finding, playing back, and reading what is damaged."""

import hashlib
import json
import random
import sys
import time
from functools import partial
from pathlib import Path

import child
import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st
from standin import PICTURE, record, whole
from ways import CHAT, in_threads, messages

from helpers.replay.recorder import KEEP, Recorder
from helpers.replay.recording import Recording, canonical, key, miss
from helpers.replay.storage import check, pretty, read, write
from helpers.tokens import SecretFound
from helpers.wire import Plan

HUB = "https://huggingface.co/api/models/a/b"
BY = {"model": "small model"}


def body(said="hello", **more) -> bytes:
    return json.dumps({"model": "m", "messages": messages(said)} | more).encode()


def post(content: bytes, answer: Plan) -> tuple:
    """A call to record."""
    return "POST", CHAT, content, answer


def picture(content=PICTURE) -> Plan:
    return whole(content, kind="image/png")


def said(recording: Recording, content: bytes, method="POST", url=CHAT):
    """The JSON that a recording answers; None for a miss."""
    found = recording.answer(method, url, content)
    return found and json.loads(b"".join(chunk for _, chunk in found[0].chunks))


def numbered(numbers) -> list:
    """The same call, answered by each of these numbers."""
    return [post(body(), whole({"n": n})) for n in numbers]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "01_first_call.json"


SAME = {
    b'{"a":1,"b":[1,2]}': b'{ "b": [1, 2],\n "a": 1 }',
    b'{"t":1}': b'{"t":1.0}',
    b'{"t":"\xc3\xa9"}': b'{"t":"\\u00e9"}',
    b'{"a":{"x":0,"y":2.50}}': b'{"a":{"y":2.5,"x":0.0}}',
}
OTHER = {
    b'{"a":1}': [b'{"a":2}', b'{"a":"1"}', b'{"a":true}', b'{"a":1.5}'],
    b"{}": [b'{"a":null}', b""],
    b"[1,2]": [b"[2,1]"],
    b"": [b"null"],
    b"raw": [b"Raw"],
    b'{"a":': [b'{"b":'],
}


@pytest.mark.parametrize("one, other", SAME.items())
def test_equal_in_meaning(one, other):
    assert key("POST", CHAT, one) == key("POST", CHAT, other)


@pytest.mark.parametrize("one, other", [(one, other) for one in OTHER for other in OTHER[one]])
def test_different_in_meaning(one, other):
    assert key("POST", CHAT, one) != key("POST", CHAT, other)


def test_method_and_url_count():
    asked = [("GET", HUB), ("HEAD", HUB), ("GET", HUB + "?expand=x"), ("GET", HUB + "2")]
    assert len({key(method, url, b"") for method, url in asked}) == 4


numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
nested = lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
values = st.recursive(st.none() | st.booleans() | numbers | st.text(), nested, max_leaves=8)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), values, max_size=4))
def test_order_and_spacing_never_matter(value):
    turned = json.dumps(dict(reversed(value.items())), indent=2)
    plain = json.dumps(value)
    assert key("POST", CHAT, turned.encode()) == key("POST", CHAT, plain.encode())


@settings(max_examples=40)
@given(values)
def test_pretty_json_is_the_same_json(value):
    assert canonical(json.loads(pretty(value))) == canonical(value)


def test_json_text_picture_stream_and_nothing(path):
    pieces = [(0.1, b"data: 1\n\n"), (0.25, b"data: \xc3"), (0.3, b"\xa9\n\n")]
    stream = Plan(200, {"content-type": "text/event-stream"}, pieces, 0.05)
    raw, halves = bytes([0xFF, 0xFE, 0]), [(0.2, PICTURE[:99]), (0.4, PICTURE[99:])]
    in_json = [
        post(body("json"), whole({"a": [1, 2.5, "é"]})),
        post(b"\x00\x01 sound", whole({"text": "hm"})),
        ("DELETE", HUB, b"", Plan(204, {}, [])),
    ]
    as_it_was = [
        post(body("text"), whole("<b>só</b>".encode(), 503, kind="text/html")),
        post(body("picture"), Plan(200, {"content-type": "image/png"}, halves)),
        post(body("strange"), whole(raw, kind="../../evil")),
        post(body("stream"), stream),
    ]
    recording = Recording(record(path, *in_json, *as_it_was))
    assert recording.problems == [] == check(path)
    for method, url, content, was in in_json + as_it_was:
        now, by = recording.answer(method, url, content)
        assert (now.status, by["model"]) == (was.status, "small model")
        assert now.headers.get("content-type") == was.headers.get("content-type")
    for method, url, content, was in as_it_was:  # JSON keeps its meaning, not its spaces
        now, _ = recording.answer(method, url, content)
        assert b"".join(c for _, c in now.chunks) == b"".join(c for _, c in was.chunks)
    # A character cut in two stays cut.
    assert now.chunks == stream.chunks and now.headers_at == 0.05
    files = {file.name for file in path.with_suffix("").iterdir()}
    digest = lambda content: hashlib.sha256(content).hexdigest()[:16]
    assert files == {digest(PICTURE) + ".png", digest(raw) + ".bin"}
    assert now.chunks == Recording(path).answer("POST", CHAT, body("stream"))[0].chunks
    assert recording.answer("POST", CHAT, body("picture"))[0].chunks == [(0.4, PICTURE)]


def test_the_same_request_again_gets_the_next_answer_then_the_last(path):
    recording = Recording(record(path, *numbered(range(3))))
    assert [said(recording, body())["n"] for _ in range(5)] == [0, 1, 2, 2, 2]
    assert said(Recording(path), body()) == {"n": 0}


def test_the_hubs_look_ups_come_in_any_order_and_number(path):
    urls = [f"{HUB}?n={n}" for n in range(4)]
    found = [whole({"id": url}, ratelimit=f'"api";r={n};t=9') for n, url in enumerate(urls * 3)]
    looks = [("GET", url, b"", answer) for url, answer in zip(urls * 3, found)]
    recording = Recording(record(path, *looks))
    assert all(len(one["answers"]) == 1 for one in recording.records)
    asked = random.Random(1).choices(urls, k=40)
    assert [said(recording, b"", "GET", url)["id"] for url in asked] == asked


def test_an_endpoints_states_stay_in_order(path):
    url = "https://api.endpoints.huggingface.cloud/v2/endpoint/me/x"
    states = ["pending", "initializing", "running"]
    recording = Recording(record(path, *[("GET", url, b"", whole({"state": s})) for s in states]))
    heard = [said(recording, b"", "GET", url)["state"] for _ in range(4)]
    assert heard == [*states, "running"]


def test_threads_get_each_answer_once(path):
    recording = Recording(record(path, *numbered(range(60))))
    got = in_threads(*[lambda: [said(recording, body())["n"] for _ in range(10)]] * 6)
    assert sorted(n for each in got for n in each) == list(range(60))


def test_answers_that_overtake_each_other_are_recorded_in_the_order_of_asking(path):
    recorder = Recorder(path)
    for number in (3, 1, 2):
        recorder.add(number, *numbered([number])[0], BY)
    assert [answer["json"]["n"] for answer in read(recorder.new)[0][0]["answers"]] == [1, 2, 3]


def test_concurrent_recording_loses_nothing(path):
    recorder = Recorder(path)
    add = lambda n: recorder.add(n, *post(body(str(n)), whole({"n": n})), BY)
    in_threads(*[partial(add, n) for n in range(24)])
    found = [one["answers"][0]["json"]["n"] for one in read(recorder.new)[0]]
    assert sorted(found) == list(range(24))


def many(path, contents) -> Recording:
    """A recording of as many requests, written without the recorder."""
    answer = {"status": 200, "seconds": 0.1, "headers": {}, "answered_by": BY, "json": {}}
    asked = [{"method": "POST", "url": CHAT, "json": json.loads(content)} for content in contents]
    write(path, [{"request": request, "answers": [answer]} for request in asked])
    return Recording(path)


def test_a_look_up_takes_no_longer_among_ten_thousand(path):
    def per_call(count):
        contents = [body(f"{n} " * 50) for n in range(count)]
        recording, times = many(path, contents), []
        for content in random.Random(1).choices(contents, k=200):
            started = time.perf_counter()
            assert recording.answer("POST", CHAT, content)
            times.append(time.perf_counter() - started)
        return sorted(times)[len(times) // 2]

    few, lots = per_call(10), per_call(10_000)
    assert lots < 3 * few + 20e-6, f"{few * 1e6:.0f} µs among 10, {lots * 1e6:.0f} µs among 10,000"


CHATS, JOKE, QUESTION = ("POST", CHAT), "Tell me a joke", "What is a token?"
REWORDED = f'messages[0].content: recorded "{QUESTION}", yours "What is a model?"'


@pytest.mark.parametrize(
    "method, url, content, nearest, differs",
    [
        (*CHATS, body(JOKE, temperature=0.6), 0.5, "temperature: recorded 0.5, yours 0.6"),
        (*CHATS, body(JOKE, temperature=9), 1.0, "temperature: recorded 1.0, yours 9"),
        (*CHATS, body(JOKE), 0.0, "temperature: recorded 0.0, yours nothing"),
        (*CHATS, body("What is a model?"), None, REWORDED),
        (*CHATS, body(JOKE, temperature=0.5, seed=1), 0.5, "seed: recorded nothing, yours 1"),
        ("GET", HUB + "?expand=x", b"", None, f'url: recorded "{HUB}", yours "{HUB}?expand=x"'),
        ("PUT", CHAT, body(QUESTION), None, 'method: recorded "POST", yours "PUT"'),
    ],
)
def test_a_miss_names_the_nearest_and_the_field(path, method, url, content, nearest, differs):
    calls = [post(body(JOKE, temperature=t), whole({})) for t in (0.0, 0.5, 1.0)]
    calls += [post(body(QUESTION), whole({})), ("GET", HUB, b"", whole({}))]
    recording = Recording(record(path, *calls))
    assert recording.answer(method, url, content) is None
    request, differing = recording.nearest(method, url, content)
    assert differs in differing
    if method != "GET":
        assert request["json"].get("temperature") == nearest and len(differing) == 1
    answer = miss(recording, method, url, content)
    text = json.loads(answer.chunks[0][1])["message"]
    assert answer.status == 404 and differs in text and "Practice" in text and "Live" in text


def test_a_miss_where_nothing_is_recorded_and_where_the_file_is_damaged(path):
    text = lambda: miss(Recording(path), "GET", HUB, b"").chunks[0][1].decode()
    assert "01_first_call.json has no recorded requests at all" in text()
    path.write_text("")
    assert "damaged (01_first_call.json, line 1" in text()


def test_a_miss_is_quick_among_many(path):
    recording, started = many(path, [body(f"{n}") for n in range(1000)]), time.perf_counter()
    miss(recording, "POST", CHAT, body("unheard of"))
    assert time.perf_counter() - started < 3


# ---- damage ------------------------------------------------------------------------------------


FOUR = [post(body(f"q{n}"), whole({"n": n, "long": ["x" * 90, "y" * 90]})) for n in range(4)]


@pytest.fixture
def four(path):
    """A recording of four requests; the lines on which the records begin, and all its lines."""
    lines = record(path, *FOUR).read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if line == "{"], lines


def usable(path, lines=None):
    """Which of the four can be played (when the file has these lines), and the problems told."""
    if lines:
        path.write_text("\n".join(lines))
    recording = Recording(path)
    return [n for n in range(4) if said(recording, body(f"q{n}"))], recording.problems


def test_half_written(path, four):
    starts, lines = four
    assert usable(path) == ([0, 1, 2, 3], [])
    good, [problem] = usable(path, lines[: starts[2] + 6])  # the third stops in the middle
    assert good == [0, 1]
    assert f"the record that begins in line {starts[2]} cannot be read" in problem


@pytest.mark.parametrize("where", [0, 1, 2, 3])
def test_one_damaged_record_does_not_touch_the_others(path, four, where):
    starts, lines = four
    damaged = next(i for i in range(starts[where], len(lines)) if '"status"' in lines[i])
    lines[damaged] = lines[damaged].replace('"status": ', '"status" ')
    good, [problem] = usable(path, lines)
    assert good == [n for n in range(4) if n != where]
    assert problem.startswith(f"01_first_call.json, line {damaged + 1}: ")


def test_a_lost_opening_line_costs_only_its_own_record(path, four):
    starts, lines = four
    del lines[starts[1] - 1]
    good, [problem] = usable(path, lines)
    assert good == [0, 2, 3] and f"line {starts[1] - 1}" in problem


def test_merge_conflict_markers(path, four):
    starts, lines = four
    lines.insert(starts[1] - 1, "<<<<<<< HEAD")
    good, problems = usable(path, lines)
    assert good == [0, 1, 2, 3] and "<<<<<<< HEAD" in problems[0]


def test_bytes_that_are_not_text(path, four):
    path.write_bytes(path.read_bytes().replace(b'"q1"', b'"q\xff"'))
    good, problems = usable(path)
    assert good == [0, 2, 3]
    assert "is not UTF-8" in problems[0] and f"begins in line {four[0][1]}" in problems[0]


NOTHING = ["", "   \n", "hello", '{"cells": []}', '"text"', "[", "[1, 2]", "null", "[{}]", "\0\0"]


@pytest.mark.parametrize("content", NOTHING)
def test_emptied_and_not_a_recording(path, content):
    path.write_text(content)
    records, problems = read(path)
    assert records == [] and problems and all("line 1" in problem for problem in problems)


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda record, answer: record.pop("request"), "has no request"),
        (lambda record, answer: record["request"].pop("url"), "without method and url"),
        (lambda record, answer: record.pop("answers"), "has no answers"),
        (lambda record, answer: record["answers"].clear(), "has no answers"),
        (lambda record, answer: answer.pop("status"), "status"),
        (lambda record, answer: answer.update(status=7), "wrong status"),
        (lambda record, answer: answer.pop("json"), "cannot be played"),
        (lambda record, answer: answer.pop("seconds"), "cannot be played"),
        (lambda record, answer: answer.update(stream=[1]), "cannot be played"),
        (lambda record, answer: answer.pop("answered_by"), "cannot be played"),
        (lambda record, answer: answer.update(headers="none"), "has an answer"),
        (
            lambda record, answer: answer.update(file="gone.png") or answer.pop("json"),
            "gone.png, which is missing",
        ),
    ],
)
def test_valid_json_but_not_a_record(path, four, change, says):
    records = json.loads(path.read_text())
    change(records[2], records[2]["answers"][0])
    path.write_text("[\n" + ",\n".join(pretty(one) for one in records) + "\n]\n")
    good, [problem] = usable(path)
    assert good == [0, 1, 3] and says in problem and "line" in problem


def test_a_folder_in_its_place_and_no_file(path):
    assert read(path) == ([], [])
    path.mkdir()
    assert "cannot be read" in read(path)[1][0]


def test_an_altered_picture_is_found(path):
    record(path, post(body(), picture()))
    [stored] = path.with_suffix("").iterdir()
    assert check(path) == []
    stored.write_bytes(b"something else")
    assert "is not the one that was recorded" in check(path)[0]


@settings(max_examples=60)
@given(st.data())
def test_any_damage_is_survived_and_told(tmp_path_factory, data):
    path = record(tmp_path_factory.mktemp("damage") / "x.json", *FOUR)
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(1, 40))
    content[start : start + length] = data.draw(st.binary(max_size=5))
    path.write_bytes(bytes(content))
    good, problems = usable(path)
    assert len(good) >= 2 and (problems or len(good) >= 3)


# ---- recording again, and recordings that go wrong ---------------------------------------------


def test_recording_again_with_the_same_answers_changes_no_byte(path):
    events = standin.events()

    def run(delay=0.0):
        pieces = [(0.1 + n / 100, piece) for n, piece in enumerate(events)]
        if delay:  # the network cuts the same stream in other places
            pieces = [(0.3, b"".join(events)[:50]), (0.4, b"".join(events)[50:])]
        yes = whole(standin.chat("yes"), seconds=0.5 + delay, **{"x-request-id": f"{delay}"})
        streamed = Plan(200, {"content-type": "text/event-stream"}, pieces)
        known = whole({"id": "a/b"}, ratelimit=f'"api";r={delay};t=1')
        calls = post(body("a", x=1), yes), post(body("b"), streamed), ("GET", HUB, b"", known)
        return record(path, *calls).read_bytes()

    before = run()
    time.sleep(0.002)
    assert run(delay=0.2) == before


YES = standin.chat("yes")
CHANGED = [standin.chat("no"), 200], [YES, 503], [standin.chat("yes", model="other"), 200]


@pytest.mark.parametrize("new", CHANGED)
def test_a_changed_answer_changes_its_own_record_only(path, new):
    first, last = post(body("a"), whole({"a": 1})), post(body("z"), whole({"z": 1}))
    before, after = (
        read(record(path, first, post(body("b"), whole(*answer)), last))[0]
        for answer in ([YES], new)
    )
    assert [one == other for one, other in zip(before, after)] == [True, False, True]


def test_a_renamed_model_in_a_catalogue_is_a_change(path):
    url = "https://router.huggingface.co/v1/models"
    record(path, ("GET", url, b"", whole({"data": [{"id": "one"}]})))
    record(path, ("GET", url, b"", whole({"data": [{"id": "two"}]})))
    assert read(path)[0][0]["answers"][0]["json"] == {"data": [{"id": "two"}]}


def test_what_is_no_longer_asked_goes_and_the_order_stays(path):
    for names in ("abc", "dcb"):
        record(path, *[post(body(name), whole({"n": name})) for name in names])
    assert [one["answers"][0]["json"]["n"] for one in read(path)[0]] == ["b", "c", "d"]


def test_headers_by_list_only(path):
    unknown = {"set-cookie": "a=b", "x-amz-cf-id": "1", "authorization": "x"}
    answer = whole({}, **dict.fromkeys(KEEP, "1") | unknown | {"content-type": "application/json"})
    record(path, post(body(), answer))
    stored = json.loads(path.read_text())[0]
    assert set(stored["answers"][0]["headers"]) == set(KEEP)
    assert set(stored["request"]) == {"method", "url", "json"}


TOKEN = "hf_" + "PlantedTokenOfNobody" + "0123456789abcd"
HALVES = TOKEN[:9], TOKEN[9:]
PLANTED = {
    "request": post(body(f"my token is {TOKEN}"), whole({})),
    "url": ("POST", f"{CHAT}?token={TOKEN}", body(), whole({})),
    "raw request": post(b"raw " + TOKEN.encode(), whole({})),
    "after a line break": post(body(f"line\n{TOKEN}"), whole({})),
    "answer": post(body(), whole({"echo": f"line\n{TOKEN}"})),
    "JSON in JSON": post(body(), whole({"arguments": json.dumps({"x": f"\n{TOKEN}"})})),
    "header": post(body(), whole({}, **{"x-request-id": TOKEN})),
    "two pieces": post(body(), Plan(200, {}, [(0.1, half.encode()) for half in HALVES])),
    "two stream events": post(body(), standin.stream(standin.events(HALVES))),
    "picture": post(body(), picture(PICTURE + TOKEN.encode())),
    "another service's key": post(body(), whole({"key": "sk-" + "proj-abcdefghijklmnop1234"})),
    "another after a break": post(body(), whole({"key": "\ngsk_" + "abcdefghijklmnop1234"})),
    "field name": post(body(), whole({TOKEN: 1})),
}


@pytest.mark.parametrize("call", PLANTED.values(), ids=PLANTED)
def test_a_planted_token_is_never_written(path, call):
    before = record(path, post(body("before"), whole({}))).read_bytes()
    recorder = Recorder(path)
    recorder.add(1, *post(body("fine"), whole({"fine": 1})), BY)
    with pytest.raises(SecretFound) as error:
        recorder.add(2, *call, BY)
    recorder.add(3, *post(body("fine too"), whole({"fine": 2})), BY)
    written = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    secret = TOKEN if "sk" not in str(call) or TOKEN in str(call) else "abcdefghijklmnop1234"
    assert secret.encode() not in written and TOKEN[9:].encode() not in written
    assert TOKEN not in str(error.value)
    assert path.read_bytes() == before and len(read(recorder.new)[0]) == 2


def test_this_process_own_token_is_found_whatever_it_looks_like(path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "an-organisations-own-form")
    with pytest.raises(SecretFound):
        Recorder(path).add(1, *post(body(), whole({"you": "an-organisations-own-form"})), BY)


INNOCENT = ["hf_hub_download", "task_classification_pipeline_x"]
INNOCENT += ["risk-based-approach-to-things", "hf-inference"]


@pytest.mark.parametrize("innocent", INNOCENT)
def test_what_only_looks_a_little_like_a_token_is_kept(path, innocent):
    assert innocent in record(path, post(body(), whole({"text": innocent}))).read_text()


def test_a_token_put_into_a_file_by_hand_is_reported(path):
    text = record(path, post(body(), whole({"a": "PLACE"}))).read_text()
    path.write_text(text.replace("PLACE", TOKEN))
    assert any("look like access tokens" in problem for problem in check(path))


DIES = """
import json, os, sys, signal
from pathlib import Path
from helpers.replay.recorder import Recorder
from helpers.replay import storage
from helpers.wire import Plan
recorder = Recorder(Path(sys.argv[1]))
for n in range(1000):
    if n == 5:
        real = os.replace
        # dies with the new file half in place
        os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
    url, body = "https://router.huggingface.co/v1/x", json.dumps({"n": n}).encode()
    recorder.add(n, "POST", url, body, Plan(200, {}, [(0.1, b"{}")]), {"model": "m"})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_recording_run_that_is_killed_loses_nothing(path):
    kept = post(body(), whole({"kept": True}))
    before = record(path, kept).read_bytes()
    died = child.python("-c", DIES, path)
    assert died.returncode == -9, died.stderr
    assert path.read_bytes() == before
    assert len(read(path.with_suffix(".json.new"))[0]) == 5  # and what came before is there, whole
    recorder = Recorder(path)  # the next run is not disturbed by what lies about
    recorder.add(1, *kept, BY)
    assert recorder.new.read_bytes() == before


def test_a_picture_that_is_there_is_not_written_again(path):
    call = post(body(), picture())
    record(path, call)
    [stored] = path.with_suffix("").iterdir()
    written = stored.stat().st_mtime_ns
    record(path, call)
    assert stored.stat().st_mtime_ns == written
    stored.write_bytes(b"half")  # a run died while writing it
    record(path, call)
    assert stored.read_bytes() == PICTURE


def test_pictures_are_found_before_the_new_file_is_in_place(path):
    record(path, post(body(), picture()))  # an earlier recording stands beside it
    recorder = Recorder(path)
    recorder.add(1, *post(body(), picture()), BY)
    records, problems = read(recorder.new)
    assert len(records) == 1 and not problems


def test_a_file_that_would_not_change_is_not_touched(path):
    written = record(path, post(body(), whole({"a": 1}))).stat().st_mtime_ns
    write(path, read(path)[0])
    assert path.stat().st_mtime_ns == written


def test_the_file_is_made_to_be_read_and_compared(path):
    embedding = np.linspace(0, 1, 384).round(6).tolist()
    record(path, post(body("a question", temperature=0.5), whole([embedding, embedding])))
    lines = path.read_text().splitlines()
    assert len([line for line in lines if len(line) > 1000]) == 2  # a vector a line
    assert any("a question" in line and len(line) < 150 for line in lines)
    assert path.read_bytes().endswith(b"]\n") and b"\r" not in path.read_bytes()
