# %% [markdown]
# # Assignment 4: AEVB from an empty file
#
# **Term:** @TERM@. **Reads:** chapters 6 and 7. **Points:** 70 for code, 20 by hand, 10 for a figure and a sentence.
# **Time:** about 7 hours, an estimate.
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
# 400 patients, 8 measurements. The measurements come in four blocks of two, a laboratory each, and a patient has been
# to some of the laboratories. `block` (D,) says to which laboratory a column belongs, `seen` (N, B) is 1 where a
# patient has been there, else 0. Who went where has nothing to do with the measurements. The model is factor analysis
# with a mean,
#
# $$ z \sim \mathcal N(0, I_L), \qquad x_d \mid z \sim \mathcal N(w_d^\top z + \mu_d,\; \psi_d), $$
#
# with $w_d$ the row $d$ of $W$, and only the measured entries are data: `x` holds NaN in all others.

# %%
import hashlib
import math
from collections.abc import Iterator

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from course.assignments.look import look

torch.set_default_dtype(torch.float64)
SALT = "@SALT@"


def my_patients() -> tuple[Tensor, Tensor, Tensor]:
    """Your own table: x (400, 8), seen (400, 4) and block (8,)."""
    digest = hashlib.sha256(f"{SALT}|a04|{STUDENT}|data".encode()).digest()
    g = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    block = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    seen = (torch.rand(400, 4, generator=g) < 0.65).double()
    seen[torch.arange(400), torch.arange(400) % 4] = 1.0
    loadings, center = torch.randn(8, 2, generator=g), torch.randn(8, generator=g)
    noise = (0.2 * torch.randn(8, generator=g) - 0.5).exp() * torch.randn(400, 8, generator=g)
    x = center + torch.randn(400, 2, generator=g) @ loadings.T + noise
    x[seen[:, block] == 0] = torch.nan
    return x, seen, block


if not STUDENT:
    print("Put your id into the first cell: these data are nobody's.")
x, seen, block = my_patients()
print(f"{len(x)} patients, {int((~x.isnan()).sum())} of {x.numel()} entries measured")

# %% [markdown]
# ## 1. The two terms of the ELBO (20 points)
#
# $q(z \mid x_i) = \mathcal N(m_i, \operatorname{diag}(s_i^2))$. The reconstruction is estimated with the noise that is
# given, $z = m + s\,\varepsilon$, and averaged over the draws; the KL is exact. Where nothing was measured `x` may hold
# anything, NaN too: mind that $0 \cdot \text{NaN}$ is NaN.


# %%
def elbo_terms(
    x: Tensor,
    seen: Tensor,
    block: Tensor,
    W: Tensor,
    mu: Tensor,
    log_psi: Tensor,
    m: Tensor,
    log_s: Tensor,
    eps: Tensor,
) -> tuple[Tensor, Tensor]:
    """The reconstruction and MINUS the KL of each row, (N,) each, in nats.

    Args:
        x: the table, (N, D).
        seen: whether a block of a row was measured, 1 or 0, (N, B).
        block: the block of each column, from 0 to B − 1, (D,).
        W: loadings, (D, L).
        mu: means, (D,).
        log_psi: logs of the noise variances, (D,).
        m: means of q, (N, L).
        log_s: logs of q's standard deviations, (N, L).
        eps: standard normal noise, (S, N, L).
    """
    # BEGIN SOLUTION
    measured = seen[:, block] > 0
    off = torch.where(measured, x, 0.0) - mu - (m + log_s.exp() * eps) @ W.T
    log_density = -0.5 * (off**2 / log_psi.exp() + log_psi + math.log(2 * math.pi))
    reconstruction = torch.where(measured, log_density, 0.0).sum(dim=2).mean(dim=0)
    return reconstruction, -0.5 * (m**2 + (2 * log_s).exp() - 1 - 2 * log_s).sum(dim=1)
    # END SOLUTION


# %%
# one patient, two laboratories, only the first visited: x₁ = 1, and q says z = 0 exactly where eps is 0
row, went, columns = torch.tensor([[1.0, math.nan]]), torch.tensor([[1.0, 0.0]]), torch.tensor([0, 1])
ones, none, zero = torch.ones(2, 1), torch.zeros(2), torch.zeros(1, 1)
terms = elbo_terms(row, went, columns, ones, none, none, zero, zero, torch.zeros(1, 1, 1))
look("log N(1; 0, 1), of one entry", terms, [-0.5 * math.log(2 * math.pi) - 0.5], 0)
look("q is the prior: no KL", terms, [0.0], 1)

# %% [markdown]
# ## 2. The evidence (15 points)
#
# For this model it has a closed form: for each patient the log density of the measured entries. A row in which
# nothing was measured has 0.


# %%
def log_evidence(x: Tensor, seen: Tensor, block: Tensor, W: Tensor, mu: Tensor, log_psi: Tensor) -> Tensor:
    """The log of p(measured entries of row i), (N,), in nats; arguments as above."""
    # BEGIN SOLUTION
    omega, values = W @ W.T + log_psi.exp().diag(), []
    for row, measured in zip(x, seen[:, block] > 0, strict=True):
        off, own = row[measured] - mu[measured], omega[measured][:, measured]
        square = off @ torch.linalg.solve(own, off)
        values.append(-0.5 * (len(off) * math.log(2 * math.pi) + torch.logdet(own) + square))
    return torch.stack(values)
    # END SOLUTION


# %%
look(
    "log N(1; 0, 2)",
    log_evidence(row, went, columns, ones, none, none),
    [-0.5 * math.log(4 * math.pi) - 0.25],
)

# %% [markdown]
# ## 3. A bound with k samples (10 points)
#
# Given are $S$ log weights for each datum. Estimate the importance-weighted bound of chapter 7 with $k$ samples, as
# well as $S$ samples can: cut them into $S / k$ groups of $k$, one after the other, and average the groups' bounds.
# The log weights may lie near $-900$.


# %%
def iwae(log_w: Tensor, k: int) -> Tensor:
    """The bound with k samples of each datum, (N,), in nats.

    Args:
        log_w: log weights, (S, N); k divides S.
        k: samples in a group.
    """
    # BEGIN SOLUTION
    return (log_w.reshape(-1, k, log_w.shape[1]).logsumexp(dim=1) - math.log(k)).mean(dim=0)
    # END SOLUTION


# %%
weights = torch.tensor([[1.0], [3.0], [4.0], [4.0]]).log()
look("two groups: means 2 and 4", iwae(weights, 2), [0.5 * math.log(8.0)])
look("k = 1: the ELBO", iwae(weights, 1), [0.25 * math.log(48.0)])

# %% [markdown]
# ## 4. AEVB (25 points)
#
# Train $W$, $\mu$, $\log \psi$ and an encoder. Judged is what you return: the evidence of *new* rows under your
# parameters, computed outside. It is right if it is within 0.05 nats a row of what EM's parameters give; within 0.2
# nats it counts 0.6. A call may take 20 seconds of one core, and is made for two tables like yours. AEVB
# can do it in one: start $\mu$ and $\psi$ at the columns' means and variances, standardize what the encoder reads, let
# it read zeros for the holes *and* which blocks were seen, and let the steps shrink to zero. The posteriors here are
# narrow, so that several hundred passes are needed. Compare with `log_evidence` on rows that you have held back.

# %%
# BEGIN SOLUTION
Parameters = tuple[Tensor, Tensor, Tensor]


def aevb(
    x: Tensor, seen: Tensor, block: Tensor, latents: int, seed: int, epochs: int = 300
) -> Iterator[tuple[Parameters, float]]:
    """The parameters and the mean ELBO after each epoch."""
    torch.manual_seed(seed)
    mask = seen[:, block]
    table, count = torch.where(mask > 0, x, 0.0), mask.sum(dim=0)
    center = table.sum(dim=0) / count
    variance = ((table - center) ** 2 * mask).sum(dim=0) / count
    read = torch.cat([(table - center) * mask / variance.sqrt(), seen], dim=1)
    mu, log_psi = center.clone().requires_grad_(), variance.log().requires_grad_()
    W = (0.3 * torch.randn(x.shape[1], latents)).requires_grad_()
    encoder = nn.Sequential(nn.Linear(read.shape[1], 64), nn.Tanh(), nn.Linear(64, 2 * latents))
    optimizer = torch.optim.Adam([W, mu, log_psi, *encoder.parameters()], lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(x)).split(200):
            m, log_s = encoder(read[rows]).chunk(2, dim=1)
            eps = torch.randn(1, len(rows), latents)
            terms = elbo_terms(table[rows], seen[rows], block, W, mu, log_psi, m, log_s, eps)
            optimizer.zero_grad()
            (-sum(terms).mean()).backward()
            optimizer.step()
            total += sum(terms).sum().item()
        schedule.step()
        yield (W.detach(), mu.detach(), log_psi.detach()), total / len(x)


# END SOLUTION


# %%
def train(x: Tensor, seen: Tensor, block: Tensor, latents: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Fit the model.

    Args:
        x: the table, NaN where nothing was measured, (N, D).
        seen: whether a block of a row was measured, (N, B).
        block: the block of each column, (D,).
        latents: L.
        seed: of your random numbers.

    Returns:
        W (D, L), mu (D,) and log_psi (D,).
    """
    # BEGIN SOLUTION
    *_, (parameters, _) = aevb(x, seen, block, latents, seed)
    return parameters
    # END SOLUTION


# %% [markdown]
# ## 5. By hand (20 points)
#
# a) The nine lines of AEVB (chapter 6) for *this* model and table: beside each line the rule that allows it, or the
# equation of chapters 5 and 6 that it comes from. The line that holds the model with its whole formula: what is drawn,
# where the mask stands, which term is exact. (12 points)
#
# b) Show, from the joint density of $x_1, \dots, x_D$ and $z$, that what was not measured leaves the joint density of
# the rest by integration and takes nothing else with it. Then: the posterior of a patient with nothing measured, and
# why an encoder that reads zeros for the holes, and not which blocks were seen, cannot be right. (8 points)
#
# *Your derivations, here or as a photograph that you drag into this cell.*

# %% [markdown]
# ## 6. A figure and a sentence (10 points)
#
# Train on your own table. Draw the mean ELBO and the mean evidence of the same rows (nats a patient) against the
# epoch, in one figure, with labels. In one sentence: what lies between the curves at the end, and which two parts has
# it?

# %%
# BEGIN SOLUTION
elbos, evidences = [], []
for parameters, elbo in aevb(x, seen, block, 2, seed=0):
    if len(elbos) % 10 == 0:
        evidences.append(log_evidence(x, seen, block, *parameters).mean().item())
    elbos.append(elbo)
fig, ax = plt.subplots(figsize=(5, 3))
ax.plot(elbos, lw=0.8, label="ELBO, one draw a patient")
ax.plot(range(0, len(elbos), 10), evidences, color="black", label="evidence")
ax.set(xlabel="epoch", ylabel="nats a patient", ylim=(evidences[-1] - 2, evidences[-1] + 0.3))
ax.legend()
plt.show()
print(f"evidence {evidences[-1]:.3f}, ELBO {sum(elbos[-20:]) / 20:.3f} nats a patient")
# END SOLUTION

# %% [markdown]
# *Your sentence.*
