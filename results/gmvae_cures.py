"""Chapter 9: what a random start gives on MNIST, and what each single cure changes.

Thresholded digits, ten classes, the same networks throughout; figures on the test digits, with the exact sum over y.
Each variant differs from the first in one thing. Runs that are stored under the same settings are kept.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aevb_utils import data
from aevb_utils.evaluation.bounds import evaluation_mode, mean_elbo_terms
from aevb_utils.evaluation.clustering import clustering_accuracy
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE, cluster_codes, start_from
from aevb_utils.models.vae import VAE
from aevb_utils.training import History, fit

L, WIDTHS = 20, (500, 500)
EPOCHS, PEAK = 10, 1e-3  # from a random start
CLEAN, STARTS, LAST, LAST_PEAK = 15, 60, 3, 3e-4  # from a VAE and EM, as in the recipe
BATCH_SIZE = 200
VARIANTS: dict[str, tuple[int, dict[str, Any]]] = {  # and the number of seeds
    "random start": (3, {}),
    "means spread by 0.5": (3, {"mean_scale": 0.5}),
    "KL warm-up": (3, {"warm_up": 5}),
    "EM on codes": (2, {"em": True}),
}
STORED = Path(__file__).parent.parent / "aevb_utils" / "results" / "gmvae_cures.json"


class Weighted:
    """The model with its two KLs multiplied by β."""

    def __init__(self, model: GaussianMixtureVAE, beta: float) -> None:
        self.model, self.beta = model, beta

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """The three terms, two of them weighted."""
        terms = self.model.elbo_terms(x, num_samples=num_samples)
        return {name: term if name == "reconstruction" else self.beta * term for name, term in terms.items()}

    def inference_parameters(self) -> list[torch.nn.Parameter]:
        """φ."""
        return self.model.inference_parameters()

    def generative_parameters(self) -> list[torch.nn.Parameter]:
        """θ."""
        return self.model.generative_parameters()


def train(model: Any, x: Tensor, *, epochs: int, peak: float, **options: Any) -> None:  # noqa: ANN401
    """Adam, one cycle of the step size, products in bfloat16."""
    parameters = [*model.inference_parameters(), *model.generative_parameters()]
    optimizer = torch.optim.Adam(parameters, lr=peak, fused=True)
    steps = epochs * math.ceil(len(x) / BATCH_SIZE) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.1)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    fit(model, x, optimizer=optimizer, epochs=epochs, batch_size=BATCH_SIZE, bfloat16=True, **options)


def in_parts(function: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    """A function of data, a few thousand rows at a time."""
    return torch.cat([function(part) for part in x.split(5000)])


def from_random(x: Tensor, seed: int, *, mean_scale: float = 0.16, warm_up: int = 0) -> GaussianMixtureVAE:
    """Trained from a random start; β rises from 0.1 to 1 over ``warm_up`` epochs."""
    torch.manual_seed(seed)
    model = GaussianMixtureVAE(784, L, 10, hidden=WIDTHS, mean_scale=mean_scale)
    weighted = Weighted(model, 0.1 if warm_up else 1.0)

    def after(epoch: int, weighted: Weighted, history: History) -> None:
        weighted.beta = min(1.0, 0.1 + 0.9 * epoch / warm_up) if warm_up else 1.0

    train(weighted, x, epochs=EPOCHS, peak=PEAK, seed=seed, callback=after)
    return model


def from_em(x: Tensor, seed: int) -> GaussianMixtureVAE:
    """Trained from a VAE and chapter 2's EM on its codes."""
    torch.manual_seed(seed)
    vae = VAE(784, L, hidden=WIDTHS)
    train(vae, x, epochs=CLEAN, peak=2e-3, seed=seed)
    with evaluation_mode(vae):
        codes = in_parts(lambda part: vae.q_z_given_x(part).mean, x)
    r = cluster_codes(codes, 10, n_starts=STARTS, seed=1000 * seed)
    model = start_from(vae, x, r, hidden=WIDTHS)
    train(model, x, epochs=LAST, peak=LAST_PEAK, seed=seed)
    return model


def evaluate(model: GaussianMixtureVAE, mnist: data.Dataset) -> dict[str, Any]:
    """Test figures in float32: the ELBO with log p(y) kept, the accuracy, how many classes are used, entropy."""
    with evaluation_mode(model):
        probabilities = in_parts(lambda part: model.q_y_given_x(part).probs, mnist.test)
    clusters = probabilities.argmax(dim=1)
    return {
        "elbo": sum(mean_elbo_terms(model, mnist.test).values()).item(),
        "accuracy": clustering_accuracy(clusters, mnist.test_labels),
        "used": (torch.bincount(clusters) > 0.01 * len(clusters)).sum().item(),
        "entropy": torch.special.entr(probabilities).sum(dim=1).mean().item(),
    }


def settings(options: dict[str, Any]) -> str:
    """All that fixes a run besides its seed, as text."""
    return json.dumps([L, WIDTHS, EPOCHS, PEAK, CLEAN, STARTS, LAST, LAST_PEAK, BATCH_SIZE, options])


def stored() -> dict[tuple[str, int], dict[str, Any]]:
    """The runs of an earlier call, by their settings and seed."""
    if not STORED.exists():
        return {}
    variants = json.loads(STORED.read_text(encoding="utf-8"))["figures"]["variants"]
    return {(variant["settings"], run["seed"]): run for variant in variants for run in variant["runs"]}


def one_run(mnist: data.Dataset, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """Train and evaluate."""
    model = from_em(mnist.train, seed) if options.get("em") else from_random(mnist.train, seed, **options)
    return {"seed": seed} | evaluate(model, mnist)


def main() -> dict[str, Any]:
    """All variants, all seeds."""
    mnist, known, variants = data.mnist("threshold"), stored(), []
    for name, (seeds, options) in VARIANTS.items():
        runs = []
        for seed in range(1, seeds + 1):
            key = settings(options), seed
            runs.append(known[key] if key in known else one_run(mnist, seed, options))
            print(f"  {name}: {runs[-1]}", flush=True)
        variants.append({"name": name, "settings": settings(options), "runs": runs})
    return {"epochs": EPOCHS, "variants": variants}
