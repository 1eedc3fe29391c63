"""The rows of a fingerprint, see :mod:`tools.fingerprint`, and how much two of them may differ.

Numbers that are float64 agree to 1e-9 relative, those that are float32 or come after float32 to 1e-4 (parameters to
1e-6, or a small change of an optimizer would pass), whole numbers and words exactly. A printed number keeps its form
(decimals, exponent) and its value, unless the last digit is one that rounding can move: one of at least seven in
float64, of at least two in float32, or a number that is rounding itself (up to 1e-10, in float32 1e-5). Pictures agree
to 2e-4 in what is left of them.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

Row = list[Any]
"""What it is about, the kind of its numbers (a key of ``TOLERANCES``), and words, numbers, and arrays, each array as a
list of its size, norm and projection."""

TOLERANCES = {
    "float64": (1e-9, 1e-12),
    "float32": (1e-4, 1e-6),
    "parameters, float64": (1e-9, 0.0),
    "parameters, float32": (1e-6, 0.0),
    "picture": (0.0, 2e-4),
    "text, float64": (1e-9, 1e-10),
    "text, float32": (1e-4, 1e-5),
}
"""Relative, to a number itself or, in float32, to the largest one of its row; and absolute."""

FLIPS = 1e-3
"""How much of a unit in the last printed digit the tolerance must be for that digit to be one that rounding moves."""
PRINTED = re.compile(r"[-+]?(\d[\d,]*)(?:\.(\d+))?(?:e([-+]?\d{1,3}))?")


def summary(value: Any) -> list[Any]:  # noqa: ANN401 (a check compares anything)
    """A value as numbers and words: an array as a list of its size, norm and projection; of a collection, each part."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.numpy() if value.dtype != torch.bfloat16 else value.float().numpy()
    if isinstance(value, bool | np.bool_ | str) or value is None or value is ...:
        return [str(value)]
    if isinstance(value, int | np.integer):
        return [int(value)]
    if isinstance(value, dict):
        return [part for name, each in value.items() for part in (str(name), *summary(each))]
    if isinstance(value, list | tuple) and not all(isinstance(each, int | float) for each in value):
        return [part for each in value for part in summary(each)]
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return [type(value).__name__]
    if array.size == 1:
        return [_number(array.item())]
    flat = array.ravel()
    projection = flat @ np.cos(np.arange(1, flat.size + 1) * 1.618)
    return [[flat.size, _number(float(np.linalg.norm(flat))), _number(float(projection))]]


def _number(value: float) -> float | str:
    """A number to 13 digits, ready for JSON."""
    return float(f"{value:.13g}") if math.isfinite(value) else str(value)


def figures_rows(figures: Any, place: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """The figures that an experiment returns, one by one, by their path; what says how long it took is left out."""
    if isinstance(figures, dict):
        for name, value in figures.items():
            if not re.search(r"minutes|seconds", str(name)):
                yield from figures_rows(value, f"{place}/{name}")
    elif isinstance(figures, list | tuple) and not all(isinstance(value, int | float) for value in figures):
        for number, value in enumerate(figures):
            yield from figures_rows(value, f"{place}/{number}")
    else:
        yield place, figures


def is_row(stored: object) -> bool:
    """Whether something stored has the form of a row."""
    match stored:
        case [str(), str(kind), *values] if kind.startswith("text"):
            return kind in TOLERANCES and all(isinstance(value, str) for value in values)
        case [str(), str(kind), *values]:
            return kind in TOLERANCES and all(_is_value(value) for value in values)
    return False


def _is_value(stored: object) -> bool:
    """Whether something stored is a word, a number or an array."""
    array = isinstance(stored, list) and len(stored) == 3
    return all(isinstance(each, int | float | str) for each in (stored if array else [stored]))


def differences(before: list[Row], after: list[Row]) -> list[str]:
    """What differs between two fingerprints, a line each; empty if they agree."""
    found = []
    old, new = ({row[0]: row[1:] for row in rows} for rows in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new or name not in old:
            found.append(f"{name}: {'was there, and is not any more' if name in old else 'is new'}")
        elif not _agree(old[name], new[name]):
            found.append(f"{name}: {_show(old[name])} → {_show(new[name])}")
    return found


def _agree(before: Row, after: Row) -> bool:
    """Whether two rows agree; where one of them is float32, as float32 does."""
    kind = min(before[0], after[0])  # float32 comes before float64
    if before[0].replace("64", "32") != after[0].replace("64", "32") or len(before) != len(after):
        return False
    if kind.startswith("text"):
        return before[1] == after[1] and all(same_print(a, b, kind) for a, b in zip(before[2:], after[2:], strict=True))
    largest = max((abs(n) for n in _floats([before[1:], after[1:]])), default=0.0)
    pairs = zip(before[1:], after[1:], strict=True)
    return all(_same_value(a, b, kind, largest) for a, b in pairs)


def _floats(values: Any) -> Iterator[float]:  # noqa: ANN401
    """The numbers in some values that are no counts."""
    for value in values:
        if isinstance(value, list):
            yield from _floats(value)
        elif isinstance(value, float):
            yield value


def _same_value(before: Any, after: Any, kind: str, largest: float) -> bool:  # noqa: ANN401
    """Whether two words, numbers or arrays agree, in rows whose largest number is given."""
    if isinstance(before, list) and isinstance(after, list):
        own = max((abs(n) for n in _floats([before, after])), default=0.0)
        return all(_close(a, b, kind, own, largest) for a, b in zip(before, after, strict=True))
    own = max((abs(n) for n in _floats([[before, after]])), default=0.0)
    return _close(before, after, kind, own, largest)


def _close(before: Any, after: Any, kind: str, own: float, largest: float) -> bool:  # noqa: ANN401
    """Whether two words or numbers agree."""
    if not (isinstance(before, float) and isinstance(after, float)):
        return type(before) is type(after) and before == after
    relative, absolute = TOLERANCES[kind]
    allowed = relative * (largest if kind == "float32" else own) + absolute * max(1.0, largest)
    return abs(before - after) <= (allowed if kind in ("float64", "float32") else relative * own + absolute)


def same_print(before: str, after: str, kind: str) -> bool:
    """Whether two printed numbers agree."""
    if before == after:
        return True
    one, two = PRINTED.fullmatch(before), PRINTED.fullmatch(after)
    if not one or not two or _form(one) != _form(two):
        return False
    a, b = (float(each.replace(",", "")) for each in (before, after))
    relative, noise = TOLERANCES[kind]
    largest = max(abs(a), abs(b))
    if math.isinf(largest):
        return False
    if largest <= noise:
        return True
    decimals, exponent, _ = _form(one)
    if not decimals and not exponent:
        return False  # a whole number
    unit = max(10.0 ** (int(each[3] or 0) - decimals) for each in (one, two))
    return relative * largest >= FLIPS * unit and abs(a - b) <= relative * largest + 1.01 * unit


def _form(number: re.Match[str]) -> tuple[int, bool, bool]:
    """How a number is printed: its decimals, whether it has an exponent, whether its thousands are set apart."""
    return len(number[2] or ""), number[3] is not None, "," in number[1]


def _show(row: Row) -> str:
    """A row's values for a reader, cut to a line."""
    text = ", ".join(f"{value:.10g}" if isinstance(value, float) else str(value) for value in row[1:])
    return text if len(text) < 100 else text[:97] + "…"
