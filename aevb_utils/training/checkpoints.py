"""Checkpoints: a model, its optimizer and its History in one file that is whole or refused, and never unpickled."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from aevb_utils.distributed.team import team
from aevb_utils.inputs import check_count
from aevb_utils.training.compatibility import (
    FilePath,
    all_or_nothing,
    check_class,
    check_model,
    check_optimizer,
    check_scheduler,
    history_of,
    parameter_names,
)
from aevb_utils.training.descriptions import describe, uncompiled
from aevb_utils.training.history import History
from aevb_utils.training.sealed_files import CheckpointError, Json, read_sealed, write_sealed


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
    file; numbers, names and settings are JSON in its header, with the SHA-256 of the whole file. So is the description
    that the model gives of itself, see :func:`~aevb_utils.training.descriptions.describe`: its class, its parts, and
    every setting of each.

    The file is written beside its place and moved there in one step, so that a program that is killed leaves the old
    checkpoint or the new one, never a part of one, and of two programs that write to one path each writes a whole file.
    Where the path is a symbolic link, the file that it leads to is replaced and the link stays.

    There is no state of a random generator in it: :func:`~aevb_utils.training.fit` draws the random numbers of an
    epoch from its seed and the epoch's number, and the number of epochs is in the History.

    Args:
        path: where, by custom ``….safetensors``; its folder must exist.
        model: its parameters and buffers are saved.
        optimizer: over the model's parameters. Without it the file holds weights alone, see :func:`load_weights`.
        history: what ``fit`` returned, or handed to the callback.
        scheduler: of the learning rate, if the run has one. (A warning is given where the optimizer has had one that is
            not named: a run that goes on without it has another learning rate.)
        provenance: JSON values about where the weights come from (data, seed, budget), see :func:`read_provenance`.

    Raises:
        CheckpointError: the file cannot be written, or a state holds something that is neither a tensor nor JSON: a
            tensor that is sparse, quantized, on "meta" or of a format like complex128 is none.
    """
    model = uncompiled(model)
    if optimizer is not None and scheduler is None and any("initial_lr" in g for g in optimizer.param_groups):
        warnings.warn(
            f"{path} is saved without a scheduler, but the optimizer has one or has had one: give it as scheduler=, or "
            "a run that goes on from this checkpoint will not have its learning rate.",
            stacklevel=2,
        )
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "history": history}
    states = {name: part.state_dict() for name, part in parts.items() if part is not None}
    content = {
        "classes": {name: type(parts[name]).__qualname__ for name in states},
        "description": _description(path, model),
        "groups": None if optimizer is None else parameter_names(model, optimizer),
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

    All is checked before anything is changed, and nothing is unpickled: the file can hold tensors and JSON alone. After
    any error model, optimizer and scheduler are as they were.

    Raises:
        CheckpointError: there is no such file; it is damaged or no checkpoint; or it was saved from another class of
            model, other shapes, number formats or settings (a likelihood, a layer, a rate of dropout), another
            optimizer or scheduler, or weights alone.
    """
    model = uncompiled(model)
    content, states = read_sealed(Path(path))
    for name in ("optimizer", "history"):
        if name not in states:
            raise CheckpointError(f"{path} holds no {name}, so no run to go on with: use load_weights for its weights.")
    for kind, part in {"model": model, "optimizer": optimizer, "scheduler": scheduler}.items():
        check_class(path, content, kind, part)
    check_model(path, content, states["model"], model)
    check_optimizer(path, content, states["optimizer"], model, optimizer)
    if scheduler is not None:
        check_scheduler(path, states["scheduler"], scheduler)
    history = history_of(path, states["history"])
    with all_or_nothing(path, model, optimizer, scheduler):
        model.load_state_dict(states["model"])
        optimizer.load_state_dict(states["optimizer"])
        if scheduler is not None:
            scheduler.load_state_dict(states["scheduler"])
    return history


def load_weights(path: FilePath, model: nn.Module) -> None:
    """Put a model's saved parameters and buffers back, from a checkpoint or from a file with weights alone.

    Raises:
        CheckpointError: there is no such file; it is damaged or no checkpoint; or it was saved from another class of
            model, other shapes, number formats or settings. The model is as it was.
    """
    state = read_weights(path, model)
    with all_or_nothing(path, model):
        uncompiled(model).load_state_dict(state)


def read_weights(path: FilePath, model: nn.Module) -> Json:
    """The saved parameters and buffers of a model, by name, as :func:`load_weights` would put them into it.

    Raises:
        CheckpointError: as :func:`load_weights`.
    """
    content, states = read_sealed(Path(path))
    check_class(path, content, "model", uncompiled(model))
    check_model(path, content, states["model"], uncompiled(model))
    return states["model"]


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

    Of several processes, the first one writes; ``fit`` ends in all of them when it has.

    A callback of your own that moves the learning rate, ``scheduler.step()``, calls this one after that.

    Raises:
        ValueError: every is no whole number of at least 1.
        CheckpointError: there is no folder to save in.
    """
    every = check_count("every", every)
    if not Path(path).parent.is_dir():
        raise CheckpointError(f"{path} cannot be written: there is no folder {Path(path).parent}; make it first.")

    def after_epoch(epoch: int, model: nn.Module, history: History) -> None:
        if epoch % every == 0 and team().rank == 0:
            save(path, model, optimizer, history, scheduler, provenance=provenance)

    return after_epoch


# What is said of a state, ready for JSON


def _description(path: FilePath, model: nn.Module) -> Json:
    """What the model says of itself, if its settings have an end."""
    try:
        return describe(model)
    except RecursionError as error:
        raise CheckpointError(f"{path} cannot be written: a setting of the model is nested too deeply.") from error


def _as_json(provenance: Json) -> Json:
    """The provenance, if JSON gives it back as it is."""
    try:
        same = json.loads(json.dumps(provenance, allow_nan=False)) == provenance
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise CheckpointError(
            f"provenance must be JSON (text, finite numbers, lists, dictionaries with text as keys): {provenance!r}."
        )
    return provenance
