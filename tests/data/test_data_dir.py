"""A user's own copies of the data files: where they may lie, how they may be called, what is said of the rest."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentences import one_sentence
from systems import needs_links, needs_pipes

from aevb_utils.data import download
from aevb_utils.data.download import DataError, DataUnavailableError, RemoteFile

CONTENT = bytes(range(256)) * 20
NOWHERE = ("http://127.0.0.1:9/x",)


def published(path: str, content: bytes = CONTENT, *, packed: bool = False) -> RemoteFile:
    raw = gzip.compress(content, mtime=0) if packed else content
    return RemoteFile(path, NOWHERE, hashlib.sha256(raw).hexdigest(), len(content), packed)


IMAGES = published("mnist/train-images-idx3-ubyte.gz")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user's folder, and an empty cache."""
    folder = tmp_path / "data of müller"
    folder.mkdir()
    monkeypatch.setenv("AEVB_DATA_DIR", str(folder))
    monkeypatch.setenv("AEVB_CACHE_DIR", str(tmp_path / "cache"))
    return folder


def put(path: Path, content: bytes = CONTENT, *, zipped: bool | None = None) -> Path:
    """Write a copy, compressed where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    zipped = path.name.lower().endswith(".gz") if zipped is None else zipped
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


@pytest.mark.parametrize(
    "place", ["mnist", "MNIST", "MNIST/raw", "Mnist/RAW", ".", "raw", "data/MNIST/raw", "MNIST_data", "mnist dataset"]
)
@pytest.mark.parametrize(
    "name",
    [
        "train-images-idx3-ubyte.gz", "train-images-idx3-ubyte",
        "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz",
        "TRAIN-IMAGES-IDX3-UBYTE.GZ", "train_images_idx3_ubyte", "train-images-idx3-ubyte/train-images-idx3-ubyte",
    ],
)  # fmt: skip
def test_a_right_copy_is_found_in_the_layouts_people_have(folder: Path, place: str, name: str) -> None:
    put(folder / place / name)
    assert download.fetch(IMAGES) == CONTENT


@pytest.mark.parametrize("named", ["MNIST", "MNIST/raw"])
def test_the_variable_may_name_the_data_sets_own_folder(
    monkeypatch: pytest.MonkeyPatch, folder: Path, named: str
) -> None:
    put(folder / "MNIST/raw/train-images-idx3-ubyte")
    monkeypatch.setenv("AEVB_DATA_DIR", str(folder / named))
    assert download.fetch(IMAGES) == CONTENT


@pytest.mark.parametrize(
    ("path", "copy"),
    [
        ("geyser.csv", "Geyser.CSV"),
        ("geyser.csv", "geyser.csv.gz"),
        ("geyser.csv", "data/geyser.csv"),
        ("jsb-chorales/jsb-chorales-quarter.json", "jsb-chorales-quarter.json"),
        ("jsb-chorales/jsb-chorales-quarter.json", "JSB-Chorales-dataset/jsb-chorales-quarter.json"),
        ("jsb-chorales/jsb-chorales-quarter.json", "JSB Chorales/jsb_chorales_quarter.json.gz"),
        ("fashion-mnist/t10k-images-idx3-ubyte.gz", "FashionMNIST/raw/t10k-images-idx3-ubyte"),
        ("kmnist/t10k-images-idx3-ubyte.gz", "KMNIST/raw/t10k-images-idx3-ubyte.gz"),
    ],
)
def test_every_file_of_the_book_is_found_by_the_same_rules(folder: Path, path: str, copy: str) -> None:
    put(folder / copy)
    assert download.fetch(published(path)) == CONTENT


def test_a_name_that_does_not_tell_whether_it_is_compressed_is_no_matter(folder: Path) -> None:
    copy = put(folder / "mnist/train-images-idx3-ubyte", zipped=True)
    assert download.fetch(IMAGES) == CONTENT
    copy.unlink()
    put(folder / "mnist/train-images-idx3-ubyte.gz", zipped=False)
    assert download.fetch(IMAGES) == CONTENT


@pytest.mark.parametrize("value", [" {} ", '"{}"', "'{}'", "{}/", "{}/mnist/.."])
def test_blanks_and_quotation_marks_round_the_folder_do_not_count(
    monkeypatch: pytest.MonkeyPatch, folder: Path, value: str
) -> None:
    put(folder / IMAGES.path)
    monkeypatch.setenv("AEVB_DATA_DIR", value.format(folder))
    assert download.fetch(IMAGES) == CONTENT


def test_the_folder_may_be_relative_and_begin_with_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    put(folder / IMAGES.path)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AEVB_DATA_DIR", ".")
    assert download.fetch(IMAGES) == CONTENT
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("AEVB_DATA_DIR", "~/mnist")
    assert download.fetch(IMAGES) == CONTENT


@pytest.mark.parametrize("name", ["~nobody-of-this-name/data", "C:\\data", "/nowhere", "http://x/y"])
def test_what_is_no_folder_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AEVB_DATA_DIR", name)
    with pytest.raises(DataError, match=r"AEVB_DATA_DIR should name a folder, but .* is none") as caught:
        download.fetch(IMAGES)
    one_sentence(caught.value)


def test_a_folder_of_another_data_set_is_not_looked_into(folder: Path) -> None:
    put(folder / "FashionMNIST/raw/train-images-idx3-ubyte.gz", b"clothes")
    with pytest.raises(DataUnavailableError, match="found FashionMNIST"):
        download.fetch(IMAGES)


def test_a_right_copy_beside_a_wrong_one_is_taken(folder: Path) -> None:
    put(folder / IMAGES.path, b"damaged")
    put(folder / "mnist/train-images-idx3-ubyte")
    assert download.fetch(IMAGES) == CONTENT


def test_wrong_copies_are_refused_by_name_and_left_alone(folder: Path, tmp_path: Path) -> None:
    cached = put(tmp_path / "cache/mnist/train-images-idx3-ubyte")
    first = put(folder / "MNIST/raw/train-images-idx3-ubyte", b"other")
    second = put(folder / "train-images.idx3-ubyte", b"")
    with pytest.raises(DataError, match="SHA-256") as caught:
        download.fetch(IMAGES)
    message = one_sentence(caught.value)
    assert str(second) in message
    assert "1 more that are wrong too" in message
    assert not isinstance(caught.value, DataUnavailableError)
    assert (first.read_bytes(), second.read_bytes(), cached.read_bytes()) == (b"other", b"", CONTENT)


def test_without_a_copy_the_message_says_where_it_looked_and_what_it_found(folder: Path) -> None:
    put(folder / "MNIST/raw/t10k-images-idx3-ubyte.gz")
    (folder / "notes.txt").touch()
    with pytest.raises(DataUnavailableError) as caught:
        download.fetch(IMAGES)
    message = one_sentence(caught.value)
    assert "mnist/train-images-idx3-ubyte.gz could not be downloaded" in message
    assert "AEVB_DATA_DIR does not have it" in message
    places = f"looked in {folder}, {folder / 'MNIST'}, {folder / 'MNIST/raw'}"
    assert f"{places} and found t10k-images-idx3-ubyte.gz, raw, MNIST, notes.txt" in message
    assert f"put the file in {folder}." in message
    assert "set AEVB_DATA_DIR" not in message


def test_an_empty_folder_is_said_to_hold_nothing_and_a_full_one_is_not_read_out(folder: Path) -> None:
    with pytest.raises(DataUnavailableError, match="found nothing"):
        download.fetch(IMAGES)
    for i in range(100):
        (folder / f"{i:03}.txt").touch()
    with pytest.raises(DataUnavailableError, match=r"found 000.txt, .*, 005.txt and 94 more\)"):
        download.fetch(IMAGES)


def test_without_the_variable_the_message_says_to_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEVB_DATA_DIR", " ")
    with pytest.raises(DataUnavailableError, match="set AEVB_DATA_DIR to that folder") as caught:
        download.fetch(IMAGES)
    one_sentence(caught.value)


def test_files_that_are_not_there_come_from_the_cache(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "cache/mnist/train-images-idx3-ubyte")
    put(folder / "mnist/t10k-images-idx3-ubyte.gz")
    assert download.fetch(IMAGES) == CONTENT


@needs_links
@needs_pipes
def test_a_broken_link_and_a_pipe_are_no_files(folder: Path) -> None:
    (folder / "mnist").mkdir()
    (folder / IMAGES.path).symlink_to(folder / "gone")
    with pytest.raises(DataError, match="should be a file, but is none"):
        download.fetch(IMAGES)
    (folder / IMAGES.path).unlink()
    os.mkfifo(folder / IMAGES.path)
    with pytest.raises(DataError, match="should be a file, but is none"):
        download.fetch(IMAGES)


def test_where_the_compressed_file_alone_is_known_it_alone_is_taken(folder: Path) -> None:
    file = published("kmnist/train-images-idx3-ubyte.gz", packed=True)
    unpacked = put(folder / "KMNIST/raw/train-images-idx3-ubyte")
    with pytest.raises(DataError, match="whose checksum is the only one published, but is not compressed") as caught:
        download.fetch(file)
    one_sentence(caught.value)
    unpacked.unlink()
    other = gzip.compress(CONTENT, 1, mtime=1)
    (folder / "KMNIST/raw/train-images-idx3-ubyte.gz").write_bytes(other)  # other bytes of the same content
    with pytest.raises(DataError, match="SHA-256"):
        download.fetch(file)
    (folder / "KMNIST/raw/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(CONTENT, mtime=0))
    assert download.fetch(file) == CONTENT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.booleans(), st.booleans())
def test_a_damaged_copy_gives_the_right_content_or_a_sentence(
    folder: Path, data: st.DataObject, zipped: bool, packed: bool
) -> None:
    """Bytes are changed, cut out, put in or taken from the end, in a file or in its compression."""
    raw = bytearray(gzip.compress(CONTENT, mtime=0) if zipped or packed else CONTENT)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.sampled_from([start, start + 1, start + 40, len(raw)]))
        raw[start:end] = data.draw(st.binary(max_size=50))
    put(folder / IMAGES.path, bytes(raw), zipped=False)
    try:
        came = download.fetch(published(IMAGES.path, packed=packed))
    except DataError as error:
        came = error
    if isinstance(came, DataError):
        assert not isinstance(came, DataUnavailableError)
        assert str(folder / IMAGES.path) in one_sentence(came)
    else:
        assert came == CONTENT
