"""Chapter 8: a conditional VAE with a continuous Bernoulli on grey MNIST; all but the label as in chapter 7."""

import math
from typing import Any

import torch
from torch.nn.functional import one_hot

from aevb_utils import data, networks
from aevb_utils.budget import budget
from aevb_utils.evaluation.bounds import elbo_terms
from aevb_utils.models.conditional_vae import ConditionalVAE
from experiments import _runs

SEED = 0
EPOCHS = budget(full=20, fast=2)
BATCH_SIZE = 100
LEARNING_RATE = 1e-3  # at its highest; it rises for the first tenth, then falls to 0 on a cosine
OPTIONS: dict[str, Any] = {"enters": "likelihood", "hidden": budget(full=(500, 500), fast=_runs.WIDTHS), "dropout": 0.1}
L = 20


def main() -> dict[str, Any]:
    """Train on all training digits and their labels; evaluate the test digits once."""
    mnist = data.mnist("grey")
    y, y_test = (one_hot(labels, 10).float() for labels in (mnist.train_labels, mnist.test_labels))
    torch.manual_seed(SEED)
    model = ConditionalVAE(mnist.train.shape[1], 10, L, likelihood=networks.continuous_bernoulli, **OPTIONS)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = _runs.one_cycle(optimizer, rows=len(mnist.train), epochs=EPOCHS, batch_size=BATCH_SIZE)
    options = {"optimizer": optimizer, "scheduler": schedule, "batch_size": BATCH_SIZE, "seed": SEED}
    history = _runs.train("model", model, (mnist.train, y), epochs=EPOCHS, **options)
    terms = elbo_terms(model, mnist.test, y_test, num_samples=10)
    elbo = sum(terms.values())
    return {
        "seed": SEED,
        "epochs": EPOCHS,
        "batch_size": BATCH_SIZE,
        "network": "784 and label-500-500-20, dropout 0.1, float32",
        "train_elbo": history.elbo.tolist(),
        "elbo": elbo.mean().item(),
        "standard_error": (elbo.std() / math.sqrt(len(elbo))).item(),
        "kl": -terms["minus_kl"].mean().item(),
    }
