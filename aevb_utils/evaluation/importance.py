"""What importance weights say of q and θ: effective samples, Pareto k̂, information.

Exported from notebooks/11_your_own_model.ipynb by ``make export``: edit the chapter.
"""

import math

import torch
from torch import Tensor, nn

from aevb_utils.evaluation.contexts import call_with_context
from aevb_utils.evaluation.modes import evaluation_mode, own_random_numbers


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """(Σ_k w_k)² / Σ_k w_k² of log weights (K, batch): from 1 to K, (batch,)."""
    return 1 / log_weights.softmax(dim=0).square().sum(dim=0)


def pareto_k(log_weights: Tensor) -> Tensor:
    """k̂ of eq. (11.21) for log weights (K, batch), of the largest of them, (batch,).

    The largest min(K / 5, 3 √K) weights are fitted as Zhang & Stephens (2009) do, with the
    mean over a grid of b = −k / σ; and k̂ is pulled towards 1/2 as by ten more weights, as
    in Vehtari et al. (2024). Minus infinity where the largest weights are all equal.

    Raises:
        ValueError: there are fewer than 25 samples.
    """
    K = len(log_weights)
    if log_weights.ndim != 2 or K < 25:
        raise ValueError(
            "Expected log weights of shape (num_samples, batch) with at least 25 samples, "
            f"not {tuple(log_weights.shape)}."
        )
    n = int(min(K / 5, 3 * math.sqrt(K)))
    w = (log_weights - log_weights.amax(dim=0)).exp().sort(dim=0).values
    y = w[-n:] - w[-n - 1]  # above the threshold, (n, batch)
    equal = y[-1] <= 0
    y = torch.where(equal, torch.linspace(0.5, 1, n).to(y)[:, None], y)
    m = 30 + int(math.sqrt(n))
    steps = (torch.arange(m).to(y) + 0.5)[:, None]
    quartile = y[int(n / 4 + 0.5) - 1].clamp(min=1e-300)
    b = 1 / y[-1] + (1 - (m / steps).sqrt()) / (3 * quartile)  # (m, batch)
    k = torch.log1p(-b[:, None] * y).mean(dim=1)
    profile = n * ((-b / k).log() - k - 1)  # log-likelihood at the best k for this b
    b = (profile.softmax(dim=0) * b).sum(dim=0)
    k = (n * torch.log1p(-b * y).mean(dim=0) + 5) / (n + 10)
    return torch.where(equal, -math.inf, k)


def curvature(value: Tensor, theta: list[nn.Parameter]) -> tuple[Tensor, Tensor]:
    """The gradient of a number in θ, (p,), and minus its second derivatives, (p, p)."""

    def flat(value: Tensor, **options: bool) -> Tensor:
        parts = torch.autograd.grad(value, theta, materialize_grads=True, **options)
        return torch.cat([part.flatten() for part in parts])

    gradient = flat(value, create_graph=True)
    rows = [flat(entry, retain_graph=True) for entry in gradient]
    return gradient.detach(), -torch.stack(rows)


def information(
    model: nn.Module, x: Tensor, *context: Tensor, num_samples: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Gradient and observed information of the log evidence in θ, by eq. (11.22).

    Of all of θ that is not frozen, in the order of ``generative_parameters``. The roots of
    the inverse's diagonal are standard errors. Trust it where
    :func:`effective_sample_size` is near ``num_samples``, or :func:`pareto_k` is low.
    """
    theta = [each for each in model.generative_parameters() if each.requires_grad]
    with evaluation_mode(model), own_random_numbers(x.device, seed):
        with torch.no_grad():
            q = model.q_z_given_x(x, *context)
            z = q.sample((num_samples,))
            log_q = q.log_prob(z)
        with torch.enable_grad():
            p_x = call_with_context(model.p_x_given_z, z, context=context)
            log_p_z = call_with_context(model.p_z, context=context).log_prob(z)
            log_w = p_x.log_prob(x) + log_p_z - log_q  # (K, batch)
            bound = log_w.logsumexp(dim=0) - math.log(num_samples)
            return curvature(bound.sum(), theta)
