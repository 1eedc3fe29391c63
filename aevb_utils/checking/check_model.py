"""The contract for a model of your own, in one call: every check on it, a line each, and what a failure comes from.

The checks are those of :mod:`aevb_utils.checking.contract`, and more that compare the model with its own distributions:
the terms of the ELBO (:mod:`~aevb_utils.checking.terms`), a row alone and in company
(:mod:`~aevb_utils.checking.company`), and what ``sample`` draws (:mod:`~aevb_utils.checking.sampling`).
"""

import inspect
import textwrap
from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import LogisticNormal

from aevb_utils.checking import contract
from aevb_utils.checking.arguments import arguments_validated, check_arguments
from aevb_utils.checking.company import check_company
from aevb_utils.checking.comparisons import beyond_context, draws_shared, innermost, numbers_in_all
from aevb_utils.checking.console import say
from aevb_utils.checking.places import is_the_readers_error
from aevb_utils.checking.progress import progress, set_aside
from aevb_utils.checking.sampling import check_draws
from aevb_utils.checking.stopped import same_stop, what_stopped
from aevb_utils.checking.structure import distributions_of
from aevb_utils.checking.terms import check_log_weights, check_other_terms, check_reconstruction
from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers

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

Check = Callable[..., None]


def check_model(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """Check that a model keeps the book's contract: print a line for each check that holds, then raise what failed.

    A line is ✓ and what holds; in the error it is ✗, what should hold and a hint that names the likely cause, or
    several where they explain the numbers equally well. A failure often makes later checks fail too: begin with the
    first. One cause is told once: what is wrong with a distribution as such (it is not wrapped in ``Independent``, has
    no support, …), before any check; after a failure of one of the first three, no other is made; what stops several
    checks in the same line of the model is told for the first. Errors of the model's own code come with that line.

    Where the model has ``log_evidence``, or ``posterior`` as well, the checks against the exact answer are made too. A
    model whose ``p_z`` needs more than the context, such as the state of a recurrent network, has no distribution of a
    whole datum's latent: the checks that need one are left out, and a line that begins with – says so, as it does
    where x is a single row. Another such line names the parameters that are frozen (``requires_grad`` is False), which
    need no gradient. Torch's global generator and the model are left as they were.

    It takes about a second for a few small rows. A bar shows the time that is left where it takes longer, as for
    thousands of numbers in x, a slow ``sample``, or an exact evidence, to which 10,000 samples for each row are
    compared.

    Args:
        model: has ``p_z``, ``p_x_given_z``, ``q_z_given_x``, ``elbo_terms``, ``elbo``, ``log_weights``, ``sample``,
            ``generative_parameters`` and ``inference_parameters``.
        x: a few rows of data, shape (batch, …), at least two and better eight, of all kinds that occur.
        context: what the model asks for besides x (labels, the datum's index, a mask), as many rows each.

    Raises:
        AssertionError: a check fails; the message names all that do.
        TypeError: the model is no ``nn.Module``, x or its context no tensor, or x in another format than the model.
        ValueError: x or its context has no row, a NaN or an infinite value, or is on another device than the model; or
            its context has another number of rows.
    """
    check_arguments(model, x, context)
    missing = [name for name in NEEDED if not callable(getattr(model, name, None))]
    if missing:
        raise AssertionError(f"✗ The model has no {', '.join(missing)}: write them first; every check needs them.")
    checks = (*CHECKS, *_exact_checks(model))
    if beyond := beyond_context(model, context):
        checks = tuple(check for check in checks if check not in OF_A_WHOLE_DATUM)
        say(_wrap(f"– skipped: p_z needs {', '.join(beyond)}, {SKIPPED}"))
    if len(x) == 1:
        checks = tuple(check for check in checks if check is not check_company)
        say(_wrap(ONE_ROW))
    if frozen := [name for name, parameter in model.named_parameters() if not parameter.requires_grad]:
        say(_wrap(f"– skipped: {', '.join(frozen)}, {FROZEN}"))
    with arguments_validated(), draws_shared():
        _look_first(model, x, context, whole=not beyond)
        with progress(numbers_in_all(x, exact=hasattr(model, "log_evidence"))):
            _make(checks, model, x, context)
    say(f"All {len(checks)} checks hold.")


def _look_first(model: nn.Module, x: Tensor, context: tuple[Tensor, ...], *, whole: bool) -> None:
    """Refuse distributions that are none, or not one for each row, and what stops at once; say what will surprise."""
    with evaluation_mode(model), own_random_numbers(x.device, 0):
        try:
            if whole:
                q = distributions_of(model, x, context).q
            model.elbo_terms(x, *context, num_samples=2)
            model.log_weights(x, *context, num_samples=2)
            if whole and type(innermost(q)) is LogisticNormal:
                say(_wrap(NO_MEAN))
            return
        except Exception as error:  # the reader's code may raise anything: it is shown
            if "within the support" in str(error):
                return  # the check of the supports says more
            ours = isinstance(error, AssertionError) and not is_the_readers_error(error)
            wrong = str(error) if ours else f"The model stopped with {what_stopped(error, model)}."
    raise AssertionError(f"No check can be made before this is mended.\n{_wrap(f'✗ {wrong}')}")


def _make(checks: tuple[Check, ...], model: nn.Module, x: Tensor, context: tuple[Tensor, ...]) -> None:
    """Make the checks, print a line for each that holds, and raise one for each cause why others do not."""
    causes: dict[object, str] = {}
    failed = 0
    for number, check in enumerate(checks, start=1):
        claim = inspect.getdoc(check).splitlines()[0].replace("``", "").rstrip(".")
        cause, wrong = _failure(check, model, x, context)
        if cause is None:
            with set_aside():
                say(_wrap(f"✓ {claim}"))
            continue
        failed += 1
        causes.setdefault(cause, _wrap(f"✗ {claim}. → {wrong}"))
        if check in FOUNDATIONS and number < len(checks):
            rest = f"the {len(checks) - number} after it need what it looks at, and are not made"
            raise AssertionError("\n".join([f"1 of {len(checks)} checks fails; {rest}.", *causes.values()]))
    if failed:
        reasons = f", for {len(causes)} reason{'s' * (len(causes) > 1)}" if len(causes) < failed else ""
        count = f"{failed} of {len(checks)} checks fail{reasons}"
        raise AssertionError("\n".join([f"{count}; the first is nearest to the cause.", *causes.values()]))


def _failure(check: Check, model: nn.Module, x: Tensor, context: tuple[Tensor, ...]) -> tuple[object, str]:
    """Make a check: what tells its failure from one of another cause, and what to say of it; None if it holds."""
    try:
        check(model, x, *context)
    except Exception as error:  # the reader's code may raise anything: it is shown
        if isinstance(error, AssertionError) and not is_the_readers_error(error):
            return str(error), str(error)
        return same_stop(error), f"It stopped with {what_stopped(error, model)}."
    return None, ""


def _wrap(line: str) -> str:
    """A line broken at the width of a page."""
    return textwrap.fill(line, WIDTH, subsequent_indent="    ", break_long_words=False)


FORMAT = contract.CHECKS.index(contract.check_number_format)
GRADIENTS = contract.CHECKS.index(contract.check_reconstruction_reaches_inference)
CHECKS: tuple[Check, ...] = (
    *contract.CHECKS[:FORMAT],
    check_company,
    *contract.CHECKS[FORMAT:GRADIENTS],
    check_reconstruction,
    check_other_terms,
    check_log_weights,
    *contract.CHECKS[GRADIENTS:],
    check_draws,
)
"""In an order in which the first that fails is nearest to the cause."""

FOUNDATIONS: tuple[Check, ...] = (contract.check_supports, contract.check_distributions, contract.check_shapes)
"""Those without which no other one can be made."""
OF_A_WHOLE_DATUM: tuple[Check, ...] = (
    contract.check_supports,
    contract.check_distributions,
    check_reconstruction,
    check_other_terms,
    check_log_weights,
    check_draws,
    contract.check_posterior,
)
"""Those that call ``p_z``, ``p_x_given_z`` and ``q_z_given_x`` for a whole datum."""
ONE_ROW = "– skipped: x is a single row, so that a row cannot be compared with the same row in company; give eight"
NO_MEAN = (
    "– q_z_given_x is a LogisticNormal, which has no mean in torch: take that of samples, as "
    "q.sample((1000,)).mean(dim=0)"
)
FROZEN = "frozen on purpose (requires_grad is False), so that no gradient and no step is asked of it"
SKIPPED = (
    "more than the context that elbo_terms takes (a state?), so that the terms of the ELBO cannot be recomputed from "
    "p_z, p_x_given_z and q_z_given_x, nor their supports and samples compared"
)


def _exact_checks(model: nn.Module) -> tuple[Check, ...]:
    """The checks against the exact evidence and posterior, as far as the model has them."""
    if not hasattr(model, "log_evidence"):
        return ()
    return tuple(
        check for check in contract.EXACT_CHECKS if check is not contract.check_posterior or hasattr(model, "posterior")
    )
