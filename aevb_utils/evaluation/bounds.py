"""How good a model is on given data: its ELBO, and the importance-weighted bound."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

CHUNK = 20_000
"""How many pairs of a sample and a datum are in memory at once (a datum at least)."""


@contextmanager
def own_random_numbers(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's generators in a ``with`` block; leave them as they were after it."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        yield


class HasElboTerms(Protocol):
    """A model whose ELBO can be evaluated."""

    def elbo_terms(
        self, x: Tensor, *context: Tensor, num_samples: int = 1
    ) -> dict[str, Tensor]:
        """The named terms of each datum's ELBO, each of shape (batch,), in nats."""


class HasLogWeights(Protocol):
    """A model whose importance weights can be drawn."""

    def log_weights(self, x: Tensor, *context: Tensor, num_samples: int) -> Tensor:
        """The log of p(x, z) / q(z | x) at samples of q, (num_samples, batch), in nats."""


@contextmanager
def evaluation_mode(model: object) -> Iterator[None]:
    """Turn dropout and gradients off in a ``with`` block; then put each module back."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    were_training = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, training in zip(modules, were_training, strict=True):
            module.training = training


def check_rows(parts: Sequence[Tensor], name: str) -> None:
    """Refuse tensors that do not have the same number of rows, at least one."""
    lengths = [len(part) for part in parts]
    if not lengths or min(lengths) < 1 or len(set(lengths)) > 1:
        raise ValueError(
            f"{name} must be tensors with the same number of rows, at least one, "
            f"but they have {lengths}."
        )


def minibatches(parts: Sequence[Tensor], size: int) -> Iterator[tuple[Tensor, ...]]:
    """The rows of several tensors together, ``size`` at a time, in order."""
    return zip(*(part.split(size) for part in parts), strict=True)


def elbo_terms(
    model: HasElboTerms, x: Tensor, *context: Tensor, num_samples: int = 1, seed: int = 0
) -> dict[str, Tensor]:
    """The named terms of each datum's ELBO, (N,) each, in nats; no gradients, no dropout.

    Args:
        model: has ``elbo_terms``; each of its modules is left in the mode it was in.
        x: data, shape (N, …).
        context: what the model asks for besides x, N rows each.
        num_samples: Monte Carlo samples S a datum.
        seed: of the samples; torch's global generator is left as it was.

    Raises:
        ValueError: num_samples is less than 1, or x and its context differ in rows.
    """
    _check_samples(num_samples)
    check_rows((x, *context), "x and its context")
    at_once = max(1, CHUNK // num_samples)
    with evaluation_mode(model), own_random_numbers(x.device, seed):
        batches = [
            model.elbo_terms(*batch, num_samples=num_samples)
            for batch in minibatches((x, *context), at_once)
        ]
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def mean_elbo_terms(
    model: HasElboTerms, x: Tensor, *context: Tensor, num_samples: int = 1, seed: int = 0
) -> dict[str, Tensor]:
    """The mean over the data of each term of :func:`elbo_terms`, in nats a datum."""
    terms = elbo_terms(model, x, *context, num_samples=num_samples, seed=seed)
    return {name: term.mean() for name, term in terms.items()}


def iwae_bound(
    model: HasLogWeights, x: Tensor, *context: Tensor, num_samples: int, seed: int = 0
) -> Tensor:
    r"""The importance-weighted bound of each datum, K = ``num_samples``, in nats, (N,).

    :math:`\mathcal L_K = \log \frac1K \sum_k p(x, z_k) / q(z_k \mid x)` with
    :math:`z_k \sim q(z \mid x)`: at most log p(x) on average, at K = 1 an estimate of the
    ELBO, and tighter the larger K is. At most ``CHUNK`` pairs of a sample and a datum are
    in memory at once, however large K. Burda, Grosse & Salakhutdinov (2016).

    Args:
        model: has ``log_weights``; each of its modules is left in the mode it was in.
        x: data, shape (N, …).
        context: what the model asks for besides x, N rows each.
        num_samples: K.
        seed: of the samples; torch's global generator is left as it was.

    Raises:
        ValueError: num_samples is less than 1, or x and its context differ in rows.
    """
    _check_samples(num_samples)
    check_rows((x, *context), "x and its context")
    at_once = min(num_samples, CHUNK)
    counts = [min(at_once, num_samples - done) for done in range(0, num_samples, at_once)]
    bounds: list[Tensor] = []
    with evaluation_mode(model), own_random_numbers(x.device, seed):
        for batch in minibatches((x, *context), CHUNK // at_once):
            sums = [model.log_weights(*batch, num_samples=k).logsumexp(0) for k in counts]
            bounds.append(torch.stack(sums).logsumexp(dim=0) - math.log(num_samples))
    return torch.cat(bounds)


def _check_samples(num_samples: int) -> None:
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, not {num_samples}.")
