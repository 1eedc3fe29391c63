"""Time and memory of EM on many rows and on many columns, ours against scikit-learn's, from the same start, in one run.

``python benchmarks/em_speed.py`` (a few minutes; memory needs Linux; on an idle machine). Both run in float64 with
full covariances and no k-means. Time: the best of three runs each, taken in turns, since machines are noisy. Memory,
on many rows: how far a program's peak rises above what it held with the data loaded, in a process of its own.
"""

import argparse
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from _memory import MISSING, extra_memory
from _rows import Row, clock, in_turns, ratios
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture

from aevb_utils import data
from aevb_utils.models.gaussian_mixture import MixtureModel, random_start
from aevb_utils.models.mixture_em import MixtureParameters, run_em

FLOOR = 1e-6


class Problem(NamedTuple):
    """How many data, of how many dimensions, for how many components, and how many iterations of EM."""

    n: int
    dimensions: int
    components: int
    iterations: int

    def draw(self) -> torch.Tensor:
        """Draw data of Gaussians with covariance I, whose means lie some four deviations apart: (n, dimensions)."""
        shape = (self.components, self.dimensions)
        means = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        means *= 3 / self.dimensions**0.5
        covariances = torch.eye(self.dimensions, dtype=torch.float64).expand(*shape, self.dimensions)
        weights = [1 / self.components] * self.components
        return data.simulated_mixture(self.n, weights=weights, means=means, covariances=covariances, seed=1).train


ROWS = Problem(n=1_000_000, dimensions=8, components=8, iterations=10)
COLUMNS = Problem(n=2_000, dimensions=784, components=2, iterations=3)


def ours(x: torch.Tensor, start: MixtureParameters, iterations: int) -> torch.Tensor:
    """Run our EM; return log p(x_i) of the first thousand data, in nats."""
    run = run_em(x, start, covariance_floor=FLOOR, tolerance=0.0, max_iterations=iterations)
    return MixtureModel(run.parameters).log_evidence(x[:1000])


def theirs(x: torch.Tensor, start: MixtureParameters, iterations: int) -> torch.Tensor:
    """Run scikit-learn's EM; return log p(x_i) of the first thousand data, in nats."""
    model = SklearnMixture(len(start.weights), tol=0.0, max_iter=iterations, reg_covar=FLOOR)
    model.set_params(init_params="random_from_data", weights_init=start.weights.numpy())
    model.set_params(means_init=start.means.numpy(), precisions_init=np.linalg.inv(start.covariances.numpy()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many iterations are what we ask for
        model.fit(x.numpy())
    return torch.from_numpy(model.score_samples(x[:1000].numpy()))


PROGRAMS: dict[str, Callable[[torch.Tensor, MixtureParameters, int], torch.Tensor]] = {"ours": ours, "sklearn": theirs}


def memory(program: str, problem: Problem) -> float:
    """How many MB a program needs besides the data, in this process."""
    warm = problem._replace(n=1000).draw()
    PROGRAMS[program](warm, random_start(warm, problem.components, seed=0), problem.iterations)  # pools, libraries
    x = problem.draw()
    start = random_start(x, problem.components, seed=0)
    return extra_memory(lambda: PROGRAMS[program](x, start, problem.iterations))


def measure(problem: Problem, rounds: int) -> tuple[dict[str, list[float]], dict[str, torch.Tensor]]:
    """The seconds of both programs, in turns, and their answers."""
    x = problem.draw()
    start = random_start(x, problem.components, seed=0)
    answers: dict[str, torch.Tensor] = {}

    def seconds(name: str) -> float:
        started = clock()
        answers[name] = PROGRAMS[name](x, start, problem.iterations)
        return clock() - started

    return in_turns({name: partial(seconds, name) for name in PROGRAMS}, rounds), answers


def rows(rounds: int = 5) -> list[Row]:
    """The rows of the book's table."""
    made = []
    for problem in (ROWS, COLUMNS):
        seconds, answers = measure(problem, rounds)
        name = f"EM, N = {problem.n:,}, D = {problem.dimensions}, C = {problem.components}"
        apart = (answers["ours"] - answers["sklearn"]).abs().max().item()
        made.append(
            Row(
                f"{name}: scikit-learn / this book",
                f"Time of {problem.iterations} iterations from the same start, which end within {apart:.0e} nats a "
                "datum of each other; above 1 this book is faster.",
                ratios(seconds["sklearn"], seconds["ours"]),
            )
        )
    if MISSING:
        return made
    memories = {name: [memory_of(name, ROWS.n) for _ in range(2)] for name in PROGRAMS}
    for name, program in (("this book", "ours"), ("scikit-learn", "sklearn")):
        means = "Memory besides the data."
        made.append(Row(f"EM, N = {ROWS.n:,}: extra memory, {name}", means, memories[program], "MB"))
    return made


def memory_of(name: str, n: int) -> float:
    """The extra memory of a program for n rows, in MB, in a process of its own."""
    command = [sys.executable, __file__, "--memory", name, "--n", str(n)]
    return float(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)


def compare(problem: Problem) -> None:
    """Print both programs' times, their ratio, and the largest disagreement."""
    seconds, answers = measure(problem, 3)
    best = {name: min(times) for name, times in seconds.items()}
    N, D, C, iterations = problem
    print(f"N = {N:,}, D = {D}, C = {C}, {iterations} iterations, {torch.get_num_threads()} threads")
    print(
        f"ours {best['ours']:.2f} s, scikit-learn {best['sklearn']:.2f} s: {best['sklearn'] / best['ours']:.2f} times"
    )
    print(f"largest difference in log p(x_i): {(answers['ours'] - answers['sklearn']).abs().max():.1e} nats")


def main() -> None:
    """Print times, their ratios, the largest disagreements, and the extra memory of both programs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=ROWS.n, help="number of rows, where they are many")
    parser.add_argument("--memory", choices=PROGRAMS, help="only print the extra memory of one program, in MB")
    arguments = parser.parse_args()
    rows = ROWS._replace(n=arguments.n)
    if arguments.memory:
        print(memory(arguments.memory, rows))
        return

    for problem in (rows, COLUMNS):
        compare(problem)
    if MISSING:
        print(*MISSING)
        return
    for name, n in [("ours", rows.n), ("ours", 4 * rows.n), ("sklearn", rows.n)]:
        print(f"extra memory, {name}, N = {n:,}: {memory_of(name, n):.0f} MB")


if __name__ == "__main__":
    main()
