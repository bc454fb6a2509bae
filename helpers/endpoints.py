"""Serverless or an endpoint of your own? The arithmetic, the dated facts behind it, and a question
before money is spent.

    work = Workload(requests=100_000, prompt=500, written=200, seconds=5)
    print(work.advise(models["chat"], hour=0.8))      the choice and its reasons
    day = Day([540, 545, 900], timeout=15)     a day of an endpoint that scales to zero, in minutes
    confirm(session, "nvidia-l4 x1", 0.8)      live: refuses unless somebody agreed to the price

What the documentation says about endpoints stands in endpoints.toml. Lesson 08 uses all of it.
"""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helpers import plotting
from helpers.models import Model

facts = tomllib.loads(Path(__file__).with_name("endpoints.toml").read_text(encoding="utf-8"))
MINUTES_A_DAY = 24 * 60


def documented_price(vendor: str, instance_type: str, instance_size: str) -> float | None:
    """US dollars per replica and hour, as the documentation gave them on `facts["prices"]["date"]`;
    None for what it did not list."""
    return facts["prices"].get(vendor, {}).get(instance_type, {}).get(instance_size)


# ---- the choice --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """What is asked of a model on an average day.

    requests : a day. prompt, written : tokens per request. seconds : how long one request takes.
    idle_hours : hours of the day without any request, in which an endpoint may scale to zero.
    at_once : how many requests one replica works on at the same time; the engine's batching
        decides, so measure it.
    """

    requests: float
    prompt: int = 0
    written: int = 0
    seconds: float = 1.0
    idle_hours: float = 0.0
    at_once: int = 8

    def __post_init__(self):
        positive = self.seconds > 0 and self.at_once > 0
        if not (positive and self.requests >= 0 and 0 <= self.idle_hours < 24):
            raise ValueError(
                f"{self}: requests must be 0 or more, seconds and at_once more than 0, idle_hours"
                " from 0 to less than 24"
            )

    @property
    def awake_hours(self) -> float:
        return 24 - self.idle_hours

    @property
    def busy(self) -> float:
        """Requests under way at an average moment of the awake hours: arrivals per second times
        seconds each (Little's law)."""
        return self.requests * self.seconds / (self.awake_hours * 3600)

    @property
    def replicas(self) -> int:
        """Replicas that hold the average; at least one. Peaks need more."""
        return max(1, math.ceil(self.busy / self.at_once - 1e-9))

    @property
    def capacity(self) -> float:
        """Requests a day at which one replica is full."""
        return self.at_once / self.seconds * self.awake_hours * 3600

    def request_cost(self, model: Model) -> float:
        """US dollars for one serverless request, by the model's price in models.toml."""
        return model.cost(self.prompt, self.written, self.seconds)

    def serverless(self, model: Model) -> float:
        """US dollars a day for serverless calls."""
        return self.requests * self.request_cost(model)

    def endpoint(self, hour: float) -> float:
        """US dollars a day for an endpoint, at `hour` US dollars per replica and hour. Asleep, it
        costs nothing."""
        return self.replicas * self.awake_hours * hour

    def break_even(self, model: Model, hour: float) -> float | None:
        """Requests a day from which a replica of one's own costs less, or None: it would be full
        before."""
        cost = self.request_cost(model)
        at = self.awake_hours * hour / cost if cost else math.inf
        return at if at <= self.capacity else None

    def advise(
        self, model: Model, hour: float, served: bool = True, own_hardware: bool = False
    ) -> "Advice":
        """Serverless or an endpoint, with the reasons in the order in which they count.

        served : some provider serves the model. own_hardware : a contract or a law forbids sharing
            machines, or fixes the region.
        """
        serverless, endpoint = self.serverless(model), self.endpoint(hour)
        at = self.break_even(model, hour)
        rent = not served or own_hardware or endpoint < serverless
        counts = {
            "not_served": not served,
            "own_hardware": own_hardware,
            "costs": True,
            "no_break_even": at is None,
            "break_even": at is not None,
            "sleep": rent and self.idle_hours,
            "no_spare": rent and self.replicas == 1,
            "close": not rent and endpoint < 2 * serverless,
        }
        numbers = {
            "serverless": serverless,
            "endpoint": endpoint,
            "replicas": f"{self.replicas} replica{'s' if self.replicas > 1 else ''}",
            "hours": self.awake_hours,
            "full": self.capacity,
            "full_costs": self.capacity * self.request_cost(model),
            "at": at,
            "each": self.requests / self.replicas,
        }
        reasons = [facts["advice"][name].format(**numbers) for name, so in counts.items() if so]
        return Advice("endpoint" if rent else "serverless", reasons)


@dataclass(frozen=True)
class Advice:
    """choice : "serverless" or "endpoint". reasons : why, a sentence each."""

    choice: str
    reasons: list[str]

    def __str__(self) -> str:
        first = "Stay serverless." if self.choice == "serverless" else "Rent an endpoint."
        return "\n- ".join([first, *self.reasons])


# ---- a day with scale to zero ------------------------------------------------------------------


@dataclass(frozen=True)
class Day:
    """A day of an endpoint with one replica that scales to zero, in minutes since midnight.

    requests : when somebody asks. timeout : minutes without a request after which it sleeps; None:
        it never does.
    start : minutes that a replica needs to come up.

    spans : [(from, to, "starting" | "awake"), …]; between them it sleeps. waited : how many
        requests met no replica.
    """

    requests: Sequence[float]
    timeout: float | None = None
    start: float = 4.0
    spans: list[tuple[float, float, str]] = field(init=False)
    waited: int = field(init=False)

    def __post_init__(self):
        spans, waited = [], 0
        up, until = 0.0, -math.inf  # when the replica is there, and when it goes
        if self.timeout is None:
            spans.append((0.0, float(MINUTES_A_DAY), "awake"))
        else:
            for at in sorted(self.requests):
                if at >= until:
                    up = at + self.start
                    spans += [(at, up, "starting"), (up, up, "awake")]
                waited += at < up
                until = max(at, up) + self.timeout
                spans[-1] = (spans[-1][0], until, "awake")
        last = MINUTES_A_DAY
        spans = [(begin, min(end, last), state) for begin, end, state in spans if begin < last]
        object.__setattr__(self, "spans", spans)
        object.__setattr__(self, "waited", waited)

    @property
    def paid_minutes(self) -> float:
        """Minutes on the bill: starting ones count."""
        return sum(end - begin for begin, end, _ in self.spans)

    def cost(self, hour: float) -> float:
        """US dollars for the day at `hour` US dollars an hour."""
        return self.paid_minutes / 60 * hour


# ---- before anything is paid -------------------------------------------------------------------


class NotAgreed(RuntimeError):
    """Live mode was about to spend money, and nobody has agreed to the price."""


def dollars(amount: float) -> str:
    """$0.80, $5.00, but $0.067: cents, unless that hides something."""
    whole = math.isclose(round(amount, 2), amount, rel_tol=1e-9)
    return f"${amount:.2f}" if whole else f"${amount:g}"


def confirm(session, what: str, hour: float, agreed: float | None = None) -> None:
    """Ask before something is created that costs money: in live mode, raise unless `agreed` is its
    price.

    what : what is about to be created. hour : US dollars an hour. agreed : the price that the
        learner has written down.

    Replay and Practice spend nothing and go on by themselves. Raises NotAgreed in live mode.
    """
    number = isinstance(agreed, (int, float)) and not isinstance(agreed, bool)
    if session.mode != "live":
        cost = f"Live, {what} would cost {dollars(hour)} an hour."
        print(f"{session.mode.capitalize()}: nothing is rented. {cost}")
    elif not number or not math.isclose(agreed, hour, rel_tol=1e-9):
        asked = f"you agreed to {dollars(agreed)}" if number else "nobody has agreed to that"
        raise NotAgreed(
            f"Live: {what} costs {dollars(hour)} an hour from the moment it starts, and {asked}."
            f" Nothing was created. To go on, set AGREED = {hour:g} and run this cell again; to"
            " spend nothing, switch back to Replay."
        )
    else:
        print(f"Live: {what}, {dollars(hour)} an hour, paid by you.")


# ---- tables ------------------------------------------------------------------------------------


class Table:
    """Rows of text under headings, for reading in a notebook or as plain text."""

    def __init__(self, headings: Sequence[str], rows: Sequence[Sequence]):
        self.headings, self.rows = list(headings), [[str(cell) for cell in row] for row in rows]

    def __repr__(self) -> str:
        widest = max((len(cell) for row in self.rows for cell in row), default=0)
        if len(self.headings) <= 3 and widest <= 40:
            return plotting.columns([self.headings, *self.rows])
        named = [[f"{name}: {cell}" for name, cell in zip(self.headings, row)] for row in self.rows]
        return "\n\n".join(map("\n".join, named))

    def _repr_html_(self) -> str:
        left = "text-align:left;vertical-align:top;white-space:"
        style = lambda name, cell: left + ("normal" if len(cell) > 12 else "nowrap")
        return plotting.table(self.headings, self.rows, style)


def compared(model: Model, hardware) -> Table:
    """The two ways side by side, each line with the day it was documented. hardware : an
    InferenceEndpointHardware."""
    # No dollar signs: notebooks take what stands between two of them for mathematics.
    numbers = {name: it for name, it in model.price.items() if isinstance(it, (int, float))}
    price = ", ".join(f"{name} {number:g}" for name, number in numbers.items())
    rented = f"{hardware.instance_type} {hardware.instance_size}"
    today = {
        "what": "price of the examples here",
        "serverless": f"{price} {model.price['unit']}",
        "endpoint": f"{hardware.price_per_hour:g} USD an hour for {rented}",
        "date": model.price["date"],
    }
    headings = {
        "what": "what",
        "serverless": "serverless (Inference Providers)",
        "endpoint": "an endpoint of your own",
        "date": "as of",
    }
    first, *more = facts["compared"]
    rows = [[row[column] for column in headings] for row in (first, today, *more)]
    return Table(list(headings.values()), rows)


def corrected() -> Table:
    """What older tutorials say, and what is documented."""
    rows = [[row["older"], row["now"], row["date"]] for row in facts["corrected"]]
    return Table(["older tutorials say", "documented", "as of"], rows)
