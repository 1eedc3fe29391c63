# %% [markdown]
# # Assignment 2: what a family costs, and what a network adds
#
# **Term:** @TERM@. **Reads:** chapters 3 and 4. **Points:** 70 for code, 20 by hand, 10 for a figure and a sentence.
# **Time:** about 6 hours, an estimate.
#
# Put your id between the quotes in the next cell, exactly as the course's platform knows it: your data are drawn
# from it. Write your code where it says `your code`; keep the names of the functions and the order of what they
# return. They are called on cases that you do not see, among them hard ones. Cells may be added, moved and split.
# Everything you need is numpy, torch and matplotlib; `aevb_utils` is not there when your notebook is graded.
#
# A ✓ under a question is one small example, and no grade: many wrong functions get it, too. **Before you hand in**,
# restart the kernel and run all cells. Then hand in this file, the `.ipynb`, where your course collects it.

# %%
STUDENT = ""  # your id
NAME = ""  # your name

# %% [markdown]
# ## The data
#
# You get two sets. `x`: in each of 200 nests of $n = 12$ eggs, how many have hatched; every nest has a hidden
# quality $z \sim \mathcal N(0, 1)$, and given $z$ each egg hatches with probability
# $\sigma(wz + b) = 1 / (1 + e^{-wz - b})$. You know $w$ and $b$. And `y`: the readings of one sensor that three
# hidden causes move together; question 5 is about them.

# %%
import hashlib
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

from course.assignments.look import look

torch.set_default_dtype(torch.float64)
SALT = "@SALT@"


def my_data() -> tuple[Tensor, int, float, float, Tensor]:
    """Your own counts x (200,), their n, w and b, and your own readings y (100,)."""
    digest = hashlib.sha256(f"{SALT}|a02|{STUDENT}|data".encode()).digest()
    g = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    w, b = (torch.tensor([1.5, -0.5]) + torch.rand(2, generator=g)).tolist()
    p = (w * torch.randn(200, generator=g) + b).sigmoid()
    x = torch.binomial(torch.full_like(p, 12), p, generator=g)
    scale = 0.6 + 0.4 * torch.rand(1, generator=g)
    y = scale * torch.randn(100, 3, generator=g).sum(dim=1)
    return x, 12, w, b, y + 0.5 * torch.randn(100, generator=g)


if not STUDENT:
    print("Put your id into the first cell: these data are nobody's.")
x, n, w, b, y = my_data()
print(f"{len(x)} nests, {x.mean():.2f} of {n} eggs hatched; w = {w:.3f}, b = {b:.3f}")

# %% [markdown]
# ## 1. The price of independence between blocks (10 points)
#
# Chapter 3 took $q$ independent between all latents. Now the latents come in blocks: $q(z) = \prod_B q_B(z_B)$, and
# inside a block anything is allowed. The posterior is a Gaussian with precision $\Lambda$. How many nats lie between
# the evidence and the best such ELBO? Derive it first (question 5a). A determinant may be smaller than any number
# that a float64 holds; its logarithm is not.


# %%
def mean_field_price(precision: Tensor, block: Tensor) -> Tensor:
    """What the best q costs that is independent between blocks, in nats, one number.

    Args:
        precision: Λ of the posterior, (L, L), positive definite.
        block: the label of each latent's block, whole numbers, (L,).
    """
    # BEGIN SOLUTION
    whole = torch.linalg.slogdet(precision).logabsdet
    parts = [torch.linalg.slogdet(precision[block == label][:, block == label]) for label in block.unique()]
    return 0.5 * (sum(part.logabsdet for part in parts) - whole)
    # END SOLUTION


# %%
pair, apart, together = torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.tensor([0, 1]), torch.tensor([0, 0])
look("two latents, each alone: ½ log(4/3)", mean_field_price(pair, apart), [0.5 * np.log(4 / 3)])
look("both in one block: nothing to pay", mean_field_price(pair, together), [0.0])

# %% [markdown]
# ## 2. Coordinate ascent, a block at a time (20 points)
#
# The log joint is $-\tfrac12 z^\top \Lambda z + z^\top h$ and a constant. A sweep goes through the blocks in ascending
# order of their labels, and gives each its best $q_B$, the others held as they are *now*. Labels need not be
# 0, 1, 2, …, nor stand side by side.


# %%
def coordinate_ascent(precision: Tensor, h: Tensor, m0: Tensor, block: Tensor, sweeps: int) -> Tensor:
    """The mean of q, (L,), after some sweeps from the mean m0.

    Args:
        precision: Λ, (L, L).
        h: the linear term, (L,).
        m0: where the mean starts, (L,).
        block: the label of each latent's block, (L,).
        sweeps: how many times all blocks are updated.
    """
    # BEGIN SOLUTION
    m = m0.clone()
    for _ in range(sweeps):
        for label in block.unique():  # ascending
            mine = block == label
            others = precision[mine][:, ~mine] @ m[~mine]
            m[mine] = torch.linalg.solve(precision[mine][:, mine], h[mine] - others)
    return m
    # END SOLUTION


# %%
two, none = torch.full((2,), 2.0), torch.zeros(2)
look("one sweep, each alone", coordinate_ascent(pair, two, none, apart, 1), [1.0, 0.5])
look("one block is exact at once", coordinate_ascent(pair, two, none, together, 1), [2 / 3, 2 / 3])

# %% [markdown]
# ## 3. The evidence of a count (20 points)
#
# For a count $x$ out of $n$, compute $\log p(x) = \log \int \mathcal N(z; 0, 1)\, \operatorname{Binomial}(x; n,
# \sigma(wz + b))\, dz$, with Gauss–Hermite nodes (3.9) or on a grid (4.11). Look how narrow the integrand is when $w$
# is large, and whether the result moves when you double the nodes. Some cases have $w > 6$ and $n = 60$. numpy knows
# two sets of nodes, `hermegauss` and `hermgauss`; read for which weight function each is made.


# %%
def evidence_by_quadrature(x: Tensor, n: int, w: float, b: float) -> Tensor:
    """The log of p(x_i), (N,), in nats, right to four digits.

    Args:
        x: counts, (N,), each from 0 to n.
        n: how many there could be.
        w: slope of the logit in z.
        b: the logit at z = 0.
    """
    # BEGIN SOLUTION
    z = torch.linspace(-10, 10, 4_001)
    logit = w * z + b
    counts = torch.tensor(n + 1.0).lgamma() - (x + 1).lgamma() - (n - x + 1).lgamma()
    log_joint = x[:, None] * logit - n * nn.functional.softplus(logit) + (-0.5 * z**2).log_softmax(dim=0)
    return counts + log_joint.logsumexp(dim=1)
    # END SOLUTION


# %%
both = torch.tensor([0.0, 1.0])
look("w = 0: a fair coin", evidence_by_quadrature(both, 1, 0.0, 0.0), [np.log(0.5), np.log(0.5)])
look("w = 0: two fair coins", evidence_by_quadrature(both, 2, 0.0, 0.0), [np.log(0.25), np.log(0.5)])

# %% [markdown]
# ## 4. Two gaps (20 points)
#
# Factor analysis with dependent factors: $z \sim \mathcal N(0, P^{-1})$ and $x \mid z \sim \mathcal N(Wz, \Psi)$ with
# diagonal $\Psi$. The encoder is linear, $q_\phi(z \mid x) = \mathcal N(Ax, \operatorname{diag}(s^2))$ with the same
# $s$ for all data. The family is the diagonal Gaussians. Find both gaps of (4.5) in closed form. Work with $\log s$:
# an $s$ may be so small that its square is 0.


# %%
def gaps(x: Tensor, W: Tensor, psi: Tensor, prior: Tensor, A: Tensor, log_s: Tensor) -> tuple[Tensor, Tensor]:
    """The amortization gap and the approximation gap of each datum, (N,) each, in nats.

    Args:
        x: data, (N, D).
        W: loadings, (D, L).
        psi: the diagonal of Ψ, variances, (D,).
        prior: the prior's precision P, (L, L).
        A: the encoder's matrix, (L, D).
        log_s: the log of the standard deviations of q, (L,).
    """
    # BEGIN SOLUTION
    precision = prior + W.T @ (W / psi[:, None])
    best = torch.linalg.solve(precision, W.T @ (x / psi).T).T  # the posterior's means, (N, L)
    off, diagonal = x @ A.T - best, precision.diagonal()
    width = 0.5 * (diagonal * (2 * log_s).exp() - 1 - diagonal.log() - 2 * log_s).sum()
    amortization = 0.5 * torch.einsum("ni,ij,nj->n", off, precision, off) + width
    approximation = 0.5 * (diagonal.log().sum() - torch.linalg.slogdet(precision).logabsdet)
    return amortization, approximation.expand(len(x))
    # END SOLUTION


# %%
# one measurement, one factor, all ones: Λ = 2 and the posterior's mean is ½; this encoder says 0, of the right width
unit, half_log = torch.ones(1, 1), torch.full((1,), -0.5 * np.log(2))
found = gaps(unit, unit, torch.ones(1), unit, 0 * unit, half_log)
look("its amortization gap: ½ · 2 · (½)²", found, [0.25], 0)
look("its approximation gap: none", found, [0.0], 1)

# %% [markdown]
# ## 5. By hand (20 points)
#
# a) Derive the price of question 1, from the ELBO of a $q$ with mean $m$ and one covariance $S_B$ for each block: each
# line with the rule that it uses. (8 points)
#
# b) The readings `y` follow $y_i = \theta (z_{i1} + z_{i2} + z_{i3}) + \epsilon_i$ with
# $z_{ij} \sim \mathcal N(0, 1)$ and noise of variance $\tfrac14$. Start from the $\theta > 0$ that maximizes the
# evidence of your `y`. Take the best $q$ that is independent between the three causes, and then one M-step for
# $\theta$: derive its formula. Give ELBO, KL and evidence, in nats per reading, before and after the M-step. The ELBO
# has risen and the evidence has fallen: say why, and which way $\theta$ has moved. (12 points)
#
# *Your derivations, here or as a photograph that you drag into this cell; the numbers of b) from the next cell.*

# %%
# BEGIN SOLUTION
second = (y**2).mean()
theta = ((second - 0.25) / 3).sqrt()  # the marginal variance 3θ² + ¼ is the mean of y²


def per_reading(theta: Tensor, mean: Tensor, variance: Tensor) -> tuple[float, float, float]:
    """ELBO, KL and evidence, for a q whose causes have these means (N,) and this variance."""
    total = 3 * theta**2 + 0.25
    evidence = -0.5 * (2 * torch.pi * total).log() - 0.5 * second / total
    precision = torch.eye(3) + 4 * theta**2 * torch.ones(3, 3)
    off = mean - theta * y / total  # the same for the three causes
    kl = 0.5 * (3 * variance * precision[0, 0] - 3 - 3 * variance.log() - torch.logdet(precision))
    kl = kl + 0.5 * precision.sum() * (off**2).mean()
    return (evidence - kl).item(), kl.item(), evidence.item()


mean, variance = theta * y / (3 * theta**2 + 0.25), 1 / (1 + 4 * theta**2)
moved = (y * 3 * mean).mean() / (9 * mean**2 + 3 * variance).mean()
for name, value in [("before", theta), ("after", moved)]:
    print(f"{name}: θ = {value:.4f}, ELBO, KL, evidence", per_reading(value, mean, variance))
# END SOLUTION

# %% [markdown]
# ## 6. A figure and a sentence (10 points)
#
# For your counts `x`, train encoders that give the mean and the log standard deviation of a Gaussian $q$ from $x / n$,
# with $\theta = (w, b)$ held fixed: one hidden layer of 1, 2, 4 and 8 tanh units. Draw the amortization gap (nats a
# nest) against the width, and the approximation gap as a line; axes with labels. (There are only 13 different counts:
# give each its own $q$ to find the best of the family, and compute every ELBO by nodes. It takes seconds.) In one
# sentence: which gap does the width move, and which can it not?

# %%
# BEGIN SOLUTION
values, counts = x.unique(return_counts=True)
share = counts / len(x)
nodes, weights = (torch.as_tensor(part) for part in np.polynomial.hermite_e.hermegauss(20))
weights = weights / weights.sum()


def elbos(mean: Tensor, log_s: Tensor) -> Tensor:
    """The ELBO of each different count, by nodes."""
    z = mean[:, None] + log_s.exp()[:, None] * nodes
    logit = w * z + b
    counts = torch.tensor(n + 1.0).lgamma() - (values + 1).lgamma() - (n - values + 1).lgamma()
    likelihood = counts + (values[:, None] * logit - n * nn.functional.softplus(logit)) @ weights
    return likelihood - 0.5 * (mean**2 + (2 * log_s).exp() - 1 - 2 * log_s)


def trained(parameters: list[Tensor], give: Callable[[], Tensor]) -> float:
    """The best mean ELBO that these parameters reach."""
    climb = torch.optim.LBFGS(parameters, max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def loss() -> Tensor:
        climb.zero_grad()
        value = -(share * elbos(*give())).sum()
        value.backward()
        return value

    climb.step(loss)
    return -loss().item()


free = torch.zeros(2, len(values), requires_grad=True)
best = trained([free], lambda: free)
evidence = (share * evidence_by_quadrature(values, n, w, b)).sum().item()
widths, lost = [1, 2, 4, 8], []
for width in widths:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 2))
    lost.append(best - trained(list(encoder.parameters()), lambda net=encoder: net(values[:, None] / n).T))
fig, ax = plt.subplots(figsize=(5, 3))
ax.loglog(widths, lost, "o-", label="amortization gap")
ax.axhline(evidence - best, color="black", ls="--", label="approximation gap")
ax.set(xlabel="hidden units of the encoder", ylabel="nats a nest")
ax.legend()
plt.show()
print("amortization", lost, "approximation", evidence - best)
# END SOLUTION

# %% [markdown]
# *Your sentence.*
