"""Open the notebooks in JupyterLab, trusted, so that it shows their stored figures: ``python -m tools.lab [--trust]``.

JupyterLab shows figures and viewers only of a notebook that this account has signed. ``--trust`` signs and starts
nothing.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat.reader import NotJSONError
from nbformat.sign import NotebookNotary

from tools.environments import ROOT

NOTEBOOKS = ROOT / "notebooks"


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook as JupyterLab reads it.

    Raises:
        ValueError: it is none, or it cannot be read; the message is one sentence.
    """
    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (NotJSONError, nbformat.ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is no notebook: put it back, or remove it.") from error


def untrusted(paths: Iterable[Path], notary: NotebookNotary) -> list[Path]:
    """Those of the notebooks that this account has not signed as they are."""
    return [path for path in paths if not notary.check_signature(read(path))]


def trust(paths: Iterable[Path]) -> int:
    """Sign notebooks; return 1 where one cannot be read, after the others were signed."""
    notary, status = NotebookNotary(), 0
    for path in paths:
        try:
            notary.sign(read(path))
        except ValueError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


def main(arguments: list[str]) -> int:
    """Sign the notebooks; then start JupyterLab, unless only that was asked for."""
    if arguments not in ([], ["--trust"]):
        print("Call it as python -m tools.lab, or with --trust alone.", file=sys.stderr)
        return 2
    status = trust(sorted(NOTEBOOKS.glob("*.ipynb")))  # one that is broken keeps nobody from the others
    if arguments:
        return status
    from jupyterlab.labapp import LabApp  # here, because it takes a second to import

    LabApp.launch_instance([f"--notebook-dir={NOTEBOOKS}"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
