"""Chapter 9: what a random start gives on MNIST, and what each single cure changes.

Thresholded digits, ten classes, the same networks and the same training throughout; figures on the test digits, with
the exact sum over y. Each variant differs from the first in one thing, the last one from the last but one. Where EM
gives the start, the networks are those of a VAE, which has been trained for some epochs before.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from aevb_utils import data
from aevb_utils.budget import budget
from aevb_utils.models.clustered_start import JitteredVAE, cluster_codes, jitter, start_from
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.models.vae import VAE
from experiments import _runs
from experiments._digits import PEAK as VAE_PEAK
from experiments._digits import WIDTHS, L, evaluate, mean_codes, train

EPOCHS, PEAK = budget(full=4, fast=1), 1e-3
FEW = budget(full=3, fast=1)  # seeds
VARIANTS: dict[str, tuple[int, dict[str, Any]]] = {  # and the number of seeds
    "random start": (budget(full=5, fast=2), {}),
    "means spread by 0.5": (FEW, {"mean_scale": 0.5}),
    "KL warm-up": (FEW, {"warm_up": 2}),
    "three samples of z": (FEW, {"num_samples": 3}),
}
VAE_EPOCHS, STARTS = budget(full=10, fast=20), budget(full=30, fast=2)


class Weighted:
    """The model with its two KLs multiplied by β, which rises from 0.1 to 1 over ``warm_up`` epochs."""

    def __init__(self, model: GaussianMixtureVAE, warm_up: int) -> None:
        self.model, self.warm_up, self.beta = model, warm_up, 1.0

    def begin(self, epoch: int) -> None:
        """β in an epoch, from 1."""
        self.beta = min(1.0, 0.1 + 0.9 * (epoch - 1) / self.warm_up) if self.warm_up else 1.0

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


def from_random(
    mnist: data.Dataset, name: str, seed: int, *, mean_scale: float = 0.16, warm_up: int = 0, num_samples: int = 1
) -> dict[str, Any]:
    """Figures after a training from a random start; β rises from 0.1 to 1 over ``warm_up`` epochs."""
    x, clock = mnist.train, _runs.ProcessorClock(f"{name} {seed}")
    torch.manual_seed(seed)
    model = GaussianMixtureVAE(x.shape[1], L, 10, hidden=WIDTHS, mean_scale=mean_scale)
    weighted = Weighted(model, warm_up)
    options = {"objective": weighted, "before_epoch": weighted.begin, "epochs": EPOCHS, "peak": PEAK}
    train(f"{name} {seed}", model, x, len(x), seed=seed, num_samples=num_samples, clock=clock, **options)
    cost = {"processor minutes": clock.minutes()}
    return {"seed": seed} | cost | evaluate(model, mnist, x)


def from_em(mnist: data.Dataset, name: str, seed: int, vae: VAE, codes: Tensor) -> dict[str, Any]:
    """Figures before and after the training from a VAE and chapter 2's EM on codes."""
    x = mnist.train
    r = cluster_codes(codes, 10, n_starts=STARTS, seed=1000 * seed, shuffled=True)
    torch.manual_seed(seed)
    model = start_from(vae, x, r, hidden=WIDTHS)
    start = evaluate(model, mnist, x)
    train(f"{name} {seed}", model, x, len(x), epochs=EPOCHS, peak=PEAK, seed=seed)
    return {"seed": seed, "start": start, **evaluate(model, mnist, x)}


def both_from_em(mnist: data.Dataset, seed: int) -> dict[str, dict[str, Any]]:
    """EM on the codes of the VAE whose networks are used, and on those of a VAE that was shown jittered digits."""
    x = mnist.train
    torch.manual_seed(seed)
    D = x.shape[1]
    vae, watcher = VAE(D, L, hidden=WIDTHS), JitteredVAE(D, L, hidden=WIDTHS)
    train(f"VAE {seed}", vae, x, len(x), epochs=VAE_EPOCHS, peak=VAE_PEAK, seed=seed)
    train(f"jittered VAE {seed}", watcher, lambda: (x, jitter(x)), len(x), epochs=VAE_EPOCHS, peak=VAE_PEAK, seed=seed)
    return {
        "EM on codes": from_em(mnist, "EM on codes", seed, vae, mean_codes(vae, x)),
        "EM on jittered codes": from_em(mnist, "EM on jittered codes", seed, vae, mean_codes(watcher, x)),
    }


def main() -> dict[str, Any]:
    """All variants, all seeds."""
    mnist = data.mnist("threshold")
    seeds = {name: range(1, count + 1) for name, (count, _) in VARIANTS.items()}
    jobs = {
        f"{name} {seed}": partial(from_random, mnist, name, seed, **VARIANTS[name][1])
        for name, each in seeds.items()
        for seed in each
    }
    figures = _runs.parts(jobs | {f"EM {seed}": partial(both_from_em, mnist, seed) for seed in range(1, FEW + 1)})
    runs = {name: [figures[f"{name} {seed}"] for seed in each] for name, each in seeds.items()}
    for seed in range(1, FEW + 1):
        for name, run in figures[f"EM {seed}"].items():
            runs.setdefault(name, []).append(run)
    variants = [{"name": name, "runs": each} for name, each in runs.items()]
    return {"epochs": EPOCHS, "epochs of a VAE": VAE_EPOCHS, "variants": variants}
