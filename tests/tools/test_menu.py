"""``python -m tools NAME …``: every command, on any system, with what it needs installed first."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sentences import one_sentence

from tools import clean, menu
from tools.install import InstallError, Level
from tools.notebooks import PAGES, ROOT
from tools.processes import Ended, run


@pytest.fixture
def calls(monkeypatch):
    """What the environment's Python would be called with, after what level; every call ends with status 0."""
    made = []
    monkeypatch.setattr(menu, "ensure", lambda level: made.append(level) or Path("python"))
    monkeypatch.setattr(
        menu, "run", lambda command, environment: made.append((command, environment)) or Ended(0, False)
    )
    return made


def test_alone_it_lists_all_commands(capsys):
    assert menu.main([]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert listed == [*menu.COMMANDS, *menu.ALONE]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pdf", ["-m", "tools.pdf"]),
        ("epub", ["-m", "tools.epub"]),
        ("zip", ["-m", "tools.offline"]),
        ("execute", ["-m", "tools.execute"]),
        ("results", ["-m", "tools.experiments"]),
        ("refresh", ["-m", "tools.refresh"]),
        ("lab", ["-m", "tools.lab"]),
        ("data", ["-m", "aevb_utils.data"]),
        ("export", ["-m", "tools.export"]),
        ("course", ["-m", "tools.course", "course"]),
        ("grade", ["-m", "tools.course", "grade"]),
        ("gradescope", ["-m", "tools.course", "gradescope"]),
        ("project-check", ["-m", "tools.course", "project-check"]),
        ("course-public", ["-m", "tools.course", "course-public"]),
        ("test-course", ["-m", "pytest", "-n", "3", "--dist", "loadfile", "course/tests"]),
        ("repository", ["-m", "tools.repository"]),
        ("owner", ["-m", "tools.owner"]),
    ],
)
def test_a_command_is_run_by_the_environments_python(calls, name, line):
    assert menu.main([name]) == 0
    level = Level.SITE if name in ("pdf", "epub", "zip") else Level.WHOLE
    threads = {"OMP_NUM_THREADS": "1"} if "pytest" in line else {}
    assert calls == [level, ([Path("python"), *line], threads)]


def test_a_new_site_has_nothing_of_an_earlier_one(calls):
    assert menu.main(["book"]) == 0
    build = ["-c", menu.JUPYTER_BOOK, "build", ".", "-n", "-W", "--keep-going"]
    assert calls == [Level.SITE, *(([Path("python"), *line], {}) for line in (build, ["-m", "tools.downloads"]))]


def test_setup_installs_and_runs_nothing_and_says_what_is_next(calls, capsys):
    assert menu.main(["setup"]) == 0
    assert calls == [Level.WHOLE]
    said = capsys.readouterr().out
    assert "All that the book needs is in .venv. Next, " in said
    assert set(re.findall(r"python -m tools (\w+)", said)) <= {*menu.COMMANDS}
    assert all((ROOT / name).is_file() for name in re.findall(r"\S+\.md", said))


def test_the_readme_names_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `python -m tools ")]
    named = {name for row in rows for name in re.findall(r"`(?:python -m tools )?([a-z-]+)[^`]*`", row)}
    assert named | {"book", "test"} == {*menu.COMMANDS, *menu.ALONE}


def test_all_tests_are_run_on_one_thread(calls):
    assert menu.main(["test"]) == 0
    ((_, *line), environment) = calls[1]
    assert environment == {"OMP_NUM_THREADS": "1"}
    assert line[:2] == ["-m", "pytest"]
    assert line[line.index("tests") + 1 :] == [page.relative_to(ROOT).as_posix() for page in PAGES]


@pytest.mark.parametrize("text", ["-x", "--look", "x; touch run", "two\nlines", "$(touch run)", "é * ~"])
def test_arguments_are_passed_on_as_they_are(calls, text):
    assert menu.main(["execute", text, "another"]) == 0
    assert calls[1][0][-2:] == [text, "another"]


@pytest.mark.parametrize("arguments", [["no such"], ["--help"], ["book", "now"], ["clean", "all"], ["doctor", ""]])
def test_wrong_use_is_a_sentence_and_runs_nothing(calls, capsys, arguments):
    assert menu.main(arguments) == 2
    one_sentence(capsys.readouterr().err.removesuffix("\n"))
    assert calls == []


def test_the_first_failure_is_the_exit_status(monkeypatch, calls, capsys):
    statuses = [5, 0]
    monkeypatch.setattr(menu, "run", lambda *_: Ended(statuses.pop(0), False))
    assert menu.main(["lint"]) == 5
    assert statuses == [0]
    statuses[:] = [1]
    assert menu.main(["book"]) == 1
    assert "The book is built" not in capsys.readouterr().out
    statuses[:] = [0, 0]
    assert menu.main(["book"]) == 0
    assert re.search(r"The book is built, in \d+ seconds\. Open .*index\.html", capsys.readouterr().out)


def test_what_cannot_be_installed_is_a_sentence(monkeypatch, capsys):
    def refuse(level):
        raise InstallError("There is no room.")

    monkeypatch.setattr(menu, "ensure", refuse)
    assert menu.main(["test"]) == 1
    assert capsys.readouterr().err == "There is no room.\n"


def test_a_python_that_does_not_start_is_a_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(menu, "ensure", lambda level: tmp_path / "python")
    assert menu.main(["lint"]) == 1
    assert "python cannot be read, written or started: " in one_sentence(capsys.readouterr().err.removesuffix("\n"))


def test_the_launcher_needs_the_standard_library_alone():
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tools.menu import main; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("version", [(3, 6), (3, 8), (3, 10)])
def test_an_older_python_gets_a_sentence(monkeypatch, version):
    source = (ROOT / "tools" / "__main__.py").read_text(encoding="utf-8")
    code = compile(ast.parse(source, feature_version=version), "tools", "exec")
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    monkeypatch.setitem(sys.modules, "tools.menu", None)  # what an older Python could not read is not read
    with pytest.raises(SystemExit) as caught:
        exec(code, {"__name__": "__main__"})
    assert "needs Python 3.11 or later" in one_sentence(caught.value.code)


# Running a program

SLOW = """
import pathlib, sys, time
def stop(seconds):
    try:
        pathlib.Path("ready").touch()
        time.sleep(seconds)
    except KeyboardInterrupt:
        time.sleep(1)  # what it does before it ends
        pathlib.Path("tidy").touch()
        sys.exit(7)
stop(60)
"""
OUTER = f"""
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background would ignore it
sys.path.insert(0, {str(ROOT)!r})
from tools.processes import run
ended = run([sys.executable, "-c", {SLOW!r}], folder=pathlib.Path("."))
print(ended.status, ended.interrupted)
"""


def started(tmp_path) -> subprocess.Popen[str]:
    """A program that runs another one, in a group of its own, as a shell starts it."""
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER], cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.02)
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_is_waited_for(tmp_path):
    with started(tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate()[0].split() == ["7", "True"]
    assert (tmp_path / "tidy").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_termination_is_passed_on(tmp_path):
    with started(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate()[0].split() == [str(128 + signal.SIGTERM), "False"]


def test_the_exit_status_and_the_environment_are_the_programs(tmp_path):
    code = "import os, sys; sys.exit(int(os.environ['STATUS']))"
    assert run([sys.executable, "-c", code], {"STATUS": "9"}, tmp_path) == (9, False)


# Cleaning


def test_cleaning_keeps_environments_experiments_and_sources(tmp_path):
    kept = ["_build/experiments/run/a", "aevb_utils/a.py", ".venv/pyvenv.cfg", ".venv/lib/__pycache__/a", "README.md"]
    gone = ["_build/html/a", "_build/a", ".ruff_cache/a", ".pytest_cache/a", ".hypothesis/a", "tools/__pycache__/a"]
    gone += ["__pycache__/a", "tests/data/__pycache__/b"]
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert clean.main(tmp_path) == 0
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == sorted(kept)
    assert not (tmp_path / "_build" / "html").exists()
    assert clean.main(tmp_path) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_cleaning_follows_no_link(tmp_path):
    elsewhere, book = tmp_path / "elsewhere", tmp_path / "book"
    (elsewhere / "__pycache__").mkdir(parents=True)
    (book / "_build").mkdir(parents=True)
    (book / "_build" / "html").symlink_to(elsewhere)
    (book / "shared").symlink_to(elsewhere)
    assert clean.main(book) == 0
    assert (elsewhere / "__pycache__").is_dir()
    assert list((book / "_build").iterdir()) == []
