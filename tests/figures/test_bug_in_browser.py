"""Finding the bugs in a browser: each verdict shows the two numbers, and what the reader says is answered."""

import json

import pytest
from chromium import PHONE
from javascript import call
from playwright.sync_api import expect

from aevb_utils.figures import ComputingFigure
from aevb_utils.figures.computing import bundle

DATA = json.loads(bundle.data_of("bug"))
LETTERS = "ABCDEF"
LABELS = {
    "evidence": "ELBO and log p(x)",
    "samples": "KL and samples",
    "known": "a known loss",
    "pixels": "half the pixels",
    "moved": "move q(z)",
    "sure": "be sure of y",
    "nudge": "nudge the encoder",
}
SAID = {
    "right": "right",
    "sign": "a KL's sign",
    "mean": "mean over pixels",
    "sample": ".sample()",
    "prior": "no log p(y)",
    "beta": "β ≠ 1",
}
SETTLE = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def figure(browser):
    """A function that shows the figure in a state, and returns it."""
    pages = []

    def show(viewport=None, **state):
        page = browser.new_page(viewport=viewport)
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.set_content(f"<!doctype html><body>{ComputingFigure('bug', **state)._repr_html_()}</body>")
        pages.append(page)
        return page.locator(".aevb-computing")

    yield show
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def order():
    """Which run has which letter at the start."""
    return dict(zip(LETTERS, call("models/mistakes.js", "m.orderOf(1)"), strict=True))


def pressed(figure, label):
    figure.get_by_role("button", name=label, exact=True).click()
    figure.page.evaluate(SETTLE)


def choose(figure, letter):
    figure.get_by_role("radio", name=f"Run {letter}").check()
    figure.page.evaluate(SETTLE)


def test_nothing_is_told_before_a_check(figure, order):
    shown = figure()
    words = shown.locator(".stage").get_attribute("aria-label") + shown.locator(".runs").inner_text()
    assert "0 of 6 named, 0 checks made" in words
    assert shown.locator(".numbers b").count() == 0
    assert "✗" not in words
    assert order["A"] != "right"


def test_every_verdict_shows_the_two_numbers(figure, order):
    shown = figure()
    for letter, name in order.items():
        choose(shown, letter)
        for check, label in LABELS.items():
            pressed(shown, label)
            found, known, tolerance = DATA[name]["checks"][check]
            bad = (found - known if check == "evidence" else abs(found - known)) > tolerance
            numbers = [float(text.replace("−", "-")) for text in shown.locator(".numbers b").all_inner_texts()]
            assert numbers == pytest.approx([found, known], abs=0.0051), (name, check)
            assert ("✗ convicted" in shown.locator(".numbers").inner_text()) == bad, (name, check)
            color = shown.locator(".stage > svg circle").get_attribute("fill")
            assert color == ("var(--bad)" if bad else "var(--good)")
    marks = [card.inner_text().replace("\n", "") for card in shown.locator(".marks").all()]
    assert [set(row) <= {"✓"} for row in marks] == [order[letter] == "right" for letter in LETTERS]
    expect(shown.locator(".score")).to_have_text("0 of 6 named, 42 checks made")


def test_what_is_said_of_a_run_is_answered(figure, order):
    shown = figure()
    for letter, name in order.items():
        choose(shown, letter)
        wrong = "right" if name != "right" else "sign"
        pressed(shown, SAID[wrong])
        expect(shown.locator(".note")).to_contain_text(f"You said “{SAID[wrong]}”. No: ")
        pressed(shown, SAID[name])
        expect(shown.locator(".note")).to_contain_text(f"You said “{SAID[name]}”. Yes: ")
        expect(shown.get_by_role("radio", name=f"Run {letter}: {SAID[name]}")).to_be_checked()
    expect(shown.locator(".score")).to_contain_text("6 of 6 named")


def test_keys_choose_a_run_and_make_a_check(figure):
    shown = figure()
    shown.get_by_role("radio", name="Run A").focus()
    shown.page.keyboard.press("ArrowRight")
    expect(shown.get_by_role("radio", name="Run B")).to_be_checked()
    shown.get_by_role("button", name="half the pixels").press("Enter")
    expect(shown.get_by_role("radio", name="Run B, 1 check made")).to_be_checked()
    expect(shown.get_by_role("button", name="half the pixels")).to_have_attribute("aria-pressed", "true")


def test_a_state_comes_back_and_a_new_order_begins_anew(figure, order):
    letter = next(letter for letter, name in order.items() if name == "beta")
    shown = figure(run=letter, check="moved", asked=f"{letter}1{letter}2", said=f"{letter}6")
    expect(shown.locator(".score")).to_have_text("1 of 6 named, 3 checks made")
    expect(shown.locator(".note")).to_contain_text("Yes: the KL has a weight")
    pressed(shown, "New order")
    expect(shown.locator(".score")).to_have_text("0 of 6 named, 0 checks made")
    assert call("models/mistakes.js", "m.orderOf(2)") != [*order.values()]


def test_nothing_moves_when_a_verdict_comes(figure, order):
    """The first check makes the room; then with the longest of the sentences, and all that is said of an answer."""
    for viewport in (PHONE, {"width": 340, "height": 800}, {"width": 760, "height": 900}):
        shown = figure(viewport)
        pressed(shown, next(iter(LABELS.values())))
        height = shown.bounding_box()["height"]
        for check in LABELS.values():
            pressed(shown, check)
            assert shown.bounding_box()["height"] == pytest.approx(height, abs=1), check
        for letter, name in order.items():
            choose(shown, letter)
            pressed(shown, SAID[name])
            assert shown.bounding_box()["height"] == pytest.approx(height, abs=1), name
        assert shown.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
