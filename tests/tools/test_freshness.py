"""What the hash of some code covers: planted changes that must count, and such that must not."""

import ast
import json
from pathlib import Path

import pytest

from tools.freshness import PACKAGES, code_hash
from tools.notebooks import ROOT

FILES = {
    "aevb_utils/__init__.py": '"""The package."""\n\nfrom aevb_utils.training import fit\n\n__all__ = ["fit"]\n',
    "aevb_utils/training/__init__.py": "from aevb_utils.training.loop import fit\n",
    "aevb_utils/training/loop.py": """
from aevb_utils.data import Dataset
from aevb_utils.training import checks

RATE = 0.1
STEPS = 10
UNUSED = 1


def helper(x):
    return x * RATE


def fit(x, steps=STEPS):
    checks.positive(steps)
    return [helper(x) for _ in range(steps)]


def other(x):
    UNUSED = 3
    return x + UNUSED


class Base:
    def run(self):
        return 1


class Run(Base):
    size: "int" = STEPS

    def go(self):
        return lambda: {k: later(k) for k in range(self.size)}


class Another:
    def go(self):
        return 2


def later(k):
    return k


def typed(x: Base) -> None:
    import aevb_utils.lazy as lazy

    return lazy.late()


def cached(function):
    return function


@cached
def decorated():
    return 1
""",
    "aevb_utils/training/checks.py": "def positive(n):\n    assert n > 0\n\n\ndef negative(n):\n    assert n < 0\n",
    "aevb_utils/lazy.py": "def late():\n    return 1\n\n\ndef later():\n    return 2\n",
    "aevb_utils/data/__init__.py": "from aevb_utils.data.dataset import Dataset\n"
    "from aevb_utils.data.iris import iris\n",
    "aevb_utils/data/dataset.py": "class Dataset:\n    size = 1\n",
    "aevb_utils/data/iris.py": """
from aevb_utils.data.dataset import Dataset

_ROWS = 150


def iris():
    return Dataset(), _ROWS


def unused():
    return 1
""",
    "aevb_utils/star.py": "from aevb_utils.lazy import *\n",
    "aevb_utils/table.py": """
TABLE = {}


def register(function):
    TABLE[function.__name__] = function
    return function


@register
def first():
    return 1


def call(name):
    return TABLE[name]()


def by_name(name):
    return globals()[name]()


def own(name):
    return vars()[name]


def of_another(value):
    return vars(value)


def plain():
    return 5
""",
    "aevb_utils/effect.py": "import math\n\nCONSTANT = 1\nif CONSTANT:\n    math.tau\n\n\ndef used():\n    return 0\n",
    "aevb_utils/results/__init__.py": "def load(name):\n    return name\n",
    "aevb_utils/checking/__init__.py": "from aevb_utils.checking.exercises import check_answer\n",
    "aevb_utils/checking/exercises.py": "def check_answer(exercise, value):\n    return value\n",
    "aevb_utils/checking/answers/chapter_02.json": '{"2.1": {"answer": 1}}',
    "aevb_utils/checking/answers/chapter_11.json": '{"11.3": {"answer": 5}}',
    "experiments/__init__.py": "",
    "experiments/_shared.py": "HALF = 0.5\nTHIRD = 0.3\n",
    "elsewhere.py": "value = 3\n",
}


@pytest.fixture
def root(tmp_path):
    """A folder with packages of the book's names."""
    for name, source in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return tmp_path


def hash_of(source: str, root: Path, *, fast: bool = True) -> str:
    return code_hash(ast.parse(source), root, fast=fast)


def change(root: Path, file: str, old: str, new: str) -> None:
    path = root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


LOOP = "aevb_utils/training/loop.py"
CHECK = "from aevb_utils.checking import check_answer\ncheck_answer('{}', x)"
ANSWERS = "aevb_utils/checking/answers/chapter_{}.json"
FIT = "from aevb_utils import fit\nfit(1)"
COUNTS = {
    "a function's body": (FIT, LOOP, "helper(x) for", "-helper(x) for"),
    "what it calls": (FIT, LOOP, "x * RATE", "x / RATE"),
    "a constant that this reads": (FIT, LOOP, "RATE = 0.1", "RATE = 0.2"),
    "a default argument's constant": (FIT, LOOP, "STEPS = 10", "STEPS = 11"),
    "a module's attribute": (FIT, "aevb_utils/training/checks.py", "n > 0", "n >= 0"),
    "through the package that imports it again": (
        "from aevb_utils.data import iris\niris()", "aevb_utils/data/iris.py", "_ROWS = 150", "_ROWS = 149",
    ),
    "a dotted name": ("import aevb_utils.data\naevb_utils.data.iris()", "aevb_utils/data/iris.py", "150", "149"),
    "a name for a module": ("import aevb_utils.training.loop as l\nl.other(1)", LOOP, "UNUSED = 3", "UNUSED = 4"),
    "a class that is only annotated": (
        "from aevb_utils.training.loop import typed\ntyped", LOOP, "return 1\n\n\nclass Run", "return 0\n\n\nclass Run",
    ),
    "an import inside a function": (
        "from aevb_utils.training.loop import typed\ntyped", "aevb_utils/lazy.py", "return 1", "return 0",
    ),
    "a base class": ("from aevb_utils.training.loop import Run\nRun()", LOOP, "        return 1", "        return 0"),
    "a method": ("from aevb_utils.training.loop import Run\nRun()", LOOP, "later(k) for", "-later(k) for"),
    "a new method of a class that is used": (
        "from aevb_utils.training.loop import Run\nRun()", LOOP, "    def go(self):\n        return lambda",
        "    def new(self):\n        return 0\n\n    def go(self):\n        return lambda",
    ),
    "a name deep inside a method": (
        "from aevb_utils.training.loop import Run\nRun()", LOOP, "def later(k):\n    return k",
        "def later(k):\n    return -k",
    ),
    "a class attribute's constant": (
        "from aevb_utils.training.loop import Run\nRun()", LOOP, "STEPS = 10", "STEPS = 9",
    ),
    "a decorator": (
        "from aevb_utils.training.loop import decorated\ndecorated()", LOOP, "return function", "return None",
    ),
    "an import by *": ("from aevb_utils.star import *\nlate()", "aevb_utils/lazy.py", "return 1", "return 0"),
    "all of a module imported by *": ("from aevb_utils.lazy import *\nlate()", "aevb_utils/lazy.py", "2", "3"),
    "getattr of a module": (
        "from aevb_utils import lazy\ngetattr(lazy, 'la' + 'ter')()", "aevb_utils/lazy.py", "return 2", "return 3",
    ),
    "getattr of a package": (
        "import aevb_utils\ngetattr(getattr(aevb_utils, 'd' + 'ata'), 'i' + 'ris')()", "aevb_utils/data/iris.py", "150",
        "149",
    ),
    "importlib with a name": (
        "from importlib import import_module\nimport_module('aevb_utils.lazy').later()", "aevb_utils/lazy.py", "2", "3",
    ),
    "importlib with any name": ("import importlib\nimportlib.import_module(x)", "aevb_utils/lazy.py", "2", "3"),
    "sys.modules": ("import sys\nsys.modules[x]", "aevb_utils/lazy.py", "return 2", "return 3"),
    "vars()": ("from aevb_utils.table import own\nown(x)", "aevb_utils/table.py", "return 5", "return 6"),
    "globals()": ("from aevb_utils.table import by_name\nby_name(x)", "aevb_utils/table.py", "return 5", "return 6"),
    "what a decorator has registered": (
        "from aevb_utils.table import call\ncall(x)", "aevb_utils/table.py", "return 1", "return 2",
    ),
    "a statement that runs at import": (
        "from aevb_utils.effect import used\nused()", "aevb_utils/effect.py", "math.tau", "math.pi",
    ),
    "a constant that such a statement reads": (
        "from aevb_utils.effect import used\nused()", "aevb_utils/effect.py", "CONSTANT = 1", "CONSTANT = 2",
    ),
    "the same in a module that is imported and not used": (
        "import aevb_utils.effect", "aevb_utils/effect.py", "math.tau", "math.pi",
    ),
    "an import from elsewhere, by the same name": (
        FIT, LOOP, "RATE = 0.1", "from math import tau as RATE",
    ),
    "a name imported twice, the first": (
        "from aevb_utils.lazy import late as f\nf()\nfrom aevb_utils.lazy import later as f\nf()", "aevb_utils/lazy.py",
        "return 1", "return 0",
    ),
    "globals() of the code itself": (
        "from aevb_utils.lazy import late\nglobals()['la' + 'te']()", "aevb_utils/lazy.py", "return 1", "return 0",
    ),
    "what experiments share": (
        "from experiments._shared import HALF\nHALF", "experiments/_shared.py", "HALF = 0.5", "HALF = 0.6",
    ),
    "the same, by the module": (
        "from experiments import _shared\n_shared.HALF", "experiments/_shared.py", "HALF = 0.5", "HALF = 0.6",
    ),
    "the answers of a chapter": (CHECK.format("2.1"), ANSWERS.format("02"), '"answer": 1', '"answer": 2'),
    "the answers of a chapter of two digits": (CHECK.format("11.3"), ANSWERS.format("11"), "5", "6"),
    "another answer of the chapter": (CHECK.format("2.4"), ANSWERS.format("02"), "}}", '}, "2.2": {}}'),
    "all answers, where the exercise is computed": (CHECK.format("2' + '.1"), ANSWERS.format("11"), "5", "6"),
}  # fmt: skip


NEW_MODULE = (
    "from aevb_utils.data.dataset import Dataset\n\n_ROWS = 178\n\n\ndef wine():\n    return Dataset(), _ROWS\n"
)
COUNTS_NOT = {
    "a function beside one that asks for another's names": (
        "from aevb_utils.table import of_another\nof_another(x)", "aevb_utils/table.py", "return 5", "return 6",
    ),
    "a comment": (FIT, LOOP, "RATE = 0.1", "RATE = 0.1  # a comment"),
    "a docstring": (FIT, LOOP, "def fit(x, steps=STEPS):", 'def fit(x, steps=STEPS):\n    """Words."""\n'),
    "layout": (FIT, LOOP, "[helper(x) for _ in range(steps)]", "[\n        helper(x) for _ in range(steps)\n    ]"),
    "a new function": (FIT, LOOP, "RATE = 0.1", "RATE = 0.1\n\n\ndef unused():\n    return RATE\n"),
    "a function that is not reached": (FIT, LOOP, "return x + UNUSED", "return x - UNUSED"),
    "a constant that only a local name hides": (
        "from aevb_utils.training.loop import other\nother(1)", LOOP, "UNUSED = 1", "UNUSED = 2",
    ),
    "a method of another class": (
        "from aevb_utils.training.loop import Run\nRun()", LOOP, "        return 2", "        return 3",
    ),
    "another function of a module that is reached": (FIT, "aevb_utils/training/checks.py", "n < 0", "n <= 0"),
    "a data set that is not used": (FIT, "aevb_utils/data/iris.py", "return Dataset(), _ROWS", "return _ROWS"),
    "a new data set": (
        "from aevb_utils import data\ndata.iris()", "aevb_utils/data/__init__.py",
        "from aevb_utils.data.iris import iris",
        "from aevb_utils.data.iris import iris\nfrom aevb_utils.data.wine import wine",
    ),
    "a module that is not imported": (FIT, "aevb_utils/table.py", "return 5", "return 6"),
    "a module beside the packages": ("import elsewhere\nelsewhere.value", "elsewhere.py", "3", "4"),
    "an attribute of some object": (
        "from aevb_utils import fit\nfit.later, x.iris, model.modules()", "aevb_utils/lazy.py", "return 2", "return 3",
    ),
    "a name in text": ("x = 'aevb_utils.lazy.later'", "aevb_utils/lazy.py", "return 2", "return 3"),
    "a file of the package that is only read": (
        "from importlib import resources\nresources.files('aevb_utils')", "aevb_utils/lazy.py", "2", "3",
    ),
    "the answers of another chapter": (CHECK.format("2.1"), ANSWERS.format("11"), "5", "6"),
    "the layout of answers": (CHECK.format("2.1"), ANSWERS.format("02"), '{"2.1": ', '{\n "2.1": '),
    "answers, where none is checked": ("from aevb_utils import checking\n'2.1'", ANSWERS.format("02"), "1}", "2}"),
    "what else experiments share": (
        "from experiments import _shared\n_shared.HALF", "experiments/_shared.py", "THIRD = 0.3", "THIRD = 0.4",
    ),
}  # fmt: skip


CASES = {name: (*case, True) for name, case in COUNTS.items()} | {k: (*case, False) for k, case in COUNTS_NOT.items()}


@pytest.mark.parametrize(("source", "file", "old", "new", "counts"), CASES.values(), ids=CASES)
def test_what_counts_and_what_does_not(root, source, file, old, new, counts):
    (root / "aevb_utils" / "data" / "wine.py").write_text(NEW_MODULE, encoding="utf-8")
    before = hash_of(source, root)
    change(root, file, old, new)
    assert (hash_of(source, root) != before) == counts


BUDGET = "from aevb_utils.budget import budget\n"


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("budget(full=9, fast=1)", "budget(full=9, fast=(2, [-1.0]))", False),
        ("budget(full=9, fast=1)", "budget(full=8, fast=1)", True),
        ("budget(full=9, fast=1)", "budget(full=9, fast=f())", True),  # the full run calls it too
        ("other(full=9, fast=1)", "other(full=9, fast=2)", True),
    ],
)
@pytest.mark.parametrize("in_module", [False, True])
def test_a_full_run_does_not_see_a_fast_budget(root, old, new, counts, in_module):
    def hashes(source: str) -> tuple[str, str]:
        if in_module:
            (root / "aevb_utils" / "budgets.py").write_text(f"{BUDGET}value = {source}\n", encoding="utf-8")
        code = "from aevb_utils import budgets\nbudgets.value" if in_module else f"{BUDGET}value = {source}"
        return hash_of(code, root), hash_of(code, root, fast=False)

    (code_before, full_before), (code, full) = hashes(old), hashes(new)
    assert code != code_before
    assert (full != full_before) == counts


def test_the_versions_of_what_computes_count(root):
    pins = root / "requirements.txt"
    pins.write_text("torch==2.0\nruff==0.1\n", encoding="utf-8")
    before = hash_of(FIT, root)
    pins.write_text("ruff==0.2\ntorch==2.0\n", encoding="utf-8")
    assert hash_of(FIT, root) == before
    pins.write_text("ruff==0.1\ntorch==2.1\n", encoding="utf-8")
    assert hash_of(FIT, root) != before


def test_a_constant_that_a_class_binds_again_counts(root):
    module = root / "aevb_utils" / "rates.py"
    source = "from aevb_utils.rates import C\nC"
    module.write_text("RATE = 1\n\n\nclass C:\n    RATE = RATE\n", encoding="utf-8")
    before = hash_of(source, root)
    module.write_text("RATE = 2\n\n\nclass C:\n    RATE = RATE\n", encoding="utf-8")
    assert hash_of(source, root) != before


def test_a_folder_that_is_no_package_does_not_hide_a_module(root):
    before = hash_of(FIT, root)
    (root / "aevb_utils" / "training" / "loop" / "__pycache__").mkdir(parents=True)
    assert hash_of(FIT, root) == before


def test_the_code_itself_counts_whole_and_in_order(root):
    assert hash_of("a = 1\nb = 2", root) != hash_of("b = 2\na = 1", root)
    assert hash_of("a = 1", root) != hash_of("a = 1\n\n\ndef unused():\n    pass", root)
    assert hash_of('"""Words."""\na = 1  # and more', root) == hash_of("a = 1", root)


def test_line_endings_do_not_count(root):
    source = "from aevb_utils import lazy, results\nlazy.late()\nresults.load('doubled')"
    before = hash_of(source, root)
    files = [path for path in root.rglob("*") if path.suffix in (".py", ".json")]
    assert any(b"\n" in path.read_bytes() for path in files)
    for path in files:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert hash_of(source, root) == before


def test_modules_may_import_each_other(root):
    (root / "aevb_utils" / "lazy.py").write_text(
        "from aevb_utils import star, lazy\n\n\ndef late():\n    star.late()\n", encoding="utf-8"
    )
    assert len(hash_of("from aevb_utils import lazy\nlazy.late()", root)) == 64
    assert len(hash_of("import aevb_utils.nothing\naevb_utils.nothing.at_all()", root)) == 64


def test_figures_that_are_loaded_count_but_not_their_stamps(root):
    source = 'from aevb_utils import results\nfor name in ("doubled", "halved"):\n    results.load(name)'
    stored = {"code_hash": "1", "stamp": "full run", "machine": "2 cores", "minutes": 1, "figures": {"value": 42}}
    file = root / "aevb_utils" / "results" / "doubled.json"
    file.write_text(json.dumps(stored), encoding="utf-8")
    before = hash_of(source, root)
    file.write_text(json.dumps(stored | {"code_hash": "2", "stamp": "same by fast run"}), encoding="utf-8")
    assert hash_of(source, root) == before
    file.write_text(json.dumps(stored | {"figures": {"value": 43}}), encoding="utf-8")
    assert hash_of(source, root) != before


def test_an_import_of_another_name_counts(root):
    (root / "aevb_utils" / "lazy.py").write_text(
        "from math import log\n\n\ndef late(x):\n    return log(x)\n", encoding="utf-8"
    )
    source = "from aevb_utils.lazy import late\nlate(2)"
    before = hash_of(source, root)
    change(root, "aevb_utils/lazy.py", "import log", "import log1p as log")
    assert hash_of(source, root) != before


def test_all_figures_count_where_the_name_is_computed(root):
    (root / "aevb_utils" / "results" / "a.json").write_text(
        '{"machine": "", "minutes": 1, "figures": 1}', encoding="utf-8"
    )
    source = "from aevb_utils import results\nresults.load(x + y)"
    before = hash_of(source, root)
    change(root, "aevb_utils/results/a.json", '"figures": 1', '"figures": 2')
    assert hash_of(source, root) != before


def test_weights_that_are_loaded_count(root):
    folder = root / "aevb_utils" / "training" / "weights"
    folder.mkdir()
    (root / "aevb_utils" / "training" / "pretrained.py").write_text(
        "def load_pretrained(name):\n    return name\n", encoding="utf-8"
    )
    for name in ("vae-mnist", "rnn"):
        (folder / f"{name}.safetensors").write_bytes(b"1")
    source = "from aevb_utils.training.pretrained import load_pretrained\nload_pretrained('vae-mnist')"
    before = hash_of(source, root)
    (folder / "rnn.safetensors").write_bytes(b"2")
    assert hash_of(source, root) == before
    (folder / "vae-mnist.safetensors").write_bytes(b"2")
    assert hash_of(source, root) != before


def test_the_packages_import_themselves_by_full_names():
    """The hash follows only these."""
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not line.strip().startswith(("from .", "import .")), file
