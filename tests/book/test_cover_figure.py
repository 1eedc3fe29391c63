"""The first page in a browser: EM, which computes; and the page for what is not found, at any depth."""

import json
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import DESKTOP, PHONE
from playwright.sync_api import expect

from tools.notebooks import CHAPTERS, ROOT

STEPS = json.loads((ROOT / "book" / "cover.json").read_text(encoding="utf-8"))["em"]["steps"]
FIRST_SCREEN = (".cover-words > p:first-child", ".cover-figure", ".cover-results", ".cover-doors")


@pytest.fixture
def page(browser, address):
    """A page whose clock can be put forward, so that no test waits for it."""
    context = browser.new_context(viewport=DESKTOP, base_url=address)
    page = context.new_page()
    page.clock.install()
    yield page
    context.close()


@pytest.fixture
def figure(page):
    page.goto("index.html")
    return page.locator(".cover-figure")


def shown(figure):
    """Evidence, ELBO and KL, as the figure tells them."""
    return [float(text.replace("−", "-")) for text in figure.locator(".numbers b").all_inner_texts()]


def test_each_press_is_half_a_step_of_the_book_s_run(figure):
    for step in STEPS:
        if step["kind"] != "start":
            figure.get_by_role("button", name=f"{step['kind']}-step").click()
            expect(figure.locator(".note")).to_contain_text(f"{step['kind']}-step")
        evidence, elbo, kl = shown(figure)
        assert (evidence, elbo) == pytest.approx((step["evidence"], step["elbo"]), abs=0.11)
        assert evidence - elbo == pytest.approx(kl, abs=0.11)


def test_a_gaussian_is_moved_by_mouse_and_by_keys_and_em_climbs_back(figure, page):
    figure.get_by_role("button", name="E-step").click()
    evidence = shown(figure)[0]
    handle = figure.get_by_role("slider", name="Mean of component 1")
    box = handle.locator("circle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 40, steps=3)
    page.mouse.up()
    expect(figure.locator(".note")).to_contain_text("You moved a mean")
    assert shown(figure)[0] < evidence
    before = handle.get_attribute("aria-valuetext")
    handle.press("ArrowRight")
    expect(handle).not_to_have_attribute("aria-valuetext", before)
    figure.get_by_role("button", name="Play").click()
    page.clock.run_for(30_000)
    expect(figure.locator(".note")).to_contain_text("stands still")
    assert shown(figure)[0] == pytest.approx(-1130.3, abs=0.11)


def test_it_has_its_first_controls_alone_and_leaves_the_address(figure, page):
    names = figure.get_by_role("button").all_inner_texts()
    assert names == ["E-step", "M-step", "▶ Play", "New start"]
    assert figure.get_by_role("radio").count() == 0
    figure.get_by_role("button", name="E-step").click()
    page.clock.run_for(600)
    assert "#" not in page.url


def test_between_a_number_and_its_unit_is_a_gap(figure):
    gap = """(sign) => {
        const [number, unit] = [sign.previousElementSibling, sign].map((e) => e.getBoundingClientRect());
        return unit.left - number.right;
    }"""
    assert figure.locator(".numbers b + .sign").evaluate(gap) >= 3


def test_without_a_script_the_start_is_drawn_and_nothing_to_press(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/index.html")
    figure = page.locator(".cover-figure")
    expect(figure.locator("svg")).to_be_visible()
    assert figure.locator(":is(button, input)").count() == 0
    told = [float(text.replace("−", "-")) for text in figure.locator(".cover-nats b").all_inner_texts()]
    assert told[:2] == pytest.approx([STEPS[0]["evidence"], STEPS[0]["elbo"]], abs=0.051)
    context.close()


def test_nothing_moves_while_the_page_loads(browser, address):
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.add_init_script(
        "window.moved = 0; new PerformanceObserver((all) => { for (const shift of all.getEntries()) "
        "window.moved += shift.value; }).observe({type: 'layout-shift', buffered: true});"
    )
    page.goto(f"{address}/index.html", wait_until="networkidle")
    expect(page.locator(".cover-figure .aevb-computing")).to_have_attribute("data-ready", "true")
    assert page.evaluate("window.moved") < 0.02
    context.close()


@pytest.mark.parametrize("screen", [DESKTOP, PHONE | {"height": 812}], ids=["desktop", "phone"])
def test_the_first_screen_holds_sentence_figure_results_and_doors(page, screen):
    page.set_viewport_size(screen)
    page.goto("index.html")
    for part in FIRST_SCREEN:
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= screen["height"], part


def test_what_is_not_found_is_found_from_any_depth(browser, site):
    """As GitHub Pages shows it: in a folder of the host, at whatever address."""
    context = browser.new_context()
    page = context.new_page()

    def answer(route):
        file = site / urlsplit(route.request.url).path.removeprefix("/em-to-aevb/")
        missing = not file.is_file()
        route.fulfill(status=404 if missing else 200, path=site / "404.html" if missing else file)

    page.route("https://someone.github.io/**", answer)
    page.goto("https://someone.github.io/em-to-aevb/notebooks/old/page.html")
    root = page.evaluate("document.baseURI")
    assert page.locator("base").count() == 1
    links = page.locator("ol a").evaluate_all("(all) => all.map((link) => link.href)")
    assert links == [f"{root}notebooks/{path.stem}.html" for path in CHAPTERS]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()
