"""What a method of a model takes of the context.

A label belongs to p(z | y) too, a datum's index only to q(z | x).
"""

import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache

from torch import Tensor
from torch.distributions import Distribution

from aevb_utils.inputs import check_count


def signature(function: Callable[..., object]) -> inspect.Signature:
    """A function's signature, looked up once for a method: training asks often."""
    inner = getattr(function, "__func__", None)
    return inspect.signature(function) if inner is None else _of_method(inner)


@lru_cache(maxsize=256)
def _of_method(function: Callable[..., object]) -> inspect.Signature:
    return inspect.signature(function.__get__(object()))


def takes(function: Callable[..., object], *arguments: object, **options: object) -> bool:
    """Whether a function can be called so."""
    try:
        signature(function).bind(*arguments, **options)
    except TypeError:
        return False
    return True


def takes_all(function: Callable[..., object]) -> bool:
    """Whether a function takes any number of arguments."""
    parameters = signature(function).parameters.values()
    return any(each.kind is each.VAR_POSITIONAL for each in parameters)


def call_with_context(
    function: Callable[..., object], *arguments: object, context: Iterable[Tensor]
) -> object:
    """Call a model's method with those parts of the context that it takes.

    They are found by the names that they have in the model's ``elbo_terms``, or, if it has
    none for them (``*context``), in its ``q_z_given_x``. Where these are not the method's,
    it gets all of them, or, if it does not take so many, none.

    Raises:
        TypeError: it needs more, such as the state of a recurrent network.
    """
    context = tuple(context)
    if not context:
        return function(*arguments)
    named = _named(function, context)
    if named and takes(function, *arguments, **named):
        return function(*arguments, **named)
    if takes(function, *arguments, *context):
        return function(*arguments, *context)
    return function(*arguments, **({} if takes(function, *arguments) else named))


def draw_latents(p_z: Distribution, n: int, *context: Tensor) -> Tensor:
    """Draw n rows of z from a prior that is one for all, or one for each row of a context.

    Raises:
        ValueError: n is less than 1, or a part of the context has another number of rows.
    """
    check_count("n", n)
    rows = [len(part) for part in context]
    if any(each != n for each in rows):
        raise ValueError(
            f"To draw {n} rows, each part of the context must have {n} rows, but they "
            f"have {rows}."
        )
    return p_z.sample(() if context and p_z.batch_shape == (n,) else (n,))


def names_of_context(model: object) -> list[str]:
    """What the model itself calls the parts of the context, if it has names for them."""
    for name in ("elbo_terms", "q_z_given_x"):
        function = getattr(model, name, None)
        if callable(function) and not takes_all(function):
            taken = signature(function).parameters.values()
            return [each.name for each in taken if each.kind is not each.KEYWORD_ONLY][1:]
    return []


def _named(
    function: Callable[..., object], context: tuple[Tensor, ...]
) -> dict[str, Tensor]:
    """The parts of the context whose names the method has too."""
    names = names_of_context(getattr(function, "__self__", None))
    known = signature(function).parameters
    return {
        name: part for name, part in zip(names, context, strict=False) if name in known
    }
