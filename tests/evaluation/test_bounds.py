"""The ELBO and the importance-weighted bound, against exact values; their memory, their modes, their random numbers."""

import math

import pytest
import torch
from latent_models import Conjugate, data_of
from torch import nn
from torch.distributions import Independent, Normal

from aevb_utils.evaluation import bounds
from aevb_utils.evaluation.bounds import (
    CHUNK,
    elbo_terms,
    evaluation_mode,
    iwae_bound,
    mean_elbo_terms,
    own_random_numbers,
)


class Near(Conjugate):
    """Its q is the posterior, moved and made wider, so that the weights are bounded and their mean converges."""

    def q_z_given_x(self, x):
        posterior = self.posterior(x)
        return Independent(Normal(posterior.mean + 1.0, 2 * posterior.stddev), 1)


MODEL = Near()
X = data_of(MODEL, 6)


class Exact(Conjugate):
    """The q of this one is the posterior, so that every weight is the evidence."""

    def q_z_given_x(self, x):
        return self.posterior(x)


class Fake:
    """Weights that are known: row i of x has weight x_i at every sample. Notes what it is asked for."""

    def __init__(self):
        self.asked = []

    def log_weights(self, x, *context, num_samples):
        self.asked.append((num_samples, len(x), *(part.tolist() for part in context)))
        return x[:, 0].log().expand(num_samples, -1)

    def elbo_terms(self, x, *context, num_samples=1):
        self.asked.append((num_samples, len(x), *(part.tolist() for part in context)))
        return {"reconstruction": x[:, 0], "minus_kl": -x[:, 0] / 2}


# Against exact values


def test_the_elbo_is_the_exact_one_on_average():
    values = sum(elbo_terms(MODEL, X, num_samples=40_000).values())
    spread = MODEL.log_weights(X, num_samples=2_000).std(dim=0)
    with torch.no_grad():
        assert ((values - MODEL.exact_elbo(X)).abs() < 5 * spread / 200).all()


def test_one_sample_gives_an_estimate_of_the_elbo():
    draws = torch.stack([iwae_bound(MODEL, X, num_samples=1, seed=seed) for seed in range(400)])
    with torch.no_grad():
        error = (draws.mean(dim=0) - MODEL.exact_elbo(X)).abs() / (draws.std(dim=0) / math.sqrt(400))
    assert error.max() < 5


def test_the_bound_is_tighter_with_more_samples_and_ends_at_the_evidence():
    with torch.no_grad():
        evidence, elbo = MODEL.log_evidence(X), MODEL.exact_elbo(X)
    bound = {K: torch.stack([iwae_bound(MODEL, X, num_samples=K, seed=seed) for seed in range(60)]) for K in (5, 50)}
    means = [elbo.mean(), *(draws.mean() for draws in bound.values()), evidence.mean()]
    assert means == sorted(means)
    assert ((bound[50] - evidence).mean(dim=0) < 5 * bound[50].std(dim=0) / math.sqrt(60)).all()
    assert (iwae_bound(MODEL, X, num_samples=400_000) - evidence).abs().max() < 0.05
    assert (elbo - evidence).max() < -1  # far from where the bound began


@pytest.mark.parametrize("num_samples", [1, 7, CHUNK + 1])
def test_weights_from_the_posterior_are_the_evidence(num_samples):
    with torch.no_grad():
        evidence = MODEL.log_evidence(X)
    torch.testing.assert_close(iwae_bound(Exact(), X, num_samples=num_samples), evidence, rtol=0, atol=1e-10)


@pytest.mark.parametrize("num_samples", [1, 3, 4, 5, 8, 9])
def test_chunks_do_not_change_the_bound(num_samples, monkeypatch):
    """With room for four pairs: K below, at, above, and twice the room, and no multiple of it."""
    monkeypatch.setattr(bounds, "CHUNK", 4)
    drawn = []

    class Noted(Conjugate):
        def log_weights(self, x, *, num_samples):
            assert num_samples * len(x) <= 4
            drawn.append((super().log_weights(x, num_samples=num_samples), x[0, 0].item()))
            return drawn[-1][0]

    bound = iwae_bound(Noted(), X, num_samples=num_samples)
    starts = dict.fromkeys(place for _, place in drawn)
    joined = [torch.cat([weights for weights, place in drawn if place == start]) for start in starts]
    assert all(len(weights) == num_samples for weights in joined)
    expected = torch.cat([weights.logsumexp(dim=0) for weights in joined]) - math.log(num_samples)
    torch.testing.assert_close(bound, expected, rtol=0, atol=1e-12)


# Memory


@pytest.mark.parametrize(("num_samples", "rows"), [(200_000, 3), (CHUNK, 2), (CHUNK - 1, 2), (30, 5_000), (1, 50_000)])
def test_no_more_than_a_chunk_is_asked_for_at_once(num_samples, rows):
    model, x = Fake(), torch.arange(1.0, rows + 1, dtype=torch.float64)[:, None]
    bound = iwae_bound(model, x, num_samples=num_samples)
    torch.testing.assert_close(bound, x[:, 0].log(), rtol=0, atol=1e-10)
    assert max(samples * batch for samples, batch in model.asked) <= CHUNK
    assert sum(samples * batch for samples, batch in model.asked) == num_samples * rows
    fewest = math.ceil(num_samples * rows / CHUNK)
    assert len(model.asked) <= 2 * fewest + rows


def test_the_elbo_of_many_rows_is_taken_in_parts(monkeypatch):
    monkeypatch.setattr(bounds, "CHUNK", 6)
    model, x = Fake(), torch.arange(5.0)[:, None]
    terms = elbo_terms(model, x, torch.arange(5), num_samples=3)
    assert model.asked == [(3, 2, [0, 1]), (3, 2, [2, 3]), (3, 1, [4])]
    assert terms["reconstruction"].tolist() == [0, 1, 2, 3, 4]
    assert mean_elbo_terms(model, x, torch.arange(5)) == {"reconstruction": 2.0, "minus_kl": -1.0}


def test_the_context_follows_its_rows(monkeypatch):
    monkeypatch.setattr(bounds, "CHUNK", 4)
    model, x = Fake(), torch.arange(1.0, 6.0)[:, None]
    iwae_bound(model, x, torch.arange(5), -torch.arange(5), num_samples=2)
    assert model.asked == [(2, 2, [0, 1], [0, -1]), (2, 2, [2, 3], [-2, -3]), (2, 1, [4], [-4])]


# Modes, gradients, random numbers


class Modes(Conjugate):
    """One part trains and another does not; notes the modes it is used in, and can fail."""

    def __init__(self, *, fails=False):
        super().__init__(dropout=0.5)
        self.frozen = nn.Dropout(0.5).eval()
        self.fails = fails
        self.seen = []

    def q_z_given_x(self, x):
        self.seen.append((self.training, self.dropout.training, self.frozen.training, torch.is_grad_enabled()))
        if self.fails:
            raise RuntimeError("on purpose")
        return super().q_z_given_x(x)


CALLS = {
    "elbo_terms": lambda model: elbo_terms(model, X),
    "mean_elbo_terms": lambda model: mean_elbo_terms(model, X),
    "iwae_bound": lambda model: iwae_bound(model, X, num_samples=3),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_dropout_and_gradients_are_off_and_put_back(call, fails):
    model = Modes(fails=fails)
    generator = torch.random.get_rng_state()
    if fails:
        with pytest.raises(RuntimeError, match="on purpose"):
            CALLS[call](model)
    else:
        CALLS[call](model)
    assert model.seen == [(False, False, False, False)] * 2  # a look at the data, and the call
    assert (model.training, model.dropout.training, model.frozen.training) == (True, True, False)
    assert torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), generator)


def test_evaluation_mode_keeps_a_model_in_evaluation_mode():
    model = Modes().eval()
    with evaluation_mode(model):
        assert not model.dropout.training
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("call", [elbo_terms, mean_elbo_terms, iwae_bound])
def test_the_seed_decides(call):
    def draw(seed):
        value = call(MODEL, X, num_samples=3, seed=seed)
        return sum(value.values()) if isinstance(value, dict) else value

    first = draw(0)
    torch.rand(3)
    assert torch.equal(draw(0), first)
    assert not torch.equal(draw(1), first)
    assert not first.requires_grad


def test_own_random_numbers():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with own_random_numbers(torch.device("cpu"), 1):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with own_random_numbers(torch.device("cpu"), 1):
        assert torch.equal(torch.rand(3), first)
    assert not torch.equal(first, expected)


@pytest.mark.parametrize("call", [elbo_terms, mean_elbo_terms, iwae_bound])
@pytest.mark.parametrize("num_samples", [0, -3])
def test_too_few_samples(call, num_samples):
    with pytest.raises(ValueError, match=f"num_samples must be a whole number of at least 1, not {num_samples}"):
        call(MODEL, X, num_samples=num_samples)


@pytest.mark.parametrize("call", [elbo_terms, mean_elbo_terms, iwae_bound])
@pytest.mark.parametrize(("x", "context"), [(X, torch.arange(5)), (X[:0], torch.arange(0))], ids=["other", "none"])
def test_rows_that_do_not_fit(call, x, context):
    lengths = rf"x and its context must be tensors with the same number of rows.* \[{len(x)}, {len(context)}\]"
    with pytest.raises(ValueError, match=lengths):
        call(Fake(), x, context, num_samples=2)


def test_one_row_and_float32():
    assert iwae_bound(MODEL, X[:1], num_samples=5).shape == (1,)
    small = Near(dtype=torch.float32)
    bound = iwae_bound(small, X.float(), num_samples=100_000)
    assert bound.dtype == torch.float32
    with torch.no_grad():
        assert (bound - MODEL.log_evidence(X)).abs().max() < 0.1
