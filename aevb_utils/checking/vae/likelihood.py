"""What a loss does with the reconstruction: which log-likelihood it is minus, and how often it is counted."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import ContinuousBernoulli, Distribution, Independent
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from aevb_utils.checking.vae.outputs import Likelihood
from aevb_utils.checking.vae.scales import BEFORE_SOFTPLUS, LOG_SCALE, LOG_VARIANCE, SCALE, VARIANCE
from aevb_utils.checking.vae.subject import Gradients, Subject

POINTS = 4
FITS = 3e-4
LOG_2PI_HALF = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Candidate:
    """A likelihood, as minus its log for each number of the data."""

    name: str
    family: str
    nll: Callable[..., Tensor]
    constant: float = 0.0
    """What minus the log-likelihood has besides, for each number of the data, that no gradient sees."""

    @property
    def distribution(self) -> str:
        """Its name without a scale, which a weight changes."""
        return self.name.partition(" with σ = ")[0].partition(" with scale ")[0]


@dataclass(frozen=True)
class DataTerm:
    """What was found out about a loss as a function of the reconstruction."""

    candidate: Candidate | None
    factor: float = 0.0
    """How often each number of the data counts."""
    even: bool = True
    """Whether all of them count alike."""
    asked: tuple[Gradients, ...] = ()
    points: tuple[list[Tensor], ...] = ()
    detached: bool = False
    near: bool = False
    """Whether it is a squared error near the data alone, and another thing farther off."""
    x: Tensor | None = None
    """The data that it was asked with."""


def _bernoulli(r: Tensor, x: Tensor) -> Tensor:
    return -(x * r.log() + (1 - x) * (1 - r).log())


def _swapped(r: Tensor, x: Tensor) -> Tensor:
    logs = x.log().clamp(min=-100), (1 - x).log().clamp(min=-100)
    return -(r * logs[0] + (1 - r) * logs[1])


def _continuous(r: Tensor, x: Tensor, *, logits: bool) -> Tensor:
    given = {"logits": r} if logits else {"probs": r}
    return -ContinuousBernoulli(**given, validate_args=False).log_prob(x)


ELEMENTWISE = (
    Candidate("a Bernoulli of probabilities", "bernoulli", _bernoulli),
    Candidate(
        "a Bernoulli of logits",
        "bernoulli logits",
        lambda r, x: binary_cross_entropy_with_logits(r, x, reduction="none"),
    ),
    Candidate("a Gaussian with σ = 1", "gaussian", lambda r, x: 0.5 * (x - r) ** 2, LOG_2PI_HALF),
    Candidate("a Laplace with scale 1", "laplace", lambda r, x: (x - r).abs(), math.log(2)),
    Candidate("a Poisson of log rates", "poisson", lambda r, x: r.exp() - x * r),
    Candidate("a Poisson of rates", "poisson", lambda r, x: r - x * r.log()),
    Candidate("a continuous Bernoulli of probabilities", "continuous", lambda r, x: _continuous(r, x, logits=False)),
    Candidate("a continuous Bernoulli of logits", "continuous", lambda r, x: _continuous(r, x, logits=True)),
    Candidate(
        "a Bernoulli, with the sigmoid twice",
        "twice",
        lambda r, x: binary_cross_entropy_with_logits(r.sigmoid(), x, reduction="none"),
    ),
    Candidate("a cross-entropy with its arguments exchanged", "swapped", _swapped),
    Candidate(
        "a cross-entropy with its arguments exchanged",
        "swapped",
        lambda r, x: binary_cross_entropy_with_logits(x, r, reduction="none"),
    ),
)


def _gaussians() -> Iterator[Candidate]:
    """Gaussians whose mean and width the decoder gives."""
    for scale in (LOG_VARIANCE, LOG_SCALE, SCALE, VARIANCE, BEFORE_SOFTPLUS):

        def right(r: Tensor, t: Tensor, x: Tensor, sigma: Callable[[Tensor], Tensor] = scale.sigma) -> Tensor:
            s = sigma(t)
            return 0.5 * ((x - r) / s) ** 2 + s.log()

        def without(r: Tensor, t: Tensor, x: Tensor, sigma: Callable[[Tensor], Tensor] = scale.sigma) -> Tensor:
            return 0.5 * ((x - r) / sigma(t)) ** 2

        def half(r: Tensor, t: Tensor, x: Tensor, sigma: Callable[[Tensor], Tensor] = scale.sigma) -> Tensor:
            return ((x - r) / sigma(t)) ** 2 + sigma(t).log()

        def twice(r: Tensor, t: Tensor, x: Tensor, sigma: Callable[[Tensor], Tensor] = scale.sigma) -> Tensor:
            return 0.5 * ((x - r) / sigma(t)) ** 2 + 2 * sigma(t).log()

        yield Candidate(f"a Gaussian, the second output being {scale.name}", "learned gaussian", right, LOG_2PI_HALF)
        yield Candidate("a squared error over σ², without log σ", "no log scale", without)
        for wrong in (half, twice):
            yield Candidate("a Gaussian whose squared error and log σ do not fit together", "unbalanced", wrong)


def data_term(
    subject: Subject, recon: list[Tensor], mu: Tensor, x: Tensor, given: Distribution | None = None
) -> DataTerm:
    """Ask the loss at several reconstructions, with all else held, and say which likelihood explains it."""
    generator = torch.Generator().manual_seed(1)
    t = torch.full_like(mu, 0.5)
    if given is not None:
        points = tuple(_near(recon, generator) for _ in range(POINTS))
    else:
        points = tuple(
            [(0.06 + 0.88 * torch.rand(r.shape, generator=generator, dtype=torch.float64)).to(r) for r in recon]
            for _ in range(POINTS)
        )
    asked = tuple(subject.ask(each, 0 * mu, t, x=x) for each in points)
    slopes = [torch.stack([each.recon[k] for each in asked]) for k in range(len(recon))]
    if not any(each.any() for each in slopes):
        values = torch.stack([each.value for each in asked])
        moved = (values.max() - values.min()).item() > 1e-6 * max(1e-12, values.abs().max().item())
        return DataTerm(None, asked=asked, points=points, detached=moved)
    if not all(each.isfinite().all() for each in slopes) and _touches_the_ends(x):
        between = torch.rand(x.shape, generator=generator, dtype=torch.float64).to(x)
        return data_term(subject, recon, mu, 0.1 + 0.4 * (x + between), given)  # it takes logarithms of the data
    best: tuple[float, DataTerm] | None = None
    for candidate in _candidates(recon, x, given):
        try:
            right = [_slopes(candidate, each, x) for each in points]
        except (RuntimeError, ValueError):
            continue  # this likelihood is not one of such data
        columns = [torch.stack([each[k] for each in right]) for k in range(len(recon))]
        error, factor, even = _fit(slopes, columns)
        if error < FITS and (best is None or error < 0.1 * best[0]):
            best = error, DataTerm(candidate, factor, even, asked, points, x=x)
    if best is not None and best[1].candidate.family == "gaussian" and not _square_far_off(subject, best[1], mu):
        return DataTerm(None, asked=asked, points=points, near=True)
    return best[1] if best is not None else DataTerm(None, asked=asked, points=points)


def _touches_the_ends(x: Tensor) -> bool:
    """Whether the data lie in [0, 1], and some are 0 or 1."""
    return x.is_floating_point() and x.min().item() >= 0 and x.max().item() <= 1 and bool(((x == 0) | (x == 1)).any())


def _square_far_off(subject: Subject, found: DataTerm, mu: Tensor) -> bool:
    """Whether a squared error is one also where it is large; a loss that is flat there, or refuses it, may be."""
    x = found.x.reshape(found.points[0][0].shape).to(found.points[0][0])
    side = torch.where(found.points[0][0] > 0.5, 1.0, -1.0).to(x)
    far = x + side * 10 * (1 + x.abs().max())
    try:
        slope = subject.ask([far], 0 * mu, torch.full_like(mu, 0.5), x=found.x).recon[0]
    except (RuntimeError, ValueError):
        return True
    expected = found.factor * (far - x)
    if not slope.any() or not found.even:
        return True
    return bool(((slope - expected).norm() < 1e-2 * expected.norm()).item())


def _near(recon: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Parameters of a distribution, moved a little so that they stay what they are."""
    noise = [torch.rand(each.shape, generator=generator, dtype=torch.float64).to(each) for each in recon]
    return [each * (0.9 + 0.1 * part) for each, part in zip(recon, noise, strict=True)]


def _candidates(recon: list[Tensor], x: Tensor, given: Distribution | None) -> Iterator[Candidate]:
    if given is not None:
        rebuild = Likelihood.of(given).rebuild
        base = given.base_dist if isinstance(given, Independent) else given
        name = f"the decoder's {type(base).__name__}"
        yield Candidate(name, "distribution", lambda *parts: -rebuild([*parts[:-1]]).log_prob(parts[-1]))
        return
    if len(recon) == 2:
        yield from _gaussians()
        return
    if not x.is_floating_point() or recon[0].numel() != x.numel():
        for axis in range(1, recon[0].ndim):
            if recon[0].numel() // recon[0].shape[axis] == x.numel():
                yield Candidate("a categorical of logits", "categorical", lambda r, x, axis=axis: _classes(r, x, axis))
        return
    yield from ELEMENTWISE


def _classes(r: Tensor, x: Tensor, axis: int) -> Tensor:
    logs = log_softmax(r.movedim(axis, -1), dim=-1)
    return -logs.reshape(x.numel(), -1).gather(1, x.long().reshape(-1, 1))


def _slopes(candidate: Candidate, parts: list[Tensor], x: Tensor) -> list[Tensor]:
    """The derivatives of minus the log-likelihood, summed over everything."""
    parts = [each.detach().requires_grad_() for each in parts]
    with torch.enable_grad():
        total = candidate.nll(*parts, _shaped(candidate, parts, x)).sum()
        found = torch.autograd.grad(total, parts, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parts, found, strict=True)]


def _shaped(candidate: Candidate, parts: list[Tensor], x: Tensor) -> Tensor:
    """The data in the shape of the reconstruction."""
    if candidate.family in ("categorical", "distribution"):
        return x
    return x.reshape(parts[0].shape).to(parts[0].dtype)


def total_nll(candidate: Candidate, parts: list[Tensor], x: Tensor) -> Tensor:
    """Minus the log-likelihood, without its constant, summed over everything."""
    return candidate.nll(*parts, _shaped(candidate, parts, x)).sum()


def _fit(slopes: list[Tensor], columns: list[Tensor]) -> tuple[float, float, bool]:
    """The factor by which a candidate explains the derivatives, the relative error, and whether it is one for all."""
    given, right = (torch.cat([each.flatten(1) for each in parts], dim=1).cpu().double() for parts in (slopes, columns))
    if not right.isfinite().all():
        return math.inf, 0.0, True
    if not given.isfinite().all():
        return math.inf, 0.0, True
    factor = ((given * right).sum() / (right * right).sum()).item()
    error = (given - factor * right).norm() / given.norm()
    if error < FITS:
        return error.item(), factor, True
    each = (given * right).sum(0) / (right * right).sum(0).clamp(min=1e-30)  # a weight for each number, as by a mask
    uneven = ((given - each * right).norm() / given.norm()).item()
    counted = each[each.abs() > 1e-3 * each.abs().max()]
    spread = (counted.max() - counted.min()).item() / counted.abs().max().item()
    if uneven < FITS and (spread < 1e-3 or len(slopes) == 1):
        return uneven + FITS / 100, counted.median().item(), False
    return math.inf, 0.0, True
