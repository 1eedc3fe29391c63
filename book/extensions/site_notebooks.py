r"""Show notebooks as the book wants them, so that a notebook says only what a cell is and what an equation says.

===============  =====================================================================
tag              on the page
===============  =====================================================================
``solution``     the whole cell is folded behind "Show the solution"
``setup``        the code is folded behind "Show the setup"
``folded``       the code is folded behind "Show the code: " and its title
``caption``      the caption of the figure above, with its number
``references``   nothing: the page "Bibliography" has what the whole book cites
===============  =====================================================================

What a notebook holds as plain Markdown for other front ends (``tools/readable.py``) becomes the site's own again:
citations become roles, and links to headings, which JupyterLab names by their words, get the anchors of the site.
"""

import json
import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

FOLDED = {
    "solution": ("hide-cell", "solution"),
    "setup": ("hide-input", "setup"),
    "folded": ("hide-input", "code: {title}"),
}
TITLE = re.compile(r"\A# @title (\S[^\n]*)\n")
ONE = r'\[[^\[\]]*\]\(#References "[^"]*"\)'
CITATION = re.compile(rf"\((?P<group>{ONE}(?:;\s{ONE})*)\)|(?P<one>{ONE})")
KEY = re.compile(r'\(#References "([^"]*)"\)')
HEADING = re.compile(r"\]\((?P<file>[\w.]*)#(?P<heading>[^)\s]*)\)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", _as_the_site_has_it)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _as_the_site_has_it(app: Sphinx, docname: str, source: list[str]) -> None:
    if not app.env.doc2path(docname).endswith(".ipynb"):
        return
    notebook = json.loads(source[0])
    cells: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "caption" in tags:
            _figure_above(cells, cell, docname)["caption"] = _in_roles("".join(cell["source"]))
        elif "references" not in tags:
            if cell["cell_type"] == "markdown":
                cell["source"] = _in_roles("".join(cell["source"]))
            else:
                _fold(cell, tags)
            cells.append(cell)
    notebook["cells"] = cells
    source[0] = json.dumps(notebook)


def _figure_above(cells: list[dict[str, Any]], caption: dict[str, Any], docname: str) -> dict[str, Any]:
    """What the cell above a caption says of its figure.

    Raises:
        ExtensionError: it names no figure.
    """
    figure = cells[-1]["metadata"].get("mystnb", {}).get("figure") if cells else None
    if not figure:
        raise ExtensionError(
            f"{docname}: the cell {caption.get('id', '')!r} is a caption, and the cell above it names no figure: give "
            'that one {"mystnb": {"figure": {"name": "fig-name"}}} in its metadata.'
        )
    return figure


def _fold(cell: dict[str, Any], tags: list[str]) -> None:
    """Fold a code cell whose tag asks for it, without the title that it has on Colab."""
    source = "".join(cell["source"])
    title = TITLE.match(source)
    for tag, (hiding, name) in FOLDED.items():
        if tag in tags:
            name = name.format(title=title[1] if title else "")
            cell["source"] = TITLE.sub("", source)
            cell["metadata"]["tags"] = [*tags, hiding]
            prompts = {"code_prompt_show": f"Show the {name}", "code_prompt_hide": f"Hide the {name}"}
            cell["metadata"]["mystnb"] = prompts | cell["metadata"].get("mystnb", {})


def _in_roles(text: str) -> str:
    """Markdown with the site's citations and anchors."""
    return HEADING.sub(_to_anchor, CITATION.sub(_to_role, text))


def _to_role(found: re.Match[str]) -> str:
    kind = "p" if found["group"] else "t"
    return f"{{cite:{kind}}}`{','.join(KEY.findall(found[0]))}`"


def _to_anchor(found: re.Match[str]) -> str:
    """A link to a heading, which is named by its words with hyphens between, as the site names it."""
    words = re.sub(r"[^\w -]", "", found["heading"].replace("-", " ").lower())
    return f"]({found['file']}#{'-'.join(words.split(' '))})"
