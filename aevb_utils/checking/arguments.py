"""What ``check_model`` is given: each thing that makes no sense is one sentence, before any check."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aevb_utils.evaluation.rows import check_rows

FORMATS = (torch.float32, torch.float64)


def check_arguments(model: nn.Module, x: Tensor, context: tuple[Tensor, ...]) -> None:
    """Say what is wrong with a model and its data, if anything is.

    Raises:
        TypeError: the model is no ``nn.Module``, x or its context is no tensor, or x has another number format than
            the model.
        ValueError: x has no row, a NaN or an infinite value that no mask hides, or it is on another device
            than the model; or its context has another number of rows.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"The model must be a torch.nn.Module, not a {type(model).__name__}.")
    if not all(isinstance(part, Tensor) for part in (x, *context)):
        raise TypeError("x and its context must be tensors: torch.as_tensor makes one of an array or a list.")
    if any(part.ndim == 0 for part in (x, *context)):
        raise ValueError("x and its context must have a row a datum, shape (batch, …), but one is a single number.")
    check_rows((x, *context), "x and its context")
    _check_format(model, x)
    _check_devices(model, (x, *context))
    _check_finite(x, context)


def _check_format(model: nn.Module, x: Tensor) -> None:
    formats = [part.dtype for part in (*model.parameters(), *model.buffers()) if part.is_floating_point()]
    expected = formats[0] if formats else torch.get_default_dtype()
    if expected not in FORMATS:
        raise TypeError(f"The model is {expected}, too coarse to check: check a copy in float64, model.double().")
    if x.dtype not in FORMATS or (formats and x.dtype != expected):
        raise TypeError(f"x is {x.dtype} and the model is {expected}: convert x, as by x.to({expected}).")


def _check_devices(model: nn.Module, parts: tuple[Tensor, ...]) -> None:
    home = next((part.device for part in (*model.parameters(), *model.buffers())), parts[0].device)
    away = next((part.device for part in parts if part.device != home), None)
    if away is not None:
        raise ValueError(
            f"The model is on {home}, and x or its context on {away}: move them, as by x.to({str(home)!r})."
        )


def _check_finite(x: Tensor, context: tuple[Tensor, ...]) -> None:
    """A NaN is refused where no context of x's shape says, by a 0, that it stands in a hole."""
    bad = ~x.isfinite()
    for mask in (part for part in context if part.shape == x.shape):
        if bool(((mask == 0) | (mask == 1)).all()):
            bad &= mask != 0
    if bool(bad.any()):
        row, *column = bad.nonzero()[0].tolist()
        where = f"row {row}" + (f", column {', '.join(map(str, column))}" if column else "")
        raise ValueError(
            f"x is {x[(row, *column)].item()} in {where}: leave such rows out, or fill them, before the check."
        )


@contextmanager
def arguments_validated() -> Iterator[None]:
    """Let torch.distributions look at supports and parameters in this block, whoever has switched that off."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(True)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)
