"""MNIST's handwritten digits of 28 × 28 pixels, with four meanings of a pixel."""

from typing import Literal, get_args

import torch
from torch import Tensor

from aevb_utils.budget import budget
from aevb_utils.data.dataset import Dataset
from aevb_utils.data.digits import digits
from aevb_utils.data.download import DataUnavailableError, RemoteFile, fetch, report_fallback
from aevb_utils.data.idx import parse_idx

Pixels = Literal["dynamic", "static", "threshold", "grey"]


def _mnist_file(name: str, sha256: str) -> RemoteFile:
    mirrors = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
    return RemoteFile(f"mnist/{name}", tuple(mirror + name for mirror in mirrors), sha256)


_MNIST = {  # file, and the shape of what it holds
    "train": (
        _mnist_file("train-images-idx3-ubyte.gz", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        (60_000, 28, 28),
    ),
    "train_labels": (
        _mnist_file("train-labels-idx1-ubyte.gz", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        (60_000,),
    ),
    "test": (
        _mnist_file("t10k-images-idx3-ubyte.gz", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        (10_000, 28, 28),
    ),
    "test_labels": (
        _mnist_file("t10k-labels-idx1-ubyte.gz", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        (10_000,),
    ),
}
_STATIC_SEED, _TEST_SEED = 1, 2  # of the fixed draws of binary pixels, for the train and the test part


def mnist(pixels: Pixels = "dynamic") -> Dataset:
    """MNIST's handwritten digits of 28 × 28 pixels, 60,000 to fit and 10,000 held out (LeCun et al., 1998).

    A row holds the 784 pixels of one image, row by row: ``x.reshape(-1, 28, 28)`` gives the images. What a pixel is
    has four meanings, and figures for one say nothing about another:

    - ``"dynamic"``: binary, 1 with the grey level as probability. ``train`` holds the probabilities, and
      :meth:`Dataset.draw` draws the pixels anew: give that to ``fit``. ``test`` is drawn once, with a fixed seed.
      Compares with figures for dynamically or stochastically binarized MNIST, as in Burda et al. (2016) and for the
      dynamic MNIST of Tomczak and Welling (2018).
    - ``"static"``: the same, but ``train`` too is drawn once, with a fixed seed. ``test`` is that of ``"dynamic"``.
      The draw is the book's own, not Larochelle's file (Larochelle and Murray, 2011), so figures compare with those
      published for static MNIST in kind, not to the decimal. A model sees less, so it overfits sooner.
    - ``"threshold"``: binary, 1 where the grey level (0 to 255) is at least 128. There is no noise in the pixels, so
      likelihoods are higher: it compares only with figures for this rule.
    - ``"grey"``: the grey level over 255, from 0 to 1. Its likelihoods are densities: figures compare only for the same
      likelihood, the same clamp and the same number format (a continuous Bernoulli's ceiling is set by the clamp).

    The fast run gets scikit-learn's 8 × 8 digits in its place, their counts over 16 as grey levels: the number of
    pixels D is to be taken from the data. A full run that cannot have the real files prints one line and gets them too.

    Returns:
        Train and test parts, float32, with the digit as label.

    Raises:
        ValueError: If there is no such kind of pixels.
        DataError: If ``AEVB_DATA_DIR`` is not a folder, or a file there is not the published one; with
            ``AEVB_REAL_DATA=1`` also if one cannot be had.
    """
    if pixels not in get_args(Pixels):
        raise ValueError(f"pixels must be one of {', '.join(map(repr, get_args(Pixels)))}, not {pixels!r}.")
    fallback = budget(full=False, fast=True)
    if not fallback:
        try:
            parts = {part: parse_idx(fetch(file), file.path, shape) for part, (file, shape) in _MNIST.items()}
            grey = {part: parts[part].flatten(start_dim=1).float() / 255 for part in ("train", "test")}
        except DataUnavailableError as error:
            report_fallback(error, instead="scikit-learn's digits of 8 × 8 pixels")
            fallback = True
    if fallback:
        small = digits()
        grey = {"train": small.train.float() / 16, "test": small.test.float() / 16}
        parts = {"train_labels": small.train_labels, "test_labels": small.test_labels}
    source = "MNIST (LeCun, Bottou, Bengio and Haffner, 1998)."
    return Dataset(
        name="Digits 8×8, in place of MNIST" if fallback else "MNIST",
        train=grey["train"] if pixels == "dynamic" else _as_pixels(grey["train"], pixels, _STATIC_SEED),
        test=_as_pixels(grey["test"], pixels, _TEST_SEED),
        train_labels=parts["train_labels"].long(),
        test_labels=parts["test_labels"].long(),
        label_names=tuple(str(digit) for digit in range(10)),
        values={
            "dynamic": "a binary pixel; in the train part its probability",
            "static": "a binary pixel, drawn once",
            "threshold": "a binary pixel, 1 where the grey level is at least half",
            "grey": "a grey level from 0 to 1",
        }[pixels],
        source=small.source if fallback else source,
        fallback=fallback,
        redrawn=pixels == "dynamic",
    )


def _as_pixels(grey: Tensor, pixels: Pixels, seed: int) -> Tensor:
    """Grey levels from 0 to 1 as pixels of a kind; binary ones are drawn with the seed."""
    if pixels == "grey":
        return grey
    if pixels == "threshold":
        return (grey >= 0.5).float()  # 128 of 255 is the first level above one half
    return torch.bernoulli(grey, generator=torch.Generator().manual_seed(seed))
