"""Time of a training step of a VAE: ``fit``, Pyro's and NumPyro's SVI, other loops, and bare products, in one run.

``python benchmarks/fit_speed.py`` (a few minutes, on an idle machine). Pyro and NumPyro are not among the book's
requirements; ``pip install pyro-ppl numpyro`` adds them. The model is 784-500-500-20 with ReLU, Bernoulli pixels,
float32, batches of 100, and every program has the same layers, the same data and Adam(fused=True), unless its name
says otherwise. All take turns, many times; a time is the median over the turns, a ratio the median of the ratios
within a turn, so that what slows the machine for a while slows both. On one thread times are the processor's.

The bare products are those that no program can avoid: for each layer input times weights, and on the way back the
gradients of weights and of input (the first layer's input is data and has none); their results are thrown away.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Sequence
from functools import partial

import torch
from _rows import Row, clock, load, ratios
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from aevb_utils.training import fit

try:
    import pyro
    from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
except ImportError:
    pyro = None
if torch.get_num_threads() == 1:  # JAX is told before it is imported
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
try:
    import jax
    import numpyro
    from numpyro import distributions as numpyro_distributions
    from numpyro.infer import SVI as NumpyroSVI
    from numpyro.infer import Trace_ELBO as NumpyroTraceELBO
    from numpyro.infer import TraceMeanField_ELBO as NumpyroMeanFieldELBO
except ImportError:
    numpyro = None

MISSING = [f"{name} is not installed." for name, package in (("Pyro", pyro), ("NumPyro", numpyro)) if package is None]

N, D, H, L, BATCH = 6_000, 784, 500, 20, 100
Pass = Callable[[], None]
"""Goes once through the data, or does as many steps as that takes."""
Program = Callable[[Tensor, int], Pass]
"""Sets up for data x, shape (N, D), and a batch size."""


def widths(d: int) -> list[tuple[int, int]]:
    """Inputs and outputs of each of the six layers."""
    return [(d, H), (H, H), (H, 2 * L), (L, H), (H, H), (H, d)]


class VAE(nn.Module):
    """The model as a reader would write it, with the terms of its ELBO as plain tensor operations."""

    def __init__(self, d: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        layers = [nn.Linear(*pair) for pair in widths(d)]
        self.encoder = nn.Sequential(layers[0], activation(), layers[1], activation(), layers[2])
        self.decoder = nn.Sequential(layers[3], activation(), layers[4], activation(), layers[5])

    def q(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The approximate posterior: mean, log-scale and scale, each (batch, L)."""
        mean, log_scale = self.encoder(x).chunk(2, dim=-1)
        return mean, log_scale, log_scale.exp()

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """The two terms of each datum's ELBO, (batch,), from one sample."""
        mean, log_scale, scale = self.q(x)
        z = mean + scale * torch.randn_like(mean)
        losses = binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none")
        minus_kl = 0.5 * (1 + 2 * log_scale - mean.square() - scale.square()).sum(dim=1)
        return {"reconstruction": -losses.sum(dim=1), "minus_kl": minus_kl}

    def inference_parameters(self) -> list[nn.Parameter]:
        """φ."""
        return list(self.encoder.parameters())

    def generative_parameters(self) -> list[nn.Parameter]:
        """θ."""
        return list(self.decoder.parameters())


class VAEOfDistributions(VAE):
    """The same terms from torch.distributions, which check their arguments."""

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """The two terms of each datum's ELBO, (batch,), from one sample."""
        mean, _, scale = self.q(x)
        q = Independent(Normal(mean, scale), 1)
        p_z = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
        p_x = Independent(Bernoulli(logits=self.decoder(q.rsample())), 1)
        return {"reconstruction": p_x.log_prob(x), "minus_kl": -kl_divergence(q, p_z)}


def bare_products(x: Tensor, batch_size: int, *, all_inputs: bool = False) -> Pass:
    """The matrix products of a step, with ``all_inputs`` the one for the gradient of the data too."""
    pairs = widths(x.shape[1])
    inputs = [torch.randn(batch_size, a) for a, _ in pairs]
    weights = [torch.randn(b, a) for a, b in pairs]  # as nn.Linear keeps them
    gradients = [torch.randn(batch_size, b) for _, b in pairs]

    def go() -> None:
        for _ in range(len(x) // batch_size):
            for u, W in zip(inputs, weights, strict=True):
                u @ W.T
            for layer in reversed(range(len(pairs))):
                gradients[layer].T @ inputs[layer]
                if layer > 0 or all_inputs:
                    gradients[layer] @ weights[layer]

    return go


def by_fit(
    x: Tensor, batch_size: int, *, model: Callable[[int], VAE] = VAE, bfloat16: bool = False, **options: bool
) -> Pass:
    """The book's loop."""
    vae = model(x.shape[1])
    optimizer = Adam(vae.parameters(), **({"fused": True} | options))

    def go() -> None:
        fit(vae, x, optimizer=optimizer, epochs=1, batch_size=batch_size, bfloat16=bfloat16)

    return go


def step(vae: VAE, optimizer: Adam, x: Tensor) -> None:
    """One step of a loop written by hand."""
    terms = vae.elbo_terms(x)
    loss = -(terms["reconstruction"].mean() + terms["minus_kl"].mean())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def by_hand(x: Tensor, batch_size: int) -> Pass:
    """The same tensor operations without anything else: no History, no checks, no progress bar."""
    vae = VAE(x.shape[1])
    optimizer = Adam(vae.parameters(), fused=True)

    def go() -> None:
        for rows in torch.randperm(len(x)).split(batch_size):
            step(vae, optimizer, x[rows])

    return go


def by_data_loader(x: Tensor, batch_size: int) -> Pass:
    """The loop by hand, fed by a plain DataLoader."""
    vae = VAE(x.shape[1])
    optimizer = Adam(vae.parameters(), fused=True)
    loader = DataLoader(TensorDataset(x), batch_size=batch_size, shuffle=True)

    def go() -> None:
        for (batch,) in loader:
            step(vae, optimizer, batch)

    return go


def by_pyro(
    x: Tensor, batch_size: int, *, analytic_kl: bool = False, validate: bool = True, fused: bool = True
) -> Pass:
    """Pyro's stochastic variational inference, with the KL sampled or analytic, with or without its checks."""
    pyro.clear_param_store()
    vae = VAE(x.shape[1])

    def model(batch: Tensor) -> None:
        pyro.module("decoder", vae.decoder)
        with pyro.plate("data", len(batch)):
            prior = pyro.distributions.Normal(batch.new_zeros(len(batch), L), batch.new_ones(len(batch), L))
            z = pyro.sample("z", prior.to_event(1))
            pyro.sample("x", pyro.distributions.Bernoulli(logits=vae.decoder(z)).to_event(1), obs=batch)

    def guide(batch: Tensor) -> None:
        pyro.module("encoder", vae.encoder)
        with pyro.plate("data", len(batch)):
            mean, _, scale = vae.q(batch)
            pyro.sample("z", pyro.distributions.Normal(mean, scale).to_event(1))

    elbo = TraceMeanField_ELBO() if analytic_kl else Trace_ELBO()
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-3, "fused": fused}), elbo)

    def go() -> None:
        with pyro.validation_enabled(validate):
            for rows in torch.randperm(len(x)).split(batch_size):
                svi.step(x[rows])

    return go


def by_numpyro(x: Tensor, batch_size: int, *, analytic_kl: bool = False) -> Pass:
    """NumPyro's stochastic variational inference, as it is fastest: a compiled loop over all minibatches of a pass.

    The layers are plain products, with PyTorch's starts. JAX takes as many threads as there are cores,
    or one where PyTorch has one.
    """
    vae, data = VAE(x.shape[1]), jax.numpy.asarray(x.numpy())
    starts = {
        part: [
            {name: jax.numpy.asarray(p.detach().numpy()) for name, p in layer.named_parameters()}
            for layer in network
            if isinstance(layer, nn.Linear)
        ]
        for part, network in (("encoder", vae.encoder), ("decoder", vae.decoder))
    }

    def network(part: str, u: "jax.Array") -> "jax.Array":
        for k, layer in enumerate(starts[part]):
            W, b = (numpyro.param(f"{part}.{k}.{name}", layer[name]) for name in ("weight", "bias"))
            u = u @ W.T + b
            u = u if k == len(starts[part]) - 1 else jax.nn.relu(u)
        return u

    def model(batch: "jax.Array") -> None:
        with numpyro.plate("data", len(batch)):
            prior = numpyro_distributions.Normal(jax.numpy.zeros((len(batch), L)), 1.0).to_event(1)
            logits = network("decoder", numpyro.sample("z", prior))
            numpyro.sample("x", numpyro_distributions.Bernoulli(logits=logits).to_event(1), obs=batch)

    def guide(batch: "jax.Array") -> None:
        mean, log_scale = jax.numpy.split(network("encoder", batch), 2, axis=-1)
        with numpyro.plate("data", len(batch)):
            numpyro.sample("z", numpyro_distributions.Normal(mean, jax.numpy.exp(log_scale)).to_event(1))

    elbo = NumpyroMeanFieldELBO() if analytic_kl else NumpyroTraceELBO()
    svi = NumpyroSVI(model, guide, numpyro.optim.Adam(1e-3), elbo)
    kept = [svi.init(jax.random.PRNGKey(0), data[:batch_size])]

    @jax.jit
    def epoch(state: object, batches: "jax.Array") -> tuple[object, "jax.Array"]:
        return jax.lax.scan(lambda state, batch: svi.update(state, data[batch]), state, batches)

    def go() -> None:
        batches = torch.randperm(len(x))[: len(x) // batch_size * batch_size].view(-1, batch_size)
        kept[0], losses = epoch(kept[0], jax.numpy.asarray(batches.numpy()))
        losses.block_until_ready()

    return go


PROGRAMS: dict[str, Program] = {
    "bare matrix products": bare_products,
    "bare, data's gradient too": partial(bare_products, all_inputs=True),
    "fit": by_fit,
    "loop by hand": by_hand,
    "loop with a DataLoader": by_data_loader,
}
PYRO: dict[str, Program] = {
    "Pyro, Adam as in its examples": partial(by_pyro, fused=False),
    "Pyro": by_pyro,
    "Pyro, analytic KL": partial(by_pyro, analytic_kl=True),
    "Pyro, analytic KL, no checks": partial(by_pyro, analytic_kl=True, validate=False),
}
NUMPYRO: dict[str, Program] = {
    "NumPyro, compiled passes": by_numpyro,
    "NumPyro, analytic KL": partial(by_numpyro, analytic_kl=True),
}
VARIANTS: dict[str, Program] = {
    "fit, Adam(foreach=True)": partial(by_fit, fused=False, foreach=True),
    "fit, Adam()": partial(by_fit, fused=None),
    "fit, tanh layers": partial(by_fit, model=partial(VAE, activation=nn.Tanh)),
    "fit, torch.distributions": partial(by_fit, model=VAEOfDistributions),
    "fit, bfloat16": partial(by_fit, bfloat16=True),
}


def pixels(n: int, d: int) -> Tensor:
    """Random binary pixels, shape (n, d)."""
    return (torch.rand(n, d, generator=torch.Generator().manual_seed(0)) < 0.2).float()


def take_turns(passes: dict[str, Pass], steps: dict[str, int], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step of each program in each round, the order turned around every time."""
    times: dict[str, list[float]] = {name: [] for name in passes}
    for go in passes.values():
        go()  # the first pass sets up threads and buffers
    for turn in range(rounds):
        for name in list(passes)[:: 1 if turn % 2 else -1]:
            started = clock()
            passes[name]()
            times[name].append(1000 * (clock() - started) / steps[name])
    return times


def ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """The median of the ratios within a turn."""
    return statistics.median(ratios(first, second))


def measure(programs: dict[str, Program], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step of programs, in turns."""
    x = pixels(N, D)
    passes = {name: program(x, BATCH) for name, program in programs.items()}
    return take_turns(passes, dict.fromkeys(passes, N // BATCH), rounds)


def rows(rounds: int = 21) -> list[Row]:
    """The rows of the book's table."""
    peers = (PYRO if pyro else {}) | (NUMPYRO if numpyro else {})
    times = measure(PROGRAMS | peers, rounds)
    fit_ = times["fit"]
    about = f"A step of a VAE, {D}-{H}-{H}-{L}, batches of {BATCH}, float32, the same layers, data and Adam"
    made = [
        Row(
            "VAE: fit / bare matrix products",
            f"{about}; no program that makes them by PyTorch in float32 can do with less.",
            ratios(fit_, times["bare matrix products"]),
        ),
        Row(
            "VAE: fit / a loop by hand",
            "What fit adds to the same tensor operations.",
            ratios(fit_, times["loop by hand"]),
        ),
        Row(
            "VAE: a PyTorch tutorial's loop / fit",
            "The same operations, fed by a DataLoader. Above 1, fit is faster.",
            ratios(times["loop with a DataLoader"], fit_),
        ),
    ]
    said = dict.fromkeys(peers, "Its SVI on the same model; above 1, fit is faster.")
    said |= {"NumPyro, compiled passes": "Its SVI on JAX, all minibatches of a pass in one compiled loop."}
    return made + [Row(f"VAE: {name} / fit", said[name], ratios(times[name], fit_)) for name in peers]


def compare(rounds: int) -> None:
    """Print the time a step of every program, and the ratios that matter."""
    times = measure(PROGRAMS | (PYRO if pyro else {}) | (NUMPYRO if numpyro else {}) | VARIANTS, rounds)
    bare, ours = times["bare matrix products"], times["fit"]
    print(f"{'program':30s} {'ms a step':>9s} {'quartiles':>15s} {'/ bare':>7s} {'/ fit':>7s}")
    for name, each in times.items():
        low, median, high = statistics.quantiles(each, n=4)
        quartiles = f"{low:.2f} to {high:.2f}"
        print(f"{name:30s} {median:9.2f} {quartiles:>15s} {ratio(each, bare):7.2f} {ratio(each, ours):7.2f}")
    print(f"\nfit's step is {ratio(ours, bare):.2f} times the bare matrix products (wanted: at most 1.5)")
    print(
        f"fit takes {100 * (ratio(ours, times['loop by hand']) - 1):+.1f} % over the loop by hand (wanted: under 5 %)"
    )
    if pyro:
        fastest = min(PYRO, key=lambda name: statistics.median(times[name]))
        example = times["Pyro, Adam as in its examples"]
        print(
            f"Pyro's step, with the same Adam, is {ratio(times['Pyro'], ours):.2f} times fit's (wanted: at least 1.4);"
        )
        print(f"    Adam() in both {ratio(example, times['fit, Adam()']):.2f} times; Pyro as in its examples,", end=" ")
        print(
            f"not fused, {ratio(example, ours):.2f} times; its fastest, {fastest!r}, {ratio(times[fastest], ours):.2f}"
        )
    else:
        print("Pyro is not installed: pip install pyro-ppl, and run this again to compare with it.")
    for name in NUMPYRO if numpyro else ():
        print(f"{name}: {ratio(times[name], ours):.2f} times fit's step")


def growth(rounds: int) -> None:
    """Print the time a step of fit and of the bare products for other numbers of data, pixels and rows."""
    print(
        f"\n{'N':>7s} {'D':>5s} {'batch':>5s} {'fit, ms a step':>15s} {'bare':>7s} {'/ bare':>7s} {'a 100 rows':>11s}"
    )
    sizes = [(n, D, BATCH) for n in (1_000, 6_000, 60_000)]
    sizes += [(N, d, BATCH) for d in (196, 784, 3_136)]
    sizes += [(N, D, batch) for batch in (25, 50, 100, 200, 400)]
    for n, d, batch in sizes:
        x = pixels(n, d)
        passes = {"fit": by_fit(x, batch), "bare": bare_products(x, batch)}
        times = take_turns(passes, dict.fromkeys(passes, n // batch), 3 if n > 10_000 else rounds)
        ours, bare = (statistics.median(times[name]) for name in passes)
        last = f"{ratio(times['fit'], times['bare']):7.2f} {100 * ours / batch:11.2f}"
        print(f"{n:7,d} {d:5,d} {batch:5d} {ours:15.2f} {bare:7.2f} {last}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="how often all programs take their turn")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load before the start {load()}")
    print(f"N = {N:,}, {D}-{H}-{H}-{L}, batches of {BATCH}, float32, {arguments.rounds} rounds of {N // BATCH} steps\n")
    compare(arguments.rounds)
    growth(arguments.rounds)


if __name__ == "__main__":
    main()
