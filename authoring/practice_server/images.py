"""Text-to-image without a model: a test card that nobody can take for a model's picture.

It has the asked size, its pattern follows from the seed alone, and everything that was asked for is
printed on it.
"""

import io
import random
import textwrap
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from . import fields
from .chat import derived_seed

SMALLEST, LARGEST, DEFAULT = 64, 2048, 512


@dataclass(frozen=True)
class Card:
    """What was asked for. Sizes in pixels; None where the request said nothing."""

    prompt: str
    width: int
    height: int
    seed: int
    steps: int | None = None
    guidance: float | None = None
    negative: str = ""

    @classmethod
    def read(cls, prompt: str, parameters: dict, error=fields.wrong) -> "Card":
        """From a request's parameters, under any of the names the providers have for them. Raises
        an error naming the field."""
        size = parameters.get("size")
        if (
            isinstance(size, str)
            and size.count("x") == 1
            and all(part.isdecimal() for part in size.split("x"))
        ):
            width, height = size.split("x")
            parameters = parameters | {"width": int(width), "height": int(height)}
        elif size is not None:
            raise error("size", 'must look like "512x512"')
        if isinstance(parameters.get("image_size"), dict):
            parameters = parameters | parameters["image_size"]

        def first(read, names, *limits, **more):
            return next(
                (
                    value
                    for name in names
                    if (value := read(parameters, name, *limits, error=error, **more)) is not None
                ),
                None,
            )

        seed = fields.seed(parameters, error=error)
        return cls(
            prompt=prompt,
            width=first(fields.integer, ["width"], SMALLEST, LARGEST) or DEFAULT,
            height=first(fields.integer, ["height"], SMALLEST, LARGEST) or DEFAULT,
            seed=derived_seed(prompt) if seed is None else seed,
            steps=first(fields.integer, ["num_inference_steps", "steps"], 1, 500),
            guidance=first(fields.number, ["guidance_scale", "guidance", "cfg_scale"], 0, 100),
            negative=fields.text(parameters, "negative_prompt", "", error=error),
        )

    def png(self) -> bytes:
        """The picture."""
        rng = random.Random(self.seed)
        hues = [rng.randrange(256) for _ in range(3)]
        image = Image.new("HSV", (self.width, self.height), (hues[0], 90, 230))
        draw = ImageDraw.Draw(image)
        cell = max(8, min(self.width, self.height) // 8)
        for y in range(0, self.height, cell):
            for x in range(0, self.width, cell):
                draw.rectangle(
                    (x, y, x + cell - 1, y + cell - 1),
                    (rng.choice(hues), rng.randrange(60, 160), rng.randrange(140, 240)),
                )
        image = image.convert("RGB")
        self._print(ImageDraw.Draw(image))
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()

    def _print(self, draw: ImageDraw.ImageDraw) -> None:
        said = [f"seed {self.seed}", f"{self.width} x {self.height}"]
        said += [f"{self.steps} steps"] if self.steps else []
        said += [f"guidance {self.guidance:g}"] if self.guidance is not None else []
        small = max(6, min(self.width, self.height) // 26)
        columns = max(10, int((self.width - 2 * small) / (small * 0.52)))
        lines = textwrap.wrap(
            ", ".join(said), columns
        )  # first, for a picture so small that not all of it fits
        lines += textwrap.wrap(
            f"prompt: {self.prompt}", columns, max_lines=5, placeholder=" …"
        ) or ["prompt:"]
        lines += (
            textwrap.wrap(
                f"negative prompt: {self.negative}", columns, max_lines=2, placeholder=" …"
            )
            if self.negative
            else []
        )
        lines += textwrap.wrap("A test card: no model made this picture.", columns)
        font, title = ImageFont.load_default(small), ImageFont.load_default(small * 2)
        if (length := title.getlength("PRACTICE IMAGE")) > self.width - 2 * small:
            title = ImageFont.load_default(small * 2 * (self.width - 2 * small) / length)
        height = small * 3.6 + len(lines) * small * 1.4
        top = max(0, (self.height - height) / 2)
        draw.rectangle((small / 2, top, self.width - small / 2, top + height), (20, 20, 24))
        draw.text((small, top + small / 2), "PRACTICE IMAGE", (255, 220, 90), title)
        for n, line in enumerate(lines):
            draw.text((small, top + small * 3.1 + n * small * 1.4), line, (255, 255, 255), font)
