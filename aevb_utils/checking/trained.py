"""What training asks of a model, in the form of :mod:`aevb_utils.checking.contract`: checkpoints, steps in φ and θ."""

import copy
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from aevb_utils.checking.comparisons import one_elbo, require


def check_saves_and_loads(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """A checkpoint brings all of the model back: after loading, another one gives the same ELBO, bit for bit."""
    from aevb_utils.training import checkpoints  # here, so that the other checks need no library beside torch
    from aevb_utils.training.descriptions import modules_outside

    other = copy.deepcopy(model)
    plain = [value for module in other.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    plain += [value for module in modules_outside(other) for value in module.state_dict().values()]
    with torch.no_grad(), TemporaryDirectory() as folder:
        for value in [*other.state_dict().values(), *plain]:
            if value.is_floating_point():  # changed by more than a constant, which a softmax would not notice
                value.mul_(1.5).add_(torch.linspace(0.5, 1.5, value.numel()).to(value).reshape(value.shape))
        path = Path(folder) / "model.safetensors"
        checkpoints.save(path, model)
        whole = (
            "A model that is saved and loaded is another one: a tensor it uses is neither a parameter nor a buffer, or "
            "in a module that is no part of it, as in a list; "
        )
        try:
            checkpoints.load_weights(path, other)
        except checkpoints.CheckpointError as error:  # it saw such a tensor, which was changed above
            raise AssertionError(f"{whole}use nn.Parameter, register_buffer or nn.ModuleList.") from error
    elbos = [one_elbo(each, x, *context) for each in (model, other)]
    require(torch.equal(*elbos), f"{whole}use nn.Parameter, register_buffer or nn.ModuleList.")


def check_updates(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """A step of ``fit`` in φ leaves θ as it is, bit for bit, and a step in θ leaves φ."""
    from aevb_utils.training import fit

    for update in ("inference", "generative"):
        other = copy.deepcopy(model)
        groups = {"inference": list(other.inference_parameters()), "generative": list(other.generative_parameters())}
        if groups[update] and not any(parameter.requires_grad for parameter in groups[update]):
            continue  # all are frozen on purpose
        before = {name: [parameter.detach().clone() for parameter in group] for name, group in groups.items()}
        optimizer = torch.optim.Adam(other.parameters(), lr=1e-3)
        try:
            fit(other, (x, *context), optimizer=optimizer, epochs=1, batch_size=len(x), update=update)
        except ValueError as error:
            raise AssertionError(f"fit cannot train the model with update={update!r}: {error}") from error
        for name, group in groups.items():
            moved = not all(map(torch.equal, group, before[name]))
            require(
                moved == (name == update),
                f"A step with update={update!r} {'moves' if moved else 'does not move'} the {name} parameters: does "
                "elbo_terms write to a parameter, or do generative_parameters and inference_parameters share one?",
            )
