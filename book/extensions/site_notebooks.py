"""Show the tagged cells of a notebook as the book wants them, so that a notebook says only what a cell is.

============  =====================================================
tag           on the page
============  =====================================================
``solution``  the whole cell is folded behind "Show the solution"
``setup``     the code is folded behind "Show the setup"
============  =====================================================
"""

import json

from sphinx.application import Sphinx

FOLDED = {"solution": ("hide-cell", "solution"), "setup": ("hide-input", "setup")}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", _fold_tagged_cells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fold_tagged_cells(app: Sphinx, docname: str, source: list[str]) -> None:
    if not app.env.doc2path(docname).endswith(".ipynb"):
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        for tag, (hiding, name) in FOLDED.items():
            if tag in tags and cell["cell_type"] == "code":
                cell["metadata"]["tags"] = [*tags, hiding]
                prompts = {"code_prompt_show": f"Show the {name}", "code_prompt_hide": f"Hide the {name}"}
                cell["metadata"]["mystnb"] = prompts | cell["metadata"].get("mystnb", {})
    source[0] = json.dumps(notebook)
