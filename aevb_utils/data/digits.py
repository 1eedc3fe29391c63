"""Handwritten digits of 8 × 8 pixels."""

import torch

from aevb_utils.data.dataset import Dataset, on_cpu


@on_cpu
def digits() -> Dataset:
    """Handwritten digits of 8 × 8 pixels, 1,437 to fit and 360 held out (Alpaydin and Kaynak, 1998).

    A pixel counts the inked cells in one 4 × 4 block of a 32 × 32 bitmap: a whole number from 0 to 16. A row of the
    data holds the 64 pixels of one image, row by row: ``x.reshape(-1, 8, 8)`` gives the images.

    Returns:
        Train and test parts with the digit as label; the split is fixed and keeps the shares of the classes.
    """
    from sklearn.datasets import load_digits  # here, because it takes a second to import
    from sklearn.model_selection import train_test_split

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
