"""What a VAE draws while it runs: every draw is noted with its line, and the latent's noise may be given."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from aevb_utils.checking.places import is_the_readers, place

GAUSSIAN = {torch.randn, torch.randn_like, torch.normal, Tensor.normal_}
UNIFORM = {torch.rand, torch.rand_like, Tensor.uniform_}
DROPOUTS = {
    torch.dropout,
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
}
BATCH_NORMS = {torch.batch_norm, functional.batch_norm}

_readers = cache(is_the_readers)


def readers_line() -> str:
    """The innermost line of the reader's own code that is being run, ``model.py, line 12``; empty if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if _readers(frame.f_code.co_filename):
            return place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return ""


@dataclass(frozen=True)
class Draw:
    """One call of a random function."""

    kind: str
    shape: tuple[int, ...]
    line: str
    blocks: bool
    """Whether it drew at a mean or a scale that a gradient should have reached."""


@dataclass
class Noise(TorchFunctionMode):
    """Notes every draw in its block; with a ``value``, every Gaussian noise of the latent's shape is that number."""

    value: float | None = None
    latent: tuple[int, ...] | None = None
    draws: list[Draw] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # noqa: ANN401 (whatever torch returns)
        """Call a function of torch, and look whether it drew."""
        kwargs = kwargs or {}
        if func in DROPOUTS or func in BATCH_NORMS:
            self._note_layer(func, args, kwargs)
            return func(*args, **kwargs)
        if func not in GAUSSIAN and func not in UNIFORM:
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        blocks = func is torch.normal and (
            any(value.requires_grad for value in tensors) or _is_sample_of_a_distribution()
        )
        kind = "gaussian" if func in GAUSSIAN else "uniform"
        self.draws.append(Draw(kind, tuple(result.shape), readers_line(), blocks))
        if self.value is None or not self._is_latents(result):
            return result
        return self._given(func, result, args, kwargs)

    def _is_latents(self, drawn: Tensor) -> bool:
        """Whether the draw has the latent's shape, with or without several samples, or one of its parts."""
        if self.latent is None:
            return False
        shape = tuple(drawn.shape)
        return shape[-len(self.latent) :] == self.latent or (
            drawn.numel() > 0 and _broadcasts(shape, self.latent) and drawn.numel() < torch.Size(self.latent).numel()
        )

    def _given(self, func: Callable[..., Any], drawn: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """The noise that was asked for, in the place of what was drawn."""
        with torch.no_grad():
            if func is torch.normal:
                mean = kwargs.get("mean", args[0] if args else 0.0)
                std = kwargs.get("std", args[1] if len(args) > 1 else 1.0)
                return drawn.copy_(torch.as_tensor(mean) + self.value * torch.as_tensor(std))
            return drawn.fill_(self.value)

    def _note_layer(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Dropout that drops, and batch normalization by the batch's own statistics."""
        line = readers_line()
        if func in DROPOUTS:
            named = dict(zip(("input", "p", "training"), args, strict=False)) | kwargs
            on = named.get("training", named.get("train", True))
            if on and named.get("p", 0.5) > 0:
                self.draws.append(Draw("dropout", (), line, False))
            return
        named = dict(zip(("input", "running_mean", "running_var", "weight", "bias", "training"), args, strict=False))
        position = 5
        training = kwargs.get("training", args[position] if len(args) > position else False)
        if training or (named | kwargs).get("running_mean") is None:
            self.draws.append(Draw("batch statistics", (), line, False))


def _is_sample_of_a_distribution() -> bool:
    """Whether the draw is made inside ``sample`` of torch's own distributions."""
    frame = sys._getframe(2)
    for _ in range(3):
        if frame is None:
            return False
        if frame.f_code.co_name == "sample" and "torch" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether a tensor of the first shape is repeated to give the second."""
    if len(shape) > len(to) or not shape:
        return False
    return all(a in (1, b) for a, b in zip(reversed(shape), reversed(to), strict=False))


class NoSteps(TorchFunctionMode):
    """Keeps the tensor that ``backward`` is called on, and calls nothing: a whole training step changes nothing then.

    An optimizer's ``step`` leaves parameters alone that have no gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loss: Tensor | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # noqa: ANN401
        """Call a function of torch, unless it is ``backward``."""
        if func is Tensor.backward:
            self.loss = args[0]
            return None
        return func(*args, **(kwargs or {}))


class Watch(TorchFunctionMode):
    """Notes in which lines of the reader's code given tensors are used."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        self._names = {id(value): name for name, value in tensors.items()}
        self.lines: dict[str, list[str]] = {name: [] for name in tensors}

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # noqa: ANN401
        """Call a function of torch, and note the line if it is given one of the tensors."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") != "__get__":
            for value in _flat((*args, *kwargs.values())):
                if (name := self._names.get(id(value))) is not None and (line := readers_line()):
                    self.lines[name].append(line)
        return func(*args, **kwargs)

    def line(self, name: str) -> str:
        """The first line in which a tensor was used; empty if none is known."""
        return next(iter(self.lines[name]), "")


def _flat(values: tuple[Any, ...]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flat(tuple(value))
        else:
            yield value
