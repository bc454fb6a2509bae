"""The practice server's other tasks, look-ups and pictures, by huggingface_hub and plain HTTP."""

import base64
import io
import struct

import httpx2
import numpy as np
import pytest
from huggingface_hub import HfApi, InferenceClient, model_info, whoami
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    ValidationError,
)
from huggingface_hub.utils import parse_ratelimit_headers
from PIL import Image
from practice_fixtures import TOKEN, as_service, http, practice  # noqa: F401

BGE = "BAAI/bge-small-en-v1.5"
SST = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
MNLI, NER, GPT2 = "facebook/bart-large-mnli", "dslim/bert-base-NER", "openai-community/gpt2"
FLUX, CODER = "black-forest-labs/FLUX.1-schnell", "Qwen/Qwen2.5-Coder-32B-Instruct"
MUSK = "Elon Musk founded SpaceX in Hawthorne, California in 2002."
HF = "/hf-inference/models/"


def test_a_text_gives_a_vector_and_a_list_gives_rows(as_service):
    client = InferenceClient()
    one = client.feature_extraction("A cat.", model=BGE)
    many = client.feature_extraction(["A cat.", "A dog."], model=BGE)
    assert one.shape == (384,) and many.shape == (2, 384) and many.dtype == np.float32
    assert np.array_equal(one, many[0]), "a text's vector must not depend on its neighbours"
    assert np.allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(client.feature_extraction("A cat.", model=BGE, normalize=False)) > 2


def test_meaning_decides(as_service):
    texts = ["The cat sat on the mat.", "A feline rested on a rug.", "Stocks fell on Monday."]
    rows = InferenceClient().feature_extraction(texts, model=BGE)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1


def test_the_default_model_gives_a_vector_a_token(as_service):
    assert InferenceClient().feature_extraction("Hi, who are you?").shape == (1, 8, 384)


def test_long_texts_are_refused_or_cut(as_service):
    client, long = InferenceClient(), "word " * 600
    with pytest.raises(HfHubHTTPError, match="must have less than 512 tokens. Given: 602"):
        client.feature_extraction(long, model=BGE)
    cut = {"text": "end " + long, "model": BGE, "truncate": True}
    left = client.feature_extraction(**cut, truncation_direction="left")
    right = client.feature_extraction(**cut)
    assert left.shape == right.shape == (384,) and not np.allclose(left, right)


def test_similarity(as_service):
    others = ["Deep learning is so straightforward.", "This is so difficult, like rocket science."]
    model = "sentence-transformers/all-MiniLM-L6-v2"
    ask = InferenceClient().sentence_similarity
    scores = ask("Machine learning is so easy.", others, model=model)
    assert len(scores) == 2 and scores[0] > scores[1]


@pytest.mark.parametrize(
    "provider, model",
    [
        ("together", "intfloat/multilingual-e5-large-instruct"),
        ("scaleway", "Qwen/Qwen3-Embedding-8B"),
        ("deepinfra", "Qwen/Qwen3-Embedding-0.6B"),
    ],
)
def test_other_providers_always_give_rows(as_service, provider, model):
    client = InferenceClient(provider=provider)
    assert client.feature_extraction("A cat.", model=model).shape == (1, 384)
    assert client.feature_extraction(["A cat.", "A dog."], model=model).shape == (2, 384)


def test_base64_embeddings(http):
    def rows(coding):
        body = {"model": "qwen3-embedding-8b", "input": "A cat.", "encoding_format": coding}
        return http.post("/scaleway/v1/embeddings", json=body).json()["data"][0]["embedding"]

    packed = struct.unpack("<384f", base64.b64decode(rows("base64")))
    assert np.array_equal(np.float32(rows("float")), np.float32(packed))


def test_sentiment_is_nested_on_the_wire_and_flat_in_the_client(as_service, http):
    wire = http.post(HF + SST, json={"inputs": "I like you", "parameters": {}})
    assert [row["label"] for row in wire.json()[0]] == ["POSITIVE", "NEGATIVE"]
    assert wire.headers["x-answered-by"] == "bge-small-en-v1.5 (int8 ONNX)"
    assert float(wire.headers["x-compute-time"]) >= 0
    classify = InferenceClient().text_classification
    rows = classify("The new update broke all my workflows. Very frustrated.", model=SST)
    assert rows[0].label == "NEGATIVE" and rows[0].score > 0.8
    assert sum(row.score for row in rows) == pytest.approx(1)
    assert len(classify("Great.", model=SST, top_k=1)) == 1
    labels = {row.label for row in classify("Great.", model="ProsusAI/finbert")}
    assert labels == {"positive", "negative", "neutral"}


def test_sentiment_on_what_it_was_measured_with():
    """The claim of tasks.py: most of a small hand-written set is right."""
    good = [
        "I love this phone.",
        "What a wonderful surprise!",
        "Works as advertised.",
        "The staff went out of their way to help us.",
        "Five stars, exactly what I needed.",
        "A masterpiece.",
    ]
    bad = [
        "It stopped working after two days.",
        "I want my money back.",
        "The room smelled of smoke.",
        "I was bored to tears.",
        "They charged me twice and refused a refund.",
        "The plot made no sense.",
    ]
    from authoring.practice_server.embeddings import Embedder

    embedder, labels = Embedder(), ["This text is positive.", "This text is negative."]
    said_bad = {text for text in good + bad if embedder.cosines(text, labels).argmax()}
    right = len(said_bad & set(bad)) + len(set(good) - said_bad)
    assert right >= 10


def test_zero_shot_is_a_list_best_first(as_service, http):
    labels = ["technical support", "billing", "account", "general"]
    asked = {"text": "I need to update my payment method.", "model": MNLI}
    classify = InferenceClient().zero_shot_classification
    rows = classify(candidate_labels=labels, **asked)
    scores = [row.score for row in rows]
    assert rows[0].label == "billing" and scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)
    alone = classify(candidate_labels=labels, multi_label=True, **asked)
    assert alone[0].label == "billing"
    assert sum(row.score for row in alone) != pytest.approx(1)
    template = "A customer message about {}."
    templated = classify(candidate_labels=labels, hypothesis_template=template, **asked)
    assert templated[0].label == "billing" and templated[0].score != rows[0].score
    trap = {"inputs": "Pay?", "parameters": {"candidate_labels": "billing, account"}}
    found = {row["label"] for row in http.post(HF + MNLI, json=trap).json()}
    assert found == {"billing", "account"}, "a string is split at its commas"


def test_entities_and_their_places(as_service):
    rows = InferenceClient().token_classification(MUSK, model=NER)
    found = [f"{row.word}: {row.entity_group}" for row in rows]
    assert found == ["Elon Musk: PER", "Hawthorne: LOC", "California: LOC"]
    for row in rows:
        assert MUSK[row.start : row.end] == row.word and 0 < row.score <= 1 and row.entity is None


def test_strategies(http):
    def rows(strategy):
        body = {"inputs": MUSK, "parameters": {"aggregation_strategy": strategy}}
        return http.post(HF + NER, json=body).json()

    single = rows("none")
    assert [row["entity"] for row in single] == ["B-PER", "I-PER", "B-LOC", "B-LOC"]
    assert [row["index"] for row in single] == [1, 2, 6, 8]
    scores = [row["score"] for row in single[:2]]
    assert rows("first")[0]["score"] == scores[0] and rows("max")[0]["score"] == max(scores)
    mean = pytest.approx(sum(scores) / 2)
    assert rows("simple")[0]["score"] == rows("average")[0]["score"] == mean


@pytest.mark.parametrize(
    "text",
    [
        MUSK,
        "Angela Merkel met the CEO of Siemens in New York City.",
        "nothing here",
        "",
        "Hugging Face and Google signed in Paris on 3 May. Ångström 🌍 Zürich.",
    ],
)
def test_the_steps_that_are_scored_are_the_models_own(text):
    """The entities found step by step are the ones that spaCy's own pipeline finds."""
    from authoring.practice_server.ner import LABELS, EntityRecognizer

    recognizer = EntityRecognizer()
    ours, theirs = recognizer.entities(text), recognizer._nlp(text).ents
    found = [(tokens[0].start, tokens[-1].end, tokens[0].tag[2:]) for tokens in ours]
    known = [entity for entity in theirs if entity.label_ in LABELS]
    assert found == [(one.start_char, one.end_char, LABELS[one.label_]) for one in known]


def test_text_generation(as_service):
    write = InferenceClient(provider="hf-inference", model=GPT2).text_generation
    asked = {"prompt": "Once upon a time", "max_new_tokens": 8, "details": True}
    whole = write(**asked)
    assert whole.details.finish_reason == "length"
    assert whole.details.generated_tokens == len(whole.details.tokens) == 8
    assert "".join(token.text for token in whole.details.tokens) == whole.generated_text
    *events, last = write(**asked, stream=True)
    streamed = "".join(event.token.text for event in [*events, last])
    assert streamed == whole.generated_text == last.generated_text
    assert last.details.finish_reason == "length"
    assert all(event.generated_text is None for event in events)
    assert write("Once", max_new_tokens=3, return_full_text=True).startswith("Once")


def test_the_wire_of_a_text_generation_stream_has_no_space_and_no_done(http):
    body = {"inputs": "Once", "parameters": {"max_new_tokens": 3}, "stream": True}
    lines = [line for line in http.post(HF + GPT2, json=body).text.split("\n") if line]
    assert len(lines) == 3 and all(line.startswith("data:{") for line in lines)


def test_the_old_snippet_fails_as_it_does_today(as_service):
    old, write = "mistralai/Mistral-7B-Instruct-v0.3", InferenceClient().text_generation
    says = f"{old} is not supported for task text-generation and provider novita. Supported task:"
    with pytest.raises(ValueError, match=says + " conversational"):
        write("Explain gradient descent.", model=old)
    gone = "410 Gone(.|\n)*no longer supported by provider hf-inference"
    with pytest.raises(HfHubHTTPError, match=gone):
        InferenceClient(provider="hf-inference").text_generation("Explain.", model=old)
    assert write("Explain.", model=CODER, max_new_tokens=3)
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'text'"):
        list(write("Explain.", model=CODER, max_new_tokens=3, stream=True))


def test_summarization(as_service):
    text = (
        "Hugging Face runs models for you. You send a request over HTTP and get the answer. You"
        " need no GPU of your own."
    )
    few = {"max_new_tokens": 20}
    ask = InferenceClient().summarization
    assert ask(text, model="facebook/bart-large-cnn", generate_parameters=few).summary_text


@pytest.mark.parametrize(
    "provider, model",
    [
        ("hf-inference", FLUX),
        ("fal-ai", "black-forest-labs/FLUX.1-dev"),
        ("together", FLUX),
        ("nscale", FLUX),
        ("replicate", FLUX),
        ("replicate", "ByteDance/Hyper-SD"),
    ],
)
def test_a_test_card_of_the_asked_size_from_each_provider(as_service, provider, model):
    def card(seed):
        draw = InferenceClient(provider=provider).text_to_image
        return draw("An astronaut", width=256, height=192, seed=seed, model=model)

    first = card(1)
    assert first.size == (256, 192)
    assert first.tobytes() == card(1).tobytes() != card(2).tobytes()
    linked = {"fal-ai": "v3.fal.media", "replicate": "replicate.delivery"}.get(provider)
    assert linked is None or as_service.seen[-1].url.host == linked


def test_everything_asked_for_is_on_the_card(http):
    def card(**parameters):
        body = {"inputs": "cat", "parameters": {"seed": 3} | parameters}
        answer = http.post(HF + FLUX, json=body)
        assert answer.headers["content-type"] == "image/png"
        return Image.open(io.BytesIO(answer.content))

    plain = card()
    assert plain.size == (512, 512)
    changes = {"num_inference_steps": 4, "guidance_scale": 3.5, "negative_prompt": "blurry"}
    for name, value in changes.items():
        assert card(**{name: value}).tobytes() != plain.tobytes(), name


def test_a_link_works_without_a_token_and_straight_on_this_machine(http, practice):
    url = http.post("/fal-ai/fal-ai/flux/dev", json={"prompt": "cat"}).json()["images"][0]["url"]
    assert url.startswith(practice.url) and httpx2.get(url).headers["content-type"] == "image/png"
    assert httpx2.get(practice.url + "/files/nothing.png").status_code == 404


@pytest.mark.parametrize(
    "field, value, place",
    [
        ("num_inference_steps", 1000, ["num_inference_steps"]),
        ("image_size", {"width": 1, "height": 64}, ["image_size", "width"]),
    ],
)
def test_fal_refuses_in_its_own_form(http, field, value, place):
    response = http.post("/fal-ai/fal-ai/flux/dev", json={"prompt": "cat", field: value})
    [problem] = response.json()["detail"]
    assert response.status_code == 422 and problem["loc"] == ["body", *place] and problem["msg"]


def test_the_hub(as_service, http):
    info = model_info(MNLI)
    assert info.pipeline_tag == "zero-shot-classification" and info.sha
    entry = model_info(MNLI, expand="inferenceProviderMapping").inference_provider_mapping[0]
    found = (entry.provider, entry.provider_id, entry.status, entry.task)
    assert found == ("hf-inference", MNLI, "live", "zero-shot-classification")
    limit = parse_ratelimit_headers(http.get("/api/models/" + MNLI).headers)
    assert 0 < limit.remaining < limit.limit == 1000
    assert (limit.window_seconds, limit.resource_type) == (300, "api")
    assert whoami()["name"] == "practice-user"
    assert whoami()["auth"]["accessToken"]["role"] == "fineGrained"
    coheres = [model.id for model in HfApi().list_models(inference_provider="cohere")]
    assert coheres == ["CohereLabs/command-a-reasoning-08-2025"]


def test_unknown_repositories_look_as_on_the_hub(as_service):
    with pytest.raises(RepositoryNotFoundError, match="404"):
        model_info("nobody/nothing")
    with pytest.raises(RepositoryNotFoundError, match="401"):
        model_info("nobody/nothing", token=False)
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        whoami(token="hf_invalid")


def test_old_short_names_are_redirected(http):
    query = "?expand=inferenceProviderMapping"
    answer = http.get("/api/models/gpt2" + query)
    assert answer.status_code == 307
    assert answer.headers["location"] == f"/api/models/{GPT2}{query}"


def test_every_model_of_the_course_is_known_and_served_by_the_named_provider(practice):
    from helpers.models import models

    catalogue = practice.app.state.practice.catalogue
    for row in models:
        model = catalogue.get(row.id)
        assert model is not None and model.providers, row.id
        assert row.provider == "auto" or model.on(row.provider), row.id


def test_recommended_models_exist(practice, http):
    catalogue = practice.app.state.practice.catalogue
    tasks = http.get("/api/tasks").json()
    assert all(catalogue.get(entry["widgetModels"][0]) for entry in tasks.values())


ONE = {"candidate_labels": ["a"]}
SIMILAR = BGE + "/pipeline/sentence-similarity"
VECTOR = BGE + "/pipeline/feature-extraction"
QWEN, OSS = {"model": "qwen3-embedding-8b"}, "openai/gpt-oss-120b"
PICTURE = {"model": FLUX, "prompt": "x"}


# Whose parameter is refused, with 422 and its name.
@pytest.mark.parametrize(
    "model, parameters, named",
    [
        (MNLI, {"candidate_labels": []}, "candidate_labels"),
        (MNLI, {"candidate_labels": [1]}, "candidate_labels"),
        (MNLI, ONE | {"multi_label": "yes"}, "multi_label"),
        (MNLI, ONE | {"hypothesis_template": "no place"}, "hypothesis_template"),
        (SST, {"top_k": 0}, "top_k"),
        (SST, {"function_to_apply": "magic"}, "function_to_apply"),
        (SST, [], "parameters"),
        (NER, {"aggregation_strategy": "best"}, "aggregation_strategy"),
        (NER, {"ignore_labels": "O"}, "ignore_labels"),
        (FLUX, {"width": 5}, "width"),
        (FLUX, {"height": 99999}, "height"),
    ],
)
def test_a_wrong_parameter_is_named(http, model, parameters, named):
    answer = http.post(HF + model, json={"inputs": "x", "parameters": parameters})
    assert answer.status_code == 422, answer.text
    assert named in answer.text


@pytest.mark.parametrize(
    "path, body, status, named",
    [
        (HF + MNLI, {"inputs": "x"}, 422, "parameters.candidate_labels"),
        (HF + MNLI, {"parameters": ONE}, 422, "inputs"),
        (HF + MNLI, {"inputs": 5}, 422, "inputs"),
        (HF + SST, {"inputs": {}}, 422, "inputs"),
        (HF + VECTOR, {"inputs": ""}, 400, "inputs"),
        (HF + VECTOR, {"inputs": []}, 422, "inputs"),
        (HF + VECTOR, {"inputs": "x", "normalize": "yes"}, 422, "normalize"),
        (HF + VECTOR, {"inputs": "x", "prompt_name": "query"}, 422, "prompt_name"),
        (HF + VECTOR, {"inputs": ["x"] * 300}, 422, "256"),
        (HF + SIMILAR, {"inputs": {"source_sentence": "x"}}, 422, "inputs.sentences"),
        (HF + SIMILAR, {"inputs": {"sentences": ["x"]}}, 422, "source_sentence"),
        (HF + BGE + "/pipeline/summarization", {"inputs": "x"}, 400, "summarization"),
        (HF + "facebook/bart-large-cnn", {"inputs": " "}, 422, "inputs"),
        (HF + "nobody/nothing", {"inputs": "x"}, 404, "nobody/nothing"),
        (HF + "Qwen/Qwen-Image", {"inputs": "x"}, 400, "not supported by provider"),
        (HF + "google/flan-t5-xxl", {"inputs": "x"}, 410, "deprecated"),
        (HF + "google-bert/bert-base-uncased", {"inputs": "x [MASK]"}, 400, "fill-mask"),
        (HF + SST + "/v1/chat/completions", {"messages": []}, 400, "not a chat model"),
        ("/together/v1/embeddings", {"model": "nobody", "input": "x"}, 404, "nobody"),
        ("/together/v1/embeddings", {"model": OSS, "input": "x"}, 400, "feature-extraction"),
        ("/scaleway/v1/embeddings", QWEN | {"input": "x", "dimensions": 7}, 422, "dimensions"),
        ("/nscale/v1/images/generations", PICTURE | {"size": "big"}, 422, "size"),
        ("/replicate/v1/predictions", {"version": "0", "input": {"prompt": "x"}}, 422, "version"),
        ("/featherless-ai/v1/completions", {"model": CODER, "prompt": ""}, 422, "prompt"),
    ],
)
def test_a_wrong_field_is_named(http, path, body, status, named):
    answer = http.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert named in answer.text


@pytest.mark.parametrize(
    "parameters, text",
    [
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"temperature": 0}, "`temperature` must be strictly positive"),
        ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"max_new_tokens": 10000}, "`inputs` tokens + `max_new_tokens` must be <= 4096"),
        ({"best_of": 2}, "best_of"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_text_generation_is_refused_in_the_engines_own_form(as_service, http, parameters, text):
    body = http.post(HF + GPT2, json={"inputs": "x", "parameters": parameters})
    said = body.json()
    assert body.status_code == 422
    assert text in said["error"] and said["error_type"] == "validation"
    client = InferenceClient(provider="hf-inference")
    with pytest.raises((ValidationError, HfHubHTTPError), match="Input validation error"):
        client.text_generation("x", model=GPT2, **parameters)


def test_a_bad_request_reaches_the_learner_in_words(as_service):
    with pytest.raises(BadRequestError, match="no model for the task fill-mask"):
        ask = InferenceClient().fill_mask
        ask("Paris is the [MASK] of France.", model="google-bert/bert-base-uncased")
    assert TOKEN not in str(as_service.seen[-1].url)
