"""What a caller names on make's command line is text: it reaches the program as it is, and no shell runs it."""

import os
import re
import shutil
import subprocess

import pytest
from systems import needs_make

from tools.menu import ALONE, COMMANDS
from tools.notebooks import ROOT

pytestmark = needs_make
PYTHON = """#!/bin/sh
printf '%s\\0' "$@" > said
"""
TAKING = {
    "NOTEBOOK": ["execute", "{}"],
    "NAME": ["results", "{}"],
    "URL": ["repository", "--branch=main", "--", "{}"],
    "BRANCH": ["repository", "--branch={}", "--", ""],
    "AUTHORS": ["owner", "--", "{}"],
    "A": ["gradescope", "--", "{}"],
    "DIR": ["grade", "--", "", "{}"],
    "ROSTER": ["grade", "--roster={}", "--", "", ""],
    "HAND": ["grade", "--hand={}", "--", "", ""],
    "WORKERS": ["grade", "--workers={}", "--", "", ""],
    "DEST": ["course-public", "--", "{}"],
    "FILE": ["items", "--", "{}"],
    "Q": ["items", "--quiz={}", "--", ""],
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
    """A folder with the Makefile, and a Python that notes what it is called with."""
    folder = tmp_path / "a book $(touch run)"
    folder.mkdir()
    python = folder / "my python; touch run"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    shutil.copy(ROOT / "Makefile", folder)
    return folder


def said(book):
    """What Python was called with."""
    return (book / "said").read_text(encoding="utf-8").split("\0")[:-1]


def make(book, *arguments, **environment):
    if shutil.which("make") is None:
        pytest.skip("There is no make.")
    names = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", *TAKING)  # of a make that runs these tests
    kept = {name: value for name, value in os.environ.items() if name not in names}
    kept |= {"PYTHON": str(book / "my python; touch run")} | environment
    return subprocess.run(
        ["make", "--silent", *arguments], cwd=book, env=kept, capture_output=True, encoding="utf-8", check=False
    )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("variable", TAKING)
def test_a_name_reaches_the_program_as_it_is(book, variable, text):
    expected = ["-m", "tools", *(part.replace("{}", text) for part in TAKING[variable])]
    target = TAKING[variable][0]
    run = make(book, target, f"{variable}={text}")
    assert (run.returncode, run.stderr) == (0, "")
    assert said(book) == expected
    assert {file.name for file in book.iterdir()} == {"Makefile", "my python; touch run", "said"}


@pytest.mark.parametrize("variable", TAKING)
def test_a_variable_that_the_system_has_says_nothing(book, variable):
    target = TAKING[variable][0]
    silent = make(book, target)
    without = said(book)
    run = make(book, target, **{variable: "DESKTOP"})
    assert (run.returncode, run.stderr) == (silent.returncode, silent.stderr)
    assert said(book) == without


@pytest.mark.parametrize("target", ["execute", "results", "book", "clean", "lock"])
def test_without_a_name_the_program_gets_none(book, target):
    assert make(book, target).returncode == 0
    assert said(book) == ["-m", "tools", target]


def test_make_alone_lists_the_commands(book):
    assert make(book).returncode == 0
    assert said(book) == ["-m", "tools", "help"]


def test_make_has_every_command_and_no_other():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(phony[1].split()) - {"python"} == {*COMMANDS, *ALONE}


def test_a_failure_is_passed_on(book):
    (book / "my python; touch run").write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    assert make(book, "book").returncode == 2


def test_a_python_of_any_name_is_not_run_by_the_shell(book):
    run = make(book, "setup", "PYTHON=no python; touch run")
    assert run.returncode == 2
    assert "There is no no python; touch run: install Python 3.11 or later" in run.stderr
    assert not (book / "run").exists()
