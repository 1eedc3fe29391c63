"""The figure of chapter 3's banana: ELBO, both KLs, the evidence and the climb are the chapter's."""

import json

import pytest
import torch
from javascript import call
from torch.testing import assert_close

from aevb_utils.figures.computing import bundle
from tools.chapter_code import names_of_chapter

MODEL = json.loads(bundle.data_of("banana"))
PLACES = [
    (0.3, 0.5, 0.5, 0.0, 0.5),
    (-1.2, 0.4, 0.7, 0.9, 0.3),
    (2.1, -2.0, 0.3, -1.1, 0.2),
    (0.0, 1.9, 1.0, 0.0, 0.8),
]  # the chapter's grid ends at 8


@pytest.fixture(scope="module")
def chapter():
    """What chapter 3 says about the banana, and its default type in torch."""
    before = torch.get_default_dtype()
    wanted = ("elbo_banana", "gaussian_family", "fit_q", "forward", "reverse_kl", "forward_kl", "snapshots", "sigma")
    yield names_of_chapter(3, *wanted)
    torch.set_default_dtype(before)


def gaussian(chapter, m1, m2, k11, k21, k22):
    """The chapter's q of a mean and a factor."""
    q = chapter["gaussian_family"]([[m1, m2]]).requires_grad_(False)
    factor = torch.tensor([[[k11, 0.0], [k21, k22]]])
    q.free_factors.copy_(chapter["to_free"](factor @ factor.mT))
    return q


def named(place):
    return dict(zip(("m1", "m2", "k11", "k21", "k22"), place, strict=True))


def test_the_sensor_is_the_chapter_s(chapter):
    assert {"x": chapter["x_seen"].item(), "sigma": chapter["sigma"]} == MODEL


@pytest.mark.parametrize("place", PLACES)
def test_elbo_both_kls_and_evidence_are_the_chapter_s(chapter, place):
    q = gaussian(chapter, *place)
    known = [
        chapter["elbo_banana"](q, order=3),
        chapter["reverse_kl"](q),
        chapter["forward_kl"](q),
        chapter["banana_evidence"],
    ]
    told = call(
        "models/banana.js",
        """(() => {
            const { model, q } = values, { evidence, cells } = m.exact(model);
            return [m.elbo(model, q).elbo, m.reverseKl(model, q, evidence), m.forwardKl(cells, q), evidence];
        })()""",
        {"model": MODEL, "q": named(place)},
    )
    assert told == pytest.approx([value.item() for value in known], abs=1e-6)
    assert told[0] + told[1] == pytest.approx(told[3], abs=1e-9)


def test_the_slopes_are_torch_s(chapter):
    q = gaussian(chapter, *PLACES[1]).requires_grad_()
    chapter["elbo_banana"](q, order=3).backward()
    known = [*q.means.grad[0], *(q.free_factors.grad[0, i, j] for i, j in ((0, 0), (1, 0), (1, 1)))]
    told = call("models/banana.js", "m.elbo(values.model, values.q).slope", {"model": MODEL, "q": named(PLACES[1])})
    assert told == pytest.approx([value.item() for value in known], abs=1e-9)


def test_matched_moments_are_the_chapter_s(chapter):
    code = (
        "(() => { const { cells } = m.exact(values); return [true, false].map((full) => m.matched(cells, full)); })()"
    )
    full, diagonal = call("models/banana.js", code, MODEL)
    forward = chapter["forward"]
    factor = chapter["to_factors"](forward.free_factors)[0]
    assert_close(torch.tensor([full["m1"], full["m2"]]), forward.means[0], atol=1e-9, rtol=0)
    told = torch.tensor([[full["k11"], 0.0], [full["k21"], full["k22"]]])
    assert_close(told, factor, atol=1e-9, rtol=0)
    assert diagonal["k21"] == 0
    assert diagonal["k22"] == pytest.approx((factor @ factor.T)[1, 1].sqrt().item(), abs=1e-9)


@pytest.mark.parametrize("full", [False, True])
def test_the_climb_goes_the_chapter_s_way_and_ends_at_its_best_q(chapter, full):
    start = [[0.3, 0.5]]
    kept = chapter["fit_q"](chapter["gaussian_family"](start, mean_field=not full), 3)
    code = """(() => {
        const start = { m1: 0.3, m2: 0.5, k11: 0.5, k21: 0, k22: 0.5 };
        return m.climbs(values.model, start, values.full, 400).map((q) => m.elbo(values.model, q).elbo);
    })()"""
    trail = call("models/banana.js", code, {"model": MODEL, "full": full})
    for step, q in kept.items():
        assert trail[step] == pytest.approx(chapter["elbo_banana"](q, order=3).item(), abs=1e-6), step
    assert len(kept) > 2
    assert trail[400] == pytest.approx(-2.6510 if full else -2.7979, abs=5e-5)  # the table on the page
