"""Downloads are verified, cached, and leave nothing behind that is not whole."""

import gzip
import os
from pathlib import Path

import pooch
import pytest
import torch
from geyser_server import CSV, Server, files_in, old_faithful, serve_geyser, sha256
from sentences import one_sentence
from systems import needs_modes

from aevb_utils import data
from aevb_utils.data import download
from aevb_utils.data.download import DataError, DataUnavailableError, RemoteFile


def test_download_is_cached_and_silent(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    cache: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger=pooch.get_logger().name)  # put back after the test
    monkeypatch.setattr(pooch.get_logger(), "handlers", [caplog.handler])
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    first, second = data.old_faithful(), data.old_faithful()
    assert not first.fallback
    assert torch.equal(first.train, second.train)
    assert torch.equal(first.train, old_faithful._parse_geyser(CSV)[0])
    assert server.asked == ["/geyser.csv"]
    assert files_in(cache) == ["geyser.csv"]
    assert (cache / "geyser.csv").read_bytes() == CSV
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


def test_the_cache_is_the_users_own_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    monkeypatch.delenv("AEVB_CACHE_DIR")
    asked: list[str] = []
    monkeypatch.setattr(pooch, "os_cache", lambda name: asked.append(name) or tmp_path / "own")
    assert not data.old_faithful().fallback
    assert asked == ["aevb"]
    assert files_in(tmp_path / "own") == ["geyser.csv"]


def test_mirrors_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch, server: Server, refused: str, cache: Path) -> None:
    serve_geyser(
        monkeypatch,
        refused,
        server.address("/missing"),
        server.gives("/wrong", b"<html>Sign in</html>"),
        server.gives("/short", CSV[:100], announced=len(CSV)),
        server.gives("/whole", CSV),
        server.gives("/unneeded", CSV),
    )
    assert not data.old_faithful().fallback
    assert server.asked == ["/missing", "/wrong", "/short", "/whole"]
    assert files_in(cache) == ["geyser.csv"]


@pytest.mark.parametrize(
    ("content", "announced", "said"),
    [
        (b"<html>Sign in</html>", None, "sent other content"),
        (CSV[:-1], None, "sent other content"),  # cut short, and the server does not know it
        (CSV[:-1], len(CSV), "broke off|sent other content"),  # cut short against what it announced, which requests
        # notices with urllib3 from version 2 on; with an older one the checksum does
        (b"", None, "sent other content"),
        (gzip.compress(CSV)[:-9], None, "sent other content"),
    ],
)
def test_a_wrong_or_half_download_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path, content: bytes, announced: int | None, said: str
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", content, announced=announced))
    with pytest.raises(DataUnavailableError, match=said) as caught:
        download.fetch(old_faithful._GEYSER)
    assert "127.0.0.1" in one_sentence(caught.value)
    assert files_in(cache) == []
    server.gives("/geyser.csv", CSV)
    assert download.fetch(old_faithful._GEYSER) == CSV


def test_an_interrupted_download_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    half = len(CSV) // 2

    def interrupted(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:half])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.old_faithful()
    assert files_in(cache) == []
    assert not data.old_faithful().fallback


@pytest.mark.parametrize("damaged", [b"", CSV[:-1], b"\0" * len(CSV)])
def test_a_damaged_cached_file_is_downloaded_again(
    monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path, damaged: bytes
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    cache.mkdir()
    (cache / "geyser.csv").write_bytes(damaged)
    assert not data.old_faithful().fallback
    assert server.asked == ["/geyser.csv"]
    assert (cache / "geyser.csv").read_bytes() == CSV


def test_a_damaged_cached_file_that_cannot_be_downloaded_again_is_said_to_be_damaged(cache: Path) -> None:
    cache.mkdir()
    (cache / "geyser.csv").write_bytes(CSV[:-1])
    with pytest.raises(DataUnavailableError, match="is damaged") as caught:
        download.fetch(old_faithful._GEYSER)
    assert str(cache / "geyser.csv") in one_sentence(caught.value)


@needs_modes
def test_a_cached_file_can_be_read_by_others(monkeypatch: pytest.MonkeyPatch, server: Server, cache: Path) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    before = os.umask(0o022)
    try:
        data.old_faithful()
    finally:
        os.umask(before)
    assert (cache / "geyser.csv").stat().st_mode & 0o777 == 0o644


def test_a_whole_cached_file_needs_neither_network_nor_a_writable_cache(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    cache.mkdir()
    (cache / "geyser.csv").write_bytes(CSV)
    monkeypatch.setattr(Path, "touch", lambda *_, **__: pytest.fail("the cache was written"))
    assert not data.old_faithful().fallback


def test_gzip_files_are_verified_by_content(server: Server, cache: Path, tmp_path: Path) -> None:
    """The wrapper differs from mirror to mirror; the content does not."""
    content = bytes(range(256)) * 50
    fast, slow = gzip.compress(content, 1, mtime=1), gzip.compress(content, 9, mtime=2)
    assert fast != slow
    for number, wrapper in enumerate((fast, slow, content)):  # a web server may also unpack on its own
        url = server.gives(f"/{number}/images-ubyte.gz", wrapper)
        file = RemoteFile(f"images/{number}-ubyte.gz", (url,), sha256(content), len(content))
        assert download.fetch(file) == content
        assert download.fetch(file) == content
    assert len(server.asked) == 3
    assert files_in(cache) == ["images/0-ubyte", "images/1-ubyte", "images/2-ubyte"]


def test_gzip_files_in_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: str) -> None:
    content = bytes(range(256)) * 50
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    file = RemoteFile("images/train-ubyte.gz", (refused,), sha256(content), len(content))
    path = tmp_path / "images" / "train-ubyte.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(content))
    assert download.fetch(file) == content
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:30], whole[:40] + b"\xff\xff\xff\xff" + whole[44:], whole[:2]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="truncated or damaged") as caught:
            download.fetch(file)
        assert str(path) in one_sentence(caught.value)
        assert not isinstance(caught.value, DataUnavailableError)
