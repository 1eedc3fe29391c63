"""Repair what the theme leaves inaccessible.

The repairs are plain substitutions in the finished pages; what they replace is gone afterwards, so that they can run
again on pages that an incremental build kept.
"""

import re
from html import escape, unescape
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

REPAIRS = {
    # The sidebar's title and search button belong to no landmark.
    '<div id="pst-primary-sidebar" class=': '<div id="pst-primary-sidebar" role="navigation" aria-label="Book" class=',
    # Roles that browsers no longer know or that their children contradict.
    ' role="doc-biblioentry"': "",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    # A name that hides the visible words "Show the solution".
    '<summary aria-label="Toggle hidden content">': "<summary>",
}

# The empty corner of a table with row names is not a heading.
EMPTY_HEADING = re.compile(r"<th(?P<attributes>[^>]*)>(?:<p></p>)?</th>")

# The tables of the text, whose rows become cards on a phone: there each cell says what its column is.
TABLE = re.compile(r'<table class="table">.*?</table>', re.DOTALL)
HEADING = re.compile(r"<t[hd][^>]*>(.*?)</t[hd]>", re.DOTALL)  # the corner of a table with row names is a td
ROW = re.compile(r"<tr[^>]*>.*?</tr>", re.DOTALL)
CELL = re.compile(r"<td(?P<rest>[^>]*)>")
MARKUP = re.compile(r"<[^>]*>")

# The mark at the start of a printed line, so that a check that holds, or fails, can be seen at a glance.
MARK = re.compile(r"^(?P<start><div class=\".*<pre><span></span>)?(?P<mark>[✓✗])", re.MULTILINE)

# Printed columns, which a narrow page must not break: lines with gaps of two spaces and more. So are the reports of
# check_vae, which are broken into lines, and indented, already.
PRINTED = re.compile(
    r'(<div class="output stream)( [^"]*"><div class="highlight"><pre><span></span>)(.*?)</pre>', re.DOTALL
)
GAP = re.compile(r"\S {2,}\S")
FEWEST_ROWS = 3
REPORT = re.compile(r"(No mistake|\d+ mistakes?) found|Not checked: the loss")

# The theme measures each box after it has changed the one before, the folded ones too, and does so while the page is
# still loading: a browser lays out the page anew each time. What scrolls, wide figures too, becomes a tab stop.
# In the contents of a page it marks the heading that came into sight last; book.js marks the section that is read.
THEME_SCRIPT = "_static/scripts/pydata-sphinx-theme.js"
IN_SCRIPT = {
    '".pst-scrollable-table-container"].join': '".pst-scrollable-table-container",".aevb-wide"].join',
    "if(0===n.length)return;let o=!1;": "if(e)return;let o=!1;",
    ".forEach(e=>{e.tabIndex=e.scrollWidth>e.clientWidth||e.scrollHeight>e.clientHeight?0:-1})": (
        '.forEach((e,i,all)=>{i||Array.from(all).filter(e=>!e.closest("details:not([open])")).map(e=>'
        "[e,e.scrollWidth>e.clientWidth||e.scrollHeight>e.clientHeight?0:-1]).forEach(([e,stop])=>{e.tabIndex=stop})})"
    ),
    "{subtree:!0,childList:!0}),e()}": (
        '{subtree:!0,childList:!0}),document.addEventListener("toggle",t,!0),requestAnimationFrame(()=>setTimeout(e))}'
    ),
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    # Jupyter Book sets this option of an extension that is left out here because it loads scripts from other hosts.
    app.add_config_value("comments_config", {}, "")
    app.connect("build-finished", _repair_pages)
    app.connect("build-finished", _repair_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _color(found: re.Match[str]) -> str:
    kind = "check" if found["mark"] == "✓" else "cross"
    return f'{found["start"] or ""}<span class="aevb-{kind}">{found["mark"]}</span>'


def _label_cells(table: re.Match[str]) -> str:
    """A table whose cells have their columns' names."""
    head, body, rest = table[0].partition("<tbody>")
    names = [" ".join(MARKUP.sub("", name).split()) for name in HEADING.findall(head)]

    def label_row(row: re.Match[str]) -> str:
        columns = iter(names)
        return CELL.sub(lambda cell: f'<td{cell["rest"]} data-label="{escape(unescape(next(columns, "")))}">', row[0])

    return head + body + ROW.sub(label_row, rest) if names and "data-label" not in rest else table[0]


def _mark_columns(printed: re.Match[str]) -> str:
    """What was printed, with a class where it is a table, or a report that is broken into lines already."""
    lines = [MARKUP.sub("", line) for line in printed[3].splitlines()]
    table = sum(bool(GAP.search(line)) for line in lines) >= FEWEST_ROWS
    table = table or any(REPORT.match(line) for line in lines)
    return f"{printed[1]} aevb-columns{printed[2]}{printed[3]}</pre>" if table else printed[0]


def _repair_pages(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = repaired = path.read_text(encoding="utf-8")
        for broken, whole in REPAIRS.items():
            repaired = repaired.replace(broken, whole)
        repaired = EMPTY_HEADING.sub(r"<td\g<attributes>></td>", repaired)
        repaired = MARK.sub(_color, repaired)
        repaired = TABLE.sub(_label_cells, repaired)
        repaired = PRINTED.sub(_mark_columns, repaired)
        if repaired != text:
            path.write_text(repaired, encoding="utf-8")


def _repair_script(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    path = Path(app.outdir, THEME_SCRIPT)
    text = path.read_text(encoding="utf-8")
    for slow, quick in IN_SCRIPT.items():
        if slow not in text and quick not in text:
            logger.warning(f"{THEME_SCRIPT} has changed: see whether what IN_SCRIPT mends is still there.")
        text = text.replace(slow, quick)
    path.write_text(text, encoding="utf-8")
