"""The one type of all data sets."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set: what the numbers are, what they mean and where they came from.

    Sequences of different lengths are padded with zeros behind their ends, each part to its own longest one.

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

    def draw(self) -> Tensor:
        """The data of one epoch: binary pixels drawn anew from torch's global generator, or ``train`` as it is.

        Give it to ``fit`` in place of the data, ``fit(model, mnist.draw, …)``: ``fit`` calls it at the start of each
        epoch, under a seed of its own.
        """
        return torch.bernoulli(self.train) if self.redrawn else self.train

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
