"""The sheet of pictures of the figures that compute: every figure has its moves, and a picture shows what they do."""

import pytest
from PIL import Image
from playwright.sync_api import TimeoutError
from sentences import one_sentence

from aevb_utils.figures.computing import bundle
from tools import figure_sheet
from tools.figure_sheet import MOVES, WAYS, Place


def test_every_figure_has_a_few_moves():
    assert sorted(MOVES) == bundle.names()
    assert all(1 < len(moves) < 6 for moves in MOVES.values())


def test_every_figure_of_the_site_is_on_the_sheet(site):
    places = [*figure_sheet.places(site)]
    assert {place.figure for place in places} == {*MOVES}
    assert Place("index.html", "em") in places
    assert sum(place.page == "book/play.html" for place in places) == 6
    assert all((site / place.page).is_file() for place in places)


def test_a_picture_is_of_the_figure_after_its_moves(browser, site, tmp_path, monkeypatch):
    monkeypatch.setattr(figure_sheet, "STILL", 0.05)
    place, (light, dark, phone) = Place("book/play.html", "be_q"), WAYS
    taken = {way: Image.open(figure_sheet.record(browser, site, place, way, tmp_path)) for way in (light, dark, phone)}
    assert 300 < taken[phone].width < phone.width < taken[light].width
    corners = {way: sum(picture.convert("RGB").getpixel((2, 2))) / 3 for way, picture in taken.items()}
    assert corners[dark] < 60 < 230 < corners[light]
    sheet = figure_sheet.write_sheet({place: [tmp_path / "play-be_q-light.png"]}, tmp_path)
    assert '<img src="play-be_q-light.png"' in sheet.read_text(encoding="utf-8")


def test_a_move_is_left_out_where_a_figure_in_brief_has_no_such_control_and_nowhere_else(browser):
    page = browser.new_page()
    page.set_default_timeout(500)
    page.set_content("<main data-brief><button onclick='this.textContent = 1'>▶ Refine q</button></main><nav></nav>")
    for name in ("Climb", "Refine q"):
        figure_sheet._make(page.locator("main"), figure_sheet.Move("button", name))
    assert page.locator("button").all_inner_texts() == ["1"]
    with pytest.raises(TimeoutError):
        figure_sheet._make(page.locator("nav"), figure_sheet.Move("button", "Climb"))
    page.close()


def test_what_is_missing_is_a_sentence(monkeypatch, capsys, tmp_path):
    assert figure_sheet.main(["no_such"]) == 2
    assert one_sentence(capsys.readouterr().err.strip()).startswith("There are no moves for 'no_such'")
    assert figure_sheet.main([], tmp_path, tmp_path / "sheet") == 1
    assert "`python -m tools book`" in one_sentence(capsys.readouterr().err.strip())
    (tmp_path / "index.html").touch()
    monkeypatch.setattr(figure_sheet, "find_browser", lambda: None)
    assert figure_sheet.main([], tmp_path, tmp_path / "sheet") == 1
    assert one_sentence(capsys.readouterr().err.strip()).startswith("There is no Chromium")
    assert not (tmp_path / "sheet").exists()
