"""EM on a Gaussian mixture.

Exported from notebooks/02_em_gaussian_mixture.ipynb by ``make export``: edit the chapter.
"""

import random
import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.distributions import Categorical, MultivariateNormal

from aevb_utils.models.mixture_checks import (
    check_counts,
    check_data,
    check_parameters,
    check_q,
    floor_for,
)
from aevb_utils.models.mixture_doubts import doubts
from aevb_utils.models.mixture_em import (
    CovarianceType,
    EMRun,
    FitError,
    MixtureParameters,
    blocks,
    e_step,
    elbo,
    log_joint,
    run_em,
    whitening,
)


def data_for(parameters: MixtureParameters, x: Tensor) -> Tensor:
    """Data of shape (N, D) in float64, with as many columns as the means have."""
    return check_data(x, columns=parameters.means.shape[1]).cpu().double()


def e_step_in_blocks(x: Tensor, parameters: MixtureParameters) -> tuple[Tensor, Tensor]:
    """Responsibilities, shape (N, C), and log p(x_i), shape (N,)."""
    C, D = parameters.means.shape
    ready = whitening(parameters)
    parts = [e_step(block, ready) for block in blocks(check_data(x, columns=D), D * C)]
    responsibilities, log_evidence = zip(*parts, strict=True)
    return torch.cat(responsibilities), torch.cat(log_evidence)


class MixtureModel:
    """A Gaussian mixture with known parameters; x is (N, D), answers are in nats."""

    def __init__(self, parameters: MixtureParameters) -> None:
        self.parameters = check_parameters(parameters)

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
        return elbo(x, q.cpu().double(), self.parameters)

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n data, (n, D), and their components, (n,), by torch's global generator."""
        z = self.p_z().sample((n,))
        return self.p_x_given_z(z).sample(), z


def random_start(
    x: Tensor,
    n_components: int,
    seed: int,
    covariance_floor: float | Tensor = 0.0,
    covariance_type: CovarianceType = "full",
) -> MixtureParameters:
    """Equal weights, different data as means, the covariance of all data and the floor."""
    N, D = x.shape
    double = {"dtype": torch.float64, "device": "cpu"}
    center = x.cpu().mean(dim=0, dtype=torch.float64)
    squares = ((part - center).T @ (part - center) for part in blocks(x, D))
    covariance = sum(squares, torch.zeros(D, D, **double)) / N
    if covariance_type == "diagonal":
        covariance = covariance.diagonal().diag()
    floor = torch.as_tensor(covariance_floor, **double).expand(D).diag()
    rows = random.Random(seed).sample(range(N), n_components)
    return MixtureParameters(
        weights=torch.full((n_components,), 1 / n_components, **double),
        means=x[rows].to(**double),
        covariances=(covariance + floor).expand(n_components, D, D),
    )


class BestOfRuns(MixtureModel):
    """A mixture with the parameters of the best of several runs of EM."""

    runs: list[EMRun]
    failures: list[FitError]

    def try_start(self, x: Tensor, start: MixtureParameters, **options: object) -> None:
        """Run EM from a start and keep what comes of it."""
        try:
            self.runs.append(run_em(x, start, **options))
        except FitError as error:
            self.failures.append(error)
        except KeyboardInterrupt as stop:
            stop.add_note(f"{len(self.runs)} runs of EM had ended; they are kept in runs.")
            raise

    @property
    def best_run(self) -> EMRun:
        """The run with the highest log-likelihood."""
        if not self.runs:
            raise RuntimeError("This mixture has no parameters yet: call fit(x) first.")
        return max(self.runs, key=lambda run: run.log_likelihood)

    parameters = property(lambda self: self.best_run.parameters, doc="θ of the best run.")


@dataclass(eq=False)
class GaussianMixture(BestOfRuns):
    """A Gaussian mixture fitted by EM from several starts, of which the best is kept."""

    n_components: int
    covariance_type: CovarianceType = "full"
    covariance_floor: float | None = None  # on the diagonals; None: see floor_for
    n_starts: int = 10
    tolerance: float = 1e-8  # stop when ℓ changes by less, in nats a datum
    seed: int = 0
    runs: list[EMRun] = field(default_factory=list, init=False, repr=False)
    failures: list[FitError] = field(default_factory=list, init=False, repr=False)

    def fit(self, x: Tensor, start: MixtureParameters | None = None) -> Self:
        """Fit from random starts, or the given one; ``runs`` and ``failures`` tell all.

        Warns (scikit-learn's ConvergenceWarning) where the best run is doubtful. Stopped
        by Ctrl-C, it keeps the runs that have ended.
        """
        check_counts(self.n_components, self.n_starts, self.tolerance, start)
        columns = start.means.shape[1] if start else None
        x = check_data(x, rows=self.n_components, columns=columns)
        floor, kind = floor_for(x, self.covariance_floor), self.covariance_type
        draw = partial(random_start, x, self.n_components, covariance_floor=floor)
        seeds = range(self.seed, self.seed + self.n_starts)
        given = [check_parameters(start)] if start else None
        self.runs, self.failures = [], []
        for begin in given or (draw(seed, covariance_type=kind) for seed in seeds):
            options = {"covariance_type": kind, "covariance_floor": floor}
            self.try_start(x, begin, tolerance=self.tolerance, **options)
        if not self.runs:
            raise self.failures[-1]
        asked = (len(given or seeds), kind, floor, self.tolerance)
        for doubt in doubts(x, self.best_run, self.failures, *asked):
            warnings.warn(doubt, ConvergenceWarning, stacklevel=2)
        return self
