"""What is made for students and instructors: assignments' notebooks, the project's folder, and the public mirror."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml

from course.engine import quiz
from course.engine.assignments import COURSE, Assignment, assignments
from course.engine.settings import Settings, SettingsError
from course.engine.source import Cell, dumped, notebook, solution_lines, with_solution, without_solution

PRIVATE = ("checks.py", "rubric.yml")
"""Files of an assignment that are never published."""
INSTRUCTOR = ("guide", "quizzes", "slides", "tests")
"""Folders that are never published: answers stand in their notes."""
KEPT = "kept by the instructor"
"""What stands in the mirror for the secret."""
SHORTEST = 40
"""Characters of a line of checks, of a rubric or of a quiz's key that is looked for: a shorter one may be anybody's."""


def values(settings: Settings) -> dict[str, str]:
    """What a source's ``@NAME@`` stands for."""
    return {"SALT": settings.salt, "TERM": settings.term}


def rubric_cell(assignment: Assignment, *, samples: bool) -> Cell:
    """The rubric as a cell: what counts for students; the levels and samples too for graders."""
    content = assignment.rubric()
    lines = ["## How the parts by hand are graded", ""]
    for key, criterion in content["criteria"].items():
        lines.append(f"- **{criterion['question']}** ({criterion['points']} points)")
        if samples:
            lines += [f"  - {level['points']}: {level['looks']}" for level in criterion["levels"]]
            lines += ["", *(f"  > {line}" for line in content["samples"].get(key, "").splitlines()), ""]
    return Cell("markdown", tuple(lines))


def build(out: Path, settings: Settings) -> list[Path]:
    """Write the notebooks of all assignments to ``student`` and ``instructor``, and the project; return the paths."""
    made = []
    for name, assignment in assignments().items():
        cells = assignment.cells()
        for side, change in (("student", without_solution), ("instructor", with_solution)):
            rubric = rubric_cell(assignment, samples=side == "instructor")
            path = out / side / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            content = notebook([*map(change, cells), rubric], values(settings))
            path.write_text(dumped(content), encoding="utf-8", newline="\n")
            made.append(path)
    left = shutil.ignore_patterns("__pycache__", "ruff.toml", "results.json")
    made.append(shutil.copytree(COURSE / "project", out / "student" / "project", ignore=left, dirs_exist_ok=True))
    return made


def _not_published(folder: str, names: list[str]) -> Iterable[str]:
    """What of a folder of the course stays out of the mirror."""
    private = PRIVATE if Path(folder).parent == COURSE / "assignments" else ()
    patterns = ("__pycache__", "*.pyc", "results.json", "a[0-9][0-9].py", "course.yml", *INSTRUCTOR, *private)
    return shutil.ignore_patterns(*patterns)(folder, names)


def publish(out: Path, settings: Settings) -> list[Path]:
    """Write the course without its private half: engine, student notebooks, README, ``course.yml`` without its secret.

    Raises:
        SettingsError: the folder holds something already, the secret cannot be taken out of ``course.yml``, or a line
            of a solution has got into it.
    """
    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"{out} holds something already: name a folder that is empty or not there.")
    public = without_secret(settings)
    shutil.copytree(COURSE, out / "course", dirs_exist_ok=True, ignore=_not_published)
    (out / "course" / "course.yml").write_text(public, encoding="utf-8", newline="\n")
    build(out / "_parts", settings)
    for path in sorted((out / "_parts" / "student").glob("*.ipynb")):
        shutil.copy(path, out / path.name)
    shutil.rmtree(out / "_parts")
    leaks = leaked(out, settings)
    if leaks:
        shutil.rmtree(out)
        raise SettingsError(f"The mirror would show what is private, and was removed: {'; '.join(leaks[:3])}.")
    return sorted(path for path in out.rglob("*") if path.is_file())


def without_secret(settings: Settings) -> str:
    """``course.yml`` with other words in place of its secret.

    Raises:
        SettingsError: the secret is written in a way that cannot be replaced line by line.
    """
    told = (COURSE / "course.yml").read_text(encoding="utf-8")
    public = re.sub(r"^secret:.*", f'secret: "{KEPT}"', told, flags=re.MULTILINE)
    try:
        whole = yaml.safe_load(public) == yaml.safe_load(told) | {"secret": KEPT}
    except yaml.YAMLError:
        whole = False
    if not whole or settings.secret in public:
        raise SettingsError("course.yml: write the secret in one line of its own, and nowhere else.")
    return public


def leaked(folder: Path, settings: Settings) -> list[str]:
    """Where a folder shows what is private: a line of a solution or of a file of checks, a sample, or the secret."""
    private: dict[str, str] = {settings.secret: "the secret of course.yml"}
    for name, assignment in assignments().items():
        public = {line.strip() for cell in assignment.cells() for line in without_solution(cell).lines}
        private |= dict.fromkeys(solution_lines(assignment.cells()), f"a line of the solution of {name}")
        for file in PRIVATE:
            lines = {line.strip() for line in (assignment.folder / file).read_text(encoding="utf-8").splitlines()}
            lines -= {line for line in lines if line.startswith(("from ", "import ", "question:", "title:"))}
            long = {line for line in lines - public if len(line) >= SHORTEST}
            private |= dict.fromkeys(long, f"a line of {name}'s {file}")
    for path in sorted((COURSE / "quizzes").glob("*.yml")):
        keys = quiz.load(path).items
        private |= {item.why: f"the key of {item.key}" for item in keys if len(item.why) >= SHORTEST}
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8", errors="replace")
        text += text.replace('\\"', '"').replace("\\\\", "\\")  # as it stands in a notebook, and between quotes in YAML
        found += [f"{said} stands in {path.name}" for line, said in private.items() if line in text]
    return found
