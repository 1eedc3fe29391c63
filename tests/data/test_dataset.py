"""The one type of all data sets: what it refuses to hold, and that no loader depends on torch's defaults."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sentences import one_sentence

from aevb_utils import data
from aevb_utils.data import Dataset

NAN = float("nan")
X = torch.rand(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 1, 0, 1, 0])
GOOD = Dataset("two kinds", train=X, test=X[:2], train_labels=LABELS, test_labels=LABELS[:2], label_names=("a", "b"))
SERIES = Dataset("series", train=X[..., None], train_lengths=torch.tensor([1, 2, 3, 3, 2, 1]), redrawn=True)


@pytest.mark.parametrize(
    ("good", "change", "said"),
    [
        (GOOD, {"train": X.numpy()}, "train should be a tensor of floats"),
        (GOOD, {"train": X.long()}, "but is torch.int64 of shape"),
        (GOOD, {"train": X[:, 0]}, "train should be a tensor of floats"),
        (GOOD, {"train": X[:0], "train_labels": None}, "with rows"),
        (GOOD, {"train": X.index_put((torch.tensor(4), torch.tensor(1)), torch.tensor(NAN).double())}, "row 4 is not"),
        (GOOD, {"test": torch.full((2, 3), -torch.inf).double()}, "test should be finite, but row 0 is not"),
        (GOOD, {"test": X[:2].float()}, "test should be as train is"),
        (GOOD, {"test": X[:2, :2]}, "test should be as train is"),
        (GOOD, {"valid": X[..., None]}, "valid should be as train is"),
        (GOOD, {"train_labels": LABELS[:5]}, "train_labels should have one number a row"),
        (GOOD, {"train_labels": LABELS[:, None]}, "train_labels should have one number a row"),
        (GOOD, {"train_labels": LABELS.to(torch.uint8)}, "int64 tensor, but is torch.uint8"),
        (GOOD, {"train_labels": LABELS.double()}, "int64 tensor, but is torch.float64"),
        (GOOD, {"train_labels": LABELS.numpy()}, "int64 tensor, but is int64|ndarray"),
        (GOOD, {"train_labels": LABELS + 1}, "train_labels should go from 0 to 1, but goes from 1 to 2"),
        (GOOD, {"test_labels": LABELS[:2] - 1}, "goes from -1 to 0"),
        (GOOD, {"test": None}, "test_labels should have one number a row, but there are no rows"),
        (GOOD, {"feature_names": ("a", "b")}, "feature_names should name 3 columns, but has 2"),
        (GOOD, {"train": X + 1, "redrawn": True}, "probabilities, from 0 to 1"),
        (SERIES, {"train_lengths": torch.tensor([1, 2, 3, 4, 2, 1])}, "train_lengths should go from 1 to 3"),
        (SERIES, {"train_lengths": torch.tensor([0, 2, 3, 3, 2, 1])}, "train_lengths should go from 1 to 3"),
        (SERIES, {"train_lengths": torch.ones(6)}, "int64 tensor, but is torch.float32"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(good: Dataset, change: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        replace(good, **change)
    assert good.name in one_sentence(caught.value)


def test_probabilities_that_were_spoiled_afterwards_are_not_drawn_from() -> None:
    spoiled = replace(SERIES, train=SERIES.train.clone())
    assert set(spoiled.draw().unique().tolist()) <= {0.0, 1.0}
    for wrong in (1.5, -0.1, NAN):
        spoiled.train[2, 1] = wrong
        with pytest.raises(ValueError, match="series: train should hold probabilities") as caught:
            spoiled.draw()
        one_sentence(caught.value)


LOADERS: list[Callable[[], Dataset]] = [
    data.digits, data.iris, data.wine, data.old_faithful, data.jsb_chorales, data.simulated_mixture,
    data.mnist, lambda: data.mnist("static", variant="fashion"),
]  # fmt: skip


def tensors(data_set: Dataset) -> dict[str, torch.Tensor]:
    values = {field.name: getattr(data_set, field.name) for field in fields(data_set)}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("load", LOADERS)
def test_a_loader_does_not_depend_on_torchs_default_type_and_device(load: Callable[[], Dataset]) -> None:
    expected = tensors(load())
    for name, tensor in expected.items():
        assert tensor.dtype == (torch.int64 if "labels" in name or "lengths" in name else expected["train"].dtype)
    for default in (torch.float64, torch.bfloat16):
        torch.set_default_dtype(default)
        try:
            with torch.device("meta"):
                found = tensors(load())
        finally:
            torch.set_default_dtype(torch.float32)
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            assert (tensor.dtype, tensor.device) == (expected[name].dtype, torch.device("cpu")), name
            assert torch.equal(tensor, expected[name]), name


def test_images_and_piano_rolls_are_of_32_bits_and_the_rest_of_64() -> None:
    types = [load().train.dtype for load in LOADERS]
    wide, narrow = torch.float64, torch.float32
    assert types == [wide, wide, wide, wide, narrow, wide, narrow, narrow]


@pytest.mark.parametrize("kind", [">f8", "<f4", ">f4", ">i2"])
def test_a_mixture_takes_arrays_of_any_byte_order(kind: str) -> None:
    parameters = {"weights": [1.0], "means": [[2.0, 3.0]], "covariances": [[[2.0, 1.0], [1.0, 3.0]]]}
    expected = data.simulated_mixture(20, **parameters).train
    given_arrays = {name: np.array(value, dtype=kind) for name, value in parameters.items()}
    assert torch.equal(data.simulated_mixture(20, **given_arrays).train, expected)
    assert torch.equal(data.simulated_mixture(np.int64(20), **parameters).train, expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 2.5}, {"n": "3"}, {"means": [[NAN, 0.0]]}, {"means": [[np.inf, 0.0]]}, {"weights": []},
        {"means": np.ma.masked_array([[1.0, 2.0]], mask=[[False, True]])},
    ],
)  # fmt: skip
def test_a_mixture_refuses_what_it_does_not_know(wrong: dict) -> None:
    right = {"weights": [1.0], "means": [[2.0, 3.0]], "covariances": [[[2.0, 1.0], [1.0, 3.0]]]}
    with pytest.raises(ValueError, match="must") as caught:
        data.simulated_mixture(**(right | wrong))
    one_sentence(caught.value)


@given(arrays(np.float64, (4, 2), elements=st.floats() | st.floats(0, 1)))
def test_a_data_set_holds_finite_numbers_and_is_drawn_from_probabilities(x: np.ndarray) -> None:
    finite = bool(np.isfinite(x).all())
    for redrawn, fit in ((False, finite), (True, finite and bool(((x >= 0) & (x <= 1)).all()))):
        try:
            drawn = Dataset("any", train=torch.from_numpy(x), redrawn=redrawn).draw()
        except ValueError as error:
            one_sentence(error)
            drawn = None
        assert (drawn is not None) == fit
        assert drawn is None or drawn.isfinite().all()
