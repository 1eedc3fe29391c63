"""A notebook as a reader has it who opens a clone in JupyterLab: nobody has trusted it."""

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from chromium import DESKTOP, chromium
from playwright.sync_api import Page, expect

from aevb_utils.figures.viewer import WITHOUT_SCRIPT
from tools.notebooks import CHAPTERS, code_cells, read, tags, write

CHAPTER = CHAPTERS[7]
"""A short one, with figures of lines and of pixels."""
PATIENCE = 120  # seconds for a server to start, or a page to load
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are in the page, seen or not
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},  # asks no other host
}
CELLS = """() => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map((cell) => ({
    code_is_folded: cell.querySelector('.jp-InputPlaceholder') !== null,
    outputs_are_folded: cell.querySelector('.jp-OutputPlaceholder') !== null,
    words: cell.innerText,
}))"""
RENDERED = """() => [...document.querySelectorAll('.jp-MarkdownCell')].every(
    (cell) => cell.querySelector('.jp-MarkdownOutput')?.innerText.trim()
)"""
SEEN = """() => [...document.querySelectorAll('.jp-Notebook .jp-OutputArea-output')].map((output) => ({
    kind: output.dataset.mimeType,
    words: output.innerText,
    images: [...output.querySelectorAll('img')].map((image) => [image.naturalWidth, image.clientWidth]),
    viewer: output.querySelector('.aevb-viewer') !== null,
    sentence: output.querySelector('.aevb-still')?.innerText ?? '',
    controls: output.querySelectorAll('button, input, select').length,
}))"""


@dataclass(frozen=True)
class Seen:
    """What an output shows: the format that was chosen, its text, the width of its images in the file and on screen."""

    kind: str
    words: str
    images: list[tuple[int, int]]
    viewer: bool
    sentence: str
    controls: int


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """The address of a JupyterLab that is new to this machine, with a copy of the chapter, on which it opens."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("notebooks")
    notebook = read(CHAPTER)
    notebook.metadata.language_info.version = platform.python_version()  # JupyterLab notes another Python as a change
    write(notebook, folder / CHAPTER.name)
    for name, settings in SETTINGS.items():
        file = home / "config" / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings), encoding="utf-8")
    own = {f"JUPYTER_{kind.upper()}_DIR": str(home / kind) for kind in ("config", "data", "runtime")}
    options = {
        "root_dir": folder,
        "ip": "127.0.0.1",
        "port": 0,
        "token": "t",
        "open_browser": False,
        "allow_root": True,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--ServerApp.{name}={value}" for name, value in options.items())]
    with (home / "log.txt").open("w", encoding="utf-8") as log:
        environment = os.environ | own | {"HOME": str(home), "USERPROFILE": str(home)}
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            port = port_of(server, home)
            yield f"http://127.0.0.1:{port}/lab/tree/{CHAPTER.name}?token=t"
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE)


def port_of(server: subprocess.Popen, home: Path) -> int:
    """The port of a Jupyter server, from the file that it writes when it has one."""
    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        for file in (home / "runtime").glob("jpserver-*.json"):
            if (text := file.read_text(encoding="utf-8")).rstrip().endswith("}"):
                return json.loads(text)["port"]
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab does not start:\n{(home / 'log.txt').read_text(encoding='utf-8')[-3000:]}")


@pytest.fixture(scope="module")
def page(lab) -> Iterator[Page]:
    """The chapter in JupyterLab."""
    with chromium() as browser:
        page = browser.new_page(viewport=DESKTOP)
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(lab)
        cells = page.locator(".jp-Notebook .jp-Cell")
        expect(cells).to_have_count(len(read(CHAPTER).cells), timeout=PATIENCE * 1000)
        page.wait_for_function(RENDERED)
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        yield page


@pytest.fixture(scope="module")
def untrusted(page) -> list[Seen]:
    """What the chapter's outputs show, before anything is done."""
    return [Seen(**seen) for seen in page.evaluate(SEEN)]


@pytest.fixture(scope="module")
def stored() -> list:
    """The chapter's stored outputs, those of solutions aside, which are folded."""
    return [output for cell in code_cells(read(CHAPTER), without="solution") for output in cell.outputs]


def test_every_output_shows(untrusted, stored):
    assert len(untrusted) == len(stored)
    for seen in untrusted:
        assert seen.words.strip() or seen.images
        assert not seen.words.startswith("<Figure"), "the name of a figure is shown in its place"


def test_every_figure_shows(untrusted, stored):
    widths = [output.metadata["image/png"].width for output in stored if "image/svg+xml" in output.get("data", {})]
    figures = [seen for seen in untrusted if seen.kind.startswith("image/")]
    assert len(widths) > 2
    assert {seen.kind for seen in figures} == {"image/png"}
    for seen, width in zip(figures, widths, strict=True):
        ((in_the_file, on_screen),) = seen.images
        assert in_the_file > width
        assert 0.5 * width < on_screen <= width


def test_a_viewer_shows_its_first_frame_and_a_sentence(untrusted, stored):
    viewers = [seen for seen in untrusted if seen.viewer]
    assert len(viewers) == sum(
        'class="aevb-viewer"' in output.get("data", {}).get("text/html", "") for output in stored
    )
    assert viewers
    for seen in viewers:
        ((in_the_file, on_screen),) = seen.images
        assert in_the_file > 0
        assert on_screen > 100
        assert seen.sentence == WITHOUT_SCRIPT
        assert seen.controls == 0, "a control that does nothing"


@pytest.fixture(scope="module")
def cells(page) -> list[tuple]:
    """Each cell of the chapter, and what JupyterLab shows of it."""
    return list(zip(read(CHAPTER).cells, page.evaluate(CELLS), strict=True))


def test_solutions_and_the_setup_are_folded(cells):
    solutions = [seen for cell, seen in cells if {"solution"} & tags(cell) and cell.cell_type == "code"]
    assert len(solutions) >= 4
    assert all(seen["code_is_folded"] and seen["outputs_are_folded"] for seen in solutions)
    folded = [cell for cell, seen in cells if seen["code_is_folded"]]
    assert {tag for cell in folded for tag in ("solution", "setup", "folded") if tag in tags(cell)} >= {"setup"}
    assert all(tags(cell) & {"solution", "setup", "folded"} for cell in folded)


def test_captions_and_citations_can_be_read(cells):
    captions = [seen["words"] for cell, seen in cells if "caption" in tags(cell)]
    assert len(captions) > 2
    assert all(re.match(r"\s*Fig\. \d+\.\d+\. \w", words) for words in captions)
    assert not any("{cite" in seen["words"] or "](#" in seen["words"] for _, seen in cells)
    (references,) = [seen["words"] for cell, seen in cells if "references" in tags(cell)]
    assert references.strip().startswith("References")


def test_a_citation_jumps_to_the_references(page, cells):
    references = page.locator(".jp-Notebook .jp-Cell").last
    expect(references).not_to_be_in_viewport()
    page.locator(".jp-Notebook a[href='#References']").first.click()
    expect(references).to_be_in_viewport()


def test_opening_a_notebook_does_not_change_it(page, cells):
    kernel = page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    kernel.first.wait_for()
    expect(page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab.lm-mod-current")).not_to_have_class(
        re.compile("jp-mod-dirty")
    )


def test_the_controls_come_with_trust(page, untrusted):
    """By the way that the sentence names. After ``untrusted``, for which nothing may be trusted yet."""
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.keyboard.press("Control+Shift+C")
    page.keyboard.type("Trust Notebook")
    page.locator(".lm-CommandPalette-item.lm-mod-active[data-command='notebook:trust']").wait_for()
    page.keyboard.press("Enter")
    page.locator(".jp-Dialog").get_by_role("button", name="Trust").click()
    viewer = page.locator(".aevb-viewer").first
    slider, image = viewer.locator("input").first, viewer.locator("img")
    expect(viewer.locator(".aevb-still")).to_have_count(0)
    expect(viewer.locator("button")).to_have_text("▶ Play")
    first = image.get_attribute("alt")
    slider.press("ArrowRight")
    expect(slider).to_have_value("1")
    expect(image).not_to_have_attribute("alt", first)
    expect(page.locator(".jp-OutputArea-output[data-mime-type='image/svg+xml'] img").first).to_be_attached()
