"""A row alone and the same row among others: what a model says of a datum may not depend on the rest of its batch."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from aevb_utils.checking.comparisons import (
    beyond_context,
    deviations,
    differently_drawn,
    how_many,
    repeated,
    require,
    require_values,
    slack,
    standard_error,
)
from aevb_utils.checking.progress import looked_at
from aevb_utils.checking.recomputed import draw
from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers
from aevb_utils.evaluation.contexts import call_with_context

ROWS_ALONE = 8
"""How many rows are looked at one at a time."""
CALLS_ALONE = 40
"""How often the terms of a single row are drawn."""
WHERE = {"q(z | x)": "the encoder", "p(x | z)": "the decoder", "p(z)": "the prior"}
BATCH = (
    "does it use the batch's mean or another statistic of it (BatchNorm that is never in evaluation mode), a softmax "
    "or a norm over the batch's dimension, a mean over the rows, or their number?"
)


def check_company(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """A row has the same q(z | x), p(x | z) and terms of the ELBO alone as in the company of other rows."""
    try:
        _check_company(model, x, *context)
    except AssertionError as error:
        if x.dtype == torch.float64 or not _holds_in_float64(model, x, *context):
            raise
        raise AssertionError(
            f"By rounding alone (in float64 it is not so): {str(error).split(': ')[0]}. Standardize x, or compute in "
            "float64."
        ) from error


def _holds_in_float64(model: nn.Module, x: Tensor, *context: Tensor) -> bool:
    """Whether a copy of the model in float64 passes; not, if it cannot be called so."""
    parts = [part.cpu() for part in (x, *context)]  # not every device has float64
    parts = [part.double() if part.is_floating_point() else part for part in parts]
    try:
        _check_company(copy.deepcopy(model).cpu().double(), *parts)
    except (AssertionError, RuntimeError, TypeError, ValueError):  # what is said then is the first error
        return False
    return True


def _check_company(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The check, in whatever number format."""
    if not beyond_context(model, context):
        _check_distributions(model, x, *context)
    _check_others_changed(model, x, *context)
    _check_alone(model, x, *context)


def _check_distributions(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The densities at one z a datum, for all rows together and one at a time."""
    with evaluation_mode(model), own_random_numbers(x.device, 6):
        z = draw(model.q_z_given_x(x, *context))
        together, again = (_densities(model, z, x, context) for _ in range(2))
        parts = [(z[i : i + 1], x[i : i + 1], [part[i : i + 1] for part in context]) for i in range(len(x))]
        alone = [_densities(model, *part) for part in parts[:ROWS_ALONE]]
    for name, values in together.items():
        require(
            bool(((values - again[name]).abs() <= slack(values)).all()),
            f"{name} is another when it is computed twice, in evaluation mode: is there dropout without "
            f"training=self.training, or another source of random numbers, in {WHERE[name]}?",
        )
        single = torch.cat([each[name] for each in alone])
        off = (values[: len(single)] - single).abs()
        row = off.argmax().item()
        require(
            bool((off <= slack(values)).all()),
            f"{name} of row {row} is another alone than in the batch: its log density is {single[row]:.4g} alone and "
            f"{values[row]:.4g} in company. Look at {WHERE[name]}: {BATCH}"
            + (_own_rows(model, x) if name == "q(z | x)" else ""),
        )


def _own_rows(model: nn.Module, x: Tensor) -> str:
    """What to say of a parameter with as many rows as the batch, if there is one."""
    own = [name for name, value in model.named_parameters(recurse=False) if value.shape[:1] == (len(x),)]
    return f" Or is {own[0]}, of as many rows, meant as {own[0]}[i], for a context i, the row's index?" if own else ""


def _densities(model: nn.Module, z: Tensor, x: Tensor, context: Iterable[Tensor]) -> dict[str, Tensor]:
    """The three log densities at z, (batch,) each."""
    context = tuple(context)
    values = {
        "q(z | x)": model.q_z_given_x(x, *context).log_prob(z),
        "p(x | z)": call_with_context(model.p_x_given_z, z, context=context).log_prob(x),
        "p(z)": call_with_context(model.p_z, context=context).log_prob(z),
    }
    for name, value in values.items():
        require_values(f"The log density of {name}", value, (len(x),))
    return values


def _check_others_changed(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The terms of a row stay where every other row of the batch is replaced by a copy."""
    times = how_many(x, most=100)
    rows = torch.arange(len(x))
    before = _values(model, repeated((x, *context), times), len(x))
    for kept in (0, 1):
        index = torch.where(rows % 2 == kept, rows, kept).to(x.device)
        after = _values(model, repeated([part[index] for part in (x, *context)], times), len(x))
        for name, values in before.items():
            difference = (after[name] - values)[:, kept::2]
            limit = deviations(difference) * standard_error(difference) + slack(values)
            off = difference.mean(dim=0).abs() - limit
            row = off.argmax().item()
            require(
                bool((off <= 0).all()),
                f"{name} of row {kept + 2 * row} changes by {difference.mean(dim=0)[row]:+.3g} nats when other rows of "
                f"the batch do: {BATCH}",
            )


def _check_alone(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """The terms of the first row are drawn alike in a batch of its own."""
    first = [part[:1] for part in (x, *context)]
    with evaluation_mode(model), own_random_numbers(x.device, 7):
        draws = [model.elbo_terms(*first, num_samples=1) for _ in range(CALLS_ALONE)]
    company = _values(model, repeated((x, *context), how_many(x, most=200)), len(x))
    for name in draws[0]:
        alone = torch.cat([each[name].reshape(1, 1) for each in draws])
        among = company[f"elbo_terms' {name!r}"][:, :1]
        if not differently_drawn(alone, among).any():
            continue
        one, other = alone.mean().item(), among.mean().item()
        times = one / other if other else 0.0
        rows = how_many(x, most=200) * len(x)
        if abs(times / rows - 1) < 0.1:
            cause = "it is a mean over the rows of the batch where the sum is meant, too small by their number"
        else:
            cause = BATCH
        raise AssertionError(
            f"elbo_terms' {name!r} of row 0 is {one:.4g} nats alone and {other:.4g} in a batch of {rows} rows: {cause}"
            + ("" if cause.endswith("?") else ".")
        )


def _values(model: nn.Module, rows: tuple[Tensor, ...], size: int) -> dict[str, Tensor]:
    """The terms and the log weight of each row, from the same random numbers every time, (draws, size) each."""
    with evaluation_mode(model), own_random_numbers(rows[0].device, 8):
        terms = {f"elbo_terms' {name!r}": term for name, term in model.elbo_terms(*rows, num_samples=1).items()}
        log_weights = model.log_weights(*rows, num_samples=1)
    looked_at(rows[0], 2)
    require_values("log_weights", log_weights, (1, len(rows[0])))
    for name, value in terms.items():
        require_values(name, value, (len(rows[0]),))
    return {name: value.reshape(-1, size) for name, value in (terms | {"log_weights": log_weights[0]}).items()}
