"""Chapter 8: completing an image from 1, 2 or 3 of its quadrants, by a conditional VAE and by a network without latent.

The last 10,000 training digits choose, for either model, the epoch whose weights are kept (the recipe itself was chosen
on them too); the other 50,000 train. The test part is used once, for the figures alone. All figures are nats a digit,
summed over the unobserved pixels. The weights of one of the models are shipped with the package.
"""

import copy
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from aevb_utils import data
from aevb_utils.budget import budget
from aevb_utils.evaluation.bounds import elbo_terms, iwae_bound
from aevb_utils.models.conditional_vae import (
    ConditionalVAE,
    DirectNetwork,
    grey_bernoulli,
    observed_pixels,
)
from aevb_utils.networks import bernoulli
from aevb_utils.training import History, fit, rounded
from experiments import _runs

SEED = 0
SIDE, TRAIN = budget(full=(28, 50_000), fast=(8, 1_200))  # the other digits choose the epoch
L, HIDDEN = 30, budget(full=(300, 300), fast=_runs.WIDTHS)
BATCH_SIZE = 200
EPOCHS = dict(
    zip(("network", "conditional VAE"), budget(full=(40, 20), fast=(4, 3)), strict=True)
)  # about the same time; held-out digits choose one of them
LEARNING_RATE = {"network": 1e-3, "conditional VAE": 2e-3}  # at its highest; rises for a tenth, falls on a cosine
DROPOUT = 0.1
SAMPLES = budget(full=100, fast=5)  # K
LIKELIHOODS = {"grey": grey_bernoulli, "dynamic": bernoulli}
SHIPPED, SHIPPED_TASK = "cvae-quadrant", ("dynamic", 1)

Parts = tuple[Tensor, Tensor]  # the unobserved pixels x, and the observed ones, y


def build(kind: str, pixels: str, D: int, C: int) -> tuple[nn.Module, dict[str, Any]]:
    """One of the two models, and what it is called with."""
    arguments = {"D": D, "C": C, "hidden": list(HIDDEN), "dropout": DROPOUT}
    if kind == "conditional VAE":
        arguments |= {"L": L, "enters": "both"}
    model = (DirectNetwork if kind == "network" else ConditionalVAE)(**arguments, likelihood=LIKELIHOODS[pixels])
    return model, arguments


def train(kind: str, model: nn.Module, draw: Callable[[], Parts], held_out: Parts) -> int:
    """Fit, put the weights of the best epoch on held-out digits back, and return that epoch's number."""
    peak, epochs = LEARNING_RATE[kind], EPOCHS[kind]
    optimizer = torch.optim.Adam(model.parameters(), lr=peak, fused=True)
    schedule = _runs.one_cycle(optimizer, rows=TRAIN, epochs=epochs, batch_size=BATCH_SIZE)
    best: dict[str, Any] = {"elbo": -math.inf}

    def keep(epoch: int, model: nn.Module, history: History) -> None:
        if history.held_out_elbo[-1] > best["elbo"]:
            best.update(elbo=history.held_out_elbo[-1].item(), epoch=epoch, state=copy.deepcopy(model.state_dict()))

    fit(
        model, draw, optimizer=optimizer, scheduler=schedule, epochs=epochs, batch_size=BATCH_SIZE, held_out=held_out,
        seed=SEED, bfloat16=_runs.faster_in_bfloat16(), callback=keep,
    )  # fmt: skip
    model.load_state_dict(best["state"])
    return best["epoch"]


def evaluate(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Test figures in float32: log p(x | y), exact for the network, bounds for the conditional VAE."""
    if isinstance(model, DirectNetwork):
        exact = elbo_terms(model, x, y)["reconstruction"]
        return {"nll": -exact.mean().item(), "standard_error": (exact.std() / math.sqrt(len(x))).item()}
    terms = elbo_terms(model, x, y, num_samples=10)
    bound = iwae_bound(model, x, y, num_samples=SAMPLES)
    return {
        "nll": -bound.mean().item(),
        "standard_error": (bound.std() / math.sqrt(len(x))).item(),
        "elbo": sum(terms.values()).mean().item(),
        "kl": -terms["minus_kl"].mean().item(),
    }


def run(pixels: str, quadrants: int) -> dict[str, Any]:
    """Both models on one task."""
    mnist, observed = data.mnist(pixels), observed_pixels(SIDE, quadrants)

    def split(images: Tensor) -> Parts:
        return images[:, ~observed].contiguous(), images[:, observed].contiguous()

    def draw() -> Parts:  # fit calls it each epoch under a seed of its own
        levels = mnist.train[:TRAIN]
        return split(torch.bernoulli(levels) if mnist.redrawn else levels)

    held_out = mnist.train[TRAIN:]
    if mnist.redrawn:
        held_out = torch.bernoulli(held_out, generator=torch.Generator().manual_seed(SEED))
    x, y = split(mnist.test)
    figures: dict[str, Any] = {"unobserved pixels": x.shape[1]}
    for kind in EPOCHS:
        torch.manual_seed(SEED)
        model, arguments = build(kind, pixels, x.shape[1], y.shape[1])
        started = time.process_time()
        epoch = train(kind, model, draw, split(held_out))
        seconds = round(time.process_time() - started)
        model = rounded(model)
        figures[kind] = {"epoch": epoch, "processor seconds": seconds} | evaluate(model, x, y)
        if kind == "conditional VAE" and (pixels, quadrants) == SHIPPED_TASK:
            ship(model, arguments, figures[kind])
    return figures


def ship(model: nn.Module, arguments: dict[str, Any], figures: dict[str, Any]) -> None:
    """Write the weights, with what they are."""
    about = {
        "experiment": "quadrants",
        "data": "MNIST, the first 50,000 training digits, binarized anew each epoch; the bottom left is observed",
        "seed": SEED,
        "budget": f"at most {EPOCHS['conditional VAE']} epochs, batches of {BATCH_SIZE}, Adam, {_runs.products()}; "
        "the epoch was chosen on the other training digits",
        "test": figures | {"K": SAMPLES},
    }
    _runs.ship(SHIPPED, model, arguments, about)


def main() -> dict[str, Any]:
    """All six tasks."""
    jobs = [(pixels, quadrants) for pixels in LIKELIHOODS for quadrants in (1, 2, 3)]
    figures = _runs.parts({f"{pixels} {quadrants}": partial(run, pixels, quadrants) for pixels, quadrants in jobs})
    tasks: dict[str, dict[str, Any]] = {pixels: {} for pixels in LIKELIHOODS}
    for pixels, quadrants in jobs:
        tasks[pixels][str(quadrants)] = figures[f"{pixels} {quadrants}"]
    return {"seed": SEED, "K": SAMPLES, "digits": 10_000, "hidden": list(HIDDEN), "latent dimensions": L, **tasks}
