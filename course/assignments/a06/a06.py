# %% [markdown]
# # Assignment 6: order matters
#
# **Term:** @TERM@. **Reads:** chapter 10. **Points:** 70 for code, 20 by hand, 10 for a figure and a sentence.
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
# A level wanders: $z_{t+1} = a z_t + \text{noise of variance } q$. You see it in two ways.
#
# - **At odd times**, `y` (T,): the first measurement is of $z \sim \mathcal N(m_0, p_0)$, and between the measurements
#   $t - 1$ and $t$ the level makes `gap[t]` steps, one or more (`gap[0]` means nothing). A measurement has Gaussian
#   noise of variance $r$. Chapter 10 measures at every step; here you have to work out what several steps do.
# - **Through counts**, `counts` (40,): at every step a count from a Poisson distribution with the rate $e^{z_t}$.

# %%
import hashlib
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from course.assignments.look import look

torch.set_default_dtype(torch.float64)
SALT = "@SALT@"


def my_levels() -> tuple[Tensor, Tensor, list[float], Tensor, list[float]]:
    """Your y (25,), gap (25,) and [a, q, r, m0, p0]; your counts (40,) and [a, q, m0, p0]."""
    digest = hashlib.sha256(f"{SALT}|a06|{STUDENT}|data".encode()).digest()
    g = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    a, r = 0.8 + 0.15 * torch.rand(1, generator=g).item(), 0.3 + 0.3 * torch.rand(1, generator=g).item()
    gap = torch.randint(1, 4, (25,), generator=g)
    z, y = torch.randn(1, generator=g), []
    for t in range(25):
        for _ in range(int(gap[t]) if t else 0):
            z = a * z + 0.2**0.5 * torch.randn(1, generator=g)
        y.append(z + r**0.5 * torch.randn(1, generator=g))
    level = [1.0 + 0.5 * torch.randn(1, generator=g)]
    for _ in range(39):
        level.append(0.95 * level[-1] + 0.3 * torch.randn(1, generator=g))
    counts = torch.poisson(torch.cat(level).exp(), generator=g)
    return torch.cat(y), gap, [a, 0.2, r, 0.0, 1.0], counts, [0.95, 0.09, 1.0, 0.25]


if not STUDENT:
    print("Put your id into the first cell: these data are nobody's.")
y, gap, of_y, counts, of_counts = my_levels()
print(f"{len(y)} measurements over {int(gap[1:].sum())} steps, {len(counts)} counts with mean {counts.mean():.2f}")

# %% [markdown]
# ## 1. The evidence of measurements at odd times (15 points)
#
# A Kalman filter whose prediction goes over `gap[t]` steps at once. $a$ may be negative, and $a^2$ may be 1.


# %%
def kalman_evidence(y: Tensor, gap: Tensor, a: float, q: float, r: float, m0: float, p0: float) -> Tensor:
    """The log density of all measurements, one number, in nats.

    Args:
        y: measurements, (T,).
        gap: steps of the level between a measurement and the one before it, whole numbers, (T,); gap[0] is not used.
        a: what the level is multiplied with in a step.
        q: the variance that a step adds.
        r: the variance of a measurement's noise.
        m0: mean of the level at the first measurement, before it is seen.
        p0: its variance.
    """
    # BEGIN SOLUTION
    return filtered(y, gap, a, q, r, m0, p0)[0]
    # END SOLUTION


# %%
# BEGIN SOLUTION
def over(steps: int, a: float, q: float) -> tuple[float, float]:
    """What the level is multiplied with over some steps, and the variance that they add."""
    factor, added = 1.0, 0.0
    for _ in range(steps):
        factor, added = factor * a, added * a**2 + q
    return factor, added


def filtered(
    y: Tensor, gap: Tensor, a: float, q: float, r: float, m0: float, p0: float
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The evidence, and the filter's means and variances."""
    mean, variance = torch.tensor(m0), torch.tensor(p0)
    total, means, variances = torch.tensor(0.0), [], []
    for t in range(len(y)):
        if t > 0:
            factor, added = over(int(gap[t]), a, q)
            mean, variance = factor * mean, factor**2 * variance + added
        surprise, spread = y[t] - mean, variance + r
        total = total - 0.5 * (torch.log(2 * torch.pi * spread) + surprise**2 / spread)
        mean, variance = mean + variance / spread * surprise, variance * r / spread
        means.append(mean)
        variances.append(variance)
    return total, means, variances


# END SOLUTION

# %%
one_y, no_gap = torch.tensor([2.0]), torch.tensor([1])
alone = kalman_evidence(one_y, no_gap, 0.5, 1.0, 1.0, 0.0, 1.0)
look("one measurement: log N(2; 0, 2)", alone, [-0.5 * math.log(4 * math.pi) - 1])

# %% [markdown]
# ## 2. The smoother (15 points)
#
# What is known of the level at each measurement, given all of them.


# %%
def smoother(y: Tensor, gap: Tensor, a: float, q: float, r: float, m0: float, p0: float) -> tuple[Tensor, Tensor]:
    """Mean and variance of the level at each measurement, (T,) each; arguments as above."""
    # BEGIN SOLUTION
    _, means, variances = filtered(y, gap, a, q, r, m0, p0)
    smooth, spread = [means[-1]], [variances[-1]]
    for t in reversed(range(len(y) - 1)):
        factor, added = over(int(gap[t + 1]), a, q)
        predicted = factor**2 * variances[t] + added
        gain = factor * variances[t] / predicted
        smooth.insert(0, means[t] + gain * (smooth[0] - factor * means[t]))
        spread.insert(0, variances[t] + gain**2 * (spread[0] - predicted))
    return torch.stack(smooth), torch.stack(spread)
    # END SOLUTION


# %%
# two measurements of one level that does not move (a = 1, q near 0): both tell the same
still = smoother(torch.tensor([0.0, 3.0]), torch.tensor([1, 2]), 1.0, 1e-12, 1.0, 0.0, 1.0)
look("means", still, [1.0, 1.0], 0)
look("variances", still, [1 / 3, 1 / 3], 1)

# %% [markdown]
# ## 3. The price of cutting the links (10 points)
#
# The best $q$ under which all levels are independent: its means and variances, and what it costs. (The posterior's
# precision has three diagonals; find them from the log joint.)


# %%
def best_factorized(
    y: Tensor, gap: Tensor, a: float, q: float, r: float, m0: float, p0: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Means (T,) and variances (T,) of the best q without links, and its KL to the posterior, in nats."""
    # BEGIN SOLUTION
    precision = torch.eye(len(y)) / r
    precision[0, 0] += 1 / p0
    for t in range(1, len(y)):
        factor, added = over(int(gap[t]), a, q)
        link = torch.tensor([[factor**2, -factor], [-factor, 1.0]])
        precision[t - 1 : t + 1, t - 1 : t + 1] += link / added
    diagonal = precision.diagonal()
    price = 0.5 * (diagonal.log().sum() - torch.logdet(precision))
    return smoother(y, gap, a, q, r, m0, p0)[0], 1 / diagonal, price
    # END SOLUTION


# %%
# two levels, a = q = r = p0 = 1: the precision is [[3, −1], [−1, 2]]
cut = best_factorized(torch.tensor([0.0, 5.0]), torch.tensor([1, 1]), 1.0, 1.0, 1.0, 0.0, 1.0)
look("means", cut, [1.0, 3.0], 0)
look("variances", cut, [1 / 3, 1 / 2], 1)
look("price: ½ log(6/5)", cut, [0.5 * math.log(1.2)], 2)

# %% [markdown]
# ## 4. The ELBO of a series of counts (20 points)
#
# Now counts at every step. No filter is exact here. Take
#
# $$ q:\quad z_1 = m_1 + s_1 \varepsilon_1, \qquad z_t = m_t + g_t (z_{t-1} - m_{t-1}) + s_t \varepsilon_t, $$
#
# with a link $g_t$ for each step ($g_1$ is not used). All $g_t = 0$ is mean-field. For each draw of the noise give
# $\log p(y, z) - \log q(z)$ at its $z$. The counts may be large.


# %%
def sequence_elbo(
    y: Tensor, a: float, q: float, m0: float, p0: float, m: Tensor, log_s: Tensor, link: Tensor, eps: Tensor
) -> Tensor:
    """What each draw says about the ELBO, (S,), in nats.

    Args:
        y: counts, (T,).
        a: what the level is multiplied with in a step.
        q: the variance that a step adds.
        m0: mean of the first level.
        p0: its variance.
        m: means of q, (T,).
        log_s: logs of its standard deviations, given the level before, (T,).
        link: g, (T,).
        eps: standard normal noise, (S, T).
    """
    # BEGIN SOLUTION
    off = [log_s[0].exp() * eps[:, 0]]  # z − m
    for t in range(1, len(y)):
        off.append(link[t] * off[-1] + log_s[t].exp() * eps[:, t])
    z = m + torch.stack(off, dim=1)
    moves = torch.cat([(z[:, :1] - m0) / p0**0.5, (z[:, 1:] - a * z[:, :-1]) / q**0.5], dim=1)
    log_prior = -0.5 * (moves**2).sum(dim=1) - 0.5 * (math.log(p0) + (len(y) - 1) * math.log(q))
    log_q = -0.5 * (eps**2).sum(dim=1) - log_s.sum()  # the constants with 2π are the same in both
    return (y * z - z.exp() - torch.lgamma(y + 1)).sum(dim=1) + log_prior - log_q
    # END SOLUTION


# %%
# one count of 0, and q is the prior: what is left is log p(0 | z) = −exp(z)
nought = torch.zeros(1)
found = sequence_elbo(nought, 0.5, 1.0, 0.0, 1.0, nought, nought, nought, torch.tensor([[0.0], [1.0]]))
look("two draws", found, [-1.0, -math.e])
# two counts of 0, a = 1: z = (1, 1 + 0), and q's second step is the prior's
pair = torch.zeros(2)
found = sequence_elbo(pair, 1.0, 1.0, 0.0, 1.0, pair, pair, torch.ones(2), torch.tensor([[1.0, 0.0]]))
look("a link of 1", found, [-2 * math.e])

# %% [markdown]
# ## 5. The evidence of counts, by particles (10 points)
#
# Draw particles from the prior, weight them by the count, add the log of the mean weight, resample in proportion to the
# weights, move them on, and so on to the last count. The product of the means is an unbiased estimate of the
# *evidence* (exercise 10.5). Judged are the mean of your estimates, in that scale, and how much they scatter. Write one
# loop over the steps and none over runs or particles: 200 runs of 60 particles have four seconds.


# %%
def particle_evidence(
    y: Tensor, a: float, q: float, m0: float, p0: float, particles: int, runs: int, seed: int
) -> Tensor:
    """Independent estimates of the log evidence, (runs,), in nats, from this seed."""
    # BEGIN SOLUTION
    torch.manual_seed(seed)
    z = m0 + p0**0.5 * torch.randn(runs, particles)
    total = torch.zeros(runs)
    for t in range(len(y)):
        if t > 0:
            z = a * z + q**0.5 * torch.randn(runs, particles)
        log_w = y[t] * z - z.exp() - torch.lgamma(y[t] + 1)
        total = total + log_w.logsumexp(dim=1) - math.log(particles)
        z = z.gather(1, torch.multinomial(log_w.softmax(dim=1), particles, replacement=True))
    return total
    # END SOLUTION


# %%
# the level does not move and is known: every weight is exp(−1)
fixed = particle_evidence(torch.zeros(2), 1.0, 0.0, 0.0, 0.0, 4, 3, 0)
look("two counts of 0 at the rate 1", fixed, [-2.0, -2.0, -2.0])

# %% [markdown]
# ## 6. By hand (20 points)
#
# a) From the joint density: $p(z_t \mid z_{t-1}, y_{1:T})$ is proportional to three factors, of which a filtering $q$
# can hold two. Derive it, each line with its rule; name the third, $\beta_t(z_t)$, and derive how $\beta_{t-1}$ comes
# from $\beta_t$. When is it flat? (12 points)
#
# b) For Gaussian measurements $\beta_t$ is proportional to a Gaussian in $z_t$. Express its precision and mean by the
# filter's and the smoother's. Give both for your `y`, at the first measurement, and the KL from the filter's density
# to the smoother's there, in nats. (8 points)
#
# *Your derivations, here or as a photograph that you drag into this cell; the numbers of b) from the next cell.*

# %%
# BEGIN SOLUTION
_, means, variances = filtered(y, gap, *of_y)
smooth, spread = smoother(y, gap, *of_y)
precision = 1 / spread[0] - 1 / variances[0]
center = (smooth[0] / spread[0] - means[0] / variances[0]) / precision
ratio = variances[0] / spread[0]
kl = 0.5 * (ratio - 1 - ratio.log() + (means[0] - smooth[0]) ** 2 / spread[0])
print(f"filter: mean {means[0]:.3f}, variance {variances[0]:.3f}; smoother: {smooth[0]:.3f}, {spread[0]:.3f}")
print(f"what comes later: mean {center:.3f}, precision {precision:.3f}; KL {kl:.4f} nats")
# END SOLUTION

# %% [markdown]
# ## 7. A figure and a sentence (10 points)
#
# Fit two $q$ to your counts by gradient, one with free links and one with all links 0. Draw their ELBOs (nats, a
# running mean) against the step, and the log evidence from your particles as a line, with labels. In one sentence:
# what is the distance between the two curves, and what is left between the upper one and the line?


# %%
# BEGIN SOLUTION
def fitted(linked: bool, steps: int = 400) -> list[float]:
    """The ELBO of each step of gradient ascent, by 8 draws."""
    torch.manual_seed(0)
    m, log_s = (counts + 0.5).log().requires_grad_(), torch.full((len(counts),), -1.0).requires_grad_()
    link = torch.zeros(len(counts)).requires_grad_(linked)
    optimizer = torch.optim.Adam([m, log_s, link] if linked else [m, log_s], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    values = []
    for _ in range(steps):
        optimizer.zero_grad()
        elbo = sequence_elbo(counts, *of_counts, m, log_s, link, torch.randn(8, len(counts))).mean()
        (-elbo).backward()
        optimizer.step()
        schedule.step()
        values.append(elbo.item())
    return values


runs = particle_evidence(counts, *of_counts, 200, 50, 0)
evidence = (runs.logsumexp(dim=0) - math.log(50)).item()
fig, ax = plt.subplots(figsize=(5, 3))
for name, linked in [("with links", True), ("mean-field", False)]:
    values = torch.tensor(fitted(linked))
    ax.plot(values.unfold(0, 20, 1).mean(dim=1), label=name)
    print(f"{name}: {values[-50:].mean():.3f}, {evidence - values[-50:].mean():.3f} below the evidence")
ax.axhline(evidence, color="black", ls="--", label="evidence")
ax.set(xlabel="step", ylabel="nats", ylim=(evidence - 12, evidence + 1))
ax.legend()
plt.show()
# END SOLUTION

# %% [markdown]
# *Your sentence.*
