"""The checks that readers see: each passes and fails as it says."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from sentences import one_sentence

from aevb_utils.checking import (
    check_at_least,
    check_at_most,
    check_close,
    check_fails,
    check_true,
)

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "kind", [float, np.float32, np.array, torch.tensor, lambda v: [v], lambda v: torch.ones(2) * v]
)
def test_close_takes_numbers_arrays_and_tensors(kind, capsys):
    check_close("two", kind(2.0), 2.0)
    assert capsys.readouterr().out.startswith("✓ two: ")
    with pytest.raises(AssertionError, match="✗ three: "):
        check_close("three", kind(2.0), 3.0, atol=0.999)
    assert capsys.readouterr().out == ""


def test_close_prints_one_line_with_both_numbers(capsys):
    check_close("a claim", torch.tensor(-2.0, requires_grad=True), -2.5, atol=0.5)
    assert capsys.readouterr().out == "✓ a claim: −2 = −2.5, difference 5.0e-01 (tolerance 0.5)\n"
    check_close("an array", np.zeros((2, 500)), 0.0, atol=1e-12)
    assert capsys.readouterr().out == "✓ an array: largest difference 0.0e+00 over 1,000 numbers (tolerance 1e-12)\n"
    check_close("both", 100.0, 101.0, atol=0.1, rtol=0.01)
    assert capsys.readouterr().out.endswith("(tolerance 0.1 + 0.01 relative)\n")


def test_close_raises_with_both_numbers():
    with pytest.raises(AssertionError, match=re.escape("✗ a claim: 1.5 = −2, difference 3.5e+00 (tolerance 1)")):
        check_close("a claim", 1.5, -2.0, atol=1.0)


def test_close_tolerances_add_up_and_rtol_is_relative_to_the_expected():
    check_close("relative", 99.0, 100.0, rtol=0.01)
    with pytest.raises(AssertionError):
        check_close("relative", 100.0, 98.9, rtol=0.011)  # 1.1 apart, 1.0879 allowed
    check_close("sum", 98.5, 100.0, rtol=0.01, atol=0.5)
    with pytest.raises(AssertionError):
        check_close("sum", 98.4, 100.0, rtol=0.01, atol=0.5)


def test_close_fails_on_a_single_wrong_entry():
    wrong = torch.zeros(1000)
    wrong[517] = 1e-3
    with pytest.raises(AssertionError, match=re.escape("largest difference 1.0e-03")):
        check_close("zeros", wrong, torch.zeros(1000), atol=1e-6)


@pytest.mark.parametrize("tolerance", [{"atol": 1e9}, {"rtol": 1e9}])
@pytest.mark.parametrize(
    ("actual", "expected"), [(NAN, 0.0), (0.0, NAN), (NAN, NAN), (INF, 0.0), (1.0, INF), (INF, INF)]
)
def test_close_fails_on_what_is_not_finite(actual, expected, tolerance):
    for kind in (float, lambda v: torch.tensor([1.0, v])):
        with pytest.raises(AssertionError, match="✗ claim"):
            check_close("claim", kind(actual), kind(expected), **tolerance)


def test_close_fails_on_nothing_to_compare():
    with pytest.raises(AssertionError, match="over 0 numbers"):
        check_close("claim", torch.zeros(0), 0.0)


@pytest.mark.parametrize("check", [check_close, check_at_most, check_at_least])
def test_shapes_must_be_equal(check):
    sentence = re.escape("claim: shapes (3,) and (3, 1) differ; compare arrays of one shape.")
    with pytest.raises(ValueError, match=sentence):
        check("claim", torch.zeros(3), torch.zeros(3, 1))


@pytest.mark.parametrize("kind", [float, np.array, torch.tensor, lambda v: torch.tensor([v, v])])
def test_bounds_take_numbers_arrays_and_tensors(kind):
    check_at_most("below", kind(1.0), 2.0)
    check_at_least("above", kind(2.0), 1.0)
    with pytest.raises(AssertionError, match=re.escape("✗ below: 2 ≤ 1, margin -1.0e+00")):
        check_at_most("below", kind(2.0), 1.0)
    with pytest.raises(AssertionError, match=re.escape("✗ above: 1 ≥ 2, margin -1.0e+00")):
        check_at_least("above", kind(1.0), 2.0)


def test_bounds_show_the_tightest_pair(capsys):
    check_at_most("below", np.array([0.0, 3.0, 1.0]), np.array([9.0, 4.0, 7.0]))
    assert capsys.readouterr().out == "✓ below: 3 ≤ 4, margin 1.0e+00\n"
    check_at_least("above", np.array([9.0, -4.0, 7.0]), -6.0)
    assert capsys.readouterr().out == "✓ above: −4 ≥ −6, margin 2.0e+00\n"


def test_bounds_are_inclusive_and_slack_is_for_rounding(capsys):
    check_at_most("equal", 1.0, 1.0)
    check_at_least("equal", 1.0, 1.0)
    capsys.readouterr()
    check_at_most("rounded", 1.0 + 1e-13, 1.0, slack=1e-12)
    assert capsys.readouterr().out.endswith("(tolerance 1e-12)\n")
    check_at_least("rounded", 1.0 - 1e-13, 1.0, slack=1e-12)
    for check, value in [(check_at_most, 1.0 + 1e-11), (check_at_least, 1.0 - 1e-11)]:
        with pytest.raises(AssertionError):
            check("too far", value, 1.0, slack=1e-12)


@pytest.mark.parametrize("check", [check_at_most, check_at_least])
@pytest.mark.parametrize(("value", "bound"), [(NAN, 0.0), (0.0, NAN), (NAN, NAN), (INF, INF)])
def test_bounds_fail_on_what_is_not_a_number(check, value, bound):
    for kind in (float, lambda v: torch.tensor([v, v])):
        with pytest.raises(AssertionError, match="✗ claim"):
            check("claim", kind(value), kind(bound))
    sign = -1.0 if check is check_at_most else 1.0
    with pytest.raises(AssertionError, match="✗ claim"):  # one bad entry among entries that hold
        check("claim", torch.tensor([sign, NAN, sign]), 0.0)


def test_bounds_with_infinities():
    check_at_most("log of zero", torch.tensor([-INF, 0.0]), 1.0)
    check_at_least("log of zero", 1.0, -INF)
    with pytest.raises(AssertionError):
        check_at_most("infinite", INF, 1.0)
    with pytest.raises(AssertionError):
        check_at_least("infinite", -INF, 1.0)


@pytest.mark.parametrize("check", [check_at_most, check_at_least])
def test_bounds_fail_on_nothing_to_compare(check):
    with pytest.raises(AssertionError, match="✗ claim: there are no numbers to compare"):
        check("claim", torch.zeros(0), 1.0)


def test_true(capsys):
    for condition in (True, np.bool_(True), torch.tensor(True)):
        check_true("a statement", condition)
        assert capsys.readouterr().out == "✓ a statement\n"
    for condition in (False, np.bool_(False), torch.tensor(False)):
        with pytest.raises(AssertionError, match=r"^✗ a statement$"):
            check_true("a statement", condition)


@pytest.mark.parametrize(
    "condition",
    [
        NAN, "False", "", 1, 0, None, [], [True], np.array(1), torch.tensor(1.0), np.ma.masked,
        np.ma.masked_array([True], mask=[True]), np.array([True, True]), torch.tensor([True, True]),
        torch.ones(0).bool(),
    ],
)  # fmt: skip
def test_true_takes_one_truth_value_and_nothing_that_counts_as_true(condition):
    with pytest.raises(TypeError, match=r"^a claim: the condition should be one True or False, but is "):
        check_true("a claim", condition)


@pytest.mark.parametrize("condition", [np.array([True]), torch.tensor([[True]])])
def test_true_takes_an_array_of_one_truth_value(condition, capsys):
    check_true("a statement", condition)
    assert capsys.readouterr().out == "✓ a statement\n"


def test_numbers_of_every_real_type_are_compared_by_value():
    for value in (
        torch.tensor([0.5, 2.0], dtype=torch.bfloat16), torch.tensor([0.5, 2.0], dtype=torch.float16),
        np.array([0.5, 2.0], dtype=">f8"), np.array([0.5, 2.0], dtype=">f4"), np.longdouble([0.5, 2.0]),
        [torch.tensor(0.5, requires_grad=True), torch.tensor(2.0, dtype=torch.bfloat16)],
        (Fraction(1, 2), Decimal(2)), np.ma.masked_array([0.5, 2.0], mask=[False, False]),
    ):  # fmt: skip
        check_close("the same", value, [0.5, 2.0])
        with pytest.raises(AssertionError, match=re.escape("largest difference 1.0e+00")):
            check_close("another", value, [0.5, 3.0])
    for value in (torch.tensor([True, False]), np.array([1, 0], dtype=np.uint8), torch.tensor([1, 0])):
        check_close("whole", value, [1, 0])
        with pytest.raises(AssertionError, match=re.escape("largest difference 2.0e+00")):
            check_close("negative", value, [1, 2])  # 0 − 2 is not 254


@pytest.mark.parametrize("check", [check_close, check_at_most, check_at_least])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1 + 0j, "complex"), (torch.tensor([1 + 0j]), "complex"),
        (2**53 + 1, "beyond 2.53"), (torch.tensor([0, 2**62]), "beyond 2.53"), (np.uint64(2**64 - 1), "beyond 2.53"),
        pytest.param(10**400, "beyond 2.53", id="huge"), ([10**400], "beyond 2.53"),
        (Fraction(10**400, 3), "are compared"),
        (np.ma.masked_array([1, 2], mask=[0, 1]), "masked"), (np.ma.masked, "masked"),
        ("1.5", "not '1.5'"), (None, "not None"), ({1: 2}, "not {1: 2}"), ([[1], [1, 2]], r"not \[\[1\], \[1, 2\]\]"),
        (np.datetime64("2020"), "datetime"), (torch.zeros(2, device="meta"), "shape"),
    ],
)  # fmt: skip
def test_what_float64_does_not_hold_is_refused_in_a_sentence(check, value, said):
    for pair in ((value, 1.0), (1.0, value), (value, value)):
        with pytest.raises(ValueError, match=f"^a claim: .*{said}") as caught:
            check("a claim", *pair)
        one_sentence(caught.value)


@pytest.mark.parametrize("tolerance", [NAN, INF, -INF, -1e-9, "1", None, [1.0, 2.0], 1j, np.ma.masked])
def test_a_tolerance_is_one_finite_number_that_is_not_negative(tolerance):
    for check, name in [
        (check_close, "atol"), (check_close, "rtol"), (check_at_most, "slack"), (check_at_least, "slack")
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"^a claim: {name} should be a finite number, 0 or more") as caught:
            check("a claim", 1.0, 1.0, **{name: tolerance})
        one_sentence(caught.value)


def test_a_difference_that_overflows_is_no_agreement():
    with pytest.raises(AssertionError, match="difference inf"):
        check_close("far apart", 1e308, -1e308, rtol=1e9)
    with pytest.raises(AssertionError, match="margin -inf"):
        check_at_most("far above", 1e308, -1e308)


anything = st.floats() | st.integers(-(2**60), 2**60) | st.complex_numbers() | st.none() | st.text()


@given(anything, anything, st.floats(), st.floats())
@example(0.3, 0.1 + 0.2, 0.0, 0.0)
@example(1.0, 1.0, NAN, 0.0)
@example(2**53 + 1, 2**53, 0.0, 0.0)
def test_close_holds_where_exact_arithmetic_says_so_and_nowhere_else(actual, expected, atol, rtol):
    try:
        check_close("a claim", actual, expected, atol=atol, rtol=rtol)
        holds = True
    except (AssertionError, ValueError):
        holds = False
    numbers = (actual, expected, atol, rtol)
    if not all(isinstance(x, (int, float)) and math.isfinite(x) for x in numbers) or min(atol, rtol) < 0:
        assert not holds
        return
    a, b, absolute, relative = map(Fraction, numbers)
    difference, allowed = abs(a - b), absolute + relative * abs(b)
    rounding, smallest = Fraction(1, 10**12), Fraction(5e-324)
    if difference > allowed * (1 + rounding) + smallest:
        assert not holds
    beyond = any(isinstance(x, int) and abs(x) > 2**53 for x in (actual, expected)) or difference > 1e308
    if difference <= allowed * (1 - rounding) - smallest and not beyond:
        assert holds


def test_fails_shows_what_the_check_says(capsys):
    check_fails(lambda: check_close("one is two", 1.0, 2.0))
    out = capsys.readouterr().out
    assert out.startswith("✗ one is two: 1 = 2, difference 1.0e+00")
    assert "caught" in out


def test_fails_raises_when_the_check_holds():
    with pytest.raises(AssertionError, match="does not catch the mistake"):
        check_fails(lambda: check_true("fine", True))


def test_fails_takes_a_function():
    with pytest.raises(TypeError, match=r"takes a function, .* but was given None") as caught:
        check_fails(check_true("done already", True))
    one_sentence(caught.value)


def test_fails_lets_other_errors_through():
    with pytest.raises(ValueError, match="shapes"):
        check_fails(lambda: check_close("claim", torch.zeros(2), torch.zeros(3)))
