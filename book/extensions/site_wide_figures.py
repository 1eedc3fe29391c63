"""Keep the letters of wide figures legible on a phone: such a figure keeps a width, and scrolls in a box.

The width that a figure keeps follows from its own width and its smallest letters. Matplotlib draws letters as outlines,
each line of text in a group with the scale of its size.
"""

import math
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from sphinx.application import Sphinx

LEGIBLE = 8.0
"""Size of the smallest letters of a figure, in pixels, at least."""
NARROWEST = 270
"""Pixels that a figure has on a screen of 320: one that may be as narrow is left as it is."""
UNITS = 100.0
"""Size of the letters that outlines are drawn at."""
FIGURE = re.compile(r'(?P<head><figure\b[^>]*>\s*)(?P<image><img [^>]*?src="(?P<source>[^":]+\.svg)"[^>]*>)')
VIEW_BOX = re.compile(r'<svg\b[^>]*\sviewBox="[\d.]+ [\d.]+ (?P<width>[\d.]+) [\d.]+"')
SCALE = re.compile(r"\bscale\((0\.\d+) -\1\)")  # an image has a scale of 1
LABEL = "A figure that scrolls sideways on a narrow screen"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("build-finished", _keep_legible)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _keep_legible(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if (legible := with_boxes(text, page.parent)) != text:
            page.write_text(legible, encoding="utf-8")


def with_boxes(page: str, folder: Path) -> str:
    """A page, in ``folder`` of the site, whose wide figures stand in boxes that know the width that they keep."""

    def box(figure: re.Match[str]) -> str:
        least = least_width(folder / unquote(figure["source"]))
        if least <= NARROWEST:
            return figure[0]
        opening = f'<div class="aevb-wide" role="group" aria-label="{LABEL}" style="--least: {least}px">'
        return f"{figure['head']}{opening}{figure['image']}</div>"

    return FIGURE.sub(box, page)


@cache
def least_width(file: Path) -> int:
    """The width in pixels at which the smallest letters of an SVG file are legible; 0 if it has no letters."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    whole, scales = VIEW_BOX.search(text), SCALE.findall(text)
    if not whole or not scales:
        return 0
    return math.ceil(float(whole["width"]) * LEGIBLE / (UNITS * min(map(float, scales))))
