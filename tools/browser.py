"""The browser of the tests, which prints the book as well: where a Chromium or Chrome lies on this machine."""

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = {
    "darwin": (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ),
    "win32": (
        r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
        r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
        r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
    ),
}
"""Where it is installed on systems that do not put it on the search path."""
HOW = {
    "linux": "on Debian: apt-get install chromium",
    "darwin": "https://www.google.com/chrome",
    "win32": "https://www.google.com/chrome",
}


def missing(what: str) -> str:
    """What is said where there is none; ``what`` is what needs one, in the plural."""
    how = HOW.get(sys.platform, HOW["linux"])
    return f"there is no Chromium or Chrome, which {what} need: install it ({how}), or name its program in CHROME"


MISSING = missing("the browser tests")


def find_browser() -> str | None:
    """The program of a Chromium or Chrome, the one that ``CHROME`` names if it is set; None if there is none."""
    if named := os.environ.get("CHROME"):
        return shutil.which(named)
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    places = map(os.path.expandvars, PLACES.get(sys.platform, ()))
    return on_path or next((place for place in places if Path(place).is_file()), None)
