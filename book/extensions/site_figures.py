"""Put the figures that compute into pages: the directive ``computing``, and one script with those that a page has.

```{computing} be_q
The caption, in Markdown.
```

The script stands right before the first figure, and a call that fills it right behind each: what follows is not laid
out before, so nothing moves. Without scripts the figure's picture shows. A figure's anchor is its name, and
``#be_q?mean=0.3`` its address in a state.

What a figure loads at the first touch is a file of the site. A figure in a notebook's output, which is without it, gets
its address here, and an anchor.
"""

import hashlib
import importlib.util
import json
import re
import shutil
from functools import cache
from pathlib import Path
from types import ModuleType

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
STILLS = "_static/stills"
HOST = re.compile(r'<div class="aevb-computing" data-figure="(?P<name>\w+)"')


@cache
def package() -> ModuleType:
    """The package's module that writes the script, without the package and the libraries that it needs."""
    spec = importlib.util.spec_from_file_location("bundle", ROOT / "aevb_utils" / "figures" / "computing" / "bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class computing(nodes.General, nodes.Element):
    """A figure that computes; what it holds is its caption."""


class Computing(SphinxDirective):
    """The directive: the figure's name, and its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the figure and its caption."""
        name = self.arguments[0]
        if name not in package().names():
            raise self.error(f"There is no figure {name!r} that computes: it is one of {', '.join(package().names())}.")
        figure = computing(figure=name)
        self.set_source_info(figure)
        self.state.nested_parse(self.content, self.content_offset, figure)
        number = self.env.temp_data["figures that compute"] = self.env.temp_data.get("figures that compute", 0) + 1
        if not figure.children or not isinstance(figure[0], nodes.paragraph):
            raise self.error("A figure that computes has a caption: one or two sentences, below its name.")
        figure[0].insert(0, nodes.strong("", f"Fig. {self.env.docname.rpartition('/')[2].capitalize()} {number}. "))
        folder = package().FOLDER
        for path in (*folder.rglob("*.js"), folder / "bundle.py", folder / "data" / f"{name}.json"):
            self.env.note_dependency(str(path))
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("computing", Computing)
    app.connect("source-read", _in_notebook)
    app.connect("build-finished", _write_later)
    skip = (_skip, None)
    app.add_node(computing, html=(_begin, _end), latex=skip, text=skip, man=skip, texinfo=skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _in_notebook(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the figures in a notebook's outputs that load something later its address, and their names as anchors."""
    if not app.env.doc2path(docname).endswith(".ipynb") or "aevb-computing" not in source[0]:
        return

    def with_address(host: re.Match[str]) -> str:
        if not (address := _later(host["name"], docname)):
            return host[0]
        app.env.note_dependency(str(package().later_of(host["name"])))
        return f'{host[0]} id="{host["name"]}" data-permalink data-later="{address}"'

    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if page := output.get("data", {}).get("text/html"):
                output["data"]["text/html"] = HOST.sub(with_address, "".join(page))
    source[0] = json.dumps(notebook)


def _later(name: str, page: str) -> str:
    """The address of what a figure loads later, from a page; empty if it loads nothing."""
    script = package().later_script(name)
    hashed = hashlib.sha256(script.encode()).hexdigest()[:12]
    return f"{_relative(page)}_static/later/{name}-{hashed}.js" if script else ""


def _write_later(app: Sphinx, error: Exception | None) -> None:
    """Write what figures load later, as scripts."""
    if error is not None or app.builder.format != "html":
        return
    for name in package().names():
        if address := _later(name, ""):
            path = Path(app.outdir, address)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(package().later_script(name), encoding="utf-8")


def _skip(translator: nodes.NodeVisitor, node: computing) -> None:
    raise nodes.SkipNode


def _begin(translator: nodes.NodeVisitor, node: computing) -> None:
    builder, page = translator.builder, translator.builder.current_docname
    name = node["figure"]
    on_page = [other["figure"] for other in node.document.findall(computing)]
    script = ""
    if on_page.index(name) == 0:
        text = package().bundle(sorted({*on_page}))
        file = f"figures-{hashlib.sha256(text.encode()).hexdigest()[:12]}.js"
        path = Path(builder.outdir, "_static", file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        script = f'<script src="{_relative(page)}_static/{file}"></script>'
    still = package().still_of(name)
    if still.is_file():
        folder = Path(builder.outdir, STILLS)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(still, folder / still.name)
    address = f"{_relative(page)}{STILLS}/{still.name}" if still.is_file() else ""
    host = package().markup(name, site=True, still=address, later=_later(name, page))
    call = f"aevbFigures.{package().key(sorted({*on_page}))}.mount()"
    translator.body.append(f'<figure class="aevb-figure" id="{name}">{script}{host}<script>{call}</script><figcaption>')


def _end(translator: nodes.NodeVisitor, node: computing) -> None:
    translator.body.append("</figcaption></figure>\n")


def _relative(page: str) -> str:
    """The way from a page to the site's root."""
    return "../" * page.count("/")
