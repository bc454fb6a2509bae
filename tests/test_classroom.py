"""The class's server (`make class`): one token, kept safe; asked once what is asked alike; in line
for the rest."""

import asyncio
import ipaddress
import json
import logging
import os
import threading
import time
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


@contextmanager
def teaching(service, **settings):
    """A class's server in front of `service`: (its address, the Classroom)."""
    with serve(service) as upstream:
        classroom = Classroom(TOKEN, f"http://127.0.0.1:{upstream}", **settings)
        with serve(create_class(classroom)) as port:
            yield f"http://127.0.0.1:{port}", classroom


@pytest.fixture
def service():
    return create_app()


@pytest.fixture
def school(service):
    with teaching(service) as (address, classroom):
        yield address, classroom


def ask(
    address,
    said="hello",
    session="one",
    host=ROUTER,
    path=CHAT,
    token=PRACTICE_TOKEN,
    method="POST",
    headers=None,
    **fields,
):
    """One request as a notebook in Practice sends it."""
    sent = {
        "host": host,
        "authorization": f"Bearer {token}",
        "x-course-session": session,
        **(headers or {}),
    }
    body = (
        {"json": {"model": "a/b", "messages": [{"role": "user", "content": said}], **fields}}
        if method == "POST"
        else {}
    )
    return httpx2.request(
        method, address + path, headers=sent, timeout=120, trust_env=False, **body
    )


def calls(service, path=CHAT):
    return [one for one in service.state.seen if one[2] == path]


# ---- the way there -----------------------------------------------------------------------------


def test_the_course_reaches_it_by_its_mode_and_never_learns_the_token(
    school, service, monkeypatch, capsys
):
    address, classroom = school
    monkeypatch.setenv("COURSE_PRACTICE_URL", address)
    session = start("01_first_call", "practice")
    assert (
        "Class: small models on the instructor's machine answer, free." in capsys.readouterr().out
    )
    messages = [{"role": "user", "content": "Name a colour."}]
    client = InferenceClient()
    assert (
        client.chat_completion(messages, model="a/b").choices[0].message.content
        == "You said: Name a colour."
    )
    assert len(list(client.chat_completion(messages, model="a/b", stream=True))) >= 4
    ai = openai.OpenAI(
        base_url=f"https://{ROUTER}/v1", api_key=os.environ["HF_TOKEN"], max_retries=0
    )
    assert (
        ai.chat.completions.create(model="a/b", messages=messages, seed=1)
        .choices[0]
        .message.content
    )
    assert model_info("a/b").id == "a/b"
    assert {headers["authorization"] for *_, headers in calls(service)} == {f"Bearer {TOKEN}"}
    assert {host for _, host, *_ in calls(service)} == {ROUTER}
    assert not any(
        "authorization" in headers
        for _, host, _, headers in service.state.seen
        if host == "huggingface.co"
    )
    assert all(row.status == 200 for row in session.log) and TOKEN not in repr(
        vars(session)
    ) + repr(session.log)


def test_with_the_real_service_behind_it_the_banner_says_whose_money_it_is():
    assert (
        Classroom(TOKEN).who()
        == "Class: the real service answers, and the instructor's token pays."
    )


# ---- safe --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said",
    ["echo", f"leak in pieces {TOKEN}", f"leak in a header {TOKEN}", "fail"],
    ids=["echo", "pieces", "header", "fail"],
)
def test_the_token_is_in_no_answer_no_log_and_nothing_kept(school, said, stream, caplog):
    address, classroom = school
    with caplog.at_level(logging.INFO):  # the command's own level, and that of all libraries
        answer = ask(address, said, path=CHAT, stream=stream)
    everything = answer.text + str(answer.headers) + caplog.text + classroom.report()
    everything += str(
        [(one.pieces, one.headers) for answers in classroom.shelf.kept.values() for one in answers]
    )
    assert classroom.counts["sent"] == 1 and TOKEN not in everything
    if said == "echo" and not stream:
        assert (
            "Bearer $HF_TOKEN" in answer.text
        )  # what the service echoed is there, without the token
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
    address, _ = school
    answer = ask(address, method=method, host=host, path=path)
    assert answer.status_code == 403 and answer.json()["error"] and service.state.seen == []


@pytest.mark.parametrize(
    "target",
    [
        "@evil.example/v1/models",
        ".evil.example/v1/models",
        ":1@evil.example/v1/models",
        "//evil.example/v1/models",
        "https://evil.example/v1/models",
    ],
)
def test_a_target_that_would_turn_into_another_host_reaches_nobody_else(school, service, target):
    """Clients cannot send such a request line; a socket can. The stand-in is asked under the
    router's name, or not at all."""
    import socket

    parts = httpx2.URL(school[0])
    with socket.create_connection((parts.host, parts.port), timeout=120) as line:
        line.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {ROUTER}\r\nAuthorization: Bearer"
            f" {PRACTICE_TOKEN}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while piece := line.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 4") and {host for _, host, *_ in service.state.seen} <= {
        ROUTER
    }


@pytest.mark.parametrize("path", [b"@evil.example/v1", b".evil.example/v1", b":1@evil.example/v1"])
def test_host_and_path_together_name_the_host_or_nothing(path):
    with pytest.raises(Refused):
        module._address(ROUTER, {"raw_path": path, "query_string": b""})
    assert (
        str(module._address(ROUTER, {"raw_path": b"/v1/models", "query_string": b"a=b%20c"}))
        == f"https://{ROUTER}/v1/models?a=b%20c"
    )


def test_what_a_header_says_about_hosts_addresses_and_bills_is_not_believed(school, service):
    address, _ = school
    assert (
        ask(address, host="evil.example", headers={"x-forwarded-host": ROUTER}).status_code == 403
    )
    ask(address, headers={"x-hf-bill-to": "the-school", "cookie": "a=b", "x-course-session": "one"})
    sent = calls(service)[-1][3]
    assert not {"x-hf-bill-to", "cookie", "x-course-session", "x-forwarded-for"} & set(sent)


def test_the_token_is_for_the_courses_stand_in_alone(school, service):
    address, classroom = school
    ask(address, token="hf_invalid")
    ask(address, token="hf_invalid")
    httpx2.post(
        address + CHAT,
        headers={"host": ROUTER},
        json={"model": "a/b", "messages": [{"content": "hello"}]},
        trust_env=False,
    )
    assert [headers.get("authorization") for *_, headers in calls(service)] == [
        "Bearer hf_invalid",
        "Bearer hf_invalid",
        None,
    ]
    assert not classroom.shelf.kept  # whoever asks with another token may be told something else


def test_only_the_router_gets_it():
    ours = f"Bearer {PRACTICE_TOKEN}"
    assert plan("POST", ROUTER, CHAT, ours) == (True, True)
    assert plan("GET", ROUTER, "/fal-ai/x/requests/1", ours) == (
        True,
        False,
    )  # a queue's state changes
    assert plan("GET", "huggingface.co", "/api/models/a/b", ours) == (False, True)
    assert plan("GET", "v3.fal.media", "/files/a.png", ours) == (False, True)
    assert plan("POST", ROUTER, CHAT, "Bearer hf_other") == (False, False)
    with pytest.raises(Refused, match="Endpoints need a token of your own"):
        plan("GET", "mine.endpoints.huggingface.cloud", "/", ours)


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
    assert ask(school[0]).status_code == 403
    assert httpx2.get(school[0] + "/health", trust_env=False).status_code == 403


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
    monkeypatch.setattr(
        command, "Classroom", lambda *settings: made.append(settings) or Classroom(*settings)
    )
    monkeypatch.setattr(command.uvicorn.Server, "run", lambda *_, **__: None)
    assert command.main(["--port", "0", "--upstream", "http://127.0.0.1:8750"]) == 0
    assert made == [(PRACTICE_TOKEN, "http://127.0.0.1:8750", 5000)]


def test_a_request_that_is_too_large_is_refused(school, service, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_REQUEST", 1000)
    assert ask(school[0], "x" * 2000).status_code == 413 and service.state.seen == []
    assert ask(school[0], "x" * 100).status_code == 200


def test_an_answer_that_is_too_large_breaks_off(school, monkeypatch):
    address, classroom = school
    monkeypatch.setattr(module, "LARGEST_ANSWER", 100)
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(address, "x" * 1000)
    assert not any(classroom.shelf.kept.values())


def test_the_calls_of_a_class_are_counted(service):
    with teaching(service, calls=2) as (address, classroom):
        statuses = [ask(address, f"question {number}").status_code for number in range(4)]
        assert statuses == [200, 200, 402, 402] and len(calls(service)) == 2
        assert (
            ask(address, "question 1", session="two").status_code == 200
        )  # kept answers cost nothing
        assert (
            "2 of at most 2 calls made"
            in httpx2.get(address + "/health", trust_env=False).json()["report"]
        )


def test_a_service_that_is_down_is_said_at_once():
    classroom = Classroom(TOKEN, "http://127.0.0.1:9")
    with serve(create_class(classroom)) as port:
        began = time.monotonic()
        answer = ask(f"http://127.0.0.1:{port}")
        assert (
            answer.status_code == 502
            and "could not reach the service" in answer.json()["message"]
            and time.monotonic() - began < 30
        )
        assert not any(classroom.shelf.kept.values()) and not classroom.tasks


# ---- asked once --------------------------------------------------------------------------------


def test_a_class_that_asks_the_same_asks_once(school, service):
    address, classroom = school
    answers = [None] * 30

    def learner(number):
        answers[number] = ask(address, "Name a colour.", session=f"learner {number}").text

    threads = [threading.Thread(target=learner, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (
        len(set(answers)) == 1
        and len(calls(service)) == 1
        and (classroom.counts["asked"], classroom.counts["kept"]) == (30, 29)
    )


def test_the_same_is_what_means_the_same(school, service):
    address, _ = school
    headers = {
        "host": ROUTER,
        "authorization": f"Bearer {PRACTICE_TOKEN}",
        "content-type": "application/json",
    }
    message = '"messages": [{"role": "user", "content": "hi"}]'
    seeded = '{"model": "a/b", "seed": 1, ' + message + "}"
    for body in (
        seeded,
        "{" + message + ',"seed":1.0,"model":"a/b"}',
    ):
        httpx2.post(address + CHAT, headers=headers, content=body, trust_env=False)
    assert len(calls(service)) == 1
    for change in (
        {"content": seeded.replace("1", "2", 1)},
        {"headers": headers | {"accept": "image/png"}},
    ):
        httpx2.post(
            address + CHAT,
            **({"headers": headers, "content": seeded} | change),
            trust_env=False,
        )
    assert len(calls(service)) == 3


def test_who_asks_again_gets_another_answer_and_the_next_learner_the_same_two(school, service):
    address, _ = school
    first, second = (ask(address, session="one").json()["id"] for _ in range(2))
    assert first != second
    assert [ask(address, session="two").json()["id"] for _ in range(3)][:2] == [first, second]
    assert len(calls(service)) == 3


def test_what_failed_is_asked_anew(school, service):
    address, classroom = school
    assert [ask(address, "fail").status_code for _ in range(2)] == [500, 500]
    assert len(calls(service)) == 2 and not any(classroom.shelf.kept.values())


def test_a_stream_arrives_as_it_comes(school):
    address, _ = school
    headers = {"host": ROUTER, "authorization": f"Bearer {PRACTICE_TOKEN}"}
    body = {"model": "a/b", "stream": True, "messages": [{"role": "user", "content": "slow"}]}
    with httpx2.stream(
        "POST", address + CHAT, headers=headers, json=body, trust_env=False
    ) as answer:
        arrived = [time.monotonic() for _ in answer.iter_raw()]
    assert len(arrived) >= 5 and arrived[-1] - arrived[0] > 0.1
    assert answer.headers["content-type"].startswith("text/event-stream")
    whole = ask(address, "slow", session="two", stream=True)
    assert whole.text.endswith("data: [DONE]\n\n") and "café" in whole.text


def test_a_stream_that_breaks_breaks_for_the_learner_and_is_not_kept(school):
    address, classroom = school
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(address, "break", stream=True)
    assert not any(classroom.shelf.kept.values())


def test_who_gives_up_waiting_finds_the_answer_later(service):
    async def slowly(request):
        await asyncio.sleep(0.5)
        service.state.seen.append(("POST", ROUTER, CHAT, {}))
        return JSONResponse(chat("late"))

    with teaching(Starlette(routes=[Route(CHAT, slowly, methods=["POST"])])) as (
        address,
        classroom,
    ):
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(
                address + CHAT,
                headers={"host": ROUTER, "authorization": f"Bearer {PRACTICE_TOKEN}"},
                timeout=0.1,
                trust_env=False,
                json={"model": "a/b", "messages": [{"role": "user", "content": "hello"}]},
            )
        assert (
            ask(address).json()["choices"][0]["message"]["content"] == "late"
            and len(service.state.seen) == 1
        )


def test_the_oldest_answers_are_forgotten_first(school, service):
    address, classroom = school
    classroom.shelf.largest = 700  # two answers
    for number in (1, 2, 1, 3):
        ask(
            address,
            f"question {number}",
            session="one" if number == 1 and not classroom.counts["kept"] else f"again {number}",
        )
    assert sum(one.size for answers in classroom.shelf.kept.values() for one in answers) <= 700
    before = len(calls(service))
    ask(address, "question 3", session="last")
    assert len(calls(service)) == before


# ---- in line -----------------------------------------------------------------------------------


def test_a_quota_is_kept_to_and_nobody_sees_a_refusal():
    trouble = Faults(
        Starlette(
            routes=[Route(CHAT, lambda request: JSONResponse(chat("yes")), methods=["POST"])]
        ),
        Trouble(rate_limit=FixedWindow(10, 1)),
    )
    with teaching(trouble) as (address, classroom):
        statuses = []
        threads = [
            threading.Thread(
                target=lambda number=number: statuses.append(
                    ask(address, f"question {number}", session=f"l{number}").status_code
                )
            )
            for number in range(30)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    refused = sum(one.status == 429 for one in trouble.seen)
    assert statuses == [200] * 30 and refused <= 8 and classroom.counts["sent"] == 30 + refused


def test_one_who_asks_for_much_does_not_keep_the_others_waiting():
    order = []

    async def slowly(request):
        order.append((await request.json())["messages"][0]["content"][:4])
        await asyncio.sleep(0.02)
        return JSONResponse(chat("yes"))

    with teaching(Starlette(routes=[Route(CHAT, slowly, methods=["POST"])]), at_once=1) as (
        address,
        _,
    ):
        greedy = [
            threading.Thread(target=ask, args=(address, f"much {number}", "greedy"))
            for number in range(30)
        ]
        for thread in greedy:
            thread.start()
        while len(order) < 2:
            time.sleep(0.005)
        ask(address, "once", "modest")
        for thread in greedy:
            thread.join(30)
    assert len(order) == 31 and order.index("once") <= 2 + 2 * module.PLACES


def test_a_refusal_that_lasts_too_long_goes_to_the_learner_as_it_came():
    async def closed(request):
        return JSONResponse({"error": "Too Many Requests"}, 429, {"retry-after": "4000"})

    with teaching(Starlette(routes=[Route(CHAT, closed, methods=["POST"])])) as (address, _):
        first, second = ask(address, "one"), ask(address, "two")
    assert (first.status_code, first.headers["retry-after"], first.json()) == (
        429,
        "4000",
        {"error": "Too Many Requests"},
    )
    assert (
        second.status_code == 429
        and int(second.headers["retry-after"]) > 0
        and "waited for its turn" in second.json()["message"]
    )


def test_the_log_has_a_line_a_request_and_no_words(school, caplog):
    with caplog.at_level(logging.INFO, "classroom"):
        ask(school[0], "what nobody else is to read")
        ask(school[0], "what nobody else is to read", session="two")
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
    assert (
        found["requests"] == quota.SAME + 2 * quota.OWN
        and found["kept"] == quota.SAME
        and found["refused"] == 0
    )
    title, each, refused, kept, failed, *_ = quota.row("here", found)
    assert (title, each, refused, kept, failed) == (
        "here",
        f"{found['requests'] / 40:.2f}",
        "0",
        str(quota.SAME),
        "0 of 40",
    )
