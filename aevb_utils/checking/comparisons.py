"""What the checks of a model share: sentences about shapes and distributions, means compared by standard errors."""

import inspect
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers

STANDARD_ERRORS = 5.0
REPEATS = 200
"""How many estimates of the ELBO are drawn."""
SAMPLES = 10_000
"""How many importance weights a datum are drawn."""


def require(holds: bool, sentence: str) -> None:
    """Fail with the sentence unless it holds."""
    if not holds:
        raise AssertionError(sentence)


def require_values(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    """Finite numbers of a shape."""
    require(
        isinstance(value, Tensor) and tuple(value.shape) == shape,
        f"{name} should have the shape {shape}, but has {tuple(getattr(value, 'shape', ()))}: sum over the dimensions "
        "of x and z, keep the batch's, and do not squeeze.",
    )
    require(bool(value.isfinite().all()), f"{name} is not finite: look for the log or the inverse of a number near 0.")


def require_distribution(name: str, value: object) -> Distribution:
    """A torch.distributions object."""
    require(
        isinstance(value, Distribution),
        f"{name} should return a torch.distributions object, but returns a {type(value).__name__}.",
    )
    return value


def all_in(values: Tensor, distribution: Distribution) -> bool:
    """Whether the distribution has density at all values."""
    return bool(distribution.support.check(values).all())


def one_a_datum(name: str, given: Distribution, rows: tuple[int, ...]) -> str:
    """What to do about a distribution of another batch shape."""
    return (
        f"{name} should be one distribution a datum, batch shape {rows}, but has {tuple(given.batch_shape)}: wrap it "
        "in Independent."
    )


def require_same_mean(first: Tensor, second: Tensor, claim: str, hint: str) -> None:
    """Two sets of draws, (draws, batch) each, have the same mean for each datum, and over all data."""
    for reduce, where in (
        (lambda draws: draws, "a datum"),
        (lambda draws: draws.mean(dim=1, keepdim=True), "all data"),
    ):
        one, two = reduce(first), reduce(second)
        difference = (one.mean(dim=0) - two.mean(dim=0)).abs()
        error = (standard_error(one).square() + standard_error(two).square()).sqrt()
        worst = (difference - STANDARD_ERRORS * error).argmax()
        require(
            bool((difference <= STANDARD_ERRORS * error + rounding(first)).all()),
            f"{claim}: the means over {where} differ by {difference[worst]:.3g} nats, with a standard error of "
            f"{error[worst]:.2g}; {hint}",
        )


def standard_error(draws: Tensor) -> Tensor:
    """Of the mean over the first dimension."""
    return draws.std(dim=0) / len(draws) ** 0.5


def rounding(values: Tensor) -> float:
    """A difference that rounding explains, for values of this size and number format."""
    return 1000 * torch.finfo(values.dtype).eps * max(1.0, values.abs().max().item())


def one_elbo(model: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """An estimate of the ELBO, always from the same random numbers."""
    with evaluation_mode(model), own_random_numbers(x.device, 0):
        return model.elbo(x, *context)


def draw_elbos(model: nn.Module, x: Tensor, *context: Tensor, num_samples: int) -> Tensor:
    """Independent estimates of each datum's ELBO, (REPEATS, batch)."""
    with evaluation_mode(model), own_random_numbers(x.device, num_samples):
        elbos = [model.elbo(x, *context, num_samples=num_samples) for _ in range(REPEATS)]
    require_values("elbo", elbos[0], (len(x),))
    return torch.stack(elbos)


def draw_log_weights(model: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """Log importance weights, (SAMPLES, batch)."""
    with evaluation_mode(model), own_random_numbers(x.device, 1000):
        return model.log_weights(x, *context, num_samples=SAMPLES)


def exact_evidence(model: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """The exact evidence of each datum, (batch,)."""
    with evaluation_mode(model):
        evidence = call(model.log_evidence, x, context=context)
    require_values("log_evidence", evidence, (len(x),))
    return evidence


def draw_sample(model: nn.Module, n: int, context: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What ``sample`` draws, as a tuple that begins with the data."""
    drawn = call(model.sample, n, context=context)
    return (drawn,) if isinstance(drawn, Tensor) else tuple(drawn)


def call(function: Callable[..., object], *arguments: object, context: Iterable[Tensor]) -> object:
    """Call a method with the context if it takes it: a label belongs to p(z | y) too, a datum's index only to q."""
    try:
        inspect.signature(function).bind(*arguments, *context)
    except TypeError:
        return function(*arguments)
    return function(*arguments, *context)


def without_gradient(model: nn.Module, value: Tensor, parameters: list[nn.Parameter]) -> list[str]:
    """The names of the parameters in which a value has no gradient, a zero one, or one that is not finite."""
    gradients = [None] * len(parameters)
    if value.requires_grad:
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        names.get(id(parameter), "a tensor")
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is None or not gradient.isfinite().all() or not gradient.any()
    ]
