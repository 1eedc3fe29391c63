"""How long a chapter takes to read, by one rule: ``python -m tools.road`` prints what it is made of.

The *main line* of a notebook is what a reader meets without opening anything: its Markdown outside of folded parts, and
the code cells that are shown. Left out are cells tagged as in ``OFF_THE_ROAD``, the section "Exercises", and what
stands between ``<details>`` and ``</details>``. Counted are

- words: of prose, headings, tables and captions; a formula within a line is one word, a link its words;
- formulas: displayed ones, a block of several lines once for each line, since each is a step;
- lines of code that hold code, docstrings included, and neither blank lines nor comments;
- figures: cells whose metadata has a figure, and calls of ``viewer``, whether or not their code is folded.

A word takes 60/200 s: adults read English prose at about 240 words a minute (Brysbaert, Journal of Memory and Language
109, 2019), and learn from technical text at 150 to 250. The other times are rules of thumb.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from nbformat import NotebookNode

from aevb_utils.results.json_files import BrokenFileError
from tools.commands import command
from tools.notebooks import CHAPTERS, PAGES, read, tags

SECONDS = {"words": 60 / 200, "formulas": 30.0, "code_lines": 3.0, "figures": 20.0}
SHORT_ROAD = 75  # minutes that it may take at most

EXERCISES = "Exercises"
FOLDED = frozenset({"folded", "hide-input", "aside"})
OFF_THE_ROAD = frozenset({"setup", "live", "exercise", "hint", "check", "solution", "references"})

HEADING = re.compile(r"(#{1,6}) +(.*?)\s*")
DETAILS = re.compile(r"<details>(.*?)</details>", re.DOTALL)
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
STEP = re.compile(r"\\\\")
INLINE = re.compile(r"(?<![\\$])\$[^$\n]+(?:\n[^$\n]+)?\$")
LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*(?:\([^()]*\))?[^()]*\)")
INNER = re.compile(r"\\begin\{([bpvV]?matrix|cases|array|substack)\}.*?\\end\{\1\}", re.DOTALL)
WORD = re.compile(r"\w+(?:['’.,:-]\w+)*")
READING = re.compile(r"(\*\*Reading(?: time)?:\*\*) (?:about )?\d+ minutes")
ROAD = re.compile(r"(?P<road>\*\*The short road:\*\*(?P<links>(?:[^\n]|\n(?!\n))*?)): about [^\n.]*\.")
TARGET = re.compile(r"\]\(#([^()\s]*)\)")
MARK = "**The short road:**"


@dataclass(frozen=True)
class Road:
    """What there is to read in a part of a notebook."""

    words: int = 0
    folded_words: int = 0
    code_lines: int = 0
    folded_lines: int = 0
    formulas: int = 0
    numbered: int = 0
    figures: int = 0

    def __add__(self, other: "Road") -> "Road":
        return Road(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def minutes(self) -> int:
        """The time that it takes to read, in minutes, to the nearest five, at least five."""
        return max(5, 5 * round(sum(getattr(self, name) * each for name, each in SECONDS.items()) / 300))


@dataclass(frozen=True)
class Part:
    """A cell, or a piece of a Markdown cell between headings, and the headings it stands below, outermost first."""

    cell: NotebookNode
    text: str
    below: tuple[tuple[int, str], ...]  # levels and anchors


def parts(notebook: NotebookNode) -> Iterator[Part]:
    """The parts of a notebook, in order."""
    below: tuple[tuple[int, str], ...] = ()
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            yield Part(cell, cell.source, below)
            continue
        piece: list[str] = []
        for line in cell.source.split("\n"):
            if heading := HEADING.fullmatch(line):
                yield Part(cell, "\n".join(piece), below)
                piece, level = [], len(heading[1])
                below = (*(above for above in below if above[0] < level), (level, anchor(heading[2])))
            piece.append(line)
        yield Part(cell, "\n".join(piece), below)


def anchor(heading: str) -> str:
    """A heading as links in a notebook name it, with hyphens for spaces."""
    return heading.replace(" ", "-")


def measure(notebook: NotebookNode, sections: Sequence[str] | None = None) -> Road:
    """What there is to read in a notebook, or in some sections of it, each with its subsections.

    Args:
        notebook: as :func:`tools.notebooks.read` gives it.
        sections: the sections' anchors; all that is not an exercise, if there is no list.
    """
    road = Road()
    for part in parts(notebook):
        anchors = {name for _, name in part.below}
        if (2, EXERCISES) not in part.below and (sections is None or anchors & {*sections}):
            road += _measure(part)
    return road


def _measure(part: Part) -> Road:
    """What there is to read in a part."""
    named = tags(part.cell)
    if named & OFF_THE_ROAD:
        return Road()
    if part.cell.cell_type == "code":
        lines = sum(bool(line.strip()) and not line.strip().startswith("#") for line in part.text.split("\n"))
        drawn = "figure" in part.cell.metadata.get("mystnb", {}) or re.search(r"(?<!def )\bviewer\(", part.text)
        return Road(**{"folded_lines" if named & FOLDED else "code_lines": lines}, figures=bool(drawn))
    folded = "\n".join([part.text] if named & FOLDED else DETAILS.findall(part.text))
    shown = "" if named & FOLDED else DETAILS.sub("", part.text)
    formulas = DISPLAY.findall(shown)
    return Road(
        words=_words(shown),
        folded_words=_words(folded),
        formulas=sum(len(STEP.findall(INNER.sub("", formula))) + 1 for formula in formulas),
        numbered=sum(formula.count(r"\tag{") for formula in formulas),
    )


def _words(text: str) -> int:
    """The number of words in some Markdown."""
    text = INLINE.sub(" formula ", DISPLAY.sub(" ", text))
    return len(WORD.findall(re.sub(r"</?\w[^<>]*>", " ", LINK.sub(r"\1", text))))


# What follows from it


def fill_times(notebook: NotebookNode, name: str) -> None:
    """Write the reading time, and that of the short road if there is one, into a notebook's first cell, in place.

    Raises:
        BrokenFileError: the line of the short road has another form, or leads to no section of the notebook.
    """
    if not notebook.cells:
        return
    first = notebook.cells[0]
    first.source = READING.sub(r"\1 about 0 minutes", first.source)  # so that it counts as it will in the end
    if MARK in first.source:
        minutes = measure(notebook, short_road(notebook, name)).minutes
        first.source = ROAD.sub(rf"\g<road>: about {minutes} minutes.", first.source)
    first.source = READING.sub(rf"\1 about {measure(notebook).minutes} minutes", first.source)


def short_road(notebook: NotebookNode, name: str) -> list[str]:
    """The anchors of the sections on a notebook's short road; none, if it has no such line.

    Raises:
        BrokenFileError: the line has another form, or leads to no section of the notebook.
    """
    source = notebook.cells[0].source
    if MARK not in source:
        return []
    found = ROAD.search(source)
    sections = TARGET.findall(found["links"]) if found else []
    if not sections:
        raise BrokenFileError(
            f"{name} has a short road that names no sections: write it like '{MARK} [One change](#One-change), "
            "[Two gaps](#Two-gaps): about 60 minutes.', and make export sets the minutes."
        )
    there = {anchor for part in parts(notebook) for _, anchor in part.below}
    if unknown := [section for section in sections if section not in there]:
        raise BrokenFileError(f"{name} has a short road to {unknown[0]!r}, which is no heading of it: mend the link.")
    return sections


def fill_table(text: str, page: str, minutes: Mapping[str, int]) -> str:
    """A page with the reading times of chapters, by their file names, in its table's rows.

    Args:
        text: the page.
        page: what an error calls it.
        minutes: for each file name of a chapter.

    Raises:
        BrokenFileError: a chapter has no row.
    """
    for name, time in minutes.items():
        row = re.compile(rf"^(\|.*/?notebooks/{re.escape(name)}\).*\| )\d+ min / (?=[^|]*\|$)", re.MULTILINE)
        text, count = row.subn(rf"\g<1>{time} min / ", text)
        if count != 1:
            raise BrokenFileError(
                f"{page} has {count} rows for {name} in its table: give it one, with '50 min / 2 min'."
            )
    return text


def tables(pages: Sequence[Path], chapters: Sequence[Path]) -> dict[Path, str]:
    """What pages with a table of chapters should hold.

    Raises:
        BrokenFileError: a chapter has no row in one of them, or is itself broken.
    """
    minutes = {path.name: measure(read(path)).minutes for path in chapters}
    return {page: fill_table(page.read_text(encoding="utf-8"), page.name, minutes) for page in pages}


@command
def main() -> int:
    """Print what there is to read in every notebook, and how long it takes."""
    heads = ("words", "folded", "code", "folded", "formulas", "numbered", "figures", "minutes")
    print(" " * 28 + "".join(f"{head:>10}" for head in heads))
    for path in (*PAGES, *CHAPTERS):
        road = measure(read(path))
        print(f"{path.stem:28}" + "".join(f"{count:10}" for count in (*astuple(road), road.minutes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
