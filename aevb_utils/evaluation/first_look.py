"""Whether a model and data fit: looked at once, before a training or an evaluation.

What would give a wrong number in silence is refused: p(x | z) of another shape than x,
which would be broadcast, and values of x where it has no density. What only *looks* wrong,
such as NaN that may be holes, is tried on a few rows: it is refused, with the likely
cause, if the model cannot do with it.
"""

import inspect
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from aevb_utils.evaluation.contexts import call_with_context, takes, takes_all
from aevb_utils.evaluation.modes import evaluation_mode, own_random_numbers
from aevb_utils.evaluation.rows import part_names

FEW = 100
"""How many rows the model is tried on; all where torch's own checks are turned off."""


def check_data(
    model: object, method: str, parts: tuple[Tensor, ...], name: str = "data"
) -> None:
    """Refuse x, or x and its context, that the model cannot be fitted to or evaluated on.

    The model is called in evaluation mode, without gradients, with random numbers of its
    own: no number that is computed afterwards depends on it. p(x | z) is looked at where
    ``q_z_given_x`` and ``p_x_given_z`` take the context that ``elbo_terms`` takes (a
    recurrent network's need a state), and its values where it was not built with
    ``validate_args=False`` on purpose.

    Args:
        model: has ``method``.
        method: what will be called with ``num_samples``, ``"elbo_terms"`` or
            ``"log_weights"``.
        parts: x and its context, the same number of rows each.
        name: what errors call them.

    Raises:
        ValueError: with what does not fit, where, and what to do.
    """
    with evaluation_mode(model), own_random_numbers(parts[0].device, 0):
        few = tuple(part[:FEW] for part in parts)
        _check_call(model, method, few)
        _check_missing(model, method, parts, name)
        guarded = Distribution._validate_args  # not: python -O, or turned off for all
        for batch in [few] if guarded else _blocks(parts):
            found = _check_likelihood(model, parts[0], *batch)
            if not found and not guarded:
                _check_guarded(model, method, batch)


def number_format(model: object) -> torch.dtype | None:
    """That of the model's parameters, if it has any of which this can be told."""
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    formats = (parameter.dtype for parameter in parameters)
    return next((each for each in formats if each.is_floating_point), None)


def _blocks(parts: tuple[Tensor, ...]) -> Iterable[tuple[Tensor, ...]]:
    """The rows, a few at a time."""
    return zip(*(part.split(FEW) for part in parts), strict=True)


def _values(model: object, method: str, batch: Sequence[Tensor]) -> list[Tensor]:
    """What the method gives for one sample."""
    values = getattr(model, method)(*batch, num_samples=1)
    return list(values.values()) if isinstance(values, dict) else [values]


# A call that cannot be


def _check_call(model: object, method: str, batch: tuple[Tensor, ...]) -> None:
    """The method takes x and so many parts of context, in their number format.

    What looks wrong is tried; an error that has another cause is left to the call in
    earnest, which follows.
    """
    misfit = _other_arguments(model, method, batch), _other_format(model, batch[0])
    if any(misfit):
        try:
            _values(model, method, batch)
        except (TypeError, RuntimeError) as error:
            sentence = misfit[0] if isinstance(error, TypeError) else misfit[1]
            if sentence:
                raise ValueError(sentence) from error


def _other_arguments(model: object, method: str, batch: tuple[Tensor, ...]) -> str | None:
    """What to say where x and its context seem not to be what the model asks for."""
    functions = {method: getattr(model, method)}
    if takes_all(functions[method]) and callable(getattr(model, "q_z_given_x", None)):
        functions["q_z_given_x"] = model.q_z_given_x
    for name, function in functions.items():
        options = {"num_samples": 1} if name == method else {}
        if not takes(function, *batch, **options):
            return (
                f"The data are x and {len(batch) - 1} parts of context, but {name} of "
                f"{type(model).__name__} takes {inspect.signature(function)}: give x, or "
                "the tuple of x and the context that the model asks for, in its order."
            )
    return None


def _other_format(model: object, x: Tensor) -> str | None:
    """What to say where x has another number format than the model."""
    expected = number_format(model)
    if expected in (None, x.dtype):
        return None
    return (
        f"x is {x.dtype} and the model is {expected}: convert one, as by x.to({expected})."
    )


# What is missing


def _check_missing(
    model: object, method: str, parts: tuple[Tensor, ...], name: str
) -> None:
    """Refuse NaN and ∞, unless the model gives numbers for such rows, as for holes."""
    for part, called in zip(parts, part_names(len(parts)), strict=True):
        missing = ~part.isfinite().reshape(len(part), -1)
        for rows in missing.any(dim=1).nonzero()[:, 0].split(FEW):
            if not _has_values(model, method, parts, rows):
                wrong = [i for i in rows if not _has_values(model, method, parts, i[None])]
                where = _where(parts, part, int([*wrong, rows[0]][0]))
                raise ValueError(
                    f"{called} of {name} is {where} ({int(missing.sum())} in all): leave "
                    "these rows out, fill the values in, or take a model that is told by "
                    "a mask what is observed."
                )


def _has_values(
    model: object, method: str, parts: tuple[Tensor, ...], rows: Tensor
) -> bool:
    """Whether the model gives a number for each of some rows (none are no question)."""
    try:
        values = (
            _values(model, method, [part[rows] for part in parts]) if len(rows) else []
        )
    except Exception:  # the model's own checks, or torch's, refuse them: that is an answer
        return False
    return not any(value.isnan().any() for value in values)


def _where(parts: tuple[Tensor, ...], part: Tensor, row: int) -> str:
    """Which value a row has where, if possible one that no mask of this shape hides."""
    missing = ~part[row].isfinite()
    for other in parts:
        if other is not part and other.shape == part.shape:
            observed = missing & other[row].bool()
            missing = observed if observed.any() else missing
    place = missing.nonzero()[0].tolist()
    kind = "column" if len(place) == 1 else "place"
    value = part[(row, *place)].item()
    where = f", {kind} {', '.join(map(str, place))}" if place else ""
    return f"{value} in row {row}{where}"


# p(x | z)


def _check_likelihood(model: object, data: Tensor, x: Tensor, *context: Tensor) -> bool:
    """p(x | z) is a distribution of what x is, and has density at x; False if unknown.

    Where its support is the same for all rows, it has density at all data.
    """
    q, p_x = _distributions(model, x, context)
    if q is None or p_x is None:
        return False
    _check_rows_of_q(q, x)
    _check_shape(p_x, x)
    if not _turned_off_on_purpose(p_x):
        _check_support(p_x, x)
        if data is not x and _is_the_same_for_all(p_x):
            _check_support(p_x, data)
    return True


def _check_guarded(model: object, method: str, batch: tuple[Tensor, ...]) -> None:
    """Torch's own checks, which somebody turned off, find nothing wrong with the data."""
    Distribution.set_default_validate_args(True)
    try:
        _values(model, method, batch)
    except ValueError as error:  # other ones are of the parameters, not of the data
        if any(words in str(error) for words in ("within the support", "event_shape")):
            raise
    finally:
        Distribution.set_default_validate_args(False)


def _check_rows_of_q(q: Distribution, x: Tensor) -> None:
    """q(z | x) is a distribution for each datum, or the same one for all of them."""
    swallowed = not q.batch_shape and len(q.event_shape) > 1
    first = q.event_shape[:1] if swallowed else q.batch_shape[:1]
    if first not in ((), (1,), x.shape[:1]) or (swallowed and first == x.shape[:1]):
        raise ValueError(
            f"q(z | x) of {len(x)} data must be one distribution a datum, of a batch "
            f"shape that begins with {len(x)}, but it has the batch shape "
            f"{tuple(q.batch_shape)} and the event shape {tuple(q.event_shape)}."
        )


def _check_shape(p_x: Distribution, x: Tensor) -> None:
    """p(x | z) has a value for each of x's, so that neither is broadcast."""
    whole, D = tuple(p_x.batch_shape + p_x.event_shape), x.ndim - 1  # D: of one datum
    batch, datum = whole[: len(whole) - D], whole[len(whole) - D :]
    fits = datum == x.shape[1:] and batch in ((), (1,), (len(x),))
    if not fits or len(p_x.event_shape) > D:
        raise ValueError(
            f"p(x | z) must be a distribution of x, of the shape {tuple(x.shape)}, but "
            f"its batch and event shapes are {tuple(p_x.batch_shape)} and "
            f"{tuple(p_x.event_shape)}, so that one would be broadcast against the other: "
            "give the decoder as many outputs as x has values (two each for a Gaussian "
            "with scales), and x the shape (N, D)."
        )


def _check_support(p_x: Distribution, x: Tensor) -> None:
    """Every row of x, but for those with holes, is one that p(x | z) can have."""
    try:
        support = p_x.support
    except NotImplementedError:
        return
    holes = x.isnan().reshape(len(x), -1).any(dim=1)
    wrong = ~support.check(x).reshape(len(x), -1).all(dim=1) & ~holes
    if wrong.any():
        index = int(wrong.nonzero()[0])
        row = x[index]
        kind = type(getattr(p_x, "base_dist", p_x)).__name__
        raise ValueError(
            "x has values where p(x | z) has no density: they must be within the support "
            f"of {kind}, {_in_words(support)}, but row {index} goes from {row.min():g} to "
            f"{row.max():g}. Look at the data's scale (0 to 1 or 0 to 255, counts or "
            "fractions, labels from 0 or from 1), or choose another likelihood."
        )


def _is_the_same_for_all(p_x: Distribution) -> bool:
    """Whether a support does not depend on the row, as that of counts up to n_i does."""
    try:
        each = getattr(p_x.support, "base_constraint", p_x.support)
    except NotImplementedError:
        return False
    bounds = (getattr(each, name, 0.0) for name in ("lower_bound", "upper_bound"))
    return all(torch.as_tensor(bound).numel() == 1 for bound in bounds)


def _in_words(support: Constraint) -> str:
    """A support by its kind and bounds."""
    each = getattr(support, "base_constraint", support)
    words = [type(each).__name__.strip("_")]
    if hasattr(each, "lower_bound"):
        words.append(f"from {torch.as_tensor(each.lower_bound).min():g}")
    if hasattr(each, "upper_bound"):
        words.append(f"to {torch.as_tensor(each.upper_bound).max():g}")
    return " ".join(words)


def _turned_off_on_purpose(distribution: Distribution) -> bool:
    """Whether it, or a part of it, was itself built with ``validate_args=False``."""
    own = vars(distribution).get("_validate_args", True)  # not the class's, which is all's
    names = ("base_dist", "component_distribution")  # of Independent, of a mixture
    parts = (getattr(distribution, name, None) for name in names)
    return not own or any(_turned_off_on_purpose(part) for part in parts if part)


def _distributions(
    model: object, x: Tensor, context: tuple[Tensor, ...]
) -> tuple[Distribution | None, Distribution | None]:
    """q(z | x), and p(x | z) at a sample; None where there is none of a whole datum."""
    try:
        q = call_with_context(model.q_z_given_x, x, context=context)
        p_x = call_with_context(model.p_x_given_z, q.sample(), context=context)
    except Exception:  # the call in earnest comes next, and says what is wrong
        return None, None
    return tuple(each if isinstance(each, Distribution) else None for each in (q, p_x))
