"""What the developer commands and the tests share: finding, reading, writing and hashing the book's notebooks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.freshness import code_hash

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS: tuple[Path, ...] = tuple(sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")))
PAGES: tuple[Path, ...] = tuple(sorted({*(ROOT / "notebooks").glob("*.ipynb")} - {*CHAPTERS}))
"""Notebooks that are no chapters: executed, hashed and tested as chapters are, but without a chapter's parts."""

RUN_KEY = "aevb_run"
"""Where a notebook's metadata keeps the stamp of the run that made its outputs."""

FULL_RUN = {"AEVB_FAST": "0", "AEVB_REAL_DATA": "1", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
"""The environment of every full run: real data only, no progress bars; one thread, since the models are small."""

SETUP_CELL = """\
# On your machine this cell does nothing; on Colab it installs the book's helper package.
import sys

REPOSITORY = ""  # the book's address, stamped by `make repository URL=...`

if "google.colab" in sys.modules:
    if REPOSITORY:
        get_ipython().run_line_magic("pip", f"install --quiet git+{REPOSITORY}")
    else:
        print("Nothing installed: this copy of the book does not know its own address.")"""
"""The first code cell of every notebook, before an address is stamped into it."""


def read(path: Path) -> NotebookNode:
    """Read a notebook, checked against the notebook format."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all: a file beside it first, then one rename."""
    nbformat.validate(notebook)
    partial = path.with_suffix(".partial")
    partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    partial.replace(path)


def tags(cell: NotebookNode) -> frozenset[str]:
    """A cell's tags."""
    return frozenset(cell.metadata.get("tags", ()))


def code_cells(notebook: NotebookNode, *, without: str | None = None) -> Iterator[NotebookNode]:
    """The code cells that hold code, in order; ``without`` leaves out those with that tag."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip() and without not in tags(cell):
            yield cell


def notebook_hash(notebook: NotebookNode, root: Path = ROOT) -> str:
    """The hash of what made a notebook's outputs: its code cells, those tagged ``setup`` aside, and all they reach."""
    body: list[ast.stmt] = []
    for cell in code_cells(notebook, without="setup"):
        body += [*ast.parse(cell.source).body, ast.Pass()]  # the border of a cell
    return code_hash([ast.Module(body, type_ignores=[])], root)
