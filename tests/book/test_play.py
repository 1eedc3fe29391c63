"""The page with figures that compute, in a real browser: by mouse, keyboard and address, without scripts, from disk."""

import gzip
import re
from itertools import pairwise

import pytest
from chromium import DESKTOP, PHONE
from playwright.sync_api import expect

from aevb_utils.figures import ComputingFigure
from aevb_utils.figures.computing import bundle
from tools.notebooks import ROOT

PAGE = "book/play.html"
PLAYED = sorted(re.findall(r"^```\{computing\} (\w+)$", (ROOT / "book/play.md").read_text("utf-8"), flags=re.MULTILINE))
MAX_BYTES = 60_000  # of the page's own script and HTML, compressed


@pytest.fixture(scope="module")
def window(browser, address):
    """A browser's window for all tests, since a new one takes as long as the page."""
    context = browser.new_context(viewport=DESKTOP, base_url=address, reduced_motion="reduce")
    page = context.new_page()
    page.messages = []
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    page.on("console", lambda m: page.messages.append(m.text) if m.type in ("error", "warning") else None)
    yield page
    context.close()


@pytest.fixture
def page(window):
    window.messages.clear()
    window.set_viewport_size(DESKTOP)
    window.goto(PAGE)
    yield window
    assert window.messages == []


def numbers(figure):
    """Evidence, ELBO and KL, as the figure shows them."""
    return [float(text.replace("−", "-")) for text in figure.locator(".numbers b").all_inner_texts()]


def test_all_figures_of_the_package_are_played_with_and_filled(page):
    for figure in page.locator(".aevb-computing").all():
        figure.scroll_into_view_if_needed()
        expect(figure).to_have_attribute("data-ready", "true")
    shown = page.locator(".aevb-computing").evaluate_all("(all) => all.map((e) => e.dataset.figure)")
    assert sorted(shown) == PLAYED


def test_data_of_many_kilobytes_come_when_their_figure_is_near_or_asked_for(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.reload()
    assert not [name for name in asked if name.startswith("digit-")]
    figure = page.locator("#digit .aevb-computing")
    expect(figure).not_to_have_attribute("data-ready", "true")
    free = figure.bounding_box()["height"]
    page.evaluate("location.hash = '#digit?digit=46'")
    expect(page.locator("#digit").get_by_role("slider", name="test digit")).to_have_value("46")
    assert len([name for name in asked if name.startswith("digit-")]) == 1
    assert figure.bounding_box()["height"] == pytest.approx(free, abs=60)


def test_pages_share_the_data_of_a_figure(site):
    held = re.compile(r'data-source="\.\./(_static/digit-\w+\.js)"')
    pages = [*(site / "notebooks").glob("04_*.html"), site / PAGE]
    files = {name for page in pages for name in held.findall(page.read_text(encoding="utf-8"))}
    assert len(files) == 1
    assert all(name in page.read_text(encoding="utf-8") for page in pages for name in files)


def test_data_that_do_not_come_are_said(browser, address):
    page = browser.new_page()
    page.route("**/digit-*.js", lambda route: route.abort())
    page.goto(f"{address}/{PAGE}#digit?digit=46")
    expect(page.locator("#digit")).to_contain_text("did not come: reload the page")
    page.close()


def test_an_e_step_closes_the_gap_and_an_m_step_moves_the_evidence(page):
    figure = page.locator("#em")
    evidence, elbo, kl = numbers(figure)
    assert kl > 1
    assert elbo + kl == pytest.approx(evidence, abs=0.02)
    figure.get_by_role("button", name="E-step").click()
    expect(figure.locator(".note")).to_contain_text("E-step")
    assert numbers(figure) == pytest.approx([evidence, evidence, 0.0], abs=0.001)
    figure.get_by_role("button", name="M-step").press("Enter")
    expect(figure.locator(".note")).to_contain_text("M-step")
    assert numbers(figure)[0] > evidence + 1


def test_the_bar_s_axis_stays_while_em_steps(page):
    figure = page.locator("#em")
    bar = figure.locator(".stage svg").nth(1)
    line, ticks = bar.locator("path[stroke='var(--evidence)']"), bar.locator("text")
    axis, places = ticks.all_text_contents(), [line.get_attribute("d")]
    buttons, height = figure.get_by_role("button", name="E-step"), []
    for step in ("E-step", "M-step") * 4:
        figure.get_by_role("button", name=step).click()
        expect(figure.locator(".note")).to_contain_text(f"{step}:")
        assert ticks.all_text_contents() == axis
        places.append(line.get_attribute("d"))
        height.append(buttons.bounding_box()["y"] - figure.bounding_box()["y"])
    assert [a == b for a, b in pairwise(places)] == [True, False] * 4
    assert len(set(height)) == 1  # the buttons stay under the pointer


def test_numbers_at_an_axis_stay_in_the_picture(page):
    inside = """(all) => all.every((text) => {
      const [word, picture] = [text, text.closest('svg')].map((e) => e.getBoundingClientRect());
      return word.left >= picture.left - 0.5 && word.right <= picture.right + 0.5;
    })"""
    for width in (1280, 375, 340):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        for name in ("em", "be_q", "gradients"):
            figure = page.locator(f"#{name}")
            assert figure.locator("svg text[text-anchor='middle']").evaluate_all(inside), (name, width)


def test_a_dragged_handle_is_outlined_only_once_a_key_is_pressed(page):
    figure = page.locator("#em")
    handle = figure.get_by_role("slider", name="Mean of component 1")
    figure.get_by_role("button", name="E-step").press("Enter")  # the keyboard was used before
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 20, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    outline = "(e) => getComputedStyle(e).outlineStyle"
    assert handle.evaluate(outline) == "none"
    handle.press("ArrowRight")
    assert handle.evaluate(outline) == "solid"


LINES = "(numbers) => [...numbers.querySelectorAll('.part')].map((part) => part.getClientRects().length)"


def test_on_a_phone_signs_stay_with_their_numbers_and_nothing_covers_buttons(phone):
    for name in ("em", "be_q", "dial", "digit"):
        figure = phone.locator(f"#{name}")
        figure.scroll_into_view_if_needed()
        expect(figure.locator(".numbers .part").first).to_be_visible()
        assert set(figure.locator(".numbers").evaluate(LINES)) == {1}  # in one step, as parts are written anew
        assert not figure.locator(".numbers > .sign").count()
    formula = phone.locator(".aevb-formula").first
    assert formula.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    phone.mouse.wheel(0, -300)
    top = phone.locator("#pst-back-to-top")
    top.evaluate("(e) => { e.style.display = 'block'; }")
    box = top.bounding_box()
    assert box["width"] < 44
    assert box["x"] + box["width"] > PHONE["width"] - 10


def test_old_faithful_ends_where_chapter_2_does(page):
    figure = page.locator("#em")
    figure.get_by_role("radio", name="Old Faithful").check()
    for _ in range(40):
        figure.get_by_role("button", name="E-step").click()
        figure.get_by_role("button", name="M-step").click()
    expect(figure.locator(".numbers b").first).to_have_text("−1130.26")


def test_iris_starts_and_ends_where_chapter_2_does(page):
    figure = page.locator("#em")
    figure.get_by_role("radio", name="iris").check()
    for step in ("E-step", "M-step", "E-step"):
        figure.get_by_role("button", name=step).click()
    before = numbers(figure)
    figure.get_by_role("button", name="M-step").click()
    figure.get_by_role("button", name="Back").click()
    page_frames(page)
    assert numbers(figure) == before
    figure.get_by_role("button", name="Play").click()
    expect(figure.locator(".note")).to_contain_text("stands still", timeout=30_000)
    assert numbers(figure)[0] == pytest.approx(-180.19, abs=0.011)


def test_from_equal_components_em_stands_still_until_one_is_moved(page):
    figure = page.locator("#em")
    figure.get_by_role("button", name="Start all alike").click()
    figure.get_by_role("button", name="Play").click()
    expect(figure.locator(".note")).to_contain_text("stands still")
    saddle = numbers(figure)[0]
    handle = figure.get_by_role("slider", name="Mean of component 2")
    handle.press("ArrowRight")
    expect(figure.locator(".note")).to_contain_text("You moved a mean")
    assert numbers(figure)[2] > 0
    for _ in range(25):
        figure.get_by_role("button", name="E-step").click()
        figure.get_by_role("button", name="M-step").click()
    page.wait_for_timeout(50)
    assert numbers(figure)[0] > saddle + 5


def test_a_click_places_a_point_and_so_does_the_keyboard(page):
    figure = page.locator("#em")
    stage = figure.locator(".stage")
    stage.scroll_into_view_if_needed()
    points = figure.locator(".stage svg").first.locator("circle[stroke-width='0.8']")
    assert points.count() == 60
    box = stage.bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 60)
    expect(points).to_have_count(61)
    expect(figure.get_by_role("radio", name="your own")).to_be_checked()
    cursor = figure.get_by_role("slider", name=re.compile("^Place for a point"))
    cursor.press("ArrowUp")
    cursor.press("Enter")
    expect(points).to_have_count(62)
    cursor.press("Delete")
    expect(points).to_have_count(61)
    figure.get_by_role("button", name="Clear the plane").click()
    expect(points).to_have_count(0)
    expect(figure.locator(".note")).to_contain_text("Too few points")


def test_a_point_that_is_placed_leaves_the_fit_alone(page):
    figure = page.locator("#em")
    for step in ("E-step", "M-step", "E-step", "M-step"):
        figure.get_by_role("button", name=step).click()
    ellipses = figure.locator(".stage svg").first.locator("path[stroke^='#']")
    page.wait_for_url(re.compile("steps=EMEM$"))
    before = ellipses.evaluate_all("(all) => all.map((e) => e.getAttribute('d'))")
    evidence = numbers(figure)[0]
    cursor = figure.get_by_role("slider", name=re.compile("^Place for a point"))
    cursor.press("Enter")
    expect(figure.locator(".note")).to_have_text(
        "61 points. The Gaussians stay: q is the posterior under those of the last E-step."
    )
    assert ellipses.evaluate_all("(all) => all.map((e) => e.getAttribute('d'))") == before
    assert numbers(figure)[0] < evidence - 1
    assert numbers(figure)[2] > 0.1
    page.wait_for_url(re.compile("&theta=.*&under="))
    shown = numbers(figure)
    page.reload()
    assert numbers(page.locator("#em")) == shown
    figure.get_by_role("button", name="New start").click()
    expect(figure.locator(".note")).to_contain_text("q is even")


def test_a_second_m_step_is_not_the_end_of_em(page):
    figure = page.locator("#em")
    for step in ("E-step", "M-step", "M-step"):
        figure.get_by_role("button", name=step).click()
    expect(figure.locator(".note")).to_have_text(
        "The M-step found nothing to do: the Gaussians are already the best for this q. Press E-step."
    )
    assert numbers(figure)[2] > 0.1
    figure.get_by_role("button", name="E-step").click()
    expect(figure.locator(".numbers b").last).to_have_text("0.00")


def test_an_m_step_at_an_even_q_leads_to_a_saddle_and_says_so(page):
    figure = page.locator("#em")
    note = figure.locator(".note")
    figure.get_by_role("button", name="M-step").click()
    expect(note).to_have_text(
        "q was even, so the M-step made all Gaussians alike: a saddle. "
        "Press Back and begin with the E-step, or drag a mean a little."
    )
    figure.get_by_role("button", name="E-step").click()
    expect(note).to_have_text("E-step: nothing to do, q is the posterior already. Press M-step.")
    figure.get_by_role("button", name="M-step").click()
    expect(note).to_contain_text("EM stands still, and not at a top: all Gaussians are alike, a saddle.")


def test_a_drag_is_told_from_where_it_began(page):
    figure = page.locator("#em")
    for step in ("E-step", "M-step", "E-step"):
        figure.get_by_role("button", name=step).click()
    page_frames(page)
    before = numbers(figure)[0]
    handle = figure.get_by_role("slider", name="Mean of component 1")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for dx in (-30, -80, -60):  # in the end the evidence rises, but not to where it was
        page.mouse.move(x + dx, y)
    page.mouse.up()
    page_frames(page)
    fell = before - numbers(figure)[0]
    assert fell > 1
    expect(figure.locator(".note")).to_have_text(
        f"You moved a mean: the evidence fell by {fell:.2f} nats. q stays, and the KL is what q lacks now."
    )


def test_em_says_what_fell_what_died_what_shrank_and_what_is_too_little(page):
    figure = page.locator("#em")
    note, e_step, m_step = figure.locator(".note"), *(figure.get_by_role("button", name=f"{s}-step") for s in "EM")

    good, bad = "0.54,0.46,0.13,0.033,2.1,1.9,0.94,0.38,0.46,1.8,-0.9,1.2", "0.5,0.5,1,1,1.05,1.05,4,0,4,4,0,4"
    page.goto(f"{PAGE}#em?theta={good}&under={bad}")
    m_step.click()
    expect(note).to_contain_text(re.compile(r"the evidence fell by [\d.]+: q was not the posterior. E first, then M.$"))

    far = "0.5,0.5,100,100,1,1,1,0,1,4,0,4"
    page.goto(f"{PAGE}#em?theta={far}&under={far}")
    m_step.click()
    dead = "Component 1 has died: no data are left to it."
    expect(note).to_have_text(f"{dead} Drag its mean onto points and press E-step, or take a new start.")
    expect(m_step).to_be_disabled()
    figure.get_by_role("slider", name="Mean of component 1").press("ArrowLeft")  # back to the plane's edge
    m_step.click()
    expect(note).to_have_text(f"{dead} Press E-step, or take a new start.")
    e_step.click()
    m_step.click()
    expect(note).to_contain_text("M-step: the best θ for this q.")

    page.goto(f"{PAGE}#em?data=own&points=0,0,0.5,0.2,0.2,0.6,4,4&C=2&seed=2&steps={'EM' * 60}")
    expect(note).to_contain_text("EM stands still: a Gaussian has shrunk onto a point. The density has no top there")

    figure.get_by_role("button", name="Clear the plane").click()
    expect(note).to_have_text("Too few points: 2 Gaussians need at least 3. Click to place some.")
    assert numbers(figure) == []
    assert figure.locator(".stage svg").nth(1).evaluate("(e) => getComputedStyle(e).visibility") == "hidden"


def touch_drag(page, x, y, dx, dy=0):
    """A finger that goes from a place by so many pixels, a few at a time."""
    finger = page.context.new_cdp_session(page)

    def touch(kind, *points):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})
        page.wait_for_timeout(20)

    touch("touchStart", {"x": x, "y": y})
    for way in range(1, 11):
        touch("touchMove", {"x": x + dx * way / 10, "y": y + dy * way / 10})
    touch("touchEnd")


def scrolled_to(element):
    """Bring an element to the middle of the window, and wait until what loads above it no longer moves it."""
    element.evaluate("""(e) => new Promise((done) => {
        let before = null;
        const look = () => {
            e.scrollIntoView({ block: "center" });
            const { x, y } = e.getBoundingClientRect();
            if (before?.x === x && before?.y === y) done();
            else setTimeout(look, 100);
            before = { x, y };
        };
        look();
    })""")


@pytest.fixture(scope="module")
def hand(browser, address):
    """A phone for all tests."""
    context = browser.new_context(
        viewport=PHONE, base_url=address, has_touch=True, is_mobile=True, reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()


@pytest.fixture
def phone(hand):
    hand.goto(PAGE)
    return hand


@pytest.mark.parametrize(
    ("name", "handle", "way"),
    [
        ("em", "[aria-label='Mean of component 1']", -1),
        ("be_q", ".handle", 1),
        ("digit", "[aria-label^='Point of the plane']", 1),
        ("gradients", ".handle", -1),
    ],
)
@pytest.mark.parametrize(("dx", "dy"), [(60, 0), (30, 60)])
def test_a_finger_drags_a_handle_all_the_way(phone, name, handle, way, dx, dy):
    figure = phone.locator(f"#{name}")
    figure.scroll_into_view_if_needed()
    held = figure.locator(handle).first
    expect(held).to_be_visible()
    scrolled_to(held)
    before, scrolled = held.bounding_box(), phone.evaluate("scrollY")
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    touch_drag(phone, x, y, way * dx, dy)
    page_frames(phone)
    after = held.bounding_box()
    assert after["x"] - before["x"] == pytest.approx(way * dx, abs=3)
    if name in ("em", "digit"):  # the others move along the axis alone
        assert after["y"] - before["y"] == pytest.approx(dy, abs=3)
    assert phone.evaluate("scrollY") == scrolled


def test_beside_a_handle_a_finger_scrolls_the_page(phone):
    figure = phone.locator("#be_q")
    scrolled_to(figure.locator(".handle").first)
    note = figure.locator(".numbers").bounding_box()
    scrolled = phone.evaluate("scrollY")
    touch_drag(phone, note["x"] + 40, note["y"] + 5, 0, -150)
    phone.wait_for_function("(before) => scrollY > before + 80", arg=scrolled)


def page_frames(page):
    """Wait until the next frame has been drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_q_is_moved_by_its_handle_and_by_its_slider(page):
    figure = page.locator("#be_q")
    figure.scroll_into_view_if_needed()
    evidence, elbo, kl = numbers(figure)
    assert elbo + kl == pytest.approx(evidence, abs=0.002)
    handle = figure.locator(".handle").first
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=3)
    page.mouse.up()
    slider = figure.get_by_role("slider", name="mean of q")
    assert float(slider.input_value()) > 0.6
    expect(figure.locator(".numbers b").first).to_have_text("−1.844")
    before = slider.input_value()
    slider.press("ArrowRight")
    assert float(slider.input_value()) == pytest.approx(float(before) + 0.01, abs=0.006)
    expect(figure.locator("[aria-live]")).to_contain_text("q has mean")


def test_the_climb_ends_at_the_chapter_s_best_gaussian(page):
    page.goto(f"{PAGE}#be_q?mean=1.3&sd=0.4")
    figure = page.locator("#be_q")
    figure.get_by_role("button", name="Climb").click()
    expect(figure.locator(".numbers b").last).to_have_text("0.686")


def test_q_is_told_in_words_what_it_lacks(page):
    figure = page.locator("#be_q")
    for state, words in (
        ("", "q lies mostly between the humps, where the posterior has next to nothing. A small move is better."),
        ("mean=1.58&sd=0.2", "q lies on the right hump, and leaves out the other. No small move is better."),
        ("mean=-1.61&sd=0.05", "q lies on the left hump, and leaves out the other. Too narrow: wider is better."),
        ("mean=0&sd=1.5", "q covers both humps, and the valley between them. Too wide: narrower is better."),
        ("mean=2.5&sd=0.1", "q lies mostly beside the humps, where the posterior has next to nothing."),
    ):
        page.goto(f"{PAGE}#be_q?{state}")
        expect(figure.locator(".note")).to_contain_text(words)


def test_a_climb_from_between_the_humps_ends_there(page):
    page.locator("a[href='#be_q?mean=0&sd=0.9']").evaluate("(link) => link.click()")
    figure = page.locator("#be_q")
    figure.get_by_role("button", name="Climb").click()
    expect(figure.locator(".numbers b").last).to_have_text("4.340")
    expect(figure.locator(".note")).to_contain_text("A low top of the ELBO")
    for mean, kl in (("0.4", "0.686"), ("-1.2", "0.729")):
        page.goto(f"{PAGE}#be_q?mean={mean}&sd=0.3")
        figure.get_by_role("button", name="Climb").click()
        expect(figure.locator(".numbers b").last).to_have_text(kl)


def test_what_of_q_lies_beyond_the_plane_or_the_axis_can_be_seen_and_held(page):
    figure = page.locator("#be_q")
    plane, bar = figure.locator(".stage svg").first, figure.locator(".stage svg").nth(1)
    page.goto(f"{PAGE}#be_q?mean=2.5&sd=0.9")
    room = plane.bounding_box()
    width = figure.locator(".handle").nth(1)
    held = width.locator("circle").last.bounding_box()
    assert room["x"] < held["x"] < held["x"] + held["width"] < room["x"] + room["width"]
    x, y = held["x"] + held["width"] / 2, held["y"] + held["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=3)
    page.mouse.up()
    page_frames(page)
    after = width.locator("circle").last.bounding_box()
    assert after["x"] - held["x"] == pytest.approx(30, abs=1)
    assert 0.3 < float(figure.get_by_role("slider", name="width of q").get_attribute("aria-valuetext")) < 0.9

    page.goto(f"{PAGE}#be_q?mean=-2.5&sd=0.05")
    page_frames(page)
    assert numbers(figure)[1] < -12
    dot, beyond = bar.locator("circle"), bar.locator("path[fill='var(--elbo)']")
    assert bar.bounding_box()["x"] < beyond.bounding_box()["x"] < dot.bounding_box()["x"]
    page.goto(f"{PAGE}#be_q?mean=1.6&sd=0.2")
    expect(beyond).to_have_count(0)


def test_the_ladder_s_rungs_arrive_where_the_page_says(page):
    figure = page.locator("#dial")
    figure.scroll_into_view_if_needed()
    note = figure.locator(".note")
    expect(note).to_contain_text("10 turns, 110 passes through the data. Within 0.05 nats of EM's end since pass 66.")
    evidence, elbo, kl = numbers(figure)
    assert elbo + kl == pytest.approx(evidence, abs=0.0002)
    for rung, words in (
        ("EM", "20 turns, 20 passes through the data. Within 0.05 nats of EM's end since pass 9."),
        ("A network", "10 turns, 110 passes"),
        (
            "Both at once: AEVB",
            "600 turns, 20 passes through the data, q and θ in one step. Within 0.05 nats",
        ),
    ):
        button = figure.get_by_role("button", name=rung, exact=True)
        button.press("Enter")
        expect(note).to_contain_text(words)
        assert ("EM is there" in note.inner_text()) == (rung != "EM")
        last_tick = 20 if words.startswith(("20 turns", "600 turns")) else 100  # of an axis that ends at 120
        expect(figure.locator("svg").last.locator("text", has_text=re.compile(f"^{last_tick}$"))).to_have_count(1)
        expect(button).to_have_attribute("aria-pressed", "true")
    expect(note).to_contain_text("since pass 7.6. EM is there after pass 9.")
    page.wait_for_url(re.compile(r"#dial\?q=network&inner=1&theta=gradient&rows=20&passes=20$"))
    shown = numbers(figure)
    page.reload()
    expect(page.locator("#dial .note")).to_contain_text("600 turns, 20 passes")
    assert numbers(page.locator("#dial")) == shown


def test_a_dial_is_turned_and_a_turn_is_taken(page):
    figure = page.locator("#dial")
    figure.scroll_into_view_if_needed()
    note = figure.locator(".note")
    figure.get_by_role("button", name="Start again").click()
    expect(note).to_contain_text("0 turns, 0 passes")
    evidence, _, kl = numbers(figure)
    assert kl > 0.5
    figure.get_by_role("button", name="One turn").press("Enter")
    expect(note).to_contain_text("1 turn, 11 passes")
    assert numbers(figure)[0] > evidence + 0.1
    steps = figure.get_by_role("slider", name="inference steps")
    steps.press("ArrowRight")
    expect(steps).to_have_attribute("aria-valuetext", "11")
    expect(note).to_contain_text("1 turn, 12 passes")
    figure.get_by_role("radio", name="one gradient step").check()
    figure.get_by_role("radio", name="100", exact=True).check()
    expect(note).to_contain_text("6 turns, 12 passes")
    figure.get_by_role("radio", name="exact posterior").check()
    expect(steps).to_be_disabled()
    expect(note).to_contain_text("66 turns, 11 passes")
    figure.get_by_role("button", name="Play").click()
    expect(note).to_contain_text("61 passes")
    figure.get_by_role("button", name="Another start").click()
    page.wait_for_url(re.compile(r"&seed=6$"))


def test_a_small_part_of_a_pass_is_shown_and_counted(page):
    page.goto(f"{PAGE}#dial?q=exact&rows=5&passes=0")
    figure = page.locator("#dial")
    note, one = figure.locator(".note"), figure.get_by_role("button", name="One turn")
    expect(note).to_contain_text("0 turns, 0 passes")
    shown = [numbers(figure)]
    for turns in ("1 turn, 0.008 passes", "2 turns, 0.02 passes"):
        one.click()
        expect(note).to_contain_text(turns)
        shown.append(numbers(figure))
        evidence, elbo, kl = shown[-1]
        assert shown[-1] != shown[-2]
        assert elbo + kl == pytest.approx(evidence, abs=2e-4)
    assert shown[1][2] > 1  # five points say little of the others: more than the axis has at first
    curve = figure.locator("svg").last.locator("path[stroke='var(--kl)']").get_attribute("d")
    assert min(float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", curve)) > 24  # below the top of its axis
    expect(figure.locator(".numbers")).to_contain_text("nats per point")
    figure.get_by_role("button", name="EM", exact=True).click()
    figure.get_by_role("button", name="Start again").click()
    one.click()
    expect(note).to_contain_text("1 turn, 1 pass through the data.")


def test_the_page_s_states_of_the_dial_show_what_it_says(page):
    figure = page.locator("#dial")
    links = page.locator("a[href^='#dial?']")
    words = (
        "510 passes",
        "200 passes through the data, q and θ",
        "396 passes",
        "since pass 145",
        "higher hill",
        "has died",
    )
    assert links.count() == len(words)
    for link, said in zip(links.all(), words, strict=True):
        link.evaluate("(link) => link.click()")
        expect(figure.locator(".note")).to_contain_text(said)
    expect(figure.get_by_role("button", name="One turn")).to_be_disabled()


def test_the_climbs_on_the_banana_end_where_chapter_3_s_do(page):
    page.goto("notebooks/03_approximate_e_step.html")
    figure = page.locator("[data-figure=banana]")
    figure.scroll_into_view_if_needed()
    for family, kl in (("mean-field", "0.953"), ("full covariance", "0.806")):
        figure.get_by_role("radio", name=family).check()
        figure.get_by_role("button", name="Climb").click()
        expect(figure.locator(".numbers b").last).to_have_text(kl)
        expect(figure.locator(".note")).to_contain_text("After 400 of 400 steps")
        figure.get_by_role("button", name="Reset").click()
    figure.get_by_role("radio", name="full covariance").check()
    figure.get_by_role("button", name="Match").click()
    expect(figure.locator(".numbers b").last).to_have_text("5.624")
    expect(figure.locator(".note")).to_have_text("The other KL, from the posterior to q, is 0.85 nats.")


def test_q_on_the_banana_is_dragged_and_moved_by_keys(page):
    page.goto("notebooks/03_approximate_e_step.html")
    figure = page.locator("[data-figure=banana]")
    figure.scroll_into_view_if_needed()
    figure.scroll_into_view_if_needed()
    figure.get_by_role("radio", name="full covariance").check()
    width = figure.get_by_role("slider", name="Width of q along z₁, and its tilt")
    box = width.locator("circle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y - 30, steps=3)
    page.mouse.up()
    page.wait_for_url(re.compile(r"#banana\?family=full&k11=[\d.]+&k21=0\.[\d.]+$"))
    evidence, elbo, kl = numbers(figure)
    assert evidence == pytest.approx(-1.845, abs=0.0006)
    assert elbo + kl == pytest.approx(evidence, abs=0.002)
    mean = figure.get_by_role("slider", name="Mean of q")
    mean.press("ArrowUp")
    expect(mean).to_have_attribute("aria-valuetext", "0.30, 0.55")


def variances(figure):
    """Measured and exact variance of each row, by the row's name."""
    words = figure.locator("svg text").all_text_contents()
    told = [re.fullmatch(r"(.+): variance (.+), exactly (.+)", text) for text in words]
    return {row[1]: (float(row[2]), float(row[3])) for row in told if row}


def test_two_gradients_have_chapter_5_s_variances(page):
    figure = page.locator("#gradients")
    rows = variances(figure)
    assert [exact for _, exact in rows.values()] == [87, 42, 4]
    for measured, exact in rows.values():
        assert measured == pytest.approx(exact, rel=0.4)
    expect(figure.locator(".numbers b")).to_have_text("4.00")
    expect(figure.locator(".note")).to_contain_text("as sure as the mean of 22 score function dots.")
    figure.get_by_role("slider", name="samples in a dot").press("End")
    assert [exact for _, exact in settled(page, figure).values()] == [1.74, 0.84, 0.08]


def settled(page, figure):
    """The variances after the next frame."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return variances(figure)


def test_the_score_function_wins_where_chapter_5_says(page):
    figure = page.locator("#gradients")
    for k, sure in (("1.0", "One pathwise dot"), ("1.2", "One score function dot"), ("5", "One score function dot")):
        page.goto(f"{PAGE}#gradients?f=sine&phi=0&k={k}")
        expect(figure.locator(".note")).to_contain_text(sure)
    figure.get_by_role("radio", name="z²").check()
    expect(figure.get_by_role("slider", name="k, for sin kz")).to_be_disabled()
    expect(figure.locator(".note")).to_contain_text("One pathwise dot")


def test_q_of_the_gradients_is_dragged_and_its_samples_are_drawn_anew(page):
    figure = page.locator("#gradients")
    figure.scroll_into_view_if_needed()
    box = figure.locator(".handle").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=3)
    page.mouse.up()
    assert float(figure.get_by_role("slider", name="mean of q").input_value()) < 1.5
    before = settled(page, figure)
    figure.get_by_role("button", name="Draw anew").press("Enter")
    after = settled(page, figure)
    assert all(after[row][1] == before[row][1] and after[row][0] != before[row][0] for row in before)
    page.wait_for_url(re.compile(r"#gradients\?phi=[\d.]+&seed=2$"))


def test_a_number_of_samples_in_an_address_is_whole(page):
    page.goto(f"{PAGE}#gradients?samples=2.4&seed=3.2")
    figure = page.locator("#gradients")
    assert [exact for _, exact in settled(page, figure).values()] == [43.5, 21, 2]
    figure.get_by_role("button", name="Draw anew").click()
    page.wait_for_url(re.compile(r"#gradients\?samples=2&seed=4$"))


def known(figure):
    """Evidence, ELBO, the gap to q* and the approximation gap, once they are computed."""
    expect(figure.locator(".numbers")).not_to_contain_text("…", timeout=20_000)
    return numbers(figure)


def test_a_digit_has_chapter_4_s_gaps_and_refining_closes_one(page):
    figure = page.locator("#digit")
    figure.scroll_into_view_if_needed()
    evidence, elbo, amortization, approximation = known(figure)
    assert elbo + amortization + approximation == pytest.approx(evidence, abs=0.02)
    assert amortization > 5
    figure.get_by_role("button", name="Refine q").click()
    expect(figure.locator(".note")).to_contain_text("After 100 of 100 steps", timeout=20_000)
    expect(figure.locator(".numbers")).to_contain_text("left of amortization")
    refined = known(figure)
    assert refined[2] < 0.01
    assert refined[::3] == pytest.approx([evidence, approximation], abs=0.011)
    page.wait_for_url(re.compile(r"#digit\?steps=100$"))


def test_what_the_page_says_about_two_digits_is_so(page):
    page.goto(f"{PAGE}#digit?digit=68&steps=100")
    figure = page.locator("#digit")
    expect(figure.locator(".note")).to_contain_text(
        re.compile("rests on another hill, .* no uphill way leads from here"), timeout=20_000
    )
    assert known(figure)[2] > 5
    page.locator("a[href='#digit?digit=46&close=posterior']").evaluate("(link) => link.click()")
    expect(figure.get_by_role("slider", name="test digit")).to_have_value("46")
    expect(figure.get_by_role("radio", name="posterior alone")).to_be_checked()
    assert known(figure)[3] > 0.5


def test_a_digit_is_drawn_by_mouse_and_by_keys_and_kept_in_the_address(page):
    page.goto(f"{PAGE}#digit?digit=0")
    figure = page.locator("#digit")
    pad = figure.get_by_role("slider", name="Your digit")
    blank = known(figure)[0]
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] - 10, steps=8)
    page.mouse.up()
    page.wait_for_url(re.compile(r"#digit\?digit=0&ink=[0-9a-g]{64}$"))
    assert known(figure)[0] > blank + 50
    pad.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Space"):
        pad.press(key)
    expect(pad).to_have_attribute("aria-valuetext", "row 3, column 2: 4 of 16")
    page.wait_for_url(re.compile(r"ink=.{17}4"))
    shown = known(figure)
    page.reload()
    assert known(page.locator("#digit")) == shown
    pad.press("Delete")
    figure.get_by_role("button", name="Next test digit").click()
    expect(figure.get_by_role("slider", name="test digit")).to_have_value("1")
    figure.get_by_role("button", name="Clear the page").click()
    page.wait_for_function(
        "blank => document.querySelector('#digit .aevb-computing').shadowRoot"
        ".querySelector('.numbers b').textContent === blank",
        arg=f"{blank:.2f}".replace("-", "−"),
    )


def test_an_eraser_and_a_finger_work(browser, address):
    context = browser.new_context(viewport=PHONE, base_url=address, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{PAGE}#digit?digit=0&ink={'g' * 64}")
    figure = page.locator("#digit")
    expect(figure.locator(".note")).to_contain_text("beyond the plane", timeout=20_000)
    expect(figure.locator(".note")).to_contain_text("q is not refined")
    refine = figure.get_by_role("button", name="Refine q")
    expect(refine).to_be_disabled()
    expect(figure.get_by_role("slider", name="gradient steps")).to_be_disabled()
    figure.get_by_role("button", name="Next test digit").tap()
    expect(refine).to_be_enabled()
    page.wait_for_url(re.compile(r"#digit\?digit=1&"))
    page.evaluate("location.hash = '#digit?digit=0&ink=' + 'g'.repeat(64)")
    expect(refine).to_be_disabled()
    figure.get_by_role("radio", name="eraser").check(force=True)
    pad = figure.get_by_role("slider", name="Your digit")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url(re.compile(r"ink=g{27}ccg{6}ccg{27}&pen=eraser"))
    context.close()


def test_a_point_of_the_plane_is_decoded(page):
    page.goto(PAGE)
    figure = page.locator("#digit")
    figure.scroll_into_view_if_needed()
    known(figure)
    title = figure.locator(".of-picture .title")
    expect(title).to_contain_text("decoded from q's mean")
    box = figure.locator(".of-map .plane").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"])
    expect(title).to_contain_text("the pointer's z")
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(2, 2)
    expect(title).to_contain_text("decoded from your z")
    ring = figure.get_by_role("slider", name="Point of the plane")
    before = title.inner_text()
    ring.press("ArrowRight")
    expect(title).not_to_have_text(before)
    figure.get_by_role("button", name="Decode q's mean").click()
    expect(title).to_contain_text("decoded from q's mean")


def test_a_bug_is_found_and_the_address_keeps_what_was_asked(page):
    figure = page.locator("#bug")
    figure.get_by_role("radio", name="Run A").check()
    figure.get_by_role("button", name="be sure of y").click()
    figure.get_by_role("button", name="nudge the encoder").click()
    figure.get_by_role("button", name=".sample()").click()
    page.wait_for_url(re.compile(r"#bug\?check=nudge&asked=A6&said=A4$"))
    shown = figure.locator(".note").inner_text()
    assert "You said" in shown
    page.reload()
    expect(page.locator("#bug .note")).to_have_text(shown)
    expect(page.locator("#bug .score")).to_contain_text("2 checks made")


def test_another_run_is_put_to_no_check_by_itself(page):
    figure = page.locator("#bug")
    figure.scroll_into_view_if_needed()
    bar = figure.locator(".stage > svg")
    expect(bar).to_be_hidden()  # no room for answers before the first
    figure.get_by_role("button", name="move q(z)").click()
    expect(bar).to_be_visible()
    expect(figure.locator(".score")).to_contain_text("1 check made")
    figure.get_by_role("radio", name="Run B").check()
    expect(figure.locator(".score")).to_contain_text("1 check made")
    expect(figure.locator(".note")).to_contain_text("Ask it something")
    expect(figure.get_by_role("button", name="move q(z)")).to_have_attribute("aria-pressed", "false")
    figure.get_by_role("button", name="move q(z)").click()
    figure.get_by_role("radio", name="Run A").check()  # which was put to it before
    expect(figure.get_by_role("button", name="move q(z)")).to_have_attribute("aria-pressed", "true")
    expect(figure.locator(".score")).to_contain_text("2 checks made")


def test_a_wrong_answer_points_at_a_check_that_was_made_or_at_one_to_make(page):
    figure = page.locator("#bug")
    wrong = ("a KL's sign", "mean over pixels")
    for name in wrong:
        figure.get_by_role("button", name=name, exact=True).click()
        page_frames(page)
        told = figure.locator(".note").inner_text()
        if "No: " in told:
            break
    asked = re.search(r"No: ask “(.+)”, which tells the two apart", told)[1]
    figure.get_by_role("button", name=asked, exact=True).click()
    expect(figure.locator(".note")).to_contain_text(f"No: then “{asked}” would have answered otherwise.")


def test_an_address_brings_back_a_state(page):
    figure = page.locator("#em")
    for step in ("E-step", "M-step", "E-step"):
        figure.get_by_role("button", name=step).click()
    shown = numbers(figure)
    page.wait_for_url(re.compile("#em\\?steps=EME$"))
    page.reload()
    expect(page.locator("#em .note")).to_contain_text("E-step")
    assert numbers(page.locator("#em")) == shown
    page.evaluate("location.hash = '#em?steps=EM'")
    expect(page.locator("#em .note")).to_contain_text("M-step")
    page.locator("#em").get_by_role("button", name="Reset").click()
    expect(page.locator("#em .note")).to_contain_text("The start")


def test_on_a_phone_a_figure_is_as_wide_as_the_page(page):
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(200)
    for svg in page.locator(".aevb-computing svg:visible").all():
        assert svg.bounding_box()["width"] < PHONE["width"]


def test_without_scripts_there_are_pictures(browser, address):
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{address}/{PAGE}")
    assert plain.locator(".aevb-computing img").count() == len(PLAYED)
    assert plain.locator(".aevb-computing img").evaluate_all("(all) => all.every((e) => e.naturalWidth > 0)")
    assert plain.locator(".aevb-still").first.is_visible()
    context.close()


def test_the_page_works_from_disk(browser, site):
    page = browser.new_page()
    page.goto((site / PAGE).as_uri())
    page.locator("#em").get_by_role("button", name="E-step").click()
    expect(page.locator("#em .numbers b").last).to_have_text("0.00")
    page.close()


def test_the_network_of_a_chapter_s_figure_is_a_file_of_the_site(browser, address, site):
    for place in (address, site.as_uri()):  # from disk, too
        page = browser.new_page()
        loaded = []
        page.on("request", lambda request, loaded=loaded: loaded.append(request.url))
        page.goto(f"{place}/notebooks/10_variational_rnn.html#compose?from=12")
        figure = page.locator("[data-figure=compose]")
        expect(figure.locator(".note")).to_contain_text("Touch the figure")
        assert not any("/_static/compose-later-" in url for url in loaded)
        figure.get_by_role("button", name="Draw what comes next").click()
        expect(figure.locator(".note")).to_contain_text("Of the 20 steps that were drawn")
        page.wait_for_url(re.compile(r"#compose\?from=12&seed=1$"))
        assert sum("/_static/compose-later-" in url for url in loaded) == 1
        page.close()


def test_the_page_is_small(site):
    html = (site / PAGE).read_bytes()
    [script] = re.findall(rb'src="\.\./(_static/figures-\w+\.js)"', html)
    assert sum(len(gzip.compress(part)) for part in (html, (site / script.decode()).read_bytes())) < MAX_BYTES


@pytest.mark.parametrize("name", bundle.names())
def test_a_figure_of_a_notebook_is_filled_twice_and_leaves_the_page_alone(browser, name):
    page = browser.new_page()
    messages = []
    page.on("pageerror", lambda error: messages.append(str(error)))
    figure = ComputingFigure(name)._repr_html_()
    page.set_content(f"<!doctype html><body>{figure}{figure}</body>")
    expect(page.locator(".aevb-computing[data-ready] .stage svg").first).to_be_visible()
    assert page.locator(".aevb-computing[data-ready]").count() == 2
    assert page.locator(".aevb-computing img:visible").count() == 0
    assert messages == []
    page.close()
