"""The book's two budgets: the full run, which the pages show, and the fast run, which the tests make."""

import os
from typing import TypeVar

T = TypeVar("T")

_WORDS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("", "0", "false", "no", "off"), False)


def switch(name: str) -> bool:
    """Whether an environment variable is switched on: 1, true, yes, on; off: 0, false, no, off, blank or not set.

    Capitals and blanks around the word do not matter.

    Raises:
        ValueError: The variable holds another word.
    """
    word = os.environ.get(name, "")
    try:
        return _WORDS[word.strip().lower()]
    except KeyError:
        raise ValueError(
            f"The environment variable {name} should be 1, true, yes or on, or else 0, false, no, off or blank, "
            f"but it is {word!r}; correct it or unset it."
        ) from None


FAST: bool = switch("AEVB_FAST")
"""True in the fast run: set ``AEVB_FAST=1`` before Python starts."""


def budget(*, full: T, fast: T) -> T:
    """Return ``full`` in the full run and ``fast`` in the fast run.

    One name for everything that differs between the two runs: a number of restarts, the bar a trained figure must
    reach. Both values stand in the page, so a reader sees what the tests see.
    """
    return fast if FAST else full
