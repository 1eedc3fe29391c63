"""What moves in chapters, on the site: viewers, and figures that compute; their numbers, and what they fetch."""

import re

import pytest
from chromium import DESKTOP
from playwright.sync_api import Locator, Page, expect

from aevb_utils.figures.computing import bundle
from tools.notebooks import CHAPTERS, code_cells, read, tags

LATER = re.compile(r"/_static/(\w+)-later-\w+\.js$")
CALL = re.compile(r'ComputingFigure\("(?P<name>\w+)"')


def numbers_of_figures(path):
    """The figures that compute in a chapter, and their numbers, as its captions say them."""
    notebook = read(path)
    below = dict(zip([cell.id for cell in notebook.cells], notebook.cells[1:], strict=False))
    found = {call["name"]: below[cell.id] for cell in code_cells(notebook) if (call := CALL.search(cell.source))}
    assert all("caption" in tags(caption) for caption in found.values())
    return {name: caption.source.split("**")[1].rstrip(".") for name, caption in found.items()}


@pytest.fixture(scope="module")
def window(browser, address):
    """A browser's window for all chapters, with what the chapter in it says and fetches."""
    context = browser.new_context(viewport=DESKTOP, base_url=address, reduced_motion="reduce")
    page = context.new_page()
    page.messages, page.later = [], []
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    page.on("request", lambda request: page.later.extend(LATER.findall(request.url)))
    yield page
    context.close()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_viewers_of_a_chapter_move_and_its_figures_compute_and_have_their_numbers(window, path):
    numbers = numbers_of_figures(path)
    window.messages.clear()
    window.later.clear()
    window.goto(f"notebooks/{path.stem}.html")
    viewers = window.locator(".aevb-viewer").all()
    assert viewers or numbers
    assert window.locator(".aevb-computing").count() == len(numbers)
    for viewer in viewers:
        move(viewer)
    for name, number in numbers.items():
        fill(window.locator(f"figure:has([data-figure='{name}'])"), number)
        assert window.later == []
        change(window, name)
        assert window.later == [name] * bundle.later_of(name).is_file()  # at the first touch, and not before
        window.later.clear()
    assert window.locator(".aevb-computing img:visible").count() == 0
    assert window.messages == []


def move(viewer: Locator) -> None:
    """Every slider of a viewer shows another frame."""
    image, sliders = viewer.locator("img"), viewer.locator("input").all()
    assert sliders
    for slider in sliders:
        alt, source = image.get_attribute("alt"), image.get_attribute("src")
        slider.press("ArrowRight")
        expect(slider).to_have_value("1")
        expect(image).not_to_have_attribute("alt", alt)
        expect(image).not_to_have_attribute("src", source)


def fill(figure: Locator, number: str) -> None:
    """A figure computes when it is near; it says what it shows, and has one caption with its number."""
    figure.scroll_into_view_if_needed()
    expect(figure.locator(".aevb-computing")).to_have_attribute("data-ready", "true")
    expect(figure.locator(".stage")).to_have_attribute("aria-label", re.compile(r"\w{3}"))
    expect(figure.locator(".caption-number")).to_have_text(re.compile(rf"^{re.escape(number)}\s*$"))
    assert figure.locator("figcaption").inner_text().count("Fig.") == 1


def change(page: Page, name: str) -> None:
    """What is changed in a figure stands in the page's address."""
    page.locator(f"[data-figure='{name}']").get_by_role("slider").last.press("ArrowRight")
    page.wait_for_url(re.compile(rf"#{name}\?"))
