"""Take a picture of each figure that computes as a reader sees it after a few moves: in light, in dark, on a phone.

``python -m tools.figure_sheet`` opens the built site in Chromium wherever it shows such a figure, and puts all pictures
on one page, ``_build/figures/index.html``; with names it does so for these figures alone. It tests nothing: look at it.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from tools.articles import SITE
from tools.browser import find_browser, missing
from tools.commands import command
from tools.environments import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

SHEET = ROOT / "_build" / "figures"
SHOWN = re.compile(r'<div class="aevb-computing" data-figure="(?P<name>\w+)"(?P<brief> data-brief)?')
NEEDED = "The pictures of figures"
HEIGHT = 2400  # of the window, in pixels: more than any figure has
FIXED = "header, .bd-header-article, .skip-link, #pst-back-to-top { display: none !important; }"
"""Style without what stays at its place on the screen, which would be in the picture."""
STILL = 0.5  # seconds without a change after which a figure is done
LONGEST = 60  # times that long are waited for


@dataclass(frozen=True)
class Move:
    """Something that a reader does: a control is clicked, or keys are pressed at it.

    Attributes:
        role: the control's, as assistive technology knows it.
        name: a part of its name.
        keys: what is pressed; nothing clicks it.
    """

    role: str
    name: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Way:
    """A way of seeing a figure.

    Attributes:
        name: what it is called in the names of files.
        width: of the window, in pixels.
        scheme: ``light`` or ``dark``.
    """

    name: str
    width: int
    scheme: str


WAYS = (Way("light", 1280, "light"), Way("dark", 1280, "dark"), Way("phone", 375, "light"))
E_STEP, M_STEP = Move("button", "E-step"), Move("button", "M-step")
MOVES: dict[str, tuple[Move, ...]] = {
    "banana": (Move("radio", "full covariance"), Move("button", "Climb")),
    "be_q": (Move("slider", "mean of q", ("ArrowRight",) * 9), Move("button", "Climb")),
    "bug": (Move("button", "move q(z)"), Move("button", "be sure of y"), Move("button", "mean over pixels")),
    "compose": (Move("button", "Draw what comes next"), Move("slider", "Notes", ("ArrowUp", "Enter"))),
    "dial": (Move("button", "A network"), Move("slider", "inference steps", ("ArrowLeft",) * 4)),
    "diffusion": (Move("radio", "the ideal one"), Move("slider", "walk back", ("ArrowLeft",) * 20)),
    "digit": (Move("button", "Next test digit"), Move("button", "Refine q")),
    "em": (E_STEP, M_STEP, E_STEP, M_STEP, Move("slider", "Mean of component 1", ("ArrowRight",) * 5)),
    "gradients": (Move("slider", "samples in a dot", ("ArrowRight",) * 3), Move("button", "Draw anew")),
    "latent_plane": (Move("button", "Next test digit"), Move("slider", "along the path", ("ArrowRight",) * 40)),
    "which_cluster": (Move("button", "Next test digit"), Move("slider", "temperature", ("ArrowLeft",) * 20)),
}
"""A few moves with each figure. Where a figure in brief lacks a control, its move is left out."""


@dataclass(frozen=True)
class Place:
    """Where the site shows a figure: the page's address in it, and the figure's name there."""

    page: str
    figure: str


def places(site: Path) -> Iterator[Place]:
    """All places of the site where a figure computes, in the order of the pages' names."""
    for path in sorted(site.rglob("*.html")):
        if "_static" not in path.parts:
            for found in SHOWN.finditer(path.read_text(encoding="utf-8")):
                yield Place(path.relative_to(site).as_posix(), found["name"])


def record(browser: "Browser", site: Path, place: Place, way: Way, folder: Path) -> Path:
    """Take the picture of a figure in one way, and return the file."""
    page = browser.new_page(
        viewport={"width": way.width, "height": HEIGHT}, color_scheme=way.scheme, reduced_motion="reduce"
    )
    page.goto((site / place.page).as_uri())
    page.add_style_tag(content=FIXED)
    host = page.locator(f".aevb-computing[data-figure={place.figure}]")
    host.scroll_into_view_if_needed()
    host.and_(page.locator("[data-ready]")).wait_for()
    for move in MOVES[place.figure]:
        _make(host, move)
        _settle(page, host)
    page.mouse.move(0, 0)
    file = folder / f"{Path(place.page).stem}-{place.figure}-{way.name}.png"
    figure = host.locator("xpath=ancestor-or-self::*[self::figure or contains(@class, 'aevb-computing')]").first
    figure.screenshot(path=file)
    page.close()
    return file


def _make(host: "Locator", move: Move) -> None:
    control = host.get_by_role(move.role, name=move.name).first
    if host.get_attribute("data-brief") is not None and not control.count():
        return
    if not move.keys:
        control.click(force=True)  # a radio button is under its label
    for key in move.keys:
        control.press(key)


def _settle(page: "Page", host: "Locator") -> None:
    """Wait until a figure says the same for a while: what it computes in the background has come."""
    said, before = None, ""
    for _ in range(LONGEST):
        if said == before:
            return
        page.wait_for_timeout(1000 * STILL)
        said, before = host.evaluate("(host) => host.shadowRoot.textContent"), said


def write_sheet(files: dict[Place, list[Path]], folder: Path) -> Path:
    """Write the page that shows all pictures, a row for each place; return where."""
    rows = "".join(
        f"<h2>{escape(place.figure)} <small>{escape(place.page)}</small></h2>\n<div>"
        + "".join(f'<img src="{file.name}" alt="{escape(file.stem)}" loading="lazy">' for file in taken)
        + "</div>\n"
        for place, taken in files.items()
    )
    style = "body{font-family:sans-serif;margin:1rem}div{display:flex;gap:1rem;align-items:start}img{min-width:0}"
    page = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Figures</title><style>{style}</style>\n{rows}"
    sheet = folder / "index.html"
    sheet.write_text(page, encoding="utf-8")
    return sheet


@command
def main(arguments: list[str] | None = None, site: Path = SITE, folder: Path = SHEET) -> int:
    """Take all pictures; return 1 where there is no site or no browser, 2 where there is no such figure."""
    if unknown := [name for name in arguments or () if name not in MOVES]:
        print(f"There are no moves for {unknown[0]!r}: name one of {', '.join(MOVES)}.", file=sys.stderr)
        return 2
    if not (site / "index.html").is_file():
        print(f"There is no site in {site}: build it first, `python -m tools book`.", file=sys.stderr)
        return 1
    if find_browser() is None:
        print(f"{missing(NEEDED)[:1].upper()}{missing(NEEDED)[1:]}.", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = [place for place in places(site) if not arguments or place.figure in arguments]
    files: dict[Place, list[Path]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for place in wanted:
            files[place] = [record(browser, site, place, way, folder) for way in WAYS]
            print(f"{place.page}: {place.figure}", flush=True)
        browser.close()
    print(f"wrote {write_sheet(files, folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
