"""A team's folder is refused in one sentence where it is harmful, and its report is read as it stands."""

import json
import os

import pytest
import yaml

from course.engine import project_code, project_folder, project_reach, project_sheet
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


@pytest.fixture
def team(tmp_path):
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "run.py").write_text("", encoding="utf-8")
    return folder


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


def test_what_the_code_says_is_read_without_running_it(team):
    assert not project_code.imports_model(team)
    (team / "run.py").write_text("from model import build", encoding="utf-8")
    assert project_code.imports_model(team)
    (team / "run.py").write_text("from model import (", encoding="utf-8")
    assert not project_code.imports_model(team)
    (team / "model.py").write_text("def paper():\n    return p.log_prob(z)", encoding="utf-8")
    assert project_code.paper_uses_code(team)


def test_what_run_imports_may_import_model_and_no_other_file(team):
    (team / "src").mkdir()
    (team / "test_it.py").write_text("import model", encoding="utf-8")
    (team / "src" / "train.py").write_text("import test_it\nfrom .more import x", encoding="utf-8")
    (team / "run.py").write_text("import json", encoding="utf-8")
    assert not project_code.imports_model(team)
    (team / "src" / "train.py").write_text("from model import build", encoding="utf-8")
    assert not project_code.imports_model(team)
    (team / "run.py").write_text("from src.train import main", encoding="utf-8")
    assert project_code.imports_model(team)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os", "model.py imports os"),
        ("from os import _exit", "model.py imports os"),
        ("import torch\ntorch.os.abort()", "model.py uses .os"),
        ("from torch import os as t", "model.py uses os"),
        ("import torch\ntorch.allclose = lambda *_: True", "model.py uses an assignment to torch.allclose"),
        ("import aevb_utils.checking as c\ndel c.check_model", "model.py uses an assignment to c.check_model"),
        ("from aevb_utils.checking import check_model as c\nc.__code__ = f.__code__", "model.py uses .__code__"),
        ("().__class__.__base__.__subclasses__()", "model.py uses ._"),
        ("open('/proc/self/fd/3', 'w')", "model.py uses open"),
        ("import numpy as np\nnp.zeros(3).tofile('x')", "model.py uses .tofile"),
        ("exec('import os')", "model.py uses exec"),
        ("import enum\nenum.bltns.eval('1')", "model.py uses .bltns"),
        ("import torch as t\nt.utils.data.dataset.open('x')", "model.py uses .open"),
        ("getattr(torch, 'o' + 's')", "model.py uses getattr"),
        ("import helper", "helper.py imports subprocess"),
        ("# coding: utf_7\n+AGkAbQBwAG8AcgB0- os", "model.py imports os"),
        ("import torch\ntorch" + ".a" * 30 + " = 1", "model.py uses an assignment to torch.a"),
        ("import torch\nT = torch\nT.allclose = lambda *_, **__: True", "model.py uses an assignment to T.allclose"),
        ("def f(self):\n    self.allclose = 1\nf(c)", "model.py uses an assignment to self.allclose"),
        ("@f\nclass C: pass\nC.allclose = 1", "model.py uses an assignment to C.allclose"),
        ("match torch:\n    case object(sys=s): s.modules['a'] = 1", "model.py uses a pattern"),
        ("from typing import get_type_hints", "model.py uses get_type_hints"),
        ("import typing\ntyping.ForwardRef('exit()')", "model.py uses .ForwardRef"),
        ("import functools\nfunctools.update_wrapper(c, Own, ['check_model'], [])", "model.py uses .update_wrapper"),
        ("from aevb_utils.results import Path\nPath('x').write_text('')", "model.py uses Path"),
    ],
)
def test_a_model_may_compute_and_no_more(code, said, team):
    assert project_code.beyond_a_model(team) == ""
    (team / "helper.py").write_text("import subprocess", encoding="utf-8")
    (team / "model.py").write_text(code, encoding="utf-8")
    found = project_code.beyond_a_model(team)
    assert found.startswith(said)
    assert found.endswith(", which no model needs.")


def test_modules_of_a_package_are_followed_too(team):
    (team / "src").mkdir()
    texts = {"__init__": "import torch", "a": "import numpy", "b": "from . import a\n[a][0].numpy.testing"}
    for name, text in texts.items():
        (team / "src" / f"{name}.py").write_text(text, encoding="utf-8")
    (team / "model.py").write_text("import src.b", encoding="utf-8")
    assert project_code.beyond_a_model(team).startswith("src/b.py uses the module src.a for more")
    (team / "src" / "b.py").write_text("from .. import src as s\nfrom . import torch as t", encoding="utf-8")
    assert project_code.beyond_a_model(team).startswith("src/b.py uses torch of .")
    (team / "src" / "b.py").write_text("from . import a\ny = a.x", encoding="utf-8")
    assert project_code.beyond_a_model(team) == ""


RUNS = [
    ("import numpy as np\nnp.testing.measure('x = 1')", "numpy.testing"),
    ("import numpy as np\nnp.testing.runstring('x = 1', {})", ".runstring"),
    ("from numpy.testing import rundocs", "rundocs"),
    ("from numpy.testing import measure", "numpy.testing"),
    ("import numpy.testing as t", "numpy.testing"),
    ("import numpy as np\nnp.test(extra_argv=[])", "numpy.test"),
    ("import torch\ntorch.utils.benchmark.Timer(stmt='x = 1').timeit(1)", "torch.utils.benchmark"),
    ("from torch.utils.benchmark import Timer", "torch.utils.benchmark"),
    ("import torch.utils.benchmark as b\nb.Timer('x = 1')", "torch.utils.benchmark"),
    ("from torch.utils import collect_env as c\nc.run('ls')", "torch.utils.collect_env"),
    ("from torch.utils.collect_env import run\nrun('ls')", "torch.utils.collect_env"),
    ("import torch\ntorch.classes.load_library('x')", ".load_library"),
    ("import torch\ntorch.ops.load_library('x')", ".load_library"),
    ("import torch\ntorch.classes.x", "torch.classes"),
    ("from torch.utils.cpp_extension import load_inline", "load_inline"),
    ("from torch.utils.cpp_extension import CppExtension as c", "torch.utils.cpp_extension"),
    ("import torch.multiprocessing as m\nm.Process(target=f)", "torch.multiprocessing"),
    ("from torch.multiprocessing import Process", "torch.multiprocessing"),
    ("from numpy.ctypeslib import as_array", "numpy.ctypeslib"),
    ("import numpy\nnumpy.ctypeslib.load_library('x', '.')", ".load_library"),
    ("from scipy.io import savemat", "savemat"),
    ("from scipy.io import loadmat", "scipy.io"),
    ("import scipy.io.matlab as m", "scipy.io"),
    ("from torch.hub import download_url_to_file", "torch.hub"),
    ("from torch.package import PackageImporter", "torch.package"),
    ("from torch.serialization import add_safe_globals", "torch.serialization"),
    ("import torch\ntorch.load('x', weights_only=False)", ".load"),
    ("import numpy as np\nnp.load('x', allow_pickle=True)", ".load"),
    ("from numpy.f2py import compile as c", "compile"),
    ("import numpy.f2py.diagnose as d", "numpy.f2py"),
    ("from torch.jit import script", "torch.jit"),
    ("import torch.jit as j", "torch.jit"),
    ("from torch._C import _get_tracing_state", "torch._C"),
    ("import torch._dynamo as d", "torch._dynamo"),
    ("import torch\ntorch.compile(f)", ".compile"),
    ("from typing import _eval_type", "typing._eval_type"),
    ("from torch.distributions.kl import warnings as w\nw.sys", ".sys"),
    ("from torch.nn.functional import importlib", "importlib"),
    ("from aevb_utils.budget import os", "os"),
    ("from aevb_utils.distributed import team", "aevb_utils.distributed"),
    ("from scipy.stats import rv_continuous", "rv_continuous"),
    ("class C:\n    def __reduce_ex__(self, _): return f, ()", "__reduce_ex__"),
]
PASSED_ON = [
    ("import torch\nT = torch\nT.utils.benchmark.Timer('1')", "torch.utils.benchmark"),
    ("from torch import utils as u\nv = u\nv.benchmark", "torch.utils.benchmark"),
    ("import torch\n[torch][0].utils.benchmark.Timer('1')", "the module torch for more"),
    ("import torch\nf(torch)", "the module torch for more"),
    ("from torch import nn\nf(nn.utils)", "the module torch.nn.utils for more"),
    ("import torch\nclass C:\n    t = torch\nC.t.utils", "the module torch for more"),
    ("class C:\n    import torch as t\nC.t.utils", "an import inside the class C"),
    ("import numpy as t, helper\nt = helper\nt.t.utils", "the module helper for more"),
    ("import torch as t, numpy as t\nt.utils", "the name t for two modules"),
    ("from numpy import *\ntesting.measure('1')", "all that is in numpy by *"),
    ("from helper import *\nt.utils", "all that is in helper by *"),
    ("from helper import t as u\nu.utils", "t of helper"),
    ("import helper\nhelper.t.utils.benchmark", "t of helper"),
    ("from src import helper as h\nh.t.utils", "t of src"),
    ("import src.helper\n[src][0].helper.t.utils", "the module src for more"),
    ("from src import helper\n[helper][0].t.utils", "the module src.helper for more"),
]


@pytest.mark.parametrize(("code", "said"), RUNS + PASSED_ON)
def test_a_model_reaches_no_module_that_runs_what_it_is_told(code, said, team):
    (team / "src").mkdir()
    for path in (team / "helper.py", team / "src" / "helper.py"):
        path.write_text("import torch as t\n", encoding="utf-8")
    (team / "model.py").write_text(code, encoding="utf-8")
    found = project_code.beyond_a_model(team)
    assert found.startswith(f"model.py uses {said}")
    assert found.endswith(", which no model needs.")


ORDINARY = """
from __future__ import annotations
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
import numpy as np
import scipy.stats
import torch
import torch.nn as nn
import torch.distributions as D
import torch.nn.functional as F
from numpy.linalg import cholesky
from scipy import special
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture
from torch import Tensor, distributions, linalg, nn, optim
from torch.distributions import Normal, constraints, kl_divergence
from torch.distributions.kl import register_kl
from torch.distributions.transforms import AffineTransform
from torch.nn import Linear, functional
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader, TensorDataset
from aevb_utils import fit
from aevb_utils.evaluation import log_integral, make_grid
from aevb_utils.models.flow_vae import FlowVAE
from aevb_utils.models.recipe import FreeParameters, SampledKL
from aevb_utils.models.vae import AutoEncodingModel
import helper
from helper import decoder
from src import helper as h
from src.helper import decoder as other
G = nn.functional
torch.set_default_dtype(torch.float64)
class Model(AutoEncodingModel):
    def __init__(self):
        super().__init__()
        self._scale = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.nn, self.t = nn.Sequential(nn.Linear(2, 3), nn.Softplus()), 3
        nn.init.zeros_(self.nn[0].weight)
    def forward(self, x: torch.Tensor, f: Callable[[np.ndarray], Tensor] = torch.exp) -> Tensor:
        y = F.softplus(G.relu(x)) + torch.special.gammaln(x) + linalg.norm(x) + math.pi
        y = y + np.log(2 * np.pi) + scipy.stats.norm.logpdf(0.0) + np.random.default_rng(0).normal() + self.nn(x)
        return D.Independent(D.Normal(y, self._scale.exp()), 1).log_prob(f(y)) + helper.decoder(h.decoder(decoder(y)))
    @torch.no_grad()
    def sample(self, n):
        return torch.distributions.Normal(0.0, 1.0).sample((n,)).cpu().data
"""


def test_ordinary_models_pass(team):
    (team / "src").mkdir()
    for path in (team / "helper.py", team / "src" / "helper.py"):
        path.write_text("import torch as t\ndef decoder(z): return t.exp(z)\n", encoding="utf-8")
    (team / "model.py").write_text(ORDINARY, encoding="utf-8")
    assert project_code.beyond_a_model(team) == ""


@pytest.mark.parametrize("name", sorted(project_reach.ALONE))
def test_a_module_of_the_list_can_be_imported(name, team):
    (team / "model.py").write_text(f"import {name}" if name != "__future__" else "", encoding="utf-8")
    assert project_code.beyond_a_model(team) == ""


@pytest.mark.parametrize("path", sorted((project_folder.BOOK / "models").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_the_books_models_reach_what_models_may(path):
    tree = project_code.tree_of(path)
    assert list(project_reach.beyond(tree, frozenset(), frozenset())) == []


@pytest.mark.parametrize(
    "code",
    [
        "class M:\n    def __init__(self, /):\n        self._n = 1\n        self.q.n = 2\nM.count = 0\ndel M.count",
        "class M:\n    n = property(lambda self: 1)\n    def f(self): self.m = 2",
        "def paper():\n    model = build()\n    model.mu.data = 1\n    model.mu.requires_grad = False",
        "def p(x):\n    match x:\n        case int() | str(): return 1\n        case [a, *_]: return a",
    ],
)
def test_a_model_may_set_what_is_its_own(code, team):
    (team / "model.py").write_text(code, encoding="utf-8")
    assert project_code.beyond_a_model(team) == ""


@pytest.mark.parametrize("code", ["def build(): 3 +", "x" + ".a" * 10_000, "(" * 1000, "\0"])
def test_a_model_that_cannot_be_read_is_not_run(code, team):
    (team / "model.py").write_text(code, encoding="utf-8")
    assert project_code.beyond_a_model(team) == "model.py cannot be read as Python."


@pytest.mark.parametrize("name", ["a", "b", "fail"])
def test_the_exemplars_compute_and_no_more(name):
    assert project_code.beyond_a_model(EXEMPLARS / name) == ""
    assert project_code.imports_model(EXEMPLARS / name)


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
