"""The practice server's bodies beside real ones: bodies recorded from the service, and the
published task schemas."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from practice_fixtures import TOKEN, http, practice  # noqa: F401

RECORDED = (
    Path(__file__).resolve().parents[2]
    / "shared"
    / "real_recordings"
    / "huggingface_hub_2023-2025.json"
)
TASKS = "@huggingface/tasks@0.21.54"

# Fields that only some providers or versions of a server send.
OPTIONAL = {
    "prompt",
    "seed",
    "cached_tokens",
    "tool_calls",
    "text",
    "token_id",
    "system_fingerprint",
    "logprobs",
    "usage",
    "completion_tokens_details",
    "prompt_tokens_details",
    "input_length",
    "index",
    "content_filter_results",
}
# The same request in our words: the model of the recording, or one that the server knows for the
# same task and provider.
STANDS_FOR = {
    "/hf-inference/models/meta-llama/Llama-3.1-8B-Instruct/v1/chat/completions": (
        "/hf-inference/models/HuggingFaceTB/SmolLM3-3B/v1/chat/completions",
        "HuggingFaceTB/SmolLM3-3B",
    ),
    "/hf-inference/models/meta-llama/Meta-Llama-3-70B-Instruct/v1/chat/completions": (
        "/hf-inference/models/HuggingFaceTB/SmolLM3-3B/v1/chat/completions",
        "HuggingFaceTB/SmolLM3-3B",
    ),
    "/together/v1/chat/completions": ("/together/v1/chat/completions", "openai/gpt-oss-120b"),
    "/fireworks-ai/inference/v1/chat/completions": (
        "/fireworks-ai/inference/v1/chat/completions",
        "openai/gpt-oss-120b",
    ),
    "/novita/v3/openai/chat/completions": (
        "/novita/v3/openai/chat/completions",
        "openai/gpt-oss-120b",
    ),
    "/hf-inference/pipeline/feature-extraction/facebook/bart-base": (
        "/hf-inference/pipeline/feature-extraction/facebook/bart-base",
        None,
    ),
    "/hf-inference/models/google/flan-t5-xxl": ("/hf-inference/models/openai-community/gpt2", None),
}


def recordings() -> list:
    if not RECORDED.exists():
        return [
            pytest.param(
                None,
                marks=pytest.mark.skip(
                    reason=(
                        f"no folder of real recordings beside the checkout ({RECORDED.parent.name})"
                    )
                ),
            )
        ]
    return [
        pytest.param(row, id=row["case"])
        for row in json.loads(RECORDED.read_text(encoding="utf-8"))
    ]


def differences(real, ours, where="body") -> list[str]:
    """How `ours` is not of the shape of `real`: types, nesting and field names; values do not
    count."""
    if isinstance(real, str) and "in all" in real:
        return []  # where the recording was cut
    if isinstance(real, bool) or isinstance(ours, bool) or real is None or ours is None:
        return (
            []
            if None in (real, ours) or type(real) is type(ours)
            else [f"{where}: {real!r} and {ours!r}"]
        )
    if isinstance(real, (int, float)) and isinstance(ours, (int, float)):
        return []
    if type(real) is not type(ours):
        return [f"{where}: {type(real).__name__} and {type(ours).__name__}"]
    if isinstance(real, dict):
        found = [f"{where}: only real has {name}" for name in real.keys() - ours.keys() - OPTIONAL]
        found += [f"{where}: only ours has {name}" for name in ours.keys() - real.keys() - OPTIONAL]
        return found + [
            line
            for name in real.keys() & ours.keys()
            for line in differences(real[name], ours[name], f"{where}.{name}")
        ]
    if isinstance(real, list) and real:
        return differences(real[0], ours[0], f"{where}[0]") if ours else [f"{where}: ours is empty"]
    return []


def stream(text: str) -> list:
    return [
        json.loads(line[5:])
        for line in text.split("\n")
        if line.startswith("data:") and "[DONE]" not in line and line.endswith("}")
    ]


@pytest.mark.parametrize("row", recordings())
def test_bodies_have_the_shape_of_real_ones(http, row):
    asked, real = row["request"], row["response"]
    path, model = STANDS_FOR.get(
        asked["url"].removeprefix("https://router.huggingface.co"),
        (asked["url"].removeprefix("https://router.huggingface.co"), None),
    )
    body = (
        asked["json"]
        | ({"model": model} if model else {})
        | ({"max_tokens": 3} if "chat" in row["case"] else {})
    )
    token = "hf_invalid" if real["status"] == 401 else TOKEN
    if row["case"] == "summarization":
        body = {**body, "parameters": {"generate_parameters": {"max_new_tokens": 5}}}
    ours = http.post(path, json=body, headers={"authorization": f"Bearer {token}"})
    assert ours.status_code == real["status"], ours.text
    kind = real["headers"]["content-type"].split(";")[0]
    assert ours.headers["content-type"].split(";")[0] == (
        "image/png" if kind == "image/jpeg" else kind
    )
    for name in {"x-compute-type", "x-compute-time", "x-request-id"} & real["headers"].keys():
        assert name in ours.headers, name
    if kind == "text/event-stream":
        theirs, mine = stream(real["body"]), stream(ours.text)
        middle = next(
            (
                event
                for event in mine
                if event.get("choices", [{}])[0].get("delta", {}).get("content")
            ),
            mine[-1],
        )
        reference = next(
            (
                event
                for event in theirs
                if event.get("choices", [{}])[0].get("delta", {}).get("content")
            ),
            theirs[-1],
        )
        found = [
            line for line in differences(reference, middle) if "only real has role" not in line
        ]
        assert not found  # some providers repeat the role in every chunk
        assert (
            ("[DONE]" in real["body"]) == ("[DONE]" in ours.text)
            or "cut" in real["encoding"]
            or "…" in real["body"]
        )
    elif kind == "application/json":
        mine, theirs = ours.json(), real["body"]
        if row["case"].endswith("old_shape"):  # since November 2025 a list of {label, score}
            theirs = [{"label": theirs["labels"][0], "score": theirs["scores"][0]}]
        assert not differences(theirs, mine)


def test_the_comparison_sees_a_difference():
    nested, flat = [[{"label": "A", "score": 1.0}]], [{"label": "A", "score": 1.0}]
    assert (
        differences(nested, flat)
        and differences({"a": 1}, {"b": 1})
        and differences({"a": "x"}, {"a": 1})
    )
    assert (
        differences([1], [])
        and differences(True, 1)
        and not differences({"a": [1.5]}, {"a": [2, 3]})
    )


# ---- the published schemas ----


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    """The JSON schemas of the npm package, by their $id; fetched, not kept."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed; the published task schemas come as an npm package")
    folder = tmp_path_factory.mktemp("tasks")
    try:
        done = subprocess.run(
            [npm, "pack", "--silent", TASKS],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm pack {TASKS} took more than a minute")
    packed = next(folder.glob("*.tgz"), None)
    if packed is None:
        pytest.skip(f"npm pack {TASKS} failed: {done.stderr.strip()[-200:]}")
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT6

    found = {}
    with tarfile.open(packed) as archive:
        for member in archive:
            if member.name.endswith(
                ("spec/output.json", "spec/stream_output.json", "common-definitions.json")
            ):
                schema = json.load(archive.extractfile(member))
                found[schema["$id"]] = schema
    return found, Registry().with_resources(
        (name, Resource(schema, DRAFT6)) for name, schema in found.items()
    )


def without_nulls(body):
    """The schemas know no null, yet recorded bodies of the service are full of them ("logprobs":
    null, "seed": null)."""
    if isinstance(body, dict):
        return {name: without_nulls(value) for name, value in body.items() if value is not None}
    return [without_nulls(value) for value in body] if isinstance(body, list) else body


def errors_of(schemas, name: str, body) -> list[str]:
    from jsonschema import Draft6Validator

    found, registry = schemas
    body = without_nulls(body)
    return [
        error.message
        for error in Draft6Validator(
            found[f"/inference/schemas/{name}.json"], registry=registry
        ).iter_errors(body)
    ]


HF = "/hf-inference/models/"
SST = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"


@pytest.mark.parametrize(
    ("name", "path", "body", "unwrap"),
    [
        # Where the service wraps what the schema shows in one more list, as recorded bodies prove,
        # the client unwraps it.
        ("text-classification/output", HF + SST, {"inputs": "Good."}, True),
        (
            "zero-shot-classification/output",
            HF + "facebook/bart-large-mnli",
            {"inputs": "Pay?", "parameters": {"candidate_labels": ["a", "b"]}},
            False,
        ),
        (
            "token-classification/output",
            HF + "dslim/bert-base-NER",
            {"inputs": "I met Angela Merkel in Paris."},
            False,
        ),
        (
            "sentence-similarity/output",
            HF + "thenlper/gte-large/pipeline/sentence-similarity",
            {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
            False,
        ),
        (
            "feature-extraction/output",
            HF + "BAAI/bge-small-en-v1.5/pipeline/feature-extraction",
            {"inputs": ["a"]},
            False,
        ),
        (
            "summarization/output",
            HF + "facebook/bart-large-cnn",
            {"inputs": "The sky is blue.", "parameters": {"max_length": 5}},
            True,
        ),
        (
            "text-generation/output",
            HF + "openai-community/gpt2",
            {"inputs": "Once", "parameters": {"max_new_tokens": 2, "details": True}},
            True,
        ),
        (
            "chat-completion/output",
            "/v1/chat/completions",
            {
                "model": "openai/gpt-oss-120b",
                "messages": [{"role": "user", "content": "Hi"}],
                "max_tokens": 2,
                "logprobs": True,
            },
            False,
        ),
    ],
)
def test_bodies_fit_the_published_schemas(http, schemas, name, path, body, unwrap):
    answer = http.post(path, json=body).json()
    assert not errors_of(schemas, name, answer[0] if unwrap else answer)
    assert errors_of(schemas, name, {"error": "no answer"}), (
        "the schema accepts anything: this check proves nothing"
    )


def test_chunks_fit_the_published_schema(http, schemas):
    answer = http.post(
        "/v1/chat/completions",
        json={
            "model": "openai/gpt-oss-120b",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 2,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    )
    chunks = stream(answer.text)
    for chunk in (
        chunks
    ):  # the schema wants role and content in every chunk; recorded streams leave them out
        for choice in chunk["choices"]:
            choice["delta"] = {"role": "assistant", "content": ""} | choice["delta"]
    assert len(chunks) >= 4 and not [
        error
        for chunk in chunks
        for error in errors_of(schemas, "chat-completion/stream_output", chunk)
    ]
