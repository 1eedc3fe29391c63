"""A Sphinx extension for the slides: figures from the chapters' stored outputs, and formulas set while they are built.

A figure is asked for by its name. It comes with its number in the chapter and its alternative text, as the last run of
the chapter left it:

```{figure-of} fig-02-staircase
:height: 420
```
"""

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import pairwise
from urllib.parse import quote

from docutils import nodes
from docutils.parsers.rst import directives
from math_core import LatexError
from site_math import displayed, mathml
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

from tools.notebooks import CHAPTERS, read, tags

logger = logging.getLogger(__name__)

RENDERER = "slides"
NUMBER = re.compile(r"\*\*(Fig\. \d+\.\d+)\.\*\*")


@dataclass(frozen=True)
class Figure:
    """A figure of a chapter.

    Attributes:
        number: such as ``Fig. 2.4``.
        alt: what it shows, in words.
        svg: the stored picture.
    """

    number: str
    alt: str
    svg: str


@cache
def figures(chapter: int) -> dict[str, Figure]:
    """A chapter's figures with a caption, by name, from the stored outputs of its notebook; none of no chapter."""
    path = next((path for path in CHAPTERS if path.name.startswith(f"{chapter:02}_")), None)
    if path is None:
        return {}
    cells = read(path).cells
    found = {}
    for cell, below in pairwise(cells):
        settings = cell.metadata.get("mystnb", {})
        number = NUMBER.match(below.source) if "caption" in tags(below) else None
        drawn = [output.get("data", {}).get("image/svg+xml") for output in cell.get("outputs", [])]
        if number and "figure" in settings and any(drawn):
            svg = next(filter(None, drawn))
            found[settings["figure"]["name"]] = Figure(number[1], settings["image"]["alt"], "".join(svg))
    return found


class FigureOf(SphinxDirective):
    """The directive: a figure's name, and its height in pixels of a slide of 1280 × 720."""

    required_arguments = 1
    option_spec = {"height": directives.positive_int}  # noqa: RUF012 (docutils reads it from the class)

    def run(self) -> list[nodes.Node]:
        """Put the picture into the slide."""
        name = self.arguments[0]
        chapter = re.match(r"fig-(\d\d)-", name)
        known = figures(int(chapter[1])) if chapter else {}
        if name not in known:
            raise self.error(f"No chapter has stored a figure {name!r}; it is one of {', '.join(known) or 'fig-NN-…'}.")
        figure = known[name]
        text = (
            f'<figure class="of-chapter"><img src="data:image/svg+xml,{quote(figure.svg)}" alt="{escape(figure.alt)}" '
            f'height="{self.options.get("height", 460)}"><figcaption>{figure.number}</figcaption></figure>'
        )
        return [nodes.raw("", text, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("figure-of", FigureOf)
    app.add_html_math_renderer(RENDERER, (_visit_math, None), (_visit_math_block, None))
    app.connect("config-inited", _choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _choose(app: Sphinx, config: Config) -> None:
    config.html_math_renderer = RENDERER


def _visit_math(self: HTML5Translator, node: nodes.math) -> None:
    try:
        self.body.append(mathml(node.astext(), displayed=False))
    except LatexError as error:
        logger.warning(f"A formula cannot be set: {error}. It is {node.astext()!r}.", location=node)
    raise nodes.SkipNode


def _visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    try:
        self.body.append(f'<div class="{" ".join(node["classes"])}">{displayed(node.astext())}</div>')
    except LatexError as error:
        logger.warning(f"A formula cannot be set: {error}. It is {node.astext()!r}.", location=node)
    raise nodes.SkipNode
