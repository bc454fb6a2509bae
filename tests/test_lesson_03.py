"""Every task of exercise 03: the stub fails, the solution passes, each mistake gets its message."""

import random
import time

from check_cases import CheckCases
from wrong import exercise

from helpers import models
from helpers.exercises.lessons.lesson_03 import TASKS

RETRY, WAIT, AGAIN, WITHIN, STREAM, QUIZ = TASKS


def pieces_of(client, question):
    messages = [{"role": "user", "content": question}]
    for chunk in client.chat_completion(messages, model=models.chat, max_tokens=200, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def headers_of(error):
    response = getattr(error, "response", None)
    return response.headers if response is not None else {}


def status_of(error):
    return getattr(getattr(error, "response", None), "status_code", None)


NAMES = {
    "SOON": {408, 425, 429, 500, 502, 503, 504},
    "now": time.perf_counter,
    "pieces_of": pieces_of,
    "headers_of": headers_of,
    "status_of": status_of,
}

MONEY = 'not (isinstance(problem, dict) and problem.get("code") == "insufficient_quota")'
RETRY_WRONG = [
    """
    # contains "429" and "503"
    texts = ("408", "429", "50", "52")
    kinds = (InferenceTimeoutError, httpx2.TransportError)
    return isinstance(error, kinds) or any(text in str(error) for text in texts)""",
    (">= 520", '>= 520 or "429 `" in str(error)', "talks about 429 tokens"),
    """
    # 'response'
    return error.response.status_code in SOON or error.response.status_code >= 520""",
    ("return True", "return False", "httpx2.ConnectError"),
    ("InferenceTimeoutError, ", "", "InferenceTimeoutError"),
    ("TransportError", "ConnectError", "httpx2.ReadError"),
    (MONEY, "True", "insufficient_quota"),
    (MONEY, 'problem["code"] != "insufficient_quota"', "a text in most"),
    (MONEY, "False", "when to come back"),
    (" or status >= 520", "", "belong to proxies"),
    ("return True", "A 401 stays a 401"),
    """
    # A 401 stays a 401
    return isinstance(error, (HfHubHTTPError, InferenceTimeoutError, httpx2.TransportError))""",
    ("return False", "return True", "a mistake in the program"),
    ("return False", "when to come back"),
    ('return "retry" if solved(error) else "fatal"', "True or False"),
    ("if solved(error):\n    return True", "nothing (None)"),
    ("print(solved(error))", "nothing (None)"),
    ("{408", "{404, 408", "nothing at this address"),
    ("time.sleep(1)\nreturn solved(error)", "It only decides"),
    (">= 520", ">= 500", "A 501"),
    ("status >= 520", "status in range(520, 525)", "this was a 530"),
    ("{408", "{408, 409", "A 409"),
    ("425, ", "", "A 425"),
    (MONEY, '"insufficient_quota" not in str(error)', "not for a word in the text"),
    ("return False", "return isinstance(error, OSError)", "FileNotFoundError"),
    ("return False", "return isinstance(error, ConnectionError)", "OfflineModeIsEnabled"),
    ("return False", "return isinstance(error, httpx2.HTTPError)", "TooManyRedirects"),
    (">= 520", '>= 520 or "retry-after" in headers_of(error)', "not whether"),
]

RANGE = "min(20, 0.5 * 2 ** (failures - 1))"
DRAW = f"random.uniform(0, {RANGE})"
WAIT_WRONG = [
    ("if asked", "if False", "Never come back earlier"),
    ("limit.remaining == 0", "False", "and nothing else"),
    ('if "retry-after" in headers', "if False", "`Retry-After:"),
    ("float", "int", "Take `float(…)`"),
    ("float", "str", "returned a text"),
    ("max", "min", "the longer one counts"),
    ("max(asked)", "asked[0]", "the longer one counts"),
    (" and limit.remaining == 0", "", "12 requests remain"),
    ("max(asked)", "max(asked) * 2**failures", "do not double"),
    ("max(asked)", "min(20, max(asked))", "Never come back earlier"),
    (DRAW, RANGE, "come back together"),
    (DRAW, f"{RANGE} * random.uniform(0.8, 1)", "whole range"),
    (RANGE, "0.5 * 2 ** (failures - 1)", "ends at the cap"),
    ("return solved(headers, failures if headers else failures + 1)", "from 0 to 0.5 s"),
    (RANGE, "0.5", "never went above"),
    ("time.sleep(solved(headers, failures))", "waits by itself"),
    ("solved(headers, failures)", "nothing (None)"),
    (DRAW, "random.uniform(-0.5, 0.5)", "Time does not run backwards"),
    (DRAW, "min(20, random.uniform(0, 0.5 * 2 ** (failures - 1)))", "you draw first"),
    ("== 0", "<= 1", "1 request remains"),
    ("max", "sum", "do not double"),
    (DRAW, f"{DRAW} / 2", "never went above"),
]

LOOP = "for failures in range(1, 5):"
ENDS = "failures == 4 or "
SLEEP = "time.sleep(seconds_to_wait(headers, failures))"
SLEEP_BUT_LAST = f"if failures < 4:\n                {SLEEP}"
AGAIN_WRONG = [
    (f"if {ENDS}not should_retry(error)", "if True", "A 503 was not tried again"),
    ("== 4", "== 3", "gave up after 3 requests"),
    (("(1, 5)", "(1, 6)"), ("== 4", "== 5"), "you sent 5 requests"),
    (("(1, 5)", "(1, 10**6)"), (ENDS, ""), "4 are allowed"),
    (" or not should_retry(error)", "", "A 401 was tried again"),
    (SLEEP, "pass", "without waiting"),
    ("seconds_to_wait(headers, failures)", "1", "Nobody said how long"),
    ("(headers, ", "({}, ", "Give `seconds_to_wait` the headers"),
    ("(headers, failures)", "(headers, failures + 3)", "1 for the first"),
    (
        "response.headers if response is not None else {}",
        "error.response.headers",
        "has no response",
    ),
    ("except Exception", "except HfHubHTTPError", "The connection was refused"),
    (
        (ENDS, ""),
        (SLEEP, f"{SLEEP}\n            if failures == 4:\n                raise"),
        "The last one was for nothing",
    ),
    (
        (ENDS, ""),
        (SLEEP, f'{SLEEP_BUT_LAST}\n    raise RuntimeError("Failed after 4 tries")'),
        "RuntimeError instead",
    ),
    ((ENDS, ""), (SLEEP, SLEEP_BUT_LAST), "as if there were an answer"),
    """
    # as if there were an answer
    try:
        return solved(client, question)
    except Exception as error:
        return f"Sorry: {error}" """,
    ("time.sleep(0.1)\nreturn solved(client, question)", "waited all the same"),
    ("print(solved(client, question))", "prints the answer and returns nothing"),
    ('return "An answer."', "No request was sent"),
    ("client.", "InferenceClient().", "a client of its own"),
    (
        (LOOP, "failures = 0\n    while True:"),
        (
            "if failures",
            "failures += not isinstance(error, httpx2.TransportError)\n            if failures",
        ),
        ("(headers, failures)", "(headers, max(failures, 1))"),
        "The connection was refused again and again",
    ),
    (
        (LOOP, "failures = 0\n    while True:"),
        ("if failures", "failures += status_of(error) != 429\n            if failures"),
        ("(headers, failures)", "(headers, max(failures, 1))"),
        "refused every time (429)",
    ),
    ("(headers, failures)", "(headers, 1)", "your third pause was never longer"),
    ("models.chat", "models.chat if failures == 1 else models.tools", "You asked"),
]

FITS = "waited + seconds > patience"
WITHIN_WRONG = [
    ("waited + seconds", "seconds", "not all of them together"),
    (
        (FITS, "waited >= patience"),
        ("time.sleep", "seconds = min(patience - waited, seconds)\n        time.sleep"),
        "only comes too early",
    ),
    ("waited + seconds", "waited", "whether it still fits"),
    (FITS, "failures == 4", "whether it still fits"),
    (FITS, "failures == 3 or seconds > patience", "there is no number of tries"),
    (
        (FITS, "failures == 19"),
        ("time.sleep", f"if {FITS}:\n            continue\n        time.sleep"),
        "without waiting",
    ),
    ("raise", "return None", "returned nothing (None)"),
    ("not should_retry(error) or ", "", "A 403 was tried again"),
    ("> patience", "> patience - 0.001", "fits exactly"),
    ("while True", "while waited < patience", "Patience is about waits"),
    ("while True", "while waited < (patience or 1e-9)", "did not send it"),
    ("client.", "InferenceClient(timeout=30).", "a client of its own"),
    (
        ("seconds = seconds_to_wait", "draw = lambda: seconds_to_wait"),
        ("waited + seconds", "waited + draw()"),
        ("sleep(seconds)", "sleep(draw())"),
        ("+= seconds", "+= draw()"),
        "once for each failure",
    ),
    (FITS, f"{FITS} or failures == 10", "there is no number of tries"),
    ("{}, failures)", "{}, 1)", "the number of failures so far, which grows"),
    (
        "raise",
        "if not should_retry(error):\n                    raise\n"
        '                raise TimeoutError("no patience left") from error',
        "TimeoutError instead",
    ),
    ('return "An answer."', "No request was sent"),
]

TOLD = "response.headers if response is not None else {}"
GUARD = "if chunk.choices and chunk.choices[0].delta.content:"
STREAM_WRONG = [
    ("handed_over or ", "", "you began anew"),
    ("yield from pieces_of(client, question)", "Nobody has read anything yet"),
    """
    # collects first
    for failures in range(1, 4):
        try:
            pieces = list(pieces_of(client, question))
            break
        except Exception as error:
            if failures == 3 or not should_retry(error):
                raise
    yield from pieces""",
    """
    # as if the answer were whole
    try:
        yield from solved(client, question)
    except httpx2.TransportError:
        pass""",
    ('return "".join(solved(client, question))', "all at once"),
    ("return list(solved(client, question))", "all at once"),
    ('yield "".join(solved(client, question))', "in one piece"),
    ('yield from ask_again(client, question).split(" ")', "did not ask for a stream"),
    (GUARD, "if True:", "nothing (None)"),
    (
        (GUARD, "if True:"),
        ("yield chunk.choices[0].delta.content", "yield chunk"),
        "Hand over the text",
    ),
    (" or not should_retry(error)", "", "A 401 was tried again"),
    (("(1, 4)", "(1, 6)"), ("== 3", "== 5"), "you sent 5 requests"),
    (
        ("failures == 3 or ", ""),
        ("{}, failures))", "{}, failures))\n            if failures == 3:\n                raise"),
        "waited after the last try",
    ),
    ("for _ in solved(client, question):\n    pass", "nothing (None)"),
    ("chunk.choices and ", "", "`choices` is an empty list"),
    (f"time.sleep(seconds_to_wait({TOLD}, failures))", "pass", "without waiting"),
    (TOLD, "{}", "`Retry-After: 30`"),
    (
        ("handed_over = False", "pieces = 0"),
        ("handed_over = True", "pieces += 1"),
        ("handed_over or", "pieces > 1 or"),
        "one piece is enough",
    ),
    ("client.", "InferenceClient().", "a client of its own"),
    ("content:", "content is not None:", "a piece without text"),
]

RIGHT = [
    (RETRY, 'return classify(error).kind != "fatal"'),
    """
    def should_retry(error):
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
        return False""",
    (WAIT, "max(asked)", "max(asked) + 0.5"),
    """
    def seconds_to_wait(headers, failures):
        limit = parse_ratelimit(headers)
        reset = limit.reset if limit and not limit.remaining else 0
        return max(parse_retry_after(headers) or 0, reset) or backoff(failures)""",
    """
    def ask_again(client, question):
        messages, failures = [{"role": "user", "content": question}], 0
        while True:
            try:
                response = client.chat_completion(messages, model=models.chat, max_tokens=200)
                return response.choices[0].message.content
            except Exception as error:
                failures += 1
                if failures >= 4 or not should_retry(error):
                    raise
                seconds = seconds_to_wait(headers_of(error), failures)
            time.sleep(seconds)""",
    # calls itself
    (
        AGAIN,
        ("question):", "question, failures=1):"),
        (LOOP, "if True:"),
        (SLEEP, f"{SLEEP}\n            return ask_again(client, question, failures + 1)"),
    ),
    (WITHIN, (FITS, "seconds > patience"), ("waited += seconds", "patience -= seconds")),
    (
        WITHIN,
        ("waited, failures = 0, 0", "end, failures = time.monotonic() + patience, 0"),
        (FITS, "time.monotonic() + seconds > end"),
        ("\n        waited += seconds", ""),
    ),
    (
        WITHIN,
        ("waited, failures = 0, 0", "started, failures = now(), 0"),
        ("waited + seconds", "now() - started + seconds"),
        ("\n        waited += seconds", ""),
    ),
    (  # half a second more than the server asked for, which task 2 allows
        WITHIN,
        "            if not",
        '            seconds += 0.5 * ("retry-after" in headers_of(error))\n            if not',
    ),
    (
        STREAM,
        ("handed_over = False", "pieces = 0"),
        ("handed_over = True", "pieces += 1"),
        ("handed_over or", "pieces or"),
    ),
    """
    def stream_text(client, question):
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
            yield from pieces""",
    (
        WITHIN,
        "waited, failures = 0, 0",
        "waited, failures = 0, 0\n    globals()['asked'] = question",
    ),
]
MISTAKES = (RETRY_WRONG, WAIT_WRONG, AGAIN_WRONG, WITHIN_WRONG, STREAM_WRONG)


class TestExercise(CheckCases):
    tasks, quiz = TASKS[:-1], QUIZ
    wrong, right = exercise("03_rate_limits_and_retries", tasks, MISTAKES, RIGHT, **NAMES)
    draws_right, shortest_why = 3, 40

    def before(self, draw):
        random.seed(draw)


def test_what_the_function_stores_is_still_there_after_the_check():
    """A clock that moves is put under its names for a while; nothing else is set or reset."""
    *_, (_, keeps) = TestExercise.right
    assert WITHIN.judge(keeps).ok
    assert keeps.__globals__["asked"].startswith("What does the word")
    assert keeps.__globals__["now"] is time.perf_counter
