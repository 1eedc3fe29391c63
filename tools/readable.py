"""What every front end shows of a notebook, made from what its author keeps in one place.

JupyterLab, Colab and VS Code know no roles and no captions in metadata. So a notebook holds them as plain Markdown, and
``make export`` fills in what follows from the rest:

- the words of a citation, from its key: ``[](#References "wu1983convergence")`` becomes ``[Wu (1983)](#References …)``,
  and ``[Wu, 1983]`` where nothing but citations stands in the parentheses around it;
- the list of references at the end, in a cell tagged ``references``;
- the number of a figure, in the cell tagged ``caption`` below it: ``**Fig.** See …`` becomes ``**Fig. 2.3.** See …``;
- what folds cells tagged ``solution``, ``setup`` or ``folded``: metadata for JupyterLab, a title for Colab, which the
  author of a ``folded`` cell has written: ``# @title How the figure is drawn``;
- the time that it takes to read, in the first cell, see ``tools/road.py``;
- script and data of the figures that compute, in the outputs that hold them, see ``tools/figure_outputs.py``.

The site turns them back into its own, see ``book/extensions/site_notebooks.py``.
"""

import re
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from pybtex.database import Entry, parse_file
from pybtex.plugin import find_plugin

from aevb_utils.results.json_files import BrokenFileError
from tools.environments import ROOT
from tools.figure_outputs import draw_anew
from tools.notebooks import tags, where
from tools.road import fill_times

BIBLIOGRAPHY = ROOT / "book" / "references.bib"
HEADING = "## References"
CITATION = re.compile(r'\[(?P<words>[^\[\]]*)\]\(#References "(?P<key>[^"]*)"\)')
NUMBER = re.compile(r"\A\*\*Fig\.(?: [A-Z\d.]+)?\*\*\s*")
LETTER = re.compile(r"\\tag\{([A-Z])\.1\}")
EXERCISE = re.compile(r"### Exercise (\d+\.\d+) ")
TITLE = re.compile(r"\A# @title (\S[^\n]*)\n")
NEEDLESS = re.compile(r"\\([^\w\s*_`\[\]\\])")
"""A character that needs no backslash within a line of Markdown, behind one."""
FOLDED = {
    "solution": {"outputs_hidden": True, "source_hidden": True},
    "setup": {"source_hidden": True},
    "folded": {"source_hidden": True},
}
"""What JupyterLab folds of a cell with a tag."""


def make_readable(notebook: NotebookNode, path: Path) -> None:
    """Fill in a notebook's citations, references, numbers of figures, folded cells and reading time, in place.

    Args:
        notebook: as :func:`tools.notebooks.read` gives it.
        path: its file, whose name tells the chapter.

    Raises:
        BrokenFileError: a citation's key is not in the bibliography, a caption stands below no figure, a folded cell
            has no title, or the short road leads nowhere.
    """
    _number_captions(notebook, path)
    _cite(notebook, path.name)
    exercise = ""
    for cell in notebook.cells:
        if found := EXERCISE.match(cell.source):
            exercise = found[1]
        if cell.cell_type == "code":
            _fold(cell, {"setup": "Setup", "solution": f"Solution to exercise {exercise}", "folded": ""}, path.name)
    fill_times(notebook, path.name)
    draw_anew(notebook)


def _fold(cell: NotebookNode, titles: dict[str, str], name: str) -> None:
    """Fold a cell in JupyterLab and, behind a title, on Colab, if a tag asks for it; else unfold it."""
    folding = [tag for tag in FOLDED if tag in tags(cell)]
    if not folding:
        cell.metadata.pop("jupyter", None)
        cell.metadata.pop("cellView", None)
        return
    title = titles[folding[0]]
    if not title:
        found = TITLE.match(cell.source)
        if not found:
            raise BrokenFileError(
                f"{where(name, cell)} is tagged 'folded', but has no title: let it begin with the line "
                "'# @title What is inside'."
            )
        title = found[1]
    cell.metadata["jupyter"] = dict(FOLDED[folding[0]])
    cell.metadata["cellView"] = "form"
    cell.source = f"# @title {title}\n{TITLE.sub('', cell.source)}"


# Captions


def _number_captions(notebook: NotebookNode, path: Path) -> None:
    """Write "Fig. chapter.count" into every caption; a page has its letter in place of a number, if it has one."""
    letter = LETTER.search("\n".join(cell.source for cell in notebook.cells))
    prefix = f"{int(path.name[:2])}." if path.name[:2].isdigit() else f"{letter[1]}." if letter else ""
    count = 0
    for above, cell in zip([None, *notebook.cells], notebook.cells, strict=False):
        if "caption" in tags(cell):
            if above is None or "figure" not in above.metadata.get("mystnb", {}):
                raise BrokenFileError(
                    f"{path.name} has the caption {cell.source[:40]!r} below no figure: put it right below the cell "
                    "that draws one, whose metadata has its name."
                )
            count += 1
            cell.source = f"**Fig. {prefix}{count}.** {NUMBER.sub('', cell.source)}"


# Citations


@cache
def _entries() -> dict[str, Entry]:
    """The book's bibliography, by keys."""
    return dict(parse_file(BIBLIOGRAPHY, bib_format="bibtex").entries)


def _authors(entry: Entry) -> str:
    """The last names of the authors, or of the editors: one, two, or the first "et al."."""
    people = entry.persons.get("author") or entry.persons["editor"]
    names = [" ".join(str(part) for part in (*person.rich_prelast_names, *person.rich_last_names)) for person in people]
    return names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."


def _cite(notebook: NotebookNode, name: str) -> None:
    """Give every citation its words, and the notebook the list of what it cites."""
    own = [cell for cell in notebook.cells if cell.cell_type == "markdown" and "references" not in tags(cell)]
    keys = {found["key"] for cell in own for found in CITATION.finditer(cell.source)}
    if unknown := sorted(keys - _entries().keys()):
        raise BrokenFileError(
            f"{name} cites {unknown[0]!r}, which book/references.bib does not have: add the entry, or mend the key."
        )
    labels = _labels(keys)
    for cell in own:
        cell.source = CITATION.sub(lambda found: _linked(found, labels), cell.source)
    notebook.cells = [cell for cell in notebook.cells if "references" not in tags(cell)]
    if keys:
        cell = nbformat.v4.new_markdown_cell(_references(labels), id="references")
        cell.metadata["tags"] = ["references"]
        notebook.cells.append(cell)


def _labels(keys: set[str]) -> dict[str, tuple[str, str]]:
    """Authors and year of each key; a letter follows the year where two have the same."""
    plain = {key: (_authors(_entries()[key]), _entries()[key].fields["year"]) for key in sorted(keys)}
    same = {key: [other for other in plain if plain[other] == plain[key]] for key in plain}
    return {
        key: (authors, year if len(same[key]) == 1 else year + "abcdefgh"[same[key].index(key)])
        for key, (authors, year) in plain.items()
    }


def _linked(found: re.Match[str], labels: dict[str, tuple[str, str]]) -> str:
    """A citation with its words: as part of the sentence, or as all that stands in parentheses."""
    authors, year = labels[found["key"]]
    words = f"{authors}, {year}" if _stands_alone(found) else f"{authors} ({year})"
    return f'[{words}](#References "{found["key"]}")'


def _stands_alone(found: re.Match[str]) -> bool:
    """Whether a citation stands in parentheses that hold citations and nothing else."""
    text = found.string
    before, after = CITATION.sub("@", text[: found.start()]), CITATION.sub("@", text[found.end() :])
    return bool(re.search(r"\((@;\s)*$", before) and re.match(r"(;\s@)*\)", after))


def _references(labels: dict[str, tuple[str, str]]) -> str:
    """The list of references, in the order of their words."""
    style, backend = find_plugin("pybtex.style.formatting", "unsrt")(), find_plugin("pybtex.backends", "markdown")()
    lines = []
    for key, (authors, year) in sorted(labels.items(), key=lambda item: (item[1][0].casefold(), item[1][1])):
        text = " ".join(style.format_entry(key, _entries()[key]).text.render(backend).split())
        lines.append(f"- **{authors} ({year}).** " + NEEDLESS.sub(r"\1", text))
    return "\n".join([HEADING, "", *lines])
