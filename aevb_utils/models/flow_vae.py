"""A binomial VAE whose q is a flow: a Gaussian, bent by affine couplings.

Exported from notebooks/12_beyond.ipynb by ``make export``: edit the chapter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, Transform, TransformedDistribution
from torch.distributions.constraints import real_vector
from torch.distributions.transforms import AffineTransform

from aevb_utils.inputs import check_count, check_sizes
from aevb_utils.models import logit_network
from aevb_utils.models.binomial_vae import BinomialModel, check_counts, log_binomial
from aevb_utils.models.vae import AutoEncodingModel

KNOTS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # κ of eq. (12.15)
SIZE = 2 * len(KNOTS) + 1  # numbers per coupling


def features(u: Tensor) -> Tensor:
    """ψ(u) of eq. (12.15), (…, 6), for u of shape (…): u itself, a step at each knot."""
    knots = torch.tensor(KNOTS, dtype=u.dtype, device=u.device)
    return torch.cat([u[..., None], torch.tanh(2 * (u[..., None] - knots))], dim=-1)


class Coupling(Transform):
    """The affine coupling (12.14) in two dimensions, one for each row of ``numbers``.

    ``numbers``, (batch, SIZE), are a and c of eq. (12.15); ``keep`` is the coordinate, 0
    or 1, that stays. The last pair (u, z) is remembered, so that the inverse of a sample
    that was just drawn costs nothing. Dinh, Sohl-Dickstein & Bengio (2017).
    """

    domain = real_vector
    codomain = real_vector
    bijective = True

    def __init__(self, numbers: Tensor, keep: int) -> None:
        super().__init__(cache_size=1)
        self.a, self.c = numbers.split([len(KNOTS), len(KNOTS) + 1], dim=-1)
        self.keep = keep

    def scale_and_shift(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The s and t of eq. (12.15) at the coordinate that stays; u: (…, 2)."""
        psi = features(u[..., self.keep])  # (…, 6)
        return (self.a * psi[..., 1:]).sum(dim=-1), (self.c * psi).sum(dim=-1)

    def _with(self, u: Tensor, moved: Tensor) -> Tensor:
        """The point with the other coordinate replaced."""
        stays = u[..., self.keep]
        pair = [stays, moved] if self.keep == 0 else [moved, stays]
        return torch.stack(pair, dim=-1)

    def _call(self, u: Tensor) -> Tensor:
        s, t = self.scale_and_shift(u)
        return self._with(u, u[..., 1 - self.keep] * s.exp() + t)

    def _inverse(self, z: Tensor) -> Tensor:
        s, t = self.scale_and_shift(z)
        return self._with(z, (z[..., 1 - self.keep] - t) * (-s).exp())

    def log_abs_det_jacobian(self, u: Tensor, z: Tensor) -> Tensor:
        """The log of |det ∂z/∂u|, which is s; shape (…)."""
        return self.scale_and_shift(u)[0]


def flow(lam: Tensor) -> TransformedDistribution:
    """q(z; λ) of eqs. (12.13) to (12.15), λ of shape (batch, 4 + SIZE · couplings)."""
    m, k, rest = lam.split([2, 2, lam.shape[-1] - 4], dim=-1)
    chain = [Coupling(part, j % 2) for j, part in enumerate(rest.split(SIZE, dim=-1))]
    base = Independent(Normal(torch.zeros_like(m), 1.0, validate_args=False), 1)
    last = AffineTransform(m, k.exp(), event_dim=1, cache_size=1)
    return TransformedDistribution(base, [*chain, last], validate_args=False)


class FlowVAE(BinomialModel, AutoEncodingModel):
    """Chapter 4's model of counts with L = 2, and a flow as q(z | x); all in nats.

    D pixels with counts up to ``trials``; ``hidden`` are the widths of decoder and
    encoder; ``couplings`` is their number. Raises ValueError if there is none.
    """

    def __init__(
        self, D: int = 64, *, trials: int = 16, hidden: Sequence[int] = (64, 64),
        couplings: int = 4,
    ) -> None:  # fmt: skip
        if couplings < 1:
            raise ValueError(f"A flow needs at least one coupling, not {couplings}.")
        check_sizes(D=D, trials=trials, couplings=couplings)
        super().__init__(D, 2, trials, hidden)
        sizes = [D, *hidden, 4 + SIZE * couplings]
        self.encoder = logit_network.tanh_layers(sizes)

    def encode(self, x: Tensor) -> Tensor:
        """λ for each row of counts, x of shape (batch, D)."""
        check_counts(x, self.D, self.trials, self.encoder[0].weight.dtype)
        return self.encoder(x / self.trials)

    def q_z_given_x(self, x: Tensor) -> TransformedDistribution:
        """The flow with the parameters λ that the encoder puts out."""
        return flow(self.encode(x))

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """The two terms of eq. (1.21), (batch,) each, both from the same samples."""
        check_count("num_samples", num_samples)
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))  # (S, batch, 2)
        reconstruction = log_binomial(x, self.decoder(z), self.trials)
        minus_kl = self.p_z().log_prob(z) - q.log_prob(z)
        terms = {"reconstruction": reconstruction, "minus_kl": minus_kl}
        return {name: term.mean(dim=0) for name, term in terms.items()}
