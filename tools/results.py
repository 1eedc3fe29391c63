"""Run the scripts that are too long for a notebook and store what they find in ``aevb_utils/results``.

``python -m tools.results [NAME ...]`` (all of ``results/*.py`` if none is named). A script has a function ``main`` that
returns its figures, ready for JSON; they are stored with the hash of the code that made them.
"""

import ast
import json
import os
import runpy
import sys
import time
from pathlib import Path

from tools.notebooks import FULL_RUN, ROOT, hash_of

SCRIPTS: tuple[Path, ...] = tuple(sorted((ROOT / "results").glob("[!_]*.py")))
"""A file whose name begins with ``_`` is no script: it holds what several scripts share."""


def script_hash(script: Path) -> str:
    """The hash of a script, of what it imports from its own folder, and of the package's modules that they import."""
    trees = {script: ast.parse(script.read_text(encoding="utf-8"))}
    queue = [script]
    while queue:
        for file in _beside(trees[queue.pop()], script.parent):
            if file not in trees:
                trees[file] = ast.parse(file.read_text(encoding="utf-8"))
                queue.append(file)
    return hash_of(list(trees.values()))


def _beside(tree: ast.Module, folder: Path) -> list[Path]:
    """The files of the folder ``results`` that a piece of code imports, in order."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = [folder / f"{name.removeprefix('results.')}.py" for name in names if name.startswith("results.")]
    return [file for file in files if file.is_file()]


def file_of(script: Path) -> Path:
    """Where a script's figures are stored."""
    return ROOT / "aevb_utils" / "results" / f"{script.stem}.json"


def run(script: Path) -> None:
    """Run a script's ``main`` and store its figures, whole or not at all."""
    started = time.perf_counter()
    figures = runpy.run_path(str(script))["main"]()
    stored = {
        "code_hash": script_hash(script),
        "machine": f"{os.cpu_count()} CPU cores, one thread",
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "figures": figures,
    }
    partial = file_of(script).with_suffix(".partial")
    partial.write_text(json.dumps(stored, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(file_of(script))
    print(f"Wrote {file_of(script).relative_to(ROOT)}")


def main(names: list[str]) -> int:
    """Run the named scripts, or all."""
    known = {script.stem: script for script in SCRIPTS}
    for name in names or known:
        if name not in known:
            print(f"There is no script results/{name}.py: name one of {', '.join(known)}.", file=sys.stderr)
            return 1
        print(f"Running results/{name}.py …", flush=True)
        run(known[name])
    return 0


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in FULL_RUN.items()):  # some count only at Python's start
        os.execve(sys.executable, [sys.executable, "-m", "tools.results", *sys.argv[1:]], os.environ | FULL_RUN)
    sys.exit(main(sys.argv[1:]))
