"""A stand-in for Old Faithful's published table, and a web server on this machine that gives it."""

import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest

from aevb_utils.data.download import RemoteFile

old_faithful = import_module("aevb_utils.data.old_faithful")
PUBLISHED = old_faithful._GEYSER

ROWS = 272
HEADER = "duration,waiting,kind"
LINES = [f"{1.6 + i / 100:.3f},{43 + i % 50},{'long' if i % 3 else 'short'}" for i in range(ROWS)]
CSV = "\n".join([HEADER, *LINES, ""]).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """A web server on this machine, with one answer for each path, that counts what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                answer = server.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def gives(self, path: str, content: bytes, *, announced: int | None = None) -> str:
        """Serve the content at the path, under a Content-Length that may announce more; return the address."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content) if announced is None else announced))
            handler.end_headers()
            handler.wfile.write(content)

        self.answers[path] = answer
        return self.address(path)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"


def serve_geyser(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    monkeypatch.setattr(old_faithful, "_GEYSER", RemoteFile("geyser.csv", urls, sha256(CSV), len(CSV)))


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
