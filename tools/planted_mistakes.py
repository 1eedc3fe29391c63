"""Six trainings of one Gaussian-mixture VAE, five of them with a mistake planted in the loss, and checks of each.

What the figure ``bug`` shows: the loss curves, and for each run and check a number that the loss gives beside one that
is known without it. Chapter 9's model, on small black-and-white digits.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, Normal, kl_divergence
from torch.nn.functional import softplus

from aevb_utils.data import digits
from aevb_utils.evaluation.modes import own_random_numbers
from aevb_utils.evaluation.quadrature import Grid, make_grid
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.models.vae import Terms
from aevb_utils.networks import Likelihood, bernoulli
from aevb_utils.training import fit

EPOCHS, DRAWS = 30, 100
EXACT = 1e-6  # what rounding may leave of an identity, in nats
STEP, SLOPE_TOLERANCE = 1e-4, 1e-3  # of the encoder's bias, and between two slopes


@dataclass(frozen=True)
class Loss:
    """The loss of a Gaussian-mixture VAE, minus eq. (9.8); what is not the default is a mistake."""

    reparameterized: bool = True  # z = m + s·ε, as rsample draws it; with sample no gradient passes
    sum_over_pixels: bool = True  # or their mean
    sign_of_kl_y: int = 1
    with_log_p_y: bool = True
    beta: float = 1.0

    def terms(
        self, model: "Patient", x: Tensor, q_y: Categorical, q_z: Independent, decoder: Likelihood, num_samples: int
    ) -> Terms:
        """The two terms of minus the loss, each (batch,), where q(y) and q(z | y) are given."""
        z = q_z.rsample((num_samples,)) if self.reparameterized else q_z.sample((num_samples,))
        of_pixels = decoder(z).base_dist.log_prob(x[:, None])  # (S, batch, C, D)
        log_likelihood = (of_pixels.sum(dim=-1) if self.sum_over_pixels else of_pixels.mean(dim=-1)).mean(dim=0)
        kl_z = (q_y.probs * kl_divergence(q_z, model.p_z_given_y())).sum(dim=1)
        kl_y = kl_divergence(q_y, model.p_y()) if self.with_log_p_y else -q_y.entropy()
        return {
            "reconstruction": (q_y.probs * log_likelihood).sum(dim=1),
            "minus_kl": -self.beta * (kl_z + self.sign_of_kl_y * kl_y),
        }


RUNS: dict[str, Loss] = {
    "right": Loss(),
    "sign": Loss(sign_of_kl_y=-1),
    "mean": Loss(sum_over_pixels=False),
    "sample": Loss(reparameterized=False),
    "prior": Loss(with_log_p_y=False),
    "beta": Loss(beta=2.0),
}
"""The right loss, and five others."""


class Patient(GaussianMixtureVAE):
    """The model of all runs, two latents and ten classes, with a loss that may be wrong."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(64, 2, 10, hidden=(64,), mean_scale=2.0)
        self.loss = loss

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> Terms:
        """What is climbed: minus the loss, in two terms."""
        return self.loss.terms(self, x, *self.q_y_and_z(x), self.p_x_given_z, num_samples)

    def mean_loss(self, x: Tensor, num_samples: int = 1) -> Tensor:
        """The loss of a datum, the mean over a batch."""
        return -self.elbo(x, num_samples=num_samples).mean()


def start(loss: Loss) -> Patient:
    """A model before its training: all runs have the same."""
    with own_random_numbers(torch.device("cpu"), 0):
        return Patient(loss)


class Compared(NamedTuple):
    """What a check compares: what the loss says, what is known without it, and how far apart they may be."""

    found: float
    known: float
    tolerance: float


def log_evidence(model: Patient, x: Tensor, size: int = 400) -> Tensor:
    """The log of p(x), with y and z summed out on a grid over the plane of z, in nats, (batch,)."""
    spread = model.p_z_given_y().base_dist
    ends = [(spread.mean + side * spread.stddev) for side in (-7, 7)]
    grid: Grid = make_grid([*zip(ends[0].amin(dim=0).tolist(), ends[1].amax(dim=0).tolist(), strict=True)], size)
    sums = []
    for z in grid.points.split(2**14):
        logits = model.decoder(z)  # log p(x | z) = Σ_d x_d η_d − softplus(η_d)
        log_joint = logits @ x.T + (model.p_z().log_prob(z) - softplus(logits).sum(dim=1))[:, None]
        sums.append(log_joint.logsumexp(dim=0))
    return torch.stack(sums).logsumexp(dim=0) + grid.log_cell


def below_the_evidence(model: Patient, x: Tensor) -> Compared:
    """Minus the loss of the test digits beside log p(x): an ELBO is not above it."""
    draws = torch.stack([-model.mean_loss(x) for _ in range(DRAWS)])
    return Compared(draws.mean().item(), log_evidence(model, x).mean().item(), _four_errors(draws))


def kl_by_samples(model: Patient, x: Tensor) -> Compared:
    """The KL that the loss adds beside the mean of log q(y, z | x) − log p(y, z) at samples of q."""
    q_y, q_z = model.q_y_and_z(x)
    y = q_y.sample((DRAWS,))
    index = y[..., None, None].expand(*y.shape, 1, model.L)
    mean, scale = (each.expand(DRAWS, *each.shape).gather(2, index)[:, :, 0] for each in (q_z.mean, q_z.stddev))
    q = Independent(Normal(mean, scale), 1)
    z, p = q.sample(), model.p_z_given_y(model.classes()[y])
    draws = (q_y.log_prob(y) + q.log_prob(z) - model.p_y().log_prob(y) - p.log_prob(z)).mean(dim=1)
    return Compared(-model.elbo_terms(x)["minus_kl"].mean().item(), draws.mean().item(), _four_errors(draws))


def _four_errors(draws: Tensor) -> float:
    """Four standard errors of the mean of some draws."""
    return 4 * draws.std().item() / math.sqrt(len(draws))


def by_hand(model: Patient, *, pixels: int = 64, moved: float = 0.0, sure: bool = False) -> float:
    """The loss of a white picture at a decoder that says ½ to each pixel, and at a q that is the prior.

    Args:
        model: whose loss and prior it is.
        pixels: of the picture.
        moved: how many standard deviations q(z | y) lies beside the prior, along the first latent.
        sure: whether q(y) is one class alone.
    """
    prior = model.p_z_given_y().base_dist
    shift = torch.zeros(model.L)
    shift[0] = moved
    q_z = Independent(Normal((prior.mean + shift * prior.stddev)[None], prior.stddev[None]), 1)
    q_y = Categorical(probs=model.classes()[:1] if sure else model.p_y().probs[None])
    terms = model.loss.terms(model, torch.zeros(1, pixels), q_y, q_z, partial(_fair_coins, pixels=pixels), 1)
    return -sum(terms.values()).item()


def _fair_coins(z: Tensor, pixels: int) -> Independent:
    """A decoder that does not look at z."""
    return bernoulli(torch.zeros(*z.shape[:-1], pixels))


def at_a_known_loss(model: Patient, x: Tensor) -> Compared:
    """Fair coins, and q at the prior: the ELBO is log p(x) = −64 log 2."""
    return Compared(by_hand(model), 64 * math.log(2), EXACT)


def with_half_the_pixels(model: Patient, x: Tensor) -> Compared:
    """What 32 of 64 pixels add to that loss: 32 log 2."""
    return Compared(by_hand(model) - by_hand(model, pixels=32), 32 * math.log(2), EXACT)


def with_z_moved(model: Patient, x: Tensor) -> Compared:
    """What q(z | y) costs one standard deviation beside the prior: ½ nat."""
    return Compared(by_hand(model, moved=1.0) - by_hand(model), 0.5, EXACT)


def with_y_sure(model: Patient, x: Tensor) -> Compared:
    """What a q(y) costs that is sure of one of ten classes: log 10."""
    return Compared(by_hand(model, sure=True) - by_hand(model), math.log(10), EXACT)


def slope_by_a_nudge(model: Patient, x: Tensor) -> Compared:
    """The slope of the loss in a bias of the encoder's, by backward and by a small step, with the same noise."""
    model = start(model.loss)
    bias = model.encoder.z_head.network.layers[-1].bias

    def loss(step: float) -> Tensor:
        with own_random_numbers(torch.device("cpu"), 1), torch.no_grad():
            bias[0] += step
            with torch.enable_grad():
                value = model.mean_loss(x)
            bias[0] -= step
            return value

    with torch.enable_grad():
        (slope,) = torch.autograd.grad(loss(0.0), bias)
    by_step = (loss(STEP) - loss(-STEP)).item() / (2 * STEP)
    return Compared(slope[0].item(), by_step, SLOPE_TOLERANCE)


CHECKS: dict[str, Callable[[Patient, Tensor], Compared]] = {
    "evidence": below_the_evidence,
    "samples": kl_by_samples,
    "known": at_a_known_loss,
    "pixels": with_half_the_pixels,
    "moved": with_z_moved,
    "sure": with_y_sure,
    "nudge": slope_by_a_nudge,
}
"""What is asked of each run."""


def black_and_white() -> tuple[Tensor, Tensor]:
    """The book's small digits, a pixel black where half of it is inked; to train, and to test."""
    data = digits()
    return (data.train >= 8).double(), (data.test >= 8).double()


def trained(loss: Loss, x: Tensor, epochs: int = EPOCHS) -> tuple[Patient, Tensor]:
    """The model after some epochs of its training, and the mean loss of each."""
    model = start(loss)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = fit(model, x, optimizer=optimizer, epochs=epochs, batch_size=64)
    return model.eval(), -history.elbo


@contextmanager
def in_float64() -> Iterator[None]:
    """Make float64 torch's default in a ``with`` block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def six_runs() -> dict[str, dict[str, list[float] | dict[str, list[float]]]]:
    """Of each run the loss by epoch, and by check what was compared; in nats."""
    return {name: run_of(loss) for name, loss in RUNS.items()}


def run_of(loss: Loss) -> dict[str, list[float] | dict[str, list[float]]]:
    """Of the training with a loss what :func:`six_runs` says of each."""
    with in_float64():
        x, test = black_and_white()
        model, curve = trained(loss, x)
        with own_random_numbers(torch.device("cpu"), 0), torch.no_grad():
            checks = {check: rounded(compare(model, test)) for check, compare in CHECKS.items()}
    return {"loss": rounded(curve.tolist()), "checks": checks}


def rounded(values: "list[float] | Compared") -> list[float]:
    """Numbers as the figure has them: six digits after the point."""
    return [round(value, 6) for value in values]
