"""What must be so before a number can be looked at: three distributions, one for each row, with supports."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torch.distributions import Distribution, Multinomial

from aevb_utils.checking.comparisons import innermost, require_values
from aevb_utils.checking.places import place_of_class, place_of_method
from aevb_utils.evaluation.contexts import call_with_context

SAME = "the prior and q are of one and the same z (a LogisticNormal of L numbers has L + 1 shares)"


class Distributions(NamedTuple):
    """The three distributions of a model at a few rows, and a sample of the first."""

    q: Distribution
    p_z: Distribution
    p_x: Distribution
    z: Tensor


def distributions_of(model: nn.Module, x: Tensor, context: tuple[Tensor, ...]) -> Distributions:
    """The three distributions, if each is one and fits the rows.

    Raises:
        AssertionError: with what is wrong with the first that does not, where it is, and what to do.
    """
    rows = (len(x),)
    q = require_distribution(model.q_z_given_x, model.q_z_given_x(x, *context))
    require_one_a_row(model.q_z_given_x, q, rows)
    _require_support(model.q_z_given_x, q)
    z = q.sample()
    p_z = require_distribution(model.p_z, call_with_context(model.p_z, context=context))
    _require_support(model.p_z, p_z)
    _require_density(model.p_z, p_z, "z", z, rows)
    p_x = require_distribution(model.p_x_given_z, call_with_context(model.p_x_given_z, z, context=context))
    _require_support(model.p_x_given_z, p_x)
    _require_total(model.p_x_given_z, p_x, x)
    _require_density(model.p_x_given_z, p_x, "x", x, rows)
    return Distributions(q, p_z, p_x, z)


def require_distribution(method: Callable[..., object], value: object) -> Distribution:
    """A torch.distributions object."""
    if not isinstance(value, Distribution):
        what = f"returns a {type(value).__name__}" if value is not None else "returns nothing"
        raise AssertionError(f"{called(method)} should return a torch.distributions object, but {what}.")
    return value


def require_one_a_row(method: Callable[..., object], given: Distribution, rows: tuple[int, ...]) -> None:
    """One distribution for each row, with all of a row's numbers in it."""
    has = tuple(given.batch_shape)
    if has == rows:
        return
    if has[:1] == rows:
        raise AssertionError(_not_wrapped(method, given, rows, len(has) - 1))
    what = f"{called(method)} should be one distribution for each row, batch shape {rows}, but has {has}"
    if tuple(given.event_shape)[:1] == rows and not has:
        raise AssertionError(f"{what}: Independent took the rows too; give it the number of dimensions of one row.")
    own = place_of_class(type(innermost(given)))
    cure = "hand it to super().__init__ as batch_shape" if own else "it depends on no row, or was squeezed; expand it"
    raise AssertionError(f"{what}: {cure}.")


def called(method: Callable[..., object]) -> str:
    """A method's name, and where it is if the reader wrote it."""
    return f"{getattr(method, '__name__', type(method).__name__)}{place_of_method(method)}"


def _not_wrapped(method: Callable[..., object], given: Distribution, rows: tuple[int, ...], extra: int) -> str:
    shape = tuple(given.batch_shape)
    return (
        f"{called(method)} is not wrapped in Independent: its batch shape is {shape}, a distribution for each number; "
        f"wrap it in Independent(…, {extra}), which has the batch shape {rows}."
    )


def _require_support(method: Callable[..., object], given: Distribution) -> None:
    """A distribution says which values it can have."""
    try:
        given.support  # noqa: B018 (a property, which torch's own base class leaves to others)
    except NotImplementedError:
        kind = type(innermost(given))
        raise AssertionError(
            f"{kind.__name__}{place_of_class(kind)}, which {called(method)} returns, has no support: give the class a "
            "property `support`, the values that a row can have, such as "
            "constraints.independent(constraints.nonnegative, 1)."
        ) from None


def _require_total(method: Callable[..., object], given: Distribution, x: Tensor) -> None:
    """Torch's multinomial has one total for all rows."""
    base = innermost(given)
    if isinstance(base, Multinomial) and (wrong := (x.sum(dim=-1) != base.total_count).flatten()).any():
        row = int(wrong.nonzero()[0])
        raise AssertionError(
            f"{called(method)} is a Multinomial with the total {base.total_count}, and row {row} of x adds up to "
            f"{x.sum(dim=-1).flatten()[row]:g}: torch's has one total for all rows; where yours differ, write a "
            "distribution of your own, with log_prob(x) = lgamma(n + 1) − Σ lgamma(x + 1) + Σ x log π for n = Σ x."
        )


def _require_density(
    method: Callable[..., object], given: Distribution, of: str, values: Tensor, rows: tuple[int, ...]
) -> None:
    """log_prob gives a number for each row."""
    try:
        density = given.log_prob(values)
    except (RuntimeError, ValueError):
        _require_same_shape(method, given, of, values, rows)
        raise  # x may be outside of the support: that is the next check
    _require_same_shape(method, given, of, values, rows)
    if tuple(getattr(density, "shape", ())) == rows and bool(density.isfinite().all()):
        return
    own = type(innermost(given))
    if own.__module__.startswith("torch.") and tuple(density.shape) == tuple(values.shape):
        raise AssertionError(
            f"{called(method)} is not wrapped in Independent, and is a distribution of single numbers: give it "
            f"parameters of the shape {tuple(values.shape[1:])}, and wrap it in Independent(…, {values.ndim - 1})."
        )
    require_values(f"log_prob of {own.__name__}{place_of_class(own)}, which {called(method)} returns,", density, rows)


def _require_same_shape(
    method: Callable[..., object], given: Distribution, of: str, values: Tensor, rows: tuple[int, ...]
) -> None:
    """Its shapes are those of what it is a distribution of, whole rows of it."""
    datum = tuple(values.shape[1:])
    batch, event = tuple(given.batch_shape), tuple(given.event_shape)
    extra = len(datum) - len(event)
    if extra > 0 and len(batch) >= extra and (batch + event)[-len(datum) :] == datum:
        raise AssertionError(_not_wrapped(method, given, rows if of == "x" else batch[:-extra], extra))
    whole = batch + event
    if not whole and datum and of == "x":
        kind = type(innermost(given))
        raise AssertionError(
            f"{kind.__name__}{place_of_class(kind)}, which {called(method)} returns, does not say its shapes: hand "
            f"batch_shape {rows} and event_shape {datum} to super().__init__."
        )
    fits = whole[len(whole) - len(datum) :] == datum and whole[: len(whole) - len(datum)] in ((), (1,), rows)
    if fits or not whole:
        return
    has, cure = ("x has", "give it as many outputs as a row of x has numbers") if of == "x" else ("z of q has", SAME)
    raise AssertionError(
        f"{called(method)} is a distribution of the shape {whole}, and {has} the shape {tuple(values.shape)}: {cure}."
    )
