"""What ``check_model`` is given: each thing that makes no sense is one sentence, before any check."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aevb_utils.evaluation.contexts import names_of_context
from aevb_utils.evaluation.rows import check_rows

FORMATS = (torch.float32, torch.float64)


def check_arguments(model: nn.Module, x: Tensor, context: tuple[Tensor, ...]) -> None:
    """Say what is wrong with a model and its data, if anything is.

    Raises:
        TypeError: the model is no ``nn.Module``, x or its context is no tensor, or x has another number format than
            the model.
        ValueError: x or its context has no row, a NaN or an infinite value that no mask hides, or is on another
            device than the model; or they differ in rows.
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
    _check_finite(model, (x, *context))


def _check_format(model: nn.Module, x: Tensor) -> None:
    formats = [part.dtype for part in (*model.parameters(), *model.buffers()) if part.is_floating_point()]
    expected = formats[0] if formats else torch.get_default_dtype()
    if expected not in FORMATS:
        raise TypeError(f"The model is {expected}, too coarse to check: check a copy in float64, model.double().")
    if x.dtype not in FORMATS or (formats and x.dtype != expected):
        counts = "" if x.is_floating_point() else ", counts and labels too, since it goes through a network"
        raise TypeError(f"x is {x.dtype} and the model is {expected}: convert x, as by x.to({expected}){counts}.")


def _check_devices(model: nn.Module, parts: tuple[Tensor, ...]) -> None:
    home = next((part.device for part in (*model.parameters(), *model.buffers())), parts[0].device)
    away = next((part.device for part in parts if part.device != home), None)
    if away is not None:
        raise ValueError(
            f"The model is on {home}, and x or its context on {away}: move them, as by x.to({str(home)!r})."
        )


def _check_finite(model: nn.Module, parts: tuple[Tensor, ...]) -> None:
    """A NaN is refused where no part of the context, of the same shape, says by a 0 that it stands in a hole."""
    named = [f" {name!r}" for name in names_of_context(model)]
    names = ["x", *(f"The context{name}" for name in (named if len(named) == len(parts) - 1 else [""] * len(parts)))]
    for part, name in zip(parts, names, strict=False):
        bad = ~part.isfinite()
        for mask in (other for other in parts[1:] if other is not part and other.shape == part.shape):
            if bool(((mask == 0) | (mask == 1)).all()):
                bad &= mask != 0
        if bool(bad.any()):
            row, *column = bad.nonzero()[0].tolist()
            where = f"row {row}" + (f", column {', '.join(map(str, column))}" if column else "")
            raise ValueError(
                f"{name} is {part[(row, *column)].item()} in {where}: leave such rows out, or fill them, before the "
                "check, and tell the model by a mask what is missing."
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
