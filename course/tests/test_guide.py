"""The instructor's guide: a page a chapter, of one form, which cites equations and figures that the chapter has."""

import functools
import re

import pytest
import yaml

from course.engine.assignments import COURSE
from tools.notebooks import CHAPTERS, read

GUIDE = COURSE / "guide"
PARTS = ["Ask first", "On the board", "Demo", "Misconceptions, with a probe", "Cut", "Where they get stuck"]
TAG = re.compile(r"\\tag\{(\d+\.\d+)\}")
CITED = re.compile(r"(?<![\w.])\((\d+\.\d+)\)")
FIGURE = re.compile(r"Fig\. (\d+\.\d+)")
CAPTION = re.compile(r"^\*\*Fig\. (\d+\.\d+)\.\*\*", re.MULTILINE)
OF_ANOTHER = re.compile(r"\((\d+)\.\d+\) of chapter \1\b")


@functools.cache
def text_of(path):
    """All Markdown of a chapter."""
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_page_has_its_form(path):
    page = (GUIDE / f"{path.stem[:2]}.md").read_text(encoding="utf-8")
    title = next(cell.source for cell in read(path).cells if cell.source.startswith("# ")).splitlines()[0][2:]
    assert page.startswith(f"# {int(path.stem[:2])}. {title}\n\n**Aim.** ")
    assert re.findall(r"^## (.*)", page, flags=re.MULTILINE) == PARTS
    assert sum(int(minutes) for minutes in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)) == 75
    misconceptions = page.split("## Misconceptions, with a probe")[1].split("## ")[0]
    assert len(re.findall(r"^- \*[^*]+\* .+", misconceptions, flags=re.MULTILINE)) == 3
    assert 250 <= len(page.split()) <= 450
    assert page.count("$") % 2 == 0


def astray(page, own, every):
    """What a page cites that neither its chapter has, nor, with the words "of chapter N", the chapter N."""
    for other in OF_ANOTHER.finditer(page):
        assert set(CITED.findall(f" {other[0]}")) <= set(TAG.findall(every)), other[0]
    page = OF_ANOTHER.sub("", page)
    equations = set(CITED.findall(page)) - set(TAG.findall(own))
    return equations | set(FIGURE.findall(page)) - set(CAPTION.findall(own))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_it_cites_what_its_chapter_has(path):
    every = "\n".join(map(text_of, CHAPTERS))
    page = (GUIDE / f"{path.stem[:2]}.md").read_text(encoding="utf-8")
    assert astray(page, text_of(path), every) == set()


def test_a_citation_of_another_chapter_is_seen():
    own, every = r"\tag{6.1}", r"\tag{6.1} \tag{1.9}" + "\n**Fig. 1.1.** A."
    assert astray("By (6.1) and (1.9) of chapter 1.", own, every) == set()
    assert astray("By (6.1) and (1.9), see Fig. 1.1.", own, every) == {"1.9", "1.1"}


def test_before_the_first_class_no_equation_is_known():
    page = (GUIDE / "00.md").read_text(encoding="utf-8")
    assert astray(page, "", "\n".join(map(text_of, CHAPTERS))) == set()


def test_before_the_first_class():
    page = (GUIDE / "00.md").read_text(encoding="utf-8")
    for said in ("make doctor", "Colab", "JupyterHub", "AEVB_DATA_DIR", "Accessibility", "Regrade form", "estimates"):
        assert said in page
    assert len(re.findall(r"^\d\. \*\*", page.split("## AI")[1].split("## ")[0], flags=re.MULTILINE)) == 3


SHOWS = {
    "1.1": "wait 68 minutes",
    "1.7": "prior and likelihood",
    "1.10": "latent dimensions",
    "2.4": "staircase",
    "2.5": "The picture of EM",
    "2.8": "size of EM's steps",
    "2.9": "Where EM ends",
    "3.1": "two hidden causes",
    "3.4": "Variational EM on iris",
    "3.6": "four approximations",
    "3.7": "by hand",
    "3.10": "same evidence, another gap",
    "3.11": "where the M-step goes",
    "3.13": "best $\\sigma$ of each curve",
    "4.2": "inside the plate",
    "4.4": "some flowers pay",
    "4.9": "= ELBO + amortization gap + approximation gap",
    "4.10": "sorted by amortization gap",
    "4.11": "on your picture",
    "4.14": "What moves which gap",
    "5.1": "A sample blocks the gradient",
    "5.2": "with the noise held fixed",
    "5.6": "f = sin kz at",
    "6.3": "Joint training",
    "6.4": "Phases",
    "6.7": "What a diagonal q would cost",
    "7.7": "fitted to the codes of the autoencoder",
    "7.8": "Ten latents from the prior",
    "7.9": "One coordinate of $z$",
    "7.16": "is empty",
    "8.2": "Three ways for a context",
    "8.3": "each column one label",
    "8.6": "completions",
    "9.4": "among the ten corners",
    "9.6": "can lie above the evidence",
    "9.7": "three for the last row",
    "9.13": "Ten seeds of the recipe",
    "10.4": "may look at",
    "10.5": "What a filtering $q$ does",
    "10.8": "KL at each row, mean",
    "11.1": "The recipe of this chapter",
    "12.1": "Six handles",
    "12.10": "adds noise until nothing is left",
}
"""Each figure that guide or slides cite, and words of its caption: another figure before it moves them elsewhere."""


def captions():
    """The caption of each figure of the book, by its number."""
    parts = [part for path in CHAPTERS for part in re.split(r"(?m)^(?=\*\*Fig\. )", text_of(path))]
    return {found[1]: part.partition("\n\n")[0] for part in parts if (found := CAPTION.match(part))}


def shifted(cited, shows, every):
    """Figures that are cited and have no words, or the other way round, or whose words stand in another caption."""
    wrong = cited ^ set(shows)
    for number, words in shows.items():
        of_chapter = [other for other in every if other.split(".")[0] == number.split(".")[0] and words in every[other]]
        wrong |= {number} if of_chapter != [number] else set()
    return wrong


def test_a_cited_figure_is_the_one_that_is_meant():
    pages = [path for kind in ("*.md", "*.yml") for path in sorted(COURSE.rglob(kind))]
    assert {GUIDE / "03.md", COURSE / "slides" / "03.md", COURSE / "quizzes" / "q03.yml"} <= set(pages)
    cited = {number for path in pages for number in FIGURE.findall(path.read_text(encoding="utf-8"))}
    assert shifted(cited, SHOWS, captions()) == set()


def test_a_figure_that_comes_in_is_seen():
    every = {"3.1": "**Fig. 3.1.** A tilt.", "3.2": "**Fig. 3.2.** A fall."}
    assert shifted({"3.2"}, {"3.2": "fall"}, every) == set()
    moved = {"3.1": "**Fig. 3.1.** A tilt.", "3.2": "**Fig. 3.2.** New.", "3.3": "**Fig. 3.3.** A fall."}
    assert shifted({"3.2"}, {"3.2": "fall"}, moved) == {"3.2"}
    assert shifted({"3.2"}, {"3.3": "fall"}, moved) == {"3.2", "3.3"}


def sections_of(path):
    """What a chapter calls its sections, and what it folds away."""
    return re.findall(r"^#{2,4} (.*)", text_of(path), flags=re.MULTILINE) + re.findall(
        r"<summary>(.*?)</summary>", text_of(path)
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_sections_to_show_and_to_cut_are_there(path):
    page = (GUIDE / f"{path.stem[:2]}.md").read_text(encoding="utf-8")
    deck = (COURSE / "slides" / f"{path.stem[:2]}.md").read_text(encoding="utf-8")
    named = re.findall(r'[Ss]ection "([^"]+)"', deck)
    for part in ("Demo", "Cut"):
        named += re.findall(r'"([A-Z][^"]+?),?"', page.split(f"## {part}\n")[1].partition("\n## ")[0])
    there = sections_of(path)
    assert [name for name in named if not any(each.startswith(name) for each in there)] == []


def formulas():
    """Each numbered equation of the book, by its number, with single spaces."""
    every = "\n".join(map(text_of, CHAPTERS))
    found = [" ".join(formula.split()) for formula in re.findall(r"\$\$(.*?)\$\$", every, flags=re.DOTALL)]
    return {number: formula for formula in found for number in TAG.findall(formula)}


def test_a_cited_equation_is_the_one_that_is_meant():
    """As for figures; where an equation comes in before it, the piece of it stands elsewhere."""
    of = ("guide/*.md", "slides/*.md", "quizzes/*.yml", "assignments/*/*.yml", "assignments/*/a*.py")
    pages = [path for pattern in of for path in sorted(COURSE.glob(pattern))]
    cited = {number for path in pages for number in CITED.findall(path.read_text(encoding="utf-8"))}
    pieces = yaml.safe_load((COURSE / "tests" / "cited_equations.yml").read_text(encoding="utf-8"))
    assert shifted(cited, pieces, formulas()) == set()
