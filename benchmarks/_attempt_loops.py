"""The loop of ``fit_speed.py`` with a step that is made in another way, as one pass over the data."""

from collections.abc import Callable

import torch
from fit_speed import VAE, Pass, step
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.optim import Adam


def loop(
    x: Tensor, batch_size: int, *, model: Callable[[int], VAE] = VAE, bfloat16: bool = False, **options: bool
) -> Pass:
    """The loop by hand, with another model or another Adam."""
    return loop_of(model(x.shape[1]), x, batch_size, bfloat16=bfloat16, **options)


def loop_of(vae: VAE, x: Tensor, batch_size: int, *, bfloat16: bool = False, **options: bool) -> Pass:
    """The same with a model that is there."""
    optimizer = Adam(vae.parameters(), **({"fused": True} | options))

    def go() -> None:
        for rows in torch.randperm(len(x)).split(batch_size):
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                step(vae, optimizer, x[rows])

    return go


def flat(vae: VAE, x: Tensor, batch_size: int) -> Pass:
    """All parameters are parts of one tensor, and so are their gradients."""
    each = list(vae.parameters())
    values = nn.Parameter(torch.cat([p.detach().flatten() for p in each]))
    values.grad = torch.zeros_like(values)
    sizes = [p.numel() for p in each]
    for p, part, gradient in zip(each, values.detach().split(sizes), values.grad.split(sizes), strict=True):
        p.data, p.grad = part.view_as(p), gradient.view_as(p)
    optimizer = Adam([values], fused=True)

    def go() -> None:
        for rows in torch.randperm(len(x)).split(batch_size):
            terms = vae.elbo_terms(x[rows])
            values.grad.zero_()
            (-sum(term.mean() for term in terms.values())).backward()
            optimizer.step()

    return go


def compiled(vae: VAE, x: Tensor, batch_size: int, *, whole: bool = False) -> Pass:
    """The loss compiled, or the loss and the optimizer's step."""
    optimizer = Adam(vae.parameters(), fused=not whole)
    loss = torch.compile(lambda batch: -sum(term.mean() for term in vae.elbo_terms(batch).values()))
    update = torch.compile(optimizer.step) if whole else optimizer.step

    def go() -> None:
        for rows in torch.randperm(len(x)).split(batch_size):
            value = loss(x[rows])
            optimizer.zero_grad()
            value.backward()
            update()

    return go


def kept_buffers(vae: VAE, x: Tensor, batch_size: int) -> Pass:
    """A step without autograd: every product goes into a buffer that is kept, and so does every gradient."""
    optimizer = Adam(vae.parameters(), fused=True)
    layers = [layer for network in (vae.encoder, vae.decoder) for layer in network if isinstance(layer, nn.Linear)]
    inputs = [torch.empty(batch_size, layer.in_features) for layer in layers]
    outputs = [torch.empty(batch_size, layer.out_features) for layer in layers]
    for p in vae.parameters():
        p.grad = torch.empty_like(p)

    def forward(first: int) -> Tensor:
        for k in range(first, first + 3):
            torch.addmm(layers[k].bias, inputs[k], layers[k].weight.T, out=outputs[k])
            if k < first + 2:
                torch.clamp_min(outputs[k], 0, out=inputs[k + 1])
        return outputs[first + 2]

    def backward(first: int, gradient: Tensor) -> Tensor:
        for k in reversed(range(first, first + 3)):
            torch.mm(gradient.T, inputs[k], out=layers[k].weight.grad)
            torch.sum(gradient, 0, out=layers[k].bias.grad)
            if k:
                gradient = gradient @ layers[k].weight
                if k > first:
                    gradient.mul_(inputs[k] > 0)
        return gradient

    @torch.no_grad()
    def go() -> None:
        for rows in torch.randperm(len(x)).split(batch_size):
            torch.index_select(x, 0, rows, out=inputs[0])
            mean, log_scale = forward(0).chunk(2, dim=1)
            scale, noise = log_scale.exp(), torch.randn_like(mean)
            torch.addcmul(mean, scale, noise, out=inputs[3])
            logits = forward(3)
            of_z = backward(3, logits.sigmoid_().sub_(inputs[0]).div_(len(rows)))
            of_scale = of_z * scale * noise + (scale.square() - 1) / len(rows)
            backward(0, torch.cat([of_z + mean / len(rows), of_scale], dim=1))
            optimizer.step()

    return go


def with_threads(threads: int, build: Callable[[Tensor, int], Pass]) -> Callable[[Tensor, int], Pass]:
    """A program on another number of threads."""

    def made(x: Tensor, batch_size: int) -> Pass:
        program, before = build(x, batch_size), torch.get_num_threads()

        def go() -> None:
            torch.set_num_threads(threads)
            try:
                program()
            finally:
                torch.set_num_threads(before)

        return go

    return made


def forward_products(x: Tensor, batch_size: int, *, packed: str = "") -> Pass:
    """The products on the way forward, plain or by oneDNN with weights in its own form: made once, or at each step."""
    weights = [layer.weight.detach() for layer in VAE(x.shape[1]).modules() if isinstance(layer, nn.Linear)]
    inputs = [torch.randn(batch_size, weight.shape[1]) for weight in weights]

    def pack() -> list[Tensor]:
        return [weight.to_mkldnn() for weight in weights]

    once = pack() if packed == "once" else []

    def go() -> None:
        for _ in range(len(x) // batch_size):
            if not packed:
                for u, W in zip(inputs, weights, strict=True):
                    linear(u, W)
                continue
            for u, W in zip(inputs, once if packed == "once" else pack(), strict=True):
                torch.ops.mkldnn._linear_pointwise(u, W, None, "none", [], "")

    return go


def of_new(program: Callable[..., Pass], **options: bool) -> Callable[[Tensor, int], Pass]:
    """A program on a new model."""
    return lambda x, batch_size: program(VAE(x.shape[1]), x, batch_size, **options)
