"""Every task of exercise 03: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import random
import time
from time import perf_counter as now

import httpx2
import pytest
from check_cases import CheckCases
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from helpers import models, wire
from helpers.exercises.lessons.lesson_03 import TASKS
from helpers.retry import backoff, classify, parse_ratelimit, parse_retry_after

RETRY, WAIT, AGAIN, WITHIN, STREAM, QUIZ = TASKS
SOON = {408, 425, 429, 500, 502, 503, 504}


def stub(*arguments):
    raise NotImplementedError("your code here")


# ---- task 1 --------------------------------------------------------------------------------------------------------


def should_retry(error):
    if isinstance(error, (InferenceTimeoutError, httpx2.TransportError)):
        return True
    if not isinstance(error, HfHubHTTPError):
        return False
    status = error.response.status_code
    if status == 429:
        problem = error.response.json().get("error")
        return not (isinstance(problem, dict) and problem.get("code") == "insufficient_quota")
    return status in SOON or status >= 520


def with_the_library(error):
    return classify(error).kind != "fatal"


def by_text(error):
    return isinstance(error, (InferenceTimeoutError, httpx2.TransportError)) or any(
        n in str(error) for n in ("408", "429", "50", "52")
    )


def by_text_of_message(error):
    return (
        should_retry(error)
        or "429" in getattr(error, "server_message", "")
        or "429 `" in str(error)
    )


def status_only(error):
    return error.response.status_code in SOON or error.response.status_code >= 520


def no_connections(error):
    return isinstance(error, HfHubHTTPError) and should_retry(error)


def no_timeouts(error):
    return not isinstance(error, InferenceTimeoutError) and should_retry(error)


def only_refused(error):
    return isinstance(error, (httpx2.ConnectError, InferenceTimeoutError)) or no_connections(error)


def money_too(error):
    return should_retry(error) or getattr(getattr(error, "response", None), "status_code", 0) == 429


def money_by_index(error):
    if no_connections(error) and error.response.status_code == 429:
        return error.response.json()["error"]["code"] != "insufficient_quota"
    return should_retry(error)


def all_5xx_only(error):
    return (
        should_retry(error) and getattr(getattr(error, "response", None), "status_code", 500) >= 500
    )


def no_proxies(error):
    return (
        should_retry(error) and getattr(getattr(error, "response", None), "status_code", 500) < 520
    )


def all_of_them(error):
    return True


def all_http(error):
    return isinstance(error, (HfHubHTTPError, InferenceTimeoutError, httpx2.TransportError))


def unknown_too(error):
    return should_retry(error) or not isinstance(error, HfHubHTTPError)


def none_at_all(error):
    return False


def as_kind(error):
    return "retry" if should_retry(error) else "fatal"


def forgets_false(error):
    if should_retry(error):
        return True


def prints_it(error):
    print(should_retry(error))


def not_found_too(error):
    return should_retry(error) or getattr(getattr(error, "response", None), "status_code", 0) == 404


def waits_inside(error):
    time.sleep(1)
    return should_retry(error)


def status_of(error):
    return getattr(getattr(error, "response", None), "status_code", None)


def all_from_500(error):
    return should_retry(error) or (status_of(error) or 0) >= 500


def some_proxies(error):
    return should_retry(error) and (status_of(error) or 0) < 525


def conflict_too(error):
    return should_retry(error) or status_of(error) == 409


def not_too_early(error):
    return should_retry(error) and status_of(error) != 425


def money_by_word(error):
    return (
        "insufficient_quota" not in str(error) if status_of(error) == 429 else should_retry(error)
    )


def any_os_error(error):
    return should_retry(error) or isinstance(error, OSError) and status_of(error) is None


def any_connection_error(error):
    return should_retry(error) or isinstance(error, ConnectionError)


def any_httpx_error(error):
    return should_retry(error) or isinstance(error, httpx2.HTTPError) and status_of(error) is None


def whoever_says_when(error):
    return should_retry(error) or "retry-after" in headers_of(error)


def by_match(error):
    match error:
        case InferenceTimeoutError() | httpx2.TransportError():
            return True
        case HfHubHTTPError(response=httpx2.Response(status_code=429)):
            try:
                return error.response.json()["error"]["code"] != "insufficient_quota"
            except (KeyError, TypeError, ValueError):
                return True
        case HfHubHTTPError():
            return error.response.status_code in SOON or error.response.status_code > 519
    return False


RETRY_WRONG = [
    (by_text, 'contains "429" and "503"'),
    (by_text_of_message, "talks about 429 tokens"),
    (status_only, "'response'"),
    (no_connections, "httpx2.ConnectError"),
    (no_timeouts, "InferenceTimeoutError"),
    (only_refused, "httpx2.ReadError"),
    (money_too, "insufficient_quota"),
    (money_by_index, "a text in most"),
    (all_5xx_only, "when to come back"),
    (no_proxies, "belong to proxies"),
    (all_of_them, "A 401 stays a 401"),
    (all_http, "A 401 stays a 401"),
    (unknown_too, "a mistake in the program"),
    (none_at_all, "when to come back"),
    (as_kind, "True or False"),
    (forgets_false, "nothing (None)"),
    (prints_it, "nothing (None)"),
    (not_found_too, "nothing at this address"),
    (waits_inside, "It only decides"),
    (all_from_500, "A 501"),
    (some_proxies, "this was a 530"),
    (conflict_too, "A 409"),
    (not_too_early, "A 425"),
    (money_by_word, "not for a word in the text"),
    (any_os_error, "FileNotFoundError"),
    (any_connection_error, "OfflineModeIsEnabled"),
    (any_httpx_error, "TooManyRedirects"),
    (whoever_says_when, "not whether"),
]


# ---- task 2 --------------------------------------------------------------------------------------------------------


def jitter(failures):
    return random.uniform(0, min(20, 0.5 * 2 ** (failures - 1)))


def seconds_to_wait(headers, failures):
    asked = [float(headers["retry-after"])] if "retry-after" in headers else []
    limit = parse_ratelimit(headers)
    if limit is not None and limit.remaining == 0:
        asked.append(limit.reset)
    return max(asked) if asked else jitter(failures)


def a_little_more(headers, failures):
    return seconds_to_wait(headers, failures) + (
        0.5 if len(headers) and "t=250" not in str(headers) else 0
    )


def ignores_headers(headers, failures):
    return jitter(failures)


def ignores_ratelimit(headers, failures):
    return float(headers["retry-after"]) if "retry-after" in headers else jitter(failures)


def ignores_retry_after(headers, failures):
    return seconds_to_wait(
        {name: value for name, value in headers.items() if name != "retry-after"}, failures
    )


def whole_numbers(headers, failures):
    return (
        int(headers["retry-after"])
        if "retry-after" in headers
        else seconds_to_wait(headers, failures)
    )


def as_it_stands(headers, failures):
    return headers.get("retry-after") or seconds_to_wait(headers, failures)


def the_shorter(headers, failures):
    limit = parse_ratelimit(headers)
    if "retry-after" in headers and limit:
        return min(float(headers["retry-after"]), limit.reset)
    return seconds_to_wait(headers, failures)


def retry_after_wins(headers, failures):
    return (
        ignores_ratelimit(headers, failures)
        if "retry-after" in headers
        else seconds_to_wait(headers, failures)
    )


def any_reset(headers, failures):
    limit = parse_ratelimit(headers)
    return (
        limit.reset
        if limit and "retry-after" not in headers
        else seconds_to_wait(headers, failures)
    )


def doubles_it(headers, failures):
    return seconds_to_wait(headers, failures) * (2**failures if len(headers) else 1)


def at_most_cap(headers, failures):
    return min(20, seconds_to_wait(headers, failures))


def no_chance(headers, failures):
    return (
        seconds_to_wait(headers, failures)
        if len(headers) and "t=250" not in str(headers)
        else min(20, 0.5 * 2 ** (failures - 1))
    )


def a_little_chance(headers, failures):
    return (
        seconds_to_wait(headers, failures)
        if len(headers)
        else min(20, 0.5 * 2 ** (failures - 1)) * random.uniform(0.8, 1)
    )


def no_cap(headers, failures):
    return (
        seconds_to_wait(headers, failures)
        if len(headers)
        else random.uniform(0, 0.5 * 2 ** (failures - 1))
    )


def counts_from_zero(headers, failures):
    return (
        seconds_to_wait(headers, failures)
        if len(headers)
        else random.uniform(0, min(20, 0.5 * 2**failures))
    )


def one_range(headers, failures):
    return seconds_to_wait(headers, failures) if len(headers) else random.uniform(0, 0.5)


def waits_itself(headers, failures):
    time.sleep(seconds_to_wait(headers, failures))


def returns_nothing(headers, failures):
    seconds_to_wait(headers, failures)


def below_zero(headers, failures):
    return seconds_to_wait(headers, failures) if len(headers) else random.uniform(-0.5, 0.5)


def capped_after_the_draw(headers, failures):
    return (
        seconds_to_wait(headers, failures)
        if len(headers)
        else min(20, random.uniform(0, 0.5 * 2 ** (failures - 1)))
    )


def nearly_empty(headers, failures):
    limit = parse_ratelimit(headers)
    return (
        limit.reset
        if limit and limit.remaining <= 1 and "retry-after" not in headers
        else seconds_to_wait(headers, failures)
    )


def both_waits(headers, failures):
    limit = parse_ratelimit(headers)
    told = float(headers.get("retry-after", 0)) + (
        limit.reset if limit and limit.remaining == 0 else 0
    )
    return told or jitter(failures)


def half_of_it(headers, failures):
    return seconds_to_wait(headers, failures) if len(headers) else jitter(failures) / 2


def with_the_parsers(headers, failures):
    limit = parse_ratelimit(headers)
    told = max(parse_retry_after(headers) or 0, limit.reset if limit and not limit.remaining else 0)
    return told or backoff(failures)


WAIT_WRONG = [
    (ignores_headers, "Never come back earlier"),
    (ignores_ratelimit, "and nothing else"),
    (ignores_retry_after, "`Retry-After:"),
    (whole_numbers, "Take `float(…)`"),
    (as_it_stands, "returned a text"),
    (the_shorter, "the longer one counts"),
    (retry_after_wins, "the longer one counts"),
    (any_reset, "12 requests remain"),
    (doubles_it, "do not double"),
    (at_most_cap, "Never come back earlier"),
    (no_chance, "come back together"),
    (a_little_chance, "whole range"),
    (no_cap, "ends at the cap"),
    (counts_from_zero, "from 0 to 0.5 s"),
    (one_range, "never went above"),
    (waits_itself, "waits by itself"),
    (returns_nothing, "nothing (None)"),
    (below_zero, "Time does not run backwards"),
    (capped_after_the_draw, "you draw first"),
    (nearly_empty, "1 request remains"),
    (both_waits, "do not double"),
    (half_of_it, "never went above"),
]


# ---- task 3 --------------------------------------------------------------------------------------------------------


def ask(client, question, **more):
    messages = [{"role": "user", "content": question}]
    return (
        client.chat_completion(messages, model=models.chat, max_tokens=200, **more)
        .choices[0]
        .message.content
    )


def headers_of(error):
    response = getattr(error, "response", None)
    return response.headers if response is not None else {}


def ask_again(client, question, tries=4, decide=should_retry, pause=seconds_to_wait):
    for failures in range(1, tries + 1):
        try:
            return ask(client, question)
        except Exception as error:
            if failures == tries or not decide(error):
                raise
            time.sleep(pause(headers_of(error), failures))


def in_a_while_loop(client, question):
    failures = 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            if failures >= 4 or not should_retry(error):
                raise
            seconds = seconds_to_wait(headers_of(error), failures)
        time.sleep(seconds)


def never_again(client, question):
    return ask(client, question)


def three_tries(client, question):
    return ask_again(client, question, tries=3)


def five_tries(client, question):
    return ask_again(client, question, tries=5)


def for_ever(client, question):
    return ask_again(client, question, tries=10**6)


def tries_everything(client, question):
    return ask_again(client, question, decide=lambda error: True)


def no_pause(client, question):
    return (
        ask_again(client, question, pause=lambda headers, failures: 0)
        if False
        else _without_pause(client, question)
    )


def _without_pause(client, question):
    for failures in range(1, 5):
        try:
            return ask(client, question)
        except Exception as error:
            if failures == 4 or not should_retry(error):
                raise


def one_second(client, question):
    return ask_again(client, question, pause=lambda headers, failures: 1)


def without_headers(client, question):
    return ask_again(
        client, question, pause=lambda headers, failures: seconds_to_wait({}, failures)
    )


def from_zero(client, question):
    return ask_again(
        client, question, pause=lambda headers, failures: seconds_to_wait(headers, failures + 3)
    )


def always_headers(client, question):
    for failures in range(1, 5):
        try:
            return ask(client, question)
        except Exception as error:
            if failures == 4 or not should_retry(error):
                raise
            time.sleep(seconds_to_wait(error.response.headers, failures))


def only_hub_errors(client, question):
    for failures in range(1, 5):
        try:
            return ask(client, question)
        except HfHubHTTPError as error:
            if failures == 4 or not should_retry(error):
                raise
            time.sleep(seconds_to_wait(error.response.headers, failures))


def sleeps_after_the_last(client, question):
    last = None
    for failures in range(1, 5):
        try:
            return ask(client, question)
        except Exception as error:
            if not should_retry(error):
                raise
            last = error
            time.sleep(seconds_to_wait(headers_of(error), failures))
    raise last


def runtime_error(client, question):
    for failures in range(1, 5):
        try:
            return ask(client, question)
        except Exception as error:
            if not should_retry(error):
                raise
            if failures < 4:
                time.sleep(seconds_to_wait(headers_of(error), failures))
    raise RuntimeError("Failed after 4 tries")


def ends_in_none(client, question):
    for failures in range(1, 5):
        try:
            return ask(client, question)
        except Exception as error:
            if not should_retry(error):
                raise
            if failures < 4:
                time.sleep(seconds_to_wait(headers_of(error), failures))


def sorry(client, question):
    try:
        return ask_again(client, question)
    except Exception as error:
        return f"Sorry: {error}"


def waits_first(client, question):
    time.sleep(0.1)
    return ask_again(client, question)


def prints_answer(client, question):
    print(ask_again(client, question))


def made_up(client, question):
    return "An answer."


def own_client(client, question):
    return ask_again(InferenceClient(), question)


def endless_without_connection(client, question):
    failures = 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += not isinstance(error, httpx2.TransportError)
            if failures >= 4 or not should_retry(error):
                raise
            time.sleep(seconds_to_wait(headers_of(error), max(failures, 1)))


def endless_when_throttled(client, question):
    failures = 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += status_of(error) != 429
            if failures >= 4 or not should_retry(error):
                raise
            time.sleep(seconds_to_wait(headers_of(error), max(failures, 1)))


def always_the_first(client, question):
    return ask_again(client, question, pause=lambda headers, failures: seconds_to_wait(headers, 1))


def other_model_next(client, question):
    try:
        return ask(client, question)
    except Exception as error:
        if not should_retry(error):
            raise
        time.sleep(seconds_to_wait(headers_of(error), 1))
        messages = [{"role": "user", "content": question}]
        return client.chat_completion(messages, model=models.tools).choices[0].message.content


def calls_itself(client, question, failures=1):
    try:
        return ask(client, question)
    except Exception as error:
        if failures >= 4 or not should_retry(error):
            raise
        seconds = seconds_to_wait(headers_of(error), failures)
    time.sleep(seconds)
    return calls_itself(client, question, failures + 1)


AGAIN_WRONG = [
    (never_again, "A 503 was not tried again"),
    (three_tries, "gave up after 3 requests"),
    (five_tries, "you sent 5 requests"),
    (for_ever, "4 are allowed"),
    (tries_everything, "A 401 was tried again"),
    (no_pause, "without waiting"),
    (one_second, "Nobody said how long"),
    (without_headers, "Give `seconds_to_wait` the headers"),
    (from_zero, "1 for the first"),
    (always_headers, "has no response"),
    (only_hub_errors, "The connection was refused"),
    (sleeps_after_the_last, "The last one was for nothing"),
    (runtime_error, "RuntimeError instead"),
    (ends_in_none, "as if there were an answer"),
    (sorry, "as if there were an answer"),
    (waits_first, "waited all the same"),
    (prints_answer, "prints the answer and returns nothing"),
    (made_up, "No request was sent"),
    (own_client, "a client of its own"),
    (endless_without_connection, "The connection was refused again and again"),
    (endless_when_throttled, "refused every time (429)"),
    (always_the_first, "your third pause was never longer"),
    (other_model_next, "You asked"),
]


# ---- task 4 --------------------------------------------------------------------------------------------------------


def ask_within(client, question, patience):
    waited, failures = 0, 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            seconds = seconds_to_wait(headers_of(error), failures)
            if not should_retry(error) or waited + seconds > patience:
                raise
        time.sleep(seconds)
        waited += seconds


def counts_down(client, question, patience):
    failures = 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            seconds = seconds_to_wait(headers_of(error), failures)
            if not should_retry(error) or seconds > patience:
                raise
            patience -= seconds
            time.sleep(seconds)


def each_by_itself(client, question, patience):
    for failures in range(1, 50):
        try:
            return ask(client, question)
        except Exception as error:
            seconds = seconds_to_wait(headers_of(error), failures)
            if not should_retry(error) or seconds > patience:
                raise
            time.sleep(seconds)


def shortens(client, question, patience):
    failures = 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            if not should_retry(error) or patience <= 0:
                raise
            seconds = min(patience, seconds_to_wait(headers_of(error), failures))
            patience -= seconds
            time.sleep(seconds)


def asks_afterwards(client, question, patience):
    waited, failures = 0, 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            if not should_retry(error) or waited > patience:
                raise
            seconds = seconds_to_wait(headers_of(error), failures)
            waited += seconds
            time.sleep(seconds)


def ignores_patience(client, question, patience):
    return ask_again(client, question)


def counts_tries(client, question, patience):
    return ask_again(
        client,
        question,
        tries=3,
        decide=lambda error: (
            should_retry(error) and seconds_to_wait(headers_of(error), 1) <= patience
        ),
    )


def skips_the_wait(client, question, patience):
    for failures in range(1, 20):
        try:
            return ask(client, question)
        except Exception as error:
            if not should_retry(error) or failures == 19:
                raise
            seconds = seconds_to_wait(headers_of(error), failures)
            if seconds <= patience:
                patience -= seconds
                time.sleep(seconds)


def none_when_over(client, question, patience):
    try:
        return ask_within(client, question, patience)
    except HfHubHTTPError:
        return None


def patient_with_all(client, question, patience):
    waited, failures = 0, 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            seconds = seconds_to_wait(headers_of(error), failures)
            if waited + seconds > patience:
                raise
        time.sleep(seconds)
        waited += seconds


def timeout_error(client, question, patience):
    try:
        return ask_within(client, question, patience)
    except HfHubHTTPError as error:
        if error.response.status_code != 403:
            raise TimeoutError("no patience left") from error
        raise


def nearly_fits(client, question, patience):
    return ask_within(client, question, patience - 0.001)


def own_client_within(client, question, patience):
    return ask_within(InferenceClient(timeout=30), question, patience)


def draws_again(client, question, patience):
    waited, failures = 0, 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            if (
                not should_retry(error)
                or waited + seconds_to_wait(headers_of(error), failures) > patience
            ):
                raise
            time.sleep(seconds_to_wait(headers_of(error), failures))
            waited += seconds_to_wait(headers_of(error), failures)


def ten_tries(client, question, patience):
    waited = 0
    for failures in range(1, 11):
        try:
            return ask(client, question)
        except Exception as error:
            seconds = seconds_to_wait(headers_of(error), failures)
            if not should_retry(error) or waited + seconds > patience or failures == 10:
                raise
            time.sleep(seconds)
            waited += seconds


def within_by_first_pause(client, question, patience):
    waited = 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            seconds = seconds_to_wait(headers_of(error), 1)
            if not should_retry(error) or waited + seconds > patience:
                raise
            time.sleep(seconds)
            waited += seconds


def only_while_patient(client, question, patience):
    waited, failures = 0, 0
    while waited < patience:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            seconds = seconds_to_wait(headers_of(error), failures)
            if not should_retry(error) or waited + seconds > patience:
                raise
        time.sleep(seconds)
        waited += seconds


def no_more_than_it_has(client, question, patience):
    return only_while_patient(client, question, patience or 1e-9)


def by_the_clock(client, question, patience):
    end, failures = time.monotonic() + patience, 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            seconds = seconds_to_wait(headers_of(error), failures)
            if not should_retry(error) or time.monotonic() + seconds > end:
                raise
            time.sleep(seconds)


def by_another_clock(client, question, patience):
    started, failures = now(), 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            seconds = seconds_to_wait(headers_of(error), failures)
            if not should_retry(error) or now() - started + seconds > patience:
                raise
        time.sleep(seconds)


def a_little_later(client, question, patience):
    """With half a second more than the server asked for, which task 2 allows."""
    waited, failures = 0, 0
    while True:
        try:
            return ask(client, question)
        except Exception as error:
            failures += 1
            seconds = (
                a_little_more(headers_of(error), failures)
                if "retry-after" in headers_of(error)
                else seconds_to_wait(headers_of(error), failures)
            )
            if not should_retry(error) or waited + seconds > patience:
                raise
        time.sleep(seconds)
        waited += seconds


WITHIN_WRONG = [
    (each_by_itself, "not all of them together"),
    (shortens, "only comes too early"),
    (asks_afterwards, "whether it still fits"),
    (ignores_patience, "whether it still fits"),
    (counts_tries, "there is no number of tries"),
    (skips_the_wait, "without waiting"),
    (none_when_over, "returned nothing (None)"),
    (patient_with_all, "A 403 was tried again"),
    (nearly_fits, "fits exactly"),
    (only_while_patient, "Patience is about waits"),
    (no_more_than_it_has, "did not send it"),
    (own_client_within, "a client of its own"),
    (draws_again, "once for each failure"),
    (ten_tries, "there is no number of tries"),
    (within_by_first_pause, "the number of failures so far, which grows"),
    (timeout_error, "TimeoutError instead"),
    (lambda client, question, patience: "An answer.", "No request was sent"),
]


# ---- task 5 --------------------------------------------------------------------------------------------------------


def pieces_of(client, question):
    for chunk in client.chat_completion(
        [{"role": "user", "content": question}], model=models.chat, max_tokens=200, stream=True
    ):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def stream_text(client, question):
    handed_over = False
    for failures in range(1, 4):
        try:
            for piece in pieces_of(client, question):
                handed_over = True
                yield piece
            return
        except Exception as error:
            if handed_over or failures == 3 or not should_retry(error):
                raise
            time.sleep(seconds_to_wait(headers_of(error), failures))


def begins_anew(client, question):
    for failures in range(1, 4):
        try:
            yield from pieces_of(client, question)
            return
        except Exception as error:
            if failures == 3 or not should_retry(error):
                raise


def no_retry(client, question):
    yield from pieces_of(client, question)


def collects(client, question):
    for failures in range(1, 4):
        try:
            pieces = list(pieces_of(client, question))
            break
        except Exception as error:
            if failures == 3 or not should_retry(error):
                raise
    yield from pieces


def swallows(client, question):
    try:
        yield from stream_text(client, question)
    except httpx2.TransportError:
        pass


def whole_text(client, question):
    return "".join(stream_text(client, question))


def as_a_list(client, question):
    return list(stream_text(client, question))


def one_piece(client, question):
    yield "".join(stream_text(client, question))


def not_a_stream(client, question):
    yield from ask(client, question).split(" ")


def with_none(client, question):
    for chunk in client.chat_completion(
        [{"role": "user", "content": question}], model=models.chat, max_tokens=200, stream=True
    ):
        yield chunk.choices[0].delta.content


def chunks_themselves(client, question):
    yield from client.chat_completion(
        [{"role": "user", "content": question}], model=models.chat, max_tokens=200, stream=True
    )


def tries_all(client, question):
    handed_over = False
    for failures in range(1, 4):
        try:
            for piece in pieces_of(client, question):
                handed_over = True
                yield piece
            return
        except Exception:
            if handed_over or failures == 3:
                raise


def five_streams(client, question):
    handed_over = False
    for failures in range(1, 6):
        try:
            for piece in pieces_of(client, question):
                handed_over = True
                yield piece
            return
        except Exception as error:
            if handed_over or failures == 5 or not should_retry(error):
                raise


def sleeps_last(client, question):
    handed_over = False
    for failures in range(1, 4):
        try:
            for piece in pieces_of(client, question):
                handed_over = True
                yield piece
            return
        except Exception as error:
            if handed_over or not should_retry(error):
                raise
            time.sleep(seconds_to_wait(headers_of(error), failures))
            if failures == 3:
                raise


def forgets_yield(client, question):
    for _ in stream_text(client, question):
        pass


def streams(client, question, guard=True, pause=seconds_to_wait, allowed=0):
    """A `stream_text` that does one thing differently. allowed : how many pieces do not count as handed over."""
    pieces = 0
    for failures in range(1, 4):
        try:
            for chunk in client.chat_completion(
                [{"role": "user", "content": question}],
                model=models.chat,
                max_tokens=200,
                stream=True,
            ):
                if (chunk.choices or not guard) and chunk.choices[0].delta.content:
                    pieces += 1
                    yield chunk.choices[0].delta.content
            return
        except Exception as error:
            if pieces > allowed or failures == 3 or not should_retry(error):
                raise
            if pause is not None:
                time.sleep(pause(headers_of(error), failures))


def no_guard(client, question):
    return streams(client, question, guard=False)


def no_wait(client, question):
    return streams(client, question, pause=None)


def waits_untold(client, question):
    return streams(client, question, pause=lambda headers, failures: seconds_to_wait({}, failures))


def one_piece_is_none(client, question):
    return streams(client, question, allowed=1)


def streams_own_client(client, question):
    return streams(InferenceClient(), question)


def all_but_none(client, question):
    for chunk in client.chat_completion(
        [{"role": "user", "content": question}], model=models.chat, max_tokens=200, stream=True
    ):
        if chunk.choices and chunk.choices[0].delta.content is not None:
            yield chunk.choices[0].delta.content


def first_piece_apart(client, question):
    for failures in range(1, 4):
        try:
            pieces = pieces_of(client, question)
            first = next(pieces, None)
            break
        except Exception as error:
            if failures == 3 or not should_retry(error):
                raise
            time.sleep(seconds_to_wait(headers_of(error), failures))
    if first is not None:
        yield first
        yield from pieces


STREAM_WRONG = [
    (begins_anew, "you began anew"),
    (no_retry, "Nobody has read anything yet"),
    (collects, "collects first"),
    (swallows, "as if the answer were whole"),
    (whole_text, "all at once"),
    (as_a_list, "all at once"),
    (one_piece, "in one piece"),
    (not_a_stream, "did not ask for a stream"),
    (with_none, "nothing (None)"),
    (chunks_themselves, "Hand over the text"),
    (tries_all, "A 401 was tried again"),
    (five_streams, "you sent 5 requests"),
    (sleeps_last, "waited after the last try"),
    (forgets_yield, "nothing (None)"),
    (no_guard, "`choices` is an empty list"),
    (no_wait, "without waiting"),
    (waits_untold, "`Retry-After: 30`"),
    (one_piece_is_none, "one piece is enough"),
    (streams_own_client, "a client of its own"),
    (all_but_none, "a piece without text"),
]


# ---- all of them ---------------------------------------------------------------------------------------------------

SOLVED = [
    (RETRY, should_retry),
    (RETRY, with_the_library),
    (RETRY, by_match),
    (WAIT, seconds_to_wait),
    (WAIT, a_little_more),
    (WAIT, with_the_parsers),
    (AGAIN, ask_again),
    (AGAIN, in_a_while_loop),
    (AGAIN, calls_itself),
    (WITHIN, ask_within),
    (WITHIN, counts_down),
    (WITHIN, by_the_clock),
    (WITHIN, by_another_clock),
    (WITHIN, a_little_later),
    (STREAM, stream_text),
    (STREAM, streams),
    (STREAM, first_piece_apart),
]
WRONG = [
    (task, function, said)
    for task, wrong in (
        (RETRY, RETRY_WRONG),
        (WAIT, WAIT_WRONG),
        (AGAIN, AGAIN_WRONG),
        (WITHIN, WITHIN_WRONG),
        (STREAM, STREAM_WRONG),
    )
    for function, said in wrong
]


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    sleep = time.sleep
    yield
    assert wire.current() is None and time.sleep is sleep


class TestExercise(CheckCases):
    tasks, right, wrong, quiz = TASKS[:-1], SOLVED, WRONG, QUIZ
    draws_right, shortest_why = 3, 40

    def before(self, draw):
        random.seed(draw)
