"""The figure that turns the ladder into a dial: its gradients, its turns and its numbers against the book's modules."""

import json

import pytest
import torch
from javascript import call
from torch.distributions import kl_divergence
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.testing import assert_close

from aevb_utils.data import simulated_mixture
from aevb_utils.figures.computing import bundle
from aevb_utils.models.logit_network import LogitNetwork
from aevb_utils.models.mixture_checks import floor_for
from aevb_utils.models.mixture_em import MixtureParameters, m_step, sufficient_statistics
from aevb_utils.models.variational_mixture import FreeLogits, VariationalMixture, to_free

POINTS = json.loads(bundle.data_of("dial"))["x"]
N, C, HIDDEN = 600, 3, 8
EM = {"q": "exact", "inner": 1, "closed": True, "rows": N}
WATCH = """(() => {
    const { x, setting, hidden, seed, turns } = values;
    const { uniform, shuffled } = modules["numbers/random.js"].random(seed);
    const start = modules["models/mixture.js"].startAt(x, shuffled([...x]).slice(0, 3)), orders = [];
    const noting = (rows) => { orders.push(shuffled(rows)); return [...orders.at(-1)]; };
    const run = new m.Run(x, start, setting, { hidden, uniform, shuffled: noting });
    const phi = [...run.inference.adam.values], told = [];
    for (let k = 0; k <= turns; k++) {
        const { elbo, kl, evidence, passes } = run.measure();
        told.push([elbo, kl, evidence, passes]);
        if (k < turns) [...run.turn()];
    }
    return { start, phi, orders, told, noted: run.noted, mixture: run.mixture };
})()"""


@pytest.fixture(autouse=True)
def double():
    """The chapters' default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def watch(setting, turns, *, hidden=HIDDEN, seed=5):
    """ELBO, KL, evidence and passes after each turn of the figure, and what was random in them."""
    values = {"x": POINTS, "setting": EM | setting, "hidden": hidden, "seed": seed, "turns": turns}
    return call("models/turns.js", WATCH, values)


def mixture_of(theta):
    """The figure's θ as the book has it."""
    full = [[[xx, xy], [xy, yy]] for xx, xy, yy in theta["covariances"]]
    return MixtureParameters(*(torch.tensor(part) for part in (theta["weights"], theta["means"], full)))


class Reference:
    """The same turns by the book's modules, torch's autograd and torch's Adam."""

    def __init__(self, setting, given, hidden):
        self.setting, self.x = setting, torch.tensor(POINTS)
        network = setting["q"] == "network"
        inference = LogitNetwork(self.x, C, hidden=[hidden] if hidden else []) if network else FreeLogits(N, C)
        vector_to_parameters(torch.tensor(given["phi"], dtype=torch.float64), inference.parameters())
        self.model = VariationalMixture(mixture_of(given["start"]), inference)
        self.phi = torch.optim.Adam(self.model.inference_parameters(), lr=0.03 if network else 0.3)
        self.theta = torch.optim.Adam(self.model.generative_parameters(), lr=0.03)
        batches = [torch.tensor(order).split(setting["rows"]) for order in given["orders"]]
        self.batches = iter([batch for order in batches for batch in order])

    def context(self, rows):
        """What the inference module asks for besides x."""
        return () if self.setting["q"] == "network" else (rows,)

    def ascend(self, rows, *optimizers):
        """As in chapter 6."""
        parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        objective = self.model.elbo(self.x[rows], *self.context(rows)).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        (-objective).backward(inputs=parameters)
        for optimizer in optimizers:
            optimizer.step()

    def turn(self):
        q, inner, closed, size = (self.setting[name] for name in ("q", "inner", "closed", "rows"))
        rows = torch.arange(N) if size == N else next(self.batches)
        if q != "exact" and inner == 1 and not closed:
            self.ascend(rows, self.phi, self.theta)
            return
        if q == "exact":
            with torch.no_grad():
                self.model.inference.lam[rows] = self.model.log_joint(self.x[rows])
        for _ in range(0 if q == "exact" else inner):
            self.ascend(rows, self.phi)
        if not closed:
            self.ascend(rows, self.theta)
            return
        with torch.no_grad():
            probabilities = self.model.q_z_given_x(self.x[rows], *self.context(rows)).probs
            statistics = sufficient_statistics(self.x[rows], probabilities)
            weights, means, covariances = m_step(statistics, covariance_floor=floor_for(self.x, None))
            self.model.weight_logits.copy_(weights.log())
            self.model.means.copy_(means)
            self.model.free_factors.copy_(to_free(covariances))

    @torch.no_grad()
    def status(self):
        """ELBO, KL and evidence, nats per point."""
        context = self.context(torch.arange(N))
        gap = kl_divergence(self.model.q_z_given_x(self.x, *context), self.model.posterior(self.x))
        values = self.model.elbo(self.x, *context), gap, self.model.log_evidence(self.x)
        return [value.mean().item() for value in values]


def setting_of(q, inner, theta, rows):
    return {"q": q, "inner": inner, "closed": theta == "closed", "rows": rows}


@pytest.mark.parametrize(
    ("q", "inner", "theta", "rows", "hidden", "turns"),
    [
        ("exact", 1, "closed", 600, 0, 20),
        ("exact", 1, "gradient", 600, 0, 20),
        ("exact", 1, "gradient", 20, 0, 60),
        ("exact", 1, "closed", 100, 0, 12),
        ("table", 10, "closed", 600, 0, 8),
        ("table", 1, "gradient", 600, 0, 60),
        ("table", 3, "gradient", 20, 0, 60),
        ("network", 10, "closed", 600, 8, 8),
        ("network", 1, "gradient", 600, 8, 60),
        ("network", 1, "gradient", 20, 8, 90),
        ("network", 3, "gradient", 100, 0, 20),
        ("network", 1, "gradient", 5, 0, 150),
    ],
)
def test_every_turn_is_the_book_s(q, inner, theta, rows, hidden, turns):
    setting = setting_of(q, inner, theta, rows)
    told = watch(setting, turns, hidden=hidden)
    reference = Reference(setting, told, hidden)
    known = [reference.status()]
    for _ in range(turns):
        reference.turn()
        known.append(reference.status())
    told = torch.tensor(told["told"])
    known = torch.tensor(known)
    assert_close(told[0, :3], known[0], atol=1e-9, rtol=0)
    assert_close(told[:, :3], known, atol=1e-6, rtol=0)
    assert_close(told[:, 0] + told[:, 1], told[:, 2], atol=1e-9, rtol=0)
    readings = 1 if q == "exact" or (inner == 1 and theta == "gradient") else inner + 1
    assert told[-1, 3].item() == pytest.approx(turns * readings * rows / N)
    assert not torch.equal(told[0], told[-1])


SLOPES = """(() => {
    const { x, theta, phi, rows, hidden, q } = values, given = { hidden, uniform: () => 0.5, shuffled: (all) => all };
    const run = new m.Run(x, theta, { q, inner: 1, closed: false, rows: 20 }, given), { adam } = run.inference;
    adam.values.set(phi);
    adam.step = run.theta.step = () => {};
    run.climb(rows, true, true);
    return [run.measure(), [...adam.gradient], [...run.theta.gradient]];
})()"""


@pytest.mark.parametrize(("q", "hidden"), [("table", 0), ("network", 0), ("network", 8)])
def test_the_gradients_by_hand_are_autograd_s(q, hidden):
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(C, 2, 2, generator=generator).tril() + 1.5 * torch.eye(2)
    start = MixtureParameters(
        weights=torch.tensor([0.5, 0.3, 0.2]),
        means=torch.randn(C, 2, generator=generator),
        covariances=factors @ factors.mT,
    )
    theta = {"weights": start.weights.tolist(), "means": start.means.tolist()}
    theta["covariances"] = [[s[0][0], s[0][1], s[1][1]] for s in start.covariances.tolist()]
    sizes = {("table", 0): N * C, ("network", 0): 3 * C, ("network", 8): 3 * 8 + 9 * C}
    phi = torch.randn(sizes[q, hidden], generator=generator).tolist()
    rows = torch.randperm(N, generator=generator)[:20]
    given = {"x": POINTS, "theta": theta, "phi": phi, "rows": rows.tolist(), "hidden": hidden, "q": q}
    noted, in_phi, in_theta = call("models/turns.js", SLOPES, given)
    reference = Reference(setting_of(q, 1, "gradient", 20), {"start": theta, "phi": phi, "orders": []}, hidden)
    assert_close([noted["elbo"], noted["kl"], noted["evidence"]], reference.status(), atol=1e-9, rtol=0)
    model = reference.model
    objective = model.elbo(reference.x[rows], *reference.context(rows)).mean()
    inference = list(model.inference_parameters())
    gradients = torch.autograd.grad(objective, [*inference, model.weight_logits, model.means, model.free_factors])
    assert_close(torch.tensor(in_phi), parameters_to_vector(gradients[: len(inference)]), atol=1e-12, rtol=1e-9)
    alpha, mu, kappa = gradients[len(inference) :]
    by_component = torch.cat([alpha[:, None], mu, kappa[:, [0, 1, 1], [0, 0, 1]]], dim=1)
    assert_close(torch.tensor(in_theta).reshape(C, 6), by_component, atol=1e-12, rtol=1e-9)


def test_the_points_are_the_book_s():
    assert_close(torch.tensor(POINTS), simulated_mixture().train.double(), atol=0.0051, rtol=0)


# What the page says about the figure as it begins


def noted(told):
    """Passes, ELBO, evidence and KL of all that a run notes."""
    return {name: torch.tensor([one[name] for one in told["noted"]]) for name in ("passes", "elbo", "evidence", "kl")}


def run_for(passes, q, inner, theta, rows, *, hidden=HIDDEN):
    """What a run of so many passes notes."""
    setting = setting_of(q, inner, theta, rows)
    readings = 1 if q == "exact" or (inner == 1 and theta == "gradient") else inner + 1
    return noted(watch(setting, round(passes * N / rows / readings), hidden=hidden))


@pytest.fixture(scope="module")
def em():
    """EM from the figure's start, to its end."""
    return watch(EM, 60)


def arrival(run, em):
    """Passes after which a run is within 0.05 nats of where EM ends, and stays there."""
    far = (em["told"][-1][2] - run["evidence"] > 0.05).nonzero().flatten()
    return run["passes"][int(far[-1]) + 1].item()


def test_em_closes_the_gap_in_each_turn_and_is_there_after_nine(em):
    run = noted(em)
    assert run["kl"][1::2].abs().max() < 1e-12
    assert (run["kl"][2:30:2] > 1e-5).all()
    assert run["evidence"].diff().min() > -1e-12
    assert arrival(run, em) == 9


def test_with_fifty_steps_a_turn_is_em_s(em):
    told = watch(setting_of("table", 50, "closed", N), 10)
    of_each = torch.tensor([[turn[2] for turn in one["told"][:11]] for one in (told, em)])
    assert (of_each[0] - of_each[1])[2:].abs().max() < 0.01
    assert told["told"][10][3] == 510
    before_m = noted(told)["kl"][50::51]
    assert before_m.max() < 0.01
    assert before_m[-1] < 3e-4


def test_with_one_step_both_rise_together_and_end_where_em_does(em):
    run = run_for(200, "table", 1, "gradient", N)
    every = {name: run[name][1:101:10] for name in ("elbo", "evidence")}
    assert all((values.diff() > 0).all() for values in every.values())
    end = em["told"][-1][2]
    assert [run["evidence"][-1].item(), run["elbo"][-1].item()] == pytest.approx([end, end], abs=2e-3)
    assert arrival(run, em) == 92


def test_a_network_pays_a_gap_that_lambda_does_not(em):
    end = {
        name: run_for(396, q, 10, "closed", N, hidden=hidden)["kl"][-1].item()
        for name, q, hidden in (("λ", "table", 0), ("linear", "network", 0), ("hidden", "network", 8))
    }
    assert end["linear"] == pytest.approx(0.02, abs=0.005)
    assert end["hidden"] < end["linear"] / 10
    assert end["λ"] < end["hidden"] / 3
    for_good = run_for(3300, "network", 10, "closed", N, hidden=0)
    late = for_good["passes"] > 2500
    assert for_good["kl"][late].min() == pytest.approx(0.012, abs=5e-4)
    assert for_good["kl"][late].max() == pytest.approx(0.012, abs=5e-4)
    assert em["told"][-1][2] - for_good["evidence"][-1].item() == pytest.approx(0.003, abs=2e-4)


def test_few_points_arrive_after_fewer_passes_and_then_hover(em):
    few = run_for(40, "network", 1, "gradient", 20)
    assert arrival(few, em) == pytest.approx(7.6, abs=0.05)
    assert arrival(run_for(200, "network", 1, "gradient", N), em) == 145
    late = few["evidence"][few["passes"] > 20]
    assert (late.diff() < -1e-4).sum() > 20
    assert em["told"][-1][2] - late.mean() > 0.005


def test_from_one_start_few_points_end_on_a_higher_hill_than_em():
    (*_, em), (*_, few) = (
        watch(setting, turns, seed=33)["told"]
        for setting, turns in ((EM, 300), (setting_of("network", 1, "gradient", 20), 2400))
    )
    assert few[2] > em[2] + 0.03


def test_a_closed_form_on_few_points_loses_a_gaussian():
    dies = WATCH.replace("[...run.turn()]", "try { [...run.turn()]; } catch (e) { return [e.message, run.turns]; }")
    values = {"x": POINTS, "setting": EM | {"rows": 20}, "hidden": 0, "seed": 5, "turns": 600}
    message, turns = call("models/turns.js", dies, values)
    assert message == "Component 1 has died: no data are left to it."
    assert turns < 30
