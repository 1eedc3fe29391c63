"""Stamping the authors' names: everywhere or nowhere, again and anew."""

import re
import shutil

import pytest
import yaml
from sentences import one_sentence

from aevb_utils.training.atomic_write import write_atomically
from tools import places
from tools.notebooks import ROOT
from tools.owner import authors, main, stamp

FILES = ("_config.yml", "CITATION.cff", "index.md", "LICENSE", "LICENSE-CC-BY-4.0")
NAMES = "Ada B. Näme; van der Other, Carl-O'Neil"


@pytest.fixture
def book(tmp_path):
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def contents(book):
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(book.iterdir())}


def test_the_names_are_written_everywhere(book):
    assert {path.name for path in stamp(NAMES, root=book)} == {*FILES}
    texts = contents(book)
    config = yaml.safe_load(texts["_config.yml"])
    assert config["author"] == "Ada B. Näme and Carl-O'Neil van der Other"
    assert config["sphinx"]["config"]["book_authors"] == ["Ada B. Näme", "Carl-O'Neil van der Other"]
    citation = yaml.safe_load(texts["CITATION.cff"])
    assert citation["authors"] == [
        {"family-names": "Näme", "given-names": "Ada B."},
        {"family-names": "van der Other", "given-names": "Carl-O'Neil"},
    ]
    assert citation["references"][0]["authors"] == [{"family-names": "Yang", "given-names": "Zhi-Han"}]
    assert "\n  author = {Näme, Ada B. and van der Other, Carl-O'Neil},\n" in texts["index.md"]
    for name in ("LICENSE", "LICENSE-CC-BY-4.0"):
        assert re.search(
            r"^Copyright \(c\) \d{4} Ada B. Näme and Carl-O'Neil van der Other$", texts[name], re.MULTILINE
        )
    assert not [name for name, text in texts.items() if "The authors of" in text]


def test_nothing_else_changes(book):
    before = contents(book)
    stamp(NAMES, root=book)
    for name, text in contents(book).items():
        old, new = before[name].splitlines(), text.splitlines()
        assert len(set(old) - set(new)) <= 2, name


def test_stamping_again_changes_nothing(book):
    stamp(NAMES, root=book)
    assert stamp(" Ada  B. Näme ;van der Other, Carl-O'Neil", root=book) == []


def test_other_names_replace_the_first(book):
    stamp(NAMES, root=book)
    stamp("Solo; Eve Last; Max Most", root=book)
    texts = contents(book)
    assert not [name for name, text in texts.items() if "Näme" in text or "van der" in text]
    assert yaml.safe_load(texts["_config.yml"])["author"] == "Solo, Eve Last and Max Most"
    assert yaml.safe_load(texts["CITATION.cff"])["authors"][0] == {"name": "Solo"}
    assert "author = {{Solo} and Last, Eve and Most, Max},\n" in texts["index.md"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Name", [("", "Name")]),
        ("A. Name", [("A.", "Name")]),
        ("de la Name, A. B.", [("A. B.", "de la Name")]),
        ("Ańa Ñame;李 明", [("Ańa", "Ñame"), ("李", "明")]),
    ],
)
def test_a_name_has_its_parts(text, parts):
    assert authors(text) == parts


MALFORMED = ["", ";", "A. Name;", "A. Name; ", "Name,", ", A.", "A, B, C", "A <b>", "A {B}", "A \\B", 'A "B"', "A\0B"]


@pytest.mark.parametrize("text", [*MALFORMED, "A. Name and B. Name", "A. Name; A. Name", "-", "a@b.org", "A. Name 2"])
def test_a_malformed_name_changes_nothing(book, text):
    before = contents(book)
    with pytest.raises(ValueError, match=r"Authors are|An author is") as caught:
        stamp(text, root=book)
    one_sentence(caught.value)
    assert contents(book) == before


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_stops_it_all(book, name):
    (book / name).unlink()
    before = contents(book)
    with pytest.raises(FileNotFoundError, match="is missing"):
        stamp(NAMES, root=book)
    assert contents(book) == before


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_a_place_for_the_names_stops_it_all(book, name):
    (book / name).write_text("empty\n", encoding="utf-8")
    before = contents(book)
    with pytest.raises(ValueError, match="one place"):
        stamp(NAMES, root=book)
    assert contents(book) == before


def test_a_disk_that_refuses_one_file_leaves_all_as_they_were(book, monkeypatch):
    before = contents(book)

    def refusing(path, content):
        if path.name == "LICENSE":
            raise OSError(28, "No space left on device", str(path))
        write_atomically(path, content)

    monkeypatch.setattr(places, "write_atomically", refusing)
    with pytest.raises(OSError, match="No space left"):
        stamp(NAMES, root=book)
    assert contents(book) == before


def test_the_command_ends_in_one_sentence(capsys):
    assert main(["A {B}"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("Nothing was changed. Authors are given like")
    assert shown.out == ""
