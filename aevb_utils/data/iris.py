"""Fisher's iris flowers."""

import torch

from aevb_utils.data.dataset import Dataset, on_cpu


@on_cpu
def iris() -> Dataset:
    """Fisher's iris flowers: 150 rows of 4 lengths in cm, 50 of each of 3 species (Fisher, 1936).

    Returns:
        All 150 rows as the train part, with the species as labels.
    """
    from sklearn.datasets import load_iris  # here, because it takes a second to import

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
