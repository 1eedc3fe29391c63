r"""Set formulas while the site is built, as MathML: pages need no script for them, and screen readers read them.

The converter is `math-core`. An equation's ``\tag`` becomes a number beside the formula. A displayed formula keeps its
LaTeX in an annotation, which ``book.js`` copies.
"""

import re
from functools import cache
from html import escape

from docutils import nodes
from math_core import LatexError, LatexToMathML
from site_colors import in_color, with_classes
from site_formula_lines import in_lines
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

NAME = "mathml"
ANNOTATION = re.compile(r"<annotation.*?</annotation>", re.DOTALL)  # the LaTeX within a formula
WRITTEN = re.compile(r"(<annotation[^>]*>).*?(</annotation>)", re.DOTALL)
MARKUP = re.compile(r"<[^>]*>")
TAG = re.compile(r"\s*\\tag\{([^}]*)\}")
# What sticks to a formula in a line, on its left and on its right.
BEFORE, AFTER = re.compile(r"[(\[“‘]+\Z"), re.compile(r"\A[-)\].,;:!?”’]+")
# A bracket of a given size keeps it under a script only in a row of its own (Chromium).
SIZED_BASE = re.compile(r"(<m(?:sub|sup|subsup)>)(<mo [^>]*minsize[^>]*>[^<]*</mo>)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_html_math_renderer(NAME, (_visit_math, None), (_visit_math_block, None))
    app.add_js_file("book.js", loading_method="defer")
    app.connect("config-inited", _choose)
    app.connect("doctree-resolved", _tie, priority=900)
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
    converted = _converters()[displayed].convert_with_local_state(in_color(latex), displaystyle=displayed)
    converted = SIZED_BASE.sub(r"\1<mrow>\2</mrow>", with_classes(converted))
    return WRITTEN.sub(lambda found: f"{found[1]}{escape(latex, quote=False)}{found[2]}", converted)


def displayed(latex: str, number: str = "") -> str:
    r"""A displayed formula with its number, as HTML; the ``\tag`` is the number if there is one.

    Raises:
        LatexError: it is not understood.
    """
    if tag := TAG.search(latex):
        latex, number = TAG.sub("", latex), tag[1]
    eqno = f'<span class="eqno">({escape(number)})</span>' if number else ""
    return f'<div class="math"><div class="aevb-formula">{mathml(latex.strip(), displayed=True)}</div>{eqno}</div>'


def _tie(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Let brackets and stops stay in the line of the formula that they stand at."""
    for node in doctree.findall(nodes.math):
        for side, pattern, sibling in (("before", BEFORE, -1), ("after", AFTER, 1)):
            other = _neighbor(node, sibling)
            if isinstance(other, nodes.Text) and (found := pattern.search(other.astext())):
                node[side] = found[0]
                rest = pattern.sub("", other.astext(), count=1)
                parent = node.parent
                at = next(i for i, child in enumerate(parent) if child is other)
                parent[at : at + 1] = [nodes.Text(rest)] if rest else []


def _neighbor(node: nodes.Node, step: int) -> nodes.Node | None:
    at = next(i for i, child in enumerate(node.parent) if child is node) + step
    return node.parent[at] if 0 <= at < len(node.parent) else None


def _visit_math(self: HTML5Translator, node: nodes.math) -> None:
    before, after = escape(node.get("before", "")), escape(node.get("after", ""))
    try:
        pieces = in_lines(mathml(node.astext(), displayed=False))
        if before:
            pieces[0] = f'<span class="aevb-tight">{before}{pieces[0]}</span>'
        if after and len(pieces) == 1 and before:
            pieces[0] = pieces[0].removesuffix("</span>") + f"{after}</span>"
        elif after:
            pieces[-1] = f'<span class="aevb-tight">{pieces[-1]}{after}</span>'
        self.body.append("<wbr>".join(pieces))
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
