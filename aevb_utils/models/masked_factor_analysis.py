"""Factor analysis of a table with holes, and AEVB with a q that sees the holes.

Exported from notebooks/11_your_own_model.ipynb by ``make export``: edit the chapter.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from aevb_utils.inputs import as_mask, check_count, check_finite, check_floor, check_sizes
from aevb_utils.models.vae import AutoEncodingModel, check_rows


class Observed(Independent):
    """Independent entries of which only those with mask 1 are observed, eq. (11.16)."""

    def __init__(self, base: Normal, mask: Tensor) -> None:
        super().__init__(base, 1)
        self.mask = mask

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over the observed entries; what stands in a hole, be it NaN, is lost."""
        seen = self.mask != 0
        log_p = self.base_dist.log_prob(torch.where(seen, value, 0))
        return torch.where(seen, log_p, 0).sum(dim=-1)


def gaussian_from_entries(R: Tensor, o: Tensor, h: Tensor) -> MultivariateNormal:
    """Precision I + Σ_d o_d r_d r_dᵀ, mean its inverse times h, eq. (11.17).

    R: (D, L); o: (batch, D); h: (batch, L).
    """
    identity = torch.eye(R.shape[1]).to(R)
    Lambda = identity + torch.einsum("nd,dk,dl->nkl", o, R, R)
    return MultivariateNormal(torch.linalg.solve(Lambda, h), precision_matrix=Lambda)


class EntryEncoder(nn.Module):
    """q of eq. (11.18), with φ = (r, v, κ)."""

    def __init__(self, D: int, L: int) -> None:
        super().__init__()
        self.R = nn.Parameter(torch.randn(D, L) / 2)
        self.V = nn.Parameter(torch.randn(D, L) / 2)
        self.kappa = nn.Parameter(torch.zeros(D))

    def forward(self, x: Tensor, o: Tensor) -> MultivariateNormal:
        """The distribution of z given the observed entries, (batch, D) each."""
        return gaussian_from_entries(self.R, o, (o * (x - self.kappa)) @ self.V)


def observed_log_evidence(x: Tensor, o: Tensor, b: Tensor, Omega: Tensor) -> Tensor:
    """The log of N(b, Ω) at the observed entries of each row, (batch,), in nats.

    A hole is made an independent entry of variance 1 and value 0; the −½ log 2π of
    its density is given back.
    """
    holes = 1 - o
    covariance = o[:, :, None] * Omega * o[:, None, :] + holes.diag_embed()
    both = MultivariateNormal(torch.zeros_like(x), covariance).log_prob(o * (x - b))
    return both + 0.5 * math.log(2 * math.pi) * holes.sum(dim=-1)


def check_table(x: Tensor, o: Tensor, D: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A table with zeros in its holes, and its mask as numbers of x's type, (batch, D).

    The mask is 1 where x is observed: booleans, or zeros and ones of any type. What stands
    in a hole, be it NaN, does not matter.

    Raises:
        ValueError: x or the mask has another shape, the mask holds another number, or an
            observed entry is not finite.
    """
    check_rows(x, D, dtype)
    seen = as_mask(o, x)
    check_finite(x, seen=seen)
    return torch.where(seen, x, 0), seen.to(x)


class MaskedFactorModel(AutoEncodingModel):
    """Factor analysis of rows with holes, eqs. (11.16) and (11.17), as yet without a q.

    The context o, (batch, D), is 1 where x is observed and 0 in a hole.
    """

    def __init__(self, D: int, L: int, floor: float) -> None:
        super().__init__()
        check_sizes(D=D, L=L)
        check_floor(floor)
        self.D, self.L, self.floor = D, L, floor
        self.W = nn.Parameter(torch.randn(D, L) / 2)
        self.b = nn.Parameter(torch.zeros(D))
        self.rho = nn.Parameter(torch.zeros(D))

    @property
    def psi(self) -> Tensor:
        """The diagonal of Ψ, (D,), eq. (6.8)."""
        return self.floor + self.rho.exp()

    def p_z(self, o: Tensor) -> MultivariateNormal:
        """The prior, N(0, I), one for each row of the context."""
        factor = torch.eye(self.L).to(self.W)
        return MultivariateNormal(self.W.new_zeros(len(o), self.L), scale_tril=factor)

    def p_x_given_z(self, z: Tensor, o: Tensor) -> Observed:
        """The observed entries' density, eq. (11.16), for z of shape (…, batch, L)."""
        return Observed(Normal(z @ self.W.T + self.b, self.psi.sqrt()), o)

    def log_evidence(self, x: Tensor, o: Tensor) -> Tensor:
        """The log of p(x_O), exactly, (batch,)."""
        x, o = check_table(x, o, self.D, self.W.dtype)
        Omega = self.W @ self.W.T + self.psi.diag()
        return observed_log_evidence(x, o, self.b, Omega)

    def posterior(self, x: Tensor, o: Tensor) -> MultivariateNormal:
        """The exact p(z | x_O), eq. (11.17)."""
        x, o = check_table(x, o, self.D, self.W.dtype)
        h = (o * (x - self.b) / self.psi) @ self.W
        return gaussian_from_entries(self.W / self.psi.sqrt()[:, None], o, h)


class MaskedFactorAnalysis(MaskedFactorModel):
    """Factor analysis of rows with holes, with q of eq. (11.18), for ``fit``; in nats."""

    def __init__(self, D: int, L: int, *, floor: float = 1e-4) -> None:
        super().__init__(D, L, floor)
        self.encoder = EntryEncoder(D, L)

    def q_z_given_x(self, x: Tensor, o: Tensor) -> MultivariateNormal:
        """The approximate posterior, eq. (11.18)."""
        return self.encoder(*check_table(x, o, self.D, self.W.dtype))

    def sample(self, n: int, o: Tensor) -> tuple[Tensor, Tensor]:
        """Draw n rows with the holes of o (n rows), zeros there, and their latents."""
        check_count("n", n)
        o = as_mask(o, self.W.new_zeros(n, self.D)).to(self.W)
        z = self.p_z(o).sample()
        return self.p_x_given_z(z, o).sample() * o, z
