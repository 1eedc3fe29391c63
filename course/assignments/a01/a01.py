# %% [markdown]
# # Assignment 1: lifetimes, some of them still running
#
# **Term:** @TERM@. **Reads:** chapters 1 and 2, with *How fast is EM?* and *Local optima, and likelihoods without a
# maximum*, which the short road leaves out. **Time:** about 5 hours after reading. **Points:** 70 for code, 20 by hand,
# 10 for a figure and a sentence.
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
# A workshop has lamps of $C$ kinds that look alike. A lamp of kind $c$ fails at a constant rate $\lambda_c$ per
# thousand hours, so that its lifetime has the density $\lambda_c e^{-\lambda_c t}$, and it survives time $t$ with
# probability $e^{-\lambda_c t}$. When the list was made some lamps had failed (`event` is 1, and `t` is the lifetime),
# the others were *still burning* (`event` is 0, and `t` is how long they have burned): such a lifetime is called
# *censored*. Nobody wrote down the kinds.
#
# In symbols: lamp $i$ is of kind $z_i$, which is $c$ with probability $w_c$ (chapter 2's $\pi_c$), and $d_i$ is its
# `event`. How long a lamp was watched says nothing about its kind, and its distribution stays out of $p$. On all cases
# the weights and rates that you are given are positive, and some lamps have failed.

# %%
import hashlib
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from course.assignments.look import look

torch.set_default_dtype(torch.float64)
SALT = "@SALT@"


def my_lamps() -> tuple[Tensor, Tensor]:
    """Your own lamps: t, in thousand hours, and event, both (200,)."""
    digest = hashlib.sha256(f"{SALT}|a01|{STUDENT}|data".encode()).digest()
    g = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    rate = torch.tensor([0.3, 5.0]) * (1 + 0.3 * torch.rand(2, generator=g))
    w = 1 + torch.rand(2, generator=g)
    z = torch.multinomial(w / w.sum(), 200, replacement=True, generator=g)
    life = -torch.rand(200, generator=g).log() / rate[z]
    watched = -torch.rand(200, generator=g).log() / 0.15
    event = (life <= watched).double()
    event[:2] = torch.tensor([1.0, 0.0])
    return torch.minimum(life, watched) + 1e-3, event


if not STUDENT:
    print("Put your id into the first cell: these are nobody's lamps.")
t, event = my_lamps()
print(f"{len(t)} lamps, {int(event.sum())} have failed")

# %% [markdown]
# ## 1. Whose lamp is it? (10 points)
#
# On paper first (question 5 needs it): what is $\log p(t_i, d_i, z_i = c)$ for a lamp that has failed, and for one that
# still burns? Then write the posterior of the kind, for all lamps. It must hold for $t = 2000$ too.


# %%
def responsibilities(t: Tensor, event: Tensor, w: Tensor, rate: Tensor) -> Tensor:
    """The posterior of each lamp's kind.

    Args:
        t: times, (N,).
        event: 1 where the lamp has failed, else 0, (N,).
        w: weights of the kinds, (C,), sum to one.
        rate: their rates, (C,).

    Returns:
        Tensor of shape (N, C).
    """
    # BEGIN SOLUTION
    logs = w.log() + event[:, None] * rate.log() - t[:, None] * rate
    return logs.softmax(dim=1)
    # END SOLUTION


# %%
toy_w, toy_rate = torch.tensor([0.25, 0.75]), torch.tensor([1.0, 2.0])
one, zero, at = torch.ones(1), torch.zeros(1), torch.tensor([2.0]).log()
# failed at t = log 2: ¼·1·½ against ¾·2·¼; still burning: ¼·½ against ¾·¼
look("a lamp that failed", responsibilities(at, one, toy_w, toy_rate), [0.25, 0.75])
look("one that burns", responsibilities(at, zero, toy_w, toy_rate), [0.4, 0.6])

# %% [markdown]
# ## 2. One step of EM (25 points)
#
# Latent is the kind alone; the rest of a censored life is not. Derive the M-step on paper first (question 5).


# %%
def em_step(t: Tensor, event: Tensor, w: Tensor, rate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One E-step and one M-step.

    Returns:
        New weights (C,), new rates (C,), and the log-likelihood of the OLD parameters: the
        sum over the lamps, a number.
    """
    # BEGIN SOLUTION
    logs = w.log() + event[:, None] * rate.log() - t[:, None] * rate
    r = logs.softmax(dim=1)
    failures, hours = (r * event[:, None]).sum(dim=0), (r * t[:, None]).sum(dim=0)
    return r.mean(dim=0), failures / hours, logs.logsumexp(dim=1).sum()
    # END SOLUTION


# %%
step = em_step(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.0]), one, one)
look("one kind: failures divided by hours", step, [0.25], 1)
look("and its log-likelihood", step, [-4.0], 2)
# both lamps of question 1: responsibilities ¼, ¾ and 0.4, 0.6
step = em_step(at.expand(2), torch.tensor([1.0, 0.0]), toy_w, toy_rate)
look("two kinds: the weights", step, [0.325, 0.675], 0)
look("and the rates", step, [0.25 / 0.65 / math.log(2), 0.75 / 1.35 / math.log(2)], 1)

# %% [markdown]
# ## 3. The identity (15 points)
#
# For *any* `q` whose rows sum to one, evidence = ELBO + KL. Give both, as sums over the lamps, in nats. `q` may hold
# zeros, and $0 \log 0 = 0$.


# %%
def elbo_and_kl(t: Tensor, event: Tensor, w: Tensor, rate: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """The ELBO and the KL from q to the posterior, two numbers; q has shape (N, C)."""
    # BEGIN SOLUTION
    logs = w.log() + event[:, None] * rate.log() - t[:, None] * rate
    negative_entropy = torch.special.xlogy(q, q).sum()
    elbo = (q * logs).sum() - negative_entropy
    return elbo, negative_entropy - (q * logs.log_softmax(dim=1)).sum()
    # END SOLUTION


# %%
both = elbo_and_kl(at, one, toy_w, toy_rate, torch.tensor([[0.25, 0.75]]))
look("q is the posterior: no KL", both, [0.0], 1)
both = elbo_and_kl(at, one, toy_w, toy_rate, torch.tensor([[1.0, 0.0]]))
look("q is sure: the ELBO is log ⅛", both, [-math.log(8)], 0)
look("and the KL is log 4", both, [math.log(4)], 1)

# %% [markdown]
# ## 4. EM to its end (20 points)
#
# Go on until one step raises the log-likelihood by less than $10^{-9}$. Return the log-likelihoods of all iterates: the
# first belongs to the start, the last to the parameters that you return. (Mind that `em_step` gives that of the *old*
# ones.) Stay in float64. There are up to 120 lamps, and a call may take three seconds; allow some thousand steps.


# %%
def fit(t: Tensor, event: Tensor, w0: Tensor, rate0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """EM from a start.

    Returns:
        Weights (C,), rates (C,), and the log-likelihoods, from the start to the end.
    """
    # BEGIN SOLUTION
    w, rate, values = w0, rate0, []
    for _ in range(5_000):
        new_w, new_rate, value = em_step(t, event, w, rate)
        values.append(value.item())
        if len(values) > 1 and values[-1] - values[-2] < 1e-9:
            break
        w, rate = new_w, new_rate
    else:
        values.append(em_step(t, event, w, rate)[2].item())
    return w, rate, torch.tensor(values)
    # END SOLUTION


# %%
end = fit(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.0]), one, one)
look("one kind is found at once", end, [0.25], 1)
# from rate 1 it is −4, at rate ¼ log ¼ − 1
values = end and torch.as_tensor(end[2])
look("where it begins", values, [-4.0], 0)
look("where it ends", values, [-math.log(4) - 1], -1)

# %% [markdown]
# ## 5. By hand (20 points)
#
# a) Derive the M-step of question 2: each line with the rule that it uses. (14 points)
#
# b) The likelihood of a Gaussian mixture is unbounded (chapter 2). Why is this one bounded, if every lamp that failed
# has $t_i > 0$? What goes wrong if one failed at $t = 0$? (6 points)
#
# *Your derivation, here or as a photograph: drag the picture into this cell.*

# %% [markdown]
# ## 6. A figure and a sentence (10 points)
#
# Fit your own lamps from weights ½, ½ and rates ½, 2. Draw how far the log-likelihood of each iterate lies *below the
# last one*, on a logarithmic axis, with labels. (Leave out the last, which is 0. The line bends at its end, since the
# last iterate is not quite the limit.) In one sentence: what is EM's rate here, in chapter 2's sense, the factor on the
# parameters' error (the figure's slope belongs to its square), and what would slow EM down?

# %%
# BEGIN SOLUTION
w, rate, values = fit(t, event, torch.tensor([0.5, 0.5]), torch.tensor([0.5, 2.0]))
fig, ax = plt.subplots(figsize=(5, 3))
ax.semilogy((values[-1] - values[:-1]).numpy(), marker=".")
ax.set(xlabel="iteration", ylabel="nats below the end")
plt.show()
print(f"log-likelihood per lamp {values[-1] / len(t):.4f}, rates {rate.numpy().round(3)}")
# END SOLUTION

# %% [markdown]
# *Your sentence.*
