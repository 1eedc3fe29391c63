"""The figure that composes, in a real browser: by mouse and keyboard, with sound, with and without its network."""

import json
import re
from itertools import pairwise

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import DESKTOP, PHONE, chromium
from playwright.sync_api import expect

from aevb_utils.data import LOWEST
from aevb_utils.figures import ComputingFigure
from aevb_utils.figures.computing import bundle

SITE = "http://book.test/"
LATER = "_static/later/compose.js"
COST = re.compile(r"^[+−]\d+\.\d nats at the step that you changed, [+−]\d+\.\d at those after it\.$")
SOUNDS = """() => {
    window.tones = [];
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (when) {
        window.tones.push(this.frequency.value);
        start.call(this, when);
    };
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """Open a page of a make-believe site with the figure in it; it is without errors in the end."""
    contexts, messages = [], []

    def open_page(*, state="", hash="", lost=False, **options):
        context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.asked = []
        page.on("pageerror", lambda error: messages.append(str(error)))
        host = bundle.markup("compose", state=state, site=True, later=LATER)
        call = f"<script>{bundle.bundle(['compose'])}aevbFigures.{bundle.key(['compose'])}.mount()</script>"
        html = f"<!doctype html><html lang='en'><title>Chapter</title><main><h1>Listen</h1>{host}{call}</main></html>"

        def answer(route):
            page.asked.append(route.request.url.removeprefix(SITE))
            if page.asked[-1] == LATER and lost:
                route.abort()
            elif page.asked[-1] == LATER:
                route.fulfill(body=bundle.later_script("compose"), content_type="text/javascript")
            else:
                route.fulfill(body=html, content_type="text/html; charset=utf-8")

        page.route("**/*", answer)
        page.add_init_script(f"({SOUNDS})()")
        page.goto(f"{SITE}{hash}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []


def numbers(page):
    """ELBO, log p(x | z, h), KL and nats a step, when they are there."""
    told = page.locator(".numbers b")
    expect(told.first).to_have_text(re.compile(r"^−\d+\.\d\d$"))
    return [float(text.replace("−", "-")) for text in told.all_inner_texts()]


def words(page):
    return page.locator(".stage").get_attribute("aria-label")


def test_the_network_is_loaded_at_the_first_touch_and_not_before(visit):
    page = visit()
    expect(page.locator(".note")).to_contain_text("Touch the figure")
    assert LATER not in page.asked
    assert "20 steps are triads" in words(page)
    page.locator(".stage").click(position={"x": 5, "y": 5})
    elbo, likelihood, kl, cost = numbers(page)
    assert page.asked.count(LATER) == 1
    assert likelihood - kl == pytest.approx(elbo, abs=0.011)
    assert -elbo / 32 == pytest.approx(cost, abs=0.006)


def test_a_draw_keeps_what_is_given_and_another_is_another(visit):
    page = visit()
    page.get_by_role("button", name="Draw what comes next").click()
    expect(page.locator(".note")).to_contain_text("Of the 16 steps that were drawn")
    first = numbers(page)
    page.get_by_role("button", name="Draw what comes next").press("Enter")
    page.wait_for_url(re.compile(r"#compose\?seed=2$"))
    expect(page.locator(".note")).to_contain_text("Of the 16 steps that were drawn")
    assert numbers(page) != first
    line = page.get_by_role("slider", name="Continue from here")
    line.press("ArrowLeft")
    expect(line).to_have_attribute("aria-valuetext", "15 steps given, then the network")
    expect(page.locator(".note")).to_contain_text("Of the 17 steps that were drawn")
    assert "continued by the network after 15 steps" in words(page)
    page.get_by_role("button", name="Take back").click()
    expect(page.locator(".note")).to_contain_text("Drag the purple dot")


def test_the_line_is_dragged_and_a_key_clicked(visit):
    page = visit()
    page.get_by_role("button", name="Other noise").click()
    before = numbers(page)[0]
    dot = page.locator(".handle circle").nth(1).bounding_box()
    page.mouse.move(dot["x"] + 9, dot["y"] + 9)
    page.mouse.down()
    page.mouse.move(dot["x"] - 200, dot["y"] + 40, steps=6)
    page.mouse.up()
    page.wait_for_url(re.compile(r"from=\d+&noise=2$"))
    roll = page.locator(".stage svg").first.bounding_box()
    page.mouse.click(roll["x"] + 0.6 * roll["width"], roll["y"] + 0.3 * roll["height"])
    expect(page.locator(".note")).to_have_text(COST)
    assert numbers(page)[0] != before
    page.mouse.click(roll["x"] + 0.6 * roll["width"], roll["y"] + 0.3 * roll["height"])
    expect(page.locator(".note")).to_contain_text("Drag the purple dot")
    assert numbers(page)[0] == before


def test_a_note_is_changed_by_the_keyboard_and_an_address_brings_it_back(visit):
    page = visit()
    cursor = page.get_by_role("slider", name="Notes")
    expect(cursor).to_have_attribute("aria-valuetext", "step 9, C5: silent")
    cursor.press("ArrowUp")
    cursor.press("ArrowRight")
    cursor.press("Enter")
    expect(cursor).to_have_attribute("aria-valuetext", "step 10, C♯5: sounds")
    assert "Changed by hand: C♯5 at step 10." in words(page)
    shown = numbers(page)
    page.wait_for_url(re.compile(r"#compose\?changes=844$"))
    page.reload()
    assert numbers(page) == shown
    cursor.press("ArrowDown")
    assert (
        page.locator(".stage").evaluate("(stage) => stage.getRootNode().activeElement.getAttribute('role')") == "slider"
    )
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".note")).to_contain_text("Drag the purple dot")


def test_it_plays_after_a_touch_and_stops(visit):
    page = visit()
    assert page.evaluate("tones.length") == 0
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    tones = page.evaluate("tones")
    chords = json.loads(bundle.data_of("compose"))["chorales"][0]
    struck = [key for before, now in pairwise([[], *chords]) for key in {*now} - {*before}]
    assert sorted(tones) == pytest.approx(sorted(440 * 2 ** ((key + LOWEST - 81) / 12) for key in struck), rel=1e-5)
    assert 65 < min(tones) < max(tones) < 800
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.get_by_role("button", name="Play").click()
    page.get_by_role("slider", name="piece").press("ArrowRight")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator(".stage")).to_have_attribute("aria-label", re.compile("test chorale 2"))


def test_a_network_that_cannot_be_loaded_is_asked_for_again(visit):
    page = visit(lost=True)
    page.get_by_role("button", name="Draw what comes next").click()
    expect(page.locator(".note")).to_contain_text("could not be loaded")
    page.get_by_role("button", name="Draw what comes next").click()
    page.wait_for_function("() => performance.getEntriesByType('resource').length > 1")
    assert page.asked.count(LATER) == 2


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_accessible_and_fits_a_phone(visit, dark):
    page = visit(hash="#compose?piece=3&seed=4&changes=844")
    numbers(page)
    page.set_viewport_size(PHONE)
    if dark:
        page.evaluate("document.documentElement.dataset.theme = 'dark'; document.body.style.background = '#14181e'")
        page.add_style_tag(content="h1 { color: white }")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False})
    assert found.response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_moves_take_the_page_little_time(visit):
    """No frame waits for the network: it works in the background. The figure says when it is there."""
    page = visit()
    page.get_by_role("button", name="Draw what comes next").click()
    numbers(page)
    workers = page.workers
    assert len(workers) == 1
    assert workers[0].url.startswith("blob:")


@pytest.mark.parametrize(("whole", "told"), [(False, "not in this notebook"), (True, "Drag the purple dot")])
def test_a_notebook_has_the_network_where_it_is_asked_for(browser, whole, told):
    page = browser.new_page()
    page.set_content(f"<!doctype html><body>{ComputingFigure('compose', whole=whole)._repr_html_()}</body>")
    expect(page.locator(".note")).to_contain_text(told)
    if not whole:
        assert page.get_by_role("button", name="Draw what comes next").is_disabled()
    page.close()
