"""The book's one training loop: gradient ascent on the ELBO in φ, in θ, or in both, for any model that has an ELBO."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from tqdm.auto import trange

Update = Literal["inference", "generative", "both"]


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


class History:
    """The terms of the ELBO during training, in nats a datum, per step and per epoch.

    A step's value is the mean over its minibatch, taken before the parameters move; an epoch's is the mean over all of
    its data.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._steps: list[Tensor] = []  # each of shape (terms,)
        self._epochs: list[Tensor] = []

    def __repr__(self) -> str:
        return f"<History: {len(self._epochs)} epochs, {len(self._steps)} steps; {', '.join(self._names)}>"

    @property
    def steps(self) -> dict[str, Tensor]:
        """Each term by its name, shape (steps,), float64."""
        return dict(zip(self._names, _columns(self._steps), strict=False))

    @property
    def epochs(self) -> dict[str, Tensor]:
        """Each term by its name, shape (epochs,), float64."""
        return dict(zip(self._names, _columns(self._epochs), strict=False))

    @property
    def step_elbo(self) -> Tensor:
        """The ELBO of each step, the sum of its terms, shape (steps,)."""
        return _columns(self._steps).sum(dim=0)

    @property
    def elbo(self) -> Tensor:
        """The ELBO of each epoch, the sum of its terms, shape (epochs,)."""
        return _columns(self._epochs).sum(dim=0)

    def add_step(self, means: dict[str, Tensor]) -> None:
        """Note the means of a minibatch's terms."""
        self._names = tuple(means)
        self._steps.append(torch.stack(list(means.values())).double().cpu())

    def close_epoch(self, sizes: Sequence[int]) -> float:
        """Sum up the last steps, one for each minibatch size, as an epoch; return its ELBO."""
        weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        self._epochs.append(weights @ torch.stack(self._steps[-len(sizes) :]))
        return float(self._epochs[-1].sum())


def fit(
    model: LatentVariableModel,
    data: Tensor | tuple[Tensor, ...],
    *,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int,
    update: Update = "both",
    seed: int = 0,
    num_samples: int = 1,
    callback: Callable[[int, LatentVariableModel, History], None] | None = None,
) -> History:
    """Climb the ELBO by gradient: an approximate E-step, an approximate M-step, or both at once.

    Each step draws a minibatch B of M rows and moves the chosen parameters along the gradient of
    ``1/M · Σ_{i∈B} 𝓛_i``. Every epoch goes through a fresh permutation of the data.

    Args:
        model: has ``elbo_terms``, ``inference_parameters`` and ``generative_parameters``.
        data: x, shape (N, …), or a tuple of x and its context (labels, the datum's index), N rows each.
        optimizer: over the parameters that are updated; it may hold the others too, which then stay as they are.
        epochs: passes through the data.
        batch_size: rows in a minibatch, M; the last one of an epoch may be smaller.
        update: ``"inference"`` moves φ alone (the E-step), ``"generative"`` θ alone (the M-step), ``"both"`` both.
        seed: of the permutations and of all that the model draws; torch's global generator is left as it was.
        num_samples: Monte Carlo samples S a datum, for models whose ELBO is estimated.
        callback: called after each epoch with its number (from 1), the model and the history.

    Returns:
        The terms of the ELBO per step and per epoch.

    Raises:
        ValueError: an argument does not fit; no parameter has moved.
        TrainingError: a term of the ELBO became NaN or infinite; the parameters are those before that step.
    """
    parts = _check_data(data)
    parameters = _check_parameters(model, optimizer, update)
    for name, count in [("epochs", epochs), ("batch_size", batch_size), ("num_samples", num_samples)]:
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}.")
    history = History()
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(), trange(1, epochs + 1, desc="fit", unit="epoch", leave=False) as progress:
        torch.manual_seed(seed)
        for epoch in progress:
            batches = torch.randperm(len(parts[0]), generator=order).split(batch_size)
            for step, rows in enumerate(batches, start=1):
                terms = model.elbo_terms(*(part[rows] for part in parts), num_samples=num_samples)
                means = _means(terms, len(rows), f"epoch {epoch}, step {step}")
                optimizer.zero_grad()
                (-sum(means.values())).backward(inputs=parameters)
                optimizer.step()
                history.add_step({name: mean.detach() for name, mean in means.items()})
            elbo = history.close_epoch([len(rows) for rows in batches])
            progress.set_postfix_str(f"ELBO {elbo:.5g} nats a datum")
            if callback is not None:
                callback(epoch, model, history)
    return history


def _means(terms: dict[str, Tensor], rows: int, place: str) -> dict[str, Tensor]:
    """The mean of each term over the minibatch, if the terms have the right shape and are finite."""
    for name, term in terms.items():
        if term.shape != (rows,):
            raise ValueError(
                f"elbo_terms must return one value a datum: {name!r} should have the shape ({rows},), "
                f"but it has {tuple(term.shape)}."
            )
    means = {name: term.mean() for name, term in terms.items()}
    for name, mean in means.items():
        if not mean.isfinite():
            raise TrainingError(
                f"In {place}, the ELBO's term {name!r} became {mean.item()}: lower the learning rate, or look for data "
                "or parameters that are not finite."
            )
    return means


def _check_data(data: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The data as a tuple of tensors of the same length."""
    parts = (data,) if isinstance(data, Tensor) else tuple(data)
    lengths = [len(part) for part in parts]
    if not lengths or min(lengths) < 1 or len(set(lengths)) > 1:
        raise ValueError(f"data must be tensors with the same number of rows, at least one, but they have {lengths}.")
    return parts


def _check_parameters(model: LatentVariableModel, optimizer: Optimizer, update: Update) -> list[Parameter]:
    """The parameters that ``update`` names, if the optimizer holds them."""
    groups = {"inference": model.inference_parameters, "generative": model.generative_parameters}
    if update not in {*groups, "both"}:
        raise ValueError(f"update must be 'inference', 'generative' or 'both', not {update!r}.")
    chosen = [parameter for name, group in groups.items() if update in (name, "both") for parameter in group()]
    if not chosen:
        raise ValueError(f"The model has no parameters to update: its {update} parameters are an empty list.")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    missing = sum(id(parameter) not in held for parameter in chosen)
    if missing:
        raise ValueError(
            f"The optimizer holds {len(chosen) - missing} of the {len(chosen)} parameter tensors that "
            f"update={update!r} moves: give it all of them."
        )
    return chosen


def _columns(rows: list[Tensor]) -> Tensor:
    """Recorded rows as columns, shape (terms, rows)."""
    return torch.stack(rows, dim=1) if rows else torch.empty(0, 0, dtype=torch.float64)
