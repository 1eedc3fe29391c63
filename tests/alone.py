"""Tests that may run beside those of their own file: long ones, which two processes share."""

from typing import Any

import pytest


def alone(*values: object, id: str) -> Any:
    """The parameters of a test that is given to whichever process is free."""
    return pytest.param(*values, id=id, marks=pytest.mark.xdist_group(id))
