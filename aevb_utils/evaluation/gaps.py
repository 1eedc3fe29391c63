"""The gap between evidence and ELBO and its two parts, eq. (4.5), all by quadrature.

Exported from notebooks/04_amortization.ipynb by ``make export``: edit the chapter.
"""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from aevb_utils.evaluation.devices import on_chosen_device
from aevb_utils.evaluation.quadrature import Grid, gauss_hermite, make_grid


class AmortizedModel(Protocol):
    """What the gaps are measured on: a model with a latent of few dimensions."""

    def encode(self, x: Tensor) -> Tensor:
        """λ of each datum, shape (batch, P); its first L numbers are the mean of q."""

    def q(self, lam: Tensor) -> MultivariateNormal:
        """The approximate posteriors with parameters λ, (batch, P)."""

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """The log of p(x_i, z), (S, batch), for z of shape (S, batch, L)."""

    def log_joint_table(self, x: Tensor, points: Tensor) -> Tensor:
        """The log of p(x_i, z_g), (batch, G), for points of shape (G, L)."""


@on_chosen_device  # a GPU, where compute_on was called
@torch.no_grad()
def sweep(model: AmortizedModel, x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """The log of p(x_i), eq. (4.11), in nats, (batch,), and the top of p(x_i, z).

    The top, shape (batch, L), is the point of the grid where log p(x_i, z) is largest.
    """
    sums, tops, places = [], [], []
    for block in grid.points.to(x).split(8192):  # memory: one block of points at a time
        table = model.log_joint_table(x, block)
        sums.append(table.logsumexp(dim=1))
        top, index = table.max(dim=1)
        tops.append(top)
        places.append(block[index])
    best = torch.stack(tops).argmax(dim=0)  # the block with the highest point
    highest = torch.stack(places)[best, torch.arange(len(x))]
    return torch.stack(sums).logsumexp(dim=0) + grid.log_cell, highest


def log_evidence(model: AmortizedModel, x: Tensor, grid: Grid) -> Tensor:
    """The log of p(x_i), eq. (4.11), on a grid over z, in nats, shape (batch,)."""
    return sweep(model, x, grid)[0]


def expected_log_joint(
    model: AmortizedModel, x: Tensor, q: MultivariateNormal, nodes: Tensor, weights: Tensor
) -> Tensor:
    """Σ_g w_g log p(x_i, m_i + K_i u_g): E_q log p(x_i, z) by quadrature, (batch,)."""
    total = torch.zeros_like(q.loc[:, 0])
    for u, w in zip(nodes.split(64), weights.split(64), strict=True):
        z = q.loc + torch.einsum("nij,gj->gni", q.scale_tril, u)  # (G, batch, L)
        total = total + w @ model.log_joint(x, z)
    return total


def quadrature_elbo(
    model: AmortizedModel, x: Tensor, lam: Tensor, *, order: int = 20
) -> Tensor:
    """The ELBO of each datum at its λ, eq. (4.12), in nats, shape (batch,)."""
    q = model.q(lam)
    nodes, weights = gauss_hermite(order, q.loc.shape[1])
    nodes, weights = nodes.to(x), weights.to(x)
    return expected_log_joint(model, x, q, nodes, weights) + q.entropy()


@on_chosen_device
@torch.no_grad()
def kl_to_posterior(
    model: AmortizedModel, x: Tensor, lam: Tensor, log_p_x: Tensor, *, size: int = 32
) -> Tensor:
    """KL(q ‖ p(z | x)), eq. (4.13), on a grid in q's coordinates, in nats, (batch,).

    ``log_p_x`` normalizes the posterior, (batch,); the grid has ``size`` points per side.
    """
    q = model.q(lam)
    L = q.loc.shape[1]
    grid = make_grid([(-8.0, 8.0)] * L, size)
    u = grid.points.to(x)
    log_normal = -u.square().sum(dim=1) / 2 - L / 2 * math.log(2 * math.pi)  # (G,)
    weights = (log_normal + grid.log_cell).exp()  # of q(z) dz
    log_det = q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
    log_q = weights @ log_normal - log_det  # E_q log q, (batch,)
    return log_q - expected_log_joint(model, x, q, u, weights) + log_p_x


@on_chosen_device
def refine(
    model: AmortizedModel,
    x: Tensor,
    lam: Tensor,
    *,
    steps: int = 100,
    learning_rate: float = 0.05,
    order: int = 6,
) -> Tensor:
    """Climb each datum's ELBO (4.12) from λ by Adam; return the best λ on the way.

    The climb uses ``order`` nodes per dimension, few for speed, and a step size that falls
    to 0 on a cosine. A datum whose ELBO, with all nodes, is not higher at the end keeps
    its start. λ has the shape (batch, P). Raises ValueError for less than one step.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}.")
    climbing = lam.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([climbing], lr=learning_rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best_lam, best = lam.detach().clone(), torch.full_like(lam[:, 0], -math.inf)
    for _ in range(steps + 1):
        elbo = quadrature_elbo(model, x, climbing, order=order)
        higher = elbo.detach() > best
        best_lam[higher] = climbing.detach()[higher]
        best[higher] = elbo.detach()[higher]
        (climbing.grad,) = torch.autograd.grad(-elbo.sum(), climbing)
        optimizer.step()
        decay.step()
    with torch.no_grad():
        gain = quadrature_elbo(model, x, best_lam) - quadrature_elbo(model, x, lam)
    return torch.where(gain[:, None] > 0, best_lam, lam.detach())


class GapSplit(NamedTuple):
    """The terms of eq. (4.5), in nats, each (batch,), and the λ they belong to."""

    log_evidence: Tensor  # on a grid over z, eq. (4.11)
    elbo: Tensor  # of q_φ, by Gauss–Hermite, eq. (4.12)
    elbo_warm: Tensor  # the best that is found from q_φ
    elbo_star: Tensor  # of q*, the better of that and what is found from the peak
    kl: Tensor  # from q_φ to the posterior, on a grid, eq. (4.13)
    kl_star: Tensor  # from q* to the posterior
    lam: Tensor  # of q_φ, (batch, P)
    lam_star: Tensor  # of q*, (batch, P)

    @property
    def amortization_gap(self) -> Tensor:
        """What the network costs: 𝓛(q*) − 𝓛(q_φ)."""
        return self.elbo_star - self.elbo

    @property
    def approximation_gap(self) -> Tensor:
        """What the family costs: log p(x) − 𝓛(q*)."""
        return self.log_evidence - self.elbo_star


@on_chosen_device
def split_gaps(
    model: AmortizedModel, x: Tensor, grid: Grid, second_grid: Grid, *, steps: int = 100
) -> GapSplit:
    """Measure both gaps of eq. (4.5) for each datum; q* is searched with 2 × ``steps``.

    The evidence is summed over ``grid``; the posterior in the KLs is normalized on
    ``second_grid``, so that evidence = ELBO + KL tests the grids too.
    """
    evidence, highest = sweep(model, x, grid)
    log_p_x = log_evidence(model, x, second_grid)
    lam = model.encode(x).detach()
    warm = refine(model, x, lam, steps=steps)
    moved = torch.cat([highest, lam[:, highest.shape[1] :]], dim=1)  # mean to the top
    peak = refine(model, x, moved, steps=steps)
    with torch.no_grad():
        elbo, elbo_warm, elbo_peak = (
            quadrature_elbo(model, x, each) for each in (lam, warm, peak)
        )
    lam_star = torch.where((elbo_peak > elbo_warm)[:, None], peak, warm)
    elbo_star = torch.maximum(elbo_warm, elbo_peak)
    kls = [kl_to_posterior(model, x, each, log_p_x) for each in (lam, lam_star)]
    return GapSplit(evidence, elbo, elbo_warm, elbo_star, *kls, lam, lam_star)
