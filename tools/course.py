"""The course's commands: build its notebooks, quizzes and slides, date its syllabus, grade a class, write the mirror.

``python -m tools course``, ``quiz``, ``slides``, ``calendar``, ``items``, ``grade``, ``gradescope``, ``project-check``
and ``course-public`` call it; ``course/README.md`` explains them.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath

import torch

from course.engine import (
    archive,
    batch,
    box,
    build,
    calendar,
    feedback,
    gradebook,
    gradescope,
    handed_in,
    items,
    lms,
    project,
    project_sheet,
    quiz,
    quiz_formats,
    settings,
    slides,
    syllabi,
)
from course.engine.assignments import COURSE, Assignment, assignment
from course.engine.box import NoBoxError, Rung
from course.engine.handed_in import HandedInError
from course.engine.processes import StillRunningError
from course.engine.project_folder import ProjectError
from course.engine.settings import Settings, SettingsError, Student
from tools.browser import find_browser, missing
from tools.commands import command
from tools.environments import ROOT

OUT = ROOT / "_build" / "course"


def make(_: argparse.Namespace, told: Settings) -> int:
    """Write the student's and the instructor's notebooks."""
    for path in build.build(OUT, told):
        print(path.relative_to(ROOT).as_posix())
    if told.secret.startswith("change me"):
        print("course.yml still holds the secret that everyone knows: change it before the first assignment.")
    return 0


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
    rung = Rung.UNSAFE if args.unsafe else box.best_rung(work.folder / "checks.py", args.folder)
    out = args.out or OUT / "graded" / work.name
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


def pack(args: argparse.Namespace, told: Settings) -> int:
    """Write the zip file that Gradescope takes."""
    print(gradescope.pack(assignment(args.assignment), OUT / "gradescope", told).relative_to(ROOT).as_posix())
    return 0


def check_project(args: argparse.Namespace, _: Settings) -> int:
    """Run a team's folder, write its sheet, and fill in the machine's part of its rubric."""
    rung = Rung.UNSAFE if args.unsafe else box.best_rung()
    if args.check_in:
        _print_parts(project.check_in(args.folder, rung))
        return 0
    outcome = project.check(args.folder, rung)
    out = args.out or OUT / "projects" / outcome.team
    out.mkdir(parents=True, exist_ok=True)
    content = project_sheet.filled(outcome, project_sheet.load(out / "rubric.yml"))
    batch.write(out / "rubric.yml", project_sheet.dumped(content))
    batch.write(out / "sheet.html", project_sheet.sheet(outcome, content))
    _print_parts(outcome.parts)
    for note in outcome.notes:
        print(f"look at   {note}")
    for person, points in (project_sheet.totals(content) or {}).items():
        print(f"{person}: {points:g} of 100")
    print(f"The sheet and the rubric to fill in are in {out}. Code was kept in by {rung.value}.")
    return 0


def _print_parts(parts: Sequence[project.Part]) -> None:
    for part in parts:
        print(f"{part.name:<9} {part.points:g} of {part.of}  {part.said}".rstrip())


def public(args: argparse.Namespace, told: Settings) -> int:
    """Write the course without its private half."""
    made = build.publish(args.folder, told)
    print(f"{len(made)} files are in {args.folder}; no line of a solution or a check is among them.")
    return 0


def make_quizzes(_: argparse.Namespace, __: Settings) -> int:
    """Write every quiz for Canvas, Moodle, paper and oneself."""
    for one in [quiz.load(path) for path in sorted((COURSE / "quizzes").glob("*.yml"))]:
        for made in quiz_formats.write(one, OUT / "quizzes"):
            print(made.relative_to(ROOT).as_posix())
    return 0


def make_slides(_: argparse.Namespace, __: Settings) -> int:
    """Write the decks, and print them where there is a browser."""
    made = slides.build(OUT / "slides")
    if browser := find_browser():
        made += slides.print_decks(made, browser)
    for path in made:
        print(path.relative_to(ROOT).as_posix())
    if browser is None:
        print(f"No PDF was made: {missing('PDFs of the slides')}.")
    return 0


def make_calendar(_: argparse.Namespace, told: Settings) -> int:
    """Write the dated syllabus, as a page and for calendars."""
    plan = syllabi.load(COURSE / "syllabi" / f"{told.plan}.yml")
    weeks = calendar.dated(plan, told)
    hours = syllabi.workload(plan, syllabi.reading_minutes(ROOT / "notebooks"), told.class_minutes)
    page, events = calendar.syllabus(plan, weeks, hours), calendar.ics(plan, weeks, datetime.now(UTC))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "syllabus.html").write_text(page, encoding="utf-8")
    (OUT / "calendar.ics").write_bytes(events)
    print(f"{(OUT / 'syllabus.html').relative_to(ROOT).as_posix()}: {weeks[0].monday} to {weeks[-1].monday}, ", end="")
    print(f"{min(hours):.1f} to {max(hours):.1f} hours a week")
    print((OUT / "calendar.ics").relative_to(ROOT).as_posix())
    for week in weeks:
        for event in week.lost:
            print(f"Week {week.number}: {event.at:%a %d %b} is free, and “{event.what}” has to find another day.")
    return 0


def analyze(args: argparse.Namespace, _: Settings) -> int:
    """Print what a quiz's results say of its items."""
    print(items.report(items.read(args.file)))
    return 0


def _named(word: str) -> Callable[[str], Path]:
    """From what stands after make's ``word=`` to a path; what is empty, as where it was left out, names none."""

    def path(text: str) -> Path:
        if not text.strip():
            raise argparse.ArgumentTypeError(f"{word} is missing: it names no file or folder")
        return Path(text)

    return path


def parser() -> argparse.ArgumentParser:
    """What the command line holds."""
    found = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    parts = found.add_subparsers(required=True)
    parts.add_parser("course").set_defaults(run=make)
    parts.add_parser("quiz", help="write the quizzes").set_defaults(run=make_quizzes)
    parts.add_parser("slides", help="write the slides").set_defaults(run=make_slides)
    parts.add_parser("calendar", help="write the dated syllabus").set_defaults(run=make_calendar)
    part = parts.add_parser("items", help="analyze the items of a quiz")
    part.add_argument(
        "file", type=_named("FILE"), help="results as Canvas or Moodle export them, a CSV file (make: FILE=)"
    )
    part.set_defaults(run=analyze)
    part = parts.add_parser("grade", help="grade a class")
    part.add_argument("assignment", help="such as a01 (make: A=)")
    part.add_argument("folder", type=_named("DIR"), help="what was handed in, a folder or a zip file (make: DIR=)")
    part.add_argument("--roster", type=_named("ROSTER"), help="the class list, a CSV file (make: ROSTER=)")
    part.add_argument("--hand", type=_named("HAND"), help="what a person gave, a CSV file (make: HAND=)")
    part.add_argument("--out", type=_named("--out"), help="where results go, if not in _build/course/graded")
    part.add_argument("--workers", type=int, default=1, choices=range(1, 33), metavar="1-32", help="runs at one time")
    part.add_argument("--unsafe", action="store_true", help="run student code as you, with nothing around it")
    part.set_defaults(run=grade)
    part = parts.add_parser("gradescope", help="pack an autograder")
    part.add_argument("assignment", help="such as a01 (make: A=)")
    part.set_defaults(run=pack)
    part = parts.add_parser("project-check", help="run a team's project and fill in the machine's part of its rubric")
    part.add_argument("folder", type=Path, help="what the team handed in (make: DIR=)")
    part.add_argument("--out", type=Path, help="where sheet and rubric go, if not in _build/course/projects")
    part.add_argument("--check-in", action="store_true", help="look at model.py alone, and write nothing")
    part.add_argument("--unsafe", action="store_true", help="run the team's code as you, with nothing around it")
    part.set_defaults(run=check_project)
    part = parts.add_parser("course-public", help="write the course without references and keys")
    part.add_argument("folder", type=_named("DEST"), help="an empty folder (make: DEST=)")
    part.set_defaults(run=public)
    return found


@command
def main(arguments: Sequence[str]) -> int:
    """Run one of the course's commands; return its exit status."""
    args = parser().parse_args(arguments)
    try:
        return args.run(args, settings.load(COURSE / "course.yml"))
    except (SettingsError, NoBoxError, StillRunningError, HandedInError, ProjectError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
