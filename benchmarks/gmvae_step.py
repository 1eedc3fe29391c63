"""Chapter 9: one training step of the Gaussian-mixture VAE, against the textbook's encoder, which repeats x for each y.

``python benchmarks/gmvae_step.py`` prints the median processor time of a gradient of the ELBO and an Adam step, for a
batch of 100 of MNIST's size and ten classes, in float32 on one thread; the two take turns. It exits with an error if
the ratio is above 0.65.
"""

import statistics
import sys
import time

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent

from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.networks import GaussianNetwork, Network

D, L, C, WIDTHS, BATCH, ROUNDS = 784, 20, 10, (500, 500), 100, 30
BAR = 0.65


class Repeated(nn.Module):
    """The textbook's encoder: a network for y, and one for (x, y) on every pair."""

    def __init__(self) -> None:
        super().__init__()
        self.y_network = Network(D, WIDTHS, C)
        self.z_network = GaussianNetwork(D + C, WIDTHS, L)

    def features(self, x: Tensor) -> Tensor:
        """Nothing is shared."""
        return x

    def q_y(self, x: Tensor) -> Categorical:
        """q(y | x)."""
        return Categorical(logits=self.y_network(x))

    def q_z(self, x: Tensor, y: Tensor) -> Independent:
        """q(z | x, y) for each pair."""
        return self.z_network(x, y)


def seconds(model: GaussianMixtureVAE, optimizer: torch.optim.Optimizer, x: Tensor) -> float:
    """The processor time of one step."""
    started = time.process_time()
    optimizer.zero_grad()
    (-sum(model.elbo_terms(x).values()).mean()).backward()
    optimizer.step()
    return time.process_time() - started


def main() -> int:
    """Time both and compare."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.bernoulli(torch.full((BATCH, D), 0.2))
    models = {
        "shared": GaussianMixtureVAE(D, L, C, hidden=WIDTHS),
        "textbook": GaussianMixtureVAE(D, L, C, hidden=WIDTHS),
    }
    models["textbook"].encoder = Repeated()
    optimizers = {name: torch.optim.Adam(model.parameters(), fused=True) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS + 3):
        for name, model in models.items():
            times[name].append(seconds(model, optimizers[name], x))
    medians = {name: statistics.median(values[3:]) for name, values in times.items()}
    ratio = medians["shared"] / medians["textbook"]
    for name, median in medians.items():
        print(f"{name}: {1000 * median:.1f} ms a step")
    print(f"ratio {ratio:.2f}, at most {BAR}")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
