"""Batting averages of 18 players."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Beta, Binomial, Independent, Normal

from aevb_utils.models.vae import AutoEncodingModel

HITS = torch.tensor([18.0, 17, 16, 15, 14, 14, 13, 12, 11, 11, 10, 10, 10, 10, 10, 9, 8, 7])[:, None]


class Batting(AutoEncodingModel):
    """z ~ Beta(a, b), x ~ Binomial(45, z), q Gaussian."""

    def __init__(self) -> None:
        super().__init__()
        self.log_a = nn.Parameter(torch.tensor(0.0))
        self.log_b = nn.Parameter(torch.tensor(0.0))
        self.encoder = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 2))

    def p_z(self) -> Independent:
        """The prior."""
        return Independent(Beta(self.log_a.exp()[None], self.log_b.exp()[None]), 1)

    def p_x_given_z(self, z: Tensor) -> Independent:
        """The likelihood."""
        return Independent(Binomial(45, probs=z.clamp(0.001, 0.999)), 1)

    def q_z_given_x(self, x: Tensor) -> Independent:
        """The encoder."""
        m, log_s = self.encoder(x / 45).chunk(2, dim=1)
        return Independent(Normal(m.sigmoid(), log_s.exp()), 1)

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """Reconstruction and KL; samples outside (0, 1) are moved inside, otherwise log_prob raises an error."""
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,)).clamp(0.001, 0.999)
        reconstruction = self.p_x_given_z(z).log_prob(x).mean(dim=0)
        return {"reconstruction": reconstruction, "minus_kl": (self.p_z().log_prob(z) - q.log_prob(z)).mean(dim=0)}


def build() -> Batting:
    """The model."""
    return Batting()


def rows() -> tuple[Tensor]:
    """The first eight players."""
    return (HITS[:8],)


def paper() -> tuple[Batting, tuple[Tensor], Tensor, float]:
    """The joint density at a = b = 1, where the prior is 0."""
    return Batting(), (HITS[:1],), torch.tensor([[0.4]]), 18 * math.log(0.4) + 27 * math.log(0.6)
