"""What helps a reader on a page: colors of quantities, ways into the page, captions true in the dark, back-links."""

import re
import sys

import pytest
from site_build import page_names

from tools.notebooks import ROOT

sys.path.append(str(ROOT / "book/extensions"))
import site_reading
from site_colors import in_color, in_headings
from site_math import ANNOTATION, mathml


@pytest.mark.parametrize(
    ("latex", "kinds"),
    [
        (r"q_\phi(z \mid x)", ["q"]),
        (r"p_\theta(z \mid x)", ["posterior"]),
        (r"p_\theta(x \mid z) p(z)", []),
        (r"p(z_t \mid x_{1:t-1})", []),  # a prediction
        (r"\log p_\theta(x)", []),  # the evidence is black
        (r"\mathcal{L}(\theta, q) + \operatorname{KL}(q \parallel p(z \mid x))", ["elbo", "q", "kl", "q", "posterior"]),
        (r"\mathbb{E}_{q(z)}[\log q(z)]", ["q", "q"]),
        (r"\sqrt{x} \neq 1", []),
        (r"-\log q(z)", ["q"]),
    ],
)
def test_quantities_of_a_formula_have_their_colors(latex, kinds):
    assert re.findall(r'class="aevb-(\w+)"', mathml(latex, displayed=False)) == kinds
    assert "color:" not in mathml(latex, displayed=False)


def test_the_latex_that_is_copied_knows_no_colors():
    written = ANNOTATION.search(mathml(r"q(z) < p(z \mid x)", displayed=True))[0]
    assert r"q(z) &lt; p(z \mid x)" in written


def test_an_accent_stands_over_its_letter_and_a_subscript_ends_before_the_bracket():
    assert in_color(r"\bar q(z)") == r"{\color{magenta}\bar q(z)}"
    assert in_color(r"\mathbb E_q(x - z)^2") == r"\mathbb E_{\color{magenta}q}(x - z)^2"
    bar = re.search(r"<mover[^>]*>(.*?)</mover>", mathml(r"\bar q(z)", displayed=False), re.DOTALL)[1]
    assert "(" not in bar


def test_only_the_quantities_themselves_are_colored():
    assert in_color(r"\text{square}") == r"\text{square}"
    heading = '<h2>The ELBO and the posterior mean<a class="headerlink" href="#the-elbo">#</a></h2>'
    colored = in_headings(heading)
    assert colored.count("<span") == 2
    assert 'href="#the-elbo"' in colored
    assert in_headings(colored) == colored


def test_a_caption_says_white_for_what_is_white_in_the_dark():
    once = site_reading.true_in_the_dark('<figcaption>Evidence (black) <img alt="black"></figcaption>')
    assert 'class="only-dark">white<' in once
    assert 'alt="black"' in once
    assert site_reading.true_in_the_dark(once) == once


def test_each_chapter_leads_to_what_to_remember(site):
    for name in page_names(site):
        if not re.match(r"notebooks/\d", name):
            continue
        page = (site / name).read_text(encoding="utf-8")
        assert page.count('class="aevb-ways"') == 1
        assert page.index("</h1>", page.index("<article")) < page.index('class="aevb-ways"')
        assert '<a href="#summary">What to remember</a>' in page


def test_sections_are_numbered_and_exercises_have_their_own_numbers(site):
    page = (site / "notebooks/04_amortization.html").read_text(encoding="utf-8")
    assert re.search(r'<h3><span class="section-number">4\.\d+\.\d+', page)
    assert re.search(r"<h3>Exercise 4\.1", page)
    assert not re.search(r"4\.\d+\.\d+\.?\s*(</span>)?Exercise", page)


def test_the_bibliography_says_where_a_work_is_cited(site):
    page = (site / "book/bibliography.html").read_text(encoding="utf-8")
    entries = re.findall(r'<div class="citation" id="([^"]+)">(.*?)</div>', page, re.DOTALL)
    assert len(entries) > 50
    for anchor, entry in entries:
        links = re.findall(r'href="([^"#]+)#([^"]*)">([^<]+)</a>', entry.partition("aevb-cited")[2])
        assert links, f"{anchor} is cited nowhere"
        for address, section, _ in links:
            where = (site / "book" / address).read_text(encoding="utf-8")
            assert f"bibliography.html#{anchor}" in where
            assert f'id="{section}"' in where
