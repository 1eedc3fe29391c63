"""A simulated mixture of three overlapping Gaussians in the plane, or any other mixture."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aevb_utils.data.dataset import Dataset, on_cpu

MIXTURE_WEIGHTS = (0.5, 0.3, 0.2)
MIXTURE_MEANS = ((0.0, 0.0), (3.0, 1.5), (0.5, 3.5))
MIXTURE_COVARIANCES = (((1.0, 0.6), (0.6, 0.8)), ((0.7, -0.4), (-0.4, 0.9)), ((0.5, 0.0), (0.0, 0.3)))


@on_cpu
def simulated_mixture(
    n: int = 600,
    *,
    weights: Sequence[float] | Tensor = MIXTURE_WEIGHTS,
    means: Sequence[Sequence[float]] | Tensor = MIXTURE_MEANS,
    covariances: Sequence[Sequence[Sequence[float]]] | Tensor = MIXTURE_COVARIANCES,
    seed: int = 0,
) -> Dataset:
    r"""Draw n points from a Gaussian mixture, :math:`p(x) = \sum_c \pi_c\, \mathcal{N}(x; \mu_c, \Sigma_c)`.

    The default is a mixture of three overlapping components in the plane.

    Args:
        n: Number of points N, at least one.
        weights: Mixture weights, shape (C,), positive, summing to one.
        means: Component means, shape (C, D).
        covariances: Component covariances, shape (C, D, D), symmetric and positive definite.
        seed: Seed of the draw's own generator: torch's global one is neither read nor moved.

    Returns:
        A data set whose labels are the components the points were drawn from.

    Raises:
        ValueError: If n is not positive or the parameters do not describe a mixture.
    """
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be at least 1 point, a whole number, but it is {n!r}.")
    pi, mu, Sigma = (_numbers(value) for value in (weights, means, covariances))
    if pi.ndim != 1 or mu.ndim != 2 or len(mu) != len(pi) or Sigma.shape != (*mu.shape, mu.shape[1]):
        raise ValueError(
            "weights, means and covariances must have the shapes (C,), (C, D) and (C, D, D), "
            f"but they have {tuple(pi.shape)}, {tuple(mu.shape)} and {tuple(Sigma.shape)}."
        )
    if not mu.isfinite().all():
        raise ValueError(f"means must be finite, but they are {mu.tolist()}.")
    if pi.numel() == 0 or not (pi.min() > 0 and math.isclose(pi.sum().item(), 1.0, abs_tol=1e-6)):
        raise ValueError(f"weights must be positive and sum to one, but they are {pi.tolist()}.")
    factors, failures = torch.linalg.cholesky_ex(Sigma)  # (C, D, D)
    if failures.any() or not torch.allclose(Sigma, Sigma.mT):
        raise ValueError("Every covariance must be symmetric and positive definite, but at least one is not.")
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(pi, n, replacement=True, generator=generator)  # (N,)
    x = torch.randn(n, mu.shape[1], dtype=torch.float64, generator=generator)  # (N, D)
    for c in range(len(pi)):
        x[labels == c] = mu[c] + x[labels == c] @ factors[c].T
    return Dataset(
        name="Simulated mixture",
        train=x,
        train_labels=labels,
        feature_names=tuple(f"x{d}" for d in range(1, mu.shape[1] + 1)),
        label_names=tuple(f"component {c}" for c in range(1, len(pi) + 1)),
        values="a coordinate, without unit",
        source=f"Drawn from a Gaussian mixture of {len(pi)} components with seed {seed}.",
    )


def _numbers(value: object) -> Tensor:
    """A tensor of float64 of its own, whatever the numbers are in: lists, arrays of any byte order, tensors."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", torch.float64)
    if np.ma.is_masked(value):
        raise ValueError("The parameters of a mixture must be known, but some entries are masked.")
    return torch.tensor(np.asarray(value, dtype=np.float64))
