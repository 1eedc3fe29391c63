"""Whether this machine has a box; where one is required (AEVB_REQUIRE_BOX=1), its absence fails."""

import os

import pytest

from course.engine.box import Limits, Rung, why_not

MISSING = why_not(Rung.BOX)
if MISSING and os.environ.get("AEVB_REQUIRE_BOX") == "1":
    raise RuntimeError(f"AEVB_REQUIRE_BOX=1, but there is no box here: {MISSING}.")

needs_box = pytest.mark.skipif(bool(MISSING), reason=f"There is no box here ({MISSING}).")
STRICT = Limits(cell_seconds=2, total_seconds=100, silent_seconds=10, memory=2 * 2**30)
