"""The developer commands: what a notebook's hash covers, running notebooks, writing files, exporting models."""

import ast
import json
import os
import re
import textwrap
from functools import partial
from pathlib import Path

import nbformat
import pytest

from aevb_utils.results import load as load_results
from tools import execute, export, results
from tools.notebooks import HASH_KEY, ROOT, SETUP_CELL, code_cells, code_hash, hash_of, read, write

NEW = nbformat.v4


def notebook_of(*cells, **metadata):
    """A notebook of code cells, each its source or a pair of source and tag; text that starts with # ½ is Markdown."""
    made = []
    for i, cell in enumerate(cells):
        source, tag = cell if isinstance(cell, tuple) else (cell, None)
        new = NEW.new_markdown_cell if source.startswith("# ½") else NEW.new_code_cell
        made.append(new(textwrap.dedent(source), id=f"cell-{i}", metadata={"tags": [tag]} if tag else {}))
    return NEW.new_notebook(cells=made, metadata=metadata)


# The hash

FILES = {
    "aevb_utils/__init__.py": '"""The package."""\n',
    "aevb_utils/direct.py": "from aevb_utils.deeper import value\n\n\ndef f():\n    return value\n",
    "aevb_utils/deeper.py": "value = 1\n",
    "aevb_utils/lazy.py": "def f():\n    import aevb_utils.deeper\n\n    return aevb_utils.deeper.value\n",
    "aevb_utils/other.py": "value = 2\n",
    "aevb_utils/models/__init__.py": "from aevb_utils.models.mixture import Mixture\n",
    "aevb_utils/models/mixture.py": "class Mixture:\n    size = 1\n",
    "elsewhere.py": "value = 3\n",
}


@pytest.fixture
def root(tmp_path):
    """A folder with a package of the book's name."""
    for name, source in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return tmp_path


CODE = '''\
def area(r):
    """The area of a circle."""
    return 3.14 * r**2  # times π


print(area(2), "kept")
'''


@pytest.mark.parametrize(
    "cells",
    [
        [CODE.replace("  # times π", "")],
        [CODE.replace("    return", "    # a comment\n\n    return")],
        [CODE.replace("The area of a circle.", "Another text.")],
        [CODE.replace('    """The area of a circle."""\n', "")],
        [CODE.replace("3.14 * r**2", "(\n        3.14\n        * r ** 2\n    )").replace('"kept"', "'kept'")],
        ["# ½ text", CODE, "# ½ more text"],
        [CODE, "", "   "],
        [(SETUP_CELL, "setup"), CODE],
        [(SETUP_CELL.replace('""', '"https://github.com/a/b"'), "setup"), CODE],
        [(CODE, "break")],
    ],
)
def test_hash_ignores_what_does_not_run(root, cells):
    assert code_hash(notebook_of(*cells), root) == code_hash(notebook_of(CODE), root)


def test_hash_ignores_outputs_and_metadata(root):
    notebook = notebook_of(CODE, **{HASH_KEY: "old"})
    notebook.cells[0].outputs = [NEW.new_output("stream", text="12.56 kept\n")]
    notebook.cells[0].execution_count = 7
    notebook.cells[0].id = "another"
    assert code_hash(notebook, root) == code_hash(notebook_of(CODE), root)


@pytest.mark.parametrize(
    "cells",
    [
        [CODE.replace("3.14", "3.15")],
        [CODE.replace('"kept"', '"other"')],
        [CODE.replace("r**2", "r*2")],
        [CODE.replace("area(r)", "area(r=1)")],
        [CODE.replace("area", "region")],
        [CODE.replace("print(", "repr(")],
        [CODE, "1"],
        ["1", CODE],
        [(CODE, "setup")],
        [],
    ],
)
def test_hash_sees_code(root, cells):
    assert code_hash(notebook_of(*cells), root) != code_hash(notebook_of(CODE), root)


def test_hash_sees_the_order_and_the_borders_of_cells(root):
    cells = [["a = 1", "b = 2"], ["b = 2", "a = 1"], ["a = 1\nb = 2"]]
    assert len({code_hash(notebook_of(*sources), root) for sources in cells}) == 3


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import aevb_utils.direct", "direct"),
        ("import math, aevb_utils.direct as d", "direct"),
        ("from aevb_utils import direct", "direct"),
        ("from aevb_utils.direct import f", "direct"),
        ("if True:\n    from aevb_utils.direct import f", "direct"),
        ("from aevb_utils.direct import f", "deeper"),
        ("from aevb_utils import other, direct", "deeper"),
        ("from aevb_utils.lazy import f", "deeper"),
        ("import aevb_utils", "__init__"),
        ("from aevb_utils import models", "models/__init__"),
        ("from aevb_utils.models import Mixture", "models/mixture"),
        ("from aevb_utils.models.mixture import Mixture", "models/mixture"),
    ],
)
def test_hash_sees_modules_imported_directly_or_not(root, source, module):
    notebook = notebook_of(source, "x = 1")
    before = code_hash(notebook, root)
    file = root / "aevb_utils" / f"{module}.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(f'"""Other words."""\n# a comment\n\n{text}', encoding="utf-8")
    assert code_hash(notebook, root) == before
    file.write_text(f"{text}\nadded = 1\n", encoding="utf-8")
    assert code_hash(notebook, root) != before


@pytest.mark.parametrize(
    "source",
    [
        "from aevb_utils import direct",
        "import elsewhere",
        "import aevb_utilsx",
        "import torch",
        "x = 'aevb_utils.other'",
    ],
)
def test_hash_ignores_modules_that_are_not_imported(root, source):
    before = code_hash(notebook_of(source), root)
    (root / "aevb_utils" / "other.py").write_text("value = 5\n", encoding="utf-8")
    (root / "elsewhere.py").write_text("value = 5\n", encoding="utf-8")
    assert code_hash(notebook_of(source), root) == before


def test_hash_survives_modules_that_import_each_other(root):
    (root / "aevb_utils" / "deeper.py").write_text("import aevb_utils.direct\nvalue = 1\n", encoding="utf-8")
    assert len(code_hash(notebook_of("import aevb_utils.direct"), root)) == 64


def test_the_package_imports_itself_by_full_names():
    """The hash follows only these."""
    for file in (ROOT / "aevb_utils").rglob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not line.strip().startswith(("from .", "import .")), file


def test_code_cells_leaves_out_empty_cells_and_a_tag():
    notebook = notebook_of("a", "  ", "# ½ text", ("b", "setup"), ("c", "live"))
    assert [cell.source for cell in code_cells(notebook)] == ["a", "b", "c"]
    assert [cell.source for cell in code_cells(notebook, without="setup")] == ["a", "c"]


# Reading and writing


def test_written_notebook_is_read_back_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "01_one.ipynb"
    path.write_text("old", encoding="utf-8")
    notebook = notebook_of("# ½ text", "x = 'ü'")
    write(notebook, path)
    assert read(path) == notebook
    assert path.read_text(encoding="utf-8").endswith("}\n")
    assert list(tmp_path.iterdir()) == [path]


def test_an_invalid_notebook_is_not_written(tmp_path):
    path = tmp_path / "01_one.ipynb"
    path.write_text("old", encoding="utf-8")
    notebook = notebook_of("x = 1")
    notebook.cells[0].outputs = [{"output_type": "nonsense"}]
    with pytest.raises(nbformat.ValidationError):
        write(notebook, path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "01_one.ipynb"
    path.write_text("old", encoding="utf-8")
    whole = Path.write_text

    def full_disk(self, text, **options):
        whole(self, text[:10], **options)
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write(notebook_of("x = 1"), path)
    assert path.read_text(encoding="utf-8") == "old"


def test_a_malformed_notebook_is_not_read(tmp_path):
    path = tmp_path / "01_one.ipynb"
    path.write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "x"}]}', "utf-8")
    with pytest.raises(nbformat.ValidationError):
        read(path)


# Running


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Stores a notebook in a folder of its own; the environment that the command sets is undone after the test."""
    for name in execute.FULL_RUN:
        monkeypatch.setenv(name, os.environ.get(name, ""))

    def store(*cells):
        path = tmp_path / "01_one.ipynb"
        notebook = notebook_of(*cells, kernelspec={"display_name": "mine", "language": "python", "name": "mine"})
        notebook.metadata["widgets"] = {"state": {}}
        path.write_text(nbformat.writes(notebook), encoding="utf-8")
        return path

    return store


def test_execute_stores_outputs_and_hash(stored, capsys):
    path = stored(
        "# ½ A title",
        (SETUP_CELL, "setup"),
        "import os\nprint([os.environ[n] for n in ('AEVB_FAST', 'AEVB_REAL_DATA', 'TQDM_DISABLE', 'OMP_NUM_THREADS')])",
        "print(os.getcwd() == os.path.dirname(os.path.abspath('01_one.ipynb')), os.path.exists('01_one.ipynb'))",
        "from aevb_utils.budget import FAST\nprint(FAST)\nprint('again')",
        ("print('moved')", "live"),
    )
    assert execute.main([path]) == 0
    notebook = read(path)
    _, setup, environment, folder, budget, live = notebook.cells
    assert setup.outputs == []
    assert environment.outputs[0].text == "['0', '1', '1', '1']\n"
    assert folder.outputs[0].text == "True True\n"
    assert [output.text for output in budget.outputs] == ["False\nagain\n"]
    assert live.outputs == []
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3, 4, 5]
    assert notebook.metadata == {
        HASH_KEY: code_hash(notebook),
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    assert list(path.parent.iterdir()) == [path]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("raise ValueError('the data are missing')", "ValueError: the data are missing"),
        ("import sys\nprint('careful', file=sys.stderr)", "A cell printed to stderr"),
        ("import warnings\nwarnings.warn('old name')", "UserWarning: old name"),
    ],
    ids=["error", "stderr", "warning"],
)
def test_execute_leaves_the_file_as_it_was_when_a_cell_fails(stored, capsys, bad, said):
    path = stored("print('fine')", bad)
    before = path.read_bytes()
    assert execute.main([path, path.with_name("never_reached.ipynb")]) == 1
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    shown = capsys.readouterr()
    assert said in re.sub(r"\x1b\[[\d;]*m", "", shown.err)  # less its colors
    assert shown.err.endswith("01_one.ipynb was left as it was.\n")
    assert "never_reached" not in shown.out


def test_live_cells_may_not_print_to_stderr_either(stored):
    notebook = notebook_of(("x", "live"))
    notebook.cells[0].outputs = [NEW.new_output("stream", name="stderr", text="careful\n")]
    with pytest.raises(execute.UncleanOutputError, match="careful"):
        execute.clean(notebook)


def test_progress_bars_are_not_stored(stored):
    notebook = notebook_of("fit()")
    bar = NEW.new_output("display_data", {execute.WIDGET: {"model_id": "1"}, "text/plain": "fit: 0%|"})
    figure = NEW.new_output("display_data", {"image/svg+xml": "<svg/>"})
    notebook.cells[0].outputs = [bar, figure]
    execute.clean(notebook)
    assert notebook.cells[0].outputs == [figure]


# Exporting


def exporting(*cells, module="models.three"):
    """A notebook with a title and export cells; a cell is its source, or its source and its own module."""
    notebook = notebook_of("# ½ A title: with words\n\nAnd text.", *cells, aevb_export=module)
    notebook.cells[0].source = notebook.cells[0].source.replace("½ ", "")
    return notebook


def test_a_module_has_the_exported_cells_in_order():
    notebook = exporting(
        ("import math\n", "export"),
        "print('not exported')",
        ("class First:\n    pass", "export"),
        ("second = math.pi", "export"),
    )
    assert export.module_sources(notebook, "03_three.ipynb") == {
        "models.three": '"""A title: with words.\n\n'
        'Exported from notebooks/03_three.ipynb by ``make export``: edit the chapter.\n"""\n\n'
        "import math\n\n\nclass First:\n    pass\n\n\nsecond = math.pi\n"
    }


def test_a_cell_may_belong_to_another_module_and_describe_it():
    notebook = exporting(
        ("first = 1", "export"), ('"""What it is for."""\n\nimport math', "export"), ("third = math.pi", "export")
    )
    for cell in notebook.cells[2:]:
        cell.metadata["aevb_export"] = "evaluation.other"
    sources = export.module_sources(notebook, "03_three.ipynb")
    assert list(sources) == ["models.three", "evaluation.other"]
    assert sources["models.three"].endswith('"""\n\nfirst = 1\n')
    assert sources["evaluation.other"] == (
        '"""What it is for.\n\nExported from notebooks/03_three.ipynb by ``make export``: edit the chapter.\n"""\n\n'
        "import math\n\n\nthird = math.pi\n"
    )


def test_an_exported_cell_needs_a_module():
    notebook = exporting(("x = 1", "export"))
    del notebook.metadata["aevb_export"]
    with pytest.raises(ValueError, match=r"03_three\.ipynb exports a cell, but names no module"):
        export.module_sources(notebook, "03_three.ipynb")


@pytest.fixture
def two_chapters(tmp_path, monkeypatch):
    """Two chapters of which the second exports; their files."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    first, second = folder / "01_one.ipynb", folder / "02_two.ipynb"
    write(notebook_of("# ½ One", "x = 1"), first)
    write(notebook_of("# ½ Two", ("x = 2", "export"), aevb_export="models.two"), second)
    monkeypatch.setattr(export, "CHAPTERS", (first, second))
    monkeypatch.setattr(export, "ROOT", tmp_path)
    return first, second


def test_export_writes_the_modules_that_chapters_name(tmp_path, two_chapters, capsys):
    module = tmp_path / "aevb_utils" / "models" / "two.py"
    assert list(export.exports()) == [module]
    assert export.main() == 0
    assert [file.name for file in module.parent.iterdir()] == ["two.py"]
    assert {"models.two": module.read_text(encoding="utf-8")} == export.module_sources(
        read(two_chapters[1]), "02_two.ipynb"
    )
    assert capsys.readouterr().out == f"Wrote {Path('aevb_utils/models/two.py')}\n"


def test_two_chapters_cannot_export_one_module(two_chapters):
    write(notebook_of("# ½ One", ("x = 1", "export"), aevb_export="models.two"), two_chapters[0])
    with pytest.raises(ValueError, match=r"02_two\.ipynb exports models\.two, which an earlier chapter exports too"):
        export.exports()


# Results


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A script of results that doubles a number, in a repository of its own."""
    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "aevb_utils" / "results").mkdir(parents=True)
    (tmp_path / "aevb_utils" / "budget.py").write_text("def budget(x):\n    return 2 * x\n")
    file = folder / "doubled.py"
    file.write_text("from aevb_utils import budget\n\n\ndef main():\n    return {'value': 21 * 2}\n")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "SCRIPTS", (file,))
    monkeypatch.setattr(results, "hash_of", partial(hash_of, root=tmp_path))
    return file


def test_results_are_stored_with_what_made_them(script, capsys):
    assert results.main(["doubled"]) == 0
    stored = json.loads(results.file_of(script).read_text(encoding="utf-8"))
    assert set(stored) == {"code_hash", "machine", "minutes", "figures"}
    assert stored["figures"] == {"value": 42}
    assert stored["code_hash"] == results.script_hash(script)
    assert [file.suffix for file in results.file_of(script).parent.iterdir()] == [".json"]
    assert "Running results/doubled.py …\nWrote " in capsys.readouterr().out


def test_results_that_are_not_numbers_are_not_stored(script):
    script.write_text(script.read_text().replace("21 * 2", "float('nan')"))
    with pytest.raises(ValueError, match="Out of range float"):
        results.main([])
    assert not results.file_of(script).exists()


def test_a_script_that_is_not_there(script, capsys):
    assert results.main(["halved"]) == 1
    assert capsys.readouterr().err == "There is no script results/halved.py: name one of doubled.\n"


def test_the_hash_of_a_script_covers_the_modules_it_imports(script):
    before = results.script_hash(script)
    module = script.parent.parent / "aevb_utils" / "budget.py"
    module.write_text(module.read_text() + "# a comment\n")
    assert results.script_hash(script) == before
    module.write_text("def budget(x):\n    return x + x\n")
    assert results.script_hash(script) != before


@pytest.mark.parametrize(
    "line", ["from results._shared import half", "from results import _shared", "import results._shared"]
)
def test_the_hash_of_a_script_covers_what_it_imports_from_its_folder(script, line):
    script.write_text(f"{line}\n{script.read_text()}")
    shared, further = (script.with_name(name) for name in ("_shared.py", "_further.py"))
    shared.write_text("from results._further import two\n\n\ndef half(x):\n    return x / two\n")
    further.write_text("two = 2\n")
    before = results.script_hash(script)
    for file in (shared, further):
        text = file.read_text()
        file.write_text(f"# a comment\n{text}")
        assert results.script_hash(script) == before
        file.write_text(f"{text}added = 1\n")
        assert results.script_hash(script) != before
        file.write_text(text)


def test_the_hash_of_a_script_alone_is_that_of_its_code(script):
    script.with_name("other.py").write_text("x = 1\n")
    tree = ast.parse(script.read_text())
    assert results.script_hash(script) == results.hash_of([tree])


def test_a_notebook_s_hash_covers_the_results_it_loads(script):
    root = script.parent.parent
    (root / "aevb_utils" / "results" / "__init__.py").write_text("")
    notebook = notebook_of('from aevb_utils import results\nfigures = results.load("doubled")["figures"]')
    stored = root / "aevb_utils" / "results" / "doubled.json"
    stored.write_text("1")
    before = code_hash(notebook, root)
    stored.write_text("2")
    assert code_hash(notebook, root) != before


@pytest.mark.parametrize("path", results.SCRIPTS, ids=lambda path: path.stem)
def test_stored_results_come_from_this_code(path):
    fresh = load_results(path.stem)["code_hash"] == results.script_hash(path)
    assert fresh, f"The code has changed since these results were stored: make results NAME={path.stem}"


def test_every_result_has_a_script():
    stored = {file.stem for file in (ROOT / "aevb_utils" / "results").glob("*.json")}
    assert stored == {script.stem for script in results.SCRIPTS}


def test_loading_results():
    for script in results.SCRIPTS:
        assert load_results(script.stem)["figures"]
    with pytest.raises(ValueError, match=r"There are no results 'nothing': load one of"):
        load_results("nothing")
