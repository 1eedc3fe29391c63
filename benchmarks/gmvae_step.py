"""Chapter 9: one training step of the Gaussian-mixture VAE, against the textbook's vectorization of the sum over y.

The textbook repeats each x for every y, appends the one-hot y, and runs a VAE on all these rows: encoder, likelihood
and KL. Both have the same decoder and the same tables of p(z | y), and compute the same three terms.

``python benchmarks/gmvae_step.py`` prints the median processor time of a gradient of the ELBO and an Adam step, for a
batch of 100 of MNIST's size and ten classes, in float32 on one thread; the two take turns. It exits with an error if
the ratio is above 0.6.
"""

import statistics
import sys

import torch
from _rows import Row, ratios
from _steps import step_times
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE, MixturePrior
from aevb_utils.networks import GaussianNetwork, Network, bernoulli

D, L, C, WIDTHS, BATCH, ROUNDS = 784, 20, 10, (500, 500), 100, 30
BAR = 0.6


class Textbook(MixturePrior):
    """The same model with a network for q(y | x), and one for q(z | x, y) on x and y joined."""

    def __init__(self) -> None:
        super().__init__(L, C, mean_scale=0.16)
        self.y_network = Network(D, WIDTHS, C)
        self.z_network = GaussianNetwork(D + C, WIDTHS, L)
        self.decoder = Network(L, WIDTHS[::-1], D)

    def elbo_terms(self, x: Tensor) -> dict[str, Tensor]:
        """The three terms, each (batch,): the pairs of a datum and a class are the rows of a VAE's batch."""
        q_y = Categorical(logits=self.y_network(x))
        y = self.classes().repeat(len(x), 1)  # (batch · C, C)
        x = x.repeat_interleave(C, dim=0)  # (batch · C, D)
        q_z = self.z_network(x, y)
        log_likelihood = bernoulli(self.decoder(q_z.rsample())).log_prob(x)
        kl_z = kl_divergence(q_z, self.p_z_given_y(y))
        return {
            "reconstruction": (q_y.probs * log_likelihood.reshape(-1, C)).sum(dim=1),
            "minus_kl_z": -(q_y.probs * kl_z.reshape(-1, C)).sum(dim=1),
            "minus_kl_y": -kl_divergence(q_y, self.p_y()),
        }


def measure(rounds: int) -> dict[str, list[float]]:
    """The processor times of a step of both models, in seconds."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.bernoulli(torch.full((BATCH, D), 0.2))
    models = {"shared": GaussianMixtureVAE(D, L, C, hidden=WIDTHS), "textbook": Textbook()}
    return step_times(models, lambda model, x: sum(model.elbo_terms(x).values()), x, rounds)


def rows(rounds: int = ROUNDS) -> list[Row]:
    """The row of the book's table."""
    times = measure(rounds)
    means = "Processor time of a step; the textbook runs a VAE on every pair of a datum and a class. Below 1 is faster."
    name = "Gaussian-mixture VAE: this book / the textbook's PyTorch"
    return [Row(name, means, ratios(times["shared"], times["textbook"]))]


def main() -> int:
    """Time both and compare."""
    medians = {name: statistics.median(times) for name, times in measure(ROUNDS).items()}
    ratio = medians["shared"] / medians["textbook"]
    for name, median in medians.items():
        print(f"{name}: {1000 * median:.1f} ms a step")
    print(f"ratio {ratio:.3f}, at most {BAR}")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
