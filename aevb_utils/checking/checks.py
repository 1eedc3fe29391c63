"""Visible asserts: each check prints one line a reader can read, and raises with the numbers when it fails."""

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from aevb_utils.checking.console import say

Number = float | int | np.ndarray | torch.Tensor

_LARGEST = 2**53
"""Up to here float64 holds every whole number."""


def check_close(claim: str, actual: Number, expected: Number, *, atol: float = 0.0, rtol: float = 0.0) -> None:
    """Check that ``actual`` equals ``expected`` up to a tolerance, entry by entry.

    Formula: ``|actual − expected| ≤ atol + rtol · |expected|``. Both may be numbers or arrays of one shape (a number
    is compared with every entry). Prints ``✓``, the claim and both numbers (for arrays the largest difference).

    Raises:
        AssertionError: the two differ by more, or one of them is not finite; the message holds both.
        ValueError: the shapes differ, what is given are no real numbers, or a tolerance is none.
    """
    atol, rtol = _tolerance(claim, "atol", atol), _tolerance(claim, "rtol", rtol)
    a, b = _pair(claim, actual, expected)
    with np.errstate(invalid="ignore", over="ignore"):  # ∞ − ∞: not a number, and the check fails
        difference, allowed = np.abs(a - b), atol + rtol * np.abs(b)
    finite = bool(np.all(np.isfinite(a)) and np.all(np.isfinite(b)))
    worst = float(np.max(difference)) if difference.size else math.nan
    if difference.ndim:
        numbers = f"largest difference {worst:.1e} over {difference.size:,} numbers"
    else:
        numbers = f"{_show(a)} = {_show(b)}, difference {worst:.1e}"
    holds = difference.size > 0 and finite and bool(np.all(difference <= np.minimum(allowed, np.finfo(float).max)))
    _report(claim, holds, numbers, _limit(atol, rtol))


def check_at_most(claim: str, value: Number, bound: Number, *, slack: float = 0.0) -> None:
    """Check that ``value ≤ bound + slack`` in every entry (slack is for rounding); print the tightest pair.

    Raises:
        AssertionError: an entry is larger, or not a number.
        ValueError: the shapes differ, what is given are no real numbers, or the slack is none.
    """
    values, bounds = _pair(claim, value, bound)
    _check_order(claim, values, "≤", bounds, slack)


def check_at_least(claim: str, value: Number, bound: Number, *, slack: float = 0.0) -> None:
    """Check that ``value ≥ bound − slack`` in every entry; print the tightest pair.

    Raises:
        AssertionError: an entry is smaller, or not a number.
        ValueError: the shapes differ, what is given are no real numbers, or the slack is none.
    """
    values, bounds = _pair(claim, value, bound)
    _check_order(claim, values, "≥", bounds, slack)


def check_true(claim: str, condition: bool | np.bool_ | np.ndarray | torch.Tensor) -> None:
    """Check a plain statement, for what has no number.

    Raises:
        AssertionError: the condition is false.
        TypeError: the condition is not one truth value: NaN and the text "False" would count as true.
    """
    if isinstance(condition, (torch.Tensor, np.ndarray)) and not np.ma.is_masked(condition):
        is_truth = condition.dtype in (torch.bool, np.bool_) and math.prod(condition.shape) == 1
    else:
        is_truth = isinstance(condition, (bool, np.bool_))
    if not is_truth:
        raise TypeError(
            f"{claim}: the condition should be one True or False, but is {_in_words(condition)}; "
            "write a comparison, and .all() behind one of arrays."
        )
    _report(claim, bool(condition), None, None)


def check_fails(check: Callable[[], None]) -> None:
    """Run a check that must fail, and show what it says: for cells that break something on purpose.

    Raises:
        AssertionError: the check holds, so it would not catch the mistake.
        TypeError: what is given is no function, but perhaps what a check returned.
    """
    if not callable(check):
        raise TypeError(f"check_fails takes a function, such as lambda: check_…, but was given {_in_words(check)}.")
    try:
        check()
    except AssertionError as error:
        say(f"{error}\n  … caught, as it should be.")
    else:
        raise AssertionError("The check above holds: it does not catch the mistake.")


def as_array(value: Number) -> npt.NDArray[np.float64]:
    """The value as a float64 array: numbers of any real type, a number alone, in lists, arrays or tensors.

    Raises:
        ValueError: it holds what float64 cannot hold or what is not there: complex numbers, whole numbers beyond 2⁵³,
            masked entries, text.
    """
    try:
        if isinstance(value, (list, tuple)):
            value = [_of_tensor(entry) if isinstance(entry, torch.Tensor) else entry for entry in value]
        array = _of_tensor(value) if isinstance(value, torch.Tensor) else _of_other(value)
        _check_kind(array)
        return np.asarray(array, dtype=np.float64)
    except (TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"numbers that NumPy can hold are compared, not {_in_words(value)}") from error


def _of_tensor(value: torch.Tensor) -> np.ndarray:
    value = value.detach().cpu()  # first the CPU: not every device has float64
    return (value.double() if value.is_floating_point() else value).numpy(force=True)  # numpy has no bfloat16


def _of_other(value: object) -> np.ndarray:
    try:
        return np.asanyarray(value)
    except ValueError as error:
        raise TypeError("lists of unequal lengths") from error


def _check_kind(array: np.ndarray) -> None:
    """Refuse an array that float64 cannot hold as it is."""
    kind = array.dtype.kind
    if np.ma.is_masked(array):
        raise ValueError("some entries are masked; compare those that are there, with .compressed()")
    if kind == "c":
        raise ValueError("complex numbers have no order and no one difference; compare .real and .imag")
    if kind not in "fiubO" or (kind == "O" and not all(isinstance(entry, (Real, Decimal)) for entry in array.flat)):
        raise TypeError("no numbers")
    if kind in "iuO" and any(isinstance(x, (int, np.integer)) and abs(int(x)) > _LARGEST for x in _extremes(array)):
        raise ValueError("float64 does not hold every whole number beyond 2^53; compare differences, or with ==")


def _extremes(array: np.ndarray) -> Iterable[Any]:
    """Of integers the smallest and the largest, of objects all."""
    return array.flat if array.dtype.kind == "O" or not array.size else (array.min(), array.max())


def _tolerance(claim: str, name: str, value: float) -> float:
    """A tolerance, if it is one: a check with NaN, ∞ or less than 0 says nothing."""
    try:
        number = as_array(value)
    except ValueError:
        number = np.array(math.nan)
    if number.size != 1 or not 0 <= number.item() < math.inf:
        raise ValueError(f"{claim}: {name} should be a finite number, 0 or more, but is {_in_words(value)}.")
    return number.item()


def _in_words(value: object) -> str:
    """What was given, short enough for a sentence."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__} {text[:40]}…"


def _pair(claim: str, first: Number, second: Number) -> tuple[npt.NDArray[np.float64], ...]:
    """Both as float64 arrays of one shape; a number is repeated, arrays are not: (N, 1) against (N,) is a mistake."""
    try:
        a, b = as_array(first), as_array(second)
    except ValueError as error:
        raise ValueError(f"{claim}: {error}.") from error
    if a.shape != b.shape and a.ndim and b.ndim:
        raise ValueError(f"{claim}: shapes {a.shape} and {b.shape} differ; compare arrays of one shape.")
    return np.broadcast_arrays(a, b)


def _check_order(claim: str, values: np.ndarray, sign: str, bounds: np.ndarray, slack: float) -> None:
    """Check that every value is on its side of its bound up to ``slack``, and show the tightest pair."""
    slack = _tolerance(claim, "slack", slack)
    if not values.size:
        _report(claim, False, "there are no numbers to compare", None)
    with np.errstate(invalid="ignore", over="ignore"):  # ∞ − ∞: not a number, and the check fails
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
