"""Each assignment: right answers pass, known mistakes get their share, no student's notebook gives anything away."""

import functools
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from boxes import needs_box

from course.engine import build, quiz, settings
from course.engine.assignments import COURSE, assignment, assignments
from course.engine.box import Rung
from course.engine.grade import grade
from course.engine.settings import SettingsError

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


def test_a_key_of_a_quiz_that_got_into_the_mirror_is_found(tmp_path, told):
    for folder in ("quizzes", "assignments/a01"):
        shutil.copytree(COURSE / folder, tmp_path / folder)
    found = build.leaked(tmp_path / "quizzes", told)
    for path in (COURSE / "quizzes").glob("*.yml"):
        for item in quiz.load(path).items:
            if len(item.why) >= build.SHORTEST:
                assert f"the key of {item.key} stands in {path.name}" in found
    assert any(one.startswith("a line of a01's checks.py") for one in build.leaked(tmp_path / "assignments", told))


def test_a_short_reason_is_nobodys(tmp_path, told, monkeypatch):
    """A key whose reason is two words is not looked for: they stand everywhere."""
    short = SimpleNamespace(items=[SimpleNamespace(key="q01-x", why="Count.")])
    monkeypatch.setattr(build.quiz, "load", lambda _: short)
    (tmp_path / "page.md").write_text("Count.", encoding="utf-8")
    assert build.leaked(tmp_path, told) == []


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ('secret: "a word of my own"', True),
        ("secret: 'it''s a word of mine'", True),
        ('secret: "caf\\u00e9 and a word of mine"', True),
        ("secret: >-\n  folded into\n  two lines", False),
        ('secret: "a word of my own" # a word of my own', True),
        ('secret: "From EM to AEVB, a book"\n# From EM to AEVB, a book', False),
    ],
)
def test_the_secret_is_not_in_the_mirrors_course_yml(line, fits, tmp_path, monkeypatch):
    text = (COURSE / "course.yml").read_text(encoding="utf-8")
    text = re.sub("^secret:.*", lambda _: line, text, flags=re.MULTILINE)
    (tmp_path / "course.yml").write_text(text, encoding="utf-8")
    mine = settings.load(tmp_path / "course.yml")
    monkeypatch.setattr(build, "COURSE", tmp_path)
    if not fits:
        with pytest.raises(SettingsError, match="write the secret in one line of its own"):
            build.without_secret(mine)
        return
    public = build.without_secret(mine)
    assert mine.secret not in public
    (tmp_path / "course.yml").write_text(public, encoding="utf-8")
    assert settings.load(tmp_path / "course.yml") == replace(mine, secret=build.KEPT)


def test_the_students_notebooks_and_the_mirror_show_nothing_private(tmp_path, told):
    build.build(tmp_path / "made", told)
    assert build.leaked(tmp_path / "made" / "student", told) == []
    assert build.leaked(tmp_path / "made" / "instructor", told) != []
    made = build.publish(tmp_path / "mirror", told)
    assert {path.name for path in made} >= {*(f"{name}.ipynb" for name in NAMES), "box.py", "README.md", "brief.md"}
    rubrics = {path.parent.relative_to(tmp_path / "mirror").as_posix() for path in made if path.name == "rubric.yml"}
    assert rubrics == {"course/project", *(f"course/project/exemplars/{name}" for name in ("a", "b", "fail"))}
    handed_out = tmp_path / "made" / "student" / "project"
    assert {path.name for path in handed_out.glob("*.*")} == {
        "brief.md",
        "peer_review.md",
        "proposal.md",
        "report.md",
        "rubric.yml",
    }
    assert not [path for path in made if {"guide", "quizzes", "slides", "tests"} & {*path.parts}]
    with pytest.raises(SettingsError, match="holds something already"):
        build.publish(tmp_path / "mirror", told)
