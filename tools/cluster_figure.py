"""What the figure ``which_cluster`` needs: the model on small digits that chapter 9's estimators share."""

from functools import cache
from typing import Any

import torch

from aevb_utils.budget import FAST
from tools.chapter_code import names_of_cell, printed
from tools.packing import packed

DIGITS = 60  # test digits that a reader can choose


@cache
def start() -> dict[str, Any]:
    """Chapter 9's names, when it has made ``start``.

    Raises:
        ValueError: the training is a fast one, or not the one that the chapter shows.
    """
    if FAST:
        raise ValueError("The clusters' model is trained as the page shows it: run this without AEVB_FAST.")
    names, said = names_of_cell(9, "c09-078")
    if said not in printed(9):
        raise ValueError(f"This model is not the one of chapter 9, which does not print {said!r}: execute it here.")
    return names


def digits() -> dict[str, Any]:
    """Test digits with their q(y | x), and what each cluster's mean is decoded to."""
    names = start()
    model, small = names["start"], names["digits"]
    x = small.test[:DIGITS]
    with torch.no_grad():
        q = model.q_y_given_x((x >= 8).float()).probs
        pictures = model.p_x_given_z(model.means).mean
    return {
        "digits": ["".join("0123456789abcdefg"[int(count)] for count in row) for row in x.tolist()],
        "labels": "".join(map(str, small.test_labels[:DIGITS].tolist())),
        "q": packed(q.numpy().astype("<f4")),
        "pictures": packed((255 * pictures).round().numpy().astype("u1")),
    }


def encoder() -> dict[str, Any]:
    """The layers from x to the logits of q(y | x), eq. (9.10), in float16: for each its weight, and its bias."""
    net = start()["start"].encoder
    parameters = [*net.features.parameters(), *net.y_head.parameters()]
    return {
        "weights": packed(torch.cat([value.detach().flatten() for value in parameters]).half().numpy().astype("<f2"))
    }
