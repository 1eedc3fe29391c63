# %% [markdown]
# # Assignment 3: three gradients
#
# **Term:** @TERM@. **Reads:** chapter 5. **Points:** 70 for code, 20 by hand, 10 for a figure and a sentence.
# **Time:** about 5 hours, an estimate.
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
# A part breaks at time $z > 0$, and $q(z)$ is a **Weibull** density with scale $a$ and shape $k$:
#
# $$ q(z) = \frac ka \Bigl(\frac za\Bigr)^{k-1} e^{-(z/a)^k}, \qquad F(z) = P(Z \le z) = 1 - e^{-(z/a)^k}. $$
#
# You have a scale and a shape of your own, and a time $c$ at which a warranty ends.

# %%
import hashlib

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from course.assignments.look import look

torch.set_default_dtype(torch.float64)
SALT = "@SALT@"


def my_part() -> tuple[float, float, float]:
    """Your own scale a, shape k and time c."""
    digest = hashlib.sha256(f"{SALT}|a03|{STUDENT}|data".encode()).digest()
    g = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    scale, shape, part = torch.rand(3, generator=g).tolist()
    return 1 + scale, 1.5 + shape, (1 + scale) * (0.6 + 0.5 * part)


if not STUDENT:
    print("Put your id into the first cell: these data are nobody's.")
a, k, c = my_part()
print(f"scale {a:.3f}, shape {k:.3f}, the warranty ends at {c:.3f}")

# %% [markdown]
# ## 1. The score function, leave-one-out (20 points)
#
# Given are samples $z_1, \dots, z_S$ and the values $f(z_s)$. Estimate the gradient of $\mathbb E_q[f(z)]$ in $a$ and
# $k$ by the score function. The baseline of each sample is the mean of the *other* samples' values; the estimate is
# the mean over the samples.


# %%
def score_gradient(values: Tensor, z: Tensor, scale: float, shape: float) -> Tensor:
    """The estimate of the derivatives in scale and shape, in this order, (2,).

    Args:
        values: f at the samples, (S,), S at least 2.
        z: the samples, (S,), positive.
        scale: a, positive.
        shape: k, positive.
    """
    # BEGIN SOLUTION
    ratio = z / scale
    in_scale = shape / scale * (ratio**shape - 1)
    in_shape = 1 / shape + ratio.log() * (1 - ratio**shape)
    baselines = (values.sum() - values) / (len(values) - 1)
    return ((values - baselines)[:, None] * torch.stack([in_scale, in_shape], dim=1)).mean(dim=0)
    # END SOLUTION


# %%
# a = k = 1: the scores in a are z − 1, here 0 and 1; in k, with log z = 0 and log 2, 1 and 1 − log 2
log2 = torch.tensor(2.0).log().item()
gradient = score_gradient(torch.tensor([5.0, 3.0]), torch.tensor([1.0, 2.0]), 1.0, 1.0)
look("two samples: half of 2 · score₁ − 2 · score₂", gradient, [-1.0, log2])

# %% [markdown]
# ## 2. A path for the Weibull (20 points)
#
# Turn a uniform $u$ into a sample by solving $F(z) = u$, and differentiate the sample in scale and shape at fixed $u$.
# The formulas must hold to four digits where $u$ is as small as $10^{-15}$: what becomes of $1 - u$ there?


# %%
def weibull_path(u: Tensor, scale: float, shape: float) -> tuple[Tensor, Tensor, Tensor]:
    """The samples z and their derivatives dz/da and dz/dk, (N,) each, for u between 0 and 1."""
    # BEGIN SOLUTION
    exponential = -torch.log1p(-u)
    z = scale * exponential ** (1 / shape)
    return z, z / scale, -z * exponential.log() / shape**2
    # END SOLUTION


# %%
path = weibull_path(torch.tensor([1 - 1 / torch.e]), 2.0, 3.0)
look("u = 1 − 1/e: the sample is the scale", path, [2.0], 0)
look("there dz/da is 1", path, [1.0], 1)
look("and dz/dk is 0", path, [0.0], 2)

# %% [markdown]
# ## 3. Three estimators for a width (20 points)
#
# The model: $z \sim \mathcal N(0, \tau^2)$, and $x_1, \dots, x_n$ given $z$ independent from $\mathcal N(z, \sigma^2)$.
# Take $q = \mathcal N(m, s^2)$ and $z = m + s\varepsilon$. Chapter 5 works out the gradient in $m$; you want the
# derivative of the ELBO in $\log s$. For each $\varepsilon$ give what the total derivative, the analytic KL and the
# path derivative say, in closed form.


# %%
def elbo_estimators(x: Tensor, noise: float, prior: float, m: float, log_s: float, eps: Tensor) -> Tensor:
    """What each draw says about the ELBO's derivative in log s, (S, 3): total, analytic KL, path.

    Args:
        x: data, (n,).
        noise: σ², a variance.
        prior: τ², a variance.
        m: the mean of q.
        log_s: the log of its standard deviation.
        eps: standard normal noise, (S,).
    """
    # BEGIN SOLUTION
    s = torch.tensor(log_s).exp()
    z = m + s * eps
    by_data = s * eps * (x[:, None] - z).sum(dim=0) / noise
    by_prior = -s * eps * z / prior
    return torch.stack([by_data + by_prior + 1, by_data - s**2 / prior + 1, by_data + by_prior + eps**2], dim=1)
    # END SOLUTION


# %%
# one datum x = 0, both variances 1: the posterior is N(0, ½), and q is it. At ε = 1 the total says −½ − ½ + 1
at_posterior = elbo_estimators(torch.zeros(1), 1.0, 1.0, 0.0, -0.5 * log2, torch.ones(1))
look("at the posterior", at_posterior, [0.0, 0.0, 0.0])
at_posterior = elbo_estimators(torch.zeros(1), 1.0, 1.0, 0.0, -0.5 * log2, torch.zeros(1))
look("the path says 0 whatever ε is", at_posterior, [1.0, 0.5, 0.0])

# %% [markdown]
# ## 4. Their exact variances (10 points)
#
# The variance of one draw of each of the three, in closed form. You will need $\operatorname{Var}[\varepsilon^2]$ and
# the covariance of $\varepsilon$ and $\varepsilon^2$. Compare with many draws of question 3.


# %%
def exact_variance(x: Tensor, noise: float, prior: float, m: float, log_s: float) -> Tensor:
    """The variances, (3,): total, analytic KL, path; arguments as above."""
    # BEGIN SOLUTION
    s2, n = torch.tensor(2 * log_s).exp(), len(x)
    precision = n / noise + 1 / prior
    pull = (x - m).sum() / noise - m / prior
    total = s2 * pull**2 + 2 * (precision * s2) ** 2
    analytic = s2 * (pull + m / prior) ** 2 + 2 * (n * s2 / noise) ** 2
    return torch.stack([total, analytic, s2 * pull**2 + 2 * (1 - precision * s2) ** 2])
    # END SOLUTION


# %%
variances = exact_variance(torch.zeros(1), 1.0, 1.0, 0.0, -0.5 * log2)
look("at the posterior", variances, [2.0, 0.5, 0.0])

# %% [markdown]
# ## 5. By hand (20 points)
#
# a) Let $f$ be smooth but for a jump at $c$ of height $h = f(c^+) - f(c^-)$, the limits from the right and from the
# left. Write $\mathbb E_q[f(z)]$ as two integrals, differentiate it in a parameter of $q$, and bring it to the pathwise
# estimator's mean and one more term: which? Each line with its rule. Evaluate the term for a Weibull's scale and
# $f(z) = 1$ for $z > c$, 0 otherwise, and compare with the derivative of $1 - F(c)$. (13 points)
#
# b) For your $a$, $k$ and $c$ and this $f$: the exact derivative in $a$, and what 20,000 draws say by the pathwise
# estimator, by the score function, and by the pathwise estimator with your term, with standard errors. Two of them have
# no variance. What is wrong with the one without the term, and what does its standard error tell? (7 points)
#
# *Your derivations, here or as a photograph that you drag into this cell; the numbers of b) from the next cell.*

# %%
# BEGIN SOLUTION
torch.manual_seed(0)
z, dz_da, _ = weibull_path(torch.rand(20_000), a, k)
f = (z > c).double()
exact = k / a * (c / a) ** k * torch.exp(torch.tensor(-((c / a) ** k))).item()
score = (f - f.mean()) * k / a * ((z / a) ** k - 1)
density = k / a * (c / a) ** (k - 1) * torch.exp(torch.tensor(-((c / a) ** k))).item()
print(f"exact {exact:.4f}")
print(f"score function {score.mean():.4f} ± {score.std() / len(z) ** 0.5:.4f}")
print(f"pathwise 0 ± 0; with the term of the jump {density * c / a:.4f}")
# END SOLUTION

# %% [markdown]
# ## 6. A figure and a sentence (10 points)
#
# Let $z_1, \dots, z_D$ be independent, all Weibull with your $a$ and $k$, and $f(z) = \sum_d z_d^2$. Draw, on two
# logarithmic axes with labels, the variance of one draw's estimate of the derivative in *the first* scale against
# $D$ = 1, 2, 4, …, 64, for the score function without a baseline, with the baseline $\mathbb E[f]$, and for the path.
# In one sentence: the three slopes at large $D$, and where each comes from.

# %%
# BEGIN SOLUTION
torch.manual_seed(1)
dimensions = [1, 2, 4, 8, 16, 32, 64]
curves = {"score function": [], "with the baseline E[f]": [], "path": []}
for D in dimensions:
    z, dz_da, _ = weibull_path(torch.rand(10_000, D), a, k)
    f, score = (z**2).sum(dim=1), k / a * ((z[:, 0] / a) ** k - 1)
    curves["score function"].append((f * score).var())
    curves["with the baseline E[f]"].append(((f - f.mean()) * score).var())
    curves["path"].append((2 * z[:, 0] * dz_da[:, 0]).var())
fig, ax = plt.subplots(figsize=(5, 3))
for name, curve in curves.items():
    ax.loglog(dimensions, curve, "o-", label=name)
    print(f"{name}: slope {(curve[-1] / curve[-3]).log() / torch.tensor(4.0).log():.2f}")
ax.set(xlabel="dimensions D", ylabel="variance of one draw")
ax.legend()
plt.show()
# END SOLUTION

# %% [markdown]
# *Your sentence.*
