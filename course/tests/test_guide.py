"""The instructor's guide: a page a chapter, of one form, which cites equations and figures that the chapter has."""

import functools
import re

import pytest

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
