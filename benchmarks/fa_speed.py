"""Factor analysis: time of EM to the same optimum, ours against scikit-learn's, in one run.

``python benchmarks/fa_speed.py`` (a minute, on an idle machine; one thread). Data of 1,000 rows and 20 columns are
drawn from a model with three factors. Both begin where they do by themselves, and run until a round gains less than
1e-6 nats a datum, in float64; the mean log-likelihoods of both answers are compared, computed by the same function.
"""

import argparse
import statistics
import warnings

import torch
from _rows import Row, clock, in_turns, ratios
from sklearn.decomposition import FactorAnalysis as SklearnFactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor

from aevb_utils.models import FactorAnalysis
from aevb_utils.models.factor_analysis import run_em

N, D, L, TOLERANCE = 1_000, 20, 3, 1e-6


def draw() -> Tensor:
    """Data of the model, with mean 0: (N, D)."""
    generator = torch.Generator().manual_seed(0)
    z, e, W = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((N, L), (N, D), (L, D)))
    x = z @ W + 0.7 * e
    return x - x.mean(dim=0)


def measure(rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of both, in turns, and the mean log-likelihoods that they end with, in nats."""
    x, ends = draw(), {}

    def ours() -> float:
        torch.manual_seed(0)
        model = FactorAnalysis(D, L).double()
        began = clock()
        run_em(model, x, tolerance=TOLERANCE)
        took = clock() - began
        ends["ours"] = model.log_evidence(x).mean().item()
        return took

    def theirs() -> float:
        model = SklearnFactorAnalysis(L, tol=N * TOLERANCE, max_iter=10_000, svd_method="lapack")
        began = clock()
        model.fit(x.numpy())
        took = clock() - began
        ends["theirs"] = float(model.score(x.numpy()))
        return took

    torch.set_num_threads(1)  # the matrices are small
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("error", ConvergenceWarning)
        ours(), theirs()  # libraries, pools
        return in_turns({"ours": ours, "theirs": theirs}, rounds), ends


def rows(rounds: int = 9) -> list[Row]:
    """The rows of the book's table."""
    seconds, ends = measure(rounds)
    apart = abs(ends["ours"] - ends["theirs"])
    means = (
        f"Time of EM, N = {N:,}, D = {D}, L = {L}, until a round gains 1e-6 nats a datum; the answers lie {apart:.0e} "
        "nats a datum apart. scikit-learn finds the best W for each ψ by an SVD, and needs fewer rounds than EM."
    )
    return [Row("Factor analysis: scikit-learn / this book", means, ratios(seconds["theirs"], seconds["ours"]))]


def main() -> None:
    """Print both times, their ratio, and where they end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="how often both take their turn")
    seconds, ends = measure(parser.parse_args().rounds)
    for name, times in seconds.items():
        print(f"{name}: {1000 * statistics.median(times):.1f} ms, {ends[name]:.7f} nats a datum")
    print(f"theirs / ours {statistics.median(ratios(seconds['theirs'], seconds['ours'])):.2f}")


if __name__ == "__main__":
    main()
