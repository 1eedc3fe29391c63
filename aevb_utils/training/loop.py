"""The book's one training loop: gradient ascent on the ELBO in φ, in θ, or in both, for any model that has an ELBO."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import trange

from aevb_utils.evaluation.bounds import check_rows, mean_elbo_terms, own_random_numbers
from aevb_utils.training.history import History

Update = Literal["inference", "generative", "both"]
Rows = Tensor | tuple[Tensor, ...]
"""x, shape (N, …), or x and its context (labels, the datum's index), N rows each."""


class LatentVariableModel(Protocol):
    """What :func:`fit` asks of a model."""

    def elbo_terms(self, x: Tensor, *context: Tensor, num_samples: int = 1) -> dict[str, Tensor]:
        """The named terms of each datum's ELBO, each of shape (batch,), in nats."""

    def inference_parameters(self) -> Iterable[Parameter]:
        """φ, or the λ_i of all data."""

    def generative_parameters(self) -> Iterable[Parameter]:
        """θ."""


class TrainingError(RuntimeError):
    """Training cannot go on: the ELBO is no longer a number."""


def fit(
    model: LatentVariableModel,
    data: Rows | Callable[[], Rows],
    *,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int,
    update: Update = "both",
    num_samples: int = 1,
    held_out: Rows | None = None,
    seed: int = 0,
    bfloat16: bool = False,
    scheduler: LRScheduler | None = None,
    history: History | None = None,
    callback: Callable[[int, LatentVariableModel, History], None] | None = None,
) -> History:
    """Auto-encoding variational Bayes: climb the ELBO by its gradient in φ (E-step), in θ (M-step), or in both at once.

    Each step draws a minibatch B of M rows and moves the chosen parameters along the gradient of
    ``1/M · Σ_{i∈B} 𝓛_i``. Every epoch goes through a fresh permutation of the data. All of its random numbers follow
    from ``seed`` and the epoch's number, so that a run that is stopped after an epoch and continued is the same run.
    Kingma & Welling (2014).

    Args:
        model: has ``elbo_terms``, ``inference_parameters`` and ``generative_parameters``. The data are moved to the
            device of its parameters.
        data: x, shape (N, …), or a tuple of x and its context (labels, the datum's index), N rows each; or a function
            that draws them anew for each epoch, from torch's global generator (dynamic binarization).
        optimizer: over the parameters that are updated; it may hold the others too, which then stay as they are.
        epochs: passes through the data, those in ``history`` included.
        batch_size: rows in a minibatch, M; the last one of an epoch may be smaller.
        update: ``"inference"`` moves φ alone (the E-step), ``"generative"`` θ alone (the M-step), ``"both"`` both.
        num_samples: Monte Carlo samples S a datum, for models whose ELBO is estimated.
        held_out: data whose ELBO is noted after every epoch, in evaluation mode; training does not depend on it.
        seed: of the permutations and of all that the model draws; torch's global generator is left as it was.
        bfloat16: compute products in bfloat16 (``torch.autocast``). Parameters stay in float32, and so do the means
            over a minibatch; a term that a model computes from a layer's output is in bfloat16, unless the model
            converts that output (``.float()``). Faster where the processor has such products, slower elsewhere.
        scheduler: of the optimizer's step size; it is stepped after every update, not after every epoch.
        history: of the epochs already run, which is continued in place. (A run that was stopped inside an epoch has
            moved its parameters since: continue it from a checkpoint.)
        callback: called after each epoch with its number (from 1), the model and the history.

    Returns:
        The terms of the ELBO per step and per epoch.

    Raises:
        ValueError: an argument, or what a function of the caller returned, does not fit.
        TrainingError: a term of the ELBO became NaN or infinite, and the parameters are those before that step (on a
            GPU, which is not made to wait for the answer, those after that epoch); or a parameter did, although the
            ELBO was finite.
    """
    _check_counts(epochs=(epochs, 1), batch_size=(batch_size, 1), num_samples=(num_samples, 1), seed=(seed, 0))
    parameters = _parameters_to_move(model, optimizer, update)
    device = parameters[0].device
    _check_options(optimizer, scheduler, parameters, bfloat16=bfloat16)
    history = History() if history is None else history
    fixed = data if callable(data) else _rows(data, device, "data")
    unseen = None if held_out is None else _rows(held_out, device, "held_out")
    history.continue_with(seed, held_out is not None)
    with trange(len(history) + 1, epochs + 1, desc="fit", unit="epoch", leave=False) as progress:
        for epoch in progress:
            with own_random_numbers(device, _epoch_seed(seed, epoch)):
                parts = _rows(fixed(), device, "data") if callable(fixed) else fixed
                batches = torch.randperm(len(parts[0])).to(device).split(batch_size)
                for step, batch in enumerate(batches, start=1):
                    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                        terms = model.elbo_terms(*(part[batch] for part in parts), num_samples=num_samples)
                    means = _means(terms, len(batch))
                    history.add_step(means)
                    optimizer.zero_grad()
                    (-_sum(means, epoch, step)).backward(inputs=parameters)  # optimizers descend
                    optimizer.step()
                    if scheduler is not None:
                        scheduler.step()
            steps = history.take_steps()
            _check_steps(steps, history.names, epoch)
            on_unseen = None if unseen is None else mean_elbo_terms(model, *unseen)
            _check_finite(parameters, on_unseen or {}, epoch)
            epoch_elbo = history.close_epoch(steps, [len(batch) for batch in batches], on_unseen)
            progress.set_postfix_str(f"ELBO {epoch_elbo:.5g} nats a datum")
            if callback is not None:
                callback(epoch, model, history)
    return history


def _epoch_seed(seed: int, epoch: int) -> int:
    """A seed for each epoch, unrelated to those of other epochs and other seeds."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0])


def _rows(rows: Rows, device: torch.device, name: str) -> tuple[Tensor, ...]:
    """The data as a tuple of tensors of the same length on the model's device."""
    if not isinstance(rows, Tensor | tuple | list):
        raise ValueError(f"{name} must be a tensor or a tuple of tensors, not a {type(rows).__name__}.")
    parts = (rows,) if isinstance(rows, Tensor) else tuple(rows)
    check_rows(parts, name)
    return tuple(part.to(device) for part in parts)


def _means(terms: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
    """The mean of each term over the minibatch, if the terms have the right shape."""
    if not isinstance(terms, dict) or not terms:
        what = "an empty one" if isinstance(terms, dict) else f"a {type(terms).__name__}"
        raise ValueError(f"elbo_terms must return a dictionary of named terms, but it returned {what}.")
    for name, term in terms.items():
        if term.shape != (rows,):
            raise ValueError(
                f"elbo_terms must return one value a datum: {name!r} should have the shape ({rows},), "
                f"but it has {tuple(term.shape)}."
            )
    return {name: term.mean(dtype=torch.promote_types(term.dtype, torch.float32)) for name, term in terms.items()}


def _sum(means: dict[str, Tensor], epoch: int, step: int) -> Tensor:
    """The ELBO of a minibatch, if it is a number. (A GPU is not made to wait: there, the end of the epoch tells.)"""
    elbo = sum(means.values())
    if elbo.device.type == "cpu" and not elbo.isfinite():
        _stop(means | {"sum": elbo}, epoch, step)
    return elbo


def _check_steps(steps: Tensor, names: Sequence[str], epoch: int) -> None:
    """Every term, (steps, terms), was a number in every step."""
    for step, row in enumerate(steps, start=1) if not steps.isfinite().all() else ():
        _stop(dict(zip(names, row, strict=True)), epoch, step)


def _stop(values: dict[str, Tensor], epoch: int, step: int) -> None:
    """Stop at the first value that is no number."""
    for name, value in values.items():
        if not value.isfinite():
            raise TrainingError(
                f"In epoch {epoch}, step {step}, the ELBO's term {name!r} became {value.item()}: lower the learning "
                "rate, or look for data or parameters that are not finite."
            )


def _check_options(
    optimizer: Optimizer, scheduler: LRScheduler | None, parameters: list[Parameter], *, bfloat16: bool
) -> None:
    """The scheduler is the optimizer's, and products in bfloat16 can be had."""
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise ValueError("The scheduler moves the step size of another optimizer: build it over the one given to fit.")
    if bfloat16 and any(parameter.dtype == torch.float64 for parameter in parameters):
        raise ValueError(
            "bfloat16=True has no effect on a model in float64, whose products stay in float64: convert the model and "
            "its data to float32, or leave bfloat16 out."
        )


def _check_finite(parameters: list[Parameter], on_unseen: dict[str, Tensor], epoch: int) -> None:
    """Stop after an epoch that left a parameter, or the ELBO of held-out data, without a value."""
    if not all(parameter.isfinite().all() for parameter in parameters):
        raise TrainingError(
            f"In epoch {epoch}, a parameter became NaN or infinite although the ELBO was finite: look for a function "
            "whose gradient is infinite where its value is not, such as a root at 0."
        )
    for name, mean in on_unseen.items():
        if not mean.isfinite():
            raise TrainingError(f"After epoch {epoch}, the ELBO's term {name!r} of the held-out data is {mean.item()}.")


def _check_counts(**counts: tuple[int, int]) -> None:
    """Every number is at least as large as it must be."""
    for name, (count, least) in counts.items():
        if count < least:
            raise ValueError(f"{name} must be at least {least}, not {count}.")


def _parameters_to_move(model: LatentVariableModel, optimizer: Optimizer, update: Update) -> list[Parameter]:
    """The parameters that ``update`` names, if the optimizer holds them."""
    groups = {"inference": model.inference_parameters, "generative": model.generative_parameters}
    if update not in {*groups, "both"}:
        raise ValueError(f"update must be 'inference', 'generative' or 'both', not {update!r}.")
    named = [parameter for name, group in groups.items() if update in (name, "both") for parameter in group()]
    chosen = [parameter for parameter in named if parameter.requires_grad]
    if not chosen:
        why = "all frozen" if named else "an empty list"
        raise ValueError(f"The model has no parameters to update: its {update} parameters are {why}.")
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise ValueError("fit hands the optimizer the negative ELBO to descend: build it without maximize=True.")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    missing = sum(id(parameter) not in held for parameter in chosen)
    if missing:
        raise ValueError(
            f"The optimizer holds {len(chosen) - missing} of the {len(chosen)} parameter tensors that "
            f"update={update!r} moves: give it all of them."
        )
    return chosen
