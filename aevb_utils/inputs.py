"""What the book's models ask of the numbers that they are given, each in one sentence."""

import math
import operator
import warnings
from collections.abc import Collection
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor


def check_count(name: str, value: SupportsIndex, least: int | None = 1) -> int:
    """A whole number (an int, numpy's or torch's, but no float and no bool) of at least ``least``, as an int.

    Raises:
        ValueError: it is none; the message says which number was expected, and what came.
    """
    try:
        count = None if _is_bool(value) else operator.index(value)
    except (TypeError, RuntimeError):  # RuntimeError: a tensor of several numbers
        count = None
    if count is None or (least is not None and count < least):
        bound = "" if least is None else f" of at least {least}"
        raise ValueError(f"{name} must be a whole number{bound}, not {value!r}.")
    return count


def _is_bool(value: object) -> bool:
    """Whether a value is True or False, in Python, numpy or torch."""
    return isinstance(value, bool | np.bool_) or (isinstance(value, Tensor) and value.dtype == torch.bool)


def check_sizes(**sizes: int) -> None:
    """Refuse a model with a dimension that is not a whole number of at least 1; each size by its name."""
    for name, value in sizes.items():
        check_count(name, value)


def check_choice(name: str, value: str, choices: Collection[str]) -> str:
    """Return the value, or say which ones there are.

    Raises:
        ValueError: it is none of them.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def check_finite(x: Tensor, name: str = "x", seen: Tensor | None = None) -> None:
    """Refuse NaN and infinity, and say where the first one stands.

    Args:
        x: data, (N, …).
        name: what the message calls them.
        seen: where values count, of the shape of x; by default everywhere.

    Raises:
        ValueError: it names the row, and the place in it.
    """
    bad = ~x.isfinite() if seen is None else ~x.isfinite() & seen
    if bad.any():
        row, *place = bad.nonzero()[0].tolist()
        names = ("column",) if len(place) == 1 else ("step", "column")
        where = "".join(f", {what} {index}" for what, index in zip(names, place, strict=False))
        value = x[(row, *place)].item()
        raise ValueError(f"{name} must be finite, but row {row}{where} holds {value}: drop or fill in such rows.")


def as_mask(mask: Tensor, x: Tensor) -> Tensor:
    """A mask of x as booleans, from booleans or from zeros and ones of any type.

    Raises:
        ValueError: another shape than x's, or other values than 0 and 1.
    """
    expected = f"Expected a mask of zeros and ones of shape {tuple(x.shape)}"
    if mask.shape != x.shape:
        raise ValueError(f"{expected}, but its shape is {tuple(mask.shape)}.")
    wrong = (mask != 0) & (mask != 1)
    if wrong.any():
        raise ValueError(f"{expected}, 1 where x is observed, but it holds {mask[wrong][0].item()}.")
    return mask.bool()


def check_variances(x: Tensor, **variances: Tensor | float) -> None:
    """Refuse variances of series, (batch, T), that are negative, or not one number or one a series; each by its name.

    Raises:
        ValueError: it says which.
    """
    for name, value in variances.items():
        value = torch.as_tensor(value)
        if value.ndim > 1 or value.numel() not in (1, len(x)):
            raise ValueError(f"{name} must be one number, or one a series, {len(x)}, not {tuple(value.shape)}.")
        if not (value >= 0).all():
            raise ValueError(f"{name} must be a variance, at least 0, not {value.min().item()}.")


def as_indices(name: str, values: Tensor, x: Tensor, *, least: int = 0, most: int | None = None) -> Tensor:
    """Whole numbers, one for each row of x, (batch,), on its device.

    Raises:
        ValueError: another shape, other numbers, or one outside what makes sense.
    """
    values = torch.as_tensor(values, device=x.device)
    whole = not values.is_floating_point() and values.dtype != torch.bool
    if values.shape != x.shape[:1] or not whole or values.min() < least or (most is not None and values.max() > most):
        upwards = "" if most is None else f" to {most}"
        raise ValueError(f"Expected {len(x)} {name}, one a row, whole numbers from {least}{upwards}.")
    return values


def check_shape(x: Tensor, expected: torch.Size) -> None:
    """Refuse data of another shape than a distribution's, which would broadcast.

    Raises:
        ValueError: it says both shapes.
    """
    if x.shape != expected:
        raise ValueError(f"Expected x of shape {tuple(expected)}, a row a datum, not {tuple(x.shape)}.")


def check_series(x: Tensor, T: int | None = None) -> None:
    """Refuse what is not one series a row.

    Raises:
        ValueError: x is not (batch, T), or has no step.
    """
    if x.ndim != 2 or x.shape[1] == 0 or (T is not None and x.shape[1] != T):
        steps, cure = "T" if T is None else T, ": for a single series pass x[None]" if x.ndim == 1 else ""
        raise ValueError(f"Expected series of shape (batch, {steps}), a row each, not {tuple(x.shape)}{cure}.")


def check_centered(x: Tensor) -> None:
    """Warn where data, (N, D), are not what a model without a mean takes.

    Warns:
        UserWarning: a column's mean is not 0, by more than 6 of its standard errors.
    """
    deviation, mean = x.std(dim=0, correction=0), x.mean(dim=0)
    off = mean.abs() * len(x) ** 0.5 > 6 * deviation
    if off.any():
        column = off.nonzero()[0].item()
        message = (
            f"The data are not centered: column {column} has mean {mean[column]:.4g} and standard deviation "
            f"{deviation[column]:.4g}; pass x - x.mean(dim=0)."
        )
        warnings.warn(message, stacklevel=4)


def check_floor(floor: float, variances: Tensor | None = None) -> None:
    """Refuse a floor under variances that is none, or that leaves one at 0; warn of one that the data will feel.

    Args:
        floor: in the data's unit, squared.
        variances: of the data, for which it is meant.

    Raises:
        ValueError: it is not a number of at least 0, or is 0 with a variance of 0.

    Warns:
        UserWarning: it exceeds 1 % of a variance.
    """
    if not 0 <= floor < math.inf:
        raise ValueError(f"The floor must be a number of at least 0, not {floor}.")
    if variances is None:
        return
    least = variances.min()
    if least == floor == 0:
        raise ValueError("A column of the data does not vary: drop it, or give the model a floor above 0.")
    if floor > 0.01 * least:
        message = (
            f"The floor under the noise variances, {floor:.4g}, exceeds 1 % of a variance of the data, {least:.4g}: "
            "standardize them, or lower the floor."
        )
        warnings.warn(message, stacklevel=4)


def precise(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in float64, on the CPU, since not every device has that type."""
    return tuple(tensor.cpu().to(torch.float64) for tensor in tensors)
