"""A quiz: a YAML file of items, each with an objective, a key, and a misconception behind every wrong answer."""

import hashlib
import random
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path

import yaml

from course.engine.settings import SettingsError

LETTERS = "abcdef"


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that people give.

    Attributes:
        text: the answer; of a numeric item its number.
        misconception: what somebody believes who gives it, as a key for the item analysis.
        feedback: what the person is told.
    """

    text: str
    misconception: str
    feedback: str


@dataclass(frozen=True)
class Item:
    """One question. Texts are one line of Markdown each, with formulas as ``$…$``.

    Attributes:
        key: its name, the same for all time.
        objective: what somebody can do who answers it.
        stem: the question.
        right: the right answer, a text or, where ``tolerance`` is given, a number.
        why: why it is right.
        wrong: at least three wrong answers of a choice; the known wrong numbers of a numeric item.
        tolerance: of a numeric item, in the units of its answer.
    """

    key: str
    objective: str
    stem: str
    right: str
    why: str
    wrong: tuple[Wrong, ...]
    tolerance: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether a number is asked for."""
        return self.tolerance is not None

    def options(self, version: str = "") -> list[tuple[str, Wrong | None]]:
        """The answers of a choice in the order of a version; None stands beside the right one."""
        options = [(self.right, None), *((wrong.text, wrong) for wrong in self.wrong)]
        seed = hashlib.sha256(f"{self.key}/{version}".encode()).digest()
        random.Random(seed).shuffle(options)
        return options


@dataclass(frozen=True)
class Quiz:
    """The items on a chapter."""

    name: str
    title: str
    chapter: int
    items: tuple[Item, ...]


def load(path: Path) -> Quiz:
    """Read a quiz.

    Raises:
        SettingsError: the file holds something else; the message says where.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    where = path.name
    _keys(where, content, {"title", "chapter", "items"})
    title, chapter = _text(f"{where}, title", content["title"]), content["chapter"]
    if type(chapter) is not int or not chapter > 0:
        raise SettingsError(f"{where}: chapter is the number of a chapter, and is {chapter!r}.")
    if not isinstance(content["items"], list) or not content["items"]:
        raise SettingsError(f"{where}: items is a list of questions.")
    items = tuple(_item(f"{where}, item {n}", one) for n, one in enumerate(content["items"], 1))
    twice = {item.key for item in items if [other.key for other in items].count(item.key) > 1}
    if twice:
        raise SettingsError(f"{where}: {min(twice)} is the key of two items.")
    return Quiz(path.stem, title, chapter, items)


def _keys(where: str, content: object, wanted: set[str], allowed: frozenset[str] = frozenset()) -> None:
    """Raise unless the content is a mapping with these keys."""
    found = set(content) if isinstance(content, dict) else set()
    if odd := (found ^ wanted) - allowed:
        wanted_too = f", and may hold {', '.join(sorted(allowed))}" if allowed else ""
        raise SettingsError(
            f"{where} holds {', '.join(sorted(wanted))}{wanted_too}; look at {', '.join(sorted(map(str, odd)))}."
        )


def _text(where: str, content: object) -> str:
    """A line of text.

    Raises:
        SettingsError: it is none, or its formulas do not end.
    """
    if isinstance(content, bool) or not isinstance(content, str | int | float) or not str(content).strip():
        raise SettingsError(f"{where} is a line of text, and is {content!r}.")
    line = " ".join(str(content).split())
    if line.count("$") % 2:
        raise SettingsError(f"{where} has a formula without an end: {line}")
    return line


def _item(where: str, content: object) -> Item:
    _keys(where, content, {"key", "objective", "stem", "right", "why", "wrong"}, frozenset({"tolerance"}))
    tolerance = content.get("tolerance")
    if "tolerance" in content and (type(tolerance) not in (int, float) or not 0 < tolerance < inf):
        raise SettingsError(f"{where}: tolerance is a positive number, and is {tolerance!r}.")
    if not isinstance(content["wrong"], list):
        raise SettingsError(f"{where}: wrong is a list.")
    wrong = []
    for number, one in enumerate(content["wrong"], 1):
        place = f"{where}, wrong answer {number}"
        _keys(place, one, {"text", "misconception", "feedback"})
        wrong.append(Wrong(*(_text(f"{place}, {key}", one[key]) for key in ("text", "misconception", "feedback"))))
    texts = {key: _text(f"{where}, {key}", content[key]) for key in ("key", "objective", "stem", "right", "why")}
    item = Item(**texts, wrong=tuple(wrong), tolerance=tolerance)
    if item.numeric:
        _numbers(where, item)
    elif not 3 <= len(wrong) < len(LETTERS):
        raise SettingsError(f"{where}: a choice has three to {len(LETTERS) - 1} wrong answers, and has {len(wrong)}.")
    answers = [item.right, *(one.text for one in wrong)]
    if len(set(answers)) < len(answers):
        raise SettingsError(f"{where}: two answers are the same.")
    return item


def _numbers(where: str, item: Item) -> None:
    """Raise unless the answers are numbers, and the wrong ones lie outside of the tolerance."""
    try:
        right, *wrong = (float(text) for text in (item.right, *(one.text for one in item.wrong)))
    except ValueError as error:
        raise SettingsError(f"{where}: with a tolerance, all answers are numbers ({error}).") from error
    if not all(map(isfinite, (right, *wrong))):
        raise SettingsError(f"{where}: with a tolerance, all answers are finite numbers.")
    if any(abs(one - right) <= 2 * (item.tolerance or 0) for one in wrong):
        raise SettingsError(f"{where}: wrong answers are more than two of the tolerances away from the right one.")
