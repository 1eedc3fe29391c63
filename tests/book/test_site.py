"""The built site: links that lead somewhere, nothing from other hosts, buttons that open the book."""

import re
import shutil
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from site_build import build_book, page_names

from tools.notebooks import ROOT
from tools.repository import stamp

CHAPTER = "notebooks/01_latent_variable_models"


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    return frozenset(tag["id"] for tag in parsed(path).find_all(id=True))


def launch_links(page: Path) -> dict[str, str]:
    """The addresses behind the launch buttons, by the buttons' words."""
    return {a.get_text(strip=True): a["href"] for a in parsed(page).select(".dropdown-launch-buttons a")}


def test_the_site_builds_without_warnings(site, record_property):
    record_property("build_seconds", float((site.parents[1] / "seconds.txt").read_text()))
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
        for tag in parsed(page).find_all(["a", "img", "link", "script", "form"]):
            link = tag.get("href") or tag.get("src") or tag.get("action")
            if not link or link == "#":
                continue
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file() or (
                parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in anchors(target)
            ):
                dead.append(f"{name}: {link}")
    assert not dead, "links that lead nowhere:\n" + "\n".join(dead)


def test_no_page_names_a_resource_of_another_host(site):
    foreign = []
    for name in page_names(site):
        for tag in parsed(site / name).find_all(
            ["script", "img", "link", "iframe", "source", "video", "audio", "object"]
        ):
            address = tag.get("src") or tag.get("data") or tag.get("href") or ""
            if re.match(r"(https?:)?//", address):
                foreign.append(f"{name}: {address}")
        for style in parsed(site / name).find_all("style"):
            foreign += [f"{name}: {url}" for url in re.findall(r"url\(\s*['\"]?(https?:[^)'\"]+)", style.get_text())]
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
        f"{name}: {str(image)[:100]}"
        for name in page_names(site)
        for image in parsed(site / name).select("article img")
        if not image.get("alt") or image["alt"].startswith(("../_images", "_images"))
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
    for name in ("_config.yml", "_toc.yml", "README.md", "CITATION.cff"):
        shutil.copy(ROOT / name, copy)
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
