"""The first page in a browser: EM by half-steps; and the page for what is not found, at any depth."""

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
    context = browser.new_context(viewport=DESKTOP, base_url=address)
    yield context.new_page()
    context.close()


@pytest.fixture
def figure(page):
    page.goto("index.html")
    return page.locator(".cover-em")


def shown(figure):
    """Evidence, ELBO and KL, as the figure tells them."""
    return [float(text.replace("−", "-")) for text in figure.locator(".cover-nats b").all_inner_texts()]


def test_each_press_is_half_a_step(figure):
    button, slider = figure.locator("button"), figure.locator("input")
    for index, step in enumerate(STEPS):
        expect(slider).to_have_value(str(index))
        expect(slider).to_have_attribute(
            "aria-valuetext", f"{index} of {len(STEPS) - 1}. {figure.locator('.cover-said').inner_text()}"
        )
        evidence, elbo, kl = shown(figure)
        assert (evidence, elbo) == pytest.approx((step["evidence"], step["elbo"]), abs=0.051)
        assert evidence - elbo == pytest.approx(kl, abs=0.11)
        expect(button).to_have_text(f"{STEPS[index + 1]['kind']}-step" if index + 1 < len(STEPS) else "Again")
        button.click()
    expect(slider).to_have_value("0")


def test_the_slider_moves_by_keyboard_and_what_is_drawn_follows(figure):
    slider, ring, bar = figure.locator("input"), figure.locator(".cover-ring").first, figure.locator("rect.cover-elbo")
    drawn = "(ring) => ring.style.transform"
    place, width = ring.evaluate(drawn), bar.get_attribute("width")
    slider.press("End")
    expect(slider).to_have_value(str(len(STEPS) - 1))
    assert ring.evaluate(drawn) != place
    assert float(bar.get_attribute("width")) > float(width)
    classes = figure.locator(".cover-points circle").evaluate_all(
        "(all) => all.map((point) => point.className.baseVal)"
    )
    assert "".join(name[1:] for name in classes) == STEPS[-1]["q"]
    slider.press("Home")
    assert ring.evaluate(drawn) == place


def test_without_a_script_the_first_step_is_shown_and_nothing_to_press(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/index.html")
    expect(page.locator(".cover-em svg")).to_be_visible()
    assert page.locator(".cover-em :is(button, input)").count() == 0
    assert shown(page.locator(".cover-em"))[:2] == pytest.approx([STEPS[0]["evidence"], STEPS[0]["elbo"]], abs=0.051)
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
