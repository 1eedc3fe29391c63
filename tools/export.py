"""Write what is made from other sources: exported modules, ladder, cover, reading times, what follows in notebooks.

``python -m tools.export``. What follows in a notebook from the rest of it, :mod:`tools.readable` says. A module is a
chapter's cells tagged ``export``, in order. A chapter names its module in its metadata,
``{"aevb_export": "models.gaussian_mixture"}``; a cell that belongs to another module names it in its own metadata, in
the same way. A module imports no more than it needs, of what the chapter's export cells import, and of what they define
for other modules.
"""

import ast
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from aevb_utils.figures.ladder import write as write_ladder
from aevb_utils.results.json_files import BrokenFileError
from aevb_utils.training.atomic_write import write_atomically
from tools import cover
from tools.commands import command
from tools.freshness import definitions, global_names
from tools.notebooks import CHAPTERS, PAGES, ROOT, code_cells, read, tags, where, write
from tools.readable import TITLE, make_readable
from tools.road import tables
from tools.syntax import parse

EXPORT_KEY = "aevb_export"
PICTURE = ROOT / "book" / "static" / "ladder.svg"
TABLES = (ROOT / "README.md", ROOT / "index.md")  # of the chapters
WIDTH = 91  # of a line in an exported module


def module_sources(notebook: NotebookNode, name: str) -> dict[str, str]:
    """The modules that a notebook's ``export`` cells make, by their dotted names within the package.

    A module's description is the string that opens its first cell; without one it is the chapter's title.

    Args:
        notebook: a chapter.
        name: its file name.

    Raises:
        BrokenFileError: a cell is tagged ``export``, but is no Python, or neither it nor the notebook names a module.
    """
    default = notebook.metadata.get(EXPORT_KEY)
    cells: dict[str, list[str]] = {}
    for cell in code_cells(notebook):
        if "export" in tags(cell):
            module = cell.metadata.get(EXPORT_KEY, default)
            if module is None:
                raise BrokenFileError(f"{name} exports a cell, but names no module: set {EXPORT_KEY} in its metadata.")
            if not (isinstance(module, str) and all(part.isidentifier() for part in module.split("."))):
                raise BrokenFileError(f"{name} exports to {module!r}: {EXPORT_KEY} must be like 'models.vae'.")
            parse(cell.source, where(name, cell))
            cells.setdefault(module, []).append(TITLE.sub("", cell.source).strip())
    for module, sources in cells.items():
        if not any(map(_without_imports, sources)):
            raise BrokenFileError(f"{name} exports nothing but imports to {module!r}: tag a cell with code, or none.")
    title = next(iter(notebook.cells[0].source.splitlines() if notebook.cells else []), name).lstrip("# ")
    trees = {module: ast.parse("\n".join(sources)) for module, sources in cells.items()}
    return {
        module: _module_source(sources, title, name, _imports_for(module, trees)) for module, sources in cells.items()
    }


def _imports_for(module: str, trees: dict[str, ast.Module]) -> str:
    """The lines that import what a module needs, out of what its chapter's modules import and define."""
    own = [statement for statement in trees[module].body if not isinstance(statement, ast.Import | ast.ImportFrom)]
    needed = global_names(own) - set(definitions(own))
    blocks: list[dict[str, dict[str, str]]] = [{}, {}, {}]  # the standard library, others, the book's own
    for other, tree in trees.items():
        for statement in tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                for alias in statement.names:
                    if (alias.asname or alias.name.split(".")[0]) in needed:
                        _add(blocks, getattr(statement, "module", None), ast.unparse(alias))
        for name in definitions(tree.body) if other != module else ():
            if name in needed:
                _add(blocks, f"aevb_utils.{other}", name)
    return "\n\n".join("\n".join(_lines(block)) for block in blocks if block)


def _add(blocks: list[dict[str, dict[str, str]]], source: str | None, name: str) -> None:
    """Add an imported name to the block it belongs to; a plain import has no source."""
    top = (source or name).split(".")[0]
    block = blocks[0 if top in sys.stdlib_module_names else 2 if top == "aevb_utils" else 1]
    block.setdefault(source or "", {})[name] = name


def _lines(block: dict[str, dict[str, str]]) -> Iterator[str]:
    """The lines of a block, as ruff writes them: plain imports first, constants before classes before functions."""
    for source, names in sorted(block.items()):
        ordered = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
        line = f"from {source} import {', '.join(ordered)}"
        if not source:
            yield from (f"import {name}" for name in sorted(names))
        elif len(line) > WIDTH:
            yield from (f"from {source} import (", *(f"    {name}," for name in ordered), ")")
        else:
            yield line


def _module_source(cells: list[str], title: str, name: str, imports: str) -> str:
    """One module from its cells, below the imports that it needs."""
    description = ast.get_docstring(ast.parse(cells[0]))
    origin = textwrap.fill(f"Exported from notebooks/{name} by ``make export``: edit the chapter.", WIDTH)
    header = f'"""{description or title + "."}\n\n{origin}\n"""'
    first, *others = (source for cell in cells if (source := _without_imports(cell)))
    gap = "\n\n\n" if first.startswith(("def ", "class ", "@")) or not imports else "\n\n"
    return "\n\n\n".join([f"{header}\n\n{imports}{gap if imports else ''}{first}", *others]) + "\n"


def _without_imports(cell: str) -> str:
    """A cell's code less its imports and the string that opens it."""
    lines = cell.splitlines()
    for place, statement in reversed(list(enumerate(ast.parse(cell).body))):
        opening = place == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if opening or isinstance(statement, ast.Import | ast.ImportFrom):
            del lines[statement.lineno - 1 : statement.end_lineno]
    return "\n".join(lines).strip()


def exports() -> dict[Path, str]:
    """For every module that a chapter exports: its file and what it should hold.

    Raises:
        BrokenFileError: a chapter is broken, or two export the same module.
    """
    found: dict[Path, str] = {}
    for path in CHAPTERS:
        for module, source in module_sources(read(path), path.name).items():
            file = ROOT.joinpath("aevb_utils", *module.split(".")).with_suffix(".py")
            if file in found:
                raise BrokenFileError(f"{path.name} exports {module}, as an earlier chapter does: rename one.")
            found[file] = source
    return found


def picture() -> bytes:
    """The ladder as an SVG file."""
    with tempfile.TemporaryDirectory(prefix="aevb-export-") as folder:
        file = Path(folder) / PICTURE.name
        write_ladder(file)
        return file.read_bytes()


@command
def main() -> int:
    """Write every notebook that lacks something, every module, the tables of chapters, ladder and cover: each whole."""
    for path in (*PAGES, *CHAPTERS):
        notebook = read(path)
        make_readable(notebook, path)
        if notebook != read(path):
            write(notebook, path)
            print(f"Wrote {path.relative_to(ROOT)}")
    files = {path: source.encode() for path, source in (exports() | tables(TABLES, CHAPTERS)).items()} | {
        PICTURE: picture()
    }
    if (shown := cover.content()) is None:
        print(f"{cover.COVER.name} stays as it is: it shows real eruptions, which cannot be had here.")
    else:
        files[cover.COVER] = shown.encode()
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        print(f"Wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
