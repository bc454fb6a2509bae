"""Exercise 08: the stub fails, the solution passes, each mistake gets the message about it."""

import contextlib
import time

import httpx2
import pytest
from check_cases import UNRULY, CheckCases
from huggingface_hub import get_inference_endpoint
from huggingface_hub.errors import HfHubHTTPError, InferenceEndpointTimeoutError
from wrong import exercise, hides

from helpers import models
from helpers.exercises.kit import answer, error, spy
from helpers.exercises.lessons.lesson_08 import TASKS
from helpers.exercises.lessons.lesson_08_plane import Plane

AUDIT, EVEN, PATIENT, OWN, QUIZ = TASKS


def thrice(call, *arguments, **named):
    for _ in range(2):
        try:
            return call(*arguments, **named)
        except HfHubHTTPError:
            time.sleep(1)
    return call(*arguments, **named)


RENTED = {
    "repository": models.chat,
    "framework": "pytorch",
    "accelerator": "gpu",
    "instance_size": "x1",
    "instance_type": "nvidia-l4",
    "region": "us-east-1",
    "vendor": "aws",
}
NAMES = {"thrice": thrice, "rented": RENTED, "fixed": dict(models["chat"].price)}

IDS = "[name for name, price in prices.items() if price == rate]"
COST, TIMES = 'prices[example["instance"]]', "] * replica_hours"


def hardware(chosen: str, status: str = "") -> str:
    """What stands for IDS in an answer that looks at the hardware once more."""
    also = f' and one.status == "{status}"' if status else ""
    rows = f"for one in list_inference_endpoints_hardware() if one.price_per_hour == rate{also}"
    return f"[{chosen} {rows}]"


AUDIT_WRONG = [
    ('return 48.91, 0.064, ["aws-us-east-1-intel-icl-x2"]', "service was not asked"),
    (COST, 'documented_price("aws", "intel-spr", "x2")', "the documented price"),
    (' * example["min_replica"]', "", "left out `min_replica`"),
    (TIMES, '] * example["hours"]', "left out `min_replica`"),
    ("/ replica_hours", '/ example["hours"]', "by `hours` and by `min_replica`"),
    (TIMES, '] * 730 * example["min_replica"]', "730 hours"),
    (TIMES, '] * 720 * example["min_replica"]', "720 hours"),
    (TIMES, '] * example["min_replica"]', "cost of one hour"),
    ("return right", 'return example["printed"]', "returned the printed result"),
    (COST, "list(prices.values())[-1]", "compare it with `id`"),
    ("return right, rate", "return right, right / replica_hours", "today's price of the instance"),
    (
        'round(example["printed"] / replica_hours, 3)',
        'example["printed"] / replica_hours + 1e-7',
        "three digits",
    ),
    (IDS, hardware("one.id", "available"), "available instances only"),
    ("rate, ids", "rate, ids[0]", "returned one id"),
    ("rate, ids", "rate, ids[:1]", "Two instances cost that much"),
    (IDS, hardware("one"), "hardware objects"),
    ("rate, ids", "rate, []", "found no instance"),
    ("return right, rate, ids", "return right", "three things"),
    ("return right, rate, ids", "print(right, rate, ids)", "returns nothing (None)"),
    ("return right", 'return f"${right:.2f}"', "returned a text"),
    (
        "prices =",
        'create_inference_endpoint("x", **rented)\n    prices =',
        "a request that changes something",
    ),
    ("return right", "return right * 1.7", "The right cost is $"),
    ("return right, rate", "return rate, right", "in another order"),
    ("price == rate", "abs(price - rate) < 0.002", "Two instances cost that much"),
    (
        "return right",
        'example["hours"] *= example.pop("min_replica")\n    return right',
        "changed the dictionary",
    ),
    ("rate, ids", "rate, ids + ids", "twice"),
    (IDS, hardware("one.id", "deprecated"), "Two instances cost that much"),
]

PRICE, LIMIT = 'models["chat"].price', " if meet <= full else None"
GIVEN = "response, seconds, hour, at_once"
EVEN_WRONG = [
    ("return meet", "return hour / one_request", "for one hour"),
    ("return meet", "return 30 * meet", "for a month"),
    ("return meet", "return meet / 1e6", "counted them per token"),
    ("return meet", "return 1 / meet", "wrong way round"),
    ("return meet", "return 24 * hour * one_request", "You multiplied"),
    ("return meet", "return full", "how many requests a replica can hold"),
    (
        "return meet",
        f'return 24 * hour / (usage.total_tokens * {PRICE}["input"] / 1e6)',
        "at the price of the prompt",
    ),
    (
        "return meet",
        f'return 24 * hour / (usage.completion_tokens * {PRICE}["output"] / 1e6)',
        "the answer only",
    ),
    (
        "return meet",
        'return 24 * hour / models["chat"].cost(usage.completion_tokens, usage.prompt_tokens)',
        "swapped",
    ),
    (
        "return meet",
        "at_fixed = usage.prompt_tokens * fixed['input']\n"
        "    at_fixed += usage.completion_tokens * fixed['output']\n"
        "    return 24 * hour / (at_fixed / 1e6)",
        "written into your code",
    ),
    ("return meet", "return 960_000", "the break-even is at"),
    ("return meet", 'return f"{meet:,.0f}"', "returned a text"),
    (LIMIT, "", "there is no break-even: return None"),
    ("else None", 'else float("inf")', "there is no break-even: return None"),
    ("return None", "You returned None, which says"),
    ("<=", ">", "You returned None, which says"),
    ("at_once /", "1 /", "returned None"),
    ("24 * 3600", "3600", "returned None"),
    ("at_once / seconds", "at_once", "Look at the units"),
    ("return meet if meet <= full else None", f"print(meet{LIMIT})", "prints the result"),
    (
        "usage =",
        'ask = [{"role": "user", "content": "How much?"}]\n'
        "    InferenceClient().chat_completion(ask, model=models.chat)\n"
        "    usage =",
        "sent a request",
    ),
    ("= at_once", "= 0.95 * at_once", "Look at the units"),
    f"""
    # That is an answer, not an error
    meet = solved({GIVEN})
    if meet is None:
        raise ValueError("there is no break-even")
    return meet""",
    ("else None", "else 0", "there is no break-even: return None"),
    (f"meet{LIMIT}", f"(meet{LIMIT}), full", "you returned a tuple"),
    ("24 * hour", "24 * hour / at_once", "the break-even is at"),
]

WAITS = 'headers={"X-Scale-Up-Timeout": "600"}'
HOW = f", {WAITS}, timeout=660"
ASKED = '[{"role": "user", "content": question}]'
CHAT, CONTENT = f"client.chat_completion({ASKED}, max_tokens=100)", ".choices[0].message.content"
BY_OPENAI = f"""
ai = OpenAI(base_url=url + "/v1", api_key=os.environ["HF_TOKEN"], <settings>)
asked = {{"messages": {ASKED}, "max_tokens": 100}}
return ai.chat.completions.create(model="x", **asked, <more>){CONTENT}"""


def by_openai(settings: str, more: str = "") -> str:
    return BY_OPENAI.replace("<settings>", settings).replace("<more>", more)


PATIENT_WRONG = [
    (by_openai(f"default_{WAITS}"), "max_retries=0"),
    (HOW, "", "no header `X-Scale-Up-Timeout`"),
    (HOW, ", timeout=600", "no header `X-Scale-Up-Timeout`"),
    (
        (HOW, ""),
        ("max_tokens=100", 'max_tokens=100, extra_body={"X-Scale-Up-Timeout": "600"}'),
        "in the body of the request",
    ),
    ("X-Scale-Up-Timeout", "X-Scale-Timeout", "`x-scale-timeout`, which nobody knows"),
    ('"600"', '"600s"', "was `600s`"),
    ('"600"', '"30"', "was `30`"),
    ('"600"', "600", "values of headers are texts"),
    f"""
    # no header `X-Scale-Up-Timeout`
    client = InferenceClient(model=url)
    while True:
        try:
            return {CHAT}{CONTENT}
        except HfHubHTTPError:
            time.sleep(5)""",
    ("solved(url, question)\nreturn solved(url, question)", "2 requests for one question"),
    ("return thrice(solved, url, question)", "Let the error through"),
    (hides("url, question", '"Sorry."'), "as if nothing had happened"),
    (("model=url, ", ""), ("max_tokens", "model=models.chat, max_tokens"), "asked the router"),
    (CHAT, "client.text_generation(question, max_new_tokens=100)", "`text_generation`"),
    (", max_tokens=100", "", "`max_tokens` was None"),
    (CONTENT, "", "whole response object"),
    (ASKED, "question", "`messages` as a plain text"),
    ('return solved(url, "Are you awake?")', "question is not in the request"),
    ('return "It is a word."', "No request was sent"),
    ("print(solved(url, question))", "prints the answer and returns nothing"),
    ('return solved(url, question + os.environ["HF_TOKEN"])', "Your token is in the body"),
    ("660", "5", "gives up after 5 seconds"),
    ("time.sleep(600)\nreturn solved(url, question)", "waited 600 seconds by itself"),
    """
    # raised RuntimeError instead
    try:
        return solved(url, question)
    except HfHubHTTPError:
        raise RuntimeError("asleep") from None""",
    (("max_tokens=100", "max_tokens=100, stream=True"), (CONTENT, ""), "returned a stream"),
    f"""
    # no header `X-Scale-Up-Timeout`
    client = InferenceClient(model=url)
    with contextlib.suppress(HfHubHTTPError):
        {CHAT}
    return solved(url, question)""",
]

RESUME, WAIT, PAUSE = "endpoint.resume()", "endpoint.wait(timeout=900)", "endpoint.pause()"
RETURN = f"return response{CONTENT}"
OWN_BY_OPENAI = f"""
endpoint = get_inference_endpoint(name)
try:
    endpoint.resume().wait(timeout=900)
    ai = OpenAI(base_url=endpoint.url + "/v1", api_key=os.environ["HF_TOKEN"], max_retries=%d)
    model = ai.models.list().data[0].id
    return ai.chat.completions.create(model=model, messages={ASKED}, max_tokens=100){CONTENT}
finally:
    endpoint.pause()"""
OWN_WRONG = [
    (PAUSE, "pass", "left running"),
    (
        ("try:", "if True:"),
        (f"        {RETURN}\n    finally:\n        {PAUSE}", f"        {PAUSE}\n        {RETURN}"),
        "When the request failed with 500, the endpoint was left running",
    ),
    (
        f"        {RETURN}\n    finally:\n        {PAUSE}",
        f"    except Exception:\n        {PAUSE}\n        raise\n    {PAUSE}\n    {RETURN}",
        "`except Exception` does not see it",
    ),
    (
        f"    try:\n        {RESUME}\n        {WAIT}",
        f"    {RESUME}\n    {WAIT}\n    try:",
        "When the start failed",
    ),
    ("timeout=900", "", "waited for ever"),
    (
        WAIT,
        'while endpoint.fetch().status != "running":\n            time.sleep(5)',
        "A start can fail",
    ),
    ("timeout=900", "timeout=20_000, refresh_every=60", "5.6 hours"),
    (RESUME, "pass", "until its deadline"),
    ((RESUME, "pass"), ("timeout=900", ""), "call `resume()` first"),
    (WAIT, "pass", "`wait(timeout=…)` first"),
    ((RESUME, "pass"), (WAIT, "pass"), "`endpoint.resume()` starts it"),
    (PAUSE, "endpoint.delete()", "You deleted the endpoint"),
    (PAUSE, "endpoint.scale_to_zero()", "next stray request wakes it"),
    (
        "create_inference_endpoint(name, **rented)\nreturn solved(name, question)",
        "You created an endpoint",
    ),
    (hides("name, question", "None"), "as if nothing had happened"),
    """
    # before the deadline, your function returned as if
    try:
        return solved(name, question)
    except InferenceEndpointTimeoutError:
        return "not today\"""",
    (
        ("endpoint.client", "InferenceClient()"),
        ("endpoint.repository", "models.chat"),
        "You asked the router instead",
    ),
    (f"client = InferenceClient(model=models.chat)\nreturn {CHAT}{CONTENT}", "never looked up"),
    (RESUME, "endpoint.resume(running_ok=False)", "running_ok=False"),
    (CONTENT, "", "whole response object"),
    ("max_tokens=100", "max_tokens=10", "`max_tokens` was 10"),
    (
        "endpoint.client.chat_completion(",
        "thrice(endpoint.client.chat_completion,",
        "your function asked 3 times",
    ),
    (OWN_BY_OPENAI % 2, "`max_retries=0`"),
    ("900", "30", "gave up before"),
    (
        (WAIT, "pass"),
        ("endpoint.client", f"InferenceClient(model=endpoint.url, {WAITS})"),
        ("model=endpoint.repository, ", ""),
        "still None",
    ),
    (PAUSE, "endpoint.update(min_replica=0, scale_to_zero_timeout=15)", "left running"),
    (
        ("try:", "text = None\n    try:"),
        (RETURN, f"text = response{CONTENT}"),
        (PAUSE, f"{PAUSE}\n        return text"),
        "as if nothing had happened",
    ),
    (
        ("try:", 'ran = endpoint.status == "running"\n    try:'),
        (PAUSE, f"if not ran:\n            {PAUSE}"),
        "When it ran already, the endpoint was left running",
    ),
]

RIGHT = [
    (AUDIT, "return right, rate, ids", "return round(right, 2), rate, set(ids)"),
    (AUDIT, "return right, rate, ids", "return [right, rate, ids]"),
    """
    def break_even(response, seconds, hour, at_once):
        price, usage = models["chat"].price, response.usage
        asked, written = usage.prompt_tokens, usage.completion_tokens
        meet = 24 * hour / (asked * price["input"] / 1e6 + written * price["output"] / 1e6)
        return round(meet) if meet * seconds <= at_once * 24 * 3600 else None""",
    """
    def break_even(response, seconds, hour, at_once):
        asked, written = response.usage.prompt_tokens, response.usage.completion_tokens
        work = Workload(1, asked, written, seconds, at_once=at_once)
        return work.break_even(models["chat"], hour)""",
    (EVEN, "return meet", "return Decimal(meet)"),
    (
        PATIENT,
        ("model=url", "base_url=url"),
        ("X-Scale-Up-Timeout", "x-scale-up-timeout"),
        ("660", "700"),
        ("max_tokens", 'model="anything", max_tokens'),
    ),
    (PATIENT, by_openai("max_retries=0", f"extra_{WAITS}")),
    f"""
    def ask_patiently(url, question):
        with InferenceClient(model=url{HOW}) as client:
            response = client.chat_completion({ASKED}, model=models.chat, max_tokens=100)
            return response{CONTENT}""",
    f"""
    def ask_patiently(url, question):
        with InferenceClient(model=url, {WAITS}) as client:
            chunks = client.chat_completion({ASKED}, max_tokens=100, stream=True)
            said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
            return "".join(said)""",
    (PATIENT, ("def", "async def"), ("= Inf", "= AsyncInf"), ("= client", "= await client")),
    f"""
    def ask_my_own(name, question):
        api = HfApi()
        try:
            api.resume_inference_endpoint(name)
            deadline = time.monotonic() + 900
            while (endpoint := api.get_inference_endpoint(name)).status != "running":
                if time.monotonic() > deadline or endpoint.status == "failed":
                    raise TimeoutError("it did not start")
                time.sleep(10)
            client = InferenceClient(model=endpoint.url)
            return {CHAT}{CONTENT}
        finally:
            api.pause_inference_endpoint(name)""",
    (
        OWN,
        f"    try:\n        {RESUME}\n        {WAIT}",
        f'    if endpoint.status == "paused":\n        {RESUME}\n'
        "    try:\n        endpoint = endpoint.wait(timeout=600, refresh_every=10)",
    ),
    (OWN, OWN_BY_OPENAI % 0),
    f"""
    def ask_my_own(name, question):
        with contextlib.ExitStack() as stack:
            endpoint = get_inference_endpoint(name)
            stack.callback(endpoint.pause)
            endpoint.resume().wait(timeout=1800, refresh_every=10)
            client = InferenceClient(model=endpoint.url, timeout=60)
            response = client.chat_completion({ASKED}, model=endpoint.repository, max_tokens=100)
            return response{CONTENT}""",
]


def looks_for_ever(name, question=None, *more):
    while True:
        with contextlib.suppress(Exception):
            get_inference_endpoint(name)


class TestExercise(CheckCases):
    tasks, quiz = TASKS[:4], QUIZ
    mistakes = (AUDIT_WRONG, EVEN_WRONG, PATIENT_WRONG, OWN_WRONG)
    wrong, right = exercise("08_serverless_or_endpoints", tasks, mistakes, RIGHT, **NAMES)
    unruly = [
        *UNRULY,
        lambda *a: (1.0, 0.1, ["x"]),
        lambda *a: (True, True, True),
        lambda *a: (None, None, None),
        lambda *a: (float("nan"), 1, []),
        lambda *a: (1, 2, {"x": 1}),
        lambda *a: -1,
    ]


def test_looking_without_end_is_ended():
    verdict = OWN.judge(looks_for_ever)
    assert not verdict.ok and "resume()" in verdict.message


# ---- the stand-in behaves as the control plane does ----


def test_the_plane_lives_as_an_endpoint_does():
    plane = Plane("scaledToZero", comes=30)
    with spy(routes=plane) as service:

        def chat(endpoint):
            messages = [{"role": "user", "content": "Hi"}]
            return endpoint.client.chat_completion(messages, max_tokens=100)

        def life():
            endpoint = get_inference_endpoint(plane.name)
            states = [endpoint.status]
            with pytest.raises(HfHubHTTPError, match="503"):
                chat(endpoint)
            states.append(endpoint.fetch().status)
            states.append(endpoint.wait(timeout=60).status)
            chat(endpoint)
            states.append(endpoint.pause().status)
            with pytest.raises(InferenceEndpointTimeoutError):
                endpoint.wait(timeout=600)
            endpoint.delete()
            return states

        assert service.call(life) == ["scaledToZero", "pending", "running", "paused"]
    assert 600 < sum(service.slept) < 700 and plane.done[-1] == "delete" and "chat" in plane.done


def test_routes_leave_the_rest_to_the_spy():
    def own(entry):
        return answer({"own": True}) if entry.path == "/mine" else None

    asked = [("GET", "/mine"), ("POST", "/mine"), ("POST", "/mine"), ("GET", "/x")]
    with spy(error(418), routes=own) as service:
        said = [
            httpx2.request(method, f"https://huggingface.co{path}").status_code
            for method, path in asked
        ]
    assert said == [200, 418, 200, 404] and len(service.sent) == 2
