"""What is made for students and instructors: assignments' notebooks, and the project's folder."""

import shutil
from pathlib import Path

from course.engine.assignments import COURSE, Assignment, assignments
from course.engine.settings import Settings
from course.engine.source import Cell, dumped, notebook, with_solution, without_solution

LEFT = ("ruff.toml", "results.json")
"""Files of the project's folder that are not handed out."""


def values(settings: Settings) -> dict[str, str]:
    """What a source's ``@NAME@`` stands for."""
    return {"SALT": settings.salt, "TERM": settings.term}


def project_files(folder: Path) -> dict[str, bytes]:
    """What of the project's folder is handed out, by its path there: no caches, nothing hidden, nothing of ``LEFT``."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in LEFT):
        inside = path.relative_to(folder)
        if not any(part.startswith((".", "__")) for part in inside.parts):
            found[inside.as_posix()] = path.read_bytes()
    return found


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
    project = out / "student" / "project"
    if project.exists():
        shutil.rmtree(project)  # what is no longer handed out would stay
    for name, data in project_files(COURSE / "project").items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(data)
    return [*made, project]
