"""The doctor: what is here, what is missing and how to get it, in a text that names no person."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import browser, doctor, findings, torch_wheel
from tools.install import Environment, Level
from tools.notebooks import ROOT

FILES = ("requirements.txt", "requirements.lock", "requirements-site.lock", "pyproject.toml")


@pytest.fixture
def book(tmp_path, monkeypatch) -> Path:
    """A copy of what an environment is made of, in a home folder."""
    for name in doctor.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "home" / "anna" / "book"
    root.mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, root)
    monkeypatch.setattr(Path, "home", lambda: root.parent)
    return root


def installed(book: Path, *levels: Level) -> None:
    """Make an environment look as if some levels were installed."""
    environment = Environment(book)
    environment.python.parent.mkdir(parents=True)
    environment.python.touch()
    (environment.folder / "pyvenv.cfg").write_text(f"home = {book.as_posix()}\n", encoding="utf-8")
    made_of = {level.value: environment.made_of(level) for level in levels}
    environment.note(made_of | {"folder": str(environment.folder.resolve()), "torch_index": ""})


def told(capsys) -> dict[str, str]:
    """What was found, by what was looked at; the lines on one thing together."""
    found: dict[str, str] = {}
    for line in capsys.readouterr().out.splitlines():
        name, said = re.match(r"(device, data|\S+) +(.*)", line).groups()
        found[name] = f"{found[name]}\n{said}" if name in found else said
    return found


def test_where_nothing_is_installed_it_says_how(book, capsys):
    assert doctor.main(book) == 1
    found = told(capsys)
    assert "is missing: python -m tools setup makes it" in found["environment"]
    assert found["packages"] == "none"
    assert "python -m tools setup" in found["device, data"]
    assert {"system", "python", "browser", "disk"} <= {*found}


def test_the_site_is_enough_to_read(book, capsys):
    installed(book, Level.SITE)
    assert doctor.main(book) == 0
    assert "what building the site needs; python -m tools setup installs the rest" in told(capsys)["environment"]


def test_where_there_is_no_torch_it_says_what_works(book, capsys, monkeypatch):
    installed(book, Level.SITE)
    monkeypatch.setattr(torch_wheel, "why_none", lambda root: "There is no torch: use Colab.")
    assert doctor.main(book) == 0
    assert told(capsys)["environment"].endswith("There is no torch: use Colab.")


def test_an_older_lock_is_told(book, capsys):
    installed(book, Level.SITE)
    (book / "requirements-site.lock").write_text("", encoding="utf-8")
    assert doctor.main(book) == 1
    assert "is of older requirements" in told(capsys)["environment"]


def test_what_the_environment_says_is_told(book, capsys, monkeypatch):
    installed(book, *Level)
    said = {"device": "CPU with 2 threads", "data": ["MNIST: 11 MB", "Bach: 0"], "notebooks": 15, "trusted": 3}
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, json.dumps(said), ""))
    assert doctor.main(book) == 0
    found = told(capsys)
    assert found["environment"] == f"{Path('~/book/.venv')}: all that the book needs"
    assert found["device"] == "CPU with 2 threads"
    assert found["data"] == "MNIST: 11 MB\nBach: 0"
    assert found["notebooks"] == "3 of 15 are trusted by JupyterLab: python -m tools lab trusts them all"
    said["trusted"] = 15
    doctor.main(book)
    assert told(capsys)["notebooks"] == "15 of 15 are trusted by JupyterLab"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (subprocess.CompletedProcess([], 1, "", "Traceback\nImportError: no torch\n"), "fails (ImportError: no torch)"),
        (subprocess.CompletedProcess([], 1, "", ""), "fails (it says nothing)"),
        (subprocess.TimeoutExpired("python", 1), "has not answered"),
    ],
)
def test_an_environment_that_fails_is_told_and_the_rest_too(book, capsys, monkeypatch, answer, says):
    def run(*_, **__):
        if isinstance(answer, Exception):
            raise answer
        return answer

    installed(book, *Level)
    monkeypatch.setattr(subprocess, "run", run)
    assert doctor.main(book) == 0
    found = told(capsys)
    assert says in found["device, data"]
    assert "disk" in found


def test_no_path_names_the_home_folder(book, capsys, monkeypatch):
    monkeypatch.setenv("AEVB_DATA_DIR", str(book / "data"))
    monkeypatch.setattr(sys, "executable", str(book.parent / "python"))
    installed(book, Level.SITE)
    doctor.main(book)
    printed = capsys.readouterr().out
    assert "anna" not in printed
    assert str(Path("~/book/data")) in printed


def test_a_python_newer_than_the_locks_is_told(monkeypatch):
    assert "newer" not in doctor.python()[1]
    monkeypatch.setattr(doctor, "NEWEST", (3, 10))
    assert "newer than the book is made for: take 3.11 to 3.10" in doctor.python()[1]


def test_little_room_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, int(1.2e9)))
    assert doctor.disk(tmp_path)[1] == "1 GB free: the book needs about 3"


def test_a_wrong_variable_is_a_sentence(book, capsys, monkeypatch):
    installed(book, *Level)
    monkeypatch.setenv("TORCH_INDEX", "cuda")
    assert doctor.main(book) == 1
    assert "TORCH_INDEX should be the address" in capsys.readouterr().err


def test_the_environments_own_answers_are_json(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("AEVB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("AEVB_DATA_DIR", raising=False)
    monkeypatch.setattr(findings, "NOTEBOOKS", tmp_path)
    shutil.copy(ROOT / "notebooks" / "your_model_template.ipynb", tmp_path)
    assert findings.main() == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["notebooks"], said["trusted"], len(said["data"])) == (1, 0, 3)
    assert "threads" in said["device"]


# The browser


@pytest.fixture(autouse=True)
def no_browser_is_named(monkeypatch):
    monkeypatch.delenv("CHROME", raising=False)


def test_a_browser_that_is_named_comes_first(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "none" else f"/bin/{name}")
    monkeypatch.setenv("CHROME", "thorium")
    assert browser.find_browser() == "/bin/thorium"
    monkeypatch.setenv("CHROME", "none")
    assert browser.find_browser() is None


def test_a_browser_on_the_path_is_found(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "google-chrome" else None)
    assert browser.find_browser() == "/bin/google-chrome"


def test_a_browser_in_its_usual_place_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("ProgramFiles", str(tmp_path))
    place = tmp_path / "chrome.exe"
    monkeypatch.setattr(browser, "PLACES", {sys.platform: (str(tmp_path / "none"), "$ProgramFiles/chrome.exe")})
    assert browser.find_browser() is None
    place.touch()
    assert Path(browser.find_browser()) == place
