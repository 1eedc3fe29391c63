"""The figure that hides mistakes in losses: its numbers come from trainings, and each mistake has its check."""

import json
import math
from itertools import pairwise

import pytest
import torch
from javascript import call

from aevb_utils.evaluation.modes import own_random_numbers
from aevb_utils.figures.computing import bundle
from tools import planted_mistakes
from tools.notebooks import ROOT
from tools.planted_mistakes import CHECKS, RUNS, Patient, by_hand, start

DATA = json.loads(bundle.data_of("bug"))
CONVICTS = {
    "evidence": {"sign", "mean", "prior"},  # what makes the loss smaller than minus an ELBO
    "samples": {"sign", "prior", "beta"},  # what is no KL
    "known": {"mean", "prior"},  # what is wrong where the KL is zero
    "pixels": {"mean"},
    "moved": {"beta"},
    "sure": {"sign", "beta"},
    "nudge": {"sample"},
}
LOG_10 = math.log(10)
BEGINNING = 5  # epochs
WHOLE = "beta"  # one of the runs, which is trained to its end: that takes seconds


@pytest.fixture
def double():
    with planted_mistakes.in_float64():
        yield


@pytest.mark.usefixtures("double")
def test_each_run_of_the_figure_begins_as_its_training_does():
    """To the digits that it shows: other processors round otherwise."""
    x, _ = planted_mistakes.black_and_white()
    assert DATA.keys() == RUNS.keys()
    for name, loss in RUNS.items():
        _, begun = planted_mistakes.trained(loss, x, BEGINNING)
        assert begun.tolist() == pytest.approx(DATA[name]["loss"][:BEGINNING], abs=0.01), name


def test_a_run_of_the_figure_is_its_training_to_the_end_and_so_are_its_checks():
    run = planted_mistakes.run_of(RUNS[WHOLE])
    assert run["loss"] == pytest.approx(DATA[WHOLE]["loss"], abs=0.01)
    assert {*run["checks"]} == {*CHECKS}
    assert all(data["checks"].keys() == CHECKS.keys() for data in DATA.values())
    for check, compared in run["checks"].items():
        assert compared == pytest.approx(DATA[WHOLE]["checks"][check], abs=0.01), check


def test_each_check_convicts_what_it_can_see_and_nothing_else():
    told = call("models/mistakes.js", "m.CHECKS.map((c) => m.NAMES.filter((n) => m.fails(values[n], c)))", DATA)
    assert dict(zip(call("models/mistakes.js", "m.CHECKS"), map(set, told), strict=True)) == CONVICTS
    assert set().union(*CONVICTS.values()) == {*RUNS} - {"right"}


def test_a_check_that_two_fail_tells_them_apart_by_its_number():
    excess = {name: {check: v[0] - v[1] for check, v in run["checks"].items()} for name, run in DATA.items()}
    assert excess["sign"]["sure"] == pytest.approx(-2 * LOG_10, abs=1e-5)
    assert excess["beta"]["sure"] == pytest.approx(LOG_10, abs=1e-5)
    assert excess["prior"]["known"] == pytest.approx(-LOG_10, abs=1e-5)
    assert excess["mean"]["known"] == pytest.approx(-63 * math.log(2), abs=1e-5)
    assert DATA["beta"]["checks"]["moved"][0] == pytest.approx(RUNS["beta"].beta / 2)


def test_without_log_p_y_the_training_is_the_right_one():
    ours, right = DATA["prior"]["loss"], DATA["right"]["loss"]
    assert ours == pytest.approx([value - LOG_10 for value in right], abs=1e-4)


def test_what_the_page_says_of_the_numbers_is_so():
    page = " ".join((ROOT / "book" / "play.md").read_text(encoding="utf-8").partition("## Find the bug")[2].split())
    cost = {name: f"{run['checks']['sure'][0]:.2f}".replace("-", "−") for name, run in DATA.items()}
    assert (
        f"a $q(y)$ that is sure must cost {cost['right']} nats; {cost['sign']} is a sign, {cost['beta']} a weight"
        in page
    )
    assert f"$\\log 10 = {LOG_10:.2f}$ nats too small" in page
    assert f"With β = {RUNS['beta'].beta:g} the bound is lower still" in page
    kl, by_samples, _ = DATA["beta"]["checks"]["samples"]
    assert kl > by_samples + 1
    assert "three mistakes do that, and two do not" in page
    assert len(CONVICTS["evidence"]) == 3


def test_the_curves_fall_and_come_to_rest():
    for name, run in DATA.items():
        loss = run["loss"]
        fallen = [(loss[0] - value) / (loss[0] - loss[-1]) for value in loss]
        assert fallen[len(loss) // 2] > 0.85, name
        assert min(value - before for before, value in pairwise(fallen)) > -0.01, name


@pytest.mark.usefixtures("double")
def test_the_right_loss_is_the_book_s():
    model, x = start(RUNS["right"]), (torch.arange(192.0).reshape(3, 64) % 5 > 2).double()
    told = []
    for elbo in (model.elbo, super(Patient, model).elbo_terms):
        with own_random_numbers(torch.device("cpu"), 3):
            value = elbo(x, num_samples=4)
        told.append(sum(value.values()) if isinstance(value, dict) else value)
    assert torch.allclose(*told, atol=1e-12, rtol=0)


@pytest.mark.usefixtures("double")
def test_a_planted_mistake_changes_only_what_it_says():
    hand = {name: by_hand(start(loss), moved=1.0, sure=True) for name, loss in RUNS.items()}
    coins, moved = 64 * math.log(2), 0.5
    assert hand == pytest.approx(
        {
            "right": coins + moved + LOG_10,
            "sign": coins + moved - LOG_10,
            "mean": coins / 64 + moved + LOG_10,
            "sample": coins + moved + LOG_10,
            "prior": coins + moved,
            "beta": coins + 2 * (moved + LOG_10),
        }
    )


@pytest.mark.usefixtures("double")
def test_the_evidence_is_that_of_a_finer_grid_and_of_samples():
    model, (_, x) = start(RUNS["right"]).requires_grad_(requires_grad=False), planted_mistakes.black_and_white()
    coarse, fine = (planted_mistakes.log_evidence(model, x[:10], size) for size in (400, 700))
    assert torch.allclose(coarse, fine, atol=1e-3, rtol=0)
    with own_random_numbers(torch.device("cpu"), 0):
        likelihoods = torch.stack(
            [model.p_x_given_z(model.p_z().sample((1000, 1))).log_prob(x[:10]) for _ in range(99)]
        )
    assert torch.allclose(fine, likelihoods.flatten(0, 1).logsumexp(dim=0) - math.log(99_000), atol=0.05, rtol=0)


def test_every_order_has_all_runs_and_orders_differ():
    orders = call("models/mistakes.js", "values.map((seed) => m.orderOf(seed))", [*range(1, 40)])
    assert all(sorted(order) == sorted(RUNS) for order in orders)
    assert len({tuple(order) for order in orders}) > 30


def test_the_figure_names_a_check_for_every_wrong_guess():
    pairs = [(said, is_) for said in RUNS for is_ in RUNS if said != is_]
    told = call(
        "models/mistakes.js", "values[1].map(([a, b]) => m.tellApart(values[0][a], values[0][b]))", [DATA, pairs]
    )
    for (said, is_), checks in zip(pairs, told, strict=True):
        assert checks, (said, is_)
        differ = {check for check, bad in CONVICTS.items() if (said in bad) != (is_ in bad)}
        assert {*checks[: len(differ)]} == differ, (said, is_)
