"""References in the text: each is a link to what it names, on the page and across pages, and shows it."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag
from site_build import page_names

from tools.notebooks import ROOT

sys.path.insert(0, str(ROOT / "book" / "extensions"))
from site_references import references_in

SOURCES = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "book").glob("*.md"), ROOT / "index.md"])
UNREAD = ("404.html", "search.html")
NUMBER = r"((?:\d+|[A-Z])\.\d+)"
WORD = {"Fig": "figure", "figure": "figure", "exercise": "exercise", "chapter": "chapter"}
TERMS_AS_WRITTEN = {"variational autoencoder": "vae"}


def text_of(source: Path) -> str:
    """What a page says in words: without code, mathematics, links, captions' numbers; citations are CITED.

    The titles of what is folded are left out too: a click on them unfolds it, and leads nowhere.
    """
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        cells = [cell for cell in cells if "references" not in cell["metadata"].get("tags", [])]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    text = re.sub(r"(?s)<summary>.*?</summary>", "", text)
    text = re.sub(r"(?ms)^```\{computing\}[^\n]*\n(.*?)^```$", r"\1", text)  # a caption stays
    text = re.sub(r"(?ms)^\s*(`{3,})(?:\w*|\{(?:math|button-ref)\}[^\n]*)\n.*?^\s*\1\s*$", "", text)
    text = re.sub(r"(?ms)^---\n.*?^---$|(?m:^:\w+:[^\n]*)", "", text)  # options of directives
    text = re.sub(r"(?s)\$\$.*?\$\$|\$[^$]*\$|(?<!`)`[^`]*`", "f", re.sub(r"\{cite:\w\}`[^`]*`", "CITED", text))
    text = re.sub(r"\[[^\[\]]*\]\(#References[^)]*\)", "CITED", text)
    text = re.sub(r"\[[^\[\]]*\]\([^()\s]*(\([^()]*\)[^()\s]*)*\)|<http[^>]*>", "LINK", text)
    text = re.sub(r"\*\*Fig\. [^*]*\*\*|(?m:^#+ Exercise \S+)", "", text)
    return text.replace("\n", " ")


def references_of(source: Path) -> Counter[tuple[str, str]]:
    """The references in a page's source, counted by what they name."""
    text = text_of(source)
    found = Counter(("equation", number) for number in re.findall(rf"(?<![\w)}}\]])\({NUMBER}\)", text))
    lists = r"(?<!CITED, )\b(Fig|[Ff]igure|[Ee]xercise|[Cc]hapter)(?:s?\.)?s? +"
    number = rf"(?:{NUMBER}|\d+)"
    for several in re.finditer(rf"{lists}({number}(?:(?:, | and |, and | to |–){number})*)", text):
        plural = several[0][len(several[1])] == "s"
        numbers = re.findall(r"[A-Z\d]+(?:\.\d+)?", several[2])
        kind = WORD.get(several[1], several[1].lower())
        found.update((kind, name) for name in (numbers if plural else numbers[:1]))
    return found


def page_of(source: Path, site: Path) -> Path:
    return site / source.relative_to(ROOT).with_suffix(".html")


@cache
def parsed(page: Path) -> BeautifulSoup:
    """A page's article, without its code, its formulas and its drawings, which would take most of the time."""
    text = page.read_text(encoding="utf-8")
    article = text[text.index("<article") : text.index("</article>")]
    drawn = r"(?s)<pre>.*?</pre>|<math.*?</math>|data:image[^\"']*"
    return BeautifulSoup(re.sub(drawn, "", article), "html.parser")


def target(page: Path, link: Tag) -> tuple[Path, Tag | None, str]:
    """The page and the element that a link leads to, and the anchor."""
    parts = urlsplit(link["href"])
    where = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    assert where.is_file(), f"{page.name}: {link}"
    anchor = unquote(parts.fragment)
    element = parsed(where).find(id=anchor) if anchor else parsed(where).find("section")
    return where, element, anchor


def named_by(page: Path, link: Tag) -> tuple[str, str]:
    """What stands at the end of a link: its kind, and its number as it can be read there."""
    where, element, anchor = target(page, link)
    assert element is not None, f"{page.name}: a dead link, {link}"
    if anchor.startswith("eq-"):
        return "equation", element.select_one(".eqno").get_text().strip("()")
    if element.name == "figure":
        return "figure", element.select_one(".caption-number").get_text(strip=True).removeprefix("Fig. ")
    heading = element.find(re.compile(r"h\d")).get_text(strip=True)
    if exercise := re.match(rf"Exercise {NUMBER}", heading):
        return "exercise", exercise[1]
    return "chapter", str(int(where.stem.split("_")[0]))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_every_reference_in_the_text_is_a_link_to_what_it_names(site, source):
    page = page_of(source, site)
    links = parsed(page).select("a.aevb-reference")
    for link in links:
        kind, name = named_by(page, link)
        assert re.search(rf"(?<![\d.]){re.escape(name)}(?!\.?\d)", link.get_text()), f"{link} leads to {kind} {name}"
    assert Counter(named_by(page, link) for link in links) == references_of(source)


def test_the_book_refers_to_all_kinds_of_things():
    kinds = Counter(kind for source in SOURCES for kind, _ in references_of(source).elements())
    assert {"equation", "exercise", "chapter"} <= set(kinds)
    assert kinds["equation"] > 300
    assert kinds["chapter"] > 100


def test_every_numbered_equation_has_a_number_of_its_own_an_anchor_and_a_permalink(site):
    numbered = Counter()
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".ipynb":
            text = "".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        tags = re.findall(r"\\tag\{([^}]*)\}", text)
        blocks = parsed(page_of(source, site)).select(".aevb-equation")
        assert [block["id"] for block in blocks] == [f"eq-{tag.replace('.', '-')}" for tag in tags]
        assert all(block.select_one(f"a.headerlink[href='#{block['id']}']") for block in blocks)
        numbered.update(tags)
    assert set(numbered.values()) == {1}


def test_figures_have_the_numbers_of_the_notebooks_and_a_permalink(site):
    for source in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        captions = ["".join(cell["source"]) for cell in cells if "caption" in cell["metadata"].get("tags", [])]
        page = page_of(source, site)
        figures = parsed(page).select("figure:has(.caption-number)")
        shown = [figure.select_one(".caption-number").get_text(strip=True) for figure in figures]
        assert shown == [re.match(r"\*\*(Fig\. [A-Z\d]+\.\d+)\.\*\*", caption)[1] for caption in captions]
        assert not any(
            figure.figcaption.select_one(".caption-text").get_text().startswith("Fig.") for figure in figures
        )
        assert all(figure.select_one(f"figcaption a.headerlink[href='#{figure['id']}']") for figure in figures)


def test_terms_lead_to_their_definition_once_a_chapter(site):
    linked = 0
    for source in (ROOT / "notebooks").glob("*.ipynb"):
        page = page_of(source, site)
        links = parsed(page).select("a.aevb-term")
        assert len({link["href"] for link in links}) == len(links), f"{source.stem} links a term twice"
        for link in links:
            _, element, _ = target(page, link)
            written = link.get_text().replace("’", "'").lower()
            term = element.find(string=True).strip().replace("’", "'").lower()
            assert TERMS_AS_WRITTEN.get(written, written) == term
            assert link.find_parent(re.compile(r"^(h\d|a|code|pre)$")) is None
        linked += len(links)
    assert linked > 200


def previews(site: Path, page: str) -> dict[str, str]:
    script = (site / "_previews" / f"{page}.js").read_text(encoding="utf-8")
    name, _, found = script.removeprefix("window.bookPreviews[").removesuffix(";\n").partition("] = ")
    assert json.loads(name) == page
    return json.loads(found)


def test_every_reference_has_something_to_show(site):
    shown = {name: previews(site, name.removesuffix(".html")) for name in page_names(site) if name not in UNREAD}
    empty = []
    for name in shown:
        page = site / name
        for link in parsed(page).select("a.aevb-reference, a.aevb-term"):
            where, _, anchor = target(page, link)
            if not shown[where.relative_to(site.resolve()).as_posix()].get(anchor):
                empty.append(f"{name}: {link}")
    assert not empty


def test_previews_hold_what_they_are_previews_of(site):
    chapter = previews(site, "notebooks/03_approximate_e_step")
    assert r"\log\det\Lambda" in chapter["eq-3-16"]
    assert r"\tag" not in chapter["eq-3-16"]
    assert chapter["fig-03-banana"].startswith("<img alt=")
    assert re.search(r"<strong>Fig\. 3\.\d+</strong>", chapter["fig-03-banana"])
    assert "The promise:" in chapter[""]
    assert "approximation gap" in previews(site, "book/glossary")["term-approximation-gap"]
    everything = "".join(
        "".join(previews(site, s.relative_to(ROOT).with_suffix("").as_posix()).values()) for s in SOURCES
    )
    assert "<a " not in everything, "a preview has nothing in it that can be followed"
    assert ' id="' not in everything


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("By (3.16) and (R.7).", ["equation 3.16 '(3.16)'", "equation R.7 '(R.7)'"]),
        ("(2.7)–(2.9), eq. (2.11)", ["equation 2.7 '(2.7)'", "equation 2.9 '(2.9)'", "equation 2.11 '(2.11)'"]),
        ("f(3.16), f)(3.16), f}(3.16), (3), (3.16 nats), (v3.16), (3.1.6)", []),
        ("Fig. 2.4 and figure R.1.", ["figure 2.4 'Fig. 2.4'", "figure R.1 'figure R.1'"]),
        ("Figs. 2.1 and 2.10", ["figure 2.1 'Figs. 2.1'", "figure 2.10 '2.10'"]),
        ("figures for 2.4, a figure of 2.4", []),
        ("exercise 3.5, 7 more", ["exercise 3.5 'exercise 3.5'"]),
        (
            "exercises 1.2,\n1.4 and 1.5 are new",
            ["exercise 1.2 'exercises 1.2'", "exercise 1.4 '1.4'", "exercise 1.5 '1.5'"],
        ),
        ("Chapter\n4’s table, chapter 12.", ["chapter 4 'Chapter\n4'", "chapter 12 'chapter 12'"]),
        ("chapters 1 to 3", ["chapter 1 'chapters 1'", "chapter 3 '3'"]),
        ("chapter 6, 178 bottles, chapter by chapter, this chapter", ["chapter 6 'chapter 6'"]),
        ('chapter 4, "Two gaps", says', ["heading Two gaps in 4 'chapter 4, \"Two gaps\"'"]),
        ("(chapter 4 (“Two gaps”))", ["heading Two gaps in 4 'chapter 4 (“Two gaps”'"]),
        ('see section "Two gaps".', ["heading Two gaps 'section \"Two gaps\"'"]),
        ('section "Two gaps" of chapter 4', ["heading Two gaps in 4 'section \"Two gaps\" of chapter 4'"]),
        ("Bishop [2006], chapters 9 and 10, and Murphy [2023]", []),
        ("Bishop (2006), chapter 9, for another; then chapter 3", ["chapter 3 'chapter 3'"]),
        ("see chapter 9 of Bishop (2006)", []),
        ("(Bishop, 2006, chapter 9)", []),
        ("In 2014, chapter 5 of the story", ["chapter 5 'chapter 5'"]),
        ("since 2014 (Kingma, 2014). Chapter 5 has it.", ["chapter 5 'Chapter 5'"]),
    ],
)
def test_references_are_told_from_their_false_friends(words, expected):
    found = [
        f"{r.kind} {r.key}{f' in {r.chapter}' if r.chapter else ''} '{words[r.start : r.end]}'"
        for r in references_in(words)
    ]
    # A heading is found by its words and by its chapter.
    assert found == expected


FIRST = r"""# One

$$ a = b \tag{1.1} $$

## Two gaps

### Exercise 1.1 ★ Count

A number (0.5), a value f(1.1), code `(1.1)`, math $(1.1)$, a link [(1.1)](https://example.org), the sum (1.1).
"""
SECOND = """# Two

See (1.1), *exercise 1.1*, chapter 1, "Two gaps", chapter 1
("two gaps") and chapter 1. Bishop (2006), chapter 9.
"""


def build_pages(folder: Path, **pages: str) -> tuple[BeautifulSoup, str]:
    """Build pages with the extension alone; the last page, and the warnings."""
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / "index.md").write_text("# All\n\n```{toctree}\n" + "\n".join(pages) + "\n```\n", encoding="utf-8")
    settings = 'extensions = ["myst_parser", "site_links"]\nmyst_enable_extensions = ["dollarmath"]\n'
    (folder / "conf.py").write_text(settings, encoding="utf-8")
    path = os.pathsep.join([str(ROOT / "book" / "extensions"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "NO_COLOR": "1", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(folder), str(folder / "html")]
    build = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, env=environment)
    assert (build.returncode != 0) == bool(build.stderr), build.stderr
    page = (folder / "html" / f"{list(pages)[-1]}.html").read_text(encoding="utf-8")
    return BeautifulSoup(page, "html.parser"), build.stderr


def test_words_become_links_across_pages(tmp_path):
    page, warnings = build_pages(tmp_path, **{"02_second": SECOND, "01_first": FIRST})
    assert not warnings
    assert [(a.get_text(), a["href"]) for a in page.select(".aevb-reference")] == [("(1.1)", "#eq-1-1")]
    second = BeautifulSoup((tmp_path / "html" / "02_second.html").read_text(encoding="utf-8"), "html.parser")
    assert [(a.get_text(" ", strip=True), a["href"]) for a in second.select(".aevb-reference")] == [
        ("(1.1)", "01_first.html#eq-1-1"),
        ("exercise 1.1", "01_first.html#exercise-1-1-count"),
        ("chapter 1, “Two gaps”", "01_first.html#two-gaps"),
        ("chapter 1\n(“two gaps”", "01_first.html#two-gaps"),
        ("chapter 1", "01_first.html"),
    ]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("See (1.7).", "(1.7)"),
        ("See exercise 1.7.", "exercise 1.7"),
        ("See Fig. 1.7.", "figure 1.7"),
        ("See chapter 7.", "chapter 7"),
        ('See chapter 1, "Three gaps".', '"Three gaps"'),
    ],
)
def test_a_reference_to_nothing_fails_the_build(tmp_path, words, named):
    _, warnings = build_pages(tmp_path, **{"01_first": FIRST, "02_second": f"# Two\n\n{words}\n"})
    assert f"WARNING: The text of 02_second refers to {named}, which the book does not have" in warnings
    assert warnings.count("WARNING") == 1


def test_a_target_that_goes_is_missed_on_pages_that_did_not_change(tmp_path):
    build_pages(tmp_path, **{"01_first": FIRST, "02_second": "# Two\n\nSee exercise 1.1.\n"})
    _, warnings = build_pages(tmp_path, **{"02_second": "# Two\n\nSee exercise 1.1.\n", "01_first": "# One\n\nNone.\n"})
    assert "The text of 02_second refers to exercise 1.1, which the book does not have" in warnings
