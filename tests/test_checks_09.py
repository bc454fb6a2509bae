"""Every task of exercise 09: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import json
from typing import Literal

import numpy as np
import pytest
from check_cases import CheckCases
from pydantic import BaseModel, ValidationError

from helpers import models
from helpers.checks.lesson_09 import TASKS

TRIAGE, NEAREST, NOTE, FINISH, QUIZ = TASKS


def stub(*arguments):
    raise NotImplementedError("your code here")


# ---- task 1 --------------------------------------------------------------------------------------------------------


def mood_of(client, text, model=None):
    return client.text_classification(text, model=model or models.sentiment_three)[0].label


def desk_of(client, text, labels):
    return client.zero_shot_classification(text, candidate_labels=labels, model=models.zero_shot)


def triage(client, text, desks):
    return {"desk": desks[desk_of(client, text, list(desks))[0].label], "sentiment": mood_of(client, text).lower()}


def as_spelt(client, text, desks):
    return {"desk": desks[desk_of(client, text, list(desks))[0].label], "sentiment": mood_of(client, text)}


def the_description(client, text, desks):
    return {"desk": desk_of(client, text, list(desks))[0].label, "sentiment": mood_of(client, text).lower()}


def two_labels_only(client, text, desks):
    return {"desk": desks[desk_of(client, text, list(desks))[0].label], "sentiment": mood_of(client, text, models.sentiment).lower()}


def no_desk(client, text, desks):
    return {"desk": "billing", "sentiment": mood_of(client, text).lower()}


def the_names(client, text, desks):
    return {"desk": desk_of(client, text, list(desks.values()))[0].label, "sentiment": mood_of(client, text).lower()}


def the_last(client, text, desks):
    return {"desk": desks[desk_of(client, text, list(desks))[-1].label], "sentiment": mood_of(client, text).lower()}


def one_string(client, text, desks):
    return {"desk": desk_of(client, text, ", ".join(desks))[0].label, "sentiment": mood_of(client, text).lower()}


def a_pair(client, text, desks):
    return tuple(triage(client, text, desks).values())


def three_requests(client, text, desks):
    mood_of(client, text)
    return triage(client, text, desks)


def hard_coded(client, text, desks):
    return {"desk": "billing", "sentiment": "neutral"}


def asks_but_hard_codes(client, text, desks):
    return triage(client, text, desks) | {"sentiment": "happy"}


def forgets_return(client, text, desks):
    triage(client, text, desks)


def another_text(client, text, desks):
    return triage(client, text[:10], desks)


def more_keys(client, text, desks):
    return triage(client, text, desks) | {"text": text}


MISTAKES_1 = {
    stub: "still empty",
    as_spelt: "spelt as this model likes",
    the_description: "`desk` is the description",
    two_labels_only: "Nobody asked `models.sentiment_three`",
    no_desk: "Nobody asked `models.zero_shot`",
    the_names: "the keys of `desks`",
    the_last: "The best comes first",
    one_string: "as one string",
    a_pair: "asks for a dictionary",
    three_requests: "You sent 3 requests",
    hard_coded: "No request was sent",
    asks_but_hard_codes: "The likeliest sentiment",
    forgets_return: "Did you forget `return`",
    another_text: "does not hold the text",
    more_keys: "should have the keys",
}


# ---- task 2 --------------------------------------------------------------------------------------------------------


def embed(client, text):
    return client.feature_extraction([text], model=models.embedding)[0]


def nearest(client, text, ids, index, least):
    vector = embed(client, text)
    scores = index @ (vector / np.linalg.norm(vector))
    return ids[int(scores.argmax())] if scores.max() >= least else None


def not_of_length_1(client, text, ids, index, least):
    scores = index @ embed(client, text)
    return ids[int(scores.argmax())] if scores.max() >= least else None


def no_threshold(client, text, ids, index, least):
    return ids[int((index @ embed(client, text)).argmax())]


def farthest(client, text, ids, index, least):
    return ids[int((index @ embed(client, text)).argmin())]


def the_row(client, text, ids, index, least):
    return int((index @ embed(client, text)).argmax())


def embeds_all_again(client, text, ids, index, least):
    for one in ids:
        embed(client, one)
    return nearest(client, text, ids, index, least)


def no_request(client, text, ids, index, least):
    return ids[0]


def other_text(client, text, ids, index, least):
    return nearest(client, text.upper(), ids, index, least)


def always_none(client, text, ids, index, least):
    nearest(client, text, ids, index, least)


def asks_but_the_first(client, text, ids, index, least):
    embed(client, text)
    return ids[0]


MISTAKES_2 = {
    stub: "still empty",
    not_of_length_1: "below `least`",
    no_threshold: "Something is always nearest",
    farthest: "another entry than the nearest",
    the_row: "the row's number",
    embeds_all_again: "You sent 4 requests",
    no_request: "No request went to",
    other_text: "not the one your function was given",
    always_none: "Did you forget `return`",
    asks_but_the_first: "another entry than the nearest",
}


# ---- task 3 --------------------------------------------------------------------------------------------------------


class Note(BaseModel):
    urgency: Literal["low", "normal", "high"]
    summary: str


class Loose(BaseModel):
    urgency: str
    summary: str


def ask(client, text, schema=Note, **changes):
    form = {"type": "json_schema", "json_schema": {"name": "note", "schema": schema.model_json_schema(), "strict": True}}
    settings = {"model": models.chat, "max_tokens": 60, "response_format": form} | changes
    settings = {name: value for name, value in settings.items() if value is not None}
    return client.chat_completion([{"role": "user", "content": text}], **settings).choices[0].message.content


def read(said):
    try:
        return Note.model_validate_json(said or "")
    except ValidationError:
        return None


def note(client, text):
    return read(ask(client, text))


def crashes(client, text):
    return Note.model_validate_json(ask(client, text) or "")


def believes_json(client, text):
    try:
        return Note.model_construct(**json.loads(ask(client, text) or ""))
    except ValueError:
        return None


def any_urgency(client, text):
    return read(ask(client, text, schema=Loose))


def no_schema(client, text):
    return read(ask(client, text, response_format=None))


def json_object(client, text):
    return read(ask(client, text, response_format={"type": "json_object"}))


def no_limit(client, text):
    return read(ask(client, text, max_tokens=None))


def asks_again(client, text):
    return note(client, text) or note(client, text)


def the_text(client, text):
    said = ask(client, text)
    return said if read(said) else None


def a_dictionary(client, text):
    found = note(client, text)
    return found and found.model_dump()


def made_up(client, text):
    return Note(urgency="high", summary="cannot sign in")


def asks_but_made_up(client, text):
    return Note(urgency="high", summary="cannot sign in") if note(client, text) else None


def another_model(client, text):
    return read(ask(client, text, model=models.tools))


def without_the_text(client, text):
    return read(ask(client, "A message to a help desk."))


def nothing(client, text):
    note(client, text)


MISTAKES_3 = {
    stub: "still empty",
    crashes: "Return None then: a person fills in the note",
    believes_json: "none of the three",
    any_urgency: "lets `urgency` be any text",
    no_schema: "has no `response_format`",
    json_object: "`response_format` should be",
    no_limit: "60 tokens at most",
    asks_again: "You sent 2 requests",
    the_text: "You returned a text",
    a_dictionary: "You returned a dictionary",
    made_up: "No request was sent",
    asks_but_made_up: "and your note says",
    another_model: "Take the id from the registry",
    without_the_text: "not in the request's user message",
    nothing: "Did you forget `return`",
}


# ---- task 4 --------------------------------------------------------------------------------------------------------


def finish(stage, texts, policy):
    results, failed = [], {}
    for text in texts:
        try:
            results.append(policy.call(stage, text))
        except Exception as error:
            results.append(None)
            failed[text] = error
    return results, failed


def no_try(stage, texts, policy):
    return [policy.call(stage, text) for text in texts], {}


def try_outside(stage, texts, policy):
    results, failed = [], {}
    try:
        for text in texts:
            results.append(policy.call(stage, text))
    except Exception as error:
        failed[text] = error
    return results, failed


def no_policy(stage, texts, policy):
    class Plain:
        def call(self, stage, text):
            return stage(text)

    return finish(stage, texts, Plain())


def loop_around(stage, texts, policy):
    results, failed = [], {}
    for text in texts:
        for _ in range(3):
            try:
                results.append(policy.call(stage, text))
                break
            except Exception as error:
                failed[text] = error
        else:
            results.append(None)
    return results, failed


def leaves_out(stage, texts, policy):
    results, failed = finish(stage, texts, policy)
    return [result for result in results if result is not None], failed


def errors_as_text(stage, texts, policy):
    results, failed = finish(stage, texts, policy)
    return results, {text: str(error) for text, error in failed.items()}


def results_only(stage, texts, policy):
    return finish(stage, texts, policy)[0]


def swallows(stage, texts, policy):
    return finish(stage, texts, policy)[0], {}


def backwards(stage, texts, policy):
    results, failed = finish(stage, texts[::-1], policy)
    return results, failed


def no_stage(stage, texts, policy):
    return [None] * len(texts), {}


def loses_everything(stage, texts, policy):
    finish(stage, texts, policy)


MISTAKES_4 = {
    stub: "still empty",
    no_try: "The other four are lost with it",
    try_outside: "One failure must not stop the others",
    no_policy: "was not tried again",
    loop_around: "was sent 3 times",
    leaves_out: "one item for each text",
    errors_as_text: "the exception itself",
    results_only: "asks for two things",
    swallows: "from the text that failed to its exception",
    no_stage: "No request was sent",
    loses_everything: "Did you forget `return`",
}

SOLUTIONS = [(TRIAGE, triage), (NEAREST, nearest), (NOTE, note), (FINISH, finish)]
CASES = [(TRIAGE, MISTAKES_1), (NEAREST, MISTAKES_2), (NOTE, MISTAKES_3), (FINISH, MISTAKES_4)]


class TestExercise(CheckCases):
    tasks, right, quiz = [task for task, _ in CASES], SOLUTIONS, QUIZ
    wrong = [(task, mistake, message) for task, mistakes in CASES for mistake, message in mistakes.items()]
    draws_right, draws_wrong = 5, 3


def test_results_in_another_order_are_not_accepted():
    assert not FINISH.judge(backwards).ok
