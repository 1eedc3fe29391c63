"""Stamping the repository's address: everywhere or nowhere, again and anew."""

import re
import shutil
import subprocess

import nbformat
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import one_sentence
from systems import needs_links

from aevb_utils.training.atomic_write import write_atomically
from tools import places
from tools.notebooks import SETUP_CELL, read
from tools.repository import _check_branch, main, site_address, stamp

URL = "https://github.com/someone/em-to-aevb"
CONFIG = 'title: A book\n\nrepository:\n  url: ""\n  branch: main\n\nhtml:\n  baseurl: ""\n'
README = "# A book\n\n<!-- badges:start -->\n<!-- badges:end -->\n\nText.\n"
CITATION = 'cff-version: 1.2.0\ntitle: "A book"\n'


@pytest.fixture
def book(tmp_path):
    (tmp_path / "_config.yml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    (tmp_path / "CITATION.cff").write_text(CITATION, encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    for name in ("01_one.ipynb", "02_two.ipynb", "a_page.ipynb"):
        cells = [
            nbformat.v4.new_markdown_cell("# ½ a title", id="title"),
            nbformat.v4.new_code_cell(SETUP_CELL, id="setup", metadata={"tags": ["setup"]}),
            nbformat.v4.new_code_cell('REPOSITORY_LIKE = "kept"', id="code"),
        ]
        notebook = nbformat.v4.new_notebook(cells=cells)
        (tmp_path / "notebooks" / name).write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return tmp_path


def contents(book):
    return {path: path.read_bytes() for path in sorted(book.rglob("*")) if path.is_file()}


def test_the_address_is_written_everywhere(book):
    changed = stamp(URL, branch="trunk", root=book)
    assert {path.name for path in changed} == {
        "_config.yml",
        "README.md",
        "CITATION.cff",
        "01_one.ipynb",
        "02_two.ipynb",
        "a_page.ipynb",
    }
    assert f'repository:\n  url: "{URL}"\n  branch: "trunk"\n' in (book / "_config.yml").read_text(encoding="utf-8")
    assert f"repository-code: {URL}\n" in (book / "CITATION.cff").read_text(encoding="utf-8")
    assert '  baseurl: "https://someone.github.io/em-to-aevb/"\n' in (book / "_config.yml").read_text(encoding="utf-8")
    readme = (book / "README.md").read_text(encoding="utf-8")
    assert "(https://someone.github.io/em-to-aevb/)" in readme
    assert "https://colab.research.google.com/github/someone/em-to-aevb/tree/trunk/notebooks" in readme
    assert "https://mybinder.org/v2/gh/someone/em-to-aevb/trunk?urlpath=lab/tree/notebooks" in readme
    assert readme.startswith("# A book\n")
    assert readme.endswith("\n\nText.\n")
    for name in ("01_one.ipynb", "02_two.ipynb", "a_page.ipynb"):
        cells = read(book / "notebooks" / name).cells
        assert f'\nREPOSITORY = "{URL}@trunk"  # ' in cells[1].source
        assert cells[1].source.replace(f"{URL}@trunk", "") == SETUP_CELL
        assert cells[2].source == 'REPOSITORY_LIKE = "kept"'


def test_stamping_again_changes_nothing(book):
    stamp(URL, root=book)
    before = contents(book)
    assert stamp(f"{URL}.git", root=book) == []
    assert stamp(f"{URL}/", root=book) == []
    assert contents(book) == before


def test_another_address_replaces_the_first(book):
    stamp(URL, branch="trunk", root=book)
    stamp("https://github.com/other/place", root=book)
    after = contents(book)
    assert not [path.name for path, data in after.items() if b"em-to-aevb" in data or b"trunk" in data]
    assert all(b"https://github.com/other/place" in data for data in after.values())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/owner/name",
        "http://github.com/owner/name",
        "https://gitlab.com/owner/name",
        "https://github.com/owner",
        "https://github.com/owner/name/tree/main",
        "https://github.com/owner/na me",
        'https://github.com/owner/name"',
        "https://github.com/-owner/name",
        "https://github.com/owner/..",
        "https://github.com/owner/.git",
        "https://github.com/owner/name.git.git",
        "https://github.com/owner/nâme",
    ],
)
def test_a_malformed_address_changes_nothing(book, url):
    before = contents(book)
    with pytest.raises(ValueError, match=re.escape("must look like https://github.com/owner/name")):
        stamp(url, root=book)
    assert contents(book) == before


@pytest.mark.parametrize(
    ("owner", "name", "address"),
    [
        ("someone", "em-to-aevb", "https://someone.github.io/em-to-aevb/"),
        ("Some-One", "Book", "https://some-one.github.io/Book/"),
        ("Someone", "Someone.github.io", "https://someone.github.io/"),
    ],
)
def test_the_site_is_where_github_shows_it(owner, name, address):
    assert site_address(owner, name) == address


STRANGE = ["", "my branch", "a#b", "a(b)", "a~1", "a:b", 'a"b', "a$(b)", "a\n", "a@{1}", "@"]
REFUSED = ["HEAD", "-x", "../..", "a..b", "x.lock", "a/b.lock/c", ".a", "a/.b", "/a", "a/", "a//b", "a."]


@pytest.mark.parametrize("branch", [*STRANGE, *REFUSED])
def test_a_malformed_branch_changes_nothing(book, branch):
    before = contents(book)
    with pytest.raises(ValueError, match=r"A branch is named by|git has no branch named") as caught:
        stamp(URL, branch=branch, root=book)
    one_sentence(caught.value)
    assert contents(book) == before


@pytest.mark.parametrize("branch", ["1.0", "2.10", "true", "on", "null", "2024-01-01", "1e3", "0x1f", "_", "a/b", "é"])
def test_a_branch_stays_text_in_the_settings(book, branch):
    stamp(URL, branch=branch, root=book)
    text = (book / "_config.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["repository"] == {"url": URL, "branch": branch}
    assert f'REPOSITORY = "{URL}@{branch}"' in read(book / "notebooks" / "01_one.ipynb").cells[1].source
    assert stamp(URL, branch=branch, root=book) == []


PIECES = st.sampled_from(["a", "B", "1", ".", "..", "/", "-", "_", ".lock", "lock", "HEAD", "main", "é"])


@pytest.mark.skipif(shutil.which("git") is None, reason="There is no git.")
@settings(max_examples=40)
@given(st.lists(PIECES, min_size=1, max_size=4).map("".join))
def test_a_branch_is_taken_where_git_takes_it(branch):
    git = subprocess.run(["git", "check-ref-format", "--branch", branch], capture_output=True, check=False)
    try:
        _check_branch(branch)
    except ValueError:
        assert git.returncode != 0, f"git takes {branch!r}"
    else:
        assert git.returncode == 0, f"git does not take {branch!r}"


def break_readme(book):
    (book / "README.md").write_text("# A book\n", encoding="utf-8")


def break_config(book):
    (book / "_config.yml").write_text("title: A book\n", encoding="utf-8")


def break_notebook(book):
    path = book / "notebooks" / "02_two.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("REPOSITORY = ", "ADDRESS = "), encoding="utf-8")


def untag_notebook(book):
    path = book / "notebooks" / "02_two.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace('"setup"\n', '"other"\n'), encoding="utf-8")


def remove_citation(book):
    (book / "CITATION.cff").unlink()


@pytest.mark.parametrize("damage", [break_readme, break_config, break_notebook, untag_notebook, remove_citation])
def test_a_file_without_a_place_for_the_address_stops_it_all(book, damage):
    damage(book)
    before = contents(book)
    with pytest.raises((ValueError, FileNotFoundError), match=r"one place|one cell|is missing"):
        stamp(URL, root=book)
    assert contents(book) == before


def test_a_disk_that_refuses_one_file_leaves_all_as_they_were(book, monkeypatch):
    before = contents(book)

    def refusing(path, content):
        if path.name == "02_two.ipynb":
            raise OSError(28, "No space left on device", str(path))
        write_atomically(path, content)

    monkeypatch.setattr(places, "write_atomically", refusing)
    with pytest.raises(OSError, match="No space left"):
        stamp(URL, root=book)
    assert contents(book) == before


@needs_links
def test_nothing_that_lies_beside_a_file_is_written(book, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "precious"
    outside.write_text("kept", encoding="utf-8")
    for name in (
        "_config.yml.partial",
        "_config.partial",
        "notebooks/01_one.ipynb.partial",
        "notebooks/01_one.partial",
    ):
        (book / name).symlink_to(outside)
    stamp(URL, root=book)
    assert outside.read_text(encoding="utf-8") == "kept"
    assert (book / "_config.yml.partial").is_symlink()


def test_the_command_ends_in_one_sentence(capsys):
    assert main(["https://example.org/x"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("Nothing was changed. The repository's address must look like")
    assert shown.out == ""
