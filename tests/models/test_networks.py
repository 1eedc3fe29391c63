"""Small networks: what they compute, and the arguments that they refuse."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Binomial

from aevb_utils.models.vae import VAE
from aevb_utils.networks import Gated, GaussianNetwork, Network, binomial, gaussian


@pytest.mark.parametrize(("layer", "nonlinearity"), [("relu", nn.ReLU), ("tanh", nn.Tanh)])
def test_a_network_draws_its_weights_layer_by_layer(layer, nonlinearity):
    torch.manual_seed(3)
    network = Network(4, [5, 6], 2, layer=layer)
    torch.manual_seed(3)
    by_hand = nn.Sequential(nn.Linear(4, 5), nonlinearity(), nn.Linear(5, 6), nonlinearity(), nn.Linear(6, 2))
    x = torch.randn(7, 4)
    assert torch.equal(network(x), by_hand(x))


def test_gated_layers_multiply_by_a_sigmoid():
    network = Network(2, (3,), 1, layer="gated", dropout=0.0)
    gated, last = network.layers
    x = torch.randn(5, 2)
    value, gate = gated.both(x).chunk(2, dim=-1)
    assert torch.equal(network(x), last(value * gate.sigmoid()))


def test_a_network_without_hidden_layers_is_linear():
    network = Network(3, (), 2)
    x = torch.randn(4, 3)
    assert torch.equal(network(x), nn.functional.linear(x, network.layers[0].weight, network.layers[0].bias))


BAD_WIDTH = "The width of a network's input, hidden layer or output must be"


@pytest.mark.parametrize("kind", [Network, GaussianNetwork])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, (0,), 2), f"{BAD_WIDTH} a whole number of at least 1, not 0"),
        ((4, (8, -3), 2), f"{BAD_WIDTH} a whole number of at least 1, not -3"),
        ((0, (8,), 2), f"{BAD_WIDTH} a whole number of at least 1, not 0"),
        ((4, (8,), 0), f"{BAD_WIDTH} a whole number of at least 1, not 0"),
        ((4, (8.0,), 2), f"{BAD_WIDTH} a whole number of at least 1, not 8.0"),
        ((4, (True,), 2), f"{BAD_WIDTH} a whole number of at least 1, not True"),
        ((4, (8,), "2"), f"{BAD_WIDTH} a whole number of at least 1, not '2'"),
        ((4, "88", 2), "hidden must be the widths of the hidden layers, .* not '88'"),
        ((4, 8, 2), r"hidden must be the widths of the hidden layers, as in hidden=\(500, 500\), not 8"),
    ],
)
def test_widths_that_are_none(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(*arguments)


@given(
    st.one_of(
        st.floats(max_value=0, exclude_max=True),
        st.floats(min_value=1),
        st.sampled_from([float("nan"), "0.5", None, True]),
    )
)
def test_a_dropout_that_is_no_probability(dropout):
    with pytest.raises(ValueError, match="dropout must be a probability, at least 0 and less than 1, not"):
        Network(4, (8,), 2, dropout=dropout)


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_there_is_no_such_layer(hidden):
    with pytest.raises(ValueError, match='layer must be "relu", "tanh" or "gated", not \'selu\''):
        Network(4, hidden, 2, layer="selu")


@pytest.mark.parametrize("sizes", [(0, 2), (2, 0), (2.0, 2)])
def test_a_gated_layer_without_width(sizes):
    with pytest.raises(ValueError, match="puts must be"):
        Gated(*sizes)


@pytest.mark.parametrize("trials", [0, -1, 16.0, "16", True, None])
def test_counts_of_no_trials(trials):
    with pytest.raises(ValueError, match="trials must be"):
        binomial(trials)


def test_binomial_counts_and_a_model_of_them_can_be_pickled():
    logits, x = torch.randn(3, 5), torch.tensor([[0.0, 1, 2, 3, 16]]).expand(3, 5)
    expected = Binomial(16, logits=logits).log_prob(x).sum(dim=-1)
    assert torch.equal(binomial(16)(logits).log_prob(x), expected)
    model = VAE(5, 2, hidden=(4,), likelihood=binomial(16))
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(again.likelihood(logits).log_prob(x), expected)


@given(st.integers(0, 8).map(lambda n: 2 * n + 1))
def test_an_odd_number_of_outputs_is_no_gaussian(width):
    with pytest.raises(ValueError, match=f"needs an even number of outputs, not {width}: give the network outputs=2"):
        gaussian(torch.zeros(4, width))
