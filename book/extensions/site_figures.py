"""Put the figures that compute into pages: the directive ``computing``, and one script with those that a page has.

```{computing} be_q
:state: mean=0.3
The caption, in Markdown.
```

The script stands right before the first figure, and a call that fills it right behind each: what follows is not laid
out before, so nothing moves. Without scripts the figure's picture shows. A figure's anchor is its name, and
``#be_q?mean=0.3`` its address in a state. Data of more than a few kilobytes are a file, the same for all pages, which
the script loads when the figure is near; what a figure asks for at the first touch is another.

A notebook has such a figure as the output of a cell, with all of it inside: here the directive takes its place, with
the caption of the cell below.
"""

import hashlib
import importlib.util
import json
import re
import shutil
from functools import cache
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
STILLS = "_static/stills"
HELD = re.compile(r'<div class="aevb-computing" data-figure="(?P<name>\w+)"[^>]* data-state="(?P<state>[^"]*)"')
NUMBERED = re.compile(r"\AFig\. [A-Z\d.]+\.\Z")


@cache
def package() -> ModuleType:
    """The package's module that writes the script, without the package and the libraries that it needs."""
    spec = importlib.util.spec_from_file_location("bundle", ROOT / "aevb_utils" / "figures" / "computing" / "bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class computing(nodes.General, nodes.Element):
    """A figure that computes; what it holds is its caption, if it is no part of a figure with a number of its own."""


class Computing(SphinxDirective):
    """The directive: the figure's name, its state, its caption; ``name`` is another anchor of it."""

    required_arguments = 1
    has_content = True
    option_spec = {"state": directives.unchanged, "name": directives.unchanged}  # noqa: RUF012 (as docutils has it)

    def run(self) -> list[nodes.Node]:
        """Make the figure and its caption."""
        name = self.arguments[0]
        if name not in package().names():
            raise self.error(f"There is no figure {name!r} that computes: it is one of {', '.join(package().names())}.")
        figure = computing(figure=name, state=self.options.get("state", ""))
        self.set_source_info(figure)
        said = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, said)
        if not said.children or not isinstance(said[0], nodes.paragraph):
            raise self.error("A figure that computes has a caption: one or two sentences, below its name.")
        folder = package().FOLDER
        for path in (*folder.rglob("*.js"), folder / "bundle.py", folder / "data" / f"{name}.json"):
            self.env.note_dependency(str(path))
        first = next((node for node in said[0] if node.astext()), None)
        if isinstance(first, nodes.strong) and NUMBERED.match(first.astext()):  # a notebook has numbered it
            anchors = [anchor for anchor in (self.options.get("name"), name) if anchor]
            caption = nodes.caption("", "", *said[0].children)
            return [nodes.figure("", figure, caption, ids=anchors, classes=["aevb-figure"])]
        number = self.env.temp_data["figures that compute"] = self.env.temp_data.get("figures that compute", 0) + 1
        said[0].insert(0, nodes.strong("", f"Fig. {self.env.docname.rpartition('/')[2].capitalize()} {number}. "))
        figure += said.children
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("computing", Computing)
    app.connect("source-read", _from_outputs, priority=400)  # before captions become those of the cells above them
    skip = (_skip, None)
    app.add_node(computing, html=(_begin, _end), latex=skip, text=skip, man=skip, texinfo=skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _from_outputs(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let a directive stand for each figure that a notebook has stored with all of its script and data."""
    if not app.env.doc2path(docname).endswith(".ipynb") or 'class=\\"aevb-computing\\"' not in source[0]:
        return
    notebook = json.loads(source[0])
    cells: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        caption = "caption" in cell["metadata"].get("tags", [])
        if caption and cells and (figure := _taken(cells[-1])):
            name = cells[-1]["metadata"]["mystnb"].pop("figure")["name"]
            options = f":state: {unescape(figure['state'])}\n:name: {name}"
            text = f"`````{{computing}} {figure['name']}\n{options}\n{''.join(cell['source'])}\n`````"
            cells.append({"cell_type": "markdown", "id": cell["id"], "metadata": {}, "source": text})
        else:
            cells.append(cell)
    notebook["cells"] = cells
    source[0] = json.dumps(notebook)


def _taken(cell: dict[str, Any]) -> re.Match[str] | None:
    """The figure that computes among a cell's outputs, which is taken out of them; None if there is none."""
    for output in cell.get("outputs", []):
        if figure := HELD.search("".join(output.get("data", {}).get("text/html", ""))):
            cell["outputs"].remove(output)
            return figure
    return None


def _skip(translator: nodes.NodeVisitor, node: computing) -> None:
    raise nodes.SkipNode


def _begin(translator: nodes.NodeVisitor, node: computing) -> None:
    builder, page = translator.builder, translator.builder.current_docname
    on_page = [other["figure"] for other in node.document.findall(computing)]
    body = placed(Path(builder.outdir), _relative(page), node, on_page)
    translator.body.append(
        f'<figure class="aevb-figure" id="{node["figure"]}">{body}<figcaption>' if node.children else body
    )


def placed(site: Path, root: str, node: computing, on_page: list[str]) -> str:
    """A figure as HTML; the files that it needs are written into the site.

    Args:
        site: the site's folder.
        root: the way from the page to it, empty or ``../``.
        node: the figure, its state, and if it has one of its own, what stands where no script runs (``drawn``): it
            then has its first controls alone.
        on_page: the names of all figures that the page has, in order: they have one script, before the first.
    """
    name, drawn = node["figure"], node.get("drawn", "")
    figures = sorted({*on_page})
    script = ""
    if on_page.index(name) == 0:
        text = package().bundle(figures)
        script = f'<script src="{root}{_written(site, f"figures-{_hash(text)}.js", text)}"></script>'
    still, address = package().still_of(name, node["state"]), ""
    if still.is_file() and not drawn:
        (site / STILLS).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(still, site / STILLS / still.name)
        address = f"{root}{STILLS}/{still.name}"
    shared = package().data_file(name)
    data = f"{root}{_written(site, *shared)}" if shared else ""
    touched = package().later_script(name)
    later = f"{root}{_written(site, f'{name}-later-{_hash(touched)}.js', touched)}" if touched else ""
    element = package().markup(name, state=node["state"], site=True, still=address, data=data, later=later, drawn=drawn)
    return f"{script}{element}<script>aevbFigures.{package().key(figures)}.mount()</script>"


def _written(site: Path, name: str, text: str) -> str:
    """Write a file among the static ones; return its address in the site."""
    path = site / "_static" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return f"_static/{name}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _end(translator: nodes.NodeVisitor, node: computing) -> None:
    if node.children:
        translator.body.append("</figcaption></figure>\n")


def _relative(page: str) -> str:
    """The way from a page to the site's root."""
    return "../" * page.count("/")
