"""The VAE of ``fit_speed.py`` with parts written in another way: fewer operations, other layers."""

from collections.abc import Callable

import torch
from fit_speed import VAE
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import conv2d


class DrawAndKL(torch.autograd.Function):
    """z and minus the KL of each datum, with the gradient of both in one go."""

    @staticmethod
    def forward(ctx: FunctionCtx, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """From mean and log-scale, (batch, 2 L)."""
        mean, log_scale = outputs.chunk(2, dim=-1)
        scale, noise = log_scale.exp(), torch.randn_like(mean)
        ctx.save_for_backward(mean, scale, noise)
        minus_kl = (log_scale.sum(1) + 0.5 * (mean.shape[1] - (mean.square() + scale.square()).sum(1))).contiguous()
        return torch.addcmul(mean, scale, noise), minus_kl

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, of_z: Tensor, of_kl: Tensor) -> Tensor:
        """∂z/∂mean = 1, ∂z/∂log σ = σ ε, and those of the KL."""
        mean, scale, noise = ctx.saved_tensors
        of_kl = of_kl[:, None]
        return torch.cat([of_z - of_kl * mean, of_z * scale * noise + of_kl * (1 - scale.square())], dim=1)


class LogLikelihood(torch.autograd.Function):
    """The log-likelihood of binary pixels, summed, with its gradient made on the way."""

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, x: Tensor) -> Tensor:
        """(batch,), from logits and pixels (batch, D)."""
        ctx.save_for_backward(x - logits.sigmoid())
        return (x * logits - nn.functional.softplus(logits)).sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, given: Tensor) -> tuple[Tensor, None]:
        """The gradient in the logits, x − σ(logits)."""
        (gradient,) = ctx.saved_tensors
        return gradient * given[:, None], None


class OneDraw(VAE):
    """Sampling and KL in one."""

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """The two terms of each datum's ELBO, (batch,), from one sample."""
        z, minus_kl = DrawAndKL.apply(self.encoder(x))
        return {"reconstruction": self.log_likelihood(self.decoder(z), x), "minus_kl": minus_kl}

    def log_likelihood(self, logits: Tensor, x: Tensor) -> Tensor:
        """PyTorch's own."""
        losses = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return -losses.sum(dim=1)


class OneOfEach(OneDraw):
    """And the log-likelihood with its gradient, too."""

    def log_likelihood(self, logits: Tensor, x: Tensor) -> Tensor:
        """With its gradient."""
        return LogLikelihood.apply(logits, x)


class Transposed(nn.Module):
    """A layer whose weights lie as (inputs, outputs)."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(layer.weight.detach().T.contiguous()), layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """(batch, outputs)."""
        return torch.addmm(self.bias, x, self.weight)


def transposed(d: int) -> VAE:
    """The model with such layers."""
    vae = VAE(d)
    for network in (vae.encoder, vae.decoder):
        for name, layer in list(network.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(network, name, Transposed(layer))
    return vae


def by_onednn(u: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """A layer, u Wᵀ + b, (rows, outputs), by PyTorch's own operation for oneDNN, which is not public."""
    return torch.ops.mkldnn._linear_pointwise(u, W, b, "none", [], "")


class LinearByOneDNN(torch.autograd.Function):
    """A layer's products, on the way forward and back."""

    @staticmethod
    def forward(ctx: FunctionCtx, u: Tensor, W: Tensor, b: Tensor) -> Tensor:
        """(batch, outputs)."""
        ctx.save_for_backward(u, W)
        return by_onednn(u, W, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, given: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """The gradients in u, W and b."""
        u, W = ctx.saved_tensors
        of_u = by_onednn(given, W.T) if ctx.needs_input_grad[0] else None
        return of_u, by_onednn(given.T, u.T), given.sum(dim=0)


class OneDNN(nn.Linear):
    """A layer by oneDNN."""

    def forward(self, input: Tensor) -> Tensor:
        """(batch, outputs)."""
        return LinearByOneDNN.apply(input, self.weight, self.bias)


class Convolution(nn.Linear):
    """A layer as a convolution of images of one pixel, which PyTorch gives to oneDNN by its public functions."""

    def forward(self, input: Tensor) -> Tensor:
        """(batch, outputs)."""
        return conv2d(input[:, :, None, None], self.weight[:, :, None, None], self.bias)[:, :, 0, 0]


def with_layers(layer: type[nn.Linear]) -> Callable[[int], VAE]:
    """The model with other layers, which hold the same parameters."""

    def made(d: int) -> VAE:
        vae = VAE(d)
        for each in vae.modules():
            if isinstance(each, nn.Linear):
                each.__class__ = layer
        return vae

    return made
