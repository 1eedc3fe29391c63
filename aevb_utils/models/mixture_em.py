"""EM on a Gaussian mixture.

Exported from notebooks/02_em_gaussian_mixture.ipynb by ``make export``: edit the chapter.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import trange


class MixtureParameters(NamedTuple):
    """θ of a Gaussian mixture with C components in D dimensions."""

    weights: Tensor  # π, (C,): positive, sums to one
    means: Tensor  # μ, (C, D)
    covariances: Tensor  # Σ, (C, D, D): symmetric, positive definite


class FitError(RuntimeError):
    """EM cannot go on: a component has lost its data or has collapsed onto too few."""


def cholesky(covariances: Tensor) -> Tensor:
    """Lower-triangular K_c with Σ_c = K_c K_cᵀ, shape (C, D, D).

    Raises:
        FitError: a covariance is not positive definite, up to rounding: its component has
            collapsed.
    """
    factors, info = torch.linalg.cholesky_ex(covariances)
    pivots = factors.detach().diagonal(dim1=-2, dim2=-1).square()  # (C, D)
    rounding = 10 * pivots.shape[-1] * torch.finfo(pivots.dtype).eps
    variances = covariances.detach().diagonal(dim1=-2, dim2=-1)
    flat = (info > 0) | ~(pivots > rounding * variances).all(dim=-1)
    if flat.any():
        raise FitError(
            f"Component {int(flat.nonzero()[0, 0])} has collapsed: its covariance is not "
            "positive definite. Set a larger covariance_floor, ask for fewer components, "
            "start elsewhere, or drop columns that are constant or copies of others."
        )
    return factors


class Whitening(NamedTuple):
    """What eq. (2.1) needs of θ, computed once for all data."""

    means: Tensor  # μ, (C, D)
    inverse_factors: Tensor  # K⁻¹, (C, D, D)
    constants: Tensor  # log π − log det K − D/2 · log 2π, (C,)


def whitening(parameters: MixtureParameters) -> Whitening:
    """Factor the covariances, once. Raises FitError where one is not positive definite."""
    weights, means, covariances = parameters
    D = means.shape[1]
    factors = cholesky(covariances)  # K
    identity = torch.eye(D, dtype=means.dtype, device=means.device)
    inverse_factors = torch.linalg.solve_triangular(factors, identity, upper=False)
    half_log_det = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    constants = weights.log() - half_log_det - 0.5 * D * math.log(2 * math.pi)
    return Whitening(means, inverse_factors, constants)


def log_joint(x: Tensor, parameters: MixtureParameters | Whitening) -> Tensor:
    """The log of p(x_i, z_i = c), eq. (2.1), in nats.

    Args:
        x: data, shape (N, D).
        parameters: θ, of the data's dtype, or its whitening.

    Returns:
        Tensor of shape (N, C).
    """
    ready = parameters if isinstance(parameters, Whitening) else whitening(parameters)
    means, whiten, constants = ready
    white_means = torch.einsum("ced,cd->ce", whiten, means)  # K⁻¹ μ
    if white_means.detach().abs().max() < 1e3:  # no more than three digits cancel
        white = torch.einsum("nd,ced->nce", x, whiten) - white_means  # K⁻¹ (x − μ)
    else:
        white = torch.einsum("ncd,ced->nce", x[:, None] - means, whiten)
    return constants - 0.5 * white.square().sum(-1)  # (N, C)


def elbo(x: Tensor, q: Tensor, parameters: MixtureParameters) -> Tensor:
    """The ELBO of each datum for any q, eq. (2.4), in nats.

    Args:
        x: data, shape (N, D).
        q: probabilities, shape (N, C), rows sum to one.
        parameters: θ.

    Returns:
        Tensor of shape (N,).
    """
    expected = torch.where(q > 0, q * log_joint(x, parameters), 0.0)
    return (expected - torch.special.xlogy(q, q)).sum(dim=1)


def e_step(x: Tensor, parameters: MixtureParameters | Whitening) -> tuple[Tensor, Tensor]:
    """The posterior of the component, eq. (2.6), and the evidence of each, eq. (2.2).

    Returns:
        Responsibilities, shape (N, C), and log p(x_i) in nats, shape (N,).
    """
    joint = log_joint(x, parameters)  # (N, C)
    log_evidence = joint.logsumexp(dim=1)  # (N,)
    return (joint - log_evidence[:, None]).exp(), log_evidence


class SufficientStatistics(NamedTuple):
    """The three sums of eq. (2.10), and the points the data are measured from."""

    counts: Tensor  # N_c, (C,)
    sums: Tensor  # s_c, (C, D)
    outers: Tensor  # O_c, (C, D, D)
    origins: Tensor  # a_c, (C, D)


def sufficient_statistics(
    x: Tensor, q: Tensor, origins: Tensor | None = None
) -> SufficientStatistics:
    """The sums of eq. (2.10) for data of shape (N, D) and probabilities (N, C).

    The data are measured from ``origins``, (C, D), by default from their weighted means.
    Sums of several blocks of data may be added if they have the same origins.
    """
    counts = q.sum(dim=0)
    if origins is None:
        origins = q.T @ x / counts.clamp_min(torch.finfo(q.dtype).tiny)[:, None]
    if (origins == origins[0]).all():  # one origin for all, subtracted once
        x = x - origins[0]
        sums = (q.T @ x, torch.stack([(q_c[:, None] * x).T @ x for q_c in q.T]))
    else:
        deviations = x - origins[:, None]  # (C, N, D)
        weighted = q.T[:, :, None] * deviations
        sums = (weighted.sum(dim=1), weighted.mT @ deviations)
    return SufficientStatistics(counts, *sums, origins)


CovarianceType = Literal["full", "tied", "diagonal"]


def constrain(scatters: Tensor, counts: Tensor, covariance_type: CovarianceType) -> Tensor:
    """The best covariances of a type for the scatters, eq. (2.9), (C, D, D)."""
    match covariance_type:
        case "full":
            return scatters
        case "tied":
            pooled = torch.einsum("c,cde->de", counts, scatters) / counts.sum()
            return pooled.expand_as(scatters)
        case "diagonal":
            return torch.diag_embed(scatters.diagonal(dim1=-2, dim2=-1))
    raise ValueError(
        f'covariance_type is "full", "tied" or "diagonal", not {covariance_type!r}.'
    )


def m_step(
    statistics: SufficientStatistics,
    *,
    covariance_type: CovarianceType = "full",
    covariance_floor: float | Tensor = 0.0,
) -> MixtureParameters:
    """The θ that maximizes the ELBO at fixed q, eqs. (2.7) to (2.9).

    ``covariance_floor``, a number or one a column, (D,), is added to the diagonals of the
    covariances, in squared units of x: what is maximized is then the ELBO less a penalty.

    Raises:
        FitError: a component has lost its data.
    """
    counts, sums, outers, origins = statistics
    held, dead = counts.min(dim=0)
    if not held >= 1e-8:
        raise FitError(
            f"Component {dead} has died: it holds {held:.0e} of {counts.sum():.0f} data. "
            "Ask for fewer components, or start elsewhere."
        )
    shifts = sums / counts[:, None]  # δ, (C, D)
    squares = shifts[:, :, None] * shifts[:, None, :]  # δ δᵀ
    scatters = outers / counts[:, None, None] - squares  # Σ̂, (C, D, D)
    floor = torch.as_tensor(covariance_floor, dtype=sums.dtype).expand(sums.shape[1])
    covariances = constrain(scatters, counts, covariance_type) + floor.diag()  # (2.9)
    return MixtureParameters(counts / counts.sum(), origins + shifts, covariances)


BLOCK_NUMBERS = 2**18  # in a block's largest array, 2 MB in float64, or BLOCK_ROWS rows
BLOCK_ROWS = 512  # the least that keep matrix products efficient


def blocks(x: Tensor, width: int) -> Iterator[Tensor]:
    """Consecutive rows of x in float64, few if there are ``width`` numbers to each."""
    for block in x.split(max(BLOCK_ROWS, BLOCK_NUMBERS // width)):
        yield block.cpu().double()


def collect(
    x: Tensor, parameters: MixtureParameters, center: Tensor, origins: Tensor
) -> tuple[SufficientStatistics, float]:
    """An E-step and the sums of eq. (2.10), measured from ``origins``, (C, D), and ℓ(θ).

    x is as given; parameters and origins are for the data less ``center``.
    """
    C, D = parameters.means.shape
    ready = whitening(parameters)
    sums = [origins.new_zeros(C, *shape) for shape in [(), (D,), (D, D)]]
    log_likelihood = 0.0
    for block in blocks(x, C * D):
        responsibilities, log_evidence = e_step(block - center, ready)
        part = sufficient_statistics(block - center, responsibilities, origins)
        for total, term in zip(sums, part[:3], strict=True):
            total += term  # in place: for many dimensions the sums are large
        log_likelihood += log_evidence.sum().item()
    return SufficientStatistics(*sums, origins), log_likelihood


def expected_statistics(
    x: Tensor, parameters: MixtureParameters, center: Tensor
) -> tuple[SufficientStatistics, float]:
    """An E-step and the sums of eq. (2.10); memory does not grow with N.

    Args:
        x: data, shape (N, D).
        parameters: θ, in float64, for the data less ``center``.
        center: the point to subtract, shape (D,).

    Returns:
        The statistics of the data less ``center``, and ℓ(θ) in nats.
    """
    zero = torch.zeros_like(parameters.means)
    statistics, log_likelihood = collect(x, parameters, center, zero)
    shifts = statistics.sums / statistics.counts[:, None]
    squares = statistics.outers.diagonal(dim1=-2, dim2=-1) / statistics.counts[:, None]
    if (shifts.square() > (1 - 1e-6) * squares).any():  # six digits or more cancel
        statistics, _ = collect(x, parameters, center, shifts)
    return statistics, log_likelihood


class EMRun(NamedTuple):
    """What one run of EM gives."""

    parameters: MixtureParameters  # of the highest ℓ on the way
    log_likelihoods: list[float]  # ℓ(θ[k]) in nats, all data, k = 0, 1, …
    converged: bool

    @property
    def log_likelihood(self) -> float:
        """ℓ of the parameters, in nats: the highest on the way."""
        return max(self.log_likelihoods)

    @property
    def fall(self) -> float:
        """How far the last round lies below the highest ℓ, in nats."""
        return self.log_likelihood - self.log_likelihoods[-1]


@torch.no_grad()
def run_em(
    x: Tensor,
    start: MixtureParameters,
    *,
    covariance_type: CovarianceType = "full",
    covariance_floor: float | Tensor = 0.0,
    tolerance: float = 1e-8,
    max_iterations: int = 2000,
) -> EMRun:
    """Alternate E- and M-steps until ℓ changes by less than ``tolerance`` nats a datum.

    A tolerance of 0 is never reached: EM then runs for all of ``max_iterations``. The
    parameters are those of the highest ℓ on the way, the start's included.

    Raises:
        FitError: a component has died or collapsed.
    """
    options = {"covariance_type": covariance_type, "covariance_floor": covariance_floor}
    center = x.cpu().mean(dim=0, dtype=torch.float64)
    start = MixtureParameters(*(part.cpu().double() for part in start))
    best = parameters = start._replace(means=start.means - center)
    statistics, log_likelihood = expected_statistics(x, parameters, center)
    log_likelihoods, converged = [log_likelihood], False
    with trange(max_iterations, desc="EM", unit="round", leave=False, delay=2) as rounds:
        for _ in rounds:
            parameters = m_step(statistics, **options)
            statistics, log_likelihood = expected_statistics(x, parameters, center)
            converged = abs(log_likelihood - log_likelihoods[-1]) < tolerance * len(x)
            if log_likelihood >= max(log_likelihoods):
                best = parameters
            log_likelihoods.append(log_likelihood)
            if converged:
                break
    best = best._replace(means=best.means + center)
    return EMRun(best, log_likelihoods, converged)
