"""Write the notebooks as students get them: without solutions, with places for a name and for how an answer was found.

They go to ``_build/student``, all of them, so that links between them lead somewhere. What a notebook notes of
its run is left out: a copy with other cells is not what was run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from tools.commands import command
from tools.environments import ROOT
from tools.export import EXPORT_KEY
from tools.notebooks import RUN_KEY, read, tags, write

OUT = ROOT / "_build" / "student"
NOTES = (EXPORT_KEY, RUN_KEY)
NAME = "**Name:** …\n\n**Id:** …"
WAY = "*How I found it:* …"


def student_version(notebook: NotebookNode) -> NotebookNode:
    """A notebook as students get it, made in place."""
    for note in NOTES:
        notebook.metadata.pop(note, None)
    cells: list[NotebookNode] = []
    for cell in notebook.cells:
        if "solution" in tags(cell):
            continue
        cells.append(cell)
        if "check" in tags(cell):
            cells.append(new_markdown_cell(WAY, id=f"{cell.id[:50]}-way"))
    if any("check" in tags(cell) for cell in cells):
        cells.insert(1, new_markdown_cell(NAME, id="student-name"))
    notebook.cells = cells
    return notebook


@command
def main(arguments: Sequence[str] = (), out: Path = OUT) -> int:
    """Write them; return the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        write(student_version(read(path)), out / path.name)
    print(f"The students' notebooks are in {out.relative_to(ROOT) if out.is_relative_to(ROOT) else out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
