"""The gradient estimators of chapter 5, against exact means and variances, quadrature, and each other."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Exponential,
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from aevb_utils.evaluation.gradients import (
    GradientSummary,
    own_rows,
    pathwise,
    repeat_gradients,
    score_function,
    summarize,
)

DOUBLE = torch.float64


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def unit_normal(phi: Tensor) -> Normal:
    return Normal(phi[..., 0], torch.ones((), dtype=phi.dtype))


def normal(phi: Tensor) -> Normal:
    return Normal(phi[..., 0], phi[..., 1].exp())


def square(z: Tensor, phi: Tensor) -> Tensor:
    return z**2


def assert_mean(samples: Tensor, exact: Tensor, errors: float = 4.5) -> None:
    summary = summarize(samples)
    assert ((summary.mean - exact).abs() <= errors * summary.mean_error + 1e-12).all(), (summary.mean, exact)


def assert_variance(samples: Tensor, exact: float, errors: float = 4.5) -> None:
    summary = summarize(samples)
    assert (summary.variance - exact).abs().max() <= errors * summary.variance_error.max() + 1e-12


# ---- Exact means and variances


@pytest.mark.parametrize("phi", [0.0, 1.0, 2.0, -1.5])
def test_square_has_the_exact_means_and_variances(phi: float) -> None:
    at, S = tensor(phi), 200_000
    exact = {
        0.0: phi**4 + 14 * phi**2 + 15,
        phi**2 + 1: 8 * phi**2 + 10,
        phi**2 + 3: 8 * phi**2 + 6,
    }
    for baseline, variance in exact.items():
        samples = score_function(unit_normal, square, at, S, baseline)
        assert_mean(samples, 2 * at)
        assert_variance(samples, variance)
    samples = pathwise(unit_normal, square, at, S)
    assert_mean(samples, 2 * at)
    assert_variance(samples, 4.0)


def test_pathwise_is_autograd_through_rsample_sample_by_sample() -> None:
    at = tensor(0.3, -0.2)
    samples = pathwise(normal, lambda z, phi: z.sin(), at, 5)
    torch.manual_seed(0)
    eps = torch.randn(5, dtype=DOUBLE)
    z = at[0] + at[1].exp() * eps
    expected = torch.stack([z.cos(), z.cos() * at[1].exp() * eps], dim=1)
    torch.testing.assert_close(samples, expected)


def test_score_is_the_formula_sample_by_sample() -> None:
    at = tensor(0.3, -0.2)
    samples = score_function(normal, square, at, 5, 0.7)
    torch.manual_seed(0)
    z = normal(at.expand(5, 2)).sample()
    deviation = (z - at[0]) / at[1].exp()
    score = torch.stack([deviation / at[1].exp(), deviation**2 - 1], dim=1)
    torch.testing.assert_close(samples, (z**2 - 0.7)[:, None] * score)


def test_both_agree_with_quadrature() -> None:
    at = tensor(0.4, -0.3)
    eps = torch.linspace(-9, 9, 20_001, dtype=DOUBLE)
    weights = Normal(0.0, 1.0).log_prob(eps).exp() * (eps[1] - eps[0])

    def expectation(phi: Tensor) -> Tensor:
        return weights @ torch.sigmoid(4 * (phi[0] + phi[1].exp() * eps))

    exact = torch.autograd.functional.jacobian(expectation, at)
    for estimator in (score_function, pathwise):
        assert_mean(estimator(normal, lambda z, phi: torch.sigmoid(4 * z), at, 200_000), exact)


def test_a_step_has_pathwise_gradient_zero_and_the_score_function_is_right() -> None:
    at = tensor(0.5)
    density = Normal(0.0, 1.0).log_prob(at).exp()

    def step(z: Tensor, phi: Tensor) -> Tensor:
        return (1 + z.sign()) / 2

    assert (pathwise(unit_normal, step, at, 100) == 0).all()
    assert_mean(score_function(unit_normal, step, at, 200_000), density)


def test_another_family_has_the_exact_variances() -> None:
    at, S = tensor(1.0), 400_000

    def exponential(phi: Tensor) -> Exponential:
        return Exponential(phi[..., 0])

    assert_mean(pathwise(exponential, square, at, S), tensor(-4.0))
    assert_variance(pathwise(exponential, square, at, S), 80.0)
    assert_variance(score_function(exponential, square, at, S), 488.0)


# ---- f that depends on φ


def test_a_direct_dependence_is_differentiated_by_both() -> None:
    at = tensor(0.5, 0.1)

    def f(z: Tensor, phi: Tensor) -> Tensor:
        return z * phi[..., 1] ** 2

    exact = tensor(0.1**2, 2 * 0.1 * 0.5)  # of E[z φ₂²] = φ₁ φ₂²
    for estimator in (score_function, pathwise):
        assert_mean(estimator(normal, f, at, 200_000), exact)
    assert_mean(score_function(normal, f, at, 200_000, 1.0), exact)


def test_parameters_of_a_model_inside_f_do_no_harm() -> None:
    theta = tensor(2.0).requires_grad_()
    at = tensor(0.5)
    samples = score_function(unit_normal, lambda z, phi: theta[0] * z, at, 100_000)
    assert_mean(samples, tensor(2.0))
    assert theta.grad is None
    samples = pathwise(unit_normal, lambda z, phi: theta[0] * z.detach(), at, 3)
    assert (samples == 0).all()


# ---- The ELBO

W = torch.tensor([[1.0, 0.5], [0.8, -0.6], [0.3, 1.0]], dtype=DOUBLE)
PSI, X = tensor(0.4, 0.5, 0.6), tensor(1.2, -0.4, 0.9)
PRIOR = MultivariateNormal(torch.zeros(2, dtype=DOUBLE), torch.eye(2, dtype=DOUBLE))
PRECISION = torch.eye(2, dtype=DOUBLE) + W.T @ (W / PSI[:, None])
POSTERIOR = MultivariateNormal(torch.linalg.solve(PRECISION, W.T @ (X / PSI)), torch.linalg.inv(PRECISION))


def full_normal(phi: Tensor) -> MultivariateNormal:
    below = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=DOUBLE)
    factor = torch.diag_embed(phi[..., 2:4].exp()) + phi[..., 4, None, None] * below
    return MultivariateNormal(phi[..., :2], scale_tril=factor)


def likelihood(z: Tensor) -> Tensor:
    return Normal(z @ W.T, PSI.sqrt()).log_prob(X).sum(dim=-1)


def total(z: Tensor, phi: Tensor) -> Tensor:
    return PRIOR.log_prob(z) + likelihood(z) - full_normal(phi).log_prob(z)


def analytic(z: Tensor, phi: Tensor) -> Tensor:
    return likelihood(z) - kl_divergence(full_normal(phi), PRIOR)


def path(z: Tensor, phi: Tensor) -> Tensor:
    return total(z, phi.detach())


def at_posterior() -> Tensor:
    factor = POSTERIOR.scale_tril
    return torch.cat([POSTERIOR.mean, factor.diagonal().log(), factor[1:, 0]])


@pytest.mark.parametrize("f", [total, analytic, path])
def test_elbo_estimators_are_unbiased_away_from_the_posterior(f) -> None:
    at = torch.zeros(5, dtype=DOUBLE)
    exact = torch.autograd.functional.jacobian(lambda phi: -kl_divergence(full_normal(phi), POSTERIOR), at)
    assert_mean(pathwise(full_normal, f, at, 50_000), exact)
    pairs = score_function(full_normal, f, at.expand(25_000, 5), 2, "leave-one-out")
    assert_mean(pairs.mean(dim=0), exact)


def test_sticking_the_landing_has_no_variance_at_the_posterior() -> None:
    at = at_posterior()
    assert pathwise(full_normal, path, at, 1_000).var(dim=0).sum() < 1e-20
    assert pathwise(full_normal, analytic, at, 1_000).var(dim=0).sum() > 1.0
    assert pathwise(full_normal, total, at, 1_000).var(dim=0).sum() > 1.0
    pairs = score_function(full_normal, path, at.expand(1_000, 5), 2, "leave-one-out")
    assert pairs.mean(dim=0).var(dim=0).sum() < 1e-20
    away = at + 0.3
    assert pathwise(full_normal, path, away, 1_000).var(dim=0).sum() > 1e-2


# ---- Discrete latents, baselines


def test_categorical_with_each_baseline_is_unbiased() -> None:
    values, logits = tensor(1.0, -2.0, 0.5), tensor(0.2, -0.4, 0.9)
    q = logits.softmax(dim=0)
    exact = q * (values - q @ values)
    for baseline in (0.0, 3.0, tensor(1.0, 2.0, 3.0)):
        samples = score_function(
            lambda phi: Categorical(logits=phi), lambda z, phi: values[z], logits, 100_000, baseline
        )
        assert_mean(samples, exact)
    many = logits.expand(50_000, 3)
    for S in (2, 5):
        samples = score_function(
            lambda phi: Categorical(logits=phi), lambda z, phi: values[z], many, S, "leave-one-out"
        )
        assert samples.shape == (S, 50_000, 3)
        assert_mean(samples.mean(dim=0), exact)


def test_leave_one_out_uses_the_other_samples_only() -> None:
    at = tensor(0.5)
    samples = score_function(unit_normal, square, at, 3, "leave-one-out")
    torch.manual_seed(0)
    z = unit_normal(at.expand(3, 1)).sample()
    f = z**2
    others = torch.stack([(f[1] + f[2]) / 2, (f[0] + f[2]) / 2, (f[0] + f[1]) / 2])
    torch.testing.assert_close(samples[:, 0], (f - others) * (z - 0.5))


def test_a_constant_in_f_is_removed_by_leave_one_out() -> None:
    at = tensor(0.5)
    plain = score_function(unit_normal, square, at, 4, "leave-one-out")
    torch.manual_seed(0)
    shifted = score_function(unit_normal, lambda z, phi: z**2 + 1000, at, 4, "leave-one-out")
    torch.testing.assert_close(plain, shifted, rtol=0, atol=1e-9)


# ---- Shapes, types, seeds


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2,), (7, 2), (3, 4, 2)])
def test_shapes_and_types(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    phi = torch.zeros(shape, dtype=dtype)
    for estimator in (score_function, pathwise):
        samples = estimator(normal, square, phi, 5)
        assert samples.shape == (5, *shape)
        assert samples.dtype == dtype
        assert samples.isfinite().all()
        assert not samples.requires_grad


def test_each_row_of_phi_has_a_gradient_of_its_own() -> None:
    phi = torch.stack([tensor(-3.0), tensor(3.0)])  # (2, 1)
    means = pathwise(unit_normal, square, phi, 20_000).mean(dim=0)
    torch.testing.assert_close(means, 2 * phi, rtol=0, atol=0.1)


def test_phi_is_left_as_it_was() -> None:
    phi = tensor(0.5).requires_grad_()
    for estimator in (score_function, pathwise):
        estimator(unit_normal, square, phi, 3)
    assert phi.grad is None
    rows = own_rows(phi, 3)
    rows.data += 1
    assert phi.item() == 0.5


@pytest.mark.parametrize("estimator", [score_function, pathwise])
def test_seeds_reproduce(estimator) -> None:
    torch.manual_seed(5)
    first = estimator(unit_normal, square, tensor(1.0), 10)
    other = estimator(unit_normal, square, tensor(1.0), 10)
    torch.manual_seed(5)
    again = estimator(unit_normal, square, tensor(1.0), 10)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_several_dimensions_of_z() -> None:
    phi = torch.zeros(4, dtype=DOUBLE)
    samples = pathwise(
        lambda rows: Independent(Normal(rows, 1.0), 1), lambda z, rows: z.square().sum(dim=-1), phi, 50_000
    )
    assert samples.shape == (50_000, 4)
    assert_variance(samples[:, :1], 4.0)


# ---- The summary


def test_summary_of_known_numbers() -> None:
    summary = summarize(tensor(1.0, 2.0, 3.0, 6.0)[:, None])
    assert isinstance(summary, GradientSummary)
    assert summary.mean.item() == 3.0
    assert summary.variance.item() == pytest.approx(14 / 3)
    assert summary.mean_error.item() == pytest.approx(math.sqrt(14 / 12))
    fourth = (2**4 + 1 + 0 + 3**4) / 4
    assert summary.variance_error.item() == pytest.approx(math.sqrt((fourth - (14 / 3) ** 2) / 4))


def test_standard_errors_are_the_spread_of_means_and_variances() -> None:
    draws = torch.randn(2_000, 500, dtype=DOUBLE)  # 500 experiments
    summary = summarize(draws)
    assert summary.mean_error.mean().item() == pytest.approx(summary.mean.std().item(), rel=0.1)
    assert summary.variance_error.mean().item() == pytest.approx(summary.variance.std().item(), rel=0.1)


# ---- For whole models


def test_repeat_gradients_joins_parameters_in_order() -> None:
    first, second = tensor(1.0, 2.0).requires_grad_(), tensor(3.0).requires_grad_()
    samples = repeat_gradients(lambda: (first * tensor(4.0, 5.0)).sum() + 6 * second.sum(), [first, second], 3)
    torch.testing.assert_close(samples, tensor(4.0, 5.0, 6.0).expand(3, 3))
    assert first.grad is None


def test_repeat_gradients_draws_anew_and_agrees_with_rows() -> None:
    phi = tensor(0.5, -0.2).requires_grad_()
    samples = repeat_gradients(lambda: normal(phi).rsample() ** 2, [phi], 3_000)
    exact = tensor(1.0, 2 * math.exp(-0.4))  # of φ₁² + exp(2 φ₂)
    assert_mean(samples, exact)
    assert_mean(pathwise(normal, square, phi, 3_000), exact)


def test_repeat_gradients_gives_zero_where_nothing_arrives() -> None:
    phi, theta = tensor(0.5).requires_grad_(), tensor(1.0).requires_grad_()
    samples = repeat_gradients(lambda: (theta * unit_normal(phi).sample()).sum(), [phi, theta], 5)
    assert (samples[:, 0] == 0).all()
    assert (samples[:, 1] != 0).all()


# ---- Errors in one sentence


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pathwise(lambda phi: Categorical(logits=phi), square, tensor(0.0, 0.0), 3), "has no rsample"),
        (lambda: pathwise(lambda phi: Bernoulli(logits=phi[..., 0]), square, tensor(0.0), 3), "has no rsample"),
        (
            lambda: pathwise(unit_normal, lambda z, phi: (z > 0).double(), tensor(0.0), 3),
            "No gradient passes through f",
        ),
        (lambda: pathwise(lambda phi: Normal(phi, 1.0), square, tensor(0.0), 3), "one value per sample"),
        (lambda: score_function(unit_normal, lambda z, phi: z.sum(), tensor(0.0), 3), "one value per sample"),
        (lambda: score_function(unit_normal, square, tensor(0.0), 1, "leave-one-out"), "at least 2"),
        (lambda: score_function(unit_normal, square, tensor(0.0), 3, "mean"), "leave-one-out"),
        (lambda: pathwise(unit_normal, square, torch.tensor(0.0), 3), "single number"),
        (lambda: pathwise(unit_normal, square, tensor(0.0), 0), "at least 1"),
        (lambda: pathwise(unit_normal, square, tensor(0.0), 2.5), "whole number of at least 1, not 2.5"),
        (
            lambda: score_function(unit_normal, square, tensor(0.0), 4, torch.ones(4)),
            r"baseline must broadcast to \(S, …, P\) = \(4, 1\), .* have the shape \(4, 4\): one per sample is",
        ),
        (lambda: summarize(torch.zeros(1, 2)), "at least 2 samples"),
        (lambda: repeat_gradients(lambda: tensor(0.0), [], 3), "at least one repetition"),
        (lambda: repeat_gradients(lambda: tensor(0.0), [tensor(0.0)], 0), "at least one repetition"),
        (lambda: repeat_gradients(lambda: tensor(0.0, 1.0), [tensor(0.0)], 2), "must be one number"),
    ],
)
def test_errors_say_what_is_wrong(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
