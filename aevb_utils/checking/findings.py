"""What there is to say about a reader's answer: right, in another form, a known mistake, or which entries are right."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aevb_utils.checking.matching import FULL, Array, digits_right, distance, is_close
from aevb_utils.checking.reader_values import NoAnswerError, named, numbers_of

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
CARDINALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MOST_PERMUTED = 5  # entries whose order is tried out

Kind = Literal[
    "right", "rounded",
    "no answer", "length", "shape", "percentage",
    "misconception", "swapped", "sign", "close",
    "partly", "wrong",
]  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What a value is, and what to say about it; ``text`` may be empty."""

    kind: Kind
    text: str = ""

    @property
    def right(self) -> bool:
        """Whether the exercise is solved."""
        return self.kind in ("right", "rounded")

    @property
    def of_form(self) -> bool:
        """Whether the value only has another form than the answer, so that it is no try."""
        return self.kind in ("no answer", "length", "shape", "percentage")

    @property
    def recognized(self) -> bool:
        """Whether the text already says where to look."""
        return self.kind in ("misconception", "swapped", "sign", "close")


def find(value: Any, entry: dict[str, Any]) -> Finding:  # noqa: ANN401 (an answer may be anything)
    """What a reader's value is, compared with an exercise's entry in its file of answers.

    Of the answer, rounded, and the misconceptions, the nearest one counts. Each of them is met within its tolerance, or
    by rounding to at least two significant digits, see :func:`~aevb_utils.checking.matching.digits_right`.
    """
    if isinstance(entry["answer"], str):
        return _of_letter(value, entry)
    answer, parts = np.asarray(entry["answer"], dtype=np.float64), entry.get("parts", ())
    try:
        given, rounding = numbers_of(value)
    except NoAnswerError as error:
        return Finding("no answer", str(error))
    if answer.ndim == bool(parts) and given.size == answer.size and given.squeeze().shape == answer.shape:
        given = given.reshape(answer.shape)  # one number in an array is that number
    if given.size != answer.size:
        return Finding("length", _length(given, answer, parts))
    if not np.isfinite(given).all():
        message = "It holds NaN or infinity: look for a division by 0, or a logarithm of one, on the way."
        return Finding("no answer", message)
    if given.shape != answer.shape:
        return Finding("shape", _shape(given, answer, parts, entry.get("atol", 0.0), rounding))
    return _of_numbers(given, answer, rounding, entry)


def _of_letter(value: Any, entry: dict[str, Any]) -> Finding:  # noqa: ANN401
    """What a letter is that answers a multiple choice."""
    if not isinstance(value, str):
        return Finding("no answer", f"The answer is a letter in quotes, such as 'A', and this is {named(value)}.")
    letter = value.strip().lower()
    if letter == entry["answer"].lower():
        return Finding("right")
    hints = (m["hint"] for m in entry["misconceptions"] if m["answer"].lower() == letter)
    hint = next(hints, None)
    return Finding("wrong") if hint is None else Finding("misconception", hint)


def _of_numbers(given: Array, answer: Array, rounding: float, entry: dict[str, Any]) -> Finding:
    """What numbers are that have the answer's shape."""
    atol, parts = entry.get("atol", 0.0), entry.get("parts", ())

    def digits(numbers: Array) -> npt.NDArray[np.int64]:
        return digits_right(numbers, answer, atol=atol, rounding=rounding)

    right = digits(given)
    if (right == FULL).all():
        return Finding("right")
    known = _misconception(given, rounding, entry)
    if right.all() and (known is None or distance(given, answer) <= known[0]):
        return Finding("rounded", f"{_count(int(right.min()))} digits")
    by_entry = _by_entry(right > 0, parts)
    if known is not None:
        return Finding("misconception", f"{by_entry} {known[1]}".lstrip())
    if ((answer > 0) & (answer <= 1)).all() and digits(given / 100).all():
        text = "The digits are right, but it is a hundred times too large: give a plain number, not a percentage."
        return Finding("percentage", text)
    if any(digits(each).all() for each in _orders(given, parts)):
        two = given.shape[-1] == 2
        return Finding("swapped", f"The numbers are right, in {'the other' if two else 'another'} order.")
    if (digits(np.where(right > 0, given, -given)) > 0).all():
        return Finding("sign", _sign(right == 0, parts))
    if ((right > 0) | is_close(given, answer)).all():
        text = "Close, within 1 %, but not right in the digits given: was a number rounded on the way?"
        return Finding("close", text)
    if by_entry:
        return Finding("partly", by_entry)
    return Finding("wrong", f"None of the {_count(given.size)} is right yet." if given.shape else "")


def _misconception(given: Array, rounding: float, entry: dict[str, Any]) -> tuple[float, str] | None:
    """The nearest misconception that the numbers meet: how far it is, and its hint; None if they meet none."""
    met = []
    for misconception in entry["misconceptions"]:
        expected = np.asarray(misconception["answer"], dtype=np.float64)
        atol = misconception.get("atol", entry.get("atol", 0.0))
        if digits_right(given, expected, atol=atol, rounding=rounding).all():
            met.append((distance(given, expected), misconception["hint"]))
    return min(met, key=lambda each: each[0], default=None)


def _orders(given: Array, parts: Sequence[str]) -> Iterator[Array]:
    """The numbers in every order, at each point alike; none for what a function gives, one number a point."""
    if given.ndim > bool(parts) and given.shape[-1] <= MOST_PERMUTED:
        for order in itertools.permutations(range(given.shape[-1])):
            yield given[..., order]


# Words


def _count(n: int) -> str:
    return CARDINALS[n] if n < len(CARDINALS) else f"{n:,}"


def _numbers(n: int) -> str:
    return f"{_count(n)} number{'s' * (n != 1)}"


def _length(given: Array, answer: Array, parts: Sequence[str]) -> str:
    """That there are too many numbers, or too few."""
    each = "At each point " if parts and given.shape[:1] == answer.shape[:1] else ""
    wanted, got = (array[0].size if each else array.size for array in (answer, given))
    expected = f"{each}{_numbers(wanted)} {'is' if wanted == 1 else 'are'} expected"
    return (
        f"{expected[0].upper()}{expected[1:]}, and {_count(got) if got else 'none'} {'is' if got < 2 else 'are'} given."
    )


def _shape(given: Array, answer: Array, parts: Sequence[str], atol: float, rounding: float) -> str:
    """That the numbers are in another shape, and whether they are right."""
    each = bool(parts) and given.shape[:1] == answer.shape[:1]
    got, wanted = (array.shape[1:] if each else array.shape for array in (given, answer))
    forms = [given] if given.ndim < 2 else [given, given.swapaxes(-1, -2)]
    if any(digits_right(f.reshape(answer.shape), answer, atol=atol, rounding=rounding).all() for f in forms):
        return f"The numbers are right; the shape is {got}, not {wanted}."
    return f"The shape is {got}, and the answer has the shape {wanted}."


def _names(mask: npt.NDArray[np.bool_], names: Sequence[str]) -> str:
    """The names of the entries that are chosen, as in "the first and the third"."""
    *others, last = [name for name, chosen in zip(names, mask, strict=True) if chosen]
    return f"{', '.join(others)} and {last}" if others else last


def _by_entry(right: npt.NDArray[np.bool_], parts: Sequence[str]) -> str:
    """Which entries are right and which are not yet; nothing where none is, where all are, or where there is one."""
    if right.ndim > 1:  # a row for each point, or the same entry at all of them
        rows = right.reshape(len(right), -1).all(axis=1)
        right, parts = (rows, parts) if rows.any() else (right.reshape(-1, right.shape[-1]).all(axis=0), ())
    if not right.ndim or not right.any() or right.all():
        return ""
    if parts:
        return f"Right for {_names(right, parts)}, not yet for {_names(~right, parts)}."
    said = []
    for mask, end in ((right, "right"), (~right, "not yet")):
        said.append(f"{_names(mask, _ordinals(mask.size))} {'is' if mask.sum() == 1 else 'are'} {end}")
    return f"T{', '.join(said)[1:]}."


def _sign(wrong: npt.NDArray[np.bool_], parts: Sequence[str]) -> str:
    """Which signs are wrong."""
    if not wrong.ndim:
        return "The size is right, the sign is not."
    if wrong.all() or wrong.ndim > 1:
        return "The sizes are right, the signs are not."
    names = [f"that for {part}" for part in parts] or [f"that of {name}" for name in _ordinals(wrong.size)]
    return f"The sizes are right; the sign is not, {_names(wrong, names)}."


def _ordinals(n: int) -> list[str]:
    return [f"the {ORDINALS[k]}" if k < len(ORDINALS) else f"number {k + 1}" for k in range(n)]
