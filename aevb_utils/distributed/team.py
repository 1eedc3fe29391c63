"""What a training or an evaluation asks of the processes that it runs in: one alone, or several that share the rows."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.utils import _pytree as tree

from aevb_utils.distributed import group
from aevb_utils.distributed.group import ProcessError
from aevb_utils.distributed.looks import look
from aevb_utils.distributed.noise import Draw, NoiseError, Places, RowNoise

T = TypeVar("T")
LOOKED_AT = 100
"""How many rows of the data are compared between the processes."""


class Team:
    """One process alone, in which each method leaves all as it is."""

    rank, size = 0, 1

    def begin(self, model: object, optimizer: Optimizer, what: dict[str, object], *data: object) -> None:
        """All have the same model, optimizer, settings and data."""

    def watch(self, model: object, parts: Sequence[Tensor], num_samples: int) -> None:
        """Look at how the model draws, before the first step."""

    @contextmanager
    def share(self, batch: Tensor) -> Iterator[Tensor]:
        """The rows of a minibatch that are this process's, and in the ``with`` block their random numbers."""
        yield batch

    def add_gradients(self, parameters: Sequence[Parameter]) -> None:
        """The gradients of a whole minibatch, from those of the rows of :meth:`share`."""

    def steps(self, steps: Tensor) -> Tensor:
        """The means over an epoch's whole minibatches, shape (steps, terms), from those over this process's rows."""
        return steps

    def map(
        self,
        function: Callable[[tuple[Tensor, ...]], T],
        batches: Sequence[tuple[Tensor, ...]],
        model: object,
        method: str,
        num_samples: int,
    ) -> list[T]:
        """A function of each of some batches: the values of a model's method, whose last dimension goes over rows."""
        return [function(batch) for batch in batches]

    def end_epoch(self, parameters: Sequence[Parameter], drawn: Sequence[Tensor] | None) -> None:
        """All have the same parameters after an epoch, and had the same data, if these were drawn for it."""

    def wait(self) -> None:
        """Go on when all have come here."""


class Several(Team):
    """This process and the others of its run, each with a share of every minibatch."""

    def __init__(self) -> None:
        self.rank, self.size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        self._places: Places | None = None
        self._weights, self._draws, self._digest = [], [], 0

    def begin(self, model: object, optimizer: Optimizer, what: dict[str, object], *data: object) -> None:
        """All have the same settings and data; the model is that of the first process.

        Raises:
            ProcessError: they have not.
        """
        for module in _modules(model):
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.data.copy_(group.from_first(tensor.data))
            if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()):
                raise ProcessError(
                    "The model has batch normalization, which computes with the mean of a minibatch that no process "
                    "has: take nn.GroupNorm or nn.LayerNorm, or train in one process."
                )
        state = optimizer.state_dict()
        what |= {"an optimizer with the settings": repr(state["param_groups"])}
        what |= {"an optimizer's state with the digest": _digest(tree.tree_leaves(state["state"]))}
        what |= {f"data with the digest ({name})": _digest(_some(part)) for name, part in enumerate(data) if part}
        group.agree(what)

    def watch(self, model: object, parts: Sequence[Tensor], num_samples: int) -> None:
        """Find where the rows are in what the model draws, once.

        Raises:
            ProcessError: the model's terms of some rows are others in two processes than in one.
        """
        self._places = self._places or look(model, "elbo_terms", parts, num_samples)

    @contextmanager
    def share(self, batch: Tensor) -> Iterator[Tensor]:
        """The rows of a minibatch that are this process's, and in the ``with`` block their random numbers.

        The shares differ by one row at most. A process for which there is no row is lent the first one, which then
        counts nothing.

        Raises:
            ProcessError: the model draws what cannot be shared out.
        """
        begin, rows = self._bounds(len(batch))
        with _said(), RowNoise(self._places, begin, max(rows, 1), len(batch)) as noise:
            yield batch[begin : begin + max(rows, 1)]
        self._weights.append(rows / len(batch))
        self._draws, self._digest = noise.draws, noise.digest()

    def add_gradients(self, parameters: Sequence[Parameter]) -> None:
        """The gradients of a whole minibatch, from those of the rows of :meth:`share`.

        One sum over all processes, of: the gradients, weighted by rows; who has which gradient; and what each has
        drawn, to see that all drew the same.

        Raises:
            ProcessError: the processes drew different random numbers, or a gradient is sparse.
        """
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        if any(gradient.is_sparse for gradient in gradients):
            raise ProcessError("A gradient is sparse, which processes cannot add up here: build it with sparse=False.")
        form = torch.promote_types(torch.float32, _widest(gradients))
        weighted = [gradient.to(form).flatten() * self._weights[-1] for gradient in gradients]
        marks = torch.zeros(self.size, dtype=form)
        marks[self.rank] = self._digest  # of 24 bits, so that float32 holds it
        there = torch.tensor([each.grad is not None for each in parameters], dtype=form)
        device = gradients[0].device
        total = group.add_up(torch.cat([*weighted, marks.to(device), there.to(device)]))
        *sums, marks, there = total.split([*(each.numel() for each in gradients), self.size, len(parameters)])
        self._same_draws(marks, device)
        for parameter, gradient, total, known in zip(parameters, gradients, sums, there.tolist(), strict=True):
            parameter.grad = gradient.copy_(total.view_as(gradient)) if known else None

    def steps(self, steps: Tensor) -> Tensor:
        """The means over an epoch's whole minibatches, shape (steps, terms), from those over this process's rows."""
        weights, self._weights = torch.tensor(self._weights, dtype=steps.dtype), []
        return group.add_up(steps * weights[:, None])

    def map(
        self,
        function: Callable[[tuple[Tensor, ...]], T],
        batches: Sequence[tuple[Tensor, ...]],
        model: object,
        method: str,
        num_samples: int,
    ) -> list[T]:
        """As alone, but each process computes its share of every batch; all get all.

        Raises:
            ProcessError: the model draws what cannot be shared out.
        """
        places, own = look(model, method, batches[0], num_samples), []
        for batch in batches:
            begin, rows = self._bounds(len(batch[0]))
            with _said(), RowNoise(places, begin, max(rows, 1), len(batch[0])) as noise:
                values = function(tuple(part[begin : begin + max(rows, 1)] for part in batch))
            self._draws = noise.draws
            digests = torch.zeros(self.size)
            digests[self.rank] = noise.digest()
            self._same_draws(group.add_up(digests), batch[0].device)
            own.append(tree.tree_map(lambda value, rows=rows: value[..., :rows].cpu(), values))
        device = batches[0][0].device
        return [
            tree.tree_map(lambda *shares: torch.cat(shares, dim=-1).to(device), *shares)
            for shares in zip(*group.from_all(own), strict=True)
        ]

    def end_epoch(self, parameters: Sequence[Parameter], drawn: Sequence[Tensor] | None) -> None:
        """All have the same parameters after an epoch, and had the same data, if these were drawn for it.

        Raises:
            ProcessError: they have not.
        """
        of_data = {} if drawn is None else {"drawn data with the digest": _digest(_some(drawn))}
        group.agree(of_data | {"parameters with the digest": _digest(parameters)})

    def wait(self) -> None:
        """Go on when all have come here."""
        group.add_up(torch.zeros(1))

    def _bounds(self, rows: int) -> tuple[int, int]:
        """Where this process's share of so many rows begins, and how many it has."""
        begin = self.rank * rows // self.size
        share = (self.rank + 1) * rows // self.size - begin
        return (begin, share) if share else (0, 0)

    def _same_draws(self, marks: Tensor, device: torch.device) -> None:
        """All have drawn the same; or some less, as for shorter sequences, and then take the generator of the others.

        Raises:
            ProcessError: they drew different things.
        """
        if (marks == marks[0]).all():
            return
        draws: list[list[Draw]] = group.from_all(self._draws)
        most = max(range(self.size), key=lambda rank: len(draws[rank]))
        if any(draws[most][: len(each)] != each for each in draws):
            raise ProcessError(
                "The processes drew different random numbers for the rows of one minibatch, so that the step would be "
                "another one than in one process: what a model draws must not depend on which rows are together (cut "
                "all sequences at one length, or train without dropout)."
            )
        torch.set_rng_state(group.from_first(torch.get_rng_state(), most))
        if device.type == "cuda":
            torch.cuda.set_rng_state(group.from_first(torch.cuda.get_rng_state(device), most), device)


def team() -> Team:
    """Those that run this: this process alone, or, under ``torchrun``, all that it started.

    Raises:
        ProcessError: the others cannot be reached.
    """
    return Several() if group.is_several() else Team()


@contextmanager
def _said() -> Iterator[None]:
    """Say what to do where a model's noise cannot be shared out."""
    try:
        yield
    except NoiseError as error:
        raise ProcessError(
            f"The model cannot be shared out among processes by rows: {error}; train it in one process, or let it draw "
            "with one dimension that goes over the rows of the minibatch."
        ) from error


def _modules(model: object) -> list[nn.Module]:
    """The model, or the modules that it has."""
    parts = [model] if isinstance(model, nn.Module) else vars(model).values()
    return [part for part in parts if isinstance(part, nn.Module)]


def _widest(values: Sequence[Tensor]) -> torch.dtype:
    """A number format that holds all of some tensors'."""
    form = values[0].dtype
    for value in values:
        form = torch.promote_types(form, value.dtype)
    return form


def _some(parts: Sequence[Tensor]) -> list[object]:
    """A few rows of the data, evenly spread, and their shapes."""
    step = max(1, len(parts[0]) // LOOKED_AT)
    return [value for part in parts for value in (tuple(part.shape), part[::step])]


def _digest(values: Sequence[object]) -> str:
    """A hash of tensors and of what is none."""
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()[:12]
