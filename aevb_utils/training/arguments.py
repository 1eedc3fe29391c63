"""What :func:`~aevb_utils.training.fit` is given: a model, an optimizer and a scheduler that belong together."""

import inspect
from collections.abc import Iterable
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

Update = Literal["inference", "generative", "both"]


class LatentVariableModel(Protocol):
    """What :func:`~aevb_utils.training.fit` asks of a model."""

    def elbo_terms(self, x: Tensor, *context: Tensor, num_samples: int = 1) -> dict[str, Tensor]:
        """The named terms of each datum's ELBO, each of shape (batch,), in nats."""

    def inference_parameters(self) -> Iterable[Parameter]:
        """φ, or the λ_i of all data."""

    def generative_parameters(self) -> Iterable[Parameter]:
        """θ."""


def parameters_to_move(model: LatentVariableModel, optimizer: Optimizer, update: Update) -> list[Parameter]:
    """The parameters that ``update`` names, if the optimizer holds them.

    Raises:
        ValueError: there are none, they cannot be trained, or the optimizer does not hold all of them.
    """
    groups = {"inference": model.inference_parameters, "generative": model.generative_parameters}
    if update not in {*groups, "both"}:
        raise ValueError(f"update must be 'inference', 'generative' or 'both', not {update!r}.")
    named = [parameter for name, group in groups.items() if update in (name, "both") for parameter in group()]
    chosen = [parameter for parameter in named if parameter.requires_grad]
    if not chosen:
        why = "all frozen" if named else "an empty list"
        raise ValueError(f"The model has no parameters to update: its {update} parameters are {why}.")
    if any(parameter.is_inference() for parameter in chosen):
        raise ValueError(
            "The model was built under torch.inference_mode(), so that it has no gradients: build it anew."
        )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    missing = sum(id(parameter) not in held for parameter in chosen)
    if missing:
        raise ValueError(
            f"The optimizer holds {len(chosen) - missing} of the {len(chosen)} parameter tensors that "
            f"update={update!r} moves: give it all of them; a layer that was replaced after the optimizer was built "
            "has new ones."
        )
    return chosen


def check_gradients() -> None:
    """Gradients can be had here.

    Raises:
        ValueError: somebody turned them off.
    """
    if torch.is_inference_mode_enabled() or not torch.is_grad_enabled():
        where = "torch.inference_mode()" if torch.is_inference_mode_enabled() else "torch.no_grad()"
        raise ValueError(f"fit needs gradients, which {where} turns off: call fit outside of it.")


def check_optimizer(optimizer: Optimizer, scheduler: LRScheduler | None) -> None:
    """The optimizer descends by one gradient a step, and the scheduler is its own and needs no figures.

    Raises:
        ValueError: one of them is something else, or does something else.
    """
    if isinstance(optimizer, type):
        raise ValueError(
            f"optimizer is the class {optimizer.__name__}: build it, as by {optimizer.__name__}(model.parameters(), "
            "lr=1e-3)."
        )
    if isinstance(optimizer, LRScheduler):
        raise ValueError("optimizer is a scheduler: give it as scheduler=, and the optimizer it was built over here.")
    if not all(hasattr(optimizer, name) for name in ("param_groups", "step", "zero_grad")):
        raise ValueError(
            f"optimizer must be one optimizer of torch.optim, not a {type(optimizer).__name__}: one alone can hold "
            "several groups of parameters, each with a learning rate of its own."
        )
    if _needed_to_step(optimizer):
        raise ValueError(
            f"{type(optimizer).__name__} evaluates the loss several times a step, by a closure, and fit does so once: "
            "take an optimizer that needs one gradient a step, such as Adam."
        )
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise ValueError("fit hands the optimizer the negative ELBO to descend: build it without maximize=True.")
    if scheduler is None:
        return
    if not hasattr(scheduler, "optimizer") or not hasattr(scheduler, "step"):
        raise ValueError(
            f"scheduler must be one of torch.optim.lr_scheduler, built over the optimizer, not a "
            f"{type(scheduler).__name__}."
        )
    if scheduler.optimizer is not optimizer:
        raise ValueError("The scheduler moves the step size of another optimizer: build it over the one given to fit.")
    if needed := _needed_to_step(scheduler):
        raise ValueError(
            f"{type(scheduler).__name__} is stepped with {needed[0]}, and fit steps a scheduler after every update "
            "without: step it yourself, in the callback."
        )


def check_products(parameters: list[Parameter], *, bfloat16: bool) -> None:
    """Products in bfloat16 can be had.

    Raises:
        ValueError: the parameters are in float64.
    """
    if bfloat16 and any(parameter.dtype == torch.float64 for parameter in parameters):
        raise ValueError(
            "bfloat16=True has no effect on a model in float64, whose products stay in float64: convert the model and "
            "its data to float32, or leave bfloat16 out."
        )


def _needed_to_step(stepper: Optimizer | LRScheduler) -> list[str]:
    """The names of the arguments that ``step`` cannot do without."""
    parameters = [*inspect.signature(type(stepper).step).parameters.values()][1:]  # of the class: schedulers wrap it
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [each.name for each in parameters if each.default is each.empty and each.kind in kinds]
