"""Weights of long runs, shipped with the package, so that a reader can skip the training."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from aevb_utils import networks
from aevb_utils.training import checkpoints
from aevb_utils.training.sealed_files import CheckpointError

FOLDER = Path(__file__).parent / "weights"
"""Holds a checkpoint of weights alone for each name, in half precision."""


def load_pretrained(name: str) -> nn.Module:
    """A model with the weights of a long run, in float32 and in evaluation mode; every byte of the file is verified.

    Args:
        name: one of :func:`shipped`, such as ``"vae-mnist"``.

    Raises:
        ValueError: there are no weights of that name.
        CheckpointError: the file is damaged: its SHA-256 is not the one that was written into it; or it names a model
            or a likelihood that is not one of the book's.
    """
    about = provenance(name)
    model = _entry(name, "model", about["model"], _models())(**_with_likelihood(name, about["arguments"])).half()
    checkpoints.load_weights(_file(name), model)
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
        name: of the file.
        model: of one of the classes that :func:`load_pretrained` knows.
        arguments: what the class was called with, ready for JSON; a likelihood by its name in ``networks``.
        about: the experiment that made them, data, seed, budget, test figures; ready for JSON.
        folder: where, if it is not the package's own.

    Raises:
        CheckpointError: the file cannot be written, ``about`` or ``arguments`` is not ready for JSON, or the class is
            not one that can be loaded.
    """
    kind = type(model).__name__
    _entry(name, "model", kind, _models())
    entries = {"model": kind, "arguments": dict(arguments), **about}
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


def _entry(name: str, what: str, given: object, known: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """What a file of weights names, out of what is known."""
    if given not in known:
        raise CheckpointError(f"The weights {name!r} name the {what} {given!r}: it must be one of {', '.join(known)}.")
    return known[given]


def _with_likelihood(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with a likelihood looked up by its name."""
    named = arguments.get("likelihood")
    return arguments if named is None else arguments | {"likelihood": _entry(name, "likelihood", named, LIKELIHOODS)}
