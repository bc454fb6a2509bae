"""Checks for exercise 07: image generation."""

import json
import random
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.exercises.kit import (
    NotYet,
    Raised,
    describe,
    expect,
    expect_refusal_through,
    read_tasks,
    spy,
    words,
)
from helpers.exercises.lessons.lesson_07_grid import check_grid
from helpers.exercises.lessons.lesson_07_pictures import (
    RETURN_IT,
    SIDE,
    Studio,
    expect_picture,
    expect_request,
    expect_untouched,
    new_client,
    new_prompt,
    run,
)
from helpers.models import models

# ---- task 1 ----------


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


# ---- task 2 ----------


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


# ---- task 3 ----------


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


TASKS = read_tasks(__file__, check_draw, check_sweep, check_redraw, check_grid)
