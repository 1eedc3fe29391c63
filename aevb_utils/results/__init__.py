"""Figures of runs too long for a notebook: the experiments write them here, the chapters plot them."""

import json
from importlib import resources
from typing import Any


def load(name: str) -> dict[str, Any]:
    """What the script ``experiments/<name>.py`` stored on its last run.

    Returns:
        Its ``figures``, and how they came about: ``machine``, ``minutes``, the ``weights`` that it wrote (the SHA-256
        of each file by its name), and the stamp of its code.

    Raises:
        ValueError: there are no results of that name.
    """
    folder = resources.files(__name__)
    stored = sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))
    if name not in stored:
        raise ValueError(f"There are no results {name!r}: load one of {', '.join(stored) or '(none is stored yet)'}.")
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
