"""Checkpoints: a model, its optimizer and its History in one file that is whole or refused, and never unpickled."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from aevb_utils.training.history import History
from aevb_utils.training.sealed_files import CheckpointError, Json, read_sealed, write_sealed

FilePath = str | os.PathLike[str]


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
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "history": history}
    states = {name: part.state_dict() for name, part in parts.items() if part is not None}
    content = {
        "classes": {name: type(parts[name]).__qualname__ for name in states},
        "settings": _settings(model),
        "groups": None if optimizer is None else _group_names(model, optimizer),
        "provenance": _as_json(provenance or {}),
    }
    write_sealed(Path(path), content, states)


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
    content, states = read_sealed(Path(path))
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
    content, states = read_sealed(Path(path))
    _check_class(path, content, "model", model)
    _check_settings(path, content, model)
    _check_tensors(path, states["model"], model)
    model.load_state_dict(states["model"])


def read_provenance(path: FilePath) -> Json:
    """What :func:`save` was told about the origin of the weights; an empty dictionary if nothing.

    Raises:
        CheckpointError: there is no such file, or it is damaged or no checkpoint.
    """
    return read_sealed(Path(path))[0]["provenance"]


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
