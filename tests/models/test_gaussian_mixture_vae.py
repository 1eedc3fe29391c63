"""The Gaussian-mixture VAE: its sum against enumeration, the mixture in it, the estimators, the start, clusters."""

import itertools
import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import one_sentence
from torch.distributions import Bernoulli, Categorical, Independent, Normal, kl_divergence

from aevb_utils import budget, data, networks
from aevb_utils.checking import contract
from aevb_utils.evaluation.bounds import mean_elbo_terms
from aevb_utils.evaluation.clustering import clustering_accuracy, contingency
from aevb_utils.models.clustered_start import JitteredVAE, cluster_codes, fit_prior, jitter, start_from, teach_classes
from aevb_utils.models.gaussian_mixture import GaussianMixture
from aevb_utils.models.gaussian_mixture_vae import (
    GaussianMixtureVAE,
    MixtureAutoEncoder,
    relaxed_terms,
    score_function_terms,
    summed_terms,
)
from aevb_utils.models.mixture_em import MixtureParameters, log_joint
from aevb_utils.models.vae import VAE
from aevb_utils.training import checkpoints, fit, pretrained

DATA_DIR = os.environ.get("AEVB_DATA_DIR")
FORMATS = {"float32": torch.float32, "float64": torch.float64}
OPTIONS = {
    "Bernoulli": {},
    "one hidden layer": {"hidden": (6,)},
    "tanh, dropout": {"layer": "tanh", "dropout": 0.5},
    "gated": {"layer": "gated"},
    "Gaussian": {"likelihood": networks.gaussian, "outputs": 10},
}


def build(kind: str = "Bernoulli", dtype: torch.dtype = torch.float32) -> tuple[GaussianMixtureVAE, torch.Tensor]:
    """A small model whose classes differ, and a few data."""
    torch.manual_seed(0)
    model = GaussianMixtureVAE(5, 2, 3, **{"hidden": (8, 7), "mean_scale": 1.0, **OPTIONS[kind]}).to(dtype)
    with torch.no_grad():
        model.encoder.shifts.mul_(50)
        model.raw_scales.add_(torch.linspace(-0.5, 0.5, 6).reshape(3, 2).to(dtype))
    x = torch.randn(6, 5) if kind == "Gaussian" else torch.bernoulli(torch.full((6, 5), 0.5))
    return model, x.to(dtype)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_the_contract(kind, dtype, check):
    check(*build(kind, FORMATS[dtype]))


# The exact sum


def test_the_sum_is_the_enumeration():
    model, x = build(dtype=torch.float64)
    torch.manual_seed(1)
    elbo = model.elbo(x, num_samples=3).detach()
    torch.manual_seed(1)
    eps = torch.randn(3, 6, 3, 2, dtype=torch.float64)
    prior = model.p_z_given_y()
    for i, datum in enumerate(x):
        a, total = model.encoder.features(datum), 0.0
        log_q = model.encoder.y_head(a.relu()).log_softmax(dim=0)
        for c in range(3):
            q = model.encoder.z_head((a + model.encoder.shifts[c]).relu())
            logits = model.decoder(q.mean + q.stddev * eps[:, i, c])
            value = Bernoulli(logits=logits).log_prob(datum).sum(dim=1).mean()
            kl = kl_divergence(Normal(q.mean, q.stddev), Normal(prior.mean[c], prior.stddev[c])).sum()
            total += log_q[c].exp() * (value - kl - math.log(3) - log_q[c])
        torch.testing.assert_close(elbo[i], total.detach(), rtol=1e-9, atol=0)


def test_log_p_y_is_kept():
    model, x = build()
    terms = model.elbo_terms(x)
    q_y = model.q_y_given_x(x)
    torch.testing.assert_close(terms["minus_kl_y"], q_y.entropy() - math.log(3))
    with torch.no_grad():
        model.encoder.y_head.layers[-1].weight.zero_()
        model.encoder.y_head.layers[-1].bias.copy_(torch.tensor([60.0, 0.0, 0.0]))
    torch.testing.assert_close(model.elbo_terms(x)["minus_kl_y"], torch.full((6,), -math.log(3)))


class ExactEncoder(torch.nn.Module):
    """The exact posterior where x is z with noise, from the tables of its model."""

    def __init__(self, model):
        super().__init__()
        self.model = [model]

    def features(self, x):
        return x

    def q_y(self, x):
        return Categorical(logits=log_joint(x, self.model[0].as_mixture()))

    def q_z(self, x, y):
        prior, noise = self.model[0].p_z_given_y(y), self.model[0].sigma ** 2
        precision = 1 / prior.variance + 1 / noise
        return Independent(Normal((prior.mean / prior.variance + x / noise) / precision, precision.rsqrt()), 1)


class MixtureAsVAE(MixtureAutoEncoder):
    """p(x | z) = 𝒩(z, σ² I): chapter 2's mixture with covariances diag s² + σ² I."""

    def __init__(self, D, C, sigma):
        super().__init__(D, C, mean_scale=1.0)
        self.D, self.sigma, self.encoder = D, sigma, ExactEncoder(self)

    def p_x_given_z(self, z):
        return Independent(Normal(z, torch.full_like(z, self.sigma)), 1)

    def as_mixture(self):
        return MixtureParameters(
            self.p_y().probs, self.means, torch.diag_embed(self.p_z_given_y().variance + self.sigma**2)
        )

    def log_evidence(self, x):
        return log_joint(x, self.as_mixture()).logsumexp(dim=1)

    def posterior(self, x):
        return self.q_z_given_x(x)


def mixture():
    torch.manual_seed(0)
    model = MixtureAsVAE(3, 4, 0.5).double()
    with torch.no_grad():
        model.raw_scales.add_(0.5 * torch.randn(4, 3))
        return model, model.sample(7)[0]


def test_it_is_chapter_2s_mixture():
    model, x = mixture()
    evidence = model.log_evidence(x)
    torch.testing.assert_close(model.log_weights(x, num_samples=9), evidence.expand(9, -1), rtol=0, atol=1e-10)
    elbo = torch.stack([model.elbo(x, num_samples=2000) for _ in range(20)])
    assert ((elbo.mean(dim=0) - evidence).abs() < 5 * elbo.std(dim=0) / math.sqrt(20)).all()


@pytest.mark.parametrize("check", contract.EXACT_CHECKS, ids=lambda check: check.__name__)
def test_the_mixture_keeps_the_exact_contract(check):
    check(*mixture())


# The other estimators


def gradient(model, terms):
    parts = torch.autograd.grad(sum(terms.values()).sum(), list(model.parameters()), materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def mean_and_error(draws):
    return draws.mean(dim=0), draws.std(dim=0) / math.sqrt(len(draws))


@pytest.mark.parametrize("baseline", [True, False])
def test_the_score_function_is_unbiased(baseline):
    model, x = build(dtype=torch.float64)
    exact, error = mean_and_error(torch.stack([gradient(model, summed_terms(model, x, 50)) for _ in range(100)]))
    draws = [gradient(model, score_function_terms(model, x, 50, baseline=baseline)) for _ in range(200)]
    mean, other = mean_and_error(torch.stack(draws))
    moves = error > 1e-12
    z = ((mean - exact) / (error**2 + other**2).sqrt())[moves]
    assert moves.any()
    assert z.abs().max() < 5
    assert z.square().mean() < 2


def test_the_score_term_is_zero_and_needs_two_samples():
    model, x = build()
    assert torch.equal(score_function_terms(model, x)["score"], torch.zeros(6))
    with pytest.raises(ValueError, match="at least 2 samples") as caught:
        score_function_terms(model, x, 1)
    one_sentence(caught.value)
    assert score_function_terms(model, x, 1, baseline=False)["reconstruction"].shape == (6,)


@pytest.mark.parametrize("kl", ["categorical", "relaxed"])
def test_the_relaxation_tends_to_the_sum_and_is_biased(kl):
    model, x = build(dtype=torch.float64)
    with torch.no_grad():
        model.encoder.y_head.layers[-1].weight.mul_(3)
        exact = torch.stack([model.elbo(x, num_samples=200).mean() for _ in range(30)])

        def draw(tau):
            return sum(relaxed_terms(model, x, 200, temperature=tau, kl=kl).values()).mean()

        draws = {tau: torch.stack([draw(tau) for _ in range(30)]) for tau in (0.01, 2.0)}
    bias = {tau: values.mean() - exact.mean() for tau, values in draws.items()}
    error = {tau: ((values.var() + exact.var()) / 30).sqrt() for tau, values in draws.items()}
    assert bias[2.0].abs() > 5 * error[2.0]
    if kl == "categorical":  # the relaxed KL does not depend on the temperature, and keeps another limit
        assert bias[0.01].abs() < 4 * error[0.01] + 0.01


def test_a_relaxed_class_mixes_the_tables():
    model, _ = build()
    y = torch.tensor([[0.2, 0.5, 0.3]])
    prior = model.p_z_given_y(y)
    torch.testing.assert_close(prior.mean, y @ model.means)
    torch.testing.assert_close(prior.stddev, y @ model.p_z_given_y().stddev)
    corner = model.p_z_given_y(torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(corner.mean, model.means[1])


# The model as a whole


def test_the_prior_is_a_mixture():
    model, _ = build(dtype=torch.float64)
    z = torch.randn(20, 2, dtype=torch.float64)
    parameters = MixtureParameters(
        torch.full((3,), 1 / 3, dtype=torch.float64), model.means, torch.diag_embed(model.p_z_given_y().variance)
    )
    torch.testing.assert_close(model.p_z().log_prob(z), log_joint(z, parameters).logsumexp(dim=1))


def test_wrong_data_are_refused():
    model, x = build()
    for wrong in (x[0], x[:, :4], x.double()):
        with pytest.raises(ValueError, match=r"Expected x of shape|x is torch\.float64") as caught:
            model.elbo(wrong)
        one_sentence(caught.value)


def test_terms_are_in_float32_where_products_are_in_bfloat16():
    model, x = build()
    with torch.autocast("cpu", torch.bfloat16):
        terms = [summed_terms(model, x), relaxed_terms(model, x, temperature=0.5), score_function_terms(model, x)]
    assert {term.dtype for each in terms for term in each.values()} == {torch.float32}


def test_it_saves_and_loads(tmp_path):
    model, x = build()
    checkpoints.save(tmp_path / "model.safetensors", model)
    other = GaussianMixtureVAE(5, 2, 3, hidden=(8, 7))
    checkpoints.load_weights(tmp_path / "model.safetensors", other)
    torch.manual_seed(3)
    expected = model.elbo(x)
    torch.manual_seed(3)
    assert torch.equal(expected, other.elbo(x))


# The start


def three_groups():
    """Three prototypes with flipped pixels, and their labels."""
    torch.manual_seed(0)
    centers = torch.bernoulli(torch.full((3, 20), 0.5))
    labels = torch.randint(3, (600,))
    x = centers[labels]
    return torch.where(torch.rand(x.shape) < 0.05, 1 - x, x), labels


def test_a_start_from_a_vae_has_its_networks_and_the_responsibilities():
    x, labels = three_groups()
    vae = VAE(20, 2, hidden=(16, 12))
    r = torch.nn.functional.one_hot(labels, 3).float()
    model = start_from(vae, x, r, hidden=(16, 12))
    q = vae.q_z_given_x(x)
    _, q_z = model.q_y_and_z(x)
    torch.testing.assert_close(q_z.mean, q.mean[:, None].expand(-1, 3, -1))
    torch.testing.assert_close(q_z.stddev, q.stddev[:, None].expand(-1, 3, -1))
    z = torch.randn(4, 2)
    torch.testing.assert_close(model.decoder(z), vae.decoder(z))
    assert clustering_accuracy(model.q_y_given_x(x).probs.argmax(dim=1), labels) > 0.9


def test_fit_prior_is_the_best_prior():
    _, labels = three_groups()
    model, q = (
        GaussianMixtureVAE(20, 2, 3, hidden=(8,)),
        Independent(Normal(torch.randn(600, 2), torch.rand(600, 2)), 1),
    )
    r = (3 * torch.nn.functional.one_hot(labels, 3) + torch.rand(600, 3)).softmax(dim=1)

    def cost():
        prior = model.p_z_given_y()
        each = kl_divergence(Independent(Normal(q.mean[:, None], q.stddev[:, None]), 1), prior)
        return (r * each).sum()

    fit_prior(model, q, r)
    gradients = torch.autograd.grad(cost(), [model.means, model.raw_scales])
    assert all(part.abs().max() < 1e-2 for part in gradients)
    best = cost().item()
    with torch.no_grad():
        model.raw_scales.add_(0.1)
    assert cost().item() > best


def test_teaching_changes_the_output_for_y_alone():
    x, labels = three_groups()
    model = GaussianMixtureVAE(20, 2, 3, hidden=(16,), dropout=0.2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    teach_classes(model, x, torch.nn.functional.one_hot(labels, 3).float(), steps=50)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"encoder.y_head.layers.0.weight", "encoder.y_head.layers.0.bias"}
    assert model.training


def test_jitter_moves_images_a_little():
    torch.manual_seed(0)
    x = torch.zeros(500, 144)
    x[:, 5 * 12 + 5] = x[:, 5 * 12 + 6] = x[:, 6 * 12 + 5] = x[:, 6 * 12 + 6] = 1.0  # four pixels in the middle
    moved = jitter(x)
    assert moved.shape == x.shape
    assert 0 <= moved.min() <= moved.max() <= 1 + 1e-6
    assert not torch.equal(moved[0], moved[1])
    torch.testing.assert_close(moved.sum(dim=1).mean(), torch.tensor(4.0), rtol=0.1, atol=0)  # ink
    where = torch.stack(torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")).reshape(2, 144)
    centers = moved @ where.T / moved.sum(dim=1, keepdim=True)
    assert (centers - 5.5).abs().max() < 1.5
    torch.testing.assert_close(centers.mean(dim=0), torch.full((2,), 5.5), rtol=0, atol=0.1)


def test_a_jittered_vae_encodes_what_it_is_shown_and_decodes_the_clean_datum():
    torch.manual_seed(0)
    model, x, seen = JitteredVAE(5, 2, hidden=(8,)), torch.bernoulli(torch.full((6, 5), 0.5)), torch.rand(6, 5)
    torch.manual_seed(1)
    terms = model.elbo_terms(x, seen)
    torch.manual_seed(1)
    q = model.q_z_given_x(seen)
    log_likelihood = model.p_x_given_z(q.rsample((1,))).log_prob(x)[0]
    torch.testing.assert_close(terms["reconstruction"], log_likelihood)
    torch.testing.assert_close(terms["minus_kl"], -kl_divergence(q, model.p_z()))
    contract.check_terms_add_up(model, x)


def test_codes_are_clustered_in_the_dimensions_that_are_in_use():
    torch.manual_seed(0)
    labels = torch.randint(3, (900,))
    codes = torch.randn(900, 4) * torch.tensor([0.3, 0.3, 0.01, 0.0])
    codes[:, 0] += 3 * (labels == 1)
    codes[:, 1] += 3 * (labels == 2)
    r = cluster_codes(codes, 3, n_starts=5)
    assert r.dtype == torch.float32
    torch.testing.assert_close(r.sum(dim=1), torch.ones(900))
    assert clustering_accuracy(r.argmax(dim=1), labels) > 0.95


def test_sorted_codes_are_clustered_as_well_as_shuffled_ones():
    torch.manual_seed(0)
    labels = torch.arange(4).repeat_interleave(250)
    codes = 0.3 * torch.randn(1000, 2) + 3 * torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])[labels]
    r = cluster_codes(codes, 4, n_starts=5, rows=300)
    assert clustering_accuracy(r.argmax(dim=1), labels) > 0.99


def test_codes_that_all_fit_in_are_clustered_in_their_order():
    torch.manual_seed(0)
    codes = torch.randn(200, 2)
    mixture = GaussianMixture(2, "full", 0.05, 3, 1e-4, seed=1).fit(codes.double())
    expected = mixture.responsibilities(codes.double()).float()
    assert torch.equal(cluster_codes(codes, 2, n_starts=3, rows=200, seed=1), expected)


def test_of_shuffled_codes_the_first_are_the_sample():
    torch.manual_seed(0)
    codes = torch.randn(300, 2)
    mixture = GaussianMixture(2, "full", 0.05, 3, 1e-4, seed=1).fit(codes[:200].double())
    expected = mixture.responsibilities(codes.double()).float()
    assert torch.equal(cluster_codes(codes, 2, n_starts=3, rows=200, seed=1, shuffled=True), expected)
    assert not torch.equal(cluster_codes(codes, 2, n_starts=3, rows=200, seed=1), expected)


def test_it_learns_three_groups():
    x, labels = three_groups()
    torch.manual_seed(1)
    model = GaussianMixtureVAE(20, 2, 3, hidden=(32,), mean_scale=1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    history = fit(model, x, optimizer=optimizer, epochs=40, batch_size=50)
    flips = 20 * (0.05 * math.log(0.05) + 0.95 * math.log(0.95))
    best = flips - math.log(3)  # the evidence of the true model, when the noise does not hide the center
    elbo = sum(mean_elbo_terms(model, x, num_samples=10).values()).item()
    assert best - 2.0 < elbo < best + 0.5
    assert history.elbo[-1] > history.elbo[0] + 3
    assert clustering_accuracy(model.q_y_given_x(x).probs.argmax(dim=1), labels) > 0.6


# Clusters


def test_accuracy_is_the_best_matching():
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (200,), generator=draw)
    clusters = torch.where(torch.rand(200, generator=draw) < 0.4, labels, torch.randint(4, (200,), generator=draw))
    table = contingency(clusters, labels)
    assert table.shape == (4, 4)
    assert table.sum() == 200
    best = max(sum(table[k, c].item() for k, c in enumerate(p)) for p in itertools.permutations(range(4)))
    assert clustering_accuracy(clusters, labels) == best / 200
    names = torch.tensor([2, 0, 3, 1])  # a cluster's number means nothing
    assert clustering_accuracy(names[clusters], labels) == best / 200


def test_clusters_may_be_more_or_fewer_than_labels():
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    assert clustering_accuracy(torch.tensor([0, 0, 2, 3, 3, 1]), labels) == pytest.approx(4 / 6)
    assert clustering_accuracy(torch.zeros(6, dtype=torch.int64), labels) == pytest.approx(0.5)
    assert clustering_accuracy(labels, labels) == 1.0


@pytest.mark.parametrize(
    ("clusters", "labels", "said"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), "clusters must be whole numbers"),
        (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), "clusters must be whole numbers"),
        (torch.zeros(3, dtype=torch.int64), torch.tensor([0, -1, 1]), "labels must count from 0"),
        (torch.zeros(3, dtype=torch.int64), torch.zeros(2, dtype=torch.int64), "A cluster and a label a datum"),
    ],
)
def test_what_is_no_clustering_is_refused(clusters, labels, said):
    with pytest.raises(ValueError, match=said) as caught:
        clustering_accuracy(clusters, labels)
    one_sentence(caught.value)


# Shipped weights


def test_shipped_weights_say_where_they_come_from():
    about = pretrained.provenance("gmvae-mnist")
    assert (pretrained.FOLDER / "gmvae-mnist.safetensors").stat().st_size < 6_000_000
    assert {"data", "seed", "budget", "experiment", "test"} <= set(about)
    assert about["test"]["elbo"] >= -82
    model = pretrained.load_pretrained("gmvae-mnist")
    assert model.C == 10
    assert model.sample(3)[0].shape == (3, 784)


@pytest.mark.skipif(not DATA_DIR, reason="needs the real digits: set AEVB_DATA_DIR")
def test_shipped_weights_cluster_as_well_as_they_say(monkeypatch):
    monkeypatch.setattr(budget, "FAST", False)
    mnist = data.mnist("threshold")
    about, model = pretrained.provenance("gmvae-mnist"), pretrained.load_pretrained("gmvae-mnist")
    with torch.no_grad():
        clusters = model.q_y_given_x(mnist.test).probs.argmax(dim=1)
    assert clustering_accuracy(clusters, mnist.test_labels) == pytest.approx(about["test"]["accuracy"], abs=1e-3)


# What is handed over

WHOLE = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


@given(data_=st.data(), kinds=st.lists(st.sampled_from(WHOLE), min_size=2, max_size=2), numpy_=st.booleans())
def test_contingency_is_a_slow_count_whatever_the_type(data_, kinds, numpy_):
    numbers = st.lists(st.integers(0, 127), min_size=8, max_size=8)
    clusters, labels = data_.draw(numbers), data_.draw(numbers)
    given_ = [torch.tensor(values, dtype=kind) for values, kind in zip((clusters, labels), kinds, strict=True)]
    table = contingency(*(part.numpy() if numpy_ else part for part in given_))
    expected = torch.zeros(max(labels) + 1, max(clusters) + 1, dtype=torch.int64)
    for cluster, label in zip(clusters, labels, strict=True):
        expected[label, cluster] += 1
    assert torch.equal(table, expected)


def test_accuracy_takes_bools_lists_and_foreign_byte_orders_and_refuses_masked_ones():
    clusters, labels = [0, 1, 1, 0, 1], [0, 1, 1, 1, 1]
    same = [torch.tensor(labels).bool(), np.array(labels, dtype=">i4"), np.array(labels, dtype=bool), labels]
    assert [clustering_accuracy(clusters, each) for each in same] == [0.8] * 4
    for wrong in (np.ma.masked_array(labels, mask=[0, 0, 0, 0, 1]), [0.5] * 5, ["a"] * 5, torch.ones(5).bfloat16()):
        with pytest.raises(ValueError, match="labels must be whole numbers"):
            clustering_accuracy(clusters, wrong)
    with pytest.raises(ValueError, match="without gaps"):
        clustering_accuracy(clusters, [0, 1, 1, 1, 10**12])


def test_many_clusters_of_bytes_do_not_overflow():
    draw = torch.Generator().manual_seed(0)
    clusters, labels = (torch.randint(n, (2000,), generator=draw) for n in (50, 10))
    assert clustering_accuracy(clusters, labels.to(torch.uint8)) == clustering_accuracy(clusters, labels)


@given(shift=st.sampled_from([0.0, 1e2, 1e4]), seed=st.integers(0, 9))
@settings(max_examples=8)
def test_fit_prior_does_not_depend_on_the_origin(shift, seed):
    torch.manual_seed(seed)
    model, r = GaussianMixtureVAE(20, 2, 3, hidden=(8,)), torch.rand(200, 3).softmax(dim=1)
    m, s = torch.randn(200, 2).double() * 0.3 + shift, torch.rand(200, 2).double() + 0.01
    fit_prior(model, Independent(Normal(m.float(), s.float()), 1), r)
    weights, m, s = (r.double() / r.double().sum(dim=0)).T, m.float().double(), s.float().double()
    means = weights @ m
    spread = torch.stack([w @ ((m - mean) ** 2 + s**2) for w, mean in zip(weights, means, strict=True)]).sqrt()
    prior = model.p_z_given_y()
    torch.testing.assert_close(prior.mean.double(), means, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(prior.stddev.double(), spread, rtol=1e-2 if shift == 1e4 else 1e-4, atol=1e-5)


def test_a_spread_at_the_floor_or_large_stays_finite():
    model, r = GaussianMixtureVAE(20, 2, 2, hidden=(8,)), torch.eye(2).repeat(3, 1)
    spread = torch.tensor([[1e-5, 500.0]]).expand(6, 2)
    fit_prior(model, Independent(Normal(torch.zeros(6, 2), spread), 1), r)
    found = model.p_z_given_y().stddev
    torch.testing.assert_close(found[0], torch.tensor([networks.SCALE_FLOOR, 500.0]), rtol=2e-3, atol=0)
    assert model.raw_scales.isfinite().all()


@pytest.mark.parametrize(
    ("r", "said"),
    [
        (torch.eye(3)[[1, 2, 1, 2]], "Class 0 has no datum"),
        (torch.eye(3)[[0, 1, 2]], r"Expected r of shape \(4, C\), not \(3, 3\)"),
        (torch.tensor([0, 1, 2, 0]), r"Expected r of shape \(4, C\), not \(4,\)"),
        (torch.full((4, 3), math.nan), "Each row of r must hold probabilities"),
        (torch.ones(4, 3), "Each row of r must hold probabilities"),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused(r, said):
    vae, x = VAE(20, 2, hidden=(8,)), torch.zeros(4, 20)
    model = GaussianMixtureVAE(20, 2, 3, hidden=(8,))
    calls = (
        lambda: fit_prior(model, vae.q_z_given_x(x), r),
        lambda: teach_classes(model, x, r),
        lambda: start_from(vae, x, r, hidden=(8,)),
    )
    for call in calls:
        with pytest.raises(ValueError, match=said) as caught:
            call()
        one_sentence(caught.value)


def test_a_start_takes_one_hot_integers_and_the_vaes_likelihood_and_refuses_other_layers():
    x, labels = three_groups()
    r = torch.nn.functional.one_hot(labels, 3)
    vae = VAE(20, 2, hidden=(8,), likelihood=networks.continuous_bernoulli)
    assert start_from(vae, x, r, hidden=(8,)).likelihood is networks.continuous_bernoulli
    for other in ({"hidden": (9,)}, {"hidden": (8, 8)}, {"hidden": (8,), "layer": "tanh"}):
        with pytest.raises(ValueError, match="the VAE's own widths and layers") as caught:
            start_from(vae, x, r, **other)
        one_sentence(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model, x: GaussianMixtureVAE(0, 2, 3), "D must be a whole number"),
        (lambda model, x: GaussianMixtureVAE(5, 2, 0), "C must be a whole number"),
        (lambda model, x: GaussianMixtureVAE(5, 2, 3, hidden=()), "The number of hidden layers must be"),
        (lambda model, x: model.sample(0), "n must be a whole number"),
        (lambda model, x: model.sample(2.5), "n must be a whole number"),
        (lambda model, x: model.elbo(x, num_samples=0), "num_samples must be"),
        (lambda model, x: model.log_weights(x, num_samples=0), "num_samples must be"),
        (lambda model, x: relaxed_terms(model, x, temperature=0.0), "The temperature must be above 0"),
        (lambda model, x: relaxed_terms(model, x, temperature=1.0, kl="exact"), "kl must be one of"),
        (lambda model, x: cluster_codes(x * math.nan, 2, n_starts=1), "codes must be finite, but row 0, column 0"),
        (lambda model, x: cluster_codes(x * 0, 2, n_starts=1), "No dimension of the codes is in use"),
        (lambda model, x: jitter(x), r"Expected square images, .* not \(6, 5\)"),
    ],
)
def test_nonsense_gets_a_sentence(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call(*build())
    one_sentence(caught.value)
