"""Wines of three Italian cultivars."""

import torch

from aevb_utils.data.dataset import Dataset, on_cpu


@on_cpu
def wine() -> Dataset:
    """Wine: 178 bottles of 3 Italian cultivars, 13 chemical measurements each, standardized (UCI).

    Each column has mean 0 and standard deviation 1 (dividing by N), so that units do not matter.

    Returns:
        All 178 rows as the train part, with the cultivar as label. The file is sorted by label.
    """
    from sklearn.datasets import load_wine  # here, because it takes a second to import

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
