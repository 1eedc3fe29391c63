"""Visible asserts: each check prints one line a reader can read, and raises with the numbers when it fails."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from aevb_utils.console import say

Number = float | int | np.ndarray | torch.Tensor


def check_close(claim: str, actual: Number, expected: Number, *, atol: float = 0.0, rtol: float = 0.0) -> None:
    """Check that ``actual`` equals ``expected`` up to a tolerance, entry by entry.

    Formula: ``|actual − expected| ≤ atol + rtol · |expected|``. Both may be numbers or arrays of one shape (a number
    is compared with every entry). Prints ``✓``, the claim and both numbers (for arrays the largest difference).

    Raises:
        AssertionError: the two differ by more, or one of them is not finite; the message holds both.
        ValueError: the shapes differ.
    """
    a, b = _pair(claim, actual, expected)
    with np.errstate(invalid="ignore"):  # ∞ − ∞: not a number, and the check fails
        difference = np.abs(a - b)
    finite = bool(np.all(np.isfinite(a)) and np.all(np.isfinite(b)))
    worst = float(np.max(difference)) if difference.size else math.nan
    if difference.ndim:
        numbers = f"largest difference {worst:.1e} over {difference.size:,} numbers"
    else:
        numbers = f"{_show(a)} = {_show(b)}, difference {worst:.1e}"
    holds = difference.size > 0 and finite and bool(np.all(difference <= atol + rtol * np.abs(b)))
    _report(claim, holds, numbers, _limit(atol, rtol))


def check_at_most(claim: str, value: Number, bound: Number, *, slack: float = 0.0) -> None:
    """Check that ``value ≤ bound + slack`` in every entry (slack is for rounding); print the tightest pair.

    Raises:
        AssertionError: an entry is larger, or not a number.
        ValueError: the shapes differ.
    """
    values, bounds = _pair(claim, value, bound)
    _check_order(claim, values, "≤", bounds, slack)


def check_at_least(claim: str, value: Number, bound: Number, *, slack: float = 0.0) -> None:
    """Check that ``value ≥ bound − slack`` in every entry; print the tightest pair.

    Raises:
        AssertionError: an entry is smaller, or not a number.
        ValueError: the shapes differ.
    """
    values, bounds = _pair(claim, value, bound)
    _check_order(claim, values, "≥", bounds, slack)


def check_true(claim: str, condition: bool | np.bool_ | torch.Tensor) -> None:
    """Check a plain statement, for what has no number.

    Raises:
        AssertionError: the condition is false.
    """
    _report(claim, bool(condition), None, None)


def check_fails(check: Callable[[], None]) -> None:
    """Run a check that must fail, and show what it says: for cells that break something on purpose.

    Raises:
        AssertionError: the check holds, so it would not catch the mistake.
    """
    try:
        check()
    except AssertionError as error:
        say(f"{error}\n  … caught, as it should be.")
    else:
        raise AssertionError("The check above holds: it does not catch the mistake.")


def as_array(value: Number) -> npt.NDArray[np.float64]:
    """The value as a float64 array."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float64)


def _pair(claim: str, first: Number, second: Number) -> tuple[npt.NDArray[np.float64], ...]:
    """Both as float64 arrays of one shape; a number is repeated, arrays are not: (N, 1) against (N,) is a mistake."""
    a, b = as_array(first), as_array(second)
    if a.shape != b.shape and a.ndim and b.ndim:
        raise ValueError(f"{claim}: shapes {a.shape} and {b.shape} differ; compare arrays of one shape.")
    return np.broadcast_arrays(a, b)


def _check_order(claim: str, values: np.ndarray, sign: str, bounds: np.ndarray, slack: float) -> None:
    """Check that every value is on its side of its bound up to ``slack``, and show the tightest pair."""
    if not values.size:
        _report(claim, False, "there are no numbers to compare", None)
    with np.errstate(invalid="ignore"):  # ∞ − ∞: not a number, and the check fails
        margin = bounds - values if sign == "≤" else values - bounds
    tightest = np.unravel_index(np.argmin(margin), margin.shape)
    numbers = f"{_show(values[tightest])} {sign} {_show(bounds[tightest])}, margin {margin[tightest]:.1e}"
    _report(claim, bool(np.all(margin >= -slack)), numbers, _limit(slack, 0.0))


def _show(value: float | np.ndarray) -> str:
    """A number as a reader wants it: six significant digits, no noise."""
    return f"{float(value):.6g}".replace("-", "−")


def _limit(atol: float, rtol: float) -> str | None:
    """The tolerance in words."""
    parts = [f"{atol:.2g}"] if atol else []
    parts += [f"{rtol:.2g} relative"] if rtol else []
    return " + ".join(parts) or None


def _report(claim: str, holds: bool, numbers: str | None, limit: str | None) -> None:
    """Print the line of a check that holds; raise it for one that fails."""
    detail = f": {numbers}" if numbers else ""
    detail += f" (tolerance {limit})" if limit else ""
    if not holds:
        raise AssertionError(f"✗ {claim}{detail}")
    say(f"✓ {claim}{detail}")
