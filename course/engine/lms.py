"""Grades as the learning platforms read them."""

import csv
import io
import re
from collections.abc import Sequence

from course.engine.gradebook import Grade
from course.engine.settings import Settings

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Email address")


def canvas_heading(columns: Sequence[str], assignment: str, settings: Settings) -> tuple[str, bool]:
    """The heading of an assignment's column, and whether the class list has it.

    Args:
        columns: of the class list.
        assignment: such as ``a01``.
        settings: with ``canvas_column``.
    """
    name = settings.canvas_column.replace("{name}", assignment).replace("{number}", str(int(assignment[1:])))
    fits = re.compile(re.escape(name) + r"( \(\d+\))?", re.IGNORECASE)  # Canvas adds its own number
    found = next((column for column in columns if fits.fullmatch(column)), None)
    return (found, True) if found else (name, False)


def canvas(grades: Sequence[Grade], heading: str, most: float) -> str:
    """Canvas's gradebook, for its import: the columns that name a student as they were exported, and one more."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CANVAS, heading])
    writer.writerow(["    Points Possible", *[""] * (len(CANVAS) - 1), f"{most:g}"])
    for grade in grades:
        writer.writerow([*(grade.student.row.get(column, "") for column in CANVAS), _total(grade)])
    return text.getvalue()


def moodle(grades: Sequence[Grade], most: float) -> str:
    """Moodle's offline grading worksheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*MOODLE, "Grade", "Maximum Grade"])
    for grade in grades:
        row = {"Full name": grade.student.name} | grade.student.row
        writer.writerow([*(row.get(column, "") for column in MOODLE), _total(grade), f"{most:g}"])
    return text.getvalue()


def _total(grade: Grade) -> str:
    """A student's points; empty, which both platforms leave as it was, where something is open."""
    return "" if grade.total is None else f"{grade.total:g}"
