"""A plan of weeks, as the files in ``syllabi`` say it, and the hours that each of its weeks takes."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Any

import yaml

from course.engine.settings import SettingsError

READING = re.compile(r"\*\*Reading:\*\* about (\d+) minutes")
QUIZ_MINUTES = 15
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Week:
    """A week of a plan, as the files in ``syllabi`` say it.

    Attributes:
        classes: what each class is about.
        read: chapters.
        part: which part of them this week, or a list with one for each of them.
        lab: what the lab is about; empty for none.
        out: assignments given out.
        due: assignments due at its end.
        choice: how many of those a student does; 0 for all.
        quiz: the number of the quiz with which its first class begins; 0 for none.
        alone: quizzes that students do for themselves.
        exam: what is examined.
        exam_on: when: in ``class 2``, in the ``lab``, or at some time of the ``week``.
        project: hours of work on the project.
        milestone: what of the project is due, or held.
        milestone_on: when: at the ``end`` of the week or of a day of it (``Wed``), in ``class 2``, or in the ``lab``.
        review: what of the project is due after that, such as a review of what others handed in.
        review_on: at the ``end`` of which day, or of the week.
    """

    classes: list[str]
    read: list[int] = field(default_factory=list)
    part: float | list[float] = 1.0
    lab: str = ""
    out: list[str] = field(default_factory=list)
    due: list[str] = field(default_factory=list)
    choice: int = 0
    quiz: int = 0
    alone: list[int] = field(default_factory=list)
    exam: str = ""
    exam_on: str = "week"
    project: float = 0.0
    milestone: str = ""
    milestone_on: str = "end"
    review: str = ""
    review_on: str = "end"

    @property
    def parts(self) -> dict[int, float]:
        """Which part of each chapter is read this week."""
        shares = self.part if isinstance(self.part, list) else [self.part] * len(self.read)
        return dict(zip(self.read, shares, strict=True))


@dataclass(frozen=True)
class Plan:
    """The weeks of a term.

    Attributes:
        title: of the course.
        classes: how many there are a week.
        lab_minutes: the length of a lab.
        hours: how many hours each assignment takes, an estimate.
        weeks: in their order.
    """

    title: str
    classes: int
    lab_minutes: int
    hours: dict[str, float]
    weeks: list[Week]


def load(path: Path) -> Plan:
    """Read a plan.

    Raises:
        SettingsError: the file holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        weeks = [Week(**week) for week in content.pop("weeks")]
        plan = Plan(**content, weeks=weeks)
    except FileNotFoundError as error:
        there = ", ".join(sorted(each.stem for each in path.parent.glob("*.yml")))
        raise SettingsError(f"There is no plan {path.stem!r} (course.yml names it); there are {there}.") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise SettingsError(f"{path.name} is no plan: {error}.") from error
    _kinds(path.name, plan)
    for number, week in enumerate(plan.weeks, 1):
        _kinds(f"{path.name}, week {number}", week)
    given: set[str] = set()
    for number, week in enumerate(plan.weeks, 1):
        if week.classes and len(week.classes) != plan.classes:
            raise SettingsError(
                f"{path.name}, week {number}: {plan.classes} classes, and {len(week.classes)} are named."
            )
        if isinstance(week.part, list) and len(week.part) != len(week.read):
            raise SettingsError(f"{path.name}, week {number}: part is one number, or one for each chapter of read.")
        _times(f"{path.name}, week {number}", week)
        _choice(f"{path.name}, week {number}", week)
        given |= set(week.out)
        if early := set(week.due) - given:
            raise SettingsError(f"{path.name}, week {number}: {min(early)} is due and has not been given out.")
        if unknown := set(week.out) - set(plan.hours):
            raise SettingsError(f"{path.name}, week {number}: how many hours does {min(unknown)} take?")
        given -= set(week.due)
    if given:
        raise SettingsError(f"{path.name}: {min(given)} is given out and never due.")
    return plan


KINDS: dict[object, tuple[str, Callable[[Any], bool]]] = {
    str: ("text", lambda value: type(value) is str),
    int: ("a whole number from 0", lambda value: type(value) is int and value >= 0),
    float: ("a number from 0", lambda value: type(value) in (int, float) and 0 <= value < inf),
    float | list[float]: (
        "a number from 0, or a list of them",
        lambda value: all(
            type(one) in (int, float) and 0 <= one < inf for one in (value if type(value) is list else [value])
        ),
    ),
    list[str]: ("a list of texts", lambda value: type(value) is list and all(type(one) is str for one in value)),
    list[int]: (
        "a list of whole numbers from 0",
        lambda value: type(value) is list and all(type(one) is int and one >= 0 for one in value),
    ),
    dict[str, float]: (
        "a number from 0 for each name",
        lambda value: (
            type(value) is dict and all(type(one) in (int, float) and 0 <= one < inf for one in value.values())
        ),
    ),
}
"""What a field of a plan is, by its type."""


def _kinds(where: str, part: Week | Plan) -> None:
    """Raise unless each field is of its type."""
    for each in fields(part):
        words, fits = KINDS.get(each.type, ("", lambda _: True))
        if not fits(getattr(part, each.name)):
            raise SettingsError(f"{where}: {each.name} is {words}, and is {getattr(part, each.name)!r}.")


def _times(where: str, week: Week) -> None:
    """Raise unless everything in the week has a time."""
    held = [f"class {number}" for number in range(1, len(week.classes) + 1)] + ["lab"] * bool(week.lab)
    for name, more in (("exam_on", ["week"]), ("milestone_on", ["end", *DAYS])):
        if getattr(week, name) not in held + more:
            raise SettingsError(f"{where}: {name} is one of {', '.join(held + more)}, and is {getattr(week, name)!r}.")
    if week.review_on not in ("end", *DAYS):
        raise SettingsError(f"{where}: review_on is one of end, {', '.join(DAYS)}, and is {week.review_on!r}.")
    if (week.out or week.quiz) and not week.classes:
        raise SettingsError(f"{where}: what is given out, or asked in a quiz, needs a class, and there is none.")


def _choice(where: str, week: Week) -> None:
    """Raise where a student would choose as many assignments as there are, or more, or of none."""
    for name, work in (("out", week.out), ("due", week.due)):
        if week.choice and (work or not week.out + week.due) and week.choice >= len(work):
            said = f"there are {len(work)} in {name}, and choice is {week.choice}"
            raise SettingsError(f"{where}: choice is 0, for all, or less than there are assignments: {said}.")


def reading_minutes(notebooks: Path) -> dict[int, int]:
    """How long each chapter says that reading it takes."""
    found = {}
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        text = "".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
        if minutes := READING.search(text):
            found[int(path.name[:2])] = int(minutes[1])
    return found


def workload(plan: Plan, reading: dict[int, int], class_minutes: int) -> list[float]:
    """The hours of each week: classes, lab, quiz, reading, assignments (spread evenly over their weeks) and project.

    Raises:
        SettingsError: the plan has a chapter read that does not say how long that takes.
    """
    totals = []
    for number, week in enumerate(plan.weeks, 1):
        if unknown := sorted(set(week.read) - set(reading)):
            raise SettingsError(
                f"{plan.title!r}, week {number}: chapter {unknown[0]} is to be read, and no notebook of that number "
                "says how long it takes (**Reading:** about 60 minutes)."
            )
    open_now: dict[str, float] = {}
    for index, week in enumerate(plan.weeks):
        for name in week.out:
            length = next(n for n, later in enumerate(plan.weeks[index:], 1) if name in later.due)
            share = week.choice / len(week.out) if week.choice else 1.0
            open_now[name] = share * plan.hours[name] / length
        minutes = len(week.classes) * class_minutes + plan.lab_minutes * bool(week.lab)
        minutes += sum(part * reading[chapter] for chapter, part in week.parts.items()) + QUIZ_MINUTES * bool(week.quiz)
        totals.append(minutes / 60 + sum(open_now.values()) + week.project)
        open_now = {name: hours for name, hours in open_now.items() if name not in week.due}
    return totals
