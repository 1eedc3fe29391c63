"""Chapter 3's mixture with any q from logits, and chapter 4's network of logits."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, MultivariateNormal, kl_divergence

from aevb_utils.data import iris
from aevb_utils.models.logit_network import LogitNetwork
from aevb_utils.models.mixture_em import MixtureParameters, e_step, elbo, run_em
from aevb_utils.models.variational_mixture import FreeLogits, FreeMixture, VariationalMixture, to_factors, to_free
from aevb_utils.training import fit

X = iris().train
N, D = X.shape
C = 3
START = MixtureParameters(
    torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64),
    X[[29, 95, 56]],
    torch.cov(X.T, correction=0).expand(C, D, D),
)


def with_random_table(seed: int = 0) -> VariationalMixture:
    table = FreeLogits(N, C).double()
    with torch.no_grad():
        table.lam.copy_(2 * torch.randn(N, C, generator=torch.Generator().manual_seed(seed)))
    return VariationalMixture(START, table)


def test_free_numbers_and_back():
    generator = torch.Generator().manual_seed(1)
    A = torch.randn(C, D, D, generator=generator, dtype=torch.float64)
    covariances = A @ A.mT + torch.eye(D)
    K = to_factors(to_free(covariances))
    assert torch.allclose(K @ K.mT, covariances, atol=1e-12)
    assert torch.equal(K, K.tril())
    anything = torch.randn(C, D, D, generator=generator, dtype=torch.float64)
    assert (torch.linalg.eigvalsh(to_factors(anything) @ to_factors(anything).mT) > 0).all()


def test_the_free_mixture_is_the_one_it_started_from():
    model = FreeMixture(START)
    parameters = model.parameters_as_mixture()
    for ours, given in zip(parameters, START, strict=True):
        assert torch.allclose(ours, given, atol=1e-12)
    assert torch.allclose(model.log_evidence(X), e_step(X, START)[1], atol=1e-12)
    density = model.p_x_given_z(torch.tensor([2, 0]))
    expected = MultivariateNormal(START.means[[2, 0]], START.covariances[[2, 0]])
    assert torch.allclose(density.log_prob(X[:2]), expected.log_prob(X[:2]), atol=1e-10)


def test_the_log_density_has_a_gradient_in_the_data():
    start = MixtureParameters(torch.ones(1).double(), torch.zeros(1, 2).double(), 4 * torch.eye(2)[None].double())
    z = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    moved = (2 * z.requires_grad_()).square()  # (4, 16), as where z is a sample of q
    (gradient,) = torch.autograd.grad(FreeMixture(start).log_evidence(moved).sum(), z)
    torch.testing.assert_close(gradient, -moved.detach() / 4 * 8 * z.detach())  # −Σ⁻¹ z, by the chain rule


def test_elbo_evidence_and_kl_for_any_logits():
    model, index = with_random_table(), torch.arange(N)
    with torch.no_grad():
        q = model.q_z_given_x(X, index)
        bound, gap = model.elbo(X, index), kl_divergence(q, model.posterior(X))
        assert torch.allclose(bound, elbo(X, q.probs, START), atol=1e-12)
        assert torch.allclose(bound + gap, model.log_evidence(X), atol=1e-12)
        assert isinstance(q, Categorical)


def test_the_mean_of_the_log_weights_is_the_elbo():
    model, index = with_random_table(), torch.arange(20)
    torch.manual_seed(0)
    with torch.no_grad():
        weights = model.log_weights(X[:20], index, num_samples=4_000)
        error = weights.std(dim=0) / 4_000**0.5 + 1e-12
        assert ((weights.mean(dim=0) - model.elbo(X[:20], index)).abs() / error).max() < 4.5


def test_a_draw_looks_like_the_model():
    torch.manual_seed(0)
    x, z = with_random_table().sample(40_000)
    share = torch.bincount(z, minlength=C) / 40_000
    assert torch.allclose(share.double(), START.weights, atol=0.015)
    assert torch.allclose(x[z == 1].mean(dim=0), START.means[1], atol=0.05)
    assert torch.allclose(torch.cov(x[z == 2].T), START.covariances[2], atol=0.15)


@pytest.mark.parametrize("network", [False, True])
def test_fit_reaches_em_on_drawn_data(network):
    torch.manual_seed(0)
    truth = FreeMixture(
        MixtureParameters(
            torch.tensor([0.4, 0.6], dtype=torch.float64),
            torch.tensor([[-2.0, 0.0], [2.0, 1.0]], dtype=torch.float64),
            torch.eye(2, dtype=torch.float64).repeat(2, 1, 1),
        )
    )
    z = truth.p_z().sample((300,))
    x = truth.p_x_given_z(z).sample()
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    start = MixtureParameters(torch.full((2,), 0.5, dtype=torch.float64), means, torch.cov(x.T).expand(2, 2, 2))
    best = run_em(x, start).log_likelihoods[-1] / 300
    inference = LogitNetwork(x, 2, quadratic=True) if network else FreeLogits(300, 2).double()
    model = VariationalMixture(start, inference)
    data = x if network else (x, torch.arange(300))
    groups = [
        {"params": model.inference_parameters(), "lr": 0.1},
        {"params": model.generative_parameters(), "lr": 0.03},
    ]
    optimizer = torch.optim.Adam(groups)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 150)
    fit(model, data, optimizer=optimizer, epochs=150, batch_size=100, callback=lambda *_: decay.step())
    context = () if network else (torch.arange(300),)
    assert model.log_evidence(x).mean().item() == pytest.approx(best, abs=0.01)
    assert (model.log_evidence(x) - model.elbo(x, *context)).mean().item() < 0.01


def test_a_network_standardizes_its_input_and_can_take_products():
    torch.manual_seed(0)
    network = LogitNetwork(X, C, hidden=[8], quadratic=True)
    assert network.layers[0].in_features == D + D * (D + 1) // 2
    shifted = LogitNetwork(100 * X + 7, C, hidden=[8], quadratic=True)
    shifted.layers.load_state_dict(network.layers.state_dict())
    assert torch.allclose(shifted(100 * X + 7), network(X), atol=1e-9)
    assert network(X[:1]).shape == (1, C)
    assert [type(layer) for layer in network.layers] == [nn.Linear, nn.Tanh, nn.Linear]
    assert LogitNetwork(X, C).layers[0].in_features == D


def test_a_quadratic_network_is_affine_in_products():
    torch.manual_seed(0)
    network = LogitNetwork(X, C, quadratic=True)
    u = (X - X.mean(dim=0)) / X.std(dim=0)
    pairs = torch.stack([u[:, j] * u[:, k] for j in range(D) for k in range(j, D)], dim=1)
    (layer,) = network.layers
    assert torch.allclose(network(X), torch.cat([u, pairs], dim=1) @ layer.weight.T + layer.bias, atol=1e-12)


def test_errors():
    with pytest.raises(ValueError, match="a weight of 0 has no logit"):
        FreeMixture(START._replace(weights=torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64)))
    model = VariationalMixture(START, nn.Linear(D, C + 1).double())
    with pytest.raises(ValueError, match=r"logits of shape \(batch, C\) = \(150, 3\), not \(150, 4\)"):
        model.elbo(X)
    for bad in (X[:1], X[:, 0], torch.ones(5, 2, dtype=torch.float64)):
        with pytest.raises(ValueError, match="columns that vary"):
            LogitNetwork(bad, C)
