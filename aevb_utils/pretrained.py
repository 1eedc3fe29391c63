"""Weights of long runs, shipped with the package, so that a reader can skip the training."""

import copy
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from aevb_utils import checkpoints, networks

FOLDER = Path(__file__).parent / "weights"
"""Holds a checkpoint of weights alone for each name, in half precision."""


def load_pretrained(name: str) -> nn.Module:
    """A model with the weights of a long run, in float32 and in evaluation mode; every byte of the file is verified.

    Args:
        name: one of :func:`shipped`, such as ``"vae-mnist"``.

    Raises:
        ValueError: there are no weights of that name.
        CheckpointError: the file is damaged: its SHA-256 is not the one that was written into it.
    """
    about = provenance(name)
    model_class = getattr(import_module(about["module"]), about["model"])
    model = model_class(**_with_likelihood(about["arguments"])).half()
    checkpoints.load_weights(_file(name), model)
    return model.float().eval()


def provenance(name: str) -> dict[str, Any]:
    """Where shipped weights come from: model, data, seed, budget, the hash of the code, test figures.

    Raises:
        ValueError: there are no weights of that name.
        CheckpointError: the file is damaged.
    """
    return checkpoints.read_provenance(_file(name))


def shipped() -> tuple[str, ...]:
    """The names for which there are weights."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.safetensors")))


def rounded(model: nn.Module) -> nn.Module:
    """The model in evaluation mode with its weights as a shipped file would give them back."""
    return copy.deepcopy(model).half().float().eval()


def save_pretrained(name: str, model: nn.Module, arguments: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write a model's weights in half precision, with what they are in the file's header.

    Args:
        name: of the file.
        model: of a class of ``aevb_utils.models``; its module is imported only when its weights are loaded.
        arguments: what the class was called with, ready for JSON; a likelihood by its name in ``networks``.
        about: data, seed, budget, the hash of the code, test figures; ready for JSON.

    Raises:
        CheckpointError: the file cannot be written, or ``about`` or ``arguments`` is not ready for JSON.
    """
    kind = {"module": type(model).__module__, "model": type(model).__name__}
    entries = {**kind, "arguments": dict(arguments), **about}
    checkpoints.save(FOLDER / f"{name}.safetensors", copy.deepcopy(model).half(), provenance=entries)


def _file(name: str) -> Path:
    """The file of a name that is shipped."""
    if name not in shipped():
        raise ValueError(f"There are no weights {name!r}: load one of {', '.join(shipped()) or '(none)'}.")
    return FOLDER / f"{name}.safetensors"


def _with_likelihood(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with a likelihood looked up by its name."""
    named = arguments.get("likelihood")
    return arguments if named is None else arguments | {"likelihood": getattr(networks, named)}
