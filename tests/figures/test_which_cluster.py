"""The figure of clusters and relaxed draws: its q(y | x) is chapter 9's, and so is its relaxation."""

import base64
import json
import re

import numpy as np
import pytest
import torch
from javascript import call
from playwright.sync_api import expect
from torch.distributions import Categorical, kl_divergence
from torch.testing import assert_close

from aevb_utils import data
from aevb_utils.figures import ComputingFigure
from aevb_utils.figures.computing import bundle
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from tools import cluster_figure
from tools.chapter_code import names_of_cell

DATA = json.loads(bundle.data_of("which_cluster"))
WEIGHTS = json.loads(bundle.later_of("which_cluster").read_text(encoding="utf-8"))["weights"]
LETTERS = "0123456789abcdefg"


def counts():
    return torch.tensor([[LETTERS.index(letter) for letter in row] for row in DATA["digits"]], dtype=torch.float64)


def stored_q():
    return torch.tensor(np.frombuffer(base64.b64decode(DATA["q"]), "<f4").reshape(-1, 10).astype(float))


@pytest.fixture(scope="module")
def model():
    """The chapter's model, in double precision, with the figure's encoder."""
    made = GaussianMixtureVAE(64, 5, 10, hidden=(128, 128)).double()
    weights = torch.tensor(np.frombuffer(base64.b64decode(WEIGHTS), "<f2").astype(float))
    parameters = [*made.encoder.features.parameters(), *made.encoder.y_head.parameters()]
    torch.nn.utils.vector_to_parameters(weights, parameters)
    return made.requires_grad_(requires_grad=False)


def test_the_digits_are_the_book_s_test_digits():
    digits = data.digits()
    assert torch.equal(counts(), digits.test[: len(DATA["digits"])].double())
    assert [int(label) for label in DATA["labels"]] == digits.test_labels[: len(DATA["labels"])].tolist()


def test_q_of_y_is_the_chapter_s(model):
    """To 1e-6 for the same weights; float16 moves the probabilities that the chapter's float32 gives by very little."""
    told = call(
        "models/relaxation.js",
        """(() => {
            const encoder = m.classEncoder(modules["numbers/bytes.js"].unpackHalves(values.weights));
            return values.counts.map((x) => m.classProbabilities(encoder, m.bits(x)));
        })()""",
        {"weights": WEIGHTS, "counts": counts().tolist()},
    )
    known = model.q_y_given_x((counts() >= 8).double())
    assert_close(torch.tensor(told, dtype=torch.float64), known.probs, atol=1e-6, rtol=0)
    assert_close(stored_q(), known.probs, atol=2e-3, rtol=0)
    kl = call("models/relaxation.js", "values.map(m.klToUniform)", told)
    assert_close(torch.tensor(kl, dtype=torch.float64), kl_divergence(known, model.p_y()), atol=1e-6, rtol=0)


@pytest.mark.parametrize("tau", [0.05, 0.3, 1.0, 5.0])
def test_draws_and_their_bias_are_the_chapter_s(tau):
    """The same noise as in the chapter's cells that draw ỹ and that measure the bias for many classes."""
    uniform = torch.rand(400, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise, q = -(-uniform.log()).log(), stored_q()[28]
    told = call(
        "models/relaxation.js",
        """(() => {
            const { q, uniform, tau } = values, logits = q.map(Math.log);
            const draws = uniform.map((row) => m.relaxed(logits, row.map(m.gumbel), tau));
            return { draws, bias: m.biasOf(draws), leading: m.leadingBias(q, tau) };
        })()""",
        {"q": q.tolist(), "uniform": uniform.tolist(), "tau": tau},
    )
    y = ((q.log() + noise) / tau).softmax(dim=1)
    assert_close(torch.tensor(told["draws"], dtype=torch.float64), y, atol=1e-9, rtol=0)
    assert_close(torch.tensor(told["bias"]["means"], dtype=torch.float64), y.mean(dim=0), atol=1e-9, rtol=0)
    bent = y.square().sum(dim=1) - 1
    assert told["bias"]["bent"] == pytest.approx(bent.mean().item(), abs=1e-9)
    assert told["bias"]["error"] == pytest.approx((bent.std() / 400**0.5).item(), abs=1e-9)
    assert told["leading"] == pytest.approx((-tau * q * (1 - q)).sum().item(), abs=1e-12)


def test_the_leading_term_is_met_at_a_low_temperature():
    """The figure's own noise; the bias of a mean, of higher order, is smaller by far."""
    q = stored_q()[28].tolist()
    told = call(
        "models/relaxation.js",
        """(() => {
            const { uniform } = modules["numbers/random.js"].random(1), logits = values.q.map(Math.log);
            const noise = () => values.q.map(() => m.gumbel(uniform()));
            const draws = Array.from({ length: 40000 }, () => m.relaxed(logits, noise(), 0.1));
            return [m.biasOf(draws), m.leadingBias(values.q, 0.1)];
        })()""",
        {"q": q},
    )
    bias, leading = told
    assert bias["bent"] == pytest.approx(leading, abs=4 * bias["error"] + 0.004)
    assert max(abs(mean - exact) for mean, exact in zip(bias["means"], q, strict=True)) < 0.01


def test_data_of_a_fast_training_are_refused():
    with pytest.raises(ValueError, match="run this without AEVB_FAST"):
        cluster_figure.digits()


def test_a_cell_that_is_not_there_is_said():
    with pytest.raises(LookupError, match="Chapter 9 has no cell 'c09-none'"):
        names_of_cell(9, "c09-none")


def test_a_cell_of_a_chapter_is_run_with_what_it_is_made_of():
    names, printed = names_of_cell(9, "c09-five-lines")
    assert names["x"].shape == (5, names["D"])
    assert printed == f"classes {names['y'].tolist()}, codes (5, 2), images (5, {names['D']})\n"


# In a browser


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 800, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    messages = []
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.show = lambda **state: page.set_content(
        f"<!doctype html><body>{ComputingFigure('which_cluster', **state)._repr_html_()}</body>"
    )
    yield page
    assert messages == []
    context.close()


def numbers(page):
    return [float(text.split()[0].replace("−", "-")) for text in page.locator(".numbers b").all_inner_texts()]


def settled(page):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return numbers(page)


def test_cooling_down_takes_the_bias_away(page):
    page.show(whole=True)
    kl, bias, leading = settled(page)
    q = stored_q()[28]
    assert kl == pytest.approx(kl_divergence(Categorical(q), Categorical(torch.ones(10).double())).item(), abs=0.006)
    assert leading == pytest.approx(-(q * (1 - q)).sum().item(), abs=0.002)
    assert bias < -0.4
    page.get_by_role("button", name="Cool down").click()
    expect(page.get_by_role("slider", name="temperature")).to_have_attribute("aria-valuetext", "0.05")
    _, cold, leading = settled(page)
    assert cold == pytest.approx(leading, abs=0.015)
    assert cold > -0.06


def test_a_drawn_digit_has_the_chapter_s_q(page, model):
    page.show(whole=True, digit=0)
    pad = page.get_by_role("slider", name="Your digit")
    box = pad.bounding_box()
    x = box["x"] + 0.5 * box["width"]
    page.mouse.move(x, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] - 5, steps=8)
    page.mouse.up()
    bits = torch.zeros(8, 8, dtype=torch.float64)
    bits[:, 3:5] = 1  # the pen inks two columns
    q = model.q_y_given_x(bits.reshape(1, 64)).probs[0]
    kl, _, leading = settled(page)
    assert kl == pytest.approx(kl_divergence(Categorical(q), model.p_y()).item(), abs=0.006)
    assert leading == pytest.approx(-(q * (1 - q)).sum().item(), abs=0.001)
    words = page.locator(".stage").get_attribute("aria-label")
    assert f"cluster {q.argmax() + 1} {q.max():.2f}" in words
    page.get_by_role("button", name="Clear the page").click()
    page.get_by_role("button", name="Next test digit").click()
    expect(page.get_by_role("slider", name="test digit")).to_have_value("1")


def test_a_notebook_knows_q_of_its_test_digits_and_says_where_the_encoder_is(page):
    page.show()
    assert len(settled(page)) == 3
    page.get_by_role("button", name="Clear the page").click()
    expect(page.locator(".note")).to_have_text(re.compile(r"whole=True\)\.$"))
    page.get_by_role("button", name="Next test digit").click()
    expect(page.locator(".note")).to_contain_text("of the draws are no corner")
