"""The weekly live check, against a stand-in for the service: what it says of a model that is
served, moved, or gone."""

import json
from datetime import date

import httpx2
import pytest

from authoring import canary
from authoring.canary import GONE, SERVED, UNKNOWN, check, exit_code, main, table
from helpers import wire
from helpers.exercises.chat_format import chat_body, counted
from helpers.models import Model, models

MAPPING = {
    "groq": {"status": "live", "providerId": "x", "task": "conversational"},
    "novita": {"status": "error", "providerId": "x", "task": "conversational"},
}
CHAT = chat_body("ok", "x", "length", usage=counted(1, 1))


def row(task="chat-completion", provider="auto", name="chat", id="some/model"):
    return Model(
        name=name, id=id, task=task, provider=provider, verified=date(2026, 11, 1), against="a test"
    )


@pytest.fixture
def service(monkeypatch):
    """Answers in place of the service: `service["GET"]`, `service["POST"]` = (status, JSON);
    `service["asked"]` lists the requests."""
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 20)
    answers = {
        "GET": (200, {"_id": "1", "id": "some/model", "inferenceProviderMapping": MAPPING}),
        "POST": (200, CHAT),
        "asked": [],
    }

    def handler(request: httpx2.Request):
        answers["asked"].append((request.method, request.url.path, request.content))
        if request.url.path == "/api/agent-harnesses":
            return wire.Plan(404, {}, [(0.0, b"{}")])
        status, body = answers[request.method]
        if isinstance(body, Exception):
            return wire.Plan(0, {}, [], breaks=body)
        return wire.Plan(
            status, {"content-type": "application/json"}, [(0.0, json.dumps(body).encode())]
        )

    wire.install(handler)
    yield answers
    wire.remove(handler)


def test_a_model_that_answers_is_served(service):
    found = check(row())
    assert (found.state, found.said) == (SERVED, "answered; live at groq")
    assert [(method, path) for method, path, _ in service["asked"]] == [
        ("GET", "/api/models/some/model"),
        ("POST", "/v1/chat/completions"),
    ]
    assert json.loads(service["asked"][1][2])["max_tokens"] == 1


def test_without_calls_only_the_hub_is_asked(service):
    assert check(row(), call=False).state == SERVED
    assert [method for method, _, _ in service["asked"]] == ["GET"]


def test_a_picture_is_not_paid_for(service):
    service["GET"] = (
        200,
        {
            "_id": "1",
            "id": "some/model",
            "inferenceProviderMapping": {
                "fal-ai": {"status": "live", "providerId": "x", "task": "text-to-image"}
            },
        },
    )
    assert check(row(task="text-to-image", provider="fal-ai")).said == "live at fal-ai (not called)"


@pytest.mark.parametrize(
    ("provider", "mapping", "said"),
    [
        ("auto", {}, "nobody serves it at all"),
        (
            "auto",
            {"groq": {"status": "staging", "providerId": "x", "task": "conversational"}},
            "groq: staging",
        ),
        (
            "auto",
            {"groq": {"status": "live", "providerId": "x", "task": "text-generation"}},
            "live for text-generation",
        ),
        (
            "hf-inference",
            MAPPING,
            "hf-inference no longer serves it for conversational; served by groq",
        ),
    ],
)
def test_a_model_that_nobody_serves_is_gone(service, provider, mapping, said):
    service["GET"] = 200, {"_id": "1", "id": "some/model", "inferenceProviderMapping": mapping}
    found = check(row(provider=provider))
    assert found.state == GONE and said in found.said
    assert len(service["asked"]) == 1


@pytest.mark.parametrize(
    ("get", "post", "state"),
    [
        ((404, {"error": "Not Found"}), None, UNKNOWN),
        ((500, {"error": "oops"}), None, UNKNOWN),
        ((200, httpx2.ConnectError("no route")), None, UNKNOWN),
        (None, (410, {"error": "no longer supported"}), GONE),
        (None, (404, {"error": "Not Found"}), GONE),
        (
            None,
            (
                400,
                {
                    "error": {
                        "message": "not supported by any provider you have enabled",
                        "code": "model_not_supported",
                    }
                },
            ),
            GONE,
        ),
        (None, (402, {"error": "credits"}), UNKNOWN),
        (None, (429, {"error": "slow down"}), UNKNOWN),
        (None, (503, {"error": "busy"}), UNKNOWN),
        (None, (200, httpx2.ReadTimeout("slow")), UNKNOWN),
    ],
)
def test_gone_is_told_from_trouble(service, get, post, state):
    service["GET"], service["POST"] = get or service["GET"], post or service["POST"]
    found = check(row())
    assert found.state == state and found.said


def test_a_model_the_hub_does_not_know_is_gone(service, monkeypatch):
    monkeypatch.setitem(service, "GET", (404, {"error": "Repository not found"}))
    with_code = wire.current()

    def handler(request):
        answer = with_code(request)
        answer.headers["x-error-code"] = "RepoNotFound"
        return answer

    wire.install(handler)
    assert check(row()).state == GONE
    wire.remove(handler)


@pytest.mark.parametrize("task", sorted(canary.TINY))
def test_every_tiny_call_is_one_request_the_library_accepts(service, task):
    answers = {
        "chat-completion": CHAT,
        "text-generation": {"choices": [{"text": "ok"}]},
        "feature-extraction": [0.1, 0.2],
        "text-classification": [[{"label": "a", "score": 1.0}]],
        "zero-shot-classification": [{"label": "yes", "score": 1.0}],
        "token-classification": [
            {"entity_group": "PER", "word": "Ann", "score": 1.0, "start": 0, "end": 3}
        ],
        "summarization": [{"summary_text": "moved"}],
        "sentence-similarity": [0.9],
    }
    provider = {"chat-completion": "auto", "text-generation": "featherless-ai"}.get(
        task, "hf-inference"
    )
    on_the_hub = canary.ON_THE_HUB.get(task, task)
    served = {
        "groq" if provider == "auto" else provider: {
            "status": "live",
            "providerId": "some/model",
            "task": on_the_hub,
        }
    }
    service["GET"] = (
        200,
        {
            "_id": "1",
            "id": f"some/{task}",
            "pipeline_tag": task,
            "tags": [],
            "inferenceProviderMapping": served,
        },
    )
    service["POST"] = 200, answers[task]
    found = check(row(task=task, provider=provider, id=f"some/{task}"))
    assert found.state == SERVED and found.said.startswith("answered"), found
    assert [method for method, _, _ in service["asked"]].count("POST") == 1


def test_every_task_of_the_registry_can_be_checked():
    assert {model.task for model in models} <= set(canary.TINY) | {"text-to-image"}


def test_the_run_writes_a_report_and_its_exit_code_says_what_happened(service, tmp_path, capsys):
    assert (
        main(["--no-calls", "--report", str(tmp_path / "report.md")]) == 1
    )  # the stand-in serves chat only
    report = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    assert len(report) == 2 + len(list(models)) and report[2].startswith("| gone |")
    assert models.chat in capsys.readouterr().out
    served, unknown, gone = (
        canary.Finding(row(), state, "a | b") for state in (SERVED, UNKNOWN, GONE)
    )
    assert [
        exit_code(found) for found in ([served], [served, unknown], [served, unknown, gone])
    ] == [0, 2, 1]
    assert "a \\| b" in table([served])


def test_without_a_token_it_says_so_and_asks_nobody(service, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert main([]) == 2
    assert "HF_TOKEN" in capsys.readouterr().err and service["asked"] == []
