"""The course's commands: build its notebooks, quizzes and slides, date its syllabus, grade a class, write the mirror.

``python -m tools course``, ``quiz``, ``slides``, ``calendar``, ``items``, ``grade``, ``gradescope``, ``project-check``
and ``course-public`` call it; ``course/README.md`` explains them.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from course.engine import (
    batch,
    box,
    build,
    calendar,
    gradescope,
    items,
    project,
    project_sheet,
    quiz,
    quiz_formats,
    settings,
    slides,
    syllabi,
)
from course.engine.assignments import COURSE, assignment
from course.engine.box import NoBoxError, Rung
from course.engine.handed_in import HandedInError
from course.engine.processes import StillRunningError
from course.engine.project_folder import ProjectError
from course.engine.settings import Settings, SettingsError
from tools.browser import find_browser, missing
from tools.commands import command
from tools.environments import ROOT
from tools.grading import grade

OUT = ROOT / "_build" / "course"


def make(_: argparse.Namespace, told: Settings) -> int:
    """Write the student's and the instructor's notebooks."""
    for path in build.build(OUT, told):
        print(path.relative_to(ROOT).as_posix())
    if told.secret.startswith("change me"):
        print("course.yml still holds the secret that everyone knows: change it before the first assignment.")
    return 0


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


def _named(text: str, missing: str = "it is empty, and") -> Path:
    """A path; what is empty, as where make was called without it, names none."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{missing} names no file or folder")
    return Path(text)


def _after(word: str) -> Callable[[str], Path]:
    """Reads the path that make is given after a word and ``=``."""
    return partial(_named, missing=f"{word} is missing: it")


def parser() -> argparse.ArgumentParser:
    """What the command line holds."""
    found = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    parts = found.add_subparsers(required=True)
    parts.add_parser("course").set_defaults(run=make)
    parts.add_parser("quiz", help="write the quizzes").set_defaults(run=make_quizzes)
    parts.add_parser("slides", help="write the slides").set_defaults(run=make_slides)
    parts.add_parser("calendar", help="write the dated syllabus").set_defaults(run=make_calendar)
    part = parts.add_parser("items", help="analyze the items of a quiz")
    part.add_argument("file", type=_named, help="results as Canvas or Moodle export them, a CSV file (make: FILE=)")
    part.set_defaults(run=analyze)
    part = parts.add_parser("grade", help="grade a class")
    part.add_argument("assignment", help="such as a01 (make: A=)")
    part.add_argument("folder", type=_after("DIR"), help="what was handed in, a folder or a zip file (make: DIR=)")
    part.add_argument("--roster", type=_after("ROSTER"), help="the class list, a CSV file (make: ROSTER=)")
    part.add_argument("--hand", type=_after("HAND"), help="what a person gave, a CSV file (make: HAND=)")
    part.add_argument("--out", type=_named, help="where results go, if not in _build/course/graded")
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
    part.add_argument("folder", type=_named, help="an empty folder (make: DEST=)")
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
