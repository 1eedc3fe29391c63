"""How well clusters agree with labels that the clustering has not seen.

Exported from notebooks/09_gaussian_mixture_vae.ipynb by ``make export``: edit the chapter.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def contingency(clusters: Tensor, labels: Tensor) -> Tensor:
    """How many data of each label are in each cluster, (labels, clusters), int64.

    Args:
        clusters: the cluster of each datum, (N,), whole numbers from 0.
        labels: its label, (N,), whole numbers from 0.

    Raises:
        ValueError: there are no data, or the two differ in shape, or hold other numbers.
    """
    for name, values in (("clusters", clusters), ("labels", labels)):
        if values.ndim != 1 or not len(values) or values.is_floating_point():
            raise ValueError(f"{name} must be whole numbers of shape (N,), N ≥ 1.")
        if values.min() < 0:
            raise ValueError(f"{name} must count from 0, not from {values.min()}.")
    if len(clusters) != len(labels):
        raise ValueError(
            f"A cluster and a label a datum, not {len(clusters)} and {len(labels)}."
        )
    rows, columns = int(labels.max()) + 1, int(clusters.max()) + 1
    counts = torch.bincount(labels * columns + clusters, minlength=rows * columns)
    return counts.reshape(rows, columns)


def clustering_accuracy(clusters: Tensor, labels: Tensor) -> float:
    """The share of data in the right cluster under the best one-to-one matching, (9.21).

    Each cluster is matched with at most one label and each label with at most one cluster
    (the Hungarian method); what is left unmatched counts as wrong. Kuhn (1955).

    Args:
        clusters: the cluster of each datum, (N,), whole numbers from 0.
        labels: its label, (N,), whole numbers from 0.

    Raises:
        ValueError: there are no data, or the two differ in shape, or hold other numbers.
    """
    table = contingency(clusters, labels)
    matched = linear_sum_assignment(table.numpy(), maximize=True)
    return table[matched].sum().item() / len(labels)
