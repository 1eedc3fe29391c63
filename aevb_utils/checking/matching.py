"""How near a reader's numbers are to an answer: right, right to fewer digits, close, or neither."""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FULL = 99
"""Stands for all digits that the exercise asks for: the number is within its tolerance."""
MOST_DIGITS = 12
CLOSE = 0.01  # relative


def digits_right(given: Array, answer: Array, *, atol: float, rounding: float) -> npt.NDArray[np.int64]:
    """To how many significant digits each number is right: ``FULL`` within the tolerance, 0 if it is not right.

    A number is right to n digits, n ≥ 2, if it is the answer rounded to n significant digits: 0.42 for 0.42310, and
    0.7 for 0.6997, since 0.70 is the same number. An answer that is a whole number is a count, and is not rounded.

    Args:
        given: the reader's numbers.
        answer: the answer, of the same shape.
        atol: the exercise's tolerance.
        rounding: the relative error that the format of the reader's numbers brings.
    """
    pairs = zip(given.ravel().tolist(), answer.ravel().tolist(), strict=True)
    digits = [_digits(value, expected, atol, rounding) for value, expected in pairs]
    return np.array(digits, dtype=np.int64).reshape(answer.shape)


def _digits(value: float, answer: float, atol: float, rounding: float) -> int:
    error, slack = abs(value - answer), rounding * abs(answer)
    if error <= atol + slack:
        return FULL
    if answer.is_integer() or error > abs(answer):
        return 0
    first = math.floor(math.log10(abs(answer)))
    for digits in range(MOST_DIGITS, 1, -1):
        unit = 10.0 ** (first + 1 - digits)
        allowed = slack + 1e-6 * unit
        if error <= unit / 2 + allowed and abs(value - unit * round(value / unit)) <= allowed:
            return digits
    return 0


def is_close(given: Array, answer: Array) -> npt.NDArray[np.bool_]:
    """Which numbers are within 1 % of an answer that is not a whole number."""
    return (answer != np.round(answer)) & (np.abs(given - answer) <= CLOSE * np.abs(answer))


def distance(given: Array, answer: Array) -> float:
    """The largest relative difference of two arrays of one shape."""
    scale = np.maximum(np.maximum(np.abs(given), np.abs(answer)), np.finfo(np.float64).tiny)
    return float(np.max(np.abs(given / scale - answer / scale)))
