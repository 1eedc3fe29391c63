"""The table of benchmarks: what is stored when they run, when one fails, and how the page shows it."""

import ast
import json
import re
import shutil
import subprocess
import sys
import venv

import pytest
from sentences import one_sentence

from tools import bench
from tools.notebooks import ROOT
from tools.processes import Ended

sys.path.insert(0, str(ROOT / "book" / "extensions"))
from site_benchmarks import figure, said

TINY = """
from _rows import Row

MISSING = ["A peer is not installed."]


def rows(rounds=4):
    print("something else")
    return [Row("ours / theirs", "What it means.", [float(k) for k in range(1, rounds + 1)])]
"""
TOLD = {"machine": "a machine", "threads": 1, "load": [0.5, None], "torch": "2", "missing": [], "rows": []}


@pytest.fixture
def measured(monkeypatch):
    """What each benchmark tells: None is a failure. No environment is made."""
    told = {name: TOLD | {"minutes": 1.0} for name in bench.BENCHMARKS}
    monkeypatch.setattr(bench, "environment", lambda: "python")
    monkeypatch.setattr(bench, "measure", lambda python, name, rounds: told[name])
    return told


def test_all_are_stored_in_order(measured, tmp_path):
    file = tmp_path / "benchmarks.json"
    assert bench.main([bench.BENCHMARKS[-1]], file) == 0
    assert bench.main([], file) == 0
    assert list(json.loads(file.read_text("utf-8"))) == list(bench.BENCHMARKS)


def test_one_that_fails_leaves_its_figures_as_they_were(measured, tmp_path, capsys):
    file = tmp_path / "benchmarks.json"
    bench.main([], file)
    first, second = bench.BENCHMARKS[:2]
    measured[first] = None
    measured[second] = TOLD | {"minutes": 2.0}
    assert bench.main([first, second], file) == 1
    stored = json.loads(file.read_text("utf-8"))
    assert [stored[name]["minutes"] for name in (first, second)] == [1.0, 2.0]
    assert f"{first} failed" in capsys.readouterr().err


def test_a_short_run_is_printed_and_not_stored(measured, tmp_path, capsys):
    file, name = tmp_path / "benchmarks.json", bench.BENCHMARKS[0]
    row = {"what": "ours / theirs", "median": 2.0, "low": 1.5, "high": 2.5, "unit": "×"}
    measured[name] = TOLD | {"rows": [row]}
    assert bench.main([name, "--rounds", "2"], file) == 0
    assert not file.exists()
    assert "ours / theirs: 2 × (1.5 to 2.5)" in capsys.readouterr().out


def test_a_benchmark_that_is_none_is_a_sentence(measured, tmp_path, capsys):
    assert bench.main(["none"], tmp_path / "benchmarks.json") == 2
    one_sentence(capsys.readouterr().err.removesuffix("\n"))
    assert not list(tmp_path.iterdir())


def test_a_broken_file_is_refused(measured, tmp_path, capsys):
    file = tmp_path / "benchmarks.json"
    file.write_text("[", encoding="utf-8")
    assert bench.main([bench.BENCHMARKS[0]], file) == 1
    assert file.read_text("utf-8") == "["
    assert str(file) in capsys.readouterr().err


def test_what_a_benchmark_tells(tmp_path):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    shutil.copy(ROOT / "benchmarks" / "_rows.py", folder)
    (folder / "tiny.py").write_text(TINY, encoding="utf-8")
    (folder / "wrong.py").write_text("def rows():\n    raise RuntimeError\n", encoding="utf-8")
    told = bench.measure(sys.executable, "tiny", None, tmp_path)
    assert told["missing"] == ["A peer is not installed."]
    row = {"what": "ours / theirs", "means": "What it means.", "unit": "×"}
    assert told["rows"] == [row | {"median": 2.5, "low": 1.75, "high": 3.25, "rounds": 4}]
    (two,) = bench.measure(sys.executable, "tiny", 2, tmp_path)["rows"]
    assert (two["low"], two["high"]) == (1.0, 2.0)
    assert bench.measure(sys.executable, "wrong", None, tmp_path) is None


def test_the_peers_environment_sees_this_one_s_packages(tmp_path, monkeypatch, capsys):
    create, calls = venv.create, []
    monkeypatch.setattr(bench.venv, "create", lambda folder, with_pip, **options: create(folder, **options))
    monkeypatch.setattr(bench, "run", lambda command, folder: calls.append(command[-1]) or Ended(1, False))
    python = bench.environment(tmp_path)
    assert tuple(calls) == bench.PEERS
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == list(bench.PEERS)
    seen = subprocess.run(
        [python, "-c", "import sys, torch; print(sys.prefix)"], capture_output=True, encoding="utf-8", check=True
    )
    assert seen.stdout.strip() == str(tmp_path / "_build" / "bench")

    folder = tmp_path / "_build" / "bench"
    mark, settings = folder / "mark", folder / "pyvenv.cfg"
    mark.touch()
    assert bench.environment(tmp_path) == python
    assert mark.exists()
    settings.write_text(re.sub("version = .*", "version = 3.10.1", settings.read_text("utf-8")), encoding="utf-8")
    bench.environment(tmp_path)
    assert not mark.exists()  # of another Python: made anew


def test_every_benchmark_is_in_the_table_and_on_the_page():
    files = {path.stem: path for path in (ROOT / "benchmarks").glob("[a-z]*.py")}
    assert set(files) == set(bench.BENCHMARKS)
    for path in files.values():
        defined = {node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}
        assert {"rows", "main"} <= defined, path
    page = (ROOT / "book" / "benchmarks.md").read_text("utf-8")
    assert set(re.findall(r"^```\{benchmarks\} (\w+)$", page, re.MULTILINE)) == set(bench.BENCHMARKS)


def test_what_the_page_says():
    assert [figure(n, "×") for n in (0.05123, 1.8, 12.345, 123.4, 0)] == [
        "0.0512 ×",
        "1.80 ×",
        "12.3 ×",
        "123 ×",
        "0 ×",
    ]
    about = {"machine": "a machine", "torch": "2.13", "minutes": 1.25}
    assert said(about | {"threads": 2, "load": [0.51, 1.0]}) == (
        "a machine; 2 threads, load 0.5 before and 1.0 after; PyTorch 2.13; 1.2 minutes."
    )
    assert said(about | {"threads": 1, "load": [None, None]}) == "a machine; 1 thread; PyTorch 2.13; 1.2 minutes."
