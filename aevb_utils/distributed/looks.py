"""A look at a model before its rows are shared out: where its draws have them, and that shares give the same terms."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils import _pytree as tree

from aevb_utils.distributed.group import ProcessError
from aevb_utils.distributed.noise import NoiseError, Places, Recorder, RowNoise
from aevb_utils.evaluation.modes import modules_of, own_random_numbers

ROWS, FIRST = 33, 16
"""How many rows the model is tried on, and how many of them are the first share. (Torch draws 16 at a time.)"""


def look(model: object, method: str, parts: Sequence[Tensor], num_samples: int) -> Places:
    """Find where the rows are in what a model draws, and that it gives the same for shares of rows as for all.

    It is called on some rows, and on the same in two shares; buffers and generators are left as they were.

    Raises:
        ProcessError: what it gives for a row depends on the others, or is drawn so that it cannot be shared out.
    """
    samples, device = min(num_samples, 3), parts[0].device

    def call(rows: Tensor, mode: Recorder | RowNoise) -> dict[str, Tensor] | Tensor:
        with torch.no_grad(), own_random_numbers(device, 0), mode:
            return getattr(model, method)(*(part[rows] for part in parts), num_samples=samples)

    with _buffers_put_back(model):
        try:
            places, rows = _places(call, device), torch.arange(ROWS, device=device) % len(parts[0])
            whole = call(rows, Recorder())
            shares = [call(rows[:FIRST], RowNoise(places, 0, FIRST, ROWS))]
            shares += [call(rows[FIRST:], RowNoise(places, FIRST, ROWS - FIRST, ROWS))]
        except NoiseError as error:
            raise ProcessError(
                f"{method} of {type(model).__name__} cannot be shared out among processes by rows: {error}; train it "
                "in one process, or let it draw with one dimension that goes over the rows of the minibatch."
            ) from error
    together = tree.tree_map(lambda *each: torch.cat(each, dim=-1), *shares)
    for one, other in zip(tree.tree_leaves(whole), tree.tree_leaves(together), strict=True):
        if one.shape != other.shape or not torch.allclose(one, other, rtol=_near(one), atol=_near(one), equal_nan=True):
            raise ProcessError(
                f"{method} of {type(model).__name__} gives other values for the same rows in two shares than in one, "
                "so that several processes would take another step than one: a row's value must not depend on the rows "
                "beside it, and what is random must come from torch, uncompiled, with a number for each row."
            )
    return places


def _places(call: Callable[[Tensor, Recorder], object], device: torch.device) -> Places:
    """Where the rows are, from copies of one row, so that nothing else differs."""
    few, more = Recorder(), Recorder()
    call(torch.zeros(ROWS, dtype=torch.long, device=device), few)
    call(torch.zeros(ROWS + 1, dtype=torch.long, device=device), more)
    return Places(few, more, ROWS)


def _near(values: Tensor) -> float:
    """What rounding may make of it: products of other sizes are added up in another order."""
    return 1e-8 if values.dtype == torch.float64 else 1e-2 if values.dtype == torch.bfloat16 else 1e-3


@contextmanager
def _buffers_put_back(model: object) -> Iterator[None]:
    """Put every buffer back, such as a running mean."""
    buffers = [buffer for module in modules_of(model) for buffer in module.buffers()]
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, before in zip(buffers, kept, strict=True):
            buffer.copy_(before)
