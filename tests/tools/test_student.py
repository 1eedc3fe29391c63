"""The students' notebooks: all of them, no solution, places to write, nothing left of the run."""

import re

from tools import student
from tools.export import EXPORT_KEY
from tools.notebooks import CHAPTERS, PAGES, RUN_KEY, read, tags


def test_every_notebook_is_there_without_solutions(tmp_path, capsys):
    assert student.main(out=tmp_path) == 0
    assert str(tmp_path) in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in (*CHAPTERS, *PAGES))
    for path in CHAPTERS:
        made, whole = read(tmp_path / path.name), read(path)
        assert not [cell for cell in made.cells if "solution" in tags(cell)]
        assert not {EXPORT_KEY, RUN_KEY} & set(made.metadata)
        exercises = [cell for cell in whole.cells if "check" in tags(cell)]
        assert exercises
        assert [cell.source for cell in made.cells].count(student.WAY) == len(exercises)
        assert made.cells[1].source == student.NAME
        kept = [cell for cell in made.cells if cell.source not in (student.WAY, student.NAME)]
        assert kept == [cell for cell in whole.cells if "solution" not in tags(cell)]


def test_links_between_the_notebooks_lead_to_one_of_them(tmp_path):
    student.main(out=tmp_path)
    for path in tmp_path.iterdir():
        text = "".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
        linked = re.findall(r"\]\((\w+\.ipynb)", text)
        assert all((tmp_path / name).is_file() for name in linked)
