"""EM on data in blocks: the optimum of EM on all data at once, from any source, in one process and in two."""

import copy
import importlib.util
import re

import numpy as np
import pytest
import several_processes
import torch
from sklearn.exceptions import ConvergenceWarning
from systems import needs_fork

from aevb_utils import data
from aevb_utils.models import FactorAnalysis, GaussianMixture
from aevb_utils.models.factor_analysis import run_em as run_factor_analysis
from aevb_utils.models.mixture_em import MixtureParameters
from aevb_utils.streams import Stream, StreamedMixture, blocks, moments, run_em

needs_pyarrow = pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="There is no pyarrow here.")


def drawn(n=700):
    """Three clusters in two dimensions, away from zero."""
    means = torch.tensor([[0.0, 0.0], [4.0, 1.0], [0.0, 5.0]]) + 50
    return data.simulated_mixture(
        n, weights=[0.5, 0.3, 0.2], means=means, covariances=torch.eye(2).expand(3, 2, 2), seed=1
    ).train.double()


X = drawn()


def as_file(folder):
    np.save(folder / "x.npy", X.numpy())
    return folder / "x.npy"


def as_parquet(folder):
    import pyarrow
    from pyarrow.parquet import write_table

    write_table(pyarrow.table({"a": X[:, 0].numpy(), "b": X[:, 1].numpy()}), folder / "x.parquet", row_group_size=97)
    return folder / "x.parquet"


SOURCES = {
    "a tensor": lambda folder: X,
    "a mapped file": lambda folder: np.load(as_file(folder), mmap_mode="r"),
    "the path of a file": lambda folder: str(as_file(folder)),
    "a list": lambda folder: [*X.split(64)],
    "a function": lambda folder: lambda: (block.numpy() for block in X.split(101)),
    "a function with empty blocks": lambda folder: lambda: [X[:0], X[:300], X[300:300], X[300:]],
    "parquet": as_parquet,
}
sources = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_pyarrow if name == "parquet" else ()) for name in SOURCES]
)


def assert_same(one: MixtureParameters, other: MixtureParameters) -> None:
    for mine, its in zip(one, other, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-9)


@sources
def test_a_mixture_is_that_of_all_data_at_once(name, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 200)
    whole = GaussianMixture(3, n_starts=3).fit(X)
    streamed = StreamedMixture(3, n_starts=3).fit(SOURCES[name](tmp_path))
    assert_same(streamed.parameters, whole.parameters)
    assert [len(run.log_likelihoods) for run in streamed.runs] == [len(run.log_likelihoods) for run in whole.runs]
    torch.testing.assert_close(streamed.best_run.log_likelihood, whole.best_run.log_likelihood, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["diagonal", "tied"])
def test_covariances_of_each_kind(kind):
    options = {"covariance_type": kind, "n_starts": 2, "covariance_floor": 0.01}
    assert_same(StreamedMixture(3, **options).fit([X]).parameters, GaussianMixture(3, **options).fit(X).parameters)


def test_a_given_start_and_far_components(monkeypatch):
    """Components that lie 10⁴ deviations apart: the sums are taken from their means."""
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 100)
    x = torch.cat([X[:200], X[200:500] + 1e4])
    model = GaussianMixture(2, covariance_floor=1e-3)
    start = MixtureParameters(torch.full((2,), 0.5), x[[0, -1]], 9 * torch.eye(2).expand(2, 2, 2))
    assert_same(StreamedMixture(2, covariance_floor=1e-3).fit(x, start).parameters, model.fit(x, start).parameters)


def test_moments_keep_their_digits():
    x = X + 1e6
    found = moments(Stream([*x.split(50)]))
    centered = x - x.mean(dim=0)
    torch.testing.assert_close(found.mean, x.mean(dim=0), rtol=1e-14, atol=0)
    torch.testing.assert_close(found.root.T @ found.root, centered.T @ centered, rtol=1e-9, atol=0)
    assert found.rows == len(x)
    assert found.stand_in().mean(dim=0).abs().max() < 1e-14
    torch.testing.assert_close(found.stand_in().T.cov(correction=0), x.T.cov(correction=0), rtol=1e-9, atol=0)


@pytest.mark.parametrize("noise", ["diagonal", "isotropic"])
def test_factor_analysis_on_a_stream(noise):
    draw = torch.Generator().manual_seed(0)
    z, e = (torch.randn(400, n, generator=draw, dtype=torch.float64) for n in (2, 5))
    x = z @ torch.randn(2, 5, generator=draw, dtype=torch.float64) + 0.5 * e
    torch.manual_seed(0)
    one = FactorAnalysis(5, 2, noise=noise).double()
    other = copy.deepcopy(one)
    evidences = run_factor_analysis(one, x - x.mean(dim=0))
    again = run_factor_analysis(other, moments(Stream([*x.split(33)])).stand_in())
    torch.testing.assert_close(again[-1], evidences[-1], rtol=1e-12, atol=0)
    torch.testing.assert_close(other.W @ other.W.T, one.W @ one.W.T, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(other.psi, one.psi, rtol=1e-7, atol=1e-7)


@needs_fork
@pytest.mark.parametrize("size", [2, 3])
def test_processes_find_the_same(size, tmp_path):
    """Blocks of uneven sizes, of which the third process has one; a mapped file; and the moments."""
    path = as_file(tmp_path)

    def run(rank):
        fitted = StreamedMixture(3, n_starts=2).fit(lambda: [X[:333], X[333:350], X[350:400], X[400:]])
        return *fitted.parameters, moments(Stream(path)).stand_in()

    whole = GaussianMixture(3, n_starts=2).fit(X).parameters
    for found in several_processes.results(run, size, tmp_path / "run"):
        assert not isinstance(found, str), found
        *parameters, stand_in = found
        assert_same(MixtureParameters(*parameters), whole)
        torch.testing.assert_close(stand_in.T.cov(correction=0), X.T.cov(correction=0), rtol=1e-9, atol=0)


def test_memory_does_not_grow_with_the_data():
    """A stream holds one block at a time: the one before is gone when the next is drawn."""
    alive, most = 0, 0

    class Block:
        def __init__(self):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            self.numbers = torch.randn(50, 2, generator=torch.Generator().manual_seed(alive), dtype=torch.float64)

        def __len__(self):
            return 50

        def __array__(self, dtype=None, copy=None):
            return self.numbers.numpy()

        def __del__(self):
            nonlocal alive
            alive -= 1

    start = MixtureParameters(torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None])
    run_em(Stream(lambda: (Block() for _ in range(40))), start, max_iterations=2)
    assert most <= 3


REFUSED = {
    "once": (lambda: iter([X]), "a function that returns the blocks anew, not a list_iterator"),
    "a number": (lambda: 3, "not a int"),
    "no file": (lambda: "none.npy", "There is no file none.npy to read"),
    "another file": (lambda: __file__, "is neither a .npy nor a .parquet file"),
    "vectors": (lambda: [X[:, 0]], "Expected blocks of shape (rows, D), a row a datum, but block 0 is (700,)"),
    "other columns": (
        lambda: [X, X[:, :1]],
        "Expected blocks of shape (rows, 2), a row a datum, but block 1 is (700, 1)",
    ),
    "holes": (lambda: [X, torch.cat([X, X[:1] * torch.nan])], "of block 1 holds nan"),
    "nothing": (lambda: [], "There are no data: the source gave no block with a row"),
    "too few": (lambda: [X[:2]], "At least 3 data are needed, one a component, not 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_stream_is_refused(name):
    make, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(sentence)):
        StreamedMixture(3).fit(make())


def test_doubts_are_told():
    start = GaussianMixture(1, n_starts=1).fit(X).parameters
    double = MixtureParameters(torch.full((2,), 0.5), *(part.expand(2, *part.shape[1:]) for part in start[1:]))
    with pytest.warns(ConvergenceWarning, match="are twins"):
        StreamedMixture(2).fit([X], double)
