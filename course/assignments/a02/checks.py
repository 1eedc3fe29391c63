"""Assignment 2's reference, cases and known mistakes. Private: it never goes to students, nor into the box."""

import math

import numpy as np
import torch
from torch import Tensor

from course.engine.cases import EXTREME, Task, checks_of, normal, uniform
from course.engine.checks import Check

NAME = "a02"
NODES = 64  # of a Gauss-Hermite rule that is fine for a flat likelihood


def blocks_of(block: Tensor) -> list[Tensor]:
    """The places of each block, in ascending order of the labels."""
    return [(block == label).nonzero()[:, 0] for label in block.unique()]


def mean_field_price(precision: Tensor, block: Tensor, mistake: str = "") -> Tensor:
    """The KL from the best q that is independent between the blocks to a Gaussian of this precision."""
    if mistake == "single":
        block = torch.arange(len(precision))
    whole = precision.logdet()
    if mistake == "det":
        whole = torch.linalg.det(precision).log()
    places = blocks_of(block)
    inverse = precision.inverse()
    if mistake == "forward":
        return 0.5 * (sum(inverse[p][:, p].logdet() for p in places) + whole)
    price = 0.5 * (sum(precision[p][:, p].logdet() for p in places) - whole)
    if mistake == "marginals":
        trace = sum((precision[p][:, p] * inverse[p][:, p]).sum() for p in places)
        return 0.5 * (trace - len(precision) - whole - sum(inverse[p][:, p].logdet() for p in places))
    return {"sign": -price, "no half": 2 * price}.get(mistake, price)


def coordinate_ascent(
    precision: Tensor, h: Tensor, m0: Tensor, block: Tensor, sweeps: int, mistake: str = ""
) -> Tensor:
    """The means after some sweeps over the blocks, each block given all others."""
    if mistake == "single":
        block = torch.arange(len(precision))
    m, places = m0.clone(), blocks_of(block)
    if mistake == "labels":
        places = [(block == label).nonzero()[:, 0] for label in range(len(places))]
    inverse = precision.inverse()
    for _ in range(sweeps):
        old = m.clone()
        for p in places:
            now = old if mistake == "parallel" else m
            own = precision[p][:, p]
            others = precision[p] @ now - own @ now[p]
            right = h[p] + others if mistake == "sign" else h[p] - others
            m[p] = inverse[p][:, p] @ right if mistake == "marginal" else torch.linalg.solve(own, right)
    return m


def evidence_by_quadrature(x: Tensor, n: int, w: float, b: float, mistake: str = "") -> Tensor:
    """The log of p(x) for each count x out of n, with logit w z + b and z standard normal; by a fine grid."""
    if mistake == "few nodes":
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        z, log_weights = torch.as_tensor(nodes).to(x), torch.as_tensor(np.log(weights / weights.sum())).to(x)
    else:
        z = torch.linspace(-12, 12, 4_801).to(x)
        log_weights = (-0.5 * z**2 * (2 if mistake == "nodes" else 1)).log_softmax(0)
    logit = w * z + b
    log_choose = (torch.lgamma(torch.tensor(n + 1.0).to(x)) - torch.lgamma(x + 1) - torch.lgamma(n - x + 1))[:, None]
    if mistake == "coefficient":
        log_choose = torch.zeros_like(log_choose)
    log_likelihood = log_choose + x[:, None] * logit - n * torch.nn.functional.softplus(logit)
    if mistake == "mean of logs":
        return (log_weights.exp() * log_likelihood).sum(1)
    value = (log_weights + log_likelihood).logsumexp(1)
    return value + {"weights": 0.5 * math.log(2 * math.pi), "weights, π": 0.5 * math.log(math.pi)}.get(mistake, 0.0)


def gaps(
    x: Tensor, W: Tensor, psi: Tensor, prior: Tensor, A: Tensor, log_s: Tensor, mistake: str = ""
) -> tuple[Tensor, Tensor]:
    """The amortization and the approximation gap of each datum, for a linear encoder with one set of widths."""
    if mistake == "prior":
        prior = torch.eye(len(prior)).to(prior)
    if mistake == "log-variance":
        log_s = 0.5 * log_s
    precision = prior + W.mT @ (W / psi[:, None])
    diagonal = precision.diagonal()
    off = x @ A.mT - torch.linalg.solve(precision, (x / psi @ W).mT).mT
    place = 0.5 * (off @ precision * off).sum(1)
    log_s2 = (2 * log_s).exp().log() if mistake == "log of s²" else 2 * log_s
    width = 0.5 * (diagonal * (2 * log_s).exp() - 1 - diagonal.log() - log_s2).sum()
    price = (0.5 * (diagonal.log().sum() - precision.logdet())).expand(len(x))
    if mistake == "widths kept":
        return place, price + width
    amortization = place + width
    if mistake == "whole":
        return amortization + price, price
    return (price, amortization) if mistake == "swapped" else (amortization, price)


def gaussian(g: torch.Generator, size: int, floor: float) -> Tensor:
    """A precision matrix with strong dependences."""
    a = normal(g, size, size + 2)
    return a @ a.mT / size + floor * torch.eye(size, dtype=torch.float64)


def price_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """A precision and its blocks; the extreme one has a determinant that float64 does not hold."""
    if k == EXTREME:
        block = torch.arange(40) // 10
        return [1e-9 * gaussian(g, 40, 0.1), block], "40 latents in 4 blocks, its determinant is below 1e-340"
    size = 5 + k % 3
    block = torch.tensor([0, 0, 1, 1, 2, 2, 3][:size])  # with two blocks both KLs have one price
    return [gaussian(g, size, 0.2), block], f"{size} latents in {len(block.unique())} blocks"


def ascent_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """A posterior, a start and a number of sweeps; in the extreme one the labels have gaps and are in no order."""
    size, sweeps = 4 + k % 3, 1 + k % 3
    block = torch.tensor([0, 0, 1, 1, 2, 2][:size])
    name = f"{size} latents, {sweeps} {'sweep' if sweeps == 1 else 'sweeps'}"
    if k == EXTREME:
        size, block, name = 7, torch.tensor([11, 3, 3, 7, 11, 7, 7]), "blocks with the labels 3, 7 and 11, in no order"
    return [gaussian(g, size, 0.2), normal(g, size), normal(g, size), block, sweeps], name


def quadrature_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Counts, and what they are drawn from; the extreme one has a steep logit."""
    n, w, b = 8 + 2 * k, 0.5 + uniform(g, 1).item(), 0.5 * normal(g, 1).item()
    if k == EXTREME:
        n, w = 60, 6 + uniform(g, 1).item()
    logit = w * normal(g, 10) + b
    x = torch.binomial(torch.full_like(logit, n), logit.sigmoid(), generator=g)
    x[0], x[1] = n // 2, n // 3
    return [x, n, round(w, 4), round(b, 4)], f"counts out of {n}, w = {w:.1f}" + " (steep)" * (k == EXTREME)


def gaps_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Data, a model and an encoder that is wrong in place and width; in the extreme one far too sure."""
    n, d, latents = 5, 4 + k % 3, 2 + k % 2
    W, psi = normal(g, d, latents), 0.3 + uniform(g, d)
    if k == EXTREME:
        W = 0.5 * W + 6 * normal(g, d, 1)  # alike: the price is high beside the gap of the width
    prior = gaussian(g, latents, 0.5)
    precision = prior + W.mT @ (W / psi[:, None])
    A = torch.linalg.solve(precision, (W / psi[:, None]).mT) + 0.15 * normal(g, latents, d)
    log_s = -0.5 * precision.diagonal().log() + 0.4 * normal(g, latents)
    name = f"{d} measurements, {latents} latents"
    if k == EXTREME:
        log_s[0], name = -400.0, name + ", an encoder that is far too sure of one: log s = −400"
    return [normal(g, n, d), W, psi, prior, A, log_s], name


TASKS = (
    Task(
        "q1",
        "mean_field_price",
        10,
        3,
        mean_field_price,
        price_case,
        {
            "forward": (0.5, "This is the price in the KL from the posterior to q; the ELBO pays the KL from q."),
            "marginals": (0.4, "The best q has not the posterior's own covariances within the blocks: it is narrower."),
            "sign": (0.3, "A KL is never negative: the sign is wrong."),
            "no half": (0.7, "A factor ½ is missing."),
            "single": (0.4, "Within a block q may be dependent: yours factorizes over all latents."),
        },
        {"det": (0.7, "It holds NaN or infinity.")},
    ),
    Task(
        "q2",
        "coordinate_ascent",
        20,
        4,
        coordinate_ascent,
        ascent_case,
        {
            "parallel": (0.5, "Each block must see the means that the blocks before it have just got."),
            "marginal": (0.4, "Given the others a block has the covariance Λ_BB⁻¹, not that part of Λ⁻¹."),
            "sign": (0.2, "What the other blocks explain has to be taken away from h, not added."),
            "single": (0.4, "A block is updated as a whole; yours goes latent by latent, which is another family."),
        },
        {"labels": (0.8, "The numbers differ.")},
    ),
    Task(
        "q3",
        "evidence_by_quadrature",
        20,
        5,
        evidence_by_quadrature,
        quadrature_case,
        {
            "nodes": (0.4, "These nodes belong to the weight exp(−z²): for a standard normal multiply them by √2."),
            "weights": (0.6, "The weights must sum to one: yours sum to √(2π)."),
            "weights, π": (0.6, "The weights must sum to one: yours sum to √π."),
            "mean of logs": (0.3, "The mean of the logs is below the log of the mean, by Jensen's inequality."),
            "coefficient": (0.6, "The binomial coefficient is missing."),
        },
        {"few nodes": (0.75, "The numbers differ.")},
    ),
    Task(
        "q4",
        "gaps",
        20,
        4,
        gaps,
        gaps_case,
        {
            "swapped": (0.5, "The amortization gap comes first, the approximation gap second."),
            "whole": (0.5, "The first is all of evidence − ELBO: the approximation gap has to be taken from it."),
            "widths kept": (0.5, "The best member of the family has its own best widths too, not the encoder's."),
            "log-variance": (0.6, "log_s is the log of a standard deviation, not of a variance."),
            "prior": (0.4, "The prior's precision is given; yours is taken to be the identity."),
        },
        {"log of s²": (0.8, "It holds NaN or infinity.")},
    ),
)


def checks(student: str, salt: str, secret: str) -> list[Check]:
    """A student's checks."""
    return checks_of(TASKS, NAME, student, salt, secret)
