"""What a mixture asks of its data and its parameters.

Exported from notebooks/02_em_gaussian_mixture.ipynb by ``make export``: edit the chapter.
"""

import math
import warnings

import torch
from torch import Tensor

from aevb_utils.evaluation.rows import as_rows
from aevb_utils.inputs import check_count
from aevb_utils.models.mixture_em import MixtureParameters, blocks


def as_matrix(x: object) -> Tensor:
    """Return x, a tensor, array, frame or list, as a floating-point tensor (N, D).

    Raises:
        ValueError: another shape, or no numbers.
    """
    (rows,) = as_rows((x,), "x", torch.float64)
    x = x if isinstance(x, Tensor) else rows  # a tensor keeps its gradient
    x = x if x.is_floating_point() else x.double()
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"Expected data of shape (N, D), a row a datum, not {tuple(x.shape)}; "
            "for one variable pass x[:, None]."
        )
    return x


def check_data(x: object, *, rows: int = 1, columns: int | None = None) -> Tensor:
    """Return x as a floating-point tensor of shape (N, D), or say what is wrong with it.

    Raises:
        ValueError: another shape, too few rows, other columns, values that are not finite.
    """
    x = as_matrix(x)
    if len(x) < rows:
        raise ValueError(
            f"At least {rows} data are needed, one a component, not {len(x)}."
        )
    if columns is not None and x.shape[1] != columns:
        raise ValueError(
            f"Expected {columns} columns, as the means have, not {x.shape[1]}."
        )
    for first, block in zip(range(0, len(x), 4096), x.split(4096), strict=True):
        if not block.isfinite().all():
            row, column = (~block.isfinite()).nonzero()[0].tolist()
            raise ValueError(
                f"Data must be finite, but row {first + row}, column {column} holds "
                f"{block[row, column].item()}: drop or fill in such rows first."
            )
    return x


def check_counts(
    components: int, starts: int, tolerance: float, start: MixtureParameters | None
) -> None:
    """Say what is wrong with what a fit is asked for, if anything is.

    Raises:
        ValueError: no component, no start, a tolerance that is none, or a start with other
            components.
    """
    check_count("n_components", components)
    check_count("n_starts", starts)
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, not {tolerance}.")
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


def check_parameters(parameters: MixtureParameters) -> MixtureParameters:
    """Return θ in float64, or say what is wrong with it.

    Raises:
        ValueError: the shapes do not fit, a number is not finite, weights do not sum to
            one, or a covariance is not symmetric.
    """
    parts = [torch.as_tensor(part).detach().cpu().double() for part in parameters]
    weights, means, covariances = parts
    C, D = means.shape if means.ndim == 2 else (0, 0)
    if not C or weights.shape != (C,) or covariances.shape != (C, D, D):
        raise ValueError(
            "Expected weights (C,), means (C, D) and covariances (C, D, D), not "
            f"{', '.join(str(tuple(part.shape)) for part in parts)}."
        )
    if not all(part.isfinite().all() for part in parts):
        raise ValueError("A mixture's parameters must be finite, but one is not.")
    if (weights < 0).any() or not abs(weights.sum() - 1) <= 1e-6:
        raise ValueError(
            f"Weights must be positive with sum one, but their sum is {weights.sum():.6g} "
            f"and the smallest is {weights.min():.6g}."
        )
    scale = covariances.diagonal(dim1=-2, dim2=-1).abs().sqrt()
    limit = 1e-6 * scale[:, :, None] * scale[:, None, :]
    if not ((covariances - covariances.mT).abs() <= limit).all():
        raise ValueError("A covariance must be symmetric: give both of its triangles.")
    return MixtureParameters(*parts)


def column_variances(x: Tensor) -> Tensor:
    """The variance of each column, (D,), in float64: the mean first, then the squares."""
    zero = torch.zeros(x.shape[1], dtype=torch.float64, device="cpu")
    mean = sum((part.sum(dim=0) for part in blocks(x, x.shape[1])), zero) / len(x)
    squares = ((part - mean).square().sum(dim=0) for part in blocks(x, x.shape[1]))
    return sum(squares, zero) / len(x)


def check_spread(x: Tensor, variances: Tensor) -> None:
    """Warn where a column lies so far from zero that its number format hardly holds it.

    Raises:
        ValueError: the squares of a column overflow.
    """
    if not variances.isfinite().all():
        column = int((~variances.isfinite()).nonzero()[0, 0])
        raise ValueError(f"The squares of column {column} overflow: use larger units.")
    eps = torch.finfo(x.dtype).eps
    steps = eps * x.abs().amax(dim=0).cpu().double()  # between neighboring numbers
    coarse = (variances > 0) & (variances.sqrt() < eps**-0.4 * steps)
    if coarse.any():
        column = int(coarse.nonzero()[0, 0])
        warnings.warn(
            f"Column {column} has a standard deviation of {variances[column].sqrt():.1e}, "
            f"where {x.dtype} has steps of {steps[column]:.0e}: results are as coarse. "
            "Subtract a constant from the column before it is stored so.",
            stacklevel=4,
        )


def floor_for(x: Tensor, covariance_floor: float | None) -> Tensor:
    """The floor of each column's variance, (D,): given, or 1e-6 of the data's variance.

    A column that does not vary gets the mean of the others' floors.

    Raises:
        ValueError: a floor is negative or not finite, or the data have no spread.
    """
    variances = column_variances(x)
    check_spread(x, variances)
    if covariance_floor is None:
        varies = variances > 0
        if not varies.any():
            raise ValueError(
                "All data are one point: a mixture needs data that vary, or a "
                "covariance_floor."
            )
        return 1e-6 * torch.where(varies, variances, variances[varies].mean())
    if not 0 <= covariance_floor < math.inf:
        raise ValueError(
            f"covariance_floor must be at least 0 and finite, not {covariance_floor}."
        )
    return torch.full_like(variances, covariance_floor)
