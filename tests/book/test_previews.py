"""References in a real browser: what they point to is shown by mouse and keyboard, served and opened from disk."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import PHONE
from playwright.sync_api import Page, expect

PAGE = "book/errata.html"
EQUATION = "a.aevb-reference[href$='#eq-1-19']"
WIDE = "a.aevb-reference[href$='#eq-9-8']"
CHAPTER = "a.aevb-reference[href$='09_gaussian_mixture_vae.html']"


@pytest.fixture(scope="module")
def page(browser, address):
    """A page on a phone's width, which is narrow for a preview."""
    context = browser.new_context(viewport=PHONE, reduced_motion="reduce")
    page = context.new_page()
    messages = []
    page.on("console", lambda message: messages.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(f"{address}/{PAGE}")
    yield page
    assert not messages
    context.close()


@pytest.fixture
def preview(page: Page):
    page.mouse.move(1, 1)
    page.keyboard.press("Escape")
    preview = page.locator(".aevb-preview")
    expect(preview).to_be_hidden()
    return preview


@pytest.mark.parametrize("selector", [EQUATION, WIDE])
def test_a_reference_shows_its_equation_beside_it_under_the_pointer(page, preview, selector):
    reference = page.locator(selector).first
    reference.hover()
    expect(preview).to_be_visible()
    expect(preview.locator("math").first).to_be_visible()
    expect(reference).to_have_attribute("aria-describedby", preview.get_attribute("id"))
    words, box = reference.bounding_box(), preview.bounding_box()
    assert box["y"] >= words["y"] + words["height"] or box["y"] + box["height"] <= words["y"], "it covers the reference"
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375
    formula = preview.locator("math").first.bounding_box()
    assert formula["x"] + formula["width"] <= box["x"] + box["width"]
    preview.hover()  # stays while the pointer is on it
    page.wait_for_timeout(400)
    expect(preview).to_be_visible()
    page.mouse.move(1, 1)
    expect(preview).to_be_hidden()
    expect(reference).not_to_have_attribute("aria-describedby", "book-preview")


def test_the_keyboard_opens_it_and_escape_closes_it(page, preview):
    reference = page.locator(CHAPTER).first
    page.keyboard.press("Tab")  # from here on the focus is the keyboard's
    reference.focus()
    expect(preview).to_be_visible()
    expect(preview).to_contain_text("The Gaussian-mixture VAE")
    page.keyboard.press("Escape")
    expect(preview).to_be_hidden()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(preview).to_be_visible()
    expect(preview.locator("a, [tabindex]")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_open_preview_is_accessible(page, preview, theme):
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    page.locator(EQUATION).first.hover()
    expect(preview).to_be_visible()
    found = Axe().run(page, context=".aevb-preview", options={"resultTypes": ["violations"], "preload": False})
    assert not found.response["violations"]


@pytest.fixture
def other_page(browser):
    """A page of a browser that has seen no other."""
    page = browser.new_page(viewport=PHONE)
    yield page
    page.close()


def test_a_link_leads_to_its_equation_and_back(other_page, address):
    other_page.goto(f"{address}/{PAGE}")
    other_page.locator(EQUATION).first.click()
    expect(other_page.locator(":target")).to_have_id("eq-1-19")
    expect(other_page.locator(":target")).to_have_css("outline-style", "solid")
    other_page.go_back()
    expect(other_page).to_have_url(f"{address}/{PAGE}")


def test_a_term_shows_its_definition(other_page, address):
    other_page.goto(f"{address}/notebooks/your_model_template.html")
    other_page.locator("a.aevb-term[href$='#term-evidence']").hover()
    expect(other_page.locator(".aevb-preview")).to_contain_text("in this book always a logarithm")


def test_a_page_opened_from_disk_shows_the_figures_of_another(other_page, site):
    other_page.goto(f"{site.as_uri()}/book/faq.html")
    other_page.locator("a[href$='#fig-03-banana']").first.hover()
    preview = other_page.locator(".aevb-preview")
    expect(preview).to_contain_text(re.compile(r"Fig\. 3\.\d+ "))
    assert preview.locator("img").evaluate("image => image.naturalWidth") > 0
