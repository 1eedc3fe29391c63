"""A team's folder: copied for the box, if it is harmless, and its texts read. Nothing of it is run here."""

import math
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from course.engine import submission
from course.engine.assignments import COURSE

PROJECT = COURSE / "project"
BOOK = COURSE.parent / "aevb_utils"
REQUIRED = ("proposal.md", "report.md", "notebook.ipynb", "model.py", "run.py")
MOST_FILES, LARGEST, DEEPEST = 200, 20 * 2**20, 8
MOST_WORDS = 3_000
COMPILED, READ, LARGEST_TEXT = (".so", ".pyd", ".pyc"), (".py", ".md"), 2**20
NAMES = (
    "heldout_bound",
    "heldout_bound_se",
    "answer_aevb",
    "answer_other",
    "answer_se",
    "simulated_sets",
    "coverage",
    "gain_of_twice",
)
"""The numbers that every report has."""
MOST_ROWS = 60
ROW = re.compile(r"^\|\s*`([^`|]*)`\s*\|([^|]*)\|([^|]*)\|", re.MULTILINE)
TABLE = re.compile(r"^\|.*$", re.MULTILINE)
CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


class ProjectError(ValueError):
    """A folder cannot be checked at all; the message says why."""


@dataclass(frozen=True)
class Number:
    """A line of a report's table: a number, and how far another run may be from it."""

    name: str
    value: float
    tolerance: float


def copy(folder: Path, target: Path) -> Path:
    """Copy a team's folder for the box, beside the book's package; return the folder of both.

    Hidden files, caches and a ``results.json`` stay behind.

    Raises:
        ProjectError: there is no such folder, or it holds links, something that is no file, or too much.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise ProjectError(f"There is no folder {folder}: DIR is the folder that a team handed in.")
    folder = folder.resolve()
    found = list(islice(_files(folder, folder), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        raise ProjectError(f"{folder.name} holds more than {MOST_FILES} files.")
    if sum(path.stat().st_size for path in found) > LARGEST:
        raise ProjectError(f"{folder.name} holds more than {LARGEST >> 20} MB.")
    for path in found:
        if path.suffix in COMPILED:
            raise ProjectError(f"{path.relative_to(folder)} of {folder.name} is compiled: hand in its source.")
        if path.suffix in READ and path.stat().st_size > LARGEST_TEXT:
            raise ProjectError(f"{path.relative_to(folder)} of {folder.name} is larger than {LARGEST_TEXT >> 20} MB.")
    for path in found:
        where = target / "project" / path.relative_to(folder)
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(path.read_bytes())
    (target / "project").mkdir(parents=True, exist_ok=True)
    (target / "project" / "results.json").unlink(missing_ok=True)
    shutil.copytree(BOOK, target / "book" / "aevb_utils")
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def _files(folder: Path, top: Path) -> Iterator[Path]:
    """The files below a folder that are to be copied."""
    if len(folder.relative_to(top).parts) > DEEPEST:
        raise ProjectError(f"{top.name} holds folders that are more than {DEEPEST} deep.")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        path = Path(entry.path)
        if entry.is_symlink():
            raise ProjectError(f"{path.relative_to(top)} of {top.name} is a link: hand in the file itself.")
        if entry.is_dir():
            yield from _files(path, top)
        elif stat.S_ISREG(entry.stat().st_mode):
            yield path
        else:
            raise ProjectError(f"{path.relative_to(top)} of {top.name} is no file.")


def text_of(path: Path) -> str:
    """A file's text; empty where there is none."""
    return path.read_bytes().decode("utf-8-sig", errors="replace") if path.is_file() else ""


def what_is_missing(project: Path) -> list[str]:
    """What a folder lacks of what is asked for, a sentence each."""
    said = [f"There is no {name}." for name in REQUIRED if not (project / name).is_file()]
    empty = [name for name in REQUIRED if (project / name).is_file() and not text_of(project / name).strip()]
    said += [f"{name} is empty." for name in empty]
    proposal = text_of(project / "proposal.md")
    if proposal and proposal.count("…") > text_of(PROJECT / "proposal.md").count("…") // 2:
        said.append("proposal.md is the form, not filled in.")
    words = len(CODE.sub(" ", TABLE.sub(" ", text_of(project / "report.md"))).split())
    if words > MOST_WORDS:
        said.append(f"report.md has {words:,} words outside tables and code; {MOST_WORDS:,} are read.")
    if (project / "notebook.ipynb").is_file() and "notebook.ipynb" not in empty:
        try:
            if not submission.read(project / "notebook.ipynb").cells:
                said.append("notebook.ipynb has no code in any cell.")
        except submission.UnreadableError as error:
            said.append(f"notebook.ipynb: {error}")
    return said


def numbers_of(report: str) -> tuple[list[Number], list[str]]:
    """The table of numbers at a report's end, and what is wrong with it."""
    rows = ROW.findall(report.rpartition("\n## Numbers")[2])[:MOST_ROWS]
    found: dict[str, Number] = {}
    said = []
    for name, *texts in rows:
        value, tolerance = (_number(text) for text in texts)
        if value is None or tolerance is None or name in found:
            said.append(f"The line of {name} has no value and tolerance, or is there twice.")
            continue
        most = max(0.1, 0.1 * abs(value))
        if not 0 <= tolerance <= most:
            said.append(f"The tolerance of {name} is {tolerance:g}; it may be from 0 to {most:g}.")
            continue
        found[name] = Number(name, value, tolerance)
    wrong = {name for name, *_ in rows} - set(found)
    said += [f"The table has no {name}." for name in NAMES if name not in found and name not in wrong]
    return list(found.values()), said


def _number(text: str) -> float | None:
    try:
        value = float(text.strip().replace("−", "-").replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
