"""Every model of the book computes on a GPU, with nothing of the CPU in between; a fake GPU shows it, bit by bit."""

import copy

import pytest
import torch
from fake_device import FakeDevice
from test_contract import ALL, CASES

from aevb_utils import compute_on, fit
from aevb_utils.evaluation import elbo_terms, iwae_bound

NOISY = {
    "elbo_is_mean_log_weight",
    "num_samples",
    "elbo_below_evidence",
    "weights_average_to_evidence",
    "updates",
    "saves_and_loads",
}
"""Checks that take long: they draw many samples, or train."""
IN_FLOAT64 = ("mixture, network", "binomial VAE, full", "variational RNN, dropout")
KINDS = dict.fromkeys(CASES, ("mps", torch.float32)) | dict.fromkeys(IN_FLOAT64, ("cuda", torch.float64))
"""Apple's device refuses all that CUDA refuses, and float64."""


@pytest.fixture(autouse=True)
def on_the_cpu_afterwards():
    torch.manual_seed(0)
    yield
    compute_on("cpu")


def measured(model, x, context):
    """A short training, two evaluations and the parameters."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    rows = (x, *context)
    history = fit(model, rows, optimizer=optimizer, epochs=2, batch_size=4, held_out=rows)
    terms = elbo_terms(model, *rows, num_samples=2)
    bound = iwae_bound(model, *rows, num_samples=3)
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return [history.step_elbo, history.held_out_elbo, *terms.values(), bound, *model.parameters(), *moments]


@pytest.mark.parametrize("case", CASES)
def test_trained_and_evaluated_there_a_model_gives_the_bits_of_the_cpu(case):
    kind, dtype = KINDS[case]
    model, x, *context = CASES[case].build(dtype)
    here = measured(copy.deepcopy(model), x, context)
    with FakeDevice(kind) as device:
        compute_on(kind)
        there = measured(model, x, context)
        assert device.operations > 100
        assert {tensor.device.type for tensor in (*there, *model.buffers())} == {"cpu"}
    assert all(torch.equal(*pair) for pair in zip(here, there, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_moved_by_hand_a_model_keeps_the_contract(case):
    kind, dtype = KINDS[case]
    model, *rows = CASES[case].build(dtype)
    with FakeDevice(kind):
        model.to(kind)
        rows = [part.to(kind) for part in rows]
        for name in ALL.keys() - NOISY - CASES[case].cannot.keys():
            ALL[name](model, *rows)
