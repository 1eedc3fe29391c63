"""Chapter 7: a VAE on dynamically binarized MNIST, trained for long; its weights are shipped with the package.

The recipe was chosen on the last 10,000 training digits, in runs that did not see them; this run uses all 60,000 for a
number of epochs fixed beforehand. The test part is used for the figures alone, with the weights as they are shipped.
"""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from aevb_utils import data
from aevb_utils.budget import budget
from aevb_utils.evaluation.bounds import elbo_terms, iwae_bound
from aevb_utils.evaluation.latents import active_units
from aevb_utils.models.vae import VAE
from aevb_utils.training import History, rounded
from experiments import _runs

NAME = "vae-mnist"
HIDDEN = budget(full=(300, 300), fast=_runs.WIDTHS)
MODEL: dict[str, Any] = {"L": 40, "hidden": list(HIDDEN), "layer": "gated"}  # and D
SEED = 0
EPOCHS = budget(full=300, fast=6)
BATCH_SIZE = 200
LEARNING_RATE = 1e-3
RISE, FALL = budget(full=(5, 100), fast=(1, 2))  # epochs in which the step size rises from 0, and falls to 0 at the end
WARM_UP = budget(full=60, fast=2)  # epochs in which the weight of the KL grows from 0 to 1
SAMPLES = budget(full=(1, 10, 100, 1000, 5000), fast=(1, 10))  # K
PIECES = budget(full=10, fast=2)  # of the test digits, whose bounds are computed two pieces at a time


class WarmedUp:
    """The model with β times the KL in its objective: β-ELBO, equal to the ELBO once β is 1."""

    def __init__(self, model: VAE) -> None:
        self.model, self.beta = model, 0.0

    def begin(self, epoch: int) -> None:
        """β in an epoch, from 1: it grows from 0 to 1."""
        self.beta = min(1.0, (epoch - 1) / WARM_UP)

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """The two terms, the second one weighted."""
        terms = self.model.elbo_terms(x, num_samples=num_samples)
        return {"reconstruction": terms["reconstruction"], "minus_kl": self.beta * terms["minus_kl"]}

    def inference_parameters(self) -> Iterable[Parameter]:
        """φ."""
        return self.model.inference_parameters()

    def generative_parameters(self) -> Iterable[Parameter]:
        """θ."""
        return self.model.generative_parameters()


def step_size(epoch: float) -> float:
    """The share of the learning rate at a time in the run."""
    return max(0.0, min(1.0, epoch / RISE, (EPOCHS - epoch) / FALL))


def train(model: VAE, mnist: data.Dataset, clock: _runs.ProcessorClock) -> History:
    """One long run of ``fit``; β, the weight of the KL, rises with the epochs, the step size moves with the steps."""
    objective = WarmedUp(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    steps = math.ceil(len(mnist.train) / BATCH_SIZE)  # in an epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step_size((step + 1) / steps))
    return _runs.train(
        NAME, model, mnist.draw, objective=objective, optimizer=optimizer, scheduler=schedule, epochs=EPOCHS,
        batch_size=BATCH_SIZE, seed=SEED, bfloat16=_runs.faster_in_bfloat16(), before_epoch=objective.begin,
        clock=clock,
    )  # fmt: skip


def bounds(model: VAE, x: Tensor, seed: int) -> dict[str, list[float]]:
    """The importance-weighted bounds of each digit of a piece, by K."""
    return {str(K): iwae_bound(model, x, num_samples=K, seed=seed).tolist() for K in SAMPLES}


def evaluate(model: VAE, x: Tensor) -> dict[str, Any]:
    """Test figures in float32, over all digits: the ELBO and its terms, the bounds, active units."""
    terms = elbo_terms(model, x, num_samples=10)
    pieces = _runs.parts(
        {f"bounds, piece {i + 1}": partial(bounds, model, piece, i) for i, piece in enumerate(x.chunk(PIECES))}
    )
    iwae = {str(K): torch.tensor([bound for piece in pieces.values() for bound in piece[str(K)]]) for K in SAMPLES}
    last = iwae[str(SAMPLES[-1])]
    return {
        "digits": len(x),
        "elbo": sum(terms.values()).mean().item(),
        "reconstruction": terms["reconstruction"].mean().item(),
        "kl": -terms["minus_kl"].mean().item(),
        "active units": active_units(model, x).sum().item(),
        "units": model.L,
        "iwae": {K: bound.mean().item() for K, bound in iwae.items()},
        "standard_error": (last.std() / math.sqrt(len(last))).item(),
        "first hundred": last[:100].mean().item(),
    }


def main() -> dict[str, Any]:
    """Train, evaluate, ship the weights."""
    mnist = data.mnist("dynamic")
    arguments = MODEL | {"D": mnist.train.shape[1]}
    torch.manual_seed(SEED)
    model, clock = VAE(**arguments), _runs.ProcessorClock(NAME)
    train(model, mnist, clock)
    minutes = round(clock.minutes())
    model = rounded(model)
    figures = evaluate(model, mnist.test)
    about = {
        "experiment": "vae_mnist",
        "processor minutes of training": minutes,
        "data": "MNIST, all 60,000 training digits, binarized anew each epoch",
        "seed": SEED,
        "budget": f"{EPOCHS} epochs, batches of {BATCH_SIZE}, Adam, one core, {_runs.products()}",
        "test": figures,
    }
    _runs.ship(NAME, model, arguments, about)
    return {"epochs": EPOCHS, "processor minutes of training": minutes} | figures
