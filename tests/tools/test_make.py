"""What a caller names on make's command line is text: it reaches the program as it is, and no shell runs it."""

import os
import shutil
import subprocess

import pytest
from systems import needs_make

from tools.notebooks import ROOT

pytestmark = needs_make
PYTHON = """#!/bin/sh
printf '%s\\0' "$@" > said
"""
COMMANDS = {
    "NOTEBOOK": ("execute", ["-m", "tools.execute", "{}"]),
    "NAME": ("results", ["-m", "tools.experiments", "{}"]),
    "URL": ("repository", ["-m", "tools.repository", "--branch=main", "--", "{}"]),
    "BRANCH": ("repository", ["-m", "tools.repository", "--branch={}", "--", ""]),
}
HOSTILE = [
    'x"; touch run; echo "',
    "x'; touch run; echo '",
    "x; touch run",
    "$(touch run)",
    "$(shell touch run)",
    "$$(touch run)",
    "$${x:-$$(touch run)}",
    "`touch run`",
    "${IFS}&& touch run",
    "-x",
    "notebooks/my chapter.ipynb",
    "two\nlines\n\ttouch run",
    "é %s \\ # : = * ~",
]


@pytest.fixture
def book(tmp_path):
    """A folder with the Makefile, in which Python notes what it is called with."""
    folder = tmp_path / "a book $(touch run)"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("requirements.txt", "pyproject.toml"):
        (folder / name).touch()
    python = folder / ".venv" / "bin" / "python"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    (folder / ".venv" / ".ready").touch()
    shutil.copy(ROOT / "Makefile", folder)
    return folder


def said(book):
    """What Python was called with."""
    return (book / "said").read_text(encoding="utf-8").split("\0")[:-1]


def make(book, *arguments, **environment):
    if shutil.which("make") is None:
        pytest.skip("There is no make.")
    names = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", *COMMANDS)  # of a make that runs these tests
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        ["make", "--silent", *arguments],
        cwd=book,
        env=kept | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("variable", COMMANDS)
def test_a_name_reaches_the_program_as_it_is(book, variable, text):
    target, expected = COMMANDS[variable]
    for run in (make(book, target, f"{variable}={text}"), make(book, target, **{variable: text})):
        assert (run.returncode, run.stderr) == (0, "")
        assert said(book) == [part.replace("{}", text) for part in expected]
    assert {file.name for file in book.iterdir()} == {"Makefile", ".venv", "pyproject.toml", "requirements.txt", "said"}


def test_without_a_name_the_program_gets_none(book):
    for target, module in (("execute", "tools.execute"), ("results", "tools.experiments")):
        assert make(book, target).returncode == 0
        assert said(book) == ["-m", module]


def test_a_python_of_any_name_is_not_run_by_the_shell(book):
    (book / ".venv" / ".ready").unlink()
    run = make(book, "setup", "PYTHON=no python; touch run")
    assert run.returncode == 2
    assert "There is no no python; touch run: install Python 3.11 or later" in run.stderr
    assert not (book / "run").exists()
