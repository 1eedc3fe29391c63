"""No grade is wrong without a word: whose file it is, what is open, what an instructor and a student read."""

import csv
import json
import os
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from small import notebook

from course.engine import archive, feedback, gradebook, handed_in, lms, settings
from course.engine.driver import run_cell
from course.engine.grade import Item, Result
from course.engine.handed_in import HandedIn, HandedInError
from course.engine.settings import SettingsError, Student
from course.engine.submission import defined, reached
from tools import course

ROSTER = """Student,ID,SIS Login ID,Section,A01 (90210)
    Points Possible,,,,100
"Lovelace, Ada",41001,ada,1,
"Babbage, Bob",41002,bob,1,
"Moore, Cleo",41003,cleo,1,
"Student, Test",49999,7f00aa55,1,
"""
RUBRIC = {
    "title": "Small",
    "criteria": {
        "proof": {"points": 5, "question": "2: the proof"},
        "figure": {"points": 5, "question": "3: the figure"},
    },
}


@pytest.fixture
def students(tmp_path, told):
    (tmp_path / "class.csv").write_text(ROSTER, encoding="utf-8")
    return settings.read_roster(tmp_path / "class.csv", told)


def result(student, *scores, said="The numbers differ.", **more):
    items = tuple(
        Item(
            "q1", f"case {min(n, 2)}", score, 5, "" if score == 5 else said, visible=n == 0, function="f", secret=n == 1
        )
        for n, score in enumerate(scores)
    )
    return Result(student, items, (), "BOX", 0.0, **({"file": f"{student}.ipynb"} | more))


def graded(students, results, told, hand=None, files=None):
    named = {one.student: one for one in results}
    every = {name: HandedIn(PurePosixPath("x"), one.file) for name, one in named.items()}
    found = gradebook.grades(students, named, every if files is None else files, RUBRIC, hand, told)
    return {one.student.id: one for one in found}


def given(proof=None, figure=None, days=None):
    return {"proof": proof, "figure": figure, "days_late": days}


# Whose file is it?


def test_canvas_has_two_ids_and_a_test_student(students):
    assert [(one.id, one.file_id) for one in students] == [("ada", "41001"), ("bob", "41002"), ("cleo", "41003")]


@pytest.mark.parametrize(
    ("name", "owner", "late"),
    [
        ("lovelaceada_41001_880000_a01-1.ipynb", "ada", False),
        ("lovelaceada_LATE_41001_880000_a01.ipynb", "ada", True),
        ("lovelaceada_41001_880000_41002_bob.ipynb", "ada", False),  # what follows is the student's own
        ("Ada Lovelace_41001_assignsubmission_file_/bob.ipynb", "ada", False),
        ("ada/a01.ipynb", "ada", False),
        ("ada/x_41002_880000_a01.ipynb", "ada", False),  # so is what lies in a student's folder
        ("ada/a01 with bob.ipynb", "ada", False),
        ("Ada Lovelace_41001_assignsubmission_file_/bob/a01.ipynb", "ada", False),
        ("mine_ada.py", "ada", False),
    ],
)
def test_a_files_name_says_whose_it_is(name, owner, late, students, tmp_path):
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    notebook(tmp_path / "in" / name, "")
    [(student, file)] = handed_in.submissions(tmp_path / "in", students).items()
    assert (student, file.late, file.name) == (owner, late, name)


@pytest.mark.parametrize("name", ["gone_49998_880000_ada.ipynb", "ada_bob.ipynb", "a01.ipynb"])
def test_a_file_of_nobody_or_of_two_is_refused(name, students, tmp_path):
    (tmp_path / "in").mkdir()
    notebook(tmp_path / "in" / name, "")
    with pytest.raises(HandedInError, match="belong to nobody"):
        handed_in.submissions(tmp_path / "in", students)


def test_the_column_that_files_are_named_by_is_said(tmp_path):
    notebook(tmp_path / "lovelaceada_41001_880000_a01.ipynb", "")
    with pytest.raises(HandedInError, match="Their names hold what stands in the column 'ID'"):
        handed_in.submissions(tmp_path, [Student("ada", "Ada", {"Student": "Ada", "ID": "41001", "Section": ""})])


def test_what_a_system_keeps_and_canvas_test_student_is_nobodys(students, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("x/ada.ipynb", "__MACOSX/x/._ada.ipynb", "x/.ipynb_checkpoints/ada.ipynb"):
            file.writestr(name, "{}")
        file.writestr("studenttest_49999_1_a01.ipynb", "{}")
    found = handed_in.submissions(archive.unpack(tmp_path / "a.zip", tmp_path / "in"), students)
    assert {name: (file.name, file.others) for name, file in found.items()} == {"ada": ("x/ada.ipynb", ())}


def test_a_pdf_alone_is_not_nothing(students, tmp_path, told):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("lovelaceada_41001_8_a01.pdf", "bob.ipynb", "bob/photo.jpg", "readme.txt"):
            file.writestr(name, "{}")
    others = handed_in.without_notebook(archive.names(tmp_path / "a.zip"), students, {"bob"})
    [ada, *_] = gradebook.grades(students, {}, {}, RUBRIC, None, told, others)
    assert ada.notes == ("no notebook among what was handed in (lovelaceada_41001_8_a01.pdf)",)


def test_of_two_files_of_one_date_it_is_said_that_nobody_knows(students, tmp_path, told):
    (tmp_path / "in").mkdir()
    for name in ("ada.ipynb", "ada_2.ipynb"):
        os.utime(notebook(tmp_path / "in" / name, ""), (1e9, 1e9))
    files = handed_in.submissions(tmp_path / "in", students)
    found = graded(students, [result("ada", 5)], told, files=files)
    assert found["ada"].notes == (
        "2 files: ada_2.ipynb counts (they are of one date, look which should), not ada.ipynb",
    )


def test_notebooks_that_name_other_ids_are_refused_and_the_column_is_named(students, tmp_path):
    files = {}
    for student in students:
        path = notebook(tmp_path / f"{student.id}.ipynb", f'STUDENT = "{student.file_id}"')
        files[student.id] = HandedIn(path)
    with pytest.raises(HandedInError, match=r"3 of 3 .*'ada' says STUDENT = '41001'.*the column 'ID'.*id_column"):
        handed_in.check_ids(files, students)
    notebook(tmp_path / "ada.ipynb", 'STUDENT = "ada"')
    handed_in.check_ids(files, students)  # two may be mistaken


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["ada.ipynb", "bob/a01.ipynb"], ["ada", "bob"]),
        (["ada/a.ipynb"], ["ada"]),
        (["ada/bob/a01.ipynb", "cleo.ipynb"], ["ada", "cleo"]),
        (["class/ada/week1/a01.ipynb", "class/bob/a01.ipynb"], ["ada", "bob"]),
        (["class/ada.ipynb", "class/bob.ipynb"], None),
        (["class/ada/a01.ipynb", "class/bob.ipynb"], None),
        (["ada/week1/a01.ipynb"], None),
        (["lovelaceada_41001_880000_a01.ipynb"], None),
        (["ada lovelace.ipynb"], None),
    ],
)
def test_without_a_class_list_the_names_in_a_zip_are_ids_or_it_is_refused(names, ids, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in names:
            file.writestr(name, "{}")
    folder = archive.unpack(tmp_path / "a.zip", tmp_path / "in")
    if ids is None:
        with pytest.raises(HandedInError, match=r"ROSTER=…\."):
            handed_in.by_name(folder)
    else:
        assert [student.id for student in handed_in.by_name(folder)] == ids


# Points by hand


def hand_file(tmp_path, text):
    (tmp_path / "hand.csv").write_text(text, encoding="utf-8")
    return tmp_path / "hand.csv"


def test_a_line_names_either_id_and_an_empty_cell_is_open(students, tmp_path):
    path = hand_file(tmp_path, "id,proof,figure,days_late\n41001,4,,\nbob,0,5,1.5\n")
    assert gradebook.read_hand(path, RUBRIC, students) == {"ada": given(4), "bob": given(0, 5, 1.5)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,proof,figure\neve,1,1\nflo,1,1\n", r"line 2: 'eve' is not on the class list \(2 lines"),
        ("id,proof,figure\nada,1,1\n41001,1,1\n", "line 3: '41001' is there twice"),
    ],
)
def test_an_id_of_nobody_or_twice_is_said(text, said, students, tmp_path):
    with pytest.raises(SettingsError, match=said):
        gradebook.read_hand(hand_file(tmp_path, text), RUBRIC, students)


def test_what_is_open_is_no_total(students, told):
    results = [result("ada", 5, 5), result("bob", 5, 0)]
    found = graded(students, results, told, {"ada": given(4), "cleo": given(3, 2)})
    assert {name: one.total for name, one in found.items()} == {"ada": None, "bob": None, "cleo": None}
    assert [one.notes for one in found.values()] == [
        ("no points by hand for figure",),
        ("no points by hand",),
        ("nothing handed in; points by hand alone make no total",),
    ]
    found = graded(students, results, told, {"ada": given(4, 5), "bob": given(0, 0, 1.5)})
    assert {name: one.total for name, one in found.items()} == {"ada": 19, "bob": 4, "cleo": None}  # two days began
    assert found["cleo"].notes == ("nothing handed in",)


def test_what_canvas_marks_as_late_is_open_until_the_days_are_said(students, told):
    late = [result("ada", 5, 5, late=True)]
    assert graded(students, late, told, {"ada": given(5, 5)})["ada"].total is None
    assert "marks it as late" in graded(students, late, told, {"ada": given(5, 5)})["ada"].notes[0]
    page = feedback.page(graded(students, late, told, {"ada": given(5, 5)})["ada"], RUBRIC)
    assert '<td>Days late</td><td class="points">open</td>' in page
    assert graded(students, late, told, {"ada": given(5, 5, 0)})["ada"].total == 20
    assert graded(students, late, told, {"ada": given(5, 5, 1)})["ada"].total == 18


# What is written


def test_notes_tell_an_empty_notebook_a_copied_one_and_one_that_hangs_on_a_cell(students, told):
    results = [
        result("ada", 0, 0, said="It returned nothing.", named="ada"),
        replace(result("bob", 0, 0, said="NameError: x"), notes=("Cell 1 stopped: E: a\n\x1b[2J.",), named="ada"),
        result("cleo", 5, 5),
    ]
    found = graded(students, results, told, files={})
    text = gradebook.table([*found.values()])
    rows = {row["id"]: row for row in csv.DictReader(text.splitlines())}
    same = "the notebooks of ada, bob name one id, 'ada': compare them"
    assert (
        rows["ada"]["note"]
        == f"as it was handed out: every function returns nothing; graded in an earlier run (ada.ipynb); {same}"
    )
    assert rows["bob"]["note"].startswith(
        "Cell 1 stopped: E: a [2J; all points are lost: does all hang on one cell?; f has"
    )
    assert (rows["cleo"]["name"], rows["cleo"]["code"], rows["cleo"]["total"]) == ("Moore, Cleo", "10", "")
    assert rows["cleo"]["note"] == "graded in an earlier run (cleo.ipynb)"


def test_canvas_gets_its_own_column_and_no_zero_for_nothing(students, told):
    found = graded(students, [result("ada", 5, 5)], told, {"ada": given(5, 5)})
    columns = list(students[0].row)
    assert lms.canvas_heading(columns, "a01", told) == ("A01 (90210)", True)
    assert lms.canvas_heading(columns, "a02", told) == ("a02", False)
    mine = replace(told, canvas_column="Assignment {number}")
    assert lms.canvas_heading(["Assignment 1 (7)", "Assignment 11 (8)"], "a01", mine) == ("Assignment 1 (7)", True)
    lines = list(csv.DictReader(lms.canvas([*found.values()], "A01 (90210)", 20).splitlines()))
    assert [line["A01 (90210)"] for line in lines] == ["20", "20", "", ""]
    lines = list(csv.DictReader(lms.moodle([*found.values()], 20).splitlines()))
    assert [(line["Full name"], line["Grade"]) for line in lines][:2] == [("Lovelace, Ada", "20"), ("Babbage, Bob", "")]


def test_a_page_has_the_whole_grade_and_each_sentence_once(students, told, tmp_path):
    results = [result("ada", 5, 0, 0, 0, file="lovelaceada_41001_8_a01.ipynb"), result("bob", 5)]
    found = [*graded(students, results, told, {"ada": given(4, 1, 1)}).values()]
    (tmp_path / "feedback").mkdir()
    (tmp_path / "feedback" / "eve.html").write_text("of an earlier run", encoding="utf-8")
    feedback.write_pages(tmp_path / "feedback", found, RUBRIC)
    assert sorted(path.name for path in (tmp_path / "feedback").iterdir()) == ["ada.html", "bob.html"]
    page = (tmp_path / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert page.count("The numbers differ.") == 1
    for words in ("ada (Lovelace, Ada)", "2: the proof", "4 / 5", "Days late: 1", "−10 %", "9 / 30", "Question 1"):
        assert words in page
    assert "case 1 (secret)<br>2 × case 2" in page
    assert "open / 5" in (tmp_path / "feedback" / "bob.html").read_text(encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "feedback.zip") as file:
        assert file.namelist() == ["lovelaceada_41001_8_a01.html", "bob.html"]


# The driver and what a submission defines


def test_a_missing_module_costs_what_needs_it_alone():
    names = {}
    source = "from __future__ import annotations\nfrom nowhere import (\n    disk)\ndisk.mount()\nx = 3\n"
    source += "def f(a: no): return a"
    error = run_cell(source, "<cell 1>", names)
    assert (type(error), names["x"], names["f"](2)) == (ModuleNotFoundError, 3, 2)
    with pytest.raises(ZeroDivisionError):
        run_cell("1 / 0\ny = 3", "<cell 2>", names)
    assert "y" not in names


def test_each_statement_of_a_cell_runs_once():
    names = {}
    source = (
        "out = []; out.append(1); out.append(2); nope; out.append(3)\ndef f(): nope\nout.append(4); f(); out.append(5)"
    )
    assert type(run_cell(source, "<cell 1>", names)) is NameError
    assert names["out"] == [1, 2, 3, 4, 5]
    with pytest.raises(SyntaxError):
        run_cell("out.append(6)\nreturn", "<cell 2>", names)
    assert names["out"] == [1, 2, 3, 4, 5]


def test_what_a_submission_defines_and_calls():
    cells = [
        "def step(x):\n    return 1",
        "%magic\ndef helper(x):\n    return step(x)\n\nfit = 3",
        "def em_fit(x):\n  helper(x)",
    ]
    found = defined(cells)
    assert found == {"step": set(), "helper": {"step"}, "fit": set(), "em_fit": {"helper"}}
    assert reached("em_fit", found) == {"helper", "step"}
    assert defined(["a" * 10**6 + " ("]) == {}


@pytest.mark.parametrize("name", ["@alice.ipynb", "@bob/a01.ipynb", "@0001/a01.ipynb"])
def test_a_name_that_begins_as_no_other_does_is_kept(tmp_path, name):
    assert handed_in.name_in(tmp_path / name, tmp_path) == PurePosixPath(name)


def test_many_functions_that_call_each_other_cost_no_memory():
    number = 20_000
    cells = ["\n\n".join(f"def f{k}(x): return f{(k + 1) % number}(x)" for k in range(number))]
    tracemalloc.start()
    found = defined(cells)
    assert len(reached("f0", found)) == number - 1
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_what_stands_in_comments_and_strings_is_no_call():
    step = 'def step(x):\n    """As fit(x), \\""" but\nfit(x) once.\n    """\n    # isn\'t it fit(x)?\n    '
    helper = "!echo it's\ndef helper(x):\n    '''fit(x) \"'''\n    return step(x) + last('fit(x)')  # \"\"\"\n\n"
    cells = [step + 'return go("\\"fit(x)")', helper + "def fit(x): return 3"]
    assert defined(cells) == {"step": {"go"}, "helper": {"step", "last"}, "fit": set()}
    for hostile in ('"' + '\\"' * 10**5, '"""' + "'" * 10**5, "'\"" * 10**5, '"""' + '\\"""' * 10**5 + "\\"):
        assert defined([hostile]) == {}


# The command


def test_the_command_keeps_what_it_has_and_takes_away_tables_that_are_not_whole(tmp_path, monkeypatch, capsys):
    """One file is handed in anew: the others' results are kept; without HAND there is no table for a platform."""

    def grade_one(path, student, *_, **__):
        return result(student, 5 if "right" in path.read_text(encoding="utf-8") else 0)

    monkeypatch.setattr("course.engine.batch.grade", grade_one)
    monkeypatch.setattr("course.engine.batch.fonts", lambda folder: folder)
    (tmp_path / "class.csv").write_text(ROSTER, encoding="utf-8")
    (tmp_path / "hand.csv").write_text("id,derivation,bounded,figure\nada,14,6,10\n41002,14,6,10\n", encoding="utf-8")
    (tmp_path / "all" / "cleo").mkdir(parents=True)
    (tmp_path / "new").mkdir()
    for folder, code in (("all", "wrong"), ("new", "right")):
        for name in ("ada", "bob") if folder == "all" else ("ada",):
            notebook(tmp_path / folder / f"{name}.ipynb", code)

    def call(folder, *more):
        where = [f"--roster={tmp_path / 'class.csv'}", f"--out={tmp_path / 'out'}", "--unsafe", *more]
        assert course.main(["grade", *where, "a01", str(tmp_path / folder)]) == 0
        return capsys.readouterr().out

    hand = f"--hand={tmp_path / 'hand.csv'}"
    said = call("all", hand)
    assert "look at cleo (Moore, Cleo): nothing handed in" in said
    table = list(csv.DictReader((tmp_path / "out" / "canvas.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["A01 (90210)"] for row in table] == ["100", "30", "30", ""]
    said = call("new", hand)
    assert "2 of 3 have handed in, 1 of them in an earlier run" in said
    assert "look at bob (Babbage, Bob): " in said
    table = list(csv.DictReader((tmp_path / "out" / "canvas.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["A01 (90210)"] for row in table] == ["100", "35", "30", ""]
    kept = tmp_path / "out" / "results" / "bob.json"
    content = json.loads(kept.read_text(encoding="utf-8"))
    kept.write_text(json.dumps(content | {"version": "last term's"}), encoding="utf-8")
    said = call("new", hand)
    assert "look at bob (Babbage, Bob): graded by other checks or in another term, which does not count" in said
    table = list(csv.DictReader((tmp_path / "out" / "canvas.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["A01 (90210)"] for row in table] == ["100", "35", "", ""]
    said = call("new")
    assert "they are written where ROSTER and HAND are given" in said
    assert not (tmp_path / "out" / "canvas.csv").exists()
    assert not (tmp_path / "out" / "feedback" / "bob.html").exists()


def test_a_class_list_with_one_id_for_two_is_refused(told, tmp_path):
    (tmp_path / "class.csv").write_text(ROSTER + '"X, Y",ada,eve,1,\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="line 7: 'ada' is there twice"):
        settings.read_roster(tmp_path / "class.csv", told)
