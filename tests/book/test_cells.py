"""Every cell of a notebook can be run twice: it changes nothing that an earlier cell made."""

import pytest
from reruns import Notebook

from tools.notebooks import CHAPTERS, PAGES, code_cells, read, tags

MADE = """
import copy, torch
from aevb_utils.training import fit
model, rows, total, names, log, options = Model(), torch.zeros(3), 0, [], {}, {"rate": 1}
families = {"full": Model(), "diagonal": Model()}
def adam(parameters):
    return torch.optim.Adam(list(parameters))
def climb(q):
    optimizer = adam(q.parameters())
    optimizer.step()
    return q
def note(*_):
    names.append(1)
def size(n):
    return n + total
class Watch:
    def __init__(self):
        self.seen = []
    def __call__(self, model):
        self.seen.append(model)
    def note(self, model):
        self.seen.append(model)
watch = Watch()
optimizer = adam(model.parameters())
"""

FAULTS = {
    "fit(model, rows, optimizer=adam(model.parameters()))": "changes model",
    "new = Model()\nfit(new, rows, optimizer=optimizer)": "changes optimizer",
    "new = Model()\nfit(new, rows, callback=note)": "changes names",
    "optimizer.step()": "changes optimizer",
    "own = adam(model.parameters())\nown.step()": "changes model",
    "parts = [model.weight]\nown = torch.optim.SGD(parts)\nown.step()": "changes model",
    "ends = {name: climb(q) for name, q in families.items()}": "changes families",
    "for name, q in families.items():\n    climb(q)": "changes families",
    "q = families['full']\nclimb(q)": "changes families",
    "for mine, its in zip([Model()], families.values()):\n    climb(its)": "changes families",
    "for p in model.parameters():\n    p.add_(1)": "changes model",
    "model.weight.data.copy_(rows)": "changes model",
    "names.append(1)": "changes names",
    "log['a'] = 1": "changes log",
    "options |= {'rate': 2}": "changes options",
    "names += [1]": "changes names",
    "total += 1": "changes total",
    "total = total + 1": "rebinds total",
    "rows = rows[1:]": "rebinds rows",
    "n = size(1)\ntotal = 3": "rebinds total",
    "watch(model)": "changes watch",
    "watch.note(model)": "changes watch",
    "del rows": "deletes rows",
    "from aevb_utils.models.factor_analysis import run_em\nrun_em(model, rows)": "changes model",
}

RIGHT = [
    "new = Model()\nfit(new, rows, optimizer=adam(new.parameters()))",
    "new = copy.deepcopy(model)\nclimb(new)",
    "ends = {name: climb(copy.deepcopy(q)) for name, q in families.items()}",
    "families = {'full': Model()}\nends = {name: climb(q) for name, q in families.items()}",
    "ends = {'first': model}\nends['new'] = copy.deepcopy(model)\nclimb(ends['new'])",
    "for mine, its in zip([Model()], families.values()):\n    climb(mine)",
    "names = []\nnames.append(1)",
    "total = 0\nfor row in rows:\n    total += row",
    "total, rows = 1, torch.ones(3)",
    "watch = Watch()\nwatch(model)",
    "kept = {**options, 'rate': 2}\nkept['rate'] = 3",
    "sizes = [total for total in rows]\ntotal = 3",
    "def size(total):\n    total = total + 1\n    return total\ntotal = size(1)",
    "model = Model()\nfor p in model.parameters():\n    p.add_(1)",
    "from aevb_utils.models.mixture_em import run_em\nrun_em(rows, model)",
]


def faults_of(cell: str) -> list[str]:
    """The faults of a cell after those that made its things."""
    notebook = Notebook()
    assert notebook.read(MADE) == []
    return [fault.partition(" (")[0] for fault in notebook.read(cell)]


@pytest.mark.parametrize(("cell", "fault"), FAULTS.items(), ids=range(len(FAULTS)))
def test_a_cell_that_changes_what_an_earlier_one_made_is_found(cell, fault):
    assert faults_of(cell) == [fault]


@pytest.mark.parametrize("cell", RIGHT, ids=range(len(RIGHT)))
def test_a_cell_that_changes_only_its_own_things_is_right(cell):
    assert faults_of(cell) == []


@pytest.mark.parametrize("path", [*PAGES, *CHAPTERS], ids=lambda path: path.stem)
def test_no_cell_of_a_notebook_changes_what_an_earlier_one_made(path):
    notebook = Notebook()
    for cell in code_cells(read(path), without="setup"):
        faults = notebook.read(cell.source)
        assert "live" in tags(cell) or not faults, f"{faults}: build it here, or take a copy, in\n{cell.source}"
