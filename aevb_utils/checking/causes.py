"""What a wrong term of the ELBO comes from: the usual mistakes are computed, and those that give its numbers are said.

A cause is a sentence's end and the draws, (draws, batch), that the term would have if it were so.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Distribution,
    MixtureSameFamily,
    Normal,
    Poisson,
    kl_divergence,
)

from aevb_utils.checking.comparisons import innermost
from aevb_utils.checking.recomputed import SEED, Recomputed, same_means
from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers
from aevb_utils.evaluation.contexts import call_with_context

LOG_2PI_HALF = 0.5 * math.log(2 * math.pi)
NOTHING_KNOWN = (
    "look for a part that is missing or counted twice, for a variance taken for a standard deviation, and for samples "
    "of z from another distribution"
)
Cause = tuple[str, Tensor]


SEVERAL_LATENTS = (
    "with several latents the KLs add up to that of all of them, at least the KL of z alone: look for the prior of a "
    "class, log p(y), that is left out or is another, and for a sign"
)


def sentence(
    name: str,
    theirs: Tensor,
    right: Tensor,
    causes: Iterator[Cause],
    sizes: dict[str, int],
    *,
    look: str = NOTHING_KNOWN,
) -> str:
    """Say in which ways ``theirs`` could have come about, where ``right`` is what it should be; if none, ``look``."""
    known = [says for says, would_be in causes if same_means(theirs, would_be)]
    found = dict.fromkeys([*scalings(theirs, right, sizes, of_kl="KL" in name), *known])
    found = list(found) or list(constants(theirs, right, sizes)) or [unexplained(theirs, right, look)]
    return f"{name} {'; or it '.join(found[:4])}."


def scalings(theirs: Tensor, right: Tensor, sizes: dict[str, int], *, of_kl: bool) -> Iterator[str]:
    """The term is a multiple of what it should be."""
    t, r = theirs.mean(dim=0), right.mean(dim=0)
    factor = ((t * r).sum() / (r * r).sum()).item()
    if not math.isfinite(factor) or not same_means(theirs, factor * right):
        return
    for what, n in sizes.items():
        if n > 1 and same_means(theirs * n, right):
            yield f"is a mean over the {what} where the sum is meant: it is too small by their number"
        elif n > 1 and same_means(theirs, right * n):
            yield f"is too large by the number of {what}: is something summed, or counted, that often?"
    if abs(factor) < 1e-3:
        yield "is 0: it is not among the terms"
    elif same_means(theirs, -right):
        yield "has the wrong sign: the ELBO is the reconstruction minus the KL"
    elif of_kl and factor < 0:
        yield f"has the wrong sign, and is multiplied by {-factor:.3g} (β, or KL annealing left on)"
    elif of_kl:
        half = {2.0: ", or the ½ in a Gaussian's KL is missing", 0.5: ", or the ½ in a Gaussian's KL is there twice"}
        also = next((says for value, says in half.items() if abs(factor / value - 1) < 0.02), "")
        yield f"is multiplied by {factor:.3g}: β, or KL annealing left on{also}"
    else:
        yield f"is multiplied by {factor:.3g}: a weight, such as the 1/β of a β-VAE, left on"


def constants(theirs: Tensor, right: Tensor, sizes: dict[str, int]) -> Iterator[str]:
    """The term is off by the same number in every row."""
    difference = (theirs.mean(dim=0) - right.mean(dim=0)).mean().item()
    if theirs.shape[1] < 2 or not same_means(theirs - difference, right):
        return
    said = f"is off by the same {difference:+.3g} nats in every row".replace("-", "−")
    for what, value in _known_constants(sizes):
        if abs(abs(difference) - value) < 0.01 * value:
            yield f"{said}, which is {what}: a constant was dropped, or counted twice"
            return
    yield (
        f"{said}: a constant was dropped (½ log 2π or ½ for each dimension of a Gaussian, log x! of a Poisson or "
        "binomial, the log of a prior weight)"
    )


def _known_constants(sizes: dict[str, int]) -> Iterator[tuple[str, float]]:
    """Constants of log densities, and their values in nats."""
    for what, one in (("½ log 2π", LOG_2PI_HALF), ("½", 0.5)):
        yield what, one
        for of in ("dimensions of x", "dimensions of z"):
            yield f"{what} for each of the {sizes[of]} {of}", sizes[of] * one
    if classes := sizes.get("classes"):
        yield f"log {classes}, the log of the prior weight of one of {classes} classes", math.log(classes)


def unexplained(theirs: Tensor, right: Tensor, look: str) -> str:
    """What there is to say of a difference that no known mistake explains."""
    difference = theirs.mean(dim=0) - right.mean(dim=0)
    worst = difference.abs().argmax().item()
    off = f"is off by {difference[worst]:+.3g} nats in row {worst}".replace("-", "−")
    return f"{off}, and by other amounts in other rows: {look}"


def of_likelihood(model: nn.Module, ours: Recomputed, right: Tensor) -> Iterator[Cause]:
    """Mistakes in E_q[log p(x | z)], of which ``right`` are the right draws."""
    x, base = ours.rows[0], innermost(ours.p_x)

    def total(each: Tensor) -> Tensor:
        return each.expand(x.shape).reshape(len(x), -1).sum(dim=1).reshape(right.shape)

    for says, part in _constants_of(base, x):
        yield f"lacks {says}", right - total(part)
    if isinstance(base, Bernoulli):
        twice = Bernoulli(logits=base.probs, validate_args=False)
        yield "has the sigmoid twice: probabilities are taken for logits", total(twice.log_prob(x))
    if isinstance(base, Normal):
        for says, scale in (("σ² for σ", base.scale**2), ("σ for σ²", base.scale.sqrt())):
            other = Normal(base.loc, scale, validate_args=False)
            yield f"takes {says} (log σ² for log σ, or the reverse) in p(x | z)", total(other.log_prob(x))
    if isinstance(base, Normal | Bernoulli | Poisson | Binomial):
        errors = total((x - base.mean).square())
        for factor in (1.0, 0.5):
            for size in (1, x[0].numel()):
                yield "is minus a squared error (MSE) in place of log p(x | z)", -factor * errors / size
    for says, z in _other_samples(model, ours):
        with evaluation_mode(model):
            p_x = call_with_context(model.p_x_given_z, z, context=ours.rows[1:])
        yield f"is that at samples {says}", p_x.log_prob(x).reshape(right.shape)


def _constants_of(base: Distribution, x: Tensor) -> Iterator[Cause]:
    """The parts of log p(x | z) that are often dropped, one number each for each of x."""
    if isinstance(base, Normal):
        normal, log_scale = torch.full_like(x, -LOG_2PI_HALF), -base.scale.log()
        yield "½ log 2π for each dimension of x", normal
        yield "log σ of p(x | z)", log_scale
        yield "½ log 2π and log σ for each dimension of x", normal + log_scale
    if isinstance(base, Poisson):
        yield "log x! of the Poisson", -torch.lgamma(x + 1)
    if isinstance(base, Binomial):
        n = base.total_count
        yield (
            "the log of the binomial coefficient",
            torch.lgamma(n + 1) - torch.lgamma(x + 1) - torch.lgamma(n - x + 1),
        )


def _other_samples(model: nn.Module, ours: Recomputed) -> Iterator[tuple[str, Tensor]]:
    """Samples z as they come out of usual slips in z = m + σ ε."""
    base = innermost(ours.q)
    if not isinstance(base, Normal) or base.loc.shape != ours.z.shape:
        return
    m, s = base.loc, base.scale
    noise = (ours.z - m) / s
    yield "with σ² in place of σ in z = m + σ ε (or log σ² taken for log σ)", m + s**2 * noise
    yield "with √σ in place of σ in z = m + σ ε (log σ taken for log σ²)", m + s.sqrt() * noise
    yield "without the σ of z = m + σ ε", m + noise
    yield "without the m of z = m + σ ε", s * noise
    yield "without noise: z is the mean of q", m
    with own_random_numbers(m.device, SEED):
        yield "with ε from torch.rand in place of torch.randn", m + s * torch.rand_like(m)
    with own_random_numbers(m.device, SEED):
        p_z = ours.p_z
        yield "of the prior in place of q", p_z.sample() if len(p_z.batch_shape) else p_z.sample((len(m),))


def of_kl(ours: Recomputed, right: Tensor) -> Iterator[Cause]:
    """Mistakes in −KL(q ‖ p(z)), of which ``right`` are the right draws."""
    yield "lacks log q(z | x)", ours.log_prior
    yield "lacks log p(z), the prior", -ours.log_q
    try:
        yield "is −KL(p ‖ q): the arguments are exchanged", -_as(right, kl_divergence(ours.p_z, ours.q))
        yield "lacks log p(z), the prior", _as(right, ours.q.entropy())
    except NotImplementedError:
        pass  # torch has no formula: this slip cannot be made with it
    if isinstance(ours.q, Categorical):
        equal = Categorical(torch.ones_like(ours.q.probs))
        yield "is the KL to equal prior weights, and p_z has others", -_as(right, kl_divergence(ours.q, equal))
    q, p = innermost(ours.q), innermost(ours.p_z)
    if isinstance(q, Normal) and isinstance(p, Normal):
        for says, kl in _gaussian_kls(q, p):
            yield says, -_as(right, kl.reshape(len(ours.z), -1).sum(dim=1))


def _as(right: Tensor, values: Tensor) -> Tensor:
    """A number for each row in the shape of the draws."""
    return values.expand(right.numel()).reshape(right.shape) if values.ndim <= 1 else values.reshape(right.shape)


def _gaussian_kls(q: Normal, p: Normal) -> Iterator[Cause]:
    """KLs of each dimension as they come out of slips with the scale of q, or of another prior."""
    m, s = q.loc, q.scale
    right = kl_divergence(q, p)

    def other(scale: Tensor) -> Tensor:
        return kl_divergence(Normal(m, scale), p)

    square = 0.5 / p.scale**2
    yield "takes log σ for log σ² of q (its σ is √σ)", other(s.sqrt())
    yield "takes log σ² for log σ of q (its σ is σ²)", other(s**2)
    yield "has log σ where log σ² belongs, so that the log of q's scale counts half", right + 0.5 * s.log()
    yield "has log σ² where log σ belongs, so that the log of q's scale counts twice", right - s.log()
    yield "has σ where q's variance σ² belongs", right + square * (s - s**2)
    yield "has σ⁴ where q's variance σ² belongs", right + square * (s**4 - s**2)
    yield "lacks the squared mean of q", right - square * (m - p.loc) ** 2
    yield "lacks the log of q's scale", right + s.log()
    yield "is the KL to N(0, I), and p_z is another prior", kl_divergence(q, Normal(torch.zeros_like(m), 1.0))
    yield (
        "takes the variance of p_z for its standard deviation, or the reverse",
        kl_divergence(q, Normal(p.loc, p.scale**2)),
    )
    yield (
        "takes the variance of p_z for its standard deviation, or the reverse",
        kl_divergence(q, Normal(p.loc, p.scale.sqrt())),
    )


def of_log_weights(model: nn.Module, ours: Recomputed) -> Iterator[Cause]:
    """Mistakes in log p(x | z) + log p(z) − log q(z | x)."""
    likelihood, prior, q = ours.log_likelihood, ours.log_prior, ours.log_q
    right = ours.log_weights
    yield "lacks log p(z), the prior", likelihood - q
    yield "lacks log q(z | x)", likelihood + prior
    yield "lacks log p(x | z)", prior - q
    yield "lacks both log p(z) and log q(z | x): it is the log-likelihood alone", likelihood
    yield "has log q(z | x) with the wrong sign", likelihood + prior + q
    yield "has log p(z) with the wrong sign", likelihood - prior - q
    yield "has log p(z) − log q(z | x) with the wrong sign", likelihood - prior + q
    for what, n in (("dimensions of x", ours.rows[0][0].numel()), ("dimensions of z", max(1, ours.z[0].numel()))):
        if n > 1:
            mean = likelihood / n if what.endswith("x") else likelihood
            rest = (prior - q) / (1 if what.endswith("x") else n)
            yield f"has a mean over the {what} where the sum is meant", mean + rest
    base = innermost(ours.p_z)
    if isinstance(base, Normal):
        standard = Normal(torch.zeros_like(ours.z), 1.0).log_prob(ours.z).reshape(len(ours.z), -1).sum(dim=1)
        yield "takes N(0, I) for the prior, and p_z is another", likelihood + standard.reshape(q.shape) - q
    for says, other in of_likelihood(model, ours, likelihood):
        yield f"has a likelihood that {says}", other + right - likelihood


def number_of_classes(ours: Recomputed) -> int:
    """C where z is a class, or its prior a mixture of C; otherwise 0."""
    if isinstance(ours.p_z, Categorical):
        return ours.p_z.probs.shape[-1]
    if isinstance(ours.p_z, MixtureSameFamily):
        return ours.p_z.mixture_distribution.probs.shape[-1]
    return 0
