"""What the checks of exercise 07 share: a provider of pictures, and what they look at."""

import io
from pathlib import Path

from huggingface_hub import InferenceClient
from PIL import Image

from helpers.exercises.kit import (
    GIVEN,
    Raised,
    Spy,
    answer,
    call_whole,
    describe,
    error,
    expect,
    expect_given_client,
    words,
)
from helpers.exercises.service import picture
from helpers.models import models

RETURN_IT = "Your function returns nothing (None). Did you forget `return`?"
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
    """What the learner's function returns; old and invented ways of asking get own messages."""
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
