"""A class is graded whole, can be taken up again, and a bad file is one student's."""

import csv
import json
import shutil
import subprocess
import sys
import zipfile

import pytest
from boxes import STRICT, needs_box
from hostile import HONEST
from small import checks, notebook

from course.engine import archive, batch, gradescope
from course.engine.answers import read
from course.engine.assignments import COURSE, assignment
from course.engine.box import Rung

RIGHT = "def cumulate(x):\n    return x.cumsum(0)"


@pytest.fixture
def handed_in(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    notebook(folder / "ada.ipynb", HONEST, RIGHT)
    notebook(folder / "half_bob_123.ipynb", HONEST, "STUDENT = 'ada'", "def cumulate(x):\n    return x.cumsum(0) - x")
    notebook(folder / "cleo.ipynb", "import os\nos._exit(0)")
    (folder / "dan.ipynb").write_text("[" * 100_000, encoding="utf-8")
    (folder / "eve.py").write_text(f"{HONEST}\n\n{RIGHT}\n", encoding="utf-8")
    return folder


def graded(folder, out, said):
    files = batch.submissions(folder, ["ada", "bob", "cleo", "dan", "eve", "flo"])
    how = {"title": "Small", "version": "1", "limits": STRICT, "say": said.append}
    return batch.grade_all(files, checks, out, Rung.BOX, **how)


@needs_box
def test_a_class_is_graded_and_taken_up_again(handed_in, tmp_path):
    out, said = tmp_path / "out", []
    results = graded(handed_in, out, said)
    assert {result.student: result.score for result in results} == {
        "ada": 10,
        "bob": 5.5,
        "cleo": 0,
        "dan": 0,
        "eve": 10,
    }
    page = (out / "feedback" / "bob.html").read_text(encoding="utf-8")
    assert "The sum holds its own number too." in page
    assert "handed in by &#x27;bob&#x27;" in page
    assert len(said) == 5
    notebook(handed_in / "cleo.ipynb", HONEST)
    said.clear()
    assert [result.score for result in graded(handed_in, out, said)] == [10, 5.5, 4, 0, 10]
    assert said == ["cleo: 4 of 10"]
    rows = list(csv.DictReader(batch.table(results, ["flo"]).splitlines()))
    assert rows[-1]["note"] == "nothing handed in"


def test_a_file_of_nobody_stops_the_batch(handed_in):
    with pytest.raises(batch.HandedInError, match="belong to nobody"):
        batch.submissions(handed_in, ["ada"])


def test_an_archive_writes_nothing_outside(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("../../ada.ipynb", "/bob/a.ipynb", "x/cleo.ipynb", "y/cleo.exe"):
            file.writestr(name, "{}")
    (tmp_path / "deep" / "in").mkdir(parents=True)
    archive.unpack(tmp_path / "a.zip", tmp_path / "deep" / "in")
    inside = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "a.zip"]
    assert len(inside) == 3
    assert all(path.is_relative_to(tmp_path / "deep" / "in") for path in inside)


@pytest.mark.parametrize(
    "line",
    [
        '{"call": 0, "status": "ok", "value": {"shape": [2], "kind": "float64", "data": [1]}}',
        '{"call": 0, "status": "ok", "value": {"shape": [-1], "kind": "float64", "data": []}}',
        '{"call": 0, "status": "ok", "value": {"shape": [1], "kind": "float64", "data": ["1"]}}',
        '{"call": 0, "status": "ok", "value": {"score": 10}}',
        '{"call": 0, "status": "ok", "value": ' + "[" * 20 + "]" * 20 + "}",
        '{"call": 0, "status": "ok", "value": "text"}',
    ],
)
def test_what_no_driver_writes_is_no_answer(line):
    assert read(line.encode()).answers[0].status == "silent"


@pytest.mark.parametrize("line", ["", "[" * 100_000, "10", '{"call": true}', '{"call": -1, "status": "ok"}', "\xff{"])
def test_what_is_no_line_is_not_read(line):
    assert read(line.encode()).answers == {}


@needs_box
@pytest.mark.parametrize(("code", "score"), [(None, 70), ("import os\nos._exit(0)", 0), ("", 0)])
def test_gradescopes_tree(tmp_path, told, code, score):
    from dataclasses import replace

    from course.engine import build

    packed = gradescope.pack(assignment("a01"), tmp_path / "zip", replace(told, secret="a word of mine"))
    base = tmp_path / "autograder"
    with zipfile.ZipFile(packed) as file:
        file.extractall(base / "source")
        assert {"setup.sh", "run_autograder"} <= set(file.namelist())
    (base / "submission").mkdir()
    build.build(tmp_path / "made", told)
    if code is None:
        shutil.copy(tmp_path / "made" / "instructor" / "a01.ipynb", base / "submission")
    elif code:
        notebook(base / "submission" / "a01.ipynb", code)
    metadata = {"users": [{"email": "ada@example.org"}], "previous_submissions": [], "created_at": "2027-02-01"}
    (base / "submission_metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    found = run_autograder(base)
    assert found["score"] == score


def run_autograder(base):
    environment = {"AUTOGRADER": str(base), "COURSE_PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    subprocess.run(["bash", base / "source" / "run_autograder"], env=environment, check=False, timeout=300)
    return json.loads((base / "results" / "results.json").read_text(encoding="utf-8"))


@needs_box
def test_gradescopes_results_after_a_crash(tmp_path):
    base = tmp_path / "autograder"
    (base / "source").mkdir(parents=True)
    (base / "source" / "run_autograder").write_text(gradescope.RUN.format(name="a01"), encoding="utf-8")
    found = run_autograder(base)
    assert found["score"] == 0
    assert "your work is not lost" in found["output"]


def test_the_engine_is_in_small_modules():
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in COURSE.rglob("engine/*.py")}
    assert {name: size for name, size in sizes.items() if size > 350} == {}
