"""Write what the chapters export: the cells tagged ``export``, in order, as modules of ``aevb_utils``.

``python -m tools.export``. A chapter names its module in its metadata, ``{"aevb_export": "models.gaussian_mixture"}``;
a cell that belongs to another module names it in its own metadata, in the same way.
"""

import ast
import sys
import textwrap
from pathlib import Path

from nbformat import NotebookNode

from tools.notebooks import CHAPTERS, ROOT, code_cells, read, tags

EXPORT_KEY = "aevb_export"
WIDTH = 91  # of a line in an exported module


def module_sources(notebook: NotebookNode, name: str) -> dict[str, str]:
    """The modules that a notebook's ``export`` cells make, by their dotted names within the package.

    A module's description is the string that opens its first cell; without one it is the chapter's title.

    Args:
        notebook: a chapter.
        name: its file name.

    Raises:
        ValueError: a cell is tagged ``export``, but neither it nor the notebook names a module.
    """
    default = notebook.metadata.get(EXPORT_KEY)
    cells: dict[str, list[str]] = {}
    for cell in code_cells(notebook):
        if "export" in tags(cell):
            module = cell.metadata.get(EXPORT_KEY, default)
            if module is None:
                raise ValueError(f"{name} exports a cell, but names no module: set {EXPORT_KEY} in its metadata.")
            cells.setdefault(module, []).append(cell.source.strip())
    title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
    return {module: _module_source(sources, title, name) for module, sources in cells.items()}


def _module_source(cells: list[str], title: str, name: str) -> str:
    """One module from its cells."""
    first = ast.parse(cells[0])
    description = ast.get_docstring(first)
    if description is not None:
        cells = ["\n".join(cells[0].splitlines()[first.body[0].end_lineno :]).strip(), *cells[1:]]
    origin = textwrap.fill(f"Exported from notebooks/{name} by ``make export``: edit the chapter.", WIDTH)
    header = f'"""{description or title + "."}\n\n{origin}\n"""'
    return "\n\n\n".join([f"{header}\n\n{cells[0]}", *cells[1:]]) + "\n"


def exports() -> dict[Path, str]:
    """For every module that a chapter exports: its file and what it should hold.

    Raises:
        ValueError: two chapters export the same module.
    """
    found: dict[Path, str] = {}
    for path in CHAPTERS:
        for module, source in module_sources(read(path), path.name).items():
            file = ROOT.joinpath("aevb_utils", *module.split(".")).with_suffix(".py")
            if file in found:
                raise ValueError(f"{path.name} exports {module}, which an earlier chapter exports too: rename one.")
            found[file] = source
    return found


def main() -> int:
    """Write every exported module."""
    for path, source in exports().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        print(f"Wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
