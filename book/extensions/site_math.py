r"""Set formulas while the site is built, as MathML: pages need no script for them, and screen readers read them.

The converter is `math-core`. An equation's ``\tag`` becomes a number beside the formula. A displayed formula keeps its
LaTeX in an annotation, which ``book.js`` copies.
"""

import re
from functools import cache
from html import escape

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

NAME = "mathml"
TAG = re.compile(r"\s*\\tag\{([^}]*)\}")
# A bracket of a given size keeps it under a script only in a row of its own (Chromium).
SIZED_BASE = re.compile(r"(<m(?:sub|sup|subsup)>)(<mo [^>]*minsize[^>]*>[^<]*</mo>)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_html_math_renderer(NAME, (_visit_math, None), (_visit_math_block, None))
    app.connect("config-inited", _choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _choose(app: Sphinx, config: Config) -> None:
    config.html_math_renderer = NAME


@cache
def _converters() -> tuple[LatexToMathML, LatexToMathML]:
    """One for formulas in a line, one for displayed ones."""
    return LatexToMathML(fancy_error=False), LatexToMathML(fancy_error=False, annotation=True)


@cache
def mathml(latex: str, *, displayed: bool) -> str:
    """A formula as MathML.

    Raises:
        LatexError: it is not understood.
    """
    converted = _converters()[displayed].convert_with_local_state(latex, displaystyle=displayed)
    return SIZED_BASE.sub(r"\1<mrow>\2</mrow>", converted)


def displayed(latex: str, number: str = "") -> str:
    r"""A displayed formula with its number, as HTML; the ``\tag`` is the number if there is one.

    Raises:
        LatexError: it is not understood.
    """
    if tag := TAG.search(latex):
        latex, number = TAG.sub("", latex), tag[1]
    eqno = f'<span class="eqno">({escape(number)})</span>' if number else ""
    return f'<div class="math"><div class="aevb-formula">{mathml(latex.strip(), displayed=True)}</div>{eqno}</div>'


def _visit_math(self: HTML5Translator, node: nodes.math) -> None:
    try:
        self.body.append(mathml(node.astext(), displayed=False))
    except LatexError as error:
        _warn(error, node)
    raise nodes.SkipNode


def _visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    number = get_node_equation_number(self, node) if node["number"] else ""
    try:
        if node["ids"]:
            self.body.append(self.starttag(node, "div"))
        self.body.append(displayed(node.astext(), number))
        if node["ids"]:
            self.body.append("</div>")
    except LatexError as error:
        _warn(error, node)
    raise nodes.SkipNode


def _warn(error: LatexError, node: nodes.Element) -> None:
    logger.warning(f"A formula cannot be set: {error}. It is {node.astext()!r}.", location=node)
