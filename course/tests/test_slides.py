"""Slides: each deck is whole, shows the chapter's own figures, fits its slides, and asks no other host for anything."""

import re
import shutil
import sys

import pytest

from course.engine import slides
from course.engine.settings import SettingsError
from tools.environments import ROOT

sys.path.insert(0, str(ROOT / "book" / "extensions"))
from course.engine import deck

DECKS = sorted(slides.SLIDES.glob(f"{slides.DECK}.md"))
WIDTH, HEIGHT, MARGIN = 1280, 720, 56
LOOK = """() => [...document.querySelectorAll(".slides > section > section")].map((slide, n) => {
  Reveal.slide(0, 0); Reveal.slide(Reveal.getIndices(slide).h, Reveal.getIndices(slide).v, 99);
  const box = slide.getBoundingClientRect(), scale = Reveal.getScale();
  const parts = [...slide.querySelectorAll("*")].filter((part) => !part.closest("aside"));
  const boxes = parts.map((part) => part.getBoundingClientRect()).filter((each) => each.width);
  return {
    title: slide.querySelector("h1, h2").textContent,
    bottom: Math.max(...boxes.map((each) => each.bottom - box.top)) / scale,
    right: Math.max(...boxes.map((each) => each.right - box.left)) / scale,
    cut: [...slide.querySelectorAll("pre code")].some((code) => code.scrollWidth > code.clientWidth),
    text: slide.textContent,
    pictures: [...slide.querySelectorAll("img")].map((image) => [image.naturalWidth, image.alt.length]),
  };
})"""


def built(folder, *sources):
    """The decks of some sources."""
    source = folder / "source"
    source.mkdir()
    for path in (slides.SLIDES / "index.md", slides.SLIDES / "slides.css", *sources):
        shutil.copy(path, source)
    return slides.build(folder / "out", source)


def titles_of(path):
    """The titles of a deck's slides; a comment in code is none."""
    text = re.sub(r"^```python$.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^##? (.*)", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_a_deck_is_whole(path):
    text, titles = path.read_text(encoding="utf-8"), titles_of(path)
    assert 12 <= len(titles) <= 18
    assert titles[0].startswith(f"{int(path.stem)}. ")
    assert {"Check", "In five lines", "To remember"} <= set(titles)
    assert any(title.startswith("Demo") for title in titles)
    assert text.count("{revealjs-notes}") >= 4


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_its_figures_are_those_of_its_chapter(path):
    named = re.findall(r"\{figure-of\} (\S+)", path.read_text(encoding="utf-8"))
    figures = deck.figures(int(path.stem))
    assert named
    assert set(named) <= figures.keys()
    assert all(figures[name].alt and figures[name].svg.lstrip().startswith("<?xml") for name in named)


def test_a_figure_that_no_chapter_has_is_one_sentence(tmp_path):
    path = tmp_path / "02.md"
    path.write_text("# 2. A\n\n## B\n\n```{figure-of} fig-02-nothing\n```\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="No chapter has stored a figure 'fig-02-nothing'"):
        built(tmp_path, path)


@pytest.mark.parametrize("name", ["fig-99", "fig-99-nothing"])
def test_a_figure_of_no_chapter_is_one_sentence(name, tmp_path):
    path = tmp_path / "02.md"
    path.write_text(f"# 2. A\n\n## B\n\n```{{figure-of}} {name}\n```\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=f"No chapter has stored a figure '{name}'; it is one of fig-NN-…"):
        built(tmp_path, path)


def test_a_build_takes_the_place_of_the_one_before_and_one_that_fails_does_not(tmp_path, monkeypatch):
    """The console's own characters do not matter, and the folder holds the decks of the last build that worked."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONUTF8", "0")
    (tmp_path / "two.md").write_text("# 2. Größe ✓\n\n## B\n\nText → text\n", encoding="utf-8")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("index.md", "slides.css"):
        shutil.copy(slides.SLIDES / name, source)
    for number in ("02", "03"):
        shutil.copy(tmp_path / "two.md", source / f"{number}.md")
    out = tmp_path / "out"
    assert [deck.stem for deck in slides.build(out, source)] == ["02", "03"]
    (out / "03.pdf").touch()
    (source / "03.md").unlink()
    assert [deck.name for deck in slides.build(out, source)] == ["02.html"]
    assert sorted(path.name for path in out.glob("0*")) == ["02.html"]
    whole = (out / "02.html").read_bytes()
    assert "Größe ✓" in whole.decode("utf-8")
    (source / "02.md").write_text("# 2. A\n\n```{figure-of} größe→99\n```\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="größe→99"):
        slides.build(out, source)
    assert (out / "02.html").read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source", "two.md"]


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """All decks, by name."""
    return {made.stem: made for made in built(tmp_path_factory.mktemp("slides"), *DECKS)}


@pytest.fixture
def browser():
    """A browser, where there is one; it ends with the test, since printing starts one of its own."""
    from tests.chromium import chromium

    with chromium() as running:
        yield running


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_a_deck_fits_its_slides_and_asks_no_other_host(path, decks, browser):
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(decks[path.stem].as_uri())
    page.wait_for_function("window.Reveal?.isReady()")
    looks = page.evaluate(LOOK)
    page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    assert len(looks) == len(titles_of(path))
    too_large = [look["bottom"] > HEIGHT or look["right"] > WIDTH - MARGIN + 1 or look["cut"] for look in looks]
    assert [look["title"] for look, large in zip(looks, too_large, strict=True) if large] == []
    assert [look["title"] for look in looks if "$" in look["text"]] == []
    pictures = [picture for look in looks for picture in look["pictures"]]
    assert len(pictures) == path.read_text(encoding="utf-8").count("{figure-of}")
    assert all(width and alt for width, alt in pictures)


def test_a_deck_is_printed_a_slide_a_page(decks):
    from pypdf import PdfReader

    from tests.chromium import PATH

    [printed] = slides.print_decks([decks["02"]], PATH)
    assert len(PdfReader(printed).pages) == len(titles_of(slides.SLIDES / "02.md"))
