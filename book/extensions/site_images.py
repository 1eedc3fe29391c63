"""Give every image its size, so that nothing moves while a page loads; load those further down when they are near.

What an output holds within itself, images and sounds, becomes files; sounds are loaded for those who press play.
"""

import base64
import hashlib
import os
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from sphinx.application import Sphinx
from sphinx.util.images import get_image_size

FOLDER = "_static/held"
HELD = re.compile(r'src="data:(?P<kind>image|audio)/(?P<format>[\w+-]+);base64,(?P<content>[^"]{2000,})"')
ENDINGS = {"svg+xml": "svg", "x-wav": "wav", "mpeg": "mp3"}
SILENT = re.compile(r"<audio(?![^>]*preload)")
IMAGE = re.compile(r'<img (?P<attributes>[^>]*?src="(?P<source>[^":]*)"[^>]*?)(?P<end> ?/?)>')
SVG = re.compile(r"<svg\b[^>]*>")
LENGTH = re.compile(r'\b(width|height)="([\d.]+)(pt|px|)"')
PIXELS = {"pt": 4 / 3, "px": 1.0, "": 1.0}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("build-finished", _size_images)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _size_images(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        sized = with_sizes(with_files(text, page.parent, Path(app.outdir)), page.parent)
        if sized != text:
            page.write_text(sized, encoding="utf-8")


def with_files(text: str, folder: Path, root: Path) -> str:
    """A page, in ``folder`` of the site, without the images and sounds that it held within itself."""

    def write(held: re.Match[str]) -> str:
        content = base64.b64decode(held["content"])
        ending = ENDINGS.get(held["format"], held["format"])
        file = root / FOLDER / f"{hashlib.sha256(content).hexdigest()[:16]}.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return f'src="{Path(os.path.relpath(file, folder)).as_posix()}"'

    return SILENT.sub('<audio preload="none"', HELD.sub(write, text))


def with_sizes(text: str, folder: Path) -> str:
    """A page whose images have sizes, and are loaded late, but the first of the article."""
    begins, loaded = text.find("<article"), False

    def size(image: re.Match[str]) -> str:
        nonlocal loaded
        attributes = image["attributes"]
        in_article = image.start() > begins
        if not re.search(r"\bwidth=", attributes) and (known := size_of(folder / unquote(image["source"]))):
            attributes += f' width="{known[0]}" height="{known[1]}"'
        if in_article and loaded and "loading=" not in attributes:
            attributes += ' loading="lazy" decoding="async"'
        loaded = loaded or in_article
        return f"<img {attributes.strip()}{image['end']}>"

    return IMAGE.sub(size, text)


@cache
def size_of(file: Path) -> tuple[int, int] | None:
    """The width and the height of an image in pixels; None if the file does not say."""
    if file.suffix != ".svg":
        return get_image_size(str(file))
    head = SVG.search(file.read_text(encoding="utf-8")) if file.is_file() else None
    lengths = {name: float(value) * PIXELS[unit] for name, value, unit in LENGTH.findall(head[0])} if head else {}
    return (round(lengths["width"]), round(lengths["height"])) if len(lengths) == 2 else None
