"""The figure of the latent plane: its decoder is chapter 7's, and so are its numbers."""

import base64
import json
import math
import os
import re

import numpy as np
import pytest
import torch
from javascript import call
from playwright.sync_api import expect
from torch.testing import assert_close

from aevb_utils import budget, data
from aevb_utils.figures import ComputingFigure
from aevb_utils.figures.computing import bundle
from aevb_utils.models.vae import VAE
from aevb_utils.networks import Network
from tools import plane_figure

DATA = json.loads(bundle.data_of("latent_plane"))
WEIGHTS = json.loads(bundle.later_of("latent_plane").read_text(encoding="utf-8"))["weights"]
HALVES = np.frombuffer(base64.b64decode(WEIGHTS), "<f2")
PLACES = [[0.0, 0.0], [-0.2, 1.3], [3.2, -3.2], [-2.5, 0.1], [1.5, -0.6]]


def picture(text):
    """The pixels of a test digit, as the figure has them."""
    return torch.tensor(np.unpackbits(np.frombuffer(base64.b64decode(text), "u1")).astype(float))


@pytest.fixture(scope="module")
def vae():
    """A VAE of the chapter's, in double precision, with the figure's decoder."""
    model = VAE(784, 2, hidden=(4, 4)).double()
    one, two = DATA["hidden"]
    model.decoder = Network(2, (one, two), 784).double()
    torch.nn.utils.vector_to_parameters(torch.tensor(HALVES.astype(float)), model.decoder.parameters())
    return model.requires_grad_(requires_grad=False)


TOLD = """(() => {
    const { unpackBytes, unpackHalves } = modules["numbers/bytes.js"];
    const decoder = m.planeDecoder(unpackHalves(values.weights), values.hidden);
    return values.places.map((z, i) => {
        const a = m.logits(decoder, z), p = m.probabilities(a), x = m.pixelsOf(unpackBytes(values.digits[i].x));
        return {
            p: [...p], prior: m.logPrior(z), likelihood: m.logLikelihood(x, a), flipped: m.flipped(p), x: [...x],
        };
    });
})()"""


@pytest.fixture(scope="module")
def told():
    """What the figure says at some places, each with another test digit."""
    return call("models/plane_vae.js", TOLD, DATA | {"weights": WEIGHTS, "places": PLACES})


def test_probabilities_and_densities_are_the_chapter_s(vae, told):
    z = torch.tensor(PLACES, dtype=torch.float64)
    x = torch.stack([picture(digit["x"]) for digit in DATA["digits"][: len(z)]])
    assert [each["x"] for each in told] == x.int().tolist()
    p_x = vae.p_x_given_z(z)
    known = {"p": p_x.mean, "likelihood": p_x.log_prob(x), "prior": vae.p_z().log_prob(z)}
    known["flipped"] = torch.minimum(p_x.mean, 1 - p_x.mean).sum(dim=1)
    for name, values in known.items():
        assert_close(torch.tensor([each[name] for each in told], dtype=torch.float64), values, atol=1e-6, rtol=0)


def test_the_rings_hold_what_the_chapter_says():
    shares = call("models/plane_vae.js", "[1, 2, 3].map((r) => m.nearer([0, r]))")
    assert shares == pytest.approx([1 - math.exp(-r * r / 2) for r in (1, 2, 3)], abs=1e-12)
    assert [round(100 * share) for share in shares] == [39, 86, 99]


def test_float16_is_read_as_numpy_does():
    values = np.array([0.0, 1.0, -2.5, 65504.0, 6e-8, -3e-5, 0.1], "<f2")
    read = call("numbers/bytes.js", "[...m.unpackHalves(values)]", base64.b64encode(values.tobytes()).decode())
    assert read == values.astype(float).tolist()


def test_the_page_says_how_much_is_loaded_later():
    assert DATA["megabytes"] == round(len(WEIGHTS) / 1e6, 1)
    assert np.isfinite(HALVES).all()


def test_the_picture_at_the_start_is_the_decoder_s(vae):
    start = torch.tensor(list(base64.b64decode(DATA["start"]))) / 255
    assert_close(
        start.double(), vae.p_x_given_z(torch.tensor([plane_figure.START]).double()).mean[0], atol=0.02, rtol=0
    )


@pytest.mark.skipif(not os.environ.get("AEVB_DATA_DIR"), reason="needs MNIST: set AEVB_DATA_DIR")
def test_the_digits_are_test_digits(monkeypatch):
    monkeypatch.setattr(budget, "FAST", False)
    mnist = data.mnist("dynamic")
    x = torch.stack([picture(digit["x"]) for digit in DATA["digits"]])
    assert torch.equal(x, mnist.test[: len(x)].double())
    assert [digit["label"] for digit in DATA["digits"]] == mnist.test_labels[: len(x)].tolist()
    assert DATA["labels"] == "".join(map(str, mnist.test_labels[:1500].tolist()))


def test_a_digit_is_likely_where_its_q_is(vae):
    digits = DATA["digits"]
    x = torch.stack([picture(digit["x"]) for digit in digits])
    codes = np.frombuffer(base64.b64decode(DATA["codes"]), "<i2").reshape(-1, 2) / 1000
    assert len(codes) == len(DATA["labels"]) == 1500
    m = torch.tensor([digit["m"] for digit in digits], dtype=torch.float64)
    assert_close(torch.tensor(codes[: len(m)]), m, atol=0.00056, rtol=0)
    at_home = vae.p_x_given_z(m).log_prob(x)
    elsewhere = vae.p_x_given_z(m.roll(1, dims=0)).log_prob(x)
    assert (at_home > elsewhere).double().mean() > 0.85


def test_silent_units_are_left_out_and_not_missed():
    torch.manual_seed(0)
    full = Network(2, (30, 40), 9)
    with torch.no_grad():
        full.layers[0].bias[:5] = -100.0  # silent
        full.layers[2].bias[:7] = -100.0
        weights, hidden = plane_figure.audible(full)
        assert hidden[0] <= 25
        assert hidden[1] <= 33
        small = Network(2, hidden, 9)
        torch.nn.utils.vector_to_parameters(torch.cat([w.flatten() for w in weights]), small.parameters())
        z = plane_figure.REACH * (2 * torch.rand(500, 2) - 1)
        assert_close(small(z), full(z), atol=1e-5, rtol=0)


def test_data_of_a_fast_training_are_refused():
    with pytest.raises(ValueError, match="run this without AEVB_FAST"):
        plane_figure.codes()


# In a browser


@pytest.fixture(scope="module")
def site_page(tmp_path_factory):
    """A page with the figure as the site has it, its weights in a script of their own."""
    folder, name = tmp_path_factory.mktemp("page"), "latent_plane"
    element = bundle.markup(name, site=True, later="weights.js")
    script = f"{bundle.bundle([name])}aevbFigures.{bundle.key([name])}.mount();"
    words = f'<!doctype html><meta charset="utf-8"><body>{element}<script>{script}</script></body>'
    (folder / "page.html").write_text(words, encoding="utf-8")
    (folder / "weights.js").write_text(bundle.later_script(name), encoding="utf-8")
    return folder / "page.html"


@pytest.fixture
def page(browser, site_page):
    context = browser.new_context(viewport={"width": 800, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    messages, asked = [], []
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.asked = asked
    page.goto(site_page.as_uri())
    yield page
    assert messages == []
    context.close()


def pixels_of(page):
    """The opacities of the decoded picture."""
    code = "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 3)"
    return torch.tensor(page.locator(".of-decoded canvas").evaluate(code)) / 255


def decoded_at(vae, *z):
    return vae.p_x_given_z(torch.tensor([z], dtype=torch.float64)).mean[0].float()


def wait_for_weights(page):
    expect(page.locator(".note")).to_contain_text("nearest of 1,500 codes")


def test_weights_are_fetched_at_the_first_touch_and_not_before(page, vae):
    expect(page.locator(".note")).to_contain_text("Touch the plane")
    assert not [url for url in page.asked if "weights" in url]
    assert_close(pixels_of(page), decoded_at(vae, -0.2, 1.3), atol=0.01, rtol=0)
    page.get_by_role("slider", name="along the path").focus()
    wait_for_weights(page)
    assert len([url for url in page.asked if "weights" in url]) == 1


def test_the_picture_follows_the_pointer(page, vae):
    box = page.locator(".of-map svg .touch").bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x + 60, y)
    page.mouse.down()
    wait_for_weights(page)
    for step in (40, 20, 0):
        page.mouse.move(x + step, y)
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        z = 6.4 * step / box["width"]
        assert_close(pixels_of(page), decoded_at(vae, z, 0.0), atol=0.03, rtol=0)
    page.mouse.up()
    expect(page.locator(".of-decoded .title")).to_have_text(re.compile(r"decoded at \(−?0\.0\d, −?0\.0\d\)"))
    page.wait_for_url(re.compile(r"#latent_plane\?z="))


def test_a_path_is_walked_and_its_ends_are_moved_by_keys(page, vae):
    handle = page.get_by_role("slider", name="The other end of the path")
    for key in ("ArrowRight", "Shift+ArrowUp", "ArrowDown"):
        handle.press(key)
    wait_for_weights(page)
    expect(page.locator(".of-decoded .title")).to_have_text("decoded at (1.60, −0.20)")
    page.get_by_role("slider", name="along the path").fill("50")
    expect(page.locator(".of-decoded .title")).to_have_text("decoded at (0.70, 0.55)")
    assert_close(pixels_of(page), decoded_at(vae, 0.7, 0.55), atol=0.01, rtol=0)
    page.get_by_role("button", name="Walk the path").click()
    expect(page.get_by_role("slider", name="along the path")).to_have_value("100")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".of-decoded .title")).to_have_text("decoded at (−0.20, 1.30)")


def test_a_test_digit_has_the_chapter_s_numbers(page, vae):
    page.get_by_role("button", name="Next test digit").click()
    expect(page.locator(".note")).to_contain_text("z is at the mean of q")
    digit = DATA["digits"][0]
    z = torch.tensor([[round(value, 3) for value in digit["m"]]], dtype=torch.float64)
    likelihood, prior = vae.p_x_given_z(z).log_prob(picture(digit["x"])).item(), vae.p_z().log_prob(z).item()
    shown = [float(text.replace("−", "-")) for text in page.locator(".numbers b").all_inner_texts()]
    assert shown == pytest.approx([likelihood, prior, likelihood + prior], abs=0.006)
    assert "log p(x, z)" in page.locator(".stage").get_attribute("aria-label")


def test_a_state_in_the_address_is_decoded_at_once(browser, site_page, vae):
    page = browser.new_page()
    page.goto(f"{site_page.as_uri()}#latent_plane?z=1.2,-1.4")
    wait_for_weights(page)
    assert_close(pixels_of(page), decoded_at(vae, 1.2, -1.4), atol=0.01, rtol=0)
    page.close()


def test_weights_that_cannot_be_fetched_are_said_and_asked_for_again(browser, site_page, vae):
    page = browser.new_page()
    page.route("**/weights.js", lambda route: route.abort())
    page.goto(site_page.as_uri())
    slider = page.get_by_role("slider", name="along the path")
    slider.focus()
    expect(page.locator(".note")).to_contain_text("The decoder did not come")
    page.unroute("**/weights.js")
    page.get_by_role("slider", name="test digit").focus()
    wait_for_weights(page)
    page.close()


def test_a_notebook_says_where_the_decoder_is_unless_it_holds_it(browser, vae):
    page = browser.new_page()
    for whole in (False, True):
        page.set_content(f"<!doctype html><body>{ComputingFigure('latent_plane', whole=whole)._repr_html_()}</body>")
        if whole:
            wait_for_weights(page)
            assert_close(pixels_of(page), decoded_at(vae, *plane_figure.START), atol=0.01, rtol=0)
        else:
            expect(page.locator(".note")).to_contain_text('ComputingFigure("latent_plane", whole=True)')
    page.close()
