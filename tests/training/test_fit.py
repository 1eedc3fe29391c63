"""The training loop: the steps it takes, what it leaves alone, what it records, and what it refuses."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from latent_models import Conjugate, data_of
from matplotlib.colors import to_hex
from torch import nn

from aevb_utils.figures import PALETTE
from aevb_utils.training import History, TrainingError, fit


class Line(nn.Module):
    """A model whose ELBO is −(x − a)² − b², with a generative and b inferred: every step is known by hand."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def elbo_terms(self, x, *context, num_samples=1):
        return {"reconstruction": -(x - self.a).square(), "minus_kl": -self.b.square().expand(len(x))}

    def generative_parameters(self):
        return [self.a]

    def inference_parameters(self):
        return [self.b]


class Rows(Line):
    """Notes the rows, the context and the number of samples of each step."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def elbo_terms(self, x, *context, num_samples=1):
        self.seen.append((x.tolist(), *(c.tolist() for c in context), num_samples))
        return super().elbo_terms(x)


class Noisy(Line):
    """Draws from torch's global generator."""

    def elbo_terms(self, x, *context, num_samples=1):
        terms = super().elbo_terms(x)
        return terms | {"reconstruction": terms["reconstruction"] + torch.randn(len(x)) * self.a}


X = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)


def run(model, data=X, lr=0.1, **options):
    settings = {"optimizer": torch.optim.SGD(model.parameters(), lr=lr), "epochs": 1, "batch_size": 3} | options
    return fit(model, data, **settings)


@pytest.mark.parametrize(("update", "a", "b"), [("both", 0.6, 0.8), ("generative", 0.6, 1.0), ("inference", 0.0, 0.8)])
def test_one_step_moves_what_it_should(update, a, b):
    """∂/∂a of the mean ELBO is 2 (mean(x) − a) = 6 at a = 0, ∂/∂b is −2b."""
    model = Line()
    history = run(model, update=update)
    assert (model.a.item(), model.b.item()) == pytest.approx((a, b), abs=1e-15)
    assert history.step_elbo.tolist() == pytest.approx([-41 / 3 - 1])


def test_parameters_that_are_not_updated_stay_although_the_optimizer_has_momentum():
    model = Line()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    run(model, optimizer=optimizer, update="both", epochs=3)
    b = model.b.item()
    run(model, optimizer=optimizer, update="generative", epochs=3)
    assert model.b.item() == b


def test_every_epoch_sees_all_rows_once_in_a_new_order_with_their_context():
    model = Rows()
    x = torch.arange(10, dtype=torch.float64)
    run(model, (x, torch.arange(10), -x), epochs=5, batch_size=4, num_samples=7, lr=1e-3)
    epochs = [model.seen[i : i + 3] for i in range(0, 15, 3)]
    orders = []
    for epoch in epochs:
        assert [len(step[0]) for step in epoch] == [4, 4, 2]
        orders.append(tuple(row for step in epoch for row in step[0]))
        assert sorted(orders[-1]) == x.tolist()
        for rows, index, context, samples in epoch:
            assert rows == index == [-c for c in context]
            assert samples == 7
    assert len(set(orders)) == 5


def test_history():
    model = Rows()
    history = run(model, X, epochs=2, batch_size=2, lr=0.0)
    first = [-torch.tensor(rows).square().mean().item() for rows, _ in model.seen]
    assert history.steps["reconstruction"].tolist() == pytest.approx(first)
    assert history.steps["minus_kl"].tolist() == [-1.0] * 4
    assert history.epochs["reconstruction"].tolist() == pytest.approx([-41 / 3] * 2)
    assert history.elbo.tolist() == pytest.approx([-41 / 3 - 1] * 2)
    assert history.step_elbo.tolist() == pytest.approx([value - 1 for value in first])
    assert history.elbo.dtype == torch.float64
    assert not history.elbo.requires_grad
    assert repr(history) == "<History: 2 epochs, 4 steps; reconstruction, minus_kl>"


def test_an_empty_history():
    assert History().steps == {}
    assert len(History().elbo) == 0


def test_same_seed_same_run_and_the_caller_s_generator_is_untouched():
    def result(seed):
        model = Noisy()
        before = torch.random.get_rng_state()
        history = run(model, X, epochs=3, batch_size=2, seed=seed, lr=0.01)
        assert torch.equal(torch.random.get_rng_state(), before)
        return torch.cat([history.step_elbo, model.a.detach()[None]])

    torch.manual_seed(1)
    first = result(0)
    torch.manual_seed(2)
    assert torch.equal(result(0), first)
    assert not torch.equal(result(1), first)


def test_callback_after_each_epoch():
    calls = []
    model = Line()
    history = run(model, epochs=3, callback=lambda *arguments: calls.append((*arguments, len(arguments[2].elbo))))
    assert calls == [(epoch, model, history, epoch) for epoch in (1, 2, 3)]


def test_one_row():
    assert run(Line(), X[:1], batch_size=1).elbo.tolist() == [-2.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"batch_size": -1}, "batch_size must be a whole number of at least 1, not -1"),
        ({"num_samples": 0}, "num_samples must be a whole number of at least 1, not 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"update": "theta"}, "update must be 'inference', 'generative' or 'both', not 'theta'"),
        ({"data": (X, X[:2])}, r"the same number of rows, at least one, but they have \[3, 2\]"),
        ({"data": X[:0]}, r"the same number of rows, at least one, but they have \[0\]"),
        ({"data": ()}, r"the same number of rows, at least one, but they have \[\]"),
        ({"data": lambda: (X, X[:2])}, r"the same number of rows, at least one, but they have \[3, 2\]"),
        ({"held_out": (X, X[:1])}, r"held_out must be tensors with the same number of rows.* they have \[3, 1\]"),
        ({"data": {"x": X}}, "data must be a tensor, an array, or a list of numbers, not a dict"),
    ],
)
def test_bad_arguments(options, message):
    model = Line()
    with pytest.raises(ValueError, match=message):
        run(model, **options)
    assert (model.a.item(), model.b.item()) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (None, X, "The history had no held-out data and this call has some: continue as it began"),
        (X, None, "The history had held-out data and this call has none: continue as it began"),
    ],
)
def test_a_history_that_cannot_be_continued(first, then, message):
    model = Line()
    history = run(model, held_out=first)
    before = (model.a.item(), model.b.item(), len(history))
    with pytest.raises(ValueError, match=message):
        run(model, epochs=2, held_out=then, history=history)
    assert (model.a.item(), model.b.item(), len(history)) == before


def test_a_history_of_another_seed():
    model = Line()
    history = run(model, seed=4)
    a = model.a.item()
    with pytest.raises(ValueError, match="begun with seed 4 and this call has seed 5: continue as it began"):
        run(model, epochs=2, seed=5, history=history)
    assert (model.a.item(), len(history)) == (a, 1)


def test_the_steps_of_an_epoch_that_was_broken_off_are_forgotten():
    model = Rows()
    history = run(model, batch_size=1, lr=0.01)
    whole = model.elbo_terms
    calls = []

    def stops(x, num_samples):
        calls.append(len(x))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(x, num_samples=num_samples)

    model.elbo_terms = stops
    with pytest.raises(KeyboardInterrupt):
        run(model, batch_size=1, lr=0.01, epochs=2, history=history)
    assert (len(history), len(history.step_elbo)) == (1, 3)
    run(model, batch_size=1, lr=0.01, epochs=2, history=history)
    assert (len(history), len(history.step_elbo)) == (2, 6)
    assert history.elbo[1].item() == pytest.approx(history.step_elbo[3:].mean().item())


def test_a_history_of_other_terms():
    model = Line()
    history = run(model)
    a = model.a.item()
    model.elbo_terms = lambda x, num_samples: {"elbo": -(x - model.a).square() - model.b.square()}
    with pytest.raises(
        ValueError, match="terms are reconstruction, minus_kl, but this step's are elbo: elbo_terms must"
    ):
        run(model, epochs=2, history=history)
    assert model.a.item() == a


def test_an_optimizer_without_the_parameters():
    model = Line()
    optimizer = torch.optim.SGD([model.a], lr=0.1)
    assert run(model, optimizer=optimizer, update="generative").elbo.numel() == 1
    with pytest.raises(ValueError, match=r"holds 1 of the 2 parameter tensors that update='both' moves"):
        run(model, optimizer=optimizer)


def test_a_model_without_inference_parameters():
    model = Line()
    model.inference_parameters = list
    with pytest.raises(ValueError, match="its inference parameters are an empty list"):
        run(model, update="inference")


def test_frozen_parameters_stay():
    model = Line()
    model.b.requires_grad_(False)
    run(model, update="both")
    assert (model.a.item(), model.b.item()) == pytest.approx((0.6, 1.0), abs=1e-15)
    with pytest.raises(ValueError, match="its inference parameters are all frozen"):
        run(model, update="inference")


def test_an_optimizer_that_climbs():
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, maximize=True)
    with pytest.raises(ValueError, match="build it without maximize=True"):
        run(model, optimizer=optimizer)
    assert model.a.item() == 0.0


@pytest.mark.parametrize(
    ("terms", "message"),
    [({}, "a dictionary of named terms, but it returned an empty one"), (torch.ones(3), "but it returned a Tensor")],
    ids=["empty", "tensor"],
)
def test_terms_that_are_not_a_dictionary(terms, message):
    model = Line()
    model.elbo_terms = lambda x, num_samples: terms
    with pytest.raises(ValueError, match=message):
        run(model)


def test_a_term_of_the_wrong_shape():
    model = Line()
    model.elbo_terms = lambda x, num_samples: {"reconstruction": x.sum()}
    with pytest.raises(ValueError, match=r"'reconstruction' should have the shape \(3,\), but it has \(\)"):
        run(model)


def test_a_term_that_is_not_finite_stops_before_the_step():
    model = Line()
    data = torch.cat([X, torch.tensor([float("inf")], dtype=torch.float64)])
    with pytest.raises(TrainingError, match=r"In epoch 1, step \d, the ELBO's term 'reconstruction' became -inf:"):
        run(model, data, batch_size=1, lr=0.01)
    assert model.a.isfinite()


# A run in parts, data that change, held-out data


def trained(model, history=None, **options):
    """A run with what makes runs differ: dropout, samples, permutations and an optimizer with a memory."""
    optimizer = options.pop("optimizer", None) or torch.optim.Adam(model.parameters(), lr=0.02)
    options = {"epochs": 5, "batch_size": 8, "seed": 2} | options
    data = options.pop("data", DRAWN)
    return fit(model, data, optimizer=optimizer, history=history, **options)


DRAWN = data_of(Conjugate(), 20)


def parameters(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("held_out", [None, DRAWN[:3]], ids=["alone", "held out"])
def test_a_run_in_two_parts_is_the_run_in_one(held_out):
    whole = Conjugate(dropout=0.3)
    at_once = trained(whole, held_out=held_out)
    model = Conjugate(dropout=0.3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    history = trained(model, optimizer=optimizer, held_out=held_out, epochs=2)
    torch.rand(5)
    assert trained(model, history, optimizer=optimizer, held_out=held_out) is history
    assert len(history) == 5
    assert torch.equal(parameters(model), parameters(whole))
    assert torch.equal(history.step_elbo, at_once.step_elbo)
    assert torch.equal(history.elbo, at_once.elbo)
    assert torch.equal(history.held_out_elbo, at_once.held_out_elbo)


def test_a_run_that_is_over_is_not_continued_and_says_so():
    model = Conjugate()
    history = trained(model)
    before = parameters(model)
    with pytest.warns(UserWarning, match="Nothing was trained: the history holds all 5 epochs. Raise epochs"):
        assert trained(model, history, epochs=5) is history
    with pytest.raises(ValueError, match=r"holds 5 epochs and epochs is 3: .* epochs=8 trains 3 more"):
        trained(model, history, epochs=3)
    assert torch.equal(parameters(model), before)
    assert len(history) == 5


def test_held_out_data_are_looked_at_without_dropout_and_training_does_not_depend_on_them():
    alone, watched = Conjugate(dropout=0.5), Conjugate(dropout=0.5)
    modes = []
    watched.dropout.register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    history = trained(alone)
    observed = trained(watched, held_out=DRAWN[:3])
    assert torch.equal(parameters(alone), parameters(watched))
    assert torch.equal(history.step_elbo, observed.step_elbo)
    assert (
        modes == [False] * 2 + [True, True, True, False] * 5
    )  # a look at both; three steps an epoch, the held-out data
    assert watched.dropout.training
    assert history.held_out == {}
    assert len(history.held_out_elbo) == 0
    assert {name: len(values) for name, values in observed.held_out.items()} == {"reconstruction": 5, "minus_kl": 5}


def test_the_held_out_value_is_that_of_the_model_after_the_epoch():
    model = Line()
    history = run(model, held_out=X[:2])
    assert history.held_out["reconstruction"].tolist() == pytest.approx([-(0.4**2 + 1.4**2) / 2])  # a = 0.6
    assert history.held_out_elbo.tolist() == pytest.approx([-(0.4**2 + 1.4**2) / 2 - 0.8**2])  # b = 0.8


def test_data_that_are_a_function_are_drawn_anew_for_each_epoch():
    model = Rows()
    drawn = []

    def draw():
        drawn.append(torch.randn(4, dtype=torch.float64))
        return drawn[-1], torch.arange(4)

    before = torch.random.get_rng_state()
    run(model, draw, epochs=3, batch_size=2, lr=1e-3)
    assert torch.equal(torch.random.get_rng_state(), before)
    for epoch, x in enumerate(drawn):
        steps = model.seen[2 * epoch : 2 * epoch + 2]
        values = {row: value for rows, index, _ in steps for value, row in zip(rows, index, strict=True)}
        assert [values[row] for row in range(4)] == x.tolist()
    assert len({tuple(x.tolist()) for x in drawn}) == 3
    first = [x.tolist() for x in drawn]
    drawn.clear()
    run(Rows(), draw, epochs=3, batch_size=2, lr=1e-3)
    assert [x.tolist() for x in drawn] == first  # from the seed alone


# Number formats and devices


class Exact(Conjugate):
    """The ELBO in closed form: whether samples in bfloat16 are those in float32 depends on the version of torch."""

    def elbo_terms(self, x, *, num_samples=1):
        return {"elbo": self.exact_elbo(x)}


def test_bfloat16():
    model = Exact(dtype=torch.float32)
    products = []
    model.encoder.register_forward_hook(lambda module, inputs, output: products.append(output.dtype))
    history = trained(model, data=DRAWN.float(), held_out=DRAWN.float(), bfloat16=True, epochs=1)
    assert products == [torch.float32] * 2 + [torch.bfloat16] * 3 + [
        torch.float32
    ]  # a look at both data; steps; held out
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    plain = trained(Exact(dtype=torch.float32), data=DRAWN.float(), held_out=DRAWN.float(), epochs=1)
    difference = (history.step_elbo - plain.step_elbo).abs()
    assert 0 < difference.max() < 0.02 * plain.step_elbo.abs().max()  # bfloat16 has three digits


def test_means_over_a_minibatch_are_not_rounded_to_bfloat16():
    model = Line()
    values = torch.tensor([1.0, 1.0, 1.0078125], dtype=torch.bfloat16)  # the last is the number after 1
    model.elbo_terms = lambda x, num_samples: {"elbo": values + 0 * (model.a + model.b).bfloat16()}
    assert run(model, lr=0.0).elbo.tolist() == pytest.approx([1 + 0.0078125 / 3], rel=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_data_are_moved_to_the_model_s_device(bfloat16):
    before = torch.cuda.get_rng_state()
    runs = []
    for _ in range(2):
        model = Conjugate(dropout=0.2, dtype=torch.float32).cuda()
        data = DRAWN.float()
        history = trained(model, data=lambda data=data: data + torch.randn_like(data), held_out=data, bfloat16=bfloat16)
        assert history.elbo.device.type == "cpu"
        runs.append(parameters(model))
    assert torch.equal(*runs)
    assert torch.equal(torch.cuda.get_rng_state(), before)


# History


def test_a_closed_epoch_gives_its_elbo():
    history = History()
    for value in (1.0, 4.0):
        history.add_step({"reconstruction": torch.tensor(value), "minus_kl": torch.tensor(-0.5)})
    assert history.close_epoch(history.take_steps(), [3, 1]) == pytest.approx(1.75 - 0.5)
    assert len(history) == 1


def test_history_as_state():
    model = Conjugate()
    for held_out in (None, DRAWN[:3]):
        history = trained(model, held_out=held_out)
        state = history.state_dict()
        again = History.from_state_dict(state)
        assert repr(again) == repr(history)
        for name in ("steps", "epochs", "held_out"):
            first, second = getattr(history, name), getattr(again, name)
            assert first.keys() == second.keys()
            assert all(torch.equal(first[key], second[key]) for key in first)
        assert trained(model, again, held_out=held_out, epochs=6).elbo.shape == (6,)
        assert len(history) == 5
    empty = History.from_state_dict(History().state_dict())
    assert (len(empty), empty.steps) == (0, {})


@pytest.mark.parametrize("held_out", [None, DRAWN[:3]], ids=["alone", "held out"])
def test_history_draws_itself(held_out):
    history = trained(Conjugate(), held_out=held_out)
    figure, (left, right) = plt.subplots(1, 2)
    assert history.plot(left) is left
    lines = left.get_lines()
    assert lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert lines[0].get_ydata().tolist() == history.elbo.tolist()
    assert (lines[0].get_linestyle(), to_hex(lines[0].get_color())) == ("-", PALETTE["elbo"].lower())
    assert (left.get_xlabel(), left.get_ylabel()) == ("epoch", "ELBO (nats a datum)")
    if held_out is None:
        assert len(lines) == 1
        assert left.get_legend() is None
    else:
        assert lines[1].get_ydata().tolist() == history.held_out_elbo.tolist()
        assert lines[1].get_linestyle() == "--"
        assert [text.get_text() for text in left.get_legend().get_texts()] == ["training data", "held-out data"]
    plt.sca(right)
    assert history.plot() is right
    plt.close(figure)


def test_a_gradient_that_is_not_finite_stops_after_the_epoch():
    model = Line()
    finite = model.elbo_terms
    model.elbo_terms = lambda x, num_samples: finite(x) | {"root": -model.a.square().sqrt().expand(len(x))}
    calls = []
    with pytest.raises(
        TrainingError, match="In epoch 1, a parameter became NaN or infinite although the ELBO was finite"
    ):
        run(model, callback=lambda *arguments: calls.append(arguments))
    assert calls == []


def test_held_out_data_without_a_finite_elbo_stop_after_the_epoch():
    unseen = torch.tensor([1.0, float("inf")], dtype=torch.float64)
    with pytest.raises(
        TrainingError, match="After epoch 1, the ELBO's term 'reconstruction' of the held-out data is -inf"
    ):
        run(Line(), held_out=unseen)


def test_the_scheduler_is_stepped_after_every_update():
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)  # the first step alone
    fit(model, X, optimizer=optimizer, scheduler=scheduler, epochs=2, batch_size=1)
    assert scheduler.last_epoch == 6
    assert model.b.item() == pytest.approx(0.8, abs=1e-15)  # as after one step of 0.1


def test_a_scheduler_of_another_optimizer_is_refused():
    other = torch.optim.SGD(Line().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="moves the step size of another optimizer"):
        run(Line(), scheduler=torch.optim.lr_scheduler.ConstantLR(other))


def test_bfloat16_on_a_model_in_float64_is_refused():
    with pytest.raises(ValueError, match="bfloat16=True has no effect on a model in float64"):
        run(Line(), bfloat16=True)


def test_the_record_stays_on_the_device_until_the_epoch_is_closed():
    history = History()
    history.add_step({"elbo": torch.tensor(1.0, requires_grad=True) * 2})
    (row,) = history._open
    assert not row.requires_grad
    assert row.dtype == torch.float32
    assert history.take_steps().dtype == torch.float64


def test_a_sum_of_terms_that_overflows_is_named():
    class Huge(Line):
        def elbo_terms(self, x, *, num_samples=1):
            return {name: term.float() * 0 - 3e38 for name, term in super().elbo_terms(x).items()}

    with pytest.raises(TrainingError, match="the ELBO's term 'sum' became -inf"):
        run(Huge(), batch_size=1)


def test_progress_is_shown_unless_it_is_turned_off(capfd):
    code = textwrap.dedent("""
        import sys
        import torch
        from latent_models import Conjugate, data_of
        import aevb_utils.data
        from aevb_utils.training import fit
        model = Conjugate()
        fit(model, data_of(model, 10), optimizer=torch.optim.Adam(model.parameters()), epochs=2, batch_size=5)
        # tested here too, because a process of its own takes seconds to start
        slow = {"matplotlib", "sklearn", "scipy.stats"} & sys.modules.keys()
        assert not slow, f"{slow} is imported, and nobody needs it here"
    """)
    paths = os.pathsep.join(str(folder) for folder in Path(__file__).parents[:3])
    environment = os.environ | {"TQDM_DISABLE": "", "PYTHONPATH": paths}
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    assert "ELBO" in shown.stderr
    assert "nats a datum" in shown.stderr
    assert shown.stdout == ""
    assert os.environ["TQDM_DISABLE"] == "1"  # in all tests, from before tqdm was imported
    run(Line())
    assert capfd.readouterr() == ("", "")
