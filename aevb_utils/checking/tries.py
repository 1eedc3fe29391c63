"""How often a reader has tried an exercise: kept in the kernel, and forgotten with it."""

from typing import Any

from aevb_utils.checking.reader_values import numbers_of

_missed: dict[str, set[object]] = {}


def missed(exercise: str, value: Any) -> int:  # noqa: ANN401 (an answer may be anything)
    """Note a wrong value, and return how many different ones there have been; the same value again is no new try."""
    if isinstance(value, str):
        key: object = value.strip().lower()
    else:
        key = tuple(f"{number:.12g}" for number in numbers_of(value)[0].ravel())
    values = _missed.setdefault(exercise, set())
    values.add(key)
    return len(values)


def forget(exercise: str) -> None:
    """Begin an exercise anew, as after a right answer."""
    _missed.pop(exercise, None)
