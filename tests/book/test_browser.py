"""The site in a real browser: every page in light, in dark, on a phone; search; the viewer by mouse and keyboard."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import DESKTOP, PHONE
from playwright.sync_api import Page, expect
from site_build import page_names

from tools.notebooks import CHAPTERS, PAGES, ROOT

# Preloading would ask for style sheets again, at wrong places.
AXE = {"resultTypes": ["violations"], "elementRef": True, "preload": False}
STRUCTURE = AXE | {"rules": {"color-contrast": {"enabled": False}}}
COLORS = AXE | {"runOnly": ["color-contrast"], "resultTypes": ["violations", "passes"]}
IN_LIGHT = COLORS | {"runOnly": ["color-contrast", "link-in-text-block"]}  # links beside the words around them
RUN_AXE = """async (options) => {
    const found = await axe.run(options);
    const all = (kind, told) => found[kind].flatMap((rule) => rule.nodes.map((node) => told(rule, node)));
    const looks = window.looks ?? (() => '');
    return {
        wrong: all('violations', (rule, node) => `${rule.id}: ${node.html.slice(0, 160)}`),
        right: all('passes', (rule, node) => looks(node.element)),
    };
}"""
BOOK_PAGES = sorted(f"book/{file.stem}.html" for file in (ROOT / "book").glob("*.md"))
PAGE_NAMES = [
    "index.html",
    *BOOK_PAGES,
    *(f"notebooks/{file.stem}.html" for file in (*PAGES, *CHAPTERS)),
    "search.html",
]
WIDE = """() => {
    const scrolls = (e) => e && (getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement));
    return [...document.querySelectorAll('article *')]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e.parentElement))
        .map((e) => e.outerHTML.slice(0, 160));
}"""


# Code that is wrapped on a phone scrolls on a wide page: the theme makes it a tab stop when the size has settled.
MEASURED = "() => [...document.querySelectorAll('pre')].every((e) => !e.tabIndex || e.scrollWidth <= e.clientWidth)"
# What axe need not see again and again. Words look the same where colors, sizes and backgrounds, theirs and those of
# all that is around them, are the same in light and in dark, and links where they stand among words or all do not. A
# look is a number that is the same on all pages.
NOTE_LOOKS = """() => {
    const looks = new Map();
    const number = (words) => {
        let high = 0xdeadbeef, low = 0x41c6ce57;
        for (let i = 0; i < words.length; i++) {
            high = Math.imul(high ^ words.charCodeAt(i), 2654435761);
            low = Math.imul(low ^ words.charCodeAt(i), 1597334677);
        }
        return (high >>> 0).toString(36) + (low >>> 0).toString(36);
    };
    const amongWords = (element) => element.tagName === 'A'
        && [...element.parentElement.closest('p, li, td, dd, div, body').childNodes].some(
            (node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const said = ['color', 'backgroundColor', 'backgroundImage', 'opacity', 'fontSize', 'fontWeight', 'filter',
        'textShadow', 'visibility', 'display', 'textDecorationLine', 'mixBlendMode', 'position'];
    const look = (element) => {
        if (!element) return 0;
        if (!looks.has(element)) {
            const style = getComputedStyle(element);
            const own = [look(element.parentElement), amongWords(element), ...said.map((name) => style[name])];
            looks.set(element, number(own.join('|')));
        }
        return looks.get(element);
    };
    document.querySelectorAll('body *').forEach(look);
    const before = window.looks ?? (() => '');
    window.looks = (element) => `${before(element)} ${looks.get(element)}`;
}"""
# Of the formulas the first two stay.
THIN_FORMULAS = """() => {
    document.querySelectorAll('math').forEach((formula, i) => { if (i > 1) formula.replaceChildren(); });
}"""
# Displayed formulas whose beginning is not what is seen of them first.
CUT_FORMULAS = """() => [...document.querySelectorAll('.aevb-formula')]
    .filter((box) => box.scrollLeft !== 0
        || box.firstElementChild.getBoundingClientRect().left < box.getBoundingClientRect().left - 1)
    .map((box) => box.querySelector('annotation').textContent)"""
NOTE_SHIFTS = """() => {
    window.shifts = 0;
    const add = (list) => list.getEntries().forEach((entry) => { window.shifts += entry.value; });
    new PerformanceObserver(add).observe({ type: 'layout-shift', buffered: true });
}"""
# Of code whose words look like words before, or like words that have been judged right on another page, the text stays.
THIN_CODE = """(judged) => {
    const seen = new Map(judged.map((look) => [look, 2])), stay = new Set();
    document.querySelectorAll('pre span').forEach((word) => {
        seen.set(looks(word), (seen.get(looks(word)) ?? 0) + 1);
        if (seen.get(looks(word)) <= 2) stay.add(word.closest('pre'));
    });
    for (const code of document.querySelectorAll('pre')) if (!stay.has(code)) code.replaceChildren(code.textContent);
}"""
# Where colors are judged, the first two places of words that look the same stay, and what is around them; those whose
# looks have been judged right before, on another page, do not. A link stays with the words that it stands among.
THIN_WORDS = """(judged) => {
    const seen = new Map(judged.map((look) => [look, 2])), stay = new Set(), kept = new Set();
    const found = [...document.querySelectorAll('body *')].map((element) => [element, [...element.childNodes].filter(
        (node) => node.nodeType === Node.TEXT_NODE && node.data.trim())]).filter(([, words]) => words.length > 0);
    for (const [element] of found) {
        seen.set(looks(element), (seen.get(looks(element)) ?? 0) + 1);
        if (seen.get(looks(element)) > 2) continue;
        for (let around = element; around; around = around.parentElement) stay.add(around);
        kept.add(element).add(element.closest('a')?.parentElement.closest('p, li, td, dd, div'));
    }
    for (const [element, words] of found) if (!kept.has(element)) words.forEach((node) => node.remove());
    document.querySelectorAll('body *').forEach((element) => { if (!stay.has(element)) element.replaceChildren(); });
}"""


@dataclass
class Visit:
    """What one page did in the browser."""

    page: str
    requests: list[str] = field(default_factory=list)  # failed, or to another host
    messages: list[str] = field(default_factory=list)  # console errors and warnings, uncaught exceptions
    formulas: int = 0  # in the page
    rendered: int = 0
    cut: list[str] = field(default_factory=list)  # formulas whose beginning cannot be seen on a phone
    shift: float = 0.0  # how much moves while the page loads, as browsers sum it up
    axe: dict[str, list[str]] = field(default_factory=dict)
    overflow: list[str] = field(default_factory=list)


@pytest.fixture
def page(browser, address):
    """A page of a browser that has seen no other."""
    context = browser.new_context(viewport=DESKTOP, base_url=address)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def reader(browser, address):
    """A browser that keeps what pages have in common, for one page after the other."""
    context = browser.new_context(viewport=DESKTOP, base_url=address)
    yield context
    context.close()


@pytest.fixture(scope="module")
def window(reader):
    """Its window for all pages, since a new one takes as long as a page."""
    return reader.new_page()


@pytest.fixture(scope="module")
def judged():
    """The looks of words whose colors have been judged and found right, on whatever page."""
    return set()


def look_at(page: Page, name: str, host: str, judged: set[str]) -> Visit:
    """Open a page at the width of a phone, look at it there, then at a desktop's width, in light and in dark."""
    visit = Visit(name)

    def note_request(request) -> None:
        if urlsplit(request.url).scheme != "data" and urlsplit(request.url).netloc != host:
            visit.requests.append(f"asks another host: {request.url}")

    def note_message(message) -> None:
        if message.type in ("error", "warning"):
            visit.messages.append(message.text)

    heard = {
        "request": note_request,
        "requestfailed": lambda request: visit.requests.append(f"failed: {request.url}"),
        "response": lambda r: visit.requests.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
        "console": note_message,
        "pageerror": lambda error: visit.messages.append(str(error)),
    }
    for event, note in heard.items():
        page.on(event, note)

    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(name)
    page.evaluate(NOTE_SHIFTS)
    page.wait_for_load_state("networkidle")
    visit.shift = page.evaluate("window.shifts")
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    page.evaluate("document.querySelectorAll('.toggle-hidden > .toggle-button').forEach((button) => button.click())")

    page.wait_for_timeout(100)
    if page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
        visit.overflow = page.evaluate(WIDE) or ["something wider than the screen"]
    formulas = page.locator("article math")
    visit.formulas = formulas.count()
    visit.rendered = formulas.evaluate_all("(all) => all.filter((e) => e.getBoundingClientRect().width > 0).length")
    visit.cut = page.evaluate(CUT_FORMULAS)

    page.evaluate(THIN_FORMULAS)
    page.set_viewport_size(DESKTOP)
    page.wait_for_function(MEASURED)
    visit.axe = judge(page, judged)
    page.wait_for_load_state("networkidle")
    for event, note in heard.items():
        page.remove_listener(event, note)
    page.goto("about:blank")  # what is left of the page does not see the next one's width
    return visit


def judge(page: Page, judged: set[str]) -> dict[str, list[str]]:
    """What axe finds wrong with a page: with its structure, and with its colors in light and in dark.

    ``judged`` are the looks of words whose colors are known to be right, in light and in dark; those that axe now finds
    right are added.
    """
    page.evaluate(Axe().axe_script)
    page.add_style_tag(content="* { transition: none !important; }")  # the theme fades colors
    for scheme in ("light", "dark"):
        show(page, scheme)
        page.evaluate(NOTE_LOOKS)
    page.evaluate(THIN_CODE, sorted(judged))
    structure = page.evaluate(RUN_AXE, STRUCTURE)["wrong"]  # with the links' colors, in dark
    page.evaluate(THIN_WORDS, sorted(judged))
    in_dark = page.evaluate(RUN_AXE, COLORS)
    show(page, "light")
    in_light = page.evaluate(RUN_AXE, IN_LIGHT)
    judged |= {*in_light["right"]} & {*in_dark["right"]}
    return {"structure": structure, "light": in_light["wrong"], "dark": in_dark["wrong"]}


def show(page: Page, scheme: str) -> None:
    """Show a page in light or in dark."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("(scheme) => document.documentElement.dataset.theme === scheme", arg=scheme)


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_a_page_in_light_in_dark_and_on_a_phone(window, address, judged, name):
    visit = look_at(window, name, urlsplit(address).netloc, judged)
    assert visit.requests == []
    assert visit.messages == []
    assert visit.rendered == visit.formulas
    assert visit.cut == []
    assert visit.overflow == []
    assert visit.shift < 0.02
    assert visit.axe == {"structure": [], "light": [], "dark": []}


def test_what_cannot_be_read_is_found_wherever_it_stands(window, judged):
    window.goto("book/faq.html")
    assert judge(window, judged) == {"structure": [], "light": [], "dark": []}  # its looks are judged from here on
    window.goto("book/bibliography.html")
    for scheme, number, color in (("light", 7, "#bbb"), ("dark", 70, "#444")):
        rule = f"html[data-theme={scheme}] .citation:nth-of-type({number}) p {{ color: {color} !important; }}"
        window.add_style_tag(content=rule)
    found = judge(window, judged)
    assert found["structure"] == []
    assert [line for line in found["light"] if line.startswith("color-contrast: <p>")]
    assert [line for line in found["dark"] if line.startswith("color-contrast: <p>")]


@pytest.mark.parametrize(("scheme", "where", "color"), [("light", "light", "#333"), ("dark", "structure", "#ddd")])
def test_a_link_that_looks_like_the_words_around_it_is_found(window, judged, scheme, where, color):
    window.goto("book/how_to_use.html")
    rule = f"color: {color} !important; text-decoration: none !important;"
    window.add_style_tag(content=f"html[data-theme={scheme}] article p a {{ {rule} }}")
    assert [line for line in judge(window, judged)[where] if line.startswith("link-in-text-block: <a")]


def test_every_page_is_looked_at(site):
    assert {*PAGE_NAMES, "404.html"} == {*page_names(site)}  # what is not found has a test of its own


def test_enter_opens_the_first_hit(page):
    page.goto("index.html")
    page.keyboard.press("Control+k")
    dialog = page.locator("#pst-search-dialog")
    dialog.locator("input").fill("mixture")
    first = dialog.locator("a.aevb-hit").first
    expect(first).to_be_visible()
    address = first.get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(address)


def test_the_search_page_finds_a_chapter(page):
    page.goto("search.html?q=Gaussian+mixture")
    expect(page.locator("#search-results a[href*='02_em_gaussian_mixture']").first).to_be_visible()


def test_a_screen_reader_finds_formulas_and_the_keyboard_passes_them(window):
    window.goto("book/notation.html")
    formulas = window.get_by_role("math")
    assert formulas.count() > 50
    assert window.locator("math[tabindex], math [tabindex]").count() == 0


@pytest.fixture(scope="module")
def viewer_page(reader):
    """A page with a viewer that has two sliders, and a clock to put forward; all viewers have the same script."""
    page = reader.new_page()
    page.clock.install()
    page.goto(f"notebooks/{CHAPTERS[4].stem}.html")
    page.locator(".aevb-viewer").first.scroll_into_view_if_needed()
    yield page
    page.close()


@pytest.fixture
def viewer(viewer_page):
    """The viewer, at its first frame."""
    figure = viewer_page.locator(".aevb-viewer").first
    for slider in figure.locator("input").all():
        slider.press("Home")
        expect(slider).to_have_value("0")
    return figure


def test_the_controls_stand_in_the_sentence_s_place(viewer):
    sliders, button = viewer.locator(".aevb-controls label > input"), viewer.locator(".aevb-controls > button")
    expect(button).to_have_text("▶ Play")
    expect(viewer.locator(".aevb-still")).to_have_count(0)
    for slider in sliders.all():
        assert slider.get_attribute("aria-valuetext") == slider.locator("xpath=../span").inner_text()
        assert int(slider.get_attribute("max")) > 0
        expect(slider).to_have_value("0")
    names = [label.inner_text().split()[0] for label in viewer.locator("label").all()]
    assert len(set(names)) == sliders.count() > 0


def test_the_viewer_moves_by_mouse(viewer):
    slider, image = viewer.locator("input").last, viewer.locator("img")
    alt, source = image.get_attribute("alt"), image.get_attribute("src")
    box = slider.bounding_box()
    slider.click(position={"x": 0.8 * box["width"], "y": box["height"] / 2})
    expect(image).not_to_have_attribute("alt", alt)
    expect(image).not_to_have_attribute("src", source)
    assert int(slider.input_value()) > 0


def test_the_viewer_moves_by_keyboard(viewer):
    slider, image = viewer.locator("input").last, viewer.locator("img")
    first = image.get_attribute("alt")
    said = slider.get_attribute("aria-valuetext")
    slider.focus()
    slider.press("ArrowRight")
    expect(slider).to_have_value("1")
    expect(image).not_to_have_attribute("alt", first)
    expect(slider).not_to_have_attribute("aria-valuetext", said)
    slider.press("End")
    expect(slider).to_have_value(slider.get_attribute("max"))
    slider.press("Home")
    expect(slider).to_have_value("0")
    expect(image).to_have_attribute("alt", first)


def test_the_viewer_plays_and_stops(viewer, viewer_page):
    slider, button, image = viewer.locator("input").last, viewer.locator("button"), viewer.locator("img")
    first = image.get_attribute("alt")
    button.press("Enter")
    expect(button).to_contain_text("Pause")
    viewer_page.clock.run_for(2000)
    expect(slider).not_to_have_value("0")
    expect(image).not_to_have_attribute("alt", first)
    button.click()
    expect(button).to_contain_text("Play")
    stopped = slider.input_value()
    viewer_page.clock.run_for(5000)
    assert slider.input_value() == stopped


def test_the_viewer_stops_at_the_last_frame(viewer):
    slider, button = viewer.locator("input").last, viewer.locator("button")
    slider.press("End")
    slider.press("ArrowLeft")
    button.click()
    expect(slider).to_have_value(slider.get_attribute("max"))
    expect(button).to_contain_text("Play")


def test_the_viewer_shows_its_first_frame_without_javascript(browser, address):
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{address}/notebooks/{CHAPTERS[4].stem}.html")
    for kind in (".aevb-viewer", ".aevb-computing"):
        assert plain.locator(f"{kind} img").first.is_visible()
        assert plain.locator(f"{kind} .aevb-still").first.is_visible()
        assert plain.locator(kind).locator("button, input").count() == 0
    context.close()
