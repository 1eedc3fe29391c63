"""Factor analysis of chapter 6: against torch's Gaussians, scikit-learn, closed forms, and exact EM."""

import copy
import itertools
import math
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import one_sentence
from sklearn.decomposition import FactorAnalysis as SklearnFactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from aevb_utils import data
from aevb_utils.evaluation.gradients import repeat_gradients, summarize
from aevb_utils.models import FactorAnalysis, factor_analysis
from aevb_utils.models.factor_analysis import (
    exact_e_step,
    exact_elbo,
    exact_m_step,
    exact_posterior,
    kl_with_shared_scale,
    run_em,
)
from aevb_utils.training import fit

ESTIMATORS = ["analytic", "sampled", "path"]
DOUBLE = torch.float64


def drawn(D: int = 6, N: int = 1000, L: int = 2, seed: int = 0) -> Tensor:
    """Centered data from a random model whose noise variances are at least 0.2."""
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(D, L, generator=generator, dtype=DOUBLE)
    psi = 0.2 + 0.8 * torch.rand(D, generator=generator, dtype=DOUBLE)
    z = torch.randn(N, L, generator=generator, dtype=DOUBLE)
    x = z @ W.T + psi.sqrt() * torch.randn(N, D, generator=generator, dtype=DOUBLE)
    return x - x.mean(dim=0)


def any_model(D: int = 6, L: int = 2, seed: int = 0, **options: str | float) -> FactorAnalysis:
    """A model whose parameters are all drawn at random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = FactorAnalysis(D, L, **options).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def landed(x: Tensor, **options: str | float) -> FactorAnalysis:
    """The end of EM, with φ from the exact E-step."""
    model = any_model(x.shape[1], **options)
    run_em(model, x)
    return model


def Omega(model: FactorAnalysis) -> Tensor:
    return (model.W @ model.W.T + model.psi.diag()).detach()


def gap(model: FactorAnalysis, x: Tensor) -> float:
    return kl_divergence(model.q_z_given_x(x), model.posterior(x)).mean().item()


def sklearn_fit(x: Tensor, L: int = 2) -> SklearnFactorAnalysis:
    return SklearnFactorAnalysis(L, svd_method="lapack", tol=1e-10, max_iter=10_000).fit(x.numpy())


def aevb(model: FactorAnalysis, x: Tensor, epochs: int, batch_size: int) -> FactorAnalysis:
    """Stochastic gradients from minibatches and a few samples a datum, with a rate that falls to zero."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    steps = {"epochs": epochs, "batch_size": batch_size, "num_samples": 16}
    fit(model, x, optimizer=optimizer, callback=lambda *_: decay.step(), **steps)
    return model.requires_grad_(False)


# ---- What is exact


@pytest.mark.parametrize("noise", ["diagonal", "isotropic"])
@pytest.mark.parametrize(("D", "L"), [(1, 1), (3, 2), (6, 2), (9, 4)])
def test_evidence_is_that_of_the_marginal_gaussian(D, L, noise):
    model, x = any_model(D, L, noise=noise), drawn(D, 50, L)
    expected = MultivariateNormal(torch.zeros(D, dtype=DOUBLE), Omega(model)).log_prob(x)
    torch.testing.assert_close(model.log_evidence(x).detach(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("D", "L"), [(1, 1), (3, 2), (6, 2), (9, 4)])
def test_posterior_obeys_bayes_rule(D, L):
    model, x = any_model(D, L), drawn(D, 50, L)
    z = torch.randn(50, L, dtype=DOUBLE)
    bayes = model.p_z().log_prob(z) + model.p_x_given_z(z).log_prob(x) - model.log_evidence(x)
    torch.testing.assert_close(model.posterior(x).log_prob(z), bayes, rtol=0, atol=1e-10)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("seed", range(3))
def test_evidence_is_elbo_plus_kl_for_any_parameters(covariance, seed):
    model, x = any_model(seed=seed, covariance=covariance), drawn(N=50)
    kl = kl_divergence(model.q_z_given_x(x), model.posterior(x))
    torch.testing.assert_close(exact_elbo(model, x) + kl, model.log_evidence(x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("L", [1, 2, 4])
def test_kl_to_prior_is_torchs(L):
    m, K = torch.randn(20, L, dtype=DOUBLE), torch.rand(L, L, dtype=DOUBLE).tril() + 0.1 * torch.eye(L, dtype=DOUBLE)
    prior = MultivariateNormal(torch.zeros(L, dtype=DOUBLE), torch.eye(L, dtype=DOUBLE))
    expected = kl_divergence(MultivariateNormal(m, scale_tril=K), prior)
    torch.testing.assert_close(kl_with_shared_scale(m, K), expected, rtol=0, atol=1e-12)


def test_exact_e_step_sets_q_to_the_posterior_and_elbo_to_the_evidence():
    model, x = any_model(), drawn(N=50)
    exact_e_step(model)
    assert gap(model, x) == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(exact_elbo(model, x), model.log_evidence(x), rtol=0, atol=1e-11)


def test_exact_e_step_of_a_diagonal_q_pays_what_chapter_3_derived():
    model, x = any_model(covariance="diagonal"), drawn(N=50)
    exact_e_step(model)
    Lambda = torch.linalg.inv(exact_posterior(model.W, model.psi)[1])
    price = 0.5 * (Lambda.diagonal().log().sum() - torch.logdet(Lambda))
    assert price > 0.005
    torch.testing.assert_close(exact_elbo(model, x), model.log_evidence(x) - price, rtol=0, atol=1e-11)
    for _ in range(20):  # no other q of the family is better
        other = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in other.inference_parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        assert exact_elbo(other, x).mean() < exact_elbo(model, x).mean()


@pytest.mark.parametrize("noise", ["diagonal", "isotropic"])
def test_exact_m_step_is_a_maximum(noise):
    model, x = any_model(noise=noise), drawn()
    exact_m_step(model, x)
    gradients = torch.autograd.grad(exact_elbo(model, x).mean(), model.generative_parameters())
    assert max(gradient.abs().max() for gradient in gradients) < 1e-10
    for _ in range(20):
        other = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in other.generative_parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        assert exact_elbo(other, x).mean() < exact_elbo(model, x).mean()


@pytest.mark.parametrize("seed", range(2))
def test_em_never_loses_and_ends_where_scikit_learn_ends(seed):
    x = drawn(seed=seed)
    model, rival = any_model(), sklearn_fit(x)
    evidences = run_em(model, x)
    assert (evidences.diff() > -1e-12).all()
    assert evidences[-1].item() == pytest.approx(rival.score(x.numpy()), abs=1e-8)
    torch.testing.assert_close(Omega(model), torch.as_tensor(rival.get_covariance()), rtol=0, atol=1e-4)
    gradients = torch.autograd.grad(exact_elbo(model, x).mean(), list(model.parameters()))
    assert max(gradient.abs().max() for gradient in gradients) < 1e-4  # a fixed point of AEVB


def test_em_with_isotropic_noise_ends_at_probabilistic_pca():
    x = drawn()
    model = landed(x, noise="isotropic")
    eigenvalues, axes = torch.linalg.eigh(x.T @ x / len(x))
    sigma2 = eigenvalues[:-2].mean()
    W = axes[:, -2:] * (eigenvalues[-2:] - sigma2).sqrt()
    torch.testing.assert_close(model.psi.detach(), sigma2.expand(6), rtol=0, atol=1e-4)
    torch.testing.assert_close((model.W @ model.W.T).detach(), W @ W.T, rtol=0, atol=1e-3)
    logs = eigenvalues[-2:].log().sum() + 4 * sigma2.log()
    expected = -0.5 * (6 * math.log(2 * math.pi) + logs + 6)
    assert model.log_evidence(x).mean().item() == pytest.approx(expected.item(), abs=1e-8)


def test_a_copied_column_ends_at_the_floor():
    x = drawn()
    x = torch.cat([x, x[:, :1]], dim=1)
    model = any_model(7, floor=5e-3)
    run_em(model, x, max_iterations=600)
    assert model.psi.min().item() == pytest.approx(5e-3, rel=0.01)
    assert model.psi.isfinite().all()


# ---- The estimates


@pytest.mark.parametrize("kl", ESTIMATORS)
def test_value_and_gradient_are_unbiased(kl):
    model, x = any_model(kl=kl), drawn(N=50)
    torch.manual_seed(0)
    values = torch.stack([model.elbo(x).mean().detach() for _ in range(400)])[:, None]
    summary = summarize(values)
    assert ((summary.mean - exact_elbo(model, x).mean()).abs() < 4.5 * summary.mean_error).all()
    draws = repeat_gradients(lambda: model.elbo(x).mean(), model.parameters(), 400)
    exact = torch.autograd.grad(exact_elbo(model, x).mean(), list(model.parameters()))
    summary = summarize(draws)
    error = (summary.mean - torch.cat([part.flatten() for part in exact])).abs()
    assert (error <= 4.5 * summary.mean_error + 1e-12).all()


@pytest.mark.parametrize("kl", ["sampled", "path"])
def test_at_the_posterior_every_sample_is_the_evidence(kl):
    model, x = any_model(kl=kl), drawn(N=50)
    exact_e_step(model)
    torch.testing.assert_close(model.elbo(x), model.log_evidence(x), rtol=0, atol=1e-10)
    weights = model.log_weights(x, num_samples=7)
    torch.testing.assert_close(weights, model.log_evidence(x).expand(7, -1), rtol=0, atol=1e-10)


def test_at_the_posterior_the_path_derivative_has_no_noise_in_phi():
    model, x = any_model(kl="path"), drawn(N=50)
    exact_e_step(model)
    draws = repeat_gradients(lambda: model.elbo(x).mean(), model.inference_parameters(), 20)
    assert draws.abs().max() < 1e-12


def test_estimators_share_the_gradient_in_theta():
    x, gradients = drawn(N=50), []
    for kl in ESTIMATORS:
        model = any_model(kl=kl)
        torch.manual_seed(0)
        gradients.append(repeat_gradients(lambda m=model: m.elbo(x).mean(), model.generative_parameters(), 5))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kl", ESTIMATORS)
def test_elbo_is_the_mean_of_the_log_weights(kl):
    model, x = any_model(kl=kl), drawn(N=20)
    torch.manual_seed(0)
    weights = model.log_weights(x, num_samples=20_000).detach()
    error = 4.5 * weights.std(dim=0) / math.sqrt(20_000)
    assert ((weights.mean(dim=0) - exact_elbo(model, x)).abs() < error).all()


# ---- AEVB against the exact answer


@pytest.mark.parametrize(("D", "N", "seed", "epochs"), [(6, 1000, 0, 280), (9, 1200, 3, 160)])
def test_aevb_finds_the_exact_answer(D, N, seed, epochs):
    x = drawn(D, N, seed=seed)
    em = landed(x)
    assert em.psi.min() > 0.1
    torch.manual_seed(seed)
    model = aevb(FactorAnalysis(D, 2).double(), x, epochs=epochs, batch_size=250)
    evidence = model.log_evidence(x).mean().item()
    assert evidence == pytest.approx(em.log_evidence(x).mean().item(), abs=1e-3)
    assert evidence == pytest.approx(sklearn_fit(x).score(x.numpy()), abs=1e-3)
    V, Sigma = exact_posterior(model.W, model.psi)
    torch.testing.assert_close(model.encoder.V, V, rtol=0, atol=1e-2)
    torch.testing.assert_close(model.encoder.Sigma, Sigma, rtol=0, atol=1e-2)
    torch.testing.assert_close(Omega(model), Omega(em), rtol=0, atol=2e-2)


def test_em_gives_the_same_bits_every_time():
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x - x.mean(dim=0)
    start = FactorAnalysis(6, 2).double().requires_grad_(requires_grad=False)
    ends = [copy.deepcopy(start) for _ in range(5)]
    evidences = [run_em(end, x, max_iterations=40, tolerance=0.0) for end in ends]
    assert all(torch.equal(evidences[0], other) for other in evidences)
    assert all(torch.equal(ends[0].W, other.W) for other in ends)


def test_aevb_on_wine():
    x = data.wine().train
    em = landed(x)
    torch.manual_seed(0)
    model = aevb(FactorAnalysis(13, 2).double(), x, epochs=250, batch_size=89)
    assert model.log_evidence(x).mean().item() == pytest.approx(em.log_evidence(x).mean().item(), abs=1e-3)
    V, Sigma = exact_posterior(model.W, model.psi)
    torch.testing.assert_close(model.encoder.V, V, rtol=0, atol=1e-2)
    torch.testing.assert_close(model.encoder.Sigma, Sigma, rtol=0, atol=1e-2)
    torch.testing.assert_close(Omega(model), Omega(em), rtol=0, atol=2e-2)


def test_a_diagonal_q_turns_the_loadings_and_costs_nothing():
    x = drawn()
    em = landed(x)
    torch.manual_seed(1)
    model = aevb(FactorAnalysis(6, 2, covariance="diagonal").double(), x, epochs=200, batch_size=250)
    assert model.log_evidence(x).mean().item() == pytest.approx(em.log_evidence(x).mean().item(), abs=5e-3)
    assert gap(model, x) < 2e-3
    off_diagonal = torch.linalg.inv(exact_posterior(model.W, model.psi)[1])[0, 1]
    assert off_diagonal.abs() < 0.3


@pytest.mark.parametrize("kl", ESTIMATORS)
def test_phi_alone_leaves_the_evidence_and_theta_alone_gains_at_least_what_the_elbo_gains(kl):
    model, x = any_model(kl=kl), drawn(N=200)
    before = model.log_evidence(x).detach()
    steps = {"epochs": 3, "batch_size": 50}
    fit(model, x, optimizer=torch.optim.Adam(model.parameters(), lr=0.05), update="inference", **steps)
    assert torch.equal(model.log_evidence(x).detach(), before)
    exact_e_step(model)
    fit(model, x, optimizer=torch.optim.Adam(model.parameters(), lr=0.01), update="generative", **steps)
    gain = model.log_evidence(x).mean() - before.mean()
    assert gain > exact_elbo(model, x).mean() - before.mean() > 0


# ---- What every model has


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kl", ESTIMATORS)
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_shapes_and_types(dtype, kl, covariance):
    model = any_model(5, 3, kl=kl, covariance=covariance).to(dtype)
    for n in (1, 4):
        x = drawn(5, 10, 3)[:n].to(dtype)
        terms = model.elbo_terms(x, num_samples=2)
        assert list(terms) == ["reconstruction", "minus_kl"]
        assert all(term.shape == (n,) and term.dtype == dtype for term in terms.values())
        assert model.elbo(x).shape == model.log_evidence(x).shape == (n,)
        assert model.log_weights(x, num_samples=3).shape == (3, n)
        assert model.q_z_given_x(x).batch_shape == model.posterior(x).batch_shape == (n,)
        assert model.p_x_given_z(model.p_z().sample((n,))).sample().dtype == dtype
    samples, latents = model.sample(7)
    assert (samples.shape, latents.shape, samples.dtype) == ((7, 5), (7, 3), dtype)
    assert not samples.requires_grad


def test_samples_have_the_models_moments():
    model = any_model(4, 2)
    torch.manual_seed(0)
    x, z = model.sample(200_000)
    torch.testing.assert_close(x.T @ x / len(x), Omega(model), rtol=0, atol=0.05)
    torch.testing.assert_close(x.T @ z / len(x), model.W.detach(), rtol=0, atol=0.05)


@pytest.mark.parametrize("kl", ESTIMATORS)
def test_theta_and_phi_are_all_parameters_and_reconstruction_reaches_phi(kl):
    model, x = any_model(kl=kl), drawn(N=20)
    theta, phi = model.generative_parameters(), model.inference_parameters()
    assert {id(p) for p in [*theta, *phi]} == {id(p) for p in model.parameters()}
    assert len(theta) + len(phi) == len(list(model.parameters()))
    reconstruction = model.elbo_terms(x)["reconstruction"].mean()
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(reconstruction, phi))


def test_state_goes_and_comes():
    model, other, x = any_model(seed=1), any_model(seed=2), drawn(N=20)
    other.load_state_dict(model.state_dict())
    assert torch.equal(exact_elbo(model, x), exact_elbo(other, x))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 2), {}, "D must be a whole number of at least 1, not 0"),
        ((6, 2.0), {}, "L must be a whole number of at least 1, not 2.0"),
        ((6, 2), {"floor": -1.0}, "The floor must be a number of at least 0, not -1.0"),
        ((6, 2), {"kl": "exact"}, "kl must be one of analytic, sampled, path, not 'exact'"),
        ((6, 2), {"noise": "full"}, "noise must be one of diagonal, isotropic, not 'full'"),
        ((6, 2), {"covariance": "tied"}, "covariance must be one of full, diagonal, not 'tied'"),
    ],
)
def test_bad_models(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        FactorAnalysis(*arguments, **options)


@pytest.mark.parametrize("x", [torch.zeros(6, dtype=DOUBLE), torch.zeros(3, 5, dtype=DOUBLE), torch.zeros(3, 6)])
@pytest.mark.parametrize("method", ["elbo", "log_evidence", "posterior", "q_z_given_x"])
def test_bad_data(x, method):
    with pytest.raises(ValueError, match=r"Expected data of shape \(batch, 6\) and type torch.float64"):
        getattr(any_model(), method)(x)


def test_bad_number_of_samples():
    for call in (lambda model: model.elbo(drawn(), num_samples=0), lambda m: m.log_weights(drawn(), num_samples=0)):
        with pytest.raises(ValueError, match="num_samples must be at least 1, not 0"):
            call(any_model())


# ---- Data that are hard on the arithmetic


def outlier(size: float, dtype: torch.dtype = DOUBLE) -> Tensor:
    """Centered noise in three columns, with a first row far away."""
    x = torch.randn(40, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    x[0] = size
    return (x - x.mean(dim=0)).to(dtype)


def one_factor(seed: int = 0) -> Tensor:
    """Centered data in three columns with one strong factor."""
    generator = torch.Generator().manual_seed(seed)
    z, noise = (torch.randn(200, width, dtype=DOUBLE, generator=generator) for width in (1, 3))
    x = z * torch.tensor([1.0, -0.8, 0.6], dtype=DOUBLE) + 0.6 * noise
    return x - x.mean(dim=0)


@given(size=st.sampled_from([1e2, 1e4, 1e8, 1e12]), noise=st.sampled_from(["diagonal", "isotropic"]))
@settings(max_examples=2)
def test_evidence_never_falls_by_more_than_rounding_whatever_the_scale(size, noise):
    for dtype in (torch.float32, DOUBLE):
        torch.manual_seed(1)
        model, x = FactorAnalysis(3, 2, noise=noise).to(dtype), outlier(size, dtype)
        evidences = run_em(model, x, max_iterations=15)
        assert evidences.dtype == DOUBLE
        assert (evidences.diff() > -1e-10 * evidences[1:].abs()).all()
        assert evidences[-1] > evidences[0]


@given(exponents=st.lists(st.integers(-6, 8), min_size=3, max_size=3), seed=st.integers(0, 3))
@settings(max_examples=2)
def test_the_unit_of_a_column_changes_the_evidence_by_its_logarithm(exponents, seed):
    x, scales = one_factor(seed), 10.0 ** torch.tensor(exponents, dtype=DOUBLE)
    torch.manual_seed(seed)
    model = FactorAnalysis(3, 1, floor=0.0).double()
    evidences = run_em(model, x * scales, max_iterations=300)
    rival = sklearn_fit(x, 1).score(x.numpy()) - scales.log().sum().item()
    assert (evidences.diff() > -1e-10 * evidences[1:].abs()).all()
    assert evidences[-1].item() == pytest.approx(rival, abs=1e-6)
    assert model.log_evidence(x * scales).mean().item() == pytest.approx(rival, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_evidence_of_ill_conditioned_parameters_is_right(dtype):
    """Against 60 digits: one factor that is large beside the noise."""
    model, x = FactorAnalysis(2, 1, floor=0.0).to(dtype), torch.tensor([[1e5, 2e5]], dtype=dtype)
    with torch.no_grad():
        model.W.copy_(torch.tensor([[1e5], [2e5]]))
        model.rho.zero_()
    W, rows = (np.array([[Decimal(int(v)) for v in row] for row in part.tolist()]) for part in (model.W, x))
    (a, b), (u, v) = W[:, 0], rows[0]
    det = 1 + a * a + b * b
    quadratic = ((1 + b * b) * u * u + (1 + a * a) * v * v - 2 * a * b * u * v) / det
    expected = -0.5 * (2 * math.log(2 * math.pi) + math.log(det) + float(quadratic))
    assert model.log_evidence(x).item() == pytest.approx(expected, abs=1e-5 if dtype == torch.float32 else 1e-9)
    assert model.posterior(x).mean.item() == pytest.approx(1.0, abs=1e-6)


def test_float32_ends_where_float64_ends():
    x, models = drawn(N=200).float(), [any_model().float(), any_model()]
    evidences = [run_em(model, x.to(model.W.dtype)) for model in models]
    assert evidences[0][-1].item() == pytest.approx(evidences[1][-1].item(), abs=1e-6)
    torch.testing.assert_close(models[0].W.double(), models[1].W.detach(), rtol=0, atol=1e-4)


def test_a_fall_is_told_and_undone(monkeypatch):
    model, x, steps = any_model(), drawn(N=200), []

    def spoiled(now: FactorAnalysis, rows: Tensor) -> None:
        exact_m_step(now, rows)
        steps.append(copy.deepcopy(now))
        if len(steps) == 3:
            with torch.no_grad():
                now.rho.add_(1)

    monkeypatch.setattr(factor_analysis, "exact_m_step", spoiled)
    with pytest.warns(ConvergenceWarning, match=r"EM stopped: the evidence fell by .* nats in round 3\."):
        evidences = run_em(model, x)
    assert len(evidences) == 3
    assert torch.equal(model.W, steps[1].W)
    assert model.log_evidence(x).mean().item() == pytest.approx(evidences[-1].item(), abs=1e-12)


def test_rounds_that_are_not_enough_are_told_unless_they_were_asked_for(monkeypatch):
    """20,000 rounds of which each does nothing but report a gain."""
    model, x, count = any_model(), drawn(N=50), itertools.count()
    monkeypatch.setattr(factor_analysis, "exact_e_step", lambda now: None)
    monkeypatch.setattr(factor_analysis, "exact_m_step", lambda now, rows: None)
    monkeypatch.setattr(factor_analysis.copy, "deepcopy", lambda now: now)
    monkeypatch.setattr(FactorAnalysis, "log_evidence", lambda now, rows: torch.tensor([float(next(count))]))
    with pytest.warns(ConvergenceWarning, match="EM has not converged"):
        run_em(model, x)
    assert len(run_em(model, x, max_iterations=2)) == 3


def test_collinear_columns_without_a_floor_end_finite():
    model = FactorAnalysis(2, 3, floor=0.0)
    evidences = run_em(model, torch.tensor([[100.0, 200.0], [-100.0, -200.0]]), max_iterations=30)
    assert evidences.isfinite().all()
    assert (evidences.diff() > -1e-9).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(0, 6, dtype=DOUBLE), "The number of rows of x must be .* not 0"),
        (drawn(N=9).index_fill(0, torch.tensor(4), math.nan), "row 4, column 0 holds nan"),
        (drawn(N=9) * 1e200, "not finite: rescale them"),
        (drawn(N=9) * torch.tensor([1, 1, 0, 1, 1, 1.0]), "does not vary: drop it"),
    ],
)
def test_data_that_em_cannot_take_are_refused_and_the_model_is_left(x, message):
    model = any_model(floor=0.0)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message) as caught:
        run_em(model, x)
    one_sentence(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_data_that_are_not_centered_and_a_floor_that_is_high_are_told():
    with pytest.warns(UserWarning, match=r"not centered: column 0 has mean 10.* pass x - x.mean\(dim=0\)"):
        run_em(any_model(), drawn(N=50) + 10, max_iterations=1)
    with pytest.warns(UserWarning, match="exceeds 1 % of a variance of the data"):
        run_em(any_model(), drawn(N=50) * 1e-3, max_iterations=1)


@pytest.mark.parametrize("method", ["log_evidence", "posterior"])
def test_nan_is_named(method):
    x = drawn(N=5)
    x[3, 2] = math.nan
    with pytest.raises(ValueError, match="row 3, column 2 holds nan"):
        getattr(any_model(), method)(x)


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_a_draw_is_of_a_whole_number_of_rows(n):
    with pytest.raises(ValueError, match=f"n must be a whole number of at least 1, not {n}"):
        any_model().sample(n)
