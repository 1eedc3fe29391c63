"""The conditional VAE: a context y enters the prior, the likelihood, or both.

Exported from notebooks/08_conditional_vae.ipynb by ``make export``: edit the chapter.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from aevb_utils.evaluation.bounds import iwae_bound
from aevb_utils.inputs import check_count, check_shape, check_sizes
from aevb_utils.models.vae import AutoEncodingModel, check_rows
from aevb_utils.networks import GaussianNetwork, Layer, Likelihood, Network, bernoulli

Enters = Literal["likelihood", "prior", "both"]


def check_context(y: Tensor, C: int, dtype: torch.dtype) -> None:
    """Say what is wrong with a context for a model that takes rows of C numbers.

    Raises:
        ValueError: another shape, or another number format than the model's.
    """
    if y.ndim != 2 or y.shape[1] != C:
        raise ValueError(
            f"Expected y of shape (batch, {C}), not {tuple(y.shape)}: one row a datum, a "
            "label as a one-hot row."
        )
    if y.dtype != dtype:
        raise ValueError(f"y is {y.dtype} and the model is {dtype}: use y.to({dtype}).")


def standard_normal(y: Tensor, L: int) -> Independent:
    """𝒩(0, I) in L dimensions, one for each row of y, in its number format."""
    zero = y.new_zeros(len(y), L)
    return Independent(Normal(zero, torch.ones_like(zero)), 1)


class ConditionalModel(AutoEncodingModel):
    """The three distributions of eqs. (8.1) and (8.5), in terms of networks, and a draw.

    The networks and sizes are set by :class:`ConditionalVAE`.
    """

    def p_z(self, y: Tensor) -> Independent:
        """The prior of each row of y, eq. (8.1): p(z | y), or the standard normal."""
        check_context(y, self.C, next(self.parameters()).dtype)
        return standard_normal(y, self.L) if self.prior is None else self.prior(y)

    def p_x_given_z(self, z: Tensor, y: Tensor) -> Distribution:
        """The likelihood, eq. (8.1), for z, (…, batch, L): p(x | z, y) or p(x | z)."""
        check_context(y, self.C, next(self.parameters()).dtype)
        return self.likelihood(
            self.decoder(z) if self.enters == "prior" else self.decoder(z, y)
        )

    def q_z_given_x(self, x: Tensor, y: Tensor) -> Independent:
        """The approximate posterior, eq. (8.5), for x of shape (batch, D) and its y."""
        dtype = next(self.parameters()).dtype
        check_rows(x, self.D, dtype)
        check_context(y, self.C, dtype)
        if len(x) != len(y):
            raise ValueError(f"Expected {len(x)} rows of y, as of x, not {len(y)}.")
        return self.encoder(x, y)

    def sample(self, n: int, y: Tensor) -> tuple[Tensor, Tensor]:
        """Draw n data, (n, D), and latents, (n, L), given n rows of y or one for all."""
        check_count("n", n)
        check_context(y, self.C, next(self.parameters()).dtype)
        if len(y) not in (1, n):
            raise ValueError(f"Expected y of 1 row or of {n}, one a draw, not {len(y)}.")
        y = y.expand(n, -1)
        z = self.p_z(y).sample()
        return self.p_x_given_z(z, y).sample(), z


class ConditionalVAE(ConditionalModel):
    """A VAE of x given y: the networks of eqs. (8.1) and (8.5); all in nats.

    D numbers a datum, C a context (a one-hot label, observed pixels), L a latent. y enters
    the "likelihood" (with the prior 𝒩(0, I)), the "prior", or "both"; the encoder always.
    Sizes and layers are as in :class:`VAE`; a prior that sees y is as wide as the encoder.
    """

    def __init__(
        self,
        D: int,
        C: int,
        L: int,
        *,
        enters: Enters = "likelihood",
        hidden: Sequence[int] = (500, 500),
        likelihood: Likelihood = bernoulli,
        outputs: int | None = None,
        layer: Layer = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if enters not in ("likelihood", "prior", "both"):
            choices = '"likelihood", "prior" or "both"'
            raise ValueError(f"enters must be {choices}, not {enters!r}.")
        check_sizes(D=D, C=C, L=L)
        self.D, self.C, self.L, self.enters, self.likelihood = D, C, L, enters, likelihood
        options = {"layer": layer, "dropout": dropout}
        self.encoder = GaussianNetwork(D + C, hidden, L, **options)
        learned = enters != "likelihood"
        self.prior = GaussianNetwork(C, hidden, L, **options) if learned else None
        inputs = L if enters == "prior" else L + C
        self.decoder = Network(inputs, hidden[::-1], outputs or D, **options)


def bounds_by_label(model: ConditionalVAE, x: Tensor, *, num_samples: int) -> Tensor:
    """L_K of log p(x | y) for each of the C labels y and each datum, (C, N), in nats."""
    contexts = torch.eye(model.C, dtype=x.dtype)[:, None].expand(-1, len(x), -1)
    bounds = [iwae_bound(model, x, y, num_samples=num_samples) for y in contexts]
    return torch.stack(bounds)


def mixture_bound(by_label: Tensor) -> Tensor:
    """The log of Σ_y p(y) p(x | y), eq. (8.11), labels equally likely: (C, N) to (N,)."""
    return by_label.logsumexp(dim=0) - math.log(len(by_label))


def observed_pixels(side: int, quadrants: int) -> Tensor:
    """Which pixels of a square image are observed, row by row, (side²,), bool.

    1 quadrant is the bottom left one, 2 are the left half, 3 are all but the bottom right
    one, as in Sohn, Lee & Yan (2015).

    Raises:
        ValueError: another number of quadrants.
    """
    check_count("side", side, 2)
    if quadrants not in (1, 2, 3):
        raise ValueError(f"1, 2 or 3 quadrants can be observed, not {quadrants}.")
    row, column = torch.arange(side)[:, None], torch.arange(side)[None, :]
    top, left = row < side // 2, column < side // 2  # (side, 1), (1, side)
    mask = {1: ~top & left, 2: left.expand(side, side), 3: top | left}[quadrants]
    return mask.flatten()


class DirectNetwork(nn.Module):
    """p(x | y) without a latent, eq. (8.14): the pixels are independent given y.

    Sizes and layers as in :class:`ConditionalVAE`. ``elbo_terms`` gives log p(x | y).
    """

    def __init__(
        self,
        D: int,
        C: int,
        *,
        hidden: Sequence[int] = (500, 500),
        likelihood: Likelihood = bernoulli,
        layer: Layer = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes(D=D, C=C)
        self.likelihood = likelihood
        self.network = Network(C, hidden, D, layer=layer, dropout=dropout)

    def p_x_given_y(self, y: Tensor) -> Distribution:
        """The pixels' distribution, for y of shape (batch, C)."""
        return self.likelihood(self.network(y))

    def elbo_terms(
        self, x: Tensor, y: Tensor, *, num_samples: int = 1
    ) -> dict[str, Tensor]:
        """The exact log p(x | y) of each datum, in nats, (batch,): no samples needed."""
        p = self.p_x_given_y(y)
        check_shape(x, p.batch_shape + p.event_shape)
        return {"reconstruction": p.log_prob(x)}

    def generative_parameters(self) -> list[nn.Parameter]:
        """θ, all of them."""
        return list(self.parameters())

    def inference_parameters(self) -> list[nn.Parameter]:
        """None: there is nothing to infer."""
        return []


def grey_bernoulli(outputs: Tensor) -> Independent:
    """Σ_d [x_d a_d − log(1 + exp(a_d))] at grey x between 0 and 1, from logits a, (…, D).

    The formula of a Bernoulli where it does not hold: not the log of a probability, nor of
    a density. For comparison with figures that were published so, and for nothing else.
    """
    pixels = Bernoulli(logits=outputs, validate_args=False)
    return Independent(pixels, 1, validate_args=False)
