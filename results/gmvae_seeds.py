"""Chapter 9: the chapter's recipe on ten seeds.

No label is used in training or to choose a start or a run. The recipe itself was found in trial runs whose accuracy was
looked at. The weights that are shipped are those of the seed with the best ELBO on training digits.
"""

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aevb_utils import data
from aevb_utils.evaluation.bounds import evaluation_mode, mean_elbo_terms
from aevb_utils.evaluation.clustering import clustering_accuracy
from aevb_utils.models.gaussian_mixture_vae import (
    GaussianMixtureVAE,
    JitteredVAE,
    cluster_codes,
    jitter,
    start_from,
)
from aevb_utils.models.vae import VAE
from aevb_utils.pretrained import rounded, save_pretrained
from aevb_utils.training import fit
from tools.results import script_hash

NAME = "gmvae-mnist"
SEEDS = range(1, 11)  # seed 0 is the chapter's own run
L, WIDTHS = 20, (500, 500)
BATCH_SIZE = 200
JITTERED, CLEAN, LAST = 20, 25, 3  # epochs of the two VAEs and of the Gaussian-mixture VAE
PEAK, LAST_PEAK = 2e-3, 3e-4  # step sizes at their highest
STARTS = 60  # of EM
RECIPE = json.dumps([L, WIDTHS, BATCH_SIZE, JITTERED, CLEAN, LAST, PEAK, LAST_PEAK, STARTS])


def train(model: nn.Module, x: Any, *, epochs: int, peak: float, seed: int, **options: Any) -> None:  # noqa: ANN401
    """Adam, one cycle of the step size, products in bfloat16."""
    optimizer = torch.optim.Adam(model.parameters(), lr=peak, fused=True)
    steps = epochs * math.ceil(60_000 / BATCH_SIZE) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.1)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    options |= {"epochs": epochs, "batch_size": BATCH_SIZE, "seed": seed, "bfloat16": True}
    fit(model, x, optimizer=optimizer, **options)


def in_parts(function: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    """A function of data, a few thousand rows at a time."""
    return torch.cat([function(part) for part in x.split(5000)])


def codes_of(mnist: data.Dataset, seed: int) -> Tensor:
    """The mean codes of a VAE that was trained on jittered digits, (N, L)."""
    torch.manual_seed(seed)
    vae = JitteredVAE(784, L, hidden=WIDTHS)
    train(vae, lambda: (x := mnist.draw(), jitter(x)), epochs=JITTERED, peak=PEAK, seed=seed)
    with evaluation_mode(vae):
        return in_parts(lambda part: vae.q_z_given_x(part).mean, mnist.train)


def networks_of(mnist: data.Dataset, seed: int) -> VAE:
    """A VAE of the digits as they are."""
    torch.manual_seed(seed)
    vae = VAE(784, L, hidden=WIDTHS)
    train(vae, mnist.draw, epochs=CLEAN, peak=PEAK, seed=seed)
    return vae


def evaluate(model: GaussianMixtureVAE, mnist: data.Dataset) -> dict[str, Any]:
    """Test figures in float32: the ELBO with log p(y) kept, the accuracy, how many classes are used, entropy."""
    with evaluation_mode(model):
        probabilities = in_parts(lambda part: model.q_y_given_x(part).probs, mnist.test)
    clusters = probabilities.argmax(dim=1)
    return {
        "elbo": sum(mean_elbo_terms(model, mnist.test).values()).item(),
        "elbo_train": sum(mean_elbo_terms(model, mnist.train[:10_000]).values()).item(),
        "accuracy": clustering_accuracy(clusters, mnist.test_labels),
        "used": (torch.bincount(clusters) > 0.01 * len(clusters)).sum().item(),
        "entropy": torch.special.entr(probabilities).sum(dim=1).mean().item(),
    }


def run(mnist: data.Dataset, seed: int) -> tuple[GaussianMixtureVAE, dict[str, Any]]:
    """The recipe on one seed."""
    r = cluster_codes(codes_of(mnist, seed), 10, n_starts=STARTS, seed=1000 * seed)
    em = clustering_accuracy(r.argmax(dim=1), mnist.train_labels)
    vae = networks_of(mnist, seed)
    model = start_from(vae, mnist.train, r, hidden=WIDTHS)
    start = evaluate(model, mnist)
    train(model, mnist.draw, epochs=LAST, peak=LAST_PEAK, seed=seed)
    entry = {"seed": seed, "em_accuracy": em, "start": start, **evaluate(model, mnist)}
    print(f"  {entry}", flush=True)
    return model, entry


def main() -> dict[str, Any]:
    """Ten seeds; the best by training ELBO is shipped."""
    mnist, started = data.mnist("threshold"), time.process_time()
    models, runs = zip(*(run(mnist, seed) for seed in SEEDS), strict=True)
    minutes = (time.process_time() - started) / 60
    best = max(range(len(runs)), key=lambda i: runs[i]["elbo_train"])
    shipped = rounded(models[best])
    about = {
        "recipe": RECIPE,
        "code": script_hash(Path(__file__)),
        "data": "MNIST, all 60,000 training digits, thresholded at 128",
        "seed": runs[best]["seed"],
        "budget": f"{JITTERED} + {CLEAN} + {LAST} epochs, batches of {BATCH_SIZE}, Adam, one core, bfloat16",
        "test": evaluate(shipped, mnist),
    }
    save_pretrained(NAME, shipped, {"D": 784, "L": L, "C": 10, "hidden": list(WIDTHS)}, about)
    return {
        "epochs": [JITTERED, CLEAN, LAST], "batch_size": BATCH_SIZE, "L": L, "starts": STARTS,
        "processor minutes a seed": round(minutes / len(runs), 1), "runs": list(runs),
        "shipped": runs[best]["seed"],
    }  # fmt: skip
