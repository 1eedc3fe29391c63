"""The contents beside a page mark the section that is being read, whichever way a reader has come to it."""

import pytest
from chromium import DESKTOP
from playwright.sync_api import Page

from tools.notebooks import CHAPTERS

LINE = 120  # pixels from the top: a heading above it has been passed
SETTLE = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
MARKED = """() => [...document.querySelectorAll('#pst-page-toc-nav a.active[aria-current=true]')]
    .map((link) => link.hash)"""
IN_SIGHT = """(link) => {
    const [at, inside] = [link, link.closest('.bd-sidebar-secondary')].map((each) => each.getBoundingClientRect());
    return at.top >= inside.top && at.bottom <= inside.bottom;
}"""
HEADINGS = """() => [...document.querySelectorAll('article section > :is(h2, h3)')].map((heading) => ({
    hash: `#${heading.parentElement.id}`,
    top: heading.getBoundingClientRect().top + scrollY,
}))"""


@pytest.fixture(scope="module")
def page(browser, address):
    """A chapter."""
    context = browser.new_context(viewport=DESKTOP, base_url=address, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"notebooks/{CHAPTERS[5].stem}.html")
    page.wait_for_load_state("networkidle")
    yield page
    context.close()


def scrolled(page: Page, y: float) -> list[str]:
    """What is marked when a reader has scrolled to a place."""
    page.evaluate("(y) => scrollTo(0, y)", y)
    page.evaluate(SETTLE)
    return page.evaluate(MARKED)


def read_at(page: Page) -> str:
    """The section whose heading was the last to come to the top, from where the headings are."""
    y = page.evaluate("scrollY")
    return [heading["hash"] for heading in page.evaluate(HEADINGS) if heading["top"] - y < LINE][-1]


@pytest.mark.parametrize("way", ["down", "up"])
def test_the_section_that_fills_the_page_is_marked(page, way):
    """Right behind its heading, and right before the next one comes to the top, whichever is in sight already."""
    tops = [heading["top"] for heading in page.evaluate(HEADINGS)][:-3]
    assert len(tops) > 20
    places = [y for top in tops[:: len(tops) // 12] for y in (top - LINE - 30, top - LINE + 30)]
    marked = {}
    for y in sorted(places, reverse=way == "up"):
        found = scrolled(page, max(y, 0))
        if y > tops[0] - LINE:
            marked[y] = (found, [read_at(page)])
    assert [pair for pair in marked.values() if pair[0] != pair[1]] == []
    assert len({hashes[0] for hashes, _ in marked.values()}) > 10


def test_above_the_first_heading_nothing_is_marked_and_at_the_end_the_last_section(page):
    assert scrolled(page, 0) == []
    assert scrolled(page, 10**7) == [page.evaluate(HEADINGS)[-1]["hash"]]


def test_the_entry_that_is_marked_is_in_sight(page):
    for y in (10**7, 15_000, 3000):
        assert scrolled(page, y)
        assert page.locator("#pst-page-toc-nav a.active").evaluate(IN_SIGHT)


def test_each_entry_that_is_clicked_is_marked(page):
    links = page.locator("#pst-page-toc-nav a")
    hashes = links.evaluate_all("(all) => all.map((link) => link.hash)")
    assert len(hashes) > 10
    wrong = {}
    for index, wanted in enumerate(hashes):
        links.nth(index).evaluate("(link) => link.click()")
        page.evaluate(SETTLE)
        if (found := page.evaluate(MARKED)) != [wanted]:
            wrong[wanted] = found
    assert wrong == {}


def test_an_entry_within_a_section_opens_it(page):
    """The theme shows the entries below one that is marked, and those of no other."""
    nested = page.locator("#pst-page-toc-nav .toc-entry .toc-entry a").first
    wanted = nested.get_attribute("href")
    page.evaluate("(hash) => document.querySelector(`article a.headerlink[href='${hash}']`).click()", wanted)
    page.evaluate(SETTLE)
    assert nested.evaluate("(link) => link.closest('ul').parentElement.classList.contains('active')")
    assert page.locator("#pst-page-toc-nav > ul > .toc-entry.active").count() == 1
