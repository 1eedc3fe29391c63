"""Grading a class: one file a student, each result kept as it is made, so that a batch that is stopped goes on."""

import csv
import hashlib
import io
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from course.engine import feedback
from course.engine.box import USUAL, Limits, Rung
from course.engine.cases import CasesError
from course.engine.checks import Check
from course.engine.grade import Item, Result, grade
from course.engine.submission import UnreadableError

SUFFIXES = (".ipynb", ".py")
Checks = Callable[[str], Sequence[Check]]
"""From a student's id to that student's checks."""


class HandedInError(ValueError):
    """The folder of submissions is not what was expected."""


def submissions(folder: Path, students: Sequence[str]) -> dict[str, Path]:
    """The file of each student who handed one in: ``ID.ipynb``, a folder ``ID``, or a name with the id between ``_``.

    The last is how Canvas and Moodle name files. Where a student has several files, the newest counts.

    Raises:
        HandedInError: there is no folder, or a file belongs to nobody.
    """
    if not folder.is_dir():
        raise HandedInError(f"There is no folder {folder}: DIR is the folder of the notebooks that were handed in.")
    found: dict[str, Path] = {}
    nobody = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in SUFFIXES or path.is_symlink() or not path.is_file():
            continue
        owner = owner_of(path.relative_to(folder), students)
        if owner is None:
            nobody.append(path.name)
        elif owner not in found or path.stat().st_mtime >= found[owner].stat().st_mtime:
            found[owner] = path
    if nobody:
        raise HandedInError(
            f"{len(nobody)} of the files in {folder} belong to nobody on the class list, the first is {nobody[0]}: "
            "a file is called ID.ipynb, or lies in a folder ID, or has _ID_ in its name."
        )
    return found


def owner_of(path: Path, students: Sequence[str]) -> str | None:
    """The student whose id a path holds as a whole word; None where there is none or there are several."""
    words = {word for part in path.with_suffix("").parts for word in {part, *re.split(r"[_ ]+", part)}}
    owners = {student for student in students if student in words}
    return owners.pop() if len(owners) == 1 else None


def fonts(folder: Path) -> Path:
    """A folder with matplotlib's list of fonts, which every run would else make anew."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"MPLCONFIGDIR": str(folder), "MPLBACKEND": "agg"}
    subprocess.run(
        [sys.executable, "-c", "import matplotlib.font_manager"], env=environment, check=False, capture_output=True
    )
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def grade_all(
    files: dict[str, Path],
    checks: Checks,
    out: Path,
    rung: Rung,
    *,
    title: str,
    version: str,
    limits: Limits = USUAL,
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> list[Result]:
    """Grade every file, and keep ``results/ID.json`` and ``feedback/ID.html``; what is there already is not run again.

    A student for whom no cases can be made, or whose file cannot be read, is noted; the others are graded.

    Args:
        files: the file of each student.
        checks: of each student.
        out: where results go.
        rung: how the code is kept in.
        title: over the feedback.
        version: of the checks; results of another one are made anew.
        limits: what a submission may use.
        workers: runs at one time.
        say: called with a line for each student.
    """
    for name in ("results", "feedback"):
        (out / name).mkdir(parents=True, exist_ok=True)
    slots: queue.Queue[int] = queue.Queue()
    for slot in range(workers):
        slots.put(slot)

    with tempfile.TemporaryDirectory(prefix="course-fonts-") as folder:
        os.chmod(folder, 0o755)
        cache = fonts(Path(folder) / "matplotlib")

        def one(student: str) -> Result:
            path, kept = files[student], out / "results" / f"{student}.json"
            try:
                key = _key(path, student, version, rung)
                result = _kept(kept, key)
                mine = checks(student) if result is None else ()
            except (CasesError, UnreadableError) as error:
                kept.unlink(missing_ok=True)
                result, key = Result(student, (), (str(error),), rung.name, 0.0), ""
                say(f"{student}: not graded. {error}")
            if result is None:
                slot = slots.get()
                try:
                    result = grade(path, student, mine, rung, limits, slot=slot, cache=cache)
                finally:
                    slots.put(slot)
                write(kept, json.dumps({"key": key, **asdict(result)}, indent=1))
                say(f"{student}: {result.score:g} of {result.points:g}")
            write(out / "feedback" / f"{student}.html", feedback.page(result, title))
            return result

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(one, sorted(files)))


def _key(path: Path, student: str, version: str, rung: Rung) -> str:
    digest = hashlib.sha256(f"{version}|{student}|{rung.name}|{path.suffix}|".encode())
    try:
        digest.update(path.read_bytes())
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read here: {error.strerror or error}.") from error
    return digest.hexdigest()


def _kept(path: Path, key: str) -> Result | None:
    """A result that was kept, if it is of the same file and the same checks."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("key") != key:
            return None
        items = tuple(Item(**item) for item in content.pop("items"))
        return Result(items=items, notes=tuple(content.pop("notes")), **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    os.replace(part, path)


def table(results: Sequence[Result], missing: Sequence[str]) -> str:
    """A CSV table: each student's points, by question; who handed in nothing has 0; a note says why."""
    questions = list(dict.fromkeys(item.question for result in results for item in result.items))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *questions, "code", "of", "note"])
    most = max((result.points for result in results), default=0)
    for result in results:
        if not result.graded:
            writer.writerow([result.student, *[""] * len(questions), "", most, f"not graded: {' '.join(result.notes)}"])
            continue
        sums = [round(sum(i.score for i in result.items if i.question == name), 4) for name in questions]
        note = "" if result.rung == Rung.BOX.name else f"graded without a box ({result.rung.lower()})"
        writer.writerow([result.student, *sums, result.score, result.points, note])
    for student in missing:
        writer.writerow([student, *[0] * len(questions), 0, most, "nothing handed in"])
    return text.getvalue()
