"""The setup cell does nothing here; on Colab it installs the helper package from the book's address or says why not."""

import re
import sys
from types import ModuleType

import pytest

from tools.notebooks import CHAPTERS, PAGES, SETUP_CELL, read, tags

URL = "https://github.com/someone/em-to-aevb"


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
def colab(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))


every_cell = pytest.mark.parametrize("source", setup_sources().values(), ids=setup_sources())


@every_cell
@pytest.mark.parametrize("address", ["", URL])
def test_nothing_happens_on_this_machine(source, address, capfd, monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert run(source, address) == []
    assert tuple(capfd.readouterr()) == ("", "")


@every_cell
def test_on_colab_without_an_address_it_says_so_and_installs_nothing(source, colab, capfd):
    assert run(source, "") == []
    out, err = capfd.readouterr()
    assert out.startswith(("Nothing installed", "This copy of the book"))
    assert "does not know its own address" in out
    assert out.count("\n") == 1
    assert err == ""


@every_cell
def test_on_colab_it_installs_the_package_once_from_its_address(source, colab, capfd):
    ((name, line),) = run(source, URL)
    assert name == "pip"
    assert line.split() == ["install", "--quiet", f"git+{URL}"]
    assert tuple(capfd.readouterr()) == ("", "")
