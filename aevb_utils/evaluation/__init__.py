"""Quadrature, gaps and gradients, exported from the chapters by ``make export``."""

from aevb_utils.evaluation.gradients import (
    GradientSummary,
    pathwise,
    repeat_gradients,
    score_function,
    summarize,
)
from aevb_utils.evaluation.quadrature import Grid, gauss_hermite, log_integral, make_grid

__all__ = [
    "GradientSummary",
    "Grid",
    "gauss_hermite",
    "log_integral",
    "make_grid",
    "pathwise",
    "repeat_gradients",
    "score_function",
    "summarize",
]
