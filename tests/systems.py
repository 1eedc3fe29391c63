"""What not every system has: marks for the tests that need it, and what systems say in words of their own."""

import os
import re

import pytest

POSIX = os.name == "posix"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="There is no fork here.")
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="There are no named pipes here.")
needs_links = pytest.mark.skipif(not POSIX, reason="Symbolic links need an administrator here.")
needs_modes = pytest.mark.skipif(not POSIX, reason="A file's permissions are not a mode here.")
needs_make = pytest.mark.skipif(not POSIX, reason="The Makefile is for systems with a POSIX shell.")
no_administrator = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="An administrator may write anywhere."
)


def said(code: int) -> str:
    """A pattern for what an error message says where the system refuses with this ``errno``."""
    return re.escape(os.strerror(code)) if POSIX else r"\S.*"  # Windows has words and numbers of its own
