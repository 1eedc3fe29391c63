"""Put the figures that compute into pages: the directive ``computing``, and one script with those that a page has.

```{computing} be_q
The caption, in Markdown.
```

The script stands right before the first figure, and a call that fills it right behind each: what follows is not laid
out before, so nothing moves. Without scripts the figure's picture shows. A figure's anchor is its name, and
``#be_q?mean=0.3`` its address in a state.
"""

import hashlib
import importlib.util
import shutil
from functools import cache
from pathlib import Path
from types import ModuleType

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
STILLS = "_static/stills"


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
    skip = (_skip, None)
    app.add_node(computing, html=(_begin, _end), latex=skip, text=skip, man=skip, texinfo=skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


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
    call = f"aevbFigures.{package().key(sorted({*on_page}))}.mount()"
    translator.body.append(
        f'<figure class="aevb-figure" id="{name}">{script}{package().markup(name, site=True, still=address)}'
        f"<script>{call}</script><figcaption>"
    )


def _end(translator: nodes.NodeVisitor, node: computing) -> None:
    translator.body.append("</figcaption></figure>\n")


def _relative(page: str) -> str:
    """The way from a page to the site's root."""
    return "../" * page.count("/")
