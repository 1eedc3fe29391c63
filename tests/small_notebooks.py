"""Small notebooks for the tests of the tools."""

import textwrap

import nbformat

NEW = nbformat.v4


def notebook_of(*cells, **metadata):
    """A notebook of code cells, each its source or a pair of source and tag; text that starts with # ½ is Markdown."""
    made = []
    for i, cell in enumerate(cells):
        source, tag = cell if isinstance(cell, tuple) else (cell, None)
        new = NEW.new_markdown_cell if source.startswith("# ½") else NEW.new_code_cell
        made.append(new(textwrap.dedent(source), id=f"cell-{i}", metadata={"tags": [tag]} if tag else {}))
    return NEW.new_notebook(cells=made, metadata=metadata)
