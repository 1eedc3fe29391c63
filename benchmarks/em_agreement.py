"""EM on 500 drawn problems, ours against scikit-learn's, from the same start and with the same floor, in one run.

``python benchmarks/em_agreement.py`` (a few minutes). The problems are such as people have: units from 1e-6 to 1e6,
origins up to 1e9 standard deviations away, from as many data as components to ten thousand, repeated rows, far
outliers. For each problem the mean log-likelihood of both answers is computed by the same function. Ours is *worse*
where it is lower by more than 1e-6 nats a datum; it *says something* where it warns or raises. None may be worse
without a word.
"""

import argparse
import collections
import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture
from torch import Tensor

from aevb_utils.models.gaussian_mixture import GaussianMixture, MixtureModel, random_start
from aevb_utils.models.mixture_em import FitError, MixtureParameters

if TYPE_CHECKING:
    from _rows import Row

LIMIT = 1e-6  # nats a datum


def problem(seed: int) -> tuple[Tensor, int]:
    """Data, (N, D), and a number of components; the same for the same seed."""
    draw = np.random.default_rng(seed)
    C, D = int(draw.integers(1, 6)), int(draw.integers(1, 6))
    N = int(np.exp(draw.uniform(np.log(max(C, 2)), np.log(10_000))))
    centers = draw.normal(size=(C, D)) * 10 ** draw.uniform(-0.5, 1.5)
    factors = draw.normal(size=(C, D, D)) / np.sqrt(D)
    z = draw.integers(C, size=N)
    x = centers[z] + np.einsum("nde,ne->nd", factors[z], draw.normal(size=(N, D)))
    if draw.random() < 0.3:  # repeated rows
        x[draw.integers(N, size=N // 3)] = x[draw.integers(N)]
    if draw.random() < 0.2:  # a far outlier
        x[draw.integers(N)] *= 10 ** draw.uniform(1, 6)
    spread = x.std(axis=0) + 1e-300
    x = x + spread * 10 ** draw.uniform(0, 9) * draw.choice([-1, 0, 1], size=D)
    return torch.from_numpy(x * 10 ** draw.uniform(-6, 6)), C


def theirs(x: Tensor, start: MixtureParameters, floor: float) -> MixtureParameters | None:
    """scikit-learn's parameters, None where it raises."""
    C = len(start.weights)
    model = SklearnMixture(C, tol=1e-8, max_iter=2000, reg_covar=floor, init_params="random_from_data", random_state=0)
    model.set_params(weights_init=start.weights.numpy(), means_init=start.means.numpy())
    model.set_params(precisions_init=np.linalg.inv(start.covariances.numpy()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(x.numpy())
        except ValueError:
            return None
    return MixtureParameters(*map(torch.from_numpy, (model.weights_, model.means_, model.covariances_)))


def ours(x: Tensor, start: MixtureParameters, floor: float) -> tuple[MixtureParameters | None, list[str]]:
    """Our parameters, None where we raise, and the sentences that were said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fitted = GaussianMixture(len(start.weights), covariance_floor=floor).fit(x, start)
        except (FitError, ValueError) as error:
            return None, [str(error)]
    return fitted.parameters, [str(warning.message) for warning in said]


def score(x: Tensor, parameters: MixtureParameters | None) -> float:
    """Nats a datum; −∞ where there are no parameters, or none that can be evaluated."""
    try:
        return -np.inf if parameters is None else MixtureModel(parameters).log_evidence(x).mean().item()
    except (FitError, ValueError):
        return -np.inf


def compare(seed: int) -> tuple[str, float, list[str]]:
    """How a problem ends, by how much ours is better (nats a datum), and what we said."""
    x, C = problem(seed)
    floor = 1e-6 * x.var(dim=0, correction=0).mean().item()
    start = random_start(x, C, seed, floor)
    parameters, said = ours(x, start, floor)
    mine, other = score(x, parameters), score(x, theirs(x, start, floor))
    difference = 0.0 if mine == other else mine - other
    name = "better" if difference > LIMIT else "worse" if difference < -LIMIT else "the same"
    return f"{name}, {'said something' if said else 'silent'}", difference, said


def rows(rounds: int = 500) -> list["Row"]:
    """The rows of the book's table, from so many problems."""
    from _rows import Row  # a test imports this module without it

    warnings.simplefilter("ignore", ConvergenceWarning)
    counts = collections.Counter(compare(seed)[0] for seed in range(rounds))
    said = {
        "the same": f"Both answers are within {LIMIT:.0e} nats a datum.",
        "better": "This book's answer is better.",
        "worse, said something": "It is worse, and this book has warned or raised.",
        "worse, silent": "It is worse without a word; wanted: 0.",
    }
    title = f"EM on {rounds} drawn problems, against scikit-learn: "
    of = {name: sum(count for end, count in counts.items() if end.startswith(name)) for name in said}
    return [Row(title + name, means, [of[name]], "problems") for name, means in said.items()]


def main() -> int:
    """Print how many problems end how; return 1 if one of ours is worse without a word."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--verbose", action="store_true", help="print each problem that is worse, and what was said")
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(arguments.problems):
        end, difference, said = compare(seed)
        counts[end] += 1
        if arguments.verbose and end.startswith("worse"):
            print(seed, end, f"{difference:.3g}", said)
    for end, count in sorted(counts.items()):
        print(f"{count:4d}  {end}")
    return int(bool(counts["worse, silent"]))


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    sys.exit(main())
