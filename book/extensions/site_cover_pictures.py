"""A small picture for each chapter, cut from a figure that its notebook stores, and the card that is shown where
somebody shares the book.
"""

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

from fontTools.ttLib import TTFont
from PIL import Image, ImageColor, ImageDraw, ImageFont

PICTURES = {  # a chapter's figure, and of it the part that is shown: left, top, right and bottom, as shares
    1: ("fig-01-bound", (0, 0, 1, 1)),
    2: ("fig-02-em", (0.383, 0, 1, 1)),
    3: ("fig-03-banana", (0, 0, 1, 0.465)),
    4: ("fig-04-shapes", (0, 0, 0.64, 1)),
    5: ("fig-05-paths", (0, 0.47, 1, 1)),
    6: ("fig-06-joint", (0, 0, 0.515, 1)),
    7: ("fig-07-codes", (0, 0, 1, 1)),
    8: ("fig-08-by-class", (0, 0, 1, 1)),
    9: ("fig-09-sorted", (0, 0, 1, 1)),
    10: ("fig-10-drawn", (0, 0, 0.67, 1)),
    11: ("fig-11-nile", (0, 0, 1, 1)),
    12: ("fig-12-diffusion", (0, 0.46, 0.75, 0.89)),
}
SIZE = (480, 300)  # in pixels, twice what a card has
LARGEST = 15_000  # bytes of a picture
CARD = (1200, 630)
SHARP = 2  # pixels that are drawn for each of the card's
WORDS = (  # on the card: a line, or the title, its size, weight and color, and where it stands
    ("", 74, 600, "#1f2328", 210),
    ("Derive and train a VAE, or any other", 35, 400, "#1f2328", 320),
    ("model with hidden variables, and", 35, 400, "#1f2328", 370),
    ("know to the nat what it costs.", 35, 400, "#1f2328", 420),
    ("evidence = ELBO + KL, checked by number", 27, 400, "#57606a", 540),
)


def _cell(root: Path, chapter: int) -> dict[str, Any]:
    """The cell that draws a chapter's figure.

    Raises:
        LookupError: the notebook has no such figure.
    """
    for file in root.glob(f"notebooks/{chapter:02}_*.ipynb"):
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            if cell["metadata"].get("mystnb", {}).get("figure", {}).get("name") == PICTURES[chapter][0]:
                return cell
    raise LookupError(f"Chapter {chapter} has no figure {PICTURES[chapter][0]!r}: name another in PICTURES.")


def is_there(root: Path, chapter: int) -> bool:
    """Whether the book, or the part of it that is built, has a chapter."""
    return any(root.glob(f"notebooks/{chapter:02}_*.ipynb"))


def alt_text(root: Path, chapter: int) -> str:
    """The first sentence of what a chapter's figure shows."""
    return _cell(root, chapter)["metadata"]["mystnb"]["image"]["alt"].split(". ")[0].rstrip(".") + "."


def write_pictures(root: Path, folder: Path) -> None:
    """Write the pictures of all chapters that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for chapter in PICTURES:
        if is_there(root, chapter):
            content = next(webp for q in range(64, 0, -8) if len(webp := encoded(picture(root, chapter), q)) <= LARGEST)
            (folder / f"{chapter:02}.webp").write_bytes(content)


def encoded(image: Image.Image, quality: int) -> bytes:
    """An image as WebP."""
    file = io.BytesIO()
    image.save(file, "webp", quality=quality, method=6)
    return file.getvalue()


def picture(root: Path, chapter: int) -> Image.Image:
    """A chapter's picture, on white."""
    data = next(output["data"]["image/png"] for output in _cell(root, chapter)["outputs"] if "data" in output)
    whole = Image.open(io.BytesIO(base64.b64decode("".join(data)))).convert("RGBA")
    paper = Image.new("RGBA", whole.size, "white")
    left, top, right, bottom = PICTURES[chapter][1]
    width, height = whole.size
    part = Image.alpha_composite(paper, whole).convert("RGB")
    part = part.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))
    scale = min(SIZE[0] / part.width, SIZE[1] / part.height)
    part = part.resize((round(scale * part.width), round(scale * part.height)), Image.Resampling.LANCZOS)
    framed = Image.new("RGB", SIZE, "white")
    framed.paste(part, ((SIZE[0] - part.width) // 2, (SIZE[1] - part.height) // 2))
    return framed


def write_card(cover: dict[str, Any], title: str, fonts: Path, file: Path) -> None:
    """Write the picture of the book: its title, what a reader will be able to do, and EM as it ends."""
    card = Image.new("RGB", (SHARP * CARD[0], SHARP * CARD[1]), "white")
    draw = ImageDraw.Draw(card)
    for line, size, weight, ink, y in WORDS:
        text = line or title
        draw.text((SHARP * 64, SHARP * y), text, font=_font(fonts, SHARP * size, weight), fill=ink, anchor="ls")
    _draw_mixture(draw, cover)
    file.parent.mkdir(parents=True, exist_ok=True)
    card.resize(CARD, Image.Resampling.LANCZOS).quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)


def _font(fonts: Path, size: int, weight: int) -> ImageFont.FreeTypeFont:
    """The book's own letters."""
    font = TTFont(fonts / "stix-two-text-latin-normal.woff2")
    font.flavor = None
    plain = io.BytesIO()
    font.save(plain)
    plain.seek(0)
    letters = ImageFont.truetype(plain, size)
    letters.set_variation_by_axes([weight])
    return letters


def _draw_mixture(draw: ImageDraw.ImageDraw, cover: dict[str, Any]) -> None:
    """The eruptions, in the colors of their shares, and two rings of each Gaussian."""
    last, colors = cover["em"]["steps"][-1], cover["colors"]["components"]
    first, second = (ImageColor.getrgb(color) for color in colors)

    def place(x: float, y: float) -> tuple[float, float]:
        return SHARP * (690 + 460 * (x - 1.3) / 4.1), SHARP * (575 - 520 * (y - 40) / 58)

    for (x, y), digit in zip(cover["em"]["points"], last["q"], strict=True):
        share = int(digit) / 9
        mixed = [(1 - share) * a + share * b for a, b in zip(first, second, strict=True)]
        draw.circle(place(x, y), SHARP * 5, fill=tuple(round(0.72 * part + 0.28 * 255) for part in mixed))
    for mean, ((a, b), (_, c)), color in zip(last["means"], last["covariances"], colors, strict=True):
        across = math.sqrt(a)
        up, rest = b / across, math.sqrt(c - b * b / a)
        for radius, width in ((1, 5), (2, 3)):
            turns = [2 * math.pi * turn / 180 for turn in range(182)]
            around = [(radius * math.cos(turn), radius * math.sin(turn)) for turn in turns]
            ring = [place(mean[0] + across * u, mean[1] + up * u + rest * v) for u, v in around]
            draw.line(ring, fill=color, width=SHARP * width, joint="curve")
