"""Grading a class: one file a student, each result kept as it is made, so that a batch that is stopped goes on."""

import hashlib
import json
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from course.engine.box import USUAL, Limits, Rung
from course.engine.cases import CasesError
from course.engine.checks import Check
from course.engine.grade import Item, Result, grade
from course.engine.handed_in import HandedIn
from course.engine.submission import UnreadableError

Checks = Callable[[str], Sequence[Check]]
"""From a student's id to that student's checks."""


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
    files: Mapping[str, HandedIn],
    checks: Checks,
    out: Path,
    rung: Rung,
    *,
    version: str,
    limits: Limits = USUAL,
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> list[Result]:
    """Grade every file, and keep ``results/ID.json``; what is there already is not run again.

    A student for whom no cases can be made, or whose file cannot be read, is noted; the others are graded.

    Args:
        files: the file of each student.
        checks: of each student.
        out: where results go.
        rung: how the code is kept in.
        version: of the checks; results of another one are made anew.
        limits: what a submission may use.
        workers: runs at one time.
        say: called with a line for each student.
    """
    out.mkdir(mode=0o700, parents=True, exist_ok=True)  # results are nobody else's, students' code included
    (out / "results").mkdir(exist_ok=True)
    slots: queue.Queue[int] = queue.Queue()
    for slot in range(workers):
        slots.put(slot)

    with tempfile.TemporaryDirectory(prefix="course-fonts-") as folder:
        os.chmod(folder, 0o755)
        cache = fonts(Path(folder) / "matplotlib")

        def one(student: str) -> Result:
            path, kept = files[student].path, out / "results" / f"{student}.json"
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
                say(f"{student}: {result.score:g} of {result.points:g}")
            result = replace(result, file=files[student].name, late=files[student].late)
            if result.graded:
                write(kept, json.dumps({"key": key, "version": version, **asdict(result)}, indent=1))
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


def _kept(path: Path, key: str, by: str = "key") -> Result | None:
    """A result that was kept, if it is of the same file and the same checks."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        made = {name: content.pop(name) for name in ("key", "version")}
        items = tuple(Item(**item) for item in content.pop("items"))
        said = {name: tuple(content.pop(name)) for name in ("notes", "later")}
        result = Result(items=items, **said, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return result if made[by] == key else None


def of_earlier_runs(out: Path, version: str, files: Collection[str]) -> tuple[dict[str, Result], list[str]]:
    """The results that earlier runs kept of students who have no file in this one, and whose results do not count.

    A result counts if it is of this version of the checks, so of this term.
    """
    found, stale = {}, []
    for path in sorted((out / "results").glob("*.json")):
        if path.stem not in files:
            result = _kept(path, version, "version")
            if result is None:
                stale.append(path.stem)
            else:
                found[path.stem] = result
    return found, stale


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    os.replace(part, path)
