"""What the experiments of chapter 9 share: a training, codes, and figures on MNIST's test digits."""

from typing import Any

import torch
from torch import Tensor

from aevb_utils import data
from aevb_utils.budget import budget
from aevb_utils.evaluation.bounds import evaluation_mode, mean_elbo_terms
from aevb_utils.evaluation.clustering import clustering_accuracy
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.models.vae import VAE
from experiments import _runs

L, WIDTHS = budget(full=(20, (500, 500)), fast=(5, _runs.WIDTHS))  # for MNIST
BATCH_SIZE = budget(full=200, fast=20)
PEAK = budget(full=2e-3, fast=4e-3)  # of the step size of a VAE


def train(
    name: str,
    model: Any,  # noqa: ANN401
    x: Any,  # noqa: ANN401
    rows: int,
    *,
    epochs: int,
    peak: float,
    batch_size: int = BATCH_SIZE,
    objective: Any = None,  # noqa: ANN401
    bfloat16: bool | None = None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Adam, one cycle of the step size; x as ``fit`` takes it, with so many rows."""
    optimizer = torch.optim.Adam(model.parameters(), lr=peak, fused=True)
    options |= {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "objective": objective}
    options["scheduler"] = _runs.one_cycle(optimizer, rows=rows, epochs=epochs, batch_size=batch_size)
    _runs.train(name, model, x, bfloat16=_runs.faster_in_bfloat16() if bfloat16 is None else bfloat16, **options)


def mean_codes(vae: VAE, x: Tensor) -> Tensor:
    """The means of q(z | x), (N, L)."""
    with evaluation_mode(vae):
        return _runs.in_parts(lambda rows: vae.q_z_given_x(rows).mean, x)


def evaluate(model: GaussianMixtureVAE, mnist: data.Dataset, x: Tensor) -> dict[str, Any]:
    """Test figures in float32, and the ELBO of the first 10,000 rows of the training digits x.

    The ELBO is that of the exact sum, with log p(y) kept. A class is used if it is the likeliest one of more than 1 %
    of the digits; the entropy is that of q(y | x), a mean over digits.
    """
    with evaluation_mode(model):
        probabilities = _runs.in_parts(lambda rows: model.q_y_given_x(rows).probs, mnist.test)
    clusters = probabilities.argmax(dim=1)
    return {
        "elbo": sum(mean_elbo_terms(model, mnist.test).values()).item(),
        "elbo_train": sum(mean_elbo_terms(model, x[:10_000]).values()).item(),
        "accuracy": clustering_accuracy(clusters, mnist.test_labels),
        "used": (torch.bincount(clusters) > 0.01 * len(clusters)).sum().item(),
        "entropy": torch.special.entr(probabilities).sum(dim=1).mean().item(),
    }
