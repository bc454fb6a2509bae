"""The practice server's bodies beside recorded real ones and the published task schemas."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from practice_fixtures import TOKEN, http, practice  # noqa: F401

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "real_recordings"
RECORDED = FOLDER / "huggingface_hub_2023-2025.json"
TASKS = "@huggingface/tasks@0.21.54"

# Fields that only some providers or versions of a server send.
OPTIONAL = {"prompt", "seed", "cached_tokens", "tool_calls", "text", "token_id", "usage", "index"}
OPTIONAL |= {"system_fingerprint", "logprobs", "completion_tokens_details", "input_length"}
OPTIONAL |= {"prompt_tokens_details", "content_filter_results"}
# The same request in our words: the model of the recording, or one that the server knows for the
# same task and provider.
HF, CHAT, OSS = "/hf-inference/models/", "/v1/chat/completions", "openai/gpt-oss-120b"
SMOLLM3 = "HuggingFaceTB/SmolLM3-3B"
STANDS_FOR = {
    f"{HF}meta-llama/Llama-3.1-8B-Instruct{CHAT}": (HF + SMOLLM3 + CHAT, SMOLLM3),
    f"{HF}meta-llama/Meta-Llama-3-70B-Instruct{CHAT}": (HF + SMOLLM3 + CHAT, SMOLLM3),
    f"/together{CHAT}": (f"/together{CHAT}", OSS),
    f"/fireworks-ai/inference{CHAT}": (f"/fireworks-ai/inference{CHAT}", OSS),
    "/novita/v3/openai/chat/completions": ("/novita/v3/openai/chat/completions", OSS),
    f"{HF}google/flan-t5-xxl": (f"{HF}openai-community/gpt2", None),
}


def recordings() -> list:
    if not RECORDED.exists():
        why = f"no folder of real recordings beside the checkout ({FOLDER.name})"
        return [pytest.param(None, marks=pytest.mark.skip(reason=why))]
    rows = json.loads(RECORDED.read_text(encoding="utf-8"))
    return [pytest.param(row, id=row["case"]) for row in rows]


def differences(real, ours, where="body") -> list[str]:
    """How `ours` is not of the shape of `real`: types, nesting and names; not the values."""
    if isinstance(real, str) and "in all" in real:
        return []  # where the recording was cut
    if isinstance(real, bool) or isinstance(ours, bool) or real is None or ours is None:
        same = None in (real, ours) or type(real) is type(ours)
        return [] if same else [f"{where}: {real!r} and {ours!r}"]
    if isinstance(real, (int, float)) and isinstance(ours, (int, float)):
        return []
    if type(real) is not type(ours):
        return [f"{where}: {type(real).__name__} and {type(ours).__name__}"]
    if isinstance(real, dict):
        found = [f"{where}: only real has {name}" for name in real.keys() - ours.keys() - OPTIONAL]
        found += [f"{where}: only ours has {name}" for name in ours.keys() - real.keys() - OPTIONAL]
        for name in real.keys() & ours.keys():
            found += differences(real[name], ours[name], f"{where}.{name}")
        return found
    if isinstance(real, list) and real:
        return differences(real[0], ours[0], f"{where}[0]") if ours else [f"{where}: ours is empty"]
    return []


def stream(text: str) -> list:
    data = [line[5:] for line in text.split("\n") if line.startswith("data:")]
    return [json.loads(one) for one in data if "[DONE]" not in one and one.endswith("}")]


def with_words(events: list) -> dict:
    """The first event that brings words, or else the last."""
    delta = lambda event: event.get("choices", [{}])[0].get("delta", {})
    return next((event for event in events if delta(event).get("content")), events[-1])


@pytest.mark.parametrize("row", recordings())
def test_bodies_have_the_shape_of_real_ones(http, row):
    case, asked, real = row["case"], row["request"], row["response"]
    there = asked["url"].removeprefix("https://router.huggingface.co")
    path, model = STANDS_FOR.get(there, (there, None))
    body = asked["json"] | ({"model": model} if model else {})
    body |= {"max_tokens": 3} if "chat" in case else {}
    if case == "summarization":
        body |= {"parameters": {"generate_parameters": {"max_new_tokens": 5}}}
    token = "hf_invalid" if real["status"] == 401 else TOKEN
    ours = http.post(path, json=body, headers={"authorization": f"Bearer {token}"})
    assert ours.status_code == real["status"], ours.text
    kind, our_kind = (one["content-type"].split(";")[0] for one in (real["headers"], ours.headers))
    assert our_kind == ("image/png" if kind == "image/jpeg" else kind)
    for name in {"x-compute-type", "x-compute-time", "x-request-id"} & real["headers"].keys():
        assert name in ours.headers, name
    if kind == "text/event-stream":
        found = differences(with_words(stream(real["body"])), with_words(stream(ours.text)))
        # Some providers repeat the role in every chunk.
        assert not [line for line in found if "only real has role" not in line]
        cut_off = "cut" in real["encoding"] or "…" in real["body"]
        assert cut_off or ("[DONE]" in real["body"]) == ("[DONE]" in ours.text)
    elif kind == "application/json":
        mine, theirs = ours.json(), real["body"]
        if case.endswith("old_shape"):  # since November 2025 a list of {label, score}
            theirs = [{"label": theirs["labels"][0], "score": theirs["scores"][0]}]
        assert not differences(theirs, mine)


def test_the_comparison_sees_a_difference():
    nested, flat = [[{"label": "A", "score": 1.0}]], [{"label": "A", "score": 1.0}]
    pairs = ((nested, flat), ({"a": 1}, {"b": 1}), ({"a": "x"}, {"a": 1}), ([1], []), (True, 1))
    assert all(differences(*pair) for pair in pairs)
    assert not differences({"a": [1.5]}, {"a": [2, 3]})


# ---- the published schemas ----


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    """The JSON schemas of the npm package, by their $id; fetched, not kept."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed; the published task schemas come as an npm package")
    folder = tmp_path_factory.mktemp("tasks")
    command, how = [npm, "pack", "--silent", TASKS], {"capture_output": True, "text": True}
    try:
        done = subprocess.run(command, cwd=folder, timeout=300, **how)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm pack {TASKS} took more than a minute")
    packed = next(folder.glob("*.tgz"), None)
    if packed is None:
        pytest.skip(f"npm pack {TASKS} failed: {done.stderr.strip()[-200:]}")
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT6

    names = ("spec/output.json", "spec/stream_output.json", "common-definitions.json")
    with tarfile.open(packed) as archive:
        files = [archive.extractfile(one) for one in archive if one.name.endswith(names)]
        found = {schema["$id"]: schema for schema in map(json.load, files)}
    resources = [(name, Resource(schema, DRAFT6)) for name, schema in found.items()]
    return found, Registry().with_resources(resources)


def without_nulls(body):
    """The schemas know no null; recorded bodies are full of them ("logprobs": null)."""
    if isinstance(body, dict):
        return {name: without_nulls(value) for name, value in body.items() if value is not None}
    return [without_nulls(value) for value in body] if isinstance(body, list) else body


def errors_of(schemas, name: str, body) -> list[str]:
    from jsonschema import Draft6Validator

    found, registry = schemas
    schema = found[f"/inference/schemas/{name}.json"]
    validator = Draft6Validator(schema, registry=registry)
    return [error.message for error in validator.iter_errors(without_nulls(body))]


def asked(text: str, **parameters) -> dict:
    return {"inputs": text} | ({"parameters": parameters} if parameters else {})


HI = {"model": OSS, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
SST = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
BART, MNLI = "facebook/bart-large-cnn", "facebook/bart-large-mnli"
SIMILAR = "thenlper/gte-large/pipeline/sentence-similarity"
VECTORS = "BAAI/bge-small-en-v1.5/pipeline/feature-extraction"
PAIR = {"inputs": {"source_sentence": "a", "sentences": ["b"]}}
MET, PAY = asked("I met Angela Merkel in Paris."), asked("Pay?", candidate_labels=["a", "b"])
SKY, ONCE = asked("The sky is blue.", max_length=5), asked("Once", max_new_tokens=2, details=True)


@pytest.mark.parametrize(
    "name, path, body, unwrap",
    [
        # Where the service wraps what the schema shows in one more list, as recorded bodies prove,
        # the client unwraps it.
        ("text-classification", HF + SST, asked("Good."), True),
        ("zero-shot-classification", HF + MNLI, PAY, False),
        ("token-classification", HF + "dslim/bert-base-NER", MET, False),
        ("sentence-similarity", HF + SIMILAR, PAIR, False),
        ("feature-extraction", HF + VECTORS, {"inputs": ["a"]}, False),
        ("summarization", HF + BART, SKY, True),
        ("text-generation", HF + "openai-community/gpt2", ONCE, True),
        ("chat-completion", CHAT, HI | {"logprobs": True}, False),
    ],
)
def test_bodies_fit_the_published_schemas(http, schemas, name, path, body, unwrap):
    answer, name = http.post(path, json=body).json(), f"{name}/output"
    assert not errors_of(schemas, name, answer[0] if unwrap else answer)
    assert errors_of(schemas, name, {"error": "no answer"}), "the schema accepts anything"


def test_chunks_fit_the_published_schema(http, schemas):
    more = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = stream(http.post(CHAT, json=HI | more).text)
    # The schema wants role and content in every chunk; recorded streams leave them out.
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        choice["delta"] = {"role": "assistant", "content": ""} | choice["delta"]
    assert len(chunks) >= 4
    for chunk in chunks:
        assert not errors_of(schemas, "chat-completion/stream_output", chunk)
