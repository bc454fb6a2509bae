"""Checks for exercise 08: serverless, or an endpoint of your own."""

import math
import numbers
import random
from decimal import Decimal

from huggingface_hub import InferenceClient

from helpers.endpoints import documented_price
from helpers.exercises.kit import (
    NotYet,
    Raised,
    Spy,
    describe,
    expect,
    read_messages,
    read_tasks,
    reply,
    spy,
)
from helpers.exercises.lessons.lesson_01 import new_question, other_prices
from helpers.exercises.lessons.lesson_08_ask import check_ask_my_own, check_ask_patiently
from helpers.exercises.lessons.lesson_08_plane import Plane
from helpers.models import models

SAY = read_messages(__file__)
ALL = SAY[""]


def number(value, what: str, service: Spy) -> float:
    """`value` as a float. Expects a number, and says what came instead."""
    expect(value is not None, ALL["printed" if service.printed else "nothing"], what=what)
    begin = what[0].upper() + what[1:]
    expect(not isinstance(value, str), ALL["text"], begin=begin)
    real = isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool)
    expect(real, ALL["no_number"], begin=begin, got=describe(value))
    return float(value)


def close(one: float, other: float, tolerance: float = 1e-9) -> bool:
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-12)


# ---- task 1 ----

USED = ("aws", "us-east-1", "intel-spr", "x2")
SAME_RATE = [("aws", "us-east-1", "intel-icl", "x2"), ("gcp", "us-east4", "intel-spr", "x1")]


def an_example() -> tuple[dict, dict]:
    """An example and the hardware, {(vendor, region, type, size): (price, status)}, with prices
    that nobody can know beforehand. The printed result was made with the rate of SAME_RATE."""
    price, slip = random.sample(range(31, 499, 2), 2)
    hours, replicas = random.randint(600, 800), random.randint(2, 4)
    rows = {
        USED: (price / 1000, "available"),
        SAME_RATE[0]: (slip / 1000, "deprecated"),
        SAME_RATE[1]: (slip / 1000, "available"),
        ("azure", "eastus", "intel-xeon", "x8"): (0.5, "available"),
        ("aws", "us-east-1", "nvidia-l4", "x1"): (0.8, "available"),
        ("azure", "eastus", "intel-xeon", "x4"): ((slip + 1) / 1000, "available"),
        ("aws", "us-east-1", "intel-spr", "x1"): (0.03, "available"),
    }
    example = {"instance": "-".join(USED), "hours": hours, "min_replica": replicas}
    return example | {"printed": round(slip / 1000 * hours * replicas, 2)}, rows


def check_audit(audit) -> str:
    say = SAY["audit"]
    for _ in range(2):
        example, rows = an_example()
        given = dict(example)
        with spy(routes=Plane(rows=rows), seconds=20) as service:
            value = service.call(audit, given)
        asked = any(entry.path.startswith("/v2/provider/") for entry in service.lookups)
        expect(asked, say["not_asked"])
        expect(not service.sent.entries, say["changes"])
        expect(value is not None, say["none"])
        three = isinstance(value, (tuple, list)) and len(value) == 3
        expect(three, say["not_three"], what=describe(value))
        cost = number(value[0], "the right cost", service)
        rate = number(value[1], "the rate", service)
        _expect_cost(cost, rate, example, rows)
        _expect_rate(rate, example, used=rows[USED][0], right=rows[SAME_RATE[0]][0])
        _expect_ids(value[2], ["-".join(parts) for parts in SAME_RATE])
        expect(given == example, say["changed"])
    return say["right"]


def _expect_cost(cost: float, rate: float, example: dict, rows: dict) -> None:
    say, used = SAY["audit"], rows[USED][0]
    hours, replicas = example["hours"], example["min_replica"]
    right = used * hours * replicas
    expect(not close(rate, right), say["other_order"])
    if close(cost, right):
        return
    mistakes = {
        "printed": example["printed"],
        "no_replicas": used * hours,
        "price": used,
        "one_hour": used * replicas,
        "documented": (documented_price("aws", "intel-spr", "x2") or 0) * hours * replicas,
    }
    for key, value in mistakes.items():
        expect(not close(cost, value), say[key], replicas=replicas)
    for month in (730, 720):
        expect(not close(cost, used * month * replicas), say["month"], month=month, hours=hours)
    for parts, (price, _) in rows.items():
        other = close(cost, price * hours * replicas)
        expect(not other, say["other_instance"], instance="-".join(parts))
    expect(close(cost, right, 1e-6) or not close(cost, round(right)), say["dollars"])
    shown = {"used": used, "hours": hours, "replicas": replicas, "right": right, "cost": cost}
    expect(abs(cost - right) <= 0.0051, say["other_cost"], **shown)


def _expect_rate(rate: float, example: dict, used: float, right: float) -> None:
    say, hours, printed = SAY["audit"], example["hours"], example["printed"]
    expect(abs(rate - printed / hours) > 0.0006, say["rate_of_all"])
    expect(not close(rate, used), say["todays_rate"])
    expect(close(rate, right) or abs(rate - right) > 0.0005, say["not_rounded"])
    shown = {"printed": printed, "hours": hours, "replicas": example["min_replica"]}
    expect(close(rate, right), say["other_rate"], **shown, right=right, rate=rate)


def _expect_ids(found, ids: list[str]) -> None:
    say = SAY["audit"]
    expect(not isinstance(found, str), say["one_id"])
    expect(isinstance(found, (list, tuple, set)), say["no_list"], what=describe(found))
    expect(not any(hasattr(one, "price_per_hour") for one in found), say["objects"])
    expect(ids[0] in found or ids[1] not in found, say["available_only"])
    expect(found, say["found_none"])
    found = sorted(map(str, found))
    expect(len(found) == len(set(found)), say["twice"])
    expect(found == sorted(ids), say["other_ids"], ids=ids, found=found)


# ---- task 2 ----

DAY = 24 * 3600  # seconds


def check_break_even(break_even) -> str:
    for _ in range(2):
        _check_meeting(break_even)
    _check_full_before(break_even)
    for slack in (0.99, 1.01):  # a limit in other units would miss what a replica can hold
        _check_limit(break_even, slack)
    return SAY["break_even"]["right"]


def _returned(break_even, read: int, written: int, seconds, hour, at_once) -> tuple:
    """(what the function returns about a request of so many tokens, the spy)."""
    with spy(reply(usage={"prompt_tokens": read, "completion_tokens": written})) as service:
        messages = [{"role": "user", "content": new_question()}]
        response = InferenceClient().chat_completion(messages, model=models.chat)
        value = service.call(break_even, response, seconds, hour, at_once)
    expect(len(service.sent) == 1, SAY["break_even"]["own_request"])
    return value, service


def _check_meeting(break_even) -> None:
    say, known = SAY["break_even"], tuple(models["chat"].price[key] for key in ("input", "output"))
    read, written = random.randint(900, 2900), random.randint(1000, 9000)
    hour, seconds, at_once = (
        random.randint(20, 90) / 100,
        random.randint(2, 6),
        random.randint(8, 23),
    )
    with other_prices() as price:
        value, service = _returned(break_even, read, written, seconds, hour, at_once)
        paid_in, paid_out = price["input"], price["output"]

    def meet(paid_in: float, paid_out: float) -> float:
        return 24 * hour / ((read * paid_in + written * paid_out) / 1e6)

    right, full = meet(paid_in, paid_out), at_once / seconds * DAY
    expect(value is not None or not service.printed, say["printed"])
    expect(value is not None, say["none"], right=right, full=full)
    value = number(value, "the break-even", service)
    if close(value, right, 1e-6):
        return
    mistakes = {
        right / 24: "an_hour",
        right * 30: "a_month",
        right * 730 / 24: "a_month",
        right / 1e6: "per_token",
        1 / right: "upside_down",
        (24 * hour) ** 2 / right: "multiplied",
        full: "limit",
        meet(paid_in, paid_in): "all_at_input",
        meet(paid_out, paid_out): "all_at_output",
        meet(paid_in, 0): "prompt_only",
        meet(0, paid_out): "answer_only",
        meet(paid_out, paid_in): "swapped",
        meet(*known): "written_down",
    }
    for wrong, key in mistakes.items():
        expect(not close(value, wrong, 1e-6), say[key])
    day = 24 * hour
    shown = {"day": day, "one": day / right, "right": right, "value": value}
    expect(abs(value - right) <= 1.0, say["other"], **shown)


def _check_full_before(break_even) -> None:
    """The costs would meet where one replica is full already."""
    say = SAY["break_even"]
    with other_prices() as price:
        try:
            value, _ = _returned(break_even, 20, 5, seconds=9.0, hour=2.5, at_once=2)
        except Raised as raised:
            raise NotYet(say["raised"].format(raised=raised)) from None
        meet = 24 * 2.5 / ((20 * price["input"] + 5 * price["output"]) / 1e6)
    shown = value if isinstance(value, (int, float, str)) else describe(value)
    expect(value is None, say["no_none"], full=2 / 9 * DAY, meet=meet, value=shown)


def _check_limit(break_even, slack: float) -> None:
    """The costs meet at `slack` times what a replica can hold."""
    say, full = SAY["break_even"], 4 / 3 * DAY
    with other_prices() as price:
        hour = slack * full * (1000 * price["input"] + 1000 * price["output"]) / 1e6 / 24
        value, _ = _returned(break_even, 1000, 1000, seconds=3, hour=hour, at_once=4)
    expect(slack > 1 or value is not None, say["below_limit"], full=full, meet=slack * full)
    expect(slack < 1 or value is None, say["above_limit"], full=full, meet=slack * full)


TASKS = read_tasks(__file__, check_audit, check_break_even, check_ask_patiently, check_ask_my_own)
