"""The linear-Gaussian state-space model: filter, smoother, and three families of q.

Exported from notebooks/10_variational_rnn.ipynb by ``make export``: edit the chapter.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from aevb_utils.inputs import check_finite, check_series, check_sizes
from aevb_utils.models.vae import AutoEncodingModel

Family = Literal["smoothing", "filtering", "mean-field"]


def kalman_filter(
    x: Tensor, a: Tensor | float, w: Tensor | float, noise: Tensor | float
) -> tuple[Tensor, Tensor, Tensor]:
    """The evidence, and what is known of z_t given x_1 … x_t, eqs. (10.2) to (10.4).

    Series x are (batch, T), ``noise`` is σ². Returns the log of p(x) in nats, (batch,);
    the means, (batch, T); the variances, (T,).

    Raises:
        ValueError: x is not (batch, T) or not finite; or a, w, noise are not one number
            each, with a² ≤ 1 and noise > 0.
    """
    check_series(x)
    check_finite(x)
    if any(torch.as_tensor(number).ndim for number in (a, w, noise)):
        raise ValueError("Expected a, w and noise as one number each.")
    if not (a**2 <= 1 and noise > 0):
        raise ValueError(f"Expected a² ≤ 1 and noise > 0, not {a} and {noise}.")
    mean, variance = x.new_zeros(len(x)), x.new_ones(())  # before x_1
    log_evidence, means, variances = torch.zeros_like(mean), [], []
    for x_t in x.T:
        F = w**2 * variance + noise
        log_evidence = log_evidence + Normal(w * mean, F.sqrt()).log_prob(x_t)
        k = w * variance / F  # the gain
        mean, variance = mean + k * (x_t - w * mean), (1 - k * w) * variance
        means.append(mean)
        variances.append(variance)
        mean, variance = a * mean, a**2 * variance + 1 - a**2  # before the next one
    return log_evidence, torch.stack(means, dim=1), torch.stack(variances)


def kalman_smoother(
    means: Tensor, variances: Tensor, a: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Mean, (batch, T), and variance, (T,), of z_t given all of x, eq. (10.5).

    From the filter's means, (batch, T), and variances, (T,).
    """
    check_series(means)
    if variances.shape != means.shape[1:]:
        raise ValueError(
            f"Expected variances of shape {tuple(means.shape[1:])}, one a step, "
            f"not {tuple(variances.shape)}."
        )
    mean, variance = means[:, -1], variances[-1]
    smoothed = [(mean, variance)]
    for m, P in zip(means.T[:-1].flip(0), variances[:-1].flip(0), strict=True):
        J = a * P / (a**2 * P + 1 - a**2)
        mean, variance = m + J * (mean - a * m), (1 - J * a) * P + J**2 * variance
        smoothed.insert(0, (mean, variance))
    means, variances = zip(*smoothed, strict=True)
    return torch.stack(means, dim=1), torch.stack(variances)


def markov_chain(g: Tensor, u: Tensor, s: Tensor) -> MultivariateNormal:
    """The Gaussian of z_t = g_t z_{t−1} + u_t + s_t ε_t, eq. (10.9).

    g and s have the shape (T,), u has (…, T); g_1 is not used.
    """
    eye = torch.eye(len(s), dtype=s.dtype, device=s.device)
    links = eye - torch.diag(g[1:], -1)  # I − G
    A = torch.linalg.solve_triangular(links, eye, upper=False, unitriangular=True)
    return MultivariateNormal(u @ A.mT, scale_tril=A * s)


class MarkovEncoder(nn.Module):
    """q(z | x) of eq. (10.8), for series of T steps."""

    def __init__(self, T: int, family: Family) -> None:
        super().__init__()
        if family not in ("smoothing", "filtering", "mean-field"):
            choices = '"smoothing", "filtering" or "mean-field"'
            raise ValueError(f"family must be {choices}, not {family!r}.")
        sees = torch.ones(T, T)  # whether z_t depends on x_u
        self.register_buffer("sees", sees.tril() if family == "filtering" else sees)
        self.B = nn.Parameter(torch.zeros(T, T))
        self.log_s = nn.Parameter(torch.zeros(T))
        linked = family != "mean-field"
        self.g = nn.Parameter(torch.zeros(T - 1)) if linked else None

    def forward(self, x: Tensor) -> MultivariateNormal:
        """q(z | x) for x of shape (batch, T)."""
        g = torch.zeros_like(self.log_s)
        if self.g is not None:
            g = torch.cat([g[:1], self.g])
        return markov_chain(g, x @ (self.sees * self.B).mT, self.log_s.exp())


class LinearStateSpace(AutoEncodingModel):
    """The linear-Gaussian state-space model, eq. (10.1), for series x, (batch, T).

    θ is a in (−1, 1), w and σ²; q is of one of three families, eq. (10.8); all in nats.
    """

    def __init__(self, T: int, family: Family = "smoothing") -> None:
        super().__init__()
        check_sizes(T=T)
        self.T = T
        self.raw_a = nn.Parameter(torch.tensor(math.atanh(0.5)))  # a = tanh(raw_a)
        self.w = nn.Parameter(torch.tensor(1.0))
        self.log_noise = nn.Parameter(torch.tensor(0.0))  # log σ²
        self.encoder = MarkovEncoder(T, family)

    def theta(self) -> tuple[Tensor, Tensor, Tensor]:
        """a, w and σ²."""
        return self.raw_a.tanh(), self.w, self.log_noise.exp()

    def p_z(self) -> MultivariateNormal:
        """The prior of the path."""
        a = self.raw_a.tanh().expand(self.T)
        s = torch.cat([torch.ones_like(a[:1]), (1 - a[1:] ** 2).sqrt()])
        return markov_chain(a, torch.zeros_like(a), s)

    def p_x_given_z(self, z: Tensor) -> Independent:
        """The likelihood at paths z of shape (…, T)."""
        return Independent(Normal(self.w * z, (self.log_noise / 2).exp()), 1)

    def q_z_given_x(self, x: Tensor) -> MultivariateNormal:
        """The approximate posterior, for x of shape (batch, T)."""
        if x.ndim != 2 or x.shape[1] != self.T:
            raise ValueError(
                f"Expected x of shape (batch, {self.T}), not {tuple(x.shape)}."
            )
        return self.encoder(x)


class ExactStateSpace(LinearStateSpace):
    """The same with its exact evidence and posterior."""

    def log_evidence(self, x: Tensor) -> Tensor:
        """The log of p(x) by the Kalman filter, (batch,), in nats."""
        check_series(x, self.T)
        return kalman_filter(x, *self.theta())[0]

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z | x): precision Λ = R⁻¹ + w²/σ² I, mean Λ⁻¹ w x / σ²."""
        check_series(x, self.T)
        check_finite(x)
        _, w, noise = self.theta()
        eye = torch.eye(self.T, dtype=x.dtype, device=x.device)
        Lambda = self.p_z().precision_matrix + w**2 / noise * eye
        return MultivariateNormal(
            w / noise * x @ torch.linalg.inv(Lambda), precision_matrix=Lambda
        )
