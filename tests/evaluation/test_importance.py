"""Chapter 11's measures of importance weights, against laws and models where they are known."""

import math

import pytest
import torch
from sentences import one_sentence
from torch import nn
from torch.distributions import Independent, Normal

from aevb_utils.evaluation.importance import curvature, effective_sample_size, information, pareto_k

DOUBLE = torch.float64


def test_equal_weights_are_all_effective_and_one_large_weight_is_one():
    equal, one = torch.zeros(50, 1, dtype=DOUBLE), torch.zeros(50, 1, dtype=DOUBLE)
    one[7] = 100.0
    assert effective_sample_size(torch.cat([equal, one], dim=1)).tolist() == pytest.approx([50.0, 1.0])


@pytest.mark.parametrize("k", [0.2, 0.5, 0.8, 1.2])
def test_the_shape_of_a_pareto_law_is_found(k):
    torch.manual_seed(0)
    u = torch.rand(4000, 40, dtype=DOUBLE)
    found = pareto_k((((u**-k) - 1) / k + 1).log())
    assert found.mean().item() == pytest.approx(k, abs=0.06)
    assert found.std().item() < 0.2


def test_the_shape_does_not_depend_on_the_weights_scale():
    torch.manual_seed(0)
    log_weights = torch.randn(500, 3, dtype=DOUBLE)
    torch.testing.assert_close(pareto_k(log_weights - 2000), pareto_k(log_weights))


def test_equal_weights_have_no_tail():
    log_weights = torch.stack([torch.zeros(100, dtype=DOUBLE), torch.randn(100, dtype=DOUBLE)], dim=1)
    found = pareto_k(log_weights)
    assert found[0] == -math.inf
    assert found[1].isfinite()


@pytest.mark.parametrize("shape", [(24, 2), (100,)])
def test_too_few_weights_are_refused(shape):
    with pytest.raises(ValueError, match="at least 25 samples") as error:
        pareto_k(torch.zeros(shape))
    one_sentence(error.value)


class Shifted(nn.Module):
    """x ~ N(z, 1), z ~ N(μ, e^(2ρ)), with a q a little too wide: all is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.mu, self.rho = nn.Parameter(torch.tensor(0.3)), nn.Parameter(torch.tensor(-0.2))

    def p_z(self):
        return Independent(Normal(self.mu[None], self.rho.exp()[None]), 1)

    def p_x_given_z(self, z):
        return Independent(Normal(z, torch.ones_like(z)), 1)

    def q_z_given_x(self, x):
        variance = self.rho.mul(2).exp()
        mean = (variance * x + self.mu) / (1 + variance)
        return Independent(Normal(mean, 1.3 * (variance / (1 + variance)).sqrt().expand_as(mean)), 1)

    def log_evidence(self, x):
        return Normal(self.mu, (1 + self.rho.mul(2).exp()).sqrt()).log_prob(x[:, 0])

    def generative_parameters(self):
        return [self.mu, self.rho]


def test_information_is_that_of_the_exact_evidence():
    torch.manual_seed(0)
    model = Shifted().double()
    x = 1.5 * torch.randn(40, 1, dtype=DOUBLE)
    gradient, info = information(model, x, num_samples=20_000)
    exact_gradient, exact_info = curvature(model.log_evidence(x).sum(), model.generative_parameters())
    torch.testing.assert_close(gradient, exact_gradient, rtol=0.02, atol=0.1)
    torch.testing.assert_close(info, exact_info, rtol=0.03, atol=0.3)


def test_information_leaves_frozen_parameters_out_and_the_generator_alone():
    model = Shifted().double()
    model.rho.requires_grad_(False)
    before = torch.random.get_rng_state()
    gradient, info = information(model, torch.zeros(3, 1, dtype=DOUBLE), num_samples=10)
    assert (gradient.shape, info.shape) == ((1,), (1, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
