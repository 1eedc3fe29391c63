"""Figures of runs too long for a notebook: the scripts in ``results/`` write them here, the chapters plot them."""

import json
from importlib import resources
from typing import Any


def load(name: str) -> dict[str, Any]:
    """What the script ``results/<name>.py`` stored on its last run.

    Returns:
        Its ``figures``, and how they came about: ``code_hash``, ``machine`` and ``minutes``.

    Raises:
        ValueError: there are no results of that name.
    """
    folder = resources.files(__name__)
    stored = sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))
    if name not in stored:
        raise ValueError(f"There are no results {name!r}: load one of {', '.join(stored) or '(none is stored yet)'}.")
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
