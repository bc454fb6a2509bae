"""Chat of the practice server: real clients, a real socket, a real small model."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient, set_async_client_factory
from huggingface_hub.errors import BadRequestError, HfHubHTTPError
from huggingface_hub.utils import _http
from practice_fixtures import TOKEN, as_service, http, practice  # noqa: F401

MODEL = "openai/gpt-oss-120b"
SMOLLM2 = "SmolLM2-135M-Instruct (q4_1)"
SHA = "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
TEXT = {"type": "string", "maxLength": 20}
CITY = {
    "type": "object",
    "properties": {"city": TEXT, "number": {"type": "integer"}},
    "required": ["city", "number"],
    "additionalProperties": False,
}
STRICT = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
PARAMETERS = {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": PARAMETERS,
    },
}
CHAT = "/v1/chat/completions"
SMOLLM3 = "HuggingFaceTB/SmolLM3-3B"
FRANCE = "What is the capital of France?"


def ask(text: str = FRANCE, **more) -> dict:
    messages = [{"role": "user", "content": text}]
    return {"model": MODEL, "messages": messages, "max_tokens": 12} | more


def post(http, text: str = FRANCE, **more) -> httpx2.Response:
    return http.post(CHAT, json=ask(text, **more))


def said(answer: httpx2.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def events(text: str) -> list:
    """The JSON of each server-sent event; the last line must be [DONE]."""
    lines = [line for line in text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines) and lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


# ---- the format ----


def test_an_answer_has_the_services_fields_and_says_who_gave_it(http):
    answer = post(http)
    body = answer.json()
    fields = "id object created model system_fingerprint choices usage"
    assert list(body) == fields.split()
    assert body["object"] == "chat.completion"
    assert body["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    [choice], usage = body["choices"], body["usage"]
    assert choice["message"]["role"] == "assistant" and choice["message"]["content"]
    assert choice["finish_reason"] in ("stop", "length")
    assert usage["prompt_tokens"] > 5
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    about = answer.headers
    assert (about["x-answered-by"], about["x-answered-weights"]) == (SMOLLM2, SHA)
    assert about["x-answered-runtime"].startswith("xllamacpp 20")
    assert about["x-request-id"].startswith("Root=1-")


def test_a_stream_carries_the_same_text_and_ends_with_usage_only_if_asked(http):
    whole = said(post(http))
    answer = post(http, stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-answered-by"] == SMOLLM2
    *chunks, last = events(answer.text)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(choice["delta"].get("content", "") for choice in choices) == whole
    assert choices[-1]["finish_reason"] in ("stop", "length")
    assert last["choices"] == [] and last["usage"]["completion_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in chunks)
    assert all(chunk["choices"] for chunk in events(post(http, stream=True).text))


def test_chunks_arrive_while_the_model_works(http):
    body = ask("Tell me a long story.", stream=True, max_tokens=60)
    with http.stream("POST", CHAT, json=body) as answer:
        moments = [time.perf_counter() for _ in answer.iter_raw()]
    gaps = [after - before for before, after in zip(moments, moments[1:])]
    at_once = "the answer came in one heap"
    assert len(moments) > 30 and sum(gap > 0.001 for gap in gaps) > 20, at_once


# ---- the same again ----


def test_a_request_repeats_whatever_came_before(http):
    questions = [FRANCE, "What is a transformer?", "What is the capital of Spain?"]
    ask_all = lambda texts: [said(post(http, text, seed=7, temperature=0.9)) for text in texts]
    first, again = ask_all(questions), ask_all(reversed(questions))
    assert first == again[::-1]
    assert len(set(first)) == len(first)


def test_without_a_seed_it_follows_from_what_is_asked(http):
    answers = [post(http, text) for text in ("Hi", "Hi", "Ho")]
    seeds = [answer.headers["x-answered-seed"] for answer in answers]
    assert said(answers[0]) == said(answers[1]) and seeds[0] == seeds[1] != seeds[2]


def test_a_smaller_limit_only_cuts_the_answer_off(http):
    long, short = (post(http, max_tokens=most, temperature=1.0) for most in (24, 5))
    assert said(long).startswith(said(short))
    body = short.json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5


def test_seeds_make_a_difference(http):
    story = lambda seed: said(post(http, "Tell me a story.", temperature=1.2, seed=seed))
    assert len({story(seed) for seed in range(4)}) > 1


# ---- what a request may ask for ----


def test_stop_ends_the_answer(http):
    asked = {"text": "Count from one to ten.", "max_tokens": 30}
    whole = said(post(http, **asked))
    stop = whole[len(whole) // 2]
    answer = post(http, stop=[stop], **asked)
    assert said(answer) == whole[: whole.index(stop)]
    assert answer.json()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "form",
    [
        STRICT,
        {"type": "json_schema", "schema": CITY},
        {"type": "json_object", "value": CITY},
        {"type": "json_object", "schema": CITY},
    ],
    ids=["openai", "together", "hf-inference", "fireworks-ai"],
)
def test_each_way_of_writing_a_schema_is_kept_to(http, form):
    asked = {"max_tokens": 80, "seed": 1, "response_format": form}
    answer = json.loads(said(post(http, "A city?", **asked)))
    assert set(answer) == {"city", "number"} and isinstance(answer["number"], int)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_call_is_a_call_with_arguments_that_fit(http, choice, stream):
    asked = {"max_tokens": 60, "tools": [WEATHER], "tool_choice": choice, "stream": stream}
    answer = post(http, "What is the weather in Paris?", **asked)
    if stream:
        choices = [chunk["choices"][0] for chunk in events(answer.text)]
        parts = [part for one in choices for part in one["delta"].get("tool_calls", [])]
        name, finish = parts[0]["function"]["name"], choices[-1]["finish_reason"]
        arguments = "".join(part["function"].get("arguments", "") for part in parts)
    else:
        one = answer.json()["choices"][0]
        call, finish = one["message"]["tool_calls"][0], one["finish_reason"]
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        assert one["message"]["content"] is None
        assert call["type"] == "function" and call["id"].startswith("call_")
    assert (name, finish) == ("get_weather", "tool_calls")
    assert isinstance(json.loads(arguments)["city"], str)


def test_log_probabilities(http):
    answer = post(http, max_tokens=3, logprobs=True, top_logprobs=2)
    rows = answer.json()["choices"][0]["logprobs"]["content"]
    assert len(rows) == 3 and "".join(row["token"] for row in rows) == said(answer)
    assert all(row["logprob"] <= 0 and len(row["top_logprobs"]) == 2 for row in rows)


def test_the_policies_choose_a_provider_and_a_name_is_one(http):
    def provider(suffix):
        answer = post(http, max_tokens=1, model=MODEL + suffix)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-inference-provider"]

    assert provider("") == provider(":fastest") == "cerebras"
    assert provider(":cheapest") not in ("cerebras", "") and provider(":groq") == "groq"


# ---- many at once ----


STORY = ask("Write a very long story.", max_tokens=2000, temperature=1.0)


def answers_soon(http):
    started = time.perf_counter()
    assert said(post(http, max_tokens=2)) is not None
    took = time.perf_counter() - started
    assert took < 30, "the story that nobody waits for is still being written"


def test_other_routes_answer_while_the_model_works_and_a_lost_caller_stops_it(http):
    with http.stream("POST", CHAT, json=STORY | {"stream": True}) as answer:
        next(answer.iter_raw())
        started = time.perf_counter()
        assert http.get("/api/models/" + MODEL).status_code == 200
        assert time.perf_counter() - started < 20
    answers_soon(http)


def test_a_caller_who_gives_up_on_a_whole_answer_stops_it_too(http):
    with pytest.raises(httpx2.ReadTimeout):
        http.post(CHAT, json=STORY, timeout=0.5)
    answers_soon(http)


def test_requests_from_many_threads_get_their_own_answers(http):
    one = lambda n: said(post(http, f"Say {n}.", max_tokens=6))
    alone = [one(n) for n in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, range(4))) == alone


# ---- the real clients ----


def test_huggingface_hub(as_service):
    asked, chat = ask(max_tokens=8), InferenceClient().chat_completion
    whole = chat(**asked)
    assert whole.choices[0].message.content and whole.usage.completion_tokens
    *chunks, last = chat(**asked, stream=True, stream_options={"include_usage": True})
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content and last.usage.total_tokens
    assert {request.url.host for request in as_service.seen} == {"router.huggingface.co"}
    with pytest.raises(BadRequestError) as error:
        chat(**asked | {"model": "nobody/nothing"})
    assert error.value.response.json()["error"]["code"] == "model_not_supported"
    with pytest.raises(HfHubHTTPError, match="Invalid username or password"):
        InferenceClient(api_key="hf_invalid").chat_completion(**asked)


# Those that serve MODEL, then the others, each with a model of its own.
SERVING = "cerebras groq together fireworks-ai novita nscale deepinfra scaleway ovhcloud"


@pytest.mark.parametrize(
    "provider, model",
    [
        *((name, MODEL) for name in SERVING.split()),
        ("baseten", "deepseek-ai/DeepSeek-V4-Flash-0731"),
        ("cohere", "CohereLabs/command-a-reasoning-08-2025"),
        ("featherless-ai", "google/gemma-2-2b-it"),
        ("publicai", "swiss-ai/Apertus-8B-Instruct-2509"),
        ("zai-org", "zai-org/GLM-4.5"),
        ("hf-inference", SMOLLM3),
    ],
)
def test_every_provider_has_its_path(as_service, provider, model):
    answer = InferenceClient(provider=provider).chat_completion(**ask(max_tokens=2, model=model))
    assert answer.choices[0].message.content is not None
    assert as_service.seen[-1].url.path.startswith(f"/{provider}/")


def test_a_schema_through_the_providers_that_rewrite_it(as_service):
    providers = {"hf-inference": SMOLLM3, "together": MODEL, "fireworks-ai": MODEL}
    for provider, model in providers.items():
        asked = ask("A city?", model=model, max_tokens=80, seed=1, response_format=STRICT)
        answer = InferenceClient(provider=provider).chat_completion(**asked)
        assert set(json.loads(answer.choices[0].message.content)) == {"city", "number"}


def test_async_huggingface_hub(as_service):
    class Transport(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            there, request.headers["x-forwarded-host"] = as_service.to, request.url.host
            request.url = request.url.copy_with(scheme="http", host=there.host, port=there.port)
            return await super().handle_async_request(request)

    before = _http._GLOBAL_ASYNC_CLIENT_FACTORY
    set_async_client_factory(lambda: httpx2.AsyncClient(transport=Transport(), timeout=300))

    async def both():
        async with AsyncInferenceClient() as client:
            asked = [ask(text, max_tokens=4) for text in ("Hi", "Ho")]
            return await asyncio.gather(*(client.chat_completion(**one) for one in asked))

    try:
        assert all(answer.choices[0].message.content for answer in asyncio.run(both()))
    finally:
        set_async_client_factory(before)


def test_openai(practice):
    client = openai.OpenAI(base_url=practice.url + "/v1", api_key=TOKEN, max_retries=0)
    assert client.chat.completions.create(**ask()).choices[0].message.content
    assert [model.id for model in client.models.list()].count(MODEL) == 1
    with client.chat.completions.create(**ask(stream=True)) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    with pytest.raises(openai.BadRequestError, match="not supported by any provider"):
        client.chat.completions.create(**ask() | {"model": "nobody/nothing"})
    with pytest.raises(openai.UnprocessableEntityError, match="max_tokens"):
        client.chat.completions.create(**ask(max_tokens=-1))
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="BAAI/bge-small-en-v1.5", input="hello")


# ---- what is refused ----


IMAGE = [{"type": "image_url", "image_url": {"url": "x"}}]
NONSENSE = {"type": "json_object", "value": {"type": "nonsense"}}


@pytest.mark.parametrize(
    "change, status, named",
    [
        ({"max_tokens": -1}, 422, "max_tokens"),
        ({"max_tokens": 0}, 422, "max_tokens"),
        ({"max_tokens": "many"}, 422, "max_tokens"),
        ({"max_tokens": 1.5}, 422, "max_tokens"),
        ({"max_tokens": True}, 422, "max_tokens"),
        ({"temperature": 2.5}, 422, "temperature"),
        ({"temperature": "hot"}, 422, "temperature"),
        ({"top_p": 0}, 422, "top_p"),
        ({"top_p": 1.1}, 422, "top_p"),
        ({"n": 2}, 422, "n"),
        ({"seed": "x"}, 422, "seed"),
        ({"stop": 5}, 422, "stop"),
        ({"stop": ["a"] * 5}, 422, "stop"),
        ({"stop": [""]}, 422, "stop"),
        ({"stream": "yes"}, 422, "stream"),
        ({"frequency_penalty": 3}, 422, "frequency_penalty"),
        ({"top_logprobs": 2}, 422, "top_logprobs"),
        ({"messages": None}, 422, "messages"),
        ({"messages": []}, 422, "messages"),
        ({"messages": "hi"}, 422, "messages"),
        ({"messages": ["hi"]}, 422, "messages[0]"),
        ({"messages": [{"role": "king", "content": "hi"}]}, 422, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, 422, "messages[0].content"),
        ({"messages": [{"role": "user", "content": IMAGE}]}, 422, "messages[0].content"),
        ({"response_format": {"type": "xml"}}, 422, "response_format"),
        ({"response_format": {"type": "json_schema"}}, 422, "response_format"),
        ({"response_format": NONSENSE}, 400, "nonsense"),
        ({"tools": 5}, 422, "tools"),
        ({"tools": [{"type": "function"}]}, 422, "tools"),
        ({"tool_choice": "required"}, 422, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "nobody"}, 422, "tool_choice"),
        ({"model": None}, 422, "model"),
        ({"model": 5}, 422, "model"),
        ({"model": "nobody/nothing"}, 400, "nobody/nothing"),
        ({"model": MODEL + ":nobody"}, 400, "nobody"),
        ({"model": "facebook/bart-large-mnli"}, 400, "is not a chat model"),
        ({"messages": [{"role": "user", "content": "word " * 9000}]}, 400, "context"),
    ],
)
def test_a_wrong_field_is_named(http, change, status, named):
    answer = post(http, **change)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["error"]["message"]
    streamed = post(http, **{"stream": True} | change)
    assert streamed.status_code == status, "a stream must not begin with 200 and then fail"


WRONG_TOKENS = (None, "Bearer sk-123", "Bearer hf_invalid_one", "Basic hf_x")
PATHS = (CHAT, "/groq/openai" + CHAT, "/hf-inference/models/facebook/bart-large-mnli")


@pytest.mark.parametrize(
    "token, status, text",
    [
        *((wrong, 401, "Invalid username or password.") for wrong in WRONG_TOKENS),
        ("Bearer hf_no_permission", 403, "sufficient permissions to call Inference Providers"),
        ("Bearer hf_no_credits", 402, "exceeded your monthly included credits"),
    ],
)
def test_tokens(practice, token, status, text):
    headers = {"authorization": token} if token else {}
    for path in PATHS:
        answer = httpx2.post(practice.url + path, json=ask(), headers=headers)
        assert answer.status_code == status and text in answer.json()["error"], path
        assert answer.headers["x-answered-by"] == "practice server"


@pytest.mark.parametrize(
    "method, path", [("GET", "/"), ("POST", CHAT), ("POST", "/models/gpt2"), ("PUT", "/x/y")]
)
def test_the_old_host_is_gone_whatever_is_asked(practice, method, path):
    old = "api-inference.huggingface.co"
    answer = httpx2.request(method, practice.url + path, headers={"host": old})
    says = (
        f"https://{old} is no longer supported. Please use https://router.huggingface.co instead."
    )
    assert answer.status_code == 410 and answer.json() == {"error": says}
