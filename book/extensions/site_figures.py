"""Put the figures that compute into pages: the directive ``computing``, and one script with those that a page has.

```{computing} be_q
:state: mean=0.3
The caption, in Markdown.
```

The script stands right before the first figure, and a call that fills it right behind each: what follows is not laid
out before, so nothing moves. Without scripts the figure's picture shows. A figure's anchor is its name, and
``#be_q?mean=0.3`` its address in a state. Data of more than a few kilobytes are a file, the same for all pages, which
the script loads when the figure is near; what a figure asks for at the first touch is another. ``site_figure_files``
writes the files, and ``site_figure_outputs`` puts the directive where a notebook has stored a figure.
"""

import re
from pathlib import Path

import site_figure_files as files
from docutils import nodes
from docutils.parsers.rst import directives
from site_figure_files import package
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

NUMBERED = re.compile(r"\AFig\. [A-Z\d.]+\.\Z")


class computing(nodes.General, nodes.Element):
    """A figure that computes; what it holds is its caption, if it is no part of a figure with a number of its own.

    It has the attributes ``figure``, its name, and ``state``; with ``drawn``, HTML that stands where no script runs, it
    has its first controls alone.
    """


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
    app.setup_extension("site_figure_outputs")
    app.add_directive("computing", Computing)
    skip = (_skip, None)
    app.add_node(computing, html=(_begin, _end), latex=skip, text=skip, man=skip, texinfo=skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _skip(translator: nodes.NodeVisitor, node: computing) -> None:
    raise nodes.SkipNode


def _begin(translator: nodes.NodeVisitor, node: computing) -> None:
    builder = translator.builder
    on_page = [other["figure"] for other in node.document.findall(computing)]
    body = placed(Path(builder.outdir), "../" * builder.current_docname.count("/"), node, on_page)
    translator.body.append(
        f'<figure class="aevb-figure" id="{node["figure"]}">{body}<figcaption>' if node.children else body
    )


def placed(site: Path, root: str, node: computing, on_page: list[str]) -> str:
    """A figure as HTML; the files that it needs are written into the site.

    Args:
        site: the site's folder.
        root: the way from the page to it, empty or ``../``.
        node: the figure.
        on_page: the names of all figures that the page has, in order: they have one script, before the first.
    """
    name, state, drawn = node["figure"], node["state"], node.get("drawn", "")
    figures = sorted({*on_page})
    script = f'<script src="{root}{files.script(site, figures)}"></script>' if on_page.index(name) == 0 else ""
    needed = {"data": files.data(site, name), "later": files.later(site, name)}
    needed["still"] = "" if drawn else files.still(site, name, state)
    addresses = {kind: root + address for kind, address in needed.items() if address}
    element = package().markup(name, state=state, site=True, drawn=drawn, **addresses)
    return f"{script}{element}<script>aevbFigures.{package().key(figures)}.mount()</script>"


def _end(translator: nodes.NodeVisitor, node: computing) -> None:
    if node.children:
        translator.body.append("</figcaption></figure>\n")
