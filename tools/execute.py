"""Run notebooks in full and store their outputs, clean, with a stamp of the code that made them.

``python -m tools.execute [NOTEBOOK ...]`` (all if none is named). A notebook is written only when all of its
cells ran, every data set was the real one and nothing was printed to stderr; otherwise it stays as it was.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode

from aevb_utils.results.json_files import BrokenFileError
from tools.commands import command
from tools.environments import FULL_RUN, python_path
from tools.fast_run import FastRunError
from tools.figure_outputs import draw_anew
from tools.kernels import SocketKernelManager
from tools.notebooks import (
    CHAPTERS,
    PAGES,
    RUN_KEY,
    code_cells,
    notebook_hash,
    outputs_of,
    read,
    tags,
    write,
)
from tools.pictures import PictureError, add_pictures
from tools.stamps import Stamp

WIDGET = "application/vnd.jupyter.widget-view+json"


class UncleanOutputError(RuntimeError):
    """A cell printed something that does not belong in a stored output."""


def execute(notebook: NotebookNode, folder: Path, environment: Mapping[str, str] = FULL_RUN) -> None:
    """Run all cells in a fresh kernel in ``folder``, with the package of this tree, and store their outputs.

    Raises:
        CellControlSignal: a cell failed or took over an hour.
        DeadKernelError: the kernel died.
    """
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    client = NotebookClient(
        notebook,
        timeout=3600,
        kernel_name="python3",
        kernel_manager_class=SocketKernelManager,
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute(cwd=str(folder), env=os.environ | {"PYTHONPATH": python_path()} | environment)


def clean(notebook: NotebookNode) -> None:
    """Drop what a stored notebook must not hold: widgets (progress bars, live figures).

    The kernel is named as JupyterLab names it, which would otherwise mark the notebook as changed when it is opened.

    Raises:
        UncleanOutputError: a cell printed to stderr.
    """
    notebook.metadata.pop("widgets", None)
    notebook.metadata.kernelspec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise UncleanOutputError(f"A cell printed to stderr:\n{cell.source}\n{output.text}")
        cell.outputs = [] if "live" in tags(cell) else [o for o in cell.outputs if WIDGET not in o.get("data", {})]


@command
def main(paths: list[Path]) -> int:
    """Execute the notebooks one after the other; return 1 at the first that fails, 2 if there is none of that name.

    A notebook that fails stays as it was.
    """
    for path in paths:
        if not path.is_file():
            print(f"There is no notebook {path}: name one of those in notebooks/.", file=sys.stderr)
            return 2
        print(f"Executing {path.name} …", flush=True)
        try:
            write(_executed(path), path)
        except (
            CellControlSignal,
            DeadKernelError,
            UncleanOutputError,
            PictureError,
            FastRunError,
            BrokenFileError,
        ) as error:
            print(f"{error}\n{path.name} was left as it was.", file=sys.stderr)
            return 1
    return 0


def _executed(path: Path) -> NotebookNode:
    """A notebook with new outputs and the stamp of the run that made them."""
    before, notebook = read(path), read(path)
    made_of = notebook_hash(notebook, name=path.name)
    execute(notebook, path.parent)
    clean(notebook)
    add_pictures(notebook)
    draw_anew(notebook)
    full = notebook_hash(before, name=path.name, fast=False)
    stamp = Stamp.of_full_run(path, made_of, full, outputs_of(notebook))
    if notebook_hash(before) != made_of or read(path) != before:
        raise UncleanOutputError("The notebook, or code that it reaches, has changed while it ran: run it again.")
    notebook.metadata[RUN_KEY] = stamp.as_json()
    return notebook


if __name__ == "__main__":
    sys.exit(main([Path(name).resolve() for name in sys.argv[1:]] or [*PAGES, *CHAPTERS]))
