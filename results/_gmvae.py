"""What the scripts of chapter 9 share: a training, codes, and figures on MNIST's test digits."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from aevb_utils import data
from aevb_utils.evaluation.bounds import evaluation_mode, mean_elbo_terms
from aevb_utils.evaluation.clustering import clustering_accuracy
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.models.vae import VAE
from aevb_utils.training import fit

L, WIDTHS = 20, (500, 500)  # for MNIST
BATCH_SIZE = 200


def train(
    model: Any,  # noqa: ANN401
    x: Any,  # noqa: ANN401
    rows: int,
    *,
    epochs: int,
    peak: float,
    batch_size: int = BATCH_SIZE,
    bfloat16: bool = True,
    **options: Any,  # noqa: ANN401
) -> None:
    """Adam, one cycle of the step size; x as ``fit`` takes it, with so many rows."""
    parameters = [*model.inference_parameters(), *model.generative_parameters()]
    optimizer = torch.optim.Adam(parameters, lr=peak, fused=True)
    steps = epochs * math.ceil(rows / batch_size) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.1)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    options |= {"epochs": epochs, "batch_size": batch_size, "bfloat16": bfloat16}
    fit(model, x, optimizer=optimizer, **options)


def in_parts(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of data, a few thousand rows at a time."""
    return torch.cat([function(part) for part in x.split(5000)])


def mean_codes(vae: VAE, x: Tensor) -> Tensor:
    """The means of q(z | x), (N, L)."""
    with evaluation_mode(vae):
        return in_parts(lambda part: vae.q_z_given_x(part).mean, x)


def evaluate(model: GaussianMixtureVAE, mnist: data.Dataset, x: Tensor) -> dict[str, Any]:
    """Test figures in float32, and the ELBO of the first 10,000 rows of the training digits x.

    The ELBO is that of the exact sum, with log p(y) kept. A class is used if it is the likeliest one of more than 1 %
    of the digits; the entropy is that of q(y | x), a mean over digits.
    """
    with evaluation_mode(model):
        probabilities = in_parts(lambda part: model.q_y_given_x(part).probs, mnist.test)
    clusters = probabilities.argmax(dim=1)
    return {
        "elbo": sum(mean_elbo_terms(model, mnist.test).values()).item(),
        "elbo_train": sum(mean_elbo_terms(model, x[:10_000]).values()).item(),
        "accuracy": clustering_accuracy(clusters, mnist.test_labels),
        "used": (torch.bincount(clusters) > 0.01 * len(clusters)).sum().item(),
        "entropy": torch.special.entr(probabilities).sum(dim=1).mean().item(),
    }
