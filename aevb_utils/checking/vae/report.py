"""What ``check_vae`` has found, and how it says so."""

import difflib
import textwrap
from collections.abc import Collection
from dataclasses import dataclass, field

from aevb_utils.checking.console import say
from aevb_utils.checking.vae.finding import Finding
from aevb_utils.checking.vae.texts import TEXTS

WIDTH = 88
NOT_CHECKED = "not-checked"
"""The key that allows a loss that could not be looked at."""


@dataclass
class Report:
    """All that was found, and what the loss is.

    Attributes:
        findings: mistakes first.
        held: what was looked at and is right, a sentence each.
        skipped: what could not be looked at, and why, a sentence each.
        verdict: what the loss is: minus the ELBO, up to which factor and constant, or that it is none.
        whole: whether the loss could be looked at; False where it stopped.
        beta: the weight of the KL where the reconstruction has weight 1; None if it is not known.
    """

    findings: list[Finding] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    verdict: str = ""
    beta: float | None = None
    whole: bool = True

    @property
    def mistakes(self) -> list[Finding]:
        """The findings that make it fail."""
        return [finding for finding in self.findings if finding.kind == "mistake"]

    @property
    def ok(self) -> bool:
        """Whether the loss was looked at, and no mistake was found."""
        return self.whole and not self.mistakes

    @property
    def keys(self) -> set[str]:
        """The keys of all findings."""
        return {finding.key for finding in self.findings}

    def require(self, *, allow: Collection[str] = ()) -> None:
        """Raise what was found wrong.

        Args:
            allow: keys of findings that are no mistakes here; ``"not-checked"`` where the loss could not be looked at.

        Raises:
            ValueError: there is no such key.
            AssertionError: there is a mistake, or the loss could not be looked at; the message has all of it.
        """
        known_keys(allow)
        wrong = [str(finding) for finding in self.mistakes if finding.key not in allow]
        if not self.whole and NOT_CHECKED not in allow:
            wrong += [f"– not checked: {line}" for line in self.skipped] + [self.summary()]
        if wrong:
            raise AssertionError("\n".join(wrapped(line) for line in wrong))

    def __str__(self) -> str:
        lines = [f"✓ {line}" for line in self.held] + [f"– not checked: {line}" for line in self.skipped]
        lines += [str(finding) for finding in self.findings] + [self.verdict, self.summary()]
        return "\n".join(wrapped(line) for line in lines if line)

    def summary(self) -> str:
        """The last line."""
        n, others = len(self.mistakes), len(self.findings) - len(self.mistakes)
        wrong = "No mistake found" if not n else f"{n} mistake{'s' * (n > 1)} found"
        if not self.whole:
            wrong = f"Not checked: the loss. {wrong} in the rest"
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


def known_keys(allow: Collection[str]) -> None:
    """See to it that all keys are some of a finding.

    Raises:
        ValueError: one is not.
    """
    keys = [*TEXTS, NOT_CHECKED]
    for key in allow:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0)
            raise ValueError(f"No finding has the key {key!r}, which is allowed here: name one as {near[0]!r}.")


def wrapped(line: str) -> str:
    """A line broken at the width of a page."""
    return textwrap.fill(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
