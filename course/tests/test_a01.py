"""Assignment 1: a fit in float32, which rounds its log-likelihoods, is right."""

import pytest

from course.assignments.a01 import checks as a01
from course.engine.cases import in_float32


@pytest.mark.parametrize("student", [f"student{n}" for n in range(5)])
def test_a_fit_in_float32_is_right(student):
    for check in a01.checks(student, "salt", "secret"):
        if check.judge:
            assert check.judge(a01.fit(*in_float32(check.args), rise=-1e9, most=600)).share == 1
