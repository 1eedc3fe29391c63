"""What an argument must be, said in one sentence where it is not."""

import operator
from typing import SupportsIndex

import numpy as np


def check_whole(name: str, value: SupportsIndex, least: int | None = None) -> int:
    """A whole number (an int, numpy's or torch's, but no float and no bool), if it is one, as an int.

    Raises:
        ValueError: it is not, or it is less than ``least``.
    """
    try:
        whole = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None:
        raise ValueError(f"{name} must be a whole number, not {value!r}.")
    if least is not None and whole < least:
        raise ValueError(f"{name} must be at least {least}, not {whole}.")
    return whole
