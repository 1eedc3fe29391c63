"""What the developer commands and the tests share: finding, reading, writing and hashing the book's notebooks."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from aevb_utils.results.json_files import BrokenFileError, read_object
from aevb_utils.training.atomic_write import write_atomically
from tools.environments import ROOT
from tools.figure_outputs import named
from tools.freshness import code_hash
from tools.syntax import parse

CHAPTERS: tuple[Path, ...] = tuple(sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")))
PAGES: tuple[Path, ...] = tuple(sorted({*(ROOT / "notebooks").glob("*.ipynb")} - {*CHAPTERS}))
"""Notebooks that are no chapters: executed, hashed and tested as chapters are, but without a chapter's parts."""

RUN_KEY = "aevb_run"
"""Where a notebook's metadata keeps the stamp of the run that made its outputs."""

SETUP_CELL = """\
# @title Setup
# Where the book's package is missing, this cell installs it; elsewhere it does nothing.
from importlib.util import find_spec

REPOSITORY = ""  # where it is, stamped by `make repository URL=...`

if find_spec("aevb_utils") is None:
    if REPOSITORY:
        package = f'"aevb-utils[book] @ git+{REPOSITORY}"'
        get_ipython().run_line_magic("pip", "install --quiet " + package)
    else:
        print(
            "Nothing installed: this copy of the book does not know its own address, so "
            "run `%pip install FOLDER[book]` with the folder that holds pyproject.toml."
        )"""
"""The first code cell of every notebook, before an address is stamped into it."""


def read(path: Path) -> NotebookNode:
    """Read a notebook, checked against the notebook format.

    Raises:
        BrokenFileError: there is no such file, or it is no notebook of format 4.
    """
    content = read_object(path)
    try:
        reason = _fault(content)
        if reason is None:
            return nbformat.v4.to_notebook_json(content)
    except RecursionError:
        reason = "it is nested too deeply"
    raise BrokenFileError(f"{path} is no notebook of format 4 ({reason}): save it anew in Jupyter, or put it back.")


def _fault(content: dict[str, Any]) -> str | None:
    """What keeps a JSON object from being a notebook; None if nothing does."""
    if content.get("nbformat") != 4 or not isinstance(content.get("nbformat_minor"), int):
        return "its format is another one"
    for error in nbformat.validator.iter_validate(content):
        place, said = "/".join(map(str, error.path)), " ".join(error.message.split())
        return f"{place or 'all'}: {said if len(said) < 100 else said[:97] + '…'}"
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "it holds half a character, which no file can"
    ids = [cell["id"] for cell in content["cells"] if "id" in cell]
    return None if len(set(ids)) == len(ids) else "two cells have one id"


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all.

    Raises:
        ValidationError: it is no notebook.
        OSError: the file cannot be written; it is as it was.
    """
    nbformat.validate(notebook)
    write_atomically(path, (nbformat.writes(notebook) + "\n").encode())


def tags(cell: NotebookNode) -> frozenset[str]:
    """A cell's tags."""
    return frozenset(cell.metadata.get("tags", ()))


def code_cells(notebook: NotebookNode, *, without: str | None = None) -> Iterator[NotebookNode]:
    """The code cells that hold code, in order; ``without`` leaves out those with that tag."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip() and without not in tags(cell):
            yield cell


def outputs_of(notebook: NotebookNode) -> list[Any]:
    """The outputs of a notebook's code cells, by cell; of figures that compute only which they are."""
    return [[cell.get("id", ""), list(map(named, cell.outputs))] for cell in code_cells(notebook)]


def notebook_hash(notebook: NotebookNode, root: Path = ROOT, *, name: str = "The notebook", fast: bool = True) -> str:
    """The hash of what made a notebook's outputs: its code cells, those tagged ``setup`` aside, and all they reach.

    Args:
        notebook: as :func:`read` gives it.
        root: the folder that holds the packages.
        name: what an error calls the notebook.
        fast: whether its fast budgets count.

    Raises:
        BrokenFileError: a cell, or a module that it reaches, is no Python.
    """
    body: list[ast.stmt] = []
    for cell in code_cells(notebook, without="setup"):
        body += [*parse(cell.source, where(name, cell)).body, ast.Pass()]  # the border of a cell
    try:
        return code_hash(ast.Module(body, type_ignores=[]), root, fast=fast)
    except RecursionError as error:
        raise BrokenFileError(f"{name} has code that is nested too deeply: write it in several statements.") from error


def where(name: str, cell: NotebookNode) -> str:
    """A cell in the words of a message: its notebook, its id, its first line."""
    first = cell.source.strip().splitlines()[0]
    return f"{name}, in the cell {cell.get('id', '')!r} ({first[:40]!r}),"
