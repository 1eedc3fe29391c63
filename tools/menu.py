"""The commands of the book: what each is, what it needs installed, and what it runs.

Nothing here needs more than the standard library: a command is run by the Python of ``.venv``, which is made and
filled for it first.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import clean, doctor, lock
from tools.environments import ROOT
from tools.install import InstallError, Level, ensure
from tools.processes import run

Arguments = Sequence[str | Path]

JUPYTER_BOOK = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        said: what it does, in a line of the list.
        level: what must be installed for it.
        lines: what the environment's Python is called with, one call after the other.
        takes: what its arguments are called; empty where it takes none.
        done: what is said at the end, when all went well; ``seconds`` is how long it took.
    """

    said: str
    level: Level
    lines: Callable[[], Sequence[Arguments]] = tuple
    takes: str = ""
    done: str = ""


def _notebooks(pattern: str) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob(f"{pattern}.ipynb"))


# Three at a time on two cores, since many tests wait for a browser.
PYTEST = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--nbval-lax", "--nbval-current-env")

COMMANDS = {
    "setup": Command(
        "make .venv, with all that the book needs",
        Level.WHOLE,
        done="\nAll that the book needs is in .venv. Next, python -m tools lab opens the notebooks, and "
        "python -m tools book builds the site; a course begins with course/README.md.",
    ),
    "book": Command(
        "build the site from the notebooks' stored outputs",
        Level.SITE,
        lambda: [["-c", JUPYTER_BOOK, "build", ".", "-n", "-W", "--keep-going"], ["-m", "tools.downloads"]],
        done=f"\nThe book is built, in {{seconds}} seconds. Open {ROOT / '_build/html/index.html'} in a browser.",
    ),
    "pdf": Command(
        "print the built site as PDF, and each notebook (needs Chromium or Chrome)",
        Level.SITE,
        lambda: [["-m", "tools.pdf"]],
    ),
    "epub": Command("bind the built site as an EPUB", Level.SITE, lambda: [["-m", "tools.epub"]]),
    "zip": Command(
        "pack the built site into a zip file, to be read offline", Level.SITE, lambda: [["-m", "tools.offline"]]
    ),
    "test": Command(
        "run all tests",
        Level.WHOLE,
        lambda: [["-m", "pytest", *PYTEST, "--nbval-cell-timeout", "120", "tests", *_notebooks("[a-z]*")]],
    ),
    "execute": Command(
        "run the notebooks in full and store their outputs (one: notebooks/01_….ipynb; make: NOTEBOOK=…)",
        Level.WHOLE,
        lambda: [["-m", "tools.execute"]],
        takes="notebooks",
    ),
    "results": Command(
        "run the experiments, which are too long for a notebook (one: amortization_gaps; make: NAME=…)",
        Level.WHOLE,
        lambda: [["-m", "tools.experiments"]],
        takes="names",
    ),
    "bench": Command(
        "time the book's programs beside other libraries' (one: fit_speed; make: NAME=…)",
        Level.WHOLE,
        lambda: [["-m", "tools.bench"]],
        takes="names",
    ),
    "refresh": Command(
        "stamp what is stale, where fast runs show that the code behaves as before",
        Level.WHOLE,
        lambda: [["-m", "tools.refresh"]],
        takes="options",
    ),
    "lab": Command("open the notebooks in JupyterLab", Level.WHOLE, lambda: [["-m", "tools.lab"]]),
    "data": Command(
        "fetch the data sets of the chapters beforehand",
        Level.WHOLE,
        lambda: [["-m", "aevb_utils.data"]],
        takes="options",
    ),
    "export": Command(
        "write the modules that the chapters export, and the ladder", Level.WHOLE, lambda: [["-m", "tools.export"]]
    ),
    "student": Command(
        "write the notebooks without their solutions to _build/student",
        Level.WHOLE,
        lambda: [["-m", "tools.student"]],
    ),
    "course": Command(
        "write the notebooks of the course's assignments to _build/course",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "course"]],
    ),
    "quiz": Command(
        "write the course's quizzes for Canvas, Moodle and paper to _build/course/quizzes",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "quiz"]],
    ),
    "slides": Command(
        "write the course's slides to _build/course/slides, as PDF too where there is Chromium or Chrome",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "slides"]],
    ),
    "calendar": Command(
        "write the course's syllabus with its dates, and a file for calendars, to _build/course",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "calendar"]],
    ),
    "items": Command(
        "say what a quiz's results tell of its items (a CSV file; make: FILE=… [Q=q02])",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "items"]],
        takes="a file",
    ),
    "grade": Command(
        "grade a class (a01 FOLDER; make: A=a01 DIR=… [ROSTER=…] [HAND=…] [WORKERS=…])",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "grade"]],
        takes="an assignment and a folder",
    ),
    "gradescope": Command(
        "pack an autograder for Gradescope (a01; make: A=a01)",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "gradescope"]],
        takes="an assignment",
    ),
    "project-check": Command(
        "run a team's project, and fill in the machine's part of its rubric (FOLDER; make: DIR=…)",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "project-check"]],
        takes="a folder",
    ),
    "course-public": Command(
        "write what students need of the course, or bring it up to date (FOLDER; make: DEST=… [A=a01,a02])",
        Level.WHOLE,
        lambda: [["-m", "tools.course", "course-public"]],
        takes="a folder",
    ),
    "test-course": Command(
        "run the tests of the course's engine, the hostile submissions included",
        Level.WHOLE,
        lambda: [["-m", "pytest", *PYTEST[:4], "course/tests"]],
        takes="options",
    ),
    "repository": Command(
        "write the repository's address everywhere (https://github.com/owner/name; make: URL=… [BRANCH=…])",
        Level.WHOLE,
        lambda: [["-m", "tools.repository"]],
        takes="an address",
    ),
    "owner": Command(
        'write the authors\' names everywhere ("A. Name; B. Name"; make: AUTHORS=…)',
        Level.WHOLE,
        lambda: [["-m", "tools.owner"]],
        takes="names",
    ),
    "lint": Command(
        "check the style of the code",
        Level.WHOLE,
        lambda: [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."]],
    ),
}
"""What is run by the environment's Python."""

ALONE: dict[str, tuple[str, Callable[[], int]]] = {
    "lock": ("lock the versions of all packages anew, after a change of requirements (needs uv)", lock.main),
    "clean": ("remove what builds and tests leave behind (.venv stays, and experiments that were stopped)", clean.main),
    "doctor": ("say what is here and what is missing, for a report too", doctor.main),
    "help": ("list the commands", lambda: help_()),
}
"""What needs no environment."""


def help_() -> int:
    """List the commands."""
    print("python -m tools NAME, or where there is make, make NAME:")
    for name, said in [
        *((name, command.said) for name, command in COMMANDS.items()),
        *((n, s) for n, (s, _) in ALONE.items()),
    ]:
        print(f"  {name:<12} {said}")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run the command that the first argument names, with the others; return its exit status.

    Returns 2 where there is no such command, or it takes no arguments.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a console may lack a character
    name, *rest = arguments or ["help"]
    command = COMMANDS.get(name)
    if command is None and name not in ALONE:
        print(f"There is no command {name!r}: python -m tools lists them.", file=sys.stderr)
        return 2
    if rest and not (command and command.takes):
        print(f"{name} takes no arguments, and got {' '.join(rest)}.", file=sys.stderr)
        return 2
    try:
        return ALONE[name][1]() if command is None else _in_environment(command, rest)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        said = error.strerror or error
        print(f"{error.filename or 'A file'} cannot be read, written or started: {said}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _in_environment(command: Command, rest: Sequence[str]) -> int:
    """Run a command by the environment's Python; return the first exit status that is not 0."""
    python = ensure(command.level)
    start = time.perf_counter()
    for line in command.lines():
        status = run([python, *line, *rest], {"OMP_NUM_THREADS": "1"} if "pytest" in line else {}).status
        if status:
            return status
    if command.done:
        print(command.done.replace("{seconds}", f"{time.perf_counter() - start:.0f}"))
    return 0
