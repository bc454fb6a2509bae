"""Checks for exercise 06: classification and entities."""

import json
import random
from fractions import Fraction

import numpy as np

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, Raised, answer, describe, expect, reply, spy, words
from helpers.exercises.lessons import lesson_06_calls as calls
from helpers.exercises.lessons.lesson_06_calls import ALL, SAY, run, scored
from helpers.models import models


# ---- task 1 ----
def check_mood(mood) -> str:
    say, allowed = SAY["mood"], ("positive", "negative", "unsure")
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
        text, here = kit.new_text(), f"The model said {label} with {score}"
        with spy(answer([scored((label, score), (other, round(1 - score, 2)))])) as service:
            value, bodies = run(mood, service, "text_classification", models.sentiment, text)
        calls.expect_one_request(bodies, text)
        expect(value is not None, say["none"] if wanted == "unsure" else ALL["nothing"], here=here)
        expect(isinstance(value, str), say["no_word"], what=describe(value))
        spelt = value in allowed or value.lower() not in allowed
        expect(spelt, say["spelling"], value=value)
        expect(wanted != "unsure" or value == "unsure", say["too_sure"], here=here, value=value)
        expect(value != other.lower(), say["other_label"], here=here)
        expect(score != 0.8 or value != "unsure", say["exactly"])
        expect(value == wanted, say["other"], here=here, wanted=wanted, value=value)
    kit.expect_refusal_through(mood, kit.new_client("hf-inference"), text)
    return say["right"]


# ---- task 2 ----
def check_route(route) -> str:
    say, method = SAY["route"], "zero_shot_classification"
    topics = [("payments", "billing"), ("passwords", "account"), ("faults", "support")]
    desks = {f"{what} and {words(1)}": f"{desk} {words(1)}" for what, desk in topics}
    for best in random.sample(list(desks), 2):
        second, last = (label for label in desks if label != best)
        text, given = kit.new_text(), dict(desks)
        with spy(answer(scored((best, 0.7), (second, 0.2), (last, 0.1)))) as service:
            value, bodies = run(route, service, method, models.zero_shot, text, given)
        expect(len(bodies) == 1, say["many_requests"], sent=len(bodies))
        parameters = calls.expect_one_request(bodies, text)
        sent = parameters.get("candidate_labels")
        expect(sent is not None, say["no_labels"])
        expect(not isinstance(sent, str), say["one_string"])
        expect(isinstance(sent, list), say["no_list"], what=describe(sent))
        expect(set(sent) != set(desks.values()), say["names"])
        expect(sorted(sent) == sorted(desks), say["other_labels"], sent=sent)
        expect(value is not None, ALL["nothing"])
        expect(value not in list(desks), say["description"])
        template = parameters.get("hypothesis_template") or "{}"
        expect("{}" in template, say["no_place"], template=template)
        expect(value != desks[last], say["lowest"])
        expect(isinstance(value, str), say["no_name"], what=describe(value))
        right = value == desks[best]
        expect(right, say["other_desk"], best=best, desk=desks[best], value=value)
        kit.expect_unchanged(desks=(desks, given))
    kit.expect_refusal_through(route, kit.new_client("hf-inference"), text, given)
    return "the model read the descriptions, and the caller got the desk."


# ---- task 3 ----
def check_entities(entities) -> str:
    def found(text: str, least: float, *rows: dict):
        with spy(answer(list(rows))) as service:
            value, bodies = run(entities, service, method, models.ner, text, least)
        parameters = calls.expect_one_request(bodies, text)
        expect(parameters.get("aggregation_strategy") is not None, say["no_strategy"])
        expect(parameters["aggregation_strategy"] != "none", say["tokens"])
        return value

    say, method = SAY["entities"], "token_classification"
    city = random.choice(["Łódź", "Kraków", "Malmö"])
    firm = random.choice(["IBM", "Siemens", "Toyota"])
    text = f"From {city} we wrote to {firm} in May about case {random.randrange(1000, 9999)}."
    word = "##" + city[1:].lower()
    rows = [_row(text, city, "LOC", 0.98, word), _row(text, firm, "ORG", 0.9)]
    value = _pairs(found(text, 0.9, *rows, _row(text, "May", "PER", 0.42)))
    names = [name for name, _ in value]
    expect(word not in names, say["word"], word=word)
    expect(firm.lower() not in names, say["small_letters"], small=firm.lower(), firm=firm)
    expect(all(kind is not None for _, kind in value), say["no_kind"])
    expect("May" not in names, say["below"])
    expect(firm in names or city not in names, say["exactly"], firm=firm)
    _expect_pairs(value, [(city, "LOC"), (firm, "ORG")], text, 0.9)

    text = f"From Oslo to Berlin and on to {city}."
    scores = [("Oslo", 0.99), ("Berlin", 0.7), (city, 0.3)]
    value = _pairs(found(text, 0.5, *(_row(text, name, "LOC", score) for name, score in scores)))
    expect(value != [("Oslo", "LOC")], say["own_threshold"])
    expect(value != [("Berlin", "LOC"), ("Oslo", "LOC")], say["order"])
    _expect_pairs(value, [("Oslo", "LOC"), ("Berlin", "LOC")], text, 0.5)

    value = found(kit.new_text(), 0.5)
    expect(value == [] or value == (), say["not_empty"], what=describe(value))
    kit.expect_refusal_through(entities, kit.new_client("hf-inference"), text, 0.5)
    return say["right"]


def _row(text: str, name: str, kind: str, score: float, word: str | None = None) -> dict:
    """An entity as the service sends it; its `word` is not spelt as in the text."""
    start = text.index(name)
    place = {"start": start, "end": start + len(name)}
    return {"entity_group": kind, "score": score, "word": word or name.lower(), **place}


def _pairs(value: object) -> list[tuple]:
    """`value` is a list of pairs; a list of two counts as one."""
    say = SAY["entities"]
    expect(value is not None, ALL["nothing"])
    expect(isinstance(value, (list, tuple)), say["no_list"], what=describe(value))
    pairs = [tuple(pair) if isinstance(pair, list) else pair for pair in value]
    expect(all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs), say["no_pairs"])
    return pairs


def _expect_pairs(value: list, right: list, text: str, least: float) -> None:
    other = SAY["entities"]["other_pairs"]
    expect(value == right, other, text=text, least=least, right=right, value=value[:4])


# ---- task 4 ----
def check_evaluate(evaluate) -> str:
    say, method = SAY["evaluate"], "zero_shot_classification"
    labels = ["billing", "account", "general"]
    pairs = [(0, 0), (0, 1), (1, 1), (1, 1), (1, 2), (2, 0), (0, 1)]  # true, predicted label
    right, steps = np.zeros((3, 3), dtype=int), []
    for true, said in pairs:
        right[true, said] += 1
        others = [(label, 0.1) for label in labels if label != labels[said]]
        steps.append(answer(scored((labels[said], 0.8), *others)))
    texts = kit.texts_about(len(pairs))
    messages = [{"text": text, "label": labels[true]} for text, (true, _) in zip(texts, pairs)]
    given, names = [dict(message) for message in messages], list(labels)
    with spy(*steps) as service:
        value, bodies = run(evaluate, service, method, models.zero_shot, given, names)
    expect(len(bodies) == 7, say["requests"], messages=7, sent=len(bodies))
    sent = [body.get("inputs") for body in bodies]
    expect(not any(isinstance(text, dict) for text in sent), say["whole_messages"])
    expect(sent == texts, say["other_texts"])
    chosen = [(body.get("parameters") or {}).get("candidate_labels") for body in bodies]
    expect(chosen == [labels] * 7, say["other_labels"])
    expect(value is not None, ALL["nothing"])
    two = isinstance(value, (tuple, list)) and len(value) == 2
    expect(two, "The task asks for two things, `accuracy, matrix`.")
    share, matrix = value
    try:
        matrix = np.array(matrix, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(say["no_table"].format(what=describe(matrix))) from None
    if np.array_equal(matrix, matrix.round()):
        matrix = matrix.astype(int)
    number = isinstance(share, (int, float, np.number, Fraction)) and not isinstance(share, bool)
    expect(number, say["no_number"], what=describe(share))
    expect(not np.isclose(share, 3), say["how_many"])
    expect(not np.isclose(share, 4 / 7), say["wrong_share"])
    expect(not np.isclose(share, 300 / 7, atol=1), say["percent"])
    expect(np.isclose(share, 3 / 7), say["other_share"], right=3 / 7, share=share)
    total, count = matrix.sum(), right.sum()
    expect(matrix.shape == right.shape, say["shape"], matrix=matrix)
    expect(not np.array_equal(matrix, right.T), say["transposed"])
    expect(np.array_equal(matrix, matrix.round()), say["fractions"])
    expect(not np.array_equal(matrix, np.diag(np.diag(right))), say["diagonal"])
    expect(total == count, say["other_sum"], total=total, count=count)
    shown = {"right": right.tolist(), "matrix": matrix.tolist()}
    expect(np.array_equal(matrix, right), say["other_cells"], **shown)
    kit.expect_unchanged(messages=(messages, given), labels=(labels, names))
    kit.expect_refusal_through(evaluate, kit.new_client("hf-inference"), given, names)
    return say["right"]


# ---- task 5 ----
def check_choose(choose) -> str:
    say, support = SAY["choose"], f"{words(1)} support"
    labels = ["billing", "account", support]
    spread = {"text": f'{{\n  "label": "{support}"\n}}', "wanted": support}
    for case in [*kit.read_data(__file__)["choices"], spread]:
        text, wanted, why = case["text"], case.get("wanted"), case.get("why", "")
        (message,), given = kit.texts_about(1), list(labels)
        with spy(reply(text)) as service:
            try:
                value, bodies = run(choose, service, "chat_completion", models.chat, message, given)
            except Raised as raised:
                expect(not why, say["raised"], why=why, raised=raised)
                raise
        again = say["again"] if why else "You sent {sent} requests for one message."
        expect(len(service.sent) == 1, again, sent=len(service.sent), why=why)
        limit, schema = bodies[0].get("max_tokens"), calls.asked_schema(bodies[0], message)
        expect(limit, say["no_limit"])
        expect(limit <= 30, say["limit"], limit=limit)
        expect(limit >= 12, say["too_short"], limit=limit)
        properties = schema.get("properties") or {}
        field = properties.get("label")
        expect(isinstance(field, dict), say["no_property"], schema=json.dumps(schema)[:120])
        expect(schema.get("type") == "object", say["no_object"])
        others = [name for name in properties if name != "label"]
        expect(not others, say["more_properties"], more=others and others[0])
        expect("enum" in field, say["any_string"])
        enum = field["enum"]
        expect(isinstance(enum, list), say["enum_no_list"], what=describe(enum))
        right = sorted(map(str, enum)) == sorted(labels)
        expect(right, say["other_enum"], enum=enum, labels=labels)
        expect("label" in (schema.get("required") or []), say["not_required"])
        shown = value if isinstance(value, str) else describe(value)
        expect(wanted or value is None, say["not_none"], why=why, shown=shown)
        expect(not isinstance(value, dict), say["object"])
        expect(value != text or wanted is None, say["text_itself"])
        expect(value == wanted, say["other"], text=text, wanted=wanted, value=value)
        kit.expect_unchanged(labels=(labels, given))
    kit.expect_refusal_through(choose, kit.new_client(), message, given)
    return say["right"]


TASKS = kit.read_tasks(
    __file__, check_mood, check_route, check_entities, check_evaluate, check_choose
)
