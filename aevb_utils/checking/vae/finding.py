"""One thing that ``check_vae`` has found."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["mistake", "risk", "note"]
MARKS = {"mistake": "✗", "risk": "!", "note": "–"}


MADE = dict.fromkeys(("kl-sign", "kl-weight", "kl-mean-latents", "kl-over-pixels"), "the KL made in ") | dict.fromkeys(
    ("recon-sign", "recon-mean-pixels", "loss-sign", "batch-reduction", "batch-sum"), "the reconstruction used in "
)
"""Of findings about a weight or a sign, which another line may have: what the line that is told makes."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    key: str
    """What it is called for programs: ``"kl-sign"``."""
    kind: Kind
    """A ``mistake`` makes the report fail; a ``risk`` may stop a training; a ``note`` may be a choice."""
    seen: str
    """What was measured."""
    why: str
    cure: str
    line: str = ""
    """The line of your code, ``model.py, line 12``; empty where none is known."""
    section: str = ""
    """Where the book explains it."""

    def __str__(self) -> str:
        where = f" ({MADE.get(self.key, '')}{self.line})" if self.line else ""
        read = f" → {self.section}" if self.section else ""
        cure = f" {self.cure}" if self.cure else ""
        return f"{MARKS[self.kind]} {self.seen}{where}. {self.why}{cure}{read} [{self.key}]"
