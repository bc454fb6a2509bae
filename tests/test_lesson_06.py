"""Exercise 06: the stub fails, the solution passes, each mistake gets the message about it."""

from check_cases import CheckCases
from wrong import exercise, hides

from helpers import models
from helpers.exercises.lessons.lesson_06 import TASKS

MOOD, ROUTE, ENTITIES, EVALUATE, CHOOSE, QUIZ = TASKS


def zero_shot(client, text, labels):
    return client.zero_shot_classification(text, candidate_labels=labels, model=models.zero_shot)


MOOD_WRONG = [
    ("client.", "own.", "a client of its own"),
    ("def", "async def", "asks for a plain `def`"),
    ("best.score", "round(best.score, 1)", "with 0.79, below 0.8"),
    ('else "unsure"', "else None", "has a word for this case"),
    """
    # with 0.62, below 0.8
    best = client.text_classification(text, model=models.sentiment)[0]
    return "positive" if best.label == "POSITIVE" and best.score >= 0.8 else "negative\"""",
    ("return solved(client, text).title()", "lower case"),
    (hides("client, text", '"unsure"'), "refused the request with 503"),
    (
        (".lower()", ""),
        ("models.sentiment", "models.sentiment_three"),
        "This task wants `client.text_classification",
    ),
    (' if best.score >= 0.8 else "unsure"', "", "below 0.8"),
    (".lower()", "", "lower case"),
    (">=", ">", "At 0.8 or more"),
    (("[0]", "[-1]"), (' if best.score >= 0.8 else "unsure"', ""), "you returned the other label"),
    ('best.label.lower() if best.score >= 0.8 else "unsure"', "best", "the task asks for one word"),
    (' if best.score >= 0.8 else "unsure"', ", best.score", "the task asks for one word"),
    ('return "negative"', "No request was sent"),
    ('best.label.lower() if best.score >= 0.8 else "unsure"', '"negative"', "the other label"),
    ("return ", "", "Did you forget `return`"),
    ("return solved(client, text) and solved(client, text)", "You sent 2 requests"),
    """
    # This task wants `client.text_classification
    return zero_shot(client, text, ["positive", "negative"])[0].label""",
    ("(text,", "(text.upper(),", "not the one your function was given"),
]
ROUTE_WRONG = [
    ("name = solved(client, text, desks)\ndesks.clear()\nreturn name", "changed `desks`"),
    (
        "list(desks)",
        '["payments and invoices", "passwords and profiles", "something is broken"]',
        "all the keys of `desks` were expected",
    ),
    (
        "list(desks)",
        '[f"{description}: {name}" for description, name in desks.items()]',
        "all the keys of `desks` were expected",
    ),
    (
        "list(desks)",
        'list(desks), hypothesis_template="This is a message to a help desk."',
        "has no `{}`",
    ),
    ("list(desks)", "desks", "You sent a dictionary"),
    ("desks[answer[0].label]", 'list(desks.values())[0] + "?"', "The best label was"),
    (hides("client, text, desks", '"general"'), "refused the request with 503"),
    (
        ("list(desks)", "list(desks.values())"),
        ("desks[answer[0].label]", "answer[0].label"),
        "You sent the names of the desks",
    ),
    ("list(desks)", '", ".join(desks)', "as one string"),
    ("desks[answer[0].label]", "answer[0].label", "You returned the description"),
    ("[0]", "[-1]", "*lowest* score"),
    ("candidate_labels", "labels", "called `candidate_labels` now"),
    ("[0].label", '["labels"][0]', "before November 2025"),
    ("list(desks)", "desks.keys()", "`list(…)` makes one"),
    """
    # All labels go into one
    return desks[max(desks, key=lambda label: zero_shot(client, text, [label])[0].score)]""",
    ("desks[answer[0].label]", '"sales"', "The best label was"),
    ('return "billing"', "No request was sent"),
    ("desks[answer[0].label]", "answer", "the name of a desk"),
    ("list(desks)", "list(desks)[:2]", "all the keys of `desks` were expected"),
    ("models.zero_shot", "models.sentiment", "doesn't support task"),
]
NAME = "text[entity.start : entity.end]"
ENTITIES_WRONG = [
    ("return solved(client, text, 0.9)", "a number of your own"),
    (
        'found = solved(client, text, least)\nreturn sorted(found) if "Oslo" in text else found',
        "not in the order of the text",
    ),
    ("yield from solved(client, text, least)", "a generator"),
    (("text[", "text.encode()["), ("end]", 'end].decode(errors="replace")'), "the pairs should be"),
    ("text[", "text.lower()[", "in small letters"),
    ("entity_group)", "entity_group, entity.score)", "should be a pair"),
    """
    # this task wants `dslim
    return client.token_classification(text, aggregation_strategy="simple")""",
    (hides("client, text, least", "[]"), "refused the request with 503"),
    (NAME, "entity.word", "You took `word`"),
    (NAME, 'entity.word.replace("##", "").capitalize()', "the pairs should be"),
    ("entity.entity_group", "entity.entity", "The kind is None"),
    (', aggregation_strategy="simple"', "", "no `aggregation_strategy`"),
    (('"simple"', '"none"'), ("entity.entity_group", "entity.entity"), "single tokens"),
    ("if entity.score >= least", "", "below `least`"),
    (">=", ">", "means `>=`"),
    (f"({NAME}, entity.entity_group)", NAME, "should be a pair"),
    (f"({NAME}, entity.entity_group)", f"(entity.entity_group, {NAME})", "the pairs should be"),
    ("return dict(solved(client, text, least))", "a list of pairs"),
    ('return [(word, "LOC") for word in text.split() if word[0].isupper()]', "No request was sent"),
    ("return solved(client, text, least) or None", "gives an empty list"),
    ("entity.end", "entity.end + 1", "the pairs should be"),
]
SHARE = "matrix.trace() / len(messages)"
EVALUATE_WRONG = [
    (", matrix", ", matrix / matrix.sum(axis=1, keepdims=True)", "fractions in the matrix"),
    (", matrix", ", np.diag(np.diag(matrix))", "Only the right answers"),
    """
    # no table of numbers
    said = [zero_shot(client, message["text"], labels)[0].label for message in messages]
    pairs = Counter((message["label"], label) for message, label in zip(messages, said))
    right = sum(count for (true, label), count in pairs.items() if true == label)
    return right / len(messages), pairs""",
    (", matrix", ", [[1], [1, 2], [3]]", "no table of numbers"),
    (SHARE, "None", "should be a number"),
    (SHARE, f"round({SHARE}, 2)", "Three of seven messages were right"),
    (SHARE, f'f"{{{SHARE}:.0%}}"', "should be a number"),
    """
    # changed `messages`
    result = solved(client, messages, labels)
    for message in messages:
        del message["label"]
    return result""",
    (
        ("answer = client", "try:\n            answer = client"),
        ("        matrix[", "        except Exception:\n            continue\n        matrix["),
        "refused the request with 503",
    ),
    (", matrix", ", matrix.T", "Rows and columns are exchanged"),
    (SHARE, "matrix.trace()", "how many were right"),
    (SHARE, f"100 * {SHARE}", "a percentage"),
    (SHARE, f"1 - {SHARE}", "share of wrong ones"),
    (", matrix", ", np.minimum(matrix, 1)", "`+= 1`"),
    (f"{SHARE}, matrix", "matrix", "two things"),
    ('message["text"]', "str(message)", "do not hold the messages' texts"),
    ('message["text"]', "message", "their labels included"),
    ("return solved(client, messages[:1], labels)", "you sent 1 requests"),
    ("return 1.0, np.eye(3)", "No request was sent"),
    (
        f"{SHARE}, matrix",
        "1.0, len(messages) / 3 * np.eye(3)",
        "Three of seven messages were right",
    ),
    ("candidate_labels=labels", "candidate_labels=labels[:2]", "the given labels"),
]
GUARD = " if label in labels else None"
CONTENT = "response.choices[0].message.content"
LABEL = f'json.loads({CONTENT})["label"]'
FORM = """response_format={
            "type": "json_schema",
            "json_schema": {"name": "desk", "schema": schema, "strict": True},
        },"""
CHOOSE_WRONG = [
    ("labels}", 'labels}, "why": {"type": "string"}', "also has the property `why`"),
    ('"type": "object",', "", "that the answer is an object"),
    ('"name": "desk", ', "", "has no `name`"),
    ('"enum": labels', '"enum": ", ".join(labels)', "the list of labels itself"),
    ('"enum": labels', '"enum": [*labels, "other"]', "the function was given"),
    ("max_tokens=30", "max_tokens=300", "this task allows 30"),
    ("max_tokens=30", "max_tokens=5", "cuts the JSON around the label"),
    ("label in labels", 'str(label) in " ".join(labels)', "a part of a label"),
    (
        LABEL,
        f"""re.search('"label": "([^"]*)"|$', {CONTENT} or "")[1]""",
        'so "account" was expected',
    ),
    (
        ("json.loads(", "eval("),
        ("(ValueError,", "(SyntaxError, NameError,"),
        'so "account" was expected',
    ),
    (f"label{GUARD}", "{one: one for one in labels}.get(label)", "a label in a list"),
    (
        'label = solved(client, text, labels)\nlabels.append("other")\nreturn label',
        "changed `labels`",
    ),
    (hides("client, text, labels", "None"), "refused the request with 503"),
    (
        ("try:", "if True:"),
        ("    except (ValueError, KeyError, TypeError):\n        return None\n", ""),
        (GUARD, ""),
        "half a JSON object",
    ),
    (GUARD, "", "not one of the labels"),
    (", TypeError", "", "`content` was None"),
    ("return solved(client, text, labels) or labels[0]", "half a JSON object"),
    (LABEL, f'next((one for one in labels if one in ({CONTENT} or "")), None)', "not JSON at all"),
    ((LABEL, CONTENT), (GUARD, ""), "It is JSON"),
    ((LABEL, f"json.loads({CONTENT})"), (GUARD, ""), "the parsed object"),
    (FORM, "", "no `response_format`"),
    (FORM, 'response_format={"type": "json_object"},', 'the type "json_schema"'),
    ('{"name": "desk", "schema": schema, "strict": True}', "schema", "one level further in"),
    (', "enum": labels', "", "any string"),
    ('"enum": labels', '"enum": ["yes", "no"]', "the function was given"),
    ('"required": ["label"],', "", "`required`"),
    ("max_tokens=30,", "", "no `max_tokens`"),
    """
    # asking again is another decision
    return solved(client, text, labels) or solved(client, text, labels)""",
    ("return zero_shot(client, text, labels)[0].label", "This task wants `client.chat_completion"),
    ('return "account"', "No request was sent"),
]
RIGHT = [
    """
    def mood(client, text):
        found = client.text_classification(text=text, model=models["sentiment"].id)
        element = max(found, key=lambda element: element["score"])
        if element["score"] < 0.8:
            return "unsure"
        return {"POSITIVE": "positive", "NEGATIVE": "negative"}[element["label"]]""",
    """
    def mood(client, text):
        found = client.text_classification(text, model=models.sentiment, top_k=1)
        return next((one.label.casefold() for one in found if one.score >= 0.8), "unsure")""",
    (
        ROUTE,
        ("list(desks),", 'sorted(desks), hypothesis_template="This message is about {}.",'),
        (".label", '["label"]'),
    ),
    """
    def route(client, text, desks):
        first, *_ = client.zero_shot_classification(
            text=text, candidate_labels=[*desks], model=models.zero_shot, multi_label=False
        )
        return desks.get(first["label"])""",
    """
    def entities(client, text, least):
        found = client.token_classification(text, model=models.ner, aggregation_strategy="max")
        sure = filter(lambda entity: not entity["score"] < least, found)
        return [[text[slice(one["start"], one["end"])], one["entity_group"]] for one in sure]""",
    (EVALUATE, f"{SHARE}, matrix", f"float({SHARE}), matrix.tolist()"),
    """
    def evaluate(client, messages, labels):
        ask = functools.partial(client.zero_shot_classification, model=models.zero_shot)
        said = [ask(message["text"], labels)[0]["label"] for message in messages]
        true = [message["label"] for message in messages]
        return Fraction(sum(map(str.__eq__, true, said)), len(true)), [
            [sum(pair == (t, s) for pair in zip(true, said)) for s in labels] for t in labels
        ]""",
    """
    def choose(client, text, labels):
        schema = {
            "type": "object",
            "properties": {"label": {"enum": list(labels)}},
            "required": ["label"],
        }
        response = client.chat.completions.create(
            model=models.chat,
            messages=[{"role": "user", "content": f"{text}\\n{labels}"}],
            max_tokens=20,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "choice", "schema": schema},
            },
        )
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            label = json.loads(response.choices[0].message.content).get("label")
            return label if label in labels else None""",
]
MISTAKES = (MOOD_WRONG, ROUTE_WRONG, ENTITIES_WRONG, EVALUATE_WRONG, CHOOSE_WRONG)


class TestExercise(CheckCases):
    tasks, quiz = TASKS[:5], QUIZ
    wrong, right = exercise(
        "06_classification_and_ner", tasks, MISTAKES, RIGHT, zero_shot=zero_shot
    )
    draws_right, draws_wrong = 5, 3
