"""Search by section: a record for each heading, term, symbol, numbered equation and figure, with the words below it.

The records are a script, ``_static/search-records.js``, since a page that is opened from disk may load one, but may
fetch nothing. ``search.js`` loads it, and MiniSearch, when a reader first asks. Words are those of the text: no code,
no printed output. Formulas are their letters.
"""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

from docutils import nodes
from math_core import LatexError
from site_links import around_of, equation
from site_math import ANNOTATION, MARKUP, TAG, mathml
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

RECORDS = "search-records.js"
STOCK = re.compile(
    r'\s*<script[^>]*src="[^"]*(?:searchtools|language_data|searchindex|sphinx_highlight)\.js[^"]*"></script>'
    r"|\s*<script>DOCUMENTATION_OPTIONS\.search_as_you_type = \w+;</script>"
)
SILENT = (nodes.literal_block, nodes.raw, nodes.comment, nodes.image, nodes.title, nodes.section, nodes.Invisible)
PLAIN = str.maketrans("ϕϵ", "φε", "\ufe00")  # how letters are typed; without marks that only choose their shape
LONGEST = 1500  # characters of a record's words


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_js_file("search.js", loading_method="defer")
    app.connect("doctree-resolved", _note_records)
    app.connect("env-purge-doc", _forget_page)
    app.connect("env-merge-info", _merge_pages)
    app.connect("build-finished", _write_records)
    return {"parallel_read_safe": True, "parallel_write_safe": False}


def _records(env: BuildEnvironment) -> dict[str, list[dict[str, str]]]:
    """The records of all pages, by the page's name."""
    if not hasattr(env, "search_records"):
        env.search_records = {}
    return env.search_records


def _forget_page(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _records(env).pop(docname, None)


def _merge_pages(app: Sphinx, env: BuildEnvironment, docnames: list[str], other: BuildEnvironment) -> None:
    _records(env).update({name: _records(other)[name] for name in docnames if name in _records(other)})


def _note_records(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    _records(app.env)[docname] = list(records_of(doctree, app.builder.get_target_uri(docname)))


def records_of(doctree: nodes.document, address: str) -> Iterator[dict[str, str]]:
    """What can be found on a page: ``kind``, ``title``, ``text``, ``page`` (its title) and ``url``."""
    page = next((words(title) for title in doctree.findall(nodes.title)), "")

    def record(kind: str, node: nodes.Element, title: str, text: str, **more: str) -> dict[str, str]:
        anchor = f"#{node['ids'][0]}" if node["ids"] and kind != "page" else ""
        shown = " ".join(text.split())[:LONGEST]
        return {"kind": kind, "title": title, "text": shown, "page": page, "url": address + anchor} | more

    for section in doctree.findall(nodes.section):
        kind = "page" if isinstance(section.parent, nodes.document) else "section"
        yield record(kind, section, words(section[0]), words(section))
    for block in doctree.findall(equation):
        tag = TAG.search(block.astext())
        assert tag is not None
        section = next(around for around in around_of(block) if isinstance(around, nodes.section))
        yield record("equation", block, f"({tag[1]})", words(block), about=words(section[0]))
    for figure in doctree.findall(nodes.figure):
        caption = next(figure.findall(nodes.caption), None)
        if figure["ids"] and caption is not None:
            yield record("figure", figure, "", words(caption))
    for table in doctree.findall(nodes.table):
        heads = [words(entry) for head in table.findall(nodes.thead) for entry in head.findall(nodes.entry)]
        if heads[:1] == ["symbol"]:
            section = next(around for around in around_of(table) if isinstance(around, nodes.section))
            for row in next(table.findall(nodes.tbody)).findall(nodes.row):
                symbol, *more = map(words, row.findall(nodes.entry))
                yield record("symbol", section, symbol, "; ".join(filter(None, more)))
    for item in doctree.findall(nodes.definition_list_item):
        if isinstance(item.parent.parent, addnodes.glossary):
            for term in item.findall(nodes.term):
                yield record("term", term, term.astext().strip(), words(item[-1]))


def words(node: nodes.Node) -> str:
    """What is written in a node, without code cells, subsections and its title; formulas by their letters."""
    if isinstance(node, nodes.math | nodes.math_block):
        return node.get("before", "") + letters(node.astext()) + node.get("after", "")
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, nodes.container) and node.get("nb_element") in ("cell_code_source", "cell_code_output"):
        return " ".join(words(figure) for figure in node.findall(nodes.caption))
    parts = [words(child) for child in node.children if not isinstance(child, SILENT)]
    return ("" if isinstance(node, nodes.TextElement) else " ").join(parts)


def letters(latex: str) -> str:
    """A formula's letters and signs, as they would be read."""
    try:
        formula = mathml(TAG.sub("", latex).strip(), displayed=False)
    except LatexError:  # the page itself warns of it
        return latex
    return unescape(MARKUP.sub("", ANNOTATION.sub("", formula))).translate(PLAIN)


def _write_records(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    number = {
        anchor: ".".join(map(str, numbers))
        for page, kinds in app.env.toc_fignumbers.items()
        for anchor, numbers in kinds.get("figure", {}).items()
    }
    found: list[dict[str, Any]] = [record for page in sorted(_records(app.env)) for record in _records(app.env)[page]]
    for record in found:
        if record["kind"] == "figure":
            record["title"] = f"Fig. {number.get(record['url'].partition('#')[2], '')}".strip()
    text = f"window.bookRecords = {json.dumps(found, ensure_ascii=False)};\n"
    Path(app.outdir, "_static", RECORDS).write_text(text, encoding="utf-8")
    for page in Path(app.outdir).rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        if (without := STOCK.sub("", html)) != html:
            page.write_text(without, encoding="utf-8")
