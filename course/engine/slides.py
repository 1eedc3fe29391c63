"""The slides: a deck for each chapter, by sphinx-revealjs, and its PDF where there is a browser to print it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from course.engine.assignments import COURSE
from course.engine.settings import SettingsError
from tools.environments import UTF8

SLIDES = COURSE / "slides"
DECK = "[0-9][0-9]"
"""The names of the decks' sources, without their suffix; ``index`` lists them."""


def build(out: Path, source: Path = SLIDES) -> list[Path]:
    """Write the decks of a folder, in place of what an earlier build wrote; return them.

    Args:
        out: a folder that holds slides alone.
        source: the folder of the decks' sources.

    Raises:
        SettingsError: Sphinx warns of something in a source; the message is its first sentence. What an earlier build
            wrote is still there then.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".slides-", dir=out.parent, ignore_cleanup_errors=True) as work:
        made, trees = Path(work) / "made", Path(work) / "trees"
        call = [sys.executable, "-m", "sphinx", "-b", "revealjs", "-E", "-q", "-W", "--keep-going", "-d", str(trees)]
        done = subprocess.run(
            [*call, "-c", str(SLIDES), str(source), str(made)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env=os.environ | UTF8 | {"PYTHONUTF8": "1"},
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["Sphinx says nothing."]
            raise SettingsError(f"The slides cannot be built: {said[0]}")
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    return sorted(out.glob(f"{DECK}.html"))


def print_decks(decks: Sequence[Path], browser: str) -> list[Path]:
    """Print decks, a slide a page; return the PDFs.

    Raises:
        SettingsError: the browser fails.
    """
    from playwright.sync_api import Error, sync_playwright

    files = [deck.with_suffix(".pdf") for deck in decks]
    try:
        with sync_playwright() as playwright:
            running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
            for deck, file in zip(decks, files, strict=True):
                page = running.new_page()
                page.goto(f"{deck.resolve().as_uri()}?print-pdf")
                page.wait_for_function("window.Reveal?.isReady() && document.querySelector('.pdf-page')")
                page.pdf(path=file, prefer_css_page_size=True, print_background=True)
                page.close()
            running.close()
    except Error as error:
        raise SettingsError(f"{browser} could not print the slides: {str(error).splitlines()[0]}") from error
    return files
