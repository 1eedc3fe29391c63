"""Offer on the site what there is to download: the book as PDF, EPUB and zip.

The files lie in ``downloads`` in the built site. :func:`offer` writes links to those that are there, and to no others,
into the pages: `make book` calls it after it has thrown away the files of an earlier build, and `make pdf`, `make epub`
and `make zip` call it after they have made theirs. The download menu of a notebook's page has the notebook's own PDF;
the first page has all, between the two comments that ``index.md`` holds.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

from tools.commands import command
from tools.environments import ROOT

SITE = ROOT / "_build" / "html"
FOLDER = "downloads"
FRONT = "index.html"
KINDS = {
    ".pdf": ("The whole book as PDF", "chapters and sections as bookmarks, links between chapters"),
    "-without-code.pdf": ("The book without its code, as PDF", "text, formulas, figures, and what the code printed"),
    ".epub": ("The book as EPUB", "for e-readers, with formulas that can be enlarged"),
    ".zip": ("This site as a zip file", "to read, and search, without a network: unpack it and open index.html"),
}
"""What the files of the whole book are, by the ends of their names; a notebook's own has the notebook's name."""

STARTS, ENDS = "<!-- downloads -->", "<!-- end of downloads -->"
PLACE = re.compile(f"{STARTS}.*?{ENDS}", re.DOTALL)
MENU = re.compile(
    r'(?P<menu><div class="dropdown dropdown-download-buttons">.*?<ul class="dropdown-menu">.*?)(?P<end>\s*</ul>)',
    re.DOTALL,
)
ENTRY = re.compile(r'<li class="aevb-download">.*?</li>\n?', re.DOTALL)


def offer(site: Path = SITE) -> None:
    """Let the pages of a built site offer the files that are there."""
    whole = dict(_of_the_whole_book(site))
    for page in (site / FRONT, *site.glob("book/*.html"), *site.glob("notebooks/*.html")):
        text = page.read_text(encoding="utf-8")
        offered = _with_offers(without_offers(text), page, site, whole)
        if offered != text:
            page.write_text(offered, encoding="utf-8")


def _with_offers(text: str, page: Path, site: Path, whole: dict[Path, tuple[str, str]]) -> str:
    own = site / FOLDER / f"{page.stem}.pdf"
    entries = [_entry(own, "This page as PDF")] if own.is_file() and own not in whole else []
    entries += [_entry(None, "The whole book")] if whole else []
    text = MENU.sub(lambda found: found["menu"] + "".join(entries) + found["end"], text, count=1)
    if page == site / FRONT and whole:
        text = PLACE.sub(lambda _: f"{STARTS}{_section(site, whole)}{ENDS}", text, count=1)
    return text


def without_offers(text: str) -> str:
    """A page that offers nothing to download."""
    return PLACE.sub(STARTS + ENDS, ENTRY.sub("", text))


def size_of(file: Path) -> str:
    """The size of a file, in words."""
    return f"{max(file.stat().st_size / 1e6, 0.1):.1f} MB"


def _of_the_whole_book(site: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """The files of the whole book that are there, and what they are."""
    pages = {page.stem for page in site.glob("notebooks/*.html")}
    files = [file for file in sorted((site / FOLDER).glob("*")) if file.stem not in pages]
    for ending, said in KINDS.items():
        for file in files:
            longer = [other for other in KINDS if len(other) > len(ending) and file.name.endswith(other)]
            if file.name.endswith(ending) and not longer:
                yield file, said


def _entry(file: Path | None, words: str) -> str:
    address = f"../{FOLDER}/{file.name}" if file else f"../{FRONT}#read-it-elsewhere"
    words = f"{words} ({size_of(file)})" if file else words
    return (
        f'<li class="aevb-download"><a href="{escape(address)}" class="btn btn-sm dropdown-item"'
        f'{" download" if file else ""}><span class="btn__icon-container"><i class="fas fa-download"></i></span>'
        f'<span class="btn__text-container">{escape(words)}</span></a></li>\n'
    )


def _section(site: Path, whole: dict[Path, tuple[str, str]]) -> str:
    lines = "".join(
        f'<li><p><a href="{FOLDER}/{escape(file.name)}" download>{escape(words)}</a> '
        f"({size_of(file)}): {escape(said)}.</p></li>\n"
        for file, (words, said) in whole.items()
    )
    own = any((site / FOLDER / f"{page.stem}.pdf").is_file() for page in site.glob("notebooks/*.html"))
    more = "<p>Each chapter is a PDF of its own, too: its page has it in the download menu on top.</p>\n" if own else ""
    return (
        '\n<section id="read-it-elsewhere">\n<h2>Read it elsewhere'
        '<a class="headerlink" href="#read-it-elsewhere" title="Link to this heading">#</a></h2>\n'
        f'<ul class="simple">\n{lines}</ul>\n{more}</section>\n'
    )


@command
def main(site: Path = SITE) -> int:
    """Throw away the files of an earlier build, which the pages then no longer offer."""
    shutil.rmtree(site / FOLDER, ignore_errors=True)
    offer(site)
    return 0


if __name__ == "__main__":
    sys.exit(main())
