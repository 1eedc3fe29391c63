"""The VAE and its parts: the contract, networks and likelihoods, active units, shipped weights."""

import math
import os

import pytest
import torch
from sentences import one_sentence
from torch.distributions import Bernoulli, Independent, Normal
from torch.nn.functional import binary_cross_entropy_with_logits

from aevb_utils import budget, data, networks, results
from aevb_utils.checking import contract
from aevb_utils.evaluation.bounds import elbo_terms, iwae_bound
from aevb_utils.evaluation.latents import active_units, kl_by_dimension
from aevb_utils.models.vae import VAE
from aevb_utils.networks import GaussianNetwork, Network
from aevb_utils.training import fit, pretrained

DATA_DIR = os.environ.get("AEVB_DATA_DIR")
FORMATS = {"float32": torch.float32, "float64": torch.float64}


class SharedScale(torch.nn.Module):
    """A likelihood with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.zeros(()))

    def forward(self, outputs):
        return Independent(Normal(outputs, self.log_scale.exp().expand(outputs.shape)), 1)


KINDS = {  # what the model is called with, and the data it is for
    "Bernoulli": ({}, lambda: torch.bernoulli(torch.full((6, 5), 0.5))),
    "gated, dropout": ({"layer": "gated", "dropout": 0.5}, lambda: torch.bernoulli(torch.full((6, 5), 0.5))),
    "no hidden layer": ({"hidden": ()}, lambda: torch.bernoulli(torch.full((6, 5), 0.5))),
    "binomial": ({"likelihood": networks.binomial(16)}, lambda: torch.randint(0, 17, (6, 5)).float()),
    "continuous Bernoulli": ({"likelihood": networks.continuous_bernoulli}, lambda: torch.rand(6, 5)),
    "Gaussian": ({"likelihood": networks.gaussian, "outputs": 10}, lambda: torch.randn(6, 5)),
    "scale of its own": ({"likelihood": SharedScale(), "layer": "tanh"}, lambda: torch.randn(6, 5)),
}


def build(kind: str, dtype: torch.dtype = torch.float32) -> tuple[VAE, torch.Tensor]:
    options, draw = KINDS[kind]
    torch.manual_seed(0)
    return VAE(5, 2, **{"hidden": (8, 7), **options}).to(dtype), draw().to(dtype)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_the_contract(kind: str, dtype: str, check) -> None:
    check(*build(kind, FORMATS[dtype]))


def test_widths_are_mirrored_and_scales_have_a_floor() -> None:
    model, x = build("Bernoulli")
    widths = [layer.out_features for layer in model.encoder.network.layers if isinstance(layer, torch.nn.Linear)]
    assert widths == [8, 7, 4]
    widths = [layer.out_features for layer in model.decoder.layers if isinstance(layer, torch.nn.Linear)]
    assert widths == [7, 8, 5]
    with torch.no_grad():
        model.encoder.network.layers[-1].bias.fill_(-1000.0)
    q = model.q_z_given_x(x)
    assert (q.stddev >= networks.SCALE_FLOOR).all()
    assert model.elbo(x).isfinite().all()


def test_the_two_terms_are_what_they_say() -> None:
    model, x = build("Bernoulli", torch.float64)
    torch.manual_seed(1)
    terms = model.elbo_terms(x, num_samples=3)
    torch.manual_seed(1)
    q = model.q_z_given_x(x)
    z = q.rsample((3,))
    cross_entropy = binary_cross_entropy_with_logits(model.decoder(z), x.expand(3, -1, -1), reduction="none")
    torch.testing.assert_close(terms["reconstruction"], -cross_entropy.sum(dim=-1).mean(dim=0))
    m, s = q.mean, q.stddev
    torch.testing.assert_close(terms["minus_kl"], -(m**2 + s**2 - 1 - (s**2).log()).sum(dim=1) / 2)
    torch.testing.assert_close(kl_by_dimension(q).sum(dim=1), -terms["minus_kl"])


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(5), "Expected x of shape"),
        (torch.zeros(2, 4), "Expected x of shape"),
        (torch.zeros(2, 5, dtype=torch.float64), "x is torch.float64 and the model is torch.float32"),
    ],
)
def test_wrong_data_are_refused(x: torch.Tensor, said: str) -> None:
    model, _ = build("Bernoulli")
    with pytest.raises(ValueError, match=said) as caught:
        model.elbo(x)
    one_sentence(caught.value)


def test_grey_pixels_are_no_bernoulli_draws() -> None:
    model, _ = build("Bernoulli")
    with pytest.raises(ValueError, match="support"):
        model.elbo(torch.full((2, 5), 0.5))


def test_dropout_acts_in_training_alone() -> None:
    model, x = build("gated, dropout")
    assert not torch.equal(model.q_z_given_x(x).mean, model.q_z_given_x(x).mean)
    model.eval()
    assert torch.equal(model.q_z_given_x(x).mean, model.q_z_given_x(x).mean)


def test_terms_are_in_float32_where_products_are_in_bfloat16() -> None:
    model, x = build("Bernoulli")
    with torch.autocast("cpu", torch.bfloat16):
        terms = model.elbo_terms(x)
        assert model.decoder.layers(torch.zeros(1, 2)).dtype == torch.bfloat16
    assert {term.dtype for term in terms.values()} == {torch.float32}


def test_it_learns() -> None:
    torch.manual_seed(0)
    centers = torch.bernoulli(torch.full((3, 20), 0.5))
    x = centers[torch.randint(3, (600,))]
    x = torch.where(torch.rand(x.shape) < 0.05, 1 - x, x)
    model = VAE(20, 2, hidden=(32,))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    history = fit(model, x, optimizer=optimizer, epochs=40, batch_size=50)
    flips = 20 * (0.05 * math.log(0.05) + 0.95 * math.log(0.95))
    best = flips - math.log(3)  # the evidence of the true model, when the noise does not hide the center
    assert best - 2.0 < history.elbo[-1] < best + 0.5
    assert history.elbo[-1] > history.elbo[0] + 3
    assert active_units(model, x).all()


# Networks and likelihoods


def test_several_inputs_are_joined_and_broadcast() -> None:
    z, y = torch.randn(3, 4, 2), torch.randn(4, 5)
    joined = networks.join(z, y)
    assert joined.shape == (3, 4, 7)
    assert torch.equal(joined[1], torch.cat([z[1], y], dim=1))
    network = Network(7, (6,), 3)
    assert torch.equal(network(z, y), network(joined))
    assert GaussianNetwork(7, (6,), 3)(z, y).batch_shape == (3, 4)


def test_another_layer_is_refused() -> None:
    with pytest.raises(ValueError, match='"relu", "tanh" or "gated"') as caught:
        Network(2, (3,), 1, layer="sigmoid")
    one_sentence(caught.value)


def test_a_gated_layer_is_a_product() -> None:
    layer, x = networks.Gated(3, 2), torch.randn(5, 3)
    both = x @ layer.both.weight.T + layer.both.bias
    torch.testing.assert_close(layer(x), both[:, :2] / (1 + (-both[:, 2:]).exp()))


def test_likelihoods_are_normalized() -> None:
    logits = torch.tensor([[-2.0], [0.3], [4.0]], dtype=torch.float64)
    total = sum(networks.bernoulli(logits).log_prob(torch.full((3, 1), float(k)).double()).exp() for k in (0, 1))
    torch.testing.assert_close(total, torch.ones(3, dtype=torch.float64))
    total = sum(networks.binomial(4)(logits).log_prob(torch.full((3, 1), float(k)).double()).exp() for k in range(5))
    torch.testing.assert_close(total, torch.ones(3, dtype=torch.float64))
    x = torch.linspace(0, 1, 2001, dtype=torch.float64)
    density = networks.continuous_bernoulli(logits).log_prob(x[:, None, None]).exp()
    torch.testing.assert_close(
        torch.trapezoid(density, x, dim=0), torch.ones(3, dtype=torch.float64), atol=1e-5, rtol=0
    )
    p = networks.gaussian(torch.tensor([[1.0, 2.0, -100.0, 0.0]]))
    torch.testing.assert_close(p.base_dist.loc, torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(p.stddev, torch.tensor([[networks.SCALE_FLOOR, networks.SCALE_FLOOR + math.log(2)]]))


# Active units


class Known(torch.nn.Module):
    """q(z | x) has the mean (x₁, 0.05 x₁, 0)."""

    def q_z_given_x(self, x):
        return Independent(Normal(torch.stack([x[:, 0], 0.05 * x[:, 0], 0 * x[:, 0]], dim=1), torch.ones(len(x), 3)), 1)


def test_active_units_move_with_the_data() -> None:
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    assert active_units(Known(), x).tolist() == [True, False, False]
    assert active_units(Known(), x, threshold=1e-3).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="at least 2") as caught:
        active_units(Known(), x[:1])
    one_sentence(caught.value)


def test_active_units_need_no_mode() -> None:
    model, x = build("gated, dropout")
    assert model.training
    assert torch.equal(active_units(model, x), active_units(model, x))
    assert model.training


# Shipped weights


def test_the_figures_in_the_weights_are_those_of_the_results() -> None:
    figures = results.load("vae_mnist")["figures"]
    test = pretrained.provenance("vae-mnist")["test"]
    assert {name: figures[name] for name in test} == test
    assert -figures["iwae"]["5000"] <= 86.0


@pytest.mark.skipif(not DATA_DIR, reason="needs MNIST: set AEVB_DATA_DIR")
def test_shipped_weights_do_what_is_said_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "FAST", False)
    x = data.mnist("dynamic").test
    model, said = pretrained.load_pretrained("vae-mnist"), pretrained.provenance("vae-mnist")["test"]
    elbo = sum(elbo_terms(model, x).values())
    assert elbo.mean().item() == pytest.approx(said["elbo"], abs=0.1)
    bound = iwae_bound(model, x[:100], num_samples=100).mean().item()
    assert said["first hundred"] - 3 < bound < said["first hundred"] + 0.2
    assert (Bernoulli(x.mean(dim=0).clamp(1e-3)).log_prob(x).sum(dim=1) < elbo).float().mean() > 0.99
