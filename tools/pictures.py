"""A picture in pixels beside every stored figure, for where a front end shows no SVG.

JupyterLab, VS Code and GitHub drop SVG and scripts from the outputs of a notebook that nobody has trusted, as a clone's
never are; they do show PNG. Where the SVG is shown, as on the site, the PNG is not. The letters come from matplotlib's
own font files, so that the fonts of the machine do not matter.
"""

import base64
import io
import re
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import resvg_py
from nbformat import NotebookNode
from PIL import Image

from tools.notebooks import code_cells, where
from tools.viewer_pages import frames_of

SCALE = 1.5
"""Pixels of a picture per pixel of CSS that it is shown at."""
COLORS = 256
WHITE = 255
PIXELS_PER_UNIT = {"": 1.0, "px": 1.0, "pt": 4 / 3, "in": 96.0}
SIZE = re.compile(r'<svg\b[^>]*?\swidth="(?P<width>[\d.]+)(?P<unit>\w*)"[^>]*?\sheight="(?P<height>[\d.]+)(?P=unit)"')


class PictureError(RuntimeError):
    """A figure cannot be drawn in pixels."""


def add_pictures(notebook: NotebookNode) -> None:
    """Put a PNG into every output that holds an SVG, or a viewer (its first frame), and say how large to show it.

    Raises:
        PictureError: an SVG is broken, or does not say its size.
    """
    for cell in code_cells(notebook):
        for output in cell.outputs:
            svg = picture_of(output)
            if svg is None:
                continue
            try:
                width, height = size(svg)
                picture = base64.b64encode(render(svg)).decode()
            except ValueError as error:
                raise PictureError(
                    f"{where('The notebook', cell)} shows a figure that is no whole SVG: {error}"
                ) from error
            output.data["image/png"] = picture
            output.metadata["image/png"] = NotebookNode(width=width, height=height)


def picture_of(output: NotebookNode) -> str | None:
    """The SVG that an output shows at first; None if it shows none."""
    data = output.get("data", {})
    if "image/svg+xml" in data:
        return data["image/svg+xml"]
    frames = frames_of(data.get("text/html", ""))
    return frames[0] if frames else None


def size(svg: str) -> tuple[int, int]:
    """Width and height at which a browser shows an SVG document, in pixels of CSS.

    Raises:
        ValueError: it does not say them.
    """
    found = SIZE.search(svg)
    if found is None or found["unit"] not in PIXELS_PER_UNIT:
        raise ValueError(f"it should say its width and height in pt, px or in, but it begins with {svg[:200]!r}")
    scale = PIXELS_PER_UNIT[found["unit"]]
    return round(float(found["width"]) * scale), round(float(found["height"]) * scale)


def render(svg: str) -> bytes:
    """An SVG document as a PNG with ``SCALE`` pixels per pixel and at most ``COLORS`` colors, on white.

    The same document gives the same bytes.

    Raises:
        ValueError: the document is broken.
    """
    drawn = resvg_py.svg_to_bytes(
        svg_string=svg, zoom=SCALE, dpi=96.0, background="white", skip_system_fonts=True, font_files=_fonts()
    )
    picture = Image.open(io.BytesIO(bytes(drawn))).convert("RGB")
    few = picture.quantize(COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    white = (np.asarray(picture) == WHITE).all(axis=2)
    if white.any():  # and stays so: its color would be a mean with the lightest grays
        palette = few.getpalette()
        entry = 3 * int(np.asarray(few)[white][0])
        palette[entry : entry + 3] = [WHITE] * 3
        few.putpalette(palette)
    packed = io.BytesIO()
    few.save(packed, format="PNG", optimize=True)
    return packed.getvalue()


@cache
def _fonts() -> list[str]:
    """Matplotlib's own fonts."""
    return sorted(str(file) for file in (Path(mpl.get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
