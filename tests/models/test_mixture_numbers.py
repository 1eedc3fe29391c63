"""The mixture's numbers do not depend on unit or origin, and what is doubtful about a fit is said."""

import copy
import pickle
import re
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture

from aevb_utils import data
from aevb_utils.models import GaussianMixture, gaussian_mixture
from aevb_utils.models.gaussian_mixture import MixtureModel, random_start
from aevb_utils.models.mixture_em import FitError, MixtureParameters, m_step, run_em, sufficient_statistics
from benchmarks.em_agreement import compare


def two_clusters(distance: float, n: int = 50, seed: int = 0) -> torch.Tensor:
    """Two clusters of n data of width 1, in one dimension."""
    x = torch.randn(2 * n, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x + distance * (torch.arange(2 * n) >= n).double()[:, None]


def doubts_of(mixture: GaussianMixture, x: torch.Tensor, start: MixtureParameters | None = None) -> str:
    """All that a fit warns of."""
    with pytest.warns(ConvergenceWarning) as said:
        mixture.fit(x, start)
    return " ".join(str(warning.message) for warning in said)


def on_a_grid(x: torch.Tensor) -> torch.Tensor:
    """Multiples of 2⁻²⁰, which survive a shift by 2³⁰ without rounding."""
    return (x * 2**20).round() / 2**20


# ---- Unit and origin


@settings(max_examples=15)
@given(scale=st.floats(-6, 6), shift=st.integers(-(2**30), 2**30), kind=st.sampled_from(["full", "tied", "diagonal"]))
def test_units_and_origin_do_not_change_the_responsibilities(scale: float, shift: int, kind: str) -> None:
    x = on_a_grid(data.iris().train[:, 2:] + 0.05 * torch.randn(150, 2, generator=torch.Generator().manual_seed(0)))
    moved = (x + shift) * 10**scale
    near, far = (GaussianMixture(2, kind, n_starts=2).fit(part) for part in (x, moved))
    difference = (near.responsibilities(x) - far.responsibilities(moved)).abs().max()
    assert difference < 1e-6
    per_datum = (near.best_run.log_likelihood - far.best_run.log_likelihood) / len(x)
    assert per_datum == pytest.approx(2 * scale * np.log(10), abs=1e-6)


@pytest.mark.parametrize("distance", [1e6, 1e7, 1e8, 1e9])
def test_components_far_apart_keep_their_widths(distance: float) -> None:
    x = two_clusters(distance)
    start = random_start(x[[0, 99]], 2, seed=0)
    parameters = GaussianMixture(2, covariance_floor=0.0).fit(x, start).parameters
    expected = torch.stack([part.var(correction=0) for part in x.split(50)])
    order = parameters.means[:, 0].argsort()
    torch.testing.assert_close(
        parameters.covariances[order, 0, 0], expected, rtol=1e-7 * max(1, distance / 1e8), atol=0
    )


def test_sums_about_any_origin_near_or_far_give_one_m_step() -> None:
    x = two_clusters(5.0) + 1e8
    q = torch.rand(100, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    q = q / q.sum(dim=1, keepdim=True)
    own, other = (m_step(sufficient_statistics(x, q, origins)) for origins in (None, torch.full((2, 1), 1e8 + 3)))
    weights = q / q.sum(dim=0)
    expected = ((x - 1e8) ** 2 * weights).sum(dim=0) - ((x - 1e8) * weights).sum(dim=0) ** 2
    for theta in (own, other):
        torch.testing.assert_close(theta.covariances[:, 0, 0], expected, rtol=1e-9, atol=0)


def test_the_evidence_far_from_the_origin_is_that_of_the_fit() -> None:
    x = torch.randn(60, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1e10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the steps of float64 are coarse there, as the warning says
        mixture = GaussianMixture(1).fit(x)
    assert mixture.log_evidence(x).sum().item() == pytest.approx(mixture.best_run.log_likelihood, abs=1e-9)


def test_numbers_coarser_than_the_spread_are_called_so() -> None:
    x = torch.randn(60, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"Column 0 has a standard deviation of .*float64 has steps of .*Subtract"):
        GaussianMixture(1).fit(x + 1e13)
    with pytest.warns(UserWarning, match=r"Column 0 has a standard deviation of .*float32 has steps of .*Subtract"):
        GaussianMixture(1).fit((x + 1e5).float())


def test_small_units_find_the_same_groups_as_large_ones() -> None:
    x = data.iris().train
    sizes = [GaussianMixture(3).fit(unit * x).responsibilities(unit * x).argmax(dim=1).bincount() for unit in (1, 1e-3)]
    assert sizes[0].tolist() == sizes[1].tolist() == [45, 50, 55] or sorted(sizes[0].tolist()) == [45, 50, 55]
    generator = torch.Generator().manual_seed(0)
    returns = torch.randn(5000, 1, generator=generator, dtype=torch.float64) * 1e-4
    returns[:1000] *= 5
    fitted = GaussianMixture(2, n_starts=3).fit(returns).parameters
    order = fitted.weights.argsort()
    assert fitted.weights[order].tolist() == pytest.approx([0.2, 0.8], abs=0.04)
    assert fitted.covariances[order, 0, 0].sqrt().tolist() == pytest.approx([5e-4, 1e-4], rel=0.08)


def test_an_overflow_gets_a_sentence() -> None:
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(ValueError, match="squares of column 1 overflow: use larger units"):
        GaussianMixture(2).fit(x * torch.tensor([1.0, 1e200], dtype=torch.float64))


# ---- Never worse than scikit-learn without a word


@settings(max_examples=15)
@given(seed=st.integers(1000, 10**9))
def test_no_problem_ends_lower_than_scikit_learns_without_a_word(seed: int) -> None:
    end, difference, _ = compare(seed)
    assert end != "worse, silent", (seed, difference)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["full", "tied", "diagonal"]))
def test_without_a_floor_the_evidence_never_falls(seed: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(60, 1, generator=generator, dtype=torch.float64)
    x = torch.cat([z, z + 0.1 * torch.randn(60, 1, generator=generator, dtype=torch.float64)], dim=1)
    start = random_start(x, 1 + seed % 3, seed, covariance_type=kind)
    try:
        climbs = run_em(x, start, covariance_type=kind, max_iterations=30, tolerance=0.0).log_likelihoods
    except FitError:
        return
    assert all(after >= before - 1e-9 * len(x) for before, after in pairwise(climbs))


# ---- What is doubtful is said


def test_twins_are_called_twins() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]], dtype=torch.float64).repeat(100, 1)
    assert re.search(r"Components \d and \d are twins", doubts_of(GaussianMixture(5), x))
    equal = random_start(data.iris().train.double(), 2, seed=0)
    equal = equal._replace(means=equal.means.mean(dim=0).expand(2, 4))
    assert "Components 0 and 1 are twins" in doubts_of(GaussianMixture(2), data.iris().train, equal)


def test_a_saddle_is_called_one() -> None:
    points = torch.tensor([[-3.0, -1], [-3, 1], [-4, 0], [-2, 0]], dtype=torch.float64)
    x = torch.cat([points, -points]).repeat(20, 1)
    above = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)  # left and right are mirror images of it
    start = random_start(x, 2, seed=0)._replace(means=above)
    assert "saddle" in doubts_of(GaussianMixture(2), x, start)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2).fit(x, start._replace(means=above.flip(1)))


def test_a_fall_is_no_convergence_and_the_best_is_kept() -> None:
    x = data.iris().train
    best = run_em(x, random_start(x, 3, seed=2)).parameters
    run = run_em(x, best, covariance_floor=0.05)  # a floor moves EM away from the maximum
    assert run.fall == run.log_likelihoods[0] - run.log_likelihoods[-1] > 1
    assert run.log_likelihood == run.log_likelihoods[0]
    assert all(torch.equal(kept, given) for kept, given in zip(run.parameters, best, strict=True))
    assert re.search(r"fell by .* nats at the end", doubts_of(GaussianMixture(3, covariance_floor=0.05), x, best))


def test_an_explicit_floor_that_drowns_the_data_is_said() -> None:
    x = data.iris().train * 1e-4
    said = doubts_of(GaussianMixture(3, covariance_floor=1e-6, n_starts=2), x)
    assert "set by covariance_floor, not by the data" in said


# ---- Containers and arguments


def test_arrays_of_any_kind_are_read_and_masked_ones_refused() -> None:
    x = data.iris().train.numpy()
    expected = GaussianMixture(2, n_starts=1).fit(torch.from_numpy(x)).best_run.log_likelihood
    for same in (x, x.astype(">f8"), x.tolist(), np.ma.masked_array(x, mask=False), [*map(tuple, x)]):
        assert GaussianMixture(2, n_starts=1).fit(same).best_run.log_likelihood == expected
    with pytest.raises(ValueError, match="1 masked entries"):
        GaussianMixture(1).fit(np.ma.masked_array([[1.0], [2.0], [999.0]], mask=[[0], [0], [1]]))
    with pytest.raises(ValueError, match="no table of numbers"):
        GaussianMixture(1).fit([["a"], ["b"]])
    with pytest.raises(ValueError, match="sparse or complex"):
        GaussianMixture(1).fit(torch.ones(3, 1, dtype=torch.complex64))
    counts = np.random.default_rng(0).integers(0, 250, size=(60, 2)).astype(np.uint8)
    assert GaussianMixture(1).fit(counts).parameters.covariances[0].numpy() == pytest.approx(
        np.cov(counts.T.astype(float), bias=True), rel=1e-5
    )


def test_the_evidence_has_a_gradient_in_the_data() -> None:
    theta = MixtureParameters(torch.ones(1), torch.tensor([[1.0, 2.0]]), torch.eye(2)[None])
    x = torch.tensor([[3.0, 0.0]], dtype=torch.float64, requires_grad=True)
    MixtureModel(theta).log_evidence(x).sum().backward()
    assert x.grad.tolist() == [[-2.0, 2.0]]  # −(x − μ)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"covariances": torch.ones(2, 2)}, r"covariances \(C, D, D\), not \(2,\), \(2, 2\), \(2, 2\)"),
        ({"covariances": torch.eye(2).triu().add(torch.tensor([[0, 0.5], [0, 0]])).expand(2, 2, 2)}, "symmetric"),
        ({"weights": torch.tensor([1.0, 1.0])}, "their sum is 2"),
        ({"weights": torch.tensor([1.5, -0.5])}, "smallest is -0.5"),
        ({"means": torch.tensor([[0.0, float("nan")], [1.0, 1.0]])}, "finite"),
    ],
)
def test_parameters_that_are_none_get_a_sentence(change: dict[str, torch.Tensor], sentence: str) -> None:
    good = MixtureParameters(torch.full((2,), 0.5), torch.eye(2), torch.eye(2).expand(2, 2, 2))
    MixtureModel(good)
    bad = good._replace(**change)
    for use in (MixtureModel, lambda theta: GaussianMixture(2).fit(torch.randn(9, 2), theta)):
        with pytest.raises(ValueError, match=sentence):
            use(bad)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"covariance_floor": -1.0}, "covariance_floor must be at least 0 and finite, not -1.0"),
        ({"covariance_floor": float("nan")}, "covariance_floor must be at least 0 and finite, not nan"),
        ({"tolerance": float("nan")}, "tolerance must be at least 0, not nan"),
        ({"tolerance": -1.0}, "tolerance must be at least 0, not -1.0"),
        ({"n_components": 2.5}, "a whole number of at least 1"),
        ({"n_starts": "3"}, "a whole number of at least 1"),
    ],
)
def test_options_that_are_none_get_a_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        GaussianMixture(**{"n_components": 2, **options}).fit(data.iris().train)


def test_one_point_has_no_mixture_unless_a_floor_is_given() -> None:
    with pytest.raises(ValueError, match="All data are one point"):
        GaussianMixture(1).fit(torch.ones(5, 2))
    assert GaussianMixture(1, covariance_floor=0.1).fit(torch.ones(5, 2)).parameters.covariances[0, 0, 0] == 0.1


# ---- Nothing is lost


def test_an_interrupt_keeps_the_runs_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    x, calls = data.iris().train, iter(range(100))

    def stopped(*args: object, **options: object) -> object:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return run_em(*args, **options)

    monkeypatch.setattr(gaussian_mixture, "run_em", stopped)
    mixture = GaussianMixture(2)
    with pytest.raises(KeyboardInterrupt) as stop:
        mixture.fit(x)
    assert len(mixture.runs) == 3
    assert mixture.log_evidence(x).isfinite().all()
    assert "3 runs of EM had ended; they are kept in runs." in stop.value.__notes__


def test_a_fitted_mixture_can_be_pickled_and_copied() -> None:
    x = data.iris().train
    mixture = GaussianMixture(2, n_starts=2).fit(x)
    for twin in (pickle.loads(pickle.dumps(mixture)), copy.deepcopy(mixture)):
        assert torch.equal(twin.responsibilities(x), mixture.responsibilities(x))


def test_many_dimensions_agree_with_scikit_learn() -> None:
    x = torch.randn(400, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:200] += 2
    start = random_start(x, 2, seed=0)
    ours = run_em(x, start, covariance_floor=1e-3, max_iterations=5, tolerance=0.0)
    theirs = SklearnMixture(2, reg_covar=1e-3, max_iter=5, tol=0.0, init_params="random_from_data")
    theirs.set_params(weights_init=start.weights.numpy(), means_init=start.means.numpy())
    theirs.set_params(precisions_init=np.linalg.inv(start.covariances.numpy()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # five rounds are what we ask for
        theirs.fit(x.numpy())
    np.testing.assert_allclose(ours.parameters.means.numpy(), theirs.means_, rtol=1e-7, atol=1e-9)
