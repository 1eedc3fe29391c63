"""MNIST's handwritten digits of 28 × 28 pixels, and two data sets of its format, with four meanings of a pixel."""

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from aevb_utils.budget import budget
from aevb_utils.data.dataset import Dataset, on_cpu
from aevb_utils.data.digits import digits
from aevb_utils.data.download import DataUnavailableError, RemoteFile, fetch, report_fallback
from aevb_utils.data.idx import parse_idx

Pixels = Literal["dynamic", "static", "threshold", "grey"]
Variant = Literal["digits", "fashion", "kmnist"]

_SHAPES = {"train": (60_000, 28, 28), "train_labels": (60_000,), "test": (10_000, 28, 28), "test_labels": (10_000,)}
_NAMES = {
    "train": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
_DIGITS = tuple(str(digit) for digit in range(10))


class _Published(NamedTuple):
    """A data set in MNIST's format: its name, its files, what its labels mean, and its source."""

    name: str
    files: dict[str, RemoteFile]
    label_names: tuple[str, ...]
    source: str


def _files(folder: str, mirrors: tuple[str, ...], *sha256: str, packed: bool = False) -> dict[str, RemoteFile]:
    """The four files, whose checksums are given in the order of their parts."""
    return {
        part: RemoteFile(
            path=f"{folder}/{_NAMES[part]}",
            urls=tuple(mirror + _NAMES[part] for mirror in mirrors),
            sha256=checksum,
            size=4 + 4 * len(shape) + math.prod(shape),
            packed=packed,
        )
        for (part, shape), checksum in zip(_SHAPES.items(), sha256, strict=True)
    }


_DATA_SETS: dict[str, _Published] = {
    "digits": _Published(
        "MNIST",
        _files(
            "mnist",
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        _DIGITS,
        "MNIST (LeCun, Bottou, Bengio and Haffner, 1998).",
    ),
    "fashion": _Published(
        "Fashion-MNIST",
        _files(
            "fashion-mnist",
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
                "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        "Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017).",
    ),
    "kmnist": _Published(
        "Kuzushiji-MNIST",
        _files(
            "kmnist",
            ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            packed=True,
        ),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "KMNIST (Clanuwat et al., 2018), created by CODH, adapted from the Kuzushiji data set of NIJL and others.",
    ),
}
_STATIC_SEED, _TEST_SEED = 1, 2  # of the fixed draws of binary pixels, for the train and the test part


@on_cpu
def mnist(pixels: Pixels = "dynamic", variant: Variant = "digits") -> Dataset:
    """MNIST's handwritten digits of 28 × 28 pixels, 60,000 to fit and 10,000 held out (LeCun et al., 1998).

    ``mnist("grey", variant="fashion")`` gives Fashion-MNIST, pieces of clothing from a catalog (Xiao et al., 2017), and
    ``variant="kmnist"`` Kuzushiji-MNIST, hiragana as they were once written (Clanuwat et al., 2018): as many images
    of as many pixels, in ten classes too, called by ``label_names``.

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
        Train and test parts, float32, with the digit, or the class, as label.

    Raises:
        ValueError: If there is no such kind of pixels, or no such variant.
        DataError: If ``AEVB_DATA_DIR`` is not a folder, or a file there is not the published one; with
            ``AEVB_REAL_DATA=1`` also if one cannot be had.
    """
    if pixels not in get_args(Pixels):
        raise ValueError(f"pixels must be one of {', '.join(map(repr, get_args(Pixels)))}, not {pixels!r}.")
    if variant not in get_args(Variant):
        raise ValueError(f"variant must be one of {', '.join(map(repr, get_args(Variant)))}, not {variant!r}.")
    published = _DATA_SETS[variant]
    fallback = budget(full=False, fast=True)
    if not fallback:
        try:
            parts = {part: parse_idx(fetch(file), file.path, _SHAPES[part]) for part, file in published.files.items()}
            grey = {part: parts[part].flatten(start_dim=1).float() / 255 for part in ("train", "test")}
        except DataUnavailableError as error:
            report_fallback(error, instead="scikit-learn's digits of 8 × 8 pixels")
            fallback = True
    if fallback:
        small = digits()
        grey = {"train": small.train.float() / 16, "test": small.test.float() / 16}
        parts = {"train_labels": small.train_labels, "test_labels": small.test_labels}
    return Dataset(
        name=f"Digits 8×8, in place of {published.name}" if fallback else published.name,
        train=grey["train"] if pixels == "dynamic" else _as_pixels(grey["train"], pixels, _STATIC_SEED),
        test=_as_pixels(grey["test"], pixels, _TEST_SEED),
        train_labels=parts["train_labels"].long(),
        test_labels=parts["test_labels"].long(),
        label_names=_DIGITS if fallback else published.label_names,
        values={
            "dynamic": "a binary pixel; in the train part its probability",
            "static": "a binary pixel, drawn once",
            "threshold": "a binary pixel, 1 where the grey level is at least half",
            "grey": "a grey level from 0 to 1",
        }[pixels],
        source=small.source if fallback else published.source,
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
