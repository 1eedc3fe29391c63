"""What the tests with other versions run: which versions, which tests, and what is said where that cannot be."""

import shutil
import subprocess

import pytest

from tools import versions


@pytest.mark.parametrize("name", versions.VERSIONS)
def test_an_environment_of_its_own_is_made_and_its_python_runs_the_tests(name):
    make, choose, libraries, package, tests = versions.commands(name, [])
    folder = f"_build/versions/{name}"
    assert make[-1] == folder
    assert choose[choose.index("--output-file") + 1] == libraries[libraries.index("--requirements") + 1]
    assert package[-2:] == ["--editable", "."]
    assert tests[0].startswith(folder)
    assert tests[-len(versions.PACKAGE) :] == list(versions.PACKAGE)
    for command in (make, choose):
        assert versions.VERSIONS[name].python in command


def test_what_is_named_is_run_instead():
    assert versions.commands("lowest", ["notebooks", "-x"])[-1][-2:] == ["notebooks", "-x"]


def test_the_small_torch_unless_told_otherwise():
    assert ["--torch-backend" in command for command in versions.commands("newest", [])] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert not any("--torch-backend" in command for command in versions.commands("newest", [], torch_index=""))


def test_the_first_command_that_fails_is_the_last(monkeypatch):
    ran = []

    def run(command, **options):
        ran.append(command[:3])
        return subprocess.CompletedProcess(command, len(ran) - 1)

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", run)
    assert versions.main(["colab"]) == 1
    assert ran == [["uv", "venv", "--quiet"], ["uv", "pip", "compile"]]


def test_unknown_versions_and_a_missing_uv_are_said(monkeypatch, capsys):
    assert versions.main([]) == versions.main(["oldest"]) == 2
    assert "There are no versions 'oldest': name lowest, colab, newest." in capsys.readouterr().err
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert versions.main(["colab"]) == 1
    assert "pip install uv" in capsys.readouterr().err
