"""The tasks of hf-inference other than chat: what each takes, who answers it, and what the answer
looks like.

| task | who answers | the score is |
|---|---|---|
| text-classification | bge, nearest of "This text is positive." / "… negative." / "… neutral." |
softmax of the cosines / 0.03 | | zero-shot-classification | bge, nearest label | softmax of the
cosines / 0.02; with multi_label each label by itself: sigmoid((cosine - 0.58) / 0.035) | |
token-classification | spaCy en_core_web_sm | the model's probability of the step it took (ner.py) |
| feature-extraction, sentence-similarity | bge | cosine | | summarization, text-generation | the
chat model | log-probabilities are the model's own | | text-to-image | nobody: a test card | |

The constants were fitted by maximum likelihood, on 40 hand-written sentences for sentiment (37 of
them right) and 26 for zero-shot (24 right with the bare labels); they make a score a rough
probability, no more.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import errors, fields
from .catalogue import Model
from .chat import derived_seed, event_stream, who
from .embeddings import plain, softmax
from .errors import validation
from .images import Card
from .incoming import json_type, unless_gone
from .llm import CONTEXT

SENTIMENT_SHARPNESS, LABEL_SHARPNESS = 0.03, 0.02
ALONE_MIDDLE, ALONE_SHARPNESS = 0.58, 0.035
MAX_TEXTS = 256  # texts in one request


def problem(field: str, why: str) -> errors.ServiceError:
    return errors.simple(422, f"Error in `{field}`: {why}")


def in_parameters(field: str, why: str) -> errors.ServiceError:
    return problem(f"parameters.{field}", why)


async def answer_task(request: Request, body: dict, task: str, model: Model) -> Response:
    """Answer `body` as hf-inference answers `task` for `model`."""
    if task not in ANSWERS:
        raise errors.simple(
            400, f"The practice server has no model for the task {task} of {model.id}"
        )
    started = time.perf_counter()
    response = await ANSWERS[task](request, body, model)
    response.headers["x-compute-type"] = "cpu"
    if response.media_type != "text/event-stream":
        response.headers["x-compute-time"] = f"{time.perf_counter() - started:.3f}"
    return response


def texts_in(body: dict, field: str = "inputs") -> tuple[list[str], bool]:
    """(texts, many): one text or a list of them."""
    value = body.get(field)
    if isinstance(value, str):
        return [value], False
    if value is None:
        raise problem(field, "field required")
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise problem(
            field,
            "must be a string or a list of strings, not"
            f" {json_type(value) if not isinstance(value, list) else 'this list'}",
        )
    if len(value) > MAX_TEXTS:
        raise problem(field, f"may hold at most {MAX_TEXTS} texts, got {len(value)}")
    return value, True


def one_text(body: dict) -> str:
    value = body.get("inputs")
    if not isinstance(value, str):
        raise problem(
            "inputs",
            "field required" if value is None else f"must be a string, not {json_type(value)}",
        )
    return value


# ---- embeddings ----


async def feature_extraction(request: Request, body: dict, model: Model) -> Response:
    """A str gives one vector, a list one each; parameters stand at the root of the body. No-pooling
    models: one vector a token."""
    embedder = request.app.state.practice.embedder
    texts, many = texts_in(body)
    if any(not text for text in texts):
        raise errors.ServiceError(400, {"error": "`inputs` cannot be empty", "error_type": "Empty"})
    options = body | fields.obj(body, "parameters", error=problem)
    normalize = fields.boolean(options, "normalize", True, error=problem)
    truncate = fields.boolean(options, "truncate", False, error=problem)
    side = fields.text(options, "truncation_direction", "right", error=problem).lower()
    if side not in ("left", "right"):
        raise problem("truncation_direction", f"must be left or right, got {side!r}")
    if options.get("prompt_name") is not None:
        raise problem(
            "prompt_name",
            f"{json.dumps(options['prompt_name'])[:80]} is not a prompt of this model, which has"
            " none",
        )

    def work():
        if model.token_level:
            return [
                plain(embedder.hidden(embedder.tokens(text, truncate, side == "left")))
                for text in texts
            ]
        return [plain(embedder.embed(text, normalize, truncate, side == "left")) for text in texts]

    rows = await asyncio.to_thread(work)
    if model.token_level:
        return JSONResponse([[row] for row in rows] if many else rows, headers=who(embedder))
    return JSONResponse(rows if many else rows[0], headers=who(embedder))


async def sentence_similarity(request: Request, body: dict, model: Model) -> Response:
    """Cosine similarities of `source_sentence` with each of `sentences`."""
    embedder = request.app.state.practice.embedder
    inputs = (
        body["inputs"] if isinstance(body.get("inputs"), dict) else body
    )  # both places are in use
    source = inputs.get("source_sentence")
    if not isinstance(source, str):
        raise problem(
            "inputs.source_sentence", "field required" if source is None else "must be a string"
        )
    others, _ = texts_in({"inputs.sentences": inputs.get("sentences")}, "inputs.sentences")
    scores = await asyncio.to_thread(embedder.cosines, source, others)
    return JSONResponse(plain(scores), headers=who(embedder))


# ---- classification ----


def ranked(labels: list[str], scores: np.ndarray) -> list[dict]:
    rows = [
        {"label": label, "score": float(score)} for label, score in zip(labels, scores, strict=True)
    ]
    return sorted(rows, key=lambda row: -row["score"])


async def text_classification(request: Request, body: dict, model: Model) -> Response:
    """Nested on the wire: one list of labels for each text, inside a list, also for a single
    text."""
    embedder = request.app.state.practice.embedder
    texts, _ = texts_in(body)
    parameters = fields.obj(body, "parameters", error=problem)
    top = fields.integer(parameters, "top_k", 1, error=in_parameters)
    function = fields.text(parameters, "function_to_apply", "softmax", error=in_parameters)
    if function not in ("softmax", "sigmoid", "none"):
        raise in_parameters(
            "function_to_apply", f"must be softmax, sigmoid or none, got {function!r}"
        )
    labels = model.labels or {"POSITIVE": "positive", "NEGATIVE": "negative"}
    sentences = [f"This text is {meaning}." for meaning in labels.values()]

    def work():
        rows = []
        for text in texts:
            logits = embedder.cosines(text, sentences).astype(float) / SENTIMENT_SHARPNESS
            scores = {
                "softmax": softmax(logits),
                "sigmoid": 1 / (1 + np.exp(-logits)),
                "none": logits,
            }[function]
            rows.append(ranked(list(labels), scores)[:top])
        return rows

    return JSONResponse(await asyncio.to_thread(work), headers=who(embedder))


async def zero_shot(request: Request, body: dict, model: Model) -> Response:
    """A list of {label, score}, best first. A string of labels is split at its commas, as the
    service does."""
    embedder = request.app.state.practice.embedder
    texts, _ = texts_in(body)
    parameters = fields.obj(body, "parameters", error=problem)
    labels = parameters.get("candidate_labels")
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",")]
    if labels is None:
        raise in_parameters("candidate_labels", "field required")
    if (
        not isinstance(labels, list)
        or not labels
        or not all(isinstance(label, str) and label.strip() for label in labels)
    ):
        raise in_parameters(
            "candidate_labels",
            "must be a list of at least one label, each a string that is not empty",
        )
    if len(labels) > MAX_TEXTS:
        raise in_parameters(
            "candidate_labels", f"may hold at most {MAX_TEXTS} labels, got {len(labels)}"
        )
    alone = fields.boolean(parameters, "multi_label", False, error=in_parameters)
    template = fields.text(parameters, "hypothesis_template", "{}", error=in_parameters)
    if "{}" not in template:
        raise in_parameters("hypothesis_template", 'must contain "{}", where the label goes')
    hypotheses = [template.replace("{}", label) for label in labels]

    def work():
        rows = []
        for text in texts:
            cosines = embedder.cosines(text, hypotheses).astype(float)
            scores = (
                1 / (1 + np.exp(-(cosines - ALONE_MIDDLE) / ALONE_SHARPNESS))
                if alone
                else softmax(cosines / LABEL_SHARPNESS)
            )
            rows.append(ranked(labels, scores))
        return rows

    rows = await asyncio.to_thread(work)
    return JSONResponse(
        rows if len(rows) > 1 else rows[0], headers=who(embedder)
    )  # a list of one counts as one text


async def token_classification(request: Request, body: dict, model: Model) -> Response:
    """Entities with their place in the text; aggregated unless `aggregation_strategy` is "none"."""
    recognizer = request.app.state.practice.recognizer
    texts, many = texts_in(body)
    parameters = fields.obj(body, "parameters", error=problem)
    strategy = fields.text(parameters, "aggregation_strategy", "simple", error=in_parameters)
    if strategy not in ("none", "simple", "first", "average", "max"):
        raise in_parameters(
            "aggregation_strategy", f"must be none, simple, first, average or max, got {strategy!r}"
        )
    ignored = parameters.get("ignore_labels") or []
    if not isinstance(ignored, list) or not all(isinstance(label, str) for label in ignored):
        raise in_parameters("ignore_labels", "must be a list of strings")

    def rows_of(text: str) -> list[dict]:
        rows = []
        for tokens in recognizer.entities(text):
            kind = tokens[0].tag.partition("-")[2]
            if kind in ignored:
                continue
            if strategy == "none":
                rows += [
                    {
                        "entity": token.tag,
                        "score": token.score,
                        "index": token.index,
                        "word": token.word,
                        "start": token.start,
                        "end": token.end,
                    }
                    for token in tokens
                    if token.tag not in ignored
                ]
                continue
            scores = [token.score for token in tokens]
            score = {"first": scores[0], "max": max(scores)}.get(
                strategy, sum(scores) / len(scores)
            )
            start, end = tokens[0].start, tokens[-1].end
            rows.append(
                {
                    "entity_group": kind,
                    "score": score,
                    "word": text[start:end],
                    "start": start,
                    "end": end,
                }
            )
        return rows

    found = await asyncio.to_thread(lambda: [rows_of(text) for text in texts])
    return JSONResponse(found if many else found[0], headers=who(recognizer))


# ---- text ----


async def summarization(request: Request, body: dict, model: Model) -> Response:
    """By prompt: the chat model is asked for a summary."""
    chat = request.app.state.practice.chat
    text = one_text(body)
    if not text.strip():
        raise problem("inputs", "must not be empty")
    parameters = fields.obj(body, "parameters", error=problem)
    options = parameters | fields.obj(parameters, "generate_parameters", error=in_parameters)
    limits = [
        fields.integer(options, name, 1, error=in_parameters)
        for name in ("max_new_tokens", "max_length")
    ]
    limit = next((limit for limit in limits if limit), 120)
    messages = [
        {"role": "user", "content": f"Summarize this text in one or two sentences:\n\n{text}"}
    ]
    wanted = chat.defaults | {
        "messages": messages,
        "max_tokens": min(limit, CONTEXT),
        "seed": derived_seed(messages),
    }

    async def work():
        return "".join(
            [
                chunk["choices"][0]["delta"].get("content") or ""
                async for chunk in chat.stream("chat_completions", wanted)
                if chunk.get("choices")
            ]
        )

    summary = await unless_gone(request, work())
    return JSONResponse([{"summary_text": summary.strip()}], headers=who(chat))


async def text_generation(request: Request, body: dict, model: Model) -> Response:
    """text-generation-inference's own format, whole or streamed."""
    chat = request.app.state.practice.chat
    prompt = body.get("inputs")
    if not isinstance(prompt, str):
        raise validation(
            "`inputs` is missing"
            if prompt is None
            else f"`inputs` must be a string, not {json_type(prompt)}"
        )
    if not prompt:
        raise validation("`inputs` cannot be empty")
    parameters = fields.obj(body, "parameters", error=_tgi)
    limit = fields.integer(parameters, "max_new_tokens", -(2**31), error=_tgi)
    if limit is not None and limit <= 0:
        raise validation("`max_new_tokens` must be strictly positive")
    temperature = fields.number(parameters, "temperature", -1e9, 1e9, error=_tgi)
    if temperature is not None and temperature <= 0:
        raise validation("`temperature` must be strictly positive")
    top_p = fields.number(parameters, "top_p", -1e9, 1e9, error=_tgi)
    if top_p is not None and not 0 < top_p < 1:
        raise validation("`top_p` must be > 0.0 and < 1.0")
    top_k = fields.integer(parameters, "top_k", 1, error=_tgi)
    penalty = fields.number(parameters, "repetition_penalty", 0, 10, above=True, error=_tgi)
    if (fields.integer(parameters, "best_of", 1, error=_tgi) or 1) > 1:
        raise validation("`best_of` must be 1 here")
    stops = fields.stops(parameters, error=_tgi)
    seed = fields.seed(parameters, error=_tgi)
    sampled = fields.boolean(parameters, "do_sample", False, error=_tgi) or any(
        value is not None for value in (temperature, top_p, top_k)
    )
    details = fields.boolean(parameters, "details", False, error=_tgi)
    whole_text = fields.boolean(parameters, "return_full_text", False, error=_tgi)
    streamed = fields.boolean(body, "stream", False, error=_tgi)
    frequency = fields.number(parameters, "frequency_penalty", -2, 2, error=_tgi)

    # As in text-generation-inference: greedy unless sampling is asked for in some way.
    wanted = chat.defaults | {
        "prompt": prompt,
        "max_tokens": min(limit or 100, CONTEXT),
        "stop": stops,
        "logprobs": 1,
        "seed": derived_seed(prompt) if seed is None else seed,
    }
    wanted |= {
        name: value
        for name, value in {
            "temperature": (
                temperature if sampled and temperature else wanted["temperature"] if sampled else 0
            ),
            "top_p": top_p,
            "top_k": top_k,
            "repeat_penalty": penalty,
            "frequency_penalty": frequency,
        }.items()
        if value is not None
    }
    used_seed = wanted["seed"] if sampled else None

    async def events() -> AsyncIterator[dict]:
        """One event a token; the last carries the whole text and why it ended. It is held until the
        end is known."""
        text, held, n, ended = "", None, 0, False
        async for chunk in chat.stream("completions", wanted):
            choice = chunk["choices"][0]
            for entry in (choice.get("logprobs") or {}).get("content") or []:
                ended = ended or not entry["bytes"]
                if not entry["bytes"]:
                    continue
                if held:
                    yield held
                n += 1
                held = {
                    "index": n,
                    "token": {
                        "id": entry["id"],
                        "text": choice["text"],
                        "logprob": entry["logprob"],
                        "special": False,
                    },
                    "generated_text": None,
                    "details": None,
                }
            text += choice["text"]
            if choice["finish_reason"]:
                reason = (
                    "length"
                    if choice["finish_reason"] == "length"
                    else ("stop_sequence" if stops and not ended else "eos_token")
                )
                held = held or {
                    "index": 1,
                    "token": {"id": 0, "text": "", "logprob": 0.0, "special": True},
                }
                yield held | {
                    "generated_text": (prompt if whole_text else "") + text,
                    "details": {
                        "finish_reason": reason,
                        "generated_tokens": n,
                        "seed": used_seed,
                        "input_length": chunk["usage"]["prompt_tokens"],
                    },
                }

    if (limit or 0) > CONTEXT:
        raise validation(
            f"`inputs` tokens + `max_new_tokens` must be <= {CONTEXT}. Given: {limit}"
            " `max_new_tokens`"
        )
    if streamed:
        return await event_stream(events(), who(chat), prefix="data:", done=False)

    async def work():
        return [event async for event in events()]

    got = await unless_gone(request, work())
    answer = {"generated_text": got[-1]["generated_text"]}
    if details:
        answer["details"] = got[-1]["details"] | {
            "prefill": [],
            "tokens": [event["token"] for event in got],
        }
    return JSONResponse([answer], headers=who(chat))


def _tgi(field: str, why: str) -> errors.ServiceError:
    return validation(f"`{field}` {why}")


# ---- images ----


async def text_to_image(request: Request, body: dict, model: Model) -> Response:
    """The bytes of a PNG."""
    card = Card.read(one_text(body), fields.obj(body, "parameters", error=problem), in_parameters)
    return Response(
        await asyncio.to_thread(card.png),
        media_type="image/png",
        headers={"x-answered-by": "practice-test-card"},
    )


ANSWERS = {
    "feature-extraction": feature_extraction,
    "sentence-similarity": sentence_similarity,
    "text-classification": text_classification,
    "zero-shot-classification": zero_shot,
    "token-classification": token_classification,
    "summarization": summarization,
    "text-generation": text_generation,
    "text-to-image": text_to_image,
}
