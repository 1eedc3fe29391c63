"""Factor analysis: its exact EM, and AEVB with a q whose mean is linear in x.

Exported from notebooks/06_aevb_factor_analysis.ipynb by ``make export``: edit the chapter.
"""

import copy
import math
import warnings
from typing import Literal, get_args

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from aevb_utils.inputs import (
    check_centered,
    check_choice,
    check_count,
    check_finite,
    check_floor,
    check_sizes,
    precise,
)
from aevb_utils.models.variational_mixture import to_factors


def posterior_factors(W: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
    """V and K of the exact posterior N(Vx, KKᵀ), eq. (6.7), in float64: (L, D), (L, L).

    With U = Ψ^(−1/2) W and I on top of U = QB, B lower triangular, Λ is BᵀB. So K is B⁻¹,
    and V is B⁻¹ times the lower part of Q, transposed, times Ψ^(−1/2).
    """
    W, psi = precise(W, psi)
    root, L = psi.sqrt(), W.shape[1]
    identity = torch.eye(L, dtype=W.dtype)
    Q, R = torch.linalg.qr(torch.cat([identity, W / root[:, None]]).flip(1))
    signs = R.diagonal().sign()  # B's diagonal shall be positive
    B, Q = (signs[:, None] * R).flip(0, 1), (Q * signs).flip(1)
    K = torch.linalg.solve_triangular(B, identity, upper=False)
    return K @ (Q[L:] / root[:, None]).T, K


def exact_posterior(W: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
    """V and Σ of the exact posterior N(Vx, Σ), eq. (6.7): (L, D) and (L, L)."""
    V, K = posterior_factors(W, psi)
    return V.to(W), (K @ K.T).to(W)


def check_rows(x: Tensor, W: Tensor) -> Tensor:
    """Return the data, or say what is wrong with them.

    Raises:
        ValueError: they are not a row a datum, with D columns, of the model's type.
    """
    if x.ndim != 2 or x.shape[1] != len(W) or x.dtype != W.dtype:
        raise ValueError(
            f"Expected data of shape (batch, {len(W)}) and type {W.dtype}, a row a datum, "
            f"but got {tuple(x.shape)} of type {x.dtype}."
        )
    return x


def log_evidence(model: "FactorModel", x: Tensor) -> Tensor:
    """The log of p(x) = N(0, WWᵀ + Ψ), eq. (6.6), (batch,): Bayes' rule at z = Vx."""
    check_finite(check_rows(x, model.W))
    W, psi, rows = precise(model.W, model.psi, x)
    V, K = posterior_factors(W, psi)
    m = rows @ V.T
    log_det = psi.log().sum() - 2 * K.diagonal().log().sum()
    squares = ((rows - m @ W.T).square() / psi).sum(dim=1) + m.square().sum(dim=1)
    return (-0.5 * (len(W) * math.log(2 * math.pi) + log_det + squares)).to(x)


@torch.no_grad()
def draw(model: "FactorModel", n: int) -> tuple[Tensor, Tensor]:
    """Draw n data, (n, D), and their latents, (n, L), by torch's global generator."""
    check_count("n", n)
    z = model.p_z().sample((n,))
    return model.p_x_given_z(z).sample(), z


Noise = Literal["diagonal", "isotropic"]


class FactorModel(nn.Module):
    """Factor analysis of centered data, eqs. (6.6) to (6.8): what p is, and θ = (W, ρ)."""

    def __init__(self, D: int, L: int, noise: Noise, floor: float) -> None:
        super().__init__()
        check_sizes(D=D, L=L)
        check_floor(floor)
        self.noise, self.floor = check_choice("noise", noise, get_args(Noise)), floor
        self.W = nn.Parameter(torch.randn(D, L) / 2)
        self.rho = nn.Parameter(torch.zeros(D if noise == "diagonal" else 1))

    @property
    def psi(self) -> Tensor:
        """The diagonal of Ψ, eq. (6.8), (D,)."""
        return (self.floor + self.rho.exp()).expand(len(self.W))

    def p_z(self) -> MultivariateNormal:
        """The prior, N(0, I)."""
        zero = self.W.new_zeros(self.W.shape[1])
        return MultivariateNormal(zero, scale_tril=torch.eye(len(zero)).to(zero))

    def p_x_given_z(self, z: Tensor) -> Independent:
        """N(Wz, Ψ) for z of shape (…, L); its batch shape is (…)."""
        return Independent(Normal(z @ self.W.T, self.psi.sqrt()), 1)

    def log_evidence(self, x: Tensor) -> Tensor:
        """The log of p(x), exactly, (batch,), in nats."""
        return log_evidence(self, x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """The exact p(z | x), eq. (6.7)."""
        check_finite(check_rows(x, self.W))
        V, K = (part.to(x) for part in posterior_factors(self.W, self.psi))
        return MultivariateNormal(x @ V.T, scale_tril=K)

    def generative_parameters(self) -> list[nn.Parameter]:
        """θ: what an M-step moves."""
        return [self.W, self.rho]


Covariance = Literal["full", "diagonal"]


class LinearEncoder(nn.Module):
    """q(z | x) = N(Vx, KKᵀ), eq. (6.9), with φ = (V, κ); it begins as the prior."""

    def __init__(self, D: int, L: int, covariance: Covariance) -> None:
        super().__init__()
        check_choice("covariance", covariance, get_args(Covariance))
        self.V = nn.Parameter(torch.zeros(L, D))
        shape = (L, L) if covariance == "full" else (L,)
        self.free_factor = nn.Parameter(torch.zeros(shape))  # κ of eq. (3.4)

    @property
    def K(self) -> Tensor:
        """The factor of Σ: lower triangular or diagonal, (L, L)."""
        full = self.free_factor.ndim == 2
        return to_factors(self.free_factor) if full else self.free_factor.exp().diag()

    @property
    def Sigma(self) -> Tensor:
        """The covariance of q, KKᵀ, (L, L)."""
        return self.K @ self.K.T

    def forward(self, x: Tensor) -> MultivariateNormal:
        """The distribution of z given x of shape (batch, D)."""
        return MultivariateNormal(x @ self.V.T, scale_tril=self.K)


def kl_with_shared_scale(m: Tensor, K: Tensor) -> Tensor:
    """KL(N(m, KKᵀ) ‖ N(0, I)), eq. (4.10), (batch,) for m (batch, L) and one K (L, L)."""
    constant = 0.5 * (K.square().sum() - len(K)) - K.diagonal().log().sum()
    return 0.5 * m.square().sum(dim=-1) + constant


Kl = Literal["analytic", "sampled", "path"]


def elbo_terms(model: "FactorAnalysis", x: Tensor, num_samples: int) -> dict[str, Tensor]:
    """The two terms of eq. (6.10), averaged over num_samples z of q, (batch,) each."""
    q = model.q_z_given_x(x)
    z = draw_z(q, num_samples)  # (S, batch, L)
    if model.kl == "analytic":
        minus_kl = -kl_with_shared_scale(q.loc, model.encoder.K)
    else:
        log_q = (fixed(q) if model.kl == "path" else q).log_prob(z)
        minus_kl = (model.p_z().log_prob(z) - log_q).mean(dim=0)
    reconstruction = model.p_x_given_z(z).log_prob(x).mean(dim=0)
    return {"reconstruction": reconstruction, "minus_kl": minus_kl}


def draw_z(q: MultivariateNormal, num_samples: int) -> Tensor:
    """Samples z = Vx + Kε of q that autograd can follow, eq. (6.9), (S, batch, L)."""
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, not {num_samples}.")
    return q.rsample((num_samples,))


def fixed(q: MultivariateNormal) -> MultivariateNormal:
    """The same density, with φ held fixed, eq. (5.17)."""
    return MultivariateNormal(q.loc.detach(), scale_tril=q.scale_tril.detach())


def log_weights(model: "FactorAnalysis", x: Tensor, num_samples: int) -> Tensor:
    """The log of p(x, z) / q(z | x) at samples z of q, eq. (6.2), (S, batch), in nats."""
    q = model.q_z_given_x(x)
    z = draw_z(q, num_samples)
    log_joint = model.p_x_given_z(z).log_prob(x) + model.p_z().log_prob(z)
    return log_joint - q.log_prob(z)


def exact_elbo(model: "FactorAnalysis", x: Tensor) -> Tensor:
    """The ELBO of each datum without sampling, eq. (6.11), (batch,), in nats."""
    m = check_rows(x, model.W) @ model.encoder.V.T  # (batch, L)
    at_mean = model.p_x_given_z(m).log_prob(x)
    spread = (model.W @ model.encoder.K).square().sum(dim=1)  # the diagonal of WΣWᵀ, (D,)
    return (
        at_mean
        - 0.5 * (spread / model.psi).sum()
        - kl_with_shared_scale(m, model.encoder.K)
    )


class FactorAnalysis(FactorModel):
    """Factor analysis with q(z | x) = N(Vx, KKᵀ), eqs. (6.9) and (6.10), for ``fit``.

    Args:
        D, L: dimensions of a datum (of centered data: run_em warns) and of its latent.
        covariance: q's. kl: "analytic", eq. (6.4), "sampled", eq. (6.2), or "path" (5.17).
        noise: "diagonal" or "isotropic" (one variance for all). floor: ψ_min of eq. (6.8).
    """

    def __init__(
        self, D: int, L: int, *, covariance: Covariance = "full", kl: Kl = "analytic",
        noise: Noise = "diagonal", floor: float = 1e-4,
    ) -> None:  # fmt: skip
        super().__init__(D, L, noise, floor)
        self.kl = check_choice("kl", kl, get_args(Kl))
        self.encoder = LinearEncoder(D, L, covariance)

    def q_z_given_x(self, x: Tensor) -> MultivariateNormal:
        """The approximate posterior, eq. (6.9), one distribution a datum."""
        return self.encoder(check_rows(x, self.W))

    def elbo_terms(self, x: Tensor, *, num_samples: int = 1) -> dict[str, Tensor]:
        """Reconstruction and minus KL, estimated, (batch,) each, in nats."""
        return elbo_terms(self, x, num_samples)

    def elbo(self, x: Tensor, *, num_samples: int = 1) -> Tensor:
        """The estimated ELBO of each datum, (batch,), in nats."""
        return sum(self.elbo_terms(x, num_samples=num_samples).values())

    def log_weights(self, x: Tensor, *, num_samples: int) -> Tensor:
        """The log of p(x, z) / q(z | x) at samples of q, (num_samples, batch)."""
        return log_weights(self, x, num_samples)

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n data, (n, D), and their latents, (n, L)."""
        return draw(self, n)

    def inference_parameters(self) -> list[nn.Parameter]:
        """φ: what an E-step moves."""
        return list(self.encoder.parameters())


@torch.no_grad()
def exact_e_step(model: FactorAnalysis) -> None:
    """Set φ to the best there is at this θ, eq. (6.16): the posterior, if q can be it."""
    V, K = posterior_factors(model.W, model.psi)
    model.encoder.V.copy_(V)
    if model.encoder.free_factor.ndim == 2:
        model.encoder.free_factor.copy_(K.tril(-1) + K.diagonal().log().diag())
    else:  # eq. (3.15), with the diagonal of Λ
        Lambda = 1 + (model.W.square() / model.psi[:, None]).sum(dim=0)
        model.encoder.free_factor.copy_(-0.5 * Lambda.log())


TINY = 1e-8  # how near to the floor a variance may get, for data of variance 1


@torch.no_grad()
def exact_m_step(model: FactorAnalysis, x: Tensor) -> None:
    """Set θ to the maximum of the ELBO of the data x at this q, eq. (6.16).

    By least squares: the mean of E‖x − Wz‖² is that of the rows x_i at Vx_i, and of L
    rows 0 at the columns of K.
    """
    V, K, rows = precise(model.encoder.V, model.encoder.K, check_rows(x, model.W))
    inputs = torch.cat([rows @ V.T / len(x) ** 0.5, K.T])  # (N + L, L)
    outputs = torch.cat([rows / len(x) ** 0.5, rows.new_zeros(len(K), rows.shape[1])])
    # by singular values: torch's default driver gives other last digits at each call
    W_T = torch.linalg.lstsq(inputs, outputs, driver="gelsd").solution
    rest = outputs - inputs @ W_T
    psi, variance = rest.square().sum(dim=0), outputs.square().sum(dim=0)
    if model.noise == "isotropic":
        psi, variance = (part.mean(dim=0, keepdim=True) for part in (psi, variance))
    model.W.copy_(W_T.T)
    model.rho.copy_((psi - model.floor).maximum(TINY * variance).log())


def training_data(model: FactorAnalysis, x: Tensor) -> Tensor:
    """Data for EM in float64, checked: rows, all finite, centered, large for the floor."""
    check_finite(check_rows(x, model.W))
    check_count("The number of rows of x", len(x))
    (x,) = precise(x)
    check_centered(x)
    variances = x.square().mean(dim=0)
    check_floor(model.floor, variances if model.noise == "diagonal" else variances.mean())
    return x


@torch.no_grad()
def grows(before: FactorAnalysis, after: FactorAnalysis) -> bool:
    """Whether a singular value of Ψ^(−1/2) W has grown by more than a thousandth."""
    scaled = (model.W / model.psi.sqrt()[:, None] for model in (before, after))
    old, new = map(torch.linalg.svdvals, scaled)
    return bool(((new > 1.001 * old) & (new > 1e-10 * new.max())).any())


def fell(before: Tensor, after: Tensor) -> bool:
    """Whether the evidence is lower than rounding explains, or no longer a number."""
    return not after - before >= -1e-10 * (1 + before.abs())


@torch.no_grad()
def run_em(
    model: FactorAnalysis,
    x: Tensor,
    *, tolerance: float = 1e-13, max_iterations: int | None = None,
) -> Tensor:  # fmt: skip
    """EM from where the model is: the mean evidence before and after each round, in nats.

    In float64, whatever the model is in. Stops when a round gains at most ``tolerance``
    nats a datum and W does not grow from 0, or at the last round, by default 20,000.

    Raises:
        ValueError: data that are not (N, D), not finite, or too large for their squares.

    Warns:
        ConvergenceWarning: the evidence fell, the model is as before; or 20,000 are over.
    """
    x, now = training_data(model, x), copy.deepcopy(model).cpu().double()
    evidences = [now.log_evidence(x).mean()]
    if not evidences[0].isfinite():
        raise ValueError("The evidence of these data is not finite: rescale them.")
    for k in range(20_000 if max_iterations is None else max_iterations):
        before = copy.deepcopy(now)
        exact_e_step(now)
        exact_m_step(now, x)
        evidence = now.log_evidence(x).mean()
        gain = evidence - evidences[-1]  # at least 0 but for rounding, eq. (2.11)
        if fell(evidences[-1], evidence):
            lost = f"EM stopped: the evidence fell by {-gain:.3g} nats in round {k + 1}."
            warnings.warn(lost, ConvergenceWarning, stacklevel=2)
            now = before
            break
        evidences.append(evidence)
        if gain <= tolerance and not grows(before, now):
            break
    if max_iterations is None and len(evidences) > 20_000:
        warnings.warn("EM has not converged.", ConvergenceWarning, stacklevel=2)
    exact_e_step(now)
    model.load_state_dict(now.state_dict())
    return torch.stack(evidences)
