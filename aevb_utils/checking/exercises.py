"""Answers to the exercises: right, not yet with a hint, or not answered."""

import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from aevb_utils.checking.checks import as_array


def check_answer(exercise: str, value: Any) -> None:  # noqa: ANN401 (an answer may be anything)
    """Say whether ``value`` answers the exercise, with a hint aimed at the likely misconception.

    Args:
        exercise: the exercise's number, ``"2.3"`` is chapter 2's third.
        value: a number, an array, or for a multiple choice its letter; ``...`` counts as not answered yet.

    Raises:
        ValueError: there is no such exercise.
    """
    entry = _answers(exercise.split(".")[0]).get(exercise)
    if entry is None:
        raise ValueError(f"There is no exercise {exercise!r}; the number stands in the exercise's title.")
    if value is ...:
        print(f"· exercise {exercise}: not answered yet. Put your answer in place of the three dots.")
    elif _matches(value, entry["answer"], entry.get("atol", 0.0)):
        print(f"✓ exercise {exercise}: right.")
    else:
        known = (
            m for m in entry["misconceptions"] if _matches(value, m["answer"], m.get("atol", entry.get("atol", 0.0)))
        )
        hint = next(known, {"hint": entry["hint"]})["hint"]
        print(f"✗ exercise {exercise}: not yet. {hint}")


@cache
def _answers(chapter: str) -> dict[str, Any]:
    """The answers of one chapter, from ``answers/chapter_XX.json``."""
    file = resources.files("aevb_utils.checking") / "answers" / f"chapter_{chapter.zfill(2)}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _matches(value: Any, answer: Any, atol: float) -> bool:  # noqa: ANN401
    """Whether a reader's value is the answer: text by its letters, numbers within ``atol``."""
    if isinstance(answer, str):
        return isinstance(value, str) and value.strip().lower() == answer.lower()
    try:
        given = as_array(value)
    except (TypeError, ValueError):
        return False
    wanted = np.asarray(answer, dtype=float)
    if wanted.ndim == 0 and given.size == 1:
        given = given.reshape(())  # one number in an array is that number
    return given.shape == wanted.shape and bool(np.all(np.abs(given - wanted) <= atol))
