"""Assignment 1: right answers pass, known mistakes get their share, and the student's notebook gives nothing away."""

import os

import pytest
from boxes import needs_box

from course.assignments.a01 import checks as a01
from course.engine import build
from course.engine.assignments import assignment
from course.engine.box import Rung
from course.engine.checks import FACTOR, RTOL, distance
from course.engine.grade import grade
from course.engine.settings import SettingsError

STUDENTS = [f"student{n}" for n in range(int(os.environ.get("AEVB_COURSE_STUDENTS", "20")))]


@pytest.mark.parametrize("student", STUDENTS)
def test_tolerances_tell_float32_from_every_known_mistake(student):
    for check in a01.checks(student, "salt", "secret"):
        low = [arg.float() for arg in check.args]
        if check.judge:
            assert check.judge(a01.fit(*check.args)).share == 1
            assert check.judge(a01.fit(*low, rise=-1e9, most=600)).share == 1
            continue
        assert check.verdict(list_of(a01.REFERENCE[check.function](*low))).share == 1
        assert all(distance(wrong.value, check.want) > FACTOR * RTOL for wrong in check.wrong)


def list_of(value):
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("function", "mistake"), [(f, m) for f, known in a01.MISTAKES.items() for m in known])
def test_a_known_mistake_gets_its_share_and_sentence(function, mistake):
    share, sentence = a01.MISTAKES[function][mistake]
    for check in (one for one in a01.checks("ada", "salt", "secret") if one.function == function):
        verdict = check.verdict(list_of(a01.REFERENCE[function](*check.args, mistake)))
        assert (verdict.share, verdict.sentence) == (share, sentence)


@pytest.mark.parametrize(("function", "mistake"), [(f, m) for f, known in a01.BREAKS.items() for m in known])
def test_a_mistake_that_only_some_cases_show(function, mistake):
    share, words = a01.BREAKS[function][mistake]
    of = [check for check in a01.checks("ada", "salt", "secret") if check.function == function]
    verdicts = [check.verdict(list_of(a01.REFERENCE[function](*check.args, mistake))) for check in of]
    got = sum(v.share * check.points for v, check in zip(verdicts, of, strict=True)) / sum(c.points for c in of)
    assert got == pytest.approx(share)
    assert any(words in verdict.sentence for verdict in verdicts)


def test_the_points_are_those_of_the_text():
    points = {}
    for check in a01.checks("ada", "salt", "secret"):
        points[check.question] = points.get(check.question, 0) + check.points
    assert points == pytest.approx({"q1": 10, "q2": 25, "q3": 15, "q4": 20})
    assert sum(c["points"] for c in assignment("a01").rubric()["criteria"].values()) == 30


def test_cases_are_a_students_own_and_the_same_every_time():
    first, again, other = (a01.checks(name, "salt", "secret")[0].args[0] for name in ("ada", "ada", "bob"))
    assert first.equal(again)
    assert not first.equal(other)


@needs_box
@pytest.mark.parametrize(("side", "score"), [("instructor", 70), ("student", 0)])
def test_the_notebooks_in_the_box(side, score, tmp_path, told):
    build.build(tmp_path, told)
    result = grade(tmp_path / side / "a01.ipynb", "ada", assignment("a01").checks("ada", told), Rung.BOX)
    assert (result.score, result.notes) == (score, ())


def test_the_students_notebook_and_the_mirror_show_nothing_private(tmp_path, told):
    build.build(tmp_path / "made", told)
    assert build.leaked(tmp_path / "made" / "student", told) == []
    assert build.leaked(tmp_path / "made" / "instructor", told) != []
    made = build.publish(tmp_path / "mirror", told)
    assert {path.name for path in made} >= {"a01.ipynb", "box.py", "README.md"}
    assert not [path for path in made if {"guide", "quizzes", "slides", "tests"} & {*path.parts}]
    with pytest.raises(SettingsError, match="holds something already"):
        build.publish(tmp_path / "mirror", told)
