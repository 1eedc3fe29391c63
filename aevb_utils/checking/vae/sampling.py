"""How z is drawn: whether there is noise, of which kind and width, and whether gradients pass it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from aevb_utils.checking.vae.finding import Finding
from aevb_utils.checking.vae.noise import Draw, Noise
from aevb_utils.checking.vae.scales import LOG_SCALE, LOG_VARIANCE, SCALES, Scale
from aevb_utils.checking.vae.subject import Run, Subject
from aevb_utils.checking.vae.texts import finding

FITS = 2e-2
"""Up to which relative error a way of reading the encoder's output explains the gradients (they are float32)."""


@dataclass
class Sampling:
    """What was seen of the draws while training.

    Attributes:
        scale: how the encoder's output is read; None if that is not known.
        factor: what the noise is multiplied by besides σ.
        exchanged: whether what the width of q should be is taken for μ, and the other way round.
        found: what is wrong.
    """

    scale: Scale | None = None
    factor: float = 1.0
    exchanged: bool = False
    found: list[Finding] = field(default_factory=list)


def look_at_sampling(subject: Subject) -> Sampling:
    """Run the model in training mode with its own noise, and with one that is given, and compare."""
    seen = Sampling()
    with Noise() as own, torch.enable_grad():
        run = subject.run()
    latent = tuple(run.mu.shape)
    with torch.enable_grad():
        with Noise(1.0, latent) as up:
            plus = subject.run()
        with Noise(-1.0, latent) as down:
            minus = subject.run()
    draws = [each for each in own.draws if _of_latent(each, latent)]
    moves = _differ(plus.recon, minus.recon)
    if not moves and not draws and not _differ(run.recon, plus.recon):
        seen.found.append(finding("no-noise", "In training mode z is not drawn: the decoder gets the mean of q"))
        return seen
    seen.found += _of_draws(draws, latent)
    if (blocked := _blocked(subject, plus, draws)) is not None:
        seen.found.append(blocked)
        return seen
    if moves and down.draws and up.draws:
        line = next((each.line for each in draws), "")
        seen.scale, seen.factor, known = _width(plus, draws)
        uniform_or_shared = bool(seen.found)
        if not known and not uniform_or_shared:
            scale, factor, other = _width(replace(plus, mu=plus.t, t=plus.mu), draws)
            if other and abs(factor - 1) < 0.05:
                seen.scale, seen.exchanged = scale, True
                return seen
        if not known and not uniform_or_shared and _scale_gradient(plus) == 0:
            seen.found.append(finding("noise-unused", "The noise does not depend on the width of q", line))
        elif known and abs(seen.factor - 1) > 0.05 and not uniform_or_shared:
            text = f"The noise of z is {seen.factor:.3g} times σ"
            seen.found.append(finding("noise-scaled", text, line))
    return seen


def _of_latent(draw: Draw, latent: tuple[int, ...]) -> bool:
    """Whether a draw has to do with z."""
    if draw.kind not in ("gaussian", "uniform"):
        return False
    if draw.shape[-len(latent) :] == latent:
        return True
    padded = (1,) * (len(latent) - len(draw.shape)) + draw.shape
    return len(padded) == len(latent) and all(a in (1, b) for a, b in zip(padded, latent, strict=True))


def _of_draws(draws: list[Draw], latent: tuple[int, ...]) -> Iterator[Finding]:
    """Noise of another kind, or too few numbers of it."""
    for draw in draws:
        if draw.kind == "uniform":
            yield finding("noise-uniform", "The noise of z is uniform, between 0 and 1", draw.line)
        size = torch.Size(draw.shape).numel()
        if size < torch.Size(latent).numel():
            seen = f"The noise has the shape {draw.shape}, and μ {latent}: several numbers of z share one noise"
            yield finding("noise-shared", seen, draw.line)


def _differ(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether two reconstructions are not the same."""
    return any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


def _blocked(subject: Subject, run: Run, draws: list[Draw]) -> Finding | None:
    """Whether the encoder's parameters have no gradient of the reconstruction, or those of the width alone."""
    parameters = [each for each in subject.model.parameters() if each.requires_grad]
    of_q = _reached(run.mu.sum() + run.t.sum(), parameters)
    of_t = _reached(run.t.sum(), parameters) - _reached(run.mu.sum(), parameters)
    of_recon = _reached(_sum(run.recon), parameters)
    line = next((each.line for each in draws if each.blocks), "") or next((each.line for each in draws), "")
    if of_q and not of_q & of_recon:
        how = "torch.normal or sample()" if any(each.blocks for each in draws) else "a detach, no_grad or .data"
        seen = f"No gradient of the reconstruction reaches the encoder: z is drawn by {how}"
        return finding("blocked-sample", seen, line)
    if of_t and not of_t & of_recon and not _feels_width(subject, run, [p for p in parameters if id(p) in of_t]):
        return finding("noise-unused", "The noise of z does not depend on the width of q", line)
    if of_t and not of_t & of_recon:
        return finding("blocked-scale", "No gradient of the reconstruction reaches the width of q", line)
    return None


def _feels_width(subject: Subject, run: Run, parameters: list[nn.Parameter]) -> bool:
    """Whether the reconstruction changes with the parameters that only the width depends on."""
    before = [each.detach().clone() for each in parameters]
    with torch.no_grad(), Noise(1.0, tuple(run.mu.shape)):
        for each in parameters:
            each.add_(0.5)
        try:
            return _differ(subject.run().recon, run.recon)
        finally:
            for each, old in zip(parameters, before, strict=True):
                each.copy_(old)


def _sum(parts: list[Tensor]) -> Tensor:
    """A sum with odd weights, so that nothing cancels."""
    generator = torch.Generator().manual_seed(3)
    return sum((torch.randn(each.shape, generator=generator).to(each) * each).sum() for each in parts)


def _reached(value: Tensor, parameters: list[nn.Parameter]) -> set[int]:
    """The parameters in which a value has a gradient that is not 0."""
    if not value.requires_grad or not parameters:
        return set()
    slopes = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
    return {id(p) for p, slope in zip(parameters, slopes, strict=True) if slope is not None and bool(slope.any())}


def _gradients(run: Run) -> tuple[Tensor, Tensor] | None:
    """Of the reconstruction in μ and in the width, where both are on the path."""
    if not (run.mu.requires_grad and run.t.requires_grad):
        return None
    by_mu, by_t = torch.autograd.grad(_sum(run.recon), (run.mu, run.t), allow_unused=True, retain_graph=True)
    return None if by_mu is None or by_t is None else (by_mu.cpu().double(), by_t.cpu().double())


def _scale_gradient(run: Run) -> float:
    slopes = _gradients(run)
    return -1.0 if slopes is None else slopes[1].abs().max().item()


def _width(run: Run, draws: list[Draw]) -> tuple[Scale | None, float, bool]:
    """How the width is read: with the noise 1, the two gradients stand in the ratio of dσ/dt."""
    slopes = _gradients(run)
    if slopes is None or not draws:
        return None, 1.0, False
    by_mu, by_t = slopes
    fits = []
    for scale in SCALES:
        t = run.t.detach().cpu().double()
        if scale.positive and bool((t <= 0).any()):
            continue
        _, slope = scale.slope(t)
        right = slope * by_mu
        factor = ((right * by_t).sum() / (right * right).sum()).item()
        error = ((by_t - factor * right).norm() / by_t.norm()).item()
        if error < FITS:
            fits.append((abs(factor - 1) > 0.05, error, scale, factor))
    if not fits:
        return None, 1.0, False
    plain = [each for each in fits if not each[0]]
    if plain:
        _, _, scale, _ = min(plain, key=lambda each: each[1])
        return scale, 1.0, True
    _, _, scale, factor = min(fits, key=lambda each: each[1])
    if scale in (LOG_VARIANCE, LOG_SCALE) or factor > 0:
        return scale, factor, True
    return None, 1.0, False


def at_evaluation(subject: Subject, mu: Tensor | None) -> Iterator[Finding]:
    """What the model draws in evaluation mode."""
    latent = None if mu is None else tuple(mu.shape)
    with torch.no_grad():
        with Noise(1.0, latent) as noise:
            plus = subject.run()
        with Noise(-1.0, latent):
            minus = subject.run()
    if latent is not None and not _differ(plus.recon, minus.recon):
        yield finding("evaluation-mean", "In evaluation mode z is not drawn: the decoder gets the mean of q")
    if (dropout := next((each for each in noise.draws if each.kind == "dropout"), None)) is not None:
        yield finding("dropout-on", "In evaluation mode dropout is on", dropout.line)
