"""Checkpoints: a model, its optimizer and its History in one file that is whole or refused, and never unpickled."""

import contextlib
import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from aevb_utils.training import History

FORMAT = 1
"""The layout of the file that this version writes and reads."""

_KEY = "aevb_checkpoint"  # the one entry of the safetensors header: all that is not a tensor, as JSON
_SEAL = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')  # its first item: the SHA-256 of the file with zeros here
_ZEROS = "0" * 64

FilePath = str | os.PathLike[str]
Json = dict[str, Any]


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, or cannot be used; nothing was changed."""


def save(
    path: FilePath,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    history: History | None = None,
    scheduler: LRScheduler | None = None,
    *,
    provenance: Json | None = None,
) -> None:
    """Write a model, and all that a run needs to go on, to one safetensors file; a file that was there is replaced.

    Parameters and buffers, the tensors of the optimizer's, the scheduler's and the History's state are tensors of the
    file; numbers, names and settings are JSON in its header, with the SHA-256 of the whole file. The file is written
    beside its place and moved there in one step, so that a program that is killed leaves the old checkpoint or the new
    one, never a part of one.

    There is no state of a random generator in it: :func:`~aevb_utils.training.fit` draws the random numbers of an
    epoch from its seed and the epoch's number, and the number of epochs is in the History.

    Args:
        path: where, by custom ``….safetensors``; its folder must exist.
        model: its parameters and buffers are saved.
        optimizer: over the model's parameters. Without it the file holds weights alone, see :func:`load_weights`.
        history: what ``fit`` returned, or handed to the callback.
        scheduler: of the learning rate, if the run has one.
        provenance: JSON values about where the weights come from (data, seed, budget), see :func:`read_provenance`.

    Raises:
        CheckpointError: the file cannot be written, or a state holds something that is neither a tensor nor JSON.
    """
    tensors: dict[str, Tensor] = {}
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "history": history}
    states = {name: part.state_dict() for name, part in parts.items() if part is not None}
    content = {
        "sha256": _ZEROS,
        "format": FORMAT,
        "classes": {name: type(parts[name]).__qualname__ for name in states},
        "settings": _settings(model),
        "groups": None if optimizer is None else _group_names(model, optimizer),
        "provenance": _as_json(provenance or {}),
        "states": {name: _pack(state, name, tensors) for name, state in states.items()},
    }
    data = safetensors.torch.save(tensors, {_KEY: json.dumps(content, allow_nan=False)})
    _write(Path(path), _sealed(data))


def load(path: FilePath, model: nn.Module, optimizer: Optimizer, scheduler: LRScheduler | None = None) -> History:
    """Put a model, its optimizer and scheduler back into the state they were saved in; return the History.

    The three are built as for a new run first; then ::

        history = load(path, model, optimizer)
        fit(model, data, optimizer=optimizer, epochs=100, history=history, …)

    runs the epochs that are left of 100. With the other arguments of ``fit`` as they were (the seed too), and on the
    same machine with as many threads, it ends with the very bits of a run that was never stopped: ``fit`` takes the
    random numbers of each epoch from its seed and the epoch's number alone, so that no generator needs to be put back.
    Only what the caller draws elsewhere is not covered.

    All is checked before anything is changed, and nothing is unpickled: the file can hold tensors and JSON alone.

    Raises:
        CheckpointError: there is no such file; it is damaged or no checkpoint; or it was saved from another class of
            model, other shapes or number formats, another optimizer or scheduler, or weights alone.
    """
    content, states = _read(Path(path))
    for name in ("optimizer", "history"):
        if name not in states:
            raise CheckpointError(f"{path} holds no {name}, so no run to go on with: use load_weights for its weights.")
    _check_class(path, content, "model", model)
    _check_class(path, content, "optimizer", optimizer)
    _check_class(path, content, "scheduler", scheduler)
    _check_settings(path, content, model)
    _check_tensors(path, states["model"], model)
    if content["groups"] != _group_names(model, optimizer):
        raise CheckpointError(
            f"{path} was saved with an optimizer over other parameters, or in another order or other groups: build the "
            "optimizer as it was built for the run."
        )
    history = History.from_state_dict(states["history"])
    model.load_state_dict(states["model"])
    optimizer.load_state_dict(states["optimizer"])
    if scheduler is not None:
        scheduler.load_state_dict(states["scheduler"])
    return history


def load_weights(path: FilePath, model: nn.Module) -> None:
    """Put a model's saved parameters and buffers back, from a checkpoint or from a file with weights alone.

    Raises:
        CheckpointError: there is no such file; it is damaged or no checkpoint; or it was saved from another class of
            model, other shapes or number formats. The model is as it was.
    """
    content, states = _read(Path(path))
    _check_class(path, content, "model", model)
    _check_settings(path, content, model)
    _check_tensors(path, states["model"], model)
    model.load_state_dict(states["model"])


def read_provenance(path: FilePath) -> Json:
    """What :func:`save` was told about the origin of the weights; an empty dictionary if nothing.

    Raises:
        CheckpointError: there is no such file, or it is damaged or no checkpoint.
    """
    return _read(Path(path))[0]["provenance"]


def checkpoint_callback(
    path: FilePath,
    optimizer: Optimizer,
    *,
    every: int = 1,
    scheduler: LRScheduler | None = None,
    provenance: Json | None = None,
) -> Callable[[int, nn.Module, History], None]:
    """A callback for ``fit`` that saves all of a run after every epoch, or after each ``every``-th (and no other).

    A callback of your own that moves the learning rate, ``scheduler.step()``, calls this one after that.

    Raises:
        ValueError: every is less than 1.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, not {every}.")

    def after_epoch(epoch: int, model: nn.Module, history: History) -> None:
        if epoch % every == 0:
            save(path, model, optimizer, history, scheduler, provenance=provenance)

    return after_epoch


# What must fit before anything is changed


def _check_class(path: FilePath, content: Json, kind: str, part: object | None) -> None:
    """The part has the class that was saved."""
    saved = content["classes"].get(kind)
    given = None if part is None else type(part).__qualname__
    if given != saved:
        raise CheckpointError(
            f"{path} was saved with {_named(saved, kind)}, but it is to be loaded into {_named(given, kind)}."
        )


def _named(name: str | None, kind: str) -> str:
    """A class in words."""
    return f"no {kind}" if name is None else f"the {kind} {name}"


def _settings(model: nn.Module) -> Json:
    """The numbers and words among a model's attributes, such as a floor or a number of trials."""
    plain = {name: value for name, value in vars(model).items() if isinstance(value, bool | int | float | str)}
    return {name: value for name, value in plain.items() if not name.startswith("_") and name != "training"}


def _check_settings(path: FilePath, content: Json, model: nn.Module) -> None:
    """The model has the settings that were saved: tensors alone do not tell two of its kind apart."""
    own = _settings(model)
    for name, value in content.get("settings", {}).items():
        if own.get(name) != value:
            raise CheckpointError(f"{path} was saved with {name} = {value!r}, but the model has {own.get(name)!r}.")


def _check_tensors(path: FilePath, saved: Json, model: nn.Module) -> None:
    """The saved parameters and buffers have the names, shapes and number formats of the model's."""
    own = model.state_dict()
    different = sorted(saved.keys() ^ own.keys())
    if different:
        where = "the file" if different[0] in saved else "the model"
        raise CheckpointError(f"{path} does not fit the model: only {where} has {different[0]!r}.")
    for name, value in own.items():
        if isinstance(value, Tensor) and _kind(saved[name]) != _kind(value):
            raise CheckpointError(
                f"{path} does not fit the model: its {name!r} is {_kind(saved[name])}, the model's is {_kind(value)}."
            )


def _kind(value: object) -> str:
    """Number format and shape of a tensor, in words."""
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else "no tensor"


def _group_names(model: nn.Module, optimizer: Optimizer) -> list[list[str | None]]:
    """The names of the parameters in each of the optimizer's groups, in order; None for one that is not the model's."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [[names.get(id(parameter)) for parameter in group["params"]] for group in optimizer.param_groups]


# States as JSON and tensors


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 (a state may hold many types)
    """A state as JSON, in which each tensor, moved to ``tensors``, is replaced by its name."""
    match value:
        case Tensor():
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {"tensor": name}
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case dict() if all(isinstance(key, str | int) for key in value):
            items = [[key, _pack(item, f"{name}/{key}", tensors)] for key, item in value.items()]
            return {"counter" if isinstance(value, Counter) else "dict": items}
        case list() | tuple():
            items = [_pack(item, f"{name}/{place}", tensors) for place, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
    raise CheckpointError(f"A checkpoint holds tensors and JSON alone, but {name} is a {type(value).__qualname__}.")


def _unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401
    """The state that :func:`_pack` described."""
    match packed:
        case {"tensor": name}:
            return tensors[name]
        case {"float": number}:
            return float(number)
        case {"dict": items}:
            return {key: _unpack(item, tensors) for key, item in items}
        case {"counter": items}:
            return Counter(dict(items))
        case {"tuple": items}:
            return tuple(_unpack(item, tensors) for item in items)
        case list():
            return [_unpack(item, tensors) for item in packed]
    return packed


def _as_json(provenance: Json) -> Json:
    """The provenance, if JSON gives it back as it is."""
    try:
        same = json.loads(json.dumps(provenance, allow_nan=False)) == provenance
    except (TypeError, ValueError):
        same = False
    if not same:
        raise CheckpointError(
            f"provenance must be JSON (text, finite numbers, lists, dictionaries with text as keys): {provenance!r}."
        )
    return provenance


# The file


def _read(path: Path) -> tuple[Json, dict[str, Any]]:
    """The header's content and the states by name, from a file whose every byte is as it was written."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"There is no checkpoint to read at {path}: {error.strerror}.") from error
    seal = _find_seal(data)
    if seal is None:
        raise CheckpointError(f"{path} is not a checkpoint, or it was cut short or altered at its beginning.")
    if seal[1].decode() != _digest(data, seal):
        raise CheckpointError(f"{path} is damaged: it was cut short or altered after it was written.")
    content = json.loads(json.loads(data[8 : 8 + _header_length(data)])["__metadata__"][_KEY])
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {content['format']}, and this version of aevb_utils reads format {FORMAT}."
        )
    tensors = safetensors.torch.load(data)
    return content, {name: _unpack(state, tensors) for name, state in content["states"].items()}


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a file beside it first, onto the disk, then one rename."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror}; what was there before is as it was."
        ) from error


def _header_length(data: bytes) -> int:
    """How many bytes the JSON header of a safetensors file has; it begins at byte 8."""
    return int.from_bytes(data[:8], "little")


def _find_seal(data: bytes) -> re.Match[bytes] | None:
    """Where the header of a checkpoint keeps the SHA-256."""
    return _SEAL.search(data, 8, 8 + min(_header_length(data), len(data)))


def _digest(data: bytes, seal: re.Match[bytes]) -> str:
    """The SHA-256 of all bytes, with zeros in place of the SHA-256 itself."""
    digest = hashlib.sha256(data[: seal.start(1)])
    digest.update(_ZEROS.encode())
    digest.update(memoryview(data)[seal.end(1) :])
    return digest.hexdigest()


def _sealed(data: bytes) -> bytes:
    """The bytes of a new file, with their SHA-256 in place of the zeros."""
    seal = _find_seal(data)
    return data[: seal.start(1)] + _digest(data, seal).encode() + data[seal.end(1) :]
