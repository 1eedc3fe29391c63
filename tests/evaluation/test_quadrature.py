"""Chapter 3's grids and Gauss–Hermite nodes against integrals that are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentences import one_sentence
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


@given(order=st.integers(1, 40), coefficients=st.lists(st.floats(-1, 1), min_size=1, max_size=10))
def test_gauss_hermite_integrates_polynomials_up_to_degree_2n_minus_1(order, coefficients):
    torch.set_default_dtype(DOUBLE)
    coefficients = torch.tensor(coefficients[: 2 * order])
    u, w = gauss_hermite(order, 1)
    powers = u ** torch.arange(len(coefficients))  # (G, degree + 1)
    moments = torch.tensor([math.prod(range(k - 1, 0, -2)) * (k % 2 == 0) for k in range(len(coefficients))]).double()
    assert (w @ powers @ coefficients).item() == pytest.approx((moments @ coefficients).item(), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("order", [40, 61, 100, 370, 380, 1000])
def test_gauss_hermite_keeps_its_moments_however_many_nodes(order):
    u, w = gauss_hermite(order, 1)
    assert w.isfinite().all()
    assert (w >= 0).all()
    for degree, moment in ((2, 1.0), (4, 3.0), (6, 15.0), (8, 105.0)):
        assert (w @ u[:, 0] ** degree).item() == pytest.approx(moment, rel=1e-11)


@pytest.mark.parametrize("order", [2, 6, 20, 60, 61])
def test_gauss_hermite_has_the_nodes_of_numpy(order):
    u, w = gauss_hermite(order, 1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    assert torch.allclose(u[:, 0], torch.as_tensor(nodes), rtol=0, atol=1e-13)
    assert torch.allclose(w, torch.as_tensor(weights / weights.sum()), rtol=1e-12, atol=0)


@given(
    ends=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)), min_size=1, max_size=3),
    size=st.integers(1, 12),
)
def test_the_cells_of_a_grid_fill_its_box(ends, size):
    torch.set_default_dtype(DOUBLE)
    limits = [(low, low + width) for low, width in ends]
    grid = make_grid(limits, size)
    volume = math.prod(high - low for low, high in limits)
    assert len(grid.points) * math.exp(grid.log_cell) == pytest.approx(volume)
    assert log_integral(torch.zeros(len(grid.points)), grid).item() == pytest.approx(math.log(volume), abs=1e-9)
    low, high = torch.tensor(limits).T
    assert ((grid.points > low) & (grid.points < high)).all()


def test_whole_numbers_of_numpy_are_sizes():
    assert len(make_grid([(0.0, 1.0)], np.int64(4)).points) == 4
    assert len(gauss_hermite(np.int64(3), 2)[0]) == 9


WHOLE = "whole numbers of points and of dimensions, at least 1 of each, not "


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_grid([], 3), f"{WHOLE}3 and 0"),
        (lambda: make_grid([(0.0, 1.0)], 0), f"{WHOLE}0 and 1"),
        (lambda: make_grid([(-1.0, 1.0)], 4.5), f"{WHOLE}4.5 and 1"),
        (lambda: make_grid([(-1.0, 1.0)], True), f"{WHOLE}True and 1"),
        (lambda: make_grid([(-1.0, 1.0)], math.nan), f"{WHOLE}nan and 1"),
        (lambda: make_grid([(-1.0, 1.0)] * 4, 100), "100 points along each of 4 dimensions are more than 20,000,000"),
        (lambda: make_grid([(-1.0, 1.0)], 10**9), "1,000,000,000 points along each of 1 dimensions are more than"),
        (lambda: make_grid([(1.0, 1.0)], 3), r"finite limits \(low, high\), low < high, not \(1.0, 1.0\)"),
        (lambda: make_grid([(math.nan, 1.0)], 3), r"not \(nan, 1.0\)"),
        (lambda: make_grid([(0.0, 1.0), (0.0, math.inf)], 3), r"not \(0.0, inf\)"),
        (
            lambda: make_grid([(1e17, 1e17 + 64)], 10),
            "torch.float64 cannot tell 10 cells from 1e.17 to 1.0+6e.17 apart",
        ),
        (lambda: log_integral(torch.zeros(2, 3), make_grid([(0.0, 1.0)], 4)), "4 values, one a point, not 3"),
        (lambda: gauss_hermite(0, 1), f"{WHOLE}0 and 1"),
        (lambda: gauss_hermite(3, 0), f"{WHOLE}3 and 0"),
        (lambda: gauss_hermite(2.0, 1), f"{WHOLE}2.0 and 1"),
        (lambda: gauss_hermite(380, 5), "380 points along each of 5 dimensions are more than 20,000,000 in all"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    one_sentence(caught.value)
