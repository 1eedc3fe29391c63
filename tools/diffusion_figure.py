"""What the figure ``diffusion`` needs: chapter 12's noise predictor, trained on the two arcs."""

from base64 import b64encode
from typing import Any

import torch

from aevb_utils.budget import FAST
from tools.chapter_code import names_of_cell, printed


def network() -> dict[str, Any]:
    """The network's layers in float16: for each its weight, rows are outputs, and its bias.

    Raises:
        ValueError: the training is a fast one, or not the one that the chapter shows.
    """
    if FAST:
        raise ValueError("The diffusion is trained as the page shows it: run this without AEVB_FAST.")
    names, _ = names_of_cell(12, "cell-117")
    if (said := f"diffusion: {names['elbo'].mean():.3f} nats") not in printed(12):
        raise ValueError(f"This diffusion is not that of chapter 12, which does not print {said!r}: execute it here.")
    row = torch.cat([value.detach().flatten() for value in names["diffusion"].net.parameters()])
    return {"weights": b64encode(row.half().numpy().astype("<f2").tobytes()).decode()}
