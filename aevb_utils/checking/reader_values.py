"""What a reader gives as an answer, as numbers in float64."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch


class NoAnswerError(ValueError):
    """A value is of another kind than the answer; the message says so to the reader."""


def is_missing(value: Any) -> bool:  # noqa: ANN401 (an answer may be anything)
    """Whether the three dots of the stub are still there, alone or in a list."""
    return value is ... or (isinstance(value, list | tuple) and any(map(is_missing, value)))


def numbers_of(value: Any) -> tuple[npt.NDArray[np.float64], float]:  # noqa: ANN401
    """A reader's value in float64, and the relative error that rounding to its own format may have made.

    Raises:
        NoAnswerError: it does not hold real numbers.
    """
    if isinstance(value, list | tuple) and value:
        parts = [numbers_of(part) for part in value]
        if len({array.shape for array, _ in parts}) > 1:
            raise NoAnswerError("Its parts have different shapes: give one list of numbers.")
        return np.stack([array for array, _ in parts]), max(rounding for _, rounding in parts)
    if isinstance(value, torch.Tensor):
        rounding = torch.finfo(value.dtype).eps / 2 if value.is_floating_point() else 0.0
        kind = torch.complex128 if value.is_complex() else torch.float64
        try:
            array = value.detach().cpu().to_dense().to(kind).numpy()
        except (RuntimeError, NotImplementedError) as error:  # nested, or without numbers
            raise NoAnswerError(
                "The answer is made of numbers, and this tensor is no plain one: give its values."
            ) from error
    else:
        array = np.asarray(value)
        rounding = np.finfo(array.dtype).eps / 2 if array.dtype.kind == "f" else 0.0
    if array.dtype.kind == "c":
        raise NoAnswerError("It is a complex number: give its real part, as with .real, if that is the answer.")
    if np.ma.is_masked(value) or array.dtype.kind not in "biufOU" or any(item is None for item in array.ravel()):
        raise NoAnswerError(f"The answer is made of numbers, and this is {named(value)}.")
    try:
        return array.astype(np.float64), float(rounding)
    except (TypeError, ValueError, OverflowError) as error:
        raise NoAnswerError(f"The answer is made of numbers as float64 holds them: this is {named(value)}.") from error


def named(value: Any) -> str:  # noqa: ANN401
    """A value in a few words."""
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, int):
        return "a whole number beyond them" if abs(value) > 10**308 else f"the number {value}"
    return "None" if value is None else f"of the type {type(value).__name__}"
