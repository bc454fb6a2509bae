"""Checks for exercise 07: image generation."""

import io
import json
import math
import random
import tempfile
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import InferenceClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.exercises.kit import (
    GIVEN,
    NotYet,
    Raised,
    Spy,
    answer,
    call_whole,
    describe,
    error,
    expect,
    expect_given_client,
    expect_refusal_through,
    read_tasks,
    spy,
    words,
)
from helpers.exercises.service import picture
from helpers.models import models

RETURN_IT = "Your function returns nothing (None). Did you forget `return`?"
SIDE = 256


class Studio:
    """Answers as the provider of pictures does: a link for each request, a picture of the asked size behind it.

    pictures : {number of the request: the file that was made for it}. Threads may ask in any order.
    """

    def __init__(self):
        self.pictures: dict[int, bytes] = {}

    def __call__(self, entry):
        if entry.method == "GET":
            return (
                answer(self.pictures[int(entry.path.split("/")[-1].split(".")[0])])
                if entry.host.endswith("fal.media")
                else None
            )
        size = (entry.json or {}).get("image_size") or {"width": 64, "height": 64}
        if not all(
            type(size.get(side)) is int and 8 <= size[side] <= 512 for side in ("width", "height")
        ):
            return error(422)
        self.pictures[entry.number] = picture(size["width"], size["height"])
        return answer(
            {
                "images": [{"url": f"https://v3.fal.media/files/{entry.number}.png"}],
                "seed": (entry.json or {}).get("seed"),
            }
        )


def new_client() -> InferenceClient:
    """The client that a function is given."""
    return InferenceClient(provider=models["image"].provider, headers=GIVEN)


def run(function, service: Spy, *arguments):
    """What the learner's function returns; old and invented ways of asking get a message of their own."""
    try:
        return call_whole(service, function, new_client(), *arguments)
    except Raised as raised:
        asked = [
            entry.path.split("?")[0].removeprefix("/api/models/")
            for entry in service.lookups
            if "/api/models/" in entry.path
        ]
        wrong = next((name for name in asked if name != models.image), None)
        expect(
            wrong is None,
            f"You asked for the model `{wrong}`. Take the id from the registry: `models.image`.",
        )
        text = str(raised.error)
        expect(
            "provide an HF model ID" not in text, "No model was named. Pass `model=models.image`."
        )
        expect(
            not ("unexpected keyword argument" in text and "text_to_image" in text),
            f"{text}. The names are `width`, `height`, `num_inference_steps`, `guidance_scale`,"
            " `negative_prompt` and `seed`.",
        )
        expect(
            "has no attribute 'post'" not in text,
            "`client.post` is from old examples and is gone. Call `client.text_to_image(…)`.",
        )
        raise


def new_prompt() -> str:
    return f"A drawing of {words(2)}"


def expect_request(service: Spy, row: int, prompt: str, **wanted) -> None:
    """The request in that row asks for a picture of `prompt`, with the `wanted` settings."""
    sent = service.sent[row]
    expect(
        sent.path.startswith("/fal-ai/"),
        f"The request went to `{sent.path}`, which makes no pictures. Call"
        " `client.text_to_image(…)`.",
    )
    expect(
        not service.leaked,
        "Your token is in the body of the request, where others may log it. The client sends it in"
        " a header by itself.",
    )
    expect_given_client(service)
    body = sent.json if isinstance(sent.json, dict) else {}
    expect(
        body.get("prompt") == prompt,
        f"The prompt in the request is {str(body.get('prompt'))[:60]!r}; it should be {prompt!r},"
        " as your function got it.",
    )
    expect(
        body.get("seed") is not None,
        "The request has no `seed`, so the service picks one and nobody can make this picture"
        " again.",
    )
    expect(
        body["seed"] == wanted["seed"],
        f"The seed in the request is {body['seed']!r}; it should be the number {wanted['seed']}.",
    )
    size, alone = body.get("image_size"), [side for side in ("width", "height") if side in body]
    expect(
        not alone,
        f"You gave `{alone and alone[0]}` alone. This provider gets its size only when both `width`"
        " and `height` are given.",
    )
    expect(
        size,
        "The request says nothing about the size, so the provider takes its own. Pass `width` and"
        " `height`.",
    )
    expect(
        size == {"width": wanted["width"], "height": wanted["height"]},
        f"You asked for {size.get('width')} x {size.get('height')} pixels; it should be"
        f" {wanted['width']} x {wanted['height']}.",
    )
    if "num_inference_steps" in wanted:
        got = body.get("num_inference_steps")
        expect(
            got == wanted["num_inference_steps"],
            f"`num_inference_steps` in the request is {got}; it should be"
            f" {wanted['num_inference_steps']}.",
        )
    expect(
        body.get("output_format", "png") == "png",
        f"The request asks for {body.get('output_format')}, which loses pixels; the picture should"
        " come back as the model made it.",
    )
    extra = set(body) - {"prompt", "seed", "image_size", "output_format", *wanted}
    expect(
        not extra,
        f"The request also has `{', '.join(sorted(extra))}`, which nobody asked for. One more"
        " setting, and the pictures are not comparable.",
    )


def expect_picture(value, made: bytes, what: str = "You returned") -> None:
    """`value` is the Pillow image of that file."""
    expect(value is not None, RETURN_IT)
    expect(
        not isinstance(value, (bytes, bytearray)),
        f"{what} bytes. `text_to_image` gives a Pillow image; leave it as it is.",
    )
    expect(
        not isinstance(value, (str, Path)),
        f"{what} a text or a path. The task asks for the picture itself, the Pillow image.",
    )
    expect(
        isinstance(value, Image.Image),
        f"{what} {describe(value)}; the task asks for a Pillow image.",
    )
    true = Image.open(io.BytesIO(made)).convert("RGB")
    expect(
        value.size == true.size,
        f"{what} a picture of {value.size[0]} x {value.size[1]} pixels; the service sent"
        f" {true.size[0]} x {true.size[1]}. Leave it as it came.",
    )
    expect(
        value.convert("RGB").tobytes() == true.tobytes(),
        f"{what} a picture, but not the one that belongs to this request.",
    )


def expect_untouched(given: list, before: list, name: str) -> None:
    """The caller's list is as it was."""
    expect(
        given == before,
        f"After the call the caller's list `{name}` was {given}; it had been {before}. Leave what"
        " you are given as it is: `sorted(…)` and a loop make no changes.",
    )


# ---- task 1 --------------------------------------------------------------------------------------------------------


def check_draw(draw) -> str:
    for _ in range(2):
        prompt, seed, studio = new_prompt(), random.randrange(1, 2**31), Studio()
        with spy(routes=studio) as service:
            value = run(draw, service, prompt, seed)
        expect(service.sent.entries, "No request was sent. Call `client.text_to_image(…)`.")
        expect_request(service, 0, prompt, seed=seed, width=SIDE, height=SIDE)
        expect(
            len(service.sent) == 1,
            f"You sent {len(service.sent)} requests for one picture, and each is paid.",
        )
        expect_picture(value, studio.pictures[1])
    expect_refusal_through(draw, new_client(), new_prompt(), 1)
    return "one request with both sides and a seed, and the picture as it came."


# ---- task 2 --------------------------------------------------------------------------------------------------------


def check_sweep(sweep) -> str:
    for _ in range(2):
        counts, prompt, seed, studio = (
            random.sample(range(2, 50), 3),
            new_prompt(),
            random.randrange(1, 2**31),
            Studio(),
        )
        given = list(counts)
        with spy(routes=studio) as service:
            value = run(sweep, service, prompt, seed, given)
        expect(service.sent.entries, "No request was sent. Each number of steps needs one.")
        sent = [entry.json or {} for entry in service.sent]
        expect(
            len(sent) == len(counts),
            f"There were {len(counts)} numbers of steps, and you sent {len(sent)} requests. One"
            " picture each.",
        )
        expect(
            len({str(body.get("seed")) for body in sent}) == 1,
            "The seed changed from picture to picture, together with the steps. Then nobody can say"
            " what made the difference: the same seed for all.",
        )
        steps = [body.get("num_inference_steps") for body in sent]
        expect(any(steps), "No request has `num_inference_steps`, so all pictures were made alike.")
        expect(
            sorted(map(str, steps)) == sorted(map(str, counts)),
            f"The requests had {steps} steps; they should have {counts}.",
        )
        for row, count in enumerate(steps):
            expect_request(
                service, row, prompt, seed=seed, width=SIDE, height=SIDE, num_inference_steps=count
            )
        expect(value is not None, RETURN_IT)
        expect(
            not isinstance(value, (list, tuple)),
            "You returned a list. Which picture had how many steps? The task asks for a dictionary,"
            " `{steps: picture}`.",
        )
        expect(
            isinstance(value, dict),
            f"You returned {describe(value)}; the task asks for a dictionary, `{{steps:"
            " picture}`.",
        )
        expect(
            not any(isinstance(key, str) for key in value),
            "The keys should be the numbers of steps as they are, without a text around them.",
        )
        expect(set(value) == set(counts), f"The keys are {list(value)}; they should be {counts}.")
        for row, count in enumerate(steps):
            expect_picture(value[count], studio.pictures[row + 1], f"Under {count} there is")
        expect_untouched(given, counts, "steps")
    return "one seed, one parameter that changes, and each picture under its number of steps."


# ---- task 3 --------------------------------------------------------------------------------------------------------


def check_redraw(redraw) -> str:
    folder = Path(tempfile.mkdtemp())
    for _ in range(2):
        width, height = random.sample([64, 96, 128, 160], 2)
        recipe = {
            "prompt": f"Ein Café, {words(1)}, Öl",
            "model": models.image,
            "width": width,
            "height": height,
            "seed": random.randrange(1, 2**31),
            "num_inference_steps": random.randint(5, 40),
            "guidance_scale": None,
        }
        info = PngInfo()
        info.add_itxt("recipe", json.dumps(recipe, ensure_ascii=False))
        path, studio = folder / f"{words(1)}.png", Studio()
        Image.new("RGB", (8, 8)).save(path, pnginfo=info)
        stored = path.read_bytes()
        with spy(routes=studio) as service:
            try:
                value = run(redraw, service, path)
            except Raised as raised:
                expect(
                    "string indices" not in str(raised.error)
                    and "must be a mapping" not in str(raised.error),
                    f"{raised}. The recipe in the file is a text; `json.loads(…)` makes the"
                    " dictionary of it.",
                )
                expect(
                    "name 'null'" not in str(raised.error),
                    f"{raised}. The recipe is JSON, not Python: `json.loads(…)` reads it. "
                    "And `eval` runs whatever a stranger's file says.",
                )
                raise
        expect(
            service.sent.entries,
            (
                "No request was sent. The picture has to be made anew from the recipe in the file."
                if value is not None
                else "No request was sent, and your function returns nothing (None)."
            ),
        )
        expect(len(service.sent) == 1, f"You sent {len(service.sent)} requests for one picture.")
        expect_request(
            service,
            0,
            **{
                name: setting
                for name, setting in recipe.items()
                if name != "model" and setting is not None
            },
        )
        expect_picture(value, studio.pictures[1])
        expect(
            path.read_bytes() == stored,
            "Your function wrote over the file that it was given. The picture in it, and its"
            " recipe, belong to the caller; return the new one.",
        )
    bare = folder / "bare.png"
    Image.new("RGB", (8, 8)).save(bare)
    with spy(routes=Studio()) as service:
        try:
            value = run(redraw, service, bare)
        except Raised as raised:
            expect(
                not service.sent.entries,
                "The file had no recipe, and you sent a request all the same. A guess is not a"
                " recipe.",
            )
            expect(
                isinstance(raised.error, ValueError)
                and not isinstance(raised.error, json.JSONDecodeError),
                f"The file had no recipe, and your function raised {type(raised.error).__name__},"
                " which tells the caller little. Raise a `ValueError` that names the file.",
            )
            expect(
                "bare.png" in str(raised.error),
                "Your `ValueError` does not say which file has no recipe. Put the path into its"
                " text.",
            )
        else:
            expect(
                not service.sent.entries,
                "The file had no recipe, and you sent a request all the same. A guess is not a"
                " recipe.",
            )
            raise NotYet(
                f"The file had no recipe, and your function returned {describe(value)}. Raise a"
                " `ValueError` that names the file."
            )
    return "the whole recipe came from the file, and a file without one is refused by name."


# ---- task 4 --------------------------------------------------------------------------------------------------------


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
                if (
                    isinstance(raised.error, NotImplementedError)
                    or service.sent.entries
                    and not isinstance(raised.error, ValueError)
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


# ---- the quiz ------------------------------------------------------------------------------------------------------


TASKS = read_tasks(__file__, check_draw, check_sweep, check_redraw, check_grid)
