"""Exercise 08: serverless, or an endpoint of your own."""

import math
import numbers
import random
import time
from contextlib import contextmanager
from decimal import Decimal
from types import ModuleType
from unittest.mock import patch

from helpers.exercises.kit import (
    NotYet,
    Raised,
    answer,
    describe,
    error,
    expect,
    expect_text,
    read_tasks,
    reply,
    spy,
    words,
)
from helpers.exercises.lessons.lesson_01 import other_prices
from helpers.exercises.running import Stop
from helpers.models import models

USER = "spied-user"


# ---- endpoints that exist only for the check ----------------------------------------------------------------------


class Plane:
    """The control plane with one endpoint, as routes for a spy. Its time is the time that the function has waited.

    state : what the endpoint is in at first. comes : seconds from a start until it runs, None: never. fails : it ends in `failed`.
    chat : what a chat request gets while it runs. rows : the hardware, {id: (price, status)}.
    done : what was asked of it, in order: "resume", "pause", "scale-to-zero", "update", "delete", "create", "chat", "look".
    """

    def __init__(self, state="paused", comes=60.0, fails=False, chat=None, rows=None):
        self.name, self.state, self.comes, self.fails, self.chat = (
            "own-" + words(1),
            state,
            comes,
            fails,
            chat,
        )
        self.rows = rows or {}
        self.done: list[str] = []
        self.looked, self.since, self.service = 0, None, None
        self.url = f"https://{self.name}.us-east-1.aws.endpoints.huggingface.cloud"

    def __call__(self, entry):
        path = entry.path.split("?")[0]
        if path == "/api/whoami-v2":
            return answer({"type": "user", "name": USER, "orgs": []})
        if path.startswith("/v2/provider/"):
            return answer(self._hardware())
        if entry.host == "api.endpoints.huggingface.cloud":
            return self._control(entry.method, path)
        if entry.host == self.url.removeprefix("https://"):
            return lambda service, entry: self._own(service, entry, path)
        return None

    def now(self) -> str:
        """The state at this moment."""
        if self.since is not None:
            passed = sum(self.service.slept) - self.since
            self.state = (
                "pending"
                if passed < 3
                else (
                    "initializing"
                    if self.comes is None or passed < self.comes
                    else "failed"
                    if self.fails
                    else "running"
                )
            )
        return self.state

    def stop(self, state: str) -> None:
        self.since, self.state = None, state

    def start(self) -> None:
        self.since = sum(self.service.slept)

    def _control(self, method: str, path: str):
        parts = path.removeprefix("/v2/endpoint/").split("/")
        if len(parts) == 1:
            if method == "POST":
                self.done.append("create")
                self.start()
            return answer({"items": [self._raw()]} if method == "GET" else self._raw())
        if parts[1] != self.name:
            return answer({"error": f"Endpoint not found: {parts[1]}"}, 404)
        action = (
            parts[2]
            if len(parts) > 2
            else {"GET": "look", "PUT": "update", "DELETE": "delete"}.get(method, "look")
        )
        if action == "look":
            self.looked += 1
            if self.looked > 3000:
                raise Stop(
                    "Your function looked at the endpoint 3,000 times. A loop that waits needs an"
                    " end."
                )
        self.done.append(action)
        if action == "resume":
            if self.now() in ("running", "initializing", "pending"):
                return answer(
                    {"error": f"Bad Request: Endpoint is already running (state: {self.state})"},
                    400,
                )
            self.start()
        elif action in ("pause", "scale-to-zero"):
            self.stop("paused" if action == "pause" else "scaledToZero")
        elif action == "delete":
            self.stop("deleted")
            return answer({})
        return answer(self._raw())

    def _own(self, service, entry, path: str):
        state = self.now()
        if path == "/health":
            return answer({}, 200 if state == "running" else 503)(service, entry)
        if path == "/v1/models":
            return answer({"object": "list", "data": [{"id": self.name, "object": "model"}]})(
                service, entry
            )
        held = service.headers[-1].get("x-scale-up-timeout", "") if entry.method == "POST" else ""
        if state == "scaledToZero":
            self.start()
            if held.isdecimal() and self.comes is not None and int(held) >= self.comes:
                self.stop("running")
                state = "running"
        if state == "paused":
            return error(400, "Bad Request: Invalid state")(service, entry)
        if state != "running":
            return error(503, "503 Service Unavailable")(service, entry)
        if path != "/v1/chat/completions":
            return answer({"detail": "Not Found"}, 404)(service, entry)
        self.done.append("chat")
        return (self.chat or reply())(service, entry)

    def _raw(self) -> dict:
        state = self.now()
        status = {
            "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": "2026-01-01T00:00:00.000Z",
            "state": state,
            "message": "",
            "readyReplica": int(state == "running"),
            "targetReplica": 1,
        }
        if state in ("running", "scaledToZero"):
            status["url"] = self.url
        return {
            "name": self.name,
            "type": "private",
            "provider": {"vendor": "aws", "region": "us-east-1"},
            "healthRoute": "/health",
            "compute": {
                "accelerator": "gpu",
                "instanceType": "nvidia-l4",
                "instanceSize": "x1",
                "scaling": {"minReplica": 0, "maxReplica": 1},
            },
            "model": {
                "repository": models.chat,
                "revision": "main",
                "task": "text-generation",
                "framework": "pytorch",
                "image": {"vLLM": {}},
            },
            "status": status,
        }

    def _hardware(self) -> dict:
        regions: dict = {}
        for name, (price, status) in self.rows.items():
            vendor, region, kind, size = name.split("|")
            regions.setdefault(vendor, {}).setdefault(region, []).append(
                {
                    "id": f"{vendor}-{region}-{kind}-{size}",
                    "accelerator": "cpu",
                    "instanceType": kind,
                    "instanceSize": size,
                    "architecture": kind,
                    "numAccelerators": 1,
                    "numCpus": 1,
                    "memoryGb": 2,
                    "gpuMemoryGb": None,
                    "pricePerHour": price,
                    "status": status,
                    "quota": {"maxAccelerators": 8, "usedAccelerators": 0},
                }
            )
        return {
            "vendors": [
                {
                    "name": vendor,
                    "regions": [
                        {"name": region, "computes": rows} for region, rows in inside.items()
                    ],
                }
                for vendor, inside in regions.items()
            ]
        }


class _Time(ModuleType):
    """The module `time` with clocks that go on while the function waits, which the spy only notes."""

    def __init__(self, service):
        super().__init__("time")
        self._service = service

    def __getattr__(self, name):
        real = getattr(time, name)
        if name in ("time", "monotonic", "perf_counter"):
            return lambda: real() + sum(self._service.slept)
        return real  # `sleep` too: the spy's, while the function runs


@contextmanager
def time_that_passes(service, function):
    """Let deadlines pass: in `wait()` of huggingface_hub, and in the function's own module."""
    import huggingface_hub._inference_endpoints as theirs

    moving, own = _Time(service), getattr(function, "__globals__", {})
    names = [name for name, value in own.items() if value is time]
    with patch.object(theirs, "time", moving):
        own.update(dict.fromkeys(names, moving))
        try:
            yield
        finally:
            own.update(dict.fromkeys(names, time))


def number(value, what: str, service) -> float:
    """`value` as a float. Expects a number, and says what came instead."""
    expect(
        value is not None,
        (
            f"Your function prints {what} and returns nothing."
            if service.printed
            else (
                f"Your function returns nothing (None) where {what} is asked for. Did you forget"
                " `return`?"
            )
        ),
    )
    expect(
        not isinstance(value, str),
        f"You returned a text. {what[0].upper()}{what[1:]} is a number; how to show it is for"
        " whoever prints it.",
    )
    expect(
        isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool),
        f"{what[0].upper()}{what[1:]} must be a number; you returned {describe(value)}.",
    )
    return float(value)


def close(one: float, other: float, tolerance: float = 1e-9) -> bool:
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-12)


# ---- 1 ------------------------------------------------------------------------------------------------------------


def an_example() -> tuple[dict, dict, float, list[str]]:
    """(example, hardware, right result, ids of the culprit's price) with numbers that nobody can know beforehand."""
    price, culprit = random.sample(range(31, 499, 2), 2)
    rows = {
        "aws|us-east-1|intel-spr|x2": (price / 1000, "available"),
        "aws|us-east-1|intel-icl|x2": (culprit / 1000, "deprecated"),
        "gcp|us-east4|intel-spr|x1": (culprit / 1000, "available"),
        "azure|eastus|intel-xeon|x8": (0.5, "available"),
        "aws|us-east-1|nvidia-l4|x1": (0.8, "available"),
        "azure|eastus|intel-xeon|x4": ((culprit + 1) / 1000, "available"),
        "aws|us-east-1|intel-spr|x1": (0.03, "available"),
    }
    hours, replicas = random.randint(600, 800), random.randint(2, 4)
    example = {
        "instance": "aws-us-east-1-intel-spr-x2",
        "hours": hours,
        "min_replica": replicas,
        "printed": round(culprit / 1000 * hours * replicas, 2),
    }
    return (
        example,
        rows,
        price / 1000 * hours * replicas,
        ["aws-us-east-1-intel-icl-x2", "gcp-us-east4-intel-spr-x1"],
    )


def check_audit(audit) -> str:
    from helpers.endpoints import documented_price

    for _ in range(2):
        example, rows, right, ids = an_example()
        hours, replicas, printed = example["hours"], example["min_replica"], example["printed"]
        plane, given = Plane(rows=rows), dict(example)
        with spy(routes=plane, seconds=20) as service:
            plane.service = service
            value = service.call(audit, given)
        asked = [entry for entry in service.lookups if entry.path.startswith("/v2/provider/")]
        expect(
            asked,
            "The service was not asked for its prices, so yours are from somewhere else, and old"
            " one day. Call `list_inference_endpoints_hardware()`.",
        )
        expect(
            not service.sent.entries,
            "You sent a request that changes something. Reading the list of hardware is all this"
            " task needs, and it costs nothing.",
        )
        expect(
            value is not None,
            "Your function returns nothing (None); the task asks for three things, `return right,"
            " rate, ids`.",
        )
        expect(
            isinstance(value, (tuple, list)) and len(value) == 3,
            f"You returned {describe(value)}; the task asks for three things, `return right, rate,"
            " ids`.",
        )
        cost, rate, found = value
        cost, rate = number(cost, "the right cost", service), number(rate, "the rate", service)
        used = rows["aws|us-east-1|intel-spr|x2"][0]
        expect(
            not close(rate, right),
            "You returned the three things in another order. The task asks for `right, rate, ids`.",
        )
        mistakes = {
            printed: (
                "You returned the printed result as the right one. Calculate it anew, from today's"
                " price."
            ),
            used * hours: (
                f"You left out `min_replica`: {replicas} replicas run all the time, and each is"
                " paid for."
            ),
            used: (
                "You returned the price of an hour. The right cost is that of all the hours and"
                " replicas."
            ),
            used * replicas: "You returned the cost of one hour. Multiply by `hours` too.",
            used * 730 * replicas: (
                "You calculated with 730 hours. This example has its own number,"
                f' `example["hours"]`, here {hours}.'
            ),
            used * 720 * replicas: (
                "You calculated with 720 hours. This example has its own number,"
                f' `example["hours"]`, here {hours}.'
            ),
            (documented_price("aws", "intel-spr", "x2") or 0) * hours * replicas: (
                "You took the documented price. The service says what it costs today, in"
                " `price_per_hour`."
            ),
        }
        for wrong, message in mistakes.items():
            expect(close(cost, right) or not close(cost, wrong), message)
        for name, (price, _) in rows.items():
            expect(
                close(cost, right) or not close(cost, price * hours * replicas),
                f"You took the price of {name.replace('|', '-')}. The example names its instance in"
                ' `example["instance"]`; compare it with `id`.',
            )
        expect(
            close(cost, right, 1e-6) or not close(cost, round(right), 1e-9),
            "You rounded to whole dollars. Leave the result as it is, or round to cents.",
        )
        expect(
            abs(cost - right) <= 0.0051,
            f"The right cost is ${used:g} × {hours} hours × {replicas} replicas = ${right:.2f};"
            f" yours is {cost:.6g}.",
        )
        culprit = rows["aws|us-east-1|intel-icl|x2"][0]
        expect(
            abs(rate - printed / hours) > 0.0006,
            "The printed result is for all replicas. Divide by `hours` and by `min_replica`.",
        )
        expect(
            not close(rate, used),
            "That is today's price of the instance. The rate that the printed result was made with"
            " is `printed` divided by what it was multiplied with.",
        )
        expect(
            close(rate, culprit) or abs(rate - culprit) > 0.0005,
            "The printed result was rounded to cents, so the rate that you get back is off by a"
            " little. Prices have three digits: `round(…, 3)`.",
        )
        expect(
            close(rate, culprit),
            f"${printed} / ({hours} hours × {replicas} replicas) is ${culprit:g} an hour; yours is"
            f" {rate:.6g}.",
        )
        expect(
            not isinstance(found, str),
            "You returned one id. Several instances can have the same price: return the list of all"
            " of them.",
        )
        expect(
            isinstance(found, (list, tuple, set)),
            f"The third thing is {describe(found)}; it must be the list of the ids of all instances"
            " with that rate.",
        )
        found = list(found)
        expect(
            not any(hasattr(one, "price_per_hour") for one in found),
            "You returned the hardware objects. Return their ids: `one.id`.",
        )
        expect(
            ids[0] in found or ids[1] not in found,
            "You looked among the available instances only. An old page may well have used one that"
            " is deprecated today.",
        )
        expect(
            found,
            "You found no instance with that rate, but there are some. Did you compare with `==`"
            " before you rounded?",
        )
        expect(
            len(found) == len(set(map(str, found))),
            "One id is in your list twice. Each instance counts once.",
        )
        expect(
            set(found) == set(ids),
            f"Two instances cost that much here, {ids[0]} and {ids[1]}; you returned {found}.",
        )
        expect(
            given == example,
            "Your function changed the dictionary that it was given. Whoever called it still needs"
            " `example` as it was.",
        )
    return (
        "today's price from the service, the rate behind the printed result, and every instance"
        " that has it."
    )


# ---- 2 ------------------------------------------------------------------------------------------------------------


def check_break_even(break_even) -> str:
    from huggingface_hub import InferenceClient

    def run(hour, seconds, at_once, used):
        with spy(reply(usage=used)) as service, other_prices() as price:
            response = InferenceClient().chat_completion(
                [{"role": "user", "content": f"What is {words(1)}?"}], model=models.chat
            )
            value = service.call(break_even, response, seconds, hour, at_once)
            expect(
                len(service.sent) == 1,
                "Your function sent a request. What one request used is in the response already;"
                " this is arithmetic.",
            )
            return (
                value,
                service,
                (
                    used["prompt_tokens"] * price["input"]
                    + used["completion_tokens"] * price["output"]
                )
                / 1e6,
                dict(price),
            )

    kept = dict(models["chat"].price)
    for _ in range(2):
        used = {
            "prompt_tokens": random.randint(900, 2900),
            "completion_tokens": random.randint(1000, 9000),
        }
        hour, seconds, at_once = (
            random.randint(20, 90) / 100,
            random.randint(2, 6),
            random.randint(8, 30),
        )
        value, service, one, price = run(hour, seconds, at_once, used)
        right, full = 24 * hour / one, at_once / seconds * 86_400
        expect(
            value is not None or not service.printed,
            "Your function prints the result and returns nothing. Use `return`.",
        )
        expect(
            value is not None,
            f"You returned None, which says that there is no break-even. Here it is at {right:,.0f}"
            f" requests a day, and a replica holds {full:,.0f}.",
        )
        value = number(value, "the break-even", service)
        tokens = used["prompt_tokens"] + used["completion_tokens"]
        mistakes = {
            hour / one: (
                "That is the number of requests for one hour. The task asks for a day, and a"
                " replica that never sleeps costs 24 hours."
            ),
            right * 30: "That is the number for a month; the task asks for a day.",
            730 * hour / one: "That is the number for a month; the task asks for a day.",
            right / 1e6: (
                "The registry's prices are per million tokens, and you counted them per token."
                " Divide the price of a request by 1,000,000."
            ),
            one / (24 * hour): (
                "You divided the wrong way round: the price of a day, over the price of one"
                " request."
            ),
            24 * hour * one: (
                "You multiplied. How many requests cost as much as a day is a division: the price"
                " of a day, over the price of one request."
            ),
            full: (
                "You returned how many requests a replica can hold. That is the limit; the"
                " break-even is the price of a day over the price of a request."
            ),
            min(
                right, full
            ): "Take the break-even itself; the limit only decides whether there is one.",
            24 * hour / (tokens * price["input"] / 1e6): (
                "You counted all tokens at the price of the prompt's. What the model writes has its"
                " own price, `output`."
            ),
            24 * hour / (tokens * price["output"] / 1e6): (
                "You counted all tokens at the price of the written ones. The prompt has its own"
                " price, `input`."
            ),
            24 * hour / (used["prompt_tokens"] * price["input"] / 1e6): (
                "You counted the prompt only. What the model writes is part of the price of a"
                " request."
            ),
            24
            * hour
            / (
                used["completion_tokens"] * price["output"] / 1e6
            ): "You counted the answer only. The prompt is part of the price of a request.",
            24
            * hour
            / (
                (
                    used["prompt_tokens"] * price["output"]
                    + used["completion_tokens"] * price["input"]
                )
                / 1e6
            ): (
                "The two prices are swapped: `input` is for the prompt's tokens, `output` for those"
                " the model wrote."
            ),
            24
            * hour
            / (
                (used["prompt_tokens"] * kept["input"] + used["completion_tokens"] * kept["output"])
                / 1e6
            ): (
                "The prices are written into your code. They change: read them from"
                ' `models["chat"].price` each time (the check changed them for a moment).'
            ),
        }
        for wrong, message in mistakes.items():
            expect(close(value, right, 1e-6) or not close(value, wrong, 1e-6), message)
        expect(
            abs(value - right) <= 1.0,
            f"A day costs ${24 * hour:.2f}, a request ${one:.6f}: the break-even is at {right:,.1f}"
            f" requests a day; yours is {value:,.6g}.",
        )

    cheap = {"prompt_tokens": 20, "completion_tokens": 5}
    try:
        value, service, one, _ = run(2.5, 9.0, 2, cheap)
    except Raised as raised:
        raise NotYet(
            "Here the replica is full before it pays, and there is no break-even. That is an"
            f" answer, not an error: return None. {raised}"
        ) from None
    full = 2 / 9 * 86_400
    expect(
        value is None,
        f"A replica that works on 2 requests at once, 9 seconds each, is full at {full:,.0f} a day,"
        f" and yours would have to answer {24 * 2.5 / one:,.0f}. So there is no break-even: return"
        " None. You returned"
        f" {value if isinstance(value, (int, float, str)) else describe(value)}.",
    )
    middle = {"prompt_tokens": 1000, "completion_tokens": 1000}
    for slack in (
        0.99,
        1.01,
    ):  # on either side of what a replica can hold; a limit in other units would miss it
        with other_prices() as price:
            one = (1000 * price["input"] + 1000 * price["output"]) / 1e6
            hour = slack * one * (4 / 3 * 86_400) / 24
            with spy(reply(usage=middle)) as service:
                response = InferenceClient().chat_completion(
                    [{"role": "user", "content": "?"}], model=models.chat
                )
                value = service.call(break_even, response, 3, hour, 4)
        held = (
            "A replica that works on 4 requests at once, 3 seconds each, holds 4 / 3 × 86,400 ="
            f" {4 / 3 * 86_400:,.0f} a day"
        )
        if slack < 1:
            expect(
                value is not None,
                f"{held}, and the break-even is at {24 * hour / one:,.0f}, which is less. You"
                " returned None. Look at the units of your limit: seconds, and a day.",
            )
        else:
            expect(
                value is None,
                f"{held}, and the costs would meet at {24 * hour / one:,.0f}, which is more. Return"
                " None. Look at the units of your limit: seconds, and a day.",
            )
    return (
        "the price of a day over the price of a request, and None where the replica is full before."
    )


# ---- 3 ------------------------------------------------------------------------------------------------------------

PATIENCE = "600"


def a_question() -> str:
    return f"What does the word {words(1)} mean?"


def expect_question(service, entry, question: str, max_tokens: int) -> None:
    """The request is a chat completion with this question and limit; the model's name is the endpoint's business."""
    expect(
        entry.path.endswith("/chat/completions"),
        f"The request went to `{entry.path or '/'}`. An engine for chat listens at"
        " /v1/chat/completions: use `chat_completion(…)`.",
    )
    body = entry.json if isinstance(entry.json, dict) else {}
    messages = body.get("messages")
    expect(
        not isinstance(messages, str),
        "You sent `messages` as a plain text. The client lets that through, the engine refuses it: "
        'it wants a list of messages, `[{"role": "user", "content": question}]`.',
    )
    expect(
        isinstance(messages, list)
        and any(
            isinstance(one, dict)
            and one.get("role") == "user"
            and question in str(one.get("content"))
            for one in messages
        ),
        'The question is not in the request. It belongs into a user message: `[{"role": "user",'
        ' "content": question}]`.',
    )
    expect(
        not service.leaked,
        "Your token is in the body of the request or in its address. The client sends it in a"
        " header by itself: take it out.",
    )
    expect(
        body.get("max_tokens") == max_tokens,
        f"`max_tokens` was {body.get('max_tokens')}; this task asks for {max_tokens}.",
    )


def expect_patience(service, headers: dict, body) -> None:
    sent = next(
        (value for name, value in headers.items() if name.lower() == "x-scale-up-timeout"), None
    )
    if sent is None:
        inside = str(body).lower()
        expect(
            "scale" not in inside,
            "`X-Scale-Up-Timeout` is in the body of the request, where the model's engine reads it."
            " It is a header: `InferenceClient(model=url, headers={…})`, or `extra_headers={…}`"
            " with OpenAI's client.",
        )
        near = [
            name
            for name in headers
            if "scale" in name.lower()
            or "timeout" in name.lower()
            and not name.lower().startswith("x-stainless")
        ]
        expect(
            not near,
            f"You sent the header `{near[0] if near else ''}`, which nobody knows. Its name is"
            " `X-Scale-Up-Timeout`.",
        )
        raise NotYet(
            "The request has no header `X-Scale-Up-Timeout`, so a sleeping endpoint answers 503 at"
            ' once. `InferenceClient(model=url, headers={"X-Scale-Up-Timeout": "600"})` sends it'
            " with every request."
        )
    expect(
        sent == PATIENCE,
        f"`X-Scale-Up-Timeout` was `{sent}`; this task asks for {PATIENCE}: the seconds alone,"
        " without a unit.",
    )


def check_ask_patiently(ask_patiently) -> str:
    def run(plane, question):
        with (
            spy(routes=plane, limit=12, seconds=20) as service,
            time_that_passes(service, ask_patiently),
        ):
            plane.service = service
            value = raised = endless = None
            try:
                value = service.call(ask_patiently, plane.url, question)
            except Raised as failed:
                raised = failed
            except NotYet as ended:
                endless = ended
        if raised is not None and isinstance(raised.error, (NotImplementedError, NameError)):
            raise raised
        if endless is not None and not service.sent.entries:
            raise endless
        expect(
            raised is None or type(raised.error).__name__ != "StreamClosed",
            "You returned a stream, which still has to be read. This task wants the whole text at"
            " once: leave out `stream=True`.",
        )
        if not service.sent.entries and raised is not None:
            said = str(raised.error)
            expect(
                "Header value" not in said and not isinstance(raised.error, AttributeError),
                f'{raised}. The values of headers are texts: "600", not 600.',
            )
            raise raised
        expect(service.sent.entries, "No request was sent: your function made its answer up.")
        first = service.sent[0]
        expect(
            first.host != "router.huggingface.co",
            "You asked the router, which knows nothing of this endpoint. The address is the model:"
            " `InferenceClient(model=url, …)`.",
        )
        expect(
            first.host == plane.url.removeprefix("https://"),
            f"You asked {first.host}; the endpoint is at `url`.",
        )
        expect(
            first.path not in ("", "/") or "inputs" not in str(first.json),
            "You used `text_generation`, which asks the root of the address. vLLM listens for chat:"
            " use `chat_completion(…)`.",
        )
        expect_patience(service, service.headers[0], first.json)
        expect_question(service, first, question, 100)
        if endless is not None:
            raise endless
        limit = service.timeouts[0]
        expect(
            limit is None or limit >= int(PATIENCE),
            (
                f"Your client gives up after {limit:g} seconds, and the service may hold the"
                f" request for {PATIENCE}. Pass a `timeout` that is a little longer."
                if limit
                else ""
            ),
        )
        return value, raised, service

    for state in ("scaledToZero", "running"):
        question = a_question()
        value, raised, service = run(Plane(state), question)
        if raised is not None:
            raise raised
        expect(
            len(service.sent) == 1,
            f"You sent {len(service.sent)} requests for one question. With the header, one is"
            " enough: the service holds it.",
        )
        expect(
            not service.slept,
            f"Your function waited {sum(service.slept):,.0f} seconds by itself. The header does the"
            " waiting, and only as long as it is needed.",
        )
        expect_text(value, service.said[-1], service)
    value, raised, service = run(Plane("scaledToZero", comes=None), a_question())
    expect(
        raised is not None,
        "The endpoint did not come up in 600 seconds, and the service said 503. Your function"
        " returned as if nothing had happened. Leave out the `try`: whoever calls must learn that"
        " there is no answer.",
    )
    status = getattr(getattr(raised.error, "response", None), "status_code", None)
    expect(
        status == 503,
        "The endpoint did not come up, the service said 503, and your function raised"
        f" {type(raised.error).__name__} instead. Let the error through as it is.",
    )
    expect(
        len(service.sent) == 1,
        "The service held the request for ten minutes and then refused, and you sent it"
        f" {len(service.sent) - 1} more time(s). Let the error through"
        + (
            ": OpenAI's client retries by itself unless you pass `max_retries=0`."
            if "x-stainless-retry-count" in service.headers[-1]
            else "."
        ),
    )
    return (
        "one request with the header, held until the endpoint was awake, and the error let through"
        " when it was not."
    )


# ---- 4 ------------------------------------------------------------------------------------------------------------

LONGEST = 3600


class Interrupted(BaseException):
    """Stands for the kernel's interrupt, which is no Exception either."""


def _interrupt(service, entry):
    raise Interrupted("the cell was interrupted")


def check_ask_my_own(ask_my_own) -> str:
    def run(**changes):
        plane, question = Plane(**changes), a_question()
        with (
            spy(routes=plane, limit=30, seconds=20) as service,
            time_that_passes(service, ask_my_own),
        ):
            plane.service = service
            value = raised = None
            try:
                value = service.call(ask_my_own, plane.name, question)
            except Raised as failed:
                raised = failed
                if isinstance(failed.error, (NotImplementedError, NameError)):
                    raise
            except NotYet:
                expect(
                    not changes.get("fails"),
                    "A start can fail. Then the state is `failed` for good, and your function waits"
                    " for `running` for ever. `endpoint.wait(timeout=900)` raises in that case; a"
                    " loop of your own must look for it.",
                )
                if changes.get("comes", 60) is not None and "resume" in plane.done:
                    raise
                expect(
                    "resume" in plane.done or changes.get("state") == "running",
                    "Your function waits for a paused endpoint. Nothing wakes it, and `wait()`"
                    " looks for ever: call `resume()` first.",
                )
                raise NotYet(
                    "The endpoint never came up, and your function waited for ever. Give `wait()` a"
                    " deadline: `endpoint.wait(timeout=900)`."
                ) from None
        return value, raised, plane, service, question

    def paused_at_the_end(plane, when: str):
        expect(
            "delete" not in plane.done,
            "You deleted the endpoint. It is not yours to throw away: its name and configuration"
            " are gone for good. `pause()` it.",
        )
        expect(
            not ("scale-to-zero" in plane.done and plane.now() == "scaledToZero"),
            "You scaled the endpoint to zero. The next stray request wakes it, and it costs again;"
            " `pause()` keeps it off until somebody resumes it.",
        )
        expect(
            plane.now() == "paused",
            f"{when} the endpoint was left {plane.now()}, and nobody has switched it off: what runs"
            " or starts is paid by the minute. Put `endpoint.pause()` into a `finally`.",
        )

    value, raised, plane, service, question = run()
    expect(
        "create" not in plane.done,
        "You created an endpoint. There is one already, with that name:"
        " `get_inference_endpoint(name)`.",
    )
    expect(
        any(
            entry.host == "api.endpoints.huggingface.cloud"
            for entry in [*service.lookups, *service.sent]
        ),
        "The endpoint was never looked up. Begin with `endpoint = get_inference_endpoint(name)`.",
    )
    if raised is not None:
        said = str(raised.error)
        expect(
            "not yet deployed" not in said or "resume" not in plane.done,
            "`endpoint.client` came before the endpoint was there. `resume()` returns at once:"
            " `wait(timeout=…)` first.",
        )
        expect(
            "resume" in plane.done or "Timeout" not in type(raised.error).__name__,
            "Your function waited for a paused endpoint until its deadline. Nothing wakes it by"
            " itself: call `resume()` before `wait()`.",
        )
        expect(
            "no recommended model" not in said,
            "You built a client for `endpoint.url`, which was still None: a paused or starting"
            " endpoint has no address. `wait(timeout=…)` first.",
        )
        expect(
            "resume" not in plane.done or "Timeout" not in type(raised.error).__name__,
            "The endpoint needed a minute to start, and your function gave up before. "
            "A start takes minutes: `wait(timeout=900)`.",
        )
        expect(
            "resume" in plane.done,
            f"{raised}. The endpoint is paused: `endpoint.resume()` starts it.",
        )
        raise raised
    asked = [entry for entry in service.sent if entry.host == plane.url.removeprefix("https://")]
    expect(
        asked,
        "The question did not reach the endpoint. `endpoint.client` is a client that talks to it."
        + (
            " You asked the router instead, and paid for tokens as well."
            if any(entry.host == "router.huggingface.co" for entry in service.sent)
            else ""
        ),
    )
    expect_question(service, asked[-1], question, 100)
    expect(len(asked) == 1, f"You sent {len(asked)} requests for one question.")
    expect_text(value, service.said[-1], service)
    paused_at_the_end(plane, "When all was done")

    for when, changes in {
        "When the request failed with 500,": {"chat": error(500)},
        "When the start failed,": {"fails": True},
        "When the cell was interrupted during the request,": {"chat": _interrupt},
        "When it did not come up before the deadline,": {"comes": None},
    }.items():
        value, raised, plane, service, _ = run(**changes)
        interrupted = when.startswith("When the cell")
        if interrupted and plane.now() != "paused":
            raise NotYet(
                "When the cell was interrupted during the request, the endpoint was left running:"
                " an interrupt is no Exception, so `except Exception` does not see it. `finally`"
                " runs whatever happens."
            )
        paused_at_the_end(plane, when)
        tries = sum(entry.path.endswith("/chat/completions") for entry in service.sent)
        expect(
            tries <= 1,
            f"{when} your function asked {tries} times. The task asks once: an answer may be paid"
            " for though it never arrived. Let the error through"
            + (
                ": OpenAI's client retries by itself unless you pass `max_retries=0`."
                if any("x-stainless-retry-count" in sent for sent in service.headers)
                else "."
            ),
        )
        expect(
            raised is not None,
            f"{when} your function returned as if nothing had happened. Pause in `finally`, without"
            " an `except`, so that the error goes on to whoever called.",
        )
        expect(
            sum(service.slept) <= LONGEST,
            f"{when} your function had waited {sum(service.slept) / 3600:.1f} hours. An hour is"
            " long enough for a start: `wait(timeout=900)`.",
        )
    value, raised, plane, service, _ = run(state="running")
    if raised is not None:
        raise NotYet(
            f"Somebody had resumed the endpoint before you, and your function failed: {raised}."
            " `resume()` does not mind, unless you pass `running_ok=False`."
        )
    paused_at_the_end(plane, "When it ran already,")
    return "resumed, waited for with a deadline, asked once, and paused whatever happened."


# ---- 5 ------------------------------------------------------------------------------------------------------------


TASKS = read_tasks(__file__, check_audit, check_break_even, check_ask_patiently, check_ask_my_own)
