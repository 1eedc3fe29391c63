"""The setup cell does nothing where the package is there; elsewhere it installs it from its address, or says how."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tools.notebooks import CHAPTERS, PAGES, SETUP_CELL, read, tags

URL = "https://github.com/someone/em-to-aevb@v0.1.0"


class Shell:
    """Stands in for IPython's shell and notes the magics that a cell runs."""

    def __init__(self):
        self.magics = []

    def run_line_magic(self, name, line):
        self.magics.append((name, line))


def setup_sources():
    """The setup cell as it is kept in tools, and as it stands in each notebook."""
    found = {"tools": SETUP_CELL}
    for path in (*PAGES, *CHAPTERS):
        (cell,) = [cell for cell in read(path).cells if "setup" in tags(cell)]
        found[path.stem] = cell.source
    return found


def run(source, address):
    """Run the cell with this address stamped into it; return the magics it ran."""
    source, count = re.subn(r'^REPOSITORY = "[^"]*"', f'REPOSITORY = "{address}"', source, flags=re.MULTILINE)
    assert count == 1
    shell = Shell()
    exec(compile(source, "setup", "exec"), {"get_ipython": lambda: shell})
    return shell.magics


@pytest.fixture
def hub(monkeypatch):
    """A machine without the package: Colab, Kaggle, a course's JupyterHub."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aevb_utils" else found(name))


every_cell = pytest.mark.parametrize("source", setup_sources().values(), ids=setup_sources())


@every_cell
@pytest.mark.parametrize("address", ["", URL])
def test_nothing_happens_where_the_package_is_there(source, address, capfd):
    assert run(source, address) == []
    assert tuple(capfd.readouterr()) == ("", "")


@every_cell
def test_without_an_address_it_says_what_to_do_and_installs_nothing(source, hub, capfd):
    assert run(source, "") == []
    out, err = capfd.readouterr()
    assert out.startswith("Nothing installed: this copy of the book does not know its own address")
    assert "`%pip install FOLDER[book]`" in out
    assert (out.count("\n"), out.count(". "), err) == (1, 0, "")


@every_cell
def test_it_installs_the_package_once_from_its_address(source, hub, capfd):
    ((name, line),) = run(source, URL)
    assert name == "pip"
    assert shlex.split(line) == ["install", "--quiet", f"aevb-utils[book] @ git+{URL}"]
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_kernel_that_lacks_the_package_is_a_hub(tmp_path):
    """The same in a Python of its own, which sees nothing of this tree."""
    code = f"get_ipython = None\n{SETUP_CELL}"
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", code],  # -S: no installed packages
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert run.stdout.startswith("Nothing installed")
    assert not list(Path(tmp_path).iterdir())
