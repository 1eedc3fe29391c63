"""The answers of a chapter: read from the file that ships with the package, and checked before they are used."""

import math
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from aevb_utils.results.json_files import BrokenFileError, read_object


@cache
def answers_of(chapter: int) -> dict[str, Any]:
    """The answers of one chapter by exercise, from ``answers/chapter_XX.json``; none if there is no such chapter.

    Raises:
        BrokenFileError: the file is no JSON, or it lacks a part of an answer.
    """
    file = resources.files("aevb_utils.checking") / "answers" / f"chapter_{chapter:02d}.json"
    if not file.is_file():
        return {}
    answers = read_object(file)
    for exercise, entry in answers.items():
        fault = fault_of(entry)
        if fault:
            raise BrokenFileError(f"{file} is broken at {exercise!r}: {fault}; put the file back as it was.")
    return answers


def fault_of(entry: Any) -> str | None:  # noqa: ANN401 (what JSON gave)
    """What an exercise's entry lacks, or has wrong; None if it is whole."""
    fault = _fault_of_answer(entry, {"answer", "hint", "misconceptions"})
    if fault:
        return fault
    if not isinstance(entry["misconceptions"], list):
        return "its misconceptions must be a list"
    for misconception in entry["misconceptions"]:
        fault = _fault_of_answer(misconception, {"answer", "hint"})
        if fault:
            return f"a misconception: {fault}"
        if _kind(misconception["answer"]) != _kind(entry["answer"]):
            return "a misconception is of another kind than the answer"
    return None


def _fault_of_answer(entry: Any, names: set[str]) -> str | None:  # noqa: ANN401
    """What an answer with a hint lacks, or has wrong."""
    if not isinstance(entry, dict) or set(entry) - {"atol"} != names:
        return f"it must have {', '.join(sorted(names))} and may have atol, nothing else"
    atol = entry.get("atol", 0.0)
    if not _is_number(atol) or atol < 0:
        return f"its atol must be a number of at least 0, not {atol!r}"
    if not isinstance(entry["hint"], str) or not entry["hint"].strip():
        return "its hint must be text"
    if _kind(entry["answer"]) is None:
        return f"its answer must be a finite number, a list of such, or a letter, not {entry['answer']!r:.60}"
    return None


def _kind(answer: Any) -> tuple[int, ...] | str | None:  # noqa: ANN401
    """The shape of an answer in numbers, or that it is text; None if it is neither."""
    if isinstance(answer, str):
        return "text" if answer.strip() else None
    if _is_number(answer):
        return ()
    if not isinstance(answer, list) or not answer:
        return None
    try:
        numbers = np.array(answer, dtype=object)
    except ValueError:  # lists of several lengths
        return None
    return numbers.shape if all(map(_is_number, numbers.flat)) else None


def _is_number(value: Any) -> bool:  # noqa: ANN401
    """Whether a value is a finite number, as float64 can hold it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
