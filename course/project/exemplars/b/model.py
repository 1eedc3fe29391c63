"""Effects of coaching in eight schools, around a common mean."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from aevb_utils.models.recipe import FreeParameters
from aevb_utils.models.vae import AutoEncodingModel

torch.set_default_dtype(torch.float64)

EFFECTS = torch.tensor([28.0, 8, -3, 7, -1, 1, 18, 12])[:, None]
ERRORS = torch.tensor([15.0, 10, 16, 11, 9, 11, 10, 18])[:, None]


class Schools(AutoEncodingModel):
    """z ~ N(μ, τ²) is a school's true effect, x ~ N(z, s²) the measured one; s and the school's number are context."""

    def __init__(self, n: int, mu: float = 0.0, tau: float = 10.0) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.tensor(mu))
        self.log_tau = nn.Parameter(torch.tensor(tau).log())
        self.encoder = FreeParameters(n, 2)

    def p_z(self) -> Independent:
        """True effects."""
        return Independent(Normal(self.mu[None], self.log_tau.exp()[None]), 1)

    def p_x_given_z(self, z: Tensor, s: Tensor, i: Tensor) -> Independent:
        """Measured effects."""
        return Independent(Normal(z, s), 1)

    def q_z_given_x(self, x: Tensor, s: Tensor, i: Tensor) -> Independent:
        """A Gaussian for each school; its parameters are in units of 10 points."""
        m, log_s = self.encoder(i).chunk(2, dim=1)
        return Independent(Normal(10 * m, 10 * log_s.exp()), 1)

    def sample(self, n: int, s: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        """Draw n schools with these errors, and their true effects."""
        z = self.p_z().sample((n,))
        return self.p_x_given_z(z, s, i).sample(), z

    def log_evidence(self, x: Tensor, s: Tensor, i: Tensor) -> Tensor:
        """Variances add, (batch,)."""
        return Normal(self.mu, (self.log_tau.exp() ** 2 + s**2).sqrt()).log_prob(x)[:, 0]


def build() -> Schools:
    """The model before training."""
    return Schools(8)


def rows() -> tuple[Tensor, Tensor, Tensor]:
    """Eight simulated schools."""
    torch.manual_seed(0)
    x, _ = Schools(8, 8.0, 6.0).sample(8, ERRORS, torch.arange(8))
    return x, ERRORS, torch.arange(8)


def paper() -> tuple[Schools, tuple[Tensor, Tensor, Tensor], Tensor, float]:
    """Log p(x = 28, z = 11) at μ = 8, τ = 6, s = 15."""
    x, s, z, mu, tau = 28, 15, 11, 8, 6
    squares = (z - mu) ** 2 / (2 * tau**2) + (x - z) ** 2 / (2 * s**2)
    value = -squares - math.log(tau) - math.log(s) - math.log(2 * math.pi)
    row = (torch.tensor([[28.0]]), torch.tensor([[15.0]]), torch.tensor([0]))
    return Schools(8, 8.0, 6.0), row, torch.tensor([[11.0]]), value
