"""The book's data sets as tensors: simulated, shipped with scikit-learn, or downloaded once and verified.

A real file is looked for in the folder that ``AEVB_DATA_DIR`` names, then in the cache (``AEVB_CACHE_DIR``, or
the user's own cache folder), then on the web. Wherever it is found, its content must have the SHA-256 given here.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.model_selection import train_test_split
from torch import Tensor

from aevb_utils.budget import budget
from aevb_utils.download import DataError, DataUnavailableError, RemoteFile, fetch, report_fallback
from aevb_utils.idx import parse_idx

__all__ = ["DataError", "Dataset", "digits", "iris", "mnist", "old_faithful", "simulated_mixture", "wine"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set: what the numbers are, what they mean and where they came from.

    Attributes:
        name: What to call it in a figure or a table.
        train: Data to fit, shape (N, D), float64 (MNIST: float32).
        test: Data held out, shape (N_test, D), of the same type, or None where the book holds nothing out.
        train_labels: Class of each row of ``train``, shape (N,), int64, or None.
        test_labels: Class of each row of ``test``, shape (N_test,), int64, or None.
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
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None
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
        test = "no test part" if self.test is None else f"test {tuple(self.test.shape)}"
        return f"Dataset({self.name!r}, train {tuple(self.train.shape)}, {test}: {self.values})"


# ---- Simulated ----

MIXTURE_WEIGHTS = (0.5, 0.3, 0.2)
MIXTURE_MEANS = ((0.0, 0.0), (3.0, 1.5), (0.5, 3.5))
MIXTURE_COVARIANCES = (((1.0, 0.6), (0.6, 0.8)), ((0.7, -0.4), (-0.4, 0.9)), ((0.5, 0.0), (0.0, 0.3)))


def simulated_mixture(
    n: int = 600,
    *,
    weights: Sequence[float] | Tensor = MIXTURE_WEIGHTS,
    means: Sequence[Sequence[float]] | Tensor = MIXTURE_MEANS,
    covariances: Sequence[Sequence[Sequence[float]]] | Tensor = MIXTURE_COVARIANCES,
    seed: int = 0,
) -> Dataset:
    r"""Draw n points from a Gaussian mixture, :math:`p(x) = \sum_c \pi_c\, \mathcal{N}(x; \mu_c, \Sigma_c)`.

    The default is a mixture of three overlapping components in the plane.

    Args:
        n: Number of points N.
        weights: Mixture weights, shape (C,), positive, summing to one.
        means: Component means, shape (C, D).
        covariances: Component covariances, shape (C, D, D), symmetric and positive definite.
        seed: Seed of the draw's own generator: torch's global one is neither read nor moved.

    Returns:
        A data set whose labels are the components the points were drawn from.

    Raises:
        ValueError: If n is not positive or the parameters do not describe a mixture.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1 point, but it is {n}.")
    pi, mu, Sigma = (torch.as_tensor(value, dtype=torch.float64) for value in (weights, means, covariances))
    if pi.ndim != 1 or mu.ndim != 2 or len(mu) != len(pi) or Sigma.shape != (*mu.shape, mu.shape[1]):
        raise ValueError(
            "weights, means and covariances must have the shapes (C,), (C, D) and (C, D, D), "
            f"but they have {tuple(pi.shape)}, {tuple(mu.shape)} and {tuple(Sigma.shape)}."
        )
    if not (pi.min() > 0 and math.isclose(pi.sum().item(), 1.0, abs_tol=1e-6)):
        raise ValueError(f"weights must be positive and sum to one, but they are {pi.tolist()}.")
    factors, failures = torch.linalg.cholesky_ex(Sigma)  # (C, D, D)
    if failures.any() or not torch.allclose(Sigma, Sigma.mT):
        raise ValueError("Every covariance must be symmetric and positive definite, but at least one is not.")
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(pi, n, replacement=True, generator=generator)  # (N,)
    x = torch.randn(n, mu.shape[1], dtype=torch.float64, generator=generator)  # (N, D)
    for c in range(len(pi)):
        x[labels == c] = mu[c] + x[labels == c] @ factors[c].T
    return Dataset(
        name="Simulated mixture",
        train=x,
        train_labels=labels,
        feature_names=tuple(f"x{d}" for d in range(1, mu.shape[1] + 1)),
        label_names=tuple(f"component {c}" for c in range(1, len(pi) + 1)),
        values="a coordinate, without unit",
        source=f"Drawn from a Gaussian mixture of {len(pi)} components with seed {seed}.",
    )


# ---- Shipped with scikit-learn ----


def iris() -> Dataset:
    """Fisher's iris flowers: 150 rows of 4 lengths in cm, 50 of each of 3 species (Fisher, 1936).

    Returns:
        All 150 rows as the train part, with the species as labels.
    """
    bunch = load_iris()
    return Dataset(
        name="Iris",
        train=torch.as_tensor(bunch.data, dtype=torch.float64),
        train_labels=torch.as_tensor(bunch.target, dtype=torch.int64),
        feature_names=tuple(bunch.feature_names),
        label_names=tuple(str(name) for name in bunch.target_names),
        values="a length in cm",
        source="Fisher's iris data (1936), as scikit-learn ships them.",
    )


def wine() -> Dataset:
    """Wine: 178 bottles of 3 Italian cultivars, 13 chemical measurements each, standardized (UCI).

    Each column has mean 0 and standard deviation 1 (dividing by N), so that units do not matter.

    Returns:
        All 178 rows as the train part, with the cultivar as label. The file is sorted by label.
    """
    bunch = load_wine()
    x = torch.as_tensor(bunch.data, dtype=torch.float64)
    return Dataset(
        name="Wine",
        train=(x - x.mean(dim=0)) / x.std(dim=0, correction=0),
        train_labels=torch.as_tensor(bunch.target, dtype=torch.int64),
        feature_names=tuple(bunch.feature_names),
        label_names=tuple(f"cultivar {c}" for c in (1, 2, 3)),
        values="a measurement in standard deviations from its mean",
        source="UCI data set of wines, as scikit-learn ships it, standardized.",
    )


def digits() -> Dataset:
    """Handwritten digits of 8 × 8 pixels, 1,437 to fit and 360 held out (Alpaydin and Kaynak, 1998).

    A pixel counts the inked cells in one 4 × 4 block of a 32 × 32 bitmap: a whole number from 0 to 16. A row of the
    data holds the 64 pixels of one image, row by row: ``x.reshape(-1, 8, 8)`` gives the images.

    Returns:
        Train and test parts with the digit as label; the split is fixed and keeps the shares of the classes.
    """
    bunch = load_digits()
    parts = train_test_split(bunch.data, bunch.target, test_size=360, stratify=bunch.target, random_state=0)
    return Dataset(
        name="Digits 8×8",
        train=torch.as_tensor(parts[0], dtype=torch.float64),
        test=torch.as_tensor(parts[1], dtype=torch.float64),
        train_labels=torch.as_tensor(parts[2], dtype=torch.int64),
        test_labels=torch.as_tensor(parts[3], dtype=torch.int64),
        feature_names=tuple(bunch.feature_names),
        label_names=tuple(str(digit) for digit in range(10)),
        values="inked cells in a 4×4 block, a count from 0 to 16",
        source="Test part of the UCI data set of handwritten digits (1998), as scikit-learn ships it.",
    )


# ---- Old Faithful ----

_GEYSER = RemoteFile(
    path="geyser.csv",
    urls=(
        "https://raw.githubusercontent.com/mwaskom/seaborn-data/71e2436a092d714350de0fc409ca8a8714e7e78f/geyser.csv",
    ),
    sha256="ce8f6bd15967c9a3dee345aaf268f6b92623abb1e1d313e04d79b720aa6b8bd6",
)
_GEYSER_ROWS = 272
_GEYSER_KINDS = ("short", "long")


def old_faithful() -> Dataset:
    """Old Faithful's eruptions: duration (min) and waiting time to the next one (min), 272 rows in the file's order.

    The fast run gets a stand-in: as many rows, drawn with a fixed seed from the mixture of two Gaussians fitted to
    the real ones. A full run that cannot have the real file prints one line that says so and gets the stand-in too.

    Returns:
        All 272 rows as the train part, labelled short (0) or long (1) eruption (Azzalini and Bowman, 1990).

    Raises:
        DataError: If ``AEVB_DATA_DIR`` is not a folder, or its geyser.csv is not the published file; with
            ``AEVB_REAL_DATA=1`` also if the file cannot be had.
    """
    fallback = budget(full=False, fast=True)
    if not fallback:
        try:
            x, labels = _parse_geyser(fetch(_GEYSER))
        except DataUnavailableError as error:
            report_fallback(error, instead=f"{_GEYSER_ROWS} rows simulated from a mixture fitted to the real data")
            fallback = True
    if fallback:
        x, labels = _simulate_geyser()
    simulated = "Simulated with a fixed seed from the mixture of two Gaussians fitted to the 272 real eruptions."
    real = "Eruptions of Old Faithful, Yellowstone (Azzalini and Bowman, 1990), from seaborn-data's geyser.csv."
    return Dataset(
        name="Old Faithful (simulated)" if fallback else "Old Faithful",
        train=x,
        train_labels=labels,
        feature_names=("duration (min)", "waiting (min)"),
        label_names=_GEYSER_KINDS,
        values="a time in minutes",
        source=simulated if fallback else real,
        fallback=fallback,
    )


def _simulate_geyser() -> tuple[Tensor, Tensor | None]:
    # The maximum-likelihood mixture of two Gaussians for the 272 real rows, total log-likelihood -1130.264, as
    # scikit-learn's GaussianMixture(2, tol=1e-12, reg_covar=0, n_init=10) finds it.
    drawn = simulated_mixture(
        _GEYSER_ROWS,
        weights=(0.35587, 0.64413),
        means=((2.0364, 54.4785), (4.2897, 79.9681)),
        covariances=(((0.06917, 0.43517), (0.43517, 33.69728)), ((0.16997, 0.94061), (0.94061, 36.04621))),
        seed=0,
    )
    return drawn.train, drawn.train_labels


def _parse_geyser(content: bytes) -> tuple[Tensor, Tensor | None]:
    """Read geyser.csv: times of shape (N, 2) in minutes, and labels of shape (N,), in the file's order."""
    try:
        rows = list(csv.reader(content.decode("utf-8").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("geyser.csv should be comma-separated text, but is not; get a fresh copy of it.") from error
    if rows[:1] != [["duration", "waiting", "kind"]]:
        first = ",".join(rows[0])[:60] if rows else ""
        raise DataError(
            f"geyser.csv should begin with 'duration,waiting,kind', but begins with {first!r}; get a fresh copy."
        )
    times, labels = [], []
    for line, row in enumerate(rows[1:], start=2):
        try:
            duration, waiting, kind = row
            times.append((float(duration), float(waiting)))
            labels.append(_GEYSER_KINDS.index(kind))
            if not all(0 < time < math.inf for time in times[-1]):  # NaN fails this too
                raise ValueError("not a length of time")
        except ValueError as error:
            raise DataError(
                f"Line {line} of geyser.csv should hold two positive numbers and 'short' or 'long', "
                f"but holds {','.join(row)[:60]!r}; get a fresh copy of the file."
            ) from error
    if len(times) != _GEYSER_ROWS:
        raise DataError(f"geyser.csv should have {_GEYSER_ROWS} rows, but has {len(times)}; get a fresh copy of it.")
    return torch.tensor(times, dtype=torch.float64), torch.tensor(labels, dtype=torch.int64)


# ---- MNIST ----

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
