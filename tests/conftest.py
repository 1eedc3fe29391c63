"""The built site, made once a test run, and the browser that opens it."""

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock
from site_build import STRICT, build_book, serve

from tools.notebooks import ROOT


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages, built with warnings as errors; one build, whatever number of processes test it."""
    base = tmp_path_factory.getbasetemp()
    output = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "site"
    seconds = output / "seconds.txt"
    with FileLock(output.with_suffix(".lock")):
        if not output.exists():
            output.mkdir()
            started = time.perf_counter()
            build_book(ROOT, output, *STRICT)
            seconds.write_text(f"{time.perf_counter() - started:.1f}", encoding="utf-8")
    assert seconds.exists(), "the book does not build: another process of this run shows why"
    return output / "_build" / "html"


@pytest.fixture(scope="module")
def address(site):
    """The address at which the site is served."""
    with serve(site) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    """A browser; without one, the tests that ask for it are skipped."""
    from chromium import chromium

    with chromium() as browser:
        yield browser
