"""A team's folder is refused in one sentence where it is harmful, and its report is read as it stands."""

import json
import os

import pytest
import yaml

from course.engine import project_folder, project_sheet
from course.engine.project import POINTS, Outcome, Part
from course.engine.project_folder import NAMES, PROJECT, ProjectError
from course.engine.settings import SettingsError
from tools import course as commands

EXEMPLARS = PROJECT / "exemplars"


def refused(folder, tmp_path):
    with pytest.raises(ProjectError) as caught:
        project_folder.copy(folder, tmp_path / "copy")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_folder(team, tmp_path):
    assert "There is no folder" in refused(tmp_path / "nobody", tmp_path)
    assert "There is no folder" in refused(team / "run.py", tmp_path)


def test_too_large_though_nothing_is_stored(team, tmp_path):
    with (team / "data.bin").open("wb") as file:
        file.truncate(3 * 2**30)
    assert refused(team, tmp_path) == "team holds more than 20 MB."


def test_too_many_and_too_deep(team, tmp_path):
    for number in range(project_folder.MOST_FILES):
        (team / f"{number}.txt").touch()
    assert "more than 200 files" in refused(team, tmp_path)
    deep = tmp_path / "deep"
    (deep / "/".join("abcdefghi")).mkdir(parents=True)
    assert "deep" in refused(deep, tmp_path)


@pytest.mark.parametrize(("name", "said"), [("model.so", "is compiled"), ("model.py", "is larger than 1 MB")])
def test_what_cannot_be_read(name, said, team, tmp_path):
    (team / name).write_bytes(b"#" * (2**20 + 1))
    assert said in refused(team, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows gives links to administrators alone.")
def test_links_and_pipes(team, tmp_path):
    (tmp_path / "link").symlink_to(team)
    assert "There is no folder" in refused(tmp_path / "link", tmp_path)
    (team / "model.py").symlink_to("/etc/passwd")
    assert refused(team, tmp_path) == "model.py of team is a link: hand in the file itself."
    (team / "model.py").unlink()
    os.mkfifo(team / "pipe")
    assert refused(team, tmp_path) == "pipe of team is no file."


def test_results_and_hidden_files_stay_behind(team, tmp_path):
    (team / "results.json").write_text('{"coverage": 1}', encoding="utf-8")
    (team / ".git").mkdir()
    copy = project_folder.copy(team, tmp_path / "copy")
    assert [path.name for path in (copy / "project").iterdir()] == ["run.py"]
    assert (copy / "book" / "aevb_utils" / "checking" / "check_model.py").is_file()


def test_what_is_missing(team, tmp_path):
    (team / "run.py").write_text("import model", encoding="utf-8")
    assert len(project_folder.what_is_missing(team)) == 4
    for name in ("proposal.md", "report.md"):
        (team / name).write_bytes((PROJECT / name).read_bytes())
    (team / "report.md").write_text("word " * 3001 + "\n```\n" + "code " * 500 + "\n```\n| a | b |\n", encoding="utf-8")
    (team / "notebook.ipynb").write_text("{}", encoding="utf-8")
    missing, form, long, notebook = project_folder.what_is_missing(team)
    assert missing == "There is no model.py."
    assert form == "proposal.md is the form, not filled in."
    assert long == "report.md has 3,001 words outside tables and code; 3,000 are read."
    assert notebook.startswith("notebook.ipynb: It is no notebook")


@pytest.mark.parametrize("name", project_folder.REQUIRED)
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf \n"], ids=["nothing", "spaces"])
def test_an_empty_file_is_none(name, content, team):
    for each in project_folder.REQUIRED:
        (team / each).write_bytes((EXEMPLARS / "b" / each).read_bytes())
    assert project_folder.what_is_missing(team) == []
    (team / name).write_bytes(content)
    assert project_folder.what_is_missing(team) == [f"{name} is empty."]


@pytest.mark.parametrize("cells", [[], [{"cell_type": "code", "source": " \n", "metadata": {}, "outputs": []}]])
def test_a_notebook_that_says_nothing_is_none(cells, team):
    for each in project_folder.REQUIRED:
        (team / each).write_bytes((EXEMPLARS / "b" / each).read_bytes())
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (team / "notebook.ipynb").write_text(json.dumps(content), encoding="utf-8")
    assert project_folder.what_is_missing(team) == ["notebook.ipynb has no code in any cell."]


def table(*rows):
    lines = ["| name | value | tolerance | what it is |", "|:--|--:|--:|:--|", *rows]
    return "text\n\n| `a` | 5 | 0 | of another table |\n\n## Numbers\n\n" + "\n".join(lines)


def test_the_table_of_numbers():
    report = table("| `loss` | −1,234.5 | 100 | nats |", "| `coverage` | 0.95 | 0.1 | |")
    numbers, wrong = project_folder.numbers_of(report)
    assert [(n.name, n.value, n.tolerance) for n in numbers] == [("loss", -1234.5, 100), ("coverage", 0.95, 0.1)]
    assert wrong == [f"The table has no {name}." for name in NAMES if name != "coverage"]
    assert project_folder.numbers_of((PROJECT / "report.md").read_text(encoding="utf-8"))[0] == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("| `coverage` | high | 0 | |", "no value and tolerance"),
        ("| `coverage` | nan | 0 | |", "no value and tolerance"),
        ("| `coverage` | 0.9 | inf | |", "no value and tolerance"),
        ("| `coverage` | 0.9 | 0.2 | |", "it may be from 0 to 0.1"),
        ("| `coverage` | 500 | 51 | |", "it may be from 0 to 50"),
        ("| `coverage` | 0.9 | -1 | |", "it may be from 0 to 0.1"),
        ("| `coverage` | 0.9 | 0 | |\n| `coverage` | 0.8 | 0 | |", "there twice"),
    ],
)
def test_a_line_that_cannot_be_used_is_said(row, said):
    assert sum(said in each for each in project_folder.numbers_of(table(row))[1]) == 1


# The rubric


def outcome(points):
    return Outcome("t", tuple(Part(n, points.get(n, 0), "<b>") for n in POINTS), (), ("look & see",), "BOX", (1.0, 1.0))


def test_the_machine_is_filled_in_and_what_a_person_wrote_is_kept():
    content = project_sheet.filled(outcome({"paper": 3, "contract": 9}))
    assert {key: row["machine"] for key, row in content["criteria"].items() if row["machine"]} == {
        "joint": 3,
        "evidence": 9,
    }
    assert project_sheet.totals(content) is None
    for key, row in content["criteria"].items():
        row["by_hand"] = 5 if key != "reproducible" else 0
    content["viva"] = {"ada": "free", "bob": "help", "cleo": "cannot"}
    content["criteria"]["writing"]["comment"] = None
    again = project_sheet.filled(outcome({"paper": 3}), yaml.safe_load(project_sheet.dumped(content)))
    assert project_sheet.totals(content) == {"ada": 42, "bob": 33.6, "cleo": 40}
    assert project_sheet.totals(again) == {"ada": 33, "bob": 26.4, "cleo": 33}
    page = project_sheet.sheet(outcome({}), again)
    assert "&lt;b&gt;" in page
    assert "None" not in page
    assert "look &amp; see" in page
    assert "ada: 33" in page


@pytest.mark.parametrize(
    ("key", "value"), [("question", 11), ("joint", 12.5), ("writing", -1), ("writing", "all"), ("question", [1])]
)
def test_points_outside_a_criterion_are_refused(key, value, tmp_path, capsys):
    """By the command, before anything is run or written."""
    content = project_sheet.filled(outcome({}))
    content["criteria"][key]["by_hand"] = value
    path = tmp_path / "rubric.yml"
    path.write_text(project_sheet.dumped(content), encoding="utf-8")
    before = path.read_bytes()
    assert commands.main(["project-check", "--out", str(tmp_path), "--", str(EXEMPLARS / "b")]) == 1
    told = capsys.readouterr().err
    assert f"by_hand of {key} is from 0 to" in told
    assert told.count("\n") == 1
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])


def test_a_rubric_that_was_spoiled_is_one_sentence(tmp_path):
    path = tmp_path / "rubric.yml"
    assert project_sheet.load(path) is None
    spoiled = ("[", "7", "criteria: {question: 3}\nviva: {}", "criteria: {}", "criteria: {}\nviva: {ada: [free]}")
    for text in spoiled:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError):
            project_sheet.load(path)


def test_the_brief_says_what_the_code_does():
    brief = (PROJECT / "brief.md").read_text(encoding="utf-8")
    for name, points in POINTS.items():
        assert f"| `{name}` | {points} |" in brief
    assert f"The whole check gives {sum(POINTS.values())} of the 100 points" in brief
    assert all(f"`{name}`" in brief for name in NAMES)
    assert len([line for line in brief.splitlines() if line[:2] == "| " and line[2:4].strip().isdigit()]) == 15
    form = (PROJECT / "report.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in form for name in NAMES)
    page = (PROJECT.parent.parent / "book" / "how_to_use.md").read_text(encoding="utf-8")
    assert f"with {15 - len(list(EXEMPLARS.glob('*/report.md')))} models to choose from" in page


def test_the_exemplars_do_what_the_brief_asks():
    for folder in (PROJECT, EXEMPLARS / "a", EXEMPLARS / "b"):
        proposal = (folder / "proposal.md").read_text(encoding="utf-8")
        assert proposal.rstrip().splitlines()[-1].startswith("**What has changed since.** ")
    for path in (PROJECT / "brief.md", EXEMPLARS / "a" / "report.md"):
        assert "not by `run.py`" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("team", "low", "high"), [("a", 85, 100), ("b", 50, 80), ("fail", 0, 39)])
def test_an_exemplars_rubric_is_whole(team, low, high):
    content = project_sheet.load(EXEMPLARS / team / "rubric.yml")
    assert content["team"] == team
    assert all(len(row["comment"].split()) >= 5 for row in content["criteria"].values())
    assert all(low <= points <= high for points in project_sheet.totals(content).values())
