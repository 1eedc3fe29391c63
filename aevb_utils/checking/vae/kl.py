"""What a loss does with μ and the width of q: the KL to a Gaussian prior, how often, and what of it is wrong.

The KL of one latent is A μ²/2 + B μ + V σ²/2 − G log σ. For a prior N(m, s²) and the weight a: A = V = a/s²,
B = −a m/s² and G = a. The four are found from exact derivatives at several points, for each number of μ on its own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from aevb_utils.checking.vae.scales import SCALES, Scale
from aevb_utils.checking.vae.subject import Gradients, Subject

POINTS = 6
FITS = 2e-4
"""Up to which relative error a form explains the derivatives."""


@dataclass(frozen=True)
class Coefficients:
    """What a loss makes of q, in the scale that explains it; each coefficient has the shape of μ."""

    scale: Scale
    square: Tensor
    linear: Tensor
    variance: Tensor
    log: Tensor

    @property
    def weight(self) -> float:
        """a, the weight of the KL, as by the logarithm."""
        return self.log.mean().item()

    def agree(self, first: Tensor, second: Tensor, factor: float = 1.0) -> bool:
        """Whether two coefficients are the same everywhere, up to a factor."""
        size = max(self.size, 1e-30)
        return bool(((first - factor * second).abs() < 1e-2 * size).all())

    @property
    def size(self) -> float:
        """The largest of all."""
        return max(each.abs().max().item() for each in (self.square, self.linear, self.variance, self.log))

    def zero(self, coefficient: Tensor) -> bool:
        """Whether one of them is 0, beside the others."""
        return bool((coefficient.abs() < 1e-3 * self.size).all())

    @property
    def standard(self) -> bool:
        """Whether it is the KL to N(0, I), times one weight."""
        return (
            self.zero(self.linear)
            and self.agree(self.square, self.log)
            and self.agree(self.variance, self.log)
            and self.uniform
        )

    @property
    def uniform(self) -> bool:
        """Whether all rows and latents have the same weight."""
        return self.agree(self.log, self.log.mean().expand_as(self.log))


@dataclass(frozen=True)
class LatentTerm:
    """What was found out about a loss as a function of μ and the width."""

    kind: str
    """``"none"``, ``"kl"``, ``"reverse"``, ``"detached"`` or ``"unknown"``."""
    coefficients: Coefficients | None = None
    asked: tuple[Gradients, ...] = ()
    points: tuple[tuple[Tensor, Tensor], ...] = ()


def points_of(mu: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], ...]:
    """Values of μ, and positive ones of the width that make sense in each scale."""
    return tuple(
        (
            torch.randn(mu.shape, generator=generator, dtype=torch.float64).to(mu),
            (0.25 + 1.35 * torch.rand(mu.shape, generator=generator, dtype=torch.float64)).to(mu),
        )
        for _ in range(POINTS)
    )


def latent_term(subject: Subject, recon: list[Tensor], mu: Tensor, x: Tensor) -> LatentTerm:
    """Ask the loss at several μ and widths, with all else held, and say what it makes of them."""
    points = points_of(mu, torch.Generator().manual_seed(0))
    asked = tuple(subject.ask(recon, m, t, x=x) for m, t in points)
    slopes = torch.stack([each.mu for each in asked]), torch.stack([each.t for each in asked])
    ms, ts = torch.stack([m for m, _ in points]), torch.stack([t for _, t in points])
    values = torch.stack([each.value for each in asked])
    moved = (values.max() - values.min()).item() > 1e-6 * max(1e-12, values.abs().max().item())
    if not slopes[0].any() and not slopes[1].any():
        return LatentTerm("detached" if moved else "none", asked=asked, points=points)
    if (found := _fitted(ms, ts, *slopes)) is not None:
        return LatentTerm("kl", found, asked, points)
    if _is_reverse(ms, ts, *slopes):
        return LatentTerm("reverse", asked=asked, points=points)
    return LatentTerm("unknown", asked=asked, points=points)


def _fitted(ms: Tensor, ts: Tensor, by_mu: Tensor, by_t: Tensor) -> Coefficients | None:
    """The coefficients that explain the derivatives, in the scale that fits best; None if none does."""
    mean, mean_error = _least_squares(by_mu, ms, torch.ones_like(ms))
    if mean_error > FITS:
        return None
    best: tuple[float, Coefficients] | None = None
    for scale in SCALES:
        sigma, slope = scale.slope(ts)
        width, error = _least_squares(by_t, sigma * slope, -slope / sigma)
        if error < FITS and (best is None or error < 0.1 * best[0]):
            best = error, Coefficients(scale, *mean, *width)
    return best and best[1]


def _least_squares(y: Tensor, first: Tensor, second: Tensor) -> tuple[tuple[Tensor, Tensor], float]:
    """For each place, the two factors that make y of two columns over the points, and the relative error of all."""
    y, first, second = (each.cpu().double() for each in (y, first, second))
    a, b, c = (first * first).sum(0), (first * second).sum(0), (second * second).sum(0)
    u, v = (first * y).sum(0), (second * y).sum(0)
    determinant = a * c - b * b
    p, q = (c * u - b * v) / determinant, (a * v - b * u) / determinant
    size = y.norm().item()
    error = (y - p * first - q * second).norm().item()
    return (p, q), error / size if size > 0 else 0.0


def _is_reverse(ms: Tensor, ts: Tensor, by_mu: Tensor, by_t: Tensor) -> bool:
    """Whether the derivatives are those of KL(p ‖ q), times a number."""
    for scale in SCALES:
        sigma, slope = scale.slope(ts)
        right = torch.cat([(ms / sigma**2).flatten(), ((1 - (1 + ms**2) / sigma**2) * slope / sigma).flatten()])
        given = torch.cat([by_mu.flatten(), by_t.flatten()])
        factor = (right @ given) / (right @ right)
        if ((given - factor * right).norm() < 10 * FITS * given.norm()).item():
            return True
    return False


def kl_of(mu: Tensor, sigma: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each number, in nats."""
    return 0.5 * (mu**2 + sigma**2 - 1) - sigma.log()
