"""Old Faithful's eruptions."""

import csv
import math

import torch
from torch import Tensor

from aevb_utils.budget import budget
from aevb_utils.data.dataset import Dataset, on_cpu
from aevb_utils.data.download import DataError, DataUnavailableError, RemoteFile, fetch, report_fallback
from aevb_utils.data.simulated_mixture import simulated_mixture

_GEYSER = RemoteFile(
    path="geyser.csv",
    urls=(
        "https://raw.githubusercontent.com/mwaskom/seaborn-data/71e2436a092d714350de0fc409ca8a8714e7e78f/geyser.csv",
    ),
    sha256="ce8f6bd15967c9a3dee345aaf268f6b92623abb1e1d313e04d79b720aa6b8bd6",
    size=4_199,
)
_GEYSER_ROWS = 272
_GEYSER_KINDS = ("short", "long")


@on_cpu
def old_faithful() -> Dataset:
    """Old Faithful's eruptions: duration (min) and waiting time to the next one (min), 272 rows in the file's order.

    The fast run gets a stand-in: as many rows, drawn with a fixed seed from the mixture of two Gaussians fitted to
    the real ones. A full run that cannot have the real file prints one line that says so and gets the stand-in too.

    Returns:
        All 272 rows as the train part, labelled short (0) or long (1) eruption: the data of Härdle (1991).

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
    real = "Eruptions of Old Faithful, Yellowstone (Härdle, 1991), from seaborn-data's geyser.csv."
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
