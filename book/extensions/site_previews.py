"""Let a reference show what it points to: the equation, the figure, the heading, the definition, the cited work.

For each page a script in ``_previews/`` holds what links to places on the page show, as HTML by anchor, and as "" what
a link to the page itself shows. ``previews.js`` loads it when a reference is pointed at or focused for the first time.
A script, since a page that is opened from disk may load one, but may fetch nothing.
"""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from site_links import equation, replace
from site_math import displayed
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder

FOLDER = "_previews"
SENTENCE = re.compile(r"\A.*?[.?!](?=\s|\Z)", re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_js_file("previews.js", loading_method="defer")
    app.connect("html-page-context", _write_previews)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write_previews(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if doctree is None or not isinstance(app.builder, StandaloneHTMLBuilder):
        return
    path = Path(app.outdir, FOLDER, f"{pagename}.js")
    path.parent.mkdir(parents=True, exist_ok=True)
    previews = json.dumps(_previews(app.builder, doctree), ensure_ascii=False)
    path.write_text(f"window.bookPreviews[{json.dumps(pagename)}] = {previews};\n", encoding="utf-8")


def _previews(builder: StandaloneHTMLBuilder, doctree: nodes.document) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in doctree.findall(nodes.section):
        shown = f"<p><strong>{_html(builder, section[0])}</strong></p>"
        if paragraph := next((node for node in section if isinstance(node, nodes.paragraph)), None):
            shown += f"<p>{_html(builder, _first_sentence(paragraph))}</p>"
        found.setdefault("", shown)  # the page is its first section
        found |= dict.fromkeys(section["ids"], shown)
    for block in doctree.findall(equation):
        found[block["ids"][0]] = displayed(block.astext())
    for figure in doctree.findall(nodes.figure):
        if figure["ids"]:
            found |= dict.fromkeys(figure["ids"], _figure(builder, figure))
    for item in doctree.findall(nodes.definition_list_item):
        for term in item.findall(nodes.term):
            if isinstance(item.parent.parent, addnodes.glossary):
                meaning = " ".join(_html(builder, node) for node in item[-1].findall(nodes.paragraph))
                name = term.astext().strip()
                found |= dict.fromkeys(term["ids"], f"<p><strong>{escape(name)}</strong></p><p>{meaning}</p>")
    for work in doctree.findall(nodes.citation):
        words = " ".join(_html(builder, node) for node in work.findall(nodes.paragraph))
        found |= dict.fromkeys(work["ids"], f"<p>{words}</p>")
    return found


def _figure(builder: StandaloneHTMLBuilder, figure: nodes.figure) -> str:
    numbers = builder.fignumbers.get("figure", {}).get(figure["ids"][0], ())
    shown = f"<p><strong>Fig. {'.'.join(map(str, numbers))}</strong>" if numbers else "<p>"
    if caption := next(figure.findall(nodes.caption), None):
        shown += f" {_html(builder, caption)}"
    shown += "</p>"
    if image := next(figure.findall(nodes.image), None):
        shown = builder.render_partial(image.deepcopy())["fragment"] + shown
    return shown


def _first_sentence(paragraph: nodes.paragraph) -> nodes.paragraph:
    """A copy that ends where a sentence of its plain text ends first."""
    short = nodes.paragraph()
    for node in paragraph:
        if isinstance(node, nodes.Text) and (sentence := SENTENCE.match(node.astext())):
            short += nodes.Text(sentence[0])
            break
        short += node.deepcopy()
    return short


def _html(builder: StandaloneHTMLBuilder, node: nodes.Element) -> str:
    """What is written in a paragraph, a heading or a caption, with nothing in it that can be followed."""
    words = nodes.inline("", "", *(child.deepcopy() for child in node))
    for link in list(words.findall(nodes.reference)):
        replace(link, link.children)
    for inline in words.findall(nodes.Element):
        inline["ids"] = []
    return builder.render_partial(words)["fragment"].strip().removeprefix("<span>").removesuffix("</span>")
