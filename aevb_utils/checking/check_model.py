"""The contract for a model of your own, in one call: every check on it, a line each, and what a failure comes from.

The checks are those of :mod:`aevb_utils.checking.contract`, and three more that recompute the terms of the ELBO from
the model's own distributions, so that they can say *how* a term is wrong.
"""

import copy
import inspect
import math
import textwrap
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aevb_utils.checking import contract
from aevb_utils.checking.comparisons import REPEATS as ELBOS
from aevb_utils.checking.comparisons import STANDARD_ERRORS, call, rounding, standard_error
from aevb_utils.evaluation.bounds import check_rows, evaluation_mode, own_random_numbers

__all__ = ["check_model"]

NEEDED = (
    "p_z",
    "p_x_given_z",
    "q_z_given_x",
    "elbo_terms",
    "elbo",
    "log_weights",
    "sample",
    "generative_parameters",
    "inference_parameters",
)
WIDTH = 88
REPEATS = 1000
"""How many samples a datum the terms are recomputed from."""
VISIBLE_KL = 0.05
"""A KL, in nats, below which its sign and scale cannot be told."""
LOG_2PI_HALF = 0.5 * math.log(2 * math.pi)

Check = Callable[..., None]


class Terms(NamedTuple):
    """Draws of the two parts of the ELBO, (draws, batch) each, in nats."""

    reconstruction: Tensor  # log p(x | z)
    minus_kl: Tensor  # log p(z) − log q(z | x)


def check_model(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """Check that a model keeps the book's contract: print a line a check, then raise with all that failed.

    Each line is ✓ and what holds, or ✗, what should hold and a hint that names the likely cause. A failure often makes
    later checks fail too: begin with the first. Where the model has ``log_evidence``, or ``posterior`` as well, the
    checks against the exact answer are made too. A model whose ``p_z`` needs more than the context, such as the state
    of a recurrent network, has no distribution of a whole datum's latent: the checks that need one are left out, and a
    line that begins with – says so. Torch's global generator and the model are left as they were.

    Args:
        model: has ``p_z``, ``p_x_given_z``, ``q_z_given_x``, ``elbo_terms``, ``elbo``, ``log_weights``, ``sample``,
            ``generative_parameters`` and ``inference_parameters``.
        x: a few rows of data, shape (batch, …), at least two and better eight, of all kinds that occur.
        context: what the model asks for besides x (labels, the datum's index), as many rows each.

    Raises:
        AssertionError: a check fails; the message names all that do.
        TypeError: the model is no ``nn.Module``, or x or its context no tensor.
        ValueError: x is empty, or its context has another number of rows.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"The model must be a torch.nn.Module, not a {type(model).__name__}.")
    if not all(isinstance(part, Tensor) for part in (x, *context)):
        raise TypeError("x and its context must be tensors: torch.as_tensor makes one of an array or a list.")
    check_rows((x, *context), "x and its context")
    missing = [name for name in NEEDED if not callable(getattr(model, name, None))]
    if missing:
        raise AssertionError(f"✗ The model has no {', '.join(missing)}: write them first; every check needs them.")
    checks = (*CHECKS, *_exact_checks(model))
    if beyond := _beyond_context(model, context):
        checks = tuple(check for check in checks if check not in OF_A_WHOLE_DATUM)
        print(_wrap(f"– skipped: p_z needs {', '.join(beyond)}, {SKIPPED}"))
    failures = [line for check in checks if (line := _run(check, model, x, *context)) is not None]
    if failures:
        count = f"{len(failures)} of {len(checks)} checks fail"
        raise AssertionError("\n".join([f"{count}; the first is nearest to the cause.", *failures]))
    print(f"All {len(checks)} checks hold.")


def _beyond_context(model: nn.Module, context: tuple[Tensor, ...]) -> list[str]:
    """The names of what ``p_z`` needs and ``elbo_terms`` does not take, such as the state of a recurrent network."""
    needed = [
        name
        for name, parameter in inspect.signature(model.p_z).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    taken = inspect.signature(model.elbo_terms).parameters
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in taken.values()):
        return needed[len(context) :]
    return [name for name in needed if name not in taken]


def _run(check: Check, model: nn.Module, x: Tensor, *context: Tensor) -> str | None:
    """Make a check and print its line; return it if the check fails."""
    claim = inspect.getdoc(check).splitlines()[0].replace("``", "").rstrip(".")
    try:
        check(model, x, *context)
    except AssertionError as error:
        line = f"✗ {claim}. → {error}"
    except Exception as error:  # the reader's code may raise anything: it is shown
        line = f"✗ {claim}. → It stopped with {type(error).__name__}: {_first_line(error)}"
    else:
        print(_wrap(f"✓ {claim}"))
        return None
    print(_wrap(line))
    return _wrap(line)


def _first_line(error: Exception) -> str:
    """What an exception says, cut to a line."""
    lines = str(error).splitlines() or ["no message."]
    return textwrap.shorten(lines[0], 200)


def _wrap(line: str) -> str:
    """A line broken at the width of a page."""
    return textwrap.fill(line, WIDTH, subsequent_indent="    ", break_long_words=False)


def check_reconstruction(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The term ``reconstruction`` is E_q[log p(x | z)], recomputed from p_x_given_z and q_z_given_x."""
    ours, theirs = _recomputed(model, x, *context), _estimated(model, x, *context)
    _require_same("The term 'reconstruction'", theirs.reconstruction, ours.reconstruction, _sizes(model, x, *context))


def check_other_terms(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The other terms add up to −KL(q ‖ p(z)), recomputed from p_z and q_z_given_x."""
    model = _with_visible_kl(model, x, *context)
    ours, theirs = _recomputed(model, x, *context), _estimated(model, x, *context)
    _require_same(
        "What elbo_terms holds besides 'reconstruction', minus the KL,",
        theirs.minus_kl,
        ours.minus_kl,
        _sizes(model, x, *context),
        at_most=_has_more_latents(model, x, *context),
    )


def check_log_weights(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The mean of ``log_weights`` is E_q[log p(x | z) + log p(z) − log q(z | x)], recomputed."""
    ours = _recomputed(model, x, *context)
    with evaluation_mode(model), own_random_numbers(x.device, 1):
        theirs = model.log_weights(x, *context, num_samples=REPEATS)
    sizes = _sizes(model, x, *context)
    ours = ours.reconstruction + ours.minus_kl
    at_most = _has_more_latents(model, x, *context)
    _require_same("The mean of log_weights", theirs, ours, sizes, at_most=at_most)


BEFORE = contract.CHECKS.index(contract.check_terms_add_up)
CHECKS: tuple[Check, ...] = (
    *contract.CHECKS[:BEFORE],
    check_reconstruction,
    check_other_terms,
    check_log_weights,
    *contract.CHECKS[BEFORE:],
)
"""In an order in which the first that fails is nearest to the cause."""

OF_A_WHOLE_DATUM: tuple[Check, ...] = (
    contract.check_supports,
    contract.check_distributions,
    check_reconstruction,
    check_other_terms,
    check_log_weights,
    contract.check_posterior,
)
"""Those that call ``p_z``, ``p_x_given_z`` and ``q_z_given_x`` for a whole datum."""
SKIPPED = (
    "more than the context that elbo_terms takes (a state?), so that the terms of the ELBO cannot be recomputed from "
    "p_z, p_x_given_z and q_z_given_x, nor their supports compared"
)


def _exact_checks(model: nn.Module) -> tuple[Check, ...]:
    """The checks against the exact evidence and posterior, as far as the model has them."""
    if not hasattr(model, "log_evidence"):
        return ()
    return tuple(
        check for check in contract.EXACT_CHECKS if check is not contract.check_posterior or hasattr(model, "posterior")
    )


def _recomputed(model: nn.Module, x: Tensor, *context: Tensor) -> Terms:
    """The ELBO's parts at samples of q, from the model's three distributions alone."""
    parts = []
    with evaluation_mode(model), own_random_numbers(x.device, 2):
        q = model.q_z_given_x(x, *context)
        p_z = call(model.p_z, context=context)
        for _ in range(REPEATS):
            z = q.sample()
            p_x = call(model.p_x_given_z, z, context=context)
            parts.append((p_x.log_prob(x), p_z.log_prob(z) - q.log_prob(z)))
    return Terms(*(torch.stack(part) for part in zip(*parts, strict=True)))


def _estimated(model: nn.Module, x: Tensor, *context: Tensor) -> Terms:
    """The ELBO's parts as the model's own elbo_terms estimates them."""
    parts = []
    with evaluation_mode(model), own_random_numbers(x.device, 3):
        for _ in range(ELBOS):
            terms = model.elbo_terms(x, *context, num_samples=4)
            reconstruction = terms["reconstruction"]
            others = [term for name, term in terms.items() if name != "reconstruction"]
            parts.append((reconstruction, sum(others, torch.zeros_like(reconstruction))))
    return Terms(*(torch.stack(part) for part in zip(*parts, strict=True)))


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
    minus_kl = _recomputed(model, x, *context).minus_kl.mean(dim=1)  # (draws,)
    error = standard_error(minus_kl)
    return -minus_kl.mean().item() > max(VISIBLE_KL, 2 * STANDARD_ERRORS * error.item())


def _has_more_latents(model: nn.Module, x: Tensor, *context: Tensor) -> bool:
    """Whether the ELBO has several KLs: z is not the only latent, as in a mixture of which the class is summed out.

    Then they add up to the KL of all latents, and that is at least the KL of z alone (the chain rule of the KL).
    """
    with evaluation_mode(model), own_random_numbers(x.device, 5):
        return sum(name.startswith("minus_kl") for name in model.elbo_terms(x, *context)) > 1


def _sizes(model: nn.Module, x: Tensor, *context: Tensor) -> dict[str, int]:
    """The numbers by which a term may have been divided by mistake."""
    with evaluation_mode(model), own_random_numbers(x.device, 5):
        z = model.q_z_given_x(x, *context).sample()
    return {"dimensions of x": x[0].numel(), "dimensions of z": z[0].numel(), "rows of the batch": len(x)}


def _require_same(name: str, theirs: Tensor, ours: Tensor, sizes: dict[str, int], *, at_most: bool = False) -> None:
    """Both sets of draws, (draws, batch) each, have the same means; otherwise say in which way they differ.

    With ``at_most``, theirs may also be lower.
    """
    if _same_means(theirs, ours, at_most=at_most):
        return
    difference = theirs.mean(dim=0) - ours.mean(dim=0)  # (batch,)
    if _same_means(-theirs, ours):
        cause = "has the wrong sign. The ELBO is the reconstruction minus the KL"
    elif divided := [what for what, n in sizes.items() if n > 1 and _same_means(theirs * n, ours)]:
        cause = f"is a mean over the {divided[0]} where the sum is meant: it is too small by their number"
    elif multiplied := [what for what, n in sizes.items() if n > 1 and _same_means(theirs / n, ours)]:
        cause = f"is too large by the number of {multiplied[0]}: is something summed, or counted, that often?"
    elif len(difference) > 1 and _same_means(theirs - difference.mean(), ours):
        cause = _constant(difference.mean().item())
    else:
        worst = difference.abs().argmax()
        cause = (
            f"is off by {difference[worst]:+.3g} nats in row {worst.item()}, and by other amounts in other rows: look "
            "for a part that is missing or counted twice, or for a variance taken for a standard deviation"
        )
    raise AssertionError(f"{name} {cause}.")


def _constant(difference: float) -> str:
    """What to say about a term that is off by the same number in every row."""
    times = difference / LOG_2PI_HALF
    known = f", which is {times:+.0f} · ½ log 2π" if abs(times - round(times)) < 0.1 and round(times) else ""
    return (
        f"is off by the same {difference:+.3g} nats in every row{known}: a constant was dropped (½ log 2π for each "
        "dimension of a Gaussian, log x! of a Poisson or binomial, the log of a prior weight)"
    )


def _same_means(first: Tensor, second: Tensor, *, at_most: bool = False) -> bool:
    """Whether two sets of draws have the same mean for each datum, and over all data, up to their standard errors.

    With ``at_most``, the first may also be lower.
    """
    pairs = ((first, second), (first.mean(dim=1, keepdim=True), second.mean(dim=1, keepdim=True)))
    for one, two in pairs:
        error = (standard_error(one).square() + standard_error(two).square()).sqrt()
        limit = STANDARD_ERRORS * error + rounding(two)
        difference = one.mean(dim=0) - two.mean(dim=0)
        if not bool(((difference if at_most else difference.abs()) <= limit).all()):
            return False
    return True
