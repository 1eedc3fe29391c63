"""Weights of long runs, shipped with the package, so that a reader can skip the training."""

import copy
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aevb_utils import networks
from aevb_utils.training import checkpoints
from aevb_utils.training.descriptions import describe, first_difference
from aevb_utils.training.sealed_files import CheckpointError

FOLDER = Path(__file__).parent / "weights"
"""Holds a checkpoint of weights alone for each name, in half precision."""


def load_pretrained(name: str) -> nn.Module:
    """A model with the weights of a long run, in float32 and in evaluation mode; every byte of the file is verified.

    Args:
        name: one of :func:`shipped`, such as ``"vae-mnist"``.

    Nothing that the file says is run or imported: it names a class and a likelihood out of two tables in this module,
    with plain values as arguments, and the class is built only if the tensors of the file are those that it needs.

    Raises:
        ValueError: there are no weights of that name.
        CheckpointError: the file is damaged: its SHA-256 is not the one that was written into it; or it names a model
            or a likelihood that is not one of the book's; or its arguments or tensors are not that model's.
    """
    file, about = _file(name), provenance(name)
    with torch.device("meta"):  # sizes without memory
        checkpoints.read_weights(file, _build(name, about).half())
    model = _build(name, about).half()
    checkpoints.load_weights(file, model)
    return model.float().eval()


def provenance(name: str) -> dict[str, Any]:
    """Where shipped weights come from: model, data, seed, budget, the experiment, test figures.

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


def save_pretrained(
    name: str,
    model: nn.Module,
    arguments: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    folder: Path | None = None,
) -> None:
    """Write a model's weights in half precision, with what they are in the file's header.

    Args:
        name: of the file, without folder and ending.
        model: of one of the classes that :func:`load_pretrained` knows.
        arguments: what the class was called with, ready for JSON; a likelihood by its name in ``networks``.
        about: the experiment that made them, data, seed, budget, test figures; ready for JSON.
        folder: where, if it is not the package's own.

    Raises:
        ValueError: the name is not letters, digits, ``_``, ``-`` and dots alone.
        CheckpointError: the file cannot be written, ``about`` or ``arguments`` is not ready for JSON, or the class
            called with the arguments is not what can be loaded, or not the model.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"Weights have a name of letters, digits, '_', '-' and dots, not {name!r}.")
    entries = {"model": type(model).__name__, "arguments": dict(arguments), **about}
    with torch.device("meta"):
        difference = first_difference(describe(model), describe(_build(name, entries)))
    if difference:
        place, given, built = difference
        raise CheckpointError(
            f"The arguments do not make the model: its {place} is {given!r:.80}, and they give {built!r:.80}."
        )
    checkpoints.save((folder or FOLDER) / f"{name}.safetensors", copy.deepcopy(model).half(), provenance=entries)


def _file(name: str) -> Path:
    """The file of a name that is shipped."""
    if name not in shipped():
        raise ValueError(f"There are no weights {name!r}: load one of {', '.join(shipped()) or '(none)'}.")
    return FOLDER / f"{name}.safetensors"


def _models() -> dict[str, type[nn.Module]]:
    """The classes that a file of weights may name; a file never says what is imported."""
    from aevb_utils.models.conditional_vae import ConditionalVAE  # here, because models are trained by this package
    from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
    from aevb_utils.models.vae import VAE
    from aevb_utils.models.variational_rnn import RecurrentNetwork, VariationalRNN

    known = (ConditionalVAE, GaussianMixtureVAE, VAE, RecurrentNetwork, VariationalRNN)
    return {kind.__name__: kind for kind in known}


LIKELIHOODS: dict[str, networks.Likelihood] = {
    "bernoulli": networks.bernoulli,
    "continuous_bernoulli": networks.continuous_bernoulli,
    "gaussian": networks.gaussian,
}
"""The likelihoods that a file of weights may name."""


LONGEST = 100
"""The largest number of layers that a file of weights may ask for."""


def _build(name: str, about: Mapping[str, Any]) -> nn.Module:
    """The model that a file of weights describes, not yet with its weights.

    Raises:
        CheckpointError: the file says nothing of it, or names or asks for something that is not known.
    """
    missing = [key for key in ("model", "arguments") if key not in about]
    if missing:
        raise CheckpointError(
            f"The weights {name!r} do not say what they are of: they have no {' and no '.join(missing)}."
        )
    kind = _entry(name, "model", about["model"], _models())
    arguments = about["arguments"]
    if not isinstance(arguments, dict):
        raise CheckpointError(f"The weights {name!r} have arguments that are no dictionary.")
    for key, value in arguments.items():
        if key not in inspect.signature(kind).parameters or not _is_plain(value):
            raise CheckpointError(
                f"The weights {name!r} have the argument {key!r}, which {kind.__name__} does not take as it is there."
            )
    if "likelihood" in arguments:
        arguments = arguments | {"likelihood": _entry(name, "likelihood", arguments["likelihood"], LIKELIHOODS)}
    try:
        return kind(**arguments)
    except Exception as error:
        raise CheckpointError(
            f"The weights {name!r} have arguments with which {kind.__name__} cannot be built ({type(error).__name__})."
        ) from error


def _entry(name: str, what: str, given: object, known: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """What a file of weights names, out of what is known."""
    if not isinstance(given, str) or given not in known:
        raise CheckpointError(
            f"The weights {name!r} name the {what} {given!r:.80}: it must be one of {', '.join(known)}."
        )
    return known[given]


def _is_plain(value: object) -> bool:
    """Whether an argument is a number, a word, or a list of a few whole numbers."""
    if isinstance(value, list | tuple):
        return len(value) <= LONGEST and all(isinstance(width, int) for width in value)
    return isinstance(value, bool | int | float | str | None)
