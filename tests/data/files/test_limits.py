"""Limits of a download, in time and in bytes, and what it leaves in the cache."""

import contextlib
import gzip
import os
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pooch
import pytest
from geyser_server import CSV, Server, files_in, old_faithful, serve_geyser, sha256
from sentences import one_sentence

from aevb_utils.data import download
from aevb_utils.data.download import DataError, DataUnavailableError, RemoteFile


class Drip:
    """An answer that comes a byte at a time, until the test is over."""

    def __init__(self, start: bytes, *, after_headers: bool) -> None:
        self.start, self.after_headers, self.over = start, after_headers, threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        if self.after_headers:
            handler.send_response(200)
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        handler.wfile.write(self.start)
        with contextlib.suppress(OSError):  # the client may hang up
            while not self.over.wait(0.02):
                handler.wfile.write(b"x")


@pytest.mark.parametrize("after_headers", [True, False])
def test_a_server_that_drips_is_given_up_in_time_and_the_next_mirror_is_asked(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path, after_headers: bool
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.3)  # the bytes come in time, each of them
    server.answers["/drip"] = drip = Drip(b"", after_headers=after_headers)
    serve_geyser(monkeypatch, server.address("/drip"), server.address("/missing"))
    start = time.monotonic()
    try:
        with pytest.raises(DataUnavailableError, match=r"had not sent all of it after 0\.9\d* s") as caught:
            download.fetch(old_faithful._GEYSER)
    finally:
        drip.over.set()
    assert time.monotonic() - start < 5
    assert "answered with status 404" in one_sentence(caught.value)
    assert files_in(cache) == []


@pytest.mark.parametrize("announced", [None, 10**12])
def test_more_bytes_than_the_file_can_have_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path, announced: int | None
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if announced is not None:
            handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        with contextlib.suppress(OSError):  # the client may hang up
            handler.wfile.write(CSV + b" " * 200_000)

    server.answers["/geyser.csv"] = answer
    serve_geyser(monkeypatch, server.address("/geyser.csv"))
    with pytest.raises(
        DataUnavailableError, match=f"sends more than the {old_faithful._GEYSER.largest:,} bytes"
    ) as caught:
        download.fetch(old_faithful._GEYSER)
    one_sentence(caught.value)
    assert files_in(cache) == []


def test_a_server_that_compresses_on_its_own_is_understood(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = gzip.compress(CSV)
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    server.answers["/geyser.csv"] = answer
    serve_geyser(monkeypatch, server.address("/geyser.csv"))
    assert download.fetch(old_faithful._GEYSER) == CSV


def test_a_gzip_bomb_is_never_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server) -> None:
    """50 MB of zeros, in 50 kB of gzip, in place of a file of 60 kB."""
    bomb = gzip.compress(bytes(50_000_000))
    file = RemoteFile("bomb.gz", (server.gives("/bomb.gz", bomb),), sha256(b""), 60_000)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    for said in ("sent other content than was published", "should have content of 60,000 bytes, but has more"):
        tracemalloc.start()
        with pytest.raises(DataError, match=said) as caught:
            download.fetch(file)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        one_sentence(caught.value)
        assert most < 2_000_000
        (tmp_path / "bomb.gz").write_bytes(bomb)  # for the second time


def test_what_a_killed_run_left_in_the_cache_is_cleared_away_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path
) -> None:
    cache.mkdir()
    for name, age in ((f"{download._PARTIAL}old", 7200), (f"{download._PARTIAL}new", 0), ("tmp_of_another", 7200)):
        (cache / name).write_bytes(b"half")
        os.utime(cache / name, (time.time() - age,) * 2)
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    assert download.fetch(old_faithful._GEYSER) == CSV
    assert files_in(cache) == [f"{download._PARTIAL}new", "geyser.csv", "tmp_of_another"]


@pytest.mark.parametrize("name", ["", "  ", '""'])
def test_a_blank_cache_folder_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("AEVB_CACHE_DIR", name)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "own")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "geyser.csv").write_bytes(CSV)
    assert download.fetch(old_faithful._GEYSER) == CSV


def test_a_relative_cache_folder_is_below_the_present_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEVB_CACHE_DIR", "here/below")
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    assert download.fetch(old_faithful._GEYSER) == CSV
    assert files_in(tmp_path) == ["here/below/geyser.csv"]
