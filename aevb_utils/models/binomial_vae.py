"""A variational autoencoder for counts, with a latent of few dimensions.

Exported from notebooks/04_amortization.ipynb by ``make export``: edit the chapter.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Binomial, Independent, MultivariateNormal, Normal
from torch.nn.functional import softplus

from aevb_utils.inputs import check_count
from aevb_utils.models import logit_network
from aevb_utils.training import History, fit


def log_binomial(x: Tensor, logits: Tensor, trials: int) -> Tensor:
    """The log of p(x | z), eq. (4.8), summed over the last dimension, in nats."""
    return (x * logits - trials * softplus(logits)).sum(dim=-1) + log_choose(x, trials)


def log_choose(x: Tensor, trials: int) -> Tensor:
    """The log of the binomial coefficients of eq. (4.8), summed over the pixels."""
    n = torch.tensor(float(trials), dtype=x.dtype)
    ways = torch.lgamma(n + 1) - torch.lgamma(x + 1) - torch.lgamma(n - x + 1)
    return ways.sum(dim=-1)


def gaussian(lam: Tensor, L: int) -> MultivariateNormal:
    """q(z; λ), eq. (4.9), for λ of shape (…, 2L) or (…, 2L + L(L−1)/2)."""
    mean, log_diagonal, lower = lam.split([L, L, lam.shape[-1] - 2 * L], dim=-1)
    unit = torch.eye(L, dtype=lam.dtype, device=lam.device)
    unit = unit.expand(*lam.shape[:-1], L, L)  # I + B
    if lower.shape[-1]:
        rows, columns = torch.tril_indices(L, L, offset=-1)
        unit = unit.clone()
        unit[..., rows, columns] = lower
    factor = log_diagonal.exp()[..., None] * unit  # K
    return MultivariateNormal(mean, scale_tril=factor, validate_args=False)


def kl_to_prior(q: MultivariateNormal) -> Tensor:
    """KL(q ‖ 𝒩(0, I)), eq. (4.10), in nats, shape (batch,)."""
    K, m = q.scale_tril, q.loc
    square = m.square().sum(dim=-1) + K.square().sum(dim=(-2, -1)) - m.shape[-1]
    return square / 2 - K.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)


def check_counts(x: Tensor, D: int, trials: int, dtype: torch.dtype) -> None:
    """Say what is wrong with data for a binomial VAE, if anything is.

    Raises:
        ValueError: another shape, another type than the model's, or no counts.
    """
    if x.ndim != 2 or x.shape[1] != D:
        raise ValueError(f"Expected x of shape (batch, {D}), not {tuple(x.shape)}.")
    if x.dtype != dtype:
        raise ValueError(
            f"x is {x.dtype} and the model is {dtype}: convert one, as by x.to({dtype})."
        )
    if not ((x >= 0) & (x <= trials) & (x == x.round())).all():
        raise ValueError(f"x must hold whole numbers from 0 to {trials}.")


class BinomialModel(nn.Module):
    """The generative half: p(z) = 𝒩(0, I) and a decoder for p(x | z), eq. (4.7)."""

    def __init__(self, D: int, L: int, trials: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.D, self.L, self.trials = D, L, trials
        self.decoder = logit_network.tanh_layers([L, *hidden, D])

    def p_z(self) -> Independent:
        """The prior, a standard normal."""
        zero = self.decoder[0].weight.new_zeros(self.L)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def p_x_given_z(self, z: Tensor) -> Independent:
        """The pixels given z, shape (…, L)."""
        return Independent(Binomial(self.trials, logits=self.decoder(z)), 1)

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """The log of p(x_i, z), shape (S, batch), for z of shape (S, batch, L)."""
        log_likelihood = log_binomial(x, self.decoder(z), self.trials)
        return self.p_z().log_prob(z) + log_likelihood

    def log_joint_table(self, x: Tensor, points: Tensor) -> Tensor:
        """The log of p(x_i, z_g), (batch, G): every datum at each of G points (G, L)."""
        logits = self.decoder(points)  # (G, D)
        of_z = self.p_z().log_prob(points) - self.trials * softplus(logits).sum(dim=-1)
        return x @ logits.mT + of_z + log_choose(x, self.trials)[:, None]

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n data, (n, D), and their latents, (n, L)."""
        z = self.p_z().sample((check_count("n", n),))
        return self.p_x_given_z(z).sample(), z

    def generative_parameters(self) -> Iterator[nn.Parameter]:
        """θ, the decoder's."""
        return self.decoder.parameters()


class BinomialWithEncoder(BinomialModel):
    """The generative half, and an encoder that gives λ of a Gaussian q, eq. (4.9)."""

    def __init__(
        self,
        D: int = 64,
        L: int = 2,
        *,
        trials: int = 16,
        hidden: Sequence[int] = (64, 64),
        encoder_hidden: Sequence[int] = (64, 64),
        covariance: Literal["diagonal", "full"] = "diagonal",
    ) -> None:
        super().__init__(D, L, trials, hidden)
        widths = {"diagonal": 2 * L, "full": 2 * L + L * (L - 1) // 2}
        if covariance not in widths:
            raise ValueError(f'covariance is "diagonal" or "full", not {covariance!r}.')
        sizes = [D, *encoder_hidden, widths[covariance]]
        self.encoder = logit_network.tanh_layers(sizes)

    def encode(self, x: Tensor) -> Tensor:
        """f_φ(x) of eq. (4.1): λ for each row of counts, x of shape (batch, D)."""
        check_counts(x, self.D, self.trials, self.encoder[0].weight.dtype)
        return self.encoder(x / self.trials)

    def q(self, lam: Tensor) -> MultivariateNormal:
        """The Gaussian with parameters λ, eq. (4.9)."""
        return gaussian(lam, self.L)

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        """φ, the encoder's."""
        return self.encoder.parameters()


class BinomialVAE(BinomialWithEncoder):
    """A variational autoencoder for counts; all answers are in nats.

    D pixels, counts up to ``trials``, a latent of L dimensions; ``hidden`` and
    ``encoder_hidden`` are the widths of decoder and encoder, ``covariance`` that of q:
    ``"diagonal"`` or ``"full"``. Raises ValueError for another word.
    """

    def q_z_given_x(self, x: Tensor) -> MultivariateNormal:
        """q_φ(z | x), eq. (4.1)."""
        return self.q(self.encode(x))

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """The two terms of eq. (1.21), each (batch,): one estimated, one exact."""
        q = self.q_z_given_x(x)
        z = q.rsample((check_count("num_samples", num_samples),))  # (S, batch, L)
        logits = self.decoder(z)  # (S, batch, D)
        reconstruction = log_binomial(x, logits, self.trials).mean(dim=0)
        return {"reconstruction": reconstruction, "minus_kl": -kl_to_prior(q)}

    def elbo(self, x: Tensor, *, num_samples: int = 1) -> Tensor:
        """An estimate of the ELBO of each datum, shape (batch,)."""
        return sum(self.elbo_terms(x, num_samples=num_samples).values())

    def log_weights(self, x: Tensor, *, num_samples: int) -> Tensor:
        """The log of p(x, z) / q(z | x) at samples of q, shape (num_samples, batch)."""
        q = self.q_z_given_x(x)
        z = q.rsample((check_count("num_samples", num_samples),))
        return self.log_joint(x, z) - q.log_prob(z)


def train(
    model: BinomialVAE,
    x: Tensor,
    *,
    epochs: int,
    seed: int = 0,
    callback: Callable[[int, BinomialVAE, History], None] | None = None,
) -> History:
    """Train θ and φ by ``fit``: Adam from 0.01 to 0 on a cosine, batches of 100."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    steps = math.ceil(len(x) / 100)  # in an epoch
    decay = torch.optim.lr_scheduler.LambdaLR(  # falls after each epoch
        optimizer, lambda step: (1 + math.cos(math.pi * (step // steps) / epochs)) / 2
    )
    return fit(
        model,
        x,
        optimizer=optimizer,
        scheduler=decay,
        epochs=epochs,
        batch_size=100,
        seed=seed,
        callback=callback,
    )
