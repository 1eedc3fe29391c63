"""The training loop: the steps it takes, what it leaves alone, what it records, and what it refuses."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

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
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, not -1"),
        ({"num_samples": 0}, "num_samples must be at least 1, not 0"),
        ({"update": "theta"}, "update must be 'inference', 'generative' or 'both', not 'theta'"),
        ({"data": (X, X[:2])}, r"the same number of rows, at least one, but they have \[3, 2\]"),
        ({"data": X[:0]}, r"the same number of rows, at least one, but they have \[0\]"),
        ({"data": ()}, r"the same number of rows, at least one, but they have \[\]"),
    ],
)
def test_bad_arguments(options, message):
    model = Line()
    with pytest.raises(ValueError, match=message):
        run(model, **options)
    assert (model.a.item(), model.b.item()) == (0.0, 1.0)


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


def test_a_term_of_the_wrong_shape():
    model = Line()
    model.elbo_terms = lambda x, num_samples: {"reconstruction": x.sum()}
    with pytest.raises(ValueError, match=r"'reconstruction' should have the shape \(3,\), but it has \(\)"):
        run(model)


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "nan"), (float("inf"), "-inf")])
def test_a_term_that_is_not_finite_stops_before_the_step(value, word):
    model = Line()
    data = torch.cat([X, torch.tensor([value], dtype=torch.float64)])
    with pytest.raises(TrainingError, match=rf"In epoch 1, step \d, the ELBO's term 'reconstruction' became {word}:"):
        run(model, data, batch_size=1, lr=0.01)
    assert model.a.isfinite()


def test_progress_is_shown_unless_it_is_turned_off():
    code = "from tests.test_training import *; run(Line(), epochs=2)"
    for disabled in ("", "1"):
        environment = os.environ | {"TQDM_DISABLE": disabled}
        shown = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        assert ("ELBO" in shown.stderr and "nats a datum" in shown.stderr) == (not disabled), shown.stderr
        assert shown.stdout == ""
