"""The Gaussian-mixture VAE, and three ways to estimate its ELBO.

Exported from notebooks/09_gaussian_mixture_vae.ipynb by ``make export``: edit the chapter.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

from aevb_utils.inputs import check_choice, check_count, check_sizes
from aevb_utils.models.vae import AutoEncodingModel, Terms, check_rows
from aevb_utils.networks import (
    SCALE_FLOOR,
    GaussianNetwork,
    Layer,
    Likelihood,
    Network,
    bernoulli,
    positive,
)


class MixturePrior(AutoEncodingModel):
    """p(y) = 1/C and p(z | y) = 𝒩(μ_y, diag s_y²), eq. (9.1): tables of shape (C, L).

    ``mean_scale`` is the standard deviation of the numbers in μ at the start; s is 1.
    """

    def __init__(self, L: int, C: int, mean_scale: float) -> None:
        super().__init__()
        check_sizes(L=L, C=C)
        self.L, self.C = L, C
        self.means = nn.Parameter(mean_scale * torch.randn(C, L))  # μ
        one = math.log(math.expm1(1 - SCALE_FLOOR))  # positive(one) = 1
        self.raw_scales = nn.Parameter(torch.full((C, L), one))  # s = positive(raw_scales)

    def classes(self) -> Tensor:
        """All y as one-hot rows, (C, C)."""
        return torch.eye(self.C, dtype=self.means.dtype, device=self.means.device)

    def p_y(self) -> Categorical:
        """The prior of the class, 1/C each."""
        return Categorical(logits=self.means.new_zeros(self.C))

    def p_z_given_y(self, y: Tensor | None = None) -> Independent:
        """𝒩(μ_y, diag s_y²) for one-hot y of shape (…, C), by default for each class."""
        y = self.classes() if y is None else y
        return Independent(Normal(y @ self.means, y @ positive(self.raw_scales)), 1)

    def p_z(self) -> MixtureSameFamily:
        """The prior of z with y summed out: a Gaussian mixture, chapter 2's, eq. (9.2)."""
        return MixtureSameFamily(self.p_y(), self.p_z_given_y())


class MixtureEncoder(nn.Module):
    """q(y | x) and q(z | x, y) from features a(x) that are computed once, eq. (9.10).

    The logits of q(y | x) are linear in relu(a), the outputs that make q(z | x, y) in
    relu(a + e_y), with a learned row e_y for each class.
    """

    def __init__(
        self, D: int, hidden: Sequence[int], L: int, C: int, layer: Layer, dropout: float
    ) -> None:
        super().__init__()
        check_count("The number of hidden layers", len(hidden))
        *first, last = hidden
        self.features = Network(D, first, last, layer=layer, dropout=dropout)
        self.shifts = nn.Parameter(0.01 * torch.randn(C, last))  # e, (C, H)
        self.hidden = nn.Sequential(nn.ReLU(), nn.Dropout(dropout))
        self.y_head = Network(last, (), C)
        self.z_head = GaussianNetwork(last, (), L)

    def q_y(self, a: Tensor) -> Categorical:
        """q(y | x) for features a of shape (…, H)."""
        return Categorical(logits=self.y_head(self.hidden(a)))

    def q_z(self, a: Tensor, y: Tensor) -> Independent:
        """q(z | x, y) for features (…, H) and one-hot y of shape (…, C)."""
        return self.z_head(self.hidden(a + y @ self.shifts))


def summed_terms(model: "MixtureAutoEncoder", x: Tensor, num_samples: int = 1) -> Terms:
    """The three terms of eq. (9.8), each (batch,), in nats: the sum over y is exact."""
    check_count("num_samples", num_samples)
    q_y, q_z = model.q_y_and_z(x)
    z = q_z.rsample((num_samples,))  # (S, batch, C, L)
    log_likelihood = model.p_x_given_z(z).log_prob(x[:, None]).mean(dim=0)  # (batch, C)
    kl_z = kl_divergence(q_z, model.p_z_given_y())  # (batch, C)
    return {
        "reconstruction": (q_y.probs * log_likelihood).sum(dim=1),
        "minus_kl_z": -(q_y.probs * kl_z).sum(dim=1),
        "minus_kl_y": -kl_divergence(q_y, model.p_y()),
    }


def draw_log_weights(model: "MixtureAutoEncoder", x: Tensor, num_samples: int) -> Tensor:
    """The log of p(x, y, z) / q(y, z | x) at samples of y and z, (num_samples, batch)."""
    check_count("num_samples", num_samples)
    a = model.features(x)
    q_y = model.encoder.q_y(a)
    index = q_y.sample((num_samples,))  # (S, batch)
    y = model.classes()[index]  # one-hot, (S, batch, C)
    q_z, p_z = model.encoder.q_z(a, y), model.p_z_given_y(y)
    z = q_z.rsample()  # (S, batch, L)
    log_prior = model.p_y().log_prob(index) + p_z.log_prob(z)
    log_q = q_y.log_prob(index) + q_z.log_prob(z)
    return log_prior + model.p_x_given_z(z).log_prob(x) - log_q


class MixtureAutoEncoder(MixturePrior):
    """What follows for any decoder and any encoder that has features, q_y and q_z."""

    def features(self, x: Tensor) -> Tensor:
        """a(x), all that the encoder computes without y, (batch, H)."""
        check_rows(x, self.D, self.means.dtype)
        return self.encoder.features(x)

    def q_y_given_x(self, x: Tensor) -> Categorical:
        """The approximate posterior of the class, for x of shape (batch, D)."""
        return self.encoder.q_y(self.features(x))

    def q_y_and_z(self, x: Tensor) -> tuple[Categorical, Independent]:
        """q(y | x), and q(z | x, y) for each class, of batch shape (batch, C)."""
        a = self.features(x)  # (batch, H)
        return self.encoder.q_y(a), self.encoder.q_z(a[:, None], self.classes())

    def q_z_given_x(self, x: Tensor) -> MixtureSameFamily:
        """The approximate posterior of z with y summed out: a mixture too."""
        return MixtureSameFamily(*self.q_y_and_z(x))

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> Terms:
        """The three terms of the ELBO of each datum, summed over y, (batch,) each."""
        return summed_terms(self, x, num_samples)

    def log_weights(self, x: Tensor, *, num_samples: int) -> Tensor:
        """The log of p(x, y, z) / q(y, z | x) at samples of q, (num_samples, batch)."""
        return draw_log_weights(self, x, num_samples)


class GaussianMixtureVAE(MixtureAutoEncoder):
    """Chapter 2's mixture as the prior of a VAE: y, then z given y, then x given z.

    D numbers per datum, a latent of L dimensions, C classes; ``hidden`` are the widths of
    the encoder, reversed those of the decoder, which gives ``outputs`` numbers (by
    default D) to the ``likelihood``. ``mean_scale`` spreads the classes' means at the
    start. The ELBO is summed over y; all in nats.
    """

    def __init__(
        self,
        D: int,
        L: int,
        C: int,
        *,
        hidden: Sequence[int] = (500, 500),
        likelihood: Likelihood = bernoulli,
        outputs: int | None = None,
        layer: Layer = "relu",
        dropout: float = 0.0,
        mean_scale: float = 0.16,
    ) -> None:
        super().__init__(L, C, mean_scale)
        check_sizes(D=D)
        self.D, self.likelihood = D, likelihood
        options = {"layer": layer, "dropout": dropout}
        self.encoder = MixtureEncoder(D, hidden, L, C, **options)
        self.decoder = Network(L, hidden[::-1], outputs or D, **options)

    def p_x_given_z(self, z: Tensor) -> Distribution:
        """The likelihood at z of shape (…, L)."""
        return self.likelihood(self.decoder(z))


def relaxed_terms(
    model: MixtureAutoEncoder,
    x: Tensor,
    num_samples: int = 1,
    *,
    temperature: float,
    kl: Literal["categorical", "relaxed"] = "categorical",
) -> Terms:
    """The terms at a relaxed y, by Gumbel-softmax, each (batch,): biased, see eq. (9.17).

    ỹ of eq. (9.14) takes the place of a one-hot y, so that e_y, μ_y and s_y are mixed with
    the weights ỹ. With kl = "relaxed" the last term is log p_τ(ỹ) − log q_τ(ỹ | x): the
    sum is a bound, on the evidence of the model in which y itself is relaxed. With
    "categorical" it is −KL(q(y | x) ‖ p(y)), as for a discrete y: the sum is a bound on
    nothing. Jang, Gu & Poole (2017); Maddison, Mnih & Teh (2017).
    """
    check_count("num_samples", num_samples)
    check_choice("kl", kl, ("categorical", "relaxed"))
    if not temperature > 0:
        raise ValueError(f"The temperature must be above 0, not {temperature}.")
    a = model.features(x)
    q_y, p_y, tau = model.encoder.q_y(a), model.p_y(), a.new_tensor(temperature)
    relaxed = ExpRelaxedCategorical(tau, logits=q_y.logits)
    log_y = relaxed.rsample((num_samples,))  # log ỹ, (S, batch, C)
    y = log_y.exp()
    q_z, p_z = model.encoder.q_z(a, y), model.p_z_given_y(y)
    log_likelihood = model.p_x_given_z(q_z.rsample()).log_prob(x)  # (S, batch)
    minus_kl_y = -kl_divergence(q_y, p_y)
    if kl == "relaxed":
        prior = ExpRelaxedCategorical(tau, logits=p_y.logits)
        minus_kl_y = (prior.log_prob(log_y) - relaxed.log_prob(log_y)).mean(dim=0)
    return {
        "reconstruction": log_likelihood.mean(dim=0),
        "minus_kl_z": -kl_divergence(q_z, p_z).mean(dim=0),
        "minus_kl_y": minus_kl_y,
    }


def score_function_terms(
    model: MixtureAutoEncoder, x: Tensor, num_samples: int = 2, *, baseline: bool = True
) -> Terms:
    """The terms at sampled classes, each (batch,), with an unbiased gradient, eq. (9.19).

    The last term is 0, and its gradient is the score function's. The baseline of a sample
    is the mean of f at the others, or 0. Kool, van Hoof & Welling (2019).

    Raises:
        ValueError: a baseline needs at least 2 samples.
    """
    check_count("num_samples", num_samples)
    if baseline and num_samples < 2:
        raise ValueError("A baseline of the other samples needs at least 2 samples.")
    a = model.features(x)
    q_y = model.encoder.q_y(a)
    index = q_y.sample((num_samples,))  # (S, batch)
    y = model.classes()[index]  # one-hot, (S, batch, C)
    q_z = model.encoder.q_z(a, y)
    log_likelihood = model.p_x_given_z(q_z.rsample()).log_prob(x)  # (S, batch)
    kl_z = kl_divergence(q_z, model.p_z_given_y(y))  # (S, batch)
    f = (log_likelihood - kl_z).detach()
    b = (f.sum(dim=0) - f) / (num_samples - 1) if baseline else 0.0
    log_q = q_y.log_prob(index)
    return {
        "reconstruction": log_likelihood.mean(dim=0),
        "minus_kl_z": -kl_z.mean(dim=0),
        "minus_kl_y": -kl_divergence(q_y, model.p_y()),
        "score": ((f - b) * (log_q - log_q.detach())).mean(dim=0),
    }
