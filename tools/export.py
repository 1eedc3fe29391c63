"""Write the book's models to ``aevb_utils/models``: the cells tagged ``export`` of each chapter, in order.

``python -m tools.export``. A chapter names its module in its metadata, ``{"aevb_export": "gaussian_mixture"}``.
"""

import sys
from pathlib import Path

from nbformat import NotebookNode

from tools.notebooks import CHAPTERS, ROOT, code_cells, read, tags

EXPORT_KEY = "aevb_export"


def module_source(notebook: NotebookNode, name: str) -> str:
    """The module that a notebook's ``export`` cells make; ``name`` is the notebook's file name."""
    title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
    cells = [cell.source.strip() for cell in code_cells(notebook) if "export" in tags(cell)]
    header = f'"""{title}.\n\nExported from notebooks/{name} by ``make export``: edit the chapter.\n"""'
    return "\n\n\n".join([f"{header}\n\n{cells[0]}", *cells[1:]]) + "\n"


def exports() -> dict[Path, str]:
    """For every chapter that exports: the module's file and what it should hold."""
    found = {}
    for path in CHAPTERS:
        notebook = read(path)
        if module := notebook.metadata.get(EXPORT_KEY):
            found[ROOT / "aevb_utils" / "models" / f"{module}.py"] = module_source(notebook, path.name)
    return found


def main() -> int:
    """Write every exported module."""
    for path, source in exports().items():
        path.write_text(source, encoding="utf-8")
        print(f"Wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
