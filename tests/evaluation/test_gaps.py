"""Chapter 4's binomial VAE and the split of its gap, against torch, sampling, and a model whose posterior is known."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Binomial, Independent, MultivariateNormal, Normal, kl_divergence

from aevb_utils.evaluation.gaps import (
    kl_to_posterior,
    log_evidence,
    quadrature_elbo,
    refine,
    split_gaps,
    sweep,
)
from aevb_utils.evaluation.quadrature import Grid, make_grid
from aevb_utils.models.binomial_vae import BinomialVAE, gaussian, kl_to_prior, log_binomial, train

DOUBLE = torch.float64


@pytest.fixture(autouse=True)
def double_precision():
    """The chapters' default, and a seed."""
    torch.set_default_dtype(DOUBLE)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


class Linear(nn.Module):
    """The line x = W z + noise: its evidence and its posterior are known; the encoder is the posterior, moved."""

    W = torch.tensor([[1.0, 0.4], [0.2, 1.0], [0.6, -0.5]], dtype=DOUBLE)
    psi = torch.tensor([0.3, 0.5, 0.4], dtype=DOUBLE)

    def __init__(self, shift: float, log_scale: float) -> None:
        super().__init__()
        self.shift, self.log_scale = shift, log_scale
        self.precision = torch.eye(2) + self.W.T @ (self.W / self.psi[:, None])

    def posterior(self, x: Tensor) -> MultivariateNormal:
        mean = torch.linalg.solve(self.precision, self.W.T @ (x / self.psi).T).T
        return MultivariateNormal(mean, precision_matrix=self.precision)

    def encode(self, x: Tensor) -> Tensor:
        scale = torch.full((len(x), 2), self.log_scale)
        return torch.cat([self.posterior(x).mean + self.shift, scale], dim=1)

    def q(self, lam: Tensor) -> MultivariateNormal:
        return gaussian(lam, 2)

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        prior = Normal(0.0, 1.0).log_prob(z).sum(dim=-1)
        return prior + Normal(z @ self.W.T, self.psi.sqrt()).log_prob(x).sum(dim=-1)

    def log_joint_table(self, x: Tensor, points: Tensor) -> Tensor:
        return self.log_joint(x[:, None], points).squeeze(-1)

    def log_evidence(self, x: Tensor) -> Tensor:
        return MultivariateNormal(torch.zeros(3), self.W @ self.W.T + self.psi.diag()).log_prob(x)


X_LINE = torch.tensor([[1.0, 0.5, -0.3], [0.0, 0.0, 0.0], [-1.5, 1.0, 2.0]], dtype=DOUBLE)


def grids() -> tuple[Grid, Grid]:
    return make_grid([(-8.0, 8.0)] * 2, 200), make_grid([(-9.0, 9.0)] * 2, 210)


def test_evidence_and_the_highest_point():
    model = Linear(0.0, 0.0)
    grid, _ = grids()
    evidence, top = sweep(model, X_LINE, grid)
    assert torch.allclose(evidence, model.log_evidence(X_LINE), atol=1e-10)
    assert torch.allclose(top, model.posterior(X_LINE).mean, atol=0.06)  # half a cell
    assert torch.equal(log_evidence(model, X_LINE, grid), evidence)


def test_elbo_and_kl_against_closed_forms():
    model = Linear(0.4, -0.5)
    lam = model.encode(X_LINE)
    kl = kl_divergence(model.q(lam), model.posterior(X_LINE))
    evidence = model.log_evidence(X_LINE)
    assert torch.allclose(quadrature_elbo(model, X_LINE, lam), evidence - kl, atol=1e-10)
    assert torch.allclose(kl_to_posterior(model, X_LINE, lam, evidence), kl, atol=1e-10)


def test_both_gaps_of_a_line():
    """The best diagonal q is off by ½ (Σ log Λ_jj − log det Λ), eq. (3.16); the rest is the encoder's."""
    model = Linear(0.4, -0.5)
    split = split_gaps(model, X_LINE, *grids())
    L = model.precision
    approximation = 0.5 * (L.diagonal().log().sum() - torch.logdet(L))
    kl = kl_divergence(model.q(model.encode(X_LINE)), model.posterior(X_LINE))
    assert torch.allclose(split.approximation_gap, approximation.expand(3), atol=1e-4)
    assert torch.allclose(split.amortization_gap, kl - approximation, atol=1e-4)
    assert torch.allclose(split.kl_star, split.approximation_gap, atol=1e-8)
    assert (split.amortization_gap > 0).all()
    best = torch.cat([model.posterior(X_LINE).mean, -0.5 * L.diagonal().log().expand(3, 2)], dim=1)
    assert torch.allclose(split.lam_star, best, atol=0.02)


def test_a_perfect_encoder_keeps_its_answer():
    model = Linear(0.0, 0.0)
    best = torch.cat([model.posterior(X_LINE).mean, -0.5 * model.precision.diagonal().log().expand(3, 2)], dim=1)
    assert torch.allclose(refine(model, X_LINE, best, steps=20), best, atol=1e-3)
    bound = quadrature_elbo(model, X_LINE, best)
    assert (quadrature_elbo(model, X_LINE, refine(model, X_LINE, best, steps=5)) >= bound).all()


def test_a_full_covariance_reaches_the_posterior():
    model = Linear(0.3, -0.3)
    start = torch.cat([model.encode(X_LINE), torch.zeros(3, 1)], dim=1)
    best = refine(model, X_LINE, start, steps=400)
    assert (model.log_evidence(X_LINE) - quadrature_elbo(model, X_LINE, best)).abs().max() < 1e-4


class TwoHills(Linear):
    """Two equal hills at z₁ = ±3; the encoder sits near the left one, and the right one is the higher by log 4."""

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        left, right = (Independent(Normal(torch.tensor([m, 0.0]), 0.3), 1).log_prob(z) for m in (-3.0, 3.0))
        return torch.logaddexp(left + math.log(0.2), right + math.log(0.8)) + 0 * x.sum(dim=-1)

    def encode(self, x: Tensor) -> Tensor:
        return torch.tensor([[-2.5, 0.0, -1.0, -1.0]]).expand(len(x), 4)


def test_the_second_start_finds_the_higher_hill():
    split = split_gaps(TwoHills(0.0, 0.0), X_LINE[:1], *grids())
    assert split.elbo_warm.item() == pytest.approx(math.log(0.2), abs=1e-3)
    assert split.elbo_star.item() == pytest.approx(math.log(0.8), abs=1e-3)
    assert split.lam_star[0, 0].item() == pytest.approx(3.0, abs=0.01)
    assert split.log_evidence.item() == pytest.approx(0.0, abs=1e-9)


def test_refine_takes_at_least_one_step():
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        refine(Linear(0.0, 0.0), X_LINE, Linear(0.0, 0.0).encode(X_LINE), steps=0)


COUNTS = torch.randint(0, 17, (12, 64), generator=torch.Generator().manual_seed(3)).double()


def test_log_binomial_is_torch_s():
    logits = 4 * torch.randn(12, 64)
    expected = Independent(Binomial(16, logits=logits), 1).log_prob(COUNTS)
    assert torch.allclose(log_binomial(COUNTS, logits, 16), expected, atol=1e-9)
    extreme = torch.tensor([[800.0, -800.0]])
    assert log_binomial(torch.tensor([[16.0, 0.0]]), extreme, 16).item() == pytest.approx(0.0)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_q_and_its_kl_to_the_prior(covariance):
    model = BinomialVAE(covariance=covariance)
    lam = torch.randn(12, 4 if covariance == "diagonal" else 5)
    q = model.q(lam)
    prior = MultivariateNormal(torch.zeros(2), torch.eye(2))
    assert torch.allclose(kl_to_prior(q), kl_divergence(q, prior), atol=1e-12)
    K = q.scale_tril
    assert torch.allclose(K.diagonal(dim1=1, dim2=2), lam[:, 2:4].exp())
    if covariance == "full":
        assert torch.allclose(K[:, 1, 0], lam[:, 3].exp() * lam[:, 4])
    else:
        assert (K[:, 1, 0] == 0).all()


def test_the_table_and_the_samples_agree():
    model = BinomialVAE()
    points = torch.randn(7, 2)
    table = model.log_joint_table(COUNTS, points)
    assert torch.allclose(table, model.log_joint(COUNTS, points[:, None]).T, atol=1e-9)
    expected = model.p_x_given_z(points[2]).log_prob(COUNTS) + model.p_z().log_prob(points[2])
    assert torch.allclose(table[:, 2], expected, atol=1e-9)


def test_training_raises_the_bound_and_the_identities_close():
    model = BinomialVAE(hidden=(16,), encoder_hidden=(16,), covariance="full")
    with torch.no_grad():
        pattern = Binomial(16, logits=2 * torch.randn(2, 64)).sample()
    x = pattern[torch.arange(60) % 2]
    history = train(model, x, epochs=40, seed=1)
    assert history.elbo[-1] > history.elbo[0] + 50
    split = split_gaps(model, x[:2], *grids(), steps=50)
    assert (split.elbo + split.kl - split.log_evidence).abs().max() < 1e-3
    assert (split.elbo_star + split.kl_star - split.log_evidence).abs().max() < 1e-3
    assert split.amortization_gap.min() >= 0
    assert split.approximation_gap.min() >= 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (COUNTS[:, :5], r"x of shape \(batch, 64\), not \(12, 5\)"),
        (COUNTS[0], r"x of shape \(batch, 64\), not \(64,\)"),
        (COUNTS.float(), r"x is torch.float32 and the model is torch.float64"),
        (COUNTS + 0.5, "whole numbers from 0 to 16"),
        (COUNTS - 17, "whole numbers from 0 to 16"),
        (COUNTS * torch.nan, "whole numbers from 0 to 16"),
    ],
)
def test_bad_counts(x, message):
    with pytest.raises(ValueError, match=message):
        BinomialVAE().encode(x)


def test_an_unknown_covariance():
    with pytest.raises(ValueError, match='covariance is "diagonal" or "full", not \'round\''):
        BinomialVAE(covariance="round")
