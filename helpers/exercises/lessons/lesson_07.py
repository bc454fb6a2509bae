"""Checks for exercise 07: image generation."""

import io
import json
import math
import random
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, Raised, Spy, describe, error, expect, spy, words
from helpers.models import models

SAY = kit.read_messages(__file__)
ALL = SAY[""]
SIDE = 256
SQUARE = {"width": SIDE, "height": SIDE}


class Studio:
    """Answers as the provider of pictures does: a link for each request, and behind
    it a picture of the asked size.

    pictures : {number of the request: the file that was made for it}. Threads may ask in any order.
    """

    def __init__(self):
        self.pictures: dict[int, bytes] = {}

    def __call__(self, entry):
        if entry.method == "GET":
            fetched = entry.host.endswith("fal.media")
            return kit.answer(self.pictures[int(Path(entry.path).stem)]) if fetched else None
        body = entry.json or {}
        size = body.get("image_size") or {"width": 64, "height": 64}
        sides = [size.get(side) for side in ("width", "height")]
        if not all(type(side) is int and 8 <= side <= 512 for side in sides):
            return error(422)
        self.pictures[entry.number] = kit.picture(*sides)
        url = f"https://v3.fal.media/files/{entry.number}.png"
        return kit.answer({"images": [{"url": url}], "seed": body.get("seed")})


def run(function, service: Spy, *arguments):
    """What the learner's function returns; old and invented ways of asking get own messages."""
    client = kit.new_client(models["image"].provider)
    try:
        return kit.call_whole(service, function, client, *arguments)
    except Raised as raised:
        asked = [entry.path.split("?")[0] for entry in service.lookups]
        named = [path.removeprefix("/api/models/") for path in asked if "/api/models/" in path]
        wrong = [name for name in named if name != models.image]
        expect(not wrong, ALL["other_model"], wrong=wrong and wrong[0])
        text = str(raised.error)
        expect("provide an HF model ID" not in text, ALL["no_model"])
        unknown = "unexpected keyword argument" in text and "text_to_image" in text
        expect(not unknown, ALL["unknown_name"], text=text)
        expect("has no attribute 'post'" not in text, ALL["post"])
        raise


def new_prompt() -> str:
    return f"A drawing of {kit.words(2)}"


def expect_request(service: Spy, row: int, prompt: str, **wanted) -> None:
    """The request in that row asks for a picture of `prompt`, with the `wanted` settings."""
    sent = service.sent[row]
    expect(sent.path.startswith("/fal-ai/"), ALL["other_path"], path=sent.path)
    expect(not service.leaked, ALL["leaked"])
    kit.expect_given_client(service)
    body = sent.json if isinstance(sent.json, dict) else {}
    asked, seed = body.get("prompt"), body.get("seed")
    expect(asked == prompt, ALL["other_prompt"], asked=str(asked)[:60], prompt=prompt)
    expect(seed is not None, ALL["no_seed"])
    expect(seed == wanted["seed"], ALL["other_seed"], seed=seed, right=wanted["seed"])
    alone = [side for side in ("width", "height") if side in body]
    expect(not alone, ALL["one_side"], alone=alone and alone[0])
    expect(size := body.get("image_size"), ALL["no_size"])
    right = {side: wanted[side] for side in ("width", "height")}
    expect(size == right, ALL["other_size"], asked=pixels(size), right=pixels(right))
    steps, right = body.get("num_inference_steps"), wanted.get("num_inference_steps")
    expect(not right or steps == right, ALL["other_steps"], steps=steps, right=right)
    form = body.get("output_format", "png")
    expect(form == "png", ALL["other_format"], form=form)
    extra = sorted(set(body) - {"prompt", "seed", "image_size", "output_format", *wanted})
    expect(not extra, ALL["extra"], extra=", ".join(extra))


def pixels(size: dict) -> str:
    return f"{size.get('width')} x {size.get('height')}"


def expect_picture(value, made: bytes, what: str = "You returned") -> None:
    """`value` is the Pillow image of that file."""
    expect(value is not None, ALL["nothing"])
    expect(not isinstance(value, (bytes, bytearray)), ALL["bytes"], what=what)
    expect(not isinstance(value, (str, Path)), ALL["path"], what=what)
    expect(isinstance(value, Image.Image), ALL["no_image"], what=what, kind=describe(value))
    true = Image.open(io.BytesIO(made)).convert("RGB")
    (width, height), (w, h) = value.size, true.size
    shown = {"size": f"{width} x {height}", "right": f"{w} x {h}"}
    expect(value.size == true.size, ALL["resized"], what=what, **shown)
    expect(value.convert("RGB").tobytes() == true.tobytes(), ALL["other_picture"], what=what)


def expect_dictionary(value, keys: list, say: dict[str, str]) -> None:
    """`value` is a dictionary with these keys."""
    expect(value is not None, ALL["nothing"])
    expect(isinstance(value, dict), say["no_dictionary"], what=describe(value))
    expect(set(value) == set(keys), say["other_keys"], found=list(value), keys=keys)


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
        expect_request(service, 0, prompt, seed=seed, **SQUARE)
        expect(len(service.sent) == 1, say["many_requests"], sent=len(service.sent))
        expect_picture(value, studio.pictures[1])
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
            expect_request(service, row, prompt, seed=seed, **asked)
        expect(not isinstance(value, (list, tuple)), say["list"])
        texts = isinstance(value, dict) and any(isinstance(key, str) for key in value)
        expect(not texts, say["text_keys"])
        expect_dictionary(value, counts, say)
        for row, count in enumerate(steps, 1):
            there = f"Under {count} there is"
            expect_picture(value[count], studio.pictures[row], there)
        expect(given == counts, ALL["touched"], name="steps", given=given, before=counts)
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
            expect_request(service, 0, **settings)
            expect_picture(value, studio.pictures[1])
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
    say, prompts, seeds = (
        SAY["grid"],
        [new_prompt(), new_prompt()],
        random.sample(range(1, 10**6), 3),
    )
    with models["image"].price.instead(megapixel=random.choice([0.5, 0.75, 1.25])) as price:
        one, share = price["megapixel"], SIDE * SIDE / 1024**2
        for budget in (100 * one, 6 * one, 6 * one + 0.1):
            # six pictures at `one` dollar each are within the budget
            here = {"one": one, "six": 6 * one, "budget": budget}
            value, refused, service, studio = _played(grid, prompts, seeds, budget)
            if refused:
                said, plain = str(refused.error), (ValueError, AssertionError, RuntimeError)
                slip = "models.toml" in said or "too many values" in said  # and no refusal
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
                expect_request(service, row, prompt, seed=seed, **SQUARE)
            expect_dictionary(value, wanted, say)
            for row, pair in enumerate(pairs, 1):
                expect_picture(value[pair], studio.pictures[row], say["under"])
        for budget, why in (
            (6 * one * share * 1.5, "pixels"),
            (math.ceil(6 * share) * one * 1.1, "rounded_once"),
            (3.5 * one, "one_list"),
            (5.9 * one, "dearer"),
        ):
            _expect_refused(grid, prompts, seeds, one, budget, why)
    return say["right"]


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
        for name, now, before in zip(("prompts", "seeds"), given, (prompts, seeds), strict=True):
            expect(now == before, ALL["touched"], name=name, given=now, before=before)
    return value, raised, service, studio


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
