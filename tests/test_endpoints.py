"""The arithmetic of lesson 08: break-even, a day with scale to zero, and the question before money
is spent."""

import math
import tomllib
from types import SimpleNamespace

import pytest
from guards import ROOT

from helpers import endpoints, models
from helpers.endpoints import Day, NotAgreed, Table, Workload, confirm, documented_price, facts
from helpers.models import Model

PRICE = {"input": 1.0, "output": 2.0, "unit": "USD per million tokens", "date": "2026-01-01"}
MODEL = Model("x", "org/x", "chat-completion", "auto", None, "", PRICE)
TASK = "feature-extraction"
BY_SECOND = Model("y", "org/y", TASK, "hf-inference", None, "", {"second": 0.001})


def chats(requests, seconds=2, **more):
    return Workload(requests, prompt=500, written=250, seconds=seconds, **more)


def slow(requests):
    return Workload(requests, prompt=5, written=5, seconds=20)


def test_a_day_of_requests_costs_tokens_times_price():
    work = Workload(1000, prompt=500, written=250)
    assert work.request_cost(MODEL) == pytest.approx(0.001) and work.serverless(
        MODEL
    ) == pytest.approx(1.0)
    assert Workload(1000, seconds=2).serverless(BY_SECOND) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("work", "busy", "replicas"),
    [
        (Workload(0, seconds=10), 0, 1),
        (Workload(86_400, seconds=8), 8, 1),
        (Workload(86_401, seconds=8), 8.0000926, 2),
        (Workload(86_400, seconds=8, idle_hours=12), 16, 2),
        (Workload(86_400, seconds=8, at_once=1), 8, 8),
    ],
)
def test_how_many_replicas_hold_it(work, busy, replicas):
    assert work.busy == pytest.approx(busy) and work.replicas == replicas
    assert work.endpoint(0.5) == pytest.approx(replicas * 0.5 * work.awake_hours)


def test_break_even_is_where_both_cost_the_same():
    at = chats(10_000).break_even(MODEL, 0.8)
    assert at == pytest.approx(19_200)
    assert chats(at).serverless(MODEL) == pytest.approx(chats(at).endpoint(0.8))
    assert chats(1, idle_hours=12).break_even(MODEL, 0.8) == pytest.approx(at / 2)


def test_there_is_no_break_even_where_the_replica_is_full_before():
    work = slow(10**6)
    assert work.break_even(MODEL, 0.8) is None
    assert work.capacity < 24 * 0.8 / work.request_cost(MODEL)
    for n in (1, 10**3, 10**5, 10**7):
        more = slow(n)
        assert more.endpoint(0.8) > more.serverless(MODEL), "more replicas do not change it"
    assert Workload(5).break_even(MODEL, 0.8) is None, "what costs nothing is never beaten"


NONSENSE = [("requests", -1), ("requests", math.nan), ("seconds", 0), ("at_once", 0)]


@pytest.mark.parametrize("wrong", [*NONSENSE, ("idle_hours", 24), ("idle_hours", -1)])
def test_workloads_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="requests must be"):
        Workload(**{"requests": 1} | dict([wrong]))


AT = "Break-even is at 19,200 requests a day for each replica; you have 1,000"
ADVICE = [
    (chats(1000), {}, "serverless", AT),
    (chats(30_000), {}, "endpoint", "take two"),
    (chats(30_000, idle_hours=12), {}, "endpoint", "whoever calls first"),
    (chats(15_000), {}, "serverless", "It is close"),
    (slow(1000), {}, "serverless", "no break-even"),
    (Workload(10, 500, 250), {"served": False}, "endpoint", "No provider serves"),
    (Workload(10, 500, 250), {"own_hardware": True}, "endpoint", "must be yours alone"),
]


@pytest.mark.parametrize(("work", "more", "choice", "said"), ADVICE)
def test_advice_has_its_reasons(work, more, choice, said):
    advice = work.advise(MODEL, 0.8, **more)
    assert advice.choice == choice and said in str(advice)
    first = {"serverless": "Stay serverless.", "endpoint": "Rent an endpoint."}[choice]
    assert str(advice).startswith(first)
    cheaper = "endpoint" if work.endpoint(0.8) < work.serverless(MODEL) else "serverless"
    assert more or choice == cheaper


# ---- a day -------------------------------------------------------------------------------------


def test_a_day_with_scale_to_zero():
    day = Day([600, 610, 613, 900], timeout=15, start=4)
    first = [(600, 604, "starting"), (604, 628, "awake")]
    assert day.spans == [*first, (900, 904, "starting"), (904, 919, "awake")]
    assert day.waited == 2 and day.paid_minutes == 47 and day.cost(0.6) == pytest.approx(0.47)


@pytest.mark.parametrize(
    ("moments", "waited"),
    [
        ([600, 602, 603.9, 604], 3),  # those that come while it starts wait, too
        ([600, 619], 2),  # at the very end of the timeout there is nobody left
        ([600, 618.9], 1),
    ],
)
def test_who_waits(moments, waited):
    assert Day(moments, timeout=15, start=4).waited == waited


def test_requests_may_be_given_in_any_order():
    assert Day([603, 600], timeout=15, start=4).spans[0] == (600, 604, "starting")


def test_days_without_sleep_and_without_requests():
    assert Day([600], None).paid_minutes == 1440 and Day([600], None).waited == 0
    assert Day([], 15).paid_minutes == 0
    for late in (1430, 1435, 1438):  # the bill of the day ends with the day
        assert Day([late], 15).spans[-1][1] == 1440
        assert Day([late], 15).paid_minutes == 1440 - late


# ---- before money is spent ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["replay", "practice"])
def test_nothing_is_asked_where_nothing_is_paid(mode, capsys):
    confirm(SimpleNamespace(mode=mode), "a GPU", 0.8)
    rest = "nothing is rented. Live, a GPU would cost $0.80 an hour."
    assert capsys.readouterr().out == f"{mode.capitalize()}: {rest}\n"


@pytest.mark.parametrize("agreed", [None, 0, 0.5, 80, True, "0.8"])
def test_live_refuses_without_agreement(agreed):
    words = r"a GPU costs \$0.80 an hour.*Nothing was created.*AGREED = 0.8"
    with pytest.raises(NotAgreed, match=words):
        confirm(SimpleNamespace(mode="live"), "a GPU", 0.8, agreed)


def test_live_goes_on_at_the_agreed_price(capsys):
    confirm(SimpleNamespace(mode="live"), "a GPU", 0.8, 0.8)
    assert "paid by you" in capsys.readouterr().out


# ---- the facts ---------------------------------------------------------------------------------


def test_prices():
    assert documented_price("aws", "intel-spr", "x2") == 0.067
    for unknown in (("aws", "intel-spr", "x3"), ("aws", "h100", "x1"), ("moon", "intel-spr", "x1")):
        assert documented_price(*unknown) is None


def test_the_documentation_s_example_is_as_wrong_as_it_was():
    example = facts["prices"]["example"]
    vendor, kind, size = example["instance"].split("-", 1)[0], "intel-spr", "x2"
    assert (
        round(documented_price(vendor, kind, size) * example["hours"], 2) == 48.91
        and round(example["printed"] / example["hours"], 3) == 0.064
    )


DOLLARS = {0.8: "$0.80", 5: "$5.00", 0.067: "$0.067", 0.536: "$0.536", 10.0: "$10.00"}


@pytest.mark.parametrize(("amount", "written"), (DOLLARS | {1234.5: "$1234.50"}).items())
def test_dollars(amount, written):
    assert endpoints.dollars(amount) == written


def test_the_practice_server_asks_the_documented_prices():
    text = (ROOT / "authoring/practice_server/hardware.toml").read_text(encoding="utf-8")
    offered = {
        (row["vendor"], row["type"], size): price
        for row in tomllib.loads(text)["instances"]
        if row.get("status") != "deprecated"
        for size, price in row["sizes"].items()
    }
    assert len(offered) > 20 and offered == {key: documented_price(*key) for key in offered}


def test_every_fact_has_its_day_and_source():
    rows = [facts["prices"], *facts["compared"], *facts["corrected"]]
    assert len(rows) > 10 and all(row["source"] and row["date"].year >= 2025 for row in rows)


def test_tables_read_as_text_and_as_html():
    narrow = Table(["a", "b"], [[1, "two & three"], ["four", 5]])
    assert str(narrow) == "a     b\n1     two & three\nfour  5"
    for part in ("<td", "two &amp; three", "scope='col'"):
        assert part in narrow._repr_html_()
    hardware = SimpleNamespace(price_per_hour=0.8, instance_type="nvidia-l4", instance_size="x1")
    for table in (endpoints.compared(models["chat"], hardware), endpoints.corrected()):
        assert (
            all(heading + ": " in str(table) for heading in table.headings) and len(table.rows) > 5
        )
    table = endpoints.compared(models["chat"], hardware)
    assert "0.8 USD an hour for nvidia-l4 x1" in str(table)
    assert "$" not in table._repr_html_(), "two dollar signs would be set as mathematics"
