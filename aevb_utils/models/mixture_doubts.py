"""What can be doubtful about the end of EM.

Exported from notebooks/02_em_gaussian_mixture.ipynb by ``make export``: edit the chapter.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from aevb_utils.models.mixture_em import (
    CovarianceType,
    EMRun,
    FitError,
    MixtureParameters,
    cholesky,
    run_em,
    whitening,
)


def twins(parameters: MixtureParameters) -> tuple[int, int] | None:
    """Two components that are one and the same, up to a thousandth of their width."""
    inverse_factors = whitening(parameters).inverse_factors
    identity = torch.eye(parameters.means.shape[1], dtype=parameters.means.dtype)
    for c, whiten in enumerate(inverse_factors):
        away = (parameters.means - parameters.means[c]) @ whiten.T  # (C, D)
        shapes = whiten @ parameters.covariances @ whiten.T - identity  # (C, D, D)
        same = torch.maximum(away.norm(dim=1), torch.linalg.matrix_norm(shapes)) < 1e-3
        if same[c + 1 :].any():
            return c, c + 1 + int(same[c + 1 :].int().argmax())
    return None


def on_the_floor(x: Tensor, parameters: MixtureParameters, floor: Tensor) -> int | None:
    """A component whose variance in some direction is the floor for more than a half.

    Columns that do not vary at all are left aside.
    """
    kept = (x != x[0]).any(dim=0).cpu() & (floor > 0)
    scale = floor[kept].rsqrt()
    in_floors = parameters.covariances[:, kept][:, :, kept] * scale[:, None] * scale
    thin = (torch.linalg.eigvalsh(in_floors) < 2).any(dim=1)
    return int(thin.int().argmax()) if thin.any() else None


def climbs_when_nudged(
    x: Tensor,
    run: EMRun,
    covariance_type: CovarianceType,
    floor: Tensor,
    tolerance: float,
    rounds: int = 50,
) -> bool:
    """Whether EM climbs above the run's end after its means have moved a little.

    Rounds that each gain no more than the tolerance are no climb.
    """
    weights, means, covariances = run.parameters
    noise = torch.randn(means.shape, generator=torch.Generator().manual_seed(0)).to(means)
    moves = 0.03 * torch.einsum("cde,ce->cd", cholesky(covariances), noise)
    nudged = MixtureParameters(weights, means + moves, covariances)
    options = {"covariance_type": covariance_type, "covariance_floor": floor}
    try:
        again = run_em(x, nudged, tolerance=1e-7, max_iterations=rounds, **options)
    except FitError:  # from there a component collapses: no better end
        return False
    return again.log_likelihood > run.log_likelihood + max(
        0.1, rounds * tolerance * len(x)
    )


def doubts(
    x: Tensor,
    run: EMRun,
    failures: list[FitError],
    starts: int,
    covariance_type: CovarianceType,
    floor: Tensor,
    tolerance: float,
) -> Iterator[str]:
    """What is doubtful about the best run of EM from several starts, a sentence each."""
    if not run.converged:
        yield "EM stopped before it converged: raise the tolerance, or call run_em."
    if run.fall > 1e-6 * len(x):
        yield (
            f"The log-likelihood fell by {run.fall:.2g} nats at the end, by rounding or "
            "by the floor: the parameters of the highest one are kept."
        )
    if len(failures) >= max(1, starts / 2):
        yield f"{len(failures)} of {starts} starts failed, the last so: {failures[-1]}"
    if (thin := on_the_floor(x, run.parameters, floor)) is not None:
        yield (
            f"The width of component {thin} is set by covariance_floor, not by the data: "
            "look for repeated rows, outliers, or too many components."
        )
    if pair := twins(run.parameters):
        yield f"Components {pair[0]} and {pair[1]} are twins: fewer components would do."
    elif run.converged and climbs_when_nudged(x, run, covariance_type, floor, tolerance):
        yield "EM ended at a saddle or on a plateau: from nearby it climbs higher."
