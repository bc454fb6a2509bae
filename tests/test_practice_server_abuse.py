"""Whatever is sent to the practice server: an answer in time, who answered, and never a 5xx."""

import json
import queue
import socket
import time

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from practice_fixtures import TOKEN, endpoint_body, http, none_left, practice  # noqa: F401

from authoring.practice_server import chat, tasks

HF = "/hf-inference/models/"
CHAT = {
    "model": "openai/gpt-oss-120b",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 1,
}


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    """Nobody here reads them, and thousands of tokens take minutes on a busy machine."""
    for module, name in ((chat, "DEFAULT_MAX_TOKENS"), (chat, "CONTEXT"), (tasks, "CONTEXT")):
        monkeypatch.setattr(module, name, 16)


# A good body for each POST route; the fuzzer breaks them.
GOOD = {
    "/v1/chat/completions": CHAT,
    "/together/v1/chat/completions": CHAT,
    "/featherless-ai/v1/completions": {
        "model": "Qwen/Qwen2.5-Coder-32B-Instruct",
        "prompt": "x",
        "max_tokens": 1,
    },
    "/together/v1/embeddings": {"model": "intfloat/multilingual-e5-large-instruct", "input": "x"},
    "/nscale/v1/images/generations": {
        "model": "black-forest-labs/FLUX.1-schnell",
        "prompt": "x",
        "size": "64x64",
    },
    "/fal-ai/fal-ai/flux/dev": {"prompt": "x", "image_size": {"width": 64, "height": 64}},
    "/replicate/v1/models/black-forest-labs/flux-schnell/predictions": {
        "input": {"prompt": "x", "width": 64, "height": 64}
    },
    "/replicate/v1/predictions": {"version": "0", "input": {"prompt": "x"}},
    HF + "BAAI/bge-small-en-v1.5/pipeline/feature-extraction": {
        "inputs": "x",
        "normalize": True,
        "truncate": True,
    },
    HF + "BAAI/bge-small-en-v1.5/pipeline/sentence-similarity": {
        "inputs": {"source_sentence": "x", "sentences": ["y"]}
    },
    HF + "facebook/bart-large-mnli": {
        "inputs": "x",
        "parameters": {"candidate_labels": ["a"], "multi_label": False},
    },
    HF + "distilbert/distilbert-base-uncased-finetuned-sst-2-english": {
        "inputs": "x",
        "parameters": {"top_k": 1},
    },
    HF + "dslim/bert-base-NER": {"inputs": "x", "parameters": {"aggregation_strategy": "none"}},
    HF + "openai-community/gpt2": {
        "inputs": "x",
        "parameters": {"max_new_tokens": 1, "temperature": 0.5},
    },
    HF + "openai-community/gpt2/v1/completions": {"prompt": "x", "max_tokens": 1},
    HF + "facebook/bart-large-cnn": {"inputs": "x", "parameters": {"max_length": 1}},
    HF + "black-forest-labs/FLUX.1-schnell": {
        "inputs": "x",
        "parameters": {"width": 64, "height": 64},
    },
    "/v2/endpoint/practice-user": endpoint_body("x", {}),
    "/v2/endpoint/practice-user/nobody/pause": {},
    "/api/v1/catalog/model/openai/gpt-oss-20b/deploy": {
        "namespace": "practice-user",
        "config": {"name": "y"},
    },
}
MORE = "stream seed stop tools tool_choice response_format n logprobs stream_options temperature"
NAMES = sorted(
    {name for body in GOOD.values() for name in body} | {*MORE.split(), "encoding_format"}
)
INNER = ["width", "seed", "top_k", "candidate_labels", "max_new_tokens", "scaling", "repository"]
TEXTS = ["", "\x00", "🌍", "a\u0301" * 5, "-1", "1e999", "../../etc/passwd", "{}", "<|im_end|>"]
NUMBERS = st.integers() | st.floats(allow_nan=False) | st.sampled_from([2**70, -(2**70), 1e300])
ODD = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20) | st.sampled_from(TEXTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
HUBS = ("api.endpoints.huggingface.cloud", "x.endpoints.huggingface.cloud")
HOSTS = st.sampled_from([None, None, "router.huggingface.co", *HUBS])
PARTS = (
    "v1|v2|api|models|endpoint|hf-inference|pipeline|chat|completions|groq|files|health|..|%2e%2e"
    "|%00|🌍|a b|recipe|catalog|requests|status"
)
ODD_HOSTS = ["[::1]", "x" * 300, "a@b", ":", "a.b.c.endpoints.huggingface.cloud"]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]


def fine(answer: httpx2.Response) -> None:
    """No 5xx but that of an endpoint on its way up, which is the service's own; and provenance."""
    waking = answer.status_code == 503 and "the endpoint is starting" in answer.text
    what = (answer.request.url, answer.request.content[:500], answer.text[:500])
    assert answer.status_code < 500 or waking, what
    for name in ("x-answered-by", "x-answered-runtime", "x-request-id"):
        assert answer.headers[name]
    if answer.status_code >= 400:
        assert answer.text.strip(), "an error that says nothing"


pytestmark = pytest.mark.usefixtures("none_left")


def test_the_good_bodies_are_good(http):
    odd = {"/replicate/v1/predictions": 422, "/v2/endpoint/practice-user/nobody/pause": 404}
    for path, body in GOOD.items():
        status, expected = http.post(path, json=body).status_code, odd.get(path, 200)
        assert status == expected or (status == 201 and "replicate" in path), (path, status)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(sorted(GOOD)),
    changes=st.dictionaries(st.sampled_from(NAMES), ODD, max_size=2),
    inner=st.dictionaries(st.sampled_from([*INNER, "prompt"]), ODD, max_size=2),
    host=HOSTS,
)
def test_odd_fields(http, path, changes, inner, host):
    body = {**GOOD[path], **changes}
    for name in ("parameters", "input", "compute", "image_size"):
        if isinstance(body.get(name), dict):
            body[name] = {**body[name], **inner}
    # As text, because the client itself refuses to send Infinity and NaN: the server must, too.
    fine(http.post(path, content=json.dumps(body).encode(), headers={"host": host} if host else {}))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(sorted(GOOD)),
    body=st.binary(max_size=60) | ODD.map(lambda value: json.dumps(value).encode()),
)
def test_odd_bodies(http, path, body):
    fine(http.post(path, content=body))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(METHODS),
    parts=st.lists(st.sampled_from(PARTS.split("|")), max_size=6),
    host=st.sampled_from([None, "huggingface.co", "v3.fal.media", *ODD_HOSTS]),
)
def test_odd_routes(http, method, parts, host):
    answer = http.request(method, "/" + "/".join(parts), headers={"host": host} if host else {})
    assert answer.status_code < 500
    if answer.status_code != 400:  # a host that is no host is refused by the HTTP server itself
        assert answer.headers["x-answered-by"]


@pytest.mark.parametrize(
    "body, status, text",
    [
        (b"", 400, "no body"),
        (b"{", 400, "not valid JSON"),
        (b"[1]", 422, "must be a JSON object, not an array"),
        (b'"x"', 422, "a string"),
        (b'{"a": NaN}', 400, "NaN"),
        (b"\xff\xfe", 400, "not valid"),
        (b'{"a": "\\ud800"}', 400, "Unicode"),
        (b'{"a":' * 100_000, 400, "nested"),
        (b"{" + b" " * (11 * 2**20) + b"}", 413, "larger than 10 MB"),
        (b"{} {}", 400, "not valid JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", 400, "not valid JSON"),
    ],
)
def test_bodies_that_are_not_json(http, body, status, text):
    answer = http.post("/v1/chat/completions", content=body)
    assert answer.status_code == status and text in answer.text, answer.text[:200]
    fine(answer)


def test_a_body_without_end_is_given_up(practice, monkeypatch):
    from authoring.practice_server import incoming

    monkeypatch.setattr(incoming, "BODY_SECONDS", 0.3)
    host, port = practice.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=600) as line:
        asked = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n"
        line.sendall(f"{asked}authorization: Bearer {TOKEN}\r\n\r\n{{".encode())
        started = time.perf_counter()
        assert line.recv(4096).startswith(b"HTTP/1.1 408")
        assert time.perf_counter() - started < 60


def test_one_that_takes_too_long_is_a_504_and_too_many_waiting_a_429(practice, http, monkeypatch):
    from authoring.practice_server import llm

    story = [{"role": "user", "content": "Write a long story."}]
    body = CHAT | {"messages": story, "max_tokens": 2000}
    monkeypatch.setattr(llm, "REQUEST_SECONDS", 0.4)
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 504 and "timed out" in answer.text
    stream = http.post("/v1/chat/completions", json=body | {"stream": True})
    assert "timed out" in stream.text, "an error within a stream is said in the stream"

    def full(job):
        raise queue.Full

    monkeypatch.setattr(practice.app.state.practice.chat._jobs, "put_nowait", full)
    answer = http.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 429 and answer.json()["error_type"] == "overloaded"


def test_what_breaks_here_is_a_500_that_says_whose_fault_it_is(practice, http, monkeypatch, caplog):
    monkeypatch.setattr(practice.app.state.practice, "catalogue", None)
    answer = http.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 500 and "bug of the course" in answer.json()["error"]
    assert answer.headers["x-answered-by"] == "practice server"


def test_the_listener_of_the_model_library_is_closed_to_others(practice, http):
    http.post("/v1/chat/completions", json=CHAT)
    inside = practice.app.state.practice.chat._server.listening_address
    assert inside.startswith("http://127.0.0.1:")
    assert httpx2.post(inside + "/v1/chat/completions", json=CHAT).status_code == 401


@pytest.mark.parametrize(
    "name, value", [("--port", "0"), ("--speed", "0"), ("--weights", "gpt-5"), ("--threads", "0")]
)
def test_the_command_says_what_is_wrong_with_its_arguments(name, value, monkeypatch, capsys):
    from authoring.practice_server.__main__ import main

    monkeypatch.setattr("sys.argv", ["practice_server", name, value])
    with pytest.raises(SystemExit):
        main()
    assert name in capsys.readouterr().err


def test_a_taken_port_is_said_at_once(monkeypatch, capsys):
    from authoring.practice_server.__main__ import main

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("sys.argv", ["practice_server", "--port", str(taken.getsockname()[1])])
        assert main() == 1
    assert "can't be had" in capsys.readouterr().err
