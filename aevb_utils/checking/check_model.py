"""The contract for a model of your own, in one call: every check on it, a line each, and what a failure comes from.

The checks are those of :mod:`aevb_utils.checking.contract`, and more that compare the model with its own distributions:
the terms of the ELBO (:mod:`~aevb_utils.checking.terms`), a row alone and in company
(:mod:`~aevb_utils.checking.company`), and what ``sample`` draws (:mod:`~aevb_utils.checking.sampling`).
"""

import inspect
import textwrap
from collections.abc import Callable

from torch import Tensor, nn

from aevb_utils.checking import contract
from aevb_utils.checking.arguments import arguments_validated, check_arguments
from aevb_utils.checking.company import check_company
from aevb_utils.checking.comparisons import beyond_context, draws_shared
from aevb_utils.checking.console import say
from aevb_utils.checking.sampling import check_draws
from aevb_utils.checking.terms import check_log_weights, check_other_terms, check_reconstruction

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
    """Check that a model keeps the book's contract: print a line a check, then raise with all that failed.

    Each line is ✓ and what holds, or ✗, what should hold and a hint that names the likely cause, or several where they
    explain the numbers equally well. A failure often makes later checks fail too: begin with the first. Where the model
    has ``log_evidence``, or ``posterior`` as well, the checks against the exact answer are made too. A model whose
    ``p_z`` needs more than the context, such as the state of a recurrent network, has no distribution of a whole
    datum's latent: the checks that need one are left out, and a line that begins with – says so, as it does where x is
    a single row. Torch's global generator and the model are left as they were.

    Args:
        model: has ``p_z``, ``p_x_given_z``, ``q_z_given_x``, ``elbo_terms``, ``elbo``, ``log_weights``, ``sample``,
            ``generative_parameters`` and ``inference_parameters``.
        x: a few rows of data, shape (batch, …), at least two and better eight, of all kinds that occur.
        context: what the model asks for besides x (labels, the datum's index, a mask), as many rows each.

    Raises:
        AssertionError: a check fails; the message names all that do.
        TypeError: the model is no ``nn.Module``, x or its context no tensor, or x in another format than the model.
        ValueError: x has no row, a NaN or an infinite value, or is on another device than the model; or
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
    with arguments_validated(), draws_shared():
        failures = [line for check in checks if (line := _run(check, model, x, *context)) is not None]
    if failures:
        count = f"{len(failures)} of {len(checks)} checks fail"
        raise AssertionError("\n".join([f"{count}; the first is nearest to the cause.", *failures]))
    say(f"All {len(checks)} checks hold.")


def _run(check: Check, model: nn.Module, x: Tensor, *context: Tensor) -> str | None:
    """Make a check and print its line; return it if the check fails."""
    claim = inspect.getdoc(check).splitlines()[0].replace("``", "").rstrip(".")
    try:
        check(model, x, *context)
    except AssertionError as error:
        wrong = str(error)
    except Exception as error:  # the reader's code may raise anything: it is shown
        wrong = f"It stopped with {type(error).__name__}: {_first_line(error)}"
    else:
        say(_wrap(f"✓ {claim}"))
        return None
    line = _wrap(f"✗ {claim}. → {wrong}")
    say(line)
    return line


def _first_line(error: Exception) -> str:
    """What an exception says, cut to a line."""
    lines = str(error).splitlines() or ["no message."]
    return textwrap.shorten(lines[0], 200)


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
