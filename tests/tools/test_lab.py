"""``python -m tools.lab``: notebooks are trusted before JupyterLab opens them."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbformat.sign import NotebookNotary
from sentences import one_sentence

from tools import lab
from tools.notebooks import PAGES, ROOT


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A folder with two notebooks, for an account that has trusted none."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    folder = tmp_path / "notebooks"
    folder.mkdir()
    paths = [Path(shutil.copy(page, folder)) for page in PAGES[:2]]
    monkeypatch.setattr(lab, "NOTEBOOKS", folder)
    return paths


def test_notebooks_are_trusted_until_they_change(notebooks):
    assert lab.untrusted(notebooks, NotebookNotary()) == notebooks
    assert lab.main(["--trust"]) == 0
    assert lab.untrusted(notebooks, NotebookNotary()) == []
    text = notebooks[0].read_text(encoding="utf-8")
    notebooks[0].write_text(text.replace("import", "import ", 1), encoding="utf-8")
    assert lab.untrusted(notebooks, NotebookNotary()) == notebooks[:1]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b'{"nbformat": "x", "cells": 3}', None])
def test_one_that_cannot_be_read_is_a_sentence_and_the_others_are_trusted(notebooks, capsys, content):
    bad = lab.NOTEBOOKS / "00_bad.ipynb"
    bad.mkdir() if content is None else bad.write_bytes(content)
    assert lab.main(["--trust"]) == 1
    assert "00_bad.ipynb" in one_sentence(capsys.readouterr().err.removesuffix("\n"))
    assert lab.untrusted(notebooks, NotebookNotary()) == []


def test_jupyterlab_starts_with_the_notebooks_whatever_lies_there(notebooks, monkeypatch, capsys):
    (lab.NOTEBOOKS / "bad.ipynb").write_text("{", encoding="utf-8")
    started = []
    app = SimpleNamespace(LabApp=SimpleNamespace(launch_instance=started.append))
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", app)
    assert lab.main([]) == 0
    assert started == [[f"--notebook-dir={lab.NOTEBOOKS}"]]
    assert lab.untrusted(notebooks, NotebookNotary()) == []


def test_wrong_use_is_a_sentence(capsys):
    assert lab.main(["--help"]) == 2
    one_sentence(capsys.readouterr().err.removesuffix("\n"))


def test_binder_trusts_them_too():
    script = ROOT / ".binder" / "postBuild"
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "python -m tools.lab --trust"
    assert os.name == "nt" or os.access(script, os.X_OK)
