"""The benchmarks on a page: the directive ``benchmarks`` makes tables of what ``make bench`` stored.

No number is typed: all come from ``book/benchmarks.json``, with the machine, its load and the threads of each run.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FILE = Path("book", "benchmarks.json")
HEADS = ("what", "median", "middle half", "rounds")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("benchmarks", Benchmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Benchmarks(SphinxDirective):
    """A table for the benchmark that is named."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table, on what it was measured, and what was missing; or a sentence, where there are no figures."""
        self.env.note_dependency(str(FILE))
        name, file = self.arguments[0], Path(self.env.srcdir, FILE)
        stored = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if name not in stored:
            words = ["Not measured yet: ", nodes.literal("", f"python3 -m tools bench {name}"), " does."]
            return [nodes.paragraph("", "", *(nodes.Text(word) if isinstance(word, str) else word for word in words))]
        told = stored[name]
        return [_table(told["rows"]), *(nodes.paragraph("", text) for text in (said(told), *told["missing"]))]


def said(told: dict[str, Any]) -> str:
    """On what a benchmark was measured, in a line."""
    loads = [f"{load:.1f}" for load in told["load"] if load is not None]
    load = f", load {' before and '.join(loads)} after" if len(loads) == 2 else ""
    threads = f"{told['threads']} thread{'s' if told['threads'] > 1 else ''}"
    return f"{told['machine']}; {threads}{load}; PyTorch {told['torch']}; {told['minutes']:.1f} minutes."


def figure(number: float, unit: str) -> str:
    """A figure to three digits, with its unit."""
    digits = f"{number:.0f}" if number >= 100 or number == int(number) else f"{number:#.3g}"
    return f"{digits} {unit}"


def _table(rows: list[dict[str, Any]]) -> nodes.table:
    """A table, a row a comparison; what it means stands below what it is."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (70, 10, 14, 6)), cols=len(HEADS))
    body = nodes.tbody("", *map(_row, rows))
    heads = nodes.thead("", nodes.row("", *(nodes.entry("", nodes.paragraph("", head)) for head in HEADS)))
    group += [heads, body]
    return nodes.table("", group)


def _row(row: dict[str, Any]) -> nodes.row:
    """What is compared, and its figures."""
    what = nodes.entry("", nodes.paragraph("", "", nodes.strong("", row["what"])), nodes.paragraph("", row["means"]))
    spread = f"{figure(row['low'], '').strip()} to {figure(row['high'], '').strip()}" if row["rounds"] > 1 else "–"
    texts = (figure(row["median"], row["unit"]), spread, str(row["rounds"]))
    return nodes.row("", what, *(nodes.entry("", nodes.paragraph("", text)) for text in texts))
