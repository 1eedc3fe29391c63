"""What the checks of a model share: sentences about shapes and distributions, draws compared by standard errors."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, constraints

from aevb_utils.checking.progress import looked_at
from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers
from aevb_utils.evaluation.contexts import call_with_context

CHANCE = 1e-7
"""How likely a check may fail of what is right, by the noise of its draws."""
TOLERANCE = 1e-3
"""A difference, in nats, that no reader would call wrong: a clamp, a small number added within a log."""
SAMPLES = 10_000
"""How many importance weights a datum are drawn where they are averaged."""
ROWS = 8_000
"""How many rows the draws of all data are, if the batch is not large itself."""
HELD = 2**21
"""How many numbers of x the draws of all data are at most, if the batch is not large itself."""
AT_ONCE = 2**18
"""How many numbers of x, one for each sample, a call looks at: so many stay in the processor's cache."""

Draw = TypeVar("Draw", bound=Callable[..., object])
_remembered: ContextVar[dict[tuple, tuple] | None] = ContextVar("remembered", default=None)


@contextmanager
def draws_shared() -> Iterator[None]:
    """Within this block the functions marked ``shared`` draw once for the same arguments."""
    token = _remembered.set({})
    try:
        yield
    finally:
        _remembered.reset(token)


def shared(draw: Draw) -> Draw:
    """Mark a function whose draws follow from its arguments alone, so that several checks can look at the same."""

    @wraps(draw)
    def remember(*arguments: object, **options: object) -> object:
        memory = _remembered.get()
        if memory is None:
            return draw(*arguments, **options)
        key = (draw, *map(id, arguments), *options.items())
        if key not in memory:
            memory[key] = (arguments, draw(*arguments, **options))  # the arguments keep their ids while they are kept
        return memory[key][1]

    return remember


def require(holds: bool, sentence: str) -> None:
    """Fail with the sentence unless it holds."""
    if not holds:
        raise AssertionError(sentence)


def require_values(name: str, value: Tensor, shape: tuple[int, ...], hint: str = "") -> None:
    """Finite numbers of a shape."""
    hint = hint or "sum over the dimensions of x and z, keep the batch's, and do not squeeze"
    require(
        isinstance(value, Tensor) and tuple(value.shape) == shape,
        f"{name} should have the shape {shape}, but has {tuple(getattr(value, 'shape', ()))}: {hint}.",
    )
    require(bool(value.isfinite().all()), f"{name} is not finite: look for the log or the inverse of a number near 0.")


def all_in(values: Tensor, distribution: Distribution) -> bool:
    """Whether the distribution has density at all values."""
    return bool(distribution.support.check(values).all())


def first_outside(x: Tensor, distribution: Distribution) -> str | None:
    """Where x has its first value without density, if it has one, and which: its row, its column and the value."""
    if all_in(x, distribution):
        return None
    support = distribution.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    row, *column = (~support.check(x)).nonzero()[0].tolist()
    where = f"row {row}" + (f", column {', '.join(map(str, column))}" if column else "")
    value = x[(row, *column)]
    return f"{where} ({value.item():.6g})" if value.ndim == 0 else where


def innermost(distribution: Distribution) -> Distribution:
    """The distribution of the single numbers."""
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    return distribution


def require_same_mean(first: Tensor, second: Tensor, claim: str, hint: str) -> None:
    """Two sets of draws from the same random numbers, (draws, batch) each, have the same means."""
    difference = first - second
    for draws, where in ((difference, "a datum"), (difference.mean(dim=1, keepdim=True), "all data")):
        error = standard_error(draws)
        excess = draws.mean(dim=0).abs() - deviations(draws) * error - slack(second)
        worst = excess.argmax()
        require(
            bool((excess <= 0).all()),
            f"{claim}: the means over {where} differ by {draws.mean(dim=0)[worst].abs():.3g} nats, with a standard "
            f"error of {error[worst]:.2g}; {hint}",
        )


def standard_error(draws: Tensor) -> Tensor:
    """Of the mean over the first dimension."""
    return draws.std(dim=0) / len(draws) ** 0.5


def deviations(draws: Tensor) -> float:
    """How many standard errors the mean of one of the columns may be off, by Student's t; draws: (draws, batch)."""
    from scipy.stats import t  # here, because it takes half a second to import

    return float(t.isf(CHANCE / draws.shape[1], len(draws) - 1))


def rounding(values: Tensor) -> float:
    """A difference that rounding explains, for values of this size and number format."""
    return 1000 * torch.finfo(values.dtype).eps * max(1.0, values.abs().max().item())


def slack(values: Tensor) -> float:
    """A difference, in nats, that noise need not explain: that of rounding, or one that nobody minds."""
    return max(TOLERANCE, rounding(values))


def differently_drawn(first: Tensor, second: Tensor) -> Tensor:
    """For which columns two sets of independent draws, (draws, batch) each, come from different distributions.

    By the test of Kolmogorov and Smirnov, which does not mind heavy tails; what rounding moves does not count.
    """
    from scipy.stats import ks_2samp  # here, because it takes half a second to import

    limit, moved = CHANCE / first.shape[1], slack(second)
    columns = zip(first.T.cpu().double().numpy(), second.T.cpu().double().numpy(), strict=True)
    tests = [
        ks_2samp(one + moved, two, alternative="greater", method="asymp").pvalue < limit
        or ks_2samp(one - moved, two, alternative="less", method="asymp").pvalue < limit
        for one, two in columns
    ]
    return torch.tensor(tests)


def repeated(parts: Iterable[Tensor], times: int) -> tuple[Tensor, ...]:
    """All rows that many times, one batch after the other."""
    return tuple(part.repeat(times, *[1] * (part.ndim - 1)) for part in parts)


def how_many(x: Tensor, *, most: int = 1000) -> int:
    """How many draws a datum: ``ROWS`` in all, ``most`` at most, not more than are held at once, but at least 30."""
    return max(30, min(most, ROWS // len(x), HELD // x.numel()))


def samples_in_all(x: Tensor) -> int:
    """How many samples a datum for draws of up to 16 samples each, at least 30 of these."""
    return 16 * max(30, how_many(x) // 16)


def numbers_in_all(x: Tensor, *, exact: bool) -> int:
    """About how many numbers of x all checks look at, one for each sample, which is what their time goes with."""
    sets, company = how_many(x), 7 * how_many(x, most=100) + 2 * how_many(x, most=200)
    return x.numel() * (8 * sets + company + 4 * samples_in_all(x) + (SAMPLES if exact else 0))


def one_elbo(model: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """An estimate of the ELBO, always from the same random numbers."""
    with evaluation_mode(model), own_random_numbers(x.device, 0):
        return model.elbo(x, *context)


@shared
def draw_elbos(model: nn.Module, x: Tensor, *context: Tensor, num_samples: int, total: int) -> Tensor:
    """Independent estimates of each datum's ELBO, (draws, batch), ``total`` samples of z a datum in all.

    The same random numbers as :func:`draw_elbos` of another ``num_samples``, and as those of the log weights, for
    models that draw z for all samples at once.
    """
    return _draw("elbo", model, x, context, num_samples, total)


@shared
def draw_log_weights(model: nn.Module, x: Tensor, *context: Tensor, num_samples: int, total: int) -> Tensor:
    """Means of ``num_samples`` log importance weights, (draws, batch), from the random numbers of the ELBOs."""
    return _draw("log_weights", model, x, context, num_samples, total)


def _draw(name: str, model: nn.Module, x: Tensor, context: tuple[Tensor, ...], num_samples: int, total: int) -> Tensor:
    """Blocks of draws: rows that are repeated, so that a call gives many estimates of each datum."""
    draws = []
    for block, samples in enumerate(_blocks(x, total)):
        rows = repeated((x, *context), samples // num_samples)
        with evaluation_mode(model), own_random_numbers(x.device, 1000 + block):
            values = getattr(model, name)(*rows, num_samples=num_samples)
        if name == "log_weights":
            require_values(name, values, (num_samples, len(rows[0])))
            values = values.mean(dim=0)
        require_values(f"{name} of {len(rows[0])} rows", values, (len(rows[0]),))
        draws.append(values.reshape(-1, len(x)))
        looked_at(x, samples)
    return torch.cat(draws)


def _blocks(x: Tensor, total: int) -> list[int]:
    """How many samples a datum are drawn in each call, all divisible by 16 if the total is."""
    at_once = max(16, AT_ONCE // x.numel() // 16 * 16)
    return [min(at_once, total - done) for done in range(0, total, at_once)]


def in_groups(singles: Tensor, size: int, x: Tensor) -> Tensor:
    """Means of ``size`` draws of one sample, from the random numbers of draws with ``num_samples=size``."""
    blocks = singles.split(_blocks(x, len(singles)))
    return torch.cat([block.reshape(size, -1, len(x)).mean(dim=0) for block in blocks])


def draw_many_log_weights(model: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """Log importance weights, (SAMPLES, batch)."""
    at_once = max(1, min(SAMPLES, AT_ONCE // x.numel()))
    blocks = []
    with evaluation_mode(model), own_random_numbers(x.device, 1000):
        for done in range(0, SAMPLES, at_once):
            samples = min(at_once, SAMPLES - done)
            blocks.append(model.log_weights(x, *context, num_samples=samples))
            looked_at(x, samples)
    return torch.cat(blocks)


def exact_evidence(model: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """The exact evidence of each datum, (batch,)."""
    with evaluation_mode(model):
        evidence = call_with_context(model.log_evidence, x, context=context)
    require_values("log_evidence", evidence, (len(x),))
    return evidence


def draw_sample(model: nn.Module, n: int, context: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What ``sample`` draws, as a tuple that begins with the data."""
    drawn = call_with_context(model.sample, n, context=context)
    return (drawn,) if isinstance(drawn, Tensor) else tuple(drawn)


def beyond_context(model: nn.Module, context: tuple[Tensor, ...]) -> list[str]:
    """The names of what ``p_z`` needs and ``elbo_terms`` does not take, such as the state of a recurrent network."""
    needed = [
        name
        for name, parameter in inspect.signature(model.p_z).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    taken = inspect.signature(model.elbo_terms).parameters
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in taken.values()):
        return needed[len(context) :]
    return [name for name in needed if name not in taken]


def without_gradient(model: nn.Module, value: Tensor, parameters: list[nn.Parameter]) -> list[str]:
    """The names of the parameters in which a value has no gradient, a zero one, or one that is not finite."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]  # not those that are frozen
    gradients = [None] * len(parameters)
    if value.requires_grad and parameters:
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        names.get(id(parameter), "a tensor")
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is None or not gradient.isfinite().all() or not gradient.any()
    ]
