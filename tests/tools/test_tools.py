"""The developer commands: what a notebook's hash covers, running notebooks, writing files, exporting models."""

import errno
import os
import platform
import re
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import one_sentence
from small_notebooks import NEW, notebook_of
from systems import said

from aevb_utils.results.json_files import BrokenFileError
from tools import execute, export, refresh
from tools.notebooks import RUN_KEY, SETUP_CELL, code_cells, notebook_hash, read, write
from tools.refresh import all_stored
from tools.stamps import FULL, Stamp

# The hash

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
def test_hash_ignores_what_does_not_run(cells):
    assert notebook_hash(notebook_of(*cells)) == notebook_hash(notebook_of(CODE))


def test_hash_ignores_outputs_and_metadata():
    notebook = notebook_of(CODE, **{RUN_KEY: "old"})
    notebook.cells[0].outputs = [NEW.new_output("stream", text="12.56 kept\n")]
    notebook.cells[0].execution_count = 7
    notebook.cells[0].id = "another"
    assert notebook_hash(notebook) == notebook_hash(notebook_of(CODE))


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
def test_hash_sees_code(cells):
    assert notebook_hash(notebook_of(*cells)) != notebook_hash(notebook_of(CODE))


def test_hash_sees_the_order_and_the_borders_of_cells():
    cells = [["a = 1", "b = 2"], ["b = 2", "a = 1"], ["a = 1\nb = 2"]]
    assert len({notebook_hash(notebook_of(*sources)) for sources in cells}) == 3


def test_hash_follows_names_from_cell_to_cell(tmp_path):
    package = tmp_path / "aevb_utils"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "budget.py").write_text("def budget():\n    return 1\n", encoding="utf-8")
    notebook = notebook_of("from aevb_utils.budget import budget", "budget()")
    before = notebook_hash(notebook, tmp_path)
    (package / "budget.py").write_text("def budget():\n    return 2\n", encoding="utf-8")
    assert notebook_hash(notebook, tmp_path) != before


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

    def full_disk(file):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write(notebook_of("x = 1"), path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


WHOLE = nbformat.writes(notebook_of("x = 1"))
BROKEN = {
    "a list": b"[]",
    "a number of cells": b'{"cells": 5, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    "no metadata": b'{"cells": [], "nbformat": 4, "nbformat_minor": 5}',
    "deep nesting": b"[" * 100_000,
    "deep nesting that is closed": b'{"cells": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "an opened brace": b"{",
    "nothing": b"",
    "no UTF-8": WHOLE.replace("x = 1", "x = 'é'").encode("latin-1"),
    "an unknown cell": WHOLE.replace('"code"', '"x"').encode(),
    "a cell without id": re.sub(r'"id": "cell-0",', "", WHOLE).encode(),
    "another format": WHOLE.replace('"nbformat": 4', '"nbformat": 3').encode(),
    "a format in words": WHOLE.replace('"nbformat_minor": 5', '"nbformat_minor": "five"').encode(),
    "an entry twice": WHOLE.replace('"nbformat": 4', '"nbformat": 4,\n"nbformat": 4').encode(),
    "NaN": WHOLE.replace('"metadata": {}', '"metadata": {"a": NaN}', 1).encode(),
    "half a character": WHOLE.replace("x = 1", r"x = '\ud800'").encode(),
    "two cells of one id": nbformat.writes(notebook_of("x = 1", "y = 1")).replace("cell-1", "cell-0").encode(),
}
NO_PYTHON = {
    "a cell that is no Python": nbformat.writes(notebook_of("x = 1", "x = (")).encode(),
    "a cell with a NUL": WHOLE.replace("x = 1", r"x = 1\u0000").encode(),
    "a cell of ten thousand terms": nbformat.writes(notebook_of("x = " + "+".join("1" * 10_000))).encode(),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_notebook_is_not_read(tmp_path, content):
    path = tmp_path / "01_one.ipynb"
    path.write_bytes(content)
    with pytest.raises(BrokenFileError) as caught:
        read(path)
    assert one_sentence(caught.value).startswith(f"{path} is ")


@pytest.mark.parametrize("content", (BROKEN | NO_PYTHON).values(), ids=BROKEN | NO_PYTHON)
def test_every_command_ends_at_a_broken_notebook_in_a_sentence_and_leaves_it(tmp_path, capsys, monkeypatch, content):
    path = tmp_path / "01_one.ipynb"
    path.write_bytes(content)
    monkeypatch.setattr(export, "CHAPTERS", (path,))
    monkeypatch.setattr(refresh, "all_stored", lambda: all_stored((path,), ()))
    for main in (lambda: execute.main([path]), refresh.main, export.main):
        if main is export.main and content in NO_PYTHON.values():
            continue  # that cell is not exported
        assert main() == 1
        said = capsys.readouterr().err.replace("\n01_one.ipynb was left as it was.", "")
        assert "01_one.ipynb" in one_sentence(said.strip())
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_notebook_that_is_not_there(tmp_path, capsys):
    assert execute.main([tmp_path / "none.ipynb"]) == 2
    one_sentence(capsys.readouterr().err.strip())
    with pytest.raises(BrokenFileError, match=rf"none\.ipynb cannot be read: {said(errno.ENOENT)}") as caught:
        read(tmp_path / "none.ipynb")
    one_sentence(caught.value)


@given(st.data())
def test_a_damaged_notebook_is_read_or_refused_in_a_sentence(tmp_path_factory, data):
    content = bytearray(WHOLE.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.getbasetemp() / "damaged.ipynb"
    path.write_bytes(content)
    try:
        assert len(notebook_hash(read(path))) == 64
    except BrokenFileError as error:
        one_sentence(error)


# Running


@pytest.fixture
def stored(tmp_path):
    """Stores a notebook in a folder of its own."""

    def store(*cells):
        path = tmp_path / "01_one.ipynb"
        notebook = notebook_of(*cells, kernelspec={"display_name": "mine", "language": "python", "name": "mine"})
        notebook.metadata["widgets"] = {"state": {}}
        path.write_text(nbformat.writes(notebook), encoding="utf-8")
        return path

    return store


def test_execute_stores_outputs_and_a_stamp(stored, capsys):
    path = stored(
        "# ½ A title",
        (SETUP_CELL, "setup"),
        "import os\nprint([os.environ.get(f'AEVB_{n}') for n in ('FAST', 'REAL_DATA')], os.environ['OMP_NUM_THREADS'])",
        "print(os.getcwd() == os.path.dirname(os.path.abspath('01_one.ipynb')), os.path.exists('01_one.ipynb'))",
        "from aevb_utils.budget import FAST\nprint(FAST)\nprint('again')",
        ("print('moved')", "live"),
    )
    assert execute.main([path]) == 0
    notebook = read(path)
    _, setup, environment, folder, budget, live = notebook.cells
    assert setup.outputs == []
    assert environment.outputs[0].text == "['0', '1'] 1\n"
    assert folder.outputs[0].text == "True True\n"
    assert [output.text for output in budget.outputs] == ["False\nagain\n"]
    assert live.outputs == []
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3, 4, 5]
    stamp = Stamp.from_json(notebook.metadata[RUN_KEY])
    assert (stamp.code_hash, stamp.made_by) == (notebook_hash(notebook), FULL)
    fast = [row for row in stamp.fingerprint if row[0] == "cell-4 1: printed"]
    assert len(fast) == 1
    assert [row[0].split()[0] for row in stamp.fingerprint[:-1]] == ["cell-2", "cell-3", "cell-4"]
    assert stamp.fingerprint[-1][0] == "the full run alone 1: live cell-5"
    assert notebook.metadata.keys() == {RUN_KEY, "kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.display_name == "Python 3 (ipykernel)"
    assert notebook.metadata.language_info.version == platform.python_version()  # as JupyterLab writes it
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
        "import math\n\nthird = math.pi\n"
    )


@pytest.mark.parametrize("first", ["x = 1", '"""What it is for."""\n\nx = 1'])
def test_the_title_of_a_folded_cell_stays_in_the_chapter(first):
    plain = exporting((first, "export"), ("y = 2", "export"))
    folded = exporting(("# @title The first\n" + first, "export"), ("# @title The second\ny = 2", "export"))
    sources = export.module_sources(folded, "03_three.ipynb")
    assert "@title" not in sources["models.three"]
    assert sources == export.module_sources(plain, "03_three.ipynb")


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
    monkeypatch.setattr(export, "PICTURE", tmp_path / "ladder.svg")
    monkeypatch.setattr(export, "TABLES", (tmp_path / "README.md",))
    monkeypatch.setattr(export.cover, "COVER", tmp_path / "cover.json")
    monkeypatch.setattr(export.cover, "content", lambda: "{}")
    rows = [f"| {path.name[:2]} | [A chapter](notebooks/{path.name}) | 0 min / 9 s |" for path in (first, second)]
    (tmp_path / "README.md").write_text("\n".join(rows), encoding="utf-8")
    return first, second


def test_export_writes_the_modules_that_chapters_name(tmp_path, two_chapters, capsys):
    module = tmp_path / "aevb_utils" / "models" / "two.py"
    assert list(export.exports()) == [module]
    assert export.main() == 0
    assert [file.name for file in module.parent.iterdir()] == ["two.py"]
    assert {"models.two": module.read_text(encoding="utf-8")} == export.module_sources(
        read(two_chapters[1]), "02_two.ipynb"
    )
    assert (
        capsys.readouterr().out
        == f"Wrote {Path('aevb_utils/models/two.py')}\nWrote README.md\nWrote ladder.svg\nWrote cover.json\n"
    )
    assert "0 min" not in (tmp_path / "README.md").read_text("utf-8")


def test_two_chapters_cannot_export_one_module(two_chapters):
    write(notebook_of("# ½ One", ("x = 1", "export"), aevb_export="models.two"), two_chapters[0])
    with pytest.raises(ValueError, match=r"02_two\.ipynb exports models\.two, as an earlier chapter does"):
        export.exports()
