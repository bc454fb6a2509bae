"""Every task of exercise 09: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from check_cases import CheckCases
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from pydantic import BaseModel, ValidationError

from helpers import models
from helpers.exercises.lessons.lesson_09 import TASKS
from helpers.retry import RetryPolicy

TRIAGE, NEAREST, NOTE, FINISH, QUIZ = TASKS


def stub(*arguments):
    raise NotImplementedError("your code here")


# ---- task 1 --------------------------------------------------------------------------------------------------------


def mood_of(client, text, model=None):
    return client.text_classification(text, model=model or models.sentiment_three)[0].label


def desk_of(client, text, labels):
    return client.zero_shot_classification(text, candidate_labels=labels, model=models.zero_shot)


def triage(client, text, desks):
    return {
        "desk": desks[desk_of(client, text, list(desks))[0].label],
        "sentiment": mood_of(client, text).lower(),
    }


def as_spelt(client, text, desks):
    return {
        "desk": desks[desk_of(client, text, list(desks))[0].label],
        "sentiment": mood_of(client, text),
    }


def the_description(client, text, desks):
    return {
        "desk": desk_of(client, text, list(desks))[0].label,
        "sentiment": mood_of(client, text).lower(),
    }


def two_labels_only(client, text, desks):
    return {
        "desk": desks[desk_of(client, text, list(desks))[0].label],
        "sentiment": mood_of(client, text, models.sentiment).lower(),
    }


def no_desk(client, text, desks):
    return {"desk": "billing", "sentiment": mood_of(client, text).lower()}


def the_names(client, text, desks):
    return {
        "desk": desk_of(client, text, list(desks.values()))[0].label,
        "sentiment": mood_of(client, text).lower(),
    }


def the_last(client, text, desks):
    return {
        "desk": desks[desk_of(client, text, list(desks))[-1].label],
        "sentiment": mood_of(client, text).lower(),
    }


def one_string(client, text, desks):
    return {
        "desk": desk_of(client, text, ", ".join(desks))[0].label,
        "sentiment": mood_of(client, text).lower(),
    }


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


def through_own_client(client, text, desks):
    return triage(InferenceClient(provider="hf-inference"), text, desks)


def never_fails(client, text, desks):
    try:
        return triage(client, text, desks)
    except Exception:
        return {"desk": "general", "sentiment": "neutral"}


def takes_from_the_dictionary(client, text, desks):
    best = desk_of(client, text, list(desks))[0].label
    return {"desk": desks.pop(best), "sentiment": mood_of(client, text).lower()}


def labels_written_out(client, text, desks):
    labels = ["payments and invoices", "passwords and profiles", "something is broken"]
    return {
        "desk": desks.get(desk_of(client, text, labels)[0].label),
        "sentiment": mood_of(client, text).lower(),
    }


def whole_element(client, text, desks):
    return triage(client, text, desks) | {
        "sentiment": client.text_classification(text, model=models.sentiment_three)[0]
    }


def mood_object(client, text, desks):
    mood = client.text_classification(text, model=models.sentiment_three)[0]
    return {"desk": desks[desk_of(client, text, list(desks))[0].label], "sentiment": mood}


def yields_it(client, text, desks):
    yield triage(client, text, desks)


def by_score(client, text, desks):
    mood = max(
        client.text_classification(text=text, model=models.sentiment_three),
        key=lambda one: one.score,
    )
    return dict(
        desk=desks[
            max(desk_of(client, text, sorted(desks)), key=lambda one: one["score"])["label"]
        ],
        sentiment=mood["label"].casefold(),
    )


def both_at_once(client, text, desks):
    with ThreadPoolExecutor(2) as pool:
        mood, desk = (
            pool.submit(mood_of, client, text),
            pool.submit(desk_of, client, text, list(desks)),
        )
    return {"desk": desks[desk.result()[0].label], "sentiment": mood.result().lower()}


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
    through_own_client: "a client of its own",
    never_fails: "as if it had an answer",
    takes_from_the_dictionary: "changed `desks`",
    labels_written_out: "the keys of `desks`",
    whole_element: "You sent 3 requests",
    mood_object: "asks for its label",
    yields_it: "a generator",
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


def threshold_written_out(client, text, ids, index, least):
    return nearest(client, text, ids, index, 0.8)


def more_than_least(client, text, ids, index, least):
    vector = embed(client, text)
    scores = index @ (vector / np.linalg.norm(vector))
    return ids[int(scores.argmax())] if scores.max() > least else None


def first_near_enough(client, text, ids, index, least):
    vector = embed(client, text)
    scores = index @ (vector / np.linalg.norm(vector))
    return next((one for one, score in zip(ids, scores) if score >= least), None)


def without_sign(client, text, ids, index, least):
    vector = embed(client, text)
    scores = np.abs(index @ (vector / np.linalg.norm(vector)))
    return ids[int(scores.argmax())] if scores.max() >= least else None


def by_distance(client, text, ids, index, least):
    away = np.linalg.norm(index - embed(client, text), axis=1)
    return ids[int(away.argmin())] if away.min() <= least else None


def raises_when_far(client, text, ids, index, least):
    found = nearest(client, text, ids, index, least)
    if found is None:
        raise ValueError("nothing is near")
    return found


def changes_the_index(client, text, ids, index, least):
    index *= 2
    return nearest(client, text, ids, index / 2, least)


def nearest_never_fails(client, text, ids, index, least):
    try:
        return nearest(client, text, ids, index, least)
    except Exception:
        return None


def nearest_through_own_client(client, text, ids, index, least):
    return nearest(InferenceClient(provider="hf-inference"), text, ids, index, least)


def id_and_score(client, text, ids, index, least):
    found = nearest(client, text, ids, index, least)
    return found and (found, 0.9)


def from_one_text(client, text, ids, index, least):
    vector = np.asarray(
        client.feature_extraction(text, model=models.embedding, normalize=True)
    ).reshape(-1)
    scores = {one: row @ vector / np.linalg.norm(vector) for one, row in zip(ids, index)}
    best = max(scores, key=scores.get)
    return None if scores[best] < least else best


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
    threshold_written_out: "fixed in your code",
    more_than_least: "at least",
    first_near_enough: "the first one that is large enough",
    without_sign: "another entry than the nearest",
    by_distance: "you returned None",
    raises_when_far: "return None",
    changes_the_index: "changed `index`",
    nearest_never_fails: "as if it had an answer",
    nearest_through_own_client: "a client of its own",
    id_and_score: "asks for an id",
}


# ---- task 3 --------------------------------------------------------------------------------------------------------


class Note(BaseModel):
    urgency: Literal["low", "normal", "high"]
    summary: str


class Loose(BaseModel):
    urgency: str
    summary: str


def ask(client, text, schema=Note, **changes):
    form = {
        "type": "json_schema",
        "json_schema": {"name": "note", "schema": schema.model_json_schema(), "strict": True},
    }
    settings = {"model": models.chat, "max_tokens": 60, "response_format": form} | changes
    settings = {name: value for name, value in settings.items() if value is not None}
    return (
        client.chat_completion([{"role": "user", "content": text}], **settings)
        .choices[0]
        .message.content
    )


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


def any_error_is_none(client, text):
    try:
        return Note.model_validate_json(ask(client, text) or "")
    except Exception:
        return None


def note_through_own_client(client, text):
    return note(InferenceClient(), text)


def catches_too_little(client, text):
    try:
        return Note(**json.loads(ask(client, text) or ""))
    except json.JSONDecodeError:
        return None


def invents_a_note(client, text):
    return note(client, text) or Note(urgency="normal", summary=text)


def false_for_none(client, text):
    return note(client, text) or False


def looks_at_the_end_only(client, text):
    said = ask(client, text)
    return Note.model_validate_json(said) if said and said.endswith("}") else None


def by_hand(client, text):
    schema = {
        "type": "object",
        "properties": {
            "urgency": {"type": "string", "enum": ["low", "normal", "high"]},
            "summary": {"type": "string"},
        },
        "required": ["urgency", "summary"],
        "additionalProperties": False,
    }
    form = {
        "type": "json_schema",
        "json_schema": {"name": "note", "schema": schema, "strict": True},
    }
    try:
        return Note(**json.loads(ask(client, text, response_format=form, max_tokens=50) or ""))
    except (json.JSONDecodeError, ValidationError):
        return None


def streamed(client, text):
    form = {
        "type": "json_schema",
        "json_schema": {"name": "note", "schema": Note.model_json_schema(), "strict": True},
    }
    chunks = client.chat_completion(
        [{"role": "user", "content": text}],
        model=models.chat,
        max_tokens=60,
        response_format=form,
        stream=True,
    )
    return read("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))


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
    any_error_is_none: "as if it had an answer",
    note_through_own_client: "a client of its own",
    catches_too_little: "none of the three",
    invents_a_note: "Return None: a person",
    false_for_none: "Return None: a person",
    looks_at_the_end_only: "none of the three",
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


def a_policy_of_its_own(stage, texts, policy):
    return finish(stage, texts, RetryPolicy(sleep=lambda seconds: None))


def empties_the_list(stage, texts, policy):
    found = finish(stage, list(texts), policy)
    texts.clear()
    return found


def the_services_errors_only(stage, texts, policy):
    results, failed = [], {}
    for text in texts:
        try:
            results.append(policy.call(stage, text))
        except HfHubHTTPError as error:
            results.append(None)
            failed[text] = error
    return results, failed


def one_status_only(stage, texts, policy):
    results, failed = [], {}
    for text in texts:
        try:
            results.append(policy.call(stage, text))
        except Exception as error:
            if error.response.status_code != 422:
                raise
            results.append(None)
            failed[text] = error
    return results, failed


def stops_at_the_first(stage, texts, policy):
    results, failed = [], {}
    for text in texts:
        try:
            results.append(policy.call(stage, text))
        except Exception as error:
            results.append(None)
            failed[text] = error
            break
    return results, failed


def failed_by_number(stage, texts, policy):
    results, failed = finish(stage, texts, policy)
    return results, {texts.index(text): error for text, error in failed.items()}


def errors_among_the_results(stage, texts, policy):
    results, failed = finish(stage, texts, policy)
    return [failed.get(text, result) for text, result in zip(texts, results)], failed


def in_threads(stage, texts, policy):
    failed = {}

    def one(text):
        try:
            return policy.call(stage, text)
        except Exception as error:
            failed[text] = error

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, texts)), failed


def with_a_lambda(stage, texts, policy):
    results, failed = [None] * len(texts), {}
    for i, text in enumerate(texts):
        try:
            results[i] = policy.call(lambda: stage(text))
        except Exception as error:
            failed[text] = error
    return results, failed


MISTAKES_4 = {
    stub: "still empty",
    no_try: "others are lost with it",
    try_outside: "One failure must not stop the others",
    no_policy: "was not tried again",
    loop_around: "was sent 3 times",
    leaves_out: "one item for each text",
    errors_as_text: "the exception itself",
    results_only: "asks for two things",
    swallows: "from each text that failed to its exception",
    no_stage: "No request was sent",
    loses_everything: "Did you forget `return`",
    a_policy_of_its_own: "Use the argument `policy`",
    empties_the_list: "changed the caller's list",
    the_services_errors_only: "`except Exception as error`",
    one_status_only: "`except Exception as error`",
    stops_at_the_first: "never sent",
    failed_by_number: "from each text that failed",
    errors_among_the_results: "should hold None",
}

SOLUTIONS = [
    (TRIAGE, triage),
    (TRIAGE, by_score),
    (TRIAGE, both_at_once),
    (NEAREST, nearest),
    (NEAREST, from_one_text),
    (NOTE, note),
    (NOTE, by_hand),
    (NOTE, streamed),
    (FINISH, finish),
    (FINISH, in_threads),
    (FINISH, with_a_lambda),
]
CASES = [(TRIAGE, MISTAKES_1), (NEAREST, MISTAKES_2), (NOTE, MISTAKES_3), (FINISH, MISTAKES_4)]


class TestExercise(CheckCases):
    tasks, right, quiz = [task for task, _ in CASES], SOLUTIONS, QUIZ
    wrong = [
        (task, mistake, message)
        for task, mistakes in CASES
        for mistake, message in mistakes.items()
    ]
    draws_right, draws_wrong = 5, 3


def test_results_in_another_order_are_not_accepted():
    assert not FINISH.judge(backwards).ok
