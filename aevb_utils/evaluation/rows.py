"""Tensors, arrays, tables and lists of numbers, as tensors with a row for each datum."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

Values = Tensor | ArrayLike
"""A tensor, a numpy array, a table of pandas, or a list of numbers or of rows of them."""
Rows = Values | tuple[Values, ...]
"""x, shape (N, …), or x and its context (labels, the datum's index), N rows each."""


def as_rows(
    rows: Rows, name: str, number_format: torch.dtype | None = None
) -> tuple[Tensor, ...]:
    """x, or x and its context, as tensors with the same number of rows.

    Each keeps its number format, but numbers of Python, which have none, take the model's;
    unsigned integers that torch hardly knows become int64, and numbers in foreign byte
    order those of this machine. A tensor is not copied.

    Args:
        rows: x, or a tuple of x and its context.
        name: what errors call them.
        number_format: that of the model; by default torch's.

    Raises:
        ValueError: they are no numbers, it is not clear what they are, or they differ in
            rows.
    """
    if isinstance(rows, list) and any(
        isinstance(entry, list | tuple) or getattr(entry, "ndim", 0) for entry in rows
    ):
        raise ValueError(
            f"{name} is a list, whose entries may be the rows of x, or x and its context: "
            f"give one tensor, by torch.tensor({name}) or torch.stack({name}), if they "
            "are rows, and the tuple (x, context) if they are not."
        )
    parts = rows if isinstance(rows, tuple) else (rows,)
    names = part_names(len(parts)) if isinstance(rows, tuple) else [name]
    tensors = tuple(
        _as_tensor(part, called, number_format)
        for part, called in zip(parts, names, strict=True)
    )
    check_rows(tensors, name)
    return tensors


def part_names(parts: int) -> list[str]:
    """What x and its context are called in errors."""
    several = [f"part {part} of the context" for part in range(1, parts)]
    return ["x", *(["the context"] if parts == 2 else several)][:parts]


def check_rows(parts: Sequence[Tensor], name: str) -> None:
    """Refuse tensors that do not have the same number of rows, at least one."""
    if any(part.ndim == 0 for part in parts):
        raise ValueError(
            f"{name} must have a row for each datum, not be a single number: x[None] "
            "makes one row of x."
        )
    lengths = [len(part) for part in parts]
    if not lengths or min(lengths) < 1 or len(set(lengths)) > 1:
        raise ValueError(
            f"{name} must be tensors with the same number of rows, at least one, but they "
            f"have {lengths}."
        )


def _as_tensor(values: Values, name: str, number_format: torch.dtype | None) -> Tensor:
    """Values as a tensor, on the device they are on."""
    if isinstance(values, Tensor):
        if values.layout != torch.strided or values.is_complex():
            raise ValueError(
                f"{name} is a sparse or complex tensor: convert it, as by "
                f"{name}.to_dense() or .real."
            )
        return values.detach()
    if hasattr(values, "__array__"):
        return _from_array(values, name)
    if isinstance(values, list | tuple | range):
        return _from_list(values, name, number_format)
    raise ValueError(
        f"{name} must be a tensor, an array, or a list of numbers, not a "
        f"{type(values).__name__}; x and its context together are a tuple."
    )


def _from_array(values: ArrayLike, name: str) -> Tensor:
    """A numpy array, or what can be made one, as a tensor."""
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name} is an array with {np.ma.count_masked(values)} masked entries, for "
            "which no number stands: leave these rows out, or fill them, as by "
            f"{name}.filled(0), and tell a model that takes a mask which they are."
        )
    array = np.asarray(
        np.ma.getdata(values) if isinstance(values, np.ma.MaskedArray) else values
    )
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} holds {array.dtype}, which are no real numbers, or not only: convert "
            f"it, as by {name}.astype(float), after what is missing or a word has been "
            "taken out."
        )
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        if array.size and array.max() > np.iinfo(np.int64).max:
            raise ValueError(
                f"{name} holds {array.dtype} that do not fit into int64: convert it, as "
                "to float64."
            )
        array = array.astype(np.int64)
    native = (
        np.float64
        if array.dtype.kind == "f" and array.dtype.itemsize > 8
        else array.dtype.newbyteorder("=")
    )
    return torch.from_numpy(np.require(array, native, ["C", "W"]))


def _from_list(
    values: Sequence[object], name: str, number_format: torch.dtype | None
) -> Tensor:
    """A list of numbers, or of rows, as a tensor on the CPU."""
    arrays = [
        value
        for value in values
        if hasattr(value, "__array__") and not isinstance(value, Tensor)
    ]
    try:
        if values and all(isinstance(value, Tensor) for value in values):
            return torch.stack([value.detach() for value in values])
        if arrays:
            array = (
                np.ma.stack
                if any(np.ma.is_masked(value) for value in arrays)
                else np.asarray
            )(values)
        else:
            tensor = torch.tensor(values, device="cpu")
            return (
                torch.tensor(values, dtype=number_format, device="cpu")
                if tensor.is_floating_point()
                else tensor
            )
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"{name} is a list, but no table of numbers: {str(error).splitlines()[0]}."
        ) from error
    return _from_array(array, name)
