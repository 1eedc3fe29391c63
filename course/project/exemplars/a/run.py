"""Compute every number of the report: ``python run.py [--seed N]`` writes results.json."""

import argparse
import copy
import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import NegativeBinomial

from aevb_utils.evaluation import gauss_hermite, information, iwae_bound
from aevb_utils.models.recipe import train

from data import halves
from model import Visits

EPOCHS, SETS, ROWS = 60, 20, 1_000


def fit(x: Tensor, seed: int, epochs: int, model: Visits | None = None, **kind: bool) -> Visits:
    """AEVB, from the same start whatever the data, or on from a model."""
    torch.manual_seed(seed)
    model = model or Visits(**kind)
    train(model, x, epochs, 0.05, batch_size=500, num_samples=4, seed=seed)
    return model


def theta(model: Visits) -> Tensor:
    """(logit π,) μ, log σ."""
    return torch.stack([each.detach() for each in model.generative_parameters()])


def climb_to(objective: Callable[[], Tensor], parameters: list[nn.Parameter]) -> None:
    """Move parameters to a maximum of a smooth, exact objective."""
    optimizer = torch.optim.LBFGS(parameters, max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -objective()
        loss.backward()
        return loss

    optimizer.step(closure)


def climb(model: Visits, x: Tensor) -> Visits:
    """The maximum of the exact evidence, without a q."""
    counts, often = torch.unique(x, return_counts=True)
    climb_to(lambda: often.double() @ model.log_evidence(counts[:, None]) / len(x), model.generative_parameters())
    return model


@torch.no_grad()
def evidence(model: Visits, x: Tensor) -> Tensor:
    """The exact log evidence of each row."""
    values, where = x.unique(return_inverse=True)
    return model.log_evidence(values[:, None])[where[:, 0]]


@torch.no_grad()
def elbo(model: Visits, x: Tensor) -> Tensor:
    """The ELBO of each row without sampling: Gauss–Hermite nodes where the parts of q are."""
    values, where = x.unique(return_inverse=True)
    u, w = gauss_hermite(61, 1)
    q = model.q_z_given_x(values[:, None]).base_dist
    m, s, weight = (q.mean, q.stddev, torch.ones(1)) if model.single else (q.each.loc, q.each.scale, q.log_w.exp())
    m, s, weight = (part.reshape(-1, part.shape[-1]) for part in (m, s, weight))
    z = m + s * u[:, :, None]  # (nodes, values, parts of q)
    at = torch.stack([log_weight(model, values[:, None], z[..., k : k + 1]) for k in range(z.shape[-1])], dim=-1)
    return ((w[:, None, None] * at).sum(dim=0) * weight).sum(dim=-1)[where[:, 0]]


def log_weight(model: Visits, x: Tensor, z: Tensor) -> Tensor:
    """The log of p(x, z) / q(z | x)."""
    return model.p_x_given_z(z).log_prob(x) + model.p_z().log_prob(z) - model.q_z_given_x(x).log_prob(z)


def errors(model: Visits, x: Tensor) -> Tensor:
    """Standard errors of θ, from importance weights, eq. (11.22)."""
    _, info = information(model, x, num_samples=100)
    return info.inverse().diagonal().clamp(min=0).sqrt()


def error_of_zeros(model: Visits, x: Tensor) -> float:
    """Standard error of the share of zeros that a fitted model says, by its gradient in θ."""
    zeros = model.log_evidence(torch.zeros(1, 1)).exp().sum()
    gradient = torch.stack(torch.autograd.grad(zeros, model.generative_parameters()))
    _, info = information(model, x, num_samples=100)
    return (gradient @ info.inverse() @ gradient).sqrt().item()


def gamma_rates(training: Tensor, held_out: Tensor) -> Tensor:
    """The log evidence of held-out rows with Gamma rates and no class: negative binomial, at its exact maximum."""
    parameters = [nn.Parameter(torch.tensor(0.0)), nn.Parameter(training.mean().log())]

    def log_prob(x: Tensor) -> Tensor:
        log_shape, log_mean = parameters
        counts = NegativeBinomial(log_shape.exp(), logits=log_mean - log_shape, validate_args=False)
        return counts.log_prob(x)[:, 0]

    climb_to(lambda: log_prob(training).mean(), parameters)
    return log_prob(held_out).detach()


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """A mean over rows and its standard error."""
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()


def recovered(trained: Visits, truth: Tensor, seed: int) -> float:
    """The share of parameters of simulated sets that are within two standard errors of the truth.

    Each fit goes on from the trained model, with noise added to θ: none is right because it stayed where it was.
    """
    source, inside = Visits(tuple(truth.tolist())), []
    for number in range(SETS):
        torch.manual_seed(1_000 * (seed + 1) + number)
        x, _ = source.sample(ROWS)
        model = copy.deepcopy(trained)
        for parameter in model.generative_parameters():
            parameter.data += 0.3 * torch.randn(())
        fit(x, number, 100, model)
        inside.append((theta(model) - truth).abs() < 2 * errors(model, x))
    return torch.stack(inside).double().mean().item()


def main() -> None:
    """All numbers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    training, held_out = halves()
    full, twice = fit(training, seed, EPOCHS), fit(training, seed, 2 * EPOCHS)
    kinds = {"one": {"never": False}, "single": {"single": True}}
    fits = {name: fit(training, seed, EPOCHS, **kind) for name, kind in kinds.items()}
    best = climb(Visits(), training)
    best_one = climb(Visits(never=False), training)
    ours, exact, error = theta(full), theta(best), errors(full, training)
    bound, bound_error = mean_and_error(iwae_bound(full, held_out, num_samples=50, seed=seed))
    gain, gain_error = mean_and_error(evidence(full, held_out) - evidence(fits["one"], held_out))
    over_gamma, over_gamma_error = mean_and_error(evidence(full, held_out) - gamma_rates(training, held_out))
    gap, single_gap = (evidence(each, training) - elbo(each, training) for each in (full, fits["single"]))
    coverage = recovered(full, exact, seed)
    nobody = torch.zeros(1, 1)
    zeros, zeros_error = mean_and_error((held_out == 0).double())
    results = {
        "heldout_bound": bound,
        "heldout_bound_se": bound_error,
        "answer_aevb": ours[2].exp().item(),
        "answer_other": exact[2].exp().item(),
        "answer_se": (exact[2].exp() * error[2]).item(),
        "simulated_sets": SETS,
        "coverage": coverage,
        "gain_of_twice": (evidence(twice, training) - evidence(full, training)).sum().item(),
        "sigma_twice": theta(twice)[2].exp().item(),
        "pi": ours[0].sigmoid().item(),
        "pi_ml": exact[0].sigmoid().item(),
        "logit_pi": ours[0].item(),
        "logit_pi_se": error[0].item(),
        "mu": ours[1].item(),
        "gain_of_never": gain,
        "gain_of_never_se": gain_error,
        "gain_over_gamma": over_gamma,
        "gain_over_gamma_se": over_gamma_error,
        "gain_of_never_ml": (evidence(best, training) - evidence(best_one, training)).sum().item(),
        "gap": gap.mean().item(),
        "gap_of_none": gap[training[:, 0] == 0].mean().item(),
        "gap_single": single_gap.mean().item(),
        "gap_single_of_none": single_gap[training[:, 0] == 0].mean().item(),
        "sigma_single": theta(fits["single"])[2].exp().item(),
        "zeros": zeros,
        "zeros_se": zeros_error,
        "zeros_by_model": evidence(full, nobody).exp().item(),
        "zeros_by_one": evidence(fits["one"], nobody).exp().item(),
        "zeros_by_one_se": error_of_zeros(fits["one"], training),
    }
    Path("results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    for name, value in results.items():
        print(f"{name}: {value:.4g}")


if __name__ == "__main__":
    main()
