"""The one type of all data sets."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")
_PARTS = ("train", "valid", "test")


def on_cpu(load: "Callable[P, Dataset]") -> "Callable[P, Dataset]":
    """Make a loader's tensors on the CPU, also where torch's default device is another one."""

    @functools.wraps(load)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Dataset:
        with torch.device("cpu"):
            return load(*args, **kwargs)

    return wrapped


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set: what the numbers are, what they mean and where they came from.

    Sequences of different lengths are padded with zeros behind their ends, each part to its own longest one. All
    tensors are on the CPU.

    Attributes:
        name: What to call it in a figure or a table.
        train: Data to fit, shape (N, D), sequences (N, T, D); float64 (MNIST and piano rolls: float32).
        test: Data held out, shape (N_test, …), of the same type, or None where the book holds nothing out.
        valid: Data to choose by, shape (N_valid, …), or None where the book chooses by none.
        train_labels: Class of each row of ``train``, shape (N,), int64, or None.
        test_labels: Class of each row of ``test``, shape (N_test,), int64, or None.
        train_lengths: Number of steps of each sequence of ``train``, shape (N,), int64, or None.
        test_lengths: The same of ``test``.
        valid_lengths: The same of ``valid``.
        feature_names: Name of each of the D columns, with its unit.
        label_names: Name of each class: label c is called ``label_names[c]``.
        values: What one number means, and its unit.
        source: Where the numbers came from, in one sentence.
        fallback: True where other data stand in for the real ones: in the fast run by design, in the full run
            because the real ones could not be had. Figures known for the real data do not hold then.
        redrawn: True where ``train`` holds the probabilities of binary pixels, which :meth:`draw` draws.

    Raises:
        ValueError: The parts do not go together, or hold what is no data: numbers that are not finite, labels or
            lengths of other rows or that are not int64, labels without a name, probabilities that are none.
    """

    name: str
    train: Tensor
    test: Tensor | None = None
    valid: Tensor | None = None
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None
    train_lengths: Tensor | None = None
    test_lengths: Tensor | None = None
    valid_lengths: Tensor | None = None
    feature_names: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    values: str = ""
    source: str = ""
    fallback: bool = False
    redrawn: bool = False

    def __post_init__(self) -> None:
        for part in _PARTS:
            x, lengths = getattr(self, part), getattr(self, f"{part}_lengths")
            labels = getattr(self, f"{part}_labels", None)
            if x is not None:
                self._check_rows(part, x)
            self._check_whole_numbers(f"{part}_labels", labels, x, 0, len(self.label_names) or None)
            self._check_whole_numbers(f"{part}_lengths", lengths, x, 1, None if x is None else x.shape[1] + 1)
        if self.feature_names and len(self.feature_names) != self.train.shape[-1]:
            self._refuse(f"feature_names should name {self.train.shape[-1]} columns, but has {len(self.feature_names)}")
        if self.redrawn and (self.train.min() < 0 or self.train.max() > 1):
            self._refuse("train should hold probabilities, from 0 to 1, to be drawn from, but holds others")

    def _check_rows(self, part: str, x: Tensor) -> None:
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim not in (2, 3) or x.numel() == 0:
            what = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            self._refuse(f"{part} should be a tensor of floats, (N, D) or (N, T, D), with rows, but is {what}")
        if x.dtype != self.train.dtype or x.ndim != self.train.ndim or x.shape[-1] != self.train.shape[-1]:
            self._refuse(
                f"{part} should be as train is but for rows and steps, {self.train.dtype} of shape "
                f"{tuple(self.train.shape)}, but is {x.dtype} of shape {tuple(x.shape)}"
            )
        if not all(math.isfinite(extreme) for extreme in x.aminmax()):  # NaN is both; quicker than x.isfinite().all()
            self._refuse(
                f"{part} should be finite, but row {int((~x.isfinite()).flatten(1).any(1).nonzero()[0])} is not"
            )

    def _check_whole_numbers(
        self, name: str, values: Tensor | None, x: Tensor | None, low: int, end: int | None
    ) -> None:
        """Check labels or lengths: int64, one a row of x, from ``low`` up to what comes before ``end``."""
        if values is None:
            return
        if not isinstance(values, Tensor) or values.dtype != torch.int64:
            self._refuse(f"{name} should be an int64 tensor, but is {getattr(values, 'dtype', type(values).__name__)}")
        if x is None or values.shape != x.shape[:1]:
            rows = (
                "but there are no rows" if x is None else f"shape {tuple(x.shape[:1])}, but has {tuple(values.shape)}"
            )
            self._refuse(f"{name} should have one number a row, {rows}")
        if values.min() < low or (end is not None and values.max() >= end):
            to = "" if end is None else f" to {end - 1}"
            self._refuse(f"{name} should go from {low}{to}, but goes from {values.min()} to {values.max()}")

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(f"In the data set {self.name!r} {what}.")

    def draw(self) -> Tensor:
        """The data of one epoch: binary pixels drawn anew from torch's global generator, or ``train`` as it is.

        Give it to ``fit`` in place of the data, ``fit(model, mnist.draw, …)``: ``fit`` calls it at the start of each
        epoch, under a seed of its own.

        Raises:
            ValueError: ``train`` was changed in place, and there are other numbers in it than probabilities.
        """
        if not self.redrawn:
            return self.train
        try:
            return torch.bernoulli(self.train)
        except RuntimeError as error:  # torch looks at every number itself
            if self.train.min() >= 0 and self.train.max() <= 1:
                raise
            raise ValueError(f"{self.name}: train should hold probabilities, from 0 to 1, but holds others.") from error

    def __repr__(self) -> str:
        parts = {"train": (self.train, self.train_lengths), "valid": (self.valid, self.valid_lengths)}
        parts |= {"test": (self.test, self.test_lengths)}
        shapes = [
            f"{name} {tuple(part.shape)}" + ("" if lengths is None else f" with {lengths.sum():,} steps")
            for name, (part, lengths) in parts.items()
            if part is not None
        ]
        test = ", no test part" if self.test is None else ""
        return f"Dataset({self.name!r}, {', '.join(shapes)}{test}: {self.values})"
