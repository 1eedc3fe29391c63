"""Networks that give the logits of a mixture's component: the amortized E-step.

Exported from notebooks/04_amortization.ipynb by ``make export``: edit the chapter.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def tanh_layers(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers from ``sizes[0]`` to ``sizes[-1]`` numbers, with tanh between."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class LogitNetwork(nn.Module):
    """f_φ of eq. (4.1): one logit per component, computed from the datum.

    Args:
        x: data, shape (N, D), whose mean and standard deviation standardize the input.
        n_components: C.
        hidden: widths of the hidden layers; none makes the logits linear in the features.
        quadratic: whether the products of the entries are features too.

    Raises:
        ValueError: the data are not (N, D), or one of their columns does not vary.
    """

    def __init__(
        self, x: Tensor, n_components: int, *,
        hidden: Sequence[int] = (), quadratic: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if x.ndim != 2 or len(x) < 2 or not (x.std(dim=0) > 0).all():
            raise ValueError(
                "x must have the shape (N, D), at least two rows, and columns that vary, "
                f"to set the scale of the input; its shape is {tuple(x.shape)}."
            )
        D = x.shape[1]
        features = D + (D * (D + 1) // 2 if quadratic else 0)
        self.quadratic = quadratic
        self.register_buffer("center", x.mean(dim=0))
        self.register_buffer("scale", x.std(dim=0))
        self.layers = tanh_layers([features, *hidden, n_components]).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """The logits λ_i, shape (batch, C), of data of shape (batch, D)."""
        u = (x - self.center) / self.scale
        if self.quadratic:
            rows, columns = torch.triu_indices(u.shape[1], u.shape[1])
            u = torch.cat([u, u[:, rows] * u[:, columns]], dim=1)
        return self.layers(u)
