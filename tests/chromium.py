"""The browser of the tests: where it is, how it is started. Without one, a module that imports this is skipped."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tools.browser import MISSING, find_browser

PATH = find_browser()
if PATH is None and os.environ.get("AEVB_REQUIRE_BROWSER") != "1":
    pytest.skip(MISSING, allow_module_level=True)

expect.set_options(timeout=60_000)  # a busy machine is not a fault of the page

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PHONE = {"width": 375, "height": 800}
DESKTOP = {"width": 1280, "height": 900}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that is closed at the end."""
    assert PATH, MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=ARGUMENTS)
        yield browser
        browser.close()
