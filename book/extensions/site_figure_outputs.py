"""Let the directive ``computing`` stand for each figure that computes among a notebook's stored outputs.

A notebook stores such a figure with all of its script and data, so that it works without a network; a page of the site
shares them with other pages. The caption of the cell below becomes the directive's.
"""

import json
import re
from html import unescape
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HELD = re.compile(r'<div class="aevb-computing" data-figure="(?P<name>\w+)"[^>]* data-state="(?P<state>[^"]*)"')


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", _read, priority=400)  # before captions become those of the cells above them
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if app.env.doc2path(docname).endswith(".ipynb") and 'class=\\"aevb-computing\\"' in source[0]:
        source[0] = with_directives(source[0], docname)


def with_directives(text: str, docname: str) -> str:
    """A notebook, as its file has it, with a directive in the place of each figure that computes and its caption.

    Args:
        text: the notebook's JSON.
        docname: what an error calls it.

    Raises:
        ExtensionError: a cell that shows such a figure has no name for it, or no caption below.
    """
    notebook = json.loads(text)
    cells: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        caption = "caption" in cell["metadata"].get("tags", [])
        if caption and cells and (figure := _taken(cells[-1])):
            options = f":state: {unescape(figure['state'])}\n:name: {_name(cells[-1], figure['name'], docname)}"
            directive = f"`````{{computing}} {figure['name']}\n{options}\n{''.join(cell['source'])}\n`````"
            cells.append({"cell_type": "markdown", "id": cell["id"], "metadata": {}, "source": directive})
        else:
            cells.append(cell)
    for cell in cells:
        if _taken(cell):
            raise ExtensionError(
                f"{docname}, cell {cell['id']}: a figure that computes has no caption: put a Markdown cell with the "
                "tag caption right below it."
            )
    notebook["cells"] = cells
    return json.dumps(notebook)


def _taken(cell: dict[str, Any]) -> re.Match[str] | None:
    """The figure that computes among a cell's outputs, which is taken out of them; None if there is none."""
    for output in cell.get("outputs", []):
        if figure := HELD.search("".join(output.get("data", {}).get("text/html", ""))):
            cell["outputs"].remove(output)
            return figure
    return None


def _name(cell: dict[str, Any], figure: str, docname: str) -> str:
    """The name that a cell's metadata give to its figure, which is taken out of them: the directive has it now."""
    name = cell["metadata"].get("mystnb", {}).pop("figure", {}).get("name")
    if not name:
        raise ExtensionError(
            f"{docname}: the cell {cell.get('id', '')!r} shows the figure {figure!r}, which computes, and its metadata "
            'have no name for it: give the cell {"mystnb": {"figure": {"name": "fig-name"}}}.'
        )
    return name
