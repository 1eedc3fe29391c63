"""The folder that AEVB_DATA_DIR names comes first, and is left alone."""

from pathlib import Path

import pytest
from geyser_server import CSV, Server, files_in, serve_geyser, sha256
from sentences import one_sentence

from aevb_utils import data
from aevb_utils.data.download import DataError


def test_data_dir_comes_first_and_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "geyser.csv").write_bytes(CSV)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    geyser = data.old_faithful()
    assert not geyser.fallback
    assert str(tmp_path) not in geyser.source
    assert capsys.readouterr().out == ""
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", CSV[:-1], CSV[: len(CSV) // 2], CSV.replace(b"1.600", b"1.601"), b"<html>"])
def test_wrong_content_in_data_dir_is_an_error_and_is_never_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, content: bytes
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    path = tmp_path / "geyser.csv"
    path.write_bytes(content)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="fresh copy") as caught:
        data.old_faithful()
    message = one_sentence(caught.value)
    assert str(path) in message
    assert sha256(CSV)[:12] in message
    assert sha256(content)[:12] in message
    assert path.read_bytes() == content
    assert server.asked == []


def test_data_dir_that_is_no_folder_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path / name))
        with pytest.raises(DataError, match="should name a folder") as caught:
            data.old_faithful()
        assert str(tmp_path / name) in one_sentence(caught.value)


def test_an_empty_data_dir_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    monkeypatch.setenv("AEVB_DATA_DIR", "")
    monkeypatch.chdir(tmp_path)
    Path("geyser.csv").write_bytes(b"another file of that name")
    cache.mkdir()
    (cache / "geyser.csv").write_bytes(CSV)
    assert not data.old_faithful().fallback


def test_a_folder_in_place_of_the_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "geyser.csv").mkdir()
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="should be a file, but is none") as caught:
        data.old_faithful()
    one_sentence(caught.value)


def test_data_dir_without_the_file_goes_on_to_the_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, cache: Path
) -> None:
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path / "empty"))
    assert not data.old_faithful().fallback
    assert files_in(cache) == ["geyser.csv"]
    assert files_in(tmp_path / "empty") == []
