"""Assignment 3: the references agree with torch, with autograd, and with many draws."""

import pytest
import torch
from torch.distributions import Normal, Weibull

from course.assignments.a03 import checks as a03

STUDENTS = [f"student{n}" for n in range(5)]


def first(function, student):
    return next(c for c in a03.checks(student, "salt", "secret") if c.function == function).args


@pytest.mark.parametrize("student", STUDENTS)
def test_the_paths_end_where_the_distribution_function_says(student):
    u, scale, shape = first("weibull_path", student)
    parameters = torch.tensor([scale, shape], dtype=torch.float64)
    z, in_scale, in_shape = a03.weibull_path(u, scale, shape)
    assert torch.allclose(Weibull(*parameters).cdf(z), u)
    at_fixed_z = torch.autograd.functional.jacobian(lambda p: Weibull(*p, validate_args=False).cdf(z), parameters)
    density = Weibull(*parameters).log_prob(z).exp()  # dF/dφ + q dz/dφ = 0
    assert torch.allclose(at_fixed_z, -density[:, None] * torch.stack([in_scale, in_shape], 1))


@pytest.mark.parametrize("student", STUDENTS)
def test_the_scores_are_those_of_autograd(student):
    values, z, scale, shape = first("score_gradient", student)
    parameters = torch.tensor([scale, shape], dtype=torch.float64)
    scores = torch.autograd.functional.jacobian(lambda p: Weibull(*p).log_prob(z), parameters)
    others = torch.stack([values[torch.arange(len(z)) != s].mean() for s in range(len(z))])
    want = ((values - others)[:, None] * scores).mean(0)
    assert torch.allclose(a03.score_gradient(values, z, scale, shape), want)


@pytest.mark.parametrize("student", STUDENTS)
def test_the_estimators_are_unbiased_and_as_noisy_as_is_said(student):
    x, noise, prior, m, log_s = first("exact_variance", student)
    eps = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = a03.elbo_estimators(x, noise, prior, m, log_s, eps)
    s2 = torch.tensor(2 * log_s).exp()
    exact = 1 - s2 * (len(x) / noise + 1 / prior)
    error = draws.std(0) / len(eps) ** 0.5
    assert ((draws.mean(0) - exact).abs() < 5 * error).all()
    assert torch.allclose(draws.var(0), a03.exact_variance(x, noise, prior, m, log_s), rtol=0.05)


def test_the_total_derivative_is_that_of_autograd():
    x, noise, prior, m, log_s, eps = first("elbo_estimators", "ada")
    log_s = torch.tensor(log_s, requires_grad=True, dtype=torch.float64)
    z = m + log_s.exp() * eps
    f = Normal(0, prior**0.5).log_prob(z) - Normal(m, log_s.exp()).log_prob(z)
    f = f + Normal(z, noise**0.5).log_prob(x[:, None]).sum(0)
    total = torch.stack([torch.autograd.grad(each, log_s, retain_graph=True)[0] for each in f])
    assert torch.allclose(a03.elbo_estimators(x, noise, prior, m, log_s.item(), eps)[:, 0], total)
