"""What a model of one's own often needs: a sampled KL, free λ_i, a training.

Exported from notebooks/11_your_own_model.ipynb by ``make export``: edit the chapter.
"""

import copy
import math

import torch
from torch import Tensor, nn

from aevb_utils.inputs import as_indices, check_count, check_sizes
from aevb_utils.models.vae import AutoEncodingModel
from aevb_utils.training import History, fit


class SampledKL(AutoEncodingModel):
    """For a prior and a q whose KL is not known: both terms from the same samples."""

    def elbo_terms(
        self, x: Tensor, *context: Tensor, num_samples: int = 1
    ) -> dict[str, Tensor]:
        """The two terms of the ELBO of each datum, in nats, (batch,) each."""
        q, p_z, p_x_given_z = self.parts(x, *context)
        z = q.rsample((check_count("num_samples", num_samples),))  # (S, batch, L)
        reconstruction = p_x_given_z(z).log_prob(x)  # (S, batch)
        minus_kl = p_z.log_prob(z) - q.log_prob(z)
        means = reconstruction.mean(dim=0), minus_kl.mean(dim=0)
        return dict(zip(("reconstruction", "minus_kl"), means, strict=True))


class FreeParameters(nn.Module):
    """A table of λ_i in an encoder's place: K numbers for each of N data, at first 0."""

    def __init__(self, N: int, K: int) -> None:
        super().__init__()
        check_sizes(N=N, K=K)
        self.lam = nn.Parameter(torch.zeros(N, K))

    def forward(self, i: Tensor) -> Tensor:
        """The rows of the data with these indices, (batch, K)."""
        return self.lam[as_indices("indices of data", i, i, most=len(self.lam) - 1)]


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy at parameters that are nothing special: to each, 0.3 · N(0, 1) is added."""
    other, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.3 * noise.to(parameter))
    return other


def train(
    model: nn.Module, data: Tensor | tuple[Tensor, ...], epochs: int, rate: float, *,
    batch_size: int, num_samples: int = 1, seed: int = 0,
    held_out: Tensor | tuple[Tensor, ...] | None = None,
) -> History:  # fmt: skip
    """The book's fit, with Adam and a step size that falls to zero along a cosine.

    ``epochs`` times N / ``batch_size``, rounded up, is the number of steps, and steps are
    what counts: Adam moves a parameter by at most about ``rate`` in each. For the other
    arguments see :func:`aevb_utils.training.fit`.
    """
    rows = len(data[0] if isinstance(data, tuple) else data)
    steps = epochs * math.ceil(rows / check_count("batch_size", batch_size))
    moved = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(moved, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    sizes = {"epochs": epochs, "batch_size": batch_size, "num_samples": num_samples}
    options = {"scheduler": schedule, "held_out": held_out, "seed": seed}
    return fit(model, data, optimizer=optimizer, **sizes, **options)
