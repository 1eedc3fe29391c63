"""Numbers as text, for the data of the figures that compute."""

import string
from base64 import b64encode
from typing import Any

import numpy as np

LETTERS = np.array([*string.ascii_uppercase, *string.ascii_lowercase, *string.digits, "+", "/"])
BASE = len(LETTERS)


def packed(values: np.ndarray) -> str:
    """The bytes of some numbers, in base64."""
    return b64encode(values.tobytes()).decode()


def packed_multiples(values: np.ndarray, step: float) -> dict[str, Any]:
    """Numbers as the nearest whole multiples of a step, in digits of base 64: the lowest digit of all numbers first.

    A letter is a digit, so that where a page is compressed, each digit takes as many bits as it tells.
    """
    whole = np.round(values / step).astype(np.int64)
    count = 1
    while whole.min() < -(BASE**count) // 2 or whole.max() >= BASE**count // 2:
        count += 1
    return {"step": step, "digits": ["".join(LETTERS[whole // BASE**k % BASE]) for k in range(count)]}


def unpacked_multiples(packed: dict[str, Any]) -> np.ndarray:
    """The numbers that :func:`packed_multiples` has packed, (count,), in float64."""
    value = {letter: k for k, letter in enumerate(LETTERS)}
    whole = sum(BASE**k * np.array([value[letter] for letter in plane]) for k, plane in enumerate(packed["digits"]))
    end = BASE ** len(packed["digits"])
    return np.where(whole < end // 2, whole, whole - end) * packed["step"]
