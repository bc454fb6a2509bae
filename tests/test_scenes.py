"""A check as a table of scenes: what is said about each way of not playing along."""

import pytest
from huggingface_hub import InferenceClient

from helpers.exercises.kit import GIVEN, NotYet, error, expect, reply
from helpers.exercises.scenes import Scene, judge, ladder, play
from helpers.models import models

REFUSED = Scene(
    "The service refused the request (401)", [error(401)] * 6, gives=401, cure="Let it through."
)
EMPTY = Scene("The service was away", [error(503)] * 6, sends=2, gives=None, cure="Ask twice.")


def chat(client):
    message = [{"role": "user", "content": "?"}]
    return client.chat_completion(message, model=models.chat).choices[0].message.content


def call(service, function):
    return service.call(function, InferenceClient(headers=GIVEN))


def judged(scene, function):
    def value(run, wanted):
        expect(run.value == "Yes.", f"not {wanted}")

    judge(scene, play(scene, call, function, ()), lambda run: None, value)


def twice(client):
    chat(client)
    return chat(client)


def catches(client):
    try:
        return chat(client)
    except Exception:
        return None


def own_client(client):
    return chat(InferenceClient())


def raises_another(client):
    try:
        return chat(client)
    except Exception:
        raise KeyError from None


def again_and_none(client):
    return catches(client) or catches(client)


def endless(client):
    while True:
        catches(client)


@pytest.mark.parametrize("scene, function", [(REFUSED, chat), (EMPTY, again_and_none)])
def test_what_the_scene_wants_passes(scene, function):
    judged(scene, function)


@pytest.mark.parametrize(
    "scene, function, said",
    [
        (REFUSED, catches, "(401), and your function returned nothing (None). Let it through."),
        (REFUSED, raises_another, "(401), and your function raised KeyError. Let it through."),
        (REFUSED, twice, None),
        (REFUSED, endless, "where 1 would do"),
        (REFUSED, own_client, "a client of its own"),
        (EMPTY, catches, "away, and your function sent 1. Ask twice."),
        (EMPTY, chat, "away, and your function sent 1. Ask twice."),
    ],
)
def test_each_deviation_is_told(scene, function, said):
    if said is None:
        judged(scene, function)  # the first request ends it
        return
    with pytest.raises(NotYet) as told:
        judged(scene, function)
    assert said in str(told.value)


def test_one_deviation_may_have_words_of_its_own():
    wordy = Scene(
        "It answered",
        [reply("Yes.")] * 6,
        gives=[],
        words={"sent more": "You sent {sent} requests."},
    )
    with pytest.raises(NotYet, match="You sent 2 requests"):
        judged(wordy, twice)
    judged(wordy, chat)


def test_an_error_before_any_request_is_the_functions_own():
    with pytest.raises(NotYet, match="raised ZeroDivisionError"):
        judged(REFUSED, lambda client: 1 / 0)


@pytest.mark.parametrize(
    "value, said", [(True, "bool"), ([], "a list"), (3.5, "begins"), ("fits", None)]
)
def test_the_first_rung_that_fits_ends_a_ladder(value, said):
    def climb():
        ladder(value, ("bool", "bool"), (list, "a list"), ("flo*", "begins"))

    if said is None:
        climb()
    else:
        with pytest.raises(NotYet, match=said):
            climb()
