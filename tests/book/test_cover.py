"""The first page: numbers that are looked up, links from the ladder and the cards, EM that can be stepped through."""

import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.util.images import get_image_size

from aevb_utils.data import old_faithful
from aevb_utils.results import load
from tools import cover
from tools.notebooks import CHAPTERS, ROOT

sys.path.insert(0, str(ROOT / "book" / "extensions"))
import site_cover
import site_cover_figure
import site_cover_pictures

budget = import_module("aevb_utils.budget")
COVER = json.loads(cover.COVER.read_text(encoding="utf-8"))
STEPS = COVER["em"]["steps"]


@pytest.fixture(scope="module")
def article(site):
    page = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    return page.select_one("article")


def written(notebook: str, cell: str) -> str:
    """What a cell of a notebook prints."""
    (file,) = ROOT.glob(f"notebooks/{notebook}_*.ipynb")
    (found,) = [one for one in json.loads(file.read_text(encoding="utf-8"))["cells"] if one["id"] == cell]
    return "".join("".join(output.get("text", "")) for output in found["outputs"])


def test_the_first_sentence_says_what_a_reader_will_be_able_to_do(article):
    first = article.select_one("p").get_text()
    assert first.startswith("You will ")
    assert "VAE" in first
    assert first.count(". ") == 0


def test_the_results_are_those_that_are_stored_and_published(article):
    seeds = [run["accuracy"] for run in load("gmvae_seeds")["figures"]["runs"]]
    quadrants = load("quadrants")["figures"]["grey"]["1"]["conditional VAE"]["elbo"]
    bach = load("vrnn_chorales")["figures"]["runs"]["variational RNN"]["test"]["ELBO"]["a sequence"]
    mixture = re.findall(r"(?:starts, in nats|of theirs): (−[\d.]+)", written("02", "c82fa176"))
    gated = re.search(r"VAE, 2 × 300 gated.*?([\d.]+)$", written("07", "c07-table"), re.MULTILINE)
    pyro = re.search(r"Pyro  conditional VAE +−ELBO +([\d.]+)", written("08", "c08-074-table"))
    tutorial = re.search(r"source tutorial.* ([\d.]+)", written("09", "c09-table-print"))
    rerun = re.search(r"rerun \(1\) +ELBO +([\d.]+)", written("10", "c10-bach-table"))
    shown = [
        tuple(n.get_text() for n in li.select(".cover-number")) for li in article.select(".cover-results > ul > li")
    ]
    assert shown == [
        tuple(mixture),
        (f"{-load('vae_mnist')['figures']['iwae']['5000']:.2f}", gated[1]),
        (f"{-quadrants:.1f}", pyro[1]),
        (f"{sum(seeds) / len(seeds):.3f}", tutorial[1]),
        (f"{bach:.2f}", rerun[1]),
    ]


def test_each_result_leads_to_its_section_and_names_its_source(article):
    for result in article.select(".cover-results > ul > li"):
        name, numbers, terms = result.select("p")
        assert re.match(r"notebooks/\d\d_\w+\.html#\S+$", name.a["href"])
        assert len(numbers.select(".cover-number")) == 2
        assert terms.a, f"no source: {terms.get_text()}"


def test_no_number_of_a_result_is_typed():
    text = (ROOT / "index.md").read_text(encoding="utf-8")
    strip = text.partition("{container} cover-results")[2].partition("\n:::")[0]
    plain = re.sub(r"\{\w+(:\w)?\}`[^`]*`|\]\([^)]*\)", "", strip)
    assert not re.search(r"\d", plain), plain


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nothing/a", "there is no nothing.json"),
        ("vae_mnist/iwae", "is no number"),
        ("vae_mnist/iwae/7", "there is no '7'"),
        ("vae_mnist/iwae/*", "there is no '\\*'"),
    ],
)
def test_a_number_that_is_not_stored_is_not_found(path, reason):
    with pytest.raises(LookupError, match=reason):
        site_cover.stored(ROOT, path)


@pytest.mark.parametrize(
    ("cell", "words"), [("c07-table", "no such words"), ("no-cell", "VAE"), ("c07-table", "trained on")]
)
def test_a_number_that_is_not_printed_once_is_not_found(cell, words):
    with pytest.raises(LookupError, match=r"its words stand \d times"):
        site_cover.printed(ROOT, "07_variational_autoencoder", cell, words)


def test_three_doors_lead_on(article):
    doors = article.select(".cover-doors a")
    assert [door.strong.get_text() for door in doors] == ["Ten minutes", "An afternoon", "A term"]


def test_every_rung_and_every_card_opens_its_chapter(article):
    pages = [f"notebooks/{path.stem}.html" for path in CHAPTERS]
    for link in article.select(".cover-ladder a"):
        number = int(link.select_one(".cover-badge").get_text())
        assert link["href"] == pages[number - 1]
        assert link.get_text().startswith(f"chapter {number}: ")
    assert {link["href"] for link in article.select(".cover-ladder a")} == {*pages}
    assert [card.select_one("p.title a")["href"] for card in article.select(".cover-chapters > li")] == pages


def test_every_card_has_a_small_picture_of_its_own(site, article):
    pictures = article.select(".cover-chapters img")
    assert len({image["src"] for image in pictures}) == len({image["alt"] for image in pictures}) == len(CHAPTERS)
    for image in pictures:
        file = site / image["src"]
        assert file.stat().st_size <= site_cover_pictures.LARGEST, image["src"]
        assert get_image_size(str(file)) == (int(image["width"]), int(image["height"]))
        assert image["loading"] == "lazy"


def test_the_first_page_alone_has_its_style(site):
    own = [page.name for page in site.rglob("*.html") if "_static/cover.css" in page.read_text(encoding="utf-8")]
    assert own == ["index.html"]


def test_the_stored_ladder_is_that_of_the_code():
    assert COVER["ladder"] == json.loads(json.dumps(cover.ladder_rows())), "make export"


@pytest.mark.skipif("AEVB_DATA_DIR" not in os.environ, reason="AEVB_DATA_DIR names no folder with geyser.csv.")
def test_the_stored_steps_are_those_of_the_code(monkeypatch):
    monkeypatch.setattr(budget, "FAST", False)
    data = old_faithful()
    assert not data.fallback
    fresh = cover.em_steps(data.train)
    assert fresh["points"] == COVER["em"]["points"]
    for stored, step in zip(STEPS, fresh["steps"], strict=True):
        assert stored["kind"] == step["kind"]
        assert stored["evidence"] == pytest.approx(step["evidence"], abs=0.02)
        assert stored["elbo"] == pytest.approx(step["elbo"], abs=0.02)


def test_without_the_real_eruptions_the_stored_steps_stay(monkeypatch):
    monkeypatch.setattr(budget, "FAST", True)
    assert cover.content() is None


def test_the_steps_are_those_of_em():
    assert [step["kind"] for step in STEPS] == ["start", *["E", "M"] * cover.ROUNDS]
    gaps = {kind: [s["evidence"] - s["elbo"] for s in STEPS if s["kind"] == kind] for kind in ("start", "E", "M")}
    assert max(map(abs, gaps["E"])) < 0.02
    assert min(gaps["start"] + gaps["M"]) >= 0
    evidence = [step["evidence"] for step in STEPS]
    assert evidence == sorted(evidence)
    assert evidence[-1] == pytest.approx(-1130.26, abs=0.3)  # chapter 2's best


def test_a_ring_is_a_gaussians():
    """The unit circle's points are mapped to Mahalanobis distance one."""
    mean, covariance = [3.0, 70.0], [[0.25, 1.5], [1.5, 36.0]]
    a, b, c, d, x, y = map(float, site_cover_figure.ring(mean, covariance).split(","))
    across = (site_cover_figure.place(2, 0) - site_cover_figure.place(1, 0)) ** 2
    up = (site_cover_figure.place(2, 1) - site_cover_figure.place(1, 1)) ** 2
    assert a * a + c * c == pytest.approx(covariance[0][0] * across, rel=0.02)
    assert b * b + d * d == pytest.approx(covariance[1][1] * up, rel=0.15)
    assert (x, y) == (site_cover_figure.place(3.0, 0), site_cover_figure.place(70.0, 1))


def test_the_card_is_of_the_size_that_is_told(site):
    file = site / "_static" / "cover" / "card.png"
    assert get_image_size(str(file)) == (1200, 630)
    assert file.stat().st_size < 100_000


def test_a_chapter_without_its_figure_is_named(tmp_path):
    (tmp_path / "notebooks").mkdir()
    Path(tmp_path, "notebooks", "01_x.ipynb").write_text('{"cells": []}', encoding="utf-8")
    with pytest.raises(LookupError, match="Chapter 1 has no figure"):
        site_cover_pictures.picture(tmp_path, 1)
