"""What the developer commands and the tests share: finding, reading and hashing the book's notebooks."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS: tuple[Path, ...] = tuple(sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")))
PAGES: tuple[Path, ...] = tuple(sorted({*(ROOT / "notebooks").glob("*.ipynb")} - {*CHAPTERS}))
"""Notebooks that are no chapters: executed, hashed and tested as chapters are, but without a chapter's parts."""

HASH_KEY = "aevb_code_hash"
"""Where a notebook's metadata keeps the hash of the code that made its outputs."""

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


def code_hash(notebook: NotebookNode, root: Path = ROOT) -> str:
    """Hash what made a notebook's outputs: its code cells and the ``aevb_utils`` modules they import, directly or not.

    Cells tagged ``setup`` do not count. Code counts as a syntax tree without docstrings, so that comments and layout
    may change without a new run. Results that the code loads count too.
    """
    return hash_of([ast.parse(cell.source) for cell in code_cells(notebook, without="setup")], root)


def hash_of(trees: list[ast.Module], root: Path = ROOT) -> str:
    """Hash some code, the ``aevb_utils`` modules it imports, directly or not, and the results that it loads by name."""
    modules: dict[str, ast.Module] = {}
    queue = [name for tree in trees for name in _imports(tree, root)]
    while queue:
        name = queue.pop()
        if name not in modules:
            modules[name] = ast.parse(_module_file(name, root).read_text(encoding="utf-8"))
            queue.extend(_imports(modules[name], root))
    digest = hashlib.sha256()
    for tree in [*trees, *(modules[name] for name in sorted(modules))]:
        digest.update(_canonical(_without_docstrings(tree)).encode())
    for name in sorted({name for tree in trees for name in _results(tree)}):
        digest.update((root / "aevb_utils" / "results" / f"{name}.json").read_bytes())
    return digest.hexdigest()


def _results(tree: ast.Module) -> Iterator[str]:
    """The names in calls of ``results.load("name")``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="results"), attr="load"), args=[ast.Constant(value=str(name))]
            ):
                yield name


def _module_file(name: str, root: Path) -> Path:
    """The file of a module of the package."""
    base = root.joinpath(*name.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _imports(tree: ast.Module, root: Path) -> Iterator[str]:
    """The package's modules that a piece of code imports."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [s if _module_file(s, root).is_file() else node.module for s in submodules]
        yield from (name for name in names if name.split(".")[0] == "aevb_utils")


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree less every string that stands alone as a statement."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_string(statement)]
    return tree


def _is_string(statement: ast.stmt) -> bool:
    """Whether a statement is a lone string."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _canonical(node: object) -> str:
    """A syntax tree as text that is the same in every Python version (``ast.dump`` is not)."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({','.join(f'{name}={_canonical(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    return repr(node)
