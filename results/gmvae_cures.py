"""Chapter 9: what a random start gives on MNIST, and what each single cure changes.

Thresholded digits, ten classes, the same networks and the same training throughout; figures on the test digits, with
the exact sum over y. Each variant differs from the first in one thing, the last one from the last but one. Where EM
gives the start, the networks are those of a VAE, which has been trained for some epochs before.
"""

import time
from typing import Any

import torch
from torch import Tensor

from aevb_utils import data
from aevb_utils.models.gaussian_mixture_vae import (
    GaussianMixtureVAE,
    JitteredVAE,
    cluster_codes,
    jitter,
    start_from,
)
from aevb_utils.models.vae import VAE
from aevb_utils.training import History
from results._gmvae import WIDTHS, L, evaluate, mean_codes, train

EPOCHS, PEAK = 4, 1e-3
VARIANTS: dict[str, tuple[int, dict[str, Any]]] = {  # and the number of seeds
    "random start": (5, {}),
    "means spread by 0.5": (3, {"mean_scale": 0.5}),
    "KL warm-up": (3, {"warm_up": 2}),
    "three samples of z": (3, {"num_samples": 3}),
}
EM_SEEDS, VAE_EPOCHS, VAE_PEAK, STARTS = 3, 10, 2e-3, 30


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


def from_random(
    x: Tensor, seed: int, *, mean_scale: float = 0.16, warm_up: int = 0, num_samples: int = 1
) -> GaussianMixtureVAE:
    """Trained from a random start; β rises from 0.1 to 1 over ``warm_up`` epochs."""
    torch.manual_seed(seed)
    model = GaussianMixtureVAE(784, L, 10, hidden=WIDTHS, mean_scale=mean_scale)
    weighted = Weighted(model, 0.1 if warm_up else 1.0)

    def after(epoch: int, weighted: Weighted, history: History) -> None:
        weighted.beta = min(1.0, 0.1 + 0.9 * epoch / warm_up) if warm_up else 1.0

    options = {"seed": seed, "num_samples": num_samples, "callback": after}
    train(weighted, x, len(x), epochs=EPOCHS, peak=PEAK, **options)
    return model


def from_em(mnist: data.Dataset, seed: int, vae: VAE, codes: Tensor) -> dict[str, Any]:
    """Figures before and after the training from a VAE and chapter 2's EM on codes."""
    x = mnist.train
    r = cluster_codes(codes, 10, n_starts=STARTS, seed=1000 * seed)
    torch.manual_seed(seed)
    model = start_from(vae, x, r, hidden=WIDTHS)
    start = evaluate(model, mnist, x)
    train(model, x, len(x), epochs=EPOCHS, peak=PEAK, seed=seed)
    return {"seed": seed, "start": start, **evaluate(model, mnist, x)}


def both_from_em(mnist: data.Dataset, seed: int) -> dict[str, dict[str, Any]]:
    """EM on the codes of the VAE whose networks are used, and on those of a VAE that was shown jittered digits."""
    x = mnist.train
    torch.manual_seed(seed)
    vae, watcher = VAE(784, L, hidden=WIDTHS), JitteredVAE(784, L, hidden=WIDTHS)
    train(vae, x, len(x), epochs=VAE_EPOCHS, peak=VAE_PEAK, seed=seed)
    train(watcher, lambda: (x, jitter(x)), len(x), epochs=VAE_EPOCHS, peak=VAE_PEAK, seed=seed)
    return {
        "EM on codes": from_em(mnist, seed, vae, mean_codes(vae, x)),
        "EM on jittered codes": from_em(mnist, seed, vae, mean_codes(watcher, x)),
    }


def main() -> dict[str, Any]:
    """All variants, all seeds."""
    mnist, runs = data.mnist("threshold"), {}
    for name, (seeds, options) in VARIANTS.items():
        for seed in range(1, seeds + 1):
            started = time.process_time()
            model = from_random(mnist.train, seed, **options)
            cost = {"processor minutes": (time.process_time() - started) / 60}
            runs.setdefault(name, []).append({"seed": seed} | cost | evaluate(model, mnist, mnist.train))
            print(f"  {name}: {runs[name][-1]}", flush=True)
    for seed in range(1, EM_SEEDS + 1):
        for name, run in both_from_em(mnist, seed).items():
            runs.setdefault(name, []).append(run)
            print(f"  {name}: {run}", flush=True)
    variants = [{"name": name, "runs": each} for name, each in runs.items()]
    return {"epochs": EPOCHS, "epochs of a VAE": VAE_EPOCHS, "variants": variants}
