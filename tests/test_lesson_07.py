"""Exercise 07: the stub fails, the solution passes, each mistake gets the message about it."""

import io
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from check_cases import CheckCases
from huggingface_hub import InferenceClient
from PIL import Image
from wrong import exercise

from helpers import models
from helpers.exercises.kit import spy
from helpers.exercises.lessons.lesson_07 import TASKS, Studio

DRAW, SWEEP, REDRAW, GRID, QUIZ = TASKS
NAMES = {
    "io": io,
    "product": product,
    "own": InferenceClient(provider="fal-ai"),
    "made_up": Image.new("RGB", (256, 256)),
    "Pool": ThreadPoolExecutor,
}
MADE_UP = ("return made_up", "No request was sent")
CALL = "client.text_to_image(prompt, model=models.image, width=256, height=256, seed=seed)"

DRAW_WRONG = [
    ("seed=seed", "seed=None", "no `seed`"),
    ("seed=seed", "seed=42", "The seed in the request is 42"),
    ("seed=seed", "seed=str(seed)", "should be the number"),
    ("height=256, ", "", "`width` alone"),
    ("width=256, height=256, ", "", "nothing about the size"),
    ("width=256, height=256", "width=512, height=512", "should be 256 x 256"),
    ("models.image", '"stabilityai/stable-diffusion-2-1"', "`models.image`"),
    ("model=models.image, ", "", "No model was named"),
    ("(prompt,", '(prompt + ", high quality",', "The prompt in the request"),
    ("seed=seed", 'seed=seed, negative_prompt="blurry"', "negative_prompt"),
    ("seed=seed", "seed=seed, num_inference_steps=20", "also has `num_inference_steps`"),
    ("seed=seed", "seed=seed, steps=20", "`num_inference_steps`"),
    ("seed=seed", 'seed=seed, extra_body={"output_format": "jpeg"}', "loses pixels"),
    (
        ("return client", "picture = client"),
        (
            "seed=seed)",
            'seed=seed)\n    picture.save(out := io.BytesIO(), "PNG")\n    return out.getvalue()',
        ),
        "You returned bytes",
    ),
    ("seed=seed)", "seed=seed).resize((128, 128))", "Leave it as it came"),
    ("return ", "", "Did you forget `return`"),
    ("return ", f"{CALL}\n    return ", "2 requests for one picture"),
    (
        ("seed=seed)", "seed=seed)\n    return made_up"),
        ("return client", "client"),
        "not the one that belongs",
    ),
    ('return client.post(json={"inputs": prompt})', "is gone"),
    ("client.", "own.", "a client of its own"),
    (f"try:\n    return {CALL}\nexcept Exception:\n    return None", "as if it had an answer"),
    ("def", "async def", "asks for a plain `def`"),
    ("return", "yield", "a generator"),
    (("return client", "return [client"), ("seed=seed)", "seed=seed)]"), "You returned a list"),
]
SWEEP_WRONG = [
    (
        ("{\n        count: client", "[\n        client"),
        ("steps\n    }", "steps\n    ]"),
        "returned a list",
    ),
    ("seed=seed", "seed=seed + count", "The seed changed"),
    ("seed=seed", "seed=None", "no `seed`"),
    (", num_inference_steps=count", "", "No request has `num_inference_steps`"),
    ("in steps", "in (51, 52, 53)", "The requests had [51, 52, 53]"),
    ("=count", "=count, guidance_scale=count / 4", "guidance_scale"),
    ("count: client", 'f"{count} steps": client', "as they are"),
    ("in steps", "in steps[:1]", "1 requests"),
    (
        ("return {", "pictures = {"),
        ("steps\n    }", "steps\n    }\n    return dict.fromkeys(pictures, pictures[steps[-1]])"),
        "not the one that belongs",
    ),
    ("return ", "", "Did you forget `return`"),
    ("in steps", "in [steps.pop() for _ in range(len(steps))]", "the caller's list `steps`"),
    (
        "return {",
        "steps.sort(reverse=steps == sorted(steps))\n    return {",
        "the caller's list `steps`",
    ),
    ("client.", "own.", "a client of its own"),
    (
        ("count: client", "i: client"),
        ("count in steps", "i, count in enumerate(steps)"),
        "The keys are [0, 1, 2]",
    ),
    (
        ("return {", "pictures = {"),
        (
            "steps\n    }",
            "steps\n    }\n    made = list(pictures.values())"
            "\n    return dict(zip(steps, made[1:] + made[:1]))",
        ),
        "not the one that belongs",
    ),
]
REDRAW_WRONG = [
    ("**json.loads(recipe)", "**recipe", "`json.loads"),
    ("**json.loads(recipe)", 'json.loads(recipe)["prompt"], model=models.image', "no `seed`"),
    (
        "json.loads(recipe)",
        'json.loads(recipe) | {"width": 256, "height": 256}',
        "You asked for 256 x 256",
    ),
    (
        "json.loads(recipe)",
        'json.loads(recipe) | {"num_inference_steps": None}',
        "`num_inference_steps` in the request is None",
    ),
    ('.get("recipe")', '["recipe"]', "KeyError"),
    ('raise ValueError(f"{path} has no recipe")', "return None", "returned nothing (None)"),
    (
        'raise ValueError(f"{path} has no recipe")',
        'return client.text_to_image("A lighthouse", model=models.image)',
        "A guess is not a recipe",
    ),
    ('f"{path} has no recipe"', '"no recipe"', "which file"),
    ("return Image.open(path)", "No request was sent"),
    ("return ", "", "Did you forget `return`"),
    ("json.loads(recipe)", "eval(recipe)", "`eval` runs"),
    (
        ("return client", "picture = client"),
        ("(recipe))", "(recipe))\n    picture.save(path)\n    return picture"),
        "wrote over the file",
    ),
    ("client.", "own.", "a client of its own"),
    ('.get("recipe")', '.get("recipe", "")', "JSONDecodeError"),
    ("raise ", "return ", "Raise a `ValueError`"),
]
COST = 'models["image"].cost(megapixels=256 * 256 / 1024**2)'
GRID_WRONG = [
    ("cost > budget", "False", "You drew them all"),
    (COST, 'models["image"].price["megapixel"] * 256 * 256 / 1024**2', "*rounded up*"),
    (
        "count * " + COST,
        'models["image"].cost(megapixels=count * 256 * 256 / 1024**2)',
        "before rounding",
    ),
    ("len(prompts) * ", "", "seeds or the prompts only"),
    (COST, "0.025", "You drew them all"),
    """
    # before you noticed
    pictures, spent = {}, 0
    for prompt, seed in product(prompts, seeds):
        spent += models["image"].cost(megapixels=1)
        if spent > budget:
            raise ValueError(f"${spent} is too much")
        pictures[prompt, seed] = draw(client, prompt, seed)
    return pictures""",
    ("cost > budget", "cost >= budget", "exactly on the budget"),
    ("raise ValueError(", "return {} and (", "Raise a `ValueError`"),
    (
        "for prompt in prompts for seed in seeds",
        "for prompt, seed in zip(prompts, seeds)",
        "you sent 2 requests",
    ),
    (("{(prompt, seed): draw", "[draw"), ("seeds}", "seeds]"), "{(prompt, seed): picture}"),
    ("(prompt, seed): draw", "prompt: draw", "should be pairs"),
    ("raise ", "return ", "Raise a `ValueError`"),
    ("raise ValueError", "raise AssertionError", "raised AssertionError"),
    (" / 1024**2", "", "Look at the units"),
    (
        ("return {", "pictures = {"),
        ("seeds}", "seeds}\n    prompts.clear()\n    return pictures"),
        "the caller's list `prompts`",
    ),
    ("draw(client", "draw(own", "a client of its own"),
    (
        ("if cost > budget:", "few = int(budget // (cost / count))\n    if False:"),
        (
            "for prompt in prompts for seed in seeds",
            "for prompt, seed in list(product(prompts, seeds))[:few]",
        ),
        "Raise a `ValueError`",
    ),
    ("len(prompts) * len(seeds)", "len(prompts) + len(seeds)", "You drew them all"),
]
RIGHT = [
    (DRAW, "seed=seed", 'seed=seed, extra_body={"output_format": "png"}'),
    (SWEEP, "in steps", "in sorted(steps, reverse=True)"),
    """
    def sweep(client, prompt, seed, steps):
        def one(count):
            return client.text_to_image(prompt, model=models.image, width=256, height=256,
                                        seed=seed, num_inference_steps=count)
        with Pool(3) as pool:
            return dict(zip(steps, pool.map(one, steps)))""",
    (
        REDRAW,
        "raise ValueError(",
        "class NoRecipe(ValueError):\n            pass\n        raise NoRecipe(",
    ),
    (GRID, "for prompt in prompts for seed in seeds", "for seed in seeds for prompt in prompts"),
    (GRID, COST, 'models["image"].price["megapixel"]'),
]


MISTAKES = [[MADE_UP, *cases] for cases in (DRAW_WRONG, SWEEP_WRONG, REDRAW_WRONG, GRID_WRONG)]


class TestExercise(CheckCases):
    tasks, quiz = [DRAW, SWEEP, REDRAW, GRID], QUIZ
    wrong, right = exercise("07_image_generation", tasks, MISTAKES, RIGHT, **NAMES)
    draws_right, draws_wrong = 3, 1


def test_the_stand_in_makes_pictures_of_the_asked_size():
    with spy(routes=Studio()):
        picture = InferenceClient(provider="fal-ai").text_to_image(
            "A cat", model=models.image, width=96, height=64
        )
    assert picture.size == (96, 64)
