"""Chapter 11's models against answers that are found in another way."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import one_sentence
from torch.distributions import MultivariateNormal

from aevb_utils.models.factor_analysis import FactorAnalysis
from aevb_utils.models.item_response import ItemResponse
from aevb_utils.models.local_level import LocalLevel, exact_posterior, kalman_evidence, posterior_precision
from aevb_utils.models.masked_factor_analysis import MaskedFactorAnalysis
from aevb_utils.models.recipe import FreeParameters, shaken, train


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class TestItemResponse:
    def test_evidence_sums_to_one_over_all_patterns(self):
        model = ItemResponse(4).double()
        with torch.no_grad():
            model.a.copy_(torch.tensor([0.3, 1.5, -0.7, 2.0]))
            model.b.copy_(torch.tensor([1.0, -2.0, 0.0, 0.5]))
        patterns = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
        assert model.log_evidence(patterns).exp().sum().item() == pytest.approx(1, abs=1e-6)

    def test_without_discrimination_the_answers_are_independent(self):
        model = ItemResponse(2).double()
        with torch.no_grad():
            model.a.zero_()
            model.b.copy_(torch.tensor([1.0, -2.0]))
        x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        expected = torch.sigmoid(torch.tensor([1.0, 2.0], dtype=torch.float64)).log().sum()
        assert model.log_evidence(x).item() == pytest.approx(expected.item(), abs=1e-6)

    @pytest.mark.parametrize("x", [torch.zeros(3, 4), torch.zeros(5), torch.zeros(3, 5, dtype=torch.float64)])
    def test_errors(self, x):
        with pytest.raises(ValueError, match=r"shape|float"):
            ItemResponse(5).elbo(x)


def local_level(**options):
    return LocalLevel(7, N=2, first=(3.0, 2.0), variances=(0.8, 0.3), **options).double()


class TestLocalLevel:
    def test_filter_is_the_density_of_a_gaussian_in_all_years(self):
        model = local_level()
        x, _ = model.sample(2)
        noise = model.log_noise.exp() * torch.eye(7)
        joint = MultivariateNormal(model.p_z().loc, model.p_z().covariance_matrix + noise)
        torch.testing.assert_close(model.log_evidence(x), joint.log_prob(x))

    def test_filter_takes_variances_for_each_series(self):
        x = local_level().sample(1)[0].expand(3, -1)
        noise, level = torch.tensor([[0.5, 1.0, 2.0], [0.1, 0.2, 0.3]], dtype=torch.float64)
        each = [kalman_evidence(x[:1], n, v, (3.0, 2.0)) for n, v in zip(noise, level, strict=True)]
        torch.testing.assert_close(kalman_evidence(x, noise, level, (3.0, 2.0)), torch.cat(each))

    def test_precision_is_tridiagonal(self):
        model = local_level()
        Lambda = posterior_precision(model)
        inside = torch.ones(7, 7).tril(1).triu(-1).double()
        torch.testing.assert_close(Lambda * (1 - inside), torch.zeros_like(Lambda), rtol=0, atol=1e-12)
        expected = 2 / model.log_level.exp() + 1 / model.log_noise.exp()  # eq. (11.10)
        torch.testing.assert_close(Lambda.diagonal()[1:-1], expected.expand(5))

    def test_structured_q_contains_the_posterior(self):
        model = local_level()
        x, _ = model.sample(2)
        posterior = exact_posterior(model, x)
        flipped = torch.linalg.cholesky(posterior_precision(model).flip(0, 1)).flip(0, 1).mT  # B, lower, with BᵀB = Λ
        with torch.no_grad():
            model.q.m.copy_(posterior.loc - 3.0)
            model.q.log_d.copy_(flipped.diagonal().log())
            model.q.c.copy_(flipped.diagonal(offset=-1))
        torch.testing.assert_close(model.elbo(x, torch.arange(2)), model.log_evidence(x))

    def test_unit_of_q_changes_nothing_but_the_unit(self):
        one, ten = local_level(), local_level(scale=10.0)
        x, i = one.sample(2)[0], torch.arange(2)
        with torch.no_grad():
            ten.q.m.copy_(one.q.m / 10)
            ten.q.log_d.copy_(one.q.log_d + math.log(10))
            ten.q.c.copy_(one.q.c * 10)
        torch.testing.assert_close(one.elbo(x, i), ten.elbo(x, i))

    def test_mean_field_has_no_covariance(self):
        model = local_level(structured=False)
        q = model.q_z_given_x(torch.zeros(2, 7).double(), torch.arange(2))
        assert torch.equal(q.covariance_matrix, q.variance.diag_embed())
        assert len(model.inference_parameters()) == 2


class TestHoles:
    def model(self):
        model = MaskedFactorAnalysis(5, 2).double()
        with torch.no_grad():
            model.b.copy_(torch.arange(5.0))
            model.rho.copy_(torch.linspace(-1, 1, 5))
        return model

    def test_evidence_is_that_of_the_observed_columns(self):
        model = self.model()
        o = torch.tensor([[1.0, 0, 1, 1, 0]], dtype=torch.float64)
        x = torch.randn(1, 5).double()
        rows = [0, 2, 3]
        W, psi = model.W[rows], model.psi[rows]
        marginal = MultivariateNormal(model.b[rows], W @ W.T + psi.diag())
        torch.testing.assert_close(model.log_evidence(x, o), marginal.log_prob(x[:, rows]))

    def test_what_stands_in_a_hole_does_not_matter(self):
        model = self.model()
        o = (torch.rand(6, 5) > 0.4).double()
        x = torch.randn(6, 5).double()
        other = x + (1 - o) * 100
        torch.manual_seed(1)
        first = [model.elbo(x, o), model.log_evidence(x, o), model.posterior(x, o).mean]
        torch.manual_seed(1)
        second = [model.elbo(other, o), model.log_evidence(other, o), model.posterior(other, o).mean]
        for one, two in zip(first, second, strict=True):
            torch.testing.assert_close(one, two)

    def test_without_holes_it_is_factor_analysis(self):
        model, plain = self.model(), FactorAnalysis(5, 2).double()
        with torch.no_grad():
            plain.W.copy_(model.W)
            plain.rho.copy_(model.rho)
        x = torch.randn(6, 5).double()
        ones = torch.ones_like(x)
        torch.testing.assert_close(model.log_evidence(x + model.b, ones), plain.log_evidence(x))
        posterior, expected = model.posterior(x + model.b, ones), plain.posterior(x)
        torch.testing.assert_close(posterior.mean, expected.mean)
        torch.testing.assert_close(posterior.covariance_matrix, expected.covariance_matrix.expand(6, 2, 2))

    def test_all_hidden_leaves_the_prior(self):
        model = self.model()
        x, o = torch.randn(1, 5).double(), torch.zeros(1, 5).double()
        assert model.log_evidence(x, o).item() == pytest.approx(0, abs=1e-12)
        q = model.q_z_given_x(x, o)
        torch.testing.assert_close(q.covariance_matrix[0], torch.eye(2).double())
        assert not q.mean.any()

    def test_q_contains_the_posterior(self):
        model = self.model()
        with torch.no_grad():
            model.encoder.R.copy_(model.W / model.psi.sqrt()[:, None])
            model.encoder.V.copy_(model.W / model.psi[:, None])
            model.encoder.kappa.copy_(model.b)
        x, o = torch.randn(6, 5).double(), (torch.rand(6, 5) > 0.4).double()
        q, posterior = model.q_z_given_x(x, o), model.posterior(x, o)
        torch.testing.assert_close(q.mean, posterior.mean)
        torch.testing.assert_close(q.covariance_matrix, posterior.covariance_matrix)

    def test_expected_log_density_is_that_at_the_mean_less_the_variance_of_the_mean_of_x(self):
        model = self.model()
        x, o = torch.randn(6, 5).double(), (torch.rand(6, 5) > 0.4).double()
        with torch.no_grad():
            q = model.q_z_given_x(x, o)
            spread = torch.einsum("dk,nkl,dl->nd", model.W, q.covariance_matrix, model.W) / (2 * model.psi)
            exact = model.p_x_given_z(q.mean, o).log_prob(x) - (o * spread).sum(dim=1)
            draws = model.p_x_given_z(q.sample((20_000,)), o).log_prob(x)  # (draws, 6)
        assert ((draws.mean(0) - exact).abs() <= 5 * draws.std(0) / 20_000**0.5 + 1e-9).all()

    @pytest.mark.parametrize("o", [torch.ones(3, 4), torch.full((3, 5), 0.5)])
    def test_errors(self, o):
        with pytest.raises(ValueError, match=r"Expected a mask of zeros and ones of shape .3, 5."):
            self.model().elbo(torch.zeros(3, 5).double(), o.double())

    def test_nan_in_a_hole_is_a_hole_and_gradients_stay_finite(self):
        model = self.model()
        o = torch.rand(6, 5) > 0.4
        x = torch.randn(6, 5).double()
        broken = torch.where(o, x, math.nan)
        torch.manual_seed(1)
        first = [model.elbo(x, o.double()), model.log_evidence(x, o.double()), model.posterior(x, o.double()).mean]
        torch.manual_seed(1)
        second = [model.elbo(broken, o), model.log_evidence(broken, o), model.posterior(broken, o).mean]
        for one, two in zip(first, second, strict=True):
            assert torch.equal(one, two)
        gradients = torch.autograd.grad(second[0].sum() + second[1].sum(), list(model.parameters()))
        assert all(gradient.isfinite().all() for gradient in gradients)

    @pytest.mark.parametrize("method", ["elbo", "log_evidence", "posterior", "q_z_given_x"])
    @pytest.mark.parametrize(
        ("x", "o", "said"),
        [
            (torch.full((3, 5), math.nan), torch.ones(3, 5), "row 0, column 0 holds nan"),
            (torch.zeros(3, 5), torch.ones(1, 5), r"shape \(3, 5\), but its shape is \(1, 5\)"),
            (torch.zeros(3, 5), torch.full((3, 5), 0.5), "but it holds 0.5"),
            (torch.zeros(5), torch.ones(5), r"shape \(batch, 5\), not \(5,\)"),
        ],
    )
    def test_what_is_no_table_is_refused(self, method, x, o, said):
        with pytest.raises(ValueError, match=said) as caught:
            getattr(self.model(), method)(x.double(), o.double())
        one_sentence(caught.value)

    def test_a_draw_has_a_mask_a_row(self):
        model, o = self.model(), torch.tensor([[1, 0, 1, 1, 0]])
        for n in (5, 0, -1, 2.5):
            with pytest.raises(ValueError, match=r"Expected a mask of .* \(5, 5\)|n must be a whole number"):
                model.sample(n, o)
        x, z = model.sample(3, o.expand(3, -1))
        assert x.shape == (3, 5)
        assert z.shape == (3, 2)
        assert not x[:, [1, 4]].any()

    @given(seed=st.integers(0, 10**6), kind=st.sampled_from([torch.bool, torch.int64, torch.float32, torch.float64]))
    @settings(max_examples=10)
    def test_evidence_is_that_of_the_observed_entries_for_any_mask(self, seed, kind):
        torch.manual_seed(seed)
        model = self.model()
        o, x = (torch.rand(4, 5) > 0.5).to(kind), torch.randn(4, 5).double()
        x[o == 0] = math.nan
        Omega = model.W @ model.W.T + model.psi.diag()
        for row, mask, found in zip(x, o != 0, model.log_evidence(x, o), strict=True):
            if mask.any():
                marginal = MultivariateNormal(model.b[mask], Omega[mask][:, mask])
                assert found.item() == pytest.approx(marginal.log_prob(row[mask]).item(), abs=1e-9)
            else:
                assert found.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: LocalLevel(0), "T must be a whole number"),
        (lambda: LocalLevel(3, N=0), "N must be a whole number"),
        (lambda: LocalLevel(3, variances=(1.0, -1.0)), "above 0, not"),
        (lambda: LocalLevel(3, first=(0.0, 0.0)), "above 0, not"),
        (lambda: LocalLevel(3, scale=0.0), "The scale must be above 0"),
        (lambda: MaskedFactorAnalysis(5, 0), "L must be a whole number"),
        (lambda: MaskedFactorAnalysis(5, 2, floor=-1.0), "The floor must be"),
        (lambda: ItemResponse(-1), "D must be a whole number"),
        (lambda: ItemResponse(3, nodes=2.5), "nodes must be a whole number"),
        (lambda: LocalLevel(3).sample(0), "n must be a whole number"),
        (lambda: ItemResponse(3).sample(2.5), "n must be a whole number"),
        (lambda: ItemResponse(3).elbo(torch.zeros(1, 3), num_samples=0), "num_samples must be"),
        (lambda: ItemResponse(3).log_evidence(torch.full((1, 3), 2.0)), "Answers must be 0, wrong, or 1, right"),
        (lambda: ItemResponse(3).log_evidence(torch.full((1, 3), math.nan)), "row 0, column 0 holds nan"),
    ],
)
def test_nonsense_gets_a_sentence(build, said):
    with pytest.raises(ValueError, match=said) as caught:
        build()
    one_sentence(caught.value)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(7), r"pass x\[None\]"),
        (torch.zeros(1, 1), r"\(batch, 7\), a row each, not \(1, 1\)"),
        (torch.zeros(2, 1), r"\(batch, 7\), a row each, not \(2, 1\)"),
        (torch.full((2, 7), math.nan), "row 0, column 0 holds nan"),
    ],
)
def test_what_is_no_series_is_refused(x, said):
    model = local_level()
    for method in (model.log_evidence, model.posterior):
        with pytest.raises(ValueError, match=said) as caught:
            method(x.double())
        one_sentence(caught.value)


def test_a_series_has_an_index_of_its_own():
    model, x = local_level(), torch.zeros(2, 7).double()
    for i in (torch.tensor([0]), torch.tensor([0, 2]), torch.tensor([-1, 0]), torch.tensor([0.0, 1.0])):
        with pytest.raises(ValueError, match="Expected 2 indices of series, one a row, whole numbers from 0 to 1"):
            model.elbo(x, i)
    with pytest.raises(ValueError, match=r"pass x\[None\]"):
        model.elbo(x[0], torch.tensor([0]))


def test_variances_of_another_shape_are_refused():
    x = torch.zeros(3, 4).double()
    with pytest.raises(ValueError, match="noise must be one number, or one a series, 3"):
        kalman_evidence(x, torch.ones(4).double(), torch.tensor(1.0).double(), (0.0, 1.0))
    with pytest.raises(ValueError, match="level must be a variance"):
        kalman_evidence(x, torch.tensor(1.0).double(), torch.tensor(-1.0).double(), (0.0, 1.0))


class TestRecipe:
    def test_free_parameters_hand_out_the_rows_of_a_table(self):
        table = FreeParameters(4, 2)
        with torch.no_grad():
            table.lam.copy_(torch.arange(8.0).reshape(4, 2))
        assert table(torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [0.0, 1.0]]

    @pytest.mark.parametrize("i", [torch.tensor([4]), torch.tensor([-1]), torch.tensor([0.0])])
    def test_free_parameters_refuse_what_is_no_index(self, i):
        with pytest.raises(ValueError, match="indices of data") as error:
            FreeParameters(4, 2)(i)
        one_sentence(error.value)

    def test_a_shaken_copy_is_another_model_and_leaves_the_first_alone(self):
        model = ItemResponse(3)
        before = [parameter.clone() for parameter in model.parameters()]
        moved = [*shaken(model).parameters()]
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(moved, before, strict=True))

    def test_train_takes_epochs_times_minibatches_and_ends_without_a_step_size(self):
        model, x = ItemResponse(3).double(), torch.ones(7, 3, dtype=torch.float64)
        history = train(model, x, 2, 0.1, batch_size=3, held_out=x)
        assert len(history.step_elbo) == 6
        assert len(history.held_out_elbo) == 2

    def test_train_leaves_a_frozen_parameter(self):
        model, x = ItemResponse(3).double(), torch.ones(7, 3, dtype=torch.float64)
        model.a.requires_grad_(False)
        train(model, x, 1, 0.1, batch_size=7)
        assert torch.equal(model.a, torch.ones(3, dtype=torch.float64))
