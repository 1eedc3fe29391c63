"""The local-level model of a time series: its Kalman filter, and AEVB with a Markov q.

Exported from notebooks/11_your_own_model.ipynb by ``make export``: edit the chapter.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from aevb_utils.inputs import (
    as_indices,
    check_count,
    check_finite,
    check_series,
    check_sizes,
    check_variances,
)

Terms = dict[str, Tensor]  # named parts of the ELBO, each (batch,)


def kalman_evidence(
    x: Tensor, noise: Tensor, level: Tensor, first: tuple[float, float]
) -> Tensor:
    """The log of p(x) of series (batch, T), eqs. (11.8) and (11.9), (batch,), in nats.

    ``noise`` is σ_ε², ``level`` σ_η² (a number, or one a series), ``first`` mean and
    standard deviation of z_1.

    Raises:
        ValueError: x is not (batch, T) or not finite, or a variance is negative or has
            another shape.
    """
    check_series(x)
    check_finite(x)
    check_variances(x, noise=noise, level=level)
    m, P = x.new_full((len(x),), first[0]), x.new_full((len(x),), first[1] ** 2)
    log_evidence = torch.zeros_like(m)
    for x_t in x.T:  # m and P are those before x_t is seen
        F = P + noise
        log_evidence = log_evidence + Normal(m, F.sqrt()).log_prob(x_t)
        k = P / F
        m, P = m + k * (x_t - m), P * (1 - k) + level
    return log_evidence


class LocalLevelModel(nn.Module):
    """A level that wanders, seen through noise, eq. (11.6): θ = (log σ_ε², log σ_η²).

    Series of T numbers; ``first`` are mean and standard deviation of the first level,
    ``variances`` the start of (σ_ε², σ_η²).
    """

    def __init__(
        self, T: int, first: tuple[float, float], variances: tuple[float, float]
    ) -> None:
        super().__init__()
        check_sizes(T=T)
        if not min(first[1], *variances) > 0:
            raise ValueError(
                "Expected a standard deviation of the first level and two variances, all "
                f"above 0, not {first[1]}, {variances[0]} and {variances[1]}."
            )
        self.T, self.first = T, first
        self.log_noise = nn.Parameter(torch.tensor(variances[0]).log())  # log σ_ε²
        self.log_level = nn.Parameter(torch.tensor(variances[1]).log())  # log σ_η²

    def p_z(self) -> MultivariateNormal:
        """The levels of a series: column t of the factor is the step into year t."""
        start = self.log_level.new_tensor([self.first[1]])
        steps = torch.cat([start, (self.log_level / 2).exp().expand(self.T - 1)])
        loc = steps.new_full((self.T,), self.first[0])
        return MultivariateNormal(loc, scale_tril=steps.expand(self.T, -1).tril())

    def p_x_given_z(self, z: Tensor) -> Independent:
        """N(z, σ_ε² I)."""
        return Independent(Normal(z, (self.log_noise / 2).exp()), 1)

    def generative_parameters(self) -> list[nn.Parameter]:
        """θ: both variances."""
        return [self.log_noise, self.log_level]


def posterior_precision(model: LocalLevelModel) -> Tensor:
    """Λ of eq. (11.10), (T, T): the prior's precision plus 1/σ_ε² on the diagonal."""
    factor = model.p_z().scale_tril
    identity = torch.eye(model.T).to(factor)
    B = torch.linalg.solve_triangular(factor, identity, upper=False)
    return B.T @ B + identity * (-model.log_noise).exp()


def exact_posterior(model: LocalLevelModel, x: Tensor) -> MultivariateNormal:
    """p(z | x) of series (batch, T): mean μ + Λ⁻¹(x − μ)/σ_ε², precision Λ."""
    check_series(x, model.T)
    check_finite(x)
    Lambda, mu = posterior_precision(model), model.p_z().loc
    pull = (x - mu) * (-model.log_noise).exp()
    mean = mu + torch.linalg.solve(Lambda, pull.T).T
    return MultivariateNormal(mean, precision_matrix=Lambda)


class ExactLocalLevel(LocalLevelModel):
    """The local-level model with what is exact: evidence, posterior, samples."""

    def log_evidence(self, x: Tensor) -> Tensor:
        """By the Kalman filter, (batch,)."""
        check_series(x, self.T)
        noise, level = self.log_noise.exp(), self.log_level.exp()
        return kalman_evidence(x, noise, level, self.first)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """The exact p(z | x), of precision (11.10)."""
        return exact_posterior(self, x)

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n series, (n, T), and their levels, (n, T)."""
        check_count("n", n)
        z = self.p_z().sample((n,))
        return self.p_x_given_z(z).sample(), z


class MarkovGaussian(nn.Module):
    """q of N series, eq. (11.11): a chain, or with ``structured=False`` independent z_t.

    Mean ``center`` + ``scale`` · m; z − mean = ``scale`` · B⁻¹ε.
    """

    def __init__(
        self, N: int, T: int, center: float, scale: float, structured: bool
    ) -> None:
        super().__init__()
        check_sizes(N=N, T=T)
        if not scale > 0:
            raise ValueError(f"The scale must be above 0, not {scale}.")
        self.center, self.scale = center, scale
        self.m = nn.Parameter(torch.zeros(N, T))
        self.log_d = nn.Parameter(torch.zeros(N, T))
        self.c = nn.Parameter(torch.full((N, T - 1), -0.5)) if structured else None

    def forward(self, i: Tensor) -> MultivariateNormal:
        """The distribution of the levels of the series with these indices."""
        B = self.log_d[i].exp().diag_embed()
        if self.c is not None:
            B = B + self.c[i].diag_embed(offset=-1)
        identity = torch.eye(B.shape[-1]).to(B).expand_as(B)
        inverse = torch.linalg.solve_triangular(B, identity, upper=False)
        return MultivariateNormal(
            self.center + self.scale * self.m[i], scale_tril=self.scale * inverse
        )


class LocalLevel(ExactLocalLevel):
    """The local-level model with a Gaussian q for each series, for ``fit``; in nats.

    N series of T numbers; ``structured`` chooses q; ``scale`` is its unit, as large as
    the levels' spread. The context is the index of the series.
    """

    def __init__(
        self, T: int, N: int = 1, *, first: tuple[float, float] = (0.0, 1.0),
        variances: tuple[float, float] = (1.0, 1.0), structured: bool = True,
        scale: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(T, first, variances)
        self.q = MarkovGaussian(N, T, first[0], scale, structured)

    def q_z_given_x(self, x: Tensor, i: Tensor) -> MultivariateNormal:
        """The q of the series with index i, (batch,)."""
        check_series(x, self.T)
        return self.q(as_indices("indices of series", i, x, most=len(self.q.m) - 1))

    def elbo_terms(self, x: Tensor, i: Tensor, *, num_samples: int = 1) -> Terms:
        """Both terms, exact: eq. (11.12) and minus the KL of two Gaussians, (batch,)."""
        q = self.q_z_given_x(x, i)
        spread = q.variance.sum(dim=-1) * (-self.log_noise).exp()
        reconstruction = self.p_x_given_z(q.loc).log_prob(x) - 0.5 * spread
        minus_kl = -kl_divergence(q, self.p_z())
        return {"reconstruction": reconstruction, "minus_kl": minus_kl}

    def elbo(self, x: Tensor, i: Tensor, *, num_samples: int = 1) -> Tensor:
        """The ELBO of each series, (batch,), in nats."""
        return sum(self.elbo_terms(x, i, num_samples=num_samples).values())

    def log_weights(self, x: Tensor, i: Tensor, *, num_samples: int) -> Tensor:
        """The log of p(x, z) / q(z | x) at samples of q, (num_samples, batch)."""
        return draw_log_weights(self, self.q_z_given_x(x, i), x, num_samples)

    def inference_parameters(self) -> list[nn.Parameter]:
        """λ: those of q."""
        return list(self.q.parameters())


def draw_log_weights(
    model: LocalLevelModel, q: MultivariateNormal, x: Tensor, num_samples: int
) -> Tensor:
    """Log importance weights, log p(x, z) − log q(z), (num_samples, batch)."""
    check_count("num_samples", num_samples)
    z = q.rsample((num_samples,))
    log_joint = model.p_x_given_z(z).log_prob(x) + model.p_z().log_prob(z)
    return log_joint - q.log_prob(z)
