"""EM on a Gaussian mixture.

Exported from notebooks/02_em_gaussian_mixture.ipynb by ``make export``: edit the chapter.
"""

import random
import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import torch
from torch import Tensor
from torch.distributions import Categorical, MultivariateNormal

from aevb_utils.models.mixture_em import (
    CovarianceType,
    EMRun,
    FitError,
    MixtureParameters,
    blocks,
    e_step,
    elbo,
    expected_statistics,
    log_joint,
    m_step,
    run_em,
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
