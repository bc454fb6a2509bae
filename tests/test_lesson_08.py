"""Every task of exercise 08: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import os
import time
from contextlib import ExitStack
from decimal import Decimal

import pytest
from check_cases import CheckCases
from huggingface_hub import (
    AsyncInferenceClient,
    HfApi,
    InferenceClient,
    create_inference_endpoint,
    get_inference_endpoint,
    list_inference_endpoints_hardware,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    InferenceEndpointError,
    InferenceEndpointTimeoutError,
)

from helpers import models, wire
from helpers.endpoints import documented_price
from helpers.exercises.kit import answer, error, spy
from helpers.exercises.lessons.lesson_08 import TASKS, Plane

AUDIT, EVEN, PATIENT, OWN, QUIZ = TASKS


# ---- task 1 -------------------------------------------------------------------------------------------------------


def audit(example):
    prices = {one.id: one.price_per_hour for one in list_inference_endpoints_hardware()}
    times = example["hours"] * example["min_replica"]
    rate = round(example["printed"] / times, 3)
    return (
        prices[example["instance"]] * times,
        rate,
        [name for name, price in prices.items() if price == rate],
    )


def audit_in_cents(example):
    right, rate, ids = audit(example)
    return round(right, 2), rate, set(ids)


def documented(example):
    _, rate, ids = audit(example)
    return (
        documented_price("aws", "intel-spr", "x2") * example["hours"] * example["min_replica"],
        rate,
        ids,
    )


def documented_only(example):
    return 48.91, 0.064, ["aws-us-east-1-intel-icl-x2"]


def no_replicas(example):
    return audit(example | {"min_replica": 1})


def no_replicas_right(example):
    _, rate, ids = audit(example)
    return audit(example | {"min_replica": 1})[0], rate, ids


def no_replicas_rate(example):
    right, _, ids = audit(example)
    return right, round(example["printed"] / example["hours"], 3), ids


def month_of_730(example):
    return audit(example | {"hours": 730})[0], *audit(example)[1:]


def month_of_720(example):
    return audit(example | {"hours": 720})[0], *audit(example)[1:]


def an_hour_only(example):
    return audit(example)[0] / example["hours"], *audit(example)[1:]


def believes_it(example):
    return example["printed"], *audit(example)[1:]


def first_instance(example):
    return (
        list_inference_endpoints_hardware()[-1].price_per_hour
        * example["hours"]
        * example["min_replica"],
        *audit(example)[1:],
    )


def todays_rate(example):
    right, _, ids = audit(example)
    return right, right / example["hours"] / example["min_replica"], ids


def unrounded(example):
    prices = {one.id: one.price_per_hour for one in list_inference_endpoints_hardware()}
    rate = example["printed"] / (example["hours"] * example["min_replica"]) + 1e-7
    return audit(example)[0], rate, [name for name, price in prices.items() if price == rate]


def available_only(example):
    right, rate, _ = audit(example)
    return (
        right,
        rate,
        [
            one.id
            for one in list_inference_endpoints_hardware()
            if one.price_per_hour == rate and one.status == "available"
        ],
    )


def one_id(example):
    right, rate, ids = audit(example)
    return right, rate, ids[0]


def first_only(example):
    right, rate, ids = audit(example)
    return right, rate, ids[:1]


def objects(example):
    right, rate, _ = audit(example)
    return (
        right,
        rate,
        [one for one in list_inference_endpoints_hardware() if one.price_per_hour == rate],
    )


def nothing_found(example):
    return *audit(example)[:2], []


def right_only(example):
    return audit(example)[0]


def prints_audit(example):
    print(*audit(example))


def cost_as_text(example):
    right, rate, ids = audit(example)
    return f"${right:.2f}", rate, ids


def rents(example):
    create_inference_endpoint(
        "x",
        repository=models.chat,
        framework="pytorch",
        accelerator="cpu",
        instance_size="x2",
        instance_type="intel-spr",
        region="us-east-1",
        vendor="aws",
    )
    return audit(example)


def other_order(example):
    right, rate, ids = audit(example)
    return rate, right, ids


def nearly_that_rate(example):
    right, rate, _ = audit(example)
    return (
        right,
        rate,
        [
            one.id
            for one in list_inference_endpoints_hardware()
            if abs(one.price_per_hour - rate) < 0.002
        ],
    )


def changes_the_example(example):
    found = audit(example)
    example["hours"] *= example.pop("min_replica")
    return found


def ids_twice(example):
    right, rate, ids = audit(example)
    return right, rate, ids + ids


def deprecated_only(example):
    right, rate, _ = audit(example)
    return (
        right,
        rate,
        [
            one.id
            for one in list_inference_endpoints_hardware()
            if one.price_per_hour == rate and one.status == "deprecated"
        ],
    )


def audit_as_list(example):
    return list(audit(example))


def wrong_somehow(example):
    right, rate, ids = audit(example)
    return right * 1.7, rate, ids


AUDIT_WRONG = [
    (documented_only, "service was not asked"),
    (documented, "the documented price"),
    (no_replicas, "left out `min_replica`"),
    (no_replicas_right, "left out `min_replica`"),
    (no_replicas_rate, "by `hours` and by `min_replica`"),
    (month_of_730, "730 hours"),
    (month_of_720, "720 hours"),
    (an_hour_only, "cost of one hour"),
    (believes_it, "returned the printed result"),
    (first_instance, "compare it with `id`"),
    (todays_rate, "today's price of the instance"),
    (unrounded, "three digits"),
    (available_only, "available instances only"),
    (one_id, "returned one id"),
    (first_only, "Two instances cost that much"),
    (objects, "hardware objects"),
    (nothing_found, "found no instance"),
    (right_only, "three things"),
    (prints_audit, "returns nothing (None)"),
    (cost_as_text, "returned a text"),
    (rents, "a request that changes something"),
    (wrong_somehow, "The right cost is $"),
    (other_order, "in another order"),
    (nearly_that_rate, "Two instances cost that much"),
    (changes_the_example, "changed the dictionary"),
    (ids_twice, "twice"),
    (deprecated_only, "Two instances cost that much"),
]


# ---- task 2 -------------------------------------------------------------------------------------------------------

FIXED = dict(models["chat"].price)


def one_cost(response):
    return models["chat"].cost(response.usage.prompt_tokens, response.usage.completion_tokens)


def break_even(response, seconds, hour, at_once):
    meet = 24 * hour / one_cost(response)
    return meet if meet <= at_once / seconds * 86_400 else None


def by_hand(response, seconds, hour, at_once):
    price, usage = models["chat"].price, response.usage
    meet = (
        24
        * hour
        / (
            usage.prompt_tokens * price["input"] / 1e6
            + usage.completion_tokens * price["output"] / 1e6
        )
    )
    return round(meet) if meet * seconds <= at_once * 24 * 3600 else None


def with_workload(response, seconds, hour, at_once):
    from helpers.endpoints import Workload

    return Workload(
        1, response.usage.prompt_tokens, response.usage.completion_tokens, seconds, at_once=at_once
    ).break_even(models["chat"], hour)


def limited(function):
    """Keeps the limit of a right solution, and gives another number where there is a break-even."""

    def limited_function(response, seconds, hour, at_once):
        return (
            None
            if break_even(response, seconds, hour, at_once) is None
            else function(response, seconds, hour, at_once)
        )

    limited_function.__name__ = function.__name__
    return limited_function


@limited
def an_hour(response, seconds, hour, at_once):
    return hour / one_cost(response)


@limited
def a_month(response, seconds, hour, at_once):
    return 30 * 24 * hour / one_cost(response)


@limited
def per_token(response, seconds, hour, at_once):
    return 24 * hour / (one_cost(response) * 1e6)


@limited
def upside_down(response, seconds, hour, at_once):
    return one_cost(response) / (24 * hour)


@limited
def multiplied(response, seconds, hour, at_once):
    return 24 * hour * one_cost(response)


@limited
def the_limit(response, seconds, hour, at_once):
    return at_once / seconds * 86_400


@limited
def all_at_input(response, seconds, hour, at_once):
    return 24 * hour / (response.usage.total_tokens * models["chat"].price["input"] / 1e6)


@limited
def answer_only(response, seconds, hour, at_once):
    return 24 * hour / (response.usage.completion_tokens * models["chat"].price["output"] / 1e6)


@limited
def swapped(response, seconds, hour, at_once):
    return (
        24
        * hour
        / models["chat"].cost(response.usage.completion_tokens, response.usage.prompt_tokens)
    )


@limited
def fixed_prices(response, seconds, hour, at_once):
    return (
        24
        * hour
        / (
            (
                response.usage.prompt_tokens * FIXED["input"]
                + response.usage.completion_tokens * FIXED["output"]
            )
            / 1e6
        )
    )


@limited
def guessed(response, seconds, hour, at_once):
    return 960_000


@limited
def in_words(response, seconds, hour, at_once):
    return f"{24 * hour / one_cost(response):,.0f}"


def no_limit(response, seconds, hour, at_once):
    return 24 * hour / one_cost(response)


def infinite(response, seconds, hour, at_once):
    meet = break_even(response, seconds, hour, at_once)
    return float("inf") if meet is None else meet


def always_none(response, seconds, hour, at_once):
    return None


def inverted(response, seconds, hour, at_once):
    meet = 24 * hour / one_cost(response)
    return None if meet <= at_once / seconds * 86_400 else meet


def limit_of_one(response, seconds, hour, at_once):
    meet = 24 * hour / one_cost(response)
    return meet if meet <= 86_400 / seconds else None


def limit_of_an_hour(response, seconds, hour, at_once):
    meet = 24 * hour / one_cost(response)
    return meet if meet <= at_once / seconds * 3600 else None


def limit_without_seconds(response, seconds, hour, at_once):
    meet = 24 * hour / one_cost(response)
    return meet if meet <= at_once * 86_400 else None


def nine_tenths_full(response, seconds, hour, at_once):
    meet = 24 * hour / one_cost(response)
    return meet if meet <= 0.95 * at_once / seconds * 86_400 else None


def raises_for_none(response, seconds, hour, at_once):
    meet = break_even(response, seconds, hour, at_once)
    if meet is None:
        raise ValueError("there is no break-even")
    return meet


def zero_for_none(response, seconds, hour, at_once):
    return break_even(response, seconds, hour, at_once) or 0


def both_numbers(response, seconds, hour, at_once):
    return break_even(response, seconds, hour, at_once), at_once / seconds * 86_400


def for_a_slot(response, seconds, hour, at_once):
    return break_even(response, seconds, hour / at_once, at_once)


def as_decimal(response, seconds, hour, at_once):
    meet = break_even(response, seconds, hour, at_once)
    return None if meet is None else Decimal(meet)


def prints_it(response, seconds, hour, at_once):
    print(break_even(response, seconds, hour, at_once))


def asks_again(response, seconds, hour, at_once):
    InferenceClient().chat_completion([{"role": "user", "content": "How much?"}], model=models.chat)
    return break_even(response, seconds, hour, at_once)


EVEN_WRONG = [
    (an_hour, "for one hour"),
    (a_month, "for a month"),
    (per_token, "counted them per token"),
    (upside_down, "wrong way round"),
    (multiplied, "You multiplied"),
    (the_limit, "how many requests a replica can hold"),
    (all_at_input, "at the price of the prompt"),
    (answer_only, "the answer only"),
    (swapped, "swapped"),
    (fixed_prices, "written into your code"),
    (guessed, "the break-even is at"),
    (in_words, "returned a text"),
    (no_limit, "there is no break-even: return None"),
    (infinite, "there is no break-even: return None"),
    (always_none, "You returned None, which says"),
    (inverted, "You returned None, which says"),
    (limit_of_one, "returned None"),
    (limit_of_an_hour, "returned None"),
    (limit_without_seconds, "Look at the units"),
    (prints_it, "prints the result"),
    (asks_again, "sent a request"),
    (nine_tenths_full, "Look at the units"),
    (raises_for_none, "That is an answer, not an error"),
    (zero_for_none, "there is no break-even: return None"),
    (both_numbers, "you returned a tuple"),
    (for_a_slot, "the break-even is at"),
]


# ---- task 3 -------------------------------------------------------------------------------------------------------

HEADER = {"X-Scale-Up-Timeout": "600"}


def asks(client, question, **more):
    return (
        client.chat_completion(
            [{"role": "user", "content": question}], **{"max_tokens": 100} | more
        )
        .choices[0]
        .message.content
    )


def ask_patiently(url, question):
    return asks(InferenceClient(model=url, headers=HEADER), question)


def patient_by_base_url(url, question):
    return asks(
        InferenceClient(base_url=url, headers={"x-scale-up-timeout": "600"}, timeout=700),
        question,
        model="anything",
    )


def patient_with_openai(url, question):
    from openai import OpenAI

    ai = OpenAI(base_url=url + "/v1", api_key=os.environ["HF_TOKEN"], max_retries=0)
    return (
        ai.chat.completions.create(
            model="x",
            messages=[{"role": "user", "content": question}],
            max_tokens=100,
            extra_headers=HEADER,
        )
        .choices[0]
        .message.content
    )


def openai_retries(url, question):
    from openai import OpenAI

    ai = OpenAI(base_url=url + "/v1", api_key=os.environ["HF_TOKEN"], default_headers=HEADER)
    return (
        ai.chat.completions.create(
            model="x", messages=[{"role": "user", "content": question}], max_tokens=100
        )
        .choices[0]
        .message.content
    )


def impatient(url, question):
    return asks(InferenceClient(model=url), question)


def only_timeout(url, question):
    return asks(InferenceClient(model=url, timeout=600), question)


def in_the_body(url, question):
    return asks(InferenceClient(model=url), question, extra_body=HEADER)


def other_name(url, question):
    return asks(InferenceClient(model=url, headers={"X-Scale-Timeout": "600"}), question)


def with_unit(url, question):
    return asks(InferenceClient(model=url, headers={"X-Scale-Up-Timeout": "600s"}), question)


def too_short(url, question):
    return asks(InferenceClient(model=url, headers={"X-Scale-Up-Timeout": "30"}), question)


def as_number(url, question):
    return asks(InferenceClient(model=url, headers={"X-Scale-Up-Timeout": 600}), question)


def asks_until_awake(url, question):
    while True:
        try:
            return asks(InferenceClient(model=url), question)
        except HfHubHTTPError:
            time.sleep(5)


def asks_twice(url, question):
    ask_patiently(url, question)
    return ask_patiently(url, question)


def retries_too(url, question):
    for attempt in range(3):
        try:
            return ask_patiently(url, question)
        except HfHubHTTPError:
            if attempt == 2:
                raise


def hides_503(url, question):
    try:
        return ask_patiently(url, question)
    except HfHubHTTPError:
        return "Sorry."


def by_router(url, question):
    return asks(InferenceClient(headers=HEADER), question, model=models.chat)


def continues(url, question):
    return InferenceClient(model=url, headers=HEADER).text_generation(question, max_new_tokens=100)


def no_max(url, question):
    return asks(InferenceClient(model=url, headers=HEADER), question, max_tokens=None)


def plain_text(url, question):
    return (
        InferenceClient(model=url, headers=HEADER)
        .chat_completion(question, max_tokens=100)
        .choices[0]
        .message.content
    )


def whole_response(url, question):
    return InferenceClient(model=url, headers=HEADER).chat_completion(
        [{"role": "user", "content": question}], max_tokens=100
    )


def gives_up_early(url, question):
    return asks(InferenceClient(model=url, headers=HEADER, timeout=5), question)


def sleeps_first(url, question):
    time.sleep(600)
    return ask_patiently(url, question)


def another_error(url, question):
    try:
        return ask_patiently(url, question)
    except HfHubHTTPError:
        raise RuntimeError("asleep") from None


def a_stream(url, question):
    return InferenceClient(model=url, headers=HEADER).chat_completion(
        [{"role": "user", "content": question}], max_tokens=100, stream=True
    )


def wakes_it_first(url, question):
    try:
        impatient(url, question)
    except HfHubHTTPError:
        pass
    return ask_patiently(url, question)


def patient_by_name(url, question):
    with InferenceClient(model=url, headers=HEADER, timeout=700) as client:
        return asks(client, question, model=models.chat)


def patient_stream(url, question):
    with InferenceClient(model=url, headers=HEADER) as client:
        chunks = client.chat_completion(
            [{"role": "user", "content": question}], max_tokens=100, stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def patient_async(url, question):
    response = await AsyncInferenceClient(model=url, headers=HEADER).chat_completion(
        [{"role": "user", "content": question}], max_tokens=100
    )
    return response.choices[0].message.content


def other_question(url, question):
    return ask_patiently(url, "Are you awake?")


def made_up(url, question):
    return "It is a word."


def prints_answer(url, question):
    print(ask_patiently(url, question))


def token_in_question(url, question):
    return ask_patiently(url, question + os.environ["HF_TOKEN"])


PATIENT_WRONG = [
    (openai_retries, "max_retries=0"),
    (impatient, "no header `X-Scale-Up-Timeout`"),
    (only_timeout, "no header `X-Scale-Up-Timeout`"),
    (in_the_body, "in the body of the request"),
    (other_name, "`x-scale-timeout`, which nobody knows"),
    (with_unit, "was `600s`"),
    (too_short, "was `30`"),
    (as_number, "values of headers are texts"),
    (asks_until_awake, "no header `X-Scale-Up-Timeout`"),
    (asks_twice, "2 requests for one question"),
    (retries_too, "Let the error through"),
    (hides_503, "as if nothing had happened"),
    (by_router, "asked the router"),
    (continues, "`text_generation`"),
    (no_max, "`max_tokens` was None"),
    (whole_response, "whole response object"),
    (plain_text, "`messages` as a plain text"),
    (other_question, "question is not in the request"),
    (made_up, "No request was sent"),
    (prints_answer, "prints the answer and returns nothing"),
    (token_in_question, "Your token is in the body"),
    (gives_up_early, "gives up after 5 seconds"),
    (sleeps_first, "waited 600 seconds by itself"),
    (another_error, "raised RuntimeError instead"),
    (a_stream, "returned a stream"),
    (wakes_it_first, "no header `X-Scale-Up-Timeout`"),
]


# ---- task 4 -------------------------------------------------------------------------------------------------------


def ask_my_own(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        endpoint.resume()
        endpoint.wait(timeout=900)
        return asks(endpoint.client, question)
    finally:
        endpoint.pause()


def own_loop(name, question):
    api = HfApi()
    try:
        api.resume_inference_endpoint(name)
        deadline = time.monotonic() + 900
        while (endpoint := api.get_inference_endpoint(name)).status != "running":
            if time.monotonic() > deadline or endpoint.status == "failed":
                raise TimeoutError("it did not start")
            time.sleep(10)
        return asks(InferenceClient(model=endpoint.url), question)
    finally:
        api.pause_inference_endpoint(name)


def looks_first(name, question):
    endpoint = get_inference_endpoint(name)
    if endpoint.status == "paused":
        endpoint.resume()
    try:
        return asks(endpoint.wait(timeout=600, refresh_every=10).client, question)
    finally:
        endpoint.pause()


def never_pauses(name, question):
    endpoint = get_inference_endpoint(name).resume().wait(timeout=900)
    return asks(endpoint.client, question)


def pauses_after(name, question):
    endpoint = get_inference_endpoint(name).resume().wait(timeout=900)
    text = asks(endpoint.client, question)
    endpoint.pause()
    return text


def pauses_after_errors(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        endpoint.resume().wait(timeout=900)
        text = asks(endpoint.client, question)
    except Exception:
        endpoint.pause()
        raise
    endpoint.pause()
    return text


def try_begins_late(name, question):
    endpoint = get_inference_endpoint(name).resume().wait(timeout=900)
    try:
        return asks(endpoint.client, question)
    finally:
        endpoint.pause()


def no_deadline(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.resume().wait().client, question)
    finally:
        endpoint.pause()


def loop_without_end(name, question):
    endpoint = get_inference_endpoint(name).resume()
    try:
        while endpoint.fetch().status != "running":
            time.sleep(5)
        return asks(endpoint.client, question)
    finally:
        endpoint.pause()


def long_deadline(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.resume().wait(timeout=20_000, refresh_every=60).client, question)
    finally:
        endpoint.pause()


def no_resume(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.wait(timeout=900).client, question)
    finally:
        endpoint.pause()


def no_resume_no_deadline(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.wait().client, question)
    finally:
        endpoint.pause()


def no_wait(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.resume().client, question)
    finally:
        endpoint.pause()


def neither(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.client, question)
    finally:
        endpoint.pause()


def deletes(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.resume().wait(timeout=900).client, question)
    finally:
        endpoint.delete()


def scales_to_zero(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.resume().wait(timeout=900).client, question)
    finally:
        endpoint.scale_to_zero()


def creates(name, question):
    create_inference_endpoint(
        name,
        repository=models.chat,
        framework="pytorch",
        accelerator="gpu",
        instance_size="x1",
        instance_type="nvidia-l4",
        region="us-east-1",
        vendor="aws",
    )
    return ask_my_own(name, question)


def hides_all(name, question):
    try:
        return ask_my_own(name, question)
    except (HfHubHTTPError, InferenceEndpointError):
        return None


def hides_timeout(name, question):
    try:
        return ask_my_own(name, question)
    except InferenceEndpointTimeoutError:
        return "not today"


def own_by_router(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        endpoint.resume().wait(timeout=900)
        return asks(InferenceClient(), question, model=models.chat)
    finally:
        endpoint.pause()


def only_router(name, question):
    return asks(InferenceClient(), question, model=models.chat)


def strict_resume(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        endpoint.resume(running_ok=False)
        return asks(endpoint.wait(timeout=900).client, question)
    finally:
        endpoint.pause()


def object_back(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return (
            endpoint.resume()
            .wait(timeout=900)
            .client.chat_completion([{"role": "user", "content": question}], max_tokens=100)
        )
    finally:
        endpoint.pause()


def short_answer(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.resume().wait(timeout=900).client, question, max_tokens=10)
    finally:
        endpoint.pause()


def asks_again_itself(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        endpoint.resume().wait(timeout=900)
        for _ in range(2):
            try:
                return asks(endpoint.client, question)
            except HfHubHTTPError:
                time.sleep(1)
        return asks(endpoint.client, question)
    finally:
        endpoint.pause()


def own_openai(name, question, retries=0):
    from openai import OpenAI

    endpoint = get_inference_endpoint(name)
    try:
        endpoint.resume().wait(timeout=900)
        ai = OpenAI(
            base_url=endpoint.url + "/v1", api_key=os.environ["HF_TOKEN"], max_retries=retries
        )
        messages = [{"role": "user", "content": question}]
        return (
            ai.chat.completions.create(
                model=ai.models.list().data[0].id, messages=messages, max_tokens=100
            )
            .choices[0]
            .message.content
        )
    finally:
        endpoint.pause()


def own_openai_retries(name, question):
    return own_openai(name, question, retries=2)


def asks_nowhere(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        endpoint.resume()
        return asks(InferenceClient(model=endpoint.url, headers=HEADER), question)
    finally:
        endpoint.pause()


def half_a_minute(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.resume().wait(timeout=30).client, question)
    finally:
        endpoint.pause()


def lets_it_sleep(name, question):
    endpoint = get_inference_endpoint(name)
    try:
        return asks(endpoint.resume().wait(timeout=900).client, question)
    finally:
        endpoint.update(min_replica=0, scale_to_zero_timeout=15)


def returns_in_finally(name, question):
    endpoint, text = get_inference_endpoint(name), None
    try:
        text = asks(endpoint.resume().wait(timeout=900).client, question)
    finally:
        endpoint.pause()
        return text


def only_if_paused(name, question):
    endpoint = get_inference_endpoint(name)
    if endpoint.status == "running":
        return asks(endpoint.client, question)
    return ask_my_own(name, question)


def with_a_stack(name, question):
    with ExitStack() as stack:
        endpoint = get_inference_endpoint(name)
        stack.callback(endpoint.pause)
        endpoint.resume().wait(timeout=1800, refresh_every=10)
        return asks(
            InferenceClient(model=endpoint.url, timeout=60), question, model=endpoint.repository
        )


OWN_WRONG = [
    (never_pauses, "left running"),
    (pauses_after, "When the request failed with 500, the endpoint was left running"),
    (pauses_after_errors, "`except Exception` does not see it"),
    (try_begins_late, "When the start failed"),
    (no_deadline, "waited for ever"),
    (loop_without_end, "A start can fail"),
    (long_deadline, "5.6 hours"),
    (no_resume, "until its deadline"),
    (no_resume_no_deadline, "call `resume()` first"),
    (no_wait, "`wait(timeout=…)` first"),
    (neither, "`endpoint.resume()` starts it"),
    (deletes, "You deleted the endpoint"),
    (scales_to_zero, "next stray request wakes it"),
    (creates, "You created an endpoint"),
    (hides_all, "as if nothing had happened"),
    (hides_timeout, "before the deadline, your function returned as if"),
    (own_by_router, "You asked the router instead"),
    (only_router, "never looked up"),
    (strict_resume, "running_ok=False"),
    (object_back, "whole response object"),
    (short_answer, "`max_tokens` was 10"),
    (asks_again_itself, "your function asked 3 times"),
    (own_openai_retries, "`max_retries=0`"),
    (half_a_minute, "gave up before"),
    (asks_nowhere, "still None"),
    (lets_it_sleep, "left running"),
    (returns_in_finally, "as if nothing had happened"),
    (only_if_paused, "When it ran already, the endpoint was left running"),
]


RIGHT = [
    (AUDIT, audit),
    (AUDIT, audit_in_cents),
    (AUDIT, audit_as_list),
    (EVEN, break_even),
    (EVEN, by_hand),
    (EVEN, with_workload),
    (EVEN, as_decimal),
    (PATIENT, ask_patiently),
    (PATIENT, patient_by_base_url),
    (PATIENT, patient_with_openai),
    (PATIENT, patient_by_name),
    (PATIENT, patient_stream),
    (PATIENT, patient_async),
    (OWN, ask_my_own),
    (OWN, own_loop),
    (OWN, looks_first),
    (OWN, own_openai),
    (OWN, with_a_stack),
]
WRONG = [
    (task, function, said)
    for task, cases in (
        (AUDIT, AUDIT_WRONG),
        (EVEN, EVEN_WRONG),
        (PATIENT, PATIENT_WRONG),
        (OWN, OWN_WRONG),
    )
    for function, said in cases
]


def leaves(*arguments):
    raise SystemExit(3)


def patient_for_ever(*arguments):
    while True:
        time.sleep(60)


def looks_for_ever(name, question=None, *more):
    while True:
        try:
            get_inference_endpoint(name)
        except Exception:
            continue


UNRULY = [
    leaves,
    patient_for_ever,
    print,
    3,
    None,
    "audit",
    lambda *a: 1,
    lambda *a: (),
    lambda *a: (1, 2),
    lambda *a: (1, 2, 3),
    lambda *a: (1.0, 0.1, ["x"]),
    lambda *a: float("nan"),
    lambda *a: {},
    lambda *a: True,
    lambda *a: (True, True, True),
    lambda *a: 1 / 0,
    lambda *a: a,
    lambda *a: "",
    lambda *a: (None, None, None),
    lambda *a: (float("nan"), 1, []),
    lambda *a: (1, 2, {"x": 1}),
    lambda *a: -1,
]


class TestExercise(CheckCases):
    tasks, right, wrong, unruly, quiz = TASKS[:4], RIGHT, WRONG, UNRULY, QUIZ

    def left_behind(self):
        import huggingface_hub._inference_endpoints as hub

        return wire.current(), time.sleep, hub.time, time.monotonic, dict(models["chat"].price)


def test_looking_without_end_is_ended():
    verdict = OWN.judge(looks_for_ever)
    assert not verdict.ok and "resume()" in verdict.message


# ---- the stand-in behaves as the control plane does ----------------------------------------------------------------


def test_the_plane_lives_as_an_endpoint_does():
    plane = Plane("scaledToZero", comes=30)
    with spy(routes=plane) as service:
        plane.service = service

        def life():
            endpoint = get_inference_endpoint(plane.name)
            states = [endpoint.status]
            with pytest.raises(HfHubHTTPError, match="503"):
                asks(endpoint.client, "Hi")
            states.append(endpoint.fetch().status)
            states.append(endpoint.wait(timeout=60).status)
            asks(endpoint.client, "Hi")
            states.append(endpoint.pause().status)
            with pytest.raises(InferenceEndpointTimeoutError):
                endpoint.wait(timeout=600)
            endpoint.delete()
            return states

        assert service.call(life) == ["scaledToZero", "pending", "running", "paused"]
    assert 600 < sum(service.slept) < 700 and plane.done[-1] == "delete" and "chat" in plane.done


def test_routes_leave_the_rest_to_the_spy():
    own = lambda entry: answer({"own": True}) if entry.path == "/mine" else None
    with spy(error(418), routes=own) as service:
        import httpx2

        said = [
            httpx2.request(method, f"https://huggingface.co{path}").status_code
            for method, path in (
                ("GET", "/mine"),
                ("POST", "/mine"),
                ("POST", "/mine"),
                ("GET", "/x"),
            )
        ]
    assert said == [200, 418, 200, 404] and len(service.sent) == 2
