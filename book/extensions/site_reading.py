"""Help a reader find the way on a page: what to remember, where a work is cited, and captions true on dark pages.

These are changes of the finished pages that leave alone what they changed before, so that they can run again on pages
that an incremental build kept.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from site_colors import in_headings
from sphinx.application import Sphinx

TITLE = re.compile(r"<section [^>]*>\s*<h1>.*?</h1>", re.DOTALL)
# An exercise has a number of its own.
EXERCISE = re.compile(r'(?:<span class="section-number">[\d.]+\s*</span>|(?<=>)[\d.]+\s)(?=Exercise )')
WAYS = {"summary": "What to remember", "exercises": "Exercises", "what-to-read-next": "What to read next"}

# On a dark page figures are inverted: there what a caption calls black is white.
CAPTION = re.compile(r"<figcaption.*?</figcaption>", re.DOTALL)
INK = re.compile(r"(?<![\w-])(black|white)(?![\w-])(?![^<]*>)", re.IGNORECASE)
OTHER = {"black": "white", "white": "black", "Black": "White", "White": "Black"}

BIBLIOGRAPHY = "book/bibliography"
# What is passed on the way down a page: a section, its heading, a citation.
STEP = re.compile(
    r'<section [^>]*?\bid="(?P<section>[^"]+)"'
    r"|<h(?P<level>[1-4])>(?P<heading>.*?)(?:<a|</h)"
    r'|<a [^>]*href="(?:\.\./)*(?:book/)?bibliography\.html#(?P<entry>[^"]+)"',
    re.DOTALL,
)
NUMBER = re.compile(r'<span class="section-number">([\d.]+?)\.? ?</span>')
OF_EXERCISE = re.compile(r"(Exercise [\d.]*\d)")
MARKUP = re.compile(r"<[^>]*>")
ENTRY = re.compile(r'(<div class="citation" id="([^"]+)">.*?)(\n</div>)', re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("build-finished", _orient, priority=600)  # after the repairs
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _orient(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    cited: dict[str, list[str]] = defaultdict(list)
    for docname in _in_order(app):
        path = Path(app.builder.get_outfilename(docname))
        text = path.read_text(encoding="utf-8")
        changed = CAPTION.sub(
            lambda caption: true_in_the_dark(caption[0]), in_headings(with_ways(EXERCISE.sub("", text)))
        )
        if changed != text:
            path.write_text(changed, encoding="utf-8")
        address = app.builder.get_relative_uri(BIBLIOGRAPHY, docname)
        for entry, anchor, label in citations(changed):
            link = f'<a class="reference internal" href="{address}#{anchor}">{label}</a>'
            if link not in cited[entry]:
                cited[entry].append(link)
    if BIBLIOGRAPHY in app.env.found_docs:
        path = Path(app.builder.get_outfilename(BIBLIOGRAPHY))
        text = path.read_text(encoding="utf-8")
        path.write_text(ENTRY.sub(lambda entry: _with_places(entry, cited[entry[2]]), text), encoding="utf-8")


def _in_order(app: Sphinx) -> list[str]:
    """The pages in the order of the contents."""
    root = app.config.root_doc
    order = [root, *app.env.toctree_includes.get(root, [])]
    return [name for name in order if name in app.env.found_docs]


def with_ways(page: str) -> str:
    """The page with links to what a reader looks for, below its title."""
    links = [f'<a href="#{anchor}">{words}</a>' for anchor, words in WAYS.items() if f'<section id="{anchor}">' in page]
    if len(links) < 2 or 'class="aevb-ways"' in page:
        return page
    ways = f'\n<nav class="aevb-ways" aria-label="On this page">{" ".join(links)}</nav>'
    return TITLE.sub(lambda title: title[0] + ways, page, count=1)


def true_in_the_dark(caption: str) -> str:
    """The caption with both names of a color that is inverted on a dark page, of which a page shows one."""

    def both(word: re.Match[str]) -> str:
        return f'<span class="only-light">{word[0]}</span><span class="only-dark">{OTHER[word[0]]}</span>'

    return caption if "only-light" in caption else INK.sub(both, caption)


def citations(page: str) -> Iterator[tuple[str, str, str]]:
    """The works that a page cites: each with the anchor and the name of the section where it does."""
    anchor = title = name = ""
    start = TITLE.search(page)
    for step in STEP.finditer(page, start.start() if start else 0):
        if step["section"]:
            anchor = step["section"]
        elif step["entry"]:
            yield step["entry"], anchor, name
        else:
            words = " ".join(MARKUP.sub("", step["heading"]).split())
            title = title or words
            if number := NUMBER.search(step["heading"]) or OF_EXERCISE.match(words):
                name = number[1]
            elif not name:
                name = title


def _with_places(entry: re.Match[str], links: list[str]) -> str:
    if not links or "aevb-cited" in entry[1]:
        return entry[0]
    return f'{entry[1]}<p class="aevb-cited">Cited in {", ".join(links)}</p>{entry[3]}'
