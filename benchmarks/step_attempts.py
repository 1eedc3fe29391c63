"""What has been tried to bring a step of ``fit`` nearer to its bare matrix products, in one table, and a profile.

``python benchmarks/step_attempts.py`` (some minutes, on an idle machine; torch.compile needs a C++ compiler). Model,
data and batches are those of ``fit_speed.py``. Every attempt changes one thing of its loop by hand, so that what it
brings is seen alone; all take turns in one run, and ratios are taken within a turn. The last but one, a step without
autograd whose products go into buffers that are kept, is what could be had at most; it is 60 lines for this one
network.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from _rows import Row, load, ratios
from fit_speed import BATCH, VAE, D, Pass, bare_products, by_fit, by_hand, pixels, step, take_turns
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.distributions import Distribution
from torch.nn.functional import linear
from torch.optim import Adam
from torch.profiler import ProfilerActivity, profile

N = 2_000
BAR = 1.3
MISSING: list[str] = []


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


class ByOneDNN(VAE):
    """The model with such layers."""

    def __init__(self, d: int) -> None:
        super().__init__(d)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                layer.__class__ = OneDNN


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

    once = pack() if packed else []

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


def check() -> None:
    """The attempts with gradients of their own take the steps of the loop by hand. (Compiled code draws other noise.)

    Raises:
        AssertionError: they do not.
    """
    x, start, ends = pixels(3 * BATCH, D), VAE(D), []
    before = nn.utils.parameters_to_vector(start.parameters()).detach()
    for model, program in (
        (VAE, loop_of),
        (OneDraw, loop_of),
        (OneOfEach, loop_of),
        (ByOneDNN, loop_of),
        (VAE, flat),
        (VAE, kept_buffers),
    ):
        vae = model(D)
        vae.load_state_dict(start.state_dict())
        torch.manual_seed(0)
        program(vae, x, BATCH)()
        ends.append(nn.utils.parameters_to_vector(vae.parameters()).detach())
        apart = (ends[-1] - ends[0]).norm() / (ends[0] - before).norm()
        assert apart < 1e-3, f"{program.__name__} with {model.__name__} takes other steps: {apart:.1e} of the way apart"


BARE, HAND = "bare matrix products", "loop by hand, fused Adam"
ATTEMPTS: dict[str, Callable[[Tensor, int], Pass]] = {
    BARE: bare_products,
    "fit": by_fit,
    HAND: by_hand,
    "Adam(foreach=True)": partial(loop, fused=False, foreach=True),
    "Adam()": partial(loop, fused=None),
    "flat parameters": of_new(flat),
    "sampling and KL in one": partial(loop, model=OneDraw),
    "and the log-likelihood with its gradient": partial(loop, model=OneOfEach),
    "weights stored transposed": partial(loop, model=transposed),
    "products by oneDNN": partial(loop, model=ByOneDNN),
    "fit, products by oneDNN": partial(by_fit, model=ByOneDNN),
    "bfloat16": partial(loop, bfloat16=True),
    "fit, bfloat16": partial(by_fit, bfloat16=True),
    "torch.compile of the loss": of_new(compiled),
    "torch.compile of loss and step": of_new(compiled, whole=True),
    "no autograd, buffers kept": of_new(kept_buffers),
    "fit, 1 thread": with_threads(1, by_fit),
    "bare matrix products, 1 thread": with_threads(1, bare_products),
}
FORWARD: dict[str, Callable[[Tensor, int], Pass]] = {
    "forward products": forward_products,
    "forward products, oneDNN, made once": partial(forward_products, packed="once"),
    "forward products, oneDNN, each step": partial(forward_products, packed="each step"),
}


SAID = {
    HAND: "The same operations as fit, without its notes and checks; all that follows changes one thing of this loop.",
    "flat parameters": "All parameters in one tensor, and all gradients in another.",
    "products by oneDNN": "Another library that PyTorch has, by an operation that is not public; still float32.",
    "bfloat16": "Products of numbers of 16 bits: where the processor has them.",
    "no autograd, buffers kept": "All written by hand for this one network: no graph, no new memory for a product.",
    "forward products, oneDNN, made once": "Weights in oneDNN's own form, which training would have to make anew.",
}


def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step of every attempt in each round; one that cannot be run is said in ``MISSING``."""
    check()
    x, passes = pixels(N, D), {}
    for name, build in (ATTEMPTS | FORWARD).items():
        try:
            passes[name] = build(x, BATCH)
            passes[name]()  # compiles
        except Exception as error:  # whatever a compiler or an operation of another version says
            passes.pop(name, None)
            MISSING.append(f"{name} cannot be run here: {type(error).__name__}, {str(error).splitlines()[0][:120]}")
    Distribution.set_default_validate_args(__debug__)  # compiling turned it off, and fit then looks at every row
    return take_turns(passes, dict.fromkeys(passes, N // BATCH), rounds)


def rows(rounds: int = 15) -> list[Row]:
    """The rows of the book's table."""
    times = measure(rounds)
    found = []
    for name, each in times.items():
        base = "forward products" if name in FORWARD else BARE
        if name != base:
            found.append(Row(f"{name} / {base}", SAID.get(name, ""), ratios(each, times[base])))
    said = "Of the time of a step of the loop by hand, on one thread, under PyTorch's profiler."
    return found + [Row(f"share of a step: {group}", said, each, "%") for group, each in shares().items()]


GROUPS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::matmul", "aten::linear"),
    "Adam": ("aten::_fused_adam_",),
    "memory: new, set to zero, copied": ("aten::empty", "aten::zero", "aten::fill", "aten::copy", "aten::clone"),
    "autograd's own": ("autograd::", "torch::autograd"),
}


def shares(rounds: int = 5) -> dict[str, list[float]]:
    """Of a step of the loop by hand on one thread, the shares of groups of operations, in percent, in each round."""
    x = pixels(N, D)
    vae, before = VAE(D), torch.get_num_threads()
    optimizer = Adam(vae.parameters(), fused=True)

    def go() -> None:
        for rows_ in torch.randperm(len(x)).split(BATCH):
            step(vae, optimizer, x[rows_])

    torch.set_num_threads(1)  # so that operations' times add up
    go()
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        began = time.perf_counter()
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            go()
        whole = 1e6 * (time.perf_counter() - began)
        times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
        of = {group: sum(t for name, t in times.items() if name.startswith(starts)) for group, starts in GROUPS.items()}
        of["other operations"] = sum(times.values()) - sum(of.values())
        of["Python between operations"] = max(0.0, whole - sum(times.values()))
        found.append({group: 100 * t / sum(of.values()) for group, t in of.items()})
    torch.set_num_threads(before)
    return {group: [each[group] for each in found] for group in found[0]}


def main() -> None:
    """Print the table of attempts and the profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="how often all take their turn")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} of {os.cpu_count()} cores, load {load()}")
    times = measure(arguments.rounds)
    print(f"{'attempt':42s} {'ms a step':>9s} {'/ bare':>7s} {'quartiles':>13s} {'/ by hand':>10s}")
    for name, each in times.items():
        of_bare = ratios(each, times[BARE])
        low, middle, high = statistics.quantiles(of_bare, n=4, method="inclusive")
        hand = statistics.median(ratios(each, times[HAND]))
        print(f"{name:42s} {statistics.median(each):9.2f} {middle:7.2f} {f'{low:.2f} to {high:.2f}':>13s} {hand:10.2f}")
    for sentence in MISSING:
        print(sentence)
    print(f"\nwanted: fit / bare at most {BAR}; it is {statistics.median(ratios(times['fit'], times[BARE])):.2f}")
    print("\nof a step of the loop by hand, on one thread, under the profiler:")
    for group, share in shares().items():
        print(f"  {group:34s} {statistics.median(share):5.1f} %")


if __name__ == "__main__":
    main()
