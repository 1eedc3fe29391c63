"""Wide figures on a phone: their letters are legible, and they scroll in a box of their own."""

import re
import sys

import pytest
from chromium import PHONE
from site_build import page_names

from tools.notebooks import CHAPTERS, ROOT

sys.path.insert(0, str(ROOT / "book" / "extensions"))
from site_wide_figures import LEGIBLE, NARROWEST, least_width, with_boxes

SVG = '<svg width="{0}pt" height="90pt" viewBox="0 0 {0} 90"><g transform="translate(1 2) scale({1} -{1})"></g></svg>'
BOX = re.compile(
    r'<figure\b[^>]*>\s*(?P<box><div class="aevb-wide"[^>]*--least: (?P<least>\d+)px">)?\s*<img (?P<image>[^>]*)>'
)
CHAPTER = f"notebooks/{CHAPTERS[9].stem}.html"
"""It has the widest figures."""
BOXES = """() => [...document.querySelectorAll('.aevb-wide')].map((box) => ({
    scrolls: box.scrollWidth > box.clientWidth,
    stop: box.tabIndex === 0,
    missing: parseFloat(box.style.getPropertyValue('--least')) - box.firstElementChild.getBoundingClientRect().width,
    ratio: box.firstElementChild.width / box.firstElementChild.height
        - box.firstElementChild.getAttribute('width') / box.firstElementChild.getAttribute('height'),
}))"""


def drawn(tmp_path, width, scale):
    file = tmp_path / "a.svg"
    file.write_text(SVG.format(width, scale), encoding="utf-8")
    least_width.cache_clear()
    return file


@pytest.mark.parametrize(
    ("width", "scale", "least"),
    [(450, "0.09", 400), (450, "0.1", 360), (225, "0.09", 200), (450, "1", 0)],  # a scale of 1 is an image's
)
def test_the_width_that_a_figure_keeps_follows_from_its_own_and_its_letters(tmp_path, width, scale, least):
    """Letters of 9 in a picture 450 wide are 8 pixels high where the picture is 400 pixels wide."""
    assert least_width(drawn(tmp_path, width, scale)) == least


def test_a_wide_figure_stands_in_a_box_and_others_do_not(tmp_path):
    drawn(tmp_path, 450, "0.09")
    page = '<figure id="f">\n<img alt="A" src="a.svg" width="600"/>\n<figcaption>C</figcaption></figure>'
    shown = with_boxes(page, tmp_path)
    assert re.search(r'<figure id="f">\n<div class="aevb-wide" [^>]*--least: 400px"><img [^>]*></div>\n<figc', shown)
    assert with_boxes(shown, tmp_path) == shown
    outside = (
        '<img src="a.svg"> <figure><img src="b.svg"></figure> <figure class="aevb-viewer"><img src="data:x"></figure>'
    )
    assert with_boxes(outside, tmp_path) == outside
    drawn(tmp_path, 225, "0.09")
    assert with_boxes(page, tmp_path) == page


def test_every_figure_of_the_site_whose_letters_would_be_tiny_has_its_box(site):
    boxes = 0
    for name in page_names(site):
        for found in BOX.finditer((site / name).read_text(encoding="utf-8")):
            source = re.search(r'src="([^"]*)"', found["image"])[1]
            least = least_width((site / name).parent / source) if source.endswith(".svg") else 0
            assert int(found["least"] or 0) == (least if least > NARROWEST else 0), f"{name}: {source}"
            boxes += bool(found["box"])
    assert boxes > 100


@pytest.fixture(scope="module")
def page(browser, address):
    """A chapter on a phone."""
    context = browser.new_context(viewport=PHONE, base_url=address, reduced_motion="reduce")
    page = context.new_page()
    page.goto(CHAPTER)
    page.wait_for_load_state("networkidle")
    yield page
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (320, "dark")])
def test_letters_are_legible_and_only_boxes_scroll(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_function(f"() => ({BOXES})().every((box) => box.scrolls === box.stop)")
    boxes = page.evaluate(BOXES)
    assert len(boxes) > 5
    assert sum(box["scrolls"] for box in boxes) > 5
    assert max(box["missing"] for box in boxes) < 0.5, f"letters of less than {LEGIBLE} pixels"
    assert max(abs(box["ratio"]) for box in boxes) < 0.02
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_scrolls_a_figure_whose_edge_is_shaded(page):
    page.set_viewport_size(PHONE)
    page.wait_for_function(f"() => ({BOXES})().every((box) => box.scrolls === box.stop)")
    box = page.locator(".aevb-wide[tabindex='0']").first
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 10")
    assert box.evaluate("(box) => getComputedStyle(box).backgroundImage").count("linear-gradient") == 4
    assert box.evaluate("(box) => getComputedStyle(box.firstElementChild).mixBlendMode") in ("multiply", "screen")


def test_on_a_wide_page_no_figure_scrolls(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function(f"() => !({BOXES})().some((box) => box.stop)")
    assert not any(box["scrolls"] for box in page.evaluate(BOXES))
