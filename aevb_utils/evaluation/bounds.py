"""How good a model is on given data: its ELBO, and the importance-weighted bound."""

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from aevb_utils.distributed.team import team
from aevb_utils.evaluation.devices import Stay
from aevb_utils.evaluation.first_look import check_data, number_format
from aevb_utils.evaluation.modes import evaluation_mode, own_random_numbers
from aevb_utils.evaluation.rows import Values, as_rows
from aevb_utils.inputs import check_count

CHUNK = 20_000
"""How many pairs of a sample and a datum are in memory at once (a datum at least)."""


class HasElboTerms(Protocol):
    """A model whose ELBO can be evaluated."""

    def elbo_terms(
        self, x: Tensor, *context: Tensor, num_samples: int = 1
    ) -> dict[str, Tensor]:
        """The named terms of each datum's ELBO, each of shape (batch,), in nats."""


class HasLogWeights(Protocol):
    """A model whose importance weights can be drawn."""

    def log_weights(self, x: Tensor, *context: Tensor, num_samples: int) -> Tensor:
        """The log of p(x, z) / q(z | x) at samples of q, (num_samples, batch), in nats."""


def minibatches(parts: Sequence[Tensor], size: int) -> Iterator[tuple[Tensor, ...]]:
    """The rows of several tensors together, ``size`` at a time, in order."""
    return zip(*(part.split(size) for part in parts), strict=True)


def check_terms(terms: dict[str, Tensor], rows: int) -> None:
    """Refuse terms of the ELBO that are not a dictionary of one value a datum each.

    Raises:
        ValueError: what ``elbo_terms`` returned for so many rows is something else.
    """
    if not isinstance(terms, dict) or not terms:
        what = "an empty one" if isinstance(terms, dict) else f"a {type(terms).__name__}"
        raise ValueError(
            f"elbo_terms must return a dictionary of named terms, but it returned {what}."
        )
    for name, term in terms.items():
        if getattr(term, "shape", None) != (rows,):
            has = (
                tuple(term.shape)
                if isinstance(term, Tensor)
                else f"the type {type(term).__name__}"
            )
            raise ValueError(
                f"elbo_terms must return one value a datum: {name!r} should have the "
                f"shape ({rows},), but it has {has}."
            )


def elbo_terms(
    model: HasElboTerms, x: Values, *context: Values, num_samples: int = 1, seed: int = 0
) -> dict[str, Tensor]:
    """The named terms of each datum's ELBO, (N,) each, in nats; no gradients, no dropout.

    Args:
        model: has ``elbo_terms``; each of its modules is left in the mode it was in.
        x: data, shape (N, …), as a tensor, an array or a list of rows; they are moved to
            the model's device, or with it to the one that ``compute_on`` chose.
        context: what the model asks for besides x, N rows each.
        num_samples: Monte Carlo samples S a datum.
        seed: of the samples; torch's global generator is left as it was.

    Raises:
        ValueError: num_samples is less than 1, x and its context differ in rows, or they
            do not fit the model (see
            :func:`~aevb_utils.evaluation.first_look.check_data`); or a value is NaN. (−∞
            is a value: that of a datum which the model calls impossible. In another
            format than float64 it may be an overflow: that is said in a warning.)
    """
    num_samples, seed = (
        check_count("num_samples", num_samples),
        check_count("seed", seed, None),
    )
    parts = _checked(model, "elbo_terms", (x, *context))
    with Stay(model, parts) as stay:
        terms = stay.back(estimate(model, stay.there(parts), num_samples, seed))
    for name, term in terms.items():
        _check_values(f"The ELBO's term {name!r}", term)
    return terms


def estimate(
    model: HasElboTerms, parts: tuple[Tensor, ...], num_samples: int = 1, seed: int = 0
) -> dict[str, Tensor]:
    """As :func:`elbo_terms`, for data that have been looked at, whatever comes out."""
    at_once = max(1, CHUNK // num_samples)

    def terms_of(batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        terms = model.elbo_terms(*batch, num_samples=num_samples)
        check_terms(terms, len(batch[0]))
        return terms

    with evaluation_mode(model), own_random_numbers(parts[0].device, seed):
        chunks = [*minibatches(parts, at_once)]
        batches = team().map(terms_of, chunks, model, "elbo_terms", num_samples)
    for terms in batches:
        if terms.keys() != batches[0].keys():
            raise ValueError(
                f"elbo_terms gave {[*batches[0]]} for some rows and {[*terms]} for others."
            )
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def mean_elbo_terms(
    model: HasElboTerms, x: Values, *context: Values, num_samples: int = 1, seed: int = 0
) -> dict[str, Tensor]:
    """The mean over the data of each term of :func:`elbo_terms`, in nats a datum."""
    terms = elbo_terms(model, x, *context, num_samples=num_samples, seed=seed)
    return {name: term.mean() for name, term in terms.items()}


def iwae_bound(
    model: HasLogWeights, x: Values, *context: Values, num_samples: int, seed: int = 0
) -> Tensor:
    r"""The importance-weighted bound of each datum, K = ``num_samples``, in nats, (N,).

    :math:`\mathcal L_K = \log \frac1K \sum_k p(x, z_k) / q(z_k \mid x)` with
    :math:`z_k \sim q(z \mid x)`: at most log p(x) on average, at K = 1 an estimate of the
    ELBO, and tighter the larger K is. At most ``CHUNK`` pairs of a sample and a datum are
    in memory at once, however large K. Several processes, see ``fit``, share the rows: all
    of them call this, and get all bounds. Burda, Grosse & Salakhutdinov (2016).

    Args:
        model: has ``log_weights``; each of its modules is left in the mode it was in.
        x: data, shape (N, …), as a tensor, an array or a list of rows; they are moved to
            the model's device, or with it to the one that ``compute_on`` chose.
        context: what the model asks for besides x, N rows each.
        num_samples: K.
        seed: of the samples; torch's global generator is left as it was.

    Raises:
        ValueError: as in :func:`elbo_terms`.
    """
    num_samples, seed = (
        check_count("num_samples", num_samples),
        check_count("seed", seed, None),
    )
    parts = _checked(model, "log_weights", (x, *context))
    at_once = min(num_samples, CHUNK)
    counts = [min(at_once, num_samples - done) for done in range(0, num_samples, at_once)]

    def bound_of(batch: tuple[Tensor, ...]) -> Tensor:
        sums = [_log_weights(model, batch, k).logsumexp(0) for k in counts]
        return torch.stack(sums).logsumexp(dim=0) - math.log(num_samples)

    with Stay(model, parts) as stay, evaluation_mode(model):
        parts = stay.there(parts)
        with own_random_numbers(parts[0].device, seed):
            chunks = [*minibatches(parts, CHUNK // at_once)]
            bounds = team().map(bound_of, chunks, model, "log_weights", num_samples)
        bound = stay.back(torch.cat(bounds))
    _check_values("The importance-weighted bound", bound)
    return bound


def _checked(model: object, method: str, rows: tuple[Values, ...]) -> tuple[Tensor, ...]:
    """The data as tensors on the model's device, if the model can be evaluated on them."""
    parts = as_rows(rows, "x and its context", number_format(model))
    if isinstance(model, nn.Module):
        device = next(model.parameters(), parts[0]).device
        parts = tuple(part.to(device) for part in parts)
    check_data(model, method, parts)
    return parts


def _log_weights(
    model: HasLogWeights, batch: tuple[Tensor, ...], num_samples: int
) -> Tensor:
    """The log weights of a batch, if there is one for each sample and datum."""
    log_w = model.log_weights(*batch, num_samples=num_samples)
    if log_w.shape != (num_samples, len(batch[0])):
        raise ValueError(
            "log_weights must have the shape (num_samples, batch) = "
            f"{(num_samples, len(batch[0]))}, but has {tuple(log_w.shape)}: sum over the "
            "dimensions of x and z, and keep those two."
        )
    return log_w


def _check_values(name: str, values: Tensor) -> None:
    """NaN is never an answer, and would be one's mean in silence; ∞ may be an overflow."""
    missing = values.isnan()
    if missing.any():
        raise ValueError(
            f"{name} is NaN in row {int(missing.nonzero()[0])} ({int(missing.sum())} rows "
            f"in all): data or parameters are too large for {values.dtype}, or not "
            "numbers themselves; compute in float64, as by model.double() and "
            "x.double(), or look at both."
        )
    infinite = values.isinf()
    if infinite.any() and values.dtype != torch.float64:
        row, count = int(infinite.nonzero()[0]), int(infinite.sum())
        warnings.warn(
            f"{name} is {values[row].item()} in row {row} ({count} rows in all): the "
            f"model calls such data impossible, or {values.dtype} cannot hold the number; "
            "float64 tells which, as by model.double() and x.double().",
            stacklevel=3,
        )
