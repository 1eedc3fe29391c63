"""The linear-Gaussian state-space model: Kalman against matrices, the three families of q."""

import math

import pytest
import torch
from sentences import one_sentence
from torch.distributions import MultivariateNormal, kl_divergence

from aevb_utils.models.linear_state_space import (
    ExactStateSpace,
    MarkovEncoder,
    kalman_filter,
    kalman_smoother,
    markov_chain,
)

A, W, NOISE, T = 0.8, 1.3, 0.4, 6


def matrices():
    """Prior covariance, posterior covariance, and some series."""
    torch.manual_seed(0)
    lag = (torch.arange(T)[:, None] - torch.arange(T)).abs()
    R = torch.tensor(A, dtype=torch.float64) ** lag
    posterior = torch.linalg.inv(torch.linalg.inv(R) + W**2 / NOISE * torch.eye(T, dtype=torch.float64))
    return R, posterior, torch.randn(4, T, dtype=torch.float64)


def test_filter_gives_the_evidence():
    R, _, x = matrices()
    dense = MultivariateNormal(
        torch.zeros(T, dtype=torch.float64), W**2 * R + NOISE * torch.eye(T, dtype=torch.float64)
    )
    assert torch.allclose(kalman_filter(x, A, W, NOISE)[0], dense.log_prob(x), atol=1e-12, rtol=0)


def test_filter_and_smoother_give_the_posterior():
    R, covariance, x = matrices()
    _, means, variances = kalman_filter(x, A, W, NOISE)
    half = torch.linalg.inv(
        torch.linalg.inv(R[:3, :3]) + W**2 / NOISE * torch.eye(3, dtype=torch.float64)
    )  # given x_1, x_2, x_3 alone
    assert torch.allclose(means[:, 2], (W / NOISE * x[:, :3] @ half)[:, 2], atol=1e-12)
    assert torch.allclose(variances[2], half[2, 2], atol=1e-12)
    smoothed, smoothed_variances = kalman_smoother(means, variances, A)
    assert torch.allclose(smoothed, W / NOISE * x @ covariance, atol=1e-12)
    assert torch.allclose(smoothed_variances, covariance.diagonal(), atol=1e-12)


def test_one_step_is_factor_analysis():
    x = torch.tensor([[0.7]], dtype=torch.float64)
    log_evidence, mean, variance = kalman_filter(x, A, W, NOISE)
    marginal = W**2 + NOISE
    assert log_evidence.item() == pytest.approx(-0.5 * (math.log(2 * math.pi * marginal) + 0.49 / marginal))
    smoothed, smoothed_variance = kalman_smoother(mean, variance, A)
    assert torch.equal(smoothed, mean)
    assert torch.equal(smoothed_variance, variance)


def test_chain_has_the_moments_of_its_recursion():
    torch.manual_seed(0)
    g, u, s = torch.randn(T), torch.randn(3, T), torch.rand(T) + 0.1
    chain = markov_chain(g, u, s)
    eps = torch.randn(200_000, 1, T)
    z = [u[:, 0] + s[0] * eps[..., 0]]  # g_1 is not used
    for t in range(1, T):
        z.append(g[t] * z[-1] + u[:, t] + s[t] * eps[..., t])
    z = torch.stack(z, dim=-1)
    scale = chain.covariance_matrix.diagonal(dim1=-2, dim2=-1).sqrt()
    assert ((z.mean(dim=0) - chain.mean) / scale).abs().max() < 0.02
    correlation = torch.corrcoef(z[:, 0].T)
    expected = chain.covariance_matrix[0] / scale[0] / scale[0][:, None]
    assert (correlation - expected).abs().max() < 0.02


@pytest.mark.parametrize(("family", "future", "linked"), [
    ("smoothing", True, True), ("filtering", False, True), ("mean-field", True, False),
])  # fmt: skip
def test_families_see_what_they_may(family, future, linked):
    torch.manual_seed(0)
    q = MarkovEncoder(4, family)
    with torch.no_grad():
        for parameter in q.parameters():
            parameter.copy_(torch.randn_like(parameter))
    x = torch.randn(1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(q(x).mean[0, 1], x)
    assert bool(gradient[0, 2:].abs().sum() > 0) == future
    assert bool(q(x).covariance_matrix[0, 0, 1] != 0) == linked


def test_family_must_be_known():
    with pytest.raises(ValueError, match=r"^family must be .* not 'both'\.$"):
        ExactStateSpace(4, "both")


def test_smoothing_family_contains_the_posterior():
    torch.manual_seed(0)
    model = ExactStateSpace(T).double()
    x = model.sample(5)[0]
    search = torch.optim.LBFGS(model.inference_parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def mean_kl():
        search.zero_grad()
        loss = kl_divergence(model.q_z_given_x(x), model.posterior(x)).mean()
        loss.backward()
        return loss

    search.step(mean_kl)
    assert mean_kl().item() < 1e-5


def test_series_must_have_the_right_length():
    with pytest.raises(ValueError, match=r"^Expected x of shape \(batch, 5\), not \(3, 6\).$"):
        ExactStateSpace(5).elbo(torch.zeros(3, 6))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(5), r"pass x\[None\]"),
        (torch.zeros(3, 0), r"a row each, not \(3, 0\)"),
        (torch.full((3, 5), math.nan), "row 0, column 0 holds nan"),
    ],
)
def test_what_is_no_series_is_refused(x, said):
    model = ExactStateSpace(5)
    for call in (model.log_evidence, model.posterior, lambda rows: kalman_filter(rows, 0.5, 1.0, 1.0)):
        with pytest.raises(ValueError, match=said) as caught:
            call(x)
        one_sentence(caught.value)


def test_the_filter_takes_one_number_each():
    x = torch.zeros(3, 5)
    for numbers in ((torch.ones(3) / 2, 1.0, 1.0), (0.5, torch.ones(1), 1.0), (0.5, 1.0, torch.ones(3))):
        with pytest.raises(ValueError, match="Expected a, w and noise as one number each"):
            kalman_filter(x, *numbers)
    for a, noise in ((1.5, 1.0), (0.5, -1.0), (0.5, math.nan)):
        with pytest.raises(ValueError, match="Expected a² ≤ 1 and noise > 0"):
            kalman_filter(x, a, 1.0, noise)


def test_the_smoother_takes_one_variance_a_step():
    with pytest.raises(ValueError, match=r"Expected variances of shape \(5,\), one a step, not \(1,\)"):
        kalman_smoother(torch.zeros(3, 5), torch.ones(1), 0.5)


def test_sizes_must_make_sense():
    with pytest.raises(ValueError, match="T must be a whole number of at least 1, not 0"):
        ExactStateSpace(0)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, not -2"):
        ExactStateSpace(5).sample(-2)
