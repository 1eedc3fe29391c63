"""The figure of diffusion: its truth, its predictors, its ELBO and its walk are chapter 12's."""

import base64
import json
import re

import numpy as np
import pytest
import torch
from javascript import call
from playwright.sync_api import expect
from torch.testing import assert_close

from aevb_utils.figures import ComputingFigure
from aevb_utils.figures.computing import bundle
from tools import diffusion_figure
from tools.chapter_code import names_of_chapter, printed

WEIGHTS = json.loads(bundle.data_of("diffusion"))["weights"]
MODEL, NETWORK = "models/diffusion.js", "models/noise_network.js"


@pytest.fixture(scope="module")
def chapter():
    """What chapter 12 calls by these names, and its default type, double precision."""
    before = torch.get_default_dtype()
    yield names_of_chapter(12, "Schedule", "TrainableDiffusion", "Ideal", "log_truth", "centers", "width", "omegas")
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def network(chapter):
    """The chapter's diffusion with the figure's weights."""
    model = chapter["TrainableDiffusion"](2, 40)
    weights = torch.tensor(np.frombuffer(base64.b64decode(WEIGHTS), "<f2").astype(float))
    torch.nn.utils.vector_to_parameters(weights, model.net.parameters())
    return model.requires_grad_(requires_grad=False)


def close(told, known, atol=1e-9):
    assert_close(torch.tensor(told, dtype=torch.float64), known, atol=atol, rtol=0)


@pytest.mark.parametrize("T", [5, 40, 160])
def test_the_schedule_is_the_chapter_s(chapter, T):
    s = chapter["Schedule"](T)
    told = call(MODEL, f"(({{ abar, alpha, beta }}) => [abar, alpha, beta])(m.schedule({T}))")
    close(told, torch.stack([s.abar, s.alpha, s.beta]), atol=1e-12)
    weights = call(MODEL, f"((s) => s.beta.slice(1).map((_, k) => m.omega(s, k + 1)))(m.schedule({T}))")
    close(weights, chapter["omegas"](s.beta[1:]))


def test_the_arcs_and_their_density_are_the_chapter_s(chapter):
    close(call(MODEL, "m.arcs()"), chapter["centers"], atol=1e-12)
    assert call(MODEL, "m.WIDTH") == chapter["width"]
    x = 2 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    told = call(MODEL, "values.map((x) => m.logTruth({ centers: m.arcs(), width: m.WIDTH }, x))", x.tolist())
    close(told, chapter["log_truth"](x), atol=1e-8)


PREDICTORS = """const s = m.schedule(values.T), weights = modules["numbers/bytes.js"].unpackHalves(values.weights);
    const truth = { centers: m.arcs(), width: m.WIDTH };
    const predict = values.model === "ideal" ? m.idealPredictor(truth, s)
        : modules["models/noise_network.js"].networkPredictor(weights, values.T);"""


@pytest.mark.parametrize("model", ["ideal", "network"])
def test_noise_elbo_and_walk_are_the_chapter_s(chapter, network, model):
    """With the same noise: the chapter's own is drawn anew from the same seed."""
    diffusion = chapter["Ideal"](2, 40) if model == "ideal" else network
    s, draw = diffusion.s, torch.Generator().manual_seed(1)
    x, eps = torch.randn(20, 2, generator=draw), torch.randn(20, 40, 2, generator=draw)
    steps = torch.arange(1, 41).expand(20, 40)
    z = s.abar[steps].sqrt()[..., None] * x[:, None] + (1 - s.abar[steps]).sqrt()[..., None] * eps
    guess = diffusion.noise(z, steps)
    weight = s.beta[steps] / (2 * s.alpha[steps] * (1 - s.abar[steps]))
    elbo = diffusion.constants(x) - (weight * (eps - guess).square().sum(dim=-1)).sum(dim=1)
    torch.manual_seed(2)
    path = diffusion.walk(6)
    torch.manual_seed(2)
    first, noise = torch.randn(6, 2), torch.stack([torch.randn(6, 2) for _ in range(40)])
    told = call(
        MODEL,
        f"""(() => {{ {PREDICTORS}
            const guessed = (x, e, t) => [...predict(m.jump(s, x, t, e), t)];
            const guesses = values.x.map((x, i) => values.eps[i].map((e, k) => guessed(x, e, k + 1)));
            const elbo = values.x.map((x, i) => m.elbo(s, predict, x, (t) => values.eps[i][t - 1]));
            const walk = values.first.map((z, i) => {{
                for (let t = 40; t > 0; t--) z = m.stepBack(s, predict, z, t, values.noise[40 - t][i]);
                return z;
            }});
            return {{ guesses, elbo, walk }};
        }})()""",
        {"T": 40, "weights": WEIGHTS, "model": model, "x": x.tolist(), "eps": eps.tolist()}
        | {"first": first.tolist(), "noise": noise.tolist()},
    )
    close(told["guesses"], guess)
    close(told["elbo"], elbo, atol=1e-6)
    close(told["walk"], path[-1], atol=1e-6)


def test_loss_and_slope_are_torch_s(chapter):
    torch.manual_seed(3)
    model = chapter["TrainableDiffusion"](2, 40)
    s, x, eps, t = model.s, torch.randn(7, 2), torch.randn(7, 2), torch.randint(1, 41, (7,))
    abar = s.abar[t][:, None]
    away = eps - model.noise(abar.sqrt() * x + (1 - abar).sqrt() * eps, t)
    loss = (s.T * s.beta[t] / (2 * s.alpha[t] * (1 - s.abar[t])) * away.square().sum(dim=1)).mean()
    parameters = list(model.net.parameters())
    row = torch.cat([value.detach().flatten() for value in parameters])
    optimizer = torch.optim.Adam(parameters, lr=0.005)
    for _ in range(2):
        optimizer.zero_grad()
        away = eps - model.noise(abar.sqrt() * x + (1 - abar).sqrt() * eps, t)
        (s.T * s.beta[t] / (2 * s.alpha[t] * (1 - s.abar[t])) * away.square().sum(dim=1)).mean().backward()
        slope = torch.cat([value.grad.flatten() for value in parameters])
        optimizer.step()
    told = call(
        NETWORK,
        """(() => {
            const s = modules["models/diffusion.js"].schedule(40), { t, x, eps } = values;
            const weights = Float64Array.from(values.row), step = modules["numbers/adam.js"].adam(weights);
            const first = m.lossAndSlope(weights, s, x, t, eps);
            step(first.slope, -0.005);
            const second = m.lossAndSlope(weights, s, x, t, eps);
            step(second.slope, -0.005);
            return { size: m.SIZE, loss: first.loss, slope: [...second.slope], after: [...weights] };
        })()""",
        {"row": row.tolist(), "t": t.tolist(), "x": x.flatten().tolist(), "eps": eps.flatten().tolist()},
    )
    assert told["size"] == len(row)
    assert told["loss"] == pytest.approx(loss.item(), abs=1e-9)
    close(told["slope"], slope, atol=1e-8)
    close(told["after"], torch.cat([value.detach().flatten() for value in parameters]), atol=1e-8)


def test_the_job_says_what_the_chapter_prints():
    """The chapter's network on the arcs, and the ideal one for T = 40, within the errors of both."""
    said = printed(12)
    truth, elbo = (float(re.search(rf"{name}: (-[\d.]+) nats", said)[1]) for name in ("truth", "diffusion"))
    ideal, two_errors = map(float, re.search(r"T =  40: ([\d.]+) ± ([\d.]+)", said).groups())
    told = call(
        "models/diffusion_jobs.js",
        """["network", "ideal"].map((model) => {
            const { arcs, WIDTH } = modules["models/diffusion.js"], truth = { centers: arcs(), width: WIDTH };
            const weights = modules["numbers/bytes.js"].unpackHalves(values);
            const work = m.diffuse({ truth, T: 40, model, weights, seed: 1 });
            const { walk, ...coarse } = work.next().value;
            const { walk: path, ...fine } = work.next().value;
            return { coarse, fine, length: path.length };
        })""",
        WEIGHTS,
    )
    for numbers in told:
        assert numbers["coarse"]["count"] < numbers["fine"]["count"]
        assert numbers["length"] == 41 * 300 * 2
        assert numbers["fine"]["truth"] == pytest.approx(truth, abs=0.06)
    assert told[0]["fine"]["elbo"] == pytest.approx(elbo, abs=0.06)
    fine = told[1]["fine"]
    assert fine["truth"] - fine["elbo"] == pytest.approx(ideal, abs=two_errors + 2 * fine["error"])


def test_training_raises_the_elbo():
    told = call(
        "models/diffusion_jobs.js",
        """(() => {
            const truth = { centers: [[-1.5, 0], [1.5, 0.5]], width: 0.12 }, told = [];
            for (const known of m.diffuse({ truth, T: 10, model: "network", weights: null, seed: 1 })) {
                if (known) told.push([known.trained, known.truth - known.elbo]);
                if (known?.trained === 400) return told;
            }
        })()""",
    )
    assert [steps for steps, _ in told] == [100, 200, 400]
    assert told[0][1] > told[1][1] > told[2][1] > 0


def test_a_network_of_a_fast_training_is_refused():
    with pytest.raises(ValueError, match="run this without AEVB_FAST"):
        diffusion_figure.network()


# In a browser


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 800, "height": 1200}, reduced_motion="reduce")
    page = context.new_page()
    messages = []
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.show = lambda **state: page.set_content(
        f"<!doctype html><body>{ComputingFigure('diffusion', **state)._repr_html_()}</body>"
    )
    yield page
    assert messages == []
    context.close()


def numbers(page):
    return [float(text.split()[0].replace("−", "-")) for text in page.locator(".numbers b").all_inner_texts()]


def test_the_ideal_guess_misses_less_with_more_steps(page):
    page.show(model="ideal", T=5)
    expect(page.locator(".note")).to_contain_text("1500 fresh points")
    truth, elbo, few = numbers(page)
    assert elbo + few == pytest.approx(truth, abs=0.002)
    steps = page.get_by_role("slider", name="steps T")
    for _ in range(7):
        steps.press("ArrowRight")
    expect(page.locator(".note")).to_contain_text("1500 fresh points")
    expect(page.locator(".chain span").last).to_have_text("t = 40")
    assert numbers(page)[2] < 0.5 * few


def test_a_stroke_is_data_and_a_network_is_trained_on_it(page):
    page.show(model="ideal", T=10)
    page.get_by_role("button", name="Clear the plane").click()
    expect(page.locator(".note")).to_contain_text("Draw some points")
    box = page.locator(".diffusion svg .touch").bounding_box()
    x, y = box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.4 * box["width"], y, steps=30)
    page.mouse.up()
    expect(page.locator(".note")).to_contain_text("1500 fresh points")
    words = page.locator(".stage").get_attribute("aria-label")
    assert 10 < int(re.match(r"(\d+) centers of yours", words)[1]) < 25
    page.get_by_role("radio", name="a network").check(force=True)
    expect(page.locator(".note")).to_contain_text(re.compile(r"being trained here: step \d+ of 3000"))
    missing = numbers(page)[2]
    expect(page.locator(".note")).to_contain_text("step 800 of 3000")
    assert numbers(page)[2] < missing


def test_points_are_placed_by_keys_and_the_walk_is_played(page):
    page.show(model="ideal", T=5)
    cursor = page.get_by_role("slider", name=re.compile("^Place for a point"))
    cursor.press("ArrowRight")
    cursor.press("Enter")
    expect(page.locator(".stage")).to_have_attribute("aria-label", re.compile("^1 centers of yours"))
    cursor.press("Delete")
    expect(page.locator(".note")).to_contain_text("Draw some points")
    page.get_by_role("button", name="The two arcs").click()
    back = page.get_by_role("slider", name="walk back")
    back.fill("0")
    expect(back).to_have_attribute("aria-valuetext", "t = 5")
    expect(page.locator(".diffusion .title").first).to_contain_text("z at step 5")
    page.get_by_role("button", name="Walk back").click()
    expect(back).to_have_attribute("aria-valuetext", "t = 0")
