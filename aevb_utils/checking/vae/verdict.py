"""What a loss is, in a sentence: minus the ELBO, times which number and up to which constant, or no ELBO."""

import math

import torch

from aevb_utils.checking.vae.kl import kl_of
from aevb_utils.checking.vae.likelihood import total_nll
from aevb_utils.checking.vae.objective import Objective
from aevb_utils.checking.vae.weights import close

AUTOENCODER = (
    "The loss is no ELBO: the encoder gives a code and no distribution q(z | x). It is that of an autoencoder (a WAE, "
    "if the codes are held to the prior together), which has no bound on log p(x)."
)


def conclusion(verdict: str, *, mistakes: bool) -> str:
    """The verdict as the report ends with it: where there is a mistake, a right formula is not the last word."""
    if not mistakes or " minus the ELBO, with " not in verdict:
        return verdict
    formula = verdict.replace("The loss ", "As a formula, the loss ", 1)
    return f"{formula} That does not undo what is marked ✗."


def verdict(objective: Objective) -> str:
    """What the loss is, in a sentence."""
    c, data, w = objective.latent.coefficients, objective.data, objective.weights
    if objective.latent.kind == "absent":
        return AUTOENCODER
    if objective.latent.kind == "none":
        return "The loss is no ELBO: it has no KL. It is that of an autoencoder."
    if w is None or c is None or not (c.standard or c.agree(c.square, c.variance)) or not data.even:
        return "Whether the loss is minus an ELBO cannot be said."
    if data.candidate.family in ("twice", "swapped", "no log scale", "unbalanced") or min(w.kl, w.recon) <= 0:
        return "The loss is not minus an ELBO."
    rows = "the mean over the rows of" if round(w.recon_power) == -1 else "the sum over the rows of"
    ratio = w.kl / w.recon
    gaussian = data.candidate.family == "gaussian"
    if not w.same_rows or (not gaussian and not close(ratio, 1.0)):
        number = f"{ratio:.4g}" if w.same_rows else f"{ratio:.4g} with {w.rows} rows"
        return f"The loss is not minus the ELBO: β = {number}, with {data.candidate.name} as the likelihood."
    name = data.candidate.name if not gaussian else f"a Gaussian with σ² = {ratio:.4g}"
    scale = w.kl_row
    times = "" if close(scale, 1.0) else f"{scale:.4g} times "
    what = f"The loss is {times}{rows}" if w.rows > 1 else f"The loss of one row is {times}".rstrip()
    return f"{what} minus the ELBO, with {name} as p(x | z), {_constant(objective)}."


def _constant(objective: Objective) -> str:
    """Up to which constant it is minus the ELBO."""
    c, data, w = objective.latent.coefficients, objective.data, objective.weights
    asked, points = data.asked[0], data.points[0]
    sigma = c.scale.sigma(torch.full_like(objective.mu, 0.5))
    nll = w.recon * total_nll(data.candidate, points, data.x)
    rest = asked.value - nll
    if not c.standard:
        return "up to a constant"
    rest = (rest - w.kl * kl_of(0 * objective.mu, sigma).sum()).item() / (w.kl * w.rows)
    n = objective.x[0].numel()
    size = max(abs(asked.value.item()), abs(nll.item())) / (abs(w.kl) * w.rows)
    per = data.candidate.constant
    if data.candidate.family == "gaussian":
        per += 0.5 * math.log(w.kl / w.recon)
    missing = n * per - rest
    rounding = 100 * torch.finfo(asked.value.dtype).eps * size
    if objective.scale_is_learned() or (per and rounding > 0.1 * abs(n * per)):
        return "up to a constant"
    if abs(missing) < max(1e-4, rounding):
        return "exactly"
    if close(missing, n * per) or abs(missing - n * per) < rounding:
        left = f"up to the constant {per:.4g} for each number of x, {missing:.5g} nats a row, which is left out"
        return left.replace("-", "−")
    return f"up to a constant of {-missing:+.4g} nats a row".replace("-", "−")
