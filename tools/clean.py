"""Remove what builds and tests leave behind; ``.venv`` stays, and experiments that were stopped."""

import os
import shutil
import sys
from pathlib import Path

from tools.environments import ROOT

CACHES = (".pytest_cache", ".ruff_cache", ".hypothesis")


def leftovers(root: Path) -> list[Path]:
    """What there is to remove, in a copy of the book."""
    build = root / "_build"
    found = [path for path in build.glob("*") if path.name != "experiments"] if build.is_dir() else []
    found += [root / name for name in CACHES if (root / name).exists()]
    for folder, names, files in os.walk(root):
        if "pyvenv.cfg" in files or Path(folder) == build:
            names.clear()
        elif "__pycache__" in names:
            names.remove("__pycache__")
            found.append(Path(folder) / "__pycache__")
    return found


def main(root: Path = ROOT) -> int:
    """Remove it; return 1 where something refuses."""
    for path in leftovers(root):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            print(f"{error.filename or path} cannot be removed: {error.strerror or error}.", file=sys.stderr)
            return 1
    return 0
