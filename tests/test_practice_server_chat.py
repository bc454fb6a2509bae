"""Chat of the practice server: real clients, a real socket, a real small model."""

import json
import threading
import time

import httpx2
import openai
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient, set_async_client_factory
from huggingface_hub.errors import BadRequestError, HfHubHTTPError
from practice_fixtures import TOKEN, as_service, http, practice  # noqa: F401

MODEL = "openai/gpt-oss-120b"
SMOLLM2 = "SmolLM2-135M-Instruct (q4_1)"
SHA = "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "number": {"type": "integer"}},
    "required": ["city", "number"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
}


def ask(text: str = "What is the capital of France?", **more) -> dict:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 12,
    } | more


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
    answer = http.post("/v1/chat/completions", json=ask())
    body = answer.json()
    assert list(body) == [
        "id",
        "object",
        "created",
        "model",
        "system_fingerprint",
        "choices",
        "usage",
    ]
    assert (
        body["object"] == "chat.completion"
        and body["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    )
    choice = body["choices"][0]
    assert (
        choice["message"]["role"] == "assistant"
        and choice["message"]["content"]
        and choice["finish_reason"] in ("stop", "length")
    )
    usage = body["usage"]
    assert (
        usage["prompt_tokens"] > 5
        and usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    )
    assert (
        answer.headers["x-answered-by"] == SMOLLM2 and answer.headers["x-answered-weights"] == SHA
    )
    assert answer.headers["x-answered-runtime"].startswith("xllamacpp 20") and answer.headers[
        "x-request-id"
    ].startswith("Root=1-")


def test_a_stream_carries_the_same_text_and_ends_with_usage_only_if_asked(http):
    whole = said(http.post("/v1/chat/completions", json=ask()))
    answer = http.post(
        "/v1/chat/completions", json=ask(stream=True, stream_options={"include_usage": True})
    )
    assert (
        answer.headers["content-type"].startswith("text/event-stream")
        and answer.headers["x-answered-by"] == SMOLLM2
    )
    chunks = events(answer.text)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (
        "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == whole
    )
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]][-1] in ("stop", "length")
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    plain = events(http.post("/v1/chat/completions", json=ask(stream=True)).text)
    assert all(chunk["choices"] for chunk in plain)


def test_chunks_arrive_while_the_model_works(practice):
    moments = []
    with httpx2.stream(
        "POST",
        practice.url + "/v1/chat/completions",
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=60,
        json=ask("Tell me a long story.", stream=True, max_tokens=60),
    ) as answer:
        for _ in answer.iter_raw():
            moments.append(time.perf_counter())
    gaps = [after - before for before, after in zip(moments, moments[1:], strict=False)]
    assert len(moments) > 30 and sum(gap > 0.001 for gap in gaps) > 20, (
        "the answer came in one heap"
    )


# ---- the same again ----


def test_a_request_repeats_whatever_came_before(http):
    questions = [
        "What is the capital of France?",
        "What is a transformer?",
        "What is the capital of Spain?",
    ]
    bodies = [ask(text, seed=7, temperature=0.9) for text in questions]
    first = [said(http.post("/v1/chat/completions", json=body)) for body in bodies]
    again = [said(http.post("/v1/chat/completions", json=body)) for body in reversed(bodies)]
    assert first == again[::-1]
    assert len(set(first)) == len(first)


def test_without_a_seed_it_follows_from_what_is_asked(http):
    answers = [http.post("/v1/chat/completions", json=ask(text)) for text in ("Hi", "Hi", "Ho")]
    seeds = [answer.headers["x-answered-seed"] for answer in answers]
    assert said(answers[0]) == said(answers[1]) and seeds[0] == seeds[1] != seeds[2]


def test_a_smaller_limit_only_cuts_the_answer_off(http):
    long = http.post("/v1/chat/completions", json=ask(max_tokens=24, temperature=1.0)).json()
    short = http.post("/v1/chat/completions", json=ask(max_tokens=5, temperature=1.0)).json()
    assert long["choices"][0]["message"]["content"].startswith(
        short["choices"][0]["message"]["content"]
    )
    assert (
        short["choices"][0]["finish_reason"] == "length"
        and short["usage"]["completion_tokens"] == 5
    )


def test_seeds_make_a_difference(http):
    assert (
        len(
            {
                said(
                    http.post(
                        "/v1/chat/completions",
                        json=ask("Tell me a story.", temperature=1.2, seed=seed),
                    )
                )
                for seed in range(4)
            }
        )
        > 1
    )


# ---- what a request may ask for ----


def test_stop_ends_the_answer(http):
    whole = said(
        http.post("/v1/chat/completions", json=ask("Count from one to ten.", max_tokens=30))
    )
    stop = whole[len(whole) // 2]
    body = http.post(
        "/v1/chat/completions", json=ask("Count from one to ten.", max_tokens=30, stop=[stop])
    ).json()
    assert (
        body["choices"][0]["message"]["content"] == whole[: whole.index(stop)]
        and body["choices"][0]["finish_reason"] == "stop"
    )


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}},
        {"type": "json_schema", "schema": CITY},
        {"type": "json_object", "value": CITY},
        {"type": "json_object", "schema": CITY},
    ],
    ids=["openai", "together", "hf-inference", "fireworks-ai"],
)
def test_each_way_of_writing_a_schema_is_kept_to(http, form):
    answer = json.loads(
        said(
            http.post(
                "/v1/chat/completions",
                json=ask("A city?", max_tokens=80, seed=1, response_format=form),
            )
        )
    )
    assert set(answer) == {"city", "number"} and isinstance(answer["number"], int)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_call_is_a_call_with_arguments_that_fit(http, choice, stream):
    answer = http.post(
        "/v1/chat/completions",
        json=ask(
            "What is the weather in Paris?",
            max_tokens=60,
            tools=[WEATHER],
            tool_choice=choice,
            stream=stream,
        ),
    )
    if stream:
        chunks = events(answer.text)
        parts = [
            part for chunk in chunks for part in chunk["choices"][0]["delta"].get("tool_calls", [])
        ]
        name, arguments = (
            parts[0]["function"]["name"],
            "".join(part["function"].get("arguments", "") for part in parts),
        )
        finish = chunks[-1]["choices"][0]["finish_reason"]
    else:
        choice = answer.json()["choices"][0]
        call = choice["message"]["tool_calls"][0]
        name, arguments, finish = (
            call["function"]["name"],
            call["function"]["arguments"],
            choice["finish_reason"],
        )
        assert (
            choice["message"]["content"] is None
            and call["type"] == "function"
            and call["id"].startswith("call_")
        )
    assert (name, finish) == ("get_weather", "tool_calls") and isinstance(
        json.loads(arguments)["city"], str
    )


def test_log_probabilities(http):
    body = http.post(
        "/v1/chat/completions", json=ask(max_tokens=3, logprobs=True, top_logprobs=2)
    ).json()
    rows = body["choices"][0]["logprobs"]["content"]
    assert (
        len(rows) == 3
        and "".join(row["token"] for row in rows) == body["choices"][0]["message"]["content"]
    )
    assert all(row["logprob"] <= 0 and len(row["top_logprobs"]) == 2 for row in rows)


def test_the_policies_choose_a_provider_and_a_name_is_one(http):
    def provider(suffix):
        answer = http.post(
            "/v1/chat/completions", json=ask(max_tokens=1) | {"model": MODEL + suffix}
        )
        assert answer.status_code == 200, answer.text
        return answer.headers["x-inference-provider"]

    assert provider("") == provider(":fastest") == "cerebras"
    assert provider(":cheapest") not in ("cerebras", "") and provider(":groq") == "groq"


# ---- many at once ----


def test_other_routes_answer_while_the_model_works_and_a_lost_caller_stops_it(practice, http):
    with httpx2.stream(
        "POST",
        practice.url + "/v1/chat/completions",
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=60,
        json=ask("Write a very long story.", stream=True, max_tokens=2000, temperature=1.0),
    ) as answer:
        next(answer.iter_raw())
        started = time.perf_counter()
        assert http.get("/api/models/" + MODEL).status_code == 200
        assert time.perf_counter() - started < 20
    started = time.perf_counter()
    assert said(http.post("/v1/chat/completions", json=ask(max_tokens=2))) is not None
    assert time.perf_counter() - started < 30, (
        "the story that nobody waits for is still being written"
    )


def test_a_caller_who_gives_up_on_a_whole_answer_stops_it_too(practice, http):
    body = ask("Write a very long story.", max_tokens=2000, temperature=1.0)
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(
            practice.url + "/v1/chat/completions",
            json=body,
            timeout=0.5,
            headers={"authorization": f"Bearer {TOKEN}"},
        )
    started = time.perf_counter()
    assert said(http.post("/v1/chat/completions", json=ask(max_tokens=2))) is not None
    assert time.perf_counter() - started < 30, (
        "the story that nobody waits for is still being written"
    )


def test_requests_from_many_threads_get_their_own_answers(http):
    alone = [
        said(http.post("/v1/chat/completions", json=ask(f"Say {n}.", max_tokens=6)))
        for n in range(4)
    ]
    together = [None] * 4

    def one(n):
        together[n] = said(http.post("/v1/chat/completions", json=ask(f"Say {n}.", max_tokens=6)))

    threads = [threading.Thread(target=one, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone


# ---- the real clients ----


def test_huggingface_hub(as_service):
    client = InferenceClient()
    messages = ask()["messages"]
    whole = client.chat_completion(messages, model=MODEL, max_tokens=8)
    assert whole.choices[0].message.content and whole.usage.completion_tokens
    text = ""
    for chunk in client.chat_completion(
        messages, model=MODEL, max_tokens=8, stream=True, stream_options={"include_usage": True}
    ):
        text += chunk.choices[0].delta.content or "" if chunk.choices else ""
    assert text == whole.choices[0].message.content and chunk.usage.total_tokens
    assert {request.url.host for request in as_service.seen} == {"router.huggingface.co"}
    with pytest.raises(BadRequestError) as error:
        client.chat_completion(messages, model="nobody/nothing")
    assert error.value.response.json()["error"]["code"] == "model_not_supported"
    with pytest.raises(HfHubHTTPError, match="Invalid username or password"):
        InferenceClient(api_key="hf_invalid").chat_completion(messages, model=MODEL)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (name, MODEL)
        for name in (
            "cerebras",
            "groq",
            "together",
            "fireworks-ai",
            "novita",
            "nscale",
            "deepinfra",
            "scaleway",
            "ovhcloud",
        )
    ]
    + [
        ("baseten", "deepseek-ai/DeepSeek-V4-Flash-0731"),
        ("cohere", "CohereLabs/command-a-reasoning-08-2025"),
        ("featherless-ai", "google/gemma-2-2b-it"),
        ("publicai", "swiss-ai/Apertus-8B-Instruct-2509"),
        ("zai-org", "zai-org/GLM-4.5"),
        ("hf-inference", "HuggingFaceTB/SmolLM3-3B"),
    ],
)
def test_every_provider_has_its_path(as_service, provider, model):
    answer = InferenceClient(provider=provider).chat_completion(
        ask()["messages"], model=model, max_tokens=2
    )
    assert answer.choices[0].message.content is not None
    assert as_service.seen[-1].url.path.startswith(f"/{provider}/")


def test_a_schema_through_the_providers_that_rewrite_it(as_service):
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    for provider, model in (
        ("hf-inference", "HuggingFaceTB/SmolLM3-3B"),
        ("together", MODEL),
        ("fireworks-ai", MODEL),
    ):
        answer = InferenceClient(provider=provider).chat_completion(
            ask("A city?")["messages"], model=model, max_tokens=80, seed=1, response_format=form
        )
        assert set(json.loads(answer.choices[0].message.content)) == {"city", "number"}


def test_async_huggingface_hub(practice, as_service, monkeypatch):
    import asyncio

    from huggingface_hub.utils import _http

    class Transport(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            request.headers["x-forwarded-host"] = request.url.host
            request.url = request.url.copy_with(
                scheme="http", host=as_service.to.host, port=as_service.to.port
            )
            return await super().handle_async_request(request)

    before = _http._GLOBAL_ASYNC_CLIENT_FACTORY
    set_async_client_factory(lambda: httpx2.AsyncClient(transport=Transport(), timeout=60))

    async def both():
        async with AsyncInferenceClient() as client:
            return await asyncio.gather(
                *(
                    client.chat_completion(ask(text)["messages"], model=MODEL, max_tokens=4)
                    for text in ("Hi", "Ho")
                )
            )

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


@pytest.mark.parametrize(
    ("change", "status", "named"),
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
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
                ]
            },
            422,
            "messages[0].content",
        ),
        ({"response_format": {"type": "xml"}}, 422, "response_format"),
        ({"response_format": {"type": "json_schema"}}, 422, "response_format"),
        (
            {"response_format": {"type": "json_object", "value": {"type": "nonsense"}}},
            400,
            "nonsense",
        ),
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
    answer = http.post("/v1/chat/completions", json=ask() | change)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["error"]["message"]
    streamed = http.post("/v1/chat/completions", json=ask() | {"stream": True} | change)
    assert streamed.status_code == status, "a stream must not begin with 200 and then fail"


@pytest.mark.parametrize(
    ("token", "status", "text"),
    [
        (None, 401, "Invalid username or password."),
        ("Bearer sk-123", 401, "Invalid username or password."),
        ("Bearer hf_invalid_one", 401, "Invalid username or password."),
        ("Basic hf_x", 401, "Invalid username or password."),
        ("Bearer hf_no_permission", 403, "sufficient permissions to call Inference Providers"),
        ("Bearer hf_no_credits", 402, "exceeded your monthly included credits"),
    ],
)
def test_tokens(practice, token, status, text):
    headers = {"authorization": token} if token else {}
    for path in (
        "/v1/chat/completions",
        "/groq/openai/v1/chat/completions",
        "/hf-inference/models/facebook/bart-large-mnli",
    ):
        answer = httpx2.post(practice.url + path, json=ask(), headers=headers)
        assert answer.status_code == status and text in answer.json()["error"], path
        assert answer.headers["x-answered-by"] == "practice server"


def test_the_old_host_is_gone_whatever_is_asked(practice):
    for method, path in (
        ("GET", "/"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/models/gpt2"),
        ("PUT", "/x/y"),
    ):
        answer = httpx2.request(
            method, practice.url + path, headers={"host": "api-inference.huggingface.co"}
        )
        assert answer.status_code == 410 and answer.json() == {
            "error": (
                "https://api-inference.huggingface.co is no longer supported. Please use"
                " https://router.huggingface.co instead."
            )
        }
