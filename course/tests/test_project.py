"""A project in the box: the exemplars get what their rubrics say, and nobody gets more than is honest."""

import os
import shutil

import numpy as np
import pytest
from boxes import needs_box

from course.engine import project, project_folder, project_sheet
from course.engine.box import Limits, Rung
from course.engine.project_folder import PROJECT, Number
from tools import course as commands

EXEMPLARS = PROJECT / "exemplars"
QUICK = Limits(cell_seconds=5, total_seconds=150, silent_seconds=150, processes=32, output=16 * 2**20)
HONEST = """
import torch
from torch import nn
from torch.distributions import Independent, Normal
from aevb_utils.models.vae import AutoEncodingModel
class Model(AutoEncodingModel):
    def __init__(self):
        super().__init__()
        self.mu, self.encoder = nn.Parameter(torch.zeros(2)), nn.Linear(2, 4)
    def p_z(self): return Independent(Normal(self.mu, torch.ones_like(self.mu)), 1)
    def p_x_given_z(self, z): return Independent(Normal(z, 0.5 * torch.ones_like(z)), 1)
    def q_z_given_x(self, x):
        m, log_s = self.encoder(x).chunk(2, dim=1)
        return Independent(Normal(m, log_s.exp()), 1)
def build(): return Model()
def rows(): return (torch.randn(8, 2),)
def paper():
    x = z = torch.zeros(1, 2)
    return Model(), (x,), z, -3.6757541328186907 + 1.3862943611198906
"""
WRONG = """
class Wrong(Model):
    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"minus_kl": -terms["minus_kl"]}
def build(): return Wrong()
"""


@pytest.fixture
def team(tmp_path):
    """A folder of which only run.py and model.py are there."""

    def made(run="import model", model=HONEST, report=""):
        folder = tmp_path / "team"
        folder.mkdir()
        for name, text in {"run.py": run, "model.py": model, "report.md": report}.items():
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    return made


def test_the_parts_of_an_elbo_are_compared_outside():
    noise = np.random.default_rng(0).standard_normal((6, 400, 3))
    names = [name for one, other, _ in project.PAIRS for name in (one, other)]
    draws = dict(zip(names, noise, strict=True))
    assert project.differs(draws) == ""
    assert "In row 2 elbo and" in project.differs(draws | {"elbo": draws["elbo"] + [0, 0, 0.5]})
    assert "not finite" in project.differs(draws | {"others": draws["others"] * np.nan})
    assert "different shapes" in project.differs(draws | {"others": draws["others"][:, :2]})
    assert "could not be drawn" in project.differs(None)
    assert "not finite" in project.differs({name: part[:20] for name, part in draws.items()})  # too few


@needs_box
@pytest.mark.parametrize(
    ("model", "paper", "contract"),
    [
        (HONEST, 3, ""),
        (HONEST + WRONG, 3, "check_model: "),
        (HONEST + "\ndef rows(): return (torch.zeros(1, 2),)", 0, "check_model: rows() returns 1 rows"),
        ("while True: pass", 0, "model.py could not be checked. It took more than 2 s."),
    ],
    ids=["honest", "wrong", "one row", "endless"],
)
def test_a_model_gets_what_it_is_worth(model, paper, contract, team):
    by_hand, found = project.check_in(team(model=model), Rung.BOX, QUICK, 2 if model.startswith("while") else 100)
    assert (by_hand.points, found.points) == (paper, 0 if contract else 9), found
    assert found.said.startswith(contract)
    assert "Traceback" not in found.said + by_hand.said


@needs_box
@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("while True: pass", "run.py used more than 1 s of CPU time."),
        ("import os; os.symlink('/dev/zero', 'results.json')", "run.py ended, but results.json is no file of"),
        ("import os; os.kill(os.getppid(), 9)", "run.py gave nothing: timeout."),
        ("raise ValueError('one\\ntwo')", "run.py stopped: two."),
    ],
    ids=["endless", "link", "kills", "error"],
)
def test_a_run_that_gives_no_numbers_is_one_sentence(run, said, team):
    with project._in_boxes(team(run), Rung.BOX, QUICK) as (folder, inside):
        ran = project._run(inside, folder, 0, 1 if run.startswith("while") else 100)
    assert ran.results is None
    assert ran.why.startswith(said)
    assert "\n" not in ran.why


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"A": 1}', "results.json holds 'A', which is"),
        ('{"a": true}', "results.json holds 'a', which is"),
        ('{"a": [1]}', "results.json holds 'a', which is"),
        ("[" * 60_000, "results.json is no JSON"),
        ("[1]", "results.json is no object of 1 to 60 numbers"),
        ("{}", "results.json is no object of 1 to 60 numbers"),
        (" " * 70_000, "results.json is no file of at most 64 kB"),
        (None, "it wrote no results.json"),
    ],
)
def test_results_that_are_none(text, said, tmp_path):
    pytest.importorskip("resource")  # what runs in the box needs Linux
    from course.engine.project_inside import read_results

    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    results, why = read_results(path)
    assert results is None
    assert why.startswith(said)


@needs_box
def test_typed_numbers_and_results_that_were_handed_in_give_nothing_more(team, capsys, tmp_path):
    report = "\n## Numbers\n\n" + "\n".join(f"| `{name}` | 1 | 0.1 | |" for name in project_folder.NAMES)
    folder = team(
        f"import json\njson.dump(dict.fromkeys({project_folder.NAMES}, 1), open('results.json', 'w'))", "", report
    )
    (folder / "results.json").write_text('{"coverage": 0.95}', encoding="utf-8")
    assert commands.main(["project-check", "--out", str(tmp_path / "out"), "--", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "numbers   4 of 4" in said
    assert "seed      0 of 2  No number differs with --seed 1" in said
    assert "contract  0 of 9  run.py does not import model" in said
    assert "look at   1 simulated sets; 20 are asked for." in said
    assert project_sheet.load(tmp_path / "out" / "rubric.yml")["machine"]["files"]["points"] == 0
    assert "{" not in (tmp_path / "out" / "sheet.html").read_text(encoding="utf-8").split("</style>")[1]


@needs_box
def test_marks_of_one_folder_are_not_given_to_another_of_its_name(team, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "OUT", tmp_path / "out")
    first = team("raise SystemExit(1)", "import os")
    second = shutil.copytree(first, tmp_path / "b" / "team")
    path = tmp_path / "out" / "projects" / "team" / "rubric.yml"
    assert commands.main(["project-check", "--", str(first)]) == 0
    path.write_text(path.read_text(encoding="utf-8").replace("comment: ''", "comment: theirs"), encoding="utf-8")
    assert commands.main(["project-check", "--", str(first)]) == 0  # its own sheet is filled in anew
    kept = path.read_bytes()
    assert b"theirs" in kept
    capsys.readouterr()
    assert commands.main(["project-check", "--", str(second)]) == 1
    told = capsys.readouterr().err
    assert f"holds the marks of {first}: name another folder for those of {second}, --out" in told
    assert told.count("\n") == 1
    assert path.read_bytes() == kept
    assert commands.main(["project-check", "--out", str(tmp_path / "b" / "out"), "--", str(second)]) == 0
    assert project_sheet.load(tmp_path / "b" / "out" / "rubric.yml")["criteria"]["writing"]["comment"] == ""


@pytest.mark.parametrize(("bad", "points"), [(0, 4), (2, 2), (3, 0), (8, 0)])
@pytest.mark.parametrize("listed", [True, False])
def test_numbers_of_ones_own_make_none_of_those_asked_for_good(bad, points, listed):
    numbers = [Number(f"own_{k}", 1.0, 0.0) for k in range(24)]
    for k, name in enumerate(project_folder.NAMES):
        if k >= bad or listed:
            numbers.append(Number(name, 1.0, 0.0))
    results = {number.name: 1.0 for number in numbers if number.name not in project_folder.NAMES[:bad]}
    wrong = [] if listed else [f"The table has no {name}." for name in project_folder.NAMES[:bad]]
    part, _ = project._agree(numbers, wrong, [project.Ran(results, "", 1.0), project.Ran(None, "", 1.0)])
    assert part.points == points


def test_what_cannot_be_checked_is_one_sentence(capsys, tmp_path):
    assert commands.main(["project-check", "--unsafe", "--", str(tmp_path / "nobody")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@needs_box
@pytest.mark.parametrize("name", ["a", "b", "fail"])
def test_an_exemplar_gets_what_its_rubric_says(name):
    stored = project_sheet.load(EXEMPLARS / name / "rubric.yml")["machine"]
    if name == "a" and "AEVB_COURSE_PROJECTS" not in os.environ:  # its run takes most of a minute
        found = project.check_in(EXEMPLARS / name, Rung.BOX)
    else:
        found = project.check(EXEMPLARS / name, Rung.BOX).parts
    assert {part.name: part.points for part in found} == {part.name: stored[part.name]["points"] for part in found}
