"""EM on a Gaussian mixture.

Exported from notebooks/02_em_gaussian_mixture.ipynb by ``make export``: edit the chapter.
"""

import math
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor
from torch.distributions import Categorical, MultivariateNormal


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


def check_data(x: Tensor, *, rows: int = 1, columns: int | None = None) -> Tensor:
    """Return x as a floating-point tensor of shape (N, D), or say what is wrong with it.

    Raises:
        ValueError: another shape, too few rows, other columns, values that are not finite.
    """
    x = torch.as_tensor(x)
    x = x if x.is_floating_point() else x.double()
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"Expected data of shape (N, D), a row a datum, not {tuple(x.shape)}; "
            "for one variable pass x[:, None]."
        )
    if len(x) < rows:
        raise ValueError(
            f"At least {rows} data are needed, one a component, not {len(x)}."
        )
    if columns is not None and x.shape[1] != columns:
        raise ValueError(
            f"Expected {columns} columns, as the means have, not {x.shape[1]}."
        )
    bad = next((block for block in x.split(4096) if not block.isfinite().all()), None)
    if bad is not None:
        row, column = (~bad.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"Data must be finite, but column {column} holds {bad[row, column].item()}: "
            "drop or fill in such rows first."
        )
    return x


def check_counts(components: int, starts: int, start: MixtureParameters | None) -> None:
    """Say what is wrong with what a fit is asked for, if anything is.

    Raises:
        ValueError: no component, no start, or a start with other components.
    """
    if min(components, starts) < 1:
        raise ValueError("A mixture needs at least one component and one start.")
    if start and len(start.means) != components:
        raise ValueError(
            f"Expected a start with {components} components, not {len(start.means)}."
        )


def check_q(q: Tensor, shape: tuple[int, int]) -> None:
    """Say what is wrong with a table of probabilities, if anything is.

    Raises:
        ValueError: another shape, negative entries, or rows that do not sum to one.
    """
    if q.shape != shape:
        raise ValueError(f"Expected q of shape (N, C) = {shape}, not {tuple(q.shape)}.")
    if (q < 0).any() or not (q.sum(dim=1) - 1).abs().le(1e-6).all():
        raise ValueError(
            "Expected probabilities: no entry negative, each row with sum one."
        )


def data_for(parameters: MixtureParameters, x: Tensor) -> Tensor:
    """Data of shape (N, D) in float64, with as many columns as the means have."""
    return check_data(x, columns=parameters.means.shape[1]).double()


def e_step_in_blocks(x: Tensor, parameters: MixtureParameters) -> tuple[Tensor, Tensor]:
    """Responsibilities, shape (N, C), and log p(x_i), shape (N,), of checked data."""
    C, D = parameters.means.shape
    parts = [
        e_step(block, parameters) for block in blocks(check_data(x, columns=D), D * C)
    ]
    responsibilities, log_evidence = zip(*parts, strict=True)
    return torch.cat(responsibilities), torch.cat(log_evidence)


class MixtureModel:
    """A Gaussian mixture with known parameters; x is (N, D), answers are in nats."""

    def __init__(self, parameters: MixtureParameters) -> None:
        self.parameters = parameters

    def p_z(self) -> Categorical:
        """The prior of the component."""
        return Categorical(self.parameters.weights)

    def p_x_given_z(self, z: Tensor) -> MultivariateNormal:
        """The Gaussians of components z, a tensor of indices of any shape."""
        return MultivariateNormal(self.parameters.means[z], self.parameters.covariances[z])

    def log_evidence(self, x: Tensor) -> Tensor:
        """The log of p(x_i), eq. (2.2), shape (N,)."""
        return e_step_in_blocks(x, self.parameters)[1]

    log_prob = log_evidence  # as torch.distributions calls it

    def responsibilities(self, x: Tensor) -> Tensor:
        """p(z_i = c | x_i), eq. (2.6), shape (N, C)."""
        return e_step_in_blocks(x, self.parameters)[0]

    def posterior(self, x: Tensor) -> Categorical:
        """p(z_i | x_i), one distribution a datum, kept in log space."""
        return Categorical(logits=log_joint(data_for(self.parameters, x), self.parameters))

    def elbo(self, x: Tensor, q: Tensor) -> Tensor:
        """The ELBO of each datum at any q of shape (N, C), eq. (2.4), shape (N,)."""
        x = data_for(self.parameters, x)
        check_q(q, (len(x), len(self.parameters.weights)))
        return elbo(x, q, self.parameters)

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n data, (n, D), and their components, (n,), by torch's global generator."""
        z = self.p_z().sample((n,))
        return self.p_x_given_z(z).sample(), z


def random_start(
    x: Tensor, n_components: int, seed: int, covariance_floor: float = 0.0
) -> MixtureParameters:
    """Equal weights, different data as means, the covariance of all data for each."""
    D = x.shape[1]
    double = {"dtype": torch.float64}
    one = MixtureParameters(
        torch.ones(1, **double), torch.zeros(1, D, **double), torch.eye(D, **double)[None]
    )
    statistics, _ = expected_statistics(x, one, center=x.mean(dim=0, **double))
    covariance = m_step(statistics, covariance_floor=covariance_floor).covariances
    rows = random.Random(seed).sample(range(len(x)), n_components)
    return MixtureParameters(
        weights=torch.full((n_components,), 1 / n_components, **double),
        means=x[rows].double(),
        covariances=covariance.expand(n_components, D, D),
    )


def run_all(
    x: Tensor,
    starts: list[MixtureParameters],
    covariance_type: CovarianceType,
    covariance_floor: float,
    tolerance: float,
) -> tuple[list[EMRun], list[FitError]]:
    """Run EM from every start; return the runs and the failures.

    Raises:
        FitError: every start failed; the last failure.
    """
    options = {"covariance_type": covariance_type, "covariance_floor": covariance_floor}
    runs, failures = [], []
    for start in starts:
        try:
            runs.append(run_em(x, start, tolerance=tolerance, **options))
        except FitError as error:
            failures.append(error)
    if not runs:
        raise failures[-1]
    return runs, failures


@dataclass(eq=False)
class GaussianMixture(MixtureModel):
    """A Gaussian mixture fitted by EM from several starts, of which the best is kept."""

    n_components: int
    covariance_type: CovarianceType = "full"
    covariance_floor: float = 1e-6  # on the covariances' diagonal, in squared units of x
    n_starts: int = 10
    tolerance: float = 1e-8  # stop when ℓ changes by less, in nats a datum
    seed: int = 0
    runs: list[EMRun] = field(default_factory=list, init=False, repr=False)
    failures: list[FitError] = field(default_factory=list, init=False, repr=False)

    def fit(self, x: Tensor, start: MixtureParameters | None = None) -> Self:
        """Fit from random starts, or the given one; ``runs`` and ``failures`` tell all."""
        check_counts(self.n_components, self.n_starts, start)
        columns = start.means.shape[1] if start else None
        x = check_data(x, rows=self.n_components, columns=columns)
        seeds = range(self.seed, self.seed + self.n_starts)
        draw = partial(
            random_start, x, self.n_components, covariance_floor=self.covariance_floor
        )
        starts = [start] if start else [draw(seed) for seed in seeds]
        options = (self.covariance_type, self.covariance_floor, self.tolerance)
        self.runs, self.failures = run_all(x, starts, *options)
        if not self.best_run.converged:
            message = (
                "EM stopped before it converged: raise the tolerance, or call run_em."
            )
            warnings.warn(message, stacklevel=2)
        return self

    @property
    def best_run(self) -> EMRun:
        """The run with the highest log-likelihood."""
        if not self.runs:
            raise RuntimeError("This mixture has no parameters yet: call fit(x) first.")
        return max(self.runs, key=lambda run: run.log_likelihoods[-1])

    parameters = property(lambda self: self.best_run.parameters, doc="θ of the best run.")
