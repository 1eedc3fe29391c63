"""The first page: numbers that are looked up, EM that a reader steps through, the ladder and the chapters as links.

Roles look a number up while the site is built, so that none is typed: ``{stored}`` in ``aevb_utils/results``, by the
path to it (``*`` is the mean over a list), a minus before it to turn its sign, and a format, as in
``{stored}`-vae_mnist/iwae/5000 .2f```; ``{printed}`` in what a cell of a notebook prints, by the words before it, as in
``{printed}`07_variational_autoencoder#c07-table gated, L = 40, Tomczak & Welling 50,000 5000```.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from site_cover_figure import drawing, start
from site_cover_pictures import PICTURES, alt_text, is_there, write_card, write_pictures
from site_figures import computing
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

STORED = re.compile(r"(?P<minus>-?)(?P<path>.+) (?P<format>[.\w%]+)")
PRINTED = re.compile(r"(?P<notebook>[\w-]+)#(?P<cell>[\w-]+) (?P<words>.+)")
NUMBER = r"\s*([+−-]?\d[\d.,]*\d|\d)"
CHAPTER = re.compile(r"notebooks/(?P<number>\d\d)_")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_node(ChapterLink)
    app.add_role("stored", Stored())
    app.add_role("printed", Printed())
    app.add_directive("cover-figure", CoverFigure)
    app.add_directive("cover-ladder", CoverLadder)
    app.add_directive("cover-chapters", CoverChapters)
    app.connect("doctree-resolved", _link_chapters)
    app.connect("html-page-context", _add_style)
    app.connect("build-finished", _draw, priority=300)  # before images get their sizes
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class ChapterLink(nodes.inline):
    """A link to the chapter with its number, ``chapter``, around what it shows."""


@cache
def cover(root: str) -> dict[str, Any]:
    """What ``make export`` wrote for the first page."""
    return json.loads(Path(root, "book", "cover.json").read_text(encoding="utf-8"))


def stored(root: Path, path: str) -> float:
    """A number of ``aevb_utils/results``, by the file's name and the keys to it.

    Raises:
        LookupError: there is no such number.
    """
    name, *keys = path.split("/")
    file = root / "aevb_utils" / "results" / f"{name}.json"
    if not file.is_file():
        raise LookupError(f"there is no {file.name}")
    return _look_up(json.loads(file.read_text(encoding="utf-8"))["figures"], keys)


def _look_up(value: object, keys: list[str]) -> float:
    if not keys:
        if not isinstance(value, int | float):
            raise LookupError("what is there is no number")
        return value
    key, *rest = keys
    if key == "*" and isinstance(value, list):
        return sum(_look_up(part, rest) for part in value) / len(value)
    if not isinstance(value, dict) or key not in value:
        raise LookupError(f"there is no {key!r}")
    return _look_up(value[key], rest)


def printed(root: Path, notebook: str, cell: str, words: str) -> str:
    """The number that stands behind words in what a cell has printed; blanks of any length between them.

    Raises:
        LookupError: there is no such cell, or the words stand there never or more than once.
    """
    file = root / "notebooks" / f"{notebook}.ipynb"
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"] if file.is_file() else []
    outputs = [output for one in cells if one.get("id") == cell for output in one.get("outputs", [])]
    text = "\n".join("".join(output.get("text", "")) for output in outputs)
    found = re.findall(r"\s+".join(map(re.escape, words.split())) + NUMBER, text)
    if len(found) != 1:
        raise LookupError(f"its words stand {len(found)} times in the cell's output, before a number")
    return found[0].replace("-", "−")


class Stored(SphinxRole):
    """A number of ``aevb_utils/results``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Look it up."""
        asked = STORED.fullmatch(self.text)
        try:
            if asked is None:
                raise LookupError("it should be like -vae_mnist/iwae/5000 .2f")
            number = stored(Path(self.env.srcdir), asked["path"])
        except LookupError as error:
            return _missing(self, error)
        self.env.note_dependency(str(Path("aevb_utils", "results", f"{asked['path'].split('/')[0]}.json")))
        return [_number(f"{-number if asked['minus'] else number:{asked['format']}}".replace("-", "−"))], []


class Printed(SphinxRole):
    """A number that a notebook prints."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Look it up."""
        asked = PRINTED.fullmatch(self.text)
        try:
            if asked is None:
                raise LookupError("it should be like 02_em_gaussian_mixture#the-cell the words before")
            number = printed(Path(self.env.srcdir), asked["notebook"], asked["cell"], asked["words"])
        except LookupError as error:
            return _missing(self, error)
        self.env.note_dependency(str(Path("notebooks", f"{asked['notebook']}.ipynb")))
        return [_number(number)], []


def _number(text: str) -> nodes.inline:
    return nodes.inline("", text, classes=["cover-number"])


def _missing(role: SphinxRole, error: LookupError) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    inliner: Inliner = role.inliner
    message = inliner.reporter.warning(f"{role.name} finds no number by {role.text!r}: {error}.", line=role.lineno)
    return [_number("–")], [message]


class CoverFigure(SphinxDirective):
    """EM on Old Faithful, which computes."""

    def run(self) -> list[nodes.Node]:
        """The figure, in a box of its own."""
        self.env.note_dependency("book/cover.json")
        shown = cover(str(self.env.srcdir))
        figure = computing(figure="em", state=start(shown), drawn=drawing(shown))
        return [nodes.container("", figure, classes=["cover-figure"])]


class CoverLadder(SphinxDirective):
    """The ladder, from the ground up, each rung a link to its chapter."""

    def run(self) -> list[nodes.Node]:
        """A list of rungs, the last one with the list of models."""
        self.env.note_dependency("book/cover.json")
        rows = cover(str(self.env.srcdir))["ladder"]
        models = nodes.bullet_list(classes=["cover-models"])
        models += [_item(_rung(model)) for model in rows["models"]]
        ladder = nodes.bullet_list(classes=["cover-ladder"])
        ladder += _item(_rung(rows["ground"]), "ground")
        ladder += [_item(_rung(rung)) for rung in rows["rungs"]]
        ladder += _item(_rung(rows["top"]), "top")
        ladder += nodes.list_item(
            "", nodes.paragraph("", "one fit, many models", classes=["cover-note"]), models, classes=["models"]
        )
        ladder += _item(_rung(rows["beyond"]), "beyond")
        return [ladder]


def _item(link: ChapterLink, *classes: str) -> nodes.list_item:
    return nodes.list_item("", nodes.paragraph("", "", link), classes=list(classes))


def _rung(row: dict[str, Any]) -> ChapterLink:
    """The link of a rung: its chapter, its name, and what it does."""
    link = ChapterLink(chapter=row["chapter"])
    link += nodes.inline("", f"chapter {row['chapter']}: ", classes=["visually-hidden"])
    link += nodes.inline("", str(row["chapter"]), classes=["cover-badge"])
    link += nodes.inline("", row["name"], classes=["cover-name"])
    if "change" in row:
        link += _sentence(row["change"], ["cover-change"])
    else:
        colors = "exact" if row["exact"] else "q"
        for step, said in (("E", row["e_step"]), ("M", row["m_step"])):
            new = ["new", colors if step == "E" else "theta"] if step in row["changes"] else []
            link += nodes.inline("", ", ", classes=["visually-hidden"])
            link += _sentence(said, ["cover-step", *new], nodes.strong("", f"{step} "))
    return link


def _sentence(text: str, classes: list[str], *before: nodes.Node) -> nodes.inline:
    return nodes.inline("", "", *before, nodes.Text(text), classes=classes)


class CoverChapters(SphinxDirective):
    """The table of chapters, which is its content, as cards with a picture each."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """A list of cards."""
        parsed = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        cards = nodes.bullet_list(classes=["cover-chapters"])
        for row in next(parsed.findall(nodes.tbody)).findall(nodes.row):
            cards += self._card(*row.findall(nodes.entry))
        return [cards]

    def _card(self, number: nodes.entry, words: nodes.entry, times: nodes.entry) -> nodes.list_item:
        """A card from a row: number, "**[title](file)** <br> what a reader can do", "reading / running"."""
        content = list(words[0].children)
        end = next(i for i, node in enumerate(content) if isinstance(node, nodes.raw))
        chapter = int(number.astext())
        reading, running = (part.strip() for part in times.astext().split("/"))
        card = nodes.list_item()
        if chapter in PICTURES and is_there(Path(self.env.srcdir), chapter):
            folder = "../" * self.env.docname.count("/") + "_static/cover"
            alt = alt_text(Path(self.env.srcdir), chapter)
            card += nodes.raw("", picture(f"{folder}/{chapter:02}.webp", alt), format="html")
        title = nodes.paragraph("", "", nodes.inline("", f"{chapter} ", classes=["cover-count"]), classes=["title"])
        card += title.__iadd__(content[:end])
        card += nodes.paragraph("", "", *content[end + 1 :])
        card += nodes.paragraph("", f"{reading} to read, {running} to run", classes=["cover-time"])
        return card


def picture(address: str, alt: str) -> str:
    """An image that is loaded when it is near."""
    alt = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return f'<img class="cover-picture" src="{address}" alt="{alt}" loading="lazy" decoding="async">'


def _link_chapters(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    pages = {int(found["number"]): name for name in app.env.found_docs if (found := CHAPTER.match(name))}
    for link in list(doctree.findall(ChapterLink)):
        page = pages.get(link["chapter"])
        if page is None:  # a build of some pages only
            link.replace_self(nodes.inline("", "", *link.children, classes=["cover-link"]))
        else:
            address = app.builder.get_relative_uri(docname, page)
            link.replace_self(
                nodes.reference("", "", *link.children, refuri=address, internal=True, classes=["cover-link"])
            )


def _add_style(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document) -> None:
    """Load what only the first page needs there alone."""
    if pagename == app.config.root_doc and (Path(app.confdir) / "book" / "cover.json").is_file():
        app.add_css_file("cover.css", priority=900)  # after book.css


def _draw(app: Sphinx, error: Exception | None) -> None:
    """Draw the chapters' pictures, and the one that is shown where somebody shares the book."""
    if error is None and app.builder.format == "html":
        folder = Path(app.outdir, "_static", "cover")
        fonts = Path(app.srcdir, "book", "static", "fonts")
        write_pictures(Path(app.srcdir), folder)
        write_card(cover(str(app.srcdir)), app.config.html_title, fonts, folder / "card.png")
