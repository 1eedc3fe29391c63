"""The instructor's guide: a page a chapter, of one form, which cites equations and figures that the chapter has."""

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


@pytest.fixture(scope="module")
def text_of_chapters():
    """All Markdown of the chapters."""
    return "\n".join(cell.source for path in CHAPTERS for cell in read(path).cells if cell.cell_type == "markdown")


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


def test_it_cites_what_is_there(text_of_chapters):
    equations, captions = set(TAG.findall(text_of_chapters)), set(CAPTION.findall(text_of_chapters))
    for path in sorted(GUIDE.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        assert set(CITED.findall(page)) - equations == set(), path.name
        assert set(FIGURE.findall(page)) - captions == set(), path.name


def test_before_the_first_class():
    page = (GUIDE / "00.md").read_text(encoding="utf-8")
    for said in ("make doctor", "Colab", "JupyterHub", "AEVB_DATA_DIR", "Accessibility", "Regrade form", "estimates"):
        assert said in page
    assert len(re.findall(r"^\d\. \*\*", page.split("## AI")[1].split("## ")[0], flags=re.MULTILINE)) == 3
