"""What ``check_vae`` has found, and how it says so."""

import textwrap
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from aevb_utils.checking.console import say

WIDTH = 88
Kind = Literal["mistake", "risk", "note"]
MARKS = {"mistake": "✗", "risk": "!", "note": "–"}


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
        where = f" ({self.line})" if self.line else ""
        read = f" → {self.section}" if self.section else ""
        cure = f" {self.cure}" if self.cure else ""
        return f"{MARKS[self.kind]} {self.seen}{where}. {self.why}{cure}{read}"


@dataclass
class Report:
    """All that was found, and what the loss is.

    Attributes:
        findings: mistakes first.
        held: what was looked at and is right, a sentence each.
        skipped: what could not be looked at, and why, a sentence each.
        verdict: what the loss is: minus the ELBO, up to which factor and constant, or that it is none.
        beta: the weight of the KL where the reconstruction has weight 1; None if it is not known.
    """

    findings: list[Finding] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    verdict: str = ""
    beta: float | None = None

    @property
    def mistakes(self) -> list[Finding]:
        """The findings that make it fail."""
        return [finding for finding in self.findings if finding.kind == "mistake"]

    @property
    def ok(self) -> bool:
        """Whether no mistake was found."""
        return not self.mistakes

    @property
    def keys(self) -> set[str]:
        """The keys of all findings."""
        return {finding.key for finding in self.findings}

    def require(self, *, allow: Collection[str] = ()) -> None:
        """Raise what was found wrong.

        Args:
            allow: keys of findings that are no mistakes here.

        Raises:
            AssertionError: there is a mistake; the message has all of them.
        """
        if wrong := [finding for finding in self.mistakes if finding.key not in allow]:
            raise AssertionError("\n".join(wrapped(str(finding)) for finding in wrong))

    def __str__(self) -> str:
        lines = [f"✓ {line}" for line in self.held] + [f"– not checked: {line}" for line in self.skipped]
        lines += [str(finding) for finding in self.findings] + [self.verdict, self.summary()]
        return "\n".join(wrapped(line) for line in lines if line)

    def summary(self) -> str:
        """The last line."""
        n, others = len(self.mistakes), len(self.findings) - len(self.mistakes)
        wrong = "No mistake found" if not n else f"{n} mistake{'s' * (n > 1)} found"
        return f"{wrong}, {others} more to know." if others else f"{wrong}."

    def hold(self, line: str) -> None:
        """Note, and print, what is right."""
        self.held.append(line)
        say(wrapped(f"✓ {line}"))

    def skip(self, line: str) -> None:
        """Note, and print, what could not be looked at."""
        self.skipped.append(line)
        say(wrapped(f"– not checked: {line}"))

    def add(self, finding: Finding) -> None:
        """Note, and print, a finding, once."""
        if finding.key not in self.keys:
            self.findings.append(finding)
            say(wrapped(str(finding)))


def wrapped(line: str) -> str:
    """A line broken at the width of a page."""
    return textwrap.fill(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
