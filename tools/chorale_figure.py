"""What the figure ``compose`` needs: pieces to begin with, and chapter 10's variational RNN in 8 bits a weight."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from aevb_utils.data import jsb_chorales
from aevb_utils.models.variational_rnn import VariationalRNN, complete
from aevb_utils.training import load_pretrained
from aevb_utils.training.pretrained import FOLDER
from tools.chapter_code import names_of_chapter
from tools.packing import packed

NAME = "vrnn-chorales"
STEPS, CHORALES = 32, 10  # steps of a piece, and how many of the test set's chorales there are, the first ones
LARGEST = 127  # the largest whole number of 8 bits


def pieces() -> dict[str, Any]:
    """The beginnings of the first test chorales, and the two draws of the chapter: for each step the keys that sound.

    Raises:
        ValueError: the real chorales cannot be had, or the run is a fast one.
    """
    chorales = jsb_chorales()
    if chorales.fallback:
        raise ValueError(
            "The figure begins with Bach's chorales: run this without AEVB_FAST, and with a network or AEVB_DATA_DIR."
        )
    drawn, control = chapter_draws()
    rolls = {"chorales": chorales.test[:CHORALES, :STEPS], "drawn": drawn[:1], "control": control[:1]}
    return {name: [_keys(roll) for roll in those] for name, those in rolls.items()}


def chapter_draws() -> tuple[Tensor, Tensor]:
    """What the chapter draws from the variational RNN and from the control, (64, 32, 88) each, by its seeds."""
    draw_control = names_of_chapter(10, "draw_control")["draw_control"]
    musician, player = load_pretrained(NAME), load_pretrained("rnn-chorales")  # making them takes random numbers
    torch.manual_seed(7)
    drawn, _ = complete(musician, torch.zeros(64, 0, 88), STEPS)
    torch.manual_seed(8)
    return drawn, draw_control(player, 64, STEPS)


def _keys(roll: Tensor) -> list[list[int]]:
    """For each step of a roll, (T, 88), the keys that sound, from 0."""
    return [step.nonzero()[:, 0].tolist() for step in roll]


def model() -> dict[str, str]:
    """The shipped model, its weights rounded to 8 bits, and the hash of the file that they are from."""
    layers = layers_in_order(load_pretrained(NAME))
    codes, numbers = [], []
    for layer in layers:
        whole, scale = eight_bits(layer.weight.detach())
        codes.append(whole.flatten())
        numbers += [scale, *([] if layer.bias is None else [layer.bias.detach()])]
    return {
        "codes": packed(torch.cat(codes).numpy().astype("i1")),
        "numbers": packed(torch.cat(numbers).numpy().astype("<f2")),
        "of": hashlib.sha256((FOLDER / f"{NAME}.safetensors").read_bytes()).hexdigest(),
    }


def layers_in_order(vrnn: VariationalRNN) -> list[nn.Linear]:
    """The linear layers, in the order in which ``models/vrnn.js`` reads them."""
    recurrence, encoder = vrnn.recurrence, vrnn.encoder
    parts = (
        recurrence.of_x, recurrence.of_z, recurrence.of_h, encoder.of_x, encoder.of_h, encoder.head, vrnn.prior,
        vrnn.decoder,
    )  # fmt: skip
    return [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Linear)]


def eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights as whole numbers from −127 to 127, and a scale for each row, a normal number of float16."""
    scale = (weight.abs().amax(dim=1) / LARGEST).half().float().clamp_min(torch.finfo(torch.float16).tiny)
    return (weight / scale[:, None]).round().clamp(-LARGEST, LARGEST), scale


def rounded_model() -> VariationalRNN:
    """The shipped model, with the weights that the figure has."""
    vrnn = load_pretrained(NAME)
    with torch.no_grad():
        for layer in layers_in_order(vrnn):
            whole, scale = eight_bits(layer.weight)
            layer.weight.copy_(whole * scale[:, None])
    return vrnn
