"""What a model is, its numbers aside: the description that it gives of itself, for its checkpoints."""

import dis
import functools
import hashlib
import itertools
import json
import math
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

Json = dict[str, Any]

_LIBRARIES = {"aevb_utils", "math", "numpy", "torch"}  # their functions are known by their names
_FRAMEWORK = {*vars(nn.Module()), "_compiled_call_impl"}  # what every module has, whatever its settings
_LONGEST = 500  # a setting that takes more characters is told by its SHA-256


class _Way(NamedTuple):
    """How a value was reached."""

    ids: tuple[int, ...]  # of what it is a part of
    parts: frozenset[int]  # the ids of all modules that are registered in the model
    others: list[nn.Module]  # those met on the way that are not

    def under(self, value: object) -> "_Way":
        """The way to what is in a value."""
        return self._replace(ids=(*self.ids, id(value)))


def describe(model: nn.Module) -> Json:
    """The class of a model and of all its parts, and every setting of each, ready for JSON.

    Two models with equal descriptions and equal parameters and buffers give equal numbers, as long as classes of one
    name have the same methods. Settings are all attributes that are neither parameters nor parts nor in the state:
    numbers and words, None, lists (or tuples, which count as lists), sets and dictionaries, arrays and tensors by their
    SHA-256, modules that are no parts (those in a list) with their parameters and buffers likewise, classes,
    distributions and other objects by their own attributes, and functions: by name, by the values in their closure,
    their defaults or the arguments of a ``partial``, and, unless they are torch's or the book's own, by their code and
    the global values that it names.

    Not in it is what does not tell models apart: training mode, device, hooks, whether the model is compiled.
    """
    return _walk(model)[0]


def modules_outside(model: nn.Module) -> list[nn.Module]:
    """The modules that a model reaches and that are none of its parts: a checkpoint does not hold their parameters."""
    return _walk(model)[1]


def _walk(model: nn.Module) -> tuple[Json, list[nn.Module]]:
    """The description of a model, and the modules met that are none of its parts."""
    model = uncompiled(model)
    way = _Way((), frozenset(map(id, model.modules())), [])
    return _module(model, way), way.others


def uncompiled(model: nn.Module) -> nn.Module:
    """The model itself, if it comes from ``torch.compile``."""
    return getattr(model, "_orig_mod", model)


def first_difference(saved: object, own: object, place: str = "") -> tuple[str, object, object] | None:
    """Where two descriptions differ first, as a dotted name with both values; None where they are the same.

    What only one of them has is None in the other. A private name, such as ``_table``, may have been filled at first
    use: it counts where both have it.
    """
    if isinstance(saved, dict) and isinstance(own, dict):
        names = [*saved, *(own.keys() - saved.keys())]
        pairs = {name: (saved.get(name), own.get(name)) for name in names}
        pairs = {name: pair for name, pair in pairs.items() if not (name.startswith("_") and None in pair)}
    elif isinstance(saved, list) and isinstance(own, list) and len(saved) == len(own):
        pairs = {str(number): pair for number, pair in enumerate(zip(saved, own, strict=True))}
    else:
        return None if saved == own else (place, saved, own)
    found = (first_difference(*pair, f"{place}.{name}".lstrip(".")) for name, pair in pairs.items())
    return next((difference for difference in found if difference), None)


def _describe(value: object, way: _Way) -> object:
    """A value as JSON."""
    if id(value) in way.ids:
        return {"above": len(way.ids) - way.ids.index(id(value))}
    inside = way.under(value)
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case np.bool_() | np.integer() | np.floating():
            return _describe(value.item(), inside)
        case Tensor() | np.ndarray():
            return _array(value)
        case list() | tuple():
            return [_describe(item, inside) for item in value]
        case set() | frozenset():
            return {"set": sorted(_text(_describe(item, inside)) for item in value)}
        case nn.Module():
            return _module(value, way)
        case Mapping():
            return {"keys": {_text(_describe(key, inside)): [_describe(item, inside)] for key, item in value.items()}}
        case type():
            return {"class": value.__qualname__}
        case functools.partial():
            held = {"arguments": _describe(value.args, inside), "keywords": _all(value.keywords, inside)}
            return {"partial": _describe(value.func, inside)} | held
        case types.MethodType():
            return {"method": _describe(value.__func__, inside), "of": _describe(value.__self__, inside)}
        case types.FunctionType():
            return _function(value, inside)
    return _object(value, inside)


def _all(values: Mapping[str, object], way: _Way) -> Json:
    """Values by name, each described."""
    return {name: _describe(value, way) for name, value in values.items()}


def _text(description: object) -> str:
    """A description as text, the same for the same."""
    return json.dumps(description, sort_keys=True)


def _digest(content: bytes) -> str:
    """The SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def _module(module: nn.Module, way: _Way) -> Json:
    """A module: its class, its settings, its parts, and those of its tensors that no checkpoint holds."""
    inside = way.under(module)
    internal = type(module).__module__.startswith("torch.")
    settings = {
        name: value
        for name, value in _attributes(module).items()
        if name not in _FRAMEWORK | _in_extra_state(module) and not (internal and name.startswith("_"))
    }
    tensors = dict(module.named_buffers(recurse=False))
    if id(module) in way.parts:
        unsaved = vars(module)["_non_persistent_buffers_set"]
        tensors = {name: value for name, value in tensors.items() if name in unsaved}
    else:
        way.others.append(module)
        tensors |= dict(module.named_parameters(recurse=False))
    described = {name: _shortened(value) for name, value in _all(settings | tensors, inside).items()}
    parts = {name: _describe(part, inside) for name, part in module.named_children()}
    return {"class": type(module).__qualname__} | described | parts


def _in_extra_state(module: nn.Module) -> set[str]:
    """The attributes that are state, since ``get_extra_state`` returns them, or a dictionary with their names."""
    if type(module).get_extra_state is nn.Module.get_extra_state:
        return set()
    state = module.get_extra_state()
    named = state.keys() if isinstance(state, dict) else ()
    return {name for name, value in vars(module).items() if name in named or (value is state is not None)}


def _attributes(value: object) -> dict[str, object]:
    """An object's own attributes, without those that are computed at first use and kept, as by ``cached_property``."""
    kinds = {name: getattr(type(value), name, None) for name in vars(value)}
    kept = {name for name, kind in kinds.items() if hasattr(kind, "__get__") and not callable(kind)}
    return {name: item for name, item in vars(value).items() if name not in kept}


def _shortened(description: object) -> object:
    """A description, or, if it is long, what tells it apart from others."""
    text = _text(description)
    return description if len(text) <= _LONGEST else {"sha256": _digest(text.encode()), "characters": len(text)}


def _array(value: Tensor | np.ndarray) -> Json:
    """An array by its number format, shape and content."""
    if isinstance(value, np.ndarray):
        content = repr(value.tolist()).encode() if value.dtype == object else np.ascontiguousarray(value).tobytes()
    else:
        dense = None if value.is_meta else (value.dequantize() if value.is_quantized else value.to_dense())
        content = b"" if dense is None else _bytes(dense)
    return {"array": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "sha256": _digest(content)}


def _bytes(value: Tensor) -> bytes:
    """The numbers of a tensor as they are in memory."""
    value = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return value.reshape(-1).view(torch.uint8).numpy().tobytes()


def _object(value: object, way: _Way) -> Json:
    """Any other object: its class, and its attributes or its ``repr``, unless it is state, as an optimizer is."""
    kind = {"class": type(value).__qualname__}
    if isinstance(value, types.ModuleType | types.BuiltinFunctionType | np.ufunc):
        return {"function": getattr(value, "__qualname__", value.__name__)}
    if hasattr(value, "state_dict"):
        return kind
    if hasattr(value, "__dict__"):
        return kind | _all(_attributes(value), way)
    text = repr(value)
    return kind if " at 0x" in text or isinstance(value, torch.device) else kind | {"value": text}


# Functions


def _function(function: types.FunctionType, way: _Way) -> Json:
    """A function: its name, the values that it holds, and its code if the name alone does not say what it does."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    held = {"closure": {name: _content(cell) for name, cell in cells}}
    if (function.__module__ or "").split(".")[0] in _LIBRARIES:
        return {"function": f"{function.__module__}.{function.__qualname__}"} | _held(held, way)
    held |= {"defaults": function.__defaults__, "keywords": function.__kwdefaults__, "globals": _globals(function)}
    code = _digest(_text([_operations(code) for code in _codes(function.__code__)]).encode())
    version = f"{sys.version_info.major}.{sys.version_info.minor}"  # other versions have other operations
    return {"function": function.__name__} | _held(held, way) | {f"_code in Python {version}": code}


def _held(held: Mapping[str, object], way: _Way) -> Json:
    """The values that a function holds, those that it has."""
    values = {name: value for name, value in held.items() if value}
    return {name: _all(v, way) if isinstance(v, dict) else _describe(v, way) for name, v in values.items()}


def _content(cell: types.CellType) -> object:
    """What is in a cell of a closure."""
    try:
        return cell.cell_contents
    except ValueError:  # nothing as yet
        return None


def _globals(function: types.FunctionType) -> dict[str, object]:
    """The global values and functions that a function names; modules and classes are in its code by their names."""
    operations = itertools.chain.from_iterable(map(dis.get_instructions, _codes(function.__code__)))
    named = sorted({operation.argval for operation in operations if operation.opname == "LOAD_GLOBAL"})
    known = {name: function.__globals__[name] for name in named if name in function.__globals__}
    return {name: value for name, value in known.items() if not isinstance(value, types.ModuleType | type)}


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function and of all functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _operations(code: types.CodeType) -> list[tuple[str, str]]:
    """The operations of a function with their arguments, without line numbers, comments and docstring."""
    return [(operation.opname, _argument(operation)) for operation in dis.get_instructions(code)]


def _argument(operation: dis.Instruction) -> str:
    """The argument of an operation, the same in each process."""
    match operation.argval:
        case types.CodeType() as code:
            return code.co_name
        case frozenset() as constants:
            return str(sorted(map(repr, constants)))
    return operation.argrepr
