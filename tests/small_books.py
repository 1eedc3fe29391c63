"""A book of some of the site's pages, which is printed and bound in seconds."""

from pathlib import Path

import pytest

from tools import articles

PAGES = ("index", "play", "torch_distributions", "bibliography")


def small_book(site: Path) -> articles.Book:
    """The first page, one of figures, a notebook, and the bibliography that it cites from."""
    every = articles.pages_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(articles, "pages_of", lambda site: [page for page in every(site) if page[0].stem in PAGES])
        return articles.read_book(site)
