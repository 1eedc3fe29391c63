"""Chapter 10: a variational RNN of MNIST row by row, and a recurrent network without latents as its control.

All 60,000 training digits, for numbers of epochs fixed beforehand; the control, whose epochs are cheap, gets twice as
many. The test part is used for the figures alone, with the weights rounded as they are shipped.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from aevb_utils import data
from aevb_utils.evaluation.bounds import elbo_terms, evaluation_mode, iwae_bound, own_random_numbers
from aevb_utils.models.variational_rnn import RecurrentNetwork, VariationalRNN, sequence_terms
from aevb_utils.pretrained import rounded, save_pretrained
from aevb_utils.training import fit
from tools.results import script_hash

NAME, SHIPPED_PIXELS = "vrnn-rows", "threshold"
MODEL: dict[str, Any] = {"D": 28, "L": 2, "H": 256, "T": 28, "hidden": [256]}
CONTROL: dict[str, Any] = {"D": 28, "H": 256, "hidden": [256]}
SEED = 0
EPOCHS, CONTROL_EPOCHS = 15, 30
BATCH_SIZE = 200
LEARNING_RATE = 2e-3  # at its highest; it rises for the first tenth, then falls to 0 on a cosine
FEW, SAMPLES = 1000, (10, 100)  # test digits of the importance-weighted bounds, and K


class FromPrior(VariationalRNN):
    """The model with its prior in the place of q."""

    def q_z_given_x(self, from_x: Tensor, h: Tensor) -> Independent:
        """p(z_t | h_t), whatever x_t is."""
        return self.p_z(h)


def rows(images: Tensor) -> Tensor:
    """Images as sequences of rows, (N, 28, 28)."""
    return images.reshape(-1, 28, 28)


def train(model: nn.Module, mnist: data.Dataset, epochs: int) -> float:
    """One run of ``fit``; the processor time in minutes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    steps = epochs * math.ceil(len(mnist.train) / BATCH_SIZE) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    started = time.process_time()
    fit(
        model, lambda: rows(mnist.draw()), optimizer=optimizer, epochs=epochs, batch_size=BATCH_SIZE, seed=SEED,
        bfloat16=True, callback=lambda epoch, _, h: print(f"  epoch {epoch}: {h.elbo[-1]:.2f} nats", flush=True),
    )  # fmt: skip
    return round((time.process_time() - started) / 60, 1)


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


def run(pixels: data.Pixels) -> dict[str, Any]:
    """Both networks on one kind of pixels."""
    mnist = data.mnist(pixels)
    x = rows(mnist.test)
    torch.manual_seed(SEED)
    control = RecurrentNetwork(**CONTROL)
    control_minutes = train(control, mnist, CONTROL_EPOCHS)
    log_p = elbo_terms(control, x)["log evidence"]
    torch.manual_seed(SEED)
    model = VariationalRNN(**MODEL)
    minutes = train(model, mnist, EPOCHS)
    model = rounded(model)
    figures = evaluate(model, x)
    if pixels == SHIPPED_PIXELS:
        about = {
            "data": "MNIST, all 60,000 training digits, thresholded at 128, row by row",
            "seed": SEED,
            "budget": f"{EPOCHS} epochs, batches of {BATCH_SIZE}, Adam, one core, products in bfloat16",
            "processor minutes of training": minutes,
            "code": script_hash(Path(__file__)),
            "test": figures,
        }
        save_pretrained(NAME, model, MODEL, about)
    return {
        "control": {
            "epochs": CONTROL_EPOCHS, "processor minutes of training": control_minutes,
            "log evidence": log_p.mean().item(), "standard_error": (log_p.std() / math.sqrt(len(x))).item(),
            "of the first digits": log_p[:FEW].mean().item(),
            "parameters": sum(parameter.numel() for parameter in control.parameters()),
        },
        "variational": figures | {
            "epochs": EPOCHS, "processor minutes of training": minutes,
            "parameters": sum(parameter.numel() for parameter in model.generative_parameters()),
        },
    }  # fmt: skip


def main() -> dict[str, Any]:
    """Thresholded and dynamic pixels."""
    return {"digits": 10_000, "first": FEW} | {pixels: run(pixels) for pixels in ("threshold", "dynamic")}
