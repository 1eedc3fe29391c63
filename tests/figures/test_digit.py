"""The figure that draws a digit: its model is chapter 4's, and so are its numbers."""

import json
import os
import re

import numpy as np
import pytest
import torch
from javascript import call
from torch.testing import assert_close

from aevb_utils import data
from aevb_utils.evaluation.gaps import log_evidence, quadrature_elbo, refine, split_gaps
from aevb_utils.evaluation.quadrature import gauss_hermite, make_grid
from aevb_utils.figures.computing import bundle
from aevb_utils.models.binomial_vae import BinomialVAE
from tools import figure_data
from tools.notebooks import CHAPTERS, code_cells, read
from tools.packing import packed_multiples, unpacked_multiples

DATA = json.loads(bundle.data_of("digit"))
LETTERS = "0123456789abcdefg"
NAMED = (46, 68)  # the test digits that the page to play names
SOME = sorted({*range(0, 360, 5 if os.environ.get("AEVB_DATA_DIR") else 18), *NAMED})  # of the 360


@pytest.fixture(autouse=True)
def double():
    """The chapter's default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def vae():
    """The figure's model, as the package has it."""
    model = BinomialVAE()
    weights = torch.tensor(unpacked_multiples(DATA["weights"]))
    torch.nn.utils.vector_to_parameters(weights, [*model.decoder.parameters(), *model.encoder.parameters()])
    return model.requires_grad_(requires_grad=False)


def counts(rows):
    return torch.tensor([[LETTERS.index(letter) for letter in row] for row in rows], dtype=torch.float64)


def test_the_digits_are_the_book_s_test_digits():
    digits = data.digits()
    assert torch.equal(counts(DATA["digits"]), digits.test)
    assert [int(label) for label in DATA["labels"]] == digits.test_labels.tolist()


def test_the_model_is_the_one_that_chapter_4_shows(vae):
    """Its mean evidence and ELBO over 240 test digits stand in the table on the page."""
    printed = "".join(output.get("text", "") for cell in code_cells(read(CHAPTERS[3])) for output in cell.outputs)
    shown = [re.search(rf"{re.escape(row)} +\S+ +(\S+)\n", printed)[1] for row in ("log p(x), exact", "ELBO of q_φ")]
    x = counts(DATA["digits"][:240])
    evidence = log_evidence(vae, x, make_grid([(-6.5, 6.5)] * 2, 700)).mean()
    elbo = quadrature_elbo(vae, x, vae.encode(x)).mean()
    assert [f"{evidence:.2f}", f"{elbo:.2f}"] == shown


@pytest.mark.parametrize(("step", "digits"), [(1e-5, 4), (2e-5, 3), (1.0, 1)])
def test_numbers_are_packed_to_half_a_step(step, digits):
    values = np.array([-2.5, 0.0, 1e-7, -1e-5, 0.1, 2.4999999])
    kept = packed_multiples(values, step)
    assert len(kept["digits"]) == digits
    assert unpacked_multiples(kept) == pytest.approx(values, abs=0.5001 * step)
    assert call("numbers/bytes.js", "[...m.unpackMultiples(values)]", kept) == unpacked_multiples(kept).tolist()


def test_data_of_a_fast_training_are_refused():
    with pytest.raises(ValueError, match="run this without AEVB_FAST"):
        figure_data.digit()


ANSWERS = """(() => {
    const { weights, letters, digits, trails } = values;
    const all = { weights: modules["numbers/bytes.js"].unpackMultiples(weights) };
    const vae = modules["models/binomial_vae.js"];
    const model = vae.binomialVae(all.weights);
    const grid = [...m.latentGrids(all)].filter((each) => each).pop();
    return digits.map((row) => {
        const x = Array.from(row, (letter) => letters.indexOf(letter));
        const { cells, peaks, evidence, edge } = m.look(grid, m.logJointTable(grid, x), x);
        const told = { edge, coarse: evidence, elbo: vae.elbo(model, x, vae.encode(model, x)) };
        const work = m.answer({ ...all, x, cells, side: grid.side, peaks });
        for (let step = work.next(); ; step = work.next()) {
            if (step.value) Object.assign(told, step.value);
            if (step.done || (step.value && !trails)) break;
        }
        const trail = told.trail && [0, 10, 100].map((steps) => vae.elbo(model, x, told.trail[steps]));
        return { ...told, star: [...told.star], trail };
    });
})()"""


def answers(digits, *, trails):
    """What the figure says about some digits."""
    values = {"weights": DATA["weights"], "letters": LETTERS, "digits": digits, "trails": trails}
    told = call("models/latent_plane.js", ANSWERS, values)
    return {
        name: torch.tensor([each[name] for each in told], dtype=torch.float64)
        for name in ("edge", "coarse", "elbo", "evidence", "star", "elboStar", *(["trail"] if trails else []))
    }


def test_evidence_elbo_and_best_q_are_chapter_4_s(vae):
    digits = [DATA["digits"][i] for i in SOME]
    x, told = counts(digits), answers(digits, trails=False)
    split = split_gaps(vae, x, make_grid([(-6.5, 6.5)] * 2, 700), make_grid([(-7, 7)] * 2, 20))
    assert_close(told["evidence"], split.log_evidence, atol=1e-3, rtol=0)
    assert_close(told["coarse"], split.log_evidence, atol=0.5, rtol=0)
    assert_close(told["elbo"], split.elbo, atol=1e-6, rtol=0)
    assert_close(told["elboStar"], quadrature_elbo(vae, x, told["star"]), atol=1e-6, rtol=0)
    assert (told["elboStar"] <= told["evidence"]).all()
    assert (told["elboStar"] >= split.elbo_star - 1e-3).all()
    best = refine(vae, x, told["star"], steps=200)
    assert_close(quadrature_elbo(vae, x, best), told["elboStar"], atol=1e-3, rtol=0)


def test_refinement_goes_chapter_4_s_way(vae):
    digits = DATA["digits"][::36]
    x, told = counts(digits), answers(digits, trails=True)
    lam = vae.encode(x)
    assert_close(told["trail"][:, 0], quadrature_elbo(vae, x, lam), atol=1e-6, rtol=0)
    assert_close(told["trail"][:, 2], quadrature_elbo(vae, x, refine(vae, x, lam)), atol=1e-6, rtol=0)
    assert (told["trail"][:, 1] > told["trail"][:, 0] + 0.05).any()
    assert (told["elboStar"] >= told["trail"][:, 2] - 1e-3).all()


def test_pages_that_are_no_digits_have_an_answer(vae):
    """Their posteriors are narrower than those of digits, so that the grid must be finer."""
    backwards = [row[::-1] for row in DATA["digits"][:4]]
    pages = ["0" * 64, "000gg000" * 8, *backwards]
    x, told = counts(pages), answers(pages, trails=False)
    assert not told["edge"].any()
    assert_close(told["evidence"], log_evidence(vae, x, make_grid([(-6.5, 6.5)] * 2, 800)), atol=1e-3, rtol=0)
    assert (told["elboStar"] <= told["evidence"]).all()


def test_a_posterior_that_reaches_beyond_the_grid_is_noticed():
    pages = ["g" * 64, "0" * 24 + "g" * 16 + "0" * 24, DATA["digits"][0]]
    assert answers(pages, trails=False)["edge"].tolist() == [1, 1, 0]


def test_the_slope_of_the_elbo_is_torch_s(vae):
    x, lam = counts(DATA["digits"][:1]), torch.tensor([[0.3, -1.2, -2.5, -3.0]]).requires_grad_()
    quadrature_elbo(vae, x, lam, order=6).sum().backward()
    weights = unpacked_multiples(DATA["weights"]).tolist()
    told = call(
        "models/binomial_vae.js",
        "[...m.elboAndSlope(m.binomialVae(values[0]), values[1], values[2], 6).slope]",
        [weights, x[0].tolist(), lam[0].tolist()],
    )
    assert_close(torch.tensor([told]), lam.grad, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("order", [1, 2, 6, 20])
def test_nodes_and_weights_are_the_book_s(order):
    nodes, weights = gauss_hermite(order, 1)
    told = call("numbers/hermite.js", f"(({{ u, w }}) => [u, w])(m.gaussHermite({order}))")
    assert_close(torch.tensor(told), torch.stack([nodes[:, 0], weights]), atol=1e-12, rtol=1e-9)


def test_a_climb_ends_on_top_and_never_below_its_start():
    told = call(
        "numbers/climb.js",
        """(() => {
            const valley = ([x, y]) => ({
                value: -((1 - x) ** 2) - 100 * (y - x * x) ** 2,
                slope: Float64Array.of(2 * (1 - x) + 400 * x * (y - x * x), -200 * (y - x * x)),
            });
            const { at } = m.climb(valley, [-1.2, 1], [0.01, 0.01], { steps: 200, tolerance: 1e-14 });
            const lies = m.climb(([x]) => ({ value: -x * x, slope: Float64Array.of(1) }), [0], [1]);
            return [[...at], [...lies.at]];
        })()""",
    )
    assert told[0] == pytest.approx([1, 1], abs=1e-5)
    assert told[1] == [0]


def test_a_table_is_read_between_its_points():
    told = call(
        "models/latent_plane.js",
        """(() => {
            const side = 30, f = (a, b) => 1 + a - 2 * b + a * b - b * b / 2;
            const z = (i) => m.midpoint(i, side), places = { length: side * side };
            const table = Float64Array.from(places, (_, g) => f(z(Math.floor(g / side)), z(g % side)));
            return [[0.1, 0.2], [-3.3, 4.1]].map(([a, b]) => m.valueAt(side, table, a, b) - f(a, b));
        })()""",
    )
    assert told == pytest.approx([0, 0], abs=1e-9)


def test_a_pen_inks_the_bits_under_it_and_an_eraser_takes_them_away():
    told = call(
        "drawing/pixels.js",
        """(() => {
            const line = new Set(), blank = new Array(64).fill(0), full = new Array(64).fill(16);
            m.stroke(line, [16, 2], [16, 30]);
            return [m.inked(blank, line, false), m.inked(full, line, true), m.inked(full, line, false)];
        })()""",
    )
    drawn, erased, kept = (torch.tensor(picture).reshape(8, 8) for picture in told)
    assert drawn[:, 3:5].min() >= 8
    assert drawn[:, [0, 1, 2, 5, 6, 7]].max() == 0
    assert torch.equal(drawn, drawn.flip(1))
    assert torch.equal(erased, 16 - drawn)
    assert kept.min() == 16
