"""Gradient estimators for expectations: what each sample says, how far they disagree.

Exported from notebooks/05_reparameterization.ipynb by ``make export``: edit the chapter.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from aevb_utils.inputs import check_count


def own_rows(phi: Tensor, num_samples: int) -> Tensor:
    """A copy of φ for each sample, shape (S, …, P), so that each gets its own gradient.

    Raises:
        ValueError: φ has no dimension of parameters, or there is no sample.
    """
    if phi.ndim == 0:
        raise ValueError(
            "phi must have its parameters along the last dimension, shape (…, P), "
            "but it is a single number: pass phi[None]."
        )
    rows = phi.detach().expand(check_count("num_samples", num_samples), *phi.shape)
    return rows.clone().requires_grad_()


Family = Callable[[Tensor], Distribution]  # φ, (…, P) -> q_φ, batch shape (…)
Objective = Callable[[Tensor, Tensor], Tensor]  # z and φ, (…, P) -> f, shape (…)


def values_of(f: Objective, z: Tensor, rows: Tensor) -> Tensor:
    """f(z, φ) for each sample, shape (S, …).

    Raises:
        ValueError: f does not return one value per sample.
    """
    values = f(z, rows)
    if values.shape != rows.shape[:-1]:
        raise ValueError(
            f"f must return one value per sample, shape {tuple(rows.shape[:-1])}, but it "
            f"returned {tuple(values.shape)}: sum over the dimensions of z, and give q "
            "the batch shape of phi without its last dimension (phi[..., 0], Independent)."
        )
    return values


Baseline = float | Tensor | Literal["leave-one-out"]


def baseline_of(values: Tensor, baseline: Baseline) -> Tensor | float:
    """What to subtract from f before it meets the score, ready to broadcast to (S, …, P).

    Raises:
        ValueError: leave-one-out with a single sample, or an unknown word.
    """
    if not isinstance(baseline, str):
        return baseline
    if baseline != "leave-one-out":
        raise ValueError(
            f'baseline is a number, a tensor or "leave-one-out": {baseline!r}'
        )
    others = len(values) - 1
    if others < 1:
        raise ValueError(
            "A leave-one-out baseline is the mean of f over the other samples: it needs "
            "num_samples of at least 2."
        )
    return ((values.sum(dim=0) - values) / others)[..., None]


def score_function(
    q: Family, f: Objective, phi: Tensor, num_samples: int, baseline: Baseline = 0.0
) -> Tensor:
    """Each sample's score-function estimate of ∇_φ E_q[f(z, φ)], eqs. (5.3) and (5.5).

    ``(f(z, φ) − b) ∇_φ log q_φ(z) + ∇_φ f(z, φ)`` with z ~ q_φ held fixed. Samples come
    from torch's global generator. Williams (1992).

    Args:
        q: the family: maps φ of shape (…, P) to a distribution of batch shape (…).
        f: the function: f(z, φ) of shape (…); it need not be differentiable in z.
        phi: parameters, shape (P,), or (…, P) for several at once.
        num_samples: S.
        baseline: b, a number or a tensor that broadcasts to (S, …, P), independent of the
            samples; "leave-one-out": for each sample the mean of f over the others. Its
            terms are then dependent: take the spread of means, with φ expanded to (R, P).

    Returns:
        Tensor of shape (S, …, P); its mean over samples is the estimate.

    Raises:
        ValueError: a wrong shape of f or of a baseline; leave-one-out with one sample.
    """
    rows = own_rows(phi, num_samples)
    family = q(rows)
    z = family.sample()  # (S, …, event): no history
    (score,) = torch.autograd.grad(family.log_prob(z).sum(), rows)  # (S, …, P)
    values = values_of(f, z, rows)  # (S, …)
    weights = values.detach()[..., None] - baseline_of(values.detach(), baseline)
    estimates = weights * score
    if estimates.shape != score.shape:
        raise ValueError(
            f"The baseline must broadcast to (S, …, P) = {tuple(score.shape)}, but with "
            f"it the estimates have the shape {tuple(estimates.shape)}: one per sample is "
            "baseline[:, None]."
        )
    if not values.requires_grad:
        return estimates
    (direct,) = torch.autograd.grad(values.sum(), rows, materialize_grads=True)
    return estimates + direct


class GradientSummary(NamedTuple):
    """Mean and variance of a gradient estimate, and the standard error of each, (…, P)."""

    mean: Tensor
    variance: Tensor
    mean_error: Tensor
    variance_error: Tensor


def summarize(samples: Tensor) -> GradientSummary:
    """Mean, variance and their standard errors from independent samples, (S, …, P).

    The error of the mean is √(v/S), that of the variance √((m₄ − v²)/S), where v is the
    variance and m₄ the fourth central moment.

    Raises:
        ValueError: there are fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError(f"A variance needs at least 2 samples, not {len(samples)}.")
    deviations = samples - samples.mean(dim=0)
    variance = deviations.square().sum(dim=0) / (len(samples) - 1)
    fourth = deviations.pow(4).mean(dim=0)
    return GradientSummary(
        samples.mean(dim=0),
        variance,
        (variance / len(samples)).sqrt(),
        ((fourth - variance.square()).clamp(min=0) / len(samples)).sqrt(),
    )


def pathwise(q: Family, f: Objective, phi: Tensor, num_samples: int) -> Tensor:
    """Each sample's pathwise estimate of ∇_φ E_q[f(z, φ)], eq. (5.8).

    The total derivative of f(g_φ(ε), φ) in φ at fixed noise ε. To drop a dependence of f
    on φ itself, detach φ inside f: see eq. (5.17). Samples come from torch's global
    generator. Kingma & Welling (2014); Rezende, Mohamed & Wierstra (2014).

    Args:
        q: the family: maps φ of shape (…, P) to a distribution with ``rsample``, of batch
            shape (…).
        f: the function: f(z, φ) of shape (…), continuous and piecewise differentiable.
        phi: parameters, shape (P,), or (…, P) for several at once.
        num_samples: S.

    Returns:
        Tensor of shape (S, …, P); its mean over samples is the estimate.

    Raises:
        ValueError: q has no ``rsample``; f's shape is not one value per sample, or no
            gradient passes through it.
    """
    rows = own_rows(phi, num_samples)
    family = q(rows)
    if not family.has_rsample:
        raise ValueError(
            f"{type(family).__name__} has no rsample: its samples do not move with phi; "
            "use score_function, or sum over the values of z."
        )
    values = values_of(f, family.rsample(), rows)  # (S, …)
    if not values.requires_grad:
        raise ValueError(
            "No gradient passes through f: it detaches z, or only compares or rounds it."
        )
    return torch.autograd.grad(values.sum(), rows, materialize_grads=True)[0]


def repeat_gradients(
    objective: Callable[[], Tensor], parameters: Iterable[Tensor], num_repeats: int
) -> Tensor:
    """The gradient of a random objective, drawn anew each time, shape (R, P).

    For parameters that cannot be copied for each sample, such as a network's.

    Args:
        objective: draws its own samples and returns one number, a minibatch's ELBO.
        parameters: all that require a gradient, flattened and joined into P numbers.
        num_repeats: R.

    Raises:
        ValueError: the objective is not a single number, or there is nothing to repeat.
    """
    parameters = list(parameters)
    if num_repeats < 1 or not parameters:
        raise ValueError(
            "repeat_gradients needs at least one repetition and one parameter, not "
            f"{num_repeats} and {len(parameters)}."
        )
    rows = []
    for _ in range(num_repeats):
        value = objective()
        if value.numel() != 1:
            raise ValueError(
                f"The objective must be one number, not of shape {tuple(value.shape)}: "
                "take its mean or its sum."
            )
        parts = torch.autograd.grad(value.sum(), parameters, materialize_grads=True)
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)
