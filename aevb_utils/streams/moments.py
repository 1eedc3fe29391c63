"""Mean and covariance of data in blocks, and few rows that stand for all of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from aevb_utils.distributed import group
from aevb_utils.streams.blocks import Stream


class Moments(NamedTuple):
    """How many rows there are, their mean, and their scatter."""

    rows: int  # N
    mean: Tensor  # x̄, (D,)
    root: Tensor  # R, (D, D): RᵀR = Σ (x_i − x̄)(x_i − x̄)ᵀ, upper triangular

    def stand_in(self) -> Tensor:
        """2 D rows with mean 0 and the covariance of the data, (2 D, D).

        The evidence of factor analysis, eq. (6.6), averaged over data, depends on these moments alone. So EM on these
        rows is EM on all data less their mean: ``run_em(model, moments(stream).stand_in())``.
        """
        rows = self.root * (len(self.root) / self.rows) ** 0.5
        return torch.cat([rows, -rows])


@torch.no_grad()
def moments(stream: Stream) -> Moments:
    """Mean and scatter of data in blocks, in two passes; the memory is that of a block, and of (D, D).

    The scatter is kept as a triangular factor, which a QR decomposition brings up to date with each block: no square is
    taken, so that no digits are lost.

    Raises:
        ValueError: there are no data, or they are no numbers.
    """
    counts, sums = [], []
    for block in stream:
        counts, sums = [sum(counts) + len(block)], [sum(sums) + block.sum(dim=0)]
    found = [each for each in group.from_all((counts, sums)) if each[0]]
    if not found:
        raise ValueError("There are no data: the source gave no block with a row.")
    N = sum(count for (count,), _ in found)
    mean = sum(total for _, (total,) in found) / N
    root = mean.new_zeros(len(mean), len(mean))
    for block in stream:
        root = _triangle(torch.cat([root, block - mean]))
    roots = group.from_all(root)
    return Moments(N, mean, _triangle(torch.cat(roots)) if len(roots) > 1 else root)


def _triangle(rows: Tensor) -> Tensor:
    """R of the QR decomposition, (D, D)."""
    return torch.linalg.qr(rows, mode="r").R
