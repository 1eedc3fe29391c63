"""Integrals over a few dimensions: a regular grid, and Gauss–Hermite nodes.

Exported from notebooks/03_approximate_e_step.ipynb by ``make export``: edit the chapter.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Grid(NamedTuple):
    """The midpoints of equal cells that fill a box, and the log of a cell's volume."""

    points: Tensor  # z_g, (G, L)
    log_cell: float  # log h


def make_grid(limits: Sequence[tuple[float, float]], size: int) -> Grid:
    """A regular grid for the midpoint rule, with ``size`` cells along each dimension.

    Args:
        limits: low and high end of the box in each of the L dimensions.
        size: cells along a dimension; there are G = size^L in all.

    Raises:
        ValueError: no dimension, no cell, or an end that is not above its beginning.
    """
    if size < 1 or not limits:
        raise ValueError(
            f"A grid needs a dimension and a cell, not {len(limits)} and {size}."
        )
    for low, high in limits:
        if not low < high:
            raise ValueError(f"Expected limits (low, high), not ({low}, {high}).")
    axes = [low + (high - low) * (torch.arange(size) + 0.5) / size for low, high in limits]
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
        ValueError: no node or no dimension.
    """
    if min(order, dimension) < 1:
        raise ValueError(
            f"Expected at least one node and one dimension, not {order} and {dimension}."
        )
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)  # for exp(−u²/2)
    u = torch.as_tensor(nodes, dtype=torch.get_default_dtype())
    w = torch.as_tensor(weights / weights.sum(), dtype=torch.get_default_dtype())
    mesh = torch.meshgrid(*[u] * dimension, indexing="ij")
    product = torch.meshgrid(*[w] * dimension, indexing="ij")
    points = torch.stack([axis.reshape(-1) for axis in mesh], dim=1)
    return points, torch.stack(product).prod(dim=0).reshape(-1)
