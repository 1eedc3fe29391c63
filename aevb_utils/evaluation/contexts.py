"""What a method of a model takes of the context.

A label belongs to p(z | y) too, a datum's index only to q(z | x).
"""

import inspect
from collections.abc import Callable, Iterable

from torch import Tensor


def takes(function: Callable[..., object], *arguments: object, **options: object) -> bool:
    """Whether a function can be called so."""
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError:
        return False
    return True


def takes_all(function: Callable[..., object]) -> bool:
    """Whether a function takes any number of arguments."""
    parameters = inspect.signature(function).parameters.values()
    return any(each.kind is each.VAR_POSITIONAL for each in parameters)


def call_with_context(
    function: Callable[..., object], *arguments: object, context: Iterable[Tensor]
) -> object:
    """Call a model's method with those parts of the context that it takes.

    They are found by the names that they have in the model's ``elbo_terms``. Where these
    are not the method's, or ``elbo_terms`` has no names for them (``*context``), it gets
    all of them, or, if it does not take so many, none.

    Raises:
        TypeError: it needs more, such as the state of a recurrent network.
    """
    context = tuple(context)
    named = _named(function, context)
    if named and takes(function, *arguments, **named):
        return function(*arguments, **named)
    whole = takes(function, *arguments, *context)
    return function(*arguments, *(context if whole else ()))


def _named(
    function: Callable[..., object], context: tuple[Tensor, ...]
) -> dict[str, Tensor]:
    """The parts of the context whose names in ``elbo_terms`` the method has too."""
    elbo_terms = getattr(getattr(function, "__self__", None), "elbo_terms", None)
    if elbo_terms is None or takes_all(elbo_terms):
        return {}
    taken = inspect.signature(elbo_terms).parameters.values()
    names = [each.name for each in taken if each.kind is not each.KEYWORD_ONLY][1:]
    known = inspect.signature(function).parameters
    return {
        name: part for name, part in zip(names, context, strict=False) if name in known
    }
