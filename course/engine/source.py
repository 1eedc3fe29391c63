"""An assignment's one source, a percent script, and the notebooks made from it: the student's and the instructor's."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.engine.settings import SettingsError

BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
LOOK = "from course.assignments.look import look"
"""A line of a source in whose place the function itself comes, at the cell's end: students have no ``course``."""
MARKER = re.compile(r"^# %%(?P<markdown> \[markdown\])?\s*$")


@dataclass(frozen=True)
class Cell:
    """A cell of a source."""

    kind: str
    lines: tuple[str, ...]


def cells_of(path: Path) -> list[Cell]:
    """The cells of a percent script.

    Raises:
        SettingsError: it does not begin with a cell, or the solution regions are not closed.
    """
    cells: list[tuple[str, list[str]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        marker = MARKER.match(line)
        if marker:
            cells.append(("markdown" if marker["markdown"] else "code", []))
        elif cells:
            cells[-1][1].append(line)
        elif line.strip():
            raise SettingsError(f"{path}, line {number}: a cell begins with '# %%' or '# %% [markdown]'.")
    made = [Cell(kind, tuple(_trimmed(kind, _written_out(lines)))) for kind, lines in cells]
    for cell in made:
        _regions(path, cell)
    return made


def _written_out(lines: list[str]) -> list[str]:
    """A cell's lines with the text of ``look`` in place of its import."""
    if LOOK not in lines:
        return lines
    text = (Path(__file__).parent.parent / "assignments" / "look.py").read_text(encoding="utf-8")
    rest = "\n".join(lines).replace(f"\n{LOOK}\n", "").rstrip("\n")
    return [*rest.split("\n"), "", "", *text[text.index("def look(") :].splitlines()]


def _trimmed(kind: str, lines: list[str]) -> list[str]:
    text = "\n".join(re.sub(r"^# ?", "", line) for line in lines) if kind == "markdown" else "\n".join(lines)
    return text.strip("\n").split("\n")


def _regions(path: Path, cell: Cell) -> None:
    inside = False
    for line in cell.lines:
        if line.strip() in (BEGIN, END):
            if inside == (line.strip() == BEGIN):
                raise SettingsError(f"{path}: {BEGIN} and {END} do not pair in the cell {cell.lines[0]!r}.")
            inside = not inside
    if inside:
        raise SettingsError(f"{path}: there is no {END} in the cell {cell.lines[0]!r}.")


def without_solution(cell: Cell) -> Cell:
    """A cell with ``...  # your code`` in place of each solution."""
    lines: list[str] = []
    inside = False
    for line in cell.lines:
        mark = line.strip()
        if mark == BEGIN:
            lines.append(line.replace(BEGIN, "...  # your code"))
        if not inside and mark not in (BEGIN, END):
            lines.append(line)
        inside = mark == BEGIN or (inside and mark != END)
    return Cell(cell.kind, tuple(lines))


def with_solution(cell: Cell) -> Cell:
    """A cell with its solution, without the marks."""
    return Cell(cell.kind, tuple(line for line in cell.lines if line.strip() not in (BEGIN, END)))


def solution_lines(cells: list[Cell], shortest: int = 25) -> set[str]:
    """The lines of all solutions that are long enough to be nobody else's and stand nowhere outside a solution."""
    inside, outside, within = set(), set(), False
    for line in (line.strip() for cell in cells for line in cell.lines):
        if line in (BEGIN, END):
            within = line == BEGIN
        else:
            (inside if within else outside).add(line)
    return {line for line in inside - outside if len(line) >= shortest}


def notebook(cells: list[Cell], values: dict[str, str]) -> dict[str, Any]:
    """A notebook of format 4 with these cells; ``@NAME@`` becomes the value of that name."""

    def source(cell: Cell) -> list[str]:
        text = "\n".join(cell.lines)
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        return text.splitlines(keepends=True)

    made = []
    for number, cell in enumerate(cells):
        common = {"cell_type": cell.kind, "id": f"cell-{number:02}", "metadata": {}, "source": source(cell)}
        made.append(common | ({"execution_count": None, "outputs": []} if cell.kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def dumped(content: dict[str, Any]) -> str:
    """A notebook's file."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
