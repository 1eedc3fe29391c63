"""The conditional VAE: where y enters, what is refused, the mixture over labels, quadrants, shipped weights.

That it keeps the contract is tested with all models, in ``test_contract.py``.
"""

import math
import os

import pytest
import torch
from sentences import one_sentence
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from aevb_utils import budget, data, results
from aevb_utils.evaluation.bounds import elbo_terms, iwae_bound
from aevb_utils.models.conditional_vae import (
    ConditionalVAE,
    DirectNetwork,
    bounds_by_label,
    grey_bernoulli,
    mixture_bound,
    observed_pixels,
)
from aevb_utils.training import fit, pretrained

DATA_DIR = os.environ.get("AEVB_DATA_DIR")
WAYS = ("likelihood", "prior", "both")
TASKS = [(pixels, quadrants) for pixels in ("grey", "dynamic") for quadrants in ("1", "2", "3")]


def build(enters: str = "likelihood") -> tuple[ConditionalVAE, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = ConditionalVAE(D=5, C=3, L=2, enters=enters, hidden=(8, 7))
    return model, torch.randint(0, 2, (6, 5)).float(), torch.eye(3).repeat(2, 1)


# Where y enters


@pytest.mark.parametrize("enters", WAYS)
def test_y_moves_what_it_enters_and_always_the_encoder(enters: str) -> None:
    model, x, y = build(enters)
    z, other = torch.randn(6, 2), y.roll(1, dims=1)
    likelihoods = [model.p_x_given_z(z, context).mean for context in (y, other)]
    priors = [model.p_z(context).mean for context in (y, other)]
    encoders = [model.q_z_given_x(x, context).mean for context in (y, other)]
    assert torch.equal(*likelihoods) == (enters == "prior")
    assert torch.equal(*priors) == (enters == "likelihood")
    assert not torch.equal(*encoders)


@pytest.mark.parametrize("enters", WAYS)
def test_a_learned_prior_belongs_to_theta(enters: str) -> None:
    model, _, _ = build(enters)
    theta, phi = set(model.generative_parameters()), set(model.inference_parameters())
    assert theta.isdisjoint(phi)
    assert theta | phi == set(model.parameters())
    assert (model.prior is None) == (enters == "likelihood")
    if model.prior is not None:
        assert set(model.prior.parameters()) <= theta


def test_another_way_is_refused() -> None:
    with pytest.raises(ValueError, match='enters must be "likelihood", "prior" or "both", not \'posterior\'') as caught:
        ConditionalVAE(5, 3, 2, enters="posterior")
    one_sentence(caught.value)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (torch.tensor([0, 1, 2, 0, 1, 2]), r"Expected y of shape \(batch, 3\), not \(6,\)"),
        (torch.zeros(6, 4), r"Expected y of shape \(batch, 3\), not \(6, 4\)"),
        (torch.zeros(6, 3, dtype=torch.float64), "y is torch.float64 and the model is torch.float32"),
        (torch.zeros(5, 3), "Expected 6 rows of y, as of x, not 5"),
    ],
)
def test_a_context_that_does_not_fit_is_refused(y: torch.Tensor, said: str) -> None:
    model, x, _ = build()
    with pytest.raises(ValueError, match=said) as caught:
        model.elbo(x, y)
    one_sentence(caught.value)


@pytest.mark.parametrize("enters", WAYS)
def test_samples_have_one_row_of_y_each_or_one_for_all(enters: str) -> None:
    model, _, y = build(enters)
    for context in (y, y[:1]):
        x, z = model.sample(6, context)
        assert x.shape == (6, 5)
        assert z.shape == (6, 2)
        assert ((x == 0) | (x == 1)).all()
    with pytest.raises(ValueError, match="Expected y of 1 row or of 4") as caught:
        model.sample(4, y)
    one_sentence(caught.value)


def test_a_batch_of_one() -> None:
    model, x, y = build("both")
    assert model.elbo(x[:1], y[:1]).shape == (1,)
    assert model.log_weights(x[:1], y[:1], num_samples=4).shape == (4, 1)


def test_the_label_is_used_and_a_shuffled_one_is_not_worth_anything() -> None:
    """Data that are their label, noisily: what a label can be worth is reached, and shuffling it away ends it."""
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (600,))
    y = one_hot(labels, 3).float()
    x = torch.where(torch.rand(600, 6) < 0.02, 1 - y.repeat(1, 2), y.repeat(1, 2))
    worth = {}
    for name, order in {"true": torch.arange(600), "shuffled": torch.randperm(600)}.items():
        model = ConditionalVAE(6, 3, 2, hidden=(16,))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        fit(model, (x, y[order]), optimizer=optimizer, epochs=40, batch_size=50, seed=0)
        by_label = bounds_by_label(model, x, num_samples=50)
        own = by_label.gather(0, labels[order][None])[0]
        worth[name] = (own - mixture_bound(by_label)).mean().item()
    assert 0.9 < worth["true"] <= math.log(3)
    assert abs(worth["shuffled"]) < 0.2


# The mixture over labels


def test_the_mixture_is_a_log_mean_and_never_far_below_a_label() -> None:
    model, x, _ = build("both")
    by_label = bounds_by_label(model, x, num_samples=7)
    assert by_label.shape == (3, 6)
    torch.testing.assert_close(mixture_bound(by_label), by_label.exp().mean(dim=0).log())
    assert (mixture_bound(by_label) >= by_label - math.log(3) - 1e-5).all()


def test_bounds_by_label_are_those_of_each_label() -> None:
    model, x, _ = build()
    by_label = bounds_by_label(model, x, num_samples=7)
    for label in range(3):
        y = one_hot(torch.full((6,), label), 3).float()
        torch.testing.assert_close(by_label[label], iwae_bound(model, x, y, num_samples=7))


# Quadrants


def test_the_masks_are_those_of_the_published_task() -> None:
    bottom_left, left, all_but_one = (observed_pixels(4, k).reshape(4, 4) for k in (1, 2, 3))
    assert bottom_left.tolist() == [[False] * 4] * 2 + [[True, True, False, False]] * 2
    assert left.tolist() == [[True, True, False, False]] * 4
    assert all_but_one.tolist() == [[True] * 4] * 2 + [[True, True, False, False]] * 2
    with pytest.raises(ValueError, match="1, 2 or 3 quadrants can be observed, not 4") as caught:
        observed_pixels(4, 4)
    one_sentence(caught.value)


def test_the_direct_network_is_trained_by_the_same_fit() -> None:
    torch.manual_seed(0)
    y = torch.randint(0, 2, (200, 2)).float()
    model = DirectNetwork(2, 2, hidden=(16,))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    fit(model, (y.flip(1), y), optimizer=optimizer, epochs=20, batch_size=20, seed=0)
    assert model.elbo_terms(y.flip(1), y)["reconstruction"].mean() > -0.1
    assert model.inference_parameters() == []
    assert isinstance(model, nn.Module)


def test_grey_bernoulli_is_the_cross_entropy() -> None:
    logits, x = torch.randn(4, 9), torch.rand(4, 9)
    said = grey_bernoulli(logits).log_prob(x)
    torch.testing.assert_close(said, -binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1))


@pytest.mark.parametrize(("pixels", "quadrants"), TASKS)
def test_the_latent_is_ahead_of_the_network_in_every_task(pixels: str, quadrants: str) -> None:
    figures = results.load("quadrants")["figures"]
    task = figures[pixels][quadrants]
    assert task["conditional VAE"]["nll"] < task["network"]["nll"]
    assert task["conditional VAE"]["nll"] <= -task["conditional VAE"]["elbo"]
    if pixels == "grey":
        assert task["conditional VAE"]["nll"] <= {"1": 71.8, "2": 51.0, "3": 24.2}[quadrants]


def test_conditional_and_unconditional_differ_in_the_label_alone() -> None:
    plain, conditional = (results.load(name)["figures"] for name in ("vae_continuous", "cvae_continuous"))
    for entry in ("seed", "epochs", "batch_size"):
        assert plain[entry] == conditional[entry]
    assert conditional["elbo"] > 1820


# Shipped weights


@pytest.mark.skipif(not DATA_DIR, reason="needs MNIST: set AEVB_DATA_DIR")
def test_shipped_weights_do_what_is_said_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "FAST", False)
    mnist = data.mnist("dynamic")
    y, observed = one_hot(mnist.test_labels, 10).float(), observed_pixels(28, 1)
    contexts = {
        "cvae-mnist": (mnist.test, y),
        "cvae-quadrant": (mnist.test[:, ~observed], mnist.test[:, observed]),
    }
    for name, parts in contexts.items():
        said = pretrained.provenance(name)["test"]["elbo"]
        elbo = sum(elbo_terms(pretrained.load_pretrained(name), *parts).values())
        assert elbo.mean().item() == pytest.approx(said, abs=0.1)


# What is handed over


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model, x, y: ConditionalVAE(0, 3, 2), "D must be a whole number"),
        (lambda model, x, y: ConditionalVAE(5, 3, -1), "L must be a whole number"),
        (lambda model, x, y: DirectNetwork(5, 0), "C must be a whole number"),
        (lambda model, x, y: model.sample(0, y[:1]), "n must be a whole number"),
        (lambda model, x, y: model.sample(2.5, y[:1]), "n must be a whole number"),
        (lambda model, x, y: model.sample(3, y[0]), r"Expected y of shape \(batch, 3\)"),
        (lambda model, x, y: model.elbo(x, y, num_samples=0), "num_samples must be"),
        (lambda model, x, y: DirectNetwork(5, 3).elbo_terms(x[:1], y), r"Expected x of shape \(6, 5\).* not \(1, 5\)"),
        (lambda model, x, y: DirectNetwork(5, 3).elbo_terms(x[:, :1], y), r"Expected x of shape \(6, 5\)"),
    ],
)
def test_what_would_broadcast_or_is_no_size_is_refused(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call(*build())
    one_sentence(caught.value)
