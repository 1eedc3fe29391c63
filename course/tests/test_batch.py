"""A class is graded whole, can be taken up again, and a bad file is one student's."""

import csv
import zipfile
from dataclasses import replace

import pytest
from boxes import STRICT, needs_box
from hostile import HONEST
from small import checks, notebook

from course.engine import archive, batch, feedback, gradebook, gradescope, handed_in, submission
from course.engine.answers import read
from course.engine.assignments import COURSE
from course.engine.box import Rung
from course.engine.cases import CasesError, Task, checks_of, uniform
from course.engine.grade import grade
from course.engine.handed_in import HandedIn
from course.engine.settings import Student

RIGHT = "def cumulate(x):\n    return x.cumsum(0)"
CLASS = [Student(name, name.title(), {}) for name in ("ada", "bob", "cleo", "dan", "eve", "flo")]
RUBRIC = {"title": "Small", "criteria": {"figure": {"points": 5, "question": "3: the figure"}}}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    notebook(folder / "ada.ipynb", HONEST, RIGHT)
    notebook(folder / "half_bob_123.ipynb", HONEST, "STUDENT = 'ada'", "def cumulate(x):\n    return x.cumsum(0) - x")
    notebook(folder / "cleo.ipynb", "import os\nos._exit(0)")
    (folder / "dan.ipynb").write_text("[" * 100_000, encoding="utf-8")
    (folder / "eve.py").write_text(f"{HONEST}\n\n{RIGHT}\n", encoding="utf-8")
    return folder


def graded(folder, out, said):
    files = handed_in.submissions(folder, CLASS)
    return batch.grade_all(files, checks, out, Rung.BOX, version="1", limits=STRICT, say=said.append)


def rows(found):
    return {row["id"]: row for row in csv.DictReader(gradebook.table(found).splitlines())}


@needs_box
def test_a_class_is_graded_and_taken_up_again(folder, tmp_path, told):
    out, said = tmp_path / "out", []
    results = graded(folder, out, said)
    assert {result.student: result.score for result in results} == {
        "ada": 10,
        "bob": 5.5,
        "cleo": 0,
        "dan": 0,
        "eve": 10,
    }
    assert len(said) == 5
    assert out.stat().st_mode & 0o77 == 0  # another user, as whom code may run, reads no results
    found = gradebook.grades(CLASS, {one.student: one for one in results}, {}, RUBRIC, None, told)
    page = feedback.page(found[1], RUBRIC)
    assert page.count("The sum holds its own number too.") == 1
    assert "handed in by &#x27;bob&#x27;" in page
    assert feedback.page(found[3], RUBRIC).count("It is no notebook") == 2  # about the whole, and for all questions
    notes = {name: row["note"] for name, row in rows(found).items()}
    assert "The notebook says STUDENT = 'ada'" in notes["bob"]
    assert "Cell 1 stopped: it ended Python; all points are lost" in notes["cleo"]
    assert "It is no notebook" in notes["dan"]
    assert notes["flo"] == "nothing handed in"
    notebook(folder / "cleo.ipynb", HONEST)
    said.clear()
    assert [result.score for result in graded(folder, out, said)] == [10, 5.5, 4, 0, 10]
    assert said == ["cleo: 4 of 10"]
    one = {"cleo": HandedIn(folder / "cleo.ipynb", "cleo.ipynb")}
    kept, stale = batch.of_earlier_runs(out, "1", one)
    assert {name: result.score for name, result in kept.items()} == {"ada": 10, "bob": 5.5, "dan": 0, "eve": 10}
    assert (stale, kept["bob"].file) == ([], "half_bob_123.ipynb")
    assert batch.of_earlier_runs(out, "2", one) == ({}, ["ada", "bob", "dan", "eve"])


@needs_box
def test_a_function_of_another_name_and_one_that_calls_it_are_said_to_be(tmp_path, told):
    cells = (
        "import nowhere\n\ndef my_double(x):\n    return 2 * x",
        "def cumulate(x):\n    return double(x).cumsum(0)",
    )
    result = grade(notebook(tmp_path / "ada.ipynb", *cells), "ada", checks(), Rung.BOX, STRICT)
    assert result.items[0].sentence == "No cell defines double: is it called otherwise (my_double)?"
    assert result.notes == (
        "Cell 1: what needs something that is not there was left out. ModuleNotFoundError: No module named 'nowhere'.",
    )
    said = "cumulate calls double, which lost points too: with that mended, cumulate may be right."
    assert result.later == (said,)  # of cumulate no case is visible at once
    assert said not in gradescope.results_of(result, "box", ["ada.ipynb"])["output"]
    [found] = gradebook.grades([Student("ada", "ada", {})], {"ada": result}, {}, RUBRIC, None, told)
    assert said in feedback.page(found, RUBRIC)
    assert said.rstrip(".") in found.note


TELLS = """
kept = "double saw "
def double(x):
    with open("seen", "a") as file:
        file.write(f"{x.tolist()} ")
    return 0 * x
def cumulate(x):
    with open("seen", "a") as file:
        file.write(f"{x.tolist()} ")
    raise ValueError(open("seen").read())
"""


@needs_box
def test_a_secret_case_is_told_by_no_later_call(tmp_path):
    secret, *others = reversed(checks())
    first = [replace(secret, name="secret"), *others]
    result = grade(notebook(tmp_path / "ada.ipynb", TELLS), "ada", first, Rung.BOX, STRICT)
    told = " ".join(item.sentence for item in result.items)
    assert str(secret.args[0].tolist()) not in told


@needs_box
def test_who_cannot_be_graded_is_noted_and_the_others_are_graded(folder, tmp_path, told):
    """No cases can be drawn for ada, bob's file goes before it is read; eve is graded."""
    out, said = tmp_path / "out", []

    def mine(student):
        if student == "ada":
            raise CasesError("No case 3 of double could be drawn.")
        return checks(student)

    paths = {"ada": folder / "ada.ipynb", "bob": tmp_path / "gone.ipynb", "eve": folder / "eve.py"}
    files = {name: HandedIn(path, path.name) for name, path in paths.items()}
    (out / "results").mkdir(parents=True)
    (out / "results" / "ada.json").write_text("{}", encoding="utf-8")
    results = batch.grade_all(files, mine, out, Rung.BOX, version="1", limits=STRICT, say=said.append)
    assert [(result.student, result.graded, result.score) for result in results] == [
        ("ada", False, 0),
        ("bob", False, 0),
        ("eve", True, 10),
    ]
    assert said == [
        "ada: not graded. No case 3 of double could be drawn.",
        "bob: not graded. gone.ipynb cannot be read here: No such file or directory.",
        "eve: 10 of 10",
    ]
    hand = {name: {"figure": 5.0, "days_late": None} for name in ("ada", "eve")}
    found = gradebook.grades(CLASS, {one.student: one for one in results}, files, RUBRIC, hand, told)
    table = rows(found)
    assert (table["ada"]["q1"], table["ada"]["code"], table["ada"]["of"], table["ada"]["total"]) == ("", "", "10", "")
    assert table["ada"]["note"] == "not graded: No case 3 of double could be drawn"
    assert (table["eve"]["code"], table["eve"]["total"], table["flo"]["code"]) == ("10", "15", "")
    assert [path.name for path in (out / "results").iterdir()] == ["eve.json"]
    assert "has not been graded yet" in feedback.page(found[0], RUBRIC)


def test_cases_that_never_tell_right_from_wrong_are_said():
    alike = Task(
        "q1", "f", 1, 0, lambda x, mistake="": x, lambda _, g: ([uniform(g, 3)], "x"), {"same": (0.5, "Same.")}
    )
    with pytest.raises(CasesError, match="No case 0 of f could be drawn for 'ada'"):
        checks_of([alike], "a00", "ada", "salt", "secret")


def test_the_newest_of_a_students_files_in_an_archive_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name, year in (("1/ada.ipynb", 2027), ("2/ada.ipynb", 2026), ("3/ada.ipynb", 1980)):
            file.writestr(zipfile.ZipInfo(name, (year, 2 - (year == 1980) * 2, 1, 0, 0, 0)), str(year))
    archive.unpack(tmp_path / "a.zip", tmp_path / "in")
    ada = handed_in.submissions(tmp_path / "in", [Student("ada", "Ada", {})])["ada"]
    assert (ada.path.read_text(encoding="utf-8"), ada.name) == ("2027", "1/ada.ipynb")
    assert (ada.others, ada.tie) == (("3/ada.ipynb", "2/ada.ipynb"), False)


def test_a_file_of_nobody_stops_the_batch(folder):
    with pytest.raises(
        handed_in.HandedInError, match=r"4 of the files belong to nobody .*and 1 more.* the column 'ID'"
    ):
        handed_in.submissions(folder, CLASS[:1], "the column 'ID'")


def test_an_archive_writes_nothing_outside(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("../../ada.ipynb", "/bob/a.ipynb", "x/cleo.ipynb", "y/cleo.exe"):
            file.writestr(name, "{}")
    (tmp_path / "deep" / "in").mkdir(parents=True)
    archive.unpack(tmp_path / "a.zip", tmp_path / "deep" / "in")
    inside = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "a.zip"]
    assert len(inside) == 3
    assert all(path.is_relative_to(tmp_path / "deep" / "in") for path in inside)


def test_an_archive_keeps_every_folder_in_which_a_file_lies(tmp_path):
    """The id may stand in any of them, and an autosave lies below one."""
    whose = {"ada": "Ann_41001_assignsubmission_file/hw/sub/a01.ipynb", "bob": "class/bob/week1/a01.ipynb"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in (*whose.values(), "class/bob/.ipynb_checkpoints/old/a01.ipynb"):
            file.writestr(name, "{}")
    students = [Student("ada", "Ada", {}, "41001"), Student("bob", "Bob", {})]
    found = handed_in.submissions(archive.unpack(tmp_path / "a.zip", tmp_path / "in"), students)
    assert {name: (one.name, one.others) for name, one in found.items()} == {
        name: (file, ()) for name, file in whose.items()
    }


def test_a_file_that_is_too_large_costs_its_owner_alone(tmp_path, monkeypatch):
    for module in (archive, submission):
        monkeypatch.setattr(module, "LARGEST", 100)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("ada.ipynb", " " * 5000)
        file.writestr("bob.py", "x = 3")
    folder = archive.unpack(tmp_path / "a.zip", tmp_path / "in")
    files = handed_in.submissions(folder, CLASS)
    assert submission.read(files["bob"].path).cells == ("x = 3",)
    assert files["ada"].path.stat().st_size == 101
    with pytest.raises(submission.UnreadableError, match="It is larger than"):
        submission.read(files["ada"].path)
    monkeypatch.setattr(archive, "MOST_FILES", 1)
    with pytest.raises(handed_in.HandedInError, match=r"a\.zip holds 2 notebooks and scripts; 1 are the most"):
        archive.unpack(tmp_path / "a.zip", tmp_path / "again")


def test_what_cannot_be_written_here_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a" * 300 + "/ada.ipynb", "{}")
    with pytest.raises(handed_in.HandedInError, match=r"a\.zip cannot be unpacked here: .*aaa"):
        archive.unpack(tmp_path / "a.zip", tmp_path / "in")


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


def test_the_engine_is_in_small_modules():
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in COURSE.rglob("engine/*.py")}
    assert {name: size for name, size in sizes.items() if size > 350} == {}
