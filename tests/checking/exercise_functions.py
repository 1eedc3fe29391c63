"""Right and wrong solutions of the exercises that ask for a function, by exercise; "right" is the right one."""

import math

import torch
from torch import Tensor
from torch.distributions import Normal, Poisson

Z = torch.linspace(-10, 10, 1001, dtype=torch.float64)
LOG_SPACING = math.log(0.02)
PRIOR = Normal(0.0, 1.0).log_prob(Z)


def rate(a, b, z=Z):
    return torch.exp(a + b * z)


def evidence(x, a, b):
    return torch.logsumexp(PRIOR + Poisson(rate(a, b)).log_prob(x), 0) + LOG_SPACING


def without_factorial(x, a, b):
    return torch.logsumexp(PRIOR + x * (a + b * Z) - rate(a, b), 0) + LOG_SPACING


def by_sampling(x, a, b):
    z = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    return Poisson(rate(a, b, z)).log_prob(x).exp().mean().log()


def gradient(x, a, b):
    posterior = torch.softmax(PRIOR + Poisson(rate(a, b)).log_prob(x), 0)
    residual = x - rate(a, b)
    return [(posterior * residual).sum().item(), (posterior * Z * residual).sum().item()]


def gap(x, a, b, factorial=True, half=0.5, offset=0.0):
    means, sds = torch.meshgrid(torch.linspace(-2, 1, 1501), torch.linspace(0.1, 1.2, 551), indexing="ij")
    expected = torch.exp(a + b * means + half * b**2 * sds**2)
    divergence = (sds**2 + means**2 - 1) / 2 - sds.log()
    elbo = x * (a + b * means) - expected - divergence - (torch.lgamma(x + 1) if factorial else 0)
    return (evidence(x, a, b) - elbo.max() + offset).item()


def diagonal(scatters):
    return scatters.diagonal(dim1=-2, dim2=-1)


def posterior_step(lam, a, rho):
    return ((1 - rho) * lam + rho * a).softmax(dim=-1)


def plain_step(lam, a, rho):
    q = lam.softmax(-1)
    signal = a - q.log()
    return (lam + rho * q * (signal - (q * signal).sum())).softmax(-1)


def elbo_of_row(a, q):
    return (q * (a.mean(dim=0) - q.log())).sum()


def evidence_of(a):
    return a.logsumexp(dim=1).mean()


def baseline_of_rest(values, scores, others):
    return ((values - (values.sum() - values) / others)[:, None] * scores).mean(dim=0)


def effective(log_w: Tensor) -> float:
    return (2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp().item()


def contribution(by_label: Tensor, labels: Tensor, prior: bool = True, prior_of_sum: bool = True) -> Tensor:
    own = by_label.gather(0, labels.clamp(min=0)[None])[0] - prior * math.log(len(by_label))
    return torch.where(labels < 0, by_label.logsumexp(0) - prior_of_sum * math.log(len(by_label)), own)


SOLUTIONS = {
    "1.2": {
        "right": evidence,
        "no log x!": without_factorial,
        "the density": lambda x, a, b: evidence(x, a, b).exp(),
        "sampled": by_sampling,
        "only the first point": lambda x, a, b: -1.836871,
        "parameters exchanged": lambda x, a, b: evidence(x, b, a),
    },
    "1.4": {
        "right": gradient,
        "sign": lambda x, a, b: [-each for each in gradient(x, a, b)],
        "exchanged": lambda x, a, b: gradient(x, a, b)[::-1],
        "only the first point": lambda x, a, b: [-0.41218, -0.229189],
    },
    "1.5": {
        "right": gap,
        "no log x!": lambda x, a, b: gap(x, a, b, factorial=False),
        "no half": lambda x, a, b: gap(x, a, b, half=1.0),
        "no spread": lambda x, a, b: gap(x, a, b, half=0.0),
        "only the first point": lambda x, a, b: 0.02381,
    },
    "2.3": {
        "right": lambda S: diagonal(S).mean(-1),
        "half of the trace": lambda S: diagonal(S).sum(-1) / 2,
        "over components": lambda S: diagonal(S).mean().expand(2),
        "a column": lambda S: diagonal(S).mean(-1, keepdim=True),
        "largest eigenvalue": lambda S: torch.linalg.eigvalsh(S)[:, -1],
    },
    "3.5": {
        "right": posterior_step,
        "plain gradient": plain_step,
        "mixture of probabilities": lambda lam, a, rho: (1 - rho) * lam.softmax(-1) + rho * a.softmax(-1),
        "weights exchanged": lambda lam, a, rho: posterior_step(lam, a, 1 - rho),
        "half, whatever ρ": lambda lam, a, rho: posterior_step(lam, a, 0.5),
    },
    "4.5": {
        "right": lambda a: evidence_of(a) - a.mean(dim=0).logsumexp(dim=0),
        "uniform": lambda a: evidence_of(a) - elbo_of_row(a, torch.full((a.shape[1],), 1 / a.shape[1])),
        "mean responsibilities": lambda a: evidence_of(a) - elbo_of_row(a, a.softmax(dim=1).mean(dim=0)),
        "sum over three": lambda a: a.logsumexp(dim=1).sum() / 3 - (a.sum(dim=0) / 3).logsumexp(dim=0),
    },
    "5.3": {
        "right": lambda f, scores: baseline_of_rest(f, scores, len(f) - 1),
        "mean of all": lambda f, scores: ((f - f.mean())[:, None] * scores).mean(dim=0),
        "by the parameters": lambda f, scores: baseline_of_rest(f, scores, scores.shape[1]),
        "no baseline": lambda f, scores: (f[:, None] * scores).mean(dim=0),
    },
    "7.4": {
        "right": effective,
        "not in log space": lambda log_w: (log_w.exp().sum() ** 2 / log_w.exp().square().sum()).item(),
        "the other way up": lambda log_w: 1 / effective(log_w),
        "by the largest": lambda log_w: (log_w.logsumexp(0) - log_w.max()).exp().item(),
    },
    "8.6": {
        "right": contribution,
        "the label is free": lambda b, y: contribution(b, y, prior=False),
        "no p(y) in the sum": lambda b, y: contribution(b, y, prior_of_sum=False),
        "no p(y)": lambda b, y: contribution(b, y, prior=False, prior_of_sum=False),
        "the best label": lambda b, y: torch.where(y < 0, b.amax(0) - math.log(len(b)), contribution(b, y)),
        "labels not used": lambda b, y: contribution(b, torch.full_like(y, -1)),
    },
}
"""In a check cell the function has the name that the stub gives it."""
