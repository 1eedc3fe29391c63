"""What a team's code may do is read from it: what computes passes, and what reaches the process does not."""

import pytest

from course.engine import project_code, project_folder, project_reach
from course.engine.project_folder import PROJECT

EXEMPLARS = PROJECT / "exemplars"


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
