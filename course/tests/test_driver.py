"""Which cells are run: all that the graded functions can depend on, and no figure after them."""

from dataclasses import replace

import pytest
from boxes import needs_box
from small import checks, notebook

from course.engine.assignments import assignment, assignments
from course.engine.box import Rung
from course.engine.grade import grade
from course.engine.needed import last_needed
from course.engine.source import with_solution, without_solution

DATA = "import torch\nx = torch.ones(3)\nprint(x)"
F = "def f(a):\n    return helper(a) * 2"
HELPER = "def helper(a):\n    return a + 1"
FIGURE = "import matplotlib.pyplot as plt\nax = plt.axes()\nax.plot(x, f(x))\nax.set_title('f')\nplt.show()"


@pytest.mark.parametrize(
    ("cells", "last"),
    [
        ([DATA, HELPER, F, FIGURE], 2),
        ([DATA, F, FIGURE, HELPER, FIGURE], 3),
        ([DATA, F, HELPER, "x = 3\nfor n in range(3): y = helper(n)"], 2),
        ([DATA, F, HELPER, FIGURE, "def helper(a):\n    return a"], 4),
        ([F, "w = []", "def helper(a):\n    return w + a", "other = 3", "w.append(3)", "print(3)"], 4),
        ([F, "w = 3", "def helper(a):\n    return w + a", "for w in range(3): pass", "print(3)"], 3),
        ([F, "w = [3]", "def helper(a):\n    return w[0] + a", "print(3)", FIGURE, "print(3)"], 4),  # it may change w
        ([F, HELPER, "def later():\n    global helper\n    helper = 3", "print(3)"], 2),
        ([F, HELPER, "def later():\n    global helper\n    helper = 3", "print(3)", "later()", "print(3)"], 4),
        ([F, "w = []\ndef helper(a): return w", "def more(): w.append(3)", "print(3)", "more()", "print(3)"], 4),
        (
            [F, "w = []\ndef helper(a): return w", "def g(): h()\ndef h(): w.append(3)", "print(3)", "g()", "print(3)"],
            4,
        ),
        ([F, HELPER, "import torch\ntorch.set_default_dtype(torch.float32)", "print(3)"], 2),
        # where a cell's text does not show what it does, all are run
        ([F, HELPER, "import torch\ntorch.exp = torch.log", "print(3)"], 3),
        ([F, HELPER, "def g(): torch.exp = torch.log", "print(3)"], 3),
        ([F, HELPER, "def g(): torch.set_default_dtype(torch.float32)", "print(3)", "g()", "print(3)"], 5),
        ([F, HELPER, "exec('def helper(a): return a')", "print(3)"], 3),
        ([F, HELPER, "%matplotlib inline\nprint(3)", "print(3)"], 3),
        (["%matplotlib inline\ndef helper(a): return k(a)", F, "def k(a): return a"], 2),
        ([F, HELPER, "from math import *", "print(3)"], 3),
        (["def f(a): return a", "def g(): pass\ng.t = {}", "def f(a): return g.t[a]", "g.t[1] = 2"], 3),
        # state has other names, is held by others, or by a class or a function
        (["w = {}", "alias = w\ndef f(a): return w[a]", "print(3)", "alias[1] = 2", "print(3)"], 3),
        (["w = {}\ndef f(a): return w[a]", "box = []\nbox.append(w)", "box[0][1] = 2", "print(3)"], 2),
        (["w = {}\ndef f(a): return w[a]", "box = []\ndef put(d): box.append(d)", "put(w)", "box[0][1] = 2"], 3),
        (["w = 3", "def helper(a):\n    return w + a", F, FIGURE], 2),
        (["class A: w = {}", "def f(a): return A.w[a]", "print(3)", "A.w[1] = 2", "print(3)"], 3),
        (["def f(a, w={}): return w", "print(3)", "f(3)[1] = 2", "print(3)"], 2),
        (["class A:\n    'A.'\n    w = 3\n    def set(me): me.v = 4", "def f(a): return A().set()", FIGURE, FIGURE], 1),
        (["class A:\n    w = 3", "import A as helper", F, "class B:\n    helper = 3"], 2),
        (["f = lambda a: a", "print(3)"], 0),
        (["import numpy as f", "print(3)"], 0),
        (["@cache\ndef f(a): return a", "def cache(f): return f", "print(3)"], 1),
        (["print(3)", "print(4)"], 1),
        (["exec('def f(a): return a')", "print(4)"], 1),
        (["(" * 500, "def f(a): return a", "print(4)"], 2),
    ],
)
def test_cells_run_to_the_last_one_that_a_function_depends_on(cells, last):
    assert last_needed(cells, {"f"}) == last


OPTIMIZER = """
import sys
import torch
def double(x):
    p = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([p], lr=0.5)
    p.sum().backward()
    optimizer.step()
    assert p[0] < 0
    return 2 * x if type(sys.modules["torch._dynamo"]).__name__ == "NoCompiler" else 0
def cumulate(x):
    import torch._dynamo.config
    assert torch.vmap(lambda a: 2 * a)(torch.ones(3)).sum() == 6
    return torch.compile(lambda a: a.cumsum(0), backend="eager")(x)
"""


@needs_box
def test_an_optimizer_does_not_import_the_compiler_and_the_compiler_is_there(tmp_path):
    """Its import took a second of every call that trains."""
    result = grade(
        notebook(tmp_path / "a.ipynb", OPTIMIZER), "any", [replace(check, seconds=20) for check in checks()], Rung.BOX
    )
    assert [(item.score, item.sentence) for item in result.items] == [(2, ""), (2, ""), (3, ""), (3, "")]


CRASHES = """
def double(x):
    if x[0] == 1 and len(x) == 4 and x[1] == 3:
        import ctypes
        ctypes.string_at(0)
    return 2 * x
def cumulate(x):
    return x.cumsum(0)
"""


@needs_box
def test_a_case_that_crashes_python_costs_itself_alone(tmp_path):
    result = grade(notebook(tmp_path / "a.ipynb", CRASHES), "any", checks(), Rung.BOX)
    assert [(item.score, item.sentence) for item in result.items] == [
        (0, "It crashed Python."),
        (2, ""),
        (3, ""),
        (3, ""),
    ]


@pytest.mark.parametrize("name", assignments())
def test_the_figures_of_the_assignments_are_not_run(name):
    functions = {task.function for task in assignment(name).module().TASKS}
    for side in (with_solution, without_solution):
        cells = ["\n".join(side(cell).lines) for cell in assignment(name).cells() if cell.kind == "code"]
        last = last_needed(cells, functions)
        assert all(any(f"def {function}(" in cell for cell in cells[: last + 1]) for function in functions)
        assert not any("plt.show()" in cell for cell in cells[: last + 1])
