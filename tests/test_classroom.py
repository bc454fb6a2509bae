"""The class's server (`make class`): one token, kept safe; what is alike is asked once; a queue."""

import asyncio
import ipaddress
import json
import logging
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import openai
import pytest
from huggingface_hub import InferenceClient, model_info
from standin import chat, create_app, serve
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from authoring.bench import quota
from authoring.classroom import __main__ as command
from authoring.classroom import app as module
from authoring.classroom.app import Classroom, _may_ask
from authoring.classroom.app import create_app as create_class
from authoring.classroom.kept import Hider
from authoring.classroom.rules import Refused, network, plan
from authoring.practice_server.faults import Faults, Trouble
from helpers import start
from helpers.faults import FixedWindow
from helpers.tokens import PRACTICE_TOKEN

TOKEN = "hf_" + "t0kenOfTheClass" * 2  # put together: no guard is to find it whole
ROUTER = "router.huggingface.co"
CHAT = "/v1/chat/completions"
OURS = f"Bearer {PRACTICE_TOKEN}"


def question(said="hello", **fields):
    return {"model": "a/b", "messages": [{"role": "user", "content": said}], **fields}


class School:
    """A class's server at `address`, and the Classroom that it serves."""

    def __init__(self, address, classroom):
        self.address, self.classroom = address, classroom

    def ask(self, said="hello", session="one", headers=None, **fields):
        """One request as a notebook in Practice sends it."""
        headers = {"x-course-session": session} | (headers or {})
        return self.send(headers=headers, json=question(said, **fields))

    def send(self, method="POST", path=CHAT, headers=None, timeout=600, **body):
        headers = {"host": ROUTER, "authorization": OURS} | (headers or {})
        more = {"headers": headers, "timeout": timeout, "trust_env": False} | body
        return httpx2.request(method, self.address + path, **more)

    def health(self):
        return httpx2.get(self.address + "/health", trust_env=False)

    @property
    def kept(self):
        return [one for answers in self.classroom.shelf.kept.values() for one in answers]


@contextmanager
def teaching(service, **settings):
    """A class's server in front of `service`."""
    with serve(service) as upstream:
        classroom = Classroom(TOKEN, f"http://127.0.0.1:{upstream}", **settings)
        with serve(create_class(classroom)) as port:
            yield School(f"http://127.0.0.1:{port}", classroom)


def answered_by(answer):
    """A service that answers every question with what `await answer(request)` gives."""
    return Starlette(routes=[Route(CHAT, answer, methods=["POST"])])


@pytest.fixture
def service():
    return create_app()


@pytest.fixture
def school(service):
    with teaching(service) as made:
        yield made


def crowd(number, do):
    """What `do(0)`, `do(1)`… give, all at once."""
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(do, range(number)))


def calls(service, path=CHAT):
    return [one for one in service.state.seen if one[2] == path]


# ---- the way there -----------------------------------------------------------------------------


def test_the_course_reaches_it_by_its_mode_and_never_learns_the_token(
    school, service, monkeypatch, capsys
):
    monkeypatch.setenv("COURSE_PRACTICE_URL", school.address)
    session = start("01_first_call", "practice")
    says = "Class: small models on the instructor's machine answer, free."
    assert says in capsys.readouterr().out
    asked = question("Name a colour.")
    hub = InferenceClient()
    answer = hub.chat_completion(**asked).choices[0].message.content
    assert answer == "You said: Name a colour."
    assert len(list(hub.chat_completion(**asked, stream=True))) >= 4
    key = os.environ["HF_TOKEN"]
    ai = openai.OpenAI(base_url=f"https://{ROUTER}/v1", api_key=key, max_retries=0)
    assert ai.chat.completions.create(**asked, seed=1).choices[0].message.content
    assert model_info("a/b").id == "a/b"
    sent = calls(service)
    assert {(host, headers["authorization"]) for _, host, _, headers in sent} == {
        (ROUTER, f"Bearer {TOKEN}")
    }
    hubs = [headers for _, host, _, headers in service.state.seen if host == "huggingface.co"]
    assert not any("authorization" in headers for headers in hubs)
    assert all(row.status == 200 for row in session.log)
    assert TOKEN not in repr(vars(session)) + repr(session.log)


def test_with_the_real_service_behind_it_the_banner_says_whose_money_it_is():
    says = "Class: the real service answers, and the instructor's token pays."
    assert Classroom(TOKEN).who() == says


# ---- safe --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said",
    ["echo", f"leak in pieces {TOKEN}", f"leak in a header {TOKEN}", "fail"],
    ids=["echo", "pieces", "header", "fail"],
)
def test_the_token_is_in_no_answer_no_log_and_nothing_kept(school, said, stream, caplog):
    with caplog.at_level(logging.INFO):  # the command's own level, and that of all libraries
        answer = school.ask(said, stream=stream)
    everything = answer.text + str(answer.headers) + caplog.text + school.classroom.report()
    everything += str([(one.pieces, one.headers) for one in school.kept])
    assert school.classroom.counts["sent"] == 1 and TOKEN not in everything
    if said == "echo" and not stream:
        assert "Bearer $HF_TOKEN" in answer.text  # what was echoed is there, without the token
    assert "set-cookie" not in answer.headers


def test_a_hider_finds_a_secret_in_pieces_and_holds_nothing_else_back():
    for cut in range(1, len(TOKEN)):
        hide = Hider(TOKEN)
        said = hide(b"a " + TOKEN[:cut].encode()) + hide(TOKEN[cut:].encode() + b" b") + hide.rest
        assert said == b"a $HF_TOKEN b"
    hide = Hider(TOKEN)
    assert hide(b"data: x\n\n") == b"data: x\n\n" and hide.rest == b""
    with pytest.raises(ValueError, match="less than 8"):
        Hider("short")


@pytest.mark.parametrize(
    "method, host, path",
    [
        ("POST", "evil.example", CHAT),
        ("POST", "127.0.0.1", CHAT),
        ("GET", "localhost", "/"),
        ("POST", "mine.endpoints.huggingface.cloud", CHAT),
        ("POST", "api.endpoints.huggingface.cloud", "/v2/endpoint/me"),
        ("GET", "huggingface.co", "/api/whoami-v2"),
        ("POST", "huggingface.co", "/api/repos/create"),
        ("POST", "v3.fal.media", "/files"),
        ("DELETE", ROUTER, CHAT),
        ("GET", "router.huggingface.co.evil.example", "/v1/models"),
    ],
)
def test_other_hosts_and_paths_are_refused(school, service, method, host, path):
    body = {"json": question()} if method == "POST" else {}
    answer = school.send(method, path, {"host": host}, **body)
    assert answer.status_code == 403 and answer.json()["error"] and service.state.seen == []


@pytest.mark.parametrize("before", ["@", ".", ":1@", "//", "https://"])
def test_a_target_that_would_turn_into_another_host_reaches_nobody_else(school, service, before):
    """Clients cannot send such a request line; a socket can. The stand-in is asked under the
    router's name, or not at all."""
    parts, answer = httpx2.URL(school.address), b""
    asked = f"GET {before}evil.example/v1/models HTTP/1.1\r\nHost: {ROUTER}\r\n"
    with socket.create_connection((parts.host, parts.port), timeout=600) as line:
        line.sendall(f"{asked}Authorization: {OURS}\r\nConnection: close\r\n\r\n".encode())
        while piece := line.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 4")
    assert {host for _, host, *_ in service.state.seen} <= {ROUTER}


@pytest.mark.parametrize("path", [b"@evil.example/v1", b".evil.example/v1", b":1@evil.example/v1"])
def test_host_and_path_together_name_the_host_or_nothing(path):
    with pytest.raises(Refused):
        module._address(ROUTER, {"raw_path": path, "query_string": b""})
    address = module._address(ROUTER, {"raw_path": b"/v1/models", "query_string": b"a=b%20c"})
    assert str(address) == f"https://{ROUTER}/v1/models?a=b%20c"


def test_what_a_header_says_about_hosts_addresses_and_bills_is_not_believed(school, service):
    elsewhere = {"host": "evil.example", "x-forwarded-host": ROUTER}
    assert school.ask(headers=elsewhere).status_code == 403
    school.ask(headers={"x-hf-bill-to": "the-school", "cookie": "a=b"})
    sent = calls(service)[-1][3]
    assert not {"x-hf-bill-to", "cookie", "x-course-session", "x-forwarded-for"} & set(sent)


def test_the_token_is_for_the_courses_stand_in_alone(school, service):
    other = {"authorization": "Bearer hf_invalid"}
    school.ask(headers=other)
    school.ask(headers=other)
    body = {"model": "a/b", "messages": [{"content": "hello"}]}
    httpx2.post(school.address + CHAT, headers={"host": ROUTER}, json=body, trust_env=False)
    sent = [headers.get("authorization") for *_, headers in calls(service)]
    assert sent == ["Bearer hf_invalid", "Bearer hf_invalid", None]
    assert not school.classroom.shelf.kept  # another token may be told something else


def test_only_the_router_gets_it():
    assert plan("POST", ROUTER, CHAT, OURS) == (True, True)
    # A queue's state changes.
    assert plan("GET", ROUTER, "/fal-ai/x/requests/1", OURS) == (True, False)
    assert plan("GET", "huggingface.co", "/api/models/a/b", OURS) == (False, True)
    assert plan("GET", "v3.fal.media", "/files/a.png", OURS) == (False, True)
    assert plan("POST", ROUTER, CHAT, "Bearer hf_other") == (False, False)
    with pytest.raises(Refused, match="Endpoints need a token of your own"):
        plan("GET", "mine.endpoints.huggingface.cloud", "/", OURS)


@pytest.mark.parametrize(
    "address, networks, may",
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("192.168.1.7", None, False),
        ("192.168.1.7", ["192.168.1.0/24"], True),
        ("192.168.2.7", ["192.168.1.0/24"], False),
        ("8.8.8.8", ["192.168.1.0/24"], False),
    ],
)
def test_only_the_classroom_may_ask(address, networks, may):
    assert _may_ask(address, networks and [ipaddress.ip_network(one) for one in networks]) is may


def test_somebody_from_outside_is_told_so(school, monkeypatch):
    monkeypatch.setattr(module, "_may_ask", lambda address, networks: False)
    assert school.ask().status_code == 403
    assert school.health().status_code == 403


@pytest.mark.parametrize("text", ["0.0.0.0/0", "8.8.8.0/24", "10.0.0.0/8", "the room"])
def test_a_classroom_is_private_and_small(text):
    with pytest.raises(ValueError):
        network(text)
    assert network("192.168.1.10/24") == ipaddress.ip_network("192.168.1.0/24")


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--host", "192.168.1.10"], "who may ask"),
        (["--host", "0.0.0.0", "--classroom", "192.168.1.0/24"], "every network"),
        (["--classroom", "0.0.0.0/0"], "invalid"),
    ],
)
def test_the_command_refuses_to_be_open_to_all(arguments, says, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert says in capsys.readouterr().err


def test_without_a_token_it_says_where_to_get_one(monkeypatch, capsys):
    monkeypatch.setattr(command, "_token", lambda: None)
    assert command.main([]) == 1 and "hf auth login" in capsys.readouterr().err


def test_a_rehearsal_sends_no_token(monkeypatch):
    made = []
    monkeypatch.setattr(command, "_token", lambda: TOKEN)
    making = lambda *settings: made.append(settings) or Classroom(*settings)
    monkeypatch.setattr(command, "Classroom", making)
    monkeypatch.setattr(command.uvicorn.Server, "run", lambda *_, **__: None)
    assert command.main(["--port", "0", "--upstream", "http://127.0.0.1:8750"]) == 0
    assert made == [(PRACTICE_TOKEN, "http://127.0.0.1:8750", 5000)]


def test_a_request_that_is_too_large_is_refused(school, service, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_REQUEST", 1000)
    assert school.ask("x" * 2000).status_code == 413 and service.state.seen == []
    assert school.ask("x" * 100).status_code == 200


@pytest.mark.parametrize(
    "said, stream, limit", [("x" * 1000, False, 100), ("break", True, module.LARGEST_ANSWER)]
)
def test_an_answer_that_is_too_large_or_breaks_breaks_off_and_is_not_kept(
    school, monkeypatch, said, stream, limit
):
    monkeypatch.setattr(module, "LARGEST_ANSWER", limit)
    with pytest.raises(httpx2.RemoteProtocolError):
        school.ask(said, stream=stream)
    assert not school.kept


def test_the_calls_of_a_class_are_counted(service):
    with teaching(service, calls=2) as school:
        statuses = [school.ask(f"question {number}").status_code for number in range(4)]
        assert statuses == [200, 200, 402, 402] and len(calls(service)) == 2
        # Kept answers cost nothing.
        assert school.ask("question 1", session="two").status_code == 200
        assert "2 of at most 2 calls made" in school.health().json()["report"]


def test_a_service_that_is_down_is_said_at_once():
    classroom = Classroom(TOKEN, "http://127.0.0.1:9")
    with serve(create_class(classroom)) as port:
        began, school = time.monotonic(), School(f"http://127.0.0.1:{port}", classroom)
        answer = school.ask()
        assert answer.status_code == 502 and time.monotonic() - began < 30
        assert "could not reach the service" in answer.json()["message"]
        assert not school.kept and not classroom.tasks


# ---- asked once --------------------------------------------------------------------------------


def test_a_class_that_asks_the_same_asks_once(school, service):
    counts = school.classroom.counts
    answers = crowd(30, lambda number: school.ask("A colour?", f"learner {number}").text)
    assert len(answers) == 30 and len(set(answers)) == 1 and len(calls(service)) == 1
    assert (counts["asked"], counts["kept"]) == (30, 29)


def test_the_same_is_what_means_the_same(school, service):
    headers = {"content-type": "application/json"}
    message = '"messages": [{"role": "user", "content": "hi"}]'
    seeded = '{"model": "a/b", "seed": 1, ' + message + "}"
    for body in (seeded, "{" + message + ',"seed":1.0,"model":"a/b"}'):
        school.send(headers=headers, content=body)
    assert len(calls(service)) == 1
    school.send(headers=headers, content=seeded.replace("1", "2", 1))
    school.send(headers=headers | {"accept": "image/png"}, content=seeded)
    assert len(calls(service)) == 3


def test_who_asks_again_gets_another_answer_and_the_next_learner_the_same_two(school, service):
    first, second = (school.ask(session="one").json()["id"] for _ in range(2))
    assert first != second
    assert [school.ask(session="two").json()["id"] for _ in range(3)][:2] == [first, second]
    assert len(calls(service)) == 3


def test_what_failed_is_asked_anew(school, service):
    assert [school.ask("fail").status_code for _ in range(2)] == [500, 500]
    assert len(calls(service)) == 2 and not school.kept


def test_a_stream_arrives_as_it_comes(school):
    headers = {"host": ROUTER, "authorization": OURS}
    asked = {"headers": headers, "json": question("slow", stream=True), "trust_env": False}
    with httpx2.stream("POST", school.address + CHAT, **asked) as answer:
        arrived = [time.monotonic() for _ in answer.iter_raw()]
    assert len(arrived) >= 5 and arrived[-1] - arrived[0] > 0.1
    assert answer.headers["content-type"].startswith("text/event-stream")
    whole = school.ask("slow", session="two", stream=True)
    assert whole.text.endswith("data: [DONE]\n\n") and "café" in whole.text


def test_who_gives_up_waiting_finds_the_answer_later():
    asked = []

    async def slowly(request):
        await asyncio.sleep(0.5)
        asked.append(request)
        return JSONResponse(chat("late"))

    with teaching(answered_by(slowly)) as school:
        with pytest.raises(httpx2.ReadTimeout):
            school.send(timeout=0.1, json=question())
        assert school.ask().json()["choices"][0]["message"]["content"] == "late"
        assert len(asked) == 1


def test_the_oldest_answers_are_forgotten_first(school, service):
    school.classroom.shelf.largest = 700  # two answers
    for number in (1, 2, 1, 3):
        first = number == 1 and not school.classroom.counts["kept"]
        school.ask(f"question {number}", session="one" if first else f"again {number}")
    assert sum(one.size for one in school.kept) <= 700
    before = len(calls(service))
    school.ask("question 3", session="last")
    assert len(calls(service)) == before


# ---- in line -----------------------------------------------------------------------------------


def test_a_quota_is_kept_to_and_nobody_sees_a_refusal():
    service = answered_by(lambda request: JSONResponse(chat("yes")))
    trouble = Faults(service, Trouble(rate_limit=FixedWindow(10, 1)))
    with teaching(trouble) as school:
        statuses = crowd(30, lambda one: school.ask(f"question {one}", f"l{one}").status_code)
    refused = sum(one.status == 429 for one in trouble.seen)
    assert statuses == [200] * 30 and refused <= 8
    assert school.classroom.counts["sent"] == 30 + refused


def test_one_who_asks_for_much_does_not_keep_the_others_waiting():
    order = []

    async def slowly(request):
        order.append((await request.json())["messages"][0]["content"][:4])
        await asyncio.sleep(0.02)
        return JSONResponse(chat("yes"))

    with teaching(answered_by(slowly), at_once=1) as school, ThreadPoolExecutor(30) as pool:
        pool.map(lambda number: school.ask(f"much {number}", "greedy"), range(30))
        while len(order) < 2:
            time.sleep(0.005)
        school.ask("once", "modest")
    assert len(order) == 31 and order.index("once") <= 2 + 2 * module.PLACES


def test_a_refusal_that_lasts_too_long_goes_to_the_learner_as_it_came():
    said = {"error": "Too Many Requests"}

    async def closed(request):
        return JSONResponse(said, 429, {"retry-after": "4000"})

    with teaching(answered_by(closed)) as school:
        first, second = school.ask("one"), school.ask("two")
    assert (first.status_code, first.headers["retry-after"], first.json()) == (429, "4000", said)
    assert second.status_code == 429 and int(second.headers["retry-after"]) > 0
    assert "waited for its turn" in second.json()["message"]


def test_the_log_has_a_line_a_request_and_no_words(school, caplog):
    with caplog.at_level(logging.INFO, "classroom"):
        for session in ("one", "two"):
            school.ask("what nobody else is to read", session)
    lines = [record.getMessage() for record in caplog.records if record.name == "classroom"]
    assert [line.split(" ")[:5] for line in lines] == [
        ["one", "POST", ROUTER + CHAT, "200", "service"],
        ["two", "POST", ROUTER + CHAT, "200", "kept"],
    ]
    assert "nobody else" not in json.dumps(lines)


def test_the_bench_counts_what_a_class_asks(monkeypatch):
    monkeypatch.setattr(quota, "LATENCY", (0, 0))
    monkeypatch.setattr(quota, "QUOTA", 1000)
    found = quota.measure(retry=True, keeping=True, learners=2)
    same, each = quota.SAME, f"{found['requests'] / 40:.2f}"
    counted = (found["requests"], found["kept"], found["refused"])
    assert counted == (same + 2 * quota.OWN, same, 0)
    assert quota.row("here", found)[:5] == ["here", each, "0", str(same), "0 of 40"]
