"""An encoder and a decoder that come without a model, and finding the parts of one that has them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from aevb_utils.checking.vae.noise import Noise
from aevb_utils.checking.vae.outputs import Gaussian


class Pair(nn.Module):
    """An encoder and a decoder that come without a model: z is drawn here."""

    def __init__(self, encoder: Callable[..., Any], decoder: Callable[..., Any]) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor, *context: Tensor) -> Any:  # noqa: ANN401
        """Encode, draw and decode; the noise is small, since how z is drawn is not looked at."""
        encoded = self.encoder(x, *context)
        if isinstance(encoded, Tensor):
            raise TypeError(
                f"The encoder should return μ and the width of q, but returned one tensor of the shape "
                f"{tuple(encoded.shape)}: where that holds both, pass encoder=lambda x: encoder(x).chunk(2, dim=1)."
            )
        q = Gaussian.of(encoded)
        if q is not None:
            mu, sigma = q.mu, 0.1 + 0 * q.t
        else:
            mu, t = encoded[:2]
            sigma = 0.1 + 0 * t
        decoded = self.decoder(mu + sigma * torch.randn_like(mu), *context)
        return {"recon": decoded, "posterior": encoded} if q is not None else {"recon": decoded, "mu": mu, "logvar": t}


def holds_two(encoded: object, noise: Noise) -> bool:
    """Whether an encoder's only tensor is μ and the width one after the other: the noise has half its shape."""
    if not isinstance(encoded, Tensor) or encoded.ndim < 2 or encoded.shape[1] % 2:
        return False
    half = (len(encoded), encoded.shape[1] // 2, *encoded.shape[2:])
    return any(each.shape == half for each in noise.draws)


def first_of(model: object, names: tuple[str, ...], what: str) -> str:
    """The first of these names that the model has.

    Raises:
        ValueError: it has none.
    """
    name = next((name for name in names if callable(getattr(model, name, None))), None)
    if name is None:
        raise ValueError(
            f"The model has no {what} that could be found ({', '.join(names)}): name its method or module, as by "
            f"{what}='{names[0]}'"
            + (", or its two last layers, encoder=('fc_mu', 'fc_logvar')." if what[0] == "e" else ".")
        )
    return name
