"""Grading a class: what ``python -m tools grade`` does; ``course/README.md`` explains it."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePath

import torch

from course.engine import archive, batch, box, feedback, gradebook, handed_in, lms, settings
from course.engine.assignments import Assignment, assignment, private_paths
from course.engine.handed_in import HandedInError
from course.engine.settings import Settings, SettingsError, Student
from tools.environments import ROOT

GRADED = ROOT / "_build" / "course" / "graded"


def grade(args: argparse.Namespace, told: Settings) -> int:
    """Grade a folder or a zip file of submissions."""
    torch.set_num_threads(1)
    work = assignment(args.assignment)
    rubric, version = work.rubric(), work.version(told)
    students = settings.read_roster(args.roster, told) if args.roster else None
    if args.hand and students is None:
        raise SettingsError("What a person gave (HAND) needs the class list beside it: name it, ROSTER=….")
    hand = gradebook.read_hand(args.hand, rubric, students) if args.hand and students else None
    if not args.folder.exists():
        raise HandedInError(f"There is no {args.folder}: DIR is the folder or the zip file that was handed in.")
    out = args.out or GRADED / work.name
    rung = box.best_rung(*private_paths(args.folder, out), unsafe=args.unsafe)
    with tempfile.TemporaryDirectory(prefix="course-zip-") as unpacked:
        folder = archive.unpack(args.folder, Path(unpacked)) if args.folder.is_file() else args.folder
        present = students or handed_in.by_name(folder)
        files = handed_in.submissions(folder, present, _columns(students, told))
        absent = handed_in.without_notebook(_names(args.folder), present, files)
        handed_in.check_ids(files, present, least=3 if students else 1)
        kept, stale = batch.of_earlier_runs(out, version, files)
        if students is None:
            present += [Student(name, name, {}) for name in kept]
        ids = {student.id for student in present}
        kept = {student: result for student, result in kept.items() if student in ids}
        absent |= dict.fromkeys(stale, "graded by other checks or in another term, which does not count: hand in anew")
        earlier = f", {len(kept)} of them in an earlier run" if kept else ""
        print(
            f"{len(files) + len(kept)} of {len(ids)} have handed in{earlier}. Student code is kept in by {rung.value}."
        )
        made = batch.grade_all(
            files, lambda student: work.checks(student, told), out, rung, version=version, workers=args.workers
        )
    results = kept | {result.student: result for result in made}
    found = gradebook.grades(present, results, files, rubric, hand, told, absent)
    batch.write(out / "grades.csv", gradebook.table(found))
    feedback.write_pages(out / "feedback", found, rubric)
    _write_for_platforms(out, found, work, students if hand is not None else None, told)
    _print_notes(found)
    print(f"Results, feedback and tables are in {out}.")
    if open_ := [result.student for result in results.values() if not result.graded]:
        print(f"{len(open_)} could not be graded, and have no points there: {', '.join(open_)}.", file=sys.stderr)
    return 1 if open_ else 0


def _names(given: Path) -> list[PurePath]:
    """What the files in a folder or a zip file are called."""
    if given.is_file():
        return archive.names(given)
    return [path.relative_to(given) for path in given.rglob("*") if path.is_file()]


def _columns(students: Sequence[Student] | None, told: Settings) -> str:
    """Where ids are looked for, in words."""
    if students is None:
        return "the files' and folders' names"
    first, second = repr(told.id_column), repr(told.file_column)
    there = told.file_column in students[0].row
    return (
        f"the class list's columns {first} and {second} (id_column and file_column of course.yml)"
        if there
        else (f"the class list's column {first} (id_column of course.yml; it has no column {second}, file_column)")
    )


def _write_for_platforms(
    out: Path, found: Sequence[gradebook.Grade], work: Assignment, students: Sequence[Student] | None, told: Settings
) -> None:
    """Write the tables of totals; where there are none, take away those of earlier runs."""
    if students is None:
        for name in ("canvas.csv", "moodle.csv"):
            (out / name).unlink(missing_ok=True)
        print("canvas.csv and moodle.csv hold whole grades: they are written where ROSTER and HAND are given.")
        return
    most = work.points() + sum(gradebook.points_by_hand(work.rubric()).values())
    heading, there = lms.canvas_heading(list(students[0].row), work.name, told)
    batch.write(out / "canvas.csv", lms.canvas(found, heading, most))
    batch.write(out / "moodle.csv", lms.moodle(found, most))
    if not there:
        print(
            f"The class list has no column {heading!r} (canvas_column of course.yml): Canvas makes it a new assignment."
        )


def _print_notes(found: Sequence[gradebook.Grade]) -> None:
    """Print what an instructor should look at; what is the same for several students, once."""
    alike: dict[str, list[str]] = {}
    for one in found:
        if one.note:
            alike.setdefault(one.note, []).append(one.student.label)
    for note, students in alike.items():
        print(f"look at {', '.join(students)}: {note}")
