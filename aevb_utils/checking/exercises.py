"""Answers to the exercises: right, not yet with a hint, or not answered."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from aevb_utils.checking.answers_file import answers_of
from aevb_utils.checking.console import say


def check_answer(exercise: str, value: Any) -> None:  # noqa: ANN401 (an answer may be anything)
    """Say whether ``value`` answers the exercise, with a hint aimed at the likely misconception.

    A number is right within the tolerance that the exercise sets, and within the rounding of its own format: 1.8 in
    bfloat16 is 1.796875, and right.

    Args:
        exercise: the exercise's number as text, ``"2.3"`` is chapter 2's third.
        value: a number, an array, or for a multiple choice its letter; ``...`` counts as not answered yet.

    Raises:
        ValueError: there is no such exercise, or its number is not text.
    """
    entry = _entry(exercise)
    if value is ...:
        say(f"· exercise {exercise}: not answered yet. Put your answer in place of the three dots.")
        return
    hint = _hint(value, entry)
    say(f"✓ exercise {exercise}: right." if hint is None else f"✗ exercise {exercise}: not yet. {hint}")


def _entry(exercise: str) -> dict[str, Any]:
    """What is known of an exercise."""
    if not isinstance(exercise, str):
        raise ValueError(f'An exercise is named by text, as in check_answer("2.3", …), not by {exercise!r:.60}.')
    parts = re.fullmatch(r"(\d{1,2})\.\d+", exercise, re.ASCII)
    entry = _answers(parts[1]).get(exercise) if parts else None
    if entry is None:
        raise ValueError(f"There is no exercise {exercise!r}; the number stands in the exercise's title.")
    return entry


def _answers(chapter: str) -> dict[str, Any]:
    """The answers of one chapter."""
    return answers_of(int(chapter))


def _hint(value: Any, entry: dict[str, Any]) -> str | None:  # noqa: ANN401
    """What to say about a wrong answer; None if it is right."""
    wanted = entry["answer"]
    try:
        matches = _matcher(value, wanted)
    except NoAnswerError as error:
        return str(error)
    if matches(wanted, entry.get("atol", 0.0)):
        return None
    misconceptions = ((m, m.get("atol", entry.get("atol", 0.0))) for m in entry["misconceptions"])
    return next((m["hint"] for m, atol in misconceptions if matches(m["answer"], atol)), entry["hint"])


class NoAnswerError(ValueError):
    """A value is of another kind than the answer; the message says so to the reader."""


def _matcher(value: Any, wanted: Any) -> Callable[[Any, float], bool]:  # noqa: ANN401
    """The function that tells whether a reader's value is an answer of the wanted kind, within a tolerance.

    Raises:
        NoAnswerError: the value is of another kind, or not finite.
    """
    if isinstance(wanted, str):
        if not isinstance(value, str):
            raise NoAnswerError(f"The answer is a letter in quotes, such as 'A', and this is {_named(value)}.")
        return lambda answer, _: value.strip().lower() == answer.lower()
    given, rounding = _numbers(value)
    shape = np.shape(wanted)
    if not shape and given.size == 1:
        given = given.reshape(())  # one number in an array is that number
    if given.shape != shape:
        needed = f"numbers of shape {shape}" if shape else "one number"
        raise NoAnswerError(f"The answer is {needed}, and this has the shape {given.shape}.")
    if not np.isfinite(given).all():
        raise NoAnswerError("It holds NaN or infinity: look for a division by 0, or a logarithm of one, on the way.")

    def matches(answer: Any, atol: float) -> bool:  # noqa: ANN401
        expected = np.asarray(answer, dtype=np.float64)
        return bool(np.all(np.abs(given - expected) <= atol + rounding * np.abs(expected)))

    return matches


def _numbers(value: Any) -> tuple[npt.NDArray[np.float64], float]:  # noqa: ANN401
    """A reader's value in float64, and the relative error that rounding to its own format may have made.

    Raises:
        NoAnswerError: it does not hold real numbers.
    """
    if isinstance(value, list | tuple) and value:
        parts = [_numbers(part) for part in value]
        if len({array.shape for array, _ in parts}) > 1:
            raise NoAnswerError("Its parts have different shapes: give one list of numbers.")
        return np.stack([array for array, _ in parts]), max(rounding for _, rounding in parts)
    if isinstance(value, torch.Tensor):
        rounding = torch.finfo(value.dtype).eps / 2 if value.is_floating_point() else 0.0
        kind = torch.complex128 if value.is_complex() else torch.float64
        array = value.detach().cpu().to_dense().to(kind).numpy()
    else:
        array = np.asarray(value)
        rounding = np.finfo(array.dtype).eps / 2 if array.dtype.kind == "f" else 0.0
    if array.dtype.kind == "c":
        raise NoAnswerError("It is a complex number: give its real part, as with .real, if that is the answer.")
    if np.ma.is_masked(value) or array.dtype.kind not in "biufOU" or None in array.ravel().tolist():
        raise NoAnswerError(f"The answer is made of numbers, and this is {_named(value)}.")
    try:
        return array.astype(np.float64), float(rounding)
    except (TypeError, ValueError, OverflowError) as error:
        raise NoAnswerError(f"The answer is made of numbers as float64 holds them: this is {_named(value)}.") from error


def _named(value: Any) -> str:  # noqa: ANN401
    """A value in a few words."""
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, int):
        return "a whole number beyond them" if abs(value) > 10**308 else f"the number {value}"
    return "None" if value is None else f"of the type {type(value).__name__}"
