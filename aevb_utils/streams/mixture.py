"""EM for a Gaussian mixture on data in blocks: chapter 2's E- and M-step, around a sum over blocks and processes."""

import random
import warnings
from collections.abc import Iterator
from typing import Self

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from aevb_utils.distributed import group
from aevb_utils.models.gaussian_mixture import GaussianMixture
from aevb_utils.models.mixture_checks import check_counts, check_parameters, floor_for
from aevb_utils.models.mixture_doubts import twins
from aevb_utils.models.mixture_em import (
    CovarianceType,
    EMRun,
    FitError,
    MixtureParameters,
    SufficientStatistics,
    collect,
    m_step,
)
from aevb_utils.streams.blocks import Source, Stream
from aevb_utils.streams.moments import Moments, moments


def expected_statistics(
    stream: Stream, parameters: MixtureParameters, center: Tensor
) -> tuple[SufficientStatistics, float]:
    """An E-step and the sums of eq. (2.10), over all blocks of all processes, and ℓ(θ) in nats.

    As chapter 2's function of this name: where six digits or more would cancel, the sums are taken a second time, from
    the components' means.
    """
    zero = torch.zeros_like(parameters.means)
    statistics, log_likelihood = _collect(stream, parameters, center, zero)
    shifts = statistics.sums / statistics.counts[:, None]
    squares = statistics.outers.diagonal(dim1=-2, dim2=-1) / statistics.counts[:, None]
    if (shifts.square() > (1 - 1e-6) * squares).any():
        statistics, _ = _collect(stream, parameters, center, shifts)
    return statistics, log_likelihood


def _collect(
    stream: Stream, parameters: MixtureParameters, center: Tensor, origins: Tensor
) -> tuple[SufficientStatistics, float]:
    """The map over blocks, and the sum over blocks and processes: one all-reduce of C (1 + D + D²) + 1 numbers."""
    C, D = parameters.means.shape
    shapes = [(C,), (C, D), (C, D, D), (1,)]
    sums = [origins.new_zeros(shape) for shape in shapes]
    for block in stream:
        part, log_likelihood = collect(block, parameters, center, origins)
        for total, term in zip(sums, (*part[:3], log_likelihood), strict=True):
            total += term
    flat = group.add_up(torch.cat([total.flatten() for total in sums]))
    sums = [part.view(shape) for part, shape in zip(flat.split([s.numel() for s in sums]), shapes, strict=True)]
    return SufficientStatistics(*sums[:3], origins), sums[3].item()


@torch.no_grad()
def run_em(
    stream: Stream,
    start: MixtureParameters,
    *,
    covariance_type: CovarianceType = "full",
    covariance_floor: float | Tensor = 0.0,
    tolerance: float = 1e-8,
    max_iterations: int = 2000,
    about: Moments | None = None,
) -> EMRun:
    """Chapter 2's ``run_em`` on data in blocks: the same iterations, up to rounding, in memory that N does not change.

    Args:
        stream: the data, of which each process has its blocks.
        start: θ[0], the same in every process.
        covariance_type: as there.
        covariance_floor: as there.
        tolerance: as there.
        max_iterations: as there.
        about: the data's moments, if they are known: a pass or two less.

    Raises:
        FitError: a component has died or collapsed.
    """
    options = {"covariance_type": covariance_type, "covariance_floor": covariance_floor}
    about = moments(stream) if about is None else about
    start = MixtureParameters(*(part.cpu().double() for part in start))
    best = parameters = start._replace(means=start.means - about.mean)
    statistics, log_likelihood = expected_statistics(stream, parameters, about.mean)
    log_likelihoods, converged = [log_likelihood], False
    for _ in range(max_iterations):
        parameters = m_step(statistics, **options)
        statistics, log_likelihood = expected_statistics(stream, parameters, about.mean)
        converged = abs(log_likelihood - log_likelihoods[-1]) < tolerance * about.rows
        if log_likelihood >= max(log_likelihoods):
            best = parameters
        log_likelihoods.append(log_likelihood)
        if converged:
            break
    return EMRun(best._replace(means=best.means + about.mean), log_likelihoods, converged)


class StreamedMixture(GaussianMixture):
    """A ``GaussianMixture`` that is fitted to data in blocks, also by several processes: same starts, same optimum."""

    def fit(self, x: Source, start: MixtureParameters | None = None) -> Self:
        """Fit from random starts, or the given one; x is what :class:`~aevb_utils.streams.blocks.Stream` takes.

        Warns (scikit-learn's ConvergenceWarning) where the best run has not converged, has twins, or where half of the
        starts failed; what chapter 2's ``fit`` looks for besides needs all data at once.

        Raises:
            ValueError: the data or the arguments do not fit.
            FitError: every start failed.
        """
        check_counts(self.n_components, self.n_starts, self.tolerance, start)
        stream = Stream(x)
        about = moments(stream)
        if about.rows < self.n_components:
            raise ValueError(f"At least {self.n_components} data are needed, one a component, not {about.rows}.")
        floor = floor_for(about.stand_in(), self.covariance_floor)
        options = {"covariance_type": self.covariance_type, "covariance_floor": floor, "about": about}
        self.runs, self.failures = [], []
        for begin in [check_parameters(start)] if start else self._starts(stream, about, floor):
            try:
                self.runs.append(run_em(stream, begin, tolerance=self.tolerance, **options))
            except FitError as error:
                self.failures.append(error)
        if not self.runs:
            raise self.failures[-1]
        for doubt in _doubts(self.best_run, self.failures, len(self.runs) + len(self.failures)):
            warnings.warn(doubt, ConvergenceWarning, stacklevel=2)
        return self

    def _starts(self, stream: Stream, about: Moments, floor: Tensor) -> Iterator[MixtureParameters]:
        """The starts that ``random_start`` gives for the seeds, from one more pass."""
        C, D = self.n_components, len(about.mean)
        seeds = range(self.seed, self.seed + self.n_starts)
        chosen = [random.Random(seed).sample(range(about.rows), C) for seed in seeds]
        covariance = about.root.T @ about.root / about.rows
        if self.covariance_type == "diagonal":
            covariance = covariance.diagonal().diag()
        rows = _rows(stream, sorted({row for each in chosen for row in each}), D)
        for each in chosen:
            yield MixtureParameters(
                weights=torch.full((C,), 1 / C, dtype=torch.float64),
                means=torch.stack([rows[row] for row in each]),
                covariances=(covariance + floor.diag()).expand(C, D, D),
            )


def _rows(stream: Stream, wanted: list[int], D: int) -> dict[int, Tensor]:
    """Some rows by their numbers, in the order of the source, whichever process has them."""
    sizes: dict[int, list[int]] = {}
    for number, block in stream.numbered():
        sizes.setdefault(number, []).append(len(block))
    everywhere = {number: sum(s) for part in group.from_all(sizes) for number, s in part.items()}
    begins, total = {}, 0
    for number in sorted(everywhere):
        begins[number], total = total, total + everywhere[number]
    found: dict[int, Tensor] = {}
    for number, block in stream.numbered():
        begin = begins[number]
        found |= {row: block[row - begin].clone() for row in wanted if begin <= row < begin + len(block)}
        begins[number] += len(block)
    return {row: values for part in group.from_all(found) for row, values in part.items()}


def _doubts(run: EMRun, failures: list[FitError], starts: int) -> Iterator[str]:
    """What is doubtful about the best run, as far as its parameters and its path tell."""
    if not run.converged:
        yield "EM stopped before it converged: raise the tolerance, or call run_em."
    if len(failures) >= max(1, starts / 2):
        yield f"{len(failures)} of {starts} starts failed, the last so: {failures[-1]}"
    if pair := twins(run.parameters):
        yield f"Components {pair[0]} and {pair[1]} are twins: fewer components would do."
