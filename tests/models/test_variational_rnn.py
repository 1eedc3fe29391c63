"""The variational RNN: its recurrence and its ELBO against a step-by-step loop, masks, completions, the control."""

import math
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import one_sentence
from torch import nn
from torch.distributions import kl_divergence

from aevb_utils import budget, data, results
from aevb_utils.data import jsb_chorales
from aevb_utils.evaluation.bounds import elbo_terms
from aevb_utils.models.variational_rnn import (
    RecurrentNetwork,
    VariationalRNN,
    complete,
    cut,
    draw_path,
    sequence_terms,
)
from aevb_utils.training import load_pretrained, provenance

DATA_DIR = os.environ.get("AEVB_DATA_DIR")
LENGTHS = torch.tensor([6, 2, 5])


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def model_and_data(**options):
    model = VariationalRNN(D=4, L=2, H=5, T=6, hidden=(8,), **options).double()
    return model, torch.bernoulli(torch.full((3, 6, 4), 0.4, dtype=torch.float64))


def test_recurrence_is_the_gated_unit_of_the_library():
    unit = VariationalRNN(D=4, L=2, H=5, T=6).recurrence
    library = nn.GRUCell(6, 5)  # its gates come in the same order
    with torch.no_grad():
        library.weight_ih.copy_(torch.cat([unit.of_x.weight, unit.of_z.weight], dim=1))
        library.bias_ih.copy_(unit.of_x.bias)
        library.weight_hh.copy_(unit.of_h.weight)
        library.bias_hh.copy_(unit.of_h.bias)
    x, z, h = torch.randn(7, 4), torch.randn(7, 2), torch.randn(7, 5)
    assert torch.allclose(unit(unit.of_x(x), z, h), library(torch.cat([x, z], dim=1), h), atol=1e-6)


@torch.no_grad()
def step_by_step(model, x, lengths):
    """Eq. (10.17) of one path, one sequence and one step after the other."""
    reconstruction, kl = torch.zeros(len(x)).double(), torch.zeros(len(x)).double()
    h = torch.zeros(len(x), model.H).double()
    for t in range(int(lengths.max())):
        q = model.q_z_given_x(model.encoder.of_x(x[:, t]), h)
        z = q.rsample()
        for i in range(len(x)):
            if t < lengths[i]:
                reconstruction[i] += model.p_x_given_z(z[i], h[i]).log_prob(x[i, t])
                kl[i] += kl_divergence(model.q_z_given_x(model.encoder.of_x(x[i, t]), h[i]), model.p_z(h[i]))
        h = model.recurrence(model.recurrence.of_x(x[:, t]), z, h)
    return reconstruction, kl


def test_terms_are_those_of_the_loop():
    model, x = model_and_data()
    torch.manual_seed(1)
    terms = model.elbo_terms(x, LENGTHS)
    torch.manual_seed(1)
    reconstruction, kl = step_by_step(model, x, LENGTHS)
    assert torch.allclose(terms["reconstruction"], reconstruction, atol=1e-12)
    assert torch.allclose(terms["minus_kl"], -kl, atol=1e-12)


def test_what_is_behind_the_end_does_not_count():
    model, x = model_and_data()
    other = x.clone()
    for i, length in enumerate(LENGTHS):
        other[i, length:] = 1 - other[i, length:]
    for method in (model.elbo, lambda *a: model.log_weights(*a, num_samples=3)):
        torch.manual_seed(1)
        first = method(x, LENGTHS)
        torch.manual_seed(1)
        assert torch.equal(first, method(other, LENGTHS))
    assert torch.equal(sequence_terms(model, x, LENGTHS, 1)["minus_kl"][2:, 1], torch.zeros(4).double())


def test_a_batch_is_cut_at_its_longest_sequence():
    _, x = model_and_data()
    short, inside = cut(x, torch.tensor([3, 1, 2]))
    assert short.shape == (3, 3, 4)
    assert inside[:, 0].T.tolist() == [[True] * 3, [True, False, False], [True, True, False]]


def test_bad_lengths_get_a_sentence():
    model, x = model_and_data()
    with pytest.raises(ValueError, match=r"^Expected x of shape \(batch, T, D\), not \(3, 6\).$"):
        model.elbo(x[:, :, 0])
    with pytest.raises(ValueError, match=r"^Expected 3 whole numbers as lengths, one a sequence.$"):
        model.elbo(x, torch.tensor([1.0, 2.0, 3.0]))
    for wrong in (0, 7):
        with pytest.raises(ValueError, match=r"^A length must be between 1 and the 6 steps of x.$"):
            model.elbo(x, torch.tensor([wrong, 2, 3]))


def test_q_is_a_filter_and_the_prior_a_forecast():
    """The mean of q at step t depends on x up to t, the prior's on x before t."""
    model, x = model_and_data()
    x.requires_grad_()
    h, _, q = draw_path(model, x, 1)
    for value, seen in ((q.mean[2].sum(), 3), (model.p_z(h).mean[2].sum(), 2)):
        (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
        assert (gradient[0].abs().sum(dim=1) > 0).tolist() == [True] * seen + [False] * (6 - seen)


def test_completion_keeps_what_is_given():
    model, x = model_and_data()
    completed, z = complete(model, x[:, :2], 6)
    assert torch.equal(completed[:, :2], x[:, :2])
    assert completed.shape == (3, 6, 4)
    assert z.shape == (3, 6, 2)
    assert set(completed.unique().tolist()) <= {0.0, 1.0}


def test_samples_have_the_models_probabilities():
    """Drawn sequences of one step, against the exact evidence of each of four pixels' values by a sum over samples."""
    model = VariationalRNN(D=1, L=1, H=3, T=1, hidden=(4,)).double()
    drawn = model.sample(20_000)[0].mean().item()
    on = torch.ones(1, 1, 1).double()
    log_p = model.log_weights(on, num_samples=20_000).logsumexp(dim=0) - math.log(20_000)
    assert drawn == pytest.approx(log_p.exp().item(), abs=0.02)


def test_samples_end_with_their_length():
    model, _ = model_and_data()
    x, z = model.sample(3, LENGTHS)
    assert x.shape == (3, 6, 4)
    for i, length in enumerate(LENGTHS):
        assert not x[i, length:].any()
        assert not z[i, length:].any()
        assert z[i, :length].all()


def test_control_is_a_product_of_conditionals():
    control = RecurrentNetwork(3, 4, hidden=(5,)).double()
    x = torch.bernoulli(torch.full((2, 4, 3), 0.5)).double()
    log_p = control.log_evidence(x, torch.tensor([4, 2]))
    total = torch.zeros(2).double()
    for t in range(4):
        alone = control.p_x_given_h(torch.cat([x[:, :t], torch.zeros(2, 1, 3).double()], dim=1))
        each = alone.base_dist.log_prob(torch.cat([x[:, :t], x[:, t : t + 1]], dim=1)).sum(-1)[:, t]
        total += each * torch.tensor([1.0, 1.0 if t < 2 else 0.0])
    assert torch.allclose(log_p, total, atol=1e-12)


def test_control_sums_to_one():
    """Over all sequences of two steps of two pixels."""
    control = RecurrentNetwork(2, 3, hidden=(4,)).double()
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4).reshape(16, 2, 2)
    assert control.log_evidence(every).exp().sum().item() == pytest.approx(1.0, abs=1e-12)


def test_the_figures_in_the_weights_are_those_of_the_results():
    rows = results.load("vrnn_rows")["figures"]["threshold"]["variational"]
    said = provenance("vrnn-rows")["test"]
    assert {name: rows[name] for name in said} == said
    runs = results.load("vrnn_chorales")["figures"]["runs"]
    for name, run in (("vrnn-chorales", "variational RNN, transposed"), ("rnn-chorales", "control, transposed")):
        assert provenance(name)["test"] == runs[run]["test"]


@pytest.mark.skipif(not DATA_DIR, reason="needs MNIST: set AEVB_DATA_DIR")
def test_shipped_rows_do_what_is_said_of_them(monkeypatch):
    monkeypatch.setattr(budget, "FAST", False)
    x = data.mnist("threshold").test[:1000].reshape(-1, 28, 28)
    elbo = sum(elbo_terms(load_pretrained("vrnn-rows"), x).values()).mean().item()
    assert elbo == pytest.approx(provenance("vrnn-rows")["test"]["elbo of these"], abs=0.3)


@pytest.mark.skipif(not DATA_DIR, reason="needs the chorales: set AEVB_DATA_DIR")
@pytest.mark.parametrize(
    ("name", "bound", "atol"), [("vrnn-chorales", "ELBO", 0.03), ("rnn-chorales", "log evidence", 1e-3)]
)
def test_shipped_chorales_do_what_is_said_of_them(monkeypatch, name, bound, atol):
    monkeypatch.setattr(budget, "FAST", False)
    chorales = jsb_chorales()
    terms = elbo_terms(load_pretrained(name), chorales.test, chorales.test_lengths)
    a_step = -(sum(terms.values()) / chorales.test_lengths).mean().item()
    assert a_step == pytest.approx(provenance(name)["test"][bound]["a sequence"], abs=atol)


# ---- What is handed over


@given(
    padding=st.sampled_from([math.nan, math.inf, 1e30, -1.0]),
    lengths=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    kind=st.sampled_from([torch.uint8, torch.int32, torch.int64]),
)
@settings(max_examples=6)
def test_padding_never_matters_nor_do_its_gradients(padding, lengths, kind):
    model, x = model_and_data()
    lengths = torch.tensor(lengths)
    padded = x.clone()
    padded[torch.arange(6) >= lengths[:, None]] = padding
    for method in (model.elbo, lambda *a: model.log_weights(*a, num_samples=2)):
        torch.manual_seed(1)
        expected = method(x, lengths)
        torch.manual_seed(1)
        found = method(padded, lengths.to(kind))
        assert torch.equal(found, expected)
        gradients = torch.autograd.grad(found.sum(), list(model.parameters()), allow_unused=True)
        assert all(part is None or part.isfinite().all() for part in gradients)
    control = RecurrentNetwork(4, 5, hidden=(8,)).double()
    assert torch.equal(control.log_evidence(padded, lengths), control.log_evidence(x, lengths))


def test_nan_inside_is_named():
    model, x = model_and_data()
    x[1, 1, 3] = math.nan
    for call in (model.elbo, RecurrentNetwork(4, 5).double().log_evidence):
        with pytest.raises(ValueError, match="row 1, step 1, column 3 holds nan") as caught:
            call(x, LENGTHS)
        one_sentence(caught.value)
    with pytest.raises(ValueError, match="row 1, step 1, column 3 holds nan"):
        model.elbo(x)


@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_a_draw_is_of_a_whole_number_of_sequences(n):
    with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
        model_and_data()[0].sample(n)


def test_a_draw_has_a_length_a_sequence():
    model, _ = model_and_data()
    for lengths in (LENGTHS, LENGTHS[:1] * 0, torch.tensor([1.0]), torch.tensor(3)):
        with pytest.raises(ValueError, match="Expected 1 lengths, one a row, whole numbers from 1"):
            model.sample(1, lengths)
    x, z = model.sample(3, LENGTHS.tolist())
    assert x.shape == (3, 6, 4)
    assert z.shape == (3, 6, 2)
    assert len({tuple(row.flatten().tolist()) for row in z}) == 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model, x: VariationalRNN(4, 2, 5, T=0), "T must be a whole number"),
        (lambda model, x: VariationalRNN(4, 0, 5, T=6), "L must be a whole number"),
        (lambda model, x: VariationalRNN(4, 2, 5, T=6, hidden=()), "The number of hidden layers must be"),
        (lambda model, x: RecurrentNetwork(4, 0), "H must be a whole number"),
        (lambda model, x: model.elbo(x[:, :, :1]), r"shape \(batch, T, 4\), not \(3, 6, 1\)"),
        (lambda model, x: model.elbo(x.float()), r"x is torch.float32 and the model is torch.float64"),
        (lambda model, x: model.elbo(x[:, :0]), r"shape \(batch, T, D\), not \(3, 0, 4\)"),
        (lambda model, x: model.elbo(x, num_samples=0), "num_samples must be"),
        (lambda model, x: complete(model, x, 5), "T must be a whole number of at least 6, not 5"),
        (lambda model, x: complete(model, x * math.nan, 7), "row 0, step 0, column 0 holds nan"),
    ],
)
def test_what_is_no_sequence_or_no_size_is_refused(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call(*model_and_data())
    one_sentence(caught.value)
