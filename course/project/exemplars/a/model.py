"""Visits to a doctor: each person's rate is log-normal, and a class of people never goes."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, Poisson, constraints

from aevb_utils.evaluation import log_integral, make_grid
from aevb_utils.models.recipe import SampledKL

torch.set_default_dtype(torch.float64)


class VisitsOrNever(Distribution):
    """Poisson counts of those who go; with probability π a count of 0 of one who never goes."""

    arg_constraints, support = {}, constraints.nonnegative_integer

    def __init__(self, rate: Tensor, logit_pi: Tensor) -> None:
        self.rate, self.logit_pi = torch.broadcast_tensors(rate, logit_pi)
        super().__init__(self.rate.shape, validate_args=False)

    def log_prob(self, x: Tensor) -> Tensor:
        """One number for each count."""
        log_pi, log_go = nn.functional.logsigmoid(self.logit_pi), nn.functional.logsigmoid(-self.logit_pi)
        goes = log_go + Poisson(self.rate, validate_args=False).log_prob(x)
        return torch.where(x == 0, torch.logaddexp(log_pi, goes), goes)

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Counts; no gradient passes through them."""
        rate, logit_pi = (each.expand(*sample_shape, *each.shape) for each in (self.rate, self.logit_pi))
        return torch.poisson(rate) * (torch.rand_like(rate) > logit_pi.sigmoid())


class TwoGaussians(Distribution):
    """A mixture of two Gaussians on the line, each number with a path to φ (implicit reparameterization)."""

    arg_constraints, support, has_rsample = {}, constraints.real, True

    def __init__(self, logits: Tensor, m: Tensor, s: Tensor) -> None:
        self.log_w, self.each = logits.log_softmax(dim=-1), Normal(m, s, validate_args=False)
        super().__init__(m.shape[:-1], validate_args=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log of the mixture's density."""
        return (self.log_w + self.each.log_prob(z[..., None])).logsumexp(dim=-1)

    def cdf(self, z: Tensor) -> Tensor:
        """The mixture's distribution function."""
        return (self.log_w.exp() * self.each.cdf(z[..., None])).sum(dim=-1)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Samples z; F(z) stays where it is when a parameter moves, so dz = −dF / q(z)."""
        shape = torch.Size(sample_shape) + self.batch_shape
        with torch.no_grad():
            second = torch.rand(shape, dtype=self.log_w.dtype) < self.log_w[..., 1].exp()
            both = self.each.sample(sample_shape)
            z = torch.where(second, both[..., 1], both[..., 0])
            density = self.log_prob(z).exp()
        F = self.cdf(z)
        return z - (F - F.detach()) / density

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Samples without a path."""
        return self.rsample(sample_shape)


class Visits(SampledKL):
    """x | z: 0 with probability π, else Poisson(e^z); z ~ N(μ, σ²); q of two Gaussians.

    ``never=False`` leaves the class out (π = 0). ``single=True`` takes one Gaussian for q.
    """

    def __init__(
        self, theta: tuple[float, float, float] = (-2.0, 0.5, 0.0), *, never: bool = True, single: bool = False
    ) -> None:
        super().__init__()
        self.logit_pi = nn.Parameter(torch.tensor(theta[0])) if never else None
        self.mu = nn.Parameter(torch.tensor(theta[1]))
        self.log_sigma = nn.Parameter(torch.tensor(theta[2]))
        self.single = single
        self.encoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2 if single else 6))

    def p_z(self) -> Independent:
        """The log of a rate."""
        return Independent(Normal(self.mu[None], self.log_sigma.exp()[None]), 1)

    def p_x_given_z(self, z: Tensor) -> Independent:
        """A count, for z of shape (…, 1)."""
        rate = z.exp()
        return Independent(Poisson(rate) if self.logit_pi is None else VisitsOrNever(rate, self.logit_pi), 1)

    def q_z_given_x(self, x: Tensor) -> Independent:
        """The network sees the log of the count, and whether it is 0."""
        out = self.encoder(torch.cat([(1 + x).log(), (x == 0).to(x)], dim=1))
        if self.single:
            m, log_s = out.chunk(2, dim=1)
            return Independent(Normal(m, log_s.exp()), 1)
        logits, m, log_s = (part[:, None, :] for part in out.chunk(3, dim=1))
        return Independent(TwoGaussians(logits, m + torch.tensor([-0.5, 0.5]), log_s.exp()), 1)

    def log_evidence(self, x: Tensor) -> Tensor:
        """By the midpoint rule over z, (batch,)."""
        grid = make_grid([(-14.0, 7.0)], 1_500)
        log_joint = self.p_x_given_z(grid.points[:, None]).log_prob(x) + self.p_z().log_prob(grid.points)[:, None]
        return log_integral(log_joint.T, grid)


def build() -> Visits:
    """The model before training."""
    return Visits()


def rows() -> tuple[Tensor]:
    """Eight counts, from none to many."""
    return (torch.tensor([[0.0], [0], [1], [2], [3], [5], [9], [24]]),)


def paper() -> tuple[Visits, tuple[Tensor], Tensor, float]:
    """Log p(x = 0, z) at π = 0.2, μ = 0.7, σ = 1.3 and z = 0.4: the case in which all terms meet."""
    pi, mu, sigma, z = 0.2, 0.7, 1.3, 0.4
    log_prior = -((z - mu) ** 2) / (2 * sigma**2) - math.log(sigma) - math.log(2 * math.pi) / 2
    log_likelihood = math.log(pi + (1 - pi) * math.exp(-math.exp(z)))
    model = Visits((math.log(pi / (1 - pi)), mu, math.log(sigma)))
    return model, (torch.tensor([[0.0]]),), torch.tensor([[z]]), log_prior + log_likelihood
