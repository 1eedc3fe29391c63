"""The ways in which encoders give the width of q: log σ², log σ, σ, σ², or a number before a softplus."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class Scale:
    """One of them: what it is called, and σ as a function of it."""

    name: str
    sigma: Callable[[Tensor], Tensor]
    positive: bool = False

    def slope(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """σ, and its derivative."""
        t = t.detach().requires_grad_()
        with torch.enable_grad():
            sigma = self.sigma(t)
            (slope,) = torch.autograd.grad(sigma.sum(), t)
        return sigma.detach(), slope


LOG_VARIANCE = Scale("log σ²", lambda t: (t / 2).exp())
LOG_SCALE = Scale("log σ", torch.exp)
SCALE = Scale("σ", lambda t: t.clone(), positive=True)
VARIANCE = Scale("σ²", torch.sqrt, positive=True)
BEFORE_SOFTPLUS = Scale("what softplus makes σ of", softplus)
VARIANCE_BEFORE_SOFTPLUS = Scale("what softplus makes σ² of", lambda t: softplus(t).sqrt())
SCALES = (LOG_VARIANCE, LOG_SCALE, SCALE, VARIANCE, BEFORE_SOFTPLUS, VARIANCE_BEFORE_SOFTPLUS)
"""All that are known, the commonest first."""
