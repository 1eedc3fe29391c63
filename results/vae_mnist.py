"""Chapter 7: a VAE on dynamically binarized MNIST, trained for long; its weights are shipped with the package.

The recipe was chosen on the last 10,000 training digits, in runs that did not see them; this run uses all 60,000 for a
number of epochs fixed beforehand. The test part is used for the figures alone, with the weights as they are shipped.
Weights that this recipe has made are kept and evaluated again; remove the file to train anew.
"""

import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from aevb_utils import data
from aevb_utils.evaluation.bounds import elbo_terms, iwae_bound
from aevb_utils.evaluation.latents import active_units
from aevb_utils.models.vae import VAE
from aevb_utils.pretrained import load_pretrained, provenance, rounded, save_pretrained, shipped
from aevb_utils.training import History, fit
from tools.results import script_hash

NAME = "vae-mnist"
MODEL: dict[str, Any] = {"D": 784, "L": 40, "hidden": [300, 300], "layer": "gated"}
SEED = 0
EPOCHS = 300
BATCH_SIZE = 200
LEARNING_RATE = 1e-3
RISE, FALL = 5, 100  # epochs in which the step size rises from 0 at the start, and falls to 0 at the end
WARM_UP = 60  # epochs in which the weight of the KL grows from 0 to 1
SAMPLES = (1, 10, 100, 1000, 5000)  # K


class WarmedUp:
    """The model with β times the KL in its objective: β-ELBO, equal to the ELBO once β is 1."""

    def __init__(self, model: VAE) -> None:
        self.model, self.beta = model, 0.0

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


def train(model: VAE, mnist: data.Dataset) -> History:
    """One long run of ``fit``; β, the weight of the KL, rises after each epoch, the step size moves with the steps."""
    warmed = WarmedUp(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    steps = math.ceil(len(mnist.train) / BATCH_SIZE)  # in an epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step_size((step + 1) / steps))
    optimizer.register_step_post_hook(lambda *_: schedule.step())

    def after(epoch: int, model: WarmedUp, history: History) -> None:
        model.beta = min(1.0, epoch / WARM_UP)
        if epoch % 10 == 0:
            print(f"  epoch {epoch}: {history.elbo[-1]:.2f} nats, β = {model.beta:.2f}", flush=True)

    return fit(
        warmed, mnist.draw, optimizer=optimizer, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=SEED, bfloat16=True,
        callback=after,
    )  # fmt: skip


def evaluate(model: VAE, x: Tensor) -> dict[str, Any]:
    """Test figures in float32, over all digits: the ELBO and its terms, the bounds, active units."""
    terms = elbo_terms(model, x, num_samples=10)
    bounds = {K: iwae_bound(model, x, num_samples=K) for K in SAMPLES}
    last = bounds[SAMPLES[-1]]
    return {
        "digits": len(x),
        "elbo": sum(terms.values()).mean().item(),
        "reconstruction": terms["reconstruction"].mean().item(),
        "kl": -terms["minus_kl"].mean().item(),
        "active units": active_units(model, x).sum().item(),
        "units": model.L,
        "iwae": {str(K): bound.mean().item() for K, bound in bounds.items()},
        "standard_error": (last.std() / math.sqrt(len(last))).item(),
        "first hundred": last[:100].mean().item(),
    }


def recipe() -> str:
    """All that fixes the run, as text: weights are made anew only where it has changed."""
    return json.dumps([MODEL, SEED, EPOCHS, BATCH_SIZE, LEARNING_RATE, RISE, FALL, WARM_UP])


def trained(mnist: data.Dataset) -> tuple[VAE, dict[str, Any]]:
    """The model, rounded as it is shipped, and how it came about; from the shipped file if its recipe is this one."""
    if NAME in shipped() and provenance(NAME)["recipe"] == recipe():
        about = provenance(NAME)
        return load_pretrained(NAME), {key: about[key] for key in ("recipe", "code", "processor minutes of training")}
    torch.manual_seed(SEED)
    model, started = VAE(**MODEL), time.process_time()
    train(model, mnist)
    minutes = round((time.process_time() - started) / 60)
    about = {"recipe": recipe(), "code": script_hash(Path(__file__)), "processor minutes of training": minutes}
    return rounded(model), about


def main() -> dict[str, Any]:
    """Train, or load what this recipe made; evaluate; write weights and figures."""
    mnist = data.mnist("dynamic")
    model, about = trained(mnist)
    figures = evaluate(model, mnist.test)
    about |= {
        "data": "MNIST, all 60,000 training digits, binarized anew each epoch",
        "seed": SEED,
        "budget": f"{EPOCHS} epochs, batches of {BATCH_SIZE}, Adam, one core, products in bfloat16",
        "test": figures,
    }
    save_pretrained(NAME, model, MODEL, about)
    return {"epochs": EPOCHS, "processor minutes of training": about["processor minutes of training"]} | figures
