"""What every latent-variable model of the book must do, as checks that each say in one sentence what is wrong, and why.

Every check is called as ``check(model, x, *context)`` with a few rows of data, and raises AssertionError. Those in
``CHECKS`` are for all models, those in ``EXACT_CHECKS`` for models whose evidence, or posterior, is exact. What holds
in expectation is checked on many draws, up to the noise that they show, from a seed of its own: a check
gives the same answer every time, and leaves torch's global generator and the model as they were.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aevb_utils.checking.comparisons import (
    SAMPLES,
    all_in,
    deviations,
    draw_elbos,
    draw_log_weights,
    draw_many_log_weights,
    draw_sample,
    exact_evidence,
    first_outside,
    in_groups,
    require,
    require_same_mean,
    require_values,
    rounding,
    samples_in_all,
    slack,
    standard_error,
    without_gradient,
)
from aevb_utils.checking.structure import distributions_of, require_distribution, require_one_a_row
from aevb_utils.checking.trained import check_saves_and_loads, check_updates
from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers
from aevb_utils.evaluation.contexts import call_with_context

WEIGHTS_HINT = (
    "one number for each sample and datum, summed over the dimensions of x and z, and neither averaged nor put through "
    "logsumexp over the samples (iwae_bound does that)"
)


def check_supports(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """q(z | x) has samples where the prior has density, and the other way round; p(x | z) has some at the data."""
    rows = (len(x),)
    with evaluation_mode(model), own_random_numbers(x.device, 0):
        q = require_distribution(model.q_z_given_x, model.q_z_given_x(x, *context))
        p_z = require_distribution(model.p_z, call_with_context(model.p_z, context=context))
        require(
            all_in(q.sample((1000,)), p_z),
            "q has samples where the prior has no density, so that the KL is infinite: give q the prior's support, for "
            "example by a transform (exp, softplus, sigmoid) of a Gaussian.",
        )
        require(
            all_in(p_z.sample((1000,) if p_z.batch_shape else (1000, *rows)), q),
            "The prior has samples where q has no density, so that q cannot be the posterior, and importance weights "
            "miss a part of the evidence: give q the prior's support.",
        )
        p_x = require_distribution(model.p_x_given_z, call_with_context(model.p_x_given_z, q.sample(), context=context))
        require(
            (outside := first_outside(x, p_x)) is None,
            "x has values where p(x | z) has no density: look at the data's scale (0 to 1 or 0 to 255, counts or "
            f"fractions), or choose another likelihood; the first is in {outside}.",
        )


def check_distributions(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """``q_z_given_x``, ``p_z``, ``p_x_given_z`` and, where there is one, ``posterior`` return distributions."""
    with evaluation_mode(model), own_random_numbers(x.device, 0):
        distributions_of(model, x, context)
        if hasattr(model, "posterior"):
            posterior = call_with_context(model.posterior, x, context=context)
            require_one_a_row(model.posterior, require_distribution(model.posterior, posterior), (len(x),))


def check_shapes(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """``elbo_terms``, ``elbo`` and ``log_weights`` give one finite number a datum (and sample), for one row too."""
    for rows in dict.fromkeys((len(x), 1)):
        batch = [part[:rows] for part in (x, *context)]
        for samples in (1, 3):
            with evaluation_mode(model), own_random_numbers(x.device, 0):
                terms = model.elbo_terms(*batch, num_samples=samples)
                require(
                    isinstance(terms, dict) and "reconstruction" in terms,
                    "elbo_terms must return a dictionary with a term named 'reconstruction', E_q[log p(x | z)].",
                )
                for name, term in terms.items():
                    require_values(f"elbo_terms' {name!r}", term, (rows,))
                require_values("elbo", model.elbo(*batch, num_samples=samples), (rows,))
                log_weights = model.log_weights(*batch, num_samples=samples)
                require_values("log_weights", log_weights, (samples, rows), WEIGHTS_HINT)


def check_number_format(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """What the model returns has the number format of x: float64 stays float64."""
    with evaluation_mode(model), own_random_numbers(x.device, 0):
        values = model.elbo_terms(x, *context) | {"log_weights": model.log_weights(x, *context, num_samples=2)}
    for name, value in values.items():
        require(
            value.dtype == x.dtype,
            f"{name} is {value.dtype} for x in {x.dtype}: a tensor on the way was made in a format of its own; make it "
            "with x's dtype, as torch.zeros(..., dtype=x.dtype) or x.new_zeros(...) does.",
        )


def check_parameters(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """θ and φ partition the parameters: each is in ``generative_parameters`` or in ``inference_parameters``, once."""
    counts = {name: 0 for name, _ in model.named_parameters()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter in [*model.generative_parameters(), *model.inference_parameters()]:
        require(
            id(parameter) in names,
            f"generative_parameters or inference_parameters has a tensor of shape {tuple(parameter.shape)} that is not "
            "among model.parameters(): make it an attribute of the model, as nn.Parameter.",
        )
        counts[names[id(parameter)]] += 1
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    missing = [name for name, count in counts.items() if count == 0 and name not in frozen]
    require(
        not missing,
        f"{', '.join(missing)}: in neither generative_parameters nor inference_parameters, so that no fit moves it.",
    )
    twice = [name for name, count in counts.items() if count > 1]
    require(
        not twice, f"{', '.join(twice)}: in θ and φ at once, or twice, so that an E-step moves the model's θ as well."
    )


def check_reconstruction_reaches_inference(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The reconstruction term alone gives every inference parameter a gradient that is not zero."""
    phi = list(model.inference_parameters())
    with evaluation_mode(model), own_random_numbers(x.device, 0), torch.enable_grad():
        term = model.elbo_terms(x, *context)["reconstruction"].sum()
    hint = (
        "is z drawn by .sample() where .rsample() is needed, or is something detached? The KL alone makes q the prior."
    )
    dead = without_gradient(model, term, phi)
    require(not dead, f"The reconstruction term alone gives {', '.join(dead)} no gradient: {hint}")


def check_elbo_reaches_generative(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The ELBO gives every generative parameter a gradient that is not zero."""
    theta = list(model.generative_parameters())
    with evaluation_mode(model), own_random_numbers(x.device, 0), torch.enable_grad():
        elbo = sum(model.elbo_terms(x, *context).values()).sum()
    dead = without_gradient(model, elbo, theta)
    require(not dead, f"The ELBO gives {', '.join(dead)} no gradient: is it used in p(x, z), or is something detached?")


def check_terms_add_up(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """``elbo`` is the sum of ``elbo_terms``, from the same random numbers."""
    with evaluation_mode(model):
        with own_random_numbers(x.device, 0):
            total = sum(model.elbo_terms(x, *context, num_samples=2).values())
        with own_random_numbers(x.device, 0):
            elbo = model.elbo(x, *context, num_samples=2)
    worst = (elbo - total).abs().max().item()
    require(
        worst <= rounding(total),
        f"elbo differs from the sum of elbo_terms by up to {worst:.3g} nats: a term is missing in one of them, or has "
        "another sign or weight.",
    )


def check_elbo_is_mean_log_weight(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """``elbo`` is the mean of ``log_weights``, in expectation."""
    options = {"num_samples": 4, "total": samples_in_all(x)}
    require_same_mean(
        draw_elbos(model, x, *context, **options),
        draw_log_weights(model, x, *context, **options),
        "elbo is not the mean of log_weights",
        "look for the KL's sign, a mean over dimensions where a sum is meant, and constants (½ log 2π, the log of a "
        "class's prior weight) in one of them only.",
    )


def check_num_samples(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """More samples leave the mean of ``elbo`` as it is, and make it less noisy, unless it is exact."""
    total = samples_in_all(x)
    one, many = (draw_elbos(model, x, *context, num_samples=samples, total=total) for samples in (1, 16))
    require_same_mean(
        in_groups(one, 16, x),
        many,
        "elbo changes with num_samples",
        "average over the samples' dimension, do not sum over it.",
    )
    noise, less = (draws.var(dim=0).sum().item() for draws in (one, many))
    require(
        less <= noise / 4 + rounding(one) ** 2,
        f"With 16 samples the variance of elbo is {less:.3g}, with one it is {noise:.3g}: num_samples is not used, or "
        "all samples are the same.",
    )


def check_seeds(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The same seed gives the same bits, and another seed another sample."""

    def draw(seed: int) -> list[Tensor]:
        with evaluation_mode(model), own_random_numbers(x.device, seed):
            elbo = model.elbo(x, *context)
            log_weights = model.log_weights(x, *context, num_samples=2)
            return [elbo, log_weights, *draw_sample(model, len(x), context)]

    first, again = draw(0), draw(0)
    for name, one, two in zip(("elbo", "log_weights", "sample", "sample"), first, again, strict=False):
        require(
            torch.equal(one, two),
            f"The same seed gives two different values of {name}: draw all from torch's global generator.",
        )
    others = (draw(seed) for seed in range(1, 20))  # a few binary data may come out alike by chance
    require(
        any(not torch.equal(one, two) for other in others for one, two in zip(first[2:], other[2:], strict=True)),
        "All seeds give the same sample: the model must not seed or replace torch's global generator.",
    )


def check_sample(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """``sample(n)`` draws n rows like those of x, alone or with their latents, and without gradients."""
    for n in dict.fromkeys((1, min(3, len(x)))):
        with evaluation_mode(model), torch.enable_grad(), own_random_numbers(x.device, 0):
            parts = draw_sample(model, n, tuple(part[:n] for part in context))
        require_values(f"sample({n})'s data", parts[0], (n, *x.shape[1:]))
        for part in parts:
            require(len(part) == n, f"sample({n}) returns a part with {len(part)} rows: n of each, please.")
            require(not part.requires_grad, "A sample has a gradient: draw it under torch.no_grad(), or by .sample().")


def check_elbo_below_evidence(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The ELBO is at most the evidence, in expectation."""
    evidence = exact_evidence(model, x, *context)
    elbos = draw_elbos(model, x, *context, num_samples=4, total=samples_in_all(x))
    excess, error = elbos.mean(dim=0) - evidence, standard_error(elbos)
    limit = deviations(elbos) * error + slack(evidence)
    worst = (excess - limit).argmax()
    require(
        bool((excess <= limit).all()),
        f"The ELBO of row {worst.item()} is {excess[worst]:.3g} nats above its evidence (standard error "
        f"{error[worst]:.2g}): look for the KL's sign, a sum or mean over the wrong dimension, lost constants.",
    )


def check_weights_average_to_evidence(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The weights p(x, z) / q(z | x) average to p(x), and they are at most that where q is too poor to tell."""
    evidence = exact_evidence(model, x, *context)
    ratios = (draw_many_log_weights(model, x, *context) - evidence).exp()  # (samples, batch)
    mean, error = ratios.mean(dim=0), standard_error(ratios)
    limit = deviations(ratios) * error + slack(evidence)
    reliable = ratios.sum(dim=0).square() / ratios.square().sum(dim=0) >= SAMPLES / 10  # effective number of samples
    wrong = ~(mean - 1 <= limit) | (reliable & ~(1 - mean <= limit))  # a NaN is wrong too
    row = wrong.int().argmax().item()
    require(
        not wrong.any(),
        f"The log of the mean importance weight of row {row} is its evidence {mean[row].log():+.3g} nats: a constant "
        "or a term is missing in log_weights, or log_evidence is not that of this model.",
    )


def check_posterior(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """Bayes' rule: log p(z) + log p(x | z) − log p(z | x) is the evidence, at any z."""
    evidence = exact_evidence(model, x, *context)
    with evaluation_mode(model), own_random_numbers(x.device, 0):
        posterior = call_with_context(model.posterior, x, context=context)
        z = posterior.sample()
        log_prior = call_with_context(model.p_z, context=context).log_prob(z)
        log_likelihood = call_with_context(model.p_x_given_z, z, context=context).log_prob(x)
        for name, value in (("p_z", log_prior), ("p_x_given_z", log_likelihood)):
            require_values(f"{name}'s log_prob", value, (len(x),))
        worst = (log_prior + log_likelihood - posterior.log_prob(z) - evidence).abs().max().item()
    require(
        worst <= rounding(evidence),
        f"log p(z) + log p(x | z) − log p(z | x) differs from the evidence by up to {worst:.3g} nats: posterior or "
        "log_evidence is not that of p_z and p_x_given_z.",
    )


Check = Callable[..., None]

CHECKS: tuple[Check, ...] = (
    check_supports,
    check_distributions,
    check_shapes,
    check_number_format,
    check_parameters,
    check_reconstruction_reaches_inference,
    check_elbo_reaches_generative,
    check_terms_add_up,
    check_elbo_is_mean_log_weight,
    check_num_samples,
    check_seeds,
    check_saves_and_loads,
    check_updates,
    check_sample,
)
"""For every model, in an order in which the first that fails is nearest to the cause."""

EXACT_CHECKS: tuple[Check, ...] = (check_elbo_below_evidence, check_weights_average_to_evidence, check_posterior)
"""For models with an exact ``log_evidence``, the last for those with an exact ``posterior`` too."""
