"""Every task of exercise 07: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from check_cases import CheckCases
from huggingface_hub import InferenceClient
from PIL import Image

from helpers import models
from helpers.exercises.kit import spy
from helpers.exercises.lessons.lesson_07 import TASKS, Studio

DRAW, SWEEP, REDRAW, GRID, QUIZ = TASKS


def stub(*arguments):
    raise NotImplementedError("your code here")


def made_up(*arguments):
    return Image.new("RGB", (256, 256))


def ask(client, prompt, seed, **changes):
    settings = {"model": models.image, "width": 256, "height": 256, "seed": seed} | changes
    return client.text_to_image(prompt, **settings)


# ---- task 1 --------------------------------------------------------------------------------------------------------


def draw(client, prompt, seed):
    return ask(client, prompt, seed)


def as_png(client, prompt, seed):
    return ask(client, prompt, seed, extra_body={"output_format": "png"})


def no_seed(client, prompt, seed):
    return ask(client, prompt, None)


def fixed_seed(client, prompt, seed):
    return ask(client, prompt, 42)


def width_only(client, prompt, seed):
    return ask(client, prompt, seed, height=None)


def no_size(client, prompt, seed):
    return ask(client, prompt, seed, width=None, height=None)


def larger(client, prompt, seed):
    return ask(client, prompt, seed, width=512, height=512)


def other_model(client, prompt, seed):
    return ask(client, prompt, seed, model="stabilityai/stable-diffusion-2-1")


def no_model(client, prompt, seed):
    return ask(client, prompt, seed, model=None)


def better_prompt(client, prompt, seed):
    return ask(client, prompt + ", high quality", seed)


def negative(client, prompt, seed):
    return ask(client, prompt, seed, negative_prompt="blurry")


def as_bytes(client, prompt, seed):
    out = io.BytesIO()
    ask(client, prompt, seed).save(out, "PNG")
    return out.getvalue()


def resized(client, prompt, seed):
    return ask(client, prompt, seed).resize((128, 128))


def forgets_return(client, prompt, seed):
    ask(client, prompt, seed)


def twice(client, prompt, seed):
    ask(client, prompt, seed)
    return ask(client, prompt, seed)


def asks_and_makes_up(client, prompt, seed):
    ask(client, prompt, seed)
    return made_up()


def old_post(client, prompt, seed):
    return client.post(json={"inputs": prompt})


def invented_name(client, prompt, seed):
    return ask(client, prompt, seed, steps=20)


def own_client(client, prompt, seed):
    return ask(InferenceClient(provider=models["image"].provider), prompt, seed)


def more_steps(client, prompt, seed):
    return ask(client, prompt, seed, num_inference_steps=20)


def as_jpeg(client, prompt, seed):
    return ask(client, prompt, seed, extra_body={"output_format": "jpeg"})


def hides_refusals(client, prompt, seed):
    try:
        return ask(client, prompt, seed)
    except Exception:
        return None


def seed_as_text(client, prompt, seed):
    return ask(client, prompt, str(seed))


async def awaits(client, prompt, seed):
    return ask(client, prompt, seed)


def hands_over_a_generator(client, prompt, seed):
    yield ask(client, prompt, seed)


def in_a_list(client, prompt, seed):
    return [ask(client, prompt, seed)]


DRAW_WRONG = {
    stub: "still empty",
    made_up: "No request was sent",
    no_seed: "no `seed`",
    fixed_seed: "The seed in the request is 42",
    width_only: "`width` alone",
    no_size: "nothing about the size",
    larger: "should be 256 x 256",
    other_model: "`models.image`",
    no_model: "No model was named",
    better_prompt: "The prompt in the request",
    negative: "negative_prompt",
    as_bytes: "You returned bytes",
    resized: "Leave it as it came",
    forgets_return: "Did you forget `return`",
    twice: "2 requests for one picture",
    asks_and_makes_up: "not the one that belongs",
    old_post: "is gone",
    invented_name: "`num_inference_steps`",
    own_client: "a client of its own",
    more_steps: "also has `num_inference_steps`",
    as_jpeg: "loses pixels",
    hides_refusals: "as if it had an answer",
    seed_as_text: "should be the number",
    awaits: "asks for a plain `def`",
    hands_over_a_generator: "a generator",
    in_a_list: "You returned a list",
}


# ---- task 2 --------------------------------------------------------------------------------------------------------


def sweep(client, prompt, seed, steps):
    return {count: ask(client, prompt, seed, num_inference_steps=count) for count in steps}


def backwards(client, prompt, seed, steps):
    return sweep(client, prompt, seed, sorted(steps, reverse=True))


def as_list(client, prompt, seed, steps):
    return list(sweep(client, prompt, seed, steps).values())


def seed_moves(client, prompt, seed, steps):
    return {
        count: ask(client, prompt, seed + i, num_inference_steps=count)
        for i, count in enumerate(steps)
    }


def seedless_sweep(client, prompt, seed, steps):
    return {count: ask(client, prompt, None, num_inference_steps=count) for count in steps}


def forgets_steps(client, prompt, seed, steps):
    return {count: ask(client, prompt, seed) for count in steps}


def fixed_steps(client, prompt, seed, steps):
    return sweep(client, prompt, seed, [51, 52, 53])


def guidance_too(client, prompt, seed, steps):
    return {
        count: ask(client, prompt, seed, num_inference_steps=count, guidance_scale=count / 4)
        for count in steps
    }


def labels(client, prompt, seed, steps):
    return {
        f"{count} steps": picture for count, picture in sweep(client, prompt, seed, steps).items()
    }


def first_only(client, prompt, seed, steps):
    return sweep(client, prompt, seed, steps[:1])


def one_picture(client, prompt, seed, steps):
    pictures = sweep(client, prompt, seed, steps)
    return dict.fromkeys(pictures, pictures[steps[-1]])


def sweeps_without_return(client, prompt, seed, steps):
    sweep(client, prompt, seed, steps)


def empties_the_list(client, prompt, seed, steps):
    pictures = {}
    while steps:
        pictures.update(sweep(client, prompt, seed, [steps.pop()]))
    return pictures


def sorts_the_list(client, prompt, seed, steps):
    steps.sort(reverse=steps == sorted(steps))
    return sweep(client, prompt, seed, steps)


def sweeps_through_own_client(client, prompt, seed, steps):
    return sweep(InferenceClient(provider="fal-ai"), prompt, seed, steps)


def by_position(client, prompt, seed, steps):
    return dict(enumerate(sweep(client, prompt, seed, steps).values()))


def off_by_one(client, prompt, seed, steps):
    pictures = list(sweep(client, prompt, seed, steps).values())
    return dict(zip(steps, pictures[1:] + pictures[:1]))


def at_once(client, prompt, seed, steps):
    with ThreadPoolExecutor(3) as pool:
        return dict(
            zip(
                steps,
                pool.map(lambda count: ask(client, prompt, seed, num_inference_steps=count), steps),
            )
        )


SWEEP_WRONG = {
    stub: "still empty",
    made_up: "No request was sent",
    as_list: "returned a list",
    seed_moves: "The seed changed",
    seedless_sweep: "no `seed`",
    forgets_steps: "No request has `num_inference_steps`",
    fixed_steps: "The requests had [51, 52, 53]",
    guidance_too: "guidance_scale",
    labels: "as they are",
    first_only: "1 requests",
    one_picture: "not the one that belongs",
    sweeps_without_return: "Did you forget `return`",
    empties_the_list: "the caller's list `steps`",
    sorts_the_list: "the caller's list `steps`",
    sweeps_through_own_client: "a client of its own",
    by_position: "The keys are [0, 1, 2]",
    off_by_one: "not the one that belongs",
}


# ---- task 3 --------------------------------------------------------------------------------------------------------


def recipe_in(path):
    with Image.open(path) as image:
        text = image.text.get("recipe")
    if text is None:
        raise ValueError(f"{path} has no recipe")
    return json.loads(text)


def redraw(client, path):
    return client.text_to_image(**recipe_in(path))


def forgets_json(client, path):
    return client.text_to_image(**Image.open(path).text["recipe"])


def prompt_only(client, path):
    return client.text_to_image(recipe_in(path)["prompt"], model=models.image)


def usual_size(client, path):
    return client.text_to_image(**recipe_in(path) | {"width": 256, "height": 256})


def drops_steps(client, path):
    recipe = recipe_in(path)
    del recipe["num_inference_steps"]
    return client.text_to_image(**recipe)


def key_error(client, path):
    return client.text_to_image(**json.loads(Image.open(path).text["recipe"]))


def returns_none(client, path):
    text = Image.open(path).text.get("recipe")
    return client.text_to_image(**json.loads(text)) if text else None


def guesses(client, path):
    text = Image.open(path).text.get("recipe")
    return (
        client.text_to_image(**json.loads(text))
        if text
        else client.text_to_image("A lighthouse", model=models.image)
    )


def nameless(client, path):
    try:
        return redraw(client, path)
    except ValueError:
        raise ValueError("no recipe") from None


def opens_the_file(client, path):
    return Image.open(path)


def redraws_without_return(client, path):
    redraw(client, path)


def evaluates(client, path):
    text = Image.open(path).text.get("recipe")
    if text is None:
        raise ValueError(f"{path} has no recipe")
    return client.text_to_image(**eval(text))


def overwrites(client, path):
    picture = redraw(client, path)
    picture.save(path)
    return picture


def redraws_through_own_client(client, path):
    return redraw(InferenceClient(provider="fal-ai"), path)


def reads_an_empty_recipe(client, path):
    return client.text_to_image(**json.loads(Image.open(path).text.get("recipe", "")))


def returns_the_error(client, path):
    try:
        return redraw(client, path)
    except ValueError as error:
        return error


class NoRecipe(ValueError):
    pass


def an_error_of_its_own(client, path):
    with Image.open(path) as image:
        if "recipe" not in image.info:
            raise NoRecipe(path)
        return client.text_to_image(**json.loads(image.info["recipe"]))


REDRAW_WRONG = {
    stub: "still empty",
    made_up: "No request was sent",
    forgets_json: "`json.loads",
    prompt_only: "no `seed`",
    usual_size: "You asked for 256 x 256",
    drops_steps: "`num_inference_steps` in the request is None",
    key_error: "KeyError",
    returns_none: "returned nothing (None)",
    guesses: "A guess is not a recipe",
    nameless: "which file",
    opens_the_file: "No request was sent",
    redraws_without_return: "Did you forget `return`",
    evaluates: "`eval` runs",
    overwrites: "wrote over the file",
    redraws_through_own_client: "a client of its own",
    reads_an_empty_recipe: "JSONDecodeError",
    returns_the_error: "Raise a `ValueError`",
}


# ---- task 4 --------------------------------------------------------------------------------------------------------


def within(budget, cost):
    if cost > budget:
        raise ValueError(f"${cost:.2f} is more than the budget of ${budget:.2f}")


def all_of(client, prompts, seeds):
    return {(prompt, seed): ask(client, prompt, seed) for prompt in prompts for seed in seeds}


def grid(client, prompts, seeds, budget):
    within(budget, len(prompts) * len(seeds) * models["image"].cost(megapixels=256 * 256 / 1024**2))
    return all_of(client, prompts, seeds)


def seeds_first(client, prompts, seeds, budget):
    within(budget, len(prompts) * len(seeds) * models["image"].price["megapixel"])
    return {(prompt, seed): ask(client, prompt, seed) for seed in seeds for prompt in prompts}


def ignores_budget(client, prompts, seeds, budget):
    return all_of(client, prompts, seeds)


def unrounded(client, prompts, seeds, budget):
    within(
        budget, len(prompts) * len(seeds) * models["image"].price["megapixel"] * 256 * 256 / 1024**2
    )
    return all_of(client, prompts, seeds)


def rounds_the_sum(client, prompts, seeds, budget):
    within(budget, models["image"].cost(megapixels=len(prompts) * len(seeds) * 256 * 256 / 1024**2))
    return all_of(client, prompts, seeds)


def seeds_only(client, prompts, seeds, budget):
    within(budget, len(seeds) * models["image"].cost(megapixels=1))
    return all_of(client, prompts, seeds)


def old_price(client, prompts, seeds, budget):
    within(budget, len(prompts) * len(seeds) * 0.025)
    return all_of(client, prompts, seeds)


def pays_first(client, prompts, seeds, budget):
    pictures, spent = {}, 0
    for prompt in prompts:
        for seed in seeds:
            spent += models["image"].cost(megapixels=1)
            within(budget, spent)
            pictures[prompt, seed] = ask(client, prompt, seed)
    return pictures


def strictly_below(client, prompts, seeds, budget):
    cost = len(prompts) * len(seeds) * models["image"].cost(megapixels=1)
    if cost >= budget:
        raise ValueError("too expensive")
    return all_of(client, prompts, seeds)


def empty_grid(client, prompts, seeds, budget):
    try:
        return grid(client, prompts, seeds, budget)
    except ValueError:
        return {}


def pairs_up(client, prompts, seeds, budget):
    return {(prompt, seed): ask(client, prompt, seed) for prompt, seed in zip(prompts, seeds)}


def list_of_pictures(client, prompts, seeds, budget):
    return list(grid(client, prompts, seeds, budget).values())


def by_prompt(client, prompts, seeds, budget):
    return {
        prompt: picture for (prompt, _), picture in grid(client, prompts, seeds, budget).items()
    }


def returns_the_refusal(client, prompts, seeds, budget):
    try:
        return grid(client, prompts, seeds, budget)
    except ValueError as error:
        return error


def another_error(client, prompts, seeds, budget):
    assert len(prompts) * len(seeds) * models["image"].cost(megapixels=1) <= budget
    return all_of(client, prompts, seeds)


def prices_pixels(client, prompts, seeds, budget):
    within(budget, len(prompts) * len(seeds) * models["image"].cost(megapixels=256 * 256))
    return all_of(client, prompts, seeds)


def eats_the_prompts(client, prompts, seeds, budget):
    pictures = grid(client, prompts, seeds, budget)
    prompts.clear()
    return pictures


def grid_through_own_client(client, prompts, seeds, budget):
    return grid(InferenceClient(provider="fal-ai"), prompts, seeds, budget)


def draws_what_it_can(client, prompts, seeds, budget):
    affordable = int(budget / models["image"].cost(megapixels=1))
    return {
        (prompt, seed): ask(client, prompt, seed)
        for prompt, seed in list(product(prompts, seeds))[:affordable]
    }


def adds_the_counts(client, prompts, seeds, budget):
    within(budget, (len(prompts) + len(seeds)) * models["image"].cost(megapixels=1))
    return all_of(client, prompts, seeds)


def one_by_one(client, prompts, seeds, budget):
    pairs, cost = list(product(prompts, seeds)), 0
    for _ in pairs:
        cost += models["image"].cost(megapixels=0.0625)
    if not cost <= budget:
        raise ValueError("too much")
    return {pair: ask(client, *pair) for pair in pairs}


GRID_WRONG = {
    stub: "still empty",
    made_up: "No request was sent",
    ignores_budget: "You drew them all",
    unrounded: "*rounded up*",
    rounds_the_sum: "before rounding",
    seeds_only: "seeds or the prompts only",
    old_price: "You drew them all",
    pays_first: "before you noticed",
    strictly_below: "exactly on the budget",
    empty_grid: "Raise a `ValueError`",
    pairs_up: "you sent 2 requests",
    list_of_pictures: "{(prompt, seed): picture}",
    by_prompt: "should be pairs",
    returns_the_refusal: "Raise a `ValueError`",
    another_error: "raised AssertionError",
    prices_pixels: "Look at the units",
    eats_the_prompts: "the caller's list `prompts`",
    grid_through_own_client: "a client of its own",
    draws_what_it_can: "Raise a `ValueError`",
    adds_the_counts: "You drew them all",
}

CASES = [(DRAW, DRAW_WRONG), (SWEEP, SWEEP_WRONG), (REDRAW, REDRAW_WRONG), (GRID, GRID_WRONG)]
SOLUTIONS = [
    (DRAW, draw),
    (DRAW, as_png),
    (SWEEP, sweep),
    (SWEEP, backwards),
    (SWEEP, at_once),
    (REDRAW, redraw),
    (REDRAW, an_error_of_its_own),
    (GRID, grid),
    (GRID, seeds_first),
    (GRID, one_by_one),
]


class TestExercise(CheckCases):
    tasks, right, quiz = [task for task, _ in CASES], SOLUTIONS, QUIZ
    wrong = [
        (task, mistake, message)
        for task, mistakes in CASES
        for mistake, message in mistakes.items()
    ]
    draws_right, draws_wrong = 3, 1


def test_the_stand_in_makes_pictures_of_the_asked_size():
    with spy(routes=Studio()):
        picture = InferenceClient(provider="fal-ai").text_to_image(
            "A cat", model=models.image, width=96, height=64
        )
    assert picture.size == (96, 64)
