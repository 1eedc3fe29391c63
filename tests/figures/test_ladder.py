"""The ladder: the committed picture is what the code draws, and every chapter has its place on it."""

import math
import re
from importlib import import_module

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from aevb_utils.figures import ladder, ladder_alt_text
from aevb_utils.figures.ladder import write
from tools.notebooks import ROOT

module = import_module("aevb_utils.figures.ladder")
PICTURE = ROOT / "book" / "static" / "ladder.svg"
CHAPTERS = range(1, 13)


def lit_chapters(figure: Figure) -> list[str]:
    """The numbers in the badges that are filled with ink, read from the picture's own shapes."""
    (ax,) = figure.axes
    badges = [p for p in ax.patches if isinstance(p, Circle)]
    filled = [p.center for p in badges if p.get_facecolor()[:3] != (1.0, 1.0, 1.0)]
    return [t.get_text() for center in filled for t in ax.texts if math.dist(t.get_position(), center) < 2]


def pinned(library: str) -> str:
    """A library's version in requirements.txt."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    (version,) = re.findall(rf"^{library}==(.+)$", text, flags=re.MULTILINE)
    return version


@pytest.mark.skipif(mpl.__version__ != pinned("matplotlib"), reason="Another matplotlib draws other bytes.")
def test_committed_picture_is_what_the_code_draws(tmp_path):
    write(tmp_path / "ladder.svg")
    drawn = (tmp_path / "ladder.svg").read_bytes()
    assert drawn == PICTURE.read_bytes(), "The ladder has changed: make export"


def test_picture_does_not_depend_on_the_callers_style(tmp_path):
    write(tmp_path / "plain.svg")
    with mpl.rc_context({"font.size": 30, "figure.dpi": 300, "svg.fonttype": "none", "axes.grid": True}):
        write(tmp_path / "ladder.svg")
    assert (tmp_path / "ladder.svg").read_bytes() == (tmp_path / "plain.svg").read_bytes()


def test_no_chapter_is_lit_by_default():
    assert lit_chapters(ladder()) == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_chapter_lights_up(chapter):
    lit = lit_chapters(ladder(chapter))
    assert lit, f"no rung is lit for chapter {chapter}"
    assert set(lit) == {str(chapter)}
    boxes = [p for p in ladder(chapter).axes[0].patches if isinstance(p, FancyBboxPatch)]
    assert sum(p.get_linewidth() > 2 for p in boxes) == len(lit)


@pytest.mark.parametrize("lit", [None, *CHAPTERS])
def test_text_stays_inside_its_picture_and_apart(lit):
    figure = ladder(lit)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    boxes = [t.get_window_extent() for t in ax.texts if t.get_text()]
    frame = figure.bbox
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)
    overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert not overlaps


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_alt_text_names_every_chapter_and_the_lit_one(chapter):
    text = ladder_alt_text(chapter)
    assert text.endswith(f"Chapter {chapter} is lit.")
    assert set(map(int, re.findall(r"\d+", text))) == set(CHAPTERS)
    assert "\n" not in text
    assert "is lit" not in ladder_alt_text()


def test_rungs_climb_one_change_at_a_time():
    chapters = [module.GROUND.chapter, *(r.chapter for r in module.RUNGS), module.TOP.chapter]
    chapters += [m.chapter for m in module.MODELS] + [module.BEYOND.chapter]
    assert chapters == sorted(chapters)
    for below, rung in zip(module.RUNGS, module.RUNGS[1:], strict=False):
        assert ("E" in rung.changes) == (rung.e_step != below.e_step)
        assert ("M" in rung.changes) == (rung.m_step != below.m_step)


@pytest.mark.parametrize("draw", [ladder, ladder_alt_text])
@pytest.mark.parametrize("lit", [0, 13, "two"])
def test_a_chapter_that_does_not_exist_is_an_error(draw, lit):
    with pytest.raises(ValueError, match="The ladder has chapters 1 to 12"):
        draw(lit)
