"""The variational autoencoder, and what it shares with its relatives.

Exported from notebooks/07_variational_autoencoder.ipynb by ``make export``: edit the
chapter.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from aevb_utils.evaluation.contexts import call_with_context, draw_latents
from aevb_utils.inputs import check_count, check_sizes
from aevb_utils.networks import GaussianNetwork, Layer, Likelihood, Network, bernoulli

Terms = dict[str, Tensor]  # named parts of the ELBO, each (batch,)
Parts = tuple[Independent, Independent, Likelihood]  # q(z | x), p(z), z to p(x | z)


def estimate_terms(
    x: Tensor, q: Independent, p_z: Independent, p_x_given_z: Likelihood, num_samples: int
) -> Terms:
    """The two terms of eq. (7.6), each (batch,): the first estimated, the KL exact."""
    check_count("num_samples", num_samples)
    z = q.rsample((num_samples,))  # (S, batch, L)
    log_likelihood = p_x_given_z(z).log_prob(x)  # (S, batch)
    return {
        "reconstruction": log_likelihood.mean(dim=0),
        "minus_kl": -kl_divergence(q, p_z),
    }


def draw_log_weights(
    x: Tensor, q: Independent, p_z: Independent, p_x_given_z: Likelihood, num_samples: int
) -> Tensor:
    """The log of p(x, z) / q(z | x) at samples of q, eq. (7.11), (num_samples, batch)."""
    check_count("num_samples", num_samples)
    z = q.rsample((num_samples,))  # (S, batch, L)
    return p_x_given_z(z).log_prob(x) + p_z.log_prob(z) - q.log_prob(z)


class AutoEncodingModel(nn.Module):
    """The ELBO and its relatives for a model with an encoder, ``q_z_given_x(x, *context)``
    and ``p_z(...)`` and ``p_x_given_z(z, ...)``. A context (chapter 8: a label) has a row
    for each row of x; the last two take it whole, by its names in the first, or not.
    """

    encoder: nn.Module

    def sample(self, n: int, *context: Tensor) -> tuple[Tensor, Tensor]:
        """Draw n data, (n, D), and their latents, (n, L); a context has n rows."""
        p_z = call_with_context(self.p_z, context=context)
        z = draw_latents(p_z, n, *context)
        return call_with_context(self.p_x_given_z, z, context=context).sample(), z

    def parts(self, x: Tensor, *context: Tensor) -> Parts:
        """q(z | x), p(z) and the function p(x | ·), at a batch and its context."""
        q = self.q_z_given_x(x, *context)
        p_z = call_with_context(self.p_z, context=context)
        return q, p_z, partial(call_with_context, self.p_x_given_z, context=context)

    def elbo_terms(self, x: Tensor, *context: Tensor, num_samples: int = 1) -> Terms:
        """The two terms of the ELBO of each datum, in nats, (batch,) each."""
        return estimate_terms(x, *self.parts(x, *context), num_samples)

    def elbo(self, x: Tensor, *context: Tensor, num_samples: int = 1) -> Tensor:
        """An estimate of the ELBO of each datum, in nats, shape (batch,)."""
        return sum(self.elbo_terms(x, *context, num_samples=num_samples).values())

    def log_weights(self, x: Tensor, *context: Tensor, num_samples: int) -> Tensor:
        """The log of p(x, z) / q(z | x) at samples of q, shape (num_samples, batch)."""
        return draw_log_weights(x, *self.parts(x, *context), num_samples)

    def inference_parameters(self) -> list[nn.Parameter]:
        """φ, the encoder's."""
        return list(self.encoder.parameters())

    def generative_parameters(self) -> list[nn.Parameter]:
        """θ, all the others: the decoder's, and those of a likelihood or a prior."""
        phi = set(self.inference_parameters())
        return [parameter for parameter in self.parameters() if parameter not in phi]


def check_rows(x: Tensor, D: int, dtype: torch.dtype) -> None:
    """Say what is wrong with data for a model of D pixels, if anything is.

    Raises:
        ValueError: another shape, or another number format than the model's.
    """
    if x.ndim != 2 or x.shape[1] != D:
        raise ValueError(f"Expected x of shape (batch, {D}), not {tuple(x.shape)}.")
    if x.dtype != dtype:
        raise ValueError(
            f"x is {x.dtype} and the model is {dtype}: convert one, as by x.to({dtype})."
        )


class VAE(AutoEncodingModel):
    """A variational autoencoder: p(z) = 𝒩(0, I), a decoder, an encoder; all in nats.

    D numbers a datum, a latent of L dimensions; ``hidden`` are the widths of the encoder,
    reversed those of the decoder, which gives ``outputs`` numbers (by default D) to the
    ``likelihood``. A layer is "relu", "tanh" or "gated"; ``dropout`` acts in training.
    """

    def __init__(
        self,
        D: int,
        L: int,
        *,
        hidden: Sequence[int] = (500, 500),
        likelihood: Likelihood = bernoulli,
        outputs: int | None = None,
        layer: Layer = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes(D=D, L=L)
        self.D, self.L, self.likelihood = D, L, likelihood
        self.encoder = GaussianNetwork(D, hidden, L, layer=layer, dropout=dropout)
        widths = hidden[::-1]
        self.decoder = Network(L, widths, outputs or D, layer=layer, dropout=dropout)

    def p_z(self) -> Independent:
        """The prior, a standard normal."""
        zero = next(self.parameters()).new_zeros(self.L)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def p_x_given_z(self, z: Tensor) -> Distribution:
        """The likelihood, eq. (7.1), at z of shape (…, L)."""
        return self.likelihood(self.decoder(z))

    def q_z_given_x(self, x: Tensor) -> Independent:
        """The approximate posterior, eq. (7.4), for x of shape (batch, D)."""
        check_rows(x, self.D, next(self.parameters()).dtype)
        return self.encoder(x)
