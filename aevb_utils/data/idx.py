"""The IDX format, in which MNIST is published: a short header that gives the shape, then one byte a number."""

import math

import torch
from torch import Tensor

from aevb_utils.data.download import DataError

_UNSIGNED_BYTES = 0x08  # the format has other types of numbers too; MNIST needs none of them


def parse_idx(content: bytes, name: str, shape: tuple[int, ...]) -> Tensor:
    """Read an IDX file of unsigned bytes whose shape is known.

    The file begins with its magic number: two zero bytes, the type of its numbers (8: unsigned bytes) and how many
    dimensions there are. The size of each dimension follows, four bytes each, the highest first; then the numbers, the
    last dimension running fastest.

    Args:
        content: the file, decompressed.
        name: what to call it in an error.
        shape: the sizes that it must have.

    Returns:
        The numbers, uint8, in the given shape.

    Raises:
        DataError: the magic number or a size is another one, bytes are missing, or there are bytes to spare.
    """
    header = 4 + 4 * len(shape)
    magic = bytes((0, 0, _UNSIGNED_BYTES, len(shape)))
    if content[:4] != magic:
        raise DataError(
            f"{name} should begin with the magic number {magic.hex()} (unsigned bytes in {len(shape)} dimensions), "
            f"but begins with {content[:4].hex() or 'nothing'}; get a fresh copy of the file."
        )
    if len(content) < header:
        raise DataError(
            f"{name} should begin with a header of {header} bytes, but has only {len(content)} bytes; "
            "get a fresh copy of the file."
        )
    sizes = tuple(int.from_bytes(content[start : start + 4], "big") for start in range(4, header, 4))
    if sizes != shape:
        raise DataError(f"{name} should hold {_times(shape)} numbers, but its header says {_times(sizes)}.")
    missing = header + math.prod(shape) - len(content)
    if missing:
        what = f"ends {missing:,} bytes too early" if missing > 0 else f"has {-missing:,} bytes to spare"
        raise DataError(f"{name} should hold {_times(shape)} numbers, but {what}; get a fresh copy of the file.")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header).reshape(shape)


def _times(sizes: tuple[int, ...]) -> str:
    """A shape in words: 60,000 × 28 × 28."""
    return " × ".join(f"{size:,}" for size in sizes)
