"""Exercise 09: the stub fails, the solution passes, each mistake gets the message about it."""

from check_cases import CheckCases
from pydantic import create_model
from wrong import exercise, hides

from helpers.exercises.lessons.lesson_09 import TASKS

TRIAGE, NEAREST, NOTE, FINISH, QUIZ = TASKS
LOOSE = create_model("Loose", urgency=(str, ...), summary=(str, ...))

MOOD = "client.text_classification(text, model=models.sentiment_three)"
DESK, WRITTEN = "desks[routing[0].label]", '["payments and invoices", "passwords", "faults"]'
TRIAGE_WRONG = [
    (".lower()", "", "spelt as this model likes"),
    (DESK, "routing[0].label", "`desk` is the description"),
    ("sentiment_three", "sentiment", "Nobody asked `models.sentiment_three`"),
    f"""
    # Nobody asked `models.zero_shot`
    return {{"desk": "billing", "sentiment": {MOOD}[0].label.lower()}}""",
    (("list(desks)", "list(desks.values())"), (DESK, "routing[0].label"), "the keys of `desks`"),
    ("routing[0]", "routing[-1]", "The best comes first"),
    (("list(desks)", '", ".join(desks)'), (DESK, "routing[0].label"), "as one string"),
    ("return tuple(solved(client, text, desks).values())", "asks for a dictionary"),
    ("mood =", f"{MOOD}\n    mood =", "You sent 3 requests"),
    ('return {"desk": "billing", "sentiment": "neutral"}', "No request was sent"),
    ("mood[0].label.lower()", '"happy"', "The likeliest sentiment"),
    ("return ", "", "Did you forget `return`"),
    ("return solved(client, text[:10], desks)", "does not hold the text"),
    ("return {", 'return {"text": text, ', "should have the keys"),
    ("return solved(own, text, desks)", "a client of its own"),
    (
        hides("client, text, desks", '{"desk": "general", "sentiment": "neutral"}'),
        "as if it had an answer",
    ),
    (DESK, "desks.pop(routing[0].label)", "changed `desks`"),
    (("list(desks)", WRITTEN), (DESK, "desks.get(routing[0].label)"), "the keys of `desks`"),
    (f'return solved(client, text, desks) | {{"sentiment": {MOOD}[0]}}', "You sent 3 requests"),
    ("mood[0].label.lower()", "mood[0]", "asks for its label"),
    ("return", "yield", "a generator"),
]

THRESHOLD, COSINES = (
    " if scores[best] >= least else None",
    "index @ (vector / np.linalg.norm(vector))",
)
GIVEN = "client, text, ids, index, least"
NEAREST_WRONG = [
    ("(vector / np.linalg.norm(vector))", "vector", "below `least`"),
    (THRESHOLD, "", "Something is always nearest"),
    (("argmax", "argmin"), (THRESHOLD, ""), "another entry than the nearest"),
    (f"ids[best]{THRESHOLD}", "best", "the row's number"),
    (
        "vector = client",
        "for one in ids:\n"
        "        client.feature_extraction([one], model=models.embedding)\n"
        "    vector = client",
        "You sent 4 requests",
    ),
    ("return ids[0]", "No request went to"),
    ("[text]", "[text.upper()]", "not the one your function was given"),
    ("return ", "", "Did you forget `return`"),
    (("int(scores.argmax())", "0"), (THRESHOLD, ""), "another entry than the nearest"),
    (">= least", ">= 0.8", "fixed in your code"),
    (">=", ">", "at least"),
    (
        "int(scores.argmax())",
        "next((i for i, score in enumerate(scores) if score >= least), 0)",
        "the first one that is large enough",
    ),
    (COSINES, f"np.abs({COSINES})", "another entry than the nearest"),
    (
        (COSINES, "np.linalg.norm(index - vector, axis=1)"),
        ("argmax", "argmin"),
        (">=", "<="),
        "you returned None",
    ),
    f"""
    # return None
    found = solved({GIVEN})
    if found is None:
        raise ValueError("nothing is near")
    return found""",
    ("index *= 2\nreturn solved(client, text, ids, index / 2, least)", "changed `index`"),
    (hides(GIVEN, "None"), "as if it had an answer"),
    ("client.", "own.", "a client of its own"),
    ("return ids[best]", "return (ids[best], 0.9)", "asks for an id"),
]

CONTENT, READ = "response.choices[0].message.content", "Note.model_validate_json("
HIGH = 'Note(urgency="high", summary="cannot sign in")'
NOTE_WRONG = [
    ("except ValidationError", "except KeyError", "Return None then: a person fills in the note"),
    (
        (READ, "Note.model_construct(**json.loads("),
        ('or "")', 'or ""))'),
        ("ValidationError", "ValueError"),
        "none of the three",
    ),
    ("Note.model_json", "Loose.model_json", "lets `urgency` be any text"),
    ("response_format=form,", "", "has no `response_format`"),
    ("=form", '={"type": "json_object"}', "`response_format` should be"),
    ("max_tokens=60,", "", "60 tokens at most"),
    ("return solved(client, text) or solved(client, text)", "You sent 2 requests"),
    ('or "")', f'or "") and {CONTENT}', "You returned a text"),
    ('or "")', 'or "").model_dump()', "You returned a dictionary"),
    (f"return {HIGH}", "No request was sent"),
    ('or "")', f'or "") and {HIGH}', "and your note says"),
    ("models.chat", "models.tools", "Take the id from the registry"),
    (": text", ': "A message to a help desk."', "not in the request's user message"),
    ("return Note", "Note", "Did you forget `return`"),
    (hides("client, text", "None"), "as if it had an answer"),
    ("client.", "InferenceClient().", "a client of its own"),
    (
        (READ, "Note(**json.loads("),
        ('or "")', 'or ""))'),
        ("ValidationError", "json.JSONDecodeError"),
        "none of the three",
    ),
    ("return None", 'return Note(urgency="normal", summary=text)', "Return None: a person"),
    ("return None", "return False", "Return None: a person"),
    (
        ("try:", f'if ({CONTENT} or "").endswith("}}"):'),
        ("except ValidationError", "else"),
        "none of the three",
    ),
]

ONCE = "policy.call(stage, text)"
FINISH_WRONG = [
    (f"return [{ONCE} for text in texts], {{}}", "others are lost with it"),
    f"""
    # One failure must not stop the others
    results, failed = [], {{}}
    try:
        for text in texts:
            results.append({ONCE})
    except Exception as error:
        failed[text] = error
    return results, failed""",
    (ONCE, "stage(text)", "was not tried again"),
    f"""
    # was sent 3 times
    results, failed = [], {{}}
    for text in texts:
        for _ in range(3):
            try:
                results.append({ONCE})
                break
            except Exception as error:
                failed[text] = error
        else:
            results.append(None)
    return results, failed""",
    ("results.append(None)", "pass", "one item for each text"),
    ("= error", "= str(error)", "the exception itself"),
    ("return results, failed", "return results", "asks for two things"),
    ("failed[text] = error", "pass", "from each text that failed to its exception"),
    ("return [None] * len(texts), {}", "No request was sent"),
    ("return ", "", "Did you forget `return`"),
    ("policy.call", "RetryPolicy(sleep=lambda seconds: None).call", "Use the argument `policy`"),
    ("return results", "texts.clear()\n    return results", "changed the caller's list"),
    ("except Exception", "except HfHubHTTPError", "`except Exception as error`"),
    (
        "as error:",
        "as error:\n            if error.response.status_code != 422:\n                raise",
        "`except Exception as error`",
    ),
    ("= error", "= error\n            break", "never sent"),
    ("failed[text]", "failed[texts.index(text)]", "from each text that failed"),
    ("append(None)", "append(error)", "should hold None"),
    ("in texts:", "in texts[::-1]:", "The "),  # which of two things is said depends on the lot
]

RIGHT = [
    """
    def triage(client, text, desks):
        moods = client.text_classification(text=text, model=models.sentiment_three)
        mood = max(moods, key=lambda one: one.score)
        labels = client.zero_shot_classification(text, sorted(desks), model=models.zero_shot)
        best = max(labels, key=lambda one: one["score"])
        return dict(desk=desks[best["label"]], sentiment=mood["label"].casefold())""",
    """
    def triage(client, text, desks):
        route, labels = client.zero_shot_classification, list(desks)
        with ThreadPoolExecutor(2) as pool:
            mood = pool.submit(client.text_classification, text, model=models.sentiment_three)
            desk = pool.submit(route, text, candidate_labels=labels, model=models.zero_shot)
        label = mood.result()[0].label.lower()
        return {"desk": desks[desk.result()[0].label], "sentiment": label}""",
    """
    def nearest(client, text, ids, index, least):
        vector = client.feature_extraction(text, model=models.embedding, normalize=True)
        vector = np.asarray(vector).reshape(-1)
        scores = {one: row @ vector / np.linalg.norm(vector) for one, row in zip(ids, index)}
        best = max(scores, key=scores.get)
        return None if scores[best] < least else best""",
    (
        NOTE,
        (
            "Note.model_json_schema()",
            """{
            "type": "object",
            "properties": {
                "urgency": {"type": "string", "enum": ["low", "normal", "high"]},
                "summary": {"type": "string"},
            },
            "required": ["urgency", "summary"],
            "additionalProperties": False,
        }""",
        ),
        ("max_tokens=60", "max_tokens=50"),
        (READ, "Note(**json.loads("),
        ('or "")', 'or ""))'),
        ("except ValidationError", "except (json.JSONDecodeError, ValidationError)"),
    ),
    (
        NOTE,
        ("response_format=form", "response_format=form, stream=True"),
        (
            f'{CONTENT} or ""',
            '"".join(chunk.choices[0].delta.content or "" for chunk in response if chunk.choices)',
        ),
    ),
    f"""
    def finish(stage, texts, policy):
        failed = {{}}

        def one(text):
            try:
                return {ONCE}
            except Exception as error:
                failed[text] = error

        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(one, texts)), failed""",
    """
    def finish(stage, texts, policy):
        results, failed = [None] * len(texts), {}
        for i, text in enumerate(texts):
            try:
                results[i] = policy.call(lambda: stage(text))
            except Exception as error:
                failed[text] = error
        return results, failed""",
]


class TestExercise(CheckCases):
    tasks, quiz = TASKS[:4], QUIZ
    mistakes = (TRIAGE_WRONG, NEAREST_WRONG, NOTE_WRONG, FINISH_WRONG)
    wrong, right = exercise("09_support_desk", tasks, mistakes, RIGHT, Loose=LOOSE)
    draws_right, draws_wrong = 5, 3
