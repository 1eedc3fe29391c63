"""Which quiz a class's results are of, which question each column is, and what stands behind each answer."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from course.engine.quiz import Item, Quiz, Wrong
from course.engine.settings import SettingsError

LIKE = 0.7
"""How much a heading is like a question's text, at least: platforms drop formulas when they write a table."""
SHORTEST = 40
"""Characters of a heading that is taken for the beginning of a question."""


def recognized(items: Sequence[str], quizzes: Sequence[Quiz], named: str = "") -> list[Item | None]:
    """The question behind each column.

    Args:
        items: the columns' names: a question's text (Canvas), or ``Q1``, ``Q2`` … (Moodle), whose order is the quiz's.
        quizzes: all that there are.
        named: the quiz that these are the results of, such as ``q02``; without one it is found by the texts.

    Returns:
        None stands for a column that is no question of the quiz; for all of them where no quiz was found.

    Raises:
        SettingsError: there is no quiz of this name, it has another number of questions than numbered columns there
            are, or none of its questions is among the columns.
    """
    numbered = all(re.fullmatch(r"Q\d+", name) for name in items)
    if not named:
        found = [] if numbered else [_by_text(items, quiz) for quiz in quizzes]
        best = max(found, key=_known, default=[None] * len(items))
        return best if 2 * _known(best) > len(items) else [None] * len(items)
    chosen = {quiz.name: quiz for quiz in quizzes}.get(named)
    if chosen is None:
        there = ", ".join(quiz.name for quiz in quizzes)
        raise SettingsError(f"There is no quiz {named!r}; there are {there}.")
    if numbered:
        if len(chosen.items) != len(items):
            raise SettingsError(
                f"{named} has {len(chosen.items)} questions, and the file has {len(items)}: which quiz is it?"
            )
        return list(chosen.items)
    known = _by_text(items, chosen)
    if not _known(known):
        raise SettingsError(f"None of the columns is a question of {named}: {items[0][:60]!r} … is another quiz's.")
    return known


def _known(items: Sequence[Item | None]) -> int:
    return sum(item is not None for item in items)


def _by_text(names: Sequence[str], quiz: Quiz) -> list[Item | None]:
    """The question that each name is most like, each question once."""
    likeness = {
        (column, index): _likeness(_plain(name), item.stem)
        for column, name in enumerate(names)
        for index, item in enumerate(quiz.items)
    }
    found: list[Item | None] = [None] * len(names)
    taken: set[int] = set()
    for (column, index), ratio in sorted(likeness.items(), key=lambda each: -each[1]):
        if ratio >= LIKE and found[column] is None and index not in taken:
            found[column] = quiz.items[index]
            taken.add(index)
    return found


def _likeness(name: str, stem: str) -> float:
    """From 0 to 1; a name that has been cut is held against as much of the question."""
    forms = list(_forms(stem))
    forms += [form[: len(name)] for form in forms if len(name) >= SHORTEST]
    return max(SequenceMatcher(None, name, form, autojunk=False).ratio() for form in forms)


def _plain(text: str) -> str:
    """Letters and digits alone."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _forms(text: str) -> Iterator[str]:
    """A line of a quiz as a platform may write it: with its formulas' source, and without."""
    yield _plain(text)
    yield _plain(re.sub(r"\$[^$]+\$", " ", text))


def behind(item: Item, answer: str) -> tuple[bool, Wrong | None] | None:
    """Whether an answer is the right one, and the wrong one that it is; None where it is neither, or could be two."""
    known: list[tuple[str, Wrong | None]] = [(item.right, None), *((wrong.text, wrong) for wrong in item.wrong)]
    if item.numeric:
        try:
            value = float(answer.replace(",", "."))
        except ValueError:
            return None
        fits = [wrong for text, wrong in known if abs(value - float(text)) <= (item.tolerance or 0)]
    else:
        fits = [wrong for text, wrong in known if _plain(answer) in _forms(text)]
    return (fits[0] is None, fits[0]) if len(fits) == 1 else None
