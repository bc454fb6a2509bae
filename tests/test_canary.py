"""The weekly live check, against a stand-in for the service: what it says of a model that is
served, moved, or gone."""

import json
from datetime import date

import httpx2
import pytest
import standin

from authoring import canary
from authoring.canary import GONE, SERVED, UNKNOWN, check, exit_code, main, table
from helpers import wire
from helpers.models import Model, models


def listed(task="conversational", id="some/model", **providers) -> dict:
    """What the Hub says of a model: who serves it, and whether that is live."""
    served = {
        name.replace("_", "-"): {"status": status, "providerId": id, "task": task}
        for name, status in providers.items()
    }
    more = {"pipeline_tag": task, "tags": []}
    return {"_id": "1", "id": id, "inferenceProviderMapping": served} | more


TWO = listed(groq="live", novita="error")


def row(task="chat-completion", provider="auto", id="some/model"):
    where = {"verified": date(2026, 11, 1), "against": "a test"}
    return Model(name="chat", id=id, task=task, provider=provider, **where)


@pytest.fixture
def service(monkeypatch, handled):
    """Answers in place of the service: `service["GET"]`, `service["POST"]` = (status, JSON);
    `service["asked"]` lists the requests."""
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 20)
    answers = {"GET": (200, TWO), "POST": (200, standin.chat("ok")), "asked": []}

    def handler(request: httpx2.Request):
        answers["asked"].append((request.method, request.url.path, request.content))
        if request.url.path == "/api/agent-harnesses":
            return wire.Plan(404, {}, [(0.0, b"{}")])
        status, body, *headers = answers[request.method]
        if isinstance(body, Exception):
            return wire.Plan(0, {}, [], breaks=body)
        return standin.whole(body, status, seconds=0.0, **dict(headers))

    handled(handler)
    return answers


def test_a_model_that_answers_is_served(service):
    found = check(row())
    assert (found.state, found.said) == (SERVED, "answered; live at groq")
    asked = [(method, path) for method, path, _ in service["asked"]]
    assert asked == [("GET", "/api/models/some/model"), ("POST", "/v1/chat/completions")]
    assert json.loads(service["asked"][1][2])["max_tokens"] == 1


def test_without_calls_only_the_hub_is_asked(service):
    assert check(row(), call=False).state == SERVED
    assert [method for method, _, _ in service["asked"]] == ["GET"]


def test_a_picture_is_not_paid_for(service):
    service["GET"] = 200, listed("text-to-image", fal_ai="live")
    assert check(row(task="text-to-image", provider="fal-ai")).said == "live at fal-ai (not called)"


@pytest.mark.parametrize(
    ("provider", "answer", "said"),
    [
        ("auto", listed(), "nobody serves it at all"),
        ("auto", listed(groq="staging"), "groq: staging"),
        ("auto", listed("text-generation", groq="live"), "live for text-generation"),
        (
            "hf-inference",
            TWO,
            "hf-inference no longer serves it for conversational; served by groq",
        ),
    ],
)
def test_a_model_that_nobody_serves_is_gone(service, provider, answer, said):
    service["GET"] = 200, answer
    found = check(row(provider=provider))
    assert found.state == GONE and said in found.said
    assert len(service["asked"]) == 1


NOT_ENABLED = {"message": "not supported by any provider you have enabled"}


@pytest.mark.parametrize(
    ("method", "answer", "state"),
    [
        ("GET", (404, {"error": "Not Found"}), UNKNOWN),
        ("GET", (404, {"error": "Not Found"}, ("x-error-code", "RepoNotFound")), GONE),
        ("GET", (500, {"error": "oops"}), UNKNOWN),
        ("GET", (200, httpx2.ConnectError("no route")), UNKNOWN),
        ("POST", (410, {"error": "no longer supported"}), GONE),
        ("POST", (404, {"error": "Not Found"}), GONE),
        ("POST", (400, {"error": NOT_ENABLED | {"code": "model_not_supported"}}), GONE),
        ("POST", (402, {"error": "credits"}), UNKNOWN),
        ("POST", (429, {"error": "slow down"}), UNKNOWN),
        ("POST", (503, {"error": "busy"}), UNKNOWN),
        ("POST", (200, httpx2.ReadTimeout("slow")), UNKNOWN),
    ],
)
def test_gone_is_told_from_trouble(service, method, answer, state):
    service[method] = answer
    found = check(row())
    assert found.state == state and found.said


ANN = {"entity_group": "PER", "word": "Ann", "score": 1.0, "start": 0, "end": 3}
ANSWERS = {
    "chat-completion": standin.chat("ok"),
    "text-generation": {"choices": [{"text": "ok"}]},
    "feature-extraction": [0.1, 0.2],
    "text-classification": [[{"label": "a", "score": 1.0}]],
    "zero-shot-classification": [{"label": "yes", "score": 1.0}],
    "token-classification": [ANN],
    "summarization": [{"summary_text": "moved"}],
    "sentence-similarity": [0.9],
}


@pytest.mark.parametrize("task", sorted(canary.TINY))
def test_every_tiny_call_is_one_request_the_library_accepts(service, task):
    others = {"chat-completion": "auto", "text-generation": "featherless-ai"}
    provider, name = others.get(task, "hf-inference"), f"some/{task}"
    served = {"groq" if provider == "auto" else provider: "live"}
    service["GET"] = 200, listed(canary.ON_THE_HUB.get(task, task), name, **served)
    service["GET"][1]["pipeline_tag"] = task
    service["POST"] = 200, ANSWERS[task]
    found = check(row(task=task, provider=provider, id=name))
    assert found.state == SERVED and found.said.startswith("answered"), found
    assert [method for method, _, _ in service["asked"]].count("POST") == 1


def test_every_task_of_the_registry_can_be_checked():
    assert {model.task for model in models} <= set(canary.TINY) | {"text-to-image"}


def test_the_run_writes_a_report_and_its_exit_code_says_what_happened(service, tmp_path, capsys):
    path = tmp_path / "report.md"
    assert main(["--no-calls", "--report", str(path)]) == 1  # the stand-in serves chat only
    report = path.read_text(encoding="utf-8").splitlines()
    assert len(report) == 2 + len(list(models)) and report[2].startswith("| gone |")
    assert models.chat in capsys.readouterr().out
    found = [canary.Finding(row(), state, "a | b") for state in (SERVED, UNKNOWN, GONE)]
    assert [exit_code(found[:n]) for n in (1, 2, 3)] == [0, 2, 1]
    assert "a \\| b" in table(found[:1])


def test_without_a_token_it_says_so_and_asks_nobody(service, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert main([]) == 2
    assert "HF_TOKEN" in capsys.readouterr().err and service["asked"] == []
