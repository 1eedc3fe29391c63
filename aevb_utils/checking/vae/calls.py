"""Calling the reader's code: what a loss asks for, what it returned, and putting values in the place of a part's."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from aevb_utils.checking.vae.outputs import Roles, at, leaves, role_of_name

Call = Callable[..., Any]
ORDER = ("recon", "x", "mu", "t", "z")
"""In which order parts are given where names say nothing."""
OF_MODULES = frozenset(vars(nn.Module()))
"""What every module has, its parameters and buffers among them."""
WRAP = "wrap it, as by loss=lambda recon, x, mu, logvar: my_loss(…)"


def bound(loss: Call, output: Any, roles: Roles, x: Tensor, context: tuple[Tensor, ...]) -> Any:  # noqa: ANN401
    """Call the reader's loss with what its arguments' names ask for.

    A loss with ``*args`` gets all that the model returned, one with a single argument the whole output, one with two
    the output and x. Otherwise names count: ``recon``, ``x``, ``mu``, ``logvar``, ``z``, ``posterior``, and the like.

    Raises:
        TypeError: an argument's meaning cannot be told.
    """
    parameters = _parameters(loss)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return loss(*(output if isinstance(output, tuple | list) else (output,)))
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [each for each in parameters if each.default is each.empty and each.kind in positional]
    named = [each for each in parameters if each.default is each.empty and each.kind is each.KEYWORD_ONLY]
    values = _values(output, roles, x)
    if len(needed) == 1 and not named:
        return loss(output)
    if len(needed) == 2 and not named and len([*leaves(output)]) > 1:
        first_is_x = role_of_name(needed[0].name) == "x" and role_of_name(needed[1].name) != "x"
        return loss(x, output) if first_is_x else loss(output, x)
    given, left = _by_name(needed + named, values)
    rest = [name for name in ORDER if name in values and name not in left]
    extra = list(context)
    for parameter in needed + named:
        if parameter.name not in given:
            if extra and len(rest) < len([each for each in needed if each.name not in given]):
                given[parameter.name] = extra.pop(0)
            elif rest:
                given[parameter.name] = values[rest.pop(0)]
            else:
                raise TypeError(
                    f"The loss asks for {parameter.name!r}, and the model returns nothing that could be it: {WRAP}."
                )
    ordered = [given[each.name] for each in needed]
    return loss(*ordered, **{each.name: given[each.name] for each in named})


def _parameters(loss: Call) -> list[inspect.Parameter]:
    signed = loss.forward if isinstance(loss, nn.Module) else loss
    return list(inspect.signature(signed).parameters.values())


def _values(output: Any, roles: Roles, x: Tensor) -> dict[str, Any]:  # noqa: ANN401
    """What there is to give, by role."""
    values = {name: at(output, path) for name, path in vars(roles).items() if path is not None} | {"x": x}
    if roles.recon is not None and roles.recon_scale is not None and roles.recon[:-1] and not isinstance(output, dict):
        values["recon"] = at(output, roles.recon[:-1])  # the pair of mean and scale, which are returned together
    return values


def _by_name(parameters: list[inspect.Parameter], values: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The arguments whose names say what they are, and which roles these are."""
    given: dict[str, Any] = {}
    taken: set[str] = set()
    for parameter in parameters:
        role = role_of_name(parameter.name)
        if role in values and role not in taken:
            given[parameter.name] = values[role]
            taken.add(role)
    return given, taken


def value_of(result: Any) -> tuple[Tensor, dict[str, Any], bool]:  # noqa: ANN401
    """The loss in what the reader's code returned, the other numbers there, and whether it was one number a row.

    Raises:
        TypeError: there is no loss in it.
    """
    parts = {str(path[-1]) if path else "": value for path, value in leaves(result)}
    if hasattr(result, "loss") and not isinstance(result, dict | Tensor):
        parts = {"loss": result.loss}
    names = [name for name in parts if "loss" in name.lower()]
    exact = [name for name in names if name.lower() in ("loss", "total_loss", "total")]
    order = [*exact, *parts]
    name = next((each for each in order if isinstance(parts[each], Tensor) and parts[each].is_floating_point()), None)
    if name is None:
        raise TypeError(f"The loss should be a tensor, or have one in it, but a {type(result).__name__} was returned.")
    value = parts.pop(name)
    others = {
        key: part
        for key, part in parts.items()
        if isinstance(part, int | float) or (isinstance(part, Tensor) and part.numel() == 1)
    }
    return (value if value.numel() == 1 else value.mean()).squeeze(), others, value.numel() > 1


Attributes = list[tuple[dict[str, Any], dict[str, tuple[Any, Any]]]]


def attributes_of(*owners: object) -> Attributes:
    """The plain attributes of modules, and of the object that a method belongs to: counters, lists, what a run left."""
    modules = [module for each in owners if isinstance(each, nn.Module) for module in each.modules()]
    others = [each.__self__ for each in owners if not isinstance(each, nn.Module) and hasattr(each, "__self__")]
    others = [part for each in others for part in (each.modules() if isinstance(each, nn.Module) else (each,))]
    held = [
        vars(each) for each in (*modules, *others) if hasattr(each, "__dict__") and not isinstance(each, ModuleType)
    ]
    unique = {id(each): each for each in held if isinstance(each, dict)}
    return [
        (each, {name: (value, _content(value)) for name, value in each.items() if name not in OF_MODULES})
        for each in unique.values()
    ]


def _content(value: object) -> object:
    return value.copy() if type(value) in (list, dict, set) else None


def put_back(attributes: Attributes) -> None:
    """Make the attributes what they were, and take out those that are new."""
    for held, before in attributes:
        for name in [name for name in held if name not in before and name not in OF_MODULES]:
            del held[name]
        for name, (value, content) in before.items():
            if content is not None:
                value.clear()
                (value.extend if isinstance(value, list) else value.update)(content)
            held[name] = value


@contextmanager
def attributes_kept(*owners: object) -> Iterator[None]:
    """Put plain attributes back after the block, such as a step counter that β depends on."""
    before = attributes_of(*owners)
    try:
        yield
    finally:
        put_back(before)


def takes_output(loss: Call) -> bool:
    """Whether a loss is given the model's output as it is, and takes it apart itself."""
    parameters = _parameters(loss)
    needed = [each for each in parameters if each.default is each.empty]
    return any(each.kind is each.VAR_POSITIONAL for each in parameters) or len(needed) <= 2


@contextmanager
def in_place_of(model: object, target: str | nn.Module, change: Callable[[Any], Any]) -> Iterator[None]:
    """While the block runs, what a module or a method returns goes through ``change``."""
    with ExitStack() as stack:
        if isinstance(target, str):
            owner: Any = model
            *way, name = target.split(".")
            for each in way:
                owner = getattr(owner, each)
            target = getattr(owner, name)
            if not isinstance(target, nn.Module):
                method = target
                object.__setattr__(owner, name, lambda *args, **kwargs: change(method(*args, **kwargs)))
                stack.callback(lambda: object.__delattr__(owner, name))
                yield
                return
        handle = target.register_forward_hook(lambda module, args, output: change(output))
        stack.callback(handle.remove)
        yield
