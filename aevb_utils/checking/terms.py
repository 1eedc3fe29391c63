"""Checks that recompute the terms of the ELBO from the model's own distributions, and say *how* a term is wrong."""

import copy

import torch
from torch import Tensor, nn

from aevb_utils.checking import causes
from aevb_utils.checking.comparisons import (
    CHANCE,
    deviations,
    require,
    slack,
    standard_error,
)
from aevb_utils.checking.recomputed import (
    Recomputed,
    estimate,
    estimated_log_weights,
    expected_log_likelihood,
    minus_kl,
    recompute,
    same_means,
)
from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers

VISIBLE_KL = 0.05
"""A KL, in nats, below which its sign and scale cannot be told."""
OTHER_SAMPLES = "are its parts computed at different samples of z, where one z is meant?"


def check_reconstruction(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The term ``reconstruction`` is E_q[log p(x | z)], recomputed from p_x_given_z and q_z_given_x."""
    theirs, right = estimate(model, x, *context).reconstruction, expected_log_likelihood(model, x, *context)
    if not same_means(theirs, right):
        ours = recompute(model, x, *context)
        known = causes.of_likelihood(model, ours, right)
        raise AssertionError(causes.sentence("The term 'reconstruction'", theirs, right, known, sizes(ours, x)))


def check_other_terms(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The other terms add up to −KL(q ‖ p(z)), recomputed from p_z and q_z_given_x."""
    model = _with_visible_kl(model, x, *context)
    ours, theirs = recompute(model, x, *context), estimate(model, x, *context)
    sampled = ours.log_prior - ours.log_q
    several = _has_more_latents(model, x, *context)
    right = min((minus_kl(ours), sampled), key=lambda each: standard_error(theirs.minus_kl - each).sum().item())
    if not same_means(theirs.minus_kl, right, at_most=several):
        name, known = "What elbo_terms holds besides 'reconstruction', minus the KL,", causes.of_kl(ours, right)
        look = causes.SEVERAL_LATENTS if several else causes.NOTHING_KNOWN
        raise AssertionError(causes.sentence(name, theirs.minus_kl, right, known, sizes(ours, x), look=look))
    if not several and _same_spread(theirs.minus_kl, sampled):
        require(
            _same_covariance(theirs, (ours.log_likelihood, sampled)),
            f"The terms of elbo_terms have the right means but not together: {OTHER_SAMPLES}",
        )


def check_log_weights(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The mean of ``log_weights`` is E_q[log p(x | z) + log p(z) − log q(z | x)], recomputed."""
    ours, theirs = recompute(model, x, *context), estimated_log_weights(model, x, *context)
    several = _has_more_latents(model, x, *context)
    right = ours.log_weights
    if not same_means(theirs, right, at_most=several):
        name, known = "The mean of log_weights", causes.of_log_weights(model, ours)
        look = causes.SEVERAL_LATENTS if several else causes.NOTHING_KNOWN
        raise AssertionError(causes.sentence(name, theirs, right, known, sizes(ours, x), look=look))
    _require_own_samples(model, right, x, *context)
    if several:
        _require_same_evidence(theirs, right)
    else:
        require(
            _same_spread(theirs, right),
            f"log_weights have the right mean but another spread than those recomputed: {OTHER_SAMPLES}",
        )


def _same_spread(first: Tensor, second: Tensor) -> bool:
    """Whether two sets of draws, (draws, batch) each, have the same variances, up to the noise of their squares."""
    return _same_covariance((first, first), (second, second))


def _same_covariance(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> bool:
    """Whether two pairs of sets of draws, (draws, batch) each, have the same covariances, up to their noise."""
    return same_means(*((a - a.mean(dim=0)) * (b - b.mean(dim=0)) for a, b in (first, second)))


def _require_own_samples(model: nn.Module, right: Tensor, x: Tensor, *context: Tensor) -> None:
    """Each of the samples of ``log_weights`` has a z of its own, as far as that can be seen."""
    with evaluation_mode(model), own_random_numbers(x.device, 1):
        several = model.log_weights(x, *context, num_samples=64)
    commonest = (right == right.mode(dim=0).values).cpu()  # weight: of a class that is likely
    rare = commonest.double().mean(dim=0) ** 63 < CHANCE / len(x)
    noisy = (right.std(dim=0) > slack(right)) & rare.to(right.device)
    same = (several - several[0]).abs().amax(dim=0) == 0
    require(
        not bool((noisy & same).any()),
        "All samples of log_weights are the same: return one weight for each sample of z, not a mean or a logsumexp "
        "over the samples (iwae_bound takes it), and use num_samples.",
    )


def _require_same_evidence(theirs: Tensor, right: Tensor) -> None:
    """The weights average to the same p(x), with all latents and with z alone, where the draws can tell."""
    shift = right.max(dim=0).values
    first, second = ((draws - shift).exp() for draws in (theirs, right))
    effective = [draws.sum(dim=0).square() / draws.square().sum(dim=0) for draws in (first, second)]
    reliable = torch.minimum(*effective) >= len(right) / 10
    error = (standard_error(first).square() + standard_error(second).square()).sqrt()
    difference = (first.mean(dim=0) - second.mean(dim=0)).abs()
    wrong = reliable & (difference > deviations(right) * error + slack(right) * second.mean(dim=0))
    row = wrong.int().argmax().item()
    nats = (first.mean(dim=0) / second.mean(dim=0)).log()[row]
    require(
        not bool(wrong.any()),
        f"The mean weight of row {row} says another evidence than p_z, p_x_given_z and q_z_given_x do, by {nats:+.3g} "
        "nats: look for the prior of a class, log p(y), that is left out or is another, and for constants.",
    )


def _with_visible_kl(model: nn.Module, x: Tensor, *context: Tensor) -> nn.Module:
    """The model, or where its q is the prior, so that nothing can be seen, a copy whose φ has been moved."""
    if _kl_is_visible(model, x, *context):
        return model
    moved = copy.deepcopy(model)
    with torch.no_grad(), own_random_numbers(x.device, 4):
        for parameter in moved.inference_parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return moved


def _kl_is_visible(model: nn.Module, x: Tensor, *context: Tensor) -> bool:
    """Whether the KL is large enough for its sign and scale to be told."""
    mean = minus_kl(recompute(model, x, *context)).mean(dim=1, keepdim=True)  # (draws, 1)
    return -mean.mean().item() > max(VISIBLE_KL, 2 * deviations(mean) * standard_error(mean).item())


def _has_more_latents(model: nn.Module, x: Tensor, *context: Tensor) -> bool:
    """Whether the ELBO has several KLs: z is not the only latent, as in a mixture of which the class is summed out.

    Then they add up to the KL of all latents, and that is at least the KL of z alone (the chain rule of the KL).
    """
    with evaluation_mode(model), own_random_numbers(x.device, 5):
        return sum(name.startswith("minus_kl") for name in model.elbo_terms(x, *context)) > 1


def sizes(ours: Recomputed, x: Tensor) -> dict[str, int]:
    """The numbers by which a term may have been divided by mistake."""
    found = {
        "dimensions of x": x[0].numel(),
        "dimensions of z": ours.z[0].numel(),
        "rows of the batch": len(ours.rows[0]),
    }
    classes = causes.number_of_classes(ours)
    return found | ({"classes": classes} if classes else {})
