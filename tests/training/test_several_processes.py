"""Training in several processes: the parameters of one, whatever the shares, the kills and the number that goes on."""

import pytest
import several_processes
import torch
from systems import needs_fork
from torch import nn

from aevb_utils.evaluation import iwae_bound
from aevb_utils.models import VAE, FactorAnalysis, GaussianMixtureVAE, VariationalRNN
from aevb_utils.networks import gaussian
from aevb_utils.training import checkpoint_callback, fit
from aevb_utils.training.checkpoints import load

pytestmark = needs_fork
ROWS, EPOCHS = 37, 20  # batches of 16, 16 and 5


def rows_of(*shape, seed=3):
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lengths():
    return torch.randint(1, 5, (ROWS,), generator=torch.Generator().manual_seed(5))


MODELS = {
    "factor analysis": (lambda: FactorAnalysis(5, 2), lambda: rows_of(5)),
    "vae": (lambda: VAE(6, 2, hidden=(7,), dropout=0.2), lambda: (rows_of(6) > 0).double()),
    "gmvae": (
        lambda: GaussianMixtureVAE(6, 2, 3, hidden=(7,), dropout=0.1, likelihood=gaussian, outputs=12),
        lambda: rows_of(6),
    ),
    "vrnn": (
        lambda: VariationalRNN(3, 2, 4, T=4, hidden=(5,), likelihood=gaussian, outputs=6),
        lambda: (rows_of(4, 3), lengths()),
    ),
}


def build(name):
    make, data = MODELS[name]
    torch.manual_seed(1)
    model = make().double()
    return model, torch.optim.Adam(model.parameters(), lr=0.01), data()


def trained(name, **options):
    """Parameters, history and bounds after a training."""
    model, optimizer, data = build(name)
    settings = {"epochs": EPOCHS, "batch_size": 16, "num_samples": 2, "seed": 4} | options
    history = fit(model, data, optimizer=optimizer, held_out=data, **settings)
    bounds = iwae_bound(model, *(data if isinstance(data, tuple) else (data,)), num_samples=5, seed=2)
    return nn.utils.parameters_to_vector(model.parameters()).detach(), history.elbo, history.held_out_elbo, bounds


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [2, 3])
def test_processes_train_what_one_trains(name, size, tmp_path):
    if size == 3 and name != "vae":
        pytest.skip("two are enough")
    alone = trained(name)
    for result in several_processes.results(lambda rank: trained(name), size, tmp_path):
        assert not isinstance(result, str), result
        for one, other in zip(alone, result, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-9)
