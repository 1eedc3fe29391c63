"""What a page loads: no style or script without a use on it, and no more bytes than a phone should have to fetch."""

import gzip
import sys

import pytest
from chromium import DESKTOP, PHONE
from playwright.sync_api import expect
from sentences import one_sentence
from sphinx.errors import ExtensionError

from tools.notebooks import ROOT

sys.path.insert(0, str(ROOT / "book" / "extensions"))
from site_styles import CUT, SHEETS, cut, whole, without_needless, words_of

FIRST = {"index.html": 300_000, "book/play.html": 200_000}  # bytes, compressed, before the reader does anything
PLAYED = 250_000  # of the page to play with, when all of its figures were seen and touched
PACKED = ("font/", "image/png", "image/webp")


@pytest.mark.parametrize(
    ("styles", "kept"),
    [
        (".a{x:1}.b{y:2}", ".a{x:1}"),
        (".a .b,.a>p,h1{x:1}", ".a>p,h1{x:1}"),
        (".a:not(.b){x:1}", ".a:not(.b){x:1}"),
        (".bs-tooltip-top .a{x:1}", ".bs-tooltip-top .a{x:1}"),
        ("@media print{.b{x:1}.a{y:2}}@media print{.b{x:1}}", "@media print{.a{y:2}}"),
        ("@font-face{src:url(b.x)}@import 'b.css';", "@font-face{src:url(b.x)}@import 'b.css';"),
        ('/* .b{ */.a::before{content:"}.b{"}.b{x:1}', '.a::before{content:"}.b{"}'),
        (".a\\:b{x:1}", ".a\\:b{x:1}"),
        (":is(.a,.b) p{x:1}", ":is(.a,.b) p{x:1}"),
        (".b:is(.a,:has(.c)){x:1}", ""),
    ],
)
def test_rules_for_what_no_page_has_are_left_out(styles, kept):
    assert cut(styles, {"a"}) == kept


def test_classes_are_those_of_elements_and_the_words_of_scripts():
    page = '<p class="a b">c</p><script>d.classList.add("e-f", `g`)</script>'
    assert words_of(page) == {"a", "b", "d", "classList", "add", "e-f", "g"}


def test_a_page_loads_what_it_has_a_use_for_alone():
    styles = "".join(
        f'<link rel="stylesheet" type="text/css" href="{name}.css" />\n' for name in ("pygments", "mystnb.1", "book")
    )
    scripts = "<script src=\"togglebutton.js?v=1\"></script><script>let toggleHintShow = 'x';</script>\n"
    head, code = f"<head>{styles}{scripts}</head>", '<body><div class="highlight-python highlight"></div></body>'
    code = code.replace("<div", '<button class="btn dropdown-toggle hide-me"></button><div')  # no boxes that fold
    light = without_needless(f"{head}{code}")
    assert [name in light for name in ("pygments", "mystnb", "book.css", "togglebutton")] == [True, False, True, False]
    cell = '<body><div class="cell docutils"><details class="hide"></details></div></body>'
    assert [name in without_needless(f"{head}{cell}") for name in ("pygments", "mystnb", "togglebutton")] == [
        False,
        True,
        True,
    ]


def test_the_sheets_of_the_site_are_cut(site):
    for name in SHEETS:
        text = (site / "_static" / name).read_text(encoding="utf-8")
        assert text.startswith(CUT)
        assert len(text) < 150_000
    theme = (site / "_static" / SHEETS[0]).read_text(encoding="utf-8")
    assert all(name in theme for name in (".bd-article", ".btn", "pst-color-text-base"))


def test_the_whole_sheet_is_kept_for_the_next_build(tmp_path):
    sheet = tmp_path / "a.css"
    sheet.write_text(".a{x:1}", encoding="utf-8")
    assert whole(sheet, tmp_path) == ".a{x:1}"
    sheet.write_text(CUT, encoding="utf-8")
    assert whole(sheet, tmp_path) == ".a{x:1}"


@pytest.mark.parametrize(("text", "words"), [(None, "name its sheets anew in SHEETS"), (CUT, "build the book anew")])
def test_a_sheet_that_is_not_there_is_a_sentence(tmp_path, text, words):
    if text is not None:
        (tmp_path / "a.css").write_text(text, encoding="utf-8")
    with pytest.raises(ExtensionError, match=words) as raised:
        whole(tmp_path / "a.css", tmp_path / "kept")
    assert "a.css" in one_sentence(str(raised.value))


def weigh(page):
    """The sizes, compressed, of all that a page asks for from now on; they are filled in as the answers come."""
    sizes: dict[str, int] = {}

    def count(request):
        if request.url.startswith("blob:"):  # a worker of the page's own
            return
        body, kind = request.response().body(), request.response().headers.get("content-type", "")
        packed = kind.startswith(PACKED) or request.url.endswith(".woff2")
        sizes[request.url] = len(body) if packed else len(gzip.compress(body))

    page.on("requestfinished", count)
    return sizes


def total(sizes, least=5):
    """Their sum; the largest are told where a test fails."""
    print(sorted(sizes.items(), key=lambda item: -item[1])[:8])
    assert len(sizes) > least
    return sum(sizes.values())


@pytest.mark.parametrize("page", FIRST)
def test_a_page_asks_for_few_bytes_before_the_reader_does_anything(browser, address, page):
    shown = browser.new_page(viewport=PHONE)
    sizes = weigh(shown)
    shown.goto(f"{address}/{page}", wait_until="networkidle")
    assert total(sizes) < FIRST[page]
    if page == "book/play.html":
        for figure in shown.locator(".aevb-computing").all():
            figure.scroll_into_view_if_needed()
            figure.locator(".controls button").first.click()
        expect(shown.locator("#digit .numbers")).not_to_contain_text("…")
        assert total(sizes, least=15) < PLAYED
    shown.close()


def test_the_theme_s_menu_opens_although_its_script_comes_late(browser, address):
    shown = browser.new_page(viewport=DESKTOP)
    asked = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(f"{address}/book/play.html")
    assert not [url for url in asked if "bootstrap" in url]
    menu = shown.locator(".dropdown-download-buttons .dropdown-menu")
    shown.get_by_role("button", name="Download this page").evaluate("(button) => button.click()")  # no pointer before
    expect(menu).to_be_visible()
    shown.keyboard.press("Escape")
    shown.get_by_role("button", name="Download this page").click()
    expect(menu).to_be_visible()
    assert len([url for url in asked if "bootstrap" in url]) == 1
    shown.close()


def test_the_way_back_to_the_top_is_shown_while_a_reader_goes_up(browser, address):
    shown = browser.new_page(viewport=PHONE)  # a wide page has none
    shown.goto(f"{address}/book/how_to_use.html")
    top = shown.locator("#pst-back-to-top")
    for place, is_there in ((1500, False), (1100, True)):
        shown.evaluate("(place) => scrollTo(0, place)", place)
        shown.wait_for_function("(place) => Math.abs(scrollY - place) < 5", arg=place)
        expect(top).to_be_visible(visible=is_there)
    top.click()
    shown.wait_for_function("scrollY === 0")
    shown.close()
