"""Checks for exercise 09: a support desk."""

import random
from collections import Counter

import numpy as np
from huggingface_hub.errors import HfHubHTTPError

from helpers.exercises import kit
from helpers.exercises.kit import Raised, Spy, answer, describe, error, expect, reply, spy, words
from helpers.exercises.lessons.lesson_06_calls import asked_schema, run, scored
from helpers.models import models
from helpers.retry import RetryPolicy

SAY = kit.read_messages(__file__)
ALL = SAY[""]


def reader():
    return kit.new_client("hf-inference")


def by_model(answers: dict):
    """Routes for a spy: {model: what it answers}."""

    def routes(entry):
        found = [step for model, step in answers.items() if model in entry.path]
        return found[0] if found and entry.method == "POST" else None

    return routes


def asked(service: Spy, model: str) -> list[dict]:
    """The bodies of the requests that went to `model`."""
    return [entry.json for entry in service.sent if f"/models/{model}" in entry.path]


# ---- task 1 ----
def check_triage(triage) -> str:
    say = SAY["triage"]
    for mood in random.sample(["Positive", "neutral", "NEGATIVE"], 3):
        desks = {f"matters of {words(1)}": f"desk {i}" for i in random.sample(range(10, 99), 3)}
        text, given, ranked = kit.new_text(), dict(desks), random.sample(list(desks), 3)
        moods = answer([scored((mood, 0.9), ("other", 0.1))])
        labels = answer(scored(*zip(ranked, (0.7, 0.2, 0.1), strict=True)))
        answers = {models.sentiment_three: moods, models.zero_shot: labels}
        with spy(routes=by_model(answers)) as service:
            value = kit.call_whole(service, triage, reader(), text, given)
        routing = asked(service, models.zero_shot)
        expect(service.sent.entries, say["nothing_sent"])
        expect(asked(service, models.sentiment_three), say["no_sentiment"])
        expect(routing, say["no_routing"])
        expect(len(service.sent) == 2, say["many_requests"], sent=len(service.sent))
        expect(all(entry.json.get("inputs") == text for entry in service.sent), say["other_text"])
        kit.expect_given_client(service)
        labels = (routing[0].get("parameters") or {}).get("candidate_labels")
        expect(not isinstance(labels, str), say["one_string"])
        expect(sorted(labels or []) == sorted(desks), say["other_labels"])

        expect(value is not None, ALL["nothing"])
        expect(isinstance(value, dict), say["no_dictionary"], what=describe(value))
        keys = sorted(map(str, value))
        expect(keys == ["desk", "sentiment"], say["other_keys"], keys=keys)
        best, desk, said = ranked[0], value["desk"], value["sentiment"]
        expect(desk not in list(desks), say["description"])
        expect(desk == desks[best], say["other_desk"], best=best, right=desks[best], desk=desk)
        expect(isinstance(said, str), say["no_label"], what=describe(said))
        expect(said != mood or mood.islower(), say["spelling"], mood=mood)
        expect(said == mood.lower(), say["other_sentiment"], mood=mood, said=said)
        kit.expect_unchanged(desks=(desks, given))
    kit.expect_refusal_through(triage, reader(), kit.new_text(), dict(desks))
    return say["right"]


# ---- task 2 ----
def unit(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32) / np.linalg.norm(numbers)


NEAR = [  # the text's vector, `least`, the nearest of three rows or None; the rows are the axes
    (unit(0.1, 0.9, 0.2), 0.8, 1),
    (unit(0.1, 0.2, 0.9) * 5, 0.8, 2),
    (unit(0.9, 0.1, 0), 0.98, 0),
    (unit(0.6, 0.75, 0.55), 0.4, 1),
    (unit(-0.9, 0.3, 0.2), 0.25, 1),
    (unit(0, 1, 0), 1.0, 1),
    (unit(1, 1, 1), 0.8, None),
    (unit(1, 1, 1) * 5, 0.8, None),
    (unit(0.1, 0.9, 0.2), 0.98, None),
]


def check_nearest(nearest) -> str:
    say, index = SAY["nearest"], np.eye(3, dtype=np.float32)
    ids = [f"entry-{random.randrange(10**6)}" for _ in index]
    for vector, least, row in NEAR:
        text, given = kit.new_text(), index.copy()
        with spy(routes=by_model({models.embedding: answer([vector.tolist()])})) as service:
            try:
                value = kit.call_whole(service, nearest, reader(), text, list(ids), given, least)
            except Raised as raised:
                expect(row is not None or not service.sent.entries, say["raised"], raised=raised)
                raise
        bodies = asked(service, models.embedding)
        expect(bodies, say["nothing_sent"])
        expect(len(service.sent) == 1, say["many_requests"], sent=len(service.sent))
        expect(bodies[0].get("inputs") in (text, [text]), say["other_text"])
        kit.expect_given_client(service)
        best = float((index @ (vector / np.linalg.norm(vector))).max())
        if row is None:
            expect(value is None, say["not_near"], best=best, least=least, value=value)
        else:
            expect(value is not None or best > least, say["exactly"], best=best)
            expect(value is not None, say["near"], best=best, least=least)
            expect(not isinstance(value, (int, np.integer)), say["row"])
            expect(isinstance(value, str), say["no_id"], what=describe(value))
            expect(value == ids[row], say["other_entry"])
        kit.expect_unchanged(index=(index, given))
    kit.expect_refusal_through(nearest, reader(), kit.new_text(), list(ids), index.copy(), 0.8)
    return "one request, the nearest entry, and None where the nearest is not near."


# ---- task 3 ----
def check_note(note) -> str:
    say = SAY["note"]
    for answered in kit.read_data(__file__)["notes"]:
        said, wanted, why = answered["text"], answered.get("fields"), answered.get("why")
        text = kit.new_text()
        with spy(reply(said)) as service:
            try:
                value, bodies = run(note, service, "chat_completion", models.chat, text)
            except Raised as raised:
                expect(not why, say["raised"], why=why, raised=raised)
                raise
        expect(len(bodies) == 1, say["many_requests"], sent=len(bodies))
        schema = asked_schema(bodies[0], text)
        expect((bodies[0].get("max_tokens") or 61) <= 60, say["no_limit"])
        expect({"urgency", "summary"} <= set(schema.get("required") or []), say["not_required"])
        urgency = (schema.get("properties") or {}).get("urgency", {})
        expect(sorted(urgency.get("enum") or []) == ["high", "low", "normal"], say["any_urgency"])
        if wanted is None:
            expect(value is None, say["no_none"], why=why, what=describe(value))
            continue
        expect(value is not None, f"{ALL['nothing']} A good answer must not become None.")
        fields = value.model_dump() if hasattr(value, "model_dump") else None
        expect(fields is not None, say["no_note"], what=describe(value))
        expect(fields == wanted, say["other_note"], said=said, fields=fields)
    kit.expect_refusal_through(note, kit.new_client(), kit.new_text())
    return say["right"]


# ---- task 4 ----
class Messages:
    """Six messages, as routes for a spy: one is refused for good, one gets an answer that its stage
    cannot read, one fails twice with 503. Never the last: something comes after each failure."""

    def __init__(self):
        self.names = {text: f"desk {random.randrange(10**6)}" for text in kit.texts_about(6)}
        self.texts = list(self.names)
        self.refused, self.empty, self.unlucky = random.sample(self.texts[:-1], 3)
        self.seen = Counter()

    def __call__(self, entry):
        body = entry.json if entry.method == "POST" and isinstance(entry.json, dict) else {}
        text = body.get("inputs")
        if text not in self.names:
            return None
        self.seen[text] += 1
        if text == self.refused:
            return error(422)
        if text == self.empty:
            return answer([[]])
        if text == self.unlucky and self.seen[text] <= 2:
            return error(503)
        return answer([scored((self.names[text], 0.9))])


def check_finish(finish) -> str:
    say, messages, waited = SAY["finish"], Messages(), []
    policy = RetryPolicy(clock=lambda: sum(waited), sleep=waited.append)  # waits in no time
    given = list(messages.texts)

    def stage(text):
        return reader().text_classification(text, model=models.sentiment_three)[0].label

    with spy(routes=messages) as service:
        try:
            value = kit.call_whole(service, finish, stage, given, policy)
        except Raised as raised:
            expect(not isinstance(raised.error, HfHubHTTPError), say["raised"], raised=raised)
            expect(not messages.seen[messages.empty], say["raised_own"], raised=raised)
            raise
    expect(service.sent.entries, say["nothing_sent"])
    seen = messages.seen
    late = len(messages.texts) - len(seen)
    expect(not late, say["never_sent"], late=late)
    unlucky, refused = seen.pop(messages.unlucky), seen.pop(messages.refused)
    expect(unlucky != 1, say["no_policy"])
    expect(refused == 1, say["refused_again"], sent=refused)
    expect(unlucky == 3, say["two_loops"], sent=unlucky)
    expect(sum(waited) > 0, say["other_policy"])
    expect(max(seen.values()) == 1, say["sent_again"])

    lost = {messages.refused, messages.empty}
    expect(value is not None, ALL["nothing"])
    expect(isinstance(value, tuple) and len(value) == 2, say["no_pair"], what=describe(value))
    results, failed = value
    expect(isinstance(results, list) and len(results) == len(messages.texts), say["left_out"])
    by_text = dict(zip(messages.texts, results, strict=True))
    expect(all(by_text[text] is None for text in lost), say["no_none"])
    expect(by_text == messages.names | dict.fromkeys(lost), say["other_order"])
    expect(isinstance(failed, dict) and set(failed) == lost, say["other_failed"])
    expect(isinstance(failed[messages.refused], HfHubHTTPError), say["no_exception"])
    expect(isinstance(failed[messages.empty], IndexError), say["no_exception"])
    expect(given == messages.texts, say["changed"])
    return say["right"]


TASKS = kit.read_tasks(__file__, check_triage, check_nearest, check_note, check_finish)
