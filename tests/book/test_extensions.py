"""What the site's extensions make: formulas as MathML, fonts cut to what pages show, images and sounds as files."""

import base64
import re
import sys

import pytest
from docutils import nodes
from docutils.utils import new_document
from fontTools.ttLib import TTFont
from math_core import LatexError
from site_build import page_names

from tools.notebooks import ROOT

sys.path.insert(0, str(ROOT / "book" / "extensions"))
import site_math
import site_repairs
from site_fonts import ITALICS, letters_of
from site_formula_lines import in_lines
from site_images import with_files, with_sizes

MATH_FONT = "_static/fonts/stix-two-math.woff2"


def inline(latex: str) -> list[str]:
    return in_lines(site_math.mathml(latex, displayed=False))


def words(formula: str) -> str:
    return re.sub(r"<[^>]*>", "", formula)


def test_a_tag_becomes_the_number_beside_the_formula():
    shown = site_math.displayed(r"a = b \tag{3.16}")
    assert '<span class="eqno">(3.16)</span>' in shown
    assert "tag" not in shown
    assert '<annotation encoding="application/x-tex">a = b</annotation>' in shown


def test_a_number_of_sphinx_is_shown_too_and_none_where_there_is_none():
    assert "(1)</span>" in site_math.displayed("a", "1")
    assert "eqno" not in site_math.displayed("a")


def test_a_formula_that_is_not_understood_is_an_error():
    with pytest.raises(LatexError, match="nosuchcommand"):
        site_math.mathml(r"\nosuchcommand", displayed=False)


def test_a_sized_bracket_under_a_script_keeps_its_size():
    assert re.search(
        r"<msup><mrow><mo [^>]*minsize[^>]*>\)</mo></mrow>", site_math.mathml(r"\Bigr)^2", displayed=False)
    )


@pytest.mark.parametrize(
    ("latex", "pieces"),
    [
        (r"q(z) = p(x)", ["q(z)=", "p(x)"]),
        (r"a \le b \le c", ["a≤", "b≤", "c"]),
        (r"f(a = b)", ["f(a=b)"]),  # not between brackets
        (r"\frac{a = b}{c}", ["a=bc"]),  # nor inside
        (r"a + b", ["a+b"]),  # short
        (r"= 3", ["=3"]),
        (r"L = {}", ["L="]),
        (r"a < b", ["a&lt;", "b"]),
    ],
)
def test_a_line_breaks_after_a_relation_on_the_top_level(latex, pieces):
    assert [words(piece) for piece in inline(latex)] == pieces


def test_a_long_sum_breaks_after_a_sign_and_each_piece_is_a_formula():
    pieces = inline("abcdefghijklm + nop")
    assert [words(piece) for piece in pieces] == ["abcdefghijklm+", "nop"]
    assert all(piece.startswith("<math>") and piece.endswith("</math>") for piece in pieces)
    assert '<mo form="infix">+</mo></math>' in pieces[0]


def test_stops_and_brackets_stay_with_their_formula():
    document = new_document("page")
    document += nodes.paragraph(
        "", "", nodes.Text("so ("), nodes.math("", "a"), nodes.Text("), and "), nodes.math("", "b")
    )
    site_math._tie(None, document, "page")
    first, second = document.findall(nodes.math)
    assert (first["before"], first["after"]) == ("(", "),")
    assert "before" not in second
    assert "after" not in second
    assert [text.astext() for text in document.findall(nodes.Text)] == ["so ", "a", " and ", "b"]


def test_the_letters_of_a_page_are_those_that_are_drawn():
    page = "x <math><mi>q</mi><mo>≤</mo><mi>log</mi><annotation>\\le Z</annotation></math> ω"
    assert letters_of(page) == {*"q≤log", ITALICS["q"]}


def test_the_font_of_formulas_has_all_their_letters_and_is_small(site):
    has = set(TTFont(site / MATH_FONT).getBestCmap())
    ignored = {0x2061, 0x2062, 0x2063, 0xFE00, 0x20, 0xA0, 0x200B}  # not drawn
    missing = {
        letter
        for name in page_names(site)
        for letter in letters_of((site / name).read_text(encoding="utf-8"))
        if ord(letter) not in has | ignored
    }
    assert not missing, f"drawn by another font: {sorted(missing)}"
    assert (site / MATH_FONT).stat().st_size < 80_000


def test_no_page_holds_latex_or_asks_for_a_script_that_sets_it(site):
    for name in page_names(site):
        page = (site / name).read_text(encoding="utf-8")
        assert not re.search(
            r"\\\(|\\\[", re.sub(r"<annotation.*?</annotation>|<pre.*?</pre>", "", page, flags=re.DOTALL)
        )
        assert "mathjax/" not in page
        assert "fontawesome.js" not in page


def test_images_have_their_sizes_and_all_but_the_first_are_loaded_late(tmp_path):
    (tmp_path / "a.svg").write_text('<svg width="72pt" height="36pt"></svg>', encoding="utf-8")
    page = '<img src="a.svg"> <article><img src="a.svg" alt="1"/><img src="a.svg" alt="2"/><img src="data:x"></article>'
    shown = with_sizes(page, tmp_path)
    assert '<img src="a.svg" width="96" height="48">' in shown
    assert '<img src="a.svg" alt="1" width="96" height="48"/>' in shown
    assert '<img src="a.svg" alt="2" width="96" height="48" loading="lazy" decoding="async"/>' in shown
    assert '<img src="data:x">' in shown
    assert with_sizes(shown, tmp_path) == shown


def test_images_and_sounds_within_a_page_become_files(tmp_path):
    folder, sound = tmp_path / "notebooks", base64.b64encode(bytes(3000)).decode()
    page = f'<audio controls src="data:audio/wav;base64,{sound}"></audio><img src="data:image/png;base64,AAAA">'
    shown = with_files(page, folder, tmp_path)
    (file,) = (tmp_path / "_static/held").iterdir()
    assert file.read_bytes() == bytes(3000)
    assert f'<audio preload="none" controls src="../_static/held/{file.name}">' in shown
    assert '<img src="data:image/png;base64,AAAA">' in shown  # small
    assert with_files(shown, folder, tmp_path) == shown


def test_a_table_with_an_empty_corner_names_its_columns_on_a_phone():
    table = (
        '<table class="table"><thead><tr><td class="head"></td><th>ours</th></tr></thead>'
        "<tbody><tr><td>epochs</td><td>ten</td></tr></tbody></table>"
    )
    labelled = site_repairs.TABLE.sub(site_repairs._label_cells, table)
    assert '<td data-label="">epochs</td><td data-label="ours">ten</td>' in labelled


def test_printed_columns_are_marked_and_sentences_are_not():
    head = '<div class="output stream highlight-x"><div class="highlight"><pre><span></span>'
    rows = "\n".join(f"row {n}   1.0  2.0" for n in range(3))
    assert "aevb-columns" in site_repairs.PRINTED.sub(site_repairs._mark_columns, f"{head}{rows}</pre>")
    assert "aevb-columns" not in site_repairs.PRINTED.sub(site_repairs._mark_columns, f"{head}one\ntwo\nthree</pre>")
    report = "✓ one\n1 mistake found, 2 more to know."
    assert "aevb-columns" in site_repairs.PRINTED.sub(site_repairs._mark_columns, f"{head}{report}</pre>")
