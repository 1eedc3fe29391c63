"""Integrals over a few dimensions: a regular grid, and Gauss–Hermite nodes.

Exported from notebooks/03_approximate_e_step.ipynb by ``make export``: edit the chapter.
"""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import NamedTuple

import torch
from scipy.special import roots_hermitenorm
from torch import Tensor


class Grid(NamedTuple):
    """The midpoints of equal cells that fill a box, and the log of a cell's volume."""

    points: Tensor  # z_g, (G, L)
    log_cell: float  # log h


MOST_POINTS = 20_000_000  # of a grid: more do not fit into every memory


def check_sizes(size: int, dimension: int) -> None:
    """Refuse a number of points along a dimension, or in all, that cannot be."""
    for number in (size, dimension):
        if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
            raise ValueError(
                "Expected whole numbers of points and of dimensions, at least 1 of each, "
                f"not {size!r} and {dimension!r}."
            )
    if dimension * math.log(size) > math.log(MOST_POINTS) + 1e-9:
        raise ValueError(
            f"{size:,} points along each of {dimension:,} dimensions are more than "
            f"{MOST_POINTS:,} in all: take fewer, or draw samples in so many dimensions."
        )


def midpoints(low: float, high: float, size: int) -> Tensor:
    """The midpoints of ``size`` equal cells from low to high."""
    if not (math.isfinite(high - low) and low < high):
        raise ValueError(
            f"Expected finite limits (low, high), low < high, not ({low}, {high})."
        )
    axis = low + (high - low) * (torch.arange(size) + 0.5) / size
    h = (high - low) / size
    if not ((axis.diff() - h).abs() <= 0.01 * h).all():  # rounded off, or infinite
        raise ValueError(
            f"{axis.dtype} cannot tell {size:,} cells from {low} to {high} apart: take "
            "fewer, move the origin, or make torch.float64 the default."
        )
    return axis


def make_grid(limits: Sequence[tuple[float, float]], size: int) -> Grid:
    """A regular grid for the midpoint rule, with ``size`` cells along each dimension.

    Args:
        limits: low and high end of the box in each of the L dimensions.
        size: cells along a dimension; there are G = size^L in all.

    Raises:
        ValueError: no dimension, a size that is no whole number, too many cells, or an
            end that is not finite or not above its beginning.
    """
    check_sizes(size, len(limits))
    axes = [midpoints(low, high, size) for low, high in limits]
    mesh = torch.meshgrid(*axes, indexing="ij")
    points = torch.stack([axis.reshape(-1) for axis in mesh], dim=1)
    return Grid(points, sum(math.log((high - low) / size) for low, high in limits))


def log_integral(log_values: Tensor, grid: Grid) -> Tensor:
    """The log of ∫ exp f(z) dz, eq. (3.8), from f at the grid's points, (..., G)."""
    if log_values.shape[-1] != len(grid.points):
        raise ValueError(
            f"Expected {len(grid.points)} values, one a point, not {log_values.shape[-1]}."
        )
    return torch.logsumexp(log_values, dim=-1) + grid.log_cell


def gauss_hermite(order: int, dimension: int) -> tuple[Tensor, Tensor]:
    """Nodes u_g, (G, L), and weights w_g, (G,), for E_{𝒩(0, I)}[f(u)], eq. (3.9).

    Args:
        order: nodes along a dimension, n; exact for degree 2n − 1 in each variable.
        dimension: L; there are G = order^L nodes in all.

    Raises:
        ValueError: no node, no dimension, or more nodes than a memory holds.
    """
    check_sizes(order, dimension)
    nodes, weights = roots_hermitenorm(order)  # for exp(−u²/2)
    u = torch.as_tensor(nodes, dtype=torch.get_default_dtype())
    w = torch.as_tensor(weights / weights.sum(), dtype=torch.get_default_dtype())
    mesh = torch.meshgrid(*[u] * dimension, indexing="ij")
    product = torch.meshgrid(*[w] * dimension, indexing="ij")
    points = torch.stack([axis.reshape(-1) for axis in mesh], dim=1)
    return points, torch.stack(product).prod(dim=0).reshape(-1)
