"""Data in blocks, read anew in every pass, from whatever holds them: arrays, files, or a function that draws them."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aevb_utils.distributed.team import team
from aevb_utils.evaluation.rows import Values, as_rows
from aevb_utils.inputs import check_count

BLOCK_NUMBERS = 2**20
"""How many numbers a block has at most, where it is cut here: 8 MB in float64."""

Source = Values | str | Path | Iterable[Values] | Callable[[], Iterable[Values]]
"""An array, also one that is mapped from a file; a ``.npy`` or ``.parquet`` file; a collection of blocks, or a function
that begins to give them anew."""

Part = Callable[[], Iterable[Values]]
"""Reads a part of the data, in one block or in several."""


class Stream:
    """Data of shape (N, D) in blocks of rows, in float64; each pass reads them anew, and holds one block at a time.

    Of several processes (``torchrun``), each reads every W-th block, and of a Parquet file every W-th row group. All
    must be given the same source, and the blocks in the same order.

    Args:
        source: an array or a tensor, also ``np.load(path, mmap_mode="r")``; the path of a ``.npy`` file, or of a
            ``.parquet`` file (it needs pyarrow), whose columns are numbers; a list of blocks; or a function without
            arguments that returns an iterable of blocks, the same ones in every call.

    Raises:
        ValueError: it is none of these, or an iterator, which gives its blocks only once.
    """

    def __init__(self, source: Source) -> None:
        self._parts = _parts_of(source)

    def __iter__(self) -> Iterator[Tensor]:
        """This process's blocks, (rows, D) each.

        Raises:
            ValueError: a block is no table of finite numbers, or has other columns than the one before.
        """
        for _, block in self.numbered():
            yield block

    def numbered(self) -> Iterator[tuple[int, Tensor]]:
        """This process's blocks, each with the number of the part of the source that it is of."""
        crew, columns = team(), None
        for number, part in enumerate(self._parts()):
            if number % crew.size == crew.rank:
                for values in part():
                    if len(values):
                        block = _checked(values, number, columns)
                        columns = block.shape[1]
                        yield number, block


def _checked(values: Values, number: int, columns: int | None) -> Tensor:
    """A block in float64, if it is one.

    Raises:
        ValueError: it is no table of finite numbers, or has other columns than the one before.
    """
    (block,) = as_rows((values,), f"block {number}", torch.float64)
    if block.ndim != 2 or block.shape[1] not in (columns or block.shape[1],) or block.shape[1] == 0:
        expected = "(rows, D)" if columns is None else f"(rows, {columns})"
        raise ValueError(
            f"Expected blocks of shape {expected}, a row a datum, but block {number} is {tuple(block.shape)}."
        )
    block = block.cpu().double()
    if not block.isfinite().all():
        row, column = (~block.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"Data must be finite, but row {row}, column {column} of block {number} holds {block[row, column].item()}: "
            "drop or fill in such rows first."
        )
    return block


def _parts_of(source: Source) -> Callable[[], Iterator[Part]]:
    """A function that gives the parts of a source, in order, without reading them."""
    if isinstance(source, str | Path):
        return _of_file(Path(source))
    if hasattr(source, "__array__"):  # also a tensor
        return partial(_slices, source)
    if isinstance(source, Iterator) or not (callable(source) or isinstance(source, Iterable)):
        raise ValueError(
            "EM reads the data once an iteration, so give an array, a file, a list of blocks, or a function that "
            f"returns the blocks anew, not a {type(source).__name__}."
        )
    return partial(_of_blocks, source)


def _slices(array: Values) -> Iterator[Part]:
    """Rows of an array, which are copied when they are read: of a mapped file, no more is in memory."""
    shape = tuple(array.shape)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"Expected data of shape (N, D), a row a datum, not {shape}.")
    rows = max(1, BLOCK_NUMBERS // shape[1])
    for begin in range(0, shape[0], rows):
        yield partial(_slice, array, begin, begin + rows)


def _slice(array: Values, begin: int, end: int) -> Iterable[Values]:
    """One block of an array."""
    return [array[begin:end] if isinstance(array, Tensor) else np.array(array[begin:end])]


def _of_blocks(source: Iterable[Values] | Callable[[], Iterable[Values]]) -> Iterator[Part]:
    """The blocks of a collection, or of a function."""
    for block in source() if callable(source) else source:
        yield partial(list, (block,))


def _of_file(path: Path) -> Callable[[], Iterator[Part]]:
    """The parts of a file.

    Raises:
        ValueError: there is no such file, or it is of another kind.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path} to read.")
    if path.suffix == ".npy":
        return partial(_slices, np.load(path, mmap_mode="r"))
    if path.suffix == ".parquet":
        return partial(_row_groups, path)
    raise ValueError(f"{path} is neither a .npy nor a .parquet file: give a function that returns its blocks.")


def _row_groups(path: Path) -> Iterator[Part]:
    """The row groups of a Parquet file, each in blocks."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ValueError(f"{path} needs pyarrow to be read: pip install pyarrow.") from error
    with ParquetFile(path) as file:
        groups, columns = file.num_row_groups, check_count("The number of columns", len(file.schema_arrow))
    for group in range(groups):
        yield partial(_row_group, path, group, max(1, BLOCK_NUMBERS // columns))


def _row_group(path: Path, group: int, rows: int) -> Iterator[Values]:
    """The blocks of one row group."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows, row_groups=[group]):
            columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            yield np.stack(columns, axis=1) if len(batch) else np.empty((0, len(columns)))
