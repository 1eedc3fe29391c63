"""Points as the learning platforms read them, with those that a person gave."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from course.engine.grade import Result
from course.engine.settings import Settings, SettingsError, Student, read_table

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Email address")


def read_hand(path: Path, rubric: Mapping[str, Any], students: Collection[str]) -> dict[str, dict[str, float]]:
    """What a person gave: a CSV file with ``id``, the criteria of the rubric, and, if wanted, ``days_late``.

    Args:
        path: of the file.
        rubric: of the assignment.
        students: the ids on the class list.

    Raises:
        SettingsError: it is no such table, points are no number from 0 to the criterion's, or an id is not on the class
            list or there twice.
    """
    most = {key: float(criterion["points"]) for key, criterion in rubric["criteria"].items()}
    columns, rows = read_table(path)
    if set(columns) - {"days_late"} != {"id", *most}:
        raise SettingsError(
            f"{path} has the columns id, {', '.join(most)} and, if wanted, days_late; it has {', '.join(columns)}."
        )
    found: dict[str, dict[str, float]] = {}
    for number, row in rows:
        student = row["id"].strip()
        if student not in students or student in found:
            why = "is there twice" if student in found else "is not on the class list"
            raise SettingsError(f"{path}, line {number}: {student!r} {why}.")
        given = {key: _points(path, number, key, row[key], top) for key, top in most.items()}
        days = _points(path, number, "days_late", row.get("days_late", ""), 1_000.0)
        found[student] = given | {"days_late": days}
    return found


def _points(path: Path, line: int, key: str, text: str, most: float) -> float:
    try:
        points = float(text.strip() or "0")
    except ValueError:
        points = -1.0
    if not 0 <= points <= most:
        raise SettingsError(f"{path}, line {line}: {key} is a number from 0 to {most:g}, and is {text!r}.")
    return points


def totals(
    results: Sequence[Result], hand: Mapping[str, Mapping[str, float]], students: Sequence[str], settings: Settings
) -> dict[str, float]:
    """The points of every student: code and hand together, less what comes off for days that are late.

    Who handed something in that could not be graded has none.
    """
    code = {result.student: result.score for result in results}
    open_ = {result.student for result in results if not result.graded}
    found = {}
    for student in students:
        if student in open_:
            continue
        given = dict(hand.get(student, {}))
        kept = max(0.0, 1 - given.pop("days_late", 0.0) * settings.late_percent_per_day / 100)
        found[student] = round((code.get(student, 0.0) + sum(given.values())) * kept, 2)
    return found


def canvas(students: Sequence[Student], points: Mapping[str, float], title: str, most: float) -> str:
    """Canvas's gradebook, for its import: the columns that name a student as they were exported, and one more."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CANVAS, title])
    writer.writerow(["    Points Possible", *[""] * (len(CANVAS) - 1), f"{most:g}"])
    for student in students:
        writer.writerow([*(student.row.get(column, "") for column in CANVAS), _of(student, points)])
    return text.getvalue()


def moodle(students: Sequence[Student], points: Mapping[str, float], most: float) -> str:
    """Moodle's offline grading worksheet; the feedback is the page of each student."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*MOODLE, "Grade", "Maximum Grade"])
    for student in students:
        row = {"Full name": student.name} | student.row
        writer.writerow([*(row.get(column, "") for column in MOODLE), _of(student, points), f"{most:g}"])
    return text.getvalue()


def _of(student: Student, points: Mapping[str, float]) -> str:
    """A student's points; empty, which both platforms leave as it was, where there are none."""
    return f"{points[student.id]:g}" if student.id in points else ""
