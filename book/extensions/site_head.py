"""What a page tells those who do not read it: its title and description, its card, its address, what it is.

Addresses of the whole are written where ``html.baseurl`` is known, which ``make repository`` sets: elsewhere a page has
no canonical address and the site no sitemap. The page for what is not found has everything in itself, since it is
shown at any depth.
"""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from site_search import words
from sphinx.application import Sphinx
from sphinx.config import Config

LICENSES = ["https://creativecommons.org/licenses/by/4.0/", "https://opensource.org/license/mit"]
CARD = "_static/cover/card.png"
CARD_SIZE = (1200, 630)
CARD_TEXT = "Two clouds of Old Faithful's eruptions, found by EM, beside the title of the book."
CHAPTER = re.compile(r"notebooks/(?P<number>\d\d)_")
LEAD = re.compile(r"^(?:The promise: )?(?:at the end )?(?P<rest>.)", re.IGNORECASE)
READING = re.compile(r"Reading: about (\d+) minutes")
APPLIED = "\u2061"  # stands unseen between a function and what it is applied to
LONGEST = 200  # characters of a description
EXTRA_VIEWPORT = re.compile(r'<meta name="viewport" content="width=device-width, initial-scale=1" ?/>')
SEARCH = "Search the book by section, definition, symbol, equation and figure."


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_config_value("book_authors", [], "html")
    app.connect("config-inited", _check_authors)
    app.connect("html-page-context", _describe, priority=600)
    app.connect("build-finished", _write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _check_authors(app: Sphinx, config: Config) -> None:
    """A list of names, or none."""
    if not isinstance(config.book_authors, list) or not all(isinstance(name, str) for name in config.book_authors):
        raise ValueError(f"book_authors in _config.yml should be a list of names, and is {config.book_authors!r}.")


def description(doctree: nodes.document) -> str:
    """The first paragraph of a page as plain text, no longer than search engines show, whole sentences if they fit.

    Of a chapter it is the promise, "at the end you can …".
    """
    paragraph = next((node for node in doctree.findall(nodes.paragraph) if words(node).strip()), None)
    text = " ".join(words(paragraph).replace(APPLIED, " ").split()) if paragraph is not None else ""
    text = LEAD.sub(lambda found: found["rest"].upper(), text, count=1)
    return shortened(text)


def shortened(text: str) -> str:
    """A text that ends with a sentence or, where the first is too long, with a word and three dots."""
    if len(text) <= LONGEST:
        return text
    whole = [found.end() for found in re.finditer(r"[.?!](?=\s)", text[:LONGEST])]
    if whole:
        return text[: whole[-1]]
    return text[: LONGEST - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def _describe(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write into a page's head what it is."""
    is_root = pagename == app.config.root_doc
    said = description(doctree) if doctree is not None else SEARCH
    title = re.sub(r"<[^>]*>", "", context.get("title", "")) or app.config.html_title
    if is_root:
        context["title"], context["docstitle"] = f"{app.config.html_title}: derive, train and check a VAE", ""
        title = context["title"]
    address = page_address(app, pagename)
    if context.get("pageurl"):
        context["pageurl"] = address
    tags = {
        "og:site_name": app.config.html_title,
        "og:type": "book" if is_root else "article",
        "og:title": title,
        "og:description": said,
        "og:locale": "en_US",
    }
    if address:
        card = app.config.html_baseurl + CARD
        tags |= {"og:url": address, "og:image": card, "og:image:alt": CARD_TEXT}
        tags |= {"og:image:width": str(CARD_SIZE[0]), "og:image:height": str(CARD_SIZE[1])}
    lines = [meta("name", "description", said)]
    lines += [meta("name", "author", "; ".join(app.config.book_authors))] if app.config.book_authors else []
    lines += [meta("property", name, text) for name, text in tags.items()]
    lines.append(meta("name", "twitter:card", "summary_large_image" if address else "summary"))
    if doctree is None:
        lines.append(meta("name", "robots", "noindex"))
    else:
        held = json.dumps(linked_data(app, pagename, title, said, doctree), ensure_ascii=False).replace("<", "\\u003c")
        lines.append(f'<script type="application/ld+json">{held}</script>')
    before = EXTRA_VIEWPORT.sub("", context.get("metatags", ""))
    context["metatags"] = before + "".join(f"\n    {line}" for line in lines)


def meta(kind: str, name: str, text: str) -> str:
    """A line of a page's head."""
    return f'<meta {kind}="{name}" content="{escape(text)}">'


def page_address(app: Sphinx, pagename: str) -> str:
    """The whole address of a page; empty where the site does not know its own."""
    base = app.config.html_baseurl
    if not base:
        return ""
    return base if pagename == app.config.root_doc else base + app.builder.get_target_uri(pagename)


def linked_data(app: Sphinx, pagename: str, title: str, said: str, doctree: nodes.document) -> dict[str, Any]:
    """What a page is, as schema.org has it."""
    base = app.config.html_baseurl
    data: dict[str, Any] = {"@context": "https://schema.org", "name": title, "description": said, "inLanguage": "en"}
    data |= {"license": LICENSES, "isAccessibleForFree": True}
    if app.config.book_authors:
        data["author"] = [{"@type": "Person", "name": name} for name in app.config.book_authors]
    if base:
        data["url"] = page_address(app, pagename)
    if pagename == app.config.root_doc:
        chapters = sorted(name for name in app.env.found_docs if CHAPTER.match(name))
        parts = [_part(app, name) for name in chapters]
        about = ["Expectation maximization", "Variational inference", "Variational autoencoder"]
        more = {"@type": "Book", "bookFormat": "https://schema.org/EBook", "about": about, "hasPart": parts}
        return data | more | {"name": app.config.html_title} | ({"image": base + CARD} if base else {})
    book: dict[str, Any] = {"@type": "Book", "name": app.config.html_title} | ({"url": base} if base else {})
    data |= {"@type": "LearningResource", "isPartOf": book}
    if found := CHAPTER.match(pagename):
        data |= {"@type": ["Chapter", "LearningResource"], "position": int(found["number"])}
        data |= {"learningResourceType": "textbook chapter"}
    if minutes := READING.search(" ".join(doctree.astext()[:4000].split())):
        data["timeRequired"] = f"PT{minutes[1]}M"
    return data


def _part(app: Sphinx, name: str) -> dict[str, Any]:
    found = CHAPTER.match(name)
    assert found is not None
    part = {"@type": "Chapter", "position": int(found["number"]), "name": app.env.titles[name].astext()}
    return part | ({"url": page_address(app, name)} if app.config.html_baseurl else {})


def _write_files(app: Sphinx, error: Exception | None) -> None:
    """Write the sitemap, what robots may read, and the page for what is not found."""
    if error is not None or app.builder.name != "html":
        return
    folder, base = Path(app.outdir), app.config.html_baseurl
    robots = "User-agent: *\nAllow: /\n"
    sitemap = folder / "sitemap.xml"
    sitemap.unlink(missing_ok=True)
    if base:
        pages = [page_address(app, name) for name in sorted(app.env.found_docs)]
        lines = "".join(f"<url><loc>{escape(page)}</loc></url>\n" for page in pages)
        head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        sitemap.write_text(f"{head}{lines}</urlset>\n", encoding="utf-8")
        robots += f"Sitemap: {base}sitemap.xml\n"
    (folder / "robots.txt").write_text(robots, encoding="utf-8")
    (folder / "404.html").write_text(not_found(app), encoding="utf-8")


def not_found(app: Sphinx) -> str:
    """The page that a host shows, at whatever address, for a page that is not there."""
    chapters = sorted(name for name in app.env.found_docs if CHAPTER.match(name))
    rows = "".join(
        f'<li><a href="{app.builder.get_target_uri(name)}">{escape(app.env.titles[name].astext())}</a></li>\n'
        for name in chapters
    )
    base = f'<base href="{escape(app.config.html_baseurl)}">' if app.config.html_baseurl else GUESSED_BASE
    return NOT_FOUND.format(base=base, title=escape(app.config.html_title), chapters=rows)


# Where the site does not know its address: on GitHub Pages it lies in the folder of its repository, if not at the root.
GUESSED_BASE = """<script>
if (location.hostname.endsWith(".github.io")) {
  const folder = location.pathname.split("/")[1];
  document.write(`<base href="/${folder ? folder + "/" : ""}">`);
}
</script>"""
NOT_FOUND = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="description" content="There is no page at this address: search the book, or choose a chapter.">
{base}
<title>Not found — {title}</title>
<link rel="icon" href="_static/favicon.svg">
<style>
:root {{ color-scheme: light dark; --ink: #1f2328; --quiet: #57606a; --line: #8c959f; --link: #0b5cad; --paper: #fff; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #ced6dd; --quiet: #a9b4c0; --line: #6e7781; --link: #7ab7ff; --paper: #121212; }}
}}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 1.125rem/1.55 Georgia, serif; }}
main {{ max-width: 37rem; margin: 12vh auto; padding: 0 1rem; }}
h1, form, li {{ font-family: system-ui, sans-serif; }}
h1 {{ margin: 0 0 1rem; font-size: 2.1rem; font-weight: 650; letter-spacing: -0.01em; }}
a {{ color: var(--link); }}
form {{ display: flex; gap: 0.5rem; margin: 1.5rem 0; }}
input, button {{ min-height: 2.75rem; padding: 0 0.8rem; border: 1px solid var(--line); border-radius: 6px; }}
input, button {{ font: inherit; }}
input {{ flex: 1; min-width: 0; background: var(--paper); color: inherit; }}
button {{ background: none; color: var(--link); cursor: pointer; }}
li {{ padding: 0.2rem 0; font-size: 1rem; }}
li::marker {{ color: var(--quiet); }}
</style>
</head>
<body>
<main>
<h1>There is no such page</h1>
<p>It may have moved. Search the book, begin at <a href="index.html">its cover</a>, or choose a chapter.</p>
<form action="search.html" role="search">
<input type="search" name="q" aria-label="Search the book"><button>Search</button>
</form>
<ol>
{chapters}</ol>
</main>
</body>
</html>
"""
