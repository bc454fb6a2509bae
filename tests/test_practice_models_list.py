"""`GET /v1/models` of the practice server: the shape that
huggingface.co/docs/inference-providers/hub-api shows."""

import openai
import pytest
from starlette.testclient import TestClient

from authoring.practice_server.app import create_app
from authoring.practice_server.catalogue import Catalogue

ALWAYS = {"provider", "status", "is_model_author"}
OPTIONAL = {
    "context_length": int,
    "pricing": dict,
    "supports_tools": bool,
    "supports_structured_output": bool,
    "first_token_latency_ms": (int, float),
    "throughput": (int, float),
    "is_free": bool,
}


@pytest.fixture(scope="module")
def listed() -> dict:
    return TestClient(create_app()).get("/v1/models").json()


def offers(listed: dict) -> list[tuple[dict, dict]]:
    return [(model, provider) for model in listed["data"] for provider in model["providers"]]


def test_every_entry_has_the_documented_fields_and_types(listed):
    assert listed["object"] == "list" and len(offers(listed)) > 30
    for model in listed["data"]:
        assert {"id", "object", "created", "owned_by", "architecture", "providers"} <= model.keys()
    for _, provider in offers(listed):
        assert ALWAYS <= provider.keys() <= ALWAYS | OPTIONAL.keys()
        for name, kind in OPTIONAL.items():
            assert name not in provider or isinstance(provider[name], kind), name
        assert not provider.get("pricing") or set(provider["pricing"]) == {"input", "output"}


def test_some_providers_leave_out_what_is_optional_and_some_lack_an_ability(listed):
    rows = [provider for _, provider in offers(listed)]
    for name in OPTIONAL.keys() - {"is_free"}:
        assert any(name not in row for row in rows) and any(name in row for row in rows), name
    for name in ("supports_tools", "supports_structured_output"):
        assert {row[name] for row in rows if name in row} == {True, False}


def test_prices_and_speeds_differ_by_model_and_not_only_by_provider(listed):
    prices = {}
    for model, provider in offers(listed):
        if "pricing" in provider and provider["pricing"]["output"]:
            prices.setdefault(provider["provider"], {})[model["id"]] = provider["pricing"]["output"]
    assert any(len(set(by_model.values())) > 1 for by_model in prices.values())


def test_the_cheapest_listed_is_the_one_that_the_router_chooses(listed):
    catalogue = Catalogue()
    for model in listed["data"]:
        known = {
            p["provider"]: p["pricing"]["output"]
            for p in model["providers"]
            if "pricing" in p and p["status"] == "live"
        }
        chosen = catalogue.choose(catalogue.get(model["id"]), "cheapest")
        assert chosen.provider not in known or known[chosen.provider] == min(known.values())


def test_sizes_name_known_models_and_rules_known_providers():
    catalogue = Catalogue()
    assert catalogue.sizes.keys() <= catalogue.models.keys()
    assert catalogue.unsaid.keys() | catalogue.lacking.keys() <= catalogue.speeds.keys()


def test_openai_keeps_the_fields_it_does_not_know(listed):
    model = openai.types.Model.model_validate(listed["data"][0])
    assert model.providers[0]["provider"] and model.architecture["input_modalities"] == ["text"]
