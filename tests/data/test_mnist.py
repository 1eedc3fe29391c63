"""MNIST: the strict parser of its files, the four kinds of pixels, and what stands in where there is none."""

import gzip
import hashlib
import os
import struct
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentences import one_sentence
from torch import Tensor

from aevb_utils import budget, data
from aevb_utils.data import download
from aevb_utils.data.download import DataError
from aevb_utils.data.idx import parse_idx
from aevb_utils.training import fit

module = import_module("aevb_utils.data.mnist")
DATA_DIR = os.environ.get("AEVB_DATA_DIR")
SHAPES = {"train": (40, 28, 28), "train_labels": (40,), "test": (7, 28, 28), "test_labels": (7,)}
KINDS = ("dynamic", "static", "threshold", "grey")


def idx(values: Tensor) -> bytes:
    """A file of unsigned bytes in the IDX format, written by its description."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.byte().numpy().tobytes()


def contents() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    ranges = {part: 10 if len(shape) == 1 else 256 for part, shape in SHAPES.items()}
    values = {part: torch.randint(ranges[part], shape, generator=generator) for part, shape in SHAPES.items()}
    values["train"][0, 0, :4] = torch.tensor([0, 127, 128, 255])
    return values


@pytest.fixture(params=["digits"])
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variant: str) -> dict[str, Tensor]:
    """Files like a variant's, of a few images, in a full run's data folder; returns what they hold."""
    values, files = contents(), {}
    data_set = module._DATA_SETS[variant]
    for part, published in data_set.files.items():
        content = idx(values[part])
        packed = gzip.compress(content)
        digest = hashlib.sha256(packed if published.packed else content).hexdigest()
        files[part] = replace(published, sha256=digest, size=len(content))
        path = tmp_path / published.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(packed)
    monkeypatch.setattr(module, "_SHAPES", SHAPES)
    monkeypatch.setitem(module._DATA_SETS, variant, data_set._replace(files=files))
    monkeypatch.setattr(budget, "FAST", False)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AEVB_CACHE_DIR", str(tmp_path / "cache"))
    return values


# The format


def test_parser_reads_shape_and_order() -> None:
    values = torch.arange(24).reshape(2, 3, 4)
    read = parse_idx(idx(values), "file", (2, 3, 4))
    assert read.dtype == torch.uint8
    assert torch.equal(read, values.byte())


GOOD = idx(torch.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with nothing"),
        (GOOD[:3], "begins with 000008"),
        (b"\0\0\x0d" + GOOD[3:], "magic number 00000803 .* begins with 00000d03"),
        (idx(torch.arange(24).reshape(6, 4)), "begins with 00000802"),
        (b"\x1f\x8b" + GOOD[2:], "begins with 1f8b"),
        (GOOD[:15], "header of 16 bytes, but has only 15"),
        (GOOD[:4], "header of 16 bytes, but has only 4"),
        (idx(torch.arange(24).reshape(3, 2, 4)), "2 × 3 × 4 numbers, but its header says 3 × 2 × 4"),
        (idx(torch.arange(12).reshape(1, 3, 4)), "header says 1 × 3 × 4"),
        (GOOD[:-1], "ends 1 bytes too early"),
        (GOOD[:16], "ends 24 bytes too early"),
        (GOOD + b"\0", "has 1 bytes to spare"),
    ],
)
def test_parser_refuses_a_malformed_file(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        parse_idx(content, "mnist/some-file", (2, 3, 4))
    assert one_sentence(caught.value).startswith("mnist/some-file should ")


@given(st.data())
def test_a_damaged_idx_file_gives_numbers_of_its_shape_or_a_sentence(data: st.DataObject) -> None:
    raw = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.sampled_from([start, start + 1, start + 4, len(raw)]))
        raw[start:end] = data.draw(st.binary(max_size=8))
    try:
        numbers = parse_idx(bytes(raw), "a file", (2, 3, 4))
    except DataError as error:
        one_sentence(error)
    else:
        assert (numbers.shape, numbers.dtype) == ((2, 3, 4), torch.uint8)
        assert numbers.flatten().tolist() == list(raw[16:])


# The data set


@pytest.mark.parametrize("pixels", KINDS)
def test_parts_have_the_files_rows_and_labels(small_files: dict[str, Tensor], pixels: str) -> None:
    mnist = data.mnist(pixels)
    assert mnist.name == "MNIST"
    assert not mnist.fallback
    assert (mnist.train.shape, mnist.test.shape) == ((40, 784), (7, 784))
    assert mnist.train.dtype == mnist.test.dtype == torch.float32
    assert mnist.train_labels.dtype == mnist.test_labels.dtype == torch.int64
    assert torch.equal(mnist.train_labels, small_files["train_labels"])
    assert torch.equal(mnist.test_labels, small_files["test_labels"])


def test_grey_levels_are_bytes_over_255(small_files: dict[str, Tensor]) -> None:
    mnist = data.mnist("grey")
    assert torch.equal((mnist.train * 255).round().long(), small_files["train"].reshape(40, 784))
    assert (mnist.train.min(), mnist.train.max()) == (0, 1)
    assert torch.equal(mnist.draw(), mnist.train)


def test_threshold_is_at_128(small_files: dict[str, Tensor]) -> None:
    mnist = data.mnist("threshold")
    assert mnist.train[0, :4].tolist() == [0, 0, 1, 1]
    assert torch.equal(mnist.train, (small_files["train"] >= 128).float().reshape(40, 784))
    assert torch.equal(mnist.test, (small_files["test"] >= 128).float().reshape(7, 784))


def test_static_pixels_are_drawn_once_from_the_grey_levels(small_files: dict[str, Tensor]) -> None:
    mnist, again, grey = data.mnist("static"), data.mnist("static"), data.mnist("grey")
    assert torch.equal(mnist.train, again.train)
    assert torch.equal(mnist.draw(), mnist.train)
    assert set(mnist.train.unique().tolist()) == {0.0, 1.0}
    assert (mnist.train[grey.train == 0] == 0).all()
    assert (mnist.train[grey.train == 1] == 1).all()
    z_score = (mnist.train - grey.train).sum() / (grey.train * (1 - grey.train)).sum().sqrt()
    assert abs(z_score) < 4


def test_dynamic_pixels_are_drawn_anew_and_the_test_part_is_fixed(small_files: dict[str, Tensor]) -> None:
    mnist, grey, static = data.mnist(), data.mnist("grey"), data.mnist("static")
    assert torch.equal(mnist.train, grey.train)
    torch.manual_seed(5)
    first, second = mnist.draw(), mnist.draw()
    torch.manual_seed(5)
    assert torch.equal(mnist.draw(), first)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    assert torch.equal(mnist.test, static.test)
    assert torch.equal(mnist.test, data.mnist().test)
    assert set(mnist.test.unique().tolist()) == {0.0, 1.0}


class Seen(torch.nn.Module):
    """A model that keeps the data it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(()))
        self.rows: list[Tensor] = []

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        self.rows.append(x)
        return {"reconstruction": self.bias - x.sum(dim=1)}

    def generative_parameters(self) -> list[torch.nn.Parameter]:
        return [self.bias]

    def inference_parameters(self) -> list[torch.nn.Parameter]:
        return []


def test_fit_draws_an_epoch_at_a_time_from_its_seed(small_files: dict[str, Tensor]) -> None:
    mnist, runs = data.mnist(), []
    for seed in (0, 0, 1):
        model = Seen()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.manual_seed(len(runs))  # fit reads no generator but its own
        fit(model, mnist.draw, optimizer=optimizer, epochs=2, batch_size=40, seed=seed)
        runs.append(model.rows)
    assert [len(rows) for rows in runs] == [2, 2, 2]
    assert set(runs[0][0].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(torch.stack(runs[0]), torch.stack(runs[1]))
    assert not torch.equal(torch.stack(runs[0]), torch.stack(runs[2]))
    assert not torch.equal(runs[0][0].sum(dim=0), runs[0][1].sum(dim=0))  # not a mere permutation


def test_loading_leaves_the_global_generator_alone(small_files: dict[str, Tensor]) -> None:
    before = torch.get_rng_state()
    for pixels in KINDS:
        data.mnist(pixels)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_kind_of_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="'dynamic', 'static', 'threshold', 'grey', not 'gray'") as caught:
        data.mnist("gray")
    one_sentence(caught.value)


# The data sets of its format


@pytest.mark.parametrize(
    ("variant", "name", "first"),
    [("fashion", "Fashion-MNIST", "T-shirt/top"), ("kmnist", "Kuzushiji-MNIST", "o")],
    indirect=["variant"],
)
@pytest.mark.parametrize("pixels", ["dynamic", "threshold"])
def test_a_data_set_of_mnists_format_has_the_same_loader_and_its_own_names(
    small_files: dict[str, Tensor], variant: str, name: str, first: str, pixels: str
) -> None:
    other = data.mnist(pixels, variant=variant)
    assert other.name == name
    assert name.split("-")[0].casefold() in other.source.casefold() or "KMNIST" in other.source
    assert not other.fallback
    assert other.label_names[0] == first
    assert len(other.label_names) == 10
    grey = small_files["train"].reshape(40, 784) / 255
    assert torch.equal(other.train, grey if pixels == "dynamic" else (grey >= 0.5).float())
    assert torch.equal(other.test_labels, small_files["test_labels"])


@pytest.mark.parametrize("variant", ["fashion", "kmnist"], indirect=True)
def test_mnists_own_files_are_not_taken_for_another_data_set(
    small_files: dict[str, Tensor], variant: str, tmp_path: Path
) -> None:
    path = tmp_path / module._DATA_SETS[variant].files["train"].path
    path.write_bytes(gzip.compress(idx(small_files["train"].flip(0))))
    with pytest.raises(DataError, match="SHA-256") as caught:
        data.mnist("grey", variant=variant)
    assert str(path) in one_sentence(caught.value)


def test_the_three_data_sets_have_twelve_files_of_their_own() -> None:
    files = [file for data_set in module._DATA_SETS.values() for file in data_set.files.values()]
    assert len({file.sha256 for file in files}) == len({file.path for file in files}) == 12
    assert all(len(bytes.fromhex(file.sha256)) == 32 for file in files)
    assert {file.size for file in files} == {47_040_016, 7_840_016, 60_008, 10_008}
    assert [name for name, data_set in module._DATA_SETS.items() if data_set.files["train"].packed] == ["kmnist"]


@pytest.mark.parametrize("variant", ["fashion", "kmnist"])
def test_the_fast_run_says_what_the_small_digits_stand_for(monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    monkeypatch.setattr(budget, "FAST", True)
    stand_in = data.mnist("grey", variant=variant)
    assert stand_in.fallback
    assert stand_in.name == f"Digits 8×8, in place of {module._DATA_SETS[variant].name}"
    assert torch.equal(stand_in.train, data.mnist("grey").train)
    assert stand_in.label_names == tuple("0123456789")  # they are digits, no T-shirts


def test_another_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="'digits', 'fashion', 'kmnist', not 'Fashion'") as caught:
        data.mnist("grey", variant="Fashion")
    one_sentence(caught.value)


# Where there is no MNIST


def unreachable(monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    """Let nobody answer where the files are published."""
    data_set = module._DATA_SETS[variant]
    files = {part: replace(file, urls=("http://127.0.0.1:9/x",)) for part, file in data_set.files.items()}
    monkeypatch.setitem(module._DATA_SETS, variant, data_set._replace(files=files))


@pytest.mark.parametrize("pixels", KINDS)
def test_fast_run_gets_the_small_digits_and_asks_for_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pixels: str
) -> None:
    monkeypatch.setattr(budget, "FAST", True)
    monkeypatch.setenv("AEVB_DATA_DIR", "/nowhere")
    mnist, digits = data.mnist(pixels), data.digits()
    assert capsys.readouterr().out == ""
    assert mnist.fallback
    assert "in place of MNIST" in mnist.name
    assert (mnist.train.shape, mnist.test.shape) == ((1437, 64), (360, 64))
    assert mnist.train.dtype == torch.float32
    assert torch.equal(mnist.train_labels, digits.train_labels)
    assert torch.equal(mnist.test_labels, digits.test_labels)
    assert torch.equal(mnist.train.round(decimals=1).unique(), torch.tensor([0.0, 1.0])) == (
        pixels in ("static", "threshold")
    )
    assert set(mnist.draw().unique().tolist()) == {0.0, 1.0} or pixels == "grey"


def test_a_full_run_without_the_files_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(budget, "FAST", False)
    monkeypatch.delenv("AEVB_DATA_DIR", raising=False)
    monkeypatch.delenv("AEVB_REAL_DATA", raising=False)
    monkeypatch.setenv("AEVB_CACHE_DIR", str(tmp_path))
    unreachable(monkeypatch, "digits")
    mnist = data.mnist()
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert "train-images-idx3-ubyte.gz could not be downloaded" in printed
    assert "goes on with scikit-learn's digits of 8 × 8 pixels." in printed
    assert mnist.fallback
    monkeypatch.setenv("AEVB_REAL_DATA", "1")
    with pytest.raises(download.DataUnavailableError):
        data.mnist()


def test_a_wrong_file_is_an_error(small_files: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / module._DATA_SETS["digits"].files["test"].path
    path.write_bytes(gzip.compress(idx(small_files["test"])[:-1]))
    with pytest.raises(DataError, match="SHA-256"):
        data.mnist()


# The real files


@pytest.mark.skipif(not DATA_DIR, reason="needs MNIST: set AEVB_DATA_DIR")
def test_real_mnist(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(budget, "FAST", False)
    mnist = data.mnist("threshold")
    assert capsys.readouterr().out == ""
    assert not mnist.fallback
    assert (mnist.train.shape, mnist.test.shape) == ((60_000, 784), (10_000, 784))
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test_labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.train.mean().item() == pytest.approx(0.1325, abs=5e-4)


@pytest.mark.skipif(not DATA_DIR, reason="needs MNIST: set AEVB_DATA_DIR")
def test_independent_pixels_on_real_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trivial model: each pixel with its own mean, known to give about −205.8 nats a digit."""
    monkeypatch.setattr(budget, "FAST", False)
    mnist = data.mnist()
    p = mnist.train.mean(dim=0).clamp(1e-4, 1 - 1e-4)
    log_p = mnist.test @ (p / (1 - p)).log() + (1 - p).log().sum()
    assert log_p.mean().item() == pytest.approx(-205.8, abs=1.5)
