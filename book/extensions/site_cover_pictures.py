"""A small picture for each chapter, cut from a figure that its notebook stores, and the card that is shown where
somebody shares the book."""

import base64
import io
import json
from pathlib import Path
from typing import Any

from matplotlib import rc_context, rcdefaults
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.transforms import Affine2D
from PIL import Image

PICTURES = {  # a chapter's figure, and of it the part that is shown: left, top, right and bottom, as shares
    1: ("fig-01-bound", (0, 0, 1, 1)),
    2: ("fig-02-em", (0, 0, 1, 1)),
    3: ("fig-03-banana", (0, 0, 1, 1)),
    4: ("fig-04-plane", (0, 0, 1, 1)),
    5: ("fig-05-paths", (0, 0, 1, 1)),
    6: ("fig-06-joint", (0, 0, 1, 1)),
    7: ("fig-07-codes", (0, 0, 1, 1)),
    8: ("fig-08-by-class", (0, 0, 1, 1)),
    9: ("fig-09-sorted", (0, 0, 1, 1)),
    10: ("fig-10-drawn", (0, 0, 1, 1)),
    11: ("fig-11-nile", (0, 0, 1, 1)),
    12: ("fig-12-diffusion", (0, 0, 1, 1)),
}
SIZE = (480, 300)  # in pixels, twice what a card has
CARD = (1200, 630)


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


def alt_text(root: Path, chapter: int) -> str:
    """The first sentence of what a chapter's figure shows."""
    return _cell(root, chapter)["metadata"]["mystnb"]["image"]["alt"].split(". ")[0].rstrip(".") + "."


def write_pictures(root: Path, folder: Path) -> None:
    """Write the pictures of all chapters that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for chapter in PICTURES:
        if list(root.glob(f"notebooks/{chapter:02}_*.ipynb")):
            picture(root, chapter).save(folder / f"{chapter:02}.webp", quality=60, method=6)


def picture(root: Path, chapter: int) -> Image.Image:
    """A chapter's picture, on white."""
    data = next(output["data"]["image/png"] for output in _cell(root, chapter)["outputs"] if "data" in output)
    whole = Image.open(io.BytesIO(base64.b64decode("".join(data)))).convert("RGBA")
    paper = Image.new("RGBA", whole.size, "white")
    left, top, right, bottom = PICTURES[chapter][1]
    width, height = whole.size
    part = Image.alpha_composite(paper, whole).convert("RGB")
    part = part.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))
    part.thumbnail(SIZE, Image.Resampling.LANCZOS)
    framed = Image.new("RGB", SIZE, "white")
    framed.paste(part, ((SIZE[0] - part.width) // 2, (SIZE[1] - part.height) // 2))
    return framed


def write_card(cover: dict[str, Any], title: str, file: Path) -> None:
    """Write the picture of the book: its title, and EM's last step on Old Faithful."""
    with rc_context():
        rcdefaults()
        fig = Figure(figsize=(CARD[0] / 100, CARD[1] / 100), dpi=100, facecolor="white")
        FigureCanvasAgg(fig)
        words = fig.add_axes((0, 0, 1, 1))
        words.axis("off")
        ink, quiet = "#1f2328", "#57606a"
        words.text(0.055, 0.72, title, fontsize=44, family="STIXGeneral", weight="bold", color=ink)
        lines = ("Derive and train a VAE, or any model", "with hidden variables, and know", "what each approximation costs.")
        words.text(0.057, 0.36, "\n".join(lines), fontsize=25, family="STIXGeneral", color=ink, linespacing=1.45)
        words.text(0.057, 0.13, "evidence = ELBO + KL, checked on every page", fontsize=17, color=quiet)
        words.set(xlim=(0, 1), ylim=(0, 1))
        _draw_mixture(fig, cover)
        file.parent.mkdir(parents=True, exist_ok=True)
        fig.savefig(file, metadata={"Software": None})


def _draw_mixture(fig: Figure, cover: dict[str, Any]) -> None:
    ax = fig.add_axes((0.6, 0.1, 0.37, 0.8))
    last = cover["em"]["steps"][-1]
    first, second = (to_rgb(color) for color in cover["colors"]["components"])
    shares = [int(digit) / 9 for digit in last["q"]]
    colors = [tuple((1 - r) * a + r * b for a, b in zip(first, second, strict=True)) for r in shares]
    ax.scatter(*zip(*cover["em"]["points"], strict=True), s=34, c=colors, alpha=0.75, linewidths=0)
    for mean, (row, other), color in zip(last["means"], last["covariances"], (first, second), strict=True):
        across = row[0] ** 0.5
        up = row[1] / across
        place = Affine2D([[across, 0, mean[0]], [up, (other[1] - up**2) ** 0.5, mean[1]], [0, 0, 1]])
        for radius in (1, 2):
            ring = Circle((0, 0), radius, fill=False, edgecolor=color, linewidth=3.2 if radius == 1 else 1.8)
            ring.set_transform(place + ax.transData)
            ax.add_patch(ring)
    ax.set(xlim=(1.2, 5.6), ylim=(38, 101), xticks=[], yticks=[])
    ax.axis("off")
