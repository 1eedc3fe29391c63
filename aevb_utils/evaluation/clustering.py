"""How well clusters agree with labels that the clustering has not seen.

Exported from notebooks/09_gaussian_mixture_vae.ipynb by ``make export``: edit the chapter.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def as_whole_numbers(values: Tensor | ArrayLike, name: str) -> Tensor:
    """Clusters or labels as int64 on the CPU, whatever whole numbers (or bools) they are.

    Raises:
        ValueError: they are not whole numbers from 0, of shape (N,), N ≥ 1, or masked.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    array = np.asanyarray(values)
    whole = array.dtype.kind in "iub" and not np.ma.is_masked(array)
    if array.ndim != 1 or not len(array) or not whole:
        raise ValueError(f"{name} must be whole numbers of shape (N,), N ≥ 1.")
    if array.min() < 0:
        raise ValueError(f"{name} must count from 0, not from {array.min()}.")
    if array.max() > 1_000_000:
        raise ValueError(f"{name} must count from 0 without gaps, not to {array.max()}.")
    return torch.from_numpy(array.astype(np.int64))


def contingency(clusters: Tensor | ArrayLike, labels: Tensor | ArrayLike) -> Tensor:
    """How many data of each label are in each cluster, (labels, clusters), int64.

    Both are whole numbers from 0 of any type, (N,).

    Raises:
        ValueError: there are no data, or the two differ in shape, or hold other numbers.
    """
    clusters = as_whole_numbers(clusters, "clusters")
    labels = as_whole_numbers(labels, "labels")
    if len(clusters) != len(labels):
        raise ValueError(
            f"A cluster and a label a datum, not {len(clusters)} and {len(labels)}."
        )
    rows, columns = int(labels.max()) + 1, int(clusters.max()) + 1
    if rows * columns > 10**8:
        raise ValueError(f"{rows} labels by {columns} clusters are too many for a table.")
    counts = torch.bincount(labels * columns + clusters, minlength=rows * columns)
    return counts.reshape(rows, columns)


def clustering_accuracy(clusters: Tensor | ArrayLike, labels: Tensor | ArrayLike) -> float:
    """The share of data in the right cluster under the best one-to-one matching, (9.21).

    Each cluster is matched with at most one label and each label with at most one cluster
    (the Hungarian method); what is left unmatched counts as wrong. Kuhn (1955).

    Args:
        clusters: the cluster of each datum, (N,), whole numbers from 0, of any type.
        labels: its label, (N,), likewise.

    Raises:
        ValueError: there are no data, or the two differ in shape, or hold other numbers.
    """
    table = contingency(clusters, labels)
    matched = linear_sum_assignment(table.numpy(), maximize=True)
    return table[matched].sum().item() / len(labels)
