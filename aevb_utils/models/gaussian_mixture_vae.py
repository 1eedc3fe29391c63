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
from torch.nn.functional import affine_grid, grid_sample

from aevb_utils.evaluation.bounds import evaluation_mode
from aevb_utils.models.gaussian_mixture import GaussianMixture
from aevb_utils.models.vae import (
    VAE,
    AutoEncodingModel,
    Terms,
    check_rows,
    estimate_terms,
)
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

    The logits of q(y | x) are linear in h(a), the outputs that make q(z | x, y) linear in
    h(a + e_y), with h(u) = max(0, u) and a learned row e_y for each class.
    """

    def __init__(
        self, D: int, hidden: Sequence[int], L: int, C: int, layer: Layer, dropout: float
    ) -> None:
        super().__init__()
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

    D numbers a datum, a latent of L dimensions, C classes; ``hidden`` are the widths of
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


def linear_layers(*networks: nn.Module) -> list[nn.Linear]:
    """All linear layers of some networks, in order."""
    modules = (module for network in networks for module in network.modules())
    return [module for module in modules if isinstance(module, nn.Linear)]


@torch.no_grad()
def copy_vae(model: GaussianMixtureVAE, vae: VAE) -> None:
    """Take over the layers of a VAE with the same widths; all e_y = 0, eq. (9.10)."""
    encoder = model.encoder
    ours = linear_layers(encoder.features, encoder.z_head, model.decoder)
    for mine, its in zip(ours, linear_layers(vae.encoder, vae.decoder), strict=True):
        mine.load_state_dict(its.state_dict())
    encoder.shifts.zero_()


@torch.no_grad()
def fit_prior(model: GaussianMixtureVAE, q: Independent, r: Tensor) -> None:
    """The M-step in μ and s at fixed q(z | x) and q(y | x) = r, (N, C), eq. (9.20)."""
    counts = r.sum(dim=0)[:, None]  # N_c, (C, 1)
    means = r.T @ q.mean / counts  # (C, L)
    squares = r.T @ (q.mean.square() + q.variance) / counts
    scales = (squares - means.square()).sqrt()
    model.means.copy_(means)
    model.raw_scales.copy_((scales - SCALE_FLOOR).expm1().log())  # positive(·) = scales


def teach_classes(
    model: GaussianMixtureVAE, x: Tensor, r: Tensor, *, steps: int = 600, lr: float = 5e-3
) -> None:
    """Fit q(y | x), its last layer alone, to r, (N, C): climb Σ_c r_c log q(c | x)."""
    head = model.encoder.y_head
    with evaluation_mode(model):  # no dropout, no gradient
        h = torch.cat([model.features(part).relu() for part in x.split(5000)])
    optimizer = torch.optim.Adam(head.parameters(), lr=lr)
    for _ in range(steps):
        rows = torch.randint(len(x), (500,))
        log_q = head(h[rows]).log_softmax(dim=1)
        loss = -(r[rows] * log_q).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def start_from(vae: VAE, x: Tensor, r: Tensor, **options: object) -> GaussianMixtureVAE:
    """A model that begins where a VAE and the responsibilities of its codes end.

    Args:
        vae: trained; the layers of the new model have its widths.
        x: data, (N, D).
        r: a row of C probabilities for each datum, (N, C), by chapter 2's EM on the codes.
        options: of the model, such as ``hidden`` and ``dropout``.
    """
    model = GaussianMixtureVAE(vae.D, vae.L, r.shape[1], **options)
    copy_vae(model, vae)
    with evaluation_mode(vae):
        fit_prior(model, vae.q_z_given_x(x), r)
    teach_classes(model, x, r)
    return model


def jitter(x: Tensor) -> Tensor:
    """Each image turned, slanted, scaled and moved a little at random, (N, D), grey."""
    n, side = len(x), math.isqrt(x.shape[1])

    def draw(limit: float) -> Tensor:
        return limit * (2 * torch.rand(n) - 1)

    turn, scale, slant = draw(0.25), 1 + draw(0.12), draw(0.3)
    cos, sin = scale * turn.cos(), scale * turn.sin()
    entries = [cos, slant - sin, draw(0.12), sin, cos, draw(0.12)]
    maps = torch.stack(entries, dim=1).reshape(n, 2, 3)  # affine, of the plane
    moved = []
    for images, places in zip(x.split(5000), maps.split(5000), strict=True):
        pictures = images.reshape(-1, 1, side, side)
        grid = affine_grid(places, list(pictures.shape), align_corners=False)
        moved.append(grid_sample(pictures, grid, align_corners=False).flatten(1))
    return torch.cat(moved)


class JitteredVAE(VAE):
    """A VAE whose encoder sees a distorted datum, and whose decoder owes the clean one."""

    def elbo_terms(
        self, x: Tensor, seen: Tensor | None = None, *, num_samples: int = 1
    ) -> Terms:
        """The two terms with q(z | seen) for q(z | x): still a bound, eq. (9.22)."""
        q = self.q_z_given_x(x if seen is None else seen)
        return estimate_terms(x, q, self.p_z(), self.p_x_given_z, num_samples)


def cluster_codes(
    codes: Tensor, C: int, *, n_starts: int, rows: int = 15_000, seed: int = 0
) -> Tensor:
    """Responsibilities, (N, C), by chapter 2's EM on the codes of a VAE, (N, L).

    Full covariances with a floor of 0.05, on the dimensions whose variance exceeds 0.1,
    fitted to the first rows; of ``n_starts`` starts the one with the best likelihood.
    """
    z = codes[:, codes.var(dim=0) > 0.1].double()
    mixture = GaussianMixture(C, "full", 0.05, n_starts, 1e-4, seed=seed)
    return mixture.fit(z[:rows]).responsibilities(z).float()
