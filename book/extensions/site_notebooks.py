r"""Show notebooks as the book wants them, so that a notebook says only what a cell is and what an equation says.

============  =====================================================
tag           on the page
============  =====================================================
``solution``  the whole cell is folded behind "Show the solution"
``setup``     the code is folded behind "Show the setup"
============  =====================================================

Equations numbered by ``\tag`` have their numbers in JupyterLab and on Colab too. Sphinx would wrap those of several
lines in an environment that forbids ``\tag``, so they go to MathJax as they are.
"""

import json

from docutils import nodes
from sphinx.application import Sphinx

FOLDED = {"solution": ("hide-cell", "solution"), "setup": ("hide-input", "setup")}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", _fold_tagged_cells)
    app.connect("doctree-read", _leave_tagged_equations)
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


def _leave_tagged_equations(app: Sphinx, doctree: nodes.document) -> None:
    for block in doctree.findall(nodes.math_block):
        if r"\tag" in block.astext() and not block["nowrap"]:
            block["nowrap"] = True
            block.children = [nodes.Text(rf"\[{block.astext()}\]")]
