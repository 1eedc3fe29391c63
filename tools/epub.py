"""Bind the built site as an EPUB 3: its articles (``tools/articles.py``) as XHTML, with MathML, and no scripts.

Sphinx has a builder for this too, but it shows notebooks with what only a screen can do, and knows nothing of what the
book's extensions do when the site is finished. An e-reader gets the site's own figures, alternative texts and formulas;
each formula also says its LaTeX, or its letters, to readers that draw no MathML. The file goes to ``downloads`` in the
site, whose pages then offer it.
"""

import mimetypes
import os
import re
import sys
import time
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from tools.articles import SITE, Article, Book, Heading, SiteError, read_book, redirect, words_of
from tools.commands import command
from tools.downloads import FOLDER, offer

STYLE = Path(__file__).with_name("epub.css")
MATH_FONT = "_static/fonts/stix-two-math.woff2"
MATHML = "http://www.w3.org/1998/Math/MathML"
STYLES = ("displaystyle", "scriptlevel")  # which MathML 3, that of EPUB, has on mstyle
OLD = {"align", "border", "cellpadding", "cellspacing", "frame", "rules", "valign"}  # of tables, in old HTML
OLD_ROLE = re.compile("^(list|listitem|presentation|doc-biblioentry)$")
TYPES = {".woff2": "font/woff2", ".xhtml": "application/xhtml+xml", ".css": "text/css", ".svg": "image/svg+xml"}

PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><title>{title}</title><link rel="stylesheet" href="book.css"/></head>
<body>
{body}
</body>
</html>
"""
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en"
 prefix="schema: http://schema.org/">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{identifier}</dc:identifier>
<dc:title>{title}</dc:title>
<dc:creator>{author}</dc:creator>
<dc:language>en</dc:language>
<dc:date>{year}</dc:date>
<dc:description>{description}</dc:description>
<dc:rights>Text and figures: CC BY 4.0. Code: MIT.</dc:rights>
<meta property="dcterms:modified">{modified}</meta>
<meta property="schema:accessMode">textual</meta>
<meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual,visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">structuralNavigation</meta>
<meta property="schema:accessibilityFeature">tableOfContents</meta>
<meta property="schema:accessibilityFeature">readingOrder</meta>
<meta property="schema:accessibilityHazard">none</meta>
<meta property="schema:accessibilitySummary">Formulas are MathML, and figures have alternative texts.</meta>
</metadata>
<manifest>
{manifest}
</manifest>
<spine>
{spine}
</spine>
</package>
"""
COVER = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 900" width="600" height="900">
<title>{title}</title>
<rect width="600" height="900" fill="#fff"/>
<rect x="24" y="24" width="552" height="852" fill="none" stroke="#0b4fa0" stroke-width="3"/>
<g font-family="Helvetica, Arial, sans-serif" text-anchor="middle">
<text x="300" y="250" font-size="58" font-weight="bold" fill="#111">{title}</text>
<text x="300" y="310" font-size="24" fill="#444">An executable book on training</text>
<text x="300" y="342" font-size="24" fill="#444">latent variable models</text>
<text x="300" y="820" font-size="20" fill="#444">{author}</text>
</g>
<g fill="none" stroke-width="14" stroke-linecap="round">
<path d="M150 620 C 220 620 230 440 300 440 S 380 620 450 620" stroke="#0b4fa0"/>
<path d="M150 620 C 240 620 260 500 330 500 S 390 620 450 620" stroke="#e69f00"/>
</g>
</svg>
"""


def bind(book: Book, file: Path) -> None:
    """Write the EPUB."""
    pages = {f"{article.key}.xhtml": _text(book, article) for article in book.articles}
    cover = f'<section epub:type="cover"><img src="cover.svg" alt="{escape(book.title)}"/></section>'
    made = {"cover.xhtml": _page(book.title, cover), "nav.xhtml": _navigation(book)} | pages
    images = sorted({image["src"] for article in book.articles for image in article.tree.find_all("img", src=True)})
    contents: dict[str, bytes] = {name: text.encode() for name, text in made.items()}
    contents["book.css"] = STYLE.read_bytes()
    contents["cover.svg"] = COVER.format(title=escape(book.title), author=escape(book.author)).encode()
    contents["fonts/stix-two-math.woff2"] = (book.site / MATH_FONT).read_bytes()
    contents |= {_image(source): (book.site / source).read_bytes() for source in images}
    contents["package.opf"] = _package(book, contents, ["cover.xhtml", "nav.xhtml", *pages]).encode()
    moment = time.gmtime(_moment())[:6]
    partial = file.with_suffix(".partial")
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        first = zipfile.ZipInfo("mimetype", moment)
        archive.writestr(first, "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr(zipfile.ZipInfo("META-INF/container.xml", moment), CONTAINER, zipfile.ZIP_DEFLATED)
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(f"book/{name}", moment), content, zipfile.ZIP_DEFLATED)
    partial.replace(file)


def _moment() -> float:
    """Now, or the moment that ``SOURCE_DATE_EPOCH`` names, as for every build that can be repeated."""
    return float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())


def _image(source: str) -> str:
    """What an image of the site is called in the book."""
    return f"images/{source.replace('/', '-').lstrip('_')}"


def _text(book: Book, article: Article) -> str:
    """An article as a page of the EPUB."""
    tree = article.tree
    redirect(tree, lambda anchor: f"{anchor.split('.')[0]}.xhtml#{anchor}")
    for image in tree.find_all("img", src=True):
        image["alt"] = image.get("alt", "")
    for formula in tree.find_all("math"):
        formula["xmlns"] = MATHML
        note = formula.find("annotation")
        formula["alttext"] = words_of(note) if note else words_of(formula)
        if note:
            note["encoding"] = "application/x-tex"
    for tag in tree.find_all(_styled):
        moved = {name: tag.attrs.pop(name) for name in STYLES if name in tag.attrs}
        tag.wrap(BeautifulSoup("", "html.parser").new_tag("mstyle", attrs=moved))
    for tag in tree.find_all(True):
        for name in OLD & tag.attrs.keys():
            del tag[name]
        if tag.name in ("th", "td", "p", "div", "span") and OLD_ROLE.match(tag.get("role", "")):
            del tag["role"]
    text = "".join(child.decode(formatter="minimal") for child in tree.children if isinstance(child, Tag))
    for image in {image["src"] for image in tree.find_all("img", src=True)}:
        text = text.replace(f'src="{image}"', f'src="{_image(image)}"')
    begins = f'<article id="{article.key}" epub:type="{"chapter" if article.is_chapter else "division"}">'
    return _page(article.title, f"{begins}{text}</article>")


def _styled(tag: Tag) -> bool:
    return tag.name not in ("math", "mstyle") and any(name in tag.attrs for name in STYLES)


def _page(title: str, body: str) -> str:
    return PAGE.format(title=escape(title), body=body)


def _navigation(book: Book) -> str:
    """The contents: parts, pages of the book, their sections."""
    entries, part = [], None
    for article in book.articles:
        sections = [heading for heading in article.headings() if heading.level == 2]
        inner = "".join(f"<li>{_link(article, heading)}</li>\n" for heading in sections)
        entry = f'<li><a href="{article.key}.xhtml">{escape(article.title)}</a>'
        entry += f"<ol>\n{inner}</ol></li>\n" if inner else "</li>\n"
        if article.part != part and article.part:
            entries.append("</ol></li>\n" if part else "")
            entries.append(f"<li><span>{escape(article.part)}</span><ol>\n")
        part = article.part
        entries.append(entry)
    closed = "</ol></li>\n" if part else ""
    contents = f'<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>\n{"".join(entries)}{closed}</ol></nav>'
    first = next((article for article in book.articles if article.is_chapter), book.articles[0])
    marks = (
        '<nav epub:type="landmarks" hidden="hidden"><h2>Places</h2><ol>'
        '<li><a epub:type="cover" href="cover.xhtml">Cover</a></li>'
        '<li><a epub:type="toc" href="nav.xhtml#toc">Contents</a></li>'
        f'<li><a epub:type="bodymatter" href="{first.key}.xhtml">Text</a></li></ol></nav>'
    )
    return _page("Contents", contents + marks)


def _link(article: Article, heading: Heading) -> str:
    return f'<a href="{article.key}.xhtml#{heading.anchor}">{escape(heading.words)}</a>'


def _package(book: Book, contents: dict[str, bytes], spine: Iterable[str]) -> str:
    names = {name: f"item-{number}" for number, name in enumerate(contents)}
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, book.address or book.title)
    return PACKAGE.format(
        identifier=identifier,
        title=escape(book.title),
        author=escape(book.author),
        year=escape(book.year),
        description="An executable book on training latent variable models, with all outputs in place.",
        modified=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_moment())),
        manifest="\n".join(_items(contents, names)),
        spine="\n".join(f'<itemref idref="{names[name]}"/>' for name in spine),
    )


def _items(contents: dict[str, bytes], names: dict[str, str]) -> Iterator[str]:
    for name, content in contents.items():
        kind = TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0]
        properties = {"nav.xhtml": "nav", "cover.svg": "cover-image"}.get(name, "")
        if name.endswith(".xhtml") and b"<math" in content:
            properties = f"{properties} mathml".strip()
        said = f' properties="{properties}"' if properties else ""
        yield f'<item id="{names[name]}" href="{name}" media-type="{kind}"{said}/>'


@command
def main(site: Path = SITE) -> int:
    """Bind the book into the site; return 1 where there is none."""
    try:
        book = read_book(site)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    file = site / FOLDER / f"{book.name}.epub"
    bind(book, file)
    offer(site)
    print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
