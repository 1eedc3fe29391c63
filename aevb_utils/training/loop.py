"""The book's one training loop: gradient ascent on the ELBO in φ, in θ, or in both, for any model that has an ELBO."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import trange

from aevb_utils.distributed.team import Team, team
from aevb_utils.evaluation.bounds import check_terms, estimate
from aevb_utils.evaluation.devices import Stay
from aevb_utils.evaluation.first_look import check_data, number_format
from aevb_utils.evaluation.modes import own_random_numbers, training_mode
from aevb_utils.evaluation.rows import Rows, as_rows
from aevb_utils.inputs import check_count
from aevb_utils.training.arguments import (
    LatentVariableModel,
    Update,
    check_gradients,
    check_optimizer,
    check_products,
    parameters_to_move,
)
from aevb_utils.training.history import History
from aevb_utils.training.stops import check_finite, check_steps, keep_what_is_done, stop


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

    Under ``torchrun --nproc-per-node=W script.py`` the same call is made by W processes, on one machine or on several:
    each computes the gradient of its share of every minibatch, with the random numbers that one process would give to
    these rows, and all take the step of the whole minibatch. So the result is that of one process, up to rounding. The
    model is the first process's; data, seed and arguments must be the same in all, and so must what ``callback`` does
    to the model. A model for which a step would be another one is refused, see :mod:`aevb_utils.distributed`.

    Args:
        model: has ``elbo_terms``, ``inference_parameters`` and ``generative_parameters``. The data are moved to the
            device of its parameters; or it and they go to the one that
            :func:`~aevb_utils.evaluation.devices.compute_on` chose, and it and the optimizer's state are on the CPU
            again after the training, and during ``callback``. It is trained in training mode, also if somebody called
            ``model.eval()``, and is then in the mode it was in; a part that alone is in evaluation mode stays so.
        data: x, shape (N, …), or a tuple of x and its context (labels, the datum's index), N rows each, as tensors,
            arrays or lists in the model's number format; or a function that draws them anew for each epoch, from
            torch's global generator (dynamic binarization). They are looked at once, before the first step, see
            :func:`~aevb_utils.evaluation.first_look.check_data`.
        optimizer: over the parameters that are updated; it may hold the others too, which then stay as they are.
        epochs: passes through the data, those in ``history`` included.
        batch_size: rows in a minibatch, M, in all processes together; the last one of an epoch may be smaller.
        update: ``"inference"`` moves φ alone (the E-step), ``"generative"`` θ alone (the M-step), ``"both"`` both.
        num_samples: Monte Carlo samples S a datum, for models whose ELBO is estimated.
        held_out: data whose ELBO is noted after every epoch, in evaluation mode; training does not depend on it.
        seed: of the permutations and of all that the model draws; torch's global generator is left as it was.
        bfloat16: compute products in bfloat16 (``torch.autocast``). Parameters stay in float32, and so do the means
            over a minibatch; a term that a model computes from a layer's output is in bfloat16, unless the model
            converts that output (``.float()``). Faster where the processor has such products, slower elsewhere.
        scheduler: of the optimizer's step size; it is stepped after every update, not after every epoch.
        history: of the epochs already run, by the same model with the same arguments, which is continued in place;
            where it holds all epochs, a warning says so. (A run that was stopped inside an epoch has moved its
            parameters since: continue it from a checkpoint.)
        callback: called after each epoch with its number (from 1), the model and the history.

    Returns:
        The terms of the ELBO per step and per epoch.

    Raises:
        ValueError: an argument, or what a function of the caller returned, does not fit.
        TrainingError: a term of the ELBO became NaN or infinite, and the parameters are those before that step (on a
            GPU, which is not made to wait for the answer, or in several processes, those after that epoch); or a
            parameter did, although the ELBO was finite. Its ``history`` holds the epochs before.
        ProcessError: one of several processes has ended, does something else, or has a model that cannot be shared out.
        TrainingStopped: you did, by Ctrl-C or the stop button: a KeyboardInterrupt whose ``history`` holds the epochs
            that are done (in a notebook: ``import sys; history = sys.last_value.history``).
    """
    epochs, batch_size = check_count("epochs", epochs), check_count("batch_size", batch_size)
    num_samples, seed = check_count("num_samples", num_samples), check_count("seed", seed, 0)
    check_gradients()
    check_optimizer(optimizer, scheduler)
    parameters = parameters_to_move(model, optimizer, update)
    check_products(parameters, bfloat16=bfloat16)
    fixed = None if callable(data) else _checked(data, model, parameters[0].device, "data")
    unseen = None if held_out is None else _checked(held_out, model, parameters[0].device, "held_out")
    history = History() if history is None else history
    how = {"batch_size": batch_size, "num_samples": num_samples, "update": update, "bfloat16": bfloat16}
    history.continue_with(seed, held_out is not None, how | _description(model, fixed, unseen))
    crew = team()
    crew.begin(model, optimizer, {**history.settings, "seed": seed, "epochs": (len(history), epochs)}, fixed, unseen)
    if _nothing_is_left(history, epochs):
        return history
    with (
        keep_what_is_done(history, epochs),
        Stay(model, fixed, unseen, optimizer=optimizer) as stay,
        trange(len(history) + 1, epochs + 1, **BAR | ({"disable": True} if crew.rank else {})) as progress,
    ):
        device, fixed, unseen = parameters[0].device, stay.there(fixed), stay.there(unseen)
        for epoch in progress:
            with own_random_numbers(device, _epoch_seed(seed, epoch)), training_mode(model):
                parts = fixed or _drawn(data, model, device, epoch)
                crew.watch(model, parts, num_samples)
                batches = torch.randperm(len(parts[0]), device="cpu").to(device).split(batch_size)
                for step, batch in enumerate(batches, start=1):
                    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16), crew.share(batch) as rows:
                        terms = model.elbo_terms(*(part[rows] for part in parts), num_samples=num_samples)
                    means = _means(terms, len(rows))
                    history.add_step(means)
                    optimizer.zero_grad()
                    (-_sum(means, epoch, step, crew)).backward(inputs=parameters)  # optimizers descend
                    crew.add_gradients(parameters)
                    optimizer.step()
                    if scheduler is not None:
                        scheduler.step()
            steps = crew.steps(history.take_steps())
            check_steps(steps, history.names, epoch)
            on_unseen = None if unseen is None else _means(estimate(model, unseen), len(unseen[0]))
            check_finite(parameters, on_unseen or {}, epoch)
            crew.end_epoch(parameters, None if fixed else parts)
            epoch_elbo = history.close_epoch(steps, [len(batch) for batch in batches], on_unseen)
            progress.set_postfix_str(f"ELBO {epoch_elbo:.5g} nats a datum")
            if callback is not None:
                with stay.interrupted():
                    callback(epoch, model, history)  # which may freeze a layer, or replace it
                parameters = parameters_to_move(model, optimizer, update) if epoch < epochs else parameters
    crew.wait()  # until the last checkpoint is written
    return history


BAR = {"desc": "fit", "unit": "epoch", "leave": False}


def _nothing_is_left(history: History, epochs: int) -> bool:
    """Whether the history holds all epochs already; then say so.

    Raises:
        ValueError: it holds more.
    """
    if len(history) > epochs:
        raise ValueError(
            f"The history holds {len(history)} epochs and epochs is {epochs}: it counts those in the history too, so "
            f"that epochs={len(history) + epochs} trains {epochs} more."
        )
    if len(history) == epochs:
        warnings.warn(
            f"Nothing was trained: the history holds all {epochs} epochs. Raise epochs to go on, or leave history out "
            "to begin anew.",
            stacklevel=3,
        )
    return len(history) == epochs


def _epoch_seed(seed: int, epoch: int) -> int:
    """A seed for each epoch, unrelated to those of other epochs and other seeds."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0])


def _checked(rows: Rows, model: LatentVariableModel, device: torch.device, name: str) -> tuple[Tensor, ...]:
    """The data as tensors with the same number of rows on the model's device, if the model can be fitted to them."""
    parts = tuple(part.to(device) for part in as_rows(rows, name, number_format(model)))
    check_data(model, "elbo_terms", parts, name)
    return parts


def _drawn(
    source: Callable[[], Rows], model: LatentVariableModel, device: torch.device, epoch: int
) -> tuple[Tensor, ...]:
    """The data of an epoch, drawn by the caller's function."""
    try:
        rows = source()
    except StopIteration as error:
        raise ValueError(
            f"The function that draws the data has no more of them in epoch {epoch}: it is called once an epoch, so "
            "let it draw anew each time, or give the data themselves."
        ) from error
    return _checked(rows, model, device, "data")


def _means(terms: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
    """The mean of each term over the minibatch, if the terms have the right shape."""
    check_terms(terms, rows)
    return {name: term.mean(dtype=torch.promote_types(term.dtype, torch.float32)) for name, term in terms.items()}


def _sum(means: dict[str, Tensor], epoch: int, step: int, crew: Team) -> Tensor:
    """The ELBO of a minibatch, if it is a number. (On a GPU, and among processes, the end of the epoch tells.)"""
    elbo = sum(means.values())
    if elbo.device.type == "cpu" and crew.size == 1 and not elbo.isfinite():
        stop(means | {"sum": elbo}, epoch, step)
    return elbo


def _description(
    model: LatentVariableModel, data: tuple[Tensor, ...] | None, held_out: tuple[Tensor, ...] | None
) -> dict[str, str | int | None]:
    """What a run is of, as far as a History can tell it from another's."""
    parameters = [*model.inference_parameters(), *model.generative_parameters()]
    return {
        "model": type(getattr(model, "_orig_mod", model)).__name__,  # not torch.compile's wrapper
        "numbers to learn": sum(parameter.numel() for parameter in parameters),
        "rows": None if data is None else len(data[0]),
        "held-out rows": None if held_out is None else len(held_out[0]),
    }
