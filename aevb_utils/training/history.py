"""What a training has seen: the terms of the ELBO per step, per epoch, and on held-out data."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from aevb_utils.figures.style import PALETTE


class History:
    """The terms of the ELBO during training, in nats a datum: per step, per epoch, and on held-out data.

    A step's value is the mean over its minibatch, taken before the parameters move; an epoch's is the mean over all of
    its data; the held-out value is taken after the epoch. ``len(history)`` is the number of epochs.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.seed: int | None = None  # of the run
        self._open: list[Tensor] = []  # the steps of the epoch that is running
        self._steps: list[Tensor] = []  # each of shape (terms,)
        self._epochs: list[Tensor] = []
        self._held_out: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._epochs)

    def __repr__(self) -> str:
        return f"<History: {len(self)} epochs, {len(self._steps)} steps; {', '.join(self.names)}>"

    @property
    def steps(self) -> dict[str, Tensor]:
        """Each term by its name, shape (steps,), float64."""
        return dict(zip(self.names, _columns(self._steps), strict=False))

    @property
    def epochs(self) -> dict[str, Tensor]:
        """Each term by its name, shape (epochs,), float64."""
        return dict(zip(self.names, _columns(self._epochs), strict=False))

    @property
    def held_out(self) -> dict[str, Tensor]:
        """Each term on the held-out data by its name, shape (epochs,), float64; empty where there were none."""
        return dict(zip(self.names, _columns(self._held_out), strict=False))

    @property
    def step_elbo(self) -> Tensor:
        """The ELBO of each step, the sum of its terms, shape (steps,)."""
        return _columns(self._steps).sum(dim=0)

    @property
    def elbo(self) -> Tensor:
        """The ELBO of each epoch, the sum of its terms, shape (epochs,)."""
        return _columns(self._epochs).sum(dim=0)

    @property
    def held_out_elbo(self) -> Tensor:
        """The ELBO of the held-out data after each epoch, shape (epochs,), or (0,) where there were none."""
        return _columns(self._held_out).sum(dim=0)

    def continue_with(self, seed: int, with_held_out: bool) -> None:
        """Get ready for the next epoch: forget the steps of one that was broken off.

        Raises:
            ValueError: the run began with another seed, or with held-out data and goes on without, or the reverse.
        """
        if len(self) and seed != self.seed:
            raise ValueError(
                f"The history was begun with seed {self.seed} and this call has seed {seed}: continue as it began."
            )
        self.seed, self._open = seed, []
        self.names = self.names if len(self) else ()
        if len(self) and with_held_out != bool(self._held_out):
            had, now = ("had", "has none") if self._held_out else ("had no", "has some")
            raise ValueError(f"The history {had} held-out data and this call {now}: continue as it began.")

    def add_step(self, means: dict[str, Tensor]) -> None:
        """Note the means of a minibatch's terms; they stay on their device until the epoch is closed.

        Raises:
            ValueError: they are other terms than those of the steps before.
        """
        if self.names and tuple(means) != self.names:
            raise ValueError(
                f"The history's terms are {', '.join(self.names)}, but this step's are {', '.join(means)}: "
                "elbo_terms must return the same names at every step, and a run continues with the model it began with."
            )
        self.names = tuple(means)
        self._open.append(torch.stack([mean.detach() for mean in means.values()]))

    def take_steps(self) -> Tensor:
        """The steps of the epoch that is running, shape (steps, terms), float64, in one copy from their device."""
        steps, self._open = torch.stack(self._open).double().cpu(), []
        return steps

    def close_epoch(self, steps: Tensor, sizes: Sequence[int], held_out: dict[str, Tensor] | None = None) -> float:
        """Note an epoch: what :meth:`take_steps` gave, one row for each minibatch size, and the means of held-out data.

        Returns the epoch's ELBO.
        """
        weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        self._epochs.append(weights @ steps)
        self._steps += steps.unbind()
        if held_out is not None:
            self._held_out.append(torch.stack(list(held_out.values())).double().cpu())
        return self._epochs[-1].sum().item()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the ELBO against epochs: training data as a line, held-out data dashed. Returns the axes."""
        ax = plt.gca() if ax is None else ax
        epochs = range(1, len(self) + 1)
        ax.plot(epochs, self.elbo, color=PALETTE["elbo"], label="training data")
        if self._held_out:
            ax.plot(epochs, self.held_out_elbo, "--", color=PALETTE["elbo"], label="held-out data")
            ax.legend()
        ax.set(xlabel="epoch", ylabel="ELBO (nats a datum)")
        return ax

    def state_dict(self) -> dict[str, list[str] | int | Tensor | None]:
        """All of it as names and tensors, for a checkpoint."""
        tensors = {"steps": self._steps, "epochs": self._epochs, "held_out": self._held_out}
        names = {"names": list(self.names), "seed": self.seed}
        return names | {name: _columns(rows).T.contiguous() for name, rows in tensors.items()}

    @classmethod
    def from_state_dict(cls, state: dict[str, list[str] | int | Tensor | None]) -> "History":
        """The history that :meth:`state_dict` described."""
        history = cls()
        history.names, history.seed = tuple(state["names"]), state["seed"]
        history._steps, history._epochs, history._held_out = (
            list(state[name]) for name in ("steps", "epochs", "held_out")
        )
        return history


def _columns(rows: list[Tensor]) -> Tensor:
    """Recorded rows as columns, shape (terms, rows)."""
    return torch.stack(rows, dim=1) if rows else torch.empty(0, 0, dtype=torch.float64)
