"""What the figure ``latent_plane`` needs: chapter 7's decoder of two latents, and the codes of test digits."""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch.distributions import kl_divergence

from aevb_utils.budget import FAST
from tools.chapter_code import names_of_cell, printed
from tools.packing import packed

START = (-0.2, 1.3)  # where the figure begins
REACH = 4.0  # of the square of latents, to each side of 0, in which the decoder must be right
CODES, DIGITS = 1500, 40  # test digits whose codes are shown; those that a reader can choose


@cache
def trained() -> dict[str, Any]:
    """Chapter 7's names, with its VAE of two latents, ``plane``, trained as on the page.

    Raises:
        ValueError: the training is a fast one, or not the one that the chapter shows.
    """
    if FAST:
        raise ValueError("The plane's model is trained as the page shows it: run this without AEVB_FAST.")
    chapter, _ = names_of_cell(7, "c07-047", fast=True)
    with torch.no_grad():
        kl = kl_divergence(chapter["plane"].q_z_given_x(chapter["mnist"].test[:5000]), chapter["plane"].p_z()).mean()
    if (words := f"mean KL {kl:.2f} ") not in printed(7):
        raise ValueError(f"This plane is not the one of chapter 7, which does not print {words!r}: execute it here.")
    return chapter


def codes() -> dict[str, Any]:
    """Means of q for test digits, some digits whole, the picture at the start, and what there is to load later."""
    chapter = trained()
    plane, x, labels = chapter["plane"], chapter["mnist"].test[:CODES], chapter["mnist"].test_labels[:CODES]
    with torch.no_grad():
        q, start = plane.q_z_given_x(x), plane.p_x_given_z(torch.tensor([START])).mean[0]
    digits = [
        {
            "x": packed(np.packbits(x[i].numpy().astype("u1"))),
            "label": int(labels[i]),
            "m": [round(value, 4) for value in q.mean[i].tolist()],
            "s": [round(value, 4) for value in q.stddev[i].tolist()],
        }
        for i in range(DIGITS)
    ]
    return {
        "hidden": audible(plane.decoder)[1],
        "codes": packed((1000 * q.mean).round().numpy().astype("<i2")),
        "labels": "".join(map(str, labels.tolist())),
        "digits": digits,
        "start": packed((255 * start).round().numpy().astype("u1")),
        "megabytes": round(len(decoder()["weights"]) / 1e6, 1),
    }


def decoder() -> dict[str, Any]:
    """The decoder in float16: for each layer its weight, rows are outputs, and its bias."""
    weights, _ = audible(trained()["plane"].decoder)
    return {"weights": packed(torch.cat([value.flatten() for value in weights]).half().numpy().astype("<f2"))}


@torch.no_grad()
def audible(network: torch.nn.Module) -> tuple[list[torch.Tensor], list[int]]:
    """Weights and biases of a network, and its widths, without the units that are silent in all of the square.

    There, it says the same without them.

    Args:
        network: three linear layers, from two latents, with relu between them.
    """
    first, second, last = (layer for layer in network.modules() if isinstance(layer, torch.nn.Linear))
    line = torch.linspace(-REACH, REACH, 321)
    one = first(torch.cartesian_prod(line, line)).relu()
    heard_one, heard_two = (one > 0).any(dim=0), (second(one) > 0).any(dim=0)
    weights = [first.weight[heard_one], first.bias[heard_one], second.weight[heard_two][:, heard_one]]
    weights += [second.bias[heard_two], last.weight[:, heard_two], last.bias]
    return [value.detach() for value in weights], [int(heard_one.sum()), int(heard_two.sum())]
