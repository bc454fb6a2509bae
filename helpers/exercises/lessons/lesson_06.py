"""Checks for exercise 06: classification and entities."""

import json
import random
from fractions import Fraction

import numpy as np
from huggingface_hub import InferenceClient

from helpers.exercises.kit import (
    GIVEN,
    NotYet,
    Raised,
    Spy,
    answer,
    call_whole,
    describe,
    expect,
    expect_given_client,
    expect_refusal_through,
    read_tasks,
    reply,
    spy,
    words,
)
from helpers.exercises.lessons.lesson_05 import expect_unchanged, texts_about
from helpers.models import models

RETURN_IT = "Your function returns nothing (None). Did you forget `return`?"


def new_client(method: str) -> InferenceClient:
    return InferenceClient(
        provider=None if method == "chat_completion" else "hf-inference", headers=GIVEN
    )


def run(function, service: Spy, method: str, model: str, *arguments):
    """Call the learner's function, which is to ask `model` by `method`; returns (its result, the bodies it sent).

    Asking something else, and old ways of calling and of reading, get a message of their own.
    """
    try:
        value = call_whole(service, function, new_client(method), *arguments)
    except Raised as raised:
        _expect_path(service, method, model)
        text = str(raised.error)
        expect(
            "keyword argument 'labels'" not in text,
            "`labels=` is from old examples. The parameter is called `candidate_labels` now.",
        )
        expect(
            "list indices must be integers" not in text,
            "The answer is a list of elements, best first, not one dictionary: `answer[0].label`. "
            '`answer["labels"]` is from before November 2025.',
        )
        expect(
            "not JSON serializable" not in text,
            "The labels have to be a list: `list(…)` makes one.",
        )
        expect(
            "doesn't support task" not in text,
            f"{text}. Look which of the course's models is for this task.",
        )
        expect(
            "no recommended model" not in text, f"{text} Pass `model=`: this task wants `{model}`."
        )
        raise
    _expect_path(service, method, model)
    expect_given_client(service)
    expect(
        service.sent.entries,
        f"No request was sent. Call `client.{method}(…)` with the model `{model}`.",
    )
    return value, [entry.json for entry in service.sent]


def _expect_path(service: Spy, method: str, model: str) -> None:
    for entry in service.sent:
        right = (
            entry.path.endswith("/chat/completions")
            if method == "chat_completion"
            else f"/models/{model}" in entry.path
        )
        expect(
            right,
            f"The request went to `{entry.path}`. This task wants `client.{method}(…)` with the"
            f" model `{model}`.",
        )


def scored(*pairs: tuple[str, float]) -> list[dict]:
    return [{"label": label, "score": score} for label, score in pairs]


def new_text() -> str:
    return texts_about(1)[0]


# ---- task 1 --------------------------------------------------------------------------------------------------------


def check_mood(mood) -> str:
    cases = [
        ("NEGATIVE", 0.97, "negative"),
        ("POSITIVE", 0.91, "positive"),
        ("POSITIVE", 0.62, "unsure"),
        ("NEGATIVE", 0.55, "unsure"),
        ("POSITIVE", 0.8, "positive"),
        ("NEGATIVE", 0.79, "unsure"),
    ]
    for label, score, wanted in cases:
        other = {"NEGATIVE": "POSITIVE", "POSITIVE": "NEGATIVE"}[label]
        text = new_text()
        with spy(answer([scored((label, score), (other, round(1 - score, 2)))])) as service:
            value, bodies = run(mood, service, "text_classification", models.sentiment, text)
        expect(
            len(bodies) == 1,
            f"You sent {len(bodies)} requests for one text. One is enough: keep its answer in a"
            " variable.",
        )
        expect(
            bodies[0].get("inputs") == text,
            "The text in the request is not the one your function was given.",
        )
        here = f"The model said {label} with {score}"
        expect(
            value is not None or wanted != "unsure",
            f"{here}, below 0.8, and you returned None. The task has a word for this case:"
            ' "unsure".',
        )
        expect(value is not None, RETURN_IT)
        expect(
            isinstance(value, str),
            f"You returned {describe(value)}; the task asks for one word. The best element is"
            " `answer[0]`, its label `answer[0].label`.",
        )
        expect(
            value in ("positive", "negative", "unsure")
            or value.lower() not in ("positive", "negative", "unsure"),
            f'You returned "{value}". Labels are spelt as each model likes; the task asks for lower'
            " case, so that another model can take its place.",
        )
        if wanted == "unsure":
            expect(
                value == "unsure",
                f'{here}, below 0.8, and you returned "{value[:40]}". A label always comes first;'
                " whether it is worth something, the score says.",
            )
        expect(
            value != other.lower(),
            f"{here}, and you returned the other label. The likeliest element comes first.",
        )
        expect(
            score != 0.8 or value != "unsure",
            'The score was 0.8 exactly, and you returned "unsure". At 0.8 or more the label counts:'
            " `>=`.",
        )
        expect(value == wanted, f'{here}: "{wanted}" was expected, you returned "{value[:40]}".')
    expect_refusal_through(mood, new_client("text_classification"), text)
    return (
        'one request, the likeliest label in lower case, and "unsure" where the score is too low to'
        " act on."
    )


# ---- task 2 --------------------------------------------------------------------------------------------------------


def check_route(route) -> str:
    desks = {
        f"{what} and {words(1)}": f"{desk} {words(1)}"
        for what, desk in [("payments", "billing"), ("passwords", "account"), ("faults", "support")]
    }
    descriptions = list(desks)
    for best in random.sample(descriptions, 2):
        rest = [label for label in descriptions if label != best]
        text, given = new_text(), dict(desks)
        with spy(answer(scored((best, 0.7), (rest[0], 0.2), (rest[1], 0.1)))) as service:
            value, bodies = run(
                route, service, "zero_shot_classification", models.zero_shot, text, given
            )
        expect(
            len(bodies) == 1,
            f"You sent {len(bodies)} requests. All labels go into one; the answer has a score for"
            " each.",
        )
        expect(
            bodies[0].get("inputs") == text,
            "The text in the request is not the one your function was given.",
        )
        sent = (bodies[0].get("parameters") or {}).get("candidate_labels")
        expect(
            sent is not None,
            "The request has no `candidate_labels`, so the model has nothing to choose from.",
        )
        expect(
            not isinstance(sent, str),
            "You sent the labels as one string. The service cuts it at the commas, and nobody"
            " complains: pass a list.",
        )
        expect(
            isinstance(sent, list),
            f"You sent {describe(sent)} as `candidate_labels`; the service wants a list."
            " `list(desks)` is the list of its keys.",
        )
        expect(
            set(sent) != set(desks.values()),
            "You sent the names of the desks. They say little to a model that knows nothing of your"
            " team; send the descriptions, the keys of `desks`.",
        )
        expect(
            sorted(sent) == sorted(descriptions),
            f"The labels in the request are {sent}; all the keys of `desks` were expected.",
        )
        expect(value is not None, RETURN_IT)
        expect(
            value not in descriptions,
            "You returned the description. The caller wants the name of the desk: `desks[…]`.",
        )
        template = bodies[0]["parameters"].get("hypothesis_template") or "{}"
        expect(
            "{}" in template,
            f'Your `hypothesis_template`, "{template[:60]}", has no `{{}}`, so the labels come'
            " nowhere and all are the same to the model.",
        )
        expect(
            value != desks[rest[1]],
            "You returned the desk with the *lowest* score. The list is sorted, the best first:"
            " `answer[0]`.",
        )
        expect(
            isinstance(value, str),
            f"You returned {describe(value)}; the task asks for the name of a desk, a `str`.",
        )
        expect(
            value == desks[best],
            f'The best label was "{best}", so the desk is "{desks[best]}"; you returned'
            f' "{value[:60]}".',
        )
        expect_unchanged(desks=(desks, given))
    expect_refusal_through(route, new_client("zero_shot_classification"), text, given)
    return "the model read the descriptions, and the caller got the desk."


# ---- task 3 --------------------------------------------------------------------------------------------------------


def check_entities(entities) -> str:
    city, firm = (
        random.choice(["Łódź", "Kraków", "Malmö"]),
        random.choice(["IBM", "Siemens", "Toyota"]),
    )
    text = f"From {city} we wrote to {firm} in May about case {random.randrange(1000, 9999)}."
    at, of = text.index(city), text.index(firm)
    rows = [
        {
            "entity_group": "LOC",
            "score": 0.98,
            "word": "##" + city[1:].lower(),
            "start": at,
            "end": at + len(city),
        },
        {
            "entity_group": "ORG",
            "score": 0.9,
            "word": firm.lower(),
            "start": of,
            "end": of + len(firm),
        },
        {
            "entity_group": "PER",
            "score": 0.42,
            "word": "may",
            "start": text.index("May"),
            "end": text.index("May") + 3,
        },
    ]
    with spy(answer(rows)) as service:
        value, bodies = run(entities, service, "token_classification", models.ner, text, 0.9)
    expect(
        len(bodies) == 1,
        f"You sent {len(bodies)} requests for one text. One is enough: keep its answer in a"
        " variable.",
    )
    expect(
        bodies[0].get("inputs") == text,
        "The text in the request is not the one your function was given.",
    )
    strategy = (bodies[0].get("parameters") or {}).get("aggregation_strategy")
    expect(
        strategy is not None,
        "The request has no `aggregation_strategy`, so it is the server's choice whether you get"
        ' names or tokens. Pass "simple".',
    )
    expect(
        strategy != "none",
        'With `aggregation_strategy="none"` you get single tokens, and a name of two words comes in'
        ' two pieces. Pass "simple".',
    )
    expect(value is not None, RETURN_IT)
    expect(
        isinstance(value, (list, tuple)),
        f"You returned {describe(value)}; the task asks for a list of pairs.",
    )
    value = [tuple(pair) if isinstance(pair, list) else pair for pair in value]
    expect(
        all(isinstance(pair, tuple) and len(pair) == 2 for pair in value),
        "Each item should be a pair: the name as it stands in the text, and its kind, for example"
        ' `("Oslo", "LOC")`.',
    )
    names = [name for name, _ in value]
    expect(
        rows[0]["word"] not in names,
        "You took `word`, which the model puts together from its own pieces: here it was"
        f' "{rows[0]["word"]}". The name as it stands in the text is'
        " `text[entity.start:entity.end]`.",
    )
    expect(
        firm.lower() not in names,
        f'You returned "{firm.lower()}", in small letters; in the text it is "{firm}". The name as'
        " it stands in the text is `text[entity.start:entity.end]`.",
    )
    expect(
        all(kind is not None for _, kind in value),
        "The kind is None. With an aggregation it stands in `entity_group`; `entity` is for"
        ' "none".',
    )
    expect(
        "May" not in names,
        '"May" came with a score of 0.42 and is in your list. Leave out what is below `least`.',
    )
    expect(
        firm in names or city not in names,
        f"{firm} came with a score of exactly `least`, 0.9, and is missing. At least `least` means"
        " `>=`.",
    )
    expect(
        value == [(city, "LOC"), (firm, "ORG")],
        f'For "{text}" the pairs should be {[(city, "LOC"), (firm, "ORG")]}; you returned'
        f" {value[:4]}.",
    )
    text = f"From Oslo to Berlin and on to {city}."
    rows = [
        {
            "entity_group": "LOC",
            "score": score,
            "word": name.lower(),
            "start": text.index(name),
            "end": text.index(name) + len(name),
        }
        for name, score in [("Oslo", 0.99), ("Berlin", 0.7), (city, 0.3)]
    ]
    with spy(answer(rows)) as service:
        value, bodies = run(entities, service, "token_classification", models.ner, text, 0.5)
    value = [tuple(pair) if isinstance(pair, list) else pair for pair in value or ()]
    expect(
        value != [("Oslo", "LOC")],
        "With `least` = 0.5, Berlin came with a score of 0.7 and is missing. Compare with `least`,"
        " not with a number of your own.",
    )
    expect(
        sorted(map(str, value)) != sorted(map(str, [("Oslo", "LOC"), ("Berlin", "LOC")]))
        or value[0] == ("Oslo", "LOC"),
        "The pairs are right, but not in the order of the text.",
    )
    expect(
        value == [("Oslo", "LOC"), ("Berlin", "LOC")],
        f"For \"{text}\" and `least` = 0.5 the pairs should be [('Oslo', 'LOC'), ('Berlin',"
        f" 'LOC')]; you returned {value[:4]}.",
    )
    with spy(answer([])) as service:
        value, bodies = run(entities, service, "token_classification", models.ner, new_text(), 0.5)
    expect(
        value == [] or value == (),
        f"A text without names gives an empty list; you returned {describe(value)}.",
    )
    expect_refusal_through(entities, new_client("token_classification"), text, 0.5)
    return "names as they stand in the text, with their kind, and only those the model was sure of."


# ---- task 4 --------------------------------------------------------------------------------------------------------


def check_evaluate(evaluate) -> str:
    labels = ["billing", "account", "general"]
    pairs = [
        ("billing", "billing"),
        ("billing", "account"),
        ("account", "account"),
        ("account", "account"),
        ("account", "general"),
        ("general", "billing"),
        ("billing", "account"),
    ]
    messages = [
        {"text": text, "label": truth} for text, (truth, _) in zip(texts_about(len(pairs)), pairs)
    ]
    steps = [
        answer(scored((said, 0.8), *((label, 0.1) for label in labels if label != said)))
        for _, said in pairs
    ]
    given, names = [dict(message) for message in messages], list(labels)
    with spy(*steps) as service:
        value, bodies = run(
            evaluate, service, "zero_shot_classification", models.zero_shot, given, names
        )
    expect(
        len(bodies) == len(pairs),
        f"There were {len(pairs)} messages, and you sent {len(bodies)} requests. One request a"
        " message.",
    )
    sent = [body.get("inputs") for body in bodies]
    expect(
        not any(isinstance(text, dict) for text in sent),
        "You sent whole messages, their labels included. The model may see the text only:"
        ' `message["text"]`.',
    )
    expect(
        sent == [message["text"] for message in messages],
        "The requests do not hold the messages' texts, in their order.",
    )
    expect(
        all((body.get("parameters") or {}).get("candidate_labels") == labels for body in bodies),
        "Not every request has the given labels as its `candidate_labels`.",
    )
    expect(value is not None, RETURN_IT)
    expect(
        isinstance(value, (tuple, list)) and len(value) == 2,
        "The task asks for two things, `accuracy, matrix`.",
    )
    share, matrix = value
    try:
        matrix = np.array(matrix, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(
            f"The second thing you returned is {describe(matrix)} that is no table of numbers. The"
            " task asks for a matrix with a row and a column for each label."
        ) from None
    matrix = matrix.astype(int) if np.array_equal(matrix, matrix.round()) else matrix
    right = np.zeros((3, 3), dtype=int)
    for truth, said in pairs:
        right[labels.index(truth), labels.index(said)] += 1
    expect(
        np.ndim(share) == 0
        and not isinstance(share, bool)
        and isinstance(share, (int, float, np.number, Fraction)),
        f"The accuracy should be a number; you returned {describe(share)}.",
    )
    expect(
        not np.isclose(share, 3),
        "You returned how many were right, 3. The accuracy is their share: divide by the number of"
        " messages.",
    )
    expect(
        not np.isclose(share, 4 / 7),
        "You returned the share of wrong ones. The accuracy is the share of right ones.",
    )
    expect(
        not np.isclose(share, 300 / 7, atol=1),
        "You returned a percentage. The task asks for a share, between 0 and 1.",
    )
    expect(
        np.isclose(share, 3 / 7),
        f"Three of seven messages were right, {3 / 7:.3f}; you returned {share}.",
    )
    expect(
        matrix.shape == (3, 3),
        f"There are three labels, so the matrix has the shape (3, 3); yours has {matrix.shape}.",
    )
    expect(
        not np.array_equal(matrix, right.T),
        "Rows and columns are exchanged. The row is what a person said, the column what the model"
        " said: `matrix[true, predicted]`.",
    )
    expect(
        np.array_equal(matrix, matrix.round()),
        "There are fractions in the matrix. The task asks for the numbers of messages; shares can"
        " be made of them later.",
    )
    expect(
        not np.array_equal(matrix, np.diag(np.diag(right))),
        "Only the right answers are in your matrix. Every message belongs into a cell, the wrong"
        " ones beside the diagonal.",
    )
    expect(
        matrix.sum() == len(pairs),
        f"The numbers in the matrix add up to {matrix.sum():g}; every message belongs in exactly"
        f" one cell, so it should be {len(pairs)}. Two messages with the same mistake count twice:"
        " `+= 1`.",
    )
    expect(
        np.array_equal(matrix, right),
        f"The matrix should be {right.tolist()} here (rows: true label, columns: predicted); yours"
        f" is {matrix.tolist()}.",
    )
    expect_unchanged(messages=(messages, given), labels=(labels, names))
    expect_refusal_through(evaluate, new_client("zero_shot_classification"), given, names)
    return "one request a message, the share of right ones, and every message in its cell."


# ---- task 5 --------------------------------------------------------------------------------------------------------


def check_choose(choose) -> str:
    own = words(1)
    labels = ["billing", "account", f"{own} support"]
    cases = [
        ('{"label": "account"}', "account", ""),
        (f'{{\n  "label": "{own} support"\n}}', f"{own} support", ""),
        ('{"label": "acc', None, "cut off by `max_tokens`, so it was half a JSON object"),
        (
            '{"label": "shipping"}',
            None,
            "not one of the labels; not every provider enforces a schema",
        ),
        ("I think it is billing.", None, "not JSON at all"),
        ('{"desk": "billing"}', None, "JSON without a `label`"),
        (None, None, "empty: `content` was None"),
        ('{"label": "support"}', None, "a part of a label, and not one of the labels"),
        ('{"label": ["billing"]}', None, "a label in a list, which is not one of the labels"),
        ('["billing"]', None, "JSON, but a list and no object"),
        ('{"label":"account","sure":true}', "account", ""),
    ]
    for text, wanted, why in cases:
        message = new_text()
        given = list(labels)
        with spy(reply(text or "")) as service:  # an empty answer has the content None
            try:
                value, bodies = run(choose, service, "chat_completion", models.chat, message, given)
            except Raised as raised:
                if why:
                    raise NotYet(
                        f"The answer was {why}. {raised} Return None then, so that the caller can"
                        " give the message to a person."
                    ) from None
                raise
        expect(
            len(service.sent) == 1,
            f"You sent {len(service.sent)} requests for one message."
            + (
                f" The answer was {why}; asking again is another decision, here it is None."
                if why
                else ""
            ),
        )
        body = bodies[0]
        expect(
            body.get("model", "").split(":")[0] == models.chat,
            f"You asked `{body.get('model')}`. Take the model's id from the registry:"
            " `models.chat`.",
        )
        expect(
            any(
                message in str(one.get("content"))
                for one in body.get("messages", [])
                if one.get("role") == "user"
            ),
            "The message is not in the request's user message.",
        )
        expect(
            body.get("max_tokens"),
            "The request has no `max_tokens`. A label needs few; 30 are plenty.",
        )
        expect(
            body["max_tokens"] <= 30, f"`max_tokens` was {body['max_tokens']}; this task allows 30."
        )
        expect(
            body["max_tokens"] >= 12,
            f"`max_tokens` was {body['max_tokens']}: that cuts the JSON around the label. The task"
            " allows 30.",
        )
        _expect_enum(body.get("response_format"), labels)
        if wanted is None:
            expect(
                value is None,
                f"The answer was {why}, and you returned"
                f" {value if isinstance(value, str) else describe(value)!r}. Return None for"
                " everything that is not one of the labels.",
            )
        expect(
            not isinstance(value, dict),
            "You returned the parsed object. The caller wants the label in it.",
        )
        expect(
            value != text or wanted is None,
            'You returned the text of the answer. It is JSON: `json.loads(text)["label"]`.',
        )
        expect(
            value == wanted,
            f'The answer was {text!r}, so "{wanted}" was expected; you returned {value!r}.',
        )
        expect_unchanged(labels=(labels, given))
    expect_refusal_through(choose, new_client("chat_completion"), message, given)
    return (
        "the schema allows your labels only, and whatever else comes back is None instead of a"
        " crash or a guess."
    )


def _expect_enum(form: object, labels: list[str]) -> None:
    """The response format is a JSON schema whose `label` allows exactly `labels`."""
    expect(form, "The request has no `response_format`, so the model may write what it likes.")
    expect(
        isinstance(form, dict) and form.get("type") == "json_schema",
        '`response_format` should have the type "json_schema": '
        '`{"type": "json_schema", "json_schema": {"name": …, "schema": …, "strict": True}}`.',
    )
    inner = form.get("json_schema") or {}
    schema = inner.get("schema") if isinstance(inner, dict) else None
    expect(
        isinstance(schema, dict),
        'The schema itself belongs one level further in: `{"type": "json_schema", "json_schema":'
        ' {"name": …, "schema": {…}}}`.',
    )
    field = (schema.get("properties") or {}).get("label")
    expect(
        isinstance(field, dict), f"The schema has no property `label`: {json.dumps(schema)[:120]}."
    )
    expect(
        inner.get("name"),
        'The `json_schema` has no `name`, which the service asks for: `{"name": "desk", "schema":'
        ' schema, "strict": True}`.',
    )
    expect(
        schema.get("type") == "object",
        'The schema does not say that the answer is an object: `"type": "object"`. Without it any'
        " JSON is allowed.",
    )
    others = [name for name in schema["properties"] if name != "label"]
    expect(
        not others,
        f"The schema also has the property `{others[0] if others else ''}`. The task asks for one,"
        " `label`; whatever else the model writes costs tokens and may be cut.",
    )
    expect(
        "enum" in field,
        'The schema says that `label` is a string, any string. `"enum": labels` allows your labels'
        " and nothing else.",
    )
    expect(
        isinstance(field["enum"], list),
        f"`enum` is {describe(field['enum'])}; it should be the list of labels itself.",
    )
    expect(
        sorted(map(str, field["enum"])) == sorted(labels),
        f"The `enum` is {field['enum']}; the function was given {labels}.",
    )
    expect(
        "label" in (schema.get("required") or []),
        "`label` is not in the schema's `required`, so an empty object `{}` is allowed too.",
    )


# ---- the quiz ------------------------------------------------------------------------------------------------------


TASKS = read_tasks(__file__, check_mood, check_route, check_entities, check_evaluate, check_choose)
