"""Chapter 4: how encoder width, the family of q and the size of the training set move the two gaps, over five seeds."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from aevb_utils import data
from aevb_utils.budget import budget
from aevb_utils.evaluation.gaps import GapSplit, split_gaps
from aevb_utils.evaluation.quadrature import make_grid
from aevb_utils.models.binomial_vae import BinomialVAE, train
from experiments import _runs

SEEDS = budget(full=(0, 1, 2, 3, 4), fast=(0, 1))
EPOCHS = budget(full=150, fast=1)  # on all training digits; on a part of them as many steps
DIGITS = budget(full=120, fast=2)  # the first so many of each part are measured
GRIDS = budget(full=((7.5, 1180), (8.0, 1300)), fast=((7.5, 100), (8.0, 110)))  # limit and points a side
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "narrow encoder": {"encoder_hidden": (16, 16)},
    "wide encoder": {"encoder_hidden": (256, 256)},
    "full covariance": {"covariance": "full"},
    "half of the data": {"fraction": 0.5},
    "a quarter of the data": {"fraction": 0.25},
}


def one_run(seed: int, *, fraction: float = 1.0, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Train one model and measure its gaps on the first digits of each part."""
    digits = data.digits()
    rows = round(fraction * len(digits.train))
    torch.manual_seed(seed)
    model = BinomialVAE(**options)
    train(model, digits.train[:rows], epochs=round(EPOCHS / fraction), seed=seed)
    grid, second_grid = (make_grid([(-limit, limit)] * 2, size) for limit, size in GRIDS)
    both = torch.cat([digits.train[:DIGITS], digits.test[:DIGITS]])
    terms = split_gaps(model, both, grid, second_grid)
    return {
        "train": summary(GapSplit(*(term[:DIGITS] for term in terms))),
        "test": summary(GapSplit(*(term[DIGITS:] for term in terms))),
    }


def summary(split: GapSplit) -> dict[str, float]:
    """Means over the digits, in nats; how far the identities are off and the smallest gaps, over all digits."""
    identities = [split.elbo + split.kl, split.elbo_star + split.kl_star]
    means: dict[str, Tensor] = {
        "log_evidence": split.log_evidence,
        "elbo": split.elbo,
        "amortization_gap": split.amortization_gap,
        "approximation_gap": split.approximation_gap,
        "stuck": split.elbo_star - split.elbo_warm,
    }
    return {
        **{name: value.mean().item() for name, value in means.items()},
        "largest_identity_error": max((sum_ - split.log_evidence).abs().max().item() for sum_ in identities),
        "smallest_amortization_gap": split.amortization_gap.min().item(),
        "smallest_approximation_gap": split.approximation_gap.min().item(),
    }


def main() -> dict[str, Any]:
    """Run every variant with every seed."""
    torch.set_default_dtype(torch.float64)
    jobs = {f"{name} {seed}": partial(one_run, seed, **options) for name, options in VARIANTS.items() for seed in SEEDS}
    figures = _runs.parts(jobs)
    runs = {name: [figures[f"{name} {seed}"] for seed in SEEDS] for name in VARIANTS}
    return {"seeds": SEEDS, "epochs": EPOCHS, "digits": DIGITS, "grids": GRIDS, "runs": runs}
