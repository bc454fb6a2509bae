"""Every task of exercise 06: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import contextlib
import json
import re
from collections import Counter
from fractions import Fraction

import numpy as np
from check_cases import CheckCases
from huggingface_hub import InferenceClient

from helpers import models
from helpers.exercises.lessons.lesson_06 import TASKS

MOOD, ROUTE, ENTITIES, EVALUATE, CHOOSE, QUIZ = TASKS


def stub(*arguments):
    raise NotImplementedError("your code here")


# ---- task 1 --------------------------------------------------------------------------------------------------------


def best(client, text):
    return client.text_classification(text, model=models.sentiment)[0]


def mood(client, text):
    element = best(client, text)
    return element.label.lower() if element.score >= 0.8 else "unsure"


def always_a_label(client, text):
    return best(client, text).label.lower()


def as_it_is_spelt(client, text):
    element = best(client, text)
    return element.label if element.score >= 0.8 else "unsure"


def above_only(client, text):
    element = best(client, text)
    return element.label.lower() if element.score > 0.8 else "unsure"


def the_last(client, text):
    element = client.text_classification(text, model=models.sentiment)[-1]
    return element.label.lower()


def the_element(client, text):
    return best(client, text)


def both_things(client, text):
    element = best(client, text)
    return element.label.lower(), element.score


def made_up(client, text):
    return "negative"


def asks_but_made_up(client, text):
    best(client, text)
    return "negative"


def forgets_return(client, text):
    mood(client, text)


def asks_twice(client, text):
    return best(client, text) and mood(client, text)


def other_task(client, text):
    return client.zero_shot_classification(text, ["positive", "negative"], model=models.zero_shot)[
        0
    ].label


def other_text(client, text):
    return mood(client, text.upper())


def own_client(client, text):
    return mood(InferenceClient(provider="hf-inference"), text)


async def needs_await(client, text):
    return mood(client, text)


def rounds(client, text):
    element = best(client, text)
    return element.label.lower() if round(element.score, 1) >= 0.8 else "unsure"


def none_if_unsure(client, text):
    element = best(client, text)
    return element.label.lower() if element.score >= 0.8 else None


def positive_or_else(client, text):
    element = best(client, text)
    return "positive" if element.label == "POSITIVE" and element.score >= 0.8 else "negative"


def capital_letters(client, text):
    return mood(client, text).title()


def unsure_after_errors(client, text):
    try:
        return mood(client, text)
    except Exception:
        return "unsure"


def three_labels(client, text):
    element = client.text_classification(text, model=models.sentiment_three)[0]
    return element.label if element.score >= 0.8 else "unsure"


MISTAKES_1 = {
    stub: "still empty",
    own_client: "a client of its own",
    needs_await: "asks for a plain `def`",
    rounds: "with 0.79, below 0.8",
    none_if_unsure: "has a word for this case",
    positive_or_else: "with 0.62, below 0.8",
    capital_letters: "lower case",
    unsure_after_errors: "refused the request with 503",
    three_labels: "This task wants `client.text_classification",
    always_a_label: "below 0.8",
    as_it_is_spelt: "lower case",
    above_only: "At 0.8 or more",
    the_last: "you returned the other label",
    the_element: "the task asks for one word",
    both_things: "the task asks for one word",
    made_up: "No request was sent",
    asks_but_made_up: "the other label",
    forgets_return: "Did you forget `return`",
    asks_twice: "You sent 2 requests",
    other_task: "This task wants `client.text_classification",
    other_text: "not the one your function was given",
}


# ---- task 2 --------------------------------------------------------------------------------------------------------


def zero_shot(client, text, labels, **parameters):
    return client.zero_shot_classification(
        text, candidate_labels=labels, model=models.zero_shot, **parameters
    )


def route(client, text, desks):
    return desks[zero_shot(client, text, list(desks))[0].label]


def route_in_a_sentence(client, text, desks):
    return desks[
        zero_shot(client, text, sorted(desks), hypothesis_template="This message is about {}.")[0][
            "label"
        ]
    ]


def sends_the_names(client, text, desks):
    return zero_shot(client, text, list(desks.values()))[0].label


def sends_one_string(client, text, desks):
    return desks[zero_shot(client, text, ", ".join(desks))[0].label]


def returns_the_description(client, text, desks):
    return zero_shot(client, text, list(desks))[0].label


def worst(client, text, desks):
    return desks[zero_shot(client, text, list(desks))[-1].label]


def old_parameter(client, text, desks):
    return desks[
        client.zero_shot_classification(text, labels=list(desks), model=models.zero_shot)[0].label
    ]


def old_shape(client, text, desks):
    return desks[zero_shot(client, text, list(desks))["labels"][0]]


def keys_only(client, text, desks):
    return desks[zero_shot(client, text, desks.keys())[0].label]


def one_by_one(client, text, desks):
    return desks[max(desks, key=lambda label: zero_shot(client, text, [label])[0].score)]


def first_desk(client, text, desks):
    zero_shot(client, text, list(desks))
    return "sales"


def no_asking(client, text, desks):
    return "billing"


def returns_answer(client, text, desks):
    return zero_shot(client, text, list(desks))


def some_labels(client, text, desks):
    return desks[zero_shot(client, text, list(desks)[:2])[0].label]


def sentiment_model(client, text, desks):
    return desks[
        client.zero_shot_classification(text, list(desks), model=models.sentiment)[0].label
    ]


def empties_the_desks(client, text, desks):
    name = route(client, text, desks)
    desks.clear()
    return name


def labels_by_heart(client, text, desks):
    return desks[
        zero_shot(
            client, text, ["payments and invoices", "passwords and profiles", "something is broken"]
        )[0].label
    ]


def both_sides(client, text, desks):
    return desks[
        zero_shot(client, text, [f"{description}: {name}" for description, name in desks.items()])[
            0
        ].label
    ]


def template_without_a_place(client, text, desks):
    return desks[
        zero_shot(
            client, text, list(desks), hypothesis_template="This is a message to a help desk."
        )[0].label
    ]


def the_dictionary(client, text, desks):
    return desks[zero_shot(client, text, desks)[0].label]


def first_of_the_desks(client, text, desks):
    zero_shot(client, text, list(desks))
    return list(desks.values())[0] + "?"


def general_after_errors(client, text, desks):
    try:
        return route(client, text, desks)
    except Exception:
        return "general"


MISTAKES_2 = {
    stub: "still empty",
    empties_the_desks: "changed `desks`",
    labels_by_heart: "all the keys of `desks` were expected",
    both_sides: "all the keys of `desks` were expected",
    template_without_a_place: "has no `{}`",
    the_dictionary: "You sent a dictionary",
    first_of_the_desks: "The best label was",
    general_after_errors: "refused the request with 503",
    sends_the_names: "You sent the names of the desks",
    sends_one_string: "as one string",
    returns_the_description: "You returned the description",
    worst: "*lowest* score",
    old_parameter: "called `candidate_labels` now",
    old_shape: "before November 2025",
    keys_only: "`list(…)` makes one",
    one_by_one: "All labels go into one",
    first_desk: "The best label was",
    no_asking: "No request was sent",
    returns_answer: "the name of a desk",
    some_labels: "all the keys of `desks` were expected",
    sentiment_model: "doesn't support task",
}


# ---- task 3 --------------------------------------------------------------------------------------------------------


def ner(client, text, **parameters):
    return client.token_classification(
        text, model=models.ner, **({"aggregation_strategy": "simple"} | parameters)
    )


def entities(client, text, least):
    return [(text[e.start : e.end], e.entity_group) for e in ner(client, text) if e.score >= least]


def the_words(client, text, least):
    return [(e.word, e.entity_group) for e in ner(client, text) if e.score >= least]


def mended_words(client, text, least):
    return [
        (e.word.replace("##", "").capitalize(), e.entity_group)
        for e in ner(client, text)
        if e.score >= least
    ]


def old_field(client, text, least):
    return [(text[e.start : e.end], e.entity) for e in ner(client, text) if e.score >= least]


def servers_choice(client, text, least):
    return [
        (text[e.start : e.end], e.entity_group)
        for e in client.token_classification(text, model=models.ner)
        if e.score >= least
    ]


def tokens(client, text, least):
    return [
        (text[e.start : e.end], e.entity)
        for e in ner(client, text, aggregation_strategy="none")
        if e.score >= least
    ]


def all_of_them(client, text, least):
    return [(text[e.start : e.end], e.entity_group) for e in ner(client, text)]


def above(client, text, least):
    return [(text[e.start : e.end], e.entity_group) for e in ner(client, text) if e.score > least]


def names_only(client, text, least):
    return [text[e.start : e.end] for e in ner(client, text) if e.score >= least]


def exchanged(client, text, least):
    return [(kind, name) for name, kind in entities(client, text, least)]


def as_dictionary(client, text, least):
    return dict(entities(client, text, least))


def capitals(client, text, least):
    return [(word, "LOC") for word in text.split() if word[0].isupper()]


def nothing_for_none(client, text, least):
    return entities(client, text, least) or None


def off_by_one(client, text, least):
    return [
        (text[e.start : e.end + 1], e.entity_group) for e in ner(client, text) if e.score >= least
    ]


def own_threshold(client, text, least):
    return entities(client, text, 0.9)


def by_alphabet(client, text, least):
    found = entities(client, text, least)
    return sorted(found) if "Oslo" in text else found


def one_at_a_time(client, text, least):
    yield from entities(client, text, least)


def counts_bytes(client, text, least):
    raw = text.encode()
    return [
        (raw[e.start : e.end].decode(errors="replace"), e.entity_group)
        for e in ner(client, text)
        if e.score >= least
    ]


def small_letters(client, text, least):
    return [
        (text.lower()[e.start : e.end], e.entity_group)
        for e in ner(client, text)
        if e.score >= least
    ]


def with_scores(client, text, least):
    return [
        (text[e.start : e.end], e.entity_group, e.score)
        for e in ner(client, text)
        if e.score >= least
    ]


def without_a_model(client, text, least):
    return client.token_classification(text, aggregation_strategy="simple")


def nothing_after_errors(client, text, least):
    try:
        return entities(client, text, least)
    except Exception:
        return []


MISTAKES_3 = {
    stub: "still empty",
    own_threshold: "a number of your own",
    by_alphabet: "not in the order of the text",
    one_at_a_time: "a generator",
    counts_bytes: "the pairs should be",
    small_letters: "in small letters",
    with_scores: "should be a pair",
    without_a_model: "this task wants `dslim",
    nothing_after_errors: "refused the request with 503",
    the_words: "You took `word`",
    mended_words: "the pairs should be",
    old_field: "The kind is None",
    servers_choice: "no `aggregation_strategy`",
    tokens: "single tokens",
    all_of_them: "below `least`",
    above: "means `>=`",
    names_only: "should be a pair",
    exchanged: "the pairs should be",
    as_dictionary: "a list of pairs",
    capitals: "No request was sent",
    nothing_for_none: "gives an empty list",
    off_by_one: "the pairs should be",
}


# ---- task 4 --------------------------------------------------------------------------------------------------------


def predictions(client, messages, labels):
    return [zero_shot(client, message["text"], labels)[0].label for message in messages]


def count(said, messages, labels):
    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    for label, message in zip(said, messages):
        matrix[labels.index(message["label"]), labels.index(label)] += 1
    return matrix


def evaluate(client, messages, labels):
    matrix = count(predictions(client, messages, labels), messages, labels)
    return matrix.trace() / len(messages), matrix


def as_lists(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return float(share), matrix.tolist()


def transposed(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return share, matrix.T


def how_many(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return matrix.trace(), matrix


def percent(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return 100 * share, matrix


def share_of_wrong(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return 1 - share, matrix


def sets_to_one(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return share, np.minimum(matrix, 1)


def matrix_only(client, messages, labels):
    return evaluate(client, messages, labels)[1]


def gives_the_answer_away(client, messages, labels):
    for message in messages:
        client.zero_shot_classification(
            str(message), candidate_labels=labels, model=models.zero_shot
        )
    return 1.0, np.eye(3)


def whole_messages(client, messages, labels):
    for message in messages:
        zero_shot(client, message, labels)
    return 1.0, np.eye(3)


def first_message_only(client, messages, labels):
    return evaluate(client, messages[:1], labels)


def without_asking(client, messages, labels):
    return 1.0, np.eye(3)


def pretends(client, messages, labels):
    predictions(client, messages, labels)
    return 1.0, len(messages) / 3 * np.eye(3)


def too_few_labels(client, messages, labels):
    said = [zero_shot(client, message["text"], labels[:2])[0].label for message in messages]
    matrix = count(said, messages, labels)
    return matrix.trace() / len(messages), matrix


def shares(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return share, matrix / matrix.sum(axis=1, keepdims=True)


def diagonal(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return share, np.diag(np.diag(matrix))


def as_counter(client, messages, labels):
    said = predictions(client, messages, labels)
    pairs = Counter((message["label"], label) for message, label in zip(messages, said))
    return (
        sum(count for (true, label), count in pairs.items() if true == label) / len(messages),
        pairs,
    )


def uneven_rows(client, messages, labels):
    return evaluate(client, messages, labels)[0], [[1], [1, 2], [3]]


def no_accuracy(client, messages, labels):
    return None, evaluate(client, messages, labels)[1]


def in_two_digits(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return round(share, 2), matrix


def as_text(client, messages, labels):
    share, matrix = evaluate(client, messages, labels)
    return f"{share:.0%}", matrix


def takes_the_labels_away(client, messages, labels):
    result = evaluate(client, messages, labels)
    for message in messages:
        del message["label"]
    return result


def skips_what_fails(client, messages, labels):
    said = []
    for message in messages:
        try:
            said.append(zero_shot(client, message["text"], labels)[0].label)
        except Exception:
            said.append(labels[0])
    matrix = count(said, messages, labels)
    return matrix.trace() / len(messages), matrix


MISTAKES_4 = {
    stub: "still empty",
    shares: "fractions in the matrix",
    diagonal: "Only the right answers",
    as_counter: "no table of numbers",
    uneven_rows: "no table of numbers",
    no_accuracy: "should be a number",
    in_two_digits: "Three of seven messages were right",
    as_text: "should be a number",
    takes_the_labels_away: "changed `messages`",
    skips_what_fails: "refused the request with 503",
    transposed: "Rows and columns are exchanged",
    how_many: "how many were right",
    percent: "a percentage",
    share_of_wrong: "share of wrong ones",
    sets_to_one: "`+= 1`",
    matrix_only: "two things",
    gives_the_answer_away: "do not hold the messages' texts",
    whole_messages: "their labels included",
    first_message_only: "you sent 1 requests",
    without_asking: "No request was sent",
    pretends: "Three of seven messages were right",
    too_few_labels: "the given labels",
}


# ---- task 5 --------------------------------------------------------------------------------------------------------


def form(schema):
    return {
        "type": "json_schema",
        "json_schema": {"name": "desk", "schema": schema, "strict": True},
    }


def schema_for(labels):
    return {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": labels}},
        "required": ["label"],
        "additionalProperties": False,
    }


def ask(client, text, labels, **changes):
    arguments = {
        "model": models.chat,
        "max_tokens": 30,
        "response_format": form(schema_for(labels)),
    } | changes
    messages = [
        {"role": "system", "content": "Which desk? " + ", ".join(labels)},
        {"role": "user", "content": text},
    ]
    return (
        client.chat_completion(messages, **{k: v for k, v in arguments.items() if v is not None})
        .choices[0]
        .message.content
    )


def read(content, labels):
    try:
        label = json.loads(content)["label"]
    except (ValueError, KeyError, TypeError):
        return None
    return label if label in labels else None


def choose(client, text, labels):
    return read(ask(client, text, labels), labels)


def believes(client, text, labels):
    return json.loads(ask(client, text, labels))["label"]


def believes_json(client, text, labels):
    try:
        return json.loads(ask(client, text, labels))["label"]
    except (ValueError, KeyError, TypeError):
        return None


def forgets_none(client, text, labels):
    content = ask(client, text, labels)
    try:
        return read(content, labels) if content.strip() else None
    except ValueError:
        return None


def guesses(client, text, labels):
    return choose(client, text, labels) or labels[0]


def searches(client, text, labels):
    content = ask(client, text, labels) or ""
    return next((label for label in labels if label in content), None)


def raw(client, text, labels):
    return ask(client, text, labels)


def parsed(client, text, labels):
    return json.loads(ask(client, text, labels))


def no_schema(client, text, labels):
    return read(ask(client, text, labels, response_format=None), labels)


def any_object(client, text, labels):
    return read(ask(client, text, labels, response_format={"type": "json_object"}), labels)


def flat_schema(client, text, labels):
    return read(
        ask(
            client,
            text,
            labels,
            response_format={"type": "json_schema", "json_schema": schema_for(labels)},
        ),
        labels,
    )


def any_string(client, text, labels):
    schema = schema_for(labels)
    del schema["properties"]["label"]["enum"]
    return read(ask(client, text, labels, response_format=form(schema)), labels)


def fixed_labels(client, text, labels):
    return read(ask(client, text, labels, response_format=form(schema_for(["yes", "no"]))), labels)


def optional(client, text, labels):
    schema = schema_for(labels)
    del schema["required"]
    return read(ask(client, text, labels, response_format=form(schema)), labels)


def no_limit(client, text, labels):
    return read(ask(client, text, labels, max_tokens=None), labels)


def asks_again(client, text, labels):
    return choose(client, text, labels) or choose(client, text, labels)


def not_chat(client, text, labels):
    return zero_shot(client, text, labels)[0].label


def no_asking_at_all(client, text, labels):
    return "account"


def with_a_reason(client, text, labels):
    schema = schema_for(labels)
    schema["properties"]["why"] = {"type": "string"}
    return read(ask(client, text, labels, response_format=form(schema)), labels)


def any_kind_of_json(client, text, labels):
    schema = schema_for(labels)
    del schema["type"]
    return read(ask(client, text, labels, response_format=form(schema)), labels)


def nameless(client, text, labels):
    form_without = form(schema_for(labels))
    del form_without["json_schema"]["name"]
    return read(ask(client, text, labels, response_format=form_without), labels)


def one_text_for_all(client, text, labels):
    return read(
        ask(client, text, labels, response_format=form(schema_for(", ".join(labels)))), labels
    )


def one_more_label(client, text, labels):
    return read(
        ask(client, text, labels, response_format=form(schema_for([*labels, "other"]))), labels
    )


def writes_on(client, text, labels):
    return read(ask(client, text, labels, max_tokens=300), labels)


def too_short(client, text, labels):
    return read(ask(client, text, labels, max_tokens=5), labels)


def part_of_a_label(client, text, labels):
    try:
        label = json.loads(ask(client, text, labels))["label"]
    except (ValueError, KeyError, TypeError):
        return None
    return label if str(label) in " ".join(labels) else None


def by_pattern(client, text, labels):
    found = re.search('"label": "([^"]*)"', ask(client, text, labels) or "")
    return found[1] if found and found[1] in labels else None


def by_eval(client, text, labels):
    try:
        return read(json.dumps(eval(ask(client, text, labels))), labels)
    except (SyntaxError, NameError, TypeError):
        return None


def looks_up(client, text, labels):
    try:
        label = json.loads(ask(client, text, labels))["label"]
    except (ValueError, KeyError, TypeError):
        return None
    return {label: label for label in labels}.get(label)


def adds_to_the_labels(client, text, labels):
    label = choose(client, text, labels)
    labels.append("other")
    return label


def none_after_errors(client, text, labels):
    try:
        return choose(client, text, labels)
    except Exception:
        return None


MISTAKES_5 = {
    stub: "still empty",
    with_a_reason: "also has the property `why`",
    any_kind_of_json: "that the answer is an object",
    nameless: "has no `name`",
    one_text_for_all: "the list of labels itself",
    one_more_label: "the function was given",
    writes_on: "this task allows 30",
    too_short: "cuts the JSON around the label",
    part_of_a_label: "a part of a label",
    by_pattern: 'so "account" was expected',
    by_eval: 'so "account" was expected',
    looks_up: "a label in a list",
    adds_to_the_labels: "changed `labels`",
    none_after_errors: "refused the request with 503",
    believes: "half a JSON object",
    believes_json: "not one of the labels",
    forgets_none: "`content` was None",
    guesses: "half a JSON object",
    searches: "not JSON at all",
    raw: "It is JSON",
    parsed: "the parsed object",
    no_schema: "no `response_format`",
    any_object: 'the type "json_schema"',
    flat_schema: "one level further in",
    any_string: "any string",
    fixed_labels: "the function was given",
    optional: "`required`",
    no_limit: "no `max_tokens`",
    asks_again: "asking again is another decision",
    not_chat: "This task wants `client.chat_completion",
    no_asking_at_all: "No request was sent",
}

# ---- the same in other styles ---------------------------------------------------------------------------------------


def best_by_score(client, text):
    element = max(
        client.text_classification(text=text, model=models["sentiment"].id),
        key=lambda element: element["score"],
    )
    if element["score"] < 0.8:
        return "unsure"
    return {"POSITIVE": "positive", "NEGATIVE": "negative"}[element["label"]]


def first_that_is_sure(client, text):
    return next(
        (
            element.label.casefold()
            for element in client.text_classification(text, model=models.sentiment, top_k=1)
            if element.score >= 0.8
        ),
        "unsure",
    )


def unpacks(client, text, desks):
    first, *_ = client.zero_shot_classification(
        text=text, candidate_labels=[*desks], model=models.zero_shot, multi_label=False
    )
    return desks.get(first["label"])


def filters(client, text, least):
    sure = filter(
        lambda entity: not entity["score"] < least, ner(client, text, aggregation_strategy="max")
    )
    return [
        [text[slice(entity["start"], entity["end"])], entity["entity_group"]] for entity in sure
    ]


def without_a_matrix_type(client, messages, labels):
    said = [
        client.zero_shot_classification(message["text"], labels, model=models.zero_shot)[0]["label"]
        for message in messages
    ]
    true = [message["label"] for message in messages]
    return Fraction(sum(map(str.__eq__, true, said)), len(true)), [
        [sum(pair == (t, s) for pair in zip(true, said)) for s in labels] for t in labels
    ]


def with_openai_names(client, text, labels):
    schema = {
        "type": "object",
        "properties": {"label": {"enum": list(labels)}},
        "required": ["label"],
    }
    response = client.chat.completions.create(
        model=models.chat,
        messages=[{"role": "user", "content": f"{text}\n{labels}"}],
        max_tokens=20,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "choice", "schema": schema},
        },
    )
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        label = json.loads(response.choices[0].message.content).get("label")
        return label if label in labels else None


CASES = [
    (MOOD, MISTAKES_1),
    (ROUTE, MISTAKES_2),
    (ENTITIES, MISTAKES_3),
    (EVALUATE, MISTAKES_4),
    (CHOOSE, MISTAKES_5),
]
SOLUTIONS = [
    (MOOD, mood),
    (ROUTE, route),
    (ROUTE, route_in_a_sentence),
    (ENTITIES, entities),
    (EVALUATE, evaluate),
    (EVALUATE, as_lists),
    (CHOOSE, choose),
    (MOOD, best_by_score),
    (MOOD, first_that_is_sure),
    (ROUTE, unpacks),
    (ENTITIES, filters),
    (EVALUATE, without_a_matrix_type),
    (CHOOSE, with_openai_names),
]


class TestExercise(CheckCases):
    tasks, right, quiz = [task for task, _ in CASES], SOLUTIONS, QUIZ
    wrong = [
        (task, mistake, message)
        for task, mistakes in CASES
        for mistake, message in mistakes.items()
    ]
    draws_right, draws_wrong = 5, 3
