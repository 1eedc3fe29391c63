"""What a training has seen: the terms of the ELBO per step, per epoch, and on held-out data."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Settings = Mapping[str, str | int | bool | None]


class Epoch(NamedTuple):
    """What is kept of an epoch, float64, on the CPU."""

    steps: Tensor  # (steps, terms)
    mean: Tensor  # (terms,)
    held_out: Tensor | None  # (terms,)


class History:
    """The terms of the ELBO during training, in nats a datum: per step, per epoch, and on held-out data.

    A step's value is the mean over its minibatch, taken before the parameters move; an epoch's is the mean over all of
    its data; the held-out value is taken after the epoch. ``len(history)`` is the number of epochs.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.seed: int | None = None  # of the run
        self.settings: Settings = {}  # of the run: those of its arguments that must not change on the way
        self._open: list[Tensor] = []  # the steps of the epoch that is running, each of shape (terms,)
        self._closed: list[Epoch] = []

    def __len__(self) -> int:
        return len(self._closed)

    def __repr__(self) -> str:
        return f"<History: {len(self)} epochs, {len(self._rows('steps'))} steps; {', '.join(self.names)}>"

    @property
    def in_an_epoch(self) -> bool:
        """Whether steps were taken that are in no epoch: the run was stopped inside of one."""
        return bool(self._open)

    @property
    def steps(self) -> dict[str, Tensor]:
        """Each term by its name, shape (steps,), float64."""
        return dict(zip(self.names, _columns(self._rows("steps")), strict=False))

    @property
    def epochs(self) -> dict[str, Tensor]:
        """Each term by its name, shape (epochs,), float64."""
        return dict(zip(self.names, _columns(self._rows("epochs")), strict=False))

    @property
    def held_out(self) -> dict[str, Tensor]:
        """Each term on the held-out data by its name, shape (epochs,), float64; empty where there were none."""
        return dict(zip(self.names, _columns(self._rows("held_out")), strict=False))

    @property
    def step_elbo(self) -> Tensor:
        """The ELBO of each step, the sum of its terms, shape (steps,)."""
        return _columns(self._rows("steps")).sum(dim=0)

    @property
    def elbo(self) -> Tensor:
        """The ELBO of each epoch, the sum of its terms, shape (epochs,)."""
        return _columns(self._rows("epochs")).sum(dim=0)

    @property
    def held_out_elbo(self) -> Tensor:
        """The ELBO of the held-out data after each epoch, shape (epochs,), or (0,) where there were none."""
        return _columns(self._rows("held_out")).sum(dim=0)

    def continue_with(self, seed: int, with_held_out: bool, settings: Settings | None = None) -> None:
        """Get ready for the next epoch: forget the steps of one that was broken off.

        Args:
            seed: of the run.
            with_held_out: whether there are held-out data.
            settings: all else that must be as it was when the history was begun, as far as both know it.

        Raises:
            ValueError: the run began with another seed or other settings, or with held-out data and goes on without, or
                the reverse.
        """
        settings = {} if settings is None else settings
        if len(self):
            then, now = {"seed": self.seed, **self.settings}, {"seed": seed, **settings}
            for name in now:
                if then.get(name, now[name]) != now[name] and None not in (then[name], now[name]):
                    raise ValueError(
                        f"The history was begun with {name} {then[name]} and this call has {name} {now[name]}: "
                        "continue as it began, or leave history out to begin a new one."
                    )
            if with_held_out != self._has_held_out():
                had, has = ("had", "has none") if self._has_held_out() else ("had no", "has some")
                raise ValueError(f"The history {had} held-out data and this call {has}: continue as it began.")
        self.seed, self.settings, self._open = seed, {**self.settings, **settings}, []
        self.names = self.names if len(self) else ()

    def add_step(self, means: dict[str, Tensor]) -> None:
        """Note the means of a minibatch's terms; they stay on their device until the epoch is closed.

        Raises:
            ValueError: they are other terms than those of the steps before.
        """
        self.names = self.names or tuple(means)
        row = self._in_order(means, "this step's")
        self._open.append(torch.stack([mean.detach() for mean in row]))

    def take_steps(self) -> Tensor:
        """The steps of the epoch that is running, shape (steps, terms), float64, in one copy from their device."""
        return torch.stack(self._open).cpu().double()  # in this order: some devices have no float64

    def close_epoch(self, steps: Tensor, sizes: Sequence[int], held_out: dict[str, Tensor] | None = None) -> float:
        """Note an epoch: what :meth:`take_steps` gave, one row for each minibatch size, and the means of held-out data.

        Returns the epoch's ELBO.

        Raises:
            ValueError: the held-out data have other terms than the steps.
        """
        weights = torch.tensor(sizes, dtype=torch.float64, device="cpu") / sum(sizes)
        unseen = held_out and torch.stack(self._in_order(held_out, "those of the held-out data")).cpu().double()
        self._closed.append(Epoch(steps, weights @ steps, unseen))  # whole or, if the run is stopped here, not at all
        self._open = []
        return self._closed[-1].mean.sum().item()

    def _in_order(self, means: dict[str, Tensor], whose: str) -> list[Tensor]:
        """Means in the order of the names, if they have these names."""
        if means.keys() != set(self.names):
            raise ValueError(
                f"The history's terms are {', '.join(self.names)}, but {whose} are {', '.join(means)}: "
                "elbo_terms must return the same names at every step, and a run continues with the model it began with."
            )
        return [means[name] for name in self.names]

    def _rows(self, kind: str) -> list[Tensor]:
        """The rows of all steps, of all epochs, or of the held-out data, each of shape (terms,)."""
        if kind == "steps":
            return [row for epoch in self._closed for row in epoch.steps]
        rows = [epoch.mean if kind == "epochs" else epoch.held_out for epoch in self._closed]
        return [row for row in rows if row is not None]

    def _has_held_out(self) -> bool:
        return bool(self._rows("held_out"))

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the ELBO against epochs: training data as a line, held-out data dashed. Returns the axes."""
        import matplotlib.pyplot as plt  # here, because training does without

        from aevb_utils.figures.style import PALETTE

        ax = plt.gca() if ax is None else ax
        epochs = range(1, len(self) + 1)
        ax.plot(epochs, self.elbo, color=PALETTE["elbo"], label="training data")
        if self._has_held_out():
            ax.plot(epochs, self.held_out_elbo, "--", color=PALETTE["elbo"], label="held-out data")
            ax.legend()
        ax.set(xlabel="epoch", ylabel="ELBO (nats a datum)")
        return ax

    def state_dict(self) -> dict[str, object]:
        """All of it as names, settings and tensors, for a checkpoint."""
        tensors = {kind: _columns(self._rows(kind)).T.contiguous() for kind in ("steps", "epochs", "held_out")}
        lengths = [len(epoch.steps) for epoch in self._closed]
        about = {"names": list(self.names), "seed": self.seed, "settings": dict(self.settings), "lengths": lengths}
        return about | tensors

    @classmethod
    def from_state_dict(cls, state: Mapping[str, object]) -> "History":
        """The history that :meth:`state_dict` described; an older one, without settings, has all of it but these."""
        history = cls()
        history.names, history.seed = tuple(state["names"]), state["seed"]
        history.settings = dict(state.get("settings", {}))
        means, held_out = state["epochs"], state["held_out"]
        lengths = state.get("lengths", [len(each) for each in state["steps"].tensor_split(max(1, len(means)))])
        unseen = held_out if len(held_out) else [None] * len(means)
        steps = state["steps"].split(lengths) if len(means) else ()
        history._closed = [Epoch(*parts) for parts in zip(steps, means, unseen, strict=True)]
        return history


def _columns(rows: list[Tensor]) -> Tensor:
    """Recorded rows as columns, shape (terms, rows)."""
    return torch.stack(rows, dim=1) if rows else torch.empty(0, 0, dtype=torch.float64, device="cpu")
