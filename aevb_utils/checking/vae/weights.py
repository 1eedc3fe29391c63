"""How the two terms of a loss are weighted, and which mean or sum explains the weight."""

import itertools
import math
from dataclasses import dataclass

CLOSE = 2e-3
"""Up to which relative error a number is another."""


@dataclass(frozen=True)
class Weights:
    """How often the reconstruction of a datum counts, and its KL, in a batch of given size.

    Attributes:
        recon, kl: the factors, as they are in a batch of ``rows``.
        recon_power, kl_power: −1 for a mean over the rows, 0 for a sum; another where they depend on them otherwise.
        rows: the number of rows.
        pixels: the shape of a datum.
        latents: the number of latents.
        kl_follows: whether the KL's factor is 1 / L also for another L; None where that could not be tried.
        averaged: over how many numbers of a datum the reconstruction is a mean, as seen with data of another size; None
            where that could not be tried.
        rows_known: whether the two powers were seen, from batches of two sizes.
    """

    recon: float
    kl: float
    recon_power: float
    kl_power: float
    rows: int
    pixels: tuple[int, ...]
    latents: int
    kl_follows: bool | None = None
    averaged: int | None = None
    rows_known: bool = True

    @property
    def beta(self) -> float:
        """The weight of the KL beside a reconstruction of weight 1, at this batch size."""
        return self.kl / self.recon

    @property
    def recon_row(self) -> float:
        """The reconstruction's factor, without that of a mean over the rows."""
        return self.recon * self.rows if round(self.recon_power) == -1 else self.recon

    @property
    def kl_row(self) -> float:
        """The KL's factor, without that of a mean over the rows."""
        return self.kl * self.rows if round(self.kl_power) == -1 else self.kl

    @property
    def same_rows(self) -> bool:
        """Whether both terms treat the rows alike."""
        return abs(self.recon_power - self.kl_power) < 0.05


def close(first: float, second: float) -> bool:
    """Whether two factors are the same."""
    return abs(first - second) <= CLOSE * abs(second)


def power(small: float, large: float, rows_small: int, rows_large: int) -> float:
    """The exponent of the number of rows, from a factor at two numbers."""
    if small == 0 or large == 0 or rows_small == rows_large or small * large < 0:
        return 0.0
    return math.log(small / large) / math.log(rows_small / rows_large)


def mean_over(factor: float, sizes: tuple[int, ...], allowed: tuple[float, ...]) -> int:
    """By which product of some of the sizes one of the allowed factors was divided; 1 if by none."""
    choices: list[tuple[int, ...]] = [sizes]
    for k in range(1, len(sizes)):
        choices += itertools.combinations(sizes, k)
    for n in map(math.prod, choices):
        if n > 1 and any(close(factor * n, right) for right in allowed):
            return n
    return 1
