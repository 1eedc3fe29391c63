"""The built site as a book: its articles in reading order, ready for paper and e-readers.

What only a screen can do is left out: sliders, buttons, sounds, scripts. What is folded is open. Anchors are those of
one document: ``notebooks/02_em_gaussian_mixture.html#summary`` is ``#ch02_em_gaussian_mixture.summary``; a link that
leads out of the book's articles, but not to another site, becomes plain words.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

from tools.environments import ROOT

SITE = ROOT / "_build" / "html"
FRONT = PurePosixPath("index.html")
SCREEN_ONLY = (
    "script, style, audio, a.headerlink, .tag_live, .copybtn, .sd-btn, .aevb-controls, .aevb-still, .aevb-ways, "
    ".aevb-cited, .cover-figure, .cover-doors, .only-dark, .d-print-none"
)
CODE = ".cell_input, .above-input, .tag_exercise, .tag_check, .tag_solution, .tag_setup"
EMPTY = "p, div.cell, .sd-col, .sd-row, .sd-container-fluid"
WITHIN = "img, math, table, hr, pre"
ARTICLE = re.compile(r"<article.*</article>", re.DOTALL)
FOLDED = re.compile(r"^Show the (?P<what>.)")
UNSEEN = re.compile("[\u2061-\u2064]")  # signs of MathML that are not drawn


class SiteError(Exception):
    """The built site cannot be made a book; the message is one sentence."""


@dataclass(frozen=True)
class Heading:
    """A heading: its level in the whole document, its words, and the anchor of its section."""

    level: int
    words: str
    anchor: str


@dataclass
class Article:
    """The article of a page.

    Attributes:
        page: the page's address in the site.
        title: what the table of contents calls it.
        part: the part of the book that it is in; empty for the first page.
        tree: its content.
    """

    page: PurePosixPath
    title: str
    part: str
    tree: Tag

    @property
    def key(self) -> str:
        """What its anchors begin with; a letter comes first, as XML wants it."""
        return f"ch{self.page.stem}" if self.page.stem[:1].isdigit() else self.page.stem

    @property
    def is_chapter(self) -> bool:
        """Whether it is one of the numbered chapters."""
        return self.title[:1].isdigit()

    def headings(self) -> Iterator[Heading]:
        """Its headings, from its title on, but those without an address."""
        for tag in self.tree.find_all(["h1", "h2", "h3"]):
            section = tag.find_parent("section")
            if section is not None and section.get("id"):
                yield Heading(int(tag.name[1]), words_of(tag), section["id"])


@dataclass
class Book:
    """The articles of a site, and what the book is called.

    Attributes:
        site: the folder of the site.
        title: the book's title.
        author: who wrote it.
        year: the year of its copyright.
        address: where the site is published, with a slash at its end; empty where that is not known.
        articles: the articles, in reading order.
    """

    site: Path
    title: str
    author: str
    year: str
    address: str
    articles: list[Article] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The title as the name of a file, without its ending."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")

    def by_key(self) -> dict[str, Article]:
        """The articles by what their anchors begin with."""
        return {article.key: article for article in self.articles}

    def leave_out_code(self) -> None:
        """Leave out all code, and the exercises' cells; what code printed and drew stays."""
        for article in self.articles:
            _leave_out(article.tree, CODE)
            _leave_out_empty(article.tree)
        anchors = {tag["id"] for article in self.articles for tag in article.tree.find_all(id=True)}
        for article in self.articles:
            redirect(article.tree, lambda anchor: f"#{anchor}" if anchor in anchors else None)


def read_book(site: Path = SITE) -> Book:
    """The book that a built site holds.

    Raises:
        SiteError: there is no site, or no book in it.
    """
    book = bare_book(site)
    for page, title, part in pages_of(site):
        article = Article(page, title, part, _article_of(site / page))
        _leave_out(article.tree, SCREEN_ONLY)
        for still in article.tree.select("noscript"):  # the picture of a figure that a script would draw
            still.unwrap()
        _unfold(article.tree)
        _leave_out_empty(article.tree)
        book.articles.append(article)
    _join(book)
    return book


def bare_book(site: Path) -> Book:
    """The book without its articles: what it is called, and where it is.

    Raises:
        SiteError: there is no site.
    """
    if not (site / FRONT).is_file():
        raise SiteError(f"{site} holds no built site: run `python -m tools book` first.")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return Book(site, config["title"], config["author"], str(config["copyright"]), public_address(config))


def public_address(config: dict) -> str:
    """Where the site is published, with a slash at its end; empty while the book has no repository."""
    found = re.fullmatch(r"https://github\.com/([^/]+)/([^/]+?)(?:\.git)?/?", config["repository"]["url"])
    return f"https://{found[1].lower()}.github.io/{found[2]}/" if found else ""


def pages_of(site: Path) -> list[tuple[PurePosixPath, str, str]]:
    """The pages in reading order, each with its title and its part, as the site's own table of contents has them."""
    navigation = BeautifulSoup((site / FRONT).read_text(encoding="utf-8"), "html.parser")
    found: list[tuple[PurePosixPath, str, str]] = []
    part = ""
    for tag in navigation.select("nav.bd-links :is(p, a)"):
        if tag.name == "p":
            part = words_of(tag)
        elif part:
            found.append((_target(FRONT, tag["href"]), words_of(tag), part))
        else:
            found.append((FRONT, words_of(tag), part))
    return found


def words_of(tag: Tag) -> str:
    """What is written in an element, formulas by their letters."""
    return " ".join(UNSEEN.sub("", tag.get_text()).split())


def _article_of(path: Path) -> Tag:
    found = ARTICLE.search(path.read_text(encoding="utf-8"))
    if found is None:
        raise SiteError(f"{path} has no article: build the site anew with `python -m tools book`.")
    return BeautifulSoup(found[0], "html.parser").article


def _leave_out(tree: Tag, selector: str) -> None:
    for tag in tree.select(selector):
        tag.decompose()


def _leave_out_empty(tree: Tag) -> None:
    for tag in reversed(tree.select(EMPTY)):
        if not tag.get_text(strip=True) and tag.select_one(WITHIN) is None:
            tag.decompose()


def _unfold(tree: Tag) -> None:
    """Show what is folded, below what it is called."""
    for details in tree.find_all("details"):
        summary = details.find("summary")
        words = summary.select_one(".collapsed") or summary
        summary.replace_with(_paragraph(FOLDED.sub(lambda found: found["what"].upper(), words_of(words))))
        details.name = "div"
        kinds = [kind for kind in details.get("class", []) if kind not in ("admonition", "hide")]
        details.attrs = {"class": [*kinds, "aevb-unfolded"]}


def _paragraph(words: str) -> Tag:
    paragraph = BeautifulSoup("", "html.parser").new_tag("p", attrs={"class": "aevb-unfolded-title"})
    paragraph.string = words
    return paragraph


def _target(page: PurePosixPath, link: str) -> PurePosixPath:
    """The page that a relative link on a page leads to."""
    path = unquote(urlsplit(link).path)
    return PurePosixPath(normpath(page.parent / path)) if path else page


def _join(book: Book) -> None:
    """Make anchors and links those of one document, and images addresses from the site's root."""
    anchors: set[str] = set()
    for article in book.articles:
        for tag in article.tree.find_all(id=True):
            tag["id"] = f"{article.key}.{tag['id']}"
            anchors.add(tag["id"])
        article.tree["id"] = article.key
        anchors.add(article.key)
    keys = {article.page: article.key for article in book.articles}

    def anchor(page: PurePosixPath, link: str) -> str | None:
        key, fragment = keys.get(_target(page, link)), unquote(urlsplit(link).fragment)
        wanted = f"{key}.{fragment}" if fragment else key
        return wanted if wanted in anchors else None

    for article in book.articles:
        for link in article.tree.find_all("a", href=True):
            if not urlsplit(link["href"]).scheme:
                _lead(link, anchor(article.page, link["href"]))
        for image in article.tree.find_all("img", src=True):
            image["src"] = str(_target(article.page, image["src"]))
            del image["loading"], image["decoding"]


def _lead(link: Tag, anchor: str | None) -> None:
    if anchor is None:
        link.unwrap()
    else:
        link["href"] = f"#{anchor}"


def redirect(tree: Tag, leads: Callable[[str], str | None]) -> None:
    """Let each internal link lead where ``leads`` says for its anchor; where that is None, leave its words alone."""
    for link in tree.find_all("a", href=re.compile("^#")):
        address = leads(link["href"][1:])
        if address is None:
            link.unwrap()
        else:
            link["href"] = address
