"""The rule of tolerances, over 100 students: right answers pass, in float32 too, and known mistakes are far away."""

import os

import pytest
import torch

from course.engine.assignments import assignment, assignments
from course.engine.cases import in_float32
from course.engine.checks import FACTOR, RTOL, distance

STUDENTS = [f"student{n}" for n in range(int(os.environ.get("AEVB_COURSE_STUDENTS", "100")))]


def answer(task, check, args):
    """What the reference returns, in the form in which it leaves the box."""
    torch.manual_seed(check.seed)
    value = task.reference(*args)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", assignments())
def test_right_answers_pass_and_known_mistakes_are_far(name):
    module = assignment(name).module()
    tasks = {task.function: task for task in module.TASKS}
    for student in STUDENTS:
        for check in module.checks(student, "salt", "secret"):
            task = tasks[check.function]
            assert check.verdict(answer(task, check, check.args)).share == 1, (student, check)
            if check.judge:
                continue  # a law decides, and no tolerance; that it tells mistakes is in test_assignments.py
            assert {wrong.sentence for wrong in check.wrong} == {sentence for _, sentence in task.mistakes.values()}
            assert check.verdict(answer(task, check, in_float32(check.args))).share == 1, (student, check)
            assert all(distance(wrong.value, check.want) > FACTOR * RTOL for wrong in check.wrong), (student, check)
