"""Checks for exercise 08: serverless, or an endpoint of your own."""

import random

from helpers.endpoints import documented_price
from helpers.exercises import kit
from helpers.exercises.kit import describe, expect, spy
from helpers.exercises.lessons import lesson_01 as bill
from helpers.exercises.lessons.lesson_01 import close, dollars
from helpers.exercises.lessons.lesson_08_ask import SAY, check_ask_my_own, check_ask_patiently
from helpers.exercises.lessons.lesson_08_plane import Plane
from helpers.models import models

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
        cost = bill.expect_number(value[0], "the right cost", service)
        rate = bill.expect_number(value[1], "the rate", service)
        _expect_cost(cost, rate, example, rows)
        right, hours, printed = rows[SAME_RATE[0]][0], example["hours"], example["printed"]
        expect(abs(rate - printed / hours) > 0.0006, say["rate_of_all"])
        expect(not close(rate, rows[USED][0]), say["todays_rate"])
        expect(close(rate, right) or abs(rate - right) > 0.0005, say["not_rounded"])
        shown = {"printed": printed, "hours": hours, "replicas": example["min_replica"]}
        expect(close(rate, right), say["other_rate"], **shown, right=right, rate=rate)

        found, ids = value[2], ["-".join(parts) for parts in SAME_RATE]
        expect(not isinstance(found, str), say["one_id"])
        expect(isinstance(found, (list, tuple, set)), say["no_list"], what=describe(found))
        expect(not any(hasattr(one, "price_per_hour") for one in found), say["objects"])
        expect(ids[0] in found or ids[1] not in found, say["available_only"])
        expect(found, say["found_none"])
        found = sorted(map(str, found))
        expect(len(found) == len(set(found)), say["twice"])
        expect(found == sorted(ids), say["other_ids"], ids=ids, found=found)
        expect(given == example, say["changed"])
    return say["right"]


def _expect_cost(cost: float, rate: float, example: dict, rows: dict) -> None:
    say, used = SAY["audit"], rows[USED][0]
    hours, replicas = example["hours"], example["min_replica"]
    right = used * hours * replicas
    expect(not close(rate, right), say["other_order"])
    if close(cost, right):
        return
    documented = documented_price("aws", "intel-spr", "x2") or 0
    mistakes = {
        example["printed"]: "printed",
        used * hours: "no_replicas",
        used: "price",
        used * replicas: "one_hour",
        documented * hours * replicas: "documented",
    }
    bill.expect_none_of(mistakes, cost, say, replicas=replicas)
    for month in (730, 720):
        expect(not close(cost, used * month * replicas), say["month"], month=month, hours=hours)
    for parts, (price, _) in rows.items():
        other = close(cost, price * hours * replicas)
        expect(not other, say["other_instance"], instance="-".join(parts))
    expect(close(cost, right, 1e-6) or not close(cost, round(right)), say["dollars"])
    shown = {"used": used, "hours": hours, "replicas": replicas, "right": right, "cost": cost}
    expect(abs(cost - right) <= 0.0051, say["other_cost"], **shown)


# ---- task 2 ----
DAY = 24 * 3600  # seconds


def check_break_even(break_even) -> str:
    say, known = SAY["break_even"], models["chat"].price
    for _ in range(2):
        read, written = random.randint(900, 2900), random.randint(1000, 9000)
        day, seconds = 24 * random.randint(20, 90) / 100, random.randint(2, 6)
        at_once = random.randint(8, 23)
        with bill.other_prices() as price:
            value, service = bill.told(break_even, read, written, seconds, day / 24, at_once)
            paid_in, paid_out = price["input"], price["output"]
        one = dollars(read, written, paid_in, paid_out)
        right, full = day / one, at_once / seconds * DAY
        expect(value is not None or not service.printed, say["printed"])
        expect(value is not None, say["none"], right=right, full=full)
        value = bill.expect_number(value, "the break-even", service)
        if close(value, right, 1e-6):
            continue
        mistakes = {
            right / 24: "an_hour",
            right * 30: "a_month",
            right * 730 / 24: "a_month",
            right / 1e6: "per_token",
            1 / right: "upside_down",
            day * one: "multiplied",
            full: "limit",
            day / dollars(read, written, paid_in, paid_in): "all_at_input",
            day / dollars(read, written, paid_out, paid_out): "all_at_output",
            day / dollars(read, 0, paid_in, paid_out): "prompt_only",
            day / dollars(0, written, paid_in, paid_out): "answer_only",
            day / dollars(read, written, paid_out, paid_in): "swapped",
            day / dollars(read, written, known["input"], known["output"]): "written_down",
        }
        bill.expect_none_of(mistakes, value, say, 1e-6)
        expect(abs(value - right) <= 1.0, say["other"], day=day, one=one, right=right, value=value)

    # the costs would meet where one replica is full already
    with bill.other_prices() as price:
        meet = 24 * 2.5 / dollars(20, 5, price["input"], price["output"])
        said, raised = kit.attempt(bill.told, break_even, 20, 5, 9.0, 2.5, 2)
    expect(not raised, say["raised"], raised=raised)
    value, _ = said
    shown = value if isinstance(value, (int, float, str)) else describe(value)
    expect(value is None, say["no_none"], full=2 / 9 * DAY, meet=meet, value=shown)

    full = 4 / 3 * DAY
    for slack in (0.99, 1.01):  # a limit in other units would miss what a replica can hold
        with bill.other_prices() as price:
            hour = slack * full * dollars(1000, 1000, price["input"], price["output"]) / 24
            value, _ = bill.told(break_even, 1000, 1000, 3, hour, 4)
        expect(slack > 1 or value is not None, say["below_limit"], full=full, meet=slack * full)
        expect(slack < 1 or value is None, say["above_limit"], full=full, meet=slack * full)
    return say["right"]


TASKS = kit.read_tasks(
    __file__, check_audit, check_break_even, check_ask_patiently, check_ask_my_own
)
