# %% [markdown]
# # Assignment 5: a label that nobody gave
#
# **Term:** @TERM@. **Reads:** chapters 8 and 9. **Points:** 70 for code, 20 by hand, 10 for a figure and a sentence.
# **Time:** about 6 hours, an estimate.
#
# Put your id between the quotes in the next cell, exactly as the course's platform knows it: your data are drawn
# from it. Write your code where it says `your code`; keep the names of the functions and the order of what they
# return. They are called on cases that you do not see, among them hard ones. Cells may be added, moved and split.
# Everything you need is numpy, torch, matplotlib, and scikit-learn for the digits; `aevb_utils` is not there when your
# notebook is graded.
#
# A ✓ under a question is one small example, and no grade: many wrong functions get it, too. **Before you hand in**,
# restart the kernel and run all cells. Then hand in this file, the `.ipynb`, where your course collects it.

# %%
STUDENT = ""  # your id
NAME = ""  # your name

# %% [markdown]
# ## The data
#
# Five of the ten small digits, drawn for you: a pixel is 1 where it is inked, else 0. You get the images without their
# labels. And a function $f$ of three binary labels, for the figure.

# %%
import hashlib
import math
from itertools import permutations

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from course.assignments.look import look

torch.set_default_dtype(torch.float64)
SALT = "@SALT@"


def my_digits() -> tuple[Tensor, Tensor, Tensor]:
    """Your own images (N, 64), and the weights (3,) and logits (3,) of questions 7 and 8."""
    digest = hashlib.sha256(f"{SALT}|a05|{STUDENT}|data".encode()).digest()
    g = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    five, digits = torch.randperm(10, generator=g)[:5], load_digits()
    inked = torch.as_tensor(digits.data >= 8).double()
    mine = inked[torch.isin(torch.as_tensor(digits.target), five)]
    return (
        mine[torch.randperm(len(mine), generator=g)],
        1.5 + 0.5 * torch.rand(3, generator=g),
        torch.randn(3, generator=g),
    )


if not STUDENT:
    print("Put your id into the first cell: these data are nobody's.")
x, weights, beliefs = my_digits()
print(f"{len(x)} digits of five kinds; weights {weights.numpy().round(2)}, logits {beliefs.numpy().round(2)}")

# %% [markdown]
# ## 1. Some labels are crossed out (20 points)
#
# Chapter 9 sums over all classes. Now somebody has looked at each datum and crossed out classes that it cannot be.
# What is left, `allowed`, is given, as a condition: both $q(y \mid x)$ and $p(y)$ are restricted to it, and each sums
# to one over it. Start from (9.7), and give the ELBO of each datum. Take care that $0 \log 0 = 0$, and that $q$ may
# have been sure of a class that is crossed out.


# %%
def summed_elbo(logits: Tensor, reconstruction: Tensor, kl: Tensor, log_prior: Tensor, allowed: Tensor) -> Tensor:
    """The ELBO of each datum, (N,), in nats.

    Args:
        logits: of q(y | x), before anything was crossed out, (N, C).
        reconstruction: E[log p(x | z)] under q(z | x, y = c), (N, C).
        kl: KL from q(z | x, y = c) to p(z | y = c), (N, C).
        log_prior: log p(y = c), before anything was crossed out, (C,).
        allowed: 1 where a class is left, else 0, (N, C); at least one in each row.
    """
    # BEGIN SOLUTION
    out = allowed == 0
    log_q = logits.masked_fill(out, -math.inf).log_softmax(dim=1).masked_fill(out, 0.0)
    log_p = log_prior.expand_as(logits).masked_fill(out, -math.inf).log_softmax(dim=1).masked_fill(out, 0.0)
    return (allowed * log_q.exp() * (reconstruction - kl + log_p - log_q)).sum(dim=1)
    # END SOLUTION


# %%
# three classes, the last is crossed out, q even between the others; the prior ¼, ¼, ½ becomes ½, ½: its KL is 0
row, prior = torch.tensor([[-3.0, -5.0, 99.0]]), torch.tensor([[0.25, 0.25, 0.5]]).log()[0]
left = torch.tensor([[1.0, 1.0, 0.0]])
look("mean −4, KL to the prior 0", summed_elbo(torch.zeros(1, 3), row, 0 * row, prior, left), [-4.0])

# %% [markdown]
# ## 2. Many binary labels, relaxed (10 points)
#
# Each datum has $K$ binary labels, independent under $q$, with logits $\lambda_k$. Summing over $2^K$ values is out of
# the question, so relax them: for one label there are two classes with the logits $\lambda$ and 0, and (9.15) says what
# the difference of two Gumbels is. Draw it from *one* uniform $u$ by solving $F(G) = u$, and give $\tilde y$, the
# relaxed share of class 1. Some $u$ are as small as $10^{-30}$.


# %%
def relaxed_sample(logits: Tensor, u: Tensor, temperature: float) -> Tensor:
    """Relaxed labels, (N, K), each between 0 and 1.

    Args:
        logits: of each label being 1, (N, K).
        u: uniform numbers, (N, K).
        temperature: τ, positive.
    """
    # BEGIN SOLUTION
    return ((logits + u.log() - (1 - u).log()) / temperature).sigmoid()
    # END SOLUTION


# %%
three_quarters, zero = torch.tensor([[0.75]]), torch.zeros(1, 1)
look("u = ¾: G is log 3; at τ = ½ the share is 9/10", relaxed_sample(zero, three_quarters, 0.5), [0.9])

# %% [markdown]
# ## 3. Their density (15 points)
#
# From the density of $u = \lambda + G$ in (9.15) and $\tilde y = \sigma(u / \tau)$ derive the log density of
# $\tilde y$, and give that of all $K$ labels of a datum together. Logits may be $-60$: which of $\sigma(w)$ and
# $1 - \sigma(w)$ is then exactly 0 in float64?


# %%
def relaxed_log_density(y: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """The log density of relaxed labels, (N,), in nats.

    Args:
        y: relaxed labels, between 0 and 1, (N, K).
        logits: λ, (N, K).
        temperature: τ, positive.
    """
    # BEGIN SOLUTION
    w = temperature * torch.logit(y) - logits
    log_rho = -nn.functional.softplus(w) - nn.functional.softplus(-w)
    return (log_rho + math.log(temperature) - y.log() - (1 - y).log()).sum(dim=1)
    # END SOLUTION


# %%
half = torch.full((1, 1), 0.5)
look("τ = 1, λ = 0: uniform", relaxed_log_density(three_quarters, zero, 1.0), [0.0])
look("τ = ½, in the middle: ¼ · ½ / (½ · ½)", relaxed_log_density(half, zero, 0.5), [math.log(0.5)])

# %% [markdown]
# ## 4. What a datum tells about its label (10 points)
#
# Given are $\log p(x_i \mid y = c)$, which may lie near $-900$, and $\log p(y = c)$, which need not be uniform. Give
# $\operatorname{KL}(p(y \mid x_i) \Vert p(y))$ of each datum. (Where is it at most $\log C$? What if the prior is not
# uniform?)


# %%
def label_information(log_px_y: Tensor, log_py: Tensor) -> Tensor:
    """The KL from p(y | x) to p(y) of each datum, (N,), in nats; log_px_y is (N, C), log_py (C,)."""
    # BEGIN SOLUTION
    log_posterior = (log_px_y + log_py).log_softmax(dim=1)
    return (log_posterior.exp() * (log_posterior - log_py)).sum(dim=1)
    # END SOLUTION


# %%
even = torch.tensor([0.5, 0.5]).log()
told = label_information(torch.tensor([[-7.0, -7.0], [0.0, -1000.0]]), even)
look("nothing, and all there is", told, [0.0, math.log(2)])

# %% [markdown]
# ## 5. One to one (10 points)
#
# The accuracy (9.21) of a clustering. There may be more clusters than labels, up to seven: then some have no name.


# %%
def cluster_accuracy(clusters: Tensor, labels: Tensor) -> float:
    """The largest share of data that are right, over all one-to-one names; both are whole numbers from 0, (N,)."""
    # BEGIN SOLUTION
    size = int(max(clusters.max(), labels.max())) + 1
    agree = torch.zeros(size, size)
    for one, other in zip(labels.tolist(), clusters.tolist(), strict=True):
        agree[one, other] += 1
    best = max(sum(agree[label, name] for label, name in enumerate(names)) for names in permutations(range(size)))
    return (best / len(labels)).item()
    # END SOLUTION


# %%
look(
    "3 of 4, and not 4 of 4",
    cluster_accuracy(torch.tensor([1, 1, 0, 2]), torch.tensor([0, 0, 1, 1])),
    [0.75],
)

# %% [markdown]
# ## 6. Find the labels (5 points)
#
# Cluster images of five kinds of digits, without labels: a decoder with a probability for each pixel and class, an
# encoder $q(y \mid x)$, and the ELBO of question 1 with all classes allowed and no $z$ (so no KL of $z$). Any way is
# allowed; judged is the one-to-one accuracy, for three seeds and images whose pixels stand in another order, the same
# for all. Within 0.15 of EM for a mixture of independent pixels it is right, within 0.35 it counts 0.6. A call may take
# 15 seconds of one core. Report for your own images the ELBO of the three seeds 0, 1 and 2, mean and spread. (Start
# each class at a datum, and the encoder at what the decoder says; of several starts keep the one with the best ELBO.)


# %%
def train(x: Tensor, kinds: int, seed: int) -> Tensor:
    """The cluster of each image, whole numbers from 0 to kinds − 1, (N,).

    Args:
        x: images of zeros and ones, (N, D).
        kinds: how many kinds there are.
        seed: of your random numbers.
    """
    # BEGIN SOLUTION
    torch.manual_seed(seed)
    return best_start(x, kinds)[1]
    # END SOLUTION


# %%
# BEGIN SOLUTION
def best_start(x: Tensor, kinds: int, starts: int = 8, steps: int = 60) -> tuple[float, Tensor]:
    """The ELBO and the clusters of the best of several starts, which are trained side by side."""
    first = torch.cat([torch.randperm(len(x))[:kinds] for _ in range(starts)])
    pixels = (x[first] - 0.5).requires_grad_()  # logits of the decoders, (starts · kinds, D)
    encoder = nn.Linear(x.shape[1], starts * kinds)
    with torch.no_grad():
        encoder.weight.copy_(pixels)
        encoder.bias.copy_(-nn.functional.softplus(pixels).sum(dim=1))  # what the decoders say
    optimizer = torch.optim.Adam([pixels, *encoder.parameters()], lr=0.1)
    even, no_kl = torch.zeros(kinds), torch.zeros(len(x) * starts, kinds)
    for _ in range(steps):
        logits = encoder(x).reshape(-1, kinds)
        reconstruction = (x @ pixels.T - nn.functional.softplus(pixels).sum(dim=1)).reshape(-1, kinds)
        elbo = summed_elbo(logits, reconstruction, no_kl, even, torch.ones_like(logits))
        elbo = elbo.reshape(-1, starts).mean(dim=0)  # of each start
        optimizer.zero_grad()
        (-elbo.sum()).backward()
        optimizer.step()
    best = elbo.argmax()
    return elbo[best].item(), logits.reshape(-1, starts, kinds)[:, best].argmax(dim=1)


# END SOLUTION

# %%
# BEGIN SOLUTION
found = []
for seed in (0, 1, 2):
    torch.manual_seed(seed)
    found.append(best_start(x, 5)[0])
print(f"ELBO {sum(found) / 3:.3f} nats a digit, from {min(found):.3f} to {max(found):.3f}")
# END SOLUTION

# %% [markdown]
# ## 7. By hand (20 points)
#
# a) Derive the density of question 3: each line with its rule. Show that it integrates to one. (8 points)
#
# b) Take question 2's $q$ for one datum with $K$ binary labels and a prior $p(y_k = 1) = \tfrac12$. Two objectives:
# with the densities (9.18), and with the exact KL between the Bernoulli distributions. Which is a bound, and on what?
# Prove the one. For the other give two counterexamples in numbers, at $\tau = 1$, with
# $p(x \mid y) = \mathcal N(x; \sum_k w_k (2y_k - 1), 1)$ and your three `weights`: at $x = 0$ with all logits 0 compare
# it with $\log p(x)$ of labels that are 0 or 1, a sum over eight; at $x = \sum_k w_k$ with all logits 20 compare it
# with the log evidence of the relaxed labels, by many draws from their prior. (12 points)
#
# *Your derivations, here or as a photograph that you drag into this cell; the numbers of b) from the next cell.*

# %%
# BEGIN SOLUTION
corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
normal = torch.distributions.Normal(0.0, 1.0)
exact = normal.log_prob((2 * corners - 1) @ weights).logsumexp(dim=0) - math.log(8)
torch.manual_seed(0)
relaxed = relaxed_sample(torch.zeros(100_000, 3), torch.rand(100_000, 3), 1.0)
draws = normal.log_prob((2 * relaxed - 1) @ weights)  # with all logits 0 the KL is 0
print(f"x = 0: log p(x) {exact:.4f}; objective {draws.mean():.4f} ± {draws.std() / len(draws) ** 0.5:.4f}")
sure = relaxed_sample(torch.full((100_000, 3), 20.0), torch.rand(100_000, 3), 1.0)
objective = normal.log_prob((2 * sure - 1) @ weights - weights.sum()).mean() - 3 * math.log(2)
inside = normal.log_prob((2 * relaxed - 1) @ weights - weights.sum()).logsumexp(dim=0) - math.log(100_000)
print(f"x = Σ w: log evidence of the relaxed labels {inside:.3f}; objective {objective:.3f}")
# END SOLUTION

# %% [markdown]
# ## 8. A figure and a sentence (10 points)
#
# Let $f(y) = (w^\top y)^2$ with your `weights`, and let the three labels have your `beliefs` as logits. Draw, on two
# logarithmic axes with labels, the bias of $\mathbb E[f(\tilde y)]$ against the temperature, for $\tau$ = 0.05, 0.1,
# 0.2, 0.4 and 0.8: the exact mean is a sum over eight, and with the same noise for $\tilde y$ and its corner
# ($\tilde y > \tfrac12$) the difference has little noise. In one sentence: the slope at small $\tau$, and why.

# %%
# BEGIN SOLUTION
torch.manual_seed(1)
u, logits = torch.rand(200_000, 3), beliefs.expand(200_000, 3)
temperatures, biases = [0.05, 0.1, 0.2, 0.4, 0.8], []
for temperature in temperatures:
    soft = relaxed_sample(logits, u, temperature)
    biases.append((((soft @ weights) ** 2) - (((soft > 0.5).double() @ weights) ** 2)).mean().abs().item())
fig, ax = plt.subplots(figsize=(5, 3))
ax.loglog(temperatures, biases, "o-")
ax.set(xlabel="temperature", ylabel="bias of the mean of f")
plt.show()
print(f"slope {math.log(biases[1] / biases[0]) / math.log(2):.2f}")
# END SOLUTION

# %% [markdown]
# *Your sentence.*
