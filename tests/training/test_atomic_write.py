"""Files that are written whole or not at all: two writers, links, what is no file, errors on the way."""

import errno
import os
import threading
from pathlib import Path

import pytest
from systems import needs_links, needs_modes, needs_pipes, said

from aevb_utils.training.atomic_write import write_atomically


@pytest.fixture
def path(tmp_path):
    """A file that is there."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def test_the_content_is_that_of_the_last_write(path):
    write_atomically(path, b"new")
    write_atomically(path.with_name("other"), b"\0other")
    assert path.read_bytes() == b"new"
    assert path.with_name("other").read_bytes() == b"\0other"
    assert {file.name for file in path.parent.iterdir()} == {"file", "other"}


@needs_modes
def test_permissions_are_those_of_the_file_before_or_of_any_new_file(path):
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o640
    plain, written = path.with_name("plain"), path.with_name("written")
    plain.touch()
    write_atomically(written, b"new")
    assert written.stat().st_mode == plain.stat().st_mode


@needs_links
def test_a_link_stays_a_link_and_its_file_is_replaced(path, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for target in ("file", "not there yet"):
        link = folder / f"link to {target}"
        link.symlink_to(Path("..") / target)
        write_atomically(link, b"new")
        assert link.is_symlink()
        assert (tmp_path / target).read_bytes() == b"new"
    assert {file.name for file in tmp_path.iterdir()} == {"file", "not there yet", "elsewhere"}
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(Path.mkdir, "a folder, a pipe or a device is there", id="folder"),
        pytest.param(
            lambda place: os.mkfifo(place), "a folder, a pipe or a device is there", id="pipe", marks=needs_pipes
        ),
        pytest.param(
            lambda place: place.symlink_to(place.name), said(errno.ELOOP), id="link to itself", marks=needs_links
        ),
    ],
)
def test_what_is_no_file_is_refused_and_stays(tmp_path, make, message):
    place = tmp_path / "place"
    make(place)
    before = place.lstat()
    with pytest.raises(OSError, match=message):
        write_atomically(place, b"new")
    assert place.lstat().st_ino == before.st_ino
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("moment", [(os, "fsync"), (Path, "replace")], ids=["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "Ctrl-C"])
def test_an_error_on_the_way_leaves_the_old_file_and_nothing_else(path, monkeypatch, moment, error):
    def fail(*arguments):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(*moment, fail)
        with pytest.raises(type(error)):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_writer_that_dies_half_way_does_not_touch_what_another_is_writing(path, monkeypatch):
    """The second writer begins and fails after the first has written its bytes and before they are moved."""
    sync, failed = os.fsync, []

    def break_off(*arguments):
        raise OSError("broken off")

    def begin_another_write(descriptor):
        sync(descriptor)
        if not failed:
            failed.append(True)
            with monkeypatch.context() as patch:
                patch.setattr(Path, "replace", break_off)
                with pytest.raises(OSError, match="broken off"):
                    write_atomically(path, b"second")

    monkeypatch.setattr(os, "fsync", begin_another_write)
    write_atomically(path, b"first")
    assert failed
    assert path.read_bytes() == b"first"


def test_readers_see_whole_files_while_many_write(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the disk's part takes time and changes nothing here
    contents = [bytes([writer]) * 50_000 for writer in range(4)]
    path.write_bytes(contents[0])

    def write(content):
        for _ in range(15):
            write_atomically(path, content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    assert path.read_bytes() in contents
    assert list(path.parent.iterdir()) == [path]
