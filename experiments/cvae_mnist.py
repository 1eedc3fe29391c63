"""Chapter 8: a conditional VAE of dynamically binarized MNIST given the label; its weights are shipped.

All 60,000 training digits, for a number of epochs fixed beforehand. The test part is used for the figures alone, with
the weights as they are shipped.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from aevb_utils import data
from aevb_utils.budget import budget
from aevb_utils.evaluation.bounds import elbo_terms, iwae_bound
from aevb_utils.models.conditional_vae import ConditionalVAE, bounds_by_label, mixture_bound
from aevb_utils.training import rounded
from experiments import _runs

NAME = "cvae-mnist"
HIDDEN = budget(full=(300, 300), fast=_runs.WIDTHS)
MODEL: dict[str, Any] = {"C": 10, "L": 40, "enters": "likelihood", "hidden": list(HIDDEN)}  # and D
SEED = 0
EPOCHS = budget(full=60, fast=2)
BATCH_SIZE = 200
LEARNING_RATE = 2e-3  # at its highest; it rises for the first tenth, then falls to 0 on a cosine
SAMPLES = budget(full=(1, 100, 1000), fast=(1, 10))  # K
FEW = budget(full=1000, fast=100)  # test digits whose bounds are computed for all ten labels, with K = 100


def train(model: ConditionalVAE, mnist: data.Dataset, y: Tensor, clock: _runs.ProcessorClock) -> None:
    """One run of ``fit``, with pixels drawn anew each epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    schedule = _runs.one_cycle(optimizer, rows=len(mnist.train), epochs=EPOCHS, batch_size=BATCH_SIZE)
    _runs.train(
        NAME, model, lambda: (mnist.draw(), y), optimizer=optimizer, scheduler=schedule, epochs=EPOCHS,
        batch_size=BATCH_SIZE, seed=SEED, bfloat16=_runs.faster_in_bfloat16(), clock=clock,
    )  # fmt: skip


def evaluate(model: ConditionalVAE, x: Tensor, labels: Tensor) -> dict[str, Any]:
    """Test figures in float32: bounds of log p(x | y), and for the first digits what they say about the label."""
    y = one_hot(labels, 10).float()
    terms = elbo_terms(model, x, y, num_samples=10)
    bounds = {K: iwae_bound(model, x[:FEW], y[:FEW], num_samples=K) for K in SAMPLES}
    by_label = bounds_by_label(model, x[:FEW], num_samples=100)  # (10, FEW)
    own, mixture = by_label.gather(0, labels[None, :FEW])[0], mixture_bound(by_label)
    elbo = sum(terms.values())
    return {
        "digits": len(x),
        "elbo": elbo.mean().item(),
        "standard_error": (elbo.std() / math.sqrt(len(x))).item(),
        "kl": -terms["minus_kl"].mean().item(),
        "digits of the bounds": FEW,
        "iwae": {str(K): bound.mean().item() for K, bound in bounds.items()},
        "mixture over labels, K = 100": mixture.mean().item(),
        "label's part, K = 100": (own - mixture).mean().item(),
        "digits whose label has the largest bound": (by_label.argmax(dim=0) == labels[:FEW]).float().mean().item(),
    }


def main() -> dict[str, Any]:
    """Train, evaluate, write weights and figures."""
    mnist = data.mnist("dynamic")
    arguments = MODEL | {"D": mnist.train.shape[1]}
    torch.manual_seed(SEED)
    model, clock = ConditionalVAE(**arguments), _runs.ProcessorClock(NAME)
    train(model, mnist, one_hot(mnist.train_labels, 10).float(), clock)
    minutes = round(clock.minutes(), 1)
    model = rounded(model)
    figures = evaluate(model, mnist.test, mnist.test_labels)
    about = {
        "experiment": "cvae_mnist",
        "data": "MNIST, all 60,000 training digits, binarized anew each epoch, with their labels",
        "seed": SEED,
        "budget": f"{EPOCHS} epochs, batches of {BATCH_SIZE}, Adam, one core, {_runs.products()}",
        "processor minutes of training": minutes,
        "test": figures,
    }
    _runs.ship(NAME, model, arguments, about)
    return {"epochs": EPOCHS, "processor minutes of training": minutes} | figures
