"""Every task of exercise 06: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import json

import numpy as np
import pytest

from helpers import models
from helpers.checks.lesson_06 import TASKS

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
    return client.zero_shot_classification(text, ["positive", "negative"], model=models.zero_shot)[0].label


def other_text(client, text):
    return mood(client, text.upper())


MISTAKES_1 = {
    stub: "still empty",
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
    return client.zero_shot_classification(text, candidate_labels=labels, model=models.zero_shot, **parameters)


def route(client, text, desks):
    return desks[zero_shot(client, text, list(desks))[0].label]


def route_in_a_sentence(client, text, desks):
    return desks[zero_shot(client, text, sorted(desks), hypothesis_template="This message is about {}.")[0]["label"]]


def sends_the_names(client, text, desks):
    return zero_shot(client, text, list(desks.values()))[0].label


def sends_one_string(client, text, desks):
    return desks[zero_shot(client, text, ", ".join(desks))[0].label]


def returns_the_description(client, text, desks):
    return zero_shot(client, text, list(desks))[0].label


def worst(client, text, desks):
    return desks[zero_shot(client, text, list(desks))[-1].label]


def old_parameter(client, text, desks):
    return desks[client.zero_shot_classification(text, labels=list(desks), model=models.zero_shot)[0].label]


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
    return desks[client.zero_shot_classification(text, list(desks), model=models.sentiment)[0].label]


MISTAKES_2 = {
    stub: "still empty",
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
    return client.token_classification(text, model=models.ner, **({"aggregation_strategy": "simple"} | parameters))


def entities(client, text, least):
    return [(text[e.start:e.end], e.entity_group) for e in ner(client, text) if e.score >= least]


def the_words(client, text, least):
    return [(e.word, e.entity_group) for e in ner(client, text) if e.score >= least]


def mended_words(client, text, least):
    return [(e.word.replace("##", "").capitalize(), e.entity_group) for e in ner(client, text) if e.score >= least]


def old_field(client, text, least):
    return [(text[e.start:e.end], e.entity) for e in ner(client, text) if e.score >= least]


def servers_choice(client, text, least):
    return [(text[e.start:e.end], e.entity_group) for e in client.token_classification(text, model=models.ner) if e.score >= least]


def tokens(client, text, least):
    return [(text[e.start:e.end], e.entity) for e in ner(client, text, aggregation_strategy="none") if e.score >= least]


def all_of_them(client, text, least):
    return [(text[e.start:e.end], e.entity_group) for e in ner(client, text)]


def above(client, text, least):
    return [(text[e.start:e.end], e.entity_group) for e in ner(client, text) if e.score > least]


def names_only(client, text, least):
    return [text[e.start:e.end] for e in ner(client, text) if e.score >= least]


def exchanged(client, text, least):
    return [(kind, name) for name, kind in entities(client, text, least)]


def as_dictionary(client, text, least):
    return dict(entities(client, text, least))


def capitals(client, text, least):
    return [(word, "LOC") for word in text.split() if word[0].isupper()]


def nothing_for_none(client, text, least):
    return entities(client, text, least) or None


def off_by_one(client, text, least):
    return [(text[e.start:e.end + 1], e.entity_group) for e in ner(client, text) if e.score >= least]


MISTAKES_3 = {
    stub: "still empty",
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
        client.zero_shot_classification(str(message), candidate_labels=labels, model=models.zero_shot)
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


MISTAKES_4 = {
    stub: "still empty",
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
    return {"type": "json_schema", "json_schema": {"name": "desk", "schema": schema, "strict": True}}


def schema_for(labels):
    return {"type": "object", "properties": {"label": {"type": "string", "enum": labels}}, "required": ["label"], "additionalProperties": False}


def ask(client, text, labels, **changes):
    arguments = {"model": models.chat, "max_tokens": 30, "response_format": form(schema_for(labels))} | changes
    messages = [{"role": "system", "content": "Which desk? " + ", ".join(labels)}, {"role": "user", "content": text}]
    return client.chat_completion(messages, **{k: v for k, v in arguments.items() if v is not None}).choices[0].message.content


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
    return read(ask(client, text, labels, response_format={"type": "json_schema", "json_schema": schema_for(labels)}), labels)


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


MISTAKES_5 = {
    stub: "still empty",
    believes: "half a JSON object",
    believes_json: "not one of the labels",
    forgets_none: "`content` was None",
    guesses: "half a JSON object",
    searches: "not JSON at all",
    raw: "It is JSON",
    parsed: "the parsed object",
    no_schema: "no `response_format`",
    any_object: "the type \"json_schema\"",
    flat_schema: "one level further in",
    any_string: "any string",
    fixed_labels: "the function was given",
    optional: "`required`",
    no_limit: "no `max_tokens`",
    asks_again: "asking again is another decision",
    not_chat: "This task wants `client.chat_completion",
    no_asking_at_all: "No request was sent",
}

CASES = [(MOOD, MISTAKES_1), (ROUTE, MISTAKES_2), (ENTITIES, MISTAKES_3), (EVALUATE, MISTAKES_4), (CHOOSE, MISTAKES_5)]
SOLUTIONS = [(MOOD, mood), (ROUTE, route), (ROUTE, route_in_a_sentence), (ENTITIES, entities), (EVALUATE, evaluate), (EVALUATE, as_lists), (CHOOSE, choose)]


@pytest.mark.parametrize("task, solution", SOLUTIONS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_solutions_pass_every_time(task, solution):
    for _ in range(5):
        verdict = task.judge(solution)
        assert verdict.ok, verdict.message


@pytest.mark.parametrize("task, mistake, message", [(task, mistake, message) for task, mistakes in CASES for mistake, message in mistakes.items()],
                         ids=lambda value: getattr(value, "__name__", ""))
def test_each_mistake_gets_its_own_message(task, mistake, message):
    for _ in range(3):
        verdict = task.judge(mistake)
        assert not verdict.ok
        assert message in verdict.message
        assert "This check itself broke" not in verdict.message


@pytest.mark.parametrize("task", [task for task, _ in CASES], ids=lambda task: task.name)
def test_hints_go_from_a_nudge_to_nearly_the_code(task):
    assert len(task.hints) == 3 and all(len(hint) > 40 for hint in task.hints)


@pytest.mark.parametrize("question", QUIZ.questions, ids=lambda question: question.text[:30])
def test_every_choice_is_explained(question):
    assert sum(choice.right for choice in question.choices) == 1
    assert len({choice.text for choice in question.choices}) == len(question.choices) == 4
    assert all(len(choice.why) > 40 for choice in question.choices)
    for letter, choice in zip("abcd", question.choices):
        assert question.judge(letter).ok == choice.right


def test_the_right_answers_have_no_pattern():
    letters = [next(letter for letter, choice in zip("abcd", question.choices) if choice.right) for question in QUIZ.questions]
    assert len(letters) >= 4 and len(set(letters)) >= 3
