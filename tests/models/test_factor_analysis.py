"""Factor analysis of chapter 6: against torch's Gaussians, scikit-learn, closed forms, and exact EM."""

import copy
import math

import pytest
import torch
from sklearn.decomposition import FactorAnalysis as SklearnFactorAnalysis
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from aevb_utils import data
from aevb_utils.evaluation.gradients import repeat_gradients, summarize
from aevb_utils.models import FactorAnalysis
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
    model = any_model(7, floor=1e-2)
    run_em(model, x, max_iterations=600)
    assert model.psi.min().item() == pytest.approx(1e-2, rel=0.01)
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


@pytest.mark.parametrize(("D", "N", "seed"), [(6, 1000, 0), (9, 1200, 3)])
def test_aevb_finds_the_exact_answer(D, N, seed):
    x = drawn(D, N, seed=seed)
    em = landed(x)
    assert em.psi.min() > 0.1
    torch.manual_seed(seed)
    model = aevb(FactorAnalysis(D, 2).double(), x, epochs=280, batch_size=250)
    evidence = model.log_evidence(x).mean().item()
    assert evidence == pytest.approx(em.log_evidence(x).mean().item(), abs=1e-3)
    assert evidence == pytest.approx(sklearn_fit(x).score(x.numpy()), abs=1e-3)
    V, Sigma = exact_posterior(model.W, model.psi)
    torch.testing.assert_close(model.encoder.V, V, rtol=0, atol=1e-2)
    torch.testing.assert_close(model.encoder.Sigma, Sigma, rtol=0, atol=1e-2)
    torch.testing.assert_close(Omega(model), Omega(em), rtol=0, atol=2e-2)


def test_aevb_on_wine():
    x = data.wine().train
    em = landed(x)
    torch.manual_seed(0)
    model = aevb(FactorAnalysis(13, 2).double(), x, epochs=450, batch_size=89)
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
        ((0, 2), {}, "Expected D and L of at least 1 .* but got D = 0, L = 2"),
        ((6, 2), {"floor": -1.0}, "a floor of at least 0, but got .* floor = -1.0"),
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
