"""Where there is no bubblewrap the second rung gives the honest part and says what it is; without it nothing is run."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from boxes import needs_root, path_without, with_open_python
from hostile import HONEST
from small import checks, notebook

from course.engine import batch, box, gradebook
from course.engine.assignments import COURSE
from course.engine.box import NoBoxError, Rung
from course.engine.handed_in import HandedIn
from course.engine.settings import Student
from tools import course

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Every rung needs Linux.")
AGAINST_ANOTHER_USER = (
    "os._exit",
    "kills everything",
    "fork bomb",
    "3 GB in small parts",
    "forged lines and an end",
    "forged lines from a process left behind",
    "equal to anything",
    "kills the driver in a call",
    "writes outside",
    "symbolic links",
    "reads the checks",
    "raises its limits",
    "becomes root",
)
"""Those that another user, and not the box, has to hold; none that would fill or empty a whole machine."""


@needs_root
def test_the_second_rung_gives_the_honest_part_and_leaves_nothing(tmp_path):
    shutil.copytree(COURSE / "engine", tmp_path / "course" / "engine")
    (tmp_path / "course" / "__init__.py").touch()
    for name in ("boxes", "hostile", "second_rung", "small"):
        shutil.copy(COURSE / "tests" / f"{name}.py", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    path = path_without(tmp_path / "bin", "bwrap")
    python = Path(sys.prefix) / "bin" / "python"
    done = subprocess.run(
        [*with_open_python(), str(python), str(tmp_path / "second_rung.py"), *AGAINST_ANOTHER_USER],
        env={"PATH": path, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["rung"] == "USER"
    assert said["seen"] == "user: /etc/passwd could be read by it (chmod 700 its folder)"
    for name, (least, score, left, rung) in said["found"].items():
        assert (0 if name == "fork bomb" else least) <= score <= 4, name  # what a bomb leaves of a user's share differs
        assert (left, rung) == ([], "USER"), (name, left)
    assert {path: path.read_bytes() for path in before} == before


def test_where_there_is_neither_nothing_is_graded_unless_it_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    notebook(tmp_path / "in" / "ada.ipynb", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBoxError, match=r"there is no bwrap.*Install bubblewrap.*say --unsafe"):
        box.best_rung()
    assert course.main(["grade", "a01", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 1
    assert "say --unsafe" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_plain_user_cannot_become_another_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", "bwrap"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoBoxError, match="only root can become another user"):
        box.best_rung()


def test_code_that_is_trusted_is_graded_and_the_table_says_how(tmp_path, told):
    path = notebook(tmp_path / "ada.ipynb", HONEST)
    result = batch.grade_all(
        {"ada": HandedIn(path)}, checks, tmp_path / "out", Rung.UNSAFE, version="1", say=lambda _: None
    )
    rubric = {"title": "Small", "criteria": {}}
    found = gradebook.grades([Student("ada", "Ada", {})], {"ada": result[0]}, {}, rubric, None, told)
    [row] = csv.DictReader(gradebook.table(found).splitlines())
    assert row["code"] == "4"
    assert row["note"].startswith("graded without a box (unsafe)")
