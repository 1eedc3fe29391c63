"""Refreshing: what behaves as before is stamped, what does not stays stale and says what differs.

The stamps that are there, and a run that fails, are made by fast runs in processes of their own, as always; the other
fast runs are made in this process, where nothing has to be imported for them.
"""

import contextlib
import json
import shutil
import sys
from dataclasses import replace

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from small_notebooks import notebook_of

from tools import fast_run, stamps
from tools import refresh as refreshing
from tools.experiments import store, stored
from tools.notebooks import RUN_KEY, read, write
from tools.refresh import all_stored, main, refresh
from tools.stamps import FULL, SAME, Stamp

CODE = """
from aevb_utils.checking import check_close

total = sum(range(5))
check_close("the sum", total, 10)
print(f"{total / 3:.4f}")
"""


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A folder with a notebook and an experiment, each with the stamp of a full run."""
    root = tmp_path_factory.mktemp("book")
    path, script = root / "notebooks" / "page.ipynb", root / "experiments" / "doubled.py"
    for folder in (path.parent, script.parent, root / "aevb_utils" / "results"):
        folder.mkdir(parents=True)
    script.write_text("def main():\n    value = 21\n    return {'value': 2 * value}\n", encoding="utf-8")
    notebook = notebook_of(CODE)
    notebook.cells[0].execution_count = 1
    write(notebook, path)
    store(script, {"figures": {"value": 42}})
    for item in all_stored((path,), (script,)):
        item.write(Stamp.of_full_run(item.file, item.code_hash, item.present_hash(fast=False), item.outputs()))
    return root


@pytest.fixture
def files(originals, tmp_path):
    """The two in a folder of the test's own."""
    shutil.copytree(originals, tmp_path, dirs_exist_ok=True)
    return tmp_path / "notebooks" / "page.ipynb", tmp_path / "experiments" / "doubled.py"


@pytest.fixture
def at_hand(monkeypatch):
    """Fast runs are made in this process, by what a process of their own would call."""

    def fingerprint(file, root=None):
        with contextlib.chdir(file.parent):
            if file.suffix != ".ipynb":
                return fast_run.of_experiment(file)
            try:
                return json.loads(json.dumps(fast_run.of_notebook(file)))
            finally:
                InteractiveShell.clear_instance()

    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # a shell puts its own there
    monkeypatch.setattr(refreshing, "fingerprint", fingerprint)
    monkeypatch.setattr(stamps, "fingerprint", fingerprint)


def change(path, old, new):
    if path.suffix == ".ipynb":
        notebook = read(path)
        assert old in notebook.cells[0].source
        notebook.cells[0].source = notebook.cells[0].source.replace(old, new)
        write(notebook, path)
    else:
        assert old in path.read_text(encoding="utf-8")
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_what_behaves_as_before_is_stamped_and_nothing_else_is_touched(files, at_hand, capsys):
    path, script = files
    change(path, "total", "amount")
    change(script, "value = 21", "value = 3 * 7")
    before = read(path)
    assert [item.is_fresh for item in all_stored((path,), (script,))] == [False, False]
    assert main(all_stored((path,), (script,))) == 0
    assert "same by fast run" in capsys.readouterr().out
    items = all_stored((path,), (script,))
    assert [(item.is_fresh, item.stamp.made_by) for item in items] == [(True, SAME), (True, SAME)]
    after = read(path)
    assert before.metadata.pop(RUN_KEY)["made_by"] == FULL
    after.metadata.pop(RUN_KEY)
    assert after == before
    assert stored(script)["figures"] == {"value": 42}
    assert main(all_stored((path,), (script,))) == 0
    assert "0 of 2 notebooks and experiments are stale." in capsys.readouterr().out


def test_what_differs_is_said_and_left_as_it_was(files, at_hand, capsys):
    path, script = files
    change(path, "range(5)", "range(1, 5)")  # the same
    change(script, "2 * value", "value + 22")
    kept = json.dumps(stored(script))
    assert main(all_stored((path,), (script,))) == 1
    out = capsys.readouterr().out
    assert "doubled: differs" in out
    assert "figures 1: /value: 42 → 43" in out
    assert "make results NAME=doubled" in out
    assert "page: same by fast run" in out
    assert json.dumps(stored(script)) == kept


def only(script):
    (item,) = all_stored((), (script,))
    return item


def test_a_copy_of_the_book_as_it_was_tells_a_processor_from_a_change(files, at_hand, tmp_path_factory):
    _, script = files
    change(script, "value = 21", "value = 21.1")
    store(script, {"figures": {"value": 42.2}})
    item = only(script)
    item.write(Stamp.of_full_run(script, item.code_hash, item.present_hash(fast=False), item.outputs()))
    before = tmp_path_factory.mktemp("before") / "book"
    shutil.copytree(script.parents[1], before)
    stamp = only(script).stamp
    rows = [[value + 1e-6 if isinstance(value, float) else value for value in row] for row in stamp.fingerprint]
    assert rows != stamp.fingerprint
    only(script).write(replace(stamp, fingerprint=rows))  # as another processor has them

    change(script, "2 * value", "value + value")
    assert refresh(only(script)) != []
    assert refresh(only(script), before) == []
    after = only(script)
    assert (after.is_fresh, after.stamp.made_by, after.stamp.fingerprint) == (True, SAME, rows)

    change(script, "value + value", "value * value")
    (said,) = refresh(only(script), before)  # the copy is of the code before the last stamp
    assert "is not the code that its stamp belongs to" in said
    after.write(stamp)
    (said,) = refresh(only(script), before)
    assert said.startswith("figures 1: /value: 42.2 → 445.21")
    assert not only(script).is_fresh


def test_another_fast_budget_takes_a_new_fingerprint(files, at_hand):
    path, _ = files
    change(path, "range(5)", "range(budget(full=5, fast=3))")
    change(path, "import check_close", "import check_close\nfrom aevb_utils.budget import budget")
    change(path, '", total, 10)', '", total, budget(full=10, fast=3))')
    (item,) = all_stored((path,), ())
    item.write(Stamp.of_full_run(path, item.code_hash, item.present_hash(fast=False), item.outputs()))
    change(path, "full=5, fast=3", "full=5, fast=4")
    change(path, "full=10, fast=3", "full=10, fast=6")
    (item,) = all_stored((path,), ())
    assert not item.is_fresh
    assert refresh(item) == []
    (after,) = all_stored((path,), ())
    assert after.is_fresh
    assert after.stamp.made_by == FULL
    assert (item.stamp.fingerprint[0][2:], after.stamp.fingerprint[0][2:]) == ([3, 3], [6, 6])

    change(path, "fast=4", "fast=3")  # together with a change that the full run sees, it is none of a budget alone
    change(path, "fast=6", "fast=3")
    change(path, "total / 3", "total / 4")
    (item,) = all_stored((path,), ())
    assert refresh(item) != []


def test_outputs_that_were_changed_by_hand_are_not_stamped(files):
    path, script = files
    change(path, "total", "amount")
    change(script, "value = 21", "value = 3 * 7")
    notebook = read(path)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="4.0000\n")]
    write(notebook, path)
    store(script, stored(script) | {"figures": {"value": 43}})
    for item in all_stored((path,), (script,)):
        (said,) = refresh(item)
        assert said == "what is stored is not what its last run left: it was changed by hand, or is from another run"
        assert not item.is_fresh


def test_what_fails_or_was_never_run_stays_stale(files, capsys):
    path, script = files
    change(path, "range(5)", "range(6)")  # its check fails
    script.with_name("halved.py").write_text("def main():\n    return {}\n", encoding="utf-8")
    (never,) = all_stored((), (script.with_name("halved.py"),))
    assert refresh(never) == ["it has never been run as it is"]
    assert main(all_stored((path,), ())) == 1
    assert "page.ipynb failed in the fast budget" in capsys.readouterr().out
    notebook = read(path)
    notebook.cells[0].execution_count = None
    write(notebook, path)
    (new_cell,) = all_stored((path,), ())
    assert refresh(new_cell) == ["it has never been run as it is"]
