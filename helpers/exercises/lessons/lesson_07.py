"""Checks for exercise 07: image generation."""

import json
import math
import random
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, Raised, describe, expect, spy, words
from helpers.exercises.lessons import lesson_07_pictures as pictures
from helpers.exercises.lessons.lesson_07_pictures import SAY, SIDE, Studio, new_prompt, run
from helpers.models import models

SQUARE = {"width": SIDE, "height": SIDE}


def new_seed() -> int:
    return random.randrange(1, 2**31)


# ---- task 1 ----
def check_draw(draw) -> str:
    say = SAY["draw"]
    for _ in range(2):
        prompt, seed, studio = new_prompt(), new_seed(), Studio()
        with spy(routes=studio) as service:
            value = run(draw, service, prompt, seed)
        expect(service.sent.entries, say["nothing_sent"])
        pictures.expect_request(service, 0, prompt, seed=seed, **SQUARE)
        expect(len(service.sent) == 1, say["many_requests"], sent=len(service.sent))
        pictures.expect_picture(value, studio.pictures[1])
    kit.expect_refusal_through(draw, kit.new_client(models["image"].provider), new_prompt(), 1)
    return "one request with both sides and a seed, and the picture as it came."


# ---- task 2 ----
def check_sweep(sweep) -> str:
    say = SAY["sweep"]
    for _ in range(2):
        counts, prompt, seed = random.sample(range(2, 50), 3), new_prompt(), new_seed()
        given, studio = list(counts), Studio()
        with spy(routes=studio) as service:
            value = run(sweep, service, prompt, seed, given)
        expect(service.sent.entries, say["nothing_sent"])
        sent = [entry.json or {} for entry in service.sent]
        expect(len(sent) == len(counts), say["requests"], counts=len(counts), sent=len(sent))
        expect(len({str(body.get("seed")) for body in sent}) == 1, say["other_seeds"])
        steps = [body.get("num_inference_steps") for body in sent]
        expect(any(steps), say["no_steps"])
        right = sorted(map(str, steps)) == sorted(map(str, counts))
        expect(right, say["other_steps"], steps=steps, counts=counts)
        for row, count in enumerate(steps):
            asked = SQUARE | {"num_inference_steps": count}
            pictures.expect_request(service, row, prompt, seed=seed, **asked)
        expect(not isinstance(value, (list, tuple)), say["list"])
        texts = isinstance(value, dict) and any(isinstance(key, str) for key in value)
        expect(not texts, say["text_keys"])
        pictures.expect_dictionary(value, counts, say)
        for row, count in enumerate(steps, 1):
            there = f"Under {count} there is"
            pictures.expect_picture(value[count], studio.pictures[row], there)
        pictures.expect_untouched(given, counts, "steps")
    return "one seed, one parameter that changes, and each picture under its number of steps."


# ---- task 3 ----
def check_redraw(redraw) -> str:
    say = SAY["redraw"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for _ in range(2):
            path, studio = Path(folder, f"{words(1)}.png"), Studio()
            width, height = random.sample([64, 96, 128, 160], 2)
            settings = {"prompt": f"Ein Café, {words(1)}, Öl", "width": width, "height": height}
            settings |= {"seed": new_seed(), "num_inference_steps": random.randint(5, 40)}
            recipe = settings | {"model": models.image, "guidance_scale": None}
            info = PngInfo()
            info.add_itxt("recipe", json.dumps(recipe, ensure_ascii=False))
            Image.new("RGB", (8, 8)).save(path, pnginfo=info)
            stored = path.read_bytes()
            with spy(routes=studio) as service:
                try:
                    value = run(redraw, service, path)
                except Raised as raised:
                    said = str(raised.error)
                    is_text = "string indices" in said or "must be a mapping" in said
                    expect(not is_text, say["text"], raised=raised)
                    expect("name 'null'" not in said, say["eval"], raised=raised)
                    raise
            expect(service.sent.entries, say["no_return" if value is None else "nothing_sent"])
            expect(len(service.sent) == 1, say["many_requests"], sent=len(service.sent))
            pictures.expect_request(service, 0, **settings)
            pictures.expect_picture(value, studio.pictures[1])
            expect(path.read_bytes() == stored, say["wrote_over"])

        bare = Path(folder, "bare.png")
        Image.new("RGB", (8, 8)).save(bare)
        with spy(routes=Studio()) as service:
            value, raised = kit.attempt(run, redraw, service, bare)
    expect(not service.sent.entries, say["guess"])
    expect(raised, say["no_error"], what=describe(value))
    plain = isinstance(raised.error, ValueError) and raised.kind != "JSONDecodeError"
    expect(plain, say["other_error"], kind=raised.kind)
    expect("bare.png" in str(raised.error), say["no_name"])
    return "the whole recipe came from the file, and a file without one is refused by name."


# ---- task 4 ----
def check_grid(grid) -> str:
    prompts, seeds = [new_prompt(), new_prompt()], random.sample(range(1, 10**6), 3)
    with models["image"].price.instead(megapixel=random.choice([0.5, 0.75, 1.25])) as price:
        one, share = price["megapixel"], SIDE * SIDE / 1024**2
        for budget in (100 * one, 6 * one, 6 * one + 0.1):
            _expect_all_drawn(grid, prompts, seeds, one, budget)
        for budget, why in (
            (6 * one * share * 1.5, "pixels"),
            (math.ceil(6 * share) * one * 1.1, "rounded_once"),
            (3.5 * one, "one_list"),
            (5.9 * one, "dearer"),
        ):
            _expect_refused(grid, prompts, seeds, one, budget, why)
    return SAY["grid"]["right"]


def _played(grid, prompts: list[str], seeds: list[int], budget: float) -> tuple:
    """(value, what it raised if it did, the spy, the studio)."""
    studio, given = Studio(), (list(prompts), list(seeds))
    with spy(routes=studio) as service:
        value, raised = kit.attempt(run, grid, service, *given, budget)
    if raised:
        refusal = isinstance(raised.error, ValueError) or not service.sent.entries
        if isinstance(raised.error, NotImplementedError) or not refusal:
            raise raised
    else:
        pictures.expect_untouched(given[0], prompts, "prompts")
        pictures.expect_untouched(given[1], seeds, "seeds")
    return value, raised, service, studio


def _expect_all_drawn(grid, prompts, seeds, one: float, budget: float) -> None:
    """Six pictures at `one` dollar each are within the budget."""
    say, here = SAY["grid"], {"one": one, "six": 6 * one, "budget": budget}
    value, refused, service, studio = _played(grid, prompts, seeds, budget)
    if refused:
        said, plain = str(refused.error), (ValueError, AssertionError, RuntimeError)
        slip = "models.toml" in said or "too many values" in said  # an error, and no refusal
        if service.sent.entries or type(refused.error) not in plain or slip:
            raise refused
        raise NotYet(say["exactly" if budget < 100 * one else "units"].format(**here))
    expect(service.sent.entries, say["nothing_sent"])
    bodies = [entry.json or {} for entry in service.sent]
    pairs = [(body.get("prompt"), body.get("seed")) for body in bodies]
    wanted = [(prompt, seed) for prompt in prompts for seed in seeds]
    expect(len(pairs) == len(wanted), say["requests"], sent=len(pairs))
    expect(sorted(map(str, pairs)) == sorted(map(str, wanted)), say["other_pairs"])
    for row, (prompt, seed) in enumerate(pairs):
        pictures.expect_request(service, row, prompt, seed=seed, **SQUARE)
    pictures.expect_dictionary(value, wanted, say)
    for row, pair in enumerate(pairs, 1):
        pictures.expect_picture(value[pair], studio.pictures[row], say["under"])


def _expect_refused(grid, prompts, seeds, one: float, budget: float, why: str) -> None:
    """Six pictures at `one` dollar each are dearer: a ValueError, before anything is sent."""
    say = SAY["grid"]
    value, refused, service, _ = _played(grid, prompts, seeds, budget)
    here = say["here"].format(one=one, six=6 * one, budget=budget)
    sent = len(service.sent)
    expect(sent != 6, say["drew_all"], here=here, why=say[why])
    expect(not sent, say["noticed_late"], here=here, sent=sent)
    expect(refused, say["no_error"], here=here, what=describe(value))
    expect(isinstance(refused.error, ValueError), say["other_error"], here=here, kind=refused.kind)


TASKS = kit.read_tasks(__file__, check_draw, check_sweep, check_redraw, check_grid)
