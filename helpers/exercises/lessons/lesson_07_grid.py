"""Exercise 07, task 4: count before you draw."""

import math
import random
from contextlib import contextmanager

from helpers.exercises.kit import (
    NotYet,
    Raised,
    describe,
    expect,
    spy,
)
from helpers.exercises.lessons.lesson_07_pictures import (
    RETURN_IT,
    SIDE,
    Studio,
    expect_picture,
    expect_request,
    expect_untouched,
    new_prompt,
    run,
)
from helpers.models import models


@contextmanager
def other_price():
    """A price nobody has seen in the registry, for as long as the block lasts."""
    price = models["image"].price
    kept = dict(price)
    price.update(megapixel=random.choice([0.5, 0.75, 1.25]))
    try:
        yield price["megapixel"]
    finally:
        price.update(kept)


def check_grid(grid) -> str:
    def run_grid(prompts, seeds, budget):
        """(value, the error if it raised one, service, studio)"""
        studio, given = Studio(), (list(prompts), list(seeds))
        with spy(routes=studio) as service:
            try:
                value = run(grid, service, *given, budget)
            except Raised as raised:
                if isinstance(raised.error, NotImplementedError) or (
                    service.sent.entries and not isinstance(raised.error, ValueError)
                ):
                    raise
                return None, raised, service, studio
        expect_untouched(given[0], prompts, "prompts")
        expect_untouched(given[1], seeds, "seeds")
        return value, None, service, studio

    prompts, seeds = [new_prompt(), new_prompt()], random.sample(range(1, 10**6), 3)
    with other_price() as price:
        for budget in (100 * price, 6 * price, 6 * price + 0.1):
            value, refused, service, studio = run_grid(prompts, seeds, budget)
            if refused is not None:
                if (
                    service.sent.entries
                    or type(refused.error) not in (ValueError, AssertionError, RuntimeError)
                    or "models.toml" in str(refused.error)
                    or "too many values" in str(refused.error)
                ):
                    raise refused
                expect(
                    budget < 100 * price,
                    f"Six pictures at ${price} are ${6 * price:.2f}, the budget was ${budget:.2f},"
                    " and you refused. Look at the units: a picture of 256 x 256 pixels has `256 *"
                    " 256 / 1024**2` megapixels.",
                )
                raise NotYet(
                    f"Six pictures at ${price} are ${6 * price:.2f}, the budget was ${budget:.2f},"
                    " and you refused. What is exactly on the budget is allowed; and the price is"
                    " in the registry (the check changed it for a moment)."
                )
            expect(service.sent.entries, "No request was sent, though the budget was enough.")
            pairs = [
                (body.get("prompt"), body.get("seed"))
                for body in (entry.json or {} for entry in service.sent)
            ]
            wanted = [(prompt, seed) for prompt in prompts for seed in seeds]
            expect(
                len(pairs) == len(wanted),
                f"Two prompts with three seeds each are six pictures; you sent {len(pairs)}"
                " requests.",
            )
            expect(
                sorted(map(str, pairs)) == sorted(map(str, wanted)),
                "Not every prompt was drawn with every seed: the requests hold other pairs.",
            )
            for row, (prompt, seed) in enumerate(pairs):
                expect_request(service, row, prompt, seed=seed, width=SIDE, height=SIDE)
            expect(value is not None, RETURN_IT)
            expect(
                isinstance(value, dict),
                f"You returned {describe(value)}; the task asks for a dictionary, `{{(prompt,"
                " seed): picture}`.",
            )
            expect(
                set(value) == set(wanted),
                "The keys should be pairs, `(prompt, seed)`, one for each picture.",
            )
            for row, pair in enumerate(pairs):
                expect_picture(
                    value[pair], studio.pictures[row + 1], "Under one of the keys there is"
                )
        share = SIDE * SIDE / 1024**2
        for budget, why in [
            (
                6 * price * share * 1.5,
                (
                    "You counted the pixels as they are. Each picture is paid by its megapixels"
                    ' *rounded up*: `models["image"].cost(megapixels=…)` does that.'
                ),
            ),
            (
                math.ceil(6 * share) * price * 1.1,
                (
                    "You added the pixels up before rounding. Each picture is rounded up by itself,"
                    " then they are added."
                ),
            ),
            (
                3.5 * price,
                "You counted the seeds or the prompts only. A grid has prompts × seeds pictures.",
            ),
            (5.9 * price, "The grid was dearer than the budget."),
        ]:
            value, refused, service, _ = run_grid(prompts, seeds, budget)
            here = (
                f"Six pictures at ${price} are ${6 * price:.2f}, and the budget was ${budget:.2f}"
            )
            expect(len(service.sent) != 6, f"{here}. You drew them all. {why}")
            expect(
                not service.sent.entries,
                f"{here}. You sent {len(service.sent)} requests before you noticed; they are paid."
                " Count first, then draw.",
            )
            expect(
                refused is not None,
                f"{here}. You sent nothing, which is right, but returned {describe(value)}. Raise a"
                " `ValueError`, so that the caller learns why there are no pictures.",
            )
            expect(
                isinstance(refused.error, ValueError),
                f"{here}. You sent nothing, which is right, but raised"
                f" {type(refused.error).__name__}. The task asks for a `ValueError`.",
            )
    return (
        "counted before anything was paid, with the registry's price, and every prompt drawn with"
        " every seed."
    )
