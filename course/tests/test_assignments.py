"""Each assignment: right answers pass, known mistakes get their share, no student's notebook gives anything away."""

import functools

import pytest
import torch
from boxes import needs_box

from course.engine import build
from course.engine.assignments import assignment, assignments
from course.engine.box import Rung
from course.engine.grade import grade

NAMES = list(assignments())
TASKS = {(name, task.function): task for name in NAMES for task in assignment(name).module().TASKS}


@functools.cache
def checks_of(name, student="ada"):
    return assignment(name).module().checks(student, "salt", "secret")


def of(name, function, student="ada"):
    return [check for check in checks_of(name, student) if check.function == function]


def answer(task, check, *mistake):
    """What the reference returns, in the form in which it leaves the box."""
    torch.manual_seed(check.seed)
    value = task.reference(*check.args, *mistake)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("name", "function", "mistake"), [(*key, m) for key, task in TASKS.items() for m in task.mistakes]
)
def test_a_known_mistake_gets_its_share_and_sentence(name, function, mistake):
    task = TASKS[name, function]
    for check in of(name, function):
        verdict = check.verdict(answer(task, check, mistake))
        assert (verdict.share, verdict.sentence) == task.mistakes[mistake]


@pytest.mark.parametrize(
    ("name", "function", "mistake"), [(*key, m) for key, task in TASKS.items() for m in task.breaks]
)
def test_a_mistake_that_only_some_cases_or_a_judge_show(name, function, mistake):
    task = TASKS[name, function]
    share, words = task.breaks[mistake]
    checks = of(name, function)
    verdicts = [check.verdict(answer(task, check, mistake)) for check in checks]
    got = sum(v.share * check.points for v, check in zip(verdicts, checks, strict=True)) / task.points
    assert got == pytest.approx(share)
    assert any(words in verdict.sentence for verdict in verdicts)


@pytest.mark.parametrize("name", NAMES)
def test_the_points_are_those_of_the_text(name):
    text = "\n".join(line for cell in assignment(name).cells() for line in cell.lines)
    checks = checks_of(name)
    for question in {check.question for check in checks}:
        points = sum(check.points for check in checks if check.question == question)
        heading = next(line for line in text.splitlines() if line.startswith(f"## {question[1:]}. "))
        assert heading.endswith(f"({points:g} points)")
    assert sum(check.points for check in checks) == pytest.approx(70)
    assert sum(criterion["points"] for criterion in assignment(name).rubric()["criteria"].values()) == 30
    assert all(f"def {check.function}(" in text for check in checks)


@pytest.mark.parametrize("name", NAMES)
def test_cases_are_a_students_own_and_the_same_every_time(name):
    again = assignment(name).module().checks("ada", "salt", "secret")
    first, other = checks_of(name, "ada"), checks_of(name, "bob")
    for a, b, c in zip(first, again, other, strict=True):
        tensors = [[arg.nan_to_num() for arg in one.args if isinstance(arg, torch.Tensor)] for one in (a, b, c)]
        assert all(map(torch.equal, tensors[0], tensors[1]))
        assert not all(map(torch.equal, tensors[0], tensors[2]))


@needs_box
@pytest.mark.parametrize("name", NAMES)
def test_a_students_notebook_runs_and_gives_nothing(name, tmp_path, told):
    """As it is handed out; that the instructor's gives all is shown in ``test_gradescope.py``."""
    build.build(tmp_path, told)
    result = grade(tmp_path / "student" / f"{name}.ipynb", "ada", assignment(name).checks("ada", told), Rung.BOX)
    assert (result.score, result.notes) == (0, ())
