"""``course.yml``, the one file that a professor edits, and the class list."""

import csv
import re
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
"""An id that may name a file."""


class SettingsError(ValueError):
    """A file of the course holds something that it should not; the message says where and what is expected."""


@dataclass(frozen=True)
class Settings:
    """What ``course.yml`` says. The file explains each line."""

    term: str
    salt: str
    secret: str
    plan: str
    start: str
    class_hours: str
    class_minutes: int
    lab_hour: str
    time_zone: str
    holidays: str
    late_percent_per_day: float
    id_column: str
    name_column: str
    tries_per_day: int


def load(path: Path) -> Settings:
    """Read ``course.yml``.

    Raises:
        SettingsError: a line is missing, unknown or of another kind.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    wanted = {field.name: field.type for field in fields(Settings)}
    if not isinstance(content, dict) or set(content) != set(wanted):
        keys = set(content) if isinstance(content, dict) else set()
        odd = sorted(map(str, keys ^ set(wanted)))
        raise SettingsError(f"{path} holds {', '.join(wanted)}, no more and no less; look at {', '.join(odd) or 'it'}.")
    for name, kind in wanted.items():
        content[name] = _of_kind(path, name, content[name], kind)
    settings = Settings(**content)
    if settings.salt == settings.secret:
        raise SettingsError(f"{path}: the secret is another word than the salt, which students see.")
    if not settings.tries_per_day > 0 or not 0 <= settings.late_percent_per_day <= 100:
        raise SettingsError(f"{path}: tries_per_day is at least 1, late_percent_per_day is from 0 to 100.")
    return settings


def _of_kind(path: Path, name: str, value: object, kind: object) -> object:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is str and not value.strip() and name != "holidays"):
        wanted = {str: "text", int: "a whole number", float: "a number"}[kind]
        raise SettingsError(f"{path}: {name} is {wanted}, and is {value!r}.")
    return value


@dataclass(frozen=True)
class Student:
    """One line of the class list.

    Attributes:
        id: what the student writes into the notebook, and results are kept under.
        name: the student's name, for the instructor alone.
        row: the whole line.
    """

    id: str
    name: str
    row: dict[str, str]


def read_roster(path: Path, settings: Settings) -> list[Student]:
    """Read a class list: a CSV file with the columns that ``course.yml`` names, such as Canvas's gradebook export.

    Raises:
        SettingsError: a column is missing, or an id is missing, odd or there twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise SettingsError(f"The class list {path} cannot be read: {error}.") from error
    for column in (settings.id_column, settings.name_column):
        if not rows or column not in rows[0]:
            found = ", ".join(rows[0]) if rows else "nothing"
            raise SettingsError(f"The class list {path} has no column {column!r} (course.yml names it), but {found}.")
    students: dict[str, Student] = {}
    for number, row in enumerate(rows, 2):
        name = (row[settings.name_column] or "").strip()
        student = (row[settings.id_column] or "").strip()
        if not student and (not name or name.startswith(("Points Possible", "Student, Test"))):
            continue  # Canvas's own lines
        if not STUDENT.fullmatch(student) or student in students:
            why = "is there twice" if student in students else "is no id (letters, digits and . _ @ + -)"
            raise SettingsError(f"The class list {path}, line {number}: {student!r} {why}.")
        students[student] = Student(student, name, {str(k): str(v or "") for k, v in row.items()})
    return list(students.values())
