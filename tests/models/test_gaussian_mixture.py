"""The Gaussian mixture of chapter 2, against torch, scikit-learn, the literature, and its own identities."""

import os
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from aevb_utils import data
from aevb_utils.models import GaussianMixture, gaussian_mixture, mixture_em
from aevb_utils.models.gaussian_mixture import MixtureModel, random_start
from aevb_utils.models.mixture_em import (
    FitError,
    MixtureParameters,
    constrain,
    e_step,
    elbo,
    log_joint,
    m_step,
    run_em,
    sufficient_statistics,
)

TYPES = ["full", "tied", "diagonal"]


def drawn(seed: int = 0, n: int = 200, D: int = 3, C: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    means = 3 * torch.randn(C, D, generator=generator, dtype=torch.float64)
    factors = torch.randn(C, D, D, generator=generator, dtype=torch.float64)
    covariances = factors @ factors.mT + 0.3 * torch.eye(D, dtype=torch.float64)
    weights = torch.rand(C, generator=generator, dtype=torch.float64) + 0.3
    return data.simulated_mixture(
        n, weights=weights / weights.sum(), means=means, covariances=covariances, seed=seed
    ).train


def random_q(n: int, C: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(n, C, generator=generator, dtype=torch.float64)).softmax(dim=1)


# ---- The densities


@pytest.mark.parametrize("D", [1, 2, 5])
def test_log_joint_is_torchs(D: int) -> None:
    x = drawn(D=D)
    theta = random_start(x, 3, seed=1)
    expected = theta.weights.log() + MultivariateNormal(theta.means, theta.covariances).log_prob(x[:, None, :])
    torch.testing.assert_close(log_joint(x, theta), expected, rtol=0, atol=1e-11)


def test_evidence_is_torchs_and_responsibilities_sum_to_one() -> None:
    x = drawn()
    model = GaussianMixture(3).fit(x)
    torchs = MixtureSameFamily(model.p_z(), model.p_x_given_z(torch.arange(3)))
    torch.testing.assert_close(model.log_evidence(x), torchs.log_prob(x), rtol=0, atol=1e-11)
    torch.testing.assert_close(model.responsibilities(x).sum(dim=1), torch.ones(200, dtype=torch.float64))
    assert isinstance(model.posterior(x), Categorical)
    q = Categorical(random_q(200, 3))
    kl = torch.distributions.kl_divergence(q, model.posterior(x))
    torch.testing.assert_close(model.elbo(x, q.probs) + kl, model.log_evidence(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(model.posterior(x).probs, model.responsibilities(x))
    torch.testing.assert_close(model.log_prob(x), model.log_evidence(x), rtol=0, atol=0)


def test_a_component_of_weight_zero_adds_nothing_to_the_elbo() -> None:
    x = drawn()
    theta = random_start(x, 2, seed=1)
    model = MixtureModel(theta._replace(weights=torch.tensor([1.0, 0.0], dtype=torch.float64)))
    on_the_first = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(len(x), 2)
    torch.testing.assert_close(model.elbo(x, on_the_first), model.log_evidence(x), rtol=0, atol=1e-11)
    assert (model.elbo(x, random_q(len(x), 2)) == -torch.inf).all()


@pytest.mark.parametrize("seed", range(5))
def test_evidence_is_elbo_plus_kl_for_any_q(seed: int) -> None:
    x = drawn(seed)
    theta = random_start(x, 4, seed)
    q, (r, log_evidence) = random_q(200, 4, seed), e_step(x, theta)
    kl = (q * (q.log() - r.log())).sum(dim=1)
    assert (elbo(x, q, theta) + kl - log_evidence).abs().max() < 1e-12
    assert (elbo(x, q, theta) <= log_evidence + 1e-12).all()
    assert (elbo(x, r, theta) - log_evidence).abs().max() < 1e-12


def test_elbo_allows_hard_q() -> None:
    x = drawn()
    q = torch.nn.functional.one_hot(torch.arange(200) % 3, 3).double()
    model = MixtureModel(random_start(x, 3, seed=0))
    assert model.elbo(x, q).shape == (200,)
    assert model.elbo(x, q).isfinite().all()


# ---- EM


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("seed", range(3))
def test_em_never_goes_down(kind: str, seed: int) -> None:
    x = drawn(seed)
    run = run_em(x, random_start(x, 3, seed), covariance_type=kind)
    gains = torch.tensor(run.log_likelihoods, dtype=torch.float64).diff()
    assert len(gains) > 3
    assert gains.min() > -1e-9
    assert run.converged


@pytest.mark.parametrize("kind", TYPES)
def test_m_step_beats_every_neighbor(kind: str) -> None:
    x = drawn()
    q = random_q(200, 3)
    best = m_step(sufficient_statistics(x, q), covariance_type=kind)
    bound = elbo(x, q, best).sum()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        noise = 0.02 * torch.randn(200, 3, generator=generator, dtype=torch.float64)
        other = m_step(sufficient_statistics(x, (q * (1 + noise)).clamp_min(0)), covariance_type=kind)
        assert elbo(x, q, other).sum() < bound


def test_covariance_types_have_their_shape() -> None:
    x = drawn()
    full, tied, diagonal = (GaussianMixture(3, covariance_type=kind).fit(x).parameters.covariances for kind in TYPES)
    assert (full[0] - full[1]).abs().max() > 0.1
    torch.testing.assert_close(tied[0], tied[2], rtol=0, atol=0)
    assert (diagonal - torch.diag_embed(diagonal.diagonal(dim1=1, dim2=2))).abs().max() == 0
    with pytest.raises(ValueError, match=r'"full", "tied" or "diagonal", not .spherical'):
        GaussianMixture(3, covariance_type="spherical").fit(x)


def sklearns(x: torch.Tensor, start: MixtureParameters, kind: str) -> SklearnMixture:
    precisions = np.linalg.inv(start.covariances.numpy())
    shaped = {"full": precisions, "tied": precisions[0], "diagonal": np.diagonal(precisions, axis1=1, axis2=2)}
    model = SklearnMixture(len(start.weights), covariance_type=kind.replace("diagonal", "diag"), reg_covar=1e-6)
    model.set_params(tol=1e-12, max_iter=20_000, init_params="random_from_data", precisions_init=shaped[kind])
    return model.set_params(weights_init=start.weights.numpy(), means_init=start.means.numpy()).fit(x.numpy())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ["iris", "drawn 0", "drawn 1"])
def test_ends_where_scikit_learn_ends(name: str, kind: str) -> None:
    x = data.iris().train if name == "iris" else drawn(int(name[-1]))
    start = random_start(x, 3, seed=3)
    start = start._replace(covariances=constrain(start.covariances, start.weights, kind).clone())
    ours = GaussianMixture(3, covariance_type=kind, tolerance=1e-12).fit(x, start)
    theirs = sklearns(x, start, kind)
    assert torch.linalg.eigvalsh(ours.parameters.covariances).min() > 1e-4, "no component may collapse here"
    assert abs(ours.log_evidence(x).mean().item() - theirs.score(x.numpy())) < 1e-6
    np.testing.assert_allclose(ours.parameters.means, theirs.means_, atol=1e-4)


def test_old_faithfuls_stand_in_ends_where_scikit_learn_ends() -> None:
    x = data.old_faithful().train
    start = random_start(x, 2, seed=0)
    ours = GaussianMixture(2, tolerance=1e-12).fit(x, start)
    assert abs(ours.log_evidence(x).mean().item() - sklearns(x, start, "full").score(x.numpy())) < 1e-6


@pytest.mark.skipif(not os.environ.get("AEVB_DATA_DIR"), reason="needs the real file, in AEVB_DATA_DIR")
def test_old_faithful_reaches_the_literatures_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aevb_utils.budget.FAST", False)
    x = data.old_faithful().train
    model = GaussianMixture(2).fit(x)
    assert abs(model.log_evidence(x).sum().item() + 1130.264) < 1e-3
    order = model.parameters.means[:, 0].argsort()
    np.testing.assert_allclose(model.parameters.weights[order], [0.35587, 0.64413], atol=1e-4)
    np.testing.assert_allclose(model.parameters.means[order], [[2.0364, 54.4785], [4.2897, 79.9681]], atol=1e-3)
    for kind, expected in [("tied", -1140.187), ("diagonal", -1147.806)]:
        other = GaussianMixture(2, covariance_type=kind).fit(x)
        assert abs(other.log_evidence(x).sum().item() - expected) < 2e-3


def test_one_component_is_the_sample_mean_and_covariance() -> None:
    x = data.iris().train
    model = GaussianMixture(1, covariance_floor=0.0).fit(x)
    torch.testing.assert_close(model.parameters.means[0], x.mean(dim=0))
    torch.testing.assert_close(model.parameters.covariances[0], torch.cov(x.T, correction=0))
    assert abs(model.log_evidence(x).sum().item() + 379.915) < 1e-3


# ---- Blocks, numbers, seeds


def test_the_size_of_the_blocks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x = drawn()
    start = random_start(x, 3, seed=0)
    at_once = run_em(x, start, max_iterations=10, tolerance=0.0)
    monkeypatch.setattr(mixture_em, "BLOCK_ROWS", 7)  # seven rows a block, and four left over
    monkeypatch.setattr(mixture_em, "BLOCK_NUMBERS", 9 * 7)
    in_blocks = run_em(x, start, max_iterations=10, tolerance=0.0)
    assert [len(block) for block in mixture_em.blocks(x, 9)] == [7] * 28 + [4]
    np.testing.assert_allclose(in_blocks.log_likelihoods, at_once.log_likelihoods, rtol=1e-12)
    model = MixtureModel(at_once.parameters)
    torch.testing.assert_close(model.log_evidence(x), e_step(x, at_once.parameters)[1], rtol=0, atol=1e-12)


def test_data_far_from_the_origin_lose_no_digits() -> None:
    x = drawn()
    near, far = (run_em(x + shift, random_start(x + shift, 3, seed=0), tolerance=1e-10) for shift in [0.0, 1e6])
    assert abs(near.log_likelihoods[-1] - far.log_likelihoods[-1]) < 1e-5
    torch.testing.assert_close(far.parameters.covariances, near.parameters.covariances, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_other_number_types_are_computed_in_double(dtype: torch.dtype) -> None:
    x = (10 * drawn()).round().to(dtype)
    model = GaussianMixture(2).fit(x)
    assert model.parameters.means.dtype == torch.float64
    torch.testing.assert_close(model.log_evidence(x), model.log_evidence(x.double()), rtol=0, atol=0)
    assert GaussianMixture(2).fit(x.numpy()).best_run.log_likelihoods == model.best_run.log_likelihoods


def test_one_datum_at_a_time() -> None:
    x = drawn()
    model = GaussianMixture(3).fit(x)
    torch.testing.assert_close(model.log_evidence(x[:1]), model.log_evidence(x)[:1])
    assert model.responsibilities(x[:1]).shape == (1, 3)


def test_same_seed_same_fit_and_other_random_state_untouched() -> None:
    x = drawn()
    state = torch.get_rng_state()
    first, second = (GaussianMixture(3, n_starts=3, seed=5).fit(x) for _ in range(2))
    assert [run.log_likelihoods for run in first.runs] == [run.log_likelihoods for run in second.runs]
    assert torch.equal(state, torch.get_rng_state())
    other = GaussianMixture(3, n_starts=3, seed=50).fit(x)
    assert other.runs[0].log_likelihoods[0] != first.runs[0].log_likelihoods[0]


def test_restarts_keep_the_best() -> None:
    x = data.iris().train
    model = GaussianMixture(2, n_starts=8).fit(x)
    ends = [run.log_likelihoods[-1] for run in model.runs]
    assert len(ends) == 8
    assert max(ends) - min(ends) > 10, "the starts should not all end alike, or the test shows nothing"
    assert model.log_evidence(x).sum().item() == pytest.approx(max(ends), abs=1e-8)


def test_samples_have_the_models_moments() -> None:
    torch.manual_seed(0)
    model = GaussianMixture(3).fit(drawn())
    x, z = model.sample(20_000)
    assert x.shape == (20_000, 3)
    torch.testing.assert_close(z.bincount() / 20_000.0, model.parameters.weights.float(), rtol=0, atol=0.015)
    for c in range(3):
        torch.testing.assert_close(x[z == c].mean(dim=0), model.parameters.means[c], rtol=0, atol=0.15)
        torch.testing.assert_close(x[z == c].T.cov(), model.parameters.covariances[c], rtol=0.1, atol=0.2)


# ---- What goes wrong, said in a sentence


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.zeros(5), r"shape \(N, D\).*not \(5,\).*x\[:, None\]"),
        (torch.zeros(5, 2, 1), r"shape \(N, D\).*not \(5, 2, 1\)"),
        (
            torch.tensor([[0.0, 1.0], [2.0, float("nan")], [1.0, 1.0]]),
            r"finite, but row 1, column 1 holds nan: drop or fill",
        ),
        (torch.tensor([[0.0, 1.0], [float("inf"), 2.0], [1.0, 1.0]]), r"finite, but row 1, column 0 holds inf"),
        (torch.zeros(2, 2), r"At least 3 data are needed, one a component, not 2"),
        (torch.zeros(5, 0), r"shape \(N, D\).*not \(5, 0\)"),
        (torch.zeros(0, 2), r"same number of rows, at least one, but they have \[0\]"),
    ],
)
def test_bad_data_get_a_sentence(x: torch.Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        GaussianMixture(3).fit(x)


def test_other_columns_than_in_the_fit_get_a_sentence() -> None:
    model = GaussianMixture(2).fit(drawn())
    for ask in [model.log_evidence, model.responsibilities, model.posterior, lambda x: model.elbo(x, random_q(5, 2))]:
        with pytest.raises(ValueError, match=r"Expected 3 columns.*not 2"):
            ask(torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"Expected 3 columns.*not 2"):
        GaussianMixture(2).fit(torch.zeros(5, 2), start=model.parameters)


def test_an_unfitted_model_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"no parameters yet: call fit\(x\) first"):
        GaussianMixture(2).log_evidence(drawn())


def test_a_component_that_dies_is_named() -> None:
    x = drawn()
    start = random_start(x, 2, seed=0)
    far = start._replace(means=torch.stack([x[0], x[0] + 1e4]))
    with pytest.raises(FitError, match=r"Component 1 has died: it holds .* of 200 data"):
        GaussianMixture(2).fit(x, far)


def test_a_component_that_collapses_is_named_and_the_floor_prevents_it() -> None:
    x = torch.cat([drawn(), torch.full((20, 3), 30.0, dtype=torch.float64)])
    start = random_start(x, 2, seed=0)
    at_the_copies = start._replace(means=torch.stack([x[0], x[-1]]))
    with pytest.raises(FitError, match=r"Component 1 has collapsed.*covariance_floor"):
        GaussianMixture(2, covariance_floor=0.0).fit(x, at_the_copies)
    model = GaussianMixture(2, covariance_floor=1e-6)
    with pytest.warns(ConvergenceWarning, match="width of component 1 is set by covariance_floor"):
        model.fit(x, at_the_copies)
    assert torch.linalg.eigvalsh(model.parameters.covariances).min() == pytest.approx(1e-6, rel=1e-3)


def test_a_failed_start_is_noted_and_the_others_are_kept() -> None:
    x = torch.cat([drawn(), torch.full((20, 3), 30.0, dtype=torch.float64)])
    model = GaussianMixture(3, covariance_floor=0.0, n_starts=20)
    with pytest.warns(ConvergenceWarning, match=r"of 20 starts failed, the last so: Component \d has collapsed"):
        model.fit(x)
    assert model.failures, "some starts collapse onto the copies, or the test shows nothing"
    assert len(model.failures) + len(model.runs) == 20
    assert all(isinstance(failure, FitError) for failure in model.failures)
    with pytest.raises(FitError, match="has collapsed"):
        GaussianMixture(2, covariance_floor=0.0).fit(torch.ones(10, 2))


def test_a_fit_that_did_not_converge_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    x = drawn()
    short = lambda *args, **kwargs: run_em(*args, **kwargs, max_iterations=2)  # noqa: E731
    monkeypatch.setattr(gaussian_mixture, "run_em", short)
    with pytest.warns(UserWarning, match="EM stopped before it converged"):
        model = GaussianMixture(3, tolerance=0.0).fit(x)
    assert not model.best_run.converged
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(1).fit(x)


def test_a_constant_column_needs_only_the_floor() -> None:
    x = torch.cat([drawn(), torch.full((200, 1), 7.0, dtype=torch.float64)], dim=1)
    mixture, without = (GaussianMixture(2, n_starts=2).fit(data) for data in (x, x[:, :3]))
    torch.testing.assert_close(mixture.responsibilities(x), without.responsibilities(x[:, :3]), rtol=0, atol=1e-5)
    with pytest.raises(FitError, match="drop columns that are constant"):
        GaussianMixture(2, n_starts=2, covariance_floor=0.0).fit(x)


@pytest.mark.parametrize(
    ("model", "start", "sentence"),
    [
        (GaussianMixture(0), None, "must be a whole number of at least 1, not 0"),
        (GaussianMixture(2, n_starts=0), None, "must be a whole number of at least 1, not 0"),
        (GaussianMixture(3), 2, "Expected a start with 3 components, not 2"),
    ],
)
def test_bad_arguments_get_a_sentence(model: GaussianMixture, start: int | None, sentence: str) -> None:
    x = drawn()
    with pytest.raises(ValueError, match=sentence):
        model.fit(x, random_start(x, start, seed=0) if start else None)


def test_probabilities_that_are_none_get_a_sentence() -> None:
    x = drawn()
    model = MixtureModel(random_start(x, 3, seed=0))
    with pytest.raises(ValueError, match=r"Expected q of shape \(N, C\) = \(200, 3\), not \(200, 2\)"):
        model.elbo(x, random_q(200, 2))
    for q in [2 * random_q(200, 3), random_q(200, 3).log()]:
        with pytest.raises(ValueError, match="no entry negative, each row with sum one"):
            model.elbo(x, q)


def test_a_start_in_single_precision_and_data_with_gradients_are_fine() -> None:
    x = drawn()
    start = random_start(x, 3, seed=0)
    single = MixtureParameters(*(part.float() for part in start))
    run = run_em(x.clone().requires_grad_(), single, max_iterations=5, tolerance=0.0)
    assert run.parameters.means.dtype == torch.float64
    assert not run.parameters.means.requires_grad
    expected = run_em(x, start, max_iterations=5, tolerance=0.0)
    np.testing.assert_allclose(run.log_likelihoods, expected.log_likelihoods, rtol=1e-4)
