"""The built site: links that lead somewhere, nothing from other hosts, buttons that open the book."""

import re
import shutil
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from site_build import build_book, page_names

from tools.notebooks import ROOT
from tools.repository import stamp

CHAPTER = "notebooks/01_latent_variable_models"
LOADING = ("script", "img", "link", "iframe", "source", "video", "audio", "object")


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


class Tag(NamedTuple):
    """An element of a page: its name, its attributes, and whether it is in the page's article."""

    name: str
    attributes: dict[str, str]
    in_article: bool


class Tags(HTMLParser):
    """The elements of a page, and what its style sheets say. (All pages as trees would take four times as long.)"""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Tag] = []
        self.styles: list[str] = []
        self.articles, self.in_style = 0, False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.articles += tag == "article"
        self.in_style = tag == "style"
        self.found.append(Tag(tag, {name: value or "" for name, value in attrs}, self.articles > 0))

    def handle_endtag(self, tag: str) -> None:
        self.articles = max(0, self.articles - (tag == "article"))
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self.styles.append(data)


@cache
def tags(path: Path) -> Tags:
    return Tags(path.read_text(encoding="utf-8"))


@cache
def anchors(path: Path) -> frozenset[str]:
    return frozenset(tag.attributes["id"] for tag in tags(path).found if "id" in tag.attributes)


def launch_links(page: Path) -> dict[str, str]:
    """The addresses behind the launch buttons, by the buttons' words."""
    return {a.get_text(strip=True): a["href"] for a in parsed(page).select(".dropdown-launch-buttons a")}


def test_the_site_builds_without_warnings(site, record_property):
    record_property("build_seconds", float((site.parents[1] / "seconds.txt").read_text(encoding="utf-8")))
    assert (site / "index.html").is_file()


def test_every_notebook_has_its_page(site):
    notebooks = [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert notebooks, "the book has no chapters"
    missing = [name for name in notebooks if not (site / "notebooks" / f"{name}.html").is_file()]
    assert not missing, f"notebooks without a page: {missing}"


def test_every_page_is_in_the_table_of_contents(site):
    pages = [path.stem for path in (ROOT / "book").glob("*.md")]
    missing = [name for name in pages if not (site / "book" / f"{name}.html").is_file()]
    assert not missing, f"not in _toc.yml: {missing}"


def test_every_internal_link_resolves(site):
    dead = []
    for name in page_names(site):
        page = site / name
        for tag, attributes, _ in tags(page).found:
            link = attributes.get("href") or attributes.get("src") or attributes.get("action")
            if tag not in ("a", "img", "link", "script", "form") or not link or link == "#":
                continue
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchor = unquote(parts.fragment).partition("?")[0]  # what follows is a state of the figure there
            if not target.is_file() or (anchor and target.suffix == ".html" and anchor not in anchors(target)):
                dead.append(f"{name}: {link}")
    assert not dead, "links that lead nowhere:\n" + "\n".join(dead)


def test_no_address_begins_at_the_root_of_the_host(site):
    """The site may lie in any folder of a host, as that of a repository does on GitHub Pages."""
    rooted = [
        f"{name}: {address}"
        for name in page_names(site)
        for _, attributes, _ in tags(site / name).found
        for address in (attributes.get(key, "") for key in ("href", "src", "action", "data", "srcset", "poster"))
        if address.startswith("/")
    ]
    for sheet in (site / "_static").rglob("*.css"):
        rooted += [f"{sheet.name}: {url}" for url in re.findall(r"url\(\s*['\"]?(/[^)'\"]*)", sheet.read_text("utf-8"))]
    assert not rooted, "addresses that need the site at the root of its host:\n" + "\n".join(rooted)


def test_no_page_names_a_resource_of_another_host(site):
    foreign = []
    for name in page_names(site):
        for tag, attributes, _ in tags(site / name).found:
            address = attributes.get("src") or attributes.get("data") or attributes.get("href") or ""
            if attributes.get("rel") == "canonical":
                continue  # the page's own address
            if tag in LOADING and re.match(r"(https?:)?//", address):
                foreign.append(f"{name}: {address}")
        for style in tags(site / name).styles:
            foreign += [f"{name}: {url}" for url in re.findall(r"url\(\s*['\"]?(https?:[^)'\"]+)", style)]
    for sheet in (site / "_static").rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        urls = re.findall(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^)'\"]+)", text)
        foreign += [f"{sheet.name}: {url}" for url in urls]
    assert not foreign, "resources of other hosts:\n" + "\n".join(foreign)


def test_each_question_is_answered_by_a_link_into_a_chapter(site):
    questions = parsed(site / "book" / "faq.html").select("article section > h3")
    assert len(questions) >= 20
    chapters = "a[href^='../notebooks/0'], a[href^='../notebooks/1']"
    unproved = [h3.get_text() for h3 in questions if not h3.parent.select(chapters)]
    assert not unproved, f"answers without a link into a chapter: {unproved}"


def test_every_image_has_a_text(site):
    silent = [
        f"{name}: {str(attributes)[:100]}"
        for name in page_names(site)
        for tag, attributes, in_article in tags(site / name).found
        if tag == "img" and in_article
        if not attributes.get("alt") or attributes["alt"].startswith(("../_images", "_images"))
    ]
    assert not silent, "images without a text (give the cell mystnb.image.alt):\n" + "\n".join(silent)


def test_a_chapter_can_be_downloaded_as_it_is(site):
    links = [a["href"] for a in parsed(site / f"{CHAPTER}.html").select(".dropdown-download-buttons a")]
    assert links == [f"../_sources/{CHAPTER}.ipynb"]
    assert (site / "_sources" / f"{CHAPTER}.ipynb").read_bytes() == (ROOT / f"{CHAPTER}.ipynb").read_bytes()


def test_without_an_address_the_launch_buttons_lead_to_the_section_on_colab(site):
    if 'url: ""' not in (ROOT / "_config.yml").read_text(encoding="utf-8"):
        pytest.skip("this copy of the book has an address: its buttons are tested in the stamped copy")
    help_page = "../book/how_to_use.html#colab"
    assert launch_links(site / f"{CHAPTER}.html") == {"Colab": help_page, "Binder": help_page}
    assert not launch_links(site / "book/notation.html")


@pytest.fixture(scope="module")
def stamped_copy(tmp_path_factory):
    copy = tmp_path_factory.mktemp("stamped") / "book"
    copy.mkdir()
    for name in ("_config.yml", "README.md", "CITATION.cff", "index.md"):
        shutil.copy(ROOT / name, copy)
    for part in ("results", "figures/computing"):  # what the pages show of the package
        shutil.copytree(ROOT / "aevb_utils" / part, copy / "aevb_utils" / part)
    (copy / "_toc.yml").write_text(f"format: jb-book\nroot: index\nchapters:\n  - file: {CHAPTER}\n", "utf-8")
    shutil.copytree(ROOT / "book", copy / "book", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "notebooks").mkdir()
    shutil.copy(ROOT / f"{CHAPTER}.ipynb", copy / "notebooks")
    stamp("https://github.com/someone/em-to-aevb", branch="published", root=copy)
    return build_book(copy, copy)  # the plain command, as where there is no make


def test_with_an_address_the_launch_buttons_open_the_chapter(stamped_copy):
    assert launch_links(stamped_copy / f"{CHAPTER}.html") == {
        "Colab": f"https://colab.research.google.com/github/someone/em-to-aevb/blob/published/{CHAPTER}.ipynb",
        "Binder": f"https://mybinder.org/v2/gh/someone/em-to-aevb/published?urlpath=lab/tree/{CHAPTER}.ipynb",
    }
