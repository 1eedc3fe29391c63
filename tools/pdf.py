"""Print the built site as PDF: the whole book, the book without its code, and each notebook by itself.

A headless Chromium prints one HTML document for each PDF, made of the site's articles (``tools/articles.py``) with the
site's own styles, as on paper, and ``tools/paper.css``. The whole book is printed at once, so that links between
chapters are links in the PDF and fonts are in it once. Its title page and contents are printed after it, when the
numbers of the pages are known, and put in front by pypdf, which also writes the outline, the page labels (i, ii, … in
front, then 1, 2, …) and the metadata. A notebook's own PDF ends with the works that it cites. It is tagged, for screen
readers; the whole book is not, since it would be four times as large.

The files go to ``downloads`` in the site, whose pages then offer them.
"""

import base64
import copy
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from posixpath import normpath

from bs4 import BeautifulSoup, Tag
from pypdf import PdfReader, PdfWriter
from pypdf.generic import BooleanObject, DictionaryObject, Fit, IndirectObject, NameObject

from tools.articles import FRONT, SITE, Article, Book, Heading, SiteError, read_book, redirect
from tools.browser import find_browser, missing
from tools.commands import command
from tools.downloads import FOLDER, offer

logging.getLogger("pypdf").setLevel(logging.ERROR)  # it counts a browser's objects twice, and warns of it

PAPER = Path(__file__).with_name("paper.css")
LADDER = "_static/ladder.svg"
SHEET = re.compile(r'<link\b[^>]*href="([^"?]*\.css)[^"]*"')
FONT = re.compile(r'url\("?([^")]+\.woff2)"?\)')
LATE = re.compile(r"font-display: *(?:optional|swap)")
WITHIN = "https://book.invalid/#"  # what links of the contents lead to, until they are in one file with the text
BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-pdf-header-footer")
LONG = 14  # lines of code that may be parted by the end of a page


class PrintError(Exception):
    """Nothing can be printed; the message is one sentence."""


@dataclass(frozen=True)
class Edition:
    """What is printed: its title, what is said of it, its articles, and whether it has contents and tags."""

    title: str
    said: str
    articles: Sequence[Article]
    contents: bool = True
    tagged: bool = False


def print_edition(book: Book, edition: Edition, browser: str, file: Path) -> int:
    """Print an edition to a file; return how many pages it has.

    Raises:
        PrintError: the browser fails.
    """
    styles = styles_of(book.site)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        body = _print(browser, document(book, edition, styles), Path(folder, "body"), tagged=edition.tagged)
        writer = PdfWriter(clone_from=body)
        places = _places(writer)
        headings = [heading for article in edition.articles for heading in article.headings()]
        shown = [heading for heading in headings if heading.anchor in places]
        front = 0
        if edition.contents:
            front = _put_in_front(writer, book, edition, shown, places, styles, browser, Path(folder, "front"))
        _write_outline(writer, shown, places, front)
        if front:
            writer.set_page_label(0, front - 1, style="/r")
        writer.set_page_label(front, len(writer.pages) - 1, style="/D")
        _describe(writer, book, edition)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        writer.write(partial)
        partial.replace(file)
        return len(writer.pages)


# The documents that are printed


def styles_of(site: Path) -> str:
    """The site's style sheets and that of paper; the book's fonts are in them, so that none comes too late."""
    page = (site / FRONT).read_text(encoding="utf-8")
    text = ""
    for href in SHEET.findall(page[: page.find("</head>")]):
        sheet = site / normpath(FRONT.parent / href)
        if sheet.name == "book.css":
            rules = FONT.sub(
                lambda found, sheet=sheet: _held(sheet.parent / found[1]), sheet.read_text(encoding="utf-8")
            )
            text += f"<style>{LATE.sub('font-display: block', rules)}</style>\n"
        else:
            text += f'<link rel="stylesheet" href="{sheet.as_uri()}">\n'
    return f"{text}<style>{PAPER.read_text(encoding='utf-8')}</style>\n"


def _held(font: Path) -> str:
    return f'url("data:font/woff2;base64,{base64.b64encode(font.read_bytes()).decode()}")'


def document(book: Book, edition: Edition, styles: str) -> str:
    """The text of an edition. A link that is not shown leads to each heading: the browser then notes its place."""
    running, body, part = "", [], ""
    for number, article in enumerate(edition.articles):
        words = article.title.replace("\\", "").replace('"', "'")
        running += f'@page a{number} {{ @top-right {{ content: "{words}"; }} }}\n'
        running += f"#{_escaped(article.key)} {{ page: a{number}; }}\n"
        text = str(_on_paper(article.tree, book.site))
        above = book.title if not edition.contents else article.part if article.part != part else ""
        part = article.part
        label = f'<p class="aevb-part">{escape(above)}</p>' if above else ""
        known = "".join(f'<a hidden href="#{heading.anchor}"></a>' for heading in article.headings())
        begins = text.index(">") + 1
        body.append(f"{text[:begins]}{label}{known}{text[begins:]}")
    return _page(edition.title, f"{styles}<style>{running}</style>", "\n".join(body))


def _escaped(key: str) -> str:
    return re.sub(r"[^\w-]", lambda found: f"\\{found[0]}", key)


def _page(title: str, head: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en" data-theme="light"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title>\n{head}</head>\n"
        f'<body><div class="bd-content"><div class="bd-paper">{body}</div></div></body></html>\n'
    )


def _on_paper(tree: Tag, site: Path) -> Tag:
    """An article whose images are found from anywhere, and whose long code may be parted."""
    tree = copy.copy(tree)
    for image in tree.find_all("img", src=True):
        if ":" not in image["src"]:
            image["src"] = (site / image["src"]).as_uri()
    for code in tree.select("pre"):
        if code.get_text().count("\n") > LONG:
            code["class"] = [*code.get("class", []), "aevb-long"]
            for around in code.parents:
                if "cell_input" in around.get("class", []):
                    around["class"] = [*around["class"], "aevb-long"]
                    break
    return tree


def _front(book: Book, edition: Edition, headings: Iterable[Heading], places: dict[str, tuple[int, float]]) -> str:
    """Title page and contents."""
    ladder = f'<img src="{(book.site / LADDER).as_uri()}" alt="">' if (book.site / LADDER).is_file() else ""
    where = (
        f'<p class="aevb-small"><a href="{escape(book.address)}">{escape(book.address)}</a></p>' if book.address else ""
    )
    cover = (
        f'<section class="aevb-cover"><h1>{escape(book.title)}</h1><p>{escape(edition.said)}</p>{ladder}'
        f'<p class="aevb-small">{escape(book.author)}, {escape(book.year)}. Text and figures: CC BY 4.0. Code: MIT.</p>'
        f"{where}</section>"
    )
    parts = {article.key: article.part for article in edition.articles}
    titles = {article.key: article.title for article in edition.articles}
    lines, part = [], ""
    for heading in headings:
        key = heading.anchor.split(".")[0]
        if heading.level > 2:
            continue
        if parts[key] != part:
            part = parts[key]
            lines.append(f"<h2>{escape(part)}</h2>")
        words = titles[key] if heading.level == 1 else heading.words
        lines.append(
            f'<a class="aevb-level-{heading.level}" href="{WITHIN}{heading.anchor}"><span>{escape(words)}</span>'
            f"<span>{places[heading.anchor][0] + 1}</span></a>"
        )
    return f'{cover}<section class="aevb-contents"><h1>Contents</h1>{"".join(lines)}</section>'


def _print(browser: str, page: str, path: Path, *, tagged: bool) -> PdfReader:
    """Print an HTML document.

    Raises:
        PrintError: the browser fails.
    """
    document, file, profile = path.with_suffix(".html"), path.with_suffix(".pdf"), path.with_suffix(".profile")
    document.write_text(page, encoding="utf-8")
    options = [*BROWSER, f"--user-data-dir={profile}", *([] if tagged else ["--disable-pdf-tagging"])]
    call = [browser, *options, f"--print-to-pdf={file}", document.as_uri()]
    done = subprocess.run(call, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode or not file.is_file():
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise PrintError(f"{browser} could not print {path.name}.html and ended with {done.returncode}: {said}")
    return PdfReader(file)


# What is written into a PDF


def _places(writer: PdfWriter) -> dict[str, tuple[int, float]]:
    """The page, counted from 0, and the height on it of each anchor."""
    pages = {page.indirect_reference.idnum: number for number, page in enumerate(writer.pages)}
    found = writer.root_object.get("/Dests", DictionaryObject()).get_object()
    places = {}
    for name, place in found.items():
        page, _, _, top, *_ = place.get_object()
        places[name.removeprefix("/")] = (pages[page.idnum], float(top))
    return places


def _put_in_front(
    writer: PdfWriter,
    book: Book,
    edition: Edition,
    headings: Sequence[Heading],
    places: dict[str, tuple[int, float]],
    styles: str,
    browser: str,
    path: Path,
) -> int:
    """Put title page and contents in front of the text; return how many pages they have."""
    page = _page(edition.title, styles, _front(book, edition, headings, places))
    front = _print(browser, page, path, tagged=False)
    for number, sheet in enumerate(front.pages):
        writer.insert_page(sheet, number)
        for note in writer.pages[number].get("/Annots", []):
            link = note.get_object()
            address = str(link.get("/A", {}).get("/URI", ""))
            if address.startswith(WITHIN):
                link[NameObject("/Dest")] = NameObject(f"/{address.removeprefix(WITHIN)}")
                del link["/A"]
    return len(front.pages)


def _write_outline(
    writer: PdfWriter, headings: Iterable[Heading], places: dict[str, tuple[int, float]], front: int
) -> None:
    """Write the bookmarks: pages of the book, their sections, and what these are made of."""
    above: dict[int, IndirectObject] = {}
    for heading in headings:
        page, top = places[heading.anchor]
        parent = above.get(heading.level - 1)
        item = writer.add_outline_item(
            title=heading.words, page_number=page + front, parent=parent, is_open=False, fit=Fit.xyz(top=top)
        )
        above = {level: entry for level, entry in above.items() if level < heading.level} | {heading.level: item}


def _describe(writer: PdfWriter, book: Book, edition: Edition) -> None:
    said = {"/Title": edition.title, "/Author": book.author, "/Subject": edition.said}
    writer.add_metadata(said | {"/Keywords": "EM, ELBO, variational inference, AEVB, VAE", "/Creator": "Jupyter Book"})
    root = writer.root_object
    root[NameObject("/PageMode")] = NameObject("/UseOutlines")
    root[NameObject("/ViewerPreferences")] = DictionaryObject({NameObject("/DisplayDocTitle"): BooleanObject(True)})


# The editions


def alone(book: Book, article: Article) -> Edition:
    """A notebook by itself, with the works that it cites; links to other pages lead to the site, where it has one."""
    tree = copy.copy(article.tree)
    cited = {link["href"][1:] for link in tree.find_all("a", href=re.compile("^#"))}
    works = [
        work
        for other in book.articles
        if other.key != article.key
        for work in other.tree.select("div.citation")
        if work.get("id") in cited
    ]
    if works:
        section = BeautifulSoup("", "html.parser").new_tag("section", attrs={"id": f"{article.key}.works-cited"})
        section.append(BeautifulSoup("<h2>Works cited</h2>", "html.parser"))
        for work in works:
            section.append(copy.copy(work))
        tree.append(section)
    here = {tag["id"] for tag in tree.find_all(id=True)}
    articles = book.by_key()

    def leads(anchor: str) -> str | None:
        if anchor in here or not book.address:
            return f"#{anchor}" if anchor in here else None
        key, _, fragment = anchor.partition(".")
        return f"{book.address}{articles[key].page}" + (f"#{fragment}" if fragment else "")

    redirect(tree, leads)
    title = f"{article.title} · {book.title}"
    said = f"A part of the book {book.title}."
    return Edition(title, said, [replace(article, tree=tree)], contents=False, tagged=True)


@command
def main(site: Path = SITE) -> int:
    """Print all editions into the site; return 1 where they cannot be printed."""
    browser = find_browser()
    if browser is None:
        print(f"{missing('the PDFs')[:1].upper()}{missing('the PDFs')[1:]}.", file=sys.stderr)
        return 1
    try:
        book = read_book(site)
        folder = site / FOLDER
        whole = "An executable book on training latent variable models"
        editions = [(book.name, Edition(book.title, f"{whole}.", book.articles))]
        editions += [(a.page.stem, alone(book, a)) for a in book.articles if a.page.parent.name == "notebooks"]
        for name, edition in editions:
            _report(print_edition(book, edition, browser, folder / f"{name}.pdf"), folder / f"{name}.pdf")
        book.leave_out_code()
        short = Edition(f"{book.title}, without code", f"{whole}. Edition without code.", book.articles)
        file = folder / f"{book.name}-without-code.pdf"
        _report(print_edition(book, short, browser, file), file)
        offer(site)
    except (SiteError, PrintError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _report(pages: int, file: Path) -> None:
    print(f"{file.name}: {pages} pages, {file.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
