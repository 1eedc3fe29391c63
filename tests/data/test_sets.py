"""Data sets that come with the book or are simulated: what they hold."""

from importlib import import_module

import pytest
import torch
from sentences import one_sentence

from aevb_utils import data

simulated = import_module("aevb_utils.data.simulated_mixture")


def test_mixture_has_the_moments_of_its_parameters() -> None:
    mixture = data.simulated_mixture(60_000, seed=3)
    x, labels = mixture.train, mixture.train_labels
    assert labels is not None
    assert (x.shape, x.dtype, labels.shape, labels.dtype) == ((60_000, 2), torch.float64, (60_000,), torch.int64)
    assert mixture.test is None
    assert not mixture.fallback
    assert len(mixture.label_names) == 3
    assert len(mixture.feature_names) == 2
    for c in range(3):
        part = x[labels == c]
        assert len(part) / len(x) == pytest.approx(simulated.MIXTURE_WEIGHTS[c], abs=0.01)
        torch.testing.assert_close(part.mean(0), torch.tensor(simulated.MIXTURE_MEANS[c]).double(), atol=0.03, rtol=0)
        torch.testing.assert_close(
            torch.cov(part.T), torch.tensor(simulated.MIXTURE_COVARIANCES[c]).double(), atol=0.03, rtol=0
        )


def test_mixture_draws_from_its_own_generator() -> None:
    state = torch.get_rng_state()
    first, again, other = (data.simulated_mixture(50, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.train, again.train)
    assert first.train_labels is not None
    assert again.train_labels is not None
    assert torch.equal(first.train_labels, again.train_labels)
    assert not torch.equal(first.train, other.train)
    torch.manual_seed(123)
    assert torch.equal(first.train, data.simulated_mixture(50).train)


def test_mixture_takes_tensors_of_any_dimension_and_size() -> None:
    mixture = data.simulated_mixture(
        1, weights=torch.ones(1), means=torch.zeros(1, 5), covariances=torch.eye(5)[None], seed=0
    )
    assert mixture.train.shape == (1, 5)
    assert mixture.train_labels is not None
    assert mixture.train_labels.tolist() == [0]


I2 = ((1.0, 0.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n": 0}, "at least 1 point"),
        ({"means": ((0.0, 0.0),)}, "shapes"),
        ({"covariances": (I2, I2)}, "shapes"),
        ({"weights": (0.5, 0.3, 0.3)}, "sum to one"),
        ({"weights": (0.5, 0.6, -0.1)}, "positive"),
        ({"weights": (0.5, 0.5, float("nan"))}, "positive"),
        ({"covariances": (I2, I2, ((1.0, 2.0), (2.0, 1.0)))}, "positive definite"),
        ({"covariances": (I2, I2, ((1.0, 0.5), (0.0, 1.0)))}, "symmetric"),
    ],
)
def test_mixture_refuses_what_is_no_mixture(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        data.simulated_mixture(**wrong)
    one_sentence(caught.value)


def test_iris() -> None:
    iris = data.iris()
    assert iris.train_labels is not None
    assert (iris.train.shape, iris.train.dtype, iris.train_labels.dtype) == ((150, 4), torch.float64, torch.int64)
    assert iris.train[0].tolist() == [5.1, 3.5, 1.4, 0.2]
    assert iris.train_labels.bincount().tolist() == [50, 50, 50]
    assert iris.label_names == ("setosa", "versicolor", "virginica")
    assert all(name.endswith("(cm)") for name in iris.feature_names)
    assert iris.test is None
    assert iris.test_labels is None


def test_wine_is_standardized() -> None:
    wine = data.wine()
    assert wine.train_labels is not None
    assert (wine.train.shape, wine.train.dtype, wine.train_labels.dtype) == ((178, 13), torch.float64, torch.int64)
    torch.testing.assert_close(wine.train.mean(dim=0), torch.zeros(13, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(wine.train.square().mean(dim=0), torch.ones(13, dtype=torch.float64))
    assert wine.train_labels.bincount().tolist() == [59, 71, 48]
    assert wine.label_names == ("cultivar 1", "cultivar 2", "cultivar 3")
    assert wine.feature_names[0] == "alcohol"
    assert wine.train[0, 0].item() == pytest.approx(1.5186, abs=1e-4)  # 14.23 % alcohol, mean 13.00, deviation 0.81


def test_digits() -> None:
    digits, again = data.digits(), data.digits()
    assert digits.test is not None
    assert again.test is not None
    assert digits.train_labels is not None
    assert digits.test_labels is not None
    assert (digits.train.shape, digits.test.shape) == ((1437, 64), (360, 64))
    assert torch.equal(digits.train, again.train)
    assert torch.equal(digits.test, again.test)
    both = torch.cat([digits.train, digits.test])
    assert (both.min(), both.max(), both.dtype) == (0, 16, torch.float64)
    assert torch.equal(both, both.round())
    counts = torch.cat([digits.train_labels, digits.test_labels]).bincount()
    assert (digits.train_labels.bincount() / counts - 0.8).abs().max() < 0.005  # stratified
    assert "0 to 16" in digits.values
    assert len(digits.feature_names) == 64
    # labels belong to their rows: the class means tell nine held-out digits of ten
    means = torch.stack([digits.train[digits.train_labels == c].mean(0) for c in range(10)])
    guesses = torch.cdist(digits.test, means).argmin(1)
    assert (guesses == digits.test_labels).double().mean() > 0.85


def test_a_data_set_says_in_one_line_what_it_is_and_cannot_be_changed() -> None:
    iris = data.iris()
    assert repr(iris) == "Dataset('Iris', train (150, 4), no test part: a length in cm)"
    assert "test (360, 64)" in repr(data.digits())
    with pytest.raises(AttributeError):
        iris.name = "other"  # type: ignore[misc]
    assert iris != data.iris()  # the same object or not: tensors have no single truth value
