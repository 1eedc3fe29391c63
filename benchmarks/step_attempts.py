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
from _attempt_loops import compiled, flat, forward_products, kept_buffers, loop, loop_of, of_new, with_threads
from _attempt_models import Convolution, OneDNN, OneDraw, OneOfEach, transposed, with_layers
from _rows import Row, load, ratios
from fit_speed import BATCH, VAE, D, Pass, bare_products, by_fit, by_hand, pixels, step, take_turns
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.optim import Adam
from torch.profiler import ProfilerActivity, profile

N = 2_000
BAR = 1.3
MISSING: list[str] = []


def check() -> None:
    """The attempts with gradients of their own take the steps of the loop by hand. (Compiled code draws other noise.)

    Raises:
        AssertionError: they do not.
    """
    x, start, ends = pixels(3 * BATCH, D), VAE(D), []
    before = nn.utils.parameters_to_vector(start.parameters()).detach()
    tried: dict[str, tuple[Callable[[int], VAE], Callable[[VAE, Tensor, int], Pass]]] = {
        "the loop by hand": (VAE, loop_of),
        "one draw": (OneDraw, loop_of),
        "one of each": (OneOfEach, loop_of),
        "oneDNN": (with_layers(OneDNN), loop_of),
        "convolutions": (with_layers(Convolution), loop_of),
        "flat parameters": (VAE, flat),
        "kept buffers": (VAE, kept_buffers),
    }
    for name, (model, program) in tried.items():
        vae = model(D)
        vae.load_state_dict(start.state_dict())
        torch.manual_seed(0)
        program(vae, x, BATCH)()
        ends.append(nn.utils.parameters_to_vector(vae.parameters()).detach())
        apart = (ends[-1] - ends[0]).norm() / (ends[0] - before).norm()
        assert apart < 1e-3, f"{name} takes other steps: {apart:.1e} of the way apart"


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
    "layers as convolutions": partial(loop, model=with_layers(Convolution)),
    "products by oneDNN": partial(loop, model=with_layers(OneDNN)),
    "fit, products by oneDNN": partial(by_fit, model=with_layers(OneDNN)),
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
    HAND: "The operations of fit, without its notes and checks; most lines that follow change one thing of this loop.",
    "flat parameters": "All parameters in one tensor, and all gradients in another.",
    "layers as convolutions": "Of images of one pixel, which PyTorch gives to another library, oneDNN; still float32.",
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
