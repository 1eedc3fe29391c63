"""The bibliography: every entry is whole, in one form, in its place, and cited."""

import json
import re
from pathlib import Path

import pytest
from pybtex.database import Entry, parse_string

from tools.notebooks import ROOT

TEXT = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
SOURCES = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "book").glob("*.md"), ROOT / "index.md"])
KEY = re.compile(r"[a-z]+(\d{4})[a-z]+")
ARXIV = re.compile(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}")
NEURIPS = "Advances in Neural Information Processing Systems"
PMLR = "Proceedings of Machine Learning Research"


def faults(key: str, entry: Entry) -> list[str]:
    """What an entry lacks, or has in another form than the rest. What could not be checked is said in ``annote``."""
    has, why = dict(entry.fields), entry.fields.get("annote", "")
    linked = bool({"doi", "eprint", "url"} & set(has))
    arxiv = ("eprint" in has, has.get("archiveprefix") == "arXiv", "arxiv" in has.get("url", "").lower())
    volume, pages = "volume" in has, "pages" in has
    found = {
        "no author": not entry.persons.get("author"),
        "no title": not has.get("title"),
        "the key's year": not (match := KEY.fullmatch(key)) or match[1] != has.get("year"),
        "a link or a reason": linked == why.startswith("No link"),
        "arXiv is eprint and archiveprefix": arxiv not in [(False, False, False), (True, True, False)]
        or not ARXIV.fullmatch(has.get("eprint", "0000.00000")),
        "a doi without its address": not re.fullmatch(r"10\.\d+/\S+", has.get("doi", "10.1/x")),
        "pages are first--last": not re.fullmatch(r"\d+--\d+", has.get("pages", "1--2")),
        "a note": "note" in has,
        "an article has a volume": entry.type == "article" and not volume and "no volume" not in why,
        "NeurIPS has a volume and no pages": has.get("booktitle") == NEURIPS and (pages or not volume),
        "PMLR has a volume and pages": has.get("series") == PMLR and not (pages and volume),
        "a $ is printed as it stands": any("$" in value for value in has.values()),
    }
    return [name for name, wrong in found.items() if wrong]


def cited_by(source: Path) -> set[str]:
    """The keys that a notebook or a page cites in its text."""
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    roles = re.findall(r"\{cite:\w+\}`([^`]+)`", text)
    keys = {key.strip() for role in roles for key in role.split(",")}
    return keys | set(re.findall(r'\(#References "([^"]+)"\)', text))


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    return dict(parse_string(TEXT, "bibtex").entries)


def test_every_entry_is_whole_and_in_one_form(entries):
    wrong = {key: found for key, entry in entries.items() if (found := faults(key, entry))}
    assert not wrong


def test_the_keys_are_in_order(entries):
    assert list(entries) == sorted(entries)
    assert TEXT.count("\n@") == len(entries)


def test_every_entry_is_cited_and_every_citation_has_an_entry(entries):
    cited = set().union(*map(cited_by, SOURCES))
    assert sorted(set(entries) - cited) == [], "cited nowhere"
    assert sorted(cited - set(entries)) == [], "cited, and not in references.bib"


WHOLE = """@article{bayes1763essay,
  author = {Bayes, Thomas}, title = {An Essay}, journal = {Transactions}, volume = {53}, pages = {370--418},
  year = {1763}, doi = {10.1098/rstl.1763.0053},
}
"""


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("volume = {53}", "volume = {53}", ""),
        ("author = {Bayes, Thomas},", "", "no author"),
        ("year = {1763}", "year = {1764}", "the key's year"),
        ("doi = {10.1098/rstl.1763.0053}", "", "a link or a reason"),
        ("doi = {10.1098/rstl.1763.0053}", "annote = {No link: printed.}", ""),
        ("year =", "annote = {No link: printed.}, year =", "a link or a reason"),
        ("doi = {10.1098/", "doi = {https://doi.org/10.1098/", "a doi without its address"),
        ("doi =", "url = {https://arxiv.org/abs/1312.6114}, doi =", "arXiv is eprint and archiveprefix"),
        ("doi =", "eprint = {1312.6114}, doi =", "arXiv is eprint and archiveprefix"),
        ("doi =", "eprint = {1312.6114}, archiveprefix = {arXiv}, doi =", ""),
        ("doi =", "note = {arXiv:1312.6114}, doi =", "a note"),
        ("370--418", "370-418", "pages are first--last"),
        ("volume = {53},", "", "an article has a volume"),
        ("journal =", f"booktitle = {{{NEURIPS}}}, journal =", "NeurIPS has a volume and no pages"),
        ("pages = {370--418}", f"series = {{{PMLR}}}", "PMLR has a volume and pages"),
        ("An Essay", "$n$ Essays", "a $ is printed as it stands"),
    ],
)
def test_faults_are_found(before, after, fault):
    [(key, entry)] = parse_string(WHOLE.replace(before, after), "bibtex").entries.items()
    assert faults(key, entry) == [fault] * bool(fault)
