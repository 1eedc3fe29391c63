"""Chapter 12's flow posterior: its contract, its density, its inverse, and training by ``fit``."""

import pytest
import torch
from torch.distributions import Independent, Normal

from aevb_utils.checking import check_model, contract
from aevb_utils.evaluation.gaps import log_evidence
from aevb_utils.evaluation.quadrature import log_integral, make_grid
from aevb_utils.models.binomial_vae import gaussian
from aevb_utils.models.flow_vae import KNOTS, SIZE, Coupling, FlowVAE, features, flow
from aevb_utils.training import fit

FORMATS = {"float64": torch.float64, "float32": torch.float32}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class FlowWithEvidence(FlowVAE):
    """With its evidence, by quadrature."""

    def log_evidence(self, x):
        grid = make_grid([(-8.0, 8.0)] * 2, 200)
        return log_evidence(self, x, grid._replace(points=grid.points.to(x.dtype)))


def small(dtype=torch.float64, kind=FlowVAE, **options):
    """A small model, its flow clearly not Gaussian, with six data of its own."""
    model = kind(D=5, hidden=[8], trials=4, **options).to(dtype)
    with torch.no_grad():
        model.encoder[-1].weight *= 2
        return model, model.sample(6)[0]


def random_lam(rows=3, couplings=4, scale=0.3):
    return torch.cat([torch.randn(rows, 4), scale * torch.randn(rows, couplings * SIZE)], dim=1).double()


class TestContract:
    @pytest.mark.parametrize("dtype", FORMATS)
    @pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
    def test_for_every_model(self, check, dtype):
        check(*small(FORMATS[dtype]))

    @pytest.mark.parametrize("dtype", FORMATS)
    @pytest.mark.parametrize("check", contract.EXACT_CHECKS[:2], ids=lambda check: check.__name__)
    def test_against_the_evidence(self, check, dtype):
        check(*small(FORMATS[dtype], FlowWithEvidence))

    def test_check_model_passes(self, capsys):
        check_model(*small())
        assert "All 19 checks hold." in capsys.readouterr().out


class TestCoupling:
    @pytest.mark.parametrize("keep", [0, 1])
    def test_inverse_undoes_it(self, keep):
        coupling = Coupling(torch.randn(3, SIZE).double(), keep)
        u = torch.randn(50, 3, 2).double()
        torch.testing.assert_close(coupling._inverse(coupling._call(u)), u)

    @pytest.mark.parametrize("keep", [0, 1])
    def test_determinant_is_that_of_the_jacobian(self, keep):
        numbers, u = torch.randn(1, SIZE).double(), torch.randn(2).double()
        coupling = Coupling(numbers, keep)
        jacobian = torch.autograd.functional.jacobian(lambda u: coupling._call(u[None])[0], u)
        log_det = coupling.log_abs_det_jacobian(u[None], coupling._call(u[None]))
        torch.testing.assert_close(jacobian.det().abs().log(), log_det[0])

    def test_zeros_are_the_identity(self):
        u = torch.randn(4, 3, 2)
        assert torch.equal(Coupling(torch.zeros(3, SIZE), 0)(u), u)

    def test_features_are_the_number_and_a_step_at_each_knot(self):
        psi = features(torch.tensor([0.5, -1.0]))
        assert psi.shape == (2, 1 + len(KNOTS))
        torch.testing.assert_close(psi[:, 0], torch.tensor([0.5, -1.0]))
        assert psi[1, 1 + KNOTS.index(-1.0)] == 0


class TestFlow:
    def test_density_integrates_to_one(self):
        lam = random_lam(scale=0.2)
        lam[:, :4] = 0
        grid = make_grid([(-15.0, 15.0)] * 2, 500)
        log_q = flow(lam).log_prob(grid.points.double()[:, None])  # (G, 3)
        torch.testing.assert_close(log_integral(log_q.T, grid), torch.zeros(3).double(), atol=1e-3, rtol=0)

    def test_log_prob_of_a_sample_is_that_of_the_same_point(self):
        q = flow(random_lam())
        z = q.rsample((7,))
        remembered = q.log_prob(z)
        torch.testing.assert_close(q.log_prob(z.clone()), remembered)

    def test_without_couplings_it_is_a_diagonal_gaussian(self):
        lam = random_lam(scale=0)
        z = torch.randn(5, 3, 2).double()
        expected = Independent(Normal(lam[:, :2], lam[:, 2:4].exp()), 1)
        torch.testing.assert_close(flow(lam).log_prob(z), expected.log_prob(z))

    def test_it_contains_the_full_gaussian(self):
        lam = random_lam(scale=0)
        B = torch.randn(3).double()
        lam[:, 4 + len(KNOTS)] = B  # c_0 of the first coupling
        z = torch.randn(5, 3, 2).double()
        full = gaussian(torch.cat([lam[:, :4], B[:, None]], dim=1), 2)
        torch.testing.assert_close(flow(lam).log_prob(z), full.log_prob(z))

    def test_gradient_reaches_every_number(self):
        lam = random_lam().requires_grad_()
        q = flow(lam)
        q.log_prob(q.rsample((20,)).detach().clone()).sum().backward()
        assert lam.grad.isfinite().all()
        assert (lam.grad != 0).all()


class TestFlowVAE:
    @pytest.mark.parametrize("couplings", [1, 3])
    def test_fit_trains_both(self, couplings):
        model, _ = small(couplings=couplings)
        x = model.sample(200)[0]
        fresh, _ = small(couplings=couplings)
        optimizer = torch.optim.Adam(fresh.parameters(), lr=0.01)
        history = fit(fresh, x, optimizer=optimizer, epochs=15, batch_size=50)
        assert history.elbo[-3:].mean() > history.elbo[:3].mean() + 0.05

    def test_shape_of_lam(self):
        model, x = small(couplings=2)
        assert model.encode(x).shape == (6, 4 + 2 * SIZE)

    def test_errors(self):
        with pytest.raises(ValueError, match="at least one coupling, not 0"):
            FlowVAE(couplings=0)
        model, x = small()
        with pytest.raises(ValueError, match="shape"):
            model.elbo(x[:, :3])
        with pytest.raises(ValueError, match="whole numbers"):
            model.elbo(x + 0.5)
