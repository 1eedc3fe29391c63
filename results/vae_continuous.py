"""Chapter 7: a VAE with a continuous Bernoulli on grey MNIST, the network of the source tutorial, in float32."""

import math
from typing import Any

import torch

from aevb_utils import data, networks
from aevb_utils.evaluation.bounds import elbo_terms
from aevb_utils.models.vae import VAE
from aevb_utils.training import fit

SEED = 0
EPOCHS = 20
BATCH_SIZE = 100
LEARNING_RATE = 1e-3  # at its highest; it rises for the first tenth, then falls to 0 on a cosine
OPTIONS: dict[str, Any] = {"hidden": (500, 500), "dropout": 0.1}
L = 20


def main() -> dict[str, Any]:
    """Train on all training digits; evaluate the test digits once."""
    mnist = data.mnist("grey")
    torch.manual_seed(SEED)
    model = VAE(mnist.train.shape[1], L, likelihood=networks.continuous_bernoulli, **OPTIONS)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    steps = EPOCHS * math.ceil(len(mnist.train) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    history = fit(
        model, mnist.train, optimizer=optimizer, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=SEED,
        callback=lambda epoch, _, history: print(f"  epoch {epoch}: {history.elbo[-1]:.1f} nats", flush=True),
    )  # fmt: skip
    terms = elbo_terms(model, mnist.test, num_samples=10)
    elbo = sum(terms.values())
    return {
        "seed": SEED,
        "epochs": EPOCHS,
        "batch_size": BATCH_SIZE,
        "network": "784-500-500-20, dropout 0.1, float32",
        "train_elbo": history.elbo.tolist(),
        "elbo": elbo.mean().item(),
        "standard_error": (elbo.std() / math.sqrt(len(elbo))).item(),
        "kl": -terms["minus_kl"].mean().item(),
    }
