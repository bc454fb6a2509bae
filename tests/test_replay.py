"""Recording, finding, playing back, and reading what is damaged."""

import hashlib
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.replay.recorder import KEEP, Recorder
from helpers.replay.recording import Recording, canonical, key, miss
from helpers.replay.storage import check, pretty, read, write
from helpers.tokens import SecretFound
from helpers.wire import Plan

ROUTER = "https://router.huggingface.co/v1/chat/completions"
HUB = "https://huggingface.co/api/models/a/b"
BY = {"model": "stand-in/model"}


def body(said="hello", **more) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": said}]} | more,
        separators=(",", ":"),
    ).encode()


def whole(value, status=200, seconds=0.5, **headers) -> Plan:
    return Plan(
        status,
        {"content-type": "application/json"} | headers,
        [(seconds, json.dumps(value).encode())],
        seconds / 2,
    )


def record(path: Path, *calls) -> Path:
    """Record calls [(method, url, content, Plan), …] into `path`, as `make record` does, and put it
    in place."""
    recorder = Recorder(path)
    for number, call in enumerate(calls, 1):
        recorder.add(number, *call, BY)
    recorder.new.replace(path)
    return path


def said(recording: Recording, content: bytes, method="POST", url=ROUTER):
    """The JSON that a recording answers; None for a miss."""
    found = recording.answer(method, url, content)
    return found and json.loads(b"".join(chunk for _, chunk in found[0].chunks))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "01_first_call.json"


# ---- what a request means ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "one, other",
    [
        (b'{"a":1,"b":[1,2]}', b'{ "b": [1, 2],\n "a": 1 }'),
        (b'{"t":1}', b'{"t":1.0}'),
        (b'{"t":"\xc3\xa9"}', b'{"t":"\\u00e9"}'),
        (b'{"a":{"x":0,"y":2.50}}', b'{"a":{"y":2.5,"x":0.0}}'),
    ],
)
def test_equal_in_meaning(one, other):
    assert key("POST", ROUTER, one) == key("POST", ROUTER, other)


@pytest.mark.parametrize(
    "one, other",
    [
        (b'{"a":1}', b'{"a":2}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":null}', b"{}"),
        (b"[1,2]", b"[2,1]"),
        (b"", b"{}"),
        (b"", b"null"),
        (b"raw", b"Raw"),
        (b'{"a":', b'{"b":'),
        (b'{"a":1.5}', b'{"a":1}'),
    ],
)
def test_different_in_meaning(one, other):
    assert key("POST", ROUTER, one) != key("POST", ROUTER, other)


def test_method_and_url_count():
    keys = {
        key("GET", HUB, b""),
        key("HEAD", HUB, b""),
        key("GET", HUB + "?expand=x", b""),
        key("GET", HUB + "2", b""),
    }
    assert len(keys) == 4


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), values, max_size=4))
def test_order_and_spacing_never_matter(value):
    turned = dict(reversed(value.items()))
    assert key("POST", ROUTER, json.dumps(turned, indent=2).encode()) == key(
        "POST", ROUTER, json.dumps(value).encode()
    )


@settings(max_examples=40)
@given(values)
def test_pretty_json_is_the_same_json(value):
    assert canonical(json.loads(pretty(value))) == canonical(value)


# ---- answers -----------------------------------------------------------------------------------


def test_json_text_picture_stream_and_nothing(path):
    stream = Plan(
        200,
        {"content-type": "text/event-stream"},
        [(0.1, b"data: 1\n\n"), (0.25, b"data: \xc3"), (0.3, b"\xa9\n\n")],
        0.05,
    )
    raw = bytes([0xFF, 0xFE, 0])
    calls = [
        ("POST", ROUTER, body("json"), whole({"a": [1, 2.5, "é"]})),
        (
            "POST",
            ROUTER,
            body("text"),
            Plan(503, {"content-type": "text/html"}, [(0.2, "<b>só</b>".encode())]),
        ),
        (
            "POST",
            ROUTER,
            body("picture"),
            Plan(
                200,
                {"content-type": "image/png"},
                [(0.2, standin.PICTURE[:99]), (0.4, standin.PICTURE[99:])],
            ),
        ),
        (
            "POST",
            ROUTER,
            body("strange"),
            Plan(200, {"content-type": "../../evil"}, [(0.2, raw)]),
        ),
        ("POST", ROUTER, body("stream"), stream),
        ("POST", ROUTER, b"\x00\x01 sound", whole({"text": "hm"})),
        ("DELETE", HUB, b"", Plan(204, {}, [], 0.3)),
    ]
    recording = Recording(record(path, *calls))
    assert recording.problems == [] == check(path)
    for method, url, content, was in calls:
        now, by = recording.answer(method, url, content)
        assert (now.status, by["model"]) == (was.status, "stand-in/model")
        assert now.headers.get("content-type") == was.headers.get("content-type")
        if (
            method == "POST" and content != calls[0][2] and content != calls[5][2]
        ):  # JSON keeps its meaning, not its spaces
            assert b"".join(c for _, c in now.chunks) == b"".join(c for _, c in was.chunks)
    now, _ = recording.answer("POST", ROUTER, body("stream"))
    assert (
        now.chunks == stream.chunks and now.headers_at == 0.05
    )  # a character cut in two stays cut
    files = sorted(file.name for file in path.with_suffix("").iterdir())
    assert files == sorted(
        [
            hashlib.sha256(standin.PICTURE).hexdigest()[:16] + ".png",
            hashlib.sha256(raw).hexdigest()[:16] + ".bin",
        ]
    )
    assert now.chunks == Recording(path).answer("POST", ROUTER, body("stream"))[0].chunks
    assert recording.answer("POST", ROUTER, body("picture"))[0].chunks == [(0.4, standin.PICTURE)]


def test_the_same_request_again_gets_the_next_answer_then_the_last(path):
    recording = Recording(
        record(path, *[("POST", ROUTER, body(), whole({"n": n})) for n in range(3)])
    )
    assert [said(recording, body())["n"] for _ in range(5)] == [0, 1, 2, 2, 2]
    recording.rewind()
    assert said(recording, body()) == {"n": 0}


def test_the_hubs_look_ups_come_in_any_order_and_number(path):
    urls = [f"{HUB}?n={n}" for n in range(4)]
    looks = [
        ("GET", url, b"", whole({"id": url}, ratelimit=f'"api";r={n};t=9'))
        for n, url in enumerate(urls * 3)
    ]
    recording = Recording(record(path, *looks))
    assert all(len(one["answers"]) == 1 for one in recording.records)
    asked = random.Random(1).choices(urls, k=40)
    assert [said(recording, b"", "GET", url)["id"] for url in asked] == asked


def test_an_endpoints_states_stay_in_order(path):
    url = "https://api.endpoints.huggingface.cloud/v2/endpoint/me/x"
    recording = Recording(
        record(
            path,
            *[
                ("GET", url, b"", whole({"state": s}))
                for s in ("pending", "initializing", "running")
            ],
        )
    )
    assert [said(recording, b"", "GET", url)["state"] for _ in range(4)] == [
        "pending",
        "initializing",
        "running",
        "running",
    ]


def test_threads_get_each_answer_once(path):
    recording = Recording(
        record(path, *[("POST", ROUTER, body(), whole({"n": n})) for n in range(60)])
    )
    got, begin = [], threading.Barrier(6)

    def work():
        begin.wait()
        got.extend(said(recording, body())["n"] for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(got) == list(range(60))


def test_answers_that_overtake_each_other_are_recorded_in_the_order_of_asking(path):
    recorder = Recorder(path)
    for number in (3, 1, 2):
        recorder.add(number, "POST", ROUTER, body(), whole({"n": number}), BY)
    assert [answer["json"]["n"] for answer in read(recorder.new)[0][0]["answers"]] == [1, 2, 3]


def test_concurrent_recording_loses_nothing(path):
    recorder = Recorder(path)
    threads = [
        threading.Thread(
            target=lambda n=n: recorder.add(n, "POST", ROUTER, body(str(n)), whole({"n": n}), BY)
        )
        for n in range(24)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(one["answers"][0]["json"]["n"] for one in read(recorder.new)[0]) == list(
        range(24)
    )


def test_a_look_up_takes_no_longer_among_ten_thousand(tmp_path):
    def per_call(count):
        records = [
            {
                "request": {
                    "method": "POST",
                    "url": ROUTER,
                    "json": json.loads(body(f"{n} " * 50)),
                },
                "answers": [
                    {
                        "status": 200,
                        "seconds": 0.1,
                        "headers": {},
                        "answered_by": BY,
                        "json": {"n": n},
                    }
                ],
            }
            for n in range(count)
        ]
        write(tmp_path / f"{count}.json", records)
        recording = Recording(tmp_path / f"{count}.json")
        asked = [body(f"{n} " * 50) for n in random.Random(1).choices(range(count), k=200)]
        times = []
        for content in asked:
            started = time.perf_counter()
            assert recording.answer("POST", ROUTER, content)
            times.append(time.perf_counter() - started)
        return sorted(times)[len(times) // 2]

    few, many = per_call(10), per_call(10_000)
    assert many < 3 * few + 20e-6, f"{few * 1e6:.0f} µs among 10, {many * 1e6:.0f} µs among 10,000"


# ---- a miss ------------------------------------------------------------------------------------


def grid(path):
    calls = [
        ("POST", ROUTER, body("Tell me a joke", temperature=t), whole({})) for t in (0.0, 0.5, 1.0)
    ]
    calls += [("POST", ROUTER, body("What is a token?"), whole({})), ("GET", HUB, b"", whole({}))]
    return Recording(record(path, *calls))


@pytest.mark.parametrize(
    "method, url, content, nearest, differs",
    [
        (
            "POST",
            ROUTER,
            body("Tell me a joke", temperature=0.6),
            {"temperature": 0.5},
            "temperature: recorded 0.5, yours 0.6",
        ),
        (
            "POST",
            ROUTER,
            body("Tell me a joke", temperature=9),
            {"temperature": 1.0},
            "temperature: recorded 1.0, yours 9",
        ),
        (
            "POST",
            ROUTER,
            body("Tell me a joke"),
            {"temperature": 0.0},
            "temperature: recorded 0.0, yours nothing",
        ),
        (
            "POST",
            ROUTER,
            body("What is a model?"),
            {},
            'messages[0].content: recorded "What is a token?", yours "What is a model?"',
        ),
        (
            "POST",
            ROUTER,
            body("Tell me a joke", temperature=0.5, seed=1),
            {"temperature": 0.5},
            "seed: recorded nothing, yours 1",
        ),
        ("GET", HUB + "?expand=x", b"", None, f'url: recorded "{HUB}", yours "{HUB}?expand=x"'),
        ("PUT", ROUTER, body("What is a token?"), {}, 'method: recorded "POST", yours "PUT"'),
    ],
)
def test_a_miss_names_the_nearest_and_the_field(path, method, url, content, nearest, differs):
    recording = grid(path)
    assert recording.answer(method, url, content) is None
    request, differing = recording.nearest(method, url, content)
    assert differs in differing
    if nearest is not None:
        assert {name: request["json"].get(name) for name in nearest} == nearest and len(
            differing
        ) == 1
    answer = miss(recording, method, url, content)
    text = json.loads(answer.chunks[0][1])["message"]
    assert answer.status == 404 and differs in text and "Practice" in text and "Live" in text


def test_a_miss_where_nothing_is_recorded_and_where_the_file_is_damaged(path):
    assert (
        "01_first_call.json has no recorded requests at all"
        in miss(Recording(path), "GET", HUB, b"").chunks[0][1].decode()
    )
    path.write_text("")
    assert (
        "damaged (01_first_call.json, line 1"
        in miss(Recording(path), "GET", HUB, b"").chunks[0][1].decode()
    )


def test_a_miss_is_quick_among_many(path):
    write(
        path,
        [
            {
                "request": {"method": "POST", "url": ROUTER, "json": json.loads(body(f"{n}"))},
                "answers": [
                    {"status": 200, "seconds": 0.1, "headers": {}, "answered_by": BY, "json": n}
                ],
            }
            for n in range(1000)
        ],
    )
    recording, started = Recording(path), time.perf_counter()
    miss(recording, "POST", ROUTER, body("unheard of"))
    assert time.perf_counter() - started < 3


# ---- damage ------------------------------------------------------------------------------------


@pytest.fixture
def four(path):
    """A recording of four requests; returns its path and the lines on which the records begin."""
    record(
        path,
        *[
            ("POST", ROUTER, body(f"q{n}"), whole({"n": n, "long": ["x" * 90, "y" * 90]}))
            for n in range(4)
        ],
    )
    return path, [
        number for number, line in enumerate(path.read_text().splitlines(), 1) if line == "{"
    ]


def usable(path):
    recording = Recording(path)
    return [n for n in range(4) if said(recording, body(f"q{n}"))], recording.problems


def test_a_whole_file_has_no_problems(four):
    assert usable(four[0]) == ([0, 1, 2, 3], [])


def test_half_written(four):
    path, starts = four
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[: starts[2] + 6]))  # the third record stops in the middle
    good, problems = usable(path)
    assert good == [0, 1]
    assert (
        len(problems) == 1
        and f"the record that begins in line {starts[2]} cannot be read" in problems[0]
    )


@pytest.mark.parametrize("where", [0, 1, 2, 3])
def test_one_damaged_record_does_not_touch_the_others(four, where):
    path, starts = four
    lines = path.read_text().splitlines()
    damaged = next(i for i in range(starts[where], len(lines)) if '"status"' in lines[i])
    lines[damaged] = lines[damaged].replace('"status": ', '"status" ')
    path.write_text("\n".join(lines) + "\n")
    good, problems = usable(path)
    assert good == [n for n in range(4) if n != where]
    assert len(problems) == 1 and problems[0].startswith(
        f"01_first_call.json, line {damaged + 1}: "
    )


def test_a_lost_opening_line_costs_only_its_own_record(four):
    path, starts = four
    lines = path.read_text().splitlines()
    del lines[starts[1] - 1]
    path.write_text("\n".join(lines))
    good, problems = usable(path)
    assert good == [0, 2, 3] and len(problems) == 1 and f"line {starts[1] - 1}" in problems[0]


def test_merge_conflict_markers(four):
    path, starts = four
    lines = path.read_text().splitlines()
    lines.insert(starts[1] - 1, "<<<<<<< HEAD")
    path.write_text("\n".join(lines))
    good, problems = usable(path)
    assert good == [0, 1, 2, 3] and "<<<<<<< HEAD" in problems[0]


def test_bytes_that_are_not_text(four):
    path, starts = four
    content = path.read_bytes().replace(b'"q1"', b'"q\xff"')
    path.write_bytes(content)
    good, problems = usable(path)
    assert (
        good == [0, 2, 3]
        and "is not UTF-8" in problems[0]
        and f"begins in line {starts[1]}" in problems[0]
    )


@pytest.mark.parametrize(
    "content",
    ["", "   \n", "hello", '{"cells": []}', '"text"', "[", "[1, 2]", "null", "[{}]", "\x00\x00"],
)
def test_emptied_and_not_a_recording(path, content):
    path.write_text(content)
    records, problems = read(path)
    assert records == [] and problems and all("line 1" in problem for problem in problems)


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda record: record.pop("request"), "has no request"),
        (lambda record: record["request"].pop("url"), "without method and url"),
        (lambda record: record.pop("answers"), "has no answers"),
        (lambda record: record["answers"].clear(), "has no answers"),
        (lambda record: record["answers"][0].pop("status"), "status"),
        (lambda record: record["answers"][0].update(status=7), "wrong status"),
        (lambda record: record["answers"][0].pop("json"), "cannot be played"),
        (lambda record: record["answers"][0].pop("seconds"), "cannot be played"),
        (lambda record: record["answers"][0].update(stream=[1]), "cannot be played"),
        (lambda record: record["answers"][0].pop("answered_by"), "cannot be played"),
        (lambda record: record["answers"][0].update(headers="none"), "has an answer"),
        (
            lambda record: (
                record["answers"][0].pop("json"),
                record["answers"][0].update(file="gone.png"),
            ),
            "gone.png, which is missing",
        ),
    ],
)
def test_valid_json_but_not_a_record(four, change, says):
    path, starts = four
    records = json.loads(path.read_text())
    change(records[2])
    path.write_text("[\n" + ",\n".join(pretty(one) for one in records) + "\n]\n")
    good, problems = usable(path)
    assert (
        good == [0, 1, 3] and len(problems) == 1 and says in problems[0] and "line" in problems[0]
    )


def test_a_folder_in_its_place_and_no_file(path):
    assert read(path) == ([], [])
    path.mkdir()
    assert "cannot be read" in read(path)[1][0]


def test_an_altered_picture_is_found(path):
    record(
        path,
        (
            "POST",
            ROUTER,
            body(),
            Plan(200, {"content-type": "image/png"}, [(0.1, standin.PICTURE)]),
        ),
    )
    [picture] = path.with_suffix("").iterdir()
    assert check(path) == []
    picture.write_bytes(b"something else")
    assert "is not the one that was recorded" in check(path)[0]


@settings(max_examples=60)
@given(st.data())
def test_any_damage_is_survived_and_told(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "x.json"
    record(
        path,
        *[
            ("POST", ROUTER, body(f"q{n}"), whole({"n": n, "long": ["x" * 90, "y" * 90]}))
            for n in range(4)
        ],
    )
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(1, 40))
    content[start : start + length] = data.draw(st.binary(max_size=5))
    path.write_bytes(bytes(content))
    good, problems = usable(path)
    assert len(good) >= 2 and (problems or len(good) >= 3)


# ---- recording again, and recordings that go wrong ---------------------------------------------


def test_recording_again_with_the_same_answers_changes_no_byte(path):
    def run(delay=0.0):
        stream = standin.events()
        pieces = [(0.1 + delay + n / 100, piece) for n, piece in enumerate(stream)]
        if delay:  # the network cuts the same stream in other places
            pieces = [(0.3, b"".join(stream)[:50]), (0.4, b"".join(stream)[50:])]
        record(
            path,
            (
                "POST",
                ROUTER,
                body("a", x=1),
                whole(standin.chat("yes"), seconds=0.5 + delay, **{"x-request-id": f"{delay}"}),
            ),
            ("POST", ROUTER, body("b"), Plan(200, {"content-type": "text/event-stream"}, pieces)),
            ("GET", HUB, b"", whole({"id": "a/b"}, ratelimit=f'"api";r={delay};t=1')),
        )

    run()
    before = path.read_bytes()
    time.sleep(0.002)
    run(delay=0.2)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "new",
    [
        whole(standin.chat("no")),
        whole(standin.chat("yes"), status=503),
        whole(standin.chat("yes", model="other")),
    ],
)
def test_a_changed_answer_changes_its_own_record_only(path, new):
    others = [
        ("POST", ROUTER, body("a"), whole({"a": 1})),
        ("POST", ROUTER, body("z"), whole({"z": 1})),
    ]
    record(path, others[0], ("POST", ROUTER, body("b"), whole(standin.chat("yes"))), others[1])
    before = read(path)[0]
    record(path, others[0], ("POST", ROUTER, body("b"), new), others[1])
    after = read(path)[0]
    assert [one == other for one, other in zip(before, after)] == [True, False, True]


def test_a_renamed_model_in_a_catalogue_is_a_change(path):
    url = "https://router.huggingface.co/v1/models"
    record(path, ("GET", url, b"", whole({"data": [{"id": "one"}]})))
    record(path, ("GET", url, b"", whole({"data": [{"id": "two"}]})))
    assert read(path)[0][0]["answers"][0]["json"] == {"data": [{"id": "two"}]}


def test_what_is_no_longer_asked_goes_and_the_order_stays(path):
    record(path, *[("POST", ROUTER, body(name), whole({"n": name})) for name in "abc"])
    record(path, *[("POST", ROUTER, body(name), whole({"n": name})) for name in "dcb"])
    assert [one["answers"][0]["json"]["n"] for one in read(path)[0]] == ["b", "c", "d"]


def test_headers_by_list_only(path):
    kept = dict.fromkeys(KEEP, "1") | {"content-type": "application/json"}
    answer = Plan(
        200, kept | {"set-cookie": "a=b", "x-amz-cf-id": "1", "authorization": "x"}, [(0.1, b"{}")]
    )
    record(path, ("POST", ROUTER, body(), answer))
    stored = json.loads(path.read_text())[0]
    assert set(stored["answers"][0]["headers"]) == set(KEEP)
    assert set(stored["request"]) == {"method", "url", "json"}


TOKEN = "hf_" + "PlantedTokenOfNobody" + "0123456789abcd"


@pytest.mark.parametrize(
    "call",
    [
        ("POST", ROUTER, body(f"my token is {TOKEN}"), whole({})),
        ("POST", f"{ROUTER}?token={TOKEN}", body(), whole({})),
        ("POST", ROUTER, b"raw " + TOKEN.encode(), whole({})),
        ("POST", ROUTER, body(f"line\n{TOKEN}"), whole({})),
        ("POST", ROUTER, body(), whole({"echo": f"line\n{TOKEN}"})),
        ("POST", ROUTER, body(), whole({"arguments": json.dumps({"x": f"\n{TOKEN}"})})),
        ("POST", ROUTER, body(), whole({}, **{"x-request-id": TOKEN})),
        (
            "POST",
            ROUTER,
            body(),
            Plan(200, {}, [(0.1, TOKEN[:9].encode()), (0.2, TOKEN[9:].encode())]),
        ),
        (
            "POST",
            ROUTER,
            body(),
            Plan(
                200,
                {"content-type": "text/event-stream"},
                [(0.1, e) for e in standin.events([TOKEN[:9], TOKEN[9:]])],
            ),
        ),
        (
            "POST",
            ROUTER,
            body(),
            Plan(200, {"content-type": "image/png"}, [(0.1, standin.PICTURE + TOKEN.encode())]),
        ),
        ("POST", ROUTER, body(), whole({"key": "sk-" + "proj-abcdefghijklmnop1234"})),
        ("POST", ROUTER, body(), whole({"key": "\ngsk_" + "abcdefghijklmnop1234"})),
        ("POST", ROUTER, body(), whole({TOKEN: 1})),
    ],
    ids=[
        "request",
        "url",
        "raw request",
        "after a line break",
        "answer",
        "JSON in JSON",
        "header",
        "two pieces",
        "two stream events",
        "picture",
        "another service's key",
        "another after a break",
        "field name",
    ],
)
def test_a_planted_token_is_never_written(path, call):
    record(path, ("POST", ROUTER, body("before"), whole({})))
    before = path.read_bytes()
    recorder = Recorder(path)
    recorder.add(1, "POST", ROUTER, body("fine"), whole({"fine": 1}), BY)
    with pytest.raises(SecretFound) as error:
        recorder.add(2, *call, BY)
    recorder.add(3, "POST", ROUTER, body("fine too"), whole({"fine": 2}), BY)
    written = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    secret = TOKEN if "sk" not in str(call) or TOKEN in str(call) else "abcdefghijklmnop1234"
    assert secret.encode() not in written and TOKEN[9:].encode() not in written
    assert TOKEN not in str(error.value)
    assert path.read_bytes() == before and len(read(recorder.new)[0]) == 2


def test_this_process_own_token_is_found_whatever_it_looks_like(path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "an-organisations-own-form")
    with pytest.raises(SecretFound):
        Recorder(path).add(
            1, "POST", ROUTER, body(), whole({"you": "an-organisations-own-form"}), BY
        )


@pytest.mark.parametrize(
    "innocent",
    [
        "hf_hub_download",
        "task_classification_pipeline_x",
        "risk-based-approach-to-things",
        "hf-inference",
    ],
)
def test_what_only_looks_a_little_like_a_token_is_kept(path, innocent):
    record(path, ("POST", ROUTER, body(), whole({"text": innocent})))
    assert innocent in path.read_text()


def test_a_token_put_into_a_file_by_hand_is_reported(path):
    record(path, ("POST", ROUTER, body(), whole({"a": "PLACE"})))
    path.write_text(path.read_text().replace("PLACE", TOKEN))
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
def test_a_recording_run_that_is_killed_loses_nothing(path, root):
    record(path, ("POST", ROUTER, body(), whole({"kept": True})))
    before = path.read_bytes()
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(path)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert died.returncode == -9, died.stderr
    assert path.read_bytes() == before
    assert len(read(path.with_suffix(".json.new"))[0]) == 5  # and what came before is there, whole
    recorder = Recorder(path)  # the next run is not disturbed by what lies about
    recorder.add(1, "POST", ROUTER, body(), whole({"kept": True}), BY)
    assert recorder.new.read_bytes() == before


def test_a_picture_that_is_there_is_not_written_again(path):
    call = (
        "POST",
        ROUTER,
        body(),
        Plan(200, {"content-type": "image/png"}, [(0.1, standin.PICTURE)]),
    )
    record(path, call)
    [picture] = path.with_suffix("").iterdir()
    written = picture.stat().st_mtime_ns
    record(path, call)
    assert picture.stat().st_mtime_ns == written
    picture.write_bytes(b"half")  # a run died while writing it
    record(path, call)
    assert picture.read_bytes() == standin.PICTURE


def test_pictures_are_found_before_the_new_file_is_in_place(path):
    call = (
        "POST",
        ROUTER,
        body(),
        Plan(200, {"content-type": "image/png"}, [(0.1, standin.PICTURE)]),
    )
    record(path, call)  # an earlier recording stands beside it
    recorder = Recorder(path)
    recorder.add(1, *call, BY)
    records, problems = read(recorder.new)
    assert len(records) == 1 and not problems


def test_a_file_that_would_not_change_is_not_touched(path):
    record(path, ("POST", ROUTER, body(), whole({"a": 1})))
    written = path.stat().st_mtime_ns
    write(path, read(path)[0])
    assert path.stat().st_mtime_ns == written


def test_the_file_is_made_to_be_read_and_compared(path):
    embedding = np.linspace(0, 1, 384).round(6).tolist()
    record(
        path, ("POST", ROUTER, body("a question", temperature=0.5), whole([embedding, embedding]))
    )
    lines = path.read_text().splitlines()
    assert len([line for line in lines if len(line) > 1000]) == 2  # a vector a line
    assert any("a question" in line and len(line) < 150 for line in lines)
    assert path.read_bytes().endswith(b"]\n") and b"\r" not in path.read_bytes()
