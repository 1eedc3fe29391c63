"""Every command of the course with wrong arguments: one sentence, an exit status, and nothing written."""

import re
import shutil
import zipfile

import pytest
from small import notebook

from course.engine import box
from course.engine.assignments import COURSE
from tools import course

CLASS = "Student,SIS Login ID\nAda,ada\n"


@pytest.fixture
def here(tmp_path):
    """What a call names: a folder with a notebook, class lists, points by hand, and files that are none of these."""
    (tmp_path / "in").mkdir()
    (tmp_path / "empty").mkdir()
    notebook(tmp_path / "in" / "ada.ipynb", "")
    texts = {
        "class.csv": CLASS,
        "nobody.csv": "Student,SIS Login ID\nPoints Possible,\n",
        "no_students.csv": "Student,SIS Login ID\n",
        "no_id.csv": "Student,Login\nAda,ada\n",
        "twice.csv": CLASS + "Ada,ada\n",
        "odd.csv": CLASS + "Bob,../bob\n",
        "more.csv": CLASS + "Bob,bob,3\n",
        "headings.csv": "Student,SIS Login ID,SIS Login ID\nAda,ada,ada\n",
        "empty.csv": "\n\n",
        "hand.csv": "id,derivation,bounded,figure\nada,1,1,1\n",
        "hand_columns.csv": "id,derivation\nada,1\n",
        "hand_unknown.csv": "id,derivation,bounded,figure\nbob,1,1,1\n",
        "hand_twice.csv": "id,derivation,bounded,figure\nada,1,1,1\nada,1,1,1\n",
        "hand_much.csv": "id,derivation,bounded,figure\nada,1000,1,1\n",
        "hand_word.csv": "id,derivation,bounded,figure\nada,good,1,1\n",
        "few.csv": "id,a,b\n" + "s,1,0\n" * 3,
        "one_item.csv": "id,a\n" + "s,1\n" * 6,
        "ragged.csv": "id,a,b\n" + "s,1,0\n" * 6 + "s,1\n",
        "nothing.csv": "id,Q. 1 /0.00,Q. 2 /1.00\n" + "s,0,0\n" * 6,
        "words.csv": "id,name,a\n" + "s,Ada,1\n" * 6,
        "text.txt": "text",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "latin.csv").write_bytes("Student,SIS Login ID\nJosé,jose\n".encode("latin-1"))
    with zipfile.ZipFile(tmp_path / "broken.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("ada.ipynb", "{}" * 5000)
    whole = bytearray((tmp_path / "broken.zip").read_bytes())
    whole[45:50] = b"\xff" * 5
    (tmp_path / "broken.zip").write_bytes(whole)
    return tmp_path


def grade(folder="in", roster="", hand="", *, name="a01", out="out"):
    return [
        "grade",
        *([f"--roster=@{roster}"] if roster else []),
        *([f"--hand=@{hand}"] if hand else []),
        f"--out=@{out}",
        name,
        f"@{folder}",
    ]


CALLS = [
    (grade(name="a99"), "There is no assignment 'a99'; there are a01"),
    (grade("nowhere"), "There is no .*nowhere: DIR is the folder or the zip file"),
    (grade("empty"), "holds no notebook"),
    (grade("text.txt"), "is no zip file that can be read"),
    (grade("broken.zip"), "is no zip file that can be read"),
    (grade(roster="nowhere.csv"), "cannot be read as a CSV file: No such file"),
    (grade(roster="empty"), "cannot be read as a CSV file: Is a directory"),
    (grade(roster="empty.csv"), "is empty"),
    (grade(roster="no_students.csv"), "names no student"),
    (grade(roster="nobody.csv"), "names no student"),
    (grade(roster="no_id.csv"), "has no column 'SIS Login ID' .*, but Student, Login"),
    (grade(roster="twice.csv"), "line 3: 'ada' is there twice"),
    (grade(roster="odd.csv"), "line 3: '../bob' is no id"),
    (grade(roster="more.csv"), "line 3 has 3 cells"),
    (grade(roster="headings.csv"), "is the heading of two columns"),
    (grade(roster="latin.csv"), "is not in UTF-8"),
    (grade(hand="hand.csv"), "needs the class list"),
    (grade(roster="class.csv", hand="nowhere.csv"), "cannot be read as a CSV file"),
    (grade(roster="class.csv", hand="latin.csv"), "is not in UTF-8"),
    (grade(roster="class.csv", hand="empty.csv"), "is empty"),
    (grade(roster="class.csv", hand="hand_columns.csv"), "has the columns id, derivation, bounded, figure"),
    (grade(roster="class.csv", hand="hand_unknown.csv"), "line 2: 'bob' is not on the class list"),
    (grade(roster="class.csv", hand="hand_twice.csv"), "line 3: 'ada' is there twice"),
    (grade(roster="class.csv", hand="hand_much.csv"), "line 2: derivation is a number from 0 to 14"),
    (grade(roster="class.csv", hand="hand_word.csv"), "line 2: derivation is a number from 0 to 14, and is 'good'"),
    (grade(out="text.txt/out"), "cannot be read or written: Not a directory"),
    (["gradescope", "a99"], "There is no assignment 'a99'"),
    (["gradescope", "a01"], "the secret that everyone knows"),
    (["course-public", "@in"], "holds something already"),
    (["course-public", "@text.txt"], "text.txt is no folder: DEST is one that"),
    (["items", "@nowhere.csv"], "No such file"),
    (["items", "@empty"], "Is a directory"),
    (["items", "@empty.csv"], "is empty"),
    (["items", "@latin.csv"], "is not in UTF-8"),
    (["items", "@few.csv"], "has 3 lines of students; 5 are the least"),
    (["items", "@one_item.csv"], "at least two items"),
    (["items", "@ragged.csv"], "line 8 has 2 cells, and there are 3 headings"),
    (["items", "@nothing.csv"], "'Q1' gives no points"),
    (["items", "@words.csv"], "line 2: a score is a number, and 'Ada' is none"),
]
EMPTY = [
    (["grade", "a01", ""], "DIR is missing: it"),
    (["items", ""], "FILE is missing: it"),
    (["course-public", ""], "DEST is missing: it"),
    (["grade", "--roster=", "a01", "in"], "ROSTER is missing: it"),
]


def called(arguments, folder):
    return [re.sub(r"@(?=\w)", f"{folder}/", each) for each in arguments]


def kept(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("arguments", "said"), CALLS, ids=lambda each: " ".join(each)[:60] if each else "")
def test_a_wrong_call_is_one_sentence_and_writes_nothing(arguments, said, here, capsys):
    before = kept(here)
    assert course.main(called(arguments, here)) == 1
    told = capsys.readouterr().err
    assert re.search(said, told), told
    assert len(told.strip().splitlines()) == 1
    assert kept(here) == before
    assert not (here / "out").exists() or not any((here / "out").iterdir())


@pytest.mark.parametrize(("arguments", "said"), EMPTY)
def test_a_call_that_names_nothing_says_so(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        course.main(arguments)
    assert ended.value.code == 2
    assert f"{said} names no file or folder" in capsys.readouterr().err


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_code_is_run_on_linux_alone_and_nothing_else_is_advised(system, here, monkeypatch, capsys):
    """Even what is trusted: what ends it, and counts what it uses, needs Linux."""
    monkeypatch.setattr(box.sys, "platform", system)
    for call in (["grade", "a01", str(here / "in")], ["project-check", str(COURSE / "project" / "exemplars" / "b")]):
        for more in ([], ["--unsafe"]):
            assert course.main([call[0], *more, "--out", str(here / "out"), *call[1:]]) == 1
            told = capsys.readouterr().err
            assert "it needs Linux" in told
            assert "--unsafe" not in told
            assert len(told.strip().splitlines()) == 1
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    "private", ["course.yml", "assignments/a01/checks.py", "assignments/a06/checks.py", "@in", "@out"]
)
def test_nothing_is_run_that_could_read_what_is_private(private, here, monkeypatch, capsys):
    """On the second rung, where one file or folder of these is open to all."""
    path = here / private[1:] if private.startswith("@") else COURSE / private

    def why_not(rung, *private):
        return None if rung is not box.Rung.BOX and path not in private else f"{path} could be read"

    monkeypatch.setattr(box, "why_not", why_not)
    for call in (["grade", "--out", str(here / "out"), "a01"], ["project-check", "--out", str(here / "out")]):
        assert course.main([*call, str(here / "in")]) == 1
        assert f"{path} could be read. Install bubblewrap" in capsys.readouterr().err
    assert not (here / "out").exists()


TOLD = (COURSE / "course.yml").read_text(encoding="utf-8")
FILES = [
    (TOLD.replace("tries_per_day: 5", ""), "calendar", "look at tries_per_day"),
    (TOLD + "\npoints: 3\n", "calendar", "look at points"),
    (TOLD.replace("tries_per_day: 5", "tries_per_day: five"), "calendar", "tries_per_day is a whole number"),
    (TOLD.replace("class_minutes: 75", "class_minutes: 0"), "calendar", "class_minutes are at least 1"),
    (TOLD.replace("late_percent_per_day: 10", "late_percent_per_day: 101"), "calendar", "from 0 to 100"),
    (TOLD.replace('start: "2027-02-01"', "start: 2027-02-01"), "calendar", "start is text, and is 2027-02-01: put it"),
    (TOLD.replace('start: "2027-02-01"', 'start: "1 Feb"'), "calendar", "start has a day as 2027-02-01, not '1 Feb'"),
    (TOLD.replace('plan: "12_weeks"', 'plan: "13_weeks"'), "calendar", "no plan '13_weeks'.*12_weeks, 6_weeks"),
    (TOLD.replace("change me before the first assignment", "short"), "calendar", "at least 12 characters"),
    (TOLD.replace('"Tue 10:15, Thu 10:15"', '"Tue, Thu"'), "calendar", "class_hours holds 2 times"),
    (TOLD.replace("salt: ", "salt: ["), "calendar", "cannot be read as YAML"),
    ("", "course", "no more and no less"),
    ("- a", "course", "no more and no less"),
    ("\udcff", "course", "cannot be read as YAML"),
    (None, "course", "cannot be read as YAML: .*No such file"),
]


@pytest.mark.parametrize(("text", "command", "said"), FILES, ids=[said for *_, said in FILES])
def test_a_course_yml_that_does_not_fit_is_one_sentence(text, command, said, tmp_path, monkeypatch, capsys):
    shutil.copytree(COURSE / "syllabi", tmp_path / "syllabi")
    if text is not None:
        assert text != TOLD
        (tmp_path / "course.yml").write_bytes(text.encode("utf-8", "surrogateescape"))
    monkeypatch.setattr(course, "COURSE", tmp_path)
    monkeypatch.setattr(course, "OUT", tmp_path / "made")
    assert course.main([command]) == 1
    told = capsys.readouterr().err
    assert re.search(said, told), told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "made").exists()
