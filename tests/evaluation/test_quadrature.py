"""Chapter 3's grids and Gauss–Hermite nodes against integrals that are known."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from aevb_utils.evaluation.quadrature import gauss_hermite, log_integral, make_grid

DOUBLE = torch.float64


@pytest.fixture(autouse=True)
def double_precision():
    """The chapters' default."""
    torch.set_default_dtype(DOUBLE)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_grid_has_the_midpoints_of_equal_cells():
    grid = make_grid([(0.0, 1.0), (-2.0, 2.0)], 2)
    assert grid.points.tolist() == [[0.25, -1.0], [0.25, 1.0], [0.75, -1.0], [0.75, 1.0]]
    assert grid.log_cell == pytest.approx(math.log(0.5 * 2.0))


def test_the_integral_of_a_density_is_one_in_one_to_three_dimensions():
    for L in (1, 2, 3):
        grid = make_grid([(-9.0, 9.0)] * L, 40)
        scale = torch.eye(L) + 0.3 * torch.ones(L, L)
        density = MultivariateNormal(torch.full((L,), 0.2), covariance_matrix=scale)
        assert log_integral(density.log_prob(grid.points), grid).item() == pytest.approx(0.0, abs=1e-10)


def test_an_integral_that_underflows_outside_log_space():
    grid = make_grid([(-9.0, 9.0)], 200)
    log_values = Normal(0.0, 1.0).log_prob(grid.points[:, 0]) - 5_000
    assert log_integral(torch.stack([log_values, log_values + 1]), grid).tolist() == pytest.approx([-5_000, -4_999])


@pytest.mark.parametrize("order", [1, 2, 3, 6, 20])
def test_gauss_hermite_is_exact_up_to_degree_2n_minus_1_and_no_further(order):
    u, w = gauss_hermite(order, 1)
    assert w.sum().item() == pytest.approx(1.0, abs=1e-14)
    moment = 1.0
    for degree in range(0, 2 * order, 2):
        assert (w @ u[:, 0] ** degree).item() == pytest.approx(moment, rel=1e-10)
        moment *= degree + 1  # E u^(2m + 2) = (2m + 1) E u^(2m)
    if order < 20:  # the next moment is short by n!
        assert (w @ u[:, 0] ** (2 * order)).item() == pytest.approx(moment - math.factorial(order), rel=1e-9)


def test_gauss_hermite_in_two_dimensions():
    u, w = gauss_hermite(3, 2)
    assert u.shape == (9, 2)
    assert (w @ (u[:, 0] ** 4 * u[:, 1] ** 2)).item() == pytest.approx(3.0)
    assert (w @ (u[:, 0] * u[:, 1])).item() == pytest.approx(0.0, abs=1e-15)
    assert len(torch.unique(u, dim=0)) == 9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_grid([], 3), "a dimension and a cell, not 0 and 3"),
        (lambda: make_grid([(0.0, 1.0)], 0), "a dimension and a cell, not 1 and 0"),
        (lambda: make_grid([(1.0, 1.0)], 3), r"limits \(low, high\), not \(1.0, 1.0\)"),
        (lambda: make_grid([(math.nan, 1.0)], 3), r"not \(nan, 1.0\)"),
        (lambda: log_integral(torch.zeros(2, 3), make_grid([(0.0, 1.0)], 4)), "4 values, one a point, not 3"),
        (lambda: gauss_hermite(0, 1), "at least one node and one dimension, not 0 and 1"),
        (lambda: gauss_hermite(3, 0), "at least one node and one dimension, not 3 and 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
