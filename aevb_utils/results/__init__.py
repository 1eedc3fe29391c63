"""Figures of runs too long for a notebook: the experiments write them here, the chapters plot them."""

from importlib import resources
from typing import Any

from aevb_utils.results.json_files import BrokenFileError, read_object

ENTRIES = ("machine", "minutes", "weights", "figures")
"""What is stored of every run, beside the stamp of its code."""


def load(name: str) -> dict[str, Any]:
    """What the script ``experiments/<name>.py`` stored on its last run.

    Returns:
        Its ``figures``, and how they came about: ``machine``, ``minutes``, the ``weights`` that it wrote (the SHA-256
        of each file by its name), and the stamp of its code.

    Raises:
        ValueError: there are no results of that name.
        BrokenFileError: their file is broken.
    """
    folder = resources.files(__name__)
    stored = sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))
    if name not in stored:
        raise ValueError(f"There are no results {name!r}: load one of {', '.join(stored) or '(none is stored yet)'}.")
    file = folder / f"{name}.json"
    content = read_object(file)
    missing = [entry for entry in ENTRIES if entry not in content]
    if missing:
        raise BrokenFileError(f"{file} has no {missing[0]!r}: put the file back as it was.")
    return content
