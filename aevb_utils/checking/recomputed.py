"""The parts of the ELBO from a model's three distributions alone, beside the model's own estimates.

Both come from the same random numbers: a model that draws z once and first, as most do, then differs from what is
recomputed by rounding alone, and every other one by noise that its draws show.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, kl_divergence

from aevb_utils.checking.comparisons import (
    deviations,
    how_many,
    repeated,
    require_values,
    shared,
    slack,
    standard_error,
)
from aevb_utils.checking.progress import looked_at
from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers
from aevb_utils.evaluation.contexts import call_with_context

SEED = 2


class Recomputed(NamedTuple):
    """The three distributions at repeated rows, a draw z of q for each, and the log densities, (draws, batch) each."""

    rows: tuple[Tensor, ...]  # x and its context
    q: Distribution
    p_z: Distribution
    p_x: Distribution
    z: Tensor
    log_likelihood: Tensor  # log p(x | z)
    log_prior: Tensor  # log p(z)
    log_q: Tensor  # log q(z | x)

    @property
    def log_weights(self) -> Tensor:
        """The log of p(x, z) / q(z | x), (draws, batch)."""
        return self.log_likelihood + self.log_prior - self.log_q


class Estimated(NamedTuple):
    """A model's own estimates from one sample of z each, (draws, batch)."""

    reconstruction: Tensor
    minus_kl: Tensor  # the sum of all other terms


def draw(distribution: Distribution) -> Tensor:
    """A sample of each, from the random numbers that a reparameterized one would take."""
    return distribution.rsample() if distribution.has_rsample else distribution.sample()


@shared
def recompute(model: nn.Module, x: Tensor, *context: Tensor) -> Recomputed:
    """Samples of q at all data, and the three log densities there."""
    rows = repeated((x, *context), how_many(x))
    with evaluation_mode(model), own_random_numbers(x.device, SEED):
        q = model.q_z_given_x(*rows)
        z = draw(q)
        p_z = call_with_context(model.p_z, context=rows[1:])
        p_x = call_with_context(model.p_x_given_z, z, context=rows[1:])
        densities = (p_x.log_prob(rows[0]), p_z.log_prob(z), q.log_prob(z))
    looked_at(x, 2 * how_many(x))
    return Recomputed(rows, q, p_z, p_x, z, *(density.reshape(-1, len(x)) for density in densities))


@shared
def estimate(model: nn.Module, x: Tensor, *context: Tensor) -> Estimated:
    """The ELBO's parts as the model's own elbo_terms estimates them."""
    rows = repeated((x, *context), how_many(x))
    with evaluation_mode(model), own_random_numbers(x.device, SEED):
        terms = dict(model.elbo_terms(*rows, num_samples=1))
    for name, term in terms.items():
        require_values(f"elbo_terms' {name!r} of {len(rows[0])} rows", term, (len(rows[0]),))
    looked_at(rows[0])
    reconstruction = terms.pop("reconstruction").reshape(-1, len(x))
    others = [term.reshape(-1, len(x)) for term in terms.values()]
    return Estimated(reconstruction, sum(others, torch.zeros_like(reconstruction)))


@shared
def estimated_log_weights(model: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """The model's own log importance weights, (draws, batch)."""
    rows = repeated((x, *context), how_many(x))
    with evaluation_mode(model), own_random_numbers(x.device, SEED):
        log_weights = model.log_weights(*rows, num_samples=1)
    require_values(f"log_weights of {len(rows[0])} rows", log_weights, (1, len(rows[0])))
    looked_at(rows[0])
    return log_weights.reshape(-1, len(x))


@shared
def expected_log_likelihood(model: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """E_q[log p(x | z)]: at samples of q, or the sum over all classes where z is one; (draws, batch)."""
    ours = recompute(model, x, *context)
    if not isinstance(ours.q, Categorical):
        return ours.log_likelihood
    with evaluation_mode(model):
        q = model.q_z_given_x(x, *context)
        at_each = [
            call_with_context(model.p_x_given_z, z, context=context).log_prob(x) for z in q.enumerate_support()
        ]  # (batch,) for each class
    return (torch.stack(at_each) * q.probs.T).sum(dim=0).expand_as(ours.log_likelihood)


def minus_kl(ours: Recomputed) -> Tensor:
    """−KL(q ‖ p(z)) of every datum, (draws, batch): exact where torch has it, otherwise at samples of q."""
    sampled = ours.log_prior - ours.log_q
    exact = exact_minus_kl(ours.q, ours.p_z, sampled)
    return sampled if exact is None else exact


def exact_minus_kl(q: Distribution, p_z: Distribution, sampled: Tensor) -> Tensor | None:
    """−KL by torch's formulas, in the shape of the sampled one, if there is one and the samples agree with it."""
    try:
        exact = -kl_divergence(q, p_z)
    except NotImplementedError:
        return None
    if exact.numel() != sampled.numel():
        return None
    exact = exact.reshape(sampled.shape)
    off = (sampled - exact).mean(dim=0).abs() - deviations(sampled) * standard_error(sampled)
    return exact if isinstance(q, Categorical) or bool((off <= slack(sampled)).all()) else None


def same_means(first: Tensor, second: Tensor, *, at_most: bool = False) -> bool:
    """Whether two sets of draws from the same random numbers have the same mean for each datum, and over all data.

    Up to the standard errors of their difference; with ``at_most``, the first may also be lower.
    """
    difference = first - second
    for draws in (difference, difference.mean(dim=1, keepdim=True)):
        mean = draws.mean(dim=0)
        limit = deviations(draws) * standard_error(draws) + slack(second)
        if not bool(((mean if at_most else mean.abs()) <= limit).all()):
            return False
    return True
