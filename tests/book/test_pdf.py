"""The PDFs: outline, numbers of the pages, links, editions. Some pages of the book are printed."""

import re
import sys
import unicodedata

import pytest
from chromium import PATH, chromium
from pypdf import PdfReader
from small_books import small_book

from tools import pdf

CODE = "from torch.distributions import"


@pytest.fixture(scope="module")
def printed(site, tmp_path_factory):
    """The whole, the whole without code, and a notebook by itself, with the book that they are printed from."""
    folder = tmp_path_factory.mktemp("printed")
    book = small_book(site)
    alone = pdf.alone(book, book.by_key()["torch_distributions"])
    pdf.print_edition(book, pdf.Edition(book.title, "All.", book.articles), PATH, folder / "whole.pdf")
    pdf.print_edition(book, alone, PATH, folder / "alone.pdf")
    with_code = pdf.document(book, alone, pdf.styles_of(site))
    book.leave_out_code()
    pdf.print_edition(book, pdf.Edition(book.title, "Some.", book.articles), PATH, folder / "short.pdf")
    return book, with_code, {name: PdfReader(folder / f"{name}.pdf") for name in ("whole", "alone", "short")}


@pytest.fixture(scope="module")
def texts(printed):
    """The text of each page, by edition."""
    return {name: [page.extract_text() for page in reader.pages] for name, reader in printed[2].items()}


def squeezed(text: str) -> str:
    """A text without what browsers and fonts do to spaces, dashes and letters in formulas."""
    return re.sub(r"\W+", "", unicodedata.normalize("NFKC", text))


def outline_of(reader: PdfReader) -> list[tuple[str, int, list]]:
    """The bookmarks: words, page counted from 0, those below."""

    def read(entries: list) -> list:
        found: list = []
        for entry in entries:
            if isinstance(entry, list):
                found[-1] = (*found[-1][:2], read(entry))
            else:
                found.append((entry.title, reader.get_destination_page_number(entry), []))
        return found

    return read(reader.outline)


@pytest.mark.parametrize("edition", ["whole", "short"])
def test_the_outline_leads_to_the_headings(printed, texts, edition):
    book, _, readers = printed
    outline = outline_of(readers[edition])
    assert [squeezed(words) for words, _, _ in outline] == [
        squeezed(next(article.headings()).words) for article in book.articles
    ]
    assert sum(len(below) for _, _, below in outline) > 15
    for words, page, below in outline:
        for title, at in [(words, page), *((title, at) for title, at, _ in below)]:
            assert squeezed(title) in squeezed(texts[edition][at]), title
        assert [at for _, at, _ in below] == sorted(at for _, at, _ in below)


@pytest.mark.parametrize(("edition", "first"), [("whole", 2), ("short", 2), ("alone", 0)])
def test_each_page_bears_its_number(printed, texts, edition, first):
    reader = printed[2][edition]
    labels = reader.page_labels
    assert labels[:first] == ["i", "ii"][:first]
    assert labels[first:] == [str(number + 1) for number in range(len(reader.pages) - first)]
    for label, text in list(zip(labels, texts[edition], strict=True))[1:]:
        assert label in text.split()


def test_the_contents_name_the_pages(printed, texts):
    contents = " ".join(texts["whole"][1].split())
    for words, page, _ in outline_of(printed[2]["whole"]):
        assert re.search(rf"{re.escape(words)} {page - 1}\b", contents), words


@pytest.mark.parametrize("edition", ["whole", "short", "alone"])
def test_every_link_leads_somewhere(printed, edition):
    reader = printed[2][edition]
    places = {name.lstrip("/") for name in reader.named_destinations}
    inner, outer, across = set(), set(), 0
    for page in reader.pages:
        for note in page.get("/Annots", []):
            link = note.get_object()
            if link["/Subtype"] != "/Link":
                continue
            if "/Dest" in link:
                inner.add(str(link["/Dest"]).lstrip("/"))
                across += "bibliography" in str(link["/Dest"])
            else:
                outer.add(str(link["/A"]["/URI"]))
    assert inner
    assert inner <= places
    assert across
    assert [
        address for address in outer if not address.startswith(("https://", "http://")) or "invalid" in address
    ] == []


def test_the_edition_without_code_has_none(texts):
    words = {name: " ".join(pages) for name, pages in texts.items()}
    assert CODE in words["whole"]
    assert CODE in words["alone"]
    assert CODE not in words["short"]
    assert "import torch" not in words["short"]
    assert len(texts["short"]) < len(texts["whole"])


def test_a_notebook_by_itself_has_the_works_that_it_cites(texts):
    assert re.search(r"Works cited.*arXiv:1912\.01703", " ".join(texts["alone"]), re.DOTALL)


def test_a_notebook_by_itself_is_tagged_and_says_what_it_is(printed):
    book, _, readers = printed
    assert "/StructTreeRoot" in readers["alone"].root_object
    assert readers["alone"].metadata.title == f"A primer on torch.distributions · {book.title}"
    assert readers["whole"].metadata.author == book.author
    assert readers["whole"].root_object["/PageMode"] == "/UseOutlines"


def test_paper_is_white_where_screens_are_dark(printed, tmp_path):
    file = tmp_path / "paper.html"
    file.write_text(printed[1], encoding="utf-8")
    with chromium() as browser, browser.new_page(color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        page.goto(file.as_uri())
        dark = page.evaluate(
            """() => [...document.querySelectorAll('body, body *')].filter((element) => {
                const style = getComputedStyle(element);
                const [red, green, blue, alpha] = style.backgroundColor.match(/[\\d.]+/g).map(Number);
                return (alpha !== 0 && Math.min(red, green, blue) < 200) || style.filter !== 'none';
            }).map((element) => element.outerHTML.slice(0, 100))"""
        )
        folded = page.locator("details, button, input, script").count()
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert (dark, folded, wide) == ([], 0, False)


def test_a_browser_that_fails_is_a_sentence(printed, tmp_path):
    book = printed[0]
    with pytest.raises(pdf.PrintError, match=r"could not print body\.html and ended with \d+"):
        pdf.print_edition(book, pdf.Edition("", "", book.articles[:1]), sys.executable, tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()
