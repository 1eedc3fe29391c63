"""Building and serving the site, for the tests that read its pages and those that open them in a browser."""

import os
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

JUPYTER_BOOK = Path(sysconfig.get_path("scripts")) / "jupyter-book"
STRICT = ("-n", "-W", "--keep-going")


def build_book(source: Path, output: Path, *options: str) -> Path:
    """Build the book into a folder and return where its pages are.

    Raises:
        AssertionError: the build fails; the message holds its warnings and errors.
    """
    command = [JUPYTER_BOOK, "build", source, "--path-output", output, *options]
    environment = os.environ | {"NO_COLOR": "1", "PYTHONUTF8": "1"}
    build = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=environment)
    assert build.returncode == 0, f"the book does not build:\n{build.stderr[-3000:] or build.stdout[-3000:]}"
    return output / "_build" / "html"


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
