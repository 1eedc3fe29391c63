"""A class's grades: code and hand together, what is open, and what an instructor should look at."""

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.engine.box import Rung
from course.engine.grade import Result
from course.engine.handed_in import HandedIn
from course.engine.settings import Settings, SettingsError, Student, read_table

DAYS = "days_late"
Given = dict[str, float | None]
"""What a person gave, by criterion, and the days; None for an empty cell."""


@dataclass(frozen=True)
class Grade:
    """One student's grade.

    Attributes:
        student: of the class list.
        result: of the code; None where nothing was handed in.
        given: the points by hand; None where a cell is empty.
        most: the points that there are to have by hand, by criterion.
        days_late: the days that came off; None where that is open.
        off: the share that comes off for them.
        total: of code and hand, less what comes off; None where something is open.
        notes: what an instructor should look at.
    """

    student: Student
    result: Result | None
    given: Given
    most: Mapping[str, float]
    days_late: float | None
    off: float
    total: float | None
    notes: tuple[str, ...]

    @property
    def code(self) -> float | None:
        """The points of the code; None where it was not graded."""
        return self.result.score if self.result and self.result.graded else None

    @property
    def note(self) -> str:
        """The notes in one line, without characters that steer a terminal: students' words stand in them."""
        text = "; ".join(note.rstrip(".") for note in self.notes)
        return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def read_hand(path: Path, rubric: Mapping[str, Any], students: Sequence[Student]) -> dict[str, Given]:
    """What a person gave: a CSV file with ``id``, the criteria of the rubric, and, if wanted, ``days_late``.

    Args:
        path: of the file.
        rubric: of the assignment.
        students: of the class list; a line may name either of a student's ids.

    Raises:
        SettingsError: it is no such table, points are no number from 0 to the criterion's, or an id is not on the class
            list or there twice.
    """
    most = points_by_hand(rubric)
    columns, rows = read_table(path)
    if set(columns) - {DAYS} != {"id", *most}:
        raise SettingsError(
            f"{path} has the columns id, {', '.join(most)} and, if wanted, {DAYS}; it has {', '.join(columns)}."
        )
    ids = {word: one.id for one in students for word in (one.id, one.file_id) if word}
    unknown = [(number, row["id"].strip()) for number, row in rows if row["id"].strip() not in ids]
    if unknown:
        (number, student), more = unknown[0], f" ({len(unknown)} lines name such ids)" if len(unknown) > 1 else ""
        raise SettingsError(f"{path}, line {number}: {student!r} is not on the class list{more}.")
    found: dict[str, Given] = {}
    for number, row in rows:
        student = ids[row["id"].strip()]
        if student in found:
            raise SettingsError(f"{path}, line {number}: {row['id'].strip()!r} is there twice.")
        found[student] = {key: _points(path, number, key, row[key], top) for key, top in most.items()}
        found[student][DAYS] = _points(path, number, DAYS, row.get(DAYS, ""), 1_000.0)
    return found


def points_by_hand(rubric: Mapping[str, Any]) -> dict[str, float]:
    """The points of each criterion."""
    return {key: float(criterion["points"]) for key, criterion in rubric["criteria"].items()}


def _points(path: Path, line: int, key: str, text: str, most: float) -> float | None:
    if not text.strip():
        return None
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points <= most:
        raise SettingsError(f"{path}, line {line}: {key} is a number from 0 to {most:g}, and is {text!r}.")
    return points


def grades(
    students: Sequence[Student],
    results: Mapping[str, Result],
    files: Mapping[str, HandedIn],
    rubric: Mapping[str, Any],
    hand: Mapping[str, Given] | None,
    settings: Settings,
    absent: Mapping[str, str] | None = None,
) -> list[Grade]:
    """The grade of every student: a total where code and hand are known, so that nothing open counts as 0.

    Args:
        students: of the class.
        results: of those who handed something in, now or in an earlier run.
        files: what was handed in now.
        rubric: of the assignment.
        hand: what a person gave; None where nobody has yet.
        settings: with what comes off a day.
        absent: why there is no result of some who seem to have handed something in.
    """
    most = points_by_hand(rubric)
    alike = _alike(results)
    found = []
    for student in students:
        result, row = results.get(student.id), (hand or {}).get(student.id, {})
        given: Given = {key: row.get(key) for key in most}
        notes = [*_of_code(result), *_of_files(student.id, result, files), *alike.get(student.id, ())]
        open_ = [key for key in most if given[key] is None]
        days = row.get(DAYS)
        if result is None:
            by_hand = "; points by hand alone make no total" if len(open_) < len(most) else ""
            notes.append((absent or {}).get(student.id, "nothing handed in") + by_hand)
        elif result.late and days is None:
            notes.append(f"the platform marks it as late, and HAND says no {DAYS} (0 excuses it)")
        else:
            days = days or 0.0
        if hand is not None and open_ and result is not None:
            notes.append(
                "no points by hand" if len(open_) == len(most) else f"no points by hand for {', '.join(open_)}"
            )
        off = min(1.0, math.ceil(days or 0.0) * settings.late_percent_per_day / 100)
        total = None
        if result is not None and result.graded and days is not None and not open_:
            points = result.score + sum(each for each in given.values() if each is not None)
            total = round(points * (1 - off), 2)
        found.append(Grade(student, result, given, most, days, off, total, tuple(notes)))
    return found


def _of_code(result: Result | None) -> list[str]:
    """What a result says to an instructor."""
    if result is None:
        return []
    if not result.graded:
        return [f"not graded: {' '.join(result.notes)}"]
    notes = [*result.notes, *result.later]
    if result.rung != Rung.BOX.name:
        notes.insert(0, f"graded without a box ({result.rung.lower()})")
    said = {item.sentence for item in result.items}
    if said == {"It returned nothing."}:
        return [*notes, "as it was handed out: every function returns nothing"]
    if result.score == 0 and result.notes and not said <= {*result.notes}:
        notes.append("all points are lost: does all hang on one cell?")
    for function in dict.fromkeys(item.function for item in result.items):
        items = [item for item in result.items if item.function == function]
        [(sentence, _)] = Counter(item.sentence for item in items).most_common(1)
        if not any(item.score for item in items) and sentence not in result.notes:
            notes.append(f"{function} has no points: {sentence}")
    return notes


def _of_files(student: str, result: Result | None, files: Mapping[str, HandedIn]) -> list[str]:
    if student not in files:
        return [f"graded in an earlier run ({result.file})"] if result else []
    file = files[student]
    if not file.others:
        return []
    why = "they are of one date, look which should" if file.tie else "the newest"
    return [f"{1 + len(file.others)} files: {file.name} counts ({why}), not {', '.join(file.others)}"]


def _alike(results: Mapping[str, Result]) -> dict[str, list[str]]:
    """A note for those whose notebooks name one id, or that of another student."""
    named: dict[str, list[str]] = {}
    for student, result in results.items():
        if result.named:
            named.setdefault(result.named, []).append(student)
    found: dict[str, list[str]] = {}
    for word, mine in named.items():
        others = {*mine, *({word} & {*results})}
        for student in mine if len(others) > 1 else ():
            found[student] = [f"the notebooks of {', '.join(sorted(others))} name one id, {word!r}: compare them"]
    return found


def table(found: Sequence[Grade]) -> str:
    """A CSV table: points by question, those by hand, the days, the total, and what to look at."""
    questions = list(dict.fromkeys(item.question for one in found if one.result for item in one.result.items))
    of = max((one.result.points for one in found if one.result), default=0)
    criteria = list(dict.fromkeys(key for one in found for key in one.most))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "name", *questions, "code", "of", *criteria, DAYS, "total", "file", "note"])
    for one in found:
        items = one.result.items if one.result and one.result.graded else None
        sums = [
            "" if items is None else f"{sum(item.score for item in items if item.question == name):.6g}"
            for name in questions
        ]
        numbers = [one.code, of, *(one.given[key] for key in criteria), one.days_late, one.total]
        code, most, *rest = ["" if number is None else f"{number:g}" for number in numbers]
        file = one.result.file if one.result else ""
        writer.writerow([one.student.id, one.student.name, *sums, code, most, *rest, file, one.note])
    return text.getvalue()
