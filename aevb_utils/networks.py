"""Small network blocks, and what turns their outputs into the distributions of an encoder or a decoder."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Binomial,
    ContinuousBernoulli,
    Distribution,
    Independent,
    Normal,
)
from torch.nn.functional import softplus

from aevb_utils.inputs import check_count

Layer = Literal["relu", "tanh", "gated"]
Likelihood = Callable[[Tensor], Distribution]
"""A decoder's outputs, shape (…, P), to p(x | z), a distribution with the event shape (D,)."""

SCALE_FLOOR = 1e-3
"""The smallest standard deviation that a network may give."""


class Gated(nn.Module):
    """A linear layer whose outputs are each multiplied by a gate: h = (Wx + b) ⊙ sigmoid(Vx + c).

    Dauphin, Fan, Auli & Grangier (2017).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        check_count("inputs", inputs)
        check_count("outputs", outputs)
        self.both = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) to (…, outputs)."""
        value, gate = self.both(x).chunk(2, dim=-1)
        return value * torch.sigmoid(gate)


class Network(nn.Module):
    """Hidden layers of one kind and a linear last layer, for one or several inputs joined end to end.

    Args:
        inputs: width of the input, or of the inputs joined.
        hidden: widths of the hidden layers.
        outputs: width of the output.
        layer: ``"relu"``, ``"tanh"`` or ``"gated"``.
        dropout: probability with which a hidden unit is set to zero in training.

    Raises:
        ValueError: a width is no whole number or less than 1, there is no such layer, or dropout is no probability
            below 1.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], outputs: int, *, layer: Layer = "relu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        _check_network(inputs, hidden, outputs, layer, dropout)
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise([inputs, *hidden]):
            layers += _hidden_layer(layer, width_in, width_out)
            layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], outputs))

    def forward(self, *inputs: Tensor) -> Tensor:
        """(…, outputs), in the inputs' own number format, whatever the products are computed in."""
        joined = join(*inputs)
        return self.layers(joined).to(joined.dtype)


def _check_network(inputs: int, hidden: Sequence[int], outputs: int, layer: str, dropout: float) -> None:
    """Widths, a layer and a probability that a network can have.

    Raises:
        ValueError: one of them is something else.
    """
    if isinstance(hidden, str) or not isinstance(hidden, Sequence):
        raise ValueError(f"hidden must be the widths of the hidden layers, as in hidden=(500, 500), not {hidden!r}.")
    for width in (inputs, *hidden, outputs):
        check_count("The width of a network's input, hidden layer or output", width)
    if layer not in get_args(Layer):
        raise ValueError(f'layer must be "relu", "tanh" or "gated", not {layer!r}.')
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be a probability, at least 0 and less than 1, not {dropout!r}.")


def _hidden_layer(layer: Layer, inputs: int, outputs: int) -> list[nn.Module]:
    """A hidden layer with its nonlinearity."""
    if layer == "gated":
        return [Gated(inputs, outputs)]
    return [nn.Linear(inputs, outputs), nn.ReLU() if layer == "relu" else nn.Tanh()]


def join(*inputs: Tensor) -> Tensor:
    """Inputs joined along their last dimension, the others broadcast: z, (S, batch, L), with y, (batch, C)."""
    if len(inputs) == 1:
        return inputs[0]
    batch = torch.broadcast_shapes(*(part.shape[:-1] for part in inputs))
    return torch.cat([part.expand(*batch, part.shape[-1]) for part in inputs], dim=-1)


def positive(outputs: Tensor) -> Tensor:
    """Any numbers as standard deviations: softplus, and no smaller than ``SCALE_FLOOR``."""
    return SCALE_FLOOR + softplus(outputs)


class GaussianNetwork(nn.Module):
    """A network that gives a Gaussian with a diagonal covariance: an encoder q(z | x), or a learned prior p(z | y).

    𝒩(z; m(u), diag s(u)²) with the input u: the first half of the network's outputs is the mean m, the other half,
    made positive, the standard deviation s. The arguments are those of :class:`Network`; ``outputs`` is the
    dimension L.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], outputs: int, *, layer: Layer = "relu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_count("The width of a network's input, hidden layer or output", outputs)
        self.network = Network(inputs, hidden, 2 * outputs, layer=layer, dropout=dropout)

    def forward(self, *inputs: Tensor) -> Independent:
        """The Gaussian, of batch shape (…) and event shape (L,)."""
        return gaussian(self.network(*inputs))


# Likelihoods: functions from a decoder's outputs to p(x | z)


def bernoulli(outputs: Tensor) -> Independent:
    """Binary pixels, independent given z; the outputs are their logits, (…, D)."""
    return Independent(Bernoulli(logits=outputs), 1)


def continuous_bernoulli(outputs: Tensor) -> Independent:
    """Pixels between 0 and 1 with a density proportional to π^x (1 − π)^(1−x); the outputs are logits of π, (…, D).

    The constant is computed from π clamped by torch to [ε, 1 − ε], with ε of the number format. Loaiza-Ganem &
    Cunningham (2019).
    """
    return Independent(ContinuousBernoulli(logits=outputs), 1)


def binomial(trials: int) -> Likelihood:
    """The likelihood of counts from 0 to ``trials``; the outputs are logits, (…, D).

    Raises:
        ValueError: ``trials`` is no whole number, or less than 1.
    """
    count = check_count("trials", trials)
    return partial(_counts, trials=count)  # not a function of its own, so that a model with it can be pickled


def _counts(outputs: Tensor, trials: int) -> Independent:
    """Counts, independent given z, from logits."""
    return Independent(Binomial(trials, logits=outputs), 1)


def gaussian(outputs: Tensor) -> Independent:
    """Real numbers, each with a mean and a scale of its own: two outputs each, (…, 2D), the means first.

    Raises:
        ValueError: the number of outputs is odd.
    """
    if outputs.shape[-1] % 2:
        raise ValueError(
            f"A Gaussian with a mean and a scale for each number needs an even number of outputs, not "
            f"{outputs.shape[-1]}: give the network outputs=2 * D."
        )
    mean, raw = outputs.chunk(2, dim=-1)
    return Independent(Normal(mean, positive(raw)), 1)
