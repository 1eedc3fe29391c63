"""The course's commands: build its notebooks, quizzes and slides, date its syllabus, grade a class, write the mirror.

``python -m tools course``, ``quiz``, ``slides``, ``calendar``, ``items``, ``grade``, ``gradescope``, ``project-check``
and ``course-public`` call it; ``course/README.md`` explains them.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from course.engine import (
    batch,
    box,
    build,
    calendar,
    calendar_formats,
    gradescope,
    item_keys,
    items,
    mirror,
    project,
    project_sheet,
    quiz,
    quiz_formats,
    settings,
    slides,
    syllabi,
)
from course.engine.assignments import COURSE, assignment, assignments, private_paths
from course.engine.box import NoBoxError
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
    folder = args.folder.resolve()
    out = args.out or OUT / "projects" / folder.name
    before = None if args.check_in else project_sheet.of_folder(out / "rubric.yml", str(folder))
    rung = box.best_rung(*private_paths(args.folder, out), unsafe=args.unsafe)
    if args.check_in:
        _print_parts(project.check_in(args.folder, rung))
        return 0
    outcome = project.check(args.folder, rung)
    out.mkdir(parents=True, exist_ok=True)
    content = project_sheet.filled(outcome, before, str(folder))
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
    """Write what students need, or bring it up to date."""
    now = datetime.now(UTC)
    term = _dated(told, now)
    days = calendar.given_out(term.weeks)
    if args.assignments is None:
        names = [name for name in assignments() if name in days and days[name] <= now]
    else:
        names = list(dict.fromkeys(filter(None, map(str.strip, args.assignments.split(",")))))
    decks = {f"{mirror.SLIDES}/{path.name}": path.read_bytes() for path in sorted((OUT / "slides").glob("*.pdf"))}
    decks = decks or mirror.written_before(args.folder, mirror.SLIDES)
    today = now.date()
    alone = [f"q{number:02}" for week in term.weeks if week.monday <= today for number in week.week.alone]
    done = mirror.publish(args.folder, told, names, term.files | decks, alone)
    print(f"{len(done.files)} files are in {args.folder}; no line of a solution or a check is among them.")
    for said, files in (("new or changed", done.changed), ("removed", done.removed)):
        print(f"{len(files)} {said}{': ' * bool(files)}{', '.join(files)}")
    print(
        f"Given out: {', '.join(names) or 'nothing'}."
        + (" Others come at their day of the calendar, or by A=a01,a02." if args.assignments is None else "")
    )
    if not decks:
        print("There are no slides among them: run make slides before, where there is Chromium or Chrome.")
    return 0


def make_quizzes(_: argparse.Namespace, __: Settings) -> int:
    """Write every quiz for Canvas, Moodle, paper and oneself, and say what goes where."""
    out = OUT / "quizzes"
    names = [path.stem for path in sorted((COURSE / "quizzes").glob("*.yml"))]
    for name in names:
        quiz_formats.write(quiz.load(COURSE / "quizzes" / f"{name}.yml"), out)
    print(f"{len(names)} quizzes, {names[0]} to {names[-1]}, are in {out}. Of each, such as {names[0]},")
    for file, use in quiz_formats.USES.items():
        print(f"  {names[0] + file:<24} {use}")
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


@dataclass(frozen=True)
class Term:
    """The dated syllabus: its weeks, the hours that each takes, and its two files."""

    weeks: list[calendar.Dated]
    hours: list[float]
    files: dict[str, bytes]


def _dated(told: Settings, now: datetime) -> Term:
    plan = syllabi.load(COURSE / "syllabi" / f"{told.plan}.yml")
    weeks = calendar.dated(plan, told)
    hours = syllabi.workload(plan, syllabi.reading_minutes(ROOT / "notebooks"), told.class_minutes)
    page = calendar_formats.syllabus(plan, weeks, hours, told)
    events = calendar_formats.ics(plan, weeks, told, now)
    return Term(weeks, hours, {"syllabus.html": page.encode(), "calendar.ics": events})


def make_calendar(_: argparse.Namespace, told: Settings) -> int:
    """Write the dated syllabus, as a page and for calendars."""
    term = _dated(told, datetime.now(UTC))
    OUT.mkdir(parents=True, exist_ok=True)
    for name, content in term.files.items():
        (OUT / name).write_bytes(content)
        print((OUT / name).relative_to(ROOT).as_posix())
    first, last = term.weeks[0].monday, term.weeks[-1].monday + timedelta(days=6)
    print(f"{first} to {last}, {min(term.hours):.1f} to {max(term.hours):.1f} hours a week")
    for week in term.weeks:
        for event in week.lost:
            print(f"Week {week.number}: {event.at:%a %d %b} is free, and “{event.what}” has to find another day.")
    return 0


def analyze(args: argparse.Namespace, _: Settings) -> int:
    """Print what a quiz's results say of its items, and write how often each answer was given."""
    answers = items.read(args.file)
    quizzes = [quiz.load(path) for path in sorted((COURSE / "quizzes").glob("*.yml"))]
    known = item_keys.recognized(answers.items, quizzes, args.quiz)
    print(items.report(answers, known))
    if not any(known):
        print("Which quiz is it? Name it (Q=q02), and the questions and misconceptions are named, too.")
    if any(answers.given):
        out = OUT / "items" / f"{args.file.stem}.csv"
        out.parent.mkdir(parents=True, exist_ok=True)
        batch.write(out, items.table(answers, known))
        print(f"Each answer with its count is in {out}.")
    else:
        print("The file holds scores alone: what was answered, and so misconceptions, cannot be counted.")
        if any(known):
            print(
                "Questions are taken to be in the order of the quiz: compare a shuffled quiz with the platform's list."
            )
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
    part.add_argument(
        "file", type=_after("FILE"), help="results as Canvas or Moodle export them, a CSV file (make: FILE=)"
    )
    part.add_argument(
        "--quiz", default="", help="which quiz it is, such as q02, where the file does not show it (make: Q=)"
    )
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
    part.add_argument("folder", type=_after("DIR"), help="what the team handed in (make: DIR=)")
    part.add_argument("--out", type=_named, help="where sheet and rubric go, if not in _build/course/projects")
    part.add_argument("--check-in", action="store_true", help="look at model.py alone, and write nothing")
    part.add_argument("--unsafe", action="store_true", help="run the team's code as you, with nothing around it")
    part.set_defaults(run=check_project)
    part = parts.add_parser("course-public", help="write what students need, or bring it up to date")
    part.add_argument(
        "folder", type=_after("DEST"), help="an empty folder, a git checkout or an earlier mirror (make: DEST=)"
    )
    part.add_argument("--assignments", help="those given out, such as a01,a02, if not by the calendar (make: A=)")
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
