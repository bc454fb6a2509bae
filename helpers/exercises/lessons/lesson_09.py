"""Checks for exercise 09: a support desk."""

import json
import random

import numpy as np
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from helpers.exercises.kit import (
    GIVEN,
    Raised,
    answer,
    call_whole,
    describe,
    error,
    expect,
    expect_given_client,
    expect_refusal_through,
    read_tasks,
    reply,
    spy,
    words,
)
from helpers.exercises.lessons.lesson_05 import texts_about
from helpers.models import models
from helpers.retry import RetryPolicy

RETURN_IT = "Your function returns nothing (None). Did you forget `return`?"


def reader() -> InferenceClient:
    """The client for the small models that a function is given."""
    return InferenceClient(provider="hf-inference", headers=GIVEN)


def writer() -> InferenceClient:
    """The client for the chat model that a function is given."""
    return InferenceClient(headers=GIVEN)


def scored(*pairs: tuple[str, float]) -> list[dict]:
    return [{"label": label, "score": score} for label, score in pairs]


def asked(service, model: str) -> list[dict]:
    """The bodies of the requests that went to `model`."""
    return [entry.json for entry in service.sent if f"/models/{model}" in entry.path]


# ---- task 1 --------------------------------------------------------------------------------------------------------


def check_triage(triage) -> str:
    for mood in random.sample(["Positive", "neutral", "NEGATIVE"], 3):
        desks = {f"matters of {words(1)}": f"desk {i}" for i in random.sample(range(10, 99), 3)}
        text, given, (best, *rest) = texts_about(1)[0], dict(desks), random.sample(list(desks), 3)
        moods = answer([scored((mood, 0.9), ("other", 0.1))])
        labels = answer(scored((best, 0.7), (rest[0], 0.2), (rest[1], 0.1)))

        def routes(entry):
            if entry.method == "GET":
                return None
            return (
                moods
                if models.sentiment_three in entry.path
                else labels
                if models.zero_shot in entry.path
                else None
            )

        with spy(routes=routes) as service:
            value = call_whole(service, triage, reader(), text, given)
        expect(
            service.sent.entries,
            "No request was sent. Ask `models.sentiment_three` for the sentiment and"
            " `models.zero_shot` for the desk.",
        )
        expect(
            asked(service, models.sentiment_three),
            "Nobody asked `models.sentiment_three`, the model that knows neutral messages.",
        )
        expect(asked(service, models.zero_shot), "Nobody asked `models.zero_shot` for the desk.")
        expect(
            len(service.sent) == 2,
            f"You sent {len(service.sent)} requests for one message. Two are enough: one for the"
            " sentiment, one for the desk.",
        )
        expect(
            all(entry.json.get("inputs") == text for entry in service.sent),
            "A request does not hold the text that your function was given.",
        )
        expect_given_client(service)
        sent = (asked(service, models.zero_shot)[0].get("parameters") or {}).get("candidate_labels")
        expect(
            not isinstance(sent, str),
            "You sent the labels as one string, which the service cuts at the commas. Pass a list.",
        )
        expect(
            sorted(sent or []) == sorted(desks),
            "The labels in the request should be the descriptions, the keys of `desks`:"
            " `list(desks)`.",
        )
        expect(value is not None, RETURN_IT)
        expect(
            isinstance(value, dict),
            f"You returned {describe(value)}; the task asks for a dictionary with `desk` and"
            " `sentiment`.",
        )
        expect(
            set(value) == {"desk", "sentiment"},
            "The dictionary should have the keys `desk` and `sentiment`; yours has"
            f" {sorted(map(str, value))}.",
        )
        expect(
            value["desk"] not in list(desks),
            "`desk` is the description. The caller wants the name: `desks[…]`.",
        )
        expect(
            value["desk"] == desks[best],
            f'The best label was "{best}", so `desk` is "{desks[best]}"; yours is'
            f" {value['desk']!r}. The best comes first.",
        )
        expect(
            isinstance(value["sentiment"], str),
            f"`sentiment` is {describe(value['sentiment'])}; the task asks for its label,"
            " `answer[0].label`, in lower case.",
        )
        expect(
            value["sentiment"] != mood or mood.islower(),
            f'`sentiment` is "{mood}", spelt as this model likes. The task asks for lower case, so'
            " that another model can take its place.",
        )
        expect(
            value["sentiment"] == mood.lower(),
            f'The likeliest sentiment was "{mood}"; yours is {value["sentiment"]!r}. It is'
            " `answer[0].label`, in lower case.",
        )
        expect(
            given == desks,
            "Your function changed `desks`, which belongs to the caller: the next message would"
            " meet another dictionary. `desks[…]` reads without changing.",
        )
    expect_refusal_through(triage, reader(), texts_about(1)[0], dict(desks))
    return "two requests, and names that do not depend on how a model spells or describes them."


# ---- task 2 --------------------------------------------------------------------------------------------------------


def check_nearest(nearest) -> str:
    def unit(*numbers):
        return np.array(numbers, dtype=np.float32) / np.linalg.norm(numbers)

    index = np.stack([unit(1, 0, 0), unit(0, 1, 0), unit(0, 0, 1)])
    ids = [f"entry-{random.randrange(10**6)}" for _ in range(3)]
    cases = [
        (unit(0.1, 0.9, 0.2), 0.8, ids[1]),
        (unit(0.1, 0.2, 0.9) * 5, 0.8, ids[2]),
        (unit(0.9, 0.1, 0), 0.98, ids[0]),
        (unit(0.6, 0.75, 0.55), 0.4, ids[1]),
        (unit(-0.9, 0.3, 0.2), 0.25, ids[1]),
        (unit(0, 1, 0), 1.0, ids[1]),
        (unit(1, 1, 1), 0.8, None),
        (unit(1, 1, 1) * 5, 0.8, None),
        (unit(0.1, 0.9, 0.2), 0.98, None),
    ]
    for vector, least, wanted in cases:
        text, given = texts_about(1)[0], index.copy()
        batch = answer([vector.tolist()])
        with spy(
            routes=lambda entry: (
                batch if entry.method == "POST" and models.embedding in entry.path else None
            )
        ) as service:
            try:
                value = call_whole(service, nearest, reader(), text, list(ids), given, least)
            except Raised as raised:
                expect(
                    wanted is not None
                    or not service.sent.entries
                    or isinstance(raised.error, NotImplementedError),
                    "No entry was near enough, and your function raised an error. "
                    f"That happens every day: return None. {raised}",
                )
                raise
        bodies = asked(service, models.embedding)
        expect(
            bodies, "No request went to `models.embedding`. Call `client.feature_extraction(…)`."
        )
        expect(
            len(service.sent) == 1,
            f"You sent {len(service.sent)} requests. The rows of `index` are embedded already; only"
            " the text is new.",
        )
        expect(
            bodies[0].get("inputs") in (text, [text]),
            "The text in the request is not the one your function was given.",
        )
        expect_given_client(service)
        close = float((index @ (vector / np.linalg.norm(vector))).max())
        if wanted is None:
            expect(
                value is None,
                f"The best cosine similarity was {close:.2f}, below `least`, {least:g}, and you"
                f" returned {value!r}. Something is always nearest; return None. (And is your"
                " vector of length 1? Only then is the dot product a cosine.)",
            )
        else:
            expect(
                value is not None or close > least,
                f"The best similarity was {close:g}, exactly `least`, and you returned None. The"
                " task says *at least*: `>=`.",
            )
            expect(
                value is not None,
                f"The best similarity was {close:.2f}, above `least`, {least:g}, and you returned"
                " None. Did you forget `return`? Or is the number fixed in your code?",
            )
            expect(
                not isinstance(value, (int, np.integer)),
                "You returned the row's number. The caller wants the id: `ids[…]`.",
            )
            expect(
                isinstance(value, str), f"You returned {describe(value)}; the task asks for an id."
            )
            expect(
                value == wanted,
                "You returned another entry than the nearest. It has the largest dot product, which"
                " the first one that is large enough need not have: `argmax`, or the last of"
                " `argsort`.",
            )
        expect(
            (given == index).all(),
            "Your function changed `index`, which the caller needs for the next text. Calculate"
            " with new arrays: `index @ vector`, not `index *= …`.",
        )
    expect_refusal_through(nearest, reader(), texts_about(1)[0], list(ids), index.copy(), 0.8)
    return "one request, the nearest entry, and None where the nearest is not near."


# ---- task 3 --------------------------------------------------------------------------------------------------------


def check_note(note) -> str:
    good = {"urgency": "high", "summary": "cannot sign in"}
    cases = [
        (json.dumps(good), good, ""),
        (json.dumps(good | {"urgency": "low"}, indent=1), good | {"urgency": "low"}, ""),
        (
            '{"urgency": "high", "summ',
            None,
            "cut off by `max_tokens`, so it was half a JSON object",
        ),
        (
            '{"urgency": "at once", "summary": "x"}',
            None,
            "an urgency that is none of the three; not every provider enforces a schema",
        ),
        ('{"urgency": "low"}', None, "without a `summary`"),
        ("This is urgent.", None, "no JSON at all"),
        ("", None, "empty: `content` was None"),
    ]
    for said, wanted, why in cases:
        text = texts_about(1)[0]
        with spy(reply(said)) as service:
            try:
                value = call_whole(service, note, writer(), text)
            except Raised as raised:
                expect(
                    not why,
                    f"The answer was {why}. {raised} Return None then: a person fills in the note.",
                )
                raise
        expect(service.sent.entries, "No request was sent. Call `client.chat_completion(…)`.")
        expect(
            len(service.sent) == 1,
            f"You sent {len(service.sent)} requests for one note. If the answer cannot be read,"
            " return None.",
        )
        body = service.sent.last.json
        expect(
            service.sent.last.path.endswith("/chat/completions"),
            "The note is written by a chat model: `client.chat_completion(…)`.",
        )
        expect_given_client(service)
        expect(
            str(body.get("model")).split(":")[0] == models.chat,
            f"You asked `{body.get('model')}`. Take the id from the registry: `models.chat`.",
        )
        expect(
            any(
                text in str(one.get("content"))
                for one in body.get("messages", [])
                if one.get("role") == "user"
            ),
            "The message is not in the request's user message.",
        )
        expect(
            body.get("max_tokens") is not None and body["max_tokens"] <= 60,
            "The task allows 60 tokens at most: pass `max_tokens=60`.",
        )
        form = body.get("response_format")
        expect(form, "The request has no `response_format`, so the model may write what it likes.")
        schema = (form.get("json_schema") or {}).get("schema") if isinstance(form, dict) else None
        expect(
            isinstance(schema, dict),
            '`response_format` should be `{"type": "json_schema", "json_schema": {"name": …,'
            ' "schema": …, "strict": True}}`.',
        )
        expect(
            {"urgency", "summary"} <= set(schema.get("required") or []),
            "Both fields belong in the schema's `required`. `Note.model_json_schema()` writes it"
            " for you.",
        )
        expect(
            sorted((schema.get("properties") or {}).get("urgency", {}).get("enum") or [])
            == ["high", "low", "normal"],
            "The schema lets `urgency` be any text. It allows three: low, normal, high.",
        )
        if wanted is None:
            expect(
                value is None,
                f"The answer was {why}, and you returned {describe(value)}. Return None: a person"
                " fills in the note.",
            )
        else:
            expect(value is not None, RETURN_IT + " A good answer must not become None.")
            fields = value.model_dump() if hasattr(value, "model_dump") else None
            expect(
                fields is not None,
                f"You returned {describe(value)}; the task asks for a `Note`:"
                " `Note.model_validate_json(…)`.",
            )
            expect(fields == wanted, f"The answer was {said!r}, and your note says {fields}.")
    expect_refusal_through(note, writer(), texts_about(1)[0])
    return "the schema leaves no choice, and what does not fit becomes None instead of a crash."


# ---- task 4 --------------------------------------------------------------------------------------------------------


def check_finish(finish) -> str:
    texts = texts_about(6)
    names = [f"desk {random.randrange(10**6)}" for _ in texts]
    refused, empty, troubled = random.sample(
        range(5), 3
    )  # never the last: something comes after each failure
    seen = dict.fromkeys(texts, 0)

    def routes(entry):
        text = (
            entry.json["inputs"]
            if entry.method == "POST" and isinstance(entry.json, dict)
            else None
        )
        if text not in seen:
            return None
        seen[text] += 1
        i = texts.index(text)
        if i == refused:
            return error(422)
        if i == empty:
            return answer([[]])
        if i == troubled and seen[text] <= 2:
            return error(503)
        return answer([scored((names[i], 0.9))])

    client = InferenceClient(provider="hf-inference")

    def stage(text):
        return client.text_classification(text, model=models.sentiment_three)[0].label

    given = list(texts)
    time = [0.0]  # a clock of its own: waiting takes no time
    policy = RetryPolicy(
        clock=lambda: time[0], sleep=lambda seconds: time.append(time.pop() + seconds)
    )
    with spy(routes=routes) as service:
        try:
            value = call_whole(service, finish, stage, given, policy)
        except Raised as raised:
            expect(
                not isinstance(raised.error, HfHubHTTPError),
                "One message failed for good, and your function raised its error. The others are"
                f" lost with it. {raised}",
            )
            expect(
                not seen[texts[empty]],
                "One answer was an empty list, so the stage itself failed, with an IndexError and"
                " not with one of the service's errors. Your function raised, and the others are"
                " lost with it. Whatever one message fails of, the rest goes on: `except Exception"
                f" as error`. {raised}",
            )
            raise
    expect(service.sent.entries, "No request was sent: your function never called `stage`.")
    late = [i for i, text in enumerate(texts) if not seen[text]]
    expect(
        not late,
        f"{len(late)} messages were never sent. One failure must not stop the others: put the `try`"
        " inside the loop.",
    )
    expect(
        seen[texts[troubled]] != 1,
        "A message failed with 503 and was not tried again. Call the stage through the policy:"
        " `policy.call(stage, text)`.",
    )
    expect(
        seen[texts[refused]] <= 1,
        f"The message that was refused with 422 was sent {seen[texts[refused]]} times. The policy"
        " knows what deserves another try: leave that to it.",
    )
    expect(
        seen[texts[troubled]] == 3,
        f"The message that failed twice was sent {seen[texts[troubled]]} times; with the policy"
        " alone it is three. Is there a second loop around it?",
    )
    expect(
        time[0] > 0,
        "Between the tries of the unlucky message, the policy that your function was given did not"
        " wait: another one did the work. Use the argument `policy`; it stands for the caller's"
        " quota.",
    )
    expect(
        max(count for i, count in enumerate(seen.values()) if i not in (troubled, refused)) == 1,
        "A message that went well was sent again. Each result is needed once.",
    )
    expect(value is not None, RETURN_IT)
    expect(
        isinstance(value, tuple) and len(value) == 2,
        f"You returned {describe(value)}; the task asks for two things, `results, failed`.",
    )
    results, failed = value
    expect(
        isinstance(results, list) and len(results) == len(texts),
        "`results` should be a list with one item for each text, None where it failed. Left out,"
        " nobody knows whose result is whose.",
    )
    lost = {texts[refused], texts[empty]}
    expect(
        results[refused] is None and results[empty] is None,
        "The place of a message that failed should hold None.",
    )
    expect(
        [r for r, t in zip(results, texts) if t not in lost]
        == [n for n, t in zip(names, texts) if t not in lost],
        "The results are not in the order of the texts.",
    )
    expect(
        isinstance(failed, dict) and set(failed) == lost,
        "`failed` should be a dictionary from each text that failed to its exception.",
    )
    expect(
        isinstance(failed[texts[refused]], HfHubHTTPError)
        and isinstance(failed[texts[empty]], IndexError),
        "`failed` should hold the exception itself, not a text: it has the response, and the"
        " response has the reason.",
    )
    expect(
        given == texts,
        "Your function changed the caller's list of texts. Leave what you are given as it is.",
    )
    return (
        "each message once, the unlucky one again, and those that failed for good kept with their"
        " reasons."
    )


# ---- the quiz ------------------------------------------------------------------------------------------------------


TASKS = read_tasks(__file__, check_triage, check_nearest, check_note, check_finish)
