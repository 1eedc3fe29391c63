"""How stored outputs and figures came about, and whether they are those of the present code."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.fast_run import fingerprint
from tools.rows import Row, is_row

FULL, SAME = "full run", "same by fast run"
AT_ONCE = max(1, min(2, os.cpu_count() or 1))
"""How many runs there are at a time, each on one thread."""


@dataclass(frozen=True)
class Stamp:
    """What is stored beside outputs or figures.

    Attributes:
        code_hash: of the code that they belong to, see :mod:`tools.freshness`.
        full_hash: the same of what a full run sees of the code: all but the fast budgets.
        output_hash: of the outputs or figures themselves, see :func:`output_hash`.
        made_by: ``FULL``, this code was run in full; ``SAME``, its fast run agrees with that of the code that was.
        fingerprint: what its fast run showed, see :mod:`tools.fingerprint`.
    """

    code_hash: str
    full_hash: str
    output_hash: str
    made_by: str
    fingerprint: list[Row]

    @classmethod
    def of_full_run(cls, file: Path, code_hash: str, full_hash: str, outputs: object) -> "Stamp":
        """The stamp of a full run that has just been made; makes the fast run that belongs to it.

        Raises:
            FastRunError: the code fails in the fast budget.
        """
        return cls(code_hash, full_hash, output_hash(outputs), FULL, fingerprint(file))

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Stamp | None":
        """The stamp among other entries; None if there is none, or none that is whole."""
        match stored:
            case {
                "code_hash": str(code_hash),
                "full_hash": str(full_hash),
                "output_hash": str(outputs),
                "made_by": str(made_by),
                "fingerprint": list(rows),
            }:
                return cls(code_hash, full_hash, outputs, made_by, rows) if all(map(is_row, rows)) else None
        return None

    def as_json(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)


def output_hash(outputs: object) -> str:
    """The hash of what a run left: the outputs of a notebook's code cells, or an experiment's figures, as JSON."""
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()
