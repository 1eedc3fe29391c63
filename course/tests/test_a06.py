"""Assignment 6: the references agree with one dense Gaussian, with a grid, and with importance sampling."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from course.assignments.a06 import checks as a06

STUDENTS = [f"student{n}" for n in range(3)]


def all_of(function, student):
    return [c.args for c in a06.checks(student, "salt", "secret") if c.function == function]


def dense(gap, a, q, m0, p0):
    """Mean and covariance of the levels, step by step."""
    ends = torch.cat([gap.new_zeros(1), gap[1:].cumsum(0)])
    steps = int(ends[-1]) + 1
    links = torch.eye(steps, dtype=torch.float64) - a * torch.eye(steps, dtype=torch.float64).roll(1, 0).tril()
    spread = torch.full((steps,), q, dtype=torch.float64)
    spread[0] = p0
    inverse = links.inverse()
    covariance = inverse @ spread.diag() @ inverse.mT
    return m0 * inverse[:, 0][ends], covariance[ends][:, ends]


@pytest.mark.parametrize("student", STUDENTS)
def test_filter_smoother_and_price_are_those_of_one_gaussian(student):
    for y, gap, a, q, r, m0, p0 in all_of("smoother", student):
        mean, prior = dense(gap, a, q, m0, p0)
        noise = r * torch.eye(len(y), dtype=torch.float64)
        evidence = MultivariateNormal(mean, prior + noise).log_prob(y)
        assert torch.allclose(a06.kalman_evidence(y, gap, a, q, r, m0, p0), evidence)
        gain = torch.linalg.solve(prior + noise, prior).mT
        posterior = MultivariateNormal(mean + gain @ (y - mean), prior - gain @ prior)
        smooth, spread = a06.smoother(y, gap, a, q, r, m0, p0)
        assert torch.allclose(smooth, posterior.mean)
        assert torch.allclose(spread, posterior.variance)
        center, variances, price = a06.best_factorized(y, gap, a, q, r, m0, p0)
        assert torch.allclose(price, kl_divergence(MultivariateNormal(center, variances.diag()), posterior), rtol=1e-4)


@pytest.mark.parametrize("student", STUDENTS)
def test_the_weights_of_a_sequence_average_to_the_evidence(student):
    y, a, q, m0, p0, *_ = all_of("particle_evidence", student)[0]
    y = y[:6]
    g = torch.Generator().manual_seed(0)
    eps = torch.randn(50_000, len(y), generator=g, dtype=torch.float64)
    m, link = (y + 1).log(), torch.full_like(y, 0.4)
    logs = a06.sequence_elbo(y, a, q, m0, p0, m, torch.full_like(y, -0.4), link, eps)
    ratio = (logs - a06.grid_evidence(y, a, q, m0, p0)).exp()
    assert abs(ratio.mean().item() - 1) < 5 * ratio.std().item() / len(eps) ** 0.5
    assert ratio.std().item() < 20


def test_particles_of_other_seeds_are_right_and_a_constant_is_not():
    for args in all_of("particle_evidence", "ada"):
        judge = a06.particle_judge(*args)
        assert all(judge(a06.particle_evidence(*args[:-1], seed)).share == 1 for seed in range(100, 110))
        exact = torch.full((args[-2],), a06.grid_evidence(*args[:5]))
        assert judge(exact).share == 0
        assert judge(exact[0]).share == 0
