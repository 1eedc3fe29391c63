"""Chapter 10: a variational RNN of MNIST row by row, and a recurrent network without latents as its control.

All 60,000 training digits, for numbers of epochs fixed beforehand; the control, whose epochs are cheap, gets twice as
many. The test part is used for the figures alone, with the weights rounded as they are shipped.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from aevb_utils import data
from aevb_utils.budget import budget
from aevb_utils.evaluation.bounds import elbo_terms, evaluation_mode, iwae_bound, own_random_numbers
from aevb_utils.models.variational_rnn import RecurrentNetwork, VariationalRNN, sequence_terms
from aevb_utils.training import rounded
from experiments import _runs

NAME, SHIPPED_PIXELS = "vrnn-rows", "threshold"
SIDE = budget(full=28, fast=8)  # of an image
H, HIDDEN = budget(full=(256, [256]), fast=(32, [32]))
MODEL: dict[str, Any] = {"D": SIDE, "L": 2, "H": H, "T": SIDE, "hidden": HIDDEN}
CONTROL: dict[str, Any] = {"D": SIDE, "H": H, "hidden": HIDDEN}
SEED = 0
EPOCHS, CONTROL_EPOCHS = budget(full=(15, 30), fast=(2, 3))
BATCH_SIZE = 200
LEARNING_RATE = 2e-3  # at its highest; it rises for the first tenth, then falls to 0 on a cosine
FEW, SAMPLES = budget(
    full=(1000, (10, 100)), fast=(100, (5, 10))
)  # test digits of the importance-weighted bounds, and K


class FromPrior(VariationalRNN):
    """The model with its prior in the place of q."""

    def q_z_given_x(self, from_x: Tensor, h: Tensor) -> Independent:
        """p(z_t | h_t), whatever x_t is."""
        return self.p_z(h)


def rows(images: Tensor) -> Tensor:
    """Images as sequences of rows, (N, 28, 28)."""
    return images.reshape(-1, SIDE, SIDE)


def train(name: str, model: nn.Module, mnist: data.Dataset, epochs: int) -> float:
    """One run of ``fit``; the processor time in minutes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    schedule = _runs.one_cycle(optimizer, rows=len(mnist.train), epochs=epochs, batch_size=BATCH_SIZE)
    clock = _runs.ProcessorClock(name)
    _runs.train(
        name, model, lambda: rows(mnist.draw()), optimizer=optimizer, scheduler=schedule, epochs=epochs,
        batch_size=BATCH_SIZE, seed=SEED, bfloat16=_runs.faster_in_bfloat16(), clock=clock,
    )  # fmt: skip
    return round(clock.minutes(), 1)


def evaluate(model: VariationalRNN, x: Tensor) -> dict[str, Any]:
    """Test figures in float32: the ELBO and its terms, a step and in all; bounds; the ELBO with the prior for q."""
    parts = []
    with evaluation_mode(model), own_random_numbers(x.device, 0):
        parts = [sequence_terms(model, part, None, 5) for part in x.split(500)]
    terms = {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}  # (T, N) each
    elbo = sum(terms.values()).sum(dim=0)
    blind = FromPrior(**MODEL)
    blind.load_state_dict(model.state_dict())
    return {
        "elbo": elbo.mean().item(),
        "standard_error": (elbo.std() / math.sqrt(len(x))).item(),
        "kl": -terms["minus_kl"].sum(dim=0).mean().item(),
        "kl a step": (-terms["minus_kl"].mean(dim=1)).tolist(),
        "elbo, prior for q": sum(elbo_terms(blind, x, num_samples=5).values()).mean().item(),
        "iwae": {str(K): iwae_bound(model, x[:FEW], num_samples=K).mean().item() for K in SAMPLES},
        "elbo of these": elbo[:FEW].mean().item(),
    }


def control(pixels: data.Pixels) -> dict[str, Any]:
    """The recurrent network without latents."""
    mnist = data.mnist(pixels)
    torch.manual_seed(SEED)
    model = RecurrentNetwork(**CONTROL)
    minutes = train(f"control {pixels}", model, mnist, CONTROL_EPOCHS)
    log_p = elbo_terms(model, rows(mnist.test))["log evidence"]
    return {
        "epochs": CONTROL_EPOCHS,
        "processor minutes of training": minutes,
        "log evidence": log_p.mean().item(),
        "standard_error": (log_p.std() / math.sqrt(len(log_p))).item(),
        "of the first digits": log_p[:FEW].mean().item(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def variational(pixels: data.Pixels) -> dict[str, Any]:
    """The variational RNN; its weights are shipped for one kind of pixels."""
    mnist = data.mnist(pixels)
    torch.manual_seed(SEED)
    model = VariationalRNN(**MODEL)
    minutes = train(f"variational {pixels}", model, mnist, EPOCHS)
    model = rounded(model)
    figures = evaluate(model, rows(mnist.test))
    if pixels == SHIPPED_PIXELS:
        about = {
            "experiment": "vrnn_rows",
            "data": "MNIST, all 60,000 training digits, thresholded at 128, row by row",
            "seed": SEED,
            "budget": f"{EPOCHS} epochs, batches of {BATCH_SIZE}, Adam, one core, {_runs.products()}",
            "processor minutes of training": minutes,
            "test": figures,
        }
        _runs.ship(NAME, model, MODEL, about)
    parameters = sum(parameter.numel() for parameter in model.generative_parameters())
    return figures | {"epochs": EPOCHS, "processor minutes of training": minutes, "parameters": parameters}


def main() -> dict[str, Any]:
    """Both networks on thresholded and on dynamic pixels."""
    jobs = [(kind, pixels) for pixels in ("threshold", "dynamic") for kind in (control, variational)]
    figures = _runs.parts({f"{kind.__name__} {pixels}": partial(kind, pixels) for kind, pixels in jobs})
    runs: dict[str, dict[str, Any]] = {}
    for kind, pixels in jobs:
        runs.setdefault(pixels, {})[kind.__name__] = figures[f"{kind.__name__} {pixels}"]
    return {"digits": 10_000, "first": FEW} | runs
