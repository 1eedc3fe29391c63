"""Every chapter runs, as a student has it, without solutions; and then each solution, one after the other, is right."""

import copy

import nbformat
import pytest

from tools.execute import execute
from tools.notebooks import CHAPTERS, read, tags


def printed(cell) -> str:
    """What a code cell printed."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def exercise_cells(notebook):
    """The stub, the check and the solution of each exercise, in order."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    by_tag = [[cell for cell in cells if tag in tags(cell)] for tag in ("exercise", "check", "solution")]
    return list(zip(*by_tag, strict=True))


def solved(notebook):
    """The student's notebook, without the solutions; at its end each exercise again, with its solution.

    Returns:
        The notebook, and for each exercise its stub, its check, and its solution with the check after it.
    """
    student = nbformat.v4.new_notebook(metadata=notebook.metadata)
    student.cells = [copy.deepcopy(cell) for cell in notebook.cells if "solution" not in tags(cell)]
    checks = [cell for cell in student.cells if cell.cell_type == "code" and "check" in tags(cell)]
    exercises = []
    for (stub, check, solution), unanswered in zip(exercise_cells(notebook), checks, strict=True):
        again = [nbformat.v4.new_code_cell(cell.source) for cell in (stub, solution, check)]
        student.cells += again
        exercises.append((unanswered, *again[1:]))
    return student, exercises


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_student_version_runs_and_every_solution_is_right(path):
    notebook, exercises = solved(read(path))
    execute(notebook, path.parent, {})
    assert exercises
    for unanswered, solution, check in exercises:
        (line,) = printed(unanswered).splitlines()
        assert line.startswith("· exercise "), line
        assert "not answered yet" in line
        name = line.split()[2].rstrip(":")
        assert printed(check) == f"✓ exercise {name}: right.\n"
        assert "✗" not in printed(solution), printed(solution)
    said = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in said if output.get("name") == "stderr"] == []
