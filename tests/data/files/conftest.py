"""Each test has a cache and a server of its own, and no way to the internet."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from geyser_server import Server, serve_geyser


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def refused() -> str:
    """Return an address where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/geyser.csv"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def _no_world(monkeypatch: pytest.MonkeyPatch, cache: Path, refused: str) -> None:
    """Keep each test off the user's cache and off the internet, in the full run's behavior."""
    for name in ("AEVB_DATA_DIR", "AEVB_REAL_DATA", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AEVB_CACHE_DIR", str(cache))
    monkeypatch.setattr("aevb_utils.budget.FAST", False)
    serve_geyser(monkeypatch, refused)
