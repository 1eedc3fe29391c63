"""The built site, shared by the tests that read its files and the tests that open it in a browser."""

import os
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
JUPYTER_BOOK = Path(sysconfig.get_path("scripts")) / "jupyter-book"


def build_book(source: Path, output: Path) -> Path:
    """Build the book with warnings as errors and return the folder of its pages.

    Raises:
        AssertionError: the build fails or warns; the message holds the end of its log.
    """
    started = time.perf_counter()
    command = [JUPYTER_BOOK, "build", source, "--path-output", output, "-n", "-W", "--keep-going"]
    build = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})
    log = build.stdout + build.stderr
    assert build.returncode == 0, f"the book does not build without warnings:\n{log[-4000:]}"
    (output / "build.log").write_text(f"built in {time.perf_counter() - started:.1f} s\n{log}", encoding="utf-8")
    return output / "_build" / "html"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built pages; built once a test run, whatever number of processes the tests run in."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    output = shared / "site"
    with FileLock(shared / "site.lock"):
        if not output.exists():
            output.mkdir()
            build_book(ROOT, output)
    pages = output / "_build" / "html"
    assert (output / "build.log").exists(), "the book does not build: see the test of the other process"
    return pages


def page_names(site: Path) -> list[str]:
    """The addresses of all pages, relative to the site's root."""
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if "_static" not in path.parts)


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the server's log out of the tests' output."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
