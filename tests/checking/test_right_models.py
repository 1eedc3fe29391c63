"""Right models that are unusual pass ``check_model``, and what is wrong with them for another reason is named."""

import re

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from aevb_utils.checking import check_model
from aevb_utils.evaluation import iwae_bound
from aevb_utils.models.vae import VAE
from aevb_utils.networks import gaussian

X = torch.bernoulli(torch.full((12, 5), 0.5), generator=torch.Generator().manual_seed(0))


def vae(**options):
    torch.manual_seed(0)
    model = VAE(5, 2, hidden=(8,), **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def failure_of(model, x):
    """What ``check_model`` says, on one line."""
    with pytest.raises(AssertionError, match="1 of 19 checks fail") as failed:
        check_model(model, x)
    return " ".join(str(failed.value).split())


def test_a_frozen_layer_is_no_mistake():
    model = vae()
    model.decoder.layers[0].requires_grad_(requires_grad=False)
    check_model(model, X)


def test_sample_is_drawn_in_evaluation_mode_and_nothing_is_changed():
    class Normalized(VAE):
        def __init__(self):
            super().__init__(5, 2, hidden=(8,))
            self.decoder = nn.Sequential(nn.Linear(2, 8), nn.Unflatten(-1, (8, 1)), EachOfMany(8), nn.Linear(8, 5))

    class EachOfMany(nn.Module):
        """BatchNorm over all but the last dimension but one."""

        def __init__(self, width):
            super().__init__()
            self.norm = nn.BatchNorm1d(width)

        def forward(self, h):
            return self.norm(h.reshape(-1, h.shape[-2])).reshape(h.shape[:-1])

    torch.manual_seed(0)
    model = Normalized()
    check_model(model, X)
    assert model.training
    assert int(model.decoder[2].norm.num_batches_tracked) == 0


class ByLabelAndIndex(nn.Module):
    """A label y for p, and for q the datum's index as well."""

    def __init__(self, n=12):
        super().__init__()
        torch.manual_seed(0)
        self.means, self.of_label = nn.Parameter(torch.randn(n, 2)), nn.Parameter(torch.randn(3, 2))
        self.decoder = nn.Linear(2, 5)

    def q_z_given_x(self, x, y, i):
        return Independent(Normal(self.means[i] + 0.1 * self.of_label[y], 0.7), 1)

    def p_z(self, y):
        return Independent(Normal(self.of_label[y], 1.0), 1)

    def p_x_given_z(self, z, y):
        return Independent(Normal(self.decoder(z) + self.of_label[y][..., :1], 0.5), 1)

    def elbo_terms(self, x, y, i, *, num_samples=1):
        q = self.q_z_given_x(x, y, i)
        reconstruction = self.p_x_given_z(q.rsample((num_samples,)), y).log_prob(x).mean(dim=0)
        return {"reconstruction": reconstruction, "minus_kl": -kl_divergence(q, self.p_z(y))}

    def elbo(self, x, y, i, *, num_samples=1):
        return sum(self.elbo_terms(x, y, i, num_samples=num_samples).values())

    def log_weights(self, x, y, i, *, num_samples):
        q = self.q_z_given_x(x, y, i)
        z = q.rsample((num_samples,))
        return self.p_z(y).log_prob(z) + self.p_x_given_z(z, y).log_prob(x) - q.log_prob(z)

    @torch.no_grad()
    def sample(self, n, y):
        z = self.p_z(y.expand(n)).sample()
        return self.p_x_given_z(z, y.expand(n)).sample(), z

    def generative_parameters(self):
        return [self.of_label, *self.decoder.parameters()]

    def inference_parameters(self):
        return [self.means]


def test_each_method_gets_what_it_takes_of_the_context_by_its_name():
    x, y, i = torch.randn(12, 5, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 3, torch.arange(12)
    model = ByLabelAndIndex()
    assert iwae_bound(model, x, y, i, num_samples=3).shape == (12,)
    check_model(model, x, y, i)


def test_rounding_is_called_rounding():
    x = 1000 + 100 * torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    model = vae(likelihood=gaussian, outputs=10)
    assert re.search("→ By rounding alone .* Standardize x, or compute in float64", failure_of(model, x))


def test_weights_in_a_list_are_not_in_a_checkpoint():
    class InAList(VAE):
        def __init__(self):
            super().__init__(5, 2, hidden=(8,))
            self.extra = [nn.Linear(2, 2)]

        def p_x_given_z(self, z):
            return super().p_x_given_z(self.extra[0](z))

    torch.manual_seed(0)
    assert "or in a module that is no part of it, as in a list; use nn.Parameter" in failure_of(InAList(), X)
