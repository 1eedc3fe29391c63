"""The answers of a chapter: read from the file that ships with the package, and checked before they are used."""

import math
from collections.abc import Set
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
    fault = _fault_of_answer(entry, ("question", "hint", "way"), lists={"misconceptions"}, optional={"parts"})
    if fault:
        return fault
    if not isinstance(entry["misconceptions"], list):
        return "its misconceptions must be a list"
    for misconception in entry["misconceptions"]:
        fault = _fault_of_answer(misconception, ("hint",))
        if fault:
            return f"a misconception: {fault}"
        if _kind(misconception["answer"]) != _kind(entry["answer"]):
            return "a misconception is of another kind than the answer"
    parts, kind = entry.get("parts", []), _kind(entry["answer"])
    if "parts" in entry and (not isinstance(parts, list) or not isinstance(kind, tuple) or kind[:1] != (len(parts),)):
        return "its parts must be a list of names, one for each entry of the answer"
    return None if all(map(_is_text, parts)) else "its parts must be text in one line"


def _fault_of_answer(
    entry: Any,  # noqa: ANN401
    texts: tuple[str, ...],
    *,
    lists: Set[str] = frozenset(),
    optional: Set[str] = frozenset(),
) -> str | None:
    """What an answer with its texts lacks, or has wrong."""
    if not isinstance(entry, dict):
        return f"it must be an object, not {entry!r:.60}"
    needed = {"answer", *texts} | lists
    allowed = {"atol"} | optional
    for name in sorted(set(entry) - needed - allowed):
        names = (", ".join(sorted(each)) for each in (needed, allowed))
        return f"it has {name!r:.60}, and must have {next(names)}, and may have {next(names)}"
    for name in sorted(needed - set(entry)):
        return f"it lacks its {name}"
    atol = entry.get("atol", 0.0)
    if not _is_number(atol) or atol < 0:
        return f"its atol must be a number of at least 0, not {atol!r:.60}"
    for name in texts:
        if not _is_text(entry[name]):
            return f"its {name} must be text in one line"
    if _kind(entry["answer"]) is None:
        return f"its answer must be a finite number, a list of such, or a letter, not {entry['answer']!r:.60}"
    return None


def _is_text(value: Any) -> bool:  # noqa: ANN401
    """Whether a value is a line of text that is not blank."""
    return isinstance(value, str) and bool(value.strip()) and len(value.splitlines()) == 1


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
