"""Answers to the exercises: right, not yet with a question or a hint, or not answered."""

import re
from typing import Any

from aevb_utils.checking.answers_file import answers_of
from aevb_utils.checking.console import say
from aevb_utils.checking.findings import find
from aevb_utils.checking.reader_values import is_missing
from aevb_utils.checking.tries import forget, missed

WAYS_OUT = ("question", "hint", "way")
"""What a wrong answer gets that is not recognized: at the first try, at the second, and from the third on."""


def check_answer(exercise: str, value: Any) -> None:  # noqa: ANN401 (an answer may be anything)
    """Say whether ``value`` answers the exercise; if it does not, say what helps to go on.

    - A number is *right* within the tolerance that the exercise sets, and within the rounding of its own format: 1.8 in
      bfloat16 is 1.796875, and right.
    - It is *right to n digits* if it is the answer rounded to n significant digits, n ≥ 2, and no misconception of the
      exercise is nearer. Whole numbers are counts, and are not rounded.
    - Numbers in another shape, too few or too many of them, and a percentage are called what they are. None of these is
      a try.
    - A known misconception, numbers in another order, a wrong sign, and a number within 1 % are called what they are,
      too. Of a list it is said which entries are right.
    - Any other wrong answer gets a question at the first try, a hint at the second, and the way at the third. From the
      third on the way is told in any case. The same wrong value again is no new try; a right answer begins anew.

    Args:
        exercise: the exercise's number as text, ``"2.3"`` is chapter 2's third.
        value: a number, an array, or for a multiple choice its letter; ``...``, also in a list, counts as not answered.

    Raises:
        ValueError: there is no such exercise, or its number is not text.
    """
    entry = _entry(exercise)
    if is_missing(value):
        say(f"· exercise {exercise}: not answered yet. Put your answer in place of the three dots.")
        return
    finding = find(value, entry)
    if finding.right:
        forget(exercise)
        say(f"✓ exercise {exercise}: right{', to ' * bool(finding.text)}{finding.text}.")
        return
    said = [finding.text]
    if not finding.of_form:
        level = min(missed(exercise, value), len(WAYS_OUT))
        if level == len(WAYS_OUT) or not finding.recognized:
            said.append(entry[WAYS_OUT[level - 1]])
    say(f"✗ exercise {exercise}: not yet. {' '.join(filter(None, said))}")


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
