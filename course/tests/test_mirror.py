"""The mirror for students: what they need, nothing private, and written again without touching what is another's."""

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import nbformat
import pytest

from course.engine import build, mirror, quiz
from course.engine.assignments import COURSE, assignments
from course.engine.settings import SettingsError
from tools import course

PROJECT = {f"project/{name}" for name in ("brief.md", "proposal.md", "report.md", "peer_review.md", "rubric.yml")}
FIRST = {"README.md": b"one\n", "a01.ipynb": b"{}\n", "slides/01.pdf": b"%PDF \xff"}


def kept(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_holds_what_students_need_and_nothing_private(tmp_path, told):
    made = mirror.publish(
        tmp_path / "mirror", told, ["a01", "a05"], {"syllabus.html": b"<p>", "slides/01.pdf": b"%PDF"}
    )
    assert set(kept(tmp_path / "mirror")) == {*made.files, mirror.LIST}
    assert set(made.files) >= {"README.md", "LICENSE", "LICENSE-CC-BY-4.0", "syllabus.html", "slides/01.pdf"} | PROJECT
    assert {name for name in made.files if re.fullmatch(r"a\d\d\.ipynb", name)} == {"a01.ipynb", "a05.ipynb"}
    assert not [name for name in made.files if re.search(r"engine|guide|quizzes|tests|checks|course|/[._]", name)]
    for name in ("a01.ipynb", "a05.ipynb"):
        nbformat.validate(nbformat.read(tmp_path / "mirror" / name, as_version=4))


def test_its_page_leads_to_files_that_are_there(tmp_path, told):
    folder = tmp_path / "mirror"
    more = {"syllabus.html": b"<p>", "calendar.ics": b"BEGIN", "slides/01.pdf": b"%PDF"}
    mirror.publish(folder, told, ["a02"], more, ["q08"])
    page = (folder / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^):]+)\)", page)
    assert {"a02.ipynb", "slides", "quizzes/q08.html", "project/brief.md", "syllabus.html", "LICENSE"} <= set(links)
    assert all((folder / link).exists() for link in links)
    assert told.term in page
    assert not re.search(
        "@|make |professor|secret|grade", page.replace("What is graded are", "").replace("no grade", "")
    )


@pytest.mark.parametrize("file", ["brief.md", "exemplars/run.py"])
def test_a_line_of_a_solution_stops_it_and_nothing_is_written(file, tmp_path, told, monkeypatch):
    """Into the project's folder got a line of the solution of an assignment that is not given out yet."""
    line = max(mirror.solution_lines(assignments()["a06"].cells()), key=len)
    there = tmp_path / "course"
    shutil.copytree(COURSE, there, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*mirror.LICENSES, "_config.yml"):
        shutil.copy(COURSE.parent / name, tmp_path)
    (there / "project" / file).write_text(f"text\n{line}\n", encoding="utf-8")
    monkeypatch.setattr(mirror, "COURSE", there)
    with pytest.raises(SettingsError, match="a line of the solution of a06 stands in"):
        mirror.publish(tmp_path / "mirror", told, ["a01"], {})
    assert not (tmp_path / "mirror").exists()


def test_students_notebooks_show_nothing_and_the_instructors_do(tmp_path, told):
    build.build(tmp_path, told)
    assert mirror.leaked(tmp_path / "student", told) == []
    assert mirror.leaked(tmp_path / "instructor", told) != []


def test_the_project_is_the_same_in_both_and_what_is_no_longer_handed_out_goes(tmp_path, told):
    old = tmp_path / "student" / "project" / "old.md"
    old.parent.mkdir(parents=True)
    old.write_text("old", encoding="utf-8")
    (tmp_path / "student" / "a01.md").write_text("a note of mine", encoding="utf-8")
    build.build(tmp_path, told)
    made = mirror.publish(tmp_path / "mirror", told, [], {})
    project = tmp_path / "student" / "project"
    assert {f"project/{name}" for name in kept(project)} == {name for name in made.files if name.startswith("project/")}
    assert not old.exists()
    assert (tmp_path / "student" / "a01.md").exists()


@pytest.mark.parametrize("name", [".git/config", "__pycache__/model.pyc", "a/ruff.toml", "a/results.json"])
def test_caches_and_what_a_run_leaves_are_not_handed_out(name, tmp_path):
    for each in (name, "a/model.py"):
        mirror._write(tmp_path / each, b"")
    assert set(build.project_files(tmp_path)) == {"a/model.py"}


def test_the_secret_is_found(tmp_path, told):
    (tmp_path / "page.md").write_text("Our word is: a word of my own.", encoding="utf-8")
    assert mirror.leaked(tmp_path, replace(told, secret="a word of my own")) == [
        "the secret of course.yml stands in page.md"
    ]


def test_a_key_of_a_quiz_is_found(tmp_path, told):
    for folder in ("quizzes", "assignments/a01"):
        shutil.copytree(COURSE / folder, tmp_path / folder)
    found = mirror.leaked(tmp_path / "quizzes", told)
    for path in (COURSE / "quizzes").glob("*.yml"):
        for item in quiz.load(path).items:
            if len(item.why) >= mirror.SHORTEST:
                assert f"the key of {item.key} stands in {path.name}" in found
    assert any(one.startswith("a line of a01's checks.py") for one in mirror.leaked(tmp_path / "assignments", told))


def test_keys_of_quizzes_done_alone_are_shown_and_no_others(tmp_path, told):
    shutil.copy(COURSE / "quizzes" / "q08.yml", tmp_path)
    assert mirror.leaked(tmp_path, told, ["q08"]) == []
    assert mirror.leaked(tmp_path, told, ["q07"]) != []


def test_a_short_reason_is_nobodys(tmp_path, told, monkeypatch):
    """A key whose reason is two words is not looked for: they stand everywhere."""
    short = SimpleNamespace(items=[SimpleNamespace(key="q01-x", why="Count.")])
    monkeypatch.setattr(mirror.quiz, "load", lambda _: short)
    (tmp_path / "page.md").write_text("Count.", encoding="utf-8")
    assert mirror.leaked(tmp_path, told) == []


def test_an_update_changes_its_own_files_alone(tmp_path):
    others = {".git/HEAD": b"ref\n", ".git/config": b"[core]\n", "notes.md": b"mine\n", "slides/mine.txt": b"mine\n"}
    for name, data in others.items():
        mirror._write(tmp_path / name, data)
    assert mirror.update(tmp_path, FIRST).changed == sorted(FIRST)
    second = {"README.md": b"two\n", "a01.ipynb": FIRST["a01.ipynb"], "a02.ipynb": b"{}\n"}
    done = mirror.update(tmp_path, second)
    assert (done.changed, done.removed) == (["README.md", "a02.ipynb"], ["slides/01.pdf"])
    found = kept(tmp_path)
    assert json.loads(found.pop(mirror.LIST))["files"].keys() == second.keys()
    assert found == second | others
    assert mirror.update(tmp_path, second) == mirror.Written(sorted(second), [], [])


def test_a_file_in_its_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("text", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"file is no folder: DEST is one"):
        mirror.update(tmp_path / "file", FIRST)


def test_a_folder_that_became_empty_goes(tmp_path):
    mirror.update(tmp_path / "new", FIRST)
    mirror.update(tmp_path / "new", {"README.md": b"one\n"})
    assert not (tmp_path / "new" / "slides").exists()


def test_a_checkout_with_other_ends_of_lines_is_as_it_was(tmp_path):
    mirror.update(tmp_path, FIRST)
    (tmp_path / "README.md").write_bytes(b"one\r\n")
    assert mirror.update(tmp_path, FIRST).changed == []
    assert mirror.update(tmp_path, FIRST | {"README.md": b"two\n"}).changed == ["README.md"]


def test_a_calendar_made_at_another_moment_is_no_change(tmp_path):
    first = {"calendar.ics": b"BEGIN:VEVENT\r\nDTSTAMP:20270101T000000Z\r\nSUMMARY:A class\r\n"}
    mirror.update(tmp_path, first)
    later = {"calendar.ics": first["calendar.ics"].replace(b"20270101", b"20270301")}
    assert mirror.update(tmp_path, later).changed == []
    assert mirror.update(tmp_path, {"calendar.ics": later["calendar.ics"].replace(b"class", b"lab")}).changed


def changed_by_hand(folder):
    (folder / "README.md").write_text("mine\n", encoding="utf-8")


def file_where_a_folder_goes(folder):
    shutil.rmtree(folder / "slides")
    (folder / "slides").write_text("mine\n", encoding="utf-8")


def folder_where_a_file_goes(folder):
    (folder / "a01.ipynb").unlink()
    (folder / "a01.ipynb").mkdir()


def name_of_a_new_file(folder):
    (folder / "a02.ipynb").write_text("mine\n", encoding="utf-8")


def list_that_leads_out(folder):
    (folder / mirror.LIST).write_text('{"files": {"../others.txt": "0"}}', encoding="utf-8")


def list_that_is_broken(folder):
    (folder / mirror.LIST).write_text('{"files": ', encoding="utf-8")


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (changed_by_hand, "README.md has been changed since"),
        (file_where_a_folder_goes, "slides is no folder"),
        (folder_where_a_file_goes, "a01.ipynb is no plain file"),
        (name_of_a_new_file, "a02.ipynb was not written by the mirror"),
        (list_that_leads_out, "names what no mirror writes"),
        (list_that_is_broken, "cannot be read"),
    ],
)
def test_what_others_have_written_stops_an_update(happens, said, tmp_path):
    mirror.update(tmp_path / "mirror", FIRST)
    (tmp_path / "others.txt").write_text("mine\n", encoding="utf-8")
    happens(tmp_path / "mirror")
    before = kept(tmp_path)
    with pytest.raises(SettingsError, match=said):
        mirror.update(tmp_path / "mirror", {"README.md": b"two\n", "a01.ipynb": b"{2}", "a02.ipynb": b"{}"})
    assert kept(tmp_path) == before


def test_a_file_that_was_removed_is_written_anew(tmp_path):
    mirror.update(tmp_path, FIRST)
    changed_by_hand(tmp_path)
    (tmp_path / "README.md").unlink()
    assert mirror.update(tmp_path, FIRST).changed == ["README.md"]


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "notes.md").write_text("mine\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="holds something already"):
        mirror.update(tmp_path, FIRST)
    assert set(kept(tmp_path)) == {"notes.md"}


class At(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz=None):
        return datetime(2027, 2, 9, 10, 0, tzinfo=UTC)


def test_the_command_gives_out_by_the_calendar_or_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(course, "datetime", At)
    monkeypatch.setattr(course, "OUT", tmp_path / "built")
    folder = tmp_path / "mirror"
    assert course.main(["course-public", str(folder)]) == 0
    assert {path.name for path in folder.glob("*.ipynb")} == {"a01.ipynb"}
    assert "Given out: a01." in capsys.readouterr().out
    mirror._write(tmp_path / "built" / "slides" / "01.pdf", b"%PDF")
    assert course.main(["course-public", "--assignments=a01,a02", str(folder)]) == 0
    assert {path.name for path in folder.glob("*.ipynb")} == {"a01.ipynb", "a02.ipynb"}
    assert "README.md, a02.ipynb, slides/01.pdf" in capsys.readouterr().out
    (tmp_path / "built" / "slides" / "01.pdf").unlink()
    (folder / "slides" / "mine.txt").write_text("mine\n", encoding="utf-8")
    assert course.main(["course-public", "--assignments=a01,a02", str(folder)]) == 0
    assert (folder / "slides" / "01.pdf").is_file()  # on a machine on which no slides were built, they stay
    assert "slides/mine.txt" not in (folder / mirror.LIST).read_text(encoding="utf-8")
    assert (folder / "calendar.ics").is_file()
    assert course.main(["course-public", "--assignments=a99", str(folder)]) == 1
    assert "There is no assignment 'a99'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("now", "quizzes"), [((2027, 4, 11), []), ((2027, 4, 12), ["q08"]), ((2028, 1, 1), ["q08", "q12"])]
)
def test_a_quiz_for_oneself_is_there_from_its_week_on(now, quizzes, tmp_path, monkeypatch):
    class Then(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(*now, 12, tzinfo=UTC)

    monkeypatch.setattr(course, "datetime", Then)
    monkeypatch.setattr(course, "OUT", tmp_path / "built")
    assert course.main(["course-public", "--assignments=a01", str(tmp_path / "mirror")]) == 0
    assert sorted(path.stem for path in tmp_path.glob("mirror/quizzes/*")) == quizzes
