"""The figures that compute in chapters, on the site: their captions and numbers, and what they fetch."""

import re

import pytest
from chromium import DESKTOP
from playwright.sync_api import expect

from aevb_utils.figures.computing import bundle
from tools.notebooks import CHAPTERS, code_cells, read

CALL = re.compile(r'ComputingFigure\("(?P<name>\w+)"')
PLACES = [
    pytest.param(path.stem, cell.id, found["name"], id=f"{path.stem[:2]} {found['name']}")
    for path in CHAPTERS
    for cell in code_cells(read(path))
    if (found := CALL.search(cell.source))
]


@pytest.mark.parametrize(("chapter", "cell", "name"), PLACES)
def test_a_chapter_s_figure_is_filled_and_has_its_number(browser, address, chapter, cell, name):
    [path] = [path for path in CHAPTERS if path.stem == chapter]
    captions = {below.id: below.source for below in read(path).cells if "caption" in below.metadata.get("tags", ())}
    cells = read(path).cells
    number = captions[cells[[each.id for each in cells].index(cell) + 1].id].split("**")[1].rstrip(".")
    context = browser.new_context(viewport=DESKTOP, base_url=address, reduced_motion="reduce")
    page = context.new_page()
    messages, later = [], []
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: later.extend(re.findall(r"/_static/(\w+)-later-\w+\.js$", request.url)))
    page.goto(f"notebooks/{chapter}.html")
    figure = page.locator(f"figure:has([data-figure='{name}'])")
    figure.scroll_into_view_if_needed()
    expect(figure.locator(".aevb-computing")).to_have_attribute("data-ready", "true")
    expect(figure.locator("figcaption")).to_contain_text(number)
    assert figure.locator("figcaption").inner_text().count("Fig.") == 1
    assert page.locator(".aevb-computing img:visible").count() == 0
    assert later == []
    figure.get_by_role("slider").last.press("ArrowRight")
    page.wait_for_url(re.compile(rf"#{name}\?"))
    assert later == [name] * bundle.later_of(name).is_file()  # at the first touch, and not before
    assert messages == []
    context.close()
