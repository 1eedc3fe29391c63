"""Time and memory of EM on a million data, ours against scikit-learn's, from the same start, in one run.

``python benchmarks/em_speed.py`` (a few minutes; memory needs Linux; on an idle machine). Both run ten iterations
in float64 with full covariances and no k-means. Time: the best of three runs each, taken in turns, since machines are
noisy. Memory: how far a program's peak rises above what it held with the data loaded, in a process of its own.
"""

import argparse
import ctypes
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture

from aevb_utils import data
from aevb_utils.models.gaussian_mixture import MixtureModel, random_start
from aevb_utils.models.mixture_em import MixtureParameters, run_em

D, C, ITERATIONS, FLOOR = 8, 8, 10, 1e-6


def simulated(n: int) -> torch.Tensor:
    """Draw n data of eight overlapping Gaussians in eight dimensions, shape (n, 8)."""
    means = 2.0 * torch.randn(C, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covariances = torch.eye(D, dtype=torch.float64).expand(C, D, D)
    return data.simulated_mixture(n, weights=[1 / C] * C, means=means, covariances=covariances, seed=1).train


def ours(x: torch.Tensor, start: MixtureParameters) -> torch.Tensor:
    """Run our EM; return log p(x_i) of the first thousand data, in nats."""
    run = run_em(x, start, covariance_floor=FLOOR, tolerance=0.0, max_iterations=ITERATIONS)
    return MixtureModel(run.parameters).log_evidence(x[:1000])


def theirs(x: torch.Tensor, start: MixtureParameters) -> torch.Tensor:
    """Run scikit-learn's EM; return log p(x_i) of the first thousand data, in nats."""
    model = SklearnMixture(C, tol=0.0, max_iter=ITERATIONS, reg_covar=FLOOR, init_params="random_from_data")
    model.set_params(weights_init=start.weights.numpy(), means_init=start.means.numpy())
    model.set_params(precisions_init=np.linalg.inv(start.covariances.numpy()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations are what we ask for
        model.fit(x.numpy())
    return torch.from_numpy(model.score_samples(x[:1000].numpy()))


PROGRAMS: dict[str, Callable[[torch.Tensor, MixtureParameters], torch.Tensor]] = {"ours": ours, "sklearn": theirs}


def status(field: str) -> float:
    """A memory figure of this process, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def extra_memory(program: str, n: int) -> float:
    """How many MB a program's peak rises above what is held before it, in this process."""
    warm = simulated(1000)
    PROGRAMS[program](warm, random_start(warm, C, seed=0))  # thread pools and libraries are not what we measure
    x = simulated(n)
    start = random_start(x, C, seed=0)
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # give back what making the data left free
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
    held = status("VmRSS")
    PROGRAMS[program](x, start)
    return status("VmHWM") - held


def main() -> None:
    """Print times, their ratio, the largest disagreement, and the extra memory of both programs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000, help="number of data")
    parser.add_argument("--memory", choices=PROGRAMS, help="only print the extra memory of one program, in MB")
    arguments = parser.parse_args()
    if arguments.memory:
        print(extra_memory(arguments.memory, arguments.n))
        return

    x = simulated(arguments.n)
    start = random_start(x, C, seed=0)
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    answers = {}
    for _ in range(3):
        for name, program in PROGRAMS.items():
            started = time.perf_counter()
            answers[name] = program(x, start)
            seconds[name].append(time.perf_counter() - started)
    best = {name: min(times) for name, times in seconds.items()}
    print(f"N = {len(x):,}, D = {D}, C = {C}, {ITERATIONS} iterations, {torch.get_num_threads()} threads")
    print(
        f"ours {best['ours']:.2f} s, scikit-learn {best['sklearn']:.2f} s: {best['sklearn'] / best['ours']:.1f} times"
    )
    print(f"largest difference in log p(x_i): {(answers['ours'] - answers['sklearn']).abs().max():.1e} nats")
    for name, n in [("ours", arguments.n), ("ours", 4 * arguments.n), ("sklearn", arguments.n)]:
        command = [sys.executable, __file__, "--memory", name, "--n", str(n)]
        megabytes = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"extra memory, {name}, N = {n:,}: {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
