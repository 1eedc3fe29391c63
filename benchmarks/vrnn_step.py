"""Chapter 10: one training step of the variational RNN, against the textbook's loop with separate networks.

``python benchmarks/vrnn_step.py`` prints the median processor time of a gradient of the ELBO and an Adam step, for a
batch of 100 of 28 rows of 28 pixels, L = 2 and H = 256, in float32 on one thread; the three take turns.

- *chapter*: the chapter's model. What does not depend on the recurrence is computed for all steps at once.
- *textbook*: encoder, prior and decoder are networks of their own with two hidden layers of 500, called at each step on
  inputs that are joined there, as in the code of arXiv 2208.07818; the recurrence is one GRU cell, not its two LSTMs.
- *same networks, step by step*: the chapter's networks in the textbook's loop; what the order of computation saves.

It exits with an error if chapter / textbook is above 0.5.
"""

import statistics
import sys

import torch
from _rows import Row, ratios
from _steps import step_times
from torch import Tensor, nn
from torch.distributions import kl_divergence

from aevb_utils.models.variational_rnn import VariationalRNN
from aevb_utils.networks import GaussianNetwork, Network, bernoulli

D, L, H, T, WIDTHS, BATCH, ROUNDS = 28, 2, 256, 28, (500, 500), 100, 15
BAR = 0.5


class Textbook(nn.Module):
    """Separate networks, one step after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = GaussianNetwork(D + H, WIDTHS, L)
        self.prior = GaussianNetwork(H, WIDTHS, L)
        self.decoder = Network(L + H, WIDTHS, D)
        self.cell = nn.GRUCell(D + L, H)

    def elbo(self, x: Tensor) -> Tensor:
        """Eq. (10.17), as it is written."""
        h, total = x.new_zeros(len(x), H), x.new_zeros(len(x))
        for t in range(x.shape[1]):
            q = self.encoder(x[:, t], h)
            z = q.rsample()
            total = total + bernoulli(self.decoder(z, h)).log_prob(x[:, t]) - kl_divergence(q, self.prior(h))
            h = self.cell(torch.cat([x[:, t], z], dim=1), h)
        return total


class StepByStep(VariationalRNN):
    """The chapter's networks in the textbook's loop."""

    def elbo(self, x: Tensor) -> Tensor:
        """Eq. (10.17), as it is written."""
        h, total = x.new_zeros(len(x), H), x.new_zeros(len(x))
        for t in range(x.shape[1]):
            q = self.q_z_given_x(self.encoder.of_x(x[:, t]), h)
            z = q.rsample()
            total = total + self.p_x_given_z(z, h).log_prob(x[:, t]) - kl_divergence(q, self.p_z(h))
            h = self.recurrence(self.recurrence.of_x(x[:, t]), z, h)
        return total


def measure(rounds: int) -> dict[str, list[float]]:
    """The processor times of a step of the three, in seconds."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.bernoulli(torch.full((BATCH, T, D), 0.2))
    models = {
        "chapter": VariationalRNN(D, L, H, T=T),
        "textbook": Textbook(),
        "same networks, step by step": StepByStep(D, L, H, T=T),
    }
    return step_times(models, lambda model, x: model.elbo(x), x, rounds)


def rows(rounds: int = ROUNDS) -> list[Row]:
    """The rows of the book's table."""
    times = measure(rounds)
    chapter = times["chapter"]
    textbook = "Processor time of a step; the textbook's networks are separate, larger, and called at each step."
    order = "The same networks, called at each step: what the order of computation saves. Below 1 is faster."
    return [
        Row("Variational RNN: this book / the textbook's PyTorch", textbook, ratios(chapter, times["textbook"])),
        Row(
            "Variational RNN: this book / the same, step by step",
            order,
            ratios(chapter, times["same networks, step by step"]),
        ),
    ]


def main() -> int:
    """Time the three and compare."""
    medians = {name: statistics.median(times) for name, times in measure(ROUNDS).items()}
    for name, median in medians.items():
        print(f"{name}: {1000 * median:.1f} ms a step, ratio {medians['chapter'] / median:.3f}")
    ratio = medians["chapter"] / medians["textbook"]
    print(f"chapter / textbook {ratio:.3f}, at most {BAR}")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
