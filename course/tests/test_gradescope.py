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
    assert (found["score"], found["output"], found["extra_data"]["rung"]) == (70, "", "BOX")


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
