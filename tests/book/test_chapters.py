"""Every chapter runs, as a student has it, without solutions; and then each solution, one after the other, is right.

A cell that took a moment only is run a second time, as readers do; what it then says is not looked at, but it must run.
Figures are drawn without a search for the best layout, which takes half of their time.

With ``AEVB_FAKE_DEVICE=cuda`` (or ``mps``) each chapter begins with the line that lets it compute on a GPU, which is
that of ``tests/fake_device.py``.
"""

import copy
import os
from pathlib import Path

import nbformat
import pytest

from tools.execute import execute
from tools.notebooks import CHAPTERS, read, tags

A_MOMENT = 0.1  # seconds
AGAIN = f"""
import sys
import time
import matplotlib.pyplot as plt
import torch
from IPython.utils.capture import capture_output

def run_again(shell=get_ipython(), state={{"again": False}}):
    def begin(info):
        plt.rcParams["figure.constrained_layout.use"] = False
        if not state["again"]:
            state["began"] = time.monotonic()

    def end(result):
        if state["again"] or not result.success or time.monotonic() - state["began"] > {A_MOMENT}:
            return
        state["again"] = True
        try:
            with torch.random.fork_rng(devices=[]), capture_output():
                second = shell.run_cell(result.info.raw_cell, store_history=False)
        finally:
            state["again"] = False
        if not second.success:
            print(f"A second run of a cell failed: {{second.error_in_exec!r}}", file=sys.stderr)

    shell.events.register("pre_run_cell", begin)
    shell.events.register("post_run_cell", end)

run_again()
del run_again
"""

FAKE_DEVICE = os.environ.get("AEVB_FAKE_DEVICE", "")
ON_DEVICE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from fake_device import FakeDevice
FakeDevice({FAKE_DEVICE!r}).__enter__()
from aevb_utils import compute_on
compute_on({FAKE_DEVICE!r})
"""


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
    beginning = [ON_DEVICE, AGAIN] if FAKE_DEVICE else [AGAIN]
    notebook.cells[:0] = map(nbformat.v4.new_code_cell, beginning)
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


def test_a_cell_that_fails_the_second_time_is_found(tmp_path):
    begin = "import torch\nrows = [1]\n_ = torch.manual_seed(0)"
    sources = (AGAIN, begin, "print(rows.pop(), torch.rand(1))", "torch.rand(1)")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    execute(notebook, tmp_path, {})
    *_, popped, drawn = notebook.cells
    said = {output.name: output.text for output in popped.outputs if output.output_type == "stream"}
    assert said["stderr"] == "A second run of a cell failed: IndexError('pop from empty list')\n"
    assert said["stdout"] == "1 tensor([0.4963])\n"
    assert drawn.outputs[0].data["text/plain"] == "tensor([0.7682])"  # torch's random numbers go on as in one run
