"""EM on a Gaussian mixture.

Exported from notebooks/02_em_gaussian_mixture.ipynb by ``make export``: edit the chapter.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor


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
        FitError: a covariance is not positive definite: its component has collapsed.
    """
    factors, info = torch.linalg.cholesky_ex(covariances)
    if info.any():
        raise FitError(
            f"Component {int(info.nonzero()[0, 0])} has collapsed: its covariance is not "
            "positive definite. Set a larger covariance_floor, ask for fewer components, "
            "start elsewhere, or drop columns that are constant or copies of others."
        )
    return factors


def log_joint(x: Tensor, parameters: MixtureParameters) -> Tensor:
    """The log of p(x_i, z_i = c), eq. (2.1), in nats.

    Args:
        x: data, shape (N, D).
        parameters: θ, of the data's dtype.

    Returns:
        Tensor of shape (N, C).
    """
    weights, means, covariances = parameters
    D = x.shape[1]
    factors = cholesky(covariances)  # K, (C, D, D)
    identity = torch.eye(D, dtype=x.dtype)
    whiten = torch.linalg.solve_triangular(factors, identity, upper=False)  # K⁻¹
    white = torch.einsum("nd,ced->nce", x, whiten)  # K⁻¹ x, (N, C, D)
    white = white - torch.einsum("ced,cd->ce", whiten, means)  # K⁻¹ (x − μ)
    half_log_det = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)  # (C,)
    constant = weights.log() - half_log_det - 0.5 * D * math.log(2 * math.pi)  # (C,)
    return constant - 0.5 * white.square().sum(-1)  # (N, C)


def elbo(x: Tensor, q: Tensor, parameters: MixtureParameters) -> Tensor:
    """The ELBO of each datum for any q, eq. (2.4), in nats.

    Args:
        x: data, shape (N, D).
        q: probabilities, shape (N, C), rows sum to one.
        parameters: θ.

    Returns:
        Tensor of shape (N,).
    """
    return (q * log_joint(x, parameters) - torch.special.xlogy(q, q)).sum(dim=1)


def e_step(x: Tensor, parameters: MixtureParameters) -> tuple[Tensor, Tensor]:
    """The posterior of the component, eq. (2.6), and the evidence of each, eq. (2.2).

    Returns:
        Responsibilities, shape (N, C), and log p(x_i) in nats, shape (N,).
    """
    joint = log_joint(x, parameters)  # (N, C)
    log_evidence = joint.logsumexp(dim=1)  # (N,)
    return (joint - log_evidence[:, None]).exp(), log_evidence


class SufficientStatistics(NamedTuple):
    """The three sums of eq. (2.10): all that an M-step needs of the data."""

    counts: Tensor  # N_c, (C,)
    sums: Tensor  # s_c, (C, D)
    outers: Tensor  # O_c, (C, D, D)


def sufficient_statistics(x: Tensor, q: Tensor) -> SufficientStatistics:
    """The sums of eq. (2.10) for data of shape (N, D) and probabilities (N, C)."""
    N, D = x.shape
    outers = (x[:, :, None] * x[:, None, :]).reshape(N, D * D)  # x xᵀ, (N, D²)
    return SufficientStatistics(q.sum(dim=0), q.T @ x, (q.T @ outers).reshape(-1, D, D))


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
    covariance_floor: float = 0.0,
) -> MixtureParameters:
    """The θ that maximizes the ELBO at fixed q, eqs. (2.7) to (2.9).

    ``covariance_floor`` is added to the diagonals of the covariances.

    Raises:
        FitError: a component has lost its data.
    """
    counts, sums, outers = statistics
    held, dead = counts.min(dim=0)
    if held < 1e-8:
        raise FitError(
            f"Component {dead} has died: it holds {held:.0e} of {counts.sum():.0f} data. "
            "Ask for fewer components, or start elsewhere."
        )
    means = sums / counts[:, None]  # eq. (2.8)
    squares = means[:, :, None] * means[:, None, :]  # μ μᵀ, (C, D, D)
    scatters = outers / counts[:, None, None] - squares  # Σ̂, (C, D, D)
    floor = covariance_floor * torch.eye(means.shape[1], dtype=means.dtype)
    covariances = constrain(scatters, counts, covariance_type) + floor  # eq. (2.9)
    return MixtureParameters(counts / counts.sum(), means, covariances)  # eq. (2.7)


BLOCK_NUMBERS = 2**18  # how many numbers a block's largest array may hold: 2 MB in float64


def blocks(x: Tensor, width: int) -> Iterator[Tensor]:
    """Consecutive rows of x in float64, so few that ``width`` numbers a row stay small."""
    for block in x.split(max(1, BLOCK_NUMBERS // width)):
        yield block.double()


def expected_statistics(
    x: Tensor, parameters: MixtureParameters, center: Tensor
) -> tuple[SufficientStatistics, float]:
    """An E-step and the sums of eq. (2.10), in one pass; memory does not grow with N.

    Args:
        x: data, shape (N, D).
        parameters: θ for the data less ``center``.
        center: the point to subtract, shape (D,).

    Returns:
        The statistics of the data less ``center``, and ℓ(θ) in nats.
    """
    C, D = parameters.means.shape
    total = SufficientStatistics(
        *(torch.zeros(C, *shape, dtype=torch.float64) for shape in [(), (D,), (D, D)])
    )
    log_likelihood = 0.0
    for block in blocks(x, D * max(C, D)):
        responsibilities, log_evidence = e_step(block - center, parameters)
        part = sufficient_statistics(block - center, responsibilities)
        total = SufficientStatistics(*map(torch.add, total, part))
        log_likelihood += log_evidence.sum().item()
    return total, log_likelihood


class EMRun(NamedTuple):
    """What one run of EM gives."""

    parameters: MixtureParameters
    log_likelihoods: list[float]  # ℓ(θ[k]) in nats, all data, k = 0, 1, …
    converged: bool


@torch.no_grad()
def run_em(
    x: Tensor,
    start: MixtureParameters,
    *,
    covariance_type: CovarianceType = "full",
    covariance_floor: float = 0.0,
    tolerance: float = 1e-8,
    max_iterations: int = 2000,
) -> EMRun:
    """Alternate E- and M-steps until ℓ changes by less than ``tolerance`` nats a datum.

    A tolerance of 0 is never reached: EM then runs for all of ``max_iterations``.

    Raises:
        FitError: a component has died or collapsed.
    """
    center = x.mean(dim=0, dtype=torch.float64)
    start = MixtureParameters(*(part.double() for part in start))
    parameters = start._replace(means=start.means - center)
    statistics, log_likelihood = expected_statistics(x, parameters, center)
    log_likelihoods, converged = [log_likelihood], False
    while not converged and len(log_likelihoods) <= max_iterations:
        parameters = m_step(
            statistics, covariance_type=covariance_type, covariance_floor=covariance_floor
        )
        statistics, log_likelihood = expected_statistics(x, parameters, center)
        converged = abs(log_likelihood - log_likelihoods[-1]) < tolerance * len(x)
        log_likelihoods.append(log_likelihood)
    return EMRun(
        parameters._replace(means=parameters.means + center), log_likelihoods, converged
    )
