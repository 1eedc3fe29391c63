"""Chapter 9: the three ways to treat a discrete latent, trained from the same starts on the small digits.

For each seed a VAE is trained, chapter 2's EM clusters its codes, and from this one start the Gaussian-mixture VAE is
trained with every estimator in turn. All are evaluated by the exact sum over y, on the held-out digits.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from aevb_utils import data
from aevb_utils.budget import budget
from aevb_utils.evaluation.bounds import mean_elbo_terms
from aevb_utils.evaluation.clustering import clustering_accuracy
from aevb_utils.models.clustered_start import start_from
from aevb_utils.models.gaussian_mixture import GaussianMixture
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE, relaxed_terms, score_function_terms, summed_terms
from aevb_utils.models.vae import VAE
from experiments import _runs
from experiments._digits import train

SEEDS = budget(full=10, fast=2)
WIDTHS = budget(full=(128, 128), fast=_runs.WIDTHS)
L, C = 5, 10
ESTIMATORS: dict[str, tuple[Callable[..., dict[str, Tensor]], int]] = {  # and the number of samples
    "sum": (summed_terms, 1),
    "Gumbel, τ = 1": (partial(relaxed_terms, temperature=1.0), 1),
    "Gumbel, τ = 0.5": (partial(relaxed_terms, temperature=0.5), 1),
    "Gumbel, τ = 0.5, relaxed KL": (partial(relaxed_terms, temperature=0.5, kl="relaxed"), 1),
    "score, leave-one-out": (score_function_terms, 2),
    "score, no baseline": (partial(score_function_terms, baseline=False), 2),
}
RANDOM_STARTS = {"sum, random start": 1, "the same, S = 3": 3}  # and the number of samples
FEW = {"the same, S = 3": budget(full=3, fast=1)}  # seeds, where there are fewer than SEEDS
VAE_EPOCHS, VAE_PEAK, EPOCHS, PEAK = budget(full=40, fast=3), 3e-3, budget(full=30, fast=2), 1e-3


class Estimated:
    """A model whose training objective is estimated in another way."""

    def __init__(self, model: GaussianMixtureVAE, terms: Callable[..., dict[str, Tensor]]) -> None:
        self.model, self.terms = model, terms

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """The estimator's terms."""
        return self.terms(self.model, x, num_samples)

    def inference_parameters(self) -> list[torch.nn.Parameter]:
        """φ."""
        return self.model.inference_parameters()

    def generative_parameters(self) -> list[torch.nn.Parameter]:
        """θ."""
        return self.model.generative_parameters()


def train_small(name: str, model: nn.Module, x: Tensor, **options: Any) -> None:  # noqa: ANN401
    """Batches of 50, all in float32."""
    train(name, model, x, len(x), batch_size=50, bfloat16=False, **options)


def evaluate(model: GaussianMixtureVAE, x: Tensor, labels: Tensor) -> dict[str, float]:
    """ELBO (exact sum, ten samples, log p(y) kept) and accuracy on held-out digits."""
    with torch.no_grad():
        clusters = model.q_y_given_x(x).probs.argmax(dim=1)
    terms = mean_elbo_terms(model, x, num_samples=10)
    return {"elbo": sum(terms.values()).item(), "accuracy": clustering_accuracy(clusters, labels)}


def from_em(x: Tensor, seed: int) -> GaussianMixtureVAE:
    """A VAE and chapter 2's EM on its codes as a start."""
    torch.manual_seed(seed)
    vae = VAE(64, L, hidden=WIDTHS)
    train_small(f"VAE {seed}", vae, x, epochs=VAE_EPOCHS, peak=VAE_PEAK, seed=seed)
    with torch.no_grad():
        codes = vae.q_z_given_x(x).mean
    mixture = GaussianMixture(C, "tied", 1e-3, tolerance=1e-5, seed=seed).fit(codes)
    return start_from(vae, x, mixture.responsibilities(codes).float(), hidden=WIDTHS)


def trained(name: str, x: Tensor, start: GaussianMixtureVAE, seed: int) -> GaussianMixtureVAE:
    """A model trained by name: with an estimator from the start, or from a random start with the exact sum."""
    torch.manual_seed(seed)
    model = GaussianMixtureVAE(64, L, C, hidden=WIDTHS)
    if name in RANDOM_STARTS:
        epochs, samples = VAE_EPOCHS + EPOCHS, RANDOM_STARTS[name]
        train_small(f"{name} {seed}", model, x, epochs=epochs, peak=VAE_PEAK, seed=seed, num_samples=samples)
    else:
        terms, samples = ESTIMATORS[name]
        model.load_state_dict(start.state_dict())
        objective = Estimated(model, terms)
        options = {"epochs": EPOCHS, "peak": PEAK, "seed": seed, "num_samples": samples}
        train_small(f"{name} {seed}", model, x, objective=objective, **options)
    return model


def run(x: Tensor, test: Tensor, labels: Tensor, seed: int) -> dict[str, dict[str, float]]:
    """The figures of one seed, by the name of what was trained."""
    start = from_em(x, seed)
    names = [name for name in ["start", *ESTIMATORS, *RANDOM_STARTS] if seed < FEW.get(name, SEEDS)]
    models = {name: start if name == "start" else trained(name, x, start, seed) for name in names}
    return {name: {"seed": seed} | evaluate(model, test, labels) for name, model in models.items()}


def main() -> dict[str, Any]:
    """Ten seeds: six estimators from one start, and the exact sum from a random start with one and three samples."""
    digits = data.digits()
    x, test = ((part >= 8).float() for part in (digits.train, digits.test))
    seeds = _runs.parts({f"seed {seed}": partial(run, x, test, digits.test_labels, seed) for seed in range(SEEDS)})
    names = ["start", *ESTIMATORS, *RANDOM_STARTS]
    runs = {name: [each[name] for each in seeds.values() if name in each] for name in names}
    return {"epochs of the VAE": VAE_EPOCHS, "epochs": EPOCHS, "runs": runs}
