r"""Make every reference in the text a link to its place, so that the sources need no markup for it.

======================================================  =========================================
words                                                   lead to
======================================================  =========================================
``(3.16)``, ``(R.7)``                                   the equation with that ``\tag``
``Fig. 2.4``, ``figure 2.4``, ``Figs. 2.1 and 2.4``     the figure with that number
``exercise 3.5``, ``exercises 1.2, 1.4 and 1.5``        the exercise's heading
``chapter 4``, ``chapters 1 to 3``                      the chapter's page
``chapter 4, "Two gaps"``, ``chapter 4 ("Two gaps")``   that heading of the chapter
``section "Two gaps"``, with ``of chapter 4`` or alone  that heading of the chapter, or of the page
a term of the glossary, at its first use in a notebook  its definition
======================================================  =========================================

A reference to what does not exist is a warning, which fails the strict build.

A figure has on the site the number that its caption has in the notebook.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from docutils import nodes
from site_figures import computing
from site_math import TAG
from site_references import NUMBER, Reference, references_in
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

CAPTION = re.compile(r"\AFig\.(?:\s([A-Z\d]+\.\d+)\.)?\Z")
EXERCISE = re.compile(rf"\AExercise ({NUMBER})")
CHAPTER_FILE = re.compile(r"(?:\A|/)0*(\d+)_[^/]*\Z")
WHAT = {"equation": "({})", "figure": "figure {}", "exercise": "exercise {}", "chapter": "chapter {}"}
# Terms that the text has in their everyday meaning as well: they are not linked.
EVERYDAY = frozenset({"context", "flow", "gain", "mixture", "score"})
SYNONYMS = {"variational autoencoder": "VAE"}
CLOSED = (
    nodes.reference,
    nodes.FixedTextElement,  # code, mathematics that is set apart
    nodes.math,
    nodes.math_block,
    nodes.literal,
    nodes.raw,
    nodes.citation,
    nodes.Invisible,
    addnodes.toctree,
    addnodes.pending_xref,
)


class equation(nodes.General, nodes.Element):
    """A numbered equation, with an anchor."""


@dataclass
class Targets:
    """The anchors on a page that a reference can lead to."""

    numbered: dict[tuple[str, str], str] = field(default_factory=dict)  # (kind, number): anchor
    headings: dict[str, str] = field(default_factory=dict)  # words of the heading: anchor
    terms: dict[str, str] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)  # anchor: number


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_node(equation, html=(_open_equation, _close_equation))
    app.connect("env-before-read-docs", _remember_targets)
    app.connect("env-purge-doc", _forget_page)
    app.connect("env-merge-info", _merge_pages)
    app.connect("doctree-read", _note_targets)
    app.connect("env-get-updated", _finish_targets, priority=900)  # after Sphinx has numbered the figures
    app.connect("doctree-resolved", _link_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "env_version": 1}


# Which targets there are


def _remember_targets(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    env.targets_before = dict(_targets(env))  # type: ignore[attr-defined]


def _forget_page(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _targets(env).pop(docname, None)


def _merge_pages(app: Sphinx, env: BuildEnvironment, docnames: list[str], other: BuildEnvironment) -> None:
    _targets(env).update({name: _targets(other)[name] for name in docnames if name in _targets(other)})


def _targets(env: BuildEnvironment) -> dict[str, Targets]:
    """The targets of all pages that have been read, by the page's name."""
    if not hasattr(env, "link_targets"):
        env.link_targets = {}
    return env.link_targets


def _note_targets(app: Sphinx, doctree: nodes.document) -> None:
    """Give the page's equations anchors and its figures their own numbers, and note what can be referred to."""
    targets = _targets(app.env)[app.env.docname] = Targets()
    for block in list(doctree.findall(nodes.math_block)):
        if tag := TAG.search(block.astext()):
            anchor = f"eq-{tag[1].replace('.', '-')}"
            around = equation(ids=[anchor])
            block.replace_self(around)
            around += block
            targets.numbered["equation", tag[1]] = anchor
    for figure in doctree.findall(nodes.figure):
        caption = next(figure.findall(nodes.caption), None)
        label = next((node for node in caption or () if node.astext()), None)
        if isinstance(label, nodes.strong) and (number := CAPTION.match(label.astext())):
            if words := label.next_node(nodes.Text, descend=False, siblings=True):
                replace(words, [nodes.Text(words.lstrip())])
            replace(label, [])
            if number[1]:
                targets.figures[figure["ids"][0]] = number[1]
                targets.numbered["figure", number[1]] = figure["ids"][0]
    for figure in doctree.findall(computing):
        if figure["number"]:
            targets.numbered["figure", figure["number"]] = figure["figure"]
    for section in doctree.findall(nodes.section):
        heading = _plain(section[0].astext())
        targets.headings.setdefault(heading, section["ids"][0])
        if exercise := EXERCISE.match(section[0].astext()):
            targets.numbered["exercise", exercise[1]] = section["ids"][0]
    for glossary in doctree.findall(addnodes.glossary):
        for term in glossary.findall(nodes.term):
            targets.terms[_plain(next(iter(term.findall(nodes.Text))))] = term["ids"][0]


def _plain(words: str) -> str:
    """A heading or a term as it can be compared: straight quotes, single spaces, its first letter small."""
    words = " ".join(words.replace("’", "'").split())
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def _finish_targets(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Number the figures as the notebooks do; all pages are written anew when a target has come, gone or moved."""
    for docname, targets in _targets(env).items():
        for anchor, number in targets.figures.items():
            numbers = env.toc_fignumbers.setdefault(docname, {}).setdefault("figure", {})
            if ".".join(map(str, numbers.get(anchor, ()))) != number:
                numbers[anchor] = tuple(number.split("."))  # type: ignore[assignment]
    before = vars(env).pop("targets_before")
    return [] if before == _targets(env) else sorted(env.found_docs)


# The links


def _link_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    parents = dict.fromkeys(text.parent for text in doctree.findall(nodes.Text))
    index = Index(app, docname)
    for parent in parents:
        if not any(isinstance(around, CLOSED) for around in around_of(parent)):
            _link_references(parent, index)
    if app.env.doc2path(docname).endswith(".ipynb"):
        _link_terms(doctree, index)


def around_of(node: nodes.Element) -> Iterator[nodes.Element]:
    """The node, and all that it is in."""
    while node is not None:
        yield node
        node = node.parent


class Index:
    """Where each reference on a page leads to."""

    def __init__(self, app: Sphinx, docname: str) -> None:
        self.app, self.docname = app, docname
        self.pages = _targets(app.env)
        self.numbered = {
            key: (page, anchor) for page, targets in self.pages.items() for key, anchor in targets.numbered.items()
        }
        self.chapters = {found[1]: page for page in self.pages if (found := CHAPTER_FILE.search(page))}
        self.terms = {
            term: (page, anchor)
            for page, targets in self.pages.items()
            for term, anchor in targets.terms.items()
            if term not in EVERYDAY
        }
        self.terms |= {other: self.terms[term] for other, term in SYNONYMS.items() if term in self.terms}
        self.first_parts = {number.split(".")[0] for kind, number in self.numbered if kind == "equation"}

    def is_meant(self, reference: Reference) -> bool:
        """Whether it is a reference and not just a number in parentheses."""
        return reference.kind != "equation" or reference.key.split(".")[0] in self.first_parts

    def find(self, reference: Reference) -> tuple[str, str] | None:
        """The page and the anchor; None if there is no such thing."""
        if reference.kind == "chapter":
            page = self.chapters.get(reference.key)
            return (page, "") if page else None
        if reference.kind == "heading":
            page = self.chapters.get(reference.chapter) if reference.chapter else self.docname
            anchor = self.pages[page].headings.get(_plain(reference.key)) if page else None
            return (page, anchor) if page and anchor else None
        return self.numbered.get((reference.kind, reference.key))

    def link(self, target: tuple[str, str], *kinds: str) -> nodes.reference:
        """An empty link to a place in the book."""
        page, anchor = target
        if page == self.docname and not anchor:
            anchor = next(iter(self.pages[page].headings.values()))
        address = "" if page == self.docname else self.app.builder.get_relative_uri(self.docname, page)
        address += f"#{anchor}" if anchor else ""
        return nodes.reference("", "", internal=True, refuri=address, classes=list(kinds))


def _link_references(parent: nodes.Element, index: Index) -> None:
    _join_texts(parent)
    section = parent.parent if isinstance(parent, nodes.title) else None
    for reference in reversed(references_in("".join(child.astext() for child in parent))):
        words = _cut(parent, reference.start, reference.end) if index.is_meant(reference) else []
        if not words:
            continue
        target = index.find(reference)
        if target is None:
            what = WHAT.get(reference.kind, '"{}"').format(reference.key)
            logger.warning(
                f"The text of {index.docname} refers to {what}, which the book does not have: "
                f"correct the reference, or number what it means so.",
                location=parent,
            )
        elif not (section and target[1] in section["ids"]) and target != (index.docname, _figure_around(parent)):
            _wrap(words, index.link(target, "aevb-reference"))


def _figure_around(node: nodes.Element) -> str:
    """The anchor of the figure that computes whose caption the node is in; empty if it is in none."""
    return next((around["figure"] for around in around_of(node) if isinstance(around, computing)), "")


def _join_texts(parent: nodes.Element) -> None:
    """Make one of texts that are neighbors: each line of the source is a text of its own."""
    for i in range(len(parent) - 1, 0, -1):
        if isinstance(parent[i], nodes.Text) and isinstance(parent[i - 1], nodes.Text):
            parent[i - 1 : i + 1] = [nodes.Text(parent[i - 1].astext() + parent[i].astext())]


def _cut(parent: nodes.Element, start: int, end: int) -> list[nodes.Node]:
    """The children that make up these words, of texts cut where the words begin and end.

    Empty if the words begin or end in something else, such as code or mathematics, or if there is a link among them.
    """
    position, inside = 0, []
    for child in list(parent):
        length = len(child.astext())
        first, last = max(start - position, 0), min(end - position, length)
        position += length
        if first >= last:
            continue
        if isinstance(child, nodes.Text):
            pieces = [nodes.Text(child.astext()[a:b]) for a, b in ((0, first), (first, last), (last, length))]
            replace(child, [piece for piece in pieces if piece])
            inside.append(pieces[1])
        elif (first, last) == (0, length) and not list(child.findall(nodes.reference)):
            inside.append(child)
        else:
            return []
    return inside if inside and all(isinstance(inside[i], nodes.Text) for i in (0, -1)) else []


def _wrap(words: list[nodes.Node], link: nodes.reference) -> None:
    for other in words[1:]:
        replace(other, [])
    replace(words[0], [link])
    link += words


def replace(child: nodes.Node, others: list[nodes.Node]) -> None:
    """Put others in its place. (Docutils would look for an equal child, and equal texts are common.)"""
    parent = child.parent
    at = next(i for i, sibling in enumerate(parent) if sibling is child)
    parent[at : at + 1] = others


def _link_terms(doctree: nodes.document, index: Index) -> None:
    """Link each term of the glossary where the page has it first, in a sentence."""
    linked: set[tuple[str, str]] = set()
    longest = sorted(index.terms, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])", re.IGNORECASE)
    for text in list(doctree.findall(nodes.Text)) if longest else []:
        if any(isinstance(around, (*CLOSED, nodes.title)) for around in around_of(text.parent)):
            continue
        pieces: list[nodes.Node] = []
        words, position = text.astext(), 0
        for found in pattern.finditer(words.replace("’", "'")):
            target = index.terms.get(_plain(found[0]))
            if target and target not in linked:
                linked.add(target)
                link = index.link(target, "aevb-term")
                link += nodes.Text(words[found.start() : found.end()])
                pieces += [nodes.Text(words[position : found.start()]), link]
                position = found.end()
        if pieces:
            replace(text, [*pieces, nodes.Text(words[position:])])


# What the page shows


def _open_equation(self: HTML5Translator, node: equation) -> None:
    self.body.append(self.starttag(node, "div", CLASS="aevb-equation"))


def _close_equation(self: HTML5Translator, node: equation) -> None:
    self.add_permalink_ref(node, "Link to this equation")
    self.body.append("</div>\n")
