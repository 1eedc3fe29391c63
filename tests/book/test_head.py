"""What pages tell search engines and those who share them; the sitemap; the page for what is not found."""

import json
import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import yaml
from bs4 import BeautifulSoup
from site_build import page_names

from tools.notebooks import CHAPTERS, ROOT

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
BASE = CONFIG["html"]["baseurl"]
AUTHORS = CONFIG["sphinx"]["config"]["book_authors"]
SPACE = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


@cache
def head_of(file: Path) -> BeautifulSoup:
    text = file.read_text(encoding="utf-8")
    return BeautifulSoup(text.partition("</head>")[0] + "</head></html>", "html.parser").head


def meta(head: BeautifulSoup, name: str) -> list[str]:
    return [tag["content"] for tag in head.select(f'meta[name="{name}"], meta[property="{name}"]')]


def data(head: BeautifulSoup) -> dict:
    (script,) = head.select('script[type="application/ld+json"]')
    return json.loads(script.string)


def readable(site: Path) -> list[str]:
    """The pages that somebody reads: all but the search and what is not found."""
    return [name for name in page_names(site) if name not in ("404.html", "search.html")]


def test_every_page_has_a_title_and_a_description_of_its_own(site):
    titles, descriptions = {}, {}
    for name in page_names(site):
        head = head_of(site / name)
        (said,) = meta(head, "description")
        assert 30 <= len(said) <= 200, f"{name}: {said}"
        assert said[-1] in ".?!…", f"{name}: {said}"
        assert not re.search(r"[\\$\u2061]|\s\s", said), f"{name}: {said}"
        assert said[0].isupper(), f"{name}: {said}"
        titles.setdefault(head.title.get_text(), []).append(name)
        descriptions.setdefault(said, []).append(name)
    assert not [names for names in (*titles.values(), *descriptions.values()) if len(names) > 1]


def test_the_description_of_a_chapter_is_its_promise(site):
    for path in CHAPTERS:
        (said,) = meta(head_of(site / "notebooks" / f"{path.stem}.html"), "description")
        assert said.startswith("You can "), f"{path.stem}: {said}"


def test_the_title_of_the_first_page_says_what_the_book_is_for(site):
    title = head_of(site / "index.html").title.get_text()
    assert title.startswith("From EM to AEVB: ")
    assert "VAE" in title
    assert title.count("From EM to AEVB") == 1


def test_a_shared_page_has_a_card(site):
    for name in readable(site):
        head = head_of(site / name)
        assert meta(head, "og:title")[0] in head.title.get_text()
        assert meta(head, "og:description") == meta(head, "description")
        assert meta(head, "og:site_name") == ["From EM to AEVB"]
        assert meta(head, "og:type") == ["book" if name == "index.html" else "article"]
        assert len(meta(head, "twitter:card")) == 1


def test_whole_addresses_are_written_where_the_site_knows_its_own(site):
    for name in readable(site):
        head = head_of(site / name)
        address = [BASE if name == "index.html" else BASE + name] if BASE else []
        assert [link["href"] for link in head.select('link[rel="canonical"]')] == address
        assert meta(head, "og:url") == address
        assert meta(head, "og:image") == ([f"{BASE}_static/cover/card.png"] if BASE else [])
        assert data(head).get("url") == (address[0] if address else None)


def test_every_page_says_what_it_is(site):
    for name in readable(site):
        found = data(head_of(site / name))
        assert found["description"] == meta(head_of(site / name), "description")[0]
        assert "https://creativecommons.org/licenses/by/4.0/" in found["license"]
        assert [author["name"] for author in found.get("author", [])] == AUTHORS
    book = data(head_of(site / "index.html"))
    assert (book["@type"], book["name"]) == ("Book", "From EM to AEVB")
    assert [part["position"] for part in book["hasPart"]] == list(range(1, len(CHAPTERS) + 1))
    for number, path in enumerate(CHAPTERS, start=1):
        chapter = data(head_of(site / "notebooks" / f"{path.stem}.html"))
        assert chapter["position"] == number
        assert chapter["isPartOf"]["@type"] == "Book"
        minutes = re.search(r"\*\*Reading:\*\* about (\d+)", path.read_text(encoding="utf-8"))
        assert chapter["timeRequired"] == f"PT{minutes[1]}M"


def test_the_root_is_the_first_page_and_no_redirection(site):
    for name in page_names(site):
        assert "http-equiv" not in (site / name).read_text(encoding="utf-8").partition("</head>")[0], name
    assert not (site / "book" / "index.html").exists()


def test_search_engines_leave_out_what_is_no_page(site):
    for name in page_names(site):
        assert (meta(head_of(site / name), "robots") == ["noindex"]) == (name not in readable(site))


def test_robots_may_read_all_and_the_sitemap_lists_all_pages(site):
    robots = (site / "robots.txt").read_text(encoding="utf-8")
    assert robots.startswith("User-agent: *\nAllow: /\n")
    if not BASE:
        assert not (site / "sitemap.xml").exists()
        assert "Sitemap" not in robots
        return
    assert robots.endswith(f"Sitemap: {BASE}sitemap.xml\n")
    pages = [loc.text for loc in ET.parse(site / "sitemap.xml").iter(f"{SPACE}loc")]
    assert sorted(pages) == sorted(BASE + name if name != "index.html" else BASE for name in readable(site))


def test_what_is_not_found_leads_to_the_search_and_all_chapters(site):
    page = BeautifulSoup((site / "404.html").read_text(encoding="utf-8"), "html.parser")
    assert page.form["action"] == "search.html"
    assert [a["href"] for a in page.select("ol a")] == [f"notebooks/{path.stem}.html" for path in CHAPTERS]
    assert [base["href"] for base in page.select("base")] == ([BASE] if BASE else [])
    loaded = [tag.get("src") or tag.get("href") for tag in page.select("script[src], link, img")]
    assert loaded == ["_static/favicon.svg"]
