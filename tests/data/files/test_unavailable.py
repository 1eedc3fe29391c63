"""What a reader is told when a file cannot be had."""

import errno
import re
import socket
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from geyser_server import CSV, Server, files_in, old_faithful, serve_geyser
from sentences import one_sentence
from systems import said

from aevb_utils import data
from aevb_utils.data import download
from aevb_utils.data.download import DataError, DataUnavailableError

simulated = import_module("aevb_utils.data.simulated_mixture")


def test_without_network_one_line_says_what_is_used_instead(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    geyser = data.old_faithful()
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("\n") == 1
    assert "geyser.csv could not be downloaded (127.0.0.1:" in said.out  # what happened
    assert "AEVB_DATA_DIR" in said.out  # what to do
    assert "272 rows simulated" in said.out  # what is used instead
    assert geyser.fallback
    monkeypatch.setattr("aevb_utils.budget.FAST", True)
    assert torch.equal(geyser.train, data.old_faithful().train)


def test_where_real_data_are_asked_for_a_fallback_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AEVB_REAL_DATA", "1")
    with pytest.raises(DataError, match="could not be reached") as caught:
        data.old_faithful()
    assert "AEVB_DATA_DIR" in one_sentence(caught.value)
    assert capsys.readouterr().out == ""


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, then says nothing
        serve_geyser(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/geyser.csv")
        start = time.monotonic()
        with pytest.raises(DataUnavailableError, match=r"did not answer within 0\.2 s"):
            download.fetch(old_faithful._GEYSER)
    assert time.monotonic() - start < 3
    assert files_in(cache) == []


def test_a_certificate_file_that_is_missing_is_a_fault_of_the_connection(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/certificates.pem")
    serve_geyser(monkeypatch, server.address("/geyser.csv").replace("http", "https"))
    with pytest.raises(DataUnavailableError, match="could not be reached") as caught:
        download.fetch(old_faithful._GEYSER)
    one_sentence(caught.value)


@pytest.mark.parametrize(("status", "said"), [(404, "answered with status 404"), (503, "answered with status 503")])
def test_an_error_page_is_no_file(monkeypatch: pytest.MonkeyPatch, server: Server, status: int, said: str) -> None:
    server.answers["/geyser.csv"] = lambda handler: handler.send_error(status)
    serve_geyser(monkeypatch, server.address("/geyser.csv"))
    with pytest.raises(DataUnavailableError, match=said) as caught:
        download.fetch(old_faithful._GEYSER)
    one_sentence(caught.value)


def no_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_bytes(b"a file in place of the folder")


def below_a_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_bytes(b"a file")
    monkeypatch.setenv("AEVB_CACHE_DIR", str(cache / "below"))


def read_only(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(cache))

    monkeypatch.setattr(Path, "touch", denied)


def cannot_be_made(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(cache))

    monkeypatch.setattr(Path, "mkdir", denied)


def full_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_folder, said(errno.EEXIST)),
        (below_a_file, said(errno.ENOTDIR)),
        (read_only, "Permission denied"),
        (cannot_be_made, "Read-only file system"),
        (full_disk, "No space left on device"),
    ],
)
def test_a_cache_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    with monkeypatch.context() as patch:
        spoil(cache, patch)
        geyser = data.old_faithful()
        line = capsys.readouterr().out
        patch.setenv("AEVB_REAL_DATA", "1")
        with pytest.raises(DataUnavailableError) as caught:
            data.old_faithful()
    assert geyser.fallback
    assert line.count("\n") == 1
    message = one_sentence(caught.value)
    assert message in line
    assert re.search(reason, message)
    assert f"cache folder {cache}" in message
    assert "AEVB_CACHE_DIR" in message
