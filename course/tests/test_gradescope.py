"""Gradescope's zip file, unpacked where nothing else of the course is: every submission leads to a results.json."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from boxes import as_plain_user, give_to_plain_user, needs_box, needs_root, path_without, with_open_python
from small import notebook

from course.engine import build, gradescope
from course.engine.assignments import assignment, assignments
from course.engine.box import NoBoxError, Rung
from course.engine.grade import Item, Result

METADATA = {"users": [{"email": "ada@example.org"}], "previous_submissions": [], "created_at": "2027-02-01"}


@pytest.fixture
def base():
    """An empty folder that every user may pass, as Gradescope's /autograder; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="autograder-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def solved(tmp_path_factory, told):
    """The instructor's notebooks."""
    folder = tmp_path_factory.mktemp("made")
    build.build(folder, told)
    return folder / "instructor"


def unpack(name, base, told):
    packed = gradescope.pack(assignment(name), base / "zip", replace(told, secret="a word of mine"))
    with zipfile.ZipFile(packed) as file:
        file.extractall(base / "source")
        assert {"setup.sh", "run_autograder"} <= set(file.namelist())
    shutil.rmtree(base / "zip")
    (base / "submission").mkdir()
    (base / "submission_metadata.json").write_text(json.dumps(METADATA), encoding="utf-8")


def run_autograder(base, *start, path=os.defpath):
    """What stands in results.json, which is held to Gradescope's form."""
    python = Path(sys.prefix) / "bin" / "python"
    environment = {"AUTOGRADER": str(base), "COURSE_PYTHON": str(python), "PATH": path}
    command = [*start, shutil.which("bash"), str(base / "source" / "run_autograder")]
    subprocess.run(command, env=environment, check=False, timeout=300, cwd="/")
    found = json.loads((base / "results" / "results.json").read_text(encoding="utf-8"))
    assert type(found["score"]) in (int, float)
    assert type(found["output"]) is str
    for test in found.get("tests", []):
        assert set(test) == {"name", "score", "max_score", "output", "visibility"}
        assert 0 <= test["score"] <= test["max_score"]
        assert test["visibility"] in ("visible", "after_published")
    return found


@needs_box
@pytest.mark.parametrize("name", assignments())
def test_a_plain_user_with_the_zip_file_alone_grades_what_is_right(name, base, told, solved):
    unpack(name, base, told)
    shutil.copy(solved / f"{name}.ipynb", base / "submission")
    give_to_plain_user(base)
    found = run_autograder(base, *as_plain_user())
    assert (found["score"], found["output"], found["extra_data"]["rung"]) == (70, f"Graded: {name}.ipynb.", "BOX")


@needs_box
def test_a_plain_user_grades_what_is_empty_and_what_crashes(base, told):
    unpack("a01", base, told)
    give_to_plain_user(base)
    for code, said in ((None, "There is no notebook"), ("", ""), ("import os\nos._exit(0)", "it ended Python")):
        if code is not None:
            notebook(base / "submission" / "a01.ipynb", code)
        found = run_autograder(base, *as_plain_user())
        assert found["score"] == 0
        assert said in found["output"]
        assert (code is None) == ("tests" not in found)


@needs_root
def test_without_bubblewrap_root_becomes_another_user_and_says_so(base, told, solved, tmp_path):
    unpack("a01", base, told)
    shutil.copy(solved / "a01.ipynb", base / "submission")
    path = path_without(tmp_path / "bin", "bwrap")
    found = run_autograder(base, *with_open_python(), path=path)
    assert (found["score"], found["extra_data"]["rung"]) == (70, "USER")


@needs_box
def test_with_neither_the_results_say_what_is_missing(base, told, tmp_path):
    unpack("a01", base, told)
    notebook(base / "submission" / "a01.ipynb", "")
    found = run_autograder(base, path=path_without(tmp_path / "bin", "bwrap", "setpriv"))
    assert found["score"] == 0
    assert "there is no bwrap" in found["output"]
    assert "Tell your instructor" in found["output"]


@needs_box
def test_results_after_a_crash_of_the_autograder_itself(base):
    (base / "source").mkdir(parents=True)
    (base / "source" / "run_autograder").write_text(gradescope.RUN.format(name="a01"), encoding="utf-8")
    found = run_autograder(base)
    assert found["score"] == 0
    assert "your work is not lost" in found["output"]


@pytest.fixture
def graded(tmp_path, monkeypatch):
    """Files that are handed in, and the metadata of earlier tries, go in; what Gradescope reads comes out."""

    def fake(path, student, *_):
        item = Item("q1", "case", len(path.read_text(encoding="utf-8")), 70, "", visible=True)
        return Result(student, (item,), ("A note.",), "BOX", 0.0)

    def run(*earlier, **files):
        shutil.rmtree(tmp_path / "submission", ignore_errors=True)
        (tmp_path / "submission").mkdir()
        for name, text in files.items():
            path = tmp_path / "submission" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        metadata = METADATA | {"created_at": "2027-02-02T12:00:00-05:00", "previous_submissions": earlier}
        (tmp_path / "submission_metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        return gradescope.run("a01", tmp_path)

    monkeypatch.setattr(gradescope, "grade", fake)
    monkeypatch.setattr("course.engine.box.best_rung", lambda *_: Rung.BOX)
    return run


def tried(hour, **results):
    return {"submission_time": f"2027-02-02T{hour:02}:00:00-05:00", "score": 0, "results": results or None}


def tried_well(hour, score):
    return tried(hour, score=score, output=f"Graded: at {hour}.", tests=[{"score": score}], extra_data={"rung": "BOX"})


def test_of_several_files_the_one_that_is_called_as_the_assignment_counts_and_is_named(graded, tmp_path):
    files = {".ipynb_checkpoints/a01.ipynb": "-", "Mine.ipynb": "--", "Old/a01.ipynb": "---", "a01.ipynb": "----"}
    found = graded(**files, **{"a01.py/readme.txt": ""})
    assert (found["score"], found["output"]) == (4, "Graded: a01.ipynb; not Old/a01.ipynb, Mine.ipynb.\nA note.")
    assert graded(**{"Mine.ipynb": "--"})["output"] == "Graded: Mine.ipynb.\nA note."
    found = graded(**{".ipynb_checkpoints/a01.ipynb": "-", "a01.pdf": ""})
    assert found == {"score": 0, "output": "There is no notebook in what was handed in: hand in a01.ipynb."}


def test_an_earlier_try_without_a_time_takes_nothing_from_the_others(graded):
    earlier = [tried_well(hour, 60 + hour) for hour in (3, 5, 1, 4, 2)]
    for odd in ({"results": {}}, {"submission_time": "soon", "results": {"tests": [1]}}, "odd", None):
        found = graded(*earlier, odd, **{"a01.ipynb": "----"})
        assert (found["score"], found["extra_data"][gradescope.REPEATED]) == (65, True)


def test_a_try_too_many_keeps_the_last_points_and_is_no_try(graded):
    earlier = [tried_well(hour, 60 + hour) for hour in (3, 5, 1, 4, 2)]
    said = "There were 5 tries in 24 hours already; this one is not graded."
    refused = graded(*earlier, **{"a01.ipynb": "----"})
    assert refused == {
        "score": 65,
        "output": f"{said} What follows is your last graded try's.\nGraded: at 5.",
        "tests": [{"score": 65}],
        "extra_data": {"rung": "BOX", gradescope.REPEATED: True},
    }
    again = graded(*earlier, tried(6, **refused), tried(7, score=0, output="No."), **{"a01.ipynb": "----"})
    assert again == refused
    yesterday = tried_well(6, 66) | {"submission_time": "2027-02-01T11:00:00-05:00"}
    found = graded(yesterday, *earlier[1:], *(tried(hour, **refused) for hour in (6, 7)), tried(8), **{"a01.py": "---"})
    assert (found["score"], found["extra_data"]) == (3, {"rung": "BOX", "cpu": 0.0})


def test_what_cannot_be_graded_keeps_the_last_points(graded, monkeypatch):
    assert graded(tried_well(3, 63), tried_well(4, 64))["score"] == 64

    def none_here(*_):
        raise NoBoxError("There is no box.")

    monkeypatch.setattr("course.engine.box.best_rung", none_here)
    found = graded(tried_well(3, 63), **{"a01.ipynb": "----"})
    assert found["score"] == 63
    assert found["output"].startswith("The autograder cannot grade: There is no box. Tell your instructor. What")
