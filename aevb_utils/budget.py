"""The book's two budgets: the full run, which the pages show, and the fast run, which the tests make."""

import os
from typing import TypeVar

T = TypeVar("T")

FAST: bool = os.environ.get("AEVB_FAST", "") not in ("", "0")
"""True in the fast run: set ``AEVB_FAST=1`` before Python starts."""


def budget(*, full: T, fast: T) -> T:
    """Return ``full`` in the full run and ``fast`` in the fast run.

    One name for everything that differs between the two runs: a number of restarts, the bar a trained figure must
    reach. Both values stand in the page, so a reader sees what the tests see.
    """
    return fast if FAST else full
