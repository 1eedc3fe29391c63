"""``course.yml``, the one file that a professor edits, and the class list."""

import csv
import re
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
"""An id that may name a file."""
SHORTEST_SECRET = 12


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
    file_column: str
    name_column: str
    canvas_column: str
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
    if len(settings.secret) < SHORTEST_SECRET:
        raise SettingsError(f"{path}: the secret has at least {SHORTEST_SECRET} characters: nobody may guess it.")
    if not settings.tries_per_day > 0 or not settings.class_minutes > 0:
        raise SettingsError(f"{path}: tries_per_day and class_minutes are at least 1.")
    if not 0 <= settings.late_percent_per_day <= 100:
        raise SettingsError(f"{path}: late_percent_per_day is from 0 to 100.")
    return settings


def _of_kind(path: Path, name: str, value: object, kind: object) -> object:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is str and not value.strip() and name != "holidays"):
        wanted = {str: "text", int: "a whole number", float: "a number"}[kind]
        bare = kind is str and value is not None and type(value) is not str  # such as a day, which YAML reads as one
        said = f"{value}: put it between quotes" if bare else repr(value)
        raise SettingsError(f"{path}: {name} is {wanted}, and is {said}.")
    return value


@dataclass(frozen=True)
class Student:
    """One line of the class list.

    Attributes:
        id: what the student writes into the notebook, data are drawn from, and results are kept under.
        name: the student's name.
        row: the whole line.
        file_id: what the platform writes into the names of files; empty where files are called by ``id`` alone.
    """

    id: str
    name: str
    row: dict[str, str]
    file_id: str = ""

    @property
    def label(self) -> str:
        """The id and the name; the id alone where no class list gave a name."""
        return self.id if self.name == self.id else f"{self.id} ({self.name})"


def read_roster(path: Path, settings: Settings) -> list[Student]:
    """Read a class list: a CSV file with the columns that ``course.yml`` names, such as Canvas's gradebook export.

    A list without the column for files' names is one whose files are called by the ids. Canvas's line of points and its
    test student are left out.

    Raises:
        SettingsError: it is no table, lacks a column, names no student, or an id is missing, odd or there twice.
    """
    columns, rows = read_table(path)
    for column in (settings.id_column, settings.name_column):
        if column not in columns:
            raise SettingsError(
                f"The class list {path} has no column {column!r} (course.yml names it), but {', '.join(columns)}."
            )
    students: dict[str, Student] = {}
    taken: set[str] = set()
    for number, row in rows:
        name, student = row[settings.name_column].strip(), row[settings.id_column].strip()
        if name.startswith("Points Possible") or name == "Student, Test" or not name + student:
            continue  # Canvas's own lines
        file_id = row.get(settings.file_column, "").strip().removeprefix("Participant ")  # so does Moodle number them
        mine = {student, file_id} - {""}
        if not STUDENT.fullmatch(student) or mine & taken:
            why = "is there twice" if mine & taken else "is no id (letters, digits and . _ @ + -)"
            odd = student if not mine & taken else min(mine & taken)
            raise SettingsError(f"The class list {path}, line {number}: {odd!r} {why}.")
        taken |= mine
        students[student] = Student(student, name, row, file_id)
    if not students:
        raise SettingsError(f"The class list {path} names no student: below the headings a line for each is expected.")
    return list(students.values())


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a CSV file: its headings, and its lines, each with its number; cells that are missing at an end are empty.

    Raises:
        SettingsError: it cannot be read, is empty, has a heading twice, or a line has more cells than headings.
    """
    [(_, head), *lines] = read_lines(path)
    columns = [name.strip() for name in head]
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise SettingsError(f"{path}: {twice[0]!r} is the heading of two columns.")
    rows = []
    for number, line in lines:
        if any(cell.strip() for cell in line[len(columns) :]):
            raise SettingsError(f"{path}, line {number} has {len(line)} cells, and there are {len(columns)} headings.")
        cells = [*line, *[""] * (len(columns) - len(line))]
        rows.append((number, dict(zip(columns, cells, strict=False))))
    return columns, rows


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """The lines of a CSV file that hold anything, at least one, each with its number.

    Raises:
        SettingsError: it cannot be read, or is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, line) for line in reader if any(map(str.strip, line))]
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not in UTF-8: save it anew, as CSV UTF-8.") from error
    except (OSError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{path} cannot be read as a CSV file: {why}.") from error
    if not lines:
        raise SettingsError(f"{path} is empty: a CSV file with a line of headings is expected.")
    return lines
