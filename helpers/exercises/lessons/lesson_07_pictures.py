"""What the checks of exercise 07 share: a provider of pictures, and what they look at."""

import io
from pathlib import Path

from PIL import Image

from helpers.exercises import kit
from helpers.exercises.kit import Raised, Spy, describe, error, expect
from helpers.models import models

SAY = kit.read_messages(__file__)
ALL = SAY[""]
SIDE = 256


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


def expect_untouched(given: list, before: list, name: str) -> None:
    """The caller's list is as it was."""
    expect(given == before, ALL["touched"], name=name, given=given, before=before)


def expect_dictionary(value, keys: list, say: dict[str, str]) -> None:
    """`value` is a dictionary with these keys."""
    expect(value is not None, ALL["nothing"])
    expect(isinstance(value, dict), say["no_dictionary"], what=describe(value))
    expect(set(value) == set(keys), say["other_keys"], found=list(value), keys=keys)
