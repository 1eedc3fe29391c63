"""Write what the figures that compute need from Python: their data, from the chapters' own code, and their pictures.

``python -m tools.figure_data`` writes ``aevb_utils/figures/computing/data`` and, where there is a Chromium,
``stills``; with names it does so for these figures alone. A figure whose data are not in ``DATA`` needs none.
"""

import json
import sys
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from aevb_utils.budget import FAST
from aevb_utils.data import old_faithful, simulated_mixture
from aevb_utils.figures.computing import bundle
from aevb_utils.training.atomic_write import write_atomically
from tools import chorale_figure, cluster_figure, diffusion_figure, plane_figure
from tools.browser import MISSING, find_browser
from tools.chapter_code import names_of_chapter
from tools.commands import command
from tools.figure_outputs import FIGURE
from tools.notebooks import CHAPTERS, PAGES, code_cells, read
from tools.packing import packed_multiples
from tools.planted_mistakes import six_runs

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

STEP = 4e-7  # between values of a weight of the digits' model: its log p(x) and ELBO stay as they are to 1e-3 nats
WIDTH = 720  # of a picture, in pixels
WIDTHS = (340, WIDTH)  # at which a figure's height is noted


def banana() -> dict[str, Any]:
    """Chapter 3's sensor: what it shows, and its standard deviation."""
    chapter = names_of_chapter(3, "x_seen", "sigma")
    return {"x": chapter["x_seen"].item(), "sigma": chapter["sigma"]}


def be_q() -> dict[str, Any]:
    """Chapter 1's curve for one measurement of a flower, and the measurement."""
    chapter = names_of_chapter(1, "one_measurement", "sepal")
    theta = {name: value.tolist() for name, value in chapter["one_measurement"].items()}
    return {"x": chapter["sepal"][0].tolist(), "theta": theta}


def em() -> dict[str, Any]:
    """Old Faithful; iris, with the flowers that chapter 2 starts from; a few points of the book's simulated mixture."""
    points = simulated_mixture(60, seed=3).train.to(torch.float64)
    chapter = names_of_chapter(2, "x", "start")
    return {
        "iris": [[round(value, 2) for value in row] for row in chapter["x"].tolist()],
        "flowers": [[round(value, 2) for value in row] for row in chapter["start"].means.tolist()],
        "faithful": [[round(value, 6) for value in row] for row in old_faithful().train.tolist()],
        "sixty": [[round(value, 2) for value in row] for row in points.tolist()],
    }


def dial() -> dict[str, Any]:
    """The book's simulated mixture, to two digits."""
    return {"x": [[round(value, 2) for value in row] for row in simulated_mixture().train.tolist()]}


def digit() -> dict[str, Any]:
    """Chapter 4's binomial VAE, trained by its code, and the test digits: a letter for each pixel, 0 to 9, a to g."""
    if FAST:
        raise ValueError("The digits' model is trained as the page shows it: run this without AEVB_FAST.")
    chapter = names_of_chapter(4, "vae", "history", "digits")
    vae, test, labels = chapter["vae"], chapter["digits"].test, chapter["digits"].test_labels
    weights = torch.cat([p.detach().flatten() for net in (vae.decoder, vae.encoder) for p in net.parameters()])
    return {
        "weights": packed_multiples(weights.double().numpy(), STEP),
        "digits": ["".join("0123456789abcdefg"[int(count)] for count in row) for row in test.tolist()],
        "labels": "".join(map(str, labels.tolist())),
    }


DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "banana": banana,
    "be_q": be_q,
    "bug": six_runs,
    "compose": chorale_figure.pieces,
    "dial": dial,
    "diffusion": diffusion_figure.network,
    "digit": digit,
    "em": em,
    "latent_plane": plane_figure.codes,
    "which_cluster": cluster_figure.digits,
}
"""What each figure's module in ``computing/js/figures`` finds in ``frame.data``."""

LATER: dict[str, Callable[[], dict[str, Any]]] = {
    "compose": chorale_figure.model,
    "latent_plane": plane_figure.decoder,
    "which_cluster": cluster_figure.encoder,
}
"""What a figure gets from ``frame.later()``, which loads it when a reader first touches the figure."""


def write_data(name: str) -> list[Path]:
    """Write the data of a figure, and return where."""
    written = []
    for functions, path in ((DATA, bundle.FOLDER / "data" / f"{name}.json"), (LATER, bundle.later_of(name))):
        if name in functions:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, f"{json.dumps(functions[name](), separators=(',', ':'))}\n".encode())
            written.append(path)
    return written


def states_of(name: str) -> list[str]:
    """The states, other than its start, in which notebooks show a figure."""
    return sorted({state for shown, state in _shown() if shown == name and state})


@cache
def _shown() -> tuple[tuple[str, str], ...]:
    """The figures that notebooks show, each with its state."""
    pages = [
        output.get("data", {}).get("text/html", "")
        for path in (*PAGES, *CHAPTERS)
        for cell in code_cells(read(path))
        for output in cell.outputs
    ]
    return tuple((found["name"], unescape(found["state"])) for page in pages for found in FIGURE.finditer(page))


def write_stills(names: list[str]) -> list[Path]:
    """Take pictures of figures, on white, and note what they show and how high they are; return what was written.

    A figure is taken as it begins, and in the states in which notebooks show it.
    """
    from PIL import Image
    from playwright.sync_api import sync_playwright

    noted_in = {what: bundle.FOLDER / "stills" / f"{what}.json" for what in ("words", "heights")}
    notes = {what: json.loads(path.read_text(encoding="utf-8")) for what, path in noted_in.items()}
    written = [*noted_in.values()]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=1.5)
        for name, state in ((figure, state) for figure in names for state in ("", *states_of(figure))):
            page.set_content(f"<!doctype html><body style='margin: 0'>{bundle.markup(name, state=state)}</body>")
            page.add_script_tag(
                content=f"{bundle.later_script(name)}{bundle.bundle([name])}aevbFigures.{bundle.key([name])}.mount();"
            )
            stage = page.locator(".aevb-computing .stage")
            _settle(page, stage)
            path = bundle.FOLDER / "stills" / f"{bundle.picture_name(name, state)}.png"
            stage.screenshot(path=path)
            Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)
            notes["words"][path.stem] = stage.get_attribute("aria-label")
            written.append(path)
            if not state:
                notes["heights"][name] = {}
                for width in WIDTHS:
                    page.set_viewport_size({"width": width, "height": 900})
                    page.wait_for_timeout(300)
                    height = page.locator(".aevb-computing").bounding_box()["height"]
                    notes["heights"][name][str(width)] = round(height)
                page.set_viewport_size({"width": WIDTH, "height": 900})
        browser.close()
    for what, path in noted_in.items():
        write_atomically(path, f"{json.dumps(notes[what], indent=2, ensure_ascii=False, sort_keys=True)}\n".encode())
    return written


def _settle(page: "Page", stage: "Locator") -> None:
    """Wait until a figure has said the same for a while: what it computes in the background has come."""
    said, before = "", None
    while said != before:
        page.wait_for_timeout(4000)
        said, before = stage.get_attribute("aria-label") or "", said


@command
def main(arguments: list[str] | None = None) -> int:
    """Write data and pictures; return the exit status."""
    known = bundle.names()
    names = arguments or known
    if unknown := [name for name in names if name not in known]:
        print(f"There is no figure {unknown[0]!r} that computes: it is one of {', '.join(known)}.", file=sys.stderr)
        return 2
    for name in names:
        for path in write_data(name):
            print(f"wrote {path}")
    if find_browser() is None:
        print(f"No pictures were taken: {MISSING}", file=sys.stderr)
        return 1
    for path in write_stills(names):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
